"""Interactions (API.md 4), and what holds for every kind of record that comes over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from identities.models import Identity
from profiles.models import Audit, Interaction, Move
from tests.api.conftest import CARD, KINDS, conflict, not_found, refused, visit

pytestmark = pytest.mark.django_db

ADAS = f"{CARD}:1804974"
NEVER_KNOWN = "00000000-0000-0000-0000-000000000007"


def without_routing(made: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if name != "routing"}


# The routes of the table


def test_a_post_keeps_an_interaction_on_the_profile_that_it_names(api, ada) -> None:
    body = visit(
        identifier={"id": "1804974", "handle": CARD},
        interacted_at="2026-11-25T12:00:00+11:00",
        url="https://shop.example.com/opening",
        description="Stayed long.",
        tags=["vip", 7],
        meta={"room": 2},
    )

    data = api.record("interactions", body)

    card = ada["identities"][0]["id"]
    routing = data.pop("routing")
    assert (routing["outcome"], routing["identity_id"]) == ("matched", card)
    assert data.pop("id") == Interaction.objects.get().pk
    assert data.pop("created_at") == data.pop("updated_at")
    assert data == {
        "profile_id": ada["id"],
        "action": "visit",
        "channel": "location",
        "signal": 1,
        "name": "Came in",
        "namespace": "shop",
        "interacted_at": "2026-11-25 01:00:00",
        "url": "https://shop.example.com/opening",
        "description": "Stayed long.",
        "tags": ["vip", 7],
        "meta": {"room": 2},
        "identities": [{"handle": CARD, "identifier": "1804974"}],
        "brought_by": {"id": card, "handle": CARD, "identifier": "1804974"},
        "addressed": None,
        "log_entry_id": None,
        "source": "staff",
    }


def test_what_is_left_out_is_empty_and_now(api, ada) -> None:
    for body in ({}, dict.fromkeys(("interacted_at", "url", "description", "tags", "meta", "identifier"))):
        data = api.record("interactions", visit(ADAS, **body))

        assert (data["url"], data["description"], data["tags"], data["meta"]) == (None, None, [], {})
        assert data["interacted_at"] == data["created_at"]


def test_one_is_read_changed_and_deleted_by_its_id(api, ada) -> None:
    made = api.record("interactions", visit(ADAS))
    path = f"/interactions/{made['id']}"
    assert api.data(path) == without_routing(made)

    changed = api.put(path, {"signal": -1, "channel": "app"})

    assert (changed.status_code, changed.json()["routing"]["outcome"]) == (200, "matched")
    data = changed.json()["data"]
    assert data == without_routing(made) | {"signal": -1, "channel": "app", "updated_at": data["updated_at"]}
    assert api.delete(path).status_code == 204
    not_found(api.get(path))


# Whom it names


def test_an_identifier_alone_decides_when_one_profile_has_it(api, ada, bo, unchanged) -> None:
    api.identity(bo, "pos", "A1")

    data = api.record("interactions", visit(identifier="A1"))
    assert (data["profile_id"], data["brought_by"]["handle"]) == (bo["id"], "pos")
    assert data["identities"] == [{"handle": "", "identifier": "A1"}]

    api.identity(ada, "pos-customer", "A1")
    data = api.record("interactions", visit(identifier="A1"))
    assert (data["profile_id"], data["routing"]["outcome"]) == (None, "anonymous")
    (one,) = data["routing"]["refused"]
    assert (one["handle"], one["identifier"], one["code"]) == ("", "A1", "unknown_identifier")


@pytest.mark.parametrize("identifier", ["nobody", "ada@example.com", 5, {"id": "nobody"}, {"id": "x", "handle": ""}])
def test_an_identifier_alone_makes_no_pair(api, ada, identifier) -> None:
    before = Identity.objects.count()

    data = api.record("interactions", visit(identifier=identifier))

    assert data["routing"]["refused"][0]["code"] == "unknown_identifier"
    assert Identity.objects.count() == before


def test_a_reserved_handles_identifier_is_not_found_without_it(api, shopify, ada) -> None:
    shopify.identity(ada, "shopify", "6001")

    assert api.record("interactions", visit(identifier="6001"))["profile_id"] is None
    named = shopify.record("interactions", visit(identifier={"id": 6001, "handle": "shopify"}))
    assert named["profile_id"] == ada["id"]


@pytest.mark.parametrize("handle", ["id", "profile_id"])
def test_an_identifier_may_be_the_profiles_own_id(api, ada, handle) -> None:
    data = api.record("interactions", visit(identifier={"id": ada["id"], "handle": handle}))

    assert data["profile_id"] == data["addressed"] == ada["id"]


def test_an_identifier_with_a_handle_makes_a_profile_like_any_pair(api) -> None:
    data = api.record("interactions", visit(identifier={"id": "new", "handle": "pos"}))

    assert data["routing"]["outcome"] == "created"


@pytest.mark.parametrize(
    ("identifier", "field"),
    [
        (True, "identifier"),
        (1.5, "identifier"),
        ([], "identifier"),
        ({}, "identifier.id"),
        ({"handle": CARD}, "identifier.id"),
        ({"id": []}, "identifier.id"),
        ({"id": None}, "identifier.id"),
        ({"id": "1", "handle": 7}, "identifier.handle"),
        ({"id": "x", "handle": "profile_id"}, "identifier"),
    ],
)
def test_an_identifier_of_another_shape_is_a_422(api, unchanged, identifier, field) -> None:
    with unchanged():
        response = api.post("/interactions", visit(identifier=identifier))
    assert response.status_code == 422
    assert next(iter(response.json()["errors"])) == field


# Input


@pytest.mark.parametrize("name", ["action", "channel", "signal", "name", "namespace"])
def test_what_an_interaction_must_have(api, unchanged, name) -> None:
    with unchanged():
        body = {key: value for key, value in visit(ADAS).items() if key != name}
        refused(api.post("/interactions", body), "required", name)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("action", ["broadcast", "disclose", "feedback", "product", "reach", "refer", "service", "visit", "view"]),
        ("channel", ["app", "email", "location", "push", "sms", "social", "support", "website"]),
        ("signal", [-1, 0, 1]),
    ],
)
def test_words_that_an_interaction_may_have(api, ada, unchanged, name, good) -> None:
    for value in good:
        assert api.record("interactions", visit(ADAS, **{name: value}))[name] == value
    with unchanged():
        for value in ("other", "", 2, -2, 1.5, True, None, [], {}, 10**400):
            refused(api.post("/interactions", visit(ADAS, **{name: value})), "invalid", name)


def test_spans_of_time_and_order(api, ada) -> None:
    late, early = (
        api.record("interactions", visit(ADAS, interacted_at=f"2026-11-{day} 00:00:00"))["id"] for day in (25, 15)
    )

    def found(query: dict[str, str]) -> list[int]:
        return [row["id"] for row in api.data("/interactions", query)]

    assert found({}) == [early, late]
    assert found({"filter[profile_id]": ada["id"]}) == [late, early]
    assert found({"filter[interacted_at][lte]": "2026-11-15 00:00:00"}) == [early]
    assert found({"sort": "interacted_at"}) == [early, late]


# Every kind

every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize("kind", ["interactions", "points", "rewards"])
@pytest.mark.parametrize(
    "body", [{}, {"identities": []}, {"profile_id": ""}, {"profile_id": None}, {"identifier": ""}]
)
def test_a_record_that_names_nobody_is_a_422(api, unchanged, kind, body) -> None:
    with unchanged():
        refused(api.post(f"/{kind}", KINDS[kind](**body)), "required", "profile_id")


@every_kind
def test_a_pair_that_is_unusable_makes_it_a_record_of_nobody(api, kind) -> None:
    data = api.record(kind, KINDS[kind]("pos:null"))

    assert (data["profile_id"], data["routing"]["outcome"]) == (None, "anonymous")
    assert data["routing"]["refused"][0]["code"] == "blocked_identifier"
    assert api.data(f"/{kind}/{data['id']}")["profile_id"] is None
    assert [row["id"] for row in api.data(f"/{kind}")] == [data["id"]]


@every_kind
def test_every_outcome(api, ada, bo, kind) -> None:
    for body, outcome, owner in (
        (KINDS[kind](ADAS), "matched", ada["id"]),
        (KINDS[kind](profile_id="1804974", profile_id_handle=CARD), "matched", ada["id"]),
        (KINDS[kind](profile_id=ada["id"]), "matched", ada["id"]),
        (KINDS[kind](profile_id="ada@example.com", profile_id_handle="email"), "matched", ada["id"]),
        (KINDS[kind](ADAS, "pos:1"), "attached", ada["id"]),
        (KINDS[kind](ADAS, profile_id=bo["id"]), "rerouted", ada["id"]),
        (KINDS[kind](ADAS, f"{CARD}:77"), "conflict", ada["id"]),
        (KINDS[kind]("pos:2"), "created", None),
    ):
        data = api.record(kind, body)
        routing = data["routing"]
        assert routing["outcome"] == outcome
        assert routing["profile_id"] == data["profile_id"]
        assert owner is None or data["profile_id"] == owner
        entry = routing["log_entry_id"]
        assert (entry is not None) == (outcome in ("rerouted", "conflict"))
        if entry is not None:
            logged = api.data(f"/routing-log/{entry}")
            assert (logged["outcome"], logged["kind"]) == (outcome, kind.removesuffix("s"))


@every_kind
def test_an_unknown_profile_id_alone_is_a_404(api, ada, unchanged, kind) -> None:
    with unchanged():
        not_found(api.post(f"/{kind}", KINDS[kind](profile_id=NEVER_KNOWN)))
        refused(api.post(f"/{kind}", KINDS[kind](profile_id="1804974")), "invalid", "profile_id")


@every_kind
def test_a_move_and_the_way_back(api, ada, bo, kind) -> None:
    made = api.record(kind, KINDS[kind](ADAS))
    path = f"/{kind}/{made['id']}/move"

    for body, owner in (
        ({"profile_id": bo["id"], "reason": "Bo's."}, bo["id"]),
        ({"identities": [{"handle": CARD, "identifier": "1804974"}]}, ada["id"]),
        ({"profile_id": None}, None),
        ({"profile_id": ada["id"]}, ada["id"]),
    ):
        moved = api.post(path, body)
        assert moved.status_code == 200
        assert list(moved.json()) == ["data"]
        data = moved.json()["data"]
        assert data == without_routing(made) | {"profile_id": owner, "updated_at": data["updated_at"]}
    assert Move.objects.filter(subject_type=kind.removesuffix("s")).count() == 4
    assert not Move.objects.filter(undone_at=None).exists()
    assert Audit.objects.filter(event="moved").count() == 4
    refused(api.post(path, {}), "required", "profile_id")
    not_found(api.post(f"/{kind}/0/move", {"profile_id": None}))
    not_found(api.post(path, {"profile_id": NEVER_KNOWN}))
    api.delete(f"/profiles/{bo['id']}")
    conflict(api.post(path, {"profile_id": bo["id"]}), "profile_deleted")


@pytest.mark.parametrize("kind", ["transactions", "interactions", "rewards"])
def test_a_whole_record_sent_back_changes_nothing(api, ada, unchanged, kind) -> None:
    made = api.record(kind, KINDS[kind](ADAS, "pos:null"))
    path = f"/{kind}/{made['id']}"
    before = without_routing(made)

    with unchanged():
        response = api.put(path, before)

    assert response.json()["routing"]["outcome"] == "matched"
    assert response.json()["data"] == before


def test_an_interaction_by_an_identifier_alone_may_come_back_whole(api, ada, unchanged) -> None:
    for identifier in ("1804974", "nobody"):
        made = without_routing(api.record("interactions", visit(identifier=identifier)))

        with unchanged():
            answer = api.put(f"/interactions/{made['id']}", made).json()

        assert answer["data"] == made
        assert answer["routing"]["refused"] == []


@every_kind
def test_lists_show_records_of_live_profiles_and_of_nobody(api, shopify, ada, bo, kind) -> None:
    of_ada = api.record(kind, KINDS[kind](ADAS))["id"]
    of_bo = shopify.record(kind, KINDS[kind](f"{CARD}:77"))["id"]
    of_nobody = api.record(kind, KINDS[kind]("pos:null"))["id"]

    def found(**filters: str) -> list[int]:
        return [row["id"] for row in api.data(f"/{kind}", {f"filter[{name}]": one for name, one in filters.items()})]

    assert found() == [of_nobody, of_bo, of_ada]
    assert found(profile_id=bo["id"]) == [of_bo]
    assert found(source="shopify") == [of_bo]
    assert found(source="staff") == [of_nobody, of_ada]
    api.delete(f"/profiles/{ada['id']}")
    assert found() == [of_nobody, of_bo]
    assert found(source="staff") == [of_nobody]
    assert api.data(f"/{kind}/{of_ada}")["profile_id"] == ada["id"]


@every_kind
@pytest.mark.parametrize("pk", ["0", "9" * 30, "x", "-1", "1.5"])
def test_an_id_that_none_has_is_a_404(api, kind, pk) -> None:
    not_found(api.get(f"/{kind}/{pk}"))
    not_found(api.post(f"/{kind}/{pk}/move", {"profile_id": None}))
    if kind != "points":
        not_found(api.put(f"/{kind}/{pk}", {}))
        not_found(api.delete(f"/{kind}/{pk}"))


WRONG: list[Any] = [None, True, 7, -1.5, 10**400, "", "x" * 70_000, [], [[]], {}, {"a": 1}, [None], [{"handle": []}]]


@pytest.mark.parametrize("kind", ["interactions", "points", "rewards"])
def test_a_wrong_type_in_any_field_is_no_500(api, ada, kind) -> None:
    body = api.client.get("/api/schema").json()["components"]["schemas"][f"New{kind.title().removesuffix('s')}"]
    made = api.record(kind, KINDS[kind](ADAS))
    for field in body["properties"]:
        for value in WRONG:
            responses = [api.post(f"/{kind}", KINDS[kind](ADAS) | {field: value})]
            if kind != "points":
                responses.append(api.put(f"/{kind}/{made['id']}", {field: value}))
            for response in responses:
                assert response.status_code in (200, 201, 404, 422), (field, value, response.content)
                if response.status_code == 422:
                    answer = response.json()
                    assert answer["message"] == next(iter(answer["errors"].values()))[0]
                    assert answer["code"]
