"""A real agent that speaks A2A: its card over HTTP, and questions by JSON-RPC ``message/send``.

The protocol: https://a2a-protocol.org, version 0.3 (and its card under the older name ``agent.json``).
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

from duologue.agents.tools.a2a_made_up import result_of
from duologue.agents.tools.answers import Result, ToolFault, seconds_of
from duologue.agents.tools.attempts import Attempts
from duologue.agents.tools.web import Request, Web, headers_of
from duologue.errors import ConfigurationError
from duologue.specs.environment import expand
from duologue.specs.suite import A2aAgent

_CARDS = ("agent-card.json", "agent.json")
_FAILED = {"failed", "rejected", "canceled", "auth-required"}
_AUTH = ("scheme", "token", "token_env")
_UNFINISHED = {"submitted", "working", "unknown"}


class RemoteAgent:
    """An agent at an address: of its card, or of the endpoint itself."""

    def __init__(self, agent: A2aAgent, web: Web) -> None:
        self._agent = agent
        self._web = web
        self._seconds = seconds_of(agent.timeout_ms)
        self._fetches = Attempts()
        self._card: dict[str, Any] | None = None
        self._asked = 0

    async def card(self) -> dict[str, Any]:
        """What the agent says of itself; fetched once. A card in the suite takes its place.

        Raises:
            ToolFault: it cannot be fetched.
        """
        return await self._fetches.first(lambda: self._card or self._agent.card, self._fetched)

    async def ask(self, skill: str, query: str) -> Result:
        """What the agent answers. Raises ToolFault."""
        card = await self.card()
        url = self._endpoint(card)
        self._asked += 1
        number = f"q{self._asked}"
        message = {
            "role": "user",
            "kind": "message",
            "messageId": number,
            "parts": [{"kind": "text", "text": query}],
            "metadata": {"skillId": skill},
        }
        params = {"message": message, "configuration": {"blocking": True}}
        request = self._request(
            "POST", url, {"jsonrpc": "2.0", "id": number, "method": "message/send", "params": params}
        )
        answer = _object((await self._web.send(request)).body, request)
        if error := answer.get("error"):
            told = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else error
            raise request.fault(f"answered with an error: {told}")
        return _result(answer.get("result"), request)

    @property
    def _base(self) -> str:
        return expand(self._agent.url or "")

    def _endpoint(self, card: dict[str, Any]) -> str:
        """Where questions go: the path of the card, on the host of the suite, so that no header goes to another."""
        base = urlsplit(self._base)
        path = urlsplit(str(card["url"])).path if card.get("url") else base.path
        return base._replace(path="" if path.endswith(".json") else path).geturl()

    async def _fetched(self) -> dict[str, Any]:
        """The card: at the address itself if that is one, else at the well-known places below it and at its root."""
        base = self._base
        places = [base] if base.endswith(".json") else _places(base)
        faults: list[ToolFault] = []
        try:
            async with asyncio.timeout(self._seconds):  # for all places together: a host is slow at each
                for place in places:
                    try:
                        self._card = await self._read(place)
                        return self._card
                    except ToolFault as fault:
                        faults.append(fault)
        except TimeoutError:
            faults.append(self._request("GET", base).fault(f"timed out: no card within {self._seconds:g} s"))
        raise ToolFault(f"agent {self._agent.name}: its card cannot be read: {faults[0]}")

    async def _read(self, place: str) -> dict[str, Any]:
        request = self._request("GET", place)
        return _object((await self._web.send(request)).body, request)

    def _request(self, method: str, url: str, body: Any = None) -> Request:
        headers, secrets = headers_of({**_signed_in(self._agent), **self._agent.headers}, self._agent.headers_from_env)
        return Request(
            who=self._agent.name,
            method=method,
            url=url,
            headers=headers,
            json=body,
            secrets=tuple(secrets),
            seconds=self._seconds,
        )


def _places(base: str) -> list[str]:
    below = base if base.endswith("/") else f"{base}/"
    places = [urljoin(start, f".well-known/{name}") for start in (below, urljoin(base, "/")) for name in _CARDS]
    return list(dict.fromkeys(places))


def _signed_in(agent: A2aAgent) -> dict[str, str]:
    """The header that signs in: ``auth: {scheme: bearer, token: … or token_env: NAME}``."""
    if not agent.auth:
        return {}
    check_auth(agent)
    scheme, token, variable = (agent.auth.get(name) for name in _AUTH)
    value = expand(str(token)) if token else os.environ.get(str(variable))
    if not value:
        raise ConfigurationError(f"a2a agent '{agent.name}': auth: the environment variable {variable} is not set")
    written = str(scheme or "Bearer")
    return {"Authorization": f"{written.capitalize() if written.islower() else written} {value}"}


def check_auth(agent: A2aAgent) -> None:
    """Refuse an ``auth`` that cannot be understood. Raises ConfigurationError."""
    if unknown := agent.auth.keys() - set(_AUTH):
        raise ConfigurationError(
            f"a2a agent '{agent.name}': auth: scheme, token and token_env are known; found {', '.join(sorted(unknown))}"
        )
    if agent.auth and not (agent.auth.get("token") or agent.auth.get("token_env")):
        raise ConfigurationError(f"a2a agent '{agent.name}': auth: token or token_env is missing")


def _object(body: bytes, request: Request) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise request.fault(f"answered with something that is no JSON: {body[:200]!r}") from error
    if not isinstance(value, dict):
        raise request.fault(f"answered with JSON that is no object: {body[:200]!r}")
    return cast("dict[str, Any]", value)


def _result(answer: Any, request: Request) -> Result:
    """The result in a message or a task."""
    if not isinstance(answer, dict):
        raise request.fault("answered with neither a message nor a task")
    value = cast("dict[str, Any]", answer)
    if value.get("kind") == "message" or ("parts" in value and "status" not in value):
        return result_of(_parts(value))
    found = value.get("status")
    status = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    said = _parts(status.get("message"))
    made = [part for artifact in _list(value.get("artifacts")) for part in _parts(artifact)]
    state = str(status.get("state") or "unknown")
    if state in _FAILED or (state in _UNFINISHED and not made and not said):
        words = " ".join(str(part.get("text", "")) for part in said)
        raise request.fault(f"the task is {state}: {words or 'it does not say why'}")
    return result_of(made or said)


def _parts(holder: Any) -> list[dict[str, Any]]:
    return _list(cast("dict[str, Any]", holder).get("parts")) if isinstance(holder, dict) else []


def _list(value: Any) -> list[dict[str, Any]]:
    """The objects in an array; [] if it is none."""
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
