"""The queue of duplicates over HTTP (API.md 5): list, read, dismiss, merge."""

from __future__ import annotations

import uuid
from functools import partial
from typing import Any

import pytest

from profiles import duplicates, merging
from profiles.auditing import By
from profiles.duplicates import Found
from profiles.models import DuplicatePair, Merge, Profile
from tests.api.conftest import CARD, conflict, not_found, refused
from tests.racing import at_once

pytestmark = pytest.mark.django_db

DETAILS = {"equal": ["first_name", "last_name", "birth_date"], "alike": [], "against": [], "swapped": False, "weight": 0.95}  # fmt: skip


@pytest.fixture
def again(api) -> dict[str, Any]:
    """The same person as Ada, known a second time."""
    profile: dict[str, Any] = api.profile(
        first_name="Ada", last_name="Lovelace", identities=[{"handle": "pos", "identifier": "7"}]
    )
    return profile


def key(profile: dict[str, Any]) -> uuid.UUID:
    return uuid.UUID(profile["id"])


def note(one: dict[str, Any], other: dict[str, Any], **seen: Any) -> int:
    """Put the two into the queue, and return the key of their pair."""
    duplicates.note([Found(key(one), key(other), seen or {"details": DETAILS})])
    first, second = sorted([key(one), key(other)])
    return DuplicatePair.objects.get(first=first, second=second).pk


def listed(api, **query: Any) -> list[int]:
    return [pair["id"] for pair in api.data("/duplicates", query)]


# Reading


def test_a_pair_says_who_may_be_whom_and_why(api, ada, again) -> None:
    pk = note(ada, again)

    pair = api.data(f"/duplicates/{pk}")

    times = pair.pop("created_at"), pair.pop("last_seen_at")
    assert times[0] == times[1]
    ids = sorted([ada["id"], again["id"]])
    assert pair == {
        "id": pk,
        "profile_ids": ids,
        "survivor_ids": ids,
        "status": "open",
        "score": 0.95,
        "evidence": {"details": DETAILS},
        "reasons": ["The same: first name, last name, birth date."],
        "note": "",
        "by": None,
        "decided_at": None,
    }
    (in_list,) = api.data("/duplicates")
    assert {**pair, "created_at": times[0], "last_seen_at": times[1]} == in_list


def test_a_conflict_comes_with_its_log_entry(api, ada, bo) -> None:
    api.post(
        "/profiles", {"identities": [{"handle": CARD, "identifier": "1804974"}, {"handle": CARD, "identifier": "77"}]}
    )

    (pair,) = api.data("/duplicates")

    (entry,) = pair["evidence"]["conflict"]
    assert api.data(f"/routing-log/{entry}")["candidates"] == sorted([ada["id"], bo["id"]])
    assert pair["reasons"] == [
        "Staff (operator) sent data that names two profiles; it went to Ada Lovelace, and Loyalty card 77 stayed with "
        "Bo Diaz."
    ]


def test_the_list_is_what_waits_for_a_decision_the_likeliest_first(api, ada, again, bo) -> None:
    weak, strong, decided = note(ada, bo, phone={}), note(ada, again), note(again, bo)
    api.post(f"/duplicates/{decided}/dismiss")

    assert listed(api) == listed(api, **{"filter[status]": "open"}) == [strong, weak]
    assert listed(api, sort="score") == [weak, strong]
    assert listed(api, sort="created_at") == [weak, strong]
    assert listed(api, **{"filter[status]": "dismissed"}) == [decided]
    assert listed(api, **{"filter[status]": "merged"}) == []
    assert listed(api, **{"filter[profile_id]": bo["id"]}) == [weak]
    assert listed(api, **{"filter[profile_id]": again["id"], "filter[status]": "dismissed"}) == [decided]


def test_nothing_of_a_deleted_profile_waits_for_a_decision(api, ada, again) -> None:
    note(ada, again)

    api.delete(f"/profiles/{again['id']}")

    assert listed(api) == []


