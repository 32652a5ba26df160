"""What every test may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.conf import settings

from omneo_identity import database


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> Iterator[None]:
    """Without a DATABASE_URL the tests run on a throwaway server, which is up only when a test asks for it."""
    if not settings.EMBEDDED:
        yield
        return
    with database.throwaway():
        yield
