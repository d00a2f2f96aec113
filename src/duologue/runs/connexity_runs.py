"""Runs of Connexity as stored runs: what was said, and what its judge decided.

Connexity puts failures of its infrastructure into the transcript as if the agent had said them, and judges them. They
are errors here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic_core import to_json

from duologue.context import random_uuid
from duologue.frozen import frozen
from duologue.messages import Message
from duologue.runs.foreign_records import Record, fields_of, instant_in, items_of, text_in
from duologue.runs.store.database.json_columns import to_text
from duologue.runs.store.records import QueueStatus
from duologue.suites.plan.build import TestCase

_FAILURES = ("[agent_error]", "[platform:", "[platform ")
"""How lines of a transcript begin that nobody has said."""
_ROLES = {"user": "user", "assistant": "assistant", "agent": "assistant", "tool": "tool", "system": "system"}


@frozen
class ConnexityRun:
    """A result of a test case.

    Attributes:
        outcome: ``pass``, ``fail``, ``error`` or ``cancelled``; a result without a verdict is an error.
        was_judged: Connexity judged a failure of its infrastructure, which is an error here.
    """

    id: str
    case_id: str | None
    trial: int
    status: QueueStatus
    outcome: str
    score: float | None
    reason: str | None
    error: str | None
    messages: Sequence[Message]
    output: Mapping[str, Any] | None
    details: Mapping[str, Any]
    started_at: float | None
    completed_at: float | None
    was_judged: bool = False

    def row(self, common: Mapping[str, Any], case: TestCase, now: float) -> dict[str, Any]:
        """Its row.

        Args:
            common: what all runs of the execution have.
            case: its test case.
            now: for what has no time.
        """
        created = self.started_at or self.completed_at or now
        return {
            **common,
            "id": self.id,
            "identity": to_text(case.group),
            "trial": self.trial,
            "test_case": to_json(case.as_data()),
            "provider": "",
            "status": self.status.value,
            "outcome": self.outcome,
            "score": self.score,
            "reason": to_text(self.reason),
            "error": to_text(self.error),
            "output": self.output,
            "details": dict(self.details) or None,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
            "created_at": created,
            "updated_at": self.completed_at or created,
        }


def result_from(data: Record, *, cancelled: bool) -> ConnexityRun:
    """A result of a test case.

    Args:
        data: of it.
        cancelled: whether its run was; what has no verdict then was cancelled as well.
    """
    turns = [fields_of(item) for item in items_of(data.get("transcript"))]
    broken = next((text for turn in turns if (text := _content(turn)).startswith(_FAILURES)), None)
    said = [message for turn in turns if not _content(turn).startswith(_FAILURES) for message in _messages(turn)]
    verdict, passed = fields_of(data.get("verdict")), data.get("passed")
    error = text_in(data, "error_message") or broken
    if error is None and not isinstance(passed, bool):
        error = None if cancelled else "it has no verdict"
    outcome = "error" if error else "cancelled" if not isinstance(passed, bool) else "pass" if passed else "fail"
    status = {"error": QueueStatus.ERROR, "cancelled": QueueStatus.CANCELLED}.get(outcome, QueueStatus.COMPLETED)
    overall = verdict.get("overall_score")
    decided = status is QueueStatus.COMPLETED
    index = data.get("repetition_index")
    return ConnexityRun(
        id=text_in(data, "id") or random_uuid(),
        case_id=text_in(data, "test_case_id"),
        trial=index + 1 if isinstance(index, int) and not isinstance(index, bool) and index >= 0 else 1,
        status=status,
        outcome=outcome,
        score=min(max(overall / 100, 0.0), 1.0) if decided and isinstance(overall, int | float) else None,
        reason=(text_in(verdict, "summary") or text_in(verdict, "overall_justification")) if decided else None,
        error=error,
        messages=said,
        output={"connexity": {"verdict": verdict}} if verdict else None,
        details=_details(data),
        started_at=instant_in(data, "started_at"),
        completed_at=instant_in(data, "completed_at"),
        was_judged=broken is not None and isinstance(passed, bool),
    )


def _details(data: Record) -> dict[str, Any]:
    names = (
        *("turn_count", "agent_latency_p50_ms", "agent_latency_p95_ms", "agent_latency_max_ms"),
        *("agent_token_usage", "platform_token_usage", "agent_cost_usd", "platform_cost_usd", "estimated_cost_usd"),
    )
    details: dict[str, Any] = {name: data[name] for name in names if data.get(name) is not None}
    if isinstance(latency := data.get("total_latency_ms"), int | float):
        details["latency_ms"] = latency
    return details


def _content(turn: Record) -> str:
    content = turn.get("content")
    return content if isinstance(content, str) else ""


def _messages(turn: Record) -> list[Message]:
    """A turn, with the results of its tool calls."""
    role = _ROLES.get(str(turn.get("role")))
    if role is None:
        return []
    calls, results = list[dict[str, Any]](), list[Message]()
    for index, item in enumerate(map(fields_of, items_of(turn.get("tool_calls")))):
        function = fields_of(item.get("function")) or item
        arguments, id_ = function.get("arguments"), text_in(item, "id") or f"call_{index}"
        written = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
        called = {"name": text_in(function, "name") or "tool", "arguments": written}
        calls.append({"id": id_, "type": "function", "function": called})
        if (answer := item.get("tool_result")) is not None:
            told = answer if isinstance(answer, str) else json.dumps(answer)
            results.append(cast("Message", {"role": "tool", "tool_call_id": id_, "content": told}))
    message: dict[str, Any] = {"role": role, "content": _content(turn) or (None if calls else "")}
    if calls and role == "assistant":
        message["tool_calls"] = calls
    if role == "tool":
        message["tool_call_id"] = text_in(turn, "tool_call_id") or ""
    return [cast("Message", message), *results]
