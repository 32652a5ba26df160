"""What a profile is called: in a sentence, in few words among others, and beside a namesake."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterable

import phonenumbers
from django.http import HttpRequest
from django.utils.dates import MONTHS
from django.utils.formats import date_format
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _

from identities.admin.told import may_view
from profiles.admin import merge_words
from profiles.admin.base import link
from profiles.models import Profile


def introduction(profile: Profile) -> str:
    """The profile in a sentence that can be read to somebody on the phone."""
    parts = [f"{profile.title} {profile.full_name}".strip()]
    if birth := birth_in_words(profile):
        parts.append(birth)
    if profile.company:
        parts.append(profile.company)
    if profile.email:
        parts.append(profile.email)
    if profile.mobile_phone:
        number = phonenumbers.parse(profile.mobile_phone)
        parts.append(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL))
    return ", ".join(parts) + "."


def birth_in_words(profile: Profile) -> str:
    """The parts of the birth date that are known: often day and month alone, or the year."""
    year, month, day = profile.birth_year, profile.birth_month, profile.birth_day
    if year and month and day:
        return _("born on %(date)s") % {"date": date_format(datetime.date(year, month, day), "DATE_FORMAT")}
    if month and day:
        return _("born on %(day)s %(month)s") % {"day": day, "month": MONTHS[month]}
    return _("born in %(year)s") % {"year": year} if year else ""


def who_is_who(request: HttpRequest, *profiles: Profile) -> SafeString:
    """What tells namesakes apart, for those who may see it."""
    may_see = may_view(request.user, "profiles.profile")
    parts = ((introduction(one) if may_see else one.full_name, one.pk) for one in profiles)
    mark = '<span class="who-is-who">{} <span class="identifier quiet">{}</span></span>'
    return format_html_join(SafeString(""), mark, parts)


def called(request: HttpRequest, profile: Profile) -> SafeString:
    """A profile by its name and the end of its id, since the two sides of a merge often share their name."""
    return merge_words.linked(profile) if may_view(request.user, "profiles.profile") else merge_words.named(profile)


def short_name(profile: Profile) -> str:
    return Truncator(profile.full_name).chars(60)


def survivors_of(profiles: Iterable[Profile]) -> dict[uuid.UUID, Profile]:
    """By the ids of those among these that were merged, whom each stands for today. Two queries, usually none."""
    merged = {profile.pk for profile in profiles if profile.merged_into_id is not None}
    ids = Profile.objects.survivors(merged)
    rows = Profile.objects.in_bulk(set(ids.values())) if ids else {}
    return {pk: rows[survivor] for pk, survivor in ids.items() if survivor in rows}


def addressed(profile_id: uuid.UUID | None) -> SafeString:
    """The id that a caller named, with whose it is, and whom that stands for today."""
    if profile_id is None:
        return SafeString("-")
    profile = Profile.objects.filter(pk=profile_id).first()
    told = format_html('<span class="identifier">{}</span>', profile_id)
    if profile is None:
        return told
    told = format_html("{} {}", link(profile), told)
    survivor = survivors_of([profile]).get(profile.pk)
    return (
        told
        if survivor is None
        else format_html(_("{told}, merged into {survivor}"), told=told, survivor=link(survivor))
    )
