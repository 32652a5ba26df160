"""The storefront's two ways to a customer token: a page with its customer's signature, and the app proxy (API.md 6)."""

from __future__ import annotations

import os
import re
import subprocess
import time
from typing import Any

import jwt
import pytest
from django.conf import settings as product
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from identities import signatures, tokens
from identities.models import Extension, Identity
from profiles.models import Profile
from tests.api.conftest import not_found, refused
from tests.storefront import (
    OLD_SECRET,
    OLD_VARIABLE,
    PROXY,
    PROXY_TOO,
    SECRET,
    TOKEN,
    VARIABLE,
    passed_on,
    sign_in,
    signature_of_id,
    signature_of_query,
    visit,
)

pytestmark = pytest.mark.django_db

ADA, STRANGER = "6432187489345", "9999999999999"
UNAUTHENTICATED = (401, {"message": "Unauthenticated."})


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch, db: None) -> None:
    """The extension names two variables, of which one is set."""
    Extension.objects.filter(pk="shopify").update(secret_variables=[VARIABLE, OLD_VARIABLE])
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.delenv(OLD_VARIABLE, raising=False)


@pytest.fixture
def ada(ada: dict[str, Any], shopify: Any) -> dict[str, Any]:
    """Ada, whom the shop knows too."""
    shopify.identity(ada, "shopify", ADA)
    return ada


def told(response: Any) -> tuple[int, Any]:
    return response.status_code, response.json()


def whose(token: str) -> str | None:
    """The profile that a token opens, over the API."""
    answer = Client(headers={"Authorization": f"Bearer {token}"}).get("/id/api/v1/profiles/me")
    return answer.json()["data"]["id"] if answer.status_code == 200 else None


# A page that has its customer's signature


def test_a_page_with_the_signature_of_its_customer_gets_their_token(ada: Any) -> None:
    answer = sign_in(ADA)

    assert answer.status_code == 200
    body = answer.json()
    assert body == {"data": {"token": body["token"]}, "token": body["token"]}
    assert whose(body["token"]) == ada["id"]
    assert answer.headers["Cache-Control"] == "no-store"
    claims = jwt.decode(body["token"], options={"verify_signature": False})
    assert (claims["identity"], claims["iss"]) == (f"shopify:{ADA}", "extension:shopify")


def test_an_id_may_be_a_number_and_the_signature_in_capitals(ada: Any) -> None:
    assert sign_in(int(ADA)).status_code == 200
    assert sign_in(ADA, signature_of_id(ADA).upper()).status_code == 200


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "0" * 64,
        signature_of_id(ADA, "another"),
        signature_of_id(ADA, ""),
        signature_of_id(f"{ADA} "),
        signature_of_id(STRANGER),
        signature_of_id(ADA)[:-1],
        f" {signature_of_id(ADA)[:-1]}",
        "é" * 64,
        "\N{PARTY POPPER}",
    ],
)
def test_a_wrong_signature_is_401(signature: str, ada: Any) -> None:
    assert told(sign_in(ADA, signature)) == UNAUTHENTICATED


def test_without_the_secret_a_customer_who_is_known_looks_like_any_other(ada: Any) -> None:
    """Same answer, same headers, same statements; the row that counts them is of another key."""

    def seen(customer: str) -> tuple[Any, ...]:
        with CaptureQueriesContext(connection) as captured:
            answer = sign_in(customer, "0" * 64)
        headers = {name: value for name, value in answer.headers.items() if name != "X-Request-ID"}
        return told(answer), headers, len(captured)

    assert seen(ADA) == seen(STRANGER)
    assert [visit(passed_on(one, secret="no")).status_code for one in (ADA, STRANGER)] == [401, 401]


def test_a_customer_whom_nobody_here_is_is_404_and_only_with_the_secret(ada: Any) -> None:
    not_found(sign_in(STRANGER))
    not_found(visit(passed_on(STRANGER)))
    not_found(sign_in(""))


def test_only_an_identity_of_the_shops_own_handle_signs_in(ada: Any) -> None:
    not_found(sign_in("1804974"))
    not_found(sign_in(ada["email"]))
    not_found(sign_in(ada["id"]))


