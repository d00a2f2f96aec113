"""Interrupted runs continue from their journal: nothing that is in it is asked again, and the outcome is the same."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
from http_agents import http_agents
from hypothesis import given, settings
from hypothesis import strategies as st

import duologue
from duologue import AgentAdapter, AgentInput, HttpAgent, RunStatus
from duologue.config.files import keep_copy, set_aside
from duologue.config.python_files import load_file
from duologue.errors import AgentReturnError, ConfigurationError, JournalError, JournalVersionError, ResumeError
from duologue.journal import read_journal
from duologue.journal.events import Usage
from duologue.models import ModelRequest, ask
from duologue.models.base import ModelAnswer
from duologue.models.scripted import ScriptedModel
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent, context, run_virtual

PROGRAM = str(Path(__file__).with_name("resumed_run.py"))


class Shop(http.server.BaseHTTPRequestHandler):
    """An agent with a tool, which counts in a file how often it was called."""

    counts: ClassVar[Path]
    players: ClassVar[subprocess.Popen[str]]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with self.counts.open("a") as file:
            file.write("agent\n")
        number = sum(message["role"] == "user" for message in body["messages"])
        call = {"id": f"t{number}", "type": "function", "function": {"name": "look_up", "arguments": f"[{number}]"}}
        message = {"role": "assistant", "content": f"Answer {number}.", "tool_calls": [call]}
        data = json.dumps({"choices": [{"message": message}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def players():
    """Plays runs in processes that can be killed, each forked from one that has everything imported."""
    with subprocess.Popen(
        [sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        yield program
        program.stdin.close()


@pytest.fixture
def shop(tmp_path, players):
    Shop.counts = tmp_path / "counts"
    Shop.players = players
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/chat"
    server.shutdown()
    server.server_close()
    thread.join()


def played(journal, url, kill=None, torn=0):
    """Play the run in a process of its own; its result, or None if it was killed."""
    program = Shop.players
    program.stdin.write(json.dumps([str(journal), url, str(Shop.counts), kill, torn]) + "\n")
    program.stdin.flush()
    answer = json.loads(program.stdout.readline())
    assert "broke" not in answer, answer
    return None if answer.get("killed") else answer


def asked():
    return Counter(Shop.counts.read_text().split()) if Shop.counts.exists() else Counter()


SAME = ("messages", "message_ids", "verdict", "status", "termination", "reasoning", "passed_criteria", "usage", "cost")
IN_FLIGHT = 1


def same(result, undisturbed):
    assert {name: result[name] for name in SAME} == {name: undisturbed[name] for name in SAME}
    assert [(c["name"], c["status"]) for c in result["checks"]] == [
        (c["name"], c["status"]) for c in undisturbed["checks"]
    ]


def test_killed_at_every_event_and_inside_every_write_a_run_comes_to_the_same_end(shop, tmp_path):
    whole = tmp_path / "whole.jsonl"
    undisturbed = played(whole, shop)
    counts = asked()
    assert (undisturbed["verdict"], counts) == ("pass", Counter(agent=5, user=5, judge=5))
    assert sum(bool(message.get("tool_calls")) for message in undisturbed["messages"]) == 5
    writes = len(read_journal(whole).transitions)
    for number in range(writes):
        for torn in (0, 25):
            journal = tmp_path / f"{number}-{torn}.jsonl"
            Shop.counts.unlink(missing_ok=True)
            assert played(journal, shop, number, torn) is None
            result = played(journal, shop)
            same(result, undisturbed)
            again = asked() - counts
            assert again.total() <= IN_FLIGHT, (number, torn, again)
            assert read_journal(journal).complete


def test_killed_again_while_it_is_resumed_a_run_loses_nothing(shop, tmp_path):
    undisturbed = played(tmp_path / "whole.jsonl", shop)
    counts = asked()
    Shop.counts.unlink()
    journal = tmp_path / "run.jsonl"
    kills = [8, 0, 3, 0, 9, 5]
    for kill in kills:
        assert played(journal, shop, kill, 10) is None
    result = played(journal, shop)
    same(result, undisturbed)
    assert (asked() - counts).total() <= len(kills) * IN_FLIGHT
    assert read_journal(journal).view.resumes == sum(kill > 0 for kill in kills[1:]) + 1
    assert played(journal, shop)["messages"] == undisturbed["messages"]  # a run that is over is only read


async def test_what_a_custom_step_does_is_compared_too(tmp_path):
    path = tmp_path / "run.jsonl"

    def says(text):
        async def step(state):
            await state.executor.user(text)
            await state.executor.agent()

        return step

    async def run_with(text):
        agents = [Restoring(), ScriptedUserAgent([])]
        script = [says("one"), says(text), duologue.succeed()]
        return await duologue.arun("s", "d", agents, script=script, record=path, resume=True, verbose=False, seed=1)

    await run_with("two")
    cut_after_messages(path, 3)
    with pytest.raises(ResumeError, match=r"message_added\.message was .*'two'.*, now it is .*'other'"):
        await run_with("other")


@pytest.mark.parametrize("content", [b"", b'{"seq":0', b"nonsense\n", b"\x00" * 100])
def test_an_empty_or_broken_journal_costs_a_fresh_start(shop, tmp_path, content):
    journal = tmp_path / "run.jsonl"
    journal.write_bytes(content)
    assert played(journal, shop)["verdict"] == "pass"
    assert (tmp_path / "run.jsonl.unreadable").read_bytes() == content
    assert read_journal(journal).complete


# --- any script, cut anywhere ----------------------------------------------------------------------------------------


def void(_: object) -> None:
    """Nothing, whatever was given."""


def note_turns(seen):
    return lambda state: seen.append(state.current_turn)


async def two_lines(state):
    await state.executor.user("first")
    if len(state.messages) % 2:
        await state.executor.agent()


STEPS = st.one_of(
    st.just(duologue.user()),
    st.just(duologue.agent()),
    st.just(duologue.agent(wait=False)),
    st.just(two_lines),
    st.builds(duologue.user, st.sampled_from(["a", "b"])),
    st.builds(duologue.agent, st.sampled_from(["c", "d"])),
    st.builds(lambda turns: duologue.proceed(turns, note_turns([])), st.integers(1, 3)),
    st.just(duologue.judge(["ok"])),
    st.just(duologue.check(lambda state: len(state.messages) != 3)),
    st.builds(lambda text: duologue.message({"role": "system", "content": text}), st.sampled_from(["x", "y"])),
    st.builds(lambda index: lambda state: void(state.rollback_messages_to(index)), st.integers(0, 4)),
)


def participants(repeating):
    class Fixed(ScriptedAgent):
        """Answers from the journal instead of being called again."""

        repeats = repeating
        resumable = True

        async def call(self, input):
            self.calls = getattr(self, "calls", 0) + 1
            await input.scope.context.clock.sleep(2)
            said = sum(message["role"] == "assistant" for message in input.messages)
            return [] if said == 2 else [{"role": "assistant", "content": f"a{said}"}] * (1 + said % 2)

    return [
        ScriptedUserAgent([f"u{number}" for number in range(50)], seconds=1),
        Fixed([]),
        ScriptedJudge([None, True, None, False], repeat=True),
    ]


def outcome(result):
    return (result.verdict, result.status, result.messages, result.message_ids, result.passed_criteria, result.turns)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), script=st.lists(STEPS, max_size=7), repeating=st.booleans(), max_turns=st.integers(1, 5))
def test_any_script_that_is_cut_anywhere_is_resumed_to_the_same_end(data, script, repeating, max_turns):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"

        def prepared():
            return duologue.prepare(
                "s",
                "d",
                participants(repeating),
                max_turns,
                False,
                script=script,
                record=path,
                resume=True,
                seed=1,
                context=context(),
            )

        undisturbed = run_virtual(prepared().perform())
        file = read_journal(path)
        size = data.draw(st.integers(file.ends[0], file.ends[-1]), label="bytes that are left")
        os.truncate(path, size)
        executor = prepared()
        resumed = run_virtual(executor.perform())
        assert outcome(resumed) == outcome(undisturbed)
        assert [check.status for check in resumed.checks] == [check.status for check in undisturbed.checks]
        again = read_journal(path)
        assert again.complete
        assert again.view == executor.journal.view
        if not repeating:
            done = sum(entry.event.type == "agent_called" and entry.event.participant == 1 for entry in file.entries)
            kept = [t for t, end in zip(file.transitions, file.ends, strict=True) if end <= size]
            known = sum(t[0].event.type == "agent_called" and t[0].event.participant == 1 for t in kept)
            assert getattr(executor.agents[1], "calls", 0) == done - known


# --- what cannot continue, and what has changed ----------------------------------------------------------------------


class Stateful(AgentAdapter):
    """An agent of this process: what it knows is lost with it."""

    def __init__(self) -> None:
        self.inputs: list[AgentInput] = []

    async def call(self, input: AgentInput) -> str:
        self.inputs.append(input)
        return f"answer {len(self.inputs)}"


class Restoring(Stateful):
    """It brings itself up to date."""

    resumable = True

    def restore(self, state: duologue.ScenarioState) -> None:
        self.inputs = [None] * sum(message["role"] == "assistant" for message in state.messages)


async def run_of(agent, path, lines=("one", "two", "three"), **options):
    script = [step for line in lines for step in (duologue.user(line), duologue.agent())]
    return await duologue.arun(
        "s",
        "d",
        [agent, ScriptedUserAgent([])],
        script=[*script, duologue.succeed()],
        record=path,
        resume=True,
        verbose=False,
        **options,
    )


def cut_after_messages(path, count):
    file = read_journal(path)
    seen = 0
    for transition, end in zip(file.transitions, file.ends, strict=True):
        seen += sum(entry.event.type == "message_added" for entry in transition)
        if seen == count:
            os.truncate(path, end)
            return


async def test_with_an_agent_that_cannot_continue_the_run_starts_again_as_its_next_attempt(tmp_path):
    path = tmp_path / "run.jsonl"
    first = await run_of(Stateful(), path)
    cut_after_messages(path, 4)
    before = path.read_bytes()
    agent = Stateful()
    again = await run_of(agent, path)
    assert again.success
    assert len(agent.inputs) == 3
    assert again.thread_id != first.thread_id
    assert again.run_id == first.run_id
    assert read_journal(path).view.started.attempt == 2
    assert (tmp_path / "run.jsonl.attempt-1").read_bytes() == before


async def test_an_agent_that_restores_itself_continues(tmp_path):
    path = tmp_path / "run.jsonl"
    first = await run_of(Restoring(), path)
    cut_after_messages(path, 4)
    again = await run_of(Restoring(), path)
    assert again.messages == first.messages
    assert again.thread_id == first.thread_id
    assert read_journal(path).view.started.attempt == 1


async def test_a_changed_script_is_an_error_that_names_the_first_event_that_differs(tmp_path):
    path = tmp_path / "run.jsonl"
    await run_of(Restoring(), path)
    cut_after_messages(path, 5)
    before = path.read_bytes()
    with pytest.raises(
        ResumeError, match=r"event 0 .*scenario\.script\[2\] was 'user\(two\)', now it is 'user\(other\)'"
    ):
        await run_of(Restoring(), path, lines=("one", "other", "three"))
    assert path.read_bytes() == before
    assert (await run_of(Restoring(), path)).success


async def test_changed_settings_are_an_error_too(tmp_path):
    path = tmp_path / "run.jsonl"
    await run_of(Restoring(), path)
    cut_after_messages(path, 5)
    with pytest.raises(ResumeError, match=r"run_started\.scenario\.max_turns was 10, now it is 3"):
        await run_of(Restoring(), path, max_turns=3)


async def test_a_run_that_was_cancelled_continues(tmp_path):
    path = tmp_path / "run.jsonl"

    class Cancels(Restoring):
        name = "Restoring"

        async def call(self, input: AgentInput) -> str:
            if len(self.inputs) == 1:
                signal.default_int_handler(signal.SIGINT, None)
            return await super().call(input)

    with pytest.raises(KeyboardInterrupt):
        await run_of(Cancels(), path)
    assert duologue.read_result(path).status is RunStatus.CANCELLED
    agent = Restoring()
    result = await run_of(agent, path)
    assert result.success
    assert [message["content"] for message in result.messages if message["role"] == "assistant"] == [
        "answer 1",
        "answer 2",
        "answer 3",
    ]


async def test_a_run_that_was_cancelled_again_before_anything_new_happened_continues(tmp_path):
    path = tmp_path / "run.jsonl"

    class Cancels(Restoring):
        name = "Restoring"

        async def call(self, input: AgentInput) -> str:
            signal.default_int_handler(signal.SIGINT, None)

    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            await run_of(Cancels(), path)
    assert path.read_text().count("run_resumed") == 1
    assert (await run_of(Restoring(), path)).success
    assert duologue.read_journal(path).complete


async def test_time_that_was_used_counts_towards_the_limit():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.jsonl"
        agent = Restoring()
        await run_of(agent, path, run_timeout=100.0)
        cut_after_messages(path, 4)
        data = path.read_text()
        file = read_journal(path)
        path.write_text(data.replace(f'"at":{file.transitions[-1][0].at!r}', f'"at":{file.entries[0].at + 101!r}'))

        class Slow(Restoring):
            name = "Restoring"

            async def call(self, input: AgentInput) -> str:
                await asyncio.sleep(0.01)
                return await super().call(input)

        with pytest.raises(duologue.errors.RunTimeoutError):
            await run_of(Slow(), path, run_timeout=100.0)


async def test_resume_needs_a_file(tmp_path):
    with pytest.raises(ConfigurationError, match=r"resume=True needs the journal file.*found record"):
        await run_of(Stateful(), tmp_path)


async def test_a_journal_of_a_newer_version_is_an_error_and_stays(tmp_path):
    path = tmp_path / "run.jsonl"
    path.write_text('{"seq":0,"at":1.0,"events":[{"type":"run_started","schema_version":99}]}\n')
    with pytest.raises(JournalVersionError, match=r"run\.jsonl: .*version 99"):
        await run_of(Stateful(), path)
    assert path.exists()


async def test_the_time_between_two_processes_counts_for_nothing(tmp_path):
    path = tmp_path / "run.jsonl"
    await run_of(Restoring(), path, seed=1)
    cut_after_messages(path, 2)
    await run_of(Restoring(), path, seed=1)
    lines = path.read_text().splitlines()
    resumed = next(number for number, line in enumerate(lines) if "run_resumed" in line)
    later = [json.loads(line) for line in lines[resumed:-3]]
    for line in later:
        line["at"] += 36_000
    path.write_text("\n".join([*lines[:resumed], *map(json.dumps, later)]) + "\n")
    result = await run_of(Restoring(), path, seed=1)
    assert result.success
    assert result.total_time < 3600


async def test_an_interrupted_answer_of_a_repeating_agent_is_not_asked_for_again(tmp_path):
    path = tmp_path / "run.jsonl"
    streamed = []

    class Streams(AgentAdapter):
        repeats = True

        async def call(self, input: AgentInput) -> str:
            return "done"

        def stream(self, input):
            async def pieces():
                streamed.append(input.thread_id)
                yield "one "
                await asyncio.sleep(60)

            return pieces() if len(streamed) < 2 and len(input.messages) == 1 else None

    async def play():
        agents = [Streams(), ScriptedUserAgent([])]
        script = [duologue.user("?"), duologue.interrupt("Stop!"), duologue.agent(), duologue.succeed()]
        return await duologue.arun("s", "d", agents, script=script, record=path, resume=True, verbose=False, seed=1)

    first = await play()
    assert [message["content"] for message in first.messages] == ["?", "one ", "Stop!", "done"]
    cut_after_messages(path, 3)
    assert (await play()).messages == first.messages
    assert len(streamed) == 1


async def test_a_recorded_failure_comes_back_as_what_it_was(tmp_path):
    path = tmp_path / "run.jsonl"

    class Wrong(AgentAdapter):
        resumable = True

        async def call(self, input: AgentInput) -> str:
            return 7  # type: ignore[return-value]

    async def forgives(state):
        await state.executor.user("?")
        with contextlib.suppress(AgentReturnError):
            await state.executor.agent()
        await state.executor.user("Well?")

    async def play():
        agents = [Wrong(), ScriptedUserAgent([])]
        script = [forgives, duologue.succeed()]
        return await duologue.arun("s", "d", agents, script=script, record=path, resume=True, verbose=False, seed=1)

    assert (await play()).success
    cut_after_messages(path, 2)
    assert (await play()).success


async def test_a_run_that_is_over_is_only_read_if_it_is_the_same_run(tmp_path):
    path = tmp_path / "run.jsonl"
    first = await run_of(Restoring(), path, seed=1)
    assert (await run_of(Restoring(), path, seed=1)).run_id == first.run_id
    with pytest.raises(ResumeError, match=r"script\[0\] was 'user\(one\)', now it is 'user\(other\)'"):
        await run_of(Restoring(), path, lines=("other",), seed=1)


@pytest.mark.parametrize("seconds", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (2, 3, 1)])
def test_models_that_were_asked_at_the_same_time_are_answered_in_the_order_of_then(tmp_path, seconds):
    """Three chains of questions within one call, cut after each transition."""
    asked = []

    def answering(name, delay):
        async def answer(request):
            asked.append(text := request.messages[-1]["content"])
            await asyncio.sleep(delay)
            return f"answer to {text}"

        return ScriptedModel([answer], repeat=True, name=name)

    class Gathers(AgentAdapter):
        repeats = True

        async def call(self, input: AgentInput) -> str:
            async def chain(number):
                said = []
                for step in range(3):
                    request = ModelRequest(messages=({"role": "user", "content": f"{number}.{step} {said}"},))
                    model = answering("m", seconds[number] + step * 0.1)
                    said.append((await ask(model, request, input.scope)).text)
                return said

            return str(await asyncio.gather(*(chain(number) for number in range(3))))

    def play(path):
        agents = [Gathers(), ScriptedUserAgent(["go"], repeat=True)]
        script = [duologue.proceed(2), duologue.succeed()]
        executor = duologue.prepare(
            "s", "d", agents, script=script, record=path, resume=True, verbose=False, seed=1, context=context()
        )
        return run_virtual(executor.run())

    whole = tmp_path / "whole.jsonl"
    first = play(whole)
    assert len(asked) == 18
    file = read_journal(whole)
    for number, end in enumerate(file.ends[:-1]):
        path = tmp_path / f"{number}.jsonl"
        path.write_bytes(whole.read_bytes()[:end])
        known = sum(transition[0].event.type == "model_called" for transition in file.transitions[: number + 1])
        asked.clear()
        assert play(path).messages == first.messages
        assert len(asked) == 18 - known


async def test_two_processes_cannot_write_one_journal(tmp_path):
    path = tmp_path / "run.jsonl"
    await run_of(Restoring(), path, seed=1)
    cut_after_messages(path, 2)

    class Slow(Restoring):
        name = "Restoring"

        async def call(self, input: AgentInput) -> str:
            await asyncio.sleep(0.05)
            return await super().call(input)

    outcomes = await asyncio.gather(run_of(Slow(), path, seed=1), run_of(Slow(), path, seed=1), return_exceptions=True)
    assert any(isinstance(item, JournalError) for item in outcomes)
    assert read_journal(path).transitions


async def test_a_difference_that_an_adapter_swallows_ends_the_run_all_the_same(tmp_path):
    path = tmp_path / "run.jsonl"
    asked = []

    class Careless(AgentAdapter):
        repeats = True

        async def call(self, input: AgentInput) -> str:
            for question in asked:
                with contextlib.suppress(Exception):
                    await ask(model, ModelRequest(messages=({"role": "user", "content": question},)), input.scope)
            return "done"

    model = ScriptedModel(["yes"], repeat=True, name="counted")

    async def play():
        script = [duologue.user("?"), duologue.agent(), duologue.user("!"), duologue.agent(), duologue.succeed()]
        agents = [Careless(), ScriptedUserAgent([])]
        return await duologue.arun("s", "d", agents, script=script, record=path, resume=True, verbose=False, seed=1)

    asked.append("first")
    await play()
    cut_after_messages(path, 2)
    before = path.read_bytes()
    for other in ("second", ""):
        asked[:] = [other]
        with pytest.raises(ResumeError, match="does not ask counted what it asked before"):
            await play()
        assert path.read_bytes() == before
    asked[:] = ["first"]
    assert (await play()).success


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"agent_timeout": 7.0}, r"run_started\.settings\.agent_timeout was 60\.0, now it is 7\.0"),
        ({"run_timeout": 99.0}, r"run_started\.settings\.run_timeout was not set, now it is 99\.0"),
    ],
    ids=repr,
)
async def test_a_changed_setting_is_named_and_not_all_of_them_are_printed(tmp_path, setting, said):
    path = tmp_path / "run.jsonl"
    await run_of(Restoring(), path, model_timeout=60.0)
    cut_after_messages(path, 5)
    with pytest.raises(ResumeError, match=said) as raised:
        await run_of(Restoring(), path, **{"model_timeout": 60.0, **setting})
    assert len(str(raised.value)) < 400


async def test_what_is_recorded_on_a_cassette_goes_on_after_a_kill(tmp_path):
    path = tmp_path / "run.jsonl"
    options = {"cassette": tmp_path / "tape.jsonl", "cassette_mode": "record"}
    model = ScriptedModel(["yes"], repeat=True, name="counted")

    class Asks(AgentAdapter):
        repeats = True

        async def call(self, input: AgentInput) -> str:
            request = ModelRequest(messages=({"role": "user", "content": f"{len(input.messages)}"},))
            return (await ask(model, request, input.scope)).text

    async def play(**more):
        script = [duologue.user("?"), duologue.agent(), duologue.user("!"), duologue.agent(), duologue.succeed()]
        agents = [Asks(), ScriptedUserAgent([])]
        given = {**options, **more}
        return await duologue.arun("s", "d", agents, script=script, record=path, verbose=False, seed=1, **given)

    first = await play()
    tape = (tmp_path / "tape.jsonl").read_text()
    cut_after_messages(path, 2)
    (tmp_path / "tape.jsonl").write_text("".join(tape.splitlines(keepends=True)[:2]))
    again = await play(resume=True)
    assert again.messages == first.messages
    assert len(model.requests) == 3
    assert (tmp_path / "tape.jsonl").read_text() == tape
    with pytest.raises(duologue.errors.CassetteError, match="exists already"):
        await play()


async def test_earlier_attempts_count_in_the_budget_of_the_run(tmp_path):
    path = tmp_path / "run.jsonl"
    usage = Usage(input_tokens=30, output_tokens=20)
    answer = ModelAnswer(message={"role": "assistant", "content": "yes"}, usage=usage)

    class Forgets(AgentAdapter):
        async def call(self, input: AgentInput) -> str:
            request = ModelRequest(messages=({"role": "user", "content": "x"},), max_tokens=20)
            return (await ask(ScriptedModel([answer]), request, input.scope)).text

    async def play():
        script = [duologue.user("?"), duologue.agent(), duologue.succeed()]
        agents = [Forgets(), ScriptedUserAgent([])]
        given = {"record": path, "resume": True, "budget": duologue.Budget(tokens=120)}
        return await duologue.arun("s", "d", agents, script=script, verbose=False, seed=1, **given)

    assert (await play()).success
    cut_after_messages(path, 2)
    assert (await play()).success
    cut_after_messages(path, 2)
    path.write_text("torn\n" + path.read_text())  # its calls can still be counted
    with pytest.raises(duologue.errors.BudgetExceededError, match="100 of 120"):
        await play()
    assert sorted(item.name for item in tmp_path.iterdir()) == [
        "run.jsonl", "run.jsonl.attempt-1", "run.jsonl.unreadable",
    ]  # fmt: skip


def test_a_file_that_is_set_aside_never_takes_the_place_of_another(tmp_path):
    path = tmp_path / "run.jsonl"
    for number in range(4):
        path.unlink(missing_ok=True)
        path.write_text(str(number))
        made = set_aside(path, "replaced") if number % 2 else keep_copy(path, "replaced")
        assert made is not None
        assert made.read_text() == str(number)
    names = ["run.jsonl.replaced", "run.jsonl.replaced.2", "run.jsonl.replaced.3", "run.jsonl.replaced.4"]
    assert sorted(item.name for item in tmp_path.iterdir()) == names
    assert [(tmp_path / name).read_text() for name in names] == list("0123")
    assert (set_aside(path, "replaced"), keep_copy(path, "replaced")) == (None, None)


async def test_a_resumed_run_goes_on_under_the_id_that_the_agent_gave_it(tmp_path):
    path, lines = tmp_path / "run.jsonl", ["My booking code is KX47.", "What is my booking code?"]
    with http_agents() as server:

        async def play():
            agent = HttpAgent(server.url, preset="openai-responses", send="new")
            script = [duologue.user(lines[0]), duologue.agent(), duologue.user(lines[1]), duologue.agent()]
            agents = [agent, ScriptedUserAgent([])]
            return await duologue.arun("s", "d", agents, script=script, record=path, resume=True, verbose=False, seed=1)

        await play()
        cut_after_messages(path, 3)
        server.asked.clear()
        result = await play()
        assert [asked.body["previous_response_id"] for asked in server.asked] == ["resp_1"]
    assert result.messages[-1]["content"] == "Your booking code is KX47."
    assert result.usage.input_tokens == 200


CODE = """
import functools
import duologue
from duologue.testing import ScriptedAgent, ScriptedUserAgent

