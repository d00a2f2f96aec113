"""Executions that may have only so many runs at once, over all workers; cancelled ones; and ones that are run again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from eval_runs import carried_out, new_eval, store
from grading_model import Grader
from own_runtimes import holding, talk

from duologue.runs import RunService
from duologue.runs.aggregates import aggregate_execution
from duologue.runs.processor import RunProcessor
from duologue.runs.store.database.execution_result import execution_so_far
from duologue.runs.store.database.held_back import let_all_go
from duologue.runs.store.records import QueueStatus

HOLDER = {"agent": {"name": "bot", "runtime": {"kind": "holder"}}}
HELLO = {"name": "hello"}


class Line:
    """Counts how many conversations there are at once."""

    def __init__(self) -> None:
        self.now = self.most = self.total = 0

    async def hold(self, _: Any) -> Any:
        self.now, self.total = self.now + 1, self.total + 1
        self.most = max(self.most, self.now)
        for _ in range(20):
            await asyncio.sleep(0)
        self.now -= 1
        return talk("Hi", "There it is.")


async def test_execution_has_no_more_runs_at_once_than_its_eval_allows_over_all_workers(tmp_path: Path) -> None:
    line = Line()
    async with RunService.open(store(tmp_path)) as service:
        with holding(line.hold):
            limited = await new_eval(service, HOLDER, HELLO, trials=12, config={"concurrency": 2})
            await service.create_runs(limited.id)
            workers = [RunProcessor(service.database, models={"grader": Grader()}, max_concurrent=6) for _ in range(2)]
            await asyncio.gather(*(worker.drain() for worker in workers))
            await asyncio.gather(*(worker.stop() for worker in workers))
            await carried_out(service, Grader())
        runs = await service.list_runs(eval_id=limited.id)
    assert {run.outcome for run in runs} == {"pass"}
    assert (line.most, line.total) == (2, 12)


async def test_runs_that_a_dead_worker_has_left_behind_are_let_go_and_others_are_not_held_up(tmp_path: Path) -> None:
    async with RunService.open(store(tmp_path)) as service:
        with holding(lambda _: talk("Hi", "There it is.")):
            limited = await new_eval(service, HOLDER, HELLO, trials=5, config={"concurrency": 2})
            first = await service.create_runs(limited.id)
            free = await service.create_eval(
                name="free",
                scenario_ids=limited.scenario_ids,
                agent_id=limited.spec.agent_id,
                config=limited.spec.config,
            )
            await service.update_eval(
                free.id, config={"user_simulator": {"mode": "scripted", "scripted_messages": ["Hi"]}}
            )
            await service.create_runs(free.id)
            claimed = await service.database.queue.claim("w", 50)
            assert len(claimed) == 2 + 1
            await service.delete_runs(*(run.id for run in claimed))
            assert await service.database.queue.claim("w", 50) == []
            assert await service.database.write(let_all_go) == 2
            assert len(await service.database.queue.claim("w", 50)) == 2
            assert len(first) == 5


async def test_cancelled_execution_ends_at_once_and_what_never_began_is_not_counted(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def hold(args: Any) -> Any:
        begun.set()
        await args.run_snapshot.cancel_event.wait()
        return talk("Hi", "There it is.")

    async with RunService.open(store(tmp_path)) as service:
        with holding(hold):
            limited = await new_eval(service, HOLDER, HELLO, trials=6, config={"concurrency": 1})
            runs = await service.create_runs(limited.id)
            processor = RunProcessor(service.database, models={"grader": Grader()}, max_concurrent=4)
            await processor.start()
            await begun.wait()
            await service.cancel_runs(*(run.id for run in runs))
            while any(run.status in {"queued", "running"} for run in await service.list_runs(messages=False)):
                await asyncio.sleep(0.01)
            await processor.stop()
        found = await service.list_runs(eval_id=limited.id)
        assert runs[0].execution_id is not None
        result = await execution_so_far(service.database, runs[0].execution_id)
    assert {run.status for run in found} == {QueueStatus.CANCELLED}
    assert result is not None
    figures = aggregate_execution(result.runs)
    assert (figures.total_executions, figures.pass_rate, figures.cancelled_count) == (0, None, 6)


async def test_execution_that_is_run_again_has_the_runs_that_it_had(tmp_path: Path) -> None:
    broken = {"is": True}

    def hold(_: Any) -> Any:
        if broken["is"]:
            raise RuntimeError("the line is dead")
        return talk("Hi", "There it is.")

    async with RunService.open(store(tmp_path)) as service:
        with holding(hold):
            limited = await new_eval(service, HOLDER, HELLO, trials=4, config={"concurrency": 2})
            runs = await service.create_runs(limited.id)
            await carried_out(service, Grader())
            assert {run.outcome for run in await service.list_runs()} == {"error"}
            broken["is"] = False
            for run in runs:
                await service.retry_run(run.id)
            assert len(await service.database.queue.claim("w", 50)) == 2
            await service.database.queue.recover()
            for run in await service.list_runs(status="running"):
                await service.update_run(run.id, status="queued")
            await carried_out(service, Grader())
        found = await service.list_runs()
    assert [(run.id, run.outcome) for run in found] == [(run.id, "pass") for run in runs]
