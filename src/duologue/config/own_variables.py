"""The variables of Duologue itself: those of the environment, and those that nobody else in the process is to see.

A worker of a service gets the address of the database and the key of its secrets from whoever starts it, and not in
its environment: what it starts, and whoever reads ``/proc``, finds nothing there.
"""

from __future__ import annotations

import os
from collections import ChainMap
from collections.abc import Mapping

_held: dict[str, str] = {}
OWN_VARIABLES: Mapping[str, str] = ChainMap(_held, os.environ)
"""All of them, as they are now."""
HELD = ("DUOLOGUE_DATABASE_URL", "DUOLOGUE_SECRET_KEY", "DUOLOGUE_ARTIFACTS")
"""What a worker needs and its environment does not have."""


def hold(values: Mapping[str, str]) -> None:
    """Use these in the place of variables of the environment."""
    _held.update(values)
