"""The short way to a look-up: the same answers as the view's, and nothing odd gets past its rules."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import OperationalError, connection
from django.db.backends.base.base import BaseDatabaseWrapper
from django.urls import resolve

from identities import lookup
from identities.models import Handle, Identity
from identities.views import CustomerTokenViewSet, IdentityViewSet
from omneo_identity.api.quick import quickly
from omneo_identity.urls import QUICK
from omneo_identity.wsgi import application
from profiles.models import Profile
from profiles.views import OwnProfileViewSet
from tests.api.conftest import CARD

pytestmark = pytest.mark.django_db

SEARCH = f"/identities/search?handle={CARD}&identifier=1804974"


@dataclass
class Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""

    def data(self) -> Any:
        return json.loads(self.content)["data"]


Get = Callable[..., Answer]


@pytest.fixture
def get(api, monkeypatch) -> Get:
    """Ask the application that the server serves, as the server does."""
    # The test's transaction is on the connection, which the end of a request would therefore give up.
    if connection.in_atomic_block:
        monkeypatch.setattr(BaseDatabaseWrapper, "close_if_unusable_or_obsolete", lambda _self: None)

    def get(
        path: str,
        *,
        method: str = "GET",
        plain: str = api.plain,
        body: bytes = b"",
        served: Any = application,
        **more: str,
    ) -> Answer:
        path, _mark, query = (path if path.startswith("/id/") else f"/api/v3{path}").partition("?")
        environ = {
            "REQUEST_METHOD": method,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": "testserver",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "HTTP_HOST": "testserver",
            "HTTP_AUTHORIZATION": f"Bearer {plain}",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": io.StringIO(),
            **({"CONTENT_LENGTH": str(len(body))} if body else {}),
            **more,
        }
        answer = Answer()

        def start_response(status, headers, *exc_info):
            answer.status, answer.headers = int(status.split()[0]), dict(headers)
            return answer.content

        parts = served(environ, start_response)
        answer.content = b"".join(parts)
        return answer

    return get


@pytest.fixture
def warm(get: Get, ada: Any) -> Get:
    """The same, after one look-up that Django has let pass."""
    answer: Answer = get(SEARCH)
    assert answer.status == 200
    return get


@pytest.fixture
def seen(monkeypatch) -> list[str]:
    """Which requests the view has answered."""
    asked: list[str] = []
    search = IdentityViewSet.search

    def note(self, request):
        asked.append(request.get_full_path())
        return search(self, request)

    monkeypatch.setattr(IdentityViewSet, "search", note)
    return asked


def test_every_short_way_is_a_route() -> None:
    for path in QUICK:
        assert resolve(path).route == path.removeprefix("/")


def test_a_good_look_up_does_not_ask_the_view_and_is_one_statement(warm, seen, django_assert_num_queries, settings):
    settings.TOKEN_CACHE_SECONDS = 5
    assert warm(SEARCH).status == 200

    with django_assert_num_queries(1):
        assert warm(SEARCH).status == 200

    assert seen == []


def test_the_first_of_its_kind_is_the_views(get, ada, seen) -> None:
    for host in ("127.0.0.1", "127.0.0.1", "localhost"):
        assert get(SEARCH, HTTP_HOST=host).status == 200

    assert len(seen) <= 2


@pytest.mark.parametrize(
    ("handle", "identifier"),
    [
        (CARD, "1804974"),
        (CARD, " 1804974 "),
        ("email", "ADA@example.com"),
        ("mobile_phone", "0404 123 123"),
        ("instagram", "ADA.lovelace"),
        ("former", "ADA.lovelace"),
        ("pos", "Zürich/1?&=#+ %"),
    ],
)
def test_it_answers_what_the_view_answers(api, ada, warm, seen, handle, identifier) -> None:
    Handle.objects.create(name="former", status="retired", renamed_to_id="instagram")
    api.identity(ada, "instagram", "Ada.Lovelace", is_active=False)
    api.identity(ada, "pos", "Zürich/1?&=#+ %")
    path = f"/identities/search?{urlencode({'handle': handle, 'identifier': identifier})}"

    short = warm(path)
    assert seen == []
    long = warm(f"{path}&more=1")

    assert len(seen) == 1
    assert (short.status, short.content) == (long.status, long.content) and short.status == 200
    assert short.headers.pop("X-Request-ID") != long.headers.pop("X-Request-ID")
    assert short.headers == long.headers


def test_it_says_nothing_but_what_is_so_now(warm, ada) -> None:
    Identity.objects.filter(handle=CARD).update(is_active=False)
    assert warm(SEARCH).data()["is_active"] is False

    Profile.objects.filter(pk=ada["id"]).update(profile_type="deleted")
    assert warm(SEARCH).status == 404


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/identities/search", 422),
        (f"/identities/search?handle={CARD}", 422),
        (f"/identities/search?handle={CARD}&identifier=", 422),
        (f"/identities/search?handle={CARD}&identifier=1%00", 422),
        (f"{SEARCH}&filter[x]=1", 422),
        (f"{SEARCH}&include=everything", 422),
        (f"/identities/search?handle={CARD}&identifier=77", 404),
        ("/identities/search?handle=nobody-knows-it&identifier=77", 404),
        (f"{SEARCH}&identifier=1804974", 200),
        (f"{SEARCH}&include=transactions", 200),
        (f"{SEARCH}&{'&'.join(f'x{number}=1' for number in range(20))}", 200),
        ("/identities/search/?handle=pos&identifier=1", 404),
        (f"/identities//search?{SEARCH.partition('?')[2]}", 200),
    ],
)
def test_whatever_is_odd_is_the_views(warm, seen, path, status) -> None:
    answer = warm(path)

    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/json"
    assert seen or status == 422


def test_a_token_is_asked_for_its_scope_its_limit_and_its_end(warm, seen, caller) -> None:
    assert warm(SEARCH, plain=caller("read-profiles").plain).status == 200
    assert seen == []
    assert warm(SEARCH, plain=caller("read-transactions").plain).status == 403
    limited = caller(rate_limit=2)
    assert [warm(SEARCH, plain=limited.plain).status for _one in range(3)] == [200, 200, 429]
    revoked = caller()
    revoked.token.revoke()
    assert warm(SEARCH, plain=revoked.plain).status == 401
    assert warm(SEARCH, HTTP_AUTHORIZATION="Basic YTpi").status == 401


def test_other_methods_bodies_and_hosts_are_the_views(warm, seen) -> None:
    assert warm(SEARCH, method="POST").status == 405
    assert warm(SEARCH, method="HEAD").status == 200
    assert warm(SEARCH, HTTP_HOST="elsewhere.example").status == 400
    assert warm(SEARCH, HTTP_HOST="elsewhere.example").status == 400, "what was refused is not learned"
    assert warm(SEARCH, HTTP_TRANSFER_ENCODING="chunked").status == 411
    assert warm(SEARCH, body=b'{"handle": "pos"}').status == 200
    assert len(seen) == 2


def test_plain_http_is_redirected_on_the_short_way_too(settings, get, ada) -> None:
    settings.SECURE_SSL_REDIRECT = True
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    served = quickly(get_wsgi_application(), QUICK)

    def ask(scheme: str) -> int:
        return int(get(SEARCH, served=served, HTTP_X_FORWARDED_PROTO=scheme).status)

    assert [ask(scheme) for scheme in ("https", "https", "http", "https", "http")] == [200, 200, 301, 200, 301]


def test_a_caller_who_plays_with_the_host_fills_no_memory(monkeypatch, settings, get, ada, seen) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    monkeypatch.setattr("omneo_identity.api.quick.MOST_KINDS", 3)
    served = quickly(get_wsgi_application(), QUICK)

    for _round in range(2):
        for number in range(10):
            assert get(SEARCH, served=served, HTTP_HOST=f"host{number}.example").status == 200
    assert len(seen) == 20

    for _again in range(2):
        get(SEARCH, served=served, HTTP_HOST="crm.example.com")
    assert len(seen) == 21, "whoever comes later is learned all the same"


def giving_cookies(application: Any) -> Any:
    """An application that gives whoever has a cookie another one."""

    def call(environ, start_response):
        def start(status, headers, *more):
            given = [("Set-Cookie", f"{environ['HTTP_COOKIE']}y")] if "HTTP_COOKIE" in environ else []
            return start_response(status, [*headers, *given], *more)

        return application(environ, start)

    return call


def test_what_is_answered_to_one_browser_goes_to_nobody_else(get, ada, seen) -> None:
    served = quickly(giving_cookies(get_wsgi_application()), QUICK)
    odd = "x=y"

    first = get(SEARCH, served=served, HTTP_COOKIE=odd)
    assert "Set-Cookie" in first.headers
    for _later in range(2):
        assert "Set-Cookie" not in get(SEARCH, served=served).headers
    assert "Set-Cookie" in get(SEARCH, served=served, HTTP_COOKIE=odd).headers
    assert len(seen) == 3


def test_a_fault_on_the_short_way_is_told_by_the_view(warm, monkeypatch) -> None:
    search, faults = lookup.search, [RuntimeError("ours")]

    def fail_once(*args, **kwargs):
        if faults:
            raise faults.pop()
        return search(*args, **kwargs)

    monkeypatch.setattr(lookup, "search", fail_once)

    assert warm(SEARCH).status == 200


def test_the_request_id_and_the_access_log_are_the_same(warm, caplog) -> None:
    caplog.set_level("INFO", "omneo_identity.access")

    assert warm(SEARCH, HTTP_X_REQUEST_ID="till-7.42").headers["X-Request-ID"] == "till-7.42"
    assert warm(SEARCH, HTTP_X_REQUEST_ID="a b").headers["X-Request-ID"] != "a b"

    assert [record.getMessage().rpartition(" ")[0].rpartition(" ")[0] for record in caplog.records] == [
        "GET /api/v3/identities/search 200"
    ] * 2


def test_a_database_that_does_not_answer_is_a_503_as_anywhere(warm, monkeypatch) -> None:
    def fail(*args, **kwargs):
        raise OperationalError("gone")

    monkeypatch.setattr(lookup, "search", fail)

    assert warm(SEARCH).status == 503


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("seconds", "is_kept"), [(None, True), (0, False)])
def test_a_connection_is_kept_as_long_as_the_settings_say(warm, monkeypatch, seconds, is_kept) -> None:
    monkeypatch.setitem(connection.settings_dict, "CONN_MAX_AGE", seconds)
    connection.close()

    assert warm(SEARCH).status == 200

    assert (connection.connection is not None) is is_kept


# Customer tokens

ME, ISSUE = "/id/api/v1/profiles/me", "/id/api/v1/auth/token"


@pytest.fixture
def seen_own(monkeypatch) -> list[str]:
    """Which requests the views of customer tokens have answered."""
    asked: list[str] = []

    def note(view: Any, action: str) -> None:
        answer = getattr(view, action)

        def noting(self, request):
            asked.append(request.path)
            return answer(self, request)

        noting.kwargs = getattr(answer, "kwargs", {})  # type: ignore[attr-defined]
        monkeypatch.setattr(view, action, noting)

    note(OwnProfileViewSet, "retrieve")
    note(CustomerTokenViewSet, "create")
    return asked


def issue(get: Get, body: Any, **more: Any) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return get(ISSUE, method="POST", body=raw, **more)


@pytest.fixture
def customer(get: Get, ada: Any) -> str:
    """A token of Ada's, after one answer of each way that Django has let pass."""
    token: str = issue(get, {"id": "1804974", "id_handle": CARD}).data()["token"]
    assert get(ME, plain=token).status == 200
    return token


