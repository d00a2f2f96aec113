"""One request to an agent, and how to say what went wrong with it without giving away a secret."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from duologue.errors import AgentError
from duologue.messages import Message, text_of

_SHOWN_SENT = 200
"""Characters of the newest message that an error shows."""
_SHOWN_BACK = 500
"""Characters of the answer that an error shows."""
_SHORTEST_SECRET = 4
"""Header values shorter than this are not looked for: taking every '1' out of a text helps nobody."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """What was sent where, by whom.

    Attributes:
        who: the agent's name.
        url: as it may be shown: without user, password and query.
        messages: that were sent.
        secrets: texts that must not be shown, even where the other side repeats them.
    """

    who: str
    url: str
    messages: Sequence[Message]
    secrets: tuple[str, ...] = ()

    def failure(self, what: str, kind: type[AgentError] = AgentError, *, came_back: str | None = None) -> AgentError:
        """The error to raise: what went wrong, what was sent and, if anything, what came back."""
        parts = [f"[{self.who}] POST {self.url}: {self._redacted(what)}", f"sent: {self._sent()}"]
        if came_back is not None:
            shown = _trimmed(self._redacted(came_back), _SHOWN_BACK) if came_back else "nothing"
            parts.append(f"came back: {shown}")
        return kind("; ".join(parts), who=self.who)

    def _sent(self) -> str:
        if not self.messages:
            return "no messages"
        newest = self.messages[-1]
        count = f"{len(self.messages)} message{'s' if len(self.messages) > 1 else ''}"
        return f"{count}, the last from the {newest['role']}: {_trimmed(self._redacted(text_of(newest)), _SHOWN_SENT)}"

    def _redacted(self, text: str) -> str:
        """Before a text is trimmed: half a secret is a secret too."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            if len(secret) >= _SHORTEST_SECRET:
                text = text.replace(secret, "***")
        return text


def _trimmed(text: str, limit: int) -> str:
    shown = text if len(text) <= limit else f"{text[:limit]}…"
    return repr(shown)
