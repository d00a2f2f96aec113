"""Agents in a room of LiveKit, at the boundary of its SDK; and what the SDK itself says where there is no server."""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from livekit_sdk import FakeRoom, FakeSdk, Someone
from sounds import FRAME, frames, level, nothing_left, tone
from waiting import LONG, until

from duologue.errors import ConfigurationError
from duologue.voice.adapter import UnsupportedCapabilityError, VoiceConnectionError
from duologue.voice.adapters import livekit_room
from duologue.voice.adapters.livekit import LiveKitAgentAdapter, websocket_url
from duologue.voice.adapters.livekit_token import access_token
from duologue.voice.adapters.wire import Inbox
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import (
    AgentKeys,
    AgentTurnEnded,
    AgentWords,
    CallEnded,
    Incoming,
    UserWords,
)
from duologue.voice.resample import resample

KEY, SECRET = "APIabcdefgh1234", "secret-of-the-project-4711-which-is-long"
AGENT = 4


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> FakeSdk:
    fake = FakeSdk()
    monkeypatch.setattr(livekit_room, "sdk", lambda: fake)
    return fake


def an_adapter(**more: object) -> LiveKitAgentAdapter:
    return LiveKitAgentAdapter("wss://livekit.test", KEY, SECRET, "room-1", **more)  # type: ignore[arg-type]


@asynccontextmanager
async def in_a_room(sdk: FakeSdk, **more: object) -> AsyncGenerator[tuple[LiveKitAgentAdapter, FakeRoom, Someone]]:
    agent = Someone("agent-1", AGENT, {"lk.agent.state": "listening"})
    sdk.on_join = lambda room: room.enters(agent)
    adapter = an_adapter(**more)
    async with nothing_left():
        await adapter.connect()
        yield adapter, sdk.rooms[-1], agent
        await adapter.disconnect()
        assert sdk.sources[-1].closed
        assert sdk.rooms[-1].left == 1
        assert all(stream.closed for stream in sdk.streams)


async def take(adapter: LiveKitAgentAdapter, until: type) -> list[Incoming]:
    """What comes, up to the first of a type."""
    came: list[Incoming] = []
    while not came or not isinstance(came[-1], until):
        came.append(await adapter.receive(LONG))
    return came


async def test_sound_goes_both_ways(sdk: FakeSdk):
    async with in_a_room(sdk) as (adapter, room, agent):
        (track, options) = room.local_participant.tracks[0]
        assert (track.name, options.source) == ("microphone", 2)
        assert (sdk.sources[0].rate, sdk.sources[0].channels) == (48_000, 1)
        for frame in frames(tone(440, 0.4)):
            await adapter.send_audio(frame)
        assert len(sdk.sources[0].heard) / 96_000 == pytest.approx(0.4, abs=0.002)
        assert level(bytes(sdk.sources[0].heard)) == pytest.approx(5_650, rel=0.02)
        wide = resample(tone(880, 0.4), 24_000, 48_000)
        for at in range(0, len(wide), 1920):
            agent.sound.put_nowait(wide[at : at + 1920])
        heard = b""
        while len(heard) < 0.39 * 48_000:
            heard += (await adapter.recv_audio(LONG)).data
        assert level(heard) == pytest.approx(5_650, rel=0.05)


async def test_late_sound_is_made_up_for_in_silence(sdk: FakeSdk):
    async with in_a_room(sdk) as (adapter, _, _):
        source = sdk.sources[0]
        await adapter.send_audio(AudioChunk(tone(440, 0.02)))
        await adapter.send_audio(AudioChunk(bytes(FRAME)))  # in which the resampler rings
        source.queued_duration = 0.1
        before = len(source.heard)
        for _ in range(5):
            await adapter.send_audio(AudioChunk(bytes(FRAME)))
        assert len(source.heard) == before
        await adapter.send_audio(AudioChunk(tone(440, 0.02)))
        assert len(source.heard) > before
        source.queued_duration = 0.0
        await adapter.send_audio(AudioChunk(bytes(FRAME) * 3))
        await adapter.send_audio(AudioChunk(bytes(FRAME)))
        assert len(source.heard) > before + 3 * 1920


