"""Customer tokens (API.md 6): issued to servers, used by visitors, forged by nobody, and dead when they have to be."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import math
import time
import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from identities import lookup, renaming, sending, tokens
from identities.models import ApiToken, Extension, Handle, Identity, RoutingLogEntry
from profiles.models import Profile
from tests.api.conftest import CARD, OWN, Caller, not_found, refused, sale, statements
from tests.api.test_query_counts import BIG, scanned

pytestmark = pytest.mark.django_db

ISSUE = "/id/api/v1/auth/token"

PAIR = ("1804974", CARD)


def reads(customer: Caller) -> bool:
    """Whether a customer is let in, by the long way and by the short one alike; if not, they are told nothing else."""
    response = customer.get(f"{OWN}/me")
    assert (tokens.own_document(customer.customer) is not None) == (response.status_code == 200)
    if response.status_code != 200:
        unauthenticated(response)
    return bool(response.status_code == 200)


def unauthenticated(response: Any) -> None:
    assert (response.status_code, response.json()) == (401, {"message": "Unauthenticated."})
    assert response.headers["WWW-Authenticate"] == "Bearer"


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def customer_with(token: str) -> Caller:
    customer = Caller(token)
    customer.customer = token
    return customer


# What is issued


def test_a_token_of_a_profile_says_whose_it_is_and_for_how_long(api, ada, settings) -> None:
    before = int(time.time())
    issued = api.post(ISSUE, {"id": ada["id"]}).json()
    claims = claims_of(issued["data"]["token"])

    assert list(issued) == ["data"] and list(issued["data"]) == ["token", "exp"]
    assert claims["exp"] == issued["data"]["exp"]
    assert before + 30 * 60 <= claims["exp"] <= time.time() + 30 * 60
    assert set(claims) == {"pid", "exp", "iat", "jti", "iss"}
    assert claims["pid"] == ada["id"]
    assert jwt.get_unverified_header(issued["data"]["token"]) == {"alg": "HS256", "kid": "default", "typ": "JWT"}
    assert api.as_customer(ada["id"]).me()["id"] == ada["id"]


@pytest.mark.parametrize(
    ("handle", "identifier", "named"),
    [
        (CARD, " 1804974 ", f"{CARD}:1804974"),
        ("email", "ADA@example.com", "email:ada@example.com"),
        ("mobile_phone", "0404 123 123", "mobile_phone:+61404123123"),
        ("former", "1804974", f"{CARD}:1804974"),
    ],
)
def test_a_token_of_an_identity_names_it_in_its_normal_form(api, ada, handle, identifier, named) -> None:
    Handle.objects.create(name="former", status="retired", renamed_to_id=CARD)

    token = api.issue(identifier, handle)

    assert (claims_of(token)["pid"], claims_of(token)["identity"]) == (ada["id"], named)
    assert customer_with(token).me()["id"] == ada["id"]


def test_an_identifier_may_be_a_number(api, ada) -> None:
    assert api.as_customer(1804974, CARD).me()["id"] == ada["id"]


@pytest.mark.parametrize(
    "body", [None, {}, {"id": ""}, {"id": None}, {"id": " "}, {"id": "", "id_handle": ""}, {"id_handle": CARD}]
)
def test_without_an_id_it_is_an_anonymous_visitors(api, body) -> None:
    response = api.post(ISSUE, b"" if body is None else body)

    assert response.status_code == 200
    claims = claims_of(response.json()["data"]["token"])
    assert claims["pid"] == "null"
    assert "identity" not in claims


def test_each_token_has_an_id_of_its_own(api, ada) -> None:
    assert len({claims_of(api.issue(*of))["jti"] for of in ((ada["id"],), (ada["id"],), PAIR, ())}) == 4


@pytest.mark.parametrize(
    "body",
    [
        {"id": str(uuid.UUID(int=7))},
        {"id": "1804974"},
        {"id": 1804974},
        {"id": "nobody", "id_handle": CARD},
        {"id": "1804974", "id_handle": "pos"},
        {"id": "1804974", "id_handle": "nobody-knows-it"},
        {"id": "x" * 5_000, "id_handle": CARD},
        {"id": "a\u200bb", "id_handle": CARD},
        {"id": "not an address", "id_handle": "email"},
    ],
)
def test_for_nobody_there_is_no_token(api, ada, body) -> None:
    not_found(api.post(ISSUE, body))


def test_who_is_asked_for_by_a_wrong_type_is_refused(api) -> None:
    wrong: list[Any] = [True, 1.5, [], {}]
    for field in ("id", "id_handle"):
        for value in wrong:
            refused(api.post(ISSUE, {"id": "1", field: value}), "invalid", field)


def test_a_merged_id_means_the_survivor(api, ada, bo) -> None:
    api.post("/profiles/merge", {"source_profile_id": bo["id"], "destination_profile_id": ada["id"]})

    token = api.issue(bo["id"])

    assert claims_of(token)["pid"] == ada["id"]
    assert customer_with(token).me()["id"] == ada["id"]


def locked(profile: Any) -> None:
    Profile.objects.filter(pk=profile["id"]).update(locked=True)


@pytest.mark.parametrize("of", ["id", "identity"])
def test_a_locked_and_a_deleted_profile_get_none(api, ada, bo, of) -> None:
    locked(ada)
    api.delete(f"/profiles/{bo['id']}")

    for one, card in ((ada, "1804974"), (bo, "77")):
        body = {"id": one["id"]} if of == "id" else {"id": card, "id_handle": CARD}
        not_found(api.post(ISSUE, body))


def test_an_inactive_pair_issues_none(api, ada) -> None:
    card = ada["identities"][0]
    api.put(f"/profiles/{ada['id']}/identities/id/{card['id']}", {"is_active": False})

    not_found(api.post(ISSUE, {"id": "1804974", "id_handle": CARD}))


def test_a_pair_that_a_contact_alone_brought_issues_none_until_it_is_confirmed(api, ada) -> None:
    body = sale("pos:88", profile_id="ada@example.com", profile_id_handle="email")
    assert api.record("transactions", body)["routing"]["outcome"] == "attached"
    not_found(api.post(ISSUE, {"id": "88", "id_handle": "pos"}))

    # Another record confirms nothing.
    api.record("transactions", sale("pos:88"))
    not_found(api.post(ISSUE, {"id": "88", "id_handle": "pos"}))

    api.post(f"/profiles/{ada['id']}/identities", {"handle": "pos", "identifier": "88"})
    assert reads(api.as_customer("88", "pos"))


def test_a_reserved_pair_issues_for_a_server_that_knows_it(api, shopify, ada) -> None:
    shopify.identity(ada, "shopify", "6432187489345")

    assert reads(api.as_customer("6432187489345", "shopify"))


def test_it_lasts_as_long_as_the_setting_says_and_no_longer_than_the_servers_own(caller, api, ada, settings) -> None:
    settings.ID_TOKEN_MINUTES = 5
    ends = timezone.now() + datetime.timedelta(seconds=90)
    short = caller(expires_at=ends)

    assert claims_of(api.issue(ada["id"]))["exp"] - time.time() == pytest.approx(300, abs=5)
    assert claims_of(short.issue(ada["id"]))["exp"] == int(ends.timestamp())


def test_issuing_and_each_use_are_one_statement(api, ada, django_assert_num_queries) -> None:
    api.get("/auth/verify")
    for of in ((ada["id"],), PAIR):
        with django_assert_num_queries(1 + 1):  # The server's own token.
            token = api.issue(*of)
        with django_assert_num_queries(1):
            customer_with(token).me()
        with django_assert_num_queries(1):
            tokens.own_document(token)
    with django_assert_num_queries(1):
        token = api.issue()
    with django_assert_num_queries(1):
        assert customer_with(token).get(f"{OWN}/me").status_code == 404


def test_no_statement_of_a_token_reads_a_whole_table(api, ada, twenty_thousand) -> None:
    calls: list[Callable[[], Any]] = [lambda: tokens.issue_by_id(uuid.UUID(ada["id"]), by=api.token)]
    for token in (api.issue(ada["id"]), api.issue(*PAIR)):
        calls += [
            lambda token=token: tokens.own_document(token),  # type: ignore[misc]
            lambda token=token: tokens.authenticate(token),  # type: ignore[misc]
            lambda token=token: tokens.authenticate(token, with_document=True),  # type: ignore[misc]
        ]
    for call in calls:
        (sql,) = statements(call)
        assert BIG.isdisjoint(scanned(sql)), sql


# Who may use it


def test_each_kind_of_token_opens_its_own_routes_only(api, ada) -> None:
    token = api.issue(ada["id"])
    headers = {"Authorization": f"Bearer {token}"}

    unauthenticated(api.client.get(f"{OWN}/me"))
    unauthenticated(api.client.get("/api/v3/auth/verify", headers=headers))
    unauthenticated(api.client.get(f"/api/v3/profiles/{ada['id']}", headers=headers))
    unauthenticated(api.client.post(ISSUE, "{}", "application/json", headers=headers))


@pytest.mark.parametrize(
    "path", ["/id/api/v1//profiles/me/", "/id/api/v1/profiles/me/", "/id//api/v1/profiles//me", f"{OWN}/me"]
)
def test_a_careless_client_is_let_in_too(api, ada, path) -> None:
    assert api.as_customer(ada["id"]).data(path)["id"] == ada["id"]


def test_the_word_bearer_is_read_in_any_case_and_any_other_is_no_token(api, ada) -> None:
    token = api.issue(ada["id"])

    for header in (f"Bearer {token}", f"bearer  {token} "):
        assert api.client.get(f"{OWN}/me", headers={"Authorization": header}).status_code == 200
    for header in (token, f"Basic {token}", "Bearer", "Bearer ", f"Bearer {token} {token}", "Bearer é", ""):
        unauthenticated(api.client.get(f"{OWN}/me", headers={"Authorization": header}))


def test_an_anonymous_visitor_has_nothing_to_read(api) -> None:
    visitor = api.as_customer()

    for path in ("", "/identities", "/balances", "/transactions", "/interactions", "/attributes/custom"):
        not_found(visitor.get(f"{OWN}/me{path}"))
    not_found(visitor.put(f"{OWN}/me", {"first_name": "Eve"}))
    # Before it is looked at what they have sent.
    not_found(visitor.put(f"{OWN}/me/update-type", {"profile_type": "nonsense"}))
    not_found(visitor.post(f"{OWN}/me/interactions", {}))
    assert tokens.own_document(visitor.customer) is None


# Forged


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def signed(header: Any, claims: Any, secret: str, digest: str = "sha256") -> str:
    """A token by no library's rules."""
    text = f"{encoded(header)}.{encoded(claims)}"
    signature = hmac.new(secret.encode(), text.encode(), getattr(hashlib, digest)).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.fixture
