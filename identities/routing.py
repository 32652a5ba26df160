"""The one write path of pairs: bring a write to the right profile, and keep each pair on exactly one.

Every function takes `by=` (who) and `source=` (the extension that writes, None for staff), runs in a transaction of
its own and survives races by starting over (`holding`). What is refused raises Refused; what somebody else's
identity made doubtful stands in the routing log.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import attributing, auto_merging, contacts, deciding, filling, handles, overriding
from identities.attaching import (
    attach,
    audited,
    demote,
    over_limit,
    refuse_over_limit,
    refuse_taken_contact,
    release,
    set_contact,
    state,
    taken,
)
from identities.handles import Sent
from identities.holding import Changed, Held, hold, keep_rules, settle
from identities.models import BUILT_IN, EMAIL, Extension, Handle, Identity, Pair
from identities.outcomes import Routed, Write, note_conflict, set_aside
from profiles import auditing
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused


def route(
    sent: Sequence[Sent],
    *,
    fields: Mapping[str, Any],
    contact: Mapping[str, str | None],
    attributes: Sequence[attributing.Named] = (),
    most_attributes: attributing.Most | None = None,
    by: By,
    source: Extension | None,
) -> Routed[Profile]:
    """Bring a profile that somebody sent to the profile that its pairs name, or make a new one (API.md 3 and 4).

    In: the pairs as sent; `fields`, columns of Profile; `contact`, `email` and/or `mobile_phone` as sent; custom
    attributes, and how many there may be (`attributing.Most`). A known profile has only its empty fields filled; what
    it did not take is named in `not_taken`. Bad, blocked, reserved and over-limit pairs are set aside in `refused` and
    spoil nothing. Outcomes: created, matched, attached (unknown pairs joined a known profile), conflict (the pairs
    name several profiles; priority decides, a person is told, or they have become one: `auto_merging`).

    Raises Refused: `identity_taken` when a contact is another profile's, and what is wrong with fields or contacts.
    """
    payload = payload_of(sent, fields, contact, attributes)
    write = Write("profile", lambda: payload, by, source)

    def attempt() -> Routed[Profile]:
        answers = [without_contact(answer) for answer in handles.read(sent, writer=source)]
        wanted = contacts.read(contact, writer=source)
        pairs: dict[Pair, Identity] = {}
        for answer in answers:
            if isinstance(answer, Identity):
                pairs.setdefault(answer.pair, answer)
        handles.admit(pairs.values())
        held = hold([*pairs, *(row.pair for row in wanted.values() if row)])
        known = [held.identities[pair] for pair in pairs if held.owner(pair)]
        decider = deciding.highest(known, pairs)

        with auditing.together():
            if decider is None:
                profile, routed = _made(fields, wanted, held=held, by=by, source=source)
            else:
                profile, routed = _reached(decider, fields, wanted, held=held, by=by, source=source)
            if len({row.profile_id for row in known}) > 1:
                routed.outcome = "conflict"
                routed.log_entry_id = note_conflict(write, profile, known)

            unknown = [identity for pair, identity in pairs.items() if held.owner(pair) is None]
            too_many = over_limit(unknown, profile)
            attached = attach(
                [identity for identity in unknown if identity.pair not in too_many],
                profile,
                held=held,
                by=by,
                source=source,
                brought_by=decider,
                by_contact=decider is not None
                and all(row.by_contact for row in known if row.profile_id == profile.pk),
                conflict=routed.log_entry_id,
                payload=payload,
            )
            if attached and routed.outcome == "matched":
                routed.outcome = "attached"
            routed.identity = decider or next(iter(attached), None)
            routed.not_taken += attributing.write(
                attributes,
                profile,
                by=by,
                source=source,
                brought_by=routed.identity,
                only_missing=decider is not None,
                most=most_attributes,
            )
        refusals = [
            too_many.get(answer.pair, answer) if isinstance(answer, Identity) else answer for answer in answers
        ]
        found = zip(sent, refusals, strict=True)
        set_aside(routed, {one.pair: answer for one, answer in found if isinstance(answer, Refused)}, write)
        if routed.outcome == "conflict":
            routed.profile = auto_merging.merge_trusted(profile, known, pairs, held=held, by=by)
        return routed

    return settle(attempt)


def change(
    identity_id: int,
    *,
    of: uuid.UUID | None = None,
    identifier: str | None = None,
    is_active: bool | None = None,
    is_primary: bool | None = None,
    by: By,
    source: Extension | None,
) -> Identity:
    """Change an identity in place; it keeps its id. What is None stays.

    `of` is the profile that the caller believes to have it: Identity.DoesNotExist when it is another's by now.
    Raises Identity.DoesNotExist, and Refused: `identity_exists` when the profile has the new pair in another row,
    `identity_taken` when another profile has it (logged), `immutable_handle`, `builtin_handle`, `profile_deleted`,
    and whatever `Identity.clean()` refuses.
    """

    def attempt() -> Identity:
        row = Identity.objects.select_related("handle").get(pk=identity_id)
        handles.refuse_built_in(row.handle_id)
        _refuse_writer(row.handle, source)
        wanted = row
        if identifier not in (None, row.identifier):
            # The one that it has is no new write, though the catalogue would no longer admit it.
            wanted = handles.read_one(Sent(row.handle_id, identifier), writer=source)
        held = hold({row.pair, wanted.pair}, profile_ids=[row.profile_id])
        row = _still(row, held, of)
        keep_rules([row.handle, wanted.handle])
        old = state(row)
        is_other = wanted.pair != row.pair
        if is_other:
            row.token_generation += 1
            _rewrite(row, wanted, held=held, by=by, source=source)
        if is_active and not row.is_active:
            row.is_active = True
            refuse_over_limit(row, row.profile)
        elif is_active is False and row.is_active:
            row.is_active = False
            row.token_generation += 1
        if is_primary and not row.is_primary:
            demote(row.profile, by=by)
        row.is_primary = row.is_primary if is_primary is None else is_primary
        row.by_contact, row.updated_at = False, timezone.now()
        row.save()
        auditing.write([audited("updated", row, by=by, old=old, new=state(row))])
        if is_other:
            overriding.give_way([row], held=held, by=by, source=source)
        return row

    return settle(attempt)


def remove(identity_id: int, *, of: uuid.UUID | None = None, by: By, source: Extension | None) -> None:
    """Delete an identity. A shown contact point is emptied with it, and none is promoted. `of` as in `change`.

    Raises Identity.DoesNotExist, and Refused `reserved_handle` or `profile_deleted`.
    """

    def attempt() -> None:
        row = Identity.objects.select_related("handle").get(pk=identity_id)
        _refuse_writer(row.handle, source)
        row = _still(row, hold([row.pair], profile_ids=[row.profile_id]), of)
        keep_rules([row.handle])
        profile = row.profile
        if row.handle_id in BUILT_IN and contacts.shown(profile, row.handle_id) == row:
            old = {row.handle_id: getattr(profile, row.handle_id)}
            contacts.show(profile, row.handle_id, None)
            filling.save_changes(profile, old, by=by)
        auditing.write([audited("deleted", row, by=by, old=state(row))])
        row.delete()

    settle(attempt)


def update(
    profile_id: uuid.UUID,
    *,
    fields: Mapping[str, Any],
    contact: Mapping[str, str | None],
    attributes: Sequence[attributing.Named] = (),
    most_attributes: attributing.Most | None = None,
    by: By,
    source: Extension | None,
    brought_by: Identity | None = None,
) -> Profile:
    """Change a profile's own fields, which contact points it holds, custom attributes. What is not named stays.
    `brought_by` is the identity by which the profile was found, if it was; `most_attributes` as in `attributing.put`.

    A merged profile's id means its survivor, but deletes none of the contact points that are the survivor's own
    (`set_contact`). Raises Profile.DoesNotExist, and Refused: `profile_deleted`, `identity_taken` when a contact is
    another profile's (logged), and what is wrong with fields or contacts.
    """

    def attempt() -> Profile:
        wanted = contacts.read(contact, writer=source)
        survivor = Profile.objects.surviving(profile_id)
        held = hold([row.pair for row in wanted.values() if row], profile_ids=[survivor.pk])
        profile = held.live(survivor.pk, named=profile_id)
        old = {name: getattr(profile, name) for name in (*fields, *contact)}
        for name, value in fields.items():
            setattr(profile, name, value)
        if fields.get("attributes"):
            # Partial there too: whoever sends only `comms` does not mean to empty `appearance`.
            profile.attributes = {**old["attributes"], **fields["attributes"]}
        addressed = profile_id if brought_by is None else None
        merged_id = profile_id if profile_id != profile.pk else None
        with auditing.together():
            for handle, identity in wanted.items():
                if identity is not None:
                    identity.addressed = addressed
                set_contact(
                    profile, handle, identity, held=held, by=by, source=source, brought_by=brought_by, named=merged_id
                )
            filling.save_changes(profile, old, by=by)
            attributing.write(
                attributes,
                profile,
                by=by,
                source=source,
                addressed=addressed,
                brought_by=brought_by,
                named=profile_id,
                most=most_attributes,
            )
        return profile

    return settle(attempt)


def payload_of(
    sent: Sequence[Sent],
    fields: Mapping[str, Any],
    contact: Mapping[str, str | None],
    attributes: Sequence[attributing.Named],
) -> dict[str, Any]:
    """A profile as it was sent, for the log."""
    return {
        "identities": [{"handle": one.handle, "identifier": one.identifier} for one in sent],
        **fields,
        **contact,
        **({"custom_attributes": {str(one): one.value for one in attributes}} if attributes else {}),
    }


def without_contact(answer: Identity | Refused) -> Identity | Refused:
    """Set aside a contact point sent as an identity: by its e-mail alone a profile is never matched here."""
    if isinstance(answer, Refused) or answer.handle_id not in BUILT_IN:
        return answer
    return handles.builtin_refusal(answer.handle_id)


def _made(
    fields: Mapping[str, Any], wanted: Mapping[str, Identity | None], *, held: Held, by: By, source: Extension | None
) -> tuple[Profile, Routed[Profile]]:
    profile = Profile(**fields)
    contact = [identity for identity in wanted.values() if identity is not None]
    for identity in contact:
        refuse_taken_contact(identity, None, held=held, by=by, source=source)
        contacts.show(profile, identity.handle_id, identity)
    filling.clean(profile)
    profile.save(force_insert=True)
    new = {name: value for name, value in fields.items() if value} | {one.handle_id: one.shown for one in contact}
    auditing.write([auditing.entry("created", profile, by=by, profile=profile, new=new)])
    attach(contact, profile, held=held, by=by, source=source)
    return profile, Routed(profile, "created")


def _reached(
    decider: Identity,
    fields: Mapping[str, Any],
    wanted: Mapping[str, Identity | None],
    *,
    held: Held,
    by: By,
    source: Extension | None,
) -> tuple[Profile, Routed[Profile]]:
    """Fill what the known profile has empty; its own values win (API.md 3, POST /profiles)."""
    profile = held.profiles[decider.profile_id]
    old = {name: getattr(profile, name) for name in (*fields, *wanted)}
    not_taken = filling.fill(profile, fields)
    for handle, identity in wanted.items():
        if identity is None:
            continue
        refuse_taken_contact(identity, profile, held=held, by=by, source=source)
        column = profile.email if handle == EMAIL else profile.mobile_phone
        is_held = held.owner(identity.pair) is not None
        if not column and (is_held or not profile.identities.filter(handle=handle).exists()):
            set_contact(profile, handle, identity, held=held, by=by, source=source)
        elif not is_held and overriding.is_claimed(identity.pair, profile):
            # The customer has said the same, so that this is no other than theirs.
            set_contact(profile, handle, identity, held=held, by=by, source=source)
        elif not is_held:
            not_taken.append(handle)
    filling.save_changes(profile, old, by=by)
    return profile, Routed(profile, "matched", not_taken=not_taken)


def _refuse_writer(handle: Handle, writer: Extension | None) -> None:
    try:
        handle.refuse_writer(writer)
    except ValidationError as error:
        raise Refused.because(error, field="handle") from error


def _still(row: Identity, held: Held, of: uuid.UUID | None) -> Identity:
    """The row as it is under the lock, on a profile that may be written. Raises Changed, or Refused."""
    current = held.identities.get(row.pair)
    if current is None or current.pk != row.pk:
        raise Changed
    if of is not None and current.profile_id != of:
        raise Identity.DoesNotExist
    current.handle, current.profile = row.handle, held.live(current.profile_id)
    return current


def _rewrite(row: Identity, wanted: Identity, *, held: Held, by: By, source: Extension | None) -> None:
    """Give a row another identifier, unless some other row has that pair."""
    if row.handle.immutable:
        message = _("Identifiers of the handle %(handle)s cannot be changed.") % {"handle": row.handle_id}
        raise Refused("immutable_handle", message, field="identifier")
    owner = held.owner(wanted.pair)
    if owner is not None and owner == row.profile:
        raise Refused("identity_exists", _("This profile already has this identity."), field="identifier")
    if owner is not None:
        raise taken(wanted, owner=owner, requested=row.profile, by=by, source=source)
    if wanted.pair in held.identities:
        release(held.identities[wanted.pair], row.profile, held=held, by=by, source=source)
    row.handle, row.identifier, row.original = wanted.handle, wanted.identifier, wanted.original
