"""The way of a trace into another process: headers that say which span a request belongs to."""

from __future__ import annotations

from duologue.conversation.instrument import installed


def outgoing_headers() -> dict[str, str]:
    """What a request carries so that the agent's spans join the run's trace, ``traceparent``; {} if tracing is off."""
    if not installed():
        return {}
    from opentelemetry import propagate

    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers
