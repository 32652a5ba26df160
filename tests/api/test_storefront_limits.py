"""How often the storefront is listened to, and that nobody is locked out by somebody else."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest
from django.conf import settings as product
from django.db.models import F

from identities import admitting
from identities.models import CallCount, Extension
from tests.storefront import SECRET, VARIABLE, passed_on, sign_in, visit
from tests.working import environment

pytestmark = pytest.mark.django_db

ADA, BO = "6432187489345", "77"
PLATFORM, HOME, OFFICE = "198.51.100.1", "203.0.113.7", "192.0.2.9"
TOO_MANY = (429, {"message": "Too many requests."})


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    Extension.objects.filter(pk="shopify").update(secret_variables=[VARIABLE])
    monkeypatch.setenv(VARIABLE, SECRET)


@pytest.fixture(autouse=True)
def small_limits(settings: Any) -> None:
    settings.STOREFRONT_CUSTOMER_LIMIT = 5
    settings.STOREFRONT_ANONYMOUS_LIMIT = 8
    settings.STOREFRONT_FAILURE_LIMIT = 30


@pytest.fixture(autouse=True)
def known(shopify: Any, ada: Any, bo: Any) -> None:
    shopify.identity(ada, "shopify", ADA)
    shopify.identity(bo, "shopify", BO)


def pass_by(seconds: float) -> None:
    CallCount.objects.update(window_started_at=F("window_started_at") - datetime.timedelta(seconds=seconds))


def signs_in(customer: str, address: str = HOME, **how: Any) -> int:
    return int(sign_in(customer, REMOTE_ADDR=address, **how).status_code)


def passed(customer: str, address: str = PLATFORM, visitor: str = "", query: str = "") -> int:
    """A request that the platform passes on; it appends whom it heard from."""
    headers = {"X-Forwarded-For": visitor} if visitor else {}
    return int(visit(query or passed_on(customer), REMOTE_ADDR=address, headers=headers).status_code)


def fails(customer: str, times: int, address: str = HOME) -> list[int]:
    return [signs_in(customer, address, signature="0" * 64) for _ in range(times)]


# What is rightly signed


def test_a_customer_is_signed_in_so_often_a_minute_over_both_ways_and_from_anywhere() -> None:
    addresses = (HOME, OFFICE)
    assert [signs_in(ADA, address) for address in addresses] == [200, 200]
    assert [passed(ADA, address) for address in addresses] == [200, 200]
    assert signs_in(ADA) == 200

    refused = sign_in(ADA, REMOTE_ADDR=HOME)

    assert (refused.status_code, refused.json()) == TOO_MANY
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert passed(ADA) == 429
    assert signs_in(BO) == 200
    pass_by(60)
    assert signs_in(ADA) == 200


def test_a_customer_whom_nobody_is_is_counted_like_one_who_is_known() -> None:
    assert [signs_in("999") for _ in range(6)] == [404] * 5 + [429]


def test_visitors_who_are_not_logged_in_are_counted_by_the_address_that_the_platform_has() -> None:
    assert [passed("", visitor=HOME) for _ in range(9)] == [200] * 8 + [429]
    assert passed("", visitor=OFFICE) == 200
    assert passed(ADA, visitor=HOME) == 200


def test_what_a_visitor_says_of_their_address_counts_for_nothing(settings: Any) -> None:
    settings.PROXIES = 1
    for number in range(8):
        assert passed("", visitor=f"10.0.0.{number}, {HOME}, {PLATFORM}") == 200

    assert passed("", visitor=f"10.0.0.99, {HOME}, {PLATFORM}") == 429
    assert passed("", visitor=f"10.0.0.99, {OFFICE}, {PLATFORM}") == 200


@pytest.mark.parametrize(
    ("proxies", "visitor"), [(0, ""), (0, "unknown"), (1, PLATFORM), (1, f"nonsense, {PLATFORM}")]
)
def test_a_platform_that_says_nothing_of_the_visitor_is_counted_itself(
    proxies: int, visitor: str, settings: Any
) -> None:
    settings.PROXIES = proxies
    address = OFFICE if proxies else PLATFORM

    assert [passed("", address, visitor) for _ in range(9)] == [200] * 8 + [429]
    settings.PROXIES = 0
    assert passed("", PLATFORM) == 429


def test_the_addresses_of_one_network_of_ipv6_are_one() -> None:
    assert [passed("", visitor=f"2001:db8::{number}") for number in range(9)] == [200] * 8 + [429]
    assert passed("", visitor="2001:db8:0:1::1") == 200


# Failures


def test_failures_are_counted_by_address_and_answered_by_429_past_the_limit() -> None:
    assert [signs_in(f"c{number}", signature="0" * 64) for number in range(32)] == [401] * 30 + [429] * 2
    assert passed("", HOME, query=passed_on("5", secret="no")) == 429
    assert passed("", HOME, query="nothing=at-all") == 429
    assert fails("c0", 1, OFFICE) == [401]
    pass_by(60)
    assert fails("c0", 1) == [401]


def test_stale_queries_and_those_that_mean_nothing_are_failures_too(settings: Any) -> None:
    settings.STOREFRONT_FAILURE_LIMIT = 2

    assert passed("", HOME, query=passed_on(ADA, age=999)) == 401
    assert passed("", HOME, query="x=1") == 401
    assert passed("", HOME, query="x=2") == 429


def test_the_same_customer_is_guessed_at_from_one_address_only_so_often_right_or_wrong() -> None:
    assert fails(ADA, 12) == [401] * 10 + [429] * 2

    assert signs_in(ADA) == 429
    assert passed(ADA, HOME) == 429
    pass_by(60)
    assert signs_in(ADA) == 200


def test_guessing_at_one_customer_locks_out_nobody_else_and_them_nowhere_else() -> None:
    fails(ADA, 50)

    assert signs_in(BO) == 200
    assert signs_in(ADA, OFFICE) == 200
    assert passed(ADA) == 200


def test_whoever_fails_at_the_same_address_locks_out_nobody_who_has_signed() -> None:
    """An office, a mobile network, the platform itself: however much goes wrong from there."""
    for number in range(40):
        passed("", PLATFORM, query=passed_on(f"{number}", secret="no"))
    assert passed("", PLATFORM, query="x=1") == 429

    assert passed(ADA) == 200
    assert passed("", visitor=HOME) == 200
    assert signs_in(BO, PLATFORM) == 200


def test_what_goes_wrong_on_its_way_through_the_platform_locks_out_nobody_but_who_sends_it() -> None:
    """A visitor can have the platform sign a query that is refused here, under their own id or nobody's."""
    for customer in ("", BO):
        for _ in range(20):
            assert passed("", query=passed_on(customer, ("a", "timestamp=7"))) in (401, 429)

    assert passed(ADA) == 200
    assert passed("", visitor=OFFICE) == 200


