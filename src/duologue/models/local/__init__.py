"""The embedded language model: weights on this machine, one llama.cpp server per machine, no key and no network.

``LocalModel.from_config("local")`` is what the model name ``local`` means. The rest is for the command line: what is
there (``status``, ``list_available``), fetching weights (``pull``) and stopping the servers (``stop``).
"""

from __future__ import annotations

from duologue.models.local._hub import look_up, pull
from duologue.models.local._model import LocalModel, load_local
from duologue.models.local._status import AvailableModel, LocalStatus, RunningServer, list_available, status, stop
from duologue.models.local._weights import CATALOGUE, DEFAULT_MODEL, find

__all__ = [
    "CATALOGUE",
    "DEFAULT_MODEL",
    "AvailableModel",
    "LocalModel",
    "LocalStatus",
    "RunningServer",
    "find",
    "list_available",
    "load_local",
    "look_up",
    "pull",
    "status",
    "stop",
]
