"""Idempotency-Key on every write (API.md 1): done once, answered again, whatever dies or races in between."""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections import Counter
from typing import Any

import psycopg.errors
import pytest
from django.db import DatabaseError, OperationalError, transaction
from procrastinate.contrib.django.models import ProcrastinateJob
from rest_framework.request import Request
from rest_framework.response import Response

from identities import replaying
from identities.models import ApiToken, IdempotencyRecord, Identity, RoutingLogEntry
from omneo_identity import urls
from omneo_identity.api.routers import paths
from omneo_identity.api.views import ApiViewSet
from profiles.models import Audit, Profile
from tests.api.conftest import CARD, Caller, conflict, refused, sale, visit
from tests.killing import killed_at
from tests.racing import Met, at_once, meeting, slow_inserts, somebody_waits

pytestmark = pytest.mark.django_db

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
ADA = {"first_name": "Ada", "identities": [{"handle": CARD, "identifier": "1804974"}]}
PATIENCE = 30


class Failing(ApiViewSet):
    """What no endpoint of the product does at will: it writes, and then the database or the code fails."""

    scopes = {"create": ""}
    error: Exception | None = None
    status = 200

    def create(self, request: Request) -> Response:
        Profile.objects.create(first_name="Ada")
        if self.error:
            raise self.error
        return Response({}, self.status)


urlpatterns = [
    *paths(Failing, "failing", {"api/v3/failing": {"post": "create"}}),
    *urls.urlpatterns,
]
handler404, handler500 = urls.handler404, urls.handler500


def send(api: Caller, method: str, path: str, body: Any = b"", key: str = KEY) -> Any:
    return api.call(method, path, body, **{"Idempotency-Key": key})


def post(api: Caller, body: Any, key: str = KEY) -> Any:
    return send(api, "POST", "/profiles", body, key)


def is_replay(response: Any) -> bool:
    assert response.headers.get("Idempotent-Replay") in (None, "true")
    return "Idempotent-Replay" in response.headers


def told(response: Any) -> tuple[Any, ...]:
    """All of an answer but what is each request's own."""
    own = {"Idempotent-Replay", "X-Request-ID"}
    return response.status_code, response.content, {k: v for k, v in response.headers.items() if k not in own}


# The same request again


def test_the_same_request_is_answered_again_and_does_nothing_twice(api, unchanged) -> None:
    first = post(api, ADA)
    assert (first.status_code, is_replay(first)) == (201, False)

    with unchanged():
        again = post(api, ADA)

    assert is_replay(again)
    assert told(again) == told(first)


def test_without_a_key_nothing_is_kept(api) -> None:
    api.post("/profiles", ADA)

    assert not IdempotencyRecord.objects.exists()


def test_every_write_is_answered_again(api, ada, bo, unchanged) -> None:
    profile, card = f"/profiles/{ada['id']}", ada["identities"][0]["id"]
    writes: list[tuple[str, str, Any, int]] = [
        ("PUT", profile, {"title": "Countess"}, 200),
        ("POST", f"{profile}/identities", {"handle": "pos", "identifier": "7"}, 201),
        ("PUT", f"{profile}/identities/pos", {"identifier": "8"}, 200),
        (
            "POST",
            "/identities/batch",
            {"identities": [{"profile_id": bo["id"], "handle": "pos", "identifier": "9"}]},
            200,
        ),
        ("POST", f"/identities/{card}/move", {"profile_id": bo["id"], "reason": "Bo's"}, 200),
        ("DELETE", f"{profile}/identities/pos", b"", 204),
        ("PUT", "/handles/pos", {"label": "The till"}, 200),
        ("POST", "/transactions", sale(f"{CARD}:1804974", external_id="T7-1"), 201),
        ("POST", "/transactions/update-create", sale(f"{CARD}:1804974", external_id="T7-1", total=20), 200),
        ("POST", "/interactions", visit(f"{CARD}:1804974"), 201),
        ("POST", "/rewards/definitions", {"name": "Gift", "handle": "gift", "value": 5}, 201),
        ("PUT", f"{profile}/attributes/custom/club:tier", {"type": "string", "value": "gold"}, 200),
        ("POST", "/profiles/availability", {"email": "ada@example.com"}, 200),
        ("POST", f"{profile}/split", {"contacts": ["ada@example.com"]}, 200),
        ("POST", "/profiles/merge", {"source_profile_id": bo["id"], "destination_profile_id": ada["id"]}, 200),
        ("DELETE", profile, b"", 204),
        ("PUT", f"{profile}/update-type", {"profile_type": "active"}, 200),
    ]
    for number, (method, path, body, status) in enumerate(writes):
        first = send(api, method, path, body, f"key-{number}")
        assert first.status_code == status, (path, first.content)

        with unchanged():
            again = send(api, method, path, body, f"key-{number}")

        assert is_replay(again), path
        assert told(again) == told(first)


