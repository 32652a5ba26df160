"""Values of fields and numbers of rows, as whoever looks at a merge may read them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from identities.models import Identity
from profiles.admin import merge_words
from profiles.merging.lineage import PRIMARY, Value, is_empty
from profiles.models import RECORDS


@dataclass(frozen=True, slots=True)
class Words:
    """Values of fields in words; `identities` are those that values name, by key.

    Who may not see identities is told the system only, and who may not see profiles no value at all.
    """

    may_see_profiles: bool
    may_see_identities: bool
    identities: Mapping[int, Identity]

    @classmethod
    def of(cls, request: HttpRequest, values: Iterable[tuple[str, Value]] = (), keys: Iterable[int] = ()) -> Words:
        """Look up what these values of fields name, and identities by key. One query, or none."""
        wanted = {*keys, *(value[0] for name, value in values if name == PRIMARY and value)}
        rows = Identity.objects.select_related("handle").in_bulk(wanted) if wanted else {}
        may_see = request.user.has_perm
        return cls(may_see("profiles.view_profile"), may_see("identities.view_identity"), rows)

    def text(self, name: str, value: Value) -> str:
        """A value as people write it; "" for one that is empty."""
        if is_empty(value):
            return ""
        if not self.may_see_profiles:
            return _("a value that you may not see")
        return self.identity(value[0]) if name == PRIMARY else merge_words.value(name, value, {})

    def identity(self, key: int) -> str:
        row = self.identities.get(key)
        return self.called(row) if row is not None else _("an identity that is gone")

    def called(self, row: Identity) -> str:
        return merge_words.identity(row) if self.may_see_identities else system(row)


def system(identity: Identity) -> str:
    return identity.handle.label or identity.handle_id


def numbers(counts: Mapping[str, int]) -> str:
    """Rows of several kinds, in one phrase."""
    parts = [merge_words.kind(kind, counts[kind]) for kind in in_order(counts) if counts[kind]]
    return str(merge_words.listed(parts))


def in_order(kinds: Collection[str]) -> list[str]:
    """Identities first, then records as everywhere, then whatever else there is."""
    known = ["identity", *RECORDS]
    return sorted(kinds, key=lambda kind: (known.index(kind) if kind in known else len(known), kind))


def kind_label(kind: str) -> str:
    model = Identity if kind == "identity" else RECORDS.get(kind)
    return capfirst(str(model._meta.verbose_name_plural) if model is not None else kind.replace("_", " "))
