"""Bearer tokens, their scopes, and the routes that make and revoke them (API.md 1 and 6)."""

from __future__ import annotations

import datetime

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from identities.models import ApiToken, Extension
from omneo_identity.api.auth import SCOPES
from profiles.models import Audit
from tests.api.conftest import Caller, not_found, refused

pytestmark = pytest.mark.django_db

UNAUTHENTICATED = {"message": "Unauthenticated."}
FIELDS = ["id", "user_id", "client_id", "name", "scopes", "revoked", "created_at", "updated_at", "expires_at"]


def shut_out(caller: Caller) -> None:
    for method, path in (("GET", "/profiles"), ("POST", "/profiles"), ("GET", "/auth/verify"), ("GET", "/nothing")):
        response = caller.call(method, path)
        if path == "/nothing":
            not_found(response)
            continue
        assert (response.status_code, response.json()) == (401, UNAUTHENTICATED)
        assert response.headers["WWW-Authenticate"] == "Bearer"


def ids(response) -> set[str]:
    assert response.status_code == 200
    return {token["id"] for token in response.json()}


# Who is let in


def test_a_token_lets_in(api) -> None:
    assert api.get("/profiles").status_code == 200


def test_no_token_is_a_401(db, unchanged) -> None:
    with unchanged():
        shut_out(Caller(""))


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        "Bearer omneo_",
        "Bearer omneo__",
        "Bearer omneo_0123456789abcdef_" + "0" * 64,
        "Bearer " + "x" * 10_000,
        "Bearer a b",
        "Bearer \u00e9",
        "Basic b3BlcmF0b3I6cGFzc3dvcmQ=",
        "Token {plain}",
        "{plain}",
        "Bearer {plain}x",
        "Bearer x{plain}",
        "Bearer {plain} {plain}",
        "Bearer omneo_'; DROP TABLE identities_apitoken; --_x",
    ],
)
def test_a_token_that_is_none_is_a_401(api, header) -> None:
    header = header.replace("{plain}", api.plain)

    response = Caller("").call("GET", "/profiles", Authorization=header)

    assert (response.status_code, response.json()) == (401, UNAUTHENTICATED)


def test_the_word_bearer_has_no_case(api) -> None:
    assert Caller("").call("GET", "/profiles", Authorization=f"bearer  {api.plain} ").status_code == 200


def test_a_secret_of_another_token_does_not_fit(api, caller) -> None:
    key = api.plain.split("_")[1]
    secret = caller().plain.split("_")[2]

    shut_out(Caller(f"omneo_{key}_{secret}"))


def test_an_expired_token_is_a_401(caller) -> None:
    now = timezone.now()

    shut_out(caller(expires_at=now - datetime.timedelta(seconds=1)))
    assert caller(expires_at=now + datetime.timedelta(minutes=1)).get("/profiles").status_code == 200


def test_a_revoked_token_is_a_401(api) -> None:
    api.token.revoke()

    shut_out(api)


def test_a_disabled_extensions_token_is_a_401_until_it_is_enabled(shopify) -> None:
    Extension.objects.filter(pk="shopify").update(enabled=False)
    shut_out(shopify)

    Extension.objects.filter(pk="shopify").update(enabled=True)
    assert shopify.get("/profiles").status_code == 200


def test_an_inactive_users_token_is_a_401(api, operator) -> None:
    User.objects.filter(pk=operator.pk).update(is_active=False)

    shut_out(api)


def test_a_session_is_no_token(client, operator) -> None:
    client.force_login(operator)

    assert client.get("/api/v3/profiles").status_code == 401


def test_without_the_scope_it_is_a_403_that_names_it(caller, ada, unchanged) -> None:
    reader = caller("read-profiles")

    with unchanged():
        response = reader.put(f"/profiles/{ada['id']}", {"first_name": "Changed"})

    assert response.status_code == 403
    assert response.json() == {"message": "The token lacks the scope update-profiles."}


@pytest.mark.parametrize("scope", ["update-profiles", "create-identities"])
def test_writing_identities_needs_update_profiles_or_the_identities_scope(caller, ada, scope) -> None:
    assert caller(scope).identity(ada, "pos", "1")["identifier"] == "1"


