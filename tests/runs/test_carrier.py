"""What a worker keeps prepared between runs: never longer than it is what the next run needs."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from http_agents import Asked, HttpAgents, Reply, http_agents
from queued_suites import enqueue
from waiting import until

from duologue.runs.carry_out import RunCarrier
from duologue.runs.processor import RunProcessor
from duologue.runs.service import RunService
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.rows import get_run
from duologue.runs.store.records import StoredRun

OLD, NEW = "Bearer old-4f9a8b7c6d5e4f3a", "Bearer new-1a2b3c4d5e6f7a8b"


@pytest.fixture
def agent() -> Iterator[HttpAgents]:
    with http_agents() as running:
        running.more["/chat"] = lambda asked: Reply({"message": {"content": "Of course."}})
        yield running


@pytest.fixture
async def service(database: Database, agent: HttpAgents) -> RunService:
    project = await SavedDefinitions(database).get_project("p")
    assert project is not None
    service = RunService(database, project)
    scenario = await service.create_scenario(
        name="refund", description="A refund.", messages=[{"role": "user", "content": "hello"}]
    )
    connector = await service.create_connector(
        name="bot", type="http", base_url=agent.url, config={"path": "/chat"}, headers={"Authorization": OLD}
    )
    await service.create_eval(name="nightly", scenario_ids=[scenario.id], connector_id=connector.id)
    return service


@asynccontextmanager
async def working(database: Database) -> AsyncIterator[RunProcessor]:
    """A worker that goes on."""
    processor = RunProcessor(database, poll_interval=0.05)
    await processor.start()
    try:
        yield processor
    finally:
        await processor.stop()


async def one_more(service: RunService) -> StoredRun:
    """A run of the eval, once it is over."""
    [nightly] = await service.list_evals()
    run = await service.create_run(nightly.id, seed=7)
    while (found := await service.get_run(run.id)) is None or found.completed_at is None:
        await asyncio.sleep(0.01)
    return found


async def replace_key(service: RunService, headers: dict[str, str]) -> None:
    [connector] = await service.list_connectors()
    await service.update_connector(connector.id, headers=headers)


def keys(agent: HttpAgents) -> list[str | None]:
    return [asked.headers.get("Authorization") or asked.headers.get("authorization") for asked in agent.asked]


def carrier_of(processor: RunProcessor) -> RunCarrier:
    assert processor._worker is not None
    return processor._worker._carrier


async def test_the_next_run_uses_a_key_that_was_replaced(service: RunService, agent: HttpAgents) -> None:
    async with working(service.database) as processor:
        for _ in range(2):
            await one_more(service)
        await replace_key(service, {"Authorization": NEW})
        for _ in range(2):
            await one_more(service)
        assert keys(agent) == [OLD, OLD, NEW, NEW]
        carrier = carrier_of(processor)
        assert len(carrier._prepared) == 1
        assert not carrier._replaced
        assert OLD not in str([prepared.values for prepared in carrier._prepared.values()])


async def test_a_key_that_was_taken_away_is_used_no_more(service: RunService, agent: HttpAgents) -> None:
    [nightly] = await service.list_evals()
    ids = [(await service.create_run(nightly.id, seed=7)).id for _ in range(3)]
    outcomes: list[str] = []
    async with RunProcessor(service.database) as processor:
        for run_id, headers in zip(ids, ({"Authorization": OLD}, {}, {"Authorization": NEW}), strict=True):
            await replace_key(service, headers)
            await processor.process_run(run_id)
            run = await service.get_run(run_id)
            assert run is not None
            outcomes.append(run.error or "")
    assert "no longer has what the run needs: Authorization" in outcomes[1]
    assert outcomes[::2] == ["", ""]
    assert keys(agent) == [OLD, NEW]


async def test_a_run_that_is_under_way_ends_with_the_key_that_it_began_with(
    service: RunService, agent: HttpAgents
) -> None:
    waiting, go = threading.Event(), threading.Event()

    def answer(asked: Asked) -> Reply:
        if not waiting.is_set():
            waiting.set()
            go.wait()
        return Reply({"message": {"content": "Of course."}})

    agent.more["/chat"] = answer
    async with working(service.database) as processor:
        first = asyncio.create_task(one_more(service))
        await until(waiting.is_set)
        await replace_key(service, {"Authorization": NEW})
        second = await one_more(service)
        carrier = carrier_of(processor)
        assert len(carrier._replaced) == 1
        go.set()
        assert (await first).outcome == second.outcome
        await until(lambda: not carrier._replaced)
    assert keys(agent) == [OLD, NEW]


async def test_nothing_is_kept_of_what_was_waited_for(service: RunService, agent: HttpAgents) -> None:
    [nightly] = await service.list_evals()
    for seed in range(20):
        await service.create_run(nightly.id, seed=seed)
    async with working(service.database) as processor:
        while processor.outcomes.total() < 20:
            await asyncio.sleep(0.01)
        gc.collect()
        assert len(carrier_of(processor)._preparing) == 0
    assert len(agent.asked) == 20


async def test_a_suite_in_place_whose_files_have_changed_is_refused(database: Database, tmp_path: Path) -> None:
    code = "def answer(input):\n    return 'ok 1'\n"
    (tmp_path / "agent.py").write_text(code)
    ids = await enqueue(database, tmp_path, 4, target="agent.py:answer")
    errors: list[str] = []
    async with RunProcessor(database) as processor:
        for run_id, now in zip(ids, (code, code, code.replace("1", "2"), code), strict=True):  # of the same length
            (tmp_path / "agent.py").write_text(now)
            await processor.process_run(run_id)
            run = await get_run(database, run_id)
            assert run is not None
            errors.append(run.error or "")
    assert "agent.py of the suite 'orders'" in errors[2]
    assert "changed after the run was made; make the run again" in errors[2]
    assert [errors[0], errors[1], errors[3]] == ["", "", ""]
