"""What all runs of one agent share, prepared once: its instruction for each scenario, and lines of scripts as messages.

What is wrong with a prompt is found here, so that no model is asked anything in a run that would test another prompt.
A prompt that is not complete is an error before the run begins: a model that reads ``{{name}}``, or something else in
its place, is not the agent that was to be tested. Pictures, sounds and films of a line become parts of a chat message
within the rules of the prompt.
"""

from __future__ import annotations

import base64
import binascii
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from duologue.agents.native.guardrail_port import Guard, GuardrailPort, MakeGuardrail
from duologue.agents.native.workflow import tools_of
from duologue.agents.tools.toolbox import Toolbox
from duologue.config.problems import Problems, listed
from duologue.config.spec import Spec
from duologue.config.templates import placeholders, render
from duologue.config.yaml_reader import read_text
from duologue.errors import ConfigurationError, Position
from duologue.frozen import frozen
from duologue.messages import ContentPart, media_part
from duologue.models.base import ToolSpec
from duologue.models.resources import Embedder
from duologue.specs.agent_definition import AgentDefinition, SamplingParams
from duologue.specs.agents import Fragment
from duologue.specs.checks import GuardrailSpec
from duologue.specs.prompts import (
    ENGINE_TOOLS,
    MediaLimits,
    MediaRules,
    Parameters,
    Prompt,
    missing_feature,
    values_for,
)
from duologue.specs.scenario import DEFAULT_REGION, Media, Memory, Part, SeedMessage, ToolPolicy, Turn
from duologue.specs.suite import Workflow

if TYPE_CHECKING:
    from duologue.models.cassette import Cassette


MEMORIES = "What you remember from earlier:"


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
            tools=tuple(name for name in prompt.allowed_tools if self._can_offer(name)),
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

    def _can_offer(self, name: str) -> bool:
        if name.startswith("workflow__"):
            return False
        return not name.startswith(ENGINE_TOOLS) or any(tool.name == name for tool in self.definition.tools)

    def _offers_what_there_is(self, prompt: Prompt) -> None:
        for index, name in enumerate(prompt.allowed_tools):
            if (feature := missing_feature(name)) and not self._can_offer(name):
                place = prompt.place("allowed_tools", index) or prompt.place() or Position("the suite")
                told = f"'{name}' is not offered: this version does not support {feature}, and a run that calls it ends"
                self.problems.warning(place, f"{told} as an error. Declare a tool of that name to mock it")

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
            made.append(Guard(rail=rail, replaces=bool(item.enforce or item.message or item.params.get("message"))))
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
        return scenario or prompt or ToolPolicy.model_construct()
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


MAX_BYTES = 20 * 1024 * 1024
"""Of one picture, sound or film, whatever the prompt says."""
_MB = 1024 * 1024


class HasFiles(Protocol):
    """A suite, or a part of one, that paths are relative to."""

    def path(self, written: str) -> Path:
        """The file that a written path means."""
        ...


def content_of(
    turn: Turn | SeedMessage,
    values: Mapping[str, str],
    perturbation: Mapping[str, str],
    files: HasFiles,
    *,
    rules: MediaRules | None = None,
) -> str | list[ContentPart]:
    """The content of the message that a turn of the script says.

    Args:
        turn: with ``content`` or ``parts``.
        values: for ``{{name}}`` in texts; unknown names stay as they are.
        perturbation: for ``{name}``.
        files: finds files by their written paths.
        rules: of the prompt; None for no rules.

    Returns:
        Text, or a list of parts where the turn has parts.

    Raises:
        ConfigurationError: a file cannot be read or is too large, or the rules do not allow it.
    """

    def expand(text: str) -> str:
        return render(text, values, variants=perturbation)

    if not turn.parts:
        return expand(turn.content or "")
    shown = [part for part in turn.parts if part.type != "text"]
    if rules is not None and shown:
        _allowed(shown, rules)
    return [_part(part, files, rules, expand) for part in turn.parts]


def _part(part: Part, files: HasFiles, rules: MediaRules | None, expand: Callable[[str], str]) -> ContentPart:
    if part.type == "text":
        return {"type": "text", "text": expand(part.text or "")}
    media = cast("Media", part.media)
    limits: MediaLimits | None = getattr(rules, part.type) if rules else None
    data = _data(media, files)
    _within(part, media, data, limits)
    made = _written(part.type, media, data, limits)
    _long_enough_known(part, made, limits)
    return made


def _written(kind: str, media: Media, data: bytes | None, limits: MediaLimits | None) -> ContentPart:
    facts: dict[str, Any] = {"mime_type": media.mime_type}
    if media.caption:
        facts["metadata"] = {"caption": media.caption}
    detail = media.detail or (limits.default_detail if limits else None)
    made = media_part(
        media.mime_type,
        data=_encoded(data) if data is not None else None,
        url=media.url or media.storage_reference or "",
        kind=kind,
        facts={"detail": detail} if kind == "image" and detail else None,
    )
    return cast("ContentPart", {**made, **facts})