@pytest.mark.parametrize(
    ("method", "scope"), [("PUT", "update-identities"), ("DELETE", "delete-identities"), ("POST", "create-identities")]
)
def test_each_identities_scope_is_for_its_own_verb(caller, ada, unchanged, method, scope) -> None:
    urls = {"POST": f"/profiles/{ada['id']}/identities"}
    url = urls.get(method, f"/profiles/{ada['id']}/identities/loyalty-card")
    body = {"handle": "pos", "identifier": "1"}
    others = caller(*{"create-identities", "update-identities", "delete-identities", "read-identities"} - {scope})

    with unchanged():
        assert others.call(method, url, body).status_code == 403
    assert caller(scope).call(method, url, body).status_code in (200, 201, 204)


def test_when_a_token_was_last_used_is_kept(api) -> None:
    api.get("/auth/verify")

    first = ApiToken.objects.get(pk=api.token.pk).last_used_at
    assert first is not None
    api.get("/auth/verify")
    assert ApiToken.objects.get(pk=api.token.pk).last_used_at == first


def test_a_token_with_a_limit_is_throttled(api) -> None:
    ApiToken.objects.filter(pk=api.token.pk).update(rate_limit=2)

    assert [api.get("/auth/verify").status_code for _call in range(3)] == [200, 200, 429]
    response = api.get("/profiles")
    assert response.status_code == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 60


# POST /auth/api-tokens


def test_a_token_is_made_and_its_secret_shown_this_once(api, operator) -> None:
    response = api.post("/auth/api-tokens", {"name": "Till", "scopes": ["read-profiles", "create-identities"]})

    assert response.status_code == 201
    body = response.json()
    assert list(body) == ["accessToken", "token"]
    assert list(body["token"]) == FIELDS
    assert body["token"] == {
        "id": body["token"]["id"],
        "user_id": operator.pk,
        "client_id": None,
        "name": "Till",
        "scopes": ["read-profiles", "create-identities"],
        "revoked": False,
        "created_at": body["token"]["created_at"],
        "updated_at": body["token"]["updated_at"],
        "expires_at": None,
    }
    assert isinstance(body["token"]["id"], str)
    made = Caller(body["accessToken"])
    assert made.get("/profiles").status_code == 200
    assert made.post("/profiles").status_code == 403
    row = ApiToken.objects.get(pk=body["token"]["id"])
    secret = body["accessToken"].split("_")[2]
    assert secret not in str(ApiToken.objects.filter(pk=row.pk).values().get())
    assert secret not in str(list(Audit.objects.values()))
    assert secret.encode() not in api.get("/auth/access-tokens").content
    audit = Audit.objects.get(event="created")
    assert (audit.auditable_key, audit.new_values["name"]) == (str(row.pk), "Till")


def test_an_extensions_token_is_the_extensions(shopify) -> None:
    body = shopify.post("/auth/api-tokens", {"name": "Worker", "scopes": []}).json()

    assert body["token"]["client_id"] == "shopify"
    assert ApiToken.objects.get(pk=body["token"]["id"]).extension_id == "shopify"


def test_unknown_scopes_are_kept_and_grant_nothing(api) -> None:
    sent = ["read-locations", "write-nonsense", "<script>", "read-locations"]

    body = api.post("/auth/api-tokens", {"name": "Wide", "scopes": sent}).json()

    assert body["token"]["scopes"] == sent[:3]
    made = Caller(body["accessToken"])
    assert made.get("/auth/verify").status_code == 200
    assert made.get("/profiles").status_code == 403


def test_a_token_grants_no_more_than_it_has(caller, unchanged) -> None:
    reader = caller("read-profiles")

    with unchanged():
        response = reader.post("/auth/api-tokens", {"name": "More", "scopes": ["read-profiles", "delete-profiles"]})

    assert response.status_code == 403
    assert "delete-profiles" in response.json()["message"]
    assert reader.post("/auth/api-tokens", {"name": "Same", "scopes": ["read-profiles"]}).status_code == 201


def test_a_token_does_not_outlive_the_one_that_made_it(caller) -> None:
    end = timezone.now().replace(microsecond=0) + datetime.timedelta(hours=1)

    body = caller(expires_at=end).post("/auth/api-tokens", {"name": "Child"}).json()

    assert body["token"]["expires_at"] == end.strftime("%Y-%m-%d %H:%M:%S")
    assert body["token"]["scopes"] == []