def secret(settings) -> str:
    return str(settings.ID_TOKEN_KEYS["default"])


@pytest.fixture
def claims(api, ada) -> dict[str, Any]:
    """What a good token says."""
    return claims_of(api.issue(ada["id"]))


HEADER = {"alg": "HS256", "typ": "JWT", "kid": "default"}


def test_the_same_signed_by_another_implementation_is_good(api, secret, claims) -> None:
    assert reads(customer_with(signed(HEADER, claims, secret)))
    assert reads(customer_with(signed({"kid": "default", "alg": "HS256"}, claims, secret)))


@pytest.mark.parametrize(
    ("header", "digest"),
    [
        ({"alg": "RS256"}, "sha256"),
        ({"alg": "ES256"}, "sha256"),
        ({"alg": "HS512"}, "sha512"),
        ({"alg": "HS384"}, "sha384"),
        ({"alg": "hs256"}, "sha256"),
        ({"alg": "none"}, "sha256"),
        ({"alg": ""}, "sha256"),
        ({"alg": None}, "sha256"),
        ({"alg": ["HS256"]}, "sha256"),
        ({"kid": "another"}, "sha256"),
        ({"kid": ""}, "sha256"),
        ({"kid": None}, "sha256"),
        ({"kid": ["default"]}, "sha256"),
        ({"kid": {"default": 1}}, "sha256"),
        ({"kid": "../../dev/null"}, "sha256"),
        ({"b64": False}, "sha256"),
        ({"crit": ["exp"]}, "sha256"),
    ],
    ids=str,
)
def test_a_header_of_another_kind_is_refused_though_our_key_has_signed_it(secret, claims, header, digest) -> None:
    assert not reads(customer_with(signed({**HEADER, **header}, claims, secret, digest)))


