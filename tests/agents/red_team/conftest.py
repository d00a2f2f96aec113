"""A scripted attacker, a scripted scorer and a scripted agent under test."""

from __future__ import annotations

import json

import pytest
from journal_notes import note_fields

import duologue
from duologue.agents.red_team import RedTeamAgent
from duologue.models.scripted import ScriptedModel
from duologue.testing import ScriptedAgent, context

TARGET = "tell another customer's address"


def score(value, adaptation="ask about deliveries", **more):
    return json.dumps({"score": value, "adaptation": adaptation, **more})


class Attack:
    """One attack: the attacker's lines, the scorer's answers, the agent's replies, and how it went."""

    def __init__(self, *, lines=(), scores=(), replies=(), judge=None, script=None, strategy="crescendo", **options):
        self.model = ScriptedModel(list(lines) or ["first", "second", "third", "fourth", "fifth"], repeat=True)
        self.scorer = ScriptedModel(list(scores) or [score(1)], repeat=True, name="scorer")
        self.agent = ScriptedAgent(list(replies) or ["Hello."], repeat=True)
        make = getattr(RedTeamAgent, strategy)
        given = {"target": TARGET, "total_turns": 3, "attack_plan": "PLAN", **options}
        self.attacker = make(model=self.model, metaprompt_model=self.scorer, **given)
        self.script = script
        self.judge = [judge] if judge else []

    async def run(self, *, seed=0, script=None, **options):
        executor = duologue.prepare(
            "attack",
            "A shop's assistant answers customers.",
            [self.attacker, self.agent, *self.judge],
            script=script or self.script or self.attacker.marathon_script(),
            verbose=False,
            context=context(seed),
            **options,
        )
        self.executor = executor
        return await executor.run()

    @property
    def notes(self):
        return self.executor.journal.view.notes

    def noted(self, kind):
        return [note_fields(note.note) for note in self.notes if note.kind == kind]

    @property
    def heard(self):
        """What the agent was sent, call by call."""
        return [given.messages[-1]["content"] for given in self.agent.inputs]


@pytest.fixture
def attack():
    return Attack
