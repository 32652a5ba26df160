"""Bad input gets a clear error, writes nothing, and never ends in a 500 (API.md 1, 2)."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any
from urllib.parse import quote

import pytest

from identities.models import BlockedIdentifier, Handle, Identity, RoutingLogEntry
from profiles import duplicates
from profiles.duplicates import Found
from tests.api.conftest import CARD, KINDS, OWN, Caller, not_found, points, refused, reward, sale, visit

pytestmark = pytest.mark.django_db

PREVIEW = ("/preview", "")
MERGING: dict[str, Any] = {
    "source_profile_id": "{id}",
    "destination_profile_id": "{id}",
    "fields": {},
    "handles": {},
    "plan": None,
}

HOOK = {"trigger": "profile.updated", "url": "https://hooks.example.com/omneo"}
STEPS: dict[str, Any] = {
    "name": "Tell the till",
    "trigger": "profile.updated",
    "actions": [{"name": "target.send", "arguments": [{"name": "url", "value": HOOK["url"]}]}],
}

# Every route that takes a body, with one that is good. {id}: Ada's, {identity}: her card's.
WRITES = [
    ("POST", "/profiles", {"first_name": "Eve", "identities": [{"handle": "pos", "identifier": "1"}]}),
    ("PUT", "/profiles/{id}", {"first_name": "Augusta"}),
    ("PUT", "/profiles/{id}/update-type", {"profile_type": "active"}),
    ("POST", "/profiles/search-id", {"type": CARD, "id": "1804974"}),
    ("POST", "/profiles/availability", {"email": "eve@example.com"}),
    ("POST", "/profiles/batch", {"match_criteria": CARD, "profiles": [{"first_name": "Eve"}]}),
    ("POST", "/profiles/sync", {"updated_at": "2021-01-27 00:00:00"}),
    ("POST", "/profiles/{id}/identities", {"handle": "pos", "identifier": "1"}),
    ("PUT", "/profiles/{id}/identities/loyalty-card", {"identifier": "1"}),
    ("PUT", "/profiles/{id}/identities/id/{identity}", {"identifier": "1"}),
    ("PUT", "/profiles/{id}/attributes/custom/loyalty:tier", {"value": "gold"}),
    ("POST", "/identities/resolve", {"identities": [{"handle": CARD, "identifier": "1"}]}),
    ("POST", "/identities/batch", {"identities": [{"handle": CARD, "identifier": "1"}]}),
    ("POST", "/identities/{identity}/move", {"profile_id": "{id}", "reason": "Because."}),
    ("POST", "/transactions", sale("pos:1")),
    ("POST", "/transactions/update-create", sale("pos:1", external_id="T7-1")),
    ("PUT", "/transactions/{transactions}", {"total": 1, "tags": []}),
    ("POST", "/interactions", visit("pos:1")),
    ("PUT", "/interactions/{interactions}", {"signal": 1}),
    ("POST", "/points", points("pos:1")),
    ("POST", "/rewards", reward("pos:1")),
    ("PUT", "/rewards/{rewards}", {"value_remaining": 1}),
    ("POST", "/rewards/definitions", {"name": "Gift", "handle": "gift", "value": 5}),
    ("PUT", "/rewards/definitions/{definition}", {"name": "Present"}),
    ("POST", "/webhooks", {**HOOK, "namespace": "till", "is_active": 1, "queue": "low", "condition": None}),
    ("PUT", "/webhooks/{webhook}", {"retry_daily": True, "retry_hourly": False, "url": HOOK["url"]}),
    ("POST", "/triggers", {**STEPS, "description": "", "notes": None, "is_active": True}),
    ("PUT", "/triggers/{trigger}", {"name": "Tell", "actions": None}),
    ("POST", "/triggers/{trigger}/actions", {**STEPS["actions"][0], "sort_order": 1, "notes": ""}),
    *(("POST", f"/{kind}/{{{kind}}}/move", {"profile_id": "{id}", "reason": "Because."}) for kind in KINDS),
    ("POST", "/duplicates/{duplicate}/dismiss", {"note": "Sisters."}),
    ("POST", "/duplicates/{duplicate}/merge", {"destination_profile_id": "{id}", "reason": "Because."}),
    *(
        ("POST", f"/profiles/merge{end}", {**MERGING, "source_profile_ids": [], "reason": "Because."})
        for end in PREVIEW
    ),
    *(("POST", f"/merges/{{merge}}/undo{end}", {"reason": "Because."}) for end in PREVIEW),
    *(("POST", f"/profiles/{{id}}/split{end}", {"identity_ids": [1], "profile_id": "{id}"}) for end in PREVIEW),
    ("PUT", "/handles/loyalty-card", {"label": "Card"}),
    ("POST", "/auth/api-tokens", {"name": "Till", "scopes": []}),
    ("POST", "/id/api/v1/auth/token", {"id": "1804974", "id_handle": CARD}),
    ("POST", "/shopify/api/v1/auth/token", {"id": "6432187489345", "signature": "0" * 64}),
    ("PUT", f"{OWN}/me", {"first_name": "Augusta"}),
    ("POST", OWN, {"first_name": "Ann", "email": "ann@example.com"}),
    ("POST", f"{OWN}/me/identities", {"handle": CARD, "identifier": "77"}),
    ("PUT", f"{OWN}/me/identities/web", {"identifier": "78"}),
    ("PUT", f"{OWN}/me/identities/id/{{claim}}", {"identifier": "79"}),
    ("PUT", f"{OWN}/me/update-type", {"profile_type": "active"}),
    ("PUT", f"{OWN}/me/attributes/custom/loyalty:tier", {"value": "gold"}),
    ("POST", f"{OWN}/me/interactions", visit()),
]
RECORD_LISTS = [*(f"/{kind}" for kind in KINDS), "/rewards/definitions"]
LISTS = [
    "/profiles",
    "/identities",
    "/handles",
    "/routing-log",
    "/duplicates",
    "/merges",
    "/audits",
    *RECORD_LISTS,
    "/webhooks",
    "/triggers",
]

HOSTILE = [
    "'; DROP TABLE profiles_profile; --",
    "' OR '1'='1",
    '" OR 1=1 --',
    "%' UNION SELECT * FROM auth_user --",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "{{7*7}} ${7*7} %s %(x)s {0}",
    "\\'\\\"\\\\",
    "../../etc/passwd",
    "$1 \\u0041",
    "نص עברית 中文 😀",
]


@pytest.fixture
def writes(api, ada, settings):
    """WRITES with Ada's ids in their paths."""
    ids = {"id": ada["id"], "identity": ada["identities"][0]["id"]}
    ids |= {kind: api.record(kind, body(f"{CARD}:1804974"))["id"] for kind, body in KINDS.items()}
    definition = api.post("/rewards/definitions", {"name": "Birthday", "handle": "birthday", "value": 5})
    (ids["duplicate"],) = duplicates.note([Found(uuid.UUID(ada["id"]), uuid.UUID(api.profile()["id"]), {})])
    ids |= {
        name: api.post(f"/{name}s", body).json()["data"]["id"]
        for name, body in (("webhook", HOOK), ("trigger", STEPS))
    }
    ids["definition"] = definition.json()["data"]["id"]
    pair = [api.profile(first_name=name)["id"] for name in ("Cy", "Cyrus")]
    merging = {"source_profile_id": pair[0], "destination_profile_id": pair[1]}
    (ids["merge"],) = api.post("/profiles/merge", merging).json()["merges"]
    api.customer, api.visitor = api.issue(ada["id"]), api.issue()
    ids["claim"] = api.post(f"{OWN}/me/identities", {"handle": "web", "identifier": "76"}).json()["data"]["id"]
    # More is sent here than anybody sends in a minute.
    settings.CUSTOMER_SIGN_UP_LIMIT = settings.CUSTOMER_WRITE_LIMIT = 0
    return [(method, path.format(**ids), good) for method, path, good in WRITES]


