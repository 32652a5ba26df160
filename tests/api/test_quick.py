"""The short way to a look-up: the same answers as the view's, and nothing odd gets past its rules."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from django.db import OperationalError
from django.urls import resolve

from identities import lookup
from identities.models import Handle, Identity
from identities.views import IdentityViewSet
from omneo_identity.urls import quick
from tests.api.conftest import CARD

pytestmark = pytest.mark.django_db

SEARCH = f"/identities/search?handle={CARD}&identifier=1804974"


@pytest.fixture
def only_quick(monkeypatch):
    """Let nothing be answered by the view."""

    def fail(*args, **kwargs):
        raise AssertionError("the view was asked")

    monkeypatch.setattr(IdentityViewSet, "search", fail)


@pytest.fixture
def seen(monkeypatch) -> list[str]:
    """Which requests the view has answered."""
    asked: list[str] = []
    search = IdentityViewSet.search

    def note(self, request):
        asked.append(request.get_full_path())
        return search(self, request)

    monkeypatch.setattr(IdentityViewSet, "search", note)
    return asked


def test_every_short_way_is_a_route() -> None:
    for path in quick:
        assert resolve(path).route == path.removeprefix("/")


def test_a_good_look_up_does_not_ask_the_view(api, ada, only_quick) -> None:
    assert api.get(SEARCH).status_code == 200


@pytest.mark.parametrize(
    ("handle", "identifier"),
    [
        (CARD, "1804974"),
        (CARD, " 1804974 "),
        ("email", "ADA@example.com"),
        ("mobile_phone", "0404 123 123"),
        ("instagram", "ADA.lovelace"),
        ("former", "ADA.lovelace"),
        ("pos", "Zürich/1?&=#"),
    ],
)
def test_it_answers_what_the_view_answers(api, ada, seen, handle, identifier) -> None:
    Handle.objects.create(name="former", status="retired", renamed_to_id="instagram")
    api.identity(ada, "instagram", "Ada.Lovelace", is_active=False)
    api.identity(ada, "pos", "Zürich/1?&=#")
    path = f"/identities/search?{urlencode({'handle': handle, 'identifier': identifier})}"

    short = api.get(path)
    assert seen == []
    long = api.get(f"{path}&more=1")

    assert len(seen) == 1
    assert (short.status_code, short.content) == (long.status_code, long.content)
    for name in ("Content-Type", "Content-Length", "Content-Security-Policy", "X-Content-Type-Options"):
        assert short.headers[name] == long.headers[name]
    assert short.headers["X-Request-ID"]


def test_it_is_as_fresh_as_the_view(api, ada, only_quick) -> None:
    api.get(SEARCH)
    Identity.objects.filter(handle=CARD).update(is_active=False)

    assert api.get(SEARCH).json()["data"]["is_active"] is False


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/identities/search", 422),
        (f"/identities/search?handle={CARD}", 422),
        (f"/identities/search?handle={CARD}&identifier=", 422),
        (f"/identities/search?handle={CARD}&identifier=1%00", 422),
        (f"{SEARCH}&filter[x]=1", 422),
        (f"{SEARCH}&include=everything", 422),
        (f"/identities/search?handle={CARD}&identifier=77", 404),
        ("/identities/search?handle=nobody-knows-it&identifier=77", 404),
        (f"{SEARCH}&identifier=1804974", 200),
        (f"{SEARCH}&include=transactions", 200),
    ],
)
def test_whatever_is_odd_is_the_views(api, ada, seen, path, status) -> None:
    response = api.get(path)

    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/json"
    assert seen or status == 422


def test_a_token_is_asked_for_its_scope_and_its_limit(api, ada, caller) -> None:
    assert caller("read-profiles").get(SEARCH).status_code == 200
    assert caller("read-transactions").get(SEARCH).status_code == 403
    limited = caller(rate_limit=2)
    assert [limited.get(SEARCH).status_code for _one in range(3)] == [200, 200, 429]
    limited.token.revoke()
    assert limited.get(SEARCH).status_code == 401


def test_other_methods_hosts_and_bodies_are_the_views(api, ada, seen) -> None:
    assert api.call("POST", SEARCH).status_code == 405
    assert api.call("HEAD", SEARCH).status_code == 200
    assert api.call("GET", SEARCH, host="elsewhere.example").status_code == 400
    assert api.call("GET", SEARCH, transfer_encoding="chunked").status_code == 411
    assert api.call("GET", SEARCH, {"handle": "pos"}).status_code == 200
    assert len(seen) == 2


def test_a_database_that_does_not_answer_is_a_503_as_anywhere(api, ada, monkeypatch) -> None:
    def fail(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr(lookup, "search", fail)

    assert api.get(SEARCH).status_code == 503
