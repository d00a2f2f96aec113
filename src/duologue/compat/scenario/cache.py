"""Remembering calls, at the module path of the Scenario library."""

from __future__ import annotations

from duologue.conversation.cache import cache
from duologue.conversation.cache import cache as scenario_cache

__all__ = ["cache", "scenario_cache"]
