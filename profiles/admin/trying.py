"""Try a webhook or a reaction on a profile: what an event would show, and what would be done. Nothing is done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities import finding, matching, normalising
from profiles.admin.base import PlainAdmin, change_url
from profiles.admin.profile_words import introduction, survivors_of
from profiles.admin.reaction_words import choices_of_triggers, logic, sentence
from profiles.events import KNOWN
from profiles.models import RECORDS, Action, Profile, Reaction, Webhook
from profiles.reacting import actions, conditions, contexts
from profiles.reacting.actions import TriedStep

# Of what an event shows, or a body, on the page: a profile can have thousands of identities.
MOST_CHARACTERS = 20_000

# What fits beside the action that it comes of.
LINE = 100

# Found by a name, there may be many.
MOST_FOUND = 10


class TryForm(forms.Form):
    profile = forms.CharField(
        label=gettext_lazy("Profile: its id, an identity, an e-mail address or a name"),
        max_length=255,
        widget=forms.TextInput({"class": "vTextField", "autocomplete": "off", "spellcheck": "false"}),
    )
    trigger = forms.ChoiceField(label=gettext_lazy("Trigger"))

    def __init__(self, *args: Any, triggers: list[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["trigger"].choices = triggers  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Told:
    """What would become of an action: a badge, a sentence, and what would be sent."""

    what: Any
    kind: str
    outcome: str
    detail: str = ""
    body: str = ""

    @property
    def is_short(self) -> bool:
        return len(self.body) <= LINE


def permissions(row: Webhook | Reaction) -> list[str]:
    """What it takes to see what a profile looks like to it."""
    name = row._meta.model_name
    return [f"profiles.view_{name}", "profiles.view_profile", "identities.view_identity"]


def page(admin: PlainAdmin, request: HttpRequest, row: Webhook | Reaction) -> HttpResponse:
    """The page that asks for a profile and, once it knows which, shows what an event of it would do."""
    admin.demand(request, *permissions(row))
    triggers = _may_see(request)
    known = [trigger for _noun, some in triggers for trigger, _label in some]
    trigger = row.trigger if row.trigger in known else known[0]
    form = TryForm(request.GET if "profile" in request.GET else None, triggers=triggers, initial={"trigger": trigger})
    shown: dict[str, Any] = {}
    if form.is_valid():
        shown = _look(request, row, form.cleaned_data["profile"], form.cleaned_data["trigger"])
    return admin.page(
        request,
        "admin/profiles/reaction/try.html",
        obj=row,
        title=_("Try it on a profile"),
        is_webhook=isinstance(row, Webhook),
        form=form,
        back_url=change_url(row),
        **shown,
    )


def may_see(request: HttpRequest, trigger: str) -> bool:
    """Whether this person, who may see profiles and identities, may also see the rest of what its events show."""
    return request.user.has_perms(records_of(trigger))


def records_of(trigger: str) -> list[str]:
    """What it takes, besides, to see what its events show."""
    noun = trigger.partition(".")[0]
    if noun in RECORDS:
        return [f"profiles.view_{noun}"]
    return ["profiles.view_duplicatepair"] if noun == "duplicate" else []


def _may_see(request: HttpRequest) -> list[Any]:
    """The triggers whose events show nothing that this person may not see."""
    groups = ((noun, [row for row in rows if may_see(request, row[0])]) for noun, rows in choices_of_triggers())
    return [(noun, rows) for noun, rows in groups if rows]


def _look(request: HttpRequest, row: Webhook | Reaction, text: str, trigger: str) -> dict[str, Any]:
    found = _found(text)
    if len(found) != 1:
        survivors = survivors_of(found)
        here = request.path
        return {
            "is_nobody": not found,
            "hits": [
                {
                    "profile": one,
                    "introduction": introduction(one),
                    "is_live": one.is_live,
                    "survivor": survivors.get(one.pk),
                    "url": f"{here}?{urlencode({'profile': str(one.pk), 'trigger': trigger})}",
                }
                for one in found[:MOST_FOUND]
            ],
            "is_cut": len(found) > MOST_FOUND,
        }
    (profile,) = found
    return {"profile": profile, "profile_url": change_url(profile), **_tried(row, profile, trigger)}


def _found(text: str) -> list[Profile]:
    """The profile of this id or identity, or those that somebody may mean by it."""
    handle, colon, identifier = text.strip().partition(":")
    if colon and text == normalising.storable(text):
        of_pair = matching.having(normalising.forms(identifier), handle=handle).values("profile_id")[:1]
        if profiles := list(Profile.objects.filter(pk__in=of_pair)):
            return profiles
    hits = finding.find(text, most=MOST_FOUND + 1).hits
    own = [hit.profile for hit in hits if any(reason.field == "id" for reason in hit.reasons)]
    return own or [hit.profile for hit in hits]


def _tried(row: Webhook | Reaction, profile: Profile, trigger: str) -> dict[str, Any]:
    context = contexts.sample(trigger, profile)
    if isinstance(row, Webhook):
        holds, reason = conditions.answer(row.condition, context)
        tried = [TriedStep(Action(), holds=holds, url=row.url, body=context, reason=reason)]
    else:
        tried = actions.dry_run(row, context)
    masked = contexts.masked(context, of=profile.pk)
    is_worked_out = isinstance(row, Reaction) and masked != context
    steps = _over(masked, tried) if is_worked_out else tried
    # Together, since a body that is the same each time may hold what only the context says to be sensitive.
    seen = contexts.masked({"context": context, "bodies": [_body(step) for step in steps]}, of=profile.pk)
    told = [_told(*one) for one in zip(tried, steps, seen["bodies"], strict=True)]
    if isinstance(row, Webhook):
        told = [_webhook_told(row, tried[0])]
    return {
        "trigger": trigger,
        "told": told,
        "shown": _text(seen["context"]),
        "notes": [*_notes(row, trigger, context, profile), *([_of_masks()] if is_worked_out else [])],
    }


def _over(masked: dict[str, Any], tried: list[TriedStep]) -> list[TriedStep]:
    """The same steps, worked out from masks: a part of an identifier is no identifier that a mask would be found for.

    Whether they are done is what `tried` says of them.
    """
    budget = conditions.Budget()
    return [actions.work_out(step.action, masked, budget) if _makes(step) else step for step in tried]


def _makes(step: TriedStep) -> bool:
    """Whether something would be sent, or set."""
    return step.is_reached and not step.reason and (bool(step.url) or step.attribute is not None)


def _of_masks() -> str:
    return _("What would be sent or set is shown as it comes of masked identifiers; done, it comes of the real ones.")


def _notes(row: Webhook | Reaction, trigger: str, context: Any, profile: Profile) -> list[str]:
    notes = []
    if not row.is_active:
        notes.append(_("It is switched off: it does this once it is switched on."))
    if trigger != row.trigger:
        words = {"own": row.trigger, "trigger": trigger}
        notes.append(_("It listens to %(own)s. This is what it would do if it listened to %(trigger)s.") % words)
    if context.get("is_gone") or (trigger not in KNOWN):
        notes.append(_("This profile has nothing that such an event could be about: only its identities are shown."))
    if not profile.is_live:
        notes.append(_("This profile is not live: nothing happens to it by itself."))
    return notes


def _webhook_told(webhook: Webhook, step: TriedStep) -> Told:
    what = _("Each event is sent.") if webhook.condition is None else logic(webhook.condition, MOST_CHARACTERS)
    if step.reason:
        return Told(what, "warn", _("cannot be answered"), f"{step.reason} {_('Nothing would be sent.')}")
    if not step.holds:
        return Told(what, "muted", _("does not hold"), _("Nothing would be sent."))
    detail = _("What the event shows would be sent to %(url)s.") % {"url": webhook.url}
    return Told(what, "ok", _("would be sent") if webhook.condition is None else _("holds"), detail)


def _body(step: TriedStep) -> Any:
    if step.attribute is not None:
        return step.attribute.value
    return step.body


def _told(step: TriedStep, shown: TriedStep, body: Any) -> Told:
    what = sentence(step.action)
    if not step.is_reached:
        return Told(what, "muted", _("not reached"))
    if step.reason:
        return Told(what, "warn", _("cannot be done"), step.reason)
    if step.holds is not None:
        if step.holds:
            return Told(what, "ok", _("holds"), _("It goes on."))
        return Told(what, "muted", _("does not hold"), _("It stops here."))
    if not step.url and step.attribute is None:
        return Told(what, "muted", _("nothing to set"), _("The value comes to nothing, which sets nothing."))
    outcome = _("would be sent") if step.url else _("would be set")
    if shown.reason:
        return Told(what, "ok", outcome, _("It comes of a sensitive identifier, and cannot be shown."))
    return Told(what, "ok", outcome, "", _text(body))


def _text(value: Any) -> str:
    text = json.dumps(value, indent=2, ensure_ascii=False, cls=DjangoJSONEncoder)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}\n…"
