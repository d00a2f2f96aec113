"""What models answered in a run that was cut off, so that its continuation need not ask them again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from duologue.journal.events import Event, ModelCalled
from duologue.models.base import ModelAnswer


class Recall:
    """Answers by the digest of their request; the same request asked twice has two answers, in order.

    Args:
        events: of the journal that breaks off.
    """

    def __init__(self, events: Iterable[Event]) -> None:
        self._calls: dict[str, deque[ModelCalled]] = {}
        for event in events:
            if isinstance(event, ModelCalled) and event.error is None and event.response is not None:
                self._calls.setdefault(event.request_digest, deque()).append(event)

    def take(self, digest: str) -> ModelAnswer | None:
        """The next answer to that request; None if nobody has asked it then."""
        calls = self._calls.get(digest)
        if not calls:
            return None
        call = calls.popleft()
        assert call.response is not None
        return ModelAnswer(
            message=call.response,
            usage=call.usage,
            cost=call.cost,
            seconds=call.seconds,
            model=call.model,
            attempts=call.attempts,
        )
