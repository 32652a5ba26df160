from __future__ import annotations

import datetime
import html
import re

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from identities import cataloguing
from identities.models import ApiToken, Extension, RoutingLogEntry
from omneo_identity.api.auth import SCOPES
from profiles.auditing import By
from profiles.models import Audit, Profile, Webhook
from tests.cast import route
from tests.staff import holding, links, member, read, rows, submit, url_of, user_of

LIST = "/admin/identities/extension/"
ADD = "/admin/identities/extension/add/"


def page(extension: Extension, name: str = "change") -> str:
    return reverse(f"admin:identities_extension_{name}", args=[extension.pk])


@pytest.fixture
def keeper(db: None) -> Client:
    return member("Admin")


def test_an_extension_is_added_with_an_account_that_nobody_signs_in_as(keeper):
    response = submit(keeper, ADD, slug="loyalty-app", name="Loyalty app", secret_variables="APP_SECRET\r\n")

    assert response.status_code == 302
    extension = Extension.objects.get(pk="loyalty-app")
    account = extension.service_account
    assert extension.secret_variables == ["APP_SECRET"]
    assert (account.username, account.is_staff, account.has_usable_password()) == (
        "extension-loyalty-app",
        False,
        False,
    )
    assert Audit.objects.get(auditable_type="extension").by == user_of(keeper)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"slug": "Loyalty App", "name": "x"}, "Use lower-case letters"),
        ({"slug": "klaviyo", "name": "x"}, "Extension with this Slug already exists."),
        ({"slug": "taken", "name": "x"}, "A user named extension-taken is in the way"),
        ({"slug": "new", "name": ""}, "This field is required."),
        ({"slug": "new", "name": "x", "secret_variables": "y" * 129}, "at most"),
        ({"slug": "a\0", "name": "x"}, "Null characters are not allowed."),
    ],
)
def test_bad_input_adds_neither_extension_nor_account(keeper, data, sentence):
    User.objects.create_user("extension-taken")
    extensions, users = Extension.objects.count(), User.objects.count()

    response = submit(keeper, ADD, **data)

    assert sentence in read(response)
    assert (Extension.objects.count(), User.objects.count()) == (extensions, users)


@pytest.mark.parametrize("name", ["shh-very-secret", "sk_live_51H", "9LIVES", "A B", "A=b", "É"])
def test_a_secret_variable_is_named_like_one(keeper, klaviyo, name):
    response = submit(keeper, page(klaviyo), secret_variables=f"GOOD\r\n{name}")

    assert "Use upper-case letters, digits and _." in read(response)
    klaviyo.refresh_from_db()
    assert klaviyo.secret_variables == []


def test_a_hand_made_post_changes_neither_slug_nor_state_nor_account(keeper, klaviyo):
    submit(keeper, page(klaviyo), name="K", slug="other", enabled="", service_account="1")

    klaviyo.refresh_from_db()
    assert (klaviyo.pk, klaviyo.name, klaviyo.enabled) == ("klaviyo", "K", True)
    assert klaviyo.service_account.username == "extension-klaviyo"


# Switching it off and on


def test_a_disabled_extension_is_refused_until_it_is_enabled_again(keeper, klaviyo):
    _token, plain = ApiToken.issue(
        user=klaviyo.service_account, name="Nightly", scopes=["read-profiles"], extension=klaviyo
    )

    def call() -> int:
        return Client().get("/api/v3/profiles", headers={"Authorization": f"Bearer {plain}"}).status_code

    assert call() == 200

    told = keeper.post(page(klaviyo, "disable"), follow=True)

    assert "Klaviyo is disabled." in read(told)
    assert "This extension is disabled: its tokens are refused." in read(told)
    assert call() == 401
    audit = Audit.objects.get()
    assert (audit.by, audit.old_values, audit.new_values) == (user_of(keeper), {"enabled": True}, {"enabled": False})

    back = url_of(told, "Enable it again")
    assert "These tokens of it are accepted again" in read(keeper.get(back))
    assert "Klaviyo is enabled." in read(keeper.post(back, follow=True))
    assert call() == 200


