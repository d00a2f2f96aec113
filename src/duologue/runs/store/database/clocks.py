"""The clock that leases on this machine are measured on: it counts from the machine's boot, and nobody can set it."""

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
