"""Conditions and values in JSON Logic over the context of an event (API.md 7; jsonlogic.com has the language).

Whoever may write one is not trusted to write a cheap one, nor are the data that it meets: it has no operator that
looks for a pattern or writes anything, and each step and all that a step reads or makes is counted, so that no
condition takes long, or much memory, whatever it is given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from json_logic import jsonLogic
from json_logic.builtins import BUILTINS, to_bool

# A condition has so many levels, and so many parts: operators, their arguments, and pieces of text.
DEEPEST = 32
MOST_PARTS = 1_000
LONGEST_TEXT = 1_000
LARGEST = 2**53

# One evaluation takes so many steps: half a second at most.
MOST_STEPS = 500_000

# So much may come of it, counted in the same way: a whole profile of many thousand identities.
MOST_RESULT = 4 * MOST_STEPS

# What comes of it has so many levels: what the API takes and shows has about a hundred, and more than 254 cannot be
# written as JSON.
DEEPEST_RESULT = 200

# So many steps may all take together that is worked out for one event, whoever listens to it: a few seconds.
MOST_TOGETHER = 8 * MOST_STEPS

# Text is counted by so many characters.
PIECE = 16

# How many arguments each operator takes, at least and at most. `log`, which the library has too, writes to the output
# of the process.
MANY = MOST_PARTS
ARGUMENTS = {
    "var": (0, 2),
    "missing": (1, MANY),
    "missing_some": (2, 2),
    "if": (2, MANY),
    "?:": (3, 3),
    "==": (2, 2),
    "===": (2, 2),
    "!=": (2, 2),
    "!==": (2, 2),
    "!": (1, 1),
    "!!": (1, 1),
    "or": (1, MANY),
    "and": (1, MANY),
    "<": (2, 3),
    "<=": (2, 3),
    ">": (2, 3),
    ">=": (2, 3),
    "max": (1, MANY),
    "min": (1, MANY),
    "+": (1, MANY),
    "-": (1, 2),
    "*": (1, MANY),
    "/": (2, 2),
    "%": (2, 2),
    "map": (2, 2),
    "filter": (2, 2),
    "reduce": (3, 3),
    "all": (2, 2),
    "some": (2, 2),
    "none": (2, 2),
    "merge": (1, MANY),
    "in": (2, 2),
    "cat": (1, MANY),
    "substr": (2, 3),
}

# These do their second argument for each item of the first.
EACH = ("map", "filter", "reduce", "all", "some", "none")

# Of these it does not matter what is in the lists and objects that they are given.
SHALLOW = ("!", "!!", "merge")

# What these make of numbers may be larger than each of them.
GROWING = ("+", "-", "*")

# An operator of ours that stands around what is done for each item, and counts it.
COUNTED = "counted"


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a condition, and where: `/and/1/==` is the operator == in the second argument of `and`."""

    place: str
    message: str


class Unanswerable(Exception):
    """The condition says nothing about this context: a sentence that holds no data of it."""


class Budget:
    """Steps that several evaluations share, so that many together take no longer than a few."""

    def __init__(self) -> None:
        self.left = MOST_TOGETHER

    def take(self, steps: int) -> None:
        """Raises Unanswerable when there are not so many left."""
        self.left -= steps
        if self.left < 0:
            raise Unanswerable(_("All who listen to this event take too many steps together."))


def fault(condition: Any) -> Fault | None:
    """The first fault of a condition that somebody wants to keep, if it has any; None is no condition."""
    if condition is None:
        return None
    if not isinstance(condition, dict):
        return Fault("", _('A condition is an object of JSON Logic, such as {"!!": {"var": "identity.shopify"}}.'))
    return value_fault(condition)


def value_fault(logic: Any) -> Fault | None:
    """The first fault of an expression that gives a value. Constants are expressions, too."""
    return _Reader().fault(logic, "", 0)


def holds(condition: Any, context: Mapping[str, Any]) -> bool:
    """Whether a condition holds for this context; one that cannot be answered does not. None always holds."""
    return answer(condition, context)[0]


def answer(condition: Any, context: Mapping[str, Any], budget: Budget | None = None) -> tuple[bool, str]:
    """As `holds`, with the reason where it cannot be answered."""
    if condition is None:
        return True, ""
    try:
        return to_bool(value(condition, context, budget)), ""
    except Unanswerable as error:
        return False, str(error)


def value(logic: Any, context: Mapping[str, Any], budget: Budget | None = None) -> Any:
    """What an expression comes to. Raises Unanswerable, whatever else goes wrong, and when the budget is used up."""
    budget = Budget() if budget is None else budget
    # One that was stored by other ways may be anything.
    found = value_fault(logic)
    if found is not None:
        raise Unanswerable(found.message)
    try:
        # To read it costs as much as a step for each of its parts.
        budget.take(_parts(logic))
        result = jsonLogic(_counting(logic), context, _Operations(MOST_STEPS, budget).all)
        # Lists that hold one another many times over are a lot to write, too.
        _Operations(MOST_RESULT, budget).weigh(result)
        _refuse_depth(result)
        return result
    except Unanswerable:
        raise
    except ZeroDivisionError as error:
        raise Unanswerable(_("It divides by zero.")) from error
    except Exception as error:
        words = {"kind": type(error).__name__}
        raise Unanswerable(_("It cannot be worked out (%(kind)s).") % words) from error


def _refuse_depth(result: Any) -> None:
    """Raises Unanswerable for what nothing that goes down level by level could read, or write."""
    level = [result]
    for _depth in range(DEEPEST_RESULT):
        below = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, list | dict)]
        if not below:
            return
        level = [one for some in below for one in some]
    raise Unanswerable(_("What it comes to has more than %(most)s levels.") % {"most": DEEPEST_RESULT})


