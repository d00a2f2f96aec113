"""The simulated user, at the module path of the Scenario library."""

from __future__ import annotations

from duologue.agents.users.simulator import UserSimulatorAgent

__all__ = ["UserSimulatorAgent"]
