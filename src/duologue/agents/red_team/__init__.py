"""Red team: simulated users who attack the agent under test.

``agent`` is the participant, ``strategies`` and ``techniques`` say how it proceeds, ``writer`` asks its model,
``assessment`` and ``refusals`` read the agent's replies, ``log`` is the record, and ``script`` decides what an attack
means for the run. Reports on one or many attacks are in ``duologue.reports.red_team``.
"""

from __future__ import annotations

from duologue.agents.red_team.agent import RedTeamAgent
from duologue.agents.red_team.log import AttackLog, Attempt, attack_log
from duologue.agents.red_team.objectives import Objective, categories, objective, objectives
from duologue.agents.red_team.refusals import Refusal, detect_refusal
from duologue.agents.red_team.strategies import AttackerOutput, CrescendoStrategy, GoatStrategy, RedTeamStrategy
from duologue.agents.red_team.techniques import (
    DEFAULT_GOAT_TECHNIQUES,
    DEFAULT_TECHNIQUES,
    AttackTechnique,
    Technique,
)

__all__ = [
    "DEFAULT_GOAT_TECHNIQUES",
    "DEFAULT_TECHNIQUES",
    "AttackLog",
    "AttackTechnique",
    "AttackerOutput",
    "Attempt",
    "CrescendoStrategy",
    "GoatStrategy",
    "Objective",
    "RedTeamAgent",
    "RedTeamStrategy",
    "Refusal",
    "Technique",
    "attack_log",
    "categories",
    "detect_refusal",
    "objective",
    "objectives",
]
