"""What counts as signed: by the vectors of the shop platform's documentation, and by a signer that is not ours."""

from __future__ import annotations

import random
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from identities import signatures
from identities.signatures import WINDOW, Query, is_signed, read_query
from tests.storefront import OLD_SECRET, OLD_VARIABLE, SECRET, SHOP, VARIABLE, escaped, passed_on, signature_of_query

NAMES = [VARIABLE, OLD_VARIABLE]

# From shopify.dev, "Authenticate app proxies", with its secret: somebody logged in, and nobody.
DOCUMENTED = (
    "extra=1&extra=2&shop=shop-name.myshopify.com&logged_in_customer_id={customer}"
    "&path_prefix=%2Fapps%2Fawesome_reviews&timestamp=1317327555&signature={signature}"
)
VECTORS = {
    "1": "4c68c8624d737112c91818c11017d24d334b524cb5c2b8ba08daa056f7395ddb",
    "": "e072b6d7e6622d85912a5214b860d3100dc1e73d9bc29f43796ac8c9ff8093cb",
}


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, SECRET)
    monkeypatch.delenv(OLD_VARIABLE, raising=False)


def understood(query: str) -> Query:
    found = read_query(query)
    assert found is not None
    return found


def is_good(query: str) -> bool:
    found = read_query(query)
    return found is not None and is_signed(found.signed, found.signature, NAMES)


@pytest.mark.parametrize(("customer", "signature"), VECTORS.items())
def test_the_queries_of_the_platforms_documentation_are_signed(
    customer: str, signature: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = DOCUMENTED.format(customer=customer, signature=signature)
    found = understood(query)

    assert signature_of_query(query, "hush") == signature
    assert (found.customer, found.timestamp) == (customer, 1317327555)
    assert not is_signed(found.signed, found.signature, NAMES)
    monkeypatch.setenv(VARIABLE, "hush")
    assert is_signed(found.signed, found.signature, NAMES)


@pytest.mark.parametrize(
    "extra",
    [
        [],
        [("b", "2"), ("a", "1"), ("z", "3")],
        [("ids", "2"), ("a", "1"), ("ids", "1")],
        [("ids[]", "1"), ("ids[]", "2")],
        [("a", ""), ("a", "")],
        [("a-b", "1"), ("a", "2")],
        [("", "no name")],
        [("próxima", "ação"), ("emoji", "\N{PARTY POPPER}"), ("zürich", "1")],
        [("text", "a b+c&d=e?f/g%h;i,j")],
        [("bytes", b"\xff\xfe"), (b"\xc3\x28", "1"), (b"\x80", "2"), ("é", "3")],
        [("long", "x" * 50_000)],
    ],
    ids=str,
)
def test_whatever_the_caller_adds_is_part_of_what_is_signed(extra: list[Any]) -> None:
    query = passed_on("7", *extra)

    assert is_good(query)
    assert not is_good(passed_on("7", *extra, secret="another one"))
    assert not is_good(query + "&added=1")
    assert understood(query).customer == "7"


def test_a_value_in_another_spelling_is_the_same_value() -> None:
    """The signature is of what the parameters say, not of how it was escaped."""
    query = passed_on("7", ("q", "a b~c"))

    assert is_good(query.replace("a%20b~c", "a+b%7Ec"))
    assert is_good(query.replace("%2Fapps%2Fcx", "/apps/cx"))
    assert is_good("&".join(reversed(query.split("&"))))
    assert not is_good(query.replace("a%20b", "a%2520b"))


@pytest.mark.parametrize("name", ["shop", "logged_in_customer_id", "path_prefix", "timestamp"])
def test_no_part_of_what_the_platform_says_can_be_another(name: str) -> None:
    query = passed_on("7")
    (own,) = (piece for piece in query.split("&") if piece.startswith(f"{name}="))

    assert is_good(query)
    assert not is_good(query.replace(own, f"{own}1"))
    assert not is_good(query.replace(own, f"{name}="))
    assert not is_good(query.replace(f"{own}&", ""))
    assert not is_good(f"{query}&{own}")


@pytest.mark.parametrize("name", ["timestamp", "logged_in_customer_id"])
def test_what_the_platform_would_never_leave_out_is_missed(name: str) -> None:
    assert not is_good(passed_on("7", without=name))


@pytest.mark.parametrize(
    "timestamp", ["", "now", "-1", "+1700000000", "1.7e9", " 1700000000", "1_700", "١٧٠٠٠٠٠٠٠٠", "9" * 13, "9" * 5000]
)
def test_a_timestamp_is_a_plain_number(timestamp: str) -> None:
    assert not is_good(passed_on("7", timestamp=timestamp))


@pytest.mark.parametrize("signature", ["", "0", "zz", "é", "\N{PARTY POPPER}", "0" * 64, "0" * 10_000, "\0"])
def test_no_signature_but_the_right_one_will_do(signature: str) -> None:
    query = passed_on("7").partition("&signature=")[0]

    assert not is_good(query)
    assert not is_good(f"{query}&{urlencode({'signature': signature})}")


def test_two_signatures_are_none() -> None:
    query = passed_on("7")

    assert not is_good(f"{query}&signature={'0' * 64}")
    assert not is_good(f"signature={'0' * 64}&{query}")


def test_hexadecimal_may_be_in_capitals() -> None:
    query, _equals, signature = passed_on("7").rpartition("=")

    assert is_good(f"{query}={signature.upper()}")


def test_a_query_is_fresh_for_five_minutes_and_no_earlier_than_that() -> None:
    query = understood(passed_on("7"))
    then = query.timestamp

    assert WINDOW == 300
    assert all(query.is_fresh(then + seconds) for seconds in (-300, 0, 300))
    assert not any(query.is_fresh(then + seconds) for seconds in (-301, -300.1, 300.1, 301, 10**9))


# Secrets


def test_two_secrets_are_good_at_once_and_one_that_is_taken_away_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = passed_on("7"), passed_on("7", secret=OLD_SECRET)

    assert (is_good(new), is_good(old)) == (True, False)
    monkeypatch.setenv(OLD_VARIABLE, OLD_SECRET)
    assert (is_good(new), is_good(old)) == (True, True)
    monkeypatch.delenv(VARIABLE)
    assert (is_good(new), is_good(old)) == (False, True)
    monkeypatch.delenv(OLD_VARIABLE)
    assert (is_good(new), is_good(old)) == (False, False)


@pytest.mark.parametrize("value", ["", "   ", "\n"])
def test_an_empty_secret_signs_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, value)

    assert not is_good(passed_on("7", secret=value))
    assert not is_good(passed_on("7", secret=""))
    assert not signatures.is_set(VARIABLE)


