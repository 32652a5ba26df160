"""What a browser may do with an answer: the Content-Security-Policy of pages, and the one of all else."""

from __future__ import annotations

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponseBase

NOTHING = "default-src 'none'; frame-ancestors 'none'"


class PolicyMiddleware(CSPMiddleware):
    """Send the policy of the settings with a page, and with JSON, which is no page, one that allows nothing.

    Stands before whatever may answer in a view's stead. The header of JSON is a constant because the API's hot path
    passes here, and building a policy takes as long as a look-up's Python.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if response.headers.get("Content-Type") == "application/json":
            response.headers[HEADER] = NOTHING
            return response
        return super().process_response(request, response)
