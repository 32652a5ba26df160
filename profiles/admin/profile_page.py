"""What a profile's page shows above its form: who this is, which systems know them, and what happened to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from identities import telling
from identities.claiming import standings
from identities.handles import shown
from identities.models import BUILT_IN, Handle, Identity, IdentityClaim, RoutingLogEntry
from profiles.admin import attributes, balances, merge_tree, moves, timeline
from profiles.admin.base import MOST_AT_ONCE, change_url
from profiles.admin.picture import Picture, Spoke, draw
from profiles.admin.profile_words import introduction
from profiles.models import Audit, Profile

MOST_SPOKES = 12
MOST_EVENTS = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One identity on the page, and where this person may go from it; an empty URL offers nothing."""

    identity: Identity
    shown: str
    url: str
    reveal_url: str = ""
    mark_url: str = ""
    move_url: str = ""
    delete_url: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The identities of one handle: how one system knows the profile."""

    handle: Handle
    rows: Sequence[Row]

    @property
    def label(self) -> str:
        return self.handle.label or self.handle.name

    @property
    def is_contact(self) -> bool:
        return self.handle.name in BUILT_IN

    @property
    def is_active(self) -> bool:
        return any(row.identity.is_active for row in self.rows)


def context(request: HttpRequest, profile: Profile) -> dict[str, Any]:
    """The page's parts, each only for those who may see it. A fixed number of queries, each bounded."""
    parts: dict[str, Any] = {"introduction": introduction(profile), "merged": merge_tree.merged(request, profile)}
    if profile.merged_into_id is None:
        # What a merged profile had is its survivor's: its own page would show that it has nothing.
        parts |= {**_records(request, profile), **_identities(request, profile), **_claims(request, profile)}
    if request.user.has_perm("profiles.view_customattribute"):
        parts["attributes"] = attributes.by_namespace(profile)
    if request.user.has_perm("profiles.view_merge"):
        parts["tree"] = merge_tree.tree(request, profile)
    parts["moves"] = moves.of_profile(request, profile)
    if request.user.has_perm("identities.view_routinglogentry"):
        parts["entries"] = _entries(profile)
    if request.user.has_perm("profiles.view_audit"):
        newest = Audit.objects.filter(profile=profile).select_related("by")[:MOST_EVENTS]
        parts["audits"] = [{"audit": audit, "pair": _pair_of(audit)} for audit in newest]
        parts["history_url"] = reverse("admin:profiles_profile_history", args=[profile.pk])
    return parts


def _identities(request: HttpRequest, profile: Profile) -> dict[str, Any]:
    """Which systems know the profile, and what may be done about it."""
    parts: dict[str, Any] = {}
    if request.user.has_perm("identities.view_identity"):
        every = reverse("admin:identities_identity_changelist")
        held = _held(profile)
        groups = _groups(request, profile, held[:MOST_AT_ONCE])
        parts |= {
            "groups": groups,
            "known": known_by(groups),
            "has_more_identities": len(held) > MOST_AT_ONCE,
            "identities_url": f"{every}?profile__id__exact={profile.pk}",
            "picture": picture(profile, groups),
        }
        if profile.is_live and request.user.has_perm("identities.add_identity"):
            parts["add_identity_url"] = f"{reverse('admin:identities_identity_add')}?profile={profile.pk}"
            parts["open_handles"] = _open_handles()
    return parts


def _claims(request: HttpRequest, profile: Profile) -> dict[str, Any]:
    """What the customer says to be theirs, of which nobody else has said so."""
    if not request.user.has_perm("identities.view_identityclaim"):
        return {}
    may = profile.is_live and request.user.has_perm("identities.decide_identityclaim")
    found = standings(profile.claims.select_related("source").order_by("-pk")[:MOST_AT_ONCE])
    return {
        "claims": [
            {
                "claim": one.claim,
                "shown": one.shown,
                "holder": one.holder,
                "url": change_url(one.claim),
                "confirm_url": _claim_url("confirm", one.claim) if may and one.holder is None else "",
                "refuse_url": _claim_url("refuse", one.claim) if may else "",
            }
            for one in found
        ]
    }


def _claim_url(name: str, claim: IdentityClaim) -> str:
    return reverse(f"admin:identities_identityclaim_{name}", args=[claim.pk])


def _records(request: HttpRequest, profile: Profile) -> dict[str, Any]:
    """What came in for the profile, and what it has of it."""
    kinds = timeline.kinds_for(request)
    parts: dict[str, Any] = {
        "figures": balances.figures(profile, may_points="point" in kinds, may_rewards="reward" in kinds)
    }
    if kinds:
        parts["happened"] = timeline.timeline(request, profile)
    if "transaction" in kinds:
        parts["spending"] = balances.spending(profile)
        parts["may_see_spending"] = True
    return parts


# In words


