"""Bring a file in, chunk by chunk, each with the note of how far it is in one transaction; go on where it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import psycopg.errors
from django.db import IntegrityError, OperationalError, connection, transaction
from django.utils import timezone

from identities.holding import Busy, settle
from identities.importing import copying, planning
from identities.importing.planning import Kind
from identities.importing.preparing import Catalogue, Prepared
from identities.importing.rows import Outcome, Row, write
from identities.models import Extension, ImportRun
from profiles import auditing, events
from profiles.auditing import By
from profiles.models import Profile

# Rows that are read ahead, looked up and copied together. Memory holds three times as many.
CHUNK = 4_000

# A chunk that has lost so many races is brought in by parts, down to single rows.
PARTS = 8

Watch = Callable[[ImportRun], object]


class ErrorFile(Protocol):
    """Where rows go that did not come in, or not whole, so that they can be mended and brought in again."""

    def write(self, row: Row, refused: Sequence[tuple[str, str]]) -> None:
        """Add a row with its codes and sentences."""

    def flush(self) -> int:
        """Put what was added onto the disk. Returns the size of the file."""

    def cut(self, size: int) -> None:
        """Forget what is behind this size."""


class Overtaken(Exception):
    """Another process brings the same file in."""


def resume(fingerprint: str) -> ImportRun | None:
    """The run of this file that was cut short, if there is one."""
    return ImportRun.objects.filter(fingerprint=fingerprint, finished_at=None).first()


def is_for_errors(path: Path, *, but: str | None = None) -> bool:
    """Whether a run that has not ended writes down there what does not come in. In: the fingerprint of one that is to
    be given up."""
    return (
        ImportRun.objects.filter(errors_path=str(path.absolute()), finished_at=None).exclude(fingerprint=but).exists()
    )


def start(
    fingerprint: str, *, path: str, errors_path: str, offset: int, line: int, by: By, source: Extension | None
) -> ImportRun:
    """Begin a run of this file at its first row; one that was cut short is given up.

    In: the bytes and lines of the file before its first row. Raises Overtaken when another process begins one.
    """
    try:
        with transaction.atomic():
            ImportRun.objects.filter(fingerprint=fingerprint, finished_at=None).update(finished_at=timezone.now())
            return ImportRun.objects.create(
                fingerprint=fingerprint,
                path=path,
                errors_path=errors_path,
                offset=offset,
                line=line,
                by=by.user,
                source=source,
            )
    except IntegrityError as error:
        raise Overtaken from error


def give_up(run: ImportRun) -> None:
    """Note that a run cannot go on, and writes to its file of errors no more."""
    run.finished_at = timezone.now()
    run.save(update_fields=["finished_at"])


@contextmanager
def tried_out() -> Iterator[None]:
    """Do what is within in one transaction, and take it back: the same counts and errors, and nothing is written.

    Up to its end, others who write the same pairs and profiles wait.
    """
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def bring_in(
    run: ImportRun,
    rows: Iterable[Row],
    *,
    names: Sequence[str],
    errors: ErrorFile,
    watch: Watch,
    by: By,
    is_tried_out: bool = False,
) -> None:
    """Bring in the rows that are left of a run, and say after each chunk how far it is.

    In: the rows from where the run stands; names of handles that the file gives though the catalogue may not have
    them yet. Rows are read, and what is plain about them told, on a thread of their own while the chunk before is
    written. The result is that of `rows.write` of each row in the order of the file, but that nobody is told of it
    (`events`). Raises Overtaken, and Busy when
    even single rows lost every race; whatever ends this, the run goes on from the last chunk that is in.
    """
    for chunk in _ahead(rows, run, names):
        _bring_in(run, chunk, errors=errors, watch=watch, by=by)
        if is_tried_out:
            with connection.cursor() as cursor:
                # What is checked at the end of a transaction is remembered up to then, row by row.
                cursor.execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")


def finish(run: ImportRun, *, by: By) -> None:
    """Note that all of the file is in, and who brought it."""
    with transaction.atomic():
        run.finished_at = timezone.now()
        run.save(update_fields=["finished_at"])
        told = {"file": run.path, "source": run.source_id, **run.counts}
        auditing.write([auditing.entry("imported", run, by=by, new=told)])


@dataclass(slots=True)
class _Chunk:
    """Rows as this catalogue reads them."""

    catalogue: Catalogue
    rows: list[Prepared]


def _ahead(rows: Iterable[Row], run: ImportRun, names: Sequence[str]) -> Iterator[_Chunk]:
    """The rows by chunks, the next of which is read and prepared while one is written."""
    rest = iter(rows)

    def read(catalogue: Catalogue) -> _Chunk:
        return _Chunk(catalogue, catalogue.prepare(islice(rest, CHUNK)))

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read, Catalogue(writer=run.source, names=names))
        while (chunk := coming.result()).rows:
            coming = pool.submit(read, Catalogue(writer=run.source, names=names))
            yield chunk


def _bring_in(run: ImportRun, chunk: _Chunk, *, errors: ErrorFile, watch: Watch, by: By) -> None:
    """Bring in a chunk, by as many transactions as it takes."""
    done, size = 0, len(chunk.rows)
    while done < len(chunk.rows):
        try:
            part = _Chunk(chunk.catalogue, chunk.rows[done : done + size])
            done += _write(run, part, errors=errors, by=by)
        except Busy:
            if size == 1:
                raise
            size = max(1, size // PARTS)
            continue
        watch(run)


def _write(run: ImportRun, chunk: _Chunk, *, errors: ErrorFile, by: By) -> int:
    """Bring in a chunk up to the last row that fits into one transaction. Returns how many rows that are."""
    tries = 0

    def attempt() -> tuple[int, dict[str, Any]]:
        nonlocal tries
        tries += 1
        if tries > 1:
            # What has made this start over may be a rule that has changed, by which the rows were read.
            chunk.catalogue = Catalogue(writer=run.source, names=chunk.catalogue.names)
            chunk.rows = chunk.catalogue.prepare(one.row for one in chunk.rows)
        _claim(run)
        errors.cut(run.errors_offset)
        planned = planning.plan(chunk.rows)
        # In key order and at once, as every writer does it.
        Profile.objects.lock(planned.touched)
        counts = Counter(run.counts)
        for kind, rows in planned.runs():
            for one, outcome in zip(rows, _outcomes(kind, rows, chunk.catalogue, run.source, by), strict=True):
                counts[outcome.word] += 1
                if outcome.refused:
                    counts["set_aside"] += 0 if outcome.word == "refused" else len(outcome.refused)
                    errors.write(one.row, outcome.refused)
        return len(planned.rows), _advance(run, planned.rows[-1][1].row, counts, errors.flush())

    with events.untold():
        done, progress = settle(attempt)
    for name, value in progress.items():
        setattr(run, name, value)
    return done


def _outcomes(
    kind: Kind, rows: Sequence[Prepared], catalogue: Catalogue, source: Extension | None, by: By
) -> Iterable[Outcome]:
    if kind is Kind.ALONE:
        return [write(one.row, by=by, source=source) for one in rows]
    if kind is Kind.FRESH:
        copying.make(rows, known=catalogue.handles, by=by, source=source)
        return [Outcome("created")] * len(rows)
    return [Outcome("matched")] * len(rows)


def _claim(run: ImportRun) -> None:
    """Keep other processes from the run and its error file up to the commit. Raises Overtaken if one was faster."""
    rows = ImportRun.objects.select_for_update(no_key=True, nowait=True)
    try:
        claimed = rows.filter(pk=run.pk, offset=run.offset, finished_at=None).first()
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise Overtaken from error
        raise
    if claimed is None:
        raise Overtaken


def _advance(run: ImportRun, last: Row, counts: dict[str, int], errors_offset: int) -> dict[str, Any]:
    """Note that all is in up to this row. Returns what was noted."""
    progress = {"offset": last.end, "line": last.lines, "errors_offset": errors_offset, "counts": dict(counts)}
    ImportRun.objects.filter(pk=run.pk).update(**progress)
    return progress
