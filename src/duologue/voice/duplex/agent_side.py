"""What comes from the agent, sorted into turns: when it spoke, what it said, when it was done."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from copy import copy
from typing import Any

from duologue.voice.audio import FRAME_SECONDS, AudioChunk
from duologue.voice.duplex.agent_speech import AgentSpeech
from duologue.voice.duplex.agent_turn import HeardTurn, TurnCut
from duologue.voice.duplex.playout import SILENCE, Playout
from duologue.voice.duplex.within_bounds import WithinBounds
from duologue.voice.incoming import (
    AgentKeys,
    AgentToolCall,
    AgentToolResult,
    AgentTurnEnded,
    AgentWords,
    CallEnded,
    Incoming,
    UserHeard,
    UserWords,
)
from duologue.voice.port import VoicePort
from duologue.voice.timeline import AudioSegment, VoiceEvent

_NEWS = (AgentToolCall, AgentToolResult, AgentKeys)
_UNTOLD = 5.0
"""Seconds of silence after which an agent that should tell the ends of its turns, and has never done so, is not waited
for any longer."""
_MOST_TURNS = 50
"""Turns that are kept while nobody asks for them."""

logger = logging.getLogger(__name__)


class AgentSide:
    """The agent's half of a call.

    Args:
        adapter: whose bounds count.
        event, segment: told of what happened.
        keeps_sound: whether turns hold what was heard of them; not needed where it is recorded.

    Attributes:
        turns: that nobody has taken yet, in order; the last may not be over.
        playout: sound that is not heard yet.
        speech: whether it is speaking now.
        audible: until when it was heard last.
        news_at: when something besides sound came last.
        call_ended: how its side has ended the call, if it has.
        user_done: when the user's last turn ended; None if that was answered, or there was none.
        user_is_speaking: a turn of the user is being said.
        cut_in_at: when the user cut in on it while it spoke; None once it is known whether it stopped.
    """

    def __init__(
        self,
        adapter: VoicePort,
        *,
        event: Callable[[VoiceEvent], None],
        segment: Callable[[AudioSegment], None],
        keeps_sound: bool = True,
    ) -> None:
        self._adapter = adapter
        self._keeps_sound = keeps_sound
        self._event, self._segment = event, segment
        self._bounds = WithinBounds(adapter.name)
        self.playout = Playout()
        self.speech = AgentSpeech(learn_noise=not adapter.ends_turns)
        self.turns: deque[HeardTurn] = deque(maxlen=_MOST_TURNS)
        self.audible = -1.0
        self.news_at = 0.0
        self.call_ended: CallEnded | None = None
        self.user_done: float | None = None
        self.user_is_speaking = False
        self.cut_in_at: float | None = None
        self._open: deque[HeardTurn] = deque()  # that are not over, in the order in which they are heard
        self._receiving: HeardTurn | None = None
        self._last: HeardTurn | None = None
        self._owed = 0  # ends that the protocol will still report, of turns that were ended before
        self._tools: dict[str, str] = {}
        self._has_told = False  # the end of one of its turns
        self._never_tells = False

    @property
    def _tells_ends(self) -> bool:
        """Whether the ends of its turns are told, and not found by silence."""
        return self._adapter.ends_turns and not self._never_tells

    # --- what comes --------------------------------------------------------------------------------------------------

    def take(self, item: Incoming, now: float) -> None:
        """One more thing has come.

        Raises:
            VoiceConnectionError: there is more of it than anybody can make use of.
        """
        item = self._bounds.item(item, now)
        if isinstance(item, AudioChunk):
            turn = self._turn(now)
            self.playout.put(turn, item.data)
            if item.transcript:
                self._words(turn, AgentWords(text=f" {item.transcript}"))
            return
        if isinstance(item, UserHeard):
            if self._receiving is not None:
                self._receiving.noticed = True
            self.playout.clear()
            self._event(VoiceEvent(now, "user_heard"))
            return
        self.news_at = now
        if isinstance(item, AgentWords):
            turn = self._turn_of_words(item, now)
            if turn is not None:
                self._words(turn, item)
        elif isinstance(item, AgentTurnEnded):
            self._signal(item, now)
        elif isinstance(item, CallEnded):
            self.call_ended = self.call_ended or item
            self._event(VoiceEvent(now, "call_ended", metadata={"by": "agent", "reason": item.reason}))
        elif isinstance(item, UserWords):
            self._event(VoiceEvent(now, "user_transcript", metadata={"text": item.text}))
        elif isinstance(item, _NEWS):  # pyright: ignore[reportUnnecessaryIsInstance]
            self._turn(now).news.append(item)
            self._event(self._described(item, now))
        else:  # an adapter of somebody's own, which gives what its types do not say
            raise TypeError(
                f"{self._adapter.name} gave a {type(item).__name__}; expected sound (AudioChunk) or one of "
                "duologue.voice.incoming"
            )

    def _described(self, item: AgentToolCall | AgentToolResult | AgentKeys, now: float) -> VoiceEvent:
        if isinstance(item, AgentKeys):
            return VoiceEvent(now, "dtmf", metadata={"by": "agent", "keys": item.keys})
        more: dict[str, Any] = {"metadata": {"call_id": item.call_id}} if item.call_id else {}
        if isinstance(item, AgentToolCall):
            self._tools[item.call_id] = item.name
            return VoiceEvent(now, "tool_call", name=item.name, args=item.arguments, **more)
        return VoiceEvent(now, "tool_result", name=self._tools.get(item.call_id), result=item.result, **more)

    def _turn(self, now: float) -> HeardTurn:
        """The turn that is coming in; a new one if there is none."""
        if self._receiving is None:
            self._receiving = HeardTurn(began=now, keeps_sound=self._keeps_sound)
            self._open.append(self._receiving)
            self.turns.append(self._receiving)
        return self._receiving

    def _turn_of_words(self, item: AgentWords, now: float) -> HeardTurn | None:
        """The turn that words belong to. None for those that come late, of a turn that was taken as over already."""
        last = self._last
        if item.corrects and self._receiving is None:
            return last if last in self.turns else None
        if self._receiving is not None or self._tells_ends or last is None or last.signalled:
            return self._turn(now)
        if self.user_is_speaking or (self.user_done is not None and self.user_done > last.audible):
            return self._turn(now)
        return last if last in self.turns else None

    def _words(self, turn: HeardTurn, item: AgentWords) -> None:
        turn.words = item.text if item.replaces else turn.words + item.text
        turn.corrected = item.corrects or (item.replaces and turn.noticed)
        turn.news.append(item)

    def _signal(self, item: AgentTurnEnded, now: float) -> None:
        self._has_told, self._never_tells = True, False
        turn = self._receiving
        if turn is None:
            if self._owed:
                self._owed -= 1
                return
            if item.interrupted or not self._tells_ends:
                return
            turn = self._turn(now)
        turn.signalled = True
        self._receiving = None
        if item.interrupted:
            self.playout.clear(turn)
            turn.cut = "interrupted"

    # --- what is heard -----------------------------------------------------------------------------------------------

    def hear(self, at: float) -> bytes:
        """The next frame of the agent, which begins at that time: silence where nothing came."""
        taken = self.playout.next()
        until = at + FRAME_SECONDS
        if taken is None:
            self.speech.frame(None, at, FRAME_SECONDS)
            return SILENCE
        turn, frame = taken
        turn.hear(frame, until)
        if self.speech.frame(frame, at, FRAME_SECONDS):
            self.audible = until
            if turn.spoke is None:
                self._begin(turn, max(self.speech.began, (turn.since or until) - FRAME_SECONDS))
            turn.audible = until
        return frame

    def _begin(self, turn: HeardTurn, at: float) -> None:
        turn.spoke = at
        done = self.user_done
        answers = done is not None and not self.user_is_speaking and at >= done
        self._event(VoiceEvent(at, "agent_start_speaking", latency=at - done if done is not None and answers else None))

    def end_turns(self, now: float, *, broken: bool = False) -> None:
        """End the turns that are over by now."""
        while self._open:
            turn = self._open[0]
            done = not turn.waiting
            if turn.spoke is not None and now - turn.spoke >= self._adapter.response_max_duration:
                self.end(turn, now, "too_long")
            elif turn.signalled and done:
                turn.count_silence()
                self.end(turn, now)
            elif done and broken:
                self.end(turn, now, "broken")
            elif done and self._is_silent(turn, now):
                turn.count_silence()
                self.end(turn, now)
            elif done and self.call_ended is not None:
                self.end(turn, now)
            else:
                return

    def _is_silent(self, turn: HeardTurn, now: float) -> bool:
        """Whether silence ends it, which counts where the protocol does not tell."""
        if turn.since is None:
            return False
        if self._tells_ends:
            return self._seems_untold(turn, now)
        if turn.spoke is not None:
            last = turn.audible
        elif not self._adapter.wants_silence:
            last = turn.heard_until  # all of it was silent, and nothing more comes: it is an answer all the same
        else:
            return False
        return now - last >= self._adapter.response_tail_silence - 1e-9

    def _seems_untold(self, turn: HeardTurn, now: float) -> bool:
        """Whether its side has had enough time to tell the end of its first turn. From then on silence ends turns."""
        tail = max(_UNTOLD, self._adapter.response_tail_silence)
        if self._has_told or turn.spoke is None or now - max(turn.audible, self.news_at) < tail - 1e-9:
            return False
        if any(isinstance(item, AgentToolCall) for item in turn.news):
            return False  # it may be waiting for a tool
        self._never_tells = True
        logger.warning(
            "%s should tell the end of each of its turns, but has been silent for %g s without telling it: silence of "
            "%g s ends its turns now. Set ends_turns to false if it never tells them",
            self._adapter.name,
            tail,
            self._adapter.response_tail_silence,
        )
        return True

    def end(self, turn: HeardTurn, now: float, cut: TurnCut | None = None) -> None:
        """This turn is over."""
        cut = cut or turn.cut or ("interrupted" if turn.thrown or self._was_cut_in_on(turn) else None)
        self.playout.clear(turn)
        turn.ended, turn.cut = now, cut
        self._open.remove(turn)
        if self._receiving is turn:
            self._receiving = None
        if not turn.signalled and self._tells_ends:
            self._owed += 1
        self._last = turn
        if turn.is_empty and not (turn.signalled and self._tells_ends):
            self._forget(turn)
        if turn.spoke is not None:
            self._segment(
                AudioSegment(
                    "agent",
                    turn.spoke,
                    max(turn.spoke, turn.audible),
                    transcript=turn.text or None,
                    transcript_truncated=turn.cut is not None,
                )
            )
            self._event(VoiceEvent(max(turn.spoke, turn.audible), "agent_stop_speaking"))

    def _was_cut_in_on(self, turn: HeardTurn) -> bool:
        """Whether the user cut in on it. Many protocols report the end of such a turn like that of any other."""
        return self.cut_in_at is not None and turn.spoke is not None and turn.spoke <= self.cut_in_at

    def cut_off(self, now: float) -> None:
        """The user has cut in, and the agent is silent now: what it was saying is over."""
        for turn in tuple(self._open):
            if turn.spoke is not None or turn.thrown:
                self.end(turn, now, "interrupted")

    def expect_another_turn(self) -> None:
        """The user has cut in and has finished: what comes now is another turn, however much waits of the last."""
        if not self._tells_ends:
            self._receiving = None

    def set_aside(self, now: float) -> None:
        """The user has cut in, and the agent speaks on: what was heard until now is its turn, the rest is nobody's."""
        for turn in self._open:
            if turn in self.turns:
                heard = copy(turn)
                heard.news, heard.heard = turn.news.copy(), turn.heard.copy()
                heard.ended, heard.cut = now, "interrupted"
                self.turns[self.turns.index(turn)] = heard
                turn.cut = "interrupted"

    def _forget(self, turn: HeardTurn) -> None:
        if turn in self.turns:
            self.turns.remove(turn)

    @property
    def is_waiting(self) -> bool:
        """Whether there is sound that is not heard yet."""
        return self.playout.size > 0

    def answers_user(self, turn: HeardTurn) -> bool:
        """Whether a turn that is over is the answer to what the user has said last, and not an earlier one."""
        if self.user_is_speaking:
            return False
        last = turn.audible if turn.spoke is not None else (turn.ended or 0.0)
        return self.user_done is None or last > self.user_done
