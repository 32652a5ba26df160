"""Ask that profiles be told of again to whoever listens (API.md 3, POST /profiles/sync)."""

from __future__ import annotations

import datetime

from profiles import auditing
from profiles.auditing import By
from profiles.models import Audit


def ask(since: datetime.datetime | None, *, by: By) -> Audit:
    """Keep who asked for the profiles that were changed since then; None means all of them."""
    entry = auditing.entry("sync asked", by.user, by=by, new={"updated_at": since})
    auditing.write([entry])
    return entry
