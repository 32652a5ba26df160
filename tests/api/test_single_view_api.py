"""One look-up returns the whole of a profile: balances, records, why they are there; also by a merged one's id."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from identities import recording
from identities.incoming import Incoming
from identities.models import Identity
from profiles.models import Interaction, Point, Record, Reward, Transaction
from tests.api.conftest import Caller, conflict, not_found, refused
from tests.cast import came, sent

KINDS: dict[str, type[Record]] = {"transactions": Transaction, "interactions": Interaction, "rewards": Reward}
NOON = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.UTC)


@pytest.fixture
def keep(by):
    """Keep a record that names the profile with loyalty card 1804974."""

    def keep(kind: type[Record], *pairs: str, named: uuid.UUID | None = None, **fields: Any) -> Any:
        known: dict[type[Record], dict[str, Any]] = {
            Transaction: {"total": Decimal("19.99"), "transacted_at": NOON, "timezone": "UTC"},
            Point: {"value_initial": Decimal(100), "value_remaining": Decimal(100), "issued_at": NOON},
            Reward: {
                "value_initial": Decimal(5),
                "value_remaining": Decimal(5),
                "issued_at": NOON,
                "timezone": "UTC",
            },
        }
        pairs = pairs or ("loyalty-card:1804974",)
        incoming = Incoming({**known[kind], **fields}, sent=[sent(pair) for pair in pairs], named=named)
        return recording.record(kind, incoming, by=by, source=None).record

    return keep


def test_balances_are_the_sums_of_what_remains_and_has_not_expired(api, ada, keep) -> None:
    now = timezone.now()
    keep(Point, value_remaining=Decimal("40.5"))
    keep(Point, value_remaining=Decimal(2), expires_at=now + datetime.timedelta(days=1))
    keep(Point, value_remaining=Decimal(1000), expires_at=now - datetime.timedelta(days=1))
    keep(Reward, value_remaining=Decimal("3.10"))
    keep(Reward, value_remaining=Decimal(50), expires_at=now - datetime.timedelta(seconds=1))

    assert api.data(f"/profiles/{ada['id']}/balances") == {
        "reward_balance": 3.1,
        "point_balance": 42.5,
        "point_balance_dollars": 0.425,
        "benefit_balance": 0,
        "combined_balance_dollars": 3.525,
    }
    whole = api.data("/identities/search", {"handle": "loyalty-card", "identifier": "1804974"})["profile"]
    assert (whole["reward_balance"], whole["point_balance"]) == (3.1, 42.5)
    assert (whole["point_balance_dollars"], whole["combined_balance_dollars"]) == (0.425, 3.525)


def test_without_points_and_rewards_the_balances_are_zero(api, ada) -> None:
    assert set(api.data(f"/profiles/{ada['id']}/balances").values()) == {0}


def test_included_transactions_are_the_newest_ten(api, ada, bo, keep) -> None:
    for day in range(12):
        keep(Transaction, transacted_at=NOON - datetime.timedelta(days=day), external_id=f"day-{day}")

    for path, query in (
        (f"/profiles/{ada['id']}", {}),
        ("/identities/search", {"handle": "loyalty-card", "identifier": "1804974"}),
    ):
        data = api.data(path, {**query, "include": "transactions"})
        profile = data.get("profile", data)
        assert [one["external_id"] for one in profile["transactions"]] == [f"day-{day}" for day in range(10)]
        assert "rewards" not in profile
    (listed,) = api.data("/profiles", {"filter[identity]": "loyalty-card:77", "include": "transactions"})
    assert listed["transactions"] == []
    found = api.post("/profiles/search-id?include=transactions", {"type": "loyalty-card", "id": "1804974"})
    assert len(found.json()["data"]["transactions"]) == 10


def test_one_look_up_brings_every_kind_of_record(api, ada, keep) -> None:
    keep(Transaction)
    keep(Point)
    keep(Reward)

    query = {"handle": "loyalty-card", "identifier": "1804974"}
    words = "identities,transactions,interactions,points,rewards"
    profile = api.data("/identities/search", {**query, "include": words})["profile"]

    assert [len(profile[word]) for word in words.split(",")] == [1, 1, 0, 1, 1]


def test_an_unknown_include_lists_the_known_ones(api, ada) -> None:
    response = api.get(f"/profiles/{ada['id']}", {"include": "orders"})

    assert "transactions" in refused(response, "invalid", "include")["errors"]["include"][0]


def test_why_tells_the_identity_that_decided(api, ada, keep) -> None:
    record = keep(Transaction)

    why = api.data(f"/profiles/{ada['id']}/why", {"record": f"transaction:{record.pk}"})

    assert why["record"] == {"kind": "transaction", "id": record.pk}
    assert (why["decided_by"], why["pair"]) == (
        "identity",
        {"handle": "loyalty-card", "identifier": "1804974"},
    )
    assert why["identity_id"] == Identity.objects.get(handle="loyalty-card").pk
    assert why["sentences"] == ["It named loyalty-card: 1804974, which this profile was known by."]


def test_why_tells_of_a_conflict_and_of_moves(api, ada, bo, keep, by) -> None:
    from identities import moving_records

    record = keep(Transaction, "loyalty-card:1804974", "loyalty-card:77")
    moving_records.move_record(Transaction, record.pk, to=uuid.UUID(bo["id"]), reason="Bo paid.", by=by)

    why = api.data(f"/profiles/{bo['id']}/why", {"record": f"transaction:{record.pk}"})

    assert (why["outcome"], why["log_entry_id"]) == ("conflict", record.log_entry_id)
    assert [(move["from_profile_id"], move["to_profile_id"], move["reason"]) for move in why["moves"]] == [
        (ada["id"], bo["id"], "Bo paid.")
    ]
    assert len(why["sentences"]) == 3
    not_found(api.get(f"/profiles/{ada['id']}/why", {"record": f"transaction:{record.pk}"}))


@pytest.mark.parametrize(
    "record", ["", "transaction", "order:1", "transaction:x", "transaction:-1", "transaction:" + "9" * 30]
)
def test_why_asks_for_a_record_by_kind_and_id(api, ada, record) -> None:
    refused(api.get(f"/profiles/{ada['id']}/why", {"record": record}), "invalid", "record")


@pytest.fixture
def merged(api: Caller, ada: dict[str, Any], bo: dict[str, Any]) -> dict[str, Any]:
    """Ada's profile, whose columns stand still since it was merged into Bo's."""
    put = api.put(f"/profiles/{ada['id']}/attributes/custom/size:shoe", {"value": 38})
    assert put.status_code == 200
    api.put(f"/profiles/{ada['id']}", {"birth_date": "1990-12-10", "attributes": {"comms": {"sms": True}}})
    copy: dict[str, Any] = api.data(f"/profiles/{ada['id']}")
    body = {"source_profile_id": ada["id"], "destination_profile_id": bo["id"]}
    assert api.post("/profiles/merge", body).status_code == 200
    return copy


@pytest.mark.parametrize("path", ["", "/identities", "/balances", "/attributes/custom", "/identities/loyalty-card"])
def test_a_merged_id_reads_its_survivor_and_says_so(api, merged, bo, path) -> None:
    response = api.get(f"/profiles/{merged['id']}{path}")

    assert response.status_code == 200
    assert response["Content-Location"] == f"http://testserver/api/v3/profiles/{bo['id']}{path}"
    if not path:
        assert response.json()["data"]["id"] == bo["id"]
        assert response.json()["data"]["merged_from"] == merged["id"]


def test_a_living_profiles_own_id_needs_no_such_word(api, ada) -> None:
    response = api.get(f"/profiles/{ada['id']}")

    assert "Content-Location" not in response
    assert "merged_from" not in response.json()["data"]


def test_an_old_copy_sent_back_to_a_merged_id_changes_only_what_differs_from_it(api, merged, bo) -> None:
    api.put(
        f"/profiles/{bo['id']}",
        {
            "birth_date": "1977-01-02",
            "joined_at": "2020-02-02 00:00:00",
            "tags": ["vip"],
            "attributes": {"comms": {"sms": False}, "appearance": {"hair": "red"}},
            "custom_attributes": {"size": {"shoe": 44}},
        },
    )
    before = api.data(f"/profiles/{bo['id']}")

    response = api.put(f"/profiles/{merged['id']}", {**merged, "title": "Dr"})

    assert response.status_code == 200, response.content
    data = response.json()["data"]
    assert (data["id"], data["merged_from"]) == (bo["id"], merged["id"])
    assert {name for name in before if before[name] != data[name]} <= {"title", "updated_at"}
    assert (data["title"], data["first_name"], data["email"]) == ("Dr", "Bo", "bo@example.com")
    assert response["Content-Location"].endswith(bo["id"])


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"birth_date": "1990-12-11"}, {"birth_date": "1990-12-11"}),
        ({"birth_year": 1990, "birth_month": 12, "birth_day": 11}, {"birth_date": "1990-12-11"}),
        ({"birth_date": "1990-12-10", "birth_day": 11}, {"birth_date": "1990-12-11"}),
        ({"attributes": {"comms": {"sms": True}, "dates": [1]}}, {"comms": {"sms": False}, "dates": [1]}),
        ({"custom_attributes": {"size": {"shoe": 38, "hat": 56}}}, {"shoe": 44, "hat": 56}),
        ({"custom_attributes": {"size": {"shoe": 39}}}, {"shoe": 39}),
        ({"joined_at": "2019-01-01 00:00:00"}, {"joined_at": "2019-01-01 00:00:00"}),
        ({"email": "ada@example.com"}, {"email": "bo@example.com"}),
        ({"email": "new@example.com"}, {"email": "new@example.com"}),
    ],
)
def test_what_a_client_has_changed_in_its_old_copy_is_written_whole(api, merged, bo, sent, shown) -> None:
    api.put(
        f"/profiles/{bo['id']}",
        {
            "birth_date": "1977-01-02",
            "attributes": {"comms": {"sms": False}},
            "custom_attributes": {"size": {"shoe": 44}},
        },
    )
    whole = {name: merged[name] for name in ("birth_year", "birth_month", "birth_day")} if "birth_date" in sent else {}

    data = api.put(f"/profiles/{merged['id']}", {**whole, **sent}).json()["data"]

    flat = {**data, **data["attributes"], **data["custom_attributes"]["size"]}
    assert {name: flat[name] for name in shown} == shown


def test_writes_of_data_to_a_merged_id_go_to_the_survivor(api, merged, bo) -> None:
    added = api.post(f"/profiles/{merged['id']}/identities", {"handle": "pos", "identifier": "9"})
    put = api.put(f"/profiles/{merged['id']}/attributes/custom/a:b", {"value": 1})
    deleted = api.delete(f"/profiles/{merged['id']}/attributes/custom/a:b")

    assert added.json()["data"]["profile_id"] == put.json()["data"]["profile_id"] == bo["id"]
    assert added["Content-Location"].endswith(f"/profiles/{bo['id']}/identities")
    assert put["Content-Location"].endswith(f"/profiles/{bo['id']}/attributes/custom/a:b")
    assert deleted["Content-Location"].endswith(f"/profiles/{bo['id']}/attributes/custom/a:b")
    assert api.get(f"/profiles/{bo['id']}/attributes/custom/a:b").status_code == 404


def test_what_is_about_the_profile_itself_takes_ids_literally(api, merged, bo) -> None:
    for response in (
        api.delete(f"/profiles/{merged['id']}"),
        api.put(f"/profiles/{merged['id']}/update-type", {"profile_type": "active"}),
    ):
        assert conflict(response, "already_merged")["survivor_id"] == bo["id"]


def test_records_that_a_token_may_not_read_are_not_included_either(caller, ada) -> None:
    till = caller("read-profiles", "read-identities", "read-rewards")

    for path, query in (
        (f"/profiles/{ada['id']}", {}),
        ("/profiles", {}),
        ("/identities/search", {"handle": "loyalty-card", "identifier": "1804974"}),
    ):
        assert till.get(path, {**query, "include": "rewards"}).status_code == 200
        refusal = till.get(path, {**query, "include": "rewards,transactions"})
        assert (refusal.status_code, "read-transactions" in refusal.json()["message"]) == (403, True)
    found = till.post("/profiles/search-id?include=points", {"type": "loyalty-card", "id": "1804974"})
    assert found.status_code == 403
    assert till.get(f"/profiles/{ada['id']}/transactions").status_code == 403


@pytest.mark.parametrize("kind", ["transactions", "interactions", "rewards"])
def test_a_profiles_records_are_a_paged_list_the_newest_first(api, ada, bo, kind, by) -> None:
    model = KINDS[kind]
    time = {"transactions": "transacted_at", "interactions": "interacted_at", "rewards": "issued_at"}[kind]
    ids = []
    for day in range(3):
        at: dict[str, Any] = {time: NOON + datetime.timedelta(days=day)}
        ids.append(came(model, "loyalty-card:1804974", by=by, **at).pk)
    came(model, "loyalty-card:77", by=by)

    answer = api.get(f"/profiles/{ada['id']}/{kind}", {"page[size]": 2}).json()

    assert [one["id"] for one in answer["data"]] == ids[:0:-1]
    assert {one["profile_id"] for one in answer["data"]} == {ada["id"]}
    assert (answer["meta"]["total"], answer["meta"]["per_page"]) == (3, 2)
    since = {f"filter[{time}][gte]": "2026-11-26", "sort": "id"}
    assert [one["id"] for one in api.data(f"/profiles/{ada['id']}/{kind}", since)] == ids[1:]
    (listed,) = api.data(f"/profiles/{bo['id']}/{kind}")
    assert listed == api.data(f"/{kind}/{listed['id']}")


@pytest.mark.parametrize("kind", ["transactions", "interactions", "rewards"])
def test_a_deleted_profiles_records_are_listed_by_its_id_alone(api, ada, kind, by, nobody) -> None:
    model = KINDS[kind]
    came(model, "loyalty-card:1804974", by=by)
    api.delete(f"/profiles/{ada['id']}")

    assert len(api.data(f"/profiles/{ada['id']}/{kind}")) == 1
    assert api.data(f"/{kind}") == []
    not_found(api.get(f"/profiles/{nobody}/{kind}"))


def test_a_merged_profile_found_by_its_own_id_is_its_survivor(api, merged, bo) -> None:
    response = api.post("/profiles/search-id", {"type": "profile_id", "id": merged["id"]})

    assert (response.json()["data"]["id"], response.json()["data"]["merged_from"]) == (bo["id"], merged["id"])
    assert response["Content-Location"].endswith(f"/api/v3/profiles/{bo['id']}")
    assert api.data(f"/profiles/{merged['id']}/balances")["merged_from"] == merged["id"]


def test_whoever_finds_profiles_by_any_identifier_may_have_their_records_along(api, ada, by) -> None:
    came(Transaction, "loyalty-card:1804974", by=by)

    for path in ("/identities/search-profile/1804974?", "/identities/search-profile?identifier=1804974&"):
        (found,) = api.data(f"{path}include=transactions")
        assert len(found["transactions"]) == 1


# Chains


@pytest.fixture
def chain(api: Caller, merged: dict[str, Any], bo: dict[str, Any]) -> dict[str, Any]:
    """The survivor of Bo, who is the survivor of Ada."""
    cy = api.profile(first_name="Cy", identities=[{"handle": "pos", "identifier": "cy"}])
    body = {"source_profile_id": bo["id"], "destination_profile_id": cy["id"]}
    assert api.post("/profiles/merge", body).status_code == 200
    return cy


@pytest.mark.parametrize(
    "path", ["", "/identities", "/balances", "/attributes/custom", "/identities/loyalty-card", "/transactions"]
)
def test_after_a_chain_of_merges_any_id_is_one_hop_from_the_survivor(api, chain, merged, bo, path) -> None:
    for pk in (merged["id"], bo["id"]):
        response = api.get(f"/profiles/{pk}{path}")

        assert response.status_code == 200
        assert response["Content-Location"] == f"http://testserver/api/v3/profiles/{chain['id']}{path}"
        assert "Content-Location" not in api.get(f"/profiles/{chain['id']}{path}")


def test_after_a_chain_of_merges_records_and_identities_are_found_by_any_id(api, chain, merged, bo, by) -> None:
    sale = came(Transaction, named=uuid.UUID(merged["id"]), by=by)

    for pk in (merged["id"], bo["id"], chain["id"]):
        assert [one["id"] for one in api.data("/transactions", {"filter[profile_id]": pk})] == [sale.pk]
        listed = api.data("/identities", {"filter[profile_id]": pk})
        assert [one["identifier"] for one in listed] == ["1804974", "77", "cy"]
        assert {one["profile_id"] for one in listed} == {chain["id"]}
        assert api.data(f"/profiles/{pk}/why", {"record": f"transaction:{sale.pk}"})["profile_id"] == chain["id"]
    assert [one["merged_from"] for one in listed] == [merged["id"], bo["id"], None]
    assert api.data("/identities", {"filter[profile_id]": str(uuid.uuid4())}) == []


def test_why_lists_the_merges_that_a_record_passed_through(api, ada, bo, by) -> None:
    sale = came(Transaction, "loyalty-card:1804974", by=by)
    body = {"source_profile_id": ada["id"], "destination_profile_id": bo["id"], "reason": "One person."}
    (merge,) = api.post("/profiles/merge", body).json()["merges"]

    why = api.data(f"/profiles/{ada['id']}/why", {"record": f"transaction:{sale.pk}"})

    (told,) = why["merges"]
    assert told == {
        "id": merge,
        "survivor_id": bo["id"],
        "duplicate_id": ada["id"],
        "cause": "asked",
        "reason": "One person.",
        "by": "operator",
        "at": told["at"],
        "undone_at": None,
        "since": False,
    }
    assert why["sentences"][-1] == f"operator merged {ada['id']}, which had it, into {bo['id']}: One person."
