"""Checks call tools of the suite themselves: ``tool_exec``."""

from __future__ import annotations

import pytest

from duologue.agents.tools.toolbox import Toolbox
from duologue.errors import ConfigurationError
from duologue.suites import Agent, CheckSpec, Engine, RunResult, Scenario, Suite, Tool, Turn
from duologue.vocabulary import RunStatus, Verdict

STOCK = Tool(name="stock", description="What is left.", mock_result={"lamps": 3})


async def played(**params: object) -> RunResult:
    suite = Suite(
        name="shop",
        tools=(STOCK,),
        agents=(Agent(name="bot", target="given:bot"),),
        scenarios=(
            Scenario(
                name="order", turns=(Turn(content="a lamp"),), checks=(CheckSpec(type="tool_exec", params=params),)
            ),
        ),
    )
    async with Engine.from_parts(suite, agents={"bot": lambda input: "done"}) as engine:
        [run] = (await engine.execute()).runs
    return run


@pytest.mark.parametrize(("pattern", "verdict"), [('"lamps": 3', Verdict.PASS), ('"lamps": 4', Verdict.FAIL)])
async def test_a_check_calls_a_tool_and_looks_at_the_answer(pattern: str, verdict: Verdict) -> None:
    run = await played(tool="stock", success_pattern=pattern)
    assert run.verdict is verdict
    assert run.tools == ()  # it is no call of the agent


async def test_a_tool_that_is_not_there_is_an_error_and_no_verdict() -> None:
    run = await played(tool="stok")
    assert (run.status, run.verdict) == (RunStatus.ERROR, None)
    assert "there is no tool 'stok'; did you mean 'stock'?" in (run.error.message if run.error else "")


async def test_the_toolbox_gives_text() -> None:
    toolbox = Toolbox(Suite(name="shop", tools=(STOCK,)))
    assert '"lamps": 3' in await toolbox.run("stock", {})
    with pytest.raises(ConfigurationError, match="no tool 'x'"):
        await toolbox.run("x", {})
