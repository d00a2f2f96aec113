"""Suites whose agents are spoken with: over a WebSocket, played by a mock, or in Python code."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from websockets.asyncio.server import ServerConnection, serve

from duologue.messages import Message, text_of
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load, validate
from duologue.suites.results.run import RunResult
from duologue.suites.runner.definition import RunOptions
from duologue.suites.runner.voice_mock import hummed
from duologue.voice.adapter import InProcessVoiceAgent, VoiceConnectionError
from duologue.voice.audio import AudioChunk, bytes_of
from duologue.voice.incoming import AgentTurnEnded, AgentWords, Incoming
from duologue.voice.synthesis import forget_speech, register_tts_provider

MOCK = """\
  models:
    - {name: m, provider: mock, model: x, options: {response_text: OPTIONS}}
  prompts: [{name: help, task: help, system_template: You help.}]
  agents: [{name: bot, model: m, prompt: help}]
"""
LONG = "Your order is on its way and comes to your door on Friday morning between nine and eleven if all goes well."


@pytest.fixture(autouse=True)
def hum():
    """The usual voice needs nothing to be installed, and is quick."""
    register_tts_provider("local", hummed)
    yield
    from duologue.voice import synthesis

    synthesis._registered.pop("local", None)  # pyright: ignore[reportPrivateUsage]
    forget_speech("local")


def suite(body: str, said: str = LONG) -> str:
    return f"apiVersion: duologue/v1\nkind: Suite\nmetadata: {{name: s}}\nspec:\n{body}".replace("OPTIONS", said)


async def played(folder: Path, text: str, *, seed: int = 1, record: bool = False) -> list[RunResult]:
    (folder / "suite.yaml").write_text(text)
    engine = Engine.from_file(folder / "suite.yaml")
    async with engine:
        if record:
            engine.enable_recording(folder / "out")
        execution = await engine.execute(engine.generate_plan(seed=seed), observers=[])
    return list(execution.runs)


def purposes(run: RunResult) -> list[str]:
    assert run.voice is not None
    return [item.purpose for item in run.voice.segments if item.speaker == "user"]


async def test_what_the_user_does_beside_its_turns_is_drawn_from_the_seed_and_on_the_timeline(tmp_path: Path) -> None:
    text = suite(
        MOCK
        + """\
  personas: [{name: busy, lines: [Hello., Thanks.], voice: {backchannels: 0.4, vocal_tics: 0.2, non_directed: 0.2}}]
  scenarios: [{name: order, description: d, personas: [busy], max_turns: 2, voice: {effects: [phone_quality]}}]
""",
        said=f"{LONG} {LONG} {LONG}",
    )
    [run] = await played(tmp_path, text)
    [again] = await played(tmp_path, text)
    [other] = await played(tmp_path, text, seed=2)
    assert run.voice is not None
    assert run.voice.segments == again.voice.segments  # pyright: ignore[reportOptionalMemberAccess]
    assert {"turn", "backchannel"} <= {*purposes(run), *purposes(other)}
    assert purposes(run) != purposes(other) or run.voice.segments != other.voice.segments  # pyright: ignore[reportOptionalMemberAccess]
    figures = run.voice.figures
    kinds = {"backchannel": "backchannel_selectivity", "vocal_tic": "vocal_tic_selectivity"}
    for purpose, figure in kinds.items():
        assert (figures[figure] is not None) == (purpose in purposes(run))
        assert figures[figure] in {None, 1.0}  # the mock goes on


async def test_a_line_cuts_in_after_so_many_words(tmp_path: Path) -> None:
    scenario = """\
  scenarios:
    - name: order
      voice: {}
      turns:
        - {role: user, content: Where is my order?}
        - {role: user, content: "No, the other one.", interrupts_after: 5}
        - {role: user, content: Thanks.}
