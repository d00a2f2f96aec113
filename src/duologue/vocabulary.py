"""One word per idea: the closed lists of values that every part of Duologue shares.

Only names live here. What leads to a verdict is decided in ``duologue.conversation.result``.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Literal


class AgentRole(Enum):
    """Who an adapter is in the conversation. The values are those of the Scenario library."""

    USER = "User"
    AGENT = "Agent"
    JUDGE = "Judge"


class Verdict(StrEnum):
    """What a completed run is worth. An error is never a verdict: see :class:`RunStatus`."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"


class RunStatus(StrEnum):
    """Where a run is in its life. Only a ``completed`` run has a verdict."""

    QUEUED = "queued"
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    ERROR = "error"
    CANCELLED = "cancelled"


class Termination(StrEnum):
    """Why a conversation ended, whatever it was worth."""

    JUDGED = "judged"
    SCRIPT_END = "script_end"
    MAX_TURNS = "max_turns"
    AGENT_DONE = "agent_done"
    USER_DONE = "user_done"
    TIMEOUT = "timeout"
    BUDGET = "budget"
    CANCELLED = "cancelled"
    ERROR = "error"


DoneReason = Literal["goal_reached", "gave_up", "transferred", "out_of_lines"]
"""Why a user has nothing more to say."""


class Decision(StrEnum):
    """What a judge says of one criterion."""

    MET = "true"
    UNMET = "false"
    INCONCLUSIVE = "inconclusive"


class CheckStatus(StrEnum):
    """What became of one check. ``error`` and ``skipped`` say nothing about the agent."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"


class Scope(StrEnum):
    """What a check looks at: one turn's answer, or the whole conversation."""

    TURN = "turn"
    CONVERSATION = "conversation"


class CassetteMode(StrEnum):
    """``record`` asks the world and writes; ``replay`` never asks it; ``auto`` asks for what is not there yet."""

    RECORD = "record"
    REPLAY = "replay"
    AUTO = "auto"


HttpPreset = Literal["openai-chat", "openai-responses", "anthropic-messages", "langgraph", "message"]
"""The formats in which an agent behind a URL can be asked."""
