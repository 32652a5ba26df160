"""Files of rows, read forwards from any row on and never whole."""

from __future__ import annotations

import csv
import hashlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ValidationError

from identities.exporting import CSV, NDJSON
from identities.importing import Row
from identities.management import reading
from identities.management.mending import CsvErrors, Errors, NdjsonErrors
from identities.management.reading import ERROR_COLUMNS, FIELDS, HANDLE, IDENTIFIER, PROFILE_ID, SHOWN_ONLY, UNREAD
from identities.models import Extension, Handle
from omneo_identity.api import parsers
from profiles.refusing import Refused

ENDINGS = {".csv": CSV, ".tsv": CSV, ".ndjson": NDJSON, ".jsonl": NDJSON}
DELIMITERS = ",;\t|"

# Cells whose value is JSON. Tags may also stand there with commas between them.
JSON_CELLS = ("tags", "attributes", "custom_attributes", "identities")

BOM = b"\xef\xbb\xbf"

LONGEST_LINE = 4_194_304

# Whether a file is still the one that was opened is asked once in so many lines, and at its end.
LOOKED_AT_EVERY = 1_000


class WrongFile(Exception):
    """The file as a whole cannot be read, in sentences."""


class FileChanged(Exception):
    """Somebody has written to the file since it was opened, so that nobody knows what has been read."""


class Rows(ABC):
    """A file of rows, open for reading. `start` is where its first row begins: bytes and lines before it."""

    format: str

    def __init__(
        self, path: Path, *, without: Collection[str], new_handles: Collection[str], source: Extension | None
    ) -> None:
        self.path, self.without, self.new_handles, self.source = path, set(without), list(new_handles), source
        seen = path.stat()
        self.size, self.version = seen.st_size, _version(seen)
        self.start = (0, 0)

    @property
    def names(self) -> Sequence[str]:
        """Handles that the file may name though the catalogue does not have them yet."""
        return self.new_handles

    def fingerprint(self) -> str:
        """What is to be read, and how."""
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        how = [self.format, sorted(self.without), sorted(self.new_handles), self.source and self.source.pk]
        digest.update(orjson.dumps(how))
        return digest.hexdigest()

    @abstractmethod
    def rows(self, offset: int, line: int) -> Iterator[Row]:
        """The rows from there on, which must be where one begins. One that cannot be read says why."""

    @abstractmethod
    def errors(self, path: Path) -> Errors:
        """The file for those that do not come in."""


def _version(seen: os.stat_result) -> tuple[int, ...]:
    return (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)


class CsvRows(Rows):
    """A header, then rows. A column is a field of a profile or a handle, or two are `handle` and `identifier`."""

    format = CSV

    def __init__(self, path: Path, *, delimiter: str | None, **more: Any) -> None:
        super().__init__(path, **more)
        header = _Lines(path, 0, 0, self.version)
        try:
            text = next(header.texts(), "")
            self.delimiter = delimiter or max(DELIMITERS, key=text.count)
            if len(self.delimiter) != 1 or self.delimiter in '"\r\n':
                raise WrongFile(_("--delimiter is one character, and neither a quote nor the end of a line."))
            cells = next(csv.reader([text], delimiter=self.delimiter, strict=True), [])
        except csv.Error as error:
            raise WrongFile(_("Its header is not CSV: %(reason)s.") % {"reason": str(error).rstrip(".?")}) from error
        finally:
            header.close()
        self.start = (header.offset, header.line)
        self.columns = [name.strip() for name in cells]
        self._check()

    def fingerprint(self) -> str:
        return hashlib.sha256(f"{super().fingerprint()} {self.delimiter}".encode()).hexdigest()

    @property
    def names(self) -> Sequence[str]:
        return self.handles

    def errors(self, path: Path) -> Errors:
        return CsvErrors(path, self.columns)

    def rows(self, offset: int, line: int) -> Iterator[Row]:
        lines = _Lines(self.path, offset, line, self.version)
        # Strictly, since a quote that is never closed, or not where its cell ends, swallows the rows that follow.
        reader = csv.reader(lines.texts(), delimiter=self.delimiter, strict=True)
        try:
            while True:
                first = lines.line + 1
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Row(first, lines.line, lines.offset, [], refusal=_no_csv(error, first, lines.line))
                    continue
                if cells:
                    yield self._row(cells, first, lines.line, lines.offset)
        finally:
            lines.close()

    def _row(self, cells: list[str], line: int, lines: int, end: int) -> Row:
        try:
            return self._read(cells).row(line, lines, end, cells)
        except Refused as refusal:
            return Row(line, lines, end, cells, refusal=refusal)

    def _read(self, cells: list[str]) -> reading.Draft:
        if len(cells) > len(self.columns):
            raise Refused("invalid", _("This row has more cells than there are columns."))
        draft = reading.Draft()
        pair: dict[str, str] = {}
        for cell, (name, is_handle) in zip(cells, self._plan, strict=False):
            if not cell or not name or cell.isspace():
                continue
            if is_handle:
                draft.take_pair(name, cell)
            elif name in (HANDLE, IDENTIFIER):
                pair[name] = cell
            elif name in JSON_CELLS:
                is_list = name == "tags" and not cell.lstrip().startswith("[")
                draft.take(name, [tag.strip() for tag in cell.split(",")] if is_list else reading.parsed(cell, name))
            elif name == PROFILE_ID:
                draft.rest[name] = cell.strip()
            else:
                draft.take(name, cell)
        if IDENTIFIER in pair:
            draft.take_pair(pair.get(HANDLE, ""), pair[IDENTIFIER])
        return draft

    def _check(self) -> None:
        """Find out what each column is. Raises WrongFile, with a sentence for each that is neither."""
        others = {PROFILE_ID, HANDLE, IDENTIFIER}
        fields = {*FIELDS, *others}
        named = [name for name in self.columns if name and name not in {*fields, *self.without, *ERROR_COLUMNS}]
        self.handles, faults = reading.check_names(
            dict.fromkeys(named), new_handles=self.new_handles, source=self.source
        )
        faults += [
            _("%(name)s: there are two columns of this name.") % {"name": name}
            for name in sorted(fields)
            if self.columns.count(name) > 1
        ]
        unknown = self.without.difference(self.columns)
        faults += [_("--without %(name)s: there is no such column.") % {"name": name} for name in sorted(unknown)]
        if (HANDLE in self.columns) != (IDENTIFIER in self.columns):
            faults.append(_("The columns handle and identifier go together."))
        if not any(self.columns):
            faults.append(_("The file has no header."))
        if faults:
            raise WrongFile("\n".join(faults))
        left_out = {*self.without, *ERROR_COLUMNS}
        self._plan = [("" if name in left_out else name, name in self.handles) for name in self.columns]


