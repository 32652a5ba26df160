from __future__ import annotations

import datetime
import json
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from identities import issuing
from identities.management.commands.load_sample import ACCOUNT
from identities.management.day import SYSTEMS, ZONE, Call, Known, hero, play
from identities.models import ApiToken, Extension
from omneo_identity.api.auth import SCOPES
from profiles.auditing import By

# The people of the day, and seconds to wait for an answer.
MOST_PEOPLE = 200
LEAST_PEOPLE = 45
PATIENCE = 30

WORDS = ("transactions", "interactions", "points", "rewards")
COLUMNS = ("created", "matched", "attached", "rerouted", "conflict", "anonymous", "done", "refused")


class Client:
    """One system of the day: a connection that stays open, and a token of its own."""

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self.connection = kind(parts.netloc, timeout=PATIENCE)
        self.root, self.token = parts.path.rstrip("/") + "/api/v3", token

    def call(self, method: str, path: str, body: Any = None, *, key: str = "") -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        if key:
            headers["Idempotency-Key"] = key
        raw = None if body is None else json.dumps(body)
        try:
            self.connection.request(method, self.root + path, raw, headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (OSError, HTTPException) as error:
            self.connection.close()
            address = f"{self.connection.host}:{self.connection.port}"
            raise CommandError(f"The API at {address} does not answer: {error}") from error
        return answer.status, json.loads(text) if text else {}

    def data(self, path: str, **query: Any) -> Any:
        status, body = self.call("GET", f"{path}?{urlencode(query)}")
        if status != 200:
            raise CommandError(f"GET {path} answered {status}: {body.get('message', '')}")
        return body["data"]


class Command(BaseCommand):
    help = (
        "Play a retailer's day against the running API: shop orders, till sales, newsletter sign-ups and points, with "
        "ids that are known, new, wrong and at odds. Needs the sample data. The same day played again within 24 hours "
        "changes nothing."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=f"http://127.0.0.1:{settings.PORT}", help="Where the product answers.")
        parser.add_argument("--seed", type=int, default=1, help="Another number is another day.")
        parser.add_argument("--date", type=datetime.date.fromisoformat, metavar="YYYY-MM-DD", help="Today by default.")

    def handle(self, *args: Any, **options: Any) -> None:
        date = options["date"] or datetime.datetime.now(ZoneInfo(ZONE)).date()
        with self._clients(options["url"]) as clients:
            known = list(people(clients["till"]))
            if len(known) < LEAST_PEOPLE:
                raise CommandError("There are too few people to play with. First run: manage.py load_sample")
            counts: Counter[tuple[str, str, str]] = Counter()
            bar = tqdm(play(known, date=date, seed=options["seed"]), desc="Day", disable=options["verbosity"] == 0)
            for number, call in enumerate(bar):
                key = f"play-day-{date}-{options['seed']}-{number}"
                counts[call.system, call.story, outcome(clients[call.system], call, key)] += 1
            self.stdout.write(table(counts))
            self._show(clients["till"], hero(known), options["url"])

    @contextmanager
    def _clients(self, url: str) -> Iterator[dict[str, Client]]:
        """A client for each system of the day, with a token that ends with it."""
        staff, created = User.objects.get_or_create(username=ACCOUNT, defaults={"first_name": "Sample data"})
        if created:
            staff.set_unusable_password()
            staff.save(update_fields=["password"])
        extensions = Extension.objects.select_related("service_account").in_bulk()
        issued: list[ApiToken] = []
        clients: dict[str, Client] = {}
        try:
            for system, slug in SYSTEMS.items():
                extension = extensions[slug] if slug else None
                user = extension.service_account if extension else staff
                token, plain = issuing.issue(
                    user=user, name=f"Play a day: {system}", scopes=SCOPES, extension=extension, by=By(staff)
                )
                issued.append(token)
                clients[system] = Client(url, plain)
            yield clients
        finally:
            for client in clients.values():
                client.connection.close()
            for token in issued:
                issuing.revoke(token, by=By(staff))

    def _show(self, client: Client, one: Known, url: str) -> None:
        """Look the hero up by each id, and say where the day is seen in the admin."""
        whole = client.data(f"/profiles/{one.profile_id}", include=",".join(WORDS))
        held = ", ".join(f"{word}: {len(whole[word])}" for word in ("identities", *WORDS))
        lines = [f"{whole['full_name']} ({held})"]
        for identity in whole["identities"]:
            pair = {"handle": identity["handle"], "identifier": identity["identifier"]}
            found = client.data("/identities/search", **pair, include=",".join(WORDS))["profile"]
            said = "the same" if found == whole else "ANOTHER ANSWER"
            lines.append(f"  GET /identities/search by {pair['handle']} {pair['identifier']}: {said}")
        site = url.rstrip("/")
        lines += [
            f"See the profile: {site}/admin/profiles/profile/{one.profile_id}/change/",
            f"See what is doubtful: {site}/admin/identities/routinglogentry/",
        ]
        self.stdout.write("\n".join(lines))


def people(client: Client) -> Iterator[Known]:
    """People of the sample that both the shop and the loyalty programme know."""
    for identity in client.data(
        "/identities", **{"filter[handle]": "shopify", "page[size]": MOST_PEOPLE, "sort": "id", "include": "profile"}
    ):
        profile = identity["profile"]
        cards = [one["identifier"] for one in profile["identities"] if one["handle"] == "loyalty-card"]
        if cards and identity["identifier"].startswith("rec-"):
            yield Known(profile["id"], profile["full_name"], identity["identifier"], cards[0])


def outcome(client: Client, call: Call, key: str) -> str:
    """Send one call, and say what became of it in a word of COLUMNS."""
    status, body = client.call(call.method, call.path, call.body, key=key)
    if status in (401, 403) or status >= 500:
        raise CommandError(f"{call.method} {call.path} answered {status}: {body.get('message', '')}")
    if status >= 400:
        return "refused"
    routing = body.get("routing")
    return str(routing["outcome"]) if routing else "done"


def table(counts: Counter[tuple[str, str, str]]) -> str:
    """What became of the day: a line for each story, a column for each outcome."""
    stories = list(dict.fromkeys((system, story) for system, story, _outcome in sorted(counts)))
    used = [name for name in COLUMNS if any(found == name for _system, _story, found in counts)]
    width = max(len(f"{system}: {story}") for system, story in stories)
    lines = [" " * width + "".join(f"{name:>11}" for name in used)]
    for system, story in stories:
        cells = "".join(f"{counts[system, story, name] or '':>11}" for name in used)
        lines.append(f"{f'{system}: {story}':<{width}}{cells}")
    totals = [sum(many for (_s, _t, found), many in counts.items() if found == name) for name in used]
    lines.append(f"{'all':<{width}}" + "".join(f"{total:>11}" for total in totals))
    return "".join(f"{line.rstrip()}\n" for line in lines)
