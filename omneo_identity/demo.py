"""The whole product on sample data with one command, `make demo`: nothing to install, nothing left running.

The data stay in `.data/`; delete that folder to start afresh.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import secrets
import shlex
import signal
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError

from omneo_identity import database, receiver, serve

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# One person of the sample twice: the second card number is the first with a typing error. So two profiles.
CARD = "4954196"
SAME_PERSON = "4954146"

KEPT = database.CLUSTER.parent / "demo.json"

# Where the shop's secret is, and how the demo knows its own webhook again.
SHOP_SECRET = "SHOPIFY_SECRET"  # noqa: S105 - the name of a variable
OURS = "demo"

# What ends the demo.
STOPS = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    try:
        with _database() as url:
            kept = _kept()
            for name in ("DATABASE_URL", "WORKER_DATABASE_URL"):
                # A file would be read first.
                os.environ.pop(f"{name}_FILE", None)
            os.environ.update(
                {SHOP_SECRET: kept["shop_secret"]},
                DJANGO_SETTINGS_MODULE="omneo_identity.settings",
                DATABASE_URL=url,
                WORKER_DATABASE_URL=url,
                SECRET_KEY=kept["secret_key"],
                HOST="127.0.0.1",
                ALLOWED_HOSTS="127.0.0.1,localhost",
                HTTPS="false",
                WEBHOOK_SECRETS=kept["webhook_secret"],
                # Where the receiver is, and nothing else of this machine's own network.
                WEBHOOK_ALLOW=receiver.HOST,
            )
            os.environ.setdefault("LOG_LEVEL", "WARNING")
            serve.demand_port()
            django.setup()
            with _uninterrupted():
                call_command("migrate", interactive=False, verbosity=0)
            call_command("load_sample")
            _find_duplicates()
            admin, port = _admin(kept["password"]), receiver.free_port(settings.PORT + 1)
            _share_secret(admin)
            _react(admin, f"http://{receiver.HOST}:{port}/")
            with receiver.running(port):
                _introduce(admin, kept["password"], port)
                serve.serve()
    except (ImproperlyConfigured, CommandError) as error:
        sys.exit(str(error))
    except OperationalError as error:
        sys.exit(f"The database does not answer: {error}")
    except KeyboardInterrupt:
        # The way to end it, so no failure.
        pass


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Let a Ctrl-C wait for the end: a migration that builds an index beside other work is no transaction, and one
    that was left half-way would stop every demo that comes after."""
    held: list[int] = []
    former = {one: signal.signal(one, lambda number, _frame: held.append(number)) for one in STOPS}
    try:
        yield
    finally:
        for one, handler in former.items():
            signal.signal(one, handler)
    for number in held[:1]:
        signal.raise_signal(number)


@contextlib.contextmanager
def _database() -> Iterator[str]:
    """The embedded server, or DATABASE_URL's where there is none, but never one that could hold real customers."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        with database.running(database.CLUSTER) as host:
            yield database.url(host)
        return
    name = database.configuration(url)["NAME"]
    if "demo" not in name:
        raise ImproperlyConfigured(
            f"DATABASE_URL names the database {name!r}. The demo fills its database with made-up people, so its name "
            "must have `demo` in it. Unset DATABASE_URL for the embedded database."
        )
    yield url


def _kept() -> dict[str, str]:
    """The secrets of this demo, made by its first run: the next ones print the same login, and sessions last."""
    KEPT.parent.mkdir(exist_ok=True)
    with open(os.open(KEPT, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        content = file.read()
        kept = {
            "secret_key": secrets.token_urlsafe(50),
            "password": secrets.token_urlsafe(12),
            "shop_secret": secrets.token_hex(32),
            "webhook_secret": secrets.token_urlsafe(32),
            **(json.loads(content) if content else {}),
        }
        file.seek(0)
        json.dump(kept, file)
        return kept


def _admin(password: str) -> User:
    from django.contrib.auth.models import User

    admin, _created = User.objects.update_or_create(
        username="admin", defaults={"is_active": True, "is_staff": True, "is_superuser": True}
    )
    # Setting the same password again would end every session.
    if not admin.check_password(password):
        admin.set_password(password)
        admin.save(update_fields=["password"])
    return admin


def _find_duplicates() -> None:
    """Fill the queue on the first start; later ones leave it as people have worked on it."""
    from profiles.models import DuplicatePair

    if not DuplicatePair.objects.exists():
        call_command("find_duplicates")


def _share_secret(admin: User) -> None:
    """Let the sample's shop sign its visitors in, by a secret of this demo."""
    from identities import cataloguing
    from identities.models import Extension
    from profiles.auditing import By

    shop = Extension.objects.get(slug="shopify")
    if SHOP_SECRET not in shop.secret_variables:
        names = [*shop.secret_variables, SHOP_SECRET]
        cataloguing.change_extension(shop, {"secret_variables": names}, by=By(admin))