def test_every_route_with_a_body_is_in_the_table(client) -> None:
    described = {
        (method.upper(), path.removeprefix("/api/v3"))
        for path, item in client.get("/api/schema").json()["paths"].items()
        for method, operation in item.items()
        if "requestBody" in operation
    }

    assert {
        (method, re.sub(r"{\w+}|loyalty-card|loyalty:tier|\bweb\b", "{}", path)) for method, path, _good in WRITES
    } == {(method, re.sub(r"{\w+}", "{}", path)) for method, path in described}


# Bodies that are no JSON


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"nonsense",
        b"{'first_name': 'Eve'}",
        b'{"first_name": "Eve",}',
        b'{"first_name": NaN}',
        b'{"first_name": Infinity}',
        b'{"first_name": "Eve"} x',
        b"first_name=Eve&last_name=Adams",
        b'{"first_name": "\xff\xfe"}',
        b'{"first_name": "\xed\xa0\x80"}',
        b'{"first_name": "\\ud800"}',
        b'{"first_name": "\\udc00\\ud800"}',
        b'{"\\ud800": 1}',
        b'{"first_name": "a\x00b"}',
        b'{"first_name": "a\nb"}',
        b'\xef\xbb\xbf{"first_name": "Eve"}',
        '{"first_name": "Eve"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"attributes": ' + b'{"comms": ' * 5_000 + b"1" + b"}" * 5_001,
        b'{"first_name": 1e999}',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_body_that_is_no_json_is_a_400(api, writes, unchanged, body) -> None:
    with unchanged():
        for method, path, _good in writes:
            response = api.call(method, path, body)
            assert response.status_code == 400, response.content
            assert list(response.json()) == ["message"]
            assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("body", [[], [{}], "text", 7, 1.5, True, None])
