"""Trying a webhook or a reaction on a profile: all that it would do is shown, and nothing of it is done."""

from __future__ import annotations

import html
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from identities.models import Handle
from profiles import listening
from profiles.auditing import By
from profiles.listening import Step
from profiles.models import CustomAttribute, Interaction, Profile, Reaction, Webhook
from tests.api.conftest import everything
from tests.cast import add, come, known, merge
from tests.staff import holding, links, member, read

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/omneo"
HAS_CARD = {"!!": {"var": "identity.loyalty-card"}}
MAY = ("profiles.view_reaction", "profiles.view_profile", "identities.view_identity")


def argument(name: str, value: Any, is_dynamic: bool = False) -> dict[str, Any]:
    return {"name": name, "value": value, "is_dynamic": is_dynamic}


@pytest.fixture
def reader() -> Client:
    return member("Reader")


@pytest.fixture
def ada(by: By) -> Profile:
    return known("loyalty-card:1804974", by=by, first_name="Ada", last_name="Lovelace", email="ada@example.com")


@pytest.fixture
def reaction(by: By) -> Reaction:
    card = {"var": "identity.loyalty-card.identifier"}
    steps = [
        Step({"name": "filter", "arguments": [argument("condition", HAS_CARD)]}),
        Step({"name": "target.send", "arguments": [argument("url", URL), argument("body", card, is_dynamic=True)]}),
        Step(
            {
                "name": "attribute.set",
                "arguments": [
                    argument("namespace", "club"),
                    argument("handle", "name"),
                    argument("value", {"cat": ["Dear ", {"var": "first_name"}]}, is_dynamic=True),
                ],
            }
        ),
    ]
    return listening.add_reaction({"name": "Tell", "trigger": "profile.updated"}, steps, by=by)


def tried(client: Client, row: Reaction | Webhook, profile: object, trigger: str = "profile.updated") -> Any:
    query = urlencode({"profile": str(profile), "trigger": trigger})
    return client.get(f"/admin/profiles/{row._meta.model_name}/{row.pk}/try/?{query}")


def test_what_each_action_would_do_is_shown_and_not_done(reader, reaction, ada) -> None:
    before = everything()

    page = read(tried(reader, reaction, "loyalty-card:1804974"))

    assert "holds It goes on." in page
    assert 'would be sent "1804974"' in page
    assert 'would be set "Dear Ada"' in page
    assert '"first_name": "Ada"' in page
    assert everything() == before
    assert not CustomAttribute.objects.exists()


def test_an_action_behind_a_condition_that_does_not_hold_is_not_reached(reader, reaction, by) -> None:
    bo = known("pos:7", by=by, first_name="Bo")

    page = read(tried(reader, reaction, bo.pk))

    assert "does not hold It stops here." in page
    assert page.count("not reached") == 2


def test_a_webhook_says_whether_its_condition_holds_and_what_it_would_send(reader, ada, by) -> None:
    always = listening.add_webhook({"trigger": "profile.updated", "url": URL}, by=by)
    never = listening.add_webhook(
        {"trigger": "profile.merged", "url": URL, "condition": {"var": "nothing"}, "is_active": False}, by=by
    )

    assert f"What the event shows would be sent to {URL}." in read(tried(reader, always, ada.pk))
    page = read(tried(reader, never, ada.pk))
    assert "does not hold Nothing would be sent." in page
    assert "It is switched off" in page
    assert "It listens to profile.merged." in page


@pytest.mark.parametrize("text", ["loyalty-card:1804974", "1804974", "ada@example.com", "ada lovelace", " 1804974 "])
def test_a_profile_is_named_by_whatever_it_is_known_by(reader, reaction, ada, text) -> None:
    assert '"first_name": "Ada"' in read(tried(reader, reaction, text))


def test_of_several_that_may_be_meant_one_is_chosen(reader, reaction, ada, by) -> None:
    other = known("pos:8", by=by, first_name="Ada", last_name="Byron")

    page = tried(reader, reaction, "ada")

    assert "Several profiles may be meant." in read(page)
    (url,) = (url for text, url in links(page) if text == "Ada Byron")
    assert url.endswith(urlencode({"profile": str(other.pk), "trigger": "profile.updated"}))
    assert '"last_name": "Byron"' in read(reader.get(url))


@pytest.mark.parametrize("text", ["nobody", "loyalty-card:2", "a\0b", ":", "x" * 255, "' OR 1=1 --", "\ud7ff:\ud7ff"])
def test_a_profile_that_is_not_there_is_nobody(reader, reaction, ada, text) -> None:
    page = tried(reader, reaction, text)

    assert page.status_code == 200
    assert "Lovelace" not in page.content.decode()


@pytest.mark.parametrize(
    "trigger",
    [
        *("profile.created", "profile.deleted", "profile.merged", "profile.unmerged", "identity.moved"),
        *("identity.deleted", "transaction.created", "transaction.deleted", "interaction.created"),
        *("balance.updated", "duplicate.detected"),
    ],
)
def test_every_trigger_can_be_tried_on_any_profile(reader, reaction, ada, by, trigger) -> None:
    bare = Profile.objects.create(first_name="Bare")
    merge(ada, known("pos:9", by=by), by=by)
    come(Interaction, named=ada.pk, by=by)

    for profile in (ada, bare):
        assert "What the event shows" in read(tried(reader, reaction, profile.pk, trigger))


