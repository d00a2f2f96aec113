"""Changes a test case as an instruction says, by asking a model which of its fields change and to what."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

from pydantic import ValidationError

from duologue.config.templates import placeholders
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.messages import JsonValue, system_message, user_message
from duologue.models.choice import ModelChoice
from duologue.models.scope import RunScope
from duologue.models.structured import UnreadableError, ask_until_readable, the_object_in
from duologue.specs.agents import Persona
from duologue.specs.scenario import Scenario, SeedMessage, Turn
from duologue.suites.cases.facts import AgentFacts, sections_of
from duologue.suites.cases.form import (
    CHANGES_SCHEMA,
    WrittenChanges,
    calls_of,
    checks_of,
    expects_tools,
    persona_of,
    read_changes,
)
from duologue.suites.cases.generate import DATA_RULE, ONE_REPAIR, free_name
from duologue.suites.manifests.from_recordings import literal_turns
from duologue.transcripts.rendering import compact

_TASK = f"""\
You edit a test case for an AI agent as the instruction says, and change nothing else.
{DATA_RULE}
"situation" and "goal" are for the simulated user, who talks to the agent; "user_lines" are fixed words of the user, \
in place of a simulated one. A judge decides each of "criteria" from the transcript at the end; or after every answer \
"success_criteria" and "failure_criteria", which cannot be combined with "criteria". "expected_tools" are tools that a \
correct agent has to call.
Answer with one JSON object and nothing else: {{"changes": {{…}}}} with the fields of the case that change, each \
with its whole new value. null leaves a field as it is; an empty text or list takes it out."""


@frozen
class EditedCase:
    """A test case after an edit.

    Attributes:
        scenario: as it is now.
        persona: a persona that the scenario names now and that did not exist before; None if it keeps its own.
        changed: names of the scenario's fields that are different.
    """

    scenario: Scenario
    persona: Persona | None = None
    changed: tuple[str, ...] = ()


async def edit_case(
    choice: ModelChoice,
    scenario: Scenario,
    instruction: str,
    *,
    persona: Persona | None = None,
    facts: AgentFacts | None = None,
    taken: Collection[str] = (),
    personas_taken: Collection[str] = (),
    check: Callable[[Scenario], None] | None = None,
    scope: RunScope | None = None,
) -> EditedCase:
    """Let a model change a test case.

    Args:
        choice: the model.
        scenario: as it is.
        instruction: what should be different, such as "make the user impatient".
        persona: its only persona; None for several or none, which are left alone.
        facts: the agent, so that tools can be named.
        taken, personas_taken: names of scenarios and personas that exist.
        check: refuses a scenario that cannot be used, by raising a ConfigurationError; the model is told.
        scope: budget, clock and journal of the call.

    Raises:
        ConfigurationError: the instruction is empty.
        ModelError: there was no answer, or no usable one.
    """
    if not instruction.strip():
        raise ConfigurationError("the instruction is empty; say what should be different about the test case")
    told = sections_of(facts) + "\n\n" if facts else ""
    case = compact(_form_of(scenario, persona))
    tools = frozenset(facts.tool_names) if facts and facts.tools else None
    others = {name.lower() for name in taken} - {scenario.name.lower()}

    def read(text: str) -> EditedCase:
        answer = the_object_in(text, ("changes", *WrittenChanges.model_fields))
        changes = read_changes(answer.get("changes", dict(answer)), tools)
        edited = _applied(scenario, persona, changes, others, personas_taken)
        if check is not None:
            try:
                check(edited.scenario)
            except ConfigurationError as error:
                raise UnreadableError(str(error)) from error
        return edited

    request = choice.request(
        [
            system_message(_TASK),
            user_message(f"{told}<case>\n{case}\n</case>\n\nThe instruction: {instruction.strip()}"),
        ],
        response_schema=CHANGES_SCHEMA,
    )
    return await ask_until_readable(choice.model, request, read, scope or RunScope(who="test case"), retries=ONE_REPAIR)


def _form_of(scenario: Scenario, persona: Persona | None) -> dict[str, JsonValue]:
    """The fields of a scenario that can be edited, as the model sees them."""
    plain = _plain_lines(scenario)
    return {
        "name": scenario.name,
        "situation": scenario.description,
        "goal": scenario.goal,
        "persona": {"name": persona.name, "description": persona.description} if persona else None,
        "first_message": scenario.messages[0].content if _has_first_message(scenario) else None,
        "user_lines": cast("JsonValue", plain) if plain else None,
        "criteria": list(scenario.criteria),
        "success_criteria": scenario.success_criteria,
        "failure_criteria": scenario.failure_criteria,
        "expected_tools": cast("JsonValue", calls_of(scenario.checks)),
        "tags": list(scenario.tags),
        "max_turns": scenario.max_turns,
    }


def _has_first_message(scenario: Scenario) -> bool:
    return len(scenario.messages) == 1 and scenario.messages[0].role == "user" and not scenario.messages[0].parts


def _plain_lines(scenario: Scenario) -> list[str] | None:
    """What the user says, where every turn is a line and nothing else; None otherwise."""
    lines = [turn.content for turn in scenario.turns if turn.content is not None]
    plain = len(lines) == len(scenario.turns) and all(
        turn.written() in ({"content": turn.content}, {"role": "user", "content": turn.content})
        for turn in scenario.turns
    )
    return lines if plain else None


def _applied(
    scenario: Scenario,
    persona: Persona | None,
    changes: WrittenChanges,
    others: Collection[str],
    personas_taken: Collection[str],
) -> EditedCase:
    _refuse_new_placeholders(scenario, changes)
    fields: dict[str, Any] = dict(scenario.written())
    if changes.name is not None and changes.name != scenario.name:
        fields["name"] = free_name(changes.name, others)
    for name, field in (("situation", "description"), ("goal", "goal"), ("max_turns", "max_turns")):
        if (value := getattr(changes, name)) is not None:
            fields[field] = value or None
    if changes.tags is not None:
        fields["tags"] = list(changes.tags)
    _set_criteria(fields, changes)
    if changes.expected_tools is not None:
        kept = [check for check in scenario.checks if not expects_tools(check)]
        fields["checks"] = [check.written() for check in (*kept, *checks_of(changes.expected_tools))]
    if changes.first_message is not None:
        if scenario.messages and not _has_first_message(scenario):
            raise UnreadableError("first_message: this case begins with several messages, which have to stay")
        said = changes.first_message
        fields["messages"] = [SeedMessage(role="user", content=said).written()] if said else None
    if changes.user_lines is not None:
        if _plain_lines(scenario) is None:
            raise UnreadableError("user_lines: the turns of this case hold more than words, and have to stay")
        turns, variables = literal_turns(Turn(content=line) for line in changes.user_lines)
        fields["turns"] = [turn.written() for turn in turns]
        fields["variables"] = {**scenario.variables, **variables}
    new = _new_persona(persona, changes, personas_taken)
    if new is not None:
        fields["personas"] = [new.name]
    made = _scenario(fields)
    before, after = scenario.written(), made.written()
    different = [name for name in Scenario.model_fields if before.get(name) != after.get(name)]
    if not different:
        raise UnreadableError("nothing would change; every value is the one that the case has")
    return EditedCase(scenario=made, persona=new, changed=tuple(different))


def _refuse_new_placeholders(scenario: Scenario, changes: WrittenChanges) -> None:
    """What is filled in has to have a value; lines of the user are said to the letter anyway."""
    before = (scenario.description, scenario.goal or "", *(message.content or "" for message in scenario.messages))
    known = {name for text in (*before, *scenario.criteria) for name in placeholders(text)} | set(scenario.variables)
    given = (changes.situation, changes.goal, changes.first_message, changes.success_criteria, changes.failure_criteria)
    for text in (*given, *(changes.criteria or ())):
        for name in placeholders(text or ""):
            if name not in known:
                raise UnreadableError(f"{{{{{name}}}}} is a placeholder without a value; write the value itself")


def _set_criteria(fields: dict[str, Any], changes: WrittenChanges) -> None:
    """The ways of judging exclude each other: one that is written takes the place of the other."""
    ending = ("success_criteria", "failure_criteria", "failure_criteria_mode", "max_messages")
    if changes.criteria is not None:
        fields["criteria"] = list(changes.criteria)
        if changes.criteria:
            for name in ending:
                fields.pop(name, None)
    for name in ending[:2]:
        if (text := getattr(changes, name)) is not None:
            fields[name] = text or None
            if text and not changes.criteria:
                fields.pop("criteria", None)
    if not fields.get("failure_criteria"):
        fields.pop("failure_criteria_mode", None)


def _new_persona(persona: Persona | None, changes: WrittenChanges, taken: Collection[str]) -> Persona | None:
    """A persona of its own for the case: the one that it had may be others' as well."""
    written = changes.persona
    if written is None or (persona and (written.name, written.description) == (persona.name, persona.description)):
        return None
    if persona is not None and persona.way is not None:
        raise UnreadableError(f"persona: this one plays its {persona.way} and cannot be described otherwise")
    name = free_name(written.name, {item.lower() for item in taken})
    if persona is None:
        return persona_of(written, name)
    return persona.changed(name=name, description=written.description)


def _scenario(fields: Mapping[str, Any]) -> Scenario:
    try:
        return Scenario.model_validate({name: value for name, value in fields.items() if value is not None})
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'the case'}: {item['msg'].removeprefix('Value error, expected ')}"
            for item in error.errors()[:6]
        )
        raise UnreadableError(told) from error
