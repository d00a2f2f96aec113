"""How often an agent may call its tools. What is over a limit is refused, and the model is told which limit it is."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection

from duologue.agents.tools.answers import ToolFault
from duologue.messages import ToolCall
from duologue.specs.scenario import ToolPolicy


class Limits:
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
