from __future__ import annotations

from typing import Any, Self

from django.core.exceptions import ValidationError


class Refused(Exception):
    """A rule says no to a well-formed write.

    `code` is the stable machine word of API.md 1, `message` a sentence that tells what to do next, `field` the input
    that is at fault, and `details` whatever else the answer has to carry (the owner's profile id, say).
    """

    def __init__(self, code: str, message: str, *, field: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field
        self.details = details

    @classmethod
    def because(cls, error: ValidationError, *, field: str | None = None) -> Self:
        """Turn the first fault that a model's `clean()` found into a refusal."""
        if hasattr(error, "error_dict"):
            field, errors = next(iter(error.error_dict.items()))
            error = errors[0]
        first = error.error_list[0]
        return cls(first.code or "invalid", first.messages[0], field=field)
