"""A delivery's way: sent, answered, tried again, given up; and what is known of its target by that."""

from __future__ import annotations

import datetime
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone
from standardwebhooks import Webhook as Standard

from identities import cataloguing
from identities.models import Extension
from profiles.auditing import By
from profiles.models import Delivery, Profile, Target
from profiles.reacting import patience, sending, signing
from tests.deliveries import due_now, go_on, put
from tests.receiving import PATIENCE, Behaviour, Receiver, answers, hangs, is_signed, raw, receiver, resets
from tests.working import work

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = settings.WEBHOOK_SECRETS[0]


@pytest.fixture
def shop() -> Iterator[Receiver]:
    with receiver() as shop:
        yield shop


def test_a_delivery_arrives_signed_in_both_ways(ada: Profile, by: By, shop: Receiver) -> None:
    made = put(ada, shop.url, by, {"first_name": "Zoë"})

    work()

    (got,) = shop.requests
    assert got.path == "/hook?shop=1"
    assert got.body == '{"first_name":"Zoë"}'.encode()
    assert got.headers["host"] == f"127.0.0.1:{shop.port}"
    assert got.headers["content-type"] == "application/json"
    assert got.headers["x-omneo-event"] == "profile.updated"
    assert got.id == made.message_id
    assert is_signed(got, SECRET)
    assert Standard(SECRET.encode()).verify(got.body, got.headers) == {"first_name": "Zoë"}
    made.refresh_from_db()
    assert (made.state, made.tries, made.status_code, made.answer) == ("delivered", 1, 200, "Thank you.")
    assert made.finished_at is not None
    assert (made.error, made.taken_until) == ("", None)


def test_while_secrets_change_each_of_them_signs(ada: Profile, by: By, shop: Receiver, settings: Any) -> None:
    new, old = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", SECRET
    settings.WEBHOOK_SECRETS = [new, old]
    put(ada, shop.url, by)

    work()

    (got,) = shop.requests
    assert is_signed(got, new, old)
    assert Standard(new).verify(got.body, got.headers)
    assert Standard(old.encode()).verify(got.body, got.headers)


