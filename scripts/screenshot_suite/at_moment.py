"""The command ``duologue``, at another time of day: pictures have no times of the machine that made them."""

# ruff: noqa: TID251 -- the clock that the product takes is changed before it is imported

from __future__ import annotations

import os
import time

_OFFSET = float(os.environ["SCREENSHOT_MOMENT"]) - time.time()
_NOW = time.time
time.time = lambda: _NOW() + _OFFSET

from duologue.cli import main  # noqa: E402 -- once the clock is another one

main()
