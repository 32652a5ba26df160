from __future__ import annotations

import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from identities import handles, normalising
from identities.models import BlockedIdentifier, Extension, Handle, Identity, Pair, RoutingLogEntry
from omneo_identity.api.auth import SCOPES
from profiles.forms import LinesField, OperationForm, TextKeyField
from profiles.refusing import Refused

# A day in any zone after this one is still a time that can be stored and read back.
LAST_DAY = datetime.date(9000, 12, 31)


class IdentityForm(OperationForm):
    # Longer than a normal form, which many spellings are.
    identifier = forms.CharField(
        label=_("Identifier"), max_length=510, widget=forms.TextInput({"class": "vTextField"})
    )

    class Meta:
        model = Identity
        fields = ["profile", "handle", "identifier", "is_active", "is_primary"]


class MoveForm(forms.Form):
    """Why an identity goes to another profile."""

    reason = forms.CharField(
        label=_("Reason"), max_length=2000, widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"})
    )


class RefuseClaimForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=2_000,
        widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"}),
        help_text=_("For the audit; the customer does not see it."),
    )


class FindErasedForm(forms.Form):
    """An identity of which somebody asks whether it is kept out. What is typed is kept nowhere."""

    handle = forms.CharField(
        label=_("Handle"),
        max_length=64,
        widget=forms.TextInput(
            {"class": "vTextField", "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
        help_text=_("Its name in the catalogue, such as loyalty-card, email or mobile_phone."),
    )
    # Longer than a normal form, which many spellings are.
    identifier = forms.CharField(
        label=_("Identifier"),
        max_length=510,
        widget=forms.TextInput(
            {"class": "vTextField", "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
        help_text=_("The whole of it, as any system writes it."),
    )

    pair: Pair
    found_handle: Handle

    def clean(self) -> None:
        """Read the two as a write would, into `pair` and `found_handle`."""
        super().clean()
        if self.errors:
            return
        try:
            self.found_handle = handles.named(self.cleaned_data["handle"])
        except Refused as refusal:
            self.add_error("handle", refusal.message)
            return
        if self.found_handle._state.adding:
            self.add_error("handle", _("There is no handle of this name in the catalogue."))
            return
        try:
            identifier = normalising.normalise(self.found_handle.normaliser, self.cleaned_data["identifier"])
        except ValidationError as error:
            self.add_error("identifier", error)
        else:
            self.pair = Pair(self.found_handle.pk, identifier)


class HandleForm(OperationForm):
    class Meta:
        model = Handle
        fields = [
            "name",
            "label",
            "description",
            "example",
            "reserved_for",
            "normaliser",
            "pattern",
            "single_valued",
            "max_per_profile",
            "immutable",
            "sensitive",
            "priority",
            "auto_merge",
        ]


class AgreeForm(forms.Form):
    """What makes a handle a documented part of the data model."""

    label = forms.CharField(
        label=_("Label"),
        max_length=255,
        help_text=_("What staff call it, such as Loyalty card."),
        widget=forms.TextInput({"class": "vTextField"}),
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=10_000,
        help_text=_("Whose number it is, and where somebody sees it."),
        widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"}),
    )
    example = forms.CharField(
        label=_("Example"), max_length=255, required=False, widget=forms.TextInput({"class": "vTextField"})
    )
    reserved_for = TextKeyField(
        Extension.objects.all(),
        label=_("Owner"),
        required=False,
        empty_label=_("Nobody: everybody may write it"),
        help_text=_("Only the owner then adds, changes or deletes its identities; any other writer is refused."),
    )


class RenameHandleForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        required=False,
        widget=forms.Textarea({"rows": 2, "class": "vLargeTextField"}),
    )


class MergeHandleForm(forms.Form):
    reason = forms.CharField(
        label=_("Reason"), max_length=2000, widget=forms.Textarea({"rows": 2, "class": "vLargeTextField"})
    )


class BlockedIdentifierForm(OperationForm):
    class Meta:
        model = BlockedIdentifier
        fields = ["handle", "kind", "value", "reason", "enabled"]


class ExtensionForm(OperationForm):
    """Without `enabled`: an extension is switched off by a page of its own, which says what stops."""

    secret_variables = LinesField(
        label=_("Secret variables"),
        longest=128,
        required=False,
        help_text=_("Names of the environment variables that hold its shared secrets, one a line. Never the secrets."),
    )

    class Meta:
        model = Extension
        fields = ["slug", "name", "secret_variables"]


class TokenForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=255,
        help_text=_("What it is for, as lists and audits show it."),
        widget=forms.TextInput({"class": "vTextField"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("What it may do"),
        choices=[(scope, scope) for scope in SCOPES],
        error_messages={"required": _("Tick at least one box: a token that may do nothing is of no use.")},
    )
    expires_on = forms.DateField(
        label=_("Expires"),
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput({"type": "date"}, format="%Y-%m-%d"),
        help_text=_("It works until the end of this day. Empty: it never expires."),
    )
    rate_limit = forms.IntegerField(
        label=_("Rate limit"),
        required=False,
        min_value=1,
        max_value=1_000_000,
        help_text=_("Requests per minute. Empty: no limit."),
    )

    def clean_expires_on(self) -> datetime.date | None:
        day: datetime.date | None = self.cleaned_data["expires_on"]
        if day is not None and day < timezone.localdate():
            raise ValidationError(_("This is in the past."))
        if day is not None and day > LAST_DAY:
            raise ValidationError(_("This is too far in the future. Leave it empty for a token that never expires."))
        return day

    @property
    def expires_at(self) -> datetime.datetime | None:
        """The first moment after the last day, in the reader's zone."""
        day: datetime.date | None = self.cleaned_data["expires_on"]
        if day is None:
            return None
        midnight = datetime.datetime.combine(day + datetime.timedelta(days=1), datetime.time.min)
        return midnight.replace(tzinfo=timezone.get_current_timezone())


class ReviewForm(OperationForm):
    class Meta:
        model = RoutingLogEntry
        fields = ["review_status", "review_note"]

    def clean(self) -> dict[str, Any] | None:
        """Refuse a review of an entry that somebody else has reviewed since the page was opened.

        What the person saw comes back in the page's hidden fields. The very same review sent twice is none.
        """
        typed = {name: self.cleaned_data.get(name) for name in self.fields}
        is_done = all(value == getattr(self.instance, name) for name, value in typed.items())
        for name in [] if is_done else self.fields:
            seen = self.data.get(self.add_initial_prefix(name))
            if seen is not None and seen.splitlines() != str(getattr(self.instance, name)).splitlines():
                message = _(
                    "%(who)s has reviewed this entry meanwhile: %(status)s. %(note)s Open it anew to change that."
                )
                raise ValidationError(
                    message,
                    "reviewed_meanwhile",
                    {
                        "who": self.instance.reviewed_by or _("Somebody"),
                        "status": self.instance.get_review_status_display(),
                        "note": f"“{self.instance.review_note}”" if self.instance.review_note else "",
                    },
                )
        return super().clean()


class PartForm(forms.Form):
    """How somebody knows that profiles are not the same person."""

    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=2000,
        help_text=_("How you know, for whoever asks again. It is kept with the entry and with the profiles."),
        widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"}),
    )


class ReviewAllForm(forms.Form):
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=2000,
        help_text=_("It is kept with each of them. Empty: each keeps the note that it has."),
        widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"}),
    )
