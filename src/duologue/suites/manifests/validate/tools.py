"""Tools, servers and agents that agents may call, prepared once when a suite is loaded: what is wrong is known then.

Nothing is started and nobody is asked. What is right, but more than this version can do, is a warning: what never
needs it runs all the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from typing import Any

from duologue.config.environment import missing_variables
from duologue.config.problems import Problems
from duologue.config.spec import Resource, Spec
from duologue.errors import ConfigurationError, Position
from duologue.specs.prompts import Tool
from duologue.specs.suite import A2aAgent, McpServer, Suite

_WHO = re.compile(r"^(tool|a2a agent) '[^']*'(: | has )")
_UNSET = "the environment variable {} is not set. What needs it will end with an error; set it"
_CANNOT = "is not supported by this version. What needs it will end with an error; {}"


def find_broken_tools(suite: Suite, problems: Problems) -> None:
    """Prepare every tool and made-up agent, and report those that cannot be prepared.

    Args:
        suite: all of it; files that are not there have been reported.
        problems: takes what is wrong.
    """
    for server in suite.mcp_servers:
        _find_unsupported(server, problems)
    for model in suite.models:
        if model.platform:
            told = _CANNOT.format("give the model's OpenAI-compatible address as 'base_url'")
            _warn(model, "platform", f"platform {told}", problems)
    for agent in suite.a2a_agents:
        _attempt(agent, partial(_prepare_agent, agent), problems)
        _find_unset_token(agent, problems)
    if not suite.tools:
        return
    from duologue.agents.tools.toolbox import Toolbox

    toolbox = Toolbox(suite.changed(a2a_agents=()).within(suite.folder))
    for tool in suite.tools:
        if _is_boxed(tool):
            told = _CANNOT.format("remove it, and start the program in its own sandbox with 'command'")
            _warn(tool, "exec", f"sandbox {told}", problems)
        elif not tool.mock_template_file or suite.path(tool.mock_template_file).is_file():
            _attempt(tool, partial(toolbox.find, tool.name), problems)


def _find_unsupported(server: McpServer, problems: Problems) -> None:
    """Servers are programs or addresses, and live as long as an execution."""
    if server.source is not None:
        told = _CANNOT.format("give the server's 'command' or 'url'")
        _warn(server, "source", f"source {told}", problems)
    elif server.scope in {"run", "scenario"}:
        told = _CANNOT.format("remove it: servers live as long as the execution")
        _warn(server, "scope", f"scope: {server.scope} {told}", problems)


def _is_boxed(tool: Tool) -> bool:
    from duologue.agents.tools.programs import NO_SANDBOX

    return tool.mode == "exec" and tool.exec is not None and tool.exec.sandbox not in NO_SANDBOX


def _prepare_agent(agent: A2aAgent) -> None:
    if agent.url:
        from duologue.agents.tools.a2a_client import check_auth

        check_auth(agent)
        return
    from duologue.agents.tools.a2a_mock import MockA2aAgent

    MockA2aAgent(agent)


def _find_unset_token(agent: A2aAgent, problems: Problems) -> None:
    variable, token = agent.auth.get("token_env"), agent.auth.get("token")
    names = missing_variables(token) if isinstance(token, str) else []
    if not token and isinstance(variable, str) and not os.environ.get(variable):
        names = [variable]
    for name in names:
        _warn(agent, "auth", _UNSET.format(name), problems)


def _attempt(spec: Resource | A2aAgent, make: Callable[[], Any], problems: Problems) -> None:
    try:
        make()
    except ConfigurationError as error:
        told = _WHO.sub("", str(error)).rstrip(".")
        problems.error(_place(spec, told), told)


def _warn(spec: Spec, field: str, told: str, problems: Problems) -> None:
    problems.warning(spec.place(field) or Position("?"), told)


def _place(spec: Spec, told: str) -> Position:
    """Where the field is written with which the message begins, or the nearest that is written around it."""
    path: list[str | int] = [
        int(part) if part.isdigit() else part for part in re.findall(r"\w+", told.partition(" ")[0])
    ]
    return spec.place(*path) or Position("?")
