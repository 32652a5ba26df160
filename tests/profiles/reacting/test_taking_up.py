"""The worker's side of an event: who is told, in which order, once, and whatever is wrong with one of them."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from identities import attributing, cataloguing, moving_records
from identities.attributing import Named
from identities.models import Extension
from profiles import events, listening, syncing
from profiles.auditing import By
from profiles.models import Action, Audit, CustomAttribute, Delivery, Event, Profile, Reaction, Transaction, Webhook
from profiles.reacting import conditions, forgetting, taking_up
from profiles.refusing import Refused
from tests.cast import came, known, merge, update
from tests.killing import killed_at, stopped_at, wait_until
from tests.racing import somebody_waits
from tests.working import jobs, work

pytestmark = pytest.mark.django_db

HOOK, SHOP = "https://hook.example.com/", "https://shop.example.com/"
DIVIDES = {"/": [1, {"var": "nothing"}]}


def listen(by: By, trigger: str = "profile.updated", url: str = HOOK, **values: Any) -> Webhook:
    return Webhook.objects.create(trigger=trigger, url=url, user=by.user, **values)


def react(*steps: tuple[str, dict[str, Any]], trigger: str = "profile.updated", **values: Any) -> Reaction:
    """A reaction of these steps; an argument that is an object is dynamic where that may be."""
    made = Reaction.objects.create(name="Tell", trigger=trigger, **values)
    for order, (name, given) in enumerate(steps):
        arguments = [
            {"name": key, "value": value, "is_dynamic": key in ("body", "value") and isinstance(value, dict)}
            for key, value in given.items()
        ]
        Action.objects.create(reaction=made, name=name, sort_order=order, arguments=arguments)
    return made


def take_up_all() -> list[Event]:
    """Take up whatever waits, and what follows from it."""
    done = []
    while (event := Event.objects.filter(taken_up_at=None).order_by("pk").first()) is not None:
        taking_up.take_up(event.pk, give_up=False)
        event.refresh_from_db()
        assert event.taken_up_at is not None
        done.append(event)
    return done


def sent() -> list[tuple[str, Any]]:
    rows = Delivery.objects.order_by("pk").values_list("target__url", "body")
    return [(url, orjson.loads(body)) for url, body in rows]


@pytest.fixture
def told(by: By) -> Profile:
    """Somebody with a till's number and without a card."""
    return known("pos:1", by=by, first_name="Ada")


def test_all_who_listen_are_told_webhooks_first_and_each_in_the_order_of_its_id(told: Profile, by: By) -> None:
    react(("target.send", {"url": SHOP, "body": {"var": "identity.pos.identifier"}}))
    react(("target.send", {"url": SHOP, "body": "first"}), ("target.send", {"url": SHOP, "body": "second"}))
    one, other = listen(by), listen(by, url=SHOP)
    listen(by, is_active=False)
    listen(by, trigger="profile.deleted")
    react(("target.send", {"url": SHOP, "body": "never"}), is_active=False)

    update(told, by=by, company="Engines")
    (event,) = take_up_all()

    assert [url for url, _body in sent()] == [HOOK, SHOP, SHOP, SHOP, SHOP]
    assert [body for _url, body in sent()[2:]] == ["1", "first", "second"]
    assert {body["company"] for _url, body in sent()[:2]} == {"Engines"}
    assert [one.webhook_id for one in Delivery.objects.order_by("pk")[:2]] == [one.pk, other.pk]
    assert event.faults == []


def test_a_body_that_comes_to_nothing_is_sent_as_nothing(told: Profile, by: By) -> None:
    react(
        ("target.send", {"url": SHOP, "body": {"var": "identity.shopify.identifier"}}),
        ("target.send", {"url": SHOP, "body": None}),
    )

    update(told, by=by, company="Engines")
    take_up_all()

    # And not as all that the event shows, which nobody has asked for.
    assert sent() == [(SHOP, None), (SHOP, None)]


