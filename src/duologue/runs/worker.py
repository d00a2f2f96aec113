"""A worker at the store: it holds a lease, claims runs, carries them out and records what they come to.

:class:`~duologue.runs.processor.RunProcessor` is its public face. A worker writes for a run only as long as its lease
lasts. Once another worker has the run, the store refuses what this one writes, and the run is ended here at once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from typing import TypeVar

from sqlalchemy import Connection, func, select

from duologue.config.tracebacks import error_text
from duologue.context import Clock
from duologue.errors import (
    ArtifactError,
    DuologueError,
    JournalError,
    LeaseLostError,
    RunError,
    StoreError,
    StoreUnavailableError,
)
from duologue.frozen import changed
from duologue.runs.active_runs import ActiveRun, EndReason
from duologue.runs.callbacks import Callbacks
from duologue.runs.carry_out import RunCarrier
from duologue.runs.heartbeat import Heartbeat
from duologue.runs.metrics import RunMetrics
from duologue.runs.schedules import Schedules
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.failures import is_of_the_store
from duologue.runs.store.database.rows import get_run
from duologue.runs.store.database.schema import runs
from duologue.runs.store.database.wakeup import CANCELLED, QUEUED
from duologue.runs.store.database.writer import LastLines
from duologue.runs.store.records import Beat, ClaimedRun, FinishedRun, QueueStatus, StoredRun, WorkerRecord
from duologue.suites.results.run import reason_of

logger = logging.getLogger("duologue.runs")

T = TypeVar("T")

END_TIMEOUT = 10.0
"""Seconds that a run may take to end once it is cancelled; the worker does not wait longer."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds before a store that has failed is asked again, at first and at most."""
_LONG, _SOON = 3600.0, 0.05
BEATS = 3
"""Heartbeats in the time that a lease lasts."""


