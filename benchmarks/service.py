"""The service: an execution through the API, what a request costs with 100,000 stored runs, and a thousand listeners.

    python benchmarks/service.py
    python benchmarks/service.py --parts requests --runs 10000
    python benchmarks/service.py --store postgresql

Three parts, each against a server that is a process of its own and is asked over loopback:

``execution``: an eval of one case with 200 trials is launched with one ``POST``, and it is measured until a listener
hears ``execution_completed``. Each trial is one call of an agent and one call of a judge, both over HTTP to an instant
server in a third process. The baseline makes the same 400 calls, so many at once, with a bare client.

``requests``: p50 and p95 of reads and creates with so many runs stored, one after the other on one connection. The
baseline is a bare Starlette route in the same process that answers as many bytes as ``get run`` does.

``listeners``: 1,000 connections listen to one execution of 200 runs until it is over. Memory is that of the server with
all of them; the baseline is the same number of connections to a bare Starlette stream in another process. All of them
must hear every event, once and in order.

Prints a table and one line of JSON for each part.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, bindparam, insert, text

from duologue.runs.processor import RunProcessor
from duologue.runs.service import RunService
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.schema import executions, snapshots
from duologue.runs.store.records import NewExecution, NewRun, Snapshot
from duologue.suites.plan.build import TestCase

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "fakes"))

SNAPSHOT = Snapshot(digest="sha256:benchmark", data=b"{}")
OF_EACH = 200
"""Runs of each execution that is stored."""
MESSAGES = [
    {"role": "user", "content": "I want a refund. " * 6},
    {"role": "assistant", "content": "Of course. " * 9},
] * 3
VERDICT = json.dumps(
    {
        "success": {"reason": "It is promised.", "evidence": ["m2"], "met": True},
        "confidence": 0.9,
        "reasoning": "A refund is promised.",
    }
)

# --- processes --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def child(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """This script as another process, and the ports that it listens on."""
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise SystemExit(f"the process {arguments} did not start")
        yield process, json.loads(line)
    finally:
        process.kill()
        process.wait()


def listening() -> socket.socket:
    made = socket.create_server(("127.0.0.1", 0), backlog=4096)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else an answer of two parts waits for 40 ms
    return made


async def serve(where: str, concurrency: int) -> None:
    """The service with a worker, and a bare application on a port of its own."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.responses import Response, StreamingResponse
    from starlette.routing import Route

    from duologue.server import ServerSettings, create_app

    body = json.dumps(MESSAGES * 2).encode()
    news: list[asyncio.Event] = []

    async def bare(request: Any) -> Response:
        return Response(body, media_type="application/json")

    async def stream(request: Any) -> StreamingResponse:
        async def events() -> AsyncIterator[bytes]:
            yield b"retry: 1000\n\n"
            event = asyncio.Event()
            news.append(event)
            await event.wait()

        return StreamingResponse(events(), media_type="text/event-stream")

    routes = [Route("/bare", bare), Route("/stream", stream)]
    sockets = [listening(), listening()]
    apps = [create_app(ServerSettings(store=where, token_required=False)), Starlette(routes=routes)]
    servers = [
        _quiet(uvicorn)(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="auto")) for app in apps
    ]
    tasks = [asyncio.create_task(server.serve(sockets=[item])) for server, item in zip(servers, sockets, strict=True)]
    while not all(server.started for server in servers):  # noqa: ASYNC110 -- uvicorn tells nobody
        await asyncio.sleep(0.01)
    if concurrency:
        worker = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(work(where, concurrency))))
        tasks.append(worker)
    print(json.dumps([item.getsockname()[1] for item in sockets]), flush=True)
    await asyncio.gather(*tasks)


def _quiet(uvicorn: Any) -> Any:
    class Quiet(uvicorn.Server):  # type: ignore[misc]
        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Quiet


async def work(where: str, concurrency: int) -> None:
    async with Database.open(where) as database:
        processor = RunProcessor(database, max_concurrent=concurrency)
        await processor.start()
        await asyncio.Event().wait()


async def answer() -> None:
    """The agent and the judge: an HTTP server that answers at once."""
    agent = json.dumps({"message": {"content": "Of course, you get your money back."}}).encode()
    usage = {"prompt_tokens": 400, "completion_tokens": 60, "total_tokens": 460}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": VERDICT}}
    judge = json.dumps(
        {"id": "x", "object": "chat.completion", "model": "law", "choices": [choice], "usage": usage}
    ).encode()
    length = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                found = length.search(head)
                await reader.readexactly(int(found[1]) if found else 0)
                body = judge if b"/chat/completions" in head.split(b"\r\n", 1)[0] else agent
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
                writer.write(b"content-length: %d\r\n\r\n%b" % (len(body), body))

    server = await asyncio.start_server(talk, sock=listening())
    print(json.dumps([server.sockets[0].getsockname()[1]]), flush=True)
    await server.serve_forever()