async def test_words_of_both_sides(sdk: FakeSdk):
    async with in_a_room(sdk) as (adapter, room, agent):
        readers = [
            room.text("user-1", "my order", final=False),
            room.text("user-1", "my order is late", final=True),
        ]
        assert (await take(adapter, UserWords))[-1] == UserWords(text="my order is late")
        room.state(agent, "speaking")
        readers.append(room.text("agent-1", "I ", "am ", "sorry."))
        words = [await take(adapter, AgentWords) for _ in range(3)]
        readers.append(room.text("agent-1", "Which", " one?"))
        words += [await take(adapter, AgentWords) for _ in range(2)]
        assert "".join(item.text for came in words for item in came if isinstance(item, AgentWords)) == (
            "I am sorry. Which one?"
        )
        room.state(agent, "listening")
        assert isinstance((await take(adapter, AgentTurnEnded))[-1], AgentTurnEnded)
        room.state(agent, "speaking")
        readers.append(room.text("agent-1", "Hello?", error=True))
        assert (await take(adapter, AgentWords))[-1] == AgentWords(text="Hello?"), "no space where a turn begins"
        await until(lambda: all(reader.closed for reader in readers))


async def test_turns_end_where_the_agent_tells_it(sdk: FakeSdk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(LiveKitAgentAdapter, "turn_settles", 0.01)
    async with in_a_room(sdk) as (adapter, room, agent):
        await until(lambda: adapter.ends_turns)
        for state in ("thinking", "listening"):
            room.state(agent, state)
        with pytest.raises(TimeoutError):
            await adapter.receive(0.1)
        for state in ("speaking", "thinking", "speaking", "listening", "speaking"):
            room.state(agent, state)
        with pytest.raises(TimeoutError):
            await adapter.receive(0.1)
        room.state(agent, "listening")
        assert await adapter.receive(LONG) == AgentTurnEnded()


async def test_an_agent_that_tells_nothing_ends_turns_by_silence(sdk: FakeSdk):
    someone = Someone("bot", 0)
    sdk.on_join = lambda room: room.enters(someone)
    async with nothing_left(), an_adapter() as adapter:
        assert not adapter.ends_turns


async def test_keys_and_text(sdk: FakeSdk):
    async with in_a_room(sdk) as (adapter, room, agent):
        assert adapter.capabilities.dtmf
        await adapter.send_dtmf("90*#AD")
        assert room.local_participant.keys == [(9, "9"), (0, "0"), (10, "*"), (11, "#"), (12, "A"), (15, "D")]
        await adapter.send_text("hello")
        assert room.local_participant.texts == [("hello", "lk.chat")]
        dtmf = type("Dtmf", (), {"digit": "7", "participant": agent})()
        room.emit("sip_dtmf_received", dtmf)
        assert (await take(adapter, AgentKeys))[-1] == AgentKeys(keys="7")
        room.local_participant.error = RuntimeError("no data channel")
        with pytest.raises(VoiceConnectionError, match=r"LiveKitAgentAdapter: cannot press keys at .*no data channel"):
            await adapter.send_dtmf("1")
        with pytest.raises(ValueError, match="keys are"):
            await adapter.send_dtmf("x")
        with pytest.raises(UnsupportedCapabilityError, match="'interruption'"):
            await adapter.interrupt()


async def test_text_of_streams_that_never_end_is_bounded(sdk: FakeSdk):
    async with in_a_room(sdk) as (adapter, room, _):
        for _ in range(3):
            room.text(room.local_participant.identity, "x" * 400_000, error=True)
        with pytest.raises(VoiceConnectionError, match="sends without measure: 1,000,000 characters"):
            await adapter.receive(LONG)


# --- who is the agent ------------------------------------------------------------------------------------------------


async def test_the_agent_is_spoken_with_and_nobody_else(sdk: FakeSdk):
    person, agent = Someone("person"), Someone("agent-1", AGENT)

    def join(room: FakeRoom) -> None:
        room.remote_participants = {"person": person, "agent-1": agent}
        room.enters(person)
        room.enters(agent)

    sdk.on_join = join
    async with nothing_left(), an_adapter():
        assert [stream.track for stream in sdk.streams] == [agent.track]


async def test_the_agent_may_be_named(sdk: FakeSdk):
    one, other = Someone("agent-1", AGENT), Someone("agent-2", AGENT)

    def join(room: FakeRoom) -> None:
        room.enters(one)
        room.enters(other)

    sdk.on_join = join
    async with nothing_left(), an_adapter(agent_identity="agent-2"):
        assert [stream.track for stream in sdk.streams] == [other.track]


async def test_an_agent_may_send_its_sound_anew(sdk: FakeSdk):
    async with in_a_room(sdk) as (adapter, room, agent):
        old = agent.track
        agent.sound.put_nowait(None)
        room.emit("track_unsubscribed", old, None, agent)
        agent.sound = asyncio.Queue()
        agent.track = type(old)(kind=1, sound=agent.sound)
        room.enters(agent)
        agent.sound.put_nowait(resample(tone(440, 0.1), 24_000, 48_000))
        assert (await adapter.recv_audio(LONG)).data


# --- the token -------------------------------------------------------------------------------------------------------


def test_the_token_is_one_that_the_server_takes():
    api = pytest.importorskip("livekit.api")
    token = access_token(
        KEY,
        SECRET,
        room="room-1",
        identity="user-1",
        now=time.time(),
        valid_seconds=600,
        agent_name="desk",
        metadata={"language": "de"},
    )
    claims = api.TokenVerifier(KEY, SECRET).verify(token)
    assert (claims.identity, claims.video.room, claims.video.room_join) == ("user-1", "room-1", True)
    assert (claims.video.can_publish, claims.video.can_subscribe, claims.video.can_publish_data) == (True, True, True)
    dispatch = claims.room_config.agents[0]
    assert (dispatch.agent_name, json.loads(dispatch.metadata)) == ("desk", {"language": "de"})
    with pytest.raises(Exception, match="ignature"):
        api.TokenVerifier(KEY, "another secret of the same length, more or less").verify(token)


async def test_it_joins_with_a_token_and_shows_no_credentials(sdk: FakeSdk, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG", "duologue")
    async with in_a_room(sdk, agent_name="desk") as (adapter, room, _):
        assert room.url == "wss://livekit.test"
        claims = json.loads(base64.urlsafe_b64decode(room.token.split(".")[1] + "=="))
        assert claims["iss"] == KEY
        assert claims["roomConfig"]["agents"] == [{"agentName": "desk"}]
        shown = f"{adapter!r} {adapter.where} {adapter.describe()} {caplog.text}"
        for secret in (KEY, SECRET, room.token):
            assert secret not in shown
    sdk.refuses = f"401 for {room.token} of {KEY}"
    with pytest.raises(VoiceConnectionError) as caught:
        await adapter.connect()
    for secret in (KEY, SECRET, sdk.rooms[-1].token):
        assert secret not in f"{caught.value}"
    await adapter.disconnect()


# --- ends and peers that break ---------------------------------------------------------------------------------------


async def test_the_agent_leaves(sdk: FakeSdk):
    async with in_a_room(sdk) as (adapter, room, agent):
        room.leaves(agent)
        assert await adapter.receive(LONG) == CallEnded(reason="the agent has left the room")
        with pytest.raises(
            VoiceConnectionError, match=r"LiveKitAgentAdapter: wss://livekit\.test \(room room-1\) has closed"
        ):
            await adapter.receive(LONG)


@pytest.mark.parametrize(("reason", "orderly"), [(5, True), (4, True), (3, False), (2, False), (0, False)])
async def test_the_server_ends_the_connection(sdk: FakeSdk, reason: int, orderly: bool):
    async with in_a_room(sdk) as (adapter, room, _):
        room.emit("disconnected", reason)
        if orderly:
            assert isinstance(await adapter.receive(LONG), CallEnded)
        with pytest.raises(VoiceConnectionError, match="LiveKitAgentAdapter: "):
            await adapter.receive(LONG)


async def test_the_server_refuses(sdk: FakeSdk):
    sdk.refuses = "engine: signal failure: client error: 401 Unauthorized"
    async with nothing_left():
        with pytest.raises(
            VoiceConnectionError,
            match=r"LiveKitAgentAdapter: cannot connect to wss://livekit\.test \(room room-1\): the server does not "
            r"let it join: .*401 Unauthorized",
        ):
            await an_adapter().connect()


async def test_no_agent_comes(sdk: FakeSdk):
    adapter = an_adapter()
    adapter.connect_timeout = 0.1
    async with nothing_left():
        with pytest.raises(VoiceConnectionError, match="it was waiting for the agent to join and send sound"):
            await adapter.connect()
    assert sdk.rooms[0].left == 1


async def test_the_room_is_closed_before_an_agent_comes(sdk: FakeSdk):
    sdk.on_join = lambda room: room.emit("disconnected", 5)
    async with nothing_left():
        with pytest.raises(VoiceConnectionError, match="the room was closed before an agent had sent sound"):
            await an_adapter().connect()


async def test_joining_that_is_not_wanted_any_more_is_left_again(sdk: FakeSdk):
    sdk.may_join.clear()
    adapter = an_adapter()
    async with nothing_left():
        connecting = asyncio.create_task(adapter.connect())
        await until(lambda: bool(sdk.rooms) and bool(sdk.rooms[0].token))
        connecting.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        sdk.may_join.set()
        await asyncio.wait({connecting})
        assert connecting.cancelled()
        assert not sdk.rooms[0].connected
        await adapter.disconnect()


async def test_joining_that_never_ends_is_given_up(sdk: FakeSdk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(livekit_room, "_LEAVE_SECONDS", 0.05)
    sdk.may_join.clear()
    adapter = an_adapter()
    adapter.connect_timeout = 0.05
    async with nothing_left():
        with pytest.raises(VoiceConnectionError, match="it was waiting for the server to let it join"):
            await adapter.connect()


async def test_an_agent_that_sends_without_measure_is_given_up(sdk: FakeSdk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Inbox.__init__, "__defaults__", (1.0, 20_000))
    async with in_a_room(sdk) as (adapter, _, agent):
        second = resample(tone(440, 1.0), 24_000, 48_000)
        for _ in range(5):
            agent.sound.put_nowait(second)
        await until(lambda: not adapter.is_connected)
        with pytest.raises(VoiceConnectionError, match=r"LiveKitAgentAdapter: .* sends faster than anybody can listen"):
            await take(adapter, CallEnded)


async def test_a_peer_that_never_speaks_sends_nothing(sdk: FakeSdk):
    async with in_a_room(sdk) as (adapter, _, agent):
        for _ in range(20):
            agent.sound.put_nowait(bytes(1920))
        with pytest.raises(TimeoutError):
            await adapter.recv_audio(0.1)


async def test_sound_that_the_sdk_does_not_take(sdk: FakeSdk):
    async with in_a_room(sdk) as (adapter, _, _):
        sdk.sources[0].error = RuntimeError("handle is gone")
        with pytest.raises(VoiceConnectionError, match=r"LiveKitAgentAdapter: cannot send to .*handle is gone"):
            await adapter.send_audio(AudioChunk(tone(440, 0.02)))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("livekit.test", KEY, SECRET, "r"), "url must look like ws://"),
        (("ftp://livekit.test", KEY, SECRET, "r"), "url must look like ws://"),
        (("wss://livekit.test", "", SECRET, "r"), "api_key is empty"),
        (("wss://livekit.test", KEY, " ", "r"), "api_secret is empty"),
        (("wss://livekit.test", KEY, SECRET, ""), "room is empty"),
    ],
)
def test_what_is_missing_is_named(arguments: tuple[str, str, str, str], says: str):
    with pytest.raises(ConfigurationError, match=f"LiveKitAgentAdapter: {says}"):
        LiveKitAgentAdapter(*arguments)


