"""Every error answer of the API: which status, which words, which code (API.md 1)."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.exceptions import (
    NON_FIELD_ERRORS,
    ObjectDoesNotExist,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
)
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.utils.translation import gettext as _
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.settings import api_settings

from omneo_identity.api.middleware import is_api
from omneo_identity.api.renderers import dumps
from profiles.refusing import Refused

logger = logging.getLogger(__name__)

# The words of `code`: once published, never renamed. Those of CONFLICTS answer 409, the others 422.
ERROR_CODES = {
    "already_merged": "The profile was merged into another one: `survivor_id`.",
    "already_undone": "This merge was undone before: `merge_id`.",
    "ambiguous_identities": "The identities that are to say where to belong to several profiles: `profile_ids`.",
    "blocked_identifier": "The identifier is one that names nobody, such as `null` or `unknown`.",
    "built_in": "A blocked value that ships with the product can only be switched off and on.",
    "builtin_handle": "E-mail and mobile phone are set as fields of the profile, and their handles cannot be changed.",
    "criterion_required": "A profile of a batch has no pair of the batch's `match_criteria`.",
    "definition_exists": "Another definition has this handle.",
    "definition_in_use": "Rewards were given by this definition.",
    "handle_conflict": "Several profiles hold an active identity of a handle that allows one only: `handle`.",
    "idempotency_key_in_flight": "A request with this `Idempotency-Key` is still under way; send it again later.",
    "idempotency_key_reused": "Another request was sent with this `Idempotency-Key` before.",
    "identity_confirmed": "The identity is confirmed, so that the customer alone can no longer change it.",
    "identity_erased": "The person known by this pair was erased; nothing of what was sent is kept.",
    "identity_exists": "Another identity of this profile is this pair already.",
    "identity_taken": "Another profile holds this pair or contact: `profile_id`.",
    "immutable_handle": "Identities of this handle cannot be changed once written.",
    "invalid": "A value is missing, of the wrong type or not allowed here.",
    "invalid_argument": "An action cannot be done with these arguments: `place` says where the fault is.",
    "invalid_condition": "This is no JSON Logic that is known here: `place`, such as `/and/1/==`.",
    "invalid_handle": "This cannot be the name of a handle.",
    "invalid_identifier": "The identifier is empty, too long, or not of the form that its handle asks for.",
    "last_identity": "Nothing would be left by which the profile is known.",
    "not_a_candidate": "The entry of the routing log does not name this profile.",
    "not_found": "A row of a batch names a profile that is not there.",
    "open_entry": "The same event has an open entry of its own in the routing log.",
    "plan_changed": "The profiles have changed since the preview: `changed`, and the `plan` as it is now.",
    "profile_deleted": "The profile is deleted; undelete it before changing it.",
    "profile_exists": "The token is of somebody who has a profile: change that one.",
    "profile_locked": "The profile is locked: it is never merged.",
    "profile_required": "No profile is named.",
    "record_exists": "There is a record of this `external_id` from this source: `id`.",
    "required": "A required value is missing.",
    "reserved_handle": "Only the extension that claims the handle writes its identities.",
    "retired_handle": "The handle is retired: nothing new is written under it.",
    "same_profile": "Both sides name the same profile.",
    "server_error": "A profile of a batch met a fault of the server; send it again.",
    "too_many_actions": "A trigger has at most 50 actions.",
    "too_many_attributes": "The profile has as many custom attributes as its customer may make.",
    "too_many_claims": "The customer has added as many identities as may wait to be confirmed.",
    "too_many_identities": "The profile holds as many identities of this handle as it may.",
    "too_many_listeners": "At most 100 active webhooks and triggers listen to one kind of event.",
    "too_many_profiles": "At most 100 profiles become part of another in one merge.",
    "unknown_action": "The trigger has no action of this `id`.",
    "unknown_handle": "The handle is not in the catalogue, or is a known one misspelt: `did_you_mean`.",
    "unknown_identifier": "An identifier that came without its handle is known by no profile, or by more than one.",
    "unknown_identity": "No profile has one of the identities that are to say where to.",
    "unknown_profile": "The profile id that a record names is unknown, and was set aside.",
}
CONFLICTS = frozenset(
    {
        "already_merged",
        "already_undone",
        "definition_in_use",
        "handle_conflict",
        "idempotency_key_in_flight",
        "identity_confirmed",
        "plan_changed",
        "profile_deleted",
        "profile_exists",
        "profile_locked",
        "same_profile",
    }
)

# What belongs to no field of the body is reported under this name.
WHOLE = "body"

SECONDS_TO_RECOVER = 2


def answer(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> HttpResponse:
    """An error's answer, which is JSON also where the view itself renders something else."""
    return HttpResponse(dumps(body), content_type="application/json", status=status, headers=headers)


