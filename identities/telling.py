"""Tell an entry of the routing log in one sentence, for people who know the customers and not the code."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from django.db import models
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities.deciding import PROFILE_ID
from identities.handles import mask
from identities.models import Handle, RoutingLogEntry
from identities.refusal_words import DELETED_ID, REASONS, REFUSED, REFUSED_ADVICE
from profiles.models import RECORDS, Profile

Outcome = RoutingLogEntry.Outcome

# A name or identifier is cut here, so that no sentence outgrows its line in a list. The entry's page has the whole.
MOST_CHARACTERS = 60

# So many of an entry's candidates are looked at: enough to name the one that the data went to, and another.
MOST_NAMED = 3

MASKED = mask("")


@dataclass(frozen=True, slots=True)
class Part:
    """One name in a sentence: what it says, and the row that it is about, if a page may lead there."""

    text: str
    row: models.Model | None = None

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Told:
    """One entry in words: what happened, and what one can do about it.

    `sentence` and each of `advice` are complete, translated sentences with a place for each of the `parts` by name, so
    that a page can put links there. `str()` is the sentence as plain text.
    """

    sentence: str
    advice: Sequence[str]
    parts: Mapping[str, Part]

    def __str__(self) -> str:
        return self.sentence.format(**self.parts)


@dataclass(frozen=True, slots=True)
class Rows:
    """What entries name only by key; of profiles that were merged since, `survivors` has those whom they became."""

    profiles: Mapping[uuid.UUID, Profile]
    handles: Mapping[str, Handle]
    survivors: Mapping[uuid.UUID, Profile] = field(default_factory=dict)


def about(entries: Sequence[RoutingLogEntry]) -> Rows:
    """Load what these entries name: two queries, one each for source and by where they were not selected, and two
    more where profiles were merged."""
    models.prefetch_related_objects(entries, "source", "by")
    profiles = Profile.objects.in_bulk({pk for entry in entries for pk in _named(entry)})
    handles = Handle.objects.select_related("reserved_for").in_bulk({entry.handle for entry in entries})
    merged = {pk for pk, profile in profiles.items() if profile.merged_into_id is not None}
    roots = Profile.objects.survivors(merged)
    survivors = Profile.objects.in_bulk(set(roots.values())) if roots else {}
    return Rows(profiles, handles, {pk: survivors[root] for pk, root in roots.items()})


def sentence(entry: RoutingLogEntry) -> str:
    """One entry as plain text. For several, load `about` them together and `tell` each."""
    return str(tell(entry, about([entry])))


def tell(entry: RoutingLogEntry, rows: Rows) -> Told:
    """Put an entry into words. Reads nothing: what `rows` does not have is told as gone."""
    words = _Words(entry, rows)
    if entry.is_emptied:
        told = _("{source} sent {what}. It was about somebody who was erased since, so that nothing of it is kept.")
        return Told(told, [], {"source": words.source, "what": words.what})
    if entry.outcome == Outcome.IDENTITY_TAKEN:
        return _taken(entry, words)
    if entry.outcome == Outcome.REROUTED:
        return _rerouted(entry, words)
    if entry.outcome == Outcome.CONFLICT:
        return _conflict(entry, words)
    if entry.outcome == Outcome.REFUSED:
        return _refused(entry, words)
    if entry.outcome == Outcome.RELEASED_FROM:
        return _released(entry, words)
    if entry.outcome == Outcome.CLAIM_OVERRIDDEN:
        return _overridden(entry, words)
    parts = {"source": words.source, "pair": words.pair(), "outcome": Part(str(entry.get_outcome_display()))}
    return Told(_("{source} sent {pair}; what became of it is called “{outcome}”."), [], parts)


def reason(entry: RoutingLogEntry) -> str:
    """Why a pair was refused, in a few words."""
    return str(REASONS.get(entry.code) or entry.code or _("no reason is known"))


def handle_label(name: str, handle: Handle | None) -> str:
    return Truncator((handle.label if handle else "") or name).chars(MOST_CHARACTERS)


def shown(identifier: str, handle: Handle | None) -> str:
    """An identifier as a page may say it.

    Those of a handle that became sensitive only later were stored in full. Characters that nobody sees, for which
    one may have been refused, get a mark: some of them would turn the sentence around them.
    """
    if handle is not None and handle.sensitive and not identifier.startswith(MASKED):
        identifier = mask(identifier)
    return "".join("\ufffd" if unicodedata.category(one) in ("Cc", "Cf") else one for one in identifier)


ONE_PERSON = gettext_lazy("If both are one person, merge the two profiles.")
ONE_OF_SEVERAL = gettext_lazy("If they are one person, merge the profiles.")
MOVE_IT = gettext_lazy("If {pair} really belongs to {requested}, move it there.")
WRONG_THERE = gettext_lazy("Else it is wrong in {source}: have it corrected there.")
NOTHING_LEFT = gettext_lazy("Else nothing is left to do.")
SEND_IT = gettext_lazy("If what came by it went to the wrong profile, send it to the right one from this page.")

# What was sent, by the kind of the entry; anything else is data of a profile.
WHAT = {
    "transaction": gettext_lazy("a transaction"),
    "interaction": gettext_lazy("an interaction"),
    "point": gettext_lazy("a record of points"),
    "reward": gettext_lazy("a reward"),
}


@dataclass(slots=True)
class _Words:
    """The names in one sentence; two profiles of one name are told apart."""

    entry: RoutingLogEntry
    rows: Rows
    used: dict[str, uuid.UUID] = field(default_factory=dict)

    @property
    def source(self) -> Part:
        extension = self.entry.source
        if extension is not None:
            return Part(_cut(extension.name), extension)
        return Part(_("Staff ({name})").format(name=_cut(self.entry.by.get_username())))

    @property
    def what(self) -> Part:
        return Part(str(WHAT.get(self.entry.kind) or _("data")))

    @property
    def is_record(self) -> bool:
        return self.entry.kind in RECORDS

    @property
    def handle(self) -> Handle | None:
        return self.rows.handles.get(self.entry.handle)

    def pair(self, *, quoted: bool = False) -> Part:
        """The entry's pair; quoted where it is no identity, so that a value like "null" does not read as a word."""
        if not self.entry.handle and not self.entry.identifier:
            return Part(_("an identity that is no longer kept"))
        words = _("{handle} “{identifier}”") if quoted else _("{handle} {identifier}")
        if self.entry.handle == PROFILE_ID and self.entry.code != "invalid_handle":
            words = _("the profile id “{identifier}”")
        elif not self.entry.handle:
            words = _("“{identifier}” without a handle")
        identifier = _cut(shown(self.entry.identifier, self.handle))
        return Part(words.format(handle=handle_label(self.entry.handle, self.handle), identifier=identifier))

    def profile(self, pk: uuid.UUID | None) -> Part:
        """Leads to the survivor of one that was merged since: nothing of it is on its own page any more."""
        profile = self.rows.profiles.get(pk) if pk else None
        if profile is None:
            return Part(_("a profile that is gone"))
        survivor = self.rows.survivors.get(profile.pk)
        if survivor is None:
            return Part(self._name(profile), profile)
        words = _("{name} (merged into {survivor})")
        return Part(words.format(name=self._name(profile), survivor=self._name(survivor)), survivor)

    def _name(self, profile: Profile) -> str:
        name = _cut(f"{profile.first_name} {profile.last_name}".strip())
        if self.used.setdefault(name, profile.pk) == profile.pk:
            return name or _("a profile without a name")
        return _("another {name}").format(name=name) if name else _("another profile without a name")


