"""Erasing a profile for good from the admin: what is asked, who may, and what the pages show of what is left."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client
from django.urls import NoReverseMatch, reverse

from identities import moving, moving_records, releasing
from identities.models import ErasedPair, RoutingLogEntry
from profiles import duplicates, erasing
from profiles.auditing import By
from profiles.duplicates import Found
from profiles.models import RECORDS, Audit, Delivery, Event, Profile, Transaction, Webhook
from profiles.models.record import of_kind
from profiles.reacting import taking_up
from tests.cast import assert_sound, came, known, merge
from tests.profiles.test_erasing import PAIRS, SECRET, busy, left, zephyrine
from tests.staff import filled, holding, member, read, rows, signed_in, url_of

__all__ = ["busy", "zephyrine"]  # fixtures

LIST = reverse("admin:profiles_profile_changelist")
SURE = {"reason": "Request 17", "word": "ERASE"}


@pytest.fixture
def keeper(db: None) -> Client:
    return member("Admin")


def page(pk: uuid.UUID) -> str:
    return reverse("admin:profiles_profile_erase", args=[pk])


def erase(client: Client, pk: uuid.UUID, **changed: Any) -> Any:
    """Open the page, fill its form in and send it."""
    return client.post(page(pk), filled(client, page(pk), **SURE | changed), follow=True)


def test_the_page_says_what_goes_and_what_stays(keeper: Client, zephyrine: Profile, by: By) -> None:
    came(Transaction, PAIRS[0], by=by)
    came(Transaction, PAIRS[0], by=by)

    asked = read(keeper.get(page(zephyrine.pk)))

    assert f"Erase {SECRET} Erased for good?" in asked
    assert "This profile is deleted for good, with all that is of it. Nothing takes it back." in asked
    assert "What goes 1 profile 4 identities 2 transactions" in asked
    for sentence in (
        "The audit and the routing log:",
        "Backups, and files of imports and exports",
        "is kept, which nobody",
    ):
        assert sentence in asked
    assert "Merged profiles" not in asked
    assert Profile.objects.filter(pk=zephyrine.pk).exists(), "A page that is looked at changes nothing."


def test_it_erases_and_tells_what_was_deleted_without_a_name(keeper: Client, zephyrine: Profile, by: By) -> None:
    came(Transaction, PAIRS[0], by=by)

    told = erase(keeper, zephyrine.pk)

    assert told.redirect_chain[-1][0] == LIST
    text = read(told)
    assert "Erased for good: 1 profile, 4 identities, 1 transaction. Its identities are kept out from now on." in text
    assert SECRET not in text
    assert not Profile.objects.filter(pk=zephyrine.pk).exists()
    assert ErasedPair.objects.count() == 4
    (entry,) = Audit.objects.filter(event="erased")
    assert (entry.by.username, entry.new_values["reason"]) == ("one of Admin", "Request 17")
    assert len(rows(keeper.get(url_of(told, "See what is kept of it in the audit")))) >= 1
    assert not LogEntry.objects.exists()
    assert left(SECRET) == []
    assert_sound()


def test_merged_profiles_that_go_along_are_named(keeper: Client, zephyrine: Profile, by: By) -> None:
    others = [known(f"pos:{number}", by=by, first_name=f"Other{number}") for number in range(2)]
    merge(zephyrine, *others, by=by)

    asked = keeper.get(page(zephyrine.pk))

    assert "This profile and the 2 that were merged into it are deleted for good" in read(asked)
    for other in others:
        assert url_of(asked, f"{other.first_name} ( …{str(other.pk)[-8:]} )") == change(other.pk)
    erase(keeper, zephyrine.pk)
    assert not Profile.objects.exists()


def test_a_merged_profile_leads_to_its_survivor(keeper: Client, zephyrine: Profile, ada: Profile, by: By) -> None:
    merge(ada, zephyrine, by=by)

    for response in (keeper.get(page(zephyrine.pk)), keeper.post(page(zephyrine.pk), SURE)):
        assert "This profile was merged into Ada Lovelace" in read(response)
        assert 'name="word"' not in response.content.decode()
    assert page(zephyrine.pk) not in keeper.get(change(zephyrine.pk)).content.decode()
    assert page(ada.pk) in keeper.get(change(ada.pk)).content.decode()
    assert Profile.objects.count() == 2


def test_a_deleted_profile_is_erased_too(keeper: Client, zephyrine: Profile, by: By) -> None:
    releasing.delete(zephyrine.pk, by=by)

    assert url_of(keeper.get(change(zephyrine.pk)), "Erase for good") == page(zephyrine.pk)
    erase(keeper, zephyrine.pk)

    assert left(SECRET) == []


@pytest.mark.parametrize("word", ["", "erase", "Erase", "ERASE IT", "DELETE"])
def test_anything_but_the_word_erases_nothing(keeper: Client, zephyrine: Profile, word: str) -> None:
    response = erase(keeper, zephyrine.pk, word=word)

    assert "Please correct the errors below." in read(response)
    assert ("This is not the word ERASE" in read(response)) == bool(word)
    assert Profile.objects.filter(pk=zephyrine.pk).exists()
    assert not ErasedPair.objects.exists()


def test_a_reason_is_asked_for(keeper: Client, zephyrine: Profile) -> None:
    assert "This field is required." in read(erase(keeper, zephyrine.pk, reason=" "))
    assert Profile.objects.filter(pk=zephyrine.pk).exists()


def test_its_identities_may_be_left_free(keeper: Client, zephyrine: Profile, by: By) -> None:
    told = erase(keeper, zephyrine.pk, keep_out=None)

    assert "Its identities are not kept out" in read(told)
    assert not ErasedPair.objects.exists()
    assert known(PAIRS[0], by=by).pk != zephyrine.pk


def test_what_is_gone_already_is_said_to_be_gone(keeper: Client, zephyrine: Profile, by: By) -> None:
    typed = filled(keeper, page(zephyrine.pk), **SURE)
    erasing.purge(zephyrine.pk, by=by)

    for response in (
        keeper.post(page(zephyrine.pk), typed, follow=True),
        keeper.get(page(zephyrine.pk), follow=True),
        keeper.get(page(uuid.uuid4()), follow=True),
        keeper.get("/admin/profiles/profile/nonsense/erase/", follow=True),
    ):
        assert response.redirect_chain[-1][0] == LIST
        assert "This profile is gone already" in read(response)
    assert Audit.objects.filter(event="erased").count() == 1


def test_one_that_goes_while_it_is_being_erased_is_said_to_be_gone(
    keeper: Client, zephyrine: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = filled(keeper, page(zephyrine.pk), **SURE)
    told = erasing.preview(zephyrine.pk)
    erasing.purge(zephyrine.pk, by=by)
    # Both tabs have read it, and one was first.
    monkeypatch.setattr("profiles.admin.profile.ProfileAdmin.get_object", lambda *_args: zephyrine)
    monkeypatch.setattr("profiles.erasing.preview", lambda _pk: told)

    response = keeper.post(page(zephyrine.pk), typed)

    assert (response.status_code, response["Location"]) == (302, LIST)
    assert Audit.objects.filter(event="erased").count() == 1


@pytest.mark.parametrize("group", ["Reader", "Editor"])
def test_only_who_keeps_everything_may_erase(group: str, zephyrine: Profile) -> None:
    client = member(group)

    assert client.get(page(zephyrine.pk)).status_code == 403
    assert client.post(page(zephyrine.pk), SURE).status_code == 403
    assert "Erase for good" not in read(client.get(change(zephyrine.pk)))
    assert Profile.objects.filter(pk=zephyrine.pk).exists()


@pytest.mark.parametrize("permission", ["profiles.erase_profile", "profiles.view_profile"])
def test_who_may_erase_must_be_allowed_to_see_what_goes(permission: str, zephyrine: Profile) -> None:
    assert holding(permission).post(page(zephyrine.pk), SURE).status_code == 403
    assert Profile.objects.filter(pk=zephyrine.pk).exists()


# What is left


def change(pk: Any, model: str = "profiles_profile") -> str:
    return reverse(f"admin:{model}_change", args=[pk])


@pytest.fixture
def erased(busy: Profile, by: By) -> Profile:
    """She was in everything, and is gone."""
    other, third = Profile.objects.get(first_name="Another"), Profile.objects.get(identities__identifier="third")
    duplicates.note([Found(other.pk, third.pk, {})])
    his = came(Transaction, PAIRS[1], by=by)
    moving_records.move_record(Transaction, his.pk, to=other.pk, reason="His.", by=by)
    erasing.purge(busy.pk, by=by)
    return busy


@pytest.fixture
def superuser(db: None) -> Client:
    return signed_in(User.objects.create_superuser("root"))


def test_every_list_and_every_page_of_what_is_left_opens(superuser: Client, erased: Profile) -> None:
    assert RoutingLogEntry.objects.filter(fingerprint="").exists()
    assert any(of_kind(kind).filter(decided_by="erased").exists() for kind in RECORDS.values())
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        assert superuser.get(reverse(f"{name}_changelist")).status_code == 200, model
        for row in model._default_manager.order_by("-pk")[:50]:
            for one in ("change", "undo", "send", "part", "try", "duplicates", "split"):
                try:
                    url = reverse(f"{name}_{one}", args=[row.pk])
                except NoReverseMatch:
                    continue
                assert superuser.get(url, follow=True).status_code == 200, url
    for url in ("/admin/", log(review_status__exact="all")):
        assert SECRET not in read(superuser.get(url))
    assert str(erased.pk) not in superuser.get(f"/admin/search/?q={SECRET}").content.decode()


def log(**query: str) -> str:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return f"{reverse('admin:identities_routinglogentry_changelist')}?{asked}"


def test_an_entry_of_the_log_says_that_it_was_emptied(superuser: Client, erased: Profile) -> None:
    emptied = RoutingLogEntry.objects.filter(fingerprint="")
    assert emptied.count() > 1

    told = rows(superuser.get(log(review_status__exact="all")))

    assert sum(
        "It was about somebody who was erased since, so that nothing of it is kept." in one for one in told
    ) == (emptied.count())
    for entry in emptied:
        text = read(superuser.get(change(entry.pk, "identities_routinglogentry")))
        assert "It was emptied when somebody of whom it told was erased" in text
        # Others of which nothing is left have nothing in common with it.
        assert "the same event" not in text
        assert "Save" not in text and "Merge the two" not in text


def test_an_emptied_entry_is_not_opened_again(superuser: Client, erased: Profile) -> None:
    keys = list(RoutingLogEntry.objects.filter(fingerprint="").values_list("pk", flat=True))
    seen = [f"{key}-reviewed" for key in keys]

    asked = superuser.post(log(), {"action": "open_again", "_selected_action": keys}, follow=True)
    superuser.post(log(), {"action": "open_again", "_selected_action": keys, "seen": seen, "note": ""}, follow=True)
    single = superuser.post(change(keys[0], "identities_routinglogentry"), {"review_status": "open"})

    assert "Nothing to do" in read(asked)
    assert single.status_code == 403
    assert not RoutingLogEntry.objects.filter(fingerprint="", review_status="open").exists()


def test_a_record_of_somebody_else_says_that_it_was_brought_by_what_is_erased(
    superuser: Client, erased: Profile
) -> None:
    (record,) = [row for kind in RECORDS.values() for row in of_kind(kind).filter(decided_by="erased")]

    text = read(superuser.get(change(record.pk, f"profiles_{record.kind}")))

    assert "It was brought by an identity of a profile that has been erased." in text


def test_the_start_page_tells_of_the_erasure_without_a_name(superuser: Client, erased: Profile) -> None:
    assert "erased a profile for good" in read(superuser.get("/admin/"))


def test_deliveries_that_tell_of_an_erasure_have_pages(superuser: Client, zephyrine: Profile, by: By) -> None:
    Webhook.objects.create(trigger="profile.deleted", url="https://hooks.example.com/", user=by.user)
    erasing.purge(zephyrine.pk, by=by)
    for event in Event.objects.all():
        taking_up.take_up(event.pk, give_up=False)

    (delivery,) = Delivery.objects.all()
    assert superuser.get(change(delivery.pk, "profiles_delivery")).status_code == 200
    assert superuser.get(reverse("admin:profiles_delivery_changelist")).status_code == 200


def test_a_merge_of_others_tells_of_what_was_erased_without_it(superuser: Client, by: By) -> None:
    one, other = known("pos:1", by=by, first_name="One"), known("pos:2", f"web-shop:{SECRET}", by=by, first_name="Two")
    (done,) = merge(one, other, by=by)
    hers = known("pos:3", by=by, first_name="Hers")
    moving.move(one.identities.get(handle="web-shop").pk, to=hers.pk, reason="Hers.", by=by)

    erasing.purge(hers.pk, by=by)

    assert left(SECRET) == []
    assert superuser.get(change(done.pk, "profiles_merge")).status_code == 200
    assert "an identity that was erased" in read(superuser.get(reverse("admin:profiles_merge_undo", args=[done.pk])))


def test_who_was_merged_in_since_the_page_was_shown_is_not_erased_unseen(
    keeper: Client, zephyrine: Profile, by: By
) -> None:
    typed = filled(keeper, page(zephyrine.pk), **SURE)
    other = known("pos:99", by=by)
    merge(zephyrine, other, by=by)

    response = keeper.post(page(zephyrine.pk), typed, follow=True)

    assert "look again" in response.content.decode()
    assert Profile.objects.filter(pk__in=[zephyrine.pk, other.pk]).count() == 2
    keeper.post(page(zephyrine.pk), filled(keeper, page(zephyrine.pk), **SURE))
    assert not Profile.objects.filter(pk__in=[zephyrine.pk, other.pk]).exists()
