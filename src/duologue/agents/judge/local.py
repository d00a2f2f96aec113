"""Judging with a small local model: it is asked for the next word after a question, not for an essay.

Small models decide worse if they explain themselves than if only their probability of "Yes" is read. Even that depends
more on the criterion than on the conversation, so the same question is asked about an empty conversation, and the
difference counts. This is calibration with a content-free input, after Z. Zhao and others, "Calibrate Before Use", ICML
2021.

Still, their word is no verdict: such a judge is advisory by default, and it reports how often it was right when it was
measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from duologue.agents.judge._judgement import CriterionFinding, Judgement
from duologue.errors import JudgeError
from duologue.frozen import frozen
from duologue.messages import Message, text_of, tool_calls_of
from duologue.models.ask import ask_completion
from duologue.models.base import CompletionModel
from duologue.models.scope import RunScope
from duologue.vocabulary import Decision

NOTHING = "(Nothing was said.)"
"""Stands for an empty conversation."""
_CANDIDATES = 20
_LEAST_MASS = 0.05
"""If both words together are less likely than this, the model has not understood the question."""
_LEAST_SHARE = 1e-4
_HISTORY = 6000
"""Characters of the conversation that the model reads: its newest part."""
_LINE = 600
"""Characters of one line."""
_CUT = "… (cut)"
"""What the model reads at the end of a line that was cut."""
_LABELS = {"user": "Customer", "assistant": "Agent", "tool": "Tool result", "system": "Note", "developer": "Note"}

TASK = "A checker reads conversations between a customer and an agent, and answers questions about them with Yes or No."
EXAMPLES = (
    (
        "The agent gives the customer the money back.",
        "Customer: I want to send back my shoes.\nAgent: I am sorry, shoes cannot be sent back after 30 days.",
        "No",
    ),
    (
        "The agent says when they open.",
        "Customer: When do you open on Sunday?\nAgent: On Sundays we are open from 10 to 16.",
        "Yes",
    ),
    (
        "The agent never asks for a card number.",
        (
            "Customer: A taxi to the airport at 6, please.\n"
            'Tool call: order_taxi {"to": "airport", "time": "6:00"}\nTool result: {"ok": true}\n'
            "Agent: Your taxi to the airport comes at 6."
        ),
        "Yes",
    ),
    (
        "The agent books tickets for Friday.",
        (
            "Customer: Two tickets for Friday, please.\n"
            "Agent: Here are two tickets for Saturday. You are lucky, they were the last ones!"
        ),
        "No",
    ),
)
"""Criterion, conversation, answer."""


@frozen
class Accuracy:
    """How often a model was right as a judge."""

    right: int
    """Decisions that agree with the label."""
    of: int
    """All decisions."""
    kappa: float
    """Cohen's kappa: 0 is what chance gives, 1 is full agreement."""
    false_passes: int
    """Criteria that were not met and that it passed."""
    unmet: int
    """All criteria that were not met."""
    labels: str
    """The labels it was measured on, and when."""


DEFAULT = "local/qwen2.5-coder-0.5b-instruct"
THRESHOLDS = {DEFAULT: 0.2}
"""By full name of the model: log odds that the conversation has to add for a criterion to be met; 0 for others."""
MEASURED: dict[str, Accuracy] = {
    DEFAULT: Accuracy(
        right=50,
        of=70,
        kappa=0.43,
        false_passes=18,
        unmet=35,
        labels="30 conversations with 70 criteria, measured 2026-11",
    )
}
"""By full name of the model: what ``benchmarks/judge_quality.py`` gives for this way of asking it.

The threshold was set on the same conversations. Set on all but the one that is judged, it has 49 right, and a kappa of
0.40. Some scores are so near to the threshold that rounding in the engine decides: in another order, 48 are right.
"""


