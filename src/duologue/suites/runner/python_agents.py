"""Agents that are Python code: ``module:name`` or ``file.py:name`` as a suite writes it.

The name stands for an :class:`AgentAdapter`, its class, a function that returns one, or a function of the input that
answers. It is imported once for all runs of an execution; a class is instantiated for each run.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from duologue.config.entry_points import make_importable
from duologue.config.problems import nearest
from duologue.config.python_files import load_file
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes
from duologue.errors import TargetError
from duologue.integrations import integration_of
from duologue.vocabulary import AgentRole

MakeAgent = Callable[[], AgentAdapter]


def load_agent(target: str, folder: Path, name: str) -> MakeAgent:
    """What makes the agent for a run.

    Args:
        target: ``module:name`` or ``file.py:name``, the file relative to ``folder``.
        folder: of the suite.
        name: of the agent, for reports.

    Returns:
        A function that gives an agent, or raises TargetError where the code that makes it fails.

    Raises:
        TargetError: it cannot be loaded, or is no agent.
    """
    module_name, colon, attribute = target.rpartition(":")
    if not colon or not attribute:
        raise TargetError(f"the agent '{name}': found target '{target}'; expected module:name or file.py:name")
    module = _module(module_name, folder, name)
    try:
        found = getattr(module, attribute)
    except AttributeError as error:
        names = [item for item in vars(module) if not item.startswith("_")]
        raise TargetError(
            f"the agent '{name}': {module_name} has no '{attribute}'{nearest(attribute, names)}"
        ) from error
    return agent_maker(found, target, name)


def agent_maker(found: Any, target: str, name: str) -> MakeAgent:
    """What makes the agent for a run.

    Args:
        found: an :class:`AgentAdapter`, its class, a function that makes one, a function of the input that answers, or
            an agent of a framework.
        target: how it is called where it was found.
        name: of the agent, for reports.

    Raises:
        TargetError: it is none of these.
    """
    if isinstance(found, AgentAdapter):
        return lambda: found
    if inspect.isclass(found) and issubclass(found, AgentAdapter):
        return lambda: _made(found, target, name)
    if (integration := integration_of(found)) is not None:
        return lambda: integration
    if not callable(found):
        raise TargetError(
            f"the agent '{name}': {target} is a {type(found).__name__}; expected an AgentAdapter, its class, a "
            "function, or an agent of a framework that duologue.integrations knows"
        )
    if _takes_nothing(found):
        return lambda: _made(found, target, name)
    return lambda: FunctionAgent(found, name)


def _made(make: Callable[[], Any], target: str, name: str) -> AgentAdapter:
    try:
        value = make()
    except (Exception, SystemExit) as error:
        raise TargetError(f"the agent '{name}': {target}() failed: {type(error).__name__}: {error}") from error
    if isinstance(value, AgentAdapter):
        return value
    if inspect.iscoroutine(value):
        value.close()
    raise TargetError(
        f"the agent '{name}': {target}() returned a {type(value).__name__}; expected an AgentAdapter. A function that "
        "answers takes the AgentInput as its argument."
    )


class FunctionAgent(AgentAdapter):
    """A function of the :class:`AgentInput` as an agent. One that is not async runs in a thread."""

    role: ClassVar[AgentRole] = AgentRole.AGENT

    def __init__(self, function: Callable[[AgentInput], Any], name: str) -> None:
        self._function = function
        self._name = name
        self._is_async = inspect.iscoroutinefunction(function)
        self.reports_tool_calls: bool | None = getattr(function, "reports_tool_calls", None)

    @property
    def name(self) -> str:
        """What the suite calls it."""
        return self._name

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """What the function answers."""
        if self._is_async:
            return await self._function(input)
        answer = await in_thread(lambda: self._function(input))
        return await answer if inspect.isawaitable(answer) else answer


def _module(written: str, folder: Path, name: str) -> ModuleType:
    if written == "given":
        raise TargetError(
            f"the agent '{name}' is one that a program hands over, and this program has not: "
            f"pass agents={{'{name}': …}}"
        )
    try:
        if written.endswith(".py"):
            return load_file(folder / written)
        make_importable(folder)
        return importlib.import_module(written)
    except TargetError as error:
        raise TargetError(f"the agent '{name}': {error}") from error
    except (Exception, SystemExit) as error:
        raise TargetError(f"the agent '{name}': {written} cannot be loaded: {type(error).__name__}: {error}") from error


def _takes_nothing(function: Callable[..., Any]) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # written in C: it does not say what it takes
        return False
    return not any(item.kind in {item.POSITIONAL_ONLY, item.POSITIONAL_OR_KEYWORD} for item in parameters)


T = TypeVar("T")


async def in_thread(call: Callable[[], T]) -> T:
    """What the call returns or raises. Cancelling the wait does not stop the call: nothing can."""
    outcome: Future[T] = Future()
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(_settle, call, outcome), name="duologue-agent", daemon=True)
    thread.start()
    return await asyncio.wrap_future(outcome)


def _settle(call: Callable[[], T], outcome: Future[T]) -> None:
    if not outcome.set_running_or_notify_cancel():
        return
    try:
        value = call()
    except BaseException as error:  # noqa: BLE001 - it is raised where the outcome is awaited
        outcome.set_exception(error)
    else:
        outcome.set_result(value)
