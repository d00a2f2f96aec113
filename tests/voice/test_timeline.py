"""Who spoke when: recordings of it, and the figures that are read from it."""

from __future__ import annotations

import io
import json
import wave

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import ModelError
from duologue.stats.quantiles import sample_quantile
from duologue.voice.audio import AudioChunk
from duologue.voice.files import load_audio
from duologue.voice.interaction import Windows, interaction_metrics, pooled_metrics
from duologue.voice.metrics import voice_metrics, word_error_rate
from duologue.voice.notes import SegmentHeard, VoiceHappened, VoiceRun
from duologue.voice.recording import VoiceRecording, transcribe_segments
from duologue.voice.timeline import AudioSegment, SpeechPurpose, VoiceEvent, joined, overlap

BACKCHANNEL, TIC, ASIDE = SpeechPurpose.BACKCHANNEL, SpeechPurpose.VOCAL_TIC, SpeechPurpose.NON_DIRECTED


def user(start: float, end: float, purpose: SpeechPurpose = SpeechPurpose.TURN, **more) -> AudioSegment:
    return AudioSegment("user", start, end, purpose=purpose, **more)


def agent(start: float, end: float, **more) -> AudioSegment:
    return AudioSegment("agent", start, end, **more)


def test_answers_are_timed_from_the_end_of_the_turn():
    found = interaction_metrics([user(0, 2), agent(2.5, 4), user(5, 6), agent(7, 8)])
    assert found.response_latencies == (0.5, 1.0)
    assert (found.response_latency, found.response_rate, found.turns) == (0.75, 1.0, 2)
    assert (found.yield_rate, found.backchannel_selectivity) == (None, None)
    assert found.agent_interruption_rate == 0


def test_a_turn_after_which_the_user_had_to_speak_again_is_unanswered():
    found = interaction_metrics([user(0, 1), user(5, 6), agent(6.4, 7)])
    assert (found.response_rate, found.turns) == (0.5, 2)
    assert found.response_latency == pytest.approx(0.4)


def test_a_last_turn_after_which_nobody_speaks_does_not_count():
    assert interaction_metrics([user(0, 1), agent(2, 3), user(4, 5)]).turns == 1


def test_a_silent_agent_has_no_latency():
    found = interaction_metrics([user(0, 1), user(3, 4), user(6, 7)])
    assert (found.response_rate, found.response_latency, found.turns) == (0.0, None, 2)


@pytest.mark.parametrize(
    ("stops", "yielded", "latency"), [(3.4, 1.0, 0.4), (4.9, 1.0, 1.9), (5.0, 0.0, None), (9.0, 0.0, None)]
)
def test_interruptions(stops: float, yielded: float, latency: float | None):
    found = interaction_metrics([agent(0, stops), user(3.0, 3.3)])
    assert (found.yield_rate, found.interruptions) == (yielded, 1)
    assert found.yield_latency == (pytest.approx(latency) if latency is not None else None)


def test_an_interruption_after_which_the_agent_was_silent_is_a_turn_to_be_answered():
    found = interaction_metrics([agent(0, 3.4), user(3, 5), agent(5.5, 6)])
    assert (found.turns, found.response_latency) == (1, 0.5)
    assert interaction_metrics([agent(0, 8), user(3, 5), agent(9, 10)]).turns == 0


def test_an_agent_that_begins_while_the_user_speaks_interrupts():
    found = interaction_metrics([user(0, 4), agent(2, 3), agent(3.5, 6), user(7, 8), agent(8.2, 9)])
    assert found.agent_interruptions == 2
    assert found.turns == 1  # the first one ended while the agent spoke
    assert found.agent_interruption_rate == 2.0


