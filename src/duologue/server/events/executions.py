"""What happens in an execution, as server-sent events. The id of an event is its number in the execution."""

from __future__ import annotations

from collections.abc import Sequence

from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.execution_events import ExecutionTeller, StoredEvent, stored_events
from duologue.server.events.feed import Frame, Place
from duologue.server.events.stream import sse_event


class ExecutionSource:
    """Reads the events of one execution.

    Args:
        database: that it is in.
        execution_id: which one.
    """

    start: Place = (0,)

    def __init__(self, database: Database, execution_id: int) -> None:
        self._database, self._id = database, execution_id
        self._teller = ExecutionTeller(database, execution_id)

    @property
    def end(self) -> bytes | None:
        """Nothing is sent after ``execution_completed``."""
        return b"" if self._teller.over else None

    @property
    def behind(self) -> bool:
        """See :class:`~duologue.server.events.feed.Source`."""
        return self._teller.behind

    async def look(self) -> Sequence[Frame]:
        """See :class:`~duologue.server.events.feed.Source`."""
        return [_frame(event) for event in await self._teller.look()]

    async def earlier(self, after: Place, upto: Place) -> Sequence[Frame]:
        """See :class:`~duologue.server.events.feed.Source`."""
        return [_frame(event) for event in await stored_events(self._database, self._id, after[0], upto=upto[0])]


def _frame(event: StoredEvent) -> Frame:
    return Frame((event.seq,), sse_event(event.type, event.data, str(event.seq)))
