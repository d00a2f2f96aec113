"""An agent behind a URL that speaks OpenAI chat completions.

The conversation goes out, the agent's turn comes back. Whatever goes wrong on the way is an :class:`AgentError` that
says what was sent, the status and what came back; it never becomes part of the conversation. Reading the answer is the
business of ``duologue.agents.http.completions``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import field
from typing import Any, ClassVar, Literal, Self
from urllib.parse import SplitResult

from duologue.agents.http.completions import ContractError, StreamReader, read_answer
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.redaction import (
    names_secret,
    query_values,
    redacted,
    remember_headers,
    remember_url,
    secrets_of_headers,
    without_values,
)
from duologue.conversation.adapter import AgentAdapter, AgentInput
from duologue.errors import AgentError, AgentTimeoutError, ConfigurationError
from duologue.frozen import frozen
from duologue.http import (
    MAX_BODY_BYTES,
    BrokenResponseError,
    ForbiddenAddressError,
    HttpClients,
    HttpRequest,
    HttpResponse,
    HttpTimeoutError,
    NoResponseError,
    ResponseTooLargeError,
    check_headers,
    parse_url,
    port_of,
    shown_url,
)
from duologue.journal.notes import ToolCallsReported
from duologue.messages import Message, assistant_message, text_of, tool_calls_of
from duologue.settings import DEFAULT_AGENT_TIMEOUT
from duologue.tracing.setup import outgoing_headers

_OK = 200
_REDIRECTS = range(300, 400)
_BUSY = {
    429: ", the agent takes no more requests for now; run fewer cases at once, or raise its limit",
    503: ", the agent is overloaded or not up yet; run fewer cases at once, or wait until it is ready",
}
_LONGEST_WAIT = 40
"""Characters of a Retry-After that an error shows: a date has 29."""
_ENOUGH_TO_SHOW = 4096
"""Bytes of a refusal that are read: more than an error shows."""
_SHOWN_SENT = 200
"""Characters of the newest message that an error shows."""
_SHOWN_BACK = 500
"""Characters of the answer that an error shows."""


class HttpAgent(AgentAdapter):
    """The agent under test, behind a URL.

    The connections of an event loop are closed when that loop shuts down, or earlier with ``await agent.aclose()`` or
    ``async with agent:``. An interrupted run can continue with it: it is sent the whole conversation, or finds it under
    its thread id.
    """

    resumable: ClassVar[bool | None] = True

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
        max_answer_bytes: int = MAX_BODY_BYTES,
        reports_tool_calls: bool | None = None,
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
            reports_tool_calls: whether answers show every tool call that the agent makes. None: an answer with a list
                ``messages`` does; with other answers it is known once the agent has shown a call.

        Raises:
            ConfigurationError: the URL, a header or a number cannot be used.
        """
        self._url = _endpoint(url)
        self._headers = check_headers(headers or {})
        remember_url(url)
        remember_headers(self._headers)
        query = query_values(self._url.query)
        self._secrets = (*secrets_of_headers(self._headers.values()), self._url.query, *(value for _, value in query))
        # In answers, only what is secret for sure: other words have to reach the checks.
        telling = [value for name, value in (*self._headers.items(), *query) if names_secret(name)]
        self._keys = secrets_of_headers(telling)
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
        self._max_answer_bytes = max_answer_bytes
        self.reports_tool_calls = reports_tool_calls
        self._clients = HttpClients(trust_private=trust_private)

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
        call = self._call_for(input)
        text = await self._recorded(input, call)
        try:
            messages, whole_turn = read_answer(text)
        except ContractError as error:
            raise call.failure(f"HTTP {_OK}, but {error}", came_back=text) from error
        if whole_turn:
            self._note_whole_turns(input)
        return messages

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

    def _note_whole_turns(self, input: AgentInput) -> None:
        """Note, once in a run, that tool calls of this agent would be seen."""
        note = ToolCallsReported(participant=self.name, index=input.scope.participant)
        if not any(item.note == note for item in input.scenario_state.view.notes):
            input.scope.note(note)

    async def _recorded(self, input: AgentInput, call: _Call) -> str:
        """The body of the answer: from the run's cassette if it has one, else from the agent."""
        cassette = input.scope.cassette
        if cassette is None:
            return await self._ask(input, call)

        async def live() -> object:
            return _as_data(await self._ask(input, call))

        # The thread id is new in every run, so it is no part of what a request is found by.
        body = {key: value for key, value in self._body(input, stream=False).items() if key != "user"}
        answer = await cassette.play("http", {"url": shown_url(self._url), "body": body}, live)
        return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)

    async def _ask(self, input: AgentInput, call: _Call) -> str:
        async with self._response(input, call, stream=False) as response:
            if response.streams_events:  # the server has no other form
                return await self._joined(response, call)
            return without_values(await response.text(), self._keys)

    async def _joined(self, response: HttpResponse, call: _Call) -> str:
        """A streamed answer in the form of one that came whole."""
        reader, pieces = StreamReader(), list[str | Message]()
        async with aclosing(response.events()) as events:
            async for data in events:
                pieces += _read(reader.feed(without_values(data, self._keys)), call, data)
        pieces += _read(reader.end(), call)
        messages = [piece for piece in pieces if not isinstance(piece, str)]
        if reader.whole_turn:
            return json.dumps({"messages": messages})
        text = "".join(piece for piece in pieces if isinstance(piece, str))
        calls = [one for message in messages for one in tool_calls_of(message)]
        return json.dumps({"choices": [{"message": {**assistant_message(None, calls), "content": text or None}}]})

    async def _pieces(self, input: AgentInput) -> AsyncGenerator[str | Message]:
        call, reader = self._call_for(input), StreamReader()
        async with self._response(input, call, stream=True) as response:
            if not response.streams_events:
                kind = response.media_type
                raise call.failure(f"a stream (text/event-stream) was asked for, but '{kind}' came back")
            async with aclosing(response.events()) as events:
                async for data in events:
                    for piece in _read(reader.feed(without_values(data, self._keys)), call, data):
                        yield piece
        for piece in _read(reader.end(), call):
            yield piece
        if reader.whole_turn:
            self._note_whole_turns(input)

    @asynccontextmanager
    async def _response(self, input: AgentInput, call: _Call, *, stream: bool) -> AsyncGenerator[HttpResponse]:
        """The response, once its status is 200."""
        seconds = self._seconds or input.scenario_state.config.agent_timeout or DEFAULT_AGENT_TIMEOUT
        request = HttpRequest(
            url=self._url.geturl(),
            headers=self._request_headers(input),
            json=self._body(input, stream=stream),
            timeout=seconds,
            max_bytes=self._max_answer_bytes,
        )
        try:
            async with self._clients.send(request) as response:
                if response.status != _OK:
                    raise await self._refused(response, call)
                yield response
        except ForbiddenAddressError as error:
            raise call.failure(f"not called, because trust_private is False and {error}") from error
        except HttpTimeoutError as error:
            text = f"the stream did not end within {seconds:g} s" if stream else str(error)
            raise call.failure(text, AgentTimeoutError) from error
        except NoResponseError as error:
            raise call.failure(f"no answer ({error}); is the agent running at that address?") from error
        except ResponseTooLargeError as error:
            raise call.failure(f"{error} (max_answer_bytes)") from error
        except BrokenResponseError as error:
            raise call.failure(str(error)) from error

    async def _refused(self, response: HttpResponse, call: _Call) -> AgentError:
        what = f"HTTP {response.status}{_BUSY.get(response.status, '')}"
        if response.status in _BUSY and (wait := response.headers.get("retry-after", "").strip()):
            what += f" (Retry-After: {wait[:_LONGEST_WAIT]})"
        if response.status in _REDIRECTS:
            where = response.headers.get("location", "nowhere").partition("?")[0]
            what += f", a redirect to {where}; redirects are not followed, so give the URL at which the agent answers"
        return call.failure(what, came_back=await response.excerpt(_ENOUGH_TO_SHOW))

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
        return {**outgoing_headers(), **thread, **self._headers}

    def _call_for(self, input: AgentInput) -> _Call:
        return _Call(
            who=self.name,
            url=shown_url(self._url),
            messages=self._outgoing(input),
            secrets=self._secrets,
        )