@pytest.mark.parametrize("purpose", [BACKCHANNEL, TIC, ASIDE])
@pytest.mark.parametrize(("stops", "ignored"), [(2.5, 0.0), (2.99, 0.0), (3.0, 1.0), (8.0, 1.0)])
def test_sounds_that_are_not_for_the_agent_do_not_stop_it(purpose: SpeechPurpose, stops: float, ignored: float):
    found = interaction_metrics([agent(0, stops), user(2.0, 2.3, purpose)])
    rates = {
        BACKCHANNEL: found.backchannel_selectivity,
        TIC: found.vocal_tic_selectivity,
        ASIDE: found.non_directed_selectivity,
    }
    assert rates.pop(purpose) == ignored
    assert set(rates.values()) == {None}
    assert (found.interruptions, found.turns) == (0, 0)


@pytest.mark.parametrize("purpose", [TIC, ASIDE])
@pytest.mark.parametrize(("starts", "ignored"), [(1.2, 0.0), (3.3, 0.0), (3.4, 1.0), (None, 1.0)])
def test_sounds_in_silence_are_not_answered(purpose: SpeechPurpose, starts: float | None, ignored: float):
    segments = [user(1.0, 1.3, purpose)] + ([agent(starts, starts + 1)] if starts is not None else [])
    found = interaction_metrics(segments)
    assert (found.vocal_tic_selectivity if purpose is TIC else found.non_directed_selectivity) == ignored


def test_a_backchannel_in_silence_says_nothing():
    found = interaction_metrics([user(1.0, 1.3, BACKCHANNEL), agent(2, 3)])
    assert found.backchannels == 0


def test_windows_can_be_others():
    segments = [agent(0, 3.4), user(3.0, 3.2), user(3.1, 3.3, TIC)]
    strict = interaction_metrics(segments, Windows(turn_yield=0.3, other_yield=0.2))
    assert (strict.yield_rate, strict.vocal_tic_selectivity) == (0.0, 1.0)


def test_several_conversations_are_pooled_by_events():
    once = [user(0, 1), agent(1.5, 2)]
    thrice = [user(0, 1), user(3, 4), user(5, 6), agent(6.1, 7)]
    found = pooled_metrics([once, thrice])
    assert (found.turns, found.response_rate) == (4, 0.5)


times = st.tuples(st.floats(0, 100), st.floats(0, 10)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.lists(st.tuples(st.booleans(), times, st.sampled_from(SpeechPurpose)), max_size=20))
def test_rates_are_shares_and_times_add_up(spoken):
    segments = [
        user(start, end, purpose) if by_user else agent(start, end) for by_user, (start, end), purpose in spoken
    ]
    found = voice_metrics(segments)
    panel = found.interaction
    for rate in (panel.response_rate, panel.yield_rate, panel.backchannel_selectivity, panel.vocal_tic_selectivity):
        assert rate is None or 0 <= rate <= 1
    assert all(latency >= 0 for latency in (*panel.response_latencies, *panel.yield_latencies))
    begin = min((segment.start_time for segment in segments if segment.duration), default=0.0)
    covered = found.user_talk + found.agent_talk - found.overlap
    assert covered + found.silence == pytest.approx(max(0.0, found.duration - begin), abs=1e-6)
    assert found.longest_silence <= found.silence + 1e-9


def test_figures_of_a_conversation():
    found = voice_metrics(
        [
            user(0.5, 2.0),
            agent(2.8, 6.8, transcript="your order left the house on Monday"),
            user(6.0, 6.4, BACKCHANNEL),
            user(11.0, 12.0),
            agent(12.4, 13.0, transcript="good by", transcript_truncated=True),
        ]
    )
    assert found.duration == 13.0
    assert found.time_to_first_audio == 2.8
    assert found.latency.measurements == pytest.approx((0.8, 0.4))
    assert (found.latency.avg, found.latency.p50, found.latency.p95) == pytest.approx((0.6, 0.6, 0.78))
    assert found.latency.time_to_first_byte == pytest.approx(0.8)
    assert found.overlap == pytest.approx(0.4)
    assert (found.user_talk, found.agent_talk) == pytest.approx((2.9, 4.6))
    assert (found.longest_silence, found.long_silences) == (pytest.approx(4.2), 1)
    assert found.words_per_minute == pytest.approx(7 / 4 * 60)


