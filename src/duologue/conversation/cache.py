"""``@duologue.cache()``: remember on disk what a function answered, for runs that have a ``cache_key``.

Meant for calls that cost time or money while a test is being written. The key is made of the cache key, the
arguments and the function's own source, so that a changed function or key is called anew, and scenarios that share a
key share the answers. Arguments that
show nothing of their content make a call that is not remembered.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import logging
import os
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from pydantic import BaseModel

from duologue.config.files import OWNER_ONLY, write_atomic
from duologue.conversation.adapter import AgentInput
from duologue.conversation.observers import CURRENT_RUN
from duologue.conversation.result import ScenarioState
from duologue.settings import env

logger = logging.getLogger("duologue.cache")

P = ParamSpec("P")
R = TypeVar("R")

_MISSING = object()


def cache(ignore: Sequence[str] = ()) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Remember what the decorated function answers, sync or async.

    Outside a run, and in runs without a ``cache_key``, the function is simply called.

    Args:
        ignore: names of parameters that do not change the answer. ``self`` is always left out.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        identity = _identity(function)

        def path_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Path | None:
            state = CURRENT_RUN.get()
            if state is None or not state.config.cache_key:
                return None
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = {name: value for name, value in bound.arguments.items() if name not in {"self", *ignore}}
            digest = _digest([state.config.cache_key, identity, given])
            return cache_folder() / f"{digest}.pickle" if digest else None

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def asynchronous(*args: P.args, **kwargs: P.kwargs) -> Any:
                path = path_of(args, kwargs)
                if path is None:
                    return await function(*args, **kwargs)
                value = _load(path)
                return value if value is not _MISSING else _store(path, await function(*args, **kwargs))

            return cast("Callable[P, R]", asynchronous)

        @functools.wraps(function)
        def synchronous(*args: P.args, **kwargs: P.kwargs) -> R:
            path = path_of(args, kwargs)
            if path is None:
                return function(*args, **kwargs)
            value = _load(path)
            return value if value is not _MISSING else _store(path, function(*args, **kwargs))

        return synchronous

    return decorate


def cache_folder() -> Path:
    """``DUOLOGUE_CACHE_DIR`` (or ``SCENARIO_CACHE_DIR``), else the user's cache folder; made when it is first used."""
    given = env("CACHE_DIR")
    if given:
        return Path(given) / "calls"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "duologue" / "calls"


def _identity(function: Callable[..., Any]) -> list[str]:
    try:
        source = inspect.getsource(function)
    except (OSError, TypeError):
        source = ""
    return [function.__module__, function.__qualname__, source]


def _digest(value: object) -> str | None:
    """The key; None where something in it has no content that could be told from another's."""
    try:
        text = json.dumps(value, sort_keys=True, default=_plain)
    except (TypeError, ValueError):
        return None
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=20).hexdigest()


def _plain(value: object) -> object:
    """An argument in the key: its content, without anything that differs from run to run."""
    if isinstance(value, AgentInput):
        request = value.judgment_request
        return {
            "description": value.scenario_state.description,
            "messages": value.messages,
            "new_messages": value.new_messages,
            "request": [request.criteria, request.context] if request else None,
            "turn": value.scenario_state.current_turn,
        }
    if isinstance(value, ScenarioState):
        return {"description": value.description, "messages": value.messages, "turn": value.current_turn}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (set, frozenset)):
        return sorted(str(item) for item in cast("set[object]", value))
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    if hasattr(value, "__dict__"):
        return {"type": kind, "content": vars(value)}
    text = str(value)
    if f"0x{id(value):x}" in text.lower():
        raise TypeError(f"a {kind} shows nothing of its content")
    return f"{kind}:{text}"


def _load(path: Path) -> Any:
    """The remembered answer; a file that cannot be read is as good as none."""
    try:
        return pickle.loads(path.read_bytes())  # noqa: S301 - written by this user, in a folder of this user
    except Exception:  # noqa: BLE001 - damaged pickles raise whatever they like
        return _MISSING


def _store(path: Path, value: R) -> R:
    try:
        content = pickle.dumps(value)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        logger.warning("an answer cannot be remembered, so it is asked for each time: %s", error)
        return value
    write_atomic(path, content, permissions=OWNER_ONLY, durable=False)
    return value
