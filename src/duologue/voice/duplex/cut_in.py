"""The user cuts in: whether the agent was told to stop or talked over, and how long it was still heard."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from duologue.frozen import frozen
from duologue.voice.port import UnsupportedCapabilityError, VoicePort, reason_of
from duologue.voice.timeline import VoiceEvent

logger = logging.getLogger("duologue.voice")

SETTLE_SECONDS = 3.0
"""How long an interrupted agent is listened to until it is silent."""
_SILENT_SECONDS = 0.3
"""Silence after which an interrupted agent has stopped."""
_ASKED_SECONDS = 2.0
"""That an adapter may take to tell its agent to stop."""


@frozen
class Interruption:
    """The user has interrupted the agent.

    Attributes:
        at: seconds since the conversation began.
        adapter: name of the adapter whose agent was interrupted.
        native: whether the agent was told to stop; otherwise the user talks over it.
        agent_was_speaking: whether it was audible, or had sound waiting to be heard.
        yielded_after: seconds from ``at`` until it was last heard; 0 where it was not heard again, None where it did
            not stop in :data:`SETTLE_SECONDS`.
    """

    at: float
    adapter: str
    native: bool
    agent_was_speaking: bool
    yielded_after: float | None = None

    def event(self) -> VoiceEvent:
        """As it stands on the timeline."""
        return VoiceEvent(
            self.at,
            "user_interrupt",
            metadata={
                "adapter": self.adapter,
                "native": self.native,
                "agent_was_speaking": self.agent_was_speaking,
                "yielded_after": self.yielded_after,
            },
        )


@dataclass(eq=False)
class PendingInterruption:
    """An interruption until the agent is silent.

    Attributes:
        at: when the user cut in; where the agent is talked over, the user's first frame.
        limit: until when the agent is listened to.
        armed: the agent has been told to stop, or the user speaks.
    """

    adapter: str
    at: float
    native: bool
    speaking: bool
    limit: float
    armed: bool
    result: Interruption | None = None

    def arm(self, now: float) -> None:
        """The user speaks now."""
        if not self.armed:
            self.at, self.limit, self.armed = now, now + SETTLE_SECONDS, True

    @property
    def speech_cut_at(self) -> float | None:
        """When it cut into what the agent was saying; None where it has not yet, or the agent was silent."""
        return self.at if self.armed and self.speaking else None

    def settled(self, now: float, audible: float, *, waiting: bool) -> Interruption | None:
        """What it came to; None while that is not known.

        Args:
            now: the time.
            audible: until when the agent was heard last.
            waiting: sound of it is not heard yet.
        """
        last = max(audible, self.at)
        silent = not waiting and now - last >= _SILENT_SECONDS - 1e-9
        if not self.armed or (not silent and now < self.limit):
            return None
        self.result = Interruption(
            at=self.at,
            adapter=self.adapter,
            native=self.native,
            agent_was_speaking=self.speaking,
            yielded_after=round(last - self.at, 3) if silent else None,
        )
        return self.result


async def told_to_stop(adapter: VoicePort) -> bool:
    """Tell the agent to stop, if its transport can do that; whether it could."""
    if not adapter.capabilities.interruption:
        return False
    try:
        async with asyncio.timeout(_ASKED_SECONDS):
            await adapter.interrupt()
    except UnsupportedCapabilityError:
        return False
    except Exception as error:
        logger.warning("%s could not be told to stop: %s", adapter.name, reason_of(error), exc_info=True)
        return False
    return True