def test_json_that_is_no_object_is_a_422(api, writes, unchanged, body) -> None:
    with unchanged():
        for method, path, _good in writes:
            refused(api.call(method, path, json.dumps(body).encode()), "invalid", "body")


def test_a_nul_in_a_string_or_key_is_a_422(api, writes, unchanged) -> None:
    with unchanged():
        for method, path, good in writes:
            for name in good:
                refused(api.call(method, path, good | {name: "a\0b"}), "invalid", name)
            assert api.call(method, path, good | {"a\0b": 1}).status_code == 422
            assert api.call(method, path, good | {"nonsense": [{"deep": ["\0"]}]}).status_code == 422


@pytest.mark.parametrize("value", [None, True, 7, -1.5, 10**30, "", "x" * 10_240, [], [[]], {}, {"a": 1}, [None]])
def test_a_wrong_type_in_any_field_is_no_500(api, writes, value) -> None:
    for method, path, good in writes:
        for name in good:
            response = api.call(method, path, good | {name: value})
            # What a storefront did not sign is told nothing more.
            good_enough = (401, 422) if path.startswith("/shopify/") else (200, 201, 404, 422)
            assert response.status_code in good_enough, (path, name, response.content)
            if response.status_code == 422:
                body = response.json()
                assert body["message"] == next(iter(body["errors"].values()))[0]
                assert body["code"]


def test_deep_json_is_refused_wherever_it_is(api, ada, unchanged) -> None:
    deep: dict[str, Any] = {}
    for _level in range(200):
        deep = {"comms": deep}
    shallow: dict[str, Any] = {}
    for _level in range(20):
        shallow = {"comms": shallow}

    with unchanged():
        for field in ("attributes", "nonsense"):
            assert api.put(f"/profiles/{ada['id']}", {field: deep}).status_code == 400
        refused(api.put(f"/profiles/{ada['id']}", {"attributes": shallow}), "invalid", "attributes")


def test_a_huge_body_is_a_413(api, ada, settings, unchanged) -> None:
    with unchanged():
        response = api.put(f"/profiles/{ada['id']}", b'{"company": "%s"}' % (b"x" * settings.MAX_BODY_BYTES))

    assert response.status_code == 413
    assert list(response.json()) == ["message"]


