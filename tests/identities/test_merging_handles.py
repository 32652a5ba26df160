"""A handle is merged into the one it was meant to be, by the rules of that one, and nothing is lost silently."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from identities import cataloguing, lookup, moving, releasing, renaming, routing, surveying
from identities.models import BlockedIdentifier, Extension, Handle, Identity, RoutingLogEntry
from identities.renaming import Plan
from identities.rewriting import Rewritten
from profiles.auditing import By
from profiles.models import Audit, Move, Profile
from profiles.refusing import Refused
from tests.cast import add, assert_sound, pairs_of, route

pytestmark = pytest.mark.django_db


def plan(name: str = "pos2", into: str = "pos") -> Plan:
    return renaming.plan_merge(Handle.objects.get(pk=name), Handle.objects.get(pk=into))


def merge(name: str = "pos2", into: str = "pos", *, by: By, reason: str = "") -> Rewritten:
    handles = Handle.objects.in_bulk([name, into])
    return renaming.merge(handles[name], into=handles[into], reason=reason, by=by)


def rule(name: str, **fields: Any) -> None:
    Handle.objects.filter(pk=name).update(**fields)


def everything() -> list[Any]:
    return [
        list(model.objects.order_by("pk").values()) for model in (Handle, Identity, Profile, BlockedIdentifier, Move)
    ]


def refusal_of(name: str = "pos2", into: str = "pos", *, by: By) -> Refused:
    """What the operation says no with; it and the plan agree, and neither changes anything."""
    before = everything(), Audit.objects.count(), RoutingLogEntry.objects.count()
    assert not plan(name, into).may_be_done
    with pytest.raises(Refused) as refusal:
        merge(name, into, by=by)
    assert (everything(), Audit.objects.count(), RoutingLogEntry.objects.count()) == before
    return refusal.value


@pytest.fixture(params=[surveying.CHUNK, 1], ids=["one chunk", "a chunk each"], autouse=True)
def chunk(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is found must not depend on which identities are in memory at the same time."""
    monkeypatch.setattr(surveying, "CHUNK", request.param)
    yield


def test_identities_go_to_the_other_handle_and_the_old_name_leads_there(ada: Profile, bo: Profile, by: By) -> None:
    moved, there = add(ada, "pos2:9000", by=by), add(ada, "pos:1", by=by)

    assert plan().may_be_done
    assert plan().identities == 1
    assert merge(by=by) == Rewritten(changed=1)

    assert pairs_of(ada) == ["pos:1", "pos:9000"]
    assert {row.pk for row in ada.identities.all()} == {moved.pk, there.pk}
    old = Handle.objects.get(pk="pos2")
    assert (old.status, old.renamed_to_id) == ("retired", "pos")
    for name in ("pos2", "pos"):
        assert lookup.resolve([(name, "9000")]) == [ada.pk]
        assert add(ada, f"{name}:9000", by=by) == moved
    assert_sound()


def test_the_same_pair_of_the_same_profile_is_one_identity_afterwards(ada: Profile, bo: Profile, by: By) -> None:
    goes, stays = add(ada, "pos2:9000", by=by), add(ada, "pos:9000", by=by)

    assert (plan().survey.same.count, plan().may_be_done) == (1, True)
    assert merge(by=by) == Rewritten(same=1)

    assert ada.identities.get() == stays
    audit = Audit.objects.get(event="deleted", auditable_key=str(goes.pk))
    assert (audit.profile, audit.by, audit.new_values) == (ada, by.user, {"same_as": stays.pk})
    assert audit.old_values["handle"] == "pos2"
    assert set(audit.old_values) >= {"identifier", "is_primary", "is_active", "original", "source", "created_at"}


def test_the_one_that_stays_inherits_the_primary_mark_and_what_the_other_brought(
    ada: Profile, bo: Profile, by: By
) -> None:
    goes, stays = add(ada, "pos2:9000", by=by), add(ada, "pos:9000", by=by)
    routing.change(goes.pk, is_primary=True, by=by, source=None)
    brought = route("pos2:9000", "magento-old:7", by=by).profile.identities.get(handle="magento-old")
    assert brought.brought_by == goes
    external_id = lookup.search("pos", "9000")

    merge(by=by)

    stays.refresh_from_db()
    brought.refresh_from_db()
    assert (stays.is_primary, brought.brought_by) == (True, stays)
    assert external_id and '"external_id" : "9000"' in external_id
    assert '"external_id" : "9000"' in (lookup.search("pos", "9000") or "")
    audit = Audit.objects.get(event="updated", auditable_key=str(stays.pk))
    assert audit.new_values == {"is_primary": True}
    assert_sound()


