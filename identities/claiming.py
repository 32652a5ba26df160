"""What customers say of themselves with a customer token: kept, shown to them, and believed by nobody (API.md 6).

A claim of a pair becomes an identity when somebody who may say so writes that pair (`overriding`), or staff confirm it
here. Nothing here asks whether another profile holds or claims the pair, so that no answer, and no time that it takes,
tells a customer of anybody else.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import adding, attaching, attributing, contacts, handles, matching, overriding, routing
from identities.handles import Sent
from identities.holding import Changed, hold, keep_rules, settle
from identities.models import BUILT_IN, Extension, Identity, IdentityClaim, Pair
from profiles import auditing, reading
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused

# So many pairs one profile may claim, its e-mail and mobile aside. Whoever really has more has them confirmed.
MOST_CLAIMS = 20

# One statement deletes so many claims that are too old. One that is just being said anew is not.
FORGOTTEN_AT_ONCE = 1_000
FORGET = """
    DELETE FROM identities_identityclaim WHERE id IN (
        SELECT id FROM identities_identityclaim WHERE updated_at < %s ORDER BY updated_at LIMIT %s
        FOR UPDATE SKIP LOCKED
    ) RETURNING id
"""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claim, or the identity of that pair which the profile has anyway."""

    row: IdentityClaim | Identity
    created: bool = False


