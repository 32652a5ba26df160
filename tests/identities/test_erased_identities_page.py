"""The list of erased identities, the look-up of one, and letting it in again."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse

from identities import renaming
from identities.models import ErasedPair, Handle
from profiles import erasing
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import known
from tests.profiles.test_erasing import left
from tests.staff import holding, member, read, rows, submit, url_of

LIST = reverse("admin:identities_erasedpair_changelist")
FIND = reverse("admin:identities_erasedpair_find")


@pytest.fixture
def keeper(db: None) -> Client:
    return member("Admin")


@pytest.fixture
def erased(by: By) -> None:
    """A profile that was known by a card, a till number, an e-mail address and a phone number, and is gone."""
    profile = known("loyalty-card:5559876", "pos:7", by=by, email="ada@example.com", mobile_phone="+61404123123")
    erasing.purge(profile.pk, by=by)


def find(client: Client, handle: str, identifier: str) -> Any:
    return submit(client, FIND, handle=handle, identifier=identifier)


def of(handle: str) -> ErasedPair:
    return ErasedPair.objects.get(handle=handle)


def test_the_list_says_of_which_handles_and_when_and_nothing_else(keeper: Client, erased: None) -> None:
    told = keeper.get(LIST)

    assert [row.split()[0] for row in rows(told)] == ["pos", "mobile_phone", "loyalty-card", "email"]
    assert of("pos").digest not in told.content.decode()
    assert [row.split()[0] for row in rows(keeper.get(LIST, {"handle": "pos"}))] == ["pos"]
    assert "No identity of this handle is kept out." in read(keeper.get(LIST, {"handle": "apns"}))
    shown = keeper.get(reverse("admin:identities_erasedpair_change", args=[of("pos").pk]))
    assert "Of the identifier only a digest is kept" in read(shown)
    assert of("pos").digest not in shown.content.decode()


def test_an_empty_list_says_so(keeper: Client) -> None:
    assert "No identity is kept out: no profile was erased" in read(keeper.get(LIST))


def test_the_list_is_not_searched_for_a_digest(keeper: Client, erased: None) -> None:
    assert keeper.get(LIST, {"digest": of("pos").digest}).status_code == 400


@pytest.mark.parametrize(
    ("handle", "identifier", "is_out"),
    [
        ("loyalty-card", "5559876", True),
        ("loyalty-card", " 5559876 ", True),
        ("email", "ADA@Example.com", True),
        ("mobile_phone", "0404 123 123", True),
        ("loyalty-card", "5559875", False),
        ("pos", "5559876", False),
    ],
)
def test_one_is_found_however_it_is_written(
    keeper: Client, erased: None, handle: str, identifier: str, is_out: bool
) -> None:
    answer = read(find(keeper, handle, identifier))

    assert ("whoever sends it is refused" in answer) == is_out
    assert ("It was not erased, or has been let in again" in answer) == (not is_out)


@pytest.mark.parametrize(
    ("handle", "identifier", "fault"),
    [
        ("never-seen", "1", "There is no handle of this name in the catalogue."),
        ("Loyalty_Card", "1", "did you mean loyalty-card?"),
        ("mobile_phone", "abc", "This is not a phone number."),
        ("loyalty-card", "", "This field is required."),
        ("loyalty-card", "a\u200bb", "invisible"),
    ],
)
def test_what_cannot_be_looked_up_is_a_fault_of_the_form(
    keeper: Client, erased: None, handle: str, identifier: str, fault: str
) -> None:
    answer = read(find(keeper, handle, identifier))

    assert fault in answer
    assert "kept out" not in answer.split("kept nowhere")[0].split("Is an identity kept out?")[-1]


def test_a_handle_is_found_by_its_former_name(keeper: Client, erased: None, by: By) -> None:
    renaming.rename(Handle.objects.get(pk="pos"), to="till-number", reason="", by=by)

    assert "whoever sends it is refused" in read(find(keeper, "pos", "7"))
    assert len(rows(keeper.get(LIST, {"handle": "pos"}))) == 1


def test_one_is_let_in_again_when_that_is_asked_and_answered(
    keeper: Client, erased: None, bo: Profile, by: By
) -> None:
    with pytest.raises(Refused, match="erased"):
        known("loyalty-card:5559876", by=by)
    url = url_of(find(keeper, "loyalty-card", "5559876"), "Let it in again")

    asked = read(keeper.get(url))

    assert "Let this identity of Loyalty card in again?" in asked
    assert ErasedPair.objects.count() == 4, "A page that is looked at changes nothing."
    told = keeper.post(url, follow=True)
    assert told.redirect_chain[-1][0] == FIND
    assert "An identity of Loyalty card is let in again." in read(told)
    assert known("loyalty-card:5559876", by=by)
    assert (ErasedPair.objects.count(), Audit.objects.get(event="deleted").old_values) == (
        3,
        {"handle": "loyalty-card"},
    )
    assert "let an erased identity of loyalty-card in again" in read(keeper.get("/admin/"))
    assert keeper.post(url).status_code == 404


def test_nothing_that_was_typed_is_stored(keeper: Client, erased: None) -> None:
    url = url_of(find(keeper, "loyalty-card", "5559876"), "Let it in again")
    find(keeper, "loyalty-card", "5550001")
    keeper.post(url, follow=True)

    assert "5559876" not in url
    assert left("5559876", "5550001") == []
    assert all("5559876" not in str(session.get_decoded()) for session in Session.objects.all())


def test_of_a_sensitive_handle_nothing_is_shown(keeper: Client, erased: None) -> None:
    Handle.objects.filter(pk="loyalty-card").update(sensitive=True)

    answer = find(keeper, "loyalty-card", "5559876")

    assert "whoever sends it is refused" in read(answer)
    assert "5559876" not in answer.content.decode()
    assert "9876" not in read(answer)


def test_of_another_handle_the_identifier_is_shown_as_it_was_looked_up(keeper: Client, erased: None) -> None:
    assert "+61404123123" in read(find(keeper, "mobile_phone", "0404 123 123"))


@pytest.mark.parametrize("group", ["Reader", "Editor"])
def test_who_reads_may_look_and_let_nothing_in(group: str, erased: None) -> None:
    client = member(group)

    answer = find(client, "loyalty-card", "5559876")

    assert "whoever sends it is refused" in read(answer)
    assert "Let it in again" not in read(answer)
    assert client.post(reverse("admin:identities_erasedpair_let_in", args=[of("pos").pk])).status_code == 403
    assert ErasedPair.objects.count() == 4


def test_who_may_only_let_in_is_led_to_a_page_that_they_may_see(erased: None) -> None:
    client = holding("identities.delete_erasedpair")

    told = client.post(reverse("admin:identities_erasedpair_let_in", args=[of("pos").pk]), follow=True)

    assert told.redirect_chain[-1][0] == "/admin/"
    assert not ErasedPair.objects.filter(handle="pos").exists()
    assert client.get(FIND).status_code == 403
