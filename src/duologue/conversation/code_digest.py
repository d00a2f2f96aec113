"""Digests of the user's own code that decides a run: a result recorded under other code is no longer valid.

Each function or class counts with its own source, without what it calls. Where there is no source, as of a function
that was typed into an interpreter, nothing is known.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Iterable, Iterator
from types import FunctionType
from typing import Any, cast

_PACKAGE = __name__.partition(".")[0]
_CARRIED = ("function", "test")
"""Attributes under which checks of ours carry the code of somebody else."""


def code_digests(decides: Iterable[object]) -> dict[str, str]:
    """Digests of the code of these steps, checks and judges, by its name; nothing for what is part of this package."""
    found: dict[str, str] = {}
    for item in decides:
        for code in _code_of(item):
            digest = _digest(code)
            if digest is not None:
                name = str(code.__qualname__)  # a file has another module name if it is executed itself
                found[name] = digest if name not in found or found[name] == digest else f"{found[name]}+{digest}"
    return found


def _code_of(item: Any) -> Iterator[Any]:
    parts: list[Any] = [item, *(getattr(item, name, None) for name in _CARRIED), *_inner(item)]
    for part in parts:
        if part is None:  # most items carry nothing
            continue
        inner: Any = part
        while isinstance(inner, functools.partial):
            inner = inner.func
        code: Any = inspect.unwrap(getattr(inner, "__func__", inner)) if callable(inner) else inner
        if not isinstance(code, (FunctionType, type)):
            code = cast("type", type(inner))
        if str(code.__module__).partition(".")[0] not in {_PACKAGE, "builtins"}:
            yield code


def _inner(item: object) -> Iterator[object]:
    function = getattr(getattr(item, "test", None), "function", None)
    if function is not None:
        yield function


def _digest(code: Any) -> str | None:
    return _digest_of(code.__code__ if isinstance(code, FunctionType) else code)


@functools.lru_cache(maxsize=1024)
def _digest_of(code: Any) -> str | None:
    try:
        return hashlib.sha256(inspect.getsource(code).encode("utf-8", "replace")).hexdigest()[:16]
    except (OSError, TypeError):
        return None
