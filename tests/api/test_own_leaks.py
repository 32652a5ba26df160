"""Nothing under `/id/api/v1/profiles` names another profile, tells of it, or shows a reserved handle (API.md 6).

Every route is walked with a profile that has met others in every way there is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.urls import get_resolver
from rest_framework.exceptions import AuthenticationFailed

from identities.models import Handle, Identity, RoutingLogEntry
from identities.views.own import untold
from profiles.models import Transaction
from profiles.refusing import Refused
from tests.api.conftest import CARD, OWN, Caller, points, reward, sale, visit
from tests.api.test_openapi import routes

pytestmark = pytest.mark.django_db

SHOPIFY_ID = "6432187489345"

# Keys of answers that would tell of others, whatever stands there.
TELLING = {
    "addressed",
    "brought_by",
    "candidates",
    "did_you_mean",
    "log_entry_id",
    "not_returned",
    "profile_ids",
    "routing",
    "source",
    "survivor_id",
}


class Cast(NamedTuple):
    """Ada, and everything of others that must not occur in what she is told."""

    ada: dict[str, Any]
    me: Caller
    foreign: set[str]
    reserved: set[str]


@pytest.fixture
def cast(api: Any, shopify: Any, caller: Any, ada: dict[str, Any], bo: dict[str, Any]) -> Cast:
    """Ada has swallowed one profile and lost an identity to another; her records name Bo, and a shop's system knows her.

    Two of hers are of reserved handles, one of them primary; klaviyo has written an open one.
    """
    klaviyo = caller(extension="klaviyo")
    shopify.identity(ada, "shopify", SHOPIFY_ID, is_primary=True)
    klaviyo.identity(ada, "klaviyo", "01GDDKASAP8TKDDA2GRZDSVP4H")
    klaviyo.identity(ada, "pos", "written by an extension")
    swallowed = api.profile(
        first_name="Zelda", last_name="Swallowed", identities=[{"handle": "pos", "identifier": "swallowed"}]
    )
    bos = f"{CARD}:77"
    api.record("transactions", sale("pos:swallowed", external_id="S1"))
    merging = {"source_profile_id": swallowed["id"], "destination_profile_id": ada["id"]}
    api.post("/profiles/merge", merging)
    lost = api.identity(ada, "pos", "lost")
    api.post(f"/identities/{lost['id']}/move", {"profile_id": bo["id"], "reason": "Because."})
    # Records that name both, that were rerouted, that a reserved pair brought, that named the one swallowed.
    mine = f"{CARD}:1804974"
    klaviyo.record("transactions", sale(mine, bos, external_id="C1"))
    shopify.record("transactions", sale(f"shopify:{SHOPIFY_ID}", profile_id=bo["id"], external_id="R1"))
    api.record("transactions", sale(profile_id=swallowed["id"], external_id="A1"))
    klaviyo.record("interactions", visit(mine, bos))
    shopify.record("interactions", visit(f"shopify:{SHOPIFY_ID}", profile_id=bo["id"]))
    api.record("points", points(mine, bos))
    api.record("rewards", reward(mine))
    klaviyo.put(f"/profiles/{ada['id']}/attributes/custom/shoes:size", {"value": 39})
    assert api.post(f"/profiles/{ada['id']}/identities", {"handle": CARD, "identifier": "77"}).status_code == 422
    assert Transaction.objects.filter(profile=ada["id"]).count() == 4
    assert RoutingLogEntry.objects.count() >= 4
    foreign = {bo["id"], swallowed["id"], "Diaz", "bo@example.com", "404999888", '"77"', "lost", "Zelda", "Swallowed"}
    reserved = {*Handle.objects.exclude(reserved_for=None).values_list("pk", flat=True), SHOPIFY_ID, "01GDDKASAP"}
    me: Caller = api.as_customer(SHOPIFY_ID, "shopify")
    return Cast(ada, me, foreign, reserved)


def own_routes() -> Iterator[tuple[str, str]]:
    """Every method of every route that a customer token opens."""
    for path, callback in routes(get_resolver().url_patterns):
        if path.startswith(OWN):
            # The first call to a route adds a method to these.
            yield from [(method.upper(), path) for method in getattr(callback, "actions", {}) if method != "head"]


HARMLESS: dict[str, Any] = {
    **visit(),
    "handle": "pos",
    "identifier": "said by herself",
    "value": 40,
    "profile_type": "active",
    "first_name": "Ada",
}


def hostile(cast: Cast, bo: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Bodies that name others and reserved handles wherever something can be named."""
    for handle, identifier in (
        (CARD, "77"),
        (CARD, "1804974"),
        ("pos", "lost"),
        ("email", "bo@example.com"),
        ("shopify", SHOPIFY_ID),
        ("SHOPIFY", "1"),
        ("shop_ify", "1"),
        ("klaviyo", "1"),
    ):
        pair = {"handle": handle, "identifier": identifier}
        yield {
            **HARMLESS,
            **pair,
            "identities": [pair],
            "profile_id": bo["id"],
            "email": "bo@example.com",
            "mobile_phone": "+61404999888",
            "is_primary": True,
        }


