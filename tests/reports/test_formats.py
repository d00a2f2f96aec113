"""Reports by name: which files are written, and the command that writes them."""

from __future__ import annotations

import json

import pytest

from duologue.cli.app import invoke
from duologue.errors import ConfigurationError
from duologue.reports.formats import report_formats, write_reports
from duologue.runs.store.folder import write_execution
from duologue.runs.store.reader import read_execution


@pytest.fixture
def folder(execution, tmp_path):
    write_execution(execution, tmp_path / "exec")
    return tmp_path / "exec"


def test_every_format_has_its_file(execution, folder):
    names = ["json", "junit", "md", "csv", "html", "promptkit"]
    assert report_formats() == sorted(names)
    paths = write_reports(execution, folder, names)
    assert [path.name for path in paths] == [
        "index.json",
        "junit.xml",
        "report.md",
        "results.csv",
        "report.html",
        "promptkit",
    ]
    assert all(path.exists() for path in paths)


def test_names_of_files_and_of_formats_can_be_others(execution, folder):
    names = {"markdown": "deep/results.md", "json": "all.json"}
    paths = write_reports(execution, folder, ["Markdown", "md", "json", " junit-xml "], names=names)
    assert [str(path.relative_to(folder)) for path in paths] == ["deep/results.md", "all.json", "junit.xml"]
    assert json.loads((folder / "all.json").read_text("utf-8"))["id"] == execution.id


def test_reports_can_go_to_another_folder(execution, folder, tmp_path):
    [path] = write_reports(execution, folder, ["json"], out=tmp_path / "copy")
    assert read_execution(path.parent) == execution


def test_an_unknown_format_is_told_before_anything_is_written(execution, tmp_path):
    with pytest.raises(
        ConfigurationError, match="no report format is called 'pdf'; expected one of csv, html, json, junit, md"
    ):
        write_reports(execution, tmp_path / "new", ["html", "pdf"])
    assert not (tmp_path / "new").exists()


def test_the_command_writes_what_is_asked_for(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    out = tmp_path / "reports"
    assert (
        invoke(["report", str(folder), "-f", "html,junit", "--format", "md", "--out", str(out), "--job-summary"]) == 0
    )
    told = capsys.readouterr().out.split()
    assert told == [
        str(path) for path in (out / "report.html", out / "junit.xml", out / "report.md", tmp_path / "summary.md")
    ]
    assert (tmp_path / "summary.md").read_text("utf-8") == (out / "report.md").read_text("utf-8") + "\n"


def test_the_command_writes_a_page_beside_the_results_unless_told_otherwise(folder, capsys):
    assert invoke(["report", str(folder / "index.json")]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert (folder / "report.html").exists()


def test_the_command_opens_the_first_report_if_asked_to(folder, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("typer.launch", opened.append)
    assert invoke(["report", str(folder), "--format", "md,html", "--out", str(tmp_path / "new"), "--open"]) == 0
    assert opened == [(tmp_path / "new" / "report.md").as_uri()]


def test_the_command_says_what_is_wrong(tmp_path, folder, capsys):
    for place, said in (
        (tmp_path, f"{tmp_path} holds no results: they lie in folders below; name one of them, such as {folder}"),
        (folder / "runs", f"they lie in {folder}"),
        (tmp_path / "nowhere", "does not exist; expected a folder that 'duologue run' wrote"),
    ):
        assert invoke(["report", str(place)]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
    (tmp_path / "empty").mkdir()
    assert invoke(["report", str(tmp_path / "empty")]) == 2
    assert "there is neither index.json nor launch.json in it" in " ".join(capsys.readouterr().err.split())
    assert invoke(["report", str(folder), "--format", "pdf"]) == 2
    assert "no report format is called 'pdf'" in capsys.readouterr().err


def test_show_reads_results(execution, folder, capsys):
    assert invoke(["show", str(folder)]) == 0
    assert "12 test cases: 7 passed, 2 failed" in capsys.readouterr().out
    assert invoke(["show", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["totals"]["cases"] == 12
    path = folder / "runs" / f"{execution.runs[0].run_id}.json"
    assert invoke(["show", str(path)]) == 0
    assert "PASS script_end · 2 turns" in capsys.readouterr().out
    assert invoke(["show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run_id"] == execution.runs[0].run_id