@dataclass(frozen=True, slots=True)
class Introduced:
    """A profile that a stranger has made for themselves, and the pairs that it could not even claim, with why."""

    profile: Profile
    refused: list[tuple[Sent, Refused]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Standing:
    """A claim as pages tell it: what they show of its identifier, and who has that pair as an identity."""

    claim: IdentityClaim
    shown: str
    holder: Profile | None


def claim(profile_id: uuid.UUID, sent: Sent, *, by: By, source: Extension | None) -> Claimed:
    """Let a profile claim a pair. Whether it is primary or active is not the customer's to say.

    In: a pair under any open handle, known or not, which is normalised as an identity is and makes no row of the
    catalogue; `source` is the extension whose token issued the customer's. The pair that the profile has or claims
    already is returned as it is. Raises Profile.DoesNotExist, and Refused: `too_many_claims`, `profile_deleted`,
    `builtin_handle`, `reserved_handle` to everybody, and whatever else an identity is refused for.
    """

    def attempt() -> Claimed:
        wanted = _read_one(sent)
        profile = _lock(profile_id)
        return _claim(profile, wanted, named=profile_id, by=by, source=source)

    return settle(attempt)


def change(claim_id: int, *, of: uuid.UUID, identifier: str, by: By) -> IdentityClaim:
    """Let a claim of this profile name another identifier; it keeps its id.

    Raises IdentityClaim.DoesNotExist, and Refused: `identity_exists` when the profile has or claims that pair already,
    and what `claim` refuses.
    """

    def attempt() -> IdentityClaim:
        profile = _lock(of)
        row = profile.claims.select_for_update().get(pk=claim_id)
        wanted = _read_one(Sent(row.handle, identifier))
        if wanted.pair == row.pair:
            return row
        if _of(profile, wanted) is not None:
            raise Refused("identity_exists", _("You have given this one already."), field="identifier")
        _say(row, wanted, named=of, by=by)
        return row

    return settle(attempt)


def withdraw(claim_id: int, *, of: uuid.UUID, by: By) -> None:
    """Let a profile take a claim back. Raises IdentityClaim.DoesNotExist."""

    def attempt() -> None:
        _drop(_lock(of).claims.select_for_update().get(pk=claim_id), "deleted", by=by)

    settle(attempt)


def update(
    profile_id: uuid.UUID,
    *,
    fields: Mapping[str, Any],
    contact: Mapping[str, str | None],
    attributes: Sequence[attributing.Named] = (),
    identity_id: int | None = None,
    by: By,
    source: Extension | None,
) -> Profile:
    """Change a profile as its own customer does: fields as `routing.update` does, contact points as claims.

    A contact point that the profile holds is shown from now on, and one that it shows takes the claim back. So does an
    empty one: what is confirmed a customer cannot empty. Attributes that are made were brought by the identity of this
    key, by which the customer was signed in, if the profile has it. Raises as `routing.update` does, but never
    `identity_taken`, and `too_many_attributes`.
    """

    def attempt() -> Profile:
        wanted = contacts.read(contact, writer=None)
        signed_in_by = (
            _lock(profile_id).identities.filter(pk=identity_id).first() if attributes and identity_id else None
        )
        profile = routing.update(
            profile_id,
            fields=fields,
            contact={},
            attributes=attributes,
            most_attributes=attributing.BY_CUSTOMERS,
            by=by,
            source=source,
            brought_by=signed_in_by,
        )
        for handle, identity in wanted.items():
            profile = _claim_contact(profile, handle, identity, named=profile_id, by=by, source=source)
        return profile

    return settle(attempt)


def introduce(
    sent: Sequence[Sent],
    *,
    fields: Mapping[str, Any],
    contact: Mapping[str, str | None],
    attributes: Sequence[attributing.Named] = (),
    by: By,
    source: Extension | None,
) -> Introduced:
    """Make a profile of what a stranger says of themselves; their pairs and contact points are claims.

    Always a new one: nobody is looked for, so that nobody is found out. Pairs that cannot be claimed are set aside.
    Raises Refused for what is wrong with fields, attributes or contact points.
    """

    def attempt() -> Introduced:
        wanted = contacts.read(contact, writer=None)
        made = routing.route(
            [],
            fields=fields,
            contact={},
            attributes=attributes,
            most_attributes=attributing.BY_CUSTOMERS,
            by=by,
            source=source,
        )
        told = Introduced(made.profile)
        contact_points = [identity for identity in wanted.values() if identity is not None]
        for identity in contact_points:
            _claim(told.profile, identity, named=told.profile.pk, by=by, source=source)
        claimed: set[Pair] = set()
        for one, answer in zip(sent, _read(sent), strict=True):
            if isinstance(answer, Refused):
                told.refused.append((one, answer))
            elif answer.pair not in claimed and len(claimed) == MOST_CLAIMS:
                # Found out without asking: whoever sends a thousand pairs gets no statements for it.
                told.refused.append((one, _too_many()))
            elif answer.pair not in claimed:
                claimed.add(answer.pair)
                _claim(told.profile, answer, named=told.profile.pk, by=by, source=source)
        return told

    return settle(attempt)


def confirm(claim_id: int, *, said_at: datetime | None = None, by: By) -> Identity:
    """Let staff say that a claim is true: its pair is written for its profile, as by any other write of staff.

    It is written by the id that it was claimed for, a merged one too: who said it has it again when that merge is
    undone. A contact point becomes the one that is shown (`replaced`).

    In: when the claim that somebody has looked at was said; its customer may say something else under the same id at
    any time, which nobody has agreed to. Raises IdentityClaim.DoesNotExist, and Refused: `plan_changed` when it says
    something else, and as `adding.add` and `routing.update` do, `identity_taken` (logged) when another has the pair.
    """

    def attempt() -> Identity:
        row = IdentityClaim.objects.get(pk=claim_id)
        if said_at is not None and row.updated_at != said_at:
            raise changed()
        held = hold([row.pair], profile_ids=[row.profile_id])
        current = IdentityClaim.objects.filter(pk=claim_id).first()
        if current is None or _whose(current) != _whose(row):
            raise Changed
        profile = held.live(row.profile_id, named=row.named_id)
        if row.handle in BUILT_IN:
            routing.update(row.named_id, fields={}, contact={row.handle: row.sent}, by=by, source=None)
            return profile.identities.get(handle=row.handle, identifier=row.identifier)
        return adding.add(row.named_id, Sent(row.handle, row.sent), by=by, source=None).identity

    return settle(attempt)


def changed() -> Refused:
    message = _("The customer says something else by now. Nothing was decided: look again at what it is.")
    return Refused("plan_changed", message)


def refuse(claim_id: int, *, said_at: datetime | None = None, reason: str = "", by: By) -> None:
    """Let staff say that a claim is not true: it is gone, and the audit keeps that and why. The customer may say the
    same again.

    In: when the claim that somebody has looked at was said, as in `confirm`. Raises IdentityClaim.DoesNotExist, and
    Refused `plan_changed`.
    """

    def attempt() -> None:
        row = IdentityClaim.objects.get(pk=claim_id)
        if said_at is not None and row.updated_at != said_at:
            raise changed()
        hold([], profile_ids=[row.profile_id])
        current = IdentityClaim.objects.filter(pk=claim_id).first()
        if current is None or _whose(current) != _whose(row):
            raise Changed
        _drop(current, "refused", by=by, new={"reason": reason} if reason else {})

    settle(attempt)


def forget_old() -> None:
    """Delete claims that nobody has confirmed in `CLAIM_DAYS` since they were last said. The customer may say the same
    again."""
    before = timezone.now() - timedelta(days=settings.CLAIM_DAYS)
    while len(reading.once(FORGET, [before, FORGOTTEN_AT_ONCE])) == FORGOTTEN_AT_ONCE:
        pass


def replaced(row: IdentityClaim) -> Identity | None:
    """The contact point that is deleted when this claim of one is confirmed, if any; reads only."""
    current = contacts.shown(row.profile, row.handle) if row.handle in BUILT_IN else None
    named = None if row.named_id == row.profile_id else row.named_id
    return current if current is not None and attaching.gives_way(current, named=named) else None


def standings(claims: Iterable[IdentityClaim]) -> list[Standing]:
    """How these claims stand. Three queries, however many, and none for none."""
    rows = list(claims)
    if not rows:
        return []
    masked = overriding.sensitive(rows)
    held = matching.owned({claim.pair for claim in rows})
    holders = Profile.objects.in_bulk({row.profile_id for row in held.values()})
    live = {pair: holders[row.profile_id] for pair, row in held.items() if holders[row.profile_id].is_live}
    return [
        Standing(claim, handles.mask(claim.identifier) if claim.handle in masked else claim.sent, live.get(claim.pair))
        for claim in rows
    ]


def _whose(row: IdentityClaim) -> tuple[Pair, uuid.UUID, uuid.UUID]:
    return row.pair, row.profile_id, row.named_id


def _lock(profile_id: uuid.UUID) -> Profile:
    """The profile that an id means today, under its lock. Raises Profile.DoesNotExist, Changed, and Refused."""
    survivor = Profile.objects.surviving(profile_id)
    return hold([], profile_ids=[survivor.pk]).live(survivor.pk, named=profile_id)


def _read(sent: Sequence[Sent]) -> list[Identity | Refused]:
    """The identities that pairs would be, or why not, which tells of nobody who has them, and of no extension."""
    return [
        handles.builtin_refusal(one.handle) if one.handle.strip() in BUILT_IN else _told(one, answer)
        for one, answer in zip(sent, handles.read(sent, writer=None, only_new=True), strict=True)
    ]


def _told(sent: Sent, answer: Identity | Refused) -> Identity | Refused:
    if isinstance(answer, Identity) or answer.code != "reserved_handle":
        return answer
    message = _("Customers add nothing under the handle %(handle)s.") % {"handle": sent.handle.strip()}
    return Refused("reserved_handle", message, field="handle")


def _read_one(sent: Sent) -> Identity:
    (answer,) = _read([sent])
    if isinstance(answer, Refused):
        raise answer
    return answer


def _claim(profile: Profile, wanted: Identity, *, named: uuid.UUID, by: By, source: Extension | None) -> Claimed:
    known = _of(profile, wanted)
    if known is not None:
        return Claimed(known)
    if wanted.handle_id not in BUILT_IN:
        _refuse_too_many(profile)
        _keep_rules(wanted)
    row = IdentityClaim(profile=profile, named_id=named, source=source)
    _write(row, wanted, by=by)
    row.save(force_insert=True)
    new = overriding.state(row, is_sensitive=wanted.handle.sensitive)
    auditing.write([overriding.audited("created", row, by=by, new=new)])
    return Claimed(row, created=True)


def _claim_contact(
    profile: Profile, handle: str, wanted: Identity | None, *, named: uuid.UUID, by: By, source: Extension | None
) -> Profile:
    """Let a profile, which is locked, say what its e-mail or mobile is. Returns it as it is then."""
    said = profile.claims.select_for_update().filter(handle=handle).first()
    known = None if wanted is None else _of(profile, wanted)
    if wanted is None or isinstance(known, Identity):
        if said is not None:
            _drop(said, "deleted", by=by)
        if isinstance(known, Identity) and contacts.shown(profile, handle) != known:
            profile = routing.update(profile.pk, fields={}, contact={handle: known.shown}, by=by, source=source)
    elif said is None:
        _claim(profile, wanted, named=named, by=by, source=source)
    elif known is None:
        _say(said, wanted, named=named, by=by)
    return profile


def _of(profile: Profile, wanted: Identity) -> Identity | IdentityClaim | None:
    """The identity or the claim of this profile, which is locked, that is this pair."""
    held = profile.identities.filter(handle=wanted.handle_id, identifier=wanted.identifier).first()
    return held or profile.claims.filter(handle=wanted.handle_id, identifier=wanted.identifier).first()


def _refuse_too_many(profile: Profile) -> None:
    if profile.claims.exclude(handle__in=BUILT_IN).count() >= MOST_CLAIMS:
        raise _too_many()


def _too_many() -> Refused:
    message = _("You cannot add more than %(most)s of them before they are confirmed.") % {"most": MOST_CLAIMS}
    return Refused("too_many_claims", message, field="handle")


def _keep_rules(wanted: Identity) -> None:
    """Hold the handle, if the catalogue has it, by whose rules the pair was read."""
    if not wanted.handle._state.adding:
        keep_rules([wanted.handle])


def _say(row: IdentityClaim, wanted: Identity, *, named: uuid.UUID, by: By) -> None:
    """Let a claim say another identifier. It is then the claim of whoever says so: where merges are undone, it must
    not be with the other person."""
    _keep_rules(wanted)
    old = overriding.state(row, is_sensitive=wanted.handle.sensitive)
    row.named_id = named
    _write(row, wanted, by=by)
    row.save(force_update=True)
    new = overriding.state(row, is_sensitive=wanted.handle.sensitive)
    auditing.write([overriding.audited("updated", row, by=by, old=old, new=new)])


def _write(row: IdentityClaim, wanted: Identity, *, by: By) -> None:
    row.handle, row.identifier, row.original = wanted.handle_id, wanted.identifier, wanted.original
    if wanted.handle_id in BUILT_IN:
        row.original = "" if wanted.shown == wanted.identifier else wanted.shown
    row.by, row.token_name, row.updated_at = by.user, by.token_name, timezone.now()


def _drop(row: IdentityClaim, event: str, *, by: By, new: Mapping[str, Any] | None = None) -> None:
    is_sensitive = row.handle in overriding.sensitive([row])
    old = overriding.state(row, is_sensitive=is_sensitive)
    auditing.write([overriding.audited(event, row, by=by, old=old, new=new or {})])
    row.delete()
