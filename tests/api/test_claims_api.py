"""What a customer says of themselves under /id, and what the API for servers makes of it (API.md 6)."""

from __future__ import annotations

from typing import Any

import pytest

from identities.models import FIRST_CLAIM, Handle, Identity, IdentityClaim, RoutingLogEntry
from profiles.models import Audit, DuplicatePair, Profile
from tests.api.conftest import CARD, OWN, Caller, conflict, not_found, refused

pytestmark = pytest.mark.django_db

MINE = f"{OWN}/me/identities"


@pytest.fixture
def me(api, ada) -> Caller:
    """Ada, with a token of her own."""
    customer: Caller = api.as_customer(ada["id"])
    return customer


@pytest.fixture
def anonymous(api) -> Caller:
    visitor: Caller = api.as_customer()
    return visitor


def claimed(me: Caller, identifier: str = "77", handle: str = CARD) -> dict[str, Any]:
    response = me.post(MINE, {"handle": handle, "identifier": identifier})
    assert response.status_code == 201, response.content
    data: dict[str, Any] = response.json()["data"]
    return data


# Identities


def test_an_identity_that_a_customer_adds_is_only_claimed(api, ada, me) -> None:
    told = claimed(me, " 77 ")

    assert told["id"] >= FIRST_CLAIM
    assert {name: told[name] for name in ("handle", "identifier", "is_primary", "is_active", "profile_id")} == {
        "handle": CARD, "identifier": "77", "is_primary": False, "is_active": True, "profile_id": ada["id"],
    }  # fmt: skip
    assert (told["is_claimed"], told["merged_from"], "source" in told) == (True, None, False)
    assert Identity.objects.filter(identifier="77").count() == 0


def test_its_owner_sees_it_among_their_identities(api, ada, me) -> None:
    told = claimed(me)

    assert me.me("/identities") == [*me.me("/identities")[:-1], told]
    assert me.me(f"/identities/{CARD}") == told
    assert me.me(f"/identities/id/{told['id']}") == told
    assert me.me()["identities"][-1] == told
    assert [one["identifier"] for one in me.me()["identities"]] == ["1804974", "77"]


def test_servers_do_not_see_it_among_the_identities_of_anybody(api, ada, me) -> None:
    told = claimed(me)

    assert "77" not in [one["identifier"] for one in api.data(f"/profiles/{ada['id']}/identities")]
    assert api.get(f"/profiles/{ada['id']}/identities/id/{told['id']}").status_code == 404
    assert [one["identifier"] for one in api.data("/identities", {"filter[profile_id]": ada["id"]})] == ["1804974"]
    assert api.get(f"/identities/search?handle={CARD}&identifier=77").status_code == 404
    assert api.data("/identities/search-profile/77") == []
    assert api.post("/profiles/search-id", {"type": CARD, "id": "77"}).status_code == 404
    assert api.post("/identities/resolve", {"identities": [{"handle": CARD, "identifier": "77"}]}).json()["data"] == [
        {"handle": CARD, "identifier": "77", "profile_id": None}
    ]
    assert api.data("/profiles", {"filter[identity]": f"{CARD}:77"}) == []
    assert api.data("/profiles", {"search": "77"}) == []
    assert "claimed" not in api.data(f"/profiles/{ada['id']}")


def test_nothing_is_issued_by_a_claim(api, me) -> None:
    claimed(me)

    not_found(api.post("/id/api/v1/auth/token", {"id": "77", "id_handle": CARD}))


def test_its_owner_changes_it_and_takes_it_back(me) -> None:
    told = claimed(me)

    assert me.put(f"{MINE}/{CARD}", {"identifier": "78"}).json()["data"]["id"] == told["id"]
    assert me.put(f"{MINE}/id/{told['id']}", {"identifier": "79"}).json()["data"]["identifier"] == "79"
    # What only says of it that it is active, or primary, says nothing that is the customer's to say.
    answer = me.put(f"{MINE}/id/{told['id']}", {"is_primary": True, "is_active": False}).json()["data"]
    assert (answer["identifier"], answer["is_primary"], answer["is_active"]) == ("79", False, True)
    assert me.delete(f"{MINE}/{CARD}").status_code == 204
    assert IdentityClaim.objects.count() == 0

    told = claimed(me)
    assert me.delete(f"{MINE}/id/{told['id']}").status_code == 204
    not_found(me.delete(f"{MINE}/id/{told['id']}"))


