"""What runtimes are given, made from a suite: the agent, the test case and how it is run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel

from duologue.config.templates import expand_url
from duologue.runtimes.base import AgentSnapshot, CaseSnapshot, EvalRuntime, ExpectedCall
from duologue.runtimes.config import AgentSimulatorConfig, RunConfig, UserSimulatorConfig
from duologue.runtimes.registry import RuntimeConfigError, find_runtime
from duologue.specs.agent_definition import AgentDefinition
from duologue.specs.agents import Agent, Persona
from duologue.specs.prompts import Prompt
from duologue.specs.scenario import DEFAULT_REGION, Scenario
from duologue.specs.suite import Suite, find_named

GRADED = "metrics"
"""The type of the check that grades by metrics and decides about expected outcomes."""


def agent_snapshot(
    suite: Suite, agent: Agent, scenario: Scenario | None = None, region: str = DEFAULT_REGION
) -> AgentSnapshot:
    """An agent of a suite as a runtime gets it.

    Args:
        suite: has its prompt and tools.
        agent: one with a runtime.
        scenario: whose values are filled into the prompt; None for the prompt as it is written.
        region: of the test case.

    Raises:
        ConfigurationError: the prompt is not complete.
    """
    prompt = suite.prompt_for(agent.prompt or (scenario.prompt if scenario else None))
    known = {tool.name: tool for tool in suite.tools}
    names = prompt.allowed_tools if prompt else tuple(known)
    return AgentSnapshot(
        agent_id=agent.name,
        agent=agent,
        platform=agent.platform,
        integration_id=agent.integration,
        platform_agent_id=agent.platform_agent_id,
        endpoint_url=agent.http.url if agent.http else None,
        system_prompt=_instructions(suite, agent, prompt, scenario, region),
        tools=[known[name].model_dump(mode="json", exclude_unset=False) for name in names if name in known] or None,
        mode="endpoint" if agent.http else "platform",
        model=agent.model,
    )


def _instructions(
    suite: Suite, agent: Agent, prompt: Prompt | None, scenario: Scenario | None, region: str
) -> str | None:
    if prompt is None:
        return None
    if scenario is None:
        return prompt.system_template
    from duologue.agents.native.blueprint import Blueprint

    plain = prompt.changed(guardrails=(), allowed_tools=())
    whole = suite.changed(workflow=None).within(suite.folder)
    definition = AgentDefinition.from_suite(whole, agent, scenario, prompt=plain, region=region)
    return Blueprint(definition).first.text


def found_runtime(agent: Agent, snapshot: AgentSnapshot | None = None) -> tuple[EvalRuntime, BaseModel]:
    """The runtime of an agent, and its configuration.

    Args:
        agent: one with a runtime.
        snapshot: of the agent, to see whether the runtime can drive it; None to leave that out.

    Raises:
        RuntimeConfigError: it cannot be used; names each field.
    """
    keys = _KeysAtRun() if agent.integration is not None else None
    return find_runtime(agent.runtime or {}, snapshot, agent.runtime_mode, keys)


def holds_conversation(agent: Agent) -> bool:
    """Whether the runtime of an agent holds conversations by itself, with a user of its own."""
    if agent.runtime is None:
        return False
    from duologue.runtimes.text import TextRuntimeBase
    from duologue.runtimes.voice.base import VoiceRuntimeBase

    try:
        found = find_runtime(agent.runtime, None, agent.runtime_mode)[0]
        return not isinstance(found, TextRuntimeBase | VoiceRuntimeBase)
    except RuntimeConfigError:  # which is told elsewhere
        return False


class _KeysAtRun:
    """Stands for the service, which has the keys of platforms when a test case is run."""

    async def integration_key(self, integration_id: str) -> str | None:
        """Nothing is known here."""
        return None


def with_endpoint(config: BaseModel, agent: Agent) -> BaseModel:
    """The configuration with the headers of the agent's endpoint, where it has a place for headers and none of its own.

    Raises:
        ConfigurationError: a variable of the environment is not set.
    """
    held: object = getattr(config, "headers", None)
    if agent.http is None or not agent.http.headers or not isinstance(held, dict) or held:
        return config
    return config.model_copy(update={"headers": dict(agent.http.headers)})


def with_address(snapshot: AgentSnapshot, agent: Agent) -> AgentSnapshot:
    """The snapshot with references to the environment in its address expanded. Raises ConfigurationError."""
    if snapshot.endpoint_url is None or agent.http is None:
        return snapshot
    from duologue.frozen import changed

    return changed(snapshot, endpoint_url=expand_url(agent.http.url))


def case_snapshot(suite: Suite, scenario: Scenario, persona: str | None, case_id: str) -> CaseSnapshot:
    """A test case as a runtime gets it that holds the conversation by itself."""
    who = find_named(suite.personas, persona)
    first = next((message for message in scenario.messages if message.role in {"user", "assistant"}), None)
    said = first.content if first else next((turn.content for turn in scenario.turns if turn.role == "user"), None)
    begins_with_agent = scenario.first_turn == "agent" or (first is not None and first.role == "assistant")
    return CaseSnapshot(
        id=case_id,
        name=scenario.name,
        description="\n".join(filter(None, (scenario.description, scenario.goal))),
        tags=scenario.tags,
        persona_context=_described(who),
        first_turn="agent" if begins_with_agent else "user",
        first_message=said,
        user_context=who.facts if who else {},
        expected_outcomes=expected_outcomes(scenario),
        expected_tool_calls=expected_calls(scenario),
    )


def expected_outcomes(scenario: Scenario) -> tuple[str, ...]:
    """What must be true at the end, whoever decides about it."""
    graded = [check.params.get("expected_outcomes") for check in scenario.checks if check.type == GRADED]
    outcomes = [item for found in graded if isinstance(found, list) for item in cast("list[object]", found)]
    return (*scenario.criteria, *(str(item) for item in outcomes))


def expected_calls(scenario: Scenario) -> tuple[ExpectedCall, ...]:
    """What mocked tools answer."""
    return tuple(
        ExpectedCall(
            tool=call.tool,
            expected_params=_mocked_by(call.match, call.expected_params),
            mock_response=call.mock_response,
        )
        for call in scenario.expected_tool_calls
    )


def _mocked_by(match: str, params: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Arguments by their values; those that may have any value do not decide which answer is given."""
    values = {} if match in {"keys", "any"} else {name: value for name, value in params.items() if value is not None}
    return values or None


