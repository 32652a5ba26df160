"""What every answer tells the browser to refuse: policy, cookies, caches."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpResponse
from django.test import Client, RequestFactory

from identities.models import ApiToken
from omneo_identity.api.auth import SCOPES
from omneo_identity.policy import NOTHING
from profiles.admin.profile import ProfileAdmin
from tests.staff import holding
from tests.test_permissions import ADMIN, API, address, one_of_each, staff
from tests.test_settings import PRODUCTION, load  # noqa: F401  # a fixture

# Of a page; `data:` is for the pictures in Swagger UI's stylesheet.
PAGE = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self'",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
# They show nothing of anybody.
CACHEABLE = {"admin:jsi18n", "admin:password_change", "admin:password_change_done"}
DOCS = PAGE | {"img-src": "'self' data:"}


def policy(response: Any) -> dict[str, str]:
    header = response.headers["Content-Security-Policy"]
    return dict(directive.split(" ", 1) for directive in header.split("; "))


class Inline(HTMLParser):
    """Collects what a policy without 'unsafe-inline' forbids in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name: value or "" for name, value in attrs}
        is_inline = tag == "style" or (tag == "script" and "src" not in names)
        if is_inline or any(name == "style" or name.startswith("on") for name in names):
            self.found.append(self.get_starttag_text() or tag)
        if any(value.strip().lower().startswith("javascript:") for value in names.values()):
            self.found.append(self.get_starttag_text() or tag)


def test_every_url_sends_its_policy_and_nothing_that_breaks_it(by: Any) -> None:
    rows, superuser = one_of_each(), staff(superuser=True)
    _token, plain = ApiToken.issue(user=by.user, name="Test", scopes=list(SCOPES))
    headers = {"Authorization": f"Bearer {plain}"}

    for name, method in (*ADMIN, *API):
        if name == "admin:logout":
            continue
        response = superuser.generic(method, address(name, rows), b"{}", "application/json", headers=headers)

        for header, value in HEADERS.items():
            assert response.headers[header] == value, (name, header)
        if name.startswith("admin:") and name not in CACHEABLE and response.status_code == 200:
            assert "no-store" in response.headers["Cache-Control"], name
        if response.headers.get("Content-Type") == "application/json":
            assert response.headers["Content-Security-Policy"] == NOTHING, name
        else:
            assert policy(response) == (DOCS if name == "docs" else PAGE), name
            assert Inline(response.content.decode()).found == [], name


@pytest.mark.parametrize("path", ["/admin/login/", "/static/omneo/docs.js", "/static/nowhere.css", "/nowhere", "/"])
def test_so_does_what_needs_no_login(path: str, db: None) -> None:
    answer = Client().get(path)
    answer.close()

    assert policy(answer) == PAGE


