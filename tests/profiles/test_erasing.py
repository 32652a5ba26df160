"""Erasing a profile for good: nothing of the person is left anywhere, and nothing brings them back."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.core.management import call_command
from django.db import connection
from django.test import Client

from identities import (
    adding,
    attributing,
    barring,
    claiming,
    explaining,
    moving,
    moving_records,
    releasing,
    renaming,
    routing,
)
from identities.adding import Row
from identities.attributing import Named
from identities.models import ErasedPair, Handle, IdempotencyRecord, Identity, RoutingLogEntry
from profiles import erasing
from profiles.auditing import By
from profiles.merging import splitting
from profiles.models import (
    RECORDS,
    Action,
    Audit,
    CustomAttribute,
    Delivery,
    Event,
    Interaction,
    Profile,
    Reaction,
    Transaction,
    Webhook,
)
from profiles.models.record import of_kind
from profiles.reacting import taking, taking_up
from profiles.refusing import Refused
from tests.cast import (
    add,
    assert_sound,
    came,
    claim,
    claim_contact,
    come,
    known,
    merge,
    pairs_of,
    records_of,
    route,
    sent,
    undo,
    update,
)
from tests.deliveries import put
from tests.profiles.test_big_merges import MOST_BYTES, cost, fill
from tests.tables import differences, everything

pytestmark = pytest.mark.django_db

# In whatever is of the person who is erased, and in nothing else.
SECRET = "Zephyrine"
PAIRS = (f"pos-customer:{SECRET}-1", f"loyalty-card:{SECRET}-2")


def left(*texts: str) -> list[str]:
    """The tables in which one of these texts stands in a row, whatever the column."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            for text in texts:
                cursor.execute(
                    f'SELECT count(*) FROM "{table}" AS one WHERE strpos(lower(one::text), %s) > 0', [text.lower()]
                )
                if cursor.fetchone()[0]:
                    found.append(f"{table}: {text}")
    return found


@pytest.fixture
def zephyrine(by: By) -> Profile:
    contact = {"email": f"{SECRET}@example.com", "mobile_phone": "+61404777777"}
    return route(*PAIRS, by=by, contact=contact, first_name=SECRET, last_name="Erased").profile


def test_a_profile_is_erased_with_all_that_is_of_it(zephyrine: Profile, bo: Profile, by: By) -> None:
    came(Transaction, PAIRS[0], items=["Tea"], by=by)
    came(Interaction, PAIRS[1], by=by)

    purge = erasing.purge(zephyrine.pk, reason="She asked for it.", by=by)

    assert not Profile.objects.filter(pk=zephyrine.pk).exists()
    assert purge.counts == {"profiles": 1, "identities": 4, "transactions": 1, "interactions": 1}
    assert list(Profile.objects.all()) == [bo]
    assert [one.profile for kind in RECORDS.values() for one in of_kind(kind)] == []
    (entry,) = Audit.objects.filter(event="erased")
    assert (entry.by, entry.auditable_key, entry.profile) == (by.user, str(zephyrine.pk), None)
    assert entry.new_values == {
        "profiles": [str(zephyrine.pk)],
        "deleted": purge.counts,
        "kept_out": True,
        "reason": "She asked for it.",
    }
    assert_sound()


def test_a_preview_tells_what_goes_and_deletes_nothing(zephyrine: Profile, by: By) -> None:
    came(Transaction, PAIRS[0], by=by)
    before = everything()

    told = erasing.preview(zephyrine.pk)

    assert differences(before, everything()) == []
    assert told.counts == erasing.purge(zephyrine.pk, by=by).counts


def test_what_was_merged_into_it_goes_with_it(zephyrine: Profile, bo: Profile, by: By) -> None:
    second, third = known(f"pos:{SECRET}-3", by=by, first_name=SECRET), known(f"pos:{SECRET}-4", by=by)
    merge(second, third, by=by)
    merge(zephyrine, second, by=by)
    came(Transaction, f"pos:{SECRET}-4", by=by)

    purge = erasing.purge(zephyrine.pk, by=by)

    assert purge.profile_ids == sorted([zephyrine.pk, second.pk, third.pk])
    assert (purge.counts["merges"], purge.counts["identities"]) == (2, 6)
    assert list(Profile.objects.all()) == [bo]
    assert left(SECRET) == []
    assert_sound()