def test_one_that_was_brought_by_its_twin_is_brought_by_nobody(ada: Profile, by: By) -> None:
    goes = add(ada, "pos2:9000", by=by)
    route("pos2:9000", "pos:9000", by=by)
    stays = Identity.objects.get(handle="pos")
    assert stays.brought_by == goes

    merge(by=by)

    stays.refresh_from_db()
    assert stays.brought_by is None


def test_the_state_of_the_one_that_stays_is_left_as_it_is(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    stays = add(ada, "pos:9000", by=by)
    routing.change(stays.pk, is_active=False, by=by, source=None)

    merge(by=by)

    assert not ada.identities.get().is_active


def test_a_pair_that_one_of_them_confirms_is_confirmed(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    stays = add(ada, "pos:9000", by=by)
    Identity.objects.filter(pk=stays.pk).update(by_contact=True)

    merge(by=by)

    assert not ada.identities.get().by_contact


def test_the_same_pair_of_two_profiles_is_refused_until_somebody_decides(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos2:1", by=by)
    one, other = add(ada, "pos2:9000", by=by), add(ada_again, "pos:9000", by=by)

    (conflict,) = plan().survey.conflicts.first
    assert {conflict.stays.pk, conflict.goes.pk} == {one.pk, other.pk}
    refusal = refusal_of(by=by)
    assert refusal.code == "identity_taken"
    assert "The identities pos2:9000 and pos:9000 would be the same, and name two profiles." in refusal.message

    moving.move(one.pk, to=ada_again.pk, reason="The same person.", by=by)
    assert merge(by=by) == Rewritten(changed=1, same=1)
    assert (pairs_of(ada), pairs_of(ada_again)) == (["pos:1"], ["pos:9000"])


def test_a_sensitive_identifier_is_not_told_in_the_refusal(ada: Profile, ada_again: Profile, by: By) -> None:
    add(ada, "pos2:secret-9000", by=by)
    add(ada_again, "pos:secret-9000", by=by)
    rule("pos", sensitive=True)

    assert "secret" not in refusal_of(by=by).message


@pytest.mark.parametrize("deleted", ["pos2", "pos"])
def test_what_a_deleted_profile_left_behind_gives_way_and_is_logged(
    deleted: str, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    rows = {"pos2": add(ada, "pos2:9000", by=by), "pos": add(ada_again, "pos:9000", by=by)}
    profiles = {"pos2": ada, "pos": ada_again}
    gone, kept = rows.pop(deleted), rows.popitem()[1]
    releasing.delete(profiles[deleted].pk, by=by)

    assert (plan().survey.freed.count, plan().may_be_done) == (1, True)
    assert merge(by=by) == Rewritten(freed=1, changed=1 if deleted == "pos" else 0)

    identity = Identity.objects.get(handle="pos")
    assert (identity.pk, identity.profile_id) == (kept.pk, kept.profile_id)
    assert not Identity.objects.filter(pk=gone.pk).exists()
    entry = RoutingLogEntry.objects.get()
    assert (entry.outcome, entry.requested_profile, entry.routed_profile_id, entry.handle) == (
        "released_from", profiles[deleted], kept.profile_id, deleted,
    )  # fmt: skip
    assert Move.objects.get().from_profile == profiles[deleted]
    assert Audit.objects.get(event="deleted", auditable_type="identity").auditable_key == str(gone.pk)
    assert_sound()


def test_an_undelete_names_the_pair_that_gave_way_as_it_is_called_today(
    ada: Profile, ada_again: Profile, by: By
) -> None:
    add(ada, "pos2:9000", by=by)
    add(ada_again, "pos:9000", by=by)
    releasing.delete(ada.pk, by=by)
    merge(by=by)

    (gone,) = releasing.change_type(ada.pk, "active", by=by, source=None).not_returned

    assert (str(gone.pair), gone.owner) == ("pos:9000", ada_again)


def test_of_what_two_deleted_profiles_left_behind_one_stays(ada: Profile, ada_again: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    stays = add(ada_again, "pos:9000", by=by)
    for profile in (ada, ada_again):
        releasing.delete(profile.pk, by=by)

    assert merge(by=by) == Rewritten(freed=1)

    assert Identity.objects.get() == stays


def test_identifiers_take_the_normal_form_of_the_other_handle(ada: Profile, bo: Profile, by: By) -> None:
    row = add(ada, "pos2:No. 00 42", by=by)
    rule("pos", normaliser="digits")

    assert [one.form for one in plan().survey.rewritten.first] == ["0042"]
    merge(by=by)

    row.refresh_from_db()
    assert (row.handle_id, row.identifier, row.original) == ("pos", "0042", "No. 00 42")
    assert lookup.resolve([("pos2", "no 0042"), ("pos", "0042")]) == [ada.pk, ada.pk]


def test_identifiers_that_become_one_are_one_identity_if_one_profile_has_them(
    ada: Profile, bo: Profile, by: By
) -> None:
    for number in ("No. 42", "42", "4-2"):
        add(ada, f"pos2:{number}", by=by)
    stays = add(ada, "pos:42", by=by)
    rule("pos", normaliser="digits")

    assert plan().survey.same.count == 3
    assert merge(by=by) == Rewritten(same=3)

    assert ada.identities.get() == stays


def test_of_identifiers_that_become_one_the_older_stays(ada: Profile, by: By) -> None:
    older, _newer = add(ada, "pos2:No. 42", by=by), add(ada, "pos2:42", by=by)
    rule("pos", normaliser="digits")

    assert merge(by=by) == Rewritten(changed=1, same=1)

    assert ada.identities.get() == older


def test_of_identifiers_that_become_one_a_live_profiles_stays(ada: Profile, ada_again: Profile, by: By) -> None:
    add(ada, "pos2:No. 42", by=by)
    add(ada, "pos:42", by=by)
    stays = add(ada_again, "pos2:42", by=by)
    add(ada_again, "pos2:4-2", by=by)
    rule("pos", normaliser="digits")
    releasing.delete(ada.pk, by=by)

    assert plan().survey.freed.count + plan().survey.same.count == 3
    done = merge(by=by)

    assert Identity.objects.get() == stays
    assert done.same + done.freed == 3


def test_identifiers_of_two_profiles_that_become_one_are_refused(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos2:No. 42", by=by)
    add(ada_again, "pos2:42", by=by)
    rule("pos", normaliser="digits")

    assert plan().survey.conflicts.count == 1
    assert refusal_of(by=by).code == "identity_taken"


def test_an_identifier_without_a_normal_form_is_refused(ada: Profile, bo: Profile, by: By) -> None:
    add(ada, "pos2:42", by=by)
    add(ada, "pos2:none at all", by=by)
    rule("pos", normaliser="digits")

    assert [row.identifier for row in plan().survey.refused.first] == ["none at all"]
    refusal = refusal_of(by=by)
    assert (refusal.code, refusal.message) == (
        "invalid_identifier", "The identifier none at all is none by the rules of pos.",
    )  # fmt: skip


def test_an_identifier_that_does_not_match_the_pattern_goes_along_and_still_names_its_profile(
    ada: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos2:9000", by=by)
    add(ada, "pos2:T7", by=by)
    rule("pos", pattern="T[0-9]+")

    assert [row.identifier for row in plan().survey.unmatched.first] == ["9000"]
    assert merge(by=by) == Rewritten(changed=2)

    assert route("pos:9000", by=by).profile == ada


@pytest.mark.parametrize("limit", [{"single_valued": True}, {"max_per_profile": 1}])
def test_a_profile_that_would_hold_too_many_is_refused(
    limit: dict[str, Any], ada: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos2:9000", by=by)
    add(ada, "pos:1", by=by)
    rule("pos", **limit)

    assert plan().survey.crowded.first == [ada.pk]
    refusal = refusal_of(by=by)
    assert refusal.code == "too_many_identities"
    assert str(ada.pk) in refusal.message


@pytest.mark.parametrize("limit", [{"single_valued": True}, {"max_per_profile": 1}])
def test_the_same_pair_counts_once_for_the_limit(limit: dict[str, Any], ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    add(ada, "pos:9000", by=by)
    rule("pos", **limit)

    assert plan().may_be_done
    assert merge(by=by) == Rewritten(same=1)


def test_an_inactive_identity_leaves_a_single_valued_handle_alone(ada: Profile, by: By) -> None:
    inactive = add(ada, "pos2:9000", by=by)
    add(ada, "pos:1", by=by)
    routing.change(inactive.pk, is_active=False, by=by, source=None)
    rule("pos", single_valued=True)

    assert plan().may_be_done
    assert merge(by=by) == Rewritten(changed=1)


def test_a_profile_that_was_over_the_limit_before_is_nobodys_fault(ada: Profile, ada_again: Profile, by: By) -> None:
    for pair in ("pos:1", "pos:2"):
        add(ada, pair, by=by)
    add(ada_again, "pos2:9000", by=by)
    rule("pos", max_per_profile=1)

    assert plan().may_be_done
    assert merge(by=by) == Rewritten(changed=1)


def test_former_names_lead_to_the_other_handle_too(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    renaming.rename(Handle.objects.get(pk="pos2"), to="till-2", reason="", by=by)

    assert plan("till-2").names == ["pos2"]
    merge("till-2", by=by)

    assert set(Handle.objects.filter(renamed_to="pos").values_list("pk", flat=True)) == {"pos2", "till-2"}
    assert lookup.resolve([("pos2", "9000")]) == [ada.pk]


def test_blocked_values_hold_under_the_other_handle(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    pos2, pos = (Handle.objects.get(pk=name) for name in ("pos2", "pos"))
    for handle, value, enabled in ((pos2, "walk-in", True), (pos2, "counter", True), (pos, "counter", False)):
        cataloguing.block({"value": value, "handle": handle, "enabled": enabled}, by=by)

    assert {one.value for one in plan().blocked} == {"walk-in", "counter"}
    merge(by=by)

    entries = BlockedIdentifier.objects.exclude(handle=None).values_list("handle", "value", "enabled")
    assert sorted(entries) == [("pos", "counter", True), ("pos", "walk-in", True)]


def test_who_may_write_afterwards_is_who_may_write_the_other_handle(
    ada: Profile, shopify: Extension, klaviyo: Extension, by: By
) -> None:
    add(ada, "klavio:01HX", by=by, source=shopify)

    merge("klavio", "klaviyo", by=by)

    with pytest.raises(Refused) as refusal:
        add(ada, "klavio:01HY", by=by, source=shopify)
    assert refusal.value.code == "reserved_handle"
    assert add(ada, "klavio:01HY", by=by, source=klaviyo).handle_id == "klaviyo"


@pytest.mark.parametrize(
    ("name", "into", "code"),
    [
        ("email", "pos", "builtin_handle"),
        ("pos", "email", "builtin_handle"),
        ("pos", "pos", "invalid_handle"),
        ("pos", "pos2", "invalid_handle"),
    ],
)
def test_what_cannot_be_merged_is_refused(name: str, into: str, code: str, bo: Profile, by: By) -> None:
    add(bo := Profile.objects.create(), "pos2:9000", by=by)

    assert refusal_of(name, into, by=by).code == code
    assert pairs_of(bo) == ["pos2:9000"]


def test_nothing_is_merged_twice_nor_into_a_former_name(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    add(ada, "pos3:1", by=by)
    merge(by=by)

    assert refusal_of(by=by).message == "The handle pos2 is a former name of pos."
    assert (
        refusal_of("pos3", "pos2", by=by).message == "The handle pos2 is not agreed, so nothing can be merged into it."
    )


def test_one_that_is_retired_meanwhile_takes_nothing(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    handles = Handle.objects.in_bulk(["pos2", "pos"])
    cataloguing.retire(handles["pos"], by=by)

    with pytest.raises(Refused) as refusal:
        renaming.merge(handles["pos2"], into=handles["pos"], reason="", by=by)

    assert refusal.value.code == "invalid_handle"


def test_who_merged_what_and_why_stands_in_the_audit(ada: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    add(ada, "pos2:1", by=by)
    add(ada, "pos:1", by=by)

    merge(by=by, reason="The same till.")

    audit = Audit.objects.get(auditable_type="handle")
    assert (audit.event, audit.auditable_key, audit.by) == ("merged", "pos2", by.user)
    assert audit.new_values == {
        "status": "retired", "renamed_to": "pos", "identities": 1, "same": 1, "freed": 0, "reason": "The same till.",
    }  # fmt: skip


def test_a_refusal_leaves_nothing_in_the_routing_log(ada: Profile, ada_again: Profile, by: By) -> None:
    add(ada, "pos2:9000", by=by)
    add(ada_again, "pos:9000", by=by)

    refusal_of(by=by)

    assert not RoutingLogEntry.objects.exists()


def test_the_plan_looks_at_the_oldest_only_and_the_merge_at_all(
    ada: Profile, ada_again: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2, 3):
        add(ada, f"pos2:900{number}", by=by)
    add(ada_again, "pos:9003", by=by)

    monkeypatch.setattr(surveying, "MOST_READ", 2)
    found = plan().survey

    assert (found.read, found.is_cut, found.conflicts.count) == (2, True, 0)
    with pytest.raises(Refused):
        merge(by=by)
    monkeypatch.setattr(surveying, "MOST_READ", 3)
    whole = plan().survey
    assert (whole.read, whole.is_cut, whole.conflicts.count) == (3, False, 1)


def test_a_list_of_conflicts_is_counted_whole_and_shown_in_part(
    ada: Profile, ada_again: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surveying, "MOST_SHOWN", 2)
    for number in (1, 2, 3):
        add(ada, f"pos2:900{number}", by=by)
        add(ada_again, f"pos:900{number}", by=by)

    conflicts = plan().survey.conflicts

    assert (conflicts.count, len(conflicts.first)) == (3, 2)


def test_identities_that_keep_their_identifier_go_in_one_statement(
    ada: Profile, by: By, django_assert_max_num_queries: Any
) -> None:
    for number in range(100, 130):
        add(ada, f"pos2:{number}", by=by)

    with django_assert_max_num_queries(30) as few:
        merge(by=by)

    written = [query["sql"] for query in few.captured_queries if 'UPDATE "identities_identity"' in query["sql"]]
    assert len(written) == 1
