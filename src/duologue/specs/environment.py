"""``${NAME}`` and ``${NAME:-default}``: environment variables in addresses, headers, keys and paths.

References stay as they are written while a suite is in memory, so that no key gets into a plan, a journal or a
converted file. They are filled in when something is used. What people say to each other is never touched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from duologue.config.positions import Position
from duologue.errors import ConfigurationError
from duologue.specs.spec import Spec

S = TypeVar("S", bound=Spec)

_REFERENCE = re.compile(r"\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}")


def expand(text: str, environment: Mapping[str, str] | None = None) -> str:
    """The text with the values of its references.

    Args:
        text: such as ``https://${HOST:-localhost}/v1``.
        environment: variables; None for the process's own.

    Raises:
        ConfigurationError: a variable is not set and has no default.
    """
    variables = os.environ if environment is None else environment

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[2]
        if variables.get(name):
            return variables[name]
        if default is None:
            raise ConfigurationError(
                f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            )
        return default

    return _REFERENCE.sub(value, text)


def missing(text: str, environment: Mapping[str, str] | None = None) -> list[str]:
    """The variables that a text needs and that are not set."""
    variables = os.environ if environment is None else environment
    return [name for name, default in _found(text) if default is None and not variables.get(name)]


def filled(spec: S, environment: Mapping[str, str] | None = None) -> S:
    """A copy of a spec, and of all specs within it, with its references filled in.

    Raises:
        ConfigurationError: a variable is not set and has no default; the field is named.
    """
    changes: dict[str, Any] = {}
    for name, value in spec:
        if name in spec.environment_fields:
            changes[name] = _filled_value(spec, name, value, environment)
        elif isinstance(value, Spec):
            changes[name] = filled(value, environment)
    return spec.changed(**changes) if changes else spec


def references(spec: Spec) -> Iterator[tuple[Position | None, str]]:
    """Every text of a spec, and of the specs within it, that may name environment variables, with its place."""
    for name, value in spec:
        if name in spec.environment_fields:
            for key, text in _texts(value):
                yield spec.place(name, *key), text
        elif isinstance(value, Spec):
            yield from references(value)
        elif isinstance(value, tuple):
            for item in cast("tuple[Any, ...]", value):
                if isinstance(item, Spec):
                    yield from references(item)


def _texts(value: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield (), value
    elif isinstance(value, dict):
        for key, text in cast("dict[str, Any]", value).items():
            if isinstance(text, str):
                yield (key,), text


def _filled_value(spec: Spec, name: str, value: Any, environment: Mapping[str, str] | None) -> Any:
    try:
        if isinstance(value, dict):
            return {key: expand(text, environment) for key, text in cast("dict[str, str]", value).items()}
        return expand(value, environment) if isinstance(value, str) else value
    except ConfigurationError as error:
        place = spec.place(name)
        raise ConfigurationError(f"{f'{place}: ' if place else ''}{name}: {error}") from error


def _found(text: str) -> list[tuple[str, str | None]]:
    return [(found[1], found[2]) for found in _REFERENCE.finditer(text)]