"""
    [run] = await played(tmp_path, suite(MOCK + scenario))
    assert run.voice is not None, run.reasoning
    assert run.voice.figures["interruptions"] == 1
    first = next(item for item in run.messages if item.message["role"] == "assistant")
    assert first.cut == "interrupted"
    heard = text_of(cast("Message", first.message))
    assert LONG.startswith(heard)
    assert 4 <= len(heard.split()) <= 8


async def test_a_simulated_user_cuts_in_as_the_scenario_says(tmp_path: Path) -> None:
    scenario = """\
  personas: [{name: p, lines: [One., Two., Three., Four.]}]
  scenarios:
    - name: order
      description: d
      personas: [p]
      max_turns: 4
      voice: {interruptions: {probability: 1, delay: [0.2, 0.5], phrases: ["Wait, wait."]}}
"""
    [run] = await played(tmp_path, suite(MOCK + scenario))
    assert run.voice is not None, run.reasoning
    assert run.voice.figures["interruptions"] >= 2  # pyright: ignore[reportOptionalOperand]
    assert any(item.transcript == "Wait, wait." for item in run.voice.segments)


async def test_a_mock_that_plays_the_user_may_repeat_what_was_said_when_it_cuts_in(tmp_path: Path) -> None:
    scenario = """\
  simulators: [{name: customers, model: mock/echo}]
  personas: [{name: p, description: busy, voice: {interruptions: {probability: 1, delay: [1.5, 3]}}}]
  scenarios: [{name: order, description: asks for an order, personas: [p], max_turns: 3, voice: {}}]
"""
    [run] = await played(tmp_path, suite(MOCK + scenario))
    assert run.error is None, run.error
    assert run.voice is not None
    assert run.voice.figures["interruptions"] >= 1  # pyright: ignore[reportOptionalOperand]


async def test_a_user_loses_patience_and_hangs_up(tmp_path: Path) -> None:
    text = suite(
        """\
  models: [{name: m, provider: mock, model: x, options: {auto_respond: false}}]
  prompts: [{name: help, task: help, system_template: You help.}]
  agents: [{name: bot, model: m, prompt: help}]
  scenarios:
    - name: order
      voice: {patience: 4s, hang_up_after: 2}
      turns: [{role: user, content: Hello?}, {role: user, content: Thanks.}]
      checks: [{type: voice_response_rate, params: {min_rate: 1}}]
"""
    )
    [run] = await played(tmp_path, text)
    assert run.voice is not None, run.reasoning
    assert [item.transcript for item in run.voice.segments] == ["Hello?", *["Hello? Are you still there?"] * 2]
    assert run.outcome == "fail", run.reasoning
    assert [item.metadata["by"] for item in run.voice.events if item.type == "call_ended"] == ["user"]  # pyright: ignore[reportOptionalSubscript]


@pytest.mark.parametrize(
    ("voice", "outcome"),
    [
        ("{timeout: 5s}", "error"),  # in the middle of the first answer
        ("{timeout: 12s, patience: 30s}", "error"),  # and in the last, of a user that acts beside its turns
        ("{timeout: 30s}", "pass"),
    ],
)
async def test_a_call_that_takes_longer_than_it_may_is_ended_and_an_error(
    tmp_path: Path, voice: str, outcome: str
) -> None:
    scenario = f"""\
  scenarios:
    - name: order
      voice: {voice}
      turns: [{{role: user, content: Where is it?}}, {{role: user, content: Thanks.}}]
      checks: [{{type: content_includes, params: {{patterns: [Friday]}}}}]
