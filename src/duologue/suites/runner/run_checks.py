"""Checks that go with what a suite says elsewhere: guardrails of prompts, and tool calls that a scenario expects."""

from __future__ import annotations

from collections.abc import Sequence

from duologue.conversation.setup import CheckInput, CheckOutcome
from duologue.specs.scenario import ToolCallSpec
from duologue.suites.results.from_journal import GUARDRAIL, guardrail_results
from duologue.vocabulary import CheckStatus, Scope


class ExpectedCallsMade:
    """Passes if every expected tool call was made.

    Args:
        expected: as the scenario has them.
    """

    name = "the expected tool calls are made"
    kind = "expected_tool_calls"
    scope = Scope.CONVERSATION
    asks_nobody = True

    def __init__(self, expected: Sequence[ToolCallSpec]) -> None:
        from duologue.checks.metrics.grading import ArgumentMatch, ExpectedToolCall

        self.expected = [
            ExpectedToolCall(
                tool=call.tool,
                expected_params=call.expected_params,
                match=ArgumentMatch(call.match),
                must_succeed=call.must_succeed,
            )
            for call in expected
        ]

    async def evaluate(self, input: CheckInput) -> CheckOutcome:
        """Look for each call in the conversation."""
        from duologue.checks.metrics.grading import grade_tool_calls
        from duologue.checks.subject import calls_unknown

        if reason := calls_unknown(input.state):
            return CheckOutcome(status=CheckStatus.SKIPPED, explanation=reason)
        grades = grade_tool_calls(self.expected, input.records)
        missed = [grade.reason for grade in grades if not grade.made]
        made = len(grades) - len(missed)
        return CheckOutcome(
            status=CheckStatus.FAILED if missed else CheckStatus.PASSED,
            score=made / len(grades),
            explanation="; ".join(missed) or f"{made} of {len(grades)} made",
            message_ids=list(dict.fromkeys(id for grade in grades for id in grade.message_ids)),
            details={"calls": [grade.model_dump(mode="json") for grade in grades]},
        )


class GuardrailsHold:
    """The check that goes with guardrails: a message that one of them stops fails the run, unless a check expects it.

    Args:
        tolerated: types of guardrails whose violations do not fail a run.
    """

    name = "no guardrail is violated"
    kind = GUARDRAIL
    scope = Scope.CONVERSATION

    def __init__(self, tolerated: frozenset[str]) -> None:
        self.tolerated = tolerated

    async def evaluate(self, input: CheckInput) -> CheckOutcome:
        """Look at what the guardrails noted."""
        view = input.state.view
        results = guardrail_results(view.notes, view.checks, self.tolerated)
        broken = [item for item in results if not item.passed and not item.expected]
        if not broken:
            return CheckOutcome(status=CheckStatus.PASSED if results else CheckStatus.SKIPPED)
        found = "; ".join(
            f"{item.type} ({item.direction}, turn {item.turn + 1}): {item.explanation}" for item in broken
        )
        return CheckOutcome(status=CheckStatus.FAILED, explanation=found)
