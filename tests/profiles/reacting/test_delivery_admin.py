"""The pages of deliveries and targets."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.auth.models import User as Staff
from django.test import Client
from django.urls import reverse

from identities import routing
from identities.models import Handle, Identity
from profiles import listening
from profiles.admin.base import MOST_AT_ONCE
from profiles.auditing import By
from profiles.listening import Step
from profiles.models import Audit, Delivery, Event, Profile, Reaction, Target, Webhook
from profiles.reacting import taking_up, tending
from tests.cast import add
from tests.deliveries import put
from tests.staff import holding, signed_in

pytestmark = pytest.mark.django_db

URL = "https://hooks.example.com/omneo"
LIST = reverse("admin:profiles_delivery_changelist")


@pytest.fixture
def keeper() -> User:
    keeper = Staff.objects.create_user("keeper", is_staff=True)
    keeper.user_permissions.set(Permission.objects.all())
    return keeper


@pytest.fixture
def client(keeper: User) -> Client:
    return signed_in(keeper)


def page(delivery: Delivery, name: str = "change") -> str:
    return reverse(f"admin:profiles_delivery_{name}", args=[delivery.pk])


def target_page(name: str = "change") -> str:
    return reverse(f"admin:profiles_target_{name}", args=[Target.objects.get().pk])


def died(ada: Profile, by: By, error: str = "It answers with the status 500.", **values: Any) -> Delivery:
    made = put(ada, URL, by)
    Delivery.objects.filter(pk=made.pk).update(state="dead", next_try_at=None, error=error, **values)
    made.refresh_from_db()
    return made


def test_the_list_filters_by_state_trigger_and_target(client: Client, ada: Profile, by: By) -> None:
    dead, waiting = died(ada, by), put(ada, f"{URL}/other", by)

    def shown(query: str) -> set[int]:
        return {one.pk for one in client.get(f"{LIST}?{query}").context["cl"].result_list}

    assert shown("") == {dead.pk, waiting.pk}
    assert shown("state=dead") == {dead.pk}
    assert shown("trigger=profile.deleted") == set()
    assert shown(f"target={waiting.target_id}") == {waiting.pk}
    assert shown(f"target={dead.target_id}&state=waiting") == set()
    assert shown("target=x") == shown("target=99999999999999999999") == set()


def test_a_page_shows_what_was_sent_and_answered_and_no_signature(client: Client, ada: Profile, by: By) -> None:
    made = put(ada, URL, by, {"first_name": "<Zoë>"})
    Delivery.objects.update(status_code=500, answer="<b>Oh no</b>", error="It answers with the status 500.", tries=2)

    text = client.get(page(made)).text

    assert "&lt;Zoë&gt;" in text
    assert "&lt;b&gt;Oh no&lt;/b&gt;" in text
    assert f"webhook-id: {made.message_id}" in text
    assert "made anew for each try" in text
    assert "Next try:" in text
    assert "2 times" in text


def test_sensitive_identifiers_are_masked_in_what_was_sent(client: Client, ada: Profile, by: By) -> None:
    add(ada, "passport:X1234567", by=by)
    Handle.objects.filter(pk="passport").update(sensitive=True)
    made = put(ada, URL, by, {"handle": "passport", "identifier": "X1234567"})

    assert "X1234567" not in client.get(page(made)).text


def test_sensitive_identifiers_are_masked_inside_of_text_and_in_the_answer(
    client: Client, ada: Profile, by: By
) -> None:
    add(ada, "passport:X1234567", by=by)
    add(ada, "passport:2", by=by)
    Handle.objects.filter(pk="passport").update(sensitive=True)
    made = put(ada, URL, by, "Passport X1234567 of 2026")
    Delivery.objects.update(answer="Unknown passport: X1234567.")

    text = client.get(page(made)).text

    assert "X1234567" not in text
    assert "Passport ••• of 2026" in text
    assert "Unknown passport: •••." in text


def sent_by(row: Reaction | Webhook, ada: Profile) -> Delivery:
    """What goes out when an event of its trigger is taken up."""
    for event in Event.objects.filter(taken_up_at=None):
        taking_up.take_up(event.pk, give_up=False)
    of_it = {"webhook": row} if isinstance(row, Webhook) else {"action__reaction": row}
    made: Delivery = Delivery.objects.get(**of_it)
    return made


def telling(trigger: str, by: By, body: Any = None) -> Reaction:
    arguments = [{"name": "url", "value": URL, "is_dynamic": False}]
    if body is not None:
        arguments.append({"name": "body", "value": body, "is_dynamic": True})
    step = Step({"name": "target.send", "arguments": arguments})
    return listening.add_reaction({"name": trigger, "trigger": trigger}, [step], by=by)


@pytest.fixture
def passport(ada: Profile, by: By) -> Identity:
    """A sensitive one, whose mask shows its last four characters."""
    made = add(ada, "passport:X12345678", by=by)
    Handle.objects.filter(pk="passport").update(sensitive=True)
    return made


def test_what_a_reaction_worked_out_is_withheld_while_a_handle_is_sensitive(
    client: Client, ada: Profile, by: By, passport: Identity
) -> None:
    gone = telling("identity.deleted", by, {"var": "identifier"})
    halves = [{"substr": [{"var": "identity.passport.identifier"}, *part]} for part in ([0, 4], [4])]
    computed = telling("profile.updated", by, {"cat": [halves[0], "-", halves[1]]})
    routing.update(ada.pk, fields={"company": "Q"}, contact={}, by=by, source=None)
    cut = sent_by(computed, ada)
    Delivery.objects.update(answer="Unknown: X123")
    routing.remove(passport.pk, by=by, source=None)
    whole = sent_by(gone, ada)
    assert "X12345678" in whole.body
    assert "X123-45678" in cut.body

    for made in (whole, cut):
        text = client.get(page(made)).text
        assert "X123" not in text
        assert "What a reaction worked out may hold a sensitive identifier in any form" in text
    listening.delete_reaction(gone.pk, by=by)
    listening.change_reaction(computed.pk, {}, [], by=by)
    assert "X123" not in client.get(page(whole)).text
    assert "X123" not in client.get(page(cut)).text
    Handle.objects.update(sensitive=False)
    assert "X123-45678" in client.get(page(cut)).text


def test_an_action_that_lost_its_body_since_cannot_be_asked(
    client: Client, ada: Profile, by: By, passport: Identity
) -> None:
    row = telling("profile.updated", by, {"cat": [{"var": "identity.passport.identifier"}, "!"]})
    routing.update(ada.pk, fields={"company": "Q"}, contact={}, by=by, source=None)
    made = sent_by(row, ada)
    action = row.actions.get()
    url = [one for one in action.arguments if one["name"] == "url"]
    listening.change_reaction(row.pk, {}, [Step({"arguments": url}, action.pk)], by=by)
    routing.remove(passport.pk, by=by, source=None)

    assert "X1234" not in client.get(page(made)).text


def test_all_that_an_event_shows_is_shown_with_masks_whoever_it_is_sent_for(
    client: Client, ada: Profile, by: By, passport: Identity
) -> None:
    reaction = telling("identity.deleted", by)
    webhook = listening.add_webhook({"trigger": "identity.deleted", "url": f"{URL}/other"}, by=by)
    routing.remove(passport.pk, by=by, source=None)

    for row in (reaction, webhook):
        made = sent_by(row, ada)
        text = client.get(page(made)).text
        assert "X12345678" in made.body
        assert "X1234" not in text
        assert "•••5678" in text


def test_what_was_sent_is_revealed_on_request_and_the_audit_keeps_who_looked(
    client: Client, keeper: User, ada: Profile, by: By, passport: Identity
) -> None:
    row = telling("profile.updated", by, {"var": "identity.passport.identifier"})
    routing.update(ada.pk, fields={"company": "Q"}, contact={}, by=by, source=None)
    made = sent_by(row, ada)
    Delivery.objects.update(answer="<b>Unknown: X123")
    assert page(made, "reveal") in client.get(page(made)).text
    assert "X1234" not in client.get(page(made, "reveal")).text
    assert not Audit.objects.filter(event="revealed").exists()

    text = client.post(page(made, "reveal")).text

    assert "X12345678" in text
    assert "&lt;b&gt;Unknown: X123" in text
    entry = Audit.objects.get(event="revealed")
    assert (entry.by, entry.profile, entry.auditable_key) == (keeper, ada, str(made.pk))
    assert "X1234" not in str(entry.new_values)
    may = ["profiles.view_delivery", "profiles.view_profile", "identities.view_identity"]
    assert holding(*may).post(page(made, "reveal")).status_code == 403
    assert page(made, "reveal") not in holding(*may, "profiles.change_delivery").get(page(made)).text
    Delivery.objects.update(trigger="transaction.created")
    looker = holding(*may, "identities.reveal_identity")
    assert looker.post(page(made, "reveal")).status_code == 403
    assert Audit.objects.filter(event="revealed").count() == 1


def test_who_may_not_see_profiles_sees_no_body(ada: Profile, by: By) -> None:
    made = put(ada, URL, by, {"first_name": "Zoë"})
    staff = Staff.objects.create_user("staff", is_staff=True)
    staff.user_permissions.add(Permission.objects.get(codename="view_delivery"))

    text = signed_in(staff).get(page(made)).text

    assert made.target.url in text
    assert "Zoë" not in text


@pytest.mark.parametrize(
    ("trigger", "needed"),
    [("transaction.created", "profiles.view_transaction"), ("duplicate.detected", "profiles.view_duplicatepair")],
)
def test_who_may_not_see_such_records_sees_no_body_of_theirs(trigger: str, needed: str, ada: Profile, by: By) -> None:
    made = put(ada, URL, by, {"name": "Zoë"})
    Delivery.objects.update(trigger=trigger)
    may = ["profiles.view_delivery", "profiles.view_profile", "identities.view_identity"]

    assert "Zoë" not in holding(*may).get(page(made)).text
    assert "Zoë" in holding(*may, needed).get(page(made)).text


def test_it_says_why_a_delivery_waits(client: Client, ada: Profile, by: By) -> None:
    first, second = put(ada, URL, by), put(ada, URL, by)
    assert "An earlier one of the same profile" in client.get(page(second)).text

    tending.mute(first.target_id, by=by)

    assert "The target is muted" in client.get(page(first)).text


def test_sending_again_asks_first(client: Client, ada: Profile, by: By) -> None:
    dead = died(ada, by)

    asked = client.get(page(dead, "again"))
    assert "Send this delivery again?" in asked.text
    dead.refresh_from_db()
    assert dead.state == "dead"
    response = client.post(page(dead, "again"), follow=True)

    assert "1 delivery goes out again." in response.text
    dead.refresh_from_db()
    assert dead.state == "waiting"


def test_several_are_sent_again_from_the_list_after_a_question(client: Client, ada: Profile, by: By) -> None:
    dead = [died(ada, by), died(ada, by)]
    chosen: dict[str, Any] = {"action": "send_again", "_selected_action": [one.pk for one in dead]}

    asked = client.post(LIST, chosen)
    assert "Send these deliveries again?" in asked.text
    assert not Delivery.objects.filter(state="waiting").exists()
    done = client.post(LIST, {**chosen, "post": "yes"}, follow=True)

    assert "2 deliveries go out again." in done.text
    assert Delivery.objects.filter(state="waiting").count() == 2


def test_so_many_at_once_and_no_more(client: Client, ada: Profile, by: By) -> None:
    died(ada, by)
    one = Delivery.objects.get()
    for number in range(MOST_AT_ONCE):
        one.pk, one.message_id, one.webhook = None, f"msg_{number}", None
        one.save()

    response = client.post(
        LIST,
        {"action": "send_again", "select_across": "1", "_selected_action": [Delivery.objects.latest("pk").pk]},
        follow=True,
    )

    assert f"Select {MOST_AT_ONCE} at most." in response.text


def test_a_target_is_muted_and_unmuted_after_a_question_with_a_way_back(client: Client, ada: Profile, by: By) -> None:
    put(ada, URL, by)

    assert "Mute this target?" in client.get(target_page("mute")).text
    assert Target.objects.get().muted_at is None
    muted = client.post(target_page("mute"), follow=True)
    assert target_page("unmute") in muted.text
    assert Target.objects.get().muted_by == Staff.objects.get(username="keeper")
    assert "1 delivery waits." in client.get(target_page("unmute")).text
    client.post(target_page("unmute"))

    assert Target.objects.get().muted_at is None


def test_a_target_shows_how_it_does_and_leads_to_what_waits_and_what_is_dead(
    client: Client, ada: Profile, by: By
) -> None:
    died(ada, by)
    put(ada, URL, by)
    now = Delivery.objects.latest("pk").created_at
    Target.objects.update(failures=12, opened_at=now, next_look_at=now)
    target = Target.objects.get()

    text = client.get(target_page()).text

    assert "does not answer" in text
    assert "12 times in a row" in text
    for state in ("waiting", "dead"):
        assert f"{LIST}?target={target.pk}&amp;state={state}" in text
    assert "does not answer" in client.get(reverse("admin:profiles_target_changelist") + "?state=down").text


def test_all_that_a_target_did_not_take_are_sent_again(client: Client, ada: Profile, by: By) -> None:
    for _number in range(3):
        died(ada, by)

    assert "3 deliveries that were given up" in client.get(target_page("again")).text
    response = client.post(target_page("again"), follow=True)

    assert "3 deliveries go out again." in response.text
    assert Delivery.objects.filter(state="waiting").count() == 3
