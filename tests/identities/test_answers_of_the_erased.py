"""No answer that is kept for an Idempotency-Key outlives the person it tells of, however it meets the erasure.

Writes that lock their profile wait for an erasure anyway. These are answers by those that lock nothing: to what was
refused, or was so already.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from identities import lookup, replaying
from identities.models import IdempotencyRecord
from identities.replaying import Answer
from profiles import erasing
from profiles.auditing import By
from profiles.models import Profile
from tests.cast import known
from tests.racing import before_each, while_it_is_locked

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("merge races")]


@pytest.fixture
def ada(by: By) -> Profile:
    return known("loyalty-card:1804974", by=by)


def erase(profile: Profile, by: By) -> None:
    with suppress(Profile.DoesNotExist):
        erasing.purge(profile.pk, by=by)


def tell_of(profile: Profile, by: By) -> Answer:
    """What she is told who asks with a key."""

    def act() -> Answer:
        told = lookup.own_profile(profile.pk)
        return Answer(200, {}, told) if told else Answer(404, {}, '{"message":"Not found."}')

    return replaying.once(act, user=by.user, key="one", fingerprint="one")[0]


def kept() -> list[int]:
    return list(IdempotencyRecord.objects.values_list("status", flat=True))


def test_who_is_erased_while_an_answer_is_on_its_way_is_not_in_it(ada: Profile, by: By) -> None:
    with before_each(replaying, "_outruns_erasures", lambda: erase(ada, by)):
        answer = tell_of(ada, by)

    assert (answer.status, kept()) == (404, [404])


def test_what_is_kept_while_the_erasure_is_at_work_goes_with_it(ada: Profile, by: By) -> None:
    with before_each(replaying, "hold_back", lambda: tell_of(ada, by)):
        erase(ada, by)

    assert kept() == []


def test_an_answer_waits_for_the_end_of_an_erasure(ada: Profile, by: By) -> None:
    with while_it_is_locked(lambda: tell_of(ada, by), replaying, "hold_back") as waiter:
        erase(ada, by)

    assert ([answer.status for answer in waiter], kept()) == ([404], [404])


def test_an_erasure_that_is_taken_back_changes_no_answer(ada: Profile, by: By) -> None:
    with while_it_is_locked(lambda: tell_of(ada, by), replaying, "hold_back") as waiter, transaction.atomic():
        erase(ada, by)
        transaction.set_rollback(True)

    assert ([answer.status for answer in waiter], kept()) == ([200], [200])


def test_what_meets_the_erasure_of_another_is_done_once_more_and_kept(ada: Profile, by: By) -> None:
    other = known("loyalty-card:2", by=by)

    with before_each(replaying, "_outruns_erasures", lambda: erase(other, by)):
        answer = tell_of(ada, by)

    assert (answer.status, kept()) == (200, [200])
    assert tell_of(ada, by) == answer


def test_whoever_erases_one_after_the_other_has_nobody_give_up(ada: Profile, by: By) -> None:
    others = [known(f"loyalty-card:{number}", by=by) for number in range(12)]

    with before_each(replaying, "_outruns_erasures", lambda: erase(others.pop(), by)):
        answer = tell_of(ada, by)

    assert (answer.status, kept(), len(others)) == (200, [200], 11)


@pytest.mark.parametrize("wait", [replaying.hold_back, replaying._hold_erasures_back])
def test_what_the_end_would_refuse_is_refused_before_others_have_to_wait(
    ada: Profile, by: By, wait: Callable[[], None]
) -> None:
    with pytest.raises(IntegrityError), transaction.atomic():
        Profile.objects.filter(pk=ada.pk).update(merged_into_id=uuid.uuid4())
        wait()
        pytest.fail("It waits for others with its checks still to be made.")


def test_what_was_looked_through_is_not_looked_through_again(ada: Profile, by: By) -> None:
    tell_of(ada, by)
    begun = timezone.now()

    replaying.forget_telling([str(ada.pk)], since=begun, but=replaying.recent(begun))
    assert kept() == [200]

    replaying.forget_telling([str(ada.pk)], since=begun)
    assert kept() == []
