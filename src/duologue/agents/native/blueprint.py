"""What all runs of one agent share: prepared once, before any of them begins.

What is wrong with a prompt is found here, so that no model is asked anything in a run that would test another prompt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from duologue.agents.native.content import content_of
from duologue.agents.native.guardrails import MakeGuardrail
from duologue.agents.native.instruction import Assembly, Instruction
from duologue.agents.native.workflow import tools_of
from duologue.agents.tools.toolbox import Toolbox
from duologue.config.problems import Problems
from duologue.config.templates import render
from duologue.errors import Position
from duologue.messages import ContentPart
from duologue.models.base import ToolSpec
from duologue.models.resources import Embedder
from duologue.specs.agent_definition import AgentDefinition, SamplingParams
from duologue.specs.scenario import Turn
from duologue.specs.suite import Workflow

if TYPE_CHECKING:
    from duologue.models.cassette import Cassette

Variables = Mapping[str, str] | Iterable[tuple[str, str]]
"""What a test case varies: values for ``{name}``."""


class Blueprint:
    """A native agent, ready for any number of runs.

    Args:
        definition: what the agent is.
        guardrail: makes the guardrails of its prompts.
        embedder: finds the embedder that chooses which messages of a long conversation are sent.
        toolbox: describes the tools to the model; None where the prompts allow none.

    Attributes:
        instructions: prompts and rules, by state of the workflow; by '' where there is none.
        sampling: how it writes, by the same names.
        context: what becomes of long conversations; None where nothing is left out.
        warnings: what is written and has no effect.

    Raises:
        SuiteError: a prompt is not complete, a file cannot be read, a guardrail is wrong; everything that was found.
    """

    def __init__(
        self,
        definition: AgentDefinition,
        *,
        guardrail: MakeGuardrail | None = None,
        embedder: Callable[[], Embedder | None] = lambda: None,
        toolbox: Toolbox | None = None,
    ) -> None:
        self.definition = definition
        self.embedder = embedder
        assembly = Assembly(definition=definition, guardrail=guardrail)
        self.workflow = definition.workflow
        states = self.workflow.states if self.workflow else ("",)
        self.instructions = {state: assembly.instruction(definition.prompts.get(state)) for state in states}
        _find_unsupported(self.workflow, assembly.problems)
        assembly.problems.raise_errors()
        self.sampling = {state: _sampling(definition, item) for state, item in self.instructions.items()}
        policy = definition.context_policy
        self.context = policy if policy and policy.token_budget else None
        self.warnings = assembly.problems.in_order()
        self._toolbox = toolbox
        self._offered: dict[str, tuple[ToolSpec, ...]] = {}

    @property
    def first(self) -> Instruction:
        """The instruction that a conversation begins with."""
        return self.instructions[self.workflow.entry if self.workflow else ""]

    def expand(self, text: str, perturbation: Variables = ()) -> str:
        """A line of the script with ``{{variables}}`` and what the test case varies; unknown names stay."""
        return render(text, self.first.values, variants=dict(perturbation))

    def content_of(self, turn: Turn, perturbation: Variables = ()) -> str | list[ContentPart]:
        """The content of the user's message in a turn of the script.

        Raises:
            ConfigurationError: a file of it cannot be sent, or the prompt does not allow it.
        """
        first = self.first
        return content_of(turn, first.values, dict(perturbation), self.definition, rules=first.media)

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
        described = await toolbox.specs(names, cassette=cassette) if toolbox and names else []
        own = tools_of(self.workflow.states[state]) if self.workflow else ()
        found = (*described, *own)
        if cassette is None:
            self._offered[state] = found
        return found


def _find_unsupported(workflow: Workflow | None, problems: Problems) -> None:
    for name, state in workflow.states.items() if workflow else ():
        if state.composition or state.orchestration == "composition":
            place = state.place("composition") or state.place() or Position("the suite")
            problems.error(place, f"the state '{name}' runs a composition, which this version cannot; use a prompt")
        if state.skills:
            place = state.place("skills") or Position("the suite")
            problems.warning(place, "skills are not offered to the agent by this version; give it tools")


def _sampling(definition: AgentDefinition, instruction: Instruction) -> SamplingParams:
    """The definition's parameters, under the prompt's, under those that hold whatever the prompt says."""
    sources = (definition.overrides, instruction.parameters, definition.sampling)

    def first(name: str) -> Any:
        values = (getattr(source, name, None) for source in sources)
        return None if name in definition.unsupported_params else next((v for v in values if v is not None), None)

    return SamplingParams(**{name: first(name) for name in SamplingParams.model_fields})
