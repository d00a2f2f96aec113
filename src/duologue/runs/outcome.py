"""The result of a test case as a stored run shows it: verdict, score, reason, output, latency and token usage.

Lists and callers read these fields without the whole result. What they mean is said here only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from duologue.messages import Message, system_message
from duologue.runs.store.records import FinishedRun, QueueStatus
from duologue.suites.results.run import RunResult, Spent, reason_of
from duologue.vocabulary import RunStatus, Verdict

SINGLE_TURN = "duologue/single-turn"
"""Label of a scenario whose criteria are not evaluated because no model is configured; its value says so."""
_SPENDERS = ("agent", "user", "judge")
_STATUS = {
    RunStatus.COMPLETED: QueueStatus.COMPLETED,
    RunStatus.CANCELLED: QueueStatus.CANCELLED,
}


def finished_run(result: RunResult, *, instruction: str | None = None) -> FinishedRun:
    """The end of a run, with the fields that lists and callers see.

    Args:
        result: of its test case.
        instruction: what the simulated user was told. It is the first message of the stored conversation, as a system
            message; the agent never gets it. None for none.
    """
    return FinishedRun(
        status=_STATUS.get(result.status, QueueStatus.ERROR),
        outcome=result.outcome,
        result=result,
        messages=conversation_of(result, instruction),
        score=score_of(result),
        reason=_reason(result),
        error=result.error.message if result.error else _error(result),
        output=output_of(result),
        details=details_of(result),
    )


def conversation_of(result: RunResult, instruction: str | None = None) -> tuple[Message, ...]:
    """The conversation as chat messages, what the simulated user was told first."""
    return stored_messages((item.message for item in result.messages), instruction)


def stored_messages(messages: Iterable[Message], instruction: str | None) -> tuple[Message, ...]:
    """Messages behind the instruction of the simulated user; see :func:`finished_run`."""
    said: tuple[Message, ...] = tuple(messages)
    return (system_message(instruction), *said) if instruction else said


def score_of(result: RunResult) -> float | None:
    """From 0 to 1: the confidence of the judge of criteria, else the lowest score of a check; None if there is none."""
    confidence = _evaluation(result).get("confidence")
    if isinstance(confidence, int | float):
        return float(confidence)
    scores = [check.score for check in result.checks if check.score is not None and 0 <= check.score <= 1]
    return min(scores) if scores and result.verdict in {Verdict.PASS, Verdict.FAIL} else None


def output_of(result: RunResult) -> dict[str, Any]:
    """What is known about the conversation as a whole.

    ``avg_latency_ms`` and ``total_latency_ms`` of the agent's answers, ``message_count`` of user and agent;
    ``max_messages_reached`` and the criteria's ``evaluation`` where the scenario has success or failure criteria.
    """
    said = [item.message["role"] for item in result.messages]
    answered = {item.turn for item in result.messages if item.message["role"] == "assistant" and item.author}
    total = result.agent_seconds * 1000
    output: dict[str, Any] = {
        "avg_latency_ms": round(total / len(answered)) if answered else 0,
        "total_latency_ms": round(total),
        "message_count": sum(role in {"user", "assistant"} for role in said),
    }
    found = _evaluation(result)
    if found.get("max_messages_reached"):
        output["max_messages_reached"] = True
    if "confidence" in found:
        output["evaluation"] = {
            name: found.get(name) for name in ("success_met", "failure_met", "confidence", "reasoning")
        }
    return output


def details_of(result: RunResult) -> dict[str, Any]:
    """``latency_ms`` of the whole run; ``token_usage`` of all its model calls, and by role; ``cost`` in US dollars.

    The agent's tokens are those that it reports. Without any model call that reports tokens there is no usage.
    """
    details: dict[str, Any] = {"latency_ms": round(result.seconds * 1000), "turns": result.turns}
    if result.termination:
        details["termination"] = result.termination.value
    if result.spent.calls:
        details["token_usage"] = _tokens(result.spent)
        by_role = {name: getattr(result, name) for name in _SPENDERS}
        details["token_usage_by_role"] = {name: _tokens(spent) for name, spent in by_role.items() if spent.calls}
        if not result.spent.unpriced:
            details["cost"] = result.spent.cost
    return details


def _tokens(spent: Spent) -> dict[str, int]:
    return {"input": spent.usage.input_tokens, "output": spent.usage.output_tokens}


def _evaluation(result: RunResult) -> Mapping[str, Any]:
    """What the judge of success and failure criteria said last; empty where there is none."""
    found = [item.details for item in result.judgements if "confidence" in item.details and not item.advisory]
    return found[-1] if found else {}


def _reason(result: RunResult) -> str | None:
    if result.verdict is Verdict.UNDECIDED and (told := result.labels.get(SINGLE_TURN)):
        return told
    if result.status is not RunStatus.COMPLETED:
        return None
    return result.reasoning or reason_of(result) or None


def _error(result: RunResult) -> str | None:
    return None if result.status is not RunStatus.ERROR else result.reasoning or "the run ended without a result"