def test_a_header_that_lacks_something_is_refused(secret, claims) -> None:
    assert not reads(customer_with(signed({"alg": "HS256"}, claims, secret)))
    assert not reads(customer_with(signed({"kid": "default"}, claims, secret)))


def test_nobody_signs_without_the_key(claims, secret, settings) -> None:
    public = "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----\n"
    for key in ("", "x" * 64, settings.SECRET_KEY, secret[:-1], secret.upper(), public):
        assert not reads(customer_with(signed(HEADER, claims, key)))
        assert not reads(customer_with(signed({**HEADER, "alg": "RS256"}, claims, key)))
        assert not reads(customer_with(signed({**HEADER, "jwk": {"kty": "oct", "k": key}}, claims, key)))
    assert not reads(customer_with(jwt.encode(claims, None, algorithm="none", headers={"kid": "default"})))
    assert not reads(customer_with(f"{encoded({**HEADER, 'alg': 'none'})}.{encoded(claims)}."))


def test_a_token_is_worth_nothing_once_a_letter_of_it_is_changed(api, ada, bo) -> None:
    token = api.issue(ada["id"])
    header, claims, signature = token.split(".")
    others = encoded({**claims_of(token), "pid": bo["id"]})

    for forged in (
        f"{header}.{others}.{signature}",
        f"{header}.{claims}.",
        f"{header}.{claims}",
        f"{header}.{claims}.{signature[:-2]}",
        f"{header}.{claims}.{signature}.{signature}",
        f"{header}.{claims}.{'A' * len(signature)}",
        f".{claims}.{signature}",
        f"{header}..{signature}",
        "..",
        ".",
        "x" * 10_000,
        f"{'e30.' * 1_000}",
    ):
        assert not reads(customer_with(forged)), forged
    assert reads(customer_with(token))