def test_the_id_of_a_merged_profile_is_refused_with_its_survivor(zephyrine: Profile, ada: Profile, by: By) -> None:
    merge(ada, zephyrine, by=by)

    for ask in (erasing.preview, lambda pk: erasing.purge(pk, by=by)):
        with pytest.raises(Refused) as refusal:
            ask(zephyrine.pk)
        assert (refusal.value.code, refusal.value.details) == ("already_merged", {"survivor_id": str(ada.pk)})
    assert Profile.objects.count() == 2


def test_a_profile_is_erased_once(zephyrine: Profile, by: By) -> None:
    erasing.purge(zephyrine.pk, by=by)

    for pk in (zephyrine.pk, uuid.uuid4()):
        with pytest.raises(Profile.DoesNotExist):
            erasing.purge(pk, by=by)


@pytest.mark.parametrize("is_deleted", [True, False])
def test_deleted_and_locked_profiles_are_erased_like_others(zephyrine: Profile, is_deleted: bool, by: By) -> None:
    if is_deleted:
        releasing.delete(zephyrine.pk, by=by)
    else:
        Profile.objects.filter(pk=zephyrine.pk).update(locked=True)

    erasing.purge(zephyrine.pk, by=by)

    assert left(SECRET) == []


# What was kept elsewhere


@pytest.fixture
def busy(zephyrine: Profile, bo: Profile, by: By) -> Profile:
    """She has been in everything: merged and unmerged, in doubt, told of, answered about."""
    Webhook.objects.create(trigger="profile.merged", url="https://hooks.example.com/", user=by.user)
    Webhook.objects.create(trigger="profile.updated", url="https://hooks.example.com/", user=by.user)
    other = known("pos:another", by=by, first_name="Another")
    (one,) = merge(other, zephyrine, by=by)
    undo(one, by=by)
    (another,) = merge(zephyrine, other, by=by)
    undo(another, by=by)
    third = known("pos:third", f"web-shop:{SECRET}-5", by=by)
    moving.move(third.identities.get(handle="web-shop").pk, to=zephyrine.pk, reason=SECRET, by=by)
    # In doubt with somebody else, whose the record is.
    came(Transaction, "loyalty-card:bo", PAIRS[0], by=by, receipt_ref="R1")
    come(Interaction, "pos:another", named=zephyrine.pk, by=by)
    with pytest.raises(Refused):
        add(other, PAIRS[0], by=by)
    claim(zephyrine, f"app-user:{SECRET}-6", by=by)
    claim_contact(zephyrine, by=by, email=f"{SECRET}-7@example.com")
    update(zephyrine, by=by, company=SECRET)
    CustomAttribute.objects.create(profile=zephyrine, namespace="style", handle="note", type="string", value=SECRET)
    LogEntry.objects.create(
        user=by.user,
        content_type=ContentType.objects.get_for_model(Profile),
        object_id=str(zephyrine.pk),
        object_repr=zephyrine.full_name,
        action_flag=CHANGE,
    )
    IdempotencyRecord.objects.create(
        user=by.user, key="one", fingerprint="f", status=200, body=f'{{"data": {{"id": "{zephyrine.pk}"}}}}'
    )
    for event in Event.objects.all():
        taking_up.take_up(event.pk, give_up=False)
    return zephyrine


def test_nothing_of_the_person_is_left_in_any_table(busy: Profile, by: By) -> None:
    assert left(SECRET)

    erasing.purge(busy.pk, by=by)

    assert left(SECRET, "404777777") == []
    assert_sound()


def test_others_keep_what_is_theirs(busy: Profile, by: By) -> None:
    of_others = Profile.objects.exclude(pk=busy.pk).order_by("pk")
    kept = [(one.pk, one.first_name, pairs_of(one), [row.pk for row in records_of(one)]) for one in of_others]

    erasing.purge(busy.pk, by=by)

    after = Profile.objects.order_by("pk")
    assert kept == [(one.pk, one.first_name, pairs_of(one), [row.pk for row in records_of(one)]) for one in after]