async def judge_by_probability(
    model: CompletionModel, criteria: Sequence[str], messages: Sequence[Message], scope: RunScope
) -> Judgement:
    """A decision on each criterion. Such a judge cites nothing: it cannot say what it rests on.

    Raises:
        JudgeError: the model gives no probabilities.
        ModelError: it did not answer.
    """
    transcript, cut = plain_transcript(messages)
    shortened = sum(line.endswith(_CUT) for line in transcript.splitlines())
    said = [await _share(model, prompt(text, transcript), scope) for text in criteria]
    before = [await _share(model, prompt(text, NOTHING), scope) for text in criteria]
    findings = [_finding(model.name, *shares) for shares in zip(said, before, strict=True)]
    parts = [described(model.name)]
    if cut:
        parts.append("Only the newest part of the conversation was read.")
    if shortened:
        lines = "1 line was" if shortened == 1 else f"{shortened} lines were"
        parts.append(f"{lines} cut after {_LINE} characters.")
    return Judgement(findings=tuple(findings), reasoning=" ".join(parts))


def described(name: str, measured: Mapping[str, Accuracy] | None = None) -> str:
    """What is known about the model as a judge, in a sentence."""
    accuracy = (MEASURED if measured is None else measured).get(name)
    if accuracy is None:
        return f"Decided by {name}, whose decisions have not been measured against labels."
    return (
        f"Decided by {name}, which was right on {accuracy.right} of {accuracy.of} labels "
        f"({accuracy.right / accuracy.of:.0%}; kappa {accuracy.kappa:.2f}, where chance gives 0) and passed "
        f"{accuracy.false_passes} of {accuracy.unmet} criteria that were not met ({accuracy.labels})."
    )


def plain_transcript(messages: Sequence[Message]) -> tuple[str, bool]:
    """The newest part of the conversation in the form of the examples, and whether older parts were cut."""
    lines = [line for message in messages for line in _lines(message)]
    whole = len(lines)
    while len(lines) > 1 and sum(map(len, lines)) > _HISTORY:
        del lines[0]
    return "\n".join(lines) or NOTHING, len(lines) < whole


def probability_of_yes(candidates: Mapping[str, float]) -> float | None:
    """P(yes) / (P(yes) + P(no)), from log probabilities by token; None where neither is likely."""
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in candidates.items():
        word = token.strip().strip('".,').lower()
        if word in mass:
            mass[word] += math.exp(logprob)
    total = sum(mass.values())
    return mass["yes"] / total if total >= _LEAST_MASS else None


def prompt(criterion: str, transcript: str) -> str:
    """The text that the model continues, with Yes or with No."""
    examples = "".join(f"{_case(text, scene)} {answer}\n\n" for text, scene, answer in EXAMPLES)
    return f"{TASK}\n\n{examples}{_case(one_line(criterion), transcript)}"


def log_odds(share: float) -> float:
    """ln(p / (1 - p)), with room for a p of 0 or 1."""
    share = min(max(share, _LEAST_SHARE), 1 - _LEAST_SHARE)
    return math.log(share / (1 - share))


def _case(criterion: str, transcript: str) -> str:
    # The conversation comes first, so that the engine reads it once for all criteria.
    return f'Conversation:\n{transcript}\nIs it true that "{criterion}"?\nAnswer:'


def _finding(name: str, said: float | None, before: float | None) -> CriterionFinding:
    if said is None or before is None:
        return CriterionFinding(decision=Decision.INCONCLUSIVE, reason=f"{name} answered neither yes nor no.")
    added = log_odds(said) - log_odds(before)
    return CriterionFinding(
        decision=Decision.MET if added >= THRESHOLDS.get(name, 0.0) else Decision.UNMET,
        reason=f"Probability of yes: {said:.2f}, and {before:.2f} before anything was said.",
    )


async def _share(model: CompletionModel, text: str, scope: RunScope) -> float | None:
    completion = await ask_completion(model, text, scope, max_tokens=1, logprobs=_CANDIDATES)
    if not completion.logprobs:
        raise JudgeError(
            f"{model.name} gave no probabilities, so it cannot judge; use another model for the judge", who=scope.who
        )
    return probability_of_yes(completion.logprobs[0])


def _lines(message: Message) -> list[str]:
    lines = [
        f"Tool call: {_short(call['function']['name'])} {_short(str(call['function'].get('arguments', '')))}"
        for call in tool_calls_of(message)
    ]
    if text := _short(text_of(message)):
        lines.insert(0, f"{_LABELS.get(message['role'], 'Note')}: {text}")
    return lines


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else line[:_LINE] + _CUT


def one_line(text: str) -> str:
    """A criterion without line ends, and without the quotation marks that it is put between."""
    return " ".join(text.split()).replace('"', "'")
