"""Outcomes of checks and decisions of judges as ``gen_ai.evaluation.result`` events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from duologue.journal.events import CheckEvaluated, JudgeDecided
from duologue.tracing import names

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue


def evaluations_of(event: CheckEvaluated | JudgeDecided) -> Iterator[dict[str, AttributeValue]]:
    """The attributes of each result: one of a check; of a judge one per criterion, then one for its verdict."""
    if isinstance(event, CheckEvaluated):
        yield _check(event)
        return
    judge: dict[str, AttributeValue] = {
        names.JUDGE: event.judge,
        names.JUDGE_KIND: "advisory" if event.advisory else event.kind,
        names.TURN: event.turn,
    }
    for decision in event.decisions:
        result = _result(decision.criterion, decision.decision.value, decision.reason, decision.message_ids)
        yield {**judge, **result}
    yield {**judge, **_result(event.judge, event.verdict.value, event.reasoning or "", [])}


def _check(event: CheckEvaluated) -> dict[str, AttributeValue]:
    result = _result(event.name, event.status.value, event.explanation, event.message_ids)
    result[names.CHECK_KIND] = event.kind
    result[names.TURN] = event.turn
    if event.score is not None:
        result[names.EVALUATION_VALUE] = event.score
    return result


def _result(name: str, label: str, explanation: str, message_ids: list[str]) -> dict[str, AttributeValue]:
    result: dict[str, AttributeValue] = {names.EVALUATION_NAME: name, names.EVALUATION_LABEL: label}
    if explanation:
        result[names.EVALUATION_EXPLANATION] = explanation
    if message_ids:
        result[names.MESSAGE_IDS] = list(message_ids)
    return result
