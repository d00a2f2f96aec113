import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from duologue.agents.tools.toolbox import Toolbox
from duologue.specs.prompts import Tool
from duologue.specs.scenario import ToolPolicy, Turn
from duologue.specs.suite import A2aAgent, McpServer, Suite

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "suite-tools.md"
BLOCKS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)]
NEEDS_FILES = {"find_customer"}


@pytest.mark.parametrize("block", [block.get("spec", block) for block in BLOCKS], ids="+".join)
async def test_every_suite_of_the_guide_can_be_used(block: dict[str, Any]) -> None:
    suite = Suite(
        name="guide",
        tools=[Tool.model_validate(tool) for tool in block.get("tools", ())],
        mcp_servers=[McpServer.model_validate(server) for server in block.get("mcp_servers", ())],
        a2a_agents=[A2aAgent.model_validate(agent) for agent in block.get("a2a_agents", ())],
    )
    names = [tool.name for tool in suite.tools if tool.name not in NEEDS_FILES]
    skills = [(agent.name, skill["id"]) for agent in suite.a2a_agents for skill in (agent.card or {}).get("skills", ())]
    names += [f"a2a_{agent}_{skill}" for agent, skill in skills]
    assert len(await Toolbox(suite).specs(names)) == len(names)
    for scenario in block.get("scenarios", ()):
        ToolPolicy.model_validate(scenario.get("tool_policy", {}))
        assert [Turn.model_validate(turn) for turn in scenario["turns"]]


def test_guide_has_an_example_of_every_kind() -> None:
    tools = [tool for block in BLOCKS for tool in block.get("spec", block).get("tools", ())]
    assert {tool.get("mode", "mock") for tool in tools} == {"mock", "live", "exec", "client"}
