"""``duologue serve`` is killed in the middle of an execution or of forks, and started again: nobody who listens misses
anything, and nothing comes twice."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import sys
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest
from http_agents import HttpAgents, Reply, http_agents
from listening_service import Heard, listen
from postgres_server import PostgresServer
from sqlalchemy import select, update
from waiting import LONG, until

from duologue.runs.processor import RunProcessor
from duologue.runs.project_access import UsualPolicy
from duologue.runs.service import RunService
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import results, workers

RUNS = 9
EXECUTION_OVER = "execution_completed"


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with tables."""
    if request.param == "sqlite":
        (tmp_path / "store").mkdir(mode=0o700)
        shutil.copy(request.getfixturevalue("empty_store"), tmp_path / "store" / "duologue.db")
        return str(tmp_path / "store" / "duologue.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database()

    async def make() -> None:
        async with Database.open(url, create=True):
            pass

    asyncio.run(make())
    return url


class Desk:
    """An agent that answers so many times, and then holds up whoever asks until the gate is open."""

    def __init__(self, answers: int) -> None:
        self.left, self.waiting, self.gate = answers, 0, Event()

    def answer(self, _: object) -> Reply:
        self.left -= 1
        if self.left < 0 and not self.gate.is_set():
            self.waiting += 1
            self.gate.wait()
        return Reply({"message": {"content": "Of course."}})


@pytest.fixture
def agent() -> Iterator[HttpAgents]:
    with http_agents() as running:
        yield running


@asynccontextmanager
async def server(where: str, port: int) -> AsyncIterator[Process]:
    """``duologue serve`` as a process of its own; killed in the end."""
    command = ["-m", "duologue", "serve", "--port", str(port), "--concurrency", "3", "--grace", "0"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, env={**os.environ, "DUOLOGUE_DATABASE_URL": where}, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline(), "it has not started"
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


async def keep_listening(client: httpx.AsyncClient, path: str, heard: Heard, over: str) -> Heard:
    """Listen until all is over, and come back by the last id whenever the connection breaks."""
    while over not in heard.types:
        with suppress(httpx.HTTPError):
            known = {"Last_Event_ID": heard.last} if heard.last else {}
            await listen(client, path, heard, **known)
        await asyncio.sleep(0.02)
    return heard


async def launched(where: str, url: str) -> tuple[int, list[str]]:
    """The number of an execution that waits, and the ids of its runs."""
    async with RunService.open(where) as service:
        scenario = await service.create_scenario(
            name="refund", description="A refund.", turns=[{"content": "I want a refund."}]
        )
        connector = await service.create_connector(name="bot", type="http", base_url=url, config={"path": "/desk"})
        made = await service.create_eval(
            name="refunds", scenario_ids=[scenario.id], connector_id=connector.id, trials=RUNS
        )
        done = await service.create_execution(made.id)
        assert done.execution is not None
        return done.execution.id, list(done.ids)


async def end_leases(where: str) -> None:
    """Nobody has to wait until the lease of the dead worker is over."""
    async with Database.open(where) as database:
        ended = update(workers).values(lease_until=0.0)
        await database.write(lambda connection: connection.execute(ended))


async def test_it_goes_on_where_it_was_and_listeners_hear_everything_once(where: str, agent: HttpAgents) -> None:
    desk = Desk(answers=4)
    agent.more["/desk"] = desk.answer
    execution, ids = await launched(where, agent.url)
    port, heard = free_port(), [Heard() for _ in range(4)]
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=None, limits=limits) as client:
        path = f"/executions/{execution}/events"
        listeners = [asyncio.create_task(keep_listening(client, path, item, EXECUTION_OVER)) for item in heard[:-1]]
        journal = asyncio.create_task(keep_listening(client, f"/runs/{ids[5]}/events", heard[-1], "run_ended"))
        async with server(where, port) as process:
            await until(
                lambda: desk.waiting == 3 and all(item.types.count("run_completed") == 4 for item in heard[:-1])
            )
            process.kill()
            await process.wait()
        before = [list(item.ids) for item in heard]
        await end_leases(where)
        desk.gate.set()
        async with server(where, port) as process:
            await asyncio.gather(*listeners, journal)
            found = (await client.get(f"/executions/{execution}")).json()
            page = (await client.get("/runs", params={"execution_id": execution})).json()["data"]
            process.terminate()
            assert await process.wait() == 0
    for item, known in zip(heard[:-1], before, strict=False):
        assert item.ids[: len(known)] == known
        assert item.ids == [str(number) for number in range(1, 2 * RUNS + 3)]
        of_runs = Counter((event.event, json.loads(event.data).get("run_id")) for event in item.events)
        for kind in ("run_started", "run_completed"):
            assert {run: of_runs[kind, run] for run in ids} == dict.fromkeys(ids, 1)
    told = [event for event in heard[-1].events if event.event not in {"run_ended", "attempt_started"}]
    assert [event.id for event in told] == [f"1.{number}" for number in range(len(told))]
    assert [json.loads(event.data)["type"] for event in told].count("run_finished") == 1
    assert (found["status"], found["counts"]["completed"], found["counts"]["error"]) == ("completed", RUNS, 0)
    assert sorted(run["id"] for run in page) == sorted(ids)
    async with Database.open(where) as database:
        stored = await database.read(lambda connection: connection.execute(select(results.c.run)).scalars().all())
    assert len(stored) == len(set(stored)) == RUNS


LINES = ["I want a refund.", "It is 45 days old.", "So what now?"]


async def finished(where: str, url: str) -> str:
    """The id of a run of three turns that is over."""
    async with RunService.open(where) as service:
        scenario = await service.create_scenario(
            name="refund", description="A refund.", turns=[{"content": line} for line in LINES]
        )
        connector = await service.create_connector(name="bot", type="http", base_url=url, config={"path": "/desk"})
        made = await service.create_eval(name="refunds", scenario_ids=[scenario.id], connector_id=connector.id)
        run = await service.create_run(made.id)
    async with Database.open(where) as database:
        await RunProcessor(database, policy=UsualPolicy(private_addresses=True)).drain()
    return run.id


@pytest.mark.parametrize("where", ["sqlite"], indirect=True)  # of leases and recovery on both, see above
async def test_forks_of_a_killed_worker_are_continued_by_the_next_one_and_nothing_comes_twice(
    where: str, agent: HttpAgents
) -> None:
    asked: list[list[str]] = []
    waiting, gate = [0], Event()
    gate.set()

    def answer(request: Any) -> Reply:
        said = [message["content"] for message in request.body["messages"]]
        asked.append(said)
        if len(said) == 5 and not gate.is_set():
            waiting[0] += 1
            gate.wait()
        return Reply({"message": {"content": f"heard {len(said)}"}})

    agent.more["/desk"] = answer
    original = await finished(where, agent.url)
    asked.clear()
    gate.clear()
    port = free_port()
    whole = [LINES[0], "heard 1", "Never mind.", "heard 3", LINES[2], "heard 5"]
    async with (
        asyncio.timeout(LONG),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/api/v1", timeout=None) as client,
    ):
        async with server(where, port) as process:
            fork = {"turn": 1, "say": "Never mind.", "trials": 3}
            made = await client.post(f"/runs/{original}/fork", json=fork, headers={"Idempotency-Key": "once"})
            assert made.status_code == 201, made.text
            execution = made.json()["id"]
            await until(lambda: waiting[0] == 3)
            process.kill()
            await process.wait()
        await end_leases(where)
        gate.set()
        async with server(where, port):
            again = await client.post(f"/runs/{original}/fork", json=fork, headers={"Idempotency-Key": "once"})
            assert again.json()["id"] == execution
            await keep_listening(client, f"/executions/{execution}/events", Heard(), EXECUTION_OVER)
            runs = (await client.get("/runs", params={"execution_id": execution})).json()["data"]
            found = [(await client.get(f"/runs/{run['id']}")).json() for run in runs]
            executions = (await client.get("/executions")).json()["data"]
            journals = [Heard() for _ in runs]
            for run, heard in zip(runs, journals, strict=True):
                await keep_listening(client, f"/runs/{run['id']}/events", heard, "run_ended")
    assert sorted(run["trial"] for run in runs) == [1, 2, 3]
    assert [run["status"] for run in found] == ["completed"] * 3
    said = [[item["content"] for item in run["messages"] if item["role"] != "system"] for run in found]
    assert said == [whole] * 3
    assert len(executions) == 2
    assert executions[0]["fork"] == {"run_id": original, "turn": 1, "say": "Never mind."}
    # What was recorded is not asked for again: neither the first turn nor the second, which the dead worker played.
    assert Counter(len(said) for said in asked) == {3: 3, 5: 6}
    assert all(given == whole[: len(given)] for given in asked)
    for heard in journals:
        added = [json.loads(event.data)["message"] for event in heard.events if event.event == "message_added"]
        assert [item["content"] for item in added if item["role"] != "system"] == whole
        assert (
            len(set(heard.ids[:-1])) == len(heard.ids) - 1
        )  # the last one tells that the run is over, under the same id
    async with Database.open(where) as database:
        stored = await database.read(lambda connection: connection.execute(select(results.c.run)).scalars().all())
    assert len(stored) == len(set(stored)) == 4
