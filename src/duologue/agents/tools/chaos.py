"""Tool calls that go wrong on purpose."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from duologue.agents.tools.answers import Occasion, ToolFault
from duologue.journal.notes import FaultInjected
from duologue.models.scope import RunScope
from duologue.specs.scenario import ToolFailure

SLOW_SECONDS = 2.0
"""How much longer a slow call takes, on the clock of the run."""


class Chances:
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


async def disturb(occasion: Occasion, names: Collection[str], chances: Chances) -> None:
    """Let the first rule of the turn that applies to a call, and whose chance comes, do its work.

    Args:
        occasion: of the call.
        names: what the tool is called.
        chances: of the run.

    Raises:
        ToolFault: the call is to fail.
    """
    if occasion.turn is None or occasion.turn.chaos is None:
        return
    for rule in occasion.turn.chaos.tool_failures:
        if rule.tool in names and chances.come(rule.probability, occasion.scope):
            await _happen(rule, occasion)
            return


async def _happen(rule: ToolFailure, occasion: Occasion) -> None:
    scope = occasion.scope
    scope.note(FaultInjected(tool=rule.tool, mode=rule.mode, call_id=occasion.call_id, probability=rule.probability))
    if rule.mode == "slow":
        await scope.context.clock.sleep(SLOW_SECONDS)
    elif rule.mode == "timeout":
        raise ToolFault(rule.message or f"chaos: tool {rule.tool} timed out (injected)")
    else:
        raise ToolFault(rule.message or f"chaos: tool {rule.tool} failed with injected error")
