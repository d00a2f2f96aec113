"""Calls that last long: what is kept of them in memory, and that everything of them can still be had."""

from __future__ import annotations

import base64
import copy
import gc
import json
import pickle
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from voice_agents import AnsweringAgent, tone

import duologue
from duologue.agents.judge._voice import sounds_in, with_sounds
from duologue.conversation.result import read_result
from duologue.journal.artifacts import MOST_HELD, MemoryArtifacts
from duologue.messages import Message, StoredData, copy_of, lazy_copy_of
from duologue.voice import synthesis
from duologue.voice.incoming import AgentWords, Incoming
from duologue.voice.messages import extract_audio

MEGABYTE = 1 << 20
ANSWER = tone(9.0)
LINE = tone(3.0, 900)


@pytest.fixture(autouse=True)
def speech() -> Iterator[None]:
    async def say(text: str, voice: str) -> bytes:
        return LINE.data

    duologue.register_tts_provider("test", say)
    yield
    del synthesis._registered["test"]


class Caller(duologue.ScriptedUser):
    voice = "test/low"


class LongAgent(AnsweringAgent):
    """Does not keep what it has heard, and says something else each time."""

    def __init__(self) -> None:
        super().__init__([self._answer], pause=0.2)
        self.memory: list[int] = []

    def _answer(self) -> list[Incoming]:
        self.heard.clear()
        if tracemalloc.is_tracing():
            gc.collect()
            self.memory.append(tracemalloc.get_traced_memory()[0])
        sound = bytearray(ANSWER.data)
        sound[9_600:9_602] = len(self.memory).to_bytes(2, "little")
        return [AgentWords(text=f"answer {self._given}"), type(ANSWER)(bytes(sound))]


@pytest.mark.parametrize("recorded", [True, False])
async def test_a_call_takes_the_same_memory_however_long_it_is(recorded: bool, tmp_path: Path) -> None:
    agent, turns = LongAgent(), 14
    executor = duologue.prepare(
        "long call",
        "Somebody calls.",
        agents=[agent, Caller([f"line {number}" for number in range(turns)])],
        script=[duologue.proceed(turns=turns), duologue.succeed()],
        verbose=False,
        max_turns=turns + 1,
        record=tmp_path if recorded else None,
    )
    tracemalloc.start()
    try:
        result = await executor.run()
    finally:
        tracemalloc.stop()
    assert result.success
    assert len(agent.memory) == turns
    spoken = 9.0 * 48_000 * 9  # what the agent says between the two
    assert agent.memory[12] - agent.memory[3] < 0.1 * spoken, [value // 1024 for value in agent.memory]
    answers = [message for message in result.messages if message["role"] == "assistant"]
    for message in answers:
        heard = extract_audio(message)
        assert heard is not None
        assert heard.duration_seconds == pytest.approx(9.0, abs=0.3)
    assert result.audio.sound.duration == pytest.approx(turns * 12.0, abs=14.0)
    if recorded:
        assert result.journal is not None
        again = read_result(result.journal)
        assert again.messages == result.messages
        assert b"sha256:" not in json.dumps(again.messages).encode()


def stored(data: bytes = b"abc" * 30) -> tuple[Message, list[int]]:
    loads: list[int] = []

    def load() -> bytes:
        loads.append(1)
        return data

    kept = StoredData("a" * 64, len(data), "audio/wav", load)
    parts = [{"type": "text", "text": "hi"}, {"type": "input_audio", "input_audio": {"data": kept, "format": "wav"}}]
    return cast("Message", {"role": "assistant", "content": parts}), loads


WAYS: dict[str, Callable[[Any], Any]] = {
    "index": lambda message: message["content"][1]["input_audio"]["data"],
    "get": lambda message: message["content"][1]["input_audio"].get("data"),
    "dict": lambda message: dict(message["content"][1]["input_audio"])["data"],
    "unpacked": lambda message: {**message["content"][1]["input_audio"]}["data"],
    "merged": lambda message: ({} | message["content"][1]["input_audio"])["data"],
    "values": lambda message: next(iter(message["content"][1]["input_audio"].values())),
    "items": lambda message: dict(message["content"][1]["input_audio"].items())["data"],
    "copy": lambda message: copy.copy(message["content"][1]["input_audio"])["data"],
    "json": lambda message: json.loads(json.dumps(message))["content"][1]["input_audio"]["data"],
    "indented": lambda message: json.loads(json.dumps(message, indent=1))["content"][1]["input_audio"]["data"],
    "deepcopy": lambda message: copy.deepcopy(message)["content"][1]["input_audio"]["data"],
    "pickle": lambda message: pickle.loads(pickle.dumps(message))["content"][1]["input_audio"]["data"],
    "result": lambda message: duologue.ScenarioResult(success=True, messages=[message]).model_dump()["messages"][0][
        "content"
    ][1]["input_audio"]["data"],
    "result as JSON": lambda message: json.loads(
        duologue.ScenarioResult(success=True, messages=[message]).model_dump_json()
    )["messages"][0]["content"][1]["input_audio"]["data"],
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@pytest.mark.parametrize("made", [copy_of, lazy_copy_of])
def test_copies_of_a_message_hold_its_sound_whichever_way_it_is_asked_for(way: Any, made: Any) -> None:
    message, _ = stored()
    assert way(made(message)) == base64.b64encode(b"abc" * 30).decode()


def test_a_lazy_copy_reads_nothing_before_it_is_asked() -> None:
    message, loads = stored()
    copied = lazy_copy_of(message)
    assert copied["content"][0]["text"] == "hi"  # type: ignore[index,typeddict-item]
    assert not loads
    assert copied == copy_of(message)


def test_a_judge_is_given_only_the_sounds_that_it_has_room_for() -> None:
    large, loads_large = stored(bytes(14_000_000))
    small, loads_small = stored()
    sounds = sounds_in([large, small], ["m1", "m2"])
    request = with_sounds([{"role": "user", "content": "judge"}], sounds)
    text = json.dumps(request)
    assert base64.b64encode(b"abc" * 30).decode() in text
    assert "m1 is left out" in text
    assert (len(loads_large), len(loads_small)) == (0, 1)


async def test_a_store_in_memory_holds_a_megabyte_and_has_the_rest_in_a_file() -> None:
    store = MemoryArtifacts()
    pieces = [bytes([number]) * (MEGABYTE // 4) for number in range(12)]
    kept = [await store.put(piece) for piece in pieces]
    assert sum(map(len, store._held.values())) <= MOST_HELD
    assert [await store.read(item) for item in kept] == pieces
    assert all([await store.has(item) for item in kept])
    assert [store.load(item) for item in reversed(kept)] == pieces[::-1]
