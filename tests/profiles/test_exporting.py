"""Everything that is held about a person, in one document: all of theirs, and nothing of anybody else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.admin.models import CHANGE, DELETION, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.db.models import Q
from django.test import Client
from django.test.utils import CaptureQueriesContext

from identities import adding, moving, moving_records, releasing, routing, tokens
from identities.models import ApiToken, Handle, Identity, RoutingLogEntry
from profiles import exporting
from profiles.auditing import By
from profiles.events import KNOWN
from profiles.exporting.sections import TECHNICAL, sections
from profiles.merging import splitting
from profiles.models import (
    RECORDS,
    Audit,
    CustomAttribute,
    Event,
    Interaction,
    Move,
    Profile,
    ProfileBatch,
    ProfileBatchRow,
    Transaction,
    Webhook,
)
from profiles.models.policy import references_to
from profiles.reacting import taking_up
from profiles.refusing import Refused
from tests.cast import add, came, claim, come, known, merge, route, sent, undo, update
from tests.racing import at_once
from tests.staff import filled, member, user_of
from tests.working import environment

# In whatever is of somebody else, and in nothing of Ada's.
SECRET = "Zephyrine"

# Which of these references to a profile make a row somebody's in another way: it is one of the profiles itself, or
# stands on another by now.
OTHERWISE = {("Profile", "merged_into"), ("Identity", "merged_from")}


def text_of(profile: Profile | uuid.UUID, *, by: By) -> str:
    pk = profile if isinstance(profile, uuid.UUID) else profile.pk
    return b"".join(exporting.export(pk, by=by).pieces).decode()


def exported(profile: Profile | uuid.UUID, *, by: By) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(text_of(profile, by=by))
    return told


def forgotten() -> set[tuple[str, str]]:
    """The references to a profile whose rows no section has."""
    found = {(section.model.__name__, name) for section in sections() for name in section.of}
    return {(model.__name__, name) for model, name, _policy in references_to(Profile)} - found - OTHERWISE


def take_up() -> None:
    for event in Event.objects.filter(taken_up_at=None):
        taking_up.take_up(event.pk, give_up=False)


@pytest.fixture
def listened(by: By) -> None:
    """Somebody is told of everything, at an address with a secret in it."""
    for trigger in KNOWN:
        Webhook.objects.create(trigger=trigger, url="https://key:hush@hooks.example.com/in?token=hush", user=by.user)


@pytest.fixture
def hers(listened: None, by: By) -> Profile:
    """Ada's own, with a row in every table that has rows of a profile."""
    contact = {"email": "ada@example.com", "mobile_phone": "+61404123123"}
    ada = route("pos:ada-1", "loyalty-card:ada-2", by=by, contact=contact, first_name="Ada").profile
    again = known("pos:ada-3", by=by, first_name="Augusta", company="Analytical Engines")
    for kind in RECORDS.values():
        came(kind, "pos:ada-1", by=by)
    came(Transaction, "loyalty-card:ada-2", items=["Tea"], by=by)
    CustomAttribute.objects.create(profile=again, namespace="style", handle="hat", type="string", value="tall")
    claim(ada, "app-user:ada-4", by=by)
    # Both of them are hers, as it turns out.
    came(Interaction, "pos:ada-1", "pos:ada-3", by=by)
    merge(ada, again, by=by, reason="She showed both.")
    LogEntry.objects.create(
        user=by.user,
        content_type=ContentType.objects.get_for_model(Profile),
        object_id=str(ada.pk),
        object_repr="Ada",
        action_flag=CHANGE,
    )
    batch = ProfileBatch.objects.create(match_criteria="pos", by=by.user)
    ProfileBatchRow.objects.create(batch=batch, position=0, profile_id=ada.pk, result="updated", message="So.")
    take_up()
    return ada


# All of hers


def test_no_model_with_a_reference_to_a_profile_is_forgotten() -> None:
    assert forgotten() == set()


