"""All that the runs of one scenario with one agent share: made once, before any of them begins.

What is wrong with a prompt is found here, so that nobody is asked anything in a run that would be about another prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from duologue.agents.native.content import content_of
from duologue.agents.native.instruction import Assembly, Instruction
from duologue.agents.native.workflow import tools_of
from duologue.agents.tools.toolbox import Toolbox
from duologue.config.problems import Problems
from duologue.config.templates import render
from duologue.errors import Position
from duologue.messages import ContentPart
from duologue.models.base import ToolSpec
from duologue.models.cassette import Cassette
from duologue.models.resources import Resources
from duologue.specs.agents import Agent, Model
from duologue.specs.prompts import Prompt
from duologue.specs.scenario import DEFAULT_REGION, Scenario, Turn
from duologue.specs.suite import Suite, Workflow, find_named

Varied = Mapping[str, str] | Iterable[tuple[str, str]]
"""What a test case varies: values for ``{name}``."""


@dataclass(frozen=True, kw_only=True)
class Writing:
    """How a model writes. None leaves it to the provider."""

    temperature: float | None = None
    max_tokens: int | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])


class Blueprint:
    """An agent made of a model and a prompt, ready for any number of runs.

    Args:
        suite: where prompts, models and files are.
        scenario: that is played.
        agent: made of a model.
        prompt: for states of a workflow that have none of their own, and where there is no workflow; None to look for
            the agent's, or the scenario's.
        region: of the test case.
        resources: what guardrails and the choice of messages may ask.
        toolbox: tells the model of the tools; None where the prompts allow none.
        temperature, max_tokens: over all that the suite says, but for the temperature of a turn.

    Attributes:
        models: names of the agent's model.
        instructions: what the model is told, by state of the workflow; by '' where there is none.
        writing: how it writes, by the same names.
        context: what becomes of long conversations; None where nothing is left out.
        warnings: what is written and has no effect.

    Raises:
        SuiteError: a prompt is missing or not complete, a file cannot be read, a guardrail is wrong; all of it.
    """

    def __init__(
        self,
        *,
        suite: Suite,
        scenario: Scenario,
        agent: Agent,
        prompt: Prompt | None = None,
        region: str = DEFAULT_REGION,
        resources: Resources | None = None,
        toolbox: Toolbox | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
    ) -> None:
        model = find_named(suite.models, agent.model)
        self.suite = suite
        self.scenario = scenario
        self.agent = agent
        self.region = region
        self.models = _names_of(agent, model)
        self.resources = resources or Resources()
        assembly = Assembly(suite=suite, scenario=scenario, region=region, models=self.models, resources=self.resources)
        prompts = _prompts(suite, scenario, prompt, agent.prompt or scenario.prompt, assembly.problems)
        self.instructions = {state: assembly.instruction(prompt) for state, prompt in prompts.items()}
        _find_unsupported(suite.workflow, assembly.problems)
        assembly.problems.raise_errors()
        given = Writing(temperature=temperature, max_tokens=max_tokens)
        self.writing = {state: _writing(suite, model, item, given) for state, item in self.instructions.items()}
        self.workflow = suite.workflow
        policy = scenario.context_policy
        self.context = policy if policy and policy.token_budget else None
        self.warnings = assembly.problems.in_order()
        self._toolbox = toolbox
        self._offered: dict[str, tuple[ToolSpec, ...]] = {}

    @property
    def first(self) -> Instruction:
        """What the agent is told at the beginning."""
        return self.instructions[self.workflow.entry if self.workflow else ""]

    def expand(self, text: str, perturbation: Varied = ()) -> str:
        """A line of the script with ``{{variables}}`` and what the test case varies; unknown names stay."""
        return render(text, self.first.values, variants=dict(perturbation))

    def content_of(self, turn: Turn, perturbation: Varied = ()) -> str | list[ContentPart]:
        """The content of the user's message in a turn of the script.

        Raises:
            ConfigurationError: a file of it cannot be sent, or the prompt does not allow it.
        """
        first = self.first
        return content_of(turn, first.values, dict(perturbation), self.suite, rules=first.media)

    async def offered(self, state: str, cassette: Cassette | None = None) -> tuple[ToolSpec, ...]:
        """The tools that the model is offered in a state, the workflow's own last.

        Args:
            state: of the workflow; '' for none.
            cassette: of the run.

        Raises:
            ConfigurationError: a tool does not exist, or its server does not start.
        """
        found = self._offered.get(state)
        if found is not None:
            return found
        names = self.instructions[state].tools
        toolbox = self._toolbox
        told = await toolbox.specs(names, cassette=cassette) if toolbox and names else []
        own = tools_of(self.workflow.states[state]) if self.workflow else ()
        found = (*told, *own)
        if cassette is None:
            self._offered[state] = found
        return found


def _names_of(agent: Agent, model: Model | None) -> tuple[str, ...]:
    """What a prompt may call the agent's model: as the suite does, as its provider does, in full."""
    names = [agent.model] if agent.model else []
    if model and model.model:
        names += [model.model, f"{model.provider}/{model.model}"]
    return tuple(names)


def _prompts(
    suite: Suite, scenario: Scenario, prompt: Prompt | None, task: str | None, problems: Problems
) -> dict[str, Prompt | None]:
    """The prompt of each state; of '' where there is no workflow."""
    usual = prompt or (_prompt(suite, scenario, task, problems) if task else None)
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


def _find_unsupported(workflow: Workflow | None, problems: Problems) -> None:
    for name, state in workflow.states.items() if workflow else ():
        if state.composition or state.orchestration == "composition":
            place = state.place("composition") or state.place() or Position("the suite")
            problems.error(place, f"the state '{name}' runs a composition, which this version cannot; use a prompt")
        if state.skills:
            place = state.place("skills") or Position("the suite")
            problems.warning(place, "skills are not offered to the agent by this version; give it tools")


def _writing(suite: Suite, model: Model | None, instruction: Instruction, given: Writing) -> Writing:
    """The suite's defaults, under the model's own, under the prompt's, under what was asked for."""
    sampling = model.sampling if model else None
    defaults, parameters = suite.defaults, instruction.parameters
    refused = set(model.unsupported_params) if model else set[str]()

    def first(name: str, *sources: object) -> Any:
        values = (getattr(source, name, None) for source in sources)
        return None if name in refused else next((value for value in values if value is not None), None)

    extra = {name: first(name, parameters, sampling) for name in ("top_p", "top_k")}
    return Writing(
        temperature=first("temperature", given, parameters, sampling, defaults),
        max_tokens=first("max_tokens", given, parameters, sampling, defaults),
        extra={name: value for name, value in extra.items() if value is not None},
    )