def test_nobody_spoke():
    found = voice_metrics([])
    assert (found.duration, found.talk_ratio, found.time_to_first_audio, found.words_per_minute) == (
        0,
        None,
        None,
        None,
    )
    assert (found.latency.avg, found.latency.p95) == (None, None)


@pytest.mark.parametrize(
    ("expected", "found", "rate"),
    [
        ("Where is my order?", "where is my order", 0.0),
        ("where is my order", "where is order", 0.25),
        ("where is my order", "where is this my order now", 0.5),
        ("where is my order", "", 1.0),
        ("", "", 0.0),
        ("", "something", 1.0),
        ("Schöne Straße", "SCHÖNE STRASSE", 0.0),
        ("don't", "dont", 1.0),
    ],
)
def test_word_errors(expected: str, found: str, rate: float):
    assert word_error_rate(expected, found) == rate


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0, 1))
def test_quantiles_agree_with_numpy(values: list[float], share: float):
    assert sample_quantile(values, share) == pytest.approx(float(np.quantile(values, share)), rel=1e-9, abs=1e-6)


def test_intervals():
    assert joined([(3, 4), (0, 1), (0.5, 2), (2, 2.5), (9, 9)]) == [(0, 2.5), (3, 4)]
    assert overlap([(0, 2), (1, 3)], [(2.5, 5), (0.5, 1)]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="ends after it begins"):
        user(2, 1)


# Recordings


def sound(value: int, seconds: float) -> bytes:
    return np.full(round(seconds * 24_000), value, dtype="<i2").tobytes()


RECORDING = VoiceRecording(
    segments=[
        agent(1.5, 2.5, audio=sound(2000, 1.0), transcript="it left on Mon", transcript_truncated=True),
        user(0.0, 1.0, audio=sound(1000, 1.0), transcript="where is it"),
        user(2.0, 3.0, audio=sound(3000, 1.0), transcript="stop"),
    ],
    timeline=[
        VoiceEvent(2.0, "user_interrupt", metadata={"adapter": "test", "native": True}),
        VoiceEvent(1.5, "agent_start_speaking", latency=0.5),
    ],
)


def test_silence_and_overlap_stay_where_they_were():
    assert RECORDING.duration == 3.0
    mixed = np.frombuffer(RECORDING.stereo(), dtype="<i2").reshape(-1, 2)
    at = {seconds: tuple(mixed[round(seconds * 24_000)]) for seconds in (0.5, 1.2, 1.7, 2.2, 2.7)}
    assert at == {0.5: (1000, 0), 1.2: (0, 0), 1.7: (0, 2000), 2.2: (3000, 2000), 2.7: (3000, 0)}
    assert np.frombuffer(RECORDING.mono(), dtype="<i2")[round(2.2 * 24_000)] == 5000
    assert np.frombuffer(RECORDING.mono("agent"), dtype="<i2")[round(2.7 * 24_000)] == 0
    with wave.open(io.BytesIO(RECORDING.full_wav)) as file:
        assert (file.getnchannels(), file.getframerate(), file.getnframes()) == (2, 24_000, 72_000)


def test_nothing_wraps_around_where_it_is_loud():
    loud = VoiceRecording([user(0, 1, audio=sound(30_000, 1.0)), user(0.5, 1.5, audio=sound(30_000, 1.0))])
    assert np.frombuffer(loud.stereo(), dtype="<i2").max() == 32_767
    assert np.frombuffer(loud.stereo(), dtype="<i2").min() == 0


@pytest.mark.parametrize("format", ["wav", "mp3", "ogg", "flac"])
def test_a_recording_is_saved_and_read_again(format: str, tmp_path):
    path = RECORDING.save(tmp_path / f"call.{format}")
    assert len(load_audio(path)) / 48_000 == pytest.approx(3.0, abs=0.1)
    with pytest.raises(ValueError, match="expected one of wav"):
        RECORDING.save(tmp_path / "call.xyz")


