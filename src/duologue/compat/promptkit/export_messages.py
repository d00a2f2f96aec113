"""The messages of a run in PromptKit's form: the system prompt first, tools and cost and assertions beside each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from duologue.journal.events import CheckEvaluated
from duologue.messages import arguments_of, text_of, tool_calls_of
from duologue.suites.results.run import MessageResult, RunResult
from duologue.vocabulary import CheckStatus, Scope

MOCK_PRICE = 0.00001
"""US dollars that PromptKit counts for each token of a mock, read or written."""
_WRITTEN = re.compile(r"([A-Za-z_][\w.]*)(?::\s|$)")
_DATA = re.compile(r"data:([^;,]*)(?:;[^,]*)?,(.*)", re.DOTALL)
_KINDS = {"image_url": "image", "input_audio": "audio", "video_url": "video", "file": "document"}


def exported_messages(run: RunResult) -> list[dict[str, Any]]:
    """Every message, in their keys."""
    calls = {call["id"]: call["function"]["name"] for item in run.messages for call in tool_calls_of(item.message)}
    ends = _ends_of_turns(run)
    said = [_message(item, calls, run, ends) for item in run.messages]
    prompts = run.system_prompts[:1]  # a later one took the place of the first; the conversation is one
    return [*({"role": "system", "content": text} for text in prompts), *said]


def assertion(check: CheckEvaluated) -> dict[str, Any]:
    """A check as an assertion. One that was skipped passed, as theirs do; one that broke did not."""
    details: dict[str, Any] = {**check.details, "messages": check.message_ids}
    if check.kind.startswith("pack_eval:"):
        details["eval_id"] = check.name
    if check.score is not None:
        details["score"] = check.score
    if check.status is CheckStatus.SKIPPED:
        details["skipped"] = True
    written = written_type(check)
    return {
        "type": written,
        "passed": passed(check),
        "message": check.explanation if check.name.startswith(written) else check.name,
        "details": details,
    }


def passed(check: CheckEvaluated) -> bool:
    """Whether nothing speaks against it."""
    return check.status in {CheckStatus.PASSED, CheckStatus.SKIPPED}


def written_type(check: CheckEvaluated) -> str:
    """The type as the author wrote it, where the name of the check still says so; otherwise its kind."""
    from duologue.checks.registry import find
    from duologue.errors import ConfigurationError

    if check.kind.startswith("pack_eval:"):
        return check.kind
    if check.written_as:
        return check.written_as
    found = _WRITTEN.match(check.name)
    if found is None:
        return check.kind
    try:
        info, _ = find(found[1])
    except ConfigurationError:
        return check.kind
    return found[1] if info.kind == check.kind else check.kind


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Assertions and how many of them failed."""
    failed = sum(not item["passed"] for item in results)
    return {"passed": not failed, "failed": failed, "total": len(results), "results": results}


def _message(item: MessageResult, calls: Mapping[str, str], run: RunResult, ends: Mapping[int, str]) -> dict[str, Any]:
    message = item.message
    said = "" if message["role"] == "tool" else text_of(message)  # its result has it
    data: dict[str, Any] = {"role": message["role"], "content": said}
    if isinstance(message.get("content"), list):
        data["parts"] = [_part(part) for part in cast("Iterable[Mapping[str, Any]]", message.get("content"))]
    if made := tool_calls_of(message):
        data["tool_calls"] = [
            {"id": call["id"], "name": call["function"]["name"], "args": arguments_of(call)} for call in made
        ]
    if message["role"] == "tool":
        data["tool_result"] = _tool_result(item, calls, run)
    if item.spent is not None:
        data["latency_ms"] = round(item.spent.seconds * 1000)
        data["cost_info"] = {
            "input_tokens": item.spent.usage.input_tokens,
            "output_tokens": item.spent.usage.output_tokens,
            "total_cost_usd": item.spent.cost + mock_cost(item),
        }
    if ends.get(item.turn) == item.id:
        data |= _judged(run, item)
    meta = {**item.meta, **data.pop("meta", {})}
    return {**data, "meta": meta} if meta else data


def _ends_of_turns(run: RunResult) -> dict[int, str]:
    """The last answer of each turn: what was checked of the turn stands there."""
    return {item.turn: item.id for item in run.messages if item.message["role"] == "assistant"}


def _judged(run: RunResult, item: MessageResult) -> dict[str, Any]:
    found: dict[str, Any] = {}
    checks = [check for check in run.checks if check.scope is Scope.TURN and check.turn == item.turn]
    if checks:
        found["meta"] = {"assertions": summary([assertion(check) for check in checks])}
    rails = [rail for rail in run.guardrails if rail.turn == item.turn]
    if rails:
        found["validations"] = [
            {"validator_type": rail.type, "passed": rail.passed, "details": {"message": rail.explanation}}
            for rail in rails
        ]
    return found


def _tool_result(item: MessageResult, calls: Mapping[str, str], run: RunResult) -> dict[str, Any]:
    call_id = item.message.get("tool_call_id") or ""
    ran = next((tool for tool in run.tools if tool.call_id == call_id and tool.turn == item.turn), None)
    result: dict[str, Any] = {"id": call_id, "name": calls.get(call_id, ""), "content": text_of(item.message)}
    if ran is not None:
        result["latency_ms"] = round(ran.seconds * 1000)
        if ran.error:
            result["error"] = ran.error
    return result


def mock_cost(item: MessageResult) -> float:
    """US dollars that PromptKit shows for the answer of a mock, which has cost nothing; 0 for all other messages."""
    if item.spent is None or item.spent.cost or not (item.model or "").startswith("mock/"):
        return 0.0
    return item.spent.usage.total_tokens * MOCK_PRICE


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(part.get("type"))
    if kind == "text":
        return {"type": "text", "text": part.get("text", "")}
    inner = part.get(kind)
    values: Mapping[str, Any] = cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}
    address = str(values.get("url") or values.get("file_data") or "")
    data = _DATA.fullmatch(address)
    media: dict[str, Any] = {
        "mime_type": data[1] if data else values.get("mime_type") or _mime(kind, values),
        "data": data[2] if data else values.get("data"),
        "url": address if address and not data else None,
        "detail": values.get("detail"),
    }
    return {"type": _KINDS.get(kind, kind), "media": {key: value for key, value in media.items() if value}}


def _mime(kind: str, values: Mapping[str, Any]) -> str | None:
    form = values.get("format")
    return f"{_KINDS.get(kind, 'application')}/{form}" if form else None
