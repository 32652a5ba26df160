"""The pages by which a handle gets another name or is merged into another: first what it would do, then do it."""

from __future__ import annotations

import html
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from identities import moving, renaming, surveying
from identities.models import Extension, Handle, Identity
from profiles.auditing import By
from profiles.models import Audit, Move, Profile
from profiles.refusing import Refused
from tests.cast import add, pairs_of
from tests.staff import answer, filled, holding, member, read, rows, user_of

pytestmark = pytest.mark.django_db


def page(name: str, of: str = "pos2") -> str:
    return reverse(f"admin:identities_handle_{name}", args=[of])


def links(response: Any) -> list[str]:
    return [html.unescape(url) for url in re.findall(r'href="([^"]*)"', response.content.decode())]


@pytest.fixture
def keeper() -> Client:
    return member("Admin")


@pytest.fixture
def pos2(ada: Profile, by: By) -> Handle:
    for number in ("9000", "9001"):
        add(ada, f"pos2:{number}", by=by)
    return Handle.objects.get(pk="pos2")


def merge(keeper: Client, into: str = "pos", reason: str = "The same till.") -> Any:
    """See what it would do, and say yes."""
    url = f"{page('merge_into')}?into={into}"
    return answer(keeper, page("merge_into"), keeper.get(url), reason=reason)


def rename(keeper: Client, to: str, of: str = "pos2", reason: str = "") -> Any:
    return answer(keeper, page("rename", of), keeper.get(page("rename", of), {"to": to}), reason=reason)


# Another name


def test_the_page_asks_for_the_name_first(keeper: Client, pos2: Handle) -> None:
    response = keeper.get(page("rename"))

    assert "The new name: lower-case letters, digits, - and _" in read(response)
    assert "Yes, rename it" not in response.content.decode()


def test_what_a_rename_would_do_is_told_and_nothing_is_changed(keeper: Client, pos2: Handle, ada: Profile) -> None:
    response = keeper.get(page("rename"), {"to": "till-2"})

    text = read(response)
    assert "Its 2 identities would be found under till-2." in text
    assert "The old name pos2 stays: whoever writes or looks up by it reaches till-2." in text
    assert not Handle.objects.filter(pk="till-2").exists()
    assert pairs_of(ada) == ["pos2:9000", "pos2:9001"]


def test_a_handle_is_renamed_and_the_message_leads_back(keeper: Client, pos2: Handle, ada: Profile) -> None:
    response = rename(keeper, "till-2", reason="Its true name.")

    assert response["Location"] == page("change", "till-2")
    followed = keeper.get(response["Location"])
    assert "The handle pos2 is called till-2 now, and 2 identities with it. Take it back" in read(followed)
    assert pairs_of(ada) == ["till-2:9000", "till-2:9001"]
    audit = Audit.objects.get(event="renamed")
    assert (audit.by, audit.new_values["reason"]) == (user_of(keeper), "Its true name.")

    (back,) = [url for url in links(followed) if "rename/?to=pos2" in url]
    response = answer(keeper, page("rename", "till-2"), keeper.get(back))
    assert response["Location"] == page("change", "pos2")
    assert pairs_of(ada) == ["pos2:9000", "pos2:9001"]


@pytest.mark.parametrize(
    ("to", "sentence"),
    [
        ("pos", "There is a handle pos already. To put both together, merge one into the other."),
        ("pos-2", "differ only in - and _"),
        ("POS2", "differ only in - and _"),
        ("pos2", "This is its name."),
        ("email", "There is a handle email already."),
        ("a b", "Use lower-case letters"),
        ("<script>alert(1)</script>", "Use lower-case letters"),
        ("x" * 10_000, "at most 64 characters"),
        ("a\0b", "Use lower-case letters"),
        ("../../x", "Use lower-case letters"),
    ],
)
def test_a_name_that_cannot_be_is_told_before_and_refused_by_hand_made_posts(
    keeper: Client, pos2: Handle, to: str, sentence: str
) -> None:
    shown = keeper.get(page("rename"), {"to": to})
    posted = keeper.post(page("rename"), {"to": to, "reason": ""})

    for response in (shown, posted):
        assert sentence in read(response)
        assert "<script>alert" not in response.content.decode()
        assert "Yes, rename it" not in response.content.decode()
    assert not Audit.objects.filter(auditable_type="handle").exists()