def test_segments_have_files_and_a_manifest(tmp_path):
    folder = RECORDING.save_segments(tmp_path / "call")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert [item["file"] for item in manifest["segments"]] == [
        "segments/00-user-0000ms.wav",
        "segments/01-agent-1500ms.wav",
        "segments/02-user-2000ms.wav",
    ]
    assert all((folder / item["file"]).is_file() for item in manifest["segments"])
    assert (folder / "full.wav").read_bytes() == RECORDING.full_wav
    assert (manifest["duration"], manifest["segment_count"]) == (3.0, 3)
    assert manifest["segments"][1]["transcript_truncated"] is True
    assert "transcript_truncated" not in manifest["segments"][0]
    assert manifest["events"] == [
        {"time": 1.5, "type": "agent_start_speaking", "latency": 0.5},
        {"time": 2.0, "type": "user_interrupt", "metadata": {"adapter": "test", "native": True}},
    ]


def test_an_empty_recording():
    assert (VoiceRecording().duration, VoiceRecording().stereo()) == (0.0, b"")


class _Ears:
    """Understands the length of what it hears; not what is a sixtieth of a second long."""

    async def transcribe(self, chunk: AudioChunk) -> str:
        if chunk.duration_seconds < 0.1:
            raise ModelError("too short")
        return f"{chunk.duration_seconds:g} s"


SOUND = bytes(48_000)


@pytest.mark.parametrize(
    ("segment", "only_missing", "transcript"),
    [
        (agent(0, 1, audio=SOUND), True, "1 s"),
        (agent(0, 1, audio=SOUND, transcript=""), True, "1 s"),
        (agent(0, 1, audio=SOUND, transcript="Yes"), True, "Yes"),
        (agent(0, 1, audio=SOUND, transcript="Yes"), False, "1 s"),
        (agent(0, 1, audio=SOUND, transcript="Yes of co", transcript_truncated=True), True, "1 s"),
        (agent(0, 1, audio=SOUND, transcript="Yes", transcript_truncated=True, recognised="Yes"), True, "Yes"),
        (agent(0, 1, transcript=None), True, None),
        (agent(0, 0.01, audio=SOUND[:800]), True, None),
        (user(0, 1, audio=SOUND), True, "1 s"),
    ],
)
async def test_segments_are_transcribed(segment: AudioSegment, only_missing: bool, transcript: str | None):
    recording = VoiceRecording(segments=[segment])
    assert await transcribe_segments(recording, _Ears(), only_missing) is recording
    assert recording.segments[0].transcript == transcript


def test_the_word_error_rate_is_that_of_all_words_of_whole_segments():
    found = voice_metrics(
        [
            agent(0, 1, transcript="one two three four", recognised="one too three four"),
            agent(2, 3, transcript="five six", recognised="five six"),
            agent(4, 5, transcript="seven eight nine", recognised="seven", transcript_truncated=True),
            agent(6, 7, transcript="ten"),
            user(8, 9, transcript="eleven", recognised="twelve"),
        ]
    )
    assert found.word_error_rate == pytest.approx(1 / 6)
    assert voice_metrics([agent(0, 1, transcript="one")]).word_error_rate is None


