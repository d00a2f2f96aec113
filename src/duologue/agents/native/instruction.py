"""The instruction of a model: a prompt, assembled for one scenario, agent and region, with its rules.

A prompt that is not complete is an error before the run begins: a model that reads ``{{name}}``, or something else in
its place, is not the agent that was to be tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from duologue.agents.native.guardrails import Guard, GuardrailPort, MakeGuardrail
from duologue.config.problems import Problems, listed
from duologue.config.templates import placeholders, render
from duologue.config.yaml_reader import read_text
from duologue.errors import ConfigurationError, Position
from duologue.frozen import frozen
from duologue.specs.agent_definition import AgentDefinition
from duologue.specs.agents import Fragment
from duologue.specs.checks import GuardrailSpec
from duologue.specs.prompts import MediaRules, Parameters, Prompt, values_for
from duologue.specs.scenario import DEFAULT_REGION, Memory, ToolPolicy

MEMORIES = "What you remember from earlier:"
ENGINE_TOOLS = ("workflow__", "memory__", "skill__")
"""What names of tools begin with that no toolbox has."""


@frozen
class Instruction:
    """A prompt that is ready to be used.

    Attributes:
        task: what the prompt answers to; '' without a prompt.
        text: the system prompt; '' for none.
        values: what was filled in, for lines of the script.
        tools: names of the tools that are offered.
        policy: what may be done with them.
        guards: checks of single messages.
        parameters: how to write.
        media: which pictures, sounds and films may be sent.
    """

    task: str = ""
    text: str = ""
    values: dict[str, str] = field(default_factory=dict[str, str])
    tools: tuple[str, ...] = ()
    policy: ToolPolicy = field(default_factory=ToolPolicy)
    guards: tuple[Guard, ...] = ()
    parameters: Parameters | None = None
    media: MediaRules | None = None


@frozen
class Assembly:
    """Makes instructions of the prompts of an agent.

    Attributes:
        definition: of the agent.
        guardrail: makes the guardrails of prompts; None where there are none to be had.
        problems: takes what is wrong.
    """

    definition: AgentDefinition
    guardrail: MakeGuardrail | None = None
    problems: Problems = field(default_factory=Problems)

    def instruction(self, prompt: Prompt | None) -> Instruction:
        """The instruction of a prompt; what is wrong with it is in ``problems``."""
        definition = self.definition
        policy = merged_policy(prompt.tool_policy if prompt else None, definition.tool_policy)
        if prompt is None:
            values = all_values(None, definition)
            return Instruction(text=_with_memories("", definition.memories), values=values, policy=policy)
        values = all_values(prompt, definition) | self._fragments(prompt)
        template = _template(prompt, definition.model_names)
        text = render(template, values, nested=True)
        self._complete(prompt, self._without_what_is_said(prompt, template, values), values)
        self._offers_what_there_is(prompt)
        return Instruction(
            task=prompt.answers_to,
            text=_with_memories(text, definition.memories),
            values={name: render(value, values, nested=True) for name, value in values.items()},
            tools=tuple(name for name in prompt.allowed_tools if not name.startswith(ENGINE_TOOLS)),
            policy=policy,
            guards=self._guards(prompt),
            parameters=prompt.parameters,
            media=prompt.media,
        )

    def _without_what_is_said(self, prompt: Prompt, template: str, values: dict[str, str]) -> str:
        """The text to look for open variables in: the user's first line, quoted in it, may say ``{{anything}}``."""
        own = "context_slot" in {**values_for(prompt), **self.definition.variables}
        return render(template, values if own else {**values, "context_slot": ""}, nested=True)

    def _complete(self, prompt: Prompt, text: str, values: dict[str, str]) -> None:
        """Required variables have a value, and nothing is left open."""
        place = prompt.place("system_template") or prompt.place() or Position("the suite")
        named, scenario = f"the prompt '{prompt.answers_to}'", self.definition.scenario
        missing = [item.name for item in prompt.variables if item.required and item.name not in values]
        for name in missing:
            self.problems.error(
                place,
                f"{named} requires the variable '{name}', which has no value in the scenario '{scenario}'. Give it one "
                "under 'variables' of the scenario or 'values' of the prompt",
            )
        for name in placeholders(text):
            if name in values:
                told = f"{named} cannot be filled in: the value of '{{{{{name}}}}}' leads back to itself"
                self.problems.error(place, f"{told}. Take it out of the circle")
            elif name not in missing:
                known = f"Known: {listed(sorted(values))}"
                told = f"{named} says '{{{{{name}}}}}', which nothing gives a value"
                self.problems.error(place, f"{told}. Give it one, or take it out. {known}")

    def _offers_what_there_is(self, prompt: Prompt) -> None:
        for index, name in enumerate(prompt.allowed_tools):
            if name.startswith(("memory__", "skill__")):
                place = prompt.place("allowed_tools", index) or prompt.place() or Position("the suite")
                self.problems.warning(place, f"'{name}' is not offered: this version has no tools of that kind")

    def _fragments(self, prompt: Prompt) -> dict[str, str]:
        return {item.name: self._fragment(prompt, item) for item in prompt.fragments}

    def _fragment(self, prompt: Prompt, item: Fragment) -> str:
        place = item.place("path") or item.place() or prompt.place() or Position("the suite")
        if item.path is None:
            if item.required:
                told = f"the fragment '{item.name}' of the prompt '{prompt.answers_to}' has no file"
                self.problems.error(place, f"{told}; give it a 'path'")
            return ""
        path = self.definition.path(item.path)
        if not item.required and not path.is_file():
            return ""
        return read_text(path, self.problems, shown_as=item.path, asked_by=place) or ""

    def _guards(self, prompt: Prompt) -> tuple[Guard, ...]:
        made: list[Guard] = []
        for index, item in enumerate(prompt.guardrails):
            if not item.enabled:
                continue
            try:
                rail = self._guardrail(item)
            except ConfigurationError as error:
                self.problems.error(prompt.place("guardrails", index) or Position("the suite"), str(error))
                continue
            made.append(Guard(rail=rail, replaces=bool(item.message or item.params.get("message"))))
        return tuple(made)

    def _guardrail(self, item: GuardrailSpec) -> GuardrailPort:
        if self.guardrail is None:
            raise ConfigurationError(f"the guardrail '{item.type}' cannot be made: this agent is built without checks")
        return self.guardrail(item)


