"""The audit in words: who did what, to which row, as one line that anybody reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.admin.utils import quote
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from identities.admin.figures import ago
from identities.admin.told import may_view
from profiles.admin.base import change_url
from profiles.models import Audit

# What happened, by kind of row and event. `about` is the row or whatever else a person would call it by; `handle`
# is for identities, whose identifier is told by no list that reaches further than theirs.
SENTENCES = {
    ("profile", "created"): gettext_lazy("added the profile {about}"),
    ("profile", "updated"): gettext_lazy("changed the profile {about}"),
    ("profile", "deleted"): gettext_lazy("deleted the profile {about}"),
    ("profile", "undeleted"): gettext_lazy("brought back the profile {about}"),
    ("profile", "merged"): gettext_lazy("merged others into the profile {about}"),
    ("profile", "merged into"): gettext_lazy("made the profile {about} part of another"),
    ("profile", "unmerged"): gettext_lazy("undid a merge into the profile {about}"),
    ("profile", "revived"): gettext_lazy("made {about} a profile of its own again"),
    ("profile", "split"): gettext_lazy("split identities off from the profile {about}"),
    ("profile", "erased"): gettext_lazy("erased a profile for good"),
    ("erased_identity", "deleted"): gettext_lazy("let an erased identity of {handle} in again"),
    ("profile", "exported"): gettext_lazy("exported all that is held about {about}"),
    ("identity", "created"): gettext_lazy("gave {about} an identity of {handle}"),
    ("identity", "updated"): gettext_lazy("changed the {handle} identity of {about}"),
    ("identity", "deleted"): gettext_lazy("took the {handle} identity from {about}"),
    ("identity", "moved"): gettext_lazy("moved the {handle} identity to {about}"),
    ("identity", "taken over"): gettext_lazy("gave {about} the {handle} identity of a deleted profile"),
    ("identity", "revealed"): gettext_lazy("looked at the masked {handle} identity of {about}"),
    ("handle", "created"): gettext_lazy("put the handle {about} into the catalogue"),
    ("handle", "updated"): gettext_lazy("changed the handle {about}"),
    ("blocked_identifier", "created"): gettext_lazy("blocked the identifier {about}"),
    ("blocked_identifier", "updated"): gettext_lazy("changed the blocked identifier {about}"),
    ("blocked_identifier", "deleted"): gettext_lazy("unblocked the identifier {about}"),
    ("extension", "created"): gettext_lazy("added the extension {about}"),
    ("extension", "updated"): gettext_lazy("changed the extension {about}"),
    ("api_token", "created"): gettext_lazy("issued the API token {about}"),
    ("api_token", "revoked"): gettext_lazy("revoked the API token {about}"),
    ("routing_log_entry", "reviewed"): gettext_lazy("reviewed the {about}"),
    ("transaction", "created"): gettext_lazy("recorded a transaction of {about}"),
    ("transaction", "updated"): gettext_lazy("changed a transaction of {about}"),
    ("transaction", "deleted"): gettext_lazy("deleted a transaction of {about}"),
    ("transaction", "moved"): gettext_lazy("moved a transaction to {about}"),
    ("interaction", "created"): gettext_lazy("recorded an interaction of {about}"),
    ("interaction", "updated"): gettext_lazy("changed an interaction of {about}"),
    ("interaction", "deleted"): gettext_lazy("deleted an interaction of {about}"),
    ("interaction", "moved"): gettext_lazy("moved an interaction to {about}"),
    ("points", "created"): gettext_lazy("gave points to {about}"),
    ("points", "updated"): gettext_lazy("changed points of {about}"),
    ("points", "deleted"): gettext_lazy("deleted points of {about}"),
    ("points", "moved"): gettext_lazy("moved points to {about}"),
    ("reward", "created"): gettext_lazy("gave a reward to {about}"),
    ("reward", "updated"): gettext_lazy("changed a reward of {about}"),
    ("reward", "deleted"): gettext_lazy("deleted a reward of {about}"),
    ("reward", "moved"): gettext_lazy("moved a reward to {about}"),
    ("custom_attribute", "created"): gettext_lazy("set a custom attribute of {about}"),
    ("custom_attribute", "updated"): gettext_lazy("changed a custom attribute of {about}"),
    ("custom_attribute", "deleted"): gettext_lazy("deleted a custom attribute of {about}"),
    ("webhook", "created"): gettext_lazy("added the webhook {about}"),
    ("webhook", "updated"): gettext_lazy("changed the webhook {about}"),
    ("webhook", "deleted"): gettext_lazy("deleted the webhook {about}"),
    ("reaction", "created"): gettext_lazy("added the reaction {about}"),
    ("reaction", "updated"): gettext_lazy("changed the reaction {about}"),
    ("reaction", "deleted"): gettext_lazy("deleted the reaction {about}"),
    ("action", "created"): gettext_lazy("added an action to the reaction {about}"),
    ("action", "updated"): gettext_lazy("changed an action of the reaction {about}"),
    ("action", "deleted"): gettext_lazy("deleted an action of the reaction {about}"),
    ("delivery", "revealed"): gettext_lazy("looked at what was sent of {about} without masks"),
    ("user", "loaded"): gettext_lazy("loaded the sample data"),
}
SWITCHED = {
    True: gettext_lazy("enabled the extension {about}"),
    False: gettext_lazy("disabled the extension {about}"),
}

# Of a record that somebody took from its profile and gave to none.
LEFT_TO_NOBODY = gettext_lazy("took a record from {about}, and left it to nobody")

# The audit's words for records, which may be nobody's.
RECORDS = ("transaction", "interaction", "points", "reward")

# The pages of rows, by what the audit calls their kind.
PAGES = {
    "profile": "profiles.profile",
    "handle": "identities.handle",
    "blocked_identifier": "identities.blockedidentifier",
    "extension": "identities.extension",
    "api_token": "identities.apitoken",
    "routing_log_entry": "identities.routinglogentry",
    "webhook": "profiles.webhook",
    "reaction": "profiles.reaction",
}
MOST_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class Change:
    who: str
    what: SafeString
    when: SafeString
    url: str


def newest(request: HttpRequest, most: int) -> list[Change]:
    """The newest changes of all, told. One query."""
    audits = Audit.objects.select_related("by__extension", "profile").order_by("-pk")[:most]
    return [
        Change(account_name(audit.by), what(audit, request), ago(audit.created_at), change_url(audit))
        for audit in audits
    ]


def account_name(user: User) -> str:
    """An extension by its name, a person by theirs."""
    extension = getattr(user, "extension", None)
    return extension.name if extension is not None else user.get_full_name() or user.get_username()


def what(audit: Audit, request: HttpRequest) -> SafeString:
    """What was done, as the rest of a sentence that begins with who did it. Rows are linked for who may see them."""
    sentence: Any = SENTENCES.get((audit.auditable_type, audit.event))
    if audit.auditable_type == "extension" and set(audit.new_values) == {"enabled"}:
        sentence = SWITCHED[bool(audit.new_values["enabled"])]
    if sentence is None:
        kind = audit.auditable_type.replace("_", " ")
        return format_html("{}: {} {}", audit.event, kind, audit.auditable_key)
    if audit.event == "moved" and audit.new_values.get("profile_id", "") is None:
        return format_html(str(LEFT_TO_NOBODY), about=_about(audit, request))
    handle = audit.new_values.get("handle") or audit.old_values.get("handle") or ""
    # The sentence is ours and holds no markup; what goes into it is escaped.
    return format_html(
        str(sentence), about=_about(audit, request), handle=format_html('<span class="handle">{}</span>', str(handle))
    )


def _about(audit: Audit, request: HttpRequest) -> SafeString:
    if audit.auditable_type in ("profile", "identity", "custom_attribute", "delivery", *RECORDS):
        if audit.profile is None:
            values = {**audit.old_values, **audit.new_values}
            is_nobodys = audit.auditable_type in RECORDS and values.get("profile_id", "") is None
            return conditional_escape(_("nobody") if is_nobodys else _("a profile that is gone"))
        return _link(request, "profile", audit.profile.pk, audit.profile.full_name)
    if audit.auditable_type == "routing_log_entry":
        return _link(request, audit.auditable_type, audit.auditable_key, _("routing log entry"))
    if audit.auditable_type == "action":
        key = {**audit.old_values, **audit.new_values}.get("reaction")
        return _link(request, "reaction", key, str(key))
    # A deleted row has no page.
    kind = audit.auditable_type if audit.event != "deleted" else ""
    values = {**audit.old_values, **audit.new_values}
    name = values.get("name") if kind == "api_token" else values.get("value", audit.auditable_key)
    return _link(request, kind, audit.auditable_key, str(name or audit.auditable_key))


def _link(request: HttpRequest, kind: str, key: Any, text: str) -> SafeString:
    shown = Truncator(text).chars(MOST_CHARACTERS)
    model = PAGES.get(kind)
    if model is None or not may_view(request.user, model):
        return conditional_escape(shown)
    url = reverse(f"admin:{model.replace('.', '_')}_change", args=[quote(key)])
    return format_html('<a href="{}">{}</a>', url, shown)