"""
    [run] = await played(tmp_path, suite(MOCK + scenario))
    assert run.outcome == outcome, run.reasoning
    assert run.voice is not None
    ended = [item for item in run.voice.events if item.type == "call_ended"]
    if outcome == "pass":
        assert ended == []
        return
    limit = float(voice.partition(": ")[2].partition("s")[0])
    assert f"took longer than voice.timeout={limit:g} s" in str(run.reasoning)
    assert run.termination == "timeout"
    assert [item.metadata["by"] for item in ended] == ["user"]  # pyright: ignore[reportOptionalSubscript]
    assert ended[0].time == pytest.approx(limit, abs=0.05)
    assert run.messages[-1].cut or run.messages[-1].message["role"] == "user"


# --- over the wire ----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def desk(*, refuse: int = 0) -> AsyncGenerator[str]:
    """An agent that greets, and answers each turn that is announced with a second of sound and its words."""
    calls = 0

    async def say(connection: ServerConnection, text: str) -> None:
        await connection.send(json.dumps({"type": "words", "text": text}))
        await connection.send(b"\x00\x10\x00\xf0" * (bytes_of(0.4) // 4))
        await connection.send(json.dumps({"type": "turn_ended"}))

    async def talk(connection: ServerConnection) -> None:
        nonlocal calls
        calls += 1
        if calls <= refuse:
            await connection.close(1011, "busy")
            return
        await say(connection, "Parcel desk.")
        async for message in connection:
            if isinstance(message, str) and json.loads(message)["type"] == "user_turn_ended":
                await connection.send(
                    json.dumps({"type": "tool_call", "id": "c", "name": "look_up", "arguments": {"order": 7}})
                )
                await connection.send(json.dumps({"type": "tool_result", "id": "c", "result": "Friday"}))
                await say(connection, "It comes on Friday.")

    async with serve(talk, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


WIRE = """\
  agents:
    - name: desk
      runtime: {kind: websocket, url: "URL", announces_turns: true, sends_silence: false}
  scenarios:
    - name: order
      first_turn: agent
      trials: 2
      voice: {voice: local/heart, effects: [{background_noise: {preset: cafe, snr: 15}}]}
      turns: [{role: user, content: Where is it?}]
      checks:
        - {type: tool_args, params: {tool_name: look_up, expected_args: {order: 7}}}
        - {type: content_includes, params: {patterns: [Friday]}}
"""


async def test_an_agent_behind_a_websocket_is_an_agent_of_a_suite(tmp_path: Path) -> None:
    async with desk() as url:
        runs = await played(tmp_path, suite(WIRE.replace("URL", url)), record=True)
    assert [run.outcome for run in runs] == ["pass", "pass"], runs[0].reasoning
    for run in runs:
        roles = [item.message["role"] for item in run.messages]
        assert roles == ["assistant", "user", "assistant", "tool", "assistant"]
        assert run.voice is not None
        assert run.voice.complete
        [whole] = [item for item in run.media if item.message_id == "recording"]
        assert whole.duration == pytest.approx(run.voice.figures["duration"], abs=2)


async def test_a_call_over_the_wire_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    async with desk() as url:
        text = WIRE.replace("URL", url).replace("voice: {voice", "voice: {timeout: 0.5s, voice")
        runs = await played(tmp_path, suite(text), record=True)
    for run in runs:
        assert run.outcome == "error"
        assert "took longer than voice.timeout=0.5 s" in str(run.reasoning)
        assert any(item.message_id == "recording" for item in run.media)


@pytest.mark.parametrize(("retries", "outcome"), [(1, "error"), (2, "pass")])
async def test_a_call_that_could_not_be_made_is_made_again(tmp_path: Path, retries: int, outcome: str) -> None:
    class Busy(MockedLine):
        calls = 0

        async def connect(self) -> None:
            Busy.calls += 1
            if Busy.calls <= 2:
                raise VoiceConnectionError(self.name, "busy")

    scenario = f"""\
  agents: [{{name: bot, target: "given:bot"}}]
  scenarios:
    - name: order
      voice: {{retries: {retries}, retry_delay: 0.01}}
      turns: [{{role: user, content: When?}}]
      checks: [{{type: content_includes, params: {{patterns: [Friday]}}}}]
