"""The queue of duplicates in the admin: its list, the page of a pair, what people decide there, and what comes next."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils.http import urlencode

from identities import releasing, routing
from profiles import duplicates
from profiles.admin.filters import EvidenceFilter
from profiles.auditing import By
from profiles.duplicates import Found
from profiles.evidence import KINDS
from profiles.models import Audit, DuplicatePair, Merge, Profile, Transaction
from profiles.models.duplicate_pair import EVIDENCE
from tests.cast import came, known, merge, undo, update
from tests.staff import holding, links, member, read, rows, signed_in, typed_on, url_of

LIST = "/admin/profiles/duplicatepair/"

# Evidence that one page or the other tells in words.
SEEN: dict[str, Any] = {"conflict": []}


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


def person(number: int, name: str, by: By) -> Profile:
    return known(f"loyalty-card:{number}", by=by, first_name=name)


@pytest.fixture
def a(by: By) -> Profile:
    return person(1, "Ada", by)


@pytest.fixture
def b(a: Profile, by: By) -> Profile:
    return person(2, "Bea", by)


@pytest.fixture
def c(b: Profile, by: By) -> Profile:
    return person(3, "Cleo", by)


@pytest.fixture
def d(c: Profile, by: By) -> Profile:
    return person(4, "Dora", by)


def pair(one: Profile, other: Profile, score: float | None = None) -> DuplicatePair:
    """The two in the queue, with this score."""
    duplicates.note([Found(one.pk, other.pk, SEEN)])
    first, second = sorted([one.pk, other.pk])
    if score is not None:
        DuplicatePair.objects.filter(first=first, second=second).update(score=score)
    return DuplicatePair.objects.get(first=first, second=second)


def page(row: DuplicatePair, name: str = "change") -> str:
    return reverse(f"admin:profiles_duplicatepair_{name}", args=[row.pk])


def change_page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


def dismiss(client: Client, row: DuplicatePair, query: str = "", **typed: Any) -> Any:
    url = f"{page(row, 'dismiss')}?{query}"
    return client.post(url, typed_on(client.get(url), **typed), follow=True)


def names(response: Any) -> list[str]:
    """The two of every row of the list."""
    return [" ".join(word for word in row.split() if word in ("Ada", "Bea", "Cleo", "Dora")) for row in rows(response)]


# The list


def test_the_list_has_the_likeliest_first_with_evidence_in_words(editor, a, b, c, d, bo, by):
    pair(a, b, 0.5)
    came(Transaction, "loyalty-card:3", "loyalty-card:4", by=by)

    response = editor.get(LIST)

    first, second = rows(response)
    assert first.startswith("Cleo …")
    assert "90%" in first
    assert "Staff (operator) sent a transaction that names two profiles" in first
    assert "50% Data came in that names both of them." in second
    assert url_of(response, "Review the likeliest") == page(duplicates.offered()[0])


def test_the_list_shows_what_is_offered_and_on_asking_what_was_decided(editor, a, b, c, d, by):
    pair(a, b), pair(a, c), pair(a, d)
    duplicates.dismiss_two(a.pk, b.pk, note="Twins.", by=by)
    merge(a, c, by=by)

    assert names(editor.get(LIST)) == ["Ada Dora"]
    (dismissed,) = rows(editor.get(f"{LIST}?status__exact=dismissed"))
    assert "not the same person operator" in dismissed
    assert "“Twins.”" in dismissed
    (merged,) = rows(editor.get(f"{LIST}?status__exact=merged"))
    assert "Ada" in merged and "Cleo" in merged


def test_the_list_is_filtered_by_evidence(editor, a, b, c, by):
    pair(a, b)
    duplicates.note([Found(a.pk, c.pk, {"riddle": {}})])

    assert len(rows(editor.get(LIST))) == 2
    assert names(editor.get(f"{LIST}?kind=conflict")) == ["Ada Bea"]
    assert len(rows(editor.get(f"{LIST}?kind=nonsense"))) == 2


def test_whatever_may_speak_for_a_pair_has_its_index_and_its_name_in_the_filter():
    assert set(KINDS) <= set(EVIDENCE)
    assert set(KINDS) <= set(EvidenceFilter.LABELS)


def test_how_many_belong_together_is_said(editor, a, b, c, d, by):
    e = person(5, "Eve", by)
    pair(a, b), pair(b, c)
    assert [row.count("group of three") for row in rows(editor.get(LIST))] == [1, 1]

    pair(c, d), pair(d, e)
    told = " ".join(rows(editor.get(LIST)))
    assert "group of five" in told or "or more" in told
    assert "group of three" not in told.replace("group of three or more", "")

    alone = person(6, "Fay", by)
    other = person(7, "Gil", by)
    lonely = pair(alone, other)
    (row,) = (row for row in rows(editor.get(LIST)) if "Fay" in row)
    assert "group" not in row
    assert lonely.status == "open"


def test_an_empty_queue_says_so(editor, db):
    assert "Nobody waits here" in read(editor.get(LIST))
    assert "No pair is like this." in read(editor.get(f"{LIST}?status__exact=merged"))


# A pair


def test_a_pair_is_reviewed_side_by_side_with_its_place_in_the_queue(editor, a, b, c, by):
    row = pair(a, b, 0.5)
    pair(a, c, 0.9) and pair(b, c, 0.9)
    for one in DuplicatePair.objects.exclude(pk=row.pk):
        duplicates.dismiss(one.pk, note="", by=by)
    pair(person(8, "Hal", by), person(9, "Ida", by), 0.7)

    text = read(editor.get(page(row)))

    assert "Number 2 of 2 in the queue." in text
    assert "Are these 2 profiles one person?" in text
    assert "Data came in that names both of them." in text
    assert "Letters work as keys" in text


def test_three_are_reviewed_as_one(editor, a, b, c):
    first = pair(a, b)
    pair(b, c)

    text = read(editor.get(page(first)))

    assert "Are these 3 profiles one person?" in text
    assert "A and B" in text and "B and C" in text
    assert "C is the same person" in text


def test_a_merge_from_the_queue_leads_to_the_next_pair(editor, a, b, c, d):
    row, following = pair(a, b, 0.9), pair(c, d, 0.8)
    asked = editor.get(f"{reverse('admin:profiles_profile_merge')}?{reviewed(editor, row)}&step=confirm")

    told = editor.post(asked.request["PATH_INFO"], typed_on(asked), follow=True)

    assert told.redirect_chain == [(page(following), 302)]
    assert "became part of" in read(told)
    assert f'href="{change_page(a)}"' in told.content.decode()
    assert Merge.objects.get().duplicate == b


def reviewed(client: Client, row: DuplicatePair) -> str:
    """What the form of the review sends."""
    response = client.get(page(row))
    html = response.content.decode().replace('<form id="review"', '<form id="review" method="post"')
    response.content = html.encode()
    typed = typed_on(response)
    return urlencode({name: value for name, value in typed.items() if name != "csrfmiddlewaretoken"}, doseq=True)


def test_of_a_group_those_who_are_left_out_stay_and_are_asked_about_again(editor, a, b, c, bo):
    row = pair(a, b, 0.9)
    left = pair(b, c, 0.8)
    url = f"{reverse('admin:profiles_profile_merge')}?{reviewed(editor, row)}".replace("with=C", "")

    told = editor.post(url, typed_on(editor.get(f"{url}&step=confirm")), follow=True)

    assert [one.duplicate for one in Merge.objects.all()] == [b]
    assert told.redirect_chain == [(page(left), 302)]
    assert "Are these 2 profiles one person?" in read(told)


def test_not_the_same_person_is_kept_with_a_note_and_the_next_pair_comes_up(editor, a, b, c, d, by):
    row, following = pair(a, b, 0.9), pair(c, d, 0.8)

    told = dismiss(editor, row, note="Twins, says the mother.")

    assert told.redirect_chain == [(page(following), 302)]
    assert "Noted: they are not the same person" in read(told)
    row.refresh_from_db()
    assert (row.status, row.note, row.by) == ("dismissed", "Twins, says the mother.", by.user)
    assert url_of(told, "See it, or take it back") == page(row)
    assert Audit.objects.filter(event="dismissed", by=by.user).count() == 1


def test_of_a_group_it_is_said_of_chosen_pairs(editor, a, b, c, bo):
    rows_ = [pair(a, b, 0.9), pair(b, c, 0.8), pair(a, c, 0.7)]
    query = f"ids={a.pk},{b.pk},{c.pk}&with=A&with=B&with=C"
    asked = read(editor.get(f"{page(rows_[0], 'dismiss')}?{query}"))
    assert "A Ada" in asked and "C Cleo" in asked and "Which of them?" in asked

    told = dismiss(editor, rows_[0], query, pairs=[str(rows_[1].pk), str(rows_[2].pk)])

    assert "Noted for 2 pairs" in read(told)
    statuses = [DuplicatePair.objects.get(pk=one.pk).status for one in rows_]
    assert statuses == ["open", "dismissed", "dismissed"]
    # The pair that is left comes up again, without the third.
    assert told.redirect_chain == [(page(rows_[0]), 302)]
    assert "Are these 2 profiles one person?" in read(told)


def test_only_pairs_of_those_that_belong_are_asked_about(editor, a, b, c):
    first, second = pair(a, b), pair(b, c)

    asked = editor.get(f"{page(first, 'dismiss')}?ids={a.pk},{b.pk},{c.pk}&with=B&with=C")

    text = read(asked)
    assert "B Bea" in text and "C Cleo" in text and "A Ada" not in text
    editor.post(f"{page(first, 'dismiss')}?ids={a.pk},{b.pk},{c.pk}&with=B&with=C", typed_on(asked))
    assert DuplicatePair.objects.get(pk=first.pk).status == "open"
    assert DuplicatePair.objects.get(pk=second.pk).status == "dismissed"


def test_a_choice_of_none_asks_again(editor, a, b, c, by):
    first, _second = pair(a, b), pair(b, c)
    query = f"ids={a.pk},{b.pk},{c.pk}"

    asked = dismiss(editor, first, query, pairs=None)

    assert "Choose one pair at least." in read(asked)
    other = pair(person(8, "Hal", by), a)
    refused = dismiss(editor, first, query, pairs=[str(other.pk)])
    assert "is not one of the available choices" in read(refused)
    assert not DuplicatePair.objects.filter(status="dismissed").exists()


def test_skipping_leads_past_the_whole_group_and_decides_nothing(editor, a, b, c, d, by):
    first, second = pair(a, b, 0.9), pair(b, c, 0.8)
    last = pair(d, person(8, "Hal", by), 0.7)

    for row in (first, second):
        assert editor.get(page(row, "skip")).headers["Location"] == page(last)
    end = editor.get(page(last, "skip"), follow=True)
    assert "That was the last pair of the queue." in read(end)
    assert set(DuplicatePair.objects.values_list("status", flat=True)) == {"open"}


def test_pairs_of_the_same_score_come_one_after_the_other(editor, by):
    pairs = [pair(person(2 * n, "Ada", by), person(2 * n + 1, "Bea", by), 0.9) for n in range(1, 5)]
    walked = [duplicates.offered()[0]]

    while (to := editor.get(page(walked[-1], "skip")).headers["Location"]) != LIST:
        walked.append(DuplicatePair.objects.get(pk=to.split("/")[-3]))

    assert [row.pk for row in walked] == [row.pk for row in reversed(pairs)]
    told = read(editor.get(page(walked[-1])))
    assert "Number 4 of 4 in the queue." in told


# What somebody else has decided


def test_a_dismissed_pair_says_who_decided_and_can_be_offered_again(editor, a, b, by):
    row = pair(a, b)
    duplicates.dismiss(row.pk, note="Twins.", by=by)

    response = editor.get(page(row))
    text = read(response)
    assert "This pair is not in the queue." in text
    assert "operator said that they are not the same person" in text
    assert "“Twins.”" in text
    url = url_of(response, "Offer it again…")
    assert url == page(row, "reopen")
    told = editor.post(url, typed_on(editor.get(url)), follow=True)

    assert "The pair is in the queue again." in read(told)
    row.refresh_from_db()
    assert (row.status, row.note) == ("open", "")
    assert "Nobody says of them now" in read(editor.get(url))


def test_a_merged_pair_leads_to_who_stayed_also_when_it_is_dismissed_late(editor, a, b, by):
    row = pair(a, b)
    asked = editor.get(page(row, "dismiss"))
    merge(a, b, by=by)

    seen = editor.get(page(row), follow=True)
    late = editor.post(page(row, "dismiss"), typed_on(asked), follow=True)

    assert seen.redirect_chain == [(change_page(a), 302)]
    assert "already: operator merged them" in read(seen)
    assert late.status_code == 200
    row.refresh_from_db()
    assert row.status == "merged"


def test_a_second_dismissal_says_that_it_was_decided(editor, a, b):
    row = pair(a, b)
    asked = editor.get(page(row, "dismiss"))
    editor.post(page(row, "dismiss"), typed_on(asked))

    again = editor.post(page(row, "dismiss"), typed_on(asked), follow=True)

    assert "Somebody has decided on these meanwhile." in read(again)
    assert Audit.objects.filter(event="dismissed").count() == 1


def test_what_is_undone_is_dismissed_and_says_so(editor, a, b, by):
    row = pair(a, b)
    (one,) = merge(a, b, by=by)
    undo(one, by=by)

    text = read(editor.get(page(row)))

    assert "operator said that they are not the same person" in text


def test_a_pair_with_a_deleted_profile_is_told_and_can_be_dismissed(editor, a, b, by):
    row = pair(a, b)
    releasing.delete(b.pk, by=by)

    text = read(editor.get(page(row)))
    assert "This pair is not in the queue." in text
    assert "is deleted. Undelete it on its page" in text
    dismiss(editor, row)

    row.refresh_from_db()
    assert row.status == "dismissed"


# Of one profile


def test_a_profile_leads_to_its_possible_duplicates_and_to_a_search(editor, a, b, c, bo, by):
    row = pair(a, b)
    update(c, last_name="Lane", by=by)

    profile = editor.get(change_page(a))
    response = editor.get(url_of(profile, "Find duplicates"))

    text = read(response)
    assert "Who else may be Ada?" in text
    assert "Bea" in text and "Data came in that names both of them." in text
    assert url_of(response, "Review the two") == page(row)
    found = editor.get(url_of(profile, "Find duplicates"), {"q": "cleo"})
    assert f"ids={a.pk}%2C{c.pk}" in url_of(found, "Side by side")
    assert "Nobody else is known by this." in read(
        editor.get(url_of(profile, "Find duplicates"), {"q": "loyalty-nobody"})
    )


def test_who_may_only_look_searches_nobody(a, b):
    row = pair(a, b)
    reader = member("Reader")

    url = reverse("admin:profiles_profile_duplicates", args=[a.pk])
    assert "Somebody else" not in read(reader.get(url, {"q": "bea"}))
    text = reader.get(page(row)).content.decode()
    assert 'type="radio"' not in text
    assert "Merge…" not in text and "Not the same person…" not in text and "Skip" in text
    assert "If they are merged," in read(reader.get(page(row)))


def test_deciding_takes_its_permission(a, b):
    row = pair(a, b)
    merger = holding("profiles.view_duplicatepair", "profiles.view_profile", "profiles.merge_profile")

    text = read(merger.get(page(row)))

    assert "Merge…" in text and "Not the same person…" not in text
    assert merger.get(page(row, "dismiss")).status_code == 403
    assert merger.get(page(row, "reopen")).status_code == 403


def test_who_may_decide_and_not_see_profiles_is_led_back_to_the_list(a, b, c, d):
    row, _following = pair(a, b, 0.9), pair(c, d, 0.8)
    decider = holding("profiles.change_duplicatepair")

    told = dismiss(decider, row)

    assert told.redirect_chain == [(LIST, 302)]
    assert "Noted: they are not the same person" in read(told)
    assert decider.get(page(row)).status_code == 403


# The start page


def test_the_start_page_leads_to_the_queue_and_to_the_likeliest(editor, a, b, c, d, by):
    row = pair(a, b, 0.95)
    pair(c, d, 0.5)

    start = editor.get("/admin/")

    assert "2 pairs of profiles may be one person." in read(start)
    assert url_of(start, "2 pairs of profiles may be one person.") == LIST
    assert url_of(start, "2 Possible duplicates") == LIST
    assert url_of(start, "Begin with the likeliest: Ada, Bea") == page(row)
    for one in DuplicatePair.objects.all():
        duplicates.dismiss(one.pk, note="", by=by)
    calm = editor.get("/admin/")
    assert "0 Possible duplicates" in read(calm)
    assert not [text for text, _url in links(calm) if "likeliest" in text]


def test_who_sees_only_duplicates_sees_their_figure(a, b):
    pair(a, b)

    assert "1 Possible duplicates" in read(holding("profiles.view_duplicatepair").get("/admin/"))
    assert "Possible duplicates" not in read(holding("profiles.view_profile").get("/admin/"))


@pytest.mark.parametrize("number", [2, 20])
def test_a_group_costs_the_same_for_two_and_for_twenty(editor, by, django_assert_num_queries, number):
    profiles = [person(n, f"Ada {n}", by) for n in range(1, number + 1)]
    duplicates.note([Found(profiles[0].pk, other.pk, SEEN) for other in profiles[1:]])
    row = duplicates.offered()[0]
    routing.route([], fields={}, contact={}, by=by, source=None)

    # One more for each step away from the pair.
    with django_assert_num_queries(26 if number > 2 else 25):
        editor.get(page(row))
