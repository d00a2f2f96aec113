"""What a suite names outside of its files, and what must be there: functions, URLs, report formats, tool servers.

Nothing is imported, started, called or sent. Tool servers are MCP servers and A2A agents that a native agent of some
case may ask; those that no case needs are left out.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from duologue.config.problems import Problems
from duologue.config.spec import Spec
from duologue.config.templates import expand, expand_url, missing_variables
from duologue.errors import ConfigurationError, MissingExtraError, Position
from duologue.specs.agents import Agent
from duologue.specs.prompts import ENGINE_TOOLS
from duologue.specs.scenario import Scenario
from duologue.specs.suite import A2aAgent, McpServer, Suite

Need = tuple[Position, Callable[[], object]]
"""Where something is written that test cases need, and what raises ConfigurationError where it is missing."""

_GIVEN = "given:"
"""Begins the target of an agent that a program hands over."""


def find_missing_outside(suite: Suite, agents: Iterable[Agent], problems: Problems) -> None:
    """Report functions that do not exist, URLs that nobody can call and formats that nobody can write.

    What depends on environment variables that are not set is left out: that was reported.

    Args:
        suite: that names them.
        agents: those of its agents that take part.
        problems: takes what is wrong.
    """
    for agent in agents:
        if agent.target:
            _function(agent, agent.target, suite, problems)
        if agent.http:
            _url(agent.http, "url", agent.http.url, "the URL of an agent", problems)
    for model in suite.models:
        if model.base_url:
            _url(model, "base_url", model.base_url, "the URL of a model", problems)
    _formats(suite, problems)


def _function(agent: Agent, target: str, suite: Suite, problems: Problems) -> None:
    if missing_variables(target) or target.startswith(_GIVEN):
        return
    from duologue.config.python_names import problem_with_target

    place = agent.place("target") or Position("?")
    if problems.has_error_at(place):
        return
    problem = problem_with_target(expand(target), suite.folder)
    if problem:
        problems.error(place, problem)


def _url(spec: Spec, field: str, written: str, what: str, problems: Problems) -> None:
    if missing_variables(written):
        return
    from duologue.http import parse_url

    try:
        parse_url(expand_url(written), what)
    except ConfigurationError as error:
        hint = f". Is 'http://{written}' meant?" if "://" not in written and "$" not in written else ""
        problems.error(spec.place(field) or Position("?"), f"{error}{hint}")


def _formats(suite: Suite, problems: Problems) -> None:
    output = suite.defaults.output
    if output is None:
        return
    from duologue.suites.report_names import format_named

    places = [*((("formats", index), name) for index, name in enumerate(output.formats))]
    places += [(("files", name), name) for name in output.files]
    for path, name in places:
        try:
            format_named(name)
        except ConfigurationError as error:
            problems.error(output.place(*path) or Position("?"), str(error))


# --- tool servers ----------------------------------------------------------------------------------------------------


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
