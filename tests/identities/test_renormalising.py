"""Another normaliser or pattern: first told what it would mean, then done to all identities in one transaction."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from identities import cataloguing, lookup, releasing, renormalising, routing, surveying
from identities.models import Handle, Identity, RoutingLogEntry
from identities.rewriting import Rewritten
from identities.surveying import Survey
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import add, assert_sound, pairs_of, route

pytestmark = pytest.mark.django_db


def report(name: str = "pos", **fields: Any) -> Survey:
    return renormalising.report(Handle.objects.get(pk=name), fields)


def change(name: str = "pos", *, by: By, **fields: Any) -> Rewritten:
    return renormalising.change(Handle.objects.get(pk=name), fields, by=by)


def refusal_of(name: str = "pos", *, by: By, **fields: Any) -> Refused:
    before = list(Identity.objects.order_by("pk").values()), list(Handle.objects.order_by("pk").values())
    with pytest.raises(Refused) as refusal:
        change(name, by=by, **fields)
    assert (list(Identity.objects.order_by("pk").values()), list(Handle.objects.order_by("pk").values())) == before
    assert not Audit.objects.filter(auditable_type="handle").exists()
    return refusal.value


@pytest.fixture(params=[surveying.CHUNK, 1], ids=["one chunk", "a chunk each"], autouse=True)
def chunk(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "CHUNK", request.param)


def test_the_report_says_what_would_change_and_changes_nothing(ada: Profile, bo: Profile, by: By) -> None:
    for pair in ("pos:No. 00 42", "pos:7", "pos:none at all"):
        add(ada, pair, by=by)
    before = list(Identity.objects.values()), list(Handle.objects.values()), Audit.objects.count()

    found = report(normaliser="digits")

    assert (found.read, found.is_cut, found.is_hindered) == (3, False, True)
    assert [(row.identifier, row.form) for row in found.rewritten.first] == [("No. 00 42", "0042")]
    assert [row.identifier for row in found.refused.first] == ["none at all"]
    assert (list(Identity.objects.values()), list(Handle.objects.values()), Audit.objects.count()) == before


def test_all_identities_take_their_new_form_and_keep_what_was_sent(ada: Profile, bo: Profile, by: By) -> None:
    row, same = add(ada, "pos:No. 00 42", by=by), add(ada, "pos:7", by=by)

    assert change(by=by, normaliser="digits") == Rewritten(changed=1)

    row.refresh_from_db()
    assert (row.identifier, row.original) == ("0042", "No. 00 42")
    assert row.updated_at > Identity.objects.get(pk=same.pk).updated_at
    assert Handle.objects.get(pk="pos").normaliser == "digits"
    assert lookup.resolve([("pos", "no 0042"), ("pos", "7")]) == [ada.pk, ada.pk]
    assert_sound()


def test_what_was_sent_gives_the_former_form_back(ada: Profile, by: By) -> None:
    add(ada, "pos:No. 00 42", by=by)

    change(by=by, normaliser="digits")
    change(by=by, normaliser="exact")

    row = ada.identities.get()
    assert (row.identifier, row.original) == ("No. 00 42", "")


def test_a_form_is_made_of_what_was_sent_and_not_of_the_form_before(ada: Profile, by: By) -> None:
    Handle.objects.filter(pk="pos").update(normaliser="digits")
    add(ada, "pos:AB 42", by=by)

    change(by=by, normaliser="fold")

    assert pairs_of(ada) == ["pos:ab 42"]


def test_the_rest_of_what_was_typed_is_changed_with_it_and_audited_once(ada: Profile, by: By) -> None:
    add(ada, "pos:No. 42", by=by)

    change(by=by, normaliser="digits", label="Cash desk", pattern="[0-9]+")

    handle = Handle.objects.get(pk="pos")
    assert (handle.label, handle.pattern, handle.normaliser) == ("Cash desk", "[0-9]+", "digits")
    audit = Audit.objects.get(auditable_type="handle")
    assert (audit.event, audit.by) == ("updated", by.user)
    assert audit.old_values == {"label": "Till", "pattern": "", "normaliser": "exact"}
    assert audit.new_values == {
        "label": "Cash desk", "pattern": "[0-9]+", "normaliser": "digits", "identities": 1, "same": 0, "freed": 0,
    }  # fmt: skip


def test_spellings_of_one_profile_become_one_identity(ada: Profile, bo: Profile, by: By) -> None:
    stays = add(ada, "pos:ABC", by=by)
    goes = [add(ada, "pos:abc", by=by), add(ada, "pos:aBc", by=by)]
    routing.change(goes[0].pk, is_primary=True, by=by, source=None)
    brought = route("pos:aBc", "pos-customer:1", by=by).profile.identities.get(handle="pos-customer")

    assert report(normaliser="fold").same.count == 2
    assert change(by=by, normaliser="fold") == Rewritten(changed=1, same=2)

    row = ada.identities.get(handle="pos")
    brought.refresh_from_db()
    assert (row.pk, row.identifier, row.original, row.is_primary) == (stays.pk, "abc", "ABC", True)
    assert brought.brought_by == row
    assert {int(one.auditable_key) for one in Audit.objects.filter(event="deleted")} == {one.pk for one in goes}
    assert_sound()


def test_spellings_of_two_profiles_are_refused(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    add(ada, "pos:ABC", by=by)
    add(ada_again, "pos:abc", by=by)

    found = report(normaliser="fold")
    assert (found.conflicts.count, found.is_hindered) == (1, True)
    refusal = refusal_of(by=by, normaliser="fold")
    assert refusal.code == "identity_taken"
    assert "pos:abc and pos:ABC" in refusal.message or "pos:ABC and pos:abc" in refusal.message


def test_spellings_that_both_change_to_a_third_are_found(ada: Profile, ada_again: Profile, by: By) -> None:
    add(ada, "pos:Abc", by=by)
    add(ada_again, "pos:aBC", by=by)

    assert report(normaliser="fold").conflicts.count == 1
    assert refusal_of(by=by, normaliser="fold").code == "identity_taken"


def test_a_deleted_profiles_spelling_gives_way(ada: Profile, ada_again: Profile, bo: Profile, by: By) -> None:
    add(ada, "pos:abc", by=by)
    kept = add(ada_again, "pos:ABC", by=by)
    releasing.delete(ada.pk, by=by)

    assert report(normaliser="fold").freed.count == 1
    assert change(by=by, normaliser="fold") == Rewritten(changed=1, freed=1)

    row = Identity.objects.get(handle="pos")
    assert (row.pk, row.identifier, row.profile) == (kept.pk, "abc", ada_again)
    assert RoutingLogEntry.objects.get().outcome == "released_from"


def test_an_identifier_that_would_have_no_form_is_refused(ada: Profile, by: By) -> None:
    add(ada, "pos:7", by=by)
    add(ada, "pos:none at all", by=by)

    assert refusal_of(by=by, normaliser="digits").code == "invalid_identifier"


def test_a_pattern_is_told_of_those_that_would_not_match_and_leaves_them(ada: Profile, bo: Profile, by: By) -> None:
    for pair in ("pos:T1", "pos:T2", "pos:X9"):
        add(ada, pair, by=by)

    found = report(pattern="T[0-9]")
    assert (found.unmatched.count, found.unmatched.first[0].identifier, found.is_hindered) == (1, "X9", False)
    cataloguing.change(Handle.objects.get(pk="pos"), {"pattern": "T[0-9]"}, by=by)

    assert route("pos:X9", by=by).profile == ada
    with pytest.raises(Refused):
        add(ada, "pos:X8", by=by)


def test_a_pattern_is_tried_on_the_new_form(ada: Profile, by: By) -> None:
    add(ada, "pos:No. 42", by=by)

    assert report(pattern="[0-9]+").unmatched.count == 1
    assert report(pattern="[0-9]+", normaliser="digits").unmatched.count == 0


@pytest.mark.parametrize(("normaliser", "form"), [("email", "ada@example.com"), ("fold", "ada@example.com")])
def test_each_normaliser_can_be_taken(normaliser: str, form: str, ada: Profile, by: By) -> None:
    add(ada, "pos:Ada@Example.COM", by=by)

    change(by=by, normaliser=normaliser)

    assert pairs_of(ada) == [f"pos:{form}"]


def test_phone_numbers_that_were_text_become_one(ada: Profile, by: By) -> None:
    add(ada, "pos:0404 123 123", by=by)
    add(ada, "pos:+61404123123", by=by)

    assert change(by=by, normaliser="phone") == Rewritten(changed=1, same=1)

    assert pairs_of(ada) == ["pos:+61404123123"]


@pytest.mark.parametrize("name", ["email", "mobile_phone"])
def test_contact_points_keep_their_normaliser(name: str, bo: Profile, by: By) -> None:
    assert refusal_of(name, by=by, normaliser="exact").code == "builtin_handle"


def test_by_itself_a_change_of_the_normaliser_is_refused_where_there_are_identities(ada: Profile, by: By) -> None:
    add(ada, "pos:No. 42", by=by)

    with pytest.raises(ValidationError, match="Identities of this handle are stored by its normaliser"):
        cataloguing.change(Handle.objects.get(pk="pos"), {"normaliser": "digits"}, by=by)

    assert pairs_of(ada) == ["pos:No. 42"]


def test_bad_fields_are_refused_before_anything_is_rewritten(ada: Profile, by: By) -> None:
    add(ada, "pos:No. 42", by=by)

    with pytest.raises(ValidationError, match="not a regular expression"):
        change(by=by, normaliser="digits", pattern="(")

    assert pairs_of(ada) == ["pos:No. 42"]


def test_the_report_looks_at_the_oldest_only_and_says_so(
    ada: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveying, "MOST_READ", 2)
    for number in range(3):
        add(ada, f"pos:no {number + 1}", by=by)

    found = report(normaliser="digits")

    assert (found.read, found.is_cut, found.rewritten.count) == (2, True, 2)
