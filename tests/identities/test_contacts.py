"""Contact points are identities too (API.md 2): one test for each line of that paragraph."""

from __future__ import annotations

import json

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from identities import cataloguing, lookup, matching, moving, normalising, releasing, routing
from identities.handles import Sent
from identities.models import Extension, Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import add, assert_sound, everything_of, pairs_of, route, update

pytestmark = pytest.mark.django_db


def contact(profile: Profile, handle: str = "email") -> list[str]:
    """The contact points that the profile holds, oldest first."""
    return list(profile.identities.filter(handle=handle).order_by("pk").values_list("identifier", flat=True))


def show_second(profile: Profile, *, by: By) -> Profile:
    """Give the profile a second address besides the shown one, as a move or a merge does."""
    other = route("pos:other", by=by, contact={"email": "second@example.com"}).profile
    moving.move(other.identities.get(handle="email").pk, to=profile.pk, reason="The same person", by=by)
    return Profile.objects.get(pk=profile.pk)


def test_an_e_mail_and_a_mobile_are_pairs_under_the_built_in_handles(ada: Profile, bo: Profile, by: By) -> None:
    ada = update(ada, by=by, email="Ada@Example.com", mobile_phone="0404 123 123")

    assert pairs_of(ada) == ["email:ada@example.com", "mobile_phone:+61404123123"]
    assert (ada.email, ada.mobile_phone) == ("Ada@Example.com", "+61404123123")
    assert (ada.mobile_phone_country, ada.mobile_phone_national) == (61, "404123123")
    created = Audit.objects.filter(event="created", auditable_type="identity", profile=ada)
    assert {audit.new_values["identifier"] for audit in created} == {"ada@example.com", "+61404123123"}
    shown = json.loads(lookup.profile(ada.pk) or "null")
    assert (shown["email"], shown["mobile_phone"]) == ("Ada@Example.com", "+61404123123")
    assert (shown["mobile_phone_e164"], shown["mobile_phone_national"]) == ("+61404123123", "404123123")


def test_a_new_profile_may_come_with_its_contacts(bo: Profile, by: By, shopify: Extension) -> None:
    contacts: dict[str, str | None] = {"email": "ada@example.com", "mobile_phone": "+61 404 123 123"}

    routed = route(by=by, source=shopify, contact=contacts, first_name="Ada")

    assert (routed.outcome, routed.refused, routed.not_taken) == ("created", [], [])
    assert (routed.profile.email, routed.profile.mobile_phone) == ("ada@example.com", "+61404123123")
    assert {identity.source for identity in routed.profile.identities.all()} == {shopify}


def test_a_contact_is_unique_by_the_same_constraint(ada: Profile, ada_again: Profile, by: By) -> None:
    update(ada, by=by, email="ada@example.com")

    with pytest.raises(IntegrityError, match="unique_together_handle_identifier"), transaction.atomic():
        Identity.objects.create(profile=ada_again, handle_id="email", identifier="ada@example.com")


def test_a_profile_may_hold_several_and_shows_one(ada: Profile, bo: Profile, by: By) -> None:
    update(ada, by=by, email="first@example.com")

    ada = show_second(ada, by=by)

    assert contact(ada) == ["first@example.com", "second@example.com"]
    assert ada.email == "first@example.com"


def test_limits_and_the_primary_mark_are_not_for_contacts(ada: Profile, by: By) -> None:
    ada = update(ada, by=by, email="ada@example.com")
    email = ada.identities.get()

    with pytest.raises(Refused) as refusal:
        routing.change(email.pk, is_primary=True, by=by, source=None)
    assert refusal.value.code == "builtin_handle"
    with pytest.raises(IntegrityError, match="contact_points_are_never_primary"), transaction.atomic():
        Identity.objects.filter(pk=email.pk).update(is_primary=True)
    for limit in ({"max_per_profile": 1}, {"single_valued": True}):
        with pytest.raises(ValidationError):
            cataloguing.change(Handle.objects.get(name="email"), limit, by=by)


@pytest.mark.parametrize("name", ["email", "mobile_phone"])
def test_their_handles_cannot_be_retired_reserved_or_given_another_normaliser(
    name: str, shopify: Extension, by: By
) -> None:
    for change in ({"status": "retired"}, {"reserved_for": shopify}, {"normaliser": "fold"}):
        with pytest.raises(ValidationError) as refusal:
            cataloguing.change(Handle.objects.get(name=name), change, by=by)
        assert refusal.value.error_dict["__all__"][0].code == "builtin_handle"

    handle = cataloguing.change(Handle.objects.get(name=name), {"label": "Where to write", "priority": 7}, by=by)
    assert (handle.label, handle.priority) == ("Where to write", 7)


