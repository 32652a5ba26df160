"""A handle gets another name: everything that stood under the old one stands under the new, and the old one follows."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction

from identities import cataloguing, lookup, matching, moving, releasing, renaming, renormalising
from identities.models import BlockedIdentifier, Extension, Handle, Identity, Pair, RoutingLogEntry
from identities.renaming import CARRIED
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import add, assert_sound, pairs_of, route

pytestmark = pytest.mark.django_db


def rename(name: str, to: str, *, by: By, reason: str = "") -> int:
    return renaming.rename(Handle.objects.get(pk=name), to=to, reason=reason, by=by)


def refusal_of(name: str, to: str, *, by: By) -> Refused:
    """What the operation says no with, which the plan says beforehand in the same words."""
    before = list(Handle.objects.order_by("pk").values())
    planned = renaming.plan_rename(Handle.objects.get(pk=name), to)
    with pytest.raises(Refused) as refusal:
        rename(name, to, by=by)
    assert (planned.hindrance, planned.may_be_done) == (refusal.value.message, False)
    assert list(Handle.objects.order_by("pk").values()) == before
    return refusal.value


def test_every_identity_goes_to_the_new_name_and_keeps_its_id(ada: Profile, bo: Profile, by: By) -> None:
    kept = [add(ada, "pos2:9000", by=by), add(ada, "pos2:9001", by=by), add(ada, "pos:1", by=by)]

    number = rename("pos2", "till-number", by=by)

    assert number == 2
    assert pairs_of(ada) == ["pos:1", "till-number:9000", "till-number:9001"]
    assert sorted(Identity.objects.filter(profile=ada).values_list("pk", flat=True)) == [row.pk for row in kept]
    assert_sound()


def test_a_renamed_identity_counts_as_updated_for_those_who_ask_what_changed(ada: Profile, by: By) -> None:
    renamed, other = add(ada, "pos2:9000", by=by), add(ada, "pos:1", by=by)

    rename("pos2", "till-number", by=by)

    assert Identity.objects.get(pk=renamed.pk).updated_at > renamed.updated_at
    assert Identity.objects.get(pk=other.pk).updated_at == other.updated_at


def test_what_the_catalogue_says_goes_along(klaviyo: Extension, by: By) -> None:
    fields = {
        "label": "List", "description": "A list.", "example": "7", "status": "agreed", "reserved_for": klaviyo,
        "normaliser": "digits", "pattern": "[0-9]+", "single_valued": True, "max_per_profile": 3, "immutable": True,
        "sensitive": True, "priority": 9,
    }  # fmt: skip
    cataloguing.create({"name": "klaviyo-list", **fields}, by=by)
    before = Handle.objects.filter(pk="klaviyo-list").values(*CARRIED).get()

    rename("klaviyo-list", "newsletter", by=by)

    assert Handle.objects.filter(pk="newsletter").values(*CARRIED).get() == before


def test_all_that_a_handle_says_is_carried_to_another_name() -> None:
    columns = {column.name for column in Handle._meta.concrete_fields}

    assert columns - set(CARRIED) == {"name", "fold", "renamed_to"}


def test_the_old_name_stays_retired_and_leads_to_the_new_one(ada: Profile, klaviyo: Extension, by: By) -> None:
    rename("klaviyo", "newsletter", by=by)

    old = Handle.objects.get(pk="klaviyo")
    assert (old.status, old.renamed_to_id, old.reserved_for) == ("retired", "newsletter", None)
    identity = add(ada, "klaviyo:01HX", by=by, source=klaviyo)
    assert identity.handle_id == "newsletter"
    assert add(ada, "newsletter:01HX", by=by, source=klaviyo) == identity
    for name in ("klaviyo", "newsletter"):
        assert route(f"{name}:01HX", by=by, source=klaviyo).profile == ada
        assert lookup.resolve([(name, "01HX")]) == [ada.pk]
        assert lookup.search(name, "01HX") is not None
        assert matching.having({"exact": "01HX"}, handle=name).get() == identity
        assert matching.owned([Pair(matching.current_name(name), "01HX")]) == {identity.pair: identity}


def test_the_reservation_goes_along(ada: Profile, shopify: Extension, by: By) -> None:
    rename("klaviyo", "newsletter", by=by)

    for name in ("klaviyo", "newsletter"):
        with pytest.raises(Refused) as refusal:
            add(ada, f"{name}:01HX", by=by, source=shopify)
        assert refusal.value.code == "reserved_handle"


def test_a_handle_that_was_renamed_twice_is_one_hop_from_each_of_its_names(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)

    rename("pos2", "till-number", by=by)
    rename("till-number", "cash-desk", by=by)

    leads = dict(Handle.objects.exclude(renamed_to=None).values_list("pk", "renamed_to"))
    assert leads == {"pos2": "cash-desk", "till-number": "cash-desk"}
    for name in ("pos2", "till-number", "cash-desk"):
        assert lookup.resolve([(name, "9000")]) == [ada.pk]
        assert add(ada, f"{name}:9000", by=by).handle_id == "cash-desk"


def test_a_rename_is_taken_back_by_another(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    before = Handle.objects.filter(pk="pos2").values().get()

    rename("pos2", "till-number", by=by)
    rename("till-number", "pos2", by=by)

    assert Handle.objects.filter(pk="pos2").values().get() == before
    assert Handle.objects.get(pk="till-number").renamed_to_id == "pos2"
    assert pairs_of(ada) == ["pos2:9000"]
    assert lookup.resolve([("till-number", "9000"), ("pos2", "9000")]) == [ada.pk, ada.pk]


def test_what_was_said_under_the_new_name_meanwhile_goes_back_too(by: By) -> None:
    add(Profile.objects.create(), "pos2:1", by=by)
    rename("pos2", "till-number", by=by)
    cataloguing.change(Handle.objects.get(pk="till-number"), {"label": "Till"}, by=by)

    rename("till-number", "pos2", by=by)

    assert Handle.objects.get(pk="pos2").label == "Till"


@pytest.mark.parametrize("spelled", ["pos-2", "p_o_s2", "POS2"])
def test_another_spelling_of_the_same_name_is_refused_since_the_old_one_would_no_longer_be_followed(
    spelled: str, ada: Profile, by: By
) -> None:
    add(ada, "pos2:9000", by=by)

    refusal = refusal_of("pos2", spelled, by=by)

    assert refusal.code == "invalid_handle"
    assert "differ only in - and _" in refusal.message
    assert "whoever writes pos2 would be refused" in refusal.message
    assert lookup.resolve([("pos2", "9000")]) == [ada.pk]


def test_nor_does_a_detour_bring_another_spelling_in(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    rename("pos2", "till-number", by=by)

    assert "There is a handle pos2 already" in refusal_of("till-number", "pos-2", by=by).message


@pytest.mark.parametrize(
    ("name", "to", "code", "sentence"),
    [
        ("email", "mail", "builtin_handle", "Contact points are built in"),
        ("mobile_phone", "cell", "builtin_handle", "Contact points are built in"),
        ("pos", "pos", "invalid_handle", "This is its name."),
        ("pos", "shopify", "invalid_handle", "There is a handle shopify already. To put both together, merge"),
        ("pos", "email", "invalid_handle", "There is a handle email already."),
        ("pos", "loyalty_card", "invalid_handle", "There is a handle loyalty-card already; did you mean that?"),
        ("pos", "profile-id", "invalid_handle", "This word means the profile itself."),
        ("pos", "", "invalid_handle", "This field cannot be blank."),
        ("pos", "a b", "invalid_handle", "Use lower-case letters"),
        ("pos", "<b>", "invalid_handle", "Use lower-case letters"),
        ("pos", "till\0", "invalid_handle", "Use lower-case letters"),
        ("pos", "x" * 65, "invalid_handle", "at most 64 characters"),
        ("pos", "x" * 10_000, "invalid_handle", "at most 64 characters"),
        ("pos", "\ud800", "invalid_handle", "Use lower-case letters"),
    ],
)
def test_a_name_that_cannot_be_is_refused(name: str, to: str, code: str, sentence: str, bo: Profile, by: By) -> None:
    refusal = refusal_of(name, to, by=by)

    assert refusal.code == code
    assert sentence in refusal.message
    assert not Audit.objects.filter(auditable_type="handle").exists()


def test_a_former_name_is_neither_renamed_nor_given_to_another_handle(by: By) -> None:
    add(Profile.objects.create(), "pos2:1", by=by)
    rename("pos2", "till-number", by=by)

    assert refusal_of("pos2", "cash-desk", by=by).code == "retired_handle"
    assert "The handle pos2 is a former name of till-number." in refusal_of("pos", "pos2", by=by).message


def test_a_former_name_stays_retired_whoever_edits_it(by: By) -> None:
    rename("pos", "till-number", by=by)
    old = Handle.objects.get(pk="pos")

    for status in ("agreed", "undocumented"):
        with pytest.raises(Exception, match="former name of till-number and stays retired"):
            cataloguing.change(old, {"status": status}, by=by)
    with pytest.raises(Exception, match="former name of till-number and stays retired"):
        cataloguing.agree(old, {"label": "Till"}, by=by)


def test_a_retired_handle_can_still_be_named_better(ada: Profile, by: By) -> None:
    add(ada, "pos:1", by=by)
    cataloguing.retire(Handle.objects.get(pk="pos"), by=by)

    rename("pos", "old-till", by=by)

    assert Handle.objects.get(pk="old-till").status == "retired"
    assert pairs_of(ada) == ["old-till:1"]


def test_the_plan_says_what_goes_along_and_changes_nothing(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    rename("pos2", "till-number", by=by)
    blocked = cataloguing.block({"value": "walk-in", "handle": Handle.objects.get(pk="till-number")}, by=by)
    before = (list(Handle.objects.order_by("pk").values()), list(Identity.objects.values()), Audit.objects.count())

    plan = renaming.plan_rename(Handle.objects.get(pk="till-number"), "cash-desk")

    assert (plan.identities, plan.is_capped, plan.names, plan.blocked) == (1, False, ["pos2"], [blocked])
    assert plan.may_be_done
    assert (
        list(Handle.objects.order_by("pk").values()),
        list(Identity.objects.values()),
        Audit.objects.count(),
    ) == before


def test_a_blocked_value_stays_blocked_under_the_new_name(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    cataloguing.block({"value": "walk-in", "handle": Handle.objects.get(pk="pos2")}, by=by)

    rename("pos2", "till-number", by=by)

    assert BlockedIdentifier.objects.get(value="walk-in").handle_id == "till-number"
    for name in ("pos2", "till-number"):
        with pytest.raises(Refused) as refusal:
            add(ada, f"{name}:Walk-In", by=by)
        assert refusal.value.code == "blocked_identifier"


def test_it_is_blocked_by_the_old_name_also_where_it_has_no_normal_form(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    cataloguing.block({"value": "walk-in", "handle": Handle.objects.get(pk="pos2")}, by=by)
    renormalising.change(Handle.objects.get(pk="pos2"), {"normaliser": "digits"}, by=by)
    rename("pos2", "till-number", by=by)

    for name in ("pos2", "till-number"):
        with pytest.raises(Refused) as refusal:
            add(ada, f"{name}:walk-in", by=by)
        assert refusal.value.code == "blocked_identifier"


def test_the_database_lets_no_former_name_be_anything_but_retired(by: By) -> None:
    rename("pos", "till-number", by=by)

    for change in ({"status": "agreed"}, {"renamed_to": "pos"}):
        with pytest.raises(IntegrityError, match="former_names_of_handles_are_retired"), transaction.atomic():
            Handle.objects.filter(pk="pos").update(**change)


def test_the_log_is_found_by_each_name_and_keeps_the_one_of_its_day(ada: Profile, bo: Profile, by: By) -> None:
    for name in ("pos2", "till-number"):
        add(ada, "pos2:9000", by=by)
        with pytest.raises(Refused):
            add(bo, f"{name}:9000", by=by)
        if name == "pos2":
            rename("pos2", "till-number", by=by)

    assert list(RoutingLogEntry.objects.order_by("pk").values_list("handle", flat=True)) == ["pos2", "till-number"]
    for name in ("pos2", "till-number"):
        assert matching.every_name(name) == ["pos2", "till-number"]
    assert matching.every_name("loyalty-card") == ["loyalty-card"]
    assert matching.every_name("nobody") == ["nobody"]


def test_an_undelete_finds_its_pairs_under_the_new_name_and_form(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos2:Ab-1", by=by)
    add(ada, "pos2:Ab-2", by=by)
    releasing.delete(ada.pk, by=by)
    for pair in ("pos2:Ab-1", "pos2:Ab-2"):
        add(ada_again, pair, by=by)
    other = route("loyalty-card:7", by=by).profile
    moving.move(Identity.objects.get(identifier="Ab-2").pk, to=other.pk, reason="Theirs.", by=by)
    rename("pos2", "till-number", by=by)
    renormalising.change(Handle.objects.get(pk="till-number"), {"normaliser": "fold"}, by=by)
    releasing.delete(ada_again.pk, by=by)

    retyped = releasing.change_type(ada.pk, "active", by=by, source=None)

    assert pairs_of(ada) == ["till-number:ab-1"]
    assert [(str(one.pair), one.owner) for one in retyped.not_returned] == [("till-number:ab-2", other)]


def test_who_renamed_what_and_why_stands_in_the_audit_of_both_names(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)

    rename("pos2", "till-number", by=by, reason="It is the till's.")

    old = Audit.objects.get(auditable_type="handle", auditable_key="pos2")
    assert (old.event, old.by) == ("renamed", by.user)
    assert old.old_values == {"status": "undocumented", "reserved_for": None}
    assert old.new_values == {
        "status": "retired", "renamed_to": "till-number", "identities": 1, "reason": "It is the till's.",
    }  # fmt: skip
    new = Audit.objects.get(auditable_type="handle", auditable_key="till-number")
    assert (new.event, new.by, new.new_values["renamed_from"]) == ("created", by.user, "pos2")


def test_a_handle_that_is_gone_is_not_renamed(by: By) -> None:
    with pytest.raises(Handle.DoesNotExist):
        renaming.rename(Handle(name="nothing"), to="something", reason="", by=by)


def test_all_identities_are_renamed_in_one_statement(
    ada: Profile, by: By, django_assert_max_num_queries: object
) -> None:
    for number in range(100, 130):
        add(ada, f"pos2:{number}", by=by)

    with django_assert_max_num_queries(25) as few:  # type: ignore[operator]
        rename("pos2", "till-number", by=by)

    assert (
        sum("UPDATE" in query["sql"] and "identities_identity" in query["sql"] for query in few.captured_queries) == 1
    )
