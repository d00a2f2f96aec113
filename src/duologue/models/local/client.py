"""One request to the engine's HTTP interface, and what its answers and failures mean.

A connection is made for each request: on loopback it costs half a millisecond, and nothing is left open when an event
loop ends. Answers are streamed for one reason: the engine notices that a request was cancelled only when it writes to a
connection that is closed, and would finish the work otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from duologue.errors import (
    ModelAnswerError,
    ModelError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.journal.events import Usage
from duologue.models.local.state import ServerState

_CONNECT_SECONDS = 5.0
_SHOWN = 500
_OK = 200
_CLIENT_ERRORS = range(400, 500)
_NOT_OURS = {401, 403, 404}
"""Our server knows its key and its paths: whoever answers that has taken over its port."""
_DATA, _ERROR, _DONE = "data:", "error:", "[DONE]"


class ServerGoneError(ModelUnavailableError):
    """The server of the state is not there any more: start it again."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Tokens(_Wire):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Candidate(_Wire):
    token: str
    logprob: float


class _Token(_Candidate):
    top_logprobs: list[_Candidate] = []


class _Logprobs(_Wire):
    content: list[_Token] | None = None


class _Delta(_Wire):
    content: str | None = None


class _Choice(_Wire):
    """Of a completion (``text``) or of a chat completion (``delta``)."""

    text: str = ""
    delta: _Delta = _Delta()
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Chunk(_Wire):
    choices: list[_Choice] = []
    usage: _Tokens | None = None
    error: JsonValue = None


@dataclass(kw_only=True)
class Reply:
    """What the engine wrote. ``logprobs``: for each token, the log probability of every candidate that was wanted."""

    text: str = ""
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    logprobs: list[dict[str, float]] = field(default_factory=list[dict[str, float]])

    def add(self, chunk: _Chunk) -> None:
        """Take one piece of the stream in."""
        if chunk.usage:
            self.usage = Usage(input_tokens=chunk.usage.prompt_tokens, output_tokens=chunk.usage.completion_tokens)
        for choice in chunk.choices:
            self.text += choice.text + (choice.delta.content or "")
            self.finish_reason = choice.finish_reason or self.finish_reason
            tokens = choice.logprobs.content if choice.logprobs else None
            self.logprobs += [_candidates(token) for token in tokens or []]


async def post(server: ServerState, path: str, payload: Mapping[str, Any], *, timeout: float) -> Reply:
    """Ask the engine.

    Args:
        server: which one.
        path: of the HTTP interface.
        payload: the JSON body.
        timeout: seconds for everything.

    Raises:
        ServerGoneError: it is not there any more, or something else has taken its port.
        ModelTimeoutError: no answer in time.
        ModelRejectedError: it refuses the request, such as one that is longer than its context.
        ModelUnavailableError: it failed.
        ModelAnswerError: it answered something else than it documents.
    """
    import httpx

    name = f"local/{server.options.name}"
    body = {**payload, "stream": True, "stream_options": {"include_usage": True}}
    limits = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_SECONDS))
    try:
        async with (
            asyncio.timeout(timeout),
            httpx.AsyncClient(verify=False, trust_env=False, timeout=limits) as client,  # noqa: S501 - no TLS
            client.stream(
                "POST", f"{server.url}{path}", json=body, headers={"Authorization": f"Bearer {server.api_key}"}
            ) as answer,
        ):
            if answer.status_code != _OK:
                raise _refusal(answer.status_code, (await answer.aread()).decode("utf-8", "replace"), server)
            return await _read(answer.aiter_lines(), name)
    except (TimeoutError, httpx.TimeoutException) as error:
        raise ModelTimeoutError(
            f"{name} did not answer within {timeout:g} s; ask for fewer tokens, fewer at once, or set a longer timeout",
            model=name,
        ) from error
    except httpx.TransportError as error:
        raise ServerGoneError(f"The server of {name} at {server.url} is gone: {error!r}", model=name) from error


async def _read(lines: AsyncIterator[str], name: str) -> Reply:
    reply = Reply()
    async for line in lines:
        data = line.removeprefix(_DATA).strip()
        if data == _DONE:
            return reply
        if line.startswith(_ERROR):
            raise ModelUnavailableError(f"The server of {name} failed: {line[:_SHOWN]}", model=name)
        if not line.startswith(_DATA):
            if data:
                raise ModelAnswerError(f"{name} answered something unexpected: {line[:_SHOWN]}", model=name)
            continue
        try:
            chunk = _Chunk.model_validate_json(data)
        except ValidationError as error:
            raise ModelAnswerError(f"{name} answered something unexpected: {data[:_SHOWN]}", model=name) from error
        if chunk.error is not None:
            raise ModelUnavailableError(f"The server of {name} failed: {data[:_SHOWN]}", model=name)
        reply.add(chunk)
    raise ModelAnswerError(f"{name} ended its answer early, after: {reply.text[:_SHOWN]!r}", model=name)


def _refusal(status: int, text: str, server: ServerState) -> ModelError:
    name, shown = f"local/{server.options.name}", text[:_SHOWN]
    if status in _NOT_OURS:
        return ServerGoneError(
            f"What answers at {server.url} is not the server of {name}: {status} {shown}", model=name
        )
    if status in _CLIENT_ERRORS:
        return ModelRejectedError(f"{name} refuses the request: {status} {shown}", model=name)
    return ModelUnavailableError(f"The server of {name} failed: {status} {shown}", model=name)


def _candidates(token: _Token) -> dict[str, float]:
    """Of candidates with one text, such as two halves of one character, the likelier one."""
    row = {token.token: token.logprob}
    for candidate in token.top_logprobs:
        row[candidate.token] = max(candidate.logprob, row.get(candidate.token, candidate.logprob))
    return row
