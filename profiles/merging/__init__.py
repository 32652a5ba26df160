"""Many profiles of one person become one, and part again (API.md 5): preview, merge, undo, split.

`lineage` is a profile with all beneath it, `survivorship` which value a survivor shows, `rows` what moves in the
database; `planning`, `joining`, `undoing` and `splitting` are the operations on them.
"""

from __future__ import annotations

from profiles.merging.joining import Merged, merge
from profiles.merging.planning import Choices, FieldOutcome, HandleConflict, Preview, preview
from profiles.merging.splitting import Split, preview_split, split
from profiles.merging.undoing import Undo, preview_undo, undo

__all__ = [
    "Choices",
    "FieldOutcome",
    "HandleConflict",
    "Merged",
    "Preview",
    "Split",
    "Undo",
    "merge",
    "preview",
    "preview_split",
    "preview_undo",
    "split",
    "undo",
]
