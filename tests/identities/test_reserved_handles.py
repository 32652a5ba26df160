from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from identities import lookup, moving, releasing, routing
from identities.handles import Sent
from identities.models import Extension, Handle, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Profile
from profiles.refusing import Refused
from tests.cast import add, pairs_of, route

pytestmark = pytest.mark.django_db

SHIPPED = ["shopify", "klaviyo", "magento_id", "sfcc", "commercetools", "zendesk", "mailchimp"]


@pytest.fixture
def others(klaviyo: Extension) -> list[Extension | None]:
    """Everybody but Shopify: staff, and the extension that claims another handle."""
    return [None, klaviyo]


@pytest.fixture
def identity(ada: Profile, shopify: Extension, by: By) -> Identity:
    """Ada in the shop, as Shopify wrote it."""
    return add(ada, "shopify:6432187489345", by=by, source=shopify)


def refused(refusal: pytest.ExceptionInfo[Refused], extension: str = "shopify") -> bool:
    """Whether the refusal is the one of a reserved handle and names who may write."""
    return refusal.value.code == "reserved_handle" and f"extension {extension}" in refusal.value.message


def test_only_the_extension_adds_identities_of_its_handle(
    ada: Profile, bo: Profile, shopify: Extension, others: list[Extension | None], by: By
) -> None:
    for writer in others:
        with pytest.raises(Refused) as refusal:
            add(ada, "shopify:6432187489345", by=by, source=writer)
        assert refused(refusal)
        assert refusal.value.field == "handle"
    assert pairs_of(ada) == []

    identity = add(ada, "shopify:6432187489345", by=by, source=shopify)

    assert (identity.handle_id, identity.source) == ("shopify", shopify)
    for writer in others:
        with pytest.raises(Refused) as refusal:
            add(ada, "shopify:6432187489345", by=by, source=writer)
        assert refused(refusal)


@pytest.mark.parametrize("name", SHIPPED)
def test_each_shipped_extension_has_its_handle(name: str, ada: Profile, by: By) -> None:
    with pytest.raises(Refused) as refusal:
        add(ada, f"{name}:1", by=by)
    assert refused(refusal, name)

    assert add(ada, f"{name}:1", by=by, source=Extension.objects.get(slug=name)).source_id == name


@pytest.mark.parametrize(
    "change",
    [{"identifier": "77"}, {"is_active": False}, {"is_primary": True}, {"identifier": "6432187489345"}, {}],
    ids=["identifier", "deactivate", "primary", "the same again", "nothing"],
)
def test_only_the_extension_changes_or_deactivates_its_identities(
    change: dict[str, str | bool],
    identity: Identity,
    ada: Profile,
    bo: Profile,
    shopify: Extension,
    others: list[Extension | None],
    by: By,
) -> None:
    before = list(Identity.objects.order_by("pk").values())
    for writer in others:
        with pytest.raises(Refused) as refusal:
            routing.change(identity.pk, **change, by=by, source=writer)  # type: ignore[arg-type]
        assert refused(refusal)
    assert list(Identity.objects.order_by("pk").values()) == before

    changed = routing.change(identity.pk, **change, by=by, source=shopify)  # type: ignore[arg-type]

    assert all(getattr(changed, name) == value for name, value in change.items())
    assert Identity.objects.get(handle="shopify").pk == identity.pk


def test_nobody_else_activates_what_the_extension_deactivated(
    identity: Identity, shopify: Extension, others: list[Extension | None], by: By
) -> None:
    routing.change(identity.pk, is_active=False, by=by, source=shopify)

    for writer in others:
        with pytest.raises(Refused) as refusal:
            routing.change(identity.pk, is_active=True, by=by, source=writer)
        assert refused(refusal)

    assert routing.change(identity.pk, is_active=True, by=by, source=shopify).is_active


def test_only_the_extension_deletes_its_identities(
    identity: Identity, ada: Profile, bo: Profile, shopify: Extension, others: list[Extension | None], by: By
) -> None:
    for writer in others:
        with pytest.raises(Refused) as refusal:
            routing.remove(identity.pk, by=by, source=writer)
        assert refused(refusal)
    assert pairs_of(ada) == ["shopify:6432187489345"]

    routing.remove(identity.pk, by=by, source=shopify)

    assert pairs_of(ada) == []


