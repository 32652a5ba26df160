"""The page of one log entry: what it tells, the profiles side by side, what was sent, when, and the review."""

from __future__ import annotations

import datetime
import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from identities import adding, releasing, reviewing, routing
from identities.handles import Sent
from identities.models import Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import add, route, update
from tests.staff import filled, holding, member, read, signed_in, submit, user_of

LIST = "/admin/identities/routinglogentry/"


def page(entry: RoutingLogEntry) -> str:
    return reverse("admin:identities_routinglogentry_change", args=[entry.pk])


def profile_url(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def entry(ada, bo, by) -> RoutingLogEntry:
    """Ada was to have Bo's loyalty card."""
    with pytest.raises(Refused):
        adding.add(ada.pk, Sent("loyalty-card", "bo"), by=by, source=None)
    return RoutingLogEntry.objects.get()


@pytest.fixture
def cleo(by) -> Profile:
    contact = {"email": "cleo@example.com", "mobile_phone": "+61404888888"}
    return route("loyalty-card:cleo", by=by, contact=contact, first_name="Cleo").profile


@pytest.fixture
def conflict(ada, cleo, by, klaviyo) -> RoutingLogEntry:
    """Klaviyo sent a till id of Ada and Cleo's loyalty card together."""
    add(ada, "pos:7", by=by)
    source = By(klaviyo.service_account)
    pairs = ["pos:7", "loyalty-card:cleo", "pos-customer:new", "pos:null"]
    route(*pairs, by=source, source=klaviyo, first_name="Ada", tags=["vip", "new"], birth_month=12, birth_day=10)
    return RoutingLogEntry.objects.get(outcome="conflict")


def section(response: Any, name: str) -> str:
    """One part of the page as a person reads it: advice, profiles, payload or timeline."""
    content = response.content.decode()
    text = content[content.index(f'aria-labelledby="{name}-heading"') :].split("</section>")[0]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text.split(">", 1)[1])).split())


def row_of(response: Any, label: str) -> list[str]:
    """A row of the comparison: its label with the mark, and the cells."""
    (found,) = re.findall(rf"<tr>\s*<th scope=\"row\">{label} .*?</tr>", response.content.decode(), re.DOTALL)
    cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", found, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", cell)).split()) for cell in cells]


# The sentence


def test_the_sentence_leads_to_the_profiles_and_the_source(editor, conflict, ada, cleo):
    content = editor.get(page(conflict)).content.decode()
    sentence = content[content.index('<p class="sentence">') :].split("</p>")[0]

    assert " ".join(re.sub(r"<[^>]*>", "", sentence).split()) == (
        "Klaviyo sent data that names two profiles; it went to Cleo, and Till 7 stayed with Ada Lovelace."
    )
    links = re.findall(r'href="([^"]*)"', sentence)
    assert links == [
        reverse("admin:identities_extension_change", args=["klaviyo"]),
        profile_url(cleo),
        profile_url(ada),
    ]
    advice = section(editor.get(page(conflict)), "advice")
    assert "If not, say so, look at what Cleo was given, and have the identities corrected in Klaviyo ." in advice


def test_whoever_may_not_see_profiles_is_led_to_none(entry, ada, bo):
    content = holding("identities.view_routinglogentry").get(page(entry)).content.decode()

    assert "it belongs to <bdi>Bo Diddley</bdi>, so nothing was written." in content
    assert "/admin/profiles/profile/" not in content
    assert "side by side" not in content
    assert "bo@example.com" not in content


def test_what_people_wrote_is_shown_as_text(editor, entry, ada):
    Profile.objects.filter(pk=ada.pk).update(first_name="<script>alert(1)</script>", company="<b>Inc</b>")
    Handle.objects.filter(pk="loyalty-card").update(label="<i>Card</i>")
    payload = {"<u>": ["<s>"], "title": "<em>", "identities": [{"handle": "<tt>", "identifier": "<q>"}]}
    RoutingLogEntry.objects.update(payload=payload, identifier="<img src=x>", code="<var>", outcome="refused")

    content = editor.get(page(entry)).content.decode()

    for tag in ("<script>alert", "<b>", "<i>", "<u>", "<s>", "<em>", "<tt>", "<q>", "<img src=x", "<var>"):
        assert tag not in content, tag
    assert "&lt;script&gt;alert(1)" in content


