"""Voice: what a call costs, how late its frames are, and how much faster than real time a simulated one is.

    python benchmarks/voice.py
    python benchmarks/voice.py --calls 1,50 --seconds 5
    python benchmarks/voice.py --parts simulated

``wire``: so many calls at once in one process, each over a WebSocket of its own to an echo in another process. Frames
of 20 ms (960 bytes of PCM16) go both ways for the whole call: the driver sends its user's speech or silence, and the
echo sends every frame back as the agent's. The baseline is a bare client of ``websockets`` in the same run, which
sends a frame every 20 ms and reads what comes; both are processes of their own. Measured once all calls are connected:

* CPU of the process for each call, as a share of one core;
* latency of a frame: from the instant at which it is due to the instant at which its echo was read. That holds how late
  it was sent, the way there and back, and how late it was read. What the driver adds is the difference to the bare
  client, p95 over all frames.

``simulated``: seconds of a conversation in full duplex with an agent in the process, for each second of the wall. The
user speaks, the agent answers at once, and both are kept.

Prints a table and one line of JSON for each part.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import numpy as np

FRAME_SECONDS = 0.02
FRAME_BYTES = 960
WARM_UP_SECONDS = 1.0
MOST_DETECTING = 10
"""Calls at once in which speech is looked for: everybody speaks all the time, and a core has no time for more."""
STAMP = struct.Struct("<2d")
"""In the first bytes of a frame: when it was due, and when it was sent."""

# --- processes --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def child(*arguments: str) -> Generator[subprocess.Popen[str]]:
    """This script as another process."""
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def line_of(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args} ended without a result")
    return json.loads(line)


async def echo() -> None:
    """The agent of all calls: what it hears, it says."""
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.exceptions import ConnectionClosed

    async def talk(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in connection:
                await connection.send(message)

    async with serve(talk, "127.0.0.1", 0, compression=None) as server:
        print(json.dumps(next(iter(server.sockets)).getsockname()[1]), flush=True)
        await asyncio.Event().wait()


# --- over the wire ----------------------------------------------------------------------------------------------------


class Measured:
    """What frames and the process took, from the instant at which all calls were under way."""

    def __init__(self) -> None:
        self._latencies: list[float] = []
        self._late: list[float] = []
        self._running = False

    def sent(self, due: float, at: float) -> None:
        if self._running:
            self._late.append(at - due)

    def heard(self, frame: bytes) -> None:
        if self._running:
            due, _ = STAMP.unpack_from(frame)
            if due:
                self._latencies.append(time.perf_counter() - due)

    async def during(self, seconds: float, calls: int) -> dict[str, Any]:
        self._running = True
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        took, used = time.perf_counter() - began, time.process_time() - cpu
        self._running = False
        return {
            "calls": calls,
            "cpu_percent_per_call": round(used / took / calls * 100, 3),
            "frames_per_call_and_second": round(len(self._latencies) / took / calls, 1),
            "sent_late_p95_ms": percentile(self._late, 95),
            "latency_p50_ms": percentile(self._latencies, 50),
            "latency_p95_ms": percentile(self._latencies, 95),
        }


def percentile(seconds: list[float], share: int) -> float:
    return round(float(np.percentile(seconds, share)) * 1000, 2) if seconds else float("nan")


async def bare(port: int, calls: int, seconds: float) -> dict[str, Any]:
    """The same frames by hand."""
    from websockets.asyncio.client import ClientConnection, connect

    measured = Measured()
    sound = bytes(FRAME_BYTES - STAMP.size)

    async def speak(connection: ClientConnection) -> None:
        due = time.perf_counter()
        while True:
            due += FRAME_SECONDS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            now = time.perf_counter()
            measured.sent(due, now)
            await connection.send(STAMP.pack(due, now) + sound)

    async def hear(connection: ClientConnection) -> None:
        async for message in connection:
            assert isinstance(message, bytes)
            measured.heard(message)

    async with contextlib.AsyncExitStack() as stack:
        tasks: list[asyncio.Task[None]] = []
        for _ in range(calls):
            connection = await stack.enter_async_context(connect(f"ws://127.0.0.1:{port}", compression=None))
            tasks += [asyncio.create_task(speak(connection)), asyncio.create_task(hear(connection))]
        await asyncio.sleep(WARM_UP_SECONDS)
        result = await measured.during(seconds, calls)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    return result


async def driver(port: int, calls: int, seconds: float, *, ends_turns: bool = True) -> dict[str, Any]:
    """Calls of Duologue. The user speaks all the time, and so does the echo."""
    from duologue.voice.adapters.websocket import WebSocketAgentAdapter, WebSocketProtocol
    from duologue.voice.audio import AudioChunk
    from duologue.voice.duplex.driver import DuplexDriver

    measured = Measured()

    class Stamped(WebSocketProtocol):
        def __init__(self) -> None:
            self._count = 0
            self._first = 0.0

        def encode_audio(self, chunk: AudioChunk) -> bytes:
            now = time.perf_counter()
            nominal = now - self._count * FRAME_SECONDS
            self._first = min(self._first or nominal, nominal)
            due = self._first + self._count * FRAME_SECONDS
            self._count += 1
            measured.sent(due, now)
            return STAMP.pack(due, now) + chunk.data[STAMP.size :]

        def decode_response(self, message: str | bytes) -> AudioChunk:
            assert isinstance(message, bytes)
            measured.heard(message)
            return AudioChunk(message)

    sound = AudioChunk(spoken(seconds + WARM_UP_SECONDS + 60))
    drivers: list[DuplexDriver] = []
    for _ in range(calls):
        adapter = WebSocketAgentAdapter(f"ws://127.0.0.1:{port}", Stamped())
        adapter.wants_silence = True
        adapter.ends_turns = ends_turns
        made = DuplexDriver(adapter)
        await made.open()
        made.begin_saying(sound)
        drivers.append(made)
    await asyncio.sleep(WARM_UP_SECONDS)
    result = await measured.during(seconds, calls)
    await asyncio.gather(*(made.close() for made in drivers))
    return result


async def detecting(port: int, calls: int, seconds: float) -> dict[str, Any]:
    """The same over a protocol that does not tell the end of a turn: speech is looked for in what is heard."""
    return await driver(port, calls, seconds, ends_turns=False)


def spoken(seconds: float) -> bytes:
    """Noise that is loud and quiet in turns, as speech is."""
    count = round(seconds * 24_000)
    level = 3_000 * np.clip(np.sin(np.arange(count) * 2 * np.pi * 3 / 24_000), 0.02, 1)
    return (np.random.default_rng(0).standard_normal(count) * level).clip(-32_000, 32_000).astype("<i2").tobytes()


CLIENTS: dict[str, Callable[[int, int, float], Coroutine[Any, Any, dict[str, Any]]]] = {
    "bare": bare,
    "driver": driver,
    "detecting": detecting,
}


def wire(calls: list[int], seconds: float, rounds: int) -> None:
    rows: list[dict[str, Any]] = []
    for count in calls:
        for name in CLIENTS:
            if name == "detecting" and count > MOST_DETECTING:
                continue
            print(f"{name}, {count} calls …", file=sys.stderr)
            found = [_once(name, count, seconds) for _ in range(rounds)]
            row = {key: round(statistics.median(item[key] for item in found), 3) for key in found[0]}
            rows.append({"client": name, **row, "calls": count})
    print(f"{'client':<10}{'calls':>6}{'CPU/call':>10}{'frames/s':>10}{'late p95':>10}{'p50':>9}{'p95':>9}")
    for row in rows:
        print(
            f"{row['client']:<10}{row['calls']:>6}{row['cpu_percent_per_call']:>9.2f}%"
            f"{row['frames_per_call_and_second']:>10.1f}{row['sent_late_p95_ms']:>7.2f} ms"
            f"{row['latency_p50_ms']:>6.2f} ms{row['latency_p95_ms']:>6.2f} ms"
        )
    print(json.dumps({"benchmark": "voice", "part": "wire", "seconds": seconds, "rows": rows}))


# --- simulated --------------------------------------------------------------------------------------------------------


async def conversation(turns: int) -> dict[str, Any]:
    """A user with manners and an agent in the process, both recorded, as fast as it goes."""
    from duologue.voice.adapter import InProcessVoiceAgent
    from duologue.voice.audio import AudioChunk
    from duologue.voice.duplex.driver import DuplexDriver
    from duologue.voice.duplex.user import DuplexUser, Manners
    from duologue.voice.incoming import AgentTurnEnded, AgentWords, Incoming
    from duologue.voice.timeline import SpeechPurpose

    answer = [AgentWords(text="Your order comes on Friday. "), AudioChunk(spoken(4.0)), AgentTurnEnded()]

    class Agent(InProcessVoiceAgent):
        ends_turns = True
        asked = False

        async def end_user_turn(self) -> None:
            self.asked = True

        async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
            asked, self.asked = self.asked, False
            return list(answer) if asked else []

    class Kept:
        def __init__(self) -> None:
            self.sound = bytearray()

        def frame(self, user: bytes, agent: bytes) -> None:
            self.sound += user + agent

        def segment(self, segment: object) -> None:
            pass

        def event(self, event: object) -> None:
            pass

        def close(self) -> None:
            pass

    driver = DuplexDriver(Agent(), track=Kept())
    sound, sign = AudioChunk(spoken(3.0)), AudioChunk(spoken(0.4))
    driver.beside = DuplexUser(Manners(backchannels=0.5), {SpeechPurpose.BACKCHANNEL: [sign]}).frame
    await driver.open()
    began = time.perf_counter()
    for _ in range(turns):
        await driver.say(sound)
        async for _ in driver.answer():
            pass
    took = time.perf_counter() - began
    await driver.close()
    return {
        "seconds_of_voice": round(driver.now, 1),
        "seconds": round(took, 3),
        "times_real": round(driver.now / took, 1),
    }


def simulated(turns: int) -> None:
    row = asyncio.run(conversation(turns))
    print(f"simulated: {row['seconds_of_voice']} s of voice in {row['seconds']} s, {row['times_real']} x real time")
    print(json.dumps({"benchmark": "voice", "part": "simulated", "rows": [row]}))


def _once(client: str, calls: int, seconds: float) -> dict[str, Any]:
    with child("--echo") as peer:
        port = line_of(peer)
        with child("--client", client, "--port", str(port), "--calls", str(calls), "--seconds", str(seconds)) as caller:
            return line_of(caller)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default="wire,simulated")
    parser.add_argument("--turns", type=int, default=50, help="of the simulated conversation")
    parser.add_argument("--calls", default="1,50,200", help="how many at once")
    parser.add_argument("--seconds", type=float, default=10.0, help="that calls are measured for")
    parser.add_argument("--rounds", type=int, default=1, help="the median of so many is printed")
    parser.add_argument("--echo", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    calls = [int(item) for item in arguments.calls.split(",")]
    if arguments.echo:
        asyncio.run(echo())
    elif arguments.client:
        logging.disable(logging.WARNING)  # late frames are what is measured
        print(json.dumps(asyncio.run(CLIENTS[arguments.client](arguments.port, calls[0], arguments.seconds))))
    else:
        for part in arguments.parts.split(","):
            if part == "wire":
                wire(calls, arguments.seconds, arguments.rounds)
            else:
                simulated(arguments.turns)


if __name__ == "__main__":
    main()
