"""Writes what the runs of a process have to record: one writer, which puts into one transaction whatever is waiting.

While a transaction is committed, the next batch gathers, so a thousand conversations cost as many commits as the
database can do, and a single one waits for nobody. Work comes from any thread and any event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from duologue.errors import LeaseLostError, StoreError, StoreUnavailableError
from duologue.runs.store.database.changes import BatchResult, Change, Held, Pulse, RunEnd
from duologue.runs.store.database.connections import Connections
from duologue.runs.store.database.failures import store_error
from duologue.runs.store.database.json_columns import to_column, to_text
from duologue.runs.store.encoding import encoded, encoded_run
from duologue.runs.store.records import ArtifactRow, ClaimedRun, FinishedRun
from duologue.suites.results.run import RunResult, total_spent

_CROWD = 64
"""Runs of this process, from which on a batch waits for others: each transaction costs as much as ten events in it."""
_SHARE = 8
"""A batch of a greater part of them than one in so many waits for nobody."""
_GATHER = 0.001
"""Seconds that it waits: next to nothing for a conversation, and a fifth of the transactions for the process."""
_MOST = 2_000
"""Changes in one transaction."""
_ENOUGH = 32
"""Changes for which the other thread is woken at once."""
_MOST_BYTES = 16 * 1024 * 1024
"""Of events and results in one transaction; a single change may have more."""
_DOING = "recording runs"


@dataclass(slots=True, eq=False)
class _Waiting:
    """Work, and who waits for it."""

    work: Change | Pulse
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    size: int = 0


class LastLines(NamedTuple):
    """The end of a journal, which is recorded in one transaction with the end of its run.

    Attributes:
        attempt: which of the journals of the run.
        lines: of each transition, the number of its first event and its line.
        cut: from the event of that number on, what is recorded of the attempt is removed first; None for nothing.
    """

    attempt: int
    lines: Sequence[tuple[int, bytes]]
    cut: int | None = None


class Writer:
    """Records what runs do that this process has.

    Every method returns when what it was given is committed.

    Args:
        database: that it writes to.
    """

    def __init__(self, database: Connections) -> None:
        self._database = database
        self._waiting: deque[_Waiting] = deque()
        self._lock = threading.Lock()
        self._woken = self._closed = False
        self._task: asyncio.Task[None] | None = None
        self.held: dict[int, int] = {}
        """Tokens of the runs that this process has, by number. Only used on the store's own loop."""
        self.batches = 0
        """Transactions so far."""
        self.on_batch: Callable[[int, float], None] | None = None
        """Called with the size of a batch and the seconds that it took, on the store's own loop; for measurements."""

    async def append(
        self, run: ClaimedRun, attempt: int, lines: Sequence[tuple[int, bytes]], *, cut: int | None = None
    ) -> None:
        """Add transitions to the journal of a run.

        Args:
            run: that this process has.
            attempt: which of its journals.
            lines: of each transition, the number of its first event and its line.
            cut: from the event of that number on, what is recorded of the attempt is removed first.

        Raises:
            LeaseLostError: the run is another worker's by now.
            StoreError: they could not be written.
        """
        size, rows = 0, list[tuple[int, int, bytes]]()
        for seq, line in lines:  # on the path of every call of every run
            rows.append((attempt, seq, line))
            size += len(line)
        await self._do(Change(run.id, run.number, run.token, rows, None if cut is None else (attempt, cut)), size)

    async def artifacts(self, run: ClaimedRun, items: Sequence[ArtifactRow]) -> None:
        """Record which bytes a run has in the artifact store; raises as :meth:`append`."""
        await self._do(_change(run, artifacts=items))

    async def finish(self, run: ClaimedRun, end: FinishedRun, last: LastLines | None = None) -> None:
        """Record the end of a run with its result; raises as :meth:`append`.

        Args:
            run: that this process has.
            end: what came of it.
            last: the end of its journal, if that is not recorded yet.
        """
        rows = end_rows(end)
        change, size = _change(run, end=rows), len(rows.data or b"") + len(rows.messages or b"")
        if last is not None:
            change, more = _with_lines(change, last)
            size += more
        await self._do(change, size)

    async def release(self, run: ClaimedRun, *, not_before: float | None = None) -> None:
        """Put a run back into the queue, as if it had not been claimed; raises as :meth:`append`.

        Args:
            run: that this process has.
            not_before: it is not claimed earlier; seconds since 1970.
        """
        await self._do(_change(run, back=True, not_before=not_before))

    async def pulse(self, pulse: Pulse) -> list[Held]:
        """Send a heartbeat; returns the runs that the database says the worker has."""
        return cast("list[Held]", await self._do(pulse))

    async def close(self) -> None:
        """Write what is waiting, and take no more. On the store's own loop."""
        with self._lock:
            self._closed = True
        if self._task is not None:
            await self._task
        await self._write_all()  # what came in at the last moment

    async def _do(self, work: Change | Pulse, size: int = 0) -> object:
        loop = asyncio.get_running_loop()
        waiting = _Waiting(work, loop, loop.create_future(), size)
        with self._lock:
            if self._closed:
                raise StoreError(f"{self._database.address}: the database is closed")
            self._waiting.append(waiting)
            wake, many = not self._woken, len(self._waiting) >= _ENOUGH
        if wake and many:
            self._wake()
        elif wake:  # when all that this loop has to do now is done, so that it goes into one batch
            loop.call_soon(self._wake)
        return await waiting.done

    def _wake(self) -> None:
        with self._lock:
            wake = bool(self._waiting) and not self._woken
            self._woken = self._woken or wake
        if wake:
            self._database.loop.loop.call_soon_threadsafe(self._start)

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        while True:
            if self._is_lonely():
                await asyncio.sleep(_GATHER)  # noqa: TID251 -- real time, in which others come
            if not (batch := self._next_batch()):
                return
            try:
                await self._write(batch)
            except Exception as error:  # noqa: BLE001 - whoever waits would wait for ever
                failed = store_error(error, self._database.address, _DOING)
                _tell((waiting, failed) for waiting in batch)

    def _is_lonely(self) -> bool:
        """Whether few of many runs have something to write, so that others are likely to come at any moment."""
        with self._lock:
            few = 0 < len(self._waiting) * _SHARE < len(self.held) and len(self.held) >= _CROWD
            return few and isinstance(self._waiting[0].work, Change)

    def _next_batch(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        with self._lock:
            while self._waiting and len(batch) < _MOST and (not batch or size + self._waiting[0].size <= _MOST_BYTES):
                batch.append(self._waiting.popleft())
                size += batch[-1].size
            self._woken = bool(batch)
        return batch

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        """Write a batch; if it is refused as a whole, each run for itself, so that only those to blame fail."""
        try:
            written = await self._commit(batch)
        except StoreError as error:
            parts = _by_run(batch)
            if len(parts) == 1 or isinstance(error, StoreUnavailableError):
                _tell((waiting, error) for waiting in batch)
                return
            for part in parts:
                await self._write(part)
            return
        self._settle(batch, written)

    async def _commit(self, batch: Sequence[_Waiting]) -> BatchResult:
        changes = [waiting.work for waiting in batch if isinstance(waiting.work, Change)]
        pulses = [waiting.work for waiting in batch if isinstance(waiting.work, Pulse)]
        database = self._database

        async def attempt(again: bool) -> BatchResult:
            async with database.hot:
                return await database.driver.write(changes, pulses, again=again)

        began = database.context.clock.monotonic()
        written = await database.patiently(attempt, _DOING)
        self.batches += 1
        if self.on_batch is not None:
            self.on_batch(len(batch), database.context.clock.monotonic() - began)
        return written

    def _settle(self, batch: Sequence[_Waiting], written: BatchResult) -> None:
        place, beats, told = 0, iter(written.held), list[tuple[_Waiting, object]]()
        for waiting in batch:
            work = waiting.work
            if isinstance(work, Pulse):
                told.append((waiting, next(beats)))
                continue
            lost = place in written.lost
            place += 1
            if lost or work.end is not None or work.back:
                self._forget(work)
            told.append((waiting, _lost(work) if lost else None))
        _tell(told)

    def _forget(self, change: Change) -> None:
        if self.held.get(change.number) == change.token:
            del self.held[change.number]


def end_rows(end: FinishedRun) -> RunEnd:
    """The end of a run as its rows."""
    result = end.result
    spent = None if result is None else total_spent((result.agent, result.user, result.judge))
    return RunEnd(
        status=end.status,
        outcome=end.outcome,
        score=end.score,
        reason=to_text(end.reason),
        error=to_text(end.error),
        output=None if end.output is None else to_column(end.output),
        details=to_column(end.details),
        cost=None if spent is None else spent.cost,
        tokens=None if spent is None else spent.usage.total_tokens,
        messages=encoded(list(end.messages)),
        data=b"" if result is None else encoded_run(result),
        checks=() if result is None else _checks(result),
    )


def _checks(result: RunResult) -> list[tuple[int, str, str, str, float | None, str | None]]:
    """A row for each check and criterion."""
    rows: list[tuple[int, str, str, str, float | None, str | None]] = []
    for check in result.checks:
        text = to_text(check.explanation)
        rows.append(
            (len(rows), to_text(check.name) or "", to_text(check.kind) or "", check.status.value, check.score, text)
        )
    for item in result.decisions:
        name = to_text(item.criterion) or ""
        rows.append((len(rows), name, "criterion", item.decision.value, None, to_text(item.reason)))
    return rows


def _change(run: ClaimedRun, **given: Any) -> Change:
    return Change(run.id, run.number, run.token, **given)


def _with_lines(change: Change, last: LastLines) -> tuple[Change, int]:
    """The change with lines of the journal in it, and how many bytes they have."""
    attempt = last.attempt
    change.events = [(attempt, seq, line) for seq, line in last.lines]
    if last.cut is not None:
        change.cut = (attempt, last.cut)
    return change, sum(len(line) for _, line in last.lines)


def _lost(change: Change) -> LeaseLostError:
    return LeaseLostError(f"run {change.run_id} is not this worker's any more, so nothing was recorded")


def _by_run(batch: Iterable[_Waiting]) -> list[list[_Waiting]]:
    """The work of each run, and each heartbeat, in its order."""
    parts: dict[object, list[_Waiting]] = {}
    for waiting in batch:
        work = waiting.work
        parts.setdefault(work.number if isinstance(work, Change) else waiting, []).append(waiting)
    return list(parts.values())


def _tell(answers: Iterable[tuple[_Waiting, object]]) -> None:
    """Give everybody their answer on their own event loop, one call for each loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], object]]] = {}
    for waiting, answer in answers:
        by_loop.setdefault(waiting.loop, []).append((waiting.done, answer))
    for loop, told in by_loop.items():
        with suppress(RuntimeError):  # whoever waited is gone with their loop
            loop.call_soon_threadsafe(_answer, told)


def _answer(told: Sequence[tuple[asyncio.Future[Any], object]]) -> None:
    for done, answer in told:
        if done.done():
            continue
        if isinstance(answer, Exception):
            done.set_exception(_copy(answer))
        else:
            done.set_result(answer)


def _copy(error: Exception) -> Exception:
    """An error of its own for each who waits: tracebacks are added to it."""
    copy = type(error)(*error.args)
    copy.__cause__ = error.__cause__
    return copy