def test_no_style_and_no_script_stands_in_the_page(editor, conflict):
    reviewing.review(conflict, status="reviewed", note="", by=By(user_of(editor)))

    for url in (page(conflict), LIST, f"{LIST}?review_status__exact=all"):
        content = editor.get(url).content.decode()
        assert " style=" not in content
        assert "<style" not in content
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", content)
        assert not re.search(r"\son\w+=", content)


# The profiles side by side


def test_the_profiles_stand_side_by_side_with_what_differs_marked(editor, conflict, ada, cleo, by):
    update(ada, by=by, email="ada@example.com", company="Analytical Engines", birth_year=1815)
    update(cleo, by=by, company="ANALYTICAL  engines")

    response = editor.get(page(conflict))

    assert row_of(response, "Name") == ["Name differs", "Ada", "Cleo", "Ada Lovelace"]
    assert row_of(response, "Birth date") == ["Birth date differs", "December 10", "December 10", "1815"]
    assert row_of(response, "E-mail") == ["E-mail differs", "–", "cleo@example.com", "ada@example.com"]
    # Only one of them has it, which is no contradiction.
    assert row_of(response, "Mobile phone") == ["Mobile phone", "–", "+61404888888", "–"]
    assert row_of(response, "Company") == ["Company the same", "–", "ANALYTICAL engines", "Analytical Engines"]
    assert "As it was sent Cleo the data went here Ada Lovelace" in section(response, "profiles")


def test_how_each_profile_is_known_stands_with_it(editor, conflict, ada, cleo):
    response = editor.get(page(conflict))

    assert row_of(response, "Identities") == ["Identities", "", "4", "1"]
    assert row_of(response, "Systems") == ["Systems", "", "Loyalty card, Till customer", "Till"]
    assert row_of(response, "Profile id")[2:] == [str(cleo.pk), str(ada.pk)]
    assert f'href="/admin/identities/identity/?profile__id__exact={cleo.pk}">4</a>' in response.content.decode()


def test_a_fact_that_nobody_has_takes_no_row(editor, entry):
    assert "Company" not in section(editor.get(page(entry)), "profiles")


def test_identities_are_counted_no_further_than_anybody_reads(editor, entry, ada, django_assert_max_num_queries):
    Identity.objects.bulk_create(
        Identity(handle_id="pos", identifier=f"{number}", profile=ada) for number in range(205)
    )

    with django_assert_max_num_queries(24) as captured:
        response = editor.get(page(entry))

    assert row_of(response, "Identities") == ["Identities", "200+", "3"]
    (counting,) = [query["sql"] for query in captured.captured_queries if "ARRAY(" in query["sql"]]
    assert "LIMIT 201" in counting


def test_each_profile_says_what_part_it_had(editor, entry, ada, bo, by):
    profiles = section(editor.get(page(entry)), "profiles")
    assert "Ada Lovelace it was sent for this one" in profiles
    assert "Bo Diddley it belongs to this one" in profiles
    assert "the data went here" not in profiles

    Profile.objects.filter(pk=ada.pk).update(merged_into=bo)
    profiles = section(editor.get(page(entry)), "profiles")
    assert "The profile Bo Diddley Ada Lovelace was merged into it it was sent for this one" in profiles
    assert "it belongs to this one" in profiles
    Profile.objects.filter(pk=ada.pk).update(merged_into=None, profile_type="deleted")
    assert "Ada Lovelace deleted it was sent" in section(editor.get(page(entry)), "profiles")


def test_a_profile_that_is_gone_is_counted(editor, entry, ada):
    ada.delete()

    profiles = section(editor.get(page(entry)), "profiles")

    assert "The profile Bo Diddley" in profiles
    RoutingLogEntry.objects.update(candidates=[ada.pk or Profile().pk])
    assert "1 profile that it names is gone for good." in section(editor.get(page(entry)), "profiles")
    RoutingLogEntry.objects.update(candidates=[])
    assert "It names no profile any more." in section(editor.get(page(entry)), "profiles")


def test_more_profiles_than_fit_are_named_below(editor, entry):
    many = Profile.objects.bulk_create(Profile(first_name=f"Number {number}") for number in range(8))
    RoutingLogEntry.objects.update(candidates=[profile.pk for profile in many])

    profiles = section(editor.get(page(entry)), "profiles")

    assert "Further profiles that it names: Number 5 , Number 6 , Number 7" in profiles


