"""Writers that meet under handles never seen before."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from identities import cataloguing, handles
from identities.handles import Sent
from identities.models import Handle, Identity
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add, assert_sound, route
from tests.racing import at_once, few_writers, meeting, slow_inserts

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("rounds", [2, pytest.param(100, marks=pytest.mark.slow)], ids=["short", "long"])
def test_two_spellings_of_one_new_handle_never_both_come_into_the_catalogue(
    rounds: int, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        with nullcontext() if round_ % 2 else meeting(2, handles, "read"):
            met = at_once(
                lambda name=f"till-{round_}": add(ada, Sent(name, "7"), by=by),
                lambda name=f"till_{round_}": add(ada_again, Sent(name, "7"), by=by),
            )

        (handle,) = Handle.objects.filter(fold=f"till{round_}")
        assert met.codes == {"": 1, "unknown_handle": 1}
        (refusal,) = (answer for answer in met if isinstance(answer, Refused))
        assert refusal.details == {"did_you_mean": [handle.name]}
        assert Identity.objects.filter(handle=handle).count() == 1
        assert met.errors == []


def test_two_spellings_in_two_records_keep_the_rest_of_both(bo: Profile, by: By) -> None:
    with meeting(2, handles, "read"):
        met = at_once(lambda: route("my-till:7", "pos:1", by=by), lambda: route("my_till:7", "pos:2", by=by))

    assert [routed.outcome for routed in met] == ["created", "created"]
    assert sorted(one["code"] for routed in met for one in routed.refused) == ["unknown_handle"]
    assert Identity.objects.filter(handle="pos").count() == 2
    assert Handle.objects.filter(fold="mytill").count() == Identity.objects.filter(handle__fold="mytill").count() == 1
    assert_sound()


@few_writers
def test_writers_under_one_new_handle_do_not_get_in_each_others_way(
    writers: int, rounds: int, bo: Profile, by: By
) -> None:
    for round_ in range(rounds):
        handle = f"till-{round_}"
        with meeting(writers, handles, "read"):
            met = at_once(*[lambda pair=f"{handle}:{number}-7": route(pair, by=by) for number in range(writers)])

        assert met.errors == []
        assert {routed.outcome for routed in met} == {"created"}
        assert Identity.objects.filter(handle=handle).count() == writers


def test_writers_of_two_new_handles_in_opposite_order_do_not_deadlock(bo: Profile, by: By) -> None:
    with slow_inserts("identities_handle", seconds=0.1), meeting(2, handles, "read"):
        met = at_once(lambda: route("a1:1", "b1:1", by=by), lambda: route("b1:2", "a1:2", by=by))

    assert met.errors == []
    assert Handle.objects.filter(name__in=["a1", "b1"]).count() == 2


@pytest.mark.parametrize("name", ["new-till", "new_till"])
def test_a_handle_that_a_writer_brings_while_staff_add_it_is_told_to_them(
    name: str, ada: Profile, bo: Profile, by: By, monkeypatch
) -> None:
    clean = Handle.full_clean

    def cleaned(handle: Handle, *args: Any, **kwargs: Any) -> None:
        clean(handle, *args, **kwargs)
        at_once(lambda: add(ada, "new-till:7", by=by))

    monkeypatch.setattr(Handle, "full_clean", cleaned)

    with pytest.raises(ValidationError) as refusal:
        cataloguing.create({"name": name, "status": "agreed"}, by=by)

    assert list(refusal.value.error_dict) == ["name"]
    assert Handle.objects.get(fold="newtill").status == "undocumented"
