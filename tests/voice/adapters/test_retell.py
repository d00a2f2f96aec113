"""Agents of Retell: the call is created over a fake of its API, the room is one of the fake of LiveKit's SDK."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import pytest
from livekit_sdk import FakeRoom, FakeSdk, Someone
from sounds import nothing_left, tone
from waiting import LONG
from webrtc_peer import HttpAsked, http_server

from duologue.errors import ConfigurationError
from duologue.voice.adapter import VoiceConnectionError
from duologue.voice.adapters import livekit_room
from duologue.voice.adapters.retell import LIVEKIT_URL, RetellAgentAdapter, RetellTranscript
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import (
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    CallEnded,
    Incoming,
    UserWords,
)
from duologue.voice.resample import resample

KEY = "key_4711abcdef"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJ2aWRlbyI6eyJyb29tSm9p.c2lnbmF0dXJl"


@pytest.fixture
def sdk(monkeypatch: pytest.MonkeyPatch) -> FakeSdk:
    fake = FakeSdk()
    agent = Someone("agent", 0)
    fake.on_join = lambda room: room.enters(agent)
    monkeypatch.setattr(livekit_room, "sdk", lambda: fake)
    return fake


class Api:
    """Retell's REST API."""

    def __init__(self, status: int = 201, answer: object = None) -> None:
        self.status = status
        self.answer = (
            {"call_type": "web_call", "call_id": "call-1", "access_token": TOKEN} if answer is None else answer
        )
        self.requests: list[HttpAsked] = []

    async def respond(self, asked: HttpAsked) -> tuple[int, dict[str, str], bytes]:
        self.requests.append(asked)
        body = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        return self.status, {"Content-Type": "application/json"}, body.encode()


@asynccontextmanager
async def in_a_call(sdk: FakeSdk) -> AsyncGenerator[tuple[RetellAgentAdapter, FakeRoom, Someone]]:
    api = Api()
    async with nothing_left(), http_server(api.respond) as url:
        adapter = RetellAgentAdapter("agent-7", KEY, url=url)
        async with adapter:
            room = sdk.rooms[-1]
            yield adapter, room, room.remote_participants["agent"]


async def take(adapter: RetellAgentAdapter, until: type) -> list[Incoming]:
    came: list[Incoming] = []
    while not came or not isinstance(came[-1], until):
        came.append(await adapter.receive(LONG))
    return came


def event(kind: str, **fields: object) -> bytes:
    return json.dumps({"event_type": kind, **fields}).encode()


def said(*entries: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in entries]


