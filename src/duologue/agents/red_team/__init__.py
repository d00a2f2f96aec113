"""Red team: simulated users who attack the agent under test.

``_agent`` is the participant, ``_strategies`` and ``_techniques`` say how it proceeds, ``_writer`` asks its model,
``_assessment`` and ``_refusals`` read the agent's replies, ``_log`` is the record, and ``_script`` decides what an
attack means for the run. Reports on one or many attacks are in ``duologue.reports.red_team``.
"""

from __future__ import annotations

from duologue.agents.red_team._agent import RedTeamAgent
from duologue.agents.red_team._limits import AttackLimits
from duologue.agents.red_team._log import AttackLog, Attempt, attack_log
from duologue.agents.red_team._objectives import Objective, categories, objective, objectives
from duologue.agents.red_team._refusals import Refusal, RefusalClassifier, detect_refusal
from duologue.agents.red_team._script import AttackCheck
from duologue.agents.red_team._strategies import AttackerOutput, CrescendoStrategy, GoatStrategy, RedTeamStrategy
from duologue.agents.red_team._techniques import (
    DEFAULT_GOAT_TECHNIQUES,
    DEFAULT_TECHNIQUES,
    AttackTechnique,
    Technique,
)

__all__ = [
    "DEFAULT_GOAT_TECHNIQUES",
    "DEFAULT_TECHNIQUES",
    "AttackCheck",
    "AttackLimits",
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
    "RefusalClassifier",
    "Technique",
    "attack_log",
    "categories",
    "detect_refusal",
    "objective",
    "objectives",
]
