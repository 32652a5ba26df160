"""Webhooks and reactions as pages of the admin: forms that need no script, lists, and what deleting one means."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from identities import attributing
from profiles import listening
from profiles.auditing import By
from profiles.listening import Step
from profiles.models import Action, Audit, Delivery, Event, Reaction, Target, Webhook
from profiles.reacting import actions
from tests.staff import answer, filled, holding, links, member, read, rows, submit, typed_on, url_of, user_of

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/omneo"
CONDITION = {"!!": {"var": "identity.shopify"}}
LIST = "/admin/profiles/reaction/"
ADD = f"{LIST}add/"
ADD_WEBHOOK = "/admin/profiles/webhook/add/"


@pytest.fixture
def keeper() -> Client:
    return member("Admin")


def argument(name: str, value: Any, is_dynamic: bool = False) -> dict[str, Any]:
    return {"name": name, "value": value, "is_dynamic": is_dynamic}


def filtering(condition: Any = CONDITION) -> Step:
    return Step({"name": "filter", "arguments": [argument("condition", condition)]})


def sending(url: str = URL) -> Step:
    return Step({"name": "target.send", "arguments": [argument("url", url)], "notes": "Ask Bo."})


def setting() -> Step:
    given = {"namespace": "club", "handle": "tier", "value": "gold", "type": "text"}
    return Step({"name": "attribute.set", "arguments": [argument(*one) for one in given.items()]})


@pytest.fixture
def reaction(by: By) -> Reaction:
    fields = {"name": "Tell Klaviyo", "trigger": "identity.created"}
    return listening.add_reaction(fields, [filtering(), sending(), setting()], by=by)


@pytest.fixture
def webhook(by: By) -> Webhook:
    return listening.add_webhook({"trigger": "profile.updated", "url": URL, "condition": CONDITION}, by=by)


def page_of(row: Reaction | Webhook) -> str:
    return f"/admin/profiles/{row._meta.model_name}/{row.pk}/change/"


def actions_of(row: Reaction) -> list[tuple[str, int, Any]]:
    return [(one.name, one.sort_order, one.arguments) for one in row.actions.all()]


def waiting(**because: Any) -> Delivery:
    event = Event.objects.create(trigger="profile.updated", subject_type="profile", subject_key="1")
    target = Target.objects.get_or_create(url=URL)[0]
    return Delivery.objects.create(event=event, target=target, message_id=f"msg_{event.pk}", trigger="x", **because)


# Webhooks


def test_a_webhook_is_added_on_behalf_of_whoever_adds_it(keeper) -> None:
    page = keeper.get(ADD_WEBHOOK)
    typed = typed_on(page, trigger="profile.merged", url=URL, condition='{"!!": {"var": "id"}}')

    response = keeper.post(ADD_WEBHOOK, typed)

    assert response.status_code == 302, read(response)
    webhook = Webhook.objects.get()
    assert (webhook.trigger, webhook.url, webhook.user) == ("profile.merged", URL, user_of(keeper))
    assert webhook.condition == {"!!": {"var": "id"}}


def test_only_what_was_changed_of_a_webhook_is_written(keeper, webhook, by) -> None:
    typed = filled(keeper, page_of(webhook), namespace="mine")
    listening.change_webhook(webhook.pk, {"queue": "high"}, by=by)

    keeper.post(page_of(webhook), typed)

    webhook.refresh_from_db()
    assert (webhook.namespace, webhook.queue, webhook.condition, webhook.user) == ("mine", "high", CONDITION, by.user)


def test_a_condition_in_which_one_becomes_true_is_another(keeper, webhook, by) -> None:
    listening.change_webhook(webhook.pk, {"condition": {"===": [{"var": "x"}, 1]}}, by=by)

    keeper.post(page_of(webhook), filled(keeper, page_of(webhook), condition='{"===": [{"var": "x"}, true]}'))

    webhook.refresh_from_db()
    assert webhook.condition["==="][1] is True


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        ('{"and": [{"!!": {"var": "id"}}, {"fires": 1}]}', 'At /and/1 , {"fires": 1} : There is no operator fires'),
        ('{\n  "!!": {"var" "id"}\n}', "no JSON from line 2, column 16 on"),
        ("[1]", "A condition is an object"),
        ('{"!!": NaN}', "This is no JSON that can be kept."),
        ('{"!!": "a\\u0000"}', "This is no JSON that can be kept."),
        ("[" * 200 + "]" * 200, "This is no JSON that can be kept."),
    ],
)
def test_a_wrong_condition_is_told_with_its_place(keeper, webhook, condition, told) -> None:
    response = submit(keeper, page_of(webhook), condition=condition)

    assert told in read(response)
    assert typed_on(response)["condition"] == condition
    webhook.refresh_from_db()
    assert webhook.condition == CONDITION


def test_an_address_inside_is_refused_on_the_form(keeper, settings) -> None:
    settings.WEBHOOK_ALLOW = []

    typed = typed_on(keeper.get(ADD_WEBHOOK), trigger="profile.merged", url="http://10.0.0.1/")
    response = keeper.post(ADD_WEBHOOK, typed)

    assert "private or reserved address" in read(response)
    assert not Webhook.objects.exists()


def test_a_trigger_that_is_unknown_stays_and_is_said_to_never_fire(keeper, webhook, by) -> None:
    listening.change_webhook(webhook.pk, {"trigger": "tier.changed"}, by=by)

    page = keeper.get(page_of(webhook))
    assert "Nothing that happens is called “tier.changed”" in read(page)
    keeper.post(page_of(webhook), typed_on(page, namespace="mine"))

    webhook.refresh_from_db()
    assert (webhook.trigger, webhook.namespace) == ("tier.changed", "mine")


def test_lists_are_filtered_by_state_and_trigger(keeper, webhook, reaction, by) -> None:
    listening.add_webhook({"trigger": "tier.changed", "url": f"{URL}/off", "is_active": False}, by=by)

    assert len(rows(keeper.get("/admin/profiles/webhook/"))) == 2
    for query, found in {
        "is_active__exact=1": webhook.url,
        "trigger=profile.updated": webhook.url,
        "trigger=-": f"{URL}/off",
        "is_active__exact=0": f"{URL}/off",
        f"q={URL}/": f"{URL}/off",
    }.items():
        (row,) = rows(keeper.get(f"/admin/profiles/webhook/?{query}"))
        assert found in row
    (row,) = rows(keeper.get(f"{LIST}?trigger=identity.created"))
    assert "Send all that the event shows to https://hooks.example.com/omneo" in row
    assert not rows(keeper.get(f"{LIST}?trigger=profile.created"))


# Reactions


def test_a_reaction_is_added_with_rows_that_buttons_add(keeper) -> None:
    page = keeper.post(ADD, filled(keeper, ADD, name="Tell", trigger="identity.created", _add_action="filter"))
    assert "Please correct" not in read(page)
    assert typed_on(page)["name"] == "Tell"
    typed = typed_on(page, **{"actions-0-condition": '{"!!": {"var": "id"}}', "_add_action": "attribute.set"})
    page = keeper.post(ADD, typed)
    typed = typed_on(
        page,
        **{
            "actions-1-namespace": "club",
            "actions-1-handle": "shop",
            "actions-1-value": '{"var": "identity.shopify.identifier"}',
            "actions-1-value_is_dynamic": "on",
        },
    )
    assert not Reaction.objects.exists()

    assert keeper.post(ADD, typed).status_code == 302

    assert actions_of(Reaction.objects.get()) == [
        ("filter", 0, [argument("condition", {"!!": {"var": "id"}})]),
        (
            "attribute.set",
            1,
            [
                argument("namespace", "club"),
                argument("handle", "shop"),
                argument("value", {"var": "identity.shopify.identifier"}, is_dynamic=True),
            ],
        ),
    ]


def test_a_row_that_is_added_has_the_focus_and_nothing_typed_is_lost(keeper, reaction) -> None:
    page = keeper.post(
        page_of(reaction),
        filled(keeper, page_of(reaction), **{"actions-1-url": "half", "notes": "N", "_add_action": "target.send"}),
    )

    typed = typed_on(page)
    assert (typed["actions-1-url"], typed["notes"], typed["actions-count"]) == ("half", "N", "4")
    assert (typed["actions-3-name"], typed["actions-3-sort_order"]) == ("target.send", "3")
    assert page.content.decode().count("autofocus") == 1
    assert reaction.actions.count() == 3


def test_a_page_that_is_saved_as_it_is_changes_nothing(keeper, reaction) -> None:
    before = list(Action.objects.values())

    assert submit(keeper, page_of(reaction)).status_code == 302

    assert list(Action.objects.values()) == before


def test_of_the_actions_some_are_changed_added_and_deleted(keeper, reaction) -> None:
    page = keeper.post(page_of(reaction), filled(keeper, page_of(reaction), _add_action="filter"))
    typed = typed_on(
        page,
        **{
            "actions-0-remove": "on",
            "actions-0-condition": "no JSON, and going away",
            "actions-1-retry_daily": "on",
            "actions-2-sort_order": "-5",
            "actions-3-condition": "{}",
        },
    )
    refused = keeper.post(page_of(reaction), typed)
    assert "Something is wrong with an action" in read(refused)
    assert reaction.actions.count() == 3

    keeper.post(page_of(reaction), typed | {"actions-3-condition": '{"!": {"var": "id"}}'})

    assert actions_of(reaction) == [
        ("attribute.set", -5, setting().fields["arguments"]),
        ("target.send", 1, [argument("url", URL), argument("retry_daily", True)]),
        ("filter", 3, [argument("condition", {"!": {"var": "id"}})]),
    ]
    assert reaction.actions.get(name="target.send").notes == "Ask Bo."


def test_a_reaction_with_all_that_it_may_have_is_changed_in_one_go(keeper, by) -> None:
    patient = [argument("url", URL), argument("retry_hourly", True), argument("retry_daily", True)]
    steps = [Step({"name": "target.send", "arguments": patient})] * listening.MOST_ACTIONS
    row = listening.add_reaction({"name": "Long", "trigger": "profile.updated"}, steps, by=by)

    assert submit(keeper, page_of(row), **{"actions-49-url": f"{URL}/2"}).status_code == 302

    assert row.actions.get(sort_order=49).arguments[0] == argument("url", f"{URL}/2")


def test_what_somebody_else_has_added_meanwhile_stays(keeper, reaction, by) -> None:
    typed = filled(keeper, page_of(reaction), **{"actions-1-url": f"{URL}/2"})
    listening.add_action(reaction.pk, filtering().fields, by=by)
    listening.change_reaction(reaction.pk, {"description": "Theirs."}, by=by)

    keeper.post(page_of(reaction), typed)

    reaction.refresh_from_db()
    assert (reaction.actions.count(), reaction.description) == (4, "Theirs.")
    assert reaction.actions.get(name="target.send").arguments == [argument("url", f"{URL}/2")]


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("actions-0-condition", '{"or": [{"fires": 1}]}', 'At /or/0 , {"fires": 1} : There is no operator fires'),
        ("actions-0-condition", "", "This field is required."),
        ("actions-1-url", "ftp://example.com/", "Write a whole address"),
        ("actions-1-body", '{"fires": 1}', "There is no operator fires"),
        ("actions-2-handle", "", "This field is required."),
        ("actions-2-sort_order", "first", "Enter a whole number."),
        ("actions-2-type", "integer", "is not of the type integer"),
    ],
)
def test_what_is_wrong_with_an_action_stands_at_its_field(keeper, reaction, field, value, told) -> None:
    before = list(Action.objects.values())

    response = submit(keeper, page_of(reaction), **{field: value})

    text = response.content.decode()
    assert told in read(response)
    assert text.index('class="errorlist"', text.index("actions-0-heading")) < text.index(f'name="{field}"')
    assert list(Action.objects.values()) == before


def test_a_fixed_body_and_a_value_of_another_type_go_through_the_form_and_back(keeper, by) -> None:
    body = Step(
        {"name": "target.send", "arguments": [argument("url", URL), argument("body", {"text": "hello", "at": [1]})]}
    )
    given = {"namespace": "club", "handle": "tiers", "value": ["gold"], "type": "json"}
    value = Step({"name": "attribute.set", "arguments": [argument(*one) for one in given.items()]})
    row = listening.add_reaction({"name": "Fixed", "trigger": "profile.updated"}, [body, value], by=by)

    submit(keeper, page_of(row), **{"actions-0-queue": "low", "actions-1-handle": "ranks"})

    assert actions_of(row) == [
        ("target.send", 0, [*body.fields["arguments"], argument("queue", "low")]),
        ("attribute.set", 1, [argument(name, "ranks" if name == "handle" else one) for name, one in given.items()]),
    ]


@pytest.mark.parametrize("body", [0, False, "", None, "text"])
def test_a_fixed_body_of_nothing_stays_when_something_else_is_changed(keeper, by, body) -> None:
    step = Step({"name": "target.send", "arguments": [argument("url", URL), argument("body", body)]})
    row = listening.add_reaction({"name": "Fixed", "trigger": "profile.updated"}, [step], by=by)

    assert submit(keeper, page_of(row), **{"actions-0-url": f"{URL}/2"}).status_code == 302

    assert actions_of(row) == [("target.send", 0, [argument("url", f"{URL}/2"), argument("body", body)])]


@pytest.mark.parametrize("kind", [None, "json"])
@pytest.mark.parametrize("value", [7, 0, 1.5, True, False, "7", ["gold"], {"a": 1}], ids=repr)
def test_a_value_stays_what_it_is_when_something_else_is_changed(keeper, by, ada, value, kind) -> None:
    given = {"namespace": "club", "handle": "tier", "value": value} | ({"type": kind} if kind else {})
    step = Step({"name": "attribute.set", "arguments": [argument(*one) for one in given.items()]})
    row = listening.add_reaction({"name": "Fixed", "trigger": "profile.updated"}, [step], by=by)

    def is_set() -> tuple[str, Any]:
        named = actions.dry_run(Reaction.objects.get(pk=row.pk), {})[0].attribute
        assert named is not None
        kept = attributing.put(ada.pk, named, by=by, source=None)
        return kept.type, kept.value

    before = is_set()
    assert submit(keeper, page_of(row), **{"actions-0-handle": "rank"}).status_code == 302

    assert is_set() == before


@pytest.mark.parametrize(
    ("value", "kind"),
    [("", None), ("", "text"), (" ", None), ("x ", None), ("", "json"), ([], "json"), ({}, "json"), ([], None)],
    ids=repr,
)
def test_a_value_of_nothing_or_with_blanks_stays_when_the_rest_is_changed(keeper, by, value, kind) -> None:
    given = {"namespace": "club", "handle": "tier", "value": value} | ({"type": kind} if kind else {})
    step = Step({"name": "attribute.set", "arguments": [argument(*one) for one in given.items()]})
    row = listening.add_reaction({"name": "Fixed", "trigger": "profile.updated"}, [step], by=by)

    changed = {"actions-0-handle": "rank", "actions-0-sort_order": "7"}
    assert submit(keeper, page_of(row), **changed).status_code == 302

    action = row.actions.get()
    named = {one["name"]: one["value"] for one in action.arguments}
    assert (named["value"], named["handle"], action.sort_order) == (value, "rank", 7)


@pytest.mark.parametrize("typed", ["", " ", "[]", "{}"])
def test_a_value_can_be_set_to_nothing_in_the_form(keeper, reaction, typed) -> None:
    kind = "json" if typed.strip() else "string"

    response = submit(keeper, page_of(reaction), **{"actions-2-value": typed, "actions-2-type": kind})

    assert response.status_code == 302, read(response)
    value = reaction.actions.get(name="attribute.set").argument("value")
    assert value["value"] == ({"[]": [], "{}": {}}[typed] if typed.strip() else typed)


@pytest.mark.parametrize(
    "how", [{"actions-2-value_is_dynamic": "on"}, {"actions-2-type": "json"}], ids=["dynamic", "json"]
)
@pytest.mark.parametrize("typed", ["", " \n"])
def test_where_a_value_is_json_empty_text_is_no_value(keeper, reaction, typed, how) -> None:
    response = submit(keeper, page_of(reaction), **{"actions-2-value": typed, **how})

    assert "This field is required." in read(response)


def test_what_was_said_of_an_action_at_length_does_not_keep_it_from_being_changed(keeper, by) -> None:
    said = "Ask Bo,\nwho knows. " * 100
    row = listening.add_reaction(
        {"name": "Told", "trigger": "profile.updated"}, [Step({**sending().fields, "description": said})], by=by
    )

    assert submit(keeper, page_of(row), **{"actions-0-url": f"{URL}/2"}).status_code == 302

    action = row.actions.get()
    assert (action.arguments, action.description) == ([argument("url", f"{URL}/2")], said)


@pytest.mark.parametrize(
    "sent",
    [
        {"actions-count": "x"},
        {"actions-count": "99999999"},
        {"actions-0-name": "nonsense"},
        {"actions-0-id": "x"},
        {"actions-0-id": "9" * 30},
        {"actions-0-remove": "on", "actions-0-id": "9" * 30},
        {"_add_action": "nonsense"},
        {"trigger": "a\0b"},
        {"actions-2-namespace": "a\0b"},
        {"actions-0-condition": "\ud7ff" * 70_000},
    ],
)
def test_what_no_browser_sends_is_no_fault_of_the_server(keeper, reaction, sent) -> None:
    response = submit(keeper, page_of(reaction), **sent)

    assert response.status_code in (200, 302)
    assert reaction.actions.count() >= 3


def test_only_the_arguments_that_were_changed_are_written(keeper, by) -> None:
    body = argument("body", {"var": "id"}, is_dynamic=True)
    step = Step({"name": "target.send", "arguments": [argument("url", URL), body, argument("queue", "low")]})
    row = listening.add_reaction({"name": "Tell", "trigger": "profile.updated"}, [step], by=by)
    typed = filled(keeper, page_of(row), **{"actions-0-body": '{"var": "email"}', "actions-0-queue": ""})
    meanwhile = [argument("url", f"{URL}/new"), body, argument("queue", "low"), argument("retry_daily", True)]
    listening.change_reaction(row.pk, {}, [Step({"arguments": meanwhile}, row.actions.get().pk)], by=by)

    assert keeper.post(page_of(row), typed).status_code == 302

    told = argument("body", {"var": "email"}, is_dynamic=True)
    assert row.actions.get().arguments == [meanwhile[0], told, argument("retry_daily", True)]
    audit = Audit.objects.filter(auditable_type="action", event="updated").latest("pk")
    assert audit.new_values["arguments"] == row.actions.get().arguments


def test_a_value_is_written_together_with_its_type(keeper, by) -> None:
    given = {"namespace": "club", "handle": "tier", "value": 7}
    step = Step({"name": "attribute.set", "arguments": [argument(*one) for one in given.items()]})
    row = listening.add_reaction({"name": "Tell", "trigger": "profile.updated"}, [step], by=by)
    typed = filled(keeper, page_of(row), **{"actions-0-value": "8"})
    renamed = [argument("namespace", "club"), argument("handle", "rank"), argument("value", 7)]
    listening.change_reaction(row.pk, {}, [Step({"arguments": renamed}, row.actions.get().pk)], by=by)

    assert keeper.post(page_of(row), typed).status_code == 302

    assert row.actions.get().arguments == [*renamed[:2], argument("value", "8"), argument("type", "integer")]


def test_what_was_changed_is_refused_where_it_does_not_fit_what_is_there_by_now(keeper, reaction, by) -> None:
    typed = filled(keeper, page_of(reaction), **{"actions-2-handle": "rank"})
    action = reaction.actions.get(name="attribute.set")
    Action.objects.filter(pk=action.pk).update(arguments=[argument("namespace", "club"), argument("handle", "x")])

    response = keeper.post(page_of(reaction), typed)

    assert "The argument value is missing." in read(response)


def test_an_action_of_another_reaction_is_not_changed(keeper, reaction, by) -> None:
    other = listening.add_reaction({"name": "Other", "trigger": "profile.updated"}, [sending()], by=by)
    mine = reaction.actions.get(name="target.send")

    response = submit(
        keeper, page_of(other), **{"actions-0-id": str(mine.pk), "actions-0-url": "https://evil.example.com/"}
    )

    assert "This reaction has no action of this id." in read(response)
    mine.refresh_from_db()
    assert mine.arguments == [argument("url", URL)]


def test_readers_are_told_what_a_reaction_does_and_change_nothing(reaction, webhook) -> None:
    reader = member("Reader")

    page = reader.get(page_of(reaction))
    assert "Send all that the event shows to https://hooks.example.com/omneo" in read(page)
    assert "_add_action" not in page.content.decode()
    assert reader.post(page_of(reaction), {}).status_code == 403
    assert "Try on a profile" in [text for text, _url in links(reader.get(page_of(webhook)))]
    assert member("Editor").post(page_of(webhook), {}).status_code == 403
    alone = holding("profiles.view_reaction").get(page_of(reaction))
    assert "Try on a profile" not in [text for text, _url in links(alone)]


# Who may have what sent and written


def post(client: Client, page: str, **changed: Any) -> Any:
    """As `submit`, of a form with a field that is called `url`."""
    return client.post(page, typed_on(client.get(page), **changed))


SEES = ("profiles.view_profile", "identities.view_identity")


@pytest.mark.parametrize(
    ("trigger", "needed"),
    [
        ("profile.updated", SEES),
        ("identity.deleted", SEES),
        ("transaction.created", (*SEES, "profiles.view_transaction")),
        ("interaction.created", (*SEES, "profiles.view_interaction")),
        ("duplicate.detected", (*SEES, "profiles.view_duplicatepair")),
    ],
)
def test_who_may_not_see_what_a_webhook_is_told_of_can_neither_add_nor_change_it(by, trigger, needed) -> None:
    for number in range(len(needed)):
        rest = needed[:number] + needed[number + 1 :]
        response = post(holding("profiles.add_webhook", *rest), ADD_WEBHOOK, trigger=trigger, url=URL)
        assert "What it is told of is more than you may see" in read(response)
    assert not Webhook.objects.exists()
    assert post(holding("profiles.add_webhook", *needed), ADD_WEBHOOK, trigger=trigger, url=URL).status_code == 302

    webhook = Webhook.objects.get()
    keeps = ("profiles.view_webhook", "profiles.change_webhook")
    response = post(holding(*keeps, *needed[:-1]), page_of(webhook), url=f"{URL}/mine")
    assert "What it is told of is more than you may see" in read(response)
    webhook.refresh_from_db()
    assert (webhook.url, webhook.trigger) == (URL, trigger)
    assert post(holding(*keeps, *needed), page_of(webhook), url=f"{URL}/mine").status_code == 302


def test_who_may_not_see_what_a_reaction_was_told_of_cannot_have_it_told_of_something_else(by) -> None:
    row = listening.add_reaction({"name": "Sales", "trigger": "transaction.created"}, [sending()], by=by)
    client = holding("profiles.view_reaction", "profiles.change_reaction", *SEES)

    for changed in ({"trigger": "profile.updated"}, {"name": "Mine"}, {"actions-0-url": f"{URL}/mine"}):
        assert "What it is told of is more than you may see" in read(submit(client, page_of(row), **changed))

    row.refresh_from_db()
    assert (row.name, row.trigger, row.actions.get().arguments) == (
        "Sales",
        "transaction.created",
        [argument("url", URL)],
    )


def test_who_may_not_change_profiles_cannot_have_a_reaction_set_an_attribute(reaction) -> None:
    may = ("profiles.view_reaction", "profiles.add_reaction", "profiles.change_reaction", *SEES)
    told = "Setting an attribute takes the permission to change profiles."

    def typed_anew(client: Client) -> dict[str, Any]:
        added = typed_on(client.get(ADD), name="Set", trigger="profile.updated", _add_action="attribute.set")
        club = {"actions-0-namespace": "club", "actions-0-handle": "tier", "actions-0-value": "gold"}
        return typed_on(client.post(ADD, added), **club)

    lacking, enough = holding(*may), holding(*may, "profiles.change_profile")
    assert told in read(lacking.post(ADD, typed_anew(lacking)))
    assert told in read(submit(lacking, page_of(reaction), **{"actions-2-value": "silver"}))
    assert Reaction.objects.count() == 1
    assert reaction.actions.get(name="attribute.set").argument("value") == argument("value", "gold")
    assert enough.post(ADD, typed_anew(enough)).status_code == 302
    assert submit(enough, page_of(reaction), **{"actions-2-value": "silver"}).status_code == 302


def test_who_may_see_no_identities_cannot_add_a_reaction() -> None:
    client = holding("profiles.add_reaction", "profiles.view_profile")

    response = submit(client, ADD, name="Tell", trigger="profile.updated")

    assert "What it is told of is more than you may see; it takes: Can view identity." in read(response)
    assert not Reaction.objects.exists()


# Deleting


def test_deleting_a_webhook_asks_and_says_what_is_still_to_be_sent(keeper, webhook) -> None:
    url = url_of(keeper.get(page_of(webhook)), "Delete")
    assert "Nothing of it is waiting to be sent." in read(keeper.get(url))
    for _number in range(2):
        waiting(webhook=webhook)
    sent = waiting(webhook=webhook, state="delivered")

    page = keeper.get(url)
    assert "2 deliveries of it are still waiting to be sent. They are given up." in read(page)
    assert Webhook.objects.exists()
    answer(keeper, url, page)

    assert not Webhook.objects.exists()
    assert Delivery.objects.count() == 3
    assert "something that was deleted since" in read(keeper.get(f"/admin/profiles/delivery/{sent.pk}/change/"))


def test_deleting_writes_to_none_of_its_deliveries(reaction, webhook, by) -> None:
    # There may be many thousand, and each would be written anew in each of its indexes.
    for _number in range(2):
        waiting(webhook=webhook)
        waiting(action=reaction.actions.get(name="target.send"))

    with CaptureQueriesContext(connection) as queries:
        listening.delete_webhook(webhook.pk, by=by)
        listening.change_reaction(reaction.pk, {}, [Step({}, reaction.actions.all()[0].pk)], by=by)
        listening.delete_reaction(reaction.pk, by=by)

    assert [one["sql"] for one in queries if "profiles_delivery" in one["sql"]] == []


def test_deleting_a_reaction_says_what_it_does_and_what_is_still_to_be_sent(keeper, reaction) -> None:
    waiting(action=reaction.actions.get(name="target.send"))
    url = url_of(keeper.get(page_of(reaction)), "Delete")

    page = keeper.get(url)
    assert "1 delivery of it is still waiting to be sent. It is given up." in read(page)
    assert "Go on only if" in read(page)
    answer(keeper, url, page)

    assert not Reaction.objects.exists()


def test_several_are_deleted_at_once_after_a_question(keeper, reaction, by) -> None:
    other = listening.add_reaction({"name": "Other", "trigger": "profile.updated"}, by=by)
    chosen = {"action": "delete_selected", "_selected_action": [str(reaction.pk), str(other.pk)]}

    page = keeper.post(LIST, chosen)
    assert "What of them is still waiting to be sent is given up." in read(page)
    keeper.post(LIST, typed_on(page))

    assert not Reaction.objects.exists()
