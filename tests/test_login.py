"""Logging in to the admin: how often it may fail, whom that stops, and what it tells."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.staff import read

LOGIN = "/admin/login/"
PASSWORD = "correct horse battery staple"
HERE, ELSEWHERE = "198.51.100.1", "203.0.113.7"
MINUTES = 15


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_user("ada", password=PASSWORD, is_staff=True)


def log_in(name: str, password: str = PASSWORD, *, address: str = HERE, **headers: str) -> Any:
    data = {"username": name, "password": password, "next": "/admin/?q=Lovelace"}
    return Client().post(LOGIN, data, REMOTE_ADDR=address, headers=headers or None)


def fail(name: str, times: int, *, address: str = HERE, **headers: str) -> list[int]:
    return [log_in(name, "wrong", address=address, **headers).status_code for _ in range(times)]


def is_let_in(response: Any) -> bool:
    return bool(response.status_code == 302)


def pass_by(minutes: float) -> None:
    """Let time go by, by making all that was counted so much older."""
    AccessAttempt.objects.update(attempt_time=F("attempt_time") - timedelta(minutes=minutes))


def said(response: Any) -> str:
    """The page as it is read, without what differs each time."""
    return re.sub(r'value="\w{64}"', "", response.content.decode())


def test_the_fifth_failure_is_refused_with_when_to_try_again(ada: User) -> None:
    assert fail("ada", 4) == [200] * 4
    assert is_let_in(log_in("ada"))
    assert fail("ada", 5) == [200] * 4 + [429]

    refused = log_in("ada")

    assert refused.status_code == 429
    assert MINUTES * 60 - 30 <= int(refused.headers["Retry-After"]) <= MINUTES * 60
    assert (
        "Too many logins have failed from your address. You can try again in 15 minutes." in refused.content.decode()
    )
    assert "no-store" in refused.headers["Cache-Control"]
    assert "default-src 'none'" in refused.headers["Content-Security-Policy"]
    assert "sessionid" not in refused.cookies


def test_the_time_that_was_told_holds_whatever_is_tried_meanwhile(ada: User) -> None:
    fail("ada", 5)
    pass_by(MINUTES - 1)

    assert fail("ada", 3) == [429] * 3
    fail("somebody else", 1)
    assert int(log_in("ada").headers["Retry-After"]) <= 60
    pass_by(1)

    assert is_let_in(log_in("ada"))


def test_a_success_forgets_the_failures_of_that_name(ada: User) -> None:
    fail("ada", 4)
    assert is_let_in(log_in("ada"))

    assert fail("ada", 4) == [200] * 4


def test_nobody_shuts_out_a_colleague_from_another_address(ada: User) -> None:
    fail("ada", 5, address=ELSEWHERE)

    assert log_in("ada", address=ELSEWHERE).status_code == 429
    assert is_let_in(log_in("ada", address=HERE))
    # And the success did not let the other one in.
    assert log_in("ada", address=ELSEWHERE).status_code == 429


def test_an_address_has_a_limit_over_all_names(ada: User) -> None:
    for number in range(12):
        assert fail(f"name {number}", 4) == [200] * 4
    assert fail("name 12", 2) == [200, 429]

    assert log_in("ada", address=HERE).status_code == 429
    assert is_let_in(log_in("ada", address=ELSEWHERE))


def test_a_success_leaves_the_rest_that_the_address_did_counted(ada: User) -> None:
    for number in range(12):
        fail(f"name {number}", 4)
    assert is_let_in(log_in("ada"))

    assert fail("name 12", 2) == [200, 429]


def test_the_limit_holds_against_threads_that_fail_at_once(transactional_db: None) -> None:
    User.objects.create_user("ada", password=PASSWORD, is_staff=True)
    start = threading.Barrier(8)

    def attempt() -> None:
        start.wait()
        log_in("ada", "wrong")
        connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert log_in("ada").status_code == 429
    assert AccessAttempt.objects.count() == 1


def test_other_browsers_and_made_up_headers_are_the_same_client(ada: User) -> None:
    for number in range(4):
        fail(
            "ada",
            1,
            **{"User-Agent": f"browser {number}", "Accept": "x" * 5_000, "X-Forwarded-For": f"192.0.2.{number}"},
        )

    assert fail("ada", 1) == [429]
    assert AccessAttempt.objects.count() == 1


def test_behind_a_proxy_it_is_the_client_who_is_counted(ada: User, settings: Any) -> None:
    settings.PROXIES = 1

    for number in range(5):
        fail("ada", 1, **{"X-Forwarded-For": f"192.0.2.{number}, {ELSEWHERE}"})

    assert log_in("ada", **{"X-Forwarded-For": f"192.0.2.99, {ELSEWHERE}"}).status_code == 429
    assert is_let_in(log_in("ada", **{"X-Forwarded-For": HERE}))


def test_a_network_of_ipv6_is_one_client(ada: User) -> None:
    for number in range(5):
        fail("ada", 1, address=f"2001:db8:0:7::{number}")

    assert log_in("ada", address="2001:db8:0:7:ffff::1").status_code == 429
    assert is_let_in(log_in("ada", address="2001:db8:0:8::1"))


@pytest.mark.parametrize("address", ["", "unix:", "::ffff:198.51.100.9", "fe80::1%eth0"])
def test_an_address_of_any_kind_is_counted(ada: User, address: str) -> None:
    assert fail("ada", 5, address=address) == [200] * 4 + [429]


def test_a_name_that_nobody_has_looks_like_any_other(ada: User, monkeypatch: pytest.MonkeyPatch) -> None:
    User.objects.create_user("customer", password=PASSWORD)
    User.objects.create_user("left", password=PASSWORD, is_staff=True, is_active=False)
    hashed: list[str] = []
    encode = MD5PasswordHasher.encode

    def counting(*given: Any) -> str:
        hashed.append("")
        return encode(*given)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counting)

    def shown(name: str, password: str, address: str) -> list[tuple[str, int, int]]:
        seen = []
        for _ in range(6):
            hashed.clear()
            with CaptureQueriesContext(
                connection,
            ) as queries:
                response = log_in(name, password, address=address)
            seen.append((said(response).replace(f'value="{name}"', ""), len(queries), len(hashed)))
        return seen

    wrong = shown("ada", "wrong", "192.0.2.1")
    nobody = shown("nobody", "wrong", "192.0.2.2")
    not_staff = shown("customer", PASSWORD, "192.0.2.3")
    inactive = shown("left", PASSWORD, "192.0.2.4")

    assert wrong == nobody == not_staff == inactive
    assert [hashes for _page, _queries, hashes in wrong] == [1] * 5 + [0]


def test_a_password_is_neither_stored_nor_logged(ada: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secret = "Tr0ub4dor"

    for name, password in (("ada", secret), (secret, "wrong"), (secret, secret)):
        for _ in range(6):
            log_in(name, password)

    kept = " ".join(str(value) for row in AccessAttempt.objects.values() for value in row.values())
    assert AccessAttempt.objects.count() == 2
    assert "Lovelace" not in kept
    assert secret not in kept
    assert secret not in caplog.text
    assert HERE in caplog.text


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 10_000, "'; --", "ａｄａ"])
def test_names_of_any_kind_fail_in_peace(ada: User, name: str) -> None:
    body = urlencode({"username": name, "password": "wrong"}, errors="surrogatepass")

    for _ in range(6):
        response = Client().post(LOGIN, body, "application/x-www-form-urlencoded", REMOTE_ADDR=HERE)
        assert response.status_code in (200, 429)


def test_the_login_page_itself_stays_open(ada: User) -> None:
    fail("ada", 5)

    assert "Log in" in read(Client().get(LOGIN, REMOTE_ADDR=HERE))


def test_who_no_longer_is_staff_is_out_at_once(ada: User) -> None:
    client = Client()
    assert is_let_in(client.post(LOGIN, {"username": "ada", "password": PASSWORD}))
    assert client.get("/admin/password_change/").status_code == 200

    User.objects.update(is_staff=False)

    assert client.get("/admin/password_change/").status_code == 302


def test_what_is_over_is_forgotten_by_the_next_login(ada: User) -> None:
    fail("somebody", 5, address=ELSEWHERE)
    pass_by(MINUTES + 1)

    log_in("ada")

    assert not AccessAttempt.objects.exists()


def test_a_command_lets_everybody_try_again(ada: User) -> None:
    fail("ada", 5)

    call_command("axes_reset", verbosity=0)

    assert is_let_in(log_in("ada"))
