"""What somebody does with their own profile by a customer token (API.md 6)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection

from identities import attributing, releasing
from identities.models import IdempotencyRecord
from profiles.models import Audit, CustomAttribute, Interaction, Move, Profile, Transaction
from profiles.refusing import Refused
from tests.api.conftest import CARD, OWN, Caller, not_found, points, refused, reward, rows, sale, visit

pytestmark = pytest.mark.django_db

ME = f"{OWN}/me"


@pytest.fixture
def me(api, ada) -> Caller:
    """Ada, with a token of her card."""
    customer: Caller = api.as_customer("1804974", CARD)
    return customer


def own(record: dict[str, Any]) -> dict[str, Any]:
    """A record of `/api/v3` as its owner is shown it."""
    beside = {"identities", "brought_by", "addressed", "log_entry_id", "source", "routing"}
    return {name: value for name, value in record.items() if name not in beside}


# The profile


def test_the_profile_is_the_whole_of_it_but_for_who_wrote_its_identities(api, ada, me) -> None:
    api.put(f"/profiles/{ada['id']}", {"custom_attributes": {"loyalty": {"tier": "gold"}}, "tags": ["vip"]})
    api.record("points", points(f"{CARD}:1804974"))
    shown = api.data(f"/profiles/{ada['id']}")
    for identity in shown["identities"]:
        del identity["source"]

    assert me.me() == shown
    assert shown["point_balance"] == 100


def test_the_primary_identity_is_the_external_id_unless_its_handle_is_reserved(api, shopify, ada, me) -> None:
    api.put(f"/profiles/{ada['id']}/identities/{CARD}", {"is_primary": True})
    assert me.me()["external_id"] == "1804974"

    shopify.identity(ada, "shopify", "6432187489345", is_primary=True)
    assert api.data(f"/profiles/{ada['id']}")["external_id"] == "6432187489345"
    assert me.me()["external_id"] is None


def test_the_owner_changes_the_fields_that_are_theirs(api, ada, me) -> None:
    body = {
        "first_name": "Augusta",
        "birth_date": "1815-12-10",
        "attributes": {"comms": {"email_promo": False}},
        "custom_attributes": {"shoes": {"size": 39}},
        "tags": ["vip"],
        "joined_at": "2001-01-01 00:00:00",
        "profile_type": "system",
        "identities": [{"handle": "pos", "identifier": "9"}],
        "id": str(uuid.UUID(int=7)),
        "reward_balance": 1_000,
    }

    answer = me.put(ME, body)

    assert answer.status_code == 200
    changed = api.data(f"/profiles/{ada['id']}")
    assert answer.json()["data"] == me.me()
    assert (changed["first_name"], changed["birth_date"]) == ("Augusta", "1815-12-10")
    assert changed["attributes"]["comms"] == {"email_promo": False}
    assert changed["custom_attributes"] == {"shoes": {"size": 39}}
    for name in ("tags", "joined_at", "profile_type", "identities", "id", "reward_balance"):
        assert changed[name] == ada[name], name


def test_the_whole_profile_may_come_back_and_says_nothing(api, ada, me) -> None:
    whole = me.me()

    assert me.put(ME, whole).json()["data"] | {"updated_at": whole["updated_at"]} == whole
    assert api.data(f"/profiles/{ada['id']}") | {"updated_at": ada["updated_at"]} == ada


def test_a_birth_date_that_no_calendar_has_is_refused(me, unchanged) -> None:
    with unchanged():
        refused(me.put(ME, {"birth_month": 2, "birth_day": 30}), "invalid", "birth_day")


@pytest.mark.parametrize("profile_type", ["temporary", "dependant", "incomplete", "pending", "active"])
def test_the_owner_may_give_their_profile_another_type(me, profile_type) -> None:
    answer = me.put(f"{ME}/update-type", {"profile_type": profile_type})

    assert (answer.status_code, list(answer.json())) == (200, ["data"])
    assert answer.json()["data"]["profile_type"] == profile_type == me.me()["profile_type"]


@pytest.mark.parametrize("profile_type", ["system", "deleted", "nonsense", None])
def test_no_owner_makes_their_profile_the_systems_or_deletes_it(me, unchanged, profile_type) -> None:
    with unchanged():
        refused(me.put(f"{ME}/update-type", {"profile_type": profile_type}), "invalid", "profile_type")


def test_a_profile_that_is_deleted_meanwhile_is_not_brought_back_by_its_owner(api, ada, by, unchanged) -> None:
    api.delete(f"/profiles/{ada['id']}")

    with unchanged(), pytest.raises(Refused) as refusal:
        releasing.change_type(uuid.UUID(ada["id"]), "active", undelete=False, by=by, source=None)

    assert refusal.value.code == "profile_deleted"


def test_balances_are_those_of_the_profile(api, ada, me) -> None:
    api.record("points", points(f"{CARD}:1804974"))
    api.record("rewards", reward(f"{CARD}:1804974"))

    assert me.me("/balances") == api.data(f"/profiles/{ada['id']}/balances")
    assert me.me("/balances")["combined_balance_dollars"] == 21


# Attributes


def test_the_owner_makes_reads_changes_and_deletes_an_attribute(api, ada, me) -> None:
    path = f"{ME}/attributes/custom/shoes:size"
    not_found(me.get(path))

    made = me.put(path, {"value": 39})
    assert (made.status_code, made.json()["data"]["value"]) == (200, 39)
    assert made.json()["data"] == me.data(path) == api.data(f"/profiles/{ada['id']}/attributes/custom/shoes:size")
    assert me.put(path, {"value": "40", "type": "string"}).json()["data"]["value"] == "40"
    assert me.me("/attributes/custom") == [me.data(path)]

    assert me.delete(path).status_code == 204
    not_found(me.get(path))
    not_found(me.delete(path))
    not_found(me.get(f"{ME}/attributes/custom/shoes"))


def test_the_owner_makes_no_more_attributes_than_a_bounded_number(api, ada, me) -> None:
    most = attributing.BY_CUSTOMERS.attributes
    many = {f"n{number}": number for number in range(most)}
    assert me.put(ME, {"custom_attributes": {"all": many}}).status_code == 200
    path = f"{ME}/attributes/custom/one:more"

    for response in (me.put(path, {"value": 1}), me.put(ME, {"custom_attributes": {"one": {"more": 1}}})):
        refused(response, "too_many_attributes", "custom_attributes")
    visitor = Caller(api.issue())
    visitor.visitor = visitor.plain
    body = {"custom_attributes": {"all": {**many, "more": 1}}}
    refused(visitor.post(OWN, body), "too_many_attributes", "custom_attributes")

    assert CustomAttribute.objects.count() == most
    # What is there may change, and come back whole; servers know what they do.
    assert me.put(ME, {"custom_attributes": {"all": {**many, "n0": "0"}}}).status_code == 200
    assert me.put(f"{ME}/attributes/custom/all:n1", {"value": 7}).status_code == 200
    assert api.put(f"/profiles/{ada['id']}/attributes/custom/one:more", {"value": 1}).status_code == 200
    assert me.put(path, {"value": 2}).status_code == 200


def test_what_the_owners_attributes_say_is_bounded_too(api, ada, me) -> None:
    big = {"value": "x" * 9_000}
    for number in range(7):
        assert me.put(f"{ME}/attributes/custom/all:n{number}", big).status_code == 200
    assert me.put(f"{ME}/attributes/custom/all:small", {"value": 1}).status_code == 200

    for name in ("one-more", "small"):
        refused(me.put(f"{ME}/attributes/custom/all:{name}", big), "too_many_attributes", "custom_attributes")

    assert me.data(f"{ME}/attributes/custom/all:small")["value"] == 1
    assert api.put(f"/profiles/{ada['id']}/attributes/custom/all:one-more", big).status_code == 200
    # What comes back as it is, or shorter, is no more than there is.
    assert me.put(ME, {"custom_attributes": {"all": {"n0": big["value"], "n1": "x" * 8_999}}}).status_code == 200


def test_nobodys_attributes_are_read_but_ones_own(api, bo, me) -> None:
    api.put(f"/profiles/{bo['id']}/attributes/custom/shoes:size", {"value": 44})

    assert me.me("/attributes/custom") == []
    not_found(me.get(f"{ME}/attributes/custom/shoes:size"))
    not_found(me.delete(f"{ME}/attributes/custom/shoes:size"))
    assert CustomAttribute.objects.get().value == 44


# Records


@pytest.fixture
def sales(api, ada, bo) -> list[dict[str, Any]]:
    """Three of Ada's, the oldest first, beside one of Bo's."""
    mine = [
        own(
            api.record(
                "transactions",
                sale(f"{CARD}:1804974", external_id=f"T{day}", transacted_at=f"2026-11-0{day} 12:00:00"),
            )
        )
        for day in (1, 2, 3)
    ]
    api.record("transactions", sale(f"{CARD}:77", external_id="of Bo"))
    return mine


@pytest.mark.parametrize("path", ["/transactions", "/group_transactions"])
def test_transactions_are_paged_the_newest_first(me, sales, path) -> None:
    assert me.me(path) == sales[::-1]

    page = me.get(f"{ME}{path}?page[size]=2&page[number]=2").json()
    assert page["data"] == sales[:1]
    assert page["meta"]["total"] == 3
    assert page["links"]["first"].startswith(f"http://testserver{ME}{path}?")
    assert me.me(f"{path}?sort=transacted_at") == sales
    assert me.me(f"{path}?filter[transacted_at][gte]=2026-11-02 00:00:00") == sales[:0:-1]


def test_one_transaction_is_found_by_its_external_id(api, shopify, ada, me, sales) -> None:
    assert me.me("/find-transactions?filter[external_id]=T2") == sales[1]
    not_found(me.get(f"{ME}/find-transactions?filter[external_id]=T9"))
    not_found(me.get(f"{ME}/find-transactions?filter[external_id]=of Bo"))
    for query in ("", "?filter[external_id]="):
        refused(me.get(f"{ME}/find-transactions{query}"), "required", "filter[external_id]")
    refused(me.get(f"{ME}/find-transactions?filter[external_id]=T2&filter[id]=1"), "invalid", "filter[id]")

    newer = shopify.record("transactions", sale(f"{CARD}:1804974", external_id="T2"))
    assert me.me("/find-transactions?filter[external_id]=T2") == own(newer)


def test_a_sale_without_an_external_id_is_not_found_by_an_empty_one(api, ada, me) -> None:
    api.record("transactions", sale(f"{CARD}:1804974"))

    refused(me.get(f"{ME}/find-transactions?filter[external_id]="), "required", "filter[external_id]")


def test_interactions_are_those_of_the_profile(api, bo, me) -> None:
    mine = [own(api.record("interactions", visit(f"{CARD}:1804974"))) for _one in range(2)]
    api.record("interactions", visit(f"{CARD}:77"))

    assert me.me("/interactions") == mine[::-1]


def test_an_interaction_goes_to_its_owner_whomever_it_names(api, ada, bo, me) -> None:
    body = visit(f"{CARD}:77", "pos:new", profile_id=bo["id"], identifier="77", profile_id_handle="email")

    answer = me.post(f"{ME}/interactions", body)

    assert (answer.status_code, list(answer.json())) == (201, ["data"])
    record = Interaction.objects.get()
    assert (str(record.profile_id), str(record.addressed), record.pairs) == (ada["id"], ada["id"], [])
    assert answer.json()["data"] == own(api.data(f"/interactions/{record.pk}"))
    assert api.data(f"/profiles/{bo['id']}") == bo
    assert api.data("/identities", {"filter[handle]": "pos"}) == []
    assert api.data("/routing-log") == []


def test_an_interaction_needs_what_any_needs(me, unchanged) -> None:
    with unchanged():
        for name in ("action", "channel", "signal", "name", "namespace"):
            body = visit()
            del body[name]
            refused(me.post(f"{ME}/interactions", body), "required", name)


def test_after_a_merge_what_came_with_it_is_ones_own(api, ada, bo, me) -> None:
    theirs = api.record("transactions", sale(f"{CARD}:77"))
    merge = {"source_profile_id": ada["id"], "destination_profile_id": bo["id"]}
    api.post("/profiles/merge", merge)

    assert [one["id"] for one in me.me("/transactions")] == [theirs["id"]]
    assert me.put(ME, {"company": "Engines"}).json()["data"]["id"] == bo["id"]


def test_a_list_of_ones_own_costs_the_same_for_one_row_and_for_fifty(
    api, ada, operator, me, django_assert_num_queries
) -> None:
    for count in (1, 50):
        rows(api, ada, operator, count)
        # The token, and the count and the page of the records with their documents.
        for path, queries in (
            ("", 1),
            ("/balances", 2),
            ("/identities", 2),
            ("/attributes/custom", 2),
            ("/transactions?page[size]=100", 4),
            ("/group_transactions?page[size]=100", 4),
            ("/interactions?page[size]=100", 4),
            (f"/identities/{CARD}", 2),
        ):
            with django_assert_num_queries(queries):
                me.me(path)


def test_a_list_of_ones_own_brings_nothing_along_that_it_does_not_know(me) -> None:
    for path in ("", "/balances", "/identities", "/transactions", "/interactions"):
        refused(me.get(f"{ME}{path}?include=profile"), "invalid", "include")
        refused(me.get(f"{ME}{path}?filter[profile_id]=1"), "invalid", "filter[profile_id]")


@pytest.mark.parametrize(
    ("path", "is_left"), [("/transactions", []), ("/find-transactions?filter[external_id]=S1", None)]
)
def test_a_record_that_leaves_while_it_is_read_is_shown_no_more(api, bo, me, path, is_left) -> None:
    sold = api.record("transactions", sale(f"{CARD}:1804974", external_id="S1"))
    moves: list[Any] = []

    def leave(execute: Any, sql: str, *rest: Any) -> Any:
        if "record.id = page.id" in sql and not moves:
            moves.append(sold)
            moves.append(api.post(f"/transactions/{sold['id']}/move", {"profile_id": bo["id"]}))
        return execute(sql, *rest)

    with connection.execute_wrapper(leave):
        response = me.get(f"{ME}{path}")

    assert moves[1].status_code == 200
    assert bo["id"] not in response.content.decode()
    assert response.json().get("data") == is_left


# Who did it


def test_what_a_customer_does_is_audited_with_their_token_and_its_issuer(caller, ada) -> None:
    klaviyo = caller(extension="klaviyo")
    customer = klaviyo.as_customer(ada["id"])

    customer.put(ME, {"first_name": "Augusta"})
    customer.put(f"{ME}/attributes/custom/shoes:size", {"value": 39})
    customer.post(f"{ME}/interactions", visit())

    audits = list(Audit.objects.filter(token_name__startswith="customer ").order_by("pk"))
    assert [one.auditable_type for one in audits] == ["profile", "custom_attribute", "interaction"]
    assert {one.by for one in audits} == {klaviyo.token.user}
    assert len({one.token_name for one in audits}) == 1
    assert audits[0].url == ME
    assert CustomAttribute.objects.get().source_id == Interaction.objects.get().source_id == "klaviyo"


# Idempotency


def test_customers_share_an_account_but_no_keys(api, ada, bo, me) -> None:
    other = api.as_customer("77", CARD)
    key = {"Idempotency-Key": "1"}

    mine, again, theirs = (one.call("POST", f"{ME}/interactions", visit(), **key) for one in (me, me, other))

    assert (mine.content, again.headers["Idempotent-Replay"]) == (again.content, "true")
    assert "Idempotent-Replay" not in theirs.headers
    assert theirs.json()["data"]["profile_id"] == bo["id"]
    assert Interaction.objects.count() == IdempotencyRecord.objects.count() == 2
    # Nor is one told that another has used a key, for whatever.
    assert other.call("PUT", ME, {"company": "x"}, **{"Idempotency-Key": "2"}).status_code == 200
    assert me.call("PUT", ME, {"company": "y"}, **{"Idempotency-Key": "2"}).status_code == 200


def test_another_token_of_the_same_profile_is_answered_the_same_again(api, ada, me) -> None:
    key = {"Idempotency-Key": "1"}
    first = me.call("POST", f"{ME}/interactions", visit(), **key)

    again = api.as_customer(ada["id"]).call("POST", f"{ME}/interactions", visit(), **key)

    assert (again.content, again.headers["Idempotent-Replay"]) == (first.content, "true")
    assert Interaction.objects.count() == 1


def test_an_identity_that_has_gone_to_another_profile_replays_nothing_of_the_former_one(api, ada, bo, me) -> None:
    key = {"Idempotency-Key": "1"}
    me.call("POST", f"{ME}/interactions", visit(), **key)
    card = ada["identities"][0]["id"]
    api.post(f"/identities/{card}/move", {"profile_id": bo["id"], "reason": "Because."})

    now = api.as_customer("1804974", CARD).call("POST", f"{ME}/interactions", visit(), **key)

    assert now.json()["data"]["profile_id"] == bo["id"]
    assert Move.objects.count() == 1


def test_a_key_of_the_server_is_not_a_customers(api, ada, me) -> None:
    key = {"Idempotency-Key": "1"}
    api.call("PUT", f"/profiles/{ada['id']}", {"company": "x"}, **key)

    assert me.call("PUT", ME, {"company": "y"}, **key).json()["data"]["company"] == "y"
    assert attributing.find([]).count() == Profile.objects.count()
    assert not Transaction.objects.exists()