def test_disabling_says_what_stops(keeper, klaviyo):
    ApiToken.issue(user=klaviyo.service_account, name="Nightly", scopes=[], extension=klaviyo)
    ApiToken.issue(user=klaviyo.service_account, name="Gone", scopes=[], extension=klaviyo)[0].revoke()

    text = read(keeper.get(page(klaviyo, "disable")))

    assert "Disable Klaviyo?" in text
    assert "The token below is refused within seconds" in text
    assert "Last seen: never ; 0 writes today." in text
    assert "they stay reserved: klaviyo" in text
    assert "Nightly , last used: never" in text
    assert "Gone" not in text
    klaviyo.refresh_from_db()
    assert klaviyo.enabled


def test_disabling_says_that_its_webhooks_send_nothing(keeper, klaviyo, by):
    assert "webhook" not in read(keeper.get(page(klaviyo, "disable")))
    for active in (True, True, False):
        Webhook.objects.create(
            trigger="profile.updated", url="https://example.com/", user=klaviyo.service_account, is_active=active
        )
    Webhook.objects.create(trigger="profile.updated", url="https://example.com/", user=by.user)

    assert "2 webhooks of it send nothing meanwhile" in read(keeper.get(page(klaviyo, "disable")))


def test_an_extension_without_tokens_stops_nothing(keeper, klaviyo):
    assert "It has no token that is good" in read(keeper.get(page(klaviyo, "disable")))


@pytest.mark.parametrize(("name", "enabled"), [("disable", False), ("enable", True)])
def test_an_extension_that_is_so_already_stays_as_it_is(keeper, klaviyo, name, enabled):
    Extension.objects.filter(pk="klaviyo").update(enabled=enabled)

    assert f"This extension is {name}d already." in read(keeper.post(page(klaviyo, name)))
    assert not Audit.objects.exists()


def test_switching_off_twice_is_one_change(klaviyo, by):
    for _time in range(2):
        assert cataloguing.switch_extension(klaviyo, enabled=False, by=by).enabled is False

    assert Audit.objects.get().new_values == {"enabled": False}


def test_whatever_is_wrong_with_an_extension_it_can_be_switched_off(keeper, klaviyo):
    Extension.objects.filter(pk="klaviyo").update(secret_variables=["not a name"], name="")

    keeper.post(page(klaviyo, "disable"))

    klaviyo.refresh_from_db()
    assert klaviyo.enabled is False


def test_only_who_may_change_extensions_switches_one(klaviyo):
    editor = member("Editor")
    response = editor.get(page(klaviyo))

    for name in ("disable", "enable"):
        assert page(klaviyo, name) not in response.content.decode()
        assert editor.get(page(klaviyo, name)).status_code == 403
        assert editor.post(page(klaviyo, name)).status_code == 403
    klaviyo.refresh_from_db()
    assert klaviyo.enabled
    assert not Audit.objects.exists()


def test_no_extension_is_deleted(admin_client, klaviyo):
    assert admin_client.post(page(klaviyo, "delete"), {"post": "yes"}).status_code == 403


# Its health


def refuse(by: By, extension: Extension, number: int = 1, outcome: str = "refused", code: str = "") -> None:
    """Entries in the routing log of what this extension sent."""
    first = RoutingLogEntry.objects.count()
    RoutingLogEntry.objects.bulk_create(
        RoutingLogEntry(
            outcome=outcome, code=code, source=extension, kind="profile", by=by.user, fingerprint=f"{first + n}"
        )
        for n in range(number)
    )


def live(klaviyo: Extension, by: By) -> Profile:
    """A morning in the life of Klaviyo: two writes, three refusals, a token that was just used."""
    token, _plain = ApiToken.issue(user=klaviyo.service_account, name="Nightly", scopes=[], extension=klaviyo)
    token.mark_used()
    profile = route("klaviyo:01HX", by=By(klaviyo.service_account), source=klaviyo).profile
    refuse(by, klaviyo, 2, "refused", "blocked_identifier")
    refuse(by, klaviyo, 1, "identity_taken")
    return profile


