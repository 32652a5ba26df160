"""The page on which profiles stand side by side, are chosen from, and merged."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.test import Client
from django.urls import reverse

from identities import attributing, releasing, routing
from identities.attributing import Named
from identities.models import Handle, Identity
from profiles.auditing import By
from profiles.models import DuplicatePair, Merge, Profile, Transaction
from tests.cast import add, assert_sound, came, known, merge, pairs_of, records_of, update, value_of
from tests.racing import at_once
from tests.staff import holding, member, read, signed_in, typed_on, url_of

PROFILES = "/admin/profiles/profile/"


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def a(by: By) -> Profile:
    """Of all, the earlier-created."""
    return known("loyalty-card:1", by=by, first_name="Ada", last_name="Lovelace", email="ada@example.com")


@pytest.fixture
def b(a: Profile, by: By) -> Profile:
    return known("loyalty-card:2", by=by, first_name="Augusta", last_name="Lovelace", company="Engines")


def page(*profiles: Profile, **chosen: Any) -> str:
    chosen = {name.replace("__", "-"): value for name, value in chosen.items()}
    query = "".join(f"&{name}={value}" for name, value in chosen.items())
    return f"{reverse('admin:profiles_profile_merge')}?ids={','.join(str(one.pk) for one in profiles)}{query}"


def confirm(*profiles: Profile, **chosen: Any) -> str:
    return page(*profiles, step="confirm", **chosen)


def change_page(profile: Profile) -> str:
    return reverse("admin:profiles_profile_change", args=[profile.pk])


def say_yes(client: Client, url: str, **changed: Any) -> Any:
    """Confirm what this address asks, and follow."""
    return client.post(url, typed_on(client.get(url), **changed), follow=True)


def row(response: Any, label: str) -> str:
    """A row of the table, as somebody reads it, with a star before what is chosen."""
    html = response.content.decode()
    for found in re.findall(r"<tr.*?</tr>", html, flags=re.DOTALL):
        marked = re.sub(r"<input[^>]*checked[^>]*>", " * ", found)
        marked = re.sub(r'<span class="(visually-hidden|stands[^"]*)">.*?</span>', " ", marked, flags=re.DOTALL)
        text = " ".join(re.sub(r"<[^>]+>", " ", marked).split())
        if text.startswith(label):
            return text
    raise AssertionError(f"There is no row {label}.")


# Looking


def test_two_profiles_stand_side_by_side_with_what_differs_and_what_will_stand(editor, a, b, bo, by):
    came(Transaction, "loyalty-card:2", by=by)

    response = editor.get(page(b, a))

    text = read(response)
    tail = [str(one.pk)[-8:] for one in (a, b)]
    assert f"B Augusta Lovelace (…{tail[1]}) will become part of A Ada Lovelace (…{tail[0]}); A stays." in _tight(text)
    assert row(response, "First name") == "First name differs * Ada Augusta"
    assert row(response, "Last name") == "Last name the same Lovelace Lovelace"
    assert row(response, "E-mail") == "E-mail not all have it * ada@example.com nothing"
    assert row(response, "Company") == "Company not all have it nothing * Engines"
    assert "Loyalty card 1 E-mail ada@example.com Loyalty card 2" in text
    assert row(response, "What moves to A") == "What moves to A stays 1 identity, 1 transaction"
    assert not Merge.objects.exists()


def _tight(text: str) -> str:
    return text.replace("( ", "(").replace(" )", ")").replace(" ;", ";")


def test_who_stays_can_be_changed_and_the_rules_are_applied_anew(editor, a, b):
    response = editor.get(page(a, b, stays="B"))

    assert "; B stays." in _tight(read(response))
    assert row(response, "First name") == "First name differs Ada * Augusta"
    assert row(response, "E-mail") == "E-mail not all have it * ada@example.com nothing"


def test_a_choice_is_kept_when_another_one_stays(editor, a, b):
    first = editor.get(page(a, b, field__first_name="B"))
    assert row(first, "First name") == "First name differs Ada * Augusta"

    # What B has stands by the rules now, and is no choice any more: the other one is.
    second = editor.get(page(a, b, field__first_name="A", stays="B"))
    assert row(second, "First name") == "First name differs * Ada Augusta"
    asked = parse_qs(
        urlsplit(url_of(editor.get(confirm(a, b, field__first_name="B", stays="B")), "Side by side")).query
    )
    assert "field-first_name" not in asked


def test_what_is_no_choice_is_left_out(editor, a, b):
    response = editor.get(
        page(a, b, field__first_name="Q", field__nonsense="A", handle__nonsense="B", stays="Z", pair="x")
    )

    assert "; A stays." in _tight(read(response))
    assert row(response, "First name") == "First name differs * Ada Augusta"


def test_attributes_birth_dates_and_primary_identities_are_told_as_people_read_them(editor, a, b, by):
    update(a, birth_year=1815, birth_month=12, birth_day=10, attributes={"comms": {"email": True}}, by=by)
    attributing.put(b.pk, Named("size", "shoe", 38), by=by, source=None)
    routing.change(Identity.objects.get(identifier="2").pk, is_primary=True, by=by, source=None)

    response = editor.get(page(a, b))

    assert row(response, "Birth date") == "Birth date not all have it * Dec. 10, 1815 nothing"
    assert row(response, "Attributes: comms") == "Attributes: comms not all have it * email: yes nothing"
    assert row(response, "size:shoe") == "size:shoe not all have it nothing * 38"
    assert row(response, "Primary identity") == "Primary identity not all have it nothing * Loyalty card 2"


def test_sensitive_identifiers_are_masked_and_who_may_see_no_identity_sees_none(a, b, editor, by):
    add(a, "apns:740f4707bebcf74f9b7c25d4", by=by)

    assert "•••25d4" in read(editor.get(page(a, b)))
    assert "740f4707" not in editor.get(page(a, b)).content.decode()
    Handle.objects.filter(pk="loyalty-card").update(single_valued=True)
    for one, card in ((a, "7770001"), (b, "7770002")):
        row_ = one.identities.get(handle="loyalty-card")
        routing.change(row_.pk, identifier=card, is_primary=True, by=by, source=None)
    assert "7770001" in editor.get(page(a, b)).content.decode()
    blind = holding("profiles.merge_profile", "profiles.view_profile")
    for url in (page(a, b), confirm(a, b, **{"handle-loyalty-card": "B"})):
        assert "777000" not in blind.get(url).content.decode()


def test_the_value_of_one_who_was_merged_into_a_duplicate_is_offered_too(editor, by):
    survivor = known("loyalty-card:1", by=by)
    early = known("loyalty-card:2", by=by, gender="of the early one")
    late = known("loyalty-card:3", by=by, gender="of the late one", first_name="Late")
    merge(late, early, by=by)

    response = editor.get(page(survivor, late))

    # The earlier-created has the word, though it is part of the later one, which shows its own.
    assert "* of the early one" in row(response, "Gender")
    assert "merged before" in row(response, "Gender")
    say_yes(editor, confirm(survivor, late))
    assert value_of(survivor, "gender") == "of the early one"


# Merging


def test_profiles_are_merged_after_a_confirmation_and_the_message_offers_the_way_back(editor, a, b, bo, by):
    sale = came(Transaction, "loyalty-card:2", by=by)

    asked = editor.get(confirm(a, b, field__first_name="B"))
    text = _tight(read(asked))
    assert "Merge 2 profiles?" in text
    assert "will become part of A Ada Lovelace" in text
    assert "To A moves: 1 identity, 1 transaction." in text
    assert "First name Augusta of B Ada of A" in text
    told = say_yes(editor, confirm(a, b, field__first_name="B"), reason="Told on the phone.")

    assert told.redirect_chain == [(change_page(a), 302)]
    done = _tight(read(told))
    assert "Augusta Lovelace" in done
    assert "became part of" in done
    assert "Moved: 1 identity, 1 transaction." in done
    one = Merge.objects.get()
    assert url_of(told, "Undo the merge") == reverse("admin:profiles_merge_undo", args=[one.pk])
    assert (one.survivor, one.duplicate, one.by, one.reason) == (a, b, by.user, "Told on the phone.")
    assert (value_of(a, "first_name"), value_of(a, "company")) == ("Augusta", "Engines")
    assert pairs_of(a) == ["email:ada@example.com", "loyalty-card:1", "loyalty-card:2"]
    assert records_of(a) == [sale]
    assert_sound()


def test_what_the_rules_choose_is_no_choice(editor, a, b):
    say_yes(editor, confirm(a, b, field__company="B"))

    assert not Merge.objects.get().fields["company"]["chosen"]


def test_a_field_can_be_left_empty(editor, a, b):
    say_yes(editor, confirm(a, b, field__company="A"))

    assert value_of(a, "company") == ""
    assert Merge.objects.get().fields["company"]["chosen"]


def test_many_are_merged_at_once_and_whoever_is_left_out_stays(editor, a, b, bo, by):
    c = known("loyalty-card:3", by=by, first_name="Cleo")
    d = known("loyalty-card:4", by=by, first_name="Dora")
    url = page(a, b, c, d, **{"with": "A&with=B&with=D"})

    response = editor.get(url)

    assert "Left out: these stay as they are C Cleo" in read(response)
    assert "What moves to A stays 1 identity 1 identity" in row(response, "What moves to A")
    told = say_yes(editor, f"{url}&step=confirm")
    assert read(told).count("Undo the merge of") == 2
    assert {one.duplicate for one in Merge.objects.all()} == {b, d}
    assert pairs_of(c) == ["loyalty-card:3"]


def test_one_alone_is_not_merged(editor, a, b, by):
    c = known("loyalty-card:3", by=by)

    response = editor.get(page(a, b, c, **{"with": "A"}))

    assert "Two at least must belong together" in read(response)
    assert "B Augusta Lovelace" in _tight(read(response))


def test_a_single_valued_handle_must_be_decided(editor, a, b):
    Handle.objects.filter(pk="loyalty-card").update(single_valued=True)

    undecided = editor.get(confirm(a, b))
    text = read(undecided)
    assert "Not yet: say first which identity stays active." in text
    assert "Merge 2 profiles?" not in text
    assert row(undecided, "Active Loyalty card").endswith("The others are kept, inactive. 1 2")
    # Not even by a page that somebody has made up.
    editor.post(page(a, b), {"ids": f"{a.pk},{b.pk}", "plan": "x"})
    assert not Merge.objects.exists()

    decided = editor.get(confirm(a, b, **{"handle-loyalty-card": "B"}))
    assert "Active Loyalty card 2 of B 1 of A becomes inactive" in read(decided)
    say_yes(editor, confirm(a, b, **{"handle-loyalty-card": "B"}))

    assert [Identity.objects.get(identifier=one).is_active for one in ("1", "2")] == [False, True]


# What is in the way


def test_locked_and_deleted_profiles_are_told_with_what_to_do(editor, a, b, by):
    c = known("loyalty-card:3", by=by, first_name="Cleo")
    Profile.objects.filter(pk=b.pk).update(locked=True)
    releasing.delete(c.pk, by=by)

    response = editor.get(page(a, b, c))

    text = _tight(read(response))
    assert "These cannot be merged as they are." in text
    assert "is locked. Unlock it on its page" in text
    assert "is deleted. Undelete it on its page, or leave it out." in text
    assert change_page(b) in response.content.decode()
    # They can still be compared, and the confirmation is not to be had.
    assert row(response, "First name") == "First name differs Ada Augusta Cleo"
    assert "Merge…" not in text
    assert "Merge 3 profiles?" not in read(editor.get(confirm(a, b, c)))


def test_a_lock_that_came_meanwhile_is_told_and_nothing_is_merged(editor, a, b):
    url = confirm(a, b)
    typed = typed_on(editor.get(url))
    Profile.objects.filter(pk=b.pk).update(locked=True)

    told = read(editor.post(url, typed, follow=True))

    assert "is locked" in told
    assert not Merge.objects.exists()


def test_a_merge_that_has_changed_is_shown_again_with_what_changed(editor, a, b, by):
    url = confirm(a, b, field__company="A")
    typed = typed_on(editor.get(url))
    update(b, first_name="Gussie", by=by)
    came(Transaction, "loyalty-card:2", by=by)

    told = editor.post(url, typed, follow=True)

    text = read(told)
    assert "Nothing was merged. This has changed since you looked:" in text
    assert "First name" in text.partition("since you looked:")[2].partition("Look at it")[0]
    assert "the number of transactions" in text
    assert not Merge.objects.exists()
    # What was chosen still is.
    assert row(told, "First name") == "First name differs * Ada Gussie"
    assert row(told, "Company") == "Company not all have it * nothing Engines"


def test_no_plan_and_a_made_up_plan_merge_nothing(editor, a, b):
    for plan in ("", "made up", "\0"):
        told = editor.post(page(a, b), {"ids": f"{a.pk},{b.pk}", "plan": plan}, follow=True)
        assert "Nothing was merged." in read(told)

    assert not Merge.objects.exists()


def test_a_reason_that_cannot_be_kept_asks_again(editor, a, b):
    url = confirm(a, b)

    told = editor.post(url, typed_on(editor.get(url), reason="x" * 1001))

    assert "at most 1000 characters" in read(told)
    assert not Merge.objects.exists()


# Coming second


def test_a_double_click_leads_to_the_finished_result(editor, a, b):
    url = confirm(a, b)
    typed = typed_on(editor.get(url))

    editor.post(url, typed)
    again = editor.post(url, typed, follow=True)

    assert again.redirect_chain[-1] == (change_page(a), 302)
    assert "is part of" in read(again)
    assert "already: operator merged them" in read(again)
    assert Merge.objects.count() == 1


def test_who_goes_back_finds_the_finished_result(editor, a, b):
    say_yes(editor, confirm(a, b))

    for url in (page(a, b), confirm(a, b)):
        back = editor.get(url, follow=True)
        assert back.redirect_chain == [(change_page(a), 302)]
        assert "already: operator merged them" in read(back)


def test_another_admin_who_asked_for_more_is_led_on_with_those_that_are_left(editor, a, b, by):
    c = known("loyalty-card:3", by=by, first_name="Cleo")
    url = confirm(a, b, c)
    typed = typed_on(editor.get(url))
    merge(b, c, by=by)

    told = editor.post(url, typed, follow=True)

    assert "is part of" in read(told)
    assert _tight(read(told)).count("will become part of") == 1
    assert set(parse_qs(urlsplit(told.redirect_chain[-1][0]).query)["ids"][0].split(",")) == {str(a.pk), str(b.pk)}
    assert Merge.objects.count() == 1


def test_the_opposite_merge_leads_to_whoever_stayed(editor, a, b, by):
    url = confirm(a, b)
    typed = typed_on(editor.get(url))
    merge(b, a, by=by)

    told = editor.post(url, typed, follow=True)

    assert told.redirect_chain[-1] == (change_page(b), 302)


def test_ids_that_are_none_or_gone_for_good_are_no_error(editor, a, b):
    ids = f"{reverse('admin:profiles_profile_merge')}?ids="
    for query in (
        "",
        "x,y",
        str(a.pk),
        f"{a.pk},{a.pk}",
        ",".join([f"01a21565-4413-7605-affe-{n:012x}" for n in range(102)]),
    ):
        assert "Choose two profiles at least, and 101 at most." in read(editor.get(ids + query, follow=True))
    gone = f"{a.pk},{b.pk},01a21565-4413-7605-affe-c1df3410659b"
    assert "1 of them is gone for good." in read(editor.get(ids + gone, follow=True))
    alone = f"{a.pk},01a21565-4413-7605-affe-c1df3410659b"
    assert editor.get(ids + alone, follow=True).redirect_chain == [(change_page(a), 302)]


@pytest.mark.django_db(transaction=True)
def test_two_admins_who_press_at_once_in_opposite_directions_both_see_the_finished_result(by):
    a = known("loyalty-card:1", by=by, first_name="Ada")
    b = known("loyalty-card:2", by=by, first_name="Augusta")
    admins = [signed_in(by.user), signed_in(by.user)]
    urls = [confirm(a, b), confirm(a, b, stays="B")]
    typed = [typed_on(admin.get(url)) for admin, url in zip(admins, urls, strict=True)]

    def press(number: int) -> Any:
        return admins[number].post(urls[number], typed[number], follow=True)

    met = at_once(lambda: press(0), lambda: press(1))

    one = Merge.objects.get()
    assert {told.redirect_chain[-1] for told in met} == {(change_page(one.survivor), 302)}
    said = [read(told) for told in met]
    assert sum("became part of" in text for text in said) == 1
    assert sum("already: operator merged them" in text for text in said) == 1
    assert_sound()


# Ways to it, and who may


def test_selected_profiles_are_led_to_the_page(editor, a, b, bo):
    selected = {"action": "merge_selected", "_selected_action": [str(b.pk), str(a.pk)]}

    response = editor.post(PROFILES, selected, follow=True)

    assert "Are these 2 profiles one person?" in read(response)
    assert not Merge.objects.exists()
    for keys in ([str(a.pk)], [str(one.pk) for one in Profile.objects.bulk_create(Profile() for _ in range(102))]):
        refused = editor.post(PROFILES, {**selected, "_selected_action": keys}, follow=True)
        assert "Choose two profiles at least, and 101 at most." in read(refused)


def test_who_may_not_merge_has_no_action_and_no_page(a, b):
    reader = member("Reader")

    assert "Merge selected profiles" not in reader.get(PROFILES).content.decode()
    assert reader.get(page(a, b)).status_code == 403
    assert reader.post(page(a, b), {"ids": f"{a.pk},{b.pk}"}).status_code == 403
    assert holding("profiles.merge_profile").get(page(a, b)).status_code == 403


@pytest.mark.parametrize("number", [2, 20])
def test_a_review_costs_the_same_for_two_and_for_twenty(editor, by, django_assert_num_queries, number):
    profiles = [known(f"loyalty-card:{n}", by=by, first_name=f"Ada {n}") for n in range(1, number + 1)]

    # Four for the session and the person, who they are today, ten for the preview, what speaks for it, and identities.
    with django_assert_num_queries(18):
        response = editor.get(page(*profiles))

    assert f"Are these {number} profiles one person?" in read(response)


def test_what_speaks_for_it_is_told_and_what_somebody_said_against_it(editor, a, b, by):
    routing.route([], fields={}, contact={}, by=by, source=None)
    came(Transaction, "loyalty-card:1", "loyalty-card:2", by=by)

    assert "that names two profiles" in read(editor.get(page(a, b)))
    pair = DuplicatePair.objects.get()
    editor.post(reverse("admin:profiles_duplicatepair_dismiss", args=[pair.pk]), {"pairs": pair.pk, "note": "Twins."})

    assert "operator said that they are not the same person" in read(editor.get(page(a, b)))
    assert "“Twins.”" in read(editor.get(page(a, b)))
