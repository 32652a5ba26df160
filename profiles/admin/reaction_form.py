"""Webhooks and reactions as forms."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.utils import ErrorDict
from django.utils.functional import cached_property
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from profiles import listening
from profiles.admin.action_forms import ActionRows
from profiles.admin.reaction_fields import EXAMPLE, RETRY_DAILY, RETRY_HOURLY, LogicField, UrlField
from profiles.admin.reaction_words import choices_of_triggers, placed
from profiles.forms import OperationForm
from profiles.models import Reaction, Webhook
from profiles.refusing import Refused


class WebhookForm(OperationForm):
    trigger = forms.ChoiceField(label=_("Trigger"), help_text=_("What has to happen."))
    url = UrlField(
        label=_("URL"), help_text=_("Where it is sent to. What is waiting to be sent already goes where it was to go.")
    )
    condition = LogicField(
        label=_("Condition"),
        required=False,
        help_text=format_lazy("{} {}", _("Left empty, each event is sent."), EXAMPLE),
    )

    class Meta:
        model = Webhook
        fields = ["trigger", "url", "condition", "is_active", "namespace", "retry_hourly", "retry_daily", "queue"]
        labels = {"retry_hourly": RETRY_HOURLY, "retry_daily": RETRY_DAILY}
        help_texts = {
            "namespace": _("Whatever helps the integration that listens to find its own."),
            "queue": _("What goes first when much is waiting."),
            "is_active": _("Switched off, it hears of nothing that happens meanwhile."),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "trigger" in self.fields:
            self.fields["trigger"].choices = choices_of_triggers(self.instance.trigger)  # type: ignore[attr-defined]

    def clean_condition(self) -> Any:
        condition = self.cleaned_data["condition"]
        try:
            listening.check_condition(condition)
        except Refused as refusal:
            raise ValidationError(placed(refusal.message, refusal.details["place"], condition)) from refusal
        return condition


class ReactionForm(OperationForm):
    """A reaction with its actions, which are saved together or not at all."""

    trigger = forms.ChoiceField(label=_("Trigger"), help_text=_("What has to happen."))

    class Meta:
        model = Reaction
        fields = ["name", "trigger", "is_active", "description", "notes"]
        widgets = {
            "description": forms.Textarea({"rows": 2, "class": "vLargeTextField"}),
            "notes": forms.Textarea({"rows": 2, "class": "vLargeTextField"}),
        }
        help_texts = {"is_active": _("Switched off, it hears of nothing that happens meanwhile.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "trigger" in self.fields:
            self.fields["trigger"].choices = choices_of_triggers(self.instance.trigger)  # type: ignore[attr-defined]
        self.rows = ActionRows(self.data if self.is_bound else None, self.instance)

    def full_clean(self) -> None:
        if self.is_bound and self.rows.adds:
            self._errors, self.cleaned_data = ErrorDict(), {}
            return
        super().full_clean()

    def is_valid(self) -> bool:
        return not self.rows.adds and super().is_valid()

    def clean(self) -> dict[str, Any]:
        typed: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.rows.is_valid():
            self.add_error(None, ValidationError(gettext("Something is wrong with an action; see there.")))
        else:
            typed["actions"] = self.rows.asked()
        return typed

    @cached_property
    def changed_data(self) -> list[str]:
        changed = list(super().changed_data)
        return [*changed, "actions"] if self.cleaned_data.get("actions") else changed
