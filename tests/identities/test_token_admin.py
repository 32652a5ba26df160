from __future__ import annotations

import datetime
import re
import zoneinfo
from collections import Counter

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from identities import issuing
from identities.admin import scopes
from identities.models import ApiToken, Extension
from omneo_identity.api.auth import SCOPES
from profiles.auditing import By
from profiles.models import Audit
from tests.staff import filled, holding, issued, links, member, read, rows, url_of, user_of

LIST = "/admin/identities/apitoken/"
ADD = "/admin/identities/apitoken/add/"


def page(token: ApiToken, name: str = "change") -> str:
    return reverse(f"admin:identities_apitoken_{name}", args=[token.pk])


def issue_url(extension: Extension) -> str:
    return reverse("admin:identities_extension_issue_token", args=[extension.pk])


@pytest.fixture
def keeper(db: None) -> Client:
    return member("Admin")


@pytest.fixture
def token(keeper: Client) -> ApiToken:
    token, _plain = ApiToken.issue(user=user_of(keeper), name="Mine", scopes=["read-profiles"])
    return token


def of(extension: Extension, name: str = "Nightly", **fields: object) -> ApiToken:
    """A token of this extension."""
    values = {"scopes": ["read-profiles"], **fields}
    return ApiToken.issue(user=extension.service_account, name=name, extension=extension, **values)[0]  # type: ignore[arg-type]


def ticked(client: Client, url: str) -> set[str]:
    """The scopes whose boxes are ticked."""
    return set(re.findall(r'name="scopes" value="([^"]+)" id="[^"]+" checked', client.get(url).content.decode()))


# Issuing


def test_staff_issue_a_token_for_themselves(keeper):
    response = keeper.post(ADD, {"name": "Report", "scopes": ["read-profiles"], "expires_on": "2999-12-31"})

    token, _plain = issued(response)
    assert (token.user, token.extension, token.scopes) == (user_of(keeper), None, ["read-profiles"])
    assert token.expires_at == datetime.datetime(3000, 1, 1, tzinfo=datetime.UTC)
    assert "no-store" in response["Cache-Control"]


def test_a_token_is_issued_for_an_extension_and_shown_once(keeper, klaviyo):
    url = issue_url(klaviyo)

    response = keeper.post(url, {"name": "Nightly", "scopes": ["read-profiles", "create-identities"]})

    token, plain = issued(response)
    assert (token.name, token.extension, token.user) == ("Nightly", klaviyo, klaviyo.service_account)
    assert (token.scopes, token.expires_at) == (["read-profiles", "create-identities"], None)
    assert "no-store" in response["Cache-Control"]
    secret = plain.rpartition("_")[2]
    assert secret not in str(dict(keeper.session.items())) + str(keeper.cookies)
    later = (url, LIST, page(token), page(token, "revoke"), f"{url}?like={token.pk}", "/admin/")
    for shown in (*later, reverse("admin:identities_extension_change", args=["klaviyo"])):
        assert secret not in keeper.get(shown).content.decode()
    audit = Audit.objects.get(event="created")
    assert (audit.by, audit.auditable_key) == (user_of(keeper), str(token.pk))
    assert secret not in str(audit.new_values)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"name": "", "scopes": ["read-profiles"]}, "This field is required."),
        ({"name": "x", "scopes": []}, "Tick at least one box"),
        ({"name": "x", "scopes": ["wider-scope"]}, "Select a valid choice."),
        ({"name": "x", "scopes": ["read-profiles\0"]}, "Select a valid choice."),
        ({"name": "x", "scopes": ["read-profiles"], "expires_on": "2020-01-01"}, "the past"),
        ({"name": "x", "scopes": ["read-profiles"], "expires_on": "9999-12-31"}, "too far in the future"),
        ({"name": "x", "scopes": ["read-profiles"], "expires_on": "soon"}, "Enter a valid date."),
        ({"name": "x", "scopes": ["read-profiles"], "expires_on": "0000-00-00"}, "Enter a valid date."),
        ({"name": "x", "scopes": ["read-profiles"], "rate_limit": "0"}, "greater than or equal to 1"),
        ({"name": "x", "scopes": ["read-profiles"], "rate_limit": "9" * 30}, "less than or equal to"),
        ({"name": "x\0", "scopes": ["read-profiles"]}, "Null characters are not allowed."),
        ({"name": "x" * 256, "scopes": ["read-profiles"]}, "at most 255 characters"),
    ],
)
def test_bad_input_issues_no_token(keeper, klaviyo, data, sentence):
    assert sentence in read(keeper.post(issue_url(klaviyo), data))
    assert not ApiToken.objects.exists()


def test_what_was_typed_is_still_there_after_bad_input(keeper, klaviyo):
    data = {"name": "", "scopes": ["read-profiles", "merge-profiles"], "rate_limit": "60"}

    response = keeper.post(issue_url(klaviyo), data)

    found = re.findall(r'value="([^"]+)" id="[^"]+" checked', response.content.decode())
    assert found == ["read-profiles", "merge-profiles"]
    assert 'value="60"' in response.content.decode()


