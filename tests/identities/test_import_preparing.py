"""What an import tells by itself of a pair, the write path would have told."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from identities import handles
from identities.handles import Sent
from identities.importing import Catalogue
from identities.models import BlockedIdentifier, Extension, Handle, Identity

pytestmark = pytest.mark.django_db

HANDLES = [
    "loyalty-card",
    "email",
    "mobile_phone",
    "instagram",
    "shopify",
    "till",
    "passport",
    "old",
    "gone",
    " pos ",
    "Pos",
    "new",
    "id",
    "",
]
TEXTS = [
    "null", "NULL", '"null"', "''", "0", "000", "0-0", "-", "- -", "a-1", "A-1", "\u0661\u0662", "e\u0301", "\uff11", "\u200b", "\0", "\ud800",
    "ada@example.com", "Ada@EXAMPLE.com", "ada@b\u00fccher.example", "a@b", "test@test.com", "0404 123 123", "+61404123123", "12", "x" * 255, "x" * 256, " 1 ", "\t1\n",
]  # fmt: skip


@pytest.fixture
def catalogue() -> dict[str, Catalogue]:
    """The catalogue as staff and as an extension read it, with a handle of each kind."""
    Handle.objects.create(name="till", normaliser="digits", single_valued=True)
    Handle.objects.create(name="passport", pattern="[0-9]+", sensitive=True)
    Handle.objects.create(name="gone", status="retired")
    Handle.objects.create(name="old", status="retired", renamed_to_id="till")
    BlockedIdentifier.objects.create(handle_id="loyalty-card", kind="regex", value="a-[0-9]")
    BlockedIdentifier.objects.create(handle_id="till", value="12")
    return {slug: Catalogue(writer=writer(slug), names=["new"]) for slug in ("", "shopify")}


def writer(slug: str) -> Extension | None:
    return Extension.objects.get(pk=slug) if slug else None


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(["", "shopify"]), st.sampled_from(HANDLES), st.sampled_from(TEXTS) | st.text(max_size=12))
@example("", "till", "0-0")
@example("", "loyalty-card", "A-1")
@example("shopify", "shopify", "1")
def test_what_is_good_is_read_as_the_write_path_reads_it(
    catalogue: dict[str, Catalogue], slug: str, handle: str, text: str
) -> None:
    sent = Sent(handle, text, is_primary=True)

    good = catalogue[slug].good(sent)
    (answer,) = handles.read([sent], writer=writer(slug))

    if good is not None:
        assert isinstance(answer, Identity)
        assert (good.handle, good.identifier, good.original) == (answer.handle_id, answer.identifier, answer.original)
        assert good.shown == answer.shown
        assert (good.is_active, good.is_primary) == (True, True)
    else:
        # A few that are known after all are left to the write path; none of these is known.
        assert not isinstance(answer, Identity)


@pytest.mark.parametrize(
    ("patterns", "text"),
    [
        ([r"\Qa+b", "c.*"], "a+b"),
        ([r"\Qa+b", "c.*"], "cleo"),
        ([f"[0-9a-z]{{{count}}}c.*" for count in range(100, 700)], "c" * 150),
    ],
    ids=["quoted to its end", "after a quoted one", "too large together"],
)
def test_patterns_that_do_not_go_together_block_each_for_itself(patterns: list[str], text: str) -> None:
    for pattern in patterns:
        entry = BlockedIdentifier(kind="regex", value=pattern)
        entry.full_clean()
        entry.save()

    catalogue = Catalogue(writer=None)

    assert catalogue.good(Sent("loyalty-card", text)) is None
    assert catalogue.good(Sent("loyalty-card", "1804974")) is not None
