from __future__ import annotations

import datetime

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from identities.models import BlockedIdentifier, Extension, Handle, Identity, RoutingLogEntry
from omneo_identity.api.auth import SCOPES
from profiles.forms import DateTimeWidget, LinesField, OperationForm


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


class HandleForm(OperationForm):
    class Meta:
        model = Handle
        fields = [
            "name",
            "label",
            "description",
            "example",
            "status",
            "reserved_for",
            "normaliser",
            "pattern",
            "single_valued",
            "max_per_profile",
            "immutable",
            "sensitive",
            "priority",
        ]


class BlockedIdentifierForm(OperationForm):
    class Meta:
        model = BlockedIdentifier
        fields = ["handle", "kind", "value", "reason", "enabled"]


class ExtensionForm(OperationForm):
    secret_variables = LinesField(
        label=_("Secret variables"),
        longest=128,
        required=False,
        help_text=_("Names of the environment variables that hold its shared secrets, one a line. Never the secrets."),
    )

    class Meta:
        model = Extension
        fields = ["slug", "name", "enabled", "secret_variables"]


class TokenForm(forms.Form):
    name = forms.CharField(
        label=_("Name"),
        max_length=255,
        help_text=_("What it is for, as lists and audits show it."),
        widget=forms.TextInput({"class": "vTextField"}),
    )
    scopes = forms.MultipleChoiceField(
        label=_("Scopes"),
        choices=[(scope, scope) for scope in SCOPES],
        widget=forms.CheckboxSelectMultiple,
        help_text=_("What whoever holds it may do."),
    )
    expires_at = forms.SplitDateTimeField(
        label=_("Expires"), required=False, widget=DateTimeWidget, help_text=_("Empty: never.")
    )

    rate_limit = forms.IntegerField(
        label=_("Rate limit"),
        required=False,
        min_value=1,
        max_value=1_000_000,
        help_text=_("Requests per minute. Empty: no limit."),
    )

    def clean_expires_at(self) -> datetime.datetime | None:
        expires_at: datetime.datetime | None = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise ValidationError(_("This is in the past."))
        return expires_at


class ReviewForm(OperationForm):
    class Meta:
        model = RoutingLogEntry
        fields = ["review_status", "review_note"]


class ReviewAllForm(forms.Form):
    note = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=2000,
        help_text=_("It is kept with each of them. Empty: each keeps the note that it has."),
        widget=forms.Textarea({"rows": 3, "class": "vLargeTextField"}),
    )
