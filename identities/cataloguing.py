"""Keep the catalogue: what a handle is, which values are blocked, and which extensions may claim handles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from identities import overriding
from identities.holding import settle
from identities.models import BlockedIdentifier, Extension, Handle
from profiles import auditing
from profiles.auditing import By
from profiles.refusing import Refused

Row = TypeVar("Row", Handle, BlockedIdentifier, Extension)


def create(fields: Mapping[str, Any], *, by: By) -> Handle:
    """Put a handle into the catalogue before anybody writes under it.

    In: columns of Handle. Customers may have claimed what it is to name: their claims are brought to its normal form,
    else no write would ever meet them. Raises ValidationError where its fields or `Handle.clean()` refuse.
    """
    handle = Handle(**fields)
    _agree(handle, by=by)
    with transaction.atomic():
        handle = _stored(handle, fields, by=by)
        overriding.follow_handle({handle.pk}, handle, by=by)
    return handle


def change(handle: Handle, fields: Mapping[str, Any], *, by: By) -> Handle:
    """Change what the catalogue says of a handle; from `agreed` on, who agreed to it and when stands with it.

    In: columns of Handle. Waits for the writes under way that have read the handle, and lets the next ones wait
    (`holding.keep_rules`): none is stored by a rule that is gone. A normaliser does not change under identities that
    were stored by it, since they would no longer be found (`renormalising` rewrites them, too); claims come along.
    Raises ValidationError `in_use` for that, and where `Handle.clean()` refuses.
    """

    def attempt() -> Handle:
        current = Handle.objects.select_for_update().get(pk=handle.pk)
        old, changed = set_fields(current, fields)
        if "normaliser" in changed and not current.is_built_in and current.identities.exists():
            message = _("Identities of this handle are stored by its normaliser.")
            raise ValidationError({"normaliser": ValidationError(message, "in_use")})
        if "status" in changed:
            _agree(current, by=by)
        current = saved(current, old, changed, by=by)
        if "normaliser" in changed:
            overriding.follow_handle({current.pk}, current, by=by)
        return current

    return settle(attempt)


def agree(handle: Handle, fields: Mapping[str, Any], *, by: By) -> Handle:
    """Document a handle that somebody began to write, or take a retired one back: from now on it is agreed.

    In: label, description, example and `reserved_for`, an Extension or None, or any other columns of Handle. Raises
    Refused `already_agreed`, which is also what the second of two that agree is told, and ValidationError.
    """

    def attempt() -> Handle:
        current = Handle.objects.select_for_update().get(pk=handle.pk)
        if current.status == Handle.Status.AGREED:
            message = _("The handle %(handle)s is agreed already.") % {"handle": current.name}
            raise Refused("already_agreed", message)
        return change(current, {**fields, "status": Handle.Status.AGREED}, by=by)

    return settle(attempt)


def retire(handle: Handle, *, by: By) -> Handle:
    """Let a handle take no new identities. Those that it has stay, match and are found.

    Raises Refused `already_retired`, and `builtin_handle` for a contact point's.
    """

    def attempt() -> Handle:
        current = Handle.objects.select_for_update().get(pk=handle.pk)
        if current.status == Handle.Status.RETIRED:
            message = _("The handle %(handle)s is retired already.") % {"handle": current.name}
            raise Refused("already_retired", message)
        if current.is_built_in:
            raise Refused("builtin_handle", _("Contact points are built in and cannot be retired."))
        return change(current, {"status": Handle.Status.RETIRED}, by=by)

    return settle(attempt)


def block(fields: Mapping[str, Any], *, by: By) -> BlockedIdentifier:
    """Block a value under one handle, or under all. What is stored already stays.

    In: columns of BlockedIdentifier. Raises ValidationError.
    """
    return _stored(BlockedIdentifier(**fields, by=by.user), fields, by=by)


def change_blocked(blocked: BlockedIdentifier, fields: Mapping[str, Any], *, by: By) -> BlockedIdentifier:
    """Change a blocked value; one that ships can only be switched off and on. Raises Refused or ValidationError."""
    with transaction.atomic():
        blocked = BlockedIdentifier.objects.select_for_update().get(pk=blocked.pk)
        old, changed = set_fields(blocked, fields)
        if blocked.built_in and changed not in ([], ["enabled"]):
            raise Refused("built_in", _("This value ships with the product: it can only be switched off and on."))
        return saved(blocked, old, changed, by=by)


def unblock(blocked: BlockedIdentifier, *, by: By) -> None:
    """Take a value off the list. Raises Refused `built_in` for one that ships, which can only be switched off."""
    with transaction.atomic():
        blocked = BlockedIdentifier.objects.select_for_update().get(pk=blocked.pk)
        if blocked.built_in:
            raise Refused("built_in", _("This value ships with the product: switch it off instead of deleting it."))
        old = plain(blocked, ["handle", "kind", "value", "reason", "enabled"])
        auditing.write([auditing.entry("deleted", blocked, by=by, old=old)])
        blocked.delete()


def create_extension(fields: Mapping[str, Any], *, by: By) -> Extension:
    """Add an extension together with its service account: a user that nobody signs in as, for its tokens to act for.

    In: columns of Extension without the account. Raises ValidationError.
    """
    extension = Extension(**fields)
    extension.full_clean(exclude=["service_account"])
    account = User(username=f"extension-{extension.slug}", first_name=extension.name[:150])
    account.set_unusable_password()
    try:
        account.full_clean()
    except ValidationError as error:
        message = _("A user named %(name)s is in the way of the service account.") % {"name": account.username}
        raise ValidationError({"slug": message}) from error
    with transaction.atomic():
        account.save(force_insert=True)
        extension.service_account = account
        return _stored(extension, fields, by=by)


def change_extension(extension: Extension, fields: Mapping[str, Any], *, by: By) -> Extension:
    """Change an extension's columns. Raises ValidationError."""
    with transaction.atomic():
        extension = Extension.objects.select_for_update(no_key=True).get(pk=extension.pk)
        old, changed = set_fields(extension, fields)
        return saved(extension, old, changed, by=by)


