"""What customers do by their tokens while their profile is wrongly merged is theirs again when the merge is undone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from django.db import connection

from identities.models import Identity, IdentityClaim
from profiles.models import CustomAttribute, Interaction, Profile, ProfileQuerySet
from tests.api.conftest import CARD, OWN, Caller, sale
from tests.cast import assert_sound
from tests.racing import before_each

pytestmark = pytest.mark.django_db

VISIT = {"action": "visit", "channel": "website", "signal": 1, "name": "Seen", "namespace": "shop"}

# Of whom a token is issued, by what Ada is known by.
TOKENS: dict[str, Callable[[Any], tuple[str, ...]]] = {
    "id": lambda ada: (ada["id"],),
    "identity": lambda ada: ("1804974", CARD),
}
every_token = pytest.mark.parametrize("of", TOKENS.values(), ids=list(TOKENS))
when_issued = pytest.mark.parametrize("is_issued_before", [True, False], ids=["before", "while merged"])


@pytest.fixture
def cy(api: Caller) -> dict[str, Any]:
    return api.profile(first_name="Cy")


def merged(api: Caller, duplicate: Any, survivor: Any) -> int:
    body = {"source_profile_id": duplicate["id"], "destination_profile_id": survivor["id"]}
    return int(api.post("/profiles/merge", body).json()["merges"][0])


def undone(api: Caller, merge: int) -> None:
    response = api.post(f"/merges/{merge}/undo", {})
    assert response.status_code == 200, response.content


def record(me: Caller) -> Any:
    return me.post(f"{OWN}/me/interactions", VISIT)


def put_attribute(me: Caller) -> Any:
    return me.put(f"{OWN}/me/attributes/custom/shoes:size", {"value": 39})


def claim(me: Caller) -> Any:
    return me.post(f"{OWN}/me/identities", {"handle": "instagram", "identifier": "ada.l"})


def claim_again(me: Caller) -> Any:
    return me.post(f"{OWN}/me/identities", {"handle": "instagram", "identifier": "ada.king"})


def claim_contact(me: Caller) -> Any:
    return me.put(f"{OWN}/me", {"email": "countess@example.com"})


def put_attributes(me: Caller) -> Any:
    return me.put(f"{OWN}/me", {"custom_attributes": {"hats": {"size": 57}}})


WRITES = (record, put_attribute, claim, claim_contact, put_attributes)


def whose() -> set[Any]:
    """The profiles on which any of what was written stands."""
    kinds: tuple[Any, ...] = (Interaction, CustomAttribute, IdentityClaim)
    return {str(pk) for kind in kinds for pk in kind.objects.values_list("profile", flat=True)}


@every_token
@when_issued
def test_all_of_it_goes_home_and_nothing_stays_with_the_other(api, ada, bo, of, is_issued_before) -> None:
    me = api.as_customer(*of(ada)) if is_issued_before else None
    merge = merged(api, ada, bo)
    me = me or api.as_customer(*of(ada))
    for write in WRITES:
        assert write(me).status_code in (200, 201)
    assert whose() == {bo["id"]}

    undone(api, merge)

    assert whose() == {ada["id"]}
    other = api.as_customer(bo["id"])
    told = me.me()
    assert (told["id"], told["email"]) == (ada["id"], "countess@example.com")
    assert {one["identifier"] for one in told["identities"]} == {"1804974", "ada.l"}
    assert [one["name"] for one in me.me("/interactions")] == ["Seen"]
    assert told["custom_attributes"] == {"shoes": {"size": 39}, "hats": {"size": 57}}
    assert (other.me()["id"], other.me()["email"]) == (bo["id"], bo["email"])
    assert [one["identifier"] for one in other.me("/identities")] == ["77"]
    assert other.me("/interactions") == other.me("/attributes/custom") == []
    assert_sound()


@every_token
def test_nobody_is_answered_again_what_the_other_was_while_they_were_one(api, ada, bo, of) -> None:
    me, other = api.as_customer(*of(ada)), api.as_customer("77", CARD)
    merge = merged(api, ada, bo)
    first, again = (put_with_a_key(me) for _time in range(2))
    assert "1804974" in first.content.decode()
    assert (again.content, again.headers["Idempotent-Replay"]) == (first.content, "true")

    undone(api, merge)

    for customer, profile in ((me, ada), (other, bo)):
        now = put_with_a_key(customer)
        assert "Idempotent-Replay" not in now.headers
        assert now.json()["data"] == customer.me()
        assert now.json()["data"]["id"] == profile["id"]


def put_with_a_key(customer: Caller) -> Any:
    return customer.call("PUT", f"{OWN}/me", {"title": "Dr"}, **{"Idempotency-Key": "1"})


@every_token
@when_issued
def test_what_the_survivors_own_customer_does_stays(api, ada, bo, of, is_issued_before) -> None:
    me = api.as_customer(*of(ada)) if is_issued_before else None
    merge = merged(api, bo, ada)
    me = me or api.as_customer(*of(ada))
    for write in WRITES:
        assert write(me).status_code in (200, 201)

    undone(api, merge)

    assert whose() == {ada["id"]}
    assert_sound()


@every_token
def test_of_a_chain_of_merges_each_undo_takes_it_along(api, ada, bo, cy, of) -> None:
    inner, outer = merged(api, ada, bo), merged(api, bo, cy)
    me = api.as_customer(*of(ada))
    for write in WRITES:
        assert write(me).status_code in (200, 201)

    undone(api, outer)
    assert whose() == {bo["id"]}
    undone(api, inner)

    assert whose() == {ada["id"]}
    assert_sound()


def test_what_is_written_by_an_identity_leaves_with_it_when_it_is_split_off(api, ada) -> None:
    api.identity(ada, "pos", "9")
    me = api.as_customer("1804974", CARD)
    for write in (record, put_attribute, put_attributes):
        assert write(me).status_code in (200, 201)
    (card,) = (one["id"] for one in ada["identities"])

    for kind in (Interaction, CustomAttribute):
        assert set(kind.objects.values_list("brought_by_key", "brought_by_identifier")) == {(card, "1804974")}
    api.post(f"/profiles/{ada['id']}/split", {"identity_ids": [card]})

    left_for = str(Identity.objects.get(pk=card).profile_id)
    assert left_for != ada["id"]
    assert whose() == {left_for}


def test_a_token_by_a_merged_id_is_of_that_profile_again(api, ada, bo) -> None:
    merge = merged(api, ada, bo)
    me = api.as_customer(ada["id"])
    assert me.me()["id"] == bo["id"]

    undone(api, merge)

    assert me.me()["id"] == ada["id"]


@pytest.mark.parametrize("came_by", ["the merged id", "an identity", "one that an identity brought"])
def test_what_comes_by_an_identity_that_came_since_goes_home_with_it(api, ada, bo, came_by) -> None:
    merge = merged(api, ada, bo)
    api.identity(ada, "pos", "9")
    if came_by != "the merged id":
        api.post("/profiles", {"identities": [_pair("pos", "9"), _pair("pos", "10")]})
    if came_by == "one that an identity brought":
        api.post("/profiles", {"identities": [_pair("pos", "10"), _pair("pos", "11")]})
    last = Identity.objects.filter(handle="pos").latest("pk")
    me = api.as_customer(last.identifier, "pos")
    for write in WRITES:
        assert write(me).status_code in (200, 201)

    undone(api, merge)

    last.refresh_from_db()
    assert str(last.profile_id) == ada["id"]
    assert whose() == {ada["id"]}


@pytest.mark.parametrize("is_inner_first", [True, False])
def test_by_an_identity_that_came_by_a_merged_id_it_goes_home_through_the_merges_above(
    api, ada, bo, cy, is_inner_first
) -> None:
    inner = merged(api, ada, bo)
    api.identity(ada, "pos", "9")
    outer = merged(api, bo, cy)
    me = api.as_customer("9", "pos")
    for write in WRITES:
        assert write(me).status_code in (200, 201)
    assert whose() == {cy["id"]}

    for merge in (inner, outer) if is_inner_first else (outer, inner):
        undone(api, merge)

    assert whose() == {ada["id"]}
    assert (me.me()["id"], me.me()["email"]) == (ada["id"], "countess@example.com")
    assert api.data(f"/profiles/{ada['id']}/identities/pos")["merged_from"] is None
    again = merged(api, ada, cy)
    assert claim_again(me).status_code == 201
    assert api.data(f"/profiles/{cy['id']}/identities/pos")["merged_from"] == ada["id"]
    undone(api, again)
    assert whose() == {ada["id"]}
    assert_sound()


def test_by_an_identity_whose_bringer_a_person_has_given_away_since_it_goes_home_to_its_own(api, ada, bo, cy) -> None:
    pairs = [{"handle": CARD, "identifier": "1804974"}, {"handle": "pos", "identifier": "9"}]
    api.record("transactions", {**sale(), "identities": pairs})
    bringer = api.data(f"/profiles/{ada['id']}/identities/{CARD}")
    assert (
        api.post(f"/identities/{bringer['id']}/move", {"profile_id": bo["id"], "reason": "Bo has it."}).status_code
        == 200
    )
    dee = api.profile(first_name="Dee")
    merges = [merged(api, ada, cy), merged(api, bo, dee), merged(api, dee, cy)]
    me = api.as_customer("9", "pos")
    assert (claim(me).status_code, claim_contact(me).status_code) == (201, 200)
    assert whose() == {cy["id"]}

    for merge in reversed(merges):
        undone(api, merge)

    assert whose() == {ada["id"]}
    assert_sound()


def test_by_an_identity_that_a_person_has_given_to_the_survivor_it_stays_there(api, ada, bo, cy) -> None:
    merge = merged(api, ada, bo)
    (card,) = (one["id"] for one in ada["identities"])
    for to in (cy, bo):
        api.post(f"/identities/{card}/move", {"profile_id": to["id"], "reason": "It is theirs."})
    api.post(f"/identities/{card}/move", {"profile_id": cy["id"], "reason": "Or not."})
    last = merged(api, cy, bo)
    me = api.as_customer("1804974", CARD)
    for write in WRITES:
        assert write(me).status_code in (200, 201)

    undone(api, merge)
    assert whose() == {bo["id"]}
    undone(api, last)

    assert whose() == {str(Identity.objects.get(pk=card).profile_id)}


def test_what_the_other_had_claimed_and_was_said_anew_is_of_who_said_it(api, ada, bo) -> None:
    other = api.as_customer(bo["id"])
    assert other.put(f"{OWN}/me", {"email": "robert@example.com"}).status_code == 200
    told = other.post(f"{OWN}/me/identities", {"handle": "instagram", "identifier": "bo"}).json()["data"]
    me, merge = api.as_customer(ada["id"]), merged(api, ada, bo)
    assert claim_contact(me).status_code == 200
    assert me.put(f"{OWN}/me/identities/id/{told['id']}", {"identifier": "ada.l"}).status_code == 200

    undone(api, merge)

    assert whose() == {ada["id"]}
    assert other.me()["email"] == bo["email"]


def update_type(me: Caller) -> Any:
    return me.put(f"{OWN}/me/update-type", {"profile_type": "pending"})


def put_field(me: Caller) -> Any:
    return me.put(f"{OWN}/me", {"first_name": "Augusta"})


@pytest.mark.django_db(transaction=True)
@pytest.mark.xdist_group("own goes home")
@every_token
@pytest.mark.parametrize("write", [*WRITES, put_field, update_type], ids=lambda write: write.__name__)
def test_a_write_is_with_its_own_when_the_merge_is_undone_before_it(api, ada, bo, of, write) -> None:
    merge = merged(api, ada, bo)
    me = api.as_customer(*of(ada))
    before = Profile.objects.filter(pk=bo["id"]).values("first_name", "profile_type").get()

    with undone_meanwhile(api, merge):
        assert write(me).status_code in (200, 201)

    assert whose() <= {ada["id"]}
    if write in WRITES:
        assert whose()
    assert Profile.objects.filter(pk=bo["id"]).values("first_name", "profile_type").get() == before
    if write in (put_field, update_type):
        assert Profile.objects.filter(pk=ada["id"], first_name="Augusta").exists() == (write is put_field)
        assert Profile.objects.filter(pk=ada["id"], profile_type="pending").exists() == (write is update_type)
    assert_sound()


def undone_meanwhile(api: Caller, merge: int) -> AbstractContextManager[None]:
    """Let the merge be undone when the token has been looked at, and nothing is locked yet."""
    done: list[bool] = []

    def once() -> None:
        if not done:
            done.append(True)
            undone(api, merge)

    return before_each(ProfileQuerySet, "lock", once)


def _pair(handle: str, identifier: str) -> dict[str, str]:
    return {"handle": handle, "identifier": identifier}


@pytest.mark.parametrize("identifier", ["first", "second"])
def test_two_identities_that_have_brought_each_other_open_what_is_theirs(api, ada, bo, identifier) -> None:
    """The second came by the first, left with a person's word, and brought the first when its profile was deleted."""
    former = api.profile(identities=[{"handle": "pos", "identifier": "first"}])
    api.record("transactions", sale("pos:first", "pos:second"))
    second = Identity.objects.get(identifier="second")
    api.post(f"/identities/{second.pk}/move", {"profile_id": ada["id"], "reason": "It is hers."})
    api.delete(f"/profiles/{former['id']}")
    api.record("transactions", sale("pos:second", "pos:first"))
    first = Identity.objects.get(identifier="first")
    assert (first.brought_by_key, Identity.objects.get(pk=second.pk).brought_by_key) == (second.pk, first.pk)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '5s'")

    me = api.as_customer(identifier, "pos")

    assert me.get(f"{OWN}/me/balances").status_code == 200
    merge = merged(api, ada, bo)
    assert record(me).json()["data"]["profile_id"] == bo["id"]
    undone(api, merge)
    assert me.me()["id"] == ada["id"]
