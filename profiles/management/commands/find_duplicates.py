from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from profiles import duplicates, scanning
from profiles.management import truth

DOES = {"read": "Read", "compare": "Compared", "write": "Written"}

# Up to this many the queue is counted.
MOST_COUNTED = 1_000_000


def close(bars: Mapping[str, tqdm[Any]]) -> None:
    for bar in bars.values():
        bar.close()


class Command(BaseCommand):
    help = (
        "Look through all live profiles for pairs that may be one person, and put these into the queue of duplicates. "
        "Can run at any time, and again: what people have decided stays."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--truth",
            action="store_true",
            help="Also measure precision and recall of the queue on the sample data, whose ids say who is who.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        bars: dict[str, tqdm[Any]] = {}

        def watch(does: str, done: int, total: int) -> None:
            if does not in bars:
                close(bars)
                bars[does] = tqdm(desc=DOES[does], total=total, disable=options["verbosity"] == 0)
            bars[does].update(done)

        try:
            scanned = scanning.scan(watch=watch)
        finally:
            close(bars)
        if options["verbosity"] > 0:
            self._tell(scanned)
        if options["truth"]:
            self._measure(truth.measure())

    def _tell(self, scanned: scanning.Scanned) -> None:
        self.stdout.write(
            f"{scanned.profiles:,} live profiles, {scanned.compared:,} pairs compared: {scanned.found:,} look like "
            f"one person, {scanned.new:,} of them for the first time. "
            f"{scanned.forgotten:,} of earlier scans no longer do."
        )
        for skipped in scanned.skipped:
            self.stdout.write(
                f"Left out, {skipped.key}: {skipped.groups:,} values that more than {scanning.MOST_OF_ONE_KEY} "
                f"profiles share, the commonest {skipped.most:,}. Their {skipped.profiles:,} profiles were compared "
                "by whatever else they share."
            )
        self.stdout.write(f"The queue has {duplicates.offered().order_by()[:MOST_COUNTED].count():,} pairs.")

    def _measure(self, measured: truth.Measured) -> None:
        if not measured.split:
            self.stdout.write("No one of the sample data has more than one profile.")
            return
        self.stdout.write(
            f"Precision {measured.precision:.3f}: {measured.right:,} of {measured.pairs:,} pairs are one person. "
            f"Recall {measured.recall:.3f}: of {measured.split:,} people with more than one profile, all profiles of "
            f"{measured.joined:,} hang together by these pairs."
        )
