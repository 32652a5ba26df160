"""Charts that the server draws as SVG: numbers to coordinates, which `admin/includes/bars.html` turns into shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 640, 96
GAP = 2


@dataclass(frozen=True, slots=True)
class Point:
    """One bar: what it stands for, how much, in words for who hovers or listens, and where it leads."""

    label: str
    value: int
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
    top: int
    first: str
    last: str
    note: str = ""
    width: int = WIDTH
    height: int = HEIGHT


def bars(title: str, points: Sequence[Point], *, note: str = "") -> Bars:
    """Lay out one bar a point, from left to right; the highest fills the height.

    A bar that is not nought stays visible beside a very high one. `note` stands below instead of the highest number.
    """
    top = max((point.value for point in points), default=0)
    slot = WIDTH / max(len(points), 1)
    drawn = []
    for position, point in enumerate(points):
        height = max(2.0, round(HEIGHT * point.value / top, 1)) if point.value else 0
        drawn.append(
            Bar(point, round(position * slot, 1), HEIGHT - height, round(max(slot - GAP, 1), 1), height),
        )
    return Bars(title, drawn, top, points[0].label if points else "", points[-1].label if points else "", note)
