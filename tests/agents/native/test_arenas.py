"""The example arenas, played with this package alone: the same words, tool results, tokens and costs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import duologue
from duologue.agents.native import Blueprint, PromptAgent
from duologue.agents.tools.toolbox import Toolbox
from duologue.checks.guardrails import guardrail_from_spec
from duologue.compat.promptkit.export_messages import MOCK_PRICE
from duologue.conversation.executor import ScenarioExecutor
from duologue.journal.events import ModelCalled
from duologue.messages import text_of
from duologue.models.mock import MockModel, ResponseFile
from duologue.specs.agent_definition import AgentDefinition
from duologue.suites.manifests.loader import load

ARENAS = Path(__file__).parents[2] / "cases/arena"
PLAYED = [
    ("01_variables_demo", "mock-config.yaml"),
    ("02_assertions_test", "mock-responses.yaml"),
    ("04_llm_judge", "mock-responses.yaml"),
    ("09_multimodal_basics", "mock-responses.yaml"),
    ("11_workflow_support", "mock-responses.yaml"),
]
WITHOUT_INSTRUCTIONS = "11_workflow_support"
"""Made by a version that does not count the system prompt; the other counts it from the second turn on."""


def runs() -> list[Any]:
    made: list[Any] = []
    for case, mocks in PLAYED:
        seen: set[str] = set()
        for run in json.loads((ARENAS / case / "expected.json").read_text())["runs"]:
            if run["scenario"] not in seen and not run["self_play"]:
                seen.add(run["scenario"])
                made.append(pytest.param(case, mocks, run, id=f"{case}-{run['scenario']}"))
    return made


@pytest.mark.parametrize(("case", "mocks", "expected"), runs())
async def test_goes_as_the_reference_went(case: str, mocks: str, expected: dict[str, Any]) -> None:
    suite = load(ARENAS / case / "config.arena.yaml")
    scenario, agent = suite.scenario(expected["scenario"]), suite.agent(expected["provider"])
    toolbox = Toolbox(suite)
    blueprint = Blueprint(
        AgentDefinition.from_suite(suite, agent, scenario), guardrail=guardrail_from_spec, toolbox=toolbox
    )
    model = MockModel(
        ResponseFile.read(suite.path(mocks)),
        model_name="m",
        provider=agent.model,
        scenario=scenario.name,
    )
    player = PromptAgent(blueprint, model=model, tools=toolbox.session())
    script: list[Any] = []
    for turn in scenario.turns:
        line: Any = {"role": "user", "content": blueprint.content_of(turn)}
        script += [duologue.user(line), duologue.agent()]
    events: list[Any] = []
    result = await ScenarioExecutor(
        scenario.name,
        "d",
        [duologue.ScriptedUser([]), player],
        [*script, duologue.succeed()],
        verbose=False,
        max_turns=50,
        listeners=[lambda entry: events.append(entry.event)],
    ).run()
    instruction, *spoken = expected["messages"]
    assert blueprint.first.text == instruction["content"]
    assert [(message["role"], text_of(message)) for message in result.messages] == list(map(said, spoken))
    asked = [event for event in events if isinstance(event, ModelCalled)]
    tokens = [message["tokens"] for message in spoken if "tokens" in message]
    counted = [[event.usage.input_tokens, event.usage.output_tokens] for event in asked]
    if case == WITHOUT_INSTRUCTIONS:
        assert [written for _, written in counted] == [written for _, written in tokens]
        assert all(ours >= theirs for (ours, _), (theirs, _) in zip(counted, tokens, strict=True))
    else:
        assert counted == tokens
        assert sum(map(sum, counted)) * MOCK_PRICE == pytest.approx(expected["cost_total_usd"])
    assert {event.cost for event in asked} == {0.0}


def said(message: dict[str, Any]) -> tuple[str, str]:
    result = message.get("tool_result")
    if result:
        return "tool", result.get("content") or "".join(part["text"] for part in result["parts"])
    return message["role"], message.get("content") or ""
