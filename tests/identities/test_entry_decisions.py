"""Deciding an entry of the log from its page: merge, not the same person, block; and what a closed entry says."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from identities import blocking, parting, releasing, reviewing, routing
from identities.handles import Sent
from identities.models import BlockedIdentifier, Extension, Handle, RoutingLogEntry
from profiles import duplicates
from profiles.auditing import By
from profiles.models import Audit, DuplicatePair, Interaction, Merge, Profile, ProfileQuerySet, Transaction
from profiles.refusing import Refused
from tests.cast import add, came, come, known, merge, undo
from tests.racing import before_each, while_it_is_locked
from tests.staff import answer, filled, holding, links, member, read, signed_in, submit

pytestmark = pytest.mark.django_db

VIEW = "identities.view_routinglogentry"
CHANGE = "identities.change_routinglogentry"
PART = "profiles.change_duplicatepair"


def page(entry: RoutingLogEntry, name: str = "change") -> str:
    return reverse(f"admin:identities_routinglogentry_{name}", args=[entry.pk])


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def ada(by: By) -> Profile:
    return known("loyalty-card:1", by=by, first_name="Ada")


@pytest.fixture
def again(ada: Profile, by: By) -> Profile:
    return known("pos-customer:55", by=by, first_name="Augusta")


@pytest.fixture
def third(again: Profile, by: By) -> Profile:
    return known("pos-customer:56", by=by, first_name="Third")


@pytest.fixture
def sale(ada: Profile, again: Profile, by: By) -> Transaction:
    return came(Transaction, "loyalty-card:1", "pos-customer:55", by=by)


@pytest.fixture
def entry(sale: Transaction) -> RoutingLogEntry:
    return RoutingLogEntry.objects.get(outcome="conflict")


@pytest.fixture
def of_three(ada: Profile, again: Profile, third: Profile, by: By) -> RoutingLogEntry:
    came(Transaction, "loyalty-card:1", "pos-customer:55", "pos-customer:56", by=by)
    return RoutingLogEntry.objects.get(outcome="conflict")


@pytest.fixture
def rerouted(ada: Profile, again: Profile, by: By) -> RoutingLogEntry:
    come(Transaction, "loyalty-card:1", named=again.pk, by=by)
    return RoutingLogEntry.objects.get(outcome="rerouted")


@pytest.fixture
def taken(ada: Profile, again: Profile, by: By) -> RoutingLogEntry:
    with pytest.raises(Refused):
        add(again, "loyalty-card:1", by=by)
    return RoutingLogEntry.objects.get(outcome="identity_taken")


def state(entry: RoutingLogEntry) -> tuple[str, str]:
    entry.refresh_from_db()
    return entry.review_status, entry.review_note


def buttons(client: Client, entry: RoutingLogEntry) -> dict[str, str]:
    """The decisions that the page offers, with where each leads."""
    content = client.get(page(entry)).content.decode()
    found = re.findall(r'<a class="quiet-button" href="([^"]*)">(.*?)</a>', content)
    return {text: url.replace("&amp;", "&") for url, text in found if not text.startswith("Send it to")}


def query(url: str) -> dict[str, str]:
    return {name: one for name, (one,) in parse_qs(urlsplit(url).query).items()}


# Which buttons


@pytest.mark.parametrize("kind", ["entry", "rerouted", "taken"])
def test_who_may_is_led_to_merge_to_tell_apart_and_to_block(
    kind: str, request: pytest.FixtureRequest, ada: Profile, again: Profile
) -> None:
    entry = request.getfixturevalue(kind)
    keeper = member("Admin")

    offered = buttons(keeper, entry)

    assert list(offered)[:2] == ["Merge the two", "Not the same person"]
    assert "Block Loyalty card 1" in offered
    merge_page = urlsplit(offered["Merge the two"])
    assert merge_page.path == reverse("admin:profiles_profile_merge")
    assert query(offered["Merge the two"]) == {"ids": f"{ada.pk},{again.pk}"}
    assert keeper.get(offered["Merge the two"]).status_code == 200
    assert offered["Not the same person"] == page(entry, "part")


def test_nobody_is_led_to_what_they_may_not_do(entry: RoutingLogEntry) -> None:
    assert buttons(member("Reader"), entry) == {}
    assert list(buttons(holding(VIEW, "profiles.merge_profile", "profiles.view_profile"), entry)) == ["Merge the two"]
    assert list(buttons(holding(VIEW, CHANGE, PART), entry)) == ["Not the same person"]
    assert buttons(holding(VIEW, PART), entry) == {}
    assert "Block Loyalty card 1" in buttons(holding(VIEW, "identities.add_blockedidentifier"), entry)


def test_what_does_not_apply_is_not_offered(ada: Profile, again: Profile, by: By) -> None:
    keeper = member("Admin")
    come(Transaction, "loyalty-card:1", "pos:null", by=by)
    refused = RoutingLogEntry.objects.get(outcome="refused")
    assert buttons(keeper, refused) == {}

    came(Transaction, "loyalty-card:1", "pos-customer:55", by=by)
    entry = RoutingLogEntry.objects.get(outcome="conflict")
    releasing.delete(again.pk, by=by)
    assert list(buttons(keeper, entry)) == ["Block Loyalty card 1"], "One of the two is deleted."
    # A profile that was sent with a contact point of another names that one alone.
    with pytest.raises(Refused):
        known(email="bo@example.com", by=by) and known(email="bo@example.com", by=by)
    taken = RoutingLogEntry.objects.get(outcome="identity_taken")
    assert list(buttons(keeper, taken)) == ["Block E-mail bo@example.com"]


def test_a_candidate_that_was_merged_is_told_and_merged_as_its_survivor(
    entry: RoutingLogEntry, ada: Profile, again: Profile, third: Profile, by: By
) -> None:
    merge(third, again, by=by)
    keeper = member("Admin")

    assert query(buttons(keeper, entry)["Merge the two"]) == {"ids": f"{ada.pk},{third.pk}"}
    told = read(keeper.get(page(entry)))
    assert "Till customer 55 stayed with Augusta (merged into Third)" in told
    assert "Third Augusta was merged into it" in told
    profile_links = [url for _text, url in links(keeper.get(page(entry)))]
    assert reverse("admin:profiles_profile_change", args=[third.pk]) in profile_links
    assert reverse("admin:profiles_profile_change", args=[again.pk]) not in profile_links


def test_three_are_merged_and_told_apart_together(of_three: RoutingLogEntry) -> None:
    assert list(buttons(member("Admin"), of_three))[:2] == ["Merge the 3", "Not the same person"]


def test_more_than_can_be_told_apart_are_only_merged(ada: Profile, bo: Profile, by: By) -> None:
    pairs = [f"pos-customer:{number}" for number in range(1, parting.MOST_PARTED + 1)]
    for pair in pairs:
        known(pair, by=by)
    come(Transaction, "loyalty-card:1", *pairs, by=by)
    entry = RoutingLogEntry.objects.get()

    assert "Not the same person" not in buttons(member("Admin"), entry)
    with pytest.raises(Refused) as refusal:
        parting.part(entry.pk, note="", by=by)
    assert refusal.value.code == "too_many_profiles"


# Not the same person


def test_not_the_same_person_asks_dismisses_the_pair_and_the_entry_and_leads_back(
    editor: Client, entry: RoutingLogEntry, ada: Profile, again: Profile, by: By
) -> None:
    url = page(entry, "part")
    asked = editor.get(url)
    for words in (
        "Not the same person?",
        "Ada",
        "Augusta",
        "You say that these two are different people.",
        "and never merge by themselves",
    ):
        assert words in read(asked), words
    assert state(entry)[0] == "open"

    done = editor.post(url, {"note": "Mother and daughter."}, follow=True)

    assert state(entry) == ("dismissed", "Mother and daughter.")
    pair = DuplicatePair.objects.get()
    assert ({pair.first, pair.second}, pair.status, pair.note, pair.by) == (
        {ada, again},
        "dismissed",
        "Mother and daughter.",
        by.user,
    )
    assert "They are known as two different people now, and the entry is dismissed. Take it back" in read(done)
    assert reverse("admin:profiles_duplicatepair_reopen", args=[pair.pk]) == dict(links(done))["Take it back"]
    assert set(Audit.objects.filter(event__in=["dismissed", "reviewed"]).values_list("event", "by")) == {
        ("dismissed", by.user.pk),
        ("reviewed", by.user.pk),
    }
    assert "Not the same person" not in buttons(editor, entry)


def test_three_that_are_told_apart_are_three(
    editor: Client, of_three: RoutingLogEntry, ada: Profile, again: Profile, third: Profile
) -> None:
    asked = read(editor.get(page(of_three, "part")))
    assert "You say that each of these 3 is somebody else." in asked

    done = editor.post(page(of_three, "part"), {"note": "x"}, follow=True)

    assert duplicates.are_all_dismissed([ada.pk, again.pk, third.pk])
    assert "They are known as 3 different people now" in read(done)
    assert "Take back number 3" in read(done)
    assert not duplicates.offered().exists()


def test_telling_apart_needs_both_permissions(entry: RoutingLogEntry) -> None:
    for client in (holding(VIEW, CHANGE), holding(VIEW, PART)):
        assert client.post(page(entry, "part"), {"note": "x"}).status_code == 403
    assert not DuplicatePair.objects.filter(status="dismissed").exists()


def test_those_who_were_merged_meanwhile_are_not_told_apart(
    editor: Client, entry: RoutingLogEntry, ada: Profile, again: Profile, by: By
) -> None:
    shown = filled(editor, page(entry, "part"))
    merge(ada, again, by=by)

    told = read(editor.post(page(entry, "part"), shown))

    assert "They are one profile by now. Undo the merge if they are not the same person." in told
    assert state(entry) == ("reviewed", "merged")
    with pytest.raises(Refused) as refusal:
        parting.part(entry.pk, note="", by=by)
    assert (refusal.value.code, refusal.value.details) == ("already_merged", {"survivor_id": str(ada.pk)})


def test_what_asks_nothing_tells_nobody_apart(editor: Client, ada: Profile, by: By) -> None:
    come(Transaction, "loyalty-card:1", "pos:null", by=by)
    entry = RoutingLogEntry.objects.get()

    assert "This entry names no two profiles" in read(editor.post(page(entry, "part"), {"note": "x"}))
    assert state(entry)[0] == "open"


def test_telling_apart_twice_changes_no_pair(entry: RoutingLogEntry, by: By) -> None:
    parting.part(entry.pk, note="First.", by=by)
    before = DuplicatePair.objects.values().get()

    parting.part(entry.pk, note="Second.", by=by)

    assert DuplicatePair.objects.values().get() == before
    assert state(entry) == ("dismissed", "Second.")


def test_a_dismissal_that_fails_leaves_the_entry_open(
    entry: RoutingLogEntry, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_args: Any, **_kwargs: Any) -> None:
        raise RuntimeError("The power is gone.")

    with monkeypatch.context() as patched:
        patched.setattr(reviewing, "review", fail)
        with pytest.raises(RuntimeError):
            parting.part(entry.pk, note="", by=by)

    assert state(entry)[0] == "open"
    assert DuplicatePair.objects.get().status == "open"


@pytest.mark.django_db(transaction=True)
def test_a_merge_that_comes_first_is_met_and_one_that_comes_second_may_still_be(
    entry: RoutingLogEntry, ada: Profile, again: Profile, by: By
) -> None:
    merged: list[Any] = []

    def merge_once() -> None:
        if not merged:
            merged.append(merge(ada, again, by=by))

    with before_each(ProfileQuerySet, "lock", merge_once), pytest.raises(Refused) as refusal:
        parting.part(entry.pk, note="", by=by)
    assert (refusal.value.code, state(entry)) == ("already_merged", ("reviewed", "merged"))

    undo(Merge.objects.get(), by=by)
    with while_it_is_locked(lambda: merge(ada, again, by=by)):
        parting.part(entry.pk, note="Two.", by=by)
    assert Merge.objects.live().count() == 1
    assert DuplicatePair.objects.get().status == "merged"


@pytest.mark.django_db(transaction=True)
def test_one_who_is_merged_into_somebody_else_meanwhile_is_told_apart_as_that_one(
    entry: RoutingLogEntry, ada: Profile, again: Profile, third: Profile, by: By
) -> None:
    merged: list[Any] = []

    def merge_once() -> None:
        if not merged:
            merged.append(merge(third, again, by=by))

    with before_each(ProfileQuerySet, "lock", merge_once):
        parted = parting.part(entry.pk, note="", by=by)

    assert parted.profiles == [ada, third]
    assert [{pair.first, pair.second} for pair in parted.pairs] == [{ada, third}]


# Blocking


def test_blocking_leads_to_the_form_filled_in_which_says_what_it_touches(
    entry: RoutingLogEntry, sale: Transaction, again: Profile, by: By
) -> None:
    keeper = member("Admin")
    came(Transaction, "pos-customer:55", by=by)
    came(Transaction, "pos-customer:55", by=by)
    url = buttons(keeper, entry)["Block Till customer 55"]

    assert query(url) == {
        "value": "55",
        "handle": "pos-customer",
        "reason": f"It names several people: entry {entry.pk} of the routing log.",
    }
    asked = submit(keeper, url)
    told = read(asked)
    assert "Block “55”?" in told
    assert "1 identity of 1 profile has this value: pos-customer (1)." in told
    assert "By it came: 2 transactions. They stay where they are; move those that are of somebody else." in told
    assert not BlockedIdentifier.objects.filter(value="55").exists()

    answer(keeper, url, asked)

    blocked = BlockedIdentifier.objects.get(value="55")
    assert (blocked.handle_id, blocked.reason.startswith("It names several people")) == ("pos-customer", True)
    assert "Block Till customer 55" not in buttons(keeper, entry)
    assert "Block Loyalty card 1" in buttons(keeper, entry)


def test_records_of_a_blocked_value_are_counted_by_kind_and_no_further_than_they_are_read(
    entry: RoutingLogEntry, sale: Transaction, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = member("Admin")
    monkeypatch.setattr(blocking, "MOST_COUNTED", 1)
    for _time in range(3):
        came(Transaction, "pos-customer:55", by=by)
    came(Interaction, "pos-customer:55", by=by)

    told = read(submit(keeper, buttons(keeper, entry)["Block Till customer 55"]))

    assert "By it came: 1+ transactions, 1 interaction." in told


def test_a_value_by_which_nothing_came_says_so(entry: RoutingLogEntry, third: Profile) -> None:
    add = "/admin/identities/blockedidentifier/add/"

    assert "No record has come by it." in read(submit(member("Admin"), add, value="56"))


def test_what_is_masked_is_not_offered_for_blocking(ada: Profile, again: Profile, by: By) -> None:
    keeper = member("Admin")
    came(Transaction, "loyalty-card:1", "pos-customer:55", by=by)
    entry = RoutingLogEntry.objects.get()
    assert "Block Till customer 55" in buttons(keeper, entry)

    Handle.objects.filter(name="pos-customer").update(sensitive=True)

    assert [text for text in buttons(keeper, entry) if text.startswith("Block")] == ["Block Loyalty card 1"]


# What a closed entry says


@pytest.mark.parametrize("kind", ["entry", "rerouted", "taken"])
def test_an_entry_closes_by_itself_when_its_two_are_merged_and_says_so(
    kind: str, request: pytest.FixtureRequest, editor: Client, ada: Profile, again: Profile, by: By
) -> None:
    entry = request.getfixturevalue(kind)

    (one,) = merge(ada, again, by=by)

    assert state(entry) == ("reviewed", "merged")
    assert (entry.reviewed_by, one.closed) == (by.user, [entry.pk])
    response = editor.get(page(entry))
    assert "Augusta was merged into Ada on" in read(response)
    assert "which settled this entry." in read(response)
    assert "Augusta (merged into Ada)" in read(response)
    assert "What you can do" not in read(response)
    assert buttons(member("Admin"), entry) == {}


def test_whoever_may_see_merges_is_led_to_the_one_that_closed_the_entry(
    editor: Client, entry: RoutingLogEntry, ada: Profile, again: Profile, by: By
) -> None:
    (one,) = merge(ada, again, by=by)

    to_the_merge = dict(links(editor.get(page(entry))))["See the merge"]

    assert to_the_merge == reverse("admin:profiles_merge_change", args=[one.pk])
    assert "See the merge" not in read(holding(VIEW).get(page(entry)))


@pytest.mark.parametrize("kind", ["entry", "rerouted", "taken"])
def test_on_undo_it_stays_reviewed_and_says_that_it_was_undone(
    kind: str, request: pytest.FixtureRequest, editor: Client, ada: Profile, again: Profile, by: By
) -> None:
    entry = request.getfixturevalue(kind)
    (one,) = merge(ada, again, by=by)

    undo(one, by=by)

    assert state(entry) == ("reviewed", "merged, undone")
    told = read(editor.get(page(entry)))
    assert "Augusta was merged into Ada on" in told
    assert "and that was undone on" in told
    assert "they are known as two people." in told
    assert "(merged into" not in told
    # They may be merged again, and are known as two already.
    assert "Merge the two" in buttons(editor, entry)
    assert "Not the same person" not in buttons(editor, entry)


def test_three_close_only_when_all_are_one(
    of_three: RoutingLogEntry, ada: Profile, again: Profile, third: Profile, by: By
) -> None:
    (first,) = merge(ada, again, by=by)
    assert state(of_three) == ("open", "")
    assert list(buttons(member("Admin"), of_three))[:2] == ["Merge the two", "Not the same person"]

    (second,) = merge(ada, third, by=by)

    assert state(of_three) == ("reviewed", "merged")
    assert ([*Merge.objects.get(pk=first.pk).closed], second.closed) == ([], [of_three.pk])
    undo(second, by=by)
    assert state(of_three) == ("reviewed", "merged, undone")


def test_three_that_are_merged_at_once_close_with_both_merges(
    editor: Client, of_three: RoutingLogEntry, ada: Profile, again: Profile, third: Profile, by: By
) -> None:
    merges = merge(ada, again, third, by=by)

    assert {tuple(Merge.objects.get(pk=one.pk).closed) for one in merges} == {(of_three.pk,)}
    told = read(editor.get(page(of_three)))
    assert "Augusta was merged into Ada" in told
    assert "Third was merged into Ada" in told


def test_an_entry_of_a_profile_that_was_merged_before_closes_with_its_survivor(
    entry: RoutingLogEntry, editor: Client, ada: Profile, again: Profile, third: Profile, by: By
) -> None:
    merge(third, again, by=by)
    assert state(entry) == ("open", "")

    merge(ada, third, by=by)

    assert state(entry) == ("reviewed", "merged")
    assert "Third was merged into Ada" in read(editor.get(page(entry)))


def test_what_somebody_has_reviewed_before_keeps_its_review(
    entry: RoutingLogEntry, ada: Profile, again: Profile, by: By
) -> None:
    reviewing.review(entry, status="dismissed", note="Nonsense.", by=by)

    (one,) = merge(ada, again, by=by)
    assert (state(entry), one.closed) == (("dismissed", "Nonsense."), [])
    undo(one, by=by)

    assert state(entry) == ("dismissed", "Nonsense.")


def test_what_merged_by_itself_says_so(
    editor: Client, ada: Profile, again: Profile, klaviyo: Extension, by: By
) -> None:
    Handle.objects.filter(name__in=["loyalty-card", "pos-customer"]).update(auto_merge=True)
    routing.route(
        [Sent("loyalty-card", "1"), Sent("pos-customer", "55")],
        fields={},
        contact={},
        by=By(klaviyo.service_account),
        source=klaviyo,
    )
    entry = RoutingLogEntry.objects.get()

    assert "by itself, as their handles say, when Klaviyo sent this." in read(editor.get(page(entry)))
    assert state(entry) == ("reviewed", "merged")


def test_the_page_costs_the_same_whatever_was_merged_since(
    editor: Client, of_three: RoutingLogEntry, ada: Profile, again: Profile, third: Profile, by: By
) -> None:
    def cost() -> int:
        editor.get(page(of_three))
        with CaptureQueriesContext(
            connection,
        ) as captured:
            editor.get(page(of_three))
        return len(captured)

    merge(ada, again, by=by)
    once = cost()
    for number in range(5):
        merge(third, known(f"pos:{number}", by=by), by=by)

    assert cost() == once
