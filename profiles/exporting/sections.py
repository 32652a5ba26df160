"""The parts of an export: which rows of which table, and what is said of each.

All columns of a row are, unless TECHNICAL; what the API has a document of is shown by that. A column that may tell of
somebody else as well is `told` apart, so that it can be withheld where it does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property

from django.apps import apps
from django.db import models

from identities import wire
from identities.models import Identity, IdentityClaim, RoutingLogEntry
from profiles.auditing import kind_of
from profiles.models import (
    RECORDS,
    Audit,
    CustomAttribute,
    Delivery,
    DuplicatePair,
    Event,
    Merge,
    Move,
    Profile,
    ProfileBatchRow,
    TakenRows,
)
from profiles.models.policy import DIES, references_to

# ruff: noqa: S608 - the statements are put together from names of tables and columns of ours

# What only serves to find or to compare the row, or to take it back; nothing in it is not said elsewhere.
TECHNICAL = frozenset(
    {"first_name_fold", "last_name_fold", "text", "fingerprint", "token_generation", "marks", "brought_by_key"}
    | {"taken_until", "priority", "shown"}
)

Expressions = Mapping[str, str]


@dataclass(frozen=True)
class Section:
    """One list of the document. The SQL in it is over the alias `record`; `%(ids)s` are the keys of the profiles.

    `document` builds what is told in any case. `told` are columns that may tell of somebody else, as JSON text:
    withheld where they do, but for those in `cleaned`, of which only what is somebody else's is taken out. `pairs` are
    pairs, one or a list of them, whose identifier is another's where another profile holds the pair, or has held it;
    where `pairs_shared`, unless the person holds it. What is told `is_shared` where the row is of two people as such;
    where that holds of one column only, it is among `each_shared`. `at` is when it was written, `subject` the row that
    it tells of, `type:key`.
    """

    name: str
    model: type[models.Model]
    document: str
    # Foreign keys to Profile that make a row the person's; all, unless said otherwise.
    but_by: Collection[str] = ()
    # Keys of further rows, as queries.
    more_keys: Collection[str] = ()
    told: Expressions = field(default_factory=dict)
    cleaned: Collection[str] = ()
    pairs: Expressions = field(default_factory=dict)
    pairs_shared: str = "false"
    is_shared: str = "false"
    each_shared: Expressions = field(default_factory=dict)
    at: str = "NULL::timestamptz"
    subject: str = "NULL::text"

    @property
    def of(self) -> list[str]:
        """The foreign keys by which a row is of the person."""
        names = [name for model, name, _policy in references_to(Profile) if model is self.model]
        return [name for name in names if name not in self.but_by]

    @cached_property
    def sql(self) -> str:
        """The statement that gives the rows: document, at, subject, whether pairs are shared, `pairs` in their order,
        and so `told`, each of these after whether it is shared.

        Keys first, and then row by row in their order: the planner would otherwise rather walk the whole table in that
        order, or put all documents aside to sort them.
        """
        table, key = self.model._meta.db_table, self.model._meta.pk.column
        mine = [f"SELECT {key} FROM {table} WHERE {column_of(self.model, name)} = ANY(%(ids)s)" for name in self.of]
        keys = " UNION ".join([*mine, *self.more_keys])
        parts = [f"{self.document}::text", self.at, self.subject, self.pairs_shared]
        parts += [f"({expression})::text" for expression in self.pairs.values()]
        for name, expression in self.told.items():
            parts += [self.each_shared.get(name, self.is_shared), f"({expression})::text"]
        return f"""
            WITH key AS MATERIALIZED (SELECT * FROM ({keys}) AS one ({key}) ORDER BY 1)
            SELECT {", ".join(parts)} FROM key, LATERAL (
                SELECT * FROM {table} AS one WHERE one.{key} = key.{key} OFFSET 0
            ) AS record
        """


def column_of(model: type[models.Model], name: str) -> str:
    return next(str(one.column) for one in model._meta.concrete_fields if one.name == name)


def row(model: type[models.Model], *, but: Collection[str] = (), more: str = "") -> str:
    """The document of a row of this model: its columns by their names, and `more` members."""
    members = [f"'{name}', {value}" for name, value in _values(model).items() if name not in but]
    return f"json_build_object({', '.join([*members, *([more] if more else [])])})"


def rest(model: type[models.Model], *names: str) -> str:
    """These columns, as members for a document that the API has."""
    values = _values(model)
    return ", ".join(f"'{name}', {values[name]}" for name in names)


def _values(model: type[models.Model]) -> dict[str, str]:
    values = {}
    for one in model._meta.concrete_fields:
        name = str(one.column)
        column = f"record.{name}"
        if name == "source":
            column = f"coalesce({column}, 'staff')"
        elif isinstance(one, models.DateTimeField):
            column = wire.instant(column)
        elif isinstance(one, models.DecimalField):
            column = f"trim_scale({column})"
        if name not in TECHNICAL:
            values[name] = column
    return values


def _pair(handle: str = "handle", identifier: str = "identifier") -> str:
    return f"""
        CASE WHEN record.{handle} <> '' OR record.{identifier} <> '' THEN
            json_build_object('handle', record.{handle}, 'identifier', record.{identifier})
        END
    """


def _texts(*columns: str) -> Expressions:
    return {column: f"to_json(record.{column})" for column in columns}


def _names_others(*columns: str) -> str:
    """Whether one of these columns has another profile than the person's."""
    return " OR ".join(f"coalesce(record.{column} <> ALL(%(ids)s), false)" for column in columns)


