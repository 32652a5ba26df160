"""What one record is called, what it was worth and where it came from, as its page, lists and the profile tell it."""

from __future__ import annotations

import datetime
import json
import zoneinfo
from collections.abc import Collection, Iterable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities.handles import mask
from identities.models import Handle
from profiles.admin.amounts import exact, money, points
from profiles.models import FIRST_POINT_DEFINITION, Interaction, Point, Record, Reward, Transaction
from profiles.models.balance import BalanceRecord

# When it happened, by kind; the times of their keys say when they came in.
TIMES = {"transaction": "transacted_at", "interaction": "interacted_at", "point": "issued_at", "reward": "issued_at"}

KINDS = {
    "transaction": gettext_lazy("Transactions"),
    "interaction": gettext_lazy("Interactions"),
    "point": gettext_lazy("Points"),
    "reward": gettext_lazy("Rewards"),
}

STAFF = gettext_lazy("staff")

MOST_CHARACTERS = 80
# Of many items the first ones say what kind of purchase it was.
MOST_ITEMS = 3


def name(record: Record) -> str:
    """What people would call it; enough to tell it from the next one."""
    if isinstance(record, Transaction):
        number = Truncator(record.receipt_ref or record.external_id).chars(MOST_CHARACTERS) or f"#{record.pk}"
        return (_("Return %(number)s") if record.total < 0 else _("Purchase %(number)s")) % {"number": number}
    if isinstance(record, Interaction):
        return Truncator(record.name).chars(MOST_CHARACTERS) or f"#{record.pk}"
    if isinstance(record, Point):
        if record.definition_id == FIRST_POINT_DEFINITION:
            return _("Points")
        return _("Points: %(definition)s") % {"definition": record.definition}
    if isinstance(record, Reward):
        return _("Reward: %(definition)s") % {"definition": record.definition} if record.definition else _("Reward")
    return str(record)


def amount(record: Record, currency: str = "") -> str:
    """What it was worth: money in the profile's currency, or points; nothing for what has no worth."""
    if isinstance(record, Transaction):
        return money(record.total, currency)
    if isinstance(record, Point):
        return points(record.value_initial)
    return money(record.value_initial, currency) if isinstance(record, Reward) else ""


def detail(record: Record, items: Collection[str] = (), currency: str = "") -> str:
    """A little more of it: what was bought (`items`, some of them), how somebody met, what is left and how long."""
    if isinstance(record, Transaction):
        first = ", ".join(Truncator(item).chars(MOST_CHARACTERS) for item in list(items)[:MOST_ITEMS])
        return _("%(items)s and more") % {"items": first} if len(items) > MOST_ITEMS else first
    if isinstance(record, Interaction):
        words = {
            "action": record.get_action_display(),
            "channel": record.get_channel_display(),
            "signal": record.get_signal_display(),
        }
        return _("%(action)s, %(channel)s, %(signal)s") % words
    return left(record, currency) if isinstance(record, BalanceRecord) else ""


def left(record: BalanceRecord, currency: str = "") -> str:
    """What remains of points or a reward, and until when."""
    remaining = record.value_remaining
    shown = exact(remaining) if isinstance(record, Point) else money(remaining, currency)
    told = _("%(amount)s left") % {"amount": shown} if remaining else _("all used")
    if record.expires_at is None or not remaining:
        return told
    day = date_format(timezone.localtime(record.expires_at), "DATE_FORMAT")
    expiry = _("expired on %(day)s") if record.expires_at <= timezone.now() else _("expires on %(day)s")
    return f"{told}, {expiry % {'day': day}}"


def where(record: Record) -> str:
    """The shop, as the sender calls it; of an interaction, whose word its name is."""
    if isinstance(record, Transaction):
        return plain(record.location_id)
    return record.namespace if isinstance(record, Interaction) else ""


def happened_at(record: Record) -> datetime.datetime:
    at: datetime.datetime = getattr(record, TIMES[record.kind])
    return at


def instant(at: datetime.datetime) -> str:
    return date_format(timezone.localtime(at), "DATETIME_FORMAT")


def elsewhere(record: Record) -> str:
    """What o'clock it was where it was sent from, if that is another time than the reader's."""
    zone = getattr(record, "timezone", "")
    if not zone:
        return ""
    try:
        there = happened_at(record).astimezone(zoneinfo.ZoneInfo(zone))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return ""
    here = timezone.localtime(happened_at(record))
    if there.replace(tzinfo=None) == here.replace(tzinfo=None):
        return ""
    shown = date_format(there, "TIME_FORMAT" if there.date() == here.date() else "DATETIME_FORMAT")
    return _("%(time)s in %(zone)s") % {"time": shown, "zone": zone}


def source(record: Record) -> str:
    return record.source.name if record.source is not None else str(STAFF)


def brought_by(record: Record, masked: Collection[str]) -> str:
    """The pair that decided, or what did instead. `masked` are the handles whose identifiers are not shown."""
    if not record.brought_by_handle:
        return str(record.get_decided_by_display())
    identifier = record.brought_by_identifier
    shown = mask(identifier) if record.brought_by_handle in masked else identifier
    return f"{record.brought_by_handle} {shown}"


def sensitive(records: Iterable[Record]) -> set[str]:
    """Of the handles that brought these records, those whose identifiers are masked. One query."""
    handles = {record.brought_by_handle for record in records} - {""}
    if not handles:
        return set()
    return set(Handle.objects.sensitive().filter(pk__in=handles).values_list("pk", flat=True))


def plain(value: Any) -> str:
    """A value of JSON as people write it: texts and numbers as such."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return (
        str(value)
        if isinstance(value, str | int | float)
        else json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False)
    )
