"""The steps of a reaction: what is refused when one is saved, and what each would do."""

from __future__ import annotations

from typing import Any

import pytest

from profiles.auditing import By
from profiles.models import Action, Delivery, Event, Reaction
from profiles.reacting import actions, contexts
from tests.cast import known
from tests.tables import differences, everything

URL = {"name": "url", "value": "https://example.com/"}
SHOE = [{"name": "namespace", "value": "size"}, {"name": "handle", "value": "shoe"}]
HAS_POS = {"!!": {"var": "identity.pos"}}


def argument(name: str, value: Any, *, is_dynamic: bool = False) -> dict[str, Any]:
    return {"name": name, "value": value, "is_dynamic": is_dynamic}


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("filter", [argument("condition", HAS_POS)]),
        ("target.send", [URL]),
        ("target.send", [URL, argument("body", {"var": "identity.pos"}, is_dynamic=True)]),
        ("target.send", [URL, argument("body", {"text": "constant"}), argument("retry_daily", True)]),
        ("target.send", [URL, argument("queue", "high"), argument("retry_hourly", False)]),
        ("target.send", [URL, argument("queue", None)]),
        ("attribute.set", [*SHOE, argument("value", 42)]),
        ("attribute.set", [*SHOE, argument("value", {"var": "point_balance"}, is_dynamic=True)]),
        ("attribute.set", [*SHOE, argument("value", "2026-11-26"), argument("type", "date")]),
        ("attribute.set", [*SHOE, argument("value", {"var": "x"}, is_dynamic=True), argument("type", "number")]),
    ],
)
def test_a_good_action_has_no_fault(name: str, arguments: list[dict[str, Any]]) -> None:
    assert actions.fault(name, arguments) is None


@pytest.mark.parametrize(
    ("name", "arguments", "place", "words"),
    [
        ("profile.delete", [], "", "no action profile.delete"),
        ("filter", [], "", "argument condition is missing"),
        ("filter", ["condition"], "/0", "is an object"),
        ("filter", [argument("condition", None)], "/0/value", "is missing"),
        ("filter", [argument("condition", {"and": [{"nope": 1}]})], "/0/value/and/0", "no operator nope"),
        ("filter", [argument("condition", HAS_POS, is_dynamic=True)], "/0/is_dynamic", "the same each time"),
        ("filter", [argument("when", HAS_POS)], "/0/name", "takes no argument when"),
        ("target.send", [], "", "argument url is missing"),
        ("target.send", [URL, URL], "/1/name", "there twice"),
        # Else customers could say where their data go.
        (
            "target.send",
            [argument("url", {"var": "avatar_url"}, is_dynamic=True)],
            "/0/is_dynamic",
            "the same each time",
        ),
        ("target.send", [argument("url", "")], "/0/value", "not empty"),
        ("target.send", [argument("url", 7)], "/0/value", "This is text"),
        ("target.send", [argument("url", "https://e.com/" + "x" * 2_048)], "/0/value", "at most 2048"),
        ("target.send", [URL, argument("body", "{{first_name}}", is_dynamic=True)], "/1/value", "is an expression"),
        ("target.send", [URL, argument("body", {"var": ["a", 1, 2]}, is_dynamic=True)], "/1/value/var", "0 to 2"),
        ("target.send", [URL, argument("body", "x" * 70_000)], "/1/value", "too large"),
        ("target.send", [URL, argument("queue", "soon")], "/1/value", "low, default, high"),
        ("target.send", [URL, argument("retry_daily", "yes")], "/1/value", "true or false"),
        ("target.send", [URL, {"name": "body", "value": 1, "is_dynamic": "no"}], "/1/is_dynamic", "true or false"),
        ("attribute.set", SHOE, "", "argument value is missing"),
        ("attribute.set", [*SHOE, argument("value", None)], "/2/value", "has a value"),
        ("attribute.set", [*SHOE, argument("value", "x"), argument("type", "integer")], "/2/value", "not of the type"),
        ("attribute.set", [*SHOE, argument("value", "x"), argument("type", "colour")], "/3/value", "no type"),
        ("attribute.set", [*SHOE, argument("value", "x"), argument("type", {})], "/3/value", "text, or null"),
        (
            "attribute.set",
            [*SHOE, argument("value", {"var": "a"}, is_dynamic=True), argument("type", [1])],
            "/3/value",
            "text, or null",
        ),
        (
            "attribute.set",
            [*SHOE, argument("value", {"var": "a"}, is_dynamic=True), argument("type", "colour")],
            "/3/value",
            "no type",
        ),
        (
            "attribute.set",
            [argument("namespace", "a b"), argument("handle", "c"), argument("value", 1)],
            "/0/value",
            "A name of an attribute",
        ),
        (
            "attribute.set",
            [argument("namespace", "a"), argument("handle", "c:d"), argument("value", 1)],
            "/1/value",
            "A name of an attribute",
        ),
    ],
)
def test_a_wrong_action_is_told_with_its_place(name: str, arguments: list[Any], place: str, words: str) -> None:
    fault = actions.fault(name, arguments)

    assert fault is not None
    assert (fault.place, words in str(fault.message)) == (place, True), fault


def reaction(*steps: tuple[str, list[dict[str, Any]]], trigger: str = "profile.updated") -> Reaction:
    made = Reaction.objects.create(name="Tell", trigger=trigger)
    for order, (name, arguments) in enumerate(steps):
        assert actions.fault(name, arguments) is None
        Action.objects.create(reaction=made, name=name, sort_order=order, arguments=arguments)
    return made


@pytest.mark.django_db
def test_trying_says_what_each_step_would_do_and_does_nothing(by: By) -> None:
    ada = known("pos:1", by=by, first_name="Ada")
    made = reaction(
        ("filter", [argument("condition", HAS_POS)]),
        ("target.send", [URL, argument("body", {"var": "identity.pos.identifier"}, is_dynamic=True)]),
        ("target.send", [URL]),
        ("attribute.set", [*SHOE, argument("value", {"cat": [{"var": "first_name"}, "!"]}, is_dynamic=True)]),
        ("attribute.set", [*SHOE, argument("value", {"var": "nothing"}, is_dynamic=True)]),
        ("filter", [argument("condition", {"!": HAS_POS})]),
        ("target.send", [URL]),
    )
    context = contexts.sample("profile.updated", ada)
    before = everything()

    steps = actions.dry_run(made, context)

    assert differences(before, everything()) == []
    assert [step.action.pk for step in steps] == [one.pk for one in made.actions.all()]
    assert [step.is_reached for step in steps] == [True] * 6 + [False]
    assert [step.holds for step in steps] == [True, None, None, None, None, False, None]
    assert (steps[1].url, steps[1].body, steps[2].body) == ("https://example.com/", "1", context)
    assert steps[3].attribute is not None and steps[4].attribute is None
    assert (str(steps[3].attribute), steps[3].attribute.value) == ("size:shoe", "Ada!")


@pytest.mark.django_db
def test_trying_says_why_a_step_cannot_be_worked_out(by: By) -> None:
    made = reaction(
        ("attribute.set", [*SHOE, argument("value", {"/": [1, {"var": "nothing"}]}, is_dynamic=True)]),
        ("target.send", [URL]),
    )

    failed, later = actions.dry_run(made, contexts.sample("profile.updated", known("pos:1", by=by)))

    assert (failed.reason, failed.goes_on, later.is_reached) == ("It divides by zero.", False, False)
    assert not Event.objects.exists() and not Delivery.objects.exists()
