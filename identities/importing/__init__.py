"""Files of profiles and identities, brought in as if each row had been written alone, in the order of the file.

Rows go by chunks, a transaction each (`running`). Of a chunk, what is plainly good is told without the database
(`preparing`); one look at the pairs says which rows make new profiles, which change nothing, and which must go by the
write path itself (`planning`). The first kind is copied in (`copying`).
"""

from __future__ import annotations

from identities.importing.preparing import Catalogue
from identities.importing.rows import Outcome, Row
from identities.importing.running import (
    ErrorFile,
    Overtaken,
    bring_in,
    finish,
    give_up,
    is_for_errors,
    resume,
    start,
    tried_out,
)

__all__ = [
    "Catalogue",
    "ErrorFile",
    "Outcome",
    "Overtaken",
    "Row",
    "bring_in",
    "finish",
    "give_up",
    "is_for_errors",
    "resume",
    "start",
    "tried_out",
]