def test_what_a_profile_has_nothing_of_is_said(reader, reaction, ada) -> None:
    page = read(tried(reader, reaction, ada.pk, "transaction.created"))

    assert "This profile has nothing that such an event could be about" in page


def test_a_sensitive_identifier_is_masked_wherever_it_stands(reader, reaction, ada, by) -> None:
    Handle.objects.filter(pk="loyalty-card").update(sensitive=True)

    page = tried(reader, reaction, ada.pk)

    assert "1804974" not in html.unescape(page.content.decode()).split("<main", 1)[-1]
    assert "holds It goes on." in read(page)


def test_what_is_computed_from_a_sensitive_identifier_is_shown_as_it_comes_of_its_mask(reader, by) -> None:
    Handle.objects.filter(pk="loyalty-card").update(sensitive=True)
    ada = known("loyalty-card:1804974555", by=by)
    card = {"var": "identity.loyalty-card.identifier"}
    begins = {"===": [{"substr": [card, 0, 3]}, "180"]}
    unmade = {"/": [8, {"if": [begins, 4, 0]}]}
    spaced = {"cat": [{"substr": [card, 0, 5]}, "-", {"substr": [card, 5]}]}
    named = [argument("namespace", "club"), argument("handle", "card")]
    steps = [
        Step({"name": "filter", "arguments": [argument("condition", begins)]}),
        Step({"name": "target.send", "arguments": [argument("url", URL), argument("body", spaced, is_dynamic=True)]}),
        Step({"name": "attribute.set", "arguments": [*named, argument("value", unmade, is_dynamic=True)]}),
        Step({"name": "attribute.set", "arguments": [*named, argument("value", {"var": "none"}, is_dynamic=True)]}),
    ]
    row = listening.add_reaction({"name": "Tell", "trigger": "profile.updated"}, steps, by=by)

    page = read(tried(reader, row, ada.pk))

    assert "18049" not in page.partition("It goes on.")[2]
    assert "180497455" not in page
    assert "holds It goes on." in page
    assert 'would be sent "•••45-55"' in page
    assert "would be set It comes of a sensitive identifier, and cannot be shown." in page
    assert "nothing to set" in page
    assert "is shown as it comes of masked identifiers" in page


def test_a_long_context_is_cut(reader, reaction, ada, by) -> None:
    for number in range(200):
        add(ada, f"pos:many-{number:04}", by=by)

    page = read(tried(reader, reaction, ada.pk))

    assert "many-0000" in page
    assert "many-0199" not in page


@pytest.mark.parametrize("name", ["target.send", "attribute.set"])
def test_what_holds_itself_too_deep_to_be_written_is_said_and_not_shown(reader, reaction, ada, by, name) -> None:
    for number in range(500):
        add(ada, f"pos:N{number}", by=by)
    deep = {"reduce": [{"var": "identities"}, [{"var": "accumulator"}], 0]}
    others = {"target.send": [("url", URL)], "attribute.set": [("namespace", "club"), ("handle", "name")]}
    argued = [argument(*one) for one in others[name]]
    argued.append(argument("body" if name == "target.send" else "value", deep, is_dynamic=True))
    listening.change_reaction(reaction.pk, {}, [Step({"name": name, "arguments": argued})], by=by)

    response = tried(reader, reaction, ada.pk)

    assert response.status_code == 200
    assert "cannot be done" in read(response)


def test_who_may_not_see_what_an_event_shows_cannot_try_it(reaction, ada, by) -> None:
    for lacking in MAY:
        client = holding(*(one for one in MAY if one != lacking))
        assert tried(client, reaction, ada.pk).status_code == 403
    enough = holding(*MAY)
    assert tried(enough, reaction, ada.pk).status_code == 200
    page = read(tried(enough, reaction, ada.pk, "transaction.created"))
    assert "What the event shows" not in page
    assert "transaction.created" not in page.partition("Trigger")[2].partition("Try")[0]


def test_a_reaction_to_something_unknown_can_be_tried_as_another(reader, ada, by) -> None:
    row = listening.add_reaction({"name": "Odd", "trigger": "tier.changed"}, by=by)

    page = tried(reader, row, ada.pk, "profile.updated")

    assert "It listens to tier.changed." in read(page)
    assert "It has no action yet, and does nothing." in read(page)
    assert reader.get(f"/admin/profiles/reaction/{row.pk}/try/").status_code == 200


def test_looking_costs_no_more_for_many_actions(reader, reaction, ada, by, django_assert_max_num_queries) -> None:
    tried(reader, reaction, ada.pk)
    for _number in range(20):
        listening.add_action(reaction.pk, {"name": "target.send", "arguments": [argument("url", URL)]}, by=by)

    with django_assert_max_num_queries(20):
        tried(reader, reaction, ada.pk)
