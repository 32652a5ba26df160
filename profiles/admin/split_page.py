"""Split a profile: choose identities, choose whom they go to, see what that does, and do it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db import connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from identities import contacts, finding
from identities.admin.movable import shows_now
from identities.models import BUILT_IN, Identity
from profiles import merging
from profiles.admin import field_words, merge_asked, merge_words
from profiles.admin.base import MOST_AT_ONCE, PlainAdmin, Question, by, change_url, explain
from profiles.admin.profile_words import called, introduction, survivors_of, who_is_who
from profiles.forms import SplitForm
from profiles.merging import Split
from profiles.models import RECORDS, Profile
from profiles.refusing import Refused

NEW = "new"

GONE = gettext_lazy("One of them is not on this profile any more; choose once more.")

# Records of one identity that are counted.
MOST_COUNTED = 1_000

# ruff: noqa: S608 - the statement is put together from names of our tables
BROUGHT = """
    SELECT asked.id, (SELECT count(*) FROM ({parts} LIMIT %(most)s) AS few)
    FROM unnest(%(ids)s::bigint[]) AS asked (id)
""".format(
    parts=" UNION ALL ".join(
        f"(SELECT 1 FROM {model._meta.db_table} WHERE brought_by_id = asked.id AND profile_id = %(profile)s"
        " LIMIT %(most)s)"
        for model in RECORDS.values()
    )
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One identity that may leave, and how many records it brought that would go along."""

    identity: Identity
    text: str
    records: str
    is_chosen: bool
    is_contact: bool


def split_page(page: PlainAdmin, request: HttpRequest, profile: Profile) -> HttpResponse:
    """Choose until a target is chosen, then ask. The caller has checked the permission."""
    keys = [int(key) for key in request.GET.getlist("identity") if key.isascii() and key.isdecimal() and len(key) < 19]
    to = request.GET.get("to", "")
    if not to or not profile.is_live:
        return _choose(page, request, profile, keys)
    try:
        target = None if to == NEW else Profile.objects.get(pk=uuid.UUID(to))
        told = merging.preview_split(profile.pk, keys, to=None if target is None else target.pk)
    except Refused as refusal:
        return _choose(page, request, profile, keys, hindrance=explain(refusal, request))
    except (ValueError, Profile.DoesNotExist):
        return _choose(page, request, profile, keys, hindrance=_("There is no profile with this id."))
    except Identity.DoesNotExist:
        return _gone(page, request, profile, keys)
    return _ask(page, request, told, target)


# Choosing


def _choose(
    page: PlainAdmin, request: HttpRequest, profile: Profile, keys: Sequence[int], *, hindrance: str = ""
) -> HttpResponse:
    choices = _choices(request, profile, keys) if profile.is_live else []
    if not profile.is_live:
        hindrance = dead(request, profile)
    elif len(choices) < 2:
        hindrance = _("A profile that is known by fewer than two identities cannot be split.")
        choices = []
    text = request.GET.get("q", "")
    may_see = request.user.has_perm("profiles.view_profile")
    found = finding.find(text) if may_see else finding.Found([])
    survivors = survivors_of(hit.profile for hit in found.hits)
    return page.page(
        request,
        "admin/profiles/profile/split.html",
        obj=profile,
        title=_("Split %(name)s") % {"name": profile.full_name},
        sentences=[who_is_who(request, profile)],
        choices=choices,
        has_more=len(choices) > MOST_AT_ONCE,
        hindrance=hindrance,
        text=text,
        may_search=may_see,
        found=found,
        hits=[
            {
                "profile": hit.profile,
                "url": change_url(hit.profile),
                "introduction": introduction(hit.profile),
                "survivor": survivors.get(hit.profile.pk),
                "is_here": hit.profile == profile,
            }
            for hit in found.hits
        ],
    )


def dead(request: HttpRequest, profile: Profile) -> SafeString | str:
    """Why nothing can be done with a profile that stands for nobody, and who does."""
    if profile.merged_into_id is None:
        return _("This profile is deleted; undelete it first.")
    survivor = survivors_of([profile])[profile.pk]
    return format_html(
        _("This profile was merged into {survivor}: take that one."), survivor=called(request, survivor)
    )


def _choices(request: HttpRequest, profile: Profile, keys: Sequence[int]) -> list[Choice]:
    """The newest identities, one more than a page is said to hold, and those which are chosen. Three statements."""
    held = profile.identities.select_related("handle")
    rows = {row.pk: row for row in (*held.filter(pk__in=keys), *held.order_by("-pk")[: MOST_AT_ONCE + 1])}
    brought = _brought(profile, list(rows))
    may_see = request.user.has_perm("identities.view_identity")
    in_order = sorted(rows.values(), key=lambda row: (row.handle_id in BUILT_IN, field_words.system(row), row.pk))
    return [
        Choice(
            row,
            merge_words.identity(row) if may_see else field_words.system(row),
            f"{MOST_COUNTED}+" if brought[row.pk] >= MOST_COUNTED else str(brought[row.pk]),
            is_chosen=row.pk in keys,
            is_contact=row.handle_id in BUILT_IN,
        )
        for row in in_order
    ]


def _brought(profile: Profile, keys: Sequence[int]) -> dict[int, int]:
    """How many records each of these identities has brought that are on the profile, as far as they are counted."""
    with connection.cursor() as cursor:
        cursor.execute(BROUGHT, {"profile": profile.pk, "ids": list(keys), "most": MOST_COUNTED})
        return dict(cursor.fetchall())


