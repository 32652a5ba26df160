"""Erase a profile for good: say what that does, have it confirmed in writing, and do it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from django.contrib import messages
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from profiles import erasing
from profiles.admin import merge_words
from profiles.admin.base import PlainAdmin, Question, by
from profiles.admin.profile_words import who_is_who
from profiles.admin.split_page import dead
from profiles.erasing import Purge
from profiles.forms import EraseForm
from profiles.models import Profile
from profiles.models.policy import dying
from profiles.refusing import Refused

SEEN = "seen"

# More of the profiles that go along are counted only.
MOST_NAMED = 20

# What people ask about first; whatever else there is stands behind, by its name.
ORDER = (
    *("profiles", "identities", "identity_claims", "custom_attributes"),
    *("transactions", "interactions", "points", "rewards"),
)


def erase_page(page: PlainAdmin, request: HttpRequest, profile: Profile | None) -> HttpResponse:
    """Ask, and erase. In: no profile for one that is not there any more. The caller has checked the permissions."""
    if profile is None:
        return _gone(request)
    try:
        told = erasing.preview(profile.pk)
        return page.ask(request, _question(request, told), obj=profile, then=_list())
    except Refused:
        hindrance = Question(
            title=_("Erase %(name)s for good?") % {"name": profile.full_name},
            sentences=[who_is_who(request, profile)],
            button="",
            act=str,
            hindrance=dead(request, profile),
        )
        return page.question_page(request, hindrance, obj=profile)
    except (Profile.DoesNotExist, Http404):
        return _gone(request)


def _gone(request: HttpRequest) -> HttpResponseRedirect:
    """By the same form sent twice, say: whoever sent it is told that it is done, and by no error."""
    messages.info(request, _("This profile is gone already: there is no profile with this id. Nothing was done."))
    return HttpResponseRedirect(_list())


def _list() -> str:
    return reverse("admin:profiles_profile_changelist")


def _question(request: HttpRequest, told: Purge) -> Question:
    profile = told.profile
    # Of the profiles that the page names: one that was merged in since is nobody whom the person has agreed to.
    seen = hashlib.sha256(" ".join(map(str, told.profile_ids)).encode()).hexdigest()
    form = EraseForm(request.POST if request.method == "POST" else None)

    def act() -> str:
        typed = form.cleaned_data
        if request.POST.get(SEEN) != seen:
            raise erasing.changed()
        done = erasing.purge(
            profile.pk,
            told_of=told.profile_ids,
            keep_out=typed["keep_out"],
            reason=typed["reason"],
            by=by(request),
        )
        # Not in Django's log of the admin, which would keep the name of the person.
        return message(request, done, keep_out=typed["keep_out"])

    merged = len(told.profile_ids) - 1
    means = _("This profile is deleted for good, with all that is of it. Nothing takes it back.")
    if merged:
        text = ngettext(
            "This profile and the one that was merged into it are deleted for good, with all that is of them. "
            "Nothing takes it back.",
            "This profile and the %(number)s that were merged into it are deleted for good, with all that is of them. "
            "Nothing takes it back.",
            merged,
        )
        means = text % {"number": number_format(merged, force_grouping=True)}
    return Question(
        title=_("Erase %(name)s for good?") % {"name": profile.full_name},
        sentences=[
            format_html('<strong class="means">{}</strong>', means),
            who_is_who(request, profile),
        ],
        button=_("Erase for good"),
        act=act,
        danger=True,
        hidden={SEEN: [seen]},
        form=form,
        template="admin/profiles/profile/erase.html",
        context=_context(told),
    )


def _context(told: Purge) -> dict[str, Any]:
    merged = [pk for pk in told.profile_ids if pk != told.profile.pk]
    rows = Profile.objects.in_bulk(merged[:MOST_NAMED])
    return {
        "going": counted(told.counts),
        "merged": [merge_words.linked(rows[pk]) for pk in merged if pk in rows],
        "merged_more": max(len(merged) - MOST_NAMED, 0),
    }


def message(request: HttpRequest, done: Purge, *, keep_out: bool) -> SafeString:
    """What was deleted, without a word of whom, and where the audit says so."""
    after = (
        _("Its identities are kept out from now on.")
        if keep_out
        else _("Its identities are not kept out: whoever sends one of them next makes a new profile.")
    )
    said = format_html("{} {}", _("Erased for good: %(rows)s.") % {"rows": ", ".join(counted(done.counts))}, after)
    if not request.user.has_perm("profiles.view_audit"):
        return said
    about = urlencode({"auditable_type": "profile", "auditable_key": str(done.profile.pk)})
    url = f"{reverse('admin:profiles_audit_changelist')}?{about}"
    return format_html('{} <a href="{}">{}</a>', said, url, _("See what is kept of it in the audit"))


def counted(counts: Mapping[str, int]) -> list[str]:
    """ "1 profile", "4 identities": how many rows of each kind, what people ask about first."""

    def place(kind: str) -> tuple[int, str]:
        return (ORDER.index(kind) if kind in ORDER else len(ORDER), kind)

    return [_rows(kind, counts[kind]) for kind in sorted(counts, key=place)]


def _rows(kind: str, number: int) -> str:
    model = _models().get(kind)
    if model is None:
        word = kind.replace("_", " ")
    else:
        word = str(model._meta.verbose_name if number == 1 else model._meta.verbose_name_plural)
    return _("%(number)s %(kind)s") % {"number": number_format(number, force_grouping=True), "kind": word}


@cache
def _models() -> dict[str, type[Model]]:
    """The models whose rows are counted, by the words that the counts have for them."""
    models: list[type[Model]] = [Profile, *dying(Profile)]
    return {str(model._meta.verbose_name_plural).lower().replace(" ", "_"): model for model in models}