@pytest.mark.django_db
def test_every_row_of_the_profiles_is_in_it_with_every_column(hers: Profile, by: By) -> None:
    told = exported(hers, by=by)

    ids = [hers.pk, *Profile.objects.filter(merged_into=hers).values_list("pk", flat=True)]
    assert len(ids) == 2
    for section in sections():
        names = section.of
        rows = section.model._base_manager.filter(Q(*((f"{name}__in", ids) for name in names), _connector=Q.OR))
        keys = {str(row.pk) for row in rows} if names else set()
        assert keys <= {str(one["id"]) for one in told[section.name]}, section.name
        assert told[section.name] or section.model is Move, section.name
        columns = {str(one.column) for one in section.model._meta.concrete_fields} - TECHNICAL
        for row in told[section.name]:
            assert row.get("withheld") is None, section.name
            assert columns - row.keys() - SHOWN_OTHERWISE.get(section.name, set()) == set(), section.name


# Columns that stand in a document under another name, or within another member.
PAIR = {"handle", "identifier"}
BROUGHT_BY = {"brought_by_handle", "brought_by_identifier"}
SHOWN_OTHERWISE: dict[str, set[str]] = {
    "identities": {"merged_from_id"},
    "custom_attributes": BROUGHT_BY,
    **{f"{kind}s": {*BROUGHT_BY, "pairs", "definition_id"} for kind in RECORDS},
    "routing_log": PAIR,
    "moves": PAIR,
    # Keys and marks for taking it back.
    "merges": {"closed", "deactivated", "primary"},
    # Whom it could not be told to.
    "events": {"faults"},
    # Emptied with the result.
    "batch_rows": {"payload"},
}


@pytest.mark.django_db
def test_the_records_are_as_the_api_shows_them_with_how_they_came(hers: Profile, by: By) -> None:
    told = exported(hers, by=by)

    sale = told["transactions"][1]
    assert (sale["total"], [item["name"] for item in sale["items"]]) == (19.99, ["Tea"])
    assert sale["identities"] == [{"handle": "loyalty-card", "identifier": "ada-2"}]
    assert (sale["brought_by"], sale["decided_by"], sale["addressed"]) == (sale["identities"][0], "identity", None)
    assert told["profile"]["point_balance"] == told["balances"]["point_balance"] == 10


@pytest.mark.django_db
def test_what_was_merged_in_is_told_with_its_own_columns_and_who_merged_it(hers: Profile, by: By) -> None:
    again = Profile.objects.get(merged_into=hers)

    told = exported(hers, by=by)

    rows = {row["id"]: row for row in told["profiles"]}
    assert (rows[str(again.pk)]["first_name"], rows[str(again.pk)]["merged_into_id"]) == ("Augusta", str(hers.pk))
    (one,) = told["merges"]
    assert (one["duplicate_id"], one["reason"], one["by_id"]) == (str(again.pk), "She showed both.", by.user.pk)
    assert one["fields"]["company"]["adopted"] == ["Analytical Engines"]
    assert {row["profile_id"] for row in told["custom_attributes"]} == {str(hers.pk), str(again.pk)}


@pytest.mark.django_db
def test_the_id_of_a_merged_profile_means_its_survivor(hers: Profile, by: By) -> None:
    again = Profile.objects.get(merged_into=hers)

    export = exporting.export(again.pk, by=by)

    told = json.loads(b"".join(export.pieces))
    assert export.profile == hers
    assert (told["profile"]["id"], told["merged_from"]) == (str(hers.pk), str(again.pk))
    assert "merged_from" not in exported(hers, by=by)


@pytest.mark.django_db
def test_a_deleted_profile_is_exported_too(hers: Profile, by: By) -> None:
    releasing.delete(hers.pk, by=by)

    told = exported(hers, by=by)

    assert told["profile"]["profile_type"] == "deleted"
    assert len(told["identities"]) == 5


@pytest.mark.django_db
def test_sensitive_identifiers_are_in_clear(ada: Profile, by: By) -> None:
    assert Handle.objects.get(pk="apns").sensitive
    add(ada, "apns:740f4707bebcf74f9b7c25d4", by=by)

    told = exported(ada, by=by)

    assert told["identities"][0]["identifier"] == "740f4707bebcf74f9b7c25d4"


