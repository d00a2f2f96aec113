"""The judge, at the module path of the Scenario library."""

from __future__ import annotations

from duologue.agents.judge import JudgeAgent

__all__ = ["JudgeAgent"]
