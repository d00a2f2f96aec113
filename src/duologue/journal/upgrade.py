"""Reading journals that an older version wrote.

Each step turns one raw event of version *n* into version *n + 1*; a journal is upgraded while it is read and the file
stays as it is. A change of the event models that old files do not fit adds a step here and a fixture in
``tests/journal/versions/``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from duologue.errors import JournalError
from duologue.journal.events import SCHEMA_VERSION

RawEvent = dict[str, Any]

STEPS: dict[int, Callable[[RawEvent], RawEvent]] = {}
"""From version *n* to *n + 1*, by *n*. Empty while version 1 is the only one."""


def upgrade(
    raw: RawEvent,
    version: int,
    *,
    steps: dict[int, Callable[[RawEvent], RawEvent]] | None = None,
    to: int | None = None,
) -> RawEvent:
    """The event as today's version writes it.

    Raises:
        JournalError: the journal is newer than this Duologue, or older than any it can read.
    """
    steps = STEPS if steps is None else steps
    to = SCHEMA_VERSION if to is None else to
    if version > to:
        raise JournalError(
            f"this journal has schema version {version}; this Duologue reads up to {to}. Upgrade Duologue to read it."
        )
    for step in range(version, to):
        if step not in steps:
            raise JournalError(f"this journal has schema version {version}, which is too old to be read")
        raw = steps[step](raw)
    if raw.get("type") == "run_started":
        raw = {**raw, "schema_version": to}
    return raw