@pytest.mark.parametrize("name", ["email", "mobile_phone"])
def test_their_handles_cannot_be_renamed(name: str, by: By) -> None:
    handle = Handle.objects.get(name=name)

    handle.renamed_to_id = "pos"

    with pytest.raises(ValidationError):
        handle.clean()


def test_setting_a_value_that_the_profile_holds_only_changes_which_is_shown(ada: Profile, bo: Profile, by: By) -> None:
    update(ada, by=by, email="first@example.com")
    ada = show_second(ada, by=by)
    rows = list(ada.identities.order_by("pk").values())

    ada = update(ada, by=by, email="SECOND@example.com")

    assert ada.email == "second@example.com"
    assert list(ada.identities.order_by("pk").values()) == rows
    assert update(ada, by=by, email="first@example.com").email == "first@example.com"
    assert list(ada.identities.order_by("pk").values()) == rows


def test_setting_a_new_value_adds_its_pair_and_deletes_the_one_shown(ada: Profile, bo: Profile, by: By) -> None:
    update(ada, by=by, email="first@example.com", mobile_phone="0404 123 123")
    ada = show_second(ada, by=by)

    ada = update(ada, by=by, email="third@example.com", mobile_phone="+44 20 7946 0018")

    assert contact(ada) == ["second@example.com", "third@example.com"]
    assert contact(ada, "mobile_phone") == ["+442079460018"]
    assert (ada.email, ada.mobile_phone_country, ada.mobile_phone_national) == ("third@example.com", 44, "2079460018")
    assert lookup.search_id("email", "first@example.com") is None
    deleted = Audit.objects.filter(event="deleted", auditable_type="identity", profile=ada)
    assert {audit.old_values["identifier"] for audit in deleted} == {"first@example.com", "+61404123123"}


@pytest.mark.parametrize("nothing", ["", None, "  "])
def test_setting_it_to_nothing_deletes_the_one_shown_and_promotes_none(
    nothing: str | None, ada: Profile, bo: Profile, by: By
) -> None:
    update(ada, by=by, email="first@example.com", mobile_phone="0404 123 123")
    ada = show_second(ada, by=by)

    ada = update(ada, by=by, email=nothing, mobile_phone=nothing)

    assert contact(ada) == ["second@example.com"]
    assert contact(ada, "mobile_phone") == []
    assert (ada.email, ada.mobile_phone, ada.mobile_phone_country, ada.mobile_phone_national) == ("", "", None, "")
    # Nothing is shown, so there is nothing to delete now.
    assert contact(update(ada, by=by, email=nothing)) == ["second@example.com"]


def test_setting_an_equal_value_changes_nothing(ada: Profile, bo: Profile, by: By) -> None:
    ada = update(ada, by=by, email="Ada@Example.com", mobile_phone="0404 123 123")
    before, audits = everything_of(ada), Audit.objects.count()

    for email in ("Ada@Example.com", "ada@example.com", " ADA@EXAMPLE.COM "):
        for mobile_phone in ("+61404123123", "0404123123"):
            update(ada, by=by, email=email, mobile_phone=mobile_phone)

    assert everything_of(ada) == before
    assert Audit.objects.count() == audits


