"""The demo's receiver: it takes what is signed, refuses the rest, and shows both."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook

from omneo_identity.receiver import HOST, Receiver, free_port

SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver(free_port(8100), SECRET)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def post(receiver: Receiver, body: bytes, *, secret: str = SECRET, **changed: str) -> int:
    now = datetime.datetime.now(datetime.UTC)
    headers = {
        "X-Omneo-Event": "profile.updated",
        "X-Omneo-Hmac-SHA256": hmac.new(secret.encode(), body, hashlib.sha256).hexdigest(),
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret.encode()).sign("msg_1", now, body.decode()),
        **changed,
    }
    request = urllib.request.Request(address(receiver), body, headers, method="POST")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code


def address(receiver: Receiver, path: str = "/") -> str:
    return f"http://{HOST}:{receiver.server_address[1]}{path}"


def get(receiver: Receiver, path: str) -> str:
    with urllib.request.urlopen(address(receiver, path), timeout=10) as answer:  # noqa: S310
        return str(answer.read().decode())


def test_what_is_signed_is_taken_and_shown(receiver: Receiver) -> None:
    assert "Nothing has arrived yet" in get(receiver, "/")

    assert post(receiver, b'{"first_name": "<Ada>"}') == 200

    page = get(receiver, "/")
    assert "&lt;Ada&gt;" in page
    assert "WRONG" not in page
    (one,) = json.loads(get(receiver, "/received.json"))
    assert (one["event"], one["message_id"], one["body"]) == ("profile.updated", "msg_1", {"first_name": "<Ada>"})
    assert one["is_hmac_right"] and one["is_standard_right"]


@pytest.mark.parametrize(
    ("changed", "wrong"),
    [({"X-Omneo-Hmac-SHA256": "0" * 64}, "is_hmac_right"), ({"webhook-id": "msg_2"}, "is_standard_right")],
)
def test_each_signature_is_checked_by_itself(receiver: Receiver, changed: dict[str, str], wrong: str) -> None:
    assert post(receiver, b"{}", **changed) == 401

    (one,) = json.loads(get(receiver, "/received.json"))
    assert [name for name in ("is_hmac_right", "is_standard_right") if not one[name]] == [wrong]
    assert "WRONG" in get(receiver, "/")


def test_another_secret_is_wrong_by_both(receiver: Receiver) -> None:
    assert post(receiver, b"{}", secret="another secret of some length") == 401

    (one,) = json.loads(get(receiver, "/received.json"))
    assert not one["is_hmac_right"] and not one["is_standard_right"]


@pytest.mark.parametrize("signature", ["v1", "v1,abc", "v1,!", ""])
@pytest.mark.parametrize(
    "body", [b"{}", b"\xff\xfe", b"[" * 100_000, b'"\\ud800"'], ids=["json", "bytes", "deep", "lone"]
)
def test_whatever_arrives_is_answered_and_shown(receiver: Receiver, body: bytes, signature: str) -> None:
    assert post(receiver, b"{}", **{"webhook-signature": signature}) == 401
    unsigned = urllib.request.Request(address(receiver), body, {"webhook-signature": signature}, method="POST")  # noqa: S310
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(unsigned, timeout=10)  # noqa: S310
    refused.value.close()

    assert refused.value.code == 401
    assert get(receiver, "/").count("<article>") == len(json.loads(get(receiver, "/received.json"))) == 2