def test_error_pages_send_the_policy(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    superuser = staff(superuser=True)
    superuser.raise_request_exception = False

    bad_request = superuser.get("/admin/", headers={"Host": "evil.example.com"})
    not_found = superuser.get("/admin/profiles/profile/0198f3a0-0000-7000-8000-000000000000/delete/")
    forbidden = holding().get("/admin/profiles/profile/")
    monkeypatch.setattr(ProfileAdmin, "get_queryset", lambda *_: 1 / 0)
    failed = superuser.get("/admin/profiles/profile/")

    answers = [bad_request, forbidden, not_found, failed]
    assert [answer.status_code for answer in answers] == [400, 403, 404, 500]
    for answer in answers:
        assert policy(answer) == PAGE
        assert Inline(answer.content.decode()).found == []


def test_errors_of_the_api_send_the_policy_of_json(db: None) -> None:
    for answer in (Client().get("/api/nowhere"), Client().get("/api/v3/profiles"), Client().post("/api/docs")):
        assert answer.status_code in (401, 404, 405)
        assert answer.headers["Content-Security-Policy"] == NOTHING


def test_a_form_that_is_too_old_says_so_in_a_page(db: None) -> None:
    answer = Client(enforce_csrf_checks=True).post("/admin/login/", {"username": "ada", "password": "secret"})

    assert answer.status_code == 403
    assert "load that page again" in answer.content.decode()
    assert policy(answer) == PAGE
    assert Inline(answer.content.decode()).found == []


def test_a_redirect_to_https_sends_the_policy(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True

    answer = Client().get("/admin/")

    assert (answer.status_code, answer.headers["Location"]) == (301, "https://testserver/admin/")
    assert policy(answer) == PAGE


def logged_in(user: User, **how: Any) -> tuple[Client, Any]:
    client = Client()
    answer = client.post("/admin/login/", {"username": user.username, "password": "secret"}, **how)
    assert answer.status_code == 302
    return client, answer


@pytest.fixture
def superuser(db: None) -> User:
    return User.objects.create_superuser("superuser", password="secret")


def test_cookies_are_for_this_site_and_no_script(superuser: User) -> None:
    _client, answer = logged_in(superuser)

    assert set(answer.cookies) == {"sessionid", "csrftoken"}
    for cookie in answer.cookies.values():
        assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Lax", "/", "")
    assert answer.cookies["sessionid"]["max-age"] == 12 * 60 * 60


def test_with_https_cookies_go_over_https_only_and_no_neighbour_can_set_them(
    superuser: User,
    settings: Any,
    load: Any,  # noqa: F811
) -> None:
    production = load(**PRODUCTION)
    for name in ("SESSION_COOKIE_NAME", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_NAME", "CSRF_COOKIE_SECURE"):
        setattr(settings, name, production[name])

    client, answer = logged_in(superuser, secure=True)

    assert set(answer.cookies) == {"__Host-sessionid", "__Host-csrftoken"}
    for cookie in answer.cookies.values():
        assert (cookie["secure"], cookie["path"], cookie["domain"]) == (True, "/", "")
    assert client.get("/admin/", secure=True).status_code == 200


def test_reading_pages_neither_prolongs_the_session_nor_writes_it(superuser: User) -> None:
    client, _answer = logged_in(superuser)
    before = Session.objects.values().get()

    for _ in range(2):
        assert "sessionid" not in client.get("/admin/profiles/profile/").cookies

    assert Session.objects.values().get() == before


def test_a_new_password_ends_the_other_sessions(superuser: User) -> None:
    (one, _), (other, _) = logged_in(superuser), logged_in(superuser)
    typed = {"old_password": "secret", "new_password1": "correct horse", "new_password2": "correct horse"}

    assert one.post("/admin/password_change/", typed).status_code == 302

    assert one.get("/admin/").status_code == 200
    assert other.get("/admin/").status_code == 302


def test_a_session_from_before_the_login_is_not_the_one_after(superuser: User) -> None:
    client = Client()
    session = client.session
    session.save()
    client.cookies["sessionid"] = session.session_key or ""

    client.post("/admin/login/", {"username": "superuser", "password": "secret"})

    assert client.cookies["sessionid"].value != session.session_key
    assert not Session.objects.filter(pk=session.session_key).exists()


@pytest.mark.parametrize(
    ("path", "is_pages"), [("/admin/", True), ("/api/v3/profiles", False), ("/api/nowhere", False)]
)
def test_a_session_is_for_pages_only(path: str, is_pages: bool, db: None) -> None:
    client = Client()
    client.cookies["sessionid"] = "x"

    answer = client.get(path)

    # Django takes back one that cannot be a session, as soon as it has looked for it.
    assert ("sessionid" in answer.cookies) == is_pages
    assert hasattr(answer.wsgi_request, "session") == is_pages
    for header, value in HEADERS.items():
        assert answer.headers[header] == value


def test_a_view_under_the_api_that_takes_forms_would_take_no_foreign_ones(rf: RequestFactory) -> None:
    handler = WSGIHandler()
    request = rf.post("/api/v3/profiles", {"first_name": "Eve"})

    assert [
        check(request, lambda request: HttpResponse(), (), {}).status_code
        for check in handler._view_middleware  # type: ignore[attr-defined]
    ] == [403]
