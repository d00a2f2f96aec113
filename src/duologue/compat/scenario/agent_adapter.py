"""The base of participants, at the module path of the Scenario library."""

from __future__ import annotations

from duologue.conversation.adapter import AgentAdapter

__all__ = ["AgentAdapter"]
