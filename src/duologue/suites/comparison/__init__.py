"""Compares two executions of the same test cases: what became better, worse, stayed tied or is undecided.

::

    from duologue.suites.comparison import compare_executions

    comparison = compare_executions(before, after)
    print(comparison.overall.verdict, comparison.as_data())

Both executions may come from anywhere: a folder of results, a database, an engine. Nothing is read or run here.
"""

from __future__ import annotations

from duologue.suites.comparison.compare import compare_executions
from duologue.suites.comparison.values import (
    CaseComparison,
    CheckComparison,
    Comparison,
    ConfigurationChange,
    Flip,
    FlipSide,
    MeasureDifference,
    Overall,
    Side,
)

__all__ = [
    "CaseComparison",
    "CheckComparison",
    "Comparison",
    "ConfigurationChange",
    "Flip",
    "FlipSide",
    "MeasureDifference",
    "Overall",
    "Side",
    "compare_executions",
]
