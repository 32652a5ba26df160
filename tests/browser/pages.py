"""A little of everything to look at, and the addresses of all pages that show it."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from identities import releasing, routing
from identities.handles import Sent
from identities.models import ApiToken, Extension, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add, route, update

# Pages of a row that only some models have.
OF_A_ROW = [
    *("change", "delete", "move", "mark", "reveal", "undelete", "issue_token", "disable", "enable"),
    *("revoke", "agree", "retire", "rename", "merge_into"),
]

# What they show of an undocumented handle, and when something is asked of them.
OF_A_HANDLE = [
    "change/?try=%20x%20",
    "agree/",
    "merge-into/",
    "merge-into/?into=pos",
    "rename/?to=till-2",
    "rename/?to=pos",
]


def fill(by: By) -> Profile:
    """Ada, whom many systems know, and Bo, whose card hers once met. Gives Ada."""
    ada = route("loyalty-card:1804974", by=by, first_name="Ada", last_name="Lovelace", birth_year=1815).profile
    bo = route("loyalty-card:7046671", by=by, first_name="Bo", last_name="Diddley").profile
    gone = route("loyalty-card:1", by=by, first_name="Gone").profile
    update(ada, email="ada@example.com", mobile_phone="+61404123123", by=by)
    for pair in ("pos:T07-000381", "apns:740f4707bebcf74f9b7c25d4", "pos2:9001", "pos2:8"):
        add(ada, pair, by=by)
    routing.change(ada.identities.get(handle="loyalty-card").pk, is_primary=True, by=by, source=None)
    routing.change(ada.identities.get(handle="pos").pk, is_active=False, by=by, source=None)
    klaviyo = Extension.objects.get(pk="klaviyo")
    add(ada, "klaviyo:01HXK3V7Q2M5Z8", by=By(klaviyo.service_account), source=klaviyo)
    with contextlib.suppress(Refused):
        routing.add(ada.pk, Sent("loyalty-card", "7046671"), by=By(klaviyo.service_account), source=klaviyo)
    route("loyalty-card:1804974", "loyalty-card:7046671", "pos:null", by=by, first_name="Ada")
    add(bo, "pos:8", by=by)
    releasing.delete(gone.pk, by=by)
    soon = timezone.now() + datetime.timedelta(days=3)
    for name, expires_at in (("Klaviyo", None), ("Klaviyo, nightly", soon)):
        ApiToken.issue(
            user=klaviyo.service_account,
            name=name,
            scopes=["read-profiles", "from-elsewhere"],
            extension=klaviyo,
            expires_at=expires_at,
        )
    Extension.objects.filter(pk="klaviyo").update(secret_variables=["PATH", "KLAVIYO_SECRET"])
    ApiToken.issue(user=by.user, name="Mine", scopes=["read-profiles"])
    return ada


def every_page(ada: Profile) -> Iterator[str]:
    """The start page, the search, and of each model the list, the page that adds, and the pages of one row."""
    yield from ("/admin/", "/admin/search/?q=ada", "/admin/search/?q=nobody", "/admin/password_change/")
    yield from (f"/admin/identities/extension/klaviyo/{page}/" for page in ("change", "issue-token", "disable"))
    yield from (f"/admin/identities/handle/pos2/{page}" for page in OF_A_HANDLE)
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        yield reverse(f"{name}_changelist")
        with contextlib.suppress(NoReverseMatch):
            if model._meta.model_name not in ("audit", "move", "routinglogentry"):
                yield reverse(f"{name}_add")
        row: Any = ada if model is Profile else model._default_manager.order_by("-pk").first()
        for page in OF_A_ROW if row is not None else []:
            with contextlib.suppress(NoReverseMatch):
                yield reverse(f"{name}_{page}", args=[row.pk])
    # Each outcome has a page that looks different, and so has a list with nothing in it.
    for entry in RoutingLogEntry.objects.all():
        yield reverse("admin:identities_routinglogentry_change", args=[entry.pk])
    yield f"{reverse('admin:identities_routinglogentry_changelist')}?review_status__exact=dismissed"
