"""Whole conversations over WebRTC, with Pipecat's protocol, in a room of LiveKit and with Retell: barge-in included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from livekit_sdk import FakeRoom, FakeSdk, Someone
from sounds import tone
from talker import SHORT, WORDS, Talker
from webrtc_peer import HttpAsked, Peer, http_server, peer

import duologue
from duologue.voice import activity, synthesis
from duologue.voice.adapter import AdapterCapabilities, VoiceAgentAdapter
from duologue.voice.adapters import livekit_room
from duologue.voice.adapters.data_channel import DataChannelProtocol
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentTurnEnded, AgentWords, Incoming
from duologue.voice.resample import resample


@pytest.fixture(autouse=True)
def speech(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A voice that says 60 ms of tone for each letter, and a recogniser that understands the same of every sound."""
    monkeypatch.setattr(activity, "default_detector", activity.Loudness)  # a tone is no speech for Silero's model

    async def say(text: str, voice: str) -> bytes:
        return tone(300, 0.06 * len(text))

    class Recogniser:
        async def transcribe(self, chunk: AudioChunk) -> str:
            return "recognised"

    duologue.register_tts_provider("test", say)
    duologue.set_stt_provider(Recogniser())
    yield
    duologue.set_stt_provider(None)
    del synthesis._registered["test"]


class Caller(duologue.ScriptedUser):
    voice = "test/low"


class Words(DataChannelProtocol):
    """Words and the end of turns as JSON; it can be told to stop."""

    ends_turns = True
    capabilities = AdapterCapabilities(streaming_transcripts=True, interruption=True)

    def decode(self, message: str | bytes) -> Sequence[Incoming]:
        event = json.loads(message)
        return (
            [AgentWords(text=f" {event['word']}")]
            if "word" in event
            else [AgentTurnEnded()]
            if "stopped" in event
            else []
        )

    def encode_interrupt(self) -> str:
        return '{"type": "stop"}'


@asynccontextmanager
async def talking(agent: Peer, message: Callable[[str, str], str | None]) -> AsyncGenerator[Talker]:
    """The peer answers what it hears."""
    taken = 0

    def hear() -> bytes:
        nonlocal taken
        pcm = bytes(agent.heard[taken:])
        taken += len(pcm)
        return pcm

    def told(what: str, word: str) -> None:
        said = message(what, word)
        if said is not None and agent.channel is not None:
            agent.channel.send(said)

    talker = Talker(hear, agent.say, told)
    task = asyncio.create_task(talker.talk())
    try:
        yield talker
    finally:
        task.cancel()
        await asyncio.wait({task})


async def played(adapter: VoiceAgentAdapter, *script: duologue.ScriptStep) -> duologue.ScenarioExecutor:
    executor = duologue.prepare(
        "call",
        "Somebody calls.",
        agents=[adapter, Caller(["hello"])],
        script=[*script, duologue.succeed()],
        verbose=False,
        seed=1,
    )
    result = await executor.run()
    assert result.success, result
    return executor


def lines(executor: duologue.ScenarioExecutor) -> list[tuple[str, str, str | None]]:
    """Who said what, and whether it was cut off."""
    found = []
    for record in executor.conversation.view.records:
        content = record.message.get("content")
        if isinstance(content, list):
            content = next((part["text"] for part in content if part["type"] == "text"), "")
        found.append((record.message["role"], str(content), record.cut))
    return found


BARGE_IN = (duologue.user("hello"), duologue.interrupt("stop it", after_words=3), duologue.agent())


BUSY = 0.1
"""Seconds. Where frames are later, words and sound do not come together any more, and the conversation is had again."""


async def barge_in(
    call: Callable[[], AbstractAsyncContextManager[tuple[VoiceAgentAdapter, Talker]]], *, native: bool, words: bool
) -> None:
    """Have a conversation in which the user cuts in; again, if the machine was busy with other things meanwhile."""
    for attempt in range(5):
        async with call() as (adapter, talker):
            executor = await played(adapter, *BARGE_IN)
        try:
            check_barge_in(executor, native=native, words=words)
            assert talker.cut_off == (0 if native else 1)
            return
        except AssertionError:
            if talker.late < BUSY or attempt == 4:
                raise


def check_barge_in(executor: duologue.ScenarioExecutor, *, native: bool, words: bool) -> None:
    """The agent was cut off in the middle of its words, stopped soon, and answered the interruption."""
    said = lines(executor)
    assert [role for role, _, _ in said] == ["user", "assistant", "user", "assistant"]
    assert [cut for _, _, cut in said] == [None, "interrupted", None, None]
    assert said[2][1] == "stop it"
    if words:
        partial = said[1][1].split()
        assert 3 <= len(partial) < len(WORDS)
        assert partial == list(WORDS[: len(partial)])
        assert said[3][1].split() == list(SHORT)
    else:
        assert (said[1][1], said[3][1]) == ("recognised", "recognised")
    [event] = [event for event in executor.state.timeline if event.type == "user_interrupt"]
    assert event.metadata is not None
    assert event.metadata["native"] is native
    assert event.metadata["agent_was_speaking"] is True
    print("last sound of the agent after the interruption:", event.metadata["yielded_after"], "s")
    assert event.metadata["yielded_after"] is not None, "it has stopped"
    kinds = [event.type for event in executor.state.timeline]
    assert kinds.count("agent_start_speaking") == kinds.count("agent_stop_speaking") == 2