def test_what_she_brought_to_others_stays_there_and_does_not_say_by_whom(
    zephyrine: Profile, ada: Profile, by: By
) -> None:
    sale = came(Transaction, PAIRS[0], by=by)
    moving_records.move_record(Transaction, sale.pk, to=ada.pk, reason="A gift.", by=by)

    erasing.purge(zephyrine.pk, by=by)

    sale.refresh_from_db()
    assert (sale.profile, sale.decided_by, sale.brought_by, sale.brought_by_identifier, sale.pairs) == (
        ada,
        "erased",
        None,
        "",
        [],
    )
    assert explaining.why(sale).sentences[0] == "It was brought by an identity of a profile that has been erased."
    assert_sound()


def test_a_merge_of_others_forgets_the_pair_that_it_had_taken(zephyrine: Profile, ada: Profile, by: By) -> None:
    other = known(f"web-shop:{SECRET}-5", "pos:2", by=by)
    (one,) = merge(ada, other, by=by)
    moving.move(Identity.objects.get(handle="web-shop").pk, to=zephyrine.pk, reason="Hers.", by=by)

    erasing.purge(zephyrine.pk, by=by)

    assert left(SECRET) == []
    undo(one, by=by)
    assert (pairs_of(ada), pairs_of(other)) == ([], ["pos:2"])
    assert_sound()


@pytest.mark.parametrize("undone", ["inner", "both"])
def test_what_went_on_to_others_through_a_survivor_is_wiped_there(undone: str, zephyrine: Profile, by: By) -> None:
    second, third = known("pos:1", by=by), known("pos:2", by=by)
    (one,) = merge(second, zephyrine, by=by)
    (two,) = merge(third, second, by=by)
    if undone == "both":
        undo(two, by=by)
    undo(one, by=by)

    erasing.purge(zephyrine.pk, by=by)

    assert left(SECRET, "404777777") == []
    assert_sound()


def test_a_pair_on_its_way_through_others_is_wiped_there(zephyrine: Profile, ada: Profile, by: By) -> None:
    other, third = known(f"web-shop:{SECRET}-5", "pos:2", by=by), known("pos:3", by=by)
    merge(ada, other, by=by)
    for profile in (third, zephyrine):
        moving.move(Identity.objects.get(handle="web-shop").pk, to=profile.pk, reason="Hers.", by=by)
    renaming.rename(Handle.objects.get(pk="web-shop"), to="e-shop", reason="", by=by)

    erasing.purge(zephyrine.pk, by=by)

    assert left(SECRET) == []


def test_an_identity_that_was_deleted_before_is_named_nowhere(zephyrine: Profile, ada: Profile, by: By) -> None:
    first, second = Identity.objects.filter(handle__in=["loyalty-card", "pos-customer"])
    staff = Client()
    staff.force_login(User.objects.create_superuser("root"))
    staff.post(f"/admin/identities/identity/{first.pk}/delete/", {"post": "yes"})
    assert LogEntry.objects.filter(object_id=first.pk).exists()
    (one,) = merge(ada, zephyrine, by=by)
    routing.remove(second.pk, by=by, source=None)
    undo(one, by=by)

    erasing.purge(zephyrine.pk, by=by)

    assert left(SECRET) == []


def _adds(profile: Profile, by: By) -> Callable[[], Any]:
    return partial(routing.remove, add(profile, f"web-shop:{SECRET}-5", by=by).pk, by=by, source=None)


def _claims(profile: Profile, by: By) -> Callable[[], Any]:
    row = claim(profile, f"web-shop:{SECRET}-5", by=by)
    return partial(claiming.withdraw, row.pk, of=profile.pk, by=by)


def _claims_what_is_refused(profile: Profile, by: By) -> Callable[[], Any]:
    return partial(claiming.refuse, claim(profile, f"web-shop:{SECRET}-5", by=by).pk, by=by)