# What was sent


def test_what_was_sent_is_listed_by_name(editor, conflict):
    payload = section(editor.get(page(conflict)), "payload")

    assert "Sent by Klaviyo (extension-klaviyo) Kind of record profile" in payload
    assert "First name Ada Birth month 12 Birth day 10 Tags vip, new" in payload


def test_each_identity_says_what_became_of_it(editor, conflict, ada, by):
    assert (
        "Till pos 7 belongs to Ada Lovelace "
        "Loyalty card loyalty-card cleo belongs to Cleo "
        "Till customer pos-customer new was attached to Cleo by this write "
        "Till pos null nobody has it"
    ) in section(editor.get(page(conflict)), "payload")

    refused = RoutingLogEntry.objects.get(outcome="refused")
    payload = section(editor.get(page(refused)), "payload")
    assert "Left out because the value names nobody (blocked_identifier)" in payload
    assert "Till pos null left out: the value names nobody" in payload

    releasing.delete(ada.pk, by=by)
    payload = section(editor.get(page(conflict)), "payload")
    assert "Till pos 7 was left behind by Ada Lovelace , who is deleted" in payload


def test_an_identity_is_found_by_its_normal_form_and_its_handles_present_name(editor, ada, by):
    route("loyalty-card:1", by=by, first_name="Card")
    add(ada, "instagram:ada.lovelace", by=by)
    Handle.objects.create(name="insta", status="retired", renamed_to_id="instagram")
    route("loyalty-card:1", Sent("insta", "Ada.LOVELACE"), Sent("moon phase", "x"), by=by)

    payload = section(editor.get(page(RoutingLogEntry.objects.get(outcome="conflict"))), "payload")

    assert "insta Ada.LOVELACE belongs to Ada Lovelace" in payload
    assert "moon phase x is masked or no identity, and not looked up" in payload


def test_an_identifier_with_characters_that_nobody_sees_is_marked(editor, ada, by):
    add(ada, "pos:7", by=by)
    route("pos:7", "loyalty-card:18\u202e04", by=by)

    response = editor.get(page(RoutingLogEntry.objects.get()))

    assert "18\ufffd04 left out: identifiers of this handle look different" in section(response, "payload")
    assert "\u202e" not in response.content.decode()


def test_what_a_deleted_profile_left_behind_says_who_has_it(editor, bo, by):
    gone = route("pos:1", by=by, first_name="Gone").profile
    releasing.delete(gone.pk, by=by)
    adding.add(route("pos:2", by=by, first_name="Cleo").profile.pk, Sent("pos", "1"), by=by, source=None)

    response = editor.get(page(RoutingLogEntry.objects.get()))

    assert "Nothing but the identity itself is kept." in section(response, "payload")
    profiles = section(response, "profiles")
    assert "Gone deleted had it before" in profiles
    assert "Cleo the data went here" in profiles


def test_a_payload_that_was_cut_says_so(editor, ada, by):
    add(ada, "pos:7", by=by)
    route("pos:7", "loyalty-card:null", by=by, attributes={"comms": {"note": "x" * 20_000}})

    payload = section(editor.get(page(RoutingLogEntry.objects.get())), "payload")

    assert re.search(
        r"It was longer than the log keeps: 20[,.]?\d{3} characters. Only its beginning is here.", payload
    )
    assert '{"identities": [{"handle": "pos", "identifier": "7"}' in payload


def test_the_whole_payload_can_be_read_as_json(editor, conflict):
    content = html.unescape(editor.get(page(conflict)).content.decode())

    assert "<details><summary>All of it, as the log keeps it (JSON)</summary>" in content
    assert '"handle": "pos-customer",' in content


def test_more_identities_than_can_be_read_stand_in_the_json(editor, entry):
    sent = [{"handle": "pos", "identifier": f"n{number}"} for number in range(52)]
    RoutingLogEntry.objects.update(payload={"identities": sent})

    payload = section(editor.get(page(entry)), "payload")

    assert "n49 nobody has it" in payload
    assert "n50 nobody has it" not in payload
    assert "2 more identities stand in the whole text below." in payload


