"""An agent behind a URL.

The conversation goes out, the agent's turn comes back. Whatever goes wrong on the way is an :class:`AgentError` that
says what was sent, the status and what came back; it never becomes part of the conversation. How a request is written
is the business of ``presets``, how an answer is read that of ``completions``, ``plain``, ``streams`` and ``usage``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, ClassVar, Literal, Self, cast

from duologue.agents.http.call import BUSY, OK, HttpCall, pieces_of, refusal, unreachable
from duologue.agents.http.completions import ContractError, fields_of, json_object, read_answer
from duologue.agents.http.plain import at_path, read_plain, refuse_page
from duologue.agents.http.presets import PRESETS, BodyTemplate, Outgoing, Preset
from duologue.agents.http.streams import StreamReader
from duologue.agents.http.usage import ReportedUsage, usage_of
from duologue.agents.http.whole import JOINED, as_data, finish_reason, is_joined, joined
from duologue.config.json_path import steps_of
from duologue.config.redaction import (
    names_secret,
    query_values,
    remember_headers,
    remember_url,
    secrets_of_headers,
    without_values,
)
from duologue.conversation.adapter import AgentAdapter, AgentInput
from duologue.errors import AgentError, AgentTimeoutError, ConfigurationError
from duologue.frozen import changed
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
    retry_after,
    shown_url,
)
from duologue.journal.notes import AgentRetried, AgentThread, ToolCallsReported
from duologue.messages import Message
from duologue.models.prices import load_prices
from duologue.models.reported import report_usage
from duologue.models.scope import Amount
from duologue.settings import DEFAULT_AGENT_TIMEOUT
from duologue.tracing.setup import outgoing_headers
from duologue.vocabulary import HttpPreset

_ENOUGH_TO_SHOW = 4096
"""Bytes of a refusal that are read: more than an error shows."""
_LINES = frozenset(("application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"))
"""Media types of streams with one JSON value in each line."""
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 30.0
"""Seconds before a request is sent again to an agent that does not say how long it is busy: doubled each time."""


class HttpAgent(AgentAdapter):
    """The agent under test, behind a URL.

    The connections of an event loop are closed when that loop shuts down, or earlier with ``await agent.aclose()`` or
    ``async with agent:``. An interrupted run can continue with it: it is sent the whole conversation, or finds it under
    its thread id. Tokens that its answers report count as the agent's.
    """

    resumable: ClassVar[bool | None] = True

    def __init__(
        self,
        url: str,
        *,
        preset: HttpPreset | None = None,
        headers: Mapping[str, str] | None = None,
        model: str | None = None,
        name: str | None = None,
        timeout: float | None = None,
        thread_header: str | None = "X-Thread-Id",
        send: Literal["history", "new"] | None = None,
        stream: bool = False,
        body: Mapping[str, Any] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        answer: str | None = None,
        thread_from: str | None = None,
        retries: int = 0,
        pricing: tuple[float, float] | None = None,
        trust_private: bool = True,
        max_answer_bytes: int = MAX_BODY_BYTES,
        reports_tool_calls: bool | None = None,
    ) -> None:
        """Say where the agent is and how to call it.

        Args:
            url: of the endpoint. If it is only a host, or a host and ``/v1``, the preset completes it: ``http://host``
                becomes ``http://host/v1/chat/completions``. Any other path is used as it is. ``{{thread_id}}`` in it is
                replaced by the id of the conversation.
            preset: the format of requests and answers. None for ``message`` if ``body``, ``answer`` or ``thread_from``
                is given, else for ``openai-chat``.
            headers: sent with every request, such as ``Authorization``. Their values appear in no error and no journal.
            model: the ``model`` of the request, or the assistant of LangGraph; None leaves it out.
            name: what reports call the agent; None for its host.
            timeout: seconds that one call may take, from connecting to the last byte, retries included; None for the
                run's ``agent_timeout``.
            thread_header: header that carries the thread id; None for no header.
            send: the whole conversation each time, or only what is ``new`` to the agent, for one that remembers. None
                for what is usual with the preset.
            stream: ask for the answer piece by piece when the run is streamed.
            body: the request of an agent with a format of its own, with the placeholders ``{{message}}``,
                ``{{messages}}``, ``{{history}}`` and ``{{thread_id}}``.
            extra_body: more fields of the request.
            answer: path to the agent's words in its answer, such as ``data.reply``; None to look for them.
            thread_from: path in the answer to an id of the conversation. It is sent as ``{{thread_id}}`` from then on.
            retries: how often a request is sent again that the agent refuses with 429, 503 or 529, after the time that
                its ``Retry-After`` says. Leave it at 0 where a refused request may have done something already.
            pricing: US dollars for 1,000 tokens that the agent reads and for 1,000 that it writes; None for the price
                of the model that its answers name.
            trust_private: whether the URL may lead to loopback and private addresses. Say False for a URL that comes
                from somebody else.
            max_answer_bytes: a longer answer is an error.
            reports_tool_calls: whether answers show every tool call that the agent makes. None: an answer with a list
                ``messages`` does; with other answers it is known once the agent has shown a call.

        Raises:
            ConfigurationError: the URL, a header, a number or a path cannot be used.
        """
        self._preset = _preset_for(preset, body, own_format=bool(answer or thread_from))
        self._url = self._preset.completed(parse_url(url))
        self._headers = check_headers({**self._preset.headers, **(headers or {})})
        remember_url(url)
        remember_headers(self._headers)
        query = query_values(self._url.query)
        self._secrets = (*secrets_of_headers(self._headers.values()), self._url.query, *(value for _, value in query))
        # In answers, only what is secret for sure: other words have to reach the checks.
        telling = [value for name, value in (*self._headers.items(), *query) if names_secret(name)]
        self._keys = secrets_of_headers(telling)
        _check(timeout, send, retries, self._preset)
        self._answer = _path(answer, "answer")
        self._model = model
        self._name = name or f"{type(self).__name__}({self._url.hostname}:{port_of(self._url)})"
        self._seconds = timeout
        # One second more than this class allows itself, so that its own error comes first: it says what was sent.
        self.timeout = timeout + 1 if timeout else None
        self._thread_header = thread_header
        self._send = send or self._preset.send
        self._thread_from = _path(thread_from, "thread_from")
        if self._send == "new" and self._preset.thread_from:
            self._thread_from = self._preset.thread_from
        self._threads: dict[str, str] = {}
        self._streams = stream
        self._extra_body = dict(extra_body or {})
        self._retries = retries
        self._pricing = pricing
        self._max_answer_bytes = max_answer_bytes
        self.reports_tool_calls = reports_tool_calls
        self._trust_private = trust_private
        self._clients = HttpClients(trust_private=trust_private)

    @property
    def name(self) -> str:
        """What reports and errors call the agent."""
        return self._name

    def describe(self) -> dict[str, Any]:
        """Where the agent is and how it is called; of headers only the names."""
        preset = self._preset.name
        return {
            "url": shown_url(self._url),
            "model": self._model,
            "send": self._send,
            "stream": self._streams,
            "headers": sorted(self._headers),
            **({} if preset == "openai-chat" else {"preset": preset}),
        }

    async def call(self, input: AgentInput) -> list[Message]:
        """Send the conversation and return the agent's turn: its tool calls, their results, its answer.

        Raises:
            AgentTimeoutError: the whole answer was not there in time.
            AgentError: the agent cannot be reached, or answered with something that is no answer.
        """
        call = self._call_for(input)
        text, media_type = await self._recorded(input, call)
        try:
            body, messages, written = self._read(text, media_type)
            thread = self._given_thread(body)
        except ContractError as error:
            raise call.failure(f"HTTP 200, but {error}", came_back=text) from error
        fields = fields_of(body)
        self._note(input, call, whole_turn=self._preset.name == "langgraph" or isinstance(fields.get("messages"), list))
        await self._report(input, call, usage_of(body, written), finish_reason(fields))
        if thread:
            self._remember(input, thread)
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

    # What the run is told

    def _note(self, input: AgentInput, call: HttpCall, *, whole_turn: bool) -> None:
        """Note retries and, once in a run, that tool calls of this agent would be seen."""
        for retry in call.retried:
            input.scope.note(retry)
        if not whole_turn:
            return
        note = ToolCallsReported(participant=self.name, index=input.scope.participant)
        if not any(item.note == note for item in input.scenario_state.view.notes):
            input.scope.note(note)

    async def _report(
        self, input: AgentInput, call: HttpCall, usage: ReportedUsage | None, finish_reason: str | None
    ) -> None:
        """Count what the agent says that it took."""
        if usage is None:
            return
        cost = usage.cost
        if cost is None and self._pricing is not None and usage.split:
            cost = (usage.input_tokens * self._pricing[0] + usage.output_tokens * self._pricing[1]) / 1000
        scope = input.scope
        if cost is None and usage.split and (usage.model or self._model):
            await load_prices(scope.context.clock)
        report_usage(
            scope,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            model=(usage.model or self._model) if usage.split else None,
            cost=cost,
            seconds=max(0.0, scope.context.clock.monotonic() - call.began),
            attempts=len(call.retried) + 1,
            finish_reason=finish_reason,
        )

    # Threads

    def _thread(self, input: AgentInput) -> str | None:
        """The id that the next request names; None before the agent has given one."""
        if self._thread_from is None:
            return input.thread_id
        if input.scope.journal is None:
            return self._threads.get(input.thread_id)
        index = input.scope.participant
        for item in reversed(input.scenario_state.view.notes):
            if isinstance(item.note, AgentThread) and item.note.index == index:
                return item.note.thread
        return None

    def _given_thread(self, body: object) -> str:
        """The id that an answer gives the conversation; '' where none is looked for."""
        if self._thread_from is None:
            return ""
        fields = fields_of(body)
        given = fields.get("thread") if fields.get("object") == JOINED else at_path(body, self._thread_from)
        if not isinstance(given, str | int) or given == "":
            raise ContractError(f"the id of the conversation at '{self._thread_from}' is {given!r}; expected text")
        return str(given)

    def _remember(self, input: AgentInput, thread: str) -> None:
        """Keep the id in the journal, where a resumed run finds it too."""
        if self._thread(input) == thread:
            return
        if input.scope.journal is None:
            self._threads[input.thread_id] = thread
        else:
            input.scope.note(AgentThread(participant=self.name, thread=thread, index=input.scope.participant))

    # Answers

    def _read(self, text: str, media_type: str) -> tuple[object, list[Message], Sequence[object]]:
        """The answer as data, its messages, and what these were made from."""
        if self._preset.plain and not is_joined(text):
            return read_plain(text, media_type, self._answer)
        refuse_page(text, media_type)
        body = json_object(text, "the body")
        written = body.get("messages")
        return body, read_answer(body), cast("list[object]", written) if isinstance(written, list) else ()

    async def _recorded(self, input: AgentInput, call: HttpCall) -> tuple[str, str]:
        """Body and media type of the answer: from the run's cassette if it has one, else from the agent."""
        cassette = input.scope.cassette
        if cassette is None:
            return await self._ask(input, call)

        async def live() -> object:
            return as_data((await self._ask(input, call))[0])

        # The thread id is new in every run, so it is no part of what a request is found by.
        out = self._outgoing(input, stream=False, thread=self._thread(input) if self._thread_from else None)
        body = self._body(out)
        answer = await cassette.play("http", {"url": shown_url(self._url), "body": body}, live)
        return (answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)), ""

    async def _ask(self, input: AgentInput, call: HttpCall) -> tuple[str, str]:
        async with self._response(input, call, stream=False) as response:
            if response.streams_events or response.media_type in _LINES:  # the server has no other form
                return await self._joined(response, call), ""
            return without_values(await response.text(), self._keys), response.media_type

    async def _joined(self, response: HttpResponse, call: HttpCall) -> str:
        """A streamed answer in the form of one that came whole."""
        reader, pieces = self._reader(), list[str | Message]()
        try:
            async with aclosing(self._fed(response, reader, call)) as found:
                async for piece in found:
                    pieces.append(piece)
        except BrokenResponseError as error:
            raise call.failure(str(error), came_back=reader.text or None) from error
        return joined(pieces, reader)

    async def _pieces(self, input: AgentInput) -> AsyncGenerator[str | Message]:
        call, reader = self._call_for(input), self._reader()
        async with (
            self._response(input, call, stream=True) as response,
            aclosing(self._fed(response, reader, call)) as pieces,
        ):
            async for piece in pieces:
                yield piece
        self._note(input, call, whole_turn=reader.whole_turn)
        await self._report(input, call, reader.usage, reader.finish_reason)
        if reader.thread and self._thread_from is not None:
            self._remember(input, reader.thread)

    def _reader(self) -> StreamReader:
        return StreamReader(plain=self._preset.plain, answer=self._answer, thread_from=self._thread_from)

    async def _fed(self, response: HttpResponse, reader: StreamReader, call: HttpCall) -> AsyncGenerator[str | Message]:
        """The pieces of a stream, to its end."""
        async with aclosing(self._events(response, call)) as events:
            async for event, data in events:
                for piece in pieces_of(reader.feed(without_values(data, self._keys), event), call, data):
                    yield piece
        for piece in pieces_of(reader.end(), call, reader.shown or None):
            yield piece

    async def _events(self, response: HttpResponse, call: HttpCall) -> AsyncGenerator[tuple[str, str]]:
        """Name and data of each event of a stream, whatever carries it."""
        if response.streams_events:
            async with aclosing(response.named_events()) as events:
                async for event in events:
                    yield event
        elif response.media_type in _LINES:
            async with aclosing(response.lines()) as lines:
                async for line in lines:
                    yield "", line
        elif self._preset.plain and response.media_type == "text/plain":
            async with aclosing(response.pieces()) as pieces:
                async for piece in pieces:
                    yield "text", json.dumps(piece)
        else:
            kind = response.media_type
            raise call.failure(f"a stream (text/event-stream) was asked for, but '{kind}' came back")

    # Requests

    @asynccontextmanager
    async def _response(self, input: AgentInput, call: HttpCall, *, stream: bool) -> AsyncGenerator[HttpResponse]:
        """The response, once its status is that of an answer."""
        scope = input.scope
        if scope.ledger is not None:
            scope.ledger.reserve(Amount()).release()  # what the agent reports may have spent the budget
        clock = scope.context.clock
        seconds = self._seconds or input.scenario_state.config.agent_timeout or DEFAULT_AGENT_TIMEOUT
        out = self._outgoing(input, stream=stream, thread=self._thread(input))
        request = HttpRequest(
            url=self._preset.url(self._url, out),
            headers=self._request_headers(input),
            json=self._body(out),
            timeout=seconds,
            max_bytes=self._max_answer_bytes,
        )
        try:
            while True:
                async with self._clients.send(request) as response:
                    if response.status in OK:
                        yield response
                        return
                    left = seconds - (clock.monotonic() - call.began)
                    wait = self._wait(response, len(call.retried), clock.now())
                    if wait is None or wait >= left:
                        raise await self._refused(response, call, wait, left)
                    call.retried.append(AgentRetried(participant=self.name, status=response.status, seconds=wait))
                await clock.sleep(wait)
                request = changed(request, timeout=max(left - wait, 0.001))
        except ForbiddenAddressError as error:
            why = "trust_private is False and " if not self._trust_private else ""
            raise call.failure(f"not called, because {why}{error}") from error
        except HttpTimeoutError as error:
            text = f"the stream did not end within {seconds:g} s" if stream else str(error)
            raise call.failure(text, AgentTimeoutError) from error
        except NoResponseError as error:
            raise call.failure(unreachable(error)) from error
        except ResponseTooLargeError as error:
            raise call.failure(f"{error} (max_answer_bytes)") from error
        except BrokenResponseError as error:
            raise call.failure(str(error)) from error

    def _wait(self, response: HttpResponse, retried: int, now: float) -> float | None:
        """Seconds before the request is sent again; None if it is not."""
        if response.status not in BUSY or retried >= self._retries:
            return None
        told = retry_after(response.headers, now)
        return min(_FIRST_WAIT * 2.0**retried, _LONGEST_WAIT) if told is None else told

    async def _refused(self, response: HttpResponse, call: HttpCall, wait: float | None, left: float) -> AgentError:
        what = refusal(response)
        if call.retried:
            what += f"; sent {len(call.retried) + 1} times"
        if wait is not None:
            what += f"; not sent again, because {wait:g} s are more than the {max(left, 0.0):.3g} s that are left"
        came_back = await response.excerpt(_ENOUGH_TO_SHOW)
        call.refusals.append((response.status, came_back))
        return call.failure(what, came_back=came_back)

    def _outgoing(self, input: AgentInput, *, stream: bool, thread: str | None) -> Outgoing:
        new_only = self._send == "new"
        return Outgoing(
            # With an id that the agent has not given yet, it knows nothing of the conversation.
            messages=input.new_messages if new_only and thread is not None else input.messages,
            thread=thread,
            new_only=new_only,
            model=self._model,
            stream=stream,
        )

    def _body(self, out: Outgoing) -> dict[str, Any]:
        return {**self._preset.body(out), **self._extra_body}

    def _request_headers(self, input: AgentInput) -> dict[str, str]:
        thread = {self._thread_header: input.thread_id} if self._thread_header else {}
        return {**outgoing_headers(), **thread, **self._headers}

    def _call_for(self, input: AgentInput) -> HttpCall:
        return HttpCall(
            who=self.name,
            url=shown_url(self._url),
            messages=input.messages if self._send == "history" else input.new_messages,
            secrets=self._secrets,
            began=input.scope.context.clock.monotonic(),
        )