@pytest.mark.parametrize(
    "content_type",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html", "x/y; z"],
)
def test_a_wrong_content_type_changes_nothing_about_the_body(api, ada, content_type) -> None:
    response = api.client.generic(
        "PUT",
        f"/api/v3/profiles/{ada['id']}",
        b'{"first_name": "Augusta"}',
        content_type,
        headers={"Accept": "text/html"},
    )

    assert (response.status_code, response.json()["data"]["first_name"]) == (200, "Augusta")
    assert response.headers["Content-Type"] == "application/json"


def test_an_empty_body_is_an_empty_object(api, ada) -> None:
    assert api.put(f"/profiles/{ada['id']}", b"").json()["data"] == ada
    assert api.put(f"/profiles/{ada['id']}", b" \r\n").json()["data"] == ada


@pytest.mark.parametrize(
    ("digits", "field"), [(20, "first_name"), (3_999, "first_name"), (4_301, "body"), (10**5, "body")]
)
def test_a_huge_integer_in_a_body_is_a_422(api, ada, unchanged, digits, field) -> None:
    with unchanged():
        response = api.put(f"/profiles/{ada['id']}", b'{"first_name": %s}' % (b"9" * digits))

    refused(response, "invalid", field)


# Identifiers


@pytest.fixture(params=["POST", "PUT", "batch", "POST profile"])
def write(request, api, ada):
    """Give Ada one identity of a handle through one of the interfaces.

    Returns the identifier as it is stored, or the code of the refusal, after which she has none.
    """
    url = f"/profiles/{ada['id']}/identities"

    def by_post(pair):
        response = api.post(url, pair)
        return response.json()["code"] if response.status_code == 422 else None

    def by_put(pair):
        first = api.identity(ada, pair["handle"], "before")
        response = api.put(f"{url}/id/{first['id']}", {"identifier": pair["identifier"]})
        if response.status_code == 422:
            assert api.delete(f"{url}/id/{first['id']}").status_code == 204
            return response.json()["code"]
        return None

    def by_batch(pair):
        (row,) = api.post("/identities/batch", {"profile_id": ada["id"], "identities": [pair]}).json()["data"]
        return row["code"] if row["result"] == "error" else None

    def by_profile(pair):
        body = {"identities": [{"handle": CARD, "identifier": "1804974"}, pair]}
        response = api.post("/profiles", body)
        assert (response.status_code, response.json()["data"]["id"]) == (200, ada["id"]), response.content
        for row in response.json()["routing"]["refused"]:
            assert row["identifier"] == pair["identifier"]
            assert RoutingLogEntry.objects.latest("last_seen_at").code == row["code"]
            return row["code"]
        return None

    by = {"POST": by_post, "PUT": by_put, "batch": by_batch, "POST profile": by_profile}[request.param]

    def one(handle, identifier):
        assert not Identity.objects.filter(handle=handle).exists()
        code = by({"handle": handle, "identifier": identifier})
        stored = [row.identifier for row in Identity.objects.filter(handle=handle)]
        Identity.objects.filter(handle=handle).delete()
        assert stored == [] if code else len(stored) == 1
        return code or stored[0]

    return one


BLOCKED = [
    "null",
    "NULL",
    "NULL ",
    '"null"',
    "'null'",
    "`Null`",
    "\"'null'\"",
    "none",
    "None",
    "nil",
    "undefined",
    "nan",
    "NaN",
    "0",
    "00000",
    "-1",
    "-",
    "----",
    "n/a",
    "N/A",
    "unknown",
    "anonymous",
    "Anonymous",
    "guest",
    "test",
    "TEST",
    "test@test.com",
    "[object Object]",
    "\tunknown\n",
]


def test_a_blocked_value_is_refused_in_every_spelling(write) -> None:
    for value in BLOCKED:
        assert write("pos", value) == "blocked_identifier", value


@pytest.mark.parametrize("value", [0, -1, "ｎｕｌｌ", "ＮＵＬＬ"])
def test_a_blocked_value_is_refused_as_a_number_and_in_wide_letters(api, ada, unchanged, value) -> None:
    with unchanged():
        body = {"handle": "instagram", "identifier": value}
        refused(api.post(f"/profiles/{ada['id']}/identities", body), "blocked_identifier", "identifier")


