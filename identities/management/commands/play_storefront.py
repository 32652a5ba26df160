from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import time
import urllib.error
import urllib.request
from argparse import ArgumentParser
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from identities import issuing
from identities.management.commands.load_sample import ACCOUNT
from identities.models import Extension
from profiles.auditing import By
from profiles.models import Webhook

# Seconds to wait for an answer, and for the delivery, which comes by the worker.
PATIENCE = 30

SCOPES = ("read-identities", "read-profiles", "create-transactions")

SHOPIFY, KLAVIYO, CARD = "shopify", "klaviyo", "loyalty-card"


class Command(BaseCommand):
    help = (
        "Play a visitor of the storefront against the running demo: signed in by the shop's proxy, they read their "
        "balances and link a card; a till writes that card, and a reaction tells another system."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default=f"http://127.0.0.1:{settings.PORT}", help="Where the product answers.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.site = options["url"].rstrip("/")
        by = By(User.objects.get_or_create(username=ACCOUNT, defaults={"first_name": "Sample data"})[0])
        # The shop's own till: nobody else may write under its handle.
        shop = Extension.objects.select_related("service_account").get(slug=SHOPIFY)
        token, till = issuing.issue(
            user=shop.service_account, name="Play the storefront: till", scopes=SCOPES, extension=shop, by=by
        )
        try:
            self._play(till)
        finally:
            issuing.revoke(token, by=by)

    def _play(self, till: str) -> None:
        customer = self._somebody(till)
        self.stdout.write(
            f"The shop's customer {customer} opens a page. Its proxy signs the request and passes it on:"
        )
        query = signed({"shop": "demo.example", "path_prefix": "/apps/cx", "logged_in_customer_id": customer})
        visitor = self._call("GET", f"/apps/cx?{query}")["token"]
        self.stdout.write(f"  GET /apps/cx -> a token for {settings.ID_TOKEN_MINUTES} minutes")

        me = self._call("GET", "/id/api/v1/profiles/me", visitor)["data"]
        balances = self._call("GET", "/id/api/v1/profiles/me/balances", visitor)["data"]
        self.stdout.write(f"The page shows {me['full_name']} what they have to spend:")
        self.stdout.write(f"  GET /id/api/v1/profiles/me/balances -> {json.dumps(balances)}")

        card = f"9{secrets.randbelow(10**9):09}"
        pair = {"handle": CARD, "identifier": card}
        self._call("POST", "/id/api/v1/profiles/me/identities", visitor, pair)
        self.stdout.write(f"They say that the card {card} is theirs. That is a claim, by which nobody is found:")
        self.stdout.write(f"  GET /api/v3/identities/search by that card -> {self._found(pair, till)}")

        sale = {
            "total": 24.5,
            "transacted_at": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
            "timezone": "UTC",
            "items": [{"name": "Tea", "quantity": 1, "price_current": 24.5, "price_sell": 24.5}],
            "identities": [{"handle": SHOPIFY, "identifier": customer}, pair],
        }
        routing = self._call("POST", "/api/v3/transactions", till, sale)["routing"]
        self.stdout.write(
            "They pay at the shop's till, which sees the card and the customer id. The claim becomes an identity:"
        )
        self.stdout.write(f"  POST /api/v3/transactions -> {routing['outcome']}")
        self.stdout.write(f"  GET /api/v3/identities/search by that card -> {self._found(pair, till)}")

        one = self._await_delivery(card)
        right = all(one[name] for name in ("is_hmac_right", "is_standard_right"))
        self.stdout.write(
            "The reaction “Invite to the newsletter” (a shopify identity, and no klaviyo one) tells the receiver:"
        )
        self.stdout.write(f"  {one['event']} {one['message_id']}, both signatures {'right' if right else 'WRONG'}")
        self.stdout.write(
            f"See it: {self._receiver()}\nSee the profile: {self.site}/admin/profiles/profile/{me['id']}/change/"
        )

    def _somebody(self, till: str) -> str:
        """A customer of the shop whom the newsletter does not know."""
        query = {"filter[handle]": SHOPIFY, "page[size]": 200, "sort": "id", "include": "profile"}
        for identity in self._call("GET", f"/api/v3/identities?{urlencode(query)}", till)["data"]:
            profile = identity["profile"]
            if not any(one["handle"] == KLAVIYO for one in profile["identities"]) and identity["is_active"]:
                return str(identity["identifier"])
        raise CommandError("There is nobody to play with. First run: make demo")

    def _await_delivery(self, card: str) -> dict[str, Any]:
        """What the receiver has got about this card."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for one in fetch("GET", f"{self._receiver()}received.json")[1]:
                if one["event"] == "identity.created" and one["body"].get("identifier") == card:
                    return dict(one)
            time.sleep(0.2)
        raise CommandError("Nothing has arrived at the receiver. Has the reaction been switched off?")

    def _receiver(self) -> str:
        webhook = Webhook.objects.filter(namespace="demo").first()
        if webhook is None:
            raise CommandError("There is no receiver. First run: make demo")
        return webhook.url

    def _call(self, method: str, path: str, token: str = "", body: Any = None) -> Any:
        status, answer = fetch(method, self.site + path, token, body)
        if status >= 400:
            raise CommandError(f"{method} {path.partition('?')[0]} answered {status}: {answer.get('message', '')}")
        return answer

    def _found(self, pair: dict[str, str], till: str) -> int:
        return fetch("GET", f"{self.site}/api/v3/identities/search?{urlencode(pair)}", till)[0]


def signed(query: dict[str, str]) -> str:
    """A query as the shop platform signs it, with the secret that the demo has made up."""
    query = {**query, "timestamp": str(int(time.time()))}
    text = "".join(sorted(f"{name}={value}" for name, value in query.items()))
    return urlencode({**query, "signature": hmac.new(_secret().encode(), text.encode(), hashlib.sha256).hexdigest()})


def _secret() -> str:
    shop = Extension.objects.get(slug=SHOPIFY)
    for name in shop.secret_variables:
        if secret := os.environ.get(name, ""):
            return secret
    try:
        return str(json.loads((settings.DATA_DIR / "demo.json").read_text())["shop_secret"])
    except (OSError, LookupError, ValueError):
        raise CommandError("The shop's secret is nowhere to be found. First run: make demo") from None


def fetch(method: str, url: str, token: str = "", body: Any = None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
    raw = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, raw, headers, method=method)  # noqa: S310 - the operator's own address
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refusal:
        text = refusal.read()
        return refusal.code, json.loads(text) if text else {}
    except OSError as error:
        raise CommandError(f"Nothing answers at {url.partition('?')[0]}: {error}") from error
