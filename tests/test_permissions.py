"""Every URL, and who may call it. A URL that is new has no row here, and fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from identities import adding, tokens
from identities.handles import Sent
from identities.models import ApiToken, BlockedIdentifier, ErasedPair, Identity, RoutingLogEntry
from omneo_identity.api.auth import SCOPES
from profiles import duplicates
from profiles.auditing import By
from profiles.duplicates import Found
from profiles.models import (
    FIRST_POINT_DEFINITION,
    RECORDS,
    Audit,
    DuplicatePair,
    Move,
    Profile,
    ProfileBatch,
    Reaction,
    RewardDefinition,
    Target,
    Webhook,
)
from profiles.refusing import Refused
from tests.cast import came, claim, known, merge
from tests.deliveries import put
from tests.staff import signed_in

pytestmark = pytest.mark.django_db

OPEN = ("open",)  # Whoever asks.
STAFF = ("staff",)  # Any member of staff: it shows nothing of anybody.
NEVER = ("never",)  # Not even a superuser.
TOKEN = ("token",)  # Any token of the API.
CUSTOMER = ("customer",)  # The customer token of whose data it is, and no server's.
SIGNED = ("signed",)  # Whoever can sign what they ask; no token will do instead.


def pages(model: str, **rows: tuple[str, ...]) -> dict[tuple[str, str], tuple[str, ...]]:
    """The admin's pages of a model: for GET and POST, the permissions of which one alone is enough."""
    label, name = model.split(".")
    view, add, change, delete = (f"{label}.{verb}_{name}" for verb in ("view", "add", "change", "delete"))
    usual = {
        "changelist": (view, change),
        "add": (add,),
        "change": (view, change),
        "change_post": (change,),
        "delete": (delete,),
        "history": ("profiles.view_audit",),
    } | rows
    found = {}
    for page in [name for name in usual if not name.endswith("_post")]:
        found[f"admin:{label}_{name}_{page}", "GET"] = usual[page]
        found[f"admin:{label}_{name}_{page}", "POST"] = usual.get(f"{page}_post", usual[page])
    return found


READ_ONLY = {"add": NEVER, "change_post": NEVER, "delete": NEVER}

