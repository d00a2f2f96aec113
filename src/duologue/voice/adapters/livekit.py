"""Voice agents in a room of LiveKit: this side joins as a participant with a microphone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from duologue.context import RandomIds, SystemClock
from duologue.errors import ConfigurationError
from duologue.secret_values import remember
from duologue.voice.adapter import AdapterCapabilities, VoiceConnectionError
from duologue.voice.adapters.livekit_room import (
    AgentLeft,
    AgentState,
    LiveKitRoom,
    RoomItem,
    RoomKey,
    RoomSound,
    RoomText,
    SoundCame,
)
from duologue.voice.adapters.livekit_token import access_token
from duologue.voice.adapters.sockets import shown_socket, socket_address
from duologue.voice.adapters.wire import WireVoiceAdapter
from duologue.voice.audio import AudioChunk
from duologue.voice.incoming import AgentKeys, AgentTurnEnded, AgentWords, CallEnded, UserWords
from duologue.voice.port import reason_of
from duologue.voice.tones import require_keys

_TOKEN_SECONDS = 600.0
_MOST_UNFINISHED = 1_000_000
"""Characters of what was understood of the user, in text streams that have not ended."""
_IDS = RandomIds()


class LiveKitRoomAdapter(WireVoiceAdapter):
    """What adapters over a room of LiveKit share. Subclasses say which room, and what its messages tell.

    Attributes:
        turn_settles: seconds after the agent's side has said that it is done until its turn is over at the earliest:
            once the line has fallen silent. Sound takes another way, and waits on it.
    """

    wants_silence = True
    connect_timeout = 30.0
    turn_settles = 0.1

    def __init__(self) -> None:
        super().__init__()
        self._room: LiveKitRoom | None = None
        self._has_spoken = False

    def agent_speaks(self) -> None:
        """The agent's side says that it has begun to speak. It tells the end of its turns, too, then."""
        self.ends_turns = self._has_spoken = True
        if self._room is not None:
            self._room.go_on()

    def agent_is_done(self) -> None:
        """The agent's side says that it has stopped: its turn ends once the last of its sound has come."""
        if self._room is not None and self._has_spoken:
            self._has_spoken = False
            self._room.after_sound(self.turn_settles)

    def turn_ended(self) -> None:
        """The agent's turn is over."""
        return

    async def join(self, url: str, token: str, agent_identity: str | None = None) -> None:
        """Join a room, and wait for the agent in it."""
        self.ends_turns = self._has_spoken = False
        self._room = LiveKitRoom(agent_identity)
        await self._room.join(url, token, self._waits_for)

    async def read(self) -> None:
        """Hand on what comes."""
        assert self._room is not None
        async for item in self._room.items():
            if isinstance(item, RoomSound):
                await self.deliver_unasked(AudioChunk(data=item.pcm))
            elif isinstance(item, SoundCame):
                self.turn_ended()
                await self.deliver_unasked(AgentTurnEnded())
            elif isinstance(item, AgentLeft):
                await self.deliver_unasked(CallEnded(reason="the agent has left the room"))
                return
            else:
                await self.take(item)

    async def take(self, item: RoomItem) -> None:
        """Deliver what an item tells, besides sound."""
        if isinstance(item, RoomKey):
            await self.deliver_unasked(AgentKeys(keys=item.key))

    async def hang_up(self) -> None:
        """Leave the room."""
        room, self._room = self._room, None
        if room is not None:
            await room.leave()

    async def send_audio(self, chunk: AudioChunk) -> None:
        """Send sound of the user."""
        room = self._joined()
        try:
            await room.say(chunk.data)
        except ConnectionError as error:
            raise VoiceConnectionError(self.name, f"cannot send to {self.where}: {reason_of(error)}") from error

    async def send_dtmf(self, keys: str) -> None:
        """Press keys."""
        require_keys(keys)
        try:
            await self._joined().press(keys)
        except ConnectionError as error:
            raise VoiceConnectionError(self.name, f"cannot press keys at {self.where}: {reason_of(error)}") from error

    def _joined(self) -> LiveKitRoom:
        if self._room is None or not self.is_connected:
            raise self.not_connected()
        return self._room

    def _waits_for(self, what: str) -> None:
        self.waiting_for = what