"""
    (tmp_path / "suite.yaml").write_text(suite(scenario))
    async with Engine.from_parts(load(tmp_path / "suite.yaml"), agents={"bot": Busy}) as engine:
        [run] = (await engine.execute(engine.generate_plan(), observers=[])).runs
    assert run.outcome == outcome, run.reasoning
    assert Busy.calls == retries + 1


class MockedLine(InProcessVoiceAgent):
    """Answers a turn that is over."""

    ends_turns = True
    _ended = False

    async def end_user_turn(self) -> None:
        self._ended = True

    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
        if not self._ended:
            return []
        self._ended = False
        return [AgentWords(text="On Friday."), AudioChunk(b"\x00\x10\x00\xf0" * 6000), AgentTurnEnded()]


async def test_a_call_that_cannot_be_made_is_an_error_and_never_a_verdict(tmp_path: Path) -> None:
    async with desk() as url:
        gone = url
    [run, _] = await played(tmp_path, suite(WIRE.replace("URL", gone)))
    assert run.outcome == "error"
    assert "cannot connect to ws://127.0.0.1" in str(run.reasoning)


def test_mistakes_are_named_with_their_line(tmp_path: Path) -> None:
    def errors(text: str) -> list[str]:
        (tmp_path / "suite.yaml").write_text(text)
        return [str(problem) for problem in validate(tmp_path / "suite.yaml").errors]

    scenario = "  scenarios: [{name: order, voice: VOICE, turns: [{role: user, content: Hi}]}]\n"
    for voice, told in [
        ("{effects: [phone]}", r"there is no effect 'phone'"),
        ("{effects: [{background_noise: {loud: 3}}]}", "the effect 'background_noise'"),
        ("{effects: [{packet_loss: {probability: 7}}]}", "the effect 'packet_loss'"),
    ]:
        [found] = errors(suite(MOCK + scenario.replace("VOICE", voice)))
        assert "suite.yaml:9:" in found
        assert told in found
    [found] = errors(
        suite("  agents: [{name: bot, http: {url: 'http://127.0.0.1:1'}}]\n" + scenario.replace("VOICE", "{}"))
    )
    assert "is spoken, and the agent 'bot' is not" in found


async def test_python_code_can_be_a_voice_agent(tmp_path: Path) -> None:
    (tmp_path / "agent.py").write_text(
        """
from duologue.voice.adapter import InProcessVoiceAgent
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentTurnEnded, AgentWords


class Echo(InProcessVoiceAgent):
    ends_turns = True

    def __init__(self):
        self.ended = False

    async def end_user_turn(self):
        self.ended = True

    async def exchange(self, frame, at):
        if not self.ended:
            return []
        self.ended = False
        return [AgentWords(text="On Friday."), AudioChunk(b"\\x00\\x10\\x00\\xf0" * 6000), AgentTurnEnded()]
"""
    )
    text = suite(
        """\
  agents: [{name: echo, target: "agent.py:Echo"}]
  scenarios:
    - name: order
      voice: {pause: 0.5}
      turns: [{role: user, content: When?}, {role: user, content: Sure?}]
      checks: [{type: content_includes, params: {patterns: [Friday]}}]
"""
    )
    [run] = await played(tmp_path, text)
    assert run.outcome == "pass", run.reasoning
    assert run.voice is not None
    users = [item for item in run.voice.segments if item.speaker == "user"]
    agents = [item for item in run.voice.segments if item.speaker == "agent"]
    assert users[1].start - agents[0].end >= 0.5


async def test_an_interrupted_call_is_made_again_and_its_attempt_counted(tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(
        suite(MOCK + "  scenarios: [{name: order, voice: {}, turns: [{role: user, content: Hi}]}]\n")
    )
    out = tmp_path / "out"

    async def run(**given: object) -> RunResult:
        engine = Engine.from_file(tmp_path / "suite.yaml")
        async with engine:
            engine.enable_recording(out)
            options = RunOptions(execution_id="x", **given)  # pyright: ignore[reportArgumentType]
            execution = await engine.execute(engine.generate_plan(seed=1), options, observers=[])
        return execution.runs[0]

    first = await run()
    [journal] = (out / "journals").glob("*.jsonl")
    lines = journal.read_text("utf-8").splitlines(keepends=True)
    journal.write_text("".join(lines[: len(lines) // 2]), "utf-8")  # as a killed process leaves it
    again = await run(resuming=True)
    assert again.outcome == first.outcome
    assert [item.message["role"] for item in again.messages] == ["user", "assistant"]
    assert again.voice is not None
    assert len(list((out / "journals").glob("*"))) == 2, "the journal of the earlier attempt stays"
