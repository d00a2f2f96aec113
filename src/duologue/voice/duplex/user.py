"""A user that listens while it speaks: signs of listening, tics, words to others, patience, and hanging up.

What it does beside the turns of the script is drawn from a seed, stretch by stretch of the agent's speech, so that the
same agent meets the same user. Each sound stands on the timeline with what it was for: see
:func:`duologue.voice.interaction_metrics`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from duologue.context import derive_seed
from duologue.frozen import frozen
from duologue.voice.audio import FRAME_SECONDS, AudioChunk
from duologue.voice.duplex.driver import DuplexDriver
from duologue.voice.duplex.user_side import UserSpeech
from duologue.voice.timeline import SpeechPurpose

PHRASES: Mapping[SpeechPurpose, Sequence[str]] = {
    SpeechPurpose.BACKCHANNEL: ("Mm-hmm.", "Okay.", "Right.", "I see."),
    SpeechPurpose.VOCAL_TIC: ("Um.", "Uh.", "Hmm."),
    SpeechPurpose.NON_DIRECTED: ("One moment, I am on the phone.", "No, not you. Put it over there.", "I am coming."),
    SpeechPurpose.TURN: ("Hello? Are you still there?",),
}
"""What the user says beside the script; as a turn, when the agent is silent."""


@frozen
class Manners:
    """What a user does beside the script.

    Attributes:
        backchannels, vocal_tics, non_directed: how likely each is in a stretch of the agent's speech, 0 to 1; at most
            one of them takes place in it.
        every: seconds of the agent's speech that make a stretch.
        patience: seconds of silence after a turn of the user until it asks whether anybody is there; None for never.
        hang_up_after: how often it asks before it hangs up.
    """

    backchannels: float = 0.0
    vocal_tics: float = 0.0
    non_directed: float = 0.0
    every: float = 3.0
    patience: float | None = None
    hang_up_after: int = 2

    @property
    def shares(self) -> tuple[tuple[SpeechPurpose, float], ...]:
        """How likely each sound is."""
        return (
            (SpeechPurpose.BACKCHANNEL, self.backchannels),
            (SpeechPurpose.VOCAL_TIC, self.vocal_tics),
            (SpeechPurpose.NON_DIRECTED, self.non_directed),
        )

    @property
    def purposes(self) -> list[SpeechPurpose]:
        """What there has to be sound for."""
        wanted = [purpose for purpose, share in self.shares if share > 0]
        return [*wanted, SpeechPurpose.TURN] if self.patience is not None else wanted

    def planned(self, seed: int, stretch: int) -> tuple[float, SpeechPurpose, float] | None:
        """What takes place in a stretch: when in it, what for, and which of the phrases (0 to 1); None for nothing."""
        random = Random(derive_seed(seed, f"manners/{stretch}"))
        drawn, at, which = random.random(), random.random() * self.every, random.random()
        for purpose, share in self.shares:
            if drawn < share:
                return at, purpose, which
            drawn -= share
        return None


class DuplexUser:
    """Acts beside the turns of one call: ``driver.beside = user.frame``.

    Args:
        manners: what it does.
        sounds: for each of the purposes in question, recordings to choose from.
        seed: decides when it does what.

    Attributes:
        hung_up: it has hung up, because the agent was silent for too long.
    """

    def __init__(
        self, manners: Manners, sounds: Mapping[SpeechPurpose, Sequence[AudioChunk]], *, seed: int = 0
    ) -> None:
        self._manners, self._sounds, self._seed = manners, sounds, seed
        self._spoken = 0.0  # seconds that the agent has spoken
        self._stretch = -1
        self._planned: tuple[float, SpeechPurpose, float] | None = None
        self._own: UserSpeech | None = None
        self._was_speaking = False
        self._owed_since: float | None = None
        self._asked = 0
        self.hung_up = False

    def frame(self, driver: DuplexDriver) -> None:
        """A frame of the call has passed."""
        speaking = driver.user_is_speaking
        if self._was_speaking and not speaking:
            is_turn = self._own is None or self._own.purpose is SpeechPurpose.TURN
            self._owed_since, self._own = (driver.now if is_turn else self._owed_since), None
        self._was_speaking = speaking
        if driver.agent_is_speaking:
            self._owed_since, self._asked = None, 0
            self._listen(driver, speaking=speaking)
        elif not speaking:
            self._lose_patience(driver)

    def _listen(self, driver: DuplexDriver, *, speaking: bool) -> None:
        self._spoken += FRAME_SECONDS
        every = self._manners.every
        stretch = int(self._spoken / every)
        if stretch != self._stretch:
            self._stretch, self._planned = stretch, self._manners.planned(self._seed, stretch)
        if self._planned is None or speaking or self._spoken < stretch * every + self._planned[0]:
            return
        _, purpose, which = self._planned
        self._planned = None
        self._say(driver, purpose, which)

    def _lose_patience(self, driver: DuplexDriver) -> None:
        patience = self._manners.patience
        if patience is None or self._owed_since is None or driver.now - self._owed_since < patience or self.hung_up:
            return
        self._owed_since = None
        self._asked += 1
        if self._asked > self._manners.hang_up_after:
            self.hung_up = True
            driver.hang_up()
        else:
            self._say(driver, SpeechPurpose.TURN, 0.0)

    def _say(self, driver: DuplexDriver, purpose: SpeechPurpose, which: float) -> None:
        sounds = self._sounds.get(purpose, ())
        if sounds:
            self._own = driver.begin_saying(sounds[int(which * len(sounds))], purpose)
            self._was_speaking = True
