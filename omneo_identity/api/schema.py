"""The OpenAPI description of what all endpoints share."""

from __future__ import annotations

from typing import Any

from drf_spectacular import openapi
from drf_spectacular.contrib.django_filters import DjangoFilterExtension
from drf_spectacular.drainage import get_override, set_override
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerFieldExtension
from drf_spectacular.plumbing import build_bearer_security_scheme_object
from drf_spectacular.utils import (
    Direction,
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema_serializer,
    inline_serializer,
)
from rest_framework import serializers

from omneo_identity.api import filters, idempotency
from omneo_identity.api.errors import CONFLICTS, ERROR_CODES

INSTANT = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$", "example": "2021-01-27 00:00:00"}

BASE_FACTS = """
One customer is one **profile**; an **identity** is a pair (handle, identifier) by which another system names it.

- **Token**: `Authorization: Bearer <token>`. Each endpoint asks for a scope; without it the answer is 403.
- **Bodies** are JSON objects in UTF-8, whatever the `Content-Type` and `Accept`. An empty body is `{}`. Unknown fields
  are ignored.
- **Paths** work with and without a trailing slash, and with repeated slashes, without a redirect. In
  `/api/v3/identities/search-profile/{identifier}` everything after the prefix is the identifier.
- **One object** is `{"data": {...}}`; **a list** has `data`, `links` and `meta`, by `page[number]` (at most
  1,000,000,000) and `page[size]` (at most 200). `meta.total` is exact up to 10,000; past that it may be an estimate,
  and `total_is_estimate` is true. A page past the end is empty. To walk a whole list, ask for `page[cursor]=`, empty,
  and then for `page[cursor]` with the `meta.next_cursor` of each answer until it is null, in one `sort`: each page
  takes the same time, and rows that come or go meanwhile neither repeat nor hide others. Such a page has no total.
- **Lists** take `filter[field]=`, for times also `filter[field][gt|gte|lt|lte]=`, `sort=field` or `sort=-field`,
  several separated by commas, and `include=`. One that the list does not know is a 422 that lists those
  which it knows.
- **Times** are UTC, `YYYY-MM-DD HH:MM:SS`. Input may be ISO 8601; without a zone it is UTC.
- **`Idempotency-Key`**, 1 to 255 visible ASCII characters, makes a POST, PUT or DELETE safe to send again: within 24
  hours the same request with the same key by the same account gets the first answer again, byte for byte and with
  `Idempotent-Replay: true`, and nothing happens twice. Refusals are answered again too, but what is refused before
  anything is looked into (400, 401, 413, 429, a scope that is lacking) is not kept; after a 5xx nothing was done.
  Another request with the key is a 422, one while the first is still under way a 409. The routes of API tokens take
  no key.
- **`X-Request-ID`** is taken from the request (1 to 128 letters, digits, `.`, `_`, `-`) or made, and returned.
- **Amounts** are exact: a JSON number or decimal text on input, with at most 13 digits before the point and rounded,
  half to even, to six places; a JSON number in answers.
- **Errors**: 400 for a body that is not JSON, 401 without a valid token, 403 without the scope, 404 for a row that is
  not there, 405 for a method that a path does not have, 409 when the state of things is against it, 411 for a body
  without its length, 413 for one that is too large, 422 for input that is not valid, 429 past a limit of calls,
  503 when the database is busy; 429 and 503 say in `Retry-After` how many seconds to wait. All hold a `message`; 422
  also `errors` by field, nested ones with dots (`identities.0.handle`), input as a whole under `body`, and a `code`;
  409 a `code`. Some codes bring a further key along.

| Code | Status | Meaning |
| --- | --- | --- |
"""
DESCRIPTION = BASE_FACTS.lstrip() + "\n".join(
    f"| `{code}` | {409 if code in CONFLICTS else 422} | {sentence} |" for code, sentence in ERROR_CODES.items()
)


class Error(serializers.Serializer[Any]):
    message = serializers.CharField()


class Invalid(Error):
    errors = serializers.DictField(child=serializers.ListField(child=serializers.CharField()))  # type: ignore[assignment]
    code = serializers.ChoiceField(sorted(set(ERROR_CODES) - CONFLICTS))


class Conflict(Error):
    code = serializers.ChoiceField(sorted(CONFLICTS))


