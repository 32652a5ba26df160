"""What can be moved by hand, for the one page that moves it: an identity, or a record of any kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from django.contrib import messages
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from identities import contacts, moving, moving_records
from identities.handles import shown
from identities.models import Identity
from profiles.admin.base import by, change_url, link
from profiles.models import Profile, Record

Told = str | SafeString


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a move would mean, in sentences; why it cannot be, if so; whether it takes the last one back."""

    sentences: list[Told] = field(default_factory=list)
    hindrance: str = ""
    takes_back: bool = False


class Movable(Protocol):
    """One row that may go from one profile to another. `hindrance` says why it can go to none at all."""

    @property
    def row(self) -> Any: ...

    @property
    def label(self) -> str: ...

    @property
    def hindrance(self) -> str: ...

    # Whether it may be nobody's, too.
    may_be_nobodys: bool

    def forecast(self, to: Profile | None) -> Forecast: ...

    def move(self, request: HttpRequest, to: Profile | None, *, reason: str) -> None: ...

    def url_after(self, to: Profile | None) -> str: ...


class IdentityMove:
    may_be_nobodys = False

    def __init__(self, row: Identity) -> None:
        self.row = row
        self.label = f"{row.handle.label or row.handle_id} {shown(row)}"
        self.hindrance = moving.of_the_dead(row)

    def forecast(self, to: Profile | None) -> Forecast:
        if to is None:
            return Forecast(hindrance=_("An identity always names somebody."))
        preview = moving.preview(self.row, to)
        return Forecast(_consequences(preview), preview.hindrance, preview.takes_back)

    def move(self, request: HttpRequest, to: Profile | None, *, reason: str) -> None:
        if to is None:
            return
        moved = moving.move(self.row.pk, to=to.pk, reason=reason, by=by(request))
        for changed in moved.contacts_changed:
            messages.warning(request, shows_now(changed))

    def url_after(self, to: Profile | None) -> str:
        return change_url(to or self.row.profile)


class RecordMove:
    may_be_nobodys = True
    hindrance = ""

    def __init__(self, row: Record, name: Callable[[Record], str]) -> None:
        self.row, self.label = row, name(row)

    def forecast(self, to: Profile | None) -> Forecast:
        preview = moving_records.preview(self.row, to)
        told: list[Told] = [
            _(
                "Only this record moves. The identities that came with it stay where they are, and so new records "
                "under them go where they did before."
            )
        ]
        if preview.takes_back:
            told.append(_("This takes back its last move."))
        return Forecast(told, preview.hindrance, preview.takes_back)

    def move(self, request: HttpRequest, to: Profile | None, *, reason: str) -> None:
        pk = to.pk if to is not None else None
        moving_records.move_record(type(self.row), self.row.pk, to=pk, reason=reason, by=by(request))

    def url_after(self, to: Profile | None) -> str:
        return change_url(self.row)


def _consequences(preview: moving.Preview) -> list[Told]:
    """What the move does besides, in sentences."""
    told: list[Told] = [
        _("Only this identity moves. What has been written by it so far stays; new writes under it go to the other.")
    ]
    if preview.takes_back:
        told.append(_("This takes back its last move."))
    if preview.loses_primary:
        told.append(_("It is the primary identity now, and will be primary nowhere."))
    if preview.former_shows is not None:
        told.append(
            _("The profile that it leaves will show %(contact)s instead.") % {"contact": preview.former_shows}
            if preview.former_shows
            else _("The profile that it leaves will show no such contact any more.")
        )
    if preview.is_shown_there:
        told.append(_("The other profile has none yet, and will show it."))
    if preview.identity.handle.reserved_for_id:
        reserved = _("Its handle stays reserved: only %(extension)s can change the identifier.")
        told.append(reserved % {"extension": preview.identity.handle.reserved_for_id})
    return told


def shows_now(changed: contacts.Changed) -> SafeString:
    """Whose e-mail or mobile is another one now: what was told before may have been overtaken."""
    contact = getattr(changed.profile, changed.field)
    text = _("{profile} shows {contact} now.") if contact else _("{profile} shows no {field} now.")
    field = changed.profile._meta.get_field(changed.field).verbose_name  # type: ignore[union-attr]
    return format_html(text, profile=link(changed.profile), contact=contact, field=field)