def test_a_record_of_anybody_else_comes_without_the_reserved_pair(
    identity: Identity, ada: Profile, bo: Profile, shopify: Extension, others: list[Extension | None], by: By
) -> None:
    for position, writer in enumerate(others, 1):
        routed = route("shopify:6432187489345", f"pos:{position}", by=by, source=writer)
        assert (routed.outcome, routed.profile == ada) == ("created", False)
        assert [(one["handle"], one["code"]) for one in routed.refused] == [("shopify", "reserved_handle")]
        assert pairs_of(routed.profile) == [f"pos:{position}"]
    entries = RoutingLogEntry.objects.order_by("pk")
    assert [(entry.outcome, entry.code, entry.source_id) for entry in entries] == [
        ("refused", "reserved_handle", None),
        ("refused", "reserved_handle", "klaviyo"),
    ]

    routed = route("shopify:6432187489345", "pos:7", by=by, source=shopify)

    assert (routed.profile, routed.outcome, routed.refused) == (ada, "attached", [])


def test_a_deleted_profiles_reserved_pair_is_free_for_its_extension_only(
    identity: Identity, ada: Profile, ada_again: Profile, shopify: Extension, others: list[Extension | None], by: By
) -> None:
    releasing.delete(ada.pk, by=by)

    for writer in others:
        with pytest.raises(Refused) as refusal:
            add(ada_again, "shopify:6432187489345", by=by, source=writer)
        assert refused(refusal)
    taken_over = add(ada_again, "shopify:6432187489345", by=by, source=shopify)

    assert taken_over.pk == identity.pk


def test_a_move_carries_a_reserved_pair_along_and_reading_is_free(
    identity: Identity, ada: Profile, ada_again: Profile, bo: Profile, by: By
) -> None:
    moved = moving.move(identity.pk, to=ada_again.pk, reason="The same person", by=by).identity

    assert (moved.pk, moved.profile, moved.source_id) == (identity.pk, ada_again, "shopify")
    assert lookup.resolve([("shopify", "6432187489345")]) == [ada_again.pk]


def test_a_handle_claimed_later_is_reserved_from_then_on(
    ada: Profile, shopify: Extension, others: list[Extension | None], by: By
) -> None:
    card = add(ada, "loyalty-card:1804974", by=by)
    Handle.objects.filter(name="loyalty-card").update(reserved_for=shopify)

    for writer in others:
        with pytest.raises(Refused) as refusal:
            routing.change(card.pk, is_active=False, by=by, source=writer)
        assert refused(refusal)
    # Who wrote it first does not matter: the claim decides.
    routing.change(card.pk, is_active=False, by=by, source=shopify)


def test_an_interface_that_forgets_to_say_who_writes_is_refused(ada: Profile) -> None:
    for handle in ("shopify", "loyalty-card"):
        identity = Identity(profile=ada, handle_id=handle, identifier="1")
        with pytest.raises(ValidationError) as refusal:
            identity.clean()
        assert refusal.value.code == "writer_required"


def test_the_writer_counts_and_not_who_wrote_the_row_before(identity: Identity) -> None:
    stored = Identity.objects.get(pk=identity.pk)
    assert stored.source_id == "shopify"

    stored.writer = None

    with pytest.raises(ValidationError) as refusal:
        stored.clean()
    assert refusal.value.code == "reserved_handle"


def test_a_reserved_handle_spelled_otherwise_is_no_way_around(ada: Profile, by: By) -> None:
    for name in ("Shopify", "shop-ify", "SHOPIFY", "shop_ify", "shopify-"):
        with pytest.raises(Refused) as refusal:
            add(ada, Sent(name, "1"), by=by)
        assert (refusal.value.code, refusal.value.details) == ("unknown_handle", {"did_you_mean": ["shopify"]})
    with pytest.raises(Refused) as refusal:
        add(ada, " shopify :1", by=by)
    assert refused(refusal)