@pytest.mark.parametrize("is_deactivated", [True, False], ids=["account deactivated", "extension disabled"])
def test_whose_account_may_no_longer_call_is_told_nothing(
    told: Profile, by: By, shopify: Extension, is_deactivated: bool
) -> None:
    listen(by)
    Webhook.objects.create(trigger="profile.updated", url=SHOP, user=shopify.service_account)
    if is_deactivated:
        User.objects.filter(extension=shopify).update(is_active=False)
    else:
        cataloguing.switch_extension(shopify, enabled=False, by=by)

    update(told, by=by, company="Engines")
    take_up_all()
    User.objects.filter(extension=shopify).update(is_active=True)
    cataloguing.switch_extension(shopify, enabled=True, by=by)
    update(told, by=by, company="More engines")
    take_up_all()

    assert [url for url, _body in sent()] == [HOOK, HOOK, SHOP]


def test_who_listens_is_asked_when_the_event_is_taken_up(told: Profile, by: By) -> None:
    gone = listen(by)
    update(told, by=by, company="Engines")
    gone.delete()
    listen(by, url=SHOP)

    take_up_all()

    assert [url for url, _body in sent()] == [SHOP]


def test_an_event_is_taken_up_once_however_often_it_is_begun(told: Profile, by: By) -> None:
    listen(by)
    react(("target.send", {"url": SHOP}), ("attribute.set", {"namespace": "a", "handle": "b", "value": 1}))
    update(told, by=by, company="Engines")
    event = Event.objects.get()

    # Killed before the commit: nothing has happened.
    with transaction.atomic():
        taking_up.take_up(event.pk, give_up=False)
        transaction.set_rollback(True)
    assert not Delivery.objects.exists() and not CustomAttribute.objects.exists()
    taking_up.take_up(event.pk, give_up=False)
    done = Event.objects.get(pk=event.pk).taken_up_at
    taking_up.take_up(event.pk, give_up=False)

    assert done is not None and Event.objects.get(pk=event.pk).taken_up_at == done
    assert len(sent()) == 2
    assert CustomAttribute.objects.count() == 1
    # Though it had been forgotten that it was.
    Event.objects.filter(pk=event.pk).update(taken_up_at=None)
    taking_up.take_up(event.pk, give_up=False)
    assert len(sent()) == 2


def test_an_event_that_is_gone_is_nobodys_affair() -> None:
    taking_up.take_up(10**9, give_up=False)


@pytest.mark.parametrize(
    ("condition", "is_told"),
    [
        (None, True),
        ({"!!": {"var": "identity.pos"}}, True),
        ({"!!": {"var": "identity.loyalty-card"}}, False),
        ({"==": [{"var": "identity.pos.identifier"}, "1"]}, True),
        ({"==": [{"var": "identity.pos.identifier"}, "2"]}, False),
        ({"some": [{"var": "identities"}, {"in": [{"var": "identifier"}, ["1", "7"]]}]}, True),
    ],
)
def test_a_condition_decides_by_identities_whether_a_webhook_or_a_reaction_is_told(
    told: Profile, by: By, condition: Any, is_told: bool
) -> None:
    listen(by, condition=condition)
    if condition is not None:
        react(("filter", {"condition": condition}), ("target.send", {"url": SHOP}))

    update(told, by=by, company="Engines")
    take_up_all()

    assert [url for url, _body in sent()] == ([HOOK, SHOP] if condition else [HOOK]) * is_told


@pytest.mark.parametrize(
    ("condition", "is_told"),
    [
        # The duplicate brought a card, which the survivor had not.
        ({"!!": {"var": "identity_before.duplicate.loyalty-card"}}, True),
        ({"!!": {"var": "identity_before.survivor.loyalty-card"}}, False),
        ({"!!": {"var": "identity.loyalty-card"}}, True),
        (
            {
                "and": [
                    {"!": {"var": "identity_before.survivor.loyalty-card"}},
                    {"!!": {"var": "identity.loyalty-card"}},
                ]
            },
            True,
        ),
        ({"==": [{"var": "identity_before.duplicate.loyalty-card.identifier"}, "9"]}, True),
        ({"==": [{"var": "identity_before.duplicate.loyalty-card.identifier"}, "8"]}, False),
        ({"some": [{"var": "identities_before.survivor"}, {"==": [{"var": "handle"}, "pos"]}]}, True),
        ({"some": [{"var": "identities_before.duplicate"}, {"==": [{"var": "handle"}, "pos"]}]}, False),
        ({"==": [{"var": "lineage.length"}, 1]}, True),
    ],
)
def test_a_merge_can_be_filtered_by_what_was_before_and_what_is_after(
    told: Profile, by: By, condition: Any, is_told: bool
) -> None:
    listen(by, "profile.merged", condition=condition)
    react(("filter", {"condition": condition}), ("target.send", {"url": SHOP}), trigger="profile.merged")
    merge(told, known("loyalty-card:9", by=by), by=by)

    (event,) = take_up_all()

    assert event.faults == []
    assert [url for url, _body in sent()] == [HOOK, SHOP] * is_told


