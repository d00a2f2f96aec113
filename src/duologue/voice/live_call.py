"""A call of a person with a voice agent: the sound of a microphone goes in, that of the agent and all words come out.

The person is the user of the same driver that plays every other call. Who speaks when is found in the microphone's
sound; whoever speaks while the agent does cuts in. All methods belong to the event loop of voice (``duplex/threads``).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

from duologue.context import SystemClock
from duologue.errors import ConfigurationError, DuologueError
from duologue.frozen import frozen
from duologue.voice.activity import SpeechDetector, SpeechEdge
from duologue.voice.audio import FRAME_SECONDS, AudioChunk, bytes_of
from duologue.voice.duplex.agent_turn import HeardTurn
from duologue.voice.duplex.driver import DuplexDriver
from duologue.voice.duplex.playout import FRAME_BYTES, SILENCE
from duologue.voice.duplex.user_side import UserSpeech
from duologue.voice.incoming import AgentKeys, AgentToolCall, AgentToolResult, AgentWords, Incoming
from duologue.voice.port import FirstChunkTimeoutError, VoiceConnectionError, VoicePort
from duologue.voice.recognition import transcribe
from duologue.voice.timeline import SpeechPurpose, VoiceEvent

logger = logging.getLogger("duologue.voice")

_DELAY = 8
"""Frames that wait before the agent hears them: so much may they be late, and so long has the detector of speech."""
_MOST_WAITING = 40
"""Frames that wait at most; what is older is dropped."""
_BEGINS, _PAUSES = 0.1, 0.2
"""Seconds of speech after which somebody speaks, and of silence after which they do not speak now."""
_ENDS = 0.5
"""Seconds of such a pause after which they have finished; an agent that answers earlier has decided that."""
_CUTS_IN = 0.3
"""Seconds that somebody speaks over the agent until it is interrupted. What is shorter is a sign of listening."""
_LONGEST_SPEECH = bytes_of(60.0)
"""Bytes of a speech that are kept to be recognised."""
_GRACE = 2.5
"""Seconds in which the agent's side may say what it has understood, before the speech is recognised here."""
_LAST_WORDS = 20.0
"""Seconds that recognising may take once the call is over."""
_MOST_ORDERS = 32
"""Interruptions and keys that wait at most; what is asked for beyond them is not done."""
_MOST_RECOGNISED = 8
"""Speeches that wait to be recognised at most."""

NewsKind = Literal[
    "connected", "speaking", "words", "line", "tool_call", "tool_result", "keys", "interrupted", "notice"
]
Who = Literal["user", "agent"]


@frozen
class CallNews:
    """Something that the person is told.

    Attributes:
        kind: what it is about. ``words`` are new words of a line that is under way, ``line`` is all that was said in
            it; ``speaking`` says that somebody begins or stops.
        who: user or agent.
        line: number of the line of the conversation.
        text: of the line or the notice; the keys that were pressed; the name of a tool.
        replaces: whether ``text`` is all of the line so far.
        on: whether somebody speaks now; of a line, whether it was cut off.
        value: arguments or result of a tool; of an interruption, what the timeline of a run says of it.
        seconds: since the call began.
    """

    kind: NewsKind
    who: Who = "agent"
    line: int = 0
    text: str = ""
    replaces: bool = False
    on: bool = False
    value: Any = None
    seconds: float = 0.0


class MicrophoneInput:
    """The sound of a person, as it comes: evened out to one frame for each 20 ms, and looked at for speech.

    Args:
        began: told that somebody begins to speak.
    """

    def __init__(self, began: Callable[[], None]) -> None:
        self._began = began
        self._detector = SpeechDetector(begins=_BEGINS, ends=_PAUSES)
        self._frames: deque[bytes] = deque()
        self._rest = b""
        self._filling = True

    def put(self, pcm: bytes) -> None:
        """PCM16, mono, 24 kHz, of any length. What comes faster than it is heard is dropped."""
        data = self._rest + pcm
        whole = len(data) // FRAME_BYTES * FRAME_BYTES
        self._rest = data[whole:]
        for at in range(0, whole, FRAME_BYTES):
            if len(self._frames) >= _MOST_WAITING:
                while len(self._frames) > _DELAY:
                    self._frames.popleft()
            frame = data[at : at + FRAME_BYTES]
            self._frames.append(frame)
            self._look(frame)

    def take(self) -> bytes:
        """The next frame; silence where none has come, as while the microphone is off."""
        if self._filling and len(self._frames) >= _DELAY:
            self._filling = False
        if self._filling or not self._frames:
            self._filling = True
            if not self._frames:
                self._look(SILENCE)
            return SILENCE
        return self._frames.popleft()

    @property
    def is_speaking(self) -> bool:
        """Whether somebody speaks now."""
        return self._detector.is_speaking

    def _look(self, frame: bytes) -> None:
        for change in self._detector.process(frame):
            if change.edge is SpeechEdge.BEGAN:
                self._began()