def test_addresses_of_servers():
    assert websocket_url("https://livekit.test", "url") == "wss://livekit.test"
    assert websocket_url("http://localhost:7880 ", "url") == "ws://localhost:7880"
    assert websocket_url("ws://localhost:7880", "url") == "ws://localhost:7880"


# --- the SDK itself --------------------------------------------------------------------------------------------------


def test_the_fake_is_called_as_the_sdk_is():
    """What the adapter calls exists in the SDK, with these parameters."""
    rtc = pytest.importorskip("livekit.rtc")
    calls = {
        rtc.RoomOptions: {"auto_subscribe", "connect_timeout"},
        rtc.Room.connect: {"url", "token", "options"},
        rtc.Room.register_text_stream_handler: {"topic", "handler"},
        rtc.AudioSource: {"sample_rate", "num_channels", "queue_size_ms"},
        rtc.AudioSource.capture_frame: {"frame"},
        rtc.AudioFrame: {"data", "sample_rate", "num_channels", "samples_per_channel"},
        rtc.AudioStream: {"track", "sample_rate", "num_channels", "frame_size_ms"},
        rtc.LocalAudioTrack.create_audio_track: {"name", "source"},
        rtc.LocalParticipant.publish_track: {"track", "options"},
        rtc.LocalParticipant.publish_dtmf: {"code", "digit"},
        rtc.LocalParticipant.send_text: {"text", "topic"},
    }
    for called, parameters in calls.items():
        assert parameters <= inspect.signature(called).parameters.keys(), called
    for name in ("queued_duration", "aclose"):
        assert hasattr(rtc.AudioSource, name)
    for name in ("info", "close"):
        assert hasattr(rtc.TextStreamReader, name)
    source = inspect.getsource(rtc.Room)
    for event in (
        "track_subscribed",
        "track_unsubscribed",
        "participant_disconnected",
        "participant_attributes_changed",
        "data_received",
        "sip_dtmf_received",
        "disconnected",
    ):
        assert f'self.emit("{event}"' in source or f'"{event}",' in source, event
    assert rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE).source == 2
    assert rtc.ParticipantKind.PARTICIPANT_KIND_AGENT == AGENT
    assert [rtc.DisconnectReason.Name(number) for number in range(6)] == list(FakeSdk.DisconnectReason.NAMES)


