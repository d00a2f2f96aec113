"""What agents send besides sound: without measure, and what no journal could hold."""

from __future__ import annotations

import json
from itertools import count

import pytest
from voice_agents import tone

import duologue
from duologue.voice.adapter import InProcessVoiceAgent, VoiceConnectionError
from duologue.voice.audio import AudioChunk
from duologue.voice.duplex.within_bounds import WithinBounds
from duologue.voice.incoming import (
    AgentKeys,
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    CallEnded,
    Incoming,
    UserHeard,
    UserWords,
)


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels):
        value = [value]
    return value


def within_itself() -> dict[str, object]:
    value: dict[str, object] = {}
    value["again"] = value
    return value


def take(bounds: WithinBounds, item: Incoming, times: int) -> None:
    for _ in range(times):
        bounds.item(item, 3.0)


@pytest.mark.parametrize(
    "item",
    [
        AgentWords(text=""),
        AgentWords(text="word " * 2000),
        AgentWords(text="all of it " * 2000, replaces=True),
        UserWords(text="word " * 2000),
        AgentTurnEnded(),
        UserHeard(),
        AgentToolCall(call_id="", name="look_up", arguments={}),
        AgentToolCall(call_id="c", name="look_up" * 5000, arguments={}),
        AgentToolCall(call_id="c" * 50_000, name="look_up", arguments={}),
        AgentToolCall(call_id="c", name="look_up", arguments={"text": "x" * 100_000}),
        AgentToolResult(call_id="c", result=["x"] * 5000),
        AgentKeys(keys="1"),
        AgentKeys(keys="1" * 50_000),
        AudioChunk(b"\0\0", transcript="word " * 2000),
    ],
    ids=lambda item: f"{type(item).__name__}",
)
def test_what_comes_without_end_is_an_error_and_what_comes_with_time_is_none(item: Incoming) -> None:
    bounds = WithinBounds("Agent")
    with pytest.raises(VoiceConnectionError, match=r"^Agent: the agent sends without measure: .* within 3 s of the"):
        take(bounds, item, 10_000)
    patient = WithinBounds("Agent")
    for number in range(50):
        patient.item(item, number * 20.0)


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (AgentWords(text="a\ud800b"), AgentWords(text="a\ufffdb")),
        (AgentWords(text="\U0001f600 é"), AgentWords(text="\U0001f600 é")),
        (UserWords(text="\udfff"), UserWords(text="\ufffd")),
        (AgentKeys(keys="1\ud83d"), AgentKeys(keys="1\ufffd")),
        (CallEnded(reason="bye\ud800"), CallEnded(reason="bye\ufffd")),
        (CallEnded(reason="x" * 3_000_000), CallEnded(reason="x" * 500 + "…")),
        (AudioChunk(b"", transcript="\ud800"), AudioChunk(b"", transcript="\ufffd")),
        (
            AgentToolCall(call_id="\ud800", name="n\udc00", arguments={"k\ud800": ["\ud800", float("nan")]}),
            AgentToolCall(call_id="\ufffd", name="n\ufffd", arguments={"k\ufffd": ["\ufffd", None]}),
        ),
        (AgentToolResult(call_id="c", result=float("-inf")), AgentToolResult(call_id="c", result=None)),
    ],
)
def test_text_and_numbers_are_such_as_can_be_stored(item: Incoming, expected: Incoming) -> None:
    assert WithinBounds("Agent").item(item, 0.0) == expected


@pytest.mark.parametrize("value", [nested(150), nested(100_000), within_itself(), {"a": object()}, {"a": {1, 2}}, b"x"])
def test_what_is_no_json_is_an_error_that_names_the_agent(value: object) -> None:
    for item in (
        AgentToolResult(call_id="c", result=value),
        AgentToolCall(call_id="c", name="n", arguments={"value": value}),
    ):
        with pytest.raises(VoiceConnectionError, match=r"^Agent: what a tool"):
            WithinBounds("Agent").item(item, 0.0)


class Hostile(InProcessVoiceAgent):
    """Says this with each frame, and what the test gives it."""

    ends_turns = True
    response_timeout = 5.0

    def __init__(self, items: list[Incoming]) -> None:
        self.items = items
        self.frames = count(1)

    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
        return [tone(0.02), *(self.items if next(self.frames) < 500 else [AgentTurnEnded()])]


@pytest.mark.parametrize(
    "items",
    [
        [AgentToolCall(call_id="c", name="look_up", arguments={"a": "x" * 100_000})] * 50,
        [UserHeard()] * 50,
        [AgentWords(text="word " * 5000)],
        [AgentToolResult(call_id="c", result=nested(500))],
    ],
    ids=["tools", "user heard", "words", "deep"],
)
async def test_a_run_with_such_an_agent_is_in_error_and_has_no_verdict(items: list[Incoming]) -> None:
    async def say(text: str, voice: str) -> bytes:
        return tone(1.0).data

    duologue.register_tts_provider("bounded", say)

    class Caller(duologue.ScriptedUser):
        voice = "bounded/low"

    with pytest.raises(VoiceConnectionError, match="Hostile: "):
        await duologue.arun(
            name="hostile",
            description="an agent without measure",
            agents=[Hostile(items), Caller(["hello"])],
            script=[duologue.user("hello"), duologue.agent(), duologue.succeed("never")],
        )


async def test_half_characters_of_an_agent_are_in_the_journal_as_replacements() -> None:
    async def say(text: str, voice: str) -> bytes:
        return tone(1.0).data

    duologue.register_tts_provider("bounded", say)

    class Caller(duologue.ScriptedUser):
        voice = "bounded/low"

    class Halves(Hostile):
        async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
            return [tone(0.02), AgentWords(text="a\ud800"), AgentTurnEnded()] if at > 1.5 else []

    result = await duologue.arun(
        name="halves",
        description="half characters",
        agents=[Halves([]), Caller(["hello"])],
        script=[duologue.user("hello"), duologue.agent(), duologue.succeed("done")],
    )
    assert result.success
    assert "a\ufffd" in json.dumps(list(result.messages), ensure_ascii=False)
