"""LocalModel against a server on loopback that answers, refuses, breaks and disappears as it is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG

from duologue.errors import (
    ConfigurationError,
    ModelAnswerError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.journal.events import Usage
from duologue.messages import user_message
from duologue.models.base import CompletionModel, ModelRequest, ToolSpec
from duologue.models.local import LocalModel, _engine
from duologue.models.local._launcher import ServerOptions, ServerState
from duologue.models.local._weights import Weights, WeightsSource
from duologue.settings import ModelConfig

TOOL = ToolSpec(name="track", description="", parameters={"type": "object", "properties": {}})
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
HELLO = ModelRequest(messages=(user_message("Hi"),))


class FakeServer:
    """Speaks the engine's HTTP interface; ``status`` and ``body`` say what, ``hang`` says not at all."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[str] = []
        self.status, self.body, self.hang = 200, "", False
        self.open, self.closed = asyncio.Event(), asyncio.Event()
        self.port = 0

    def says(self, text: str, finish_reason: str = "stop") -> None:
        half = len(text) // 2
        self.streams(
            *(
                {"choices": [{"delta": {"content": piece}, "finish_reason": None}]}
                for piece in (text[:half], text[half:])
            ),
            {"choices": [{"delta": {}, "finish_reason": finish_reason}]},
            {"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 3}},
        )

    def streams(self, *chunks: object, end: str = "data: [DONE]\n\n") -> None:
        self.body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + end

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.lower().startswith("content-len"))
        self.headers.append(head)
        self.requests.append((head.split(" ")[1], json.loads(await reader.readexactly(length))))
        self.open.set()
        if self.hang:
            await reader.read()
            self.closed.set()
        else:
            data = self.body.encode()
            kind = "text/html" if self.body.startswith("<") else "text/event-stream"
            head = f"HTTP/1.1 {self.status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
            writer.write(head.encode() + data)
            await writer.drain()
        writer.close()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    fake = FakeServer()
    listening = await asyncio.start_server(fake.handle, "127.0.0.1", 0)
    fake.port = listening.sockets[0].getsockname()[1]
    yield fake
    listening.close()


def state(port: int) -> ServerState:
    options = ServerOptions(name="tiny", weights="/w", digest="d")
    return ServerState(pid=1, port=port, api_key="the-key", options=options, started=0)


