"""Identifiers inside of text: masked as if they were replaced one after the other, the longest first."""

from __future__ import annotations

import random

import pytest

from identities.handles import mask
from profiles.reacting.masking import LEAST, MOST, Masking


def plain(text: str, identifiers: set[str]) -> str:
    """What is meant by masking them."""
    for one in sorted(identifiers, key=lambda one: (-len(one), one)):
        if len(one) >= LEAST:
            text = text.replace(one, mask(one))
    return text


@pytest.mark.parametrize("letters", ["a", "ab", "abc1"])
@pytest.mark.parametrize("seed", range(10))
def test_each_is_masked_as_if_it_were_replaced_the_longest_first(letters: str, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311

    def some(most: int) -> str:
        return "".join(chance.choices(letters, k=chance.randint(0, most)))

    for _number in range(300):
        identifiers = {some(14) for _one in range(chance.randint(0, 6))}
        text = some(20).join(chance.choices([*identifiers, some(9), " "], k=6))

        assert Masking(identifiers)(text) == plain(text, identifiers), (text, identifiers)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("", ""),
        ("abc", "abc"),
        ("abcd", "•••"),
        ("Of abcd, not of abc.", "Of •••, not of abc."),
        ("0123456789 and 345678", "•••6789 and •••"),
        # What the mask of the one shows is the beginning of the other.
        ("0123456789X", "••••••X"),
        ("0123456789" * 2, "•••6789•••6789"),
    ],
)
def test_what_a_reader_sees(text: str, masked: str) -> None:
    identifiers = {"abc", "abcd", "345678", "0123456789"} | ({"6789"} if text.endswith("X") else set())

    assert Masking(identifiers)(text) == masked


def test_of_very_many_the_longest_are_looked_for() -> None:
    identifiers = {f"N{number:05}" for number in range(MOST)} | {"short"}

    assert Masking(identifiers)("short N00007 N00999") == "short ••• •••"


class Counted(str):
    """A text that counts how often somebody takes a part of it, or looks through it."""

    __slots__ = ("looks",)

    looks: int

    def __getitem__(self, key: object) -> str:
        self.looks = getattr(self, "looks", 0) + 1
        return str.__getitem__(self, key)  # type: ignore[index]

    def replace(self, *_arguments: object) -> str:
        raise AssertionError("It looks through all of the text for one identifier.")


def test_a_text_is_looked_through_once_however_many_identifiers_there_are() -> None:
    looks = []
    for count in (1, 1000):
        text = Counted("nothing of them " * 50)
        Masking(f"CARD{number:06}" for number in range(count))(text)
        looks.append(text.looks)

    assert looks[0] == looks[1] <= len("nothing of them " * 50)