def test_what_is_confirmed_a_customer_cannot_change_or_delete(ada, me) -> None:
    card = ada["identities"][0]["id"]

    for path in (f"{MINE}/{CARD}", f"{MINE}/id/{card}"):
        conflict(me.put(path, {"identifier": "78"}), "identity_confirmed")
        conflict(me.put(path, {"is_active": False}), "identity_confirmed")
        conflict(me.delete(path), "identity_confirmed")
        # A client that sends back what it has read is not told off.
        assert me.put(path, me.me("/identities")[0]).json()["data"]["id"] == card
    assert Identity.objects.get(pk=card).identifier == "1804974"


def test_what_is_there_is_answered_and_not_claimed_twice(me) -> None:
    told = claimed(me)

    again = me.post(MINE, {"handle": CARD, "identifier": "77"})
    known = me.post(MINE, {"handle": CARD, "identifier": "1804974"})

    assert (again.status_code, again.json()["data"]) == (200, told)
    assert (known.status_code, "is_claimed" in known.json()["data"]) == (200, False)
    refused(me.put(f"{MINE}/{CARD}", {"identifier": "1804974"}), "identity_exists", "identifier")


def test_an_answer_under_id_never_tells_of_another_profile(api, me) -> None:
    other = api.profile(first_name="Bo", identities=[{"handle": CARD, "identifier": "bo"}], email="bo@example.com")

    theirs, nobodys = (claimed(me, identifier) for identifier in ("bo", "ob"))
    unlike = {"id", "identifier", "created_at", "updated_at"}
    contact = me.put(f"{OWN}/me", {"email": "bo@example.com"})

    assert {name: theirs[name] for name in theirs.keys() - unlike} == {
        name: nobodys[name] for name in nobodys.keys() - unlike
    }
    assert contact.status_code == 200
    assert other["id"] not in contact.content.decode() + str(me.me("/identities"))
    assert "Bo" not in contact.content.decode()
    assert not RoutingLogEntry.objects.exists()


def test_a_reserved_handle_is_neither_claimed_nor_told_of(me, klaviyo) -> None:
    Handle.objects.filter(pk="klaviyo").update(reserved_for=klaviyo)

    answer = me.post(MINE, {"handle": "klaviyo", "identifier": "1"})

    refused(answer, "reserved_handle", "handle")
    assert "extension" not in answer.content.decode().lower()
    misspelt = me.post(MINE, {"handle": "Klaviyo", "identifier": "1"})
    refused(misspelt, "unknown_handle", "handle")
    assert "klaviyo" not in misspelt.content.decode()


def test_a_claim_whose_handle_was_reserved_since_is_not_there_for_its_owner(me, klaviyo) -> None:
    told = claimed(me)
    Handle.objects.filter(pk=CARD).update(reserved_for=klaviyo)

    assert me.me("/identities") == me.me()["identities"] == []
    for path in (f"{MINE}/id/{told['id']}", f"{MINE}/{CARD}"):
        not_found(me.get(path))
        not_found(me.put(path, {"identifier": "78"}))
        not_found(me.delete(path))
    assert IdentityClaim.objects.get().identifier == "77"


def test_a_claim_becomes_the_identity_and_its_owner_sees_it_once(api, ada, me) -> None:
    claimed(me)

    card = api.identity(ada, CARD, "77")

    assert card["id"] < FIRST_CLAIM
    assert [(one["id"], one["identifier"]) for one in me.me("/identities")][-1] == (card["id"], "77")
    assert len(me.me("/identities")) == 2
    assert "is_claimed" not in me.me(f"/identities/{CARD}")
    assert api.issue("77", CARD)


