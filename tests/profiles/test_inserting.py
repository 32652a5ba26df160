"""Rows inserted by one statement are the rows that Django would have saved."""

from __future__ import annotations

import datetime
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.db import DataError, connection, models, transaction
from django.utils.translation import gettext_lazy

from identities.models import Identity
from profiles.inserting import insert, insert_with, unsaved
from profiles.models import Audit, Interaction, Point, Profile, Reward, Transaction, TransactionItem
from tests.cast import FIELDS, NOON

pytestmark = pytest.mark.django_db

ODD = 'O\'Brien, "Ada" {x} \\ %s é 👩‍👩‍👧 \n\t'
MOMENT = NOON.replace(microsecond=123_456)
FREE: dict[str, Any] = {
    "big": 2**70,
    "float": 0.1,
    "exponent": 1e300,
    "text": ODD,
    "none": None,
    "deep": [[{"yes": True, "no": False, "zero": 0}]],
    "when": MOMENT,
    "day": datetime.date(2026, 11, 25),
    "amount": Decimal("1.50"),
    "id": uuid.UUID(int=7),
    "sentence": gettext_lazy("yes"),
}


def rows(ada: Profile, by: Any) -> list[models.Model]:
    return [
        Transaction(**FIELDS[Transaction]),
        Transaction(
            profile=ada, external_id=ODD, total=Decimal("-12345678901.123456"), total_original=Decimal(0),
            is_void=True, transacted_at=MOMENT, timezone="UTC", location_id=ODD, staff_id=2**70, systems=[1, "a"],
            payments=[FREE], tags=[ODD], meta=FREE, pairs=[{"handle": ODD, "identifier": ""}],
            decided_by=Transaction.DecidedBy.IDENTITY, addressed=ada.pk, brought_by_key=2**40, created_at=MOMENT,
        ),
        Interaction(**FIELDS[Interaction], profile=ada, url=ODD, meta=FREE),
        Point(**FIELDS[Point], profile=ada, definition_id=1, meta={"big": 2**70}),
        Reward(**FIELDS[Reward], profile=ada, expires_at=MOMENT),
        Profile(first_name=ODD, tags=["vip", ODD], attributes={"comms": {"email": True}}, birth_day=1, joined_at=MOMENT),
        Identity(profile=ada, handle_id="pos", identifier=ODD, addressed=ada.pk),
        Audit(by=by.user, event="created", auditable_type="profile", auditable_key="1", old_values=FREE, new_values={}),
    ]  # fmt: skip


def stored(row: models.Model) -> dict[str, Any]:
    """The row as text, column by column, as the database would write it out, without its key."""
    table, key = row._meta.db_table, row._meta.pk.column
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT to_jsonb(one) - 'id' FROM {table} AS one WHERE {key} = %s", [row.pk])
        ((text,),) = cursor.fetchall()
    return {"text": text}


@pytest.mark.parametrize("number", range(8))
def test_a_row_is_stored_as_django_would_store_it(ada, by, number) -> None:
    row = rows(ada, by)[number]
    if isinstance(row, Identity):
        row.created_at = row.updated_at = NOON
    copy = type(row)(**{field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields})
    if isinstance(copy, Profile):
        copy.pk, row.first_name_fold = uuid.uuid4(), 'o\'brien, "ada" {x} \\ %s é 👩‍👩‍👧'

    insert([row])
    assert row.pk is not None
    inserted = stored(row)
    if isinstance(row, Identity | Transaction):
        row.delete()  # They are unique.
    copy.save(force_insert=True)

    assert inserted == stored(copy)


def test_rows_get_their_keys_in_their_order(ada) -> None:
    made = [Identity(profile=ada, handle_id="pos", identifier=str(number)) for number in range(50)]

    insert(made)

    keys = [row.pk for row in made]
    assert keys == sorted(keys)
    assert [Identity.objects.get(pk=row.pk).identifier for row in made] == [row.identifier for row in made]


def test_keys_follow_the_rows_in_whatever_order_these_are_written(ada) -> None:
    made = [Identity(profile=ada, handle_id="pos", identifier=str(number)) for number in range(20)]

    insert(made, places=[number * 7 % 20 for number in range(20)])

    keys = [row.pk for row in made]
    assert keys == sorted(keys)
    assert [Identity.objects.get(pk=row.pk).identifier for row in made] == [row.identifier for row in made]


def test_no_rows_are_no_statement(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        insert([])


def test_a_text_that_is_too_long_is_refused_and_not_cut(ada) -> None:
    with pytest.raises(DataError), transaction.atomic():
        insert([Identity(profile=ada, handle_id="pos", identifier="x" * 256)])


def test_parts_get_the_key_of_the_row_that_they_belong_to(ada, by, django_assert_num_queries) -> None:
    row = Transaction(**FIELDS[Transaction], profile=ada)
    items = [
        TransactionItem(position=number, name=f"{number}", quantity=1, price_current=1, price_sell=1)
        for number in range(3)
    ]
    entry = Audit(by=by.user, event="created", auditable_type="transaction", auditable_key="None")

    with django_assert_num_queries(1):
        assert insert_with(row, {"transaction_id": items, "auditable_key": [entry]})

    assert [item.name for item in row.items.order_by("position")] == ["0", "1", "2"]
    assert Audit.objects.get().auditable_key == str(row.pk)


def test_nothing_is_inserted_of_a_row_that_is_there_already(ada, by) -> None:
    assert insert_with(Transaction(**FIELDS[Transaction], external_id="T7"), {}) == (True, None)
    row = Transaction(**FIELDS[Transaction], external_id="T7")
    entry = Audit(by=by.user, event="created", auditable_type="transaction", auditable_key="None")

    is_new, _answer = insert_with(row, {"auditable_key": [entry]})

    assert not is_new
    assert (Transaction.objects.count(), Audit.objects.count()) == (1, 0)


@pytest.mark.parametrize("model", [Identity, Audit, Profile, Transaction])
def test_an_unsaved_row_is_what_the_model_makes_of_the_same_values(model) -> None:
    values: dict[str, Any] = {"profile_id": uuid.UUID(int=7)} if model is not Profile else {"first_name": ODD}

    made, expected = unsaved(model, **values), model(**values)

    times = ("id", "created_at", "updated_at", "joined_at")
    columns, expected_columns = (
        {name: value for name, value in vars(row).items() if name not in ("_state", *times)}
        for row in (made, expected)
    )
    assert columns == expected_columns
    assert vars(made).keys() == vars(expected).keys()
    assert {type(getattr(made, name)) for name in times if hasattr(made, name)} == {
        type(getattr(expected, name)) for name in times if hasattr(expected, name)
    }
    assert (made._state.adding, made._state.db) == (expected._state.adding, expected._state.db)
    assert unsaved(model)._state is not made._state


def test_what_unsaved_rows_start_with_is_each_ones_own() -> None:
    first, second = unsaved(Audit), unsaved(Audit)

    first.new_values["handle"] = "pos"

    assert second.new_values == {}
