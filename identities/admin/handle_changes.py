"""Pages that change what a handle is: agree, retire, rename, merge into another, another normaliser or pattern."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from django.contrib.admin.utils import label_for_field
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from identities import cataloguing, renaming, renormalising
from identities.admin import handle_page, handle_words
from identities.admin.survey import parts
from identities.forms import AgreeForm, MergeHandleForm, RenameHandleForm
from identities.models import Handle
from identities.renaming import Plan
from identities.surveying import Survey
from profiles.admin.base import PlainAdmin, Question, by, change_url

# A list to choose from that is longer would not be read; any other name can be typed into the address.
MOST_TARGETS = 500

# What two handles may differ in, for whoever merges one into the other.
COMPARED = [
    "reserved_for",
    "normaliser",
    "pattern",
    "single_valued",
    "max_per_profile",
    "immutable",
    "sensitive",
    "auto_merge",
]


def agree_page(admin: PlainAdmin, request: HttpRequest, handle: Handle) -> HttpResponse:
    """Document a handle, or take a retired one back: label, description, example and owner, in one step."""
    known = {name: getattr(handle, name) for name in ("label", "description", "example", "reserved_for")}
    form = AgreeForm(request.POST or None, initial=known)

    def act() -> str:
        cataloguing.agree(handle, form.cleaned_data, by=by(request))
        return _("The handle %(handle)s is agreed.") % {"handle": handle.name}

    question = Question(
        title=_("Agree what %(handle)s is") % {"handle": handle.name},
        sentences=[_("From now on it is a documented part of the data model, with an owner and a meaning.")],
        button=_("Agree"),
        act=act,
        hindrance=_no_longer(handle) or (_("It is agreed already.") if handle.status == "agreed" else ""),
        form=form,
        template="admin/identities/handle/agree.html",
        context=handle_page.writing(handle),
    )
    return admin.ask(request, question, obj=handle, then=change_url(handle))


def retire_page(admin: PlainAdmin, request: HttpRequest, handle: Handle) -> HttpResponse:
    counted = Handle.objects.with_usage().get(pk=handle.pk)

    def act() -> str:
        cataloguing.retire(handle, by=by(request))
        back = reverse("admin:identities_handle_agree", args=[handle.pk])
        told = _("The handle %(handle)s is retired.") % {"handle": handle.name}
        return format_html('{} <a href="{}">{}</a>', told, back, _("Take it back"))

    built_in = _("Contact points are built in and cannot be retired.") if handle.is_built_in else ""
    question = Question(
        title=_("Retire %(handle)s?") % {"handle": handle.name},
        sentences=[
            _("Whoever writes a new identity of it is refused from then on."),
            _stays(counted),
            _("It can be agreed to again at any time."),
        ],
        button=_("Yes, retire it"),
        act=act,
        hindrance=_no_longer(handle)
        or built_in
        or (_("It is retired already.") if handle.status == Handle.Status.RETIRED else ""),
        danger=True,
        template="admin/identities/handle/retire.html",
        context=handle_page.writing(handle),
    )
    return admin.ask(request, question, obj=handle, then=change_url(handle))


def rename_page(admin: PlainAdmin, request: HttpRequest, handle: Handle) -> HttpResponse:
    """Ask for the new name, then say what would happen, then do it."""
    to = (request.POST.get("to") or request.GET.get("to", "")).strip()
    plan = renaming.plan_rename(handle, to) if to else Plan(handle, handle, _no_longer(handle))
    form = RenameHandleForm(request.POST or None)

    def act() -> str:
        number = renaming.rename(handle, to=to, reason=form.cleaned_data["reason"], by=by(request))
        told = ngettext(
            "The handle %(old)s is called %(new)s now, and %(number)s identity with it.",
            "The handle %(old)s is called %(new)s now, and %(number)s identities with it.",
            number,
        ) % {"old": handle.name, "new": to, "number": f"{number:,}"}
        back = f"{reverse('admin:identities_handle_rename', args=[to])}?{urlencode({'to': handle.name})}"
        return format_html('{} <a href="{}">{}</a>', told, back, _("Take it back"))

    question = Question(
        title=_("Rename %(handle)s") % {"handle": handle.name},
        sentences=[],
        button=_("Yes, rename it"),
        act=act,
        hindrance=plan.hindrance,
        form=form,
        hidden={"to": [to]},
        template="admin/identities/handle/rename.html",
        context={
            "to": to,
            "asked": bool(to),
            "may_choose": not _no_longer(handle),
            "means": _means_rename(plan) if to and not plan.hindrance else [],
        },
    )
    return admin.ask(request, question, obj=handle, then=change_url(plan.to))


def merge_page(admin: PlainAdmin, request: HttpRequest, handle: Handle) -> HttpResponse:
    """Choose the handle that this one was meant to be, then see what would happen, then do it."""
    name = request.POST.get("into") or request.GET.get("into", "")
    targets = list(Handle.objects.filter(status="agreed").exclude(pk=handle.pk).order_by("pk")[:MOST_TARGETS])
    targets = [target for target in targets if not target.is_built_in]
    into = Handle.objects.filter(pk=name).select_related("reserved_for").first() if "\0" not in name else None
    plan = renaming.plan_merge(handle, into) if into else Plan(handle, handle, _no_longer(handle))
    form = MergeHandleForm(request.POST or None)

    def act() -> str:
        assert into is not None  # noqa: S101 - there is a hindrance
        done = renaming.merge(handle, into=into, reason=form.cleaned_data["reason"], by=by(request))
        told = ngettext(
            "The handle %(old)s is merged into %(into)s: %(number)s identity came along.",
            "The handle %(old)s is merged into %(into)s: %(number)s identities came along.",
            done.changed,
        )
        return told % {"old": handle.name, "into": into.name, "number": f"{done.changed:,}"}

    question = Question(
        title=_("Merge %(handle)s into another handle") % {"handle": handle.name},
        sentences=[],
        button=_("Yes, merge it"),
        act=act,
        hindrance=plan.hindrance or _in_the_way(plan.survey) or ("" if into else _not_chosen(name)),
        form=form,
        hidden={"into": [name]},
        danger=True,
        template="admin/identities/handle/merge.html",
        context={
            "means": _means_merge(plan) if into and not plan.hindrance else [],
            "into": into,
            "targets": targets,
            "asked": bool(name),
            "may_choose": not _no_longer(handle),
            "likenesses": [] if into else handle_page.likenesses(handle),
            "differences": _differences(handle, into) if into else [],
            "parts": parts(request, plan.survey, handle, into) if into else [],
            "survey": plan.survey,
            "read": f"{plan.survey.read:,}",
        },
    )
    return admin.ask(request, question, obj=handle, then=change_url(into or handle))


def trust_question(name: str) -> Question:
    """What to ask before a handle merges by itself."""
    return Question(
        title=_("Let %(handle)s merge profiles by itself?") % {"handle": name},
        sentences=_means_trust(name),
        button=_("Yes, let it merge profiles by itself"),
        act=str,
        danger=True,
    )


def _means_trust(name: str) -> list[str]:
    others = list(Handle.objects.filter(auto_merge=True).exclude(pk=name).order_by("pk").values_list("pk", flat=True))
    together = _("No other handle does so yet: only what is named by %(handle)s alone will merge.")
    if others:
        together = _("These do so already, and merge together with it: %(others)s.")
    return [
        _("When one write names several profiles by such handles only, they become one at once. Nobody is asked."),
        together % {"handle": name, "others": ", ".join(others)},
        _("It is for numbers that two people never share: not for a device, a till, or the card of a household."),
        _(
            "Locked profiles wait for a person, as before, and so do two of whom somebody has said that they are two "
            "people, and single-valued handles of which each has one."
        ),
        _(
            "Each of these merges stands in the routing log and can be undone; two that were undone never merge by "
            "themselves again. What is open in the log stays open until the same comes in once more."
        ),
    ]


def rules_question(request: HttpRequest, handle: Handle, typed: Mapping[str, Any]) -> Question | None:
    """What to ask before other rules are saved; None where neither an identity nor a profile is concerned."""
    rules = {name: typed[name] for name in ("normaliser", "pattern") if name in typed}
    is_trusted = typed.get("auto_merge") is True and not handle.is_built_in
    if not rules or handle.is_built_in or not handle.identities.exists():
        return trust_question(handle.name) if is_trusted else None
    to = copy.copy(handle)
    cataloguing.set_fields(to, typed)
    to.full_clean(exclude=["fold"])
    survey = renormalising.report(handle, rules)
    new_normaliser = "normaliser" in rules
    sentences = [_("Nothing has been changed yet. This is what it would mean for the identities that are there.")]
    if is_trusted:
        sentences += _means_trust(handle.name)
    if new_normaliser:
        sentences.append(
            _("Those that get another form are stored anew, in one go; whoever writes one meanwhile waits.")
        )
    else:
        sentences.append(_("A pattern holds for new identities: those that are there stay as they are."))
    button = _("Change the normaliser") if new_normaliser else _("Save the pattern")
    if new_normaliser and survey.rewritten.count:
        button = ngettext(
            "Change the normaliser and store %(number)s identity anew",
            "Change the normaliser and store %(number)s identities anew",
            survey.rewritten.count,
        ) % {"number": f"{survey.rewritten.count:,}" + ("+" if survey.is_cut else "")}
    return Question(
        title=_("What the new rules for %(handle)s would change") % {"handle": handle.name},
        sentences=sentences,
        button=button,
        act=str,
        hindrance=_in_the_way(survey) if new_normaliser else "",
        template="admin/identities/handle/report.html",
        context={
            "parts": parts(request, survey, handle, to),
            "survey": survey,
            "read": f"{survey.read:,}",
            "how_compared": handle_words.how_compared(to) if new_normaliser else "",
        },
    )


def _no_longer(handle: Handle) -> str:
    """Why nothing can be done to this name any more, or nothing."""
    if handle.renamed_to_id is None:
        return ""
    return _("The handle %(name)s is a former name of %(handle)s.") % {
        "name": handle.name,
        "handle": handle.renamed_to_id,
    }


def _not_chosen(name: str) -> str:
    if not name:
        return _("Choose the handle that it was meant to be.")
    return _("There is no handle %(name)s.") % {"name": name[:64]}


def _in_the_way(survey: Survey) -> str:
    if not survey.is_hindered:
        return ""
    return _("What is marked as in the way has to be cleared up first.")


def _stays(handle: Handle) -> str:
    if handle.usage_count == 0:
        return _("It has no identities.")
    sentence = ngettext(
        "The %(number)s identity that it has stays, names its profile and is found.",
        "The %(number)s identities that it has stay, name their profiles and are found.",
        handle.usage_count,
    )
    return sentence % {"number": _number(handle.usage_count, is_capped=handle.usage_count_is_capped)}


def _number(number: int, *, is_capped: bool) -> str:
    return f"{number:,}" + ("+" if is_capped else "")


def _come_along(plan: Plan) -> str:
    sentence = ngettext(
        "Its %(number)s identity would be found under %(to)s.",
        "Its %(number)s identities would be found under %(to)s.",
        plan.identities,
    )
    return sentence % {"number": _number(plan.identities, is_capped=plan.is_capped), "to": plan.to.name}


def _follows(plan: Plan) -> str:
    return _("The old name %(old)s stays: whoever writes or looks up by it reaches %(to)s.") % {
        "old": plan.handle.name,
        "to": plan.to.name,
    }


def _extra(plan: Plan) -> list[str]:
    told = []
    if plan.names:
        names = {"names": ", ".join(plan.names), "to": plan.to.name}
        told.append(_("Its former names lead to %(to)s, too: %(names)s.") % names)
    if plan.blocked:
        values = ", ".join(f"“{one.value}”" for one in plan.blocked[:10])
        told.append(_("What is blocked under it is blocked there: %(values)s.") % {"values": values})
    told.append(_("Whoever writes it meanwhile waits; a million identities take a minute or two."))
    return told


def _means_rename(plan: Plan) -> list[str]:
    kept = _("The routing log, moves and the audit keep the name of their day and are found by both.")
    return [_come_along(plan), _follows(plan), kept, *_extra(plan)]


def _means_merge(plan: Plan) -> list[str]:
    last = _("It cannot be taken back: afterwards nobody can tell which identity was written under which name.")
    return [_come_along(plan), _follows(plan), *_extra(plan), last]


def _differences(handle: Handle, into: Handle) -> list[dict[str, str]]:
    """The rules in which the two differ, as both would say them."""
    told = []
    for name in COMPARED:
        one, other = getattr(handle, name), getattr(into, name)
        if one != other:
            label = str(label_for_field(name, Handle))
            told.append({"rule": label, "now": _said(handle, name), "then": _said(into, name)})
    return told


def _said(handle: Handle, name: str) -> str:
    value = getattr(handle, name)
    if name == "reserved_for":
        return handle_words.writers(handle)
    if name == "normaliser":
        return handle_words.compared(handle)
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return str(value) if value else _("none")
