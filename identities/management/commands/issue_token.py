from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from identities import issuing
from identities.management import accounts
from omneo_identity.api.auth import SCOPES
from profiles.auditing import By

# The account of staff tokens that are made here; nobody signs in with it.
STAFF_ACCOUNT = "api"


class Command(BaseCommand):
    help = "Make an API token and print it, alone, on standard output. It cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True, help="What the token is for, as lists show it.")
        parser.add_argument("--extension", metavar="SLUG", help="Speak for this extension; without it, for staff.")
        scopes = parser.add_mutually_exclusive_group()
        scopes.add_argument(
            "--scope", action="extend", nargs="+", default=[], metavar="S", help="One or more, also several times."
        )
        scopes.add_argument("--all-scopes", action="store_true", help="Everything that the API knows.")

    def handle(self, *args: Any, **options: Any) -> None:
        unknown = sorted(set(options["scope"]).difference(SCOPES))
        if unknown:
            raise CommandError(f"There is no scope {unknown[0]}. Known are: {', '.join(SCOPES)}.")
        scopes = SCOPES if options["all_scopes"] else options["scope"]
        extension = accounts.source(options["extension"])
        user = extension.service_account if extension is not None else accounts.own(STAFF_ACCOUNT)
        _token, plain = issuing.issue(user=user, name=options["name"], scopes=scopes, extension=extension, by=By(user))
        self.stdout.write(plain)
