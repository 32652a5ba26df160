"""How extensions are doing: what their list and their pages show beside the form."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, cast

from django.db.models import F
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from identities import counting, refusal_words, signatures
from identities.admin import figures, scopes
from identities.admin.figures import ago, number_link
from identities.admin.token_page import is_good, state, successor_url
from identities.counting import Count, Health
from identities.models import ApiToken, Extension, Handle, Identity, RoutingLogEntry
from profiles.admin.base import change_url, link
from profiles.admin.charts import Bars
from profiles.admin.lists import BoundedChangeList

DAYS = 14
MOST_TOKENS = 20
MOST_HANDLES = 50
MOST_NOTICES = 5


class HealthChangeList(BoundedChangeList):
    """The list with each row's health as this person may see it: two more queries for any number of rows."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(self.result_list)
        found = counting.health(rows, since=figures.midnights(1)[0])
        for row in rows:
            row.health = found[row.pk]
            row.numbers = numbers(request, row, found[row.pk])
        self.result_list = rows


def numbers(request: HttpRequest, extension: Extension, health: Health) -> dict[str, SafeString]:
    """Writes today, open refusals and taken identities, each leading to its list for those who may see that."""

    def told(count: Count, permission: str, url: str) -> SafeString:
        return number_link(count, url if request.user.has_perm(permission) else "")

    account, (since, before) = extension.service_account_id, figures.midnights(1)
    written = figures.audits_url(account=account, since=since, before=before)
    refused = figures.open_log_url(outcome=counting.REFUSED, source=extension.pk)
    taken = figures.open_log_url(outcome=counting.TAKEN, source=extension.pk)
    return {
        "writes": told(health.writes, "profiles.view_audit", written),
        "refused": told(health.refused, "identities.view_routinglogentry", refused),
        "taken": told(health.taken, "identities.view_routinglogentry", taken),
    }


@dataclass(frozen=True, slots=True)
class Figure:
    label: str
    shown: SafeString | str
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """A token in the extension's table, and where it may be revoked; an empty URL offers nothing."""

    token: ApiToken
    url: str
    state: SafeString
    may: str
    expires: str
    used: SafeString
    revoke_url: str = ""


def context(request: HttpRequest, extension: Extension) -> dict[str, Any]:
    """The page's parts, each only for those who may see it. A fixed number of queries, each bounded."""
    health = counting.health([extension], since=figures.midnights(1)[0])[extension.pk]
    parts: dict[str, Any] = {
        "health": health,
        "figures": _figures(request, extension, health),
        "writes": _writes(request, extension),
        "secrets": [(name, signatures.is_set(name)) for name in extension.secret_variables],
    }
    if request.user.has_perm("identities.view_routinglogentry"):
        parts["refusals"] = [_refusal(extension, *found) for found in counting.refusals(extension)]
        parts["log_url"] = figures.log_url(source=extension.pk)
    if request.user.has_perm("identities.view_handle"):
        parts["claims"] = _claims(extension)
    if request.user.has_perm("identities.view_apitoken"):
        parts["tokens"] = _tokens(request, extension)
        parts["tokens_url"] = figures.tokens_url(extension=extension.pk)
        parts["expiring"] = [_expiring(request, token) for token in extension.api_tokens.expiring()[:MOST_NOTICES]]
        parts["has_good_token"] = any(is_good(row.token) for row in parts["tokens"])
    return parts


def _figures(request: HttpRequest, extension: Extension, health: Health) -> list[Figure]:
    shown = numbers(request, extension, health)
    most = counting.MOST_COUNTED
    first = Count.up_to(most, Identity.objects.filter(source=extension).order_by()[: most + 1].count())
    listed = figures.identities_url(source=extension.pk) if request.user.has_perm("identities.view_identity") else ""
    return [
        Figure(_("Last seen"), ago(health.last_used_at), _("When one of its tokens was last used.")),
        Figure(_("Writes today"), shown["writes"], _("Changes that the audit has of its account.")),
        Figure(_("Refused identities"), shown["refused"], _("Set aside from what it sent; not reviewed yet.")),
        Figure(
            _("Taken identities"), shown["taken"], _("Held by another profile than it wrote to; not reviewed yet.")
        ),
        Figure(_("Identities"), number_link(first, listed), _("Those that it was the first to write.")),
    ]


def _writes(request: HttpRequest, extension: Extension) -> Bars | None:
    def told(day: str, count: Count) -> str:
        text = ngettext("%(day)s: %(number)s write", "%(day)s: %(number)s writes", count.value)
        return text % {"day": day, "number": figures.number(count)}

    def url(since: datetime.datetime, before: datetime.datetime) -> str:
        return figures.audits_url(account=extension.service_account_id, since=since, before=before)

    since = figures.midnights(DAYS)
    linked = url if request.user.has_perm("profiles.view_audit") else None
    return figures.chart(_("Writes per day"), since, counting.writes_per_day(extension, since), told, linked)


def _refusal(extension: Extension, outcome: str, code: str, count: Count) -> dict[str, Any]:
    url = figures.open_log_url(outcome=outcome, code=code, source=extension.pk)
    label = RoutingLogEntry.Outcome(outcome).label
    reason = _("another profile has it") if outcome == counting.TAKEN else refusal_words.REASONS.get(code, "")
    return {"outcome": capfirst(label), "code": code, "reason": capfirst(reason), "number": number_link(count, url)}


def _claims(extension: Extension) -> list[dict[str, Any]]:
    handles = Handle.objects.filter(reserved_for=extension).with_usage().order_by("pk")[:MOST_HANDLES]
    return [
        {
            "handle": handle,
            "url": change_url(handle),
            "identities": figures.usage(handle),
        }
        for handle in handles
    ]


def _tokens(request: HttpRequest, extension: Extension) -> list[Row]:
    """Its tokens: first the good ones, then the expired, then the revoked, each from the newest."""
    may_revoke = request.user.has_perm("identities.change_apitoken")
    tokens = extension.api_tokens.select_related("user").order_by(
        F("revoked_at").desc(nulls_first=True), F("expires_at").desc(nulls_first=True), "-pk"
    )
    rows = []
    for token in tokens[:MOST_TOKENS]:
        token.extension = extension
        revoke_url = f"{reverse('admin:identities_apitoken_revoke', args=[token.pk])}?to=extension"
        rows.append(
            Row(
                token,
                url=change_url(token),
                state=state(token),
                may=scopes.summed_up(token.scopes),
                expires=figures.exactly(token.expires_at) if token.expires_at else _("never"),
                used=ago(token.last_used_at),
                revoke_url=revoke_url if may_revoke and token.revoked_at is None else "",
            )
        )
    return rows


def _expiring(request: HttpRequest, token: ApiToken) -> SafeString:
    """A sentence about a token that ends soon, with the way on for those who may issue the next."""
    name = link(token, token.name)
    left = figures.until(cast(datetime.datetime, token.expires_at))
    told = format_html(_("The token {name} expires in {left}."), name=name, left=left)
    url = successor_url(request, token)
    return format_html('{} <a href="{}">{}</a>', told, url, _("Issue the next one")) if url else told
