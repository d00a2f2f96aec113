"""Imports from submodules: ``scenario.types`` is now ``duologue.compat.scenario.types``."""

import pytest

from duologue.compat import scenario
from duologue.compat.scenario.agent_adapter import AgentAdapter
from duologue.compat.scenario.cache import scenario_cache
from duologue.compat.scenario.config import ModelConfig, ScenarioConfig
from duologue.compat.scenario.judge_agent import JudgeAgent
from duologue.compat.scenario.pytest_plugin import ScenarioReporter
from duologue.compat.scenario.scenario_executor import ScenarioExecutor
from duologue.compat.scenario.scenario_state import ScenarioState
from duologue.compat.scenario.script import agent, fail, judge, message, proceed, succeed, user
from duologue.compat.scenario.types import (
    AgentInput,
    AgentReturnTypes,
    AgentRole,
    ChatCompletionMessageParamWithTrace,
    JudgmentRequest,
    ScenarioResult,
    ScriptStep,
)
from duologue.compat.scenario.user_simulator_agent import UserSimulatorAgent


class Parrot(AgentAdapter):
    role = AgentRole.AGENT

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        return input.last_new_user_message_str()


def says_it_back(state: ScenarioState) -> None:
    last: ChatCompletionMessageParamWithTrace = state.last_message()
    assert last["content"] == "polly"


@pytest.mark.asyncio
async def test_executor_from_its_module():
    script: list[ScriptStep] = [user("polly"), agent(), says_it_back, succeed("said")]
    result: ScenarioResult = await ScenarioExecutor("parrot", "d", [Parrot(), UserSimulatorAgent()], script).run()
    assert result.success


def test_the_names_are_the_ones_of_the_root():
    assert scenario.AgentAdapter is AgentAdapter
    assert scenario.ScenarioConfig is ScenarioConfig
    assert scenario.configure == ScenarioConfig.configure
    assert scenario.default_config is ScenarioConfig.default_config
    assert scenario.cache is scenario_cache
    assert {scenario.agent, scenario.fail, scenario.judge} == {agent, fail, judge}
    assert {scenario.message, scenario.proceed} == {message, proceed}
    assert scenario.JudgeAgent is JudgeAgent
    assert JudgmentRequest(criteria=["x"]).criteria == ["x"]
    assert ModelConfig(model="openai/gpt-5-mini").temperature == 0.0
    assert ScenarioReporter().get_summary()["total"] == 0
    with pytest.raises(AttributeError):
        scenario.no_such_name  # noqa: B018
