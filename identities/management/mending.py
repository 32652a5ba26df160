"""Files of the rows that did not come in, or not whole: to be mended, and brought in themselves."""

from __future__ import annotations

import csv
import io
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

from rest_framework.exceptions import APIException, ValidationError

from identities.importing import Row
from identities.management.reading import ERROR_COLUMNS, UNREAD
from omneo_identity.api import parsers
from omneo_identity.api.renderers import dumps


class Errors(ABC):
    """Such a file, which comes into being with the first row (`importing.ErrorFile`)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._waiting: list[bytes] = []

    def write(self, row: Row, refused: Sequence[tuple[str, str]]) -> None:
        code, message = refused[0][0], " ".join(sentence for _code, sentence in refused)
        self._waiting.append(self._line(row, code, message))

    def flush(self) -> int:
        if self._waiting:
            size = self.path.stat().st_size if self.path.exists() else 0
            with self.path.open("ab") as file:
                if not size:
                    file.write(self._head())
                file.write(b"".join(self._waiting))
                file.flush()
                os.fsync(file.fileno())
            self._waiting = []
        return self.path.stat().st_size if self.path.exists() else 0

    def cut(self, size: int) -> None:
        self._waiting = []
        if size == 0:
            self.path.unlink(missing_ok=True)
        elif self.path.exists() and self.path.stat().st_size > size:
            os.truncate(self.path, size)

    def _head(self) -> bytes:
        return b""

    @abstractmethod
    def _line(self, row: Row, code: str, message: str) -> bytes: ...


class CsvErrors(Errors):
    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__(path)
        self.width = len(columns)
        self.kept = [position for position, name in enumerate(columns) if name not in ERROR_COLUMNS]
        self.columns = [columns[position] for position in self.kept]

    def _head(self) -> bytes:
        return _csv_line([*ERROR_COLUMNS, *self.columns])

    def _line(self, row: Row, code: str, message: str) -> bytes:
        cells = row.raw
        kept = [cells[position] for position in self.kept if position < len(cells)]
        surplus = cells[self.width :]
        return _csv_line([str(row.line), code, message, *kept, *surplus])


class NdjsonErrors(Errors):
    def _line(self, row: Row, code: str, message: str) -> bytes:
        try:
            value = parsers.loads(row.raw)
        except (APIException, ValidationError):
            value = None
        if not isinstance(value, dict):
            value = {UNREAD: row.raw.decode(errors="replace").strip()}
        told = dict(zip(ERROR_COLUMNS, (row.line, code, message), strict=True))
        kept = {name: one for name, one in value.items() if name not in ERROR_COLUMNS}
        return dumps({**told, **kept}) + b"\n"


def _csv_line(cells: Sequence[str]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue().encode(errors="surrogateescape")