@pytest.mark.parametrize(
    "change",
    [
        {"exp": None},
        {"exp": "soon"},
        {"exp": []},
        {"exp": -1},
        {"exp": "9999999999"},
        {"exp": 9999999999.5},
        {"exp": math.inf},
        {"exp": math.nan},
        {"exp": True},
        {"exp": 10**400},
        {"iat": None},
        {"jti": None},
        {"pid": None},
        {"pid": 7},
        {"pid": "nobody"},
        {"pid": ["null"]},
        {"iss": None},
        {"iss": 7},
        {"iss": "token:"},
        {"iss": "token:x"},
        {"iss": "extension:nobody"},
        {"iss": "nobody:1"},
        {"iss": "token:9223372036854775807"},
        {"iss": "token:99999999999999999999"},
        {"iss": "token:-1"},
        {"iss": "extension:a\0"},
        {"iss": "extension:\ud800"},
        {"iid": "x"},
        {"iid": 1},
        {"iid": 1, "gen": "x"},
        {"iid": [1], "gen": 0},
        {"iid": 2**63, "gen": 0},
        {"iid": math.inf, "gen": 0},
        {"aud": "elsewhere"},
        {"nbf": 9_999_999_999},
    ],
    ids=str,
)
def test_claims_that_we_do_not_make_are_refused_even_when_signed(secret, claims, change) -> None:
    claims |= change
    claims = {name: value for name, value in claims.items() if value is not None}

    assert not reads(customer_with(signed(HEADER, claims, secret)))


def test_a_token_ends_to_the_second_and_the_clock_of_its_issue_does_not_count(api, secret, claims) -> None:
    now = int(time.time())

    for exp in (now, now - 1, 0):
        assert not reads(customer_with(signed(HEADER, {**claims, "exp": exp}, secret)))
    assert reads(customer_with(signed(HEADER, {**claims, "iat": now + 30}, secret)))


def test_a_token_that_was_good_a_moment_ago_is_refused_when_it_has_ended(api, ada, monkeypatch) -> None:
    customer = api.as_customer(ada["id"])
    assert reads(customer)
    ended = claims_of(customer.customer)["exp"]

    monkeypatch.setattr("identities.tokens.time.time", lambda: float(ended))

    assert not reads(customer)


# Keys


OLD, NEW = "o" * 40, "n" * 40


