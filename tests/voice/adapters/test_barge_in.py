"""The same conversation over every wire, through the engine: the agent talks, the user cuts in, the agent answers."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from heard_sound import voice_like
from media_stream_agent import MediaStreamAgent, media_stream_agent
from talking_agent import WORDS, TalkingAgent
from twilio_service import ACCOUNT, NUMBER, OTHER, PUBLIC, TOKEN, Phone, twilio_service
from vapi_service import ASSISTANT, KEY, VapiService, vapi_service
from waiting import until
from websockets.asyncio.server import ServerConnection, serve

import duologue
from duologue.conversation.result import ScenarioResult
from duologue.voice import activity, synthesis
from duologue.voice.adapter import VoiceAgentAdapter
from duologue.voice.adapters.websocket import SocketMessage, WebSocketProtocol
from duologue.voice.audio import AudioChunk
from duologue.voice.g711 import mulaw_decode, mulaw_encode
from duologue.voice.incoming import AgentTurnEnded, AgentWords, Incoming
from duologue.voice.port import AdapterCapabilities
from duologue.voice.resample import Resampler


class _Recogniser:
    async def transcribe(self, chunk: AudioChunk) -> str:
        return "recognised"


@pytest.fixture(autouse=True)
def speech(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A voice that needs 60 ms for each letter, and a recogniser that understands the same of everything.

    Speech is found by its loudness, as without the extra ``voice-local``: these voices are tones.
    """
    monkeypatch.setattr(activity, "default_detector", activity.Loudness)

    async def say(text: str, voice: str) -> bytes:
        return voice_like(0.06 * len(text))

    duologue.register_tts_provider("test", say)
    duologue.set_stt_provider(_Recogniser())
    yield
    duologue.set_stt_provider(None)
    del synthesis._registered["test"]


class _Caller(duologue.ScriptedUser):
    voice = "test/low"


class _JsonProtocol(WebSocketProtocol):
    """Binary sound, and a few events."""

    capabilities = AdapterCapabilities(streaming_transcripts=True, interruption=True)
    ends_turns = True

    def encode_audio(self, chunk: AudioChunk) -> bytes:
        return chunk.data

    def decode_response(self, message: SocketMessage) -> Incoming:
        if isinstance(message, bytes):
            return AudioChunk(message)
        event = json.loads(message)
        return AgentWords(text=event["words"]) if "words" in event else AgentTurnEnded(interrupted=event["interrupted"])

    def encode_interrupt(self) -> str:
        return '{"interrupt": true}'


@asynccontextmanager
async def _websocket() -> AsyncGenerator[VoiceAgentAdapter]:
    async def handle(connection: ServerConnection) -> None:
        async def words(text: str) -> None:
            await connection.send(json.dumps({"words": text}))

        async def ended(interrupted: bool) -> None:
            await connection.send(json.dumps({"interrupted": interrupted}))

        agent = TalkingAgent(connection.send, words, ended)
        async for message in connection:
            if isinstance(message, bytes):
                agent.hear(message)
            else:
                agent.stop()
        await agent.close()

    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        [socket] = server.sockets
        yield duologue.WebSocketAgentAdapter(f"ws://127.0.0.1:{socket.getsockname()[1]}/", _JsonProtocol())


@asynccontextmanager
async def _pipecat() -> AsyncGenerator[VoiceAgentAdapter]:
    talking: list[TalkingAgent] = []

    async def on_event(agent: MediaStreamAgent, event: dict[str, Any]) -> None:
        if not talking:
            down = Resampler(24_000, 8_000)

            async def say(pcm: bytes) -> None:
                await agent.say(mulaw_encode(down.process(pcm)))

            async def words(text: str) -> None:
                await agent.say_json({"label": "rtvi-ai", "type": "bot-tts-text", "data": {"text": text.strip()}})

            talking.append(TalkingAgent(say, words))
        if event["event"] == "media":
            talking[0].hear(mulaw_decode(b64decode(event["media"]["payload"])))
        elif event["event"] == "clear":
            talking[0].stop()

    async with media_stream_agent(on_event) as agent:
        yield duologue.PipecatAgentAdapter(agent.url)
        await until(lambda: agent.named("stop"))
        await talking[0].close()


