"""Rows of a batch that are read by the short way are read as their fields read them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError

from identities.serializers import BatchRowSerializer, plain_row

KEY = "b1d6f3ec-38cd-4747-b7f3-6649c9c05c5d"

anything = st.one_of(st.text(), st.integers(), st.booleans(), st.none(), st.floats(), st.lists(st.text()))
plain = st.from_regex(r"[ -~]{0,300}", fullmatch=True)
ids = st.one_of(st.uuids().map(str), st.uuids().map(lambda key: key.hex), st.just(f"{{{KEY}}}"), st.just(KEY.upper()))


def by_fields(data: Any) -> Any:
    """What the fields make of it, without the short way."""
    try:
        return super(BatchRowSerializer, BatchRowSerializer()).run_validation(data)
    except ValidationError as error:
        return error.detail


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "handle": plain | st.just("loyalty-card") | anything,
            "identifier": plain | anything,
            "profile_id": ids | plain | anything,
            "more": anything,
        },
    )
    | anything
)
def test_the_short_way_gives_what_the_fields_give(data: Any) -> None:
    short = plain_row(data)

    assert short is None or short == by_fields(data)


@pytest.mark.parametrize("more", [{}, {"profile_id": None}, {"profile_id": KEY}, {"source": "x"}])
def testplain_rows_go_the_short_way(more: dict[str, Any]) -> None:
    row = plain_row({"handle": "loyalty-card", "identifier": "1804974", **more})

    assert row is not None
    assert row.get("profile_id") in (None, uuid.UUID(KEY))
