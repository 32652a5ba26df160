"""Review entries of the routing log: a person says that one is dealt with, or of no interest."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from identities.models import RoutingLogEntry
from profiles import auditing
from profiles.auditing import By
from profiles.refusing import Refused

OPEN = RoutingLogEntry.Review.OPEN


def review(entry: RoutingLogEntry, *, status: str, note: str, by: By) -> RoutingLogEntry:
    """Set the review of an entry: its status, a note, who and when. An entry that is opened again has no reviewer.

    Raises Refused `open_entry` when the same event has happened again since, and so has an open entry by now.
    """
    with transaction.atomic():
        entry = RoutingLogEntry.objects.select_for_update(no_key=True).get(pk=entry.pk)
        old = {"review_status": entry.review_status, "review_note": entry.review_note}
        new = {"review_status": status, "review_note": note}
        if old == new:
            return entry
        entry.review_status, entry.review_note = status, note
        entry.reviewed_by, entry.reviewed_at = (None, None) if status == OPEN else (by.user, timezone.now())
        try:
            with transaction.atomic():
                entry.save(update_fields=["review_status", "review_note", "reviewed_by", "reviewed_at"])
        except IntegrityError as error:
            message = _("The same event has happened again since, and has an open entry of its own; review that one.")
            raise Refused("open_entry", message, field="review_status") from error
        auditing.write([auditing.entry("reviewed", entry, by=by, profile=entry.routed_profile, old=old, new=new)])
    return entry
