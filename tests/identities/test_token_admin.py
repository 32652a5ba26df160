from __future__ import annotations

import datetime
import re

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from identities.models import ApiToken
from profiles.models import Audit
from tests.staff import issued, member, read, rows, user_of

LIST = "/admin/identities/apitoken/"
ADD = "/admin/identities/apitoken/add/"


def page(token: ApiToken, name: str = "change") -> str:
    return reverse(f"admin:identities_apitoken_{name}", args=[token.pk])


@pytest.fixture
def keeper(db: None) -> Client:
    return member("Admin")


@pytest.fixture
def token(keeper: Client) -> ApiToken:
    token, _plain = ApiToken.issue(user=user_of(keeper), name="Mine", scopes=["read-profiles"])
    return token


def test_staff_issue_a_token_for_themselves(keeper):
    response = keeper.post(
        ADD, {"name": "Report", "scopes": ["read-profiles"], "expires_at_0": "2999-12-31", "expires_at_1": "12:00"}
    )

    token, _plain = issued(response)
    assert (token.user, token.extension, token.scopes) == (user_of(keeper), None, ["read-profiles"])
    assert token.expires_at == datetime.datetime(2999, 12, 31, 12, tzinfo=datetime.UTC)
    assert "no-store" in response["Cache-Control"]


def test_a_token_is_revoked_after_a_question_and_refused_from_then_on(keeper, token):
    asked = read(keeper.get(page(token, "revoke")))
    told = read(keeper.post(page(token, "revoke"), follow=True))

    assert "Revoke Mine?" in asked
    assert "Mine was revoked." in told
    token.refresh_from_db()
    assert token.revoked_at is not None
    assert Audit.objects.get(event="revoked").by == user_of(keeper)


def test_a_revoked_token_stays_revoked_since_then(keeper, token):
    token.revoke()
    before = ApiToken.objects.values().get()

    response = keeper.post(page(token, "revoke"))

    assert "This token was revoked already." in read(response)
    assert ApiToken.objects.values().get() == before
    assert not Audit.objects.exists()


def test_the_list_says_which_tokens_are_current(keeper, token, klaviyo):
    yesterday = timezone.now() - datetime.timedelta(days=1)
    ApiToken.issue(user=klaviyo.service_account, name="Old", scopes=[], extension=klaviyo, expires_at=yesterday)
    ApiToken.issue(user=klaviyo.service_account, name="Gone", scopes=[], extension=klaviyo)[0].revoke()

    found = rows(keeper.get(LIST))

    assert [re.findall(r"current|expired|revoked", row) for row in found] == [["revoked"], ["expired"], ["current"]]
    for state in ("current", "expired", "revoked"):
        assert len(rows(keeper.get(LIST, {"state": state}))) == 1
    assert len(rows(keeper.get(LIST, {"extension__slug__exact": "klaviyo"}))) == 2
    assert len(rows(keeper.get(LIST, {"q": token.key}))) == 1


def test_a_token_is_never_edited_or_deleted(admin_client, token):
    response = admin_client.get(page(token))

    assert "Save" not in read(response)
    assert token.digest not in response.content.decode()
    assert admin_client.post(page(token), {"scopes": "x"}).status_code == 403
    assert admin_client.post(page(token, "delete"), {"post": "yes"}).status_code == 403


def test_readers_and_editors_only_look(token):
    for group in ("Reader", "Editor"):
        client = member(group)
        assert client.get(page(token)).status_code == 200
        assert client.get(ADD).status_code == 403
        assert client.post(ADD, {"name": "x", "scopes": ["read-profiles"]}).status_code == 403
        assert client.post(page(token, "revoke")).status_code == 403
    token.refresh_from_db()
    assert token.revoked_at is None
