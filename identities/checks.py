"""System checks of what an installation shares with others, by its names and never by its values."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from django.core.checks import CheckMessage, Tags, Warning, register
from django.db import DatabaseError

from identities import signatures
from identities.models import Extension


@register(Tags.database)
def secrets_are_shared(databases: Collection[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """W001: an extension names a variable that this process does not have. W002: a secret that is easily found.

    They ask the database which extensions there are, hence only where Django lets checks do so: `migrate`, and `check
    --database default`.
    """
    if "default" not in (databases or ()):
        return []
    try:
        extensions = list(Extension.objects.filter(enabled=True).exclude(secret_variables=[]))
    except DatabaseError:
        # Before the first migration there are none.
        return []
    return [message for extension in extensions for message in _faults(extension)]


def _faults(extension: Extension) -> Iterator[CheckMessage]:
    for name in extension.secret_variables:
        if not signatures.is_set(name):
            yield Warning(
                f"The environment variable {name}, which is to hold a secret of extension {extension}, is not set.",
                hint=f"Set {name} or {name}_FILE for the server, or take the name off the extension's page.",
                obj=extension,
                id="identities.W001",
            )
        elif signatures.is_weak(name):
            yield Warning(
                f"The secret of the extension {extension} in {name} has fewer than {signatures.LEAST} characters.",
                hint="Who sees one signature can try out all short secrets. Agree on a long one with the other side.",
                obj=extension,
                id="identities.W002",
            )
