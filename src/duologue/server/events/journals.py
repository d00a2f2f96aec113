"""The journal of a run, as server-sent events. The id of an event is its attempt and its number in it: ``1.17``.

``attempt_started`` comes before the first event of every attempt but the first one, and ``run_ended`` comes last.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journal_events import JournalEvent, JournalTeller, recorded_events
from duologue.server.events.feed import Frame, Place
from duologue.server.events.stream import sse_data


class JournalSource:
    """Reads the journals of one run.

    Args:
        database: that it is in.
        run_id: which one.
    """

    start: Place = (0, 0)

    def __init__(self, database: Database, run_id: str) -> None:
        self._database, self._id = database, run_id
        self._teller = JournalTeller(database, run_id)
        self._attempt = 0

    @property
    def end(self) -> bytes | None:
        """How the run ended, once everything else was sent."""
        ended = self._teller.end
        return None if ended is None else sse_data("run_ended", ended._asdict())

    @property
    def behind(self) -> bool:
        """See :class:`~duologue.server.events.feed.Source`."""
        return self._teller.behind

    async def look(self) -> Sequence[Frame]:
        """See :class:`~duologue.server.events.feed.Source`."""
        new = await self._teller.look()
        frames = _frames(new, self._attempt)
        self._attempt = new[-1].attempt if new else self._attempt
        return frames

    async def earlier(self, after: Place, upto: Place) -> Sequence[Frame]:
        """See :class:`~duologue.server.events.feed.Source`."""
        found = await recorded_events(self._database, self._id, (after[0], after[1]))
        return [frame for frame in _frames(found, after[0]) if after < frame.place <= upto]


def _frames(events: Iterable[JournalEvent], attempt: int) -> list[Frame]:
    """Events as they are sent, and that attempts begin.

    Args:
        events: in their order.
        attempt: that was told last; 0 for none.
    """
    frames: list[Frame] = []
    for event in events:
        if event.attempt != attempt:
            attempt = event.attempt
            if attempt > 1:
                frames.append(Frame((attempt, -1), sse_data("attempt_started", {"attempt": attempt})))
        id_ = f"{attempt}.{event.seq}"
        data = {"attempt": attempt, **event.data}
        frames.append(Frame((attempt, event.seq), sse_data(str(event.data.get("type")), data, id_)))
    return frames
