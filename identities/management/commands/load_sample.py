from __future__ import annotations

import csv
import datetime
import random
from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand
from django.db import connection
from tqdm import tqdm

from identities import routing
from identities.attributing import Named
from identities.handles import Sent
from identities.models import Extension
from identities.outcomes import Routed
from profiles import auditing
from profiles.auditing import By
from profiles.models import Audit, Profile

SAMPLE = Path(__file__).resolve().parents[2] / "sample" / "febrl3.csv"

# Which system a record comes from, by the end of its rec_id. The till has no extension, so staff write for it.
SYSTEMS = {
    "org": "shopify",
    "dup-0": "pos",
    "dup-1": "klaviyo",
    "dup-2": "magento_id",
    "dup-3": "zendesk",
    "dup-4": "zendesk",
}

ACCOUNT = "sample-data"


def records() -> list[dict[str, str]]:
    """The 5,000 records of the file, in its order, by column name."""
    with SAMPLE.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines, skipinitialspace=True))


def route(record: dict[str, str], *, by: By, extensions: dict[str, Extension]) -> Routed[Profile]:
    """Route one record as its system would send it: under its own rec_id, with the loyalty card it has seen."""
    system = SYSTEMS[record["rec_id"].split("-", 2)[2]]
    return routing.route(
        [Sent(system, record["rec_id"]), Sent("loyalty-card", record["soc_sec_id"])],
        fields={
            "first_name": record["given_name"].title(),
            "last_name": record["surname"].title(),
            **_birth(record["date_of_birth"]),
        },
        contact={},
        attributes=[Named("address", part, value) for part, value in _address(record).items() if value],
        by=by,
        source=extensions.get(system),
    )


def _address(record: dict[str, str]) -> dict[str, str]:
    street = [record["street_number"], record["address_1"].title()] if record["address_1"] else []
    return {
        "street": " ".join(filter(None, street)),
        "building": record["address_2"].title(),
        "suburb": record["suburb"].title(),
        "postcode": record["postcode"],
        "state": record["state"].upper(),
    }


def _birth(text: str) -> dict[str, int]:
    """A birth date written 19560409. Some of the file's typing errors made days that no calendar has."""
    try:
        date = datetime.datetime.strptime(text, "%Y%m%d").date()  # noqa: DTZ007 - a birthday has no zone
    except ValueError:
        return {}
    return {"birth_year": date.year, "birth_month": date.month, "birth_day": date.day}


class Command(BaseCommand):
    help = (
        "Route the sample data: 5,000 records of 2,000 made-up people. Loads once; what you change afterwards stays."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--writers", type=int, default=1, help="How many write at once.")
        parser.add_argument(
            "--shuffle", type=int, metavar="SEED", help="Route in a random order instead of the file's."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user, created = User.objects.get_or_create(username=ACCOUNT, defaults={"first_name": "Sample data"})
        if created:
            user.set_unusable_password()
            user.save(update_fields=["password"])
        if Audit.objects.filter(by=user, event="loaded").exists():
            self.stderr.write("The sample data is loaded already.")
            return
        rows = records()
        if options["shuffle"] is not None:
            random.Random(options["shuffle"]).shuffle(rows)  # noqa: S311 - any order will do
        extensions = Extension.objects.in_bulk()
        by, writers = By(user), options["writers"]
        with tqdm(desc="Sample", total=len(rows), disable=options["verbosity"] == 0) as bar:
            if writers == 1:
                self._route(rows, by, extensions, bar)
            else:
                with ThreadPoolExecutor(writers) as pool:
                    shares = [rows[first::writers] for first in range(writers)]
                    for share in [pool.submit(self._share, rows, by, extensions, bar) for rows in shares]:
                        share.result()
        auditing.entry("loaded", user, by=by).save()

    def _share(self, *share: Any) -> None:
        # A thread has a connection of its own, which nobody else can close.
        try:
            self._route(*share)
        finally:
            connection.close()

    def _route(self, rows: list[dict[str, str]], by: By, extensions: dict[str, Extension], bar: tqdm[Any]) -> None:
        for row in rows:
            route(row, by=by, extensions=extensions)
            bar.update()
