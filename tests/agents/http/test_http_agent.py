"""HttpAgent against a server on loopback that misbehaves in every way that it can."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from waiting import LONG

from duologue.agents.http.agent import HttpAgent
from duologue.conversation.adapter import AgentInput
from duologue.conversation.result import ScenarioState
from duologue.errors import AgentError, AgentTimeoutError, CassetteMissError, ConfigurationError
from duologue.http import _loops, is_public
from duologue.messages import Message, tool_call, user_message
from duologue.models.cassette import Cassette
from duologue.models.scope import RunScope
from duologue.settings import ScenarioConfig

_SPEC = importlib.util.spec_from_file_location("agent_server", Path(__file__).parents[2] / "fakes" / "agent_server.py")
assert _SPEC
assert _SPEC.loader
fakes = importlib.util.module_from_spec(_SPEC)
sys.modules["agent_server"] = fakes
_SPEC.loader.exec_module(fakes)

SECRET = "sk-very-secret-token"


@pytest.fixture
async def server() -> AsyncIterator[Any]:
    async with fakes.agent_server() as running:
        yield running


def given(*texts: str, thread_id: str = "thread-1", **config: Any) -> AgentInput:
    messages: list[Message] = [user_message(text) for text in texts]
    state = ScenarioState(config=ScenarioConfig(**config))
    return AgentInput(thread_id=thread_id, messages=messages, new_messages=messages[-1:], scenario_state=state)


def completion(**message: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"role": "assistant", **message}, "finish_reason": "stop"}]}


def chunk(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}]}


async def failure(agent: HttpAgent, input: AgentInput | None = None) -> str:
    async with agent:
        with pytest.raises(AgentError) as caught:
            await agent.call(input or given("hello there"))
    return str(caught.value)


async def collected(agent: HttpAgent, input: AgentInput | None = None) -> list[str | Message]:
    async with agent:
        pieces = agent.stream(input or given("hello"))
        assert pieces is not None
        return [piece async for piece in pieces]


async def test_sends_the_conversation_and_returns_the_answer(server: Any):
    server.answers(completion(content="Hi!"))
    async with HttpAgent(server.url, model="m-1", extra_body={"temperature": 0}) as agent:
        assert await agent.call(given("one", "two")) == [{"role": "assistant", "content": "Hi!"}]
    assert server.requests == [
        {
            "messages": [user_message("one"), user_message("two")],
            "user": "thread-1",
            "model": "m-1",
            "temperature": 0,
        }
    ]
    assert server.headers[0][""] == "POST /v1/chat/completions HTTP/1.1"
    assert server.headers[0]["x-thread-id"] == "thread-1"


async def test_sends_only_what_is_new_to_an_agent_that_remembers(server: Any):
    server.answers(completion(content="Hi!"))
    async with HttpAgent(server.url, send="new", thread_header="X-Session") as agent:
        await agent.call(given("one", "two"))
    assert server.requests[0]["messages"] == [user_message("two")]
    assert server.headers[0]["x-session"] == "thread-1"
    assert "x-thread-id" not in server.headers[0]


async def test_returns_tool_calls(server: Any):
    call = tool_call("book", {"size": 4}, "call_1")
    server.answers(completion(content=None, tool_calls=[call]))
    async with HttpAgent(server.url) as agent:
        assert await agent.call(given("book")) == [{"role": "assistant", "content": None, "tool_calls": [call]}]


async def test_a_list_of_messages_is_the_whole_turn_and_wins(server: Any):
    call = {**tool_call("book", {"size": 4}, "call_1"), "tool_result": None}
    turn = [
        {"role": "assistant", "content": None, "tool_calls": [call], "tool_call_id": None, "name": None},
        {"role": "tool", "content": {"ok": True}, "tool_call_id": "call_1", "tool_calls": None},
        {"role": "assistant", "content": "Done.", "tool_calls": None},
    ]
    server.answers({**completion(content="ignored"), "messages": turn})
    async with HttpAgent(server.url) as agent:
        answer = await agent.call(given("book"))
    assert answer == [
        {"role": "assistant", "content": None, "tool_calls": [tool_call("book", {"size": 4}, "call_1")]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"ok": true}'},
        {"role": "assistant", "content": "Done."},
    ]


async def test_a_refusal_is_what_the_agent_said(server: Any):
    server.answers(completion(content=None, refusal="I will not."))
    async with HttpAgent(server.url) as agent:
        assert await agent.call(given("x")) == [{"role": "assistant", "content": "I will not."}]


FIND = tool_call("find", {"id": "7"}, "c1")
CALLED = [
    {"role": "assistant", "content": "Wait.", "tool_calls": [FIND]},
    {"role": "tool", "tool_call_id": "c1", "content": "gone"},
    {"role": "assistant", "content": "Done."},
]


@pytest.mark.parametrize(
    "body",
    [
        {
            "messages": [
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "Wait."},
                        {"type": "tool_use", "id": "c1", "name": "find", "input": {"id": "7"}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "gone"}]},
                {"role": "assistant", "content": "Done."},
            ]
        },
        {
            "output": [
                {"type": "reasoning", "summary": []},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Wait."}]},
                {"type": "function_call", "call_id": "c1", "name": "find", "arguments": '{"id": "7"}'},
                {"type": "function_call_output", "call_id": "c1", "output": "gone"},
                {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Done."}]},
            ]
        },
        {
            "id": "m",
            "role": "assistant",
            "parts": [
                {"type": "text", "text": "Wait."},
                {
                    "type": "tool-find",
                    "toolCallId": "c1",
                    "state": "output-available",
                    "input": {"id": "7"},
                    "output": "gone",
                },
                {"type": "text", "text": "Done."},
            ],
        },
    ],
)
async def test_tool_calls_are_found_wherever_a_framework_puts_them(server: Any, body: object):
    server.answers(body)
    async with HttpAgent(server.url) as agent:
        found = await agent.call(given("x"))
    calls = [call for message in found for call in message.get("tool_calls") or []]
    assert calls == [FIND]
    assert [(message["role"], message.get("content")) for message in found if message.get("content")] == [
        (message["role"], message["content"]) for message in CALLED
    ]


async def test_the_call_of_old_clients_and_the_words_of_a_spoken_answer_are_kept(server: Any):
    old = {"name": "find", "arguments": '{"id": "7"}'}
    server.answers(completion(content=None, function_call=old, audio={"id": "a", "transcript": "Wait."}))
    async with HttpAgent(server.url) as agent:
        (message,) = await agent.call(given("x"))
    assert message.get("content") == "Wait."
    assert [call["function"]["name"] for call in message.get("tool_calls") or []] == ["find"]


async def test_a_stream_keeps_refusals_spoken_words_and_the_call_of_old_clients(server: Any):
    server.streams(
        chunk(refusal="I "),
        chunk(refusal="cannot."),
        chunk(audio={"transcript": " Sorry."}),
        chunk(content=[{"type": "text", "text": " Bye."}]),
        chunk(function_call={"name": "find", "arguments": ""}),
        chunk(function_call={"arguments": '{"id": "7"}'}),
        chunk(),
    )
    *words, called = await collected(HttpAgent(server.url, stream=True))
    assert words == ["I ", "cannot.", " Sorry.", " Bye."]
    assert [call["function"] for call in cast("Any", called)["tool_calls"]] == [FIND["function"]]


async def test_a_server_error_says_what_was_sent_and_what_came_back(server: Any):
    server.answers("boom " + "x" * 2000, status="500 Internal Server Error")
    text = await failure(HttpAgent(server.url))
    assert "HTTP 500" in text
    assert "1 message, the last from the user: 'hello there'" in text
    assert "'boom xxx" in text
    assert len(text) < 1000


async def test_a_redirect_is_not_followed(server: Any):
    server.answers("", status="307 Temporary Redirect", Location="http://elsewhere.example/v1?token=abc")
    text = await failure(HttpAgent(server.url))
    assert "HTTP 307, a redirect to http://elsewhere.example/v1; redirects are not followed" in text
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("<html>oops</html>", "the body is not JSON"),
        ("[" * 100_000, "the body is not JSON"),
        ([1], "must be a JSON object; found list"),
        ({"error": "no"}, "expected 'choices'"),
        ({"choices": []}, "expected 'choices'"),
        ({"choices": [None]}, "expected choices[0].message"),
        (completion(content=None), "neither content nor tool calls"),
        (completion(content=7), "must be text or a list of parts; found int"),
        (completion(content="x", tool_calls=[{"id": "a"}]), "tool_calls[0] needs an 'id' and a 'function'"),
        (completion(content="x", tool_calls={"a": 1}), "tool_calls must be a list"),
        ({"messages": []}, "the last of 'messages' must be the agent's answer"),
        ({"messages": [{"role": "user", "content": "x"}]}, "found 'user'"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "needs a 'tool_call_id'"),
        ({"messages": [{"role": "tool", "content": "x", "tool_call_id": "c"}]}, "must be the agent's answer"),
    ],
)
async def test_an_answer_that_breaks_the_contract_is_an_error(server: Any, body: object, complaint: str):
    server.answers(body)
    text = await failure(HttpAgent(server.url))
    assert complaint in text
    assert "came back: " in text


async def test_an_answer_that_is_cut_off_is_an_error(server: Any):
    server.raw = (fakes.OK + 'Content-Length: 500\r\n\r\n{"choices"').encode()
    assert "the answer broke off" in await failure(HttpAgent(server.url))


async def test_an_answer_that_is_too_long_is_an_error(server: Any):
    server.answers(completion(content="x" * 5000))
    assert "longer than 1000 bytes" in await failure(HttpAgent(server.url, max_answer_bytes=1000))


async def test_an_agent_that_hangs_is_a_timeout_that_says_what_was_sent(server: Any):
    server.hang = True
    agent = HttpAgent(server.url, timeout=0.05)
    async with agent:
        with pytest.raises(AgentTimeoutError, match=r"no full answer within 0\.05 s; sent: 1 message.*'hello'"):
            await agent.call(given("hello"))


async def test_without_a_timeout_of_its_own_the_run_s_counts(server: Any):
    server.raw, server.hang = (fakes.OK + "Content-Length: 500\r\n\r\n{").encode(), True
    async with HttpAgent(server.url) as agent:
        with pytest.raises(AgentTimeoutError, match=r"within 0\.05 s"):
            await agent.call(given("hello", agent_timeout=0.05))


async def test_cancellation_is_not_swallowed(server: Any):
    server.hang = True
    async with HttpAgent(server.url) as agent:
        task = asyncio.create_task(agent.call(given("hello")))
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_an_agent_that_is_not_there_is_an_error(server: Any, unused_tcp_port: int):
    text = await failure(HttpAgent(f"http://127.0.0.1:{unused_tcp_port}"))
    assert "is the agent running at that address?" in text


@pytest.mark.parametrize("url", ["ftp://x", "localhost:80", "http://", "http://h:99999", "", "http://[::1"])
def test_a_url_that_cannot_be_used_is_refused(url: str):
    with pytest.raises(ConfigurationError, match="must look like http"):
        HttpAgent(url)


@pytest.mark.parametrize(
    ("url", "path"),
    [("", "/v1/chat/completions"), ("/", "/v1/chat/completions"), ("/v1/", "/v1/chat/completions"), ("/x", "/x")],
)
async def test_a_base_url_is_completed_and_other_paths_are_kept(server: Any, url: str, path: str):
    server.answers(completion(content="Hi!"))
    async with HttpAgent(server.url + url) as agent:
        await agent.call(given("x"))
    assert server.headers[0][""] == f"POST {path} HTTP/1.1"


async def test_secrets_appear_in_no_error_even_when_the_server_repeats_them(server: Any):
    body = f"bad key {SECRET}, query key=abcdef".ljust(490, ".") + SECRET
    server.answers(body, status="401 Unauthorized")
    agent = HttpAgent(f"{server.url}/agent?key=abcdef", headers={"Authorization": f"Bearer {SECRET}"})
    text = await failure(agent)
    described = str(agent.describe())
    for secret in (SECRET, SECRET[:8], "abcdef"):
        assert secret not in text
        assert secret not in described
    assert "bad key ***" in text
    assert server.headers[0]["authorization"] == f"Bearer {SECRET}"
    assert "/agent?key=abcdef" in server.headers[0][""]


def test_a_password_in_the_url_is_refused_without_showing_it():
    with pytest.raises(ConfigurationError, match="Authorization") as caught:
        HttpAgent("http://me:hunter22@host/")
    assert "hunter22" not in str(caught.value)


def test_a_header_that_cannot_be_sent_is_refused_without_showing_it():
    with pytest.raises(ConfigurationError) as caught:
        HttpAgent("http://x", headers={"Authorization": f"{SECRET}\n"})
    assert "Authorization" in str(caught.value)
    assert SECRET not in str(caught.value)


async def test_a_private_address_is_refused_when_it_is_not_trusted(server: Any):
    text = await failure(HttpAgent(server.url, trust_private=False))
    assert "trust_private is False and '127.0.0.1' leads to 127.0.0.1" in text
    assert server.requests == []


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
    ],
)
def test_which_addresses_are_public(address: str, public: bool):
    assert is_public(address) is public


async def test_a_stream_comes_piece_by_piece(server: Any):
    server.streams(chunk(role="assistant"), chunk(content="Hel"), chunk(content="lo"), chunk())
    assert await collected(HttpAgent(server.url, stream=True)) == ["Hel", "lo"]
    assert server.requests[0]["stream"] is True


async def test_streamed_messages_come_whole_and_tool_calls_are_put_together(server: Any):
    call = tool_call("look_up", {"x": 1}, "call_1")
    parts = [
        {"index": 0, "id": "call_2", "function": {"name": "book", "arguments": '{"si'}},
        {"index": 0, "function": {"arguments": 'ze": 4}'}},
    ]
    whole = {"choices": [], "messages": [{"role": "assistant", "content": None, "tool_calls": [call]}]}
    server.streams(whole, chunk(content="Wait."), *(chunk(tool_calls=[part]) for part in parts))
    assert await collected(HttpAgent(server.url, stream=True)) == [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        "Wait.",
        {"role": "assistant", "content": None, "tool_calls": [tool_call("book", '{"size": 4}', "call_2")]},
    ]


@pytest.mark.parametrize(
    ("events", "done", "complaint"),
    [
        ([chunk(content="Hel")], False, "the stream broke off"),
        ([], True, "neither content nor tool calls"),
        ([{"error": {"message": "overloaded"}}], True, "the stream reports an error"),
        (["text"], True, "must be a JSON object"),
    ],
)
async def test_a_stream_that_breaks_the_contract_is_an_error(server: Any, events: Any, done: bool, complaint: str):
    server.streams(*events, done=done)
    with pytest.raises(AgentError, match=complaint):
        await collected(HttpAgent(server.url, stream=True))


async def test_a_stream_that_stops_coming_is_a_timeout(server: Any):
    server.streams(chunk(content="Hel"), done=False)
    server.hang = True
    with pytest.raises(AgentTimeoutError, match="did not end within"):
        await collected(HttpAgent(server.url, stream=True, timeout=0.05))


async def test_a_server_that_does_not_stream_is_an_error(server: Any):
    server.answers(completion(content="Hi!"), Content_Type="application/json")
    with pytest.raises(AgentError, match="'application/json' came back"):
        await collected(HttpAgent(server.url, stream=True))


async def test_an_answer_is_replayed_from_the_runs_cassette_without_the_agent(tmp_path: Path):
    tape = tmp_path / "tape.jsonl"
    async with fakes.agent_server() as server:
        server.answers(completion(content="Hi!"))
        agent = HttpAgent(server.url, headers={"Authorization": SECRET})
        recorded = await agent.call(replace(given("x"), scope=RunScope(cassette=Cassette(tape))))
    again = replace(given("x", thread_id="another"), scope=RunScope(cassette=Cassette(tape, "replay")))
    assert await agent.call(again) == recorded == [{"role": "assistant", "content": "Hi!"}]
    assert SECRET not in tape.read_text()
    with pytest.raises(CassetteMissError):
        await agent.call(replace(given("y"), scope=RunScope(cassette=Cassette(tape, "replay"))))


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        ("429 Too Many Requests", {"Retry_After": "7"}, ["takes no more requests for now", "(Retry-After: 7)"]),
        ("429 Too Many Requests", {}, ["takes no more requests for now"]),
        ("503 Service Unavailable", {"Retry_After": "Fri, 31 Dec 1999 23:59:59 GMT"}, ["overloaded", "1999 23:59:59"]),
        ("503 Service Unavailable", {"Retry_After": "9" * 5000}, ["overloaded", f"{'9' * 40})"]),
    ],
)
async def test_an_agent_that_is_busy_says_when_to_come_again(
    server: Any, status: str, headers: dict[str, str], told: list[str]
):
    server.answers({"error": "slow down"}, status, **headers)
    with pytest.raises(AgentError) as caught:
        await HttpAgent(server.url).call(given("x"))
    assert [part for part in told if part not in str(caught.value)] == []
    assert "slow down" in str(caught.value)
    assert ("Retry-After" in str(caught.value)) == bool(headers)


def part(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta}]}


LOOKED: list[Message] = [
    {"role": "assistant", "content": None, "tool_calls": [tool_call("look", "{}", "c1")]},
    {"role": "tool", "tool_call_id": "c1", "content": "a book"},
    {"role": "assistant", "content": "A book."},
]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([part(role="assistant", content="Hel"), part(content="lo!")], [{"role": "assistant", "content": "Hello!"}]),
        (
            [part(content="Look."), part(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "look"}}]),
             part(tool_calls=[{"index": 0, "function": {"arguments": "{}"}}])],
            [{"role": "assistant", "content": "Look.", "tool_calls": [tool_call("look", "{}", "c1")]}],
        ),
        ([{"messages": LOOKED}], LOOKED),
    ],
)  # fmt: skip
async def test_a_server_that_can_only_stream_is_read_all_the_same(server: Any, events: Any, expected: list[Message]):
    server.streams(*events)
    assert await HttpAgent(server.url).call(given("x")) == expected
    server.streams(*events, done=False)
    with pytest.raises(AgentError, match="broke off"):
        await HttpAgent(server.url).call(given("x"))


@pytest.fixture
def open_clients(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Counts the clients of this test alone: others of this process may still be open."""
    mine: set[_loops._Entry[Any]] = set()
    monkeypatch.setattr(_loops, "_open", mine)

    def count() -> int:
        gc.collect()
        return len(mine)

    return count


