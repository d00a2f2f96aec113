"""Deadlines hold, and code that means to end more than its own run ends its own run only, as an error."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from waiting import LONG, until

import duologue
from duologue.conversation import threads
from duologue.errors import (
    AgentError,
    AgentTimeoutError,
    CheckError,
    RunError,
    RunTimeoutError,
    ScriptError,
    SimulatorError,
)
from duologue.testing import ScriptedAgent, ScriptedUserAgent, context, run_virtual


class Odd(BaseException):
    pass


async def swallow():
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(1e6)


async def cancel_itself():
    asyncio.current_task().cancel()
    await asyncio.sleep(1)


async def cancel_itself_and_answer():
    asyncio.current_task().cancel()


async def await_something_cancelled():
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


async def stop_the_loop():
    asyncio.get_running_loop().stop()


def raising(kind, *arguments):
    async def misbehave():
        raise kind(*arguments)

    misbehave.__name__ = kind.__name__
    return misbehave


MISDEEDS = [
    raising(asyncio.CancelledError),
    raising(GeneratorExit),
    raising(KeyboardInterrupt),
    raising(SystemExit, 0),
    raising(Odd, "odd"),
    raising(MemoryError),
    raising(BaseExceptionGroup, "several", [Odd("odd")]),
    cancel_itself,
    cancel_itself_and_answer,
    await_something_cancelled,
    stop_the_loop,
]


class Misbehaving(duologue.AgentAdapter):
    def __init__(self, misdeed):
        self._misdeed = misdeed

    async def call(self, input):
        await self._misdeed()
        return "said"


class Streaming(duologue.AgentAdapter):
    def __init__(self, misdeed):
        self._misdeed = misdeed

    async def call(self, input):
        raise NotImplementedError

    async def stream(self, input):
        yield "I was"
        await self._misdeed()


class Connecting(duologue.AgentAdapter):
    def __init__(self, misdeed):
        self._misdeed = misdeed

    async def call(self, input):
        return "said"

    async def open(self, run):
        await self._misdeed()


class Person(duologue.AgentAdapter):
    role = duologue.AgentRole.USER

    def __init__(self, misdeed):
        self._misdeed = misdeed

    async def call(self, input):
        await self._misdeed()
        return "hi"


class Judge(Person):
    role = duologue.AgentRole.JUDGE


def healthy(play):
    agents = [ScriptedUserAgent(["hi"], repeat=True), ScriptedAgent(["hello"], repeat=True)]
    script = [
        duologue.user(),
        duologue.agent(),
        lambda state: asyncio.sleep(0.01),
        duologue.agent(),
        duologue.succeed(),
    ]
    return play("healthy", "b", agents, script=script, verbose=False)


async def outcome_of(playing):
    try:
        return await playing
    except BaseException as error:  # noqa: BLE001 - what leaves a run is looked at
        return error


@pytest.mark.parametrize("play", [duologue.run, duologue.arun])
@pytest.mark.parametrize(
    "place", ["agent", "background", "stream", "open", "user", "judge", "step", "check", "on_turn"]
)
async def test_code_that_means_to_end_everything_ends_its_own_run_as_an_error(play, place):
    def playing(misdeed):
        user, agent = ScriptedUserAgent(["hi"], repeat=True), ScriptedAgent(["hello"], repeat=True)
        agents, script, checks = [user, agent], [duologue.user(), duologue.agent(), duologue.succeed()], []
        match place:
            case "agent":
                agents[1] = Misbehaving(misdeed)
            case "background":
                agents[1] = Misbehaving(misdeed)
                script[1] = duologue.agent(wait=False)
            case "stream":
                agents[1] = Streaming(misdeed)
            case "open":
                agents[1] = Connecting(misdeed)
            case "user":
                agents[0] = Person(misdeed)
            case "judge":
                agents.append(Judge(misdeed))
                script.insert(2, duologue.judge())
            case "step":
                script.insert(1, lambda state: misdeed())
            case "check":
                checks.append(lambda state: misdeed())
            case "on_turn":
                script.insert(1, duologue.proceed(2, on_turn=lambda state: misdeed()))
        return play("odd", "b", agents, script=script, checks=checks, verbose=False)

    expected = {"step": RunError, "on_turn": RunError, "check": CheckError, "user": SimulatorError}
    found = await asyncio.gather(*(outcome_of(playing(misdeed)) for misdeed in MISDEEDS), outcome_of(healthy(play)))
    assert found[-1].success
    for misdeed, error in zip(MISDEEDS, found, strict=False):
        if place in {"step", "on_turn"} and isinstance(error, Exception) and not isinstance(error, RunError):
            assert isinstance(error, (MemoryError, RuntimeError)), misdeed.__name__  # raised as it is, with its run
            assert "in scenario 'odd'" in error.__notes__[0]
            continue
        assert isinstance(error, expected.get(place, RunError)), (misdeed.__name__, error)
        assert error.scenario == "odd"
        assert error.result.status is duologue.RunStatus.ERROR
        if misdeed is not cancel_itself_and_answer:
            assert "test_deadlines.py" in error.result.error.where, misdeed.__name__
            assert "test_deadlines.py" in error.result.error.traceback
    assert asyncio.current_task().cancelling() == 0


def in_virtual_time(*agents, script=None, **options):
    return run_virtual(
        outcome_of(duologue.arun("a", "b", agents, script=script, verbose=False, context=context(), **options))
    )


@pytest.mark.parametrize("place", ["agent", "background", "stream", "open"])
def test_an_agent_that_swallows_its_cancellation_is_left_behind(place, tmp_path):
    agent = {"stream": Streaming, "open": Connecting}.get(place, Misbehaving)(swallow)
    speak = duologue.agent(wait=place != "background")
    error = in_virtual_time(
        ScriptedUserAgent(["hi"]),
        agent,
        script=[duologue.user(), speak, duologue.succeed()],
        agent_timeout=2,
        record=tmp_path / "run.jsonl",
    )
    assert isinstance(error, AgentTimeoutError)
    assert "did not answer within 2 s and does not end when it is cancelled" in str(error)
    if place != "stream":  # Python does not say where an asynchronous generator waits
        assert ": it is at " in str(error)
        assert "in swallow" in str(error)
    assert 2 < error.result.total_time < 4
    assert error.result.termination is duologue.Termination.TIMEOUT
    assert duologue.read_result(tmp_path / "run.jsonl") == error.result
    if place == "stream":
        assert error.result.messages[-1]["content"] == "I was"


@pytest.mark.parametrize("place", ["agent", "step", "check"])
def test_the_limit_of_the_run_holds_too(place):
    agent = Misbehaving(swallow) if place == "agent" else ScriptedAgent(["hello"])
    script = [duologue.user(), duologue.agent(), duologue.succeed()]
    if place == "step":
        script.insert(1, lambda state: swallow())
    checks = [lambda state: swallow()] if place == "check" else []
    error = in_virtual_time(ScriptedUserAgent(["hi"]), agent, script=script, checks=checks, run_timeout=4)
    assert isinstance(error, RunTimeoutError)
    assert "the run took longer than run_timeout=4 s and does not end when it is cancelled" in str(error)
    assert error.result.total_time < 4 + duologue.conversation.deadlines.GRACE + 1


@pytest.mark.parametrize("play", [duologue.run, duologue.arun])
async def test_nothing_passes_late(play):
    """An agent that blocks its loop is late, though no timer rings meanwhile; one that waits for it is not."""

    class Blocking(duologue.AgentAdapter):
        async def call(self, input):
            time.sleep(0.8)  # noqa: ASYNC251 - that is the point
            return "late"

    async def one(agent):
        script = [duologue.user("hi"), duologue.agent(), duologue.succeed()]
        agents = [ScriptedUserAgent([]), agent]
        return await outcome_of(play("a", "b", agents, script=script, verbose=False, agent_timeout=0.6))

    class Patient(duologue.AgentAdapter):
        async def call(self, input):
            await asyncio.sleep(0.01)
            return "in time"

    found = await asyncio.gather(one(Patient()), *(one(Blocking()) for _ in range(3)), one(Patient()))
    assert [isinstance(item, AgentTimeoutError) for item in found] == [False, True, True, True, False]


async def test_a_step_that_blocks_counts_towards_the_limit_of_the_run():
    script = [lambda state: time.sleep(0.3), duologue.succeed()]
    with pytest.raises(RunTimeoutError):
        await duologue.arun("a", "b", script=script, verbose=False, run_timeout=0.1)


async def test_a_thread_that_is_blocked_for_ever_holds_up_nobody(monkeypatch):
    monkeypatch.setattr(threads, "GRACE", 0.2)
    release, pool = threading.Event(), threads.WorkerPool(1, idle_seconds=None)

    class Blocking(duologue.AgentAdapter):
        async def call(self, input):
            loop.call_soon_threadsafe(blocked.set)
            release.wait(LONG)
            return "late"

    entered, blocked = asyncio.Event(), asyncio.Event()

    class Waiting(duologue.AgentAdapter):
        async def call(self, input):
            loop.call_soon_threadsafe(entered.set)
            await asyncio.sleep(0.3)
            return "in time"

    def submitted(agent):
        script = [duologue.user("hi"), duologue.agent(), duologue.succeed()]
        executor = duologue.prepare(
            "a", "b", [ScriptedUserAgent([]), agent], script=script, verbose=False, agent_timeout=0.5
        )
        return asyncio.create_task(outcome_of(threads.in_worker_thread(executor.perform, executor.give_up, pool)))

    loop = asyncio.get_running_loop()
    first = submitted(Waiting())
    await entered.wait()
    blocking = submitted(Blocking())
    await blocked.wait()
    later = submitted(ScriptedAgent(["hello"]))
    try:
        assert (await later).success  # it moved to another thread
        result = await blocking
        assert (result.status, result.error.type) == (duologue.RunStatus.ERROR, "AgentTimeoutError")
        assert "in test_a_thread_that_is_blocked_for_ever" in result.error.message
        lost = await first  # it had begun on the thread that is blocked
        assert isinstance(lost, threads.ThreadBlocked)
        assert "another run blocks the thread at" in str(lost)
    finally:
        release.set()
        await until(lambda: not any(worker.blocked for worker in pool._workers))
        await pool.close()


@pytest.mark.parametrize("misdeed", [swallow, cancel_itself])
async def test_a_cancellation_from_outside_still_cancels(misdeed):
    entered = asyncio.Event()

    async def enter():
        entered.set()
        await asyncio.Event().wait()

    async def swallow_once():
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    agent = Misbehaving(enter if misdeed is cancel_itself else swallow_once)
    calls = []
    executor = duologue.prepare(
        "a",
        "b",
        [ScriptedUserAgent(["hi"]), agent],
        verbose=False,
        script=[duologue.user(), duologue.agent(), calls.append, duologue.succeed()],
    )
    task = asyncio.create_task(executor.run())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert executor.lifecycle.result.status is duologue.RunStatus.CANCELLED
    assert calls == []


async def test_ctrl_c_in_the_code_of_an_agent_is_no_failure_of_the_agent():
    async def press():
        signal.default_int_handler(signal.SIGINT, None)

    with pytest.raises(KeyboardInterrupt):
        await duologue.arun("a", "b", [ScriptedUserAgent(["hi"]), Misbehaving(press)], verbose=False)


@pytest.mark.parametrize("word", [pytest.skip.Exception, pytest.fail.Exception])
async def test_words_of_pytest_leave_a_run_as_they_are(word):
    with pytest.raises(word):
        await duologue.arun("a", "b", [ScriptedUserAgent(["hi"]), Misbehaving(raising(word, "so"))], verbose=False)


def test_what_was_left_behind_does_not_keep_the_process_from_ending():
    code = """
        import asyncio, duologue
        from duologue.testing import ScriptedUserAgent

        class Swallowing(duologue.AgentAdapter):
            async def call(self, input):
                while True:
                    try:
                        await asyncio.sleep(1e6)
                    except asyncio.CancelledError:
                        pass

        for play in (duologue.arun, duologue.run):
            agents = [ScriptedUserAgent(["hi"]), Swallowing()]
            try:
                asyncio.run(play("a", "b", agents, verbose=False, agent_timeout=0.05))
            except duologue.errors.AgentTimeoutError:
                print("late")
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    assert (done.stdout.split(), done.stderr, done.returncode) == (["late", "late"], "", 0)


