"""A user that listens while it speaks: what it does is drawn from a seed, and judged by the panel of interaction."""

from __future__ import annotations

from itertools import pairwise

import pytest

from duologue.voice.adapter import InProcessVoiceAgent
from duologue.voice.audio import AudioChunk
from duologue.voice.duplex.driver import DuplexDriver
from duologue.voice.duplex.user import DuplexUser, Manners
from duologue.voice.incoming import AgentTurnEnded, Incoming
from duologue.voice.interaction import interaction_metrics
from duologue.voice.port import VoiceConnectionError
from duologue.voice.timeline import SpeechPurpose


def loud(seconds: float) -> AudioChunk:
    return AudioChunk(b"\x00\x20\x00\xe0" * round(seconds * 12_000))


SOUNDS = {purpose: [loud(0.4)] for purpose in SpeechPurpose}


class Agent(InProcessVoiceAgent):
    """Speaks for so many seconds after each turn; stops at any sound if it is nervous, and never speaks with 0."""

    ends_turns = True

    def __init__(self, seconds: float, *, nervous: bool = False) -> None:
        self._seconds, self._nervous = seconds, nervous
        self._left = 0

    async def end_user_turn(self) -> None:
        self._left = round(self._seconds / 0.02)

    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
        if not self._left:
            return []
        self._left -= 1
        if self._nervous and any(frame.data):
            self._left = 0
        items: list[Incoming] = [loud(0.02)]
        return items if self._left else [*items, AgentTurnEnded()]


async def called(agent: Agent, manners: Manners, *, seed: int = 1, turns: int = 2) -> tuple[DuplexDriver, DuplexUser]:
    driver = DuplexDriver(agent)
    user = DuplexUser(manners, SOUNDS, seed=seed)
    driver.beside = user.frame
    await driver.open()
    try:
        for _ in range(turns):
            await driver.say(loud(0.5))
            async for _ in driver.answer():
                pass
    except VoiceConnectionError:
        assert user.hung_up
    finally:
        await driver.close()
    return driver, user


@pytest.mark.parametrize(
    ("manners", "purpose", "figure"),
    [
        (Manners(backchannels=1), "backchannel", "backchannel_selectivity"),
        (Manners(vocal_tics=1), "vocal_tic", "vocal_tic_selectivity"),
        (Manners(non_directed=1), "non_directed", "non_directed_selectivity"),
    ],
)
@pytest.mark.parametrize("nervous", [False, True])
async def test_what_is_not_for_the_agent_is_on_the_timeline_and_in_the_panel(
    manners: Manners, purpose: str, figure: str, nervous: bool
) -> None:
    driver, _ = await called(Agent(7.0, nervous=nervous), manners)
    users = [item.purpose.value for item in driver.segments if item.speaker == "user"]
    assert users.count("turn") == 2
    assert set(users) == {"turn", purpose}
    # An agent that comes to its end within a second counts as misled, by the definition of the panel.
    share = getattr(interaction_metrics(driver.segments), figure)
    assert share == 0 if nervous else share >= 0.75


async def test_the_seed_decides_and_nothing_else() -> None:
    manners = Manners(backchannels=0.4, vocal_tics=0.3, non_directed=0.2)

    async def heard(seed: int) -> list[tuple[float, str]]:
        driver, _ = await called(Agent(20.0), manners, seed=seed)
        return [(item.start_time, item.purpose.value) for item in driver.segments if item.speaker == "user"]

    first = await heard(1)
    assert first == await heard(1)
    assert first != await heard(2)
    assert manners.planned(1, 0) == manners.planned(1, 0)
    drawn = [manners.planned(7, stretch) for stretch in range(2000)]
    shares = [sum(item is not None and item[1] is purpose for item in drawn) / 2000 for purpose in SpeechPurpose]
    assert shares == [pytest.approx(share, abs=0.05) for share in (0.0, 0.4, 0.3, 0.2)]
    assert all(0 <= item[0] < manners.every for item in drawn if item)


async def test_patience_is_lost_at_the_second_that_was_said_and_the_user_hangs_up() -> None:
    driver, user = await called(Agent(0.0), Manners(patience=3.0, hang_up_after=2))
    assert user.hung_up
    turns = [item for item in driver.segments if item.speaker == "user"]
    gaps = [after.start_time - before.end_time for before, after in pairwise(turns)]
    assert gaps == [pytest.approx(3.0, abs=0.05)] * 2
    [ended] = [event for event in driver.timeline if event.type == "call_ended"]
    assert ended.metadata == {"by": "user"}
    assert ended.time == pytest.approx(turns[-1].end_time + 3.0, abs=0.05)


async def test_an_agent_that_answers_in_time_is_never_asked() -> None:
    driver, user = await called(Agent(4.0), Manners(patience=1.0), turns=3)
    assert not user.hung_up
    assert sum(item.speaker == "user" for item in driver.segments) == 3
