"""How many statements each list and look-up costs: as many for one row as for fifty, and none that reads a table."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from identities import lookup, tokens
from identities.models import Handle
from profiles.models import Audit, Point, Reaction, Reward
from tests.api.conftest import CARD, KINDS, rows, sale, statements

pytestmark = pytest.mark.django_db

TOKEN = 1  # Every request looks its token up.
PAGE = 3  # The bounded count, the keys of the page, and its rows as JSON.
ROWS = 2  # The bounded count and the rows.

LISTS = [
    ("/profiles", TOKEN + PAGE),
    ("/profiles?include=identities", TOKEN + PAGE),
    ("/profiles?sort=-created_at", TOKEN + PAGE),
    ("/profiles?filter[profile_type]=active", TOKEN + PAGE),
    ("/profiles?filter[last_name]=Lovelace", TOKEN + PAGE),
    ("/identities", TOKEN + PAGE),
    ("/identities?include=profile", TOKEN + PAGE),
    ("/identities?filter[is_active]=1&sort=-updated_at", TOKEN + PAGE),
    ("/identities?filter[handle]=loyalty-card", TOKEN + PAGE + 1),  # What the handle is called today.
    *((f"/{kind}", TOKEN + PAGE) for kind in KINDS),
    *((f"/{kind}?filter[profile_id]={{id}}", TOKEN + PAGE + 1) for kind in KINDS),  # The profile, which may be merged.
    *((f"/{kind}?filter[source]=staff&sort=created_at", TOKEN + PAGE) for kind in KINDS),
    *((f"/profiles/{{id}}/{kind}", TOKEN + PAGE + 1) for kind in ("transactions", "interactions", "rewards")),
    ("/rewards/definitions", TOKEN + ROWS),
    ("/handles", TOKEN + ROWS),
    ("/routing-log", TOKEN + ROWS),
    ("/routing-log?filter[outcome]=refused", TOKEN + ROWS),
    # Besides, what speaks for the pairs: the rows of the same two, and the entries of the log, which are gone here.
    ("/duplicates", TOKEN + ROWS + 2),
    ("/duplicates?filter[status]=open&sort=-created_at", TOKEN + ROWS + 2),
    ("/duplicates?filter[profile_id]={id}", TOKEN + ROWS + 3),  # The profile, which may be merged.
    ("/audits", TOKEN + ROWS),
    ("/audits?filter[event]=created", TOKEN + ROWS),
    ("/merges", TOKEN + ROWS),
    ("/merges?filter[survivor]={id}", TOKEN + ROWS),
    ("/webhooks", TOKEN + ROWS),
    ("/webhooks?filter[is_active]=1&filter[trigger]=profile.updated", TOKEN + ROWS),
    ("/triggers", TOKEN + ROWS + 1),  # Their actions.
    ("/triggers?filter[trigger]=profile.updated&sort=-created_at", TOKEN + ROWS + 1),
    ("/triggers/{trigger}/actions", TOKEN + ROWS + 1),  # The trigger.
    ("/auth/access-tokens", TOKEN + 1),
    ("/profiles/{id}/identities", TOKEN + 2),  # The profile, which may be merged, and its identities.
]


@pytest.mark.parametrize(("path", "queries"), LISTS)
def test_a_list_costs_the_same_for_one_row_and_for_fifty(
    api, ada, operator, django_assert_num_queries, path, queries
) -> None:
    trigger = Reaction.objects.create(name="Tell", trigger="profile.updated")
    url = path.format(id=ada["id"], trigger=trigger.pk) + ("&" if "?" in path else "?") + "page[size]=200"
    api.get("/auth/verify")  # When the token was last used is written once a minute.

    rows(api, ada, operator, 1)
    with django_assert_num_queries(queries):
        few = api.get(url).json()
    rows(api, ada, operator, 50)
    with django_assert_num_queries(queries):
        many = api.get(url).json()

    few, many = (answer["data"] if isinstance(answer, dict) else answer for answer in (few, many))
    assert len(many) >= len(few) + 50


def test_the_count_of_handles_does_not_count_what_each_is_used_for(api, ada) -> None:
    count, page = statements(lambda: api.get("/handles"))[-2:]

    assert "COUNT(*)" in count
    assert ("identities_identity" in count, "identities_identity" in page) == (False, True)


@pytest.mark.parametrize(
    ("path", "queries"),
    [
        ("/profiles?filter[email]=ada@example.com", TOKEN + PAGE),
        ("/profiles?filter[identity]=loyalty-card:1804974", TOKEN + PAGE + 1),  # What the handle is called today.
        ("/profiles?search=1804974", TOKEN + PAGE + 2),  # By identifier, and by name.
        ("/identities?filter[identifier]=1804974", TOKEN + PAGE),
    ],
)
def test_a_list_that_finds_one_costs_the_same_among_many(
    api, ada, operator, django_assert_num_queries, path, queries
) -> None:
    api.get("/auth/verify")
    for count in (1, 50):
        rows(api, ada, operator, count)
        with django_assert_num_queries(queries):
            assert len(api.get(path).json()["data"]) == 1


# Look-ups


def answers(api: Any, ada: Any) -> list[Callable[[], Any]]:
    pairs = [{"handle": CARD, "identifier": str(number)} for number in range(50)]
    return [
        lambda: api.get(f"/identities/search?handle={CARD}&identifier=1804974"),
        lambda: api.post("/profiles/search-id", {"type": CARD, "id": "1804974"}),
        lambda: api.post("/profiles/search-id", {"type": "profile_id", "id": ada["id"]}),
        lambda: api.get("/identities/search-profile/1804974"),
        lambda: api.get("/identities/search-profile?identifier=1804974"),
        lambda: api.post("/identities/resolve", {"identities": pairs[:1]}),
        lambda: api.post("/identities/resolve", {"identities": pairs}),
        lambda: api.get(f"/profiles/{ada['id']}"),
    ]


def test_every_lookup_endpoint_is_one_statement_and_the_tokens(api, ada, operator, django_assert_num_queries) -> None:
    api.get("/auth/verify")
    for count in (1, 50):
        rows(api, ada, operator, count)
        for ask in answers(api, ada):
            with django_assert_num_queries(TOKEN + 1):
                assert ask().status_code == 200


def calls(ada: Any, card: int) -> list[tuple[str, Callable[[], Any]]]:
    """Every function of `lookup`, as the views call it."""
    pk = uuid.UUID(ada["id"])
    return [
        ("search", lambda: lookup.search(CARD, "1804974")),
        ("search", lambda: lookup.search(CARD, "1804974", include=["transactions", "rewards"])),
        ("search_id", lambda: lookup.search_id(CARD, "1804974")),
        ("search_id", lambda: lookup.search_id("email", "Ada@example.com")),
        ("search_id", lambda: lookup.search_id("profile_id", ada["id"])),
        ("profile", lambda: lookup.profile(pk)),
        ("search_profile", lambda: lookup.search_profile({"1804974", "1804974/"})),
        ("search_profile", lambda: lookup.search_profile({"0404 123 123"})),
        ("of_pair", lambda: lookup.of_pair(tokens.BY_IDENTITY, CARD, "1804974")),
        ("resolve", lambda: lookup.resolve([(CARD, "1804974")])),
        ("resolve", lambda: lookup.resolve([(CARD, str(number)) for number in range(1_000)])),
        ("profiles", lambda: lookup.profiles([pk])),
        ("identities", lambda: lookup.identities([card])),
        ("identities", lambda: lookup.identities([card], with_profile=True)),
        ("identities_by_id", lambda: lookup.identities_by_id([card])),
        ("records", lambda: lookup.records("transaction", [1])),
        ("balances", lambda: lookup.balances(pk)),
        ("identities_of", lambda: lookup.identities_of(pk)),
        ("own_profile", lambda: lookup.own_profile(pk)),
        ("own_identities", lambda: lookup.own_identities(pk)),
        ("own_identity", lambda: lookup.own_identity(pk, CARD)),
        ("own_identity_by_id", lambda: lookup.own_identity_by_id(pk, card)),
        ("as_claimed", lambda: lookup.as_claimed(json.dumps(ada), True)),
        ("own_records", lambda: lookup.own_records("transaction", [1], of=pk)),
    ]


def test_every_function_of_lookup_is_counted_here() -> None:
    public = {
        name
        for name, value in vars(lookup).items()
        if callable(value) and not name.startswith("_") and getattr(value, "__module__", "") == lookup.__name__
    }

    assert public == {name for name, _call in calls({"id": str(uuid.UUID(int=0))}, 0)}


def test_every_function_of_lookup_is_exactly_one_statement(ada, django_assert_num_queries) -> None:
    for _name, call in calls(ada, ada["identities"][0]["id"]):
        with django_assert_num_queries(1):
            call()


def explained(sql: str) -> str:
    """A statement's plan as JSON."""
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (FORMAT JSON) " + sql.replace("%", "%%"), ())
        ((answer,),) = cursor.fetchall()
    return answer if isinstance(answer, str) else json.dumps(answer)


