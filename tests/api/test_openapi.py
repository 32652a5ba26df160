"""The description of the whole product: valid, complete, with examples that are true (API.md 1)."""

from __future__ import annotations

import ast
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema  # type: ignore[import-untyped]
import pytest
from django.conf import settings
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.validation import validate_schema

from identities.models import Extension
from omneo_identity.api.errors import CONFLICTS, ERROR_CODES
from omneo_identity.api.views import document as whole_document
from profiles import duplicates
from profiles.duplicates import Found
from profiles.models import Reaction, Webhook
from tests.api.conftest import KINDS, OTHER_ROOTS, OWN

METHODS = {"get", "post", "put", "delete"}

# Not for clients: the API answers them as "invalid".
NOT_ON_THE_WIRE = {"writer_required", "in_use", "already_agreed", "already_retired", "entry_emptied", "nothing_asked"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = Client().get("/api/schema").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def bodies(operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The request's body and the successful answers' that have one."""
    if "requestBody" in operation:
        yield operation["requestBody"]["content"]["application/json"]
    for status, answer in operation["responses"].items():
        if status.startswith("2") and "content" in answer:
            yield answer["content"]["application/json"]


def test_the_document_is_valid_openapi_3_1(document) -> None:
    validate_schema(document)

    assert document["openapi"] == "3.1.0"


def test_the_document_is_made_once_per_process() -> None:
    assert whole_document() is whole_document()


def routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from routes(pattern.url_patterns, f"{prefix}{pattern.pattern}")
        else:
            yield f"/{prefix}{pattern.pattern}", pattern.callback


def test_every_route_of_the_api_is_described(document) -> None:
    described = {re.sub(r"{\w+}", "{}", name) for name, _operation in operations(document)}

    served = {
        f"{method.upper()} " + re.sub(r"<[\w:]+>", "{}", path)
        for path, callback in routes(get_resolver().url_patterns)
        if path.startswith(("/api/v3/", *OTHER_ROOTS))
        for method in getattr(callback, "actions", {})
        if method in METHODS
    }

    assert served | {"GET /api/health", "GET /api/health/ready"} == described


@pytest.mark.parametrize("word", ["operationId", "summary", "description", "tags"])
def test_every_operation_says_what_it_is(document, word) -> None:
    lacking = [name for name, operation in operations(document) if not operation.get(word)]

    assert lacking == ([] if word != "summary" else ["GET /api/health", "GET /api/health/ready"])


def test_operation_ids_are_unique(document) -> None:
    ids = [operation["operationId"] for _name, operation in operations(document)]

    assert len(ids) == len(set(ids))


def test_every_body_and_every_successful_answer_has_an_example(document) -> None:
    lacking = [
        name for name, operation in operations(document) for body in bodies(operation) if not body.get("examples")
    ]

    assert lacking == []


def test_every_success_has_a_body_but_a_deletion_and_the_check_of_a_token(document) -> None:
    empty = {
        name
        for name, operation in operations(document)
        for status, answer in operation["responses"].items()
        if status.startswith("2") and "content" not in answer
    }

    assert {name for name in empty if not name.startswith("DELETE")} == {"GET /api/v3/auth/verify"}
    assert {name for name, _operation in operations(document) if name.startswith("DELETE")} <= empty


def test_the_examples_are_valid_by_their_own_schemas(document) -> None:
    faults = [
        f"{name}: {fault.json_path}: {fault.message}"
        for name, operation in operations(document)
        for body in bodies(operation)
        for example in body["examples"].values()
        for fault in jsonschema.Draft202012Validator(
            {**body["schema"], "components": document["components"]}
        ).iter_errors(example["value"])
    ]

    assert faults == []


def test_the_examples_show_every_field(document) -> None:
    """An example of an answer leaves out nothing that the answer always has, and shows nothing else."""
    schemas = document["components"]["schemas"]
    records = ("Transaction", "Interaction", "Point", "Reward", "RewardDefinition")
    for name in (
        "Profile",
        "Identity",
        "Handle",
        "RoutingLog",
        "Audit",
        "Token",
        "ProfileBatchState",
        "DuplicatePair",
        "CustomerToken",
        "OwnProfile",
        "OwnIdentity",
        "OwnTransaction",
        "OwnInteraction",
        *records,
    ):
        (operation, content) = next(
            (label, body)
            for label, one in operations(document)
            for body in bodies(one)
            if body["schema"].get("$ref", "").endswith(f"/{'IssuedToken' if name == 'Token' else name + 'Data'}")
        )
        value = content["examples"]["Example"]["value"]
        shown = value["token"] if name == "Token" else value["data"]
        assert list(shown) == list(schemas[name]["properties"]), operation


@pytest.mark.django_db
def test_the_examples_of_requests_are_accepted(api, shopify, ada, document, monkeypatch) -> None:
    shopify.identity(api.profile(), "shopify", "6432187489345")
    Extension.objects.filter(pk="shopify").update(secret_variables=["TESTED_SHOP_SECRET"])
    monkeypatch.setenv("TESTED_SHOP_SECRET", "hush")
    card = ada["identities"][0]["id"]
    eve = api.profile(identities=[{"handle": "pos", "identifier": "of Eve"}])
    (pair,) = duplicates.note([Found(uuid.UUID(ada["id"]), uuid.UUID(eve["id"]), {})])
    made = {kind: str(api.record(kind, body("loyalty-card:1804974"))["id"]) for kind, body in KINDS.items()}
    definition = api.post("/rewards/definitions", {"name": "Gift", "handle": "gift", "value": 5}).json()["data"]
    again = api.profile(first_name="Augusta")["id"], "01968fdc-7a29-7c5b-9ee0-bb9f3a0f4e11"
    other = {"source_profile_id": api.profile()["id"], "destination_profile_id": again[0]}
    (merge,) = api.post("/profiles/merge", other).json()["merges"]
    hers = api.customer = api.issue(ada["id"])
    claim = api.post(f"{OWN}/me/identities", {"handle": "loyalty-card", "identifier": "77"}).json()["data"]["id"]
    example = ada["id"], "b1d6f3ec-38cd-4747-b7f3-6649c9c05c5d"
    url = "https://hooks.example.com/omneo"
    webhook = Webhook.objects.create(trigger="profile.updated", url=url, user=api.token.user)
    trigger = Reaction.objects.create(name="Tell", trigger="profile.updated")
    # What is done first is not there to be previewed any more, nor to have a token issued.
    first = ("/preview", "/auth/token")
    for name, operation in sorted(operations(document), key=lambda one: not one[0].endswith(first)):
        if "requestBody" not in operation:
            continue
        method, path = name.split(" ")
        # Who has a profile makes no other, and changes only what they claim.
        api.customer = api.issue() if name == f"POST {OWN}" else hers
        path = path.replace("{identity_id}", str(claim if path.startswith(OWN) else card))
        path = path.replace("{profile_id}", ada["id"])
        path = path.replace("{handle}", "loyalty-card").replace("{name}", "loyalty-card").removeprefix("/api/v3")
        path = path.replace("{attribute}", "loyalty:tier").replace("{definition_id}", str(definition["id"]))
        path = path.replace("{pair_id}", str(pair))
        path = path.replace("{merge_id}", str(merge))
        path = path.replace("{webhook_id}", str(webhook.pk)).replace("{trigger_id}", str(trigger.pk))
        path = path.replace("{record_id}", made.get(path.split("/")[1], ""))
        if path == "/transactions/update-create":
            api.delete(f"/transactions/{api.data('/transactions/external/T07-000381')['id']}")
        (shown,) = operation["requestBody"]["content"]["application/json"]["examples"].values()
        body = json.loads(json.dumps(shown["value"]).replace(example[1], example[0]).replace(again[1], again[0]))
        if "identity_ids" in body:
            body["identity_ids"] = [card]
        if name == "POST /api/v3/profiles":
            body |= {"email": "other@example.com", "mobile_phone": "0404 555 444"}

        response = api.call(method, path, body)

        assert response.status_code in (200, 201), (name, response.content)
        assert str(response.status_code) in operation["responses"]


def test_only_the_routes_of_tokens_take_no_key(document) -> None:
    writes = {name: operation for name, operation in operations(document) if not name.startswith("GET")}

    without = {
        name
        for name, operation in writes.items()
        if "Idempotency-Key" not in {one["name"] for one in operation.get("parameters", [])}
    }

    assert without == {
        "POST /api/v3/auth/api-tokens",
        "DELETE /api/v3/auth/api-tokens/{token_id}",
        "POST /id/api/v1/auth/token",
        "POST /shopify/api/v1/auth/token",
    }
    assert {name for name, operation in writes.items() if "409" not in operation["responses"]} == without


def raised() -> Iterator[tuple[str, str]]:
    """The code words in the sources: of Refused(code, ...), ValidationError(..., code) and the like."""
    for app in ("profiles", "identities"):
        for path in sorted((Path(settings.BASE_DIR) / app).rglob("*.py")):
            if not {"migrations", "admin", "forms.py"}.isdisjoint(path.parts):
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                found = [word.value for word in node.keywords if word.arg == "code"]
                if called == "Refused" or (called == "__init__" and path.name == "holding.py"):
                    found += node.args[:1]
                if called == "ValidationError":
                    found += node.args[1:2]
                for value in found:
                    # An empty one is a condition on a column of that name.
                    if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                        yield value.value, f"{path.name}:{node.lineno}"


def test_the_table_lists_every_code_that_the_product_raises() -> None:
    codes = dict(raised())

    assert len(codes) > 15
    assert {code: place for code, place in codes.items() if code not in ERROR_CODES} == {
        code: codes[code] for code in NOT_ON_THE_WIRE
    }


def test_the_table_stands_in_the_description(document) -> None:
    text = document["info"]["description"]

    for code, sentence in ERROR_CODES.items():
        assert f"| `{code}` | {409 if code in CONFLICTS else 422} | {sentence} |" in text


@pytest.mark.parametrize(
    "word",
    [
        "Bearer",
        "page[size]",
        "at most 200",
        "sort=-field",
        "include=",
        "total_is_estimate",
        "page[cursor]",
        "next_cursor",
        "Idempotency-Key",
        "Idempotent-Replay: true",
        "X-Request-ID",
        "trailing slash",
        "Retry-After",
        "An empty body is `{}`",
    ],
)
def test_what_the_contract_leaves_open_is_in_the_description(document, word) -> None:
    assert word in document["info"]["description"]


# /api/docs/


LOADED = re.compile(r"""<(?:script|link|img|iframe)[^>]*?\s(?:src|href)=["']([^"']+)""", re.IGNORECASE)


def loaded(page: str) -> list[str]:
    """What a page loads."""
    return LOADED.findall(page)


def file(client, url: str) -> str:
    asset = client.get(url)
    assert asset.status_code == 200, url
    return b"".join(asset).decode(errors="replace") if asset.streaming else asset.content.decode()


def test_the_documentation_is_served_whole_by_this_host(client) -> None:
    response = client.get("/api/docs/")
    page = response.content.decode()

    assert response.status_code == 200
    urls = loaded(page)
    assert len(urls) >= 3
    for url in urls:
        assert urlsplit(url).netloc == "", url
        assert file(client, url)
    assert not re.search(r"https?://|[\"'(]//", page)
    assert "/api/schema" in page


def test_the_stylesheet_loads_nothing_from_elsewhere(client) -> None:
    urls = [url for url in loaded(client.get("/api/docs").content.decode()) if url.endswith(".css")]

    assert urls
    for url in urls:
        text = file(client, url)
        assert not re.search(r"url\(\s*[\"']?(?:https?:)?//", text)
        assert "@import" not in text


def test_no_badge_asks_a_validator_elsewhere(client) -> None:
    # Swagger UI's standalone layout would send the schema's address to a public validator.
    (url,) = [url for url in loaded(client.get("/api/docs").content.decode()) if url.endswith("/docs.js")]

    assert 'layout: "BaseLayout"' in file(client, url)