CUT = agent(0, 3, transcript_truncated=True)
PANEL = [
    # segments, then: latencies of answers, response rate, latencies of yields, yield rate, interruptions by the agent
    # for each turn, shares of backchannels, tics and words to others that were rightly ignored
    ("answered", [user(0, 2), agent(2.6, 4)], [0.6], 1.0, [], None, 0.0, None, None, None),
    ("answers", [user(0, 2), agent(3, 4), user(5, 6), agent(6.2, 7)], [1.0, 0.2], 1.0, [], None, 0.0, None, None, None),
    ("spoken to twice", [user(0, 2), user(4, 5), agent(6, 7)], [1.0], 0.5, [], None, 0.0, None, None, None),
    ("never answered", [user(0, 2), user(4, 5)], [], 0.0, [], None, 0.0, None, None, None),
    ("nobody after the turn", [agent(0, 1), user(2, 3)], [], None, [], None, None, None, None, None),
    ("yields", [agent(0, 3.5), user(3, 4), agent(5, 6)], [1.0], 1.0, [0.5], 1.0, 0.0, None, None, None),
    ("yields too late", [agent(0, 5), user(3, 6), agent(7, 8)], [1.0], 1.0, [], 0.0, 0.0, None, None, None),
    ("told", [CUT, user(3, 4), agent(5, 6)], [1.0], 1.0, [0.0], 1.0, 0.0, None, None, None),
    ("follows at once", [agent(0, 3), user(3, 4), agent(5, 6)], [1.0], 1.0, [], None, 0.0, None, None, None),
    ("never yields", [agent(0, 9), user(3, 4)], [], None, [], 0.0, None, None, None, None),
    ("interrupts", [user(0, 4), agent(3, 5), user(6, 7), agent(8, 9)], [1.0], 1.0, [], None, 1.0, None, None, None),
    ("twice", [user(0, 6), agent(1, 2), agent(3, 4), agent(6.5, 7)], [0.5], 1.0, [], None, 2.0, None, None, None),
    ("talks through mm-hmm", [agent(0, 5), user(2, 2.3, BACKCHANNEL)], [], None, [], None, None, 1.0, None, None),
    ("stops for mm-hmm", [agent(0, 2.5), user(2, 2.3, BACKCHANNEL)], [], None, [], None, None, 0.0, None, None),
    ("mm-hmm in silence", [agent(0, 1), user(2, 2.3, BACKCHANNEL)], [], None, [], None, None, None, None, None),
    ("ignores a cough", [agent(0, 5), user(2, 2.3, TIC)], [], None, [], None, None, None, 1.0, None),
    ("stops for a cough", [agent(0, 2.9), user(2, 2.3, TIC)], [], None, [], None, None, None, 0.0, None),
    ("answers a cough", [user(2, 2.3, TIC), agent(4.2, 5)], [], None, [], None, None, None, 0.0, None),
    ("silent after a cough", [user(2, 2.3, TIC), agent(4.4, 5)], [], None, [], None, None, None, 1.0, None),
    ("ignores an aside", [agent(0, 5), user(2, 3, ASIDE)], [], None, [], None, None, None, None, 1.0),
    ("answers an aside", [user(2, 3, ASIDE), agent(4, 5)], [], None, [], None, None, None, None, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("segments", "figures"), [(row[1], row[2:]) for row in PANEL], ids=[row[0] for row in PANEL])
def test_the_panel_of_tau_voice(segments: list[AudioSegment], figures: tuple[object, ...]):
    found = interaction_metrics(reversed(segments))
    latencies, response_rate, yields, *others = figures
    assert found.response_latencies == pytest.approx(latencies)
    assert found.response_rate == response_rate
    assert found.yield_latencies == pytest.approx(yields)
    assert [
        found.yield_rate,
        found.agent_interruption_rate,
        found.backchannel_selectivity,
        found.vocal_tic_selectivity,
        found.non_directed_selectivity,
    ] == others


@pytest.mark.parametrize("value", [None, "x", "1.5", [], {}, True, -3, float("nan"), float("inf"), 10**400])
def test_times_of_events_that_no_conversation_has_are_none(value: object) -> None:
    happened = (
        VoiceHappened(time=2.0, type=kind, metadata={name: value})
        for kind, name in (("user_delayed", "seconds"), ("frames_late", "late"))
    )
    spoken = (SegmentHeard(speaker=who, start=at, end=at + 1) for who, at in (("user", 0.0), ("agent", 4.0)))
    run = VoiceRun(notes=(*spoken, *happened))
    assert (run.metrics.silence, run.own_lateness) == (3.0, 0.0)
