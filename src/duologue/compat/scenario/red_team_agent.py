"""The red team, at the module path of the Scenario library."""

from __future__ import annotations

from duologue.agents.red_team import (
    DEFAULT_GOAT_TECHNIQUES,
    DEFAULT_TECHNIQUES,
    AttackerOutput,
    AttackTechnique,
    CrescendoStrategy,
    GoatStrategy,
    RedTeamAgent,
    RedTeamStrategy,
    Technique,
)

__all__ = [
    "DEFAULT_GOAT_TECHNIQUES",
    "DEFAULT_TECHNIQUES",
    "AttackTechnique",
    "AttackerOutput",
    "CrescendoStrategy",
    "GoatStrategy",
    "RedTeamAgent",
    "RedTeamStrategy",
    "Technique",
]
