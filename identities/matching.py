"""Read only: which profiles do these pairs name?"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Sequence

from django.core.exceptions import ValidationError
from django.db.models import Q

from identities import normalising
from identities.models import BUILT_IN, Handle, Identity, IdentityQuerySet, Pair
from profiles import reading
from profiles.models import Profile, ProfileQuerySet, fold_name
from profiles.models.profile import Found

# A search box is for finding one person; what matches more rows than this is not yet a question.
MOST_FOUND = 1_000

ASKED = """
    FROM unnest(%s::text[], %s::text[]) AS asked (handle, identifier)
    JOIN identities_identity AS identity
      ON identity.handle = asked.handle AND identity.identifier = asked.identifier
"""


def owned(pairs: Collection[Pair]) -> dict[Pair, Identity]:
    """The identities that hold these pairs, whatever state their profiles are in. One index probe per pair."""
    if not pairs:
        return {}
    sql = f"SELECT {reading.columns(Identity, 'identity')} {ASKED}"  # noqa: S608 - names of our own
    return {row.pair: row for row in reading.instances(Identity, sql, _asked(pairs))}


def owners(pairs: Collection[Pair]) -> Found | None:
    """The query for the profiles that hold these pairs, whatever state they are in; none for no pairs."""
    return (f"SELECT identity.profile_id {ASKED}", _asked(pairs)) if pairs else None  # noqa: S608 - names of our own


def _asked(pairs: Collection[Pair]) -> list[list[str]]:
    return [[pair.handle for pair in pairs], [pair.identifier for pair in pairs]]


def current_name(handle: str) -> str:
    """The name under which the identities of this handle stand: its own, or the one that it was renamed to."""
    renamed = Handle.objects.filter(pk=handle).values_list("renamed_to", flat=True).first()
    return renamed or handle


def every_name(handle: str) -> list[str]:
    """All names that this handle has or had: what stands in a log under a former name is about the same handle."""
    its_own = Q(pk=handle) | Q(renamed_to=handle)
    of_whom_it_is_a_former_name = Q(former_names=handle) | Q(renamed_to__former_names=handle)
    names = Handle.objects.filter(its_own | of_whom_it_is_a_former_name).order_by()
    return sorted(set(names.values_list("pk", flat=True))) or [handle]


def current_pairs(pairs: Sequence[Pair]) -> list[Pair]:
    """What these pairs are today, whose handles may have got another name or normaliser since they were noted."""
    names = {pair.handle for pair in pairs}
    known = Handle.objects.select_related("renamed_to").in_bulk(names) if names else {}
    current = {name: handle.renamed_to or handle for name, handle in known.items()}
    return [_current(pair, current.get(pair.handle)) for pair in pairs]


def _current(pair: Pair, handle: Handle | None) -> Pair:
    if handle is None:
        return pair
    try:
        return Pair(handle.pk, normalising.normalise(handle.normaliser, pair.identifier))
    except ValidationError:
        return Pair(handle.pk, pair.identifier)


def having(identifiers: dict[str, str | None], *, handle: str | None = None) -> IdentityQuerySet:
    """Identities stored under one of these normal forms, each under its own handle's normaliser only.

    In: the forms that `normalising.forms` gives. "abc-123" must not find the till customer 123 just because some
    other handle keeps digits alone.
    """
    matches = Q()
    for normaliser, form in identifiers.items():
        if form is not None:
            matches |= Q(identifier=form, handle__normaliser=normaliser)
    if not matches:
        return Identity.objects.none()
    found = Identity.objects.filter(matches)
    return found if handle is None else found.filter(handle=current_name(handle))


def under_any_open_handle(text: str) -> Identity | None:
    """The oldest identity of the one live profile that is known by this text under open handles.

    None when there is no such profile, or more than one: an identifier without its handle decides nothing then.
    Reserved handles, and those of contact points, are not open.
    """
    rows = having(normalising.forms(text)).live().visible().filter(handle__reserved_for=None)
    found = list(rows.order_by("profile_id", "pk").distinct("profile_id")[:2])
    return found[0] if len(found) == 1 else None


def holding_contact(handle: str, text: str) -> IdentityQuerySet:
    """The identity, one at most, by which a profile holds this e-mail address or phone number."""
    form = normalising.forms(text)[BUILT_IN[handle]]
    if form is None:
        return Identity.objects.none()
    return Identity.objects.filter(handle=handle, identifier=form)


def search(text: str, among: ProfileQuerySet | None = None) -> ProfileQuerySet:
    """Profiles that a person looking for `text` may mean: by id, by any identifier, by name or its beginning.

    Equality and prefix on indexes only. "mitchell green" and "green mitchell" find the same; a single word is the
    beginning of either name. In: the profiles to look among, all unless given, in whatever state: what a list leaves
    out must not use up its hits. Of more than MOST_FOUND hits by identifier, or by name, the first in the order of
    `among` are found, and the answer `is_cut`.
    """
    among = Profile.objects.all() if among is None else among
    text = text.strip()[:255]
    if not text or text != normalising.storable(text):
        return among.none()
    kinds = [among.filter(pk__in=having(normalising.forms(text)).values("profile_id"))]
    try:
        kinds.append(among.filter(pk=uuid.UUID(text)))
    except ValueError:
        kinds.append(among.filter(_named(text)))
    hits = [list(kind.values_list("pk", flat=True)[: MOST_FOUND + 1]) for kind in kinds]
    found = among.filter(pk__in={pk for keys in hits for pk in keys[:MOST_FOUND]})
    found.is_cut = any(len(keys) > MOST_FOUND for keys in hits)
    return found


def _named(text: str) -> Q:
    words = fold_name(text).split(" ")
    matches = Q(first_name_fold__startswith=" ".join(words)) | Q(last_name_fold__startswith=" ".join(words))
    for cut in range(1, len(words)):
        left, right = " ".join(words[:cut]), " ".join(words[cut:])
        matches |= Q(first_name_fold=left, last_name_fold__startswith=right)
        matches |= Q(last_name_fold=left, first_name_fold__startswith=right)
    return matches
