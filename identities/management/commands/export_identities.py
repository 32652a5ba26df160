from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from identities import exporting
from identities.exporting import CSV, NDJSON
from identities.management import accounts

ACCOUNT = "export"


class Command(BaseCommand):
    help = (
        "Write all live profiles with their identities as NDJSON or CSV, in the form that import_identities reads. "
        "Identifiers of sensitive handles are in clear, since the system that gets the file needs them: the file is "
        "readable by its owner only, and the audit shows who made it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="Standard output unless given.")
        parser.add_argument("--format", choices=[NDJSON, CSV], help="By the file's ending unless given, else NDJSON.")
        parser.add_argument(
            "--handle",
            action="append",
            default=[],
            metavar="NAME",
            help=(
                "Identities of this handle only. May be repeated. In CSV each is a column, with the newest active "
                "identity; NDJSON has all of them."
            ),
        )
        parser.add_argument(
            "--with-id", action="store_true", help="With profile_id, for bringing the file in on this system again."
        )
        accounts.add_by(parser, ACCOUNT)

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path | None = options["file"]
        unknown = exporting.unknown(options["handle"])
        if unknown:
            raise CommandError(f"There is no handle {unknown[0]}.")
        format = options["format"] or (CSV if path is not None and path.suffix == ".csv" else NDJSON)
        ambiguous = exporting.ambiguous(options["handle"]) if format == CSV else []
        if ambiguous:
            raise CommandError(f"{ambiguous[0]} is the name of another column of CSV too: write NDJSON.")
        pieces = exporting.export(
            format,
            handles=options["handle"],
            with_id=options["with_id"],
            to="standard output" if path is None else str(path),
            by=accounts.by(options, ACCOUNT),
        )
        bar = tqdm(pieces, desc="Export", unit=" rows", disable=True if options["verbosity"] == 0 else None)
        try:
            if path is None:
                self._write(bar, sys.stdout.buffer)
            else:
                with self._file(path) as file:
                    self._write(bar, file)
        except BrokenPipeError:
            # Whoever read has had enough. Python would complain once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except KeyboardInterrupt:
            self.stderr.write("Stopped. The file is not there; what went to standard output is not whole.")
            sys.exit(130)

    def _write(self, pieces: Iterable[bytes], file: BinaryIO) -> None:
        for piece in pieces:
            file.write(piece)
        file.flush()

    @contextlib.contextmanager
    def _file(self, path: Path) -> Iterator[BinaryIO]:
        """A file that nobody else may read, and that is there when it is whole."""
        if path.exists() and not path.is_file():
            # A pipe or a device, such as /dev/stdout, which would be replaced by a file.
            raise CommandError(f"{path} is no file. Without FILE it goes to standard output.")
        part: Path | None = None
        try:
            # Under a name of its own, since another export to the same file may be under way.
            descriptor, name = tempfile.mkstemp(".part", f"{path.name}.", path.parent)
            part = Path(name)
            with open(descriptor, "wb") as file:
                yield file
            part.replace(path)
        except OSError as error:
            raise CommandError(f"{path} cannot be written: {error.strerror}.") from error
        finally:
            if part is not None:
                part.unlink(missing_ok=True)
