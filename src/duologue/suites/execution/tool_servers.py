"""What preflight looks for on behalf of tools: MCP servers and A2A agents that a native agent of some case may ask.

Nothing is started and nothing is sent. Servers that no case needs are left out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from duologue.config.templates import expand, missing_variables
from duologue.errors import ConfigurationError, MissingExtraError, Position
from duologue.specs.agents import Agent
from duologue.specs.prompts import ENGINE_TOOLS
from duologue.specs.scenario import Scenario
from duologue.specs.suite import A2aAgent, McpServer, Suite

Need = tuple[Position, Callable[[], object]]
"""Where something is written that test cases need, and what raises ConfigurationError where it is missing."""


def server_needs(suite: Suite, pairs: Iterable[tuple[Scenario, Agent]], given: set[str]) -> Iterator[Need]:
    """Packages and programs without which a server that is needed cannot be asked."""
    for server in needed_servers(suite, pairs, given):
        place = server.place("name") or Position("?")
        if isinstance(server, McpServer):
            yield place, _package("mcp", "an MCP server of a suite", "mcp")
            if server.command and not missing_variables(server.command):
                yield server.place("command") or place, _program(server, suite.folder)
        else:
            yield place, _package("a2a", "asking an A2A agent", "a2a-sdk")


def needed_servers(
    suite: Suite, pairs: Iterable[tuple[Scenario, Agent]], given: set[str]
) -> list[McpServer | A2aAgent]:
    """The servers and remote agents that have, or may have, a tool that a prompt offers."""
    if not suite.mcp_servers and not suite.a2a_agents:
        return []
    prompts = [
        suite.prompt_for(agent.prompt or scenario.prompt)
        for scenario, agent in pairs
        if agent.is_native and agent.name not in given
    ]
    declared = {tool.name: tool.mode for tool in suite.tools}
    names = {
        name
        for prompt in prompts
        if prompt is not None
        for name in prompt.allowed_tools
        if declared.get(name, "mcp") == "mcp" and not name.startswith(ENGINE_TOOLS)
    }
    agents = {name: _owners(name, suite) for name in names if name.startswith("a2a_") and name not in declared}
    found = {owner.name for owners in agents.values() for owner in owners}
    others = names - {name for name, owners in agents.items() if owners}
    servers = [item for item in suite.mcp_servers if item.source is None and any(_may_have(item, n) for n in others)]
    return [*servers, *(item for item in suite.a2a_agents if item.url and item.name in found)]


def _owners(name: str, suite: Suite) -> list[A2aAgent]:
    """The agents whose skill a tool ``a2a_agent_skill`` is."""
    return [item for item in suite.a2a_agents if name.startswith((f"a2a_{item.name}_", f"a2a__{item.name}__"))]


def _may_have(server: McpServer, name: str) -> bool:
    """Whether a tool may be one of that server: ``mcp__server__tool`` names it, and other names may be anybody's."""
    return not name.startswith("mcp__") or name.startswith(f"mcp__{server.name}__")


def _package(module: str, feature: str, package: str) -> Callable[[], None]:
    def need() -> None:
        if find_spec(module) is None:
            raise MissingExtraError(feature, module, package)

    return need


def _program(server: McpServer, folder: Path) -> Callable[[], None]:
    def need() -> None:
        command = expand(server.command or "")
        inside = folder / (server.working_dir or "") / command
        if shutil.which(command, path=expand(server.env.get("PATH", "")) or None) is None and not inside.is_file():
            where = "" if os.sep in command else ", and none is on the PATH"
            raise ConfigurationError(f"the MCP server '{server.name}': there is no program '{command}'{where}")

    return need
