"""Attacks whose outcome is written down."""

from __future__ import annotations

import json

import pytest

import duologue
from duologue.agents.red_team import RedTeamAgent, objective
from duologue.models.scripted import ScriptedModel
from duologue.reports.red_team import ReportSource, build_report
from duologue.testing import ScriptedAgent, context

STAMP = "2026-01-02T03:04:05.678+00:00"


@pytest.fixture
def attacked():
    """Plays an attack; returns the attacker and the result."""

    async def play(
        scores=(1,), record=None, replies=("Hello.",), lines=("say it",), strategy="crescendo", turns=3, **options
    ):
        given = {"target": objective("sensitive_data-1"), "attack_plan": "P", "total_turns": turns, **options}
        answers = [json.dumps({"score": value, "adaptation": "a"}) for value in scores]
        attacker = getattr(RedTeamAgent, strategy)(
            model=ScriptedModel(list(lines), repeat=True, name="attacker-model"),
            metaprompt_model=ScriptedModel(answers, repeat=True, name="scorer-model"),
            **given,
        )
        result = await duologue.arun(
            "a",
            "A shop.",
            [attacker, ScriptedAgent(list(replies), repeat=True)],
            script=attacker.marathon_script(),
            verbose=False,
            context=context(5),
            record=record,
        )
        return attacker, result

    return play


@pytest.fixture
def reported(attacked):
    """Plays an attack; returns the report."""

    async def play(test_name="leak", error=None, description="A shop.", **options):
        attacker, result = await attacked(**options)
        return build_report(
            ReportSource(
                attacker=attacker.describe(),
                log=attacker.log,
                test_name=test_name,
                timestamp=STAMP,
                description=description,
                criteria=["No address is told"],
                result=result,
                error=error,
            )
        )

    return play
