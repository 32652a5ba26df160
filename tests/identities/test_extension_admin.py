from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from identities.models import ApiToken, Extension
from profiles.models import Audit
from tests.staff import filled, issued, member, read, submit, user_of

ADD = "/admin/identities/extension/add/"


def page(extension: Extension, name: str = "change") -> str:
    return reverse(f"admin:identities_extension_{name}", args=[extension.pk])


@pytest.fixture
def keeper(db: None) -> Client:
    return member("Admin")


def test_an_extension_is_added_with_an_account_that_nobody_signs_in_as(keeper):
    response = submit(keeper, ADD, slug="loyalty-app", name="Loyalty app", secret_variables="APP_SECRET\r\n")

    assert response.status_code == 302
    extension = Extension.objects.get(pk="loyalty-app")
    account = extension.service_account
    assert extension.secret_variables == ["APP_SECRET"]
    assert (account.username, account.is_staff, account.has_usable_password()) == (
        "extension-loyalty-app",
        False,
        False,
    )
    assert Audit.objects.get(auditable_type="extension").by == user_of(keeper)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"slug": "Loyalty App", "name": "x"}, "Use lower-case letters"),
        ({"slug": "klaviyo", "name": "x"}, "Extension with this Slug already exists."),
        ({"slug": "taken", "name": "x"}, "A user named extension-taken is in the way"),
        ({"slug": "new", "name": ""}, "This field is required."),
        ({"slug": "new", "name": "x", "secret_variables": "y" * 129}, "at most"),
        ({"slug": "a\0", "name": "x"}, "Null characters are not allowed."),
    ],
)
def test_bad_input_adds_neither_extension_nor_account(keeper, data, sentence):
    User.objects.create_user("extension-taken")
    extensions, users = Extension.objects.count(), User.objects.count()

    response = submit(keeper, ADD, **data)

    assert sentence in read(response)
    assert (Extension.objects.count(), User.objects.count()) == (extensions, users)


def test_an_extension_is_switched_off_with_an_audit(keeper, klaviyo):
    submit(keeper, page(klaviyo), enabled=None, slug="other")

    klaviyo.refresh_from_db()
    assert klaviyo.enabled is False
    assert Audit.objects.get().new_values == {"enabled": False}


def test_the_page_names_its_handles_and_tokens(keeper, klaviyo):
    ApiToken.issue(user=klaviyo.service_account, name="Nightly", scopes=[], extension=klaviyo)

    text = read(keeper.get(page(klaviyo)))

    assert "Reserved handles: klaviyo" in text
    assert re.search(r"Nightly [0-9a-f]{16} current", text)


def test_a_token_is_issued_and_shown_once(keeper, klaviyo):
    url = page(klaviyo, "issue_token")

    response = keeper.post(url, {"name": "Nightly", "scopes": ["read-profiles", "create-identities"]})

    token, plain = issued(response)
    assert (token.name, token.extension, token.user) == ("Nightly", klaviyo, klaviyo.service_account)
    assert token.scopes == ["read-profiles", "create-identities"]
    assert "no-store" in response["Cache-Control"]
    secret = plain.rpartition("_")[2]
    assert secret not in str(dict(keeper.session.items())) + str(keeper.cookies)
    for later in (page(klaviyo), url, reverse("admin:identities_apitoken_change", args=[token.pk])):
        assert secret not in keeper.get(later).content.decode()
    audit = Audit.objects.get(event="created")
    assert (audit.by, audit.auditable_key) == (user_of(keeper), str(token.pk))
    assert secret not in str(audit.new_values)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"name": "", "scopes": ["read-profiles"]}, "This field is required."),
        ({"name": "x", "scopes": []}, "This field is required."),
        ({"name": "x", "scopes": ["everything"]}, "Select a valid choice."),
        ({"name": "x", "scopes": ["read-profiles"], "expires_at_0": "2020-01-01", "expires_at_1": "0:00"}, "the past"),
        (
            {"name": "x", "scopes": ["read-profiles"], "expires_at_0": "soon"},
            "Enter a valid date.",
        ),
        ({"name": "x\0", "scopes": ["read-profiles"]}, "Null characters are not allowed."),
    ],
)
def test_bad_input_issues_no_token(keeper, klaviyo, data, sentence):
    assert sentence in read(keeper.post(page(klaviyo, "issue_token"), data))
    assert not ApiToken.objects.exists()


def test_issuing_demands_the_permission_of_tokens(klaviyo):
    editor = member("Editor")
    url = page(klaviyo, "issue_token")

    assert url not in editor.get(page(klaviyo)).content.decode()
    assert editor.get(url).status_code == 403
    assert editor.post(url, {"name": "x", "scopes": ["read-profiles"]}).status_code == 403
    assert not ApiToken.objects.exists()


def test_no_extension_is_deleted(admin_client, klaviyo):
    assert admin_client.post(page(klaviyo, "delete"), {"post": "yes"}).status_code == 403


def test_every_scope_has_a_box(keeper, klaviyo):
    response = keeper.get(page(klaviyo, "issue_token"))

    assert response.content.decode().count('type="checkbox" name="scopes"') > 30
    assert "name" in filled(keeper, page(klaviyo, "issue_token"))
