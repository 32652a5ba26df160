"""The admin's times are the reader's, wherever they sit; the API's are UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.handlers.exception import convert_exception_to_response
from django.db import connection
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone

from identities.models import ApiToken
from omneo_identity.api.middleware import PastPagesMiddleware
from omneo_identity.zones import ZoneMiddleware, known
from profiles.auditing import By
from profiles.models import Audit, Profile
from tests.staff import filled, member, read, rows, submit

AUDITS = "/admin/profiles/audit/"
JOIN = "/admin/profiles/profile/add/"
MELBOURNE = "Australia/Melbourne"

# Half a day: written in UTC it is another day than in most zones.
NOON = datetime(2026, 1, 15, 12, 30, tzinfo=UTC)


@pytest.fixture
def admin(db: None) -> Client:
    return member("Admin")


def in_zone(client: Client, zone: str | None) -> Client:
    client.cookies.pop("zone", None)
    if zone is not None:
        client.cookies["zone"] = zone
    return client


@pytest.fixture
def audit(ada: Profile, by: By) -> Audit:
    Audit.objects.all().delete()
    audit = Audit.objects.create(by=by.user, event="updated", auditable_type="profile", auditable_key="1", profile=ada)
    Audit.objects.update(created_at=NOON)
    return audit


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        (None, "Jan. 15, 2026, 12:30 p.m."),
        ("UTC", "Jan. 15, 2026, 12:30 p.m."),
        (MELBOURNE, "Jan. 15, 2026, 11:30 p.m."),
        ("Asia/Kolkata", "Jan. 15, 2026, 6 p.m."),
        ("Asia/Calcutta", "Jan. 15, 2026, 6 p.m."),
        ("America/Argentina/Buenos_Aires", "Jan. 15, 2026, 9:30 a.m."),
        ("Etc/GMT+5", "Jan. 15, 2026, 7:30 a.m."),
        ("Pacific/Kiritimati", "Jan. 16, 2026, 2:30 a.m."),
    ],
)
def test_a_list_and_a_page_show_times_in_the_zone_of_the_cookie(
    admin: Client, audit: Audit, zone: str | None, shown: str
) -> None:
    in_zone(admin, zone)

    (row,) = rows(admin.get(AUDITS))

    assert row.startswith(shown)
    assert shown in read(admin.get(f"{AUDITS}{audit.pk}/change/"))
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.mark.parametrize(
    "cookie",
    [
        "",
        "Mars/Olympus_Mons",
        "australia/melbourne",
        "Australia",
        "localtime",
        "posixrules",
        "../../../etc/passwd",
        "/etc/localtime",
        "Australia/Melbourne\0",
        "Australia/Melbourne/../Sydney",
        "x" * 3_000,
        "'; DROP TABLE profiles_audit; --",
        '"',
        "\xff\xfe",
        "\u202eUTC".encode().decode("latin-1"),
        "zone=UTC",
    ],
)
def test_what_is_no_zone_is_passed_over(admin: Client, audit: Audit, cookie: str) -> None:
    answer = admin.get(AUDITS, headers={"Cookie": f"{admin.cookies.output(header='', attrs=[])}; zone={cookie}"})

    assert rows(answer)[0].startswith("Jan. 15, 2026, 12:30 p.m.")


def test_without_a_cookie_times_are_in_the_zone_of_the_settings(admin: Client, audit: Audit, settings: Any) -> None:
    settings.TIME_ZONE = "Pacific/Auckland"

    assert rows(in_zone(admin, None).get(AUDITS))[0].startswith("Jan. 16, 2026, 1:30 a.m.")
    assert rows(in_zone(admin, "nonsense").get(AUDITS))[0].startswith("Jan. 16, 2026, 1:30 a.m.")
    assert rows(in_zone(admin, MELBOURNE).get(AUDITS))[0].startswith("Jan. 15, 2026, 11:30 p.m.")


def join(client: Client, day: str, time: str) -> Any:
    return submit(client, JOIN, first_name="Bo", joined_at_0=day, joined_at_1=time)


def test_a_time_that_is_typed_is_meant_in_that_zone(admin: Client) -> None:
    join(in_zone(admin, MELBOURNE), "2999-01-16", "09:00")

    profile = Profile.objects.get()
    assert profile.joined_at == datetime(2999, 1, 15, 22, 0, tzinfo=UTC)
    form = filled(admin, f"/admin/profiles/profile/{profile.pk}/change/")
    assert (form["joined_at_0"], form["joined_at_1"]) == ("2999-01-16", "09:00:00")


@pytest.mark.parametrize("day", ["2099-10-04", "2099-04-05"])
def test_a_time_that_the_clocks_skip_or_repeat_is_asked_for_again(admin: Client, day: str) -> None:
    answer = join(in_zone(admin, MELBOURNE), day, "02:30")

    assert "interpreted in time zone Australia/Melbourne" in read(answer)
    assert not Profile.objects.exists()
    join(in_zone(admin, "UTC"), day, "02:30")
    assert Profile.objects.exists()


def test_the_api_stays_in_utc(by: By, audit: Audit) -> None:
    _token, plain = ApiToken.issue(user=by.user, name="Test", scopes=["read-audits"])
    headers = {"Authorization": f"Bearer {plain}"}

    answer = in_zone(Client(), MELBOURNE).get("/api/v3/audits?filter[created_at]=2026-01-15 12:30:00", headers=headers)

    assert [audit["created_at"] for audit in answer.json()["data"]] == ["2026-01-15 12:30:00"]


@pytest.mark.parametrize(("path", "zone"), [("/admin/", MELBOURNE), ("/api/v3/audits", "UTC"), ("/api", "UTC")])
def test_the_zone_is_set_for_views_of_the_admin_only(db: None, rf: RequestFactory, path: str, zone: str) -> None:
    rf.cookies["zone"] = MELBOURNE
    zones = ZoneMiddleware(lambda request: HttpResponse(timezone.get_current_timezone_name()))
    middleware = PastPagesMiddleware(convert_exception_to_response(zones))  # type: ignore[arg-type]

    assert middleware(rf.get(path)).content.decode() == zone


def test_the_database_can_cut_days_in_every_zone_that_is_taken(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(now() AT TIME ZONE name) FROM unnest(%s::text[]) AS name", [sorted(known())])
        (number,) = cursor.fetchone() or (0,)

    assert number == len(known()) > 400
