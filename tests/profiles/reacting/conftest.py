"""Somebody who listens, and a client of the API to compare with."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from identities.models import ApiToken
from omneo_identity.api.auth import SCOPES
from profiles import events
from profiles.auditing import By
from profiles.models import Webhook


@pytest.fixture
def everybody_listens(by: By) -> None:
    for trigger in events.KNOWN:
        Webhook.objects.create(trigger=trigger, url="https://example.com/", user=by.user)


@pytest.fixture
def shown(by: By) -> Any:
    """What a GET of the API has in `data`."""
    _token, plain = ApiToken.issue(user=by.user, name="reader", scopes=SCOPES)
    client = Client(headers={"Authorization": f"Bearer {plain}"})

    def get(path: str) -> Any:
        response = client.get(f"/api/v3{path}")
        assert response.status_code == 200, response.content
        return response.json()["data"]

    return get