class LiveKitAgentAdapter(LiveKitRoomAdapter):
    """An agent that joins a room of LiveKit. Needs the extra ``livekit``.

    Args:
        url: of the LiveKit server, such as ``wss://project.livekit.cloud`` or ``ws://localhost:7880``.
        api_key, api_secret: of the project, with which the token to join is made.
        room: that is joined; the server creates it where it does not exist.
        agent_name: of the agent to send into the room, for agents that are dispatched by name. Others join by
            themselves.
        agent_metadata: that this agent is given, as JSON.
        agent_identity: of the participant that is spoken with. Default: the first that is an agent.
        identity: of the user in the room; a new one for each connection by default.

    Raises:
        ConfigurationError: an argument is missing, or the URL is none of a WebSocket.
    """

    capabilities = AdapterCapabilities(
        streaming_transcripts=True,
        native_vad=True,
        dtmf=True,
        input_formats=("pcm16/48000",),
        output_formats=("pcm16/48000",),
    )

    def __init__(
        self,
        url: str,
        api_key: str,
        api_secret: str,
        room: str,
        *,
        agent_name: str | None = None,
        agent_metadata: Mapping[str, Any] | None = None,
        agent_identity: str | None = None,
        identity: str = "",
    ) -> None:
        super().__init__()
        self._url = websocket_url(url, f"{type(self).__name__}: url")
        for name, value in (("api_key", api_key), ("api_secret", api_secret), ("room", room)):
            if not value.strip():
                raise ConfigurationError(f"{type(self).__name__}: {name} is empty")
        remember(api_key, api_secret, placed=True)
        self._key, self._secret, self._name_of_room = api_key, api_secret, room
        self._dispatch, self._metadata = agent_name, agent_metadata
        self._wanted, self._identity = agent_identity, identity
        self._clock = SystemClock()
        self._said = self._agent_stream = ""
        self._streams: dict[str, str] = {}

    @property
    def where(self) -> str:
        """The server and the room."""
        return f"{shown_socket(self._url)} (room {self._name_of_room})"

    def describe(self) -> dict[str, Any]:
        """The server, the room and the agent that is wanted."""
        return {"url": shown_socket(self._url), "room": self._name_of_room, "agent": self._dispatch or self._wanted}

    async def dial(self) -> None:
        """Join the room."""
        self._said, self._agent_stream, self._streams = "", "", {}
        token = access_token(
            self._key,
            self._secret,
            room=self._name_of_room,
            identity=self._identity or _IDS.new("user"),
            now=self._clock.now(),
            valid_seconds=_TOKEN_SECONDS,
            agent_name=self._dispatch,
            metadata=self._metadata,
        )
        remember(token)
        await self.join(self._url, token, self._wanted)

    async def take(self, item: RoomItem) -> None:
        """Words of both sides, and what the agent is doing."""
        if isinstance(item, RoomText):
            await (self._user_words(item) if item.identity == self._joined().identity else self._agent_words(item))
        elif isinstance(item, AgentState):
            if item.state == "speaking":
                self.agent_speaks()
            elif item.state in {"listening", "idle"}:
                self._said = ""
                self.agent_is_done()
            self.ends_turns = True
        else:
            await super().take(item)

    async def send_text(self, text: str) -> None:
        """Write to the agent, which has to listen to the topic ``lk.chat``."""
        try:
            await self._joined().write(text)
        except ConnectionError as error:
            raise VoiceConnectionError(self.name, f"cannot write to {self.where}: {reason_of(error)}") from error

    async def _agent_words(self, item: RoomText) -> None:
        """Agents send what is new, each message in a stream of its own."""
        if not item.text:
            return
        begins = item.stream != self._agent_stream
        self._agent_stream = item.stream
        apart = begins and self._said and not self._said[-1].isspace() and not item.text[0].isspace()
        self._said += item.text
        await self.deliver_unasked(AgentWords(text=f" {item.text}" if apart else item.text))

    async def _user_words(self, item: RoomText) -> None:
        """What was understood of the user comes again, each time in a stream of its own, until it is final."""
        if not item.ended:
            self._streams[item.stream] = self._streams.get(item.stream, "") + item.text
            if sum(map(len, self._streams.values())) > _MOST_UNFINISHED:
                raise VoiceConnectionError(
                    self.name, f"{self.where} sends without measure: {_MOST_UNFINISHED:,} characters of unfinished text"
                )
            return
        text = self._streams.pop(item.stream, "")
        if item.final and text.strip():
            await self.deliver_unasked(UserWords(text=text.strip()))


def websocket_url(url: str, whose: str) -> str:
    """The address of a LiveKit server, which may also be given as ``https://…``.

    Raises:
        ConfigurationError: it is something else.
    """
    url = url.strip()
    parts = urlsplit(url) if url.startswith(("http://", "https://")) else None
    if parts is not None:
        url = parts._replace(scheme="wss" if parts.scheme == "https" else "ws").geturl()
    socket_address(url, whose)
    return url