@pytest.mark.django_db
def test_each_export_is_audited_before_anything_is_told(ada: Profile, by: By) -> None:
    exporting.export(ada.pk, by=by)

    (entry,) = Audit.objects.filter(event="exported")
    assert (entry.by, entry.auditable_key, entry.profile) == (by.user, str(ada.pk), ada)
    assert [one["event"] for one in exported(ada, by=by)["audits"]] == ["exported", "exported"]


@pytest.mark.django_db
def test_nobody_is_exported_under_an_id_that_was_never_known(by: By) -> None:
    with pytest.raises(Profile.DoesNotExist):
        exporting.export(uuid.uuid4(), by=by)

    assert not Audit.objects.filter(event="exported").exists()


@pytest.mark.django_db
def test_numbers_stay_as_exact_as_they_are(ada: Profile, by: By) -> None:
    meta = {"large": 2**70}
    come(Transaction, named=ada.pk, by=by, total=Decimal("1234567890123.123456"), meta=meta)

    text = text_of(ada, by=by)

    assert '"total" : 1234567890123.123456' in text
    assert json.loads(text)["transactions"][0]["meta"] == meta


@pytest.mark.django_db
def test_of_a_target_no_secret_is_told(hers: Profile, by: By) -> None:
    text = text_of(hers, by=by)

    assert {one["url"] for one in json.loads(text)["deliveries"]} == {"https://hooks.example.com"}
    assert "hush" not in text


@pytest.mark.django_db
def test_where_somebody_called_from_is_told_of_the_customer_alone(ada: Profile, by: By) -> None:
    hers, tills = (f"customer {one:032x}" for one in (1, 2))
    ApiToken.issue(user=by.user, name=tills, scopes=[])
    for name in ("Till", "customer portal", tills, hers):
        update(ada, by=By(by.user, token_name=name, ip_address="203.0.113.7", user_agent=name), company=name)

    told = exported(ada, by=by)["audits"]

    calls = {one["token_name"]: (one["ip_address"], one["user_agent"]) for one in told if one["event"] == "updated"}
    assert calls.pop(hers) == ("203.0.113.7", hers)
    assert calls == dict.fromkeys(("Till", "customer portal", tills), (None, None))


@pytest.mark.django_db
def test_a_customers_own_call_is_told_with_where_it_came_from(ada: Profile, operator: User, by: By) -> None:
    server, _plain = ApiToken.issue(user=operator, name="Server", scopes=[])
    issued = tokens.issue_by_id(ada.pk, by=server)
    assert issued is not None
    headers = {"Authorization": f"Bearer {issued.token}"}
    Client(REMOTE_ADDR="203.0.113.7").put(
        "/id/api/v1/profiles/me", {"company": "Ada & Co"}, "application/json", headers=headers
    )

    (told,) = [one for one in exported(ada, by=by)["audits"] if one["event"] == "updated"]

    assert told["ip_address"] == "203.0.113.7"


@pytest.mark.django_db
def test_what_was_done_in_the_admin_with_their_identities_is_told(ada: Profile, by: By) -> None:
    changed, deleted = add(ada, "pos:ada-1", by=by), add(ada, "loyalty-card:ada-2", by=by)
    keeper = member("Admin")
    url = f"/admin/identities/identity/{changed.pk}/change/"
    keeper.post(url, filled(keeper, url, identifier="ada-3"))
    keeper.post(f"/admin/identities/identity/{deleted.pk}/delete/", {"post": "yes"})
    # Of another model, with the same key.
    LogEntry.objects.create(
        user=by.user,
        content_type=ContentType.objects.get_for_model(Webhook),
        object_id=str(changed.pk),
        object_repr="https://hooks.example.com/in",
        action_flag=CHANGE,
    )

    told = exported(ada, by=by)["admin_log"]

    assert [(one["object_id"], one["action_flag"], one["user_id"]) for one in told] == [
        (str(changed.pk), CHANGE, user_of(keeper).pk),
        (str(deleted.pk), DELETION, user_of(keeper).pk),
    ]
    assert "ada-3" in told[0]["object_repr"] and "ada-2" in told[1]["object_repr"]


# Nothing of others


@pytest.fixture
def zephyrine(by: By) -> Profile:
    contact = {"email": f"{SECRET}@example.com", "mobile_phone": "+61404777777"}
    return known(f"pos:{SECRET}-1", f"loyalty-card:{SECRET}-2", by=by, first_name=SECRET, company=SECRET, **contact)


