"""Callers of the API, each with a real token, and the cast: Ada, Ada again, and Bo."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from identities.models import ApiToken, CallCount, Extension, Handle, Identity, RoutingLogEntry
from omneo_identity.api.auth import SCOPES
from profiles.models import (
    Action,
    Audit,
    CustomAttribute,
    DuplicatePair,
    Interaction,
    Merge,
    Point,
    Profile,
    Reaction,
    Reward,
    RewardDefinition,
    Transaction,
    TransactionItem,
    Webhook,
)

CARD = "loyalty-card"


# A path below one of these is called as it is, any other below `/api/v3`.
OTHER_ROOTS = ("/id/", "/shopify/", "/apps/")
OWN = "/id/api/v1/profiles"


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The fuzzer makes its cases while it is collected, which takes seconds: only where they are run."""
    is_left_out = collection_path.name == "test_schemathesis.py" and "not slow" in config.option.markexpr
    return is_left_out or None


class Caller:
    """A client of the API with a token of its own. A body of bytes is sent as it is, anything else as JSON.

    With the token of a customer besides, which then goes to what that opens.
    """

    customer = ""
    # Of an anonymous one, to sign up with.
    visitor = ""

    def __init__(self, plain: str, token: ApiToken | None = None) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {plain}"} if plain else None)
        self.plain = plain
        self.token = token

    def call(self, method: str, path: str, body: Any = b"", **headers: str) -> Any:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        path = path if path.startswith(OTHER_ROOTS) else f"/api/v3{path}"
        if token := (path.startswith(OWN) and ((path == OWN and self.visitor) or self.customer)):
            headers = {"Authorization": f"Bearer {token}", **headers}
        return self.client.generic(method, path, raw, "application/json", headers=headers)

    def get(self, path: str, query: dict[str, Any] | None = None) -> Any:
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: Any = b"") -> Any:
        return self.call("POST", path, body)

    def put(self, path: str, body: Any = b"") -> Any:
        return self.call("PUT", path, body)

    def delete(self, path: str) -> Any:
        return self.call("DELETE", path)

    def data(self, path: str, query: dict[str, Any] | None = None) -> Any:
        """What a GET that must succeed has in `data`."""
        response = self.get(path, query)
        assert response.status_code == 200, response.content
        return response.json()["data"]

    def profile(self, **body: Any) -> dict[str, Any]:
        """Make a profile, and read it."""
        response = self.post("/profiles", body)
        assert response.status_code == 201, response.content
        data: dict[str, Any] = response.json()["data"]
        return data

    def record(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Make a record, and read it with its `routing`: `api.record("transactions", sale())`."""
        response = self.post(f"/{path}", body)
        assert response.status_code == 201, response.content
        answer: dict[str, Any] = response.json()
        return {**answer["data"], "routing": answer["routing"]}

    def issue(self, *of: Any) -> str:
        """Have a customer token issued: of a profile's id, of an identifier and its handle, or of nobody."""
        body = dict(zip(("id", "id_handle"), of, strict=False))
        response = self.post("/id/api/v1/auth/token", body)
        assert response.status_code == 200, response.content
        token: str = response.json()["data"]["token"]
        return token

    def as_customer(self, *of: Any) -> Caller:
        """The same client as a customer, with a token of `issue`."""
        token = self.issue(*of)
        customer = Caller(token)
        customer.customer = token
        return customer

    def me(self, path: str = "") -> Any:
        """What a customer reads of themselves, which must succeed."""
        return self.data(f"{OWN}/me{path}")

    def identity(self, profile: dict[str, Any], handle: str, identifier: Any, **more: Any) -> dict[str, Any]:
        """Add an identity to a profile, and read it."""
        body = {"handle": handle, "identifier": identifier, **more}
        response = self.post(f"/profiles/{profile['id']}/identities", body)
        assert response.status_code == 201, response.content
        data: dict[str, Any] = response.json()["data"]
        return data


@pytest.fixture
def caller(operator: User) -> Callable[..., Caller]:
    """Make a caller with these scopes: `caller("read-profiles")`, `caller(extension="shopify")` with all of them."""

    def make(*scopes: str, extension: str = "", **fields: Any) -> Caller:
        speaks_for = Extension.objects.get(pk=extension) if extension else None
        token, plain = ApiToken.issue(
            user=speaks_for.service_account if speaks_for else operator,
            name=f"Token of {extension or 'staff'}",
            scopes=scopes or SCOPES,
            extension=speaks_for,
            **fields,
        )
        return Caller(plain, token)

    return make


@pytest.fixture
def api(caller: Callable[..., Caller]) -> Caller:
    """Staff, with every scope."""
    return caller()


@pytest.fixture
def shopify(caller: Callable[..., Caller]) -> Caller:
    """The extension that claims the handle `shopify`, with every scope."""
    return caller(extension="shopify")


def meet_ada(api: Caller) -> dict[str, Any]:
    return api.profile(
        first_name="Ada",
        last_name="Lovelace",
        email="ada@example.com",
        mobile_phone="0404 123 123",
        identities=[{"handle": CARD, "identifier": "1804974"}],
    )


@pytest.fixture
def ada(api: Caller) -> dict[str, Any]:
    return meet_ada(api)


@pytest.fixture
def bo(api: Caller) -> dict[str, Any]:
    """Somebody else, who must never change."""
    return api.profile(
        first_name="Bo",
        last_name="Diaz",
        email="bo@example.com",
        mobile_phone="0404 999 888",
        identities=[{"handle": CARD, "identifier": "77"}],
    )


def sale(*pairs: str, **more: Any) -> dict[str, Any]:
    """A transaction as a till sends it, with these pairs: `sale("loyalty-card:1804974", external_id="T7-1")`."""
    body = {
        "total": 19.99,
        "transacted_at": "2026-11-25 12:00:00",
        "timezone": "Australia/Melbourne",
        "items": [{"name": "Tea", "quantity": 1, "price_current": 19.99, "price_sell": 19.99}],
    }
    return named(body, *pairs) | more


def visit(*pairs: str, **more: Any) -> dict[str, Any]:
    """An interaction, with these pairs."""
    body = {"action": "visit", "channel": "location", "signal": 1, "name": "Came in", "namespace": "shop"}
    return named(body, *pairs) | more


def points(*pairs: str, **more: Any) -> dict[str, Any]:
    """Points, with these pairs."""
    return named({"value_initial": 100, "issued_at": "2026-11-25 01:00:00"}, *pairs) | more


def reward(*pairs: str, **more: Any) -> dict[str, Any]:
    """A reward, with these pairs."""
    body = {"value_initial": 20, "issued_at": "2026-11-25 12:00:00", "timezone": "Australia/Melbourne"}
    return named(body, *pairs) | more


def named(body: dict[str, Any], *pairs: str) -> dict[str, Any]:
    if not pairs:
        return body
    split = [pair.partition(":") for pair in pairs]
    return {**body, "identities": [{"handle": handle, "identifier": text} for handle, _colon, text in split]}


# The kinds of records: their path, and a body with pairs.
KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "transactions": sale,
    "interactions": visit,
    "points": points,
    "rewards": reward,
}