ADMIN: dict[tuple[str, str], tuple[str, ...]] = {
    ("", "GET"): OPEN,
    ("admin:index", "GET"): STAFF,
    ("admin:search", "GET"): ("profiles.view_profile",),
    ("admin:login", "GET"): OPEN,
    ("admin:logout", "POST"): STAFF,
    ("admin:password_change", "GET"): STAFF,
    ("admin:password_change_done", "GET"): STAFF,
    ("admin:jsi18n", "GET"): STAFF,
    ("admin:view_on_site", "GET"): STAFF,
    ("admin:app_list", "GET"): STAFF,
    ("admin:autocomplete", "GET"): ("identities.view_handle", "identities.change_handle"),
    **pages(
        "profiles.profile",
        undelete=("profiles.change_profile",),
        erase=("profiles.erase_profile&profiles.view_profile",),
        split=("profiles.merge_profile",),
        export=(
            "profiles.view_profile&identities.view_identity&identities.reveal_identity&identities.view_identityclaim"
            "&profiles.view_transaction&profiles.view_interaction&profiles.view_point&profiles.view_reward"
            "&identities.view_routinglogentry&profiles.view_duplicatepair&profiles.view_merge&profiles.view_move"
            "&profiles.view_audit&profiles.view_delivery",
        ),
        merge=("profiles.merge_profile&profiles.view_profile",),
        duplicates=("profiles.view_duplicatepair&profiles.view_profile",),
    ),
    **pages(
        "profiles.duplicatepair",
        **READ_ONLY,
        change=(
            "profiles.view_duplicatepair&profiles.view_profile",
            "profiles.change_duplicatepair&profiles.view_profile",
        ),
        dismiss=("profiles.change_duplicatepair",),
        reopen=("profiles.change_duplicatepair",),
        skip=("profiles.view_duplicatepair",),
    ),
    **pages(
        "profiles.merge",
        **READ_ONLY | {"changelist": ("profiles.view_merge",), "change": ("profiles.view_merge",)},
        undo=("profiles.unmerge_merge",),
    ),
    **pages("profiles.audit", **READ_ONLY),
    **pages("profiles.move", **READ_ONLY),
    **pages("profiles.transaction", **READ_ONLY, move=("profiles.change_transaction",)),
    **pages("profiles.interaction", **READ_ONLY, move=("profiles.change_interaction",)),
    **pages("profiles.point", **READ_ONLY, move=("profiles.change_point",)),
    **pages("profiles.reward", **READ_ONLY, move=("profiles.change_reward",)),
    **pages(
        "profiles.webhook",
        **{"try": ("profiles.view_webhook&profiles.view_profile&identities.view_identity",)},
    ),
    **pages(
        "profiles.reaction",
        **{"try": ("profiles.view_reaction&profiles.view_profile&identities.view_identity",)},
    ),
    **pages(
        "profiles.delivery",
        **READ_ONLY,
        again=("profiles.change_delivery",),
        reveal=("profiles.view_delivery&profiles.view_profile&identities.view_identity&identities.reveal_identity",),
    ),
    **pages(
        "profiles.target",
        **READ_ONLY,
        mute=("profiles.change_target",),
        unmute=("profiles.change_target",),
        again=("profiles.change_delivery",),
    ),
    **pages("profiles.pointdefinition", **READ_ONLY),
    **pages("profiles.rewarddefinition", **READ_ONLY),
    **pages(
        "identities.identity",
        move=("identities.change_identity",),
        mark=("identities.change_identity",),
        reveal=("identities.reveal_identity",),
    ),
    **pages(
        "identities.identityclaim",
        **READ_ONLY | {"changelist": ("identities.view_identityclaim",), "change": ("identities.view_identityclaim",)},
        confirm=("identities.decide_identityclaim",),
        refuse=("identities.decide_identityclaim",),
    ),
    **pages(
        "identities.erasedpair",
        **READ_ONLY | {"changelist": ("identities.view_erasedpair",), "change": ("identities.view_erasedpair",)},
        find=("identities.view_erasedpair",),
        let_in=("identities.delete_erasedpair",),
    ),
    **pages(
        "identities.handle",
        delete=NEVER,
        agree=("identities.change_handle",),
        merge_into=("identities.change_handle",),
        rename=("identities.change_handle",),
        retire=("identities.change_handle",),
    ),
    **pages("identities.blockedidentifier"),
    **pages(
        "identities.extension",
        delete=NEVER,
        issue_token=("identities.add_apitoken",),
        disable=("identities.change_extension",),
        enable=("identities.change_extension",),
    ),
    **pages(
        "identities.apitoken",
        **READ_ONLY | {"add": ("identities.add_apitoken",)},
        revoke=("identities.change_apitoken",),
    ),
    **pages(
        "identities.routinglogentry",
        add=NEVER,
        delete=NEVER,
        send=("identities.change_routinglogentry",),
        part=("identities.change_routinglogentry&profiles.change_duplicatepair",),
    ),
    # Django's own; who may add users must be allowed to change them.
    **pages("auth.group", history=("auth.view_group", "auth.change_group")),
    **pages(
        "auth.user",
        add=("auth.add_user&auth.change_user",),
        delete=NEVER,
        history=("auth.view_user", "auth.change_user"),
        password_change=("auth.change_user",),
    ),
}

READ_IDENTITIES = ("read-identities", "read-profiles")
CHANGE_IDENTITIES = ("update-identities", "update-profiles")


