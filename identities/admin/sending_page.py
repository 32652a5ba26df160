"""What came by an entry of the routing log, and the page that sends it to another of the profiles that it names."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import prefetch_related_objects
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from identities import moving, sending
from identities.admin import told
from identities.admin.movable import shows_now
from identities.admin.move_page import side
from identities.forms import MoveForm
from identities.handles import shown
from identities.models import Identity, RoutingLogEntry
from profiles.admin import record_words as words
from profiles.admin.base import MOST_AT_ONCE, PlainAdmin, Question, by, change_url
from profiles.models import RECORDS, Profile, Record
from profiles.models.record import of_kind
from profiles.refusing import Refused

# More on the page of an entry would only be in the way of it; what goes along is listed in full before it goes.
MOST_SHOWN = 10
MOST_CANDIDATES = 20


@dataclass(frozen=True, slots=True)
class Came:
    """One row that came by the entry, and who has it today."""

    name: str
    url: str
    when: str
    owner: str
    owner_url: str


@dataclass(frozen=True, slots=True)
class CameBy:
    """All that came by one entry, as far as the reader may see it, and to whom it may be sent."""

    rows: list[Came]
    has_more: bool
    candidates: list[tuple[str, str]]


def came_by(page: PlainAdmin, entry: RoutingLogEntry, *, reader: told.Reader) -> CameBy | None:
    """Records and identities of this entry; nothing where none came. A fixed number of queries."""
    rows: list[Any] = []
    # An event that is the same but for the kind of record has an entry of its own.
    if entry.kind in RECORDS and told.may_view(reader, f"profiles.{entry.kind}"):
        rows += of_kind(RECORDS[entry.kind]).filter(log_entry=entry).order_by("pk")[: MOST_SHOWN + 1]
        _load(rows)
    if told.may_view(reader, "identities.identity"):
        attached = Identity.objects.filter(conflict=entry).select_related("handle", "profile")
        rows += attached.order_by("pk")[: MOST_SHOWN + 1]
    if not rows:
        return None
    candidates = []
    if reader.has_perm("identities.change_routinglogentry"):
        candidates = _candidates(page, entry, rows, reader=reader)
    return CameBy([_came(row, reader) for row in rows[:MOST_SHOWN]], len(rows) > MOST_SHOWN, candidates)


def _load(rows: Sequence[Record]) -> None:
    """What the rows of several kinds are told with, for all of a kind at once."""
    by_kind: dict[str, list[Record]] = {}
    for row in rows:
        by_kind.setdefault(row.kind, []).append(row)
    for kind, some in by_kind.items():
        prefetch_related_objects(some, "profile", *(["definition"] if kind in ("point", "reward") else []))


def _came(row: Identity | Record, reader: told.Reader) -> Came:
    is_known = row.profile is not None and told.may_view(reader, "profiles.profile")
    when = row.created_at if isinstance(row, Identity) else words.happened_at(row)
    return Came(
        _name(row),
        change_url(row),
        words.instant(when),
        row.profile.full_name if row.profile is not None else _("nobody"),
        change_url(row.profile) if is_known and row.profile is not None else "",
    )


def _name(row: Identity | Record) -> str:
    if isinstance(row, Identity):
        return _("Identity %(name)s") % {"name": f"{row.handle.label or row.handle_id} {shown(row)}"}
    currency = row.profile.currency if row.profile is not None else ""
    return ", ".join(filter(None, (words.name(row), words.amount(row, currency))))


def _candidates(
    page: PlainAdmin, entry: RoutingLogEntry, rows: Sequence[Any], *, reader: told.Reader
) -> list[tuple[str, str]]:
    """The name of each profile to which it may go, and the page that asks. Not the one that has all of it."""
    keys = sending.candidates(entry)
    owners = {row.profile_id for row in rows}
    if len(owners) == 1:
        keys -= owners
    found = Profile.objects.live().filter(pk__in=sorted(keys)[:MOST_CANDIDATES]).order_by("pk")
    return [(_told_apart(profile), send_url(page, entry, profile.pk)) for profile in found]


def _told_apart(profile: Profile) -> str:
    return f"{profile.full_name} ({str(profile.pk)[-8:]})"


def send_url(page: PlainAdmin, entry: RoutingLogEntry, to: uuid.UUID) -> str:
    return f"{page.object_url('send', entry)}?{urlencode({'to': str(to)})}"


# Sending


def send_page(page: PlainAdmin, request: HttpRequest, entry: RoutingLogEntry) -> HttpResponse:
    """Say what goes along, ask for a reason, send, and offer the way back. The caller has checked the permission."""
    to = _chosen(request, entry)
    if to is None:
        messages.error(request, _("The entry names no such profile: choose one that it names."))
        return HttpResponseRedirect(change_url(entry))
    carried = sending.preview(entry, to.pk)
    rows: list[Any] = [row for some in carried.records.values() for row in some]
    former = {row.profile_id for row in (*rows, *carried.identities)}
    form = MoveForm(request.POST or None)

    def act() -> str:
        sent = sending.send(entry.pk, to=to.pk, note=form.cleaned_data["reason"], by=by(request))
        for changed in sent.contacts_changed:
            messages.warning(request, shows_now(changed))
        page.log_change(request, entry, _("Sent to the profile %(profile)s.") % {"profile": to.pk})
        told_of = _("Sent to %(profile)s: %(what)s.") % {"profile": to, "what": _counted(sent)}
        back = _way_back(page, entry, former)
        return format_html("{} {}", told_of, back) if back else told_of

    question = Question(
        title=_("Send it to %(profile)s?") % {"profile": to.full_name},
        sentences=[side(request, _("To:"), to), *_means(carried)],
        listed=_listed(carried),
        button=_("Yes, send it"),
        act=act,
        hindrance=_hindrance(carried, to),
        form=form,
    )
    return page.ask(request, question, obj=entry, then=change_url(entry))


def _chosen(request: HttpRequest, entry: RoutingLogEntry) -> Profile | None:
    try:
        key = uuid.UUID(request.GET.get("to", ""))
    except ValueError:
        return None
    try:
        sending.refuse_others(entry, key)
    except Refused:
        return None
    return Profile.objects.filter(pk=key).first()


def _way_back(page: PlainAdmin, entry: RoutingLogEntry, former: set[uuid.UUID | None]) -> SafeString | None:
    """Back to where all of it was; what was in several places has no one way back."""
    came_from = former.pop() if len(former) == 1 else None
    if came_from is None or came_from not in sending.candidates(entry):
        return None
    return format_html('<a href="{}">{}</a>', send_url(page, entry, came_from), _("Send it back"))


def _hindrance(carried: sending.Carried, to: Profile) -> str:
    try:
        moving.literal(to)
    except Refused as refusal:
        return refusal.message
    if not (carried.identities or carried.records):
        return _("Nothing is left to send: this profile has all that came by it and that nobody moved by hand.")
    return ""


def _means(carried: sending.Carried) -> list[str]:
    if not (carried.identities or carried.records):
        return []
    means = [_("What is listed goes along: %(what)s.") % {"what": _counted(carried)}]
    if carried.identities:
        means.append(
            _(
                "These identities were attached in this conflict, or brought by one that was. All that they have "
                "brought since goes with them, and what they bring from now on."
            )
        )
    means.append(_("What somebody has moved by hand stays where it is."))
    means.append(_("The entry is then reviewed, with your reason as its note. It can be sent back."))
    return means


def _counted(carried: sending.Carried) -> str:
    """ "2 records and 1 identity"."""
    records, identities = sum(map(len, carried.records.values())), len(carried.identities)
    told_of = []
    if records or not identities:
        told_of.append(ngettext("%(number)s record", "%(number)s records", records) % {"number": records})
    if identities:
        text = ngettext("%(number)s identity", "%(number)s identities", identities)
        told_of.append(text % {"number": identities})
    return _(" and ").join(told_of)


def _listed(carried: sending.Carried) -> list[str]:
    """Each row that goes along, and whose it is now; of very many, the first ones."""
    rows: list[Any] = [*carried.identities, *(row for some in carried.records.values() for row in some)]
    first = rows[:MOST_AT_ONCE]
    identities = [row for row in first if isinstance(row, Identity)]
    prefetch_related_objects(identities, "handle", "profile")
    _load([row for row in first if not isinstance(row, Identity)])
    listed = [
        _("%(name)s, now of %(owner)s") % {"name": _name(row), "owner": row.profile or _("nobody")} for row in first
    ]
    more = len(rows) - len(first)
    if more:
        listed.append(ngettext("and %(number)s more", "and %(number)s more", more) % {"number": more})
    return listed
