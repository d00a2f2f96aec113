"""The desk's telephone line: a WebSocket on which sound goes both ways.

It speaks the protocol of :mod:`duologue.voice.adapters.events`: sound (PCM16, mono, 24 kHz) is binary messages, and
what else there is to say is JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from contextlib import suppress
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from duologue.context import SystemClock
from duologue.demo.parcel_desk.dialogue import GREETING, Answer, Desk
from duologue.voice.activity import SpeechDetector, SpeechEdge
from duologue.voice.audio import FRAME_SECONDS, AudioChunk, bytes_of
from duologue.voice.embedded_speech import WhisperSTTProvider
from duologue.voice.recognition import transcribe
from duologue.voice.synthesis import DEFAULT_VOICE, synthesize

AHEAD_SECONDS = 0.2
"""How much sooner than it is heard sound is sent."""
PAUSE_SECONDS = 0.6
"""Silence after which the caller has finished."""
_BEFORE = bytes_of(0.4)
"""Bytes that are kept from before the instant at which speech is noticed."""
_LONGEST = bytes_of(30.0)


class Call:
    """One caller."""

    def __init__(self, connection: ServerConnection, recogniser: WhisperSTTProvider) -> None:
        self._connection = connection
        self._recogniser = recogniser
        self._desk = Desk()
        self._detector = SpeechDetector(ends=PAUSE_SECONDS)
        self._heard = bytearray()
        self._talked_over = False
        self._speech: asyncio.Task[None] | None = None
        self._thought: asyncio.Task[None] | None = None
        self._calls = 0

    async def run(self) -> None:
        """Talk until one of them hangs up."""
        self._speech = asyncio.create_task(self._say(Answer(text=GREETING)))
        try:
            async for message in self._connection:
                if isinstance(message, bytes):
                    await self._hear(message)
        finally:
            for task in (self._speech, self._thought):
                if task is not None:
                    task.cancel()

    async def _hear(self, frame: bytes) -> None:
        self._heard += frame
        for change in self._detector.process(frame):
            if change.edge is SpeechEdge.BEGAN:
                await self._caller_begins()
            elif self._thought is None or self._thought.done():
                sound, self._heard = bytes(self._heard), bytearray()
                self._thought = asyncio.create_task(self._think(sound))
        keep = _LONGEST if self._detector.is_speaking else _BEFORE
        del self._heard[: max(0, len(self._heard) - keep)]

    async def _caller_begins(self) -> None:
        if self._speech is None or self._speech.done():
            return
        self._speech.cancel()
        self._talked_over = True
        await self._tell("user_heard")
        await self._tell("turn_ended", interrupted=True)

    async def _think(self, sound: bytes) -> None:
        heard = await transcribe(AudioChunk(sound), self._recogniser)
        if not heard:
            return
        await self._tell("user_words", text=heard)
        talked_over, self._talked_over = self._talked_over, False
        answer = self._desk.answer(heard, talked_over=talked_over)
        if (found := answer.looked_up) is not None:
            self._calls += 1
            call = f"call_{self._calls}"
            await self._tell("tool_call", id=call, name="look_up_order", arguments={"order": found.order})
            await self._tell("tool_result", id=call, result={"parcel": found.found})
        self._speech = asyncio.create_task(self._say(answer))

    async def _say(self, answer: Answer) -> None:
        sound = (await synthesize(answer.text, DEFAULT_VOICE)).data
        words, size = answer.text.split(), bytes_of(FRAME_SECONDS)
        clock = SystemClock()
        told, began = 0, clock.monotonic()
        for index, at in enumerate(range(0, len(sound), size)):
            await clock.sleep(began + index * FRAME_SECONDS - AHEAD_SECONDS - clock.monotonic())
            if (until := len(words) * at // len(sound) + 1) > told:
                await self._tell("words", text="".join(f"{word} " for word in words[told:until]))
                told = until
            await self._connection.send(sound[at : at + size])
        await self._tell("turn_ended", interrupted=False)
        if answer.ends:
            await self._tell("call_ended")

    async def _tell(self, type: str, **more: Any) -> None:
        with suppress(ConnectionClosed):
            await self._connection.send(json.dumps({"type": type, **more}))


async def run(port: int) -> None:
    """Listen until the process ends; the first line of the output is the URL."""
    recogniser = WhisperSTTProvider()
    greeting = await synthesize(GREETING, DEFAULT_VOICE)  # models are loaded before anybody calls
    await recogniser.transcribe(greeting)

    async def talk(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            await Call(connection, recogniser).run()

    async with serve(talk, "127.0.0.1", port, compression=None) as server:
        [listening, *_] = server.sockets
        print(json.dumps({"url": f"ws://127.0.0.1:{listening.getsockname()[1]}"}), flush=True)
        await asyncio.Event().wait()


def main() -> None:
    """Start the desk."""
    parser = argparse.ArgumentParser(description="A desk for parcels that callers speak with, over a WebSocket.")
    parser.add_argument("--port", type=int, default=8765, help="0 for any that is free; it is printed")
    with suppress(KeyboardInterrupt):
        asyncio.run(run(parser.parse_args().port))
