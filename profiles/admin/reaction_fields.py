"""What is typed into the forms of webhooks and reactions: JSON Logic as text, and addresses."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import APIException

from omneo_identity.api import parsers
from profiles.inserting import is_same

LONGEST_URL = 2_048
LONGEST_LOGIC = 65_536
LINE = 72

EXAMPLE = _(
    'JSON Logic over what the event shows, such as {"and": [{"!!": {"var": "identity.shopify"}}, '
    '{"!": {"var": "identity.klaviyo"}}]}: whoever has a shopify identity and no klaviyo one.'
)


class LogicField(forms.CharField):
    """JSON as text. Where it is none, the fault says in which line and column."""

    def __init__(self, *, rows: int = 7, **kwargs: Any) -> None:
        widget = forms.Textarea({"rows": rows, "class": "vLargeTextField logic", "spellcheck": "false"})
        super().__init__(max_length=LONGEST_LOGIC, widget=widget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) else shown(value)

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value if isinstance(value, str) else shown(value))
        if not text:
            return None
        try:
            # Django's own reading of JSON says where it ends; ours is as strict as the API's.
            json.loads(text)
            found = parsers.loads(text.encode())
            parsers.refuse_depth({"": found})
            parsers.refuse_nul(found)
        except json.JSONDecodeError as error:
            words = {"line": error.lineno, "column": error.colno}
            raise ValidationError(
                gettext("This is no JSON from line %(line)d, column %(column)d on.") % words
            ) from error
        except (APIException, RecursionError, ValueError) as error:
            raise ValidationError(gettext("This is no JSON that can be kept.")) from error
        return found

    def has_changed(self, initial: Any, data: Any) -> bool:
        """By what JSON tells apart: for Python, 1 is true."""
        try:
            return not is_same(None if initial == "" else initial, self.to_python(data))
        except ValidationError:
            return True

    def run_validators(self, value: Any) -> None:
        super().run_validators(shown(value))


def shown(value: Any) -> str:
    return "" if value is None else laid_out(value)


def laid_out(value: Any, indent: str = "") -> str:
    """JSON as one would write it: whatever fits into a line stands in one."""
    text = json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, dict | list) or len(indent) + len(text) <= LINE:
        return text
    deeper = f"{indent}  "
    if isinstance(value, list):
        begin, end, parts = "[", "]", [laid_out(one, deeper) for one in value]
    else:
        begin, end = "{", "}"
        parts = [f"{json.dumps(key, ensure_ascii=False)}: {laid_out(one, deeper)}" for key, one in value.items()]
    inside = f",\n{deeper}".join(parts)
    return f"{begin}\n{deeper}{inside}\n{indent}{end}"


class UrlField(forms.CharField):
    """An address, which the operation checks as for everybody; Django's own check knows of no host without a dot."""

    def __init__(self, **kwargs: Any) -> None:
        widget = forms.URLInput({"class": "vURLField", "placeholder": "https://", "spellcheck": "false"})
        super().__init__(max_length=LONGEST_URL, widget=widget, **kwargs)


RETRY_HOURLY = _("Let the time between two tries grow up to an hour")
RETRY_DAILY = _("Let the time between two tries grow up to a day")
