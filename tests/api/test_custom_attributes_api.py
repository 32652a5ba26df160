"""Custom attributes: typed values under `namespace:handle` (API.md 3)."""

from __future__ import annotations

import pytest

from profiles.models import Audit, CustomAttribute
from tests.api.conftest import conflict, not_found, refused


def put(api, profile, name: str, **body):
    return api.put(f"/profiles/{profile['id']}/attributes/custom/{name}", body)


def test_put_makes_an_attribute_and_changes_it(api, ada) -> None:
    made = put(api, ada, "loyalty:tier", type="string", value="silver")
    assert made.status_code == 200
    assert made.json()["data"] == {
        "profile_id": ada["id"],
        "namespace": "loyalty",
        "handle": "tier",
        "type": "string",
        "value": "silver",
    }

    assert put(api, ada, "loyalty:tier", value="gold").json()["data"]["value"] == "gold"

    assert api.data(f"/profiles/{ada['id']}/attributes/custom/loyalty:tier")["value"] == "gold"
    assert CustomAttribute.objects.count() == 1
    assert [audit.event for audit in Audit.objects.filter(auditable_type="custom_attribute").order_by("pk")] == [
        "created",
        "updated",
    ]


def test_the_list_is_plain_and_the_profile_shows_them_by_namespace(api, ada) -> None:
    put(api, ada, "loyalty:tier", value="gold")
    put(api, ada, "loyalty:since", type="date", value="2020-02-29")
    put(api, ada, "sizes:shoe", value=38.5)

    listed = api.data(f"/profiles/{ada['id']}/attributes/custom")

    assert [(one["namespace"], one["handle"], one["type"], one["value"]) for one in listed] == [
        ("loyalty", "since", "date", "2020-02-29"),
        ("loyalty", "tier", "string", "gold"),
        ("sizes", "shoe", "decimal", 38.5),
    ]
    assert api.data(f"/profiles/{ada['id']}")["custom_attributes"] == {
        "loyalty": {"since": "2020-02-29", "tier": "gold"},
        "sizes": {"shoe": 38.5},
    }


def test_delete_takes_one_away(api, ada) -> None:
    put(api, ada, "loyalty:tier", value="gold")

    assert api.delete(f"/profiles/{ada['id']}/attributes/custom/loyalty:tier").status_code == 204

    not_found(api.get(f"/profiles/{ada['id']}/attributes/custom/loyalty:tier"))
    not_found(api.delete(f"/profiles/{ada['id']}/attributes/custom/loyalty:tier"))


def test_one_and_true_are_different_values_inside_of_json(api, ada) -> None:
    for value in ([1], [True], {"a": 0}, {"a": False}):
        assert repr(put(api, ada, "loyalty:tier", type="json", value=value).json()["data"]["value"]) == repr(value)


@pytest.mark.parametrize(
    ("kind", "sent", "kept"),
    [
        ("string", "x", "x"),
        ("integer", 5, 5),
        ("integer", "05", 5),
        ("int", -7, -7),
        ("decimal", 12.5, 12.5),
        ("float", "12.50", 12.5),
        ("boolean", True, True),
        ("boolean", "false", False),
        ("boolean", 1, True),
        ("date", "2026-11-25", "2026-11-25"),
        ("datetime", "2026-11-25T21:00:00+11:00", "2026-11-25 10:00:00"),
        ("json", {"a": [1, None]}, {"a": [1, None]}),
        ("array", [], []),
    ],
)
def test_a_value_is_kept_in_its_type(api, ada, kind, sent, kept) -> None:
    response = put(api, ada, "x:y", type=kind, value=sent)

    assert response.status_code == 200, response.content
    assert response.json()["data"]["value"] == kept
    assert type(response.json()["data"]["value"]) is type(kept)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", 5),
        ("string", "x" * 10_001),
        ("integer", 1.5),
        ("integer", True),
        ("integer", "five"),
        ("integer", 2**63),
        ("decimal", "1e5"),
        ("decimal", "NaN"),
        ("boolean", "maybe"),
        ("boolean", 2),
        ("date", "2026-02-30"),
        ("date", "20261125"),
        ("datetime", "yesterday"),
        ("datetime", 5),
        ("json", "x" * 70_000),
        ("colour", "red"),
        ("string", None),
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused(api, ada, kind, value, unchanged) -> None:
    with unchanged():
        response = put(api, ada, "x:y", type=kind, value=value)

    assert response.status_code == 422, response.content


@pytest.mark.parametrize("name", ["x", ":y", "x:", "x: y", "x:é", "x:y:z", f"x:{'y' * 129}"])
def test_a_bad_name_is_refused(api, ada, name) -> None:
    assert put(api, ada, name, value=1).status_code in (404, 422)
    assert not CustomAttribute.objects.exists()


def test_without_a_type_the_value_keeps_the_one_on_file_if_it_can(api, ada) -> None:
    put(api, ada, "loyalty:since", type="date", value="2020-02-29")

    assert put(api, ada, "loyalty:since", value="2021-03-01").json()["data"]["type"] == "date"
    assert put(api, ada, "loyalty:since", value="long ago").json()["data"]["type"] == "string"


