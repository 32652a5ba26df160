from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib.admin.widgets import AdminSplitDateTime
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db.models import Model
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException, ParseError

from omneo_identity.api import parsers
from profiles.models import Profile
from profiles.serializers import CONTACTS, NEW_PROFILE_TYPES, AttributesField


class OperationForm(forms.ModelForm):
    """A form whose last check is the write itself.

    Only the operation, under its locks, can tell whether a pair is free; asking first and writing later would ask in
    vain. So once all fields are well-formed `write` is called: what it refuses stands on the form like any fault, and
    the row that it returns is `written`. The row that was loaded for the page is left as it was.

    What counts as changed is told against what the person saw, which the page brings back in hidden fields: a page
    may lie open while integrations write, and must not undo what it never showed.
    """

    write: ClassVar[Callable[[Any], Model]]
    written: Model

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.show_hidden_initial = not self.instance._state.adding

    def _post_clean(self) -> None:
        if self.errors:
            return
        try:
            self.written = self.write()
        except ValidationError as error:
            self._refuse(error)

    def _refuse(self, error: ValidationError) -> None:
        faults: Mapping[str, list[ValidationError]] = getattr(error, "error_dict", {NON_FIELD_ERRORS: [error]})
        for name, found in faults.items():
            self.add_error(name if name in self.fields else None, found)


class DateTimeWidget(AdminSplitDateTime):
    """Django's two boxes for a moment, each with a name of its own: the label names only the first."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.widgets[0].attrs["aria-label"] = _("Date")
        self.widgets[1].attrs["aria-label"] = _("Time")


class TextKeyField(forms.ModelChoiceField):
    """A choice by a text key. PostgreSQL cannot be asked about a NUL, which no key has."""

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and "\0" in value:
            raise ValidationError(self.error_messages["invalid_choice"], code="invalid_choice")
        return super().to_python(value)

    def prepare_value(self, value: Any) -> Any:
        return None if isinstance(value, str) and "\0" in value else super().prepare_value(value)


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    widget = forms.Textarea(attrs={"rows": 4})

    def __init__(self, *, longest: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.longest = longest

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        lines = [line.strip() for line in (super().to_python(value) or "").splitlines()]
        return [line for line in lines if line]

    def validate(self, value: Any) -> None:
        super().validate(value)
        if any(len(line) > self.longest for line in value):
            raise ValidationError(_("Each line has %(longest)s characters at most."), params={"longest": self.longest})

    def run_validators(self, value: Any) -> None:
        super().run_validators("\n".join(value))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(self.to_python(data) != list(initial or []))


class AttributesFormField(forms.CharField):
    """The profile's attributes as JSON text, held to the same rules as in a request (`AttributesField`)."""

    widget = forms.Textarea(attrs={"rows": 10, "class": "vLargeTextField", "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else json.dumps(value or {}, indent=2, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        try:
            attributes = parsers.loads((super().to_python(value) or "{}").encode())
            if not isinstance(attributes, dict):
                raise ParseError(_("This must be a JSON object."))
            parsers.refuse_depth(attributes)
            parsers.refuse_nul(attributes)
            return AttributesField().run_validation(attributes)
        except APIException as error:
            raise ValidationError([str(one) for one in _flat(error.detail)]) from error

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.to_python(data) != (initial or {}))
        except ValidationError:
            return True


def _flat(detail: Any) -> list[Any]:
    if isinstance(detail, dict):
        return [one for value in detail.values() for one in _flat(value)]
    return list(detail) if isinstance(detail, list) else [detail]


class ProfileForm(OperationForm):
    """A profile's fields. E-mail and mobile are pairs, which the operation reads; here they are only text."""

    # A profile is deleted and undeleted by pages of their own, which say what it means.
    profile_type = forms.ChoiceField(label=_("Type"), choices=NEW_PROFILE_TYPES, initial=Profile.Type.ACTIVE)
    email = forms.CharField(label=_("E-mail"), max_length=512, required=False)
    mobile_phone = forms.CharField(
        label=_("Mobile phone"),
        max_length=512,
        required=False,
        help_text=_("With its country code, such as +61 404 123 123, or as it is dialled here."),
    )
    birth_year = forms.IntegerField(label=_("Birth year"), required=False, min_value=1, max_value=9999)
    birth_month = forms.IntegerField(label=_("Birth month"), required=False, min_value=1, max_value=12)
    birth_day = forms.IntegerField(label=_("Birth day"), required=False, min_value=1, max_value=31)
    tags = LinesField(label=_("Tags"), longest=255, required=False, help_text=_("One a line."))
    attributes = AttributesFormField(
        label=_("Attributes"),
        required=False,
        help_text=_("A JSON object with comms and appearance (objects) and dates (a list)."),
    )

    class Meta:
        model = Profile
        fields = [
            "profile_type",
            "title",
            "first_name",
            "last_name",
            *CONTACTS,
            "secondary_phone",
            "gender",
            "birth_year",
            "birth_month",
            "birth_day",
            "company",
            "occupation",
            "currency",
            "avatar_url",
            "joined_at",
            "tags",
            "attributes",
            "locked",
        ]


class UndeleteForm(forms.Form):
    profile_type = forms.ChoiceField(label=_("Type"), choices=NEW_PROFILE_TYPES, initial=Profile.Type.ACTIVE)


class MergeForm(forms.Form):
    """Why profiles are merged. In one line, so that Enter answers the question."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=1000,
        required=False,
        widget=forms.TextInput({"class": "vTextField", "autofocus": True, "autocomplete": "off"}),
        help_text=_("How you know that they are one person. It stays with the merge."),
    )


class DismissForm(forms.Form):
    """Of which pairs somebody says that they are not the same person, and how they know. A single one is no choice."""

    pairs = forms.MultipleChoiceField(
        label=_("Which of them?"),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": _("Choose one pair at least.")},
    )
    note = forms.CharField(
        label=_("Note"),
        max_length=1000,
        required=False,
        widget=forms.TextInput({"class": "vTextField", "autofocus": True, "autocomplete": "off"}),
        help_text=_("How you know that they are two people. It stays with the pair."),
    )

    def __init__(self, *args: Any, pairs: Sequence[tuple[str, Any]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["pairs"]
        field.choices = pairs  # type: ignore[attr-defined]
        field.initial = [key for key, _label in pairs]
        if len(pairs) == 1:
            field.widget = forms.MultipleHiddenInput()


class UndoMergeForm(forms.Form):
    """Why a merge is taken back."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        required=False,
        widget=forms.TextInput({"class": "vTextField", "autocomplete": "off"}),
        help_text=_("How you know that they are two people. It stays with the merge."),
    )


