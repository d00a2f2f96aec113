"""The engine as one model uses it: its server is found or started when it is first asked, and asked over HTTP.

Whoever asks waits for a place first; a server that has stopped meanwhile is started again, once. Answers are streamed
for one reason: the engine notices that a request was cancelled only when it writes to a connection that is closed, and
would finish the work otherwise.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from duologue.context import Clock, SystemClock
from duologue.errors import (
    ConfigurationError,
    ModelAnswerError,
    ModelError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.frozen import frozen
from duologue.http import (
    BrokenResponseError,
    HttpClients,
    HttpRequest,
    HttpResponse,
    HttpTimeoutError,
    NoResponseError,
    ResponseRefusedError,
)
from duologue.journal.events import Usage
from duologue.models.limits import CrossLoopSemaphore
from duologue.models.local._launcher import STARTUP_TIMEOUT, ServerOptions, ServerState, ensure_server
from duologue.models.local._weights import Weights, prepare
from duologue.models.scope import stopped_clock
from duologue.settings import DEFAULT_MODEL_TIMEOUT, env

AT_ONCE = 2
"""Requests of this process that are with one engine at the same time; the others wait here, in order."""
OPTIONS = ("context", "slots", "threads", "idle_seconds")
"""What a setting, or ``DUOLOGUE_LOCAL_<NAME>``, may say about the server."""
_SHOWN = 500
_OK = 200
_CLIENT_ERRORS = range(400, 500)
_NOT_OURS = {401, 403, 404}
"""Our server knows its key and its paths: whoever answers that has taken over its port."""
_DONE = "[DONE]"
_http = HttpClients(use_proxy=False)
"""For all engines of this process: they are on this machine."""


@frozen
class Answered:
    """An answer, the seconds that it took, and how many requests were sent for it."""

    reply: Reply
    seconds: float
    attempts: int


class Engine:
    """The server of some weights.

    Args:
        weights: what :func:`find` found.
        options: of the server, see ``OPTIONS``.
        timeout: seconds that one request may take, once it is its turn.
        startup_timeout: seconds that loading the weights may take without making progress.
        clock: measures how long an answer took.

    Raises:
        ConfigurationError: an option is invalid.
    """

    def __init__(
        self,
        weights: Weights,
        options: Mapping[str, Any] | None = None,
        *,
        timeout: float = DEFAULT_MODEL_TIMEOUT,
        startup_timeout: float = STARTUP_TIMEOUT,
        clock: Clock | None = None,
    ) -> None:
        self.weights = weights
        self._options = _with_environment(options or {})
        self._server_options(digest="")
        self._timeout = timeout
        self._startup_timeout = startup_timeout
        self._clock = clock or SystemClock()
        self._server: ServerState | None = None

    @property
    def name(self) -> str:
        """Full name of the model."""
        return f"local/{self.weights.name}"

    async def ask(self, path: str, payload: Mapping[str, Any]) -> Answered:
        """Ask, when it is this request's turn.

        Raises:
            ModelError: no answer.
        """
        places = _places(str(self.weights.path))
        with stopped_clock():
            await places.acquire()
        try:
            return await self._ask(path, payload)
        finally:
            places.release()

    async def _ask(self, path: str, payload: Mapping[str, Any]) -> Answered:
        server = self._server or await self._start()
        try:
            return await self._post(server, path, payload, attempts=1)
        except ServerGoneError:
            return await self._post(await self._start(), path, payload, attempts=2)

    async def _post(self, server: ServerState, path: str, payload: Mapping[str, Any], *, attempts: int) -> Answered:
        began = self._clock.monotonic()
        reply = await post(server, path, payload, timeout=self._timeout)
        return Answered(reply=reply, seconds=self._clock.monotonic() - began, attempts=attempts)

    async def _start(self) -> ServerState:
        try:
            # Loading has a time limit of its own.
            with stopped_clock():
                self._server = await asyncio.to_thread(self.ready_server)
        except ConfigurationError as error:
            # A model raises model errors and nothing else; that the settings are at fault is in the text.
            raise ModelUnavailableError(str(error), model=self.name) from error
        return self._server

    def ready_server(self) -> ServerState:
        """The server, found or started. Blocks.

        Raises:
            ConfigurationError: the weights are damaged, or the engine is not installed.
            ModelUnavailableError: the server could not be started.
        """
        prepared = prepare(self.weights)
        return ensure_server(self._server_options(prepared.digest), startup_timeout=self._startup_timeout)

    def _server_options(self, digest: str) -> ServerOptions:
        fixed = {"name": self.weights.name, "weights": str(self.weights.path), "digest": digest}
        try:
            return ServerOptions.model_validate({**self._options, **fixed})
        except ValidationError as error:
            problem = error.errors(include_url=False)[0]
            field = ".".join(str(part) for part in problem["loc"])
            raise ConfigurationError(
                f"The option '{field}' of the local model is {json.dumps(problem['input'], default=str)}: "
                f"{problem['msg']}. It may be set on the model or as DUOLOGUE_LOCAL_{field.upper()}"
            ) from error


@cache
def _places(path: str) -> CrossLoopSemaphore:
    """One for each weights file, for the whole process: they share the processor."""
    del path
    return CrossLoopSemaphore(AT_ONCE)


def _with_environment(options: Mapping[str, Any]) -> dict[str, Any]:
    merged = {name: options.get(name, env(f"LOCAL_{name.upper()}")) for name in OPTIONS}
    return {name: value for name, value in merged.items() if value is not None}


# Over HTTP


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
    name = f"local/{server.options.name}"
    request = HttpRequest(
        url=f"{server.url}{path}",
        # A connection for each request: it costs half a millisecond here, and one that is kept may belong to a server
        # that has stopped meanwhile.
        headers={"Authorization": f"Bearer {server.api_key}", "Connection": "close"},
        json={**payload, "stream": True, "stream_options": {"include_usage": True}},
        timeout=timeout,
    )
    try:
        async with _http.send(request) as response:
            if response.status != _OK:
                raise _refusal(response.status, await response.excerpt(_SHOWN), server)
            return await _read(response, name)
    except HttpTimeoutError as error:
        raise ModelTimeoutError(
            f"{name} did not answer within {timeout:g} s; ask for fewer tokens, fewer at once, or set a longer timeout",
            model=name,
        ) from error
    except ResponseRefusedError as error:
        raise ModelAnswerError(f"{name}: {error}", model=name) from error
    except (NoResponseError, BrokenResponseError) as error:
        raise ServerGoneError(f"The server of {name} at {server.url} is gone: {error}", model=name) from error


async def _read(response: HttpResponse, name: str) -> Reply:
    if not response.streams_events:
        text = await response.excerpt(_SHOWN)
        raise ModelAnswerError(f"{name} answered something unexpected: {text[:_SHOWN]}", model=name)
    reply = Reply()
    async with aclosing(response.events()) as events:
        async for data in events:
            if data == _DONE:
                return reply
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
