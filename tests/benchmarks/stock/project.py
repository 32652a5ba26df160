"""What people would write instead, by the book: a project with an empty view, and model view sets over our tables.

Django's default settings but for the database, which is connected to once per thread; no middleware and no
authentication, so that what is measured against it does more in each request.
"""

from __future__ import annotations

import os
from typing import Any

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from omneo_identity import database

settings.configure(
    SECRET_KEY="stock-" + "0123456789" * 5,
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=[
        "profiles.apps.ProfilesConfig",
        "identities.apps.IdentitiesConfig",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.admin",
        "django.contrib.messages",
        "procrastinate.contrib.django",
        "rest_framework",
        "django_filters",
    ],
    DATABASES={"default": {**database.configuration(os.environ["DATABASE_URL"]), "CONN_MAX_AGE": None}},
    REST_FRAMEWORK={
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
        "UNAUTHENTICATED_USER": None,
    },
    USE_TZ=True,
    PREPARE=False,
    SILENCED_SYSTEM_CHECKS=["admin"],
    POINT_VALUE="0.01",
    PHONE_REGION="AU",
    HANDLE_POLICY="open",
    LOGGING_CONFIG=None,
)


def empty(request: HttpRequest) -> HttpResponse:
    return HttpResponse("{}", content_type="application/json")


def urls() -> list[Any]:
    from rest_framework.routers import SimpleRouter

    from tests.benchmarks.stock import views

    router = SimpleRouter()
    router.register("identities", views.IdentityViewSet)
    router.register("profiles", views.ProfileViewSet)
    return [path("empty", empty), path("", include(router.urls))]


django.setup()
urlpatterns = urls()
application = get_wsgi_application()
