"""GET /handles, GET and PUT /handles/{name} (API.md 8)."""

from __future__ import annotations

import pytest

from identities.models import Handle
from omneo_identity.api.auth import SCOPES
from profiles.models import Audit
from tests.api.conftest import CARD, not_found, refused

pytestmark = pytest.mark.django_db

SHIPPED = {
    "shopify": "shopify",
    "klaviyo": "klaviyo",
    "magento_id": "magento_id",
    "sfcc": "sfcc",
    "commercetools": "commercetools",
    "zendesk": "zendesk",
    "mailchimp": "mailchimp",
    "staff-number": None,
    "loyalty-card": None,
    "pos": None,
    "pos-customer": None,
    "apns": None,
    "instagram": None,
    "email": None,
    "mobile_phone": None,
}
NORMALISERS = {"instagram": "fold", "email": "email", "mobile_phone": "phone"}


def put(api, name=CARD, **body):
    response = api.put(f"/handles/{name}", body)
    assert response.status_code == 200, response.content
    return response.json()["data"]


def test_the_catalogue_ships_documented(api) -> None:
    handles = {row["name"]: row for row in api.data("/handles", {"page[size]": 200})}

    assert {name: row["reserved_for"] for name, row in handles.items()} == SHIPPED
    for name, row in handles.items():
        assert row["label"] and row["description"] and row["example"], name
        assert (row["status"], row["pattern"]) == ("agreed", "")
        assert row["normaliser"] == NORMALISERS.get(name, "exact")
        assert row["sensitive"] is (name == "apns")
        assert row["usage_count"] == 0


def test_a_handle_has_every_field_of_the_contract(api, ada) -> None:
    api.identity(ada, CARD, "2")

    handle = api.data(f"/handles/{CARD}")

    assert list(handle) == [
        "name",
        "label",
        "description",
        "example",
        "status",
        "renamed_to",
        "reserved_for",
        "normaliser",
        "pattern",
        "single_valued",
        "max_per_profile",
        "immutable",
        "sensitive",
        "priority",
        "auto_merge",
        "usage_count",
        "usage_count_is_capped",
        "agreed_at",
        "created_at",
    ]
    assert (handle["usage_count"], handle["usage_count_is_capped"]) == (2, False)


def test_an_undocumented_handle_appears(api, ada) -> None:
    api.identity(ada, "parcel-locker", "9")

    (handle,) = api.data("/handles", {"filter[status]": "undocumented"})
    assert (handle["name"], handle["usage_count"], handle["agreed_at"]) == ("parcel-locker", 1, None)


def test_staff_agree_to_a_handle_and_that_stands_with_it(api, ada, operator) -> None:
    api.identity(ada, "parcel-locker", "9")

    handle = put(api, "parcel-locker", status="agreed", label="Parcel locker", description="Number on the door.")

    assert (handle["status"], handle["label"]) == ("agreed", "Parcel locker")
    assert handle["agreed_at"] is not None
    assert Handle.objects.get(pk="parcel-locker").agreed_by == operator
    audit = Audit.objects.get(auditable_type="handle")
    assert (audit.auditable_key, audit.old_values["status"], audit.new_values["status"]) == (
        "parcel-locker",
        "undocumented",
        "agreed",
    )


def test_a_put_is_partial(api) -> None:
    before = api.data(f"/handles/{CARD}")

    assert put(api, pattern="[0-9]+", max_per_profile=5) == before | {"pattern": "[0-9]+", "max_per_profile": 5}
    assert put(api) == before | {"pattern": "[0-9]+", "max_per_profile": 5}
    assert put(api, pattern="", max_per_profile=None) == before


def test_a_client_may_send_back_the_whole_object(api, unchanged) -> None:
    before = api.data("/handles/shopify")

    with unchanged():
        assert put(api, **(before | {"name": "shopify"})) == before


def test_staff_say_by_which_handles_profiles_merge_by_themselves(api, shopify) -> None:
    assert put(api, auto_merge=True)["auto_merge"] is True
    assert Audit.objects.get(auditable_type="handle").new_values == {"auto_merge": True}
    assert shopify.put(f"/handles/{CARD}", {"auto_merge": False}).status_code == 403
    assert put(api, auto_merge=False)["auto_merge"] is False
    refused(api.put("/handles/email", {"auto_merge": True}), "builtin_handle", "body")
    refused(api.put(f"/handles/{CARD}", {"auto_merge": "yes"}), "invalid", "auto_merge")