REFUSED = """
import asyncio, sys
from duologue import LiveKitAgentAdapter
from duologue.voice.adapter import VoiceConnectionError

async def main():
    async def answer(reader, writer):
        await reader.readuntil(b"\\r\\n\\r\\n")
        writer.write(b"HTTP/1.1 401 Unauthorized\\r\\nContent-Length: 9\\r\\nConnection: close\\r\\n\\r\\nbad token")
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    adapter = LiveKitAgentAdapter(f"ws://127.0.0.1:{port}", "APIabcdefgh1234", "secret-of-the-project-4711", "room-1")
    for gone in (False, True):
        if gone:
            server.close()
            await server.wait_closed()
        try:
            await adapter.connect()
        except VoiceConnectionError as error:
            print(error)
        await adapter.disconnect()
    print(len(asyncio.all_tasks()), flush=True)

asyncio.run(main())
"""


def test_the_sdk_itself_where_there_is_no_room():
    """In a process of its own, since the SDK's threads live as long as the process."""
    pytest.importorskip("livekit.rtc")
    source = Path(__file__).parents[3] / "src"
    done = subprocess.run(
        [sys.executable, "-c", REFUSED], capture_output=True, text=True, env={"PYTHONPATH": str(source)}, check=False
    )
    refused, gone, tasks = done.stdout.splitlines()
    assert "LiveKitAgentAdapter: cannot connect to ws://127.0.0.1:" in refused
    assert "401 Unauthorized - bad token" in refused
    assert "Connection refused" in gone
    assert tasks == "1"
    assert "4711" not in done.stdout + done.stderr