def rss(pid: int) -> float:
    """MB of memory that a process uses."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]


# --- what is stored ---------------------------------------------------------------------------------------------------

FILL = """
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :count - 1)
    INSERT INTO runs (id, project_id, execution_id, eval_id, scenario_id, snapshot, identity, trial, test_case, status,
                      outcome, reason, output, details, created_at, updated_at, started_at, completed_at)
    SELECT 'filled-' || i, :project, :first + i / :each, 'e' || (i % 10), 's' || (i % 7), :snapshot, 'i' || i, 1, :case,
           'completed', CASE WHEN i % 5 = 0 THEN 'fail' ELSE 'pass' END, 'A refund is promised.', {output}, {output},
           i, i, i, i FROM n
"""
RESULTS = "INSERT INTO results (run, messages, data) SELECT number, :messages, :data FROM runs WHERE id LIKE 'filled-%'"


async def fill(service: RunService, count: int) -> None:
    """Runs that are over, in executions of 200."""
    database, project = service.database, service.project.id

    def put(connection: Any) -> None:
        postgres = connection.dialect.name == "postgresql"
        row = {"digest": SNAPSHOT.digest, "data": b"{}", "created_at": 0.0}
        connection.execute(insert(snapshots).values(row))
        rows = [
            {"project_id": project, "name": f"filled {number}", "data": {"seed": 7}, "created_at": float(number)}
            for number in range(-(-count // OF_EACH))
        ]
        connection.execute(insert(executions), rows)
        first = connection.execute(text("SELECT min(id) FROM executions WHERE name LIKE 'filled %'")).scalar()
        case = json.dumps(TestCase(index=0, scenario="refund", agent="bot").as_data()).encode()
        output = """'{"latency_ms": 812, "message_count": 6, "token_usage": {"input": 12, "output": 7}}'"""
        asked = text(FILL.format(output=output + ("::jsonb" if postgres else ""))).bindparams(
            bindparam("case", type_=LargeBinary), bindparam("first", type_=BigInteger)
        )
        values = {"count": count, "project": project, "first": first, "each": OF_EACH, "snapshot": SNAPSHOT.digest}
        connection.execute(asked, {**values, "case": case})
        filled = text(RESULTS).bindparams(
            bindparam("messages", type_=LargeBinary), bindparam("data", type_=LargeBinary)
        )
        connection.execute(filled, {"messages": json.dumps(MESSAGES).encode(), "data": b""})

    await database.write(put, timeout=600.0)


async def define(service: RunService, port: int, trials: int) -> str:
    """An eval of one case, judged by a model; its id."""
    model = {"name": "law", "provider": "openai", "base_url": f"http://127.0.0.1:{port}/v1", "model": "law"}
    model["credential"] = {"api_key": "${DUOLOGUE_BENCHMARK_KEY}"}
    await service.update_project(settings={"evaluation_model": "law", "models": [model]})
    scenario = await service.create_scenario(
        name="refund",
        description="A refund.",
        success_criteria="A refund is promised",
        messages=[{"role": "user", "content": "I want a refund."}],
        max_messages=2,
    )
    connector = await service.create_connector(
        name="bot", type="http", base_url=f"http://127.0.0.1:{port}", config={"path": "/agent"}
    )
    made = await service.create_eval(
        name="refunds", scenario_ids=[scenario.id], connector_id=connector.id, trials=trials
    )
    return made.id


# --- an execution -----------------------------------------------------------------------------------------------------


async def execution(where: str, count: int, concurrency: int, rounds: int) -> dict[str, Any]:
    with child("--answer") as (_, [peer]):
        async with RunService.open(where, create=True) as service:
            eval_id = await define(service, peer, count)
        bare = min([await _bare_calls(peer, count, concurrency) for _ in range(rounds)])
        with child("--serve", where, "--concurrency", str(concurrency)) as (_, [port, _]):
            seconds = [_one_execution(port, eval_id, count) for _ in range(rounds)]
    best = min(seconds)
    return {
        "runs": count,
        "concurrency": concurrency,
        "seconds": best,
        "median": statistics.median(seconds),
        "bare_calls": bare,
        "ratio": best / bare,
    }


def _one_execution(port: int, eval_id: str, count: int) -> float:
    client = http.client.HTTPConnection("127.0.0.1", port)
    began = time.perf_counter()
    made = ask(client, "POST", "/api/v1/executions", {"eval_id": eval_id})
    stream = http.client.HTTPConnection("127.0.0.1", port)
    stream.request("GET", f"/api/v1/executions/{made['id']}/events")
    data = stream.getresponse().read().decode()
    seconds = time.perf_counter() - began
    client = http.client.HTTPConnection("127.0.0.1", port)  # the other one may have been idle for too long
    found = ask(client, "GET", f"/api/v1/executions/{made['id']}")
    assert found["counts"]["passed"] == count, found
    assert data.count("event: run_completed") == count
    return seconds


async def _bare_calls(port: int, count: int, concurrency: int) -> float:
    import httpx

    free = asyncio.Semaphore(concurrency)
    limits = httpx.Limits(max_connections=concurrency)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits) as client:

        async def one() -> None:
            async with free:
                (await client.post("/agent", json={"messages": MESSAGES[:1]})).json()
                (await client.post("/v1/chat/completions", json={"messages": MESSAGES})).json()

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(count)))
        return time.perf_counter() - began


# --- requests ---------------------------------------------------------------------------------------------------------


def ask(client: http.client.HTTPConnection, method: str, path: str, body: Any = None) -> Any:
    content = None if body is None else json.dumps(body)
    client.request(method, path, content, {"Content-Type": "application/json"} if content else {})
    answered = client.getresponse()
    data = answered.read()
    if answered.status >= 300:
        raise SystemExit(f"{method} {path}: {answered.status} {data[:500]!r}")
    return json.loads(data)


async def requests(where: str, stored: int, each: int) -> dict[str, Any]:
    async with RunService.open(where, create=True) as service:
        await fill(service, stored)
        eval_id = await define(service, 9, 1)
        scenario_id = (await service.list_scenarios())[0].id
        connector_id = (await service.list_connectors())[0].id
    measured: dict[str, Any] = {"stored": stored}
    with child("--serve", where) as (_, [port, bare_port]):
        client = http.client.HTTPConnection("127.0.0.1", port)
        bare = http.client.HTTPConnection("127.0.0.1", bare_port)
        page = ask(client, "GET", "/api/v1/executions")["data"][0]["id"]
        playground = {"scenario_id": scenario_id, "connector_id": connector_id}
        deep = None
        for _ in range(5):  # a page in the middle costs what the first one does
            deep = ask(client, "GET", "/api/v1/runs?limit=200" + (f"&cursor={deep}" if deep else ""))["next"]
        parts: dict[str, Callable[[int], Any]] = {
            "bare route": lambda _: ask(bare, "GET", "/bare"),
            "get run": lambda number: ask(client, "GET", f"/api/v1/runs/filled-{number * 37 % stored}"),
            "list runs": lambda _: ask(client, "GET", "/api/v1/runs?limit=50"),
            "list runs, later page": lambda _: ask(client, "GET", f"/api/v1/runs?limit=50&cursor={deep}"),
            "list runs of an execution": lambda _: ask(client, "GET", f"/api/v1/runs?limit=50&execution_id={page}"),
            "list executions": lambda _: ask(client, "GET", "/api/v1/executions?limit=50"),
            "get execution": lambda _: ask(client, "GET", f"/api/v1/executions/{page}"),
            "create execution": lambda _: ask(client, "POST", "/api/v1/executions", {"eval_id": eval_id}),
            "create playground run": lambda _: ask(client, "POST", "/api/v1/playground-runs", playground),
            "create persona": lambda number: ask(client, "POST", "/api/v1/personas", {"name": f"p{number}"}),
        }
        for name, work_ in parts.items():
            for number in range(10):
                work_(number - 10)
            times: list[float] = []
            for number in range(each):
                began = time.perf_counter()
                work_(number)
                times.append((time.perf_counter() - began) * 1000)
            times.sort()
            measured[name] = {"p50": times[each // 2], "p95": times[int(each * 0.95)]}
    floor = measured["bare route"]["p50"]
    for name in parts:
        measured[name]["ratio"] = measured[name]["p50"] / floor
    return measured


# --- listeners --------------------------------------------------------------------------------------------------------


async def listeners(where: str, count: int, runs: int) -> dict[str, Any]:
    async with RunService.open(where, create=True) as service:
        names = [f"run-{number}" for number in range(runs)]
        new = [NewRun(id=name, snapshot=SNAPSHOT.digest, case=TestCase(index=0, scenario=name)) for name in names]
        made = await service.database.queue.enqueue(
            service.project.id, new, snapshots=[SNAPSHOT], execution=NewExecution()
        )
        assert made.execution is not None
        with child("--serve", where) as (process, [port, _]):
            empty = rss(process.pid)
            began = time.perf_counter()
            connections = [await _listen(port, f"/api/v1/executions/{made.execution.id}/events") for _ in range(count)]
            connected = time.perf_counter() - began
            hearing = [asyncio.create_task(_hear(reader)) for reader, _ in connections]
            began = time.perf_counter()
            await _carry_out(service.database, runs)
            heard = await asyncio.gather(*hearing)
            seconds = time.perf_counter() - began
            full = rss(process.pid)
            for _, writer in connections:
                writer.close()
        with child("--serve", where) as (process, [_, bare_port]):
            connections = [await _listen(bare_port, "/stream") for _ in range(count)]
            bare = rss(process.pid)
            for _, writer in connections:
                writer.close()
    expected = [str(number) for number in range(1, 2 * runs + 3)]
    return {
        "listeners": count,
        "events": len(expected),
        "heard_everything": sum(item == expected for item in heard),
        "seconds_to_connect": connected,
        "seconds": seconds,
        "rss_mb": full,
        "rss_mb_without": empty,
        "kb_each": (full - empty) * 1024 / count,
        "rss_mb_bare": bare,
        "ratio": full / bare,
    }


async def _listen(port: int, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    await reader.readuntil(b"retry: 1000\n\n")
    return reader, writer


async def _hear(reader: asyncio.StreamReader) -> list[str]:
    ids: list[str] = []
    with contextlib.suppress(asyncio.IncompleteReadError):
        while True:
            for line in (await reader.readuntil(b"\n\n")).split(b"\n"):
                if line.startswith(b"id: "):
                    ids.append(line[4:].decode())
                if line == b"event: execution_completed":
                    return ids
    return ids


async def _carry_out(database: Database, runs: int) -> None:
    from duologue.runs.store.records import FinishedRun, QueueStatus, WorkerRecord

    end = FinishedRun(status=QueueStatus.COMPLETED, outcome="pass", score=1.0)
    await database.queue.register(WorkerRecord(id="w", host="here", pid=1, version="0", capacity=10))
    for _ in range(runs // 10):
        claimed = await database.queue.claim("w", 10)
        await asyncio.sleep(0.05)
        await asyncio.gather(*(database.queue.finish(run, end) for run in claimed))


# --- the whole --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def addresses(store: str) -> Iterator[Callable[[], str]]:
    """A function that gives the address of an empty database."""
    folder = Path(tempfile.mkdtemp(prefix="duologue-bench-"))
    folder.chmod(0o755)
    server: Any = None
    if store == "postgresql":
        from postgres_server import PostgresServer, find_programs

        (folder / "pg").mkdir()
        server = PostgresServer(folder / "pg", find_programs(), settings="max_connections = 100\n")
    count = iter(range(100))
    try:
        yield lambda: server.new_database() if server is not None else str(folder / f"{next(count)}.db")
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def report(part: str, store: str, measured: dict[str, Any]) -> None:
    print(f"--- {part}, {store}")
    for name, value in measured.items():
        if isinstance(value, dict):
            columns = "  ".join(f"{key} {item:8.2f}" for key, item in value.items())
            print(f"{name:>28}  {columns}")
        else:
            print(f"{name:>28}  {value:.2f}" if isinstance(value, float) else f"{name:>28}  {value}")
    print(json.dumps({"benchmark": "service", "part": part, "store": store, "measured": measured}), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["execution", "requests", "listeners"])
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--runs", type=int, default=100_000, help="that are stored before requests are measured")
    parser.add_argument("--requests", type=int, default=200, help="of each kind")
    parser.add_argument("--listeners", type=int, default=1_000)
    parser.add_argument("--count", type=int, default=200, help="runs of an execution")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=0, help="of the worker; 0 for 50, or none with --serve")
    parser.add_argument("--serve", metavar="STORE", help=argparse.SUPPRESS)
    parser.add_argument("--answer", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    os.environ["DUOLOGUE_BENCHMARK_KEY"] = "none"
    if given.serve:
        return await serve(given.serve, given.concurrency)
    if given.answer:
        return await answer()
    with addresses(given.store) as address:
        if "execution" in given.parts:
            measured = await execution(address(), given.count, given.concurrency or 50, given.rounds)
            report("execution", given.store, measured)
        if "requests" in given.parts:
            report("requests", given.store, await requests(address(), given.runs, given.requests))
        if "listeners" in given.parts:
            report("listeners", given.store, await listeners(address(), given.listeners, given.count))
    return None


if __name__ == "__main__":
    asyncio.run(main())
