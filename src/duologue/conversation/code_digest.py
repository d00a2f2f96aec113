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
    """Its own, and what checks of ours carry of somebody else as their function or test."""
    test = getattr(item, "test", None)
    for part in (item, getattr(item, "function", None), test, getattr(test, "function", None)):
        if part is None:  # most items carry nothing
            continue
        inner: Any = part
        while isinstance(inner, functools.partial):
            inner = inner.func
        code: Any = getattr(inner, "__func__", inner) if callable(inner) else inner
        if hasattr(code, "__wrapped__") and callable(inner):
            code = inspect.unwrap(code)
        if not isinstance(code, (FunctionType, type)):
            code = cast("type", type(inner))
        if not _is_ours(code.__module__):
            yield code


@functools.lru_cache(maxsize=1024)
def _is_ours(module: object) -> bool:
    return str(module).partition(".")[0] in {_PACKAGE, "builtins"}


def _digest(code: Any) -> str | None:
    return _digest_of(code.__code__ if isinstance(code, FunctionType) else code)


@functools.lru_cache(maxsize=1024)
def _digest_of(code: Any) -> str | None:
    try:
        return hashlib.sha256(inspect.getsource(code).encode("utf-8", "replace")).hexdigest()[:16]
    except (OSError, TypeError):
        return None
