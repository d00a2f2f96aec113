"""Evals with a configuration: what is refused when they are saved, each with the field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from own_runtimes import holding, talk

from duologue.errors import ConfigurationError
from duologue.runs import RunService
from duologue.specs.scenario import Scenario

SCENARIO = Scenario.model_validate({"name": "hello", "description": "You want help.", "criteria": ["ok"]})
CALLING = Scenario.model_validate(
    {"name": "calling", "description": "You want help.", "expected_tool_calls": [{"tool": "look_up"}]}
)
NATIVE = {
    "agent": {"name": "bot", "model": "openai/m", "prompt": "p"},
    "prompts": [{"name": "p", "system_template": "x"}],
}
REMOTE = {"agent": {"name": "bot", "http": {"url": "http://a.example"}}}

REFUSED: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (NATIVE, {"runtime": {"kind": "custom_endpoit"}}, "config.runtime.kind: expected .*did you mean 'custom_endpoint'"),
    (NATIVE, {"runtime": {"kind": "custom_endpoint"}}, "config.runtime.url: the custom_endpoint runtime needs the URL"),
    (
        REMOTE,
        {"runtime": {"kind": "custom_endpoint", "headrs": {}}},
        "config.runtime.headrs: unknown field .*'headers'",
    ),
    (REMOTE, {"runtime": {"kind": "native"}}, "config.runtime: the native runtime plays the agent's prompt"),
    (REMOTE, {"runtime": {"kind": "holder"}}, "config.runtime.kind: .*mode voice; found mode text"),
    (REMOTE, {"mode": "voice", "runtime": {"kind": "holder", "greeting": ""}}, "config.runtime.greeting: expected"),
    ({"agent": {"name": "bot", "target": "a:b"}}, {"runtime": {"kind": "native"}}, "the agent 'bot' is Python code"),
    (NATIVE, {"concurrency": 0}, "config.concurrency: "),
    (NATIVE, {"concurrency": 1001}, "config.concurrency: "),
    (NATIVE, {"judge": {"metrics": [{"metric": "tool_rooting"}]}}, r"metrics\[0\].metric: .*'tool_routing'"),
    (NATIVE, {"judge": {"metrics": [{"metric": "tool_routing"}] * 2}}, "stands here twice"),
    (NATIVE, {"judge": {"model": "clever"}}, "config.judge.model: no model is called 'clever'"),
    (NATIVE, {"user_simulator": {"mode": "scripted"}}, "at least one of scripted_messages, because the mode is"),
]


async def new_eval(service: RunService, draft: dict[str, Any], config: Any, *scenarios: Scenario) -> Any:
    agent = await service.create_agent(draft)
    found = [await service.create_scenario(item) for item in scenarios or (SCENARIO,)]
    return await service.create_eval(
        name="e", scenario_ids=[item.id for item in found], agent_id=agent.id, config=config
    )


@pytest.mark.parametrize(("draft", "config", "told"), REFUSED)
async def test_configuration_that_cannot_be_used_is_refused_with_its_field(
    tmp_path: Path, draft: Any, config: Any, told: str
) -> None:
    async with RunService.open(tmp_path / "d.db") as service:
        with holding(lambda _: talk()), pytest.raises(ConfigurationError, match=told):
            await new_eval(service, draft, config)


@pytest.mark.parametrize("draft", [NATIVE, REMOTE])
@pytest.mark.parametrize("config", [None, {}, {"tool_mode": "live"}, {"tool_mode": "mock"}])
async def test_tool_calls_are_refused_where_the_agents_tools_cannot_be_mocked(
    tmp_path: Path, draft: Any, config: Any
) -> None:
    refused = draft is REMOTE and config is not None and config.get("tool_mode") != "live"
    async with RunService.open(tmp_path / "d.db") as service:
        if refused:
            with pytest.raises(
                ConfigurationError, match="the scenario 'calling' expects tool calls, and the agent 'bot'"
            ):
                await new_eval(service, draft, config, CALLING)
        else:
            made = await new_eval(service, draft, config, CALLING)
            found = await service.get_eval(made.id)
            assert found is not None
            assert found.spec.written() == made.spec.written()


async def test_change_that_makes_the_configuration_useless_is_refused(tmp_path: Path) -> None:
    async with RunService.open(tmp_path / "d.db") as service:
        made = await new_eval(service, NATIVE, {"runtime": {"kind": "native"}})
        with pytest.raises(ConfigurationError, match=r"config\.runtime\.kind"):
            await service.update_eval(made.id, config={"runtime": {"kind": "nativ"}})
        found = await service.get_eval(made.id)
        assert found is not None
        assert found.spec.config is not None
        assert found.spec.config.runtime == {"kind": "native"}


@pytest.mark.parametrize(
    ("runtime", "told"),
    [
        ({"kind": "custom_endpoint"}, "agent.runtime.url: "),
        (
            {
                "kind": "custom_endpoint",
                "url": "http://a.example",
                "headers": {"Authorization": "Bearer sk-abcdefgh12345678"},
            },
            "agent.runtime.headers.Authorization holds a credential",
        ),
    ],
)
async def test_agent_whose_runtime_cannot_be_used_is_refused(tmp_path: Path, runtime: Any, told: str) -> None:
    async with RunService.open(tmp_path / "d.db") as service:
        with pytest.raises(ConfigurationError, match=told):
            await service.create_agent({"agent": {"name": "bot", "runtime": runtime}})
