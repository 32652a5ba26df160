"""Delete a profile for good, with the whole merge tree beneath it (API.md 3)."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db import connection, models
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import barring, replaying
from identities.holding import Changed, settle
from identities.models import Identity, Pair
from identities.moving import refuse_merged
from profiles import auditing
from profiles.auditing import By
from profiles.erasing import traces
from profiles.merging.lineage import beneath
from profiles.models import Profile
from profiles.models.policy import dying
from profiles.refusing import Refused


@dataclass(frozen=True, slots=True)
class Purge:
    """A profile that is to be erased, or is: the keys of all that goes with it, and its rows by what they are.

    `profile_ids` are the profile and those that were merged into it, directly or not, in key order; `counts` are by
    the plural of each kind, such as `transactions`, and only of what there is.
    """

    profile: Profile
    profile_ids: list[uuid.UUID]
    counts: dict[str, int]


def preview(profile_id: uuid.UUID) -> Purge:
    """Tell what `purge` would delete now; reads only, and so may be overtaken.

    Raises Profile.DoesNotExist, and Refused `already_merged`.
    """
    tree = {profile.pk: profile for profile in beneath([profile_id])}
    return _told(profile_id, tree)


def purge(
    profile_id: uuid.UUID,
    *,
    told_of: Collection[uuid.UUID] | None = None,
    keep_out: bool = True,
    reason: str = "",
    by: By,
) -> Purge:
    """Delete a profile, all that was merged into it, and whatever is kept of them anywhere; nothing takes it back.

    That is every row that belongs to one of them (`profiles.models.policy`: DIES), and what stands of them in the
    audit, the routing log, answers that wait to be replayed, events, deliveries and records of others (`traces`).
    What stays is one entry of the audit: which keys, how many rows of which kind, by whom, why. With `keep_out`, the
    pairs are refused from then on, `identity_erased`, so that a late copy of something does not bring the person back
    (API.md 4); without, whoever sends one next makes a new profile.

    The id is literal. `told_of` are the profiles that a person has agreed to, where one was asked. In one transaction,
    a statement for each kind of row, however many there are of it. Raises Profile.DoesNotExist, and Refused:
    `already_merged` with the survivor, `plan_changed` when others than `told_of` would go.
    """

    def attempt() -> Purge:
        tree = Profile.objects.lock([profile.pk for profile in beneath([profile_id])], for_good=True)
        told = _told(profile_id, tree)
        if {profile.pk for profile in beneath([profile_id])} != tree.keys():
            raise Changed
        if told_of is not None and set(told_of) != tree.keys():
            raise changed()
        begun = timezone.now()
        looked_through = replaying.recent(begun)
        rows = Identity.objects.filter(profile__in=told.profile_ids)
        pairs = [Pair(*pair) for pair in rows.values_list("handle_id", "identifier")]
        in_answers = traces.wipe(told.profile_ids, pairs, by=by)
        delete(Profile.objects.filter(pk__in=told.profile_ids))
        if keep_out:
            barring.bar(pairs)
        # At the very end, since all who write with a key wait for the commit from here on.
        replaying.hold_back()
        replaying.forget_telling(in_answers, since=begun, but=looked_through)
        new = {"profiles": told.profile_ids, "deleted": told.counts, "kept_out": keep_out, "reason": reason}
        entry = auditing.entry("erased", told.profile, by=by, new=new)
        entry.facts = lambda: [{"gone": _what_is_told(told)}]
        auditing.write([entry])
        return told

    return settle(attempt)


def changed() -> Refused:
    message = _("What is merged into it is not the same any more. Nothing was erased: look again at what goes.")
    return Refused("plan_changed", message)


def delete(rows: QuerySet[Any]) -> None:
    """Delete these rows and what hangs on them, as Django does it by `on_delete`, but set-wise.

    Django reads all rows first, and those which hang on them, a hundred thousand transactions too. No `delete()` of a
    model is called.
    """
    for relation in rows.model._meta.get_fields(include_hidden=True):
        if not isinstance(relation, models.ManyToOneRel):
            continue
        hanging = relation.related_model._base_manager.filter(**{f"{relation.field.name}__in": rows.values("pk")})
        if relation.on_delete is models.CASCADE:
            delete(hanging)
        elif relation.on_delete is models.SET_NULL:
            hanging.update(**{relation.field.name: None})
    rows._raw_delete(rows.db)  # what Django's own collector ends in


def _told(profile_id: uuid.UUID, tree: dict[uuid.UUID, Profile]) -> Purge:
    profile = tree.get(profile_id)
    if profile is None:
        raise Profile.DoesNotExist
    refuse_merged(profile)
    ids = sorted(tree)
    return Purge(profile, ids, {"profiles": len(ids), **_counts(ids)})


def _counts(ids: list[uuid.UUID]) -> dict[str, int]:
    """How many rows of each kind are deleted together with these profiles. One statement."""
    parts, parameters = [], list[Any]()
    for model, names in dying(Profile).items():
        where = " OR ".join(f"{name}_id = ANY(%s)" for name in names)
        parts.append(f"SELECT %s, count(*) FROM {model._meta.db_table} WHERE {where}")  # noqa: S608 - names of our own
        parameters += [_plural(model), *[ids] * len(names)]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), parameters)
        return {kind: number for kind, number in cursor.fetchall() if number}


def _plural(model: type[models.Model]) -> str:
    return str(model._meta.verbose_name_plural).lower().replace(" ", "_")


def _what_is_told(told: Purge) -> dict[str, Any]:
    """What listeners are told, so that they can erase it too: whom they know by which id, and nothing else of them."""
    return {
        "id": str(told.profile.pk),
        "profile_type": Profile.Type.DELETED,
        "is_purged": True,
        "merged_ids": [str(pk) for pk in told.profile_ids if pk != told.profile.pk],
        "identities": [],
    }
