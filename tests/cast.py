"""What the tests say often, said shortly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from identities import routing
from identities.handles import Sent
from identities.models import EMAIL, MOBILE_PHONE, Extension, Identity, RoutingLogEntry
from identities.outcomes import Routed
from profiles.auditing import By
from profiles.models import Profile


def sent(pair: str) -> Sent:
    """ "loyalty-card:1804974" as a pair that somebody sent."""
    handle, _colon, identifier = pair.partition(":")
    return Sent(handle, identifier)


def route(
    *pairs: str | Sent,
    by: By,
    source: Extension | None = None,
    contact: Mapping[str, str | None] | None = None,
    **fields: Any,
) -> Routed[Profile]:
    """Route a profile that was sent with these pairs, contact points and fields."""
    pairs_sent = [sent(pair) if isinstance(pair, str) else pair for pair in pairs]
    return routing.route(pairs_sent, fields=fields, contact=contact or {}, by=by, source=source)


def add(profile: Profile, pair: str | Sent, *, by: By, source: Extension | None = None) -> Identity:
    """Give the profile one more identity."""
    one = sent(pair) if isinstance(pair, str) else pair
    return routing.add(profile.pk, one, by=by, source=source).identity


def update(profile: Profile, *, by: By, source: Extension | None = None, **fields: Any) -> Profile:
    """Change fields and contact points of the profile."""
    contact: dict[str, Any] = {name: fields.pop(name) for name in ("email", "mobile_phone") if name in fields}
    return routing.update(profile.pk, fields=fields, contact=contact, by=by, source=source)


def pairs_of(profile: Profile) -> list[str]:
    """Every pair that the profile holds, contact points too."""
    return sorted(str(identity.pair) for identity in profile.identities.all())


def everything_of(profile: Profile) -> dict[str, Any]:
    """All that is stored of a profile, for asking whether any of it has changed."""
    return {
        "columns": Profile.objects.filter(pk=profile.pk).values().get(),
        "identities": list(profile.identities.order_by("pk").values()),
    }


def assert_sound() -> None:
    """What holds in the whole database between any two writes, whoever made them."""
    identities = list(Identity.objects.select_related("handle"))
    assert len({identity.pair for identity in identities}) == len(identities)
    for profile in Profile.objects.all():
        held = [identity for identity in identities if identity.profile_id == profile.pk]
        assert sum(identity.is_primary for identity in held) <= 1
        for handle, column in ((EMAIL, profile.email), (MOBILE_PHONE, profile.mobile_phone)):
            shown = {identity.shown for identity in held if identity.handle_id == handle}
            # A deleted profile shows what it held; whoever undeletes it is told what is gone.
            assert not column or column in shown or not profile.is_live, f"{column} is shown and not held."
        national = f"+{profile.mobile_phone_country or ''}{profile.mobile_phone_national}"
        assert national == (profile.mobile_phone or "+")
    opened = RoutingLogEntry.objects.filter(review_status="open").values_list("fingerprint", flat=True)
    assert len(opened) == len(set(opened))
