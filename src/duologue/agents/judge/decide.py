"""What a judge's answer has to be, to count: every rule, in one place.

An answer counts when it is JSON with one entry for each criterion, found by its id; when each decision is ``true``,
``false`` or ``inconclusive``; when what it cites exists; and when its own verdict is the one that follows from its
decisions. The verdict itself is made here, not by the model.

On evidence: ``true`` needs at least one message to rest on, so that nothing passes on nothing. ``false`` may cite none:
then it says that what was asked for is nowhere in the conversation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

from duologue.agents.judge.reading import UnreadableError, object_in
from duologue.messages import JsonValue
from duologue.vocabulary import Decision, Verdict

_VERDICTS = {
    "pass": Verdict.PASS,
    "success": Verdict.PASS,
    "fail": Verdict.FAIL,
    "failure": Verdict.FAIL,
    "undecided": Verdict.UNDECIDED,
    "inconclusive": Verdict.UNDECIDED,
}
_MOST_NAMED = 20
_SHOWN = 80
"""Ids that a complaint names, and characters of what it shows."""
_WORDS = {True: Decision.MET, False: Decision.UNMET}


class RuleBrokenError(ValueError):
    """The answer can be read and breaks a rule; the text says which, for the model to mend it."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is to be decided, and what may be cited for it.

    Attributes:
        criteria: by number: the first one is ``c1``.
        message_ids, span_ids: what exists.
        forced: the judge has to decide now, and may not let the conversation go on.
        said: everything that was said, so that a quotation is not taken for a judgement.
    """

    criteria: tuple[str, ...]
    message_ids: frozenset[str]
    span_ids: frozenset[str] = frozenset()
    forced: bool = True
    said: str = ""

    @property
    def ids(self) -> list[str]:
        """The id of each criterion."""
        return [f"c{number}" for number in range(1, len(self.criteria) + 1)]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The decision on one criterion.

    Attributes:
        cites: ids of messages that it rests on.
        spans: ids of spans that it rests on.
    """

    decision: Decision
    reason: str = ""
    cites: tuple[str, ...] = ()
    spans: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """An answer that counts.

    Attributes:
        goes_on: the conversation goes on, and nothing is decided: there are no findings.
        findings: one for each criterion, in their order.
        reasoning: the judge's summary.
    """

    goes_on: bool = False
    findings: tuple[Finding, ...] = ()
    reasoning: str = ""

    @property
    def verdict(self) -> Verdict:
        """What follows from the decisions."""
        return verdict_of(finding.decision for finding in self.findings)


def verdict_of(decisions: Iterable[Decision]) -> Verdict:
    """Fail if any criterion is not met, pass if there are some and all are met, else undecided."""
    found = list(decisions)
    if Decision.UNMET in found:
        return Verdict.FAIL
    if not found or Decision.INCONCLUSIVE in found:
        return Verdict.UNDECIDED
    return Verdict.PASS


def read_judgement(text: str, question: Question) -> Judgement:
    """The judgement that a model has written.

    Raises:
        UnreadableError: there is no such thing in the text.
        RuleBrokenError: it breaks a rule.
    """
    answer = object_in(text, question.said)
    if _goes_on(answer, question):
        return Judgement(goes_on=True, reasoning=_text(answer.get("reasoning")))
    entries = _entries(answer.get("criteria"))
    _same_ids([_criterion_id(entry) for entry in entries], question.ids)
    by_id = {_criterion_id(entry): entry for entry in entries}
    findings = tuple(_finding(name, by_id[name], question) for name in question.ids)
    judgement = Judgement(findings=findings, reasoning=_text(answer.get("reasoning")))
    _no_contradiction(answer.get("verdict"), judgement)
    return judgement


def _goes_on(answer: dict[str, JsonValue], question: Question) -> bool:
    action = answer.get("action", "decide")
    if action not in ["continue", "decide"]:
        raise RuleBrokenError(f'"action" is {shown(action)}; it has to be "continue" or "decide"')
    if action == "continue" and question.forced:
        raise RuleBrokenError('"action" is "continue", but the conversation is over: decide now')
    return action == "continue"


def _entries(value: JsonValue) -> list[dict[str, JsonValue]]:
    items: Sequence[object] = cast("list[object]", value) if isinstance(value, list) else []
    entries = [cast("dict[str, JsonValue]", item) for item in items if isinstance(item, dict)]
    if not isinstance(value, list) or len(entries) != len(items):
        raise UnreadableError('"criteria" is not a list of objects')
    return entries


def _criterion_id(entry: dict[str, JsonValue]) -> str:
    return _text(entry.get("id")).strip()


def _same_ids(found: list[str], expected: list[str]) -> None:
    """By id and never by position: models reorder, leave out and make up."""
    problems = [
        ("is missing", [name for name in expected if name not in found]),
        ("is decided more than once", [name for name, times in Counter(found).items() if times > 1]),
        ("is no criterion", sorted({name for name in found if name not in expected})),
    ]
    told = [f"{', '.join(map(shown, names[:_MOST_NAMED]))} {problem}" for problem, names in problems if names]
    if told:
        raise RuleBrokenError(f"the criteria are {', '.join(expected)}, each once: {'; '.join(told)}")


def _finding(name: str, entry: dict[str, JsonValue], question: Question) -> Finding:
    decision = _decision(name, entry.get("decision"))
    cites, spans = _evidence(name, entry.get("evidence"), question)
    if decision is Decision.MET and not cites and not spans:
        raise RuleBrokenError(
            f'{name} is "true" and "evidence" is empty: cite the messages that it rests on. Where something must not '
            "happen, cite the messages in which it could have happened"
        )
    return Finding(decision=decision, reason=_text(entry.get("reason")), cites=cites, spans=spans)


def _decision(name: str, value: JsonValue) -> Decision:
    if isinstance(value, bool):
        return _WORDS[value]
    try:
        return Decision(_text(value).strip().lower())
    except ValueError:
        raise RuleBrokenError(
            f'the decision on {name} is {shown(value)}; it has to be "true", "false" or "inconclusive"'
        ) from None


def _evidence(name: str, value: JsonValue, question: Question) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not isinstance(value, list):
        raise RuleBrokenError(f'"evidence" of {name} is not a list of message ids')
    items = cast("list[object]", value)
    cited = list(dict.fromkeys(str(item).strip().strip("[]") for item in items))
    unknown = [item for item in cited if item not in question.message_ids | question.span_ids]
    if unknown:
        named = ", ".join(map(shown, unknown[:_MOST_NAMED]))
        raise RuleBrokenError(
            f'{name} cites {named}, which does not exist; cite only ids from the transcript, such as "m1"'
        )
    messages = tuple(item for item in cited if item in question.message_ids)
    return messages, tuple(item for item in cited if item not in question.message_ids)


def _no_contradiction(value: JsonValue, judgement: Judgement) -> None:
    said = _VERDICTS.get(_text(value).strip().lower())
    if said is None:
        raise RuleBrokenError(f'"verdict" is {shown(value)}; it has to be "pass", "fail" or "undecided"')
    if said is not judgement.verdict:
        raise RuleBrokenError(
            f'the verdict "{said.value}" contradicts the decisions, from which "{judgement.verdict.value}" follows: '
            "any false means fail, all true means pass, anything else is undecided. Look at the decisions and the "
            "verdict again, and correct the one that is wrong"
        )


def shown(value: JsonValue) -> str:
    """A value in a complaint: as it was written, and not too long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