def test_no_other_short_value_is_blocked(write) -> None:
    for value in ("1", "7", "x", "no", "nulls", "tester", "guest1", "-2", "0-0", "001"):
        assert write("pos", value) == value


def test_an_empty_value_is_invalid(write) -> None:
    for value in ("", " ", "\t\n", "\u2003\u3000"):
        assert write("pos", value) == "invalid_identifier"


def test_staff_may_add_a_value_and_switch_one_off(write) -> None:
    BlockedIdentifier.objects.create(value="walk-in", handle_id="pos")
    BlockedIdentifier.objects.create(kind="regex", value="tmp[0-9]+")
    BlockedIdentifier.objects.filter(value="guest").update(enabled=False)

    assert write("pos", " Walk-In") == "blocked_identifier"
    assert write("pos-customer", "walk-in") == "walk-in"
    assert write("pos-customer", "TMP42") == "blocked_identifier"
    assert write("pos", "xtmp42") == "xtmp42"
    assert write("pos", "guest") == "guest"


def test_an_identifier_has_255_characters_at_most(write) -> None:
    for length in (256, 511, 512, 10_000, 10_240):
        assert write("pos", "x" * length) == "invalid_identifier"
    for text in ("x" * 255, "😀" * 255, f"{' ' * 200}{'y' * 255}{' ' * 200}"):
        assert write("pos", text) == text.strip()


def test_an_identifier_of_more_than_10_kb_is_refused_before_it_is_read(api, ada, unchanged) -> None:
    with unchanged():
        for identifier in ("x" * 10_241, "😀" * 2_561, 10**3_999, " " * 20_000):
            body = {"handle": "pos", "identifier": identifier}
            response = api.post(f"/profiles/{ada['id']}/identities", body)
            assert response.status_code == 422
            assert response.json()["code"] == "invalid_identifier"


INVISIBLE = {
    "zero width space": "\u200b",
    "zero width joiner": "\u200d",
    "word joiner": "\u2060",
    "soft hyphen": "\u00ad",
    "byte order mark": "\ufeff",
    "right to left override": "\u202e",
    "left to right isolate": "\u2066",
    "combining grapheme joiner": "\u034f",
    "hangul filler": "\u3164",
    "halfwidth hangul filler": "\uffa0",
    "variation selector": "\ufe0f",
    "variation selector 17": "\U000e0100",
    "language tag": "\U000e0041",
    "mongolian vowel separator": "\u180e",
    "line feed": "\n",
    "escape": "\x1b",
    "delete": "\x7f",
    "next line": "\x85",
    "unassigned": "\u0378",
    "noncharacter": "\uffff",
    "private use beyond": "\U0010ffff",
}


@pytest.mark.parametrize("handle", ["pos", "instagram"])
def test_a_character_that_nobody_sees_is_refused(write, handle) -> None:
    for name, character in INVISIBLE.items():
        assert write(handle, f"a{character}b") == "invalid_identifier", name
    for character in ("\u200b", "\u202e", "\u00ad"):
        assert write(handle, f"{character}a") == "invalid_identifier"
        assert write(handle, f"a{character}") == "invalid_identifier"


def test_a_nul_in_an_identifier_is_a_422(api, ada, unchanged) -> None:
    with unchanged():
        response = api.post(f"/profiles/{ada['id']}/identities", {"handle": "pos", "identifier": "a\0b"})
        refused(response, "invalid", "identifier")
        body = {"profile_id": ada["id"], "identities": [{"handle": "pos", "identifier": "a\0b"}]}
        refused(api.post("/identities/batch", body), "invalid", "identities.0.identifier")


