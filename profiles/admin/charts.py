"""Charts that the server draws as SVG: numbers to coordinates, which `admin/includes/bars.html` turns into shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

WIDTH, HEIGHT = 640, 96
GAP = 2


@dataclass(frozen=True, slots=True)
class Point:
    """One bar: what it stands for, how much, in words for who hovers or listens, and where it leads."""

    label: str
    value: int | Decimal
    told: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Bar:
    point: Point
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bars:
    title: str
    bars: list[Bar]
    top: int | Decimal
    first: str
    last: str
    note: str = ""
    width: int = WIDTH
    height: int = HEIGHT
    # Where nought is, if there is anything below it.
    nought: float | None = None


def bars(title: str, points: Sequence[Point], *, note: str = "") -> Bars:
    """Lay out one bar a point, from left to right; the highest fills the height.

    What is less than nought hangs down from a line. A bar that is not nought stays visible beside a very high one.
    `note` stands below instead of the highest number.
    """
    top = max((point.value for point in points), default=0)
    highest, lowest = max(top, 0), min((point.value for point in points), default=0)
    lowest = min(lowest, 0)
    # Shares of the height are all that is left of the numbers here, and may be as rough as pixels are.
    nought = HEIGHT * float(highest) / float(highest - lowest) if highest > lowest else HEIGHT
    slot = WIDTH / max(len(points), 1)
    drawn = []
    for position, point in enumerate(points):
        share = abs(float(point.value)) / float(highest - lowest) if point.value else 0
        height = max(2.0, round(HEIGHT * share, 1)) if point.value else 0
        y = round(nought, 1) if point.value < 0 else round(nought - height, 1)
        drawn.append(Bar(point, round(position * slot, 1), y, round(max(slot - GAP, 1), 1), height))
    first, last = (points[0].label, points[-1].label) if points else ("", "")
    return Bars(title, drawn, top, first, last, note, nought=round(nought, 1) if lowest < 0 else None)
