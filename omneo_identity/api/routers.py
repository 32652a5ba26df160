"""URLs of the API: without a trailing slash, which SlashMiddleware has taken off by then."""

from __future__ import annotations

from collections.abc import Mapping

from django.urls import URLPattern, path, register_converter
from django.urls.converters import PathConverter
from rest_framework.routers import SimpleRouter
from rest_framework.viewsets import ViewSetMixin


class IdentifierConverter(PathConverter):
    """The rest of the path, a line break too, so that the view can refuse it."""

    regex = "(?s:.+)"


register_converter(IdentifierConverter, "identifier")


class Router(SimpleRouter):
    """The usual routes of a view set, with path converters in place of regular expressions."""

    def __init__(self) -> None:
        super().__init__(trailing_slash=False, use_regex_path=False)


def paths(viewset: type[ViewSetMixin], basename: str, routes: Mapping[str, Mapping[str, str]]) -> list[URLPattern]:
    """Declare routes one by one: `{"identities/search": {"get": "search"}}`, named `basename-search`.

    Put fixed paths before those with a variable in the same place.
    """
    return [
        path(
            route, viewset.as_view(dict(actions), basename=basename), name=f"{basename}-{next(iter(actions.values()))}"
        )
        for route, actions in routes.items()
    ]