def says(state):
    return "yes" in state.messages[-1]["content"]

class Kind:
    def __call__(self, state):
        return True

class Judge(duologue.JudgeAgent):
    MET = True
    async def call(self, input):
        return duologue.ScenarioResult(success=self.MET, reasoning="so", verdict="pass" if self.MET else "fail")

def step(state):
    assert True

def unrelated():
    return 1

def play(path, **options):
    script = [duologue.user("hi"), duologue.agent(), step, duologue.judge()]
    cast = [ScriptedUserAgent([]), ScriptedAgent(["yes"]), Judge(criteria=["c"], model="mock/echo")]
    checks = [says, functools.partial(lambda a, state: a, True), Kind()]
    return duologue.prepare("s", "d", cast, script=script, checks=checks, record=path, verbose=False, **options)
"""


_numbers = itertools.count()


async def _play_code(folder: Path, code: str, **options: Any) -> Any:
    path = folder / f"code_{next(_numbers)}.py"
    path.write_text(code)
    executor = load_file(path).play(folder / "run.jsonl", **options)
    return await executor.perform(), executor


@pytest.mark.parametrize(
    ("was", "now", "named"),
    [
        ('return "yes" in', 'return "no" in', "says"),
        ("        return True\n", "        return False\n", "Kind"),
        ("MET = True", "MET = False", "Judge"),
        ("assert True", "assert False", "step"),
        ("lambda a, state: a,", "lambda a, state: not a,", "<lambda>"),
    ],
)
async def test_a_result_under_other_code_is_none_of_now(tmp_path: Path, was: str, now: str, named: str) -> None:
    result, _ = await _play_code(tmp_path, CODE)
    assert result.success is True
    assert (await _play_code(tmp_path, CODE, resume=True))[0].success is True
    moved = CODE.replace("def unrelated():\n    return 1", "# a comment\n\ndef unrelated():\n    return 2")
    assert (await _play_code(tmp_path, moved, resume=True))[0].success is True
    assert CODE.count(was) == 1
    with pytest.raises(ResumeError, match=f"run_started.code.*{re.escape(named)}"):
        await _play_code(tmp_path, CODE.replace(was, now), resume=True)


async def test_a_journal_that_says_nothing_of_code_is_resumed(tmp_path: Path) -> None:
    await _play_code(tmp_path, CODE)
    path = tmp_path / "run.jsonl"
    text = path.read_text()
    older = re.sub(r',"code":\{"[^}]*\}', "", text)
    assert older != text
    path.write_text(older)
    assert (await _play_code(tmp_path, CODE, resume=True))[0].success is True
