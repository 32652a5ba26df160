"""Statements that stay prepared, and connections that are lost between two of them."""

from __future__ import annotations

import tracemalloc

import pytest
from django.db import DataError, OperationalError, connection, transaction

from identities import lookup
from profiles import reading
from profiles.models import Profile
from tests.cast import known
from tests.killing import lose_the_connection

pytestmark = pytest.mark.django_db(transaction=True)

MEGABYTE = "x" * 1_000_000

PLANS = "SELECT name, statement, generic_plans, custom_plans FROM pg_prepared_statements WHERE statement LIKE %s"


@pytest.fixture
def own_connection():
    """A connection on which nothing is prepared yet."""
    connection.close()
    yield
    connection.close()


def prepared(part: str) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(PLANS, [f"%{part}%"])
        return list(cursor.fetchall())


def test_a_look_up_is_planned_once_and_not_for_each_call(by, own_connection) -> None:
    known("loyalty-card:1804974", by=by)

    for _call in range(20):
        lookup.search("loyalty-card", "1804974")

    ((_name, _statement, generic, custom),) = prepared("'profile'")
    assert (generic, custom) == (20, 0)


def test_with_prepare_off_nothing_is_prepared(by, own_connection, settings) -> None:
    settings.PREPARE = False
    known("loyalty-card:1804974", by=by)

    for _call in range(20):
        assert lookup.search("loyalty-card", "1804974")

    assert prepared("") == []


def test_what_others_have_sent_is_not_kept(own_connection) -> None:
    """The driver would keep the last hundred texts of each connection, with all the values in them."""
    reading.rows("SELECT 1", [])
    tracemalloc.start()
    try:
        for number in range(20):
            with connection.cursor() as cursor:
                cursor.execute("SELECT %s", [str(number) + MEGABYTE])
                cursor.fetchall()
            reading.rows("SELECT 1", [])
        kept, _most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 5 * len(MEGABYTE)
    assert len(prepared("SELECT 1")) == 1


def test_a_lost_connection_is_made_anew_and_asked_again(by) -> None:
    ada = known("loyalty-card:1804974", by=by)
    lose_the_connection()

    assert lookup.resolve([("loyalty-card", "1804974")]) == [ada.pk]


def test_within_a_transaction_a_lost_connection_is_an_error(by) -> None:
    """What was written before on the old one is gone."""
    with pytest.raises(OperationalError), transaction.atomic():
        Profile.objects.create()
        lose_the_connection()
        reading.rows("SELECT 1", [])


def test_an_error_of_the_statement_itself_is_not_asked_again(monkeypatch) -> None:
    asked = []
    plain = reading.once

    def note(sql, parameters):
        asked.append(sql)
        return plain(sql, parameters)

    monkeypatch.setattr(reading, "once", note)
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '50ms'")
    try:
        with pytest.raises(OperationalError):
            reading.rows("SELECT pg_sleep(10)", [])
    finally:
        connection.close()

    assert len(asked) == 1


@pytest.mark.parametrize("more", [[], [None]])
def test_an_array_is_read_as_it_was_given(more) -> None:
    values = ["", " ", "NULL", 'a"b', "a\\b", "{a,b}", "a,b", '","', "é👩\n\t", "%s", "'", 7, *more]

    ((answer,),) = reading.rows("SELECT %s::text[]", [values])

    assert answer == [None if value is None else str(value) for value in values]


@pytest.mark.parametrize("values", [[""], ["", ""], ["a"]])
def test_an_array_of_few_is_read_as_it_was_given(values) -> None:
    assert reading.rows("SELECT %s::text[]", [values]) == [(values,)]


def test_a_character_that_the_database_cannot_have_parts_no_value() -> None:
    with pytest.raises(DataError):
        reading.rows("SELECT %s::text[]", [["a\0b", "c"]])


def test_an_empty_array_is_read_as_empty() -> None:
    assert reading.rows("SELECT %s::uuid[]", [[]]) == [([],)]


def test_instances_are_what_the_orm_gives(by) -> None:
    ada = known("loyalty-card:1804974", by=by)
    Profile.objects.filter(pk=ada.pk).update(tags=["vip"], attributes={"comms": {"email": True}}, birth_day=1)
    orm = Profile.objects.get(pk=ada.pk)

    (row,) = reading.instances(Profile, f"SELECT {reading.columns(Profile)} FROM profiles_profile", [])

    names = [field.attname for field in Profile._meta.concrete_fields]
    assert [getattr(row, name) for name in names] == [getattr(orm, name) for name in names]
    assert (row, row._state.adding, row._state.db) == (orm, False, "default")
    row.first_name = "Augusta"
    row.save()
    assert Profile.objects.get().first_name == "Augusta"
