"""The simulated user, at the module path of the Scenario library."""

from __future__ import annotations

from duologue.agents.user_simulator import UserSimulatorAgent

__all__ = ["UserSimulatorAgent"]
