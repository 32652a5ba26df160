"""The start page: is anything wrong today?

First the answer in one sentence, then the figures behind it, each leading to its list. Every block asks for its own
permission and is one bounded statement; who may see none of them sees the menu.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, ngettext_lazy

from identities import counting
from identities.admin import changes, figures
from identities.admin.figures import ago, number
from identities.admin.told import may_view
from identities.counting import Count
from identities.models import ApiToken, Handle, Identity, RoutingLogEntry
from identities.models.api_token import SOON
from profiles import duplicates
from profiles.admin.base import change_url
from profiles.admin.charts import Bars
from profiles.models import DuplicatePair, Target

DAYS = 30
MOST_HANDLES = 8
MOST_PROFILES = 6
MOST_CHANGES = 10

Outcome = RoutingLogEntry.Outcome


@dataclass(frozen=True, slots=True)
class Told:
    """What an outcome is called on this page: on its figure, and counted in the verdict if it is a part of that."""

    label: Any
    meaning: Any
    counted: Any = ""


# In these a person decides. In the others the product did what was right, and only tells.
UNDECIDED: Mapping[str, Told] = {
    Outcome.CONFLICT: Told(
        gettext_lazy("Conflicts"),
        gettext_lazy("One write named several profiles: are they one person?"),
        ngettext_lazy("%(number)s conflict", "%(number)s conflicts", "count"),
    ),
    Outcome.IDENTITY_TAKEN: Told(
        gettext_lazy("Taken identities"),
        gettext_lazy("A write wanted an identity that another profile holds."),
        ngettext_lazy("%(number)s taken identity", "%(number)s taken identities", "count"),
    ),
    Outcome.REFUSED: Told(
        gettext_lazy("Refused identities"),
        gettext_lazy("Set aside: blocked, malformed, or reserved for another."),
        ngettext_lazy("%(number)s refused identity", "%(number)s refused identities", "count"),
    ),
}
DECIDED: Mapping[str, Told] = {
    Outcome.REROUTED: Told(
        gettext_lazy("Rerouted writes"),
        gettext_lazy("The data went to the profile that holds the identity."),
    ),
    Outcome.RELEASED_FROM: Told(
        gettext_lazy("Released identities"),
        gettext_lazy("A deleted profile's identity went to whoever wrote it."),
    ),
    Outcome.CLAIM_OVERRIDDEN: Told(
        gettext_lazy("Overridden claims"),
        gettext_lazy("What a customer claimed turned out to be another's."),
    ),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the verdict: "5 conflicts", and the list that it leads to."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that leads to its list; `first` leads to the one row of it with which to begin."""

    label: Any
    number: str
    meaning: Any
    url: str
    first: Part | None = None


