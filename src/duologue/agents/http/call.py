"""One request to an agent, and what errors say of it: what a refusal means, and what happened, without a secret."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import field
from typing import Any

from duologue.agents.http.completions import ContractError
from duologue.config.redaction import redacted, without_values
from duologue.errors import AgentError
from duologue.frozen import frozen
from duologue.http import HttpResponse, NoResponseError
from duologue.journal.notes import AgentRetried
from duologue.messages import Message, text_of

OK = frozenset((200, 201))
"""Statuses of an answer."""
BUSY = frozenset((429, 503, 529))
"""Statuses of an agent that may answer the same request later."""
_MEANING = {
    202: ", so the agent answers later or elsewhere; only an answer in the response itself can be read",
    204: ", no content: the agent took the message and said nothing",
    400: ", the agent does not take a request of this form; see 'preset' and 'body'",
    401: ", the agent wants to know who asks: send its key in a header, such as Authorization",
    403: ", the agent does not let this key do that",
    404: ", there is nothing at that URL; give the whole URL of the endpoint, with its path",
    405: ", that URL takes no POST requests; give the URL of the endpoint itself, with its path",
    415: ", the agent does not take JSON",
    422: ", the agent does not take a request of this form; see 'preset' and 'body'",
    429: ", the agent takes no more requests for now; run fewer cases at once, or raise its limit",
    503: ", the agent is overloaded or not up yet; run fewer cases at once, or wait until it is ready",
    529: ", the agent is overloaded; run fewer cases at once",
}
_REDIRECTS = range(300, 400)
_LONGEST_WAIT = 40
"""Characters of a Retry-After that an error shows: a date has 29."""
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


def refusal(response: HttpResponse) -> str:
    """What a status that is no answer means, and what to do about it."""
    what = f"HTTP {response.status}{_MEANING.get(response.status, '')}"
    if response.status in BUSY and (wait := response.headers.get("retry-after", "").strip()):
        what += f" (Retry-After: {wait[:_LONGEST_WAIT]})"
    if response.status in _REDIRECTS:
        where = response.headers.get("location", "nowhere").partition("?")[0]
        what += f", a redirect to {where}; redirects are not followed, so give the URL at which the agent answers"
    return what


def unreachable(error: NoResponseError) -> str:
    """Why there was no answer at all, and what to do about it."""
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        hint = "its TLS certificate is not trusted here; name the certificate of its authority in SSL_CERT_FILE"
    elif "WRONG_VERSION_NUMBER" in text or "HTTP_REQUEST" in text:
        hint = "the server does not speak TLS there; does its URL begin with http:// instead of https://?"
    elif "Server disconnected" in text:
        hint = "it closed the connection; does its URL begin with https:// instead of http://?"
    else:
        hint = "is the agent running at that address?"
    return f"no answer ({text}); {hint}"
