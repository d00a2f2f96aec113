"""Clocks of leases: on one machine the one that counts from its boot, which nobody can set; else the server's."""

from __future__ import annotations

import sys
import time
from functools import cache
from pathlib import Path

from duologue.context import SystemClock

_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def since_boot() -> float:
    """Seconds since the machine's boot: the same in all its processes."""
    if _CLOCK is None:  # Windows, whose own counts from its boot
        return SystemClock.monotonic()
    return time.clock_gettime(_CLOCK)


class ClockWatch:
    """Notices that a server's clock was set ahead, so that its workers get the time to renew their leases.

    Args:
        lease: seconds.
    """

    def __init__(self, lease: float) -> None:
        self._lease = lease
        self._seen: tuple[float, float] | None = None
        self._until = 0.0

    def trusts(self, now: float, ticks: float) -> bool:
        """Whether leases that are over by the server's clock are over.

        Args:
            now: on the server's clock.
            ticks: seconds on a clock that nobody sets.
        """
        if self._seen is not None and (now - self._seen[0]) - (ticks - self._seen[1]) > self._lease / 4:
            self._until = ticks + self._lease
        self._seen = now, ticks
        return ticks >= self._until


@cache
def boot() -> str:
    """Which boot of the machine this is; '' where the system does not say so."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return _boot_time() if sys.platform == "darwin" else ""


def _boot_time() -> str:
    import subprocess

    asked = subprocess.run(["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, check=False)
    return asked.stdout.decode("ascii", "replace").strip()
