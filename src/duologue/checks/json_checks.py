"""The answer as JSON: that it is some, that it follows a schema, that a path in it has a value.

Needs the extra ``checks`` for schemas and paths. Over a conversation the last answer is read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from duologue.checks.base import CheckType, Finding, broken, finding
from duologue.checks.registry import check
from duologue.checks.subject import Subject, ids_of, listed, same
from duologue.checks.text import Json
from duologue.config.json_path import compiled_path
from duologue.config.json_schema import schema_validator
from duologue.config.json_text import NoJsonError, json_in, json_object, json_spans, kind_of_json
from duologue.messages import JsonValue
from duologue.models.resources import Resources

_MOST_FAULTS = 10


class _Json(CheckType):
    allow_wrapped: bool = False
    """Read the first fenced code block, if there is one that is marked as JSON or not marked at all."""
    extract_json: bool = False
    """If the text as a whole is not JSON, read the longest JSON object or array in it."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        answer = subject.answer
        try:
            value = json_in(answer.text, fenced=self.allow_wrapped, anywhere=self.extract_json)
        except NoJsonError as error:
            return finding(False, f"not JSON: {error}", ids_of([answer]), found=answer.text[:200])
        return self._read(value, ids_of([answer]))

    def _read(self, value: JsonValue, ids: list[str]) -> Finding:
        raise NotImplementedError


@check("json_valid", aliases=["is_valid_json", "valid_json"], family="JSON")
class JsonValid(_Json):
    """The answer is valid JSON."""

    def _read(self, value: JsonValue, ids: list[str]) -> Finding:
        return finding(True, f"JSON: {kind_of_json(value)}", ids, kind=kind_of_json(value))


