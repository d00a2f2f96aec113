"""An agent behind a URL that speaks OpenAI chat completions.

The conversation goes out, the agent's turn comes back. Whatever goes wrong on the way is an :class:`AgentError` that
says what was sent, the status and what came back; it never becomes part of the conversation. Reading the answer is the
business of ``duologue.agents.users.completions``. ``httpx`` is imported with the first request.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, Self, cast
from urllib.parse import SplitResult

from duologue.agents.exchange import Exchange
from duologue.agents.http.addresses import ForbiddenAddressError
from duologue.agents.http.client import (
    LoopClients,
    Target,
    TooLongError,
    bounded,
    checked_headers,
    checked_url,
    port_of,
    public_target,
    shown_url,
)
from duologue.agents.users.completions import ContractError, StreamReader, read_body
from duologue.conversation.adapter import AgentAdapter, AgentInput
from duologue.errors import AgentError, AgentTimeoutError, ConfigurationError
from duologue.messages import Message
from duologue.settings import DEFAULT_AGENT_TIMEOUT
from duologue.tracing.propagation import outgoing_headers

if TYPE_CHECKING:
    import httpx

MAX_ANSWER_BYTES = 10 * 1024 * 1024
_OK = 200
_REDIRECTS = range(300, 400)
_ENOUGH_TO_SHOW = 4096
"""Bytes of a refusal that are read: more than an error shows."""


class HttpAgent(AgentAdapter):
    """The agent under test, behind a URL.

    The connections of an event loop are closed when that loop shuts down, or earlier with ``await agent.aclose()`` or
    ``async with agent:``.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        model: str | None = None,
        name: str | None = None,
        timeout: float | None = None,
        thread_header: str | None = "X-Thread-Id",
        send: Literal["history", "new"] = "history",
        stream: bool = False,
        extra_body: Mapping[str, Any] | None = None,
        trust_private: bool = True,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """Say where the agent is and how to call it.

        Args:
            url: of the endpoint. ``http://host`` and ``http://host/v1`` are completed to ``…/v1/chat/completions``; any
                other path is used as it is.
            headers: sent with every request, such as ``Authorization``. Their values appear in no error and no journal.
            model: the ``model`` of the request; None leaves it out.
            name: what reports call the agent; None for its host.
            timeout: seconds that one call may take, from connecting to the last byte; None for the run's
                ``agent_timeout``.
            thread_header: header that carries the thread id, which is also sent as ``user``; None for no header.
            send: the whole conversation each time, or only what is ``new`` to the agent, for one that remembers.
            stream: ask for the answer piece by piece when the run is streamed.
            extra_body: more fields of the request.
            trust_private: whether the URL may lead to loopback and private addresses. Say False for a URL that comes
                from somebody else.
            max_answer_bytes: a longer answer is an error.

        Raises:
            ConfigurationError: the URL, a header or a number cannot be used.
        """
        self._url = _endpoint(url)
        self._headers = checked_headers(headers or {})
        if timeout is not None and timeout <= 0:
            raise ConfigurationError(f"timeout must be more than 0 seconds; found {timeout}")
        if send not in {"history", "new"}:
            raise ConfigurationError(f"send must be 'history' or 'new'; found {send!r}")
        self._model = model
        self._name = name or f"{type(self).__name__}({self._url.hostname}:{port_of(self._url)})"
        self._seconds = timeout
        # One second more than this class allows itself, so that its own error comes first: it says what was sent.
        self.timeout = timeout + 1 if timeout else None
        self._thread_header = thread_header
        self._send = send
        self._streams = stream
        self._extra_body = dict(extra_body or {})
        self._trust_private = trust_private
        self._max_answer_bytes = max_answer_bytes
        self._clients = LoopClients(trust_environment=trust_private)

    @property
    def name(self) -> str:
        """What reports and errors call the agent."""
        return self._name

    def describe(self) -> dict[str, Any]:
        """Where the agent is and how it is called; of headers only the names."""
        return {
            "url": shown_url(self._url),
            "model": self._model,
            "send": self._send,
            "stream": self._streams,
            "headers": sorted(self._headers),
        }

    async def call(self, input: AgentInput) -> list[Message]:
        """Send the conversation and return the agent's turn: its tool calls, their results, its answer.

        Raises:
            AgentTimeoutError: the whole answer was not there in time.
            AgentError: the agent cannot be reached, or answered with something that is no answer.
        """
        exchange, seconds = self._exchange(input), self._seconds_for(input)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                text = await self._recorded(input, exchange)
        except TimeoutError as error:
            if not limit.expired():
                raise exchange.failure(f"the connection timed out: {error}", AgentTimeoutError) from error
            raise exchange.failure(f"no full answer within {seconds:g} s", AgentTimeoutError) from error
        try:
            return read_body(text)
        except ContractError as error:
            raise exchange.failure(f"HTTP {_OK}, but {error}", came_back=text) from error

    def stream(self, input: AgentInput) -> AsyncIterator[str | Message] | None:
        """The agent's turn piece by piece, when ``stream=True`` was said; errors as for :meth:`call`.

        None where the run has a cassette: it holds whole answers.
        """
        return self._pieces(input) if self._streams and input.scope.cassette is None else None

    async def aclose(self) -> None:
        """Close the connections of the event loop that this is called on. The agent can be called again."""
        await self._clients.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _recorded(self, input: AgentInput, exchange: Exchange) -> str:
        """The body of the answer: from the run's cassette if it has one, else from the agent."""
        cassette = input.scope.cassette
        if cassette is None:
            return await self._ask(input, exchange)

        async def live() -> object:
            return _as_data(await self._ask(input, exchange))

        # The thread id is new in every run, so it is no part of what a request is found by.
        body = {key: value for key, value in self._body(input, stream=False).items() if key != "user"}
        answer = await cassette.play("http", {"url": shown_url(self._url), "body": body}, live)
        return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)

    async def _ask(self, input: AgentInput, exchange: Exchange) -> str:
        async with self._response(input, exchange, stream=False) as response:
            data = b"".join([chunk async for chunk in bounded(response, self._max_answer_bytes)])
        return data.decode(errors="replace")

    async def _pieces(self, input: AgentInput) -> AsyncIterator[str | Message]:
        exchange, reader, seconds = self._exchange(input), StreamReader(), self._seconds_for(input)
        deadline = asyncio.get_running_loop().time() + seconds
        async with aclosing(self._events(input, exchange)) as events:
            while True:
                try:
                    async with asyncio.timeout_at(deadline):
                        data = await anext(events)
                except StopAsyncIteration:
                    break
                except TimeoutError as error:
                    failure = exchange.failure(f"the stream did not end within {seconds:g} s", AgentTimeoutError)
                    raise failure from error
                for piece in _read(reader.feed(data), exchange, data):
                    yield piece
        for piece in _read(reader.end(), exchange):
            yield piece

    async def _events(self, input: AgentInput, exchange: Exchange) -> AsyncGenerator[str]:
        """The data of the server-sent events."""
        async with self._response(input, exchange, stream=True) as response:
            kind = response.headers.get("content-type", "").split(";")[0].strip()
            if kind != "text/event-stream":
                raise exchange.failure(f"a stream (text/event-stream) was asked for, but '{kind}' came back")
            rest = b""
            async for chunk in bounded(response, self._max_answer_bytes):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line.startswith(b"data:"):
                        yield line[len(b"data:") :].decode(errors="replace").strip()

    @asynccontextmanager
    async def _response(self, input: AgentInput, exchange: Exchange, *, stream: bool) -> AsyncGenerator[httpx.Response]:
        """The response, once its status is 200; closed afterwards."""
        import httpx

        response = await self._send_request(input, exchange, stream=stream)
        try:
            if response.status_code != _OK:
                raise await self._refused(response, exchange)
            yield response
        except TooLongError as error:
            raise exchange.failure(f"{error} (max_answer_bytes)") from error
        except httpx.HTTPError as error:
            raise exchange.failure(f"the answer broke off: {type(error).__name__}: {error}") from error
        finally:
            await response.aclose()

    async def _send_request(self, input: AgentInput, exchange: Exchange, *, stream: bool) -> httpx.Response:
        import httpx

        client = await self._clients.get()
        try:
            target = Target(url=self._url.geturl()) if self._trust_private else await public_target(self._url)
            request = client.build_request(
                "POST",
                target.url,
                headers={**target.headers, **self._request_headers(input)},
                json=self._body(input, stream=stream),
                extensions=target.extensions,
            )
            return await client.send(request, stream=True)
        except ForbiddenAddressError as error:
            raise exchange.failure(f"not called, because trust_private is False and {error}") from error
        except (httpx.HTTPError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise exchange.failure(f"no answer ({reason}); is the agent running at that address?") from error

    async def _refused(self, response: httpx.Response, exchange: Exchange) -> AgentError:
        data = b""
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > _ENOUGH_TO_SHOW:
                break
        what = f"HTTP {response.status_code}"
        if response.status_code in _REDIRECTS:
            where = response.headers.get("location", "nowhere").partition("?")[0]
            what += f", a redirect to {where}; redirects are not followed, so give the URL at which the agent answers"
        return exchange.failure(what, came_back=data.decode(errors="replace"))

    def _body(self, input: AgentInput, *, stream: bool) -> dict[str, Any]:
        body: dict[str, Any] = {"messages": self._outgoing(input), "user": input.thread_id}
        if self._model is not None:
            body["model"] = self._model
        if stream:
            body["stream"] = True
        return {**body, **self._extra_body}

    def _outgoing(self, input: AgentInput) -> list[Message]:
        return input.messages if self._send == "history" else input.new_messages

    def _request_headers(self, input: AgentInput) -> dict[str, str]:
        thread = {self._thread_header: input.thread_id} if self._thread_header else {}
        return {"Accept-Encoding": "identity", **outgoing_headers(), **thread, **self._headers}

    def _seconds_for(self, input: AgentInput) -> float:
        return self._seconds or input.scenario_state.config.agent_timeout or DEFAULT_AGENT_TIMEOUT

    def _exchange(self, input: AgentInput) -> Exchange:
        values = [value for text in self._headers.values() for value in (text, text.rpartition(" ")[2])]
        secrets = (*values, self._url.query)
        return Exchange(who=self.name, url=shown_url(self._url), messages=self._outgoing(input), secrets=secrets)


def _read(pieces: Iterator[Any], exchange: Exchange, data: str | None = None) -> list[Any]:
    try:
        return list(pieces)
    except ContractError as error:
        raise exchange.failure(str(error), came_back=data) from error


def _endpoint(url: str) -> SplitResult:
    parts = checked_url(url)
    path = parts.path.rstrip("/")
    if path in {"", "/v1"}:
        return parts._replace(path="/v1/chat/completions")
    return parts


def _as_data(text: str) -> object:
    """The body as data, so that a cassette can leave out what is secret in it; as text where it is no JSON object."""
    try:
        return cast("object", json.loads(text)) if text.lstrip().startswith("{") else text
    except ValueError:
        return text
