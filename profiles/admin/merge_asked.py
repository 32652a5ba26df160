"""What somebody asks of a merge: which profiles, who of them stays, and whose values.

It stands in the address, so that a page can be gone back to, sent on and loaded anew; what is no choice is left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from django.http import QueryDict
from django.urls import reverse
from django.utils.http import urlencode

from profiles import merging
from profiles.admin.merge_words import letter
from profiles.merging import Choices, FieldOutcome, Preview
from profiles.merging.lineage import same
from profiles.models import DuplicatePair, Profile
from profiles.refusing import Refused

FIELD, HANDLE = "field-", "handle-"


def read_ids(sent: QueryDict) -> list[uuid.UUID]:
    """The ids in an address, each once; what is no id is left out."""
    found = []
    for text in sent.get("ids", "").split(","):
        try:
            found.append(uuid.UUID(text.strip()))
        except ValueError:
            continue
    return list(dict.fromkeys(found))


def read_pair(sent: QueryDict) -> DuplicatePair | None:
    """The pair of the queue from which somebody comes, if any."""
    text = sent.get("pair", "")
    if not (text.isascii() and text.isdecimal() and len(text) < 19):
        return None
    return DuplicatePair.objects.filter(pk=int(text)).first()


@dataclass(frozen=True, slots=True)
class Asked:
    """`profiles` stand side by side, the earlier-created first, each with its letter; of these `members` become one,
    the `survivor` being the one that stays. `fields` and `handles` are what somebody chose."""

    profiles: Sequence[Profile]
    members: Sequence[Profile]
    survivor: Profile
    fields: Mapping[str, uuid.UUID] = field(default_factory=dict)
    handles: Mapping[str, uuid.UUID] = field(default_factory=dict)
    pair: DuplicatePair | None = None

    @classmethod
    def read(cls, sent: QueryDict, profiles: Collection[Profile], pair: DuplicatePair | None) -> Asked:
        """In: what came with the request, and the live profiles whom it names, two at least."""
        in_order = sorted(profiles, key=lambda one: (one.created_at, one.pk))
        by_letter = {letter(position): profile for position, profile in enumerate(in_order)}
        belong = [by_letter[one] for one in by_letter if one in sent.getlist("with")]
        members = belong if len(belong) > 1 else in_order
        stays = by_letter.get(sent.get("stays", ""))
        survivor = stays if stays is not None and stays in members else members[0]

        def chosen(prefix: str) -> dict[str, uuid.UUID]:
            named = {name.removeprefix(prefix): sent[name] for name in sent if name.startswith(prefix)}
            of = {name: by_letter[one] for name, one in named.items() if one in by_letter}
            return {name: profile.pk for name, profile in of.items() if profile in members}

        return cls(in_order, members, survivor, chosen(FIELD), chosen(HANDLE), pair)

    @property
    def letters(self) -> dict[uuid.UUID, str]:
        return {profile.pk: letter(position) for position, profile in enumerate(self.profiles)}

    @property
    def survivor_letter(self) -> str:
        return self.letters[self.survivor.pk]

    @property
    def ids(self) -> str:
        return ",".join(str(profile.pk) for profile in self.profiles)

    @property
    def duplicates(self) -> list[Profile]:
        return [profile for profile in self.members if profile != self.survivor]

    @property
    def left_out(self) -> list[Profile]:
        return [profile for profile in self.profiles if profile not in self.members]

    def parameters(self) -> Iterator[tuple[str, str]]:
        """Everything that is asked, as an address or a form carries it."""
        letters = self.letters
        yield "ids", self.ids
        if self.pair is not None:
            yield "pair", str(self.pair.pk)
        if self.left_out:
            for profile in self.members:
                yield "with", letters[profile.pk]
        yield "stays", letters[self.survivor.pk]
        for prefix, choices in ((FIELD, self.fields), (HANDLE, self.handles)):
            for name, pk in choices.items():
                yield f"{prefix}{name}", letters[pk]

    def url(self, **more: str) -> str:
        return merge_url([*self.parameters(), *more.items()])


def merge_url(parameters: Sequence[tuple[str, str]]) -> str:
    """The page where these are reviewed and merged."""
    return f"{reverse('admin:profiles_profile_merge')}?{urlencode(parameters)}"


def url_of(ids: Collection[uuid.UUID], pair: DuplicatePair | None = None) -> str:
    parameters = [("ids", ",".join(map(str, ids)))]
    return merge_url([*parameters, ("pair", str(pair.pk))] if pair is not None else parameters)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the merge would do: as asked, and, for comparing, with no field chosen."""

    asked: Asked
    preview: Preview
    by_rule: Mapping[str, FieldOutcome]

    @property
    def choices(self) -> Choices:
        return Choices(fields=self.asked.fields, handles=self.asked.handles)


def forecast(asked: Asked) -> Forecast:
    """Work it out, without choices that are none: of a field that is gone, or that the rules choose anyway.

    Raises Profile.DoesNotExist. Twice the statements of a preview at most.
    """
    try:
        by_rule = _preview(asked, Choices(handles=asked.handles))
    except Refused:
        # Who was to keep an identity active has none any more.
        asked = _with(asked, handles={})
        by_rule = _preview(asked, Choices())
    known = {one.name: one for one in by_rule.fields}
    fields = {
        name: pk
        for name, pk in asked.fields.items()
        if name in known and pk in known[name].sides and pk != standing(known[name], asked)
    }
    conflicting = {one.handle for one in by_rule.conflicts}
    handles = {name: pk for name, pk in asked.handles.items() if name in conflicting}
    asked = _with(asked, fields=fields, handles=handles)
    told = _preview(asked, Choices(fields=fields, handles=handles)) if fields else by_rule
    return Forecast(asked, told, known)


def standing(outcome: FieldOutcome, asked: Asked) -> uuid.UUID | None:
    """In whose column the value stands that is shown afterwards. In none, if only one beneath a duplicate has it."""
    sides = [outcome.of, asked.survivor.pk, *(one.pk for one in asked.members)]
    shown = (pk for pk in sides if pk in outcome.sides)
    return next((pk for pk in shown if same(outcome.name, outcome.sides[pk], outcome.value)), None)


def _preview(asked: Asked, choices: Choices) -> Preview:
    return merging.preview(asked.survivor.pk, [one.pk for one in asked.duplicates], choices)


def _with(asked: Asked, *, handles: Mapping[str, uuid.UUID], fields: Mapping[str, uuid.UUID] | None = None) -> Asked:
    kept = asked.fields if fields is None else fields
    return Asked(asked.profiles, asked.members, asked.survivor, kept, handles, asked.pair)
