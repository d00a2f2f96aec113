"""Folders of results that are whole, cut off, or damaged."""

from __future__ import annotations

import json

import pytest

from duologue.cli.app import invoke
from duologue.errors import ConfigurationError
from duologue.runs.store.encoding import INDEX, LAUNCH, RUNS
from duologue.runs.store.folder import ResultFolder, claimed, write_execution
from duologue.runs.store.reader import executions_in, find_execution


@pytest.fixture
def kept(execution, tmp_path):
    """What an execution that was kept as it went on has left."""
    folder = tmp_path / "exec"
    keeper = ResultFolder(folder, suite=execution.suite, path=execution.path)
    keeper.started(execution.plan, execution.id)
    for run in execution.runs:
        keeper.run_finished(run)
    keeper.finished(execution)
    return folder


@pytest.mark.parametrize("place", ["", INDEX, LAUNCH])
def test_a_whole_execution_reads_back_equal(kept, execution, place):
    found = find_execution(kept / place)
    assert found.execution == execution
    assert (found.folder, list(found.problems)) == (kept, [])


def test_one_without_an_index_is_interrupted_and_has_the_runs_that_are_over(kept, execution, capsys):
    (kept / INDEX).unlink()
    (kept / RUNS / f"{execution.runs[0].run_id}.json").unlink()
    found = find_execution(kept)
    assert found.execution.runs == execution.runs[1:]
    assert found.execution.interrupted
    assert found.execution.exit_code == 130
    assert found.execution.plan == execution.plan
    assert found.execution.started_at == execution.runs[1].started_at
    assert found.execution.seconds > 0
    assert invoke(["report", str(kept), "-f", "junit,html,md"]) == 0
    said = capsys.readouterr()
    assert "Note: the execution did not come to its end" in said.err
    assert invoke(["show", str(kept)]) == 0
    assert "2 runs not begun" in capsys.readouterr().out


def test_a_run_that_cannot_be_read_is_left_out_and_named(kept, execution):
    (kept / INDEX).unlink()
    damaged = kept / RUNS / f"{execution.runs[3].run_id}.json"
    damaged.write_text(damaged.read_text()[:200])
    found = find_execution(kept)
    assert len(found.execution.runs) == len(execution.runs) - 1
    assert len(found.problems) == 2
    assert f"left out: {damaged} is not JSON" in found.problems[1]


def test_nothing_is_left_out_of_an_execution_that_came_to_its_end(kept, execution):
    (kept / RUNS / f"{execution.runs[0].run_id}.json").unlink()
    with pytest.raises(ConfigurationError, match=f"run what is missing again with --resume {kept}"):
        find_execution(kept)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"schema_version": 99}', '{"schema_version": 1, "id": "x"}'])
def test_a_damaged_launch_says_so(kept, content):
    (kept / INDEX).unlink()
    (kept / LAUNCH).write_text(content)
    with pytest.raises(ConfigurationError, match=LAUNCH):
        find_execution(kept)


def test_a_folder_of_executions_has_a_line_for_each(kept, execution, tmp_path, capsys):
    write_execution(execution, tmp_path / "later")
    (tmp_path / "ruin").mkdir()
    (tmp_path / "ruin" / INDEX).write_text("{}")
    assert [path.name for path in executions_in(tmp_path)] == ["exec", "later", "ruin"]
    assert invoke(["show", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert said.out.count("✗ harbour-hotel  2026-03-02 09:30 UTC  7 of 12 test cases passed  48.2 s") == 2
    assert "ruin/index.json has schema_version None" in " ".join(said.err.split())
    assert invoke(["show", str(tmp_path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [item["folder"] for item in shown] == [str(kept), str(tmp_path / "later")]


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere", "does not exist; expected a journal"), ("junit.xml", "is not a recording; expected")]
)
def test_show_says_what_it_expects(tmp_path, capsys, name, said):
    (tmp_path / "junit.xml").write_text("<testsuites/>")
    assert invoke(["show", str(tmp_path / name)]) == 2
    assert said in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("over", [0, 1, 3])
def test_one_that_is_still_running_says_so_and_not_to_resume_it(kept, execution, capsys, over):
    (kept / INDEX).unlink()
    for run in execution.runs[over:]:
        (kept / RUNS / f"{run.run_id}.json").unlink()
    with claimed(kept):
        found = find_execution(kept).execution
        assert (found.running, found.interrupted, found.runs) == (True, False, execution.runs[:over])
        assert found.totals.not_run == len(execution.plan) - over
        assert invoke(["report", str(kept), "-f", "junit,html,md"]) == 0
        assert invoke(["show", str(kept)]) == 0
        assert invoke(["show", str(kept.parent)]) == 0
        said = capsys.readouterr()
        assert invoke(["show", str(kept), "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
    assert "the execution is still running" in said.err
    assert "  still running\n" in said.out
    assert ", running  " in said.out
    assert "not over yet" in said.out
    everything = said.out + said.err + (kept / "report.md").read_text()
    assert not [word for word in ("interrupted", "--resume", "not begun", "--failed-in") if word in everything]
    assert (data["running"], data["interrupted"]) == (True, False)
    assert "still running" in (kept / "report.md").read_text().splitlines()[0]
    assert '"running":true' in (kept / "report.html").read_text().replace(" ", "")
    assert find_execution(kept).execution.interrupted  # nobody holds it any more
