"""Weighted metrics: a conversation graded by rubrics, with expected outcomes and expected tool calls beside them.

from duologue.checks.metrics import GradingCheck

await duologue.arun(..., checks=[GradingCheck(expected_outcomes=["The table is booked for four."])])
"""

from __future__ import annotations

from duologue.checks.metrics.check import GradingCheck, GradingSpec, from_spec
from duologue.checks.metrics.grade import Background, grade
from duologue.checks.metrics.grading import (
    ArgumentMatch,
    ExpectedToolCall,
    Grading,
    MetricGrade,
    OutcomeGrade,
    ToolCallGrade,
)
from duologue.checks.metrics.grading_summary import GradingSummary, MetricSummary, summarise, summarise_results
from duologue.checks.metrics.metric import Metric, ScoreType, Tier
from duologue.checks.metrics.predefined import DEFAULT_METRICS, PREDEFINED, TASK_COMPLETION

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
