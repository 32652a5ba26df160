"""What an attacker or a careless client tried once, and must not succeed with again."""

from __future__ import annotations

import threading

import pytest
from django.contrib.auth.models import User
from django.db import connection

from identities import adding, cataloguing, holding, lookup, matching, moving, routing
from identities.handles import Sent
from identities.models import ApiToken, Extension, Handle, Identity
from profiles.auditing import By
from profiles.models import Profile

pytestmark = pytest.mark.django_db


def test_a_token_neither_sees_nor_ends_one_that_may_do_more(api, caller):
    small = caller("read-handles")

    assert [token["id"] for token in small.get("/auth/access-tokens").json()] == [str(small.token.pk)]
    assert small.delete(f"/auth/api-tokens/{api.token.pk}").status_code == 404
    assert api.get("/auth/verify").status_code == 200


def test_a_token_with_a_rate_limit_cannot_make_others_to_get_round_it(api):
    ApiToken.objects.filter(pk=api.token.pk).update(rate_limit=100)

    assert api.post("/auth/api-tokens", {"name": "child", "scopes": []}).status_code == 403


def test_deleting_by_type_needs_the_scope_that_deleting_needs(api, caller):
    ada = api.profile(first_name="Ada")
    editor = caller("update-profiles")

    assert editor.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "deleted"}).status_code == 403
    assert editor.put(f"/profiles/{ada['id']}/update-type", {"profile_type": "pending"}).status_code == 200


def test_a_name_that_grows_when_folded_is_kept(api):
    assert api.profile(first_name="\ufdfa" * 255)["first_name"] == "\ufdfa" * 255


def test_a_customer_known_under_a_retired_handle_stays_one_profile(api, by):
    ada = api.profile(identities=[{"handle": "loyalty-card", "identifier": "c1"}])
    card = Handle.objects.get(pk="loyalty-card")
    cataloguing.change(card, {"status": "retired", "pattern": "[0-9]+"}, by=by)

    known = api.post("/profiles", {"identities": [{"handle": "loyalty-card", "identifier": "c1"}]})
    new = api.post(f"/profiles/{ada['id']}/identities", {"handle": "loyalty-card", "identifier": "77"})

    assert (known.status_code, known.json()["data"]["id"]) == (200, ada["id"])
    assert new.json()["code"] == "retired_handle"


def test_a_pattern_that_cannot_be_combined_blocks_no_write(api, by):
    cataloguing.block({"kind": "regex", "value": r"\Qfoo", "handle": None}, by=by)

    assert api.post("/profiles", {"identities": [{"handle": "pos", "identifier": "7"}]}).status_code == 201
    refused = api.post("/profiles", {"identities": [{"handle": "pos", "identifier": "FOO"}]}).json()["routing"][
        "refused"
    ]
    assert [pair["code"] for pair in refused] == ["blocked_identifier"]


def test_half_a_birth_date_that_makes_no_date_does_not_cost_the_rest_of_the_write(api):
    ada = api.profile(birth_year=2001, identities=[{"handle": "pos", "identifier": "7"}])

    answer = api.post(
        "/profiles",
        {
            "birth_month": 2,
            "birth_day": 29,
            "identities": [{"handle": "pos", "identifier": "7"}, {"handle": "pos", "identifier": "8"}],
        },
    ).json()

    assert answer["routing"]["outcome"] == "attached"
    assert answer["routing"]["not_taken"] == ["birth_month", "birth_day"]
    assert answer["data"]["birth_year"] == ada["birth_year"]


def test_a_delete_by_way_of_one_profile_never_takes_anothers_identity(by):
    ada, bo = Profile.objects.create(), Profile.objects.create()
    row = adding.add(ada.pk, Sent("pos", "7"), by=by, source=None).identity
    moving.move(row.pk, to=bo.pk, reason="Bo's after all", by=by)

    with pytest.raises(Identity.DoesNotExist):
        routing.remove(row.pk, of=ada.pk, by=by, source=None)
    with pytest.raises(Identity.DoesNotExist):
        routing.change(row.pk, of=ada.pk, is_active=False, by=by, source=None)

    assert lookup.resolve([("pos", "7")]) == [bo.pk]


def test_a_write_that_loses_every_race_is_asked_to_come_again(api, monkeypatch):
    api.profile(identities=[{"handle": "pos", "identifier": "7"}])
    monkeypatch.setattr(holding, "MOST_TRIES", 2)
    monkeypatch.setattr(matching, "owned", lambda pairs: {})

    answer = api.post("/profiles", {"identities": [{"handle": "pos", "identifier": "7"}]})

    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_no_extension_may_be_called_staff(db):
    from django.core.exceptions import ValidationError

    with pytest.raises(ValidationError, match="no extension wrote"):
        Extension(slug="staff", name="Staff").clean()


def test_list_words_are_refused_where_there_is_no_such_list(api):
    ada = api.profile(identities=[{"handle": "pos", "identifier": "7"}])

    assert api.get(f"/profiles/{ada['id']}/identities?filter[handle]=pos").status_code == 422
    assert api.get(f"/profiles/{ada['id']}?include=nonsense").status_code == 422
    assert api.get(f"/profiles/{ada['id']}?include=identities").status_code == 200


def test_no_line_of_a_refused_look_up_says_the_identifier(client, capfd) -> None:
    assert client.get("/api/v3/identities/search-profile/ada@secret.example").status_code == 401

    assert "secret.example" not in capfd.readouterr().err


def test_masked_values_cannot_be_guessed_through_a_lists_url(admin_client, by):
    profile = Profile.objects.create()
    adding.add(profile.pk, Sent("apns", "740f4707bebcf74f"), by=by, source=None)

    for query in ("identifier__startswith=740f", "profile__identities__identifier__startswith=7"):
        assert admin_client.get(f"/admin/identities/identity/?{query}").status_code == 400
    assert admin_client.get("/admin/identities/apitoken/?digest__startswith=0").status_code == 400
    assert admin_client.get("/admin/profiles/profile/?first_name__regex=(").status_code == 400
    assert b"1 identity" not in admin_client.get("/admin/identities/identity/?q=740f47").content
    assert b"1 identity" in admin_client.get("/admin/identities/identity/?q=740f4707bebcf74f").content


def test_an_action_with_something_that_is_no_key_is_a_bad_request(admin_client):
    for page in ("profiles/profile", "identities/identity"):
        body = {"action": "delete_selected", "_selected_action": "foo"}
        assert admin_client.post(f"/admin/{page}/", body).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_pairs_that_hop_between_profiles_do_not_escape_a_write(by: By):
    profiles = [Profile.objects.create() for _ in range(3)]
    rows = [adding.add(profiles[0].pk, Sent("pos", f"n{n}"), by=by, source=None).identity for n in range(3)]
    failed: list[BaseException] = []

    def run(work) -> None:
        try:
            for round_ in range(8):
                work(round_)
        except BaseException as error:  # noqa: BLE001 - a thread's failure is the test's
            failed.append(error)
        finally:
            connection.close()

    def hop(number: int):
        return lambda round_: moving.move(
            rows[(number + round_) % 3].pk, to=profiles[(number * round_) % 3].pk, reason="hop", by=by
        )

    def write(round_: int) -> None:
        routing.route([Sent("pos", f"n{n}") for n in range(3)], fields={}, contact={}, by=by, source=None)

    threads = [threading.Thread(target=run, args=(hop(n),)) for n in range(4)]
    threads += [threading.Thread(target=run, args=(write,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failed
    assert Profile.objects.count() == 3
    assert User.objects.filter(pk=by.user.pk).exists()
