"""Limits of providers that a processor is given, and the processor of programs without an event loop."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from queued_suites import add_project, enqueue
from sqlalchemy import update
from waiting import until, wait_until

from duologue import AgentAdapter, AgentInput
from duologue.errors import ConfigurationError, StoreError
from duologue.runs import ProviderLimit, SyncRunProcessor
from duologue.runs.processor import RunProcessor
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import runs
from duologue.runs.store.records import QueueStatus


class Bot(AgentAdapter):
    """Counts how many of its runs are under way at once."""

    resumable = True

    def __init__(self) -> None:
        self.now = self.most = 0
        self.go = asyncio.Event()

    async def call(self, input: AgentInput) -> str:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.go.wait()
        self.now -= 1
        return "ok"


async def queued(database: Database, folder: Path, count: int) -> None:
    """Runs of a provider."""
    await enqueue(database, folder, count)
    await database.write(lambda connection: connection.execute(update(runs).values(provider="openai")).rowcount)


async def test_a_limit_holds_for_all_processors_of_the_store(database: Database, tmp_path: Path) -> None:
    await queued(database, tmp_path, 8)
    bot = Bot()
    options: dict[str, Any] = {"agents": {"bot": lambda: bot}, "max_concurrent": 5, "poll_interval": 0.01}
    first = RunProcessor(database, limits={"openai": 3}, **options)
    second = RunProcessor(database, **options)
    await first.start()
    await second.start()
    await until(lambda: bot.now == 3)
    bot.go.set()
    while (await database.queue.counts()).get(QueueStatus.COMPLETED) != 8:
        await asyncio.sleep(0.01)
    await first.stop()
    await second.stop()
    assert bot.most == 3
    assert await database.queue.limits() == [ProviderLimit(provider="openai", max_concurrency=3)]


async def test_limits_can_be_rates_and_are_set_again_only_if_they_are_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ProviderLimit] = []
    set_limit = database.queue.set_limit

    async def counted(limit: ProviderLimit) -> None:
        made.append(limit)
        await set_limit(limit)

    monkeypatch.setattr(database.queue, "set_limit", counted)
    rate = ProviderLimit(provider="azure", per_second=2.5, burst=5.0)
    for limits in ({"azure": rate}, {"azure": rate}, {"azure": 4}, {}, None):
        async with RunProcessor(database, limits=limits):
            pass
    assert made == [rate, ProviderLimit(provider="azure", max_concurrency=4)]


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ({"openai": 0}, "max_concurrency of 'openai' is 0; expected a whole number from 1"),
        ({"openai": "3"}, "limits is {'openai': '3'}; expected a mapping"),
        ({"openai": True}, "limits is {'openai': True}; expected a mapping"),
        ({5: 3}, "limits is {5: 3}; expected a mapping"),
        ({"openai": ProviderLimit(provider="azure")}, "limits['openai'] is for 'azure'"),
        ({"openai": ProviderLimit(provider="openai", per_second=0)}, "per_second of 'openai' is 0; expected a number"),
        ({"openai": ProviderLimit(provider="openai", per_second=float("nan"))}, "per_second of 'openai' is nan"),
        ({"openai": ProviderLimit(provider="openai", burst=0.5)}, "burst of 'openai' is 0.5; expected a number from 1"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: Any, told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        RunProcessor("runs.db", limits=limits)
    assert told in str(raised.value)


def answer(input: AgentInput) -> str:
    return "ok"


def prepared(where: Path, count: int) -> list[str]:
    async def work() -> list[str]:
        async with Database.open(where, create=True) as database:
            await add_project(database, "p")
            return list(await enqueue(database, where.parent / "suite", count))

    return asyncio.run(work())


def test_a_program_without_an_event_loop_carries_runs_out(tmp_path: Path) -> None:
    where = tmp_path / "runs.db"
    first, *_ = prepared(where, 6)
    threads: set[str] = set()

    def ended(*_: object) -> None:
        threads.add(threading.current_thread().name)

    with SyncRunProcessor(where, agents={"bot": answer}, max_concurrent=2, on_run_end=ended) as processor:
        assert processor.process_run(first)
        assert not processor.process_run(first)
        assert processor.process_once() == 2
        assert not processor.is_running
        processor.start()
        assert processor.is_running
        wait_until(lambda: sum(processor.outcomes.values()) == 6)
        processor.stop()
        assert (processor.is_running, processor.get_active_run_count()) == (False, 0)
        processor.drain()
    assert threading.current_thread().name not in threads
    assert processor.outcomes == {"pass": 6}


def test_it_can_be_used_without_a_block_and_from_several_threads(tmp_path: Path) -> None:
    where = tmp_path / "runs.db"
    prepared(where, 4)
    processor = SyncRunProcessor(RunProcessor(where, agents={"bot": answer}))
    drains = [threading.Thread(target=processor.drain) for _ in range(2)]
    for thread in drains:
        thread.start()
    for thread in drains:
        thread.join()
    assert processor.outcomes == {"pass": 4}
    processor.start()
    processor.close()
    processor.close()
    assert not processor.is_running


def test_a_store_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"), SyncRunProcessor(tmp_path / "typo.db"):
        pass
