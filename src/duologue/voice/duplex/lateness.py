"""How late this side of a call is: a machine that cannot keep up makes the agent look slow.

Frames that come late are noted on the timeline (``frames_late``), so that readers of the run know what its times are
worth. What takes place while frames are on time says nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from duologue.voice.port import FirstChunkTimeoutError, VoicePort
from duologue.voice.timeline import FRAMES_LATE, LATE_SECONDS, USER_DELAYED, VoiceEvent, too_late

_AGAIN = 10.0
"""Seconds of a call until frames that are still late are noted again, unless they are much later than before."""
_MUCH = 1.5
_DELAY = 0.1
"""Seconds from which a delay of the user is noted."""


class Lateness:
    """Of the frames of one call.

    Args:
        event: told of frames that are late.

    Attributes:
        worst: seconds that a frame was late at most.
    """

    def __init__(self, event: Callable[[VoiceEvent], None]) -> None:
        self._event = event
        self._noted_at = float("-inf")
        self._noted = 0.0
        self.worst = 0.0

    def seen(self, now: float, late: float) -> None:
        """A frame was that many seconds late."""
        self.worst = max(self.worst, late)
        if late < LATE_SECONDS or (now - self._noted_at < _AGAIN and late < self._noted * _MUCH):
            return
        self._noted_at, self._noted = now, late
        self._event(VoiceEvent(now, FRAMES_LATE, metadata={"late": round(late, 3)}))

    def delayed(self, since: float, now: float) -> None:
        """A line of the user was not ready from ``since`` until now."""
        if now - since >= _DELAY:
            self._event(VoiceEvent(now, USER_DELAYED, metadata={"seconds": round(now - since, 2)}))

    def no_sound(self, adapter: VoicePort) -> FirstChunkTimeoutError:
        """The error for an agent that has not begun to speak in time."""
        if self.worst < LATE_SECONDS:
            return FirstChunkTimeoutError(adapter.response_timeout, adapter.name)
        return OverloadError(adapter.response_timeout, adapter.name, self.worst)


class OverloadError(FirstChunkTimeoutError):
    """No sound came in time on a machine that could not keep up, so nothing can be said of the agent."""

    def __init__(self, timeout: float, adapter_name: str, late: float) -> None:
        super().__init__(timeout, adapter_name)
        self.args = (f"no sound of {adapter_name} came within {timeout:g} s, and {too_late(late)}",)
