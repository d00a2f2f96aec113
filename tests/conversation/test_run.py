"""run, arun, stream: threads, loops, configuration, debugging, observers."""

from __future__ import annotations

import asyncio
import inspect
import io
import pickle
import threading
from dataclasses import asdict

import pytest
from waiting import LONG

import duologue
from duologue.conversation import result as results
from duologue.conversation.threads import WorkerPool
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent, context


def cast(*more):
    return [ScriptedUserAgent(["hi"], repeat=True), ScriptedAgent(["hello"], repeat=True), *more]


class Where(duologue.AgentAdapter):
    def __init__(self):
        self.threads, self.loops = set(), set()

    async def call(self, input):
        self.threads.add(threading.get_ident())
        self.loops.add(id(asyncio.get_running_loop()))
        return "here"


async def test_arun_stays_on_the_callers_loop_and_run_has_its_own():
    here, there = Where(), Where()
    await duologue.arun("a", "b", [ScriptedUserAgent(["hi"]), here], max_turns=1, verbose=False)
    await duologue.run("a", "b", [ScriptedUserAgent(["hi"]), there], max_turns=1, verbose=False)
    assert here.loops == {id(asyncio.get_running_loop())}
    assert here.threads == {threading.get_ident()}
    assert threading.get_ident() not in there.threads
    assert id(asyncio.get_running_loop()) not in there.loops


async def test_agents_that_block_do_not_hold_up_other_runs():
    barrier = threading.Barrier(8, timeout=LONG)

    class Blocking(duologue.AgentAdapter):
        async def call(self, input):
            barrier.wait()
            return "met"

    runs = [
        duologue.run("a", "b", [Blocking()], script=[duologue.agent(), duologue.succeed()], verbose=False)
        for _ in range(8)
    ]
    assert all(result.success for result in await asyncio.gather(*runs))


async def test_many_runs_share_few_threads():
    pool = WorkerPool(max_threads=3)

    async def nap() -> int:
        await asyncio.sleep(0.01)
        return threading.get_ident()

    handles = [pool.submit(nap) for _ in range(30)]
    threads = {await asyncio.wrap_future(handle.future) for handle in handles}
    assert len(threads) == pool.threads == 3


async def test_exceptions_of_run_reach_the_caller():
    with pytest.raises(AssertionError, match="no"):
        await duologue.run(
            "a", "b", cast(), script=[lambda state: (_ for _ in ()).throw(AssertionError("no"))], verbose=False
        )


def test_run_and_arun_show_their_parameters():
    for function in (duologue.run, duologue.arun, duologue.stream):
        names = list(inspect.signature(function).parameters)
        assert names[:10] == "name description agents max_turns verbose cache_key debug script set_id metadata".split()
    assert inspect.iscoroutinefunction(duologue.run)
    assert "worker thread" in duologue.run.__doc__


async def test_configured_defaults_apply_and_arguments_win(monkeypatch):
    monkeypatch.setattr(duologue.ScenarioConfig, "default_config", None)
    duologue.configure(max_turns=1)
    duologue.configure(verbose=False)
    assert duologue.default_config.max_turns == 1
    assert (await duologue.arun("a", "b", cast())).turns == 1
    assert (await duologue.arun("a", "b", cast(), max_turns=2)).turns == 2


async def test_the_same_seed_gives_the_same_run_and_a_fresh_one_is_named():
    class Dice(duologue.AgentAdapter):
        async def call(self, input):
            return str(input.scope.context.random("dice", input.scenario_state.current_turn).random())

    async def roll(seed):
        return await duologue.arun(
            "a", "b", [ScriptedUserAgent(["x"], repeat=True), Dice()], max_turns=3, seed=seed, verbose=False
        )

    first, second, other = await roll(7), await roll(7), await roll(8)
    assert first.messages == second.messages != other.messages
    fresh = await roll(None)
    assert (await roll(fresh.seed)).messages == fresh.messages


async def test_in_debug_mode_the_person_may_speak_for_the_user(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("typed\n\n"))
    agent = ScriptedAgent(["hello"], repeat=True)
    result = await duologue.arun(
        "a", "b", [ScriptedUserAgent(["simulated"]), agent], max_turns=2, debug=True, verbose=False
    )
    assert [message["content"] for message in result.messages] == ["typed", "hello", "simulated", "hello"]
    assert agent.inputs[0].new_messages[0]["content"] == "typed"