def _record(kind: str) -> Section:
    _table, document, _order = wire.RECORDS[kind]
    return Section(
        f"{kind}s",
        RECORDS[kind],
        document.replace(wire.PAIRS, rest(RECORDS[kind], "brought_by_id", "decided_by")),
        pairs={"identities": "record.pairs", "brought_by": _pair(*BROUGHT_BY)},
    )


BROUGHT_BY = ("brought_by_handle", "brought_by_identifier")

# Whose write it was that is in an entry: that of the profile where it went, else of the one that it was addressed to.
# A decision may have given the record to somebody else since.
_ELSEWHERE = " OR ".join(
    f"EXISTS (SELECT FROM {model._meta.db_table} AS one WHERE one.log_entry_id = record.id "
    "AND coalesce(one.profile_id <> ALL(%(ids)s), true))"
    for model in RECORDS.values()
)
_NOT_MINE = f"""
    NOT coalesce(coalesce(record.routed_profile_id, record.requested_profile_id) = ANY(%(ids)s), false) OR {_ELSEWHERE}
"""
_LOGGED = [
    "SELECT id FROM identities_routinglogentry WHERE candidates && %(ids)s::uuid[]",
    """
    SELECT entry.id FROM identities_identity AS identity
    JOIN identities_routinglogentry AS entry USING (handle, identifier) WHERE identity.profile_id = ANY(%(ids)s)
    """,
]
_NAMES_OTHERS = f"""
    {_names_others("requested_profile_id", "routed_profile_id")} OR NOT record.candidates <@ %(ids)s::uuid[]
"""


def _audited() -> list[str]:
    """Entries about rows of the person that name no profile, as those of a merge or of what was nobody's at first."""
    keys = ["SELECT id FROM profiles_audit WHERE auditable_type = 'profile' AND auditable_key = ANY(%(texts)s)"]
    for model, name, policy in references_to(Profile):
        if policy is not None and policy.erase is DIES and model is not Profile:
            keys.append(
                f"""
                SELECT audit.id FROM {model._meta.db_table} AS one JOIN profiles_audit AS audit
                ON audit.auditable_type = '{kind_of(model)}' AND audit.auditable_key = one.id::text
                WHERE one.{column_of(model, name)} = ANY(%(ids)s) AND audit.profile_id IS NULL
                """
            )
    return keys


# Of a target only the host: who got something is told, not how to send it there. In the path of an address there are
# secrets, too, such as those of chat rooms.
_URL = "regexp_replace(target.url, '^([a-z]+://)(?:[^/?#]*@)?([^/?#]*).*$', '\\1\\2')"

# The caller's machine is told where the caller was the person, by a token of theirs (`identities.tokens`); no token of
# the API is one, whatever it is called.
_IS_OWN_CALL = """
    record.token_name ~ '^customer [0-9a-f]{32}$' AND record.token_name NOT IN (SELECT name FROM identities_apitoken)
"""


