"""A picture of how systems point at one profile, laid out for SVG; `admin/includes/picture.html` draws it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, STEP, MARGIN = 560, 44, 16
LEFT, RIGHT = 230, 430
LONGEST = 26


@dataclass(frozen=True, slots=True)
class Spoke:
    """One system: its name, and by what it knows the profile."""

    label: str
    detail: str
    is_active: bool
    is_strong: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    spoke: Spoke
    y: int
    label: str
    detail: str
    path: str


@dataclass(frozen=True, slots=True)
class Picture:
    hub: str
    lines: Sequence[Line]
    height: int
    middle: int
    width: int = WIDTH
    left: int = LEFT
    right: int = RIGHT


def draw(hub: str, spokes: Sequence[Spoke]) -> Picture:
    """Set the systems under each other on the left, and lead a line from each to the profile on the right."""
    height = max(len(spokes), 2) * STEP + MARGIN
    middle = height // 2
    first = middle - (len(spokes) - 1) * STEP // 2
    lines = []
    for position, spoke in enumerate(spokes):
        y = first + position * STEP
        bend = (LEFT + RIGHT) // 2
        path = f"M{LEFT} {y} C{bend} {y} {bend} {middle} {RIGHT - 6} {middle}"
        lines.append(Line(spoke, y, _short(spoke.label), _short(spoke.detail), path))
    return Picture(_short(hub, 16), lines, height, middle)


def _short(text: str, longest: int = LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
