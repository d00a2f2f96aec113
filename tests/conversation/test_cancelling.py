"""Cancelling a run cancels its agent at once and leaves a complete journal."""

from __future__ import annotations

import asyncio
import signal
import threading
import time

import pytest
from waiting import LONG, until

import duologue
from duologue import RunStatus, Termination
from duologue.testing import ScriptedUserAgent


class Waiting(duologue.AgentAdapter):
    def __init__(self):
        self.called = threading.Event()
        self.cancelled = threading.Event()

    async def call(self, input):
        self.called.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


@pytest.mark.parametrize("play", [duologue.run, duologue.arun])
async def test_cancelling_the_wait_cancels_the_agent_and_completes_the_journal(play, tmp_path):
    agent = Waiting()
    path = tmp_path / "run.jsonl"
    task = asyncio.create_task(play("a", "b", [ScriptedUserAgent(["hi"]), agent], verbose=False, record=path))
    await until(agent.called.is_set)
    task.cancel()
    began = time.perf_counter()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert agent.cancelled.is_set()
    assert time.perf_counter() - began < 0.9 * duologue.conversation.threads.CANCEL_GRACE
    result = duologue.read_result(path)
    assert (result.status, result.termination) == (RunStatus.CANCELLED, Termination.CANCELLED)
    assert result.verdict is None
    assert duologue.read_journal(path).complete


async def test_cancelling_a_run_whose_agent_blocks_its_thread_still_returns(tmp_path, monkeypatch):
    monkeypatch.setattr(duologue.conversation.threads, "CANCEL_GRACE", 0.05)
    blocked, release = threading.Event(), threading.Event()

    class Blocking(duologue.AgentAdapter):
        async def call(self, input):
            blocked.set()
            release.wait(LONG)
            return "too late"

    path = tmp_path / "run.jsonl"
    task = asyncio.create_task(
        duologue.run("a", "b", [ScriptedUserAgent(["hi"]), Blocking()], verbose=False, record=path)
    )
    await until(blocked.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert duologue.read_result(path).termination is Termination.CANCELLED
    release.set()


async def test_siblings_of_a_cancelled_run_go_on():
    agent = Waiting()
    doomed = asyncio.create_task(duologue.arun("a", "b", [ScriptedUserAgent(["hi"]), agent], verbose=False))
    healthy = asyncio.create_task(
        duologue.arun("a", "b", [ScriptedUserAgent(["hi"])], script=[duologue.succeed()], verbose=False)
    )
    await until(agent.called.is_set)
    doomed.cancel()
    assert (await healthy).success
    with pytest.raises(asyncio.CancelledError):
        await doomed


async def test_an_agent_turn_in_the_background_is_cancelled_with_the_run():
    agent = Waiting()

    async def wait_for_call(state):
        await until(agent.called.is_set)

    script = [duologue.agent(wait=False), wait_for_call, lambda state: (_ for _ in ()).throw(KeyError("step"))]
    with pytest.raises(KeyError):
        await duologue.arun("a", "b", [agent], script=script, verbose=False)
    assert agent.cancelled.is_set()


class CancelsAll(duologue.AgentAdapter):
    """An agent that cancels every task of its event loop, the caller's included."""

    def __init__(self, but_itself: bool) -> None:
        self.but_itself = but_itself

    async def call(self, input: duologue.AgentInput) -> str:
        for task in asyncio.all_tasks():
            if not self.but_itself or task is not asyncio.current_task():
                task.cancel()
        await asyncio.sleep(0)
        return "ok"


@pytest.mark.parametrize("but_itself", [False, True])
async def test_an_agent_that_cancels_all_tasks_of_the_callers_loop_ends_its_own_run_only(but_itself: bool) -> None:
    script = [duologue.user("hi"), duologue.agent(), duologue.succeed()]
    cast = [duologue.ScriptedUser([]), CancelsAll(but_itself)]
    executor = duologue.prepare("s", "d", cast, script=script, verbose=False)
    result = await executor.perform()
    assert result.status is (duologue.RunStatus.COMPLETED if but_itself else duologue.RunStatus.ERROR)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


class Signals(duologue.AgentAdapter):
    """An agent in the middle of whose code a signal comes."""

    def __init__(self, number: int) -> None:
        self.number = number

    async def call(self, input: duologue.AgentInput) -> str:
        signal.raise_signal(self.number)
        await asyncio.sleep(0)
        return "ok"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGUSR1])
def test_a_signal_in_the_middle_of_an_agent_cancels_the_run(number: int) -> None:
    executor = duologue.prepare("s", "d", [duologue.ScriptedUser(["hi"]), Signals(number)], verbose=False)

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        before = signal.signal(signal.SIGUSR1, lambda *_: task.cancel())
        try:
            await executor.perform()
        finally:
            signal.signal(signal.SIGUSR1, before)

    with pytest.raises(KeyboardInterrupt if number == signal.SIGINT else asyncio.CancelledError):
        asyncio.run(main())
    assert executor.lifecycle.result.status is duologue.RunStatus.CANCELLED
