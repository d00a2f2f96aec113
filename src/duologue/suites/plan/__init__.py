"""What will be run: test cases in a stable order, chosen by filters, with an estimate of what they cost."""

from __future__ import annotations

from duologue.suites.plan.build import Filters, Plan, TestCase, generate_plan

__all__ = ["Filters", "Plan", "TestCase", "generate_plan"]