def test_a_false_filter_stops_its_own_reaction_only(told: Profile, by: By) -> None:
    react(
        ("target.send", {"url": HOOK}),
        ("filter", {"condition": {"var": "nothing"}}),
        ("target.send", {"url": HOOK, "body": "never"}),
    )
    react(("target.send", {"url": SHOP}))

    update(told, by=by, company="Engines")
    take_up_all()

    assert [url for url, _body in sent()] == [HOOK, SHOP]


def test_what_is_wrong_with_one_keeps_no_other_from_theirs_and_stands_with_the_event(
    told: Profile, by: By, caplog: pytest.LogCaptureFixture
) -> None:
    divides = listen(by, condition=DIVIDES)
    listen(by, condition={"bogus": 1})
    fine = listen(by)
    worded = react(
        ("target.send", {"url": SHOP, "body": "before"}),
        ("attribute.set", {"namespace": "size", "handle": "shoe", "value": {"var": "first_name"}, "type": "integer"}),
        ("target.send", {"url": SHOP, "body": "never"}),
    )
    react(("profile.delete", {"url": SHOP}))
    react(("target.send", {}))
    react(("target.send", {"url": SHOP, "body": "last"}))

    update(told, by=by, company="Engines")
    with caplog.at_level(logging.WARNING):
        event = take_up_all()[0]

    assert [(url, body) for url, body in sent() if url == SHOP and isinstance(body, str)] == [
        (SHOP, "before"),
        (SHOP, "last"),
    ]
    assert Delivery.objects.filter(webhook__isnull=False).get().webhook == fine
    assert event.faults[0] == {"webhook": divides.pk, "message": "It divides by zero."}
    assert "There is no operator bogus" in event.faults[1]["message"]
    assert event.faults[2]["reaction"] == worded.pk
    assert event.faults[2]["action"] == worded.actions.all()[1].pk
    assert "size:shoe is not of the type integer" in event.faults[2]["message"]
    assert len(event.faults) == 5
    # Whom it was about is in none of it.
    assert "Ada" not in str(event.faults) + caplog.text
    assert f"Event {event.pk} was not told to webhook {divides.pk}: It divides by zero." in caplog.text


def test_what_the_database_does_not_take_keeps_no_other_from_theirs(told: Profile, by: By) -> None:
    large = {"*": [9e15] * 12}
    react(("attribute.set", {"namespace": "a", "handle": "b", "value": {"merge": [{"*": [large, large]}]}}))
    react(("target.send", {"url": SHOP}))

    update(told, by=by, company="Engines")
    (event,) = take_up_all()

    assert [fault["message"] for fault in event.faults] == ["DataError"]
    assert len(sent()) == 1


def test_what_is_too_large_for_the_database_keeps_no_other_from_theirs(told: Profile, by: By) -> None:
    # As no webhook can be saved any more: an index takes 2,704 bytes, and these are hardly compressed.
    long = listen(
        by, url="https://example.com/" + "".join(chr(0x4E00 + place * 7919 % 20_000) for place in range(2_000))
    )
    listen(by, url=SHOP)

    update(told, by=by, company="Engines")
    (event,) = take_up_all()

    assert event.faults == [{"webhook": long.pk, "message": "ProgramLimitExceeded"}]
    assert [url for url, _body in sent()] == [SHOP]


def test_an_event_that_cannot_be_shown_is_given_up_at_the_last_try(told: Profile, by: By) -> None:
    listen(by)
    event = Event.objects.create(trigger="profile.updated", profile=told, subject_type="spaceship", subject_key="1")

    with pytest.raises(KeyError):
        taking_up.take_up(event.pk, give_up=False)
    assert Event.objects.filter(taken_up_at=None).exists()
    taking_up.take_up(event.pk, give_up=True)

    event.refresh_from_db()
    assert event.taken_up_at is not None
    assert event.faults == [{"message": "KeyError"}]


