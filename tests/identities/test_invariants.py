"""Random sequences of writes, and what holds after each of them."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from identities import adding, lookup, moving, releasing, routing
from identities.handles import Sent
from identities.models import Handle, Identity, Pair, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import assert_sound, route

pytestmark = pytest.mark.django_db

# Few enough to meet all the time; one handle is single-valued, one folds, and some are never written.
PAIRS = [
    *(Sent("loyalty-card", number) for number in "123"),
    *(Sent("member", number) for number in "12"),
    *(Sent("instagram", name) for name in ("ada", "ADA", "bo")),
    Sent("loyalty-card", "1", is_primary=True),
    Sent("pos", "7", is_primary=True),
    Sent("pos", "8", is_active=False),
    Sent("pos", "null"),
    Sent("shopify", "1"),
    Sent("tiktok", "ada"),
    Sent("Tik_Tok", "ada"),
]
EMAILS = ["ada@example.com", "Ada@Example.com", "king@example.com", "", None, "ada"]
MOBILES = ["0404 123 123", "+61404123123", "+44 20 7946 0018", "", None]

pairs = st.lists(st.sampled_from(PAIRS), max_size=4)
contact = st.fixed_dictionaries(
    {}, optional={"email": st.sampled_from(EMAILS), "mobile_phone": st.sampled_from(MOBILES)}
)
quiet: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


class Writing(RuleBasedStateMachine):
    """Writes of every kind on a handful of pairs, each example in a transaction that is rolled back."""

    by: By
    profiles: Bundle[uuid.UUID] = Bundle("profiles")

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        Handle.objects.create(name="member", single_valued=True)
        self.made: list[uuid.UUID] = []
        self.may_be_empty: set[uuid.UUID] = set()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    def attempt(self, write: Callable[[], Any]) -> Any:
        """A write, or None when it is refused: then nothing but the log may differ."""
        before = stored()
        try:
            return write()
        except (Refused, Identity.DoesNotExist) as refusal:
            assert stored() == before
            if isinstance(refusal, Refused) and refusal.code == "identity_taken":
                assert RoutingLogEntry.objects.filter(pk=refusal.details["log_entry_id"]).exists()
                assert Profile.objects.live().filter(pk=refusal.details["profile_id"]).exists()
            return None

    @rule(target=profiles, sent=pairs, contact=contact)
    def route(self, sent: list[Sent], contact: dict[str, str | None]) -> uuid.UUID:
        routed = self.attempt(lambda: route(*sent, by=self.by, contact=contact, first_name="Ada"))
        if routed is None:
            return next(iter(self.made), uuid.UUID(int=0))
        known = routed.profile.pk in self.made
        assert known == (routed.outcome != "created")
        self.made.append(routed.profile.pk)
        if not known and not routed.profile.identities.exists():
            # Asked for without a pair that could be used.
            self.may_be_empty.add(routed.profile.pk)
        refused = {(one["handle"], one["identifier"]) for one in routed.refused}
        for one in sent:
            if (one.handle, one.identifier) not in refused and routed.outcome != "conflict":
                assert lookup.resolve([(one.handle, one.identifier)]) == [routed.profile.pk]
        return routed.profile.pk  # type: ignore[no-any-return]

    @rule(profile=profiles, sent=st.sampled_from(PAIRS))
    def add(self, profile: uuid.UUID, sent: Sent) -> None:
        if profile in self.made:
            added = self.attempt(lambda: adding.add(profile, sent, by=self.by, source=None))
            if added is not None:
                assert lookup.resolve([(sent.handle, sent.identifier)]) == [profile]

    @rule(
        position=st.integers(0, 20),
        identifier=st.sampled_from([None, "1", "2", "ADA", "bo", "guest"]),
        is_active=st.sampled_from([None, True, False]),
        is_primary=st.sampled_from([None, True, False]),
    )
    def change(self, position: int, **change: Any) -> None:
        identity = self.identity(position)
        changed = self.attempt(lambda: routing.change(identity, **change, by=self.by, source=None))
        if changed is not None:
            assert changed.pk == identity
            assert change["is_primary"] in (None, changed.is_primary)
            assert change["is_active"] in (None, changed.is_active)

    @rule(position=st.integers(0, 20))
    def remove(self, position: int) -> None:
        identity = self.identity(position)
        owner = Identity.objects.filter(pk=identity).values_list("profile_id", flat=True).first()
        self.attempt(lambda: routing.remove(identity, by=self.by, source=None))
        if owner is not None:
            self.may_be_empty.add(owner)

    @rule(position=st.integers(0, 20), to=profiles, reason=st.just("The same person"))
    def move(self, position: int, to: uuid.UUID, reason: str) -> None:
        if to in self.made:
            identity = self.identity(position)
            owner = Identity.objects.filter(pk=identity).values_list("profile_id", flat=True).first()
            self.attempt(lambda: moving.move(identity, to=to, reason=reason, by=self.by))
            if owner is not None:
                self.may_be_empty.add(owner)

    @rule(profile=profiles, contact=contact)
    def update(self, profile: uuid.UUID, contact: dict[str, str | None]) -> None:
        if profile in self.made:
            updated = self.attempt(
                lambda: routing.update(profile, fields={}, contact=contact, by=self.by, source=None)
            )
            if updated is not None:
                # Its last pair may have been the contact point that was emptied.
                self.may_be_empty.add(profile)
                for handle, text in contact.items():
                    assert lookup.resolve([(handle, text or "")]) == [profile if text else None]

    @rule(profile=profiles)
    def delete(self, profile: uuid.UUID) -> None:
        if profile in self.made:
            self.attempt(lambda: releasing.delete(profile, by=self.by))
            # Whoever writes its pairs takes them.
            self.may_be_empty.add(profile)

    @rule(profile=profiles)
    def undelete(self, profile: uuid.UUID) -> None:
        if profile in self.made:
            held = set(Identity.objects.filter(profile=profile).values_list("pk", flat=True))
            live = set(Identity.objects.live().values_list("pk", flat=True))
            was_live = Profile.objects.live().filter(pk=profile).exists()
            back = releasing.change_type(profile, "active", by=self.by, source=None)
            now = {identity.pk: identity.pair for identity in Identity.objects.filter(profile=profile)}
            # Nothing is lost, and what comes back is nobody else's.
            assert held <= set(now)
            assert was_live or not live & set(now)
            assert all(one.pair not in now.values() for one in back.not_returned)
            found = lookup.resolve([one.pair for one in back.not_returned])
            assert found == [one.owner.pk if one.owner else None for one in back.not_returned]
            # Its last pair may have come back from a profile that is still deleted.
            self.may_be_empty |= set(Profile.objects.deleted().values_list("pk", flat=True))

    def identity(self, position: int) -> int:
        """The key of some identity. Positions are drawn, not keys, which go on counting from example to example."""
        keys = list(Identity.objects.order_by("pk").values_list("pk", flat=True))
        return keys[position % len(keys)] if keys else 0

    @invariant()
    def what_is_stored_is_sound(self) -> None:
        assert_sound()

    @invariant()
    def nobody_is_there_whom_nobody_asked_for(self) -> None:
        assert set(Profile.objects.values_list("pk", flat=True)) == set(self.made)
        assert set(Profile.objects.filter(identities=None).values_list("pk", flat=True)) <= self.may_be_empty

    @invariant()
    def limits_hold(self) -> None:
        for profile in Profile.objects.all():
            assert profile.identities.filter(handle="member", is_active=True).count() <= 1

    @invariant()
    def look_ups_agree_with_the_tables(self) -> None:
        live = {row.pair: row for row in Identity.objects.live()}
        for row in Identity.objects.all():
            found = json.loads(lookup.search(*row.pair) or "null")
            assert (found is not None) == (row.pair in live)
            assert found is None or (found["id"], found["profile"]["id"]) == (row.pk, str(row.profile_id))
        folded = [
            Pair(one.handle, one.identifier.lower() if one.handle == "instagram" else one.identifier) for one in PAIRS
        ]
        assert lookup.resolve([(one.handle, one.identifier) for one in PAIRS]) == [
            live[pair].profile_id if pair in live else None for pair in folded
        ]


def stored() -> dict[str, Any]:
    """All rows that a refused write must leave as they were."""
    return {model.__name__: list(model.objects.order_by("pk").values()) for model in (Profile, Identity, Handle)}


@pytest.mark.parametrize(
    ("examples", "steps"), [(12, 20), pytest.param(100, 40, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_whatever_is_written_in_whatever_order_the_rules_hold(examples: int, steps: int, by: By) -> None:
    writing = type("Writing", (Writing,), {"by": by})

    run_state_machine_as_test(writing, settings=settings(max_examples=examples, stateful_step_count=steps, **quiet))


def components(records: list[list[Pair]]) -> list[set[Pair]]:
    """The connected components of the pairs, where the pairs of one record hang together."""
    found: list[set[Pair]] = []
    for record in records:
        touched = [component for component in found if component & set(record)]
        found = [component for component in found if component not in touched]
        if record:
            found.append(set(record).union(*touched))
    return found


def joined(records: list[list[Pair]]) -> list[set[Pair]]:
    """The pairs of each profile after every conflict of the routing log has been accepted."""
    together = {profile: {profile} for profile in Profile.objects.values_list("pk", flat=True)}
    for entry in RoutingLogEntry.objects.filter(outcome="conflict"):
        one = set[uuid.UUID]().union(*(together[profile] for profile in entry.candidates))
        together |= dict.fromkeys(one, one)
    groups = {frozenset(group) for group in together.values()}
    return [{row.pair for row in Identity.objects.filter(profile__in=group)} for group in groups]


some_pairs = st.builds(Pair, st.sampled_from(["loyalty-card", "pos", "pos-customer"]), st.sampled_from("12345"))
some_records = st.lists(st.lists(some_pairs, min_size=1, max_size=3, unique=True), max_size=12)


@pytest.mark.parametrize("examples", [25, pytest.param(400, marks=pytest.mark.slow)], ids=["short", "long"])
def test_after_accepting_every_conflict_the_profiles_are_the_connected_components(examples: int, by: By) -> None:
    @settings(max_examples=examples, **quiet)
    @given(records=some_records, order=st.randoms(use_true_random=False), priority=st.integers(-1, 1))
    def check(records: list[list[Pair]], order: random.Random, priority: int) -> None:
        with transaction.atomic():
            Handle.objects.filter(name="pos").update(priority=priority)

            for _order in range(2):
                with transaction.atomic():
                    for record in records:
                        routed = route(*(Sent(*pair) for pair in record), by=by)
                        assert not routed.refused
                    profiles = joined(records)
                    transaction.set_rollback(True)
                assert sorted(map(sorted, profiles)) == sorted(map(sorted, components(records)))
                order.shuffle(records)
            transaction.set_rollback(True)

    check()