@pytest.mark.parametrize("change", [{"is_active": False}, {"by_contact": True}])
def test_an_identity_that_signs_nobody_in_is_404(change: dict[str, Any], ada: Any) -> None:
    Identity.objects.filter(identifier=ADA).update(**change)

    not_found(sign_in(ADA))
    not_found(visit(passed_on(ADA)))


@pytest.mark.parametrize("change", [{"locked": True}, {"profile_type": "deleted"}])
def test_a_profile_that_is_locked_or_deleted_is_404(change: dict[str, Any], ada: Any) -> None:
    Profile.objects.filter(pk=ada["id"]).update(**change)

    not_found(sign_in(ADA))


def test_an_id_is_signed_as_it_is_sent(ada: Any, shopify: Any, bo: Any) -> None:
    shopify.identity(bo, "shopify", "Zoë-\N{PARTY POPPER}")

    assert whose(sign_in("Zoë-\N{PARTY POPPER}").json()["token"]) == bo["id"]
    # The pair's normal form decides whom it means, and the signature what was sent.
    assert whose(sign_in(f" {ADA} ").json()["token"]) == ada["id"]
    assert told(sign_in(f" {ADA} ", signature_of_id(ADA))) == UNAUTHENTICATED


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "id"),
        ({"signature": "0" * 64}, "id"),
        ({"id": ADA}, "signature"),
        ({"id": None, "signature": "0" * 64}, "id"),
        ({"id": [ADA], "signature": "0" * 64}, "id"),
        ({"id": {"a": ADA}, "signature": "0" * 64}, "id"),
        ({"id": True, "signature": "0" * 64}, "id"),
        ({"id": 1.5, "signature": "0" * 64}, "id"),
        ({"id": "1" * 20_000, "signature": "0" * 64}, "id"),
        ({"id": f"{ADA}\0", "signature": "0" * 64}, "id"),
        ({"id": ADA, "signature": 7}, "signature"),
        ({"id": ADA, "signature": ["0" * 64]}, "signature"),
        ({"id": ADA, "signature": "\0"}, "signature"),
        ({"id": ADA, "signature": "0" * 300}, "signature"),
    ],
)
def test_a_body_of_the_wrong_shape_is_422_before_anything_is_asked(
    body: dict[str, Any], field: str, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        answer = Client().post(TOKEN, body, "application/json")

    assert answer.status_code == 422
    assert next(iter(answer.json()["errors"])) == field


def test_long_ids_are_looked_at_like_short_ones() -> None:
    not_found(sign_in("1" * 10_000))
    assert told(sign_in("1" * 10_000, "0" * 64)) == UNAUTHENTICATED


@pytest.mark.parametrize("raw", [b"{", b"[]", b'"x"', b"\xff", b'{"id": "\\ud800", "signature": ""}', b"id=1"])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    assert Client().post(TOKEN, raw, "application/json").status_code in (400, 422)


@pytest.mark.parametrize("path", [f"{TOKEN}/", "/shopify/api/v1//auth/token", "/shopify//api/v1/auth/token//"])
def test_slashes_are_read_as_careless_clients_write_them(path: str, ada: Any) -> None:
    body = {"id": ADA, "signature": signature_of_id(ADA)}

    assert Client().generic("POST", path, b"", "application/json").status_code == 422
    assert Client().post(path, body, "application/json").status_code == 200


# The app proxy


@pytest.mark.parametrize("path", [PROXY, PROXY_TOO, f"{PROXY}/", "/apps//cx", f"{PROXY_TOO}//"])
def test_a_customer_who_is_logged_in_to_the_shop_gets_their_token(path: str, ada: Any) -> None:
    answer = visit(passed_on(ADA), path)

    assert answer.status_code == 200
    body = answer.json()
    assert set(body) == {"token", "expiry"}
    assert whose(body["token"]) == ada["id"]
    assert 0 < body["expiry"] - time.time() <= 30 * 60
    assert answer.headers["x-omneo-is-anon"] == "false"
    assert answer.headers["x-omneo-tenant"] == "omneo"
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_visitor_who_is_not_logged_in_gets_the_token_of_nobody(ada: Any, settings: Any) -> None:
    settings.TENANT = "acme"

    answer = visit(passed_on(""))

    assert answer.status_code == 200
    assert (answer.headers["x-omneo-is-anon"], answer.headers["x-omneo-tenant"]) == ("true", "acme")
    token = answer.json()["token"]
    assert jwt.decode(token, options={"verify_signature": False})["pid"] == "null"
    assert Client(headers={"Authorization": f"Bearer {token}"}).get("/id/api/v1/profiles/me").status_code == 404


def test_a_visitor_who_is_not_logged_in_may_sign_up_with_that_token() -> None:
    client = Client(headers={"Authorization": f"Bearer {visit(passed_on('')).json()['token']}"})

    answer = client.post("/id/api/v1/profiles", {"first_name": "Eve"}, "application/json")

    assert answer.status_code == 201
    assert Profile.objects.get(first_name="Eve")


def test_what_the_visitor_adds_is_signed_with_the_rest(ada: Any) -> None:
    extra = [("ids", "2"), ("q", "Zoë & ünïcode \N{PARTY POPPER}"), ("ids", "1"), ("page[number]", "x"), ("sort", "")]

    assert visit(passed_on(ADA, *extra)).status_code == 200
    assert visit(passed_on(ADA, ("raw", b"\xff\xfe"), ("long", "x" * 30_000))).status_code == 200
    assert told(visit(passed_on(ADA, *extra).replace("ids=2", "ids=3"))) == UNAUTHENTICATED
    assert told(visit(passed_on(ADA) + "&page=2")) == UNAUTHENTICATED


@pytest.mark.parametrize("missing", ["logged_in_customer_id", "timestamp"])
def test_a_query_without_a_part_of_it_is_401(missing: str, ada: Any) -> None:
    assert told(visit(passed_on(ADA, without=missing))) == UNAUTHENTICATED
    assert told(visit("")) == UNAUTHENTICATED
    assert told(visit(passed_on(ADA).partition("&signature")[0])) == UNAUTHENTICATED


def test_a_signed_query_is_good_for_five_minutes_to_either_side(ada: Any) -> None:
    for age in (0, 290, -290):
        assert visit(passed_on(ADA, age=age)).status_code == 200
    for age in (302, 3600, 10**9, -302, -3600):
        assert told(visit(passed_on(ADA, age=age))) == UNAUTHENTICATED


def test_a_query_that_is_sent_again_after_its_time_is_refused(ada: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    query = passed_on(ADA)
    assert visit(query).status_code == 200
    assert visit(query).status_code == 200

    later = time.time() + signatures.WINDOW + 2
    monkeypatch.setattr("identities.admitting.time.time", lambda: later)

    assert told(visit(query)) == UNAUTHENTICATED


@pytest.mark.parametrize("name", ["signature", "timestamp", "logged_in_customer_id"])
def test_a_second_value_of_what_is_read_is_refused(name: str, ada: Any) -> None:
    query = passed_on(ADA)
    (own,) = (piece for piece in query.split("&") if piece.startswith(f"{name}="))
    doubled = f"{query.rpartition('&')[0]}&{own}"

    assert told(visit(f"{doubled}&signature={signature_of_query(doubled)}")) == UNAUTHENTICATED


def test_a_parameter_of_the_visitors_own_makes_nobody_somebody_else(ada: Any) -> None:
    """For the platform both have one text, hence one signature: only where the pairs are cut differs."""
    signed = passed_on("", ("a", f"logged_in_customer_id={ADA}m="))
    cut = signed.replace("logged_in_customer_id=&", "").replace(
        f"a=logged_in_customer_id%3D{ADA}m%3D", f"a=&logged_in_customer_id={ADA}&m=logged_in_customer_id%3D"
    )

    assert signature_of_query(cut) == signature_of_query(signed)
    assert told(visit(cut)) == UNAUTHENTICATED
    assert told(visit(signed)) == UNAUTHENTICATED


@pytest.mark.parametrize("control", ["\0", "\n", "\x7f", "\x85"])
def test_control_characters_are_refused_as_everywhere(control: str, ada: Any) -> None:
    answer = visit(passed_on(ADA, ("q", f"a{control}b")))

    refused(answer, "invalid", "q")


def test_very_many_parameters_are_a_bad_request(ada: Any) -> None:
    too_many = range(product.DATA_UPLOAD_MAX_NUMBER_FIELDS)

    assert visit(passed_on(ADA, *((f"p{number}", "") for number in too_many))).status_code == 400


def test_head_is_like_get_without_the_body_and_other_methods_are_not_there(ada: Any) -> None:
    query = passed_on(ADA)

    head = Client().head(f"{PROXY}?{query}")
    assert (head.status_code, head.content) == (200, b"")
    assert Client().head(f"{PROXY}?{query}0").status_code == 401
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert Client().generic(method, f"{PROXY}?{query}").status_code == 405
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        assert Client().generic(method, TOKEN).status_code == 405


def test_a_body_of_a_get_is_not_looked_at(ada: Any) -> None:
    query = passed_on(ADA)

    assert Client().generic("GET", f"{PROXY}?{query}", b'{"id": "x"}', "application/json").status_code == 200
    assert Client().generic("GET", f"{PROXY}?{query}", b"\xff", "text/plain").status_code == 200
    assert Client().generic("GET", PROXY, query.encode(), "application/x-www-form-urlencoded").status_code == 401


def test_paths_below_the_proxys_are_404_in_json() -> None:
    for path in (f"{PROXY}/more", "/shopify/api/v1/apps", "/shopify/api/v1/auth", "/shopify"):
        answer = Client().get(path)
        assert answer.status_code == 404
        if path != "/shopify":
            assert answer.json() == {"message": "Not found."}


def test_neither_way_asks_for_more_than_it_needs(ada: Any, django_assert_num_queries: Any) -> None:
    """The extension, whether too many failed, the count, the identity."""
    visit(passed_on(ADA))
    with django_assert_num_queries(4):
        assert visit(passed_on(ADA)).status_code == 200
    with django_assert_num_queries(4):
        assert sign_in(ADA).status_code == 200
    with django_assert_num_queries(2):
        assert visit(passed_on("")).status_code == 200


def test_the_commands_of_the_readme_sign_themselves(ada: Any) -> None:
    """As they stand there, but for what curl would send, which is printed."""
    section = (product.BASE_DIR / "README.md").read_text().split("## The storefront")[1].split("\n## ")[0]
    commands = re.findall(r"^\$ (.*)$", section, re.MULTILINE)
    run = subprocess.run(
        ["bash", "-e"],
        input="\n".join(["curl() { printf '%s\\n' \"$@\"; }", *commands]),
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "SHOPIFY_SECRET": SECRET},
    )

    page, _data, body, proxy = run.stdout.splitlines()

    assert Client().post(page.removeprefix("http://127.0.0.1:8000"), body, "application/json").status_code == 200
    assert Client().get(proxy.removeprefix("http://127.0.0.1:8000")).json()["token"]


# Whose secret it is


def test_during_a_rotation_both_secrets_are_good_and_afterwards_the_new_one_alone(
    ada: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def statuses(secret: str) -> list[int]:
        return [sign_in(ADA, secret=secret).status_code, visit(passed_on(ADA, secret=secret)).status_code]

    assert (statuses(SECRET), statuses(OLD_SECRET)) == ([200, 200], [401, 401])
    monkeypatch.setenv(OLD_VARIABLE, OLD_SECRET)
    assert (statuses(SECRET), statuses(OLD_SECRET)) == ([200, 200], [200, 200])
    Extension.objects.filter(pk="shopify").update(secret_variables=[OLD_VARIABLE])
    assert (statuses(SECRET), statuses(OLD_SECRET)) == ([401, 401], [200, 200])
    monkeypatch.delenv(OLD_VARIABLE)
    assert (statuses(SECRET), statuses(OLD_SECRET)) == ([401, 401], [401, 401])


def test_without_a_secret_nothing_is_signed_and_the_log_says_why(
    ada: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv(VARIABLE)

    for secret in ("", "None", VARIABLE):
        assert told(sign_in(ADA, secret=secret)) == UNAUTHENTICATED
        assert told(visit(passed_on(ADA, secret=secret))) == UNAUTHENTICATED

    said = f"Extension shopify: no environment variable with a shared secret is set ({VARIABLE}, {OLD_VARIABLE})."
    assert said in caplog.messages
    Extension.objects.filter(pk="shopify").update(secret_variables=[])
    assert told(sign_in(ADA)) == UNAUTHENTICATED
    assert "none is named" in caplog.messages[-1]


def test_another_extensions_secret_signs_no_customer_of_the_shop(ada: Any) -> None:
    Extension.objects.filter(pk="shopify").update(secret_variables=[])
    Extension.objects.filter(pk="klaviyo").update(secret_variables=[VARIABLE])

    assert told(sign_in(ADA)) == UNAUTHENTICATED


def test_a_disabled_extension_signs_nobody_in_and_its_tokens_end(ada: Any) -> None:
    token = sign_in(ADA).json()["token"]
    assert whose(token) == ada["id"]

    Extension.objects.filter(pk="shopify").update(enabled=False)
    assert told(sign_in(ADA)) == UNAUTHENTICATED
    assert told(visit(passed_on(ADA))) == UNAUTHENTICATED
    assert told(visit(passed_on(""))) == UNAUTHENTICATED
    assert whose(token) is None

    Extension.objects.filter(pk="shopify").update(enabled=True)
    User.objects.filter(extension__slug="shopify").update(is_active=False)
    assert told(sign_in(ADA)) == UNAUTHENTICATED


def test_a_token_of_the_api_is_no_signature_and_a_bad_one_does_no_harm(ada: Any, api: Any) -> None:
    for plain in (api.plain, "nonsense"):
        headers = {"Authorization": f"Bearer {plain}"}
        assert told(sign_in(ADA, "0" * 64, headers=headers)) == UNAUTHENTICATED
        assert sign_in(ADA, headers=headers).status_code == 200


def test_nothing_is_stored_but_the_counts(ada: Any, unchanged: Any) -> None:
    with unchanged():
        sign_in(ADA), sign_in(ADA, "0" * 64), visit(passed_on(ADA)), visit(passed_on("")), visit("")


def test_a_key_for_writing_once_stores_no_token(ada: Any, unchanged: Any) -> None:
    with unchanged():
        first = sign_in(ADA, headers={"Idempotency-Key": "k"})
        second = sign_in(ADA, headers={"Idempotency-Key": "k"})

    assert (first.status_code, second.status_code) == (200, 200)
    assert "Idempotent-Replay" not in second.headers


# What stays in


@pytest.fixture
def everything_said(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Any:
    """All log lines with their tracebacks, and whatever else was written so far, at the most talkative level."""
    caplog.set_level("DEBUG")
    return lambda: "\n".join([caplog.text, *capfd.readouterr()])


def test_neither_secret_nor_signature_nor_customer_is_in_any_log(ada: Any, everything_said: Any) -> None:
    query = passed_on(ADA)
    tokens_given = [sign_in(ADA).json()["token"], visit(query).json()["token"]]
    (
        sign_in(ADA, "0" * 63 + "1"),
        visit(f"{query}1"),
        visit(passed_on(ADA, age=999)),
        visit(passed_on(ADA, ("q", "\0"))),
    )

    said = everything_said()

    assert f"GET {PROXY} 200" in said
    assert f"POST {TOKEN} 401" in said
    for kept_back in (SECRET, signature_of_id(ADA), query.rpartition("=")[2], "0" * 63 + "1", *tokens_given):
        assert kept_back not in said
    assert f"logged_in_customer_id={ADA}" not in said


def test_a_fault_tells_neither_the_secret_nor_the_query(
    ada: Any, everything_said: Any, monkeypatch: pytest.MonkeyPatch, settings: Any, mailoutbox: Any
) -> None:
    """The traceback in the log, and the report to admins if somebody has it sent."""
    settings.ADMINS = [("Ops", "ops@example.com")]
    monkeypatch.setattr(tokens, "issue_by_identity", lambda *_, **__: 1 / 0)
    query = passed_on(ADA)

    for answer in (
        visit(query, raise_request_exception=False),
        sign_in(ADA, raise_request_exception=False),
    ):
        assert told(answer) == (500, {"message": "Server error."})

    said = everything_said()
    assert "ZeroDivisionError" in said
    for kept_back in (SECRET, signature_of_id(ADA), query.rpartition("=")[2]):
        assert kept_back not in said
    assert mailoutbox == []


def test_the_page_of_a_fault_while_debugging_tells_no_secret(
    ada: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.DEBUG = True
    monkeypatch.setattr("identities.signatures.hmac.compare_digest", lambda *_: 1 / 0)

    page = visit(passed_on(ADA), raise_request_exception=False)

    assert page.status_code == 500
    assert "ZeroDivisionError" in page.content.decode()
    assert SECRET not in page.content.decode()