def test_the_headers_of_an_answer_are_given_again(api, ada, bo) -> None:
    Profile.objects.filter(pk=bo["id"]).update(merged_into=ada["id"])

    first, again = (send(api, "PUT", f"/profiles/{bo['id']}", {"title": "Countess"}) for _time in range(2))

    assert again.headers["Content-Location"].endswith(f"/profiles/{ada['id']}")
    assert (told(again), is_replay(again)) == (told(first), True)


def test_a_deletion_is_answered_again_without_a_body_though_there_is_nothing_left_to_delete(api, ada) -> None:
    path = f"/profiles/{ada['id']}"
    send(api, "DELETE", path)

    again = send(api, "DELETE", path)

    assert (again.status_code, again.content, is_replay(again)) == (204, b"", True)
    assert "Content-Type" not in again.headers
    assert Audit.objects.filter(event="deleted", auditable_type="profile").count() == 1


def test_a_refusal_is_answered_again_though_it_would_come_through_by_now(api, ada, unchanged) -> None:
    path, body = f"/profiles/{ada['id']}/identities", {"handle": "shopify", "identifier": "7"}
    first = send(api, "POST", path, body)
    refused(first, "reserved_handle", "handle")
    ada_is_gone = send(api, "PUT", "/profiles/00000000-0000-0000-0000-000000000007", {"title": "Countess"}, "another")
    assert ada_is_gone.status_code == 404

    with unchanged():
        again = send(api, "POST", path, body)

    assert is_replay(again)
    assert told(again) == told(first)
    assert is_replay(
        send(api, "PUT", "/profiles/00000000-0000-0000-0000-000000000007", {"title": "Countess"}, "another")
    )


def test_the_log_entry_of_a_refusal_stands_and_a_replay_does_not_count_it_up(api, ada, bo) -> None:
    path, body = f"/profiles/{bo['id']}/identities", {"handle": CARD, "identifier": "1804974"}

    first = send(api, "POST", path, body)
    again = send(api, "POST", path, body)

    refused(first, "identity_taken", "identifier")
    assert told(again) == told(first)
    entry = RoutingLogEntry.objects.get(outcome="identity_taken")
    assert (entry.pk, entry.occurrences) == (first.json()["log_entry_id"], 1)


def test_what_is_left_to_the_worker_is_queued_once(api) -> None:
    body = {"match_criteria": "email", "profiles": [{"email": "ada@example.com"}]}

    first, again = (send(api, "POST", "/profiles/batch", body) for _time in range(2))

    assert first.status_code == 200, first.content
    assert (told(again), is_replay(again)) == (told(first), True)
    assert ProcrastinateJob.objects.count() == 1


def test_a_body_is_the_same_however_its_json_is_written(api) -> None:
    first = post(api, b'{"first_name": "Ada", "last_name": "Lovelace", "title": "\\u00e9"}')

    again = post(api, '{ "title":"é",\n"last_name":"Lovelace","first_name":"Ada"}'.encode())

    assert told(again) == told(first)
    assert Profile.objects.count() == 1


