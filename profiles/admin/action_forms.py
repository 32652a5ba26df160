"""The actions of a reaction as rows of its form, each with the fields of its own kind. They need no script."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.forms.utils import ErrorDict
from django.utils.translation import gettext_lazy as _

from identities import attributing
from identities.attributing import TYPES
from profiles import listening
from profiles.admin.reaction_fields import (
    EXAMPLE,
    LONGEST_LOGIC,
    RETRY_DAILY,
    RETRY_HOURLY,
    LogicField,
    UrlField,
    laid_out,
)
from profiles.admin.reaction_words import placed
from profiles.listening import MOST_ACTIONS, Step
from profiles.models import Action, CustomAttribute, Reaction, Webhook
from profiles.reacting import actions
from profiles.refusing import Refused

# By this a button asks for one more row, and nothing is saved.
ADD = "_add_action"


class ActionForm(forms.Form):
    """One action of a reaction. Each kind has a form of its own; an action does not change its kind."""

    kind: ClassVar[str]
    # What stands in the arguments, in their order.
    asked: ClassVar[tuple[str, ...]]
    # Arguments, by each field that says something of them; any other field is of the one of its own name.
    said_by: ClassVar[Mapping[str, tuple[str, ...]]] = {}

    id = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1, widget=forms.HiddenInput)
    name = forms.CharField(required=False, widget=forms.HiddenInput)
    sort_order = forms.IntegerField(
        label=_("Order"), min_value=-(2**31), max_value=2**31 - 1, help_text=_("Smaller numbers come first.")
    )
    description = forms.CharField(
        label=_("Description"),
        max_length=65_536,
        required=False,
        widget=forms.Textarea({"rows": 2, "class": "vLargeTextField"}),
    )
    notes = forms.CharField(
        label=_("Notes"),
        max_length=65_536,
        required=False,
        widget=forms.Textarea({"rows": 2, "class": "vLargeTextField"}),
    )
    remove = forms.BooleanField(label=_("Delete this action when saving"), required=False)

    def __init__(self, *args: Any, is_asked: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_asked = is_asked
        for name, field in self.fields.items():
            # What counts as changed is told against what the person saw, as in OperationForm.
            field.show_hidden_initial = self.is_stored and name not in ("id", "name", "remove")

    @property
    def is_stored(self) -> bool:
        value = self.data.get(self.add_prefix("id")) if self.is_bound else self.initial.get("id")
        return bool(value)

    @property
    def has_words(self) -> bool:
        """Whether it says more of itself than what it does."""
        return bool(self["description"].value() or self["notes"].value() or self["notes"].errors)

    @property
    def is_removed(self) -> bool:
        return bool(self.data.get(self.add_prefix("remove")))

    def full_clean(self) -> None:
        # What goes away need not be right, and where one more row was asked for nothing is looked at yet.
        if self.is_bound and (not self.is_asked or self.is_removed):
            self._errors, self.cleaned_data = ErrorDict(), {}
            return
        super().full_clean()

    def clean(self) -> None:
        if self.errors:
            return
        try:
            listening.check_action(self.kind, self.arguments())
        except Refused as refusal:
            self._refuse(refusal)

    def _refuse(self, refusal: Refused) -> None:
        found = re.match(r"arguments\.(\d+)", refusal.field or "")
        argument = self.arguments()[int(found[1])] if found else {"name": None, "value": None}
        message = placed(refusal.message, refusal.details.get("place", ""), argument["value"])
        self.add_error(argument["name"], ValidationError(message))

    def arguments(self) -> list[dict[str, Any]]:
        """As the wire has them. What was left empty is left out."""
        given = ((name, *self.value_of(name)) for name in self.asked if self.is_given(name))
        return [{"name": name, "value": value, "is_dynamic": is_dynamic} for name, value, is_dynamic in given]

    def is_given(self, name: str) -> bool:
        return self.cleaned_data[name] not in (None, "", False)

    def value_of(self, name: str) -> tuple[Any, bool]:
        """The value of an argument, and whether it is worked out for each event."""
        return self.cleaned_data[name], False

    def step(self) -> Step | None:
        """What is to be done with it; None for one that stays as it is."""
        key = self.cleaned_data["id"]
        changed = set(self.changed_data) if key else set(self.fields)
        fields: dict[str, Any] = {
            name: self.cleaned_data[name] for name in ("sort_order", "description", "notes") if name in changed
        }
        if key is None:
            return Step({**fields, "name": self.kind, "arguments": self.arguments()})
        named = [name for one in self.of_its_kind() if one in changed for name in self.said_by.get(one, (one,))]
        given = {one["name"]: one for one in self.arguments()}
        arguments = {name: given.get(name) for name in named}
        return Step(fields, key, arguments) if fields or arguments else None

    @classmethod
    def of_its_kind(cls) -> list[str]:
        return [name for name in cls.base_fields if name not in ActionForm.base_fields]

    def kind_fields(self) -> Iterator[BoundField]:
        return (self[name] for name in self.of_its_kind())

    @property
    def title(self) -> str:
        return str(Action.Name(self.kind).label)

    @classmethod
    def initial_of(cls, action: Action) -> dict[str, Any]:
        given = {one["name"]: one.get("value") for one in action.arguments}
        told = {name: getattr(action, name) for name in ("id", "name", "sort_order", "description", "notes")}
        return {**told, **{name: given.get(name) for name in cls.asked}}


class FilterForm(ActionForm):
    kind = actions.FILTER
    asked = ("condition",)

    condition = LogicField(label=_("Condition"), help_text=EXAMPLE)


class SendForm(ActionForm):
    kind = actions.SEND
    asked = ("url", "body", "retry_hourly", "retry_daily", "queue")
    said_by: ClassVar = {"body_is_dynamic": ("body",)}

    url = UrlField(label=_("URL"))
    body = LogicField(
        label=_("Body"),
        rows=3,
        required=False,
        help_text=_('Left empty, all that the event shows. Else JSON Logic for what is sent, such as {"var": "id"}.'),
    )
    body_is_dynamic = forms.BooleanField(
        label=_("Work the body out for each event"),
        required=False,
        initial=True,
        help_text=_("Without it, the body is sent as it stands."),
    )
    retry_hourly = forms.BooleanField(label=RETRY_HOURLY, required=False)
    retry_daily = forms.BooleanField(label=RETRY_DAILY, required=False)
    queue = forms.ChoiceField(label=_("Queue"), required=False, choices=[("", "---------"), *Webhook.Queue.choices])

    def is_given(self, name: str) -> bool:
        # What was typed may be the JSON of nothing, which is another body than none.
        return bool((self["body"].data or "").strip()) if name == "body" else super().is_given(name)

    def value_of(self, name: str) -> tuple[Any, bool]:
        return self.cleaned_data[name], name == "body" and self.cleaned_data["body_is_dynamic"]

    @classmethod
    def initial_of(cls, action: Action) -> dict[str, Any]:
        body = action.argument("body")
        return {
            **super().initial_of(action),
            "body": laid_out(body.get("value")) if body else "",
            "body_is_dynamic": bool(body.get("is_dynamic")) if body else True,
        }


class SetAttributeForm(ActionForm):
    kind = actions.SET_ATTRIBUTE
    asked = ("namespace", "handle", "value", "type")
    # What is typed is a value of the type beside it.
    said_by: ClassVar = dict.fromkeys(("value", "value_is_dynamic", "type"), ("value", "type"))

    namespace = forms.CharField(label=_("Namespace"), max_length=255)
    handle = forms.CharField(label=_("Handle"), max_length=255)
    value = forms.CharField(
        label=_("Value"),
        max_length=LONGEST_LOGIC,
        # Nothing, and blanks at the end, are text as any other.
        required=False,
        strip=False,
        widget=forms.Textarea({"rows": 2, "class": "vLargeTextField logic", "spellcheck": "false"}),
    )
    value_is_dynamic = forms.BooleanField(
        label=_("Work the value out for each event"),
        required=False,
        help_text=_('The value is then JSON Logic, such as {"var": "identity.shopify.identifier"}.'),
    )
    type = forms.ChoiceField(
        label=_("Type"), required=False, choices=[("", _("as the value is")), *CustomAttribute.Type.choices]
    )

    def clean(self) -> None:
        if self.errors:
            return
        is_logic = self.cleaned_data["value_is_dynamic"] or self.cleaned_data["type"] == CustomAttribute.Type.JSON
        if is_logic:
            text = self.cleaned_data["value"]
            try:
                # No text is no JSON, while [] and {} are.
                self.cleaned_data["value"] = LogicField(required=not text.strip()).clean(text)
            except ValidationError as error:
                self.add_error("value", error)
                return
        super().clean()

    def is_given(self, name: str) -> bool:
        # 0 and false are values, too.
        return name == "value" or super().is_given(name)

    def value_of(self, name: str) -> tuple[Any, bool]:
        return self.cleaned_data[name], name == "value" and self.cleaned_data["value_is_dynamic"]

    @classmethod
    def initial_of(cls, action: Action) -> dict[str, Any]:
        value = action.argument("value") or {}
        kind = (action.argument("type") or {}).get("value")
        given, is_dynamic = value.get("value"), bool(value.get("is_dynamic"))
        if kind is None and not is_dynamic and not isinstance(given, str):
            # What is typed is text, unless its type is named.
            kind = attributing.inferred(given).value
        type_of_it = TYPES[kind].value if kind in TYPES else ""
        is_text = isinstance(given, str) and type_of_it != CustomAttribute.Type.JSON
        return {
            **super().initial_of(action),
            "value": given if is_text else laid_out(given),
            "value_is_dynamic": is_dynamic,
            "type": type_of_it,
        }


KINDS: dict[str, type[ActionForm]] = {form.kind: form for form in (FilterForm, SendForm, SetAttributeForm)}


class ActionRows:
    """The actions of a reaction, each as a form; what is sent back says of each row which kind it is."""

    def __init__(self, data: Mapping[str, Any] | None, reaction: Reaction) -> None:
        self.adds = data.get(ADD, "") if data is not None else ""
        self.forms: list[ActionForm]
        if data is None:
            stored = reaction.actions.all() if reaction.pk else []
            self.forms = [
                KINDS[one.name](initial=KINDS[one.name].initial_of(one), prefix=f"actions-{place}")
                for place, one in enumerate(stored)
            ]
            return
        self.forms = [
            KINDS[kind](data, prefix=f"actions-{place}", is_asked=not self.adds)
            for place in range(_number(data))
            if (kind := data.get(f"actions-{place}-name", "")) in KINDS
        ]
        if self.adds in KINDS:
            self.forms.append(self._blank())

    def _blank(self) -> ActionForm:
        orders = [form["sort_order"].value() for form in self.forms]
        known = [int(one) for one in orders if re.fullmatch(r"-?\d{1,9}", str(one))]
        initial = {"name": self.adds, "sort_order": max(known, default=-1) + 1}
        place = max((int(str(form.prefix).partition("-")[2]) for form in self.forms), default=-1) + 1
        form = KINDS[self.adds](initial=initial, prefix=f"actions-{place}")
        form.fields[form.of_its_kind()[0]].widget.attrs["autofocus"] = True
        return form

    @property
    def count(self) -> int:
        """As many numbers as the rows use: a browser sends all of them back."""
        return max((int(str(form.prefix).partition("-")[2]) for form in self.forms), default=-1) + 1

    @property
    def is_full(self) -> bool:
        return len(self.forms) >= MOST_ACTIONS

    def is_valid(self) -> bool:
        return all(form.is_removed or form.is_valid() for form in self.forms)

    @property
    def kinds(self) -> list[tuple[str, str]]:
        """What can be added."""
        return [(kind, str(Action.Name(kind).label)) for kind in KINDS]

    def asked(self) -> tuple[list[Step], list[int]] | None:
        """The steps that are new or changed, and the keys of those that go; None where nothing is asked."""
        steps = [step for form in self.forms if not form.is_removed and (step := form.step()) is not None]
        gone = [int(key) for form in self.forms if form.is_removed and _is_key(key := form["id"].value())]
        return (steps, gone) if steps or gone else None


def _number(data: Mapping[str, Any]) -> int:
    text = data.get("actions-count", "")
    # Removed rows and new ones can stand there together.
    return min(int(text), 2 * MOST_ACTIONS) if re.fullmatch(r"[0-9]{1,4}", text) else 0


def _is_key(text: Any) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,18}", str(text)))
