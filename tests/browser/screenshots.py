"""Take the README's pictures from the demo, so that they never lie: `make screenshots`.

A copy of this checkout runs the demo on an empty database, a shop, a newsletter and a till write to it over HTTP, and
the pages are photographed as they then are.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from omneo_identity import demo
from tests.browser.chromium import EXECUTABLE, FLAGS

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURES = Path(__file__).resolve().parent / "pictures"

# A card of the sample, and three people whom the systems below mix up.
CARD = "1804974"
OTHERS = ["4954196", "4954146", "6089216"]


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="omneo-pictures-") as folder:
        checkout = Path(folder).resolve() / "checkout"
        _copy(checkout)
        with _demo(checkout) as printed:
            site, login, token = _printed(printed)
            _live(checkout, site, token)
            _manage(checkout, "play_day", "--url", site)
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=EXECUTABLE, args=FLAGS)
                page = browser.new_page(
                    base_url=site, viewport={"width": 1280, "height": 860}, timezone_id="Australia/Melbourne"
                )
                _sign_in(page, *login)
                _photograph(page)
                _photograph_merging(page, f"{site}/api/v3", token)
                browser.close()


def _copy(checkout: Path) -> None:
    """The files that git knows, as they are now, with the installed packages beside them."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name)
    (checkout / ".venv").symlink_to((ROOT / ".venv").resolve())


@contextlib.contextmanager
def _demo(checkout: Path) -> Iterator[str]:
    """Run the demo for the caller's time; gives what it printed until it was ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "omneo_identity.demo"]
    environment = {**os.environ, "PORT": port}
    environment.pop("DATABASE_URL", None)
    with subprocess.Popen(
        command,
        cwd=checkout,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            printed = ""
            for line in process.stdout or []:
                printed += line
                if line.startswith("Ctrl-C"):
                    break
            _wait(f"http://127.0.0.1:{port}/api/health")
            yield printed
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def _wait(url: str) -> None:
    for _try in range(600):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):  # noqa: S310
            return
        time.sleep(0.1)
    sys.exit("The demo did not come up.")


def _printed(text: str) -> tuple[str, tuple[str, str], str]:
    site = re.search(r"Admin: (http://[^/]+)", text)
    login = re.search(r"Login: (\S+) / (\S+)", text)
    token = re.search(r"API token: (\S+)", text)
    if not (site and login and token):
        sys.exit(f"The demo printed something else:\n{text}")
    return site[1], (login[1], login[2]), token[1]


def _live(checkout: Path, site: str, token: str) -> None:
    """An hour of a retailer: known, new, wrong and conflicting ids from several systems."""
    tokens = {"staff": token} | {slug: _token(checkout, slug) for slug in ("shopify", "klaviyo", "magento_id")}

    def call(who: str, method: str, path: str, body: Any = None) -> Any:
        return _call(f"{site}/api/v3{path}", method, tokens[who], body)

    def profile_of(card: str) -> str:
        found = call("staff", "GET", f"/identities/search?handle=loyalty-card&identifier={card}")
        return str(found["data"]["profile_id"])

    mitchell = profile_of(CARD)
    contact = {"email": "mitchell.green@example.com", "mobile_phone": "0404 123 123", "title": "Ms"}
    call("staff", "PUT", f"/profiles/{mitchell}", contact)
    for who, handle, identifier in (
        ("shopify", "shopify", "6432187489345"),
        ("klaviyo", "klaviyo", "01HXK3V7Q2M5Z8"),
        ("magento_id", "pos2", "C-20931"),
        ("staff", "apns", "740f4707bebcf74f9b7c25d48e3358945f6aa01da5ddb387"),
        ("staff", "instagram", "mitchell.green"),
    ):
        pair = {"handle": handle, "identifier": identifier}
        call(who, "POST", f"/profiles/{mitchell}/identities", pair)
    card = call("staff", "GET", f"/profiles/{mitchell}/identities/loyalty-card")["data"]
    call("staff", "PUT", f"/profiles/{mitchell}/identities/id/{card['id']}", {"is_primary": True})
    for position, other in enumerate(OTHERS):
        call(
            "klaviyo",
            "POST",
            f"/profiles/{profile_of(other)}/identities",
            {"handle": "klaviyo", "identifier": "01HXK3V7Q2M5Z8"},
        )
        call(
            "magento_id",
            "POST",
            f"/profiles/{profile_of(other)}/identities",
            {"handle": "pos2", "identifier": f"C-2093{position + 2}"},
        )
        cards = [{"handle": "loyalty-card", "identifier": number} for number in (CARD, other)]
        for _again in range(position + 1):
            call(
                "shopify",
                "POST",
                "/profiles",
                {
                    "first_name": "Mitchell",
                    "last_name": "Green",
                    "email": "",
                    "identities": [*cards, {"handle": "pos", "identifier": "unknown"}],
                },
            )


def _token(checkout: Path, slug: str) -> str:
    scopes = ["--scope", "create-profiles", "--scope", "update-profiles", "--scope", "read-profiles"]
    return _manage(checkout, "issue_token", "--name", f"{slug} production", "--extension", slug, *scopes).strip()


def _manage(checkout: Path, *arguments: str) -> str:
    command = [sys.executable, "manage.py", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    made = subprocess.run(command, cwd=checkout, env=environment, check=True, capture_output=True, text=True)
    return made.stdout


def _call(url: str, method: str, token: str, body: Any) -> Any:
    """Call the API. A refusal is what some of these writes are for."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
            return json.load(response)
    except urllib.error.HTTPError as error:
        if error.code not in (409, 422):
            raise
        return json.load(error)


