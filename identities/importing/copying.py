"""New profiles with their identities and the audit of both, by COPY: the rows that single writes would have made."""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import orjson
from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, models
from django.utils import timezone
from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from identities import handles
from identities.handles import mask
from identities.holding import keep_rules
from identities.importing.preparing import Good, Prepared
from identities.models import BUILT_IN, EMAIL, MOBILE_PHONE, Extension, Handle, Identity
from identities.normalising import split_phone
from profiles import auditing
from profiles.auditing import By
from profiles.models import Audit, Profile, fold_name

# What `COPY` reads as something else when it stands in a text.
ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

# Of an identity, its key, profile and pair differ from row to row; of an audit entry, its row and what is new of it.
IDENTITY = ("id", "profile_id", "handle", "identifier", "original", "is_primary", "is_active")
AUDIT = ("auditable_key", "profile_id", "new_values")

# Lines that are sent together, while the database stores those before.
AT_ONCE = 256

BOOLEAN = {True: "true", False: "false"}

_default = DjangoJSONEncoder().default


class Attached(NamedTuple):
    """An identity to be, on the profile of that key."""

    number: int
    key: str
    good: Good
    is_primary: bool


class Made(NamedTuple):
    """A profile to be, with its identities in the order in which they get their keys: contact points, then pairs."""

    key: str
    row: Prepared
    identities: list[Attached]


class Lines:
    """Rows of a table as `COPY` takes them: some columns differ from row to row, all others are `like` one row's."""

    def __init__(self, like: models.Model, differing: Sequence[str]) -> None:
        constant = {
            field.column: field.get_db_prep_save(getattr(like, field.attname), connection)
            for field in like._meta.concrete_fields
            if field.column not in differing and not (field.primary_key and like.pk is None)
        }
        names = ", ".join(f'"{column}"' for column in (*differing, *constant))
        self.statement = f'COPY "{like._meta.db_table}" ({names}) FROM STDIN'
        texts = [copied(value).replace("%", "%%") for value in constant.values()]
        self.template = "\t".join([*["%s"] * len(differing), *texts]) + "\n"

    def copy(self, lines: Iterable[str]) -> None:
        """Copy these lines in. The database stores the first ones while the others are made."""
        rest = iter(lines)
        with (
            connection.wrap_database_errors,
            connection.cursor() as cursor,
            cursor.copy(self.statement) as copy,
        ):
            while some := "".join(islice(rest, AT_ONCE)):
                copy.write(some.encode())


def make(rows: Sequence[Prepared], *, known: Mapping[str, Handle], by: By, source: Extension | None) -> None:
    """Make a profile of each of these rows, whose pairs nobody has, with its contact points and identities.

    In: the rows in the order of the file, in which keys are given; and the handles by which the pairs were read. The
    identities are stored in the order of their pairs, contact points first, as every writer does it, so that writers
    of the same ones do not deadlock. Must run inside the transaction of `settle`. Raises Changed when the rules of a
    handle are others by now.
    """
    used = [known[name] for name in sorted({good.handle for one in rows for good in one.pairs})]
    handles.admit(Identity(handle=handle) for handle in used)
    keep_rules(used)
    now = timezone.now()
    made = _made(rows)
    names = sorted({name for one in rows for name in one.row.fields} - {"first_name", "last_name"})
    columns = (
        "id", "first_name", "last_name", "first_name_fold", "last_name_fold",
        "email", "mobile_phone", "mobile_phone_country", "mobile_phone_national", *names,
    )  # fmt: skip
    like = Profile(created_at=now, updated_at=now, joined_at=now)
    defaults = {name: copied(getattr(like, name)) for name in names}
    profiles = Lines(like, columns)
    profiles.copy(profiles.template % _profile(one, names, defaults) for one in made)

    attached = sorted((one for profile in made for one in profile.identities), key=_order)
    if attached:
        identities = Lines(Identity(source=source, created_at=now, updated_at=now), IDENTITY)
        identities.copy(identities.template % _identity(one) for one in attached)

    sensitive = {name for name, handle in known.items() if handle.sensitive}
    of_profiles, of_identities = (Lines(_audit(model, by, now), AUDIT) for model in (Profile, Identity))
    of_profiles.copy(_audits(made, of_profiles.template, of_identities.template, sensitive))