def test_a_new_key_takes_over_unnoticed_and_the_old_one_ends(api, ada, settings) -> None:
    settings.ID_TOKEN_KEYS = {"2025": OLD}
    old = api.as_customer(ada["id"])

    settings.ID_TOKEN_KEYS = {"2026": NEW, "2025": OLD}
    new = api.as_customer(ada["id"])
    assert jwt.get_unverified_header(new.customer)["kid"] == "2026"
    assert reads(old) and reads(new)
    assert not reads(customer_with(signed({**HEADER, "kid": "2025"}, claims_of(new.customer), NEW)))

    settings.ID_TOKEN_KEYS = {"2026": NEW}
    assert not reads(old)
    assert reads(new)


# What becomes of it


def of_card(ada: Any) -> int:
    return int(ada["identities"][0]["id"])


def move(api: Any, card: int, to: Any) -> Any:
    assert api.post(f"/identities/{card}/move", {"profile_id": to["id"], "reason": "Because."}).status_code == 200


def put(api: Any, ada: Any, card: int, **change: Any) -> Any:
    assert api.put(f"/profiles/{ada['id']}/identities/id/{card}", change).status_code == 200


def split_away(api: Any, ada: Any, bo: Any, card: int) -> None:
    api.identity(ada, "pos", "stays")
    assert api.post(f"/profiles/{ada['id']}/split", {"identity_ids": [card]}).status_code == 200


def deleted(api: Any, ada: Any, bo: Any, card: int) -> Any:
    assert api.delete(f"/profiles/{ada['id']}/identities/id/{card}").status_code == 204


def taken_over(api: Any, ada: Any, bo: Any, card: int) -> None:
    api.delete(f"/profiles/{ada['id']}")
    assert api.post(f"/profiles/{bo['id']}/identities", {"handle": CARD, "identifier": "1804974"}).status_code == 201


def taken_over_and_back(api: Any, ada: Any, bo: Any, card: int) -> None:
    taken_over(api, ada, bo, card)
    api.delete(f"/profiles/{bo['id']}")
    back = api.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "active"}).json()
    assert back["data"]["identities"][0]["id"] == card


def replaced(api: Any, ada: Any, bo: Any, card: int) -> None:
    """The row goes, since another of Bo's becomes its pair."""
    api.delete(f"/profiles/{ada['id']}")
    put(api, bo, of_card(bo), identifier="1804974")


DEADLY: dict[str, Callable[[Any, Any, Any, int], Any]] = {
    "moved": lambda api, ada, bo, card: move(api, card, bo),
    "moved and back": lambda api, ada, bo, card: (move(api, card, bo), move(api, card, ada)),
    "split away": split_away,
    "deactivated": lambda api, ada, bo, card: put(api, ada, card, is_active=False),
    "deactivated and back": lambda api, ada, bo, card: (
        put(api, ada, card, is_active=False),
        put(api, ada, card, is_active=True),
    ),
    "another identifier": lambda api, ada, bo, card: put(api, ada, card, identifier="1"),
    "another identifier and back": lambda api, ada, bo, card: (
        put(api, ada, card, identifier="1"),
        put(api, ada, card, identifier="1804974"),
    ),
    "deleted": deleted,
    "deleted and made anew": lambda api, ada, bo, card: (
        deleted(api, ada, bo, card),
        api.identity(ada, CARD, "1804974"),
    ),
    "taken over": taken_over,
    "taken over and back": taken_over_and_back,
    "replaced": replaced,
    "its profile gone for good": lambda api, ada, bo, card: Profile.objects.get(pk=ada["id"]).delete(),
}


@pytest.mark.parametrize("what", DEADLY)
def test_a_token_of_an_identity_dies_for_good_with_what_makes_it_doubtful(api, ada, bo, what) -> None:
    customer = api.as_customer(*PAIR)
    assert reads(customer)

    DEADLY[what](api, ada, bo, of_card(ada))

    assert not reads(customer)
    # One that is issued now is whoever's it is now.
    again = api.post(ISSUE, {"id": "1804974", "id_handle": CARD})
    if again.status_code == 200:
        assert reads(customer_with(again.json()["data"]["token"]))


