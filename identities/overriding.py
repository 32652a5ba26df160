"""What becomes of what customers claim when somebody who may say so writes the same pair (API.md 6).

Everything here runs inside an operation that holds the profiles on which it puts pairs. Most pairs are claimed by
nobody, so that nobody is asked apart: the statement that inserts a row says whether its pair is (`IS_CLAIMED`).
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection
from django.db.models import Exists, Model, OuterRef

from identities import normalising, routing_log
from identities.handles import mask
from identities.holding import Held, widen
from identities.models import BUILT_IN, Extension, Handle, Identity, IdentityClaim, Pair, RoutingLogEntry, fold_handle
from profiles import auditing, duplicates, reading
from profiles.auditing import By
from profiles.models import RECORDS, Audit, Profile

# Whether the pair of a row of identities is claimed by anybody.
IS_CLAIMED = """
    coalesce((
        SELECT true FROM identities_identityclaim AS claim
        WHERE claim.handle = identities_identity.handle AND claim.identifier = identities_identity.identifier LIMIT 1
    ), false)
"""

# So many claims give way to one write, whose profiles it locks. Others of the same pairs stay, as any claim of what is
# another's does, until staff refuse them: many tokens that claim one card must not hold up a till.
MOST_OVERRIDDEN = 50

# Claims of one handle that are brought to other rules together.
AT_ONCE = 1_000


def give_way(
    rows: Collection[Identity],
    *,
    held: Held,
    by: By,
    source: Extension | None,
    payload: Mapping[str, Any] | None = None,
) -> None:
    """Let the claims of these rows' pairs, which were just written, end: each row is the pair's identity now.

    That of the row's own profile has become it. Any other was wrong, or the two profiles are one person: it is logged
    as `claim_overridden`, and the two enter the queue of duplicates. In: rows with their profiles and handles; the
    payload of the write. Raises Changed when a profile that claims one of them is not locked yet.

    Anonymous visitors make profiles at no cost, and number after number may be claimed by them. A claim of one that
    is nothing besides ends without a word: there is nobody whom staff could compare, and no till waits for it.
    """
    written = {row.pair: row for row in rows}
    claims = _claims_of(written.values(), own=False)
    if not claims:
        return
    others = [claim for claim in claims if claim.profile_id != written[claim.pair].profile_id]
    nobodys = _of_nobody({claim.profile_id for claim in others} - held.profiles.keys())
    idle = _lock([claim for claim in others if claim.profile_id in nobodys])
    others = [claim for claim in others if claim.profile_id not in nobodys]
    if any(claim.profile_id not in held.profiles for claim in others):
        widen(claim.profile_id for claim in others)
    events = [(claim, _entry(claim, written[claim.pair], by=by, source=source, payload=payload)) for claim in others]
    noted = routing_log.note_all((entry, [claim.pair]) for claim, entry in events)
    duplicates.note_held(
        duplicates.Found(written[claim.pair].profile_id, claim.profile_id, {"conflict": [entry_id]})
        for (claim, _entry_of), entry_id in zip(events, noted, strict=True)
        # A deleted profile's claim is dropped too, but nobody is to look at it.
        if held.profiles[claim.profile_id].is_live
    )
    own = [claim for claim in claims if claim.profile_id == written[claim.pair].profile_id]
    _end([*own, *others, *idle], written, by=by)


def is_claimed(pair: Pair, profile: Profile) -> bool:
    """Whether this profile, which is locked, claims the pair."""
    return profile.claims.filter(handle=pair.handle, identifier=pair.identifier).exists()


def become(rows: Collection[Identity], *, by: By) -> None:
    """Let the claims end that the profiles of these rows have of their pairs. In: rows that were brought to another
    profile, with it and with their handles. What others claim of them is as wrong, or as right, as it was."""
    written = {row.pair: row for row in rows}
    _end(_claims_of(written.values(), own=True), written, by=by)


def follow_merge(survivor: Profile, duplicate_ids: Collection[uuid.UUID], *, by: By) -> None:
    """Let claims of profiles that were just merged stand for the survivor.

    Of several that are the same one, and of several contact points of a kind, the one that was said last stays; one
    whose pair the survivor has as an identity by now has become that. Called by merging, which holds the profiles,
    when the identities have moved.
    """
    of_them = IdentityClaim.objects.filter(profile__in=[survivor.pk, *duplicate_ids])
    claims = list(of_them.order_by("-updated_at", "-pk"))
    if not claims:
        return
    held = {row.pair: row for row in _identities_of(survivor.pk, {claim.pair for claim in claims})}
    said: set[tuple[str, str]] = set()
    stays: list[IdentityClaim] = []
    goes: list[IdentityClaim] = []
    for claim in claims:
        what = (claim.handle, "" if claim.handle in BUILT_IN else claim.identifier)
        (goes if claim.pair in held or what in said else stays).append(claim)
        said.add(what)
    for claim in goes:
        claim.profile = survivor
    _end(goes, held, by=by)
    moving = [claim.pk for claim in stays if claim.profile_id != survivor.pk]
    IdentityClaim.objects.filter(pk__in=moving).update(profile=survivor)


def follow_undo(duplicate_id: uuid.UUID, side: Collection[uuid.UUID], root: uuid.UUID) -> None:
    """Let claims that were made for a profile, or for one beneath it, stand for it again when its merge is undone."""
    IdentityClaim.objects.filter(profile=root, named__in=side).update(profile=duplicate_id)


def follow_handle(names: Collection[str], to: Handle, *, by: By) -> None:
    """Bring claims under these names to the name and the normal form of a handle, as its identities were.

    One that has no such form can never be confirmed, and one that is the same as another, or as an identity of its
    profile, by now is said twice: these end. Called by whoever changes the handle, and holds it.
    """
    last = 0
    while True:
        rows = IdentityClaim.objects.filter(handle__in=names, pk__gt=last).order_by("pk")[:AT_ONCE]
        claims = list(rows)
        if not claims:
            return
        last = claims[-1].pk
        _rewrite(claims, to, by=by)


def state(claim: IdentityClaim, *, is_sensitive: bool) -> dict[str, Any]:
    """What the audit says of a claim; the identifier of a sensitive handle is masked there too. `named_id` is who said
    it while they were part of that profile, by which an erasure finds it when they no longer are."""
    identifier = mask(claim.identifier) if is_sensitive else claim.identifier
    said = {"handle": claim.handle, "identifier": identifier, "profile_id": str(claim.profile_id)}
    return said if claim.named_id == claim.profile_id else {**said, "named_id": str(claim.named_id)}


def audited(
    event: str,
    claim: IdentityClaim,
    *,
    by: By,
    old: Mapping[str, Any] | None = None,
    new: Mapping[str, Any] | None = None,
) -> Audit:
    entry = auditing.entry(event, claim, by=by, old=old, new=new)
    entry.profile_id = claim.profile_id
    return entry


def sensitive(claims: Iterable[IdentityClaim]) -> set[str]:
    """The names under which these claims are masked: of handles that are sensitive, under any of their names."""
    folds = {claim.handle: fold_handle(claim.handle) for claim in claims}
    found = set(Handle.objects.sensitive().filter(fold__in=set(folds.values())).values_list("fold", flat=True))
    return {name for name, fold in folds.items() if fold in found}


def _entry(
    claim: IdentityClaim, row: Identity, *, by: By, source: Extension | None, payload: Mapping[str, Any] | None
) -> RoutingLogEntry:
    return RoutingLogEntry(
        outcome=RoutingLogEntry.Outcome.CLAIM_OVERRIDDEN,
        kind="identity",
        handle=row.handle_id,
        identifier=row.identifier,
        requested_profile_id=claim.profile_id,
        routed_profile_id=row.profile_id,
        candidates=sorted([claim.profile_id, row.profile_id]),
        payload=payload or {"identities": [{"handle": row.handle_id, "identifier": row.shown}]},
        source=source,
        by=by.user,
    )


def _end(claims: Sequence[IdentityClaim], written: Mapping[Pair, Identity], *, by: By) -> None:
    """Delete claims, and say in the audit by which identity each has come to its end, if by one."""
    if not claims:
        return
    masked = sensitive(claims)
    IdentityClaim.objects.filter(pk__in=[claim.pk for claim in claims]).delete()
    entries = []
    for claim in claims:
        row = written.get(claim.pair)
        event = "superseded" if row is None else "confirmed" if row.profile_id == claim.profile_id else "overridden"
        told = {} if row is None else {"identity": row.pk}
        old = state(claim, is_sensitive=claim.handle in masked)
        entries.append(audited(event, claim, by=by, old=old, new=told))
    auditing.write(entries)


def _of_nobody(profile_ids: Collection[uuid.UUID]) -> set[uuid.UUID]:
    """Those of these profiles that have nothing but what they claim: no identity, no contact point, no record."""
    if not profile_ids:
        return set()
    profiles = Profile.objects.filter(pk__in=profile_ids)
    kinds: tuple[type[Model], ...] = (Identity, *RECORDS.values())
    for kind in kinds:
        profiles = profiles.filter(~Exists(kind._default_manager.filter(profile=OuterRef("pk"))))
    return set(profiles.values_list("pk", flat=True))


def _lock(claims: Sequence[IdentityClaim]) -> list[IdentityClaim]:
    """Lock claims whose profiles are not locked. Returns those that still say the same of the same profile."""
    if not claims:
        return []
    rows = IdentityClaim.objects.filter(pk__in=[claim.pk for claim in claims])
    said = {row.pk: (row.pair, row.profile_id) for row in rows.order_by("pk").select_for_update(no_key=True)}
    return [claim for claim in claims if said.get(claim.pk) == (claim.pair, claim.profile_id)]


def _claims_of(rows: Collection[Identity], *, own: bool) -> list[IdentityClaim]:
    """The claims of these rows' pairs, those of their own profiles first; `own` are only these."""
    if not rows:
        return []
    columns = ([row.handle_id for row in rows], [row.identifier for row in rows], [row.profile_id for row in rows])
    return reading.instances(IdentityClaim, _claimed(own), [*columns, MOST_OVERRIDDEN + len(rows)])


