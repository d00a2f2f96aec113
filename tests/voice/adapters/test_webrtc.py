"""Agents over WebRTC, with aiortc on both sides and signaling over HTTP: sound, events, ends, and peers that break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from sounds import FRAME, frames, level, loud_seconds, loudest_hertz, nothing_left, tone
from waiting import LONG, until
from webrtc_peer import HttpAsked, Peer, http_server, peer

from duologue.errors import ConfigurationError
from duologue.voice.adapter import AdapterCapabilities, UnsupportedCapabilityError, VoiceConnectionError
from duologue.voice.adapters.data_channel import DataChannelProtocol
from duologue.voice.adapters.ice import IceServer
from duologue.voice.adapters.signaling import Signaling
from duologue.voice.adapters.webrtc import WebRTCAgentAdapter
from duologue.voice.adapters.wire import Inbox
from duologue.voice.audio import AudioChunk, silent_chunk
from duologue.voice.embedded_speech import WhisperSTTProvider
from duologue.voice.incoming import AgentTurnEnded, AgentWords, CallEnded, Incoming
from duologue.voice.synthesis import synthesize


class Events(DataChannelProtocol):
    """A protocol of JSON messages."""

    capabilities = AdapterCapabilities(streaming_transcripts=True, dtmf=True, interruption=True)

    def opened(self) -> Sequence[str]:
        return ['{"hello": true}']

    def decode(self, message: str | bytes) -> Sequence[Incoming]:
        said = json.loads(message)
        return (
            [AgentWords(text=said["words"])] if "words" in said else [CallEnded(reason="bye")] if "bye" in said else []
        )

    def encode_interrupt(self) -> str:
        return '{"stop": true}'

    def encode_dtmf(self, keys: str) -> str:
        return json.dumps({"keys": keys})

    def closing(self) -> Sequence[str]:
        return ['{"goodbye": true}']


async def hear(adapter: WebRTCAgentAdapter, enough: Callable[[bytes], bool]) -> bytes:
    """What comes, until there is enough of it."""
    heard = b""
    while not enough(heard):
        heard += (await adapter.recv_audio(LONG)).data
    return heard


async def speak(adapter: WebRTCAgentAdapter, pcm: bytes) -> None:
    """At the pace of frames, as the driver does."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for place, frame in enumerate(frames(pcm)):
        await adapter.send_audio(frame)
        await asyncio.sleep(max(0.0, began + (place + 1) * 0.02 - loop.time()))


async def test_sound_goes_both_ways():
    async with nothing_left(), peer() as (url, agent):
        adapter = WebRTCAgentAdapter(url)
        await adapter.connect()
        assert adapter.is_connected
        await asyncio.gather(
            speak(adapter, tone(440, 0.6) + bytes(FRAME) * 10), agent.say(tone(880, 0.6) + bytes(FRAME) * 20)
        )
        heard = await hear(adapter, lambda pcm: loud_seconds(pcm) >= 0.58)
        await agent.until(lambda: loud_seconds(bytes(agent.heard)) >= 0.58)
        loud = b"".join(one.data for one in frames(heard) if level(one.data) > 3_000)
        assert loudest_hertz(loud) == pytest.approx(880, abs=8)
        assert level(loud) == pytest.approx(5_650, rel=0.1)
        there = b"".join(one.data for one in frames(bytes(agent.heard)) if level(one.data) > 3_000)
        assert loudest_hertz(there) == pytest.approx(440, abs=8)
        assert level(there) == pytest.approx(5_650, rel=0.1)
        await adapter.disconnect()
        assert not adapter.is_connected


