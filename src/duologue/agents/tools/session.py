"""The tools of one run: each call is checked against limits and schemas, run, timed and recorded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection
from contextlib import suppress
from random import Random
from typing import Any, cast

from duologue.agents.tools.bound_tool import BoundTool, arguments_fault
from duologue.agents.tools.call import (
    CallContext,
    Result,
    ToolAnswer,
    ToolFault,
    ToolUnreachable,
    as_data,
    content_of,
    from_data,
)
from duologue.journal.events import ToolCalled
from duologue.journal.notes import FaultInjected
from duologue.journal.outcomes import append_outcome, outcome_of
from duologue.messages import JsonValue, ToolCall, mended
from duologue.models.scope import RunScope
from duologue.specs.scenario import ToolFailure, ToolPolicy, Turn

SLOW_SECONDS = 2.0
"""How much longer a slow call takes, on the clock of the run."""


class ToolSession:
    """A run's access to the tools: it has its own call counts, and its own chances of injected faults.

    Args:
        find: finds a tool by its name; None where there is none.
        seed_random: decides where the suite says that a call goes wrong with some probability; None for the run's own
            ``context.random("chaos")``.
    """

    def __init__(self, find: Callable[[str], BoundTool | None], seed_random: Random | None = None) -> None:
        self._find = find
        self._chances = _Chances(seed_random)
        self._counts = _CallCounts()

    async def call(
        self,
        call: ToolCall,
        *,
        scope: RunScope | None = None,
        turn: Turn | None = None,
        policy: ToolPolicy | None = None,
    ) -> ToolAnswer:
        """Run the tool that a model called. Whatever goes wrong is an answer with an error.

        Args:
            call: as the model made it.
            scope: the run; its journal gets a ``ToolCalled``, its cassette replays tools that reach outside.
            turn: of the script: consent, and what goes wrong on purpose.
            policy: how often tools may be called.

        Raises:
            ConfigurationError: the suite says something about the tool that cannot be carried out.
            CassetteMissError: the run is replayed, and this call was not recorded.
        """
        context = CallContext(scope=scope or RunScope(), turn=turn, call_id=call["id"])
        clock = context.scope.context.clock
        started = clock.monotonic()
        arguments = _arguments(call)
        id, journal = context.scope.next_call(), context.scope.journal
        if journal is not None and (known := await outcome_of(journal, id, ToolCalled, _difference(call, arguments))):
            with suppress(ToolFault):  # limits, chances and tools of this process come to be as they were
                await self._run(call, arguments, context, policy, recorded=True)
            return ToolAnswer(content=known.content, value=known.result, error=known.error, seconds=known.seconds)
        try:
            result = await self._run(call, arguments, context, policy)
        except ToolFault as fault:
            error = str(fault)
            answer = ToolAnswer(
                content=fault.message_for_model or f"Error: {error}",
                error=error,
                seconds=clock.monotonic() - started,
                unreachable=isinstance(fault, ToolUnreachable),
            )
            if answer.unreachable:
                return answer
        else:
            answer = ToolAnswer(content=content_of(result), value=result.value, seconds=clock.monotonic() - started)
        await _record(call, id, arguments, answer, context.scope)
        return answer

    async def _run(
        self,
        call: ToolCall,
        arguments: dict[str, JsonValue] | None,
        context: CallContext,
        policy: ToolPolicy | None,
        *,
        recorded: bool = False,
    ) -> Result:
        name = call["function"]["name"]
        tool = self._find(name)
        names = tool.names if tool else (name,)
        if policy is not None:
            self._counts.take(call, names, policy, context.scope.turn)
        await _disturb(context, names, self._chances)
        if tool is None:
            raise ToolFault(f"tool not found: {name}")
        if arguments is None:
            raise arguments_fault(name, f"expected a JSON object; found {call['function']['arguments'][:200]!r}")
        if tool.arguments is not None:
            tool.arguments.check_arguments(arguments)
        if recorded and tool.outside:
            if context.scope.cassette is not None:
                context.scope.cassette.pass_over("tool", {"tool": tool.names[0], "arguments": arguments})
            return Result(value=None)
        result = await _played(tool, arguments, context)
        if tool.results is None:
            return result
        fitted = tool.results.fitted(result.value)
        return result if fitted is result.value else Result(value=fitted, parts=result.parts)


async def _played(tool: BoundTool, arguments: dict[str, JsonValue], context: CallContext) -> Result:
    """From the run's cassette if it has one and the tool reaches outside, else from the tool."""
    if tool.outside and context.scope.journal is not None:
        await context.scope.journal.flush()
    cassette = context.scope.cassette
    if cassette is None or not tool.outside:
        return await tool.run(arguments, context)

    async def live() -> dict[str, Any]:
        try:
            return as_data(await tool.run(arguments, context))
        except ToolUnreachable:  # another time somebody may be there
            raise
        except ToolFault as fault:
            return {"fault": str(fault)}

    return from_data(await cassette.play("tool", {"tool": tool.names[0], "arguments": arguments}, live))


