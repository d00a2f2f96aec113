"""What has to be true of an agent whose runtime drives it, to be saved and to be run."""

from __future__ import annotations

from duologue.config.placed_json import at
from duologue.config.problems import join
from duologue.errors import Problem, SuiteError
from duologue.runs.store.definitions import AgentDraft
from duologue.runtimes.base import EvalRuntime
from duologue.runtimes.registry import RuntimeConfigError, RuntimeProblem
from duologue.specs.agents import Agent
from duologue.specs.suite import Suite
from duologue.suites.runtime_snapshots import agent_snapshot, found_runtime


def require_runtime(draft: AgentDraft) -> None:
    """Refuse a draft whose runtime cannot drive it. Raises SuiteError."""
    runtime_of(draft.agent, suite_of(draft), "agent.runtime")


def suite_of(draft: AgentDraft) -> Suite:
    """The agent with everything that it is made of, as a suite."""
    parts = {name: getattr(draft, name) for name in ("prompts", "tools", "models", "mcp_servers", "a2a_agents")}
    return Suite(name="definition", agents=(draft.agent,), **parts)


def runtime_of(agent: Agent, suite: Suite, place: str) -> EvalRuntime:
    """The runtime of an agent.

    Args:
        agent: one with a runtime.
        suite: has its prompt and tools.
        place: the field in which the runtime is written, for errors.

    Raises:
        SuiteError: there is none, or it cannot drive the agent; with each field.
    """
    try:
        return found_runtime(agent, agent_snapshot(suite, agent))[0]
    except RuntimeConfigError as error:
        problems = [Problem(at(_path(place, problem)), problem.message) for problem in error.problems]
        raise SuiteError("; ".join(map(str, problems)), problems) from error


def _path(place: str, problem: RuntimeProblem) -> str:
    for part in problem.path:
        place = join(place, part)
    return place
