"""What a suite has configured, in words that two executions can be compared by: models, prompts, tools, judges, users.

Only names, models and sampling are written as they are. Everything longer, and everything that might be private, is a
digest: it tells that something changed, and nothing else.
"""

from __future__ import annotations

from hashlib import sha256
from json import dumps
from typing import Any

from duologue.specs.agents import Agent
from duologue.specs.agents import Model as ModelSpec
from duologue.specs.prompts import Prompt, Tool
from duologue.specs.suite import Suite, find_named

_DIGITS = 12


def configuration_of(suite: Suite) -> dict[str, dict[str, str]]:
    """By part, such as ``agent model``, a short text for each name; parts without any are left out."""
    parts = {
        "agent": {agent.name: _kind(agent) for agent in suite.agents},
        "agent model": {agent.name: _model(suite, agent.model) for agent in suite.agents if agent.model},
        "agent prompt": {prompt.name: _prompt(prompt) for prompt in suite.prompts},
        "tools": {
            **{tool.name: _tool(tool) for tool in suite.tools},
            **{server.name: f"MCP server {_digest(server.written())}" for server in suite.mcp_servers},
            **{agent.name: f"A2A agent {_digest(agent.written())}" for agent in suite.a2a_agents},
        },
        "simulated user": {item.name: _model(suite, item.model) for item in suite.simulators},
        "judge": {judge.name: _judge(suite, judge.model, judge.prompt) for judge in suite.judges},
    }
    return {part: named for part, named in parts.items() if named}


def _kind(agent: Agent) -> str:
    if agent.model:
        return f"native, prompt {agent.prompt or 'of the scenario'}"
    if agent.target:
        return f"Python code {agent.target}"
    return f"{'HTTP endpoint' if agent.http else 'runtime'} {_digest(agent.written())}"


def _model(suite: Suite, name: str) -> str:
    spec = find_named(suite.models, name)
    if spec is None:
        return name
    full = f"{spec.provider}/{spec.model}" if spec.model else spec.provider
    return f"{full}{_sampling(spec)}"


def _sampling(spec: ModelSpec) -> str:
    if spec.sampling is None:
        return ""
    said = ", ".join(f"{name} {value}" for name, value in spec.sampling if value is not None)
    return f" ({said})" if said else ""


def _prompt(prompt: Prompt) -> str:
    version = f"version {prompt.version}, " if prompt.version else ""
    return f"{version}{_digest(prompt.written())}"


def _tool(tool: Tool) -> str:
    return f"{tool.mode}, {_digest(tool.written())}"


def _judge(suite: Suite, model: str, prompt: str | None) -> str:
    found = suite.prompt_for(prompt) if prompt else None
    return _model(suite, model) + (f", prompt {prompt} {_digest(found.system_template)}" if found else "")


def _digest(value: Any) -> str:
    return sha256(dumps(value, sort_keys=True, default=str).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
