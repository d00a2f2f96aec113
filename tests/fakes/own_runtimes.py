"""Runtimes of tests, in the registry for as long as a test lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

from pydantic import BaseModel

from duologue.runtimes import (
    AgentSnapshot,
    ConversationTurn,
    EvalRuntime,
    RunMode,
    RuntimeConfig,
    RuntimeRunArgs,
    RuntimeTestResult,
    TestCaseRunResult,
    registry,
)

Hold = Callable[[RuntimeRunArgs], "Awaitable[Any] | Any"]


class HolderConfig(RuntimeConfig):
    """A runtime of a test."""

    kind: Literal["holder"] = "holder"
    """Always ``holder``."""
    greeting: str = "Hello"
    """What the agent says first."""


class Holder(EvalRuntime):
    """Holds the whole conversation by itself, as ``hold`` says."""

    MODE: ClassVar[RunMode] = RunMode.VOICE
    KIND: ClassVar[str] = "holder"
    LABEL: ClassVar[str] = "Holder"
    DESCRIPTION: ClassVar[str] = "Of a test"
    CONFIG: ClassVar[type[BaseModel] | None] = HolderConfig
    hold: ClassVar[Hold]
    seen: ClassVar[list[RuntimeRunArgs]] = []

    def supported_for_platform(self, platform: str | None) -> bool:
        return platform in {None, "vapi"}

    def validate_config(self, runtime_config: BaseModel, agent: AgentSnapshot, session: object) -> None:
        assert isinstance(runtime_config, HolderConfig)
        if not runtime_config.greeting:
            raise ValueError("runtime.greeting: expected a text that is not empty")

    async def test_connection(
        self, runtime_config: BaseModel, agent: AgentSnapshot, session: object
    ) -> RuntimeTestResult:
        return RuntimeTestResult(ok=True, message="there")

    async def run_test_case(self, runtime_config: BaseModel, args: RuntimeRunArgs, session: object) -> Any:
        type(self).seen.append(args)
        found = type(self).hold(args)
        return await found if asyncio.iscoroutine(found) else found


@contextmanager
def registered(*runtimes: type[EvalRuntime]) -> Iterator[None]:
    """These runtimes, beside our own."""
    own = registry._own

    def clear() -> None:
        for cached in (registry._registry, registry.runtime_config_adapter, registry.config_of):
            cached.cache_clear()

    registry._own = lambda: (*own(), *runtimes)
    clear()
    try:
        yield
    finally:
        registry._own = own
        clear()


@contextmanager
def holding(hold: Hold) -> Iterator[list[RuntimeRunArgs]]:
    """The runtime ``holder``, which holds conversations so."""
    Holder.hold, Holder.seen = staticmethod(hold), []
    with registered(Holder):
        yield Holder.seen


def talk(*lines: str, **more: Any) -> TestCaseRunResult:
    """A conversation in which user and agent take turns, the user first."""
    roles = ("user", "assistant")
    return TestCaseRunResult(
        transcript=[
            ConversationTurn(
                role=roles[index % 2],
                content=line,
                index=index,
                latency_ms=100 * index if index % 2 else None,
            )
            for index, line in enumerate(lines)
        ],
        **more,
    )