@pytest.fixture
def starts(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ports that are handed out, one for each time that a server is asked for; the last one stays."""
    ports = [server.port]

    def ready_server(_: object) -> ServerState:
        return state(ports.pop(0) if len(ports) > 1 else ports[0])

    monkeypatch.setattr(_engine.Engine, "ready_server", ready_server)
    return ports


@pytest.fixture
def model(starts: list[int]) -> LocalModel:
    return LocalModel(Weights(name="tiny", source=WeightsSource.FILE, path=Path("/w")), timeout=LONG, temperature=0.0)


async def test_it_is_a_model_that_can_complete(model: LocalModel) -> None:
    assert isinstance(model, CompletionModel)
    assert model.name == "local/tiny"


async def test_an_answer_carries_text_usage_price_and_reason(model: LocalModel, server: FakeServer) -> None:
    server.says("Hello")
    answer = await model.answer(HELLO)
    assert (answer.text, answer.usage, answer.cost) == ("Hello", Usage(input_tokens=11, output_tokens=3), 0.0)
    assert (answer.model, answer.attempts, answer.finish_reason) == ("local/tiny", 1, "stop")
    assert answer.seconds > 0
    path, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert body == {
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 512,
        "temperature": 0.0,
        "cache_prompt": True,
        **STREAMED,
    }
    assert "authorization: bearer the-key" in server.headers[0].lower()


async def test_what_the_request_says_reaches_the_engine(model: LocalModel, server: FakeServer) -> None:
    server.says("{}")
    schema = {"type": "object"}
    await model.answer(
        ModelRequest(
            messages=(user_message("Hi"),),
            response_schema=schema,
            temperature=0.7,
            max_tokens=9,
            stop=("\n",),
            seed=4,
            extra={"top_p": 0.5},
        )
    )
    body = server.requests[0][1]
    assert (body["temperature"], body["max_tokens"], body["stop"], body["seed"]) == (0.7, 9, ["\n"], 4)
    assert body["top_p"] == 0.5
    assert body["response_format"] == {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    assert "tools" not in body


async def test_a_tool_step_is_returned_as_a_tool_call(model: LocalModel, server: FakeServer) -> None:
    server.says('{"tool": "track", "arguments": {}}')
    answer = await model.answer(ModelRequest(messages=(user_message("Hi"),), tools=(TOOL,)))
    assert [call["function"] for call in answer.tool_calls] == [{"name": "track", "arguments": "{}"}]
    assert answer.finish_reason == "tool_calls"
    server.says('{"reply": "Hello"}')
    answer = await model.answer(ModelRequest(messages=(user_message("Hi"),), tools=(TOOL,)))
    assert (answer.text, answer.finish_reason) == ("Hello", "stop")


async def test_a_completion_carries_the_candidates_of_each_token(model: LocalModel, server: FakeServer) -> None:
    candidates = [
        {"token": " Yes", "logprob": -0.1},
        {"token": " No", "logprob": -2.5},
        {"token": " No", "logprob": -9},
    ]
    content = [{"token": " Yes", "logprob": -0.1, "bytes": [1], "top_logprobs": candidates}]
    server.streams({"choices": [{"text": " Yes", "logprobs": {"content": content}}]}, {"choices": [{"text": ""}]})
    completion = await model.complete("Q:", stop=("\n",), max_tokens=1, seed=3, logprobs=3)
    assert completion.text == " Yes"
    assert completion.logprobs == ({" Yes": -0.1, " No": -2.5},)
    assert server.requests[0] == (
        "/v1/completions",
        {
            "prompt": "Q:",
            "max_tokens": 1,
            "temperature": 0.0,
            "cache_prompt": True,
            "stop": ["\n"],
            "seed": 3,
            "logprobs": 3,
            **STREAMED,
        },
    )


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, '{"error": "exceeds the available context size"}', ModelRejectedError),
        (500, "broken", ModelUnavailableError),
        (503, "loading", ModelUnavailableError),
        (200, "<html>", ModelAnswerError),
        (200, "data: nonsense", ModelAnswerError),
        (200, 'data: {"choices": [{"delta": 4}]}', ModelAnswerError),
        (200, 'data: {"choices": [{"text": "half an ans"}]}\n\n', ModelAnswerError),
        (200, 'data: {"error": {"message": "no memory"}}', ModelUnavailableError),
    ],
)
async def test_failures_are_told_apart(
    model: LocalModel, server: FakeServer, status: int, body: str, error: type[Exception]
) -> None:
    server.status, server.body = status, body
    with pytest.raises(error) as caught:
        await model.answer(HELLO)
    assert type(caught.value) is error
    assert any(word in str(caught.value) for word in ("half an ans", body.removeprefix("data: ")))
    assert len(server.requests) == 1


async def test_a_comment_never_ends_an_answer(model: LocalModel, server: FakeServer) -> None:
    # While a request waits for its turn, the engine sends comments to keep the connection open.
    server.says("Hello")
    server.body = ":\n\n: still waiting\n\n" + server.body.replace("\n\ndata: [DONE]", "\n\n:\n\ndata: [DONE]")
    answer = await model.answer(HELLO)
    assert (answer.text, answer.attempts, len(server.requests)) == ("Hello", 1, 1)


async def test_json_that_was_cut_off_is_an_error_and_a_text_that_was_cut_off_is_not(
    model: LocalModel, server: FakeServer
) -> None:
    server.says('{"a', "length")
    assert (await model.answer(HELLO)).finish_reason == "length"
    with pytest.raises(ModelAnswerError, match="cut off after 3 tokens"):
        await model.answer(ModelRequest(messages=(user_message("Hi"),), response_schema={"type": "object"}))


async def test_text_that_is_no_step_is_an_answer_error(model: LocalModel, server: FakeServer) -> None:
    server.says("I would rather chat")
    with pytest.raises(ModelAnswerError, match="I would rather chat"):
        await model.answer(ModelRequest(messages=(user_message("Hi"),), tools=(TOOL,)))


async def test_no_answer_in_time_is_a_timeout(starts: list[int], server: FakeServer) -> None:
    server.hang = True
    model = LocalModel(Weights(name="tiny", source=WeightsSource.FILE, path=Path("/w")), timeout=0.1)
    with pytest.raises(ModelTimeoutError, match=r"within 0\.1 s"):
        await model.answer(HELLO)


async def test_cancelling_closes_the_request_and_gives_the_place_back(model: LocalModel, server: FakeServer) -> None:
    server.hang = True
    for _ in range(_engine.AT_ONCE + 1):
        server.open.clear(), server.closed.clear()
        task = asyncio.create_task(model.answer(HELLO))
        await asyncio.wait_for(server.open.wait(), LONG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.closed.wait(), LONG)


async def test_only_so_many_requests_are_with_the_engine_at_once(model: LocalModel, server: FakeServer) -> None:
    server.hang = True
    tasks = [asyncio.create_task(model.answer(HELLO)) for _ in range(6)]
    while len(server.requests) < _engine.AT_ONCE:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(server.requests) == _engine.AT_ONCE
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_server_that_is_gone_is_started_again_once(
    model: LocalModel, server: FakeServer, starts: list[int], unused_tcp_port: int
) -> None:
    starts.insert(0, unused_tcp_port)
    server.says("Hello again")
    answer = await model.answer(HELLO)
    assert (answer.text, answer.attempts) == ("Hello again", 2)
    starts[:] = [unused_tcp_port]
    model._engine._server = state(unused_tcp_port)
    with pytest.raises(ModelUnavailableError, match="is gone"):
        await model.answer(HELLO)


@pytest.mark.parametrize("status", [401, 404])
async def test_somebody_else_on_the_port_is_not_asked_twice(
    model: LocalModel, server: FakeServer, starts: list[int], status: int
) -> None:
    server.status, server.body = status, "who are you?"
    with pytest.raises(ModelUnavailableError, match="is not the server of local/tiny"):
        await model.answer(HELLO)
    assert len(server.requests) == 2


async def test_settings_reach_the_server_and_the_rest_the_engine(
    starts: list[int], server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
    (tmp_path / "Mine.gguf").write_bytes(b"GGUF")
    monkeypatch.setenv("DUOLOGUE_LOCAL_THREADS", "3")
    monkeypatch.setenv("DUOLOGUE_LOCAL_CONTEXT", "1024")
    config = ModelConfig(model="local", path=str(tmp_path / "Mine.gguf"), context=2048, top_k=5, max_tokens=7)
    model = LocalModel.from_config(config)
    options = model._engine._server_options("d")
    assert (model.name, options.context, options.threads, options.idle_seconds) == ("local/mine", 2048, 3, 300)
    server.says("x")
    await model.answer(HELLO)
    body = server.requests[0][1]
    assert (body["top_k"], body["max_tokens"], body["temperature"]) == (5, 7, 0.0)
    assert not {"path", "context"} & set(body)


@pytest.mark.parametrize(
    ("option", "value"), [("context", "many"), ("context", 1), ("threads", 0), ("idle_seconds", -1), ("timeout", "x")]
)
def test_an_option_that_is_wrong_is_named(tmp_path: Path, option: str, value: object) -> None:
    pytest.importorskip("xllamacpp", reason="the extra 'local' is not installed")
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    config = ModelConfig.model_validate({"model": f"local:{tmp_path / 'm.gguf'}", option: value})
    with pytest.raises(ConfigurationError, match=f"option '{option}'"):
        LocalModel.from_config(config)


async def test_weights_that_are_not_what_they_should_be_are_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF")
    weights = Weights(name="tiny", source=WeightsSource.HUB, path=tmp_path / "m.gguf", sha256="0" * 64)
    with pytest.raises(ModelUnavailableError, match="SHA-256"):
        await LocalModel(weights).answer(HELLO)


@pytest.fixture
def unused_tcp_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
