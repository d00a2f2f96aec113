"""The module paths of the LangWatch Scenario library, for test suites that were written for it.

``import duologue as scenario`` is enough for most. For those that import from its submodules, replace ``scenario`` by
``duologue.compat.scenario``: ``from duologue.compat.scenario.types import AgentRole``. Everything here is Duologue's
own, under another path; what behaves otherwise is listed in the guide on moving from Scenario.
"""

from __future__ import annotations

from typing import Any

import duologue

# The submodule of that name would hide the function once it is imported, so the function is put over it at once.
from duologue.compat.scenario import cache as _cache_module

cache = _cache_module.cache


def __getattr__(name: str) -> Any:
    return getattr(duologue, name)


def __dir__() -> list[str]:
    return dir(duologue)
