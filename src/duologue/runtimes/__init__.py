"""Runtimes: ways to drive one test case against an agent, and the registry in which they are found."""

from __future__ import annotations

from duologue.runtimes.base import (
    AgentPlatform,
    AgentSnapshot,
    CaseSnapshot,
    ConversationTurn,
    EvalRuntime,
    ExpectedCall,
    RunMode,
    RunSnapshot,
    RuntimeRunArgs,
    RuntimeSession,
    RuntimeTestResult,
    TestCaseRunResult,
    TextRuntimeKind,
)
from duologue.runtimes.config import (
    AgentSimulatorConfig,
    JudgeConfig,
    JudgeMetric,
    RunConfig,
    RuntimeConfig,
    UserSimulatorConfig,
)
from duologue.runtimes.registry import (
    RuntimeConfigError,
    RuntimeProblem,
    default_runtime_for_platform,
    find_runtime,
    get_runtime,
    read_runtime_config,
    runtimes_for_platform,
)
from duologue.runtimes.text import AgentReply, AgentTurn, TextRuntimeBase

Platform = AgentPlatform
"""What runtimes that were written for Connexity call it."""

__all__ = [
    "AgentPlatform",
    "AgentReply",
    "AgentSimulatorConfig",
    "AgentSnapshot",
    "AgentTurn",
    "CaseSnapshot",
    "ConversationTurn",
    "EvalRuntime",
    "ExpectedCall",
    "JudgeConfig",
    "JudgeMetric",
    "Platform",
    "RunConfig",
    "RunMode",
    "RunSnapshot",
    "RuntimeConfig",
    "RuntimeConfigError",
    "RuntimeProblem",
    "RuntimeRunArgs",
    "RuntimeSession",
    "RuntimeTestResult",
    "TestCaseRunResult",
    "TextRuntimeBase",
    "TextRuntimeKind",
    "UserSimulatorConfig",
    "default_runtime_for_platform",
    "find_runtime",
    "get_runtime",
    "read_runtime_config",
    "runtimes_for_platform",
]
