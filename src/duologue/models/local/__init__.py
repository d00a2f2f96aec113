"""The embedded language model: weights on this machine, one llama.cpp server per machine, no key and no network.

``LocalModel.from_config("local")`` is what the model name ``local`` means. The rest is for the command line: what is
there (``status``, ``list_available``), fetching weights (``pull``) and stopping the servers (``stop``).
"""

from __future__ import annotations

from duologue.models.local.hub import look_up, pull
from duologue.models.local.model import LocalModel
from duologue.models.local.overview import AvailableModel, LocalStatus, RunningServer, list_available, status, stop
from duologue.models.local.weights import find

__all__ = [
    "AvailableModel",
    "LocalModel",
    "LocalStatus",
    "RunningServer",
    "find",
    "list_available",
    "look_up",
    "pull",
    "status",
    "stop",
]
