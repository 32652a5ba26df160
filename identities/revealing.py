"""Show an identifier that lists and logs mask, and keep who looked at it."""

from __future__ import annotations

from django.db import transaction

from identities.models import Identity
from profiles import auditing
from profiles.auditing import By


def reveal(identity_id: int, *, by: By) -> Identity:
    """Read an identity for somebody who needs its whole identifier; the audit says who and when, not what.

    Raises Identity.DoesNotExist.
    """
    with transaction.atomic():
        row = Identity.objects.select_related("handle", "profile").get(pk=identity_id)
        auditing.write([auditing.entry("revealed", row, by=by, profile=row.profile, new={"handle": row.handle_id})])
    return row