def known_by(groups: Sequence[Group]) -> str:
    """How many systems know the profile, and by which primary identity."""
    systems = [group for group in groups if not group.is_contact]
    if not systems:
        return _("No system knows this profile yet.")
    number = len(systems)
    told = ngettext("Known by %(number)s system.", "Known by %(number)s systems.", number) % {"number": number}
    primary = [(group, row) for group in systems for row in group.rows if row.identity.is_primary]
    if primary:
        group, row = primary[0]
        named = _("Primary identity: %(label)s %(identifier)s.")
        told = f"{told} {named % {'label': group.label, 'identifier': row.shown}}"
    return told


# Identities


def _held(profile: Profile) -> list[Identity]:
    """The newest identities, one more than the page shows. Sorted there, since a profile can have thousands."""
    return list(profile.identities.select_related("handle", "source").order_by("-pk")[: MOST_AT_ONCE + 1])


def _groups(request: HttpRequest, profile: Profile, held: Sequence[Identity]) -> list[Group]:
    may = {
        name: profile.is_live and request.user.has_perm(f"identities.{name}_identity") for name in ("change", "delete")
    }
    may["reveal"] = request.user.has_perm("identities.reveal_identity")
    handles: dict[str, tuple[Handle, list[Row]]] = {}
    for identity in sorted(held, key=lambda row: (not row.is_primary, not row.is_active, row.pk)):
        handles.setdefault(identity.handle_id, (identity.handle, []))[1].append(_row(identity, may))
    groups = [Group(handle, rows) for handle, rows in handles.values()]
    return sorted(groups, key=lambda group: (group.is_contact, not _has_primary(group), group.label.casefold()))


def _has_primary(group: Group) -> bool:
    return any(row.identity.is_primary for row in group.rows)


def _row(identity: Identity, may: dict[str, bool]) -> Row:
    def url(name: str) -> str:
        return reverse(f"admin:identities_identity_{name}", args=[identity.pk])

    is_own = identity.handle.reserved_for_id is None
    return Row(
        identity,
        shown(identity),
        change_url(identity),
        reveal_url=url("reveal") if may["reveal"] and identity.handle.sensitive else "",
        mark_url=url("mark") if may["change"] and is_own and identity.handle_id not in BUILT_IN else "",
        move_url=url("move") if may["change"] else "",
        delete_url=url("delete") if may["delete"] and is_own else "",
    )


def _open_handles() -> list[Handle]:
    """The handles under which staff may add an identity, for the form in place."""
    agreed = Handle.objects.filter(status=Handle.Status.AGREED, reserved_for=None).exclude(pk__in=BUILT_IN)
    return sorted(agreed[:MOST_AT_ONCE], key=lambda handle: (handle.label or handle.name).casefold())


def picture(profile: Profile, groups: Sequence[Group]) -> Picture:
    """How systems point at the profile: one line for each, dashed where none of its identities is active."""
    systems = [group for group in groups if not group.is_contact]
    spokes = [
        Spoke(
            group.label,
            group.rows[0].shown if len(group.rows) == 1 else _("%(number)s identities") % {"number": len(group.rows)},
            is_active=group.is_active,
            is_strong=_has_primary(group),
        )
        for group in systems[:MOST_SPOKES]
    ]
    if len(systems) > MOST_SPOKES:
        more = len(systems) - MOST_SPOKES
        told = ngettext("and %(more)s more", "and %(more)s more", more) % {"more": more}
        spokes.append(Spoke(told, "", is_active=True))
    return draw(profile.full_name, spokes)


# What happened


def _pair_of(audit: Audit) -> tuple[str, str]:
    """The pair that a change was about, as the audit keeps it; empty for other changes."""
    values = audit.new_values or audit.old_values
    return values.get("handle", ""), values.get("identifier", "")


def _entries(profile: Profile) -> list[dict[str, Any]]:
    """The newest log entries that concern the profile, as the one asked for, the one reached or a candidate."""
    table, newest = RoutingLogEntry._meta.db_table, MOST_EVENTS + 1
    # One index each; together they would be a scan of the log.
    parts = [
        f"(SELECT id FROM {table} WHERE {condition} ORDER BY id DESC LIMIT %s)"  # noqa: S608 - constants
        for condition in ("requested_profile_id = %s", "routed_profile_id = %s")
    ]
    parts.append(
        f"(SELECT id FROM (SELECT id FROM {table} WHERE candidates @> ARRAY[%s]::uuid[] LIMIT 1000) AS named"  # noqa: S608
        " ORDER BY id DESC LIMIT %s)"
    )
    with connection.cursor() as cursor:
        cursor.execute(" UNION ".join(parts), [profile.pk, newest] * len(parts))
        found = [pk for (pk,) in cursor.fetchall()]
    entries = list(RoutingLogEntry.objects.filter(pk__in=found).select_related("source", "by").defer("payload"))
    rows = telling.about(entries)
    return [{"entry": entry, "sentence": str(telling.tell(entry, rows))} for entry in entries]
