"""Real data with a known answer: 5,000 records make 2,291 profiles and 7,291 identities, however they arrive."""

from __future__ import annotations

import pytest
from django.core.management import call_command

from identities.management.commands import load_sample
from identities.models import Extension, Identity, RoutingLogEntry
from profiles.auditing import By
from profiles.models import Profile


def assert_the_known_answer():
    cards = Identity.objects.filter(handle="loyalty-card")
    assert Profile.objects.count() == 2_291
    assert Identity.objects.count() == 7_291
    assert cards.count() == cards.values("profile").distinct().count() == 2_291
    assert not Profile.objects.filter(identities=None).exists()
    # Every record came in under its own rec_id, and landed where its card is.
    landed = dict(Identity.objects.exclude(handle="loyalty-card").values_list("identifier", "profile"))
    holder = dict(cards.values_list("identifier", "profile"))
    assert landed == {record["rec_id"]: holder[record["soc_sec_id"]] for record in load_sample.records()}


@pytest.mark.slow
@pytest.mark.django_db
def test_the_sample_in_file_order_gives_the_known_answer_and_loads_only_once(capsys):
    call_command("load_sample", verbosity=0)

    assert_the_known_answer()
    assert not RoutingLogEntry.objects.exists()
    loaded = Profile.objects.order_by("pk").values_list("pk", "updated_at")
    before = list(loaded)

    call_command("load_sample", verbosity=0)

    assert list(loaded) == before
    assert "loaded already" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.django_db
def test_the_sample_in_another_order_gives_the_known_answer():
    call_command("load_sample", verbosity=0, shuffle=7)

    assert_the_known_answer()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_sample_by_four_writers_at_once_gives_the_known_answer():
    call_command("load_sample", verbosity=0, writers=4, shuffle=4)

    assert_the_known_answer()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("writers", [2, 8, 16])
def test_the_sample_by_any_number_of_writers_gives_the_known_answer(writers):
    call_command("load_sample", verbosity=0, writers=writers, shuffle=writers)

    assert_the_known_answer()


@pytest.mark.django_db
def test_the_loader_cannot_write_a_reserved_handle_in_another_ones_name(reader):
    record = load_sample.records()[0]
    somebody_else = {"shopify": Extension.objects.get(pk="klaviyo")}

    routed = load_sample.route(record, by=By(reader), extensions=somebody_else)

    assert [pair["code"] for pair in routed.refused] == ["reserved_handle"]
    assert not Identity.objects.filter(handle="shopify").exists()