@pytest.fixture
def older(by: By) -> Profile:
    """Ada, who was known before Zephyrine: what names both is Ada's, unless it says otherwise."""
    return known("loyalty-card:ada-1", "pos:ada-2", by=by)


def of_her(told: Any) -> list[str]:
    """Where in the document something of Zephyrine's stands."""
    text = json.dumps(told).lower()
    return [text[match.start() - 200 : match.end()] for match in re.finditer(f"{SECRET}|404 ?777 ?777", text, re.I)]


@pytest.mark.django_db
@pytest.mark.parametrize("is_survivor", [True, False])
def test_nothing_is_told_of_whom_she_was_taken_for(
    listened: None, ada: Profile, zephyrine: Profile, is_survivor: bool, by: By
) -> None:
    sides = (ada, zephyrine) if is_survivor else (zephyrine, ada)
    (one,) = merge(*sides, by=by, reason=f"Is she {SECRET}?")
    take_up()
    came(Transaction, f"pos:{SECRET}-1", by=by, receipt_ref=SECRET)
    take_up()
    undo(one, by=by)
    take_up()
    update(zephyrine, by=by, title=SECRET)

    told = exported(ada, by=by)

    (shown,) = told["merges"]
    assert (shown["survivor_id"], shown["duplicate_id"]) == (str(one.survivor_id), str(one.duplicate_id))
    assert {"fields", "reason", "undo_report", "pairs_taken"} >= set(shown["withheld"]) >= {"reason", "undo_report"}
    assert of_her(told) == []
    if is_survivor:
        assert {one["trigger"] for one in told["deliveries"] if "body" in one.get("withheld", [])} >= {
            "profile.merged",
            "profile.unmerged",
            "transaction.created",
        }


@pytest.mark.django_db
def test_what_was_told_while_a_merge_stood_is_of_both_though_it_names_nobody(
    listened: None, ada: Profile, by: By
) -> None:
    nameless = Profile.objects.create(company=SECRET, currency="AUD")
    (one,) = merge(ada, nameless, by=by)
    update(ada, by=by, title="Ms")
    take_up()
    undo(one, by=by)
    take_up()

    told = exported(ada, by=by)

    assert of_her(told) == []
    (update_told, *_rest) = [one for one in told["deliveries"] if one["trigger"] == "profile.updated"]
    assert update_told["withheld"] == ["body"]


@pytest.mark.django_db
def test_of_what_was_moved_to_another_only_that_is_told(
    listened: None, ada: Profile, zephyrine: Profile, by: By
) -> None:
    named = came(Transaction, named=ada.pk, by=by, receipt_ref=SECRET)
    take_up()
    wrong = add(ada, f"pos:{SECRET}-3", by=by)
    sale = came(Transaction, f"pos:{SECRET}-3", by=by, receipt_ref=SECRET)
    take_up()
    moving.move(wrong.pk, to=zephyrine.pk, reason=f"It is {SECRET}'s.", by=by)
    moving_records.move_record(Transaction, named.pk, to=zephyrine.pk, reason="Hers, too.", by=by)
    moving_records.move_record(Transaction, sale.pk, to=zephyrine.pk, reason=f"It is {SECRET}'s.", by=by)
    take_up()

    told = exported(ada, by=by)

    assert of_her(told) == []
    assert {(one["subject_type"], one["to_profile_id"], one["reason"]) for one in told["moves"]} == {
        ("identity", str(zephyrine.pk), None),
        ("transaction", str(zephyrine.pk), None),
    }
    assert told["moves"][0]["pair"] == {"handle": "pos", "identifier": None, "profile_id": str(zephyrine.pk)}


