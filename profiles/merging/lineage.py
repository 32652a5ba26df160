"""A profile with all that was merged into it, read once and changed in memory; `save` writes what has changed."""

from __future__ import annotations

import datetime
import uuid
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.db.models import QuerySet
from django.utils import timezone

from identities.filling import EMPTY
from identities.models import BUILT_IN, Identity
from profiles.models import CustomAttribute, DuplicatePair, Merge, Move, Profile

# A value as a merge keeps it: a list of JSON values, so that what is not there ([]) differs from what is empty.
Value = list[Any]

# Fields of the wire, and the columns that go together under each: half of one birth date and half of another is
# nobody's.
COLUMNS: dict[str, tuple[str, ...]] = {
    "title": ("title",),
    "first_name": ("first_name",),
    "last_name": ("last_name",),
    "email": ("email",),
    "mobile_phone": ("mobile_phone", "mobile_phone_country", "mobile_phone_national"),
    "secondary_phone": ("secondary_phone",),
    "gender": ("gender",),
    "birth_date": ("birth_year", "birth_month", "birth_day"),
    "company": ("company",),
    "occupation": ("occupation",),
    "currency": ("currency",),
    "avatar_url": ("avatar_url",),
    "tags": ("tags",),
    "joined_at": ("joined_at",),
}
PARTS = ("comms", "appearance", "dates")
ATTRIBUTES = "attributes."
CUSTOM = "custom_attributes."
# On the wire, a profile's external id is the identifier of its primary identity.
PRIMARY = "external_id"

# The fields that every profile has, in the order in which people read them, but for the primary identity.
FIELDS = (*COLUMNS, *(f"{ATTRIBUTES}{part}" for part in PARTS))

# The profiles beside which these stand in a row that is about two: they were one, got rows of each other, or were
# thought to be one. Each side has its index.
BESIDE = " UNION ".join(
    f"SELECT {theirs} FROM {model._meta.db_table} WHERE {mine} = ANY(%(ids)s)"  # noqa: S608 - names of our own
    for model, columns in (
        (Merge, ("survivor_id", "duplicate_id")),
        (Move, ("from_profile_id", "to_profile_id")),
        (DuplicatePair, ("first_id", "second_id")),
        (DuplicatePair, ("low_id", "high_id")),
    )
    for mine, theirs in (columns, columns[::-1])
)

# What a copy of a custom attribute takes along.
COPIED = (
    "type",
    "value",
    "text",
    "source_id",
    "brought_by_id",
    "brought_by_key",
    "brought_by_handle",
    "brought_by_identifier",
    "addressed",
    "created_at",
)


def is_empty(value: Value) -> bool:
    return all(one in EMPTY for one in value)


def same(name: str, one: Value, other: Value) -> bool:
    """Whether two values are equal; of custom attributes their type and value say it, not how they came."""
    return one[:2] == other[:2] if name.startswith(CUSTOM) else one == other


def beneath(ids: Collection[uuid.UUID]) -> list[Profile]:
    """These profiles, and all that were merged into them, directly or not. One statement."""
    return list(
        Profile.objects.raw(
            """
            WITH RECURSIVE lineage AS (
                SELECT id FROM profiles_profile WHERE id = ANY(%s)
                UNION
                SELECT duplicate.id FROM lineage, LATERAL (
                    -- By the index, one after the other: the planner cannot know how few they are, and without OFFSET
                    -- would rather read all profiles.
                    SELECT id FROM profiles_profile WHERE merged_into_id = lineage.id OFFSET 0
                ) AS duplicate
            )
            SELECT profile.* FROM lineage, LATERAL (
                SELECT * FROM profiles_profile WHERE id = lineage.id OFFSET 0
            ) AS profile
            """,
            [list(ids)],
        )
    )


