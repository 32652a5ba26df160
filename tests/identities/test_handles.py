from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction

from identities import cataloguing, handles, lookup, matching, routing
from identities.handles import Sent
from identities.models import Handle, Identity
from profiles.auditing import By
from profiles.models import Audit, Profile
from profiles.refusing import Refused
from tests.cast import add, pairs_of, route

pytestmark = pytest.mark.django_db

SHIPPED = {
    "shopify": "exact", "klaviyo": "exact", "magento_id": "exact", "sfcc": "exact", "commercetools": "exact",
    "zendesk": "exact", "mailchimp": "exact", "staff-number": "exact", "loyalty-card": "exact", "pos": "exact",
    "pos-customer": "exact", "apns": "exact", "instagram": "fold", "email": "email", "mobile_phone": "phone",
}  # fmt: skip


def test_a_handle_never_seen_comes_into_the_catalogue_to_be_agreed(ada: Profile, by: By) -> None:
    add(ada, "tiktok:ada.lovelace", by=by)

    handle = Handle.objects.get(name="tiktok")
    assert (handle.status, handle.normaliser, handle.label, handle.agreed_by) == ("undocumented", "exact", "", None)

    cataloguing.change(handle, {"status": "agreed", "label": "TikTok"}, by=by)

    handle.refresh_from_db()
    assert (handle.status, handle.label, handle.agreed_by) == ("agreed", "TikTok", by.user)
    assert handle.agreed_at is not None
    audit = Audit.objects.get(auditable_type="handle")
    assert (audit.by, audit.event, audit.auditable_key) == (by.user, "updated", "tiktok")
    assert audit.new_values == {"status": "agreed", "label": "TikTok"}


def test_the_shipped_catalogue_says_what_each_handle_is() -> None:
    assert dict(Handle.objects.values_list("name", "normaliser")) == SHIPPED
    for handle in Handle.objects.all():
        assert (handle.status, handle.pattern, handle.single_valued) == ("agreed", "", False)
        assert handle.label
        assert handle.description
        assert handle.example
        assert handle.sensitive == (handle.name == "apns")
        handle.full_clean()