@pytest.mark.parametrize("zone", ["Australia/Melbourne", "America/Los_Angeles", "UTC"])
def test_a_token_works_until_the_end_of_its_last_day_where_the_reader_is(keeper, klaviyo, zone):
    keeper.cookies["zone"] = zone

    token, _plain = issued(
        keeper.post(issue_url(klaviyo), {"name": "x", "scopes": ["read-profiles"], "expires_on": "2999-06-30"})
    )

    assert token.expires_at == datetime.datetime(2999, 7, 1, tzinfo=zoneinfo.ZoneInfo(zone))


def test_today_is_a_last_day_too(keeper, klaviyo):
    today = timezone.localdate().isoformat()

    token, _plain = issued(
        keeper.post(issue_url(klaviyo), {"name": "x", "scopes": ["read-profiles"], "expires_on": today})
    )

    assert token.expires_at is not None
    assert timezone.now() < token.expires_at <= timezone.now() + datetime.timedelta(days=1)


def test_issuing_demands_the_permission_of_tokens(klaviyo):
    editor = member("Editor")
    url = issue_url(klaviyo)

    assert url not in editor.get(reverse("admin:identities_extension_change", args=["klaviyo"])).content.decode()
    for address in (url, ADD):
        assert editor.get(address).status_code == 403
        assert editor.post(address, {"name": "x", "scopes": ["read-profiles"]}).status_code == 403
    assert not ApiToken.objects.exists()


# Scopes in words


def test_every_scope_has_one_box_with_words_beside_its_name(keeper, klaviyo):
    named = Counter(scope for group in scopes.GROUPS for scope in group.words)
    assert named == Counter(SCOPES)

    response = keeper.get(issue_url(klaviyo))

    content = response.content.decode()
    for scope in SCOPES:
        assert content.count(f'name="scopes" value="{scope}"') == 1
        assert f'<label for="scope-{scope}">' in content
    text = read(response)
    assert "Profiles Read profiles read-profiles Add profiles create-profiles Change profiles update-profiles" in text
    assert content.count("<legend>") == len(scopes.GROUPS) == content.count('<fieldset class="panel scopes"')
    assert "name" in filled(keeper, issue_url(klaviyo))


def test_the_form_begins_with_what_is_often_wanted(keeper, klaviyo):
    url = issue_url(klaviyo)
    response = keeper.get(url)

    assert ticked(keeper, url) == set()
    assert ticked(keeper, url + url_of(response, "Look up only")) == {
        "read-profiles",
        "read-identities",
        "read-handles",
    }
    assert "update-profiles" in ticked(keeper, url + url_of(response, "Look up and write"))
    assert ticked(keeper, url + url_of(response, "Everything")) == set(SCOPES)


def test_a_token_is_followed_by_one_like_it(keeper, klaviyo):
    token = of(klaviyo, scopes=["read-profiles", "wider-scope"], rate_limit=60)

    url = url_of(keeper.get(page(token)), "Issue another like it")

    assert ticked(keeper, url) == {"read-profiles"}
    assert filled(keeper, url)["name"] == "Nightly"
    assert filled(keeper, url)["rate_limit"] == "60"


@pytest.mark.parametrize("query", ["start=x", "start=", "like=x", "like=99999999999999999999", "like=-1", "like=²"])
def test_a_beginning_that_is_none_begins_with_nothing(keeper, klaviyo, query):
    assert ticked(keeper, f"{issue_url(klaviyo)}?{query}") == set()


def test_only_the_accounts_own_tokens_are_copied(keeper, token, klaviyo, shopify):
    assert ticked(keeper, f"{issue_url(klaviyo)}?like={token.pk}") == set()
    assert ticked(keeper, f"{issue_url(klaviyo)}?like={of(shopify).pk}") == set()
    assert ticked(keeper, f"{issue_url(klaviyo)}?like={of(klaviyo).pk}") == {"read-profiles"}
    blind = holding("identities.add_apitoken", "identities.view_extension")
    assert ticked(blind, f"{issue_url(klaviyo)}?like={of(klaviyo).pk}") == set()


def test_nobody_is_offered_a_token_for_another_person(keeper, operator):
    token, _plain = ApiToken.issue(user=operator, name="Theirs", scopes=[])

    assert "Issue another like it" not in read(keeper.get(page(token)))


# Looking


def test_the_page_tells_all_of_a_token_in_words(keeper, klaviyo):
    token, _plain = issuing.issue(
        user=klaviyo.service_account,
        name="Nightly",
        scopes=["read-profiles", "merge-profiles", "<b>wider</b>"],
        extension=klaviyo,
        rate_limit=60,
        by=By(user_of(keeper)),
        expires_at=timezone.now() + datetime.timedelta(days=5, hours=1),
    )

    text = read(keeper.get(page(token)))

    for told in (
        "Speaks for: Klaviyo",
        "State: expires in 5 days",
        "Profiles Read profiles read-profiles Merge profiles merge-profiles",
        "Not known here <b>wider</b> grants nothing",
        "Rate limit: 60 requests per minute",
        "Last used: never",
        "by one of Admin Key:",
    ):
        assert told in text


