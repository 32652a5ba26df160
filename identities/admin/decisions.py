"""What somebody can do about an entry of the routing log from its page, and what has become of it since."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from identities import blocking, parting, reviewing, telling
from identities.admin import told
from identities.admin.changes import account_name
from identities.admin.move_page import side
from identities.forms import PartForm
from identities.models import Handle, Pair, RoutingLogEntry
from profiles import duplicates
from profiles.admin.base import PlainAdmin, Question, by, change_url
from profiles.merging.planning import MOST_DUPLICATES
from profiles.models import Merge, Profile
from profiles.refusing import Refused

MERGE = ("profiles.merge_profile", "profiles.view_profile")
PART = ("identities.change_routinglogentry", "profiles.change_duplicatepair")
BLOCK = "identities.add_blockedidentifier"

# More identities than these are not offered for blocking: what so many systems send is not junk.
MOST_BLOCKABLE = 4


@dataclass(frozen=True, slots=True)
class Deed:
    """A button: what it does, and the page that asks."""

    label: str
    url: str


def deeds(page: PlainAdmin, entry: RoutingLogEntry, naming: Sequence[Pair], *, reader: told.Reader) -> list[Deed]:
    """What this reader may do about the entry as things stand today; what does not apply is left out.

    In: the pairs by which it names somebody. A fixed number of queries.
    """
    profiles = reviewing.asked_about(entry)
    found = []
    if 2 <= len(profiles) <= MOST_DUPLICATES + 1 and reader.has_perms(MERGE):
        found.append(_merge(profiles))
    if reader.has_perms(PART) and _may_part(entry, profiles):
        found.append(Deed(_("Not the same person"), page.object_url("part", entry)))
    if entry.outcome in reviewing.ASKING and reader.has_perm(BLOCK):
        found += _blocks(entry, naming)
    return found


def _merge(profiles: Sequence[Profile]) -> Deed:
    number = len(profiles)
    label = ngettext("Merge the two", "Merge the %(number)s", number - 1) % {"number": number}
    ids = ",".join(str(one.pk) for one in profiles)
    return Deed(label, f"{reverse('admin:profiles_profile_merge')}?{urlencode({'ids': ids})}")


def _may_part(entry: RoutingLogEntry, profiles: Sequence[Profile]) -> bool:
    try:
        parting.refuse(entry, profiles)
    except Refused:
        return False
    is_open = entry.review_status == RoutingLogEntry.Review.OPEN
    return is_open or not duplicates.are_all_dismissed([one.pk for one in profiles])


def _blocks(entry: RoutingLogEntry, naming: Sequence[Pair]) -> list[Deed]:
    """Pages that block one of the pairs, filled in; they say what that would touch before anything is blocked."""
    labels = Handle.objects.in_bulk({pair.handle for pair in naming})
    blocked = blocking.blocked_among(naming)
    found = []
    for pair in [pair for pair in naming if pair not in blocked][:MOST_BLOCKABLE]:
        words = f"{telling.handle_label(pair.handle, labels.get(pair.handle))} {pair.identifier}"
        reason = _("It names several people: entry %(entry)s of the routing log.") % {"entry": entry.pk}
        query = urlencode({"value": pair.identifier, "handle": pair.handle, "reason": reason})
        url = f"{reverse('admin:identities_blockedidentifier_add')}?{query}"
        found.append(Deed(_("Block %(pair)s") % {"pair": words}, url))
    return found


# Not the same person


def part_page(page: PlainAdmin, request: HttpRequest, entry: RoutingLogEntry) -> HttpResponse:
    """Say who is somebody else, ask for a note, and dismiss. The caller has checked the permissions."""
    profiles = reviewing.asked_about(entry)
    form = PartForm(request.POST or None)

    def act() -> str:
        parted = parting.part(entry.pk, note=form.cleaned_data["note"], by=by(request))
        page.log_change(request, entry, _("Not the same person."))
        done = ngettext(
            "They are known as two different people now, and the entry is dismissed.",
            "They are known as %(number)s different people now, and the entry is dismissed.",
            len(parted.profiles) - 1,
        ) % {"number": len(parted.profiles)}
        backs = [
            (reverse("admin:profiles_duplicatepair_reopen", args=[pair.pk]), _pair_words(parted.profiles, index))
            for index, pair in enumerate(parted.pairs)
        ]
        links = format_html_join("", ' <a href="{}">{}</a>', backs)
        return format_html("{}{}", done, links)

    question = Question(
        title=_("Not the same person?"),
        sentences=[*(side(request, "", one) for one in profiles), *_means(profiles)],
        button=_("Yes, they are different people"),
        act=act,
        hindrance=_hindrance(entry, profiles),
        form=form,
    )
    return page.ask(request, question, obj=entry, then=change_url(entry))


def _pair_words(profiles: Sequence[Profile], index: int) -> str:
    """How the way back is called; of several, by the number of the pair."""
    return _("Take it back") if len(profiles) == 2 else _("Take back number %(number)s") % {"number": index + 1}


def _hindrance(entry: RoutingLogEntry, profiles: Sequence[Profile]) -> str:
    try:
        parting.refuse(entry, profiles)
    except Refused as refusal:
        return refusal.message
    return ""


def _means(profiles: Sequence[Profile]) -> list[str]:
    number = len(profiles)
    if number < 2:
        return []
    return [
        ngettext(
            "You say that these two are different people.",
            "You say that each of these %(number)s is somebody else. If two of them are one person, go to the queue "
            "of duplicates instead.",
            number - 1,
        )
        % {"number": number},
        _("They are then no longer offered as duplicates, and never merge by themselves. Nothing of them changes."),
        _("The entry is dismissed, with your note. It can be taken back."),
    ]


# What has become of it


def closed_by(entry: RoutingLogEntry, *, reader: told.Reader) -> list[SafeString]:
    """The merges that have settled the entry, a sentence each, and whether they were undone."""
    may_view = reader.has_perm("profiles.view_merge") and admin.site.is_registered(Merge)
    notices = []
    for merge in reviewing.merges_that_closed(entry):
        notice = _told(merge, reader=reader)
        link = format_html(' <a href="{}">{}</a>', change_url(merge), _("See the merge")) if may_view else ""
        notices.append(format_html("{}{}", notice, link))
    return notices


def _told(merge: Merge, *, reader: told.Reader) -> SafeString:
    parts = {
        # Nothing of it is on its own page any more.
        "duplicate": telling.Part(merge.duplicate.full_name, merge.duplicate if merge.undone_at else None),
        "survivor": telling.Part(merge.survivor.full_name, merge.survivor),
        "day": telling.Part(_day(merge.at)),
        "by": telling.Part(account_name(merge.by)),
    }
    if merge.undone_at is not None and merge.undone_by is not None:
        parts |= {
            "undone": telling.Part(_day(merge.undone_at)),
            "undone_by": telling.Part(account_name(merge.undone_by)),
        }
        sentence = _(
            "{duplicate} was merged into {survivor} on {day} by {by}, and that was undone on {undone} by {undone_by}: "
            "they are known as two people."
        )
    elif merge.cause == Merge.Cause.AUTOMATIC:
        sentence = _(
            "{duplicate} became part of {survivor} on {day} by itself, as their handles say, when {by} sent this."
        )
    else:
        sentence = _("{duplicate} was merged into {survivor} on {day} by {by}, which settled this entry.")
    return told.linked(sentence, parts, reader=reader)


def _day(at: datetime.datetime) -> str:
    return date_format(timezone.localtime(at), "DATE_FORMAT")