def test_a_post_without_a_name_renames_nothing(keeper: Client, pos2: Handle) -> None:
    assert keeper.post(page("rename"), {"reason": ""}).status_code == 200
    assert keeper.post(page("rename"), {"to": " ", "reason": ""}).status_code == 200
    assert not Audit.objects.filter(auditable_type="handle").exists()


def test_the_second_post_of_a_rename_changes_nothing(keeper: Client, pos2: Handle) -> None:
    typed = filled(keeper, f"{page('rename')}?to=till-2")
    keeper.post(page("rename"), typed)

    again = keeper.post(page("rename"), typed)

    assert "The handle pos2 is a former name of till-2." in read(again)
    assert Audit.objects.filter(event="renamed").count() == 1


def test_a_name_that_is_taken_meanwhile_is_refused(keeper: Client, pos2: Handle, ada: Profile, by: By) -> None:
    shown = keeper.get(page("rename"), {"to": "till-2"})
    add(ada, "till-2:1", by=by)

    told = read(answer(keeper, page("rename"), shown))

    assert "There is a handle till-2 already." in told
    assert pairs_of(ada) == ["pos2:9000", "pos2:9001", "till-2:1"]


def test_built_in_handles_and_former_names_cannot_be_renamed(keeper: Client, pos2: Handle) -> None:
    rename(keeper, "till-2")

    assert "Contact points are built in" in read(keeper.get(page("rename", "email"), {"to": "mail"}))
    text = read(keeper.get(page("rename")))
    assert "The handle pos2 is a former name of till-2." in text
    assert "See what it would do" not in text


# Into another handle


def test_the_page_asks_for_the_handle_first_and_offers_what_is_like_it(keeper: Client, pos2: Handle) -> None:
    response = keeper.get(page("merge_into"))

    text = read(response)
    assert "The handle that it was meant to be" in text
    assert "What it may have been meant to be Till pos Merge into it" in text
    assert f"{page('merge_into')}?into=pos" in links(response)
    assert "Yes, merge it" not in response.content.decode()
    choices = re.findall(r'<option value="([^"]*)"', response.content.decode())
    assert "pos" in choices
    assert not {"email", "mobile_phone", "pos2"} & set(choices)


def test_what_a_merge_would_do_is_told_and_nothing_is_changed(
    keeper: Client, pos2: Handle, ada: Profile, bo: Profile, by: By
) -> None:
    add(ada, "pos:9000", by=by)

    text = read(keeper.get(page("merge_into"), {"into": "pos"}))

    assert "Its 2 identities would be found under pos." in text
    assert "It cannot be taken back" in text
    assert "1 profile has the same twice: one identity stays and keeps what hangs on the other." in text
    assert "in the way" not in text
    assert pairs_of(ada) == ["pos2:9000", "pos2:9001", "pos:9000"]


def test_a_handle_is_merged(keeper: Client, pos2: Handle, ada: Profile, bo: Profile) -> None:
    response = merge(keeper)

    assert response["Location"] == page("change", "pos")
    assert "The handle pos2 is merged into pos: 2 identities came along." in read(keeper.get(response["Location"]))
    assert pairs_of(ada) == ["pos:9000", "pos:9001"]
    audit = Audit.objects.get(event="merged")
    assert (audit.by, audit.new_values["reason"]) == (user_of(keeper), "The same till.")


