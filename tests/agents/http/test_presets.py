"""Agents in many formats, each rehearsed in a whole conversation over real HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from http_agents import USAGE, Asked, HttpAgents, Reply, events, http_agents
from patient_clock import PatientClock

import duologue
from duologue.agents.http import HttpAgent
from duologue.agents.http.streams import StreamReader
from duologue.agents.http.usage import usage_of
from duologue.errors import AgentError, ConfigurationError
from duologue.journal.events import Usage
from duologue.journal.notes import AgentRetried
from duologue.messages import Message, tool_calls_of

LINES = ["Hello! My name is Robin and my booking code is KX47.", "What is my booking code?"]
KNOWN = "Your booking code is KX47."


@pytest.fixture(scope="module")
def running() -> Iterator[HttpAgents]:
    with http_agents() as server:
        yield server


@pytest.fixture
def server(running: HttpAgents) -> HttpAgents:
    running.asked.clear()
    running.heard.clear()
    running.more.clear()
    return running


async def played(agent: HttpAgent, lines: list[str] = LINES) -> duologue.ScenarioResult:
    user = duologue.ScriptedUser(lines)
    return await duologue.arun(name="n", description="d", agents=[user, agent], script=[duologue.proceed(len(lines))])


def own(*body: str, **more: Any) -> dict[str, Any]:
    return {"body": {name: "{{message}}" if name == body[0] else "{{thread_id}}" for name in body}, **more}


NESTED = {"input": {"question": "{{ message }}"}, "session": {"id": "{{thread_id}}"}}

FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": ("", {}),
    "openai-responses": ("", {"preset": "openai-responses"}),
    "openai-responses, by id": ("/v1", {"preset": "openai-responses", "send": "new"}),
    "anthropic-messages": ("", {"preset": "anthropic-messages", "model": "claude-sonnet-4-5"}),
    "langgraph": ("", {"preset": "langgraph"}),
    "langgraph, whole history": ("", {"preset": "langgraph", "send": "history"}),
    "message": ("/chat", {"preset": "message"}),
    "id of the agent": ("/v1/chat-messages", own("query", "conversation_id", thread_from="conversation_id")),
    "nested": ("/nested", {"body": NESTED, "answer": "payload.result.value"}),
    "output": ("/output", {"body": {"messages": "{{messages}}"}}),
    "list of answers": ("/webhooks/rest/webhook", own("message", "sender")),
    "plain text": ("/generate", own("prompt", "session_id")),
    "words as events": ("/words", {"preset": "message"}),
    "lines": ("/api/chat", {"body": {"messages": "{{messages}}"}}),
}


STREAMS = {"openai-chat", "openai-responses", "anthropic-messages", "langgraph", "words as events", "lines"}


@pytest.mark.parametrize(
    ("name", "stream"),
    [(name, stream) for name in FORMATS for stream in (False, True) if not stream or name.partition(",")[0] in STREAMS],
)
async def test_an_agent_is_understood_in_its_own_format(server: HttpAgents, name: str, stream: bool):
    path, options = FORMATS[name]
    async with HttpAgent(server.url + path, stream=stream, **options) as agent:
        result = await played(agent)
    texts = [message.get("content") for message in result.messages if message["role"] == "assistant"]
    assert KNOWN in [str(text).strip() for text in texts]
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("name", "tokens", "calls", "priced"),
    [
        ("openai-chat", (200, 20), 1, True),
        ("openai-responses", (200, 20), 2, True),
        ("openai-responses, by id", (200, 20), 2, True),
        ("anthropic-messages", (200, 20), 0, True),
        ("langgraph", (200, 20), 2, True),
        ("id of the agent", (14, 6), 0, False),
        ("lines", (52, 596), 0, False),
    ],
)
async def test_usage_and_tool_calls_arrive(
    server: HttpAgents, name: str, tokens: tuple[int, int], calls: int, priced: bool
):
    path, options = FORMATS[name]
    async with HttpAgent(server.url + path, **options) as agent:
        result = await played(agent)
    assert result.usage == Usage(input_tokens=tokens[0], output_tokens=tokens[1])
    assert (result.cost is not None) == priced
    called = [call["function"]["name"] for message in result.messages for call in message.get("tool_calls") or []]
    assert called == ["find_booking"] * calls


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "anthropic-messages", "langgraph"])
async def test_a_stream_says_at_its_end_what_it_took(server: HttpAgents, name: str):
    path, options = FORMATS[name]
    async with HttpAgent(server.url + path, stream=True, **options) as agent:
        result = await played(agent)
    assert result.usage == Usage(input_tokens=200, output_tokens=20)


async def test_a_price_of_ones_own_counts(server: HttpAgents):
    async with HttpAgent(server.url, pricing=(1.0, 10.0)) as agent:
        result = await played(agent)
    assert result.cost == pytest.approx(0.2 + 0.2)


async def test_an_id_of_the_agent_is_sent_from_the_second_request_on(server: HttpAgents):
    path, options = FORMATS["id of the agent"]
    async with HttpAgent(server.url + path, **options) as agent:
        await played(agent)
    assert [asked.body.get("conversation_id") for asked in server.asked] == [None, f"conv_{server.ids}"]


async def test_runs_at_the_same_time_keep_their_threads_apart(server: HttpAgents):
    import asyncio

    path, options = FORMATS["id of the agent"]
    async with HttpAgent(server.url + path, **options) as agent:
        codes = [f"AB{number}" for number in range(20, 26)]
        results = await asyncio.gather(
            *(played(agent, [f"My booking code is {code}.", "What is my booking code?"]) for code in codes)
        )
    assert [result.messages[-1].get("content") for result in results] == [f"Your booking code is {c}." for c in codes]


async def test_the_thread_may_stand_in_the_url(server: HttpAgents):
    def answer(asked: Asked) -> Reply:
        return Reply({"text": "Hi."})

    agent = HttpAgent(server.url + "/sessions/{{thread_id}}/messages", body={"text": "{{message}}"})
    async with agent:
        server.more = {f"/sessions/{name}/messages": answer for name in ("x",)}
        with pytest.raises(AgentError, match="404"):
            await played(agent, ["Hello."])
    assert server.asked[0].path.startswith("/sessions/thread")
    assert "{" not in server.asked[0].path


def test_history_and_messages_are_lists_of_messages():
    from duologue.agents.http.presets import BodyTemplate, Outgoing

    said: list[Message] = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    fill = BodyTemplate({"m": "{{message}}", "h": "{{history}}", "all": ["{{messages}}"], "t": "{{thread_id}}", "n": 1})
    assert fill(Outgoing(messages=said, thread=None)) == {"m": "three", "h": said[:2], "all": [said], "n": 1}
    prompt = BodyTemplate({"p": "User says: {{message}} ({{thread_id}})"})
    assert prompt(Outgoing(messages=said, thread="t")) == {"p": "User says: three (t)"}


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"body": {"a": "{{mesage}}", "b": "{{message}}"}}, "{{thread_id}}; found '{{mesage}}'"),
        ({"body": {"a": "hello"}}, "where the user's words belong; found neither"),
        ({"answer": "a..b"}, "answer must be a path"),
        ({"thread_from": "[x]"}, "thread_from must be a path"),
        ({"preset": "openai-chat", "answer": "reply"}, "for the preset 'message', not for 'openai-chat'"),
        ({"preset": "message", "send": "new"}, "send is not for the preset"),
        ({"preset": "nonsense"}, "preset must be one of openai-chat, "),
        ({"retries": -1}, "retries must be 0 or more"),
    ],
)
def test_a_format_that_cannot_be_is_refused(options: dict[str, Any], complaint: str):
    with pytest.raises(ConfigurationError) as caught:
        HttpAgent("http://host/x", **options)
    assert complaint in str(caught.value)


async def test_pictures_are_not_lost_without_a_word(server: HttpAgents):
    picture: Any = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}
    agent = HttpAgent(server.url + "/chat", preset="message")
    with pytest.raises(AgentError, match="room for text only"):
        await duologue.arun(
            name="n",
            description="d",
            agents=[duologue.ScriptedUser([""]), agent],
            script=[duologue.message(picture), duologue.agent()],
        )


@pytest.mark.parametrize(
    ("body", "texts"),
    [
        ({"reply": "Hi."}, ["Hi."]),
        ({"code": 0, "message": "success", "data": {"answer": "Hi."}}, ["Hi."]),
        ({"message": {"content": "Hi."}}, ["Hi."]),
        ({"message": "Hi."}, ["Hi."]),
        ({"output": [{"content": "Hi."}]}, ["Hi."]),
        ({"output": [{"content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i."}]}]}, ["Hi."]),
        ({"outputs": [{"outputs": [{"results": {"message": {"text": "Hi."}}}]}]}, ["Hi."]),
        ([{"text": "Hi."}, {"text": "You."}], ["Hi.", "You."]),
        (["Hi.", "You."], ["Hi.", "You."]),
        ({"response": {"status": "ok", "text": "Hi."}}, ["Hi."]),
        ({"sources": [{"text": "a page"}], "result": {"text": "Hi."}}, ["Hi."]),
        ({"choices": [{"message": {"role": "assistant", "content": "Hi."}}]}, ["Hi."]),
        ({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "Hi."}]}, ["Hi."]),
        ({"output": {"messages": [{"type": "human", "content": "x"}, {"type": "ai", "content": "Hi."}]}}, ["Hi."]),
        ('"Hi."', ["Hi."]),
    ],
)
async def test_the_words_are_found_where_agents_put_them(server: HttpAgents, body: object, texts: list[str]):
    server.more["/any"] = lambda _: Reply(body)
    async with HttpAgent(server.url + "/any", preset="message") as agent:
        result = await played(agent, ["Hello."])
    assert [message.get("content") for message in result.messages[1:]] == texts


@pytest.mark.parametrize("media", ["text/plain", "text/html; charset=utf-8", ""])
async def test_words_without_a_form_are_the_answer(server: HttpAgents, media: str):
    server.more["/any"] = lambda _: Reply("Hi.", media=media)
    async with HttpAgent(server.url + "/any", preset="message") as agent:
        result = await played(agent, ["Hello."])
    assert result.messages[-1].get("content") == "Hi."


@pytest.mark.parametrize(
    ("reply", "complaint"),
    [
        (Reply({"foo": {"bar": "Hi."}}), "words were not found in it; the answer has the fields foo"),
        (Reply({"reply": None}), "words were not found"),
        (Reply({"error": {"message": "out of order"}}), "reports an error: out of order"),
        (Reply("<!DOCTYPE html><html>", media="text/html"), "a web page (HTML) came back"),
        (Reply("{", media="application/json"), "the body is not JSON"),
        (Reply(None, 204), "HTTP 204, no content"),
        (Reply({}, 202), "answers later or elsewhere"),
        (Reply({}, 401), "wants to know who asks"),
        (Reply({}, 404), "nothing at that URL"),
        (Reply({}, 405), "takes no POST requests"),
        (Reply({}, 422), "does not take a request of this form"),
    ],
)
async def test_what_is_no_answer_is_one_clear_error(server: HttpAgents, reply: Reply, complaint: str):
    server.more["/any"] = lambda _: reply
    async with HttpAgent(server.url + "/any", preset="message") as agent:
        with pytest.raises(AgentError) as caught:
            await played(agent, ["Hello."])
    assert complaint in str(caught.value)


async def test_a_path_that_leads_nowhere_says_what_there_is(server: HttpAgents):
    server.more["/any"] = lambda _: Reply({"data": {"text": "Hi.", "id": 1}})
    async with HttpAgent(server.url + "/any", answer="data.reply") as agent:
        with pytest.raises(AgentError, match=r"there is no 'data\.reply' in it; 'data' has the fields text, id"):
            await played(agent, ["Hello."])


async def test_tool_calls_beside_the_words_are_seen(server: HttpAgents):
    calls = [{"name": "find", "arguments": {"id": 7}, "result": "a book"}, {"name": "buy", "args": {}}]
    server.more["/any"] = lambda _: Reply({"reply": "Done.", "tool_calls": calls})
    async with HttpAgent(server.url + "/any", preset="message") as agent:
        result = await played(agent, ["Hello."])
    assert [message["role"] for message in result.messages] == ["user", "assistant", "tool", "assistant", "assistant"]
    assert result.messages[-1].get("content") == "Done."


# Retries


def busy(times: int, status: int = 429, **headers: str) -> Any:
    left = [times]

    def reply(asked: Asked) -> Reply:
        left[0] -= 1
        if left[0] >= 0:
            return Reply({"error": "busy"}, status, headers={name.replace("_", "-"): v for name, v in headers.items()})
        return Reply({"reply": "Hi."})

    return reply


async def waited(server: HttpAgents, reply: Any, **options: Any) -> tuple[float, duologue.ScenarioResult]:
    server.more["/any"] = reply
    clock = PatientClock()
    user = duologue.ScriptedUser(["Hello."])
    async with HttpAgent(server.url + "/any", preset="message", **options) as agent:
        result = await duologue.arun(
            name="n",
            description="d",
            agents=[user, agent],
            script=[duologue.proceed(1)],
            context=duologue.Context(clock=clock),
        )
    return sum(clock.sleeps), result


@pytest.mark.parametrize(
    ("reply", "seconds"),
    [(busy(1, Retry_After="7"), 7), (busy(2, 503), 1 + 2), (busy(2, 529, retry_after_ms="500"), 1)],
)
async def test_a_busy_agent_is_asked_again_when_it_says(server: HttpAgents, reply: Any, seconds: float):
    took, result = await waited(server, reply, retries=3)
    assert result.messages[-1].get("content") == "Hi."
    assert took == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("reply", "options", "complaint", "asked"),
    [
        (busy(1, Retry_After="7"), {}, "takes no more requests", 1),
        (busy(9, Retry_After="1"), {"retries": 2}, "sent 3 times", 3),
        (busy(9, Retry_After="7"), {"retries": 2, "timeout": 5}, "7 s are more than the 5 s that are left", 1),
        (busy(9, 500), {"retries": 2}, "HTTP 500", 1),
    ],
)
async def test_a_request_is_not_sent_again_for_ever(
    server: HttpAgents, reply: Any, options: dict[str, Any], complaint: str, asked: int
):
    with pytest.raises(AgentError) as caught:
        await waited(server, reply, **options)
    assert complaint in str(caught.value)
    assert len(server.asked) == asked


async def test_retries_stand_in_the_journal(server: HttpAgents):
    server.more["/any"] = busy(1, retry_after_ms="1")
    seen: list[object] = []

    def look(state: duologue.ScenarioState) -> None:
        seen.extend(item.note for item in state.view.notes)

    async with HttpAgent(server.url + "/any", preset="message", retries=1, name="bot") as agent:
        await duologue.arun(
            name="n",
            description="d",
            agents=[duologue.ScriptedUser(["Hello."]), agent],
            script=[duologue.proceed(1), look],
        )
    assert seen == [AgentRetried(participant="bot", status=429, seconds=0.001)]


# Streams that end badly


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ({}, events({"choices": [{"delta": {"content": "Half of"}}]})),
        (
            {"preset": "anthropic-messages"},
            events({"type": "message_start", "message": {}}, {"type": "content_block_delta", "index": 0,
                   "delta": {"type": "text_delta", "text": "Half of"}}),
        ),
        (
            {"preset": "openai-responses"},
            events({"type": "response.output_text.delta", "item_id": "m", "delta": "Half of"}),
        ),
        ({"preset": "message"}, events({"message": {"content": "Half of"}, "done": False})),
    ],
)  # fmt: skip
async def test_a_stream_that_is_cut_off_is_an_error_that_keeps_what_came(
    server: HttpAgents, options: dict[str, Any], sent: list[str]
):
    server.more["/any"] = lambda _: Reply(sent, media="text/event-stream")
    with pytest.raises(AgentError, match=r"broke off.*came back: 'Half of'"):
        await played(HttpAgent(server.url + "/any", **options), ["Hello."])
    with pytest.raises(AgentError) as caught:
        await played(HttpAgent(server.url + "/any", stream=True, **options), ["Hello."])
    kept = caught.value.result
    assert kept is not None
    assert kept.messages[-1].get("content") == "Half of"


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (events("Hel", "lo."), "Hello."),
        (events({"token": "Hel"}, {"token": "lo."}, {"done": True}), "Hello."),
        (events({"type": "status", "message": "searching"}, {"type": "token", "content": "Hello."}), "Hello."),
        (events({"delta": {"text": "Hel"}}, {"delta": {"text": "lo."}}), "Hello."),
        (events({"text": "Hel"}, {"text": "lo."}, {"type": "final", "text": "Hello."}), "Hello."),
        (events({"type": "start"}, {"type": "text-delta", "delta": "Hello."}, {"type": "finish"}, "[DONE]"), "Hello."),
        (["event: token\ndata: Hello.\n\n", "event: end\ndata: ok\n\n"], "Hello."),
        (
            events({"candidates": [{"content": {"parts": [{"text": "Hello."}]}, "finishReason": "STOP"}]}),
            "Hello.",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_streams_of_words_are_read(server: HttpAgents, sent: list[str], text: str, stream: bool):
    server.more["/any"] = lambda _: Reply(sent, media="text/event-stream")
    async with HttpAgent(server.url + "/any", preset="message", stream=stream) as agent:
        result = await played(agent, ["Hi."])
    assert result.messages[-1].get("content") == text


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        ({"usage": USAGE}, (100, 10)),
        ({"usage": {"prompt_tokens": "100", "completion_tokens": 10.0}}, (100, 10)),
        ({"usage": {"input_tokens": 100, "output_tokens": 10, "cache_read_input_tokens": 5}}, (105, 10)),
        (
            {"usage": {"input_tokens": 100, "output_tokens": 10, "input_tokens_details": {"cached_tokens": 5}}},
            (100, 10),
        ),
        ({"usage": {"inputTokens": 100, "outputTokens": 10}}, (100, 10)),
        ({"usageMetadata": {"promptTokenCount": 100, "candidatesTokenCount": 8, "thoughtsTokenCount": 2}}, (100, 10)),
        ({"meta": {"tokens": {"input_tokens": 100, "output_tokens": 10}}}, (100, 10)),
        ({"metadata": {"usage": {"prompt_tokens": 100, "completion_tokens": 10}}}, (100, 10)),
        ({"data": {"result": {"usage": {"prompt_tokens": 100, "completion_tokens": 10}}}}, (100, 10)),
        ({"prompt_eval_count": 100, "eval_count": 10}, (100, 10)),
        ({"usage": {"total_tokens": 110}}, (110, 0)),
        ({"usage": {"prompt_tokens": None, "completion_tokens": None}}, None),
        ({"usage": {"prompt_tokens": -1}}, None),
        ({"usage": {"prompt_tokens": 10**400}}, None),
        ({"usage": {"prompt_tokens": 10**12, "cache_read_input_tokens": 10**12}}, (10**12, 0)),
        ({"candidatesTokenCount": 10**12, "thoughtsTokenCount": 10**12}, (0, 10**12)),
        ({"usage": {"prompt_tokens": True}}, None),
        ({"usage": {"prompt_tokens": float("nan")}}, None),
        ({"usage": []}, None),
        ({"usage": "much"}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_usage_is_read_in_every_dialect(body: object, tokens: tuple[int, int] | None):
    found = usage_of(body)
    assert (found and (found.input_tokens, found.output_tokens)) == tokens
    assert json.dumps(body)


async def test_usage_of_messages_that_is_absurd_together_is_no_error(server: HttpAgents):
    said = {"role": "assistant", "content": "Yes.", "usage_metadata": {"input_tokens": 10**12, "output_tokens": 1}}
    server.more["/any"] = lambda _: Reply({"messages": [said, said, said]})
    async with HttpAgent(server.url + "/any", preset="message") as agent:
        result = await played(agent, ["Hi."])
    assert result.error is None
    assert result.usage.input_tokens == 10**12


def test_thousands_of_calls_in_a_stream_are_read_without_a_search_for_each():
    reader, calls = StreamReader(), 15_000
    for index in range(calls):
        piece = {"index": index, "function": {"name": "f", "arguments": "{}"}}
        assert not list(reader.feed(json.dumps({"choices": [{"delta": {"tool_calls": [piece]}}]})))
    assert not list(reader.feed("[DONE]"))
    [message] = reader.end()
    assert len({call["id"] for call in tool_calls_of(message)}) == calls