def records(name: str, noun: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """The endpoints of one kind of record that may be corrected."""
    read, create, update, delete = ((f"{verb}-{noun}",) for verb in ("read", "create", "update", "delete"))
    return {
        (f"{name}-list", "GET"): read,
        (f"{name}-list", "POST"): create,
        (f"{name}-retrieve", "GET"): read,
        (f"{name}-retrieve", "PUT"): update,
        (f"{name}-retrieve", "DELETE"): delete,
        (f"{name}-move", "POST"): update,
    }


# Of scopes joined by & all are needed.
API: dict[tuple[str, str], tuple[str, ...]] = {
    ("health", "GET"): OPEN,
    ("ready", "GET"): OPEN,
    ("schema", "GET"): OPEN,
    ("docs", "GET"): OPEN,
    ("storefront-create", "POST"): SIGNED,
    ("storefront-pass_on", "GET"): SIGNED,
    ("app-proxy-pass_on", "GET"): SIGNED,
    ("profile-list", "GET"): ("read-profiles",),
    ("profile-list", "POST"): ("create-profiles",),
    ("profile-search_id", "POST"): READ_IDENTITIES,
    ("profile-availability", "POST"): ("read-profiles",),
    ("profile-retrieve", "GET"): ("read-profiles",),
    ("profile-retrieve", "PUT"): ("update-profiles",),
    ("profile-retrieve", "DELETE"): ("delete-profiles",),
    ("profile-update_type", "PUT"): ("update-profiles",),
    ("profile-balances", "GET"): ("read-profiles",),
    ("profile-why", "GET"): ("read-profiles",),
    ("profile-export", "GET"): (
        "read-profiles&read-identities&read-transactions&read-interactions&read-points&read-rewards"
        "&read-audits&read-webhooks&read-triggers",
    ),
    ("custom-attribute-find-list", "GET"): ("read-profiles",),
    ("custom-attribute-list", "GET"): ("read-profiles",),
    ("custom-attribute-retrieve", "GET"): ("read-profiles",),
    ("custom-attribute-retrieve", "PUT"): ("update-profiles",),
    ("custom-attribute-retrieve", "DELETE"): ("update-profiles",),
    **records("transaction", "transactions"),
    ("transaction-upsert", "POST"): ("create-transactions&update-transactions",),
    ("transaction-external", "GET"): ("read-transactions",),
    **records("interaction", "interactions"),
    ("point-list", "GET"): ("read-points",),
    ("point-list", "POST"): ("create-points",),
    ("point-retrieve", "GET"): ("read-points",),
    ("point-move", "POST"): ("update-points",),
    **records("reward", "rewards"),
    **{row: needed for row, needed in records("reward-definition", "rewards").items() if "move" not in row[0]},
    ("profile-transaction-list", "GET"): ("read-transactions",),
    ("profile-interaction-list", "GET"): ("read-interactions",),
    ("profile-reward-list", "GET"): ("read-rewards",),
    ("profile-batch-create", "POST"): ("create-profiles&update-profiles",),
    ("profile-batch-retrieve", "GET"): ("create-profiles", "update-profiles"),
    ("profile-batch-sync", "POST"): ("update-profiles",),
    ("profile-merging-merge", "POST"): ("merge-profiles",),
    ("profile-merging-preview", "POST"): ("merge-profiles",),
    ("profile-erasing-preview", "GET"): ("delete-profiles",),
    ("profile-erasing-preview", "DELETE"): ("delete-profiles",),
    ("profile-splitting-split", "POST"): ("merge-profiles",),
    ("profile-splitting-preview", "POST"): ("merge-profiles",),
    ("merge-list", "GET"): ("read-profiles",),
    ("merge-retrieve", "GET"): ("read-profiles",),
    ("merge-undo", "POST"): ("unmerge-profiles",),
    ("merge-preview_undo", "POST"): ("unmerge-profiles",),
    ("duplicate-list", "GET"): ("read-profiles",),
    ("duplicate-retrieve", "GET"): ("read-profiles",),
    ("duplicate-dismiss", "POST"): ("merge-profiles",),
    ("duplicate-merge", "POST"): ("merge-profiles",),
    **{
        (name, method): needed if method in ("GET", "DELETE") else (f"{needed[0]}&read-profiles",)
        for noun in ("webhook", "trigger")
        for (name, method), needed in records(noun, f"{noun}s").items()
        if "move" not in name
    },
    ("trigger-action-list", "GET"): ("read-triggers",),
    ("trigger-action-list", "POST"): ("create-triggers", "update-triggers"),
    ("audit-list", "GET"): ("read-audits",),
    ("audit-retrieve", "GET"): ("read-audits",),
    ("identity-list", "GET"): READ_IDENTITIES,
    ("identity-search", "GET"): READ_IDENTITIES,
    ("identity-search_profile_by_query", "GET"): READ_IDENTITIES,
    ("identity-search_profile", "GET"): READ_IDENTITIES,
    ("identity-resolve", "POST"): READ_IDENTITIES,
    ("identity-batch", "POST"): ("create-identities", "update-profiles"),
    ("identity-move", "POST"): ("update-identities", "update-profiles"),
    ("profile-identity-list", "GET"): READ_IDENTITIES,
    ("profile-identity-list", "POST"): ("create-identities", "update-profiles"),
    ("profile-identity-retrieve", "GET"): READ_IDENTITIES,
    ("profile-identity-retrieve", "PUT"): CHANGE_IDENTITIES,
    ("profile-identity-retrieve", "DELETE"): ("delete-identities", "update-profiles"),
    ("profile-identity-retrieve_by_id", "GET"): READ_IDENTITIES,
    ("profile-identity-retrieve_by_id", "PUT"): CHANGE_IDENTITIES,
    ("profile-identity-retrieve_by_id", "DELETE"): ("delete-identities", "update-profiles"),
    ("handle-list", "GET"): ("read-handles",),
    ("handle-retrieve", "GET"): ("read-handles",),
    ("handle-retrieve", "PUT"): ("update-handles",),
    ("routing-log-list", "GET"): ("read-identities", "read-audits"),
    ("routing-log-retrieve", "GET"): ("read-identities", "read-audits"),
    ("api-token-create", "POST"): TOKEN,
    ("api-token-destroy", "DELETE"): TOKEN,
    ("api-token-list", "GET"): TOKEN,
    ("api-token-verify", "GET"): TOKEN,
    ("customer-token-create", "POST"): ("issue-id-tokens",),
    ("own-profile-retrieve", "GET"): CUSTOMER,
    ("own-profile-retrieve", "PUT"): CUSTOMER,
    ("own-profile-update_type", "PUT"): CUSTOMER,
    ("own-profile-balances", "GET"): CUSTOMER,
    ("own-attribute-list", "GET"): CUSTOMER,
    ("own-attribute-retrieve", "GET"): CUSTOMER,
    ("own-attribute-retrieve", "PUT"): CUSTOMER,
    ("own-attribute-retrieve", "DELETE"): CUSTOMER,
    ("own-transaction-list", "GET"): CUSTOMER,
    ("own-group-transaction-list", "GET"): CUSTOMER,
    ("own-transaction-find-list", "GET"): CUSTOMER,
    ("own-interaction-list", "GET"): CUSTOMER,
    ("own-interaction-list", "POST"): CUSTOMER,
    ("own-profile-create", "POST"): CUSTOMER,
    ("own-identity-list", "GET"): CUSTOMER,
    ("own-identity-list", "POST"): CUSTOMER,
    ("own-identity-retrieve", "PUT"): CUSTOMER,
    ("own-identity-retrieve", "DELETE"): CUSTOMER,
    ("own-identity-retrieve_by_id", "PUT"): CUSTOMER,
    ("own-identity-retrieve_by_id", "DELETE"): CUSTOMER,
    ("own-identity-retrieve", "GET"): CUSTOMER,
    ("own-identity-retrieve_by_id", "GET"): CUSTOMER,
}


class Url(NamedTuple):
    name: str
    route: str
    methods: frozenset[str]


def urls(patterns: list[Any] | None = None, space: str = "", before: str = "") -> Iterator[Url]:
    """All URLs that the resolver knows, but for those without a name that only lead to one with a name, or to 404."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            namespace = f"{space}{pattern.namespace}:" if pattern.namespace else space
            yield from urls(pattern.url_patterns, namespace, route)
        elif isinstance(pattern, URLPattern) and route not in NAMELESS:
            actions = getattr(pattern.callback, "actions", None) or {}
            methods = frozenset(method.upper() for method in actions)
            yield Url(f"{space}{pattern.name}" if pattern.name else "", route, methods)


# Old links to an object, and what no other URL matches.
NAMELESS = {
    *(
        f"admin/{model}/<path:object_id>/"
        for model in (
            "profiles/profile",
            "profiles/audit",
            "profiles/duplicatepair",
            "profiles/move",
            "profiles/merge",
            "profiles/webhook",
            "profiles/reaction",
            "profiles/delivery",
            "profiles/target",
            *(f"profiles/{kind}" for kind in (*RECORDS, "pointdefinition", "rewarddefinition")),
            "identities/identity",
            "identities/identityclaim",
            "identities/erasedpair",
            "identities/handle",
            "identities/blockedidentifier",
            "identities/extension",
            "identities/apitoken",
            "identities/routinglogentry",
            "auth/group",
            "auth/user",
        )
    ),
    "admin/(?P<url>.*)$",
    r"^(?:api|id/api/v1|shopify/api/v1|apps/cx)(?:/|\Z)",
}


def one_of_each() -> dict[str, Any]:
    """One row of each kind, by the name of its model or of a URL's argument."""
    by = By(User.objects.create_user("maker", is_staff=True))
    ada = Profile.objects.create(first_name="Ada", last_name="Lovelace")
    identity = adding.add(ada.pk, Sent("loyalty-card", "1804974"), by=by, source=None).identity
    bo = Profile.objects.create(first_name="Bo")
    with pytest.raises(Refused):
        adding.add(bo.pk, Sent("loyalty-card", "1804974"), by=by, source=None)
    duplicates.note([Found(ada.pk, bo.pk, {})])
    pair = DuplicatePair.objects.get()
    move = Move.objects.create(subject_type="identity", subject_key="1", from_profile=bo, to_profile=ada, by=by.user)
    token, _plain = ApiToken.issue(user=by.user, name="Mine", scopes=[])
    entry, audit = RoutingLogEntry.objects.get(), Audit.objects.latest("pk")
    return {
        "profile": ada.pk,
        "identity": identity.pk,
        "identityclaim": claim(ada, "pos:77", by=by).pk,
        "erasedpair": ErasedPair.objects.create(handle="loyalty-card", digest="0" * 64).pk,
        "handle": "loyalty-card",
        "blockedidentifier": BlockedIdentifier.objects.filter(built_in=True).latest("pk").pk,
        "extension": "klaviyo",
        "apitoken": token.pk,
        "routinglogentry": entry.pk,
        "audit": audit.pk,
        "move": move.pk,
        "duplicatepair": pair.pk,
        "merge": merge(ada, known("pos-customer:7", by=by), by=by)[0].pk,
        **{kind: came(model, "loyalty-card:1804974", by=by).pk for kind, model in RECORDS.items()},
        "pointdefinition": FIRST_POINT_DEFINITION,
        "rewarddefinition": RewardDefinition.objects.create(name="Birthday", handle="birthday").pk,
        "user": by.user.pk,
        "group": Group.objects.latest("pk").pk,
        "profile_id": ada.pk,
        "attribute": "loyalty:tier",
        "record_id": 1,
        "external_id": "T7/1",
        "definition_id": 1,
        "webhook": Webhook.objects.create(trigger="profile.updated", url="https://example.com/", user=by.user).pk,
        "reaction": Reaction.objects.create(name="Tell", trigger="profile.updated").pk,
        "delivery": put(ada, "https://example.com/", by).pk,
        "target": Target.objects.get().pk,
        "webhook_id": 1,
        "trigger_id": 1,
        "merge_id": 1,
        "pair_id": 1,
        "identity_id": identity.pk,
        "audit_id": audit.pk,
        "entry_id": entry.pk,
        "token_id": token.pk,
        "batch_id": ProfileBatch.objects.create(match_criteria="email", by=by.user).pk,
        "name": "pos",
        "identifier": "1804974",
        "app_label": "profiles",
        "content_type_id": ContentType.objects.get_for_model(Identity).pk,
    }


@pytest.fixture(scope="module")
def rows(kept: None) -> dict[str, Any]:
    return one_of_each()


def address(name: str, rows: dict[str, Any]) -> str:
    """The URL of this name, about one of these rows."""
    if name in ("", "admin:index"):
        return "/admin/" if name else "/"
    (url,) = (url for url in urls() if url.name == name)
    arguments = re.findall(r"<(?:\w+:)?(\w+)>", url.route)
    model = name.split("_")[1] if name.startswith("admin:") and "_" in name else ""
    of_model = {"object_id": rows.get(model, 1), "id": rows.get(model, 1)}
    path = reverse(name, kwargs={argument: {**rows, **of_model}[argument] for argument in arguments})
    if name == "admin:autocomplete":
        path += "?app_label=identities&model_name=identity&field_name=handle&term=loy"
    return path


def staff(*permissions: str, superuser: bool = False) -> Client:
    user = User.objects.create_user(f"staff-{User.objects.count()}", is_staff=True, is_superuser=superuser)
    user.user_permissions.set(permission for name, permission in by_name().items() if name in permissions)
    return signed_in(user)


def by_name() -> dict[str, Permission]:
    every = Permission.objects.select_related("content_type")
    return {f"{permission.content_type.app_label}.{permission.codename}": permission for permission in every}


def everything_but(permissions: set[str]) -> set[str]:
    return set(by_name()) - permissions


def is_sent_to_login(response: Any) -> bool:
    return bool(response.status_code == 302 and response["Location"].startswith("/admin/login/"))


def test_every_url_has_a_row() -> None:
    walked = {(url.name, method) for url in urls() for method in url.methods - {"HEAD"} or {"any"}}
    known = {name for name, _method in (*ADMIN, *API)}

    assert {name for name, _method in walked} == known
    assert {row for row in walked if row[1] != "any"} == {
        row for row in API if row[0] not in ("health", "ready", "schema", "docs")
    }


@pytest.mark.parametrize(("name", "method"), [row for row, needed in ADMIN.items() if needed != OPEN])
def test_who_is_no_member_of_staff_is_sent_to_log_in(name: str, method: str, rows: dict[str, Any]) -> None:
    customer = User.objects.create_user("customer")
    customer.user_permissions.set(Permission.objects.all())
    url = address(name, rows)

    for client in (Client(), signed_in(customer)):
        response = client.generic(method, url)
        # Logging out is open to whoever is logged in, and autocompletion answers in its own words.
        assert is_sent_to_login(response) or name in ("admin:logout",), (response.status_code, response.headers)


@pytest.mark.parametrize(
    ("name", "method"), [row for row, needed in ADMIN.items() if needed not in (OPEN, STAFF, NEVER)]
)
def test_an_admin_page_demands_its_permission(name: str, method: str, rows: dict[str, Any]) -> None:
    url = address(name, rows)
    alternatives = [alternative.split("&") for alternative in ADMIN[name, method]]

    without = staff(*everything_but({permission for needed in alternatives for permission in needed}))
    assert without.generic(method, url).status_code == 403
    for needed in alternatives:
        response = staff(*needed).generic(method, url)
        assert response.status_code in (200, 302), response.status_code
        assert not is_sent_to_login(response)


@pytest.mark.parametrize(("name", "method"), [row for row, needed in ADMIN.items() if needed == NEVER])
def test_what_nobody_may_do_a_superuser_may_not_either(name: str, method: str, rows: dict[str, Any]) -> None:
    assert staff(superuser=True).generic(method, address(name, rows)).status_code == 403


@pytest.mark.parametrize(("name", "method"), [row for row, needed in ADMIN.items() if needed in (OPEN, STAFF)])
def test_staff_without_permissions_reach_what_shows_nothing(name: str, method: str, rows: dict[str, Any]) -> None:
    response = staff().generic(method, address(name, rows))

    assert response.status_code in (200, 302, 404)
    assert b"Lovelace" not in response.content


@pytest.fixture
def call(by: By) -> Any:
    """Call the API with a token of these scopes, or with a customer's, or with none."""

    def call(method: str, url: str, scopes: list[str] | None, customer: Any = None) -> int:
        headers = {}
        if scopes is not None:
            token, plain = ApiToken.issue(user=by.user, name="Test", scopes=scopes)
            if customer is not None:
                plain = tokens.issue_by_id(customer, by=token).token  # type: ignore[union-attr]
            headers["Authorization"] = f"Bearer {plain}"
        return Client().generic(method, url, b"{}", "application/json", headers=headers).status_code

    return call


@pytest.mark.parametrize(("name", "method"), API)
def test_an_endpoint_demands_its_scope(name: str, method: str, rows: dict[str, Any], call: Any) -> None:
    url = address(name, rows)
    needed = API[name, method]
    alternatives = [alternative.split("&") for alternative in needed]

    if needed == OPEN:
        assert call(method, url, None) == 200
        return
    if needed == SIGNED:
        for scopes in (None, list(SCOPES)):
            assert call(method, url, scopes) in (401, 422)
        return
    assert call(method, url, None) == 401
    if needed == TOKEN:
        assert call(method, url, []) not in (401, 403)
        return
    if needed == CUSTOMER:
        assert call(method, url, list(SCOPES)) == 401
        assert call(method, url, [], rows["profile_id"]) not in (401, 403)
        return
    assert call(method, url, list(SCOPES), rows["profile_id"]) == 401
    for lacking in zip(*alternatives, strict=True):
        assert call(method, url, [scope for scope in SCOPES if scope not in lacking]) == 403
    for scopes in alternatives:
        assert call(method, url, scopes) not in (401, 403)
    assert Identity.objects.exists() or method == "DELETE"