def paths(path: str, cast: Cast) -> Iterator[str]:
    """A route's path, about what is Ada's, what is reserved, and what is another's."""
    values = {
        "attribute": ["shoes:size", "hats:size"],
        "handle": [CARD, "shopify", "klaviyo", "email", "nobody-knows-it"],
        "identity_id": [str(pk) for pk in Identity.objects.order_by("pk").values_list("pk", flat=True)],
    }
    ((name, alternatives),) = [one for one in values.items() if f":{one[0]}>" in path] or [("", [""])]
    for value in alternatives:
        yield re.sub(rf"<\w+:{name}>", value, path) if name else path


def keys(value: Any) -> Iterator[str]:
    """The keys of objects in an answer, but for the free ones that a customer or a till has named."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            if key not in ("meta", "custom_attributes"):
                yield from keys(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys(inner)


def look(cast: Cast, response: Any, said: str = "") -> None:
    """Find nothing of others in an answer, nor what is reserved: but for what was `said` by whoever asks."""
    assert response.status_code in (200, 201, 204, 400, 404, 405, 409, 422), response.content
    told = response.content.decode() + json.dumps(dict(response.headers))
    url = response.wsgi_request.get_full_path()
    for word in cast.foreign | cast.reserved:
        assert word not in told or word in said, (word, url, told)
    if response.content:
        body = response.json()
        assert TELLING.isdisjoint(keys(body)), (url, body)
        assert "merged_from" not in re.sub(r'"merged_from": null', "", json.dumps(body))


def test_the_walk_knows_every_route(cast) -> None:
    walked = list(own_routes())

    assert ("GET", f"{OWN}/me") in walked
    assert ("POST", f"{OWN}/me/interactions") in walked
    assert len(walked) >= 16


def test_no_answer_tells_of_others_or_of_what_is_reserved(cast) -> None:
    for method, route in own_routes():
        for path in paths(route, cast):
            query = "?filter[external_id]=C1" if path.endswith("find-transactions") else ""
            body = HARMLESS if method in ("POST", "PUT") else b""
            look(cast, cast.me.call(method, path + query, body), said=json.dumps(body if body else "") + path)


def test_what_is_ones_own_is_shown_all_the_same(cast) -> None:
    """The walk would be worth nothing on empty answers."""
    assert cast.me.me()["first_name"] == "Ada"
    assert [one["identifier"] for one in cast.me.me("/identities")] == [
        "1804974",
        "written by an extension",
        "swallowed",
    ]
    assert [one["external_id"] for one in cast.me.me("/transactions?sort=id")] == ["S1", "C1", "R1", "A1"]
    assert len(cast.me.me("/interactions")) == 2
    assert cast.me.me("/find-transactions?filter[external_id]=R1")["profile_id"] == cast.ada["id"]


def test_no_answer_to_a_hostile_request_tells_more_than_it_said_itself(cast, api, bo, settings) -> None:
    settings.CUSTOMER_WRITE_LIMIT = 10_000
    before = api.data(f"/profiles/{bo['id']}")
    said = ""
    for body in hostile(cast, bo):
        # What she has claimed before is shown from then on.
        said += json.dumps({name: value for name, value in body.items() if name != "profile_id"})
        # A reserved handle is not even named back.
        said = said.replace("shopify", "").replace("klaviyo", "")
        for method, route in own_routes():
            if method in ("POST", "PUT"):
                for path in paths(route, cast):
                    look(cast, cast.me.call(method, path, body), said)

    assert api.data(f"/profiles/{bo['id']}") == before


def test_a_list_cannot_be_asked_about_others(cast, bo) -> None:
    for query in (
        f"filter[profile_id]={bo['id']}",
        "filter[source]=klaviyo",
        f"filter[external_id]={bo['id']}",
        "include=profile,identities",
        "sort=source",
        "search=Bo",
        f"filter[identity]={CARD}:77",
    ):
        for method, route in own_routes():
            if method == "GET" and "<" not in route:
                response = cast.me.get(f"{route}?{query}")
                look(cast, response, said=query)
                assert response.status_code in (404, 405, 422)


def test_a_token_of_another_profile_reads_nothing_of_this_one(cast, api, bo) -> None:
    other = api.as_customer("77", CARD)

    for identity in Identity.objects.filter(profile=cast.ada["id"]):
        assert other.get(f"{OWN}/me/identities/id/{identity.pk}").status_code == 404
    assert other.me()["id"] == bo["id"]


def test_a_refusal_is_told_without_what_it_knows_of_others() -> None:
    for code in ("identity_taken", "reserved_handle", "retired_handle", "unknown_handle"):
        told = untold(
            Refused(code, "Bo has it, says klaviyo.", field="identifier", profile_id="Bo's", did_you_mean=["klaviyo"])
        )
        assert isinstance(told, Refused)
        assert (told.code, told.field, told.details) == (code, "identifier", {})
        assert "Bo" not in str(told.message) and "klaviyo" not in str(told.message)
    plain = untold(Refused("blocked_identifier", "It names nobody.", field="identifier"))
    assert isinstance(plain, Refused) and plain.message == "It names nobody."
    for code in ("already_merged", "profile_deleted"):
        assert isinstance(untold(Refused(code, "It is Bo now.", survivor_id="Bo's")), AuthenticationFailed)
