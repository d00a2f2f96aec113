"""The probe: sends two turns, the second of which only makes sense to an agent that knows the first.

It stops at the first format that works, and at the first refusal that no other format would change. What it uses to ask
is the very adapter that a suite uses, so that what worked here works there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import field

from duologue.agents.http.probe._requests import Way, described, preset, threaded, ways_for
from duologue.agents.http.probe._turn import Exchange, Failed, Turn, Watched, saved, settled
from duologue.agents.http.usage import ReportedUsage
from duologue.config.json_text import NoJsonError, json_value
from duologue.context import Context
from duologue.conversation.adapter import AgentInput
from duologue.conversation.result import ScenarioState
from duologue.errors import AgentError, ConfigurationError
from duologue.frozen import frozen
from duologue.http import HttpClients, HttpError, HttpRequest, parse_url, shown_url
from duologue.journal.events import Usage
from duologue.messages import Message, text_of, tool_calls_of, user_message
from duologue.models.prices import cost_by_model

MAX_REQUESTS = 16
"""Requests that a probe sends at most, unless it is told otherwise."""
_DESCRIPTION_BYTES = 2_000_000


class ProbeError(AgentError):
    """The agent could not be asked in any way that was tried; the text says what came back."""


@frozen
class Questions:
    """What the two turns say.

    Attributes:
        first: said in the first turn.
        second: asked in the second.
        expected: what only an agent that knows the first turn says in the second.
    """

    first: str = "Hello! My name is Robin Vale, and my reference number is KX47."
    second: str = "What is my reference number?"
    expected: str = "KX47"


@frozen
class Probe:
    """What a probe has found.

    Attributes:
        url: of the endpoint.
        way: how the agent is asked.
        turns: the two turns.
        remembers: whether the second answer shows that the agent knew the first turn.
        memory: how it knows, or why that was not seen.
        mixes: whether it also knew in another conversation what was said in this one.
        streams: whether it answers piece by piece; None where that was not tried.
        whole_turns: whether its answers show all that it does in its turn.
        priced: whether the price of the model that it names is known.
        requests: that were sent.
        tried: the ways that were tried before, and why they did not work.
        questions: what was said.
    """

    url: str
    way: Way
    turns: tuple[Exchange, Exchange]
    remembers: bool
    memory: str
    mixes: bool = False
    streams: bool | None = None
    whole_turns: bool = False
    priced: bool = False
    requests: int = 0
    tried: tuple[tuple[str, str], ...] = ()
    questions: Questions = field(default_factory=Questions)


class Prober:
    """Finds out how an agent is asked.

    Args:
        url: of the endpoint, or only its host.
        headers: sent with every request.
        preset: the only format to try; None for all.
        model: the ``model`` of requests.
        questions: what the turns say.
        timeout: seconds for one answer.
        max_requests: that are sent at most.
        context: clock and ids.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        preset: str | None = None,
        model: str | None = None,
        questions: Questions | None = None,
        timeout: float = 60.0,
        max_requests: int = MAX_REQUESTS,
        context: Context | None = None,
    ) -> None:
        if max_requests < 2:
            raise ConfigurationError(f"a probe sends two turns, so at least 2 requests; found {max_requests}")
        self._parts = parse_url(url)
        self._headers = dict(headers or {})
        self._preset = preset
        self._model = model
        self._questions = questions or Questions()
        self._timeout = timeout
        self._most = max_requests
        self._context = context or Context()
        self._sent = 0
        self._tried: list[tuple[str, str]] = []
        self._said: dict[tuple[str, str], list[str]] = {}

    async def probe(self) -> Probe:
        """Send the turns, in one way after the other.

        Raises:
            ProbeError: no way worked.
        """
        first = await self._first_turn()
        first, second = await self._second_turn(first)
        remembers = self._remembered(second)
        mixes = remembers and await self._mixes(first)
        if not remembers or mixes:
            for way in threaded(first.way):
                if self._sent + 3 > self._most:
                    break
                if (found := await self._both(way)) is not None:
                    first, second = found
                    remembers, mixes = True, False
                    break
        usage = second.exchange.usage or first.exchange.usage
        return Probe(
            url=self._url_of(first.way),
            way=first.way,
            turns=(first.exchange, second.exchange),
            remembers=remembers,
            memory=self._memory(first, remembers),
            mixes=mixes,
            streams=await self._streams(first),
            whole_turns=second.whole_turn,
            priced=usage is not None and usage.split and _has_price(usage, self._context.clock.now()),
            requests=self._sent,
            tried=tuple(self._tried),
            questions=self._questions,
        )

    # The first turn

    async def _first_turn(self) -> Turn:
        waiting, look = await self._ways()
        seen: list[Way] = []
        while True:
            way = waiting.pop(0)
            seen.append(way)
            try:
                return await self._turn(way, [], self._questions.first)
            except Failed as failed:
                self._tried.append((way.label, failed.reason))
                self._said.setdefault((failed.reason, failed.said), []).append(way.label)
                if failed.final:
                    raise self._failure(failed) from failed.error
                if self._preset in {None, "message"}:
                    waiting = [*failed.teaches, *waiting]
                if look and not waiting:
                    look, waiting = False, await self._described()
                waiting = [way for way in waiting if way not in seen]
                if not waiting or self._sent + 2 > self._most:
                    raise self._failure(failed) from failed.error

    async def _ways(self) -> tuple[list[Way], bool]:
        """What to try, and whether the server's own description may still say more."""
        if self._preset:
            return [preset(self._preset)], False
        ways = ways_for(self._parts.path)
        if "preset" in ways[0].options:
            return ways, len(ways) > 1  # a URL without a path: the APIs of providers are more usual
        return [*(await self._described() if len(ways) > 1 else ()), *ways], False

    async def _described(self) -> list[Way]:
        """What the server's OpenAPI document says, if it has one."""
        self._sent += 1
        address = self._parts._replace(path="/openapi.json", query="", fragment="").geturl()
        request = HttpRequest(
            url=address, method="GET", headers=self._headers, timeout=self._timeout, max_bytes=_DESCRIPTION_BYTES
        )
        clients = HttpClients()
        try:
            async with clients.send(request) as response:
                if not response.ok:
                    return []
                return described(json_value(await response.text()), self._parts.path)
        except (HttpError, NoJsonError):
            return []
        finally:
            await clients.aclose()

    async def _turn(self, way: Way, history: Sequence[Message], text: str, before: Turn | None = None) -> Turn:
        """One turn in that way.

        Raises:
            Failed: the agent could not be asked in that way.
        """
        thread = before.thread if before else self._context.ids.new("thread")
        messages = [*history, user_message(text)]
        async with self._agent(way) as agent:
            if before is not None:
                for name, given in before.given.items():
                    agent.start(name, given)
            began = self._context.clock.monotonic()
            self._sent += 1
            try:
                answer = await agent.call(_input(messages, thread))
            except AgentError as error:
                way, answer = saved(way, agent, error)
            seconds = self._context.clock.monotonic() - began
            way, given = settled(way, agent, answer, thread)
        exchange = Exchange(
            said=text,
            heard="\n".join(filter(None, (text_of(one) for one in answer if one["role"] == "assistant"))),
            seconds=seconds,
            tools=tuple(call["function"]["name"] for one in answer for call in tool_calls_of(one)),
            usage=agent.usage,
        )
        return Turn(
            way=way,
            exchange=exchange,
            messages=[*messages, *answer],
            thread=thread,
            given=given,
            whole_turn=agent.whole_turn,
            joined=not agent.media_type,
        )

    # The second turn

    async def _second_turn(self, first: Turn) -> tuple[Turn, Turn]:
        try:
            return first, await self._turn(first.way, first.messages, self._questions.second, first)
        except Failed as failed:
            raise self._failure(failed) from failed.error

    async def _both(self, way: Way) -> tuple[Turn, Turn] | None:
        """Both turns in another way; None where the agent still does not remember."""
        try:
            first = await self._turn(way, [], self._questions.first)
            second = await self._turn(first.way, first.messages, self._questions.second, first)
        except Failed as failed:
            self._tried.append((way.label, failed.reason))
            return None
        return (first, second) if self._remembered(second) and not await self._mixes(first) else None

    async def _mixes(self, first: Turn) -> bool:
        """Whether the agent also knows in another conversation what was said in this one."""
        if "preset" in first.way.options or "{{messages}}" in str(first.way.options) or self._sent >= self._most:
            return False
        fresh = Way(options=first.way.options, path=first.way.path)
        try:
            return self._remembered(await self._turn(fresh, [], self._questions.second))
        except Failed:
            return False

    def _remembered(self, second: Turn) -> bool:
        return self._questions.expected.casefold() in second.exchange.heard.casefold()

    def _memory(self, first: Turn, remembers: bool) -> str:
        options = first.way.options
        fields = str(options.get("body", ""))
        name = options.get("preset")
        if not remembers:
            return (
                f"not seen: the answer to '{self._questions.second}' does not contain '{self._questions.expected}'; "
                "either the agent does not remember, or it does not answer such questions (see --say, --then, --expect)"
            )
        if origin := options.get("thread_from"):
            return f"the agent gives an id at '{origin}' of its answer, and finds the conversation under it"
        if name == "langgraph":
            return "a thread of the LangGraph server, one per run"
        if "{{messages}}" in fields or "{{history}}" in fields or name in {
            "openai-chat",
            "openai-responses",
            "anthropic-messages",
        }:  # fmt: skip
            return "the whole conversation is sent with each request"
        where = (
            ""
            if name or "{{thread_id}}" in fields or "{{thread_id}}" in self._parts.geturl()
            else " in the header X-Thread-Id"
        )
        return f"only the new message is sent, with an id of the conversation{where}"

    # Streams

    async def _streams(self, first: Turn) -> bool | None:
        name = first.way.options.get("preset")
        if first.joined:
            return True
        if name in {None, "message"} or self._sent >= self._most:
            return None
        async with self._agent(first.way, stream=True) as agent:
            self._sent += 1
            pieces = agent.stream(_input([user_message(self._questions.first)], self._context.ids.new("thread")))
            assert pieces is not None
            try:
                return len([piece async for piece in pieces]) > 0
            except AgentError:
                return False

    # Ways and failures

    @asynccontextmanager
    async def _agent(self, way: Way, *, stream: bool = False) -> AsyncGenerator[Watched]:
        agent = Watched(
            self._url_of(way),
            headers=self._headers,
            timeout=self._timeout,
            stream=stream,
            **({"model": self._model} if self._model else {}),
            **way.options,
        )
        async with agent:
            yield agent

    def _url_of(self, way: Way) -> str:
        return (self._parts if way.path is None else self._parts._replace(path=way.path)).geturl()

    def _failure(self, failed: Failed) -> ProbeError:
        text = failed.reason
        if not failed.final:
            told = "\n".join(
                "\n".join([*(f"  {label}" for label in labels), f"    {reason}{f'; it said: {said}' if said else ''}"])
                for (reason, said), labels in self._said.items()
            )
            text = (
                f"{shown_url(self._parts)}: the agent was asked in {len(self._tried)} ways ({self._sent} requests), "
                f"and none of them worked:\n{told}\nIf you know its format, name it with --preset, or write it as "
                "'http:' of an agent; see the guide 'Connect an agent over HTTP'"
            )
        return ProbeError(text)


def _input(messages: list[Message], thread: str) -> AgentInput:
    return AgentInput(
        thread_id=thread,
        messages=messages,
        new_messages=messages[-1:],
        scenario_state=ScenarioState(thread_id=thread),
    )


def _has_price(usage: ReportedUsage, now: float) -> bool:
    tokens = Usage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens)
    return usage.cost is not None or cost_by_model(usage.model, tokens, now) is not None
