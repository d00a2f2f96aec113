"""The tools of a voice agent whose side asks us to carry them out: mocked by what the test case says."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from duologue.agents.tools.bound_tool import BoundTool
from duologue.agents.tools.call import CallContext, ToolFault
from duologue.models.scope import RunScope
from duologue.runtimes.mocked_tools import MockedTools
from duologue.runtimes.native import tool_of
from duologue.runtimes.voice.base import VoiceCallSetup
from duologue.specs.agent_definition import AgentDefinition

Handler = Callable[[dict[str, Any]], Coroutine[Any, Any, Any]]


def tools_of(call: VoiceCallSetup) -> tuple[list[dict[str, Any]], Mapping[str, Handler]]:
    """The tools of an agent, as chat completions define them, and what answers each.

    Raises:
        ConfigurationError: a tool cannot be read.
    """
    tools = tuple(tool_of(item, index, live=False) for index, item in enumerate(call.agent.tools or ()))
    definition = AgentDefinition(name=call.agent.agent_id, model="voice", tools=tools)
    mocked = MockedTools(tools, definition, call.expected)
    described = [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.input_schema)},
        }
        for tool in tools
    ]
    return described, {tool.name: _handler(mocked, tool.name) for tool in tools}


def _handler(mocked: MockedTools, name: str) -> Handler:
    async def answer(arguments: dict[str, Any]) -> Any:
        tool: BoundTool | None = mocked.find(name, lambda _: None)
        assert tool is not None, "it is one of them"
        try:
            return (await tool.run(arguments, CallContext(scope=RunScope(), turn=None, call_id=""))).value
        except ToolFault as fault:
            return {"error": str(fault)}

    return answer
