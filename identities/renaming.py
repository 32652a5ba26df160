"""Give a handle another name, or merge it into the handle it was meant to be; the old name stays and leads there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import barring, cataloguing, overriding, surveying
from identities.holding import settle
from identities.models import BlockedIdentifier, Handle, Identity, fold_handle
from identities.models.handle import MOST_COUNTED
from identities.normalising import storable
from identities.rewriting import Rewritten, rewrite
from identities.surveying import Survey
from profiles import auditing
from profiles.auditing import By
from profiles.refusing import Refused

# What another name takes over: all that the catalogue says of a handle.
CARRIED = [
    "label",
    "description",
    "example",
    "status",
    "reserved_for",
    "normaliser",
    "pattern",
    "single_valued",
    "max_per_profile",
    "immutable",
    "sensitive",
    "priority",
    "auto_merge",
    "agreed_by",
    "agreed_at",
    "created_at",
]


@dataclass(slots=True)
class Plan:
    """What a rename or a merge would do. `hindrance` is the reason why it cannot be done at all.

    `identities` is how many would come to stand under the other name, counted up to MOST_COUNTED; `names`, the former
    names that would lead there too; `blocked`, the blocked values that would hold there; `survey`, what would become
    of each identity in a merge.
    """

    handle: Handle
    to: Handle
    hindrance: str = ""
    identities: int = 0
    is_capped: bool = False
    names: Sequence[str] = ()
    blocked: Sequence[BlockedIdentifier] = ()
    survey: Survey = field(default_factory=Survey)

    @property
    def may_be_done(self) -> bool:
        return not self.hindrance and not self.survey.is_hindered


def plan_rename(handle: Handle, to: str) -> Plan:
    """Say what `rename` would do. Changes nothing."""
    to = storable(to.strip())
    existing = Handle.objects.filter(pk=to).first()
    try:
        new = _renamed(handle, to, existing)
    except Refused as refusal:
        return Plan(handle, existing or Handle(name=to), refusal.message)
    return _planned(handle, new)


def rename(handle: Handle, *, to: str, reason: str, by: By) -> int:
    """Give a handle another name; returns how many identities stand under it.

    All identities, blocked values and former names go to the new name in one transaction. The old name stays,
    retired, and leads there for writes and look-ups; it is what takes the rename back, as `to` of another one.
    Whoever writes the handle meanwhile waits. The routing log, moves and the audit keep the name of their day.

    Raises Handle.DoesNotExist, and Refused: `builtin_handle`, `retired_handle` for what is a former name itself, and
    `invalid_handle` for a name that is taken or none. A name that differs only in case or in - and _ is none either:
    by the rule of API.md 2 the old one would then be refused, instead of being followed.
    """
    to = storable(to.strip())

    def attempt() -> int:
        locked = Handle.objects.lock(handle.pk, to)
        old, existing = _of(locked, handle), locked.get(to)
        new = _renamed(old, to, existing)
        new.save(force_insert=existing is None, force_update=existing is not None)
        number = Identity.objects.filter(handle=old).update(handle=new, updated_at=timezone.now())
        overriding.follow_handle({old.pk, new.pk}, new, by=by)
        told = cataloguing.plain(new, CARRIED) | {"renamed_from": old.pk}
        auditing.write([auditing.entry("updated" if existing else "created", new, by=by, new=told)])
        _leave_behind(old, new, "renamed", {"identities": number}, reason=reason, by=by)
        return number

    return settle(attempt)


def plan_merge(handle: Handle, into: Handle) -> Plan:
    """Say what `merge` would do, by the oldest `surveying.MOST_READ` identities. Changes nothing."""
    try:
        _refuse_merge(handle, into)
    except Refused as refusal:
        return Plan(handle, into, refusal.message)
    plan = _planned(handle, into)
    plan.survey = surveying.survey(handle, into)
    return plan


def merge(handle: Handle, *, into: Handle, reason: str, by: By) -> Rewritten:
    """Put the identities of a handle under the one it was meant to be, by the rules of that one.

    What happens to each is `surveying.survey`'s to say and `rewriting.rewrite`'s to do; the old name is left behind as
    by `rename`. No rename takes it back: afterwards the identities of both are not told apart. It is no write of
    anybody's, so that a refusal leaves nothing in the routing log; `plan_merge` shows what is in the way at any time.

    Raises Handle.DoesNotExist, and Refused: `builtin_handle`, `retired_handle` for a former name, `invalid_handle`
    where `into` is not agreed or the same, and what `rewrite` refuses.
    """

    def attempt() -> Rewritten:
        locked = Handle.objects.lock(handle.pk, into.pk)
        old, target = _of(locked, handle), _of(locked, into)
        _refuse_merge(old, target)
        done = rewrite(old, target, by=by)
        told = {"identities": done.changed, "same": done.same, "freed": done.freed}
        _leave_behind(old, target, "merged", told, reason=reason, by=by)
        return done

    return settle(attempt)


def _of(locked: Mapping[str, Handle], handle: Handle) -> Handle:
    current = locked.get(handle.pk)
    if current is None:
        raise Handle.DoesNotExist
    return current


def _planned(handle: Handle, to: Handle) -> Plan:
    number = Identity.objects.filter(handle=handle).order_by()[: MOST_COUNTED + 1].count()
    return Plan(
        handle,
        to,
        identities=min(number, MOST_COUNTED),
        is_capped=number > MOST_COUNTED,
        names=[name for name in handle.former_names.values_list("pk", flat=True).order_by("pk") if name != to.pk],
        blocked=list(handle.blocked.order_by("pk")),
    )


def _refuse_as_old(handle: Handle) -> None:
    """Refuse to give up the name of what has no identities of its own to take along."""
    if handle.is_built_in:
        raise Refused("builtin_handle", _("Contact points are built in: their handles keep their names."))
    if handle.renamed_to_id is not None:
        message = _("The handle %(name)s is a former name of %(handle)s.")
        raise Refused("retired_handle", message % {"name": handle.name, "handle": handle.renamed_to_id})


def _renamed(handle: Handle, to: str, existing: Handle | None) -> Handle:
    """The row that the handle would have under the other name, not yet saved. Raises Refused."""
    _refuse_as_old(handle)
    if existing is not None and existing.renamed_to_id != handle.pk:
        if existing.pk == handle.pk:
            message = _("This is its name.")
        elif existing.renamed_to_id is not None:
            message = _("The handle %(name)s is a former name of %(handle)s.")
        else:
            message = _("There is a handle %(name)s already. To put both together, merge one into the other.")
        names = {"name": existing.name, "handle": existing.renamed_to_id}
        raise Refused("invalid_handle", message % names, field="to")
    if existing is None and fold_handle(to) == handle.fold:
        message = _(
            "The names %(to)s and %(name)s differ only in - and _, and of such names one alone is known: whoever "
            "writes %(name)s would be refused from then on. Choose a name that differs in more."
        )
        raise Refused("invalid_handle", message % {"to": to, "name": handle.name}, field="to")
    new = existing or Handle(name=to)
    for column in CARRIED:
        setattr(new, column, getattr(handle, column))
    new.renamed_to = None
    try:
        new.full_clean(exclude=["fold"], validate_unique=False)
    except ValidationError as error:
        raise Refused("invalid_handle", " ".join(error.messages), field="to") from error
    return new


def _refuse_merge(handle: Handle, into: Handle) -> None:
    _refuse_as_old(handle)
    if into.is_built_in:
        raise Refused("builtin_handle", _("Contact points are built in: nothing is merged into them."), field="into")
    if into.pk == handle.pk:
        raise Refused("invalid_handle", _("A handle cannot be merged into itself."), field="into")
    if into.status != Handle.Status.AGREED:
        message = _("The handle %(handle)s is not agreed, so nothing can be merged into it.") % {"handle": into.name}
        raise Refused("invalid_handle", message, field="into")


def _leave_behind(old: Handle, new: Handle, event: str, told: Mapping[str, Any], *, reason: str, by: By) -> None:
    """Let the old name lead to the new one, its former names too: one hop, however often a handle was renamed."""
    _carry_blocked(old, new, by=by)
    barring.follow_handle(old.pk, new.pk)
    old.former_names.exclude(pk=new.pk).update(renamed_to=new)
    before = cataloguing.plain(old, ["status", "reserved_for"])
    old.status, old.reserved_for, old.renamed_to = Handle.Status.RETIRED, None, new
    old.save(force_update=True)
    after = {"status": old.status, "renamed_to": new.pk, **told, "reason": reason}
    auditing.write([auditing.entry(event, old, by=by, old=before, new=after)])


def _carry_blocked(old: Handle, new: Handle, *, by: By) -> None:
    """What was blocked under the old name is blocked under the new one."""
    there = {(one.kind, one.value): one for one in new.blocked.order_by()}
    for one in old.blocked.order_by("pk"):
        other = there.get((one.kind, one.value))
        if other is None:
            cataloguing.change_blocked(one, {"handle": new}, by=by)
            continue
        if one.enabled and not other.enabled:
            cataloguing.change_blocked(other, {"enabled": True}, by=by)
        cataloguing.unblock(one, by=by)