async def test_json_carries_what_the_caller_adds_and_credentials_stay_hidden(caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG", "duologue")
    async with peer() as (url, agent):
        secret = "tok-4711-very-secret"
        adapter = WebRTCAgentAdapter(
            f"{url}?key={secret}", token=secret, request={"agent": "a1"}, headers={"X-Tenant": "t1"}
        )
        await adapter.connect()
        body = json.loads(agent.requests[0].body)
        assert (body["type"], body["agent"]) == ("offer", "a1")
        assert agent.requests[0].headers["authorization"] == f"Bearer {secret}"
        assert agent.requests[0].headers["x-tenant"] == "t1"
        assert "127.0.0.1" in body["sdp"]
        await adapter.disconnect()
        assert (
            secret not in f"{adapter!r} {adapter.where} {adapter.describe()} {adapter._call.signaling!r} {caplog.text}"
        )
        assert IceServer(urls=("turn:t",), username="u", credential=secret).__repr__().count(secret) == 0


async def test_whip_posts_sdp_and_deletes_the_session():
    async with nothing_left(), peer() as (url, agent):
        adapter = WebRTCAgentAdapter(url, signaling="whip", token="bearer-of-the-call")
        await adapter.connect()
        await agent.say(tone(660, 0.4))
        await hear(adapter, lambda pcm: loud_seconds(pcm) >= 0.3)
        await adapter.disconnect()
        posted, deleted = agent.requests
        assert posted.headers["content-type"] == "application/sdp"
        assert (deleted.method, deleted.path) == ("DELETE", "/sessions/1")
        assert deleted.headers["authorization"] == "Bearer bearer-of-the-call"


async def test_credentials_do_not_follow_a_session_to_another_host():
    signaling = Signaling(url="https://agent.test/offer", format="whip", headers={"Authorization": "Bearer abcdefgh1"})
    assert signaling._headers_for("https://agent.test/sessions/1")
    for elsewhere in ("https://other.test/1", "http://agent.test/1", "https://agent.test:8443/1"):
        assert not signaling._headers_for(elsewhere)


async def test_events_keys_and_interruptions_over_the_data_channel():
    async with nothing_left(), peer() as (url, agent):
        adapter = WebRTCAgentAdapter(url, events=Events())
        assert adapter.capabilities.dtmf
        assert adapter.capabilities.output_formats == ("opus/48000",)
        await adapter.connect()
        await agent.until(lambda: agent.messages == ['{"hello": true}'])
        assert agent.channel is not None
        assert agent.channel.label == "events"
        agent.channel.send('{"words": "good"}')
        agent.channel.send('{"words": " day"}')
        words: list[str] = []
        while len(words) < 2:
            if isinstance(item := await adapter.receive(LONG), AgentWords):
                words.append(item.text)
        assert words == ["good", " day"]
        await adapter.send_dtmf("12#")
        await agent.say(tone(440, 3))
        await hear(adapter, lambda pcm: loud_seconds(pcm) > 0.2)
        await adapter.interrupt()
        await agent.until(lambda: len(agent.messages) == 3)
        assert agent.messages[1:] == ['{"keys": "12#"}', '{"stop": true}']
        await adapter.disconnect()
        await agent.until(lambda: agent.messages[-1] == '{"goodbye": true}')


async def test_without_a_protocol_there_are_no_keys():
    async with peer() as (url, _):
        adapter = WebRTCAgentAdapter(url)
        assert not adapter.capabilities.dtmf
        await adapter.connect()
        for asked in (adapter.send_dtmf("1"), adapter.interrupt(), adapter.send_text("hello")):
            with pytest.raises(UnsupportedCapabilityError, match="WebRTCAgentAdapter has no"):
                await asked
        await adapter.disconnect()


@pytest.mark.live
async def test_what_is_said_is_understood_on_the_other_side():
    pytest.importorskip("hibari")
    pytest.importorskip("faster_whisper")
    said = await synthesize("My order number is 48213 and the headphones arrived broken.", "local/heart")
    answer = await synthesize("Your parcel will arrive on Thursday morning.", "local/heart")
    async with nothing_left(), peer() as (url, agent):
        adapter = WebRTCAgentAdapter(url)
        await adapter.connect()
        await asyncio.gather(speak(adapter, said.data), agent.say(answer.data))
        heard = b""
        with suppress(TimeoutError):  # it is silent
            while True:
                heard += (await adapter.recv_audio(2.0)).data
        spoken = bytes(agent.heard)
        await adapter.disconnect()
    recogniser = WhisperSTTProvider()
    assert "48213" in (await recogniser.transcribe(AudioChunk(spoken))).replace(",", "").replace("-", "")
    assert "Thursday morning" in await recogniser.transcribe(AudioChunk(heard))


# --- ends ------------------------------------------------------------------------------------------------------------


async def until_the_end(adapter: WebRTCAgentAdapter) -> CallEnded | None:
    """What is told of the end, and then the error."""
    ended = None
    while True:
        try:
            item = await adapter.receive(LONG)
        except VoiceConnectionError:
            return ended
        assert not isinstance(item, AgentTurnEnded)
        ended = item if isinstance(item, CallEnded) else ended


async def until_broken(adapter: WebRTCAgentAdapter) -> None:
    """Take all that comes, until the error."""
    while True:
        await adapter.receive(LONG)


async def test_the_agent_hangs_up():
    async with nothing_left(), peer() as (url, agent):
        adapter = WebRTCAgentAdapter(url)
        await adapter.connect()
        await agent.say(tone(440, 0.2))
        await hear(adapter, lambda pcm: loud_seconds(pcm) > 0.1)
        await agent.close()
        ended = await until_the_end(adapter)
        assert ended is not None
        assert "closed the WebRTC connection" in ended.reason
        with pytest.raises(VoiceConnectionError, match=r"WebRTCAgentAdapter: http://127\.0\.0\.1:\d+/offer has closed"):
            await adapter.receive(LONG)
        with pytest.raises(VoiceConnectionError, match="there is no connection to"):
            await adapter.send_audio(silent_chunk(0.02))
        await adapter.disconnect()


async def test_the_agent_says_goodbye_over_the_data_channel():
    async with nothing_left(), peer() as (url, agent):
        adapter = WebRTCAgentAdapter(url, events=Events())
        await adapter.connect()
        await agent.until(lambda: agent.channel is not None and bool(agent.messages))
        agent.channel.send('{"bye": true}')
        assert (await until_the_end(adapter)) == CallEnded(reason="bye")
        await adapter.disconnect()


async def test_connecting_again_after_the_end():
    async with nothing_left(), peer() as (url, agent):
        adapter = WebRTCAgentAdapter(url)
        await adapter.connect()
        await adapter.disconnect()
        await adapter.disconnect()
        agent.microphone = type(agent.microphone)()
        await adapter.connect()
        with pytest.raises(VoiceConnectionError, match="already: disconnect it first"):
            await adapter.connect()
        await adapter.disconnect()


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 80, 100, 120, 150])
async def test_connecting_is_cancelled_at_any_time(steps: int):
    async with nothing_left(), peer() as (url, _):
        adapter = WebRTCAgentAdapter(url, events=Events())
        connecting = asyncio.create_task(adapter.connect())
        for _ in range(steps):
            await asyncio.sleep(0 if steps < 30 else 0.002)
        connecting.cancel()
        await asyncio.wait({connecting})
        await adapter.disconnect()