def test_a_claim_of_what_is_written_for_another_is_gone_and_they_are_told_nothing(api, ada, me) -> None:
    told = claimed(me)

    other = api.profile(first_name="Bo", identities=[{"handle": CARD, "identifier": "77"}])

    not_found(me.get(f"{MINE}/id/{told['id']}"))
    (entry,) = api.data("/routing-log", {"filter[outcome]": "claim_overridden"})
    assert (entry["requested_profile_id"], entry["routed_profile_id"]) == (ada["id"], other["id"])
    assert DuplicatePair.objects.count() == 1


def test_the_audit_names_the_token_of_the_customer(me) -> None:
    claimed(me)

    entry = Audit.objects.get(auditable_type="identity_claim")

    assert entry.token_name.startswith("customer ")


def test_a_write_with_a_key_is_done_once(me) -> None:
    body = {"handle": CARD, "identifier": "77"}

    first = me.call("POST", MINE, body, **{"Idempotency-Key": "one"})
    again = me.call("POST", MINE, body, **{"Idempotency-Key": "one"})

    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())


# Contact points


def test_id_shows_the_claimed_email_and_servers_the_confirmed_one(api, ada, me) -> None:
    answer = me.put(f"{OWN}/me", {"email": "New@Example.com", "mobile_phone": "0404 222 222"}).json()["data"]

    assert answer == me.me()
    assert (answer["email"], answer["mobile_phone"], answer["mobile_phone_e164"]) == (
        "New@Example.com", "+61404222222", "+61404222222",
    )  # fmt: skip
    assert (answer["mobile_phone_country"], answer["mobile_phone_national"]) == (61, "404222222")
    assert "claimed" not in answer
    seen = api.data(f"/profiles/{ada['id']}")
    assert (seen["email"], seen["mobile_phone"]) == (ada["email"], ada["mobile_phone"])
    assert seen["claimed"] == {"email": "New@Example.com", "mobile_phone": "+61404222222"}


def test_every_answer_of_servers_shows_it_as_claimed(api, ada, me) -> None:
    me.put(f"{OWN}/me", {"email": "new@example.com"})
    claim = {"email": "new@example.com"}

    assert api.data(f"/identities/search?handle={CARD}&identifier=1804974")["profile"]["claimed"] == claim
    assert api.post("/profiles/search-id", {"type": CARD, "id": "1804974"}).json()["data"]["claimed"] == claim
    assert [one["claimed"] for one in api.data("/identities/search-profile/1804974")] == [claim]
    assert [one["claimed"] for one in api.data("/profiles")] == [claim]
    listed = api.data("/identities", {"include": "profile", "filter[handle]": CARD})
    assert [one["profile"]["claimed"] for one in listed] == [claim]
    assert api.data(f"/profiles/{ada['id']}?include=transactions")["claimed"] == claim


def test_a_claimed_email_is_found_and_blocked_by_nobody(api, ada, me) -> None:
    me.put(f"{OWN}/me", {"email": "new@example.com"})

    assert api.data("/profiles", {"filter[email]": "new@example.com"}) == []
    assert api.data("/profiles", {"search": "new@example.com"}) == []
    free = api.post("/profiles/availability", {"email": "new@example.com"}).json()["data"]
    assert free == {"email": {"available": True, "profile": None}}
    assert api.post("/profiles", {"email": "new@example.com"}).status_code == 201
    assert "claimed" not in api.data(f"/profiles/{ada['id']}")


def test_a_whole_object_sent_back_confirms_nothing(api, ada, me) -> None:
    me.put(f"{OWN}/me", {"email": "new@example.com"})

    whole = api.data(f"/profiles/{ada['id']}")
    api.put(f"/profiles/{ada['id']}", {**whole, "first_name": "Augusta"})
    mine = me.me()
    me.put(f"{OWN}/me", {**mine, "last_name": "King"})

    seen = api.data(f"/profiles/{ada['id']}")
    assert (seen["first_name"], seen["last_name"], seen["email"]) == ("Augusta", "King", ada["email"])
    assert seen["claimed"] == {"email": "new@example.com"}