class _Reader:
    """Looks through an expression, and counts its parts on the way."""

    def __init__(self) -> None:
        self.parts = 0

    def fault(self, logic: Any, place: str, depth: int) -> Fault | None:
        self.parts += 1
        if depth > DEEPEST:
            return Fault(place, _("It has more than %(most)s levels.") % {"most": DEEPEST})
        if self.parts > MOST_PARTS:
            return Fault(place, _("It has more than %(most)s parts.") % {"most": MOST_PARTS})
        if isinstance(logic, dict):
            return self._operation(logic, place, depth)
        if isinstance(logic, list):
            return self._first(logic, place, depth)
        return _constant_fault(logic, place)

    def _operation(self, logic: dict[str, Any], place: str, depth: int) -> Fault | None:
        if len(logic) != 1:
            message = _("An object is one operation, with its operator as the only key; this one has %(count)s keys.")
            return Fault(place, message % {"count": len(logic)})
        ((operator, given),) = logic.items()
        if operator not in ARGUMENTS:
            return Fault(place, _unknown(operator))
        place = f"{place}/{operator}"
        arguments = given if isinstance(given, list) else [given]
        least, most = ARGUMENTS[operator]
        if not least <= len(arguments) <= most:
            return Fault(place, _wrong_number(operator, len(arguments)))
        if operator == "var" and arguments and not _is_path(arguments[0]):
            return Fault(place, _('A path is text such as "identity.shopify.identifier", or the number of an item.'))
        if isinstance(given, list):
            return self._first(given, place, depth)
        return self.fault(given, place, depth + 1)

    def _first(self, items: list[Any], place: str, depth: int) -> Fault | None:
        found = (self.fault(item, f"{place}/{number}", depth + 1) for number, item in enumerate(items))
        return next((one for one in found if one is not None), None)


def _is_path(argument: Any) -> bool:
    if isinstance(argument, dict):
        return True
    return argument is None or (isinstance(argument, str | int) and not isinstance(argument, bool))


def _constant_fault(value: Any, place: str) -> Fault | None:
    if isinstance(value, str):
        if len(value) > LONGEST_TEXT:
            return Fault(place, _("A text has at most %(most)s characters.") % {"most": LONGEST_TEXT})
    elif isinstance(value, int | float):
        # The other way round, an integer that no float can hold is an error.
        if abs(value) > LARGEST or math.isnan(value):
            return Fault(place, _("This number is too large."))
    elif value is not None:
        return Fault(place, _("This is no JSON."))
    return None


def _unknown(operator: str) -> str:
    known = ", ".join(ARGUMENTS)
    return _("There is no operator %(operator)s; there are %(known)s.") % {"operator": operator[:64], "known": known}


def _wrong_number(operator: str, count: int) -> str:
    least, most = ARGUMENTS[operator]
    words = {"operator": operator, "least": least, "most": most, "count": count}
    if least == most:
        return _("%(operator)s takes %(least)s arguments; this one has %(count)s.") % words
    if most == MANY:
        return _("%(operator)s takes %(least)s arguments or more; this one has %(count)s.") % words
    return _("%(operator)s takes %(least)s to %(most)s arguments; this one has %(count)s.") % words


def _counting(logic: Any) -> Any:
    """The same expression, with a count around what is done for each item: as much as it has parts."""
    if isinstance(logic, list):
        return [_counting(one) for one in logic]
    if not isinstance(logic, dict):
        return logic
    ((operator, given),) = logic.items()
    arguments = _counting(given if isinstance(given, list) else [given])
    if operator in EACH:
        arguments[1] = {COUNTED: [arguments[1], _parts(arguments[1])]}
    return {operator: arguments}


def _parts(logic: Any) -> int:
    if isinstance(logic, dict):
        return 1 + sum(map(_parts, logic.values()))
    return 1 + sum(map(_parts, logic)) if isinstance(logic, list) else 1


class _Operations:
    """The operators for one evaluation, which come to an end when they have taken their steps."""

    def __init__(self, most: int, budget: Budget) -> None:
        self.left, self.budget = most, budget
        self.all: dict[str, Callable[..., Any]] = {
            name: self._counted(name, operation) for name, operation in BUILTINS.items() if name in ARGUMENTS
        }
        self.all[COUNTED] = self._item

    def _item(self, _data: Any, result: Any, parts: int) -> Any:
        self._take(parts)
        return result

    def _counted(self, name: str, operation: Callable[..., Any]) -> Callable[..., Any]:
        is_deep = name not in SHALLOW

        def run(data: Any, *arguments: Any) -> Any:
            self._take(1)
            for one in arguments[: 1 if name == "var" else None]:
                self.weigh(one, is_deep=is_deep)
            result = operation(data, *arguments)
            if name in GROWING and type(result) is int and abs(result) > LARGEST:
                # JSON Logic has the numbers of JavaScript. Python's would grow without end.
                return float(result)
            return result

        return run

    def _take(self, steps: int) -> None:
        self.left -= steps
        if self.left < 0:
            raise Unanswerable(_("It takes too many steps for what it was asked about."))
        self.budget.take(steps)

    def weigh(self, value: Any, *, is_deep: bool = True) -> None:
        """Count what an operator may read: all that is in a list, or only how many there are.

        Lists that an expression makes can hold one another many times over, so that the little that they are is a lot
        to read.
        """
        ahead = [value]
        while ahead:
            one = ahead.pop()
            if isinstance(one, str):
                self._take(len(one) // PIECE)
            elif isinstance(one, list | dict):
                self._take(len(one))
                if is_deep:
                    ahead += one if isinstance(one, list) else one.values()
