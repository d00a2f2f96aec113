"""The state of a run, at the module path of the Scenario library."""

from __future__ import annotations

from duologue.conversation.result import ScenarioState

__all__ = ["ScenarioState"]
