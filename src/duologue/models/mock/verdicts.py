"""What a judge is to say, written out in the form that its request asks for.

A response file says ``pass``; a judge has to decide each criterion, cite messages and give its reasons. Criteria,
their ids and the messages that can be cited are read from the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

from duologue.config.patterns import late
from duologue.messages import text_of
from duologue.models.base import ModelRequest
from duologue.models.mock.shapes import VerdictShape, Word

_CRITERION = late(r"^(c\d+): (\".*\")$", re.MULTILINE)
_END = late(r"^(success|failure): (\".*\")$", re.MULTILINE)
_OUTCOME = late(r"^(o\d+): (\".*\")$", re.MULTILINE)
_LINE = late(r"^\[(m\d+)\] (\w+)", re.MULTILINE)
_WORDS: dict[Word, str] = {"pass": "true", "fail": "false", "undecided": "inconclusive"}
_SCORES: dict[Word, float] = {"pass": 1.0, "fail": 0.0, "undecided": 0.5}
_HIGHEST_GRADE = 5
_REASON = "written in the response file"


class UnknownFormError(ValueError):
    """The request asks for something that a verdict says nothing about."""


def judgement(entry: VerdictShape, request: ModelRequest) -> str:
    """The text of the judge's answer.

    Args:
        entry: what is written.
        request: what the judge is asked.

    Raises:
        UnknownFormError: the request asks for no verdict, or the entry does not say enough for it.
    """
    if entry.content is not None:
        return entry.content
    fields = cast("dict[str, Any]", (request.response_schema or {}).get("properties") or {})
    if "criteria" in fields and "verdict" in fields:
        return json.dumps(_by_criteria(entry, request, fields), ensure_ascii=False)
    if "confidence" in fields and fields.keys() & {"success", "failure"}:
        return json.dumps(_success_and_failure(entry, request, fields), ensure_ascii=False)
    if fields and fields.keys() <= {"metrics", "outcomes"}:
        return json.dumps(_grades(entry, request, fields), ensure_ascii=False)
    if "passed" in fields or not fields:
        return json.dumps(_as_a_whole(entry, request), ensure_ascii=False)
    raise UnknownFormError(
        f"the judge is asked for {', '.join(fields)}, which a verdict does not say; write its words as 'content'"
    )


def _by_criteria(entry: VerdictShape, request: ModelRequest, fields: dict[str, Any]) -> dict[str, Any]:
    if "action" in fields:  # the conversation may go on; what is written is about all of it
        return {"action": "continue", "criteria": [], "reasoning": _REASON, "verdict": "undecided"}
    asked = _last_user_text(request)
    texts = {name: str(json.loads(text)) for name, text in _CRITERION.findall(asked)}
    words: dict[str, Word] = {name: _word(entry, text) for name, text in texts.items()}
    evidence = _evidence(asked)
    reason = entry.reasoning or _REASON
    criteria = [
        {"id": name, "reason": reason, "evidence": evidence, "decision": _WORDS[word]} for name, word in words.items()
    ]
    return {"criteria": criteria, "reasoning": reason, "verdict": _whole(list(words.values()))}


def _success_and_failure(entry: VerdictShape, request: ModelRequest, fields: dict[str, Any]) -> dict[str, Any]:
    """Whether the success and the failure criterion are met. A verdict is about both: what fails meets the latter."""
    asked, reason = _last_user_text(request), entry.reasoning or _REASON
    texts = {name: str(json.loads(text)) for name, text in _END.findall(asked)}
    found: dict[str, Any] = {}
    for name in ("success", "failure"):
        if name in fields:
            text = texts.get(name, "")
            met = _word(entry, text) == "pass" if name == "success" else _happens(entry, text)
            found[name] = {"reason": reason, "evidence": _evidence(asked) if met else [], "met": met}
    return {**found, "confidence": 1.0 if entry.score is None else entry.score, "reasoning": reason}


def _happens(entry: VerdictShape, criterion: str) -> bool:
    """Whether a failure criterion is met: by its own word, which says that it is true, else if everything fails."""
    if (word := entry.criteria.get(f"Does not happen: {criterion}")) is not None:  # as results and recorded runs say it
        return word == "fail"
    if any(criterion.startswith(text) for text in entry.criteria):
        return _word(entry, criterion) == "pass"
    return (entry.verdict or _whole(list(entry.criteria.values()))) == "fail"


def _grades(entry: VerdictShape, request: ModelRequest, fields: dict[str, Any]) -> dict[str, Any]:
    """Grades of metrics, each as good or as bad as it can be unless a score is written; whether outcomes are met."""
    asked = _last_user_text(request)
    common = {"reason": entry.reasoning or _REASON, "evidence": _evidence(asked)}
    found: dict[str, dict[str, Any]] = {name: {} for name in fields}
    for name, form in fields.get("metrics", {}).get("properties", {}).items():
        found["metrics"][name] = {**common, **_graded(entry, name, form["properties"])}
    outcomes = _OUTCOME.findall(asked) if "outcomes" in fields else []
    for name, text in outcomes:
        found["outcomes"][name] = {**common, "met": _decided(entry, str(json.loads(text))) == "pass"}
    return found


def _graded(entry: VerdictShape, name: str, form: dict[str, Any]) -> dict[str, Any]:
    """The grade of one metric: the score that is written for it, else for all, else that of its word."""
    if entry.criteria.get(name) == "undecided":
        return {"applies": False, "passed" if "passed" in form else "score": None, "failure_code": None}
    return _grade(_decided(entry, name), entry.scores.get(name, entry.score), form)


def _grade(word: Word, share: float | None, form: dict[str, Any]) -> dict[str, Any]:
    codes = form["failure_code"].get("anyOf", [{}])[0].get("enum", [None])
    if "passed" in form:
        return {"applies": True, "passed": word == "pass", "failure_code": None if word == "pass" else codes[0]}
    score = round(_HIGHEST_GRADE * (_SCORES[word] if share is None else share))
    return {"applies": True, "score": score, "failure_code": None if score == _HIGHEST_GRADE else codes[0]}


def _decided(entry: VerdictShape, criterion: str) -> Word:
    word = _word(entry, criterion)
    if word == "undecided":
        raise UnknownFormError("the judge of metrics says pass or fail, and the file says 'undecided'")
    return word


def _as_a_whole(entry: VerdictShape, request: ModelRequest) -> dict[str, Any]:
    asked = _last_user_text(request)
    own: list[Word] = [entry.criteria[text] for text in _named(entry.criteria, asked)]
    word: Word = _whole(own) if own else entry.verdict or _whole(list(entry.criteria.values()))
    if word == "undecided":
        raise UnknownFormError("the judge of a check says pass or fail, and the file says 'undecided'")
    score = _SCORES[word] if entry.score is None else entry.score
    return {
        "reasoning": entry.reasoning or _REASON,
        "evidence": _evidence(asked),
        "score": next((entry.scores[text] for text in _named(entry.scores, asked)), score),
        "passed": word == "pass",
    }


def _word(entry: VerdictShape, criterion: str) -> Word:
    """The word on a criterion: its own, by its text or the beginning of it, else that on everything."""
    known = [text for text in entry.criteria if criterion.startswith(text)]
    if known:
        return entry.criteria[max(known, key=len)]
    if entry.verdict is None:
        raise UnknownFormError(f"the file has no word on the criterion {criterion!r}; add it, or 'verdict'")
    return entry.verdict


def _whole(words: Sequence[Word]) -> Word:
    if "fail" in words:
        return "fail"
    return "undecided" if "undecided" in words or not words else "pass"


def _named(criteria: Iterable[str], asked: str) -> list[str]:
    """Those that are in the request, without those that are only a part of another."""
    found = [text for text in criteria if _mentions(asked, text)]
    return [text for text in found if not any(text != other and text in other for other in found)]


def _mentions(asked: str, criterion: str) -> bool:
    """Whether that criterion is in the request, with or without the bars that lines of a section begin with."""
    return criterion.strip() in asked or criterion.strip() in asked.replace("\n| ", "\n")


def _evidence(text: str) -> list[str]:
    """The agent's last message, else the last one that there is; [] if nothing was said."""
    lines = _LINE.findall(text)
    said = [name for name, role in lines if role in {"agent", "assistant"}]
    every = said or [name for name, _ in lines]
    return every[-1:]


def _last_user_text(request: ModelRequest) -> str:
    return next((text_of(message) for message in reversed(request.messages) if message["role"] == "user"), "")
