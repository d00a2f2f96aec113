"""Production calls: each is fetched once, whatever happens between two pages, and becomes a test case."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from call_platforms import BASE, KEY, CallPlatforms, FakeCall
from loopback import Answer, Asked, LoopbackServer, loopback_server
from openai_server import OpenAIServer, openai_server, text

from duologue.context import Context
from duologue.errors import ConfigurationError, NotFoundError, PlatformError
from duologue.runs.service import RunService
from duologue.runs.store.calls import CallSource
from duologue.runs.store.database.calls import Calls
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.suites.manifests.writer import scenario_text

on_sqlite = pytest.mark.parametrize("where", ["sqlite"], indirect=True)
EVERY = pytest.mark.parametrize("platform", ["retell", "vapi", "elevenlabs"])


class QuickClock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._passed = 0.0

    def now(self) -> float:
        return BASE / 1000 + 90 * 24 * 3600 + self._passed

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._passed += seconds


@pytest.fixture
def platforms() -> CallPlatforms:
    return CallPlatforms()


@pytest.fixture
def server(platforms: CallPlatforms) -> Iterator[LoopbackServer]:
    with loopback_server(platforms) as running:
        yield running


@pytest.fixture
async def service(database: Database, monkeypatch: pytest.MonkeyPatch) -> RunService:
    for name in ("RETELL_API_KEY", "VAPI_API_KEY", "ELEVENLABS_API_KEY"):
        monkeypatch.setenv(name, KEY)
    database.context = Context(clock=QuickClock())
    project = await SavedDefinitions(database).get_project("p")
    assert project is not None
    return RunService(database, project)


async def source(service: RunService, server: LoopbackServer, platform: str = "retell", **spec: Any) -> CallSource:
    return await service.put_call_source(platform, "agent_1", url=server.url, allow_private_addresses=True, **spec)


async def ids(service: RunService) -> list[str]:
    return [call.platform_call_id for call in await service.list_calls()]


class TestPulling:
    @on_sqlite
    @EVERY
    async def test_each_call_is_fetched_once(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, platform: str
    ) -> None:
        platforms.add(130)
        of = await source(service, server, platform)
        pulled = await service.pull_calls(of.id)
        assert (pulled.new, pulled.more, pulled.problems) == (130, False, ())
        assert sorted(await ids(service)) == sorted(call.id for call in platforms.calls)
        assert (await ids(service))[:2] == ["c129", "c128"]
        platforms.add(3, start=130 * 60_000, prefix="n")
        platforms.pages = 0
        again = await service.pull_calls(of.id)
        assert (again.new, again.more) == (3, False)
        assert platforms.pages == 1
        assert len(await ids(service)) == 133

    @on_sqlite
    @EVERY
    async def test_at_most_so_many_pages_and_the_rest_the_next_time(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, platform: str
    ) -> None:
        platforms.add(250)
        of = await source(service, server, platform)
        first = await service.pull_calls(of.id, pages=1)
        assert (first.pages, first.more, first.source.watermark) == (1, True, None)
        platforms.add(5, start=250 * 60_000, prefix="n")
        second = await service.pull_calls(of.id, pages=2)
        assert second.more
        assert "n4" in await ids(service)
        done = await service.pull_calls(of.id)
        assert not done.more
        assert done.source.watermark == pytest.approx(platforms.calls[-1].start / 1000, abs=1)
        found = await ids(service)
        assert len(found) == len(set(found)) == 255

    @on_sqlite
    @EVERY
    async def test_a_process_that_ends_between_two_pages_loses_and_doubles_nothing(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, platform: str
    ) -> None:
        platforms.add(480)
        of = await source(service, server, platform)
        for last in (1, 2, 3):
            platforms.pages = 0
            platforms.before = _dies_after(platforms, last)
            with pytest.raises(PlatformError):
                await service.pull_calls(of.id)
        platforms.before = None
        await service.pull_calls(of.id)
        found = await ids(service)
        assert len(found) == len(set(found)) == 480

    @on_sqlite
    async def test_a_page_that_could_not_be_stored_is_fetched_again(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        platforms.add(250)
        of = await source(service, server)
        store, count = Calls.store_page, 0

        async def breaks(self: Calls, *arguments: Any) -> int:
            nonlocal count
            count += 1
            if count == 2:
                raise KeyboardInterrupt
            return await store(self, *arguments)

        with monkeypatch.context() as patched:
            patched.setattr(Calls, "store_page", breaks)
            with pytest.raises(KeyboardInterrupt):
                await service.pull_calls(of.id)
        assert len(await ids(service)) == 100
        await service.pull_calls(of.id)
        assert len(await ids(service)) == 250

    @on_sqlite
    @EVERY
    async def test_a_call_that_is_not_over_is_fetched_when_it_is(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, platform: str
    ) -> None:
        now = round(service.database.context.clock.now() * 1000)
        platforms.calls = [
            FakeCall("old", now - 7200_000),
            FakeCall("long", now - 3600_000, over=False),
            FakeCall("short", now - 600_000),
        ]
        of = await source(service, server, platform)
        first = await service.pull_calls(of.id)
        assert (first.new, first.under_way) == (2, 1)
        platforms.calls[1].over = True
        assert (await service.pull_calls(of.id)).new == 1
        assert sorted(await ids(service)) == ["long", "old", "short"]

    @on_sqlite
    async def test_a_call_that_never_ends_holds_nothing_up(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms
    ) -> None:
        platforms.add(300)
        platforms.calls[0].over = False  # months ago
        of = await source(service, server)
        await service.pull_calls(of.id)
        platforms.pages = 0
        await service.pull_calls(of.id)
        assert platforms.pages == 1

    @on_sqlite
    @EVERY
    async def test_what_cannot_be_read_is_left_out_and_named(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, platform: str
    ) -> None:
        platforms.add(2)
        deep: Any = []
        for _ in range(150):
            deep = [deep]
        nothing = {"call_id": "", "id": "", "conversation_id": ""}
        broken: list[Any] = [None, 7, "call", [], {}, nothing, {"call_id": 5, "id": 5, "conversation_id": None}]
        platforms.broken = [*broken, {"call_id": "d", "id": "d", "conversation_id": "d", "deep": deep}]
        odd = {"call_status": "ended", "start_timestamp": "soon", "transcript": "", "status": "done"}
        platforms.broken.append({"call_id": "odd", "id": "odd", "conversation_id": "odd", "transcript": [], **odd})
        of = await source(service, server, platform)
        pulled = await service.pull_calls(of.id)
        assert len(pulled.problems) == 8
        assert "c0" in await ids(service)
        if platform != "vapi":
            assert "odd" in await ids(service)

    @on_sqlite
    async def test_transcripts_that_lists_leave_out_are_asked_for(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms
    ) -> None:
        platforms.transcripts_in_lists = False
        platforms.add(3)
        platforms.before = _missing("/v2/get-call/c1")
        of = await source(service, server)
        pulled = await service.pull_calls(of.id)
        assert pulled.new == 3
        assert ["c1" in problem for problem in pulled.problems] == [True]
        by_id = {call.platform_call_id: call.id for call in await service.list_calls()}
        assert (await service.call_recording(by_id["c0"])).messages[1].message["content"] == "My kettle leaks."
        assert (await service.call_recording(by_id["c1"])).error is not None


def _dies_after(platforms: CallPlatforms, pages: int) -> Callable[[Asked], Answer | None]:
    return lambda asked: Answer(status=400, body={"message": "gone"}) if platforms.pages >= pages else None


def _missing(path: str) -> Callable[[Asked], Answer | None]:
    return lambda asked: Answer(status=404, body={"message": "no such call"}) if asked.path == path else None


@on_sqlite
class TestBusyPlatforms:
    @pytest.mark.parametrize("status", [429, 500, 502, 503, 529])
    async def test_a_busy_platform_is_asked_again(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, status: int
    ) -> None:
        platforms.add(2)
        answers = iter([Answer(status=status, headers={"Retry-After": "7"}), Answer(status=status)])
        platforms.before = lambda asked: next(answers, None)
        of = await source(service, server)
        assert (await service.pull_calls(of.id)).new == 2
        assert _slept(service) == [7.0, 2.0]

    async def test_it_is_not_waited_for_without_end(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms
    ) -> None:
        platforms.before = lambda asked: Answer(status=503, body={"message": "busy"})
        of = await source(service, server)
        with pytest.raises(PlatformError, match=r"did not answer within 90 s; the last answer: HTTP 503.*busy"):
            await service.pull_calls(of.id)
        assert sum(_slept(service)) <= 90
        assert len(server.asked) <= 20

    async def test_a_wait_of_an_hour_is_refused_at_once(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms
    ) -> None:
        platforms.before = lambda asked: Answer(status=429, headers={"Retry-After": "3600"})
        of = await source(service, server)
        with pytest.raises(PlatformError, match="HTTP 429"):
            await service.pull_calls(of.id)
        assert _slept(service) == []

    @pytest.mark.parametrize(
        ("answer", "why"),
        [
            (Answer(body=b"<html>"), "not JSON"),
            (Answer(body=b"[" * 100_000), "not JSON"),
            (Answer(body={"message": "hi"}), "items"),
            (Answer(status=302, headers={"Location": "http://127.0.0.1:9/"}), "HTTP 302"),
            (Answer(status=400, body={"message": "bad filter"}), "bad filter"),
        ],
    )
    async def test_answers_that_are_no_list(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, answer: Answer, why: str
    ) -> None:
        platforms.before = lambda asked: answer
        of = await source(service, server)
        with pytest.raises(PlatformError, match=why):
            await service.pull_calls(of.id)
        assert len(server.asked) == 1

    async def test_a_refused_key_is_named_but_not_shown(
        self, service: RunService, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RETELL_API_KEY", "wrong-0815-abcdefgh")
        of = await source(service, server)
        with pytest.raises(ConfigurationError, match="refused the key") as caught:
            await service.pull_calls(of.id)
        assert "wrong-0815" not in str(caught.value)

    async def test_a_missing_key_and_a_private_address(
        self, service: RunService, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed = await service.put_call_source("vapi", "agent_1", url=server.url)
        with pytest.raises(ConfigurationError, match="allow_private_addresses"):
            await service.pull_calls(closed.id)
        monkeypatch.delenv("VAPI_API_KEY")
        with pytest.raises(ConfigurationError, match="VAPI_API_KEY"):
            await service.pull_calls(closed.id)
        assert server.asked == []


def _slept(service: RunService) -> list[float]:
    clock: Any = service.database.context.clock
    return clock.slept


class TestSources:
    async def test_a_source_is_saved_once_and_changed(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms
    ) -> None:
        agent = await service.create_agent({"agent": {"name": "shop", "http": {"url": "http://h"}}})
        made = await source(service, server)
        platforms.add(2)
        await service.pull_calls(made.id)
        again = await service.put_call_source("retell", "agent_1", agent_id=agent.id, url=server.url)
        assert (again.id, again.agent_id, again.so_far.newest is not None) == (made.id, agent.id, True)
        assert [call.agent_id for call in await service.list_calls(agent_id=agent.id)] == [agent.id] * 2
        assert await service.list_call_sources(agent_id=agent.id) == [again]
        assert await service.delete_call_source(made.id)
        assert await service.list_calls() == []
        with pytest.raises(NotFoundError):
            await service.pull_calls(made.id)

    @on_sqlite
    @pytest.mark.parametrize(
        ("platform", "id_", "spec", "why"),
        [
            ("fax", "a", {}, "expected one of"),
            ("retell", " ", {}, "platform_agent_id"),
            ("retell", "a", {"api_key": "key_4f9a8b7c6d5e4f3a2b1c"}, "written out"),
            ("retell", "a", {"speed": 1}, "speed"),
        ],
    )
    async def test_sources_that_cannot_be(
        self, service: RunService, platform: str, id_: str, spec: dict[str, Any], why: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=why):
            await service.put_call_source(platform, id_, **spec)

    @on_sqlite
    async def test_another_project_sees_nothing(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, database: Database
    ) -> None:
        platforms.add(1)
        of = await source(service, server)
        await service.pull_calls(of.id)
        [call] = await service.list_calls()
        project = await SavedDefinitions(database).get_project("q")
        assert project is not None
        other = RunService(database, project)
        assert await other.list_calls() == []
        assert await other.get_call(call.id) is None
        assert await other.label_call(call.id, "bad") is None
        assert not await other.delete_call(call.id)
        assert await other.get_call_source(of.id) is None
        assert not await other.delete_call_source(of.id)
        found = await service.get_call(call.id)
        assert found is not None
        assert found.label is None


class TestCalls:
    async def test_calls_are_seen_labelled_and_deleted(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms
    ) -> None:
        platforms.add(5)
        of = await source(service, server)
        await service.pull_calls(of.id)
        every = await service.list_calls()
        assert [call.platform_call_id for call in every] == ["c4", "c3", "c2", "c1", "c0"]
        assert await service.list_calls(limit=2, after=every[1].id) == every[2:4]
        assert every[0].data is None
        assert every[0].seconds == 42
        seen = await service.get_call(every[0].id, mark_seen=True)
        assert seen is not None
        assert seen.seen_at is not None
        assert seen.data is not None
        again = await service.get_call(every[0].id, mark_seen=True)
        assert again == seen
        assert len(await service.list_calls(seen=False)) == 4
        labelled = await service.label_call(every[1].id, "bad")
        assert labelled is not None
        assert labelled.label == "bad"
        assert [call.id for call in await service.list_calls(label="bad")] == [every[1].id]
        with pytest.raises(ConfigurationError, match="good, bad or None"):
            await service.label_call(every[1].id, "meh")
        assert await service.delete_call(every[0].id)
        assert not await service.delete_call(every[0].id)
        assert await service.get_call(every[0].id) is None
        assert (await service.pull_calls(of.id)).new == 0
        assert len(await service.list_calls()) == 4

    @on_sqlite
    @EVERY
    async def test_a_call_is_a_recording_and_a_test_case_without_a_model(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, platform: str
    ) -> None:
        platforms.add(1)
        of = await source(service, server, platform)
        await service.pull_calls(of.id)
        [call] = await service.list_calls()
        recording = await service.call_recording(call.id)
        assert [item.message["role"] for item in recording.messages] == ["assistant", "user", "assistant"]
        assert (recording.format, recording.session_id) == (platform, "c0")
        made = await service.create_test_case_from_call(call.id, write=False)
        assert [turn.content for turn in made.saved[0].spec.turns] == ["My kettle leaks."]
        assert made.saved[0].spec.annotations["duologue/source"] == f"{platform} call c0"
        assert "My kettle leaks." in scenario_text(made.scenarios[0])

    async def test_a_call_becomes_one_run_that_nobody_has_judged(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms
    ) -> None:
        platforms.add(1)
        of = await source(service, server)
        await service.pull_calls(of.id)
        [call] = await service.list_calls()
        ids = {await service.record_call(call.id) for _ in range(2)}
        [run] = await service.list_runs()
        assert ids == {run.id}
        assert (run.status, run.outcome, run.thread_id) == ("completed", "undecided", "c0")
        assert [message["content"] for message in run.messages][1] == "My kettle leaks."
        with pytest.raises(NotFoundError):
            await service.record_call("gone")

    @on_sqlite
    async def test_a_model_writes_the_test_case_of_a_call(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms, model: OpenAIServer
    ) -> None:
        platforms.add(1)
        of = await source(service, server)
        await service.pull_calls(of.id)
        [call] = await service.list_calls()
        case = {"name": "leak", "situation": "It leaks.", "goal": "A new one.", "criteria": ["It helps"]}
        model.script(text(json.dumps({"cases": [case]})))
        settings = {
            "evaluation_model": "writer",
            "models": [{"name": "writer", "provider": "openai", "model": "x", "base_url": model.url, **_KEY}],
        }
        await service.update_project(settings=settings)
        made = await service.create_test_case_from_call(call.id, instructions="in German")
        assert made.saved[0].spec.annotations == {"duologue/source": "retell call c0"}
        asked = json.dumps(model.requests[0]["messages"])
        assert "My kettle leaks." in asked
        assert "in German" in asked

    @on_sqlite
    async def test_a_call_in_which_nobody_speaks_is_no_test_case(
        self, service: RunService, server: LoopbackServer, platforms: CallPlatforms
    ) -> None:
        platforms.calls = [FakeCall("silent", BASE, said=[]), FakeCall("agent", BASE + 1, said=[("agent", "Hello?")])]
        of = await source(service, server)
        await service.pull_calls(of.id)
        for call in await service.list_calls():
            for write in (True, False):
                with pytest.raises(ConfigurationError):
                    await service.create_test_case_from_call(call.id, write=write, model="openai/x")
        with pytest.raises(NotFoundError):
            await service.create_test_case_from_call("gone")


_KEY = {"credential": {"credential_env": "RETELL_API_KEY"}}


@pytest.fixture
async def model() -> AsyncIterator[OpenAIServer]:
    async with openai_server() as running:
        yield running