def test_a_profile_that_is_sent_back_with_one_value_changed_changes_only_that(api, ada) -> None:
    put(api, ada, "loyalty:since", type="date", value="2020-02-29")
    put(api, ada, "sizes:shoe", value=38.5)
    whole = api.data(f"/profiles/{ada['id']}")
    before = {str(row): (row.type, row.updated_at) for row in CustomAttribute.objects.all()}

    whole["custom_attributes"]["sizes"]["shoe"] = 39
    assert api.put(f"/profiles/{ada['id']}", whole).status_code == 200

    rows = {str(row): row for row in CustomAttribute.objects.all()}
    assert (rows["loyalty:since"].type, rows["loyalty:since"].updated_at) == before["loyalty:since"]
    assert (rows["sizes:shoe"].type, rows["sizes:shoe"].value) == ("decimal", 39)


def test_null_in_a_profiles_put_deletes_one(api, ada) -> None:
    put(api, ada, "loyalty:tier", value="gold")

    api.put(f"/profiles/{ada['id']}", {"custom_attributes": {"loyalty": {"tier": None, "other": None}}})

    assert not CustomAttribute.objects.exists()


@pytest.mark.parametrize("value", [5e-324, -2.2250738585072014e-308])
def test_the_smallest_numbers_are_kept(api, ada, value) -> None:
    assert put(api, ada, "sizes:atom", value=value).json()["data"]["value"] == value

    assert api.put(f"/profiles/{ada['id']}", {"custom_attributes": {"sizes": {"other": value}}}).status_code == 200
    assert api.data(f"/profiles/{ada['id']}")["custom_attributes"]["sizes"] == {"atom": value, "other": value}


def test_a_routed_profile_fills_only_what_the_known_one_has_not(api, ada) -> None:
    put(api, ada, "loyalty:tier", value="gold")

    answer = api.post(
        "/profiles",
        {
            "identities": [{"handle": "loyalty-card", "identifier": "1804974"}],
            "custom_attributes": {"loyalty": {"tier": "silver", "since": "2020"}},
        },
    ).json()

    assert answer["routing"]["not_taken"] == ["custom_attributes.loyalty:tier"]
    assert answer["data"]["custom_attributes"] == {"loyalty": {"since": "2020", "tier": "gold"}}
    since = CustomAttribute.objects.get(handle="since")
    assert (since.brought_by_handle, since.brought_by_identifier) == ("loyalty-card", "1804974")


@pytest.mark.parametrize("sent", [[], "x", {"a": 1}, {"a": {"b c": 1}}, {"": {"b": 1}}])
def test_custom_attributes_of_the_wrong_shape_are_refused(api, ada, sent, unchanged) -> None:
    with unchanged():
        assert api.put(f"/profiles/{ada['id']}", {"custom_attributes": sent}).status_code == 422
        assert api.post("/profiles", {"custom_attributes": sent}).status_code == 422


def find(api, *asked: tuple[str, str, str], **more: str):
    query = {}
    for position, (namespace, handle, values) in enumerate(asked):
        query[f"attributes[{position}][namespace]"] = namespace
        query[f"attributes[{position}][handle]"] = handle
        query[f"attributes[{position}][value][in]"] = values
    return api.get("/profiles/attributes/custom", {**query, **more})


def test_profiles_are_found_by_their_values(api, ada, bo) -> None:
    put(api, ada, "loyalty:tier", value="gold")
    put(api, bo, "loyalty:tier", value="silver")
    put(api, bo, "club:member", value=True)
    put(api, bo, "sizes:shoe", value=38.5)

    def ids(*asked):
        return [profile["id"] for profile in find(api, *asked, sort="created_at").json()["data"]]

    assert ids(("loyalty", "tier", "gold")) == [ada["id"]]
    assert ids(("loyalty", "tier", "gold,silver")) == [ada["id"], bo["id"]]
    assert ids(("loyalty", "tier", "gold,silver"), ("club", "member", "true")) == [bo["id"]]
    assert ids(("sizes", "shoe", "38.50")) == [bo["id"]]
    assert ids(("loyalty", "tier", "Gold")) == []
    assert find(api, ("loyalty", "tier", "gold")).json()["meta"]["total"] == 1


def test_a_deleted_profile_is_not_found(api, ada) -> None:
    put(api, ada, "loyalty:tier", value="gold")
    api.delete(f"/profiles/{ada['id']}")

    assert find(api, ("loyalty", "tier", "gold")).json()["data"] == []
    conflict(put(api, ada, "loyalty:tier", value="x"), "profile_deleted")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"attributes[0][namespace]": "a"},
        {"attributes[0][namespace]": "a", "attributes[0][handle]": "b"},
        {"attributes[0][namespace]": "a", "attributes[0][handle]": "b", "attributes[0][value][like]": "c"},
        {"attributes[x][namespace]": "a"},
        {"attributes": "a"},
        {
            "attributes[0][namespace]": "a",
            "attributes[0][handle]": "b",
            "attributes[0][value][in]": ",".join("c" * 101),
        },
    ],
)
def test_a_question_that_is_not_whole_is_refused(api, query) -> None:
    assert api.get("/profiles/attributes/custom", query).status_code == 422


def test_a_name_that_no_profile_has_is_404(api, ada, nobody) -> None:
    not_found(api.get(f"/profiles/{ada['id']}/attributes/custom/a:b"))
    not_found(put(api, {"id": nobody}, "a:b", value=1))
    refused(put(api, ada, "a:b"), "required", "value")