@pytest.mark.django_db
def test_of_a_record_in_doubt_each_is_told_only_their_own(
    listened: None, older: Profile, zephyrine: Profile, by: By
) -> None:
    ada = older
    came(Transaction, "loyalty-card:ada-1", f"pos:{SECRET}-1", by=by, receipt_ref="Hers")
    come(Interaction, f"pos:{SECRET}-1", named=ada.pk, by=by, name=SECRET)
    for profile, pair in ((ada, f"pos:{SECRET}-1"), (zephyrine, "loyalty-card:ada-1")):
        with pytest.raises(Refused):
            adding.add(profile.pk, sent(pair), by=by, source=None)
    with pytest.raises(Refused):
        update(ada, by=by, email=f" {SECRET.upper()}@example.com")
    RoutingLogEntry.objects.update(review_note=f"Ask {SECRET}.")
    take_up()

    told = exported(ada, by=by)

    assert of_her(told) == []
    (sale,) = told["transactions"]
    assert sale["receipt_ref"] == "Hers"
    assert sale["identities"] == [
        {"handle": "loyalty-card", "identifier": "ada-1"},
        {"handle": "pos", "identifier": None, "profile_id": str(zephyrine.pk)},
    ]
    payloads = [(one["outcome"], bool(one["payload"]), one.get("withheld")) for one in told["routing_log"]]
    assert payloads[0] == ("conflict", True, ["review_note"])
    # What was sent is of the one to whom it went.
    assert payloads[1] == ("rerouted", False, ["payload", "review_note"])
    (pair,) = told["duplicates"]
    assert {pair["first_id"], pair["second_id"]} == {str(ada.pk), str(zephyrine.pk)}
    assert pair["withheld"] == ["evidence"]


@pytest.mark.django_db
def test_a_decision_takes_the_payload_along(older: Profile, zephyrine: Profile, by: By) -> None:
    ada = older
    recorded = come(Transaction, "loyalty-card:ada-1", f"pos:{SECRET}-1", by=by, receipt_ref="Hers")
    entry = RoutingLogEntry.objects.get(pk=recorded.record.log_entry_id)
    assert exported(ada, by=by)["routing_log"][0]["payload"]["receipt_ref"] == "Hers"

    moving_records.move_record(Transaction, recorded.record.pk, to=zephyrine.pk, reason="It was hers.", by=by)

    (told,) = exported(ada, by=by)["routing_log"]
    assert (told["id"], told["payload"]) == (entry.pk, None)
    assert "Hers" not in text_of(ada, by=by)


def _moved(row: Identity, zephyrine: Profile, by: By) -> None:
    moving.move(row.pk, to=zephyrine.pk, reason="Hers.", by=by)


def _split_off(row: Identity, zephyrine: Profile, by: By) -> None:
    splitting.split(row.profile_id, [row.pk], reason="Hers.", by=by)


def _moved_on(row: Identity, zephyrine: Profile, by: By) -> None:
    moving.move(row.pk, to=known("pos:third-1", by=by).pk, reason="Whose?", by=by)
    moving.move(row.pk, to=zephyrine.pk, reason="Hers.", by=by)


@pytest.mark.django_db
@pytest.mark.parametrize("leaves", [_moved, _split_off, _moved_on])
@pytest.mark.parametrize("is_deleted", [False, True])
def test_what_an_identity_was_before_it_left_is_of_whom_it_went_to(
    listened: None,
    older: Profile,
    zephyrine: Profile,
    leaves: Callable[[Identity, Profile, By], None],
    is_deleted: bool,
    by: By,
) -> None:
    wrong = add(older, f"web-shop:{SECRET}-3", by=by)
    update(older, title="Ms", by=by)
    take_up()
    leaves(wrong, zephyrine, by)
    if is_deleted:
        routing.remove(wrong.pk, by=by, source=None)
    else:
        routing.change(wrong.pk, identifier="another-4", by=by, source=None)
    update(older, title="Dr", by=by)
    take_up()

    told = exported(older, by=by)

    assert of_her(told) == []
    assert "another-4" not in json.dumps(told)
    assert told["moves"][0]["pair"] == {"handle": "web-shop", "identifier": None}
    updates = [one for one in told["deliveries"] if one["trigger"] == "profile.updated"]
    assert (updates[0]["body"], updates[0]["withheld"]) == (None, ["body"])
    assert updates[-1]["body"]["title"] == "Dr"


def _changed(row: Identity, by: By) -> None:
    routing.change(row.pk, identifier="another-4", by=by, source=None)


def _deleted(row: Identity, by: By) -> None:
    routing.remove(row.pk, by=by, source=None)


