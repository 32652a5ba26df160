"""The fields of a profile that a write carries: fill what is empty, refuse what cannot be, save and audit the rest.

Everything here runs inside an operation that holds the profile's lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.utils import timezone

from profiles import auditing
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused

BIRTH = ("birth_year", "birth_month", "birth_day")
EMPTY: tuple[Any, ...] = (None, "", [], {})


def fill(profile: Profile, fields: Mapping[str, Any]) -> list[str]:
    """Set the empty columns among these, and name those that hold something else.

    The parts of a birth date go together: half of one person's and half of another's is nobody's. Those of the
    attributes, `comms`, `appearance` and `dates`, are filled each for itself.
    """
    birth = {name: fields[name] for name in BIRTH if fields.get(name)}
    clean(Profile(**birth))
    before = {name: getattr(profile, name) for name in BIRTH}
    other_birth = any(getattr(profile, name) not in (None, value) for name, value in birth.items())
    not_taken = []
    for name, value in fields.items():
        current = getattr(profile, name)
        if name == "attributes":
            profile.attributes = _filled(current, value)
            if any(profile.attributes[key] != part for key, part in value.items() if part not in EMPTY):
                not_taken.append(name)
        elif value in EMPTY or current == value:
            continue
        elif current not in EMPTY or (name in birth and other_birth):
            not_taken.append(name)
        else:
            setattr(profile, name, value)
    try:
        profile.clean()
    except ValidationError:
        # Known parts and sent ones make no date together. The rest of the write stands.
        for name in birth:
            if before[name] is None:
                setattr(profile, name, None)
                not_taken.append(name)
    return not_taken


def _filled(attributes: Mapping[str, Any], sent: Mapping[str, Any]) -> dict[str, Any]:
    """These attributes with the parts of those sent that they have nothing of."""
    missing = {key: part for key, part in sent.items() if part not in EMPTY and attributes.get(key) in EMPTY}
    return {**attributes, **missing}


def clean(profile: Profile) -> None:
    """Raise Refused where the profile's own rules are broken."""
    try:
        profile.clean()
    except ValidationError as error:
        raise Refused.because(error) from error


def save(profile: Profile) -> None:
    profile.updated_at = timezone.now()
    profile.save(force_update=True)


def save_changes(profile: Profile, old: Mapping[str, Any], *, by: By) -> None:
    """Save a profile if any of these columns is no longer what it was, and audit what changed."""
    changed = [name for name, value in old.items() if getattr(profile, name) != value]
    if not changed:
        return
    clean(profile)
    save(profile)
    new = {name: getattr(profile, name) for name in changed}
    before = {name: old[name] for name in changed}
    auditing.write([auditing.entry("updated", profile, by=by, profile=profile, old=before, new=new)])
