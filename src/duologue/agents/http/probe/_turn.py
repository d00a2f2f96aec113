"""One turn of a probe: what was seen, and what can be made of an answer or a refusal that was not as expected."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from duologue.agents.http.agent import HttpAgent
from duologue.agents.http.call import HttpCall
from duologue.agents.http.completions import ContractError
from duologue.agents.http.plain import read_plain, refuse_page
from duologue.agents.http.probe._refusals import learned
from duologue.agents.http.probe._requests import Way, handed_out, likely_words, streamed_words, with_thread, words_at
from duologue.agents.http.usage import ReportedUsage
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.redaction import redacted
from duologue.conversation.adapter import AgentInput
from duologue.errors import AgentError
from duologue.frozen import frozen
from duologue.http import HttpError, HttpResponse
from duologue.messages import Message, assistant_message, text_of

_NO_FORM_HELPS = frozenset((202, 204, 401, 403, 405, 407, 429, 503, 529, *range(300, 400)))
"""Statuses that say nothing about the form of the request."""


@frozen
class Exchange:
    """One turn as it was seen.

    Attributes:
        said, heard: by the user and by the agent.
        seconds: until the whole answer was there.
        tools: names of the tools that were called.
        usage: what the answer says that it took.
    """

    said: str
    heard: str
    seconds: float
    tools: tuple[str, ...] = ()
    usage: ReportedUsage | None = None


class Watched(HttpAgent):
    """The adapter, with a look at what comes back before it is read."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self.text = ""
        self.media_type = ""
        self.events: list[object] = []
        self.usage: ReportedUsage | None = None
        self.whole_turn = False
        self.made: HttpCall | None = None

    def start(self, thread: str, given: str) -> None:
        """Take up a conversation under the id that the agent gave it."""
        self._threads[thread] = given

    @property
    def given(self) -> dict[str, str]:
        """The ids that the agent has given."""
        return self._threads

    def _call_for(self, input: AgentInput) -> HttpCall:
        self.made = super()._call_for(input)
        return self.made

    async def _ask(self, input: AgentInput, call: HttpCall) -> tuple[str, str]:
        self.text, self.media_type = await super()._ask(input, call)
        return self.text, self.media_type

    async def _events(self, response: HttpResponse, call: HttpCall) -> AsyncGenerator[tuple[str, str]]:
        self.events.clear()
        async with aclosing(super()._events(response, call)) as events:
            async for event, data in events:
                with suppress(NoJsonError):
                    self.events.append(json_value(data))
                yield event, data

    def _note(self, input: AgentInput, call: HttpCall, *, whole_turn: bool) -> None:
        self.whole_turn = self.whole_turn or whole_turn

    async def _report(
        self, input: AgentInput, call: HttpCall, usage: ReportedUsage | None, finish_reason: str | None
    ) -> None:
        self.usage = usage


@frozen
class Turn:
    """A turn that worked, and what is left of it for the next."""

    way: Way
    exchange: Exchange
    messages: list[Message]
    thread: str
    given: Mapping[str, str]
    whole_turn: bool
    joined: bool


class Failed(Exception):
    """The agent could not be asked in a way.

    Attributes:
        reason: in one line.
        said: by the agent, as much of it as errors show; '' if it said nothing.
        final: whether no other way would help.
        teaches: the ways that the refusal suggests.
    """

    def __init__(
        self, error: AgentError, reason: str, *, said: str = "", final: bool = False, teaches: Sequence[Way] = ()
    ) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason
        self.said = said
        self.final = final
        self.teaches = teaches


def saved(way: Way, agent: Watched, error: AgentError) -> tuple[Way, list[Message]]:
    """An answer that could not be read in this way, read in another.

    Raises:
        Failed: it is none.
    """
    call = agent.made
    reason = call.reasons[-1] if call and call.reasons else str(error)
    whole = f"POST {call.url}: {reason}" if call else reason
    if call and call.refusals:
        status, told = call.refusals[-1]
        if status in _NO_FORM_HELPS or (status == 404 and not _is_completed(way)):
            raise Failed(error, f"{whole}; came back: {redacted(call.shown(told))}", final=True) from error
        said = redacted(call.shown(told)) if told.strip() else ""
        raise Failed(error, reason, said=said, teaches=learned(told, way)) from error
    if not agent.text and agent.events and (found := streamed_words(agent.events)) and "body" in way.options:
        return way.but(answer=found[0]), [assistant_message(found[1])]
    if not agent.text:
        final = isinstance(error.__cause__, HttpError)
        raise Failed(error, whole if final else reason, final=final) from error
    try:
        refuse_page(agent.text, agent.media_type)
    except ContractError:
        final = not _is_completed(way)
        raise Failed(error, whole if final else reason, final=final) from error
    asked = {"body": {"messages": "{{messages}}"}} if way.options.get("preset") == "openai-chat" else dict(way.options)
    asked.pop("preset", None)
    if "body" not in asked:
        raise Failed(error, reason) from error
    try:
        return Way(options=asked, path=way.path), read_plain(agent.text, agent.media_type, None)[1]
    except ContractError as unread:
        if "reports an error" in str(unread):
            raise Failed(error, reason, teaches=learned(agent.text, way)) from error
    try:
        path = likely_words(json_value(agent.text, constants=True))
    except NoJsonError:
        path = None
    if path is None or way.options.get("preset"):
        raise Failed(error, reason, teaches=learned(agent.text, way)) from error
    return Way(options={**asked, "answer": path}, path=way.path), read_plain(agent.text, agent.media_type, path)[1]


def _is_completed(way: Way) -> bool:
    """Whether the path of the URL was not given, but added by the preset or a description."""
    return bool(way.options.get("preset")) or way.path is not None


def settled(way: Way, agent: Watched, answer: list[Message], thread: str) -> tuple[Way, dict[str, str]]:
    """The way with what the answer showed: where its words are, and the id that it gave."""
    if way.options.get("preset"):
        return way, dict(agent.given)
    try:
        data: object = json_value(agent.text, constants=True) if agent.media_type else None
    except NoJsonError:
        data = None
    words = [text_of(one) for one in answer if one["role"] == "assistant"]
    if len(answer) == 1 and answer == [assistant_message(words[0])] and (path := words_at(data, words[0])):
        way = way.but(answer=path)
    given = dict(agent.given)
    found = next((found for one in (data, *agent.events) if (found := handed_out(one, thread)) is not None), None)
    if "thread_from" not in way.options and found is not None:
        way = with_thread(way, found[0])
        given[thread] = found[1]
    return way, given