def test_no_names_and_no_variables_sign_nothing() -> None:
    for names in ([], ["TESTED_UNSET"]):
        assert not is_signed(b"7", "", names)
        assert not is_signed(b"7", "0" * 64, names)


def test_a_secret_may_be_in_a_file_and_change_there(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv(f"{VARIABLE}_FILE", str(file))

    assert not is_good(passed_on("7"))
    file.write_text(f"{OLD_SECRET}\n")
    assert is_good(passed_on("7", secret=OLD_SECRET))
    file.write_text(SECRET)
    assert (is_good(passed_on("7")), is_good(passed_on("7", secret=OLD_SECRET))) == (True, False)
    file.write_bytes(b"\xff\xfe")
    assert not is_good(passed_on("7"))


def test_a_secret_of_any_bytes_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "pässword \N{PARTY POPPER}")
    assert is_good(passed_on("7", secret="pässword \N{PARTY POPPER}"))

    monkeypatch.setenv(VARIABLE, b"\xff".decode(errors="surrogateescape"))
    assert not is_good(passed_on("7"))


# The text that is signed has no separators. So that nobody becomes somebody else by cutting it elsewhere:

THEN = 1317327555
FORGED: list[tuple[str, list[Any], list[Any]]] = [
    # Who is not logged in, and adds what would make them customer 7.
    (
        "",
        [("a", "logged_in_customer_id=7m=")],
        [("a", ""), ("logged_in_customer_id", "7"), ("m", "logged_in_customer_id="), ("path_prefix", "/apps/cx")],
    ),
    # Customer 7, and what might be the id of another where ids are not numbers.
    ("7", [("mm", "1")], [("logged_in_customer_id", "7m"), ("m", "1"), ("path_prefix", "/apps/cx")]),
    ("7", [("logged_in_customer_id", "8")], [("logged_in_customer_id", "8,7"), ("path_prefix", "/apps/cx")]),
    ("7", [("m", "1")], [("logged_in_customer_id", "7m=1"), ("path_prefix", "/apps/cx")]),
    ("7", [("opath_prefix", "1")], [("logged_in_customer_id", "7o"), ("path_prefix", "1path_prefix=/apps/cx")]),
]