# Another request


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/profiles", {**ADA, "first_name": "Augusta"}),
        ("POST", "/profiles", b""),
        ("POST", "/profiles?utm=1", ADA),
        ("POST", "/profiles/search-id", ADA),
        ("PUT", "/profiles/{id}", ADA),
        ("DELETE", "/profiles/{id}", ADA),
    ],
)
def test_a_key_that_came_with_another_request_is_refused(api, unchanged, method, path, body) -> None:
    first = post(api, ADA)

    with unchanged():
        response = send(api, method, path.format(id=first.json()["data"]["id"]), body)

    refused(response, "idempotency_key_reused", "Idempotency-Key")
    assert not is_replay(response)


def test_a_key_that_came_with_another_method_is_refused(api, ada, unchanged) -> None:
    send(api, "PUT", f"/profiles/{ada['id']}")

    with unchanged():
        response = send(api, "DELETE", f"/profiles/{ada['id']}")

    refused(response, "idempotency_key_reused", "Idempotency-Key")


def test_another_caller_may_use_the_same_key(api, shopify) -> None:
    ours, theirs = post(api, ADA), post(shopify, {"first_name": "Bo"})

    assert (ours.status_code, theirs.status_code) == (201, 201)
    assert post(api, ADA).json() == ours.json()
    assert post(shopify, {"first_name": "Bo"}).json() == theirs.json()


def test_another_token_of_the_same_account_is_the_same_caller(api, caller) -> None:
    first = post(api, ADA)

    assert told(post(caller("create-profiles"), ADA)) == told(first)


def test_a_token_that_speaks_for_an_extension_is_not_answered_what_staff_was(operator, api, shopify) -> None:
    path, body = "/profiles", {"identities": [{"handle": "shopify", "identifier": "7"}]}
    ApiToken.objects.filter(pk=shopify.token.pk).update(user=operator)
    send(api, "POST", path, body)

    refused(send(shopify, "POST", path, body), "idempotency_key_reused", "Idempotency-Key")


def test_who_lacks_the_scope_is_not_answered_what_another_token_was(api, caller) -> None:
    post(api, ADA)

    assert post(caller("read-profiles"), ADA).status_code == 403


@pytest.mark.parametrize("seconds", [-60, 0])
def test_after_24_hours_a_key_is_forgotten(api, seconds) -> None:
    first = post(api, ADA).json()
    age = replaying.KEPT + datetime.timedelta(seconds=seconds)
    IdempotencyRecord.objects.update(created_at=IdempotencyRecord.objects.get().created_at - age)

    again = post(api, {"first_name": "Bo"} if seconds == 0 else ADA)

    assert is_replay(again) == (seconds < 0)
    assert (again.json()["data"]["id"] == first["data"]["id"]) == (seconds < 0)
    if seconds == 0:
        assert told(post(api, {"first_name": "Bo"})) == told(again)


def test_answers_of_more_than_24_hours_ago_are_deleted(api, monkeypatch, django_assert_num_queries) -> None:
    monkeypatch.setattr(replaying, "BATCH", 2)
    for number in range(6):
        post(api, {"first_name": f"{number}"}, key=f"key-{number}")
    old = IdempotencyRecord.objects.filter(key__in=[f"key-{number}" for number in range(5)])
    for record in old:
        IdempotencyRecord.objects.filter(pk=record.pk).update(created_at=record.created_at - replaying.KEPT)

    forgotten = replaying.forget_expired()

    assert forgotten == 5
    assert [record.key for record in IdempotencyRecord.objects.all()] == ["key-5"]
    assert replaying.forget_expired() == 0


# Which requests, which keys


@pytest.mark.parametrize("key", ["", " ", "two words", "é", "k\x7f", "k" * 256, "tab\there"])
def test_a_key_that_cannot_be_is_a_422(api, unchanged, key) -> None:
    with unchanged():
        response = post(api, ADA, key)

    refused(response, "invalid", "Idempotency-Key")


@pytest.mark.parametrize("key", ["0", "k" * 255, '"quoted"', "!~,;=%s{}'\\"])
def test_any_visible_ascii_is_a_key(api, key) -> None:
    first = post(api, ADA, key)

    assert first.status_code == 201
    assert told(post(api, ADA, key)) == told(first)


