"""GET /profiles/{id}/export: everything held about the person, to whoever may read all of it."""

from __future__ import annotations

import gc
import json
import uuid
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIHandler
from django.db import connection
from django.test import Client, RequestFactory

from profiles.models import Audit, Event, Profile, Webhook
from profiles.reacting import taking_up
from profiles.views.profile import EXPORT
from tests.api.conftest import CARD, not_found, sale
from tests.staff import holding, links, member, read

LOCATION = "http://testserver/api/v3/profiles/{}/export"


def export(api: Any, pk: str) -> Any:
    response = api.get(f"/profiles/{pk}/export")
    assert response.status_code == 200, response.content
    return response


def told(response: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(response.getvalue())
    return data


@pytest.fixture
def ada_known(api, ada) -> Any:
    """Ada, who has a card, with a sale."""
    api.record("transactions", sale(f"{CARD}:1804974"))
    return ada


def test_an_export_is_one_object_that_holds_what_the_other_answers_hold(api, ada_known) -> None:
    response = export(api, ada_known["id"])

    assert (response["Content-Type"], response["Cache-Control"]) == ("application/json", "no-store")
    document = told(response)
    assert list(document) == ["data"]
    data = document["data"]
    assert data["profile"] == api.data(f"/profiles/{ada_known['id']}")
    assert data["balances"] == api.data(f"/profiles/{ada_known['id']}/balances")
    (shown,) = api.data(f"/profiles/{ada_known['id']}/transactions")
    assert shown.items() >= {key: one for key, one in data["transactions"][0].items() if key in WHAT}.items()
    (card,) = api.data(f"/profiles/{ada_known['id']}/identities")
    assert card.items() <= next(one for one in data["identities"] if one["id"] == card["id"]).items()


WHAT = {"id", "profile_id", "total", "transacted_at", "identities", "addressed", "source", "created_at"}


def test_a_merged_id_answers_for_the_survivor(api, ada, bo) -> None:
    body = {"source_profile_id": bo["id"], "destination_profile_id": ada["id"]}
    assert api.post("/profiles/merge", body).status_code == 200

    response = export(api, bo["id"])

    assert response["Content-Location"] == LOCATION.format(ada["id"])
    data = told(response)["data"]
    assert (data["profile"]["id"], data["merged_from"]) == (ada["id"], bo["id"])
    assert {one["id"] for one in data["profiles"]} == {ada["id"], bo["id"]}
    assert "Content-Location" not in export(api, ada["id"])


def test_a_deleted_profile_is_exported(api, ada) -> None:
    assert api.delete(f"/profiles/{ada['id']}").status_code == 204

    assert told(export(api, ada["id"]))["data"]["profile"]["profile_type"] == "deleted"


@pytest.mark.parametrize("pk", [str(uuid.UUID(int=7)), "0", "no-uuid", "'; DROP TABLE profiles_profile; --"])
def test_nobody_is_a_404(api, ada, pk) -> None:
    not_found(api.get(f"/profiles/{pk}/export"))


def test_an_export_is_audited_with_the_token(api, ada) -> None:
    export(api, ada["id"])

    entry = Audit.objects.get(event="exported")
    assert (entry.auditable_type, entry.auditable_key, str(entry.profile_id)) == ("profile", ada["id"], ada["id"])
    assert (entry.token_name, entry.url) == (api.token.name, f"/api/v3/profiles/{ada['id']}/export")


@pytest.mark.parametrize("lacking", sorted(EXPORT))
def test_a_token_that_could_not_read_all_of_it_gets_nothing(caller, ada, lacking) -> None:
    response = caller(*EXPORT - {lacking}).get(f"/profiles/{ada['id']}/export")

    assert response.status_code == 403
    assert lacking in response.json()["message"]
    assert not Audit.objects.filter(event="exported").exists()


# In the admin


def url_of(profile: Profile) -> str:
    return f"/admin/profiles/profile/{profile.pk}/export/"


@pytest.fixture
def admin(db: None) -> Client:
    return member("Admin")


@pytest.fixture
def person(db: None) -> Profile:
    return Profile.objects.create(first_name="Ada", last_name="Lovelace")


def test_staff_are_asked_before_they_get_the_file(admin: Client, person: Profile) -> None:
    page = admin.get(f"/admin/profiles/profile/{person.pk}/change/")
    assert ("Export", url_of(person)) in links(page)

    asked = admin.get(url_of(person))

    assert "Export everything about Ada Lovelace?" in read(asked)
    assert not Audit.objects.filter(event="exported").exists()


def test_the_file_is_a_download_that_nothing_keeps(admin: Client, person: Profile) -> None:
    response: Any = admin.post(url_of(person))

    assert response["Content-Disposition"] == f'attachment; filename="profile-{person.pk}.json"'
    assert response["Content-Type"] == "application/json"
    assert "no-store" in response["Cache-Control"]
    assert told(response)["profile"]["full_name"] == "Ada Lovelace"
    assert Audit.objects.get(event="exported").profile == person
    assert "exported all that is held about Ada Lovelace" in read(admin.get("/admin/"))


def test_who_may_not_reveal_identifiers_gets_no_export(person: Profile) -> None:
    reader = member("Reader")
    page = reader.get(f"/admin/profiles/profile/{person.pk}/change/")

    assert "Export" not in [text for text, _url in links(page)]
    assert reader.post(url_of(person)).status_code == 403
    assert holding("profiles.view_profile", "identities.reveal_identity").post(url_of(person)).status_code == 403
    assert not Audit.objects.filter(event="exported").exists()


@pytest.mark.django_db(transaction=True)
def test_a_client_that_hangs_up_ends_the_transaction_at_once(api) -> None:
    """The next request on its thread has the same connection, which must not wait for the garbage collection."""
    url = f"/api/v3/profiles/{api.profile(first_name='Ada')['id']}/export"
    request = RequestFactory().get(url, headers={"Authorization": f"Bearer {api.plain}"})
    gc.disable()
    try:
        response = WSGIHandler()(request.environ, lambda *_args: None)  # type: ignore[arg-type]
        pieces = iter(response)
        next(pieces)
        next(pieces)
        assert connection.in_atomic_block

        response.close()

        assert not connection.in_atomic_block
    finally:
        gc.enable()


def test_the_secret_in_the_address_of_a_webhook_is_not_given_away(api, ada, operator) -> None:
    Webhook.objects.create(
        trigger="profile.updated", url="https://hooks.example.com/services/T0/SECRET", user=operator
    )
    assert api.put(f"/profiles/{ada['id']}", {"company": "Analytical"}).status_code == 200
    for event in Event.objects.all():
        taking_up.take_up(event.pk, give_up=False)

    text = export(api, ada["id"]).getvalue().decode()

    assert "https://hooks.example.com" in text
    assert "SECRET" not in text
