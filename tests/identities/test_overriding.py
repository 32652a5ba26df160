"""A claim ends when an integration or staff writes the same pair: it becomes the identity, or it was wrong (API.md 6)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities import adding, batching, claiming, moving, overriding, recording, releasing, routing
from identities.adding import Row
from identities.incoming import Incoming
from identities.models import Extension, Handle, Identity, IdentityClaim, RoutingLogEntry
from profiles import merging
from profiles.auditing import By
from profiles.models import Audit, DuplicatePair, Profile, Transaction
from profiles.refusing import Refused
from profiles.tasks import read
from tests.cast import (
    add,
    assert_sound,
    claim,
    claim_contact,
    claims_of,
    come,
    known,
    merge,
    pairs_of,
    route,
    sent,
    undo,
    update,
    value_of,
)
from tests.importing import bring_in

pytestmark = pytest.mark.django_db

CARD = "loyalty-card:777"


@pytest.fixture
def ada(by: By) -> Profile:
    return known("pos-customer:1", by=by, first_name="Ada", email="ada@example.com")


@pytest.fixture
def cy(by: By) -> Profile:
    return known("pos-customer:3", by=by, first_name="Cy")


@pytest.fixture
def claimed(ada: Profile, by: By) -> IdentityClaim:
    """Ada has said that a card is hers."""
    return claim(ada, CARD, by=by)


# Every write by which a pair may come to a profile: to the one that is known by the till's number 1, or 3.

Write = Callable[[Profile, By, Path], Any]


def _till(profile: Profile) -> str:
    return str(profile.identities.get(handle="pos-customer").pair)


def _changed(profile: Profile, by: By, folder: Path) -> None:
    row = add(profile, "loyalty-card:another", by=by)
    routing.change(row.pk, identifier="777", by=by, source=None)


def _batch_of_profiles(profile: Profile, by: By, folder: Path) -> None:
    payload = {
        "identities": [
            {"handle": one.handle, "identifier": one.identifier} for one in map(sent, (_till(profile), CARD))
        ]
    }
    batch = batching.queue("pos-customer", [payload], by=by, source=None)
    batching.bring_in(batch.pk, read=read, stop=lambda: False, give_up=True)
    assert [row.code for row in batch.rows.all()] == [""]


def _imported(profile: Profile, by: By, folder: Path) -> None:
    path = folder / "people.csv"
    path.write_text(f"pos-customer,loyalty-card\n{sent(_till(profile)).identifier},777\n")
    bring_in(path, "--by", by.user.get_username())


def _put_in_a_record(profile: Profile, by: By, folder: Path) -> None:
    record = come(Transaction, _till(profile), by=by).record
    given = Incoming({}, None, [sent(CARD)])
    recording.change(Transaction, record.pk, given, by=by, source=None)


WRITES: dict[str, Write] = {
    "POST identities": lambda profile, by, _: add(profile, CARD, by=by),
    "PUT identities": _changed,
    "batch": lambda profile, by, _: adding.add_all(
        [Row(profile.pk, sent("pos:9")), Row(profile.pk, sent(CARD))], by=by, source=None
    ),
    "POST profiles": lambda profile, by, _: route(_till(profile), CARD, by=by),
    "profiles batch": _batch_of_profiles,
    "record": lambda profile, by, _: come(Transaction, _till(profile), CARD, by=by),
    "PUT record": _put_in_a_record,
    "import": _imported,
}

every_write = pytest.mark.parametrize("write", WRITES.values(), ids=list(WRITES))


@every_write
def test_when_it_is_for_the_same_profile_the_claim_becomes_the_identity(
    ada: Profile, claimed: IdentityClaim, write: Write, tmp_path: Path, by: By
) -> None:
    write(ada, by, tmp_path)

    assert CARD in pairs_of(ada)
    assert claims_of(ada) == []
    entry = Audit.objects.filter(auditable_type="identity_claim").latest("pk")
    row = Identity.objects.get(handle="loyalty-card", identifier="777")
    assert (entry.event, entry.profile, entry.new_values) == ("confirmed", ada, {"identity": row.pk})
    assert not RoutingLogEntry.objects.exists()
    assert not DuplicatePair.objects.exists()
    assert_sound()


@every_write
def test_when_it_is_for_another_the_claim_is_dropped_logged_and_both_enter_the_duplicates_queue(
    ada: Profile, cy: Profile, claimed: IdentityClaim, write: Write, tmp_path: Path, by: By
) -> None:
    write(cy, by, tmp_path)

    assert CARD in pairs_of(cy)
    assert claims_of(ada) == []
    (entry,) = RoutingLogEntry.objects.all()
    assert (entry.outcome, entry.handle, entry.identifier) == ("claim_overridden", "loyalty-card", "777")
    assert (entry.requested_profile, entry.routed_profile, entry.by) == (ada, cy, by.user)
    assert entry.candidates == sorted([ada.pk, cy.pk])
    (pair,) = DuplicatePair.objects.all()
    assert {pair.low, pair.high} == {ada, cy}
    assert (pair.status, pair.evidence) == ("open", {"conflict": [entry.pk]})
    told = Audit.objects.filter(auditable_type="identity_claim").latest("pk")
    assert (told.event, told.profile) == ("overridden", ada)
    assert_sound()


@pytest.mark.parametrize("write", ["POST profiles", "record", "import"])
def test_a_new_profile_overrides_a_claim_too(
    ada: Profile, claimed: IdentityClaim, write: str, tmp_path: Path, by: By
) -> None:
    if write == "import":
        (tmp_path / "people.csv").write_text("first_name,loyalty-card\nCy,777\nDi,778\n")
        bring_in(tmp_path / "people.csv", "--by", by.user.get_username())
    elif write == "record":
        come(Transaction, CARD, by=by)
    else:
        route(CARD, by=by)

    owner = Identity.objects.get(handle="loyalty-card", identifier="777").profile
    assert claims_of(ada) == []
    (entry,) = RoutingLogEntry.objects.all()
    assert (entry.outcome, entry.requested_profile, entry.routed_profile) == ("claim_overridden", ada, owner)
    assert {DuplicatePair.objects.get().low, DuplicatePair.objects.get().high} == {ada, owner}


def test_who_claimed_and_who_has_it_are_told_in_the_log_with_the_extension_that_wrote(
    ada: Profile, cy: Profile, claimed: IdentityClaim, shopify: Extension, by: By
) -> None:
    come(Transaction, "pos-customer:3", CARD, source=shopify, external_id="T-1", by=by)

    (entry,) = RoutingLogEntry.objects.all()
    assert entry.source == shopify
    assert entry.payload["external_id"] == "T-1"


def test_a_pair_of_a_deleted_profile_that_is_taken_over_ends_its_claims(
    ada: Profile, cy: Profile, bo: Profile, by: By
) -> None:
    releasing.delete(known(CARD, by=by).pk, by=by)
    claim(ada, CARD, by=by)
    claim(bo, CARD, by=by)

    add(ada, CARD, by=by)

    assert claims_of(ada) == claims_of(bo) == []
    assert set(RoutingLogEntry.objects.values_list("outcome", flat=True)) == {"released_from", "claim_overridden"}


def test_an_identity_that_is_moved_to_a_profile_ends_its_claim_and_nobody_elses(
    ada: Profile, cy: Profile, bo: Profile, by: By
) -> None:
    row = add(cy, CARD, by=by)
    claim(ada, CARD, by=by)
    claim(bo, CARD, by=by)

    moving.move(row.pk, to=ada.pk, reason="She has shown it.", by=by)

    assert claims_of(ada) == []
    # That is as wrong, or as right, as it was before.
    assert claims_of(bo) == [CARD]
    assert not DuplicatePair.objects.exists()


def test_an_identity_that_is_split_off_to_a_profile_ends_its_claim(ada: Profile, cy: Profile, by: By) -> None:
    row = add(cy, CARD, by=by)
    claim(ada, CARD, by=by)

    merging.split(cy.pk, [row.pk], to=ada.pk, by=by)

    assert claims_of(ada) == []
    assert_sound()


def test_a_claim_of_what_another_has_is_kept_while_that_is_only_matched(ada: Profile, bo: Profile, by: By) -> None:
    claim(ada, "loyalty-card:bo", by=by)

    come(Transaction, "loyalty-card:bo", by=by)
    assert not adding.add(bo.pk, sent("loyalty-card:bo"), by=by, source=None).created

    assert claims_of(ada) == ["loyalty-card:bo"]
    bo.transactions.all().delete()


def test_a_refused_write_confirms_and_overrides_nothing(
    ada: Profile, cy: Profile, claimed: IdentityClaim, klaviyo: Extension, by: By
) -> None:
    Handle.objects.filter(pk="loyalty-card").update(reserved_for=klaviyo)

    for profile in (ada, cy):
        with pytest.raises(Refused):
            add(profile, CARD, by=by)
    come(Transaction, "pos-customer:3", CARD, by=by)

    assert claims_of(ada) == [CARD]
    assert not RoutingLogEntry.objects.filter(outcome="claim_overridden").exists()


def test_claims_of_a_deleted_profile_wait_for_its_undelete(ada: Profile, claimed: IdentityClaim, by: By) -> None:
    releasing.delete(ada.pk, by=by)
    releasing.change_type(ada.pk, "active", by=by, source=None)

    assert claims_of(ada) == [CARD]


def test_a_claim_of_a_deleted_profile_is_dropped_and_logged_but_nobody_is_asked_about_it(
    ada: Profile, cy: Profile, claimed: IdentityClaim, by: By
) -> None:
    releasing.delete(ada.pk, by=by)

    add(cy, CARD, by=by)

    assert claims_of(ada) == []
    assert [entry.outcome for entry in RoutingLogEntry.objects.all()] == ["claim_overridden"]
    assert not DuplicatePair.objects.exists()


def test_a_pair_that_was_told_apart_stays_so(ada: Profile, cy: Profile, claimed: IdentityClaim, by: By) -> None:
    undo(merge(cy, ada, by=by)[0], by=by)

    add(cy, CARD, by=by)

    assert DuplicatePair.objects.get().status == "dismissed"


def test_many_claims_of_one_pair_hold_up_nobody(cy: Profile, by: By, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overriding, "MOST_OVERRIDDEN", 2)  # besides one for each pair
    everybody = [known(f"pos:{number}", by=by) for number in (7, 8, 9)]
    for one in (*everybody, cy):
        claim(one, CARD, by=by)

    add(cy, CARD, by=by)

    assert claims_of(cy) == []
    # Three at once, one of them its own; the rest waits for staff, as any claim of what is another's does.
    assert [claims_of(one) for one in everybody] == [[], [], [CARD]]
    assert DuplicatePair.objects.count() == 2


# What it costs


def statements(write: Callable[[], Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        write()
    return len(captured)


def test_writes_ask_for_no_claims_unless_there_are_some(ada: Profile, by: By) -> None:
    def asked(write: Callable[[], Any]) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            write()
        return [one["sql"] for one in captured if "identityclaim" in one["sql"].lower()]

    # A new pair is asked about by the statement that inserts it.
    (insert,) = asked(lambda: add(ada, "loyalty-card:8", by=by))
    assert "INSERT INTO" in insert
    # One that is known is not asked about at all.
    assert asked(lambda: come(Transaction, "pos-customer:1", by=by)) == []
    assert asked(lambda: add(ada, "loyalty-card:8", by=by)) == []
    assert asked(lambda: route("pos-customer:1", by=by)) == []
    assert asked(lambda: update(ada, by=by, first_name="Augusta", email="ada@example.com")) == []


# Merging and undoing


def test_a_merge_takes_claims_along_and_its_undo_sends_them_home(ada: Profile, cy: Profile, by: By) -> None:
    claim(ada, "loyalty-card:1", by=by)
    claim(cy, "loyalty-card:3", by=by)
    claim_contact(cy, by=by, email="cy@example.com")

    (one,) = merge(ada, cy, by=by)

    assert claims_of(cy) == []
    assert claims_of(ada) == ["email:cy@example.com", "loyalty-card:1", "loyalty-card:3"]
    assert_sound()
    # Whoever still says the duplicate's id speaks of it; the survivor's says nothing of the other.
    claiming.claim(cy.pk, sent("loyalty-card:33"), by=by, source=None)
    claiming.claim(ada.pk, sent("loyalty-card:11"), by=by, source=None)
    assert_sound()

    undo(one, by=by)

    assert claims_of(ada) == ["loyalty-card:1", "loyalty-card:11"]
    assert claims_of(cy) == ["email:cy@example.com", "loyalty-card:3", "loyalty-card:33"]
    assert_sound()


def test_an_inner_undo_sends_claims_home_from_the_top_of_the_chain(
    ada: Profile, cy: Profile, ada_again: Profile, by: By
) -> None:
    claim(cy, "loyalty-card:3", by=by)
    (inner,) = merge(ada_again, cy, by=by)
    merge(ada, ada_again, by=by)
    assert claims_of(ada) == ["loyalty-card:3"]

    undo(inner, by=by)

    assert (claims_of(ada), claims_of(cy)) == ([], ["loyalty-card:3"])
    assert_sound()


def test_of_the_same_claim_of_both_the_one_that_was_said_last_stays(ada: Profile, cy: Profile, by: By) -> None:
    claim(ada, "loyalty-card:1", by=by)
    claim_contact(ada, by=by, email="old@example.com", mobile_phone="+61404123123")
    last = claim(cy, "loyalty-card:1", by=by)
    claim_contact(cy, by=by, email="new@example.com")

    merge(ada, cy, by=by)

    assert claims_of(ada) == ["email:new@example.com", "loyalty-card:1", "mobile_phone:+61404123123"]
    assert IdentityClaim.objects.get(handle="loyalty-card") == last
    entries = Audit.objects.filter(auditable_type="identity_claim", event="superseded")
    assert [entry.profile for entry in entries] == [ada, ada]
    assert_sound()


@pytest.mark.parametrize("holder", ["survivor", "duplicate"])
def test_a_merge_with_the_profile_that_has_the_pair_ends_the_claim(
    ada: Profile, cy: Profile, holder: str, by: By
) -> None:
    has, says = (ada, cy) if holder == "survivor" else (cy, ada)
    add(has, CARD, by=by)
    claim(says, CARD, by=by)
    claim_contact(cy, by=by, email="ada@example.com")

    merge(ada, cy, by=by)

    assert claims_of(ada) == []
    events = Audit.objects.filter(auditable_type="identity_claim").exclude(event="created")
    assert {(entry.event, entry.profile) for entry in events} == {("confirmed", ada)}
    assert_sound()


def test_no_plan_of_a_merge_changes_with_what_a_customer_says(ada: Profile, cy: Profile, by: By) -> None:
    plan = merging.preview(ada.pk, [cy.pk]).plan

    claim(cy, CARD, by=by)
    claim_contact(ada, by=by, email="new@example.com")

    assert merging.merge(ada.pk, [cy.pk], plan=plan, by=by).merges


def test_a_split_leaves_claims_where_they_are(ada: Profile, by: By) -> None:
    row = add(ada, "loyalty-card:1", by=by)
    claim(ada, CARD, by=by)

    told = merging.split(ada.pk, [row.pk], by=by)

    assert claims_of(ada) == [CARD]
    assert told.profile is not None
    assert claims_of(told.profile) == []


def test_claims_die_with_their_profile(ada: Profile, cy: Profile, by: By) -> None:
    claim(ada, CARD, by=by)
    claim(cy, CARD, by=by)

    Audit.objects.all().delete()
    cy.delete()

    assert [one.profile for one in IdentityClaim.objects.all()] == [ada]


# Staff decide


def test_staff_confirm_a_claim_and_it_is_the_identity(ada: Profile, claimed: IdentityClaim, by: By) -> None:
    row = claiming.confirm(claimed.pk, by=by)

    assert (row.pair, row.profile, row.source, row.by_contact) == (claimed.pair, ada, None, False)
    assert claims_of(ada) == []
    assert Handle.objects.filter(pk="never-seen").count() == 0
    assert_sound()


def test_a_handle_that_nobody_knew_enters_the_catalogue_with_the_confirmation(ada: Profile, by: By) -> None:
    row = claim(ada, "never-seen:1", by=by)

    claiming.confirm(row.pk, by=by)

    assert Handle.objects.get(pk="never-seen").status == "undocumented"


def test_what_another_has_staff_cannot_confirm_and_are_told_whose_it_is(ada: Profile, bo: Profile, by: By) -> None:
    row = claim(ada, "loyalty-card:bo", by=by)

    with pytest.raises(Refused) as raised:
        claiming.confirm(row.pk, by=by)

    assert (raised.value.code, raised.value.details["profile_id"]) == ("identity_taken", str(bo.pk))
    assert claims_of(ada) == ["loyalty-card:bo"]
    (entry,) = RoutingLogEntry.objects.all()
    assert (entry.outcome, entry.pk) == ("identity_taken", raised.value.details["log_entry_id"])


def test_confirming_one_overrides_what_others_claim_of_it(
    ada: Profile, cy: Profile, claimed: IdentityClaim, by: By
) -> None:
    claim(cy, CARD, by=by)

    claiming.confirm(claimed.pk, by=by)

    assert claims_of(cy) == []
    (entry,) = RoutingLogEntry.objects.all()
    assert (entry.outcome, entry.requested_profile, entry.routed_profile) == ("claim_overridden", cy, ada)


def test_staff_refuse_a_claim_and_the_audit_says_why(ada: Profile, claimed: IdentityClaim, by: By) -> None:
    claiming.refuse(claimed.pk, reason="The card was lost in May.", by=by)

    assert claims_of(ada) == []
    entry = Audit.objects.filter(auditable_type="identity_claim").latest("pk")
    assert (entry.event, entry.profile, entry.new_values) == ("refused", ada, {"reason": "The card was lost in May."})
    assert pairs_of(ada) == ["email:ada@example.com", "pos-customer:1"]
    # It is no ban: what a person says again is looked at again.
    assert claim(ada, CARD, by=by)


@pytest.mark.parametrize("decide", [claiming.confirm, claiming.refuse])
def test_what_is_decided_already_is_gone(claimed: IdentityClaim, decide: Callable[..., Any], by: By) -> None:
    claiming.confirm(claimed.pk, by=by)

    with pytest.raises(IdentityClaim.DoesNotExist):
        decide(claimed.pk, by=by)


def test_the_claim_of_a_deleted_profile_is_not_confirmed(ada: Profile, claimed: IdentityClaim, by: By) -> None:
    releasing.delete(ada.pk, by=by)

    with pytest.raises(Refused) as raised:
        claiming.confirm(claimed.pk, by=by)

    assert raised.value.code == "profile_deleted"


def test_staff_confirm_the_claim_of_a_profile_that_was_merged_since(
    ada: Profile, cy: Profile, claimed: IdentityClaim, operator: User, by: By
) -> None:
    merge(cy, ada, by=by)

    assert claiming.confirm(claimed.pk, by=by).profile == cy


@pytest.mark.parametrize("what", ["identity", "contact"])
def test_what_staff_confirm_goes_home_with_who_claimed_it(ada: Profile, cy: Profile, what: str, by: By) -> None:
    update(cy, by=by, email="cy@example.com")
    (merged,) = merge(cy, ada, by=by)
    if what == "identity":
        row = claim(ada, CARD, by=by)
    else:
        claim_contact(ada, by=by, email="countess@example.com")
        row = IdentityClaim.objects.get()
    assert row.profile == cy

    confirmed = claiming.confirm(row.pk, by=by)
    assert confirmed.profile == cy
    undo(merged, by=by)

    assert str(row.pair) in pairs_of(ada)
    assert pairs_of(cy) == ["email:cy@example.com", "pos-customer:3"]
    assert (value_of(cy, "email"), claims_of(ada), claims_of(cy)) == ("cy@example.com", [], [])
    assert_sound()


# Many who are nobody


def strangers(count: int, pair: str, by: By) -> list[Profile]:
    """Profiles that anonymous visitors have made for themselves, each of which claims the pair and an address."""
    made = []
    for number in range(count):
        contact = {"email": f"stranger{number}@example.com", "mobile_phone": None}
        told = claiming.introduce([sent(pair)], fields={"first_name": "Cy"}, contact=contact, by=by, source=None)
        made.append(told.profile)
    return made


@every_write
def test_claims_of_profiles_that_are_nothing_besides_give_way_without_a_word(
    cy: Profile, write: Write, tmp_path: Path, by: By
) -> None:
    made = strangers(3, CARD, by)

    write(cy, by, tmp_path)

    assert CARD in pairs_of(cy)
    assert [claims_of(profile) for profile in made] == [[f"email:stranger{number}@example.com"] for number in range(3)]
    assert not RoutingLogEntry.objects.exists()
    assert not DuplicatePair.objects.exists()
    told = Audit.objects.filter(auditable_type="identity_claim", event="overridden")
    assert {entry.profile for entry in told} == set(made)
    assert_sound()


def test_a_write_costs_the_same_for_a_few_and_for_many_of_them(cy: Profile, by: By) -> None:
    costs = []
    for number, count in enumerate((1, 12)):
        strangers(count, f"loyalty-card:88{number}", by)
        with CaptureQueriesContext(connection) as queries:
            come(Transaction, "pos-customer:3", f"loyalty-card:88{number}", by=by)
        costs.append(len(queries))

    assert costs[0] == costs[1]


def test_their_profiles_are_not_locked(cy: Profile, by: By) -> None:
    (stranger,) = strangers(1, CARD, by)

    with CaptureQueriesContext(connection) as queries:
        add(cy, CARD, by=by)

    locking = [one["sql"] for one in queries if "profiles_profile" in one["sql"] and "FOR NO KEY UPDATE" in one["sql"]]
    assert locking
    assert not any(str(stranger.pk) in sql for sql in locking)


@pytest.mark.parametrize("what", ["identity", "contact", "record"])
def test_whoever_is_anything_besides_is_somebody_to_look_at(cy: Profile, by: By, what: str) -> None:
    (stranger,) = strangers(1, CARD, by)
    if what == "identity":
        add(stranger, "pos:1", by=by)
    elif what == "contact":
        update(stranger, by=by, email="known@example.com")
    else:
        come(Transaction, named=stranger.pk, by=by)

    add(cy, CARD, by=by)

    assert [entry.outcome for entry in RoutingLogEntry.objects.all()] == ["claim_overridden"]
    assert DuplicatePair.objects.count() == 1


def test_their_own_card_still_becomes_theirs(by: By) -> None:
    first, second = strangers(2, CARD, by)

    add(first, CARD, by=by)

    assert CARD in pairs_of(first)
    assert not any(claim.startswith("loyalty-card") for one in (first, second) for claim in claims_of(one))