def _claims_what_is_confirmed(profile: Profile, by: By) -> Callable[[], Any]:
    return partial(claiming.confirm, claim(profile, f"web-shop:{SECRET}-5", by=by).pk, by=by)


def _claims_an_address(profile: Profile, by: By) -> Callable[[], Any]:
    claim_contact(profile, by=by, email=f"{SECRET}-5@example.com")
    return partial(claim_contact, profile, by=by, email=None)


def _makes_an_attribute(profile: Profile, by: By) -> Callable[[], Any]:
    attributing.put(profile.pk, Named("shoes", "of", SECRET), by=by, source=None)
    return partial(attributing.remove, profile.pk, "shoes", "of", by=by)


def _makes_an_attribute_that_another_deletes(profile: Profile, by: By) -> Callable[[], Any]:
    attributing.put(profile.pk, Named("shoes", "of", SECRET), by=by, source=None)
    return lambda: attributing.remove(CustomAttribute.objects.get().profile_id, "shoes", "of", by=by)


@pytest.mark.parametrize(
    "does",
    [
        _adds,
        _claims,
        _claims_what_is_refused,
        _claims_what_is_confirmed,
        _claims_an_address,
        _makes_an_attribute,
        _makes_an_attribute_that_another_deletes,
    ],
)
@pytest.mark.parametrize("is_over_first", [True, False])
def test_what_came_and_went_while_she_was_part_of_another_is_named_nowhere(
    does: Callable[[Profile, By], Callable[[], Any]], is_over_first: bool, zephyrine: Profile, ada: Profile, by: By
) -> None:
    (one,) = merge(ada, zephyrine, by=by)
    end = does(zephyrine, by)
    if is_over_first:
        end()
    undo(one, by=by)
    if not is_over_first:
        end()
    assert left(SECRET)

    erasing.purge(zephyrine.pk, by=by)

    assert left(SECRET) == []
    assert_sound()


def test_what_came_for_her_and_was_given_to_another_is_theirs_to_tell(
    zephyrine: Profile, ada: Profile, by: By
) -> None:
    row = add(zephyrine, "web-shop:5", by=by)
    moving.move(row.pk, to=ada.pk, reason="Ada's.", by=by)
    routing.remove(row.pk, by=by, source=None)

    erasing.purge(zephyrine.pk, by=by)

    (entry,) = Audit.objects.filter(auditable_type="identity", auditable_key=str(row.pk), event="deleted")
    assert (entry.profile, entry.old_values["identifier"]) == (ada, "5")


def test_an_open_entry_of_the_log_is_closed_and_empty(busy: Profile, by: By) -> None:
    emptied = set(RoutingLogEntry.objects.values_list("pk", flat=True))

    erasing.purge(busy.pk, by=by)

    entries = RoutingLogEntry.objects.filter(pk__in=emptied)
    assert len(entries) >= 3
    assert {(one.handle, one.identifier, one.review_status, one.reviewed_by) for one in entries} == {
        ("", "", "reviewed", by.user)
    }
    assert [one.pk for one in entries if one.payload or one.candidates or busy.pk in one.named] == []


def test_only_answers_about_the_person_are_not_replayed_any_more(zephyrine: Profile, by: By) -> None:
    add(zephyrine, "pos:12", by=by)
    bodies = {
        "hers": f'{{"data":{{"id":"{zephyrine.pk}"}}}}',
        "of her number": '{"data":[{"handle":"pos","identifier":"12"}]}',
        "of another number": '{"data":[{"handle":"pos","identifier":"1234"}],"total":12}',
    }
    for key, body in bodies.items():
        IdempotencyRecord.objects.create(user=by.user, key=key, fingerprint="f", status=200, body=body)

    erasing.purge(zephyrine.pk, by=by)

    assert [one.key for one in IdempotencyRecord.objects.all()] == ["of another number"]


# Nothing comes back


def as_record(pair: str, by: By) -> Any:
    return came(Transaction, pair, by=by)


def as_profile(pair: str, by: By) -> Any:
    return route(pair, by=by)


