"""What a record's page shows above its fields: it in a sentence, what brought it here, its items, its moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from identities import explaining, matching
from identities.handles import mask
from identities.models import Handle, fold_handle
from identities.normalising import forms, storable
from profiles.admin import moves
from profiles.admin import record_words as words
from profiles.admin.amounts import exact, money
from profiles.admin.base import MOST_AT_ONCE, link
from profiles.models import Profile, Record, Transaction, TransactionItem


@dataclass(frozen=True, slots=True)
class Item:
    name: str
    quantity: str
    price: str
    full_price: str
    extra: str


def context(request: HttpRequest, record: Record) -> dict[str, Any]:
    """The page's parts. A fixed number of queries, each bounded."""
    why = explaining.why(record)
    user = request.user
    parts: dict[str, Any] = {
        "sentence": sentence(request, record),
        "detail": words.detail(record, currency=_currency(record)),
        # The moves have a list of their own, with names and the way back.
        "why": [*why.how, *why.of_merges],
        "moves": moves.tell(request, why.moves[::-1], here=None),
        "items": None,
    }
    if why.identity is not None and user.has_perm("identities.view_identity"):
        parts["identity_link"] = link(why.identity, words.brought_by(record, words.sensitive([record])))
    if why.log_entry is not None and user.has_perm("identities.view_routinglogentry"):
        parts["entry_link"] = link(why.log_entry)
    if isinstance(record, Transaction):
        rows = list(record.items.order_by("position")[: MOST_AT_ONCE + 1])
        parts["items"] = [_item(row) for row in rows[:MOST_AT_ONCE]]
        parts["has_more_items"] = len(rows) > MOST_AT_ONCE
        parts["payments"] = [in_line(payment) for payment in record.payments]
        parts["total"] = words.amount(record, _currency(record))
    return parts


def sentence(request: HttpRequest, record: Record) -> SafeString:
    """What it was, how much, when, and whose it is: for reading aloud."""
    amount, there = words.amount(record, _currency(record)), words.elsewhere(record)
    when = words.instant(words.happened_at(record))
    parts = {
        "name": format_html("<strong>{}</strong>{}", words.name(record), f", {amount}" if amount else ""),
        "when": f"{when} ({there})" if there else when,
        "source": words.source(record),
        "owner": owner(request, record.profile),
    }
    if record.profile is None:
        return format_html(_("{name}: {when}, sent by {source}. It belongs to nobody yet."), **parts)
    return format_html(_("{name}: {when}, sent by {source}. It belongs to {owner}."), **parts)


def owner(request: HttpRequest, profile: Profile | None) -> SafeString | str:
    if profile is None:
        return _("nobody")
    return link(profile) if request.user.has_perm("profiles.view_profile") else profile.full_name


def masked_pairs(record: Record) -> list[dict[str, str]]:
    """The identities as they were sent, masked where a sensitive handle protects them, however it was spelt.

    One that came without a handle is masked if it is an identity of a sensitive one.
    """
    folds = {fold_handle(storable(pair["handle"])) for pair in record.pairs}
    known = Handle.objects.filter(fold__in=folds).select_related("renamed_to")
    sensitive = {handle.fold for handle in known if (handle.renamed_to or handle).sensitive}

    def is_masked(pair: dict[str, str]) -> bool:
        if pair["handle"]:
            return fold_handle(storable(pair["handle"])) in sensitive
        return matching.having(forms(pair["identifier"])).filter(handle__sensitive=True).exists()

    return [{**pair, "identifier": mask(pair["identifier"])} if is_masked(pair) else pair for pair in record.pairs]


def _currency(record: Record) -> str:
    return record.profile.currency if record.profile is not None else ""


def _item(row: TransactionItem) -> Item:
    return Item(
        row.name,
        exact(row.quantity),
        money(row.price_sell),
        money(row.price_current),
        in_line(row.extra),
    )


def in_line(sent: Any) -> str:
    """What was sent in a form of the sender's, in one line."""
    if isinstance(sent, dict):
        return ", ".join(f"{name}: {words.plain(value)}" for name, value in sent.items())
    return words.plain(sent)
