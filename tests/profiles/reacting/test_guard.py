"""Where deliveries may go. Names are resolved by a stand-in here, since the point is what a name leads to."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from profiles.reacting import guard, posting
from profiles.refusing import Refused
from tests.receiving import answers, receiver

INSIDE = [
    "0.0.0.1",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "3fff::1",
    "5f00::1",
    "168.63.129.16",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]

OUTSIDE = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.15.255.255",
    "172.32.0.1",
    "192.167.1.1",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2600::1",
    "2a00:1450:4001:80b::200e",
]

# What a resolver of the system takes for an address, too.
SPELLINGS = [
    "http://127.0.0.1/",
    "http://127.1/",
    "http://0x7f.1/",
    "http://0x7f000001/",
    "http://2130706433/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.0.0.1./",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[fe80::1]/",
    "http://0/",
    "https://10.0.0.1:8443/hook",
    "http://3232235777/",
]

NO_ADDRESSES = [
    "",
    "hooks.example.com",
    "//hooks.example.com/",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://hooks.example.com/",
    "http://",
    "http:///path",
    "http://hooks.example.com:0/",
    "http://.../",
    "http://hooks.example.com:99999/",
    "http://name:password@hooks.example.com/",
    "http://hooks.example.com\r\nX: y/",
    "http://hooks.example.com/a b",
    "http://hooks.example.com\\@127.0.0.1/",
    "http://[fe80::1%25eth0]/",
    "http://[::1/",
    "http://１２７.0.0.1/",
    "http://hooks..example.com/",
    "http://.example.com/",
    f"http://{'x' * 64}.example.com/",
    "http://bücher..example/",
    "http://hooks.example.com/" + "x" * 2048,
    "http://hooks.example.com/" + "ü" * 1024,
]


@pytest.fixture(autouse=True)
def nothing_is_allowed(settings: Any) -> None:
    settings.WEBHOOK_ALLOW = []


@pytest.mark.parametrize("address", INSIDE)
def test_what_is_not_a_host_of_the_outside_world_is_refused_in_each_form(address: str) -> None:
    assert not guard.is_outside(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_a_host_of_the_outside_world_is_not(address: str) -> None:
    assert guard.is_outside(ipaddress.ip_address(address))


@pytest.mark.parametrize("url", SPELLINGS)
def test_however_an_address_inside_is_written_it_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="private or reserved|whole address"):
        guard.read(url)
    answer = posting.post(url, b"{}", {})
    assert (answer.status, bool(answer.error)) == (None, True)


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_address_is_refused_when_it_is_typed(url: str) -> None:
    with pytest.raises(Refused) as refused:
        guard.read(url)

    assert (refused.value.code, refused.value.field) == ("invalid", "url")


@pytest.mark.parametrize(
    ("url", "host", "named"),
    [
        ("https://Hooks.Example.com/a?b=c#d", "hooks.example.com", "hooks.example.com"),
        ("http://hooks.example.com:8080", "hooks.example.com", "hooks.example.com:8080"),
        ("https://bücher.example/ä", "xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("http://[2600::1]:81/", "2600::1", "[2600::1]:81"),
    ],
)
def test_a_name_is_taken_as_it_will_be_asked(url: str, host: str, named: str) -> None:
    place = guard.read(url)

    assert (place.host, place.named) == (host, named)


Resolver = Callable[..., list[Any]]


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names lead to these, one after the other and then always to the last. Returns what was asked for."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def getaddrinfo(host: str, port: Any, *args: Any, **options: Any) -> list[Any]:
        try:
            return real(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        except OSError:
            if options.get("flags", 0) & socket.AI_NUMERICHOST:
                raise
        found = answers[min(len(asked), len(answers) - 1)]
        asked.append(host)
        return [row for one in found for row in real(one, port, type=socket.SOCK_STREAM)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:169.254.169.254"], ["::1", "2600::1"]]
)
def test_a_name_that_leads_inside_by_a_single_address_is_refused(
    found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, found)

    answer = posting.post("http://hooks.example.com/", b"{}", {})

    assert "private or reserved" in answer.error


def test_a_name_that_leads_elsewhere_a_moment_later_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: outside when it is checked, inside when it is connected to."""
    connected: list[Any] = []

    def connect(address: Any, *_args: Any, **_options: Any) -> socket.socket:
        connected.append(address)
        raise OSError

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect)
    with receiver() as inside:
        asked = resolving(monkeypatch, ["8.8.8.8"], ["127.0.0.1"])

        answer = posting.post(f"http://hooks.example.com:{inside.port}/", b"{}", {})

        assert asked == ["hooks.example.com"]
        assert [host for host, _port in connected] == ["8.8.8.8"]
        assert inside.connections == 0
        assert answer.error