def test_name_and_usage_are_not_set_here(api, unchanged) -> None:
    with unchanged():
        put(api, usage_count=9, created_at="2000-01-01", renamed_to="pos")
        response = api.put(f"/handles/{CARD}", {"name": "other"})

    assert response.json()["data"]["name"] == CARD


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ({"filter[reserved_for]": "shopify"}, ["shopify"]),
        ({"filter[reserved_for]": "nobody"}, []),
        ({"filter[name]": "pos"}, ["pos"]),
        ({"filter[status]": "retired"}, []),
        ({"sort": "-name", "page[size]": 1}, ["zendesk"]),
        ({"sort": "name", "page[size]": 1}, ["apns"]),
    ],
)
def test_filters_and_sorts(api, query, names) -> None:
    assert [row["name"] for row in api.data("/handles", query)] == names


def test_the_list_sorts_by_priority(api) -> None:
    put(api, priority=7)

    assert api.data("/handles", {"sort": "-priority"})[0]["name"] == CARD


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("filter[label]", "x"), ("filter[status]", "new"), ("sort", "label"), ("include", "identities")],
)
def test_what_the_list_does_not_know_is_refused(api, parameter, value) -> None:
    refused(api.get("/handles", {parameter: value}), "invalid", parameter)


def test_an_unknown_handle_is_a_404(api, path, unchanged) -> None:
    with unchanged():
        for name in ("nothing", "x" * 1_000, "<b>", "' OR 1=1 --", "Shopify"):
            not_found(api.get(f"/handles/{path(name)}"))
            not_found(api.put(f"/handles/{path(name)}", {"label": "x"}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("label", 7),
        ("label", None),
        ("label", "x" * 256),
        ("description", []),
        ("description", "x" * 10_001),
        ("example", True),
        ("example", "x" * 256),
        ("status", "new"),
        ("status", 7),
        ("status", None),
        ("reserved_for", "nobody"),
        ("reserved_for", 7),
        ("reserved_for", ""),
        ("normaliser", "upper"),
        ("normaliser", None),
        ("pattern", "("),
        ("pattern", "(?=x)"),
        ("pattern", "[z-a]"),
        ("pattern", "x{1001}"),
        ("pattern", 7),
        ("pattern", "x" * 256),
        ("single_valued", "maybe"),
        ("single_valued", None),
        ("max_per_profile", 0),
        ("max_per_profile", -1),
        ("max_per_profile", 10**30),
        ("max_per_profile", "x"),
        ("max_per_profile", 1.5),
        ("immutable", 2),
        ("sensitive", []),
        ("priority", 10**7),
        ("priority", -(10**7)),
        ("priority", None),
        ("priority", "high"),
    ],
)
def test_a_field_of_the_wrong_type_is_refused(api, unchanged, field, value) -> None:
    with unchanged():
        refused(api.put(f"/handles/{CARD}", {"description": "Changed.", field: value}), "invalid", field)


def test_a_normaliser_does_not_change_under_stored_identities(api, ada, unchanged) -> None:
    with unchanged():
        refused(api.put(f"/handles/{CARD}", {"normaliser": "digits"}), "invalid", "normaliser")

    assert put(api, "pos", normaliser="digits")["normaliser"] == "digits"
    assert api.identity(ada, "pos", "No. 00 42")["identifier"] == "0042"


def test_a_pattern_that_would_hang_others_is_harmless(api, ada) -> None:
    put(api, pattern="(a+)+$")

    response = api.post(f"/profiles/{ada['id']}/identities", {"handle": CARD, "identifier": "a" * 250 + "!"})

    refused(response, "invalid_identifier", "identifier")


@pytest.mark.parametrize(("method", "scope"), [("GET", "read-handles"), ("PUT", "update-handles")])
def test_each_route_asks_for_its_scope(caller, unchanged, method, scope) -> None:
    others = caller(*set(SCOPES) - {scope})

    with unchanged():
        assert others.call(method, f"/handles/{CARD}", {"label": "Changed"}).status_code == 403
        if method == "GET":
            assert others.get("/handles").status_code == 403
    assert caller(scope).call(method, f"/handles/{CARD}").status_code == 200
