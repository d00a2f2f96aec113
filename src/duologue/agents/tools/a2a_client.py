"""Agents at an address, asked in the A2A protocol (extra ``a2a``).

The SDK of the protocol reads agent cards, speaks versions 0.3 and 1.0, and checks what comes back. Its requests are
sent by :class:`~duologue.agents.tools.web.Web`, so that each is limited in time and size, follows no redirect and shows
no secret. The protocol: https://a2a-protocol.org.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urljoin, urlsplit

import httpx

from duologue.agents.tools.a2a_mock import result_of
from duologue.agents.tools.call import Result, ToolFault, ToolUnreachable, seconds_of
from duologue.agents.tools.single_flight import SingleFlight
from duologue.agents.tools.web import Request, Web, headers_of
from duologue.config.access import missing_variable, variables
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.templates import expand, expand_url
from duologue.errors import ConfigurationError, DuologueError, MissingExtraError
from duologue.frozen import frozen
from duologue.messages import ContentPart, JsonValue, media_part
from duologue.specs.suite import A2aAgent

if TYPE_CHECKING:
    from a2a.client import Client
    from a2a.types import AgentCard, Part, Task

_CARDS = ("agent-card.json", "agent.json")
"""Names of a card at its well-known place: since version 0.3, and before."""
_FAILED = {"failed", "rejected", "canceled", "auth-required"}
_UNFINISHED = {"submitted", "working", "unspecified"}
_AUTH = ("scheme", "token", "token_env")
_DEFAULT_MEDIA_TYPE = "application/octet-stream"
_SHOWN = 300

Headers = Callable[[], tuple[dict[str, str], list[str]]]
"""Makes the headers of a request and lists the secrets in them."""


@frozen
class A2aAnswer:
    """What an agent answers.

    Attributes:
        parts: of the answering message, or of the artifacts of the finished task.
        context_id: of the conversation; '' where the agent gives it none.
        task_id: of the task, if it waits for the next message; '' otherwise.
    """

    parts: Sequence[Part]
    context_id: str = ""
    task_id: str = ""


class A2aClient:
    """A client of one agent.

    Args:
        name: what errors call the agent.
        url: of the agent: the place below which its card is, the card itself (``….json``), or, with a card, the
            endpoint. May contain ``${NAME}``.
        web: sends the requests.
        headers: of every request. They only ever go to the host of ``url``.
        seconds: that the card, and each answer, may take.
        card: the agent card, which is then not fetched.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        web: Web,
        headers: Headers,
        seconds: float,
        card: Mapping[str, Any] | None = None,
    ) -> None:
        self._name = name
        self._url = url
        self._web = web
        self._headers = headers
        self._seconds = seconds
        self._given = card
        self._fetches = SingleFlight()
        self._card: AgentCard | None = None
        self._client: Client | None = None
        self._sent = 0

    async def card(self) -> AgentCard:
        """The agent's card, fetched once.

        Raises:
            ToolUnreachable: the card cannot be fetched or read.
            MissingExtraError: the extra ``a2a`` is not installed.
        """
        return await self._fetches.get(lambda: self._card, self._read_card)

    async def send(self, text: str, *, metadata: Mapping[str, str] | None = None) -> list[Part]:
        """Send a message and wait for the answer.

        Args:
            text: of the message.
            metadata: of the message.

        Returns:
            The parts of the answering message, or of the artifacts of the finished task.

        Raises:
            ToolFault: there is no answer, or the agent's task failed or is not finished.
            MissingExtraError: the extra ``a2a`` is not installed.
        """
        return list((await self.say(text, metadata=metadata)).parts)

    async def prepare(self) -> None:
        """Import the SDK, which takes a while. Raises MissingExtraError: the extra ``a2a`` is not installed."""
        _sdk("a2a.client")

    async def say(
        self, text: str, *, metadata: Mapping[str, str] | None = None, context_id: str = "", task_id: str = ""
    ) -> A2aAnswer:
        """As :meth:`send`, in a conversation.

        Args:
            text: of the message.
            metadata: of the message.
            context_id: of the conversation, as its last answer has it; '' for a new one.
            task_id: of the task that waits for this message; '' for none.
        """
        card = await self.card()
        types = _sdk("a2a.types")
        if self._client is None:
            self._client = self._connected(card)
        self._sent += 1
        message = types.Message(
            message_id=f"q{self._sent}",
            role=types.Role.ROLE_USER,
            parts=[types.Part(text=text.encode("utf-8", "replace").decode())],  # half a surrogate cannot be sent
            metadata=dict(metadata or {}),
            context_id=context_id,
            task_id=task_id,
        )
        request = types.SendMessageRequest(message=message)
        try:
            # Not streaming: there is exactly one response.
            answers = [answer async for answer in self._client.send_message(request)]
        except (DuologueError, ToolFault):
            raise
        except Exception as error:
            raise self._fault(_explained(error)) from error
        answer = answers[-1]
        if answer.HasField("message"):
            said = answer.message
            return A2aAnswer(parts=tuple(said.parts), context_id=said.context_id)
        task = answer.task
        parts = tuple(self._parts_of(task))
        waits = _state_of(task) == "input-required"
        return A2aAnswer(parts=parts, context_id=task.context_id, task_id=task.id if waits else "")

    def _connected(self, card: AgentCard) -> Client:
        sdk = _sdk("a2a.client")
        client = httpx.AsyncClient(transport=_Guarded(self), trust_env=False)
        try:
            return sdk.ClientFactory(sdk.ClientConfig(httpx_client=client, streaming=False)).create(card)
        except ValueError as error:
            raise self._fault("offers no JSON-RPC interface in its card") from error

    def _parts_of(self, task: Task) -> list[Part]:
        made = [part for artifact in task.artifacts for part in artifact.parts]
        said = list(task.status.message.parts)
        state = _state_of(task)
        if state in _FAILED or (state in _UNFINISHED and not made and not said):
            words = " ".join(part.text for part in said if part.text)
            raise self._fault(f"the task is {state}: {words or 'the agent does not say why'}")
        return made or said

    async def _read_card(self) -> AgentCard:
        _sdk("a2a.client")  # importing takes a while, which is not the agent's fault
        data = copy.deepcopy(dict(self._given)) if self._given is not None else await self._fetch_card()
        version = str(data.get("protocolVersion") or "0.3")
        try:
            card = cast("AgentCard", _sdk("a2a.client.card_resolver").parse_agent_card(data))
        except Exception as error:
            raise ToolUnreachable(f"agent {self._name}: its card cannot be read: {_short(error)}") from error
        if not card.supported_interfaces:
            card.supported_interfaces.add(protocol_binding="JSONRPC", protocol_version=version)
        for interface in card.supported_interfaces:
            interface.url = self._endpoint(interface.url)
        self._card = card
        return card

    def _endpoint(self, url: str) -> str:
        """The path of an interface on the host of the suite, so that headers go to no other host."""
        base = urlsplit(self._base)
        path = urlsplit(url).path if url else base.path
        return base._replace(path="" if path.endswith(".json") else path).geturl()

    async def _fetch_card(self) -> dict[str, Any]:
        """The card: at the URL itself if that is one, else at the well-known places below it and at its root."""
        base = self._base
        places = [base] if base.endswith(".json") else _places(base)
        faults: list[ToolFault] = []
        try:
            async with asyncio.timeout(self._seconds):  # for all places together: a host is slow at each
                for place in places:
                    try:
                        request = self.request("GET", place)
                        return _object((await self._web.send(request)).body, request)
                    except ToolFault as fault:
                        faults.append(fault)
        except TimeoutError:
            faults.append(self.request("GET", base).fault(f"timed out: no card within {self._seconds:g} s"))
        raise ToolUnreachable(f"agent {self._name}: its card cannot be read: {faults[0]}")

    @property
    def _base(self) -> str:
        return expand_url(self._url)

    def request(self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Any = None) -> Request:
        """A request to the agent, with the headers that sign in."""
        own, secrets = self._headers()
        return Request(
            who=self._name,
            method=method,
            url=url,
            headers={**(headers or {}), **own},
            json=body,
            secrets=tuple(secrets),
            seconds=self._seconds,
        )

    async def exchange(self, request: httpx.Request) -> httpx.Response:
        """Send a request of the SDK the way every request of a tool is sent. Raises ToolFault."""
        protocol = {name: value for name, value in request.headers.items() if "a2a-" in name}
        body = json.loads(await request.aread())
        reply = await self._web.send(self.request(request.method, str(request.url), headers=protocol, body=body))
        return httpx.Response(200, headers={"Content-Type": reply.kind}, content=reply.body, request=request)

    def _fault(self, what: str) -> ToolFault:
        return self.request("POST", self._base).fault(what)


