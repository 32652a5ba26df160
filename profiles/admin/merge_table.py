"""The profiles of a merge side by side: a column each, a row per field, and in each row the value that will stand."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models.expressions import RawSQL
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _

from identities.handles import shown
from identities.models import BUILT_IN, Handle, Identity
from profiles.admin import merge_words as words
from profiles.admin.base import change_url
from profiles.admin.merge_asked import FIELD, HANDLE, Asked, Forecast, standing
from profiles.merging import FieldOutcome, HandleConflict
from profiles.merging.lineage import PRIMARY, Lineage, Value, is_empty, same
from profiles.models import Profile

# Of each profile; the list of them all is a link away.
MOST_IDENTITIES = 12


@dataclass(frozen=True, slots=True)
class Column:
    profile: Profile
    letter: str
    url: str
    short_id: str
    is_survivor: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """What one profile has. `value` of the radio button by which it is chosen: empty where the rules choose it."""

    column: Column
    text: str
    is_standing: bool = False
    value: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One field, or one single-valued handle. `state`: "same", "one" (only one has it), "differs" or "undecided".

    `name` is that of its radio buttons, if there is anything to choose. `beneath` is a value that would stand by the
    rules and is in no column: one that was merged into a duplicate before has it.
    """

    label: str
    state: str
    cells: Sequence[Cell]
    name: str = ""
    beneath: Cell | None = None
    is_handle: bool = False

    @property
    def must_be_decided(self) -> bool:
        return self.is_handle and not any(cell.is_standing for cell in self.cells)

    @property
    def standing(self) -> Cell | None:
        every = [*self.cells, *([self.beneath] if self.beneath else [])]
        return next((cell for cell in every if cell.is_standing), None)


@dataclass(frozen=True, slots=True)
class Held:
    """Some identities of one profile, and how to see them all, where there are more."""

    rows: Sequence[tuple[str, bool]]
    more_url: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    columns: Sequence[Column]
    rows: Sequence[Row]
    held: Sequence[Held] = ()
    moves: Sequence[str] = ()
    left_out: Sequence[Column] = ()

    @property
    def differing(self) -> int:
        return sum(row.state in ("differs", "undecided") for row in self.rows)

    @property
    def has_choice(self) -> bool:
        """Whether one of them could be left out."""
        return len(self.columns) + len(self.left_out) > 2


@dataclass(slots=True)
class _Drawing:
    """What the rows of one table need: columns by profile, and identities and profiles that values name."""

    asked: Asked
    may_identities: bool
    columns: list[Column]
    identities: Mapping[int, Identity] = field(default_factory=dict)
    beneath: Mapping[uuid.UUID, Profile] = field(default_factory=dict)

    def text(self, name: str, value: Value) -> str:
        if name == PRIMARY and value and not self.may_identities:
            return _("has one")
        return words.value(name, value, self.identities)


def draw(told: Forecast, *, may_identities: bool) -> Table:
    """Lay the profiles side by side. Some five statements, however many they are."""
    asked = told.asked
    columns = [_column(profile, asked) for profile in asked.members]
    drawing = _Drawing(asked, may_identities, columns)
    fields = told.preview.fields
    if not fields:
        # It cannot be merged as they are, and yet people want to compare them.
        fields = _as_they_are(asked)
    drawing.identities = _named_by(fields)
    drawing.beneath = Profile.objects.in_bulk({one.of for one in told.by_rule.values()} - {*asked.letters})
    conflicts = [_conflict(one, drawing) for one in told.preview.conflicts]
    held = _held(asked, columns) if may_identities else []
    return Table(
        columns,
        [*conflicts, *(_row(one, told.by_rule.get(one.name), drawing) for one in fields)],
        held,
        _moves(told, columns),
        [_column(profile, asked) for profile in asked.left_out],
    )


def _column(profile: Profile, asked: Asked) -> Column:
    return Column(
        profile,
        asked.letters[profile.pk],
        change_url(profile),
        words.short_id(profile),
        is_survivor=profile == asked.survivor,
    )


def _as_they_are(asked: Asked) -> list[FieldOutcome]:
    """The fields of profiles that something keeps from being merged: nothing stands yet."""
    ids = [profile.pk for profile in asked.members]
    lineage = Lineage.read(ids)
    found = []
    for name in lineage.names():
        sides = {pk: lineage.value(pk, name) for pk in ids}
        if not all(map(is_empty, sides.values())):
            found.append(FieldOutcome(name, "kept", [], asked.survivor.pk, sides, chosen=False))
    return found