@asynccontextmanager
async def _vapi() -> AsyncGenerator[VoiceAgentAdapter]:
    async def behave(service: VapiService, connection: ServerConnection) -> None:
        down = Resampler(24_000, 16_000)
        said: list[str] = []

        async def say(pcm: bytes) -> None:
            await connection.send(down.process(pcm))

        async def words(text: str) -> None:
            said.append(text.strip())
            part = {
                "type": "transcript",
                "role": "assistant",
                "transcriptType": "partial",
                "transcript": " ".join(said),
            }
            await connection.send(json.dumps(part))

        async def ended(interrupted: bool) -> None:
            said.clear()
            if interrupted:
                await connection.send('{"type": "user-interrupted"}')
            await connection.send('{"type": "speech-update", "role": "assistant", "status": "stopped"}')

        agent = TalkingAgent(say, words, ended)
        async for message in connection:
            if isinstance(message, bytes):
                agent.hear(message)
            elif json.loads(message) == {"type": "end-call"}:
                break
        await agent.close()

    async with vapi_service(behave) as service:
        yield duologue.VapiAgentAdapter(ASSISTANT, KEY, base_url=service.url)


@asynccontextmanager
async def _twilio() -> AsyncGenerator[VoiceAgentAdapter]:
    talking: list[TalkingAgent] = []

    async def on_event(phone: Phone, event: dict[str, Any]) -> None:
        if not talking:
            down = Resampler(24_000, 8_000)

            async def say(pcm: bytes) -> None:
                await phone.say(mulaw_encode(down.process(pcm)))

            talking.append(TalkingAgent(say))
        if event["event"] == "media":
            talking[0].hear(mulaw_decode(b64decode(event["media"]["payload"])))

    async with twilio_service() as service:
        service.on_event = on_event
        adapter = duologue.TwilioAgentAdapter(
            account_sid=ACCOUNT,
            auth_token=TOKEN,
            phone_number=NUMBER,
            public_base_url=PUBLIC,
            http_port=0,
            call_to=OTHER,
            api_url=service.url,
        )

        async def follow() -> None:
            await until(lambda: adapter.http_port)
            service.port = adapter.http_port

        following = asyncio.create_task(follow())
        yield adapter
        await following
        await talking[0].close()


@pytest.mark.parametrize(
    ("wire", "native", "reports_words"),
    [(_websocket, True, True), (_pipecat, True, True), (_vapi, False, True), (_twilio, True, False)],
)
async def test_the_user_cuts_in(wire: Callable[[], Any], native: bool, reports_words: bool, tmp_path: Path) -> None:
    async with wire() as adapter:
        executor = duologue.prepare(
            "call",
            "Somebody calls.",
            agents=[adapter, _Caller(["hello"])],
            script=[
                duologue.user("hello there"),
                duologue.interrupt("stop it now", after_words=2),
                duologue.agent(),
                duologue.succeed(),
            ],
            verbose=False,
            record=tmp_path / "call.jsonl",
        )
        result = await executor.run()
        await adapter.disconnect()
    assert result.success, result.reasoning
    assert [message["role"] for message in result.messages] == ["user", "assistant", "user", "assistant"]
    assert [record.cut for record in executor.conversation.view.records] == [None, "interrupted", None, None]
    cut, answer = _text(result, 1), _text(result, 3)
    if reports_words:
        assert cut.split() == WORDS[: len(cut.split())]
        assert 2 <= len(cut.split()) < len(WORDS)
        assert answer == "fine"
    else:
        assert (cut, answer) == ("recognised", "recognised")
    [event] = [event for event in executor.state.timeline if event.type == "user_interrupt"]
    assert event.metadata is not None
    assert event.metadata["adapter"] == adapter.name
    assert event.metadata["native"] is native
    assert event.metadata["agent_was_speaking"] is True
    assert 0 <= event.metadata["yielded_after"] < 3
    journal = (tmp_path / "call.jsonl").read_text()
    assert adapter.name in journal
    assert KEY not in journal
    assert TOKEN not in journal


def _text(result: ScenarioResult, index: int) -> str:
    content = result.messages[index].get("content")
    if isinstance(content, str):
        return content
    assert isinstance(content, list)
    return next(str(part["text"]) for part in content if part["type"] == "text")