def _data(media: Media, files: HasFiles) -> bytes | None:
    """The bytes of what is sent along; None for a link."""
    if media.file_path:
        try:
            return _read(files.path(media.file_path))
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise _wrong(media, "file_path", f"'{media.file_path}' cannot be sent: {reason}") from error
    if media.data:
        try:
            return base64.b64decode("".join(media.data.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise _wrong(media, "data", f"this is no base 64: {error}") from error
    return None


def _read(path: Path) -> bytes:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no ordinary file")
    if status.st_size > MAX_BYTES:
        raise ValueError(f"it has {status.st_size:,} bytes; expected at most {MAX_BYTES:,}")
    return _kept(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _kept(path: Path, _changed: int, _size: int) -> bytes:
    """The bytes of a file. Many runs send the same picture."""
    return path.read_bytes()


@lru_cache(maxsize=4)
def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _allowed(parts: list[Part], rules: MediaRules) -> None:
    for part in parts:
        if not rules.enabled:
            raise _wrong(part, "type", f"found {part.type}; the prompt says that it understands no media")
        if rules.supported_types and part.type not in rules.supported_types:
            allowed = ", ".join(rules.supported_types)
            raise _wrong(part, "type", f"found {part.type}; the prompt understands {allowed}")
    images = [part for part in parts if part.type == "image"]
    most = rules.image.max_images_per_msg if rules.image else None
    if most and len(images) > most:
        raise _wrong(images[most], "type", f"found {len(images)} images; the prompt allows {most} in one message")


def _within(part: Part, media: Media, data: bytes | None, limits: MediaLimits | None) -> None:
    size = len(data or b"")
    if size > MAX_BYTES:
        raise _wrong(media, "data", f"this has {size:,} bytes; expected at most {MAX_BYTES:,}")
    if limits is None:
        return
    if limits.max_size_mb and size > limits.max_size_mb * _MB:
        raise _wrong(media, None, f"this has {size:,} bytes; the prompt allows {limits.max_size_mb} MB")
    from duologue.transcripts.media_facts import form_of

    form = form_of(media.mime_type)
    allowed = [form_of(f"{part.type}/{name.lower()}") for name in limits.allowed_formats]
    if allowed and form not in allowed:
        raise _wrong(media, "mime_type", f"found {form}; the prompt allows {', '.join(limits.allowed_formats)}")
    if limits.require_caption and not media.caption:
        raise _wrong(media, "caption", "the prompt wants a caption; give it one")


def _long_enough_known(part: Part, made: ContentPart, limits: MediaLimits | None) -> None:
    """Sounds and films are measured only where the prompt limits them."""
    if limits is None or part.type in {"image", "document"} or not (limits.max_duration_sec or limits.require_metadata):
        return
    from duologue.transcripts.media_facts import facts_of

    seconds = facts_of(cast("dict[str, Any]", made)).seconds
    if seconds is None and limits.require_metadata:
        raise _wrong(part, "media", "nobody can say how long this is, and the prompt wants to know")
    if seconds is not None and limits.max_duration_sec and seconds > limits.max_duration_sec:
        raise _wrong(part, "media", f"this takes {seconds:g} s; the prompt allows {limits.max_duration_sec} s")


def _wrong(spec: Spec, field: str | None, message: str) -> ConfigurationError:
    place: Position | None = spec.place(field) if field else spec.place()
    return ConfigurationError(f"{place}: {place.field}: {message}" if place else message)


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

    def content_of(self, turn: Turn | SeedMessage, perturbation: Variables = ()) -> str | list[ContentPart]:
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
            which = f" (it is '{state.composition}')" if state.composition else ""
            problems.error(
                place, f"the state '{name}' runs a composition, which this version cannot{which}; use a prompt"
            )
        if state.skills:
            place = state.place("skills") or Position("the suite")
            problems.warning(
                place, "skills are not offered to the agent by this version; a run that calls skill__… ends as an error"
            )


def _sampling(definition: AgentDefinition, instruction: Instruction) -> SamplingParams:
    """The definition's parameters, under the prompt's, under those that hold whatever the prompt says."""
    sources = (definition.overrides, instruction.parameters, definition.sampling)

    def first(name: str) -> Any:
        values = (getattr(source, name, None) for source in sources)
        return None if name in definition.unsupported_params else next((v for v in values if v is not None), None)

    # Each value is valid where it comes from; building the schema would take longer than the rest.
    return SamplingParams.model_construct(**{name: first(name) for name in SamplingParams.model_fields})
