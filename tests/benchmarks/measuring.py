"""What was measured, and how it stands to what it is measured against: one table for all parts."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Figures:
    """How often a second, and how long it took: milliseconds of the half, of 95 and of 99 in a hundred."""

    per_second: float
    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float], *, per_call: int = 1) -> Figures:
        """The figures of calls one after the other. In: the seconds of each, and how many things one call does."""
        ordered = sorted(seconds)
        p50, p95, p99 = (
            1_000 * ordered[min(int(len(ordered) * part), len(ordered) - 1)] for part in (0.5, 0.95, 0.99)
        )
        return cls(per_call * len(ordered) / sum(ordered), p50, p95, p99)


def middle(turns: Sequence[Figures]) -> Figures:
    """The turn whose rate stands in the middle: where several are measured in turns, to find the machine in the same
    moods."""
    return sorted(turns, key=lambda figures: figures.per_second)[len(turns) // 2]


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure must reach: `least` of a rate, or `most` of a time."""

    word: str
    limit: float

    def is_reached(self, value: float) -> bool:
        return value >= self.limit if self.word == "least" else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.word == 'least' else '≤'} {self.limit:g}"


def at_least(limit: float) -> Goal:
    return Goal("least", limit)


def at_most(limit: float) -> Goal:
    return Goal("most", limit)


@dataclass(frozen=True, slots=True)
class Line:
    """One measurement, or one ratio of two of them (`value`) with what it must reach."""

    name: str
    figures: Figures | None = None
    value: float | None = None
    unit: str = ""
    goal: Goal | None = None

    @property
    def is_reached(self) -> bool | None:
        return None if self.goal is None or self.value is None else self.goal.is_reached(self.value)


@dataclass(slots=True)
class Table:
    """All that a run measured, part by part, printed as it comes and written as Markdown at the end."""

    parts: dict[str, list[Line]] = field(default_factory=dict)

    def part(self, title: str) -> None:
        self.parts[title] = []
        print(f"\n{title}", flush=True)  # noqa: T201 - a command

    def add(self, name: str, figures: Figures) -> Figures:
        """Put a measurement into the table."""
        self._add(Line(name, figures))
        return figures

    def within(self, name: str, figures: Figures, goal: Goal) -> Figures:
        """Put a measurement into the table whose median, in milliseconds, has a goal of its own."""
        self._add(Line(name, figures, figures.p50, "ms", goal))
        return figures

    def times_as_many(self, name: str, figures: Figures, than: Figures, goal: Goal | None = None) -> None:
        """The rate of one as a multiple of the rate of the other."""
        self._add(Line(name, value=figures.per_second / than.per_second, unit="×", goal=goal))

    def times_as_long(self, name: str, figures: Figures, than: Figures, goal: Goal | None = None) -> None:
        """The time of one, its median, as a multiple of the time of the other."""
        self._add(Line(name, value=figures.p50 / than.p50, unit="×", goal=goal))

    def holds(self, name: str, value: float, unit: str, goal: Goal | None = None) -> None:
        """A figure that is compared with a limit of its own, such as milliseconds or megabytes."""
        self._add(Line(name, value=value, unit=unit, goal=goal))

    @property
    def missed(self) -> list[Line]:
        return [line for lines in self.parts.values() for line in lines if line.is_reached is False]

    def markdown(self) -> str:
        """The table for the README."""
        head = "| | a second | p50 ms | p95 ms | p99 ms | ratio | goal |\n| --- | ---: | ---: | ---: | ---: | ---: | --- |"
        text = [head]
        for title, lines in self.parts.items():
            text.append(f"| **{title}** | | | | | | |")
            text += [f"| {' | '.join(_cells(line))} |" for line in lines]
        return "\n".join(text)

    def _add(self, line: Line) -> None:
        self.parts[next(reversed(self.parts))].append(line)
        name, *cells = _cells(line)
        print(f"  {name:<68}", *(f"{cell:>9}" for cell in cells), flush=True)  # noqa: T201 - a command


def _cells(line: Line) -> list[str]:
    figures = ["", "", "", ""]
    if line.figures:
        one = line.figures
        figures = [_number(one.per_second), *(_number(value) for value in (one.p50, one.p95, one.p99))]
    value = "" if line.value is None else f"{_number(line.value)} {line.unit}".strip()
    verdict = {True: "reached", False: "**missed**", None: ""}[line.is_reached]
    return [line.name, *figures, value, f"{line.goal} {verdict}" if line.goal else ""]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def timed(call: Callable[[], object], *, times: int, before: Callable[[], object] | None = None) -> list[float]:
    """The seconds that each of so many calls took, one after the other; `before` each, something that is not timed."""
    seconds = []
    for _one in range(times):
        if before is not None:
            before()
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return seconds


def say(text: str) -> None:
    """Tell whoever waits what is under way."""
    print(f"... {text}", file=sys.stderr, flush=True)  # noqa: T201 - a command
