"""What a native agent is: a model, prompts and tools, complete in one value.

A suite compiles to it with :meth:`AgentDefinition.from_suite`. As it is plain data, it can be stored and read back:
``AgentDefinition.model_validate(definition.written())``. The package ``duologue.agents.native`` builds an agent from it
and from nothing else.
"""

from typing import Any, Self

from duologue.config.problems import Problems
from duologue.config.spec import EMPTY, Amount, Count, FolderSpec, Items, Name, Seconds, Spec
from duologue.errors import Position
from duologue.specs.agents import Agent, Model
from duologue.specs.prompts import Prompt, Tool
from duologue.specs.scenario import DEFAULT_REGION, ContextPolicy, Memory, Scenario, ToolPolicy
from duologue.specs.suite import A2aAgent, McpServer, Suite, Workflow, find_named

_QUOTED = 150
"""Characters of the user's first line that a prompt may quote."""


class SamplingParams(Spec):
    """How a model writes. None leaves the choice to the provider."""

    temperature: float | None = None
    """Sampling temperature."""
    max_tokens: Amount | None = None
    """The longest answer, in tokens."""
    top_p: float | None = None
    """Nucleus sampling: the share of probability that tokens are drawn from, from 0 to 1."""
    top_k: Count | None = None
    """The number of likeliest tokens that are drawn from."""

    @property
    def extra(self) -> dict[str, Any]:
        """The parameters that only some providers know, as far as they are set."""
        if self.top_p is None and self.top_k is None:  # once for every call of every run
            return {}
        given = {"top_p": self.top_p, "top_k": self.top_k}
        return {name: value for name, value in given.items() if value is not None}


