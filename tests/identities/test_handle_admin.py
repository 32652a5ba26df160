from __future__ import annotations

import datetime
import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format

from identities.models import Handle, Identity
from profiles.models import Audit
from tests.cast import add
from tests.staff import answer, filled, holding, member, read, rows, submit, user_of

LIST = "/admin/identities/handle/"
ADD = "/admin/identities/handle/add/"


def page(name: str) -> str:
    return reverse("admin:identities_handle_change", args=[name])


@pytest.fixture
def keeper(db: None) -> Client:
    return member("Admin")


def test_the_list_says_of_each_handle_what_it_is_who_writes_it_and_how_much(keeper, bo, ada, klaviyo, by):
    add(ada, "klaviyo:01HX", by=by, source=klaviyo)
    Identity.objects.filter(handle="klaviyo").update(created_at=datetime.datetime(2026, 3, 1, tzinfo=datetime.UTC))
    today = date_format(timezone.now())

    assert rows(keeper.get(LIST, {"q": "loyal"})) == [
        f"loyalty-card Loyalty card agreed everybody exactly, trimmed 1 {today} {today}"
    ]
    assert rows(keeper.get(LIST, {"q": "klav"})) == [
        "klaviyo Klaviyo profile agreed only Klaviyo exactly, trimmed 1 March 1, 2026 March 1, 2026"
    ]
    assert rows(keeper.get(LIST, {"q": "email"})) == [
        f"email E-mail agreed built in as an e-mail address 1 {today} {today}"
    ]
    assert rows(keeper.get(LIST, {"q": "apns"})) == ["apns Apple device agreed everybody exactly, trimmed 0 - -"]


def test_days_are_those_of_the_readers_zone(keeper, ada, by):
    add(ada, "pos:1", by=by)
    Identity.objects.update(created_at=datetime.datetime(2026, 3, 1, 20, tzinfo=datetime.UTC))

    with timezone.override("Australia/Melbourne"):
        assert "March 2, 2026" in rows(keeper.get(LIST, {"q": "pos"}))[0]


def test_what_waits_for_a_decision_stands_first_and_what_is_over_last(keeper, ada, by):
    for pair in ("zzz:1", "pos2:1"):
        add(ada, pair, by=by)
    Handle.objects.filter(pk="apns").update(status="retired")

    names = [row.split()[0] for row in rows(keeper.get(LIST))]

    assert names[:3] == ["pos2", "zzz", "commercetools"]
    assert names[-1] == "apns"


def test_the_list_can_be_narrowed_to_one_status(keeper, ada, by):
    add(ada, "pos2:1", by=by)

    assert [row.split()[0] for row in rows(keeper.get(LIST, {"status__exact": "undocumented"}))] == ["pos2"]
    assert rows(keeper.get(LIST, {"status__exact": "nothing"})) == []


def test_who_may_change_handles_is_led_from_the_list_to_agree_and_to_merge(keeper, ada, by):
    add(ada, "pos2:1", by=by)

    page = keeper.get(LIST).content.decode()
    assert page.count("/pos2/agree/") == page.count("/pos2/merge-into/") == 1
    assert "/pos/agree/" not in page
    assert "/agree/" not in member("Reader").get(LIST).content.decode()


def test_the_number_of_identities_leads_to_exactly_them(keeper, ada, bo, by):
    for pair in ("pos:1", "pos:2", "pos2:1"):
        add(ada, pair, by=by)

    (url,) = re.findall(r'href="(/admin/identities/identity/\?handle=pos)"', keeper.get(LIST).content.decode())
    assert len(rows(keeper.get(url))) == 2
    page = holding("identities.view_handle").get(LIST).content.decode()
    assert "/admin/identities/identity/" not in page


def test_a_list_of_ten_thousand_is_counted_no_further(keeper, ada, by, monkeypatch):
    monkeypatch.setattr("identities.models.handle.MOST_COUNTED", 2)
    for number in (1, 2, 3):
        add(ada, f"pos:{number}", by=by)

    assert " 2+ " in rows(keeper.get(LIST, {"q": "pos"}))[0]


