"""Events of executions in the database: derived from the rows of runs, numbered under a lock, kept.

Whoever has a listener looks at an execution now and then. What is new is stored with the next numbers, in a transaction
that begins with a lock and finds that nobody else has stored anything since: so numbers have no gaps, and any number of
processes tell the same story. Runs pay nothing for it.

A look reads the rows that have changed since the last one. Rows whose transaction took long, and rows that were
deleted, are found by a look at all rows: now and then, and always before it is said that an execution is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic_core import from_json
from sqlalchemy import Connection, func, insert, select

from duologue.errors import NotFoundError
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.recovery import parts_of
from duologue.runs.store.database.schema import execution_events, executions, runs
from duologue.runs.store.encoding import decoded_case
from duologue.runs.store.execution_events import ExecutionFacts, NewEvent, RunNow, RunState, Told, changed_runs, news
from duologue.runs.store.records import OVER

PAGE = 1_000
"""Events that are read, and runs whose events are stored, at once."""
_OVERLAP = 2.0
"""Seconds: rows are looked at again that were written so shortly before, since transactions end in another order."""
_WHOLE_EVERY = 5.0
"""Seconds between two looks at all rows; of very many runs, more."""
_WHOLE_RUNS = 1_000
"""Runs for which a second more passes until the next look at all rows."""


class StoredEvent(NamedTuple):
    """An event as it is kept.

    Attributes:
        seq: its number, from 1 without gaps.
        data: JSON.
    """

    seq: int
    type: str
    data: bytes


class _Found(NamedTuple):
    """What a look has found.

    Attributes:
        others: events that somebody else has stored meanwhile; then nothing else was looked at.
        whole: all rows were looked at.
        total: how many runs there are.
        newest: the greatest of their numbers.
        over: how many of the rows that were looked at are over.
        changed: runs of which there is news.
        more: there are more of them.
        gone: numbers of runs that do not exist any more.
    """

    subject: ExecutionFacts
    now: float
    others: Sequence[tuple[StoredEvent, NewEvent]] = ()
    whole: bool = False
    total: int = 0
    newest: int = 0
    over: int = 0
    changed: Sequence[RunNow] = ()
    more: bool = False
    gone: Sequence[int] = ()


class ExecutionTeller:
    """Tells what happens in one execution. Each process needs one for it, however many listen.

    Args:
        database: that the execution is in.
        execution_id: which one.

    Attributes:
        told: what was told so far.
        over: all runs of the execution are over, and that was told.
        behind: the last look has left something for the next one.
    """

    def __init__(self, database: Connections, execution_id: int) -> None:
        self.told = Told()
        self.over = self.behind = False
        self._database, self._id = database, execution_id
        self._since = 0.0
        self._total = self._newest = 0
        self._whole_at: float | None = None

    async def look(self) -> list[StoredEvent]:
        """What was told since the last look, by this process or another one.

        Returns:
            The events in their order; none if there is nothing new. There may be more: a look stores so many at most.

        Raises:
            NotFoundError: the execution does not exist.
            StoreError: the database cannot be used.
        """
        clock = self._database.context.clock
        due = self._whole_at is None or clock.monotonic() >= self._whole_at
        found = await self._database.read(lambda connection: self._look(connection, whole=due))
        if not found.others and not found.whole and self._is_end(found):
            found = await self._database.read(lambda connection: self._look(connection, whole=True))
        self.behind = found.more
        if found.others:
            self.over, self.behind = False, True
            for stored, event in found.others:
                self.told.apply(event, stored.seq)
            return [stored for stored, _ in found.others]
        all_over = found.whole and found.over == found.total and not found.more
        new = news(
            self.told,
            found.subject,
            found.changed,
            total=found.total,
            now=found.now,
            gone=found.gone,
            all_over=all_over,
        )
        if new and not await self._database.write(lambda connection: self._store(connection, new)):
            return []  # somebody else was quicker: the next look reads what they have stored
        stored = [StoredEvent(self.told.seq + place, event.type, event.data) for place, event in enumerate(new, 1)]
        for item, event in zip(stored, new, strict=True):
            self.told.apply(event, item.seq)
        if not found.more:
            self._since, self._total = found.now, found.total
            self._newest = found.newest if found.whole else max(self._newest, found.newest)
            if found.whole:
                self._whole_at = clock.monotonic() + max(_WHOLE_EVERY, found.total / _WHOLE_RUNS)
        self.over = self.told.over and self.told.completed == found.total
        return stored

    def _is_end(self, found: _Found) -> bool:
        """Whether it seems that all runs are over, and that is not told."""
        if self.told.over and not found.changed:
            return False
        ended = sum(run.status in OVER and self._was_open(run.number) for run in found.changed)
        return self.told.completed + ended >= found.total

    def _was_open(self, number: int) -> bool:
        before = self.told.of(number)
        return before is None or before.outcome is None

    def _look(self, connection: Connection, *, whole: bool) -> _Found:
        """Read what is new. It may be executed again, so it changes nothing here."""
        row = connection.execute(select(executions).where(executions.c.id == self._id)).mappings().first()
        if row is None:
            raise NotFoundError(f"there is no execution {self._id}")
        subject = ExecutionFacts(id=row["id"], name=row["name"], eval_id=row["eval_id"], created_at=row["created_at"])
        others = _stored(connection, self._id, self.told.seq)
        found = _Found(subject, self._database.now(connection), others)
        if others:
            return found
        columns = [runs.c[name] for name in RunState._fields]
        asked = select(*columns).where(runs.c.execution_id == self._id)
        if not whole:
            asked = asked.where(runs.c.updated_at >= self._since - _OVERLAP)
        states = [RunState(*item) for item in connection.execute(asked)]
        changed = changed_runs(self.told, sorted(states, key=lambda state: state.updated_at))
        found = found._replace(
            whole=whole,
            total=len(states) if whole else self._total + sum(state.number > self._newest for state in states),
            newest=max((state.number for state in states), default=0),
            over=sum(state.status in OVER for state in states),
            changed=_runs(connection, changed[:PAGE]),
            more=len(changed) > PAGE,
        )
        if whole:
            there = {state.number for state in states}
            found = found._replace(gone=[number for number in self.told.numbers() if number not in there])
        return found

    def _store(self, connection: Connection, new: Sequence[NewEvent]) -> bool:
        """Store events unless somebody else has stored any; one process after the other."""
        lock = select(executions.c.id).where(executions.c.id == self._id).with_for_update(key_share=True)
        if connection.execute(lock).first() is None:
            return False
        newest = select(func.max(execution_events.c.seq)).where(execution_events.c.execution_id == self._id)
        if (connection.execute(newest).scalar() or 0) != self.told.seq:
            return False
        rows: list[dict[str, Any]] = [
            {"execution_id": self._id, "seq": self.told.seq + place, **event._asdict()}
            for place, event in enumerate(new, 1)
        ]
        connection.execute(insert(execution_events), rows)
        return True


async def stored_events(
    database: Connections, execution_id: int, after: int, *, upto: int, limit: int | None = None
) -> list[StoredEvent]:
    """Events that were stored.

    Args:
        database: that they are in.
        execution_id: whose.
        after: the number of the last one that is known.
        upto: the number of the last one that is wanted.
        limit: how many at most; None for as many as are read at once.
    """

    def work(connection: Connection) -> list[StoredEvent]:
        return [stored for stored, _ in _stored(connection, execution_id, after, limit) if stored.seq <= upto]

    return await database.read(work)


async def newest_event(database: Connections, execution_id: int) -> int:
    """The number of the newest event of an execution; 0 if there is none yet."""
    asked = select(func.max(execution_events.c.seq)).where(execution_events.c.execution_id == execution_id)
    return await database.read(lambda connection: connection.execute(asked).scalar() or 0)


def _stored(
    connection: Connection, execution_id: int, after: int, limit: int | None = None
) -> list[tuple[StoredEvent, NewEvent]]:
    columns = [execution_events.c[name] for name in ("seq", "type", "run", "data", "at")]
    asked = select(*columns).where(execution_events.c.execution_id == execution_id, execution_events.c.seq > after)
    rows = connection.execute(asked.order_by(execution_events.c.seq).limit(limit or PAGE))
    return [(StoredEvent(row.seq, row.type, row.data), NewEvent(row.type, row.run, row.data, row.at)) for row in rows]


_DETAILS = (
    *("number", "id", "status", "outcome", "test_case", "score", "reason", "error", "details", "cost", "tokens"),
    *("started_at", "completed_at"),
)


def _runs(connection: Connection, numbers: Sequence[int]) -> list[RunNow]:
    """What is told of these runs."""
    columns = [runs.c[name] for name in _DETAILS]
    found: list[RunNow] = []
    for part in parts_of(numbers):
        for row in connection.execute(select(*columns).where(runs.c.number.in_(part)).order_by(runs.c.number)):
            case = decoded_case(from_json(row.test_case))
            found.append(
                RunNow(
                    number=row.number,
                    id=row.id,
                    status=row.status,
                    outcome=row.outcome,
                    title=case.title,
                    scenario=case.scenario,
                    persona=case.persona,
                    agent=case.agent,
                    trial=case.trial,
                    score=row.score,
                    reason=row.reason,
                    error=row.error,
                    details=row.details or {},
                    cost=row.cost,
                    tokens=row.tokens,
                    started_at=row.started_at,
                    completed_at=row.completed_at,
                )
            )
    return found
