"""``duologue label``, ``calibration`` and ``judge-test``."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from duologue.cli.app import invoke
from duologue.suites.calibration.labels import read_labels

CRITERIA = ["It answers.", "It is polite."]


def answers(index: int) -> dict[str, Any]:
    return {"criteria": {CRITERIA[0]: "pass" if index % 3 else "fail", CRITERIA[1]: "pass" if index % 4 else "fail"}}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    names = [f"case {index}" for index in range(6)]
    spec = {
        "agents": [{"name": "bot", "target": "bot.py:answer"}],
        "judges": [{"name": "judge", "model": "local"}, {"name": "other", "model": "local"}],
        "scenarios": [{"name": name, "turns": [{"content": "Hi"}], "criteria": CRITERIA} for name in names],
    }
    suite = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "s"}, "spec": spec}
    (tmp_path / "s.suite.yaml").write_text(yaml.safe_dump(suite))
    held = {name: answers(index) for index, name in enumerate(names)}
    lenient = {name: {"criteria": dict.fromkeys(CRITERIA, "pass")} for name in names}
    (tmp_path / "mock.yaml").write_text(
        yaml.safe_dump(
            {
                "judges": {
                    "judge": {"default": "pass", "scenarios": held},
                    "other": {"default": "pass", "scenarios": lenient},
                }
            }
        )
    )
    (tmp_path / "bot.py").write_text("def answer(input): return 'Hello.'\n")
    monkeypatch.chdir(tmp_path)
    assert invoke(["run", "s.suite.yaml", "--mock", "mock.yaml", "--out", "results", "--quiet"]) == 1
    capsys.readouterr()
    return tmp_path


def typed(monkeypatch: pytest.MonkeyPatch, keys: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{key}\n" for key in keys)))


def kept() -> list[Any]:
    return read_labels(Path("results.labels.jsonl"))


def test_the_queue_keeps_each_label_and_continues(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "xau")
    assert invoke(["label", "results", "--rater", "eva"]) == 0
    out = capsys.readouterr().out
    assert "[1 of 12]" in out
    assert "  m2 assistant: Hello." in out
    assert "The judge: " in out
    assert "2 labels given, 10 left" in out
    first, second = kept()
    assert (first.value, second.value) == (first.decision, "unsure")
    assert len(first.judge) == 12
    typed(monkeypatch, "dbpq")
    assert invoke(["label", "results", "--rater", "eva"]) == 0
    out = capsys.readouterr().out
    assert "[3 of 12]" in out
    assert [label.value for label in kept()][2] in {"pass", "fail"}
    typed(monkeypatch, "a" * 20)
    assert invoke(["label", "results", "--rater", "ann"]) == 0
    assert "12 labels given, 0 left" in capsys.readouterr().out
    assert {label.rater for label in kept()} == {"eva", "ann"}


def test_who_labels_blindly_sees_the_decision_afterwards(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a\nn\nbecause\np\nq\n"))
    assert invoke(["label", "results", "--blind", "--rater", "eva"]) == 0
    out = capsys.readouterr().out
    assert out.index("p pass") < out.index("The judge said")
    assert "The judge: " not in out
    [label] = kept()
    assert (label.value, label.note) == ("pass", "because")


def test_a_table_goes_out_to_a_spreadsheet_and_comes_back(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["label", "results", "--template", "todo.csv"]) == 0
    lines = Path("todo.csv").read_text().splitlines()
    assert len(lines) == 13
    filled = [line.replace(".,,,,pass", ".,pass,ann,,").replace(".,,,,fail", ".,fail,ann,,") for line in lines]
    Path("done.csv").write_text("\n".join(filled))
    assert invoke(["label", "results", "--from", "done.csv"]) == 0
    assert len(kept()) == 12
    assert {label.decision for label in kept()} == {"pass", "fail"}
    capsys.readouterr()
    assert invoke(["calibration", "results", "--json", "--min-agreement", "1"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [item["criterion"] for item in found["criteria"]] == [*sorted(CRITERIA), "verdict", "all criteria"]
    assert found["criteria"][0]["agreement"]["rate"] == 1
    assert found["rates"][0]["corrected"]["value"] == pytest.approx(found["rates"][0]["counted"]["rate"])
    assert invoke(["label", "results", "--template", "todo.csv"]) == 2


def test_reports_show_corrected_rates_beside_those_that_were_counted(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["show", "results"]) == 0
    assert "Judge and people" not in capsys.readouterr().out
    typed(monkeypatch, "adaaaaaaaaaa")
    assert invoke(["label", "results"]) == 0
    assert invoke(["report", "results", "--format", "md,html,json", "--out", "reports"]) == 0
    markdown = Path("reports/report.md").read_text()
    assert "## Judge and people" in markdown
    assert "Fewer than 20 labels" in markdown
    assert '"Judge counted"' in Path("reports/report.html").read_text()
    assert json.loads(Path("reports/index.json").read_text())["calibration"]["labels"] == 12
    capsys.readouterr()
    assert invoke(["show", "results"]) == 0
    assert "sensitivity" in capsys.readouterr().out
    assert invoke(["calibration", "results", "--min-agreement", "1"]) == 1
    Path("results.labels.jsonl").write_text("{")
    capsys.readouterr()
    assert invoke(["show", "results"]) == 0
    assert "left out: " in capsys.readouterr().err


def test_another_judge_is_put_to_the_test_on_labelled_runs(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "a" * 12)
    assert invoke(["label", "results"]) == 0
    capsys.readouterr()
    command = ["judge-test", "results", "--mock", "mock.yaml", "--repeats", "2", "--json"]
    assert invoke([*command, "--min-agreement", "1"]) == 0
    same = json.loads(capsys.readouterr().out)
    assert (same["runs"], same["repeated"]["total"], same["reordered"]["rate"]) == (6, 12, 1)
    assert invoke([*command, "--judge", "other", "--min-agreement", "0.9"]) == 1
    other = json.loads(capsys.readouterr().out)
    assert all(item["specificity"]["rate"] == 0 for item in other["criteria"])
    assert all(item["specificity"]["rate"] == 1 for item in other["before"])


def test_a_judge_that_has_changed_since_fails_the_gate(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "a" * 12)
    assert invoke(["label", "results"]) == 0
    text = Path("results.labels.jsonl").read_text().replace('"run": "', '"run": "before-')
    Path("before.jsonl").write_text(text)
    assert invoke(["calibration", "results", "--labels", "before.jsonl", "--fail-on-drift"]) == 0
    suite = yaml.safe_load(Path("s.suite.yaml").read_text())
    suite["spec"]["judges"][0]["votes"] = 3
    Path("s.suite.yaml").write_text(yaml.safe_dump(suite))
    assert invoke(["run", "s.suite.yaml", "--mock", "mock.yaml", "--out", "new", "--quiet"]) == 1
    capsys.readouterr()
    assert invoke(["calibration", "new", "--labels", "before.jsonl", "--fail-on-drift"]) == 1
    out = capsys.readouterr().out
    assert "The judge has changed" in out
    assert "not corrected: the judge has changed since it was labelled" in out


def test_without_labels_there_is_nothing_to_say(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("calibration", "judge-test"):
        assert invoke([command, "results"]) == 2
        assert "there are no labels beside" in capsys.readouterr().err
    Path("labels.csv").write_text("run,criterion,label\nnobody,x,pass\n")
    assert invoke(["judge-test", "results", "--labels", "labels.csv"]) == 2
    assert "none of the labelled runs is here" in capsys.readouterr().err
