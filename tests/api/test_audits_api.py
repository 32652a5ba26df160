"""GET /audits and /audits/{id} (API.md 8)."""

from __future__ import annotations

import json

import pytest

from identities.models import Identity
from omneo_identity.api.auth import SCOPES
from profiles.models import Audit
from tests.api.conftest import CARD, not_found, refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def changed(api, ada):
    """An identity of Ada that was changed."""
    response = api.call(
        "PUT", f"/profiles/{ada['id']}/identities/{CARD}", {"is_active": False}, **{"User-Agent": "till/7.1"}
    )
    assert response.status_code == 200
    return Identity.objects.get(handle=CARD, profile_id=ada["id"])


def test_an_audit_says_who_changed_what_through_what(api, ada, operator, changed) -> None:
    row = Audit.objects.get(event="updated")

    audit = api.data(f"/audits/{row.pk}")

    assert list(audit) == [
        "id",
        "user_id",
        "event",
        "auditable_type",
        "auditable_id",
        "old_values",
        "new_values",
        "url",
        "ip_address",
        "profile_id",
        "token_name",
        "user_agent",
        "created_at",
    ]
    assert (audit["id"], audit["user_id"], audit["event"]) == (row.pk, operator.pk, "updated")
    assert (audit["auditable_type"], audit["auditable_id"]) == ("identity", changed.pk)
    assert (json.loads(audit["old_values"])["is_active"], json.loads(audit["new_values"])["is_active"]) == (
        True,
        False,
    )
    assert audit["url"] == f"/api/v3/profiles/{ada['id']}/identities/{CARD}"
    assert (audit["ip_address"], audit["profile_id"]) == ("127.0.0.1", ada["id"])
    assert (audit["token_name"], audit["user_agent"]) == ("Token of staff", "till/7.1")


def test_a_row_whose_id_is_no_integer_has_none(api, ada) -> None:
    (audit,) = api.data("/audits", {"filter[auditable_type]": "profile"})

    assert (audit["auditable_id"], audit["profile_id"], audit["event"]) == (None, ada["id"], "created")


def test_the_list_is_paged_newest_first(api, ada, changed) -> None:
    body = api.get("/audits").json()

    assert list(body) == ["data", "links", "meta"]
    assert body["data"][0]["event"] == "updated"
    assert [row["id"] for row in body["data"]] == sorted((row["id"] for row in body["data"]), reverse=True)
    assert body["meta"]["total"] == Audit.objects.count()


@pytest.mark.parametrize(
    ("query", "events"),
    [
        ({"filter[event]": "updated"}, {"updated"}),
        ({"filter[event]": "nothing"}, set()),
        ({"filter[auditable_type]": "identity"}, {"created", "updated"}),
        ({"filter[created_at][gte]": "2021-01-27"}, {"created", "updated"}),
        ({"filter[created_at][lt]": "2021-01-27"}, set()),
    ],
)
def test_filters_of_audits(api, ada, changed, query, events) -> None:
    assert {row["event"] for row in api.data("/audits", query)} == events


def test_audits_of_one_profile(api, ada, bo, changed) -> None:
    rows = api.data("/audits", {"filter[profile_id]": ada["id"], "sort": "id"})

    assert {row["profile_id"] for row in rows} == {ada["id"]}
    assert (rows[0]["event"], rows[-1]["event"]) == ("created", "updated")


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("filter[user_id]", "1"),
        ("filter[profile_id]", "x"),
        ("filter[created_at]", "soon"),
        ("sort", "event"),
        ("include", "profile"),
    ],
)
def test_what_the_list_does_not_know_is_refused(api, parameter, value) -> None:
    refused(api.get("/audits", {parameter: value}), "invalid", parameter)


def test_every_write_leaves_its_audit(api, ada, bo) -> None:
    url = f"/profiles/{ada['id']}"
    writes = [
        ("PUT", url, {"first_name": "Augusta"}, {("profile", "updated")}),
        ("POST", f"{url}/identities", {"handle": "pos", "identifier": "1"}, {("identity", "created")}),
        ("PUT", f"{url}/identities/pos", {"identifier": "2"}, {("identity", "updated")}),
        ("DELETE", f"{url}/identities/pos", None, {("identity", "deleted")}),
        ("PUT", f"{url}/update-type", {"profile_type": "pending"}, {("profile", "updated")}),
        ("PUT", f"/handles/{CARD}", {"priority": 3}, {("handle", "updated")}),
        ("POST", "/auth/api-tokens", {"name": "Till"}, {("api_token", "created")}),
        ("POST", "/profiles", {"first_name": "Eve"}, {("profile", "created")}),
        ("DELETE", url, None, {("profile", "deleted")}),
    ]
    for method, path, body, expected in writes:
        last = Audit.objects.latest("pk").pk
        assert api.call(method, path, body or {}).status_code in (200, 201, 204)
        written = Audit.objects.filter(pk__gt=last)
        assert {(row.auditable_type, row.event) for row in written} == expected
        assert {row.token_name for row in written} == {"Token of staff"}


def test_an_identifier_of_a_sensitive_handle_is_masked(api, ada) -> None:
    token = "740f4707bebcf74f9b7c25d4"
    api.identity(ada, "apns", token)
    api.delete(f"/profiles/{ada['id']}/identities/apns")

    assert token not in api.get("/audits").content.decode()


def test_a_user_agent_of_any_length_and_kind_is_kept_cut(api, ada) -> None:
    agent = "<script>" + "x" * 2_000

    response = api.call("PUT", f"/profiles/{ada['id']}", {"first_name": "Augusta"}, **{"User-Agent": agent})

    assert response.status_code == 200
    assert agent.startswith(api.data("/audits")[0]["user_agent"])


def test_an_unknown_audit_is_a_404(api) -> None:
    for number in ("0", "x", "-1", str(2**63), str(10**30), "9" * 4_000):
        not_found(api.get(f"/audits/{number}"))


def test_audits_are_read_with_their_scope_and_never_written(api, caller, ada) -> None:
    pk = Audit.objects.latest("pk").pk
    others = caller(*set(SCOPES) - {"read-audits"})
    assert others.get("/audits").status_code == others.get(f"/audits/{pk}").status_code == 403
    assert caller("read-audits").get(f"/audits/{pk}").status_code == 200
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert api.call(method, f"/audits/{pk}", {}).status_code == 405