def run_config(suite: Suite, agent: Agent, *, seconds: float | None, max_turns: int | None) -> RunConfig:
    """How a test case is run, as a runtime gets it.

    Args:
        suite: has the models.
        agent: one with a runtime.
        seconds: that a test case may take; None for the default.
        max_turns: after which a conversation ends; None for the default.
    """
    simulator = next(iter(suite.simulators), None)
    given: dict[str, Any] = {
        "agent_timeout": agent.timeout,
        "max_turns": None if max_turns is None else min(max_turns, 1000),
        "tool_mode": suite.defaults.tool_mode or "mock",
        "user_simulator": UserSimulatorConfig(model=simulator.model if simulator else None),
        "agent_simulator": AgentSimulatorConfig(
            model=agent.model,
            temperature=suite.defaults.temperature,
            max_tokens=suite.defaults.max_tokens or None,
        ),
        "mode": agent.runtime_mode or "text",
        "runtime": agent.runtime,
    }
    if seconds is not None:
        given["timeout_per_test_case_ms"] = max(1, round(seconds * 1000))
    return RunConfig(**given)


def _described(persona: Persona | None) -> str | None:
    if persona is None:
        return None
    parts = [persona.description, *(f"Goal: {goal}" for goal in persona.goals)]
    parts += [f"Never: {item}" for item in persona.constraints]
    parts += [f"Language: {persona.language}"] if persona.language else []
    return "\n".join(filter(None, parts)) or None
