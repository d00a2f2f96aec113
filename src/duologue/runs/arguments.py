"""Arguments of the runs API, which programs and services fill with what they were given: checked by their types.

What is no text, no number or no list would fail somewhere in a database, and in each kind of it differently. It is
refused before anything is asked: with the name of the argument, what was found and what is expected.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache, wraps
from types import NoneType, UnionType
from typing import Any, ParamSpec, TypeVar, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from duologue.errors import ConfigurationError

C = TypeVar("C")
P = ParamSpec("P")
T = TypeVar("T")

_LONGEST = 80
"""Characters of a value that are shown."""
_LARGEST = 2**63
"""What no column of whole numbers takes."""


def checked(cls: type[C]) -> type[C]:
    """A class whose public coroutine functions refuse arguments of other types than they are declared with."""
    for name, method in tuple(vars(cls).items()):
        if not name.startswith("_") and inspect.iscoroutinefunction(method):
            setattr(cls, name, _checked(method))
    return cls


def require(name: str, value: object, hint: Any) -> None:
    """Refuse a value that is not of a type.

    Args:
        name: of the argument.
        value: that it has.
        hint: the type, as annotations have it.

    Raises:
        ConfigurationError: it is of another type.
    """
    if not _fits(value, hint):
        shown = repr(value)
        shown = shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}… ({type(value).__name__})"
        raise ConfigurationError(f"{name} is {shown}; expected {_expected(hint)}")


def _checked(method: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    @wraps(method)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        signature, hints = _declared(method)
        bound = signature.bind(*args, **kwargs)
        for name, value in bound.arguments.items():
            if name not in hints:
                continue
            match signature.parameters[name].kind:
                case inspect.Parameter.VAR_POSITIONAL:
                    for item in value:
                        require(name, item, hints[name])
                case inspect.Parameter.VAR_KEYWORD:
                    pass  # whoever takes them knows their names, and checks them
                case _:
                    require(name, value, hints[name])
        return await method(*args, **kwargs)

    return call


@cache
def _declared(method: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Any]]:
    """Parameters of a function and their types. Read when it is first called, because that takes a while."""
    return inspect.signature(method), get_type_hints(method)


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in {Union, UnionType}:
        return any(_fits(value, part) for part in get_args(hint))
    if hint in {int, float}:
        return _is_number(value, hint)
    kind = Mapping if is_typeddict(hint) else origin or hint
    if hint is Any or not isinstance(kind, type):
        return True
    return isinstance(value, kind) and _content_fits(value, hint)


def _is_number(value: object, hint: type) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return hint is float or (isinstance(value, int) and -_LARGEST <= value < _LARGEST)


def _content_fits(value: object, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Sequence and isinstance(value, str | bytes):
        return False
    if isinstance(value, Mapping) and len(parts) == 2:
        items = cast("Mapping[object, object]", value).items()
        return all(_fits(key, parts[0]) and _fits(item, parts[1]) for key, item in items)
    if isinstance(value, Sequence) and len(parts) == 1:
        return all(_fits(item, parts[0]) for item in cast("Sequence[object]", value))
    return True


def _expected(hint: Any) -> str:
    """A type in words."""
    if get_origin(hint) in {Union, UnionType}:
        return " or ".join(dict.fromkeys(_expected(part) for part in get_args(hint)))
    words = {NoneType: "None", str: "a text", bool: "True or False", int: "a whole number", float: "a number"}
    if hint in words:
        return words[hint]
    kind, parts = get_origin(hint) or hint, get_args(hint)
    if kind in {Mapping, dict}:
        return "a mapping of texts" if parts[1:] == (str,) else "a mapping"
    if kind in {Sequence, list, tuple}:
        return "a list of texts" if parts == (str,) else "a list"
    return f"a {kind.__name__}"
