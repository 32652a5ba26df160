"""`manage.py check_integrity`: silent about a sound database, exact about one that somebody has broken by hand."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from profiles import integrity
from profiles.auditing import By
from profiles.models import Profile, Transaction
from tests.cast import came, known, merge
from tests.lineages import four


def check() -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    try:
        call_command("check_integrity", stdout=out, stderr=err, no_color=True)
    except CommandError as error:
        err.write(str(error))
    return out.getvalue(), err.getvalue()


def execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(sql)


def test_a_sound_database_passes(by: By, bo: Profile) -> None:
    cast = four(by)
    merge(cast["B"], cast["C"], by=by)
    merge(cast["A"], cast["B"], by=by)

    told, wrong = check()

    assert wrong == ""
    assert told.count("holds  ") == len(integrity.invariants())


BREAKS: dict[str, str] = {
    "chains_end": "UPDATE profiles_profile SET merged_into_id = '{b}' WHERE id = '{a}'",
    "merged_by_a_merge": "UPDATE profiles_profile SET merged_into_id = NULL WHERE id = '{b}'",
    "no_identity_on_a_merged_profile": "UPDATE identities_identity SET profile_id = '{b}' WHERE identifier = '2'",
    "no_transaction_on_a_merged_profile": "UPDATE profiles_transaction SET profile_id = '{b}'",
    "merges_can_be_undone": "UPDATE profiles_merge SET marks = '{{}}'",
    "fields_are_of_the_lineage": (
        """UPDATE profiles_merge SET fields = jsonb_build_object('gender', jsonb_build_object('of', '{d}'))"""
    ),
    "no_pair_twice": (
        "ALTER TABLE identities_identity DROP CONSTRAINT unique_together_handle_identifier;"
        "UPDATE identities_identity SET identifier = '1' WHERE identifier = '2'"
    ),
    "one_primary": (
        "DROP INDEX one_primary_identity_per_profile;"
        "UPDATE identities_identity SET is_primary = true WHERE identifier IN ('1', '2')"
    ),
    "shown_email_is_held": "UPDATE profiles_profile SET email = 'x@example.com' WHERE id = '{a}'",
    "shown_mobile_phone_is_held": "UPDATE profiles_profile SET mobile_phone = '+61404' WHERE id = '{a}'",
    "transaction_says_what_brought_it": "UPDATE profiles_transaction SET brought_by_handle = ''",
    "items_are_in_order": "UPDATE profiles_transactionitem SET position = position + 10",
    "pairs_follow_their_profiles": (
        "INSERT INTO profiles_duplicatepair (first_id, second_id, low_id, high_id, evidence, score, status, note,"
        " created_at, updated_at) VALUES (least('{b}'::uuid, '{d}'), greatest('{b}'::uuid, '{d}'),"
        " least('{b}'::uuid, '{d}'), greatest('{b}'::uuid, '{d}'), '{{}}', 0, 'open', '', now(), now())"
    ),
}


@pytest.mark.parametrize(("name", "sql"), BREAKS.items(), ids=BREAKS)
def test_what_breaks_an_invariant_is_named(name: str, sql: str, by: By) -> None:
    a, b = known("loyalty-card:1", by=by), known("loyalty-card:2", by=by, gender="f")
    d = known("loyalty-card:4", by=by)
    came(Transaction, "loyalty-card:1", by=by, items=["Hat", "Shoe"])
    merge(a, b, by=by)

    execute(sql.format(a=a.pk, b=b.pk, d=d.pk))

    assert name in {one.invariant.name for one in integrity.broken()}
    told, wrong = check()
    assert f"[{name}]" in told
    assert "invariants are broken" in wrong


def test_every_invariant_has_a_name_of_its_own() -> None:
    names = [one.name for one in integrity.invariants()]

    assert len(set(names)) == len(names)