def test_issuing_and_reading_ones_own_profile_do_not_ask_the_views(
    get, ada, customer, seen_own, django_assert_num_queries, settings
) -> None:
    settings.TOKEN_CACHE_SECONDS = 5
    for body in ({"id": "1804974", "id_handle": CARD}, {"id": ada["id"]}, {"id": ada["id"], "id_handle": ""}):
        issue(get, body)
        with django_assert_num_queries(1):
            issued = issue(get, body)
        assert sorted(issued.data()) == ["exp", "token"]
        with django_assert_num_queries(1):
            assert get(ME, plain=issued.data()["token"]).data()["id"] == ada["id"]

    assert seen_own == []


def test_they_answer_what_the_views_answer(get, ada, customer, seen_own) -> None:
    short, long = get(ME, plain=customer), get(f"{ME}/", plain=customer)

    assert (short.status, short.content) == (long.status, long.content)
    assert short.headers.pop("X-Request-ID") != long.headers.pop("X-Request-ID")
    assert short.headers == long.headers
    assert seen_own == [ME]

    body = {"id": "1804974", "id_handle": CARD}
    short, long = issue(get, body), issue(get, {**body, "more": 1})
    for answer in (short, long):
        answer.headers.pop("X-Request-ID")
    assert (short.status, short.headers, list(short.data())) == (long.status, long.headers, list(long.data()))
    assert seen_own == [ME, ISSUE]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 200),
        (b"{}", 200),
        ({"id": ""}, 200),
        ({"id": 1804974, "id_handle": CARD}, 200),
        ({"id": "1804974", "id_handle": None}, 404),
        ({"id": "1804974"}, 404),
        ({"id": "nobody", "id_handle": CARD}, 404),
        ({"id": "x" * 300, "id_handle": CARD}, 404),
        ({"id": "1804974\n", "id_handle": CARD}, 200),
        ({"id": "a\0b", "id_handle": CARD}, 422),
        ({"id": "1", "id_handle": "x" * 256}, 422),
        ({"id": ["1"], "id_handle": CARD}, 422),
        (b"[]", 422),
        (b'"text"', 422),
        (b"{", 400),
        (b'{"id": "\xff"}', 400),
        (b'{"id": "\\ud800"}', 400),
        (b'{"id": "1"}' + b" " * 5_000, 404),
    ],
    ids=repr,
)
def test_whatever_is_odd_about_a_body_is_the_views(get, ada, customer, seen_own, body, status) -> None:
    answer = issue(get, body)

    assert answer.status == status, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    # What is no JSON is refused before the view.
    assert seen_own == [ISSUE] or status == 400


def test_who_may_not_is_told_so_by_the_views(get, caller, api, ada, customer) -> None:
    body = {"id": ada["id"]}
    assert issue(get, body, plain=caller("read-profiles").plain).status == 403
    limited = caller(rate_limit=2)
    assert [issue(get, body, plain=limited.plain).status for _one in range(3)] == [200, 200, 429]
    assert issue(get, body, plain=customer).status == 401
    assert get(ISSUE).status == 405
    assert get(ME, plain=api.plain).status == 401
    assert get(ME, plain=f"{customer}x").status == 401
    assert get(ME, plain=issue(get, {}).data()["token"]).status == 404
    assert get(f"{ME}?include=profile", plain=customer).status == 422
    assert get(ME, plain=customer, method="PUT", body=b'{"company": "x"}').data()["company"] == "x"
    assert get(ME, plain=customer).data()["company"] == "x"


def test_pages_of_other_hosts_are_told_apart(get, ada, customer, seen_own) -> None:
    for origin in ("https://shop.example", "https://other.example", "https://shop.example"):
        assert get(ME, plain=customer, HTTP_ORIGIN=origin).status == 200

    # Each has headers of its own, which the first answer to it tells.
    assert seen_own == [ME, ME]
