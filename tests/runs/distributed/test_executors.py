"""What every executor promises: one set of tests for all of them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from waiting import until
from work_units import BrokenSession, Session, begun, unit

from duologue.errors import ConfigurationError, ExecutorError
from duologue.runs.distributed import WorkResult, WorkUnit
from duologue.runs.distributed.coordinator import Coordinator, ExecutorOptions
from duologue.runs.distributed.local import LocalExecutor
from duologue.runs.distributed.processes import ProcessExecutor
from duologue.runs.distributed.sinks import MemoryResults

Make = Callable[..., Coordinator]
pytestmark = pytest.mark.asyncio(loop_scope="module")


def _local(**arguments: object) -> Coordinator:
    return LocalExecutor(**arguments)  # type: ignore[arg-type]


def _processes(**arguments: object) -> Coordinator:
    return ProcessExecutor(**arguments)  # type: ignore[arg-type]


def _dask(**arguments: object) -> Coordinator:
    pytest.importorskip("distributed")
    from duologue.runs.distributed.dask import DaskExecutor

    return DaskExecutor(**arguments)  # type: ignore[arg-type]


@pytest.fixture(params=[_local, _processes, _dask], ids=["local", "processes", "dask"], scope="module")
def make(request: pytest.FixtureRequest) -> Make:
    return request.param


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(make: Make) -> AsyncIterator[Coordinator]:
    """An executor with one worker that does two units at once, for all tests that leave it as it is."""
    async with make(workers=1, capacity=2) as executor:
        yield executor


@pytest.fixture
def executor(shared: Coordinator) -> Iterator[Coordinator]:
    yield shared
    shared.options = ExecutorOptions()


@pytest.fixture(params=[_processes, _dask], ids=["processes", "dask"], scope="module")
def make_others(request: pytest.FixtureRequest) -> Make:
    """Executors whose workers are other processes."""
    return request.param


def _left(pids: Iterable[object]) -> list[object]:
    found = []
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(int(str(pid)), 0)
            found.append(pid)
    return found


async def test_results_come_back_in_order_with_errors_as_results(make: Make, tmp_path: Path):
    kinds = ["answer", "fail", "exit", "wrong", "session"]
    units = [unit(what, tmp_path, what) for what in kinds]
    async with make(workers=2, capacity=2, options=ExecutorOptions(session=Session(str(tmp_path)))) as executor:
        results = await executor.execute(units)
        status = executor.status()
        await until(lambda: len(executor.workers()) == 2)  # one may have been faster than the other
        workers = executor.workers()
        again = await executor.execute([unit("once more", tmp_path)])
    assert [result.work_unit_id for result in results] == kinds
    assert [result.success for result in results] == [True, False, False, False, True]
    answer, fail, exit_, wrong, session = results
    assert answer.data == "answer"
    assert fail.error
    assert (fail.error.type, fail.error.message) == ("ValueError", "fail is no good")
    assert exit_.error
    assert exit_.error.type == "SystemExit"
    assert wrong.error
    assert "gave back a str; expected a WorkResult" in wrong.error.message
    assert session.data == f"the session of {session.metadata['pid']}"
    assert answer.metadata["worker"]
    assert answer.metadata["seconds"] >= 0
    assert (status.total, status.completed, status.failed, status.running) == (5, 2, 3, 0)
    assert status.start_time
    assert status.duration > 0
    assert again[0].success
    closed = set((tmp_path / "closed").read_text().split())
    assert str(session.metadata["pid"]) in closed  # every session is closed, whatever happened in it
    assert not _left(worker.metadata["pid"] for worker in workers if worker.metadata.get("pid"))


async def test_units_wait_for_what_they_depend_on_and_go_by_priority_and_estimate(
    executor: Coordinator, tmp_path: Path
):
    units = [
        unit("last", tmp_path, dependencies=("failing", "long")),
        unit("short", tmp_path, estimated_duration=1.0),
        unit("unknown", tmp_path),
        unit("long", tmp_path, estimated_duration=9.0),
        unit("failing", tmp_path, "fail", priority=1),
        unit("urgent", tmp_path, priority=7),
    ]
    executor.options = ExecutorOptions(limit=1)
    results = await executor.execute(units)
    assert begun(tmp_path) == ["urgent", "failing", "long", "short", "last", "unknown"]
    assert [result.work_unit_id for result in results] == [item.id for item in units]


@pytest.mark.parametrize(
    ("units", "told"),
    [
        ([("a", ()), ("a", ())], "two units of work have the id 'a'"),
        ([("a", ("b",))], "the unit of work 'a' depends on 'b', which is not among the units"),
        ([("a", ("b",)), ("b", ("a",))], "these units of work wait for each other: 'a', 'b'"),
        ([("a", ("a",))], "these units of work wait for each other: 'a'"),
    ],
)
async def test_units_that_can_never_begin_are_refused(units, told: str, tmp_path: Path):
    async with LocalExecutor() as executor:
        with pytest.raises(ConfigurationError, match=told):
            await executor.execute([unit(id, tmp_path, dependencies=needs) for id, needs in units])
        assert (await executor.execute([unit("another", tmp_path)]))[0].success


async def test_a_stream_is_taken_as_it_comes(executor: Coordinator, tmp_path: Path):
    async def stream():
        yield unit("first", tmp_path)
        await until(lambda: begun(tmp_path) == ["first"])  # it is begun before the second is there
        yield unit("second", tmp_path, dependencies=("first",))

    executor.options = ExecutorOptions(limit=1)
    results = await executor.execute(stream())
    assert [result.work_unit_id for result in results] == ["first", "second"]


async def test_a_sink_has_each_result_once_and_tells_subscribers(executor: Coordinator, tmp_path: Path):
    sink, told, started = MemoryResults(), [], []
    options = ExecutorOptions(
        sink=sink, on_message=lambda *message: told.append(message), on_started=lambda unit: started.append(unit.id)
    )
    failures = sink.subscribe(lambda result: not result.success)
    executor.options = options
    results = await executor.execute([unit("tell", tmp_path, "tell"), unit("fail", tmp_path, "fail")])
    await until(lambda: bool(told))
    sink.close()
    assert told == [("tell", "half way")]
    assert sorted(started) == ["fail", "tell"]
    assert [result.data for result in results] == [None, None]  # the sink has it
    kept = await sink.retrieve("tell")
    assert kept
    assert kept.data == "tell"
    assert await sink.retrieve("nobody") is None
    assert [result.work_unit_id for result in await sink.query({"success": False})] == ["fail"]
    assert len(await sink.query({})) == 2
    assert await sink.query({"worker": kept.metadata["worker"], "work_unit_id": "tell"}) == [kept]
    assert await sink.query({"nothing": None}) == []
    assert [result.work_unit_id async for result in failures] == ["fail"]


async def test_a_result_that_comes_twice_is_kept_once():
    sink = MemoryResults()
    await sink.store(WorkResult(work_unit_id="a", success=True, data=1))
    await sink.store(WorkResult(work_unit_id="a", success=False, data=2))
    assert [result.data for result in await sink.query({})] == [1]


async def test_workers_come_and_go_while_units_are_done(make: Make, tmp_path: Path):
    units = [unit(f"hold-{number}", tmp_path, "hold") for number in range(6)]
    async with make(workers=1, capacity=2) as executor:
        execution = asyncio.create_task(executor.execute(units))
        await until(lambda: len(begun(tmp_path)) == 2)
        [first] = executor.workers()
        assert (first.status, first.capacity, len(first.current)) == ("busy", 2, 2)
        await executor.scale(3)
        await until(lambda: len(begun(tmp_path)) == 6)
        assert executor.status().running == 6
        await executor.scale(1)  # nobody is interrupted
        (tmp_path / "go").touch()
        results = await execution
        await until(lambda: [worker.status for worker in executor.workers()] == ["online"])
        with pytest.raises(ConfigurationError, match="expected at least 1"):
            await executor.scale(0)
    assert all(result.success for result in results)
    assert len(begun(tmp_path)) == 6  # each once


async def test_a_limit_holds_over_all_workers(executor: Coordinator, tmp_path: Path):
    units = [unit(f"hold-{number}", tmp_path, "hold") for number in range(4)]
    executor.options = ExecutorOptions(limit=1)
    execution = asyncio.create_task(executor.execute(units))
    await until(lambda: len(begun(tmp_path)) == 1)
    assert executor.status().running == 1
    (tmp_path / "go").touch()
    await execution


async def test_stopping_begins_nothing_more_and_finishes_what_has_begun(executor: Coordinator, tmp_path: Path):
    units = [unit(f"hold-{number}", tmp_path, "hold") for number in range(4)]
    execution = asyncio.create_task(executor.execute(units))
    await until(lambda: len(begun(tmp_path)) == 2)
    executor.stop()
    (tmp_path / "go").touch()
    results = await execution
    assert [result.work_unit_id for result in results] == ["hold-0", "hold-1"]


async def test_cancelling_cancels_units_under_way_and_keeps_what_they_came_to(executor: Coordinator, tmp_path: Path):
    sink = MemoryResults()
    units = [unit("done", tmp_path), *(unit(f"hold-{number}", tmp_path, "hold") for number in range(4))]
    executor.options = ExecutorOptions(sink=sink)
    execution = asyncio.create_task(executor.execute(units))
    await until(lambda: len(begun(tmp_path)) == 3)
    execution.cancel()
    with pytest.raises(asyncio.CancelledError):
        await execution
    cancelled = await sink.query({"cancelled": True})
    assert len(cancelled) == 2
    assert not any(result.success for result in cancelled)
    assert executor.status().running == 0
    (tmp_path / "go").touch()
    assert (await executor.execute([unit("another", tmp_path)]))[0].success


async def test_an_executor_does_one_execution_at_a_time(tmp_path: Path):
    async with LocalExecutor() as executor:
        execution = asyncio.create_task(executor.execute([unit("hold", tmp_path, "hold")]))
        await until(lambda: len(begun(tmp_path)) == 1)
        with pytest.raises(ConfigurationError, match="executing already"):
            await executor.execute([])
        (tmp_path / "go").touch()
        await execution


async def test_a_sink_that_fails_ends_the_execution(executor: Coordinator, tmp_path: Path):
    class Full(MemoryResults):
        async def store(self, result: WorkResult) -> None:
            raise OSError("no space left")

    executor.options = ExecutorOptions(sink=Full(), limit=1)
    with pytest.raises(OSError, match="no space left"):
        await executor.execute([unit("a", tmp_path), unit("b", tmp_path)])
    assert begun(tmp_path) == ["a"]


async def test_a_worker_that_is_killed_costs_only_what_it_was_doing(make_others: Make, tmp_path: Path):
    units = [unit(f"hold-{number}", tmp_path, "hold") for number in range(4)]
    async with make_others(workers=2, capacity=2) as executor:
        execution = asyncio.create_task(executor.execute(units))
        await until(lambda: len(begun(tmp_path)) == 4)
        killed = next(int(line.split()[1]) for line in (tmp_path / "begun").read_text().splitlines())
        os.kill(killed, signal.SIGKILL)
        await until(lambda: len(begun(tmp_path)) == 6)  # its two units, elsewhere
        (tmp_path / "go").touch()
        results = await execution
        workers = executor.workers()
    assert all(result.success for result in results)
    assert killed not in {result.metadata["pid"] for result in results}
    assert not _left(worker.metadata.get("pid") for worker in workers if worker.metadata.get("pid"))


async def test_a_unit_that_kills_its_workers_is_given_up_and_takes_nobody_along(make_others: Make, tmp_path: Path):
    units = [unit("die", tmp_path, "die"), *(unit(f"other-{number}", tmp_path) for number in range(5))]
    units.append(unit("after", tmp_path, dependencies=("die",)))
    async with make_others(workers=2, capacity=4) as executor:
        results = {result.work_unit_id: result for result in await executor.execute(units)}
    poison = results.pop("die")
    assert not poison.success
    assert poison.metadata["poison"] is True
    assert poison.error
    assert "poison: 3 workers ended" in poison.error.message
    assert [result for result in results.values() if not result.success] == []
    assert begun(tmp_path).count("die") in {2, 3}  # a worker may have died with it before it began


async def test_what_cannot_be_sent_says_so(make_others: Make, tmp_path: Path):
    async with make_others(workers=1, capacity=2) as executor:
        [result] = await executor.execute([unit("a", tmp_path, "unsendable")])
    assert result.error
    assert "the result cannot be sent to another process" in result.error.message


async def test_a_function_of_no_module_cannot_be_sent_to_a_process():
    async def nowhere(_: object) -> WorkResult:
        raise AssertionError

    async with ProcessExecutor(1) as executor:
        [result] = await executor.execute([WorkUnit(id="a", execute=nowhere)])
    assert result.error
    assert "the unit of work cannot be sent to another process" in result.error.message


async def test_workers_that_cannot_begin_are_an_error(make_others: Make, tmp_path: Path):
    with pytest.raises(ExecutorError, match="could not begin: RuntimeError: there is no suite here"):
        async with make_others(workers=1, options=ExecutorOptions(session=BrokenSession())) as executor:
            await executor.execute([unit("a", tmp_path)])
    assert begun(tmp_path) == []
