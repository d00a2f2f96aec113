"""What the player of a recording is given: which message a segment is the sound of, and the shape of the sound."""

from __future__ import annotations

import base64
import wave

import numpy as np
import pytest
import spoken_runs

from duologue.reports.html.data import Media, Prompts, run_data
from duologue.reports.html.peaks import MOST, peaks_of
from duologue.reports.html.voice import voice_data
from duologue.suites.results.run import RunResult
from duologue.suites.results.voice import VoiceResult


def messages_of(segments, said):
    """The message of each segment, as the page gets it."""
    run = RunResult(case=None, run_id="x", status="completed", voice=VoiceResult(segments=tuple(segments)))
    messages = [
        {"id": f"m{number}", "role": role, "text": text, **({"cut": "[cut off]"} if cut else {})}
        for number, (role, text, *cut) in enumerate(said, 1)
    ]
    return [item.get("message") for item in voice_data(run, messages, None)["segments"]]


def user(text, **more):
    return spoken_runs.segment("user", 0.0, 1.0, text, **more)


def agent(text, **more):
    return spoken_runs.segment("agent", 0.0, 1.0, text, **more)


@pytest.mark.parametrize(
    ("segments", "said", "expected"),
    [
        pytest.param(
            [user("Hi."), agent("Hello.")], [("user", "Hi."), ("assistant", "Hello.")], ["m1", "m2"], id="each"
        ),
        pytest.param(
            [agent("It arrives"), agent("on Tuesday.")], [("assistant", "It arrives on Tuesday.")], ["m1", "m1"],
            id="pauses",
        ),
        pytest.param(
            [user("Yes."), agent("Sure?"), user("Yes.")],
            [("user", "Yes."), ("assistant", "Sure?"), ("user", "Yes.")],
            ["m1", "m2", "m3"],
            id="the same words again",
        ),
        pytest.param(
            [user("Mm-hmm.", purpose="backchannel"), user("Go on.")], [("user", "Go on.")], [None, "m1"],
            id="a sign of listening",
        ),
        pytest.param(
            [agent("Let me look"), agent("It is a teapot.")],
            [("assistant", "Let me look that up."), ("tool", "{}"), ("assistant", "It is a teapot.")],
            ["m1", "m3"],
            id="cut off, and a tool between",
        ),
        pytest.param(
            [agent("So a table for four on Friday 12th", truncated=True), agent("A table for six on Friday 12th")],
            [("assistant", "So a table for 4", "cut"), ("assistant", "A table for six on Friday 12th")],
            ["m1", "m2"],
            id="cut off, and said again",
        ),
        pytest.param(
            [agent("Well, a table on Friday.", truncated=True), agent("A table on Friday."), agent("Well, yes.")],
            [("assistant", "Well,", "cut"), ("assistant", "A table on Friday."), ("assistant", "Well, yes.")],
            ["m1", "m2", "m3"],
            id="cut off after a word",
        ),
        pytest.param(
            [agent("One two three.", truncated=True), agent("Four.", truncated=True)],
            [("assistant", "One two four.", "cut"), ("assistant", "Four and five.", "cut")],
            ["m1", "m1"],
            id="cut off after a pause",
        ),
        pytest.param(
            [agent("One two.", truncated=True), agent("Three.")],
            [("assistant", "?!", "cut"), ("assistant", "One two", "cut"), ("assistant", "Three.")],
            ["m2", "m3"],
            id="cut off before a word",
        ),
        pytest.param(
            [agent("It is a teapot.")], [("assistant", ""), ("tool", "{}"), ("assistant", "It is a teapot.")], ["m3"],
            id="a message that calls a tool and says nothing",
        ),
        pytest.param(
            [agent(None), agent(None)], [("assistant", "One."), ("assistant", "Two.")], ["m1", "m2"], id="no transcript"
        ),
        pytest.param([agent("Something else.")], [("assistant", "One.")], [None], id="words of no message"),
        pytest.param([agent("One.")], [], [None], id="no messages"),
        pytest.param(
            [user("荷物は"), user("どこですか")], [("user", "荷物はどこですか")], ["m1", "m1"], id="no spaces"
        ),
        pytest.param([user("?!"), user("Two.")], [("user", "?!"), ("user", "Two.")], ["m1", "m2"], id="no words"),
    ],
)  # fmt: skip
def test_a_segment_names_its_message(segments, said, expected):
    assert messages_of(segments, said) == expected


def test_a_run_names_the_messages_and_has_the_shape_of_its_sound(tmp_path):
    execution = spoken_runs.spoken(tmp_path)
    data = run_data(execution.runs[0], 0, None, Prompts(), Media(tmp_path, tmp_path))["voice"]
    assert [item.get("message") for item in data["segments"]] == ["m1", "m2", None, "m3", "m4", "m4"]
    user, agent = (base64.b64decode(data["recording"]["peaks"][who]) for who in ("user", "agent"))
    assert len(user) == len(agent) == spoken_runs.LENGTH / 0.02
    assert (user[20], user[110], agent[20], agent[110]) == (94, 0, 0, 94)


def test_a_server_reads_no_recording_for_the_data_of_a_run(tmp_path):
    execution = spoken_runs.spoken(tmp_path)
    served = Media(tmp_path, tmp_path, lambda path: f"/media/{path}")
    data = run_data(execution.runs[0], 0, None, Prompts(), served)["voice"]
    assert data["recording"]["src"] == f"/media/{spoken_runs.FILE}"
    assert "peaks" not in data["recording"]


def test_a_long_recording_has_no_more_peaks_than_pixels(tmp_path):
    spoken_runs.write_recording(tmp_path / "long.wav", 120.0)
    found = peaks_of(tmp_path / "long.wav")
    assert MOST * 0.9 < len(base64.b64decode(found.user)) <= MOST


def written(path, channels, width, frames):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(width)
        file.setframerate(24_000)
        file.writeframes(frames)
    return path


@pytest.mark.parametrize(
    "make",
    [
        lambda path: written(path, 1, 2, bytes(9600)),
        lambda path: written(path, 2, 1, bytes(9600)),
        lambda path: written(path, 2, 2, b""),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"RIFF\x00\x00"),
        lambda path: path.write_bytes(b"not sound at all, but long enough to be read as a header"),
        lambda path: None,
    ],
    ids=["mono", "8 bits", "no frames", "empty", "cut short", "something else", "missing"],
)
def test_what_is_no_recording_has_no_shape(tmp_path, make):
    make(tmp_path / "x.wav")
    assert peaks_of(tmp_path / "x.wav") is None


def test_the_loudest_sample_fits(tmp_path):
    loud = np.full((960, 2), -32768, dtype="<i2")
    assert base64.b64decode(peaks_of(written(tmp_path / "x.wav", 2, 2, loud.tobytes())).user) == b"\xff\xff"
