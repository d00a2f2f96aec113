"""The tools of one run: each call is allowed or refused, disturbed or not, checked, run, timed and written down."""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any, cast

from duologue.agents.tools.answers import (
    Occasion,
    Prepared,
    Result,
    ToolAnswer,
    ToolFault,
    as_data,
    content_of,
    from_data,
)
from duologue.agents.tools.chaos import Chances, disturb
from duologue.agents.tools.limits import Limits
from duologue.agents.tools.schemas import arguments_fault
from duologue.errors import ResumeError
from duologue.journal.events import Event, ToolCalled
from duologue.messages import JsonValue, ToolCall
from duologue.models.scope import RunScope
from duologue.specs.scenario import ToolPolicy, Turn

if TYPE_CHECKING:
    from duologue.agents.tools.toolbox import Toolbox


class ToolSession:
    """What one run has of a suite's tools: its own counts, and its own chances of things going wrong.

    Args:
        toolbox: the tools, shared with all other runs.
        seed_random: decides where the suite says that a call goes wrong with some probability; None for the run's own
            ``context.random("chaos")``.
    """

    def __init__(self, toolbox: Toolbox, seed_random: Random | None = None) -> None:
        self._toolbox = toolbox
        self._chances = Chances(seed_random)
        self._limits = Limits()

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
        occasion = Occasion(scope=scope or RunScope(), turn=turn, call_id=call["id"])
        clock = occasion.scope.context.clock
        started = clock.monotonic()
        arguments = _arguments(call)
        id, journal = occasion.scope.next_call(), occasion.scope.journal
        if journal is not None and journal.recorded is not None:
            outcome = await journal.recorded_outcome(id)
            if outcome is not None:
                with suppress(ToolFault):  # limits, chances and tools of this process come to be as they were
                    await self._run(call, arguments, occasion, policy, recorded=True)
                return _recorded_answer(outcome[0].event, call)
        try:
            result = await self._run(call, arguments, occasion, policy)
        except ToolFault as fault:
            error = str(fault)
            answer = ToolAnswer(
                content=fault.told or f"Error: {error}", error=error, seconds=clock.monotonic() - started
            )
        else:
            answer = ToolAnswer(content=content_of(result), value=result.value, seconds=clock.monotonic() - started)
        await _record(call, id, arguments, answer, occasion.scope)
        return answer

    async def _run(
        self,
        call: ToolCall,
        arguments: dict[str, JsonValue] | None,
        occasion: Occasion,
        policy: ToolPolicy | None,
        *,
        recorded: bool = False,
    ) -> Result:
        name = call["function"]["name"]
        tool = self._toolbox.find(name)
        names = tool.names if tool else (name,)
        if policy is not None:
            self._limits.take(call, names, policy, occasion.scope.turn)
        await disturb(occasion, names, self._chances)
        if tool is None:
            raise ToolFault(f"tool not found: {name}")
        if arguments is None:
            raise arguments_fault(name, f"expected a JSON object; found {call['function']['arguments'][:200]!r}")
        if tool.arguments is not None:
            tool.arguments.check_arguments(arguments)
        if recorded and tool.outside:
            return Result(value=None)
        result = await _played(tool, arguments, occasion)
        if tool.results is None:
            return result
        fitted = tool.results.fitted(result.value)
        return result if fitted is result.value else Result(value=fitted, parts=result.parts)


async def _played(tool: Prepared, arguments: dict[str, JsonValue], occasion: Occasion) -> Result:
    """From the run's cassette if it has one and the tool reaches outside, else from the tool."""
    if tool.outside and occasion.scope.journal is not None:
        await occasion.scope.journal.flush()
    cassette = occasion.scope.cassette
    if cassette is None or not tool.outside:
        return await tool.run(arguments, occasion)

    async def live() -> dict[str, Any]:
        try:
            return as_data(await tool.run(arguments, occasion))
        except ToolFault as fault:
            return {"fault": str(fault)}

    return from_data(await cassette.play("tool", {"tool": tool.names[0], "arguments": arguments}, live))


def _arguments(call: ToolCall) -> dict[str, JsonValue] | None:
    """The arguments; None where the model wrote something that is no JSON object."""
    try:
        value = json.loads(call["function"]["arguments"] or "{}")
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, JsonValue]", value) if isinstance(value, dict) else None


def _recorded_answer(event: Event, call: ToolCall) -> ToolAnswer:
    """The answer that the tool gave before the run was interrupted.

    Raises:
        ResumeError: another tool was called then.
    """
    name = call["function"]["name"]
    if not isinstance(event, ToolCalled) or event.name != name:
        raise ResumeError(f"the run cannot be resumed: it calls the tool '{name}' now, which it did not do then")
    return ToolAnswer(content=event.content, value=event.result, error=event.error, seconds=event.seconds)


async def _record(
    call: ToolCall, id: str, arguments: dict[str, JsonValue] | None, answer: ToolAnswer, scope: RunScope
) -> None:
    if scope.journal is None:
        return
    if scope.journal.recorded is not None:
        await scope.journal.caught_up()
    function = call["function"]
    scope.journal.append(
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
        )
    )
