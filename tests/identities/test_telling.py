"""Every entry of the log in one sentence: each outcome, each reason, and whatever may be missing by now."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from identities import adding, refusal_words, releasing, telling
from identities.handles import Sent
from identities.models import Extension, Handle, RoutingLogEntry
from identities.telling import Rows, about, sentence, tell
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add, known, merge, route, undo, update

ADA = Profile(first_name="Ada", last_name="Lovelace")
BO = Profile(first_name="Bo", last_name="Diddley")
CLEO = Profile(first_name="Cleo")
OTHER_ADA = Profile(first_name="Ada", last_name="Lovelace")
NAMELESS = Profile()
NAMELESS_TOO = Profile()
PROFILES = {profile.pk: profile for profile in (ADA, BO, CLEO, OTHER_ADA, NAMELESS, NAMELESS_TOO)}

KLAVIYO = Extension(slug="klaviyo", name="Klaviyo")
HANDLES = {
    "loyalty-card": Handle(name="loyalty-card", label="Loyalty card"),
    "pos2": Handle(name="pos2"),
    "shopify": Handle(
        name="shopify", label="Shopify customer", reserved_for=Extension(slug="shopify", name="Shopify")
    ),
    "apns": Handle(name="apns", label="Apple device", sensitive=True),
}

TAKEN = {"outcome": "identity_taken", "kind": "identity", "requested_profile_id": ADA.pk, "candidates": [BO.pk]}
REROUTED = {"outcome": "rerouted", "kind": "profile", "requested_profile_id": ADA.pk, "routed_profile_id": BO.pk}
CONFLICT = {"outcome": "conflict", "kind": "profile", "routed_profile_id": BO.pk, "candidates": [ADA.pk, BO.pk]}
REFUSED = {"outcome": "refused", "kind": "profile", "routed_profile_id": ADA.pk}
RELEASED = {"outcome": "released_from", "kind": "identity", "requested_profile_id": BO.pk, "routed_profile_id": ADA.pk}
SALE = {"kind": "transaction"}
OVERRIDDEN = {"outcome": "claim_overridden", "requested_profile_id": ADA.pk, "routed_profile_id": BO.pk}


SENTENCES: dict[str, tuple[dict[str, Any], str]] = {
    "taken": (
        TAKEN,
        "Klaviyo sent Loyalty card 1804974 for Ada Lovelace; it belongs to Bo Diddley, so nothing was written.",
    ),
    "taken of a whole profile": (
        TAKEN | {"kind": "profile", "requested_profile_id": None},
        "Klaviyo sent a profile with Loyalty card 1804974; it belongs to Bo Diddley, so nothing was written.",
    ),
    "rerouted": (
        REROUTED,
        "Klaviyo sent Loyalty card 1804974 for Ada Lovelace; it belongs to Bo Diddley, so the data went to Bo Diddley.",
    ),
    "rerouted record": (
        REROUTED | SALE,
        "Klaviyo sent a transaction for Ada Lovelace with Loyalty card 1804974; that identity belongs to Bo Diddley, so it went to Bo Diddley.",
    ),
    "rerouted record that was there": (
        REROUTED | SALE | {"handle": "", "identifier": ""},
        "Klaviyo sent a transaction for Ada Lovelace; it is with Bo Diddley already, and stayed there.",
    ),
    "conflict of points": (
        CONFLICT | {"kind": "point"},
        "Klaviyo sent a record of points that names two profiles; it went to Bo Diddley, and Loyalty card 1804974 stayed with Ada Lovelace.",
    ),
    "conflict of an interaction": (
        CONFLICT | {"kind": "interaction", "candidates": [ADA.pk, BO.pk, CLEO.pk]},
        "Klaviyo sent an interaction that names 3 profiles, among them Ada Lovelace; it went to Bo Diddley.",
    ),
    "refused pair of a reward": (
        REFUSED | {"kind": "reward", "code": "blocked_identifier", "handle": "pos2", "identifier": "null"},
        "Klaviyo sent a reward for Ada Lovelace with pos2 “null”; this value names nobody, so it alone was left out.",
    ),
    "refused pair of a record of nobody": (
        REFUSED
        | SALE
        | {"routed_profile_id": None, "code": "blocked_identifier", "handle": "pos2", "identifier": "null"},
        "Klaviyo sent a transaction for no known profile with pos2 “null”; this value names nobody, so it alone was left out.",
    ),
    "unknown_profile": (
        REFUSED | SALE | {"code": "unknown_profile", "handle": "profile_id", "identifier": "b1d6f3ec"},
        "Klaviyo sent a transaction for Ada Lovelace with the profile id “b1d6f3ec”; no profile has this id, so it alone was left out.",
    ),
    "id of a deleted profile": (
        REFUSED | SALE | {"code": "profile_deleted", "handle": "profile_id", "identifier": "b1d6f3ec"},
        "Klaviyo sent a transaction for Ada Lovelace with the profile id “b1d6f3ec”; the profile of this id is deleted, so the id alone was left out.",
    ),
    "profile_deleted": (
        REFUSED | SALE | {"code": "profile_deleted"},
        "Klaviyo sent a transaction for Ada Lovelace with Loyalty card “1804974”; that profile is deleted, so the identity alone was left out.",
    ),
    "unknown_identifier": (
        REFUSED | SALE | {"code": "unknown_identifier", "handle": "", "routed_profile_id": None},
        "Klaviyo sent a transaction for no known profile with “1804974” without a handle; no profile, or more than one, is known by this alone, so it was left out.",
    ),
    "conflict of two": (
        CONFLICT,
        "Klaviyo sent data that names two profiles; it went to Bo Diddley, and Loyalty card 1804974 stayed with Ada Lovelace.",
    ),
    "conflict of three": (
        CONFLICT | {"candidates": [ADA.pk, BO.pk, CLEO.pk]},
        "Klaviyo sent data that names 3 profiles, among them Ada Lovelace; it went to Bo Diddley.",
    ),
    "blocked_identifier": (
        REFUSED | {"code": "blocked_identifier", "handle": "pos2", "identifier": "null"},
        "Klaviyo sent data for Ada Lovelace with pos2 “null”; this value names nobody, so it alone was left out.",
    ),
    "invalid_identifier": (
        REFUSED | {"code": "invalid_identifier", "identifier": ""},
        "Klaviyo sent data for Ada Lovelace with Loyalty card “”; identifiers of that handle look different, so it alone was left out.",
    ),
    "reserved_handle": (
        REFUSED | {"code": "reserved_handle", "handle": "shopify"},
        "Klaviyo sent data for Ada Lovelace with Shopify customer “1804974”; only Shopify writes that handle, so it alone was left out.",
    ),
    "reserved no more": (
        REFUSED | {"code": "reserved_handle"},
        "Klaviyo sent data for Ada Lovelace with Loyalty card “1804974”; only another extension writes that handle, so it alone was left out.",
    ),
    "retired_handle": (
        REFUSED | {"code": "retired_handle"},
        "Klaviyo sent data for Ada Lovelace with Loyalty card “1804974”; that handle is retired, so it alone was left out.",
    ),
    "unknown_handle": (
        REFUSED | {"code": "unknown_handle", "handle": "Pos-2"},
        "Klaviyo sent data for Ada Lovelace with Pos-2 “1804974”; the catalogue has no such handle, so it alone was left out.",
    ),
    "invalid_handle": (
        REFUSED | {"code": "invalid_handle", "handle": "profile_id"},
        "Klaviyo sent data for Ada Lovelace with profile_id “1804974”; this cannot be the name of a handle, so it alone was left out.",
    ),
    "too_many_identities": (
        REFUSED | {"code": "too_many_identities"},
        "Klaviyo sent data for Ada Lovelace with Loyalty card “1804974”; the profile has its full number of that handle, so it alone was left out.",
    ),
    "builtin_handle": (
        REFUSED | {"code": "builtin_handle", "handle": "email", "identifier": "ada@example.com"},
        "Klaviyo sent data for Ada Lovelace with email “ada@example.com” as an identity; contact points have fields of their own, so it alone was left out.",
    ),
    "unknown reason": (
        REFUSED | {"code": "moon_phase"},
        "Klaviyo sent data for Ada Lovelace with Loyalty card “1804974”; it was refused (moon_phase), so it alone was left out.",
    ),
    "no reason": (
        REFUSED,
        "Klaviyo sent data for Ada Lovelace with Loyalty card “1804974”; it was refused (?), so it alone was left out.",
    ),
    "released": (
        RELEASED,
        "Klaviyo sent Loyalty card 1804974 for Ada Lovelace; Bo Diddley is deleted and left it behind, so Ada Lovelace has it now.",
    ),
    "overridden": (
        OVERRIDDEN,
        "Ada Lovelace had claimed Loyalty card 1804974; Klaviyo sent it for Bo Diddley, so the claim was dropped.",
    ),
    "emptied by an erasure": (
        {"outcome": "conflict", "kind": "transaction", "handle": "", "identifier": "", "fingerprint": ""},
        "Klaviyo sent a transaction. It was about somebody who was erased since, so that nothing of it is kept.",
    ),
    "unknown outcome": (
        {"outcome": "eclipse"},
        "Klaviyo sent Loyalty card 1804974; what became of it is called “eclipse”.",
    ),
}


def entry(**fields: Any) -> RoutingLogEntry:
    """An entry that Klaviyo caused with the loyalty card 1804974, unless something else is said. Nothing is stored."""
    usual = {
        "handle": "loyalty-card",
        "identifier": "1804974",
        "source": KLAVIYO,
        "by": User(username="service"),
        "fingerprint": "of this event",
    }
    return RoutingLogEntry(**{**usual, **fields})


def told(**fields: Any) -> str:
    return str(tell(entry(**fields), Rows(PROFILES, HANDLES)))


def advice(**fields: Any) -> list[str]:
    found = tell(entry(**fields), Rows(PROFILES, HANDLES))
    return [one.format(**found.parts) for one in found.advice]


@pytest.mark.parametrize("case", SENTENCES)
def test_each_outcome_has_its_sentence(case: str) -> None:
    fields, sentence = SENTENCES[case]

    assert told(**fields) == sentence


@pytest.mark.parametrize("outcome", RoutingLogEntry.Outcome.values)
def test_every_outcome_is_told_in_words_of_its_own(outcome: str) -> None:
    assert "is called" not in told(outcome=outcome)


def test_each_sentence_says_what_one_can_do() -> None:
    assert advice(**TAKEN) == [
        "If both are one person, merge the two profiles.",
        "If Loyalty card 1804974 really belongs to Ada Lovelace, move it there.",
        "Else it is wrong in Klaviyo: have it corrected there.",
    ]
    assert advice(**TAKEN, source=None)[-1] == "Else nothing is left to do."
    assert advice(**CONFLICT)[-1] == (
        "If not, say so, look at what Bo Diddley was given, and have the identities corrected in Klaviyo."
    )
    assert advice(**CONFLICT, source=None)[-1] == "If not, say so, and look at what Bo Diddley was given."
    assert advice(**RELEASED)[-1] == "Else undelete that profile and move Loyalty card 1804974 back."
    assert all(advice(**REFUSED, code=code) for code in refusal_words.REFUSED)
    assert advice(**REFUSED, code="moon_phase") == []


def test_every_reason_has_words_in_the_sentence_in_short_and_as_advice() -> None:
    assert refusal_words.REFUSED.keys() == refusal_words.REASONS.keys() == refusal_words.REFUSED_ADVICE.keys()
    assert telling.reason(entry(code="retired_handle")) == "the handle is retired"
    assert telling.reason(entry(code="moon_phase")) == "moon_phase"
    assert telling.reason(entry(code="")) == "no reason is known"


def test_staff_are_told_by_who_they_are() -> None:
    sentence = told(**TAKEN, source=None, by=User(username="ada"))

    assert sentence.startswith("Staff (ada) sent Loyalty card 1804974 for ")


def test_two_profiles_of_one_name_are_told_apart() -> None:
    namesakes = {"candidates": [OTHER_ADA.pk]}

    assert "for Ada Lovelace; it belongs to another Ada Lovelace, so" in told(**TAKEN | namesakes)
    assert "for Ada Lovelace; it belongs to Ada Lovelace, so" in told(**TAKEN | {"candidates": [ADA.pk]})
    nameless = {"requested_profile_id": NAMELESS.pk, "candidates": [NAMELESS_TOO.pk]}
    assert "for a profile without a name; it belongs to another profile without a name, so" in told(**TAKEN | nameless)


def test_what_is_gone_is_told_as_gone() -> None:
    gone = Profile().pk

    assert told(**TAKEN | {"requested_profile_id": None, "candidates": []}) == (
        "Klaviyo sent Loyalty card 1804974 for a profile that is gone; it belongs to a profile that is gone, so nothing "
        "was written."
    )
    assert "it belongs to a profile that is gone, so" in told(**TAKEN | {"candidates": [gone]})
    assert told(**CONFLICT | {"candidates": []}) == (
        "Klaviyo sent data that names several profiles; it went to Bo Diddley."
    )
    assert told(**CONFLICT | {"routed_profile_id": None, "candidates": [gone, ADA.pk]}) == (
        "Klaviyo sent data that names two profiles; it went to a profile that is gone, and Loyalty card 1804974 stayed "
        "with Ada Lovelace."
    )
    assert "; a deleted profile had left it behind, so Ada" in told(**RELEASED | {"requested_profile_id": None})
    assert told(**TAKEN, handle="", identifier="").startswith(
        "Klaviyo sent an identity that is no longer kept for Ada Lovelace; "
    )


def test_an_identifier_is_masked_though_its_handle_became_sensitive_later() -> None:
    token = "740f4707bebcf74f9b7c25d4"

    assert "Klaviyo sent Apple device •••25d4 for" in told(**TAKEN, handle="apns", identifier=token)
    assert "Klaviyo sent Apple device •••25d4 for" in told(**TAKEN, handle="apns", identifier="•••25d4")


def test_characters_that_nobody_sees_get_a_mark() -> None:
    sentence = told(**REFUSED, code="invalid_identifier", identifier="\u202eabc\u200b\n")

    assert "with Loyalty card “\ufffdabc\ufffd\ufffd”; identifiers" in sentence


def test_long_names_and_identifiers_are_cut() -> None:
    long = Profile(first_name="Ada " * 60, last_name="L" * 255)
    rows = Rows({long.pk: long}, {"x": Handle(name="x", label="X" * 255)})
    source = Extension(slug="k", name="K" * 255)

    sentence = str(
        tell(
            entry(
                **TAKEN | {"requested_profile_id": long.pk, "source": source, "handle": "x", "identifier": "1" * 255}
            ),
            rows,
        )
    )

    assert len(sentence) < 400
    assert "L" * 60 not in sentence
    assert "1" * 60 not in sentence


def test_names_are_no_places_for_other_names() -> None:
    odd = Profile(first_name="{source}", last_name="%(pair)s {0}")

    sentence = str(tell(entry(**TAKEN | {"requested_profile_id": odd.pk}), Rows({odd.pk: odd}, {})))

    assert "loyalty-card 1804974 for {source} %(pair)s {0}; it" in sentence


@pytest.mark.django_db
def test_what_routing_writes_is_told_as_it_happened(ada: Profile, bo: Profile, klaviyo: Extension) -> None:
    by = By(klaviyo.service_account)
    with pytest.raises(Refused):
        add(ada, "loyalty-card:bo", by=by, source=klaviyo)
    with pytest.raises(Refused):
        route(by=by, source=klaviyo, contact={"email": "bo@example.com"}, first_name="New")
    with pytest.raises(Refused):
        update(ada, by=by, source=klaviyo, mobile_phone="+61404999999")
    add(ada, "pos:7", by=by, source=klaviyo)
    route("pos:7", "loyalty-card:bo", "pos:null", by=by, source=klaviyo)
    gone = route("pos-customer:1", by=by, source=klaviyo, first_name="Gone").profile
    releasing.delete(gone.pk, by=by)
    adding.add(ada.pk, Sent("pos-customer", "1"), by=by, source=klaviyo)

    assert [telling.sentence(one) for one in RoutingLogEntry.objects.order_by("pk")] == [
        "Klaviyo sent Loyalty card bo for Ada Lovelace; it belongs to Bo Diddley, so nothing was written.",
        "Klaviyo sent a profile with E-mail bo@example.com; it belongs to Bo Diddley, so nothing was written.",
        "Klaviyo sent Mobile phone +61404999999 for Ada Lovelace; it belongs to Bo Diddley, so nothing was written.",
        "Klaviyo sent data that names two profiles; it went to Bo Diddley, and Till 7 stayed with Ada Lovelace.",
        "Klaviyo sent data for Bo Diddley with Till “null”; this value names nobody, so it alone was left out.",
        "Klaviyo sent Till customer 1 for Ada Lovelace; Gone is deleted and left it behind, so Ada Lovelace has it now.",
    ]


@pytest.mark.django_db
def test_many_entries_are_told_by_as_many_queries_as_one(
    ada: Profile, bo: Profile, by: By, django_assert_num_queries: Any
) -> None:
    for number in range(20):
        with pytest.raises(Refused):
            add(Profile.objects.create(first_name=f"{number}"), "loyalty-card:bo", by=by)
    entries = RoutingLogEntry.objects.select_related("source", "by")

    for number in (1, 20):
        some = list(entries[:number])
        with django_assert_num_queries(2):
            rows = telling.about(some)
        with django_assert_num_queries(0):
            sentences = {str(tell(one, rows)) for one in some}
        assert len(sentences) == number


@pytest.mark.django_db
def test_a_profile_that_was_merged_since_is_told_with_the_one_that_it_became_and_leads_there(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada_again, "pos:7", by=by)
    with pytest.raises(Refused):
        add(ada, "pos:7", by=by)
    entry = RoutingLogEntry.objects.get()
    last = Profile.objects.create(first_name="Ada", last_name="Byron")
    (inner,) = merge(ada, ada_again, by=by)
    merge(last, ada, by=by)

    rows = about([entry])
    found = tell(entry, rows)

    assert str(found) == (
        "Staff (operator) sent Till 7 for Ada Lovelace (merged into Ada Byron); it belongs to Augusta Ada King (merged "
        "into Ada Byron), so nothing was written."
    )
    assert {found.parts[name].row for name in ("requested", "owner")} == {last}
    undo(inner, by=by)
    assert "it belongs to Augusta Ada King, so nothing was written." in sentence(entry)


@pytest.mark.django_db
def test_namesakes_are_told_apart_also_where_one_was_merged_into_the_other(bo: Profile, by: By) -> None:
    one, other = (known(f"pos:{number}", by=by, first_name="Ada") for number in (1, 2))
    with pytest.raises(Refused):
        add(one, "pos:2", by=by)
    merge(one, other, by=by)

    assert "it belongs to another Ada (merged into Ada), so nothing was written." in sentence(
        RoutingLogEntry.objects.get()
    )