def handle(exc: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """Turn what a view raised into its answer; None for a fault of ours, which is then a 500."""
    match exc:
        case Refused():
            return refusal(exc)
        case DjangoValidationError():
            return invalid(*_django_errors(exc))
        case exceptions.ValidationError():
            return invalid(*_rest_errors(exc))
        case exceptions.NotAuthenticated() | exceptions.AuthenticationFailed():
            return answer(401, {"message": "Unauthenticated."}, {"WWW-Authenticate": "Bearer"})
        case Http404() | ObjectDoesNotExist() | exceptions.NotFound():
            return answer(404, {"message": _("Not found.")})
        case exceptions.Throttled():
            seconds: float | None = exc.wait  # type: ignore[attr-defined]
            headers = {"Retry-After": str(max(1, math.ceil(seconds or 1)))}
            return answer(429, {"message": _("Too many requests.")}, headers)
        case exceptions.APIException():
            return answer(exc.status_code, {"message": str(exc.detail)})
        case PermissionDenied():
            return answer(403, {"message": str(exc) or _("This action is not allowed.")})
        case SuspiciousOperation():
            return answer(413 if isinstance(exc, RequestDataTooBig) else 400, {"message": _("Bad request.")})
        case OperationalError():
            # A time-out of a statement or lock, or no connection: the same request may well succeed later.
            logger.exception("The database did not answer.")
            return unavailable()
    return None


def refusal(refused: Refused) -> HttpResponse:
    message = str(refused.message)
    if refused.code in CONFLICTS:
        return answer(409, {"message": message, "code": refused.code, **refused.details})
    errors = {refused.field or WHOLE: [message]}
    return answer(422, {"message": message, "errors": errors, "code": refused.code, **refused.details})


def invalid(errors: Mapping[str, list[str]], code: str) -> HttpResponse:
    message = next((sentences[0] for sentences in errors.values() if sentences), _("The input is not valid."))
    return answer(422, {"message": message, "errors": errors, "code": code if code in ERROR_CODES else "invalid"})


def unavailable() -> HttpResponse:
    return answer(
        503,
        {"message": _("The database is busy. Please try again.")},
        {"Retry-After": str(SECONDS_TO_RECOVER)},
    )


def first_fault(error: exceptions.ValidationError) -> str:
    """What is wrong with one row of many, in a sentence that names the field: `identities.0.handle: ...`."""
    path, sentence = next(_flat(error.detail))
    return f"{'.'.join(path)}: {sentence}" if path else str(sentence)


def _django_errors(error: DjangoValidationError) -> tuple[dict[str, list[str]], str]:
    by_field = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
    errors = {
        WHOLE if field == NON_FIELD_ERRORS else field: [text for fault in faults for text in fault.messages]
        for field, faults in by_field.items()
    }
    return errors, next((fault.code or "" for faults in by_field.values() for fault in faults), "")


def _rest_errors(error: exceptions.ValidationError) -> tuple[dict[str, list[str]], str]:
    errors: dict[str, list[str]] = {}
    faults = list(_flat(error.detail))
    for path, detail in faults:
        errors.setdefault(".".join(path) or WHOLE, []).append(str(detail))
    return errors, (faults[0][1].code or "") if faults else ""


def _flat(detail: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], exceptions.ErrorDetail]]:
    """The sentences of a nested detail with their paths, `identities.0.handle`, in the order of the fields."""
    if isinstance(detail, Mapping):
        for field, inner in detail.items():
            yield from _flat(inner, path if field == api_settings.NON_FIELD_ERRORS_KEY else (*path, str(field)))
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            yield from _flat(inner, (*path, str(position)) if isinstance(inner, Mapping | list) else path)
    else:
        yield path, detail


@csrf_exempt
def page_not_found(request: HttpRequest, exception: Exception | None = None, **rest: str) -> HttpResponseBase:
    if is_api(request.path_info):
        return answer(404, {"message": _("Not found.")})
    return defaults.page_not_found(request, exception or Http404())


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if is_api(request.path_info):
        return answer(413 if isinstance(exception, RequestDataTooBig) else 400, {"message": _("Bad request.")})
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponseBase:
    if is_api(request.path_info):
        return answer(403, {"message": _("This action is not allowed.")})
    return defaults.permission_denied(request, exception)


def server_error(request: HttpRequest) -> HttpResponseBase:
    if is_api(request.path_info):
        return answer(500, {"message": _("Server error.")})
    return defaults.server_error(request)