def _merged_away(row: Identity, by: By) -> None:
    merge(known("pos:third-1", by=by), row.profile, by=by)
    _changed(row, by)


@pytest.mark.django_db
@pytest.mark.parametrize("happens", [_changed, _deleted, _merged_away])
@pytest.mark.parametrize("is_sensitive", [False, True])
def test_of_a_record_in_doubt_no_former_identity_of_another_is_told(
    listened: None,
    older: Profile,
    zephyrine: Profile,
    happens: Callable[[Identity, By], None],
    is_sensitive: bool,
    by: By,
) -> None:
    Handle.objects.filter(pk="pos").update(sensitive=is_sensitive)
    came(Transaction, "loyalty-card:ada-1", f"pos:{SECRET}-1", by=by)
    with pytest.raises(Refused):
        add(older, f"pos:{SECRET}-1", by=by)
    take_up()
    happens(Identity.objects.get(handle="pos", profile=zephyrine), by)
    take_up()

    told = exported(older, by=by)

    assert of_her(told) == []
    assert told["transactions"][0]["identities"] == [
        {"handle": "loyalty-card", "identifier": "ada-1"},
        {"handle": "pos", "identifier": None},
    ]


@pytest.mark.django_db
def test_a_pair_that_came_from_another_is_told_while_it_is_theirs(older: Profile, zephyrine: Profile, by: By) -> None:
    hers = add(zephyrine, f"web-shop:{SECRET}-3", by=by)
    moving.move(hers.pk, to=older.pk, reason="Ada's.", by=by)
    assert exported(older, by=by)["moves"][0]["pair"] == {"handle": "web-shop", "identifier": f"{SECRET}-3"}

    routing.change(hers.pk, identifier="ada-4", by=by, source=None)

    assert exported(older, by=by)["moves"][0]["pair"] == {"handle": "web-shop", "identifier": None}


@pytest.mark.django_db
def test_what_was_done_in_the_admin_with_an_identity_is_told_to_whom_has_it(
    older: Profile, zephyrine: Profile, by: By
) -> None:
    hers, mine = add(older, f"web-shop:{SECRET}-3", by=by), add(zephyrine, f"web-shop:{SECRET}-5", by=by)
    keeper = member("Admin")

    def change(row: Identity, identifier: str) -> None:
        url = f"/admin/identities/identity/{row.pk}/change/"
        assert keeper.post(url, filled(keeper, url, identifier=identifier)).status_code == 302

    change(hers, f"{SECRET}-4")
    change(mine, "ada-6")
    moving.move(hers.pk, to=zephyrine.pk, reason="Hers.", by=by)
    moving.move(mine.pk, to=older.pk, reason="Ada's.", by=by)
    change(hers, f"{SECRET}-7")
    change(mine, "ada-8")

    told = exported(older, by=by)

    assert of_her(told) == []
    assert [(one["object_id"], one["object_repr"], one.get("withheld")) for one in told["admin_log"]] == [
        (str(hers.pk), None, ["object_repr"]),
        (str(mine.pk), None, ["object_repr"]),
        (str(mine.pk), "web-shop: ada-8", None),
    ]


# What it costs


def fill(profile: Profile, count: int) -> None:
    """Give the profile so many sales more, each with its entry in the audit, and a tenth as many identities."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH sold AS (
                INSERT INTO profiles_transaction (
                    profile_id, external_id, receipt_ref, total, transacted_at, timezone, is_void, systems, payments, addressed,
                    tags, meta, pairs, brought_by_handle, brought_by_identifier, decided_by, created_at, updated_at
                )
                SELECT %(profile)s, '', 'R' || number, 9.95, now(), 'UTC', false, '[]', '[]', %(profile)s, '[]', '{}',
                    jsonb_build_array(jsonb_build_object('handle', 'pos', 'identifier', 'P' || number)), '', '', 'id',
                    now(), now()
                FROM generate_series(1, %(count)s) AS number RETURNING id
            ), told AS (
                INSERT INTO profiles_audit (
                    by_id, event, auditable_type, auditable_key, old_values, new_values, profile_id, url, token_name,
                    user_agent, created_at
                )
                SELECT %(by)s, 'created', 'transaction', id, '{}', '{"receipt_ref": "R"}', %(profile)s, '', '', '',
                    now()
                FROM sold
            )
            INSERT INTO identities_identity (
                profile_id, handle, identifier, original, is_primary, is_active, by_contact, created_at, updated_at
            )
            SELECT %(profile)s, 'pos', %(profile)s || '-' || number, '', false, true, false, now(), now()
            FROM generate_series(1, %(count)s / 10) AS number
            """,
            {"profile": str(profile.pk), "count": count, "by": User.objects.get(username="operator").pk},
        )


