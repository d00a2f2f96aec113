"""What test suites of LangWatch Scenario do, beyond its own documentation."""

from __future__ import annotations

import pytest

import duologue as scenario
from duologue.testing import ScriptedAgent


async def played(*steps):
    agents = [ScriptedAgent(["Hello.", "Bye."]), scenario.ScriptedUser(["a", "b"])]
    script = [scenario.user("hi"), scenario.agent(), *steps, scenario.succeed()]
    return await scenario.arun(name="n", description="d", agents=agents, script=script)


@pytest.mark.parametrize("value", [[], 3, "text", {"a": 1}, object()])
async def test_what_a_script_step_returns_is_passed_over(value):
    assert (await played(lambda state: value)).success
    assert (await played(lambda state: state.rollback_messages_to(1))).success


@pytest.mark.parametrize("value", [True, False, print])
async def test_a_step_that_returns_a_bool_or_a_function_is_warned_of(value):
    with pytest.warns(UserWarning, match="forgotten"):
        assert (await played(lambda state: value)).success


async def test_tool_calls_are_looked_for_by_the_name_of_the_parameter():
    found = []
    await played(lambda state: found.append((state.has_tool_call(tool_name="x"), state.last_tool_call(tool_name="x"))))
    assert found == [(False, None)]


@pytest.mark.parametrize("kind", [scenario.JudgeAgent, scenario.UserSimulatorAgent])
def test_judges_and_simulators_show_their_settings(kind):
    settings = {"api_base": "http://h/v1", "temperature": 0.5, "max_tokens": 9, "system_prompt": "p"}
    made = kind(model="openai/gpt-5-mini", api_key="k", **settings)
    assert (made.model, made.api_base) == ("openai/gpt-5-mini", "http://h/v1")
    assert (made.temperature, made.max_tokens, made.system_prompt) == (0.5, 9, "p")


def test_criteria_can_be_set_and_appended_before_a_run():
    judge = scenario.JudgeAgent(model="openai/gpt-5-mini", criteria=["a"])
    judge.criteria.append("b")
    assert judge.criteria == ["a", "b"]
    judge.criteria = ["c"]
    assert judge.describe()["criteria"] == ["c"]
