"""Results as rows, as CSV, in notebooks and as annotations."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

import duologue
from duologue.cli.app import invoke
from duologue.errors import ConfigurationError
from duologue.reports.annotations import annotations_of
from duologue.reports.formats import write_reports
from duologue.reports.rows import COLUMNS, render_csv, rows_of
from duologue.runs.store.folder import write_execution


def test_there_is_a_row_for_each_run_in_plan_order(samples):
    execution = samples.hotel()
    rows = list(rows_of(execution))
    assert [row["run_id"] for row in rows] == [run.run_id for run in execution.runs]
    assert all(list(row)[: len(COLUMNS)] == list(COLUMNS) for row in rows)
    assert {(row["outcome"], row["passed"]) for row in rows} >= {("pass", True), ("fail", False), ("error", None)}
    failed = next(row for row in rows if row["outcome"] == "fail")
    assert failed["reason"]
    assert failed["failures"]


def test_costs_are_unknown_where_nothing_has_a_price(samples):
    run = samples.hotel().runs[0]
    free = samples.replace(run, agent=duologue.suites.results.run.Spent(calls=2, unpriced=2))
    [row] = rows_of(samples.replace(samples.hotel(), runs=(free,)))
    assert row["agent_cost"] is None


def test_csv_reads_back_and_computes_nothing(samples):
    execution = samples.hotel()
    evil = '=HYPERLINK(1)\n::error::x\x1b[31m, "quoted"'
    runs = (samples.replace(execution.runs[0], reasoning=evil, verdict=duologue.Verdict.FAIL), *execution.runs[1:])
    text = render_csv(samples.replace(execution, runs=runs))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == len(runs)
    assert len(text.splitlines()) == len(runs) + 1
    assert rows[0]["reason"].startswith("'=HYPERLINK(1) ::error::x")
    assert "\x1b" not in text
    assert rows[1]["outcome"] == execution.runs[1].outcome


def test_perturbations_have_columns_of_their_own(samples):
    execution = samples.hotel()
    first = execution.runs[0]
    varied = samples.replace(first, case=samples.replace(first.case, perturbation=(("city", "Bern"),)))
    text = render_csv(samples.replace(execution, runs=(varied, *execution.runs[1:])))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [row["city"] for row in rows[:2]] == ["Bern", ""]


def test_the_csv_report_replaces_ours_and_nobody_elses(samples, tmp_path: Path):
    execution = samples.hotel()
    write_reports(execution, tmp_path, ["csv"])
    write_reports(execution, tmp_path, ["csv"])
    (tmp_path / "results.csv").write_text("my,own\n1,2\n")
    with pytest.raises(ConfigurationError, match="was not written by Duologue"):
        write_reports(execution, tmp_path, ["csv"])


def test_results_reads_one_execution_or_all_of_a_folder(samples, tmp_path: Path):
    execution = samples.hotel()
    write_execution(execution, tmp_path / "one")
    write_execution(samples.replace(execution, id="other"), tmp_path / "two")
    assert len(duologue.results(tmp_path / "one")) == len(execution.runs)
    assert {row["execution"] for row in duologue.results(str(tmp_path))} == {execution.id, "other"}
    with pytest.raises(ConfigurationError, match="holds no results"):
        duologue.results(tmp_path / "one" / "runs")


HOSTILE = "<img src=x onerror=alert(1)>\n::error::x % , : \x1b[2J"


def test_a_notebook_shows_text_and_nothing_else(samples):
    execution = samples.hostile(HOSTILE)
    page = execution._repr_html_()
    assert "<img" not in page
    assert "\x1b" not in page
    assert execution.suite in page or "&lt;" in page
    result = duologue.ScenarioResult(
        success=False, reasoning=HOSTILE, messages=[{"role": "user", "content": HOSTILE}], scenario="order"
    )
    shown = result._repr_html_()
    assert shown.count("&lt;img") == 2
    assert "<img" not in shown


def test_annotations_name_what_did_not_pass_and_escape_the_rest(samples):
    execution = samples.hotel()
    lines = list(annotations_of(execution))
    groups = [group for group in execution.groups if group.outcome in {"fail", "error", "undecided"}]
    assert len(lines) == len(groups)
    assert lines[0].startswith("::error file=suites/hotel.yaml,title=")
    for line in annotations_of(samples.hostile(HOSTILE)):
        assert "\n" not in line
        assert "\x1b" not in line
        assert line.startswith(("::error ", "::warning "))
        properties = line.removeprefix("::").partition("::")[0]
        assert properties.count(",") == 1


def test_many_failures_are_counted(samples):
    cases = [samples.case(number, f"case {number}", "agent") for number in range(30)]
    runs = tuple(samples.replace(samples.run_of(case), verdict=duologue.Verdict.FAIL) for case in cases)
    execution = samples.replace(samples.hotel(), runs=runs, plan=samples.Plan(suite="s", cases=tuple(cases), seed=1))
    lines = list(annotations_of(execution))
    assert len(lines) == 10
    assert "21 more test cases" in lines[-1]


def test_report_prints_annotations_when_it_is_asked_to(samples, tmp_path, capsys):
    write_execution(samples.hotel(), tmp_path)
    assert invoke(["report", str(tmp_path), "--format", "csv"]) == 0
    assert "::error" not in capsys.readouterr().out
    assert invoke(["report", str(tmp_path), "--format", "csv", "--annotate"]) == 0
    assert "\n::error file=" in capsys.readouterr().out


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20"])
def test_no_sign_begins_a_formula(samples, sign):
    run = samples.replace(samples.hotel().runs[0], reasoning=f"{sign}1+1", verdict=duologue.Verdict.FAIL)
    [row] = csv.DictReader(io.StringIO(render_csv(samples.replace(samples.hotel(), runs=(run,)))))
    assert row["reason"].startswith(f"'{sign}")


def test_what_varies_never_takes_the_place_of_a_column(samples):
    run = samples.hotel().runs[0]
    case = samples.replace(run.case, perturbation=(("passed", "yes"), ("tone", "rude")))
    [row] = rows_of(samples.replace(samples.hotel(), runs=(samples.replace(run, case=case),)))
    assert row["passed"] != "yes"
    assert (row["perturbation.passed"], row["tone"]) == ("yes", "rude")