def test_a_merged_profiles_id_means_its_survivor(api, ada, again, bo, nobody) -> None:
    pk = note(again, bo)
    accepted = note(ada, again)
    api.post(f"/duplicates/{accepted}/merge")

    assert (
        listed(api, **{"filter[profile_id]": again["id"]}) == listed(api, **{"filter[profile_id]": ada["id"]}) == [pk]
    )
    assert listed(api, **{"filter[profile_id]": nobody}) == []
    pair = api.data(f"/duplicates/{pk}")
    assert pair["profile_ids"] == sorted([again["id"], bo["id"]])
    assert pair["survivor_ids"] == sorted([ada["id"], bo["id"]])
    assert listed(api, **{"filter[profile_id]": again["id"], "filter[status]": "merged"}) == [accepted]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [("filter[status]", "unknown"), ("filter[status]", ""), ("filter[profile_id]", "7"), ("filter[score]", "1"), ("sort", "id")],
)  # fmt: skip
def test_a_filter_or_sort_that_the_list_does_not_have_is_refused(api, parameter, value) -> None:
    refused(api.get("/duplicates", {parameter: value}), "invalid", parameter)


def test_a_pair_that_is_not_there_is_404(api) -> None:
    for number in (7, 2**63, 2**80):
        not_found(api.get(f"/duplicates/{number}"))
        not_found(api.post(f"/duplicates/{number}/dismiss"))
        not_found(api.post(f"/duplicates/{number}/merge"))


def test_reading_takes_one_scope_and_deciding_another(caller, ada, again) -> None:
    pk = note(ada, again)
    reader, merger = caller("read-profiles"), caller("merge-profiles")

    assert reader.get("/duplicates").status_code == reader.get(f"/duplicates/{pk}").status_code == 200
    assert merger.get("/duplicates").status_code == merger.get(f"/duplicates/{pk}").status_code == 403
    for decide in ("dismiss", "merge"):
        assert reader.post(f"/duplicates/{pk}/{decide}").status_code == 403
        assert caller("update-profiles").post(f"/duplicates/{pk}/{decide}").status_code == 403
    assert DuplicatePair.objects.get().status == "open"
    assert merger.post(f"/duplicates/{pk}/dismiss").status_code == 200


# Not the same person


def test_a_dismissed_pair_is_not_offered_again_whatever_is_seen(api, ada, again) -> None:
    pk = note(ada, again)

    first = api.post(f"/duplicates/{pk}/dismiss", {"note": "Sisters."}).json()["data"]
    second = api.post(f"/duplicates/{pk}/dismiss", {"note": "Really."}).json()["data"]
    note(ada, again, email={})

    assert (first["status"], first["note"], first["by"]) == ("dismissed", "Sisters.", "operator")
    assert first["decided_at"] is not None
    assert second == first
    assert listed(api) == []
    (audit,) = api.data("/audits", {"filter[event]": "dismissed"})
    assert (audit["auditable_type"], audit["auditable_id"], audit["token_name"]) == (
        "duplicate_pair",
        pk,
        "Token of staff",
    )


def test_two_that_are_one_already_cannot_be_dismissed(api, ada, again) -> None:
    pk = note(ada, again)
    api.post(f"/duplicates/{pk}/merge")

    answer = conflict(api.post(f"/duplicates/{pk}/dismiss"), "already_merged")

    assert answer["survivor_id"] == ada["id"]


# One person


def test_the_two_of_a_pair_are_merged_into_the_one_that_was_created_first(api, ada, again, bo) -> None:
    pk, other = note(ada, again), note(again, bo)

    answer = api.post(f"/duplicates/{pk}/merge", {"reason": "She showed both cards."})

    assert answer.status_code == 200, answer.content
    merge = Merge.objects.get()
    assert answer.json()["merges"] == [merge.pk]
    assert (str(merge.survivor_id), str(merge.duplicate_id)) == (ada["id"], again["id"])
    assert merge.reason == "She showed both cards."
    data = answer.json()["data"]
    assert (data["id"], len(data["identities"])) == (ada["id"], 2)
    pair = api.data(f"/duplicates/{pk}")
    assert (pair["status"], pair["survivor_ids"], pair["by"]) == ("merged", [ada["id"]], "operator")
    assert listed(api) == [other]


