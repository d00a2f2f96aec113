"""Whole files at once, and the shelf that a suite's plan and execution take recordings from."""

import json
import shutil
from pathlib import Path

import pytest

from duologue import testing
from duologue.errors import ConfigurationError, SuiteError
from duologue.specs.suite import Replay, Suite
from duologue.suites import CheckSpec, Engine
from duologue.suites.plan.build import generate_plan
from duologue.suites.replay import RecordingIndex, find_recordings, read_recordings, replay_file
from duologue.vocabulary import RunStatus, Verdict

FIXTURES = Path(__file__).parents[2] / "transcripts" / "fixtures"


async def test_all_recordings_of_a_file_are_judged_in_its_order(tmp_path: Path) -> None:
    found = await replay_file(
        FIXTURES / "tau-airline.json", checks=[lambda state: state.has_tool_call("cancel_flight")], record=tmp_path
    )
    assert [(item.recording.name, item.result.verdict) for item in found] == [
        ("task 3, trial 0", Verdict.PASS),
        ("task 4, trial 0", Verdict.FAIL),
    ]
    assert len(find_recordings("*.jsonl", tmp_path)) == 2


async def test_a_pattern_means_all_its_files() -> None:
    found = await replay_file(FIXTURES / "vapi-*.json", turn_checks=[lambda state: True], format="vapi")
    assert [item.recording.path.name for item in found] == ["vapi-call.json", "vapi-report.json"]
    assert all(item.result.success for item in found)


async def test_one_that_breaks_does_not_keep_the_others_from_being_judged() -> None:
    judge = testing.ScriptedJudge([True, ValueError("no")])
    first, second = await replay_file(FIXTURES / "tau-airline.json", judge=judge, concurrency=1)
    assert first.result.verdict is Verdict.PASS
    assert (second.result.status, second.result.verdict) == (RunStatus.ERROR, None)
    assert second.result.error is not None


@pytest.mark.parametrize(
    ("arguments", "found"),
    [({"concurrency": 0}, "concurrency: found 0"), ({"record": "one.jsonl"}, "expected a folder")],
)
async def test_arguments_that_cannot_be_used_are_refused(arguments: dict[str, object], found: str) -> None:
    with pytest.raises(ConfigurationError, match=found):
        await replay_file(FIXTURES / "messages.json", **arguments)


def test_files_of_a_pattern_come_by_name(tmp_path: Path) -> None:
    for name in ("b.json", "a.json", "c.txt", "below/d.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    (tmp_path / "e.json").mkdir()
    assert find_recordings("*.json", tmp_path) == [tmp_path / "a.json", tmp_path / "b.json"]
    assert find_recordings("**/*.json", tmp_path)[-1] == tmp_path / "below" / "d.json"
    assert find_recordings("[ab].json", tmp_path) == [tmp_path / "a.json", tmp_path / "b.json"]
    assert find_recordings("?.txt", tmp_path) == [tmp_path / "c.txt"]
    assert find_recordings("plain.json", tmp_path) == [tmp_path / "plain.json"]


def test_a_pattern_that_nothing_matches_is_told_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(SuiteError) as caught:
        find_recordings("calls/*.json", tmp_path)
    assert f"no file in the folder '{tmp_path}' matches \"calls/*.json\"" in str(caught.value)


def test_a_file_whose_name_looks_like_a_pattern_is_found(tmp_path: Path) -> None:
    (tmp_path / "call[1].json").write_text("{}")
    assert find_recordings("call[1].json", tmp_path) == [tmp_path / "call[1].json"]


def suite_with(folder: Path, *replays: Replay) -> Suite:
    return Suite(name="calls", replays=replays).within(folder)


def test_a_plan_has_a_case_for_each_recording_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "calls").mkdir()
    shutil.copy(FIXTURES / "tau-airline.json", tmp_path / "calls")
    shutil.copy(FIXTURES / "vapi-call.json", tmp_path / "calls")
    replay = Replay(name="old", recording="calls/*.json")
    suite = suite_with(tmp_path, replay)
    shelf = RecordingIndex(suite)
    plan = generate_plan(suite, recordings=shelf.names, seed=1)
    names = [case.recording for case in plan.cases]
    assert names == ["calls/tau-airline.json#1", "calls/tau-airline.json#2", "calls/vapi-call.json"]
    assert [shelf.open(replay, name).name for name in names if name] == [
        "task 3, trial 0",
        "task 4, trial 0",
        "019c-call",
    ]


def test_each_file_of_a_shelf_is_read_once(tmp_path: Path) -> None:
    shutil.copy(FIXTURES / "tau-airline.json", tmp_path)
    replay = Replay(name="old", recording="tau-airline.json", format="tau_bench")
    shelf = RecordingIndex(suite_with(tmp_path, replay))
    first = shelf.open(replay, "tau-airline.json#1")
    (tmp_path / "tau-airline.json").unlink()
    assert shelf.open(replay, "tau-airline.json#1") is first
    with pytest.raises(ConfigurationError, match=r"has no recording 'other\.json'"):
        shelf.open(replay, "other.json")


def test_a_suite_may_name_every_format() -> None:
    for name in (
        "session",
        "arena_output",
        "transcript",
        "generic",
        "journal",
        "openai",
        "tau_bench",
        "retell",
        "vapi",
    ):
        assert Replay(name="r", recording="x.json", format=name).format == name
    assert read_recordings(FIXTURES / "messages.json", "auto")


async def test_a_broken_file_is_the_trouble_of_its_own_case(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ok"}]
    (tmp_path / "a.json").write_text(json.dumps(said))
    (tmp_path / "b.json").write_text(json.dumps(said)[:-9])
    (tmp_path / "c.json").write_text(json.dumps(said))
    check = CheckSpec(type="contains", params={"patterns": ["ok"]})
    suite = suite_with(tmp_path, Replay(name="r", recording="*.json", checks=(check,)))
    async with Engine(suite=suite) as engine:
        runs = (await engine.execute()).runs
    assert [(run.case.recording, run.outcome) for run in runs] == [
        ("a.json", "pass"),
        ("b.json", "error"),
        ("c.json", "pass"),
    ]
    assert runs[1].error
    assert "b.json: this is no JSON" in runs[1].error.message


def test_a_line_that_breaks_off_is_told_with_the_recording_before_it(tmp_path: Path) -> None:
    line = json.dumps({"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ok"}]})
    path = tmp_path / "a.jsonl"
    path.write_text(f"{line}\n{line}\n{line[:20]}")
    first, last = read_recordings(path)
    assert "torn" not in first.metadata
    assert last.metadata["torn"] == "line 3 is cut off after 20 characters"
