"""How judges end a run: one that is asked to decide, several that must agree, and the limit that is no verdict."""

from __future__ import annotations

from typing import Literal

from duologue.conversation.adapter import JudgmentRequest
from duologue.conversation.answers import Answer
from duologue.conversation.result import ScenarioResult, decisions_from
from duologue.conversation.stage import Stage
from duologue.journal.events import JudgeDecided
from duologue.vocabulary import AgentRole, Termination, Verdict

TERMINATIONS = {
    AgentRole.JUDGE: Termination.JUDGED,
    AgentRole.AGENT: Termination.AGENT_DONE,
    AgentRole.USER: Termination.USER_DONE,
}


async def ask_judge(
    stage: Stage, index: int, request: JudgmentRequest | None, kind: Literal["checkpoint", "final"] = "final"
) -> ScenarioResult | None:
    """Ask one participant that may decide, and record its decision.

    Returns:
        Its result, or None if it let the conversation go on or is only advisory.
    """
    answer = await stage.ask(index, request)
    return record_decision(stage, index, answer, kind)


def record_decision(
    stage: Stage, index: int, answer: Answer, kind: Literal["checkpoint", "final"] = "final"
) -> ScenarioResult | None:
    """Put a decision into the journal; None if the answer is none, or is only advisory."""
    if not isinstance(answer, ScenarioResult):
        return None
    agent = stage.agents[index]
    decisions = decisions_from(answer)
    stage.journal.append(
        JudgeDecided(
            judge=agent.name,
            turn=stage.view.turn,
            kind=kind,
            verdict=answer.verdict or Verdict.UNDECIDED,
            decisions=decisions,
            reasoning=answer.reasoning,
            advisory=answer.advisory,
            details=answer.details,
        )
    )
    if answer.advisory:
        return None
    why = answer.termination or TERMINATIONS[agent.role]
    return answer.model_copy(update={"termination": why, "decisions": decisions})


async def decide_now(stage: Stage, judges: list[int], first: ScenarioResult | None = None) -> ScenarioResult | None:
    """Ask these judges to decide, after ``first`` if another one has already; a pass needs all of them.

    The first judge that does not pass ends the asking. None if no judge decides.
    """
    results = [first] if first else []
    for index in judges:
        if results and not results[-1].success:
            break
        result = await ask_judge(stage, index, JudgmentRequest())
        if result:
            results.append(result)
    return _combined(results)


def limit_reached(limit: int) -> ScenarioResult:
    """What a run comes to that uses up its turns when nobody decides."""
    return ScenarioResult(
        success=False,
        verdict=Verdict.UNDECIDED,
        termination=Termination.MAX_TURNS,
        reasoning=f"Reached maximum turns ({limit}) without conclusion",
    )


def _combined(results: list[ScenarioResult]) -> ScenarioResult | None:
    if len(results) < 2:
        return results[0] if results else None
    last = results[-1]
    return last.model_copy(
        update={
            "reasoning": "\n".join(result.reasoning for result in results if result.reasoning),
            "passed_criteria": [text for result in results for text in result.passed_criteria],
            "failed_criteria": [text for result in results for text in result.failed_criteria],
            "decisions": [decision for result in results for decision in result.decisions],
        }
    )