def test_the_caller_may_say_which_one_stays_and_what_it_shows(api, ada, again) -> None:
    pk = note(ada, again)
    body = {"destination_profile_id": again["id"], "fields": {"first_name": "source", "last_name": ada["id"]}}

    data = api.post(f"/duplicates/{pk}/merge", body).json()["data"]

    assert data["id"] == again["id"]
    assert Merge.objects.get().fields["first_name"]["chosen"] is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"destination_profile_id": "BO"}, "destination_profile_id"),
        ({"destination_profile_id": 7}, "destination_profile_id"),
        ({"fields": {"first_name": "both"}}, "fields.first_name"),
        ({"handles": "pos"}, "handles"),
        ({"reason": "x" * 2_001}, "reason"),
    ],
)
def test_what_cannot_be_merged_so_is_refused_and_nothing_is_done(api, ada, again, bo, unchanged, body, field) -> None:
    pk = note(ada, again)
    named = {name: bo["id"] if value == "BO" else value for name, value in body.items()}

    with unchanged():
        refused(api.post(f"/duplicates/{pk}/merge", named), "invalid", field)


def test_a_locked_profile_is_not_merged(api, ada, again) -> None:
    pk = note(ada, again)
    Profile.objects.filter(pk=again["id"]).update(locked=True)

    conflict(api.post(f"/duplicates/{pk}/merge"), "profile_locked")

    assert listed(api) == [pk]


def test_of_three_one_pair_is_accepted_and_the_others_point_to_the_survivor(api, ada, again, bo) -> None:
    third = api.profile(first_name="Ada", last_name="Lovelace")
    first, second, both = note(ada, again), note(again, third), note(ada, third, phone={})

    api.post(f"/duplicates/{first}/merge")

    # Both of the others are of Ada and the third by now: the better one is offered, once.
    assert listed(api) == [second]
    pair = api.data(f"/duplicates/{second}")
    assert pair["survivor_ids"] == sorted([ada["id"], third["id"]])
    assert pair["reasons"] == [
        "The same: first name, last name, birth date.",
        "The secondary phone of one is the mobile phone of the other.",
    ]

    api.post(f"/duplicates/{both}/merge")

    assert listed(api) == []
    assert [api.data(f"/duplicates/{pk}")["status"] for pk in (first, second, both)] == ["merged"] * 3


def test_accepting_twice_is_a_no_op(api, ada, again, unchanged) -> None:
    pk = note(ada, again)
    first = api.post(f"/duplicates/{pk}/merge")

    with unchanged():
        second = api.post(f"/duplicates/{pk}/merge", {"destination_profile_id": again["id"]})

    assert second.status_code == 200
    assert second.json() == {"data": first.json()["data"], "merges": []}


def test_an_undone_merge_is_not_offered_again(api, ada, again, operator) -> None:
    pk = note(ada, again)
    api.post(f"/duplicates/{pk}/merge")

    merging.undo(Merge.objects.get().pk, reason="", by=By(operator))
    note(ada, again, email={})

    assert listed(api) == []
    pair = api.data(f"/duplicates/{pk}")
    assert (pair["status"], pair["survivor_ids"]) == ("dismissed", sorted([ada["id"], again["id"]]))


@pytest.mark.django_db(transaction=True)
def test_of_many_who_accept_at_once_one_merges_and_all_see_what_came_of_it(caller, operator) -> None:
    callers = [caller() for _ in range(4)]
    one, other = callers[0].profile(first_name="Ada"), callers[0].profile(first_name="Ada")
    pk = note(one, other)
    bodies = [{"destination_profile_id": which["id"]} for which in (one, other, one, other)]

    met = at_once(
        *(partial(each.post, f"/duplicates/{pk}/merge", body) for each, body in zip(callers, bodies, strict=True))
    )

    assert [answer.status_code for answer in met] == [200] * 4
    assert len({answer.json()["data"]["id"] for answer in met}) == 1
    assert sum(len(answer.json()["merges"]) for answer in met) == 1
    assert Merge.objects.count() == 1
