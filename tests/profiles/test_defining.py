"""Definitions of rewards, and writers that meet over one."""

from __future__ import annotations

import datetime
from functools import partial

import pytest

from identities import recording
from identities.incoming import Incoming
from profiles import defining
from profiles.auditing import By
from profiles.models import Reward, RewardDefinition
from tests.racing import at_once

pytestmark = pytest.mark.django_db(transaction=True)

NOON = datetime.datetime(2026, 11, 25, 12, tzinfo=datetime.UTC)


def define(handle: str, *, by: By) -> RewardDefinition:
    return defining.define({"name": "Gift", "handle": handle, "value": 5}, by=by)


def give(definition: RewardDefinition, *, by: By) -> Reward:
    fields = {"value_initial": 5, "value_remaining": 5, "issued_at": NOON, "timezone": "UTC"}
    incoming = Incoming({**fields, "definition_id": definition.pk})
    return recording.record(Reward, incoming, by=by, source=None).record


def test_one_of_two_definitions_of_one_handle_is_refused(by: By) -> None:
    met = at_once(lambda: define("gift", by=by), lambda: define("gift", by=by))

    assert met.codes == {"": 1, "definition_exists": 1}
    assert RewardDefinition.objects.count() == 1


def test_a_reward_given_while_its_definition_is_deleted_keeps_it_or_is_refused(by: By) -> None:
    for round_ in range(10):
        definition = define(f"gift-{round_}", by=by)

        met = at_once(partial(give, definition, by=by), partial(defining.undefine, definition.pk, by=by))

        assert met.codes in ({"": 1, "definition_in_use": 1}, {"": 1, "invalid": 1})
        exists = RewardDefinition.objects.filter(pk=definition.pk).exists()
        assert Reward.objects.filter(definition=definition.pk).exists() == exists
