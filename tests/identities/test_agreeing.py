"""An undocumented handle is agreed to in one step; one that is over is retired, and comes back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from identities import lookup
from identities.models import Extension, Handle
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import add, route
from tests.staff import filled, holding, member, read, submit, user_of

pytestmark = pytest.mark.django_db


def page(name: str, of: str) -> str:
    return reverse(f"admin:identities_handle_{name}", args=[of])


@pytest.fixture
def keeper() -> Client:
    return member("Admin")


@pytest.fixture
def pos2(ada: Profile, shopify: Extension, by: By) -> Handle:
    add(ada, "pos2:9000", by=By(shopify.service_account), source=shopify)
    return Handle.objects.get(pk="pos2")


def test_one_step_says_what_it_is_and_who_owns_it(
    keeper: Client, pos2: Handle, ada: Profile, shopify: Extension, by: By
) -> None:
    typed = {
        "label": "Old till",
        "description": "Of the tills before 2020.",
        "example": "9000",
        "reserved_for": "shopify",
    }
    response = submit(keeper, page("agree", "pos2"), **typed)

    assert response["Location"] == page("change", "pos2")
    assert "The handle pos2 is agreed." in read(keeper.get(response["Location"]))
    pos2.refresh_from_db()
    assert (pos2.status, pos2.label, pos2.description, pos2.example) == (
        "agreed", "Old till", "Of the tills before 2020.", "9000",
    )  # fmt: skip
    assert (pos2.reserved_for, pos2.agreed_by) == (shopify, user_of(keeper))
    audit = Audit.objects.get(auditable_type="handle")
    assert (audit.event, audit.auditable_key, audit.by) == ("updated", "pos2", user_of(keeper))
    assert (audit.old_values["status"], audit.new_values["status"]) == ("undocumented", "agreed")
    with pytest.raises(Refused):
        add(ada, "pos2:9001", by=by)


def test_the_page_says_who_has_been_writing_it(keeper: Client, pos2: Handle) -> None:
    text = read(keeper.get(page("agree", "pos2")))

    assert "The newest identity, by who wrote it." in text
    assert "Shopify 1" in text
    assert "Nobody: everybody may write it" in text


def test_without_an_owner_everybody_may_write_it(keeper: Client, pos2: Handle) -> None:
    submit(keeper, page("agree", "pos2"), label="Old till", description="Of old tills.")

    pos2.refresh_from_db()
    assert (pos2.status, pos2.reserved_for) == ("agreed", None)


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"label": ""}, "This field is required."),
        ({"description": " "}, "This field is required."),
        ({"label": "x" * 256}, "at most 255 characters"),
        ({"description": "x" * 10_001}, "at most 10000 characters"),
        ({"label": "a\0"}, "Null characters are not allowed."),
        ({"reserved_for": "nobody"}, "Select a valid choice."),
        ({"reserved_for": "\0"}, "Select a valid choice."),
    ],
)
def test_what_is_lacking_or_wrong_stands_at_its_field(
    keeper: Client, pos2: Handle, typed: dict[str, str], sentence: str
) -> None:
    response = submit(keeper, page("agree", "pos2"), **({"label": "Till", "description": "Old."} | typed))

    assert sentence in read(response)
    pos2.refresh_from_db()
    assert pos2.status == "undocumented"
    assert not Audit.objects.filter(auditable_type="handle").exists()


def test_html_is_text(keeper: Client, pos2: Handle) -> None:
    response = submit(keeper, page("agree", "pos2"), label="<script>alert(1)</script>", description="<b>x")

    assert "<script>alert" not in keeper.get(response["Location"]).content.decode()


def test_the_second_of_two_who_agree_changes_nothing(keeper: Client, pos2: Handle) -> None:
    url = page("agree", "pos2")
    typed = filled(keeper, url, label="Old till", description="Of old tills.")

    keeper.post(url, typed)
    again = keeper.post(url, typed | {"label": "Other"})

    assert "It is agreed already." in read(again)
    pos2.refresh_from_db()
    assert pos2.label == "Old till"
    assert Audit.objects.filter(auditable_type="handle").count() == 1


def test_to_retire_says_what_it_means_and_asks(keeper: Client, ada: Profile, by: By) -> None:
    add(ada, "pos:7", by=by)

    text = read(keeper.get(page("retire", "pos")))

    assert "Whoever writes a new identity of it is refused from then on." in text
    assert "The 1 identity that it has stays, names its profile and is found." in text
    assert Handle.objects.get(pk="pos").status == "agreed"


def test_a_retired_handle_takes_nothing_new_and_is_agreed_to_again(keeper: Client, ada: Profile, by: By) -> None:
    add(ada, "pos:7", by=by)

    response = submit(keeper, page("retire", "pos"))

    followed = keeper.get(response["Location"])
    assert "The handle pos is retired. Take it back" in read(followed)
    assert page("agree", "pos") in followed.content.decode()
    with pytest.raises(Refused) as refusal:
        add(ada, "pos:8", by=by)
    assert refusal.value.code == "retired_handle"
    assert route("pos:7", by=by).profile == ada
    assert lookup.resolve([("pos", "7")]) == [ada.pk]
    assert Audit.objects.filter(auditable_type="handle", auditable_key="pos").count() == 1

    submit(keeper, page("agree", "pos"))
    assert Handle.objects.get(pk="pos").status == "agreed"
    assert add(ada, "pos:8", by=by).handle_id == "pos"


def test_a_retired_handle_is_not_retired_twice(keeper: Client) -> None:
    submit(keeper, page("retire", "pos"))

    assert "It is retired already." in read(keeper.post(page("retire", "pos")))
    assert Audit.objects.filter(auditable_type="handle").count() == 1


@pytest.mark.parametrize("name", ["email", "mobile_phone"])
def test_a_built_in_handle_is_neither_agreed_to_nor_retired(keeper: Client, name: str) -> None:
    before = Handle.objects.filter(pk=name).values().get()
    typed = {"label": "x", "description": "y", "reserved_for": "shopify"}

    assert "It is agreed already." in read(keeper.post(page("agree", name), typed))
    assert "Contact points are built in and cannot be retired." in read(keeper.post(page("retire", name)))
    assert Handle.objects.filter(pk=name).values().get() == before


@pytest.mark.parametrize("name", ["agree", "retire", "rename", "merge_into"])
def test_hand_made_posts_of_those_who_may_not_are_refused(name: str, pos2: Handle) -> None:
    before = Handle.objects.filter(pk="pos2").values().get()
    typed: dict[str, Any] = {
        "label": "x",
        "description": "y",
        "to": "till-2",
        "into": "pos",
        "reason": "x",
        "_sure": "yes",
    }

    for client in (member("Reader"), member("Editor"), holding("identities.view_handle", "identities.add_handle")):
        assert client.post(page(name, "pos2"), typed).status_code == 403
        assert client.get(page(name, "pos2")).status_code == 403
    assert Handle.objects.filter(pk="pos2").values().get() == before


@pytest.mark.parametrize("name", ["agree", "retire", "rename", "merge_into"])
@pytest.mark.parametrize("key", ["nothing", "_00", "x" * 5_000, "<b>"])
def test_a_handle_that_is_none_is_not_found(keeper: Client, name: str, key: str) -> None:
    url = f"/admin/identities/handle/{key}/{name.replace('_', '-')}/"

    assert keeper.get(url).status_code == keeper.post(url, {"label": "x"}).status_code == 404