def test_what_is_in_the_way_is_listed_with_both_profiles_and_nothing_can_be_confirmed(
    keeper: Client, pos2: Handle, ada: Profile, bo: Profile, by: By
) -> None:
    other = Profile.objects.create(first_name="Augusta")
    conflict = add(other, "pos:9000", by=by)

    response = keeper.get(page("merge_into"), {"into": "pos"})

    text = read(response)
    assert "1 identifier would name two profiles." in text
    assert "What is marked as in the way has to be cleared up first." in text
    assert "Yes, merge it" not in response.content.decode()
    mine = Identity.objects.get(handle="pos2", identifier="9000")
    for url in (
        reverse("admin:identities_identity_change", args=[mine.pk]),
        reverse("admin:identities_identity_change", args=[conflict.pk]),
        reverse("admin:profiles_profile_change", args=[ada.pk]),
        reverse("admin:profiles_profile_change", args=[other.pk]),
    ):
        assert url in links(response)
    posted = keeper.post(page("merge_into"), {"into": "pos", "reason": "x"})
    assert "1 identifier would name two profiles." in read(posted)
    assert Handle.objects.get(pk="pos2").renamed_to is None

    moving.move(conflict.pk, to=ada.pk, reason="Hers.", by=by)
    assert merge(keeper).status_code == 302


def test_a_conflict_that_came_up_meanwhile_is_refused_and_shown(
    keeper: Client, pos2: Handle, ada: Profile, ada_again: Profile, by: By
) -> None:
    shown = keeper.get(page("merge_into"), {"into": "pos"})
    assert "Yes, merge it" in shown.content.decode()
    add(ada_again, "pos:9000", by=by)

    told = read(answer(keeper, page("merge_into"), shown, reason="The same till."))

    assert "1 identifier would name two profiles." in told
    assert pairs_of(ada) == ["pos2:9000", "pos2:9001"]


