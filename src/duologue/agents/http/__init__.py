"""The agent under test behind a URL."""

from __future__ import annotations

from duologue.agents.http.agent import HttpAgent

__all__ = ["HttpAgent"]