def _gone(page: PlainAdmin, request: HttpRequest, profile: Profile, keys: Sequence[int]) -> HttpResponse:
    """Some of what was chosen has left meanwhile: by the same form sent twice, or by somebody else."""
    elsewhere = Identity.objects.filter(pk__in=keys).exclude(profile=profile).select_related("profile")
    owners = {row.profile_id: row.profile for row in elsewhere[:MOST_AT_ONCE]}
    if len(owners) == 1 and not profile.identities.filter(pk__in=keys).exists():
        (owner,) = owners.values()
        text = _("These identities are not here any more: {profile} has them. Nothing was done twice.")
        messages.info(request, format_html(text, profile=called(request, owner)))
        return HttpResponseRedirect(change_url(owner))
    return _choose(page, request, profile, keys, hindrance=str(GONE))


# Asking


def _ask(page: PlainAdmin, request: HttpRequest, told: Split, target: Profile | None) -> HttpResponse:
    former = told.former
    form = SplitForm(request.POST or None)
    then = [change_url(former)]

    def act() -> str:
        keys = [row.pk for row in told.identities]
        to = None if target is None else target.pk
        try:
            done = merging.split(former.pk, keys, to=to, reason=form.cleaned_data["reason"], by=by(request))
        except Identity.DoesNotExist as error:
            raise Refused(
                "identity_moved", _("One of them is not on this profile any more; choose once more.")
            ) from error
        page.log_change(request, former, _("Split: %(keys)s left.") % {"keys": ", ".join(map(str, keys))})
        for changed in done.contacts_changed:
            messages.warning(request, shows_now(changed))
        if done.profile is not None:
            then[0] = change_url(done.profile)
        return message(request, done)

    question = Question(
        title=_("Split %(name)s?") % {"name": former.full_name},
        sentences=_sentences(request, told, target),
        button=_("Yes, split it"),
        act=act,
        form=form,
        template="admin/profiles/profile/split_question.html",
        context=_context(request, told, target),
    )
    response = page.ask(request, question, obj=former, then=change_url(former))
    if isinstance(response, HttpResponseRedirect):
        return HttpResponseRedirect(then[0])
    return response


def _sentences(request: HttpRequest, told: Split, target: Profile | None) -> list[Any]:
    number = len(told.identities)
    parts = {"former": called(request, told.former), "number": number}
    if target is None:
        text = ngettext(
            "{number} identity leaves {former} for a new profile; {former} stays.",
            "{number} identities leave {former} for a new profile; {former} stays.",
            number,
        )
    else:
        parts["profile"] = called(request, target)
        text = ngettext(
            "{number} identity leaves {former} for {profile}; {former} stays.",
            "{number} identities leave {former} for {profile}; {former} stays.",
            number,
        )
    profiles = [told.former] if target is None else [told.former, target]
    found: list[Any] = [
        format_html('<strong class="means">{}</strong>', format_html(text, **parts)),
        who_is_who(request, *profiles),
    ]
    if target is None:
        found.append(
            _("The new profile has no name yet: nothing says whose the identities are. Give it one afterwards.")
        )
    return found


def _context(request: HttpRequest, told: Split, target: Profile | None) -> dict[str, Any]:
    may_see = request.user.has_perm("identities.view_identity")

    def named(rows: Sequence[Identity]) -> list[str]:
        return [merge_words.identity(row) if may_see else field_words.system(row) for row in rows]

    return {
        "going": named(told.identities[:MOST_AT_ONCE]),
        "going_more": max(len(told.identities) - MOST_AT_ONCE, 0),
        "records": [merge_words.kind(kind, told.records[kind]) for kind in field_words.in_order(told.records)],
        "staying": named(told.stay[:MOST_AT_ONCE]),
        "staying_more": max(len(told.stay) - MOST_AT_ONCE, 0),
        "primary": named([told.primary])[0] if told.primary is not None else "",
        "contacts": list(_contacts(told, target)),
    }


def _contacts(told: Split, target: Profile | None) -> list[str]:
    """Which columns will show another contact point, in words: what the split itself reports afterwards."""
    found = []
    going = {row.pk for row in told.identities}
    for handle in BUILT_IN:
        leaving = [row for row in told.identities if row.handle_id == handle]
        if not leaving:
            continue
        words: Mapping[str, Any] = {"former": told.former.full_name, "field": merge_words.label(handle)}
        shown = contacts.shown(told.former, handle)
        if shown is not None and shown.pk in going:
            left = told.former.identities.filter(handle=handle).exclude(pk__in=going).order_by("pk").first()
            if left is not None:
                text = _("%(field)s of %(former)s: it will show %(contact)s.")
                found.append(text % {**words, "contact": left.shown})
            else:
                found.append(_("%(field)s of %(former)s: it will show none.") % words)
        if target is None or contacts.shown(target, handle) is None:
            whose = target.full_name if target is not None else _("the new profile")
            text = _("%(field)s of %(profile)s: it will show %(contact)s.")
            found.append(text % {**words, "profile": whose, "contact": leaving[0].shown})
    return found


def message(request: HttpRequest, done: Split) -> SafeString:
    """What was done, with links to both profiles."""
    counts = {"identity": len(done.identities), **done.records}
    profile = done.profile or done.former
    told = format_html(
        _("{rows} left {former}; {profile} has them now."),
        rows=field_words.numbers(counts),
        former=called(request, done.former),
        profile=called(request, profile),
    )
    back = merge_asked.url_of([done.former.pk, profile.pk])
    return format_html('{} <a href="{}">{}</a>', told, back, _("To take it back, merge the two."))
