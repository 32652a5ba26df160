"""What an event shows to conditions, actions and receivers (API.md 7).

The object is as the API shows it when the event is taken up, so that whoever gets several events of one row ends with
what it is; what is gone by then is told as it last was, from the event. A receiver sees what a server token that may
read sees: reserved and sensitive identities in clear, contact points as fields of the profile only.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from identities import lookup
from identities.handles import mask
from identities.models import Handle, Identity
from profiles import duplicates, evidence, reading
from profiles.events import DUPLICATE_DETECTED
from profiles.models import RECORDS, DuplicatePair, Event, Merge, Profile
from profiles.models.record import of_kind
from profiles.reacting.masking import MOST, Masking

PROFILE, IDENTITY, DUPLICATE_PAIR = "profile", "identity", "duplicate_pair"


def context(event: Event) -> dict[str, Any]:
    """The context of an event. A few statements, each for all of one kind."""
    if event.subject_type == PROFILE:
        return {**_profile(event), **_sides(event)}
    if event.subject_type == DUPLICATE_PAIR:
        return _duplicate(event)
    shown = _row(event)
    former = event.facts.get("old", {}).get("profile_id")
    if former is not None and event.facts.get("event") in ("moved", "taken over"):
        shown["moved_from"] = former
    return _with_identities(shown, owner(event, shown))


def owner(event: Event, shown: Mapping[str, Any]) -> uuid.UUID | None:
    """The profile that a context is about, None for what is nobody's: what `attribute.set` writes to."""
    if event.subject_type == PROFILE:
        return uuid.UUID(shown["id"])
    if "profile_id" in shown and event.subject_type != DUPLICATE_PAIR and not shown.get("is_gone"):
        return uuid.UUID(shown["profile_id"]) if shown["profile_id"] else None
    return event.profile_id


def sample(trigger: str, profile: Profile) -> dict[str, Any]:
    """What an event of this trigger would show of this profile today, by the newest row of it that it could be about.

    Where there is none, only what is shown of the profile's identities. Writes nothing.
    """
    event = Event(trigger=trigger, profile=profile, subject_type=PROFILE, subject_key=str(profile.pk), facts={})
    kind = trigger.partition(".")[0]
    if kind == IDENTITY:
        newest = Identity.objects.visible().filter(profile=profile).order_by("-pk").first()
        event.subject_type, event.subject_key = IDENTITY, str(newest.pk) if newest else ""
    elif kind in RECORDS:
        record = of_kind(RECORDS[kind]).filter(profile=profile).order_by("-pk").first()
        event.subject_type, event.subject_key = kind, str(record.pk) if record else ""
    elif trigger == DUPLICATE_DETECTED:
        pair = DuplicatePair.objects.of(profile.pk).order_by("-pk").first()
        event.subject_type, event.subject_key = DUPLICATE_PAIR, str(pair.pk) if pair else ""
    elif trigger in ("profile.merged", "profile.unmerged"):
        merge = Merge.objects.filter(survivor=profile).order_by("-pk").first()
        if merge is not None:
            event.facts = {"merge": merge.pk, "duplicate": str(merge.duplicate_id), **_as_if_before(merge)}
    return context(event)


def _as_if_before(merge: Merge) -> dict[str, Any]:
    """Who may have had which of the identities of today: for a sample alone, since a merge itself tells it exactly."""
    rows = [reading.from_json(text) for text in lookup.identities_of(merge.survivor_id)]
    came = [one for one in rows if one["merged_from"] == str(merge.duplicate_id)]
    return {
        "identities_before": {"survivor": [one for one in rows if one not in came], "duplicate": came},
        "lineage": [
            {
                "profile_id": str(merge.duplicate_id),
                "merged_into": str(merge.survivor_id),
                "merge_id": merge.pk,
                "merged_at": merge.at.strftime("%Y-%m-%d %H:%M:%S"),
            }
        ],
    }


def masked(shown: dict[str, Any], *, of: uuid.UUID | None = None) -> dict[str, Any]:
    """The same with identifiers of sensitive handles masked, wherever in it they stand: for pages and logs.

    In: `of` is the profile that it is about, whose identifiers are masked although nothing in `shown` says what they
    are. Inside of longer text they are masked too, but for those which are so short that they stand in any text.
    """
    known = Handle.objects.sensitive().values_list("pk", flat=True)
    sensitive = set(known)
    if not sensitive:
        return shown
    secrets = set(_identifiers(shown, sensitive))
    if of is not None:
        survivor = Profile.objects.survivors([of]).get(of, of)
        own = Identity.objects.filter(profile_id=survivor, handle__in=sensitive)
        secrets |= set(own.values_list("identifier", flat=True)[:MOST])
    result: dict[str, Any] = _masked(shown, secrets, Masking(secrets))
    return result


