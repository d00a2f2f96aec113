"""Test cases and agents as they are handed to a runtime, and what comes back."""

from __future__ import annotations

import asyncio
from typing import Any

from duologue.runtimes import (
    AgentSnapshot,
    CaseSnapshot,
    RunConfig,
    RunSnapshot,
    RuntimeRunArgs,
    TestCaseRunResult,
    UserSimulatorConfig,
    get_runtime,
    read_runtime_config,
)

AGENT = AgentSnapshot(agent_id="agent-1")


def scripted(*lines: str) -> UserSimulatorConfig:
    return UserSimulatorConfig(mode="scripted", scripted_messages=lines)


def args_for(
    *lines: str,
    agent: AgentSnapshot = AGENT,
    cancel: asyncio.Event | None = None,
    case: dict[str, Any] | None = None,
    **run: Any,
) -> RuntimeRunArgs:
    """A test case whose user says these lines."""
    config = RunConfig(**{"user_simulator": scripted(*(lines or ("hello",))), "agent_timeout": 20.0, **run})
    return RuntimeRunArgs(
        test_case=CaseSnapshot(**{"id": "case-1", "name": "a case", "description": "You want help.", **(case or {})}),
        agent_snapshot=agent,
        run_snapshot=RunSnapshot(run_id="run-1", run_config=config, cancel_event=cancel),
    )


async def run(config: dict[str, Any], args: RuntimeRunArgs) -> TestCaseRunResult:
    """The test case, run by the runtime that the configuration names."""
    runtime, made = get_runtime("text", config["kind"]), read_runtime_config(config)
    runtime.validate_config(made, args.agent_snapshot, None)
    return await runtime.run_test_case(made, args, None)


def texts(result: TestCaseRunResult, role: str) -> list[Any]:
    return [turn.content for turn in result.transcript if turn.role == role and turn.content is not None]