class _Guarded(httpx.AsyncBaseTransport):
    """Hands the requests of the SDK to the client, which sends them through :class:`Web`."""

    def __init__(self, client: A2aClient) -> None:
        self._client = client

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._client.exchange(request)


class RemoteAgent:
    """An agent of a suite that has an address."""

    def __init__(self, agent: A2aAgent, web: Web) -> None:
        def headers() -> tuple[dict[str, str], list[str]]:
            return headers_of({**_signed_in(agent), **agent.headers}, agent.headers_from_env)

        self._client = A2aClient(
            agent.name,
            agent.url or "",
            web=web,
            headers=headers,
            seconds=seconds_of(agent.timeout_ms),
            card=agent.card,
        )

    async def card(self) -> dict[str, Any]:
        """Name and skills of the agent. Raises ToolFault."""
        card = await self._client.card()
        skills = [{"id": skill.id, "name": skill.name, "description": skill.description} for skill in card.skills]
        return {"name": card.name, "skills": skills}

    async def ask(self, skill: str, query: str) -> Result:
        """What the agent answers. Raises ToolFault."""
        parts = await self._client.send(query, metadata={"skillId": skill})
        texts = [part.text for part in parts if part.HasField("text")]
        media = [_media(part) for part in parts if part.HasField("raw") or part.HasField("url")]
        return result_of(texts, data_in(parts), media)