async def test_observers_learn_of_every_run_also_of_those_that_raise():
    seen = []

    def observe(result, journal):
        seen.append((result.status.value, len(journal.entries) > 0))
        raise RuntimeError("an observer that fails changes nothing")

    duologue.add_observer(observe)
    try:
        await duologue.arun("a", "b", cast(), max_turns=1, verbose=False)
        with pytest.raises(duologue.errors.AgentError):
            await duologue.arun("a", "b", [ScriptedUserAgent(["x"]), ScriptedAgent([])], verbose=False)
    finally:
        duologue.remove_observer(observe)
    await duologue.arun("a", "b", cast(), max_turns=1, verbose=False)
    assert seen == [("completed", True), ("error", True)]


async def test_the_transcript_shows_hostile_text_as_text(capsys):
    agent = ScriptedAgent(["[red]markup[/red] \x1b[2J gone"])
    await duologue.arun("[bold]name", "b", [ScriptedUserAgent(["hi"]), agent, ScriptedJudge([True])], verbose=2)
    out = capsys.readouterr().out
    assert "[red]markup[/red]" in out
    assert "\x1b[2J" not in out
    assert "PASS" in out


class Streaming(duologue.AgentAdapter):
    async def call(self, input):
        return "never used while streaming"

    async def stream(self, input):
        yield "Hel"
        yield "lo"
        yield {"role": "assistant", "content": None, "tool_calls": []}
        yield "done"


async def test_streaming_hands_out_pieces_messages_and_the_result():
    chunks = [
        c
        async for c in duologue.stream(
            "a", "b", [ScriptedUserAgent(["hi"]), Streaming(), ScriptedJudge([True])], verbose=False
        )
    ]
    assert [chunk.delta for chunk in chunks if chunk.delta] == ["Hel", "lo", "done"]
    assert [c.message["content"] for c in chunks if c.finish_reason == "message"] == ["hi", "Hello", None, "done"]
    assert chunks[-1].finish_reason == "run"
    assert chunks[-1].result.success
    assert [len(chunk.result.messages) for chunk in chunks] == [1, 1, 1, 1, 2, 3, 4, 4]


class Long(duologue.AgentAdapter):
    async def call(self, input):
        raise NotImplementedError

    async def stream(self, input):
        for _ in range(200):
            yield "word "


async def test_a_stream_copies_the_conversation_only_for_chunks_that_are_looked_at(monkeypatch):
    copied = []
    monkeypatch.setattr(results, "copy_of", lambda message: copied.append(message) or message.copy())

    def again(state):
        state.rollback_messages_to(1)

    first, second = [duologue.user("hi"), duologue.agent()], [duologue.user("hello"), duologue.agent()]
    script = [*first, again, *second, duologue.succeed()]
    agents = [ScriptedUserAgent([]), Long()]
    chunks = [c async for c in duologue.stream("a", "b", agents, script=script, verbose=False)]
    assert len(chunks) == 405
    assert len(copied) <= 6  # those of the result, and of the one that an observer is given
    assert [len(chunks[place].result.messages) for place in (0, 200, 201, 202, 402, 403)] == [1, 1, 2, 2, 2, 3]
    assert chunks[201].result is chunks[201].result
    assert chunks[201].result.messages[-1]["content"] == "word " * 200
    assert pickle.loads(pickle.dumps(chunks[5])) == duologue.StreamChunk(**vars(chunks[5]))
    assert asdict(chunks[5])["result"].messages == [{"role": "user", "content": "hi"}]
    assert not hasattr(chunks[6], "results")


async def test_leaving_a_stream_early_cancels_the_run(tmp_path):
    path = tmp_path / "run.jsonl"
    agents = [ScriptedUserAgent(["hi"], repeat=True, seconds=0.001), ScriptedAgent(["hello"], repeat=True)]
    stream = duologue.stream("a", "b", agents, max_turns=1000, verbose=False, record=path)
    async for _ in stream:
        break
    await stream.aclose()
    assert duologue.read_result(path).termination is duologue.Termination.CANCELLED


async def test_a_stream_raises_what_the_run_raises():
    with pytest.raises(duologue.errors.AgentError):
        _ = [c async for c in duologue.stream("a", "b", [ScriptedUserAgent(["x"]), ScriptedAgent([])], verbose=False)]


async def test_a_run_on_the_systems_clock_has_ids_that_sort_by_time():
    first = await duologue.arun("a", "b", cast(), max_turns=1, verbose=False)
    second = await duologue.arun("a", "b", cast(), max_turns=1, verbose=False)
    assert first.run_id.startswith("run_")
    assert first.run_id[:10] <= second.run_id[:10]
    assert first.thread_id != second.thread_id
    assert (await duologue.arun("a", "b", cast(), max_turns=1, verbose=False, context=context())).run_id == "run_1"