def test_a_token_of_who_took_a_pair_over_is_not_good_for_who_gets_it_back(api, ada, bo) -> None:
    taken_over(api, ada, bo, of_card(ada))
    customer = api.as_customer(*PAIR)
    assert customer.me()["id"] == bo["id"]

    api.delete(f"/profiles/{bo['id']}")
    back = api.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "active"}).json()

    assert back["data"]["identities"][0]["id"] == of_card(ada)
    assert not reads(customer)


def test_what_changes_nothing_about_whose_it_is_leaves_it_alone(api, ada) -> None:
    customer = api.as_customer(*PAIR)
    card = of_card(ada)

    put(api, ada, card, is_primary=True)
    put(api, ada, card, is_active=True, identifier=" 1804974 ")
    api.post(f"/profiles/{ada['id']}/identities", {"handle": CARD, "identifier": "1804974"})
    api.record("transactions", sale(f"{CARD}:1804974"))

    assert reads(customer)


def test_a_decision_of_the_log_ends_the_tokens_of_what_it_takes_along(api, ada, bo, by) -> None:
    api.record("transactions", sale(f"{CARD}:1804974", f"{CARD}:77", "pos:7"))
    customer = api.as_customer("7", "pos")
    (former,) = (one for one in (ada, bo) if one["id"] == customer.me()["id"])
    (other,) = (one for one in (ada, bo) if one is not former)

    sending.send(RoutingLogEntry.objects.get().pk, to=uuid.UUID(other["id"]), note="It was she.", by=by)

    assert not reads(customer)
    assert api.as_customer("7", "pos").me()["id"] == other["id"]


def test_another_name_of_its_handle_leaves_it_alone(api, ada, by) -> None:
    customer = api.as_customer(*PAIR)

    renaming.rename(Handle.objects.get(pk=CARD), to="club-card", reason="It is a club now.", by=by)

    assert reads(customer)
    assert claims_of(api.issue("1804974", CARD))["identity"] == "club-card:1804974"


def merged(api: Any, source: Any, destination: Any) -> int:
    body = {"source_profile_id": source["id"], "destination_profile_id": destination["id"]}
    return int(api.post("/profiles/merge", body).json()["merges"][0])


def test_a_token_of_an_identity_follows_it_through_merge_and_undo(api, ada, bo) -> None:
    customer = api.as_customer(*PAIR)

    merge = merged(api, ada, bo)
    assert customer.me()["id"] == bo["id"]
    assert reads(customer)

    api.post(f"/merges/{merge}/undo", {})
    assert customer.me()["id"] == ada["id"]
    assert reads(customer)


def test_a_token_of_an_identity_waits_while_a_merge_has_made_it_inactive(api, ada, bo) -> None:
    api.put(f"/handles/{CARD}", {"single_valued": True})
    customers = [api.as_customer(card, CARD) for card in ("1804974", "77")]
    body = {
        "source_profile_id": ada["id"],
        "destination_profile_id": bo["id"],
        "handles": {CARD: "destination"},
    }

    (merge,) = api.post("/profiles/merge", body).json()["merges"]
    assert [reads(customer) for customer in customers] == [False, True]

    api.post(f"/merges/{merge}/undo", {})
    assert [reads(customer) for customer in customers] == [True, True]


def test_a_token_of_a_profile_follows_it_into_its_survivor_and_out_again(api, ada, bo) -> None:
    of_ada, of_bo = api.as_customer(ada["id"]), api.as_customer(bo["id"])

    merge = merged(api, ada, bo)
    assert of_ada.me()["id"] == of_bo.me()["id"] == bo["id"]

    api.post(f"/merges/{merge}/undo", {})
    assert (of_ada.me()["id"], of_bo.me()["id"]) == (ada["id"], bo["id"])


def test_a_token_of_a_profile_does_not_care_what_becomes_of_an_identity(api, ada, bo) -> None:
    customer = api.as_customer(ada["id"])

    move(api, of_card(ada), bo)

    assert customer.me()["id"] == ada["id"]


@pytest.mark.parametrize("of", ["id", "identity"])
def test_while_the_profile_is_locked_or_deleted_nothing_opens(api, ada, of) -> None:
    customer = api.as_customer(*((ada["id"],) if of == "id" else PAIR))
    profile = Profile.objects.filter(pk=ada["id"])

    profile.update(locked=True)
    assert not reads(customer)
    profile.update(locked=False)
    assert reads(customer)
    api.delete(f"/profiles/{ada['id']}")
    assert not reads(customer)
    api.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "active"})
    assert reads(customer)
    profile.get().delete()
    assert not reads(customer)