@dataclass(slots=True)
class Lineage:
    """Profiles by id, with the live merge by which each duplicate among them left, their custom attributes by name,
    and the primary identity that each has or, once merged, had."""

    profiles: dict[uuid.UUID, Profile]
    merges: dict[uuid.UUID, Merge]
    attributes: dict[uuid.UUID, dict[str, CustomAttribute]]
    primaries: dict[uuid.UUID, int | None]
    # What can be shown: contact points that live profiles among them hold, and former primary identities.
    held: dict[str, set[Any]]
    _dirty: set[uuid.UUID] = field(default_factory=set)
    _dirty_merges: set[uuid.UUID] = field(default_factory=set)
    _former_attributes: dict[tuple[uuid.UUID, str], CustomAttribute | None] = field(default_factory=dict)
    _former_primaries: dict[uuid.UUID, int | None] = field(default_factory=dict)

    @classmethod
    def read(cls, ids: Collection[uuid.UUID]) -> Lineage:
        """Read the lineages of these profiles. Six statements, however many there are."""
        profiles = {profile.pk: profile for profile in beneath(ids)}
        merges = {merge.duplicate_id: merge for merge in Merge.objects.live().filter(duplicate__in=profiles)}
        attributes: dict[uuid.UUID, dict[str, CustomAttribute]] = defaultdict(dict)
        for row in CustomAttribute.objects.filter(profile__in=profiles):
            attributes[row.profile_id][f"{CUSTOM}{row}"] = row
        primaries: dict[uuid.UUID, int | None] = {pk: merge.primary for pk, merge in merges.items()}
        own: QuerySet[Identity] = Identity.objects.filter(profile__in=profiles, is_primary=True)
        primaries |= dict(own.values_list("profile_id", "pk"))
        held: dict[str, set[Any]] = {handle: set() for handle in BUILT_IN}
        there = Identity.objects.filter(pk__in=[pk for pk in primaries.values() if pk], profile__in=profiles)
        held[PRIMARY] = set(there.values_list("pk", flat=True))
        for contact in Identity.objects.filter(profile__in=profiles, handle__in=BUILT_IN):
            held[contact.handle_id].add(contact.shown)
        return cls(profiles, merges, attributes, primaries, held)

    def names(self) -> list[str]:
        """Every field that any of the profiles may have, in the order in which people read them."""
        custom = {name for rows in self.attributes.values() for name in rows}
        noted = {name for merge in self.merges.values() for name in merge.fields if name.startswith(CUSTOM)}
        return [*FIELDS, *sorted(custom | noted), PRIMARY]

    def value(self, pk: uuid.UUID, name: str) -> Value:
        profile = self.profiles[pk]
        if name in COLUMNS:
            return [_frozen(getattr(profile, column)) for column in COLUMNS[name]]
        if name == PRIMARY:
            primary = self.primaries.get(pk)
            return [] if primary is None else [primary]
        if name.startswith(ATTRIBUTES):
            part = name.removeprefix(ATTRIBUTES)
            return [profile.attributes[part]] if part in profile.attributes else []
        row = self.attributes.get(pk, {}).get(name)
        return [] if row is None else [*(_frozen(getattr(row, column)) for column in COPIED), row.pk]

    def put(self, pk: uuid.UUID, name: str, value: Value) -> None:
        """Give a profile another value, in memory."""
        profile = self.profiles[pk]
        if name in COLUMNS:
            for column, one in zip(COLUMNS[name], value, strict=True):
                setattr(profile, column, _thawed(Profile, column, one))
            self._dirty.add(pk)
        elif name == PRIMARY:
            self._former_primaries.setdefault(pk, self.primaries.get(pk))
            self.primaries[pk] = next(iter(value), None)
            if pk in self.merges:
                self.merges[pk].primary = self.primaries[pk]
                self._dirty_merges.add(pk)
        elif name.startswith(ATTRIBUTES):
            part = name.removeprefix(ATTRIBUTES)
            others = {key: one for key, one in profile.attributes.items() if key != part}
            profile.attributes = {**others, part: value[0]} if value else others
            self._dirty.add(pk)
        else:
            self._put_attribute(pk, name, value)

    def _put_attribute(self, pk: uuid.UUID, name: str, value: Value) -> None:
        rows = self.attributes.setdefault(pk, {})
        former = self._former_attributes.setdefault((pk, name), rows.get(name))
        if not value:
            rows.pop(name, None)
            return
        namespace, _colon, handle = name.removeprefix(CUSTOM).partition(":")
        # The row on file, also where another value was taken back before: there can only be one of that name.
        row = (
            rows.get(name) or former or CustomAttribute(profile=self.profiles[pk], namespace=namespace, handle=handle)
        )
        *copied, key = value
        known = {one.pk for others in self.attributes.values() for one in others.values()}
        if row._state.adding and key not in known:
            # Nobody's value is copied: a row comes back that was deleted, and is the same row.
            row.pk = key
        for column, one in zip(COPIED, copied, strict=True):
            setattr(row, column, _thawed(CustomAttribute, column, one))
        row.updated_at = timezone.now()
        rows[name] = row

    def entries(self, pk: uuid.UUID, name: str) -> list[tuple[Merge, dict[str, Any]]]:
        """What merges into this profile have to do with the value of a field, the one that it shows today last.

        At most one is not chosen, and stands under all that are.
        """
        found = [(merge, merge.fields[name]) for merge in self.into(pk) if name in merge.fields]
        return sorted(found, key=lambda one: (one[1]["chosen"], one[0].pk is None, one[0].pk or 0))

    def note(self, merge: Merge, name: str, entry: dict[str, Any] | None) -> None:
        """Keep, or with None forget, what a merge has to do with a field."""
        merge.fields = {key: one for key, one in merge.fields.items() if key != name}
        if entry is not None:
            merge.fields[name] = entry
        # One that is being made is stored whole.
        if merge.pk is not None:
            self._dirty_merges.add(merge.duplicate_id)

    def into(self, pk: uuid.UUID) -> list[Merge]:
        return [merge for merge in self.merges.values() if merge.survivor_id == pk]

    def by_which(self, pk: uuid.UUID, of: uuid.UUID) -> Merge:
        """The merge into one profile by which another, which may be deep beneath it, came to it."""
        merge = self.merges[of]
        while merge.survivor_id != pk:
            merge = self.merges[merge.survivor_id]
        return merge

    def beneath(self, pk: uuid.UUID) -> list[uuid.UUID]:
        """This profile and all beneath it."""
        duplicates: dict[uuid.UUID, list[uuid.UUID]] = defaultdict(list)
        for merge in self.merges.values():
            duplicates[merge.survivor_id].append(merge.duplicate_id)
        found, ahead = [], [pk]
        while ahead:
            one = ahead.pop()
            found.append(one)
            ahead += duplicates[one]
        return found

    def chain(self, pk: uuid.UUID) -> list[uuid.UUID]:
        """This profile, the one that it was merged into, and so on up to the live one."""
        found = [pk]
        while found[-1] in self.merges:
            found.append(self.merges[found[-1]].survivor_id)
        return found

    def save(self, *, at: datetime.datetime) -> None:
        """Write the changed profiles, merges, custom attributes and primary marks. The profiles must be locked."""
        for pk in sorted(self._dirty):
            self.profiles[pk].updated_at = at
            self.profiles[pk].save(force_update=True)
        noted = [self.merges[pk] for pk in sorted(self._dirty_merges) if pk in self.merges]
        Merge.objects.bulk_update(noted, ["fields", "primary"])
        self._save_attributes()
        self._save_primaries(at)

    def _save_attributes(self) -> None:
        current = {(pk, name): self.attributes.get(pk, {}).get(name) for pk, name in self._former_attributes}
        gone = [row.pk for key, row in self._former_attributes.items() if row is not None and current[key] is None]
        rows = [row for row in current.values() if row is not None]
        # What brought it may have been deleted since its value was kept.
        brought = [row.brought_by_id for row in rows if row.brought_by_id is not None]
        known = set(Identity.objects.filter(pk__in=brought).values_list("pk", flat=True)) if brought else set()
        for row in rows:
            row.brought_by_id = row.brought_by_id if row.brought_by_id in known else None
        if gone:
            CustomAttribute.objects.filter(pk__in=gone).delete()
        fields = [column.removesuffix("_id") for column in COPIED]
        CustomAttribute.objects.bulk_create([row for row in rows if row._state.adding])
        CustomAttribute.objects.bulk_update([row for row in rows if not row._state.adding], [*fields, "updated_at"])

    def _save_primaries(self, at: datetime.datetime) -> None:
        # Of merged profiles only the merge remembers it; the identity is with the survivor.
        live = {pk: self.primaries[pk] for pk in self._former_primaries if pk not in self.merges}
        demoted = [former for pk, former in self._former_primaries.items() if pk in live and former is not None]
        rows = Identity.objects.filter(pk__in=demoted, is_primary=True)
        rows.update(is_primary=False, updated_at=at)
        for pk, primary in live.items():
            if primary is not None:
                row = Identity.objects.filter(pk=primary, profile=pk).exclude(handle__in=BUILT_IN)
                row.update(is_primary=True, updated_at=at)


def _frozen(value: Any) -> Any:
    """What JSON keeps to the microsecond, and `to_python` of the column reads back."""
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    return str(value) if isinstance(value, uuid.UUID) else value


def _thawed(model: type[models.Model], column: str, value: Any) -> Any:
    """The value as the column has it; what JSON keeps of a reference is its key already."""
    found = model._meta.get_field(column.removesuffix("_id"))
    return value if found.is_relation or not isinstance(found, models.Field) else found.to_python(value)