def _made(rows: Sequence[Prepared]) -> list[Made]:
    """The rows with keys, all in ascending order: where pairs of one write name two profiles, the older decides."""
    numbers = iter(_numbers(sum(len(one.keys) for one in rows)))
    made = []
    for key, one in zip(sorted(str(uuid7()) for _row in rows), rows, strict=True):
        primary = next((good for good in one.pairs if good.is_primary), None)
        attached = [Attached(next(numbers), key, good, good is primary) for good in (*one.contacts, *one.pairs)]
        made.append(Made(key, one, attached))
    return made


def _numbers(count: int) -> list[int]:
    """So many keys of identities, in ascending order."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT array_agg(nextval((SELECT pg_get_serial_sequence('identities_identity', 'id')::regclass)))
            FROM generate_series(1, %s)
            """,
            [count],
        )
        return cursor.fetchone()[0] or []


def _order(one: Attached) -> tuple[bool, str, str]:
    return (one.good.handle not in BUILT_IN, one.good.handle, one.good.identifier)


def _profile(made: Made, names: Sequence[str], defaults: Mapping[str, str]) -> tuple[Any, ...]:
    fields = made.row.row.fields
    first, last = fields.get("first_name", ""), fields.get("last_name", "")
    shown = {good.handle: good.shown for good in made.row.contacts}
    mobile = shown.get(MOBILE_PHONE, "")
    country, national = split_phone(mobile) if mobile else ("\\N", "")
    return (
        made.key, copied(first), copied(last), _folded(first), _folded(last),
        copied(shown.get(EMAIL, "")), mobile, country, national,
        *[copied(fields[name]) if name in fields else defaults[name] for name in names],
    )  # fmt: skip


def _identity(one: Attached) -> tuple[Any, ...]:
    good = one.good
    return (
        one.number, one.key, good.handle, copied(good.identifier), copied(good.original),
        "t" if one.is_primary else "f", "t" if good.is_active else "f",
    )  # fmt: skip


def _audits(made: Sequence[Made], of_profile: str, of_identity: str, sensitive: Collection[str]) -> Iterator[str]:
    for profile in made:
        yield of_profile % (profile.key, profile.key, _new(profile.row))
        for one in profile.identities:
            yield of_identity % (one.number, one.key, _state(one, is_sensitive=one.good.handle in sensitive))


def _new(one: Prepared) -> str:
    """What the audit says of a new profile (`routing.route`)."""
    new = {name: value for name, value in one.row.fields.items() if value}
    for good in one.contacts:
        new[good.handle] = good.shown
    return copied(_json(new))


def _state(one: Attached, *, is_sensitive: bool) -> str:
    """What the audit says of a new identity (`attaching.state`)."""
    good = one.good
    identifier = _json(mask(good.identifier) if is_sensitive else good.identifier)
    return copied(
        f'{{"handle": "{good.handle}", "identifier": {identifier}, '
        f'"is_primary": {BOOLEAN[one.is_primary]}, "is_active": {BOOLEAN[good.is_active]}, "profile_id": "{one.key}"}}'
    )


def _audit(model: type[models.Model], by: By, now: datetime.datetime) -> Audit:
    entry = auditing.entry("created", model(), by=by)
    entry.created_at = now
    return entry


def copied(value: Any) -> str:
    """A value of a column as `COPY` reads it."""
    if type(value) is str:
        return value if value.isprintable() and "\\" not in value else value.translate(ESCAPES)
    match value:
        case None:
            return "\\N"
        case bool():
            return "t" if value else "f"
        case list():
            return copied("{" + ",".join(_quoted(text) for text in value) + "}")
        case dict():
            return copied(_json(value))
        case datetime.datetime():
            return value.isoformat()
        case Jsonb():
            return copied(_json(value.obj))
    return str(value)


@functools.lru_cache(maxsize=10_000)
def _folded(name: str) -> str:
    return copied(fold_name(name))


def _json(value: Any) -> str:
    # Times as Django's encoder writes them, since that is how single writes do.
    try:
        return orjson.dumps(value, default=_default, option=orjson.OPT_PASSTHROUGH_DATETIME).decode()
    except TypeError:
        return json.dumps(value, cls=DjangoJSONEncoder)  # a number of more than 64 bits


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