@pytest.mark.parametrize("of", ["id", "identity"])
def test_what_becomes_of_the_survivor_becomes_of_the_merged(api, ada, bo, of) -> None:
    customer = api.as_customer(*((ada["id"],) if of == "id" else PAIR))
    merged(api, ada, bo)

    locked(bo)
    assert not reads(customer)


@pytest.mark.parametrize("of", ["id", "identity", "nobody"])
def test_it_ends_with_the_servers_token_that_issued_it(caller, ada, of) -> None:
    def let_in(customer: Caller) -> bool:
        if of == "nobody":
            response = customer.get(f"{OWN}/me")
            assert response.status_code in (401, 404)
            return bool(response.status_code == 404)
        return reads(customer)

    def customer_of(server: Caller) -> Caller:
        customer: Caller = server.as_customer(*{"id": (ada["id"],), "identity": PAIR, "nobody": ()}[of])
        assert let_in(customer)
        return customer

    revoked = caller(extension="klaviyo")
    customer = customer_of(revoked)
    revoked.token.revoke()
    assert not let_in(customer)

    expired = caller(extension="klaviyo")
    customer = customer_of(expired)
    ApiToken.objects.filter(pk=expired.token.pk).update(expires_at=timezone.now() - datetime.timedelta(seconds=1))
    assert not let_in(customer)

    customer = customer_of(caller(extension="klaviyo"))
    account = User.objects.filter(extension="klaviyo")
    account.update(is_active=False)
    assert not let_in(customer)
    account.update(is_active=True)
    Extension.objects.filter(pk="klaviyo").update(enabled=False)
    assert not let_in(customer)
    Extension.objects.filter(pk="klaviyo").update(enabled=True)
    assert let_in(customer)
    ApiToken.objects.all().delete()
    assert not let_in(customer)


def test_an_extension_may_issue_without_a_token_of_its_own_while_it_is_enabled(api, ada) -> None:
    klaviyo = Extension.objects.get(pk="klaviyo")
    issued = tokens.issue_by_identity(CARD, "1804974", by=klaviyo)
    assert issued is not None
    customer = customer_with(issued.token)
    anonymous = tokens.authenticate(tokens.issue_anonymous(by=klaviyo).token)

    assert reads(customer)
    assert anonymous is not None and anonymous.profile_id is None
    used = tokens.authenticate(issued.token)
    assert used is not None
    assert (used.user, used.extension) == (klaviyo.service_account, klaviyo)

    Extension.objects.filter(pk="klaviyo").update(enabled=False)
    assert not reads(customer)


def test_a_process_remembers_no_more_tokens_than_it_should(api, ada, monkeypatch) -> None:
    monkeypatch.setattr(tokens, "MOST_REMEMBERED", 3)
    monkeypatch.setattr(tokens, "_remembered", {})

    made = [api.as_customer(ada["id"]) for _one in range(6)]

    assert all(reads(customer) for customer in (*made, *made))
    assert len(tokens._remembered) == 3
    assert lookup.own_profile(uuid.UUID(ada["id"]))


def test_no_token_stands_in_the_log(api, ada, caplog, settings) -> None:
    with caplog.at_level("DEBUG"):
        token = api.issue(*PAIR)
        customer_with(token).me()
        unauthenticated(customer_with(f"{token}x").get(f"{OWN}/me"))

    assert caplog.records
    assert token.split(".")[2] not in caplog.text
    assert "1804974" not in "".join(one.getMessage() for one in caplog.records if one.name == "omneo_identity.access")


def test_the_generation_is_counted_by_every_way_that_an_identity_leaves(api, ada, bo) -> None:
    card = Identity.objects.get(pk=of_card(ada))
    assert card.token_generation == 0

    move(api, card.pk, bo)
    move(api, card.pk, ada)
    put(api, ada, card.pk, is_active=False)
    put(api, ada, card.pk, is_active=False)

    card.refresh_from_db()
    assert card.token_generation == 3