def test_the_list_tells_how_each_is_doing(keeper, klaviyo, by):
    live(klaviyo, by)

    response = keeper.get(LIST)

    (row,) = (row for row in rows(response) if "Klaviyo" in row)
    assert row == "Klaviyo klaviyo enabled klaviyo just now 2 2 1"
    (row,) = (row for row in rows(response) if "Shopify" in row)
    assert row == "Shopify shopify enabled shopify never 0 0 0"
    addresses = [url for text, url in links(response) if text.isdecimal()]
    assert [len(rows(keeper.get(url))) for url in addresses] == [2, 2, 1]


def test_yesterdays_writes_and_reviewed_refusals_are_no_longer_told(keeper, klaviyo, by):
    live(klaviyo, by)
    Audit.objects.update(created_at=timezone.now() - datetime.timedelta(days=1))
    RoutingLogEntry.objects.update(review_status="reviewed")

    (row,) = (row for row in rows(keeper.get(LIST)) if "Klaviyo" in row)

    assert row == "Klaviyo klaviyo enabled klaviyo just now 0 0 0"


def test_the_list_costs_the_same_for_few_and_for_many(keeper, klaviyo, by, django_assert_num_queries):
    live(klaviyo, by)
    with django_assert_num_queries(8):
        assert len(rows(keeper.get(LIST))) == 7
    for number in range(43):
        made = cataloguing.create_extension({"slug": f"app-{number}", "name": f"App {number}"}, by=by)
        cataloguing.create({"name": f"app-{number}-id", "reserved_for": made, "status": "agreed"}, by=by)
        live_token, _plain = ApiToken.issue(user=made.service_account, name="T", scopes=[], extension=made)
        live_token.mark_used()
        refuse(by, made)

    with django_assert_num_queries(8):
        assert len(rows(keeper.get(LIST))) == 50


def test_the_page_tells_how_it_is_doing_and_leads_to_the_lists(keeper, klaviyo, by):
    live(klaviyo, by)

    response = keeper.get(page(klaviyo))

    text = read(response)
    for told in ("Last seen just now", "Writes today 2", "Refused identities 2", "Taken identities 1", "Identities 1"):
        assert told in text
    assert "Refused The value names nobody blocked_identifier 2 Identity taken Another profile has it 1" in text
    found = [(text, url) for text, url in links(response) if text.isdecimal()]
    assert len(found) >= 6
    for number, url in found:
        assert len(rows(keeper.get(url))) == int(number), url
    today = f"{timezone.localdate():%B} {timezone.localdate().day}"
    ((url, told),) = re.findall(r'<a href="([^"]+)" aria-label="([^"]+)"><rect', response.content.decode())
    assert told == f"{today}: 2 writes"
    assert len(rows(keeper.get(html.unescape(url)))) == 2


def test_an_extension_that_did_nothing_says_so(keeper, klaviyo):
    text = read(keeper.get(page(klaviyo)))

    for sentence in (
        "Last seen never",
        "It has written nothing in the last 14 days.",
        "Nothing that it sent was refused and waits for a review.",
        "This extension has no tokens, so nothing can call on its behalf.",
        "It shares no secret.",
    ):
        assert sentence in text


def test_the_page_names_the_handles_that_it_claims(keeper, klaviyo, by):
    live(klaviyo, by)

    assert "Klaviyo profile klaviyo 1" in read(keeper.get(page(klaviyo)))


def test_the_page_lists_its_tokens_good_ones_first(keeper, klaviyo):
    now = timezone.now()
    for name, expires_at in (
        ("Last year's", now - datetime.timedelta(days=1)),
        ("This year's", now + datetime.timedelta(days=5, hours=1)),
        ("For ever", None),
    ):
        ApiToken.issue(
            user=klaviyo.service_account,
            name=name,
            scopes=["read-profiles"],
            extension=klaviyo,
            expires_at=expires_at,
        )
    ApiToken.issue(user=klaviyo.service_account, name="Lost", scopes=SCOPES, extension=klaviyo)[0].revoke()

    text = read(keeper.get(page(klaviyo)))

    assert re.search(
        "For ever current Read profiles never never Revoke"
        " This year's expires in 5 days Read profiles [^R]+ never Revoke"
        " Last year's expired Read profiles [^R]+ never Revoke"
        " Lost revoked everything never never All its tokens",
        text,
    )
    assert "The token This year's expires in 5 days. Issue the next one" in text


