"""Who else may be the person of one profile: its pairs of the queue, and whoever somebody looks up by hand."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from identities import finding
from profiles import duplicates, evidence
from profiles.admin import duplicate_queue, merge_words
from profiles.admin.base import PlainAdmin, change_url
from profiles.admin.merge_asked import url_of
from profiles.admin.profile_words import introduction
from profiles.models import DuplicatePair, Profile

MOST_SHOWN = 50
# Nobody decides on more of one profile before they look again.
MOST_LOOKED_AT = 1_000


def page(page: PlainAdmin, request: HttpRequest, profile: Profile) -> HttpResponse:
    """The page *Find duplicates* of a profile. A fixed number of queries."""
    text = request.GET.get("q", "")
    may_merge = request.user.has_perm("profiles.merge_profile")
    found = finding.find(text) if may_merge and profile.is_live else finding.Found([])
    rows = offered(profile)
    return page.page(
        request,
        "admin/profiles/profile/duplicates.html",
        obj=profile,
        title=_("Who else may be %(name)s?") % {"name": profile.full_name},
        introduction=introduction(profile),
        short_id=merge_words.short_id(profile),
        is_live=profile.is_live,
        rows=rows[:MOST_SHOWN],
        has_more=len(rows) > MOST_SHOWN,
        may_merge=may_merge,
        text=text,
        hits=[
            {
                "profile": hit.profile,
                "introduction": introduction(hit.profile),
                "url": change_url(hit.profile),
                "merge_url": url_of([profile.pk, hit.profile.pk]) if hit.profile.is_live else "",
            }
            for hit in found.hits
            if hit.profile != profile
        ],
        is_cut=found.is_cut,
    )


def offered(profile: Profile) -> list[dict[str, Any]]:
    """Its offered pairs, the likeliest first: who the other is, and what speaks for it."""
    found = duplicates.offered().filter(pk__in=_open_pairs(profile)).select_related("low", "high")
    pairs = list(found[: MOST_SHOWN + 1])
    told = evidence.tell(pairs) if pairs else {}
    others = [pair.high if pair.low_id == profile.pk else pair.low for pair in pairs]
    return [
        {
            "other": other,
            "introduction": introduction(other),
            "short_id": merge_words.short_id(other),
            "url": change_url(other),
            "sentences": told[pair.pk],
            "score": duplicate_queue.percent(pair),
            "review_url": change_url(pair),
        }
        for pair, other in zip(pairs, others, strict=True)
    ]


def _open_pairs(profile: Profile) -> list[int]:
    """The keys of its open pairs, of very many only some: to find them all in order, the queue would be walked."""
    every = DuplicatePair.objects.filter(status=DuplicatePair.Status.OPEN).order_by()
    sides = every.filter(low=profile.pk), every.filter(high=profile.pk)
    return [pk for side in sides for pk in side.values_list("pk", flat=True)[:MOST_LOOKED_AT]]
