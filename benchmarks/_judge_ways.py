"""Ways of asking a small model to judge a labelled conversation; ``judge_quality`` measures them.

The labelled set is ``tests/live/judged_conversations.jsonl``. With ``WRITTEN`` the model writes its decision, in a form
that a grammar enforces, or is asked as ``JudgeAgent`` asks it; with ``PROMPTS`` only the probabilities of its next word
are read.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import duologue
from duologue.agents.judge import RULES, local
from duologue.context import SystemClock
from duologue.errors import JudgeError
from duologue.messages import Message, system_message, user_message
from duologue.models.base import CompletionModel, ModelRequest
from duologue.models.scope import RunScope
from duologue.testing import ScriptedAgent, ScriptedUserAgent
from duologue.vocabulary import Decision

LABELLED = Path(__file__).parents[1] / "tests" / "live" / "judged_conversations.jsonl"
DEFAULT = "judge (last, against nothing, as set)"
"""What ``JudgeAgent`` does with a local model, with the threshold that is set in its code."""
_SYSTEM = "You check conversations between a customer and an agent."
_ONE_WORD = "Answer with Yes or No only."


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A conversation, its criteria and whether each is met."""

    id: str
    kind: str
    messages: list[Message]
    criteria: list[str]
    met: list[bool]

    @property
    def told(self) -> str:
        return local.plain_transcript(self.messages)[0]


def read_labelled(path: Path = LABELLED) -> list[Conversation]:
    """The labelled set."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [
        Conversation(
            id=row["id"],
            kind=row["kind"],
            messages=row["messages"],
            criteria=[item["criterion"] for item in row["criteria"]],
            met=[item["met"] for item in row["criteria"]],
        )
        for row in rows
    ]


class _Impatient(SystemClock):
    async def sleep(self, seconds: float) -> None:
        """The pauses before asking again are not what is measured."""


async def whole_judgement(model: CompletionModel, conversation: Conversation) -> list[Decision]:
    """As a larger model is asked: all criteria at once, with evidence; asked again where a rule is broken."""
    # Giving the rules by hand is what makes a JudgeAgent ask a local model in this way.
    judge = duologue.JudgeAgent(
        criteria=conversation.criteria, model=model, system_prompt=RULES, max_tokens=400, advisory=False
    )
    try:
        result = await duologue.arun(
            conversation.id,
            "A customer talks to an agent.",
            [ScriptedAgent([]), ScriptedUserAgent([]), judge],
            script=[*map(duologue.message, conversation.messages), duologue.judge()],
            context=duologue.Context(clock=_Impatient()),
            verbose=False,
        )
    except JudgeError:
        # No answer that counts, though it was told what was wrong with it.
        return [Decision.INCONCLUSIVE for _ in conversation.criteria]
    found = {item.criterion: item.decision for item in result.decisions}
    return [found.get(text, Decision.INCONCLUSIVE) for text in conversation.criteria]


def in_json(*, reasoned: bool) -> Callable[[CompletionModel, Conversation], Awaitable[list[Decision]]]:
    """One criterion at a time, with a reason first or without."""
    fields: dict[str, Any] = {"reason": {"type": "string", "maxLength": 300}} if reasoned else {}
    fields["true"] = {"type": "boolean"}
    schema = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    form = json.dumps({name: "…" if name == "reason" else "true or false" for name in fields}, ensure_ascii=False)

    async def decide(model: CompletionModel, conversation: Conversation) -> list[Decision]:
        return [await one(model, conversation.told, text) for text in conversation.criteria]

    async def one(model: CompletionModel, told: str, criterion: str) -> Decision:
        messages = (system_message(f"{_SYSTEM} Answer in JSON: {form}"), user_message(question(told, criterion)))
        request = ModelRequest(messages=messages, response_schema=schema, temperature=0.0, max_tokens=200)
        try:
            said = json.loads((await model.answer(request)).text)["true"]
        except (ValueError, KeyError):
            return Decision.INCONCLUSIVE
        return Decision.MET if said else Decision.UNMET

    return decide


def question(told: str, criterion: str) -> str:
    """The question of the chat variants."""
    return f"Conversation:\n{told}\n\nStatement: {criterion}\n\nIs the statement true of this conversation?"


def after_examples(*, first: bool, last: bool) -> Callable[[str, str], str]:
    """The examples of the judge, with the criterion in other places."""

    def case(criterion: str, told: str) -> str:
        before = f'Question: Is this true? "{criterion}"\n' if first else ""
        after = f'Is it true that "{criterion}"?\n' if last else ""
        return f"{before}Conversation:\n{told}\n{after}Answer:"

    examples = "".join(f"{case(text, scene)} {answer}\n\n" for text, scene, answer in local.EXAMPLES)
    return lambda criterion, told: f"{local.TASK}\n\n{examples}{case(criterion, told)}"


def in_chat(criterion: str, told: str) -> str:
    """Without examples, in the chat form of this family of models."""
    system = f"<|im_start|>system\n{_SYSTEM} {_ONE_WORD}<|im_end|>\n"
    return f"{system}<|im_start|>user\n{question(told, criterion)} {_ONE_WORD}<|im_end|>\n<|im_start|>assistant\n"


PROMPTS: dict[str, Callable[[str, str], str]] = {
    "yes/no, chat": in_chat,
    "yes/no, first": after_examples(first=True, last=False),
    "yes/no, first and last": after_examples(first=True, last=True),
    "yes/no, last": local.prompt,
}


async def log_odds(model: CompletionModel, prompt: str) -> float:
    """Of yes; 0 where the model means neither."""
    completion = await model.complete(prompt, max_tokens=1, logprobs=20)
    return local.log_odds(local.probability_of_yes(completion.logprobs[0]) or 0.5)


async def by_probability(
    model: CompletionModel, prompt: Callable[[str, str], str], labelled: Sequence[Conversation]
) -> tuple[list[float], float, list[float], float]:
    """Log odds and seconds, with the conversation and without it."""
    pairs = [(text, conversation.told) for conversation in labelled for text in conversation.criteria]
    scores: list[list[float]] = []
    seconds: list[float] = []
    for prompts in ([prompt(text, told) for text, told in pairs], [prompt(text, local.NOTHING) for text, _ in pairs]):
        began = perf_counter()
        scores.append([await log_odds(model, item) for item in prompts])
        seconds.append(perf_counter() - began)
    return scores[0], seconds[0], scores[1], seconds[1]


async def by_default(model: CompletionModel, conversation: Conversation) -> list[Decision]:
    """Exactly as ``JudgeAgent`` asks a local model."""
    judgement = await local.judge_by_probability(model, conversation.criteria, conversation.messages, RunScope())
    return [finding.decision for finding in judgement.findings]


WRITTEN: dict[str, Callable[[CompletionModel, Conversation], Awaitable[list[Decision]]]] = {
    "json, whole judgement": whole_judgement,
    "json, reason and decision": in_json(reasoned=True),
    "json, decision": in_json(reasoned=False),
    DEFAULT: by_default,
}