@check("json_schema", family="JSON")
class JsonSchema(_Json):
    """The answer is JSON that conforms to a JSON Schema. Every violation is reported."""

    renamed: ClassVar = {"schema": "schema_"}

    schema_: dict[str, Any] | None = None
    """JSON Schema, draft 2020-12 unless ``$schema`` says otherwise. It cannot refer to other files."""
    schema_file: str | None = None
    """Path of a file with the schema, instead of ``schema``; relative to the suite file. Read when the check is
    created."""

    @model_validator(mode="after")
    def _schema_is_one(self, info: ValidationInfo) -> JsonSchema:
        if (self.schema_ is None) == (self.schema_file is None):
            raise ValueError("schema, or schema_file")
        if self.schema_file is not None:
            given: dict[str, Any] = info.context or {}
            folder = cast("Path | None", given.get("folder"))
            object.__setattr__(self, "schema_", _schema_from(str((folder or Path()) / self.schema_file)))
        schema_validator(self.schema_ or {}, "the check 'json_schema'")
        return self

    def _read(self, value: JsonValue, ids: list[str]) -> Finding:
        validator = schema_validator(self.schema_ or {}, "the check 'json_schema'")
        try:
            errors = sorted(validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
        except Exception as error:  # noqa: BLE001 - a reference that leads nowhere only shows now, as one of many classes
            return broken(f"the schema cannot be applied: {type(error).__name__}: {error}")
        faults = [f"{error.json_path}: {error.message[:200]}" for error in errors]
        told = "; ".join(faults[:3]) if faults else "follows the schema"
        return finding(not faults, told, ids, faults=faults[:_MOST_FAULTS], fault_count=len(faults))


def _check_expression(expression: str) -> str:
    compiled_path(expression, "the check 'json_path'")
    return expression


@check("json_path", family="JSON")
class JsonPath(_Json):
    """A JMESPath expression, applied to the answer, gives the expected value."""

    renamed: ClassVar = {"jmespath_expression": "expression"}

    expression: Annotated[str, AfterValidator(_check_expression)]
    """JMESPath expression, such as ``items[0].price`` or ``length(items)``."""
    expected: Json = None
    """Expected value, compared deeply. 5 equals 5.0."""
    contains: list[Json] | None = Field(default=None, min_length=1)
    """Values that the result, an array, must contain; or substrings that the result, a text, must contain."""
    min: float | None = None
    """Minimum of the result, which must be a number."""
    max: float | None = None
    """Maximum of the result, which must be a number."""
    min_results: int | None = Field(default=None, ge=0)
    """Minimum number of items in the result, which must be an array."""
    max_results: int | None = Field(default=None, ge=0)
    """Maximum number of items in the result, which must be an array."""

    def _read(self, value: JsonValue, ids: list[str]) -> Finding:
        try:
            result = compiled_path(self.expression, "the check 'json_path'").search(value)
        except ValueError as error:
            told = f"{self.expression} cannot be applied: {' '.join(str(error).split())}"
            return finding(False, told, ids, expression=self.expression)
        wrong = self._wrong(result)
        told = "; ".join(wrong) or f"{self.expression} is {_short(result)}"
        return finding(not wrong, told, ids, expression=self.expression, result=result)

    def _wrong(self, result: JsonValue) -> list[str]:
        wrong: list[str] = []
        seen = f"{self.expression} is {_short(result)}"
        if "expected" in self.model_fields_set and not same(result, self.expected, spelled_alike=False):
            wrong.append(f"{seen}, expected {_short(self.expected)}")
        missing = [item for item in self.contains or [] if not _holds(result, item)]
        if missing:
            wrong.append(f"{seen}, without {_short(missing)}")
        if self.min is not None or self.max is not None:
            wrong += self._out_of_bounds(result, seen)
        if self.min_results is not None or self.max_results is not None:
            wrong += self._wrong_count(result, seen)
        if not self._asks_for_something and result is None:
            wrong.append(f"{self.expression} finds nothing")
        return wrong

    @property
    def _asks_for_something(self) -> bool:
        limits = (self.contains, self.min, self.max, self.min_results, self.max_results)
        return "expected" in self.model_fields_set or any(limit is not None for limit in limits)

    def _out_of_bounds(self, result: JsonValue, seen: str) -> list[str]:
        if isinstance(result, bool) or not isinstance(result, (int, float)):
            return [f"{seen}, expected a number"]
        low = [f"{seen}, at least {self.min:g} expected"] if self.min is not None and result < self.min else []
        high = [f"{seen}, at most {self.max:g} expected"] if self.max is not None and result > self.max else []
        return low + high

    def _wrong_count(self, result: JsonValue, seen: str) -> list[str]:
        if not isinstance(result, list):
            return [f"{seen}, expected an array"]
        count = len(cast("list[Any]", result))
        low, high = self.min_results or 0, self.max_results
        if low <= count and (high is None or count <= high):
            return []
        return [f"{self.expression} has {count} items, expected {low} to {'any number' if high is None else high}"]


def _holds(result: JsonValue, item: JsonValue) -> bool:
    if isinstance(result, str):
        return isinstance(item, str) and item in result
    return isinstance(result, list) and any(
        same(member, item, spelled_alike=False) for member in cast("Sequence[Any]", result)
    )


def _schema_from(path: str) -> dict[str, Any]:
    try:
        return json_object(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"a file with a JSON Schema: {error}") from error


def _short(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 120 else text[:119] + "…"


_FENCE = "`"


@check("commit", family="JSON")
class Commit(CheckType):
    """The answer contains a commitment, a JSON object (or one under the key ``commit``) with all of these fields."""

    renamed: ClassVar = {"fields": "commit_fields"}

    commit_fields: list[str] = Field(default=[])
    """Names of the fields that the commitment must have."""
    must_end_with_commit: bool = True
    """Whether the commitment must be the end of the answer."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        answer = subject.answer
        commitment, rest = last_object(answer.text)
        ids = ids_of([answer])
        if commitment is None:
            return finding(False, "there is no JSON object in the answer", ids)
        inner = commitment.get("commit")
        value = cast("dict[str, JsonValue]", inner) if isinstance(inner, dict) else commitment
        missing = [name for name in self.commit_fields if name not in value]
        if missing:
            return finding(False, f"the commitment lacks {listed(missing)}", ids, commitment=value)
        ends = not rest.strip().strip(_FENCE).strip()
        told = "the answer ends with a commitment" if ends else "the answer goes on after the commitment"
        return finding(ends or not self.must_end_with_commit, told, ids, commitment=value)


def last_object(text: str) -> tuple[dict[str, JsonValue] | None, str]:
    """The last JSON object of a text that is not inside another one, and what follows it; (None, '') without one."""
    spans = list(json_spans(text, opening="{"))
    return (cast("dict[str, JsonValue]", spans[-1].value), text[spans[-1].end :]) if spans else (None, "")
