"""`manage.py play_day` sends a day over HTTP to a running product, and says what became of it."""

from __future__ import annotations

import re
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from identities.models import ApiToken, Extension, RoutingLogEntry
from profiles.models import Interaction, Point, Profile, Reward, Transaction
from tests.cast import route

PEOPLE = 50


@pytest.fixture
def people(transactional_db, by) -> None:
    """Those of the sample whom the shop and the loyalty programme both know."""
    shop = Extension.objects.get(pk="shopify")
    for number in range(PEOPLE):
        route(
            f"shopify:rec-{number}-org",
            f"loyalty-card:{1_000_000 + number}",
            first_name=f"P{number}",
            by=by,
            source=shop,
        )


def play(url: str, *arguments: str) -> str:
    said = StringIO()
    call_command("play_day", "--url", url, "--date", "2026-11-25", *arguments, stdout=said, verbosity=0)
    return said.getvalue()


@pytest.mark.slow
def test_every_outcome_of_the_day_is_told_and_everybody_is_found_by_each_of_their_ids(live_server, people) -> None:
    said = play(live_server.url)

    rows = dict(re.findall(r"^(\S+: .*?\S)  +(\d.*)$", said, re.MULTILINE))
    assert rows["shop: order of a new customer"] == "12"
    assert rows["shop: order with somebody else's card"] == "4"
    assert rows["till: its card, shown later"] == "5"
    assert said.count(": the same\n") == 4
    assert "ANOTHER ANSWER" not in said
    assert Profile.objects.count() == PEOPLE + 12 + 6
    assert Transaction.objects.count() == 40 + 12 + 8 + 5 + 4 + 40 + 10 + 10 + 4 + 3
    # Those of the customer `null` and of the card 0000000, and those whose card was never shown.
    assert Transaction.objects.filter(profile=None).count() == 5 + 4 + 5
    assert (Interaction.objects.count(), Point.objects.count(), Reward.objects.count()) == (23, 25, 6)
    outcomes = list(RoutingLogEntry.objects.values_list("outcome", flat=True))
    assert (outcomes.count("conflict"), outcomes.count("rerouted")) == (4, 3)
    assert not ApiToken.objects.current().exists()

    # The same day again changes nothing.
    kinds = (Profile, Transaction, Interaction, Point, Reward, RoutingLogEntry)
    before = [list(kind.objects.order_by("pk").values()) for kind in kinds]

    play(live_server.url)

    assert [list(kind.objects.order_by("pk").values()) for kind in kinds] == before


def test_without_people_it_says_what_to_do(live_server, transactional_db) -> None:
    with pytest.raises(CommandError, match="load_sample"):
        play(live_server.url)


def test_without_an_answer_it_says_where_it_asked(transactional_db) -> None:
    with pytest.raises(CommandError, match="127.0.0.1:9 does not answer"):
        play("http://127.0.0.1:9")
