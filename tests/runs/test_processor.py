"""The processor: slots, refills, wake-ups, stops, cancellations, callbacks, and what happens to leases."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from queued_suites import add_project, enqueue
from waiting import LONG, until

from duologue import AgentAdapter, AgentInput
from duologue.errors import ConfigurationError, StoreUnavailableError
from duologue.runs.processor import RunProcessor
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.rows import get_run
from duologue.runs.store.records import FinishedRun, QueueStatus, StoredRun


class Bot(AgentAdapter):
    """Answers ``ok`` at once, or when it is let go; counts what it was asked.

    Args:
        waits_for: the line that it waits at; None for none.
    """

    resumable = True

    def __init__(self, waits_for: str | None = None) -> None:
        self.asked: Counter[str] = Counter()
        self.waiting = 0
        self.gate = asyncio.Event()
        self._waits_for = waits_for

    async def call(self, input: AgentInput) -> str:
        line = input.last_new_user_message_str()
        assert input.scope is not None
        assert input.scope.journal is not None
        self.asked[f"{input.scope.journal.run_id} {line}"] += 1
        if line == self._waits_for:
            self.waiting += 1
            try:
                await self.gate.wait()
            finally:
                self.waiting -= 1
        return f"ok {line}"


def processor(database: Database, bot: Bot, **options: Any) -> RunProcessor:
    return RunProcessor(database, agents={"bot": lambda: bot}, **{"poll_interval": LONG, **options})


async def status(database: Database, run_id: str) -> QueueStatus:
    return (await stored(database, run_id)).status


async def stored(database: Database, run_id: str) -> StoredRun:
    found = await get_run(database, run_id)
    assert found is not None
    return found


async def statuses(database: Database) -> dict[QueueStatus, int]:
    return dict(await database.queue.counts())


async def until_counted(database: Database, **wanted: int) -> None:
    while {name.value: count for name, count in (await statuses(database)).items()} != wanted:
        await asyncio.sleep(0.01)


async def test_start_carries_out_what_is_there_and_what_comes_without_waiting_for_the_poll(
    database: Database, tmp_path: Path
) -> None:
    bot = Bot()
    worker = processor(database, bot)
    first = await enqueue(database, tmp_path, 5)
    await worker.start()
    await worker.start()
    assert worker.is_running
    await until_counted(database, completed=5)
    second = await enqueue(database, tmp_path, 2, turns=2)
    await until_counted(database, completed=7)
    await worker.stop()
    await worker.stop()
    assert not worker.is_running
    assert worker.get_active_run_count() == 0
    assert bot.asked == {
        **{f"{run} 1": 1 for run in first},
        **{f"{run} {line}": 1 for run in second for line in (1, 2)},
    }
    assert worker.outcomes == {"pass": 7}
    [run] = [await stored(database, first[0])]
    assert [message.get("content") for message in run.messages] == ["1", "ok 1"]
    assert run.outcome == "pass"
    assert run.started_at
    assert run.completed_at


async def test_it_can_be_started_again(database: Database, tmp_path: Path) -> None:
    worker = processor(database, Bot())
    for count in (1, 2):
        await enqueue(database, tmp_path, 1)
        await worker.start()
        await until_counted(database, completed=count)
        await worker.stop()


async def test_a_free_slot_is_filled_although_other_runs_take_long(database: Database, tmp_path: Path) -> None:
    bot = Bot(waits_for="2")
    worker = processor(database, bot, max_concurrent=2)
    await enqueue(database, tmp_path, 1, turns=2)
    await enqueue(database, tmp_path, 20)
    await worker.start()
    await until_counted(database, completed=20, running=1)
    assert worker.get_active_run_count() == 1
    bot.gate.set()
    await worker.stop()
    assert await statuses(database) == {QueueStatus.COMPLETED: 21}


async def test_no_more_than_max_concurrent_at_once(database: Database, tmp_path: Path) -> None:
    bot = Bot(waits_for="1")
    await enqueue(database, tmp_path, 5)
    async with processor(database, bot) as worker:
        await worker.start()
        await until(lambda: bot.waiting == 3)
        assert await statuses(database) == {QueueStatus.RUNNING: 3, QueueStatus.QUEUED: 2}
        bot.gate.set()
        await until_counted(database, completed=5)


async def test_process_once_takes_one_batch(database: Database, tmp_path: Path) -> None:
    bot = Bot()
    worker = processor(database, bot, max_concurrent=2)
    await enqueue(database, tmp_path, 3)
    assert [await worker.process_once() for _ in range(3)] == [2, 1, 0]
    assert await statuses(database) == {QueueStatus.COMPLETED: 3}
    assert not worker.is_running


async def test_two_processors_in_one_process_share_the_work(database: Database, tmp_path: Path) -> None:
    bots = Bot(), Bot()
    workers = [processor(database, bot, max_concurrent=5) for bot in bots]
    ids = await enqueue(database, tmp_path, 100)
    for worker in workers:
        await worker.start()
    await until_counted(database, completed=100)
    for worker in workers:
        await worker.stop()
    assert bots[0].asked + bots[1].asked == {f"{run} 1": 1 for run in ids}


async def test_start_of_a_second_processor_leaves_live_runs_alone(where: str, tmp_path: Path) -> None:
    async with Database.open(where, create=True) as one:
        await add_project(one, "p")
        bot, other = Bot(waits_for="1"), Bot()
        first = processor(one, bot)
        ids = await enqueue(one, tmp_path, 3)
        await first.start()
        await until(lambda: bot.waiting == 3)
        async with Database.open(where) as two:
            second = processor(two, other)
            await second.start()
            await second.stop()
        assert await statuses(one) == {QueueStatus.RUNNING: 3}
        bot.gate.set()
        await first.stop()
        assert await statuses(one) == {QueueStatus.COMPLETED: 3}
        assert bot.asked == {f"{run} 1": 1 for run in ids}
        assert not other.asked


async def test_stop_waits_for_runs_under_way(database: Database, tmp_path: Path) -> None:
    bot = Bot(waits_for="1")
    worker = processor(database, bot)
    await enqueue(database, tmp_path, 5)
    await worker.start()
    await until(lambda: bot.waiting == 3)
    stopping = asyncio.create_task(worker.stop(LONG))
    await asyncio.sleep(0)
    bot.gate.set()
    await stopping
    assert await statuses(database) == {QueueStatus.COMPLETED: 3, QueueStatus.QUEUED: 2}


async def test_what_does_not_end_in_time_goes_back_and_continues_where_it_was(
    database: Database, tmp_path: Path
) -> None:
    bot = Bot(waits_for="2")
    worker = processor(database, bot)
    [run] = await enqueue(database, tmp_path, 1, turns=3)
    await worker.start()
    await until(lambda: bot.waiting)
    waiting = asyncio.create_task(worker.stop(LONG))
    await asyncio.sleep(0)
    await worker.stop(0)
    await waiting
    assert (await stored(database, run)).status is QueueStatus.QUEUED
    assert (await stored(database, run)).attempts == 0
    other = Bot()
    await processor(database, other).drain()
    assert other.asked == {f"{run} 2": 1, f"{run} 3": 1}
    done = await stored(database, run)
    assert done.outcome == "pass"
    assert [message.get("content") for message in done.messages] == ["1", "ok 1", "2", "ok 2", "3", "ok 3"]


async def test_cancel_ends_a_run_in_the_middle_of_a_call(database: Database, tmp_path: Path) -> None:
    bot = Bot(waits_for="1")
    worker = processor(database, bot, max_concurrent=1)
    running, queued = await enqueue(database, tmp_path, 2)
    await worker.start()
    await until(lambda: bot.waiting == 1)
    await database.queue.cancel([running, queued])
    await until_counted(database, cancelled=2)
    await until(lambda: not worker.get_active_run_count())
    await worker.stop()
    run = await stored(database, running)
    assert run.outcome == "cancelled"
    assert [message.get("content") for message in run.messages] == ["1"]
    assert not bot.waiting


async def test_callbacks_are_called_in_order_and_their_failures_hurt_nobody(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[tuple[object, ...]] = []

    async def changed(run_id: str, status: QueueStatus, run: StoredRun) -> None:
        heard.append(("status", run_id, status.value, run.status.value))

    def failing(*given: object) -> None:
        raise ValueError("of the callback")

    [run] = await enqueue(database, tmp_path, 1)
    worker = processor(
        database,
        Bot(),
        on_status_change=changed,
        on_run_start=failing,
        on_run_complete=lambda run, result: heard.append(("complete", run.id, result.outcome, len(run.messages))),
        on_run_error=failing,
    )
    with caplog.at_level(logging.ERROR, "duologue.runs"):
        await worker.drain()
    assert heard == [
        ("status", run, "running", "running"),
        ("status", run, "completed", "completed"),
        ("complete", run, "pass", 2),
    ]
    assert "of the callback" in caplog.text


async def cancels_its_task(*given: object) -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)


async def is_cancelled(*given: object) -> None:
    raise asyncio.CancelledError


def exits(*given: object) -> None:
    sys.exit(2)


@pytest.mark.parametrize("hook", ["on_status_change", "on_run_start", "on_run_complete"])
@pytest.mark.parametrize("callback", [cancels_its_task, is_cancelled, exits])
async def test_a_callback_that_cancels_or_exits_hurts_no_run(
    database: Database, tmp_path: Path, callback: Any, hook: str
) -> None:
    runs = await enqueue(database, tmp_path, 2)
    await processor(database, Bot(), **{hook: callback}).drain()
    assert [(await stored(database, run)).attempts for run in runs] == [1, 1]
    assert await statuses(database) == {QueueStatus.COMPLETED: 2}


async def test_a_broken_agent_is_an_error_and_never_a_verdict(database: Database, tmp_path: Path) -> None:
    def broken(input: AgentInput) -> str:
        raise OSError("no route to the agent")

    errors: list[tuple[str, str]] = []
    [run] = await enqueue(database, tmp_path, 1)
    worker = RunProcessor(
        database, agents={"bot": broken}, on_run_error=lambda run, error: errors.append((run.id, str(error)))
    )
    assert await worker.process_once() == 1
    done = await stored(database, run)
    assert (done.status, done.outcome, done.score) == (QueueStatus.ERROR, "error", None)
    assert "no route to the agent" in (done.error or "")
    assert errors == [(run, done.error)]
    await database.queue.retry(run)
    bot = Bot()
    await processor(database, bot).drain()
    assert (await stored(database, run)).outcome == "pass"


async def test_a_snapshot_that_cannot_be_opened_is_an_error_of_its_runs_only(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "gone" / "agent.py").write_text("def answer(input):\n    return 'ok'\n")
    [lost] = await enqueue(database, tmp_path / "gone", 1, target="agent.py:answer")
    (tmp_path / "gone" / "agent.py").unlink()
    [fine] = await enqueue(database, tmp_path, 1)
    await processor(database, Bot()).drain()
    assert (await stored(database, fine)).outcome == "pass"
    run = await stored(database, lost)
    assert run.status is QueueStatus.ERROR
    assert "agent.py" in (run.error or "")


async def test_a_blocked_event_loop_keeps_its_runs(where: str, tmp_path: Path) -> None:
    async with Database.open(where, create=True, lease=0.5) as one, Database.open(where, lease=0.5) as two:
        await add_project(one, "p")
        bot = Bot(waits_for="1")
        worker = processor(one, bot)
        [run] = await enqueue(one, tmp_path, 1)
        await worker.start()
        await until(lambda: bot.waiting)
        recovered: list[object] = []

        def others() -> None:
            """Recover again and again, in another thread, while the loop of the worker is blocked."""
            for _ in range(8):
                recovered.extend(asyncio.run(two.queue.recover()).requeued)
                threading.Event().wait(0.25)

        blocking = threading.Thread(target=others)
        blocking.start()
        blocking.join()
        assert not recovered
        bot.gate.set()
        await worker.stop()
        assert await statuses(one) == {QueueStatus.COMPLETED: 1}
        assert bot.asked == {f"{run} 1": 1}


async def test_a_worker_that_lost_its_lease_stops_and_writes_nothing(where: str, tmp_path: Path) -> None:
    async with Database.open(where, create=True) as one, Database.open(where) as two:
        await add_project(one, "p")
        bot, other = Bot(waits_for="1"), Bot()
        worker = processor(one, bot, max_concurrent=1)
        [run] = await enqueue(one, tmp_path, 1)
        await worker.start()
        await until(lambda: bot.waiting)
        while not (await two.queue.recover()).requeued:
            await end_leases(two)
        second = processor(two, other)
        await second.start()
        await until_counted(two, completed=1)
        done = await stored(two, run)
        await one.queue.cancel([])  # a heartbeat at once, which finds out
        await until(lambda: not worker.get_active_run_count())
        await worker.stop()
        await second.stop()
        assert await stored(two, run) == done
        assert worker.outcomes == {}
        assert second.outcomes == {"pass": 1}


async def end_leases(database: Database) -> None:
    """As if every worker had been silent for too long."""
    from sqlalchemy import update

    from duologue.runs.store.database.schema import workers

    await database.write(lambda connection: connection.execute(update(workers).values(lease_until=0.0)))


async def test_an_end_that_cannot_be_recorded_is_recorded_later(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, failures = database.queue.finish, 2

    async def away(run: Any, end: FinishedRun, last: Any) -> None:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreUnavailableError("the database is away")
        await finish(run, end, last)

    monkeypatch.setattr(database.queue, "finish", away)
    bot = Bot()
    [run] = await enqueue(database, tmp_path, 1)
    await processor(database, bot).drain()
    assert (await stored(database, run)).outcome == "pass"
    assert bot.asked == {f"{run} 1": 1}


async def test_a_store_that_fails_is_asked_again(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim, failures = database.queue.claim, 2

    async def away(*given: Any, **more: Any) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise StoreUnavailableError("the database is away")
        return await claim(*given, **more)

    monkeypatch.setattr(database.queue, "claim", away)
    await enqueue(database, tmp_path, 1)
    worker = processor(database, Bot())
    await worker.start()
    await until_counted(database, completed=1)
    await worker.stop()


async def test_runs_that_may_kill_their_worker_are_carried_out_one_at_a_time(
    database: Database, tmp_path: Path
) -> None:
    """Otherwise one of them takes those along that happen to be carried out beside it."""
    suspects = await enqueue(database, tmp_path / "suspects", 3)
    for _ in range(2):
        assert len(await database.queue.claim("one that dies", 3)) == 3
        await end_leases(database)
        await database.queue.recover()
    fresh = await enqueue(database, tmp_path / "fresh", 2)
    bot = Bot(waits_for="1")
    draining = asyncio.create_task(processor(database, bot, max_concurrent=10).drain())
    for number in range(len(suspects)):
        asked = number + 1 + len(fresh)
        await until(lambda: bot.asked.total() == asked)  # noqa: B023
        found = Counter([await status(database, run) for run in suspects])
        assert found[QueueStatus.RUNNING] == 1
        assert found[QueueStatus.COMPLETED] == number
        gate, bot.gate = bot.gate, asyncio.Event()
        gate.set()
    await draining
    assert await statuses(database) == {QueueStatus.COMPLETED: 5}
    assert [(await stored(database, run)).attempts for run in suspects] == [3, 3, 3]
    assert [(await stored(database, run)).attempts for run in fresh] == [1, 1]


async def test_only_runs_of_the_projects_that_are_named(database: Database, tmp_path: Path) -> None:
    bot = Bot()
    await enqueue(database, tmp_path, 2, project="p")
    [run] = await enqueue(database, tmp_path, 1, project="q")
    await processor(database, bot, projects=["q"]).drain()
    assert bot.asked == {f"{run} 1": 1}
    assert await statuses(database) == {QueueStatus.COMPLETED: 1, QueueStatus.QUEUED: 2}
    with pytest.raises(ConfigurationError, match=r"no project 'pp'.*did you mean 'p'"):
        await processor(database, bot, projects=["pp"]).start()


@pytest.mark.parametrize("options", [{"max_concurrent": 0}, {"poll_interval": 0}, {"stop_timeout": -1}])
def test_numbers_that_cannot_be_used(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        RunProcessor(**options)  # pyright: ignore[reportArgumentType]
