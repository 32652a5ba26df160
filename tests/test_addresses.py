"""Whose address the audit keeps, with and without proxies in front, and what a client can make it believe."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from identities.models import ApiToken
from profiles.models import Audit
from tests.staff import member, submit

PEER = "198.51.100.1"


@pytest.fixture
def audited(db: None, settings: Any) -> Any:
    """The address that the audit keeps of a request with this header, from this peer, behind so many proxies."""

    editor = member("Editor")

    def audited(forwarded: str | None, *, proxies: int, peer: str = PEER) -> str | None:
        settings.PROXIES = proxies
        editor.defaults["REMOTE_ADDR"] = peer
        editor.defaults.pop("HTTP_X_FORWARDED_FOR", None)
        if forwarded is not None:
            editor.defaults["HTTP_X_FORWARDED_FOR"] = forwarded
        assert submit(editor, "/admin/profiles/profile/add/", first_name="Ada").status_code == 302
        return Audit.objects.latest("pk").ip_address

    return audited


def test_the_first_entry_that_our_proxies_wrote_is_the_client(audited: Any) -> None:
    assert audited("203.0.113.7", proxies=1) == "203.0.113.7"
    assert audited("203.0.113.7, 10.0.0.2", proxies=2) == "203.0.113.7"
    assert audited("203.0.113.7,10.0.0.2,10.0.0.3", proxies=3) == "203.0.113.7"


@pytest.mark.parametrize(
    "sent", ["192.0.2.66", "192.0.2.66, 192.0.2.67", "unknown, ,192.0.2.66", "'; DROP TABLE x", ","]
)
def test_what_the_client_sends_itself_is_not_believed(audited: Any, sent: str) -> None:
    assert audited(sent, proxies=0) == PEER
    assert audited(f"{sent}, 203.0.113.7", proxies=1) == "203.0.113.7"
    assert audited(f"{sent}, 203.0.113.7, 10.0.0.2", proxies=2) == "203.0.113.7"


@pytest.mark.parametrize("sent", [None, "", "192.0.2.66"])
def test_a_request_past_the_proxies_has_the_address_of_its_connection(audited: Any, sent: str | None) -> None:
    assert audited(sent, proxies=2) == PEER


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("203.0.113.7:52044", "203.0.113.7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("[2001:db8::7]:52044", "2001:db8::7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", PEER),
        ("_hidden", PEER),
        ("203.0.113.256", PEER),
        ("", PEER),
        ("1" * 10_000, PEER),
        (":" * 10_000, PEER),
    ],
)
def test_addresses_are_read_in_the_spellings_of_proxies(audited: Any, written: str, kept: str) -> None:
    assert audited(written, proxies=1) == kept


@pytest.mark.parametrize(("peer", "kept"), [("::ffff:127.0.0.1", "127.0.0.1"), ("", None), ("unix:", None)])
def test_the_connection_itself_may_be_of_two_kinds_or_have_no_address(audited: Any, peer: str, kept: str) -> None:
    assert audited(None, proxies=0, peer=peer) == kept


def test_the_api_keeps_the_same_address(by: Any, settings: Any) -> None:
    settings.PROXIES = 1
    _token, plain = ApiToken.issue(user=by.user, name="Shop", scopes=["create-profiles"])

    answer = Client().post(
        "/api/v3/profiles",
        b'{"first_name": "Ada"}',
        "application/json",
        headers={"Authorization": f"Bearer {plain}", "X-Forwarded-For": "192.0.2.66, 203.0.113.7"},
    )

    assert answer.status_code == 201
    assert Audit.objects.latest("pk").ip_address == "203.0.113.7"
