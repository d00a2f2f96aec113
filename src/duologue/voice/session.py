"""A voice agent in a run: the session between the engine, which speaks in messages, and the driver of frames.

The engine waits on its own event loop; the driver, the adapter and the recording are on that of voice. What is noted in
the journal is noted on the engine's loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing, suppress
from inspect import isawaitable
from typing import Any, ClassVar, TypeVar, cast
from weakref import WeakKeyDictionary

from duologue.conversation.adapter import AgentDone, AgentInput, CompleteAnswer, Piece
from duologue.conversation.duplex import DuplexSession
from duologue.conversation.observers import CURRENT_RUN
from duologue.conversation.result import ScenarioState
from duologue.errors import ConfigurationError, DuologueError
from duologue.journal.events import MessageAdded
from duologue.messages import Message, ToolCall
from duologue.models.scope import RunScope
from duologue.voice.audio import FRAME_SECONDS, AudioChunk
from duologue.voice.duplex.agent_turn import HeardTurn
from duologue.voice.duplex.driver import DuplexDriver
from duologue.voice.duplex.pace import give_way
from duologue.voice.duplex.playout import SILENCE
from duologue.voice.duplex.threads import on_voice_loop, voice_loop
from duologue.voice.duplex.user_side import UserSpeech
from duologue.voice.incoming import AgentToolCall, AgentToolResult, AgentWords, Incoming
from duologue.voice.messages import kept_audio_message, sounds_of
from duologue.voice.playback import Playback
from duologue.voice.port import VoicePort
from duologue.voice.recognition import transcribe
from duologue.voice.speech_of_user import require_voices, speech_of
from duologue.voice.timeline import AudioSegment, VoiceEvent
from duologue.voice.track import RunTrack

T = TypeVar("T")

logger = logging.getLogger("duologue.voice")

_STEPS = 5
"""Of an event loop, in which a call that was answered comes to its end."""
_sessions: WeakKeyDictionary[ScenarioState, list[VoiceSession]] = WeakKeyDictionary()


def voice_sessions(state: ScenarioState) -> list[VoiceSession]:
    """The calls of a run, in the order of its participants."""
    return list(_sessions.get(state, ()))


async def open_session(adapter: VoicePort, run: RunScope) -> VoiceSession:
    """Call a voice agent.

    Raises:
        VoiceConnectionError: it cannot be connected.
        ArtifactError: there is no place for the recording.
    """
    session = VoiceSession(adapter, run, CURRENT_RUN.get())
    await session.open()
    return session


class VoiceSession(DuplexSession):
    """One call of one run.

    Attributes:
        driver: of its frames. Its methods belong on the event loop of voice: :meth:`on_line`.
        track: its recording; None outside of a run.
        sounds: keeps the sounds of messages.
    """

    interrupt_timeout: ClassVar[float] = 30.0

    def __init__(self, adapter: VoicePort, run: RunScope, state: ScenarioState | None) -> None:
        self.adapter = adapter
        self.track = RunTrack(run.artifacts, run.journal.run_id) if run.journal is not None else None
        self.driver = DuplexDriver(
            adapter,
            track=self.track,
            keeps_turns=self.track is None,
            on_event=self._on_event,
            on_frame=self._on_frame,
        )
        self.sounds = sounds_of(run.artifacts)
        self._run, self._state = run, state
        self._loop = asyncio.get_running_loop()
        self._listeners = state.voice.listeners if state is not None else None
        self._playback = Playback.start() if self._listeners is not None and self._listeners.audio_playback else None
        self._heard: set[str] = set()
        self._attended = True
        self._ahead: tuple[Message, AudioChunk] | None = None
        self._ahead_speech: UserSpeech | None = None
        self._concluded = False
        self._given = asyncio.Event()
        self._given.set()
        self._waited_for_since: float | None = None

    # --- beginning and end -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect, once it is known that there are such voices as the users have."""
        try:
            require_voices(self._state)
            await self.on_line(self.driver.open())
        except BaseException:
            asyncio.run_coroutine_threadsafe(self.driver.close(), voice_loop())
            self._let_go()
            raise
        if self._state is not None:
            _sessions.setdefault(self._state, []).append(self)
            self._state.voice.timelines.append(lambda: self.driver.timeline)
        self._note()

    async def conclude(self) -> None:
        """Hang up, and note what there is of the recording."""
        if self._concluded:
            return
        self._concluded = True
        await self._hang_up()
        if self.track is not None:
            try:
                await self.track.recognise_cut_off()
            finally:  # a run that is cancelled does not wait for that, and has a recording all the same
                await self.track.finish()
                self._note()

    async def close(self) -> None:
        """Hang up, if that was not done."""
        await self._hang_up()
        self._let_go()

    async def _hang_up(self) -> None:
        # A future and no task: neither a cancelled wait nor the end of this event loop, which cancels its tasks, keeps
        # the call from being hung up.
        closing = asyncio.run_coroutine_threadsafe(self.driver.close(), voice_loop())
        await asyncio.shield(asyncio.wrap_future(closing))

    def _let_go(self) -> None:
        if self._playback is not None:
            self._playback.stop()
        if self.track is not None:
            self.track.close()

    async def on_line(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something of the driver's on the event loop of voice."""
        return await on_voice_loop(work)

    # --- the user ----------------------------------------------------------------------------------------------------

    async def pause(self, seconds: float, *, sent: bool = False) -> None:
        """The user waits on purpose; see :meth:`DuplexDriver.wait`."""
        await self._note_delay()
        await self.on_line(self.driver.wait(seconds, sent=sent))
        self._waited_for_since = self.driver.now

    async def _note_delay(self) -> None:
        """Note how long nobody but this side was waited for: its models and judges, and its synthesis of the line."""
        since, self._waited_for_since = self._waited_for_since, None
        if since is not None:
            await self.on_line(self.driver.note_delay(since))

    async def hear(self, records: Sequence[MessageAdded]) -> None:
        """Say what the user has said, unless it was said already."""
        if self._waited_for_since is None:
            self._waited_for_since = self.driver.now
        for record in records:
            if record.message_id in self._heard:
                continue
            self._heard.add(record.message_id)
            ahead, self._ahead = self._ahead, None
            speech, self._ahead_speech = self._ahead_speech, None
            if ahead is not None and ahead[0] == record.message:
                if speech is not None:
                    await self.on_line(self.driver.said(speech))
                else:
                    await self._note_delay()
                    await self.on_line(self.driver.say(ahead[1]))
                self._waited_for_since = self.driver.now
                continue
            if self.driver.over is not None:
                logger.warning("%s has ended the call and does not hear what the user says now", self.adapter.name)
                continue
            sound = await speech_of(record.message, self._state, record)
            await self._note_delay()
            await self.on_line(self.driver.say(sound))
            self._waited_for_since = self.driver.now
        self._waited_for_since = None
        self._note()

    async def hear_sound(self, sound: AudioChunk, message_id: str) -> None:
        """Say the sound of a message that is in the conversation."""
        self._heard.add(message_id)
        await self.on_line(self.driver.say(sound))
        self._note()

    async def prepare(self, line: Message) -> None:
        """Synthesize what the user is going to say."""
        self._ahead, self._ahead_speech = (line, await speech_of(line, self._state)), None

    async def send(self, input: AgentInput) -> None:
        """Say what the agent has not heard of the user."""
        index = self._run.participant
        if index is None:
            return
        await self.hear([item for item in input.scenario_state.view.mailboxes[index] if item.message["role"] == "user"])

    # --- the agent ---------------------------------------------------------------------------------------------------

    def attend(self, waited_for: bool = True) -> None:
        """Somebody waits for the answer that is on its way, or nobody does."""
        self._attended = waited_for
        voice_loop().call_soon_threadsafe(self.driver.wake if waited_for else self.driver.expect)

    async def until_heard(self, words: int, timeout: float, *, more: float = 0.0) -> bool:
        """Wait until so many words of the answer were heard, and for a while more."""
        return await self.on_line(self._until_heard(words, timeout, more))

    async def _until_heard(self, words: int, timeout: float, more: float) -> bool:
        driver = self.driver
        if not await driver.until_heard(words, timeout):
            return not driver.answered
        if more:
            end = driver.now + more
            await driver.until(lambda: driver.now >= end or driver.answered)
        return not driver.answered

    async def interrupt(self) -> None:
        """Cut in on the agent, with what was prepared; until all that was heard of it is given."""
        await self.on_line(self._interrupt())
        await self._given.wait()
        for _ in range(_STEPS):
            await give_way()
        self._note()

    async def _interrupt(self) -> None:
        sound = self._ahead[1] if self._ahead is not None else None
        if sound is not None and sound.data:
            self._ahead_speech = self.driver.begin_saying(sound)
            await self.driver.interrupt(self._ahead_speech)
        else:
            await self.driver.interrupt()

    async def receive(self) -> AsyncGenerator[Piece]:
        """The agent's words as they come; at the end of each of its turns, the message with its sound."""
        tools: list[AgentToolCall | AgentToolResult] = []
        said = ""
        self._given.clear()
        try:
            async with aclosing(self._answer()) as answer:  # one that is left takes no turn of the next one
                async for item in answer:
                    if isinstance(item, AgentWords):
                        new = _continuation(said, item)
                        said += new
                        if new:
                            yield new
                    elif isinstance(item, AgentToolCall | AgentToolResult):
                        tools.append(item)
                    elif isinstance(item, HeardTurn):
                        self._note()
                        if item.cut == "broken":  # what was said until then stays, marked as cut by the error
                            continue
                        yield CompleteAnswer(messages=[*_tool_messages(tools), *await self._message(item)])
                        tools, said = [], ""
        finally:
            self._attended = True
            self._given.set()
            self._waited_for_since = self.driver.now
        self._note()
        if (ended := self.driver.over) is not None:
            yield AgentDone(explanation=ended.reason or "the agent has ended the call")

    async def _answer(self) -> AsyncGenerator[Incoming | HeardTurn]:
        """The answer as the driver gives it, brought from the event loop of voice to this one."""
        queue: asyncio.Queue[Incoming | HeardTurn | BaseException | None] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def put(item: Incoming | HeardTurn | BaseException | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(queue.put_nowait, item)

        async def bring() -> None:
            try:
                async for item in self.driver.answer(attended=lambda: self._attended):
                    put(item)
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                put(error)
            else:
                put(None)

        bringing = asyncio.run_coroutine_threadsafe(bring(), voice_loop())
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            bringing.cancel()

    async def _message(self, turn: HeardTurn) -> list[Message]:
        sound, text = await self._heard_of(turn), turn.text
        if not sound.data and not text:
            return []
        if not text:
            text = await self._recognised(sound)
        if not sound.data:
            return [{"role": "assistant", "content": text}]
        return [await kept_audio_message(sound, "assistant", self.sounds, transcript=text)]

    async def _heard_of(self, turn: HeardTurn) -> AudioChunk:
        """The sound of a turn, which the recording holds where there is one."""
        if self.track is None or (interval := turn.interval) is None:
            return turn.sound
        return await asyncio.to_thread(self.track.heard, AudioSegment("agent", *interval))

    async def _recognised(self, sound: AudioChunk) -> str:
        """What the agent said, where its side does not tell."""
        try:
            return await transcribe(AudioChunk(sound.data))
        except ConfigurationError as error:
            logger.warning("%s reports no words, and its sound is not recognised: %s", self.adapter.name, error)
        except DuologueError as error:
            logger.warning("what %s said is not recognised: %s", self.adapter.name, error)
        return ""

    # --- who listens -------------------------------------------------------------------------------------------------

    def _note(self) -> None:
        """Put what the recording has to note into the journal."""
        journal = self._run.journal
        if self.track is None or journal is None or journal.finished:
            return
        for note in self.track.take():
            self._run.note(note)

    def _on_event(self, event: VoiceEvent) -> None:
        if self._listeners is not None and (listener := self._listeners.on_voice_event) is not None:
            self._tell(listener, event)

    def _on_frame(self, user: bytes, agent: bytes) -> None:
        if self._playback is not None:
            self._playback.frame(user, agent)
        if self._listeners is None or agent is SILENCE or (listener := self._listeners.on_audio_chunk) is None:
            return
        now = self.driver.now
        self._tell(listener, AudioChunk(agent, start_time=now - FRAME_SECONDS, end_time=now))

    def _tell(self, listener: Callable[[Any], object], value: object) -> None:
        with suppress(RuntimeError):  # the run's loop is closed
            self._loop.call_soon_threadsafe(_guarded, listener, value)


_listening: set[asyncio.Task[None]] = set()


def _guarded(listener: Callable[[Any], object], value: object) -> None:
    try:
        told = listener(value)
    except Exception:
        logger.exception("a listener to a conversation in voice failed")
        return
    if isawaitable(told):
        task = asyncio.ensure_future(_awaited(told))
        _listening.add(task)
        task.add_done_callback(_listening.discard)


async def _awaited(told: Awaitable[object]) -> None:
    try:
        await told
    except Exception:
        logger.exception("a listener to a conversation in voice failed")


def _continuation(said: str, item: AgentWords) -> str:
    """What words add to those that were passed on. Words that were passed on cannot be taken back before the end."""
    if not item.replaces:
        return item.text
    return item.text[len(said) :] if item.text.startswith(said) else ""


def _tool_messages(items: Iterable[AgentToolCall | AgentToolResult]) -> list[Message]:
    """Tool calls as one message, and the result of each as another."""
    calls: list[ToolCall] = []
    results: list[Message] = []
    unanswered: list[str] = []
    for number, item in enumerate(items, 1):
        if isinstance(item, AgentToolCall):
            call_id = item.call_id or f"call_{number}"
            unanswered.append(call_id)
            function = {"name": item.name, "arguments": json.dumps(item.arguments, ensure_ascii=False)}
            calls.append(cast("ToolCall", {"id": call_id, "type": "function", "function": function}))
            continue
        call_id = item.call_id or (unanswered[0] if unanswered else "")
        if call_id in unanswered:
            unanswered.remove(call_id)
            text = item.result if isinstance(item.result, str) else json.dumps(item.result, ensure_ascii=False)
            results.append(cast("Message", {"role": "tool", "tool_call_id": call_id, "content": text}))
    if not calls:
        return []
    return [cast("Message", {"role": "assistant", "content": None, "tool_calls": calls}), *results]