def beside_a_known_pair(pair: str, by: By) -> Any:
    return came(Transaction, "loyalty-card:bo", pair, by=by)


def added(pair: str, by: By) -> Any:
    return add(Profile.objects.get(first_name="Bo"), pair, by=by)


every_way = pytest.mark.parametrize(
    "write",
    [as_record, as_profile, beside_a_known_pair, added],
    ids=lambda write: write.__name__,
)


@every_way
@pytest.mark.parametrize("pair", PAIRS)
def test_a_late_copy_is_refused_and_not_kept(
    write: Callable[[str, By], Any], pair: str, zephyrine: Profile, bo: Profile, by: By
) -> None:
    erasing.purge(zephyrine.pk, by=by)
    before = everything()

    with pytest.raises(Refused) as refusal:
        write(pair, by)

    assert refusal.value.code == "identity_erased"
    assert SECRET not in refusal.value.message
    assert differences(before, everything()) == []


def test_no_identity_is_changed_to_an_erased_pair(zephyrine: Profile, ada: Profile, by: By) -> None:
    row = add(ada, "loyalty-card:1", by=by)
    erasing.purge(zephyrine.pk, by=by)

    with pytest.raises(Refused) as refusal:
        routing.change(row.pk, identifier=PAIRS[1].partition(":")[2], by=by, source=None)

    assert refusal.value.code == "identity_erased"
    assert pairs_of(ada) == ["loyalty-card:1"]


@pytest.mark.parametrize("contact", [{"email": f"{SECRET.upper()}@example.com"}, {"mobile_phone": "0404 777 777"}])
def test_erased_contact_points_are_refused_in_every_spelling(
    contact: dict[str, Any], zephyrine: Profile, ada: Profile, by: By
) -> None:
    erasing.purge(zephyrine.pk, by=by)

    ((name, text),) = contact.items()
    for write in (
        lambda: route(by=by, contact=contact, first_name="Late"),
        lambda: update(ada, by=by, **contact),
        lambda: came(Transaction, f"{name}:{text}", by=by),
    ):
        with pytest.raises(Refused) as refusal:
            write()
        assert (refusal.value.code, refusal.value.field) == ("identity_erased", name)
    assert left(SECRET) == []


@pytest.mark.parametrize("rule", [{"status": "retired"}, {"reserved_for_id": "shopify", "status": "agreed"}])
def test_a_late_copy_is_not_kept_under_a_handle_that_takes_it_no_more(
    rule: dict[str, str], zephyrine: Profile, bo: Profile, by: By
) -> None:
    erasing.purge(zephyrine.pk, by=by)
    Handle.objects.filter(pk="pos-customer").update(**rule)

    with pytest.raises(Refused) as refusal:
        came(Transaction, "loyalty-card:bo", PAIRS[0], by=by)

    assert refusal.value.code == "identity_erased"
    assert left(SECRET) == []


def test_one_erased_row_of_many_is_refused_alone(zephyrine: Profile, ada: Profile, by: By) -> None:
    erasing.purge(zephyrine.pk, by=by)

    answers = adding.add_all([Row(ada.pk, sent(one)) for one in ("pos:1", *PAIRS)], by=by, source=None)

    assert [getattr(one, "code", "added") for one in answers] == ["added", "identity_erased", "identity_erased"]
    assert pairs_of(ada) == ["pos:1"]


def test_a_file_that_still_has_the_person_brings_in_the_others_only(
    zephyrine: Profile, tmp_path: Path, by: By
) -> None:
    erasing.purge(zephyrine.pk, by=by)
    file = tmp_path / "people.csv"
    file.write_text(f"loyalty-card,first_name\n1,One\n{PAIRS[1].partition(':')[2]},{SECRET}\n2,Two\n")

    with pytest.raises(SystemExit):
        call_command("import_identities", str(file), by=by.user.username, verbosity=0)

    assert set(Profile.objects.values_list("first_name", flat=True)) == {"One", "Two"}
    assert left(SECRET) == []
    (errors,) = tmp_path.glob("*errors*")
    assert "identity_erased" in errors.read_text()