UNICODE = [
    # what is written, under instagram (fold), under pos (exact)
    ("cafe\u0301", "caf\u00e9", "caf\u00e9"),
    ("caf\u00e9", "caf\u00e9", "caf\u00e9"),
    ("ＡＢＣ１２３", "abc123", "ＡＢＣ１２３"),
    ("ﬁne", "fine", "ﬁne"),
    ("STRASSE", "strasse", "STRASSE"),
    ("straße", "strasse", "straße"),
    ("ΣΊΣΥΦΟΣ", "σίσυφοσ", "ΣΊΣΥΦΟΣ"),
    ("σίσυφος", "σίσυφοσ", "σίσυφος"),
    ("ILIK", "ilik", "ILIK"),
    ("ılık", "ılık", "ılık"),
    ("İstanbul", "i\u0307stanbul", "İstanbul"),
    ("x²", "x2", "x²"),
    ("K", "k", "K"),
    ("😀", "😀", "😀"),
    ("𝒜da", "ada", "𝒜da"),
    ("раураl", "раураl", "раураl"),
    ("한국", "한국", "한국"),
    ("a\u00a0b", "a b", "a\u00a0b"),
    ("٤٢", "٤٢", "٤٢"),
]


def test_one_normal_form_through_every_interface(write) -> None:
    for written, fold, exact in UNICODE:
        assert write("instagram", written) == fold
        assert write("pos", written) == exact


def test_one_normal_form_in_every_lookup(api, ada, path) -> None:
    for written, fold, exact in UNICODE:
        for handle, stored in (("instagram", fold), ("pos", exact)):
            identity = api.identity(ada, handle, written)
            asked = {"handle": handle, "identifier": written}
            assert identity["identifier"] == stored
            assert api.data("/identities/search", asked)["id"] == identity["id"]
            assert (
                api.post("/identities/resolve", {"identities": [asked]}).json()["data"][0]["profile_id"] == ada["id"]
            )
            assert api.data("/identities", {"filter[handle]": handle, "filter[identifier]": written}) == [identity]
            assert [row["id"] for row in api.data(f"/identities/search-profile/{path(written)}")] == [ada["id"]]
            api.delete(f"/profiles/{ada['id']}/identities/{handle}")


@pytest.mark.parametrize(
    ("handle", "first", "second", "same"),
    [
        ("instagram", "caf\u00e9", "CAFE\u0301", True),
        ("instagram", "straße", "STRASSE", True),
        ("instagram", "σίσυφος", "ΣΊΣΥΦΟΣ", True),
        ("instagram", "ILIK", "ılık", False),
        ("instagram", "paypal", "раураl", False),
        ("pos", "caf\u00e9", "cafe\u0301", True),
        ("pos", "abc", "ABC", False),
        ("pos", "ﬁ", "fi", False),
        ("pos", "007", "7", False),
        ("pos", "\u03a9", "\u2126", True),
    ],
)
def test_uniqueness_holds_for_what_is_the_same(api, ada, bo, handle, first, second, same) -> None:
    api.identity(ada, handle, first)

    response = api.post(f"/profiles/{bo['id']}/identities", {"handle": handle, "identifier": second})

    assert response.status_code == (422 if same else 201)
    assert not same or response.json()["code"] == "identity_taken"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ada@bücher.example", "ADA@xn--bcher-kva.example"),
        ("ada@BÜCHER.example", "ada@bu\u0308cher.example"),
        ("josé@example.com", "JOSE\u0301@EXAMPLE.COM"),
        ("ada@example.com", "ada@ｅxample.com"),
    ],
)
def test_an_address_is_one_in_every_spelling_of_its_domain(api, first, second) -> None:
    eve = api.profile(email=first)

    body = refused(api.post("/profiles", {"email": second}), "identity_taken", "email")

    assert body["profile_id"] == eve["id"]
    assert [row["id"] for row in api.data("/profiles", {"filter[email]": second})] == [eve["id"]]


@pytest.mark.parametrize(
    ("first", "second"),
    [("0404 777 666", "+61404777666"), ("+1 (212) 555-0123", "0011 1 212 555 0123"), ("٠٤٠٤٧٧٧٦٦٦", "0404777666")],
)
def test_a_number_is_one_in_every_spelling(api, first, second) -> None:
    eve = api.profile(mobile_phone=first)

    assert (
        refused(api.post("/profiles", {"mobile_phone": second}), "identity_taken", "mobile_phone")["profile_id"]
        == (eve["id"])
    )


