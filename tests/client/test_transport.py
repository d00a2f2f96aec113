"""How the client sends requests, whatever the operation: again where that is safe, with one error for each refusal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any, Literal

import pytest
from scripted_service import ScriptedService, breaks, event, gives, problem, scripted_service, streams

from duologue.client._answer import Answer
from duologue.client._async import AsyncCaller, AsyncPages, AsyncSender
from duologue.client._request import Request, path
from duologue.client._settings import settings_of
from duologue.client._sync import Caller, LoopThread, Pages
from duologue.context import Context, RandomIds
from duologue.errors import (
    ConfigurationError,
    RefusedField,
    ServiceAccessError,
    ServiceBusyError,
    ServiceConflictError,
    ServiceError,
    ServiceInputError,
    ServiceNotFoundError,
    ServiceUnavailableError,
)

TOKEN = "dt_s3cr3t-0f-the-service"


class Thing(Answer):
    id: str
    status: Literal["new", "old"] | str = "new"
    at: datetime | None = None


class Things(Answer):
    data: tuple[Thing, ...]
    next: str | None = None


class QuickClock:
    """Nobody waits, and it is known for how long they would have."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return 1_800_000_000.0

    monotonic = now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def service() -> Iterator[ScriptedService]:
    with scripted_service() as running:
        yield running


@pytest.fixture
def clock() -> QuickClock:
    return QuickClock()


def settings(service: ScriptedService, **options: Any) -> Any:
    given = {"project": None, "timeout": 30.0, "idle_timeout": 30.0, "retries": 3, **options}
    return settings_of(service.url, TOKEN, **given)


@pytest.fixture
async def caller(service: ScriptedService, clock: QuickClock) -> AsyncIterator[AsyncCaller]:
    sender = AsyncSender(settings(service), Context(clock=clock, ids=RandomIds(clock)))
    yield AsyncCaller(sender, sender.settings)
    await sender.close()


GET = Request(method="GET", path="/things/1")
CREATE = Request(method="POST", path="/things", body={"name": "a"}, keyed=True)
CHANGE = Request(method="PATCH", path="/things/1", body={"name": "b"})