def test_what_is_not_kept_out_makes_a_new_profile(zephyrine: Profile, by: By) -> None:
    erasing.purge(zephyrine.pk, keep_out=False, by=by)

    again = known(PAIRS[0], by=by)

    assert again.pk != zephyrine.pk
    assert ErasedPair.objects.count() == 0


def test_staff_let_an_erased_pair_in_again(zephyrine: Profile, by: By) -> None:
    erasing.purge(zephyrine.pk, by=by)
    handle, _colon, identifier = PAIRS[0].partition(":")
    erased = ErasedPair.objects.get(handle=handle, digest=barring.digest(identifier))

    barring.let_in(erased, by=by)

    assert pairs_of(known(PAIRS[0], by=by)) == [PAIRS[0]]
    with pytest.raises(ErasedPair.DoesNotExist):
        barring.let_in(erased, by=by)


def test_an_erased_pair_is_known_under_the_new_name_of_its_handle(zephyrine: Profile, by: By) -> None:
    erasing.purge(zephyrine.pk, by=by)
    renaming.rename(Handle.objects.get(pk="loyalty-card"), to="club-card", reason="", by=by)

    for name in ("loyalty-card", "club-card"):
        with pytest.raises(Refused) as refusal:
            known(f"{name}:{PAIRS[1].partition(':')[2]}", by=by)
        assert refusal.value.code == "identity_erased"


def test_the_digest_of_an_identifier_is_keyed(settings: Any) -> None:
    one = barring.digest("04123")
    settings.ERASURE_KEY = "another"

    assert one != barring.digest("04123")
    assert one not in (hashlib.sha256(b"04123").hexdigest(), hashlib.sha256(b"").hexdigest())


# Who listens


def test_who_listens_is_told_of_the_ids_and_of_nothing_else(zephyrine: Profile, ada: Profile, by: By) -> None:
    Webhook.objects.create(trigger="profile.deleted", url="https://hooks.example.com/", user=by.user)
    second = known(f"pos:{SECRET}-3", by=by)
    merge(zephyrine, second, by=by)

    erasing.purge(zephyrine.pk, by=by)

    (event,) = Event.objects.all()
    taking_up.take_up(event.pk, give_up=False)
    body = json.loads(Delivery.objects.get().body)
    assert body == {
        "id": str(zephyrine.pk),
        "profile_type": "deleted",
        "is_purged": True,
        "merged_ids": [str(second.pk)],
        "identities": [],
        "identity": {},
    }
    assert left(SECRET) == []


def _moves(row: Identity, by: By) -> Profile:
    return moving.move(row.pk, to=known("pos:3", by=by).pk, reason="Hers.", by=by).identity.profile


def _splits(row: Identity, by: By) -> Profile:
    told = splitting.split(row.profile_id, [row.pk], by=by)
    assert told.profile is not None
    return told.profile


@pytest.mark.parametrize("leaves", [_moves, _splits])
@pytest.mark.parametrize(
    ("pair", "contact"),
    [
        (f'web-shop:{SECRET} "é"', {}),
        (f"email:{SECRET.lower()}@example.com", {"email": f"{SECRET}@Example.com"}),
    ],
)
def test_whom_she_was_a_part_of_is_told_of_no_more_with_what_was_hers(
    leaves: Callable[[Identity, By], Profile], pair: str, contact: dict[str, str], by: By
) -> None:
    Webhook.objects.create(trigger="profile.updated", url="https://hooks.example.com/", user=by.user)
    other = known("pos:1", *([] if contact else [pair]), by=by, **contact)
    update(other, by=by, company="Of both")
    _take_up()
    assert f"profiles_delivery: {SECRET}" in left(SECRET)
    handle, _colon, identifier = pair.partition(":")
    own = leaves(Identity.objects.get(handle=handle, identifier=identifier), by)
    update(other, by=by, company="Of one")
    _take_up()

    erasing.purge(own.pk, by=by)

    assert {f"{table}: {SECRET}" for table in ("profiles_delivery", "profiles_event")} & set(left(SECRET)) == set()
    told = [json.loads(one.body)["company"] for one in Delivery.objects.filter(profile=other).order_by("pk")]
    assert (told.count("Of both"), told[-1]) == (0, "Of one")