@cache
def sections() -> list[Section]:
    """All lists of the document, in their order."""
    log_entry = apps.get_model("admin", "LogEntry")
    return [
        Section(
            "profiles",
            Profile,
            row(Profile),
            but_by=["merged_into"],
            more_keys=["SELECT id FROM profiles_profile WHERE id = ANY(%(ids)s)"],
        ),
        Section(
            "identities",
            Identity,
            "json_build_object("
            + wire.IDENTITY.replace("identity.", "record.")
            + f", {rest(Identity, 'original', 'brought_by_id', 'addressed', 'by_contact', 'conflict_id')})",
            but_by=["merged_from"],
        ),
        Section("claims", IdentityClaim, row(IdentityClaim)),
        Section(
            "custom_attributes",
            CustomAttribute,
            row(CustomAttribute, but=BROUGHT_BY),
            pairs={"brought_by": _pair(*BROUGHT_BY)},
        ),
        *(_record(kind) for kind in RECORDS),
        Section(
            "routing_log",
            RoutingLogEntry,
            row(RoutingLogEntry, but=("handle", "identifier", "payload", "review_note")),
            more_keys=_LOGGED,
            pairs={"pair": _pair()},
            told={"payload": "record.payload", **_texts("review_note")},
            cleaned=["payload"],
            is_shared=_NOT_MINE,
            each_shared={"review_note": _NAMES_OTHERS},
            at="record.created_at",
        ),
        Section(
            "duplicates",
            DuplicatePair,
            row(DuplicatePair, but=("evidence", "note")),
            told={"evidence": "record.evidence", **_texts("note")},
            is_shared=_names_others("first_id", "second_id"),
        ),
        Section(
            "merges",
            Merge,
            row(Merge, but=("fields", "undo_report", "reason", "undo_reason", "closed", "deactivated", "primary")),
            told={
                "fields": "record.fields",
                "undo_report": "record.undo_report",
                **_texts("reason", "undo_reason"),
                "pairs_taken": f"""
                    SELECT coalesce(json_agg(taken.pairs), '[]') FROM {TakenRows._meta.db_table} AS taken
                    WHERE taken.merge_id = record.id AND taken.pairs <> '[]'
                """,
            },
            is_shared=_names_others("survivor_id", "duplicate_id"),
        ),
        Section(
            "moves",
            Move,
            row(Move, but=("handle", "identifier", "reason")),
            pairs={"pair": _pair()},
            pairs_shared=_names_others("from_profile_id", "to_profile_id"),
            told=_texts("reason"),
            is_shared=_names_others("from_profile_id", "to_profile_id"),
        ),
        Section(
            "audits",
            Audit,
            row(Audit, but=("old_values", "new_values", "url", "ip_address", "user_agent")),
            more_keys=_audited(),
            told={
                "old_values": "record.old_values",
                "new_values": "record.new_values",
                **_texts("url"),
                **{
                    name: f"to_json(CASE WHEN {_IS_OWN_CALL} THEN record.{name} END)"
                    for name in ("ip_address", "user_agent")
                },
            },
            at="record.created_at",
            subject="record.auditable_type || ':' || record.auditable_key",
        ),
        Section(
            "events",
            Event,
            row(Event, but=("facts", "faults")),
            told={"facts": "record.facts"},
            at="record.created_at",
            subject="record.subject_type || ':' || record.subject_key",
        ),
        Section(
            "deliveries",
            Delivery,
            row(
                Delivery,
                but=("body", "answer"),
                more=f"""
                    'url', (SELECT {_URL} FROM profiles_target AS target WHERE target.id = record.target_id)
                """,
            ),
            told={"body": "record.body", **_texts("answer")},
            at="record.created_at",
            subject="""(
                SELECT event.subject_type || ':' || event.subject_key
                FROM profiles_event AS event WHERE event.id = record.event_id
            )""",
        ),
        Section(
            "batch_rows",
            ProfileBatchRow,
            row(ProfileBatchRow, but=("payload", "refused", "message")),
            more_keys=["SELECT id FROM profiles_profilebatchrow WHERE profile_id = ANY(%(ids)s)"],
            told={"refused": "record.refused", **_texts("message")},
            cleaned=["refused"],
        ),
        Section(
            "admin_log",
            log_entry,
            row(log_entry, but=("object_repr",)),
            more_keys=[
                """
                SELECT entry.id FROM django_admin_log AS entry
                JOIN django_content_type AS kind ON kind.id = entry.content_type_id
                WHERE kind.app_label = 'profiles' AND kind.model = 'profile' AND entry.object_id = ANY(%(texts)s)
                """,
                # With their identities, those that are deleted, too, and those that left them, until they did.
                """
                SELECT entry.id FROM django_admin_log AS entry
                JOIN django_content_type AS kind ON kind.id = entry.content_type_id
                JOIN (
                    SELECT id::text AS key, 'infinity'::timestamptz AS until FROM identities_identity
                    WHERE profile_id = ANY(%(ids)s)
                    UNION
                    SELECT auditable_key, 'infinity' FROM profiles_audit
                    WHERE profile_id = ANY(%(ids)s) AND auditable_type = 'identity' AND event = 'deleted'
                    UNION
                    SELECT subject_key, at FROM profiles_move
                    WHERE from_profile_id = ANY(%(ids)s) AND subject_type = 'identity'
                ) AS one ON one.key = entry.object_id AND entry.action_time <= one.until
                WHERE kind.app_label = 'identities' AND kind.model = 'identity'
                """,
            ],
            told=_texts("object_repr"),
            # Before it came to them it was another's.
            is_shared="""
                EXISTS (
                    SELECT FROM profiles_move AS move
                    JOIN django_content_type AS kind ON kind.model = move.subject_type
                    WHERE kind.id = record.content_type_id AND move.subject_type = 'identity'
                    AND move.subject_key = record.object_id AND move.at >= record.action_time
                    AND coalesce(move.from_profile_id <> ALL(%(ids)s), false)
                )
            """,
            at="record.action_time",
            subject="""(
                SELECT kind.model || ':' || record.object_id
                FROM django_content_type AS kind WHERE kind.id = record.content_type_id
            )""",
        ),
    ]