# SQL and HTML


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_unchanged_in_every_field_of_a_profile(api, text) -> None:
    fields = ("first_name", "last_name", "company", "occupation", "gender", "secondary_phone", "avatar_url", "title")
    body = dict.fromkeys(fields, text) | {"tags": [text], "attributes": {"comms": {text: text}, "dates": [text]}}

    profile = api.profile(**body)

    assert {name: profile[name] for name in fields} == dict.fromkeys(fields, text)
    assert profile["tags"] == [text]
    assert (profile["attributes"]["comms"], profile["attributes"]["dates"]) == ({text: text}, [text])
    assert api.data("/profiles", {"filter[first_name]": text})[0] == profile
    assert api.data("/profiles", {"search": text})[0] == profile
    assert api.put(f"/profiles/{profile['id']}", {"company": text}).json()["data"] == profile
    refused(api.put(f"/profiles/{profile['id']}", {"currency": text}), "invalid", "currency")
    for name in ("email", "mobile_phone"):
        refused(api.put(f"/profiles/{profile['id']}", {name: text}), "invalid_identifier", name)
        assert api.post("/profiles/availability", {name: text}).json()["data"][name]["available"] is True


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_an_identifier_like_any_other(api, ada, bo, path, text) -> None:
    identity = api.identity(ada, "pos", text)

    assert identity["identifier"] == text
    assert api.data("/identities/search", {"handle": "pos", "identifier": text})["id"] == identity["id"]
    assert api.data(f"/identities/search-profile/{path(text)}")[0]["id"] == ada["id"]
    assert api.post("/profiles/search-id", {"type": "pos", "id": text}).json()["data"]["id"] == ada["id"]
    assert api.data("/identities", {"filter[identifier]": text})[0]["id"] == identity["id"]
    assert api.data("/profiles", {"filter[identity]": f"pos:{text}"})[0]["id"] == ada["id"]
    response = api.post(f"/profiles/{bo['id']}/identities", {"handle": "pos", "identifier": text})
    assert refused(response, "identity_taken", "identifier")["profile_id"] == ada["id"]
    entry = api.data(f"/routing-log/{response.json()['log_entry_id']}")
    assert (entry["identifier"], entry["payload"]["identities"][0]["identifier"]) == (text, text)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_no_handle_and_no_id(api, ada, path, unchanged, text) -> None:
    with unchanged():
        body = {"handle": text, "identifier": "1"}
        refused(api.post(f"/profiles/{ada['id']}/identities", body), "invalid_handle", "handle")
        not_found(api.get("/identities/search?" + f"handle={path(text)}&identifier=1"))
        not_found(api.get(f"/profiles/{path(text)}"))
        not_found(api.get(f"/profiles/{ada['id']}/identities/{path(text)}"))
        not_found(api.get(f"/handles/{path(text)}"))
        not_found(api.post("/profiles/search-id", {"type": text, "id": text}))
        refused(api.put(f"/handles/{CARD}", {"reserved_for": text}), "invalid", "reserved_for")
        refused(api.put(f"/profiles/{ada['id']}/update-type", {"profile_type": text}), "invalid", "profile_type")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_handles_tokens_and_reasons_comes_back(api, ada, bo, text) -> None:
    handle = api.put(f"/handles/{CARD}", {"label": text, "description": text, "example": text}).json()["data"]
    assert (handle["label"], handle["description"], handle["example"]) == (text, text, text)

    token = api.post("/auth/api-tokens", {"name": text, "scopes": [text]}).json()["token"]
    assert (token["name"], token["scopes"]) == (text, [text])

    body = {"profile_id": bo["id"], "reason": text}
    assert api.post(f"/identities/{ada['identities'][0]['id']}/move", body).status_code == 200
    assert len(api.data("/audits")) > 0


