"""Error messages for checks as they are written: the type, the parameter, what was found, what is expected."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from duologue.checks.base import CheckType
from duologue.config.spec import Spec
from duologue.errors import ConfigurationError
from duologue.specs.checks import When

S = TypeVar("S", bound=Spec)

_SHOWN = 80
_SHARES = ("min_score", "max_score", "pass_threshold")


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the most similar known name, or ''."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"; did you mean '{matches[0]}'?" if matches else ""


def unknown_type(name: str, known: Iterable[str]) -> ConfigurationError:
    """The error for a type that nobody registered."""
    names = sorted(known)
    return ConfigurationError(
        f"unknown check type '{name}'{nearest(name, names)} Known types: {', '.join(names)}. "
        "To use a function of your own, write 'module:function'."
    )


def refused(label: str, model: type[CheckType], given: Mapping[str, Any], error: ValidationError) -> ConfigurationError:
    """The error for parameters that the model did not take; all of them at once."""
    items = error.errors(include_url=False)
    for item in items:
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, ConfigurationError):  # such as a package that is not installed: it says what to do
            return cause
    missing = [str(item["loc"][0]) for item in items if item["type"] == "missing" and len(item["loc"]) == 1]
    told = [_told(model, given, item, missing) for item in items]
    said = "; ".join(told).rstrip(".")
    return ConfigurationError(f"{label}: {said}{'' if said.endswith('?') else '.'} Parameters: {allowed(model)}.")


def validated(model: type[S], written: Mapping[str, Any], label: str) -> S:
    """What is written, as a spec. Raises ConfigurationError with everything that is wrong with it."""
    try:
        return model.model_validate(dict(written))
    except ValidationError as error:
        wrong = [_told_of_field(model, item) for item in error.errors(include_url=False)]
        said = "; ".join(wrong)
        raise ConfigurationError(f"{label}: {said}{'' if said.endswith('?') else '.'}") from error


def allowed(model: type[CheckType]) -> str:
    """The parameters of a type, required ones first, with their other names."""
    fields = sorted(model.model_fields.items(), key=lambda item: not item[1].is_required())
    if not fields:
        return "none"
    return ", ".join(_described(model, name, field.is_required()) for name, field in fields)


def shown(value: Any) -> str:
    """A value for an error message, cut short."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def written(name: str) -> str:
    """A parameter as suites write it: one that Python or pydantic would mistake ends in ``_`` in the model."""
    return name.rstrip("_")


def _described(model: type[CheckType], name: str, required: bool) -> str:
    others = [other for other, real in model.renamed.items() if real == name and other != written(name)]
    words = [*(["required"] if required else []), *([f"or {', '.join(others)}"] if others else [])]
    return f"{written(name)} ({'; '.join(words)})" if words else written(name)


def _told_of_field(model: type[Spec], item: Any) -> str:
    path = ".".join(map(str, item["loc"]))
    if item["type"] == "extra_forbidden":
        names = {**model.model_fields, **When.model_fields}
        return f"unknown field '{path}' (found {shown(item['input'])}){nearest(str(item['loc'][-1]), names)}"
    if item["type"] == "missing":
        return f"the field '{path}' is missing"
    return f"{path}: found {shown(item['input'])}; expected {_expected(item)}"


def _expected(item: Any) -> str:
    if item["loc"] and item["loc"][-1] in _SHARES:
        return "a number between 0 and 1"
    text = str(item["msg"]).removeprefix("Value error, ").removeprefix("Input should be ")
    return text[:1].lower() + text[1:]


def _told(model: type[CheckType], given: Mapping[str, Any], item: Any, missing: list[str]) -> str:
    path = ".".join([written(str(part)) for part in item["loc"]]) or "parameters"
    if item["type"] == "extra_forbidden":
        name = str(item["loc"][-1])
        hint = nearest(name, [*map(written, model.model_fields), *model.renamed]) if len(item["loc"]) == 1 else ""
        if not hint and len(missing) == 1:
            hint = f"; did you mean '{written(missing[0])}'?"
        return f"unknown parameter '{path}' (found {shown(item['input'])}){hint}"
    if item["type"] == "missing":
        return f"the parameter '{path}' is missing"
    where = f"parameter '{path}'" if item["loc"] else "parameters"
    value = item["input"] if item["loc"] else dict(given)
    return f"{where}: found {shown(value)}; expected: {_expected(item)}"
