"""Why is this record here? How it came, told in words and as data (API.md 3, `why`)."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.utils.translation import gettext as _

from identities import handles
from identities.models import Handle, Identity, Pair, RoutingLogEntry
from identities.moving import subject_type_of
from profiles.models import Move, Record

DecidedBy = Record.DecidedBy


@dataclass(slots=True)
class Why:
    """How a record came to its profile.

    `identity` is the identity that decided while it exists, `pair` what it was when it did, masked if sensitive;
    `moves` is what people did since, the oldest first; `sentences` say all of it.
    """

    record: Record
    identity: Identity | None = None
    pair: Pair | None = None
    log_entry: RoutingLogEntry | None = None
    moves: list[Move] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)


def why(record: Record) -> Why:
    """Explain one record. Reads only, at most six statements."""
    told = Why(record, log_entry=record.log_entry)
    if record.brought_by_id is not None:
        told.identity = Identity.objects.select_related("handle").get(pk=record.brought_by_id)
    if record.brought_by_handle:
        told.pair = _masked(Pair(record.brought_by_handle, record.brought_by_identifier))
    subject = Move.objects.filter(subject_type=subject_type_of(record), subject_key=str(record.pk))
    told.moves = list(subject.select_related("by").order_by("pk"))
    told.sentences = [_decision(told), *_doubts(told), *(_moved(move) for move in told.moves)]
    return told


def _decision(told: Why) -> str:
    record = told.record
    pair = _shown(told)
    match record.decided_by:
        case DecidedBy.IDENTITY if told.moves:
            words = {"pair": pair, "profile": told.moves[0].from_profile_id}
            return _("It named %(pair)s, which the profile %(profile)s was known by.") % words
        case DecidedBy.IDENTITY:
            return _("It named %(pair)s, which this profile was known by.") % {"pair": pair}
        case DecidedBy.ID:
            return _("It named the profile %(id)s, and no identity that was known.") % {"id": record.addressed}
        case DecidedBy.CONTACT:
            return _("It named no identity that was known, but the contact point %(pair)s.") % {"pair": pair}
        case DecidedBy.NEW:
            text = _("Nobody was known by what it named, so a profile was made for it, first of all with %(pair)s.")
            return text % {"pair": pair}
    return _("It named nobody, so it was kept without a profile.")


def _doubts(told: Why) -> list[str]:
    entry, record = told.log_entry, told.record
    if entry is None:
        return []
    match entry.outcome:
        case RoutingLogEntry.Outcome.CONFLICT:
            text = _("What it named belongs to several profiles; the routing log has it as entry %(id)d.")
        case RoutingLogEntry.Outcome.REROUTED:
            text = _("It was addressed to another profile; the routing log has it as entry %(id)d.")
        case _:
            text = _("Something that it named could not be used; the routing log has it as entry %(id)d.")
    sentences = [text % {"id": entry.pk}]
    if record.addressed is not None and entry.outcome == RoutingLogEntry.Outcome.REROUTED:
        sentences.append(_("The profile that it named by id is %(id)s.") % {"id": record.addressed})
    return sentences


def _moved(move: Move) -> str:
    words = {
        "by": move.by.get_username(),
        "former": move.from_profile_id or _("nobody"),
        "profile": move.to_profile_id or _("nobody"),
        "reason": move.reason,
    }
    if move.cause == Move.Cause.DECIDED:
        text = _("%(by)s decided in the routing log that it goes from %(former)s to %(profile)s: %(reason)s")
    else:
        text = _("%(by)s moved it from %(former)s to %(profile)s: %(reason)s")
    sentence = (text % words).removesuffix(": ")
    return _("%(sentence)s (taken back since)") % {"sentence": sentence} if move.undone_at else sentence


def _masked(pair: Pair) -> Pair:
    """The pair as pages show it: a sensitive handle's identifier masked, also when the row is gone."""
    sensitive = Handle.objects.sensitive().filter(pk=pair.handle).exists()
    return Pair(pair.handle, handles.mask(pair.identifier)) if sensitive else pair


def _shown(told: Why) -> str:
    if told.pair is None:
        return _("an identity that is no longer known")
    return f"{told.pair.handle}: {told.pair.identifier}"
