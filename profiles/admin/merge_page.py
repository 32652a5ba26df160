"""Review profiles side by side, choose, confirm, merge: collect, ask, act.

Looking and choosing are GET, with all that was chosen in the address; only the last step writes. It works everything
out anew and trusts nothing of the page but the choices and the `plan` that was shown. Whoever comes second, by a
double click, the back button or from another desk, is shown what has become of the profiles, never an error.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Mapping, Sequence

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import localtime
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from profiles import merging
from profiles.admin import duplicate_queue, merge_table, merge_words
from profiles.admin.base import PlainAdmin, Question, by, change_url, explain
from profiles.admin.merge_asked import Asked, Forecast, forecast, read_ids, read_pair, url_of
from profiles.forms import MergeForm
from profiles.merging.planning import MOST_DUPLICATES
from profiles.models import Merge, Profile
from profiles.refusing import Refused

# All that can be merged at once.
MOST_PROFILES = MOST_DUPLICATES + 1

CONFIRM = "confirm"


def merge_page(page: PlainAdmin, request: HttpRequest) -> HttpResponse:
    """The review of these profiles, the confirmation, and the merge. The caller has checked the permissions."""
    sent = request.POST if request.method == "POST" else request.GET
    ids = read_ids(sent)
    if not 2 <= len(ids) <= MOST_PROFILES:
        message = _("Choose two profiles at least, and %(most)s at most.") % {"most": MOST_PROFILES}
        messages.error(request, message)
        return HttpResponseRedirect(reverse("admin:profiles_profile_changelist"))
    pair = read_pair(sent)
    today = stand_for(ids)
    if len(today) < len(ids) or any(pk != profile.pk for pk, profile in today.items()):
        return lead_on(request, ids, today, lambda left: url_of(left, pair))
    if len(sent.getlist("with")) == 1:
        messages.warning(request, _("Two at least must belong together; so all of them are shown."))
    asked = Asked.read(sent, today.values(), pair)
    if request.method == "POST":
        return _merge(page, request, asked)
    return review(page, request, asked, is_confirming=sent.get("step") == CONFIRM)


# Who they are today


def stand_for(ids: Collection[uuid.UUID]) -> dict[uuid.UUID, Profile]:
    """The profile that each of these ids means today; what is gone for good is absent. A query for each hop."""
    found = Profile.objects.in_bulk(ids)
    met = dict(found)
    while ahead := {one.merged_into_id for one in met.values() if one.merged_into_id} - met.keys():
        met |= Profile.objects.in_bulk(ahead)

    def root(profile: Profile) -> Profile:
        while profile.merged_into_id is not None:
            profile = met[profile.merged_into_id]
        return profile

    return {pk: root(profile) for pk, profile in found.items()}


def lead_on(
    request: HttpRequest,
    ids: Sequence[uuid.UUID],
    today: Mapping[uuid.UUID, Profile],
    url: Callable[[list[uuid.UUID]], str],
) -> HttpResponse:
    """Some of these are gone, or part of another by now: say so, and lead to who is left, or to the one that is.

    `url` makes the address for those that are left, if they are still several.
    """
    gone = len(ids) - len(today)
    if gone:
        text = ngettext("%(number)s of them is gone for good.", "%(number)s of them are gone for good.", gone)
        messages.warning(request, text % {"number": gone})
    tell_of_merges(request, [pk for pk, profile in today.items() if pk != profile.pk])
    left = {profile.pk: profile for profile in today.values()}
    if len(left) > 1:
        return HttpResponseRedirect(url(list(left)))
    if not left:
        return HttpResponseRedirect(reverse("admin:profiles_profile_changelist"))
    return HttpResponseRedirect(change_url(next(iter(left.values()))))


def tell_of_merges(request: HttpRequest, duplicate_ids: Collection[uuid.UUID]) -> None:
    """Say of these, which are part of others already, when and by whom that was done, with the way back."""
    merges = Merge.objects.live().filter(duplicate__in=duplicate_ids).select_related("survivor", "duplicate", "by")
    for merge in merges.order_by("-pk")[: merge_words.MOST_NAMED]:
        told = format_html(
            _("{duplicate} is part of {survivor} already: {by} merged them, {at}."),
            duplicate=merge_words.named(merge.duplicate),
            survivor=merge_words.linked(merge.survivor),
            by=merge.by.get_username(),
            at=date_format(localtime(merge.at), "DATETIME_FORMAT"),
        )
        messages.info(request, format_html("{} {}", told, undo_link(request, merge)))


def undo_link(request: HttpRequest, merge: Merge, text: str = "") -> SafeString:
    """Where a merge is taken back, for those who may; nothing for others."""
    if not request.user.has_perm("profiles.unmerge_merge"):
        return SafeString("")
    url = reverse("admin:profiles_merge_undo", args=[merge.pk])
    return format_html('<a href="{}">{}</a>', url, text or _("Undo the merge"))


# Collect


def review(page: PlainAdmin, request: HttpRequest, asked: Asked, *, is_confirming: bool = False) -> HttpResponse:
    """The profiles side by side, with the choices, or what is about to happen if those are made.

    Who may not merge is shown the same without choices.
    """
    try:
        told = forecast(asked)
    except (Profile.DoesNotExist, Refused):
        # They have changed between two statements.
        return HttpResponseRedirect(url_of([one.pk for one in asked.profiles], asked.pair))
    if is_confirming and not told.preview.blockers:
        return _confirmation(page, request, told, MergeForm())
    asked = told.asked
    table = merge_table.draw(told, may_identities=request.user.has_perm("identities.view_identity"))
    may_merge = request.user.has_perms(["profiles.merge_profile", "profiles.view_profile"])
    context = {
        "asked": asked,
        "table": table,
        "sentence": merge_words.becomes_part(asked.survivor, asked.duplicates, asked.letters, may_merge=may_merge),
        "blockers": [
            _in_the_way(one, asked, request) for one in told.preview.blockers if one.code != "handle_conflict"
        ],
        "undecided": [row for row in table.rows if row.must_be_decided],
        "must_decide_first": is_confirming,
        "may_merge": may_merge,
        "merge_url": reverse("admin:profiles_profile_merge"),
        "spoken": duplicate_queue.spoken(asked) if request.user.has_perm("profiles.view_duplicatepair") else [],
        "queue": duplicate_queue.queue(request, asked),
    }
    number = len(asked.profiles)
    title = ngettext("Is this %(number)s profile one person?", "Are these %(number)s profiles one person?", number)
    return page.page(
        request, "admin/profiles/merge/review.html", obj=None, title=title % {"number": number}, **context
    )


def _in_the_way(refusal: Refused, asked: Asked, request: HttpRequest) -> str:
    """What keeps them from being merged, and where to change that."""
    by_id = {str(profile.pk): profile for profile in asked.members}
    profile = by_id.get(refusal.details.get("profile_id", ""))
    sentences = {
        "profile_locked": _("{letter} {profile} is locked. Unlock it on its page, if it may be merged."),
        "profile_deleted": _("{letter} {profile} is deleted. Undelete it on its page, or leave it out."),
    }
    if profile is None or refusal.code not in sentences:
        return explain(refusal, request)
    return format_html(sentences[refusal.code], letter=asked.letters[profile.pk], profile=merge_words.linked(profile))


# Ask


def _confirmation(page: PlainAdmin, request: HttpRequest, told: Forecast, form: MergeForm) -> HttpResponse:
    asked, preview = told.asked, told.preview
    table = merge_table.draw(told, may_identities=request.user.has_perm("identities.view_identity"))
    number = len(asked.members)
    moved = merge_words.moves(preview.moves, [one.pk for one in asked.duplicates])
    hidden: dict[str, list[str]] = {}
    for name, value in (*asked.parameters(), ("plan", preview.plan)):
        hidden.setdefault(name, []).append(value)
    words = {"letter": asked.letters[asked.survivor.pk], "moved": moved}
    question = Question(
        title=ngettext("Merge %(number)s profile?", "Merge %(number)s profiles?", number) % {"number": number},
        sentences=[
            merge_words.becomes_part(asked.survivor, asked.duplicates, asked.letters),
            _("To %(letter)s moves: %(moved)s.") % words,
            _("Their ids keep working, and mean %(letter)s from now on. The merge can be undone, also later.") % words,
        ],
        button=_("Merge"),
        act=str,
        hidden=hidden,
        form=form,
        template="admin/profiles/merge/confirm.html",
        context={
            "asked": asked,
            "letter": words["letter"],
            "afterwards": merge_table.fields_afterwards(table),
            "back_url": asked.url(),
        },
    )
    return page.question_page(request, question, obj=None)


# Act


def _merge(page: PlainAdmin, request: HttpRequest, asked: Asked) -> HttpResponse:
    form = MergeForm(request.POST)
    if not form.is_valid():
        return _confirmation(page, request, forecast(asked), form)
    try:
        merged = merging.merge(
            asked.survivor.pk,
            [one.pk for one in asked.duplicates],
            choices=merging.Choices(fields=asked.fields, handles=asked.handles),
            plan=request.POST.get("plan", ""),
            reason=form.cleaned_data["reason"],
            by=by(request),
        )
    except Profile.DoesNotExist:
        return HttpResponseRedirect(asked.url())
    except Refused as refusal:
        _tell_why_not(request, refusal)
        return HttpResponseRedirect(asked.url())
    told = merged.preview
    page.log_change(request, merged.survivor, _("Merged %(number)s into it.") % {"number": len(merged.merges)})
    done = format_html(
        _("{duplicates} became part of {survivor}."),
        duplicates=merge_words.listed([merge_words.named(one) for one in told.duplicates]),
        survivor=merge_words.linked(merged.survivor),
    )
    moved = _("Moved: %(moved)s.") % {"moved": merge_words.moves(told.moves, [one.pk for one in told.duplicates])}
    messages.success(request, format_html("{} {} {}", done, moved, _ways_back(request, merged.merges)))
    if asked.pair is not None and request.user.has_perm("profiles.view_duplicatepair"):
        return duplicate_queue.go_on(request, asked.pair)
    return HttpResponseRedirect(change_url(merged.survivor))


def _tell_why_not(request: HttpRequest, refusal: Refused) -> None:
    if refusal.code == "already_merged":
        # The page to which this leads says it with more words.
        return
    if refusal.code != "plan_changed":
        messages.error(request, explain(refusal, request))
        return
    text = _("Nothing was merged. This has changed since you looked: {changed}. Look at it once more.")
    messages.warning(request, format_html(text, changed=merge_words.changed(refusal.details["changed"])))


def _ways_back(request: HttpRequest, merges: Sequence[Merge]) -> SafeString:
    if len(merges) == 1:
        return undo_link(request, merges[0])
    links = [
        undo_link(request, merge, _("Undo the merge of %(name)s") % {"name": merge.duplicate.full_name})
        for merge in merges[: merge_words.MOST_NAMED]
    ]
    return format_html_join(" ", "{}", ((link,) for link in links if link))
