"""Staff look at what customers claim, and confirm or refuse it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from identities import claiming
from identities.models import Extension, Handle, Identity, IdentityClaim
from profiles.auditing import By
from profiles.models import Audit, Profile
from tests.cast import claim, claim_contact, claims_of, known, merge, pairs_of, sent, value_of
from tests.staff import rows, signed_in

pytestmark = pytest.mark.django_db

LIST = "admin:identities_identityclaim_changelist"


@pytest.fixture
def staff(operator: User) -> Client:
    return signed_in(operator)


@pytest.fixture
def ada(by: By) -> Profile:
    return known("pos-customer:1", by=by, first_name="Ada", last_name="Lovelace", email="ada@example.com")


def page(client: Client, name: str, row: IdentityClaim, **post: str) -> Any:
    url = reverse(f"admin:identities_identityclaim_{name}", args=[row.pk])
    return client.post(url, post, follow=True) if post else client.get(url)


def confirm(client: Client, row: IdentityClaim) -> Any:
    """Confirm what the page shows of this claim."""
    return page(client, "confirm", row, said_at=said_at(page(client, "confirm", row)))


def said_at(shown: Any) -> str:
    """When what a page shows was said, as its form says it."""
    found: list[str] = re.findall(r'name="said_at" value="([^"]+)"', text(shown))
    return found[0] if found else "?"


def text(response: Any) -> str:
    content: str = response.content.decode()
    return content


def test_the_list_shows_what_is_claimed_by_whom_and_who_has_it(
    staff: Client, ada: Profile, bo: Profile, shopify: Extension, by: By
) -> None:
    claiming.claim(ada.pk, sent("loyalty-card:777"), by=by, source=shopify)
    claim(ada, "loyalty-card:bo", by=by)

    shown = text(staff.get(reverse(LIST)))

    assert "777" in shown
    assert "Ada Lovelace" in shown
    assert "Shopify" in shown
    assert "nobody" in shown
    assert "another profile" in shown
    assert "Bo Diddley" in shown


def test_the_list_is_filtered_by_handle_and_by_source(staff: Client, ada: Profile, shopify: Extension, by: By) -> None:
    claim(ada, "loyalty-card:777", by=by)
    claiming.claim(ada.pk, sent("never-seen:1"), by=by, source=shopify)

    assert len(rows(staff.get(reverse(LIST)))) == 2
    assert len(rows(staff.get(reverse(LIST), {"handle": "loyalty-card"}))) == 1
    assert len(rows(staff.get(reverse(LIST), {"handle": "never-seen"}))) == 1
    assert len(rows(staff.get(reverse(LIST), {"source": "shopify"}))) == 1
    assert len(rows(staff.get(reverse(LIST), {"source": "staff"}))) == 1


def test_a_sensitive_claim_is_masked_everywhere(staff: Client, ada: Profile, by: By) -> None:
    Handle.objects.filter(pk="loyalty-card").update(sensitive=True)
    row = claim(ada, "loyalty-card:18049741804974", by=by)

    for response in (
        staff.get(reverse(LIST)),
        page(staff, "change", row),
        page(staff, "confirm", row),
        page(staff, "refuse", row),
        staff.get(reverse("admin:profiles_profile_change", args=[ada.pk])),
    ):
        assert "8049741804974" not in text(response)
        assert "•••4974" in text(response)


def test_it_asks_before_it_confirms(staff: Client, ada: Profile, bo: Profile, by: By) -> None:
    row = claim(ada, "never-seen:1", by=by)
    claim(bo, "never-seen:1", by=by)

    shown = text(page(staff, "confirm", row))

    assert "Ada Lovelace" in shown
    assert "says that never-seen 1 is theirs" in shown
    assert "1 other profile claims it too" in shown
    assert "not in the catalogue yet" in shown
    assert claims_of(ada) == ["never-seen:1"]


def test_confirming_makes_it_an_identity_and_leads_to_the_profile(
    staff: Client, ada: Profile, operator: User, by: By
) -> None:
    row = claim(ada, "loyalty-card:777", by=by)

    response = confirm(staff, row)

    assert pairs_of(ada) == ["email:ada@example.com", "loyalty-card:777", "pos-customer:1"]
    assert claims_of(ada) == []
    assert response.redirect_chain[-1][0] == reverse("admin:profiles_profile_change", args=[ada.pk])
    identity = Identity.objects.get(handle="loyalty-card")
    assert "Confirmed: loyalty-card 777 is an identity of" in text(response)
    assert reverse("admin:identities_identity_delete", args=[identity.pk]) in text(response)
    assert Audit.objects.get(auditable_type="identity_claim", event="confirmed").by == operator


def test_confirming_an_address_tells_what_it_replaces(staff: Client, ada: Profile, by: By) -> None:
    claim_contact(ada, by=by, email="new@example.com")
    row = IdentityClaim.objects.get()

    assert "ada@example.com, which the profile shows now, is deleted" in text(page(staff, "confirm", row))
    confirm(staff, row)

    assert value_of(ada, "email") == "new@example.com"


def test_an_address_of_the_other_side_of_a_merge_is_not_told_to_be_replaced(
    staff: Client, ada: Profile, by: By
) -> None:
    cy = known("pos-customer:3", by=by)
    merge(ada, cy, by=by)
    claim_contact(cy, by=by, email="new@example.com")
    row = IdentityClaim.objects.get()

    assert "is deleted" not in text(page(staff, "confirm", row))
    confirm(staff, row)

    assert value_of(ada, "email") == "new@example.com"
    assert {"email:ada@example.com", "email:new@example.com"} <= set(pairs_of(ada))


@pytest.mark.parametrize("is_seen_first", [True, False])
def test_nothing_is_confirmed_that_the_customer_said_after_the_page_was_shown(
    staff: Client, ada: Profile, is_seen_first: bool, by: By
) -> None:
    row = claim(ada, "loyalty-card:777", by=by)
    seen = said_at(page(staff, "confirm", row)) if is_seen_first else ""
    claiming.change(row.pk, of=ada.pk, identifier="888", by=by)

    response = page(staff, "confirm", row, said_at=seen)

    assert "The customer says something else by now" in text(response)
    assert "says that loyalty-card 888 is theirs" in text(response)
    assert claims_of(ada) == ["loyalty-card:888"]
    confirm(staff, row)
    assert "loyalty-card:888" in pairs_of(ada)


def test_what_another_has_is_not_offered_for_confirmation(staff: Client, ada: Profile, bo: Profile, by: By) -> None:
    row = claim(ada, "loyalty-card:bo", by=by)

    shown = text(page(staff, "change", row))
    asked = page(staff, "confirm", row)

    assert reverse("admin:identities_identityclaim_confirm", args=[row.pk]) not in shown
    assert reverse("admin:identities_identityclaim_refuse", args=[row.pk]) in shown
    assert "has this identity. If both are one person, merge the two" in text(asked)
    confirm(staff, row)
    assert claims_of(ada) == ["loyalty-card:bo"]


def test_refusing_keeps_the_reason_in_the_audit(staff: Client, ada: Profile, by: By) -> None:
    row = claim(ada, "loyalty-card:777", by=by)

    asked = page(staff, "refuse", row)
    response = page(staff, "refuse", row, reason="The card was lost.", said_at=said_at(asked))

    assert "The claim is deleted" in text(asked)
    assert claims_of(ada) == []
    assert "no longer claims loyalty-card 777" in text(response)
    assert Audit.objects.get(event="refused").new_values == {"reason": "The card was lost."}


@pytest.mark.parametrize("is_seen_first", [True, False])
def test_nothing_is_refused_that_the_customer_said_after_the_page_was_shown(
    staff: Client, ada: Profile, is_seen_first: bool, by: By
) -> None:
    row = claim(ada, "loyalty-card:777", by=by)
    seen = said_at(page(staff, "refuse", row)) if is_seen_first else ""
    claiming.change(row.pk, of=ada.pk, identifier="888", by=by)

    response = page(staff, "refuse", row, reason="Not theirs.", said_at=seen)

    assert "The customer says something else by now" in text(response)
    assert claims_of(ada) == ["loyalty-card:888"]


def test_the_page_of_what_was_decided_meanwhile_is_gone(staff: Client, ada: Profile, by: By) -> None:
    row = claim(ada, "loyalty-card:777", by=by)
    claiming.refuse(row.pk, by=by)

    for name in ("confirm", "refuse"):
        assert staff.post(reverse(f"admin:identities_identityclaim_{name}", args=[row.pk])).status_code == 404


def test_a_reader_sees_claims_and_decides_none(reader: User, ada: Profile, by: By) -> None:
    row = claim(ada, "loyalty-card:777", by=by)
    client = signed_in(reader)

    shown = text(page(client, "change", row)) + text(
        client.get(reverse("admin:profiles_profile_change", args=[ada.pk]))
    )

    assert "777" in shown
    for name in ("confirm", "refuse"):
        url = reverse(f"admin:identities_identityclaim_{name}", args=[row.pk])
        assert url not in shown
        assert client.get(url).status_code == client.post(url).status_code == 403


def test_the_page_of_a_profile_shows_what_its_customer_says(staff: Client, ada: Profile, bo: Profile, by: By) -> None:
    url = reverse("admin:profiles_profile_change", args=[ada.pk])
    assert "What the customer says" not in text(staff.get(url))

    claim(ada, "loyalty-card:bo", by=by)
    claim(ada, "loyalty-card:777", by=by)
    claim_contact(ada, by=by, email="New@Example.com")
    shown = text(staff.get(url))

    assert "What the customer says" in shown
    assert "New@Example.com" in shown
    for row in IdentityClaim.objects.all():
        offered = reverse("admin:identities_identityclaim_confirm", args=[row.pk]) in shown
        assert offered == (row.identifier != "bo")
        assert reverse("admin:identities_identityclaim_refuse", args=[row.pk]) in shown


def test_the_page_of_a_profile_costs_the_same_for_one_claim_and_for_many(staff: Client, ada: Profile, by: By) -> None:
    url = reverse("admin:profiles_profile_change", args=[ada.pk])
    claim(ada, "loyalty-card:1", by=by)
    with CaptureQueriesContext(connection) as few:
        staff.get(url)
    for number in range(2, 20):
        claim(ada, f"loyalty-card:{number}", by=by)
    with CaptureQueriesContext(connection) as many:
        staff.get(url)

    assert len(few) == len(many)


def test_no_search_of_the_admin_finds_a_claim(staff: Client, ada: Profile, by: By) -> None:
    claim(ada, "loyalty-card:777", by=by)
    claim_contact(ada, by=by, email="new@example.com")

    for term in ("777", "new@example.com"):
        assert "Ada Lovelace" not in text(staff.get(reverse("admin:search"), {"q": term}))
        assert rows(staff.get(reverse("admin:profiles_profile_changelist"), {"q": term})) == []
        assert rows(staff.get(reverse("admin:identities_identity_changelist"), {"q": term})) == []
