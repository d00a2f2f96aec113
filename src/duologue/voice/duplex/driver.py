"""Frames of 20 ms both ways over any voice agent: what is said to it, what is heard of it, and who spoke when.

The driver plays sound out at the pace of frames, however fast it came, and throws away what nobody has heard when the
user cuts in. Times are seconds since the conversation began, counted in frames. All methods belong to the event loop
that :meth:`DuplexDriver.open` was awaited on: that of voice, as a rule (``duplex/threads``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from math import inf
from typing import cast

from duologue.voice.audio import FRAME_SECONDS, AudioChunk
from duologue.voice.duplex.agent_side import AgentSide
from duologue.voice.duplex.agent_turn import HeardTurn
from duologue.voice.duplex.cut_in import SETTLE_SECONDS, Interruption, PendingInterruption, told_to_stop
from duologue.voice.duplex.lateness import Lateness
from duologue.voice.duplex.line import AgentLine, connect, disconnect, exchanged
from duologue.voice.duplex.pace import SimulatedPace, metronome
from duologue.voice.duplex.track_port import NoTrack, Track
from duologue.voice.duplex.user_side import UserSide, UserSpeech
from duologue.voice.duplex.waiters import Waiters
from duologue.voice.incoming import CallEnded, Incoming
from duologue.voice.port import ExchangePort, UnsupportedCapabilityError, VoiceConnectionError, VoicePort, reason_of
from duologue.voice.timeline import AudioSegment, SpeechPurpose, VoiceEvent
from duologue.voice.tones import dtmf_tones, require_keys

_AFTER_CALL = 1.0
"""Seconds that frames go on after the agent has hung up. The time that the judge takes is not part of the recording."""


class DuplexDriver:
    """A call with a voice agent, frame by frame.

    Args:
        adapter: the agent. It is connected by :meth:`open` and disconnected by :meth:`close`.
        track: keeps the sound.
        keeps_turns: whether the agent's turns hold their sound, too: half a minute of it each, until it is taken.
        real_time: whether frames follow the wall clock; None for all agents but those of this process that do not ask
            for it (``real_time``).
        on_event: told of everything that happens, at once.
        on_frame: told of both sides of each frame, at once.
        background: gives what the agent hears while the user says nothing; None for silence.

    Attributes:
        real_time: whether frames follow the wall clock.
        beside: called after each frame, for a user that acts beside its turns; see :class:`DuplexUser`.
    """

    def __init__(
        self,
        adapter: VoicePort,
        *,
        track: Track | None = None,
        keeps_turns: bool = True,
        real_time: bool | None = None,
        on_event: Callable[[VoiceEvent], None] | None = None,
        on_frame: Callable[[bytes, bytes], None] | None = None,
        background: Callable[[], bytes] | None = None,
    ) -> None:
        self.adapter = adapter
        self._exchange = cast("ExchangePort", adapter) if hasattr(adapter, "exchange") else None
        if real_time is None:
            real_time = self._exchange is None or self._exchange.real_time
        if not real_time and self._exchange is None:
            raise ValueError(f"{adapter.name} is not an agent of this process, so that its time cannot be simulated")
        self.real_time = real_time
        self.beside: Callable[[DuplexDriver], None] | None = None
        self._track: Track = track or NoTrack()
        self._on_event, self._on_frame, self._frames = on_event, on_frame, 0
        self._events, self._segments = list[VoiceEvent](), list[AudioSegment]()
        self._agent = AgentSide(adapter, event=self._add_event, segment=self._add_segment, keeps_sound=keeps_turns)
        self._user = UserSide(
            event=self._add_event,
            segment=self._add_segment,
            began=self._user_begins,
            ended=self._user_ended,
            background=background,
        )
        self._lateness = Lateness(self._add_event)
        self._waiters = Waiters()
        self._interrupted: PendingInterruption | None = None
        self._cuts, self._silent_until, self._answered = 0, 0.0, False
        self._broken: BaseException | None = None
        self._failure: BaseException | None = None
        self._over, self._opened, self._closed, self._hung_up_until = False, False, False, inf
        self._line: AgentLine | None = None
        self._simulated: SimulatedPace | None = None

    # --- beginning and end -------------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect; frames begin.

        Raises:
            VoiceConnectionError: it cannot be connected, or not within ``connect_timeout``.
        """
        if self._opened or self._closed:
            raise RuntimeError("a driver is opened once")
        self._opened = True
        if self._exchange is not None:
            self._exchange.real_time = self.real_time
        try:
            await connect(self.adapter)
        except BaseException:
            self._closed = True
            raise
        if self._closed:  # in the meantime
            await disconnect(self.adapter)
            return
        if not self.real_time:
            self._simulated = SimulatedPace(self._step, self._is_waited_for, self._fail)
            return
        self._line = AgentLine(self.adapter, take=self._take, playout=self._agent.playout, broken=self._break)
        self._line.start()
        metronome().join(self._tick, self._fail)

    async def close(self) -> None:
        """Hang up; in every order, any number of times."""
        if self._closed:
            return
        self._closed = True
        if not self._opened:
            return
        metronome().leave(self._tick)
        try:
            if self._simulated is not None:
                await self._simulated.stop()
            if self._line is not None:
                await self._line.stop()
            self._agent.playout.clear()
            self._agent.end_turns(self.now, broken=True)
            self.stop_saying()
            self._fail(VoiceConnectionError(self.adapter.name, "the call was ended by this side"))
        finally:  # nobody else disconnects the adapter if this is cancelled, or the recording takes no event
            await disconnect(self.adapter)

    @property
    def now(self) -> float:
        """Seconds since the conversation began."""
        return self._frames * FRAME_SECONDS

    @property
    def timeline(self) -> Sequence[VoiceEvent]:
        """What has happened so far."""
        return sorted(self._events, key=lambda event: event.time)

    @property
    def segments(self) -> Sequence[AudioSegment]:
        """Who has spoken when so far, without sound."""
        return sorted(self._segments, key=lambda segment: segment.start_time)

    @property
    def agent_is_speaking(self) -> bool:
        """Whether the agent is heard now, short pauses included."""
        return self._agent.speech.is_speaking

    @property
    def user_is_speaking(self) -> bool:
        """Whether the user speaks now."""
        return self._user.is_speaking

    @property
    def over(self) -> CallEnded | None:
        """How the agent's side has ended the call, if it has and all of it was heard."""
        return self._agent.call_ended if self._over else None

    # --- the user ----------------------------------------------------------------------------------------------------

    def begin_saying(self, sound: AudioChunk | UserSpeech, purpose: SpeechPurpose = SpeechPurpose.TURN) -> UserSpeech:
        """Say this from the next frame on, after what is being said. A speech may be still under way."""
        speech = UserSpeech(sound, purpose) if isinstance(sound, AudioChunk) else sound
        if speech.is_over or self._over or self._closed:
            said = speech.sound.transcript
            speech.segment = AudioSegment("user", self.now, self.now, transcript=said, purpose=speech.purpose)
            return speech
        self._user.say(speech)
        if speech.purpose is SpeechPurpose.TURN:
            self._agent.user_is_speaking, self._answered = True, False
        return speech

    async def say(self, sound: AudioChunk, purpose: SpeechPurpose = SpeechPurpose.TURN) -> AudioSegment:
        """Say this; until its last frame is sent.

        Raises:
            VoiceConnectionError: the connection has broken.
        """
        return await self.said(self.begin_saying(sound, purpose))

    async def said(self, speech: UserSpeech) -> AudioSegment:
        """Wait until the last frame of it is sent, or it was stopped."""
        await self.until(lambda: speech.segment is not None)
        assert speech.segment is not None
        return speech.segment

    async def note_delay(self, since: float) -> None:
        """Note on the timeline that this side was not ready with a line of the user from ``since`` until now."""
        self._lateness.delayed(since, self.now)

    def stop_saying(self) -> None:
        """The user breaks off: what is not said yet is not said."""
        speaking = self._user.is_speaking
        self._user.stop(self.now)
        if speaking and self._line is not None and not self._closed:
            self._line.tell("end")

    async def press(self, keys: str, *, as_tones: bool = False) -> None:
        """Press keys.

        Args:
            keys: of ``0-9``, ``A-D``, ``*`` and ``#``; ``w`` and ``W`` are pauses.
            as_tones: as sound, where the transport does not carry keys.

        Raises:
            ValueError: there are no such keys.
            UnsupportedCapabilityError: the transport carries none, and tones are not wanted.
        """
        require_keys(keys)
        native = self.adapter.capabilities.dtmf
        if not native and not as_tones:
            raise UnsupportedCapabilityError(self.adapter.name, "dtmf", "Keys can be sent as sound: as_tones=True.")
        self._answered = False
        self._add_event(VoiceEvent(self.now, "dtmf", metadata={"by": "user", "keys": keys, "native": native}))
        if native:
            await self.adapter.send_dtmf(keys)
            self._agent.user_done = self.now
        else:
            await self.say(AudioChunk(dtmf_tones(keys)))

    async def wait(self, seconds: float, *, sent: bool = False) -> None:
        """Frames go on; the user is silent unless something is being said.

        Args:
            seconds: of the conversation.
            sent: silence is sent to adapters that otherwise get only what the user says.
        """
        end = self.now + seconds
        if sent:
            self._silent_until = end
        await self.until(lambda: self.now >= end - 1e-9 or self._over)

    async def until(self, done: Callable[[], bool], *, demands: Callable[[], bool] = lambda: True) -> None:
        """Wait for a state of the call, which is looked at after each frame.

        Args:
            done: whether it is there. Called on the event loop of voice.
            demands: on a simulated pace, whether frames go on for it.

        Raises:
            VoiceConnectionError: the connection has broken before.
        """
        if done():
            return
        if self._failure is not None:
            raise self._failure
        waiting = self._waiters.add(done, demands)
        self.wake()
        await waiting

    def expect(self) -> None:
        """An answer is going to be asked for, even if the user has said nothing since the last one."""
        self._answered = False

    def wake(self) -> None:
        """Somebody waits now who has not before."""
        if self._simulated is not None and not self._closed:
            self._simulated.wake()

    # --- interruptions -----------------------------------------------------------------------------------------------

    async def interrupt(
        self, sound: AudioChunk | UserSpeech | None = None, *, settle: bool = True
    ) -> Interruption | None:
        """Cut in: the agent is told to stop where its transport can do so, else it is talked over.

        Args:
            sound: what the user says from the next frame on, or has just begun to say.
            settle: wait until the agent is silent, for at most :data:`SETTLE_SECONDS`. An agent that is talked over is
                not silent before the user speaks: without ``sound`` nothing is waited for.

        Returns:
            What it came to; None if nothing was waited for, or the call is over.
        """
        if self._over or self._failure is not None:
            return None
        agent = self._agent
        at, speaking = self.now, agent.speech.is_speaking or agent.is_waiting
        if isinstance(sound, AudioChunk):
            self.begin_saying(sound)
        native = await told_to_stop(self.adapter)
        if native:
            agent.playout.clear()
        pending = self._interrupted = PendingInterruption(
            self.adapter.name, at, native, speaking, self.now + SETTLE_SECONDS, armed=native or sound is not None
        )
        if not settle or not pending.armed:
            agent.set_aside(self.now)
            self._cuts += 1
            self._waiters.look()
            return None
        await self.until(lambda: pending.result is not None or self._over)
        return pending.result

    def _settle(self) -> None:
        """Whether the agent has stopped since it was interrupted."""
        agent, pending = self._agent, self._interrupted
        if pending is not None and (found := pending.settled(self.now, agent.audible, waiting=agent.is_waiting)):
            self._interrupted = None
            self._cuts += 1
            agent.cut_off(self.now)
            self._add_event(found.event())
        agent.cut_in_at = self._interrupted.speech_cut_at if self._interrupted is not None else None

    def hang_up(self, why: BaseException | None = None) -> None:
        """The user ends the call; whoever waits for the agent gets ``why``."""
        self._add_event(VoiceEvent(self.now, "call_ended", metadata={"by": "user"}))
        self._fail(why or VoiceConnectionError(self.adapter.name, "the user has hung up"), told=False)

    # --- the agent ---------------------------------------------------------------------------------------------------

    async def answer(self, *, attended: Callable[[], bool] = lambda: True) -> AsyncGenerator[Incoming | HeardTurn]:
        """What the agent says: its words, tools and keys as they come, and each of its turns once it is over.

        Turns that were over before the user had spoken come first. The iteration ends with the turn that answers the
        user, or that the user has cut off; or with the call.

        Args:
            attended: whether somebody waits for it. On a simulated pace time stands still until somebody does;
                :meth:`wake` says that this has changed.

        Raises:
            FirstChunkTimeoutError: it does not begin within ``response_timeout``.
            VoiceConnectionError: the connection has broken, and all that came was heard.
        """
        self.expect()
        agent, began, cuts = self._agent, self.now, self._cuts
        current: HeardTurn | None = None
        given = 0

        def due() -> float:
            """Until when the agent has to begin."""
            return max(began, agent.user_done or 0.0, agent.news_at) + self.adapter.response_timeout

        def something() -> bool:
            turn = agent.turns[0] if agent.turns else None
            if turn is not None and (turn.ended is not None or (turn is current and len(turn.news) > given)):
                return True
            if turn is not None and turn is not current and turn.news:
                return True
            late = (turn is None or turn.spoke is None) and not agent.user_is_speaking and self.now >= due()
            return late or self._over or self._cuts != cuts or self._failure is not None

        while True:
            await self.until(something, demands=attended)
            turn = agent.turns[0] if agent.turns else None
            if turn is not current:
                current, given = turn, 0
            if turn is not None and given < len(turn.news):
                given += 1
                yield turn.news[given - 1]
            elif turn is not None and turn.ended is not None:
                agent.turns.popleft()
                cut_in = turn.cut == "interrupted" and self._cuts != cuts
                last = cut_in or (agent.answers_user(turn) and turn.cut != "broken")
                if last and turn.cut != "interrupted":  # otherwise the user has spoken since
                    agent.user_done, self._answered = None, True
                yield turn
                if last:
                    return
            elif self._failure is not None:
                raise self._failure
            elif self._over or self._cuts != cuts:
                return
            else:
                raise self._lateness.no_sound(self.adapter)

    async def until_heard(self, words: int, timeout: float) -> bool:
        """Wait until the agent has said so many words of its answer; 1 for its first sound.

        Words that its side reports are counted as the sound is heard that came with them. Where it reports none, they
        are estimated by how long it has spoken.

        Returns:
            Whether it has. False if it was done before, or the time has passed.
        """
        agent, end = self._agent, self.now + timeout

        def heard() -> bool:
            turn = agent.turns[-1] if agent.turns else None
            return turn is not None and turn.ended is None and turn.heard_words >= words

        await self.until(lambda: heard() or self.answered or self.now >= end)
        return heard()

    @property
    def answered(self) -> bool:
        """Whether the agent has nothing more to say to what the user has said last, as far as can be known."""
        turn = self._agent.turns[-1] if self._agent.turns else None
        over = turn is not None and turn.ended is not None and self._agent.answers_user(turn)
        return over or self._answered or self._over or self._failure is not None

    # --- frames ------------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """20 ms in real time."""
        line, at = self._line, self.now
        if line is None or self._failure is not None or at >= self._hung_up_until:
            return
        self._lateness.seen(at, metronome().late)
        saying, (user, edges) = self._user.is_speaking, self._user.frame(at)
        if "begin" in edges:
            line.tell("begin")
        if saying or self.adapter.wants_silence or at < self._silent_until:
            line.send(user, at)
        if "end" in edges:
            line.tell("end")
        full = self._agent.playout.is_full
        self._hear(user)
        if full and not self._agent.playout.is_full:
            line.make_room()

    async def _step(self) -> None:
        """20 ms on a simulated pace."""
        exchange, at = self._exchange, self.now
        assert exchange is not None
        user, edges = self._user.frame(self.now)
        try:
            if "begin" in edges:
                await exchange.begin_user_turn()
            came = await exchanged(exchange, user, at)
            if "end" in edges:
                await exchange.end_user_turn()
            for item in came:
                self._take(item)
        except Exception as error:  # noqa: BLE001 - the agent's: whoever waits for it is told
            self._break(error)
        self._hear(user)

    def _user_begins(self, speech: UserSpeech) -> None:
        if self._interrupted is not None and speech.purpose is SpeechPurpose.TURN:
            self._interrupted.arm(self.now)

    def _user_ended(self, speech: UserSpeech) -> None:
        if speech.purpose is SpeechPurpose.TURN and speech.segment is not None:
            self._agent.user_done = speech.segment.end_time
            self._agent.user_is_speaking = self._user.has_turn
            if self._interrupted is not None:
                self._agent.expect_another_turn()

    def _hear(self, user: bytes) -> None:
        """The agent's half of the frame, and what follows from it."""
        agent = self._agent
        heard = agent.hear(self.now)
        self._frames += 1
        self._track.frame(user, heard)
        if self._on_frame is not None:
            self._on_frame(user, heard)
        if self.beside is not None:
            self.beside(self)
        self._settle()
        agent.end_turns(self.now, broken=self._broken is not None)
        if not agent.is_waiting:
            if self._broken is not None:
                self._fail(self._broken)
            elif agent.call_ended is not None and not self._over:
                self._over, self._hung_up_until = True, self.now + _AFTER_CALL
                self.stop_saying()
        self._waiters.look()

    def _is_waited_for(self) -> bool:
        return not self._closed and self._failure is None and self._waiters.demand_frames

    def _take(self, item: Incoming) -> None:
        if not self._closed and self._agent.call_ended is None:
            self._agent.take(item, self.now)

    def _break(self, error: BaseException) -> None:
        """The connection is at its end; what has come is still heard."""
        if self._broken is None and self._agent.call_ended is None and not self._closed:
            self._broken = error

    def _fail(self, error: BaseException, *, told: bool = True) -> None:
        """Nothing more comes."""
        if self._failure is None:
            self._failure = error
            if told and not self._closed:
                self._add_event(VoiceEvent(self.now, "call_broken", metadata={"reason": reason_of(error)}))
        self._waiters.fail(self._failure)

    def _add_event(self, event: VoiceEvent) -> None:
        self._events.append(event)
        self._track.event(event)
        if self._on_event is not None:
            self._on_event(event)

    def _add_segment(self, segment: AudioSegment) -> None:
        self._segments.append(segment)
        self._track.segment(segment)