@pytest.mark.parametrize("leaves", [_moves, _splits])
@pytest.mark.parametrize("is_sensitive", [False, True])
def test_what_an_identity_was_before_is_told_of_by_nobody_either(
    leaves: Callable[[Identity, By], Profile], is_sensitive: bool, by: By
) -> None:
    Webhook.objects.create(trigger="profile.updated", url="https://hooks.example.com/", user=by.user)
    other = known("pos:1", f"web-shop:{SECRET}-1", by=by)
    row = Identity.objects.get(handle="web-shop")
    Handle.objects.filter(pk="web-shop").update(sensitive=is_sensitive)
    if not is_sensitive:
        update(other, by=by, company="First")
        _take_up()
        routing.change(row.pk, identifier=f"{SECRET}-2", by=by, source=None)
    update(other, by=by, company="Second")
    _take_up()
    own = leaves(row, by)
    routing.change(row.pk, identifier="3", by=by, source=None)
    update(other, by=by, company="Last")
    _take_up()

    erasing.purge(own.pk, by=by)

    assert left(SECRET) == []
    assert json.loads(Delivery.objects.get(profile=other).body)["company"] == "Last"


def _take_up() -> None:
    for event in Event.objects.filter(taken_up_at=None):
        taking_up.take_up(event.pk, give_up=False)


def test_what_waits_behind_a_delivery_that_is_erased_goes_out(zephyrine: Profile, ada: Profile, by: By) -> None:
    first = put(ada, "https://hooks.example.com/", by, {"merged_from": str(zephyrine.pk)})
    behind, last = (put(ada, "https://hooks.example.com/", by) for _number in range(2))
    (one,) = merge(ada, zephyrine, by=by)
    undo(one, by=by)

    erasing.purge(zephyrine.pk, by=by)

    assert not Delivery.objects.filter(pk=first.pk).exists()
    taken = taking.take(behind.target_id)
    assert taken is not None and taken.id == behind.pk
    assert Delivery.objects.get(pk=last.pk).next_try_at is None


def test_a_reaction_to_an_erasure_sets_nothing_and_fails_nothing(zephyrine: Profile, by: By) -> None:
    reaction = Reaction.objects.create(name="Mark", trigger="profile.deleted")
    arguments = [
        {"name": name, "value": value, "is_dynamic": False}
        for name, value in (("namespace", "shop"), ("handle", "gone"), ("value", True))
    ]
    Action.objects.create(reaction=reaction, name="attribute.set", sort_order=0, arguments=arguments)

    erasing.purge(zephyrine.pk, by=by)

    (event,) = Event.objects.all()
    taking_up.take_up(event.pk, give_up=False)
    event.refresh_from_db()
    assert event.taken_up_at is not None
    assert CustomAttribute.objects.count() == 0


# Size


@pytest.mark.parametrize(
    "sizes", [((5, 20), (50, 400)), pytest.param(((5, 20), (10_000, 100_000)), marks=pytest.mark.slow)]
)
def test_it_takes_the_same_statements_whatever_the_size(sizes: tuple[tuple[int, int], ...], by: By) -> None:
    costs = []
    for place, (identities, records) in enumerate(sizes):
        profile, duplicate = known(f"loyalty-card:{place}a", by=by), known(f"loyalty-card:{place}b", by=by)
        fill(duplicate, identities=identities, records=records)
        merge(profile, duplicate, by=by)

        statements, memory, purge = cost(partial(erasing.purge, profile.pk, by=by))

        assert (purge.counts["identities"], purge.counts["profiles"]) == (identities + 2, 2)
        assert memory < MOST_BYTES
        costs.append(statements)
    assert len(set(costs)) == 1
    assert left_of_records() == 0


def left_of_records() -> int:
    return sum(of_kind(kind).count() for kind in RECORDS.values())
