"""Judgements: what is asked, what was decided, and every rule that an answer has to keep to count.

An answer counts if it is JSON with one entry for each criterion, found by its id; if each decision is ``true``,
``false`` or ``inconclusive``; if everything that it cites exists; and if its own verdict follows from its decisions.
The verdict itself is computed here, not by the model.

On evidence: ``true`` has to cite at least one message, so that nothing passes on nothing. ``false`` may cite none: then
it says that what the criterion demands is nowhere in the conversation. While the conversation may still go on, that is
``not yet`` and decides nothing: what is to come may have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import cast

from duologue.frozen import frozen
from duologue.messages import JsonValue
from duologue.models.decisions import other_decisions
from duologue.models.structured import RuleBrokenError, UnreadableError, excerpt, the_object_in
from duologue.vocabulary import Decision, Verdict

_VERDICTS = {
    "pass": Verdict.PASS,
    "success": Verdict.PASS,
    "fail": Verdict.FAIL,
    "failure": Verdict.FAIL,
    "undecided": Verdict.UNDECIDED,
    "inconclusive": Verdict.UNDECIDED,
}
_KEYS = ("action", "criteria", "verdict")
"""An object with one of these is a judgement."""
_MOST_NAMED = 20
"""Ids that a complaint names."""
NOT_YET = "not yet"
"""The decision on a criterion that is not met so far and still can be, while the conversation may go on."""
_WORDS = {True: Decision.MET, False: Decision.UNMET}
_MET = {Verdict.PASS: True, Verdict.FAIL: False, Decision.MET: True, Decision.UNMET: False}


@frozen
class Question:
    """What has to be decided, and what may be cited for it."""

    criteria: tuple[str, ...]
    """By number: the first one is ``c1``."""
    message_ids: frozenset[str]
    """Ids of the messages that exist."""
    span_ids: frozenset[str] = frozenset()
    """Ids of the spans that exist."""
    forced: bool = True
    """Whether the judge has to decide now, and may not let the conversation continue."""
    said: str = ""
    """Everything that was said, so that a quotation is not taken for a judgement."""

    @property
    def ids(self) -> list[str]:
        """The id of each criterion."""
        return [f"c{number}" for number in range(1, len(self.criteria) + 1)]


@frozen
class CriterionFinding:
    """The decision on one criterion."""

    decision: Decision
    reason: str = ""
    cites: tuple[str, ...] = ()
    """Ids of the messages that it rests on."""
    spans: tuple[str, ...] = ()
    """Ids of the spans that it rests on."""


@frozen
class Judgement:
    """An answer that counts."""

    continues: bool = False
    """Whether the conversation continues. Then nothing is decided, and there are no findings."""
    findings: tuple[CriterionFinding, ...] = ()
    """One for each criterion, in their order."""
    reasoning: str = ""
    """The judge's summary."""

    @property
    def verdict(self) -> Verdict:
        """The verdict that follows from the decisions."""
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
    """The judgement in a model's answer.

    Raises:
        UnreadableError: there is none.
        RuleBrokenError: it breaks a rule.
    """
    answer = the_object_in(text, _KEYS, given=question.said)
    if _continues(answer, question):
        return Judgement(continues=True, reasoning=_text(answer.get("reasoning")))
    entries = _entries(answer.get("criteria"))
    _same_ids([_criterion_id(entry) for entry in entries], question.ids)
    by_id = {_criterion_id(entry): entry for entry in entries}
    findings = tuple(_finding(name, by_id[name], question) for name in question.ids)
    judgement = Judgement(findings=findings, reasoning=_text(answer.get("reasoning")))
    _no_contradiction(answer.get("verdict"), judgement)
    _only_decided("the object", answer, ("criteria", "reasoning", "verdict", "action"), _MET.get(judgement.verdict))
    if question.forced:
        return judgement
    return replace(judgement, findings=tuple(_not_yet(finding) for finding in findings))


