"""What a survey found, told to whoever decides: how many, the first of them, and whose they are."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from identities.handles import mask
from identities.models import Handle
from identities.surveying import Listed, Meeting, Standing, Survey
from profiles.models import Profile

MOST_EXAMPLES = 10


@dataclass(slots=True)
class Part:
    """One thing that was found: a sentence with its number, and the first rows of it."""

    title: str
    sentence: str
    is_in_the_way: bool = False
    more: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)


def parts(request: HttpRequest, survey: Survey, handle: Handle, to: Handle) -> list[Part]:
    """All that was found, what is in the way first. Who may not see identities is told the numbers alone."""
    teller = _Teller(request, survey, handle, to)
    told = [
        teller.conflicts(survey.conflicts),
        teller.refused(survey.refused),
        teller.crowded(survey.crowded),
        teller.same(survey.same),
        teller.freed(survey.freed),
        teller.rewritten(survey.rewritten),
        teller.unmatched(survey.unmatched),
    ]
    return [part for part in told if part is not None]


class _Teller:
    def __init__(self, request: HttpRequest, survey: Survey, handle: Handle, to: Handle) -> None:
        self.handle, self.to = handle, to
        self.may_see = request.user.has_perms(["identities.view_identity", "profiles.view_profile"])
        self.is_sensitive = handle.sensitive or to.sensitive
        self.profiles = Profile.objects.in_bulk(_profile_ids(survey)) if self.may_see else {}

    def conflicts(self, found: Listed[Meeting]) -> Part | None:
        sentence = ngettext(
            "%(number)s identifier would name two profiles. Move one identity to the other profile if they are one "
            "person, or delete the one that is wrong.",
            "%(number)s identifiers would each name two profiles. Move one identity to the other profile where they "
            "are one person, or delete the one that is wrong.",
            found.count,
        )
        return self._part(_("Two profiles"), sentence, found, self._meeting, is_in_the_way=True)

    def refused(self, found: Listed[Standing]) -> Part | None:
        sentence = ngettext(
            "%(number)s identifier would be refused by the normaliser. Change or delete it first.",
            "%(number)s identifiers would be refused by the normaliser. Change or delete them first.",
            found.count,
        )
        return self._part(_("No identifier"), sentence, found, self._standing, is_in_the_way=True)

    def crowded(self, found: Listed[uuid.UUID]) -> Part | None:
        sentence = ngettext(
            "%(number)s profile would hold more identities of it than it may. Delete the one too many, or lift the "
            "limit first.",
            "%(number)s profiles would hold more identities of it than they may. Delete those too many, or lift the "
            "limit first.",
            found.count,
        )
        return self._part(_("Too many"), sentence, found, self._profile, is_in_the_way=True)

    def same(self, found: Listed[Meeting]) -> Part | None:
        sentence = ngettext(
            "%(number)s profile has the same twice: one identity stays and keeps what hangs on the other.",
            "%(number)s times a profile has the same twice: one identity stays and keeps what hangs on the other.",
            found.count,
        )
        return self._part(_("The same twice"), sentence, found, self._meeting)

    def freed(self, found: Listed[Meeting]) -> Part | None:
        sentence = ngettext(
            "%(number)s identifier was left behind by a deleted profile and gives way; the routing log will say so.",
            "%(number)s identifiers were left behind by deleted profiles and give way; the routing log will say so.",
            found.count,
        )
        return self._part(_("Left behind"), sentence, found, self._meeting)

    def rewritten(self, found: Listed[Standing]) -> Part | None:
        sentence = ngettext(
            "%(number)s identifier would be stored in another form. What was sent is kept beside it.",
            "%(number)s identifiers would be stored in another form. What was sent is kept beside it.",
            found.count,
        )
        return self._part(_("Another form"), sentence, found, self._standing)

    def unmatched(self, found: Listed[Standing]) -> Part | None:
        sentence = ngettext(
            "%(number)s identifier does not match the pattern. It stays and still names its profile; a new one like "
            "it is refused.",
            "%(number)s identifiers do not match the pattern. They stay and still name their profiles; new ones like "
            "them are refused.",
            found.count,
        )
        return self._part(_("Outside the pattern"), sentence, found, self._standing)

    def _part(
        self, title: str, sentence: str, found: Listed[Any], row: Any, *, is_in_the_way: bool = False
    ) -> Part | None:
        if not found:
            return None
        # What has to be cleared up is listed; of the rest a few show what is meant.
        shown = found.first if is_in_the_way else found.first[:MOST_EXAMPLES]
        rows = [row(one) for one in shown] if self.may_see else []
        more = f"{found.count - len(rows):,}" if 0 < len(rows) < found.count else ""
        return Part(title, sentence % {"number": f"{found.count:,}"}, is_in_the_way, more, rows)

    def _standing(self, row: Standing) -> dict[str, Any]:
        return {
            **self._profile(row.profile_id),
            "handle": row.handle,
            "url": reverse("admin:identities_identity_change", args=[row.pk]),
            "identifier": self._shown(row.identifier),
            "is_active": row.is_active,
            "form": self._shown(row.form) if row.form and row.form != row.identifier else "",
        }

    def _meeting(self, meeting: Meeting) -> dict[str, Any]:
        return {**self._standing(meeting.goes), "other": self._standing(meeting.stays)}

    def _profile(self, profile_id: uuid.UUID) -> dict[str, Any]:
        profile = self.profiles.get(profile_id)
        return {
            "profile": profile.full_name if profile else profile_id,
            "profile_id": profile_id,
            "profile_url": reverse("admin:profiles_profile_change", args=[profile_id]),
        }

    def _shown(self, identifier: str) -> str:
        return mask(identifier) if self.is_sensitive else identifier


def _profile_ids(survey: Survey) -> set[uuid.UUID]:
    meetings: Iterable[Meeting] = (*survey.conflicts.first, *survey.same.first, *survey.freed.first)
    rows: Iterable[Standing] = (*survey.refused.first, *survey.rewritten.first, *survey.unmatched.first)
    ids = {row.profile_id for meeting in meetings for row in (meeting.stays, meeting.goes)}
    return ids | {row.profile_id for row in rows} | set(survey.crowded.first)
