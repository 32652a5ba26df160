"""Whatever the description allows, and much that it does not, is answered as the description says."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any
from zlib import crc32

import orjson
import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core import NotSet
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from identities.models import Identity, RoutingLogEntry
from omneo_identity.api.views import document
from omneo_identity.wsgi import application
from profiles import duplicates
from profiles.duplicates import Found
from profiles.models import RECORDS, Audit, TransactionItem
from tests.api.conftest import KINDS, OWN

pytestmark = [pytest.mark.slow, pytest.mark.django_db]


def bad_input_is_refused(context: Any, response: Any, case: Any) -> bool | None:
    """As `negative_data_rejection`, but for what this API is lenient about."""
    if isinstance(case.body, NotSet) or (isinstance(case.body, bytes) and not case.body.strip()):
        return True  # An empty body is {}.
    if isinstance(case.query, dict) and case.query.get("include") in ("", [""]):
        return True  # It includes nothing.
    try:
        return negative_data_rejection(context, response, case)
    except AcceptedNegativeData:
        if as_read(case.body) == case.body:
            raise
    return True


def as_read(value: Any, name: str = "") -> Any:
    """A body as the API reads it: text is trimmed, and a boolean may be written in four ways."""
    if isinstance(value, dict):
        return {key: as_read(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_read(inner) for inner in value]
    if name in BOOLEANS and value in (0, 1, "0", "1", "true", "false"):
        return "a boolean"
    return value.strip() if isinstance(value, str) else value


BOOLEANS = {
    "is_active",
    "is_primary",
    "single_valued",
    "immutable",
    "sensitive",
    "is_void",
    "is_assignable",
    "is_published",
    "is_dynamic",
    "retry_daily",
    "retry_hourly",
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    bad_input_is_refused,
]

schema = schemathesis.openapi.from_dict(orjson.loads(orjson.dumps(document())))
schema.app = application
schema.config.generation.with_security_parameters = False  # The token is the test's own.


@pytest.fixture
def real(caller: Any, api: Any, ada: Any, bo: Any) -> dict[str, Any]:
    """Values that name something, by the name of the parameter or field."""
    card = Identity.objects.get(handle="loyalty-card", profile_id=ada["id"])
    refused = api.post(f"/profiles/{bo['id']}/identities", {"handle": card.handle_id, "identifier": card.identifier})
    assert refused.status_code == 422
    definition = api.post("/rewards/definitions", {"name": "Gift", "handle": "gift", "value": 5}).json()["data"]
    queued = api.post("/profiles/batch", {"match_criteria": "email", "profiles": [{"email": ada["email"]}]})
    url = "https://hooks.example.com/omneo"
    webhook = api.post("/webhooks", {"trigger": "profile.updated", "url": url}).json()["data"]
    steps = [{"name": "target.send", "arguments": [{"name": "url", "value": url}]}]
    trigger = api.post("/triggers", {"name": "Tell", "trigger": "profile.updated", "actions": steps}).json()["data"]
    (pair,) = duplicates.note([Found(uuid.UUID(ada["id"]), uuid.UUID(bo["id"]), {})])
    cy, cyrus = (api.profile(first_name=name)["id"] for name in ("Cy", "Cyrus"))
    merge = api.post("/profiles/merge", {"source_profile_id": cy, "destination_profile_id": cyrus})
    api.customer = api.issue(ada["id"])
    return {
        "pair_id": pair,
        "destination_profile_id": ada["id"],
        "source_profile_id": bo["id"],
        "record_id": records_of_one_id(api),
        "definition_id": definition["id"],
        "webhook_id": webhook["id"],
        "trigger_id": trigger["id"],
        "url": url,
        "external_id": "T7-1",
        "timezone": "Australia/Melbourne",
        "profile_id": ada["id"],
        "identity_id": card.pk,
        "handle": card.handle_id,
        "name": card.handle_id,
        "type": card.handle_id,
        "identifier": card.identifier,
        "id": card.identifier,
        "audit_id": Audit.objects.latest("pk").pk,
        "entry_id": RoutingLogEntry.objects.latest("pk").pk,
        "token_id": caller("read-profiles").token.pk,
        "email": ada["email"],
        "match_criteria": card.handle_id,
        "merge_id": merge.json()["merges"][0],
        "batch_id": queued.json()["data"]["batch_id"],
    }


def records_of_one_id(api: Any) -> int:
    """Make a record of each kind, all with one id: paths name it alike."""
    one_id = 1_000
    for kind, body in KINDS.items():
        made = api.record(kind, body("loyalty-card:1804974") | {"external_id": "T7-1"})["id"]
        rows: Any = RECORDS[kind.removesuffix("s")]._default_manager.filter(pk=made)
        rows.update(id=one_id)
    TransactionItem.objects.update(transaction_id=one_id)
    return one_id


@pytest.fixture
def one_connection(real: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the test's transaction: at the end of a request Django closes a connection that is inside of one, and so
    does the short way."""
    monkeypatch.setattr(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", lambda _self: None)
    signals = (request_started, request_finished)
    for signal in signals:
        signal.disconnect(close_old_connections)
    yield
    for signal in signals:
        signal.connect(close_old_connections)


def made_real(values: Any, real: dict[str, Any]) -> Any:
    """The same values with what names nothing replaced, wherever the type is right."""
    if isinstance(values, list):
        return [made_real(value, real) for value in values]
    if not isinstance(values, dict):
        return values
    return {
        name: real[name] if name in real and type(value) is type(real[name]) else made_real(value, real)
        for name, value in values.items()
    }


@schema.parametrize()
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_answer_is_in_the_description(case, api, real, one_connection) -> None:
    # Two of three calls name something that is there; which ones is up to the case alone, so that it can be replayed.
    if crc32(repr((case.path_parameters, case.body, case.query)).encode()) % 3:
        case.path_parameters = made_real(case.path_parameters, real)
        case.query = made_real(case.query, real)
        case.body = made_real(case.body, real)

    plain = api.customer if case.path.startswith(OWN) else api.plain
    # Who has a profile makes no other.
    plain = api.issue() if case.path == OWN else plain
    with transaction.atomic():
        response = case.call(headers={"Authorization": f"Bearer {plain}"})
        transaction.set_rollback(True)  # Each case meets the same rows.

    case.validate_response(response, checks=CHECKS)
