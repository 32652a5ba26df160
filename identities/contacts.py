"""A profile's e-mail and mobile: pairs like all others, of which the profile shows one (API.md 2, *Contact points*).

Everything here runs inside an operation that holds the profile's lock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from identities import handles
from identities.handles import Sent
from identities.models import BUILT_IN, EMAIL, MOBILE_PHONE, Extension, Identity
from identities.normalising import forms, split_phone
from profiles.models import Profile
from profiles.refusing import Refused

# Word for word as existing clients expect them (API.md 3).
TAKEN = {EMAIL: "The email exists", MOBILE_PHONE: "The phone number exists"}


class Changed(NamedTuple):
    """Which column of which profile shows another contact point now, or none."""

    profile: Profile
    field: str


def read(contacts: Mapping[str, str | None], *, writer: Extension | None) -> dict[str, Identity | None]:
    """Bring sent contact points to unsaved identities; None stands for one that is to be emptied.

    In: `email` and/or `mobile_phone`. Raises Refused `invalid_identifier` or `blocked_identifier`, naming the field.
    """
    filled = [Sent(handle, text) for handle, text in contacts.items() if text and text.strip()]
    wanted: dict[str, Identity | None] = dict.fromkeys(contacts)
    for sent, answer in zip(filled, handles.read(filled, writer=writer), strict=True):
        if isinstance(answer, Refused):
            raise Refused(answer.code, answer.message, field=sent.handle)
        wanted[sent.handle] = answer
    return wanted


def named(profile: Profile, texts: Sequence[str]) -> list[Identity | None]:
    """The contact points of a profile that somebody names by an address or number in any spelling; None for one that
    it does not hold. One statement."""
    pairs = [{(name, forms(text)[normaliser]) for name, normaliser in BUILT_IN.items()} for text in texts]
    wanted = {identifier for asked in pairs for _name, identifier in asked if identifier is not None}
    rows = profile.identities.filter(handle__in=BUILT_IN, identifier__in=wanted)
    held: dict[tuple[str, str | None], Identity] = {(row.handle_id, row.identifier): row for row in rows}
    return [next((held[pair] for pair in asked if pair in held), None) for asked in pairs]


def shown(profile: Profile, handle: str) -> Identity | None:
    """The identity that the profile's column shows."""
    column = profile.email if handle == EMAIL else profile.mobile_phone
    if not column:
        return None
    held = profile.identities.filter(handle=handle)
    return next((identity for identity in held if identity.shown == column), None)


def show(profile: Profile, handle: str, identity: Identity | None) -> None:
    """Make the column show this identity, or nothing. The caller saves the profile."""
    text = identity.shown if identity else ""
    if handle == EMAIL:
        profile.email = text
        return
    profile.mobile_phone = text
    country, national = split_phone(text) if text else (None, "")
    profile.mobile_phone_country = country
    profile.mobile_phone_national = national


def show_what_is_left(profile: Profile, handles: Collection[str] = (EMAIL, MOBILE_PHONE)) -> list[str]:
    """Where the shown pair has left the profile, show the oldest that it still holds, else nothing.

    A pair that was away and came back in another spelling is shown in that spelling. Returns the names of the fields
    that changed, for the answer to report. The caller saves the profile.
    """
    changed = []
    for handle in handles:
        column = profile.email if handle == EMAIL else profile.mobile_phone
        if column and shown(profile, handle) is None:
            held = list(profile.identities.filter(handle=handle).order_by("pk"))
            same = forms(column)[BUILT_IN[handle]]
            show(profile, handle, next((row for row in held if row.identifier == same), next(iter(held), None)))
            changed.append(handle)
    return changed


def columns(handle: str) -> list[str]:
    """The columns of Profile that show this contact."""
    return ["email"] if handle == EMAIL else ["mobile_phone", "mobile_phone_country", "mobile_phone_national"]
