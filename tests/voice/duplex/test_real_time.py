"""The driver in real time: a peer over a loopback socket, peers that break, and code that blocks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from voice_agents import AnsweringAgent, tone
from websockets.asyncio.server import ServerConnection, serve

import duologue
from duologue.errors import SimulatorError
from duologue.voice.adapter import VoiceAgentAdapter, VoiceConnectionError
from duologue.voice.adapters.websocket import WebSocketAgentAdapter, WebSocketProtocol
from duologue.voice.audio import AudioChunk
from duologue.voice.duplex import line
from duologue.voice.duplex.agent_turn import HeardTurn
from duologue.voice.duplex.driver import DuplexDriver
from duologue.voice.duplex.lateness import OverloadError
from duologue.voice.duplex.threads import on_voice_loop
from duologue.voice.incoming import AgentWords, CallEnded, Incoming
from duologue.voice.metrics import voice_metrics


async def turns_of(driver: DuplexDriver) -> list[HeardTurn]:
    return [item async for item in driver.answer() if isinstance(item, HeardTurn)]


class Peer(VoiceAgentAdapter):
    """An adapter in four methods, as users write them: it answers what was said with ``items``."""

    response_timeout = 5.0

    def __init__(self, *items: Incoming | BaseException) -> None:
        self.items = list(items)
        self.came: asyncio.Queue[Incoming | BaseException] = asyncio.Queue()
        self.sent: list[AudioChunk] = []
        self.turns: list[str] = []
        self.closed = 0

    async def connect(self) -> None:
        return

    async def disconnect(self) -> None:
        self.closed += 1

    async def send_audio(self, chunk: AudioChunk) -> None:
        self.sent.append(chunk)

    async def begin_user_turn(self) -> None:
        self.turns.append("begin")

    async def end_user_turn(self) -> None:
        self.turns.append("end")
        for item in self.items:
            self.came.put_nowait(item)

    async def recv_audio(self, timeout: float) -> AudioChunk:
        raise NotImplementedError

    async def receive(self, timeout: float) -> Incoming:
        async with asyncio.timeout(timeout):
            item = await self.came.get()
        if isinstance(item, BaseException):
            raise item
        return item


async def test_what_is_said_is_sent_once_in_frames_and_the_turn_is_told() -> None:
    peer = Peer(AgentWords(text="hello"), tone(0.3))
    driver = DuplexDriver(peer)
    await driver.open()
    await driver.say(AudioChunk(tone(0.25).data, transcript="x"))
    [turn] = await turns_of(driver)
    await driver.close()
    assert turn.text == "hello"
    assert turn.sound.duration_seconds == pytest.approx(0.3, abs=0.12)
    assert b"".join(chunk.data for chunk in peer.sent).startswith(tone(0.25).data)
    assert {len(chunk.data) for chunk in peer.sent} == {960}
    assert (peer.turns, peer.closed) == (["begin", "end"], 1)


async def test_an_adapter_of_four_methods_ends_its_turn_with_an_empty_chunk() -> None:
    class Four(Peer):
        receive = VoiceAgentAdapter.receive

        async def recv_audio(self, timeout: float) -> AudioChunk:
            async with asyncio.timeout(timeout):
                item = await self.came.get()
            assert isinstance(item, AudioChunk)
            return item

    driver = DuplexDriver(Four(AudioChunk(tone(0.2).data, transcript="hi"), AudioChunk(b"")))
    await driver.open()
    await driver.say(tone(0.1))
    [turn] = await turns_of(driver)
    assert turn.signalled
    assert turn.text == "hi"
    await driver.close()


async def test_an_adapter_that_says_at_once_and_again_that_there_is_nothing_is_no_busy_loop() -> None:
    class Empty(Peer):
        receive = VoiceAgentAdapter.receive
        asked = 0

        async def recv_audio(self, timeout: float) -> AudioChunk:
            self.asked += 1
            return AudioChunk(b"") if self.came.empty() else self.came.get_nowait()  # type: ignore[return-value]

    peer = Empty(tone(0.2))
    driver = DuplexDriver(peer)
    await driver.open()
    await driver.say(tone(0.2))
    [turn] = await turns_of(driver)
    assert turn.sound.data
    assert peer.asked < 10 * driver.now / 0.02 + 50
    await driver.close()


@pytest.mark.parametrize(
    ("items", "error"),
    [
        ([VoiceConnectionError("Peer", "it has closed the connection")], "Peer: it has closed the connection"),
        ([tone(0.2), ConnectionResetError("gone")], "Peer: the connection has broken: ConnectionResetError: gone"),
        ([tone(0.2), KeyError("garbage")], "Peer: the connection has broken: KeyError: 'garbage'"),
        (["garbage"], "Peer: the connection has broken: TypeError: Peer gave a str; expected sound"),
        ([asyncio.CancelledError()], "Peer: it has cancelled its own task"),
    ],
)
async def test_a_peer_that_breaks_is_heard_to_that_point_and_named(
    items: list[Incoming | BaseException], error: str
) -> None:
    driver = DuplexDriver(Peer(*items))
    await driver.open()
    await driver.say(tone(0.1))
    heard: list[HeardTurn] = []

    async def hear() -> None:
        async for item in driver.answer():
            heard.extend([item] if isinstance(item, HeardTurn) else [])

    with pytest.raises(VoiceConnectionError, match=error):
        await hear()
    if isinstance(items[0], AudioChunk):
        assert [turn.cut for turn in heard] == ["broken"]
        assert heard[0].sound.duration_seconds == pytest.approx(0.2, abs=0.12)
        assert [segment.speaker for segment in driver.segments] == ["user", "agent"]
    with pytest.raises(VoiceConnectionError, match=error):
        await driver.say(tone(0.1))
    await driver.close()


async def test_sound_that_comes_much_faster_than_it_is_heard_is_bounded_and_played_in_time() -> None:
    class Flood(Peer):
        given = 0

        async def receive(self, timeout: float) -> Incoming:
            if not self.turns:
                await asyncio.sleep(0.02)
                raise TimeoutError
            self.given += 1
            return tone(1.0)

    peer = Flood()
    peer.response_max_duration = 0.6
    driver = DuplexDriver(peer)
    await driver.open()
    await driver.say(tone(0.1))
    [turn] = await turns_of(driver)
    assert turn.cut == "too_long"
    assert turn.sound.duration_seconds == pytest.approx(0.6, abs=0.12)
    assert peer.given <= 130, "what waits to be heard is bounded, so that nothing more is read"
    await driver.close()


async def test_a_peer_that_takes_no_sound_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "_MOST_UNSENT", 25)

    class Deaf(Peer):
        async def send_audio(self, chunk: AudioChunk) -> None:
            await asyncio.Event().wait()

    driver = DuplexDriver(Deaf())
    await driver.open()
    with pytest.raises(VoiceConnectionError, match=r"Deaf: it has taken no sound for 0\.5 s"):
        await driver.say(tone(2.0))
    await driver.close()


@pytest.mark.parametrize("failing", ["connect", "disconnect", "both"])
async def test_connecting_and_hanging_up_may_fail(failing: str, caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Peer):
        async def connect(self) -> None:
            if failing != "disconnect":
                raise OSError("no route")

        async def disconnect(self) -> None:
            await super().disconnect()
            if failing != "connect":
                raise ValueError("no goodbye")

    peer = Failing()
    driver = DuplexDriver(peer)
    if failing == "disconnect":
        await driver.open()
    else:
        with pytest.raises(VoiceConnectionError, match="Failing: cannot connect: no route"):
            await driver.open()
    await driver.close()
    assert peer.closed == 1
    if failing != "connect":
        assert "Failing was not disconnected in order: no goodbye" in caplog.text


async def test_a_call_that_is_closed_while_somebody_waits_tells_them() -> None:
    driver = DuplexDriver(Peer())
    await driver.open()
    waiting = [asyncio.ensure_future(driver.say(tone(5.0))), asyncio.ensure_future(turns_of(driver))]
    await driver.wait(0.1)
    await driver.close()
    for outcome in await asyncio.gather(*waiting, return_exceptions=True):
        assert not isinstance(outcome, asyncio.CancelledError)


async def test_a_call_that_fails_in_a_frame_ends_and_the_others_go_on() -> None:
    def fail(user: bytes, heard: bytes) -> None:
        raise ZeroDivisionError("in a frame")

    broken, whole = DuplexDriver(Peer(), on_frame=fail), DuplexDriver(Peer(AgentWords(text="hello"), tone(0.2)))
    await whole.open()
    await broken.open()
    with pytest.raises(ZeroDivisionError, match="in a frame"):
        await broken.say(tone(0.1))
    await whole.say(tone(0.1))
    assert [turn.text for turn in await turns_of(whole)] == ["hello"]
    await broken.close()
    await whole.close()


async def test_nothing_is_recorded_after_the_agent_has_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duologue.voice.duplex.driver._AFTER_CALL", 0.1)
    frames: list[bytes] = []
    driver = DuplexDriver(
        Peer(AgentWords(text="bye"), tone(0.2), CallEnded()), on_frame=lambda _, heard: frames.append(heard)
    )
    await driver.open()
    await driver.say(tone(0.1))
    [turn] = await turns_of(driver)
    assert (turn.text, turn.cut, driver.over) == ("bye", None, CallEnded())
    recorded = -1
    async with asyncio.timeout(20):
        while recorded < len(frames):  # until the judge, who takes his time now, has nothing recorded meanwhile
            recorded = len(frames)
            await asyncio.sleep(0.3)
    await driver.close()
    assert [segment.speaker for segment in driver.segments] == ["user", "agent"]


async def test_a_call_is_cancelled_while_it_connects() -> None:
    class Slow(Peer):
        async def connect(self) -> None:
            await asyncio.Event().wait()

    peer = Slow()
    task = asyncio.ensure_future(DuplexDriver(peer).open())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert peer.closed == 1


async def test_a_late_frame_is_made_up_for() -> None:
    async def call() -> tuple[float, float]:
        driver = DuplexDriver(Peer())
        await driver.open()
        await driver.wait(0.1)
        began, first = time.perf_counter(), driver.now
        time.sleep(0.4)  # noqa: ASYNC251 - the event loop of voice is blocked
        await driver.wait(0.42)
        took = time.perf_counter() - began
        await driver.close()
        return took, driver.now - first

    took, frames = await on_voice_loop(call())
    assert frames >= 0.42 - 1e-6
    assert took < 0.4 + 0.42, "the blocked frames followed at once"


async def test_a_judge_that_blocks_makes_no_frame_late() -> None:
    agent = AnsweringAgent()
    agent.real_time = True
    heard: list[int] = []

    class BlockingJudge(duologue.AgentAdapter):
        role = duologue.AgentRole.JUDGE

        async def call(self, input: duologue.AgentInput) -> duologue.ScenarioResult:
            before = len(agent.heard)
            time.sleep(0.5)  # noqa: ASYNC251
            heard.append(len(agent.heard) - before)
            return duologue.ScenarioResult(success=True)

    result = await duologue.arun(
        "call", "d", agents=[agent, duologue.ScriptedUser([]), BlockingJudge()], script=[duologue.judge()]
    )
    assert result.success
    assert heard[0] >= 10  # of 25


# --- over a socket ---------------------------------------------------------------------------------------------------


@asynccontextmanager
async def peer_on_a_socket(talk: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[str]:
    async with serve(talk, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


class RawSound(WebSocketProtocol):
    def encode_audio(self, chunk: AudioChunk) -> bytes:
        return chunk.data

    def decode_response(self, message: str | bytes) -> AudioChunk:
        assert isinstance(message, bytes)
        return AudioChunk(message)


async def test_a_call_over_a_socket() -> None:
    async def talk(connection: ServerConnection) -> None:
        size = 0
        async for message in connection:
            size += len(message)
            if size >= 24_000:  # half a second
                size = 0
                await connection.send(tone(0.4).data)

    async def say(text: str, voice: str) -> bytes:
        return tone(0.5).data

    class Recogniser:
        async def transcribe(self, chunk: AudioChunk) -> str:
            return f"{chunk.duration_seconds:.1f} seconds"

    class Caller(duologue.ScriptedUser):
        voice = "socket/x"

    duologue.register_tts_provider("socket", say)
    duologue.set_stt_provider(Recogniser())
    try:
        async with peer_on_a_socket(talk) as address:
            result = await duologue.arun(
                "call",
                "d",
                agents=[WebSocketAgentAdapter(address, RawSound()), Caller([])],
                script=[duologue.user("hello"), duologue.agent(), duologue.succeed()],
            )
    finally:
        duologue.set_stt_provider(None)
    assert [message["role"] for message in result.messages] == ["user", "assistant"]
    content = result.messages[1]["content"]
    assert isinstance(content, list)
    assert content[0]["text"].endswith("seconds")


async def test_a_socket_that_closes_in_the_middle_is_an_error_that_names_the_adapter() -> None:
    async def talk(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(tone(0.2).data)
        connection.transport.abort()

    async with peer_on_a_socket(talk) as address:
        driver = DuplexDriver(WebSocketAgentAdapter(address, RawSound()))
        await driver.open()
        with pytest.raises(
            VoiceConnectionError, match=r"WebSocketAgentAdapter: the connection to ws://127\.0\.0\.1:\d+ has broken"
        ):
            await driver.say(tone(3.0))
        assert "agent" in [segment.speaker for segment in driver.segments]
        await driver.close()


@pytest.mark.parametrize("slow", ["synthesis", "user", "judge"])
async def test_the_time_in_which_a_line_is_not_ready_is_no_silence_of_the_call(slow: str) -> None:
    from duologue.voice import synthesis

    async def say(text: str, voice: str) -> bytes:
        await asyncio.sleep(1.5 if slow == "synthesis" and text == "slow" else 0.0)
        return tone(0.2).data

    async def judged(state: duologue.ScenarioState) -> None:
        await asyncio.sleep(1.5 if slow == "judge" else 0.0)

    class User(duologue.ScriptedUser):
        voice = "slow/one"

        async def call(self, input: duologue.AgentInput) -> object:
            answer = await super().call(input)
            await asyncio.sleep(1.5 if slow == "user" and "slow" in str(answer) else 0.0)
            return answer

    duologue.register_tts_provider("slow", say)
    try:
        agent = AnsweringAgent([[AgentWords(text="yes"), tone(0.2)]])
        agent.real_time = True
        result = await duologue.arun(
            "a",
            "b",
            agents=[agent, User(["quick", "slow"])],
            script=[duologue.proceed(turns=1), judged, duologue.proceed(turns=1), duologue.succeed()],
        )
    finally:
        del synthesis._registered["slow"]
    *_, delayed = [event for event in result.timeline if event.type == "user_delayed"]
    assert delayed.metadata["seconds"] >= 1.4
    segments = result.audio.silent
    waited = segments[2].start_time - segments[1].end_time
    run = voice_metrics(segments, [(delayed.time - delayed.metadata["seconds"], delayed.time)])
    assert waited >= 1.4
    assert run.longest_silence < voice_metrics(segments).longest_silence - 1.0


async def test_a_pause_of_the_script_is_silence_of_the_call() -> None:
    agent = AnsweringAgent([[AgentWords(text="yes"), tone(0.2)]])
    agent.real_time = True
    result = await duologue.arun(
        "a",
        "b",
        agents=[agent, duologue.UserSimulatorAgent(model="mock/echo")],
        script=[
            duologue.audio(tone(0.2)),
            duologue.agent(),
            duologue.silence(1.5),
            duologue.audio(tone(0.2)),
            duologue.agent(),
            duologue.succeed(),
        ],
    )
    assert voice_metrics(result.audio.silent).longest_silence >= 1.4
    assert not [event for event in result.timeline if event.type == "user_delayed" and event.metadata["seconds"] >= 1.0]


async def test_a_voice_of_a_user_that_there_is_not_is_found_before_the_call() -> None:
    class User(duologue.ScriptedUser):
        voice = "nope/heart"

    agent = AnsweringAgent()
    with pytest.raises(SimulatorError, match="voice of the user 'User': there is no provider 'nope' of voices"):
        await duologue.arun("a", "b", agents=[agent, User(["hi"])], script=[duologue.proceed(turns=1)])
    assert agent.connects == 0


class Blocking(AnsweringAgent):
    """Holds up the event loop of voice once, as a machine that has too much to do."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.real_time = True
        self._blocks = seconds

    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
        blocks, self._blocks = self._blocks, 0.0
        time.sleep(blocks)  # noqa: ASYNC251 - that is what it is for
        return [] if self.response_timeout < 1 else await super().exchange(frame, at)


async def test_frames_that_this_machine_sends_late_are_noted() -> None:
    driver = DuplexDriver(Blocking(0.6), real_time=True)

    async def call() -> None:
        async with asyncio.timeout(60):
            await driver.open()
            await driver.wait(0.8)
            await driver.close()

    await on_voice_loop(call())
    late = [event for event in driver.timeline if event.type == "frames_late"]
    assert late
    assert (late[0].metadata or {})["late"] > 0.25
    assert len(late) < 5, "not for every frame"


async def test_silence_of_an_agent_on_a_machine_that_was_late_is_not_its_fault() -> None:
    agent = Blocking(0.6)
    agent.response_timeout = 0.5
    driver = DuplexDriver(agent, real_time=True)

    async def call() -> None:
        async with asyncio.timeout(60):
            await driver.open()
            await driver.say(tone(0.1))
            await turns_of(driver)

    with pytest.raises(OverloadError, match="this machine could not keep up: frames were sent"):
        await on_voice_loop(call())
    await on_voice_loop(driver.close())
