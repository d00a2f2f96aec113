"""Workers and the service hold conversations in voice: with a mock in their process, and with an agent over the wire.

Processes are real, and one is killed in the middle of a call.
"""

from __future__ import annotations

import asyncio
import io
import json
import os
import socket
import sys
import wave
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import delete, select, update
from waiting import until
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosedError

from duologue.journal import FolderArtifacts
from duologue.journal.artifacts import open_beside
from duologue.runs.service import RunService
from duologue.runs.store.database.artifacts import GRACE, Removed, artifacts_of, remove_unused
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.schema import results, runs, workers
from duologue.voice.audio import bytes_of
from duologue.voice.notes import voice_run

LONG_ENOUGH = bytes_of(1.0) * 2
"""Bytes of a recording after which the worker is killed."""
MOCK = {
    "agent": {"name": "mock", "model": "m", "prompt": "p"},
    "models": [{"name": "m", "provider": "mock", "model": "x", "options": {"response_text": "It comes on Friday."}}],
    "prompts": [{"name": "p", "system_template": "You help."}],
}
SCENARIO: dict[str, Any] = {
    "voice": {"voice": "mock/hum"},
    "turns": [
        {
            "role": "user",
            "content": "Where is it?",
            "checks": [{"type": "contains", "params": {"patterns": ["Friday"]}}],
        }
    ],
}


class Desk:
    """An agent behind a WebSocket that says nothing after its greeting while it is held up."""

    def __init__(self) -> None:
        self.held_up, self.calls = True, 0

    async def talk(self, connection: ServerConnection) -> None:
        self.calls += 1
        await self._say(connection, "Parcel desk.")
        with suppress(ConnectionClosedError):  # whoever called was killed
            async for message in connection:
                if isinstance(message, str) and json.loads(message)["type"] == "user_turn_ended" and not self.held_up:
                    await self._say(connection, "It comes on Friday.")

    async def _say(self, connection: ServerConnection, text: str) -> None:
        await connection.send(json.dumps({"type": "words", "text": text}))
        await connection.send(b"\x00\x10\x00\xf0" * (bytes_of(0.4) // 4))
        await connection.send(json.dumps({"type": "turn_ended"}))


@asynccontextmanager
async def program(where: str, folder: Path, *command: str) -> AsyncIterator[Process]:
    """The command ``duologue`` as a process of its own; killed in the end."""
    environment = {**os.environ, "DUOLOGUE_DATABASE_URL": where, "DUOLOGUE_ARTIFACTS": str(folder)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "duologue"), *command, env=environment, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def launched(where: str, url: str) -> dict[str, str]:
    """The ids of two runs that wait, by their agents."""
    remote = {"agent": {"name": "desk", "runtime": {"kind": "websocket", "url": url, "announces_turns": True}}}
    found: dict[str, str] = {}
    async with RunService.open(where, create=True) as service:
        for name, draft, more in (("mock", MOCK, {}), ("desk", remote, {"first_turn": "agent"})):
            agent = await service.create_agent(draft)
            await service.publish_agent(agent.id)
            scenario = await service.create_scenario(name=f"to the {name}", **SCENARIO, **more)
            made = await service.create_eval(name=name, scenario_ids=[scenario.id], agent_id=agent.id)
            [found[name]] = (await service.create_execution(made.id)).ids
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


def seconds_of(sound: bytes) -> float:
    with wave.open(io.BytesIO(sound)) as file:
        assert file.getnchannels() == 2
        return file.getnframes() / file.getframerate()


async def test_a_worker_is_killed_in_a_call_which_is_made_again_and_recorded_once(where: str, tmp_path: Path) -> None:
    folder, desk = tmp_path / "artifacts", Desk()
    async with serve(desk.talk, "127.0.0.1", 0) as listening:
        ids = await launched(where, f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}")

        def unfinished() -> list[Path]:
            return [*folder.glob(f"{ids['desk']}-*.wav")]

        async with program(where, folder, "worker", "-c", "2") as worker:
            await until(
                lambda: worker.returncode is not None or any(i.stat().st_size > LONG_ENOUGH for i in unfinished())
            )
            worker.kill()
        [partial_recording] = unfinished()
        heard = partial_recording.read_bytes()
        assert seconds_of(heard) >= 1

        async with Database.open(where) as database:
            await database.write(lambda connection: connection.execute(update(workers).values(lease_until=0.0)))
        desk.held_up, port = False, free_port()
        async with program(where, folder, "serve", "--port", str(port), "--grace", "0") as service:
            assert service.stdout is not None
            assert await service.stdout.readline(), "it has not started"
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=None) as client:
                answers = {name: await over(client, ids[name]) for name in ids}
                played = {name: await recording_of(client, ids[name]) for name in ids}
            service.terminate()
            assert await service.wait() == 0

    assert {name: (item["outcome"], item["attempts"]) for name, item in answers.items()} == {
        "mock": ("pass", 1),
        "desk": ("pass", 2),
    }
    assert desk.calls == 2
    assert played["mock"] > 1
    assert played["desk"] > 1
    await the_earlier_recording_is_kept_as_long_as_its_run(where, folder, ids["desk"], heard)


async def over(client: httpx.AsyncClient, run: str) -> dict[str, Any]:
    """The run, once it is over."""
    while True:
        found = (await client.get(f"/runs/{run}")).raise_for_status().json()
        if found["status"] not in {"queued", "pending", "running"}:
            return found
        await asyncio.sleep(0.05)


async def recording_of(client: httpx.AsyncClient, run: str) -> float:
    """How long the recording is that the service has of a run."""
    page = (await client.get(f"/runs/{run}/artifacts")).raise_for_status().json()["data"]
    sounds = {item["size"]: item["sha256"] for item in page if item["mime_type"] == "audio/wav"}
    digest = sounds[max(sounds)]  # the others are those of messages
    answer = (await client.get(f"/runs/{run}/artifacts/{digest}")).raise_for_status()
    assert answer.headers["content-type"] == "audio/wav"
    part = await client.get(f"/runs/{run}/artifacts/{digest}", headers={"Range": "bytes=0-43"})
    assert (part.status_code, part.content) == (206, answer.content[:44])
    return seconds_of(answer.content)


async def the_earlier_recording_is_kept_as_long_as_its_run(where: str, folder: Path, run: str, heard: bytes) -> None:
    [kept] = await asyncio.to_thread(lambda: [*folder.glob(f"{run}-*.wav")])
    assert kept.read_bytes() == heard
    async with Database.open(where) as database:
        written = await database.read(lambda connection: connection.execute(select(results.c.run)).scalars().all())
        assert len(written) == len(set(written)) == 2
        journals = Journals(database, FolderArtifacts(folder))
        assert await journals.attempts(run) == [1, 2]
        view = (await journals.read(run, attempt=1)).view
        found = voice_run(view, partial(open_beside, folder / "journal.jsonl"))
        assert found is not None
        store = artifacts_of(database.address, str(folder))
        later = database.context.clock.now() + 2 * GRACE
        assert await remove_unused(database, store, now=later) == Removed()
        await database.write(lambda connection: connection.execute(delete(runs).where(runs.c.id == run)))
        assert await remove_unused(database, store) == Removed(), "it may belong to a run that is about to be kept"
        assert (await remove_unused(database, store, now=later)).files >= 3, "with the sounds of its messages"
    assert not kept.exists()
