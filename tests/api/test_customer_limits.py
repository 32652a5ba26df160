"""How often a customer may write by their tokens; reading is free."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from identities.models import CallCount
from tests.api.conftest import CARD

pytestmark = pytest.mark.django_db

HOME, OFFICE = "203.0.113.7", "192.0.2.9"


@pytest.fixture(autouse=True)
def small_limit(settings: Any) -> None:
    settings.CUSTOMER_WRITE_LIMIT = 3


@pytest.fixture
def token_of(api: Any) -> Any:
    """Issue a customer token by this body."""

    def issue(**body: Any) -> str:
        answer = api.client.post("/id/api/v1/auth/token", json.dumps(body), "application/json")
        return str(answer.json()["data"]["token"])

    return issue


def call(plain: str, method: str, path: str, body: Any = None, address: str = HOME) -> Any:
    raw = b"" if body is None else json.dumps(body).encode()
    client = Client(headers={"Authorization": f"Bearer {plain}"}, REMOTE_ADDR=address)
    return client.generic(method, f"/id/api/v1{path}", raw, "application/json")


def rename(plain: str, address: str = HOME) -> int:
    return int(call(plain, "PUT", "/profiles/me", {"first_name": "Augusta"}, address).status_code)


def test_a_customer_writes_so_often_a_minute_by_whichever_token_from_anywhere(
    token_of: Any, ada: Any, bo: Any
) -> None:
    one, other = token_of(id=ada["id"]), token_of(id="1804974", id_handle=CARD)
    assert [rename(one), rename(other, OFFICE), rename(one)] == [200] * 3

    refused = call(other, "PUT", "/profiles/me", {"first_name": "Augusta"})

    assert (refused.status_code, refused.json()) == (429, {"message": "Too many requests."})
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert call(one, "POST", "/profiles/me/interactions", {}).status_code == 429
    assert rename(token_of(id=bo["id"])) == 200


def test_reading_is_not_counted(token_of: Any, ada: Any) -> None:
    plain = token_of(id=ada["id"])

    for path in ("", "/identities", "/balances", "/transactions"):
        assert [call(plain, "GET", f"/profiles/me{path}").status_code for _ in range(5)] == [200] * 5
    assert not CallCount.objects.exists()
    assert rename(plain) == 200


def test_only_who_is_known_is_counted(token_of: Any, ada: Any) -> None:
    for _ in range(5):
        assert rename("nonsense") == 401

    assert not CallCount.objects.exists()


def test_anonymous_visitors_are_counted_by_their_address(token_of: Any) -> None:
    def write(address: str) -> int:
        return int(call(token_of(), "PUT", "/profiles/me", {}, address).status_code)

    assert [write(HOME) for _ in range(4)] == [404] * 3 + [429]
    assert write(OFFICE) == 404


def test_visitors_who_sign_up_are_counted_by_their_address(token_of: Any) -> None:
    def sign_up(address: str) -> int:
        return int(call(token_of(), "POST", "/profiles", {"first_name": "Eve"}, address).status_code)

    assert [sign_up(HOME) for _ in range(4)] == [201] * 3 + [429]
    assert sign_up(OFFICE) == 201


def sign_up(plain: str, address: str = HOME) -> int:
    body = {"first_name": "Cy", "identities": [{"handle": CARD, "identifier": "777"}]}
    return int(call(plain, "POST", "/profiles", body, address).status_code)


def test_anonymous_visitors_make_few_profiles_a_minute_from_one_address(token_of: Any, settings: Any) -> None:
    settings.CUSTOMER_WRITE_LIMIT, settings.CUSTOMER_SIGN_UP_LIMIT = 100, 2

    assert [sign_up(token_of()) for _ in range(3)] == [201, 201, 429]

    refused = call(token_of(), "POST", "/profiles", {"first_name": "Cy"})
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    assert sign_up(token_of(), OFFICE) == 201
    # What else they write is counted apart.
    assert call(token_of(), "PUT", "/profiles/me", {}).status_code == 404


def test_none_is_no_limit(token_of: Any, ada: Any, settings: Any) -> None:
    settings.CUSTOMER_WRITE_LIMIT = 0
    plain = token_of(id=ada["id"])

    assert {rename(plain) for _ in range(6)} == {200}
