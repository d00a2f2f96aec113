"""Live events: everybody hears everything, once and in order, however they come and go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from api_service import Service, open_service
from database_proxy import proxied
from listening_service import Heard, listen, listening
from postgres_server import PostgresServer
from queued_runs import PASSED, SNAPSHOT, end_lease, new_runs
from stored_runs import worker_record
from waiting import until

from duologue.runs.store.database import execution_events
from duologue.runs.store.database.engine import Database
from duologue.runs.store.records import FinishedRun, NewExecution, QueueStatus
from duologue.server import ServerSettings, create_app
from duologue.server.events import feed, stream

BROKEN = FinishedRun(status=QueueStatus.ERROR, outcome="error", error="HTTP 500")
LINE = b'{"seq":%d,"at":1.0,"events":[{"type":"message_added","message_id":"m%d"}]}\n'


@asynccontextmanager
async def client_of(service: Service, scope: str = "read") -> AsyncIterator[httpx.AsyncClient]:
    """A client over a real connection."""
    limits = httpx.Limits(max_connections=None)
    headers = {"Authorization": f"Bearer {service.tokens[scope, 'shop']}"}
    async with (
        listening(service.app) as url,
        httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=None) as client,
    ):
        yield client


async def begun(service: Service, count: int) -> int:
    """An execution of so many runs, which wait."""
    names = [f"r{number}" for number in range(count)]
    made = await service.database.queue.enqueue(
        service.shop.id, new_runs(*names), snapshots=[SNAPSHOT], execution=NewExecution()
    )
    assert made.execution is not None
    await service.database.queue.register(worker_record("w"))
    return made.execution.id


async def carry_out(service: Service, count: int | None = None, end: FinishedRun = PASSED) -> None:
    """Carry out so many runs, one after the other; all for None."""
    done = 0
    while count is None or done < count:
        claimed = await service.database.queue.claim("w", 1)
        if not claimed:
            return
        await service.database.queue.finish(claimed[0], end)
        done += 1


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


async def test_a_listener_hears_an_execution_until_it_is_over_and_may_come_back(service: Service) -> None:
    execution = await begun(service, 3)
    async with client_of(service) as client:
        path, live = f"/executions/{execution}/events", Heard()
        listener = asyncio.create_task(listen(client, path, live))
        await until(lambda: live.events)
        await carry_out(service)
        await listener
        assert (live.over, live.ids) == (True, numbers(1, 8))
        assert live.types[0] == "execution_started"
        assert sorted(live.types[1:-1]) == ["run_completed"] * 3 + ["run_started"] * 3
        assert live.types[-1] == "execution_completed"
        assert json.loads(live.events[-1].data)["counts"]["passed"] == 3
        again = await listen(client, path, Heard())
        assert [(item.id, item.data) for item in again.events] == [(item.id, item.data) for item in live.events]
        for known in range(8):
            rest = await listen(client, f"{path}?after={known}", Heard())
            assert rest.ids == numbers(known + 1, 8)
        assert (await listen(client, f"{path}?after=2", Heard(), Last_Event_ID="6")).ids == numbers(7, 8)
        assert (await listen(client, path, Heard(), Last_Event_ID="8")).status == 204
        assert (await listen(client, f"{path}?after=8", Heard())).status == 204


async def test_the_answer_is_one_that_nothing_on_the_way_keeps_back(service: Service) -> None:
    execution = await begun(service, 1)
    async with client_of(service) as client, client.stream("GET", f"/executions/{execution}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
        assert "content-length" not in answer.headers
        assert await anext(answer.aiter_lines()) == "retry: 1000"


async def test_one_reader_for_all_who_listen(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    look = execution_events.ExecutionTeller.look

    async def counted(self: execution_events.ExecutionTeller) -> list[execution_events.StoredEvent]:
        nonlocal looks
        looks += 1
        return await look(self)

    monkeypatch.setattr(execution_events.ExecutionTeller, "look", counted)
    execution = await begun(service, 2)
    everybody = [Heard() for _ in range(50)]
    async with client_of(service) as client:
        listeners = [
            asyncio.create_task(listen(client, f"/executions/{execution}/events", heard)) for heard in everybody
        ]
        await until(lambda: all(heard.events for heard in everybody))
        assert looks < 25
        await carry_out(service)
        await asyncio.gather(*listeners)
    assert all(heard.ids == numbers(1, 6) and heard.over for heard in everybody)
    await until(lambda: not service.state.feeds.listeners)


@pytest.mark.parametrize("kept", [1, 3])
async def test_who_is_far_behind_reads_from_the_database(
    service: Service, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(feed, "MOST_FRAMES", kept)
    monkeypatch.setattr(execution_events, "PAGE", 4)
    execution = await begun(service, 10)
    await carry_out(service, 8)
    async with client_of(service) as client:
        path, late = f"/executions/{execution}/events", Heard()
        listener = asyncio.create_task(listen(client, path, late))
        await until(lambda: len(late.events) >= 17)
        await carry_out(service)
        await listener
        assert late.ids == numbers(1, 22)
        assert (await listen(client, f"{path}?after=5", Heard())).ids == numbers(6, 22)


LARGE = b'{"seq":%d,"at":1.0,"events":[{"type":"message_added","text":"' + b"x" * 1_000_000 + b'"}]}\n'


@asynccontextmanager
async def deaf_listener(service: Service, client: httpx.AsyncClient, path: str) -> AsyncIterator[None]:
    """Somebody who listens and receives nothing."""
    _, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(str(client.base_url)).port)
    writer.transport.pause_reading()
    head = f"GET /api/v1{path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {service.tokens['read', 'shop']}\r\n\r\n"
    writer.write(head.encode())
    await until(lambda: service.state.feeds.listeners == 1)
    yield
    writer.transport.abort()


async def test_a_listener_that_receives_nothing_holds_up_nobody(service: Service) -> None:
    await begun(service, 1)
    [run] = await service.database.queue.claim("w", 1)
    path, heard = f"/runs/{run.id}/events", Heard()
    async with client_of(service) as client, deaf_listener(service, client, path):
        listener = asyncio.create_task(listen(client, path, heard))
        for number in range(12):
            await service.database.writer.append(run, 1, [(number, LARGE % number)])
            await until(lambda number=number: len(heard.events) > number)
        await service.database.queue.finish(run, PASSED)
        await listener
        assert heard.types[-1] == "run_ended"
        assert service.state.feeds.listeners == 1  # with no more in memory than its connection takes


async def test_a_listener_that_receives_nothing_is_given_up_and_comes_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await begun(service, 1)
    [run] = await service.database.queue.claim("w", 1)
    path = f"/runs/{run.id}/events"
    async with client_of(service) as client:
        with monkeypatch.context() as patch:
            patch.setattr(stream, "SLOWEST", 0.1)
            async with deaf_listener(service, client, path):
                await service.database.writer.append(run, 1, [(number, LARGE % number) for number in range(12)])
                await until(lambda: service.state.feeds.listeners == 0)
        await service.database.queue.finish(run, PASSED)
        again = await listen(client, path, Heard(), Last_Event_ID="1.2")
        assert [event.id for event in again.events[:9]] == [f"1.{number}" for number in range(3, 12)]
        assert again.types[-1] == "run_ended"


async def test_signs_of_life(service: Service) -> None:
    service.state.feeds.keepalive = 0.01
    execution = await begun(service, 1)
    async with client_of(service) as client, client.stream("GET", f"/executions/{execution}/events") as answer:
        seen = 0
        async for line in answer.aiter_lines():
            seen += line == ": keepalive"
            if seen == 3:
                break


@pytest.mark.parametrize(
    ("path", "after", "status"),
    [
        ("/executions/{execution}/events", "x", 422),
        ("/executions/{execution}/events", "-1", 422),
        ("/executions/{execution}/events", "1.2", 422),
        ("/executions/{execution}/events", "9" * 19, 422),
        ("/executions/{execution}/events", "4711", 422),
        ("/executions/4711/events", "", 404),
        ("/executions/x/events", "", 422),
        ("/runs/r0/events", "3", 422),
        ("/runs/r0/events", "1.7", 422),
        ("/runs/r1/events", "", 404),
    ],
)
async def test_what_cannot_be_watched_is_refused(service: Service, path: str, after: str, status: int) -> None:
    execution = await begun(service, 1)
    client = service.client("read")
    answer = await client.get(path.format(execution=execution), params={"after": after} if after else {})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert service.state.feeds.listeners == 0
    assert (await service.client("read", "bank").get(path.format(execution=execution))).status_code in {404, 422}


async def test_a_stream_ends_with_what_it_is_about(service: Service) -> None:
    execution = await begun(service, 1)
    async with client_of(service) as client:
        heard = Heard()
        listener = asyncio.create_task(listen(client, f"/executions/{execution}/events", heard))
        await until(lambda: heard.events)
        assert (await service.client("run").delete(f"/executions/{execution}")).status_code == 204
        await listener
        assert (heard.over, heard.types) == (True, ["execution_started"])
        assert (await listen(client, f"/executions/{execution}/events", Heard())).status == 404


async def test_a_stream_ends_with_the_token(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duologue.server.state.TOKEN_LOOKED_AT", 0.0)
    execution = await begun(service, 2)
    token, made = await service.state.tokens.create_token("guest", "read", project_id=service.shop.id)
    async with client_of(service) as client:
        theirs, ours = Heard(), Heard()
        path = f"/executions/{execution}/events"
        guest = asyncio.create_task(listen(client, path, theirs, Authorization=f"Bearer {token}"))
        other = asyncio.create_task(listen(client, path, ours))
        await until(lambda: theirs.events and ours.events)
        assert await service.state.tokens.revoke_token(made.id)
        await carry_out(service)
        await guest
        await other
        assert theirs.types == ["execution_started"]
        assert ours.types[-1] == "execution_completed"


async def test_streams_end_when_the_service_does(service: Service) -> None:
    execution = await begun(service, 1)
    async with client_of(service) as client:
        heard = Heard()
        listener = asyncio.create_task(listen(client, f"/executions/{execution}/events", heard))
        await until(lambda: heard.events)
        service.state.feeds.close()
        await listener
        assert heard.over


async def test_a_retried_run_opens_the_execution_again(service: Service) -> None:
    execution = await begun(service, 1)
    await carry_out(service, end=BROKEN)
    async with client_of(service) as client:
        path = f"/executions/{execution}/events"
        first = await listen(client, path, Heard())
        assert first.types == ["execution_started", "run_started", "run_completed", "execution_completed"]
        retried = await service.client("run").post(f"/executions/{execution}/retry")
        assert retried.json() == {"cancelled": 0, "stopping": 0, "retried": 1}
        heard = Heard()
        listener = asyncio.create_task(listen(client, path, heard, Last_Event_ID=first.last))
        await until(lambda: heard.events)
        await carry_out(service)
        await listener
        assert heard.types == ["run_retried", "run_started", "run_completed", "execution_completed"]
        assert heard.ids == numbers(5, 8)


# --- journals ---------------------------------------------------------------------------------------------------------


async def test_the_journal_of_a_run_with_two_attempts(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_FRAMES", 3)
    await begun(service, 1)
    writer, queue = service.database.writer, service.database.queue
    [run] = await queue.claim("w", 1)
    async with client_of(service) as client:
        path, heard = f"/runs/{run.id}/events", Heard()
        listener = asyncio.create_task(listen(client, path, heard))
        for number in range(5):
            await writer.append(run, 1, [(number, LINE % (number, number))])
            await until(lambda number=number: len(heard.events) == number + 1)
        await writer.append(run, 2, [(0, LINE % (0, 0)), (1, LINE % (1, 1))])
        await until(lambda: len(heard.events) == 8)
        await queue.finish(run, PASSED)
        await listener
        assert [event.id or event.event for event in heard.events[:5]] == ["1.0", "1.1", "1.2", "1.3", "1.4"]
        assert heard.types[5:] == ["attempt_started", "message_added", "message_added", "run_ended"]
        assert [event.id for event in heard.events[6:8]] == ["2.0", "2.1"]
        assert json.loads(heard.events[5].data) == {"attempt": 2}
        assert json.loads(heard.events[-1].data) == {"run_id": run.id, "status": "completed", "outcome": "pass"}
        assert json.loads(heard.events[1].data) == {
            "attempt": 1, "seq": 1, "at": 1.0, "type": "message_added", "message_id": "m1",
        }  # fmt: skip
        whole = [(event.event, event.data) for event in heard.events]
        for place, known in enumerate(["1.0", "1.1", "1.2", "1.3", "1.4", "", "2.0"]):
            if known:
                rest = await listen(client, f"{path}?after={known}", Heard())
                assert [(event.event, event.data) for event in rest.events] == whole[place + 1 :], known
        assert (await listen(client, path, Heard(), Last_Event_ID="2.1")).status == 204
        assert (await listen(client, f"{path}?after=3.0", Heard())).status == 422


# --- several servers, and a database that goes away -------------------------------------------------------------------


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    """A PostgreSQL database with tables."""
    url = postgres.new_database()

    async def make() -> None:
        async with Database.open(url, create=True):
            pass

    asyncio.run(make())
    return url


async def test_two_servers_on_one_database_tell_the_same(postgres_url: str) -> None:
    async with open_service(postgres_url) as one, AsyncExitStack() as stack:
        another = create_app(ServerSettings(store=postgres_url, token_required=True))
        await stack.enter_async_context(another.router.lifespan_context(another))
        execution = await begun(one, 30)
        headers = {"Authorization": f"Bearer {one.tokens['read', 'shop']}"}
        everybody, listeners = [Heard() for _ in range(6)], list[asyncio.Task[Heard]]()
        for place, app in enumerate((one.app, another)):
            url = await stack.enter_async_context(listening(app))
            client = await stack.enter_async_context(httpx.AsyncClient(base_url=url, headers=headers, timeout=None))
            for heard in everybody[place::2]:
                listeners.append(asyncio.create_task(listen(client, f"/executions/{execution}/events", heard)))
        await carry_out(one, 20)
        restarted = await listen(client, f"/executions/{execution}/events", Heard(), upto=9)  # and goes away again
        await carry_out(one)
        await asyncio.gather(*listeners)
        assert restarted.ids == numbers(1, 9)
        assert all(heard.ids == numbers(1, 62) for heard in everybody)
        assert len({tuple(event.data for event in heard.events) for heard in everybody}) == 1


async def test_a_database_that_goes_away_and_comes_back(postgres_url: str) -> None:
    async with (
        proxied(postgres_url) as (there, proxy),
        open_service(there) as service,
        Database.open(postgres_url) as own,
    ):
        execution = await begun(service, 6)
        async with client_of(service) as client:
            path, heard = f"/executions/{execution}/events", Heard()
            listener = asyncio.create_task(listen(client, path, heard))
            await carry_out(service, 2)
            await until(lambda: heard.types.count("run_completed") == 2)
            target, proxy.target = proxy.target, 9  # nobody is there
            for writer in tuple(proxy.writers):
                writer.transport.abort()
            while claimed := await own.queue.claim("w", 1):  # another process goes on
                await own.queue.finish(claimed[0], PASSED)
            proxy.target = target
            await listener
            assert heard.ids == numbers(1, 14)
            assert (await listen(client, path, Heard(), Last_Event_ID="9")).ids == numbers(10, 14)


async def test_a_worker_that_dies_is_no_news(service: Service) -> None:
    execution = await begun(service, 2)
    async with client_of(service) as client:
        heard = Heard()
        listener = asyncio.create_task(listen(client, f"/executions/{execution}/events", heard))
        await service.database.queue.claim("w", 2)
        await until(lambda: heard.types.count("run_started") == 2)
        await end_lease(service.database, "w")
        assert len((await service.database.queue.recover()).requeued) == 2
        await service.database.queue.register(worker_record("another"))
        for run in await service.database.queue.claim("another", 2):
            await service.database.queue.finish(run, PASSED)
        await listener
        assert heard.ids == numbers(1, 6)
        assert heard.types.count("run_started") == heard.types.count("run_completed") == 2
