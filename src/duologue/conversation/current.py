"""Which run the code that is executing belongs to, for decorators that cannot be handed one."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duologue.conversation.state import ScenarioState

CURRENT_RUN: ContextVar[ScenarioState | None] = ContextVar("duologue_current_run", default=None)
"""The state of the run, None outside one. Each task and each worker thread of a run sees its own run."""