def test_a_read_ignores_the_key(api, ada) -> None:
    for key in (KEY, "two words"):
        for _time in range(2):
            response = send(api, "GET", f"/profiles/{ada['id']}", key=key)

            assert (response.status_code, is_replay(response)) == (200, False)
    assert not IdempotencyRecord.objects.exists()


def test_the_secret_of_a_token_is_never_kept(api) -> None:
    body = {"name": "Till", "scopes": ["read-profiles"]}

    first, second = (send(api, "POST", "/auth/api-tokens", body) for _time in range(2))
    gone = send(api, "DELETE", f"/auth/api-tokens/{first.json()['token']['id']}")

    assert (first.status_code, second.status_code, gone.status_code) == (201, 201, 204)
    assert first.json()["accessToken"] != second.json()["accessToken"]
    assert not IdempotencyRecord.objects.exists()


def test_who_may_not_call_keeps_nothing_and_a_body_that_cannot_be_read_neither(api, caller) -> None:
    assert post(Caller("nonsense"), ADA).status_code == 401
    assert post(caller("read-profiles"), ADA).status_code == 403
    assert send(api, "PATCH", "/profiles", ADA).status_code == 405
    assert post(api, b"{").status_code == 400
    assert post(api, b"[]").status_code == 422
    assert not IdempotencyRecord.objects.exists()

    assert post(api, ADA).status_code == 201


def test_a_key_takes_the_same_few_statements_whatever_it_is_for(api, ada, django_assert_num_queries) -> None:
    body = {"title": "Countess"}
    path = f"/profiles/{ada['id']}"
    api.put(path, {"title": "Lady"})
    with django_assert_num_queries(9) as without:
        api.put(path, body)
    # The claim, the record, two looks at erasures, the record's insert, and the savepoint's two ends.
    with django_assert_num_queries(len(without) + 7):
        send(api, "PUT", path, {"title": "Lady"})
    with django_assert_num_queries(1 + 2 + 2):  # The token, the savepoint, the claim and the record.
        send(api, "PUT", path, {"title": "Lady"})


# What fails


@pytest.mark.urls(__name__)
@pytest.mark.parametrize(
    ("error", "status"),
    [(OperationalError("Busy."), 503), (DatabaseError("No."), 500), (RuntimeError("A fault."), 500), (None, 503)],
)
def test_a_failure_changes_nothing_and_is_not_kept(api, monkeypatch, unchanged, error, status) -> None:
    api.client.raise_request_exception = False
    with monkeypatch.context() as failing, unchanged():
        failing.setattr(Failing, "error", error)
        failing.setattr(Failing, "status", 503)
        assert send(api, "POST", "/failing").status_code == status

    response = send(api, "POST", "/failing")

    assert (response.status_code, is_replay(response)) == (200, False)
    assert Profile.objects.count() == 1


# Races, in real threads


races = pytest.mark.django_db(transaction=True)


def statuses(met: Met) -> Counter[int]:
    return Counter(response.status_code for response in met)


@races
@pytest.mark.parametrize("rounds", [2, pytest.param(20, marks=pytest.mark.slow)], ids=["short", "long"])
def test_of_eight_equal_requests_at_once_one_is_done(api, rounds) -> None:
    for round_ in range(rounds):
        key, body = f"key-{round_}", {"first_name": "Ada", "last_name": f"{round_}"}
        with slow_inserts("identities_idempotencyrecord", seconds=0.1):
            met = at_once(*[lambda key=key, body=body: post(api, body, key)] * 8)

        done = [response for response in met if response.status_code == 201 and not is_replay(response)]
        assert len(done) == 1
        for response in met:
            if response.status_code == 409:
                conflict(response, "idempotency_key_in_flight")
            else:
                assert told(response) == told(done[0])
        assert statuses(met)[409] > 0
        assert Profile.objects.filter(last_name=f"{round_}").count() == 1
        assert told(post(api, body, key)) == told(done[0])


@races
def test_a_key_in_flight_keeps_no_other_key_waiting(api, shopify) -> None:
    with slow_inserts("identities_idempotencyrecord", seconds=0.1):
        met = at_once(
            lambda: post(api, {"first_name": "Ada"}, "one"),
            lambda: post(api, {"first_name": "Ada"}, "two"),
            lambda: post(shopify, {"first_name": "Ada"}, "one"),
        )

    assert statuses(met) == {201: 3}


