"""Results as JSON and back. What is written reads back equal.

The one exception is text that is no Unicode at all (halves of surrogate pairs): it is written with ``�`` in its place.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from duologue.errors import ConfigurationError
from duologue.suites.plan.cases import TestCase
from duologue.suites.results.run import RunResult

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA_VERSION = 1
"""Of the files of runs and of the index. It changes when a reader of the old form could not read the new one."""

_OPTIONS: Any = {"inf_nan_mode": "strings", "bytes_mode": "base64", "serialize_unknown": True}
_FIELDS = tuple(field.name for field in fields(RunResult) if field.name != "case")


def encoded(value: object) -> bytes:
    """Any value of a result as compact JSON. What is not a number becomes the text ``NaN`` or ``Infinity``."""
    try:
        return to_json(value, **_OPTIONS)
    except (PydanticSerializationError, UnicodeEncodeError):
        return _repaired(value)


def _repaired(value: object) -> bytes:
    """The slow way, for text that is no Unicode: the same value with ``�`` in its place."""
    return to_json(_unicode(value), **_OPTIONS)


def _unicode(value: Any) -> Any:
    match value:
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            return {_unicode(key): _unicode(item) for key, item in cast("dict[Any, Any]", value).items()}
        case list() | tuple():
            return [_unicode(item) for item in cast("list[Any]", value)]
        case BaseModel():
            return _unicode(dict(value))
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: _unicode(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value


def encoded_run(run: RunResult) -> bytes:
    """A run as the content of its file: its fields, in the words of :class:`RunResult`, and its outcome."""
    data: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "outcome": run.outcome,
        "title": run.case.title,
        "case": run.case.as_data(),
    }
    for name in _FIELDS:
        data[name] = getattr(run, name)
    return encoded(data)


def decoded_run(data: dict[str, Any], place: str) -> RunResult:
    """A run that was written before.

    Args:
        data: the content of its file.
        place: the name of the file, for errors.

    Raises:
        ConfigurationError: it is no run, or was written by a newer version.
    """
    require_version(data, place)
    try:
        return _runs().validate_python({**data, "case": decoded_case(data["case"])})
    except (ValidationError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{place} is not the result of a run: {error}") from error


def decoded_case(data: dict[str, Any]) -> TestCase:
    """A test case, as :meth:`TestCase.as_data` wrote it."""
    perturbation = tuple(cast("dict[str, str]", data.get("perturbation", {})).items())
    values: dict[str, Any] = {**data, "perturbation": perturbation}
    return TestCase(**values)


def require_version(data: dict[str, Any], place: str) -> None:
    """Stop at files that a newer version wrote.

    Raises:
        ConfigurationError: it did.
    """
    version = data.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{place} has schema_version {version!r}, and this version of Duologue reads {SCHEMA_VERSION}: "
            "read it with the version that wrote it, or run the suite again"
        )


@cache
def _runs() -> TypeAdapter[RunResult]:
    from pydantic import TypeAdapter

    return TypeAdapter(RunResult)