def _taken(entry: RoutingLogEntry, words: _Words) -> Told:
    """Nothing was written, since the pair is another profile's."""
    owner = entry.candidates[0] if entry.candidates else None
    # Of a whole profile with a contact point of another there is no telling whether it was new, or is gone by now.
    is_profile = entry.requested_profile_id is None and entry.kind == "profile"
    parts = {
        "source": words.source,
        "pair": words.pair(),
        "requested": words.profile(entry.requested_profile_id),
        "owner": words.profile(owner),
    }
    if is_profile:
        return Told(
            _("{source} sent a profile with {pair}; it belongs to {owner}, so nothing was written."),
            [
                _("If this is the same person, the profile is there already: use that one."),
                _("Else one of the two has {pair} by mistake."),
            ],
            parts,
        )
    told = _("{source} sent {pair} for {requested}; it belongs to {owner}, so nothing was written.")
    return Told(told, [*_texts([ONE_PERSON, MOVE_IT]), _wrong_there(entry)], parts)


def _rerouted(entry: RoutingLogEntry, words: _Words) -> Told:
    """The caller named one profile and a pair of another; the pair decided."""
    parts = {
        "source": words.source,
        "what": words.what,
        "pair": words.pair(),
        "requested": words.profile(entry.requested_profile_id),
        "routed": words.profile(entry.routed_profile_id),
    }
    if words.is_record and not entry.handle:
        told = _("{source} sent {what} for {requested}; it is with {routed} already, and stayed there.")
        return Told(told, _texts([ONE_PERSON, SEND_IT, NOTHING_LEFT]), parts)
    if words.is_record:
        told = _(
            "{source} sent {what} for {requested} with {pair}; that identity belongs to {routed}, so it went to "
            "{routed}."
        )
        return Told(told, [*_texts([ONE_PERSON, MOVE_IT]), _wrong_there(entry), str(SEND_IT)], parts)
    told = _("{source} sent {pair} for {requested}; it belongs to {routed}, so the data went to {routed}.")
    return Told(told, [*_texts([ONE_PERSON, MOVE_IT]), _wrong_there(entry)], parts)