@races
def test_a_lost_race_within_a_keyed_request_is_tried_again(api) -> None:
    with meeting(2):
        met = at_once(lambda: post(api, ADA, "one"), lambda: post(api, ADA, "two"))

    assert psycopg.errors.UniqueViolation in met.errors
    assert statuses(met) == {201: 1, 200: 1}
    assert len({response.json()["data"]["id"] for response in met}) == 1
    assert Profile.objects.count() == 1


@races
def test_the_log_entry_of_a_refusal_stands_though_a_race_was_lost_before(api, ada, bo) -> None:
    def adding(one, identifier):
        pair = {"handle": "pos", "identifier": identifier}
        return lambda: send(api, "POST", f"/profiles/{one['id']}/identities", pair, f"{one['id']}-{identifier}")

    # Nearly always the first: whoever is late by then has lost no race, and only sees the other one's pair.
    for round_ in range(10):
        writes = [adding(one, str(round_ + 7)) for one in (ada, bo)]
        with meeting(2):
            met = at_once(*writes)
        if met.errors:
            break

    assert psycopg.errors.UniqueViolation in met.errors
    assert statuses(met) == {201: 1, 422: 1}
    (refusal,) = (response.json() for response in met if response.status_code == 422)
    entry = RoutingLogEntry.objects.latest("pk")
    assert (entry.pk, entry.outcome, entry.occurrences) == (refusal["log_entry_id"], "identity_taken", 1)
    assert [str(pk) for pk in entry.candidates] == [refusal["profile_id"]]
    for again in (write() for write in writes):
        assert is_replay(again)
    assert RoutingLogEntry.objects.latest("pk").occurrences == 1


@races
def test_a_batch_that_deadlocks_starts_over_as_a_whole_and_succeeds(api, ada, bo) -> None:
    is_held = threading.Event()
    pairs = [{"profile_id": one["id"], "handle": "pos", "identifier": "7"} for one in (ada, bo)]

    def batch() -> Any:
        is_held.wait(PATIENCE)
        return send(api, "POST", "/identities/batch", {"identities": pairs})

    def lock_the_other_way_round() -> None:
        with transaction.atomic():
            Profile.objects.lock([bo["id"]])
            is_held.set()
            while not somebody_waits():
                time.sleep(0.01)
            Profile.objects.lock([ada["id"]])

    met = at_once(batch, lock_the_other_way_round)

    assert met.errors == [psycopg.errors.DeadlockDetected]
    assert [row["result"] for row in met[0].json()["data"]] == ["created", "error"]
    assert Identity.objects.filter(handle="pos").count() == 1
    assert Audit.objects.filter(auditable_type="identity", new_values__handle="pos").count() == 1
    assert RoutingLogEntry.objects.get(outcome="identity_taken").occurrences == 1


# A process that dies between the change and the stored answer

REQUEST = """
import json, sys
import django
django.setup()
from django.test import Client
method, path, body, headers = json.loads(sys.argv[1])
Client(headers=headers).generic(method, path, body, "application/json")
"""


@races
def test_a_process_killed_between_change_and_answer_leaves_neither(caller) -> None:
    # What each request of this token counts up must not be locked by the one that is stuck.
    api = caller(rate_limit=1_000)
    headers = {"Authorization": f"Bearer {api.plain}", "Idempotency-Key": KEY}
    request = json.dumps(["POST", "/api/v3/profiles", json.dumps(ADA), headers])
    api.get("/auth/verify")  # When the token was last used is written once a minute.

    with killed_at("identities_idempotencyrecord", REQUEST, request):
        conflict(post(api, ADA), "idempotency_key_in_flight")

    assert not Profile.objects.exists()
    assert not Identity.objects.exists()
    assert not IdempotencyRecord.objects.exists()
    response = post(api, ADA)
    assert (response.status_code, is_replay(response)) == (201, False)
    assert told(post(api, ADA)) == told(response)