# What a request that is refused may still touch: when a token was last used.
VOLATILE = {"last_used_at"}


def everything() -> dict[str, list[dict[str, Any]]]:
    """Every row of the product, by model, but for the counts of calls: refused ones are counted, too.

    Which tables have any is asked at once, since most have none.
    """
    apps_of_ours = [apps.get_app_config(label) for label in ("profiles", "identities")]
    models_of_ours = [model for app in apps_of_ours for model in app.get_models() if model is not CallCount]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'EXISTS (SELECT FROM {one._meta.db_table})' for one in models_of_ours)}")
        filled = cursor.fetchone()
    found: dict[str, list[dict[str, Any]]] = {}
    for model, has_rows in zip(models_of_ours, filled, strict=True):
        columns = [field.attname for field in model._meta.concrete_fields if field.attname not in VOLATILE]
        found[model.__name__] = list(model._default_manager.order_by("pk").values(*columns)) if has_rows else []
    return found


@pytest.fixture
def unchanged(db: None) -> Callable[..., Any]:
    """Nothing is written inside `with unchanged():`, except rows of the models that are named."""

    @contextmanager
    def check(*but: type[models.Model]) -> Iterator[None]:
        before = everything()
        yield
        after = everything()
        for model in but:
            before.pop(model.__name__), after.pop(model.__name__)
        assert after == before

    return check


@pytest.fixture
def nobody() -> str:
    """An id that no profile has."""
    return str(uuid.UUID(int=7))


@pytest.fixture
def path() -> Callable[[str], str]:
    """Write a value as one part of a path."""
    return lambda text: quote(text, safe="")


def refused(response: Any, code: str, field: str, status: int = 422) -> dict[str, Any]:
    """The answer is a refusal in the envelope of API.md 1: the code, and a sentence for this field first."""
    assert response.status_code == status, response.content
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    assert next(iter(body["errors"])) == field
    assert body["message"] == body["errors"][field][0]
    return body


def conflict(response: Any, code: str) -> dict[str, Any]:
    """The answer is a state conflict: 409 with its code, and no errors by field."""
    assert response.status_code == 409, response.content
    body: dict[str, Any] = response.json()
    assert body["code"] == code
    assert body["message"]
    assert "errors" not in body
    return body


def not_found(response: Any) -> None:
    assert (response.status_code, response.json()) == (404, {"message": "Not found."})


# Many rows


