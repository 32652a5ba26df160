"""Nine days of somebody who looks after the data: two that are one, one that is two, and what comes of a mistake."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from identities import batching, cataloguing, parting, sending
from identities.models import BlockedIdentifier, Identity, RoutingLogEntry
from profiles import duplicates, merging
from profiles.auditing import By
from profiles.models import Audit, DuplicatePair, Merge, Profile
from profiles.tasks import read
from tests.api.conftest import Caller, sale
from tests.staff import signed_in

pytestmark = pytest.mark.django_db

ADAS, AGAIN, BOS = "loyalty-card:1804974", "pos-customer:9", "loyalty-card:77"


@pytest.fixture
def again(api: Caller, ada: dict[str, Any]) -> dict[str, Any]:
    """Ada, known a second time: a till that did not ask for her card has made a customer of its own of her."""
    return api.profile(
        first_name="A.", last_name="Lovelace", identities=[{"handle": "pos-customer", "identifier": "9"}]
    )


@pytest.fixture
def desk(by: By) -> Client:
    return signed_in(by.user)


def identity(pair: str) -> Identity:
    handle, _colon, identifier = pair.partition(":")
    return Identity.objects.get(handle=handle, identifier=identifier)


def merge(survivor: dict[str, Any], duplicate: dict[str, Any], *, by: By, reason: str = "") -> Merge:
    (one,) = merging.merge(key(survivor), [key(duplicate)], reason=reason, by=by).merges
    return one


def key(profile: dict[str, Any]) -> uuid.UUID:
    return uuid.UUID(profile["id"])


def spent(api: Caller, profile_id: Any) -> Any:
    """What somebody has spent, as a report adds it up."""
    sales = api.data(f"/profiles/{profile_id}/transactions", {"page[size]": 200})
    total: float = sum(one["total"] for one in sales)
    return round(total, 2)


def entry_of(answer: dict[str, Any]) -> RoutingLogEntry:
    return RoutingLogEntry.objects.get(pk=answer["routing"]["log_entry_id"])


def test_1_one_person_was_two_and_becomes_one(
    api: Caller, ada: dict[str, Any], again: dict[str, Any], bo: dict[str, Any], by: By
) -> None:
    mine = api.record("transactions", sale(ADAS, total=10))
    hers = api.record("transactions", sale(AGAIN, total=5))
    both = api.record("transactions", sale(ADAS, AGAIN, total=1))
    assert both["routing"]["outcome"] == "conflict"

    merge(ada, again, reason="She showed her passport.", by=by)

    assert {one["id"] for one in api.data(f"/profiles/{ada['id']}/transactions")} == {
        one["id"] for one in (mine, hers, both)
    }
    assert api.data(f"/profiles/{again['id']}")["id"] == ada["id"], "Her other number, and id, still find her."
    assert api.record("transactions", sale(AGAIN))["profile_id"] == ada["id"]
    assert Profile.objects.get(pk=again["id"]).first_name == "A.", "What she was called there is kept."
    assert (entry_of(both).review_status, entry_of(both).review_note) == ("reviewed", "merged")
    assert not duplicates.offered().exists()


def test_2_an_address_of_a_team_has_glued_two_people_and_they_part(
    api: Caller, ada: dict[str, Any], bo: dict[str, Any], by: By
) -> None:
    # Ada has given the address of her team. A colleague buys with it, and her own card joins Ada's profile by that.
    api.put(f"/profiles/{ada['id']}", {"email": "team@example.com"})
    glued = api.record("transactions", sale("email:team@example.com", "staff-number:5", total=80))
    later = api.record("transactions", sale("staff-number:5", total=20))
    assert {glued["profile_id"], later["profile_id"]} == {ada["id"]}

    split = merging.split(key(ada), [identity("staff-number:5").pk], reason="A colleague.", by=by)
    blocked = {"value": "team@example.com", "handle_id": "email", "reason": "Many read it."}
    cataloguing.block({**blocked, "kind": "exact"}, by=by)

    assert split.profile is not None
    colleague = str(split.profile.pk)
    # What her number brought goes with her. The first sale, which the address brought, is moved with a look at it.
    assert [one["id"] for one in api.data(f"/profiles/{colleague}/transactions")] == [later["id"]]
    api.post(f"/transactions/{glued['id']}/move", {"profile_id": colleague, "reason": "Her number is on it."})
    assert (spent(api, colleague), spent(api, ada["id"])) == (100, 0)
    # From now on the address names nobody, and she is who her number says.
    again = api.record("transactions", sale("email:team@example.com", "staff-number:5"))
    assert (again["profile_id"], [one["code"] for one in again["routing"]["refused"]]) == (
        colleague,
        ["blocked_identifier"],
    )
    newcomer = api.record("transactions", sale("email:team@example.com", "staff-number:6"))
    assert newcomer["profile_id"] not in (ada["id"], colleague)


def test_3_a_newcomer_is_claimed_by_two_and_waits_for_a_person(
    api: Caller, ada: dict[str, Any], bo: dict[str, Any], by: By
) -> None:
    contested = api.record("transactions", sale(ADAS, BOS, "web-visitor:slk-7"))
    entry = entry_of(contested)
    assert contested["routing"]["outcome"] == "conflict"
    assert {str(one) for one in sending.candidates(entry)} == {ada["id"], bo["id"]}
    (pair,) = duplicates.offered()
    assert {str(pair.low_id), str(pair.high_id)} == {ada["id"], bo["id"]}

    sending.send(entry.pk, to=key(bo), note="Bo's desk.", by=by)

    assert str(identity("web-visitor:slk-7").profile_id) == bo["id"]
    assert api.record("transactions", sale("web-visitor:slk-7"))["profile_id"] == bo["id"]
    entry.refresh_from_db()
    assert (entry.review_status, entry.review_note) == ("reviewed", "Bo's desk.")


def test_4_two_who_look_alike_are_confirmed_as_two(
    desk: Client, api: Caller, ada: dict[str, Any], again: dict[str, Any], bo: dict[str, Any]
) -> None:
    entry = entry_of(api.record("transactions", sale(ADAS, AGAIN)))
    assert duplicates.offered().count() == 1

    url = reverse("admin:identities_routinglogentry_part", args=[entry.pk])
    desk.post(url, {"note": "Mother and daughter of one name."})

    entry.refresh_from_db()
    assert (entry.review_status, entry.review_note) == ("dismissed", "Mother and daughter of one name.")
    assert not duplicates.offered().exists()
    # The same comes in again: it is logged, and nobody is asked a second time whether they are one.
    more = api.record("transactions", sale(ADAS, AGAIN))
    assert (more["routing"]["outcome"], entry_of(more).pk == entry.pk) == ("conflict", False)
    assert not duplicates.offered().exists()
    assert DuplicatePair.objects.get().note == "Mother and daughter of one name."


def test_5_what_is_nobody_is_kept_out(api: Caller, ada: dict[str, Any], bo: dict[str, Any], by: By) -> None:
    # A robot that tests the shop every night.
    robot = [api.record("transactions", sale("pos-customer:robot", ADAS)) for _time in range(2)]
    assert {one["profile_id"] for one in robot} == {ada["id"]}

    cataloguing.block({"value": "robot", "kind": "exact", "reason": "Tests the shop."}, by=by)
    api.delete(f"/profiles/{ada['id']}/identities/id/{identity('pos-customer:robot').pk}")

    alone = api.record("transactions", sale("pos-customer:robot"))
    assert (alone["profile_id"], alone["routing"]["outcome"]) == (None, "anonymous")
    beside = api.record("transactions", sale("pos-customer:robot", BOS))
    assert (beside["profile_id"], beside["routing"]["outcome"]) == (bo["id"], "matched")
    assert not RoutingLogEntry.objects.filter(outcome="conflict").exists()
    assert not duplicates.offered().exists()
    # It can be let in again.
    cataloguing.change_blocked(BlockedIdentifier.objects.get(value="robot"), {"enabled": False}, by=by)
    assert api.record("transactions", sale("pos-customer:robot"))["profile_id"] is not None


def test_6_running_everything_again_breaks_nothing_that_was_decided(
    api: Caller, ada: dict[str, Any], again: dict[str, Any], bo: dict[str, Any], by: By
) -> None:
    sales = [
        sale(ADAS, external_id="R1"), sale(AGAIN, external_id="R2"), sale(ADAS, AGAIN, external_id="R3"),
        sale(ADAS, BOS, "web-visitor:7", external_id="R4"), sale(BOS, external_id="R5"),
    ]  # fmt: skip
    known = [{"identities": [{"handle": "loyalty-card", "identifier": number}]} for number in ("1804974", "77")]

    def run() -> None:
        for one in sales:
            assert api.post("/transactions/update-create", one).status_code in (200, 201)
        batch = batching.queue("loyalty-card", known, by=by, source=None)
        batching.bring_in(batch.pk, read=read, stop=lambda: False, give_up=True)

    def standing() -> Any:
        return (
            {one["external_id"]: one["profile_id"] for one in api.data("/transactions", {"page[size]": 200})},
            sorted(Identity.objects.values_list("handle", "identifier", "profile", "is_active")),
            sorted(Profile.objects.values_list("pk", "merged_into", "profile_type")),
            sorted(DuplicatePair.objects.values_list("low", "high", "status")),
        )

    run()
    merge(ada, again, by=by)
    doubtful = RoutingLogEntry.objects.get(review_status="open", outcome="conflict")
    sending.send(doubtful.pk, to=key(bo), note="Bo's.", by=by)
    parting.part(doubtful.pk, note="Two people.", by=by)
    decided = standing()

    for _time in range(3):
        run()

    assert standing() == decided
    assert decided[0]["R4"] == bo["id"]
    assert decided[0]["R2"] == ada["id"]


def test_7_a_conflict_that_nobody_has_decided_is_told_from_one_that_somebody_has(
    api: Caller, ada: dict[str, Any], again: dict[str, Any], bo: dict[str, Any], by: By
) -> None:
    """The rows look the same: two profiles, one number that leads to both. Who decided makes the difference."""
    left_alone = entry_of(api.record("transactions", sale(ADAS, AGAIN)))
    decided = entry_of(api.record("transactions", sale(ADAS, BOS)))
    parting.part(decided.pk, note="Two people.", by=by)

    for _time in range(2):
        api.record("transactions", sale(ADAS, AGAIN))
        api.record("transactions", sale(ADAS, BOS))

    (offered,) = duplicates.offered()
    assert {str(offered.low_id), str(offered.high_id)} == {ada["id"], again["id"]}
    assert (offered.by, offered.status) == (None, "open")
    left_alone.refresh_from_db()
    assert (left_alone.review_status, left_alone.occurrences) == ("open", 3)
    dismissed = DuplicatePair.objects.get(status="dismissed")
    assert ({str(dismissed.low_id), str(dismissed.high_id)}, dismissed.by) == ({ada["id"], bo["id"]}, by.user)


def test_8_a_mistake_is_taken_back_and_both_decisions_stay_in_the_history(
    api: Caller, ada: dict[str, Any], again: dict[str, Any], bo: dict[str, Any], by: By
) -> None:
    entry = entry_of(api.record("transactions", sale(ADAS, BOS, total=1)))
    api.record("transactions", sale(BOS, total=5))
    merge(ada, bo, reason="They seemed to be one.", by=by)
    # Meanwhile both go on buying.
    api.record("transactions", sale(BOS, total=7))
    api.record("transactions", sale(ADAS, total=11))
    assert spent(api, ada["id"]) == 24

    merging.undo(Merge.objects.get().pk, reason="Two people, after all.", by=by)

    assert (spent(api, ada["id"]), spent(api, bo["id"])) == (12, 12)
    entry.refresh_from_db()
    assert (entry.review_status, entry.review_note) == ("reviewed", "merged, undone")
    merged = Merge.objects.get()
    assert (merged.reason, merged.undo_reason) == ("They seemed to be one.", "Two people, after all.")
    assert (merged.by, merged.undone_by) == (by.user, by.user)
    history = Audit.objects.filter(profile=ada["id"], event__in=["merged", "unmerged"]).order_by("pk")
    assert [one.event for one in history] == ["merged", "unmerged"]
    assert duplicates.is_dismissed(key(ada), key(bo))


def test_9_what_was_counted_for_the_wrong_person_counts_for_the_right_one_also_of_the_past(
    api: Caller, ada: dict[str, Any], again: dict[str, Any], bo: dict[str, Any], by: By
) -> None:
    for month, total in (("2026-09", 100), ("2026-10", 50)):
        api.record("transactions", sale(AGAIN, total=total, transacted_at=f"{month}-01 12:00:00"))
    api.record("transactions", sale(ADAS, total=10, transacted_at="2026-08-01 12:00:00"))
    points = {"value_initial": 30, "issued_at": "2026-10-01 00:00:00"}
    api.record("points", {**points, "identities": [{"handle": "pos-customer", "identifier": "9"}]})
    assert (spent(api, ada["id"]), spent(api, again["id"])) == (10, 150)

    merged = merge(ada, again, by=by)

    assert spent(api, ada["id"]) == 160
    assert api.data(f"/profiles/{ada['id']}/balances")["point_balance"] == 30
    months = {one["transacted_at"][:7] for one in api.data(f"/profiles/{ada['id']}/transactions")}
    assert months == {"2026-08", "2026-09", "2026-10"}

    merging.undo(merged.pk, by=by)

    assert (spent(api, ada["id"]), spent(api, again["id"])) == (10, 150)
    assert api.data(f"/profiles/{again['id']}/balances")["point_balance"] == 30