async def test_over_webrtc_with_nothing_but_sound():
    @asynccontextmanager
    async def call() -> AsyncGenerator[tuple[VoiceAgentAdapter, Talker]]:
        async with peer() as (url, agent), talking(agent, lambda what, word: None) as talker:
            yield duologue.WebRTCAgentAdapter(url), talker

    await barge_in(call, native=False, words=False)


async def test_over_webrtc_with_words_and_a_message_to_stop():
    def message(what: str, word: str) -> str | None:
        return json.dumps({what: word}) if what in {"word", "stopped"} else None

    @asynccontextmanager
    async def call() -> AsyncGenerator[tuple[VoiceAgentAdapter, Talker]]:
        async with peer() as (url, agent), talking(agent, message) as talker:
            agent.on_message = lambda said: talker.stop() or ()
            yield duologue.WebRTCAgentAdapter(url, events=Words()), talker

    await barge_in(call, native=True, words=True)


async def test_a_pipecat_bot():
    kinds = {"began": "bot-started-speaking", "word": "bot-tts-text", "stopped": "bot-stopped-speaking"}

    def message(what: str, word: str) -> str:
        kind = kinds.get(what, "user-started-speaking")
        return json.dumps({"label": "rtvi-ai", "type": kind, "data": {"text": word}})

    @asynccontextmanager
    async def call() -> AsyncGenerator[tuple[VoiceAgentAdapter, Talker]]:
        async with peer() as (url, agent), talking(agent, message) as talker:
            agent.on_message = lambda said: [json.dumps({"label": "rtvi-ai", "type": "bot-ready", "data": {}})]
            yield duologue.PipecatAgentAdapter(transport="webrtc", signaling_url=url), talker

    await barge_in(call, native=False, words=True)


def in_the_room(
    sdk: FakeSdk, agent: Someone, told: Callable[[FakeRoom, str, str], None]
) -> tuple[Callable[[FakeRoom], None], Talker]:
    """The agent of a room talks, on the event loop on which it was joined."""
    tasks: set[asyncio.Task[None]] = set()
    taken = 0

    def hear() -> bytes:
        nonlocal taken
        heard = sdk.sources[-1].heard if sdk.sources else bytearray()
        pcm = bytes(heard[taken : len(heard) // 1920 * 1920])
        taken += len(pcm)
        return resample(pcm, 48_000, 24_000) if pcm else b""

    async def say(pcm: bytes) -> None:
        agent.sound.put_nowait(resample(pcm, 24_000, 48_000))

    talker = Talker(hear, say, lambda what, word: told(sdk.rooms[-1], what, word))

    def join(room: FakeRoom) -> None:
        room.enters(agent)
        tasks.add(asyncio.create_task(talker.talk()))
        room.on_left = lambda: [task.cancel() for task in tasks]

    return join, talker


async def test_an_agent_in_a_room_of_livekit(monkeypatch: pytest.MonkeyPatch):
    @asynccontextmanager
    async def call() -> AsyncGenerator[tuple[VoiceAgentAdapter, Talker]]:
        sdk, agent = FakeSdk(), Someone("agent-1", 4, {"lk.agent.state": "listening"})
        monkeypatch.setattr(livekit_room, "sdk", lambda: sdk)

        def told(room: FakeRoom, what: str, word: str) -> None:
            if what == "began":
                room.state(agent, "speaking")
            elif what == "word":
                room.text("agent-1", word)
            elif what == "stopped":
                room.state(agent, "listening")

        sdk.on_join, talker = in_the_room(sdk, agent, told)
        secret = "secret-of-the-project"
        yield duologue.LiveKitAgentAdapter("wss://livekit.test", "APIabcdefgh1234", secret, "room-1"), talker
        assert sdk.rooms[0].left == 1

    await barge_in(call, native=False, words=True)


async def test_an_agent_of_retell(monkeypatch: pytest.MonkeyPatch):
    async def respond(asked: HttpAsked) -> tuple[int, dict[str, str], bytes]:
        return 201, {}, b'{"call_id": "c", "access_token": "eyJ0b2tlbiI6MX0.eyJ0b2tlbiI6MX0.c2ln"}'

    @asynccontextmanager
    async def call() -> AsyncGenerator[tuple[VoiceAgentAdapter, Talker]]:
        sdk, agent = FakeSdk(), Someone("agent")
        monkeypatch.setattr(livekit_room, "sdk", lambda: sdk)
        transcript: list[dict[str, str]] = []

        def told(room: FakeRoom, what: str, word: str) -> None:
            event: dict[str, object] = {}
            if what == "user":
                transcript.append({"role": "user", "content": "something"})
                event = {"event_type": "update", "transcript": transcript, "turntaking": "user_turn"}
            elif what == "began":
                transcript.append({"role": "agent", "content": ""})
                event = {"event_type": "agent_start_talking"}
            elif what == "word":
                transcript[-1]["content"] += f" {word}"
                event = {"event_type": "update", "transcript": transcript}
            elif what == "stopped":
                event = {"event_type": "agent_stop_talking"}
            room.data("server", json.dumps(event).encode())

        sdk.on_join, talker = in_the_room(sdk, agent, told)
        async with http_server(respond) as url:
            yield duologue.RetellAgentAdapter("agent-7", "key_4711abcdef", url=url), talker

    await barge_in(call, native=False, words=True)
