"""The engine as one model uses it: its weights are prepared and its server is found or started when it is first asked.

Whoever asks waits for a place first; a server that has stopped meanwhile is started again, once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError

from duologue.context import Clock, SystemClock
from duologue.errors import ConfigurationError, ModelUnavailableError
from duologue.models.deadline import stopped_clock
from duologue.models.gate import Gate
from duologue.models.local.client import Reply, ServerGoneError, post
from duologue.models.local.launcher import STARTUP_TIMEOUT, ensure_server
from duologue.models.local.state import ServerOptions, ServerState
from duologue.models.local.weights import Weights, prepare
from duologue.settings import DEFAULT_MODEL_TIMEOUT, env

AT_ONCE = 2
"""Requests of this process that are with one engine at the same time; the others wait here, in order."""
OPTIONS = ("context", "slots", "threads", "idle_seconds")
"""What a setting, or ``DUOLOGUE_LOCAL_<NAME>``, may say about the server."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An answer, the seconds that it took, and how many requests were sent for it."""

    reply: Reply
    seconds: float
    attempts: int


class Engine:
    """The server of some weights.

    Args:
        weights: what ``weights.find`` found.
        options: of the server, see ``OPTIONS``.
        timeout: seconds that one request may take, once it is its turn.
        startup_timeout: seconds that loading the weights may take.
        clock: measures how long an answer took.

    Raises:
        ConfigurationError: an option is not what it should be.
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
        gate = _gate(str(self.weights.path))
        with stopped_clock():
            await gate.enter()
        try:
            return await self._ask(path, payload)
        finally:
            gate.leave()

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
            self._server = await asyncio.to_thread(self.ready_server)
        except ConfigurationError as error:
            # A model raises model errors and nothing else; that the settings are at fault is in the text.
            raise ModelUnavailableError(str(error), model=self.name) from error
        return self._server

    def ready_server(self) -> ServerState:
        """The server, found or started. Blocks.

        Raises:
            ConfigurationError: the weights are not what they should be, or the engine is not installed.
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
def _gate(path: str) -> Gate:
    """One for each weights file, for the whole process: they share the processor."""
    del path
    return Gate(AT_ONCE)


def _with_environment(options: Mapping[str, Any]) -> dict[str, Any]:
    merged = {name: options.get(name, env(f"LOCAL_{name.upper()}")) for name in OPTIONS}
    return {name: value for name, value in merged.items() if value is not None}
