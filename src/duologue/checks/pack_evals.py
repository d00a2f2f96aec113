"""The evals of prompt packs as checks: when they run, which turns are sampled, what counts as passing.

Sampling hashes the run and the turn (64-bit FNV-1a), so that the same turns are sampled every time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from duologue.checks.base import CatalogueCheck, shown, validated
from duologue.checks.registry import from_spec
from duologue.conversation.setup import CheckInput, CheckOutcome
from duologue.frozen import frozen
from duologue.journal.notes import WorkflowMoved
from duologue.models.resources import Resources
from duologue.specs.checks import CheckSpec, PackEvalSpec, Threshold
from duologue.vocabulary import CheckStatus, Scope

_OF_A_TURN = {"every_turn", "sample_turns", "on_workflow_step"}
_WITHOUT_EFFECT = {"metric", "groups"}
"""Fields that packs may have for other systems."""
_SAMPLED = {"sample_turns", "sample_sessions"}
_OPPOSITE = {CheckStatus.PASSED: CheckStatus.FAILED, CheckStatus.FAILED: CheckStatus.PASSED}


@frozen
class PackEval:
    """An eval of a pack as a check. Created by :func:`pack_eval`.

    Attributes:
        definition: the eval as it was written.
        check: the check that it evaluates.
    """

    definition: PackEvalSpec
    check: CatalogueCheck

    @property
    def name(self) -> str:
        """Its id."""
        return self.definition.id

    @property
    def kind(self) -> str:
        """``pack_eval:`` and the type, so that reports distinguish it from the suite's own checks."""
        return f"pack_eval:{self.definition.type}"

    @property
    def scope(self) -> Scope:
        """That of the trigger."""
        return self.check.scope

    async def evaluate(self, input: CheckInput) -> CheckOutcome:
        """The outcome; skipped if the eval is disabled, not sampled, or not due in this turn."""
        reason = self._not_due(input)
        if reason:
            return CheckOutcome(status=CheckStatus.SKIPPED, explanation=reason)
        clock = input.scope.context.clock
        began = clock.monotonic()
        outcome = await self.check.evaluate(input)
        took = round((clock.monotonic() - began) * 1000)
        outcome = replace(outcome, details={**outcome.details, "duration_ms": took})
        threshold = self.definition.threshold
        if threshold and threshold.passed is False:
            return replace(outcome, status=_OPPOSITE.get(outcome.status, outcome.status))
        return outcome

    def _not_due(self, input: CheckInput) -> str:
        definition = self.definition
        if not definition.enabled:
            return "disabled"
        if definition.trigger == "on_workflow_step":
            moves = [note for note in input.state.view.notes if isinstance(note.note, WorkflowMoved)]
            return "" if any(note.turn == input.turn for note in moves) else "no workflow step in this turn"
        if definition.trigger in _SAMPLED:
            turn = input.turn if self.scope is Scope.TURN else 0
            if not sampled(_run_of(input), turn, definition.sample_percentage):
                return f"not in the sample of {definition.sample_percentage:g} %"
        return ""


def pack_eval(definition: PackEvalSpec | Mapping[str, Any], resources: Resources | None = None) -> PackEval:
    """An eval of a pack as a check.

    Raises:
        ConfigurationError: an unknown type, trigger, field or parameter.
    """
    if not isinstance(definition, PackEvalSpec):
        written = {key: value for key, value in definition.items() if key not in _WITHOUT_EFFECT}
        definition = validated(PackEvalSpec, written, f"pack eval {shown(definition.get('id'))}")
    threshold = definition.threshold or Threshold()
    spec = CheckSpec(
        type=definition.type,
        params=definition.params,
        scope="turn" if definition.trigger in _OF_A_TURN else "conversation",
        min_score=threshold.min_score,
        max_score=threshold.max_score,
        message=definition.message,
        when=definition.when,
    )
    return PackEval(definition=definition, check=from_spec(spec, name=definition.id, resources=resources))


def sampled(run_id: str, turn: int, percentage: float) -> bool:
    """Whether this turn of this run is in the sample."""
    return fnv1a(f"{run_id}{turn}".encode()) % 10_000 < percentage * 100


def fnv1a(data: bytes) -> int:
    """The 64-bit FNV-1a hash (draft-eastlake-fnv): packs are sampled alike by every engine that uses it."""
    digest = 0xCBF29CE484222325
    for byte in data:
        digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return digest


def _run_of(input: CheckInput) -> str:
    started = input.state.view.started
    return started.run_id if started else input.state.thread_id
