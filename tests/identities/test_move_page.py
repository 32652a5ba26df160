"""Moving an identity from the admin: search, preview, reason, and the way back."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from identities import releasing
from identities.models import Handle, Identity
from profiles.auditing import By
from profiles.models import Audit, Move, Profile
from tests.cast import add, pairs_of, route, update
from tests.staff import holding, member, read, signed_in, user_of


@pytest.fixture
def editor(by: By) -> Client:
    return signed_in(by.user)


@pytest.fixture
def card(ada, by) -> Identity:
    return add(ada, "loyalty-card:1804974", by=by)


def page(identity: Identity, to: Profile | str | None = None) -> str:
    url = reverse("admin:identities_identity_move", args=[identity.pk])
    return f"{url}?to={to.pk if isinstance(to, Profile) else to}" if to else url


def test_an_identity_is_moved_by_search_preview_and_reason(editor, card, ada, ada_again, bo):
    found = editor.get(page(card), {"q": "king"})
    assert page(card, ada_again) in found.content.decode()
    asked = read(editor.get(page(card, ada_again)))
    assert "From: Ada Lovelace" in asked
    assert "To: Augusta Ada King" in asked
    assert pairs_of(ada) == ["loyalty-card:1804974"]

    told = editor.post(page(card, ada_again), {"reason": "The same person, told on the phone."}, follow=True)

    assert "Moved Loyalty card 1804974 to Augusta Ada King." in read(told)
    assert pairs_of(ada_again) == ["loyalty-card:1804974"]
    move = Move.objects.get()
    assert (move.from_profile, move.to_profile, move.by) == (ada, ada_again, user_of(editor))
    assert move.reason == "The same person, told on the phone."
    assert Audit.objects.get(event="moved").by == user_of(editor)


def test_the_message_offers_the_way_back(editor, card, ada, ada_again):
    told = editor.post(page(card, ada_again), {"reason": "A mistake."}, follow=True).content.decode()
    back = re.search(r'<a href="([^"]+)">Take it back</a>', told)
    assert back and back.group(1) == page(card, ada)

    assert "This takes back its last move." in read(editor.get(back.group(1)))
    editor.post(back.group(1), {"reason": "Taken back."})

    assert pairs_of(ada) == ["loyalty-card:1804974"]
    assert all(move.undone_at for move in Move.objects.all())
    told_later = read(editor.get(reverse("admin:profiles_profile_change", args=[ada.pk])))
    assert told_later.count("was taken back") == 1
    assert told_later.count("takes the earlier move back") == 1


def test_the_way_back_stands_on_the_profiles_until_it_is_taken(editor, card, ada, ada_again, bo, by):
    pages = [reverse("admin:profiles_profile_change", args=[profile.pk]) for profile in (ada, ada_again)]
    editor.post(page(card, ada_again), {"reason": "A mistake."})
    offered = [page(card, ada) in editor.get(url).content.decode() for url in pages]

    editor.post(page(card, ada), {"reason": "Taken back."})
    offered_then = [page(card, ada) in editor.get(url).content.decode() for url in pages]

    assert (offered, offered_then) == ([True, True], [False, False])
    assert page(card) not in member("Reader").get(pages[0]).content.decode()


def test_namesakes_are_told_apart_by_what_they_are_known_by(editor, card, by, bo):
    twins = [route(f"pos:{number}", by=by, first_name="Cy", last_name="Twin").profile for number in (1, 2)]

    found = read(editor.get(page(card), {"q": "cy twin"}))
    asked = read(editor.get(page(card, twins[1])))

    assert "Till 1" in found
    assert "Till 2" in found
    assert "Till 2" in asked
    assert str(twins[1].pk) in asked


def test_the_preview_tells_what_else_changes(editor, ada, bo, ada_again, by):
    update(ada, email="ada@example.com", by=by)
    update(ada, email="", by=by)
    update(ada, email="ada@work.example", by=by)
    shown = ada.identities.get(handle="email")
    pos = add(ada, "pos:7", by=by)
    editor.post(reverse("admin:identities_identity_mark", args=[pos.pk]), {"mark": "primary"})

    contact = read(editor.get(page(shown, ada_again)))
    primary = read(editor.get(page(pos, ada_again)))

    assert "will show no such contact any more" in contact
    assert "The other profile has none yet, and will show it." in contact
    assert "It is the primary identity now" in primary
    assert "no such contact" not in primary


def test_what_the_profiles_show_since_is_told(editor, ada, ada_again, by):
    update(ada, email="ada@example.com", by=by)

    told = read(editor.post(page(ada.identities.get(), ada_again), {"reason": "Hers."}, follow=True))

    assert "Ada Lovelace shows no e-mail now." in told
    assert "Augusta Ada King shows ada@example.com now." in told


def test_a_reserved_identity_can_be_moved_since_its_pair_stays(editor, ada, ada_again, by, klaviyo):
    reserved = add(ada, "klaviyo:01HXK3V7Q2M5Z8", by=by, source=klaviyo)

    assert "only klaviyo can change the identifier" in read(editor.get(page(reserved, ada_again)))
    editor.post(page(reserved, ada_again), {"reason": "Same."})

    reserved.refresh_from_db()
    assert reserved.profile == ada_again


@pytest.mark.parametrize("to", ["nonsense", "00000000-0000-0000-0000-000000000000", "\0", "' OR 1=1"])
def test_a_move_to_nowhere_asks_for_a_profile_again(editor, card, to):
    for response in (editor.get(page(card), {"to": to}), editor.post(page(card) + f"?to={to}", {"reason": "x"})):
        assert "There is no profile with this id." in read(response)
    assert not Move.objects.exists()


def test_a_move_without_a_reason_is_asked_again(editor, card, ada, ada_again):
    assert "This field is required." in read(editor.post(page(card, ada_again), {"reason": " "}))
    assert pairs_of(ada) == ["loyalty-card:1804974"]


@pytest.mark.parametrize("why", ["deleted", "same", "limit"])
def test_a_move_that_cannot_be_says_why_and_writes_nothing(editor, card, ada, ada_again, by, why):
    to = ada_again
    if why == "deleted":
        releasing.delete(to.pk, by=by)
        sentence = "undelete it before you move anything to it"
    elif why == "same":
        to, sentence = ada, "This profile has it already."
    else:
        Handle.objects.filter(pk="loyalty-card").update(single_valued=True)
        add(to, "loyalty-card:2", by=by)
        sentence = "cannot have more identities of the handle loyalty-card"

    for response in (editor.get(page(card, to)), editor.post(page(card, to), {"reason": "x"})):
        assert sentence in read(response)
        assert "Yes, move it" not in read(response)
    assert not Move.objects.exists()


def test_the_search_offers_neither_the_owner_nor_a_deleted_profile(editor, card, ada, ada_again, by):
    releasing.delete(ada_again.pk, by=by)

    content = "".join(editor.get(page(card), {"q": name}).content.decode() for name in ("lovelace", "king"))

    assert "has it now" in content
    assert '<span class="badge muted">deleted</span>' in content
    assert "Move it here" not in content


def test_a_second_click_changes_nothing(editor, card, ada_again):
    for _click in range(2):
        editor.post(page(card, ada_again), {"reason": "Twice."})

    assert Move.objects.count() == 1


def test_a_reader_moves_nothing_by_a_hand_made_post(card, ada, ada_again):
    reader = member("Reader")

    assert reader.get(page(card, ada_again)).status_code == 403
    assert reader.post(page(card, ada_again), {"reason": "x"}).status_code == 403
    assert pairs_of(ada) == ["loyalty-card:1804974"]


def test_who_may_not_see_profiles_is_told_names_and_no_more(ada, card, ada_again, by):
    update(ada, email="ada@example.com", by=by)
    add(ada_again, "pos:77", by=by)
    mover = holding("identities.view_identity", "identities.change_identity")

    asked = read(mover.get(page(card, ada_again)))
    searched = read(mover.get(page(card), {"q": "king"}))

    assert "To: Augusta Ada King" in asked
    for text in (asked, searched):
        assert "ada@example.com" not in text
        assert "Till 77" not in text
