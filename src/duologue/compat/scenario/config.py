"""Settings, at the module path of the Scenario library."""

from __future__ import annotations

from duologue.settings import ModelConfig, ScenarioConfig

__all__ = ["ModelConfig", "ScenarioConfig"]
