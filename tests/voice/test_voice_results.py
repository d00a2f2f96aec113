"""What is left of a conversation in voice: results, files, reports."""

from __future__ import annotations

import io
import json
import wave
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from spoken_agent import SpokenAgent

import duologue
import duologue.voice.checks  # registers them, also where the installed metadata is older
from duologue import checks
from duologue.journal.artifacts import MEDIA
from duologue.journal.jsonl import read_journal
from duologue.reports.html.data import Media, Prompts, run_data
from duologue.reports.junit import render_junit
from duologue.reports.markdown import render_markdown
from duologue.reports.terminal import print_execution, print_run
from duologue.runs.store.encoding import decoded_run, encoded_run, index_of
from duologue.runs.store.from_journals import run_of
from duologue.runs.store.reader import find_execution
from duologue.suites.replay import read_recordings, replay
from duologue.suites.results.voice import RECORDING
from duologue.testing import ScriptedUserAgent, context
from duologue.voice import LatencyMetrics, VoiceEvent, VoiceRecording


async def played(tmp_path: Path | None = None, **options) -> duologue.ScenarioResult:
    agents = [ScriptedUserAgent(["Where is my order?", "Thanks."]), SpokenAgent(["On its way.", "Bye."], cut=True)]
    record = {"record": tmp_path / "run.jsonl"} if tmp_path else {}
    script = [duologue.proceed(2), duologue.succeed()]
    return await duologue.arun("a", "b", agents, script=script, verbose=False, context=context(), **record, **options)


@pytest.mark.parametrize("recorded", [True, False])
async def test_the_result_holds_what_was_heard(tmp_path: Path, recorded: bool):
    result = await played(tmp_path if recorded else None)
    assert isinstance(result.audio, VoiceRecording)
    assert [(item.speaker, item.start_time, item.transcript) for item in result.audio.segments] == [
        ("user", 0.0, "Where is my order?"),
        ("agent", 1.4, "On its way."),
        ("user", 3.5, "Thanks."),
        ("agent", 4.9, "Bye."),
    ]
    assert result.audio.segments[3].transcript_truncated
    assert len(result.audio.segments[1].audio) == 2 * 48_000
    both = np.frombuffer(result.audio.stereo(), dtype="<i2").reshape(-1, 2)
    assert len(both) == 7 * 24_000
    assert not np.any(both[24_000:33_600])
    assert isinstance(result.timeline[0], VoiceEvent)
    assert isinstance(result.latency, LatencyMetrics)
    assert result.latency.measurements == pytest.approx((0.4, 0.4))


async def test_a_journal_reads_back_the_same(tmp_path: Path):
    result = await played(tmp_path)
    read = duologue.read_result(tmp_path / "run.jsonl")
    assert read == result
    assert read.audio.stereo() == result.audio.stereo()
    [file] = (tmp_path / MEDIA).iterdir()
    assert file.suffix == ".wav"
    data = json.loads(read.model_dump_json())
    assert data["latency"]["measurements"] == pytest.approx([0.4, 0.4])
    assert "audio" not in data


async def test_a_conversation_in_text_has_none_of_it():
    result = await duologue.arun(
        "a",
        "b",
        [ScriptedUserAgent(["Hi"]), duologue.testing.ScriptedAgent(["Hello"])],
        script=[duologue.proceed(1), duologue.succeed()],
        verbose=False,
        context=context(),
    )
    assert (result.audio, result.timeline, result.latency) == (None, None, None)


async def test_a_recording_that_is_missing_is_said_where_it_is_asked_for(tmp_path: Path):
    await played(tmp_path)
    [file] = (tmp_path / MEDIA).iterdir()
    file.unlink()
    read = duologue.read_result(tmp_path / "run.jsonl")
    assert read.latency.p50 == pytest.approx(0.4)
    with pytest.raises(duologue.errors.ArtifactError, match="is missing"):
        read.audio.stereo()


async def test_results_of_a_run_say_the_figures_and_where_the_recording_is(tmp_path: Path):
    await played(tmp_path)
    run = run_of(read_journal(tmp_path / "run.jsonl"))
    assert run.voice is not None
    figures = run.voice.figures
    assert figures["response_latency_p50"] == pytest.approx(0.4)
    assert (figures["duration"], figures["turns"], figures["word_error_rate"]) == (6.9, 2, None)
    [medium] = run.media
    assert (medium.message_id, medium.duration, medium.mime_type) == (RECORDING, 7.0, "audio/wav")
    assert (tmp_path / str(medium.path)).is_file()
    assert decoded_run(json.loads(encoded_run(run)), "x") == run


async def test_reports_say_it_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    await played(tmp_path)
    execution = find_execution(tmp_path).execution
    line = "7 s of voice · answers after 0.40 s (p95 0.40 s) · longest silence 0.4 s"
    print_run(execution.runs[0])
    assert capsys.readouterr().out.count(line) == 1
    print_execution(execution)
    assert capsys.readouterr().out.count(line) == 1
    assert render_markdown(execution).count(line) == 1
    properties = {
        item.get("name"): item.get("value") for item in ElementTree.fromstring(render_junit(execution)).iter("property")
    }
    assert properties["voice.response_latency_p50"] == "0.4"
    assert "voice.word_error_rate" not in properties
    assert index_of(execution)["runs"][0]["voice"]["response_latency_p95"] == pytest.approx(0.4)


async def test_the_page_has_what_a_player_needs(tmp_path: Path):
    await played(tmp_path)
    execution = find_execution(tmp_path).execution
    data = run_data(execution.runs[0], 0, execution.groups[0], Prompts(), Media(tmp_path, tmp_path))
    voice = data["voice"]
    assert [item["who"] for item in voice["segments"]] == ["user", "agent", "user", "agent"]
    assert voice["segments"][3]["cut"] is True
    assert {item["type"] for item in voice["events"]} == {"agent_start_speaking", "tool_call"}
    assert voice["recording"]["href"].startswith("./media/")
    assert voice["complete"]
    assert not data.get("media")


async def test_the_recording_can_be_exported(tmp_path: Path):
    result = await played(tmp_path)
    for name in ("call.wav", "call.mp3", "call.flac", "call.ogg"):
        assert result.audio.save(tmp_path / name).stat().st_size > 1000
    with wave.open(io.BytesIO((tmp_path / "call.wav").read_bytes())) as file:
        assert file.readframes(file.getnframes()) == result.audio.stereo()
    folder = result.audio.save_segments(tmp_path / "segments")
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["segment_count"] == 4
    assert len(list((folder / "segments").iterdir())) == 4


@pytest.mark.parametrize("missing", [False, True])
async def test_a_replay_has_the_timeline_and_the_recording(tmp_path: Path, missing: bool):
    result = await played(tmp_path)
    if missing:
        [file] = (tmp_path / MEDIA).iterdir()
        file.unlink()
    [recording] = read_recordings(tmp_path / "run.jsonl")
    check = checks.create("voice_latency", {"max_p95": 0.5})
    again = await replay(recording, checks=[check], record=tmp_path / "again" / "run.jsonl")
    assert again.checks[0].status == "passed"
    assert again.latency == result.latency
    assert again.timeline == result.timeline
    assert [item.transcript for item in again.audio.silent] == [item.transcript for item in result.audio.silent]
    assert (again.audio.sound is None) is missing
    if not missing:
        assert again.audio.stereo() == result.audio.stereo()