def _continues(answer: dict[str, JsonValue], question: Question) -> bool:
    action = answer.get("action", "decide")
    if action not in ["continue", "decide"]:
        raise RuleBrokenError(f'"action" is {excerpt(action)}; it has to be "continue" or "decide"')
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
    """By id and never by position: models reorder, omit and invent entries."""
    problems = [
        ("is missing", [name for name in expected if name not in found]),
        ("is decided more than once", [name for name, times in Counter(found).items() if times > 1]),
        ("is no criterion", sorted({name for name in found if name not in expected})),
    ]
    complaints = [f"{', '.join(map(excerpt, names[:_MOST_NAMED]))} {problem}" for problem, names in problems if names]
    if complaints:
        raise RuleBrokenError(f"the criteria are {', '.join(expected)}, each once: {'; '.join(complaints)}")


def _finding(name: str, entry: dict[str, JsonValue], question: Question) -> CriterionFinding:
    decision = _decision(name, entry.get("decision"), question)
    _only_decided(name, entry, ("id", "reason", "evidence", "decision"), _MET.get(decision))
    cites, spans = _evidence(name, entry.get("evidence"), question)
    if decision is Decision.MET and not cites and not spans:
        raise RuleBrokenError(
            f'{name} is "true" and "evidence" is empty: cite the messages that it rests on. Where something must not '
            "happen, cite the messages in which it could have happened"
        )
    return CriterionFinding(decision=decision, reason=_text(entry.get("reason")), cites=cites, spans=spans)


def _not_yet(finding: CriterionFinding) -> CriterionFinding:
    """A finding while the conversation may go on: what was only not found so far may still come."""
    if finding.decision is not Decision.UNMET or finding.cites or finding.spans:
        return finding
    return replace(finding, decision=Decision.INCONCLUSIVE)


def _decision(name: str, value: JsonValue, question: Question) -> Decision:
    if isinstance(value, bool):
        return _WORDS[value]
    word = _text(value).strip().lower().replace("_", " ")
    if word == NOT_YET and question.forced:
        raise RuleBrokenError(f'the decision on {name} is "{NOT_YET}", but the conversation is over: decide now')
    if word == NOT_YET:
        return Decision.INCONCLUSIVE
    try:
        return Decision(word)
    except ValueError:
        words = '"true", "false" or "inconclusive"' if question.forced else f'"true", "false" or "{NOT_YET}"'
        raise RuleBrokenError(f"the decision on {name} is {excerpt(value)}; it has to be {words}") from None


def _evidence(name: str, value: JsonValue, question: Question) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if not isinstance(value, list):
        raise RuleBrokenError(f'"evidence" of {name} is not a list of message ids')
    items = cast("list[object]", value)
    cited = list(dict.fromkeys(str(item).strip().strip("[]") for item in items))
    unknown = [item for item in cited if item not in question.message_ids | question.span_ids]
    if unknown:
        named = ", ".join(map(excerpt, unknown[:_MOST_NAMED]))
        raise RuleBrokenError(
            f'{name} cites {named}, which does not exist; cite only ids from the transcript, such as "m1"'
        )
    messages = tuple(item for item in cited if item in question.message_ids)
    return messages, tuple(item for item in cited if item not in question.message_ids)


def _no_contradiction(value: JsonValue, judgement: Judgement) -> None:
    said = _VERDICTS.get(_text(value).strip().lower())
    if said is None:
        raise RuleBrokenError(f'"verdict" is {excerpt(value)}; it has to be "pass", "fail" or "undecided"')
    if said is not judgement.verdict:
        raise RuleBrokenError(
            f'the verdict "{said.value}" contradicts the decisions, from which "{judgement.verdict.value}" follows: '
            "any false means fail, all true means pass, anything else is undecided. Look at the decisions and the "
            "verdict again, and correct the one that is wrong"
        )


def _only_decided(where: str, fields: dict[str, JsonValue], asked: Sequence[str], met: bool | None) -> None:
    """Refuse fields that nobody asked for and that decide otherwise."""
    for key, said, other in other_decisions(fields, asked) if met is not None else ():
        if other is not met:
            raise RuleBrokenError(
                f'"{key}" of {where} is {excerpt(said)} and contradicts the decision; leave out what was not asked '
                "for, and correct what is wrong"
            )


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else ""