async def test_an_answer_is_a_model_with_its_etag_and_unknown_things_pass(
    service: ScriptedService, caller: AsyncCaller
):
    service.answers(gives({"id": "1", "status": "brand new", "at": "2026-01-02T03:04:05Z", "more": [1]}, etag='"e1"'))
    found = await caller._send(GET, Thing)
    assert found == Thing(id="1", status="brand new", at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert found.etag == '"e1"'
    assert service.asked[0].headers["authorization"] == f"Bearer {TOKEN}"
    with pytest.raises(ValueError, match="frozen"):
        found.id = "2"


@pytest.mark.parametrize("first", [breaks, problem(503, "store_unavailable", retry_after="2"), gives(b"<html>", 502)])
async def test_what_passes_is_sent_again(service: ScriptedService, caller: AsyncCaller, clock: QuickClock, first: Any):
    service.answers(first, first, gives({"id": "1"}))
    assert (await caller._send(CREATE, Thing)).id == "1"
    assert [asked.json for asked in service.asked] == [{"name": "a"}] * 3
    [key] = {asked.headers["idempotency-key"] for asked in service.asked}
    assert key
    assert len(clock.waits) == 2
    assert await caller._send(CREATE, Thing)
    assert service.asked[-1].headers["idempotency-key"] != key


async def test_a_key_of_ones_own_is_sent(service: ScriptedService, caller: AsyncCaller):
    service.answers(gives({"id": "1"}))
    await caller._send(Request(method="POST", path="/things", body={}, keyed=True, key="mine"), Thing)
    assert service.asked[0].headers["idempotency-key"] == "mine"


async def test_the_pause_is_what_the_service_asks_for(service: ScriptedService, caller: AsyncCaller, clock: QuickClock):
    service.answers(problem(429, "too_many_requests", retry_after="7"), gives({"id": "1"}))
    await caller._send(GET, Thing)
    assert clock.waits == [7.0]
    service.answers(problem(429, "too_many_requests", retry_after="3600"))
    with pytest.raises(ServiceBusyError) as caught:
        await caller._send(GET, Thing)
    assert caught.value.retry_after == 3600
    assert clock.waits == [7.0], "nobody waits for an hour"


@pytest.mark.parametrize("first", [breaks, problem(503, "store_unavailable", retry_after="2")])
async def test_a_change_is_sent_once(service: ScriptedService, caller: AsyncCaller, first: Any):
    service.answers(first)
    with pytest.raises(ServiceUnavailableError):
        await caller._send(CHANGE, Thing)
    assert len(service.asked) == 1


async def test_the_first_request_with_a_key_is_waited_for(service: ScriptedService, caller: AsyncCaller):
    service.answers(problem(409, "conflict", "at work", retry_after="1"), gives({"id": "1"}))
    assert (await caller._send(CREATE, Thing)).id == "1"


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "malformed", ServiceInputError),
        (401, "unauthenticated", ServiceAccessError),
        (403, "forbidden", ServiceAccessError),
        (404, "not_found", ServiceNotFoundError),
        (409, "conflict", ServiceConflictError),
        (412, "changed_meanwhile", ServiceConflictError),
        (422, "invalid", ServiceInputError),
        (500, "internal", ServiceError),
        (501, "missing_extra", ServiceError),
        (502, "agent_failed", ServiceError),
        (307, "moved", ServiceError),
    ],
)
async def test_each_refusal_has_an_error_and_is_not_sent_again(
    service: ScriptedService, caller: AsyncCaller, status: int, code: str, kind: type[ServiceError]
):
    service.answers(problem(status, code, "the reason", [{"path": "turns[0].role", "message": "found 5"}, "odd"]))
    with pytest.raises(ServiceError) as caught:
        await caller._send(GET, Thing)
    error = caught.value
    assert (type(error), error.status, error.code) == (kind, status, code)
    assert error.problems == (RefusedField("turns[0].role", "found 5"),)
    assert "the reason" in str(error)
    assert "turns[0].role: found 5" in str(error)
    assert len(service.asked) == 1


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[1]", b'{"detail": 5, "problems": 3, "code": null}', b"[" * 9999])
async def test_any_body_of_an_error_is_an_error(service: ScriptedService, caller: AsyncCaller, body: bytes):
    service.answers(gives(body, 418))
    with pytest.raises(ServiceError) as caught:
        await caller._send(GET, Thing)
    assert caught.value.status == 418


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"id": 5}', b"null"])
async def test_an_answer_that_cannot_be_read_is_an_error(service: ScriptedService, caller: AsyncCaller, body: bytes):
    service.answers(gives(body))
    with pytest.raises(ServiceError, match="cannot read") as caught:
        await caller._send(GET, Thing)
    assert caught.value.code == "unreadable_answer"


async def test_the_token_is_nowhere(service: ScriptedService, caller: AsyncCaller):
    service.answers(problem(422, "invalid", f"you sent Bearer {TOKEN}", [{"path": "x", "message": TOKEN}]))
    with pytest.raises(ServiceError) as caught:
        await caller._send(GET, Thing)
    service.answers(gives(f"oh {TOKEN}".encode(), 418))
    with pytest.raises(ServiceError) as plain:
        await caller._send(GET, Thing)
    for text in (str(caught.value), str(plain.value), repr(settings(service)), repr(GET)):
        assert TOKEN not in text


@pytest.mark.parametrize("given", ["a b c", "line\nbreak", "schlüssel"])
def test_a_token_that_is_none_is_refused_and_not_shown(given: str):
    with pytest.raises(ConfigurationError) as caught:
        settings_of("http://127.0.0.1:1", given, project=None, timeout=1, idle_timeout=1, retries=0)
    assert given not in str(caught.value)