def _preset_for(name: HttpPreset | None, body: Mapping[str, Any] | None, *, own_format: bool) -> Preset:
    """The format of an agent, with its own body where one is given."""
    own_format = own_format or body is not None
    preset = PRESETS.get(name or ("message" if own_format else "openai-chat"))
    if preset is None:
        raise ConfigurationError(f"preset must be one of {', '.join(PRESETS)}; found '{name}'")
    if own_format and preset.name != "message":
        raise ConfigurationError(f"body, answer and thread_from are for the preset 'message', not for '{name}'")
    return preset if body is None else changed(preset, body=BodyTemplate(body))


def _check(timeout: float | None, send: str | None, retries: int, preset: Preset) -> None:
    if timeout is not None and timeout <= 0:
        raise ConfigurationError(f"timeout must be more than 0 seconds; found {timeout}")
    if send not in {None, "history", "new"}:
        raise ConfigurationError(f"send must be 'history' or 'new'; found {send!r}")
    if send is not None and preset.name == "message":
        raise ConfigurationError(
            "send is not for the preset 'message': write {{message}} or {{messages}} in its body instead"
        )
    if retries < 0:
        raise ConfigurationError(f"retries must be 0 or more; found {retries}")


def _path(path: str | None, field: str) -> str | None:
    """A path in an answer. Raises ConfigurationError where it is none."""
    try:
        return path if path is None or steps_of(path) else None
    except ValueError as error:
        raise ConfigurationError(f"{field} must be {error}") from error