@pytest.mark.django_db
def test_many_rows_cost_the_statements_of_one(ada: Profile, by: By) -> None:
    def statements(profile: Profile) -> int:
        with CaptureQueriesContext(connection) as captured:
            told = exported(profile, by=by)
        assert len(told["transactions"]) == (1 if profile == ada else 50)
        return len(captured)

    fill(ada, 1)
    other = Profile.objects.create(first_name="Busy")
    fill(other, 50)

    # The profile and the entry of the audit; once more, and all that is merged into it; six for who else there is;
    # the profile and its balances as the API shows them; a list each, and once the pairs that others hold.
    assert statements(ada) == statements(other) == 3 + 2 + 6 + 2 + len(sections()) + 1 + SAVEPOINTS


# Of the two transactions within that of the test.
SAVEPOINTS = 4

MEASURED = """
import sys
from pathlib import Path
import django
django.setup()
from django.contrib.auth.models import User
from profiles import exporting
from profiles.auditing import By
size = most = 0
for piece in exporting.export(sys.argv[1], by=By(User.objects.get(username="operator"))).pieces:
    size, most = size + len(piece), max(most, len(piece))
print(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0], size, most)
"""


def measured(profile: Profile) -> tuple[int, int, int]:
    """The most memory that the process of an export has had, in bytes; how long the document is, and a piece at most."""
    process = subprocess.run(
        [sys.executable, "-c", MEASURED, str(profile.pk)],
        cwd=settings.BASE_DIR,
        env={**environment(), "DJANGO_SETTINGS_MODULE": "tests.settings"},
        check=True,
        capture_output=True,
        text=True,
    )
    memory, size, most = map(int, process.stdout.split())
    return 1024 * memory, size, most


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Only Linux says it there.")
@pytest.mark.django_db(transaction=True)
def test_memory_does_not_grow_with_the_records(ada: Profile, by: By) -> None:
    few, many = ada, Profile.objects.create(first_name="Busy")
    fill(few, 5_000)
    fill(many, 100_000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")

    less, more = measured(few), measured(many)

    assert more[1] > 15 * less[1] > 15 * 3_000_000
    # The full profile holds its 10,000 identities at once, as the API shows it, and is read and written as one text.
    assert more[0] - less[0] < 6 * more[2] < more[1] / 4


# One moment


@pytest.mark.django_db(transaction=True)
def test_a_merge_meanwhile_is_in_none_of_it(by: By) -> None:
    ada, again = known("pos:ada-1", by=by), known("pos:ada-2", by=by)
    came(Transaction, "pos:ada-2", by=by)
    pieces = exporting.export(ada.pk, by=by).pieces
    begun = next(pieces) + next(pieces)

    (met,) = at_once(lambda: merge(ada, again, by=by))

    told = json.loads(begun + b"".join(pieces))
    assert [one.survivor_id for one in met] == [ada.pk]
    assert [len(told[name]) for name in ("profiles", "identities", "transactions", "merges")] == [1, 1, 0, 0]
    assert [len(exported(ada, by=by)[name]) for name in ("profiles", "identities", "transactions")] == [2, 2, 1]


@pytest.mark.django_db
def test_who_is_merged_before_the_first_piece_is_exported_and_audited_as_the_survivor(by: By) -> None:
    ada, again = known("pos:ada-1", by=by), known("pos:ada-2", by=by)
    pieces = exporting.export(again.pk, by=by).pieces
    merge(ada, again, by=by)

    told = json.loads(b"".join(pieces))

    assert (told["profile"]["id"], told["merged_from"]) == (str(ada.pk), str(again.pk))
    assert set(Audit.objects.filter(event="exported").values_list("profile", flat=True)) == {ada.pk, again.pk}
