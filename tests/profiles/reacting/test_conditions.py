"""Conditions in JSON Logic: what is refused when one is saved, and what they come to, whatever they are given."""

from __future__ import annotations

import time
from typing import Any

import pytest

from profiles.reacting import conditions

CONTEXT = {
    "first_name": "Ada",
    "tags": ["vip"],
    "point_balance": 12,
    "identities": [
        {"handle": "shopify", "identifier": "1", "is_active": True},
        {"handle": "pos", "identifier": "77", "is_active": False},
    ],
    "identity": {"shopify": {"identifier": "1"}, "pos": {"identifier": "77"}},
}

# Whatever stands here is written together: an accumulator that is used twice doubles at each step.
TWICE = [{"var": "accumulator"}, {"var": "accumulator"}]
SIXTY = list(range(60))


def nested(levels: int, operator: str = "!") -> Any:
    logic: Any = True
    for _level in range(levels):
        logic = {operator: [logic]}
    return logic


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (None, True),
        ({"!!": {"var": "identity.shopify"}}, True),
        ({"!!": {"var": "identity.klaviyo"}}, False),
        ({"and": [{"!!": {"var": "identity.shopify"}}, {"!": {"var": "identity.klaviyo"}}]}, True),
        ({"==": [{"var": "identity.pos.identifier"}, "77"]}, True),
        ({"some": [{"var": "identities"}, {"==": [{"var": "handle"}, "pos"]}]}, True),
        ({"all": [{"var": "identities"}, {"var": "is_active"}]}, False),
        ({"none": [{"var": "identities"}, {"==": [{"var": "handle"}, "sfcc"]}]}, True),
        ({"in": ["vip", {"var": "tags"}]}, True),
        ({">=": [{"var": "point_balance"}, 12]}, True),
        ({"<": [10, {"var": "point_balance"}, 20]}, True),
        ({"==": [{"var": "last_name"}, None]}, True),
        ({"!": {"var": "last_name"}}, True),
        ({"missing": ["first_name", "last_name"]}, True),
        ({"var": ""}, True),
    ],
)
def test_a_condition_holds_or_not(condition: Any, expected: bool) -> None:
    assert conditions.fault(condition) is None

    assert conditions.answer(condition, CONTEXT) == (expected, "")


@pytest.mark.parametrize(
    ("condition", "place", "words"),
    [
        (True, "", "is an object"),
        ("identity.shopify", "", "is an object"),
        ([{"var": "a"}], "", "is an object"),
        ({}, "", "has 0 keys"),
        ({"==": [1, 1], "!=": [1, 2]}, "", "has 2 keys"),
        ({"equals": [1, 1]}, "", "no operator equals"),
        ({"log": ["identity"]}, "", "no operator log"),
        ({"and": [{"!!": {"var": "a"}}, {"matches": ["a", "b"]}]}, "/and/1", "no operator matches"),
        ({"and": [{"==": [{"var": "a"}]}]}, "/and/0/==", "takes 2 arguments; this one has 1"),
        ({"<": [1]}, "/<", "takes 2 to 3 arguments"),
        ({"if": [True]}, "/if", "takes 2 arguments or more"),
        ({"some": [{"var": "identities"}]}, "/some", "takes 2 arguments"),
        ({"!!": {"var": True}}, "/!!/var", "A path is text"),
        ({"!!": {"var": ["a", "b", "c"]}}, "/!!/var", "takes 0 to 2 arguments"),
        ({"==": [{"var": "a"}, {"handle": "b", "identifier": "c"}]}, "/==/1", "has 2 keys"),
        ({"==": [{"var": "a"}, float("inf")]}, "/==/1", "too large"),
        ({"==": [{"var": "a"}, float("nan")]}, "/==/1", "too large"),
        ({"==": [{"var": "a"}, 10**40]}, "/==/1", "too large"),
        ({"==": [{"var": "a"}, 10**400]}, "/==/1", "too large"),
        ({"==": [{"var": "a"}, "x" * 1_001]}, "/==/1", "at most 1000 characters"),
        ({"in": [1, list(range(2_000))]}, "/in/1/997", "more than 1000 parts"),
        (nested(33), "/!/0" * 33, "more than 32 levels"),
        (nested(5_000), "/!/0" * 33, "more than 32 levels"),
    ],
)
def test_a_wrong_condition_is_told_with_its_place(condition: Any, place: str, words: str) -> None:
    fault = conditions.fault(condition)

    assert fault is not None
    assert fault.place == place
    assert words in fault.message


