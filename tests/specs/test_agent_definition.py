"""What a native agent is, compiled from a suite into one value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from duologue.agents.native import Blueprint
from duologue.errors import SuiteError
from duologue.specs.agent_definition import AgentDefinition
from duologue.specs.agents import Agent, Model, Sampling
from duologue.specs.prompts import Parameters, Prompt, Tool
from duologue.specs.scenario import Background, Memory, Scenario, Turn
from duologue.specs.suite import Defaults, Suite, Workflow, WorkflowState

AGENT = Agent(name="bot", model="main", timeout=3.0)
SCENARIO = Scenario(
    name="trip",
    description="A trip.",
    prompt="plan",
    turns=(Turn(content="To {{town}}, please"),),
    variables={"town": "Rome"},
    background=Background(user_role="guest"),
    seed_memories=(Memory(content="likes trains"),),
)


def suite(**fields: object) -> Suite:
    sampling = Sampling(temperature=0.3)
    return Suite(
        **{
            "name": "s",
            "agents": (AGENT,),
            "models": (Model(name="main", provider="openai", model="gpt-x", sampling=sampling),),
            "prompts": (Prompt(name="plan", system_template="Plan for a {{user_role}} in {{town}}."),),
            "tools": (Tool(name="search", description="Finds trains."),),
            "defaults": Defaults(temperature=0.9, max_tokens=50),
            **fields,
        }
    )


def test_everything_that_makes_the_agent_is_in_one_value(tmp_path: Path) -> None:
    made = AgentDefinition.from_suite(suite().within(tmp_path), AGENT, SCENARIO, max_tokens=70)
    assert (made.name, made.model, made.timeout, made.region) == ("bot", "main", 3.0, "default")
    assert made.model_names == ("main", "gpt-x", "openai/gpt-x")
    assert (made.sampling.temperature, made.sampling.max_tokens) == (0.3, 50)
    assert (made.overrides.temperature, made.overrides.max_tokens) == (None, 70)
    assert [tool.name for tool in made.tools] == ["search"]
    assert made.path("x.txt") == tmp_path / "x.txt"


def test_stored_definition_is_the_same_agent(tmp_path: Path) -> None:
    states = {"ask": WorkflowState(prompt_task="plan"), "end": WorkflowState(terminal=True)}
    given = suite(workflow=Workflow(entry="ask", states=states)).within(tmp_path)
    made = AgentDefinition.from_suite(given, AGENT, SCENARIO)
    read = AgentDefinition.model_validate(json.loads(json.dumps(made.written()))).within(tmp_path)
    assert read.written() == made.written()
    assert Blueprint(read).first.text == Blueprint(made).first.text
    assert Blueprint(read).first.text.startswith("Plan for a guest in Rome.")
    assert "likes trains" in Blueprint(read).first.text


def test_prompt_decides_over_the_model_and_under_what_is_asked_for() -> None:
    prompt = Prompt(name="plan", system_template="Plan.", parameters=Parameters(temperature=0.5, top_k=3))
    made = AgentDefinition.from_suite(suite(prompts=(prompt,)), AGENT, SCENARIO)
    written = Blueprint(made).sampling[""]
    assert (written.temperature, written.max_tokens, written.extra) == (0.5, 50, {"top_k": 3})
    made = AgentDefinition.from_suite(suite(prompts=(prompt,)), AGENT, SCENARIO, temperature=0.1)
    assert Blueprint(made).sampling[""].temperature == 0.1


def test_missing_prompt_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(SuiteError, match=r"no prompt answers to the task 'plan'\. Known: other"):
        AgentDefinition.from_suite(suite(prompts=(Prompt(name="other", system_template="x"),)), AGENT, SCENARIO)
