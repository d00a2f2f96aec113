"""A simulated user that speaks by itself, such as a realtime model: it hears the agent, and its sound is its message.

It hears what the agent has said once that is over, as fast as it takes it: the conversation of the agent under test is
the one that has a pace.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from duologue.context import SystemClock
from duologue.conversation.adapter import AgentInput, AgentSession, Piece, UserDone
from duologue.conversation.observers import CURRENT_RUN
from duologue.errors import AgentError, SimulatorError
from duologue.messages import Message, text_of
from duologue.models.scope import RunScope
from duologue.vocabulary import AgentRole
from duologue.voice.audio import FRAME_SECONDS, AudioChunk, bytes_of
from duologue.voice.duplex.line import connect, disconnect
from duologue.voice.duplex.threads import on_voice_loop
from duologue.voice.duplex.within_bounds import WithinBounds
from duologue.voice.incoming import AgentTurnEnded, AgentWords, CallEnded
from duologue.voice.messages import create_audio_message, extract_audio
from duologue.voice.port import FirstChunkTimeoutError, VoiceConnectionError, VoicePort
from duologue.voice.speech_of_user import speaks_itself
from duologue.voice.synthesis import synthesize

T = TypeVar("T")

_FRAME = bytes_of(FRAME_SECONDS)


class SpeakingPort(VoicePort, Protocol):
    """What a simulated user needs of an adapter besides."""

    speaks_first: bool

    async def send_text(self, text: str) -> None:
        """Have it say these words."""
        ...


async def open_spoken_user(adapter: SpeakingPort, run: RunScope) -> AgentSession:
    """Connect a simulated user.

    Raises:
        SimulatorError: it cannot be connected.
    """
    session = SpokenUserSession(adapter)
    try:
        await on_voice_loop(connect(adapter))
    except AgentError as error:
        raise _of_the_user(error, adapter) from error
    state = CURRENT_RUN.get()
    if state is not None and run.participant is not None:
        speaks_itself(state, run.participant, session.say)
    return session


class SpokenUserSession(AgentSession):
    """The connection of a simulated user. Its adapter tells the ends of its turns (``ends_turns``)."""

    def __init__(self, adapter: SpeakingPort) -> None:
        self._adapter = adapter
        self._is_asked = adapter.speaks_first
        self._is_heard = False
        self._over: CallEnded | None = None

    async def send(self, input: AgentInput) -> None:
        """Have it hear what the agent has said since; with nothing new, it is asked to speak."""
        agents = input.scenario_state.executor.agents
        self._is_heard = any(agent.role is AgentRole.AGENT and hasattr(agent, "capabilities") for agent in agents)
        sounds = [await _sound_of(message) for message in input.new_messages if message["role"] == "assistant"]
        if any(sound.data for sound in sounds) or not self._is_asked:
            await self._on_line(self._hear(sounds))
        self._is_asked = False

    async def receive(self) -> AsyncIterator[Piece]:
        """What it says."""
        spoken = await self._on_line(self._turn())
        text = spoken.transcript or ""
        if spoken.data and self._is_heard:
            yield create_audio_message(spoken, "user")
        elif text:
            yield text
        if self._over is not None:
            yield UserDone(reason="gave_up", explanation=self._over.reason)

    async def say(self, text: str) -> AudioChunk:
        """A line of the script, in its voice."""
        spoken = await self._on_line(self._say(text))
        self._is_asked = False
        return AudioChunk(spoken.data, transcript=text)

    async def close(self) -> None:
        """Hang up."""
        await on_voice_loop(disconnect(self._adapter))

    async def _on_line(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something of the adapter's on the event loop of voice; what fails there is the user's fault."""
        try:
            return await on_voice_loop(work)
        except AgentError as error:
            raise _of_the_user(error, self._adapter) from error

    async def _hear(self, sounds: Sequence[AudioChunk]) -> None:
        heard = b"".join(sound.data for sound in sounds)
        if heard:
            await self._adapter.begin_user_turn()
            for at in range(0, len(heard), _FRAME):
                await self._adapter.send_audio(AudioChunk(heard[at : at + _FRAME]))
        await self._adapter.end_user_turn()

    async def _say(self, text: str) -> AudioChunk:
        await self._adapter.send_text(text)
        return await self._turn()

    async def _turn(self) -> AudioChunk:
        """All that it says in its next turn, with its words."""
        adapter, clock = self._adapter, SystemClock()
        sound, words, most, told = bytearray(), "", bytes_of(adapter.response_max_duration), False
        began, bounds = clock.monotonic(), WithinBounds(adapter.name)
        while self._over is None:
            try:
                item = bounds.item(await adapter.receive(adapter.response_timeout), clock.monotonic() - began)
            except TimeoutError:
                raise FirstChunkTimeoutError(adapter.response_timeout, adapter.name) from None
            if isinstance(item, AudioChunk):
                sound += item.data
                if len(sound) > 2 * most:
                    limit = f"{adapter.response_max_duration:g} s (response_max_duration)"
                    raise VoiceConnectionError(adapter.name, f"it was told to stop after {limit}, and speaks on")
                if len(sound) > most and not told:
                    told = True
                    await adapter.interrupt()
            elif isinstance(item, AgentWords):
                words = item.text if item.replaces else words + item.text
            elif isinstance(item, CallEnded):
                self._over = item
            elif isinstance(item, AgentTurnEnded) and (sound or words or not item.interrupted):
                break  # one that was cut off before it began is not this one
        return AudioChunk(bytes(sound), transcript=words.strip() or None)


async def _sound_of(message: Message) -> AudioChunk:
    """What the agent has said, as it was heard, or spoken by the usual voice if the agent writes."""
    sound = extract_audio(message)
    return sound if sound is not None else await synthesize(text_of(message))


def _of_the_user(error: AgentError, adapter: VoicePort) -> SimulatorError:
    return SimulatorError(f"the simulated user cannot speak: {error}", who=adapter.name)