def test_the_largest_that_is_taken_is_answered() -> None:
    assert conditions.answer(nested(32), {}) == (True, "")
    assert conditions.answer({"in": [1, list(range(990))]}, {}) == (True, "")


@pytest.mark.parametrize(
    "condition",
    [
        # 2^60 characters, then as many items.
        {"reduce": [SIXTY, {"cat": TWICE}, "a"]},
        {"reduce": [SIXTY, {"merge": TWICE}, [1]]},
        # Lists that hold each other are small until somebody writes them out, or compares them.
        {"cat": [{"reduce": [SIXTY, TWICE, "a"]}]},
        {"in": [{"reduce": [SIXTY, TWICE, "a"]}, [{"reduce": [SIXTY, TWICE, "a"]}]]},
        {"===": [{"reduce": [SIXTY, TWICE, "a"]}, {"reduce": [SIXTY, TWICE, "a"]}]},
        {"reduce": [SIXTY, TWICE, "a"]},
        # 30^9 rounds that have no operator in them.
        {"map": [SIXTY, {"map": [SIXTY, {"map": [SIXTY, {"map": [SIXTY, {"map": [SIXTY, 1]}]}]}]}]},
        {"all": [SIXTY, {"all": [SIXTY, {"all": [SIXTY, {"all": [SIXTY, {"all": [SIXTY, True]}]}]}]}]},
        {
            "some": [
                {"var": "many"},
                {"in": ["x", {"reduce": [SIXTY, {"cat": [{"var": "accumulator"}, "a"]}, "b" * 999]}]},
            ]
        },
    ],
)
def test_what_would_take_for_ever_is_given_up(condition: Any) -> None:
    started = time.process_time()

    holds, reason = conditions.answer(condition, {"many": list(range(100_000))})

    assert not holds
    assert "too many steps" in reason
    # It would take years; the exact bound is in steps, and a busy machine counts as slowly as it likes.
    assert time.process_time() - started < 30


def test_many_identities_are_no_reason_to_give_up() -> None:
    many = {"identities": [{"handle": "pos", "identifier": str(number)} for number in range(10_000)]}
    is_there = {"and": [{"==": [{"var": "handle"}, "pos"]}, {"==": [{"var": "identifier"}, "9999"]}]}

    assert conditions.answer({"some": [{"var": "identities"}, is_there]}, many) == (True, "")
    assert conditions.value({"var": ""}, many) == many


@pytest.mark.parametrize(
    ("condition", "context", "reason"),
    [
        ({"/": [1, {"var": "none"}]}, {}, "It divides by zero."),
        ({"%": [1, 0]}, {}, "It divides by zero."),
        ({"==": [{"cat": [{"var": "secret"}]}, "a"]}, {"secret": 10**5_000}, "It cannot be worked out (ValueError)."),
        ({"+": [{"var": "secret"}, 0.5]}, {"secret": 10**5_000}, "It cannot be worked out (OverflowError)."),
        ({"nonsense": 1}, {}, "There is no operator nonsense"),
        ("text", {"a": 1}, ""),
    ],
)
def test_what_cannot_be_answered_does_not_hold_and_says_why_without_any_data(
    condition: Any, context: dict[str, Any], reason: str
) -> None:
    holds, told = conditions.answer(condition, context)

    assert holds is (reason == "")
    assert told.startswith(reason)
    assert conditions.holds(condition, context) is holds


def test_data_as_deep_as_python_cannot_go_are_no_fault_of_the_process() -> None:
    deep: list[Any] = []
    for _level in range(50_000):
        deep = [deep]

    for operator in ("cat", "+", "max"):
        holds, reason = conditions.answer({operator: [{"var": "deep"}]}, {"deep": deep})
        assert (holds, reason) == (False, "It cannot be worked out (RecursionError).")


def test_numbers_grow_no_longer_than_those_of_javascript() -> None:
    powers = {"reduce": [list(range(100)), {"*": TWICE}, 7]}

    assert conditions.value(powers, {}) == float("inf")


def test_nothing_of_python_can_be_reached_by_a_path() -> None:
    for path in ("__class__", "first_name.__class__", "identities.__len__", "identity.__init__.__globals__"):
        assert conditions.value({"var": path}, CONTEXT) is None


def test_what_came_out_of_the_database_is_not_trusted_either() -> None:
    assert conditions.answer({"__import__": ["os"]}, {})[0] is False
    assert conditions.answer(nested(100_000), {})[0] is False