def _react(admin: User, url: str) -> None:
    """Have the receiver told of changes: of each profile, and of whom the shop knows and the newsletter does not.

    Made by the first start. Later ones only see to the address, which another port changes.
    """
    from profiles import listening
    from profiles.auditing import By
    from profiles.models import Reaction, Webhook

    by = By(admin)
    webhook = Webhook.objects.filter(namespace=OURS).first()
    if webhook is None:
        listening.add_webhook({"trigger": "profile.updated", "url": url, "namespace": OURS}, by=by)
        only_the_shop = {"and": [{"!!": {"var": "identity.shopify"}}, {"!": {"var": "identity.klaviyo"}}]}
        steps = [
            listening.Step({"name": name, "arguments": [{"name": argument, "value": value, "is_dynamic": False}]})
            for name, argument, value in (("filter", "condition", only_the_shop), ("target.send", "url", url))
        ]
        listening.add_reaction(
            {
                "name": "Invite to the newsletter",
                "trigger": "identity.created",
                "description": "Whoever has a shopify identity and no klaviyo one, when they get a new identity.",
            },
            steps,
            by=by,
        )
    elif webhook.url != url:
        for reaction in Reaction.objects.prefetch_related("actions"):
            steps = [
                listening.Step({"arguments": _moved(one.arguments, webhook.url, url)}, one.pk)
                for one in reaction.actions.all()
            ]
            listening.change_reaction(reaction.pk, {}, steps, by=by)
        listening.change_webhook(webhook.pk, {"url": url}, by=by)


def _moved(arguments: list[dict[str, Any]], former: str, url: str) -> list[dict[str, Any]]:
    return [{**one, "value": url} if one["value"] == former else one for one in arguments]


def _token(admin: User) -> str:
    """A fresh token with every scope. The one that the last start printed ends."""
    from identities import issuing
    from identities.models import ApiToken
    from profiles.auditing import By

    for former in ApiToken.objects.filter(name="Demo", extension=None, revoked_at=None):
        issuing.revoke(former, by=By(admin))
    printed = io.StringIO()
    call_command("issue_token", "--name", "Demo", "--all-scopes", stdout=printed)
    return printed.getvalue().strip()


def _introduce(admin: User, password: str, receiver_port: int) -> None:
    from identities.models import Identity

    site = f"http://127.0.0.1:{settings.PORT}"
    token = _token(admin)
    # Whoever has taken the sample apart still gets a demo; the second line then answers 404, and says so.
    named = Identity.objects.filter(handle="loyalty-card", identifier=CARD)
    profile_id = named.values_list("profile_id", flat=True).first()
    cards = [{"handle": "loyalty-card", "identifier": number} for number in (CARD, SAME_PERSON)]

    def curl(path: str, body: object = None) -> str:
        command = ["curl", "-H", f"Authorization: Bearer {token}"]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        return shlex.join([*command, f"{site}/api/v3{path}"])

    # Flushed before the server answers: whoever waits for /api/health finds the token here.
    sys.stdout.write(
        f"""
Admin: {site}/admin/
Login: {admin.username} / {password}
API token: {token}

Look up a profile by one of its identities:
  {curl(f"/identities/search?handle=loyalty-card&identifier={CARD}")}
Add an identity to it:
  {curl(f"/profiles/{profile_id}/identities", {"handle": "instagram", "identifier": "sybella.veit"})}
Write one person under two loyalty cards, which two profiles hold: it is routed to one of them.
  {curl("/profiles", {"first_name": "Sybella", "identities": cards})}
  See what was decided, and why: {site}/admin/identities/routinglogentry/
Change a profile in the admin, and see it arrive at another system, with both signatures checked:
  http://{receiver.HOST}:{receiver_port}/

Ctrl-C stops the server and its database. The data stay in .data/.
"""
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
