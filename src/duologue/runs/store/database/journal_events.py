"""The events of a run's journals as whoever watches it gets them: in order, each once, whatever happens to the run.

What somebody was told stays true. A run that is continued after it was cancelled begins where it was before that, so
the last events of a run that is not over are kept back as long as they might be removed again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, func, or_, select

from duologue.conversation.resume import without_cancellation
from duologue.errors import JournalError, NotFoundError
from duologue.journal.jsonl import events_of_line, transition_of
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.schema import events, runs
from duologue.runs.store.records import OVER, QueueStatus

PAGE = 200
"""Lines of a journal that are read at once."""
_REMOVABLE = {"run_resumed", "run_finished", "agent_called", "noted"}
"""Events that may be part of a cancellation."""


class JournalEvent(NamedTuple):
    """An event of a journal.

    Attributes:
        attempt: of the run.
        seq: its number in the attempt, from 0.
        data: with its type, number and instant. Media are named, and not in it.
    """

    attempt: int
    seq: int
    data: Mapping[str, Any]


class RunEnded(NamedTuple):
    """How a run ended."""

    run_id: str
    status: str
    outcome: str | None


class _Found(NamedTuple):
    run_id: str
    status: str
    outcome: str | None
    rows: Sequence[tuple[int, int, bytes]]
    more: bool


class JournalTeller:
    """Tells what is recorded of one run.

    Args:
        database: that it is in.
        run_id: which one.

    Attributes:
        end: how the run ended; None as long as it is not over, or there are events that were not told.
        behind: the last look has left something for the next one.
    """

    def __init__(self, database: Connections, run_id: str) -> None:
        self.end: RunEnded | None = None
        self.behind = False
        self._database, self._run_id = database, run_id
        self._last = (0, -1)

    async def look(self) -> list[JournalEvent]:
        """What was recorded since the last look; there may be more.

        Raises:
            NotFoundError: the run does not exist.
            JournalError: the journal is damaged.
            StoreError: the database cannot be read.
        """
        found = await self._database.read(partial(_rows_after, run_id=self._run_id, place=self._last))
        over = found.status in OVER
        rows = found.rows if over or found.more else _settled(found.rows)
        told = [item for row in rows for item in _events_of(row)]
        if rows:
            self._last = (rows[-1][0], rows[-1][1])
        self.behind = found.more
        ended = over and not found.more
        self.end = RunEnded(found.run_id, QueueStatus(found.status).value, found.outcome) if ended else None
        return told


async def recorded_events(
    database: Connections, run_id: str, after: tuple[int, int], *, limit: int | None = None, attempt: int | None = None
) -> list[JournalEvent]:
    """Events that were recorded, also of lines in whose middle the place is.

    Args:
        database: that they are in.
        run_id: of the run.
        after: attempt and number of the last event that is known.
        limit: how many lines at most; None for as many as are read at once.
        attempt: only of this one.
    """

    def work(connection: Connection) -> Sequence[tuple[int, int, bytes]]:
        line = (
            select(func.max(events.c.seq))
            .join(runs, runs.c.number == events.c.run)
            .where(runs.c.id == run_id, events.c.attempt == after[0], events.c.seq <= after[1])
        )
        first = connection.execute(line).scalar()
        place = (after[0], -1 if first is None else first - 1)
        return _rows_after(connection, run_id=run_id, place=place, limit=limit, attempt=attempt).rows

    rows = await database.read(work)
    return [item for row in rows for item in _events_of(row) if (item.attempt, item.seq) > after]


async def has_event(database: Connections, run_id: str, place: tuple[int, int]) -> bool:
    """Whether an attempt of a run has an event of that number."""
    found = await recorded_events(database, run_id, (place[0], place[1] - 1), limit=2, attempt=place[0])
    return any((item.attempt, item.seq) == place for item in found)


def _rows_after(
    connection: Connection, *, run_id: str, place: tuple[int, int], limit: int | None = None, attempt: int | None = None
) -> _Found:
    """Lines after a place: attempt and number of the first event of a line."""
    run = connection.execute(select(runs.c.number, runs.c.status, runs.c.outcome).where(runs.c.id == run_id)).first()
    if run is None:
        raise NotFoundError(f'Run with id "{run_id}" not found')
    most = limit or PAGE
    later = or_(events.c.attempt > place[0], and_(events.c.attempt == place[0], events.c.seq > place[1]))
    asked = select(events.c.attempt, events.c.seq, events.c.line).where(events.c.run == run.number, later)
    if attempt is not None:
        asked = asked.where(events.c.attempt == attempt)
    asked = asked.order_by(events.c.attempt, events.c.seq).limit(most + 1)
    rows = [(row.attempt, row.seq, row.line) for row in connection.execute(asked)]
    whole = [row for row in rows[:most] if row[2].endswith(b"\n")]  # a file that was cut off has been imported
    return _Found(run_id, run.status, run.outcome, whole, len(rows) > most)


def _events_of(row: tuple[int, int, bytes]) -> list[JournalEvent]:
    attempt, _, line = row
    return [JournalEvent(attempt, item["seq"], item) for item in events_of_line(line)]


def _settled(rows: Sequence[tuple[int, int, bytes]]) -> Sequence[tuple[int, int, bytes]]:
    """The lines that stay, whatever becomes of the run."""
    first = len(rows)
    tail: list[list[dict[str, Any]]] = []
    while first and rows[first - 1][0] == rows[-1][0]:
        read = events_of_line(rows[first - 1][2])
        if read[0].get("type") not in _REMOVABLE:
            break
        tail.insert(0, read)
        first -= 1
    try:
        stays = len(without_cancellation([transition_of(item) for item in tail]))
    except JournalError:  # of an older version; it is never continued
        return rows
    return rows[: first + stays]