def test_the_environment_says_what_nobody_has_passed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DUOLOGUE_API_URL", "https://duologue.example.com/api/v1/")
    monkeypatch.setenv("DUOLOGUE_API_TOKEN", "dt_from-the-environment\n")
    found = settings_of(None, None, project=None, timeout=1, idle_timeout=1, retries=0)
    assert (found.url, found.token) == ("https://duologue.example.com", "dt_from-the-environment")
    assert settings_of("http://127.0.0.1:1", "", project=None, timeout=1, idle_timeout=1, retries=0).token is None
    for wrong in ({"timeout": 0.0}, {"idle_timeout": -1.0}, {"retries": -1}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            settings_of(None, None, **{"project": None, "timeout": 1, "idle_timeout": 1, "retries": 0, **wrong})
    for url in ("duologue.example.com", "ftp://x", "http://u:p@x", "http://x?token=1"):
        with pytest.raises(ConfigurationError):
            settings_of(url, None, project=None, timeout=1, idle_timeout=1, retries=0)


async def test_an_answer_that_does_not_come_is_an_error(service: ScriptedService, clock: QuickClock):
    service.answers(streams(ends="silent"))
    sender = AsyncSender(settings(service, timeout=0.05, retries=1), Context(clock=clock))
    with pytest.raises(ServiceUnavailableError, match="within"):
        await sender.send(GET, Thing, sender.settings)
    assert len(service.asked) == 2
    await sender.close()


async def test_nobody_there_is_an_error_that_names_the_service(clock: QuickClock):
    with scripted_service() as gone:
        pass
    sender = AsyncSender(settings(gone), Context(clock=clock))
    with pytest.raises(ServiceUnavailableError, match=gone.url):
        await sender.send(GET, Thing, sender.settings)
    assert len(clock.waits) == 3
    await sender.close()


# Paths and queries


@pytest.mark.parametrize(
    ("id_", "written"), [("a/b", "a%2Fb"), ("../x", "..%2Fx"), ("ä?#", "%C3%A4%3F%23"), ("{id}", "%7Bid%7D"), (7, "7")]
)
def test_an_id_stays_one_segment(id_: object, written: str):
    assert path("/things/{id}/parts/{part}", id_, 1) == f"/things/{written}/parts/1"


@pytest.mark.parametrize("id_", ["", ".", ".."])
def test_an_id_that_would_lead_elsewhere_is_refused(id_: str):
    with pytest.raises(ServiceInputError):
        path("/things/{id}", id_)


def test_queries_leave_out_what_is_not_given():
    query = {"a": None, "b": True, "c": ["x", "y"], "d": datetime(2026, 1, 2, tzinfo=UTC), "e": 0}
    request = Request(method="GET", path="/x", query=query, in_project=True)
    assert request.address(None) == "/x?b=true&c=x&c=y&d=2026-01-02T00%3A00%3A00%2B00%3A00&e=0"
    assert request.address("shop & co").endswith("&project=shop+%26+co")
    assert Request(method="GET", path="/x").address("shop") == "/x"


# Pages


def pages_of(service: ScriptedService) -> None:
    service.answers(
        gives({"data": [{"id": "1"}, {"id": "2"}], "next": "c1"}),
        gives({"data": [], "next": "c2"}),
        gives({"data": [{"id": "3"}], "next": None}),
    )


LIST = Request(method="GET", path="/things", query={"limit": 2})


async def test_pages_are_read_as_they_are_iterated_over(service: ScriptedService, caller: AsyncCaller):
    pages_of(service)
    pages = AsyncPages(caller, LIST, Things, "cursor")
    first = await anext(pages)
    assert (first.id, len(service.asked)) == ("1", 1)
    assert [item.id async for item in AsyncPages(caller, LIST, Things, "cursor")] == ["3"]
    pages_of(service)
    assert [item.id for item in await AsyncPages(caller, LIST, Things, "cursor").all()] == ["1", "2", "3"]
    assert [asked.path for asked in service.asked[-3:]] == [
        "/things?limit=2",
        "/things?limit=2&cursor=c1",
        "/things?limit=2&cursor=c2",
    ]


async def test_a_cursor_that_does_not_move_ends_the_list(service: ScriptedService, caller: AsyncCaller):
    service.answers(gives({"data": [{"id": "1"}], "next": "c"}))
    assert len(await AsyncPages(caller, LIST, Things, "cursor").all()) == 2


# Events

FOLLOW = Request(method="GET", path="/events")


async def ids_of(caller: AsyncCaller, last: str | None = None) -> list[str]:
    async with aclosing(caller._events(FOLLOW, last)) as events:
        return [item.id async for item in events]


async def test_a_stream_that_breaks_is_continued_with_the_next_event(service: ScriptedService, caller: AsyncCaller):
    service.answers(
        streams(": hello\n\n", event("1", "started", {"a": 1}), event("2", "said", {}), ends="broken"),
        breaks,
        streams(event("3", "said", {}), ends="broken"),
        problem(503, "stopping", retry_after="1"),
        streams("retry: 20\n\n", event("4", "over", {})),
        streams(),
    )
    assert await ids_of(caller) == ["1", "2", "3", "4"]
    assert [asked.headers.get("last-event-id") for asked in service.asked] == [None, "2", "2", "3", "3", "4"]


async def test_a_stream_ends_where_a_connection_brings_nothing_new(service: ScriptedService, caller: AsyncCaller):
    service.answers(streams(event("9", "over", {})), gives(b"", 204))
    assert await ids_of(caller, last="8") == ["9"]
    assert [asked.headers["last-event-id"] for asked in service.asked] == ["8", "9"]


async def test_an_event_keeps_its_type_and_data(service: ScriptedService, caller: AsyncCaller):
    service.answers(streams(event("1", "said", {"text": "hé"}), "id: 2\ndata: plain\n\n"), gives(b"", 204))
    async with aclosing(caller._events(FOLLOW, None)) as events:
        found = [(item.id, item.type, item.data) async for item in events]
    assert found == [("1", "said", {"text": "hé"}), ("2", "message", {"text": "plain"})]


async def test_a_silent_stream_is_given_up_and_continued(service: ScriptedService, clock: QuickClock):
    service.answers(streams(event("1", "said", {}), ends="silent"), streams(event("2", "over", {})), gives(b"", 204))
    sender = AsyncSender(settings(service, idle_timeout=0.1), Context(clock=clock))
    assert await ids_of(AsyncCaller(sender, sender.settings)) == ["1", "2"]
    await sender.close()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(404, "not_found"), ServiceNotFoundError),
        (gives({"a": 1}), ServiceError),
        (breaks, ServiceUnavailableError),
    ],
)
async def test_a_stream_that_is_none_is_an_error(
    service: ScriptedService, caller: AsyncCaller, answer: Any, kind: type[ServiceError]
):
    service.answers(answer)
    with pytest.raises(kind):
        await ids_of(caller)
    assert len(service.asked) == (4 if answer is breaks else 1)


