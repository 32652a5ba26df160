"""What an entry's sentence looks like on a page: names that lead to their pages, and marks beside it."""

from __future__ import annotations

from collections.abc import Mapping

from django.contrib.auth.models import AnonymousUser, User
from django.utils.html import format_html
from django.utils.safestring import SafeString

from identities.models import RoutingLogEntry
from identities.telling import Part
from profiles.admin.base import change_url

Reader = User | AnonymousUser

Outcome, Review = RoutingLogEntry.Outcome, RoutingLogEntry.Review

# What a person has to decide, what has been decided by a rule, and what only is to be known.
OUTCOME_MARKS = {
    Outcome.CONFLICT: "danger",
    Outcome.IDENTITY_TAKEN: "warn",
    Outcome.REROUTED: "",
    Outcome.CLAIM_OVERRIDDEN: "",
    Outcome.RELEASED_FROM: "",
    Outcome.REFUSED: "muted",
}
REVIEW_MARKS = {Review.OPEN: "warn", Review.REVIEWED: "ok", Review.DISMISSED: "muted"}


def linked(template: str, parts: Mapping[str, Part], *, reader: Reader) -> SafeString:
    """A sentence with its names put in, each leading to its page if the reader may see that. Names are escaped."""
    return format_html(template, **{name: _linked(part, reader) for name, part in parts.items()})


def _linked(part: Part, reader: Reader) -> SafeString:
    # Isolated: a name written from right to left must not turn the sentence around it.
    text = format_html("<bdi>{}</bdi>", part.text)
    if part.row is None or not may_view(reader, part.row._meta.label_lower):
        return text
    return format_html('<a href="{}">{}</a>', change_url(part.row), text)


def may_view(reader: Reader, model: str) -> bool:
    """Whether the reader may see rows of the model, such as "profiles.profile"."""
    label, name = model.split(".")
    return reader.has_perm(f"{label}.view_{name}")


def outcome_badge(entry: RoutingLogEntry) -> SafeString:
    mark = OUTCOME_MARKS.get(Outcome(entry.outcome), "") if entry.outcome in Outcome else ""
    return format_html('<span class="badge {}">{}</span>', mark, entry.get_outcome_display())


def review_badge(entry: RoutingLogEntry) -> SafeString:
    mark = REVIEW_MARKS[Review(entry.review_status)]
    return format_html('<span class="badge {}">{}</span>', mark, entry.get_review_status_display())
