"""Results as files: what is written reads back equal, whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from datetime import UTC, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue.errors import ConfigurationError, ResultsError
from duologue.journal.events import ErrorInfo
from duologue.runs.store.encoding import decoded_run, encoded_run, index_of
from duologue.runs.store.folder import ResultFolder, write_execution, write_index, write_run
from duologue.runs.store.reader import iter_runs, read_execution, read_index, read_run
from duologue.suites.results.execution import Allowance
from duologue.vocabulary import CheckStatus, RunStatus, Termination, Verdict


def test_an_execution_reads_back_equal(execution, tmp_path):
    write_execution(execution, tmp_path)
    assert read_execution(tmp_path) == execution
    assert read_execution(tmp_path / "index.json") == execution


def test_everything_that_varies_reads_back_equal(execution, tmp_path):
    changed = replace(
        execution,
        interrupted=True,
        allowance=Allowance(undecided=None, errors=4),
        started_at=execution.started_at.astimezone(timezone(timedelta(hours=-7))),
        runs=execution.runs[:3],
        thresholds={},
    )
    write_execution(changed, tmp_path)
    assert read_execution(tmp_path) == changed
    assert read_index(tmp_path)["started_at"] == execution.started_at.isoformat()


texts = st.text(max_size=40).filter(lambda text: not any("\ud800" <= char <= "\udfff" for char in text))
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(data=st.data())
def test_any_run_reads_back_equal(samples, data):
    draw = data.draw
    perturbation = tuple(draw(st.dictionaries(texts, texts, max_size=2)).items())
    made = samples.case(draw(st.integers(0, 10**9)), draw(texts), draw(st.none() | texts), perturbation=perturbation)
    message = {"role": draw(texts), "content": draw(plain), "x_own": draw(plain)}
    said = replace(samples.booking_messages()[1], message=message, meta=draw(st.dictionaries(texts, plain)))
    error = st.builds(ErrorInfo, type=texts, message=texts, causes=st.lists(texts, max_size=2))
    verdict = draw(st.none() | st.sampled_from(Verdict))
    run = samples.run_of(
        made,
        verdict,
        status=RunStatus.COMPLETED if verdict else draw(st.sampled_from(RunStatus)),
        termination=draw(st.none() | st.sampled_from(Termination)),
        messages=(said,),
        checks=(samples.check(draw(texts), draw(st.sampled_from(CheckStatus)), score=draw(st.floats(0, 1))),),
        error=draw(st.none() | error),
        started_at=draw(st.none() | st.datetimes(timezones=st.just(UTC))),
        seconds=draw(st.floats(0, 1e9)),
        labels=draw(st.dictionaries(texts, texts, max_size=2)),
    )
    assert decoded_run(json.loads(encoded_run(run)), "a file") == run


def test_every_field_of_a_run_is_written(samples):
    run = next(run for run in samples.hotel().runs if run.checks and run.messages)

    written = json.loads(encoded_run(run))

    assert list(written)[4:] == [item.name for item in fields(run) if item.name != "case"]
    for part, of in [
        (written["messages"][0], run.messages[0]),
        (written["checks"][0], run.checks[0]),
        (written["agent"], run.agent),
        (written["agent"]["usage"], run.agent.usage),
    ]:
        assert list(part) == [item.name for item in fields(of)]


@pytest.mark.parametrize("number", range(10))
def test_hostile_text_is_kept_as_it_was_said(samples, tmp_path, number):
    text = samples.HOSTILE[number]
    execution = samples.hostile(text)
    write_execution(execution, tmp_path)
    again = read_execution(tmp_path)
    said = again.runs[0].messages[0].message["content"]
    assert said == (text if "\ud800" not in text else text.replace("\ud800", "\ufffd"))
    if "\ud800" not in text:
        assert again == execution


def test_what_is_no_number_is_written_as_text_that_every_reader_takes(samples, tmp_path):
    run = samples.run_of(samples.case(0, "s", "a"), checks=(samples.check("c", score=float("nan"), top=float("inf")),))

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    path = write_run(run, tmp_path)
    [check] = json.loads(path.read_text("utf-8"), parse_constant=refuse)["checks"]
    assert (check["score"], check["details"]["top"]) == ("NaN", "Infinity")
    again = read_run(tmp_path, run.run_id).checks[0].score
    assert again != again


def test_the_index_says_what_all_runs_came_to(execution):
    index = json.loads(json.dumps(index_of(execution)))  # plain data: nothing is left to a fallback
    assert index["totals"] == {
        "cases": 12, "runs": 15, "passed": 7, "failed": 2, "undecided": 1, "errors": 1, "cancelled": 0, "not_run": 1,
    }  # fmt: skip
    assert index["exit_code"] == execution.exit_code == 1
    assert [line["outcome"] for line in index["runs"]] == [run.outcome for run in execution.runs]
    assert [len(index["plan"]["cases"]), index["plan"]["seed"]] == [16, 7]
    assert index["spent"]["total"]["cost"] == pytest.approx(execution.spent.cost)
    assert index["spent"]["judge"]["calls"] == 15
    [flaky] = [group for group in index["groups"] if group["trials"] == 3 and group["agent"] == "desk-mini"]
    assert (flaky["pass_rate"], flaky["pass@k"], flaky["pass^k"]) == (pytest.approx(2 / 3), True, False)
    [shaky] = [rate for rate in flaky["checks"] if rate["name"] == "content_excludes"]
    assert (shaky["rate"], shaky["threshold"], shaky["ok"]) == (0.0, 0.6, False)
    failing = next(line for line in index["runs"] if line["outcome"] == "error")
    assert failing["reasoning"].startswith("AgentTimeoutError: the agent 'desk-mini' did not answer")


def test_one_run_is_read_without_the_others(execution, tmp_path):
    write_execution(execution, tmp_path)
    wanted = execution.runs[4]
    for run in execution.runs:
        if run is not wanted:
            (tmp_path / "runs" / f"{run.run_id}.json").unlink()
    assert read_run(tmp_path, wanted.run_id) == wanted
    assert len(read_index(tmp_path)["runs"]) == len(execution.runs)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        list(iter_runs(tmp_path))


def test_a_write_that_breaks_leaves_the_old_file_and_nothing_else(execution, tmp_path, monkeypatch):
    path = write_run(execution.runs[0], tmp_path)
    before = path.read_bytes()

    def full(source, target):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(ResultsError, match=rf"{path} cannot be written: No space left"):
            write_run(replace(execution.runs[0], seconds=99.0), tmp_path)
    assert path.read_bytes() == before
    assert [item.name for item in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("run_id", ["../x", "a/b", "", "/etc/passwd"])
def test_an_id_with_a_path_in_it_is_refused(tmp_path, run_id):
    with pytest.raises(ConfigurationError, match="is not the id of a run"):
        read_run(tmp_path, run_id)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "expected a folder that 'duologue run' wrote"),
        ("{", "is not JSON"),
        ("[]", "an object is expected"),
        ('{"schema_version": 2}', "schema_version 2"),
        ('{"schema_version": 1}', "is not the index of an execution"),
        ('{"schema_version": 1, "plan": {"suite": "s", "seed": 1, "cases": [{"no": 1}]}}', "is not the index"),
    ],
)
def test_what_is_no_index_is_told(tmp_path, text, said):
    if text is not None:
        (tmp_path / "index.json").write_text(text)
    with pytest.raises(ConfigurationError, match=said):
        read_execution(tmp_path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "NaN", "Infinity", None, "soon"])
@pytest.mark.parametrize("field", ["seconds", "agent_seconds", "trials", "index"])
def test_a_number_that_is_none_is_told_with_its_file(execution, tmp_path, field, number):
    path = write_run(execution.runs[0], tmp_path)
    data = json.loads(path.read_text("utf-8"))
    (data["case"] if field in data["case"] else data)[field] = number
    path.write_text(json.dumps(data))
    with pytest.raises(ConfigurationError, match=rf"(?s){path.name} is not the result of a run.*{field}"):
        read_run(tmp_path, execution.runs[0].run_id)


def test_what_is_no_run_is_told_with_its_file(execution, tmp_path):
    path = write_run(execution.runs[0], tmp_path)
    data = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**data, "status": "asleep"}))
    with pytest.raises(ConfigurationError, match=rf"(?s){path.name} is not the result of a run.*status"):
        read_run(tmp_path, execution.runs[0].run_id)
    path.write_text(json.dumps({**data, "schema_version": 9}))
    with pytest.raises(ConfigurationError, match="schema_version 9"):
        read_run(tmp_path, execution.runs[0].run_id)


def test_an_index_goes_into_a_folder_that_is_not_there(execution, tmp_path):
    assert write_index(execution, tmp_path / "new" / "deep").exists()


def test_an_index_of_before_goes_when_an_execution_is_resumed(execution, tmp_path):
    write_execution(execution, tmp_path)
    folder = ResultFolder(tmp_path, suite="s", path="suite.yaml", resuming=True)
    folder.started(execution.plan, execution.id)
    assert not (tmp_path / "index.json").exists()
    assert (tmp_path / "launch.json").exists()
