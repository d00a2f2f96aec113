"""The tools of a native agent in one run: as they are, or mocked by what the scenario and the suite say."""

from __future__ import annotations

from duologue.agents.tools.bound_tool import BoundTool
from duologue.agents.tools.call import CallContext, Result, written
from duologue.agents.tools.session import ToolSession
from duologue.agents.tools.toolbox import Toolbox
from duologue.frozen import changed
from duologue.messages import JsonValue
from duologue.runtimes.mocked_tools import MockedTools
from duologue.specs.agent_definition import AgentDefinition
from duologue.specs.prompts import ENGINE_TOOLS
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Suite
from duologue.suites.runtime_snapshots import expected_calls


def tools_of_run(suite: Suite, scenario: Scenario, toolbox: Toolbox, definition: AgentDefinition) -> ToolSession:
    """The tools of one run.

    With ``tool_mode: mock`` no tool is really called; with ``live`` all are; without, those that the scenario has
    answers for are mocked.
    """
    mode, expected = suite.defaults.tool_mode, expected_calls(scenario)
    answered = {call.tool for call in expected if call.mock_response is not None}
    if mode == "live" or (mode is None and not answered):
        return toolbox.session()
    mocked = [tool for tool in suite.tools if mode == "mock" or tool.name in answered]
    tools = MockedTools(mocked, definition, expected)

    def find_elsewhere(name: str) -> BoundTool | None:
        found = toolbox.find(name)
        if mode is None or found is None or name.startswith(ENGINE_TOOLS):
            return found
        return changed(found, run=_nothing_done, results=None, outside=False)

    return ToolSession(lambda name: tools.find(name, find_elsewhere))


async def _nothing_done(arguments: dict[str, JsonValue], context: CallContext) -> Result:
    """The answer of a tool of which nothing is known but its name."""
    value: JsonValue = {"status": "ok"}
    return Result(value=value, text=written(value))