def _arguments(call: ToolCall) -> dict[str, JsonValue] | None:
    """The arguments; None where the model wrote something that is no JSON object."""
    try:
        value = mended(json.loads(call["function"]["arguments"] or "{}"))
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, JsonValue]", value) if isinstance(value, dict) else None


def _difference(call: ToolCall, arguments: dict[str, JsonValue] | None) -> Callable[[ToolCalled], str]:
    """In what a recorded call is not this one: the tool or its arguments."""
    name, given = call["function"]["name"], call["function"]["arguments"] if arguments is None else arguments

    def difference(was: ToolCalled) -> str:
        if was.name == name and was.arguments == given:
            return ""
        called = f"'{was.name}' with {was.arguments}"
        return f"it calls the tool '{name}' with {given}; when it was recorded, it called {called}"

    return difference


async def _record(
    call: ToolCall, id: str, arguments: dict[str, JsonValue] | None, answer: ToolAnswer, scope: RunScope
) -> None:
    if scope.journal is None:
        return
    function = call["function"]
    await append_outcome(
        scope.journal,
        ToolCalled(
            name=function["name"],
            turn=scope.turn,
            call_id=call["id"],
            arguments=function["arguments"] if arguments is None else arguments,
            result=answer.value,
            content=answer.content,
            error=answer.error,
            seconds=answer.seconds,
            call=id,
            participant=scope.participant,
        ),
    )


class _CallCounts:
    """The counts of one run. Calls that are refused do not count."""

    def __init__(self) -> None:
        self._total = 0
        self._turn = -1
        self._in_turn = 0
        self._identical: Counter[tuple[str, str]] = Counter()

    def take(self, call: ToolCall, names: Collection[str], policy: ToolPolicy, turn: int) -> None:
        """Count a call.

        Args:
            call: that the model makes.
            names: what the tool is called.
            policy: what is allowed.
            turn: number of the open turn.

        Raises:
            ToolFault: the policy does not allow it.
        """
        name = call["function"]["name"]
        if policy.blocklist and any(known in policy.blocklist for known in names):
            raise ToolFault(f"Tool {name} is blocked by policy")
        if turn != self._turn:
            self._turn, self._in_turn = turn, 0
            self._identical.clear()
        _refuse(name, "max_tool_calls_per_turn", self._in_turn, policy.max_tool_calls_per_turn)
        _refuse(name, "max_total_tool_calls", self._total, policy.max_total_tool_calls)
        if policy.max_identical_tool_calls is not None:
            same = (name, _canonical(call["function"]["arguments"]))
            _refuse(name, "max_identical_tool_calls", self._identical[same], policy.max_identical_tool_calls)
            self._identical[same] += 1
        self._in_turn += 1
        self._total += 1


def _refuse(name: str, limit: str, count: int, most: int | None) -> None:
    if most is not None and count >= most:
        raise ToolFault(f"Tool {name} is refused by policy: {limit} is {most}, and {count} such calls were made")


def _canonical(arguments: str) -> str:
    """The same text for the same arguments, however they are written."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments


class _Chances:
    """What decides in one run where calls go wrong with some probability.

    Args:
        source: of chance; None for the run's own, taken when it is first needed.
    """

    def __init__(self, source: Random | None = None) -> None:
        self._source = source

    def come(self, probability: float, scope: RunScope) -> bool:
        """Whether it happens this time: never for 0, always for 1."""
        if self._source is None:
            self._source = scope.context.random("chaos")
        return self._source.random() < probability


async def _disturb(context: CallContext, names: Collection[str], chances: _Chances) -> None:
    """Let the first rule of the turn that applies to a call, and whose chance comes, do its work.

    Args:
        context: of the call.
        names: what the tool is called.
        chances: of the run.

    Raises:
        ToolFault: the call is to fail.
    """
    if context.turn is None or context.turn.chaos is None:
        return
    for rule in context.turn.chaos.tool_failures:
        if rule.tool in names and chances.come(rule.probability, context.scope):
            await _inject(rule, context)
            return


async def _inject(rule: ToolFailure, context: CallContext) -> None:
    scope = context.scope
    scope.note(FaultInjected(tool=rule.tool, mode=rule.mode, call_id=context.call_id, probability=rule.probability))
    if rule.mode == "slow":
        await scope.context.clock.sleep(SLOW_SECONDS)
    elif rule.mode == "timeout":
        raise ToolFault(rule.message or f"chaos: tool {rule.tool} timed out (injected)")
    else:
        raise ToolFault(rule.message or f"chaos: tool {rule.tool} failed with injected error")