@pytest.mark.parametrize(
    ("known", "spelled"),
    [
        ("loyalty-card", "loyalty_card"), ("loyalty-card", "loyaltycard"), ("loyalty-card", "Loyalty-Card"),
        ("loyalty-card", "LOYALTY_CARD"), ("magento_id", "magento-id"), ("magento_id", "MagentoId"),
        ("magento_id", "_magento__id-"), ("pos", "POS"), ("pos", "po\u017f"), ("email", "e-mail"), ("email", "Email"),
        ("mobile_phone", "mobile-phone"), ("mobile_phone", "mobilePhone"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("policy", ["open", "agreed"])
def test_another_spelling_of_a_known_handle_is_asked_about(
    policy: str, known: str, spelled: str, ada: Profile, by: By, settings
) -> None:
    settings.HANDLE_POLICY = policy
    before = Handle.objects.count()

    with pytest.raises(Refused, match=f"did you mean {known}") as refusal:
        add(ada, Sent(spelled, "1"), by=by)
    routed = route(Sent(spelled, "1"), "loyalty-card:2", by=by)

    assert (refusal.value.code, refusal.value.field) == ("unknown_handle", "handle")
    assert refusal.value.details == {"did_you_mean": [known]}
    assert [one["code"] for one in routed.refused] == ["unknown_handle"]
    assert pairs_of(routed.profile) == ["loyalty-card:2"]
    assert Handle.objects.count() == before


def test_under_the_policy_agreed_an_unknown_handle_is_refused_with_the_nearest_names(
    ada: Profile, by: By, settings
) -> None:
    settings.HANDLE_POLICY = "agreed"

    for name, nearest in {"shopfy": ["shopify"], "pos-custmer": ["pos-customer"], "qqqqqq": []}.items():
        with pytest.raises(Refused) as refusal:
            add(ada, Sent(name, "1"), by=by)
        assert (refusal.value.code, refusal.value.details) == ("unknown_handle", {"did_you_mean": nearest})
        assert route(Sent(name, "1"), by=by).refused[0]["code"] == "unknown_handle"
        assert not Handle.objects.filter(name=name).exists()
    # One in the catalogue that nobody has agreed yet is known.
    Handle.objects.create(name="tiktok")
    add(ada, "tiktok:ada", by=by)


@pytest.mark.parametrize("name", ["id", "ID", "i-d", "profile_id", "profile-id", "ProfileId", "PROFILE_ID"])
def test_words_that_mean_the_profile_itself_are_no_handles(name: str, ada: Profile, by: By) -> None:
    with pytest.raises(Refused) as refusal:
        add(ada, Sent(name, "1"), by=by)
    assert refusal.value.code == "invalid_handle"

    with pytest.raises(ValidationError):
        Handle(name=name.lower()).full_clean()
    assert not Handle.objects.filter(name=name).exists()


@pytest.mark.parametrize(
    "name",
    ["", " ", "-pos", "_pos", "till 7", "till.7", "till:7", "caf\u00e9", "\uff50os", "p\u043es", "till\u200b7", "till\0", "till\ud83d",
     "till\n7", "x" * 65, "x" * 10_240, "\U0001f6d2", "'; DROP TABLE identities_handle; --", "<b>till</b>", "%", "--"],
)  # fmt: skip
def test_a_handle_is_a_short_plain_word(name: str, ada: Profile, by: By) -> None:
    with pytest.raises(Refused) as refusal:
        add(ada, Sent(name, "1"), by=by)
    routed = route(Sent(name, "1"), "loyalty-card:2", by=by)

    # A look-alike of a known handle may also be asked about; either way it is no handle.
    assert refusal.value.code in ("invalid_handle", "unknown_handle")
    assert refusal.value.field == "handle"
    assert [one["code"] for one in routed.refused] == [refusal.value.code]
    assert pairs_of(routed.profile) == ["loyalty-card:2"]
    assert Handle.objects.count() == len(SHIPPED)


@pytest.mark.parametrize("name", ["7", "x" * 64, "till-7", "till_7", "a-_b", "null"])
def test_any_plain_word_is_a_handle(name: str, ada: Profile, by: By) -> None:
    assert add(ada, Sent(f" {name} ", "1"), by=by).handle_id == name


def test_a_refused_write_leaves_no_handle_behind(ada: Profile, by: By) -> None:
    Handle.objects.create(name="only-one", max_per_profile=1)
    add(ada, "only-one:1", by=by)

    for pair in ("tiktok:null", "tiktok:", "tiktok:\u200b", "only-one:2"):
        with pytest.raises(Refused):
            add(ada, pair, by=by)
    Profile.objects.filter(pk=ada.pk).update(profile_type="deleted")
    with pytest.raises(Refused):
        add(ada, "tiktok:ada", by=by)

    assert not Handle.objects.filter(name="tiktok").exists()


def test_two_spellings_of_one_name_cannot_both_be_stored() -> None:
    Handle.objects.create(name="my-till")

    with pytest.raises(IntegrityError), transaction.atomic():
        Handle.objects.create(name="my_till")
    with pytest.raises(ValidationError) as refusal:
        Handle(name="my_till").full_clean()

    assert "my-till already" in str(refusal.value)


def test_writes_and_look_ups_by_an_old_name_follow_the_renamed_handle(ada: Profile, bo: Profile, by: By) -> None:
    retired = Handle.Status.RETIRED
    Handle.objects.create(name="club-card", status=retired, renamed_to_id="loyalty-card")

    identity = add(ada, "club-card:1804974", by=by)

    assert identity.handle_id == "loyalty-card"
    assert add(ada, "loyalty-card:1804974", by=by) == identity
    for name in ("club-card", "loyalty-card"):
        assert route(f"{name}:1804974", by=by).profile == ada
        assert lookup.resolve([(name, "1804974")]) == [ada.pk]
        assert lookup.search(name, "1804974") is not None
        assert matching.having({"exact": "1804974"}, handle=name).get() == identity


def test_a_retired_handle_takes_no_new_pair_and_keeps_those_it_has(ada: Profile, bo: Profile, by: By) -> None:
    identity = add(ada, "pos:7", by=by)
    Handle.objects.filter(name="pos").update(status=Handle.Status.RETIRED)

    for pair in ("pos:8", "pos:null"):
        with pytest.raises(Refused) as refusal:
            add(ada, pair, by=by)
        assert refusal.value.code == "retired_handle"
    routed = route("pos:8", "loyalty-card:1", by=by)

    assert [one["code"] for one in routed.refused] == ["retired_handle"]
    assert lookup.resolve([("pos", "7")]) == [ada.pk]
    assert not routing.change(identity.pk, is_active=False, by=by, source=None).is_active
    routing.remove(identity.pk, by=by, source=None)


def test_a_pattern_must_match_the_whole_normal_form_of_new_writes(ada: Profile, by: By) -> None:
    old = add(ada, "loyalty-card:old", by=by)
    Handle.objects.filter(name="loyalty-card").update(pattern=r"\d{7}")

    assert add(ada, "loyalty-card: 1804974 ", by=by).identifier == "1804974"
    for identifier in ("180497", "18049745", "x1804974", "1804974x", "old2"):
        with pytest.raises(Refused) as refusal:
            add(ada, Sent("loyalty-card", identifier), by=by)
        assert (refusal.value.code, refusal.value.field) == ("invalid_identifier", "identifier")
    assert lookup.resolve([("loyalty-card", "old")]) == [ada.pk]
    # A client that sends back what it has read writes nothing new.
    assert not routing.change(old.pk, identifier="old", is_active=False, by=by, source=None).is_active


def test_a_single_valued_handle_has_one_active_identity_on_a_profile(ada: Profile, bo: Profile, by: By) -> None:
    Handle.objects.filter(name="pos").update(single_valued=True)
    first = add(ada, "pos:7", by=by)

    with pytest.raises(Refused) as refusal:
        add(ada, "pos:8", by=by)
    assert (refusal.value.code, refusal.value.field) == ("too_many_identities", "handle")
    assert [one["code"] for one in route("pos:7", "pos:8", by=by).refused] == ["too_many_identities"]
    inactive = add(ada, Sent("pos", "8", is_active=False), by=by)
    with pytest.raises(Refused, match="more identities"):
        routing.change(inactive.pk, is_active=True, by=by, source=None)
    routing.change(first.pk, is_active=False, by=by, source=None)
    routing.change(inactive.pk, is_active=True, by=by, source=None)

    assert list(ada.identities.filter(is_active=True)) == [inactive]
    assert add(ada, "pos:7", by=by) == first


def test_max_per_profile_counts_all_and_the_first_sent_come_in(ada: Profile, bo: Profile, by: By) -> None:
    Handle.objects.filter(name="pos").update(max_per_profile=2)

    routed = route("pos:3", "pos:1", "pos:2", "pos:3", by=by)

    assert [(one["identifier"], one["code"]) for one in routed.refused] == [("2", "too_many_identities")]
    assert pairs_of(routed.profile) == ["pos:1", "pos:3"]
    with pytest.raises(Refused, match="more identities"):
        add(routed.profile, Sent("pos", "4", is_active=False), by=by)
    assert not add(routed.profile, "pos:1", by=by)._state.adding


def test_an_immutable_handles_identifiers_stay_as_they_were_written(ada: Profile, by: By) -> None:
    Handle.objects.filter(name="pos").update(immutable=True)
    identity = add(ada, "pos:7", by=by)

    with pytest.raises(Refused) as refusal:
        routing.change(identity.pk, identifier="8", by=by, source=None)
    assert (refusal.value.code, refusal.value.field) == ("immutable_handle", "identifier")

    assert not routing.change(identity.pk, identifier="7", is_active=False, by=by, source=None).is_active
    routing.remove(identity.pk, by=by, source=None)


def test_a_normaliser_stays_while_identities_are_stored_by_it(ada: Profile, by: By) -> None:
    identity = add(ada, "pos:7", by=by)
    pos = Handle.objects.get(name="pos")

    with pytest.raises(ValidationError) as refusal:
        cataloguing.change(pos, {"normaliser": "digits"}, by=by)
    assert list(refusal.value.error_dict) == ["normaliser"]
    routing.remove(identity.pk, by=by, source=None)
    cataloguing.change(pos, {"normaliser": "digits"}, by=by)

    assert add(ada, "pos:T-07", by=by).identifier == "07"


@pytest.mark.parametrize("name", ["email", "mobile_phone"])
@pytest.mark.parametrize(
    "change",
    [{"status": "retired"}, {"normaliser": "exact"}, {"single_valued": True}, {"max_per_profile": 1}, {"immutable": True},
     {"pattern": ".*"}, {"status": "undocumented"}],
)  # fmt: skip
def test_the_rules_of_a_contact_point_are_built_in(name: str, change: dict[str, object], by: By) -> None:
    before = Handle.objects.filter(name=name).values().get()

    with pytest.raises(ValidationError):
        cataloguing.change(Handle.objects.get(name=name), change, by=by)

    assert Handle.objects.filter(name=name).values().get() == before


def test_pairs_are_read_in_their_order_with_as_many_queries_for_one_as_for_many(
    django_assert_num_queries,
) -> None:
    one = [Sent("pos", "1")]
    many = [Sent("pos", str(number)) for number in range(1, 50)] + [Sent("tiktok", "x"), Sent("P-O-S", "x")]

    with django_assert_num_queries(1):
        handles.read(one, writer=None)
    with django_assert_num_queries(1):
        answers = handles.read(many, writer=None)

    assert [answer.identifier for answer in answers[:50] if isinstance(answer, Identity)] == [
        sent.identifier for sent in many[:50]
    ]
    assert isinstance(answers[50], Refused)


def test_how_much_a_handle_is_used_is_counted_to_a_bound(ada: Profile, by: By, monkeypatch) -> None:
    monkeypatch.setattr("identities.models.handle.MOST_COUNTED", 2)
    for number in range(1, 4):
        add(ada, f"pos:{number}", by=by)
    add(ada, "loyalty-card:1", by=by)

    usage = {handle.name: handle for handle in Handle.objects.with_usage()}

    assert (usage["pos"].usage_count, usage["pos"].usage_count_is_capped) == (2, True)
    assert (usage["loyalty-card"].usage_count, usage["loyalty-card"].usage_count_is_capped) == (1, False)
    assert usage["apns"].usage_count == 0


def test_what_the_catalogue_tells_of_a_handle_is_read_from_its_own_part_of_an_index(ada: Profile) -> None:
    """A handle that was written long ago must not cost a walk past a million identities of others."""
    for handle, number in (("pos", 1_500), ("loyalty-card", 3_000)):
        Identity.objects.bulk_create(Identity(profile=ada, handle_id=handle, identifier=str(n)) for n in range(number))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE identities_identity")
    few = Identity.objects.of_handle("pos", newest_first=True)

    for rows in (Handle.objects.with_usage().with_seen(), few[:5], few.reverse()[:5]):
        plan = rows.explain()
        assert "identities_identity_pkey" not in plan
        assert "Seq Scan on identities_identity" not in plan
        assert "identity_by_handle" in plan or "unique_together_handle_identifier" in plan
