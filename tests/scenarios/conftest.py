"""The callers and the cast of the API's tests: a scenario is told over HTTP, as its systems would."""

from __future__ import annotations

from tests.api.conftest import ada, api, bo, caller, shopify

__all__ = ["ada", "api", "bo", "caller", "shopify"]
