"""What an extension's secrets lack is said by the names of their variables, to whoever checks or migrates."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection

from identities.models import Extension
from tests.storefront import OLD_VARIABLE, SECRET, VARIABLE

pytestmark = pytest.mark.django_db


def found() -> list[tuple[str, str, str]]:
    """What the checks have against secrets: the extension, the id, the sentence."""
    told = run_checks(databases=["default"])
    return [(str(one.obj), one.id or "", one.msg) for one in told if (one.id or "").startswith("identities.")]


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    Extension.objects.filter(pk="shopify").update(secret_variables=[VARIABLE, OLD_VARIABLE])
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.delenv(OLD_VARIABLE, raising=False)


def test_a_variable_that_is_not_set_is_named() -> None:
    ((extension, code, sentence),) = found()

    assert (extension, code) == ("shopify", "identities.W001")
    assert OLD_VARIABLE in sentence


def test_a_secret_that_could_be_found_by_trying_is_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OLD_VARIABLE, "hush" * 3)

    ((_extension, code, sentence),) = found()

    assert code == "identities.W002"
    assert OLD_VARIABLE in sentence
    assert "hush" not in sentence


def test_whatever_is_set_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OLD_VARIABLE, "xyzzy")
    said = StringIO()

    call_command("check", databases=["default"], stdout=said, stderr=said)

    assert "identities.W002" in said.getvalue()
    assert SECRET not in said.getvalue()
    assert "xyzzy" not in said.getvalue()


def test_a_disabled_extension_and_one_that_shares_nothing_lack_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Extension.objects.filter(pk="shopify").update(enabled=False)
    assert found() == []

    Extension.objects.filter(pk="shopify").update(enabled=True, secret_variables=[])
    assert found() == []


def test_checks_without_a_database_ask_it_nothing(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        run_checks()


def test_before_the_first_migration_there_is_nothing_to_check() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE identities_extension RENAME TO not_yet")

    assert found() == []
