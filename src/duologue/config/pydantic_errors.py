"""Validation errors of pydantic in terms of a file: the place, what was found, what is expected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from duologue.config.problems import Mark, Problems, hint, join, listed, locate, nearest, shown
from duologue.config.yaml_reader import OLD_BOOLEANS
from duologue.errors import Position

M = TypeVar("M", bound=BaseModel)

_EXPECTED = {
    "string_type": "a text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping ('name: value' lines)",
    "model_type": "a mapping ('name: value' lines)",
    "string_too_short": "a text that is not empty",
    "finite_number": "a finite number",
    "too_short": "at least one item",
}


Advice = Mapping[type, Mapping[str, str]]
"""Why a field that is not known here is not supported, by model and field."""


def checked(
    model: type[M],
    data: Any,
    problems: Problems,
    *,
    names: Mapping[str, str] | None = None,
    unsupported: Advice | None = None,
) -> M | None:
    """The model of placed data; None, with a problem for each mistake, if it is invalid.

    Args:
        model: what the data should be.
        data: placed data.
        problems: takes what is wrong.
        names: names of fields that are written differently in the file, by the model's name.
        unsupported: fields that get advice instead of "unknown field".
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            _report(model, data, cast("Mapping[str, Any]", item), problems, names or {}, unsupported or {})
        return None


def _report(
    model: type[BaseModel],
    data: Any,
    item: Mapping[str, Any],
    problems: Problems,
    names: Mapping[str, str],
    unsupported: Advice,
) -> None:
    loc = [part for part in item["loc"] if isinstance(part, (str, int))]
    mark, _ = locate(data, loc)
    mark = mark or Mark("?", "", 0, 0, 0, 0)
    kind = str(item["type"])
    if kind == "extra_forbidden":
        owner = _model_at(model, loc[:-1])
        name = str(loc[-1])
        why = unsupported.get(owner, {}).get(name) if owner else None
        if why:
            problems.error(mark.key(), f"'{name}' is not supported: {why}. Remove it")
            return
        known = [names.get(name, name) for name in _fields_of(owner)]
        problems.error(mark.key(), f"unknown field '{name}'{hint(name, known)} Fields here: {listed(known)}")
    elif kind == "missing":
        name = names.get(str(loc[-1]), str(loc[-1]))
        place = _home(data, loc[:-1]) or mark
        problems.error(_within(place, name), f"the field '{name}' is missing")
    elif not (kind == "too_short" and item["input"]) and not problems.has_error_at(mark.value()):
        problems.error(
            mark,
            _refused(item, mark) + _fields_advice(kind, [names.get(n, n) for n in _fields_of(_model_at(model, loc))]),
        )


def _home(data: Any, loc: Sequence[str | int]) -> Mark | None:
    return locate(data, loc)[0]


def _within(mark: Mark, name: str) -> Position:
    place = mark.value()
    return Position(place.file, place.line, place.column, join(place.field, name))


def _refused(item: Mapping[str, Any], mark: Mark) -> str:
    kind, value = str(item["type"]), item["input"]
    if kind == "bool_type" and isinstance(value, str) and value.lower() in OLD_BOOLEANS:
        meant = "true" if value.lower() in {"y", "yes", "on"} else "false"
        return f"found {value}, which is a text: only true and false are booleans in YAML 1.2. Write {meant}"
    if kind == "literal_error":
        allowed = [part.strip("'") for part in str(item["ctx"]["expected"]).replace(" or ", ", ").split(", ")]
        similar = nearest(value, allowed) if isinstance(value, str) else ""
        return f"found {shown(value)}; expected one of {listed(allowed)}{similar}"
    if kind == "value_error" and isinstance(value, dict):
        return f"expected {_expected(kind, item)}"
    return f"found {shown(value)}; expected {_expected(kind, item)}{_advice(kind, value, mark)}"


def _advice(kind: str, value: Any, mark: Mark) -> str:
    if value is None:
        return ". Give it a value, or remove the line"
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        return f'. Put it in quotes: "{mark.raw or str(value).lower()}"'
    if kind in {"tuple_type", "list_type"} and isinstance(value, (str, dict)):
        return ". Begin each item with '- '"
    return ""


def _fields_advice(kind: str, fields: Sequence[str]) -> str:
    return f". Fields here: {listed(fields)}" if kind == "model_type" and fields else ""


def _expected(kind: str, item: Mapping[str, Any]) -> str:
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    text = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ").removeprefix("a valid ")
    return text[:1].lower() + text[1:]


def _model_at(model: type[BaseModel], loc: Sequence[str | int]) -> type[BaseModel] | None:
    """The model that a path leads to; None if it leads to something else."""
    annotation: Any = model
    for part in loc:
        annotation = _step(_model_or_origin(annotation), part)
    found = _model_or_origin(annotation)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else None


def _fields_of(model: type[BaseModel] | None) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()] if model else []


def _model_or_origin(annotation: Any) -> Any:
    """The annotation without Annotated and None."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in {Union, UnionType}:
            annotation = next((arg for arg in get_args(annotation) if arg is not type(None)), None)
        else:
            return annotation


def _step(annotation: Any, part: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        info = annotation.model_fields.get(str(part))
        return info.annotation if info else None
    arguments = get_args(annotation)
    if not arguments:
        return None
    return arguments[1] if get_origin(annotation) is dict else arguments[0]
