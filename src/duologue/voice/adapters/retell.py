"""Voice agents of Retell, in a web call: the call is created over REST, sound and events come over a room of LiveKit.

Sources: Retell, *Create Web Call* and *Web Call*; the events are those that Retell's own web client reads: ``update``
with the transcript, ``agent_start_talking``, ``agent_stop_talking``, ``node_transition``, ``metadata``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from duologue.config.json_text import NoJsonError, json_value
from duologue.errors import ConfigurationError
from duologue.http import HttpRequest, parse_url
from duologue.messages import JsonValue
from duologue.secret_values import remember
from duologue.voice.adapter import AdapterCapabilities
from duologue.voice.adapters.livekit import LiveKitRoomAdapter, websocket_url
from duologue.voice.adapters.livekit_room import RoomData, RoomItem
from duologue.voice.adapters.rest import ask_vendor
from duologue.voice.incoming import AgentToolCall, AgentToolResult, AgentWords, Incoming, UserWords

API_URL = "https://api.retellai.com"
LIVEKIT_URL = "wss://retell-ai-4ihahnq7.livekit.cloud"
"""Where Retell's web client connects to."""
_SERVER = "server"
"""Identity of the participant that sends the events."""
_MOST_BYTES = 1_000_000


class RetellAgentAdapter(LiveKitRoomAdapter):
    """An agent of Retell, called from the web. Needs the extra ``livekit`` and an account.

    Args:
        agent_id: of the agent.
        api_key: of the account.
        agent_version: of the agent. Default: the latest.
        dynamic_variables: that the agent is given.
        metadata: that is kept with the call.
        url: of the API.
        livekit_url: where web calls are connected, if the answer of the API does not say.

    Raises:
        ConfigurationError: an argument is missing or cannot be used.
    """

    capabilities = AdapterCapabilities(
        streaming_transcripts=True, native_vad=True, input_formats=("pcm16/48000",), output_formats=("pcm16/48000",)
    )

    turn_settles = 0.6

    def __init__(
        self,
        agent_id: str,
        api_key: str,
        *,
        agent_version: int | str | None = None,
        dynamic_variables: Mapping[str, str] | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
        url: str = API_URL,
        livekit_url: str = LIVEKIT_URL,
    ) -> None:
        super().__init__()
        who = type(self).__name__
        parse_url(url, f"{who}: url")
        for name, value in (("agent_id", agent_id), ("api_key", api_key)):
            if not value.strip():
                raise ConfigurationError(f"{who}: {name} is empty")
        remember(api_key, placed=True)
        self._agent_id, self._key, self._url = agent_id, api_key, url.rstrip("/")
        self._rooms = websocket_url(livekit_url, f"{who}: livekit_url")
        self._request: dict[str, JsonValue] = {"agent_id": agent_id}
        if agent_version is not None:
            self._request["agent_version"] = agent_version
        if dynamic_variables is not None:
            self._request["retell_llm_dynamic_variables"] = dict(dynamic_variables)
        if metadata is not None:
            self._request["metadata"] = dict(metadata)
        self.call_id = ""
        """Of the last call, as Retell knows it; "" before the first."""
        self._transcript = RetellTranscript()

    @property
    def where(self) -> str:
        """The API and the agent."""
        return f"{self._url} (agent {self._agent_id})"

    def describe(self) -> dict[str, Any]:
        """The API and the agent."""
        return {"url": self._url, "agent_id": self._agent_id}

    async def dial(self) -> None:
        """Create a web call, and join its room."""
        self._transcript = RetellTranscript()
        self.waiting_for = "the web call to be created"
        call = await self._create()
        token = call.get("access_token")
        if not isinstance(token, str) or not token:
            raise ConnectionError("the API created a call without an 'access_token'")
        remember(token)
        self.call_id = str(call.get("call_id") or "")
        if call.get("transport") not in {None, "livekit"}:
            raise ConnectionError(f"the call is connected by '{call['transport']}'; expected 'livekit'")
        url = call.get("url")
        rooms = websocket_url(url, "the call's url") if isinstance(url, str) and url else self._rooms
        await self.join(rooms, token)

    def turn_ended(self) -> None:
        """What is said after this belongs to another turn."""
        self._transcript.turn_ended()

    async def _create(self) -> Mapping[str, Any]:
        request = HttpRequest(
            url=f"{self._url}/v2/create-web-call",
            headers={"Authorization": f"Bearer {self._key}"},
            json=self._request,
            max_bytes=_MOST_BYTES,
        )
        return await ask_vendor(request, self.name, "create the web call")

    async def take(self, item: RoomItem) -> None:
        """Events of the call."""
        if not isinstance(item, RoomData):
            await super().take(item)
            return
        if item.identity != _SERVER:
            return
        try:
            value = json_value(item.data)
        except NoJsonError:
            return  # Retell's client passes it over, too
        event = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        match event.get("event_type"):
            case "agent_start_talking":
                self.agent_speaks()
            case "agent_stop_talking":
                self.agent_is_done()
            case "update":
                for news in self._transcript.news(event):
                    await self.deliver_unasked(news)
            case _:
                return


