"""Grade a conversation: expected tool calls by code, metrics and expected outcomes by one request to a model.

A model that does not answer, or not in a way that counts, is a JudgeError. It never becomes a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from duologue.agents.judge import JudgeModel
from duologue.checks.metrics.expected import ExpectedToolCall, grade_tool_calls
from duologue.checks.metrics.grading import CASE_THRESHOLD, Grading, check_threshold
from duologue.checks.metrics.metric import Metric
from duologue.checks.metrics.predefined import DEFAULT_METRICS, Metrics, metrics_of
from duologue.checks.metrics.question import Background, GradeQuestion
from duologue.checks.metrics.reading import Grades, read_grades
from duologue.checks.problems import shown
from duologue.errors import ConfigurationError, JudgeError, ModelError
from duologue.journal.events import MessageAdded
from duologue.messages import Message, tool_calls_of
from duologue.models.base import Model
from duologue.models.choice import choose
from duologue.models.scope import RunScope
from duologue.settings import ModelConfig


async def grade(
    conversation: Sequence[Message] | Sequence[MessageAdded],
    metrics: Metrics = DEFAULT_METRICS,
    *,
    expected_outcomes: Sequence[str] = (),
    expected_tool_calls: Sequence[ExpectedToolCall] = (),
    model: str | ModelConfig | Model | None = None,
    scope: RunScope | None = None,
    background: Background | None = None,
    threshold: float = CASE_THRESHOLD,
    outcomes_decide: bool = False,
) -> Grading:
    """Grade a conversation.

    Args:
        conversation: chat messages, or the records of a run. Chat messages are named ``m1``, ``m2``, … and each message
            of the user after the first one opens a turn; turns count from 0.
        metrics: what to grade.
        expected_outcomes: what must have come about, one sentence each.
        expected_tool_calls: calls that must have been made; decided by code.
        model: who grades; the default model if it is left out. Not asked where there is nothing to ask.
        scope: of the run that this belongs to: clock, journal, budget.
        background: what else the model should know.
        threshold: the score that the verdict needs, 0 to 100.
        outcomes_decide: where outcomes are expected, they decide in place of the score.

    Raises:
        ConfigurationError: nothing to grade, a threshold or metrics that cannot be, or no model.
        JudgeError: the model failed, or its answers could not be used. There is no grading then.
        BudgetExceededError: there is not enough left to ask.
    """
    check_threshold(threshold)
    chosen = metrics_of(metrics)
    can_be_asked(chosen, expected_outcomes, expected_tool_calls)
    records = _records(conversation)
    if not agent_has_spoken(records):
        raise ConfigurationError("there is nothing to grade: the conversation has no message of the agent")
    question = GradeQuestion(
        metrics=chosen,
        outcomes=tuple(expected_outcomes),
        records=records,
        tool_calls=grade_tool_calls(expected_tool_calls, records),
        background=background or Background(),
    )
    grades, judge = (
        await _asked(question, model, scope or RunScope(who="grading")) if question.parts else (Grades(), "")
    )
    return Grading(
        metrics=grades.metrics,
        outcomes=grades.outcomes,
        tool_calls=question.tool_calls,
        threshold=threshold,
        outcomes_decide=outcomes_decide,
        judge=judge,
    )


def agent_has_spoken(records: Sequence[MessageAdded]) -> bool:
    """Whether there is anything of the agent to grade: words, or a tool call."""
    messages = [record.message for record in records if record.message["role"] == "assistant"]
    return any(message.get("content") or tool_calls_of(message) for message in messages)


def can_be_asked(metrics: Sequence[Metric], outcomes: Sequence[str], tool_calls: Sequence[ExpectedToolCall]) -> None:
    """Refuse what cannot be graded. Raises ConfigurationError."""
    if isinstance(outcomes, str):
        raise ConfigurationError("expected_outcomes is a text; give a list of sentences")
    if any(not outcome.strip() for outcome in outcomes):
        raise ConfigurationError("an expected outcome is empty; write what must have come about")
    if not metrics and not outcomes and not tool_calls:
        raise ConfigurationError("nothing is asked for: give metrics, expected_outcomes or expected_tool_calls")


async def _asked(
    question: GradeQuestion, model: str | ModelConfig | Model | None, scope: RunScope
) -> tuple[Grades, str]:
    choice = choose(model, purpose="Grading")
    judge = JudgeModel(choice=choice, scope=scope)
    try:
        grades = await judge.ask(question.messages(), question.schema(), lambda text: read_grades(text, question))
    except ModelError as error:
        raise JudgeError(f"the model that grades failed: {error}", who=scope.who) from error
    return grades, choice.name


def _records(conversation: Sequence[Message] | Sequence[MessageAdded]) -> Sequence[MessageAdded]:
    if all(isinstance(item, MessageAdded) for item in conversation):
        return cast("Sequence[MessageAdded]", conversation)
    records: list[MessageAdded] = []
    turn = 0
    for number, message in enumerate(cast("Sequence[Message]", conversation), start=1):
        if not isinstance(message, dict) or "role" not in message:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(
                "a conversation is all chat messages, each a dict with a role, or all records of a run; "
                f"number {number} is {shown(message)}"
            )
        turn += message["role"] == "user" and any(record.message["role"] == "user" for record in records)
        records.append(MessageAdded(message_id=f"m{number}", message=message, turn=turn))
    return records
