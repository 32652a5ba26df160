"""Which events each operation is, in their order, for somebody who listens to everything."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from identities import (
    adding,
    attributing,
    batching,
    moving,
    moving_records,
    recording,
    releasing,
    renaming,
    reviewing,
    routing,
)
from identities.attributing import Named
from identities.handles import Sent
from identities.models import Handle, Identity, RoutingLogEntry
from identities.sending import send
from profiles import duplicates, events, merging
from profiles.auditing import By
from profiles.duplicates import Found
from profiles.models import Event, Interaction, Point, Reward, Transaction
from profiles.tasks import read
from tests.cast import add, came, change, come, known, merge, route, undo, update

pytestmark = pytest.mark.django_db


class World:
    """Ada, known twice, with some of everything; whoever needs more makes it beforehand."""

    def __init__(self, by: By) -> None:
        self.by = by
        self.ada = known("loyalty-card:1", "pos:1", by=by, first_name="Ada", email="ada@example.com")
        self.again = known("loyalty-card:2", "instagram:2", by=by, email="again@example.com")
        self.sale = came(Transaction, "loyalty-card:1", by=by)
        self.visit = came(Interaction, "loyalty-card:1", by=by)
        self.points = came(Point, "loyalty-card:1", by=by)
        self.card = Identity.objects.get(handle="loyalty-card", identifier="1")
        attributing.put(self.ada.pk, Named("size", "shoe", 42), by=by, source=None)

    def told(self, act: Callable[[], Any]) -> list[str]:
        """The events of what is done, with whose they are."""
        newest = Event.objects.order_by("pk").last()
        act()
        names = {self.ada.pk: "ada", self.again.pk: "again", None: "nobody"}
        later = Event.objects.filter(pk__gt=newest.pk if newest else 0).order_by("pk")
        return [f"{one.trigger} {names.get(one.profile_id, 'new')}" for one in later]


Act = Callable[[World], Any]


def each(*acts: Act) -> Act:
    def act(world: World) -> None:
        for one in acts:
            one(world)

    return act


def conflicting_sale(world: World) -> int:
    """A sale that names both, with a card that nobody has; the entry in the log."""
    come(Transaction, "pos:1", "loyalty-card:2", "apns:5", by=world.by)
    return RoutingLogEntry.objects.get(outcome="conflict").pk


def batch(world: World) -> None:
    sent = [
        {
            "first_name": "Augusta",
            "identities": [{"handle": "pos", "identifier": "1"}, {"handle": "apns", "identifier": "1"}],
        },
        {
            "first_name": "Bo",
            "identities": [{"handle": "pos", "identifier": "9"}],
            "custom_attributes": {"a": {"b": 1}},
        },
        {"first_name": "Nobody"},
    ]
    queued = batching.queue("pos", sent, by=world.by, source=None)
    assert batching.bring_in(queued.pk, read=read, stop=lambda: False, give_up=True)


def trusted(world: World) -> None:
    """Both of these handles merge by themselves."""
    Handle.objects.filter(pk__in=["pos", "loyalty-card"]).update(auto_merge=True)
    known("pos:1", "loyalty-card:2", by=world.by)


# What is done to the world, and what is told of it.
TOLD: dict[str, tuple[Act, list[str]]] = {
    "a new profile": (lambda w: known(by=w.by, first_name="Bo"), ["profile.created new"]),
    "a new profile with all": (
        lambda w: route("pos:9", "loyalty-card:9", by=w.by, contact={"email": "bo@example.com"}, first_name="Bo"),
        # In the order in which they were sent; the e-mail is a field of the profile.
        ["profile.created new", "identity.created new", "identity.created new"],
    ),
    "a known profile, sent again as it is": (lambda w: known("pos:1", by=w.by, first_name="Ada"), []),
    "a known profile, sent with more": (
        lambda w: known("pos:1", "apns:1", by=w.by, last_name="King"),
        ["profile.updated ada", "identity.created ada"],
    ),
    "pairs of two profiles": (
        lambda w: known("pos:1", "loyalty-card:2", by=w.by),
        ["duplicate.detected ada"],
    ),
    "a field changed": (lambda w: update(w.ada, by=w.by, first_name="Augusta"), ["profile.updated ada"]),
    "a field set to what it is": (lambda w: update(w.ada, by=w.by, first_name="Ada"), []),
    "another e-mail": (lambda w: update(w.ada, by=w.by, email="a@example.com"), ["profile.updated ada"]),
    "no e-mail": (lambda w: update(w.ada, by=w.by, email=None), ["profile.updated ada"]),
    "an attribute": (
        lambda w: attributing.put(w.ada.pk, Named("size", "hat", 7), by=w.by, source=None),
        ["profile.updated ada"],
    ),
    "an attribute set to what it is": (
        lambda w: attributing.put(w.ada.pk, Named("size", "shoe", 42), by=w.by, source=None),
        [],
    ),
    "an attribute deleted": (
        lambda w: attributing.remove(w.ada.pk, "size", "shoe", by=w.by),
        ["profile.updated ada"],
    ),
    "fields and attributes at once": (
        lambda w: routing.update(
            w.ada.pk,
            fields={"first_name": "Augusta"},
            contact={},
            attributes=[Named("size", "hat", 7), Named("size", "shoe", None)],
            by=w.by,
            source=None,
        ),
        ["profile.updated ada"],
    ),
    "another type": (
        lambda w: releasing.change_type(w.ada.pk, "pending", by=w.by, source=None),
        ["profile.updated ada"],
    ),
    "a profile deleted": (lambda w: releasing.delete(w.ada.pk, by=w.by), ["profile.deleted ada"]),
    "a profile undeleted": (
        lambda w: (
            releasing.delete(w.ada.pk, by=w.by),
            releasing.change_type(w.ada.pk, "active", by=w.by, source=None),
        ),
        ["profile.deleted ada", "profile.updated ada"],
    ),
    "a pair of a deleted profile taken over": (
        lambda w: (releasing.delete(w.again.pk, by=w.by), add(w.ada, "instagram:2", by=w.by)),
        ["profile.deleted again", "identity.moved ada"],
    ),
    "a pair of a deleted profile taken over, and back": (
        lambda w: (
            releasing.delete(w.again.pk, by=w.by),
            add(w.ada, "instagram:2", by=w.by),
            releasing.delete(w.ada.pk, by=w.by),
            releasing.change_type(w.again.pk, "active", by=w.by, source=None),
        ),
        [
            "profile.deleted again",
            "identity.moved ada",
            "profile.deleted ada",
            "identity.moved again",
            "profile.updated again",
        ],
    ),
    "an identity": (lambda w: add(w.ada, "apns:1", by=w.by), ["identity.created ada"]),
    "an identity added again": (lambda w: add(w.ada, "pos:1", by=w.by), []),
    "an identity changed": (
        lambda w: routing.change(w.card.pk, identifier="3", by=w.by, source=None),
        ["identity.updated ada"],
    ),
    "another primary identity": (
        lambda w: (
            routing.change(w.card.pk, is_primary=True, by=w.by, source=None),
            add(w.ada, Sent("apns", "1", is_primary=True), by=w.by),
        ),
        ["identity.updated ada", "identity.updated ada", "identity.created ada"],
    ),
    "an identity deleted": (lambda w: routing.remove(w.card.pk, by=w.by, source=None), ["identity.deleted ada"]),
    "an identity moved": (
        lambda w: moving.move(w.card.pk, to=w.again.pk, reason="", by=w.by),
        ["identity.moved again"],
    ),
    "a shown e-mail moved": (
        lambda w: moving.move(
            Identity.objects.get(identifier="ada@example.com").pk, to=w.again.pk, reason="", by=w.by
        ),
        # The other profile shows one of its own already.
        ["profile.updated ada"],
    ),
    "a shown e-mail deleted": (
        lambda w: routing.remove(Identity.objects.get(identifier="ada@example.com").pk, by=w.by, source=None),
        ["profile.updated ada"],
    ),
    "a transaction": (lambda w: come(Transaction, "pos:1", by=w.by), ["transaction.created ada"]),
    "a transaction of nobody": (lambda w: come(Transaction, by=w.by), ["transaction.created nobody"]),
    "a transaction of somebody new": (
        lambda w: come(Transaction, "pos:5", "email:bo@example.com", by=w.by),
        ["profile.created new", "identity.created new", "transaction.created new"],
    ),
    "a transaction with one more pair": (
        lambda w: come(Transaction, "pos:1", "apns:1", by=w.by),
        ["identity.created ada", "transaction.created ada"],
    ),
    "a transaction changed": (
        lambda w: change(w.sale, total=Decimal(7), by=w.by),
        ["transaction.updated ada"],
    ),
    "a transaction sent again as it is": (lambda w: change(w.sale, total=w.sale.total, by=w.by), []),
    "a transaction moved": (
        lambda w: moving_records.move_record(Transaction, w.sale.pk, to=w.again.pk, reason="", by=w.by),
        ["transaction.updated again"],
    ),
    "a transaction taken from everybody": (
        lambda w: moving_records.move_record(Transaction, w.sale.pk, to=None, reason="", by=w.by),
        ["transaction.updated ada"],
    ),
    "a transaction deleted": (
        lambda w: recording.delete(Transaction, w.sale.pk, by=w.by),
        ["transaction.deleted ada"],
    ),
    "an interaction": (lambda w: come(Interaction, "pos:1", by=w.by), ["interaction.created ada"]),
    "an interaction changed, moved and deleted": (
        each(
            lambda w: change(w.visit, name="Came back", by=w.by),
            lambda w: moving_records.move_record(Interaction, w.visit.pk, to=w.again.pk, reason="", by=w.by),
            lambda w: recording.delete(Interaction, w.visit.pk, by=w.by),
        ),
        [],
    ),
    "points": (lambda w: come(Point, "pos:1", by=w.by), ["balance.updated ada"]),
    "points of nobody": (lambda w: come(Point, by=w.by), []),
    "a reward": (lambda w: come(Reward, "pos:1", by=w.by), ["balance.updated ada"]),
    "points spent": (lambda w: change(w.points, value_remaining=Decimal(1), by=w.by), ["balance.updated ada"]),
    "points moved": (
        lambda w: moving_records.move_record(Point, w.points.pk, to=w.again.pk, reason="", by=w.by),
        ["balance.updated again", "balance.updated ada"],
    ),
    "points deleted": (lambda w: recording.delete(Point, w.points.pk, by=w.by), ["balance.updated ada"]),
    "a merge": (lambda w: merge(w.ada, w.again, by=w.by), ["profile.merged ada"]),
    "a merge of three": (
        lambda w: merge(w.ada, w.again, known("pos:3", by=w.by), by=w.by),
        ["profile.created new", "identity.created new", "profile.merged ada", "profile.merged ada"],
    ),
    "a merge undone": (
        lambda w: undo(*merge(w.ada, w.again, by=w.by), by=w.by),
        ["profile.merged ada", "profile.unmerged ada"],
    ),
    "a write by the id of a merged profile": (
        lambda w: (merge(w.ada, w.again, by=w.by), update(w.again, by=w.by, company="Engines")),
        ["profile.merged ada", "profile.updated ada"],
    ),
    "a split into a new profile": (
        lambda w: merging.split(w.ada.pk, [w.card.pk], by=w.by),
        ["profile.created new", "identity.moved new", "profile.updated ada", "profile.updated new"],
    ),
    "a split into another profile": (
        lambda w: merging.split(w.ada.pk, [w.card.pk], to=w.again.pk, by=w.by),
        ["identity.moved again", "profile.updated ada", "profile.updated again"],
    ),
    "two that may be one": (
        lambda w: duplicates.note([Found(w.ada.pk, w.again.pk, {"email": {}})]),
        ["duplicate.detected ada"],
    ),
    "two that may be one, seen again": (
        lambda w: [duplicates.note([Found(w.ada.pk, w.again.pk, {word: {}})]) for word in ("email", "phone")],
        ["duplicate.detected ada"],
    ),
    "two that may be one, one of them by another id": (
        lambda w: (
            merge(w.again, third := known("pos:3", by=w.by), by=w.by),
            duplicates.note([Found(w.ada.pk, w.again.pk, {"email": {}})]),
            duplicates.note([Found(w.ada.pk, third.pk, {"email": {}})]),
        ),
        ["profile.created new", "identity.created new", "profile.merged again", "duplicate.detected ada"],
    ),
    "two that somebody says are two": (
        lambda w: (
            duplicates.dismiss_two(w.ada.pk, w.again.pk, note="", by=w.by),
            duplicates.note([Found(w.ada.pk, w.again.pk, {"email": {}})]),
        ),
        [],
    ),
    "a move taken back": (
        each(
            lambda w: moving.move(w.card.pk, to=w.again.pk, reason="", by=w.by),
            lambda w: moving.move(w.card.pk, to=w.ada.pk, reason="", by=w.by),
        ),
        ["identity.moved again", "identity.moved ada"],
    ),
    "a change to a pair that a deleted profile left behind": (
        each(
            lambda w: releasing.delete(w.again.pk, by=w.by),
            lambda w: routing.change(w.card.pk, identifier="2", by=w.by, source=None),
        ),
        ["profile.deleted again", "identity.updated ada"],
    ),
    "pairs for several profiles at once": (
        lambda w: adding.add_all(
            [adding.Row(w.ada.pk, Sent("apns", "1")), adding.Row(w.again.pk, Sent("apns", "2"))], by=w.by, source=None
        ),
        ["identity.created ada", "identity.created again"],
    ),
    "a sale that names two": (
        conflicting_sale,
        ["duplicate.detected ada", "identity.created ada", "transaction.created ada"],
    ),
    "what came by an entry of the log, sent to the other": (
        lambda w: send(conflicting_sale(w), to=w.again.pk, note="", by=w.by),
        [
            "duplicate.detected ada",
            "identity.created ada",
            "transaction.created ada",
            "identity.moved again",
            "transaction.updated again",
        ],
    ),
    "an entry of the log reviewed": (
        lambda w: reviewing.review(
            RoutingLogEntry.objects.get(pk=conflicting_sale(w)), status="dismissed", note="", by=w.by
        ),
        ["duplicate.detected ada", "identity.created ada", "transaction.created ada"],
    ),
    "a merge that comes about by itself": (trusted, ["duplicate.detected ada", "profile.merged ada"]),
    "a batch of profiles": (
        batch,
        ["profile.updated ada", "identity.created ada", "profile.created new", "identity.created new"],
    ),
    "one handle merged into another": (
        lambda w: renaming.merge(
            Handle.objects.get(pk="pos"), into=Handle.objects.get(pk="loyalty-card"), reason="", by=w.by
        ),
        # They were one pair under two names.
        ["identity.deleted ada"],
    ),
    "a handle renamed": (lambda w: renaming.rename(Handle.objects.get(pk="pos"), to="till", reason="", by=w.by), []),
}


@pytest.mark.usefixtures("everybody_listens")
@pytest.mark.parametrize("name", TOLD)
def test_an_operation_is_exactly_these_events_in_this_order(name: str, by: By) -> None:
    act, expected = TOLD[name]
    world = World(by)

    assert world.told(lambda: act(world)) == expected


def test_each_kind_of_event_is_told_by_some_operation() -> None:
    told = {line.split()[0] for _act, lines in TOLD.values() for line in lines}

    assert told == set(events.KNOWN)


@pytest.mark.parametrize("name", list(TOLD)[::6])
def test_nothing_is_told_while_nobody_listens(name: str, by: By) -> None:
    act, _expected = TOLD[name]
    world = World(by)

    assert world.told(lambda: act(world)) == []