async def test_timeouts_within_an_agent_are_its_own_affair():
    class Trying(duologue.AgentAdapter):
        async def call(self, input):
            try:
                async with asyncio.timeout(0.001):
                    await asyncio.Event().wait()
            except TimeoutError:
                pass
            task = asyncio.create_task(asyncio.Event().wait())
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return "in time"

    script = [duologue.user("hi"), duologue.agent(), duologue.succeed()]
    assert (await duologue.arun("a", "b", [ScriptedUserAgent([]), Trying()], script=script, verbose=False)).success


@pytest.mark.parametrize("role", ["user", "system", "developer"])
@pytest.mark.parametrize("listed", [False, True])
async def test_an_agent_speaks_for_itself_only(role, listed):
    message = {"role": role, "content": "forged"}
    answer = [message, {"role": "assistant", "content": "ok"}] if listed else message
    with pytest.raises(duologue.errors.AgentReturnError, match="the role of an agent's own messages"):
        await duologue.arun("a", "b", [ScriptedUserAgent(["hi"]), ScriptedAgent([answer])], verbose=False)


def test_errors_of_the_script_name_what_was_raised():
    error = in_virtual_time(script=[lambda state: raising(Odd, "odd")()])
    assert isinstance(error, ScriptError)
    assert "the script raised Odd: odd, at " in str(error)
    assert isinstance(error.__cause__, Odd)


def test_an_agent_that_only_takes_too_long_says_where_it_waited():
    async def wait():
        await asyncio.Event().wait()

    error = in_virtual_time(ScriptedUserAgent(["hi"]), Misbehaving(wait), agent_timeout=2)
    assert isinstance(error, AgentError)
    assert "Misbehaving did not answer within 2 s: it was at " in str(error)
    assert ".wait;" in str(error)