def test_a_name_that_changes_between_tries_is_checked_at_each(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as inside:
        resolving(monkeypatch, ["127.0.0.1"])
        assert "private or reserved" in posting.post(f"http://hooks.example.com:{inside.port}/", b"{}", {}).error
        assert inside.connections == 0


@pytest.mark.parametrize("entry", ["127.0.0.1", "127.0.0.0/8", "hooks.example.com"])
def test_what_is_allowed_by_the_setting_is_sent_to_and_by_its_own_name(
    entry: str, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.WEBHOOK_ALLOW = [entry]
    resolving(monkeypatch, ["127.0.0.1"])
    with receiver() as shop:
        answer = posting.post(f"http://hooks.example.com:{shop.port}/x", b"{}", {})

    assert answer.status == 200
    assert shop.requests[0].headers["host"] == f"hooks.example.com:{shop.port}"


def test_what_is_allowed_allows_nothing_else(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.WEBHOOK_ALLOW = ["10.1.0.0/16", "other.example.com"]
    resolving(monkeypatch, ["10.2.0.1"])

    assert "WEBHOOK_ALLOW" in posting.post("http://hooks.example.com/", b"{}", {}).error


def test_a_redirect_inside_is_not_followed(settings: Any) -> None:
    settings.WEBHOOK_ALLOW = ["127.0.0.1"]
    with receiver() as inside, receiver(answers(307, b"", f"Location: {inside.url}")) as shop:
        answer = posting.post(shop.url, b"{}", {})

    assert (answer.status, answer.is_yes) == (307, False)
    assert "redirect" in answer.error
    assert inside.connections == 0


def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.WEBHOOK_ALLOW = ["127.0.0.1"]
    with receiver() as proxy, receiver() as shop:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")

        assert posting.post(shop.url, b"{}", {}).status == 200

    assert proxy.connections == 0


def test_a_resolver_that_takes_too_long_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from profiles.reacting import patience

    monkeypatch.setattr(patience, "TIMEOUT", 0.2)
    never = threading.Event()
    real = socket.getaddrinfo

    def getaddrinfo(*args: Any, **options: Any) -> Any:
        if options.get("flags", 0) & socket.AI_NUMERICHOST:
            return real(*args, **options)
        return never.wait(30)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    answer = posting.post("http://hooks.example.com/", b"{}", {})

    never.set()
    assert "not resolved in time" in answer.error


def test_the_next_address_is_tried_where_the_first_takes_no_connection(
    monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    settings.WEBHOOK_ALLOW = ["127.0.0.0/8"]
    resolving(monkeypatch, ["127.0.0.9", "127.0.0.1"])
    with receiver() as shop:
        assert posting.post(f"http://hooks.example.com:{shop.port}/", b"{}", {}).status == 200


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for hooks.example.com, signed by itself."""
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hooks.example.com"]
        + ["-addext", "subjectAltName=DNS:hooks.example.com", "-keyout", "key.pem", "-out", "certificate.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.mark.parametrize(
    ("host", "is_known", "arrives"),
    [("hooks.example.com", True, True), ("other.example.com", True, False), ("hooks.example.com", False, False)],
)
def test_over_tls_the_certificate_must_be_that_of_the_name(
    host: str,
    is_known: bool,
    arrives: bool,
    certificates: Path,
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> None:
    settings.WEBHOOK_ALLOW = ["127.0.0.1"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "certificate.pem", certificates / "key.pem")
    names: list[str | None] = []
    context.sni_callback = lambda _sock, name, _context: names.append(name)
    trusting = ssl.create_default_context(cafile=certificates / "certificate.pem" if is_known else None)
    monkeypatch.setattr(posting, "_tls", lambda: trusting)
    resolving(monkeypatch, ["127.0.0.1"])

    with receiver(context=context) as shop:
        answer = posting.post(f"https://{host}:{shop.port}/", b"{}", {})

    assert (answer.status == 200) is arrives
    assert len(shop.requests) == int(arrives)
    assert names == [host]
    if not arrives:
        assert "certificate" in answer.error
