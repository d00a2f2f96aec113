"""One question to a model: whether a success criterion and a failure criterion are met, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from duologue.agents.judge.asking import Asker
from duologue.agents.judge.decide import RuleBrokenError, shown
from duologue.agents.judge.prompt import RULES
from duologue.agents.judge.reading import UnreadableError, object_in
from duologue.agents.judge.transcript import entries_of, indented, quoted
from duologue.conversation.state import ScenarioState
from duologue.journal.events import Frozen
from duologue.messages import JsonValue, Message, system_message, text_of, user_message
from duologue.models.choice import ModelChoice
from duologue.models.scope import RunScope

_FORM = """\
There are up to two criteria: "success" and "failure". "met" is true if the transcript shows that what the criterion \
says is so, for "failure" as for "success"; what you cannot tell is false.
Answer with one JSON object and nothing else:
{"success": {"reason": "…", "evidence": ["m2"], "met": true}, \
"failure": {"reason": "…", "evidence": [], "met": false}, "confidence": 0.9, "reasoning": "one or two sentences"}
with an entry for each criterion that is given. "confidence" is from 0 to 1. What is met cites at least one message."""


class CriteriaEvaluation(Frozen):
    """What a model says of a conversation.

    ``confidence`` is the model's own, from 0 to 1. ``raw_response`` is what it wrote; None where it was not asked.
    """

    success_met: bool = False
    failure_met: bool = False
    confidence: float
    reasoning: str
    success_message_ids: tuple[str, ...] = ()
    failure_message_ids: tuple[str, ...] = ()
    raw_response: str | None = None


@dataclass(frozen=True, kw_only=True)
class Loop:
    """What is asked for; '' for a criterion that there is not."""

    success: str = ""
    failure: str = ""

    @property
    def named(self) -> dict[str, str]:
        """The criteria that there are, by name."""
        return {name: text for name, text in (("success", self.success), ("failure", self.failure)) if text}


async def evaluate(
    choice: ModelChoice, loop: Loop, messages: Sequence[Message], state: ScenarioState, scope: RunScope
) -> CriteriaEvaluation:
    """Ask until there is an answer that counts.

    Raises:
        JudgeError: there is none.
        ModelError: no answer at all.
    """
    entries = entries_of(messages, state)
    criteria = "\n".join(f"{name}: {quoted(text)}" for name, text in loop.named.items())
    case = "\n\n".join(
        f"<{name}>\n{text}\n</{name}>"
        for name, text in (
            ("situation", indented(state.description)),
            ("criteria", criteria),
            ("transcript", "\n".join(entry.text for entry in entries)),
        )
        if text
    )
    ids = frozenset(entry.id for entry in entries)
    said = "\n".join(map(text_of, messages))
    return await Asker(choice=choice, scope=scope).until_read(
        [system_message(f"{RULES}\n\n{_FORM}"), user_message(case)],
        _schema(loop),
        lambda text: _evaluation(text, loop, ids, said),
    )


def _schema(loop: Loop) -> dict[str, Any]:
    entry = _object(
        reason={"type": "string"}, evidence={"type": "array", "items": {"type": "string"}}, met={"type": "boolean"}
    )
    fields: dict[str, Any] = dict.fromkeys(loop.named, entry)
    return {"title": "evaluation", **_object(**fields, confidence={"type": "number"}, reasoning={"type": "string"})}


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _evaluation(text: str, loop: Loop, ids: frozenset[str], said: str) -> CriteriaEvaluation:
    answer = object_in(text, said, ("success", "failure", "confidence"))
    found = {name: _entry(name, answer.get(name), ids) for name in loop.named}
    nothing: tuple[bool, tuple[str, ...]] = (False, ())
    success, failure = found.get("success", nothing), found.get("failure", nothing)
    reasoning = answer.get("reasoning")
    return CriteriaEvaluation(
        success_met=success[0],
        failure_met=failure[0],
        confidence=_confidence(answer.get("confidence")),
        reasoning=reasoning if isinstance(reasoning, str) else "",
        success_message_ids=success[1],
        failure_message_ids=failure[1],
        raw_response=text,
    )


def _entry(name: str, value: JsonValue, ids: frozenset[str]) -> tuple[bool, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise UnreadableError(f'there is no object "{name}"')
    entry = cast("dict[str, JsonValue]", value)
    met, evidence = entry.get("met"), entry.get("evidence")
    if not isinstance(met, bool):
        raise RuleBrokenError(f'"met" of "{name}" is {shown(met)}; it has to be true or false')
    if not isinstance(evidence, list):
        raise RuleBrokenError(f'"evidence" of "{name}" is not a list of message ids')
    cited = [str(item).strip().strip("[]") for item in cast("list[object]", evidence)]
    if unknown := [item for item in cited if item not in ids]:
        raise RuleBrokenError(f'"{name}" cites {", ".join(map(shown, unknown[:20]))}, which does not exist')
    if met and not cited:
        raise RuleBrokenError(f'"{name}" is met and "evidence" is empty: cite the messages that it rests on')
    return met, tuple(cited)


def _confidence(value: JsonValue) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RuleBrokenError(f'"confidence" is {shown(value)}; it has to be a number from 0 to 1')
    return float(value)
