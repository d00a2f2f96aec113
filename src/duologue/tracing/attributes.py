"""What spans and attributes are called, and what checks, judges and attackers say as attributes.

Names are those of the OpenTelemetry conventions where there is one, ``duologue.…`` otherwise. Source: OpenTelemetry
semantic conventions, the generative AI and the test registries. They are development-stage; the constants of the
library that lists them move between versions, so the strings stand here. The conventions have no names for attacks:
``red_team.…`` are names that other tools know.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from duologue.journal.events import CheckEvaluated, JudgeDecided, Noted, ParticipantSnapshot
from duologue.journal.notes import AttackAttempted, AttackInjected, AttackNote, AttackScored, AttackTakenBack

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

SCOPE = "duologue"
"""Instrumentation scope of every span that Duologue makes itself."""

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
CONVERSATION_ID = "gen_ai.conversation.id"
AGENT_NAME = "gen_ai.agent.name"
REQUEST_MODEL = "gen_ai.request.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOOL_NAME = "gen_ai.tool.name"
TOOL_CALL_ID = "gen_ai.tool.call.id"
TOOL_TYPE = "gen_ai.tool.type"
ERROR_TYPE = "error.type"
TEST_CASE_NAME = "test.case.name"
TEST_CASE_STATUS = "test.case.result.status"
TEST_SUITE_NAME = "test.suite.name"

EVALUATION_EVENT = "gen_ai.evaluation.result"
EVALUATION_NAME = "gen_ai.evaluation.name"
EVALUATION_VALUE = "gen_ai.evaluation.score.value"
EVALUATION_LABEL = "gen_ai.evaluation.score.label"
EVALUATION_EXPLANATION = "gen_ai.evaluation.explanation"

RUN_ID = "duologue.run.id"
RUN_STATUS = "duologue.run.status"
SCENARIO = "duologue.scenario.name"
SET = "duologue.set.id"
BATCH = "duologue.batch.id"
SEED = "duologue.seed"
VERDICT = "duologue.verdict"
TERMINATION = "duologue.termination"
TURN = "duologue.turn"
ROLE = "duologue.participant.role"
INDEX = "duologue.participant.index"
ASKER = "duologue.model.asker"
COST = "duologue.model.cost"
ATTEMPTS = "duologue.model.attempts"
REPLAYED = "duologue.model.replayed"
CHECK_KIND = "duologue.check.kind"
JUDGE = "duologue.judge.name"
JUDGE_KIND = "duologue.judge.kind"
MESSAGE_IDS = "duologue.message.ids"


def evaluations_of(event: CheckEvaluated | JudgeDecided) -> Iterator[dict[str, AttributeValue]]:
    """The attributes of each result: one of a check; of a judge one per criterion, then one for its verdict."""
    if isinstance(event, CheckEvaluated):
        yield _check(event)
        return
    judge: dict[str, AttributeValue] = {
        JUDGE: event.judge,
        JUDGE_KIND: "advisory" if event.advisory else event.kind,
        TURN: event.turn,
    }
    for decision in event.decisions:
        result = _result(decision.criterion, decision.decision.value, decision.reason, decision.message_ids)
        yield {**judge, **result}
    yield {**judge, **_result(event.judge, event.verdict.value, event.reasoning or "", [])}


def _check(event: CheckEvaluated) -> dict[str, AttributeValue]:
    result = _result(event.name, event.status.value, event.explanation, event.message_ids)
    result[CHECK_KIND] = event.kind
    result[TURN] = event.turn
    if event.score is not None:
        result[EVALUATION_VALUE] = event.score
    return result


def _result(name: str, label: str, explanation: str, message_ids: list[str]) -> dict[str, AttributeValue]:
    result: dict[str, AttributeValue] = {EVALUATION_NAME: name, EVALUATION_LABEL: label}
    if explanation:
        result[EVALUATION_EXPLANATION] = explanation
    if message_ids:
        result[MESSAGE_IDS] = list(message_ids)
    return result


@dataclass(kw_only=True)
class _Attack:
    """One attacker so far."""

    details: dict[str, Any] = field(default_factory=dict[str, Any])
    backtracks: int = 0
    took_back: bool = False
    last_score: int | None = None
    parse_failures: int = 0


class Attacks:
    """Folds the notes of a run's attackers.

    Args:
        participants: of the run.
    """

    def __init__(self, participants: Sequence[ParticipantSnapshot] = ()) -> None:
        self._attacks = {index: _Attack(details=dict(who.details)) for index, who in enumerate(participants)}

    def attributes(self, note: Noted) -> dict[str, AttributeValue]:
        """What the span of the call that left this note has to say because of it; {} for most notes."""
        found = note.note
        if not isinstance(found, AttackNote) or found.participant is None:
            return {}
        attack = self._attacks.get(found.participant)
        if attack is None:
            return {}
        match found:
            case AttackScored():
                attack.last_score = found.score
            case AttackTakenBack():
                attack.took_back = True
                attack.backtracks += 1
            case AttackAttempted() if not found.scripted:
                return _attempt(attack, found)
            case AttackInjected():
                return {"red_team.injection.technique": found.technique}
            case _:
                pass
        return {}


def _attempt(attack: _Attack, note: AttackAttempted) -> dict[str, AttributeValue]:
    details, turn = attack.details, note.turn
    total = details.get("total_turns", turn)
    attack.parse_failures += note.parse_failed
    found: dict[str, AttributeValue] = {
        "red_team.turn": turn,
        "red_team.total_turns": total,
        "red_team.progress": round(turn / total, 4),
        "red_team.strategy": details.get("strategy", ""),
        "red_team.target": details.get("target", ""),
        "red_team.did_backtrack": attack.took_back,
        "red_team.backtracks_remaining": max(0, details.get("max_backtracks", 0) - attack.backtracks),
        "red_team.reasoning.parse_failed": note.parse_failed,
        "red_team.parse_failure_count": attack.parse_failures,
        "red_team.progress_bucket" if details.get("phase_kind") == "progress" else "red_team.phase": note.phase,
        "red_team.chosen_technique_ids": list(note.techniques),
    }
    if attack.last_score is not None:
        found["red_team.last_response_score"] = attack.last_score
    for name, text in (("observation", note.observation), ("strategy", note.reasoning)):
        if text:
            found[f"red_team.reasoning.{name}"] = text
    attack.took_back = False
    return found