def _conflict(entry: RoutingLogEntry, words: _Words) -> Told:
    """The pairs of one write name several profiles; the pair of the entry is one that did not decide."""
    number = len(entry.candidates)
    others = [pk for pk in entry.candidates[:MOST_NAMED] if pk != entry.routed_profile_id]
    if entry.routed_profile_id is None:
        # The one that it went to is gone, and so is another one than those that are still there.
        others = [pk for pk in others if pk in words.rows.profiles]
    parts = {
        "source": words.source,
        "what": words.what,
        "pair": words.pair(),
        "routed": words.profile(entry.routed_profile_id),
        "other": words.profile(others[0] if others else None),
        "number": Part(str(number)),
    }
    if number < 2:
        told = _("{source} sent {what} that names several profiles; it went to {routed}.")
    elif number == 2:
        told = _("{source} sent {what} that names two profiles; it went to {routed}, and {pair} stayed with {other}.")
    else:
        told = _("{source} sent {what} that names {number} profiles, among them {other}; it went to {routed}.")
    if entry.source_id is None:
        look = _("If not, say so, and look at what {routed} was given.")
    else:
        look = _("If not, say so, look at what {routed} was given, and have the identities corrected in {source}.")
    return Told(told, [str(ONE_OF_SEVERAL), look, *([str(SEND_IT)] if words.is_record else [])], parts)


def _refused(entry: RoutingLogEntry, words: _Words) -> Told:
    """One pair of a write was set aside; the rest stands."""
    claimer = words.handle.reserved_for if words.handle else None
    is_nobodys = words.is_record and entry.routed_profile_id is None
    parts = {
        "source": words.source,
        "what": words.what,
        "pair": words.pair(quoted=True),
        "routed": Part(_("no known profile")) if is_nobodys else words.profile(entry.routed_profile_id),
        "claimer": Part(_cut(claimer.name), claimer) if claimer else Part(_("another extension")),
        "code": Part(entry.code or "?"),
    }
    unknown = _("{source} sent {what} for {routed} with {pair}; it was refused ({code}), so it alone was left out.")
    advice = REFUSED_ADVICE.get(entry.code, [])
    told = REFUSED.get(entry.code) or unknown
    if entry.code == "profile_deleted" and entry.handle == PROFILE_ID:
        told = DELETED_ID
    return Told(str(told), _texts(advice), parts)


def _released(entry: RoutingLogEntry, words: _Words) -> Told:
    """A deleted profile's pair went to another profile."""
    parts = {
        "source": words.source,
        "pair": words.pair(),
        "routed": words.profile(entry.routed_profile_id),
        "requested": words.profile(entry.requested_profile_id),
    }
    if parts["requested"].row is None:
        told = _("{source} sent {pair} for {routed}; a deleted profile had left it behind, so {routed} has it now.")
    else:
        told = _(
            "{source} sent {pair} for {routed}; {requested} is deleted and left it behind, so {routed} has it now."
        )
    return Told(
        told,
        [
            _("If {requested} was deleted on purpose, nothing is left to do."),
            _("Else undelete that profile and move {pair} back."),
        ],
        parts,
    )


def _overridden(entry: RoutingLogEntry, words: _Words) -> Told:
    """A customer's own claim gave way to a write by somebody who may say so."""
    parts = {
        "source": words.source,
        "pair": words.pair(),
        "requested": words.profile(entry.requested_profile_id),
        "routed": words.profile(entry.routed_profile_id),
    }
    told = _("{requested} had claimed {pair}; {source} sent it for {routed}, so the claim was dropped.")
    return Told(told, _texts([ONE_PERSON, NOTHING_LEFT]), parts)


def _named(entry: RoutingLogEntry) -> Iterable[uuid.UUID]:
    known = (entry.requested_profile_id, entry.routed_profile_id, *entry.candidates[:MOST_NAMED])
    return (pk for pk in known if pk is not None)


def _wrong_there(entry: RoutingLogEntry) -> str:
    return str(NOTHING_LEFT if entry.source_id is None else WRONG_THERE)


def _texts(sentences: Iterable[object]) -> list[str]:
    return [str(one) for one in sentences]


def _cut(text: str) -> str:
    return Truncator(text).chars(MOST_CHARACTERS)
