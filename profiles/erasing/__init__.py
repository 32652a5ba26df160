"""Erase profiles for good (API.md 3): `purging` deletes what is of them, `traces` what was kept of them elsewhere."""

from __future__ import annotations

from profiles.erasing.purging import Purge, changed, preview, purge

__all__ = ["Purge", "changed", "preview", "purge"]
