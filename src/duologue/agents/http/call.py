"""One request to an agent, and how to say what went wrong with it without giving away a secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import Any

from duologue.agents.http.completions import ContractError
from duologue.config.redaction import redacted, without_values
from duologue.errors import AgentError
from duologue.frozen import frozen
from duologue.journal.notes import AgentRetried
from duologue.messages import Message, text_of

_SHOWN_SENT = 200
"""Characters of the newest message that an error shows."""
_SHOWN_BACK = 500
"""Characters of the answer that an error shows."""


@frozen
class HttpCall:
    """One request to an agent, as errors tell of it.

    Attributes:
        who: the agent's name.
        url: as it may be shown: without user, password and query.
        messages: that were sent.
        secrets: texts that must not be shown, even where the other side repeats them.
        began: when, on the run's clock.
        retried: the times that the agent was busy.
        refusals: the status that was no answer, with the beginning of its body.
        reasons: what went wrong, without what was sent and came back.
    """

    who: str
    url: str
    messages: Sequence[Message]
    secrets: tuple[str, ...] = field(default=(), repr=False)
    began: float = 0.0
    retried: list[AgentRetried] = field(default_factory=list[AgentRetried])
    refusals: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]], repr=False)
    reasons: list[str] = field(default_factory=list[str])

    def failure(self, what: str, kind: type[AgentError] = AgentError, *, came_back: str | None = None) -> AgentError:
        """The error to raise: what went wrong, what was sent and, if anything, what came back."""
        self.reasons.append(redacted(without_values(what, self.secrets)))
        parts = [f"[{self.who}] POST {self.url}: {without_values(what, self.secrets)}", f"sent: {self._sent()}"]
        if came_back is not None:
            parts.append(f"came back: {self.shown(came_back)}")
        return kind(redacted("; ".join(parts)), who=self.who)

    def shown(self, came_back: str) -> str:
        """What came back, as much of it as an error shows."""
        return _trimmed(without_values(came_back, self.secrets), _SHOWN_BACK) if came_back else "nothing"

    def _sent(self) -> str:
        if not self.messages:
            return "no messages"
        newest = self.messages[-1]
        count = f"{len(self.messages)} message{'s' if len(self.messages) > 1 else ''}"
        text = without_values(text_of(newest), self.secrets)
        return f"{count}, the last from the {newest['role']}: {_trimmed(text, _SHOWN_SENT)}"


def _trimmed(text: str, limit: int) -> str:
    shown = text if len(text) <= limit else f"{text[:limit]}…"
    return repr(shown)


def pieces_of(pieces: Iterator[Any], call: HttpCall, data: str | None = None) -> list[Any]:
    """The pieces that a reader gives. Raises AgentError for an event that breaks the contract; ``data`` is shown."""
    try:
        return list(pieces)
    except ContractError as error:
        raise call.failure(str(error), came_back=data) from error