class Worker:
    """Carries out runs, so many at once.

    Args:
        database: whose runs they are.
        record: who it is.
        projects: ids of those whose runs it claims; empty for all.
        carrier: carries out single runs.
        callbacks: who is told.
        outcomes: counts how many runs have come to which outcome.
        clock: for pauses and measures.

    Attributes:
        active: runs that are under way, by number.
        record: who it is.
    """

    def __init__(
        self,
        database: Database,
        record: WorkerRecord,
        *,
        projects: Sequence[str],
        carrier: RunCarrier,
        callbacks: Callbacks,
        outcomes: Counter[str],
        clock: Clock,
    ) -> None:
        self.active: dict[int, ActiveRun] = {}
        self.record = record
        self._database, self._queue = database, database.queue
        self._projects = tuple(projects)
        self._carrier = carrier
        self._callbacks = callbacks
        self._outcomes = outcomes
        self._clock = clock
        self._claiming = asyncio.Lock()
        self._woken = asyncio.Event()
        self._hurry = asyncio.Event()
        self._stopping = False
        self._unwritable: Exception | None = None
        self._problems: dict[str, str] = {}
        self._left: list[ClaimedRun] = []
        self._last_due = True
        self._recovered_at = clock.monotonic()
        self._scheduled_at = self._recovered_at
        self._schedules = Schedules(database)
        self._listening: asyncio.Task[None] | None = None
        self._metrics = RunMetrics(record.id, lambda: len(self.active))
        self._heartbeat = Heartbeat(
            database,
            send=lambda held: self._queue.heartbeat(record.id, held),
            held=lambda: [active.run for active in tuple(self.active.values())],
            take=self._take,
            interval=self._queue.lease / BEATS,
        )

    # --- life --------------------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Register, and give back the runs of workers that are dead."""
        await self._queue.register(self.record)
        if self._metrics.observed:
            self._database.writer.on_batch = self._metrics.flushed
        self._heartbeat.start()
        self._listening = asyncio.create_task(self._listen(), name="duologue-processor-signals")
        await self._queue.recover()

    async def serve(self, poll_interval: float, *, drain: bool = False) -> None:
        """Carry out runs until the worker is stopped or, with ``drain``, until none is left.

        Raises:
            StoreError: with ``drain``, the database has failed.
        """
        pause, recorded = FIRST_PAUSE, 0
        while not self._stopping:
            self._woken.clear()
            try:
                await self._recover()
                scheduled = None if drain else await self._launch_due(poll_interval)
                begun = await self.fill()
                if drain and not begun and not self.active and not await self._waiting():
                    return
            except Exception as error:
                self._metrics.failures.add(1)
                if drain:
                    raise
                self._say(error, pause)
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._hurry.wait()
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            if (total := self._outcomes.total()) > recorded:  # until then, a run may be claimed and fail again at once
                pause, recorded = FIRST_PAUSE, total
            waits = [item for item in (poll_interval, self._queue.wait, scheduled) if item is not None]
            with suppress(TimeoutError):
                async with asyncio.timeout(min(waits)):
                    await self._woken.wait()

    async def fill(self) -> list[ActiveRun]:
        """Claim runs for all free slots, and begin them."""
        async with self._claiming:
            await self._release_left()
            if (error := self._unwritable) is not None:
                self._unwritable = None
                raise error
            begun = await self._fill_last() if self._last_due else []  # also where there is always something else
            self._last_due = False
            while not self._stopping and (slots := self.record.capacity - len(self.active)) > 0:
                claimed = await self._claim(slots, last=False)
                begun += claimed
                if len(claimed) < slots:
                    begun += await self._fill_last() if self._queue.waiting else []
                    break
            return begun

    async def _release_left(self) -> None:
        """Give back runs whose end could not be recorded: as long as this worker has them, nobody else can take them.

        Raises:
            StoreError: some of them cannot be given back either. All others are by then.
        """
        failed: StoreError | None = None
        tried: list[ClaimedRun] = []
        while (run := next((run for run in self._left if run not in tried), None)) is not None:  # more may come
            tried.append(run)
            try:
                with suppress(LeaseLostError):
                    await self._release(run)
            except StoreUnavailableError:
                raise
            except StoreError as error:
                failed = error
            else:
                self._left.remove(run)
        if failed is not None:
            raise failed

    async def _fill_last(self) -> list[ActiveRun]:
        """Claim a run whose last attempt it is, unless this worker has one.

        If it kills this worker too, it is set aside, and no other is that was only beside it.
        """
        full = len(self.active) >= self.record.capacity
        if full or self._stopping or any(active.last for active in self.active.values()):
            return []
        return await self._claim(1, last=True)

    async def _claim(self, slots: int, *, last: bool) -> list[ActiveRun]:
        claimed = await self._queue.claim(self.record.id, slots, projects=self._projects, last=last)
        if not self._hurry.is_set():
            return [self._begin(run, last=last) for run in claimed]
        for run in claimed:  # that took too long
            await self._release(run)
        return []

    async def take(self, run_id: str) -> ActiveRun | None:
        """Claim this run, whether a slot is free or not, and begin it; None if it does not wait."""
        claimed = await self._queue.claim_run(self.record.id, run_id)
        return None if claimed is None else self._begin(claimed)

    async def stop(self) -> None:
        """Claim nothing more, wait for the runs that are under way until :meth:`hurry`, and give back the others."""
        self._stopping = True
        self._woken.set()
        self.record = changed(self.record, state="stopping")
        telling = asyncio.create_task(self._tell())
        over, hurry = asyncio.create_task(self._over()), asyncio.create_task(self._hurry.wait())
        await asyncio.wait({over, hurry}, return_when=asyncio.FIRST_COMPLETED)
        over.cancel()
        telling.cancel()
        self._hurry.set()
        for active in tuple(self.active.values()):
            active.end(EndReason.RELEASED)
        if tasks := self._tasks():
            await asyncio.wait(tasks, timeout=END_TIMEOUT)
        for active in tuple(self.active.values()):  # they do not end: whatever they still write is refused
            with suppress(StoreError):
                await self._release(active.run)

    async def _tell(self) -> None:
        """Let others see that it stops."""
        with suppress(StoreError):
            await self._queue.register(changed(self.record, active=len(self.active)))

    async def _over(self) -> None:
        """Wait for the runs that are under way, and for those that are being claimed."""
        async with self._claiming:
            tasks = self._tasks()
        if tasks:
            await asyncio.wait(tasks)

    def hurry(self) -> None:
        """Wait no longer for runs that are under way."""
        self._hurry.set()

    async def close(self) -> None:
        """Renew the lease no more, and sign off."""
        if self._listening is not None:
            self._listening.cancel()
        await self._heartbeat.end()
        with suppress(StoreError):  # the lease ends by itself
            await self._queue.unregister(self.record.id)
        self._metrics.close()

    async def _listen(self) -> None:
        with self._database.wakeup.listen(QUEUED, CANCELLED) as listener:
            while True:
                topics = await listener.wait(_LONG)
                if QUEUED in topics:
                    self._woken.set()
                if CANCELLED in topics and self.active:
                    self._heartbeat.now()

    async def _recover(self) -> None:
        """Now and then, give back the runs of workers that have died meanwhile."""
        if self._clock.monotonic() - self._recovered_at >= self._queue.lease / 2:
            await self._by_itself(self._queue.recover(), "the runs of dead workers cannot be given back")
            if self._metrics.observed:
                queued = self._database.read(self._queued)
                self._metrics.queued = await self._by_itself(queued, "the queue cannot be counted")
            self._recovered_at = self._clock.monotonic()
            self._last_due = True

    async def _launch_due(self, poll_interval: float) -> float:
        """Launch what is due by a schedule, now and then; returns in how many seconds to look again."""
        now = self._clock.monotonic()
        if now >= self._scheduled_at:
            launching = self._schedules.launch_due(self._projects)
            launched = await self._by_itself(launching, "schedules cannot be looked at")
            wait = None if launched is None else launched.wait
            self._scheduled_at = now + (poll_interval if wait is None else min(poll_interval, max(wait, _SOON)))
        return self._scheduled_at - now

    async def _by_itself(self, work: Awaitable[T], problem: str) -> T | None:
        """Do something beside the runs, which go on whatever comes of it. A row of equal failures is logged once.

        Raises:
            StoreUnavailableError: the database is away, so that nothing else could be done either.
        """
        try:
            result = await work
        except StoreUnavailableError:
            raise
        except Exception as error:
            self._metrics.failures.add(1)
            if self._problems.get(problem) != (told := error_text(error)):
                self._problems[problem] = told
                known = isinstance(error, DuologueError)
                logger.error("%s, and it is tried again: %s", problem, told, exc_info=None if known else error)
            return None
        self._problems.pop(problem, None)
        return result

    def _queued(self, connection: Connection) -> int:
        """How many runs can be claimed."""
        asked = select(func.count()).where(runs.c.status == QueueStatus.QUEUED.value, runs.c.not_before.is_(None))
        return connection.execute(asked.select_from(runs)).scalar_one()

    async def _waiting(self) -> bool:
        """Whether there are runs that can be claimed, perhaps once a limit allows it."""

        def work(connection: Connection) -> bool:
            asked = select(runs.c.number).where(runs.c.status == QueueStatus.QUEUED.value, runs.c.not_before.is_(None))
            if self._projects:
                asked = asked.where(runs.c.project_id.in_(self._projects))
            return connection.execute(asked.limit(1)).first() is not None

        return await self._database.read(work)

    def _say(self, error: Exception, pause: float) -> None:
        if isinstance(error, DuologueError):
            level = logging.INFO if isinstance(error, StoreUnavailableError) else logging.WARNING  # that is told by now
            logger.log(level, "runs cannot be claimed, and are tried again in %.1f s: %s", pause, error)
        else:
            logger.error("runs cannot be claimed, and are tried again in %.1f s", pause, exc_info=error)

    # --- a run -------------------------------------------------------------------------------------------------------

    def _begin(self, run: ClaimedRun, *, last: bool = False) -> ActiveRun:
        if (earlier := self.active.get(run.number)) is not None:  # its lease was lost, and this worker has claimed it
            earlier.end(EndReason.LOST)
        active = self.active[run.number] = ActiveRun(run=run, last=last)
        self._metrics.claimed.add(1)
        active.task = asyncio.create_task(self._carry_out(active), name=f"run {run.id}")
        return active

    async def _carry_out(self, active: ActiveRun) -> None:
        run, began = active.run, self._clock.monotonic()
        finished: FinishedRun | None = None
        last: LastLines | None = None
        try:
            if self._callbacks.any:
                await self._callbacks.started(await self._stored(run))
            finished, last = await self._carrier.carry_out(run)
        except asyncio.CancelledError:
            active.ended_by = active.ended_by or EndReason.RELEASED  # the event loop is being closed
        except LeaseLostError:
            active.ended_by = EndReason.LOST
        except (StoreError, ArtifactError) as error:  # which says nothing about the run
            self._unwritable = error
        except Exception as error:  # noqa: BLE001 - one broken run never stops the others
            finished = broken(error)
        active.over = True
        if (task := active.task) is not None:
            while task.cancelling():
                task.uncancel()
        try:
            await self._settle(active, finished, last, self._clock.monotonic() - began)
        except LeaseLostError as error:
            self._metrics.lost.add(1)
            logger.info("%s", error)
        except Exception:
            logger.exception("the end of run %s could not be recorded; it goes back into the queue", run.id)
            self._left.append(run)
        finally:
            if self.active.get(run.number) is active:
                del self.active[run.number]
            self._woken.set()

    async def _settle(
        self, active: ActiveRun, finished: FinishedRun | None, last: LastLines | None, seconds: float
    ) -> None:
        """Record how a run ended, or give it back.

        Raises:
            LeaseLostError: it belongs to another worker.
        """
        run, reason = active.run, active.ended_by
        if reason is EndReason.LOST:
            raise LeaseLostError(f"run {run.id}: {reason.value}")
        if reason is EndReason.CANCELLED and finished is None:
            finished = FinishedRun(status=QueueStatus.CANCELLED, outcome=QueueStatus.CANCELLED.value)
        if finished is None or (reason is EndReason.RELEASED and finished.status is QueueStatus.CANCELLED):
            await self._release(run)
            return
        result = finished.result
        if result is not None and result.unrecorded:  # which says nothing about the run
            await self._release(run)
            self._unwritable = JournalError(reason_of(result))
            return
        await self._record_end(run, finished, last)
        self._carrier.recorded(run, finished)
        if self._carrier.holds_back(run):
            await self._queue.let_next_go(run)
        self._outcomes[finished.outcome] += 1
        self._metrics.finished.add(1, {"outcome": finished.outcome})
        self._metrics.duration.record(seconds, {"outcome": finished.outcome})
        await self._callbacks.ended(run, finished)
        if self._callbacks.any:
            error = RunError(finished.error or "") if finished.status is QueueStatus.ERROR else None
            try:
                stored = await self._stored(run)
            except StoreError as failure:  # the run is over all the same
                logger.warning("run %s is over, and no callback hears of it: %s", run.id, failure)
                return
            await self._callbacks.finished(stored, result, error)

    async def _record_end(self, run: ClaimedRun, finished: FinishedRun, last: LastLines | None) -> None:
        """Record the end of a run, however long the store is away, as long as nobody else has the run."""
        pause = FIRST_PAUSE
        while True:
            try:
                return await self._queue.finish(run, finished, last)
            except StoreError as error:
                if isinstance(error, LeaseLostError):
                    raise
                if not is_of_the_store(error):  # what the run has to say is the trouble
                    logger.warning("the result of run %s cannot be recorded: %s", run.id, error)
                    return await self._queue.finish(run, broken(error))
                self._metrics.failures.add(1)
                if self._hurry.is_set():
                    raise
                known = pause > FIRST_PAUSE or isinstance(error, StoreUnavailableError)  # that is told by now
                logger.log(
                    logging.INFO if known else logging.WARNING, "the end of run %s is recorded later: %s", run.id, error
                )
            await self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _release(self, run: ClaimedRun) -> None:
        await self._queue.release(run)
        self._metrics.released.add(1)
        if self._callbacks.any:
            await self._callbacks.released(await self._stored(run))

    async def _stored(self, run: ClaimedRun) -> StoredRun:
        found = await get_run(self._database, run.id)
        if found is None:
            raise LeaseLostError(f"run {run.id} was deleted")
        return found

    def _take(self, beat: Beat, about: Sequence[ClaimedRun]) -> None:
        """What a heartbeat about some runs has found."""
        for run in about:
            active = self.active.get(run.number)
            if active is None or active.run.token != run.token:
                continue
            if run.id in beat.lost:
                active.end(EndReason.LOST)
            elif run.id in beat.cancelling:
                active.end(EndReason.CANCELLED)

    def _tasks(self) -> list[asyncio.Task[None]]:
        return [active.task for active in self.active.values() if active.task is not None]


def broken(error: Exception) -> FinishedRun:
    """The end of a run that could not be carried out."""
    text = error_text(error)
    return FinishedRun(status=QueueStatus.ERROR, outcome=QueueStatus.ERROR.value, error=text, reason=text)