def test_a_write_of_that_field_with_that_value_confirms_it(api, ada, me) -> None:
    me.put(f"{OWN}/me", {"email": "new@example.com"})

    answer = api.put(f"/profiles/{ada['id']}", {"email": "new@example.com"}).json()["data"]

    assert (answer["email"], "claimed" in answer) == ("new@example.com", False)
    assert me.me()["email"] == "new@example.com"


def test_the_customer_takes_a_claimed_email_back(api, ada, me) -> None:
    me.put(f"{OWN}/me", {"email": "new@example.com"})

    assert me.put(f"{OWN}/me", {"email": ""}).json()["data"]["email"] == ada["email"]
    assert "claimed" not in api.data(f"/profiles/{ada['id']}")


def test_numbers_and_words_of_a_profile_stay_exact_beside_a_claim(api, ada, me) -> None:
    api.put(f"/profiles/{ada['id']}", {"custom_attributes": {"shop": {"big": 2**70, "text": "é\u2028"}}})
    before = me.me()

    claimed(me)

    after = me.me()
    assert {**after, "identities": before["identities"]} == before


# A profile of one's own


def test_an_anonymous_visitor_makes_a_profile_whose_contacts_and_identities_are_claims(api, ada, anonymous) -> None:
    body = {
        "first_name": "Ada",
        "email": ada["email"],
        "mobile_phone": ada["mobile_phone"],
        "tags": ["vip"],
        "profile_type": "system",
        "identities": [{"handle": CARD, "identifier": "1804974"}, {"handle": CARD, "identifier": "null"}],
    }

    answer = anonymous.post(OWN, body)

    assert answer.status_code == 201, answer.content
    told = answer.json()["data"]
    assert told["id"] != ada["id"]
    assert (told["first_name"], told["email"], told["mobile_phone"]) == ("Ada", ada["email"], ada["mobile_phone"])
    assert (told["tags"], told["profile_type"]) == ([], "active")
    assert [(one["identifier"], one["is_claimed"]) for one in told["identities"]] == [("1804974", True)]
    assert [(one["identifier"], one["code"]) for one in answer.json()["refused"]] == [("null", "blocked_identifier")]
    seen = api.data(f"/profiles/{told['id']}")
    assert (seen["email"], seen["mobile_phone"], seen["identities"]) == ("", None, [])
    assert seen["claimed"] == {"email": ada["email"], "mobile_phone": ada["mobile_phone"]}
    assert not RoutingLogEntry.objects.exists()
    assert not DuplicatePair.objects.exists()


def test_the_answer_never_tells_whether_an_email_or_card_exists(api, ada, anonymous) -> None:
    def answer(email: str, card: str) -> tuple[int, str]:
        response = anonymous.post(OWN, {"email": email, "identities": [{"handle": CARD, "identifier": card}]})
        data = response.json()["data"]
        for own in (data["id"], email, card, str(data["identities"][0]["id"])):
            assert own in response.content.decode()
        body = response.content.decode()
        for own, word in (
            (data["id"], "ID"),
            (email, "EMAIL"),
            (card, "CARD"),
            (str(data["identities"][0]["id"]), "KEY"),
        ):
            body = body.replace(own, word)
        for name in ("created_at", "updated_at", "joined_at"):
            body = body.replace(data[name], "TIME")
        return response.status_code, body.replace(data["identities"][0]["created_at"], "TIME")

    assert answer(ada["email"], "1804974") == answer("nobody@example.com", "1804975")


def test_who_has_a_profile_makes_no_other(me) -> None:
    count = Profile.objects.count()

    conflict(me.post(OWN, {"first_name": "Eve"}), "profile_exists")
    assert Profile.objects.count() == count


def test_an_anonymous_visitor_has_no_identities_to_write(anonymous) -> None:
    for method, path in (
        ("POST", MINE),
        ("PUT", f"{MINE}/{CARD}"),
        ("DELETE", f"{MINE}/{CARD}"),
        ("PUT", f"{OWN}/me"),
    ):
        not_found(anonymous.call(method, path, {"handle": CARD, "identifier": "77"}))
