"""Lets a model draft a metric with its rubric, from a sentence that says what should be looked at.

A draft is a draft: ``draft`` is set, so that no eval uses it before somebody has read it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal, cast

from pydantic import ValidationError

from duologue.config.json_schema import closed_object
from duologue.errors import ConfigurationError
from duologue.messages import JsonValue, system_message, user_message
from duologue.models.choice import ModelChoice
from duologue.models.scope import RunScope
from duologue.models.structured import AnswerRetries, UnreadableError, ask_until_readable, the_object_in
from duologue.specs.metrics import MetricSpec
from duologue.suites.cases.facts import AgentFacts, sections_of
from duologue.suites.cases.generate import DATA_RULE

_STEPS = {"scored": ("0", "1", "2", "3", "4", "5"), "binary": ("0", "5")}
_TASK = f"""\
You write a metric by which a judge grades conversations between a user and an AI agent. The judge has only the \
transcript.
{DATA_RULE}
Rules:
- "name": lower case, with underscores, such as "asks_before_acting".
- "description": one or two sentences: what is looked at, and what is not.
- "rubric": what each score means. Each step names what can be seen in a transcript, and differs from its neighbours \
in something that can be seen. 0 is the worst that can happen, 5 is flawless.
- "not_applicable": when a conversation says nothing about it; an empty text if it always does.
- "failure_codes": up to six short names for what goes wrong, each with when it fits.
Answer with one JSON object and nothing else."""
_TEXT: dict[str, Any] = {"type": "string"}


async def draft_metric(
    choice: ModelChoice,
    about: str,
    *,
    score_type: Literal["scored", "binary"] = "scored",
    facts: AgentFacts | None = None,
    taken: Collection[str] = (),
    scope: RunScope | None = None,
) -> MetricSpec:
    """Let a model draft a metric.

    Args:
        choice: the model.
        about: what should be looked at, such as "does it ask before it acts".
        score_type: graded from 0 to 5, or with yes or no.
        facts: the agent whose conversations are graded.
        taken: names that other metrics have.
        scope: budget and clock.

    Raises:
        ConfigurationError: ``about`` is empty.
        ModelError: there was no usable answer.
    """
    if not about.strip():
        raise ConfigurationError("about is empty; say what the metric should look at")
    steps = _STEPS[score_type]
    told = f"{sections_of(facts)}\n\n" if facts else ""
    names = f" These names are taken: {', '.join(sorted(taken))}." if taken else ""
    asked = f"The scores are {', '.join(steps)}. The metric looks at this: {about.strip()}{names}"
    request = choice.request([system_message(_TASK), user_message(f"{told}{asked}")], response_schema=_schema(steps))

    def read(text: str) -> MetricSpec:
        return _metric(the_object_in(text, ("rubric", "name")), score_type, taken)

    retries = AnswerRetries(pauses=(0.0,), corrections=0)
    return await ask_until_readable(choice.model, request, read, scope or RunScope(who="metric"), retries=retries)


def _schema(steps: Collection[str]) -> dict[str, Any]:
    code = closed_object(name=_TEXT, when=_TEXT)
    return {
        "title": "metric",
        **closed_object(
            name=_TEXT,
            display_name=_TEXT,
            description=_TEXT,
            tier={"type": "string", "enum": ["execution", "knowledge", "process", "delivery"]},
            rubric=closed_object(**dict.fromkeys(steps, _TEXT)),
            not_applicable=_TEXT,
            failure_codes={"type": "array", "items": code},
        ),
    }


def _metric(answer: dict[str, JsonValue], score_type: str, taken: Collection[str]) -> MetricSpec:
    fields: dict[str, Any] = {name: value for name, value in answer.items() if value is not None}
    codes: object = fields.get("failure_codes")
    if isinstance(codes, list):
        told = [cast("dict[str, Any]", item) for item in cast("list[Any]", codes) if isinstance(item, dict)]
        fields["failure_codes"] = {str(item.get("name")): item.get("when") for item in told}
    if isinstance(fields.get("name"), str) and fields["name"] in taken:
        raise UnreadableError(f"the name {fields['name']!r} is taken; choose another one")
    try:
        return MetricSpec.model_validate({**fields, "score_type": score_type, "draft": True})
    except ValidationError as error:
        wrong = [f"{'.'.join(map(str, item['loc'])) or 'it'}: {item['msg']}" for item in error.errors()[:6]]
        raise UnreadableError("; ".join(wrong)) from error