@frozen
class _Call:
    """One request to an agent, and how to say what went wrong with it without giving away a secret.

    Attributes:
        who: the agent's name.
        url: as it may be shown: without user, password and query.
        messages: that were sent.
        secrets: texts that must not be shown, even where the other side repeats them.
    """

    who: str
    url: str
    messages: Sequence[Message]
    secrets: tuple[str, ...] = field(default=(), repr=False)

    def failure(self, what: str, kind: type[AgentError] = AgentError, *, came_back: str | None = None) -> AgentError:
        """The error to raise: what went wrong, what was sent and, if anything, what came back."""
        parts = [f"[{self.who}] POST {self.url}: {without_values(what, self.secrets)}", f"sent: {self._sent()}"]
        if came_back is not None:
            shown = _trimmed(without_values(came_back, self.secrets), _SHOWN_BACK) if came_back else "nothing"
            parts.append(f"came back: {shown}")
        return kind(redacted("; ".join(parts)), who=self.who)

    def _sent(self) -> str:
        if not self.messages:
            return "no messages"
        newest = self.messages[-1]
        count = f"{len(self.messages)} message{'s' if len(self.messages) > 1 else ''}"
        text = without_values(text_of(newest), self.secrets)
        return f"{count}, the last from the {newest['role']}: {_trimmed(text, _SHOWN_SENT)}"


def _trimmed(text: str, limit: int) -> str:
    shown = text if len(text) <= limit else f"{text[:limit]}…"
    return repr(shown)


def _read(pieces: Iterator[Any], call: _Call, data: str | None = None) -> list[Any]:
    try:
        return list(pieces)
    except ContractError as error:
        raise call.failure(str(error), came_back=data) from error


def _endpoint(url: str) -> SplitResult:
    parts = parse_url(url)
    path = parts.path.rstrip("/")
    if path in {"", "/v1"}:
        return parts._replace(path="/v1/chat/completions")
    return parts


def _as_data(text: str) -> object:
    """The body as data, so that a cassette can leave out what is secret in it; as text where it is no JSON object."""
    try:
        return json_value(text, constants=True) if text.lstrip().startswith("{") else text
    except NoJsonError:
        return text