def switch_extension(extension: Extension, *, enabled: bool, by: By) -> Extension:
    """Refuse an extension's tokens from now on, or accept them again. One that is so already stays as it is.

    Nothing else of the row is checked: whatever is wrong with it must not keep anybody from switching it off.
    """
    with transaction.atomic():
        extension = Extension.objects.select_for_update(no_key=True).get(pk=extension.pk)
        if extension.enabled != enabled:
            extension.enabled = enabled
            extension.save(update_fields=["enabled"])
            old, new = {"enabled": not enabled}, {"enabled": enabled}
            auditing.write([auditing.entry("updated", extension, by=by, old=old, new=new)])
    return extension


def _agree(handle: Handle, *, by: By) -> None:
    if handle.status == Handle.Status.AGREED:
        handle.agreed_by, handle.agreed_at = by.user, timezone.now()


def _stored(row: Row, fields: Mapping[str, Any], *, by: By) -> Row:
    """Check and insert a new row, and audit it."""
    # A handle's fold follows from its name in clean(), which is after the fields have been checked.
    row.full_clean(exclude=["fold"])
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            auditing.write([auditing.entry("created", row, by=by, new=plain(row, fields))])
    except IntegrityError:
        # Somebody was faster, a writer of a new handle, say; the check finds the row now, and says so.
        row.full_clean(exclude=["fold"])
        raise
    return row


def set_fields(row: models.Model, fields: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Set these columns; returns what they were, and the names of those that differ."""
    old = plain(row, fields)
    for name, value in fields.items():
        setattr(row, name, value)
    new = plain(row, fields)
    return old, [name for name in fields if new[name] != old[name]]


def saved(row: Row, old: Mapping[str, Any], changed: list[str], *, by: By, **told: Any) -> Row:
    """Check and store a changed row, and audit what changed; `told` is what else the audit says of it."""
    row.full_clean(exclude=["fold"])
    if changed:
        row.save(force_update=True)
        new = plain(row, changed) | told
        auditing.write([auditing.entry("updated", row, by=by, old={name: old[name] for name in changed}, new=new)])
    return row


def plain(row: models.Model, names: Mapping[str, Any] | list[str]) -> dict[str, Any]:
    """Values as the audit can keep them: another row by its key."""
    values = {name: getattr(row, name) for name in names}
    return {name: value.pk if isinstance(value, models.Model) else value for name, value in values.items()}