def test_ids_that_somebody_makes_up_do_not_fill_the_table() -> None:
    for number in range(60):
        signs_in(f"made-up-{number}", signature="0" * 64)

    # One for the address, and one each for the ids before its limit was reached.
    assert CallCount.objects.count() == 31


def test_a_limit_of_none_is_no_limit(settings: Any) -> None:
    settings.STOREFRONT_CUSTOMER_LIMIT = settings.STOREFRONT_ANONYMOUS_LIMIT = settings.STOREFRONT_FAILURE_LIMIT = 0

    assert fails(ADA, 40) == [401] * 40
    assert {signs_in(ADA) for _ in range(10)} == {200}
    assert {passed("", visitor=HOME) for _ in range(10)} == {200}
    assert not CallCount.objects.exists()


def test_a_request_without_an_address_is_counted_with_all_of_its_kind() -> None:
    assert [signs_in(f"c{number}", "", signature="0" * 64) for number in range(31)] == [401] * 30 + [429]
    assert signs_in(ADA, "") == 200


def test_the_failures_before_which_a_customer_is_not_listened_to_are_few() -> None:
    assert 3 <= admitting.MOST_GUESSES <= product.STOREFRONT_FAILURE_LIMIT


# Over processes

VISITS = """
import json, sys
import django
django.setup()
from django.conf import settings
settings.STOREFRONT_CUSTOMER_LIMIT = 15
from tests.storefront import sign_in, visit, passed_on
answers = [(visit(passed_on("5")) if number % 2 else sign_in("5")).status_code for number in range(12)]
print(json.dumps(answers))
"""


@pytest.mark.django_db(transaction=True)
def test_two_processes_hold_a_customer_to_one_limit() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", VISITS],
            cwd=product.BASE_DIR,
            env={**environment(), "DJANGO_SETTINGS_MODULE": "tests.settings", VARIABLE: SECRET},
            stdout=subprocess.PIPE,
        )
        for _ in range(2)
    ]

    answers = [json.loads(process.communicate(timeout=60)[0]) for process in processes]

    # Nobody has that id; so often it was asked whether somebody does.
    assert Counter(status for answer in answers for status in answer) == {404: 15, 429: 9}