def test_an_attribute_is_set_by_a_path_and_the_audit_says_by_which_reaction(told: Profile, by: By) -> None:
    made = react(
        ("attribute.set", {"namespace": "ids", "handle": "till", "value": {"var": "identity.pos.identifier"}})
    )

    update(told, by=by, company="Engines")
    take_up_all()

    attribute = CustomAttribute.objects.get(profile=told)
    assert (str(attribute), attribute.value) == ("ids:till", "1")
    audit = Audit.objects.get(auditable_type="custom_attribute")
    assert (audit.by.username, audit.token_name) == ("reactions", f"reaction {made.pk}")
    account = User.objects.get(username="reactions")
    assert not account.is_active and not account.has_usable_password()


@pytest.mark.parametrize("values", [{"is_active": True}, {"is_active": False, "password": make_password("a secret")}])
def test_a_reaction_writes_in_nobodys_name_who_can_sign_in(told: Profile, by: By, values: dict[str, Any]) -> None:
    User.objects.create(username="reactions", **{"password": make_password(None), **values})
    react(("attribute.set", {"namespace": "a", "handle": "b", "value": 1}))

    update(told, by=by, company="Engines")
    (event,) = take_up_all()

    assert not CustomAttribute.objects.exists()
    assert "account reactions" in event.faults[0]["message"]


def test_the_same_value_set_again_changes_nothing_so_that_a_loop_dies_out(told: Profile, by: By) -> None:
    react(("attribute.set", {"namespace": "ids", "handle": "till", "value": {"var": "identity.pos.identifier"}}))

    update(told, by=by, company="Engines")
    done = take_up_all()

    assert [one.depth for one in done] == [0, 1]
    assert Audit.objects.filter(auditable_type="custom_attribute").count() == 1


def test_a_loop_that_changes_something_each_time_is_cut(told: Profile, by: By) -> None:
    one_more = {"+": [{"var": ["custom_attributes.loop.count", 0]}, 1]}
    react(("attribute.set", {"namespace": "loop", "handle": "count", "value": one_more}))

    update(told, by=by, company="Engines")
    done = take_up_all()

    assert [one.depth for one in done] == list(range(events.MOST_DEPTH + 1))
    assert CustomAttribute.objects.get().value == events.MOST_DEPTH + 1


def test_however_many_values_reactions_set_a_profile_is_told_of_once(told: Profile, by: By) -> None:
    for name in ("one", "other"):
        steps = [
            ("attribute.set", {"namespace": name, "handle": handle, "value": {"+": [{"var": ["version", 0]}, 1]}})
            for handle in "abc"
        ]
        react(*steps)
    moving = {"+": [{"var": ["custom_attributes.loop.count", 0]}, 1]}
    for handle in ("count", "count-of-others", "count-of-all"):
        react(("attribute.set", {"namespace": "loop", "handle": handle, "value": moving}))

    update(told, by=by, company="Engines")
    done = take_up_all()

    assert [one.depth for one in done] == list(range(events.MOST_DEPTH + 1))
    assert CustomAttribute.objects.count() == 9


def test_what_could_not_be_set_is_no_change(told: Profile, by: By, monkeypatch: pytest.MonkeyPatch) -> None:
    put = attributing.put

    def fail(*given: Any, **named: Any) -> Any:
        put(*given, **named)
        raise ValueError

    react(("attribute.set", {"namespace": "a", "handle": "b", "value": 1}))
    update(told, by=by, company="Engines")
    monkeypatch.setattr(attributing, "put", fail)

    (event,) = take_up_all()

    assert [fault["message"] for fault in event.faults] == ["ValueError"]
    assert not CustomAttribute.objects.exists()


def test_what_a_path_does_not_lead_to_is_not_set_and_deletes_nothing(told: Profile, by: By) -> None:
    attributing.put(told.pk, Named("ids", "card", "7"), by=by, source=None)
    react(
        ("attribute.set", {"namespace": "ids", "handle": "card", "value": {"var": "identity.loyalty-card.identifier"}})
    )

    update(told, by=by, company="Engines")
    (event,) = take_up_all()

    assert CustomAttribute.objects.get().value == "7"
    assert event.faults == []


def test_an_attribute_goes_to_whom_the_record_belongs_by_now(told: Profile, by: By) -> None:
    react(
        ("attribute.set", {"namespace": "last", "handle": "sale", "value": {"var": "id"}}),
        trigger="transaction.created",
    )
    bo = known("loyalty-card:1", by=by)
    sale = came(Transaction, "pos:1", by=by)
    moving_records.move_record(Transaction, sale.pk, to=bo.pk, reason="", by=by)

    take_up_all()

    assert CustomAttribute.objects.get(profile=bo).value == sale.pk


