"""Another normaliser or pattern is typed into the form: first comes a report, and only a second answer does it."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from identities import surveying
from identities.models import Handle, Identity
from profiles.auditing import By
from profiles.models import Audit, Profile
from tests.cast import add, pairs_of, route
from tests.staff import answer, holding, member, read, submit, user_of

pytestmark = pytest.mark.django_db

PAGE = reverse("admin:identities_handle_change", args=["pos"])


@pytest.fixture
def keeper() -> Client:
    return member("Admin")


def unchanged(*pairs: str, profile: Profile) -> bool:
    handle = Handle.objects.get(pk="pos")
    nothing = not Audit.objects.filter(auditable_type="handle").exists()
    return (
        nothing
        and (handle.normaliser, handle.pattern, handle.label) == ("exact", "", "Till")
        and pairs_of(profile) == list(pairs)
    )


def test_another_normaliser_is_first_reported_and_changes_nothing_by_itself(
    keeper: Client, ada: Profile, by: By
) -> None:
    for pair in ("pos:No. 00 42", "pos:7"):
        add(ada, pair, by=by)

    asked = submit(keeper, PAGE, normaliser="digits", label="Cash desk")

    text = read(asked)
    assert "What the new rules for pos would change" in text
    assert "Nothing has been changed yet." in text
    assert "Compared by its digits alone" in text
    assert "1 identifier would be stored in another form. What was sent is kept beside it." in text
    assert "pos No. 00 42 0042 Ada Lovelace" in text
    assert "Change the normaliser and store 1 identity anew" in asked.content.decode()
    assert unchanged("pos:7", "pos:No. 00 42", profile=ada)


def test_the_second_answer_rewrites_all_and_changes_what_else_was_typed(keeper: Client, ada: Profile, by: By) -> None:
    row = add(ada, "pos:No. 00 42", by=by)

    response = answer(keeper, PAGE, submit(keeper, PAGE, normaliser="digits", label="Cash desk", pattern="[0-9]+"))

    assert response.status_code == 302
    handle = Handle.objects.get(pk="pos")
    assert (handle.normaliser, handle.label, handle.pattern) == ("digits", "Cash desk", "[0-9]+")
    row.refresh_from_db()
    assert (row.identifier, row.original) == ("0042", "No. 00 42")
    audit = Audit.objects.get(auditable_type="handle")
    assert (audit.by, audit.new_values["identities"]) == (user_of(keeper), 1)


def test_the_button_that_was_pressed_is_kept_through_the_question(keeper: Client, ada: Profile, by: By) -> None:
    add(ada, "pos:No. 42", by=by)

    response = answer(keeper, PAGE, submit(keeper, PAGE, normaliser="digits", _continue="x"))

    assert response["Location"] == PAGE


def test_spellings_of_two_profiles_are_listed_and_cannot_be_confirmed(
    keeper: Client, ada: Profile, ada_again: Profile, by: By
) -> None:
    one, other = add(ada, "pos:ABC", by=by), add(ada_again, "pos:abc", by=by)

    asked = submit(keeper, PAGE, normaliser="fold")

    text = read(asked)
    assert "1 identifier would name two profiles." in text
    assert "What is marked as in the way has to be cleared up first." in text
    assert "Change the normaliser" not in asked.content.decode()
    for row in (one, other):
        assert reverse("admin:identities_identity_change", args=[row.pk]) in asked.content.decode()
    assert unchanged("pos:ABC", profile=ada)


def test_a_hand_made_answer_is_refused_all_the_same(keeper: Client, ada: Profile, ada_again: Profile, by: By) -> None:
    add(ada, "pos:ABC", by=by)
    add(ada_again, "pos:abc", by=by)

    response = submit(keeper, PAGE, normaliser="fold", label="Cash desk", _sure="yes")

    assert "would be the same, and name two profiles." in read(response)
    assert unchanged("pos:ABC", profile=ada)


def test_a_collision_that_came_up_meanwhile_is_refused(
    keeper: Client, ada: Profile, ada_again: Profile, by: By
) -> None:
    add(ada, "pos:ABC", by=by)
    asked = submit(keeper, PAGE, normaliser="fold")
    add(ada_again, "pos:abc", by=by)

    assert "would be the same, and name two profiles." in read(answer(keeper, PAGE, asked))
    assert unchanged("pos:ABC", profile=ada)


def test_a_collision_beyond_what_the_page_looks_at_is_refused_by_the_change(
    keeper: Client, ada: Profile, ada_again: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    for profile, pair in ((ada, "pos:X1"), (ada, "pos:ABC"), (ada_again, "pos:abc")):
        add(profile, pair, by=by)
    monkeypatch.setattr(surveying, "MOST_READ", 1)

    asked = submit(keeper, PAGE, normaliser="fold")

    assert "This page has looked at the oldest 1 identities; there are more." in read(asked)
    assert "Change the normaliser and store 1+ identity anew" in asked.content.decode()
    assert "would be the same, and name two profiles." in read(answer(keeper, PAGE, asked))
    assert unchanged("pos:ABC", "pos:X1", profile=ada)


def test_the_same_twice_and_what_was_left_behind_are_told(keeper: Client, ada: Profile, by: By) -> None:
    gone = Profile.objects.create(first_name="Gone", profile_type="deleted")
    for pair in ("pos:ABC", "pos:abc", "pos:XYZ"):
        add(ada, pair, by=by)
    Identity.objects.create(profile=gone, handle_id="pos", identifier="xyz")

    text = read(submit(keeper, PAGE, normaliser="fold"))

    assert "1 profile has the same twice: one identity stays and keeps what hangs on the other." in text
    assert "1 identifier was left behind by a deleted profile and gives way" in text
    assert "in the way" not in text


def test_a_pattern_is_first_reported_and_then_saved_without_touching_an_identity(
    keeper: Client, ada: Profile, by: By
) -> None:
    for pair in ("pos:T1", "pos:X9"):
        add(ada, pair, by=by)
    before = list(Identity.objects.order_by("pk").values())

    asked = submit(keeper, PAGE, pattern="T[0-9]+")
    text = read(asked)
    assert "1 identifier does not match the pattern. It stays and still names its profile" in text
    assert "Save the pattern" in asked.content.decode()
    assert unchanged("pos:T1", "pos:X9", profile=ada)
    answer(keeper, PAGE, asked)

    assert Handle.objects.get(pk="pos").pattern == "T[0-9]+"
    assert list(Identity.objects.order_by("pk").values()) == before
    assert route("pos:X9", by=by).profile == ada


def test_a_pattern_that_all_match_says_that_nothing_is_concerned(keeper: Client, ada: Profile, by: By) -> None:
    add(ada, "pos:T1", by=by)

    assert "Every identity looked at keeps the form that it has" in read(submit(keeper, PAGE, pattern="T[0-9]+"))
    assert "Every identity looked at keeps the form that it has" in read(submit(keeper, PAGE, pattern="T.*"))


@pytest.mark.parametrize("typed", [{"normaliser": "digits"}, {"pattern": "T[0-9]+"}, {"label": "Cash desk"}])
def test_nothing_is_asked_where_no_identity_is_concerned(keeper: Client, typed: dict[str, str]) -> None:
    assert submit(keeper, PAGE, **typed).status_code == 302

    (name,) = typed
    assert getattr(Handle.objects.get(pk="pos"), name) == typed[name]


def test_other_fields_are_saved_at_once(keeper: Client, ada: Profile, by: By) -> None:
    add(ada, "pos:T1", by=by)

    assert submit(keeper, PAGE, label="Cash desk", sensitive="on").status_code == 302


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"pattern": "("}, "This is not a regular expression"),
        ({"normaliser": "upper"}, "Select a valid choice."),
        ({"normaliser": "digits", "max_per_profile": "-1"}, "greater than or equal to 0"),
        ({"pattern": "a\0"}, "Null characters are not allowed."),
        ({"pattern": "x" * 10_000}, "at most 255 characters"),
    ],
)
def test_what_is_wrong_stands_on_the_form_and_asks_nothing(
    keeper: Client, ada: Profile, by: By, typed: dict[str, Any], sentence: str
) -> None:
    add(ada, "pos:T1", by=by)

    text = read(submit(keeper, PAGE, **typed))

    assert sentence in text
    assert "What the new rules" not in text
    assert unchanged("pos:T1", profile=ada)


def test_sensitive_identifiers_are_masked_and_numbers_told_to_who_may_not_see_identities(ada: Profile, by: By) -> None:
    add(ada, "pos:Secret-740f", by=by)
    Handle.objects.filter(pk="pos").update(sensitive=True)

    seen = read(submit(member("Admin"), PAGE, normaliser="fold"))
    numbers = read(submit(holding("identities.change_handle"), PAGE, normaliser="fold"))

    assert "•••740f" in seen
    assert "ecret" not in seen.split("What was sent is kept")[1]
    assert "1 identifier would be stored in another form." in numbers
    assert "Ada" not in numbers


def test_html_is_text_in_a_report(keeper: Client, ada: Profile, by: By) -> None:
    add(ada, "pos:<script>alert(1)</script>X", by=by)

    asked = submit(keeper, PAGE, normaliser="fold", label="<script>alert(2)</script>")

    assert "<script>alert" not in asked.content.decode()
    assert answer(keeper, PAGE, asked).status_code == 302


def test_hand_made_posts_of_those_who_may_not_are_refused(ada: Profile, by: By) -> None:
    add(ada, "pos:ABC", by=by)

    for client in (member("Reader"), member("Editor")):
        response = client.post(PAGE, {"normaliser": "fold", "initial-normaliser": "exact", "_sure": "yes"})
        assert response.status_code == 403
    assert unchanged("pos:ABC", profile=ada)