def _sign_in(page: Page, name: str, password: str) -> None:
    page.goto("/admin/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def _photograph(page: Page) -> None:
    PICTURES.mkdir(exist_ok=True)
    for name, path in (
        ("start", "/admin/"),
        ("profile", f"/admin/search/?q={CARD}"),
        ("catalogue", "/admin/identities/handle/"),
        ("log", "/admin/identities/routinglogentry/"),
    ):
        page.goto(path)
        page.screenshot(path=PICTURES / f"{name}.png")


def _photograph_merging(page: Page, api: str, token: str) -> None:
    """One person whom a typing error has made two: compared, and merged, with a sale since, before the undo."""
    ids = [
        str(
            _call(f"{api}/identities/search?handle=loyalty-card&identifier={card}", "GET", token, None)["data"][
                "profile_id"
            ]
        )
        for card in (demo.CARD, demo.SAME_PERSON)
    ]
    contact = {"email": "ella@example.com", "gender": "female"}
    _call(f"{api}/profiles/{ids[1]}", "PUT", token, contact)
    page.goto(f"/admin/profiles/profile/merge/?ids={','.join(ids)}")
    page.screenshot(path=PICTURES / "merge.png")
    body = {"source_profile_id": ids[1], "destination_profile_id": ids[0], "reason": "One digit of the card."}
    (merge,) = _call(f"{api}/profiles/merge", "POST", token, body)["merges"]
    sale = {
        "profile_id": demo.SAME_PERSON,
        "profile_id_handle": "loyalty-card",
        "total": 49.9,
        "transacted_at": "2026-11-25 14:30:00",
        "timezone": "Australia/Melbourne",
        "items": [{"name": "Scarf", "quantity": 1, "price_current": 49.9, "price_sell": 49.9}],
    }
    _call(f"{api}/transactions", "POST", token, sale)
    _call(f"{api}/profiles/{ids[0]}", "PUT", token, {"gender": ""})
    page.goto(f"/admin/profiles/merge/{merge}/undo/")
    page.screenshot(path=PICTURES / "undo.png")


if __name__ == "__main__":
    main()
