"""Debian's Chromium: where it is, and how it starts without asking for anything outside."""

from __future__ import annotations

import shutil

EXECUTABLE = shutil.which("chromium")

FLAGS = [
    "--no-sandbox",  # Which root, as whom CI runs, cannot have.
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
