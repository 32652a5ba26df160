"""The application for a WSGI server."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from omneo_identity.api.middleware import without_charset

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omneo_identity.settings")

django_application = get_wsgi_application()

# Only now, since the routes know all models.
from omneo_identity.api.quick import quickly  # noqa: E402
from omneo_identity.urls import QUICK  # noqa: E402

application = quickly(without_charset(django_application), QUICK)
