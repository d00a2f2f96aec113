"""A tool that is ready to be called, with the JSON Schemas of its arguments and results, compiled once.

The validator is the one of the check ``json_schema`` (extra ``checks``). A schema that only asks for an object, as that
of a tool without arguments does, needs no validator.
"""

from __future__ import annotations

import json
from typing import Any, cast

from duologue.agents.tools.call import Run, ToolFault
from duologue.config.json_schema import schema_validator
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.messages import JsonValue

_MOST_FAULTS = 3
_SAYS_NOTHING = {"type", "description", "title", "$schema"}


class Schema:
    """A schema that is ready for use.

    Raises:
        ConfigurationError: it is no JSON Schema; names the tool and the field.
        MissingExtraError: the extra ``checks`` is not installed.
    """

    def __init__(self, schema: dict[str, Any], *, tool: str, field: str) -> None:
        self._schema = schema
        self._tool = tool
        try:
            self._validator = schema_validator(schema, f"the {field} of a tool")
        except ConfigurationError:
            raise
        except ValueError as error:
            raise ConfigurationError(f"tool '{tool}': {field} must be {error}") from error
        self._field = field

    def check_arguments(self, arguments: dict[str, JsonValue]) -> None:
        """Raises ToolFault with what is wrong with the arguments."""
        if not self._follows(arguments):
            raise arguments_fault(self._tool, self._faults(arguments))

    def fitted(self, value: JsonValue) -> JsonValue:
        """A result that follows the schema: the value itself, or with numbers, booleans and texts taken for each other.

        Raises:
            ToolFault: it does not follow the schema even so.
        """
        if self._follows(value):
            return value
        fitted = _coerced(value, self._schema)
        if not self._follows(fitted):
            # Not called a validation error: checks would take that for wrong arguments.
            raise ToolFault(f"tool {self._tool} answered out of form (result_invalid): {self._faults(value)}")
        return fitted

    def _follows(self, value: JsonValue) -> bool:
        try:
            return self._validator.is_valid(value)
        except Exception as error:  # a reference that leads nowhere only shows now, as one of many classes
            told = f"{type(error).__name__}: {error}"
            raise ConfigurationError(f"tool '{self._tool}': {self._field} cannot be applied: {told}") from error

    def _faults(self, value: JsonValue) -> str:
        errors = sorted(self._validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
        told = "; ".join(f"{error.json_path}: {error.message[:200]}" for error in errors[:_MOST_FAULTS])
        return f"{told}; and {len(errors) - _MOST_FAULTS} more" if len(errors) > _MOST_FAULTS else told


@frozen(slots=True)
class BoundTool:
    """A tool that is ready to be called.

    Attributes:
        names: what it may be called; the first is what a cassette finds it by.
        arguments, results: their forms; None for any.
        run: runs it.
        outside: whether it reaches outside the process, so that a cassette records it.
    """

    names: tuple[str, ...]
    arguments: Schema | None
    results: Schema | None
    run: Run
    outside: bool


def schema_of(schema: dict[str, Any], *, tool: str, field: str) -> Schema | None:
    """A schema that is ready for use; None for one that any JSON object, or anything at all, follows."""
    if not schema or (schema.keys() <= _SAYS_NOTHING and schema.get("type") == "object" and field == "input_schema"):
        return None
    return Schema(schema, tool=tool, field=field)


def arguments_fault(tool: str, what: str) -> ToolFault:
    """The fault of a call with wrong arguments, in the words that checks know."""
    return ToolFault(f"tool {tool} validation error (args_invalid): {what}")


def _coerced(value: JsonValue, schema: object) -> JsonValue:
    """The value with scalars turned into what the schema asks for, as far as nothing is lost by it."""
    if not isinstance(schema, dict):
        return value
    rules = cast("dict[str, Any]", schema)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", rules.get("properties") or {})
        items = cast("dict[str, JsonValue]", value).items()
        return {key: _coerced(item, fields.get(key)) for key, item in items}
    if isinstance(value, list):
        return [_coerced(item, rules.get("items")) for item in cast("list[JsonValue]", value)]
    wanted = rules.get("type")
    return _scalar(value, wanted) if isinstance(wanted, str) else value


def _scalar(value: JsonValue, wanted: str) -> JsonValue:
    if wanted == "string" and isinstance(value, (int, float)):
        return json.dumps(value)
    if not isinstance(value, str):
        return value
    if wanted == "boolean" and value.casefold() in {"true", "false"}:
        return value.casefold() == "true"
    if wanted in {"number", "integer"}:
        return _number(value)
    return value


def _number(text: str) -> JsonValue:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
