"""Judging with a small local model: it is asked for the next word after a question, not for an essay.

Small models that explain themselves decide worse than those of which only the probability of "Yes" is read. Even so
their word is no verdict: such a judge is advisory unless it is told otherwise, and says how often it was right when it
was measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from duologue.agents.judge.decide import Finding, Judgement
from duologue.errors import JudgeError
from duologue.messages import Message, text_of, tool_calls_of
from duologue.models.ask import ask_completion
from duologue.models.base import CompletionModel
from duologue.models.scope import RunScope
from duologue.vocabulary import Decision

YES_FROM = 0.6
"""Probability of "Yes" from which a criterion counts as met."""
NO_BELOW = 0.4
"""Below it the criterion counts as not met; in between it is inconclusive."""
_CANDIDATES = 20
_LEAST_MASS = 0.05
"""Where both words together are less likely than that, the model has not understood the question."""
_HISTORY = 6000
"""Characters of the conversation that the model is shown: its newest part."""
_LINE = 600
"""Characters of one line."""
_LABELS = {"user": "Customer", "assistant": "Agent", "tool": "Tool result", "system": "Note", "developer": "Note"}

_EXAMPLES = """\
A checker reads conversations between a customer and an agent, and answers questions about them with Yes or No.

Question: Is this true? "The agent gives the customer the money back."
Conversation:
Customer: I want to send back my shoes.
Agent: I am sorry, shoes cannot be sent back after 30 days.
Answer: No

Question: Is this true? "The agent says when they open."
Conversation:
Customer: When do you open on Sunday?
Agent: On Sundays we are open from 10 to 16.
Answer: Yes

Question: Is this true? "The agent never asks for a card number."
Conversation:
Customer: A taxi to the airport at 6, please.
Tool call: order_taxi {"to": "airport", "time": "6:00"}
Tool result: {"ok": true}
Agent: Your taxi to the airport comes at 6.
Answer: Yes

Question: Is this true? "The agent books tickets for Friday."
Conversation:
Customer: Two tickets for Friday, please.
Agent: Here are two tickets for Saturday. You are lucky, they were the last ones!
Answer: No

"""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """How often a model was right as a judge.

    Attributes:
        right, of: decisions that agree with the label, and all decisions.
        labels: what it was measured on.
    """

    right: int
    of: int
    labels: str


MEASURED: dict[str, Accuracy] = {}
"""By full name of the model; filled from what the benchmark of judges gives."""


async def judge_by_probability(
    model: CompletionModel, criteria: Sequence[str], messages: Sequence[Message], scope: RunScope
) -> Judgement:
    """A decision on each criterion. Such a judge cites nothing: it cannot say what it rests on.

    Raises:
        JudgeError: the model gives no probabilities.
        ModelError: it did not answer.
    """
    told, cut = plain_transcript(messages)
    findings = [await _finding(model, text, told, scope) for text in criteria]
    parts = [described(model.name)]
    if cut:
        parts.append("Only the newest part of the conversation was read.")
    return Judgement(findings=tuple(findings), reasoning=" ".join(parts))


def described(name: str, measured: Mapping[str, Accuracy] | None = None) -> str:
    """What is known of that model as a judge, in a sentence."""
    accuracy = (MEASURED if measured is None else measured).get(name)
    if accuracy is None:
        return f"Decided by {name}, whose decisions have not been measured against labels."
    return f"Decided by {name}, which agreed with {accuracy.right} of {accuracy.of} labels ({accuracy.labels})."


def plain_transcript(messages: Sequence[Message]) -> tuple[str, bool]:
    """The newest part of the conversation in the form of the examples, and whether something is missing from it."""
    lines = [line for message in messages for line in _lines(message)]
    whole = len(lines)
    while len(lines) > 1 and sum(map(len, lines)) > _HISTORY:
        del lines[0]
    return "\n".join(lines) or "(Nothing was said.)", len(lines) < whole


def probability_of_yes(candidates: Mapping[str, float]) -> float | None:
    """P(yes) / (P(yes) + P(no)), from log probabilities by token; None where neither is likely."""
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in candidates.items():
        word = token.strip().strip('".,').lower()
        if word in mass:
            mass[word] += math.exp(logprob)
    total = sum(mass.values())
    return mass["yes"] / total if total >= _LEAST_MASS else None


async def _finding(model: CompletionModel, criterion: str, told: str, scope: RunScope) -> Finding:
    question = _one_line(criterion).replace('"', "'")
    # The question comes first: asked after the conversation, the smallest model says yes to everything.
    prompt = f'{_EXAMPLES}Question: Is this true? "{question}"\nConversation:\n{told}\nAnswer:'
    completion = await ask_completion(model, prompt, scope, max_tokens=1, logprobs=_CANDIDATES)
    if not completion.logprobs:
        raise JudgeError(
            f"{model.name} gave no probabilities, so it cannot judge; take another model for the judge", who=scope.who
        )
    share = probability_of_yes(completion.logprobs[0])
    if share is None:
        return Finding(decision=Decision.INCONCLUSIVE, reason=f"{model.name} answered neither yes nor no.")
    return Finding(decision=_decision(share), reason=f"Probability of yes: {share:.2f}.")


def _decision(share: float) -> Decision:
    if share >= YES_FROM:
        return Decision.MET
    return Decision.UNMET if share < NO_BELOW else Decision.INCONCLUSIVE


def _lines(message: Message) -> list[str]:
    lines = [
        f"Tool call: {_short(call['function']['name'])} {_short(str(call['function'].get('arguments', '')))}"
        for call in tool_calls_of(message)
    ]
    if text := _short(text_of(message)):
        lines.insert(0, f"{_LABELS.get(message['role'], 'Note')}: {text}")
    return lines


def _short(text: str) -> str:
    line = _one_line(text)
    return line if len(line) <= _LINE else line[:_LINE] + "…"


def _one_line(text: str) -> str:
    return " ".join(text.split())