def test_a_move_of_the_shown_pair_shows_the_oldest_that_remains_else_nothing(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    update(ada, by=by, email="first@example.com", mobile_phone="0404 123 123")
    ada = show_second(ada, by=by)
    first, second = ada.identities.filter(handle="email").order_by("pk")
    mobile = ada.identities.get(handle="mobile_phone")

    for identity, left in ((first, "second@example.com"), (second, "")):
        moving.move(identity.pk, to=ada_again.pk, reason="Hers", by=by)
        ada.refresh_from_db()
        assert ada.email == left
    moving.move(mobile.pk, to=ada_again.pk, reason="Hers", by=by)

    ada.refresh_from_db()
    ada_again.refresh_from_db()
    assert (ada.mobile_phone, ada.mobile_phone_country, ada.mobile_phone_national) == ("", None, "")
    assert (ada_again.email, ada_again.mobile_phone) == ("first@example.com", "+61404123123")
    assert (ada_again.mobile_phone_country, ada_again.mobile_phone_national) == (61, "404123123")
    changed = Audit.objects.filter(auditable_type="profile", event="updated", profile=ada, new_values__email="")
    assert changed.exists(), "The change of the column is in the audit."


def test_an_undelete_whose_shown_pair_is_taken_shows_the_oldest_that_remains_and_says_so(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    update(ada, by=by, email="first@example.com", mobile_phone="0404 123 123")
    show_second(ada, by=by)
    releasing.delete(ada.pk, by=by)
    update(ada_again, by=by, email="first@example.com", mobile_phone="0404 123 123")

    back = releasing.change_type(ada.pk, "active", by=by, source=None)

    assert back.contacts_changed == ["email", "mobile_phone"]
    assert (back.profile.email, back.profile.mobile_phone) == ("second@example.com", "")
    assert contact(ada) == ["second@example.com"]
    assert {(one.pair.identifier, one.owner) for one in back.not_returned} == {
        ("first@example.com", ada_again),
        ("+61404123123", ada_again),
    }
    audit = Audit.objects.get(event="undeleted")
    assert audit.old_values["email"] == "first@example.com", "The change of the column is in the audit."
    assert (audit.new_values["email"], audit.new_values["mobile_phone"]) == ("second@example.com", "")


def test_an_undelete_shows_what_came_back_from_a_taker_that_is_deleted_too(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    update(ada, by=by, email="ada@example.com", mobile_phone="0404 123 123")
    show_second(ada, by=by)
    update(ada, by=by, email="ada@example.com")
    releasing.delete(ada.pk, by=by)
    update(ada_again, by=by, email="Ada@Example.com", mobile_phone="+61404123123")
    releasing.delete(ada_again.pk, by=by)

    back = releasing.change_type(ada.pk, "active", by=by, source=None)

    assert contact(ada) == ["ada@example.com", "second@example.com"]
    assert (back.profile.email, back.profile.mobile_phone) == ("Ada@Example.com", "+61404123123")
    assert back.contacts_changed == ["email"], "It is the same address in another spelling."
    assert back.not_returned == []
    assert_sound()

    again = releasing.change_type(ada_again.pk, "active", by=by, source=None)
    assert (again.profile.email, again.profile.mobile_phone) == ("", "")
    assert again.contacts_changed == ["email", "mobile_phone"]
    assert_sound()


def test_an_undelete_empties_a_contact_that_was_deleted_for_good(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    update(ada, by=by, email="ada@example.com")
    releasing.delete(ada.pk, by=by)
    update(ada_again, by=by, email="ada@example.com")
    update(ada_again, by=by, email="augusta@example.com")

    back = releasing.change_type(ada.pk, "active", by=by, source=None)

    assert [(str(one.pair), one.owner) for one in back.not_returned] == [("email:ada@example.com", None)]
    assert (back.profile.email, back.contacts_changed) == ("", ["email"])
    assert_sound()


def test_contacts_are_hidden_among_identities(ada: Profile, bo: Profile, by: By) -> None:
    ada = update(ada, by=by, email="ada@example.com", mobile_phone="0404 123 123")
    card = add(ada, "loyalty-card:1804974", by=by)

    profile = json.loads(lookup.profile(ada.pk) or "null")

    assert [one["id"] for one in profile["identities"]] == [card.pk]
    assert [json.loads(text)["id"] for text in lookup.identities_of(ada.pk)] == [card.pk]
    assert list(ada.identities.visible()) == [card]
    for text in ("ada@example.com", "ADA@example.com", "+61404123123", "0404 123 123"):
        assert lookup.search_profile([text]) == []


def test_contacts_are_there_when_asked_for_by_id_and_can_be_deleted_and_moved(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    ada = update(ada, by=by, email="ada@example.com", mobile_phone="0404 123 123")
    email, mobile = ada.identities.get(handle="email"), ada.identities.get(handle="mobile_phone")

    (text,) = lookup.identities([email.pk])
    assert json.loads(text)["identifier"] == "ada@example.com"
    moving.move(mobile.pk, to=ada_again.pk, reason="Hers", by=by)
    routing.remove(email.pk, by=by, source=None)

    ada.refresh_from_db()
    assert (ada.email, ada.mobile_phone, pairs_of(ada)) == ("", "", [])
    assert pairs_of(ada_again) == ["mobile_phone:+61404123123"]


def test_deleting_one_that_is_not_shown_leaves_the_column(ada: Profile, by: By) -> None:
    update(ada, by=by, email="first@example.com")
    ada = show_second(ada, by=by)

    routing.remove(ada.identities.get(identifier="second@example.com").pk, by=by, source=None)

    ada.refresh_from_db()
    assert (ada.email, contact(ada)) == ("first@example.com", ["first@example.com"])


def test_look_ups_by_handle_find_every_contact_held_in_any_spelling(
    ada: Profile, bo: Profile, by: By, django_assert_num_queries
) -> None:
    update(ada, by=by, email="First@example.com", mobile_phone="0404 123 123")
    ada = show_second(ada, by=by)

    for handle, spelling in (
        ("email", "first@EXAMPLE.com"), ("email", " second@example.com "), ("mobile_phone", "+61 404 123 123"),
        ("mobile_phone", "0404123123"),
    ):  # fmt: skip
        with django_assert_num_queries(3):
            found = json.loads(lookup.search(handle, spelling) or "null")
            profile = json.loads(lookup.search_id(handle, spelling) or "null")
            assert lookup.resolve([(handle, spelling)]) == [ada.pk]
        assert (found["handle"], found["profile"]["id"], profile["id"]) == (handle, str(ada.pk), str(ada.pk))


@pytest.mark.parametrize("handle", ["email", "mobile_phone", " email "])
def test_as_an_identity_a_contact_is_refused_and_the_field_is_named(handle: str, ada: Profile, by: By) -> None:
    ada = update(ada, by=by, email="ada@example.com")

    with pytest.raises(Refused) as refusal:
        add(ada, Sent(handle, "other@example.com"), by=by)
    assert (refusal.value.code, refusal.value.field) == ("builtin_handle", "handle")
    with pytest.raises(Refused) as refusal:
        routing.change(ada.identities.get().pk, identifier="other@example.com", by=by, source=None)
    assert refusal.value.code == "builtin_handle"

    assert pairs_of(ada) == ["email:ada@example.com"]


def test_in_a_record_a_contact_among_the_identities_is_set_aside_and_matches_nothing(
    ada: Profile, bo: Profile, by: By
) -> None:
    update(ada, by=by, email="ada@example.com")

    routed = route("email:ada@example.com", "mobile_phone:0404999999", "pos:7", by=by)

    assert (routed.outcome, routed.profile in (ada, bo)) == ("created", False)
    assert [one["code"] for one in routed.refused] == ["builtin_handle", "builtin_handle"]
    assert pairs_of(routed.profile) == ["pos:7"]


def test_every_contact_held_is_matched_by_filters_availability_and_search(ada: Profile, bo: Profile, by: By) -> None:
    update(ada, by=by, email="first@example.com", mobile_phone="0404 123 123")
    ada = show_second(ada, by=by)

    for handle, text in (
        ("email", "FIRST@example.com"), ("email", "second@example.com"), ("mobile_phone", "0404 123 123"),
        ("mobile_phone", "+61404123123"),
    ):  # fmt: skip
        assert matching.holding_contact(handle, text).get().profile == ada
        assert matching.search(text).get() == ada
    for handle, text in (
        ("email", "third@example.com"),
        ("mobile_phone", "ada"),
        ("email", "\0"),
        ("email", "\ud800"),
    ):
        assert not matching.holding_contact(handle, text).exists()


def test_a_deleted_profiles_contacts_are_free(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    ada = update(ada, by=by, email="Ada@example.com")
    email = ada.identities.get()
    releasing.delete(ada.pk, by=by)

    assert not matching.holding_contact("email", "ada@example.com").live().exists()
    ada_again = update(ada_again, by=by, email="ADA@example.com")

    assert ada_again.email == "ADA@example.com"
    assert ada_again.identities.get().pk == email.pk
    entry = RoutingLogEntry.objects.get()
    assert (entry.outcome, entry.candidates, entry.routed_profile) == ("released_from", [ada.pk], ada_again)


@pytest.mark.parametrize(
    ("field", "spelling", "pair", "words"),
    [
        ("email", "BO@example.com", "email:bo@example.com", "The email exists"),
        ("mobile_phone", "0404 999 999", "mobile_phone:+61404999999", "The phone number exists"),
    ],
)
def test_a_contact_of_another_profile_is_refused_in_the_words_that_clients_know_and_logged(
    field: str, spelling: str, pair: str, words: str, ada: Profile, bo: Profile, by: By, shopify: Extension
) -> None:
    add(ada, "pos:7", by=by)
    before = everything_of(ada)

    with pytest.raises(Refused) as put:
        update(ada, by=by, source=shopify, title="Countess", **{field: spelling})
    with pytest.raises(Refused) as post:
        route("pos:8", by=by, source=shopify, contact={field: spelling})
    with pytest.raises(Refused) as post_known:
        route("pos:7", "pos:9", by=by, source=shopify, contact={field: spelling}, title="Countess")

    for refusal in (put, post, post_known):
        assert (refusal.value.code, refusal.value.field, refusal.value.message) == ("identity_taken", field, words)
        assert refusal.value.details["profile_id"] == str(bo.pk)
    assert everything_of(ada) == before
    assert not Identity.objects.filter(identifier__in=["8", "9"]).exists()
    assert Profile.objects.count() == 2
    told = RoutingLogEntry.objects.order_by("pk")
    assert [(entry.outcome, f"{entry.handle}:{entry.identifier}", entry.candidates) for entry in told] == [
        ("identity_taken", pair, [bo.pk])
    ] * 2
    # A PUT and a POST that reach Ada are one event; the POST that reached nobody is another.
    assert [(entry.requested_profile, entry.occurrences, entry.source_id) for entry in told] == [
        (ada, 2, "shopify"),
        (None, 1, "shopify"),
    ]
    assert put.value.details["log_entry_id"] == post_known.value.details["log_entry_id"] == told[0].pk


@pytest.mark.parametrize(
    ("field", "text", "code"),
    [
        ("email", "ada", "invalid_identifier"), ("email", "ada@example", "invalid_identifier"),
        ("email", "a\u200bda@example.com", "invalid_identifier"), ("email", "ada@example.com\0x", "invalid_identifier"),
        ("email", "x" * 10_240, "invalid_identifier"), ("email", "\ud83d@example.com", "invalid_identifier"),
        ("email", "test@test.com", "blocked_identifier"), ("mobile_phone", "ada", "invalid_identifier"),
        ("mobile_phone", "12", "invalid_identifier"), ("mobile_phone", "00000", "blocked_identifier"),
        ("mobile_phone", "0404 123 123 ext. 4", "invalid_identifier"),
    ],
)  # fmt: skip
def test_a_bad_or_blocked_contact_refuses_the_whole_write(
    field: str, text: str, code: str, ada: Profile, by: By
) -> None:
    add(ada, "pos:7", by=by)
    before = everything_of(ada)

    for attempt in (
        lambda: update(ada, by=by, title="Countess", **{field: text}),
        lambda: route("pos:7", by=by, contact={field: text}, title="Countess"),
        lambda: route("pos:8", by=by, contact={field: text}),
    ):
        with pytest.raises(Refused) as refusal:
            attempt()
        assert (refusal.value.code, refusal.value.field) == (code, field)

    assert everything_of(ada) == before
    assert Profile.objects.count() == 1


def test_a_record_for_a_known_profile_sets_only_a_contact_that_it_has_none_of(
    ada: Profile, bo: Profile, by: By
) -> None:
    ada = update(ada, by=by, email="first@example.com")
    add(ada, "pos:7", by=by)

    routed = route("pos:7", by=by, contact={"email": "other@example.com", "mobile_phone": "0404 123 123"})

    assert (routed.profile, routed.not_taken) == (ada, ["email"])
    assert (routed.profile.email, routed.profile.mobile_phone) == ("first@example.com", "+61404123123")
    assert contact(ada) == ["first@example.com"]
    assert route("pos:7", by=by, contact={"email": "FIRST@example.com", "mobile_phone": ""}).not_taken == []


def test_a_record_does_not_put_an_emptied_contact_back_beside_another_that_is_held(
    ada: Profile, bo: Profile, by: By
) -> None:
    update(ada, by=by, email="first@example.com")
    add(ada, "pos:7", by=by)
    ada = show_second(ada, by=by)
    update(ada, by=by, email="")

    assert route("pos:7", by=by, contact={"email": "first@example.com"}).not_taken == ["email"]
    shown = route("pos:7", by=by, contact={"email": "second@example.com"})

    assert (shown.profile.email, shown.not_taken) == ("second@example.com", [])
    assert contact(ada) == ["second@example.com"]


def test_an_address_is_shown_as_it_was_written_and_fits_its_column(ada: Profile, by: By) -> None:
    # Decomposed, this address is longer than the column; composed it is not.
    decomposed = "\u03b9\u0308\u0301" * 64 + "@" + "\u03b9\u0308\u0301" * 30 + ".com"
    assert len(decomposed) > 255 >= len(normalising.normalise("email", decomposed))

    ada = update(ada, by=by, email=decomposed)

    assert ada.email == "\u0390" * 64 + "@" + "\u0390" * 30 + ".com"
    assert update(ada, by=by, email=ada.email).email == ada.email
    assert update(ada, by=by, email="").email == ""
    assert pairs_of(ada) == []


def test_a_merged_profiles_id_means_the_survivor_for_its_contacts(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    Profile.objects.filter(pk=ada_again.pk).update(merged_into=ada)

    changed = update(ada_again, by=by, email="ada@example.com")

    assert (changed, changed.email) == (ada, "ada@example.com")
    assert contact(ada) == ["ada@example.com"]