def test_every_scope_of_the_contract_is_known() -> None:
    nouns = ("profiles", "identities", "transactions", "interactions", "points", "rewards", "webhooks", "triggers")
    assert {f"{verb}-{noun}" for verb in ("read", "create", "update", "delete") for noun in (*nouns, "handles")} | {
        "read-audits",
        "merge-profiles",
        "unmerge-profiles",
        "issue-id-tokens",
    } == set(SCOPES)


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "required", "name"),
        ({"name": ""}, "invalid", "name"),
        ({"name": None}, "invalid", "name"),
        ({"name": 7}, "invalid", "name"),
        ({"name": "x" * 256}, "invalid", "name"),
        ({"name": "Till", "scopes": "read-profiles"}, "invalid", "scopes"),
        ({"name": "Till", "scopes": None}, "invalid", "scopes"),
        ({"name": "Till", "scopes": {}}, "invalid", "scopes"),
        ({"name": "Till", "scopes": [7]}, "invalid", "scopes.0"),
        ({"name": "Till", "scopes": ["x" * 256]}, "invalid", "scopes.0"),
        ({"name": "Till", "scopes": ["x"] * 201}, "invalid", "scopes"),
    ],
)
def test_a_token_of_the_wrong_shape_is_refused(api, unchanged, body, code, field) -> None:
    with unchanged():
        refused(api.post("/auth/api-tokens", body), code, field)


# GET /auth/access-tokens


def test_the_list_is_a_bare_array(api) -> None:
    (token,) = api.get("/auth/access-tokens").json()

    assert list(token) == FIELDS
    assert token["id"] == str(api.token.pk)


def test_current_and_expired_are_two_lists_and_revoked_ones_in_neither(api, caller) -> None:
    past = timezone.now() - datetime.timedelta(days=1)
    old, gone = caller(expires_at=past).token, caller().token
    gone.revoke()
    dead = caller(expires_at=past).token
    dead.revoke()

    assert ids(api.get("/auth/access-tokens")) == {str(api.token.pk)}
    assert ids(api.get("/auth/access-tokens?type=current")) == {str(api.token.pk)}
    assert ids(api.get("/auth/access-tokens?type=expired")) == {str(old.pk)}


@pytest.mark.parametrize("kind", ["revoked", "", "CURRENT", "current,expired"])
def test_another_type_is_refused(api, kind) -> None:
    refused(api.get(f"/auth/access-tokens?type={kind}"), "invalid", "type")


def test_each_account_sees_its_own_tokens(api, shopify, caller) -> None:
    assert ids(api.get("/auth/access-tokens")) == {str(api.token.pk)}
    assert ids(shopify.get("/auth/access-tokens")) == {str(shopify.token.pk)}
    stranger = User.objects.create(username="stranger")
    _token, plain = ApiToken.issue(user=stranger, name="Other", scopes=SCOPES)
    assert len(ids(Caller(plain).get("/auth/access-tokens"))) == 1


# DELETE /auth/api-tokens/{id}


def test_a_token_is_revoked_with_204(api, caller) -> None:
    other = caller("read-profiles")

    response = api.delete(f"/auth/api-tokens/{other.token.pk}")

    assert (response.status_code, response.content) == (204, b"")
    shut_out(other)
    not_found(api.delete(f"/auth/api-tokens/{other.token.pk}"))
    assert Audit.objects.get(event="revoked").auditable_key == str(other.token.pk)


def test_a_token_may_revoke_itself(api) -> None:
    assert api.delete(f"/auth/api-tokens/{api.token.pk}").status_code == 204
    shut_out(api)


def test_nobody_revokes_another_accounts_token(api, shopify, unchanged) -> None:
    with unchanged():
        not_found(api.delete(f"/auth/api-tokens/{shopify.token.pk}"))
        not_found(shopify.delete(f"/auth/api-tokens/{api.token.pk}"))
        for number in ("0", "x", "-1", str(2**63), str(10**30), "9" * 4_000):
            not_found(api.delete(f"/auth/api-tokens/{number}"))


# GET /auth/verify


def test_verify_is_a_200_with_an_empty_body(caller) -> None:
    response = caller("nothing").get("/auth/verify")

    assert (response.status_code, response.content) == (200, b"")