def test_a_token_that_may_do_nothing_and_came_without_an_audit_is_shown(keeper, operator):
    token, _plain = ApiToken.issue(user=operator, name="Bare", scopes=[])

    text = read(keeper.get(page(token)))

    assert "Speaks for: operator (staff)" in text
    assert "May: nothing" in text
    assert re.search("Issued: just now [^b]+ Key:", text)


def test_the_list_says_which_tokens_are_good(keeper, token, klaviyo, shopify):
    now = timezone.now()
    of(klaviyo, "Old", expires_at=now - datetime.timedelta(days=1))
    of(klaviyo, "Ending", expires_at=now + datetime.timedelta(days=3, hours=1))
    of(klaviyo, "Gone").revoke()
    Extension.objects.filter(pk="shopify").update(enabled=False)
    of(shopify, "Off")
    left = User.objects.create_user("left", is_active=False)
    ApiToken.issue(user=left, name="Left", scopes=SCOPES)

    found = rows(keeper.get(LIST))

    assert [re.sub(r" (never|[A-Z][a-z]+\.? \d+, \d+) never", "", row) for row in found] == [
        "Left left (staff) refused: the account is not active everything",
        "Off Shopify refused: the extension is disabled Read profiles",
        "Gone Klaviyo revoked Read profiles",
        "Ending Klaviyo expires in 3 days Read profiles",
        "Old Klaviyo expired Read profiles",
        "Mine one of Admin (staff) current Read profiles",
    ]
    for state, number in (("current", 4), ("expiring", 1), ("expired", 1), ("revoked", 1), ("x", 6)):
        assert len(rows(keeper.get(LIST, {"state": state}))) == number, state
    for extension, number in (("klaviyo", 3), ("shopify", 1), ("staff", 2), ("nobody", 0)):
        assert len(rows(keeper.get(LIST, {"extension": extension}))) == number, extension
    assert len(rows(keeper.get(LIST, {"q": token.key}))) == 1
    assert len(rows(keeper.get(LIST, {"q": token.key[:-1]}))) == 0


def test_a_token_is_never_edited_or_deleted(admin_client, token):
    response = admin_client.get(page(token))

    assert "Save" not in read(response)
    assert token.digest not in response.content.decode()
    assert admin_client.post(page(token), {"scopes": "x"}).status_code == 403
    assert admin_client.post(page(token, "delete"), {"post": "yes"}).status_code == 403


# Revoking


def test_a_token_is_revoked_after_a_question_and_refused_from_then_on(keeper, klaviyo):
    token, plain = ApiToken.issue(
        user=klaviyo.service_account, name="Nightly", scopes=["read-profiles"], extension=klaviyo
    )

    def call() -> int:
        return Client().get("/api/v3/profiles", headers={"Authorization": f"Bearer {plain}"}).status_code

    assert call() == 200
    asked = read(keeper.get(page(token, "revoke")))
    assert call() == 200
    told = keeper.post(page(token, "revoke"), follow=True)

    assert "Revoke Nightly?" in asked
    assert "It was last used: just now" in asked
    assert "Nightly was revoked." in read(told)
    assert call() == 401
    assert Audit.objects.get(event="revoked").by == user_of(keeper)
    # In the message, and among the page's tools.
    ways_on = [url for text, url in links(told) if text == "Issue another like it"]
    assert ways_on == [f"{issue_url(klaviyo)}?like={token.pk}"] * 2


def test_a_revoked_token_stays_revoked_since_then(keeper, token):
    token.revoke()
    before = ApiToken.objects.values().get()

    response = keeper.post(page(token, "revoke"))

    assert "This token was revoked already." in read(response)
    assert ApiToken.objects.values().get() == before
    assert not Audit.objects.exists()


def test_revoking_leads_nowhere_else(keeper, token):
    for to in ("extension", "https://evil.example", "x"):
        again, _plain = ApiToken.issue(user=user_of(keeper), name="Mine", scopes=[])
        response = keeper.post(f"{page(again, 'revoke')}?to={to}")
        assert response["Location"] == page(again)


def test_readers_and_editors_only_look(token):
    for group in ("Reader", "Editor"):
        client = member(group)
        response = client.get(page(token))
        assert "Revoke" not in read(response)
        assert "Issue another" not in read(response)
        assert client.get(ADD).status_code == 403
        assert client.post(ADD, {"name": "x", "scopes": ["read-profiles"]}).status_code == 403
        assert client.post(page(token, "revoke")).status_code == 403
    token.refresh_from_db()
    assert token.revoked_at is None
