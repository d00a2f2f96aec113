"""Functions of users, which may be async or not: those that are not run in a thread, so that no call waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from inspect import isawaitable, iscoroutinefunction
from typing import ParamSpec, TypeVar, cast

P = ParamSpec("P")
T = TypeVar("T")


async def called(function: Callable[P, Awaitable[T] | T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function gives: awaited if it is async, else from a thread."""
    if iscoroutinefunction(function):
        return await cast("Awaitable[T]", function(*args, **kwargs))
    given = await asyncio.to_thread(function, *args, **kwargs)
    return cast("T", await given if isawaitable(given) else given)