class LiveSpeech(UserSpeech):
    """Something that a person is saying. It is over once they are silent.

    Args:
        microphone: gives its frames.

    Attributes:
        silent: seconds since they spoke last.
        over_agent: seconds that they have spoken while the agent does.
        cut_in: the agent has been interrupted with it.
        finished: nothing more is said in it.
    """

    def __init__(self, microphone: MicrophoneInput) -> None:
        super().__init__(AudioChunk(b""), SpeechPurpose.TURN)
        self._microphone = microphone
        self._heard = bytearray()
        self.silent = self.over_agent = 0.0
        self.cut_in = self.finished = False

    def take(self) -> bytes:
        """The next frame of the microphone."""
        frame = self._microphone.take()
        if len(self._heard) < _LONGEST_SPEECH:
            self._heard += frame
        return frame

    @property
    def is_over(self) -> bool:
        """Whether nothing more is said in it."""
        return self.finished

    @property
    def heard(self) -> AudioChunk:
        """Its sound, to be recognised."""
        return AudioChunk(bytes(self._heard))


@dataclass(eq=False)
class _Line:
    """A line of the conversation, as far as its words are known."""

    number: int
    who: Who
    words: list[str] = field(default_factory=list[str])


class LiveCall:
    """A call of a person.

    Args:
        adapter: the agent.
        tell: told of everything that the person is to see.
        sound: given each frame of the agent in which there is sound: PCM16, mono, 24 kHz, 20 ms.

    Attributes:
        microphone: takes the sound of the person.
        connected: whether the agent has been reached.
    """

    def __init__(self, adapter: VoicePort, *, tell: Callable[[CallNews], None], sound: Callable[[bytes], None]) -> None:
        self._adapter, self._tell, self._sound = adapter, tell, sound
        self.microphone = MicrophoneInput(self._begin)
        self.driver = DuplexDriver(
            adapter,
            real_time=True,
            on_event=self._on_event,
            on_frame=self._on_frame,
            background=self.microphone.take,
        )
        self._speech: LiveSpeech | None = None
        self._lines: list[_Line] = []
        self._user_line: _Line | None = None  # which the user goes on with, until the agent has said something
        self._tasks: set[asyncio.Task[None]] = set()
        self._recognising = asyncio.Lock()
        self._waiting = self._orders = 0
        self._agent_reports = False  # what it understands of the user
        self._no_recogniser = self._unanswered = self._hung_up = False
        self.connected = False

    async def hold(self) -> str:
        """Call the agent, and talk until one of both has hung up.

        Returns:
            The reason that the agent's side gave for its end; '' for none.

        Raises:
            VoiceConnectionError: the agent cannot be reached, or the connection has broken.
        """
        driver = self.driver
        try:
            await driver.open()
            self.connected = True
            self._tell(CallNews(kind="connected"))
            await self._listen()
            return driver.over.reason if driver.over is not None else ""
        finally:
            try:
                await driver.close()
            finally:
                await self._settle()

    # --- the person --------------------------------------------------------------------------------------------------

    def interrupt(self) -> None:
        """Tell the agent to stop, where its transport can do that."""
        if self._adapter.capabilities.interruption:
            self._ordered(lambda: self._cut_in(None))

    def press(self, keys: str) -> None:
        """Press keys, as tones where the transport carries none. What are no keys is told."""
        self._ordered(lambda: self._pressed(keys))

    def hang_up(self) -> None:
        """The person ends the call."""
        self._hung_up = True
        self.driver.hang_up()

    def _begin(self) -> None:
        if self._speech is None and self.connected and self.driver.over is None:
            self._speech = LiveSpeech(self.microphone)
            self.driver.begin_saying(self._speech)
            self._later(self._spoken(self._speech))

    def _ordered(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._orders >= _MOST_ORDERS:
            self._tell(CallNews(kind="notice", text="More keys and interruptions wait than can be done now."))
            return

        async def done() -> None:
            try:
                await work()
            finally:
                self._orders -= 1

        self._orders += 1
        self._later(done())

    def _speaking(self, speech: LiveSpeech) -> None:
        """20 ms more of what they say."""
        agent = self.driver.agent_is_speaking
        if not self.microphone.is_speaking:
            speech.silent, speech.over_agent = speech.silent + FRAME_SECONDS, 0.0
            if agent or speech.silent >= _ENDS:
                speech.finished, self._speech = True, None
            return
        speech.silent = 0.0
        speech.over_agent = speech.over_agent + FRAME_SECONDS if agent else 0.0
        if speech.over_agent >= _CUTS_IN and not speech.cut_in:
            speech.cut_in = True
            self._later(self._cut_in(speech))

    async def _spoken(self, speech: LiveSpeech) -> None:
        """A line of the user, until its words are known."""
        line = self._user_line = self._user_line or self._line("user")
        place = len(line.words)
        line.words.append("")
        self._news("line", line)
        try:
            await self.driver.said(speech)
        except DuologueError:  # the call has broken, which is told elsewhere
            speech.finished = True
        self._unanswered = True
        if self._agent_reports:
            return
        await SystemClock().sleep(_GRACE)
        if not self._agent_reports and (text := await self._recognised(speech.heard)):
            line.words[place] = text
            self._news("line", line)

    async def _pressed(self, keys: str) -> None:
        try:
            await self.driver.press(keys, as_tones=True)
        except (DuologueError, ValueError) as error:
            self._tell(CallNews(kind="notice", text=str(error)))

    async def _cut_in(self, speech: LiveSpeech | None) -> None:
        try:
            await self.driver.interrupt(speech)
        except DuologueError as error:  # the call has broken, which is told elsewhere
            logger.debug("the agent was not interrupted: %s", error)

    # --- the agent ---------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while self.driver.over is None:
            try:
                await self._answer()
            except FirstChunkTimeoutError as error:
                if self._unanswered:  # otherwise nobody waits for an answer
                    self._tell(CallNews(kind="notice", text=str(error)))
                self._unanswered = False
            except VoiceConnectionError:
                if self._hung_up:
                    return
                raise

    async def _answer(self) -> None:
        line: _Line | None = None
        async for item in self.driver.answer():
            if isinstance(item, HeardTurn):
                self._unanswered = False
                if item.text or item.sound.data:
                    line = line or self._line("agent")
                    self._later(self._complete(line, item))
                line = None
            elif (told := self._passed_on(item)) is not None:
                line = line or self._line("agent")
                self._news(told.kind, line, told.text, replaces=told.replaces, value=told.value)

    def _passed_on(self, item: Incoming) -> CallNews | None:
        """What is told of something that came beside sound."""
        if isinstance(item, AgentWords):
            return CallNews(kind="words", text=item.text, replaces=item.replaces)
        if isinstance(item, AgentToolCall):
            return CallNews(kind="tool_call", text=item.name, value=item.arguments)
        if isinstance(item, AgentToolResult):
            return CallNews(kind="tool_result", value=item.result)
        return CallNews(kind="keys", text=item.keys) if isinstance(item, AgentKeys) else None

    async def _complete(self, line: _Line, turn: HeardTurn) -> None:
        text = turn.text if turn.words else await self._recognised(turn.sound)
        line.words = [text]
        self._news("line", line, on=turn.cut is not None)

    # --- what happens ------------------------------------------------------------------------------------------------

    def _on_frame(self, user: bytes, agent: bytes) -> None:
        if agent is not SILENCE:
            self._sound(agent)
        if self._speech is not None:
            self._speaking(self._speech)

    def _on_event(self, event: VoiceEvent) -> None:
        metadata = event.metadata or {}
        if event.type in {"user_start_speaking", "user_stop_speaking", "agent_start_speaking", "agent_stop_speaking"}:
            who: Who = "user" if event.type.startswith("user") else "agent"
            on = event.type.endswith("start_speaking")
            self._tell(CallNews(kind="speaking", who=who, on=on, seconds=event.time))
        elif event.type == "user_transcript":
            self._agent_reports = True
            self._understood(str(metadata.get("text", "")))
        elif event.type == "user_interrupt":
            self._tell(CallNews(kind="interrupted", who="user", value=metadata, seconds=event.time))

    def _understood(self, text: str) -> None:
        """What the agent's side has understood of the user belongs to the last line that has no words yet."""
        own = [line for line in self._lines if line.who == "user"]
        line = self._user_line or next((item for item in reversed(own) if not any(item.words)), None)
        if line is None:
            line = self._line("user")
        line.words.append(text.strip())
        self._news("line", line)

    async def _recognised(self, sound: AudioChunk) -> str:
        """The words of a sound of which nobody has told any; '' where they cannot be recognised."""
        if self._no_recogniser or not sound.data or self._waiting >= _MOST_RECOGNISED:
            return ""
        self._waiting += 1
        try:
            async with self._recognising:
                return await transcribe(sound)
        except ConfigurationError as error:
            if not self._no_recogniser:
                self._tell(CallNews(kind="notice", text=f"Words that the agent does not report are not shown: {error}"))
            self._no_recogniser = True
        except DuologueError as error:
            logger.warning("what was said in a call is not recognised: %s", error)
        finally:
            self._waiting -= 1
        return ""

    def _line(self, who: Who) -> _Line:
        """A new line of the conversation."""
        line = _Line(number=len(self._lines), who=who)
        self._lines.append(line)
        if who == "agent":
            self._user_line = None
        return line

    def _news(
        self,
        kind: NewsKind,
        line: _Line,
        text: str | None = None,
        *,
        replaces: bool = False,
        on: bool = False,
        **more: Any,
    ) -> None:
        said = " ".join(filter(None, line.words)) if text is None else text
        now = self.driver.now
        self._tell(
            CallNews(
                kind=kind, who=line.who, line=line.number, text=said, replaces=replaces, on=on, seconds=now, **more
            )
        )

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a part of a live call has failed", exc_info=error)

    async def _settle(self) -> None:
        """What was said last is still recognised."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LAST_WORDS)
        for task in tuple(self._tasks):
            task.cancel()
