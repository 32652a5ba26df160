"""Identifiers inside of longer text, masked for pages and logs in one look through it, however many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from identities.handles import mask

# Identifiers that are looked for: how long they are at least, and how many of them.
LEAST, MOST = 4, 1_000


class Masking:
    """Masks these identifiers wherever they stand in a text, as if each were replaced by its mask.

    The longest first, since a shorter one may be a part of it.

    To replace them one by one would take a look through each text for each of them, and a profile may have thousands.
    """

    def __init__(self, identifiers: Iterable[str]) -> None:
        ordered = sorted({one for one in identifiers if len(one) >= LEAST}, key=lambda one: (-len(one), one))[:MOST]
        self._places = {one: place for place, one in enumerate(ordered)}
        # By their first characters, the lengths that what begins there may have.
        self._lengths: dict[str, set[int]] = defaultdict(set)
        for one in ordered:
            self._lengths[one[:LEAST]].add(len(one))

    def __call__(self, text: str) -> str:
        found = self._found(text)
        if not found:
            return text
        # By where it begins, the end of what a mask stands for. What a mask shows can still be part of another one.
        hidden: dict[int, int] = {}
        is_hidden = bytearray(len(text))
        for one in sorted(found, key=self._places.__getitem__):
            shown = len(mask(one)) - len(MASK)
            free_from = 0
            for begin in found[one]:
                end = begin + len(one)
                if begin >= free_from and is_hidden.find(1, begin, end) < 0:
                    free_from = end
                    hidden[begin] = end - shown
                    is_hidden[begin : end - shown] = b"\1" * (len(one) - shown)
        return _with_masks(text, hidden)

    def _found(self, text: str) -> dict[str, list[int]]:
        """Where each of them begins."""
        found: dict[str, list[int]] = {}
        for begin in range(len(text) - LEAST + 1):
            for length in self._lengths.get(text[begin : begin + LEAST], ()):
                part = text[begin : begin + length]
                if part in self._places:
                    found.setdefault(part, []).append(begin)
        return found


# What the mask of a short one is, and that of a long one begins with.
MASK = mask("")


def _with_masks(text: str, hidden: dict[int, int]) -> str:
    parts, at = [], 0
    for begin in sorted(hidden):
        parts += [text[at:begin], MASK]
        at = hidden[begin]
    return "".join([*parts, text[at:]])
