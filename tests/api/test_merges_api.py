"""GET /merges, and the undo of a merge with its preview (API.md 5)."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from identities import moving_records
from identities.models import Handle, Identity
from profiles.models import Merge, Transaction
from tests.api.conftest import CARD, Caller, conflict, not_found, refused, sale

pytestmark = pytest.mark.django_db


@pytest.fixture
def again(api: Caller) -> dict[str, Any]:
    """Ada, known a second time."""
    return api.profile(
        first_name="Augusta",
        gender="female",
        email="augusta@example.com",
        custom_attributes={"size": {"shoe": 38}},
        identities=[{"handle": CARD, "identifier": "1804975", "is_primary": True}],
    )


def merge(api: Caller, source: dict[str, Any], destination: dict[str, Any], **more: Any) -> int:
    """Merge, and read the key of the merge."""
    body = {"source_profile_id": source["id"], "destination_profile_id": destination["id"], **more}
    response = api.post("/profiles/merge", body)
    assert response.status_code == 200, response.content
    key: int = response.json()["merges"][0]
    return key


def undo(api: Caller, key: int, **body: Any) -> Any:
    response = api.post(f"/merges/{key}/undo", body)
    assert response.status_code == 200, response.content
    return response.json()["data"]


# Reading


def test_merges_are_listed_the_newest_first(api, ada, again, bo) -> None:
    first, second = merge(api, again, ada, reason="One person"), merge(api, ada, bo)

    listed = api.get("/merges").json()

    assert [one["id"] for one in listed["data"]] == [second, first]
    assert listed["meta"]["total"] == 2
    one = listed["data"][1]
    assert one == {
        "id": first,
        "survivor_id": ada["id"],
        "duplicate_id": again["id"],
        "cause": "asked",
        "reason": "One person",
        "by": "operator",
        "at": one["at"],
        "undone_by": None,
        "undone_at": None,
        "undo_reason": "",
    }
    assert [row["id"] for row in api.data("/merges", {"sort": "id"})] == [first, second]


def test_merges_are_filtered_by_the_ids_that_they_name(api, ada, again, bo, nobody) -> None:
    first, second = merge(api, again, ada), merge(api, ada, bo)
    day = api.data(f"/merges/{first}")["at"][:10]

    for query, found in (
        ({"filter[survivor]": ada["id"]}, [first]),
        ({"filter[survivor]": bo["id"]}, [second]),
        ({"filter[duplicate]": ada["id"]}, [second]),
        ({"filter[duplicate]": again["id"], "filter[survivor]": ada["id"]}, [first]),
        ({"filter[duplicate]": again["id"], "filter[survivor]": bo["id"]}, []),
        ({"filter[survivor]": nobody}, []),
        ({"filter[at][gte]": day}, [second, first]),
        ({"filter[at][lt]": day}, []),
    ):
        assert [row["id"] for row in api.data("/merges", query)] == found, query
    undo(api, second)
    for word, found in (("1", [second]), ("0", [first])):
        assert [row["id"] for row in api.data("/merges", {"filter[undone]": word})] == found
    refused(api.get("/merges", {"filter[undone]": "yes"}), "invalid", "filter[undone]")
    refused(api.get("/merges", {"filter[survivor]": "Ada"}), "invalid", "filter[survivor]")
    refused(api.get("/merges", {"filter[profile]": ada["id"]}), "invalid", "filter[profile]")


def test_a_merge_tells_what_it_took(api, ada, again, bo) -> None:
    api.record("transactions", sale(f"{CARD}:1804975"))
    key = merge(api, again, ada, fields={"first_name": "source"})

    told = api.data(f"/merges/{key}")

    assert {name: told[name] for name in ("id", "survivor_id", "duplicate_id", "undo")} == {
        "id": key,
        "survivor_id": ada["id"],
        "duplicate_id": again["id"],
        "undo": None,
    }
    assert told["moved"] == {"identity": 2, "transaction": 1, "interaction": 0, "point": 0, "reward": 0}
    fields = {one["field"]: one for one in told["fields"]}
    assert fields["first_name"] == {
        "field": "first_name",
        "former": "Ada",
        "former_profile_id": ada["id"],
        "adopted": "Augusta",
        "adopted_profile_id": again["id"],
        "chosen": True,
    }
    taken = {name: (one["former"], one["adopted"]) for name, one in fields.items()}
    assert taken == {
        "first_name": ("Ada", "Augusta"),
        "gender": (None, "female"),
        "custom_attributes.size:shoe": (None, 38),
        "external_id": (None, "1804975"),
    }
    not_found(api.get(f"/merges/{key + 1}"))
    not_found(api.get(f"/merges/{10**30}"))


# Undo


def test_undo_answers_with_both_profiles_and_what_it_did(api, ada, again, bo) -> None:
    sold = api.record("transactions", sale(f"{CARD}:1804975"))
    key = merge(api, again, ada)
    since = api.record("transactions", sale(profile_id=again["id"]))
    assert since["profile_id"] == ada["id"]

    data = undo(api, key, reason="Mother and daughter")

    assert without_times(data["survivor"]) == without_times(ada)
    assert without_times(data["duplicate"]) == without_times(again)
    assert data["duplicate"] == api.data(f"/profiles/{again['id']}")
    assert (data["merge"]["undone_by"], data["merge"]["undo_reason"]) == ("operator", "Mother and daughter")
    assert data["merge"]["undone_at"]
    report = data["report"]
    assert report["rows"] == {
        "identity": {"home": 2, "since": 0, "moved": 0, "deleted": 0},
        "transaction": {"home": 2, "since": 1, "moved": 0, "deleted": 0},
    }
    restored = {one["field"]: (one["profile_id"], one["former"], one["value"]) for one in report["restored"]}
    assert restored == {
        "gender": (ada["id"], "female", None),
        "custom_attributes.size:shoe": (ada["id"], 38, None),
        "external_id": (ada["id"], "1804975", None),
    }
    assert [report[name] for name in ("kept", "left", "contacts_changed", "reactivated", "inactive")] == [[]] * 5
    assert [one["id"] for one in api.data(f"/profiles/{again['id']}/transactions")] == [since["id"], sold["id"]]
    assert "Content-Location" not in api.get(f"/profiles/{again['id']}")


def without_times(profile: dict[str, Any]) -> dict[str, Any]:
    """What of a profile has to be as it was."""
    identities = [{**one, "updated_at": ""} for one in profile["identities"]]
    return {**profile, "updated_at": "", "identities": identities}


def test_what_stays_is_reported(api, ada, again, bo, by) -> None:
    sold, gone = (api.record("transactions", sale(f"{CARD}:1804975")) for _time in range(2))
    key = merge(api, again, ada)
    moving_records.move_record(Transaction, sold["id"], to=None, reason="", by=by)
    api.delete(f"/transactions/{gone['id']}")
    api.put(f"/profiles/{ada['id']}", {"gender": "x", "email": "augusta@example.com"})

    report = undo(api, key)["report"]

    assert report["rows"]["transaction"] == {"home": 0, "since": 0, "moved": 1, "deleted": 1}
    assert report["left"] == [
        {"kind": "transaction", "id": sold["id"], "why": "moved", "profile_id": None},
        {"kind": "transaction", "id": gone["id"], "why": "deleted", "profile_id": None},
    ]
    assert report["kept"] == [{"profile_id": ada["id"], "field": "gender", "value": "x"}]
    assert report["contacts_changed"] == [{"profile_id": ada["id"], "field": "email"}]
    kept = api.data(f"/merges/{key}")["undo"]
    assert kept["kept"] == [{"profile_id": ada["id"], "field": "gender"}]
    assert kept["rows"] == report["rows"]
    assert kept["left"] == report["left"]


def test_an_identity_that_made_way_is_active_again_or_said_not_to_be(api, ada, again, bo) -> None:
    Handle.objects.filter(pk=CARD).update(single_valued=True)
    key = merge(api, again, ada, handles={CARD: "source"})

    report = undo(api, key)["report"]

    assert [one["identifier"] for one in report["reactivated"]] == ["1804974"]
    key = merge(api, again, ada, handles={CARD: "source"})
    Identity.objects.filter(identifier="1804975").update(is_active=False)
    api.identity(ada, CARD, "1804976")
    report = undo(api, key)["report"]
    assert ([one["identifier"] for one in report["inactive"]], report["reactivated"]) == (["1804974"], [])
    assert report["inactive"][0]["is_active"] is False


def test_the_preview_writes_nothing_and_says_what_the_undo_does(api, ada, again, bo, unchanged) -> None:
    api.record("transactions", sale(f"{CARD}:1804975"))
    key = merge(api, again, ada)
    api.put(f"/profiles/{ada['id']}", {"gender": "x"})

    with unchanged():
        told = api.post(f"/merges/{key}/undo/preview", {"reason": "Two"}).json()["data"]

    assert (told["survivor_id"], told["duplicate_id"]) == (ada["id"], again["id"])
    assert (told["merge"]["id"], told["merge"]["undone_at"]) == (key, None)
    assert told["report"] == undo(api, key)["report"]


def test_an_inner_merge_is_undone_while_the_outer_one_stands(api, ada, again, bo) -> None:
    inner, outer = merge(api, again, ada), merge(api, ada, bo)
    preview = api.post(f"/merges/{inner}/undo/preview").json()["data"]
    assert preview["survivor_id"] == bo["id"]

    data = undo(api, inner)

    assert (data["survivor"]["id"], data["duplicate"]["id"]) == (bo["id"], again["id"])
    assert [one["identifier"] for one in data["duplicate"]["identities"]] == ["1804975"]
    assert api.data(f"/merges/{outer}")["moved"]["identity"] == 3
    assert undo(api, outer)["duplicate"]["identities"][0]["identifier"] == "1804974"


def test_what_cannot_be_undone_is_a_409_in_the_preview_too(api, ada, again, bo, unchanged) -> None:
    key = merge(api, again, ada)
    api.delete(f"/profiles/{ada['id']}")
    paths = (f"/merges/{key}/undo", f"/merges/{key}/undo/preview")

    with unchanged():
        for path in paths:
            assert conflict(api.post(path), "profile_deleted")["profile_id"] == ada["id"]
    api.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "active"})
    undo(api, key)
    with unchanged():
        for path in paths:
            assert conflict(api.post(path), "already_undone")["merge_id"] == key
        not_found(api.post(f"/merges/{key + 1}/undo"))
        not_found(api.post(f"/merges/{10**30}/undo/preview"))


def test_the_two_may_be_merged_again_by_whoever_asks(api, ada, again) -> None:
    first = merge(api, again, ada)
    undo(api, first)

    second = merge(api, again, ada)

    assert second != first
    assert [one["id"] for one in api.data("/merges", {"filter[duplicate]": again["id"]})] == [second, first]


def test_an_undo_that_is_sent_again_is_answered_again(api, ada, again, unchanged) -> None:
    key = merge(api, again, ada)
    first = api.call("POST", f"/merges/{key}/undo", {}, **{"Idempotency-Key": "undo-1"})

    with unchanged():
        replay = api.call("POST", f"/merges/{key}/undo", {}, **{"Idempotency-Key": "undo-1"})

    assert (replay.content, replay["Idempotent-Replay"]) == (first.content, "true")


def test_each_asks_for_its_scope(caller, api, ada, again) -> None:
    key = merge(api, again, ada)

    for path in (f"/merges/{key}/undo/preview", f"/merges/{key}/undo"):
        refusal = caller("read-profiles", "merge-profiles", "update-profiles").post(path)
        assert (refusal.status_code, "unmerge-profiles" in refusal.json()["message"]) == (403, True)
        assert caller("unmerge-profiles").post(path).status_code == 200
    for path in ("/merges", f"/merges/{key}"):
        assert caller("merge-profiles", "unmerge-profiles", "read-audits").get(path).status_code == 403
        assert caller("read-profiles").get(path).status_code == 200


def test_what_a_merge_took_is_counted_by_the_database(api, ada, again) -> None:
    """The keys of a hundred thousand rows are not read to say how many they are."""
    api.get("/auth/verify")
    for number in range(5):
        api.record("transactions", sale(f"{CARD}:1804975", external_id=str(number)))
    key = merge(api, again, ada)
    assert Merge.objects.get(pk=key).taken.filter(keys__len=5).exists()

    with CaptureQueriesContext(connection) as captured:
        assert api.data(f"/merges/{key}")["moved"]["transaction"] == 5

    (taken,) = (query["sql"] for query in captured if "profiles_takenrows" in query["sql"])
    assert "array_length" in taken
    assert len(captured) == 4  # The token, the merge, the primary identities among its fields, and the counts.
