"""Red team: simulated users who attack the agent under test, and what their attacks came to.

``agent`` is the participant, ``crescendo`` and ``goat`` say how it proceeds, ``log`` is the record, ``marathon`` what
an attack is worth to a run. Reports over one or many attacks are in ``duologue.reports.red_team``.
"""

from __future__ import annotations

from duologue.agents.red_team.agent import RedTeamAgent
from duologue.agents.red_team.crescendo import CrescendoStrategy
from duologue.agents.red_team.goat import GoatStrategy
from duologue.agents.red_team.log import AttackLog, Attempt, attack_log
from duologue.agents.red_team.objectives import Objective, categories, objective, objectives
from duologue.agents.red_team.refusals import Refusal, detect_refusal
from duologue.agents.red_team.strategy import AttackerOutput, RedTeamStrategy
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
