"""One test case as the engine plays it: agent and simulated user take turns until one of them, or time, ends it.

Runtimes in text and in voice share it; what they differ in is the agent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from duologue.agents.users.persona import Persona
from duologue.agents.users.scripted import ScriptedUser
from duologue.agents.users.simulator import UserSimulatorAgent
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.errors import RunCancelledError
from duologue.runtimes.base import (
    AgentSnapshot,
    CaseSnapshot,
    EvalRuntime,
    RunSnapshot,
    RuntimeRunArgs,
    TestCaseRunResult,
)
from duologue.runtimes.config import RunConfig, UserSimulatorConfig, model_name
from duologue.settings import DEFAULT_AGENT_TIMEOUT, DEFAULT_MAX_TURNS, effective_config
from duologue.vocabulary import RunStatus

USER, AGENT = 0, 1
"""Places of the participants."""
_PROBE_SECONDS = 10.0
_CLOSE_SECONDS = 10.0
"""That an agent may take to be closed, and a cancelled conversation to end."""


async def played(
    runtime: EvalRuntime, agent: AgentAdapter, args: RuntimeRunArgs, left: float
) -> tuple[ScenarioExecutor, ScenarioResult]:
    """Play a test case. What went wrong is ``executor.failure``.

    Args:
        runtime: that drives it.
        agent: as a participant.
        args: what the runtime was given.
        left: seconds that it may take.

    Raises:
        RunCancelledError: it was cancelled.
    """
    case, run = args.test_case, args.run_snapshot.run_config
    config = effective_config(
        max_turns=run.max_turns or DEFAULT_MAX_TURNS,
        agent_timeout=max(run.agent_timeout or DEFAULT_AGENT_TIMEOUT, 0.001),
        run_timeout=max(left, 0.001),
        verbose=False,
        headless=True,
    ).model_copy(update={"record": None, "debug": False, "cache_key": None})
    executor: ScenarioExecutor

    async def converse(state: ScenarioState) -> ScenarioResult | None:
        return await _converse(executor, case)

    executor = ScenarioExecutor(
        case.name or case.id,
        case.description or case.name or case.id,
        [_user_of(case, run.user_simulator), agent],
        [converse],
        config=config,
        metadata={"test_case_id": case.id, "runtime": str(runtime.KIND)},
    )
    result = await executor.perform()
    if executor.failure is None and result.status is not RunStatus.COMPLETED:
        raise RunCancelledError(f"the test case '{case.name or case.id}' was cancelled")
    return executor, result


async def _converse(executor: ScenarioExecutor, case: CaseSnapshot) -> ScenarioResult | None:
    """Let them take turns; the result that ends the conversation, if one does."""
    ended: ScenarioResult | None = None
    if case.first_turn == "agent":
        ended = await executor.agent(case.first_message or None)
    elif case.first_message:
        ended = await executor.user(case.first_message)
    while ended is None:
        part = await executor.driver.advance()
        if part is None:
            return None
        ended = part if isinstance(part, ScenarioResult) else None
    return ended


def _user_of(case: CaseSnapshot, config: UserSimulatorConfig) -> AgentAdapter:
    """Who plays the user. A model is told who it is and what it wants, and not what the agent is expected to do."""
    if config.mode == "scripted":
        return ScriptedUser(list(config.scripted_messages))
    facts = {name: value if isinstance(value, str) else repr(value) for name, value in case.user_context.items()}
    return UserSimulatorAgent(
        model=model_name(config.model, config.provider),
        api_base=config.api_base,
        temperature=config.temperature,
        persona=Persona(description=case.persona_context or "", facts=facts),
    )


async def unless_cancelled(
    playing: Coroutine[Any, Any, TestCaseRunResult], cancel: asyncio.Event | None
) -> TestCaseRunResult:
    """What comes of it, unless the event is set first: then it is cancelled at once, and waited for."""
    if cancel is None:
        return await playing
    if cancel.is_set():
        playing.close()
        raise RunCancelledError("the execution was cancelled before the test case began")
    task, waiting = asyncio.ensure_future(playing), asyncio.ensure_future(cancel.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if cancel.is_set():
            raise RunCancelledError("the execution was cancelled while the test case was running")
        return await task
    finally:
        waiting.cancel()
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSE_SECONDS)
        elif not task.cancelled():
            task.exception()  # seen


async def closed(closing: Coroutine[Any, Any, None]) -> None:
    """Close something, whatever happens and for no longer than it may take."""
    task = asyncio.ensure_future(closing)
    try:
        await asyncio.wait({asyncio.shield(task)}, timeout=_CLOSE_SECONDS)
    finally:
        if not task.done():
            task.cancel()
        elif not task.cancelled():
            task.exception()  # a conversation that has come to its end is not undone by it


def probe_of(agent: AgentSnapshot) -> RuntimeRunArgs:
    """A test case with the one message ``ping``, to see whether an agent answers."""
    user = UserSimulatorConfig(mode="scripted", scripted_messages=("ping",))
    run = RunConfig(timeout_per_test_case_ms=round(_PROBE_SECONDS * 1000), max_turns=1, user_simulator=user)
    return RuntimeRunArgs(
        test_case=CaseSnapshot(id="probe", name="probe"),
        agent_snapshot=agent,
        run_snapshot=RunSnapshot(run_id="probe", run_config=run),
    )
