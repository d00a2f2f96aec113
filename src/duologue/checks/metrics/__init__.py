"""Weighted metrics: a conversation graded by rubrics, with expected outcomes and expected tool calls beside them.

    from duologue.checks.metrics import GradingCheck

    await duologue.arun(..., checks=[GradingCheck(expected_outcomes=["The table is booked for four."])])

``predefined`` has the rubrics, ``reading`` the rules that a model's answer has to keep, ``grading`` what follows from
it, ``spec`` how all of it is written as plain data.
"""

from __future__ import annotations

from duologue.checks.metrics.check import GradingCheck
from duologue.checks.metrics.expected import ArgumentMatch, ExpectedToolCall, ToolCallGrade
from duologue.checks.metrics.grade import grade
from duologue.checks.metrics.grading import Grading, MetricGrade, OutcomeGrade
from duologue.checks.metrics.metric import Metric, ScoreType, Tier
from duologue.checks.metrics.predefined import DEFAULT_METRICS, PREDEFINED, TASK_COMPLETION
from duologue.checks.metrics.question import Background
from duologue.checks.metrics.spec import GradingSpec, from_spec
from duologue.checks.metrics.summary import GradingSummary, MetricSummary, summarise, summarise_results

__all__ = [
    "DEFAULT_METRICS",
    "PREDEFINED",
    "TASK_COMPLETION",
    "ArgumentMatch",
    "Background",
    "ExpectedToolCall",
    "Grading",
    "GradingCheck",
    "GradingSpec",
    "GradingSummary",
    "Metric",
    "MetricGrade",
    "MetricSummary",
    "OutcomeGrade",
    "ScoreType",
    "Tier",
    "ToolCallGrade",
    "from_spec",
    "grade",
    "summarise",
    "summarise_results",
]
