from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command

from identities.models import ApiToken, Extension
from omneo_identity.api.auth import SCOPES
from profiles.models import Audit

pytestmark = pytest.mark.django_db


def issued(capsys, *arguments: str) -> str:
    call_command("issue_token", *arguments)
    return str(capsys.readouterr().out)


def test_a_token_stands_alone_on_standard_output_and_works(capsys, client):
    printed = issued(capsys, "--name", "Till", "--scope", "read-profiles", "--scope", "read-identities")

    token = ApiToken.objects.get()
    assert printed == printed.strip() + "\n"
    assert token.scopes == ["read-profiles", "read-identities"]
    assert token.extension is None
    assert not token.user.has_usable_password()
    assert token.digest not in printed
    headers = {"Authorization": f"Bearer {printed.strip()}"}
    assert client.get("/api/v3/auth/verify", headers=headers).status_code == 200
    audit = Audit.objects.get(event="created", auditable_type="api_token")
    assert audit.new_values["scopes"] == ["read-profiles", "read-identities"]


def test_scopes_may_follow_each_other_or_stand_for_themselves(capsys):
    issued(capsys, "--name", "Till", "--scope", "read-profiles", "read-identities", "--scope", "read-handles")

    assert ApiToken.objects.get().scopes == ["read-profiles", "read-identities", "read-handles"]


def test_an_extensions_token_speaks_for_the_extension(capsys):
    issued(capsys, "--name", "Shop", "--extension", "shopify", "--all-scopes")

    token = ApiToken.objects.get()
    assert token.extension_id == "shopify"
    assert token.user == Extension.objects.get(pk="shopify").service_account
    assert token.scopes == list(SCOPES)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--name", "x", "--extension", "shopfy"], "There is no extension shopfy. Known are: "),
        (["--name", "x", "--scope", "read-everything"], "There is no scope read-everything. Known are: "),
        (["--scope", "read-profiles"], "--name"),
        (["--name", "x", "--scope", "read-profiles", "--all-scopes"], "not allowed with"),
    ],
)
def test_what_is_not_known_is_refused_in_words_and_makes_no_token(arguments, sentence):
    with pytest.raises(CommandError, match=sentence):
        call_command("issue_token", *arguments)

    assert not ApiToken.objects.exists()