@pytest.mark.parametrize("path", LISTS)
def test_hostile_text_in_any_parameter_of_a_list_is_no_500(api, ada, path) -> None:
    operation = api.client.get("/api/schema").json()["paths"][f"/api/v3{path}"]["get"]
    known = [parameter["name"] for parameter in operation["parameters"]]
    for text in (*HOSTILE, "x" * 10_240, "😀" * 1_000):
        for name in (*known, text[:200]):
            response = api.get(path, {name: text})
            assert response.status_code in (200, 422), (name, response.content)
            assert response.headers["Content-Type"] == "application/json"


# Queries


@pytest.mark.parametrize("path", LISTS)
def test_a_page_that_cannot_be_is_a_422(api, path) -> None:
    for name in ("page[number]", "page[size]"):
        for value in ("0", "-1", "1.5", "x", "", "1000000001", str(10**21), "9" * 5_000, "１"):
            refused(api.get(path, {name: value}), "invalid", name)


@pytest.mark.parametrize("path", LISTS)
def test_the_last_page_number_is_an_empty_200(api, ada, path) -> None:
    response = api.get(path, {"page[number]": 10**9, "page[size]": 200})

    assert (response.status_code, response.json()["data"]) == (200, [])
    assert response.json()["meta"]["current_page"] == 10**9


@pytest.mark.parametrize("path", LISTS)
def test_an_unknown_filter_sort_or_include_is_a_422_that_lists_the_known(api, path) -> None:
    for name in ("filter[nothing]", "filter[nothing][gte]", "filter", "sort", "include", "page"):
        assert "Known are:" in refused(api.get(path, {name: "nothing"}), "invalid", name)["message"]


@pytest.mark.parametrize("path", [*LISTS, "/identities/search", "/identities/search-profile", "/auth/access-tokens"])
def test_a_control_character_in_any_parameter_is_a_422(api, path) -> None:
    for character in ("%00", "%0A", "%1B", "%7F", "%C2%85"):
        for query in (f"filter[handle]=a{character}", f"utm=a{character}b", f"a{character}=1"):
            assert api.get(f"{path}?{query}").status_code == 422


@pytest.mark.parametrize("path", LISTS)
def test_a_query_that_is_no_text_is_no_500(api, path) -> None:
    for query in ("%FF=%FF", "a=%ED%A0%80", "=", "&&&", "%", "a[]=1&a[]=2", "?" * 50):
        assert api.get(f"{path}?{query}").status_code in (200, 400, 422)


@pytest.mark.parametrize("path", ["/%FF", "/profiles/%FF", "/profiles/%ED%A0%80", "/identities/search-profile/%FF%FE"])
def test_a_path_that_is_no_text_is_no_500(api, path) -> None:
    assert api.get(path).status_code in (200, 400, 404, 422)


@pytest.mark.parametrize("path", ["/profiles/\x01", "/handles/\x7f", "/profiles/\n/identities"])
def test_a_control_character_in_a_path_is_a_422(api, path) -> None:
    assert api.get(quote(path)).status_code == 422


@pytest.mark.parametrize("path", [*LISTS, "/profiles/search-id", "/auth/verify"])
def test_a_method_that_a_path_does_not_have_is_a_405(api, path) -> None:
    for method in ("PATCH", "OPTIONS", "TRACE", "PROPFIND"):
        response = api.call(method, path)
        assert response.status_code == 405
        assert list(response.json()) == ["message"]


def test_without_a_token_nothing_is_read_or_written(writes, unchanged) -> None:
    with unchanged():
        for method, path, good in writes:
            for body in (good, b"{", b"x" * 1_000):
                # What a storefront signs needs no token, but a body that can be read.
                refusals = (400, 401) if path.startswith("/shopify/") else (401,)
                assert Caller("").call(method, path, body).status_code in refusals


def test_a_new_handle_of_a_refused_write_is_not_left_behind(api, ada, unchanged) -> None:
    with unchanged():
        for identifier in ("null", "a\u200bb", ""):
            body = {"handle": "parcel-locker", "identifier": identifier}
            assert api.post(f"/profiles/{ada['id']}/identities", body).status_code == 422

    assert not Handle.objects.filter(pk="parcel-locker").exists()
