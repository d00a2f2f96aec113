"""Events of an execution or a run, as they happen."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any, cast

from duologue.frozen import frozen
from duologue.http import ServerSentEvent


@frozen(slots=True)
class ServiceEvent:
    """Something that has happened.

    Attributes:
        id: names the event: whoever comes back with it gets those that followed.
        type: such as ``run_completed``.
        data: what the service says of it.
    """

    id: str
    type: str
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])


def event_of(event: ServerSentEvent) -> ServiceEvent:
    """The event of a stream; data that is no JSON object is under ``text``."""
    try:
        data: Any = json.loads(event.data)
    except (ValueError, RecursionError):
        data = event.data
    if not isinstance(data, dict):
        data = {"text": data}
    return ServiceEvent(id=event.id, type=event.type, data=cast("dict[str, Any]", data))