def rows(api: Any, ada: Any, operator: Any, count: int) -> None:
    """Make so many more rows of everything that is listed."""
    profiles = Profile.objects.bulk_create(Profile(last_name_fold="lovelace") for _number in range(count))
    Identity.objects.bulk_create(
        Identity(handle_id=CARD, identifier=f"{profile.pk}", profile=profile) for profile in profiles
    )
    Identity.objects.bulk_create(
        Identity(handle_id="pos", identifier=str(uuid.uuid4()), profile_id=ada["id"]) for _number in range(count)
    )
    pairs = [sorted([uuid.UUID(ada["id"]), profile.pk]) for profile in profiles]
    DuplicatePair.objects.bulk_create(
        DuplicatePair(
            # By an entry of the log that is gone: of the first one a test that runs first would be told, and no other.
            first_id=one,
            second_id=other,
            low_id=one,
            high_id=other,
            score=number % 5 / 10,
            evidence={"conflict": [0]},
        )
        for number, (one, other) in enumerate(pairs)
    )
    RoutingLogEntry.objects.bulk_create(
        RoutingLogEntry(
            outcome="refused", kind="profile", by=operator, fingerprint=str(uuid.uuid4()), source_id="sfcc"
        )
        for _number in range(count)
    )
    now = timezone.now()
    # Undone, since the profiles are live.
    Merge.objects.bulk_create(
        Merge(survivor_id=ada["id"], duplicate=profile, by=operator, undone_by=operator, undone_at=now)
        for profile in profiles
    )
    Audit.objects.bulk_create(
        Audit(by=operator, event="created", auditable_type="identity", auditable_key=str(number), profile_id=ada["id"])
        for number in range(count)
    )
    Handle.objects.bulk_create(Handle(name=name, fold=name) for name in (uuid.uuid4().hex for _number in range(count)))
    for _number in range(count):
        ApiToken.issue(user=operator, name="Till", scopes=SCOPES)
    CustomAttribute.objects.bulk_create(
        CustomAttribute(profile=profile, namespace="club", handle="tier", type="string", value="gold", text="gold")
        for profile in profiles
    )
    definition = RewardDefinition.objects.bulk_create(
        RewardDefinition(name="Gift", handle=uuid.uuid4().hex) for _number in range(count)
    )[0]
    balance = {"profile_id": ada["id"], "value_initial": 1, "value_remaining": 1, "issued_at": now}
    sales = Transaction.objects.bulk_create(
        Transaction(profile_id=ada["id"], total=1, transacted_at=now, timezone="UTC") for _number in range(count)
    )
    TransactionItem.objects.bulk_create(
        TransactionItem(transaction=one, position=number, name="Tea", quantity=1, price_current=1, price_sell=1)
        for one in sales
        for number in range(3)
    )
    Interaction.objects.bulk_create(Interaction(profile_id=ada["id"], signal=1) for _number in range(count))
    Point.objects.bulk_create(Point(**balance) for _number in range(count))
    Reward.objects.bulk_create(Reward(**balance, definition=definition) for _number in range(count))
    Webhook.objects.bulk_create(
        Webhook(trigger="profile.updated", url="https://hooks.example.com/omneo", user=operator)
        for _number in range(count)
    )
    reactions = Reaction.objects.bulk_create(
        Reaction(name="Tell", trigger="profile.updated") for _number in range(count)
    )
    oldest = Reaction.objects.earliest("pk")
    Action.objects.bulk_create(Action(reaction=one, name="filter") for one in [*reactions, *[oldest] * count])


@pytest.fixture
def twenty_thousand(ada: Any) -> None:
    """20,000 profiles like Ada's, with a card, an e-mail address and a phone number each."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO profiles_profile
            SELECT made.* FROM profiles_profile AS ada, generate_series(1, 20000) AS number,
            LATERAL jsonb_populate_record(ada, jsonb_build_object(
                'id', gen_random_uuid(), 'first_name_fold', 'first' || number, 'last_name_fold', number
            )) AS made
            """
        )
        cursor.execute(
            """
            INSERT INTO identities_identity
            SELECT made.* FROM identities_identity AS card, profiles_profile AS profile,
            LATERAL (VALUES
                ('loyalty-card', 'L' || last_name_fold),
                ('email', 'made' || last_name_fold || '@example.com'),
                ('mobile_phone', '+6140' || lpad(last_name_fold, 7, '0'))
            ) AS pair (handle, identifier),
            LATERAL jsonb_populate_record(card, jsonb_build_object(
                'id', nextval(pg_get_serial_sequence('identities_identity', 'id')), 'profile_id', profile.id,
                'handle', pair.handle, 'identifier', pair.identifier
            )) AS made
            WHERE card.handle = 'loyalty-card' AND profile.id <> card.profile_id
            """
        )
        cursor.execute("ANALYZE profiles_profile, identities_identity, identities_handle")


def statements(call: Callable[[], Any]) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        call()
    return [
        query["sql"] for query in captured.captured_queries if query["sql"].lstrip().startswith(("SELECT", "WITH"))
    ]