def _named_by(fields: Sequence[FieldOutcome]) -> dict[int, Identity]:
    keys = {value[0] for one in fields if one.name == PRIMARY for value in (one.value, *one.sides.values()) if value}
    return Identity.objects.select_related("handle").in_bulk(keys)


def _row(outcome: FieldOutcome, by_rule: FieldOutcome | None, drawing: _Drawing) -> Row:
    name, asked = outcome.name, drawing.asked
    sides = outcome.sides
    state = _state(name, [sides[column.profile.pk] for column in drawing.columns])
    ruled = standing(by_rule, asked) if by_rule is not None else None
    stands = asked.fields.get(name, ruled)
    cells = [
        Cell(
            column,
            drawing.text(name, sides[column.profile.pk]),
            is_standing=by_rule is not None and column.profile.pk == stands,
            value="" if column.profile.pk == ruled else column.letter,
        )
        for column in drawing.columns
    ]
    can_choose = by_rule is not None and state != "same"
    beneath = None
    if by_rule is not None and ruled is None:
        # Of a profile that has lost its row since nobody can say the name.
        profile = drawing.beneath.get(by_rule.of)
        of = Column(profile, "", change_url(profile), words.short_id(profile), False) if profile else None
        if of is not None:
            beneath = Cell(of, drawing.text(name, by_rule.value), is_standing=name not in asked.fields)
    return Row(words.label(name), state, cells, f"{FIELD}{name}" if can_choose or beneath else "", beneath)


def _state(name: str, values: Sequence[Value]) -> str:
    known = [value for value in values if not is_empty(value)]
    if any(not same(name, known[0], other) for other in known[1:]):
        return "differs"
    return "same" if len(known) == len(values) else "one"


def _conflict(conflict: HandleConflict, drawing: _Drawing) -> Row:
    """A single-valued handle of which several have an active identity: nobody but a person can decide it."""
    handle: Handle = next(iter(conflict.identities.values()))[0].handle

    def text(column: Column) -> str:
        rows = conflict.identities.get(column.profile.pk, [])
        if rows and not drawing.may_identities:
            return _("has one")
        return ", ".join(shown(row) for row in rows)

    cells = [
        Cell(column, text(column), is_standing=conflict.stays == column.profile.pk, value=column.letter)
        for column in drawing.columns
    ]
    label = _("Active %(handle)s") % {"handle": handle.label or handle.name}
    state = "differs" if conflict.stays is not None else "undecided"
    return Row(label, state, cells, f"{HANDLE}{conflict.handle}", is_handle=True)


def _held(asked: Asked, columns: Sequence[Column]) -> list[Held]:
    """A few identities of each profile, its primary one first, then the oldest. One statement for them all."""
    ids = [column.profile.pk for column in columns]
    few = RawSQL(  # noqa: S611 - constants only
        """
        SELECT told.id FROM unnest(%s::uuid[]) AS asked (id), LATERAL (
            (SELECT id FROM identities_identity WHERE profile_id = asked.id AND is_primary)
            UNION
            (SELECT id FROM identities_identity WHERE profile_id = asked.id ORDER BY id LIMIT %s)
        ) AS told
        """,
        [ids, MOST_IDENTITIES + 1],
    )
    found: dict[uuid.UUID, list[Identity]] = {pk: [] for pk in ids}
    for row in Identity.objects.filter(pk__in=few).select_related("handle"):
        found[row.profile_id].append(row)
    return [_some(pk, found[pk]) for pk in ids]


def _some(pk: uuid.UUID, rows: Sequence[Identity]) -> Held:
    in_order = sorted(rows, key=lambda row: (not row.is_primary, row.handle_id in BUILT_IN, row.pk))
    every = f"{reverse('admin:identities_identity_changelist')}?{urlencode({'profile__id__exact': str(pk)})}"
    told = [(words.identity(row), row.is_active) for row in in_order[:MOST_IDENTITIES]]
    return Held(told, every if len(in_order) > MOST_IDENTITIES else "")


def _moves(told: Forecast, columns: Sequence[Column]) -> list[str]:
    if not told.by_rule and told.preview.blockers:
        return []
    counted: Mapping[str, Mapping[uuid.UUID, int]] = told.preview.moves
    return [_("stays") if column.is_survivor else words.moves(counted, [column.profile.pk]) for column in columns]


def fields_afterwards(table: Table) -> list[dict[str, Any]]:
    """For the confirmation: what the survivor shows of everything that is not the same, and what it does not show."""
    told = []
    for row in table.rows:
        stands = row.standing
        if row.state == "same" or stands is None:
            continue
        others = [cell for cell in row.cells if cell.text and cell.text != stands.text]
        told.append({"row": row, "stands": stands, "others": others})
    return told
