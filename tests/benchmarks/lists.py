"""What people wait for: each list of the admin, what is searched for, and the first page of each list of the API."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from identities.models import Identity, RoutingLogEntry
from omneo_identity.api.views import document
from profiles import listening
from profiles.auditing import By
from profiles.models import CustomAttribute, DuplicatePair, Merge, Profile, Reaction, Transaction
from tests.benchmarks import customers
from tests.benchmarks.bench import Bench
from tests.benchmarks.measuring import Figures, Table, at_most, timed
from tests.benchmarks.serving import HEADERS

TIMES = 20
WARM_UP = 4
MOST_MILLISECONDS = 100

API = "/api/v3"

# With the profile that has thousands of identities: the first hundreds of them on its page, all of them in its document.
HEAVIEST = ("page of the oldest profile, which has the most of everything", "GET /profiles, the oldest first")


def run(table: Table, bench: Bench) -> None:
    """What is registered and described is what is measured, so that a new list is measured without a word here."""
    people = _people(bench)
    keys = {"ID_TOKEN_KEYS": f"bench:{secrets.token_hex(32)}"}
    # A session is signed with the key of the server that believes in it.
    with _trigger(bench.user) as trigger, bench.product(SECRET_KEY=settings.SECRET_KEY, **keys) as address:
        table.part("The admin, 1 client")
        _measure(table, address, _pages(people), {"Cookie": _session(bench.user)})
        table.part("First pages of the API, 1 client")
        _measure(table, address, _api_lists(people, trigger), {"Authorization": f"Bearer {bench.token}"})
        table.part("First pages of a customer's own lists, 1 client")
        own = customers.token(bench, address, {"id": str(people[0].pk)})
        _measure(table, address, _own_lists(), {"Authorization": f"Bearer {own}"})


def _measure(
    table: Table, address: str, lines: Iterable[tuple[str, Sequence[str]]], headers: Mapping[str, str]
) -> None:
    for name, paths in lines:
        figures = _measured(address, paths, headers)
        if name in HEAVIEST:
            table.add(name, figures)
        else:
            table.within(name, figures, at_most(MOST_MILLISECONDS))


def _measured(address: str, paths: Iterable[str], headers: Mapping[str, str]) -> Figures:
    """Ask for these, round and round, one after the other."""
    connection, ahead = http.client.HTTPConnection(urlsplit(address).netloc), itertools.cycle(paths)

    def ask() -> None:
        path = next(ahead)
        connection.request("GET", path, headers={**HEADERS, **headers})
        answer = connection.getresponse()
        answer.read()
        if answer.status not in (200, 302) or "/login/" in answer.headers.get("Location", ""):
            raise RuntimeError(f"{path}: {answer.status}")

    try:
        timed(ask, times=WARM_UP)
        return Figures.of(timed(ask, times=TIMES))
    finally:
        connection.close()


def _session(user: User) -> str:
    """The cookie of somebody who has logged in."""
    client = Client()
    client.force_login(user)
    # As the product calls it where it is served by HTTPS only.
    return f"__Host-sessionid={client.cookies[settings.SESSION_COOKIE_NAME].value}"


def _people(bench: Bench) -> list[Profile]:
    """People who bought something, and can be written to."""
    chance, last = random.Random(bench.seed), Transaction.objects.latest("pk").pk
    sales = Transaction.objects.filter(pk__in=[chance.randint(1, last) for _one in range(1_000)])
    buyers = Profile.objects.live().filter(pk__in=sales.values("profile"))
    return list(buyers.exclude(email="")[: TIMES + WARM_UP])


def _pages(people: list[Profile]) -> Iterator[tuple[str, list[str]]]:
    """Each page of the admin by name, with the addresses that are taken in turn."""
    yield "the start page", [reverse("admin:index")]
    for word, texts in _searched(people).items():
        yield f"search by {word}", [f"{reverse('admin:search')}?{urlencode({'q': text})}" for text in texts]
    for model, its_admin in sorted(admin.site._registry.items(), key=lambda one: one[0]._meta.label_lower):
        name, url = str(model._meta.verbose_name_plural), _url(model, "changelist")
        yield f"list of {name}", [url]
        text = _text_of_newest(model, its_admin.search_fields)
        if text:
            yield f"list of {name}, searched", [f"{url}?{urlencode({'q': text})}"]
    yield "page of a profile", [_url(Profile, "change", one.pk) for one in people]
    yield HEAVIEST[0], [_url(Profile, "change", Profile.objects.earliest("pk").pk)]
    for kind in (Identity, Transaction, RoutingLogEntry, DuplicatePair, Merge):
        rows = kind._default_manager.order_by("-pk").values_list("pk", flat=True)[:TIMES]
        yield f"page of one of the {kind._meta.verbose_name_plural}", [_url(kind, "change", key) for key in rows]


def _url(model: type[Model], page: str, *keys: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=keys)


def _searched(people: list[Profile]) -> dict[str, list[str]]:
    with_phones = Profile.objects.live().exclude(mobile_phone="")[: TIMES + WARM_UP]
    identifiers = dict(Identity.objects.visible().filter(profile__in=people).values_list("profile", "identifier"))
    return {
        "name": [one.full_name for one in people],
        "beginning of a name": [one.last_name[:3] for one in people],
        "e-mail address": [one.email for one in people],
        "phone number": [one.mobile_phone for one in with_phones],
        "identifier": list(identifiers.values()),
        "profile id": [str(one.pk) for one in people],
        "what nobody has": ["nobody at all"],
    }


def _text_of_newest(model: type[Model], fields: Iterable[str]) -> str:
    newest = model._default_manager.order_by("pk").last()
    texts = (str(getattr(newest, field.partition("__")[0])) for field in fields if newest is not None)
    return next(filter(None, texts), "")


def _api_lists(people: list[Profile], trigger: Reaction) -> Iterator[tuple[str, list[str]]]:
    """Each list of the API as its description names it, of these people where it is of one profile."""
    value = CustomAttribute.objects.first()
    asked = {f"attributes[0][{name}]": text for name, text in _attribute(value).items()}
    for path in _described(API):
        query = f"?{urlencode(asked)}" if path.endswith("/attributes/custom") else ""
        if path == f"{API}/profiles":
            yield HEAVIEST[1], [path]
            query = "?sort=-created_at"
        yield (
            f"GET {path.removeprefix(API)}",
            [path.format(profile_id=one.pk, trigger_id=trigger.pk) + query for one in people],
        )


def _own_lists() -> Iterator[tuple[str, list[str]]]:
    for path in _described(customers.ME):
        yield f"GET {path}", [path]


def _described(begin: str) -> Iterator[str]:
    """The path of each list below this one, with the names of what it is of in braces."""
    for path, item in json.loads(orjson.dumps(document()))["paths"].items():
        content = item.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
        if path.startswith(f"{begin}/") and reference.startswith("#/components/schemas/Paginated"):
            yield path


@contextlib.contextmanager
def _trigger(owner: User) -> Iterator[Reaction]:
    """A trigger to list the actions of; off, so that nothing listens."""
    by = By(owner)
    condition = {"name": "condition", "value": {"!!": {"var": "profile"}}, "is_dynamic": False}
    steps = [listening.Step({"name": "filter", "arguments": [condition]})]
    row = listening.add_reaction({"name": "Bench", "trigger": "profile.updated", "is_active": False}, steps, by=by)
    try:
        yield row
    finally:
        listening.delete_reaction(row.pk, by=by)


def _attribute(row: CustomAttribute | None) -> dict[str, str]:
    name = (row.namespace, row.handle, row.text) if row else ("club", "tier", "gold")
    return dict(zip(("namespace", "handle", "value][in"), name, strict=True))
