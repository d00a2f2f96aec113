"""What adapters over a network share, with a transport that the test plays."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from duologue.voice.adapter import VoiceConnectionError
from duologue.voice.adapters.wire import Inbox, WireVoiceAdapter
from duologue.voice.audio import AudioChunk, silent_chunk
from duologue.voice.incoming import AgentToolCall, AgentToolResult, AgentTurnEnded, AgentWords, Incoming, UserWords


class _Played(WireVoiceAdapter):
    """A transport whose parts are given by the test."""

    def __init__(self, *, dial: Callable[[], None] | None = None, fail: Exception | None = None) -> None:
        super().__init__()
        self.items: asyncio.Queue[object] = asyncio.Queue()
        self.hung_up = 0
        self._dial, self._fail = dial, fail

    @property
    def where(self) -> str:
        return "ws://agent.test"

    async def dial(self) -> None:
        if self._fail is not None:
            raise self._fail

    async def read(self) -> None:
        while (item := await self.items.get()) is not None:
            if isinstance(item, Exception):
                raise item
            await self.deliver(item)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async def hang_up(self) -> None:
        self.hung_up += 1

    async def send_audio(self, chunk: AudioChunk) -> None:
        if not self.is_connected:
            raise self.not_connected()


@pytest.mark.parametrize("error", [ConnectionRefusedError("refused"), OSError("no route"), ValueError("bad handshake")])
async def test_a_connection_that_cannot_be_opened_names_adapter_place_and_reason(error: Exception) -> None:
    adapter = _Played(fail=error)
    with pytest.raises(VoiceConnectionError, match=f"_Played: cannot connect to ws://agent.test: {error}"):
        await adapter.connect()
    assert adapter.hung_up == 1
    await adapter.disconnect()


async def test_a_peer_that_never_answers_is_given_up() -> None:
    class Silent(_Played):
        async def dial(self) -> None:
            await asyncio.Event().wait()

    adapter = Silent()
    adapter.connect_timeout = 0.05
    with pytest.raises(VoiceConnectionError, match=r"no connection to ws://agent\.test within 0\.05 s"):
        await adapter.connect()


async def test_what_came_is_taken_before_the_end_is_told() -> None:
    adapter = _Played()
    await adapter.connect()
    for item in (silent_chunk(0.02), AgentWords(text="hello"), AgentTurnEnded(), None):
        adapter.items.put_nowait(item)
    assert (await adapter.recv_audio(5)).duration_seconds == pytest.approx(0.02)
    assert (await adapter.recv_audio(5)).data == b""
    for _ in range(2):
        with pytest.raises(VoiceConnectionError, match="has closed the connection"):
            await adapter.receive(5)
    await adapter.disconnect()


async def test_a_transport_that_breaks_says_why() -> None:
    adapter = _Played()
    await adapter.connect()
    adapter.items.put_nowait(RuntimeError("frame torn"))
    with pytest.raises(VoiceConnectionError, match="has broken: frame torn"):
        await adapter.receive(5)
    await adapter.disconnect()
    await adapter.disconnect()
    assert adapter.hung_up == 1


async def test_connecting_twice_is_refused_and_again_after_the_end_is_not() -> None:
    adapter = _Played()
    await adapter.connect()
    with pytest.raises(VoiceConnectionError, match=r"connected to ws://agent\.test already"):
        await adapter.connect()
    await adapter.disconnect()
    await adapter.connect()
    await adapter.disconnect()
    with pytest.raises(VoiceConnectionError, match="connect first"):
        await adapter.receive(0)


async def test_a_sender_without_measure_waits() -> None:
    inbox = Inbox(seconds=1.0)
    sent = 0

    async def send() -> None:
        nonlocal sent
        while True:
            await inbox.put(silent_chunk(0.1))
            sent += 1

    sender = asyncio.create_task(send())
    for _ in range(50):
        await asyncio.sleep(0)
    assert sent == 10
    await inbox.get(1)
    for _ in range(50):
        await asyncio.sleep(0)
    assert sent == 11
    inbox.forget_sound()
    for _ in range(50):
        await asyncio.sleep(0)
    assert sent == 21
    sender.cancel()


@pytest.mark.parametrize(
    "item",
    [
        AgentWords(text="x" * 1000),
        UserWords(text="x" * 1000),
        AgentToolCall(call_id="", name="f", arguments={"a": "x" * 1000}),
        AgentToolResult(call_id="", result=["x"] * 200),
    ],
)
async def test_words_and_tools_that_nobody_takes_fill_an_inbox_as_sound_does(item: Incoming) -> None:
    inbox = Inbox(seconds=1.0)
    for _ in range(47):
        await inbox.put(item)
    inbox.forget_sound()
    await inbox.put(silent_chunk(0.1))
    assert inbox.is_full
    inbox.forget_sound()
    assert not inbox.is_full
    for _ in range(47):
        assert await inbox.get(0) == item
    assert not inbox.is_full


async def test_a_timeout_says_what_was_waited_for() -> None:
    class Silent(_Played):
        async def dial(self) -> None:
            self.waiting_for = "the agent to join"
            await asyncio.Event().wait()

    adapter = Silent()
    adapter.connect_timeout = 0.05
    with pytest.raises(VoiceConnectionError, match=r"\(connect_timeout\); it was waiting for the agent to join$"):
        await adapter.connect()


async def test_a_sender_that_cannot_be_made_to_wait_is_given_up() -> None:
    class Unasked(_Played):
        async def deliver(self, item: object) -> None:
            await self.deliver_unasked(item)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    adapter = Unasked()
    await adapter.connect()
    for _ in range(140):
        adapter.items.put_nowait(silent_chunk(1.0))
    for _ in range(20):
        await asyncio.sleep(0)
    heard = [(await adapter.recv_audio(5)).duration_seconds for _ in range(120)]
    assert sum(heard) == pytest.approx(120.0)
    with pytest.raises(VoiceConnectionError, match=r"Unasked: ws://agent\.test sends faster than anybody can listen"):
        await adapter.recv_audio(5)
    await adapter.disconnect()
