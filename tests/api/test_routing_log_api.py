"""GET /routing-log and /routing-log/{id} (API.md 8)."""

from __future__ import annotations

import datetime

import pytest
from django.utils import timezone

from identities.models import RoutingLogEntry
from tests.api.conftest import CARD, not_found, refused

pytestmark = pytest.mark.django_db


@pytest.fixture
def entries(api, shopify, ada, bo):
    """One entry each: taken (by staff), refused, conflict (by Shopify), released."""
    api.post(f"/profiles/{bo['id']}/identities", {"handle": CARD, "identifier": "1804974"})
    api.post("/profiles", {"first_name": "Eve", "identities": [{"handle": "pos", "identifier": "null"}]})
    pairs = [{"handle": CARD, "identifier": number} for number in ("1804974", "77")]
    shopify.post("/profiles", {"identities": pairs})
    gone = api.profile(identities=[{"handle": "instagram", "identifier": "gone"}])
    api.delete(f"/profiles/{gone['id']}")
    api.identity(ada, "instagram", "gone")
    return {row.outcome: row for row in RoutingLogEntry.objects.all()}


def outcomes(api, **filters) -> list[str]:
    query = {f"filter[{name}]": value for name, value in filters.items()}
    return [row["outcome"] for row in api.data("/routing-log", query)]


def test_an_entry_says_what_happened(api, ada, bo, operator, entries) -> None:
    row = entries["identity_taken"]

    entry = api.data(f"/routing-log/{row.pk}")

    assert entry == {
        "id": row.pk,
        "outcome": "identity_taken",
        "kind": "identity",
        "code": "",
        "handle": CARD,
        "identifier": "1804974",
        "requested_profile_id": bo["id"],
        "routed_profile_id": None,
        "candidates": [ada["id"]],
        "payload": {"identities": [{"handle": CARD, "identifier": "1804974"}]},
        "source": "staff",
        "by_id": operator.pk,
        "occurrences": 1,
        "created_at": entry["created_at"],
        "last_seen_at": entry["created_at"],
        "review_status": "open",
        "reviewed_by_id": None,
        "reviewed_at": None,
        "review_note": "",
    }


def test_the_list_is_paged_newest_first(api, entries) -> None:
    body = api.get("/routing-log").json()

    assert list(body) == ["data", "links", "meta"]
    assert [row["outcome"] for row in body["data"]] == ["released_from", "conflict", "refused", "identity_taken"]


def test_the_same_event_counts_up_while_its_entry_is_open(api, bo, entries) -> None:
    again = {"handle": CARD, "identifier": "1804974"}
    api.post(f"/profiles/{bo['id']}/identities", again)
    (entry,) = api.data("/routing-log", {"filter[outcome]": "identity_taken"})
    assert entry["occurrences"] == 2

    RoutingLogEntry.objects.filter(pk=entry["id"]).update(review_status="reviewed")
    api.post(f"/profiles/{bo['id']}/identities", again)

    assert [row["occurrences"] for row in api.data("/routing-log", {"filter[outcome]": "identity_taken"})] == [1, 2]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("outcome", "refused", ["refused"]),
        ("outcome", "rerouted", []),
        ("handle", CARD, ["conflict", "identity_taken"]),
        ("handle", "nothing", []),
        ("source", "shopify", ["conflict"]),
        ("source", "staff", ["released_from", "refused", "identity_taken"]),
        ("review_status", "open", ["released_from", "conflict", "refused", "identity_taken"]),
        ("review_status", "dismissed", []),
        ("created_at][gte", "2021-01-27", ["released_from", "conflict", "refused", "identity_taken"]),
        ("created_at][lt", "2021-01-27 00:00:00", []),
        ("last_seen_at][gt", "2021-01-27T00:00:00Z", ["released_from", "conflict", "refused", "identity_taken"]),
    ],
)
def test_filters_of_the_log(api, entries, name, value, found) -> None:
    assert outcomes(api, **{name: value}) == found


def test_filters_are_joined_by_and(api, entries) -> None:
    assert outcomes(api, handle=CARD, source="staff") == ["identity_taken"]


def test_the_log_is_sorted_as_asked(api, entries) -> None:
    earlier = timezone.now() - datetime.timedelta(days=1)
    RoutingLogEntry.objects.filter(outcome="conflict").update(created_at=earlier, last_seen_at=earlier)

    for sort, first in {
        "created_at": "conflict",
        "-created_at": "released_from",
        "last_seen_at": "conflict",
        "id": "identity_taken",
    }.items():
        assert api.data("/routing-log", {"sort": sort})[0]["outcome"] == first


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("filter[identifier]", "x"),
        ("filter[outcome]", "created"),
        ("filter[review_status]", "closed"),
        ("filter[created_at]", "soon"),
        ("sort", "outcome"),
        ("include", "profile"),
    ],
)
def test_what_the_log_does_not_know_is_refused(api, parameter, value) -> None:
    refused(api.get("/routing-log", {parameter: value}), "invalid", parameter)


def test_an_identifier_of_a_sensitive_handle_is_masked(api, ada, bo) -> None:
    token = "740f4707bebcf74f9b7c25d4"
    api.identity(ada, "apns", token)

    api.post(f"/profiles/{bo['id']}/identities", {"handle": "apns", "identifier": token})
    api.post("/profiles", {"identities": [{"handle": "apns", "identifier": f"{token}\u200b"}]})

    assert len(api.data("/routing-log")) == 2
    for row in api.data("/routing-log"):
        assert token not in str(row)


def test_an_unknown_entry_is_a_404(api) -> None:
    for number in ("0", "x", "-1", str(2**63), str(10**30), "9" * 4_000):
        not_found(api.get(f"/routing-log/{number}"))


def test_the_log_is_read_with_either_scope_and_written_with_none(api, caller, entries) -> None:
    pk = entries["refused"].pk
    for scope in ("read-identities", "read-audits"):
        assert caller(scope).get("/routing-log").status_code == 200
        assert caller(scope).get(f"/routing-log/{pk}").status_code == 200
    stranger = caller("read-profiles", "update-identities")
    assert stranger.get("/routing-log").status_code == 403
    assert stranger.get(f"/routing-log/{pk}").status_code == 403
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert api.call(method, f"/routing-log/{pk}", {}).status_code == 405