def _identifiers(value: Any, sensitive: set[str]) -> list[str]:
    found: list[str] = []
    if isinstance(value, dict):
        if value.get("handle") in sensitive and isinstance(value.get("identifier"), str):
            found.append(value["identifier"])
        for one in value.values():
            found += _identifiers(one, sensitive)
    elif isinstance(value, list):
        for one in value:
            found += _identifiers(one, sensitive)
    return found


def _masked(value: Any, secrets: set[str], inside: Masking) -> Any:
    if isinstance(value, dict):
        return {key: _masked(one, secrets, inside) for key, one in value.items()}
    if isinstance(value, list):
        return [_masked(one, secrets, inside) for one in value]
    if not isinstance(value, str):
        return value
    return mask(value) if value in secrets else inside(value)


def by_handle(identities: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Of several identities of one handle the newest active one, else the newest, as the API means by a handle."""
    found: dict[str, Any] = {}
    for one in sorted(identities, key=lambda one: (one["is_active"], one["id"])):
        found[one["handle"]] = one
    return found


def _with_identities(shown: dict[str, Any], profile_id: uuid.UUID | None) -> dict[str, Any]:
    """Add those of the profile. What a record itself was sent with stands beside them."""
    if "identities" in shown:
        shown["identities_sent"] = shown["identities"]
    survivor = Profile.objects.survivors([profile_id]).get(profile_id) if profile_id is not None else None
    shown["identities"] = [reading.from_json(text) for text in lookup.identities_of(survivor)] if survivor else []
    return {**shown, "identity": by_handle(shown["identities"])}


def _profile(event: Event) -> dict[str, Any]:
    shown = event.facts.get("gone")
    if shown is None:
        text = lookup.profile(event.subject_key)
        shown = reading.from_json(text) if text is not None else {"id": event.subject_key, "identities": []}
    if shown["id"] != event.subject_key:
        # As the API answers for an id that was merged since.
        shown["merged_from"] = event.subject_key
    return {**shown, "identity": by_handle(shown["identities"])}


def _sides(event: Event) -> dict[str, Any]:
    """What a merge or its undo has been between: as it was then."""
    facts = event.facts
    if "duplicate" not in facts:
        return {}
    if event.trigger == "profile.unmerged":
        text = lookup.profile(facts["duplicate"])
        duplicate = reading.from_json(text) if text is not None else None
        return {"unmerged": facts["duplicate"], "duplicate": duplicate, "merge_id": facts["merge"]}
    before = facts.get("identities_before", {"survivor": [], "duplicate": []})
    return {
        "merged_from": facts["duplicate"],
        "merge_id": facts["merge"],
        "identities_before": before,
        "identity_before": {side: by_handle(identities) for side, identities in before.items()},
        "lineage": facts.get("lineage", []),
    }


def _row(event: Event) -> dict[str, Any]:
    """An identity or a record."""
    if event.facts.get("gone") is not None:
        return dict(event.facts["gone"])
    if event.subject_key:
        keys = [int(event.subject_key)]
        is_identity = event.subject_type == IDENTITY
        texts = lookup.identities(keys) if is_identity else lookup.records(event.subject_type, keys)
        if texts:
            shown: dict[str, Any] = reading.from_json(texts[0])
            return shown
    return _what_is_left(event)


def _what_is_left(event: Event) -> dict[str, Any]:
    """What the audit has kept of a row that was deleted before its event was taken up."""
    known = {**event.facts.get("old", {}), **event.facts.get("new", {})}
    if event.subject_type == IDENTITY and known.get("handle") is not None:
        # The audit has masked those of a sensitive handle, and what is masked names nobody.
        is_sensitive = Handle.objects.sensitive().filter(pk=known["handle"]).exists()
        known = {name: one for name, one in known.items() if name != "identifier" or not is_sensitive}
    key = int(event.subject_key) if event.subject_key else None
    return {**known, "id": key, "is_gone": True}


def _duplicate(event: Event) -> dict[str, Any]:
    """A pair of the queue, with the identities of both."""
    pair = DuplicatePair.objects.filter(pk=int(event.subject_key)).first() if event.subject_key else None
    if pair is None:
        shown = {"id": None, **event.facts.get("pair", {})}
    else:
        shown = {**duplicates.document(pair), "reasons": evidence.told(pair)}
    ids = [uuid.UUID(pk) for pk in shown.get("survivor_ids", [])]
    shown["identities"] = [reading.from_json(text) for pk in ids for text in lookup.identities_of(pk)]
    return {**shown, "identity": by_handle(shown["identities"])}