def test_an_extension_whose_tokens_are_all_spent_is_told_of(keeper, klaviyo):
    ApiToken.issue(user=klaviyo.service_account, name="Lost", scopes=[], extension=klaviyo)[0].revoke()

    assert "None of its tokens is good any more" in read(keeper.get(page(klaviyo)))


def test_a_token_is_revoked_from_the_page_and_back_to_it(keeper, klaviyo):
    token, _plain = ApiToken.issue(user=klaviyo.service_account, name="Nightly", scopes=[], extension=klaviyo)

    response = keeper.post(url_of(keeper.get(page(klaviyo)), "Revoke"))

    assert response["Location"] == f"{page(klaviyo)}#tokens"
    token.refresh_from_db()
    assert token.revoked_at is not None


def test_the_page_says_which_secrets_are_there_and_none_of_them(keeper, klaviyo, monkeypatch, tmp_path):
    hidden = "correct horse battery staple"
    (tmp_path / "secret").write_text(hidden)
    monkeypatch.setenv("IN_ENVIRONMENT", hidden)
    monkeypatch.setenv("IN_FILE_FILE", str(tmp_path / "secret"))
    monkeypatch.setenv("LOST_FILE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("BLANK", "  ")
    names = ["IN_ENVIRONMENT", "IN_FILE", "LOST", "BLANK", "NOWHERE"]
    Extension.objects.filter(pk="klaviyo").update(secret_variables=names)

    response = keeper.get(page(klaviyo))

    assert "IN_ENVIRONMENT set IN_FILE set LOST not set BLANK not set NOWHERE not set" in read(response)
    assert hidden not in response.content.decode()


PANELS = {
    "identities.view_routinglogentry": "Refusals that nobody has reviewed",
    "identities.view_handle": "Handles that only it writes",
    "identities.view_apitoken": "This extension has no tokens",
}


@pytest.mark.parametrize("needed", PANELS)
def test_a_panel_is_only_for_those_who_may_see_its_list(klaviyo, needed):
    url = page(klaviyo)

    assert PANELS[needed] in read(holding("identities.view_extension", needed).get(url))
    others = sorted(set(PANELS) - {needed})
    assert PANELS[needed] not in read(holding("identities.view_extension", *others).get(url))


def test_numbers_lead_nowhere_for_those_who_may_not_see_the_list(klaviyo, by):
    live(klaviyo, by)
    viewer = holding("identities.view_extension")

    for url in (LIST, page(klaviyo)):
        assert not [text for text, _url in links(viewer.get(url)) if text.isdecimal()]


def test_the_page_costs_the_same_for_few_tokens_and_for_many(keeper, klaviyo, by, django_assert_num_queries):
    live(klaviyo, by)
    keeper.get(page(klaviyo))  # Content types are read once a process.
    with CaptureQueriesContext(connection) as few:
        keeper.get(page(klaviyo))
    assert len(few) == 15
    soon = timezone.now() + datetime.timedelta(days=2)
    for number in range(50):
        ApiToken.issue(
            user=klaviyo.service_account, name=f"{number}", scopes=SCOPES, extension=klaviyo, expires_at=soon
        )
        cataloguing.create({"name": f"k-{number}", "reserved_for": klaviyo, "status": "agreed"}, by=by)
        refuse(by, klaviyo, 1, "refused", f"code_{number}")
        route(f"klaviyo:{number + 100}", by=By(klaviyo.service_account), source=klaviyo)

    with django_assert_num_queries(len(few)):
        keeper.get(page(klaviyo))


def test_what_an_extension_is_called_is_text_on_its_pages(keeper, klaviyo):
    attack = '"><script>alert(1)</script>'
    Extension.objects.filter(pk="klaviyo").update(name=attack)
    ApiToken.issue(user=klaviyo.service_account, name=attack, scopes=[attack], extension=klaviyo)

    for url in (LIST, *(page(klaviyo, name) for name in ("change", "disable", "issue_token"))):
        response = keeper.get(url)
        assert "<script>alert" not in response.content.decode()
        assert "alert(1)" in read(response)
