"""The application for a WSGI server."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

from omneo_identity.api.middleware import without_charset

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omneo_identity.settings")

application = without_charset(get_wsgi_application())