def scanned(sql: str) -> Iterator[str]:
    """The tables that a statement's plan reads from one end to the other."""
    (plan,) = json.loads(explained(sql))
    nodes = [plan["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        if node["Node Type"] == "Seq Scan":
            yield node["Relation Name"]


BIG = {"identities_identity", "profiles_profile"}


def test_no_lookup_reads_a_whole_table(ada, twenty_thousand) -> None:
    assert list(scanned("SELECT * FROM profiles_profile WHERE company = 'x'")) == ["profiles_profile"]
    for name, call in calls(ada, ada["identities"][0]["id"]):
        (sql,) = statements(call)
        assert BIG.isdisjoint(scanned(sql)), name


def test_no_list_that_looks_something_up_reads_a_whole_table(api, ada, twenty_thousand) -> None:
    for path in (
        "/profiles?filter[email]=made7@example.com",
        "/profiles?filter[mobile_phone]=%2B61400000007",
        "/profiles?filter[identity]=loyalty-card:L7",
        "/profiles?filter[first_name]=first7",
        "/profiles?filter[last_name]=7",
        "/profiles?search=L7",
        # 111 of them. Of the 1,111 of "first7", one in twenty of this small table, the planner may read the table instead.
        "/profiles?search=first77",
        "/identities?filter[identifier]=L7",
        "/identities?filter[handle]=loyalty-card&filter[identifier]=L7",
    ):
        found = statements(lambda path=path: api.get(path))  # type: ignore[misc]

        assert len(api.get(path).json()["data"]) >= 1
        for sql in found:
            assert BIG.isdisjoint(scanned(sql)), sql


def test_audits_of_a_rare_event_are_found_by_an_index(api, ada, operator) -> None:
    Audit.objects.bulk_create(
        Audit(by=operator, event="created", auditable_type="identity", auditable_key=str(number))
        for number in range(20_000)
    )
    Audit.objects.create(by=operator, event="deleted", auditable_type="identity", auditable_key="1")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE profiles_audit")
    count, page = statements(lambda: api.get("/audits?filter[event]=deleted"))[-2:]

    for sql in (count, page):
        assert "audit_by_event" in explained(sql)


# Writes

# Catalogue with blocked values, savepoint, profile, audit, sensitive handles, log, end of the savepoint, the answer.
WRITE = 8

EXTRA = {
    "reserved": 1,  # Whether it was erased.
    "retired": 2,  # Whether somebody has the pair already, too.
    "against the pattern": 2,
    "over the limit": 5,  # One comes in: match, what was erased, what the profile has, the rules again, identity.
}


def refusals(count: int, round_: int) -> dict[str, list[dict[str, str]]]:
    """So many pairs of every kind that a write sets aside."""
    numbers = [f"{round_}-{number}" for number in range(count)]
    return {
        "blocked": [{"handle": "pos", "identifier": "null" + " " * number} for number in range(count)],
        "invalid": [{"handle": "pos", "identifier": f"{number}\u200b"} for number in numbers],
        "reserved": [{"handle": "shopify", "identifier": number} for number in numbers],
        "retired": [{"handle": "retired", "identifier": number} for number in numbers],
        "against the pattern": [{"handle": "pattern", "identifier": number} for number in numbers],
        "under former names": [{"handle": f"former{number}", "identifier": "null"} for number in range(count)],
        "misspelt": [{"handle": "LOYALTY-CARD", "identifier": number} for number in numbers],
        "sensitive": [{"handle": "apns", "identifier": f"{number}\u200b"} for number in numbers],
        "over the limit": [{"handle": "one", "identifier": number} for number in [*numbers, "last"]],
    }


@pytest.mark.parametrize("kind", refusals(1, 0))
def test_a_write_costs_the_same_for_one_refused_pair_and_for_fifty(api, django_assert_num_queries, kind) -> None:
    Handle.objects.create(name="retired", status="retired")
    Handle.objects.create(name="pattern", pattern="x+")
    Handle.objects.create(name="one", single_valued=True)
    for number in range(50):
        Handle.objects.create(name=f"former{number}", status="retired", renamed_to_id="pos")
    api.get("/auth/verify")
    queries = TOKEN + WRITE + EXTRA.get(kind, 0)

    for count in (1, 50):
        body = {"first_name": "Eve", "identities": refusals(count, count)[kind]}
        with django_assert_num_queries(queries):
            answer = api.post("/profiles", body).json()
        assert len(answer["routing"]["refused"]) == count


def test_a_write_costs_the_same_for_one_unknown_handle_and_for_fifty(api, settings, django_assert_num_queries) -> None:
    settings.HANDLE_POLICY = "agreed"
    api.get("/auth/verify")

    for count in (1, 50):
        pairs = [{"handle": f"insta-gram{number}", "identifier": "ada"} for number in range(count)]
        with django_assert_num_queries(TOKEN + WRITE + 1):  # The names that it may have meant.
            answer = api.post("/profiles", {"first_name": "Eve", "identities": pairs}).json()
        assert len(answer["routing"]["refused"]) == count


def test_a_write_costs_the_same_for_one_released_pair_and_for_fifty(api, django_assert_num_queries) -> None:
    api.get("/auth/verify")

    for count in (1, 50):
        pairs = [{"handle": "pos", "identifier": f"{count}-{number}"} for number in range(count)]
        former = api.profile(identities=pairs)
        api.delete(f"/profiles/{former['id']}")
        with django_assert_num_queries(
            TOKEN + WRITE + 6
        ):  # Match and lock, match again, the rules again, move, identities, claims.
            answer = api.post("/profiles", {"identities": pairs}).json()
        assert len(answer["data"]["identities"]) == count


def test_a_balance_reads_none_of_the_points_that_are_spent(ada) -> None:
    now = timezone.now()
    common = {"profile_id": ada["id"], "value_initial": 1, "issued_at": now}
    Point.objects.bulk_create(Point(**common, value_remaining=1) for _number in range(3))
    Reward.objects.bulk_create(Reward(**common, value_remaining=1) for _number in range(3))
    with connection.cursor() as cursor:
        for table in ("profiles_point", "profiles_reward"):
            # Spent ones like them, by the ten thousand.
            cursor.execute(
                f"""
                INSERT INTO {table} SELECT made.* FROM {table} AS one,
                generate_series(1, 7000) AS number, LATERAL jsonb_populate_record(one, jsonb_build_object(
                    'id', nextval(pg_get_serial_sequence('{table}', 'id')), 'value_remaining', number * 0
                )) AS made
                """
            )
        cursor.execute("ANALYZE profiles_point, profiles_reward")

    for call in (lambda: lookup.balances(ada["id"]), lambda: lookup.profile(ada["id"])):
        (sql,) = statements(call)
        plan = explained(sql)
        assert '"Index Name": "point_left_of_profile"' in plan
        assert '"Index Name": "reward_left_of_profile"' in plan
        assert json.loads(str(call()))["point_balance"] == 3


# Records

# Beginning and end of the transaction, catalogue with blocked values, match and lock, match again, the record with
# its items and its audit, the answer.
MATCHED = 7

ROUTED = {
    "matched": 0,
    "attached": 4,  # Whether it was erased, the rules again, identity, audit.
    "rerouted": 3,  # Whom the id means, sensitive handles, log.
    "conflict": 3,  # Sensitive handles, log, queue of duplicates.
    "anonymous": -3,  # No catalogue with its blocked values, no match, no lock.
}


def routed_sales(ada: Any, bo: Any, number: int) -> dict[str, dict[str, Any]]:
    card = {"profile_id": "1804974", "profile_id_handle": CARD}
    mine, others = {"handle": CARD, "identifier": "1804974"}, {"handle": CARD, "identifier": "77"}
    return {
        "matched": sale(**card),
        "attached": sale(**card, identities=[{"handle": "pos", "identifier": f"new {number}"}]),
        "rerouted": sale(profile_id=bo["id"], identities=[mine]),
        "conflict": sale(**card, identities=[others]),
        "anonymous": sale(),
    }


@pytest.mark.parametrize("outcome", ROUTED)
def test_a_routed_sale_costs_so_many_statements_and_no_more(api, ada, bo, django_assert_num_queries, outcome) -> None:
    assert api.post("/transactions", sale()).status_code == 201  # The names of time zones are asked for once.
    items = sale()["items"] * 50

    for number, more in enumerate(({"external_id": "T1"}, {"external_id": "T2", "items": items}, {})):
        body = routed_sales(ada, bo, number)[outcome] | more
        with django_assert_num_queries(TOKEN + MATCHED + ROUTED[outcome]):
            answer = api.post("/transactions", body).json()
        assert answer["routing"]["outcome"] == outcome


def test_only_a_sale_that_is_there_already_is_looked_for(api, ada, django_assert_max_num_queries) -> None:
    body = routed_sales(ada, ada, 0)["matched"] | {"external_id": "T1"}
    assert api.post("/transactions", body).status_code == 201

    with django_assert_max_num_queries(TOKEN + 2 * (MATCHED + 2)):
        answer = api.post("/transactions", body)

    assert answer.json()["code"] == "record_exists"