@pytest.mark.parametrize(("customer", "extra", "forged"), FORGED)
def test_no_customer_becomes_another_by_cutting_the_text_elsewhere(
    customer: str, extra: list[Any], forged: list[Any]
) -> None:
    signed = passed_on(customer, *extra, timestamp=str(THEN))
    query = escaped([*forged, ("shop", SHOP), ("timestamp", str(THEN))])

    # For the platform they are the same: its signature of the one is right for the other.
    assert signature_of_query(query) == signature_of_query(signed)
    other = read_query(f"{query}&signature=0")
    assert other is None or other.customer == customer


def test_no_query_becomes_younger_by_cutting_its_text_elsewhere() -> None:
    signed = passed_on("7", ("z", f"timestamp={THEN + 999}"), timestamp=str(THEN))
    own = [("logged_in_customer_id", "7"), ("path_prefix", "/apps/cx"), ("shop", f"{SHOP}timestamp={THEN}z=")]
    query = escaped([*own, ("timestamp", str(THEN + 999))])

    assert signature_of_query(query) == signature_of_query(signed)
    assert read_query(f"{query}&signature=0") is None


HOSTILE = [
    *("a", "m", "z", "p", "l", "7", "77", "=", "=7", "", ",", "é"),
    *("logged_in_customer_id", "logged_in_customer_id=", "timestamp=", "timestamp", "path_prefix=", "shop=", "shop"),
    *("logged_in_customer_id=7m=", "1700000000", "timestamp=1700000000z=", "opath_prefix", "mshop", "id=7"),
]
fragments = st.lists(st.sampled_from(HOSTILE), max_size=3).map("".join)
parameters = st.lists(st.tuples(fragments, fragments), max_size=3)
# The platform's, which are numbers.
customers = st.sampled_from(["", "0", "7", "77", "1317327555"])


def cut(text: str, rng: random.Random) -> list[tuple[str, str]]:
    """The text taken for other pairs: cut once before each name of the platform's, and where other names might begin."""
    places: set[int] = set()
    for name in ("logged_in_customer_id=", "path_prefix=", "shop=", "timestamp="):
        places.add(rng.choice([place for place in range(len(text)) if text.startswith(name, place)]))
    equals = [place for place, character in enumerate(text) if character == "="]
    places |= {max(0, rng.choice(equals) - rng.randrange(1, 4)) for _ in range(rng.randrange(3))}
    starts = sorted({0, *places})
    pieces = [text[start:end] for start, end in zip(starts, [*starts[1:], len(text)], strict=True)]
    return [(name, value) for name, _equals, value in (piece.partition("=") for piece in pieces)]


@settings(deadline=None)
@given(customer=customers, extra=parameters, seed=st.integers(0, 2**32))
def test_no_other_reading_of_a_signed_text_names_another_customer_or_time(
    customer: str, extra: list[Any], seed: int
) -> None:
    text = plain(passed_on(customer, *extra, timestamp=str(THEN)))
    rng = random.Random(seed)  # noqa: S311

    for _ in range(20):
        forged = read_query(escaped([*cut(text.decode(), rng), ("signature", "0")]))
        if forged is not None and forged.signed == text:
            assert (forged.customer, forged.timestamp) == (customer, THEN)


def plain(query: str) -> bytes:
    """What the platform signs, whether we would take the query or not."""
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    values.pop("signature")
    return "".join(sorted(f"{name}={','.join(several)}" for name, several in values.items())).encode()


anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@settings(deadline=None)
@given(extra=st.lists(st.tuples(anything, anything), max_size=6), customer=st.integers(0, 10**15).map(str))
def test_the_canonical_form_is_that_of_the_other_implementation(extra: list[tuple[str, str]], customer: str) -> None:
    own = {"logged_in_customer_id", "timestamp", "signature", "shop", "path_prefix"}
    harmless = [pair for pair in extra if not any(f"{name}=" in "=".join(pair) + "=" for name in own)]
    query = passed_on(customer, *harmless)

    assert signature_of_query(query) == query.rpartition("=")[2]
    assert is_good(query)
    assert understood(query).customer == customer
    assert understood(query).is_fresh(time.time())