async def test_closing_is_cancelled():
    async with nothing_left(), peer() as (url, _):
        adapter = WebRTCAgentAdapter(url)
        await adapter.connect()
        closing = asyncio.create_task(adapter.disconnect())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
        await adapter.disconnect()


# --- peers that break ------------------------------------------------------------------------------------------------


def answers(status: int, body: str, kind: str = "application/json") -> Callable[[HttpAsked], object]:
    async def respond(asked: HttpAsked) -> tuple[int, dict[str, str], bytes]:
        return status, {"Content-Type": kind}, body.encode()

    return respond


def sdp_answer(sdp: str, kind: str = "answer") -> str:
    return json.dumps({"sdp": sdp, "type": kind})


REFUSED = {
    "not found": (answers(404, '{"detail":"no such agent"}'), r"status 404: '\{\"detail\":\"no such agent\"\}'"),
    "unauthorised": (answers(401, ""), "status 401"),
    "moved": (answers(307, ""), "status 307"),
    "broken": (answers(500, "<html>oops</html>", "text/html"), "status 500: '<html>oops</html>'"),
    "empty": (answers(200, ""), r"neither SDP nor JSON: \(empty\)"),
    "html": (answers(200, "<html>sign in</html>", "text/html"), "neither SDP nor JSON: '<html>"),
    "torn json": (answers(200, '{"sdp": "v=0'), "neither SDP nor JSON"),
    "a list": (answers(200, "[1, 2]"), "no JSON object with 'sdp' and 'type'"),
    "no sdp": (answers(200, '{"type": "answer"}'), "no session description in the field 'sdp'"),
    "sdp of another type": (answers(200, '{"sdp": 7, "type": "answer"}'), "no session description in the field 'sdp'"),
    "an offer": (answers(200, sdp_answer("v=0\r\n", "offer")), "of the type 'offer', expected 'answer'"),
    "garbage in sdp": (answers(200, sdp_answer("v=0\r\nm=nonsense\r\n")), "no session description that fits the offer"),
    "sdp without media": (
        answers(200, sdp_answer("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n")),
        "no session|no sound",
    ),
    "too large": (answers(200, "v=0\r\n" + "a=x\r\n" * 400_000), "the answer is longer than 1000000 bytes"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_signaling_that_breaks(name: str):
    respond, says = REFUSED[name]
    async with nothing_left(), http_server(respond) as url:  # type: ignore[arg-type]
        adapter = WebRTCAgentAdapter(f"{url}/offer")
        with pytest.raises(
            VoiceConnectionError, match=f"WebRTCAgentAdapter: cannot connect to {url}/offer: .*(?:{says})"
        ):
            await adapter.connect()
        await adapter.disconnect()


async def test_nobody_listens():
    async with http_server(answers(200, "")) as url:  # type: ignore[arg-type]
        pass
    async with nothing_left():
        adapter = WebRTCAgentAdapter(f"{url}/offer")
        with pytest.raises(VoiceConnectionError, match=f"WebRTCAgentAdapter: cannot connect to {url}/offer: ."):
            await adapter.connect()


async def answered(asked: HttpAsked, change: Callable[[str], str]) -> tuple[int, dict[str, str], bytes]:
    """What aiortc answers, changed; nobody is there any more."""
    connection = RTCPeerConnection()
    await connection.setRemoteDescription(RTCSessionDescription(sdp=json.loads(asked.body)["sdp"], type="offer"))
    connection.addTrack(Peer().microphone)
    answer = change((await connection.createAnswer()).sdp)
    await connection.close()
    return 200, {}, sdp_answer(answer).encode()


async def test_an_answer_without_sound_both_ways():
    async def respond(asked: HttpAsked) -> tuple[int, dict[str, str], bytes]:
        return await answered(asked, lambda sdp: sdp.replace("a=sendrecv", "a=recvonly"))

    async with nothing_left(), http_server(respond) as url:
        adapter = WebRTCAgentAdapter(url)
        with pytest.raises(
            VoiceConnectionError, match="takes and sends no sound: the direction of the audio is 'sendonly'"
        ):
            await adapter.connect()


async def test_ice_that_never_connects():
    async def respond(asked: HttpAsked) -> tuple[int, dict[str, str], bytes]:
        candidate = "a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n"
        return await answered(asked, lambda sdp: sdp + candidate)

    async with nothing_left(), http_server(respond) as url:
        adapter = WebRTCAgentAdapter(url)
        adapter.connect_timeout = 0.5
        with pytest.raises(
            VoiceConnectionError, match=r"within 0\.5 s .*waiting for the WebRTC connection \(ICE and DTLS\)"
        ):
            await adapter.connect()
        await adapter.disconnect()


async def test_signaling_that_never_answers():
    async def respond(asked: HttpAsked) -> tuple[int, dict[str, str], bytes]:
        await asyncio.sleep(LONG)
        return 200, {}, b""

    async with http_server(respond) as url:
        adapter = WebRTCAgentAdapter(url)
        adapter.connect_timeout = 0.3
        with pytest.raises(VoiceConnectionError, match="waiting for the answer to the offer"):
            await adapter.connect()


async def test_a_peer_that_never_speaks_sends_nothing():
    async with nothing_left(), peer() as (url, _):
        adapter = WebRTCAgentAdapter(url)
        await adapter.connect()
        with pytest.raises(TimeoutError):
            await adapter.recv_audio(0.3)
        await adapter.disconnect()


async def test_a_peer_that_sends_without_measure_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Inbox.__init__, "__defaults__", (1.0, 20_000))
    async with nothing_left(), peer() as (url, agent):
        agent.microphone.recv = _unpaced(agent)  # type: ignore[method-assign]
        adapter = WebRTCAgentAdapter(url)
        await adapter.connect()
        await until(lambda: not adapter.is_connected)
        with pytest.raises(
            VoiceConnectionError, match=r"WebRTCAgentAdapter: http://.* sends faster than anybody can listen"
        ):
            await until_broken(adapter)
        await adapter.disconnect()


def _unpaced(agent: Peer) -> Callable[[], object]:
    """Ten times as fast as sound is heard."""
    microphone = agent.microphone

    async def recv() -> object:
        await asyncio.sleep(0.002)
        return microphone._frame(tone(440, 0.04)[:1920])

    return recv


@pytest.mark.parametrize("message", ["no json", b"\xff\x00", '{"words": 7', "[]"])
async def test_messages_that_cannot_be_read_end_the_call(message: str | bytes):
    async with nothing_left(), peer() as (url, agent):
        adapter = WebRTCAgentAdapter(url, events=Events())
        await adapter.connect()
        await agent.until(lambda: agent.channel is not None and bool(agent.messages))
        agent.channel.send(message)
        agent.channel.send('{"bye": true}')
        if message == "[]":
            assert await until_the_end(adapter) == CallEnded(reason="bye")
        else:
            with pytest.raises(
                VoiceConnectionError, match=r"WebRTCAgentAdapter: the connection to http://.* has broken: "
            ):
                await until_broken(adapter)
        await adapter.disconnect()


@pytest.mark.parametrize("url", ["", "ws://agent.test", "agent.test/offer", "http://"])
def test_an_address_that_is_none(url: str):
    with pytest.raises(ConfigurationError, match="signaling_url must look like http"):
        WebRTCAgentAdapter(url)


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://localhost:7860/api/offer", True),
        ("http://127.0.0.1/api/offer", True),
        ("http://127.0.0.5/api/offer", True),
        ("http://[::1]:80/api/offer", True),
        ("https://agents.localhost/api/offer", True),
        ("https://agent.example.com/api/offer", False),
        ("https://localhost.example.com/api/offer", False),
        ("http://10.0.0.7/api/offer", False),
    ],
)
def test_loopback_is_offered_only_to_this_machine(url: str, local: bool):
    assert Signaling(url=url).is_local is local
    assert AudioChunk(b"") is not None
