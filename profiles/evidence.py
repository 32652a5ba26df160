"""What may speak for two profiles being one person: how much it weighs, and how it is told to people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from identities import telling
from identities.models import RoutingLogEntry
from profiles.models import DuplicatePair

# So many log entries are kept for one pair, the newest.
MOST_ENTRIES = 5


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of evidence: how sure it alone makes one, from 0 to 1, and the sentence that says it."""

    weight: float
    sentence: str | Promise


# By the word under which it stands in a pair's evidence. The score of a pair is 1 - the product of what each kind
# leaves in doubt (1 - weight); an evidence may have a weight of its own (`comparing` says which). What stands under
# `conflict` are the ids of log entries, under the others what `comparing.compare` has found.
KINDS: dict[str, Kind] = {
    "conflict": Kind(0.9, _("Data came in that names both of them.")),
    "details": Kind(0.75, _("Name, birth date or address are the same.")),
    "email": Kind(0.95, _("They have the same e-mail address in two spellings: it is one mailbox.")),
    "phone": Kind(0.5, _("The secondary phone of one is the mobile phone of the other.")),
}

EMAIL_DOTS = _("Their e-mail addresses differ only in dots.")
EQUAL = _("The same: {facts}.")
ALIKE = _("The same but for a typing error: {facts}.")
SWAPPED = _("First and last name are swapped.")
AGAINST = _("Not the same, though: {facts}.")

FACTS = {
    "first_name": _("first name"),
    "last_name": _("last name"),
    "birth_date": _("birth date"),
    "street": _("street"),
    "place": _("suburb or postcode"),
}


def told(pair: DuplicatePair) -> list[str]:
    """What speaks for a pair, a sentence each, the weightiest first. For several, `tell` them together."""
    return tell([pair])[pair.pk]


def tell(pairs: Sequence[DuplicatePair]) -> dict[int, list[str]]:
    """What speaks for each of these pairs, by its key: all that is known of the two that it stands for today.

    So many queries, however many pairs: the rows of the same two, the log entries, and what these name. Sensitive
    identifiers are masked; what the log no longer has is told without it.
    """
    rows = _rows_of_the_same(pairs)
    entries = RoutingLogEntry.objects.in_bulk(
        {pk for evidence in rows.values() for pk in evidence.get("conflict", ())}
    )
    known = telling.about(list(entries.values()))
    sentences = {pk: str(telling.tell(entry, known)) for pk, entry in entries.items()}
    return {pair.pk: list(_sentences(rows[pair.low_id, pair.high_id], sentences)) for pair in pairs}


def _sentences(evidence: Mapping[str, Any], entries: Mapping[int, str]) -> Iterable[str]:
    for word in sorted(evidence, key=lambda word: -KINDS[word].weight if word in KINDS else 0):
        from_log = [entries[pk] for pk in evidence[word] if pk in entries] if word == "conflict" else []
        if from_log:
            yield from dict.fromkeys(from_log)
        elif word == "details":
            yield from _details(evidence[word])
        elif word == "email" and evidence[word].get("dots"):
            yield str(EMAIL_DOTS)
        elif word in KINDS:
            yield str(KINDS[word].sentence)


def _details(seen: Mapping[str, Any]) -> Iterable[str]:
    for sentence, name in ((EQUAL, "equal"), (ALIKE, "alike")):
        if facts := seen.get(name):
            yield _listed(sentence, facts)
    if seen.get("swapped"):
        yield str(SWAPPED)
    if facts := seen.get("against"):
        yield _listed(AGAINST, facts)


def _listed(sentence: object, facts: Sequence[str]) -> str:
    return str(sentence).format(facts=", ".join(str(FACTS.get(fact, fact)) for fact in facts))


def _rows_of_the_same(pairs: Sequence[DuplicatePair]) -> dict[tuple[Any, Any], dict[str, Any]]:
    """The evidence of all rows of the two that each of these pairs stands for, joined."""
    joined: dict[tuple[Any, Any], dict[str, Any]] = {(pair.low_id, pair.high_id): {} for pair in pairs}
    rows = DuplicatePair.objects.filter(low__in={low for low, _ in joined}, high__in={high for _, high in joined})
    for row in rows.order_by("pk"):
        evidence = joined.get((row.low_id, row.high_id))
        if evidence is None:
            continue
        entries = {*evidence.get("conflict", ()), *row.evidence.get("conflict", ())}
        evidence.update(row.evidence)
        if entries:
            evidence["conflict"] = sorted(entries, reverse=True)[:MOST_ENTRIES]
    return joined