def _state_of(task: Task) -> str:
    state = _sdk("a2a.types").TaskState.Name(task.status.state)
    return state.removeprefix("TASK_STATE_").lower().replace("_", "-")


def _media(part: Part) -> ContentPart:
    mime = part.media_type or _DEFAULT_MEDIA_TYPE
    data = part.raw if part.HasField("raw") else None
    return media_part(mime, data=data, url=part.url, facts={"mime_type": mime})


def data_in(parts: Sequence[Part]) -> list[JsonValue]:
    """The structured data in the parts of an answer."""
    return [_narrowed(value) for value in _sdk("a2a.helpers").get_data_parts(parts)]


def _narrowed(value: JsonValue) -> JsonValue:
    """The value with whole numbers as integers. The SDK keeps all numbers as floating point."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _narrowed(item) for key, item in cast("dict[str, JsonValue]", value).items()}
    return [_narrowed(item) for item in cast("list[JsonValue]", value)] if isinstance(value, list) else value


def _sdk(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError("asking an A2A agent", "a2a", "a2a-sdk") from error


def _explained(error: Exception) -> str:
    """What went wrong with an answer, by the class of the SDK's error."""
    errors = (_sdk("a2a.client.errors").A2AClientError, _sdk("a2a.utils.errors").A2AError)
    if isinstance(error, errors):
        return f"answered with an error: {_short(error)}"
    if isinstance(error, ValueError) and "neither task nor message" in str(error):
        return "answered with neither a message nor a task"
    return f"the answer does not follow the protocol: {_short(error)}"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:_SHOWN]


def _object(body: bytes, request: Request) -> dict[str, Any]:
    try:
        value = json_value(body)
    except NoJsonError as error:
        raise request.fault(f"answered with something that is not JSON: {body[:200]!r}") from error
    if not isinstance(value, dict):
        raise request.fault(f"expected a JSON object, got {body[:200]!r}")
    return cast("dict[str, Any]", value)


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
    value = expand(str(token), secret=True) if token else variables().get(str(variable))
    if not value:
        raise ConfigurationError(f"a2a agent '{agent.name}': auth: {missing_variable(str(variable))}")
    written = str(scheme or "Bearer")
    return {"Authorization": f"{written.capitalize() if written.islower() else written} {value}"}


def check_auth(agent: A2aAgent) -> None:
    """Reject an ``auth`` that cannot be understood. Raises ConfigurationError."""
    if unknown := agent.auth.keys() - set(_AUTH):
        raise ConfigurationError(
            f"a2a agent '{agent.name}': auth: expected scheme, token and token_env; found {', '.join(sorted(unknown))}"
        )
    if agent.auth and not (agent.auth.get("token") or agent.auth.get("token_env")):
        raise ConfigurationError(f"a2a agent '{agent.name}': auth: token or token_env is missing")