@pytest.mark.parametrize("is_sensitive_from_the_start", [True, False])
def test_a_sensitive_identifier_is_nowhere_on_the_page(is_sensitive_from_the_start, editor, ada, bo, by):
    token = "740f4707bebcf74f9b7c25d4"
    Handle.objects.filter(pk="apns").update(sensitive=is_sensitive_from_the_start)
    add(ada, f"apns:{token}", by=by)
    route("loyalty-card:bo", f"apns:{token}", by=by)
    Handle.objects.filter(pk="apns").update(sensitive=True)
    entry = RoutingLogEntry.objects.get()

    response = editor.get(page(entry))

    assert "740f4707" not in response.content.decode()
    assert "Apple device apns •••25d4 is masked or no identity, and not looked up" in section(response, "payload")
    assert "740f4707" not in editor.get(LIST).content.decode()


# When it happened


def test_what_happened_once_is_said_without_a_picture(editor, entry):
    RoutingLogEntry.objects.update(
        created_at=datetime.datetime(2026, 3, 4, 9, tzinfo=datetime.UTC),
        last_seen_at=datetime.datetime(2026, 3, 4, 9, tzinfo=datetime.UTC),
    )

    response = editor.get(page(entry))

    assert section(response, "timeline") == (
        "When it happened Once, March 4, 2026, 9 a.m. Nothing else in the log is about the same identity."
    )
    assert 'class="lane' not in response.content.decode()


def test_what_happened_again_is_drawn_from_first_to_last(editor, entry, by):
    start = datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC)
    RoutingLogEntry.objects.update(occurrences=3, created_at=start, last_seen_at=start + datetime.timedelta(days=5))
    reviewing.review(entry, status="reviewed", note="", by=by)
    RoutingLogEntry.objects.update(reviewed_at=start + datetime.timedelta(days=10))

    response = editor.get(page(entry))

    words = "3 times between March 1, 2026, midnight and March 6, 2026, midnight; reviewed March 11, 2026, midnight"
    assert words in section(response, "timeline")
    (drawn,) = re.findall(r"<svg class=\"lane this\".*?</td>", response.content.decode(), re.DOTALL)
    assert f'aria-label="{words}"' in drawn
    assert '<line class="seen" x1="3.00%" x2="50.00%"' in drawn
    assert '<svg class="reviewed" x="97.00%"' in drawn


def test_the_same_event_and_the_same_identity_before_stand_on_one_axis(editor, entry, ada, bo, klaviyo, by):
    reviewing.review(entry, status="reviewed", note="", by=by)
    for source in (None, klaviyo):
        with pytest.raises(Refused):
            add(ada, "loyalty-card:bo", by=by, source=source)
    route("loyalty-card:bo", "pos:guest", by=by)
    again = RoutingLogEntry.objects.get(review_status="open", outcome="identity_taken", source=None)

    timeline = section(editor.get(page(again)), "timeline")

    assert timeline.count("This entry") == 1
    assert timeline.count("Klaviyo sent Loyalty card bo for Ada Lovelace") == 1
    assert "so nothing was written. the same event" in timeline
    assert timeline.count("the same event") == 1
    assert "guest" not in timeline
    assert f'href="{page(entry)}"' in editor.get(page(again)).content.decode()


def test_a_value_that_names_nobody_is_no_identity_that_others_share(editor, ada, bo, by):
    add(ada, "pos:7", by=by)
    for card in ("pos:7", "loyalty-card:bo"):
        route(card, "pos:null", by=by)

    for entry in RoutingLogEntry.objects.all():
        assert "Nothing else in the log is about the same identity." in section(editor.get(page(entry)), "timeline")


def test_masked_identifiers_that_look_alike_are_not_taken_for_one(editor, ada, bo, by):
    for number in ("1", "2"):
        add(ada, f"apns:{number}740f4707bebcf74f9b7c25d4", by=by)
        with pytest.raises(Refused):
            add(bo, f"apns:{number}740f4707bebcf74f9b7c25d4", by=by)

    for entry in RoutingLogEntry.objects.all():
        assert "Nothing else in the log is about the same identity." in section(editor.get(page(entry)), "timeline")


def test_no_more_lines_are_drawn_than_can_be_read(editor, entry, bo, by):
    for number in range(12):
        with pytest.raises(Refused):
            add(Profile.objects.create(first_name=f"{number}"), "loyalty-card:bo", by=by)

    timeline = section(editor.get(page(entry)), "timeline")

    assert timeline.count("nothing was written") == 8
    assert "Older ones are not shown." in timeline