def test_an_extensions_webhook_is_signed_with_the_extensions_secrets(
    ada: Profile, by: By, shop: Receiver, shopify: Extension, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopify.secret_variables = ["SHOPIFY_SECRET", "SHOPIFY_SECRET_OLD"]
    shopify.save()
    monkeypatch.setenv("SHOPIFY_SECRET", "the-secret-of-the-shop")
    put(ada, shop.url, by, user=shopify.service_account)

    work()

    assert is_signed(shop.requests[0], "the-secret-of-the-shop")


@pytest.mark.parametrize("is_deactivated", [True, False], ids=["account deactivated", "extension disabled"])
def test_what_waits_for_an_account_that_may_no_longer_call_is_given_up_and_says_why(
    ada: Profile, by: By, shop: Receiver, shopify: Extension, is_deactivated: bool
) -> None:
    made = put(ada, shop.url, by, user=shopify.service_account)
    put(ada, shop.url, by)
    if is_deactivated:
        User.objects.filter(extension=shopify).update(is_active=False)
    else:
        cataloguing.switch_extension(shopify, enabled=False, by=by)

    work()

    made.refresh_from_db()
    assert made.state == "dead"
    assert made.error == "The account of the webhook is deactivated, or its extension is disabled."
    assert len(shop.requests) == 1 and shop.requests[0].id != made.message_id
    assert Target.objects.get().failures == 0


def test_nothing_is_sent_without_a_secret_and_the_delivery_says_so(
    ada: Profile, by: By, shop: Receiver, shopify: Extension, settings: Any
) -> None:
    shopify.secret_variables = ["SHOPIFY_SECRET"]
    shopify.save()
    settings.WEBHOOK_SECRETS = []
    one, other = put(ada, shop.url, by), put(None, shop.url, by, user=shopify.service_account)

    work()

    assert not shop.requests
    for delivery, variable in ((one, "WEBHOOK_SECRETS"), (other, "SHOPIFY_SECRET")):
        delivery.refresh_from_db()
        assert delivery.state == "waiting"
        assert variable in delivery.error


@pytest.mark.parametrize("secret", ["whsec_five5", "whsec_of-the-shop!", "whsec_"])
def test_a_secret_that_is_none_is_not_shown_and_holds_nobody_up(
    secret: str, ada: Profile, by: By, shop: Receiver, shopify: Extension, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopify.secret_variables = ["SHOPIFY_SECRET"]
    shopify.save()
    monkeypatch.setenv("SHOPIFY_SECRET", secret)
    made, other = put(ada, shop.url, by, user=shopify.service_account), put(None, shop.url, by)

    work()

    assert shop.ids == [other.message_id]
    made.refresh_from_db()
    assert (made.state, made.tries, made.taken_until) == ("waiting", 1, None)
    assert made.error == "The secret in SHOPIFY_SECRET is not right: what follows whsec_ must be base64."
    monkeypatch.setenv("SHOPIFY_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
    go_on()
    assert shop.ids == [other.message_id, made.message_id]


def test_a_secret_may_be_any_bytes_and_is_seen_in_no_repr(
    ada: Profile, by: By, shop: Receiver, shopify: Extension, monkeypatch: pytest.MonkeyPatch
) -> None:
    shopify.secret_variables = ["SHOPIFY_SECRET"]
    shopify.save()
    monkeypatch.setenv("SHOPIFY_SECRET", b"of the shop \xff".decode(errors="surrogateescape"))
    put(ada, shop.url, by, user=shopify.service_account)

    work()

    (got,) = shop.requests
    assert got.headers["x-omneo-hmac-sha256"] == hmac.new(b"of the shop \xff", got.body, hashlib.sha256).hexdigest()
    assert "of the shop" not in repr(signing.secrets(["SHOPIFY_SECRET"]))


def test_the_secret_may_be_in_a_file_as_that_of_the_storefront_may(
    ada: Profile, by: By, shop: Receiver, shopify: Extension, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shopify.secret_variables = ["SHOPIFY_SECRET"]
    shopify.save()
    (tmp_path / "secret").write_text("the-secret-in-the-file\n")
    monkeypatch.setenv("SHOPIFY_SECRET_FILE", str(tmp_path / "secret"))
    put(ada, shop.url, by, user=shopify.service_account)

    work()

    assert is_signed(shop.requests[0], "the-secret-in-the-file")


def test_what_could_not_be_signed_says_nothing_about_the_target_and_is_given_up_as_others_are(
    by: By, shop: Receiver, shopify: Extension
) -> None:
    shopify.secret_variables = ["SHOPIFY_SECRET"]
    shopify.save()
    unsigned = [put(None, shop.url, by, user=shopify.service_account) for _number in range(patience.OPENS_AFTER + 1)]
    before = timezone.now()
    work()
    signed = put(None, shop.url, by)
    work()

    target = Target.objects.get()
    assert (target.failures, target.opened_at) == (0, None)
    assert shop.ids == [signed.message_id]
    assert Delivery.objects.filter(state="waiting", next_try_at__gt=before, tries=1).count() == len(unsigned)
    Delivery.objects.update(waiting_since=timezone.now() - patience.LIFE)
    go_on()
    assert set(Delivery.objects.exclude(pk=signed.pk).values_list("state", flat=True)) == {"dead"}


@pytest.mark.parametrize("first", ["102 Processing", "103 Early Hints", "100 Continue"])
def test_what_a_receiver_says_on_its_way_to_an_answer_is_none(first: str, ada: Profile, by: By) -> None:
    early = f"HTTP/1.1 {first}\r\nLink: </style.css>\r\n\r\n".encode()
    with receiver(raw(early, early, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nYes")) as shop:
        made = put(ada, shop.url, by)

        work()

    made.refresh_from_db()
    assert (made.state, made.status_code, made.answer) == ("delivered", 200, "Yes")


BAD = {
    "an error": (answers(500, b"Oh no"), 500, "Oh no"),
    "a refusal": (answers(422), 422, "Thank you."),
    "a redirect inside": (answers(302, b"", "Location: http://127.0.0.1:1/"), 302, ""),
    "an early end": (lambda _sock, _request: None, None, ""),
    "a reset": (resets, None, ""),
    "garbage": (raw(b"\x00\x01\x02 hello\r\n\r\n"), None, ""),
    "an endless first line": (raw(b"HTTP/1.1 200 ", forever=b"x" * 4096), None, ""),
    "an endless header": (raw(b"HTTP/1.1 200 OK\r\nX: ", forever=b"x" * 4096), None, ""),
    "endless headers": (raw(b"HTTP/1.1 200 OK\r\n", forever=b"X: y\r\n" * 100), None, ""),
    "a length that is none": (raw(b"HTTP/1.1 500 X\r\nContent-Length: many\r\n\r\nhm"), 500, "hm"),
    "a NUL in the text": (answers(500, b"a\0b\xff"), 500, "a\ufffdb\ufffd"),
    "half of a text": (raw(b"HTTP/1.1 500 X\r\nContent-Length: 10\r\n\r\nhalf"), 500, "half"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_a_bad_receiver_does_is_kept_and_it_is_tried_again(kind: str, ada: Profile, by: By) -> None:
    behaviour, status, text = BAD[kind]
    with receiver(behaviour) as bad:
        made = put(ada, bad.url, by)

        work()

        made.refresh_from_db()
        assert (made.state, made.tries, made.status_code) == ("waiting", 1, status)
        assert made.answer == text
        assert made.error
        assert made.next_try_at is not None and made.next_try_at > timezone.now()
        bad.behaviour = answers()
        go_on()

    made.refresh_from_db()
    assert (made.state, made.tries) == ("delivered", 2)
    assert bad.ids == [made.message_id] * 2
    assert len({(one.body, one.path) for one in bad.requests}) == 1


SLOW = {
    "silence": hangs,
    "a drop of a header now and then": raw(b"HTTP/1.1 200 OK\r\nX: ", forever=b"x", pause=0.05),
    "an endless number of first lines": raw(forever=b"HTTP/1.1 100 Continue\r\n\r\n", pause=0.01),
    "endless hints": raw(forever=b"HTTP/1.1 103 Early Hints\r\n\r\n", pause=0.01),
}


@pytest.mark.parametrize("kind", SLOW)
def test_a_receiver_gets_so_much_time_and_no_more(
    kind: str, ada: Profile, by: By, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "TIMEOUT", 0.5)
    with receiver(SLOW[kind]) as slow:
        made = put(ada, slow.url, by)

        work()

        made.refresh_from_db()
        assert (made.state, made.tries, made.status_code) == ("waiting", 1, None)
        assert "seconds" in made.error


def test_an_endless_text_is_cut(ada: Profile, by: By) -> None:
    with receiver(raw(b"HTTP/1.1 200 OK\r\n\r\n", forever=b"x" * 5000)) as endless:
        made = put(ada, endless.url, by)

        work()

    made.refresh_from_db()
    assert (made.state, len(made.answer)) == ("delivered", 64 * 1024)


# The library lets go of a connection at the head of an answer that is the last one or has no length.
@pytest.mark.parametrize("head", [b"", b"Connection: close\r\n", b"Content-Length: 9999\r\n"])
def test_a_text_that_drips_is_cut_at_the_deadline_and_counts_by_its_status(
    ada: Profile, by: By, monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(patience, "TIMEOUT", 1)
    pause = 0.05
    with receiver(raw(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n", forever=b"y", pause=pause)) as dripping:
        made = put(ada, dripping.url, by)

        work()

    made.refresh_from_db()
    assert (made.state, set(made.answer) | {"y"}) == ("delivered", {"y"})
    # Long before the other side has had enough.
    assert len(made.answer) < PATIENCE / pause / 2


def test_a_text_that_would_be_huge_is_not_unpacked(ada: Profile, by: By) -> None:
    import gzip

    packed = gzip.compress(b"x" * 10_000_000)
    with receiver(answers(200, packed, "Content-Encoding: gzip")) as shop:
        made = put(ada, shop.url, by)

        work()

    made.refresh_from_db()
    assert len(made.answer) <= len(packed)


def test_what_is_down_is_tried_again_with_gaps_that_grow_and_is_dead_after_three_days(ada: Profile, by: By) -> None:
    with receiver() as gone:
        url = gone.url
    made = put(ada, url, by)
    gaps = []
    for _try in range(4):
        before = timezone.now()
        work()
        made.refresh_from_db()
        assert made.next_try_at is not None
        gaps.append((made.next_try_at - before).total_seconds())
        due_now()
        sending.rouse()

    assert gaps == sorted(gaps)
    assert gaps[3] > 10 * gaps[0]
    Delivery.objects.update(waiting_since=timezone.now() - patience.LIFE)
    work()

    made.refresh_from_db()
    assert (made.state, made.tries, made.next_try_at) == ("dead", 5, None)
    assert made.finished_at is not None
    assert made.error


@pytest.mark.parametrize(
    ("wishes", "longest"),
    [
        ({}, patience.LONGEST_GAP),
        ({"is_hourly": True}, patience.HOUR),
        ({"is_daily": True}, patience.DAY),
    ],
)
def test_gaps_grow_up_to_what_is_wished_for(wishes: dict[str, bool], longest: float) -> None:
    gaps = [patience.gap(tries, **wishes).total_seconds() for tries in range(1, 40)]

    assert 8 <= gaps[0] <= 12
    assert all(0.8 * longest <= one <= 1.2 * longest for one in gaps[20:])
    # No two in step.
    assert len(set(gaps)) == len(gaps)


@pytest.mark.parametrize("tries", [10, 20, 30])
def test_wishes_widen_the_gaps(tries: int) -> None:
    wishes: list[dict[str, bool]] = [{}, {"is_hourly": True}, {"is_daily": True}]
    gaps = [patience.gap(tries, **wish) for wish in wishes]

    assert gaps == sorted(gaps)


def test_both_wishes_are_each_hour_for_a_day_and_each_day_then() -> None:
    gaps = [patience.gap(tries, is_hourly=True, is_daily=True).total_seconds() for tries in range(1, 40)]
    # Six grow from ten seconds to 40 minutes, each give or take a fifth.
    growing, hourly, daily = gaps[:6], gaps[6:30], gaps[30:]

    assert growing == sorted(growing)
    assert all(0.8 * patience.HOUR <= one <= 1.2 * patience.HOUR for one in hourly)
    assert all(0.8 * patience.DAY <= one <= 1.2 * patience.DAY for one in daily)


def test_who_is_gone_for_good_gets_no_second_try(ada: Profile, by: By) -> None:
    with receiver(answers(410, b"Closed")) as closed:
        made = put(ada, closed.url, by)

        work()

    made.refresh_from_db()
    assert (made.state, made.status_code, made.answer) == ("dead", 410, "Closed")


@pytest.mark.parametrize("form", ["1800", "date", "nonsense", "999999999"])
def test_a_receiver_may_ask_for_more_time_but_not_for_ever(form: str, ada: Profile, by: By) -> None:
    from email.utils import format_datetime

    in_half_an_hour = format_datetime(timezone.now() + datetime.timedelta(minutes=30))
    with receiver(answers(429, b"", f"Retry-After: {in_half_an_hour if form == 'date' else form}")) as busy:
        made = put(ada, busy.url, by)

        work()

    made.refresh_from_db()
    assert made.next_try_at is not None
    waits = (made.next_try_at - timezone.now()).total_seconds()
    least, most = {"nonsense": (0, 15), "999999999": (80_000, 86_400)}.get(form, (1_500, 1_800))
    assert least <= waits <= most


def test_what_its_webhook_does_not_want_any_more_is_not_sent(ada: Profile, by: By, shop: Receiver) -> None:
    made, behind = put(ada, shop.url, by), put(ada, shop.url, by)
    assert made.webhook
    made.webhook.delete()

    work()

    made.refresh_from_db()
    assert (made.state, made.status_code) == ("dead", None)
    assert "deleted" in made.error
    assert shop.ids == [behind.message_id]
    assert Target.objects.get().failures == 0


def test_a_profiles_deliveries_go_in_their_order_through_failures(ada: Profile, bo: Profile, by: By) -> None:
    with receiver(answers(500)) as shop:
        line = [put(ada, shop.url, by) for _number in range(4)]
        other = put(bo, shop.url, by)
        work()
        assert sorted(shop.ids) == sorted([line[0].message_id, other.message_id])
        go_on()
        assert set(shop.ids) == {line[0].message_id, other.message_id}
        shop.behaviour = answers()
        go_on()

    assert [one for one in shop.first_times if one != other.message_id] == [one.message_id for one in line]
    assert set(Delivery.objects.values_list("state", flat=True)) == {"delivered"}


def test_the_one_behind_a_dead_one_is_still_tried(ada: Profile, by: By, shop: Receiver) -> None:
    shop.behaviour = answers(400)
    first, second = put(ada, shop.url, by), put(ada, shop.url, by)
    Delivery.objects.update(waiting_since=timezone.now() - patience.LIFE)
    first_only = lambda sock, got: answers(400 if got.id == first.message_id else 200)(sock, got)  # noqa: E731
    shop.behaviour = first_only

    work()

    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, second.state) == ("dead", "delivered")


def test_what_matters_more_goes_first_but_not_before_its_own_line(
    ada: Profile, bo: Profile, by: By, settings: Any
) -> None:
    settings.DELIVERIES_PER_TARGET = 1
    with receiver() as shop:
        low = put(ada, shop.url, by, queue="low")
        behind = put(ada, shop.url, by, queue="high")
        plain = put(None, shop.url, by)
        high = put(bo, shop.url, by, queue="high")

        work()

    assert shop.ids == [one.message_id for one in (high, plain, low, behind)]


@pytest.mark.parametrize(
    "behaviour",
    [
        answers(500, b"the answer"),
        raw(b"HTTP/1.1 500 X\r\nX: y\r\nno header but the answer\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_nothing_that_is_sent_or_answered_is_logged(
    behaviour: Behaviour, ada: Profile, by: By, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    with receiver(behaviour) as shop:
        put(ada, f"{shop.url}&token=of-the-address", by, {"first_name": "the body"})

        work()

    assert shop.requests
    assert "Delivery" in caplog.text
    for secret in ("the answer", "the body", "of-the-address", SECRET):
        assert secret not in caplog.text