class AutoSchema(openapi.AutoSchema):
    """Add to each operation what every one has: the error answers and the request id."""

    def get_operation_id(self) -> str:
        """The view set's name and its action, `profile_search_id`: names for client methods that outlive a path."""
        view: Any = self.view
        if getattr(view, "action", None) is None:
            return super().get_operation_id()
        return f"{view.basename}_{view.action}".replace("-", "_")

    def get_override_parameters(self) -> list[Any]:
        keyed = idempotency.PARAMETERS if idempotency.takes_key(self.view, self.method) else []
        return [
            *super().get_override_parameters(),
            *keyed,
            OpenApiParameter("X-Request-ID", str, OpenApiParameter.HEADER, response=True),
            OpenApiParameter("Retry-After", int, OpenApiParameter.HEADER, response=[429], required=True),
        ]

    def _get_response_bodies(self, direction: Direction = "response") -> dict[str, Any]:
        responses = super()._get_response_bodies(direction)
        for status, (serializer, description) in self.error_answers().items():
            if status not in responses:
                answer = OpenApiResponse(serializer, description)
                responses[status] = self._get_response_for_code(answer, status, None, direction)  # type: ignore[no-untyped-call]
        for status, response in responses.items():
            response.setdefault("headers", self._get_response_headers_for_code(status, direction))
        return responses

    def error_answers(self) -> dict[str, tuple[type[Error], str]]:
        answers: dict[str, tuple[type[Error], str]] = {
            "400": (Error, "The request is malformed."),
            "404": (Error, "There is no such row."),
            "422": (Invalid, "The input is not valid."),
        }
        if self.method != "GET":
            answers["413"] = (Error, "The body is too large.")
        if self.view.authentication_classes:
            answers["401"] = (Error, "There is no valid token.")
            answers["403"] = (Error, "The token lacks the scope.")
            answers["429"] = (Error, "A limit of calls a minute is reached.")
        if idempotency.takes_key(self.view, self.method):
            answers["409"] = (Conflict, "The state of things is against it.")
        return dict(sorted(answers.items()))


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "omneo_identity.api.auth.TokenAuthentication"
    name = "Bearer"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, str]:
        return build_bearer_security_scheme_object("Authorization", "Bearer")


class CustomerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "omneo_identity.api.auth.CustomerAuthentication"
    name = "CustomerToken"

    def get_security_definition(self, auto_schema: openapi.AutoSchema) -> dict[str, str]:
        return build_bearer_security_scheme_object("Authorization", "Bearer", "JWT")


class InstantExtension(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    target_class = "omneo_identity.api.fields.InstantField"

    def map_serializer_field(self, auto_schema: openapi.AutoSchema, direction: Direction) -> dict[str, Any]:
        if direction == "response" or self.target.read_only:
            return dict(INSTANT)
        return {"type": "string", "example": INSTANT["example"]}


class BracketFilterExtension(DjangoFilterExtension):  # type: ignore[no-untyped-call]
    """django-filter's parameters under their names on the wire, and `sort` and `include` beside them."""

    target_class = "omneo_identity.api.filters.BracketFilterBackend"
    priority = 1

    def get_schema_operation_parameters(self, auto_schema: openapi.AutoSchema, *args: Any, **kwargs: Any) -> list[Any]:
        parameters: list[Any] = super().get_schema_operation_parameters(auto_schema)  # type: ignore[no-untyped-call]
        for one in parameters:
            one["name"] = filters.parameter(one["name"])
        view: Any = auto_schema.view
        sort_words = [sign + word for word in view.sort_fields for sign in ("", "-")]
        for name, words, default in (("sort", sort_words, view.default_sort), ("include", list(view.includes), "")):
            if words:
                parameters.append(_words(name, words, default))
        return parameters


def _words(name: str, words: list[str], default: str) -> dict[str, Any]:
    """A parameter that takes some of these words, with commas between them."""
    schema: dict[str, Any] = {"type": "array", "items": {"type": "string", "enum": words}, "minItems": 1}
    if default:
        schema["default"] = default.split(",")
    return {"name": name, "in": "query", "schema": schema, "style": "form", "explode": False}


def example(value: Any) -> Any:
    """Decorate a serializer with an example, which is shown wherever it is a request's body or an answer."""
    return extend_schema_serializer(examples=[OpenApiExample("Example", value)])


def example_of(field: Any) -> Any:
    """The example of a serializer or field: the one it is decorated with, else a list of none or a word."""
    serializer = getattr(field, "child", field)
    shown = [one.value for one in get_override(serializer, "examples", [])]
    if isinstance(field, serializers.ListSerializer | serializers.ListField):
        return shown
    return shown[0] if shown else None


def data_of(
    serializer: type[serializers.BaseSerializer[Any]], many: bool = False, **beside: Any
) -> serializers.Serializer[Any]:
    """The envelope of one object, or of a list that is not paged, with what goes beside `data`.

    A paged list is `serializer(many=True)` itself: the pagination class describes its envelope.
    """
    name = serializer.__name__.removesuffix("Serializer") + ("List" if many else "")
    name += "".join(word.title().replace("_", "") for word in beside) + "Data"
    if name not in _envelopes:
        fields = {"data": serializer(many=many), **beside}
        _envelopes[name] = example({part: example_of(field) for part, field in fields.items()})(
            inline_serializer(name, fields)
        )
        # A list action would else wrap it once more.
        set_override(_envelopes[name], "many", False)
    return _envelopes[name]


# One per name: two components of one name are an error of the document.
_envelopes: dict[str, serializers.Serializer[Any]] = {}


def describe(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Give the document its text. A hook, since settings cannot import what it is made from."""
    result["info"]["description"] = DESCRIPTION
    return result
