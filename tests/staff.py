"""Staff at the admin's pages."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from typing import Any

from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from identities import authenticating
from identities.models import ApiToken


def member(group: str) -> Client:
    """Sign in as a new member of staff of one of the groups Reader, Editor and Admin."""
    user = User.objects.create_user(f"one of {group}", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    return signed_in(user)


def holding(*permissions: str) -> Client:
    """Sign in as a member of staff with only these permissions, such as "identities.view_handle"."""
    user = User.objects.create_user("-".join(permissions)[:150] or "powerless", is_staff=True)
    for permission in permissions:
        label, codename = permission.split(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=label, codename=codename))
    return signed_in(user)


def signed_in(user: User) -> Client:
    # Django looks each content type up once for a process: no page of a test is to be the one that pays for it.
    ContentType.objects.get_for_models(*apps.get_models())
    client = Client()
    client.force_login(user)
    client.user = user  # type: ignore[attr-defined]
    return client


def user_of(client: Client) -> User:
    user: User = client.user  # type: ignore[attr-defined]
    return user


def read(response: Any) -> str:
    """The page's text as a person reads it: without tags, entities resolved, white space as one blank."""
    assert response.status_code == 200, (response.status_code, response.headers.get("Location"))
    text = re.sub(r"<(script|style).*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def rows(response: Any) -> list[str]:
    """The rows of a list page, each as a person reads it."""
    assert response.status_code == 200, response.status_code
    found = re.findall(r"<tr><t[dh] class=.*?</tr>", response.content.decode(), flags=re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).split()) for row in found]


def links(response: Any) -> list[tuple[str, str]]:
    """The text and address of every link of a page, in order."""
    found = re.findall(r'<a [^>]*?href="([^"]*)"[^>]*>(.*?)</a>', response.content.decode(), flags=re.DOTALL)
    return [
        (" ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split()), html.unescape(url)) for url, text in found
    ]


def url_of(response: Any, text: str) -> str:
    """Where the one link with this text leads."""
    (url,) = (url for told, url in links(response) if told == text)
    return url


def filled(client: Client, url: str, **changed: Any) -> dict[str, Any]:
    """What a browser would send from the form on this page, with these fields changed."""
    return typed_on(client.get(url), **changed)


def typed_on(response: Any, **changed: Any) -> dict[str, Any]:
    """The same for a page that is there already."""
    form = Form()
    form.feed(response.content.decode())
    data = form.data | changed
    return {name: value for name, value in data.items() if value is not None}


def answer(client: Client, url: str, response: Any, **changed: Any) -> Any:
    """Say yes to the question that this page asks."""
    return client.post(url, typed_on(response, **changed))


def issued(response: Any) -> tuple[ApiToken, str]:
    """The token that this page shows, and its text."""
    found = re.search(r"omneo_[0-9a-f]{16}_[0-9a-f]{64}", read(response))
    assert found
    token = authenticating.authenticate(found.group())
    assert token
    return token, found.group()


class Form(HTMLParser):
    """Reads the fields of the forms that a page sends back, and no buttons."""

    def __init__(self) -> None:
        super().__init__()
        self.data: dict[str, Any] = {}
        self.text = self.choice = ""
        self.is_sent_back = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        name, value = found.get("name") or "", found.get("value") or ""
        kind = found.get("type")
        if tag == "form":
            self.is_sent_back = found.get("method") == "post"
        if not self.is_sent_back:
            return
        if tag == "input" and name and kind not in ("submit", "checkbox", "radio"):
            self.fill(name, value)
        elif tag == "input" and name and kind in ("checkbox", "radio") and "checked" in found:
            self.fill(name, value or "on")
        elif tag == "textarea":
            self.text, self.data[name] = name, ""
        elif tag == "select":
            self.choice, self.data[name] = name, ""
        elif tag == "option" and "selected" in found:
            self.data[self.choice] = value

    def fill(self, name: str, value: str) -> None:
        """Of one name there may be several values."""
        known = self.data.get(name)
        if known is None:
            self.data[name] = value
        elif isinstance(known, list):
            known.append(value)
        else:
            self.data[name] = [known, value]

    def handle_data(self, data: str) -> None:
        if self.text:
            # The first line break after the tag is no part of the value.
            self.data[self.text] += data if self.data[self.text] else data.removeprefix("\r").removeprefix("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.text = ""


def submit(client: Client, url: str, **changed: Any) -> Any:
    """Fill in the form on this page and send it."""
    return client.post(url, filled(client, url, **changed))
