"""What was merged, on the pages of those whom it is about."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from identities import attributing, moving
from identities.attributing import Named
from identities.models import Identity
from profiles.auditing import By
from profiles.models import Merge, Profile, Transaction
from tests.cast import add, came, known, merge, pairs_of, undo
from tests.lineages import four
from tests.staff import links, member, read, rows, signed_in, url_of


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


def page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


def undo_url(merge: Merge) -> str:
    return reverse("admin:profiles_merge_undo", args=[merge.pk])


def tree(response: Any) -> list[tuple[int, str]]:
    """Each merge of the tree with how deep it stands."""
    content = response.content.decode()
    if 'id="merges"' not in content:
        return []
    section = content.split('id="merges"')[1].split("</section>")[0]
    found, depth = [], 0
    for part in re.findall(r'<ul class="tree">|</ul>|<bdi>.*?</bdi>', section):
        depth += {'<ul class="tree">': 1, "</ul>": -1}.get(part, 0)
        if part.startswith("<bdi>"):
            found.append((depth, re.sub("<.*?>", "", part)))
    return found


def test_a_chain_is_a_tree(editor, by, bo):
    cast = four(by)
    (deepest,) = merge(cast["C"], cast["D"], by=by, reason="Same number")
    merge(cast["B"], cast["C"], by=by)
    merge(cast["A"], cast["B"], by=by)

    response = editor.get(page(cast["A"]))

    assert tree(response) == [(1, "B"), (2, "C"), (3, "D")]
    assert "by operator: “Same number”" in read(response)
    assert undo_url(deepest) in {url for _text, url in links(response)}
    assert tree(editor.get(page(cast["B"]))) == [(1, "C"), (2, "D")]
    assert tree(editor.get(page(cast["D"]))) == []


def test_an_undone_merge_stays_as_history(editor, by, bo):
    cast = four(by)
    (one,) = merge(cast["A"], cast["B"], by=by, reason="Same card")
    undo(one, by=by)
    merge(cast["B"], cast["C"], by=by)

    response = editor.get(page(cast["A"]))

    assert tree(response) == [(1, "B")], "What was merged into it after it had left is not of this tree."
    assert "undone" in read(response)
    assert undo_url(one) not in {url for _text, url in links(response)}
    assert "not adopted" not in read(response), "Nothing of it is here to be adopted."


def test_what_was_not_adopted_stays_visible(editor, by, bo):
    ada = known("loyalty-card:1", by=by, first_name="Ada", company="Engines")
    again = known("loyalty-card:2", by=by, first_name="Augusta", company="Poets", gender="female")
    attributing.put(ada.pk, Named("size", "hat", "M"), by=by, source=None)
    attributing.put(again.pk, Named("size", "hat", "XL"), by=by, source=None)
    merge(ada, again, by=by)

    text = read(editor.get(page(ada)))

    assert "First name Augusta Ada" in text
    assert "Company Poets Engines" in text
    assert "size:hat XL M" in text
    assert "Gender female" not in text, "It was adopted."
    own = read(editor.get(page(again)))
    assert "Poets" in own and "XL" in own


def test_a_merged_profile_says_so_first(editor, by, bo):
    cast = four(by)
    came(Transaction, "loyalty-card:2", by=by, receipt_ref="R1")
    (one,) = merge(cast["B"], cast["C"], by=by, reason="Same number")
    merge(cast["A"], cast["B"], by=by)

    response = editor.get(page(cast["C"]))
    text = read(response)

    assert re.search(r"This profile was merged into B \( …\w+ \) on .*? by operator\.", text)
    assert re.search(r"B \( …\w+ \) has become part of A \( …\w+ \) since, who is this person today\.", text)
    assert "Reason: Same number" in text
    found = {url for _text, url in links(response)}
    assert {page(cast["A"]), page(cast["B"]), undo_url(one)} <= found
    assert reverse("admin:profiles_merge_change", args=[one.pk]) in found
    assert text.index("This profile was merged") < text.index("Profile id")


def test_a_merged_profile_offers_nothing_that_would_be_refused(editor, by, bo):
    cast = four(by)
    merge(cast["A"], cast["B"], by=by)

    response = editor.get(page(cast["B"]))
    content = response.content.decode()

    for name in ("delete", "split", "undelete"):
        assert reverse(f"admin:profiles_profile_{name}", args=[cast["B"].pk]) not in content
    assert 'name="_save"' not in content and 'name="identifier"' not in content
    # What it had is elsewhere; that it has none of it would mislead.
    for told in ("No system knows", "Nothing has come in", "Nothing was bought", "Balances"):
        assert told not in read(response)
    refused = read(editor.get(reverse("admin:profiles_profile_delete", args=[cast["B"].pk])))
    assert "This profile was merged into A" in refused


def test_only_who_may_is_shown_the_merges(by, bo):
    cast = four(by)
    (one,) = merge(cast["A"], cast["B"], by=by)

    reader = member("Reader").get(page(cast["A"]))

    assert tree(reader) == [(1, "B")]
    assert undo_url(one) not in reader.content.decode()


def test_many_merges_are_cut_and_lead_to_the_list(editor, by, bo, monkeypatch):
    monkeypatch.setattr("profiles.admin.merge_tree.MOST_NODES", 3)
    cast = four(by)
    more = known("loyalty-card:5", by=by, first_name="E")
    merge(cast["B"], cast["C"], by=by)
    merge(cast["A"], cast["B"], by=by)
    merge(cast["A"], cast["D"], by=by)

    assert tree(editor.get(page(cast["A"]))) == [(1, "D"), (1, "B"), (2, "C")]

    merge(cast["A"], more, by=by)
    response = editor.get(page(cast["A"]))

    assert tree(response) == [(1, "E"), (1, "D"), (1, "B")]
    rest = url_of(response, "and 1 more")
    assert len(rows(editor.get(rest))) == 1
    assert str(cast["B"].pk) in rest


def test_the_page_costs_the_same_for_one_merge_and_for_fifty(editor, by, bo, django_assert_num_queries):
    ada = known("loyalty-card:1", by=by)
    add(ada, "pos:1", by=by)
    costs = []
    for number in (1, 49):
        duplicates = [known(f"pos:{number}-{one}", by=by, first_name="Again") for one in range(number)]
        merge(ada, *duplicates, by=by)
        with django_assert_num_queries(23) as captured:
            editor.get(page(ada))
        costs.append(len(captured))
    assert len(set(costs)) == 1


# Pages that look profiles up


def test_the_search_says_whom_a_merged_profile_is_part_of(by, bo):
    cast = four(by)
    merge(cast["B"], cast["C"], by=by)
    merge(cast["A"], cast["B"], by=by)
    Profile.objects.filter(pk__in=[cast["C"].pk, cast["A"].pk]).update(last_name="Smith", last_name_fold="smith")
    reader = member("Reader")

    by_id = read(reader.get("/admin/search/", {"q": str(cast["C"].pk)}, follow=True))
    by_name = reader.get("/admin/search/", {"q": "smith"})

    assert "This profile was merged into B" in by_id
    assert "C Smith merged part of A Smith" in read(by_name)


def test_a_move_to_a_merged_profile_leads_to_its_survivor(editor, by, bo):
    cast = four(by)
    merge(cast["B"], cast["C"], by=by)
    merge(cast["A"], cast["B"], by=by)
    row = Identity.objects.get(handle="loyalty-card", identifier="4")
    move = reverse("admin:identities_identity_move", args=[row.pk])

    asked = editor.get(move, {"to": str(cast["C"].pk)})

    assert "C was merged into A. Move it there" in read(asked)
    there = move + url_of(asked, "Move it there")
    assert "Move Loyalty card 4?" in read(editor.get(there))
    found = editor.get(move, {"q": str(cast["C"].pk)})
    assert "merged into A Move it to A" in read(found)
    editor.post(there, {"reason": "Hers"})
    assert "loyalty-card:4" in pairs_of(cast["A"])


def test_the_way_back_of_a_move_leads_to_the_survivor_of_its_former_profile(editor, by, bo):
    cast = four(by)
    row = Identity.objects.get(handle="loyalty-card", identifier="2")
    moving.move(row.pk, to=cast["D"].pk, reason="", by=by)
    merge(cast["A"], cast["B"], by=by)

    back = url_of(editor.get(page(cast["D"])), "Take it back")

    assert "B was merged into A. Move it there" in read(editor.get(back))


def test_an_identity_for_a_merged_profile_is_asked_about_first(editor, by, bo):
    cast = four(by)
    merge(cast["A"], cast["B"], by=by)
    url = reverse("admin:identities_identity_add")
    data = {"profile": str(cast["B"].pk), "handle": "pos", "identifier": "77", "is_active": "on"}

    asked = editor.post(url, data)

    assert "B was merged into A , who will have the identity." in read(asked)
    assert not Identity.objects.filter(handle="pos").exists()
    editor.post(url, {**data, "_sure": "yes"})
    assert "pos:77" in pairs_of(cast["A"])


def test_a_record_that_was_sent_for_a_merged_profile_says_whose_it_is(editor, by, bo):
    cast = four(by)
    merge(cast["A"], cast["B"], by=by)
    sale = came(Transaction, "pos:9", named=cast["B"].pk, by=by)

    text = read(editor.get(reverse("admin:profiles_transaction_change", args=[sale.pk])))

    assert f"B {cast['B'].pk} , merged into A" in text


def test_the_list_of_profiles_marks_merged_ones(editor, by, bo):
    cast = four(by)
    merge(cast["A"], cast["B"], by=by)

    shown = rows(editor.get("/admin/profiles/profile/"))

    assert [row for row in shown if row.startswith("B ") and "merged" in row]
    assert [row for row in shown if row.startswith("A ") and "active" in row]


def test_the_audit_is_told_in_sentences(by, bo):
    cast = four(by)
    (one,) = merge(cast["A"], cast["B"], by=by)
    undo(one, by=by)

    text = read(member("Admin").get("/admin/"))

    for told in ("merged others into the profile A", "made the profile B part of another"):
        assert told in text
    for told in ("undid a merge into the profile A", "made B a profile of its own again"):
        assert told in text