def test_what_is_nobodys_has_nobody_to_set_an_attribute_of(by: By) -> None:
    react(
        ("attribute.set", {"namespace": "last", "handle": "sale", "value": {"var": "id"}}),
        trigger="transaction.created",
    )
    came(Transaction, by=by)

    (event,) = take_up_all()

    assert "no profile" in event.faults[0]["message"]


@pytest.mark.django_db(transaction=True)
def test_the_worker_takes_events_up_in_the_order_of_a_profile(by: By) -> None:
    listen(by)
    react(("target.send", {"url": SHOP, "body": {"var": "company"}}))
    ada = known("pos:1", by=by)
    for company in ("First", "Second", "Third"):
        update(ada, by=by, company=company)

    work()

    assert {status for status, _arguments in jobs("profiles.tasks.react")} == {"succeeded"}
    assert not Event.objects.filter(taken_up_at=None).exists()
    keys = list(Delivery.objects.filter(webhook__isnull=False).order_by("pk").values_list("event", flat=True))
    assert keys == sorted(keys) and len(keys) == 3


TAKE_UP = """
import sys
import django
django.setup()
from profiles.reacting import taking_up
taking_up.take_up(int(sys.argv[1]), give_up=False)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("table", "at"),
    [
        ("profiles_target", "INSERT"),
        ("profiles_delivery", "INSERT"),
        ("profiles_customattribute", "INSERT"),
        ("profiles_event", "INSERT"),
        ("profiles_event", "UPDATE"),
    ],
)
def test_a_worker_that_is_killed_has_done_nothing_and_the_next_one_does_all(table: str, at: str, by: By) -> None:
    listen(by)
    react(
        ("attribute.set", {"namespace": "ids", "handle": "till", "value": {"var": "identity.pos.identifier"}}),
        ("target.send", {"url": SHOP}),
    )
    update(known("pos:1", by=by), by=by, company="Engines")
    event = Event.objects.get()

    with killed_at(table, TAKE_UP, str(event.pk), event=at):
        pass

    assert not sent() and not CustomAttribute.objects.exists()
    assert Event.objects.get().taken_up_at is None
    first, consequence = take_up_all()
    assert (first.pk, consequence.depth) == (event.pk, 1)
    assert [url for url, _body in sent()] == [HOOK, SHOP, HOOK, SHOP]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["webhook", "reaction", "action"])
def test_who_is_deleted_while_it_is_told_waits_for_that_and_leaves_nothing_on_its_way(by: By, what: str) -> None:
    gone, _stays, reaction = listen(by), listen(by, url=SHOP), react(("target.send", {"url": HOOK}))
    update(known("pos:1", by=by), by=by, company="Engines")
    event = Event.objects.get()
    delete = {
        "webhook": lambda: listening.delete_webhook(gone.pk, by=by),
        "reaction": lambda: listening.delete_reaction(reaction.pk, by=by),
        "action": lambda: listening.change_reaction(reaction.pk, {}, [], by=by),
    }[what]

    with ThreadPoolExecutor(2) as pool:
        with stopped_at("profiles_event", "UPDATE"):
            taking = pool.submit(in_a_thread, lambda: taking_up.take_up(event.pk, give_up=False))
            wait_until(somebody_waits)
            deleting = pool.submit(in_a_thread, delete)
            wait_until(lambda: waiting() == 2)
        taking.result(timeout=30)
        deleting.result(timeout=30)

    hooks, acts = (set(kind.objects.values_list("pk", flat=True)) for kind in (Webhook, Action))
    wanted = [one.webhook_id in hooks or one.action_id in acts for one in Delivery.objects.order_by("pk")]
    assert wanted == [what != "webhook", True, what == "webhook"]
    assert Event.objects.get().faults == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("what", ["webhook", "reaction", "action"])
def test_who_is_deleted_between_being_asked_and_told_is_left_out(by: By, what: str) -> None:
    gone, reaction = listen(by), react(("target.send", {"url": HOOK}))
    listen(by, url=SHOP)
    update(known("pos:1", by=by), by=by, company="Engines")
    event = Event.objects.get()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            if what == "webhook":
                listening.delete_webhook(gone.pk, by=by)
            elif what == "reaction":
                listening.delete_reaction(reaction.pk, by=by)
            else:
                listening.change_reaction(reaction.pk, {}, [], by=by)
            taking = pool.submit(in_a_thread, lambda: taking_up.take_up(event.pk, give_up=False))
            wait_until(somebody_waits)
        taking.result(timeout=30)

    assert [url for url, _body in sent()] == ([SHOP, HOOK] if what == "webhook" else [HOOK, SHOP])
    assert Event.objects.get().faults == []


def waiting() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return int(cursor.fetchone()[0])


def in_a_thread(act: Callable[[], Any]) -> Any:
    try:
        return act()
    finally:
        connection.close()


@pytest.mark.django_db(transaction=True)
def test_no_lock_is_held_while_conditions_are_worked_out(by: By, monkeypatch: pytest.MonkeyPatch) -> None:
    ada = known("pos:1", by=by)
    react(("attribute.set", {"namespace": "a", "handle": "b", "value": 1}))
    react(("filter", {"condition": {"!!": {"var": "id"}}}), ("target.send", {"url": SHOP}))
    update(ada, by=by, company="Engines")
    event = Event.objects.get()
    asked = []
    answer = conditions.answer

    def ask(*given: Any) -> Any:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(in_a_thread, lambda: update(ada, by=by, first_name="Zoë")).result(timeout=30)
        asked.append(connection.in_atomic_block)
        return answer(*given)

    monkeypatch.setattr(conditions, "answer", ask)
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '10s'")
    taking_up.take_up(event.pk, give_up=False)

    assert asked == [False]
    assert len(sent()) == 1 and CustomAttribute.objects.count() == 1


def test_a_filter_after_an_attribute_was_set_sees_what_was_there_before(told: Profile, by: By) -> None:
    react(
        ("attribute.set", {"namespace": "a", "handle": "b", "value": 1}),
        ("filter", {"condition": {"!": {"var": "custom_attributes.a.b"}}}),
        ("target.send", {"url": SHOP}),
    )

    update(told, by=by, company="Engines")
    taking_up.take_up(Event.objects.get().pk, give_up=False)

    assert CustomAttribute.objects.get().value == 1
    assert len(sent()) == 1


def test_all_who_listen_share_the_steps_of_one_event(told: Profile, by: By, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "MOST_TOGETHER", 1_500)
    for _number in range(9):
        listen(by, condition={"!": {"some": [[1] * 30, {"==": [{"var": ""}, 2]}]}})
    react(("target.send", {"url": SHOP, "body": {"var": "id"}}))

    update(told, by=by, company="Engines")
    (event,) = take_up_all()

    reasons = [fault["message"] for fault in event.faults]
    assert reasons[-1] == "All who listen to this event take too many steps together."
    assert len(reasons) > 1 and len(sent()) > 1
    assert len(reasons) + len(sent()) == 10


def test_a_hundred_listen_to_one_trigger_at_most(by: By) -> None:
    for number in range(listening.MOST_LISTENERS - 1):
        listen(by, is_active=True) if number % 2 else react()
    last = listening.add_webhook({"trigger": "profile.updated", "url": HOOK}, by=by)
    silent = listening.add_reaction({"name": "Later", "trigger": "profile.updated", "is_active": False}, by=by)
    elsewhere = listening.add_webhook({"trigger": "profile.created", "url": HOOK}, by=by)

    for add in (
        lambda: listening.add_webhook({"trigger": "profile.updated", "url": HOOK}, by=by),
        lambda: listening.add_reaction({"name": "More", "trigger": "profile.updated"}, by=by),
        lambda: listening.change_reaction(silent.pk, {"is_active": True}, by=by),
        lambda: listening.change_webhook(elsewhere.pk, {"trigger": "profile.updated"}, by=by),
    ):
        with pytest.raises(Refused) as refused:
            add()
        assert (refused.value.code, refused.value.field) == ("too_many_listeners", "trigger")
    listening.change_webhook(last.pk, {"url": SHOP}, by=by)
    listening.change_webhook(last.pk, {"is_active": False}, by=by)
    assert listening.change_reaction(silent.pk, {"is_active": True}, by=by).is_active


# POST /profiles/sync


@pytest.fixture
def five(by: By) -> list[Profile]:
    """Changed in another order than they were made, a minute apart."""
    made = [known(f"pos:{number}", by=by) for number in range(5)]
    for minute, profile in enumerate([made[3], made[0], made[4], made[1], made[2]]):
        at = timezone.now() - timedelta(minutes=60 - minute)
        Profile.objects.filter(pk=profile.pk).update(updated_at=at)
    return made


def step() -> bool:
    """Do the next step of a sync, as the worker would."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            UPDATE procrastinate_jobs SET status = 'succeeded' WHERE id = (
                SELECT min(id) FROM procrastinate_jobs WHERE task_name = %s AND status = 'todo'
            ) RETURNING args
            """,
            [syncing.TASK],
        )
        row = cursor.fetchone()
    if row is None:
        return False
    given = row[0] if isinstance(row[0], dict) else json.loads(row[0])
    syncing.tell(given["audit_id"], given["updated_at"], uuid.UUID(given["profile_id"]))
    return True


def test_a_sync_tells_of_what_was_changed_since_in_the_order_of_the_changes(
    five: list[Profile], by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "MOST_AT_ONCE", 2)
    listen(by)
    deleted = known("pos:9", by=by)
    Profile.objects.filter(pk=deleted.pk).update(profile_type="deleted")
    since = Profile.objects.get(pk=five[0].pk).updated_at

    syncing.ask(since, by=by)
    steps = 0
    while step():
        steps += 1

    told = Event.objects.filter(trigger="profile.updated").order_by("pk").values_list("profile", flat=True)
    assert list(told) == [five[0].pk, five[4].pk, five[1].pk, five[2].pk]
    assert steps == 3
    take_up_all()
    assert [body["id"] for _url, body in sent()] == [str(pk) for pk in told]


def test_a_sync_of_all_tells_of_all_but_what_came_after_it(five: list[Profile], by: By) -> None:
    listen(by)
    syncing.ask(None, by=by)
    known("pos:6", by=by)

    while step():
        pass

    assert Event.objects.filter(trigger="profile.updated").count() == 5


def test_a_sync_that_two_workers_do_at_once_goes_on_once(
    five: list[Profile], by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(syncing, "MOST_AT_ONCE", 2)
    listen(by)
    audit = syncing.ask(None, by=by)
    syncing.tell(audit.pk, "-infinity", uuid.UUID(int=0))
    before = len([one for one in jobs(syncing.TASK) if one[0] == "todo"])
    syncing.tell(audit.pk, "-infinity", uuid.UUID(int=0))

    assert len([one for one in jobs(syncing.TASK) if one[0] == "todo"]) == before


def test_a_sync_ends_when_nobody_listens(five: list[Profile], by: By, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(syncing, "MOST_AT_ONCE", 2)
    listen(by, is_active=False)
    syncing.ask(None, by=by)

    assert step() and not step()

    assert not Event.objects.exists()


# What is over


def test_old_events_are_forgotten_with_their_deliveries_and_what_is_under_way_is_not(
    told: Profile, by: By, settings: Any
) -> None:
    listen(by)
    settings.EVENT_DAYS = 30
    long_ago, lately = timezone.now() - timedelta(days=31), timezone.now() - timedelta(days=29)
    kept = {}
    for name in ("old", "waiting", "finished lately", "new", "not taken up"):
        update(told, by=by, company=name)
        if name != "not taken up":
            take_up_all()
        event = Event.objects.latest("pk")
        Event.objects.filter(pk=event.pk).update(created_at=lately if name == "new" else long_ago)
        finished = {"waiting": None, "finished lately": lately}.get(name, long_ago)
        state = "waiting" if finished is None else "dead"
        event.deliveries.update(state=state, finished_at=finished)
        kept[name] = event.pk

    forgetting.forget_old()

    assert set(Event.objects.values_list("pk", flat=True)) == set(kept.values()) - {kept["old"]}
    assert Delivery.objects.count() == 3


def test_many_old_events_are_forgotten_bit_by_bit(told: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "MOST_AT_ONCE", 2)
    long_ago = timezone.now() - timedelta(days=400)
    Event.objects.bulk_create(
        Event(trigger="profile.updated", profile=told, created_at=long_ago, taken_up_at=long_ago) for _one in range(5)
    )

    forgetting.forget_old()

    assert not Event.objects.exists()
