"""A process believes in a token for some seconds without asking (API.md 6), and never for longer."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from identities import authenticating, issuing
from identities.models import ApiToken, Extension
from profiles.auditing import By

LIFE = 5

pytestmark = pytest.mark.django_db


@pytest.fixture
def clock(monkeypatch, settings) -> Iterator[list[float]]:
    """The seconds of the process's clock; tokens are believed for LIFE of them."""
    now = [1_000.0]
    settings.TOKEN_CACHE_SECONDS = LIFE
    monkeypatch.setattr("identities.authenticating.time.monotonic", lambda: now[0])
    authenticating._remembered.clear()
    yield now
    authenticating._remembered.clear()


@pytest.fixture
def issued(operator: User) -> tuple[ApiToken, str]:
    token, plain = ApiToken.issue(user=operator, name="Till", scopes=["read-profiles"])
    return token, plain


def test_a_warm_process_asks_the_database_nothing(clock, issued, django_assert_num_queries) -> None:
    token, plain = issued
    assert authenticating.authenticate(plain) == token
    clock[0] += LIFE - 0.1

    with django_assert_num_queries(0):
        assert authenticating.authenticate(plain) == token


def test_a_warm_process_asks_the_database_nothing_but_what_is_looked_up(api, ada, clock, django_assert_num_queries):
    api.get("/auth/verify")

    with django_assert_num_queries(1):
        assert api.get("/identities/search?handle=loyalty-card&identifier=1804974").status_code == 200


def test_a_revoked_token_stops_when_its_life_is_over(clock, issued) -> None:
    token, plain = issued
    authenticating.authenticate(plain)
    ApiToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())  # By another process.

    clock[0] += LIFE - 0.1
    assert authenticating.authenticate(plain) == token
    clock[0] += 0.1
    assert authenticating.authenticate(plain) is None
    clock[0] -= LIFE
    assert authenticating.authenticate(plain) is None, "what was refused is not remembered as good"


def test_asking_often_does_not_lengthen_a_tokens_life(clock, issued) -> None:
    token, plain = issued
    authenticating.authenticate(plain)
    ApiToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())

    for _second in range(LIFE):
        authenticating.authenticate(plain)
        clock[0] += 1

    assert authenticating.authenticate(plain) is None


@pytest.mark.parametrize("owner", ["account", "extension"])
def test_a_token_stops_when_its_owner_is_no_longer_welcome(clock, owner) -> None:
    shopify = Extension.objects.get(slug="shopify")
    _token, plain = ApiToken.issue(user=shopify.service_account, name="Shop", scopes=[], extension=shopify)
    authenticating.authenticate(plain)
    if owner == "account":
        User.objects.filter(pk=shopify.service_account.pk).update(is_active=False)
    else:
        Extension.objects.filter(pk=shopify.pk).update(enabled=False)

    clock[0] += LIFE

    assert authenticating.authenticate(plain) is None


def test_the_process_that_revokes_a_token_believes_in_it_no_longer(
    clock, issued, by, django_capture_on_commit_callbacks
) -> None:
    token, plain = issued
    authenticating.authenticate(plain)

    with django_capture_on_commit_callbacks(execute=True):
        issuing.revoke(token, by=by)

    assert authenticating.authenticate(plain) is None


def test_a_tokens_end_is_kept_to_the_moment(clock, issued, monkeypatch) -> None:
    token, plain = issued
    end = timezone.now() + datetime.timedelta(seconds=1)
    ApiToken.objects.filter(pk=token.pk).update(expires_at=end)
    assert authenticating.authenticate(plain) == token

    monkeypatch.setattr("identities.authenticating.timezone.now", lambda: end)

    assert authenticating.authenticate(plain) is None


def test_a_token_with_another_secret_is_never_taken_for_a_known_one(clock, issued) -> None:
    _token, plain = issued
    authenticating.authenticate(plain)

    assert authenticating.authenticate(plain[:-1] + ("0" if plain[-1] != "0" else "1")) is None


def test_only_so_many_tokens_are_remembered(clock, operator, monkeypatch) -> None:
    monkeypatch.setattr(authenticating, "MOST_REMEMBERED", 3)

    for number in range(5):
        _token, plain = ApiToken.issue(user=operator, name=str(number), scopes=[])
        authenticating.authenticate(plain)

    assert [token.name for token, _until in authenticating._remembered.values()] == ["2", "3", "4"]


PROCESS = """
import sys
import django
from django.conf import settings
settings.DATABASES["default"].update(NAME=sys.argv[2], HOST=sys.argv[3])
django.setup()
from identities import authenticating
for _line in sys.stdin:
    print(authenticating.authenticate(sys.argv[1]), flush=True)
"""


@pytest.mark.django_db(transaction=True)
def test_a_revoked_token_stops_on_every_process(operator, by) -> None:
    token, plain = ApiToken.issue(user=operator, name="Till", scopes=[])
    database = connection.settings_dict
    environment = {**os.environ, "TOKEN_CACHE_SECONDS": "1", "DJANGO_SETTINGS_MODULE": "omneo_identity.settings"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, plain, database["NAME"], database["HOST"]],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _process in range(2)
    ]

    def asked(process: subprocess.Popen[str]) -> str:
        assert process.stdin is not None and process.stdout is not None
        print(file=process.stdin, flush=True)
        return process.stdout.readline().strip()

    assert [asked(process) for process in processes] == ["Till", "Till"]
    issuing.revoke(token, by=By(operator))

    for process in processes:
        while (answer := asked(process)) == "Till":
            pass
        assert answer == "None"
        process.communicate()
        assert process.returncode == 0
