"""In whose name a command writes."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Mapping
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import CommandError

from identities.models import Extension
from profiles.auditing import By


def add_by(parser: ArgumentParser, account: str) -> None:
    parser.add_argument(
        "--by", metavar="USERNAME", help=f"Whose name the audit shows; without it, an account {account} of its own."
    )


def by(options: Mapping[str, Any], account: str) -> By:
    """The account that --by names, or one for this kind of command, with which nobody can sign in."""
    username = options["by"]
    if username is not None:
        user = User.objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no account {username}.")
        return By(user)
    return By(own(account))


def own(account: str) -> User:
    """An account that a command writes as, made when there is none."""
    user, created = User.objects.get_or_create(username=account)
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def source(slug: str | None) -> Extension | None:
    """The extension of this name; None for staff."""
    if slug is None:
        return None
    extension = Extension.objects.select_related("service_account").filter(pk=slug).first()
    if extension is None:
        known = ", ".join(Extension.objects.values_list("pk", flat=True))
        raise CommandError(f"There is no extension {slug}. Known are: {known}.")
    return extension