class RetellTranscript:
    """Finds what is new in a transcript that comes whole, again and again; only its last sentences, in long calls."""

    def __init__(self) -> None:
        self._agent: str = ""
        self._before: str = ""
        self._user: str = ""
        self._user_speaks = False
        self._tools: set[tuple[str, str]] = set()

    def turn_ended(self) -> None:
        """The agent's turn is over: what it has said until now does not belong to its next one."""
        self._before = self._agent

    def news(self, event: Mapping[str, Any]) -> list[Incoming]:
        """What an ``update`` tells that the last one did not."""
        given = event.get("transcript_with_tool_calls") or event.get("transcript")
        entries = [
            cast("dict[str, Any]", entry)
            for entry in (cast("list[object]", given) if isinstance(given, list) else [])
            if isinstance(entry, dict)
        ]
        spoken = [entry for entry in entries if entry.get("role") in {"agent", "user"}]
        since_user = next((at for at, entry in enumerate(reversed(spoken)) if entry["role"] == "user"), len(spoken))
        found = self._of_user(spoken[: len(spoken) - since_user], event, answered=since_user > 0)
        for entry in entries:
            found += self._tool(entry)
        return found + self._of_agent(spoken[len(spoken) - since_user :])

    def _of_user(self, until: list[dict[str, Any]], event: Mapping[str, Any], *, answered: bool) -> list[Incoming]:
        """The user's turn, once it is over."""
        if not until:
            return []
        text = _text(until[-1], "content")
        over = answered or event.get("turntaking") == "agent_turn"
        new = self._user_speaks or text != self._user
        if not over:
            self._user_speaks, self._agent, self._before = True, "", ""
        if not (over and new):
            return []
        if not self._user_speaks:
            self._agent = self._before = ""
        self._user, self._user_speaks = text, False
        return [UserWords(text=text)] if text else []

    def _of_agent(self, entries: list[dict[str, Any]]) -> list[Incoming]:
        """The agent's turn, as far as it has come."""
        text = " ".join(said for entry in entries if (said := _text(entry, "content")))
        if not text or text == self._agent:
            return []
        self._agent = text
        new = text.removeprefix(self._before).strip() if text.startswith(self._before) else text
        return [AgentWords(text=new, replaces=True)] if new else []

    def _tool(self, entry: Mapping[str, Any]) -> list[Incoming]:
        role, call_id = _text(entry, "role"), _text(entry, "tool_call_id")
        if role not in {"tool_call_invocation", "tool_call_result"} or (role, call_id) in self._tools:
            return []
        self._tools.add((role, call_id))
        if role == "tool_call_result":
            return [AgentToolResult(call_id=call_id, result=_unpacked(entry.get("content")))]
        arguments = _unpacked(entry.get("arguments"))
        return [
            AgentToolCall(
                call_id=call_id,
                name=_text(entry, "name"),
                arguments=cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {},
            )
        ]


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value.strip() if isinstance(value, str) else ""


def _unpacked(value: object) -> object:
    """JSON in a text as what it says; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json_value(value)
    except NoJsonError:
        return value
