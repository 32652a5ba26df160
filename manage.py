#!/usr/bin/env python3
"""Django's commands, and ours, with the database up that they need."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from omneo_identity import database

# Asking for help, or for one of these, starts no server.
WITHOUT_DATABASE = {
    *("", "--help", "-h", "--version", "help", "version"),
    *("check", "collectstatic", "compilemessages", "diffsettings", "findstatic", "makemessages", "makemigrations"),
    *("sendtestemail", "spectacular", "startapp", "startproject"),
}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "omneo_identity.settings")
    command = sys.argv[1] if len(sys.argv) > 1 else ""
    needs_database = command not in WITHOUT_DATABASE and not {"--help", "-h"} & set(sys.argv)
    try:
        if settings.EMBEDDED and not needs_database:
            # makemigrations would also look at the history, says so, and goes on without.
            warnings.filterwarnings("ignore", "Got an error checking a consistent migration history", RuntimeWarning)
        with database.ready() if needs_database else contextlib.nullcontext():
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