def test_a_handle_is_changed_with_an_audit(keeper):
    submit(keeper, page("pos"), label="Cash desk", pattern="T[0-9]+")

    handle = Handle.objects.get(pk="pos")
    assert (handle.label, handle.pattern) == ("Cash desk", "T[0-9]+")
    audit = Audit.objects.get(auditable_type="handle")
    assert (audit.event, audit.auditable_key, audit.by) == ("updated", "pos", user_of(keeper))
    assert audit.old_values == {"label": "Till", "pattern": ""}


def test_the_status_is_no_field_of_the_form(keeper, ada, by):
    add(ada, "webshop:1", by=by)

    keeper.post(page("webshop"), filled(keeper, page("webshop"), label="Shop", status="agreed"))

    handle = Handle.objects.get(pk="webshop")
    assert (handle.status, handle.label) == ("undocumented", "Shop")


def test_saving_without_a_change_writes_nothing(keeper):
    submit(keeper, page("pos"))

    assert not Audit.objects.exists()


def test_a_handle_that_staff_add_is_agreed_and_can_be_reserved(keeper, klaviyo):
    response = submit(keeper, ADD, name="klaviyo-list", label="List", reserved_for="klaviyo")

    assert response.status_code == 302
    handle = Handle.objects.get(pk="klaviyo-list")
    assert (handle.status, handle.reserved_for, handle.agreed_by) == ("agreed", klaviyo, user_of(keeper))
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


def test_a_contact_points_rules_are_built_in(keeper):
    assert "Contact points are built in" in read(keeper.get(page("email")))

    refused = submit(keeper, page("email"), normaliser="exact")
    submit(keeper, page("email"), label="Address")

    assert "only label, description, example and priority can change" in read(refused)
    handle = Handle.objects.get(pk="email")
    assert (handle.normaliser, handle.label) == ("email", "Address")


def test_letting_profiles_merge_by_themselves_is_asked_about_and_says_what_it_means(keeper):
    Handle.objects.filter(pk="shopify").update(auto_merge=True)
    asked = submit(keeper, page("pos"), auto_merge="on")

    for words in (
        "Let pos merge profiles by itself?",
        "they become one at once. Nobody is asked.",
        "These do so already, and merge together with it: shopify.",
        "not for a device, a till, or the card of a household.",
        "Locked profiles wait for a person",
        "can be undone; two that were undone never merge by themselves again.",
    ):
        assert words in read(asked), words
    assert not Handle.objects.get(pk="pos").auto_merge

    answer(keeper, page("pos"), asked)

    assert Handle.objects.get(pk="pos").auto_merge
    assert Audit.objects.get(auditable_type="handle").new_values == {"auto_merge": True}
    assert "merges by itself" in rows(keeper.get(LIST, {"q": "pos"}))[0]
    assert "agreed merges by itself" in read(keeper.get(page("pos")))


def test_taking_that_back_is_not_asked_about(keeper):
    Handle.objects.filter(pk="pos").update(auto_merge=True)

    assert submit(keeper, page("pos"), auto_merge=None).status_code == 302

    assert not Handle.objects.get(pk="pos").auto_merge


def test_a_new_handle_that_merges_by_itself_is_asked_about_too(keeper):
    asked = submit(keeper, ADD, name="passport", auto_merge="on")
    assert "No other handle does so yet: only what is named by passport alone will merge." in read(asked)
    assert not Handle.objects.filter(pk="passport").exists()

    answer(keeper, ADD, asked)

    assert Handle.objects.get(pk="passport").auto_merge


def test_that_is_asked_together_with_other_rules_that_are_asked_about(keeper, ada, by):
    add(ada, "pos:Ab-7", by=by)

    asked = submit(keeper, page("pos"), auto_merge="on", normaliser="digits")

    assert "What the new rules for pos would change" in read(asked)
    assert "they become one at once. Nobody is asked." in read(asked)


def test_a_contact_point_never_merges_by_itself(keeper):
    assert "only label, description, example and priority can change" in read(
        submit(keeper, page("email"), auto_merge="on")
    )
    assert not Handle.objects.get(pk="email").auto_merge


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
