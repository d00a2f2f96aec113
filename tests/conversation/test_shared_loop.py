"""Code that awaits is played on one event loop of the process, and one that blocks that loop ends its own run only."""

from __future__ import annotations

import asyncio
import sys
import threading
import time

import pytest
from waiting import LONG, until

import duologue
from duologue.conversation import threads
from duologue.conversation.loops import Activity
from duologue.errors import AgentError, AgentTimeoutError
from duologue.testing import ScriptedUserAgent


class Client:
    """Belongs to the event loop that it was used on first, as connections do."""

    def __init__(self):
        self.loop = None

    async def ask(self):
        self.loop = self.loop or asyncio.get_running_loop()
        assert self.loop is asyncio.get_running_loop(), "bound to a different event loop"
        await asyncio.sleep(0.001)
        return "answered"


class OfModule(duologue.AgentAdapter):
    client = Client()

    async def call(self, input):
        return await self.client.ask()


class Streaming(OfModule):
    async def stream(self, input):
        yield await self.client.ask()


def played(*agents, script=None, **options):
    script = script or [duologue.user("hi"), duologue.agent(), duologue.succeed()]
    return duologue.run("a", "b", [ScriptedUserAgent([]), *agents], script=script, verbose=False, **options)


@pytest.mark.parametrize("kind", [OfModule, Streaming])
async def test_a_client_of_the_module_works_in_sequence_and_eight_at_once(kind):
    assert (await played(kind())).success
    assert all(result.success for result in await asyncio.gather(*(played(kind()) for _ in range(8))))


@pytest.mark.parametrize("number", [1, 2])
def test_it_works_in_several_event_loops_of_the_caller(number):
    assert asyncio.run(played(OfModule())).success


async def test_steps_and_checks_that_await_are_played_there_too():
    async def step(state):
        await OfModule.client.ask()

    async def check(state):
        await OfModule.client.ask()

    assert (await duologue.run("a", "b", script=[step, duologue.succeed()], checks=[check], verbose=False)).success


async def outcome_of(playing):
    try:
        return await playing
    except Exception as error:  # noqa: BLE001 - what leaves a run is looked at
        return error


async def test_who_blocks_the_shared_loop_for_ever_ends_its_own_run_only(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "GRACE", 0.2)
    release, begun = threading.Event(), threading.Event()

    class Blocking(duologue.AgentAdapter):
        async def call(self, input):
            await asyncio.sleep(0)
            release.wait(LONG)
            return "late"

    class InTask(duologue.AgentAdapter):
        async def call(self, input):
            return await asyncio.create_task(Blocking().call(input))

    class Waiting(duologue.AgentAdapter):
        async def call(self, input):
            begun.set()
            await asyncio.sleep(0.3)
            return "in time"

    for blocking in (Blocking(), InTask()):
        begun.clear()
        pool = threads.WorkerPool()
        monkeypatch.setattr(threads, "_pool", pool)
        record = tmp_path / f"{type(blocking).__name__}.jsonl"
        first = asyncio.create_task(played(Waiting(), record=record))
        await until(begun.is_set)
        blocked = asyncio.create_task(outcome_of(played(blocking, agent_timeout=0.5)))
        await until(lambda pool=pool: any(worker.blocked for worker in pool._workers))
        later = asyncio.create_task(played(Waiting()))
        try:
            assert (await later).success  # it moved to another thread
            error = await blocked
            assert isinstance(error, AgentTimeoutError), error
            assert "in test_who_blocks" in str(error)
            assert (await first).success  # it had begun, and was played again
            assert duologue.read_result(record).success
        finally:
            release.set()
            await until(lambda pool=pool: not any(worker.blocked for worker in pool._workers))
            await pool.close()
            release.clear()


async def test_the_end_of_a_task_of_an_agent_does_not_end_the_thread():
    class Leaving(duologue.AgentAdapter):
        async def call(self, input):
            asyncio.get_running_loop().create_task(self.leave()).add_done_callback(lambda done: done.exception())
            await asyncio.sleep(0.01)
            return "stays"

        async def leave(self):
            sys.exit(0)

    assert (await played(Leaving())).success
    assert (await played(OfModule())).success


async def test_a_task_that_is_cancelled_before_it_begins_leaves_nothing_behind():
    class Cancelling(duologue.AgentAdapter):
        async def call(self, input):
            task = asyncio.create_task(asyncio.sleep(LONG))
            task.cancel()
            await asyncio.wait({task})
            return "done"

    assert (await played(Cancelling())).success


async def test_a_thread_that_computes_or_imports_does_not_wait():
    done = threading.Event()

    def compute():
        while not done.is_set():
            sum(range(1000))

    threads_of = [threading.Thread(target=work, daemon=True) for work in (compute, done.wait)]
    for thread in threads_of:
        thread.start()
    computing, waiting = (Activity(thread.ident) for thread in threads_of)
    assert not waiting.waits(1.0, time.monotonic())
    assert not computing.waits(1.0, time.monotonic())
    await until(lambda: waiting.waits(1.0, time.monotonic()))
    await until(lambda: not computing.waits(1.0, time.monotonic()))  # a busy machine may keep it waiting for a while
    done.set()


async def test_an_agent_that_fails_there_fails_as_elsewhere():
    class Failing(duologue.AgentAdapter):
        async def call(self, input):
            await asyncio.sleep(0)
            raise KeyError("order")

    with pytest.raises(AgentError, match="KeyError"):
        await played(Failing())


class HttpFailure(Exception):
    pass


def grouped(*errors):
    return ExceptionGroup("unhandled errors in a TaskGroup", [ExceptionGroup("inner", list(errors))])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (grouped(HttpFailure("status 500: out of order")), "status 500: out of order (HttpFailure), at "),
        (grouped(KeyError("order")), "KeyError: 'order', at "),
        (grouped(HttpFailure("one"), KeyError("two")), "2 errors: HttpFailure: one; KeyError: 'two'"),
    ],
)
async def test_errors_show_what_a_task_group_hides(error, expected):
    class Grouping(duologue.AgentAdapter):
        async def call(self, input):
            raise error

    found = await outcome_of(played(Grouping()))
    assert str(found).startswith(f"[Grouping] {expected}")
    assert "test_shared_loop.py" in str(found)
    assert found.result.error.causes


@pytest.mark.parametrize("depth", ["plain", "chained", "grouped"])
async def test_an_error_of_another_loop_says_what_to_do(depth):
    class Bound(duologue.AgentAdapter):
        async def call(self, input):
            error = RuntimeError("<asyncio.locks.Event object [unset]> is bound to a different event loop")
            if depth == "plain":
                raise error
            if depth == "grouped":
                raise grouped(error)
            raise HttpFailure("Connection error.") from error

    class Other(duologue.AgentAdapter):
        async def call(self, input):
            raise RuntimeError("a different matter")

    assert "Use duologue.run, which plays all runs on one loop" in str(await outcome_of(played(Bound())))
    assert "loop" not in str(await outcome_of(played(Other()))).partition(", at ")[0]
