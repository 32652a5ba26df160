"""Why a pair of a write was set aside, in words: in a few, in a sentence of the routing log, and what to do about it.

By the code of the refusal. The places in the sentences are filled in by `telling`.
"""

from __future__ import annotations

from django.utils.translation import gettext_lazy

REASONS = {
    "blocked_identifier": gettext_lazy("the value names nobody"),
    "invalid_identifier": gettext_lazy("identifiers of this handle look different"),
    "reserved_handle": gettext_lazy("another extension alone writes this handle"),
    "retired_handle": gettext_lazy("the handle is retired"),
    "unknown_handle": gettext_lazy("the catalogue has no such handle"),
    "invalid_handle": gettext_lazy("this cannot be the name of a handle"),
    "too_many_identities": gettext_lazy("the profile has its full number of this handle"),
    "builtin_handle": gettext_lazy("contact points are sent in the profile's own fields"),
    "unknown_profile": gettext_lazy("no profile has this id"),
    "profile_deleted": gettext_lazy("the profile is deleted"),
    "unknown_identifier": gettext_lazy("nobody, or more than one, is known by it without its handle"),
}

REFUSED = {
    "blocked_identifier": gettext_lazy(
        "{source} sent {what} for {routed} with {pair}; this value names nobody, so it alone was left out."
    ),
    "invalid_identifier": gettext_lazy(
        "{source} sent {what} for {routed} with {pair}; identifiers of that handle look different, so it alone "
        "was left out."
    ),
    "reserved_handle": gettext_lazy(
        "{source} sent {what} for {routed} with {pair}; only {claimer} writes that handle, so it alone was left out."
    ),
    "retired_handle": gettext_lazy(
        "{source} sent {what} for {routed} with {pair}; that handle is retired, so it alone was left out."
    ),
    "unknown_handle": gettext_lazy(
        "{source} sent {what} for {routed} with {pair}; the catalogue has no such handle, so it alone was left out."
    ),
    "invalid_handle": gettext_lazy(
        "{source} sent {what} for {routed} with {pair}; this cannot be the name of a handle, so it alone was left out."
    ),
    "too_many_identities": gettext_lazy(
        "{source} sent {what} for {routed} with {pair}; the profile has its full number of that handle, so it "
        "alone was left out."
    ),
    "builtin_handle": gettext_lazy(
        "{source} sent {what} for {routed} with {pair} as an identity; contact points have fields of their own, so it "
        "alone was left out."
    ),
    "unknown_profile": gettext_lazy(
        "{source} sent {what} for {routed} with {pair}; no profile has this id, so it alone was left out."
    ),
    "profile_deleted": gettext_lazy(
        "{source} sent {what} for {routed} with {pair}; that profile is deleted, so the identity alone was left out."
    ),
    "unknown_identifier": gettext_lazy(
        "{source} sent {what} for {routed} with {pair}; no profile, or more than one, is known by this alone, so it "
        "was left out."
    ),
}
# The id of a deleted profile is told otherwise than the identity that such a profile did not get.
DELETED_ID = gettext_lazy(
    "{source} sent {what} for {routed} with {pair}; the profile of this id is deleted, so the id alone was left out."
)

REFUSED_ADVICE = {
    "blocked_identifier": [
        gettext_lazy("Nothing of use was lost, unless the value does name somebody: then unblock it."),
        gettext_lazy("If it comes often, {source} should leave the value out instead."),
    ],
    "invalid_identifier": [
        gettext_lazy(
            "Have it corrected in {source}; or if it is right, change what the catalogue asks of the handle."
        ),
    ],
    "reserved_handle": [
        gettext_lazy("If {claimer} sends it as well, nothing was lost."),
        gettext_lazy("If {source} should write it, change in the catalogue for whom the handle is reserved."),
    ],
    "retired_handle": [
        gettext_lazy("{source} should send the handle that took its place, or leave it out."),
    ],
    "unknown_handle": [
        gettext_lazy("If it is a misspelling, have it corrected where it came from; else add it to the catalogue."),
    ],
    "invalid_handle": [gettext_lazy("Have it corrected where it came from.")],
    "too_many_identities": [
        gettext_lazy("See whether an older one is out of date, or the data of two persons came together here."),
        gettext_lazy("If neither, the limit in the catalogue may be too low."),
    ],
    "builtin_handle": [gettext_lazy("{source} should send it in the profile's e-mail or mobile phone field.")],
    "unknown_profile": [
        gettext_lazy("If it comes often, {source} has an id that is out of date: have it corrected there."),
    ],
    "profile_deleted": [
        gettext_lazy("If the profile was deleted on purpose, nothing is left to do."),
        gettext_lazy("Else undelete it; what belongs to it can then be moved there."),
    ],
    "unknown_identifier": [
        gettext_lazy("{source} should say under which handle it knows the profile."),
    ],
}
