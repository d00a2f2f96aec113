"""JSON that came over a wire, or values of a program, as data that knows its fields: for the same problems as a file.

A file's problems have lines; those of JSON have the path of a field, such as ``turns[0].role``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from pydantic_core import from_json

from duologue.config.problems import Mark, PlacedDict, PlacedList, Problems, join
from duologue.errors import NOWHERE, ConfigurationError, Position, Problem, SuiteError

MAX_VALUES = 50_000
"""Values that an object may hold, at all depths: each takes a hundred times the memory of the text."""
_SEPARATORS = (b",", b"[", b"{")
_MOST_SEPARATORS = 40 * MAX_VALUES
"""The same, counted in the text, so that more is not even read. Those within texts are among them."""


def read_json_object(content: bytes | str, what: str = "the body") -> PlacedDict:
    """A JSON object.

    Args:
        content: UTF-8.
        what: it is, for errors.

    Raises:
        ConfigurationError: it is no JSON, or no object, or holds too much.
    """
    encoded = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    if sum(map(encoded.count, _SEPARATORS)) > _MOST_SEPARATORS:
        raise _too_many(what)
    try:
        data = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise ConfigurationError(f"{what} is no JSON: {error}") from error
    if _holds_more(data, MAX_VALUES):
        raise _too_many(what)
    made = placed(data)
    if not isinstance(made, PlacedDict):
        raise ConfigurationError(f"{what} is {_named(data)}; expected a JSON object")
    return made


def _holds_more(data: Any, most: int) -> bool:
    """Whether there are more values than that."""
    left = most
    waiting: list[Any] = [data]
    while waiting:
        value = waiting.pop()
        items: Collection[Any] = ()
        if isinstance(value, dict):
            items = cast("dict[str, Any]", value).values()
        elif isinstance(value, list):
            items = cast("list[Any]", value)
        left -= len(items)
        if left < 0:
            return True
        waiting += (item for item in items if isinstance(item, dict | list))
    return False


def _too_many(what: str) -> ConfigurationError:
    return ConfigurationError(f"{what} holds more than {MAX_VALUES:,} values; send it in parts")


def placed(value: Any, path: str = "") -> Any:
    """The same data, in which each mapping and list knows the path of its fields. What is placed stays as it is."""
    if isinstance(value, (PlacedDict, PlacedList)):
        return value
    home = Mark(NOWHERE, path, 0, 0, 0, 0)
    if isinstance(value, Mapping):
        made = PlacedDict(home)
        for key, item in cast("Mapping[str, Any]", value).items():
            inner = join(path, str(key))
            made.put(key, placed(item, inner), home._replace(field=inner))
        return made
    if isinstance(value, list | tuple):
        items = PlacedList(home)
        for index, item in enumerate(cast("Sequence[Any]", value)):
            inner = join(path, index)
            items.add(placed(item, inner), home._replace(field=inner))
        return items
    return value


def require_fields(data: PlacedDict, known: Sequence[str]) -> None:
    """Refuse fields that there are not.

    Raises:
        SuiteError: with each of them.
    """
    from duologue.config.problems import hint, listed

    problems = Problems()
    for name in data:
        if name not in known:
            problems.error(
                data.mark(name).key(), f"unknown field '{name}'{hint(name, known)} Fields here: {listed(known)}"
            )
    problems.raise_errors()


def at(path: str) -> Position:
    """The place of a field in JSON."""
    return Position(NOWHERE, field=path)


def refused(path: str, message: str) -> SuiteError:
    """The error for one field."""
    return SuiteError(f"{path}: {message}" if path else message, [Problem(at(path), message)])


def _named(value: object) -> str:
    names: dict[type, str] = {list: "a list", str: "a text", bool: "a boolean", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), "something else")
