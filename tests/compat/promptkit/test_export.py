"""Results in PromptKit's form: the same arenas give the same conversations, assertions and counts as its own engine."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sample_executions

from duologue.checks.registry import find
from duologue.cli.app import invoke
from duologue.compat.promptkit.export import exported_index, exported_run, go_duration, save_promptkit
from duologue.compat.promptkit.export_messages import assertion, written_type
from duologue.errors import ConfigurationError
from duologue.runs.store.reader import read_execution
from duologue.vocabulary import CheckStatus, Scope, Verdict

ARENAS = Path(__file__).parents[2] / "cases" / "arena"
OF_A_RUN = {
    "RunID", "PromptPack", "Region", "ScenarioID", "ProviderID", "Params", "Messages", "Commit", "Cost", "ToolStats",
    "Violations", "StartTime", "EndTime", "Duration", "Error", "SelfPlay", "PersonaID", "UserFeedback", "SessionTags",
    "AssistantRole", "UserRole", "MediaOutputs", "RecordingPath", "conversation_assertions",
}  # fmt: skip
OF_THE_INDEX = {
    "total_runs", "successful", "errors", "timestamp", "config_file", "run_ids", "total_cost", "average_cost",
    "total_tokens", "total_duration", "scenarios", "providers", "regions", "prompt_packs",
}  # fmt: skip


@pytest.fixture(scope="module")
def samples():
    return sample_executions


@pytest.fixture(scope="module")
def execution(samples):
    return samples.hotel()


@pytest.fixture
def failed(execution):
    return exported_run(next(run for run in execution.runs if run.outcome == "fail"))


def test_the_keys_are_the_documented_ones(execution, failed):
    assert set(failed) == OF_A_RUN
    assert set(exported_index(execution)) == OF_THE_INDEX


def test_where_a_simulated_user_took_part_the_models_are_named(execution):
    played, scripted = execution.runs[0], execution.runs[2]
    assert played.self_play
    assert not scripted.self_play
    data = exported_run(played)
    assert data["AssistantRole"] == {"Provider": "acme", "Model": "desk-2", "Region": "default"}
    assert data["UserRole"] is None
    assert exported_run(scripted)["AssistantRole"] is None


def test_the_system_prompt_comes_first_and_tools_stand_beside_the_messages(failed, samples):
    system, user, called, answered, *_ = failed["Messages"]
    assert system == {"role": "system", "content": samples.PROMPT}
    assert user["meta"] == {"persona": "hurried"}
    arguments = {"from": "2026-03-14", "nights": 2, "guests": 2}
    assert called["tool_calls"] == [{"id": "call_1", "name": "find_rooms", "args": arguments}]
    assert called["latency_ms"] == 400
    assert called["cost_info"] == {"input_tokens": 420, "output_tokens": 60, "total_cost_usd": 0.0021}
    assert answered["content"] == ""
    assert answered["tool_result"] == {
        "id": "call_1",
        "name": "find_rooms",
        "content": '{"rooms": [{"id": "204", "view": "garden", "rate": 142}]}',
        "latency_ms": 30,
    }
    assert failed["ToolStats"] == {"total_calls": 1, "by_tool": {"find_rooms": 1}}


def test_what_was_checked_stands_at_the_last_answer_of_its_turn(failed):
    first, last = (message for message in failed["Messages"] if "assertions" in message.get("meta", {}))
    assert first["content"].startswith("Room 204")
    found = first["meta"]["assertions"]
    assert (found["passed"], found["failed"], found["total"]) == (False, 1, 2)
    assert [(item["type"], item["passed"]) for item in found["results"]] == [
        ("tools_called", True),
        ("content_excludes", False),
    ]
    assert found["results"][1]["details"]["messages"] == ["m4"]
    assert first["validations"] == [
        {"validator_type": "banned_words", "passed": False, "details": {"message": "'decide now' is not allowed"}}
    ]
    assert last["meta"]["assertions"]["results"][0]["type"] == "pack_eval:llm_judge"
    assert failed["Violations"] == [{"type": "banned_words", "tool": "", "detail": "'decide now' is not allowed"}]


def test_what_a_judge_decided_is_not_lost(failed):
    whole = failed["conversation_assertions"]
    assert [(item["type"], item["passed"]) for item in whole["results"]] == [("criterion", True), ("criterion", False)]
    assert (whole["passed"], whole["failed"], whole["total"]) == (False, 1, 2)
    assert whole["results"][1]["details"]["reason"] == "It offers € 99; the list says € 142."


def test_times_are_theirs(execution, failed):
    run = next(run for run in execution.runs if run.outcome == "fail")
    assert failed["StartTime"] == "2026-03-02T09:30:21Z"
    assert failed["Duration"] == 6_370_000_000
    assert failed["EndTime"] == "2026-03-02T09:30:27.370000Z"
    assert exported_run(replace(run, started_at=None))["StartTime"] == "0001-01-01T00:00:00Z"
    assert exported_index(execution)["timestamp"] == "2026-03-02T09:30:48.250000Z"
    assert exported_index(execution)["timestamp"] == (
        (execution.started_at + timedelta(seconds=48.25)).isoformat().replace("+00:00", "Z")
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.000012, "12µs"), (0.87, "870ms"), (4.25, "4.25s"), (60, "1m0s"), (3723.5, "1h2m3.5s")],
)
def test_durations_are_written_as_go_does(seconds, text):
    assert go_duration(seconds) == text


def test_only_a_pass_is_successful_and_every_other_run_says_why(execution):
    index = exported_index(execution)
    assert (index["total_runs"], index["successful"], index["errors"]) == (15, 11, 4)
    for run in execution.runs:
        data = exported_run(run)
        red = data["Error"] or not data["conversation_assertions"]["passed"] or data["Violations"]
        assert bool(red) == (run.verdict is not Verdict.PASS)
    broken = next(exported_run(run) for run in execution.runs if run.outcome == "error")
    assert broken["Error"] == "AgentTimeoutError: the agent 'desk-mini' did not answer within 60 s"


def test_judges_are_not_part_of_the_cost(execution):
    run = execution.runs[0]
    assert exported_run(run)["Cost"]["total_cost_usd"] == pytest.approx(run.agent.cost + run.user.cost)
    assert exported_index(execution)["total_cost"] == pytest.approx(15 * 0.0056)


def test_media_of_the_agent_are_listed_with_their_place(execution, samples):
    run = next(run for run in execution.runs if run.media)
    data = exported_run(run, Path("out"))
    assert data["MediaOutputs"] == [
        {"type": "audio", "mime_type": "audio/wav", "size_bytes": 44, "duration": 1.5,
         "file_path": str(Path("out/media/answer.wav")), "message_index": 1, "part_index": 1},
    ]  # fmt: skip
    text, picture = data["Messages"][0]["parts"]
    assert text == {"type": "text", "text": "What is wrong with this tap?"}
    assert picture == {"type": "image", "media": {"mime_type": "image/png", "data": samples.PIXEL}}
    sound = data["Messages"][1]["parts"][1]
    assert sound == {"type": "audio", "media": {"mime_type": "audio/wav", "data": samples.WAV}}


def test_a_replay_has_their_provider(execution):
    run = next(run for run in execution.runs if run.case.kind == "replay")
    assert exported_run(run)["ProviderID"] == "eval"


def test_a_skipped_check_passes_and_a_broken_one_does_not(samples):
    skipped = samples.check("max_length", CheckStatus.SKIPPED)
    broken = samples.check("max_length", CheckStatus.ERROR, scope=Scope.CONVERSATION)
    assert (assertion(skipped)["passed"], assertion(skipped)["details"]["skipped"]) == (True, True)
    assert assertion(broken)["passed"] is False


def test_the_type_is_the_one_that_was_written_where_that_is_known(samples):
    said = samples.check("content_includes: patterns=['a']", kind="contains", explanation="found 'a'")
    assert (written_type(said), assertion(said)["message"]) == ("content_includes", "found 'a'")
    named = samples.check("Should greet", kind="contains")
    assert (written_type(named), assertion(named)["message"]) == ("contains", "Should greet")
    assert written_type(samples.check("max_length: of the answer", kind="contains")) == "contains"


def test_files_are_written_for_every_run(execution, tmp_path):
    folder = save_promptkit(execution, tmp_path / "promptkit")
    index = json.loads((folder / "index.json").read_text("utf-8"))
    assert [json.loads((folder / f"{name}.json").read_text("utf-8"))["RunID"] for name in index["run_ids"]] == (
        index["run_ids"]
    )


def written_beside(folder):
    """Files of somebody else in a folder of ours, whatever they are called."""
    mine = "mine-0123456789abcdef"
    (folder / "notes.json").write_text("{}")
    (folder / f"{mine}.json").write_text('{"RunID":"another"}')
    (folder.parent / f"{mine}.json").write_text('{"RunID":"x"}')
    target = folder.parent / "target.json"
    target.write_text('{"RunID":"linked-0123456789abcdef","PromptPack":""}')
    (folder / "linked-0123456789abcdef.json").symlink_to(target)
    index = json.loads((folder / "index.json").read_text())
    index["run_ids"] += [mine, "linked-0123456789abcdef", f"../{mine}", f"a/../../{mine}", "/tmp-0123456789abcdef"]
    (folder / "index.json").write_text(json.dumps(index))
    return [folder / "notes.json", folder / f"{mine}.json", folder.parent / f"{mine}.json", target]


@pytest.mark.parametrize("way", ["removed", "written again"])
def test_files_of_earlier_runs_go_and_no_other(way, tmp_path):
    folder = ARENAS / "01_variables_demo"
    out = tmp_path / "out"
    command = ["run", str(folder), "--mock", str(folder / "mock-config.yaml"), "--out", str(out), "--quiet"]
    assert invoke([*command, "--format", "promptkit"]) == 0
    exported = out / "promptkit"
    old = {path for path in exported.iterdir() if path.name != "index.json"}
    assert len(old) > 1
    foreign = written_beside(exported)
    before = [path.read_bytes() for path in foreign]
    more = ["--format", "promptkit"] if way == "written again" else []
    assert invoke([*command, "--overwrite", "--trials", "1", "--seed", "99", *more]) == 0
    assert [path.read_bytes() for path in foreign] == before
    assert (exported / "linked-0123456789abcdef.json").is_symlink()
    index = json.loads((out / "index.json").read_text())
    left = {path for path in exported.iterdir() if not path.is_symlink()} - set(foreign)
    new = {exported / "index.json", *(exported / f"{run['run_id']}.json" for run in index["runs"])}
    assert left == (new if more else set())


@pytest.mark.parametrize("number", range(10))
def test_hostile_text_can_be_exported(samples, tmp_path, number):
    folder = save_promptkit(samples.hostile(samples.HOSTILE[number]), tmp_path)
    assert json.loads((folder / "run-hostile.json").read_text("utf-8"))["Messages"][1]["role"] == "user"


def canonical(name):
    """Their types have several names each."""
    try:
        return find(name)[0].kind if name else None
    except ConfigurationError:
        return name


def digest(message):
    """What the recorded digests hold of a message, in one form for both."""
    results = message.get("assertions") or message.get("meta", {}).get("assertions", {}).get("results", [])
    result = message.get("tool_result") or {}
    texts = [part["text"] for part in result.get("parts") or [] if part.get("type") == "text"]
    return {
        "role": message["role"],
        "content": (message.get("content") or "").strip(),
        "calls": [(call["name"], call["args"]) for call in message.get("tool_calls", [])],
        "answered": (result.get("name"), result.get("content") or "".join(texts) or None),
        "assertions": [(canonical(item["type"]), item["passed"]) for item in results if item["type"]],
    }


@pytest.mark.parametrize(
    ("name", "mocks"),
    [
        ("01_variables_demo", "mock-config.yaml"),
        ("02_assertions_test", "mock-responses.yaml"),
        ("04_llm_judge", None),
        ("11_workflow_support", None),
    ],
)
def test_an_arena_gives_what_its_own_engine_gives(name, mocks, tmp_path):
    folder = ARENAS / name
    expected = json.loads((folder / "expected.json").read_text("utf-8"))
    flags = ["--mock", str(folder / mocks)] if mocks else []
    assert invoke(["run", str(folder), "--out", str(tmp_path), "--quiet", "--format", "promptkit", *flags]) == 0
    index = json.loads((tmp_path / "promptkit" / "index.json").read_text("utf-8"))
    counted = ("total_runs", "successful", "errors")
    assert {key: index[key] for key in counted} == {key: expected["index"][key] for key in counted}
    mine = [json.loads((tmp_path / "promptkit" / f"{run}.json").read_text("utf-8")) for run in index["run_ids"]]
    found = {(run["ScenarioID"], run["ProviderID"], run["Region"]): run for run in mine}
    for run in expected["runs"]:
        data = found.pop((run["scenario"], run["provider"], run["region"]))
        assert [digest(message) for message in data["Messages"]] == [digest(message) for message in run["messages"]]
        assert (data["SelfPlay"], data["PersonaID"] or None) == (run["self_play"], run["persona"])
        assert (data["ToolStats"], data["Violations"]) == (run["tool_stats"], run["violations"])
        theirs, ours = run["conversation_assertions"]["results"], data["conversation_assertions"]["results"]
        assert [(canonical(item["type"]), item["passed"]) for item in ours] == [
            (canonical(item["type"]), item["passed"]) for item in theirs
        ]
    assert not found
    assert read_execution(tmp_path).ok
