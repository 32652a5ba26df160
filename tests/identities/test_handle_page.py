"""The page of a handle: what it is, who should own it, what it was meant to be."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from identities import cataloguing, renaming, routing
from identities.models import Extension, Handle
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add
from tests.staff import holding, member, read, rows

pytestmark = pytest.mark.django_db


def page(name: str) -> str:
    return reverse("admin:identities_handle_change", args=[name])


@pytest.fixture
def keeper() -> Client:
    return member("Admin")


def told(client: Client, name: str, **query: str) -> str:
    return read(client.get(page(name), query))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("klaviyo", "Klaviyo profile. agreed Only Klaviyo writes it. Compared exactly, trimmed: “ 01HXK3V7Q2M5Z8 ” "
         "becomes “ 01HXK3V7Q2M5Z8 ”."),
        ("pos", "Till. agreed Everybody may write it. Compared exactly, trimmed: “ T07-000381 ” becomes"),
        ("instagram", "Everybody may write it. Compared without regard to case: “ ADA.LOVELACE ” becomes “ "
         "ada.lovelace ”."),
        ("email", "It is built in, and set through the profile's own field. Compared as an e-mail address: “ "
         "Ada@Example.Com ” becomes “ ada@example.com ”."),
        ("mobile_phone", "Compared as a phone number: “ +61 404 123 123 ” becomes “ +61404123123 ”."),
    ],
)  # fmt: skip
def test_a_sentence_says_who_writes_it_and_how_it_is_compared(keeper: Client, name: str, sentence: str) -> None:
    assert sentence in told(keeper, name)


@pytest.mark.parametrize(
    ("normaliser", "example", "sentence"),
    [
        ("digits", "4711", "Compared by its digits alone: “ No. 4711 ” becomes “ 4711 ”."),
        ("digits", "none at all", "“ No. 0042 ” becomes “ 0042 ”."),
        ("phone", "no phone", "becomes “ +61412345678 ”."),
        ("email", "no address", "becomes “ ada@example.com ”."),
        ("exact", "", "“ 01HX ” becomes “ 01HX ”."),
        ("exact", "<b>&amp;</b>", "becomes “ <b>&amp;</b> ”."),
        ("exact", "x\u200by", "“ 01HX ” becomes “ 01HX ”."),
        ("exact", "x" * 255, "becomes “ " + "x" * 255 + " ”."),
        ("exact", "{x} %s", "becomes “ {x} %s ”."),
    ],
)
def test_the_example_is_the_handles_own_where_that_will_do(
    keeper: Client, normaliser: str, example: str, sentence: str
) -> None:
    Handle.objects.create(name="new", status="agreed", normaliser=normaliser, example=example)

    assert sentence in told(keeper, "new")


@pytest.mark.parametrize(
    ("tried", "answer"),
    [
        (" T1 ", "“ T1 ” becomes “ T1 ”. It matches the pattern."),
        ("X1", "“ X1 ” becomes “ X1 ”. It does not match the pattern, so it is refused unless"),
        ("", "“ ” is refused: The identifier is empty."),
        ("a\u200bb", "is refused: The identifier contains an invisible character (U+200B)."),
        ("a\0b", "is refused: The identifier contains an invisible character (U+0000)."),
        ("<script>alert(1)</script>", "“ <script>alert(1)</script> ” becomes"),
        ("y" * 10_000, "is refused: The identifier is longer than 255 characters."),
        ("{form} %(x)s", "becomes “ {form} %(x)s ”."),
    ],
)
def test_anybody_can_try_what_would_become_of_an_identifier(keeper: Client, tried: str, answer: str) -> None:
    Handle.objects.filter(pk="pos").update(pattern="T[0-9]+")

    response = keeper.get(page("pos"), {"try": tried})

    assert answer in read(response)
    assert "<script>alert" not in response.content.decode()


def test_who_has_been_writing_it_is_counted(
    keeper: Client, ada: Profile, shopify: Extension, klaviyo: Extension, by: By
) -> None:
    for number in (1, 2):
        add(ada, f"pos2:{number}", by=By(shopify.service_account), source=shopify)
    add(ada, "pos2:3", by=by)

    text = told(keeper, "pos2")

    assert "The newest 3 identities, by who wrote them." in text
    assert re.search(r"Shopify 2 \w+\.? \d+, \d+ staff: operator 1 ", text)
    assert "Klaviyo" not in text.split("Who has been writing it")[1].split("Newest identities")[0]


def test_a_handle_that_nobody_writes_says_so(keeper: Client) -> None:
    assert "Nobody has written it yet." in told(keeper, "staff-number")


def test_an_undocumented_handle_says_what_it_may_have_been_meant_to_be(
    keeper: Client, ada: Profile, ada_again: Profile, by: By
) -> None:
    for number in ("9001", "9002", "9003"):
        add(ada, f"pos2:{number}", by=by)
        add(ada, f"pos-customer:{number}", by=by)
    add(ada_again, "pos2:1", by=by)
    add(ada, "instagram:1", by=by)

    text = told(keeper, "pos2")

    likely = text.split("What it may have been meant to be")[1].split("Who has been writing it")[0]
    assert likely.index("Till customer") < likely.index("Till pos Merge")
    assert "3 of the newest identifiers stand there, too, 3 on the same profile." in likely
    assert "1 of the newest identifiers stands there, too, 0 on the same profile." in likely
    assert "It is called nearly so." in likely
    assert "Somebody began to write it and nobody has said what it is." in text
    assert "What it may have been" not in told(keeper, "pos")


def test_contact_points_are_no_likeness(keeper: Client, ada: Profile, by: By) -> None:
    routing.update(ada.pk, fields={}, contact={"email": "ada@example.com"}, by=by, source=None)
    add(ada, "e-mails:ada@example.com", by=by)

    assert "What it may have been" not in told(keeper, "e-mails")


def test_use_blocked_values_former_names_and_open_log_entries_are_shown(
    keeper: Client, ada: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos2:9000", by=by)
    for name in ("pos2", "till-2"):
        with pytest.raises(Refused):
            add(bo, f"{name}:9000", by=by)
        if name == "pos2":
            renaming.rename(Handle.objects.get(pk="pos2"), to="till-2", reason="", by=by)
    cataloguing.block({"value": "walk-in", "handle": Handle.objects.get(pk="till-2")}, by=by)

    response = keeper.get(page("till-2"))

    text = read(response)
    assert "Former names pos2" in text
    assert "Open log entries 2" in text
    assert "Blocked under it walk-in" in text
    (log,) = {
        html.unescape(url) for url in re.findall(r'href="([^"]*routinglogentry/\?[^"]*)"', response.content.decode())
    }
    assert len(rows(keeper.get(log))) == 2
    (every,) = set(re.findall(r'href="(/admin/identities/identity/\?handle=till-2)"', response.content.decode()))
    assert len(rows(keeper.get(every))) == 1


def test_the_newest_identities_lead_to_them_and_to_their_profiles(keeper: Client, ada: Profile, by: By) -> None:
    for number in range(1, 8):
        add(ada, f"pos:n-{number}", by=by)

    text = told(keeper, "pos")

    assert all(f"n-{number}" in text for number in range(3, 8))
    assert not any(f"n-{number} " in text for number in (1, 2))
    assert "Ada Lovelace" in text


def test_sensitive_ones_are_masked_there(keeper: Client, ada: Profile, by: By) -> None:
    add(ada, "apns:740f4707bebcf74f", by=by)

    text = told(keeper, "apns").split("Newest identities")[1].split("Details")[0]

    assert "•••f74f" in text
    assert "740f4707" not in text


def test_who_may_see_handles_only_sees_nobodys_identities(ada: Profile, by: By) -> None:
    add(ada, "pos:4711", by=by)
    client = holding("identities.view_handle")

    response = client.get(page("pos"))

    text = read(response)
    assert "Identities 1" in text
    for hidden in ("4711", "Ada", "Newest identities", "Open log entries", "Blocked under it", "Rename"):
        assert hidden not in text, hidden
    assert "/merge-into/" not in response.content.decode()


def test_a_reader_is_not_led_to_what_only_keepers_may(ada: Profile, by: By) -> None:
    add(ada, "pos2:1", by=by)

    content = member("Reader").get(page("pos2")).content.decode()

    for name in ("agree", "merge-into", "rename", "retire"):
        assert f"/pos2/{name}/" not in content


@pytest.mark.parametrize(
    ("status", "tools"),
    [
        ("undocumented", {"agree", "merge-into", "rename", "retire"}),
        ("agreed", {"merge-into", "rename", "retire"}),
        ("retired", {"agree", "merge-into", "rename"}),
    ],
)
def test_the_page_offers_what_can_be_done(keeper: Client, status: str, tools: set[str]) -> None:
    Handle.objects.create(name="new", status=status)

    content = keeper.get(page("new")).content.decode()

    assert {name for name in ("agree", "merge-into", "rename", "retire") if f'/new/{name}/"' in content} == tools


@pytest.mark.parametrize("name", ["email", "mobile_phone"])
def test_a_built_in_handle_offers_none_of_it(keeper: Client, name: str) -> None:
    content = keeper.get(page(name)).content.decode()

    assert not [tool for tool in ("agree", "merge-into", "rename", "retire") if f"/{tool}/" in content]


def test_a_former_name_leads_on_and_cannot_be_changed(
    keeper: Client, admin_client: Client, ada: Profile, by: By
) -> None:
    add(ada, "pos2:1", by=by)
    renaming.rename(Handle.objects.get(pk="pos2"), to="till-2", reason="", by=by)

    response = keeper.get(page("pos2"))

    assert "former name Whoever writes or looks up by it reaches till-2" in read(response)
    assert page("till-2") in response.content.decode()
    for client in (keeper, admin_client):
        assert client.post(page("pos2"), {"label": "x"}).status_code == 403
    assert "pos2 former name leads to till-2" in rows(keeper.get("/admin/identities/handle/"))[-1]


def test_the_page_costs_the_same_for_few_identities_and_for_many(
    keeper: Client, ada: Profile, by: By, django_assert_num_queries: Any
) -> None:
    keeper.get(page("pos2"))
    for count in (2, 30):
        for number in range(count):
            add(ada, f"pos2:{count}-{number}", by=by)
            add(ada, f"pos:{count}-{number}", by=by)
        # Session, user and permissions; the handle; who wrote, what is like it, blocked values, log, the newest; form.
        with django_assert_num_queries(17):
            keeper.get(page("pos2"))


def test_html_in_label_and_description_is_text(keeper: Client) -> None:
    Handle.objects.filter(pk="pos").update(label="<b>Till</b>", description="<script>alert(1)</script>\nTwo lines.")

    for url in (page("pos"), "/admin/identities/handle/"):
        content = keeper.get(url).content.decode()
        assert "<b>Till" not in content
        assert "<script>alert" not in content