def test_a_conflict_beyond_what_the_page_looks_at_is_refused_by_the_merge(
    keeper: Client, pos2: Handle, ada: Profile, ada_again: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(ada_again, "pos:9001", by=by)
    monkeypatch.setattr(surveying, "MOST_READ", 1)

    shown = keeper.get(page("merge_into"), {"into": "pos"})
    assert "This page has looked at the oldest 1 identities; there are more." in read(shown)
    told = read(answer(keeper, page("merge_into"), shown, reason="The same till."))

    assert "The identities pos2:9001 and pos:9001 would be the same, and name two profiles." in told
    assert pairs_of(ada) == ["pos2:9000", "pos2:9001"]


def test_the_rules_that_change_are_told(keeper: Client, ada: Profile, shopify: Extension, by: By) -> None:
    add(ada, "klavio:01HX", by=by, source=shopify)
    Handle.objects.filter(pk="klaviyo").update(single_valued=True, sensitive=True)

    text = read(keeper.get(page("merge_into", "klavio"), {"into": "klaviyo"}))

    rules = text.split("Rules that change for its identities")[1]
    assert "Reserved for everybody only Klaviyo" in rules
    assert "Single-valued no yes" in rules
    assert "Sensitive no yes" in rules
    assert "Pattern" not in rules


def test_other_forms_and_refusals_are_told(keeper: Client, pos2: Handle, ada: Profile, by: By) -> None:
    Handle.objects.filter(pk="pos").update(normaliser="digits")
    add(ada, "pos2:No. 7", by=by)
    add(ada, "pos2:none at all", by=by)

    text = read(keeper.get(page("merge_into"), {"into": "pos"}))

    assert "1 identifier would be stored in another form." in text
    assert "pos2 No. 7 7 Ada Lovelace" in text
    assert "1 identifier would be refused by the normaliser. Change or delete it first." in text


def test_profiles_that_would_hold_too_many_are_told(keeper: Client, pos2: Handle, ada: Profile) -> None:
    Handle.objects.filter(pk="pos").update(max_per_profile=1)

    response = keeper.get(page("merge_into"), {"into": "pos"})

    assert "1 profile would hold more identities of it than it may." in read(response)
    assert reverse("admin:profiles_profile_change", args=[ada.pk]) in links(response)


def test_sensitive_identifiers_are_masked_and_who_may_not_see_identities_is_told_numbers_alone(
    pos2: Handle, ada: Profile, ada_again: Profile, by: By
) -> None:
    add(ada, "pos2:device-740f4707", by=by)
    add(ada_again, "apns:device-740f4707", by=by)

    seen = read(member("Admin").get(page("merge_into"), {"into": "apns"}))
    numbers = read(holding("identities.change_handle").get(page("merge_into"), {"into": "apns"}))

    assert "•••4707" in seen
    assert "device-740f" not in seen
    assert "1 identifier would name two profiles." in numbers
    assert "•••4707" not in numbers
    assert "Ada" not in numbers


@pytest.mark.parametrize(
    ("into", "sentence"),
    [
        ("nothing", "There is no handle nothing."),
        ("email", "Contact points are built in: nothing is merged into them."),
        ("pos2", "A handle cannot be merged into itself."),
        ("new", "The handle new is not agreed, so nothing can be merged into it."),
        ("<script>alert(1)</script>", "There is no handle <script>alert(1)</script>."),
        ("x" * 10_000, "There is no handle xxx"),
        ("a\0b", "There is no handle a"),
    ],
)
def test_a_target_that_cannot_be_is_told_before_and_refused_by_hand_made_posts(
    keeper: Client, pos2: Handle, into: str, sentence: str
) -> None:
    Handle.objects.create(name="new")

    shown = keeper.get(page("merge_into"), {"into": into})
    posted = keeper.post(page("merge_into"), {"into": into, "reason": "x"})

    for response in (shown, posted):
        assert sentence in read(response)
        assert "<script>alert" not in response.content.decode()
    assert not Audit.objects.filter(auditable_type="handle").exists()


def test_a_post_without_a_target_or_a_reason_merges_nothing(keeper: Client, pos2: Handle) -> None:
    assert keeper.post(page("merge_into"), {"reason": "x"}).status_code == 200
    assert "This field is required." in read(merge(keeper, reason=""))
    assert "at most 2000 characters" in read(merge(keeper, reason="x" * 2001))
    assert not Audit.objects.filter(auditable_type="handle").exists()


def test_the_second_post_of_a_merge_changes_nothing(keeper: Client, pos2: Handle) -> None:
    typed = filled(keeper, f"{page('merge_into')}?into=pos", reason="x")
    keeper.post(page("merge_into"), typed)

    assert "The handle pos2 is a former name of pos." in read(keeper.post(page("merge_into"), typed))
    assert Audit.objects.filter(event="merged").count() == 1


# Everything else follows the name


def test_the_lists_are_narrowed_by_any_name_of_a_handle(
    keeper: Client, pos2: Handle, ada: Profile, bo: Profile, by: By
) -> None:
    for name in ("pos2", "till-2"):
        with pytest.raises(Refused):
            add(bo, f"{name}:9000", by=by)
        if name == "pos2":
            renaming.rename(pos2, to="till-2", reason="", by=by)

    for name in ("pos2", "till-2"):
        assert len(rows(keeper.get("/admin/identities/identity/", {"handle": name}))) == 2
        assert len(rows(keeper.get("/admin/identities/routinglogentry/", {"handle": name}))) == 2


def test_what_moved_under_a_former_name_stays_masked(keeper: Client, ada: Profile, ada_again: Profile, by: By) -> None:
    row = add(ada, "device:740f4707bebcf74f", by=by)
    moving.move(row.pk, to=ada_again.pk, reason="Hers.", by=by)
    renaming.merge(Handle.objects.get(pk="device"), into=Handle.objects.get(pk="apns"), reason="", by=by)

    move = Move.objects.get()
    for url in ("/admin/profiles/move/", reverse("admin:profiles_move_change", args=[move.pk])):
        text = read(keeper.get(url))
        assert "•••f74f" in text
        assert "740f4707" not in text
    profile = read(keeper.get(reverse("admin:profiles_profile_change", args=[ada.pk])))
    assert "device •••f74f went to" in profile