# The review


def test_a_review_keeps_who_and_when(editor, entry):
    submit(editor, page(entry), review_status="reviewed", review_note="Merge them.")

    entry.refresh_from_db()
    assert (entry.review_status, entry.review_note) == ("reviewed", "Merge them.")
    assert (entry.reviewed_by, entry.reviewed_at is not None) == (user_of(editor), True)
    audit = Audit.objects.get(event="reviewed")
    assert (audit.by, audit.old_values["review_status"]) == (user_of(editor), "open")
    assert "Reviewed by: operator" in read(editor.get(page(entry)))


def test_a_review_is_told_with_the_way_back(editor, entry):
    response = editor.post(page(entry), {"review_status": "dismissed", "initial-review_status": "open"}, follow=True)

    assert "Saved: the entry is now dismissed. Back to it" in read(response)
    assert f'<a href="{page(entry)}">Back to it</a>' in response.content.decode()


def test_an_entry_that_is_opened_again_has_no_reviewer(editor, entry):
    submit(editor, page(entry), review_status="dismissed")
    submit(editor, page(entry), review_status="open")

    entry.refresh_from_db()
    assert (entry.review_status, entry.reviewed_by, entry.reviewed_at) == ("open", None, None)
    assert "Reviewed by:" not in read(editor.get(page(entry)))


def test_an_entry_is_not_opened_again_beside_a_newer_one_of_the_same_event(editor, entry, ada, by):
    submit(editor, page(entry), review_status="reviewed")
    with pytest.raises(Refused):
        adding.add(ada.pk, Sent("loyalty-card", "bo"), by=by, source=None)

    response = submit(editor, page(entry), review_status="open")

    assert "has an open entry of its own" in read(response)
    entry.refresh_from_db()
    assert entry.review_status == "reviewed"


def test_only_the_review_can_be_changed(editor, entry):
    submit(editor, page(entry), outcome="refused", identifier="x", payload="{}", occurrences="9", reviewed_by="1")

    before = RoutingLogEntry.objects.get()
    assert (before.outcome, before.identifier, before.occurrences) == ("identity_taken", "bo", 1)
    assert before.reviewed_by is None


def test_a_page_that_lay_open_does_not_undo_somebody_elses_review(editor, entry, reader):
    lay_open = {
        "review_status": "open",
        "initial-review_status": "open",
        "review_note": "Hm.",
        "initial-review_note": "",
    }
    reviewing.review(entry, status="reviewed", note="Called her.", by=By(reader))

    response = editor.post(page(entry), lay_open)

    assert "reader has reviewed this entry meanwhile: reviewed." in read(response)
    entry.refresh_from_db()
    assert (entry.review_status, entry.review_note) == ("reviewed", "Called her.")


def test_a_reader_only_looks(entry):
    reader = member("Reader")

    response = reader.get(page(entry))

    assert "Review status: open" in read(response)
    assert 'name="review_status"' not in response.content.decode()
    assert 'type="submit" value' not in response.content.decode()
    for data in ({"review_status": "dismissed"}, {"review_status": "dismissed", "_next": "1"}):
        assert reader.post(page(entry), data).status_code == 403
    entry.refresh_from_db()
    assert entry.review_status == "open"


# From one to the next


@pytest.fixture
def three(entry, bo, by) -> list[RoutingLogEntry]:
    """Three entries, newest first; the last two were seen at the same instant."""
    for identifier in ("null", "guest"):
        route("loyalty-card:bo", f"pos:{identifier}", by=by)
    oldest, middle, newest = RoutingLogEntry.objects.order_by("pk")
    at = datetime.datetime(2026, 3, 4, tzinfo=datetime.UTC)
    RoutingLogEntry.objects.filter(pk__in=[oldest.pk, middle.pk]).update(last_seen_at=at)
    RoutingLogEntry.objects.filter(pk=newest.pk).update(last_seen_at=at + datetime.timedelta(days=1))
    return [newest, middle, oldest]


def ways(client: Client, entry: RoutingLogEntry, query: str = "") -> dict[str, str]:
    content = client.get(page(entry) + query).content.decode()
    return {label: url for url, label in re.findall(r'<li><a href="([^"]*)">(\w+ open entry)</a>', content)}


