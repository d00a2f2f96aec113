"""The test cases of a suite as units, and their results in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from suites_on_workers import run, suite

from duologue.errors import JournalError, ResultsError
from duologue.frozen import changed
from duologue.journal.events import ErrorInfo
from duologue.runs.distributed import WorkResult
from duologue.runs.distributed.suite import SuiteResults, SuiteSource, files_of_run, newest_execution, seconds_in
from duologue.runs.distributed.suite_session import PlayedCase
from duologue.runs.store.folder import write_run
from duologue.suites import Engine, RunResult
from duologue.vocabulary import RunStatus


async def test_units_are_the_cases_with_what_they_took_before(tmp_path: Path):
    suite(tmp_path, ("one",), ("two",), ("new",))
    plan = Engine.from_file(tmp_path / "suite.yaml").generate_plan()
    source = SuiteSource(execution_id="x", seconds={plan.cases[0].group: 2.0, plan.cases[1].group: 4.0})
    units = await source.generate(plan)
    assert [unit.id for unit in units] == [case.run_id("x") for case in plan.cases]
    assert [unit.estimated_duration for unit in units] == [2.0, 4.0, 3.0]  # one that is new takes what is usual
    assert [unit async for unit in source.stream(plan)] == units
    assert await source.estimate_workload(plan) == 3
    chained = list(source.units(plan.cases, one_by_one=True))
    assert [unit.dependencies for unit in chained] == [(), (units[0].id,), (units[1].id,)]


def test_what_cases_took_is_read_from_an_earlier_execution(tmp_path: Path):
    suite(tmp_path, ("one",), ("two",))
    runs = tmp_path / "runs"
    code, _ = run(tmp_path, "--out", str(runs / "first"))
    assert code == 0
    plan = Engine.from_file(tmp_path / "suite.yaml").generate_plan()
    found = seconds_in(runs / "first")
    assert found.keys() == {case.group for case in plan.cases}
    assert all(seconds > 0 for seconds in found.values())
    assert newest_execution(runs, "many") == runs / "first"
    assert newest_execution(runs, "another") is None
    assert newest_execution(tmp_path / "nowhere", "many") is None
    index = runs / "first/index.json"
    for damaged in (
        "",
        "[]",
        "{}",
        json.dumps({**json.loads(index.read_text()), "runs": [{"case": 77, "seconds": 1}]}),
    ):
        index.write_text(damaged)
        assert seconds_in(runs / "first") == {}
    assert seconds_in(tmp_path / "nowhere") == {}


def _result(folder: Path, **changes: object) -> tuple[RunResult, WorkResult]:
    suite(folder, ("one",))
    case = Engine.from_file(folder / "suite.yaml").generate_plan().cases[0]
    made = RunResult(case=case, run_id=case.run_id("x"), status=RunStatus.COMPLETED)
    return made, WorkResult(
        work_unit_id=made.run_id,
        success=True,
        data=PlayedCase(run=made, files=((f"journals/{made.run_id}.jsonl", b"{}\n"),)),
        metadata={"outcome": "pass", "scenario": "one"},
    )


async def test_a_result_that_comes_twice_is_recorded_once(tmp_path: Path):
    made, result = _result(tmp_path)
    kept: list[RunResult] = []

    def keep(found: RunResult) -> None:
        kept.append(found)
        write_run(found, tmp_path)

    sink = SuiteResults(keep, lambda _: None, tmp_path)
    told = sink.subscribe()
    await sink.store(result)
    await sink.store(changed(result, success=False, data=PlayedCase(run=changed(made, status=RunStatus.ERROR))))
    sink.close()
    assert kept == [made]
    found = await sink.retrieve(made.run_id)
    assert found is not None
    assert found.data == made
    assert await sink.query({"scenario": "one"}) == [found]
    assert await sink.query({"outcome": "fail"}) == []
    assert await sink.retrieve("another") is None
    assert [item.work_unit_id async for item in told] == [made.run_id]
    assert (tmp_path / f"journals/{made.run_id}.jsonl").read_bytes() == b"{}\n"
    assert files_of_run(tmp_path, made.run_id) == ((f"journals/{made.run_id}.jsonl", b"{}\n"),)


@pytest.mark.parametrize("name", ["../x.jsonl", "journals/../../x.jsonl", "/etc/x", "runs/x.json", "media/x.html", ""])
async def test_a_worker_can_write_files_of_runs_only(tmp_path: Path, name: str):
    made, result = _result(tmp_path)
    sink = SuiteResults(lambda _: None, lambda _: None, tmp_path / "out")
    with pytest.raises(ResultsError, match="which is none of a run; nothing was written"):
        await sink.store(changed(result, data=PlayedCase(run=made, files=((name, b"x"),))))
    assert not (tmp_path / "out").exists()


async def test_a_unit_without_a_run_is_recorded_as_what_it_failed_with(tmp_path: Path):
    made, _ = _result(tmp_path)
    kept: list[RunResult] = []
    error = ErrorInfo.of(JournalError("no room"))
    broken = changed(made, status=RunStatus.ERROR, error=error)
    sink = SuiteResults(kept.append, lambda item: broken if item.error else None, tmp_path)
    await sink.store(WorkResult(work_unit_id=made.run_id, success=False, error=error))
    await sink.store(WorkResult(work_unit_id="cancelled", success=False))
    assert kept == [broken]
