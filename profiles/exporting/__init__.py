"""Everything that is held about a person, as one JSON document (API.md 3).

`sections` is what is said of each kind of row, `person` whose rows those are and who else they may tell of,
`streaming` the document.
"""

from __future__ import annotations

from profiles.exporting.streaming import Export, export

__all__ = ["Export", "export"]
