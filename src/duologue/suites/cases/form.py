"""The form in which a model writes a test case, and how it becomes a scenario with its persona.

The form is smaller than a scenario: it has what a person would think of. It is read with patience for how models write
(null for nothing, one text for a list of one) and with none for what it means: unknown fields and tools, templates, and
a case without a criterion are refused with a sentence that the model can act on.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import Field, ValidationError

from duologue.config.json_schema import closed_object
from duologue.config.problems import listed
from duologue.config.spec import Items, Json, Spec
from duologue.config.templates import placeholders
from duologue.messages import JsonValue
from duologue.models.structured import UnreadableError, excerpt
from duologue.specs.agents import Persona
from duologue.specs.checks import CheckSpec
from duologue.specs.scenario import Scenario, SeedMessage

TAG = "generated"
"""Of every scenario that a model has written."""
CALLED, CALLED_WITH = "tools_called", "tool_args"
"""Types of the checks that expected tools become."""
_Line = Annotated[str, Field(min_length=1, max_length=4000)]
_Label = Annotated[str, Field(min_length=1, max_length=120)]
_LISTS = {"criteria", "expected_tools", "tags", "user_lines"}
_SHOWN = 6
"""Problems that a model is told of at once."""


class CasePersona(Spec):
    """Who the user is."""

    name: _Label
    description: _Line


class WrittenArgument(Spec):
    """An argument of a tool call."""

    name: _Label
    value: Json = None


class WrittenTool(Spec):
    """A tool that has to be called."""

    tool: _Label
    arguments: Items[WrittenArgument] = ()


class WrittenCase(Spec):
    """A test case as a model writes it."""

    name: _Label
    situation: _Line
    goal: _Line
    persona: CasePersona | None = None
    first_message: _Line | None = None
    criteria: Annotated[Items[_Line], Field(min_length=1, max_length=20)]
    expected_tools: Annotated[Items[WrittenTool], Field(max_length=20)] = ()
    tags: Annotated[Items[_Label], Field(max_length=20)] = ()


class WrittenChanges(Spec):
    """Fields of a test case that are to be changed. None leaves a field as it is."""

    name: _Label | None = None
    situation: Annotated[str, Field(max_length=4000)] | None = None
    goal: Annotated[str, Field(max_length=4000)] | None = None
    persona: CasePersona | None = None
    first_message: Annotated[str, Field(max_length=4000)] | None = None
    user_lines: Annotated[Items[_Line], Field(max_length=200)] | None = None
    criteria: Annotated[Items[_Line], Field(max_length=50)] | None = None
    success_criteria: Annotated[str, Field(max_length=4000)] | None = None
    failure_criteria: Annotated[str, Field(max_length=4000)] | None = None
    expected_tools: Annotated[Items[WrittenTool], Field(max_length=50)] | None = None
    tags: Annotated[Items[_Label], Field(max_length=50)] | None = None
    max_turns: Annotated[int, Field(ge=1, le=1000)] | None = None


_TEXT: dict[str, Any] = {"type": "string"}
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_PERSONA = closed_object(name=_TEXT, description=_TEXT)
_TOOLS: dict[str, Any] = {
    "type": "array",
    "items": closed_object(
        tool=_TEXT,
        arguments={
            "type": "array",
            "items": closed_object(name=_TEXT, value={"type": ["string", "number", "boolean", "null"]}),
        },
    ),
}


def _or_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"anyOf": [dict(schema), {"type": "null"}]}


CASES_SCHEMA: dict[str, Any] = {
    "title": "cases",
    **closed_object(
        cases={
            "type": "array",
            "items": closed_object(
                name=_TEXT,
                situation=_TEXT,
                goal=_TEXT,
                persona=_or_null(_PERSONA),
                first_message=_or_null(_TEXT),
                criteria=_TEXTS,
                expected_tools=_TOOLS,
                tags=_TEXTS,
            ),
        }
    ),
}
"""JSON Schema of an answer with new test cases."""

CHANGES_SCHEMA: dict[str, Any] = {
    "title": "changes",
    **closed_object(
        changes=closed_object(
            name=_or_null(_TEXT),
            situation=_or_null(_TEXT),
            goal=_or_null(_TEXT),
            persona=_or_null(_PERSONA),
            first_message=_or_null(_TEXT),
            user_lines=_or_null(_TEXTS),
            criteria=_or_null(_TEXTS),
            success_criteria=_or_null(_TEXT),
            failure_criteria=_or_null(_TEXT),
            expected_tools=_or_null(_TOOLS),
            tags=_or_null(_TEXTS),
            max_turns=_or_null({"type": "integer"}),
        )
    ),
}
"""JSON Schema of an answer with changes of a test case."""


def read_case(value: JsonValue, tools: Collection[str] | None) -> WrittenCase:
    """A test case of an answer.

    Args:
        value: as the model wrote it.
        tools: names of the agent's tools; None if they are not known.

    Raises:
        UnreadableError: it cannot be used, and why.
    """
    case = _validated(WrittenCase, value)
    _refuse_templates(case)
    _refuse_unknown_tools(case.expected_tools, tools)
    return case


def read_changes(value: JsonValue, tools: Collection[str] | None) -> WrittenChanges:
    """The changes of an answer; see :func:`read_case`."""
    changes = _validated(WrittenChanges, value)
    if not changes.written():
        raise UnreadableError("nothing would change; write at least one field that is not null")
    _refuse_unknown_tools(changes.expected_tools or (), tools)
    return changes


def _validated(form: type[Any], value: JsonValue) -> Any:
    if not isinstance(value, dict):
        raise UnreadableError(f"{excerpt(value)} is not an object with the fields of a test case")
    try:
        return form.model_validate(_tidied(cast("dict[str, JsonValue]", value), whole=form is WrittenCase))
    except ValidationError as error:
        told = [
            f"{'.'.join(map(str, item['loc'])) or 'the case'}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()[:_SHOWN]
        ]
        raise UnreadableError("; ".join(told)) from error


def _tidied(fields: Mapping[str, JsonValue], *, whole: bool) -> dict[str, Any]:
    """The fields without nulls; a text where a list is expected is a list of one, and an empty text of a list none.

    Args:
        fields: as a model wrote them.
        whole: they are a whole case, in which an empty text or object stands for nothing; in changes it takes out.
    """
    made: dict[str, Any] = {name: value for name, value in fields.items() if value is not None}
    for name in _LISTS & made.keys():
        if isinstance(text := made[name], str):
            made[name] = [text] if text.strip() else []
    for name in {"first_message", "persona"} & made.keys():
        if not made[name] and (whole or name == "persona"):
            del made[name]
    if isinstance(made.get("expected_tools"), list):
        made["expected_tools"] = [_tool(item) for item in cast("list[Any]", made["expected_tools"])]
    if isinstance(made.get("tags"), list):
        made["tags"] = [tag for tag in cast("list[Any]", made["tags"]) if tag != ""]
    if isinstance(turns := made.get("max_turns"), str) and turns.strip().isdecimal():
        made["max_turns"] = int(turns)
    return made


def _tool(item: Any) -> Any:
    """A tool, of which only the name or a mapping of arguments may have been written."""
    if isinstance(item, str):
        return {"tool": item}
    if not isinstance(item, dict):
        return item
    fields = {name: value for name, value in cast("dict[str, Any]", item).items() if value is not None}
    if isinstance(given := fields.get("arguments"), dict):
        fields["arguments"] = [{"name": name, "value": value} for name, value in cast("dict[str, Any]", given).items()]
    return fields


def _refuse_templates(case: WrittenCase) -> None:
    for text in (case.situation, case.goal, case.first_message or "", *case.criteria):
        if found := placeholders(text):
            raise UnreadableError(f"{{{{{found[0]}}}}} is a placeholder; write the value itself")


def _refuse_unknown_tools(calls: Sequence[WrittenTool], tools: Collection[str] | None) -> None:
    for call in calls:
        if tools is not None and call.tool not in tools:
            known = listed(sorted(tools)) or "none"
            raise UnreadableError(f"expected_tools: the agent has no tool {excerpt(call.tool)}; its tools: {known}")


# To and from scenarios


def scenario_of(case: WrittenCase, name: str, persona: str | None, annotations: Mapping[str, str]) -> Scenario:
    """The scenario that a case becomes.

    Args:
        case: as it was written.
        name: that no other has.
        persona: name of its persona; None for none.
        annotations: notes on where it comes from.
    """
    said = (SeedMessage(role="user", content=case.first_message),) if case.first_message else ()
    return Scenario(
        name=name,
        description=case.situation,
        goal=case.goal,
        tags=(TAG, *(tag for tag in dict.fromkeys(case.tags) if tag != TAG)),
        annotations=dict(annotations),
        messages=said,
        criteria=case.criteria,
        checks=checks_of(case.expected_tools),
        personas=(persona,) if persona else (),
    )


def persona_of(written: CasePersona, name: str) -> Persona:
    """The persona that a case names."""
    return Persona(name=name, description=written.description)


def checks_of(calls: Sequence[WrittenTool]) -> tuple[CheckSpec, ...]:
    """The checks that expected tools become: those without arguments share one."""
    plain = list(dict.fromkeys(call.tool for call in calls if not call.arguments))
    checks = [CheckSpec(type=CALLED, params={"tools": plain})] if plain else []
    for call in calls:
        if call.arguments:
            expected = {item.name: item.value for item in call.arguments}
            checks.append(CheckSpec(type=CALLED_WITH, params={"tool_name": call.tool, "expected_args": expected}))
    return tuple(checks)


def calls_of(checks: Sequence[CheckSpec]) -> list[dict[str, JsonValue]]:
    """The expected tools that checks say, in the form in which a model writes them."""
    found: list[dict[str, JsonValue]] = []
    for check in checks:
        if check.type == CALLED and isinstance(tools := check.params.get("tools"), list):
            found += [{"tool": str(tool), "arguments": []} for tool in cast("list[object]", tools)]
        elif check.type == CALLED_WITH and isinstance(given := check.params.get("expected_args"), dict):
            arguments = cast("dict[str, JsonValue]", given)
            found.append(
                {
                    "tool": str(check.params.get("tool_name", check.params.get("tool", ""))),
                    "arguments": [{"name": name, "value": value} for name, value in arguments.items()],
                }
            )
    return found


def expects_tools(check: CheckSpec) -> bool:
    """Whether a check is one of those that expected tools become."""
    return check.type in {CALLED, CALLED_WITH} and bool(calls_of([check]))
