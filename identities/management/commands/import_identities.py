from __future__ import annotations

import gc
import secrets
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, DjangoHelpFormatter
from tqdm import tqdm

from identities import importing
from identities.exporting import CSV, NDJSON
from identities.holding import Busy
from identities.importing import ErrorFile
from identities.management import accounts
from identities.management.files import FileChanged, Rows, WrongFile, open_rows
from identities.models import ImportRun
from profiles.auditing import By

ACCOUNT = "import"

# In the order in which the summary names them.
OUTCOMES = {
    "created": "made a new profile",
    "matched": "are of a known profile",
    "attached": "gave a known profile new identities",
    "conflict": "name several profiles; see the routing log",
    "refused": "were refused",
}


# Rows are small objects by the hundred thousand that nothing refers back to: to look for cycles among them takes
# nearly as long as to read them.
SELDOM = 200_000


@contextmanager
def seldom_collected() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(SELDOM, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Formatter(DjangoHelpFormatter, RawDescriptionHelpFormatter):
    """Keep the lines of the help as they are."""


class Command(BaseCommand):
    help = """Bring profiles and identities in from a file, as if each row had been sent to POST /profiles in turn.

CSV: the header has fields of a profile by their names in the API (first_name, email, birth_date, ...) and handles;
or the two columns handle and identifier. An empty cell says nothing. NDJSON: in each line the body of POST /profiles,
where a handle may be a key of its own. A row with a profile_id goes to that profile: its fields are written, and its
pairs added.

What is cut short, by Ctrl-C or by the machine, goes on where it stopped when the same command is given again. Rows
that do not come in, or not whole, are written to a file, to be mended and brought in; exit code 1 says that some were
refused.

Reactions and webhooks are told of none of it: POST /profiles/sync has them told of the profiles afterwards."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=Formatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="In UTF-8.")
        parser.add_argument("--format", choices=[CSV, NDJSON], help="By the file's ending unless given.")
        parser.add_argument("--delimiter", help="Between the cells of CSV; found out from the header unless given.")
        parser.add_argument("--source", metavar="SLUG", help="Write as this extension; without it, as staff.")
        accounts.add_by(parser, ACCOUNT)
        parser.add_argument(
            "--without", action="append", default=[], metavar="COLUMN", help="Leave this column out. May be repeated."
        )
        parser.add_argument(
            "--new-handle",
            action="append",
            default=[],
            metavar="NAME",
            help="This column is a handle, though the catalogue does not have it. May be repeated.",
        )
        parser.add_argument(
            "--errors", type=Path, metavar="FILE", help="For rows that do not come in; FILE.errors.csv unless given."
        )
        parser.add_argument(
            "--dry-run",
            action="store_true",
            help="Do all of it in one transaction, count, and take it back. Others who write the same wait meanwhile.",
        )
        parser.add_argument("--restart", action="store_true", help="Begin anew where an earlier run was cut short.")

    def handle(self, *args: Any, **options: Any) -> None:
        with importing.tried_out() if options["dry_run"] else nullcontext():
            self._handle(options)

    def _handle(self, options: Mapping[str, Any]) -> None:
        source = accounts.source(options["source"])
        by = By(source.service_account) if source and options["by"] is None else accounts.by(options, ACCOUNT)
        path: Path = options["file"]
        try:
            rows = open_rows(
                path,
                format=options["format"],
                delimiter=options["delimiter"],
                without=options["without"],
                new_handles=options["new_handle"],
                source=source,
            )
            run = self._run(rows, options, by)
        except importing.Overtaken as error:
            raise CommandError("Another process brings this file in.") from error
        except WrongFile as fault:
            raise CommandError(f"{path} was not read, and nothing was written.\n{fault}") from fault
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        self._bring_in(run, rows, by, is_dry=options["dry_run"], is_quiet=options["verbosity"] == 0)

    def _run(self, rows: Rows, options: Mapping[str, Any], by: By) -> ImportRun:
        """The run that was cut short, or a new one."""
        # What is tried out is a run of its own, so that it neither gives up nor holds up one that is under way.
        fingerprint = secrets.token_hex(32) if options["dry_run"] else rows.fingerprint()
        run = None if options["restart"] or options["dry_run"] else importing.resume(fingerprint)
        if run is not None:
            if options["verbosity"]:
                said = (
                    f"This file was cut short behind line {run.line:,}. It goes on from there; --restart begins anew."
                )
                self.stderr.write(said)
            return run
        errors: Path = options["errors"] or rows.path.with_name(f"{rows.path.name}.errors.{rows.format}")
        if errors.resolve() == rows.path.resolve():
            raise CommandError(f"{errors} is the file itself: name another one for what does not come in.")
        errors = self._own(errors, fingerprint)
        offset, line = rows.start
        return importing.start(
            fingerprint,
            path=str(rows.path.absolute()),
            errors_path=str(errors.absolute()),
            offset=offset,
            line=line,
            by=by,
            source=rows.source,
        )

    def _own(self, errors: Path, fingerprint: str) -> Path:
        """The file of errors for a new run: this one, unless a run that has not ended goes on writing there.

        One that an earlier import has left is moved out of the way: somebody may be mending it.
        """
        numbered = (errors.with_name(f"{errors.stem}.{number}{errors.suffix}") for number in count(1))
        if importing.is_for_errors(errors, but=fingerprint):
            own = next(path for path in numbered if not (path.exists() or importing.is_for_errors(path)))
            self.stderr.write(f"{errors} is another import's, which has not ended; this one's is {own}.")
            return own
        if errors.exists():
            kept = next(path for path in numbered if not (path.exists() or importing.is_for_errors(path)))
            errors.rename(kept)
            self.stderr.write(f"{errors} was there from an earlier import; it is {kept} now.")
        return errors

    def _bring_in(self, run: ImportRun, rows: Rows, by: By, *, is_dry: bool, is_quiet: bool) -> None:
        errors: ErrorFile = rows.errors(Path(run.errors_path))
        # Without a word on it the bar shows on a terminal only.
        bar = tqdm(
            desc="Import",
            total=rows.size,
            initial=run.offset,
            unit="B",
            unit_scale=True,
            disable=True if is_quiet else None,
        )
        try:
            with bar, seldom_collected():
                importing.bring_in(
                    run,
                    rows.rows(run.offset, run.line),
                    names=rows.names,
                    errors=errors,
                    watch=lambda run: bar.update(run.offset - bar.n),
                    by=by,
                    is_tried_out=is_dry,
                )
            if not is_dry:
                importing.finish(run, by=by)
        except KeyboardInterrupt:
            self.stderr.write(self._stopped(run, is_dry))
            sys.exit(130)
        except importing.Overtaken as error:
            raise CommandError("Another process brings this file in.") from error
        except FileChanged as error:
            importing.give_up(run)
            stopped = "Nothing was written." if is_dry else f"Stopped behind line {run.line:,}."
            raise CommandError(f"{rows.path} was changed while it was read. {stopped} Bring it in anew.") from error
        except Busy as error:
            raise CommandError(f"Others write the same without a pause. {self._stopped(run, is_dry)}") from error
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}. {self._stopped(run, is_dry)}") from error
        if not is_quiet:
            self.stdout.write(self._told(run, is_dry))
        if run.counts.get("refused"):
            sys.exit(1)

    def _stopped(self, run: ImportRun, is_dry: bool) -> str:
        if is_dry:
            return "Stopped. Nothing was written."
        return f"Stopped behind line {run.line:,}. The same command goes on from there."

    def _told(self, run: ImportRun, is_dry: bool) -> str:
        counts = run.counts
        rows = sum(counts.get(word, 0) for word in OUTCOMES)
        lines = [f"{rows:,} rows{'. Nothing was written; this is what would become of them' if is_dry else ''}:"]
        lines += [f"{counts[word]:>12,} {sentence}" for word, sentence in OUTCOMES.items() if counts.get(word)]
        if counts.get("set_aside"):
            lines.append(f"{counts['set_aside']:,} identities were set aside; their rows came in without them.")
        if run.errors_offset:
            lines.append(f"What did not come in is in {run.errors_path}. Mend it, and bring that file in.")
        return "\n".join(lines)
