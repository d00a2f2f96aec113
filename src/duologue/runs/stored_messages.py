"""The conversations of stored runs: of those that are over from their results, of others from their journals."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from pydantic_core import from_json
from sqlalchemy import Connection, func, select

from duologue.errors import JournalError
from duologue.frozen import changed
from duologue.messages import Message
from duologue.runs.outcome import stored_messages
from duologue.runs.snapshots import pair
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.journals import JournalRow, absent, parsed
from duologue.runs.store.database.schema import events, results, runs, snapshots
from duologue.runs.store.records import QueueStatus, StoredRun

_KEPT = 64
"""Snapshots whose instructions are remembered."""


async def with_messages_so_far(database: Connections, run: StoredRun, told: Instructions) -> StoredRun:
    """The run with its conversation as it is now, if it has begun and has no result yet."""
    if run.messages or run.started_at is None:
        return run

    def work(connection: Connection) -> tuple[list[JournalRow], str]:
        newest = select(func.max(events.c.attempt)).where(events.c.run == run.number).scalar_subquery()
        found = connection.execute(
            select(events.c.attempt, events.c.seq, events.c.line)
            .join(runs, runs.c.number == events.c.run)
            .where(events.c.run == run.number, events.c.attempt == newest, events.c.attempt >= runs.c.journal_from)
            .order_by(events.c.seq)
        )
        rows = [JournalRow(*row) for row in found]
        return rows, connection.execute(select(runs.c.snapshot).where(runs.c.number == run.number)).scalar_one()

    rows, digest = await database.read(work)
    said: Sequence[Message] = ()
    if rows:
        with suppress(JournalError):  # whoever reads the journal itself is told
            said = parsed(f"the journal of run {run.id}", rows, absent).view.messages
    if not said and run.status is not QueueStatus.RUNNING:
        return run
    instruction = (await told.of(digest)).get(pair(run.case.scenario, run.case.persona))
    return changed(run, messages=stored_messages(said, instruction))


async def with_messages(database: Connections, found: Sequence[StoredRun]) -> list[StoredRun]:
    """Runs with the conversations of their results."""
    numbers = [run.number for run in found]

    def work(connection: Connection) -> dict[int, Any]:
        asked = select(results.c.run, results.c.messages).where(results.c.run.in_(numbers))
        return {number: from_json(messages) for number, messages in connection.execute(asked)}

    messages = await database.read(work) if numbers else {}
    return [changed(run, messages=messages.get(run.number, ())) for run in found]


class Instructions:
    """What simulated users were told, by snapshot; those that were asked for last are remembered.

    Args:
        database: has the snapshots.
    """

    def __init__(self, database: Connections) -> None:
        self._database = database
        self._kept: OrderedDict[str, dict[str, str]] = OrderedDict()

    async def of(self, digest: str) -> dict[str, str]:
        """Those of a snapshot, by :func:`~duologue.runs.snapshots.pair`."""
        held = self._kept.get(digest)
        if held is None:
            asked = select(snapshots.c.data).where(snapshots.c.digest == digest)
            data = await self._database.read(lambda connection: connection.execute(asked).scalar())
            held = self._kept[digest] = _strings(json.loads(data).get("instructions", {})) if data else {}
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return held


def _strings(data: dict[str, Any]) -> dict[str, str]:
    return {name: str(text) for name, text in data.items()}