def test_one_walks_from_each_open_entry_to_the_next(editor, three):
    newest, middle, oldest = three

    assert ways(editor, newest) == {"Older open entry": page(middle)}
    assert ways(editor, middle) == {"Newer open entry": page(newest), "Older open entry": page(oldest)}
    assert ways(editor, oldest) == {"Newer open entry": page(middle)}


def test_the_way_leads_past_what_is_reviewed_and_from_there_too(editor, three, by):
    newest, middle, oldest = three
    reviewing.review(middle, status="reviewed", note="", by=by)

    assert ways(editor, newest) == {"Older open entry": page(oldest)}
    assert ways(editor, middle) == {"Newer open entry": page(newest), "Older open entry": page(oldest)}


def test_the_way_keeps_the_list_that_one_came_from(editor, three):
    newest, middle, _oldest = three
    came_from = "?_changelist_filters=handle%3Dpos"

    assert ways(editor, newest, came_from) == {"Older open entry": page(middle) + came_from}


def test_saving_can_lead_on_to_the_next(editor, three):
    newest, middle, oldest = three

    response = submit(editor, page(newest), review_status="reviewed", _next="1")
    assert response.headers["Location"] == page(middle)
    assert RoutingLogEntry.objects.get(pk=newest.pk).review_status == "reviewed"

    last = editor.post(page(oldest), {"review_status": "reviewed", "_next": "1"}, follow=True)
    assert last.redirect_chain[0][0] == LIST
    assert "There is no older open entry." in read(last)


def test_an_entry_costs_the_same_for_few_profiles_and_for_many(
    editor, conflict, by, klaviyo, django_assert_num_queries
):
    editor.get(page(conflict))  # The content type is read once per process.
    # Session, user, permissions twice, entry; the entry's source and by; two of the log for the same event and pair,
    # profiles and handles for the sentences; profiles, handles and labels side by side; of what was sent the handles,
    # identities and their profiles; the entries before and after; what was attached by it, and to whom it may be sent.
    # Whom its profiles stand for today, for the page, for what may be sent, and, with those who do, for merging.
    with django_assert_num_queries(24):
        editor.get(page(conflict))

    pairs = [f"pos:{number}" for number in range(5)]
    for pair in pairs:
        route(pair, by=by, first_name=pair)
    route(*pairs, "pos-customer:of nobody", by=By(klaviyo.service_account), source=klaviyo)
    for number in range(12):
        with pytest.raises(Refused):
            add(Profile.objects.create(first_name=f"{number}"), "pos:1", by=by)

    big = RoutingLogEntry.objects.filter(outcome="conflict").latest("pk")
    with django_assert_num_queries(24):
        editor.get(page(big))


def doubtful(by: By) -> RoutingLogEntry:
    """One write that names Ada by a till and Bo by a card."""
    route("pos:7", "loyalty-card:bo", by=by)
    return RoutingLogEntry.objects.get()


def test_a_conflict_says_which_identity_decided_and_by_which_rule(editor, ada, bo, by):
    add(ada, "pos:7", by=by)
    entry = doubtful(by)

    older = read(editor.get(page(entry)))
    Handle.objects.filter(pk="loyalty-card").update(priority=5)
    higher = read(editor.get(page(entry)))

    assert "Loyalty card bo is an older identity than Till 7" in older
    assert "the handle of Loyalty card bo has a higher priority than that of Till 7" in higher


def test_a_conflict_whose_owners_have_changed_tells_the_rule_alone(editor, ada, bo, by):
    card = add(ada, "pos:7", by=by)
    entry = doubtful(by)
    routing.remove(card.pk, by=by, source=None)

    assert "Priorities or owners have changed since." in read(editor.get(page(entry)))


def test_a_review_of_what_somebody_else_has_reviewed_meanwhile_is_refused(editor, ada, bo, by):
    add(ada, "pos:7", by=by)
    entry = doubtful(by)
    first = filled(editor, page(entry), review_status="reviewed", review_note="Mine.")
    second = filled(editor, page(entry), review_status="dismissed", review_note="Yours.")

    editor.post(page(entry), first)
    refused = editor.post(page(entry), second)
    twice = editor.post(page(entry), first)

    assert "has reviewed this entry meanwhile: reviewed. “Mine.”" in read(refused)
    assert twice.status_code == 302
    entry.refresh_from_db()
    assert (entry.review_status, entry.review_note) == ("reviewed", "Mine.")
