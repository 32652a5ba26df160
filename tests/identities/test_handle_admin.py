from __future__ import annotations

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from identities.models import Handle
from profiles.models import Audit
from tests.cast import add, route
from tests.staff import member, read, rows, submit, user_of

LIST = "/admin/identities/handle/"
ADD = "/admin/identities/handle/add/"


def page(name: str) -> str:
    return reverse("admin:identities_handle_change", args=[name])


@pytest.fixture
def keeper(db: None) -> Client:
    return member("Admin")


def test_the_list_shows_the_catalogue_with_its_usage(keeper, bo):
    found = rows(keeper.get(LIST, {"q": "loyal"}))

    assert found == ["loyalty-card Loyalty card agreed - exact (trimmed) 1"]


def test_a_handle_is_changed_with_an_audit(keeper):
    submit(keeper, page("pos"), label="Cash desk", pattern="T[0-9]+")

    handle = Handle.objects.get(pk="pos")
    assert (handle.label, handle.pattern) == ("Cash desk", "T[0-9]+")
    audit = Audit.objects.get(auditable_type="handle")
    assert (audit.event, audit.auditable_key, audit.by) == ("updated", "pos", user_of(keeper))
    assert audit.old_values == {"label": "Till", "pattern": ""}


def test_who_agreed_to_a_handle_and_when_stands_with_it(keeper, ada, by):
    add(ada, "webshop:1", by=by)

    submit(keeper, page("webshop"), status="agreed", description="The id in the shop.")

    handle = Handle.objects.get(pk="webshop")
    assert (handle.status, handle.agreed_by) == ("agreed", user_of(keeper))
    assert handle.agreed_at is not None


def test_saving_without_a_change_writes_nothing(keeper):
    submit(keeper, page("pos"))

    assert not Audit.objects.exists()


def test_a_handle_is_added_and_reserved(keeper, klaviyo):
    response = submit(keeper, ADD, name="klaviyo-list", label="List", status="agreed", reserved_for="klaviyo")

    assert response.status_code == 302
    handle = Handle.objects.get(pk="klaviyo-list")
    assert (handle.reserved_for, handle.agreed_by) == (klaviyo, user_of(keeper))
    assert Audit.objects.get(auditable_key="klaviyo-list").new_values["reserved_for"] == "klaviyo"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Loyalty_Card", "Use lower-case letters"),
        ("loyaltycard", "There is a handle loyalty-card already"),
        ("pos", "Handle with this Name already exists."),
        ("profile-id", "This word means the profile itself."),
        ("a b", "Use lower-case letters"),
        ("", "This field is required."),
        ("x" * 65, "at most 64 characters"),
        ("a\0", "Null characters are not allowed."),
    ],
)
def test_a_bad_name_is_refused(keeper, name, sentence):
    count = Handle.objects.count()

    response = submit(keeper, ADD, name=name)

    assert sentence in read(response)
    assert Handle.objects.count() == count


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("pattern", "(", "This is not a regular expression"),
        ("priority", "9" * 30, "less than or equal to"),
        ("max_per_profile", "9" * 30, "less than or equal to"),
        ("max_per_profile", "-1", "greater than or equal to 0"),
        ("reserved_for", "nobody", "Select a valid choice."),
        ("reserved_for", "\0", "Select a valid choice."),
    ],
)
def test_bad_input_is_told_at_its_field(keeper, field, value, sentence):
    response = submit(keeper, page("pos"), **{field: value})

    assert sentence in read(response)
    assert not Audit.objects.exists()


def test_the_normaliser_of_a_handle_in_use_stays(keeper, bo):
    response = submit(keeper, page("loyalty-card"), normaliser="digits")

    assert "Identities of this handle are stored by its normaliser." in read(response)


def test_a_contact_points_rules_are_built_in(keeper):
    assert "Contact points are built in" in read(keeper.get(page("email")))

    refused = submit(keeper, page("email"), status="retired")
    submit(keeper, page("email"), label="Address")

    assert "only label, description, example and priority can change" in read(refused)
    handle = Handle.objects.get(pk="email")
    assert (handle.status, handle.label) == ("agreed", "Address")


def test_the_name_is_no_field_once_it_is_stored(keeper):
    submit(keeper, page("pos"), name="till", label="Cash desk")

    assert Handle.objects.get(pk="pos").label == "Cash desk"
    assert not Handle.objects.filter(pk="till").exists()


def test_no_handle_is_deleted(admin_client):
    url = reverse("admin:identities_handle_delete", args=["pos"])

    assert admin_client.post(url, {"post": "yes"}).status_code == 403
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": ["pos"], "post": "yes"})
    assert Handle.objects.filter(pk="pos").exists()


def test_readers_and_editors_only_look(ada):
    for group in ("Reader", "Editor"):
        client = member(group)
        assert client.get(page("pos")).status_code == 200
        assert client.post(page("pos"), {"label": "x"}).status_code == 403
        assert client.get(ADD).status_code == 403


def test_counting_the_list_does_not_count_what_each_handle_is_used_for(keeper):
    with CaptureQueriesContext(connection) as queries:
        keeper.get(LIST)

    (count,) = [query["sql"] for query in queries if "COUNT(*)" in query["sql"] and "LIMIT 10000" in query["sql"]]
    assert "identities_identity" not in count


def test_the_list_costs_the_same_for_few_handles_and_for_many(keeper, by, django_assert_num_queries):
    for number in (1, 20):
        for one in range(number):
            route(f"new-{number}-{one}:1", by=by)
        # Session, user, permissions twice, count, rows.
        with django_assert_num_queries(6):
            keeper.get(LIST)


def test_the_form_of_an_identity_finds_handles_by_their_beginning(keeper):
    query = {"app_label": "identities", "model_name": "identity", "field_name": "handle"}

    found = keeper.get("/admin/autocomplete/", query | {"term": "loy"}).json()["results"]
    nothing = keeper.get("/admin/autocomplete/", query | {"term": "\0"}).json()["results"]

    assert [one["id"] for one in found] == ["loyalty-card"]
    assert nothing == []


@pytest.mark.parametrize("key", ["_00", "nothing", "%00", "x" * 5_000])
def test_a_handle_that_is_none_leads_back_to_the_start(keeper, key):
    for name in ("change", "history"):
        url = f"/admin/identities/handle/{key}/{name}/"
        assert keeper.get(url).status_code in (302, 404)
