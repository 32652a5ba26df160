"""Records that people move from profile to profile."""

from __future__ import annotations

import uuid

import pytest

from identities import adding, moving_records, releasing
from identities.models import Extension
from profiles.auditing import By
from profiles.models import Audit, Move, Profile, Record, Transaction
from profiles.refusing import Refused
from tests.cast import add, assert_sound, come, every_kind, pairs_of, records_of, sent, update

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada(ada: Profile, by: By) -> Profile:
    add(ada, "loyalty-card:1", by=by)
    return ada


def move(row: Record, to: Profile | None, *, by: By, reason: str = "Hers") -> Record:
    return moving_records.move_record(type(row), row.pk, to=to.pk if to else None, reason=reason, by=by)


@every_kind
def test_a_record_moves_alone_and_that_is_audited(
    kind: type[Record], ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    row, other = come(kind, "loyalty-card:1", "pos:7", by=by).record, come(kind, "loyalty-card:1", by=by).record

    moved = move(row, ada_again, by=by)

    assert (records_of(ada), records_of(ada_again)) == ([other], [row])
    assert pairs_of(ada_again) == []
    moved.refresh_from_db()
    assert (moved.decided_by, moved.brought_by, moved.brought_by_identifier) == ("identity", row.brought_by, "1")
    noted = Move.objects.get()
    assert (noted.subject_type, noted.subject_key, noted.cause) == (kind.kind, str(row.pk), "asked")
    assert (noted.from_profile, noted.to_profile, noted.by, noted.reason) == (ada, ada_again, by.user, "Hers")
    audit = Audit.objects.get(event="moved")
    assert (audit.auditable_key, audit.profile, audit.by) == (str(row.pk), ada_again, by.user)
    assert audit.old_values == {"profile_id": str(ada.pk)}
    assert audit.new_values == {"profile_id": str(ada_again.pk)}
    assert_sound()


@every_kind
def test_moving_back_takes_the_move_back(
    kind: type[Record], ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    row = come(kind, "loyalty-card:1", by=by).record

    move(row, ada_again, by=by)
    move(row, ada, by=by)

    assert records_of(ada) == [row]
    assert Move.objects.count() == 2
    assert not Move.objects.filter(undone_at=None).exists()


def test_a_record_of_nobody_moves_to_somebody_and_back(ada: Profile, bo: Profile, by: By) -> None:
    row = come(Transaction, by=by).record

    move(row, ada, by=by)
    assert records_of(ada) == [row]
    assert Audit.objects.get(event="moved").profile == ada
    move(row, None, by=by)

    assert records_of(None) == [row]
    assert [(one.from_profile, one.to_profile) for one in Move.objects.order_by("pk")] == [(None, ada), (ada, None)]
    assert Audit.objects.filter(event="moved", profile=ada).count() == 2
    assert_sound()


def test_a_move_to_where_it_is_changes_nothing(ada: Profile, by: By) -> None:
    row = come(Transaction, "loyalty-card:1", by=by).record

    assert move(row, ada, by=by) == row
    assert not Move.objects.exists()
    assert not Audit.objects.filter(event="moved").exists()


def test_a_record_leaves_a_deleted_profile_and_goes_to_none(
    ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    row = come(Transaction, "loyalty-card:1", by=by).record
    third = Profile.objects.create(merged_into=ada)

    def code(to: Profile) -> str:
        with pytest.raises(Refused) as refusal:
            move(row, to, by=by)
        return refusal.value.code

    assert code(third) == "already_merged"
    with pytest.raises(Profile.DoesNotExist):
        moving_records.move_record(Transaction, row.pk, to=uuid.UUID(int=7), reason="", by=by)
    with pytest.raises(Transaction.DoesNotExist):
        moving_records.move_record(Transaction, row.pk + 1, to=ada.pk, reason="", by=by)
    assert records_of(ada) == [row]
    releasing.delete(ada.pk, by=by)
    move(row, ada_again, by=by)
    assert (records_of(ada_again), code(ada)) == ([row], "profile_deleted")


def test_pairs_name_one_profile_to_move_to(
    ada: Profile, ada_again: Profile, klaviyo: Extension, bo: Profile, by: By
) -> None:
    update(ada, email="ada@example.com", by=by)
    adding.add(ada.pk, sent("klaviyo:9"), by=by, source=klaviyo)
    add(ada_again, "pos:7", by=by)

    def named_by(*pairs: str) -> uuid.UUID:
        return moving_records.named_by([sent(pair) for pair in pairs])

    assert named_by("loyalty-card:1") == ada.pk
    assert named_by("pos:8", "email:ADA@example.com", "loyalty-card:1") == ada.pk
    assert named_by("klaviyo:9") == ada.pk, "Reading is free, under reserved handles too."
    for pairs, code in (
        (["pos:8"], "unknown_identity"),
        ([], "unknown_identity"),
        (["pos:7", "loyalty-card:1"], "ambiguous_identities"),
    ):
        with pytest.raises(Refused) as refusal:
            named_by(*pairs)
        assert refusal.value.code == code
    assert refusal.value.details["profile_ids"] == sorted([str(ada.pk), str(ada_again.pk)])
    releasing.delete(ada.pk, by=by)
    with pytest.raises(Refused):
        named_by("loyalty-card:1")