async def test_a_call_is_created_and_its_room_joined(sdk: FakeSdk, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG", "duologue")
    api = Api()
    async with nothing_left(), http_server(api.respond) as url:
        adapter = RetellAgentAdapter(
            "agent-7", KEY, agent_version=3, dynamic_variables={"name": "Ann"}, metadata={"run": "r1"}, url=url
        )
        async with adapter:
            assert adapter.call_id == "call-1"
            assert (sdk.rooms[0].url, sdk.rooms[0].token) == (LIVEKIT_URL, TOKEN)
            asked = api.requests[0]
            assert (asked.method, asked.path) == ("POST", "/v2/create-web-call")
            assert asked.headers["authorization"] == f"Bearer {KEY}"
            assert json.loads(asked.body) == {
                "agent_id": "agent-7",
                "agent_version": 3,
                "retell_llm_dynamic_variables": {"name": "Ann"},
                "metadata": {"run": "r1"},
            }
            shown = f"{adapter!r} {adapter.describe()} {caplog.text}"
            assert KEY not in shown
            assert TOKEN not in shown


async def test_the_answer_may_say_where_the_room_is(sdk: FakeSdk):
    api = Api(answer={"call_id": "c", "access_token": TOKEN, "transport": "livekit", "url": "wss://rooms.test"})
    async with http_server(api.respond) as url, RetellAgentAdapter("agent-7", KEY, url=url):
        assert sdk.rooms[0].url == "wss://rooms.test"


async def test_events_of_a_call(sdk: FakeSdk, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(RetellAgentAdapter, "turn_settles", 0.01)
    async with in_a_call(sdk) as (adapter, room, agent):
        assert not adapter.ends_turns
        agent.sound.put_nowait(resample(tone(440, 0.1), 24_000, 48_000))
        await take(adapter, AudioChunk)
        room.data("server", event("agent_start_talking"))
        room.data("server", event("update", transcript=said(("agent", "Hi"))))
        room.data("server", event("update", transcript=said(("agent", "Hi, who is this?"))))
        room.data("server", event("agent_stop_talking"))
        room.data("somebody", event("agent_start_talking"))
        room.data(None, event("agent_start_talking"))
        room.data("server", b"no json")
        room.data("server", b"[1]")
        came = await take(adapter, AgentTurnEnded)
        assert [item for item in came if isinstance(item, AgentWords)] == [
            AgentWords(text="Hi", replaces=True),
            AgentWords(text="Hi, who is this?", replaces=True),
        ]
        assert adapter.ends_turns
        history = [("agent", "Hi, who is this?"), ("user", "Ann, about my order")]
        room.data("server", event("update", transcript=said(*history), turntaking="user_turn"))
        tools = [
            {"role": "tool_call_invocation", "tool_call_id": "t1", "name": "find", "arguments": '{"name": "Ann"}'},
            {"role": "tool_call_result", "tool_call_id": "t1", "content": '{"order": 7}'},
        ]
        answer = {"role": "agent", "content": "It is on its way"}
        for _ in range(2):
            room.data("server", event("update", transcript_with_tool_calls=[*said(*history), *tools, answer]))
        room.data("server", event("agent_start_talking"))
        room.data("server", event("agent_stop_talking"))
        came = [item for item in await take(adapter, AgentTurnEnded) if not isinstance(item, AudioChunk)]
        assert came == [
            UserWords(text="Ann, about my order"),
            AgentToolCall(call_id="t1", name="find", arguments={"name": "Ann"}),
            AgentToolResult(call_id="t1", result={"order": 7}),
            AgentWords(text="It is on its way", replaces=True),
            AgentTurnEnded(),
        ]
        room.leaves(agent)
        assert isinstance((await take(adapter, CallEnded))[-1], CallEnded)


def words(*updates: Mapping[str, object]) -> list[Incoming]:
    transcript = RetellTranscript()
    return [item for update in updates for item in transcript.news(update)]


def test_the_same_answer_of_the_user_twice_is_two():
    once = said(("agent", "Sure?"), ("user", "Yes"))
    again = [*once, *said(("agent", "Really?"))]
    twice = [*again, *said(("user", "Yes"))]
    found = words(
        {"transcript": once},
        {"transcript": again},
        {"transcript": twice},
        {"transcript": [*twice, *said(("agent", "Done"))]},
    )
    assert [item.text for item in found if isinstance(item, UserWords)] == ["Yes", "Yes"]
    assert [item.text for item in found if isinstance(item, AgentWords)] == ["Really?", "Done"]


def test_only_the_last_sentences_may_come():
    """The transcript loses its beginning in long calls."""
    whole = said(("user", "a"), ("agent", "b"), ("user", "c"), ("agent", "d"))
    found = words({"transcript": whole}, {"transcript": whole[1:]}, {"transcript": whole[3:]})
    assert found == [UserWords(text="c"), AgentWords(text="d", replaces=True)]


def test_a_turn_of_the_agent_begins_where_its_last_one_ended():
    transcript = RetellTranscript()
    first = said(("user", "a"), ("agent", "One moment."))
    assert transcript.news({"transcript": first})[-1] == AgentWords(text="One moment.", replaces=True)
    transcript.turn_ended()
    assert transcript.news({"transcript": first}) == []
    later = transcript.news({"transcript": [*first, *said(("agent", "Here it is."))]})
    assert later == [AgentWords(text="Here it is.", replaces=True)]


@pytest.mark.parametrize(
    "update",
    [
        {},
        {"transcript": None},
        {"transcript": "text"},
        {"transcript": [1, None, "x"]},
        {"transcript": [{"role": "agent"}]},
        {"transcript": [{"role": "agent", "content": 7}]},
        {"transcript": [{"content": "x"}]},
        {"transcript_with_tool_calls": [{"role": "node_transition", "new_node_id": "n"}]},
    ],
)
def test_updates_that_say_nothing(update: Mapping[str, object]):
    assert words(update) == []


def test_arguments_that_are_no_object():
    call = {"role": "tool_call_invocation", "tool_call_id": "t", "name": "f", "arguments": "{torn"}
    assert words({"transcript": [call]}) == [AgentToolCall(call_id="t", name="f", arguments={})]


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        (
            401,
            {"status": "error", "message": "Invalid API key"},
            "create the web call: .*status 401; check the credentials: .*Invalid API key",
        ),
        (402, {"message": "no payment"}, "create the web call: .*status 402"),
        (500, "oops", "status 500: oops"),
        (201, "<html>", "could not create the web call: expected JSON, an object, from .*found '<html>'"),
        (201, "[]", "could not create the web call: expected JSON, an object, from .*found '\\[\\]'"),
        (201, {"call_id": "c"}, "created a call without an 'access_token'"),
        (201, {"access_token": 7}, "created a call without an 'access_token'"),
        (201, {"access_token": TOKEN, "transport": "gateway"}, "connected by 'gateway'; expected 'livekit'"),
        (201, {"access_token": TOKEN, "url": "nonsense"}, "the call's url must look like ws://"),
    ],
)
async def test_an_api_that_breaks(sdk: FakeSdk, status: int, answer: object, says: str):
    api = Api(status, answer)
    async with nothing_left(), http_server(api.respond) as url:
        adapter = RetellAgentAdapter("agent-7", KEY, url=url)
        with pytest.raises((VoiceConnectionError, ConfigurationError), match=says) as caught:
            await adapter.connect()
        assert KEY not in f"{caught.value}"
        assert TOKEN not in f"{caught.value}"
        if isinstance(caught.value, VoiceConnectionError):
            assert f"{caught.value}".startswith("RetellAgentAdapter: ")
            assert url in f"{caught.value}"


async def test_the_room_refuses(sdk: FakeSdk):
    sdk.refuses = f"401 Unauthorized: {TOKEN}"
    async with http_server(Api().respond) as url:
        with pytest.raises(VoiceConnectionError, match="the server does not let it join: 401") as caught:
            await RetellAgentAdapter("agent-7", KEY, url=url).connect()
        assert TOKEN not in f"{caught.value}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"agent_id": "", "api_key": KEY}, "agent_id is empty"),
        ({"agent_id": "a", "api_key": " "}, "api_key is empty"),
        ({"agent_id": "a", "api_key": KEY, "url": "retell"}, "url must look like http"),
        ({"agent_id": "a", "api_key": KEY, "livekit_url": "retell"}, "livekit_url must look like ws://"),
    ],
)
def test_what_is_missing_is_named(arguments: dict[str, str], says: str):
    with pytest.raises(ConfigurationError, match=says):
        RetellAgentAdapter(**arguments)