class SplitForm(forms.Form):
    """Why identities leave their profile."""

    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        widget=forms.TextInput({"class": "vTextField", "autocomplete": "off"}),
        help_text=_("How you know whose they are. It stays with each move."),
    )


class EraseForm(forms.Form):
    """Why a profile is erased for good, and the word that nobody types by mistake.

    The word and not the id, which would be copied without being read; whose profile it is stands above the form.
    """

    WORD = "ERASE"

    keep_out = forms.BooleanField(
        label=_("Keep its identities out"),
        required=False,
        initial=True,
        help_text=_(
            "Late copies and old files are then refused, and do not bring the person back. Of each identity only a "
            "digest is kept, which nobody can read. Untick it when the person may come back under the same ones."
        ),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=1000,
        widget=forms.TextInput({"class": "vTextField", "autocomplete": "off"}),
        help_text=_("Such as the number of the request. It stays in the audit: write nothing that names the person."),
    )
    word = forms.CharField(
        label=_("Type ERASE to confirm"),
        max_length=20,
        widget=forms.TextInput({"autocomplete": "off", "autocapitalize": "characters", "spellcheck": "false"}),
        help_text=_("In capitals. It cannot be undone."),
    )

    def clean_word(self) -> str:
        word: str = self.cleaned_data["word"]
        if word != self.WORD:
            raise ValidationError(_("This is not the word ERASE in capitals. Nothing was erased."))
        return word


class HappenedForm(forms.Form):
    """Of all that happened to a profile, what to show. Every field may be left empty; days are the reader's."""

    VOID = [("", _("with void ones")), ("no", _("without void ones")), ("only", _("only void ones"))]

    kind = forms.ChoiceField(label=_("Kind"), required=False)
    source = forms.ChoiceField(label=_("Source"), required=False)
    since = forms.DateField(
        label=_("From"),
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"),
    )
    until = forms.DateField(
        label=_("Until"),
        required=False,
        input_formats=["%Y-%m-%d"],
        widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"),
    )
    void = forms.ChoiceField(label=_("Void"), required=False, choices=VOID)

    def __init__(
        self, *args: Any, kinds: Sequence[tuple[str, Any]], sources: Sequence[tuple[str, Any]], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = [("", _("everything")), *kinds]  # type: ignore[attr-defined]
        self.fields["source"].choices = [("", _("every source")), *sources]  # type: ignore[attr-defined]

    def clean_since(self) -> datetime.date | None:
        return self._day("since")

    def clean_until(self) -> datetime.date | None:
        return self._day("until")

    def _day(self, name: str) -> datetime.date | None:
        """A day whose midnights can be stored, in any zone."""
        day: datetime.date | None = self.cleaned_data[name]
        if day is not None and not 1000 <= day.year <= 9000:
            raise ValidationError(_("There is nothing of that year."))
        return day
