"""A family's tablet and its one e-mail address: two who log in on one device never become one person."""

from __future__ import annotations

import pytest

from identities.models import Handle, Identity, RoutingLogEntry
from profiles.models import DuplicatePair, Merge, Profile
from tests.api.conftest import Caller, sale, visit

pytestmark = pytest.mark.django_db

TABLET = "web-visitor:tablet-in-the-kitchen"
ADA, BO = "pos-customer:1", "pos-customer:2"


@pytest.fixture(autouse=True)
def logins_are_trusted(db: None) -> None:
    """Everybody has one login and is who they say, so that profiles may merge by themselves where logins disagree."""
    Handle.objects.filter(name="pos-customer").update(single_valued=True, auto_merge=True)


def merged() -> int:
    return Profile.objects.exclude(merged_into=None).count() + Merge.objects.count()


def test_two_who_log_in_on_one_device_stay_two_and_the_log_says_so(api: Caller) -> None:
    # Somebody looks around before logging in; the tablet is all that is known of them. Then Ada logs in.
    before = api.record("interactions", visit(TABLET))
    ada = api.record("interactions", visit(TABLET, ADA))
    assert ada["profile_id"] == before["profile_id"], "The first who logs in is whoever was there."
    # Bo has a login of his own, and uses the tablet, too.
    bo = api.record("interactions", visit(BO))
    on_the_tablet = api.record("interactions", visit(BO, TABLET))

    assert (on_the_tablet["routing"]["outcome"], merged()) == ("conflict", 0)
    entry = RoutingLogEntry.objects.get(pk=on_the_tablet["routing"]["log_entry_id"])
    assert {str(one) for one in entry.candidates} == {ada["profile_id"], bo["profile_id"]}
    assert entry.review_status == "open"
    pair = DuplicatePair.objects.get()
    assert ({str(pair.low_id), str(pair.high_id)}, pair.status) == ({ada["profile_id"], bo["profile_id"]}, "open")
    assert Identity.objects.get(handle="web-visitor").profile_id == Profile.objects.get(pk=ada["profile_id"]).pk


def test_what_each_of_them_does_goes_to_each_where_logins_count_for_more_than_the_device(api: Caller) -> None:
    Handle.objects.filter(name="pos-customer").update(priority=10)
    ada = api.record("interactions", visit(TABLET, ADA))["profile_id"]
    bo = api.record("interactions", visit(BO))["profile_id"]

    days = [api.record("interactions", visit(login, TABLET))["profile_id"] for login in (ADA, BO, ADA, BO, BO)]

    assert days == [ada, bo, ada, bo, bo]
    assert merged() == 0
    seen = RoutingLogEntry.objects.get(outcome="conflict")
    assert seen.occurrences == 3, "The same again counts up, and does not flood the log."


def test_one_who_has_never_logged_in_anywhere_else_does_not_join_the_other_either(api: Caller) -> None:
    ada = api.record("interactions", visit(TABLET, ADA))["profile_id"]

    first = api.record("interactions", visit(BO, TABLET))
    # The tablet names Ada, who has a login: a second one is not hers.
    assert (first["profile_id"], [one["code"] for one in first["routing"]["refused"]]) == (
        ada,
        ["too_many_identities"],
    )
    entry = RoutingLogEntry.objects.get(pk=first["routing"]["log_entry_id"])
    assert (entry.outcome, entry.handle, entry.identifier) == ("refused", "pos-customer", "2")
    at_the_till = api.record("transactions", sale(BO))

    assert at_the_till["profile_id"] != ada
    assert api.record("interactions", visit(BO, TABLET))["routing"]["outcome"] == "conflict"
    assert merged() == 0


def test_whoever_uses_it_without_a_login_is_always_the_same_somebody(api: Caller) -> None:
    ada = api.record("interactions", visit(TABLET, ADA))["profile_id"]
    others = [api.record("interactions", visit(login))["profile_id"] for login in (BO, "pos-customer:3")]

    nameless = []
    for login in (BO, "pos-customer:3", ADA, BO):
        nameless.append(api.record("interactions", visit(TABLET))["profile_id"])
        api.record("interactions", visit(login, TABLET))
    nameless.append(api.record("interactions", visit(TABLET))["profile_id"])

    assert set(nameless) == {ada}
    assert ada not in others
    assert merged() == 0


def test_one_address_for_a_household_brings_nobody_together(api: Caller) -> None:
    home = "email:family@example.com"
    Handle.objects.filter(name="loyalty-card").update(auto_merge=True)
    ada = api.record("transactions", sale(ADA, home))
    bo = api.record("transactions", sale(BO))

    both = [api.record("transactions", sale(BO, home)) for _time in range(2)]
    new = api.record("transactions", sale("loyalty-card:9", home))
    later = api.record("transactions", sale("loyalty-card:9", BO))

    assert {(one["profile_id"], one["routing"]["outcome"]) for one in both} == {(bo["profile_id"], "conflict")}
    # By the address alone the card went to Ada. It proves nothing, so Bo's login and it make nobody one.
    assert (new["profile_id"], later["routing"]["outcome"]) == (ada["profile_id"], "conflict")
    assert Identity.objects.get(handle="loyalty-card").by_contact
    assert merged() == 0
    assert not RoutingLogEntry.objects.exclude(review_status="open").exists()
    refused = api.put(f"/profiles/{bo['profile_id']}", {"email": "family@example.com"})
    assert refused.json()["errors"] == {"email": ["The email exists"]}
