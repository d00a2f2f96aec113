"""A suite of one scenario with one agent, and a way to let the agent answer in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from journal_notes import note_fields

import duologue
from duologue.agents.native import Blueprint, PromptAgent
from duologue.agents.tools.toolbox import Toolbox
from duologue.checks import Resources
from duologue.checks.guardrails import guardrail_from_spec
from duologue.conversation.adapter import AgentInput
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.journal.events import MessageAdded, ModelCalled, Noted, ToolCalled
from duologue.messages import Message
from duologue.models.base import Model
from duologue.models.scripted import ScriptedModel
from duologue.specs.agent_definition import AgentDefinition
from duologue.specs.agents import Agent
from duologue.specs.agents import Model as ModelSpec
from duologue.specs.prompts import Prompt
from duologue.specs.scenario import Scenario, Turn
from duologue.specs.suite import Suite

AGENT = Agent(name="bot", model="main")


@dataclass
class Rehearsal:
    """What happened in a run."""

    result: ScenarioResult
    events: list[Any]
    model: ScriptedModel

    @property
    def notes(self) -> list[Noted]:
        return [event for event in self.events if isinstance(event, Noted)]

    @property
    def records(self) -> list[MessageAdded]:
        return [event for event in self.events if isinstance(event, MessageAdded)]

    @property
    def tools(self) -> list[ToolCalled]:
        return [event for event in self.events if isinstance(event, ToolCalled)]

    @property
    def asked(self) -> list[ModelCalled]:
        return [event for event in self.events if isinstance(event, ModelCalled)]

    def noted(self, kind: str) -> list[dict[str, Any]]:
        return [note_fields(note.note) for note in self.notes if note.kind == kind]


@dataclass
class Stage:
    """Makes blueprints and plays runs."""

    folder: Path
    prompt: dict[str, Any] = field(default_factory=lambda: {"system_template": "You help."})
    scenario: dict[str, Any] = field(default_factory=dict[str, Any])
    suite: dict[str, Any] = field(default_factory=dict[str, Any])
    model: dict[str, Any] = field(default_factory=dict[str, Any])
    blueprint_options: dict[str, Any] = field(default_factory=dict[str, Any])
    resources: Resources | None = None

    def blueprint(self) -> Blueprint:
        scenario = Scenario(**{"name": "s", "prompt": "p", "turns": (Turn(content="hi"),), **self.scenario})
        prompts = self.suite.pop("prompts", None) or (Prompt(name="p", **self.prompt),)
        suite = Suite(
            name="suite",
            agents=(AGENT,),
            models=(ModelSpec(**{"name": "main", "provider": "mock", "model": "gpt-x", **self.model}),),
            scenarios=(scenario,),
            prompts=prompts,
            **self.suite,
        ).within(self.folder)
        resources = self.resources or Resources()
        return Blueprint(
            AgentDefinition.from_suite(suite, AGENT, scenario, **self.blueprint_options),
            guardrail=partial(guardrail_from_spec, resources=resources),
            embedder=resources.any_embedder,
            toolbox=Toolbox(suite),
        )

    async def play(self, answers: Sequence[Any] | Model, *lines: str, turn: Turn | None = None) -> Rehearsal:
        """A run in which the user says the lines, one a turn. An error of the run is part of its result."""
        blueprint = self.blueprint()
        model: Any = answers if not isinstance(answers, Sequence) else ScriptedModel(answers)
        agent = PromptAgent(blueprint, model=model, tools=Toolbox(blueprint.definition).session())
        agent.turn_spec = turn
        script = [step for line in lines or ("hi",) for step in (duologue.user(line), duologue.agent())]
        events: list[Any] = []
        executor = ScenarioExecutor(
            "s",
            "d",
            [duologue.ScriptedUser([]), agent],
            [*script, duologue.succeed()],
            verbose=False,
            max_turns=100,
            listeners=[lambda entry: events.append(entry.event)],
        )
        try:
            result = await executor.run()
        except duologue.errors.RunError as error:
            result = error.result or ScenarioResult(success=False)
        return Rehearsal(result=result, events=events, model=model)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(folder=tmp_path)


@pytest.fixture
def given_messages() -> Callable[[Sequence[Message]], AgentInput]:
    """The input of an agent that is called outside a run."""

    def make(messages: Sequence[Message]) -> AgentInput:
        every = list(messages)
        return AgentInput(thread_id="t", messages=every, new_messages=every[-1:], scenario_state=ScenarioState())

    return make