@cache
def _claimed(own: bool) -> str:
    return f"""
        SELECT {reading.columns(IdentityClaim, "claim")}
        FROM unnest(%s::text[], %s::text[], %s::uuid[]) AS written (handle, identifier, profile_id)
        JOIN identities_identityclaim AS claim
          ON claim.handle = written.handle AND claim.identifier = written.identifier
        {"AND claim.profile_id = written.profile_id" if own else ""}
        ORDER BY claim.profile_id <> written.profile_id, claim.id LIMIT %s
    """  # noqa: S608 - names of our own


def _identities_of(profile_id: uuid.UUID, pairs: Collection[Pair]) -> list[Identity]:
    names = {pair.identifier for pair in pairs}
    rows = Identity.objects.filter(profile=profile_id, identifier__in=names).select_related("handle")
    return [row for row in rows if row.pair in pairs]


def _rewrite(claims: Sequence[IdentityClaim], to: Handle, *, by: By) -> None:
    """Bring these claims under a handle, each to its normal form there."""
    forms = {claim.pk: _form(claim, to) for claim in claims}
    profiles = {claim.profile_id for claim in claims}
    wanted = {form for form in forms.values() if form is not None}
    there = IdentityClaim.objects.filter(profile__in=profiles, handle=to.pk, identifier__in=wanted)
    said = {(one.profile_id, one.identifier): one.pk for one in there}
    held = Identity.objects.filter(profile__in=profiles, handle=to.pk, identifier__in=wanted)
    said |= dict.fromkeys(held.values_list("profile_id", "identifier"), 0)
    changed, goes = [], []
    for claim in claims:
        form = forms[claim.pk]
        if form is None or said.setdefault((claim.profile_id, form), claim.pk) != claim.pk:
            goes.append(claim)
        elif (claim.handle, claim.identifier) != (to.pk, form):
            changed.append((claim.pk, form, "" if form == claim.sent else claim.sent))
    _end(goes, {}, by=by)
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE identities_identityclaim AS claim
            SET handle = %s, identifier = said.identifier, original = said.original
            FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS said (id, identifier, original)
            WHERE claim.id = said.id
            """,
            [
                to.pk,
                [pk for pk, _form, _sent in changed],
                [form for _pk, form, _sent in changed],
                [sent for _pk, _form, sent in changed],
            ],
        )


def _form(claim: IdentityClaim, to: Handle) -> str | None:
    try:
        return normalising.normalise(to.normaliser, claim.sent)
    except ValidationError:
        return None
