"""The driver of frames, on a simulated pace."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from voice_agents import AnsweringAgent, ObedientAgent, tone

from duologue.voice.audio import AudioChunk, silent_chunk
from duologue.voice.duplex.agent_side import AgentSide
from duologue.voice.duplex.agent_turn import HeardTurn
from duologue.voice.duplex.driver import DuplexDriver
from duologue.voice.duplex.pace import give_way
from duologue.voice.incoming import AgentTurnEnded, AgentWords, CallEnded, Incoming
from duologue.voice.port import FirstChunkTimeoutError
from duologue.voice.timeline import AudioSegment, VoiceEvent


async def answered(driver: DuplexDriver, attended: bool = True) -> tuple[list[Incoming], list[HeardTurn]]:
    news: list[Incoming] = []
    turns: list[HeardTurn] = []
    async for item in driver.answer(attended=lambda: attended):
        if isinstance(item, HeardTurn):
            turns.append(item)
        else:
            news.append(item)
    return news, turns


class Kept:
    def __init__(self) -> None:
        self.frames: list[tuple[bytes, bytes]] = []
        self.segments: list[AudioSegment] = []
        self.events: list[VoiceEvent] = []

    def frame(self, user: bytes, agent: bytes) -> None:
        self.frames.append((user, agent))

    def segment(self, segment: AudioSegment) -> None:
        self.segments.append(segment)

    def event(self, event: VoiceEvent) -> None:
        self.events.append(event)


async def test_a_turn_of_the_user_and_its_answer_are_on_the_timeline() -> None:
    track = Kept()
    driver = DuplexDriver(AnsweringAgent(), track=track)
    await driver.open()
    said = await driver.say(tone(1.0))
    news, turns = await answered(driver)
    await driver.close()
    assert (said.start_time, said.end_time) == (0.0, pytest.approx(1.0))
    assert news == [AgentWords(text="one two three four five")]
    [turn] = turns
    assert turn.text == "one two three four five"
    assert (turn.spoke, turn.audible) == (pytest.approx(1.48), pytest.approx(3.48))
    assert turn.sound.duration_seconds == pytest.approx(2.0, abs=0.15)
    assert [(event.type, round(event.time, 2)) for event in driver.timeline] == [
        ("user_start_speaking", 0.0),
        ("user_stop_speaking", 1.0),
        ("agent_start_speaking", 1.48),
        ("agent_stop_speaking", 3.48),
    ]
    assert driver.timeline[2].latency == pytest.approx(0.48)
    assert [(item.speaker, round(item.end_time, 2)) for item in driver.segments] == [("user", 1.0), ("agent", 3.48)]
    # Without an end that the protocol tells, a tail of silence is the end.
    assert driver.now == pytest.approx(3.48 + 0.6, abs=0.03)
    assert len(track.frames) == round(driver.now / 0.02)
    assert all(len(user) == len(agent) == 960 for user, agent in track.frames)
    assert track.segments == driver.segments


async def test_an_end_that_the_protocol_tells_counts_once_all_of_it_was_heard() -> None:
    driver = DuplexDriver(ObedientAgent())
    await driver.open()
    await driver.say(tone(1.0))
    _, [turn] = await answered(driver)
    assert turn.signalled
    assert turn.cut is None
    assert driver.now == pytest.approx(3.48, abs=0.03)
    await driver.close()


async def test_an_agent_that_never_tells_the_ends_of_its_turns_is_waited_for_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    driver = DuplexDriver(ObedientAgent([[AgentWords(text="one two"), tone(2.0)]]))
    await driver.open()
    taken: list[float] = []
    for _ in range(3):
        said = await driver.say(tone(1.0))
        _, [turn] = await answered(driver)
        assert (turn.cut, turn.text) == (None, "one two")
        taken.append(round(driver.now - said.end_time - 2.48, 1))
    assert taken == [5.0, 0.6, 0.6]
    [warning] = [record.getMessage() for record in caplog.records]
    assert "ObedientAgent should tell the end of each of its turns" in warning
    await driver.close()


async def test_an_agent_that_has_told_an_end_is_waited_for() -> None:
    told: list[Incoming] = [AgentWords(text="one two"), tone(2.0), AgentTurnEnded()]
    slow: list[Incoming] = [AgentWords(text="three four"), tone(1.0), silent_chunk(8.0), tone(1.0), AgentTurnEnded()]
    driver = DuplexDriver(ObedientAgent([told, slow]))
    await driver.open()
    for text, seconds in (("one two", 2.48), ("three four", 10.48)):
        said = await driver.say(tone(1.0))
        _, [turn] = await answered(driver)
        assert (turn.cut, turn.text) == (None, text)
        assert driver.now - said.end_time == pytest.approx(seconds, abs=0.03)
    await driver.close()


async def test_the_same_call_twice_is_the_same() -> None:
    async def call() -> list[VoiceEvent]:
        driver = DuplexDriver(AnsweringAgent(stops=True))
        await driver.open()
        for _ in range(3):
            await driver.say(tone(0.7))
            assert await driver.until_heard(2, 8.0)
            await driver.interrupt(tone(0.5))
            _, turns = await answered(driver)
            assert [turn.cut for turn in turns] == ["interrupted", None]
        await driver.close()
        return list(driver.timeline)

    assert await call() == await call()


@pytest.mark.parametrize("agent", ["talked over", "told to stop"])
async def test_an_interruption_is_measured_to_the_last_sound(agent: str) -> None:
    adapter = AnsweringAgent(stops=True, notices=0.2) if agent == "talked over" else ObedientAgent()
    driver = DuplexDriver(adapter)
    await driver.open()
    await driver.say(tone(1.0))
    assert await driver.until_heard(3, 8.0)
    asking = asyncio.ensure_future(answered(driver, attended=False))  # as the engine does: the answer is on its way
    await give_way()
    found = await driver.interrupt(tone(0.5))
    assert found is not None
    native = agent == "told to stop"
    assert (found.native, found.agent_was_speaking) == (native, True)
    assert found.yielded_after == pytest.approx(0.0 if native else 0.18, abs=0.021)
    _, [turn] = await asking
    assert turn.cut == "interrupted"
    assert turn.text == "one two three"
    event = next(event for event in driver.timeline if event.type == "user_interrupt")
    assert event.time == found.at
    assert event.metadata is not None
    assert event.metadata["native"] is native
    assert event.metadata["yielded_after"] == found.yielded_after
    await driver.close()


async def test_an_agent_that_never_speaks_is_given_up() -> None:
    driver = DuplexDriver(AnsweringAgent([[]]))
    driver.adapter.response_timeout = 5.0
    await driver.open()
    await driver.say(tone(1.0))
    with pytest.raises(FirstChunkTimeoutError, match="AnsweringAgent sent no sound within 5 s"):
        await answered(driver)
    assert driver.now == pytest.approx(6.0)
    await driver.close()


async def test_an_agent_that_never_stops_is_cut_off() -> None:
    driver = DuplexDriver(AnsweringAgent([[AgentWords(text="word " * 100), tone(100.0)]]))
    await driver.open()
    await driver.say(tone(1.0))
    _, [turn] = await answered(driver)
    assert turn.cut == "too_long"
    assert turn.sound.duration_seconds == pytest.approx(30.0, abs=0.2)
    assert len(turn.text.split()) == pytest.approx(30, abs=1)
    await driver.close()


async def test_a_call_that_the_agent_ends_is_over_once_all_was_heard() -> None:
    driver = DuplexDriver(AnsweringAgent([[AgentWords(text="bye"), tone(1.0), CallEnded(reason="done")]]))
    await driver.open()
    await driver.say(tone(1.0))
    _, [turn] = await answered(driver)
    assert turn.text == "bye"
    assert turn.sound.duration_seconds == pytest.approx(1.0, abs=0.1)
    assert driver.over == CallEnded(reason="done")
    await driver.say(tone(1.0))
    assert await answered(driver) == ([], [])
    await driver.close()


async def test_a_greeting_comes_before_the_answer() -> None:
    greeting: list[Incoming] = [AgentWords(text="welcome"), tone(0.5), AgentTurnEnded()]
    driver = DuplexDriver(AnsweringAgent(at_start=greeting))
    await driver.open()
    await driver.wait(1.5)
    await driver.say(tone(1.0))
    _, turns = await answered(driver)
    assert [turn.text for turn in turns] == ["welcome", "one two three four five"]
    await driver.close()


async def test_it_is_closed_in_every_order() -> None:
    adapter = AnsweringAgent()
    driver = DuplexDriver(adapter)
    await driver.close()
    await driver.close()
    assert (adapter.connects, adapter.disconnects) == (0, 0)
    driver = DuplexDriver(adapter)
    await driver.open()
    await driver.close()
    await driver.close()
    assert (adapter.connects, adapter.disconnects) == (1, 1)


def noise(seconds: float, loudness: float) -> AudioChunk:
    samples = np.random.default_rng(1).standard_normal(round(seconds * 24_000)) * loudness
    return AudioChunk(samples.clip(-32_000, 32_000).astype("<i2").tobytes())


async def test_speech_is_found_in_the_noise_of_a_line() -> None:
    class OnALine(AnsweringAgent):
        """Sends noise without a pause; its words are louder."""

        def __init__(self) -> None:
            super().__init__([[tone(2.0)]], stops=True)
            self._noise = noise(60.0, 250.0).data

        async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
            came = await super().exchange(frame, at)
            start = round(at / 0.02) * 960
            return came or [AudioChunk(self._noise[start : start + 960])]

    driver = DuplexDriver(OnALine())
    await driver.open()
    await driver.wait(4.0)
    await driver.say(tone(1.0))
    _, turns = await answered(driver)
    assert (turns[-1].spoke, turns[-1].audible) == (pytest.approx(5.48), pytest.approx(7.48))
    await driver.close()
    assert [segment.speaker for segment in driver.segments if segment.start_time > 3] == ["user", "agent"]


@pytest.mark.parametrize("silent", [True, False])
async def test_an_answer_of_silence_is_one_where_sound_is_sent_for_answers_only(silent: bool) -> None:
    class Discrete(AnsweringAgent):
        wants_silence = not silent

    driver = DuplexDriver(Discrete([[AudioChunk(bytes(24_000))]]))
    driver.adapter.response_timeout = 5.0
    await driver.open()
    await driver.say(tone(1.0))
    if silent:
        _, [turn] = await answered(driver)
        assert turn.sound.duration_seconds == pytest.approx(0.5, abs=0.05)
    else:
        with pytest.raises(FirstChunkTimeoutError):
            await answered(driver)
    await driver.close()
    assert [segment.speaker for segment in driver.segments] == (["user", "agent"] if silent else ["user"])


def test_a_correction_that_comes_late_is_no_part_of_the_next_answer() -> None:
    def nothing(happened: object) -> None: ...

    agent = AgentSide(AnsweringAgent(), event=nothing, segment=nothing)
    agent.take(AgentWords(text="one two three four"), 0.0)
    agent.take(tone(1.0), 0.0)
    for frame in range(20):
        agent.hear(frame * 0.02)
    agent.user_is_speaking = True
    agent.playout.clear()
    agent.cut_off(0.4)
    correction = AgentWords(text="one", replaces=True, corrects=True)
    agent.take(correction, 0.8)
    [turn] = agent.turns
    assert (turn.text, turn.cut) == ("one", "interrupted")
    agent.turns.clear()  # somebody has taken it
    agent.take(correction, 1.0)
    assert not agent.turns


@pytest.mark.parametrize("real_time", [False, True])
@pytest.mark.parametrize("part", ["background", "on_frame", "beside", "track"])
async def test_what_fails_in_a_frame_ends_the_call_for_whoever_waits(part: str, real_time: bool) -> None:
    def fails(*_: object) -> bytes:
        raise LookupError(f"{part} fails")

    track = Kept()
    given: dict[str, Any] = {part: fails} if part in {"background", "on_frame"} else {}
    driver = DuplexDriver(AnsweringAgent(), track=track, real_time=real_time, **given)
    if part == "beside":
        driver.beside = fails
    elif part == "track":
        track.frame = fails  # pyright: ignore[reportAttributeAccessIssue]
    await driver.open()
    async with asyncio.timeout(60):
        with pytest.raises(LookupError, match=f"{part} fails"):
            await driver.wait(1.0)
        await driver.close()
    assert [event.type for event in driver.timeline] == ["call_broken"]


async def test_an_adapter_is_disconnected_even_if_whoever_hangs_up_is_cancelled() -> None:
    asked, cancelled, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Busy(AnsweringAgent):
        async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
                await may_end.wait()
            return []

    agent = Busy()
    driver = DuplexDriver(agent)
    async with asyncio.timeout(60):
        await driver.open()
        waiting = asyncio.create_task(driver.wait(1.0))
        await asked.wait()
        closing = asyncio.create_task(driver.close())
        await cancelled.wait()
        closing.cancel()
        await asyncio.wait({closing})
        may_end.set()
        waiting.cancel()
        await asyncio.wait({waiting})
    assert closing.cancelled()
    assert agent.disconnects == 1
    again = DuplexDriver(agent)  # it is not taken for one that is in a call
    await again.open()
    await again.close()


class StutteringAgent(AnsweringAgent):
    """Sends each second of its answer ``gap`` seconds after the one before has been heard, and then tells its end."""

    ends_turns = True

    def __init__(self, seconds: list[float], gap: float) -> None:
        super().__init__()
        self.sounds = [tone(each, 300 + 200 * number) for number, each in enumerate(seconds)]
        self.gap, self.due, self.began = gap, 0.0, False

    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
        if not self.began and at >= 1.5:
            self.began, self.due = True, at
        if not self.began or at < self.due - 1e-9 or not self.sounds:
            return []
        sound = self.sounds.pop(0)
        self.due = at + sound.duration_seconds + self.gap
        return [sound] if self.sounds else [sound, AgentTurnEnded()]


@pytest.mark.parametrize(
    ("seconds", "gap"),
    [([1.0, 1.0], 0.0), ([1.0, 1.0], 2.0), ([0.5, 0.5, 0.5], 0.7), ([0.02] * 30, 0.04), ([0.5, 0.3], 4.9)],
)
async def test_the_sound_of_a_turn_with_pauses_in_it_is_all_that_was_heard(seconds: list[float], gap: float) -> None:
    driver = DuplexDriver(StutteringAgent(seconds, gap))
    await driver.open()
    await driver.say(tone(1.0))
    _, [turn] = await answered(driver)
    await driver.close()
    whole = sum(seconds) + gap * (len(seconds) - 1)
    assert turn.spoke is not None
    assert turn.interval is not None
    assert turn.audible - turn.spoke == pytest.approx(whole, abs=0.05)
    assert turn.interval[1] - turn.interval[0] == pytest.approx(whole, abs=0.25)
    assert turn.sound.duration_seconds == pytest.approx(whole, abs=0.25)
    heard = np.abs(np.frombuffer(turn.sound.data, dtype="<i2")) > 0
    assert heard.mean() * turn.sound.duration_seconds == pytest.approx(sum(seconds), rel=0.06)


class PlainlyEndingAgent(AnsweringAgent):
    """Falls silent when it is talked over, and reports that end like any other."""

    ends_turns = True

    async def exchange(self, frame: AudioChunk, at: float) -> list[Incoming]:
        before = bool(self._rest)
        came = await super().exchange(frame, at)
        if before and not self._rest:
            came = [item for item in came if not isinstance(item, AgentTurnEnded)] + [AgentTurnEnded()]
            self._ends = False
        return came


@pytest.mark.parametrize("words", [["one two three four five six seven eight nine ten"], []])
async def test_a_turn_that_was_talked_over_is_marked_however_its_end_is_told(words: list[str]) -> None:
    answer: list[Incoming] = [*(AgentWords(text=each) for each in words), tone(4.0), AgentTurnEnded()]
    driver = DuplexDriver(PlainlyEndingAgent([answer], stops=True))
    await driver.open()
    await driver.say(tone(1.0))
    await driver.until_heard(2, 5)
    found = await driver.interrupt(tone(1.5))
    assert found is not None
    assert found.yielded_after is not None
    [segment] = [item for item in driver.segments if item.speaker == "agent"]
    assert segment.transcript_truncated
    assert len((segment.transcript or "").split()) <= 5
    # The answer to the interruption is a turn like any other.
    _, turns = await answered(driver)
    await driver.close()
    assert (turns[0].cut, turns[-1].cut) == ("interrupted", None)
    assert [item.transcript_truncated for item in driver.segments if item.speaker == "agent"] == [True, False]
