from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from tests.benchmarks.running import main  # noqa: E402 - it knows the models

if __name__ == "__main__":
    main()
