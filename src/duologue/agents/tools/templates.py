"""Templates of mock answers and addresses: ``{{.city}}`` and ``{{city}}`` stand for arguments of the call.

A path such as ``{{.user.name}}`` or ``{{.items.0}}`` goes into objects and arrays. What is not there is empty. Anything
else between braces is refused when the template is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import cast

from duologue.errors import ConfigurationError
from duologue.messages import JsonValue

_FIELD = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_PATH = re.compile(r"\.?[\w-]+(\.[\w-]+)*")
_MISSING = object()


class Template:
    """A text with fields, read once.

    Attributes:
        names: the arguments that it uses.

    Raises:
        ConfigurationError: a field is more than a path; says which, and in what.
    """

    def __init__(self, text: str, *, where: str) -> None:
        pieces = _FIELD.split(text)
        self._texts = pieces[::2]
        self._paths = [_path(field, where) for field in pieces[1::2]]
        self.names = frozenset(path[0] for path in self._paths)

    def filled(self, values: dict[str, JsonValue], spell: Callable[[JsonValue], str] | None = None) -> str:
        """The text with the values in place of its fields, each spelled by ``spell``: by default a text as it is."""
        if not self._paths:
            return self._texts[0]
        spelled = [_found(path, values, spell or plain) for path in self._paths]
        return "".join(piece for pair in zip(self._texts, [*spelled, ""], strict=True) for piece in pair)


def plain(value: JsonValue) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def within_json(value: JsonValue) -> str:
    """The same, where the template puts the value between the quotes of a JSON text."""
    return json.dumps(value, ensure_ascii=False)[1:-1] if isinstance(value, str) else plain(value)


def _path(field: str, where: str) -> tuple[str, ...]:
    if not _PATH.fullmatch(field):
        raise ConfigurationError(
            f"{where}: '{{{{{field}}}}}' cannot be filled in; a field is the name of an argument or a path to a part "
            "of it, such as {{.city}} or {{.user.name}}"
        )
    return tuple(field.lstrip(".").split("."))


def _found(path: tuple[str, ...], values: dict[str, JsonValue], spell: Callable[[JsonValue], str]) -> str:
    value: object = values
    for step in path:
        value = _step(value, step)
    return "" if value is _MISSING else spell(value)


def _step(value: object, step: str) -> object:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).get(step, _MISSING)
    if isinstance(value, list) and step.isdecimal():
        items = cast("list[object]", value)
        return items[int(step)] if int(step) < len(items) else _MISSING
    return _MISSING
