"""What was said once, in the form in which a response file says it: answers, lines, decisions, judgements."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, cast

from duologue.journal.events import CheckEvaluated, CriterionDecision
from duologue.messages import Message, arguments_of, tool_calls_of
from duologue.models.mock.shapes import Word
from duologue.vocabulary import CheckStatus, Decision

Data = dict[str, Any]

_WORDS: dict[Decision, Word] = {
    Decision.MET: "pass",
    Decision.UNMET: "fail",
    Decision.INCONCLUSIVE: "undecided",
}
_HIGHEST_GRADE = 5
_LOW = 2
"""The highest grade of a metric that says that something went wrong."""
_LINKS = {"image_url": "image", "audio_url": "audio", "video_url": "video"}


def answer_entry(message: Message) -> Any:
    """An answer as it is written: a text where it is nothing else."""
    made: Data = {}
    content = message.get("content")
    if isinstance(content, list):
        made |= {"type": "multimodal", "parts": [_part(cast("Data", part)) for part in content]}
    elif content:
        made["content"] = content
    calls = tool_calls_of(message)
    if calls:
        made["tool_calls"] = [_call(index, cast("Data", call)) for index, call in enumerate(calls)]
    if made.keys() == {"content"}:
        return made["content"]
    return made or ""


def _call(index: int, call: Data) -> Data:
    name = call["function"]["name"]
    made: Data = {"name": name, "arguments": _arguments(call)}
    return made if call.get("id") in {None, f"call_{index}_{name}"} else {"id": call["id"], **made}


def _arguments(call: Data) -> Data | str:
    """The arguments; what the model wrote, where that is no JSON object, or none that a file can hold."""
    value, text = arguments_of(cast("Any", call)), str(call["function"]["arguments"])
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return text
    return text if not value and text.strip() not in {"", "{}"} else dict(value)


def _part(part: Data) -> Data:
    kind = str(part["type"])
    if kind == "text":
        return {"type": "text", "text": part.get("text", "")}
    facts: Data = dict(part.get("metadata") or {})
    if part.get("mime_type"):
        facts.setdefault("mime_type", part["mime_type"])
    about = {"metadata": facts} if facts else {}
    inner: Data = part.get(kind) or {}
    if kind in _LINKS:
        return {"type": _LINKS[kind], kind: {key: inner[key] for key in ("url", "detail") if key in inner}, **about}
    if kind == "input_audio":
        url = f"data:audio/{inner.get('format', 'wav')};base64,{inner.get('data', '')}"
        return {"type": "audio", "audio_url": {"url": url}, **about}
    url = str(inner.get("file_data") or inner.get("file_id") or "unknown")
    return {"type": "document", "document_url": {"url": url}, **about}


def decisions_entry(decisions: Sequence[CriterionDecision]) -> Data:
    """What a judge said of criteria, as it is written."""
    reasons = [item.reason for item in decisions if item.reason]
    made: Data = {"criteria": {item.criterion: _WORDS[item.decision] for item in decisions}}
    return {**made, "reasoning": reasons[-1]} if reasons else made


def judgement_entry(check: CheckEvaluated) -> Data | None:
    """What a judge said for a check; None if none was asked."""
    if check.kind == "metrics":
        return _grades_entry(check)
    passed = check.details.get("judge_passed")
    if not isinstance(passed, bool) or check.status not in {CheckStatus.PASSED, CheckStatus.FAILED}:
        return None
    word, score, asked = "pass" if passed else "fail", check.details.get("judge_score"), check.details.get("criteria")
    made: Data = {"criteria": {asked: word}} if asked else {"verdict": word}
    if isinstance(score, (int, float)):
        made |= {"scores": {asked: score}} if asked else {"score": score}
    return {**made, "reasoning": check.explanation} if check.explanation else made


def _grades_entry(check: CheckEvaluated) -> Data | None:
    """The grades of metrics, by name, and the outcomes, by text; a metric that did not apply is undecided."""
    words: dict[str, Word] = {}
    scores: dict[str, float] = {}
    for grade in check.details.get("metrics", ()):
        score = grade["score"]
        words[grade["metric"]] = "undecided" if score is None else "pass" if score > _LOW else "fail"
        if score is not None:
            scores[grade["metric"]] = score / _HIGHEST_GRADE
    for outcome in check.details.get("outcomes", ()):
        words[outcome["outcome"]] = "pass" if outcome["met"] else "fail"
    if not words:
        return None
    return {"criteria": words, "scores": scores} if scores else {"criteria": words}