class AgentDefinition(FolderSpec):
    """A native agent, as it takes part in one scenario."""

    name: Name
    """What reports call the agent."""
    model: str
    """The model that is asked: a name in the suite, or a reference such as ``openai/gpt-5-mini``."""
    model_names: Items[str] = ()
    """Names of the model that prompts may use for texts of their own."""
    timeout: Seconds | None = None
    """Seconds that one answer may take."""
    sampling: SamplingParams = SamplingParams.model_construct()
    """Parameters that hold where the prompt says nothing else."""
    overrides: SamplingParams = SamplingParams.model_construct()
    """Parameters that hold whatever the prompt says."""
    unsupported_params: Items[str] = ()
    """Parameters that the model does not take."""
    prompts: dict[str, Prompt] = EMPTY
    """Prompts by state of the workflow; by ``''`` without a workflow. A state may have none."""
    workflow: Workflow | None = None
    """States of the conversation."""
    tools: Items[Tool] = ()
    """Functions that the agent may call, as far as its prompts allow them."""
    mcp_servers: Items[McpServer] = ()
    """MCP servers with more of them."""
    a2a_agents: Items[A2aAgent] = ()
    """Other agents that the agent may ask."""
    context_policy: ContextPolicy | None = None
    """What is sent of a conversation that is too long for the model."""
    tool_policy: ToolPolicy | None = None
    """Limits on tool calls, over those of the prompt."""
    memories: Items[Memory] = ()
    """What the agent remembers from earlier conversations."""
    scenario: str = ""
    """The scenario that the agent takes part in; for error messages."""
    background: dict[str, str] = EMPTY
    """What the scenario says about the user, for placeholders of the prompt."""
    variables: dict[str, str] = EMPTY
    """The scenario's own values for placeholders of the prompt."""
    region: str = DEFAULT_REGION
    """The region of the test case; ``default`` for none."""

    @classmethod
    def from_suite(
        cls,
        suite: Suite,
        agent: Agent,
        scenario: Scenario,
        *,
        prompt: Prompt | None = None,
        region: str = DEFAULT_REGION,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> Self:
        """The definition of an agent of a suite.

        Args:
            suite: where models, prompts and tools are.
            agent: one that is made of a model.
            scenario: that it takes part in.
            prompt: for states of the workflow that have none of their own, and where there is no workflow; None for
                the agent's, or the scenario's.
            region: of the test case.
            temperature, max_tokens: over what the suite says.

        Raises:
            SuiteError: a prompt is missing.
        """
        problems = Problems()
        model = find_named(suite.models, agent.model)
        prompts = _prompts(suite, scenario, prompt, agent.prompt or scenario.prompt, problems)
        problems.raise_errors()
        own = model.sampling if model else None
        # Made of specs that are valid: nothing needs to be checked again.
        made = cls.model_construct(
            name=agent.name,
            model=agent.model or "",
            model_names=_names_of(agent, model),
            timeout=agent.timeout,
            sampling=SamplingParams.model_construct(
                temperature=_first(own and own.temperature, suite.defaults.temperature),
                max_tokens=_first(own and own.max_tokens, suite.defaults.max_tokens),
                top_p=own and own.top_p,
            ),
            overrides=SamplingParams.model_construct(temperature=temperature, max_tokens=max_tokens),
            unsupported_params=tuple(model.unsupported_params) if model else (),
            prompts={state: found for state, found in prompts.items() if found is not None},
            workflow=_started(suite.workflow, scenario),
            tools=suite.tools,
            mcp_servers=suite.mcp_servers,
            a2a_agents=suite.a2a_agents,
            context_policy=scenario.context_policy,
            tool_policy=scenario.tool_policy,
            memories=tuple(scenario.seed_memories),
            scenario=scenario.name,
            background=background_of(scenario),
            variables=scenario.variables,
            region=region,
        )
        return made.within(suite.folder)


ToolSource = Suite | AgentDefinition
"""What has tools: ``tools``, ``mcp_servers``, ``a2a_agents``, and paths relative to its folder."""


def background_of(scenario: Scenario) -> dict[str, str]:
    """What a scenario says about the user, by the placeholders that prompts use for it."""
    background = scenario.background
    role = (background and background.user_role) or "user"
    return {
        "domain": (background and background.domain) or "general",
        "user_role": role,
        "user_context": role,
        "project_stage": (background and background.project_stage) or "",
        "context_slot": _situation(scenario),
    }


def _situation(scenario: Scenario) -> str:
    """The description, and the beginning of what the user says first if that is written down."""
    first = next((turn for turn in scenario.turns), None)
    said = (first.content or " ".join(part.text or "" for part in first.parts)).strip() if first else ""
    wants = f"User wants to: {said[:_QUOTED]}" if said else ""
    return ". ".join(part for part in (scenario.description.strip().rstrip("."), wants) if part)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _names_of(agent: Agent, model: Model | None) -> tuple[str, ...]:
    """What a prompt may call the agent's model: as the suite does, as its provider does, in full."""
    names = [agent.model] if agent.model else []
    if model and model.model:
        names += [model.model, f"{model.provider}/{model.model}"]
    return tuple(names)


def _started(workflow: Workflow | None, scenario: Scenario) -> Workflow | None:
    """The workflow, which begins in the state that the scenario names, if it names one."""
    if workflow is None or scenario.prompt not in workflow.states or scenario.prompt == workflow.entry:
        return workflow
    return workflow.changed(entry=scenario.prompt)


def _prompts(
    suite: Suite, scenario: Scenario, prompt: Prompt | None, task: str | None, problems: Problems
) -> dict[str, Prompt | None]:
    """The prompt of each state; of '' where there is no workflow."""
    names_state = suite.workflow is not None and task in suite.workflow.states
    usual = prompt or (suite.prompt_for(task) if task and names_state else None)
    usual = usual or (_prompt(suite, scenario, task, problems) if task and not names_state else None)
    if suite.workflow is None:
        return {"": usual}
    return {
        name: _prompt(suite, scenario, state.prompt_task, problems)
        if state.prompt_task
        else suite.prompt_for(name) or usual
        for name, state in suite.workflow.states.items()
    }


def _prompt(suite: Suite, scenario: Scenario, task: str, problems: Problems) -> Prompt | None:
    prompt = suite.prompt_for(task)
    if prompt is None:
        place = scenario.place("prompt") or scenario.place() or Position("the suite")
        known = ", ".join(item.answers_to for item in suite.prompts) or "none"
        problems.error(place, f"no prompt answers to the task '{task}'. Known: {known}")
    return prompt