class NdjsonRows(Rows):
    """A JSON object in each line: the body of POST /profiles, where a handle may also be a key of its own."""

    format = NDJSON

    def errors(self, path: Path) -> Errors:
        return NdjsonErrors(path)

    @cached_property
    def handles(self) -> set[str]:
        return {*Handle.objects.values_list("name", flat=True), *self.new_handles}

    @property
    def names(self) -> Sequence[str]:
        # Asked for before the first row is read, by the thread that has the database.
        _loaded = self.handles
        return self.new_handles

    def rows(self, offset: int, line: int) -> Iterator[Row]:
        lines = _Lines(self.path, offset, line, self.version)
        try:
            for raw in lines.raw():
                if raw.isspace():
                    continue
                try:
                    yield self._read(raw).row(lines.line, lines.line, lines.offset, raw)
                except Refused as refusal:
                    yield Row(lines.line, lines.line, lines.offset, raw, refusal=refusal)
        finally:
            lines.close()

    def _read(self, raw: bytes) -> reading.Draft:
        draft = reading.Draft()
        for name, value in _object(raw).items():
            if name in self.without:
                continue
            if name in FIELDS:
                draft.take(name, value)
            elif name == PROFILE_ID:
                if value is not None:
                    draft.rest[name] = value
            elif name in self.handles:
                for identifier in value if type(value) is list else [value]:
                    if identifier is not None:
                        draft.take_pair(name, identifier)
            elif name not in SHOWN_ONLY and name not in ERROR_COLUMNS:
                near = reading.near(name, [*FIELDS, *self.handles])
                message = _("%(name)s: there is no such field or handle.") % {"name": name}
                raise Refused("unknown_handle", message + near)
        return draft


def _no_csv(error: csv.Error, first: int, last: int) -> Refused:
    """The refusal of lines that are no row, as far as they were read when that was found out."""
    if last > first:
        told = {"reason": error, "first": first, "last": last}
        return Refused("invalid", _("Lines %(first)d to %(last)d are not CSV: %(reason)s.") % told)
    return Refused("invalid", _("This is not CSV: %(reason)s.") % {"reason": error})


def _object(raw: bytes) -> dict[str, Any]:
    """The object in a line. Raises Refused."""
    try:
        value = parsers.loads(raw)
        if not isinstance(value, dict) or UNREAD in value:
            raise Refused("invalid", _("This line is not a JSON object."))
        parsers.refuse_depth(value)
        if parsers.NUL in raw:
            parsers.refuse_nul(value)
    except ValidationError as error:
        raise reading.refused(error) from error
    except APIException as error:
        raise Refused("invalid", _("This line is not a JSON object.")) from error
    return value


class _Lines:
    """The lines of a file from there on as text, and how many bytes and lines were read. What is no UTF-8 is kept as
    half surrogates, which every field refuses. Raises FileChanged when it is no longer that version of the file."""

    def __init__(self, path: Path, offset: int, line: int, version: tuple[int, ...]) -> None:
        self.file = path.open("rb")
        self.file.seek(offset)
        self.offset, self.line, self.version = offset, line, version

    def raw(self) -> Iterator[bytes]:
        while raw := self.file.readline(LONGEST_LINE):
            if self.line % LOOKED_AT_EVERY == 0:
                self._look()
            is_first = self.offset == 0
            self.offset += len(raw)
            self.line += 1
            yield raw.removeprefix(BOM) if is_first else raw
        self._look()

    def _look(self) -> None:
        if _version(os.fstat(self.file.fileno())) != self.version:
            raise FileChanged

    def texts(self) -> Iterator[str]:
        return (raw.decode(errors="surrogateescape") for raw in self.raw())

    def close(self) -> None:
        self.file.close()


def open_rows(path: Path, *, format: str | None, delimiter: str | None, **more: Any) -> Rows:
    """Open a file for reading. Raises WrongFile, and OSError."""
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        # A pipe, whose beginning would be gone when the rows are read.
        raise WrongFile(_("It can be read only once: write what comes from there to a file."))
    if format is None:
        with path.open("rb") as file:
            beginning = file.read(1_024).removeprefix(BOM).lstrip()
        format = ENDINGS.get(path.suffix.lower()) or (NDJSON if beginning.startswith(b"{") else CSV)
    if format == NDJSON:
        return NdjsonRows(path, **more)
    return CsvRows(path, delimiter=delimiter, **more)
