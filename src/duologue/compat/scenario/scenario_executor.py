"""The engine, at the module path of the Scenario library."""

from __future__ import annotations

from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.run import arun, run

__all__ = ["ScenarioExecutor", "arun", "run"]