def all_values(prompt: Prompt | None, definition: AgentDefinition) -> dict[str, str]:
    """Everything that a template can name.

    The later of these wins: what the scenario says about the user, the region, defaults of the prompt, values of the
    prompt, variables of the scenario. The region ``default`` stands for none, so that a variable of that name keeps
    its default.
    """
    values = {**definition.background, "region": definition.region}
    if prompt is None:
        return {**values, **definition.variables}
    given = {**values_for(prompt), **definition.variables}
    if definition.region != DEFAULT_REGION and "region" not in {**prompt.values, **definition.variables}:
        given["region"] = definition.region
    return {**values, **given}


def merged_policy(prompt: ToolPolicy | None, scenario: ToolPolicy | None) -> ToolPolicy:
    """Both policies together: the scenario's over the prompt's, and the tools blocked by either."""
    if prompt is None or scenario is None:
        return scenario or prompt or ToolPolicy()
    given = {name: getattr(scenario, name) for name in scenario.model_fields_set}
    given["blocklist"] = tuple(dict.fromkeys([*prompt.blocklist, *scenario.blocklist]))
    return prompt.changed(**given)


def _template(prompt: Prompt, models: Sequence[str]) -> str:
    override = next((prompt.model_overrides[name] for name in models if name in prompt.model_overrides), None)
    if override is None:
        return prompt.system_template
    return (override.system_template or prompt.system_template) + (override.system_template_suffix or "")


def _with_memories(text: str, memories: Sequence[Memory]) -> str:
    """The text with what the agent remembers, as a list at its end. There are no tools to remember more."""
    if not memories:
        return text
    lines = "\n".join(f"- {item.content.strip()}" for item in memories)
    return f"{text.rstrip()}\n\n{MEMORIES}\n{lines}".lstrip()