# Without an event loop


def blocking(service: ScriptedService, clock: QuickClock) -> tuple[Caller, LoopThread]:
    thread = LoopThread()
    sender = AsyncSender(settings(service), Context(clock=clock))
    return Caller(sender, thread, sender.settings), thread


async def test_the_blocking_face_does_the_same_in_a_thread_that_ends(service: ScriptedService, clock: QuickClock):
    """Also where an event loop is running, as in a notebook."""
    before = threading.active_count()
    caller, thread = blocking(service, clock)
    service.answers(breaks, gives({"id": "1"}, etag='"e"'))
    assert caller._send(GET, Thing).etag == '"e"'
    pages_of(service)
    pages = Pages(caller, LIST, Things, "cursor")
    assert [item.id for item in pages] == ["1", "2", "3"]
    service.answers(streams(event("1", "said", {}), ends="broken"), streams(event("2", "over", {})), gives(b"", 204))
    assert [item.id for item in caller._events(FOLLOW, None)] == ["1", "2"]
    thread.stop()
    thread.stop()
    with pytest.raises(ServiceError, match="closed"):
        caller._send(GET, Thing)
    assert threading.active_count() <= before + 3  # those of the server


def test_leaving_a_stream_leaves_the_service(service: ScriptedService, clock: QuickClock):
    caller, thread = blocking(service, clock)
    service.answers(streams(event("1", "said", {}), ends="silent"))
    events = caller._events(FOLLOW, None)
    assert next(events).id == "1"
    events.close()
    assert service.gone.wait(60)
    thread.stop()


def test_a_thread_ends_with_its_owner():
    thread = LoopThread()
    loop = thread._loop
    del thread
    for _ in range(1000):
        if loop.is_closed():
            break
        threading.Event().wait(0.01)
    assert loop.is_closed()