def test_connections_are_closed_when_their_loop_ends(open_clients: Callable[[], int]):
    agent: list[HttpAgent] = []

    async def once() -> list[Message]:
        async with fakes.agent_server() as server:
            server.answers(completion(content="Hi!"))
            agent.append(HttpAgent(server.url))
            return await agent[-1].call(given("x"))

    assert asyncio.run(once()) == [{"role": "assistant", "content": "Hi!"}]
    assert open_clients() == 0


async def test_connections_of_an_agent_that_is_dropped_are_closed_while_the_loop_goes_on(
    open_clients: Callable[[], int],
):
    async with fakes.agent_server() as server:
        server.answers(completion(content="Hi!"))
        agent = HttpAgent(server.url)
        await agent.call(given("x"))
        assert open_clients() == 1
        del agent
        for _ in range(20):
            await asyncio.sleep(0)
        assert open_clients() == 0


def test_one_agent_serves_several_loops_one_after_the_other():
    agent = HttpAgent("http://127.0.0.1:9")

    async def once() -> str:
        with pytest.raises(AgentError) as caught:
            await agent.call(given("x"))
        return str(caught.value)

    assert "no answer" in asyncio.run(once())
    assert "no answer" in asyncio.run(once())


def test_importing_the_adapter_does_not_import_httpx():
    code = "import sys, duologue.agents.http.agent; sys.exit('httpx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=LONG).returncode == 0


async def test_a_streaming_agent_is_recorded_and_replayed_as_any_other(server: Any, tmp_path: Path):
    server.answers(completion(content="Hello"))
    tape = tmp_path / "tape.jsonl"
    async with HttpAgent(server.url, stream=True) as agent:
        recorded = replace(given("x"), scope=RunScope(cassette=Cassette(tape, "record")))
        assert agent.stream(recorded) is None
        first = await agent.call(recorded)
        replayed = replace(given("x"), scope=RunScope(cassette=Cassette(tape, "replay")))
        assert agent.stream(replayed) is None
        assert await agent.call(replayed) == first
    assert len(server.requests) == 1
