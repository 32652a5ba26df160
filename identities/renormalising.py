"""Change how the identities of a handle are compared, those that it has included."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from identities import cataloguing, surveying
from identities.holding import settle
from identities.models import Handle
from identities.rewriting import Rewritten, rewrite
from identities.surveying import Survey
from profiles.auditing import By
from profiles.refusing import Refused


def report(handle: Handle, fields: Mapping[str, Any]) -> Survey:
    """Say what another normaliser or pattern would mean for the identities that the handle has. Changes nothing.

    In: columns of Handle, of which `normaliser` and `pattern` matter.
    """
    to = copy.copy(handle)
    cataloguing.set_fields(to, fields)
    return surveying.survey(handle, to)


def change(handle: Handle, fields: Mapping[str, Any], *, by: By) -> Rewritten:
    """Change a handle, its normaliser among the rest, and bring all its identities to their new normal form.

    In: columns of Handle. A new form is made of what was first sent, which is kept as `original`. One transaction:
    whoever writes the handle meanwhile waits, and then reads its new rules. Raises ValidationError where
    `Handle.clean()` refuses, Refused `builtin_handle`, and what `rewriting.rewrite` refuses.
    """

    def attempt() -> Rewritten:
        current = Handle.objects.lock(handle.pk)[handle.pk]
        if current.is_built_in:
            raise Refused("builtin_handle", _("Contact points are built in: their normaliser stays."))
        to = copy.copy(current)
        old, changed = cataloguing.set_fields(to, fields)
        to.full_clean(exclude=["fold"])
        rewritten = rewrite(current, to, by=by)
        told = {"identities": rewritten.changed, "same": rewritten.same, "freed": rewritten.freed}
        cataloguing.saved(to, old, changed, by=by, **told)
        return rewritten

    return settle(attempt)