@dataclass(frozen=True, slots=True)
class Duplicates:
    """How many pairs the queue of duplicates offers, and the likeliest of them."""

    count: Count
    likeliest: DuplicatePair | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether anything waits for a person; in the routing log (the sentence and its parts) and elsewhere (`also`)."""

    sentence: str
    parts: list[Part]
    also: list[Part]

    @property
    def is_well(self) -> bool:
        return not (self.parts or self.also)


@dataclass(frozen=True, slots=True)
class Undocumented:
    """Handles that are in use and that nobody has agreed to: the newest of them, and how many there are."""

    rows: list[Any]
    count: Count
    url: str


def context(request: HttpRequest) -> dict[str, Any]:
    blocks: dict[str, tuple[tuple[str, ...], Callable[[], Any]]] = {
        "log": (("identities.routinglogentry",), counting.open_entries),
        "duplicates": (("profiles.duplicatepair",), _duplicates),
        "handles": (("identities.handle",), _undocumented),
        "tokens": (("identities.apitoken",), _expiring_tokens),
        "silent": (("profiles.target",), _silent_targets),
        "arrivals": (("identities.identity",), _arrivals),
        "entries": (("identities.routinglogentry",), _entries),
        "biggest": (("identities.identity", "profiles.profile"), _biggest),
        "anonymous": (("profiles.transaction",), counting.anonymous_transactions),
        "changes": (("profiles.audit",), lambda: changes.newest(request, MOST_CHANGES)),
    }
    shown = {
        name: make()
        for name, (models, make) in blocks.items()
        if all(may_view(request.user, model) for model in models)
    }
    log, tokens, pairs, silent = (shown.pop(name, None) for name in ("log", "tokens", "duplicates", "silent"))
    anonymous = shown.pop("anonymous", None)
    if log is not None:
        shown["verdict"] = _verdict(log, pairs, shown.get("handles"), tokens, silent)
        shown["figures"] = [*_possible_duplicates(pairs), *_figures(log), *_anonymous(anonymous)]
    elif pairs is not None:
        shown["figures"] = _possible_duplicates(pairs)
    if may_view(request.user, "identities.identity") and not Identity.objects.exists():
        shown = _without_empty(shown) | {"first_steps": _first_steps(request)}
    return {"start": shown}


def _without_empty(shown: dict[str, Any]) -> dict[str, Any]:
    """Nothing arrived yet: a page of empty tables would only be in the way of what to do first."""
    is_well = "verdict" not in shown or shown["verdict"].is_well
    empty = {name for name, block in shown.items() if not block}
    if is_well:
        empty |= {"figures", "handles"}
    return {name: block for name, block in shown.items() if name not in empty}


# The answer


def _verdict(
    log: Mapping[str, Count],
    pairs: Duplicates | None,
    handles: Undocumented | None,
    tokens: Count | None,
    silent: Count | None,
) -> Verdict:
    """How much waits for a person, of which kinds, each leading to its list."""
    waiting = Count.total(log[outcome] for outcome in UNDECIDED)
    also = [*_also(pairs, handles, tokens), *_silent(silent)]
    sentence = _("Nothing needs a person today.")
    if waiting.value:
        needs = ngettext(
            "%(number)s open entry needs a person:", "%(number)s open entries need a person:", waiting.value
        )
        sentence = needs % {"number": number(waiting)}
    elif also:
        sentence = _("No entry of the routing log needs a person today.")
    return Verdict(sentence, _parts(log), also)


def _parts(log: Mapping[str, Count]) -> list[Part]:
    return [
        Part(
            told.counted % {"count": log[outcome].value, "number": number(log[outcome])},
            figures.open_log_url(outcome=outcome),
        )
        for outcome, told in UNDECIDED.items()
        if log[outcome].value
    ]


def _also(pairs: Duplicates | None, handles: Undocumented | None, tokens: Count | None) -> list[Part]:
    """What waits for a person outside the routing log."""
    parts = []
    if pairs is not None and pairs.count.value:
        text = ngettext(
            "%(number)s pair of profiles may be one person.",
            "%(number)s pairs of profiles may be one person.",
            pairs.count.value,
        )
        parts.append(Part(text % {"number": number(pairs.count)}, figures.duplicates_url()))
    if handles is not None and handles.count.value:
        text = ngettext(
            "%(number)s handle is in use that nobody has documented.",
            "%(number)s handles are in use that nobody has documented.",
            handles.count.value,
        )
        parts.append(Part(text % {"number": number(handles.count)}, handles.url))
    if tokens is not None and tokens.value:
        text = ngettext(
            "%(number)s API token expires within %(days)s days.",
            "%(number)s API tokens expire within %(days)s days.",
            tokens.value,
        )
        parts.append(Part(text % {"number": number(tokens), "days": SOON.days}, figures.tokens_url(state="expiring")))
    return parts


def _silent(targets: Count | None) -> list[Part]:
    """What other systems are not told of, since they do not answer."""
    if targets is None or not targets.value:
        return []
    text = ngettext(
        "%(number)s target of deliveries does not answer.",
        "%(number)s targets of deliveries do not answer.",
        targets.value,
    )
    return [Part(text % {"number": number(targets)}, figures.silent_targets_url())]


def _figures(log: Mapping[str, Count]) -> list[Figure]:
    """A figure for each outcome: those that need a person always, the others when there are any."""
    told = {**UNDECIDED, **{outcome: one for outcome, one in DECIDED.items() if log[outcome].value}}
    return [
        Figure(
            one.label,
            number(log[outcome]),
            one.meaning,
            figures.open_log_url(outcome=outcome) if log[outcome].value else "",
        )
        for outcome, one in told.items()
    ]


def _possible_duplicates(pairs: Duplicates | None) -> list[Figure]:
    """Profiles that may be one person, and the pair to begin with."""
    if pairs is None:
        return []
    first = None
    if pairs.likeliest is not None:
        words = {"one": pairs.likeliest.low.full_name, "other": pairs.likeliest.high.full_name}
        first = Part(_("Begin with the likeliest: %(one)s, %(other)s") % words, change_url(pairs.likeliest))
    return [
        Figure(
            _("Possible duplicates"),
            number(pairs.count),
            _("Two profiles that may be one person."),
            figures.duplicates_url() if pairs.count.value else "",
            first,
        )
    ]


def _anonymous(found: Count | None) -> list[Figure]:
    """Sales that nobody can be told apart by; when there are any."""
    if found is None or not found.value:
        return []
    meaning = _("Nothing in them names anybody.")
    return [Figure(_("Anonymous transactions"), number(found), meaning, figures.anonymous_transactions_url())]


# The blocks


def _duplicates() -> Duplicates:
    likeliest = duplicates.offered().select_related("low", "high").first()
    return Duplicates(counting.open_duplicates(), likeliest)


def _undocumented() -> Undocumented:
    found = Handle.objects.filter(status=Handle.Status.UNDOCUMENTED)
    rows = [
        {
            "handle": handle,
            "url": change_url(handle),
            "identities": figures.usage(handle),
            "first_seen": ago(handle.created_at),
        }
        for handle in found.with_usage().order_by("-created_at", "pk")[:MOST_HANDLES]
    ]
    count = Count.up_to(counting.MOST_COUNTED, found.order_by()[: counting.MOST_COUNTED + 1].count())
    return Undocumented(rows, count, figures.handles_url(status=Handle.Status.UNDOCUMENTED))


def _expiring_tokens() -> Count:
    found = ApiToken.objects.expiring().order_by()[: counting.MOST_COUNTED + 1].count()
    return Count.up_to(counting.MOST_COUNTED, found)


def _silent_targets() -> Count:
    found = (
        Target.objects.exclude(opened_at=None).filter(muted_at=None).order_by()[: counting.MOST_COUNTED + 1].count()
    )
    return Count.up_to(counting.MOST_COUNTED, found)


def _arrivals() -> Bars | None:
    def told(day: str, count: Count) -> str:
        text = ngettext("%(day)s: %(number)s identity", "%(day)s: %(number)s identities", count.value)
        return text % {"day": day, "number": number(count)}

    def url(since: datetime.datetime, before: datetime.datetime) -> str:
        return figures.identities_url(since=since, before=before)

    since = figures.midnights(DAYS)
    return figures.chart(_("Identities per day"), since, counting.identities_per_day(since), told, url)


def _entries() -> Bars | None:
    def told(day: str, count: Count) -> str:
        text = ngettext("%(day)s: %(number)s entry", "%(day)s: %(number)s entries", count.value)
        return text % {"day": day, "number": number(count)}

    def url(since: datetime.datetime, before: datetime.datetime) -> str:
        return figures.log_url(since=since, before=before)

    since = figures.midnights(DAYS)
    return figures.chart(_("Entries per day"), since, counting.entries_per_day(since), told, url)


def _biggest() -> list[dict[str, Any]]:
    return [
        {
            "profile": profile,
            "url": change_url(profile),
            "identities": figures.number_link(held, figures.identities_url(profile=profile.pk)),
        }
        for profile, held in counting.biggest_profiles(MOST_PROFILES)
    ]


def _first_steps(request: HttpRequest) -> list[dict[str, str]]:
    """What to do with a fresh installation, as far as this person may do it."""
    steps = [
        (
            may_view(request.user, "identities.handle"),
            figures.handles_url(),
            _("Read the catalogue of handles"),
            _("It says which systems can name a profile here, and which extension alone may write each."),
        ),
        (
            may_view(request.user, "identities.extension"),
            reverse("admin:identities_extension_changelist"),
            _("Choose or add an extension, and issue a token"),
            _("Each integration has its own account, and its tokens say what it may do."),
        ),
        (
            request.user.has_perm("profiles.add_profile"),
            reverse("admin:profiles_profile_add"),
            _("Write the first profile"),
            _("Here by hand; your systems do it through the API."),
        ),
        (
            True,
            reverse("docs"),
            _("Read the description of the API"),
            _("Every endpoint with an example, to try with a token."),
        ),
    ]
    return [{"url": url, "label": label, "means": means} for may, url, label, means in steps if may]
