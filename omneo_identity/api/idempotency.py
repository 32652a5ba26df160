"""The header `Idempotency-Key`: a write that is sent again is answered again, and not done again (API.md 1)."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from django.http import HttpResponse
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from identities import replaying
from identities.replaying import Answer
from identities.tokens import CustomerToken
from omneo_identity.api.auth import ScopeLacking, caller_of, source

if TYPE_CHECKING:
    # At run time REST framework's views import this package's modules, as their defaults.
    from rest_framework.views import APIView

HEADER = "Idempotency-Key"
REPLAY = "Idempotent-Replay"

METHODS = {"POST", "PUT", "DELETE"}
VISIBLE = r"[!-~]{1,255}"

PARAMETERS = [
    OpenApiParameter(
        HEADER,
        {"type": "string", "pattern": f"^{VISIBLE}$"},
        OpenApiParameter.HEADER,
        description="The same request with the same key within 24 hours is answered as before, and not done again.",
    ),
    OpenApiParameter(
        REPLAY,
        bool,
        OpenApiParameter.HEADER,
        response=[200, 201, 204, 403, 404, 409, 422],
        description="Present and true when this is the first answer again.",
    ),
]


def takes_key(view: APIView, method: str | None) -> bool:
    """Whether requests of this method may have a key there: somebody who calls changes something."""
    return method in METHODS and bool(view.authentication_classes) and getattr(view, "takes_key", False)


def take_key(view: APIView, request: Request) -> None:
    """Have a request with a key handled once. To be asked when the request may be handled, and before it is."""
    key = request.headers.get(HEADER)
    handler = getattr(view, str(request.method).lower(), None)
    if key is None or handler is None or not takes_key(view, request.method):
        return
    if not re.fullmatch(VISIBLE, key):
        raise ValidationError({HEADER: [_("The key must be 1 to 255 visible ASCII characters, without spaces.")]})
    # A view set's handlers are attributes of each view, put there just so, and dispatch() looks for this one next.
    setattr(view, str(request.method).lower(), partial(_once, view, key, handler))


def _once(view: APIView, key: str, handler: Callable[..., Response], request: Request, **kwargs: Any) -> HttpResponse:
    def act() -> Answer:
        try:
            response = handler(request, **kwargs)
        except (DatabaseError, ScopeLacking):
            # The transaction is lost, and no answer to keep; or nothing was done, and another token may.
            raise
        except Exception as error:
            response = view.handle_exception(error)
        # What dispatch() and the middleware would do afterwards, since the answer is stored whole.
        response = view.finalize_response(request, response, **kwargs)
        if not getattr(response, "is_rendered", True):
            response = response.render()
        return Answer(response.status_code, dict(response.items()), response.content.decode())

    caller = caller_of(request)
    if isinstance(caller, CustomerToken):
        # Customers share the account that their tokens were issued by, but no keys: nobody is to be given an answer,
        # or told of a key, that is another's.
        key = hashlib.sha256(f"{caller.subject} {key}".encode()).hexdigest()
    answer, is_replay = replaying.once(act, user=caller.user, key=key, fingerprint=_fingerprint(request))
    response = HttpResponse(answer.body, status=answer.status, headers=answer.headers)
    if "Content-Type" not in answer.headers:
        del response["Content-Type"]
    if is_replay:
        response[REPLAY] = "true"
    return response


def _fingerprint(request: Request) -> str:
    """What makes two requests the same: the order of a body's keys and its white space do not, nor does the token.

    What the caller speaks for does: an account's tokens may speak for an extension or for staff, and what one of them
    may write the other may not.
    """
    extension = source(request)
    asked = [request.method, request.path, request.META.get("QUERY_STRING", ""), request.data]
    speaks_for = extension.pk if extension else None
    return hashlib.sha256(json.dumps([speaks_for, *asked], sort_keys=True).encode()).hexdigest()
