"""Whole runs with agents of hosted realtime APIs, in real time: turns, tools, and users who cut in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import elevenlabs_agents_service as elevenlabs
import gemini_live_service as gemini
import openai_realtime_service as openai
import pytest
from spoken_turns import voice_like
from voice_agents import AnsweringAgent

import duologue
from duologue.conversation.result import ScenarioResult
from duologue.errors import ConfigurationError, SimulatorError
from duologue.messages import text_of
from duologue.voice import synthesis
from duologue.voice.activity import Loudness
from duologue.voice.adapter import VoiceAgentAdapter
from duologue.voice.adapters.elevenlabs_agent import ElevenLabsAgentAdapter
from duologue.voice.adapters.gemini_live import GeminiLiveAgentAdapter
from duologue.voice.adapters.openai_realtime import OpenAIRealtimeAgentAdapter
from duologue.voice.messages import extract_audio

WORDS = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
SECONDS = 8.0
TOOL = {"name": "find_order", "parameters": {"type": "object", "properties": {}}}


@pytest.fixture(autouse=True)
def _tones_are_speech(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("duologue.voice.activity.default_detector", Loudness)

    async def say(text: str, voice: str) -> bytes:
        return voice_like(0.04 * len(text))

    registered = dict(synthesis._registered)
    duologue.register_tts_provider("local", say)
    yield
    synthesis._registered.clear()
    synthesis._registered.update(registered)


def found(arguments: dict[str, Any]) -> object:
    return {"status": "shipped"}


@asynccontextmanager
async def _openai(*answers: tuple[str, float], calls: bool = False) -> AsyncIterator[Any]:
    async with openai.OpenAIRealtimeService() as service:
        made = [openai.Answer(words, voice_like(seconds, 440)) for words, seconds in answers]
        if calls:
            service.answers.append(openai.Answer(calls=[("c1", "find_order", '{"number": "4"}')]))
        service.answers += made
        url = f"{service.url}/v1"
        handlers = {"find_order": found}
        yield (
            service,
            OpenAIRealtimeAgentAdapter(
                "gpt-realtime", base_url=url, api_key=openai.KEY, tools=[TOOL], tool_handlers=handlers
            ),
        )
        assert service.errors == []


@asynccontextmanager
async def _gemini(*answers: tuple[str, float], calls: bool = False) -> AsyncIterator[Any]:
    async with gemini.GeminiLiveService() as service:
        service.answers += [gemini.Answer(words, voice_like(seconds, 440)) for words, seconds in answers]
        if calls:
            service.answers[0].calls = [("c1", "find_order", {"number": "4"})]
        handlers = {"find_order": found}
        yield (
            service,
            GeminiLiveAgentAdapter(
                "gemini-live", base_url=service.url, api_key=gemini.KEY, tools=[TOOL], tool_handlers=handlers
            ),
        )


@asynccontextmanager
async def _elevenlabs(*answers: tuple[str, float], calls: bool = False) -> AsyncIterator[Any]:
    async with elevenlabs.ElevenLabsAgentsService() as service:
        service.answers += [elevenlabs.Answer(words, voice_like(seconds, 440)) for words, seconds in answers]
        service.notices, service.answers[0].heard = True, "one two three"
        if calls:
            service.answers[0].calls = [("c1", "find_order", {"number": "4"})]
        handlers = {"find_order": found}
        yield service, ElevenLabsAgentAdapter("agent_1", elevenlabs.KEY, base_url=service.url, tool_handlers=handlers)


SERVICES = pytest.mark.parametrize("made", [_openai, _gemini, _elevenlabs])


async def played(agent: VoiceAgentAdapter, *script: duologue.ScriptStep) -> tuple[ScenarioResult, Any]:
    executor = duologue.prepare(
        "call",
        "Somebody calls a shop.",
        agents=[agent, duologue.ScriptedUser(["hello"])],
        script=[*script, duologue.succeed()],
        verbose=False,
    )
    return await executor.run(), executor


def said(result: ScenarioResult) -> list[tuple[str, str]]:
    return [(message["role"], text_of(message)) for message in result.messages]


@SERVICES
async def test_a_run_with_a_tool(made: Any) -> None:
    async with made(("it has been shipped", 0.6), calls=True) as (service, agent):
        result, executor = await played(agent, duologue.user("where is it"), duologue.agent())
    assert [role for role, _ in said(result)] == ["user", "assistant", "tool", "assistant"]
    assert said(result)[0] == ("user", "where is it")
    assert said(result)[-1] == ("assistant", "it has been shipped")
    assert executor.state.has_tool_call("find_order")
    assert result.audio is not None
    assert service.heard[0]
    kept = f"{[entry.event for entry in executor.journal.entries]} {result}"
    assert not any(key in kept for key in (openai.KEY, gemini.KEY, elevenlabs.KEY))


@SERVICES
async def test_a_user_who_cuts_in(made: Any) -> None:
    async with made((WORDS, SECONDS), ("I see", 0.5)) as (service, agent):
        result, executor = await played(
            agent, duologue.user("hello"), duologue.interrupt("stop right now", after_words=2), duologue.agent()
        )
    assert [role for role, _ in said(result)] == ["user", "assistant", "user", "assistant"]
    partial = said(result)[1][1]
    assert WORDS.startswith(partial)
    assert 2 <= len(partial.split()) < 16
    assert [record.cut for record in executor.conversation.view.records] == [None, "interrupted", None, None]
    assert said(result)[2:] == [("user", "stop right now"), ("assistant", "I see")]
    [event] = [event for event in result.timeline if event.type == "user_interrupt"]
    print(f"{agent.name}: silent {event.metadata['yielded_after']:.2f} s after the user had cut in")
    assert event.metadata["native"] is agent.capabilities.interruption
    assert event.metadata["agent_was_speaking"] is True
    assert event.metadata["yielded_after"] is not None
    if made is _elevenlabs:
        assert partial == "one two three", "the platform says what was heard"
    if made is _openai:
        [(_, milliseconds)] = service.truncated
        assert milliseconds < SECONDS * 1000


async def test_an_agent_that_does_not_notice_is_talked_over_and_its_next_answer_is_heard() -> None:
    async with _elevenlabs((WORDS, 6.0), ("I see", 0.5)) as (service, agent):
        service.notices = False
        service.understood += ["hello", "stop right now"]
        result, executor = await played(
            agent, duologue.user("hello"), duologue.interrupt("stop right now", after_words=2), duologue.agent()
        )
    assert said(result)[2:] == [("user", "stop right now"), ("assistant", "I see")]
    assert executor.conversation.view.records[1].cut == "interrupted"
    [event] = [event for event in result.timeline if event.type == "user_interrupt"]
    assert event.metadata["yielded_after"] is None


# Simulated users that speak


class _Writer(duologue.AgentAdapter):
    """An agent in text."""

    async def call(self, input: duologue.AgentInput) -> str:
        return f"You said: {input.last_new_user_message_str()}"


def user_of(service: openai.OpenAIRealtimeService, **options: Any) -> OpenAIRealtimeAgentAdapter:
    options = {"base_url": f"{service.url}/v1", "api_key": openai.KEY, "role": duologue.AgentRole.USER, **options}
    return OpenAIRealtimeAgentAdapter("gpt-realtime", **options)


async def played_with(user: Any, agent: Any, *script: duologue.ScriptStep) -> ScenarioResult:
    script = (*script, duologue.succeed())
    return await duologue.arun("call", "Somebody calls.", agents=[agent, user], script=script, verbose=False)


@pytest.mark.parametrize("first", [True, False])
async def test_a_realtime_model_is_the_user_of_a_voice_agent(first: bool) -> None:
    async with openai.OpenAIRealtimeService() as service:
        lines = ("I want a refund", "Thank you")
        service.answers += [openai.Answer(line, voice_like(0.5, 330)) for line in lines]
        agent = AnsweringAgent()
        user = user_of(service, speaks_first=first)
        result = await played_with(user, agent, duologue.user(), duologue.agent(), duologue.user())
    assert said(result) == [("user", lines[0]), ("assistant", "one two three four five"), ("user", lines[1])]
    spoken, answer = extract_audio(result.messages[0]), extract_audio(result.messages[1])
    assert spoken is not None
    assert spoken.data == voice_like(0.5, 330)
    assert answer is not None
    assert service.heard == [answer.data]
    assert sum(loud for _, loud in agent.heard) == pytest.approx(2 * 0.5 / 0.02, abs=4)
    assert service.errors == []


async def test_lines_of_the_script_are_said_by_the_realtime_user() -> None:
    async with openai.OpenAIRealtimeService() as service:
        service.answers.append(openai.Answer("I want a refund", voice_like(0.5, 330)))
        agent = AnsweringAgent()
        result = await played_with(user_of(service), agent, duologue.user("I want a refund"), duologue.agent())
    assert said(result) == [("user", "I want a refund"), ("assistant", "one two three four five")]
    assert service.outputs[0]["content"][0]["text"].endswith("I want a refund")
    assert sum(loud for _, loud in agent.heard) == pytest.approx(0.5 / 0.02, abs=2)


async def test_an_agent_in_text_reads_what_a_realtime_user_says() -> None:
    async with openai.OpenAIRealtimeService() as service:
        service.answers += [openai.Answer(line, voice_like(0.3)) for line in ("I want a refund", "Thank you")]
        result = await played_with(
            user_of(service), _Writer(), duologue.user(), duologue.agent(), duologue.user(), duologue.agent()
        )
    assert said(result)[1] == ("assistant", "You said: I want a refund")
    assert said(result)[3] == ("assistant", "You said: Thank you")


@pytest.mark.parametrize("when", ["connecting", "speaking"])
async def test_a_realtime_user_that_fails_is_not_the_agents_fault(when: str) -> None:
    async with openai.OpenAIRealtimeService() as service:
        if when == "connecting":
            service.refuses.append((429, "slow down"))
        else:
            service.answers.append(openai.Answer(failure=("rate_limit_exceeded", "Rate limit reached")))
        with pytest.raises(SimulatorError, match=r"the simulated user cannot speak: .* Run fewer calls at once"):
            await played_with(user_of(service), AnsweringAgent(), duologue.user(), duologue.agent())


def test_a_realtime_user_has_no_turn_detection() -> None:
    with pytest.raises(ConfigurationError, match="leave turn_detection off"):
        OpenAIRealtimeAgentAdapter("gpt-realtime", role=duologue.AgentRole.USER, turn_detection="server_vad")
