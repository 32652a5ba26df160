"""What every test may use."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db import connection, transaction
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from identities.models import Extension
from omneo_identity import database
from profiles import integrity
from profiles.auditing import By
from profiles.models import Profile
from tests.cast import everything_of, route

# What a shell starts in the background ignores SIGINT, and so would the commands whose Ctrl-C is tested.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Bytes of a table that are deleted row by row.
MOST_DELETED = 128 * 1024


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> Iterator[None]:
    """Without a DATABASE_URL the tests run on a throwaway server, which is up only when a test asks for it."""
    if not settings.EMBEDDED:
        yield
        return
    with database.throwaway():
        yield


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Keep a copy of what the migrations put into the database, for `restore`; check what is left at the end."""
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA pristine")
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT EXISTS (TABLE {table})")
            if cursor.fetchone()[0]:
                cursor.execute(f"CREATE TABLE pristine.{table} AS TABLE {table}")
    yield
    with django_db_blocker.unblock():
        call_command("check_integrity", verbosity=0)
        connection.close()


def put_back() -> None:
    """Leave the catalogue, the groups and all else as the migrations made it.

    Most tests leave a few rows in a few tables, which are deleted one by one: to empty all tables, with their hundreds
    of indexes, takes longer than most of those tests. What many rows have left that were rolled back, goes too: the
    planner goes by the size of a table.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'pristine'")
        filled = {name for (name,) in cursor.fetchall()}

        def differs(table: str) -> str:
            if table not in filled:
                return f"EXISTS (TABLE {table})"
            return (
                f"EXISTS (TABLE {table} EXCEPT TABLE pristine.{table})"
                f" OR EXISTS (TABLE pristine.{table} EXCEPT TABLE {table})"
            )

        cursor.execute(
            " UNION ALL ".join(
                f"""
                SELECT '{one}', pg_relation_size('{one}')
                WHERE {differs(one)} OR pg_relation_size('{one}') > {MOST_DELETED}
                """
                for one in tables
            )
        )
        sizes = dict(cursor.fetchall())
        if max(sizes.values(), default=0) > MOST_DELETED:
            cursor.execute(f"TRUNCATE {', '.join(tables)}")
            sizes = dict.fromkeys(tables, 0)
        for table in sizes:
            cursor.execute(f"DELETE FROM {table}")
        for table in filled & sizes.keys():
            # The queue's tables count their rows themselves, and take no number from elsewhere unless told to.
            cursor.execute(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM pristine.{table}")


def check_and_put_back() -> None:
    """Whatever a test that commits was about, it must leave a database in which all holds that should."""
    try:
        assert [(one.invariant.name, one.rows) for one in integrity.broken()] == []
    finally:
        put_back()


@pytest.fixture(scope="session", autouse=True)
def restore() -> Iterator[None]:
    """Put everything back after a test that commits.

    Django would empty every table, and the tests that come after would find no handle.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TransactionTestCase, "_fixture_teardown", lambda _self: check_and_put_back())
        yield


@pytest.fixture(scope="module")
def kept(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """What fixtures of a module write stays for all its tests, of which each takes back only what it does itself."""
    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture
def reader(db: None) -> User:
    """A member of staff who may look at everything and change nothing."""
    reader = User.objects.create_user("reader", is_staff=True)
    reader.groups.add(Group.objects.get(name="Reader"))
    return reader


@pytest.fixture
def operator(db: None) -> User:
    """A member of staff who edits profiles and identities."""
    operator = User.objects.create_user("operator", is_staff=True)
    operator.groups.add(Group.objects.get(name="Editor"))
    return operator


@pytest.fixture
def by(operator: User) -> By:
    return By(operator)


@pytest.fixture
def ada(db: None) -> Profile:
    return Profile.objects.create(first_name="Ada", last_name="Lovelace")


@pytest.fixture
def ada_again(db: None) -> Profile:
    """The same person as Ada, known a second time."""
    return Profile.objects.create(first_name="Augusta Ada", last_name="King")


@pytest.fixture
def bo(by: By) -> Iterator[Profile]:
    """Somebody else, with a loyalty card, an e-mail address and a number; nothing a test does may change Bo."""
    contact = {"email": "bo@example.com", "mobile_phone": "+61404999999"}
    bo = route("loyalty-card:bo", by=by, contact=contact, first_name="Bo", last_name="Diddley").profile
    before = everything_of(bo)
    yield bo
    assert everything_of(bo) == before


@pytest.fixture
def shopify(db: None) -> Extension:
    return Extension.objects.get(slug="shopify")


@pytest.fixture
def klaviyo(db: None) -> Extension:
    return Extension.objects.get(slug="klaviyo")
