"""``duologue lint``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from duologue.cli.app import invoke

SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: shop}
spec:
  agents:
    - {name: clerk, target: "bot.py:answer"}
  scenarios:
    - name: good
      turns: [{content: "A table on Friday"}, {content: "For four"}]
      checks: [{type: contains, params: {patterns: ["R-7"]}}]
      oracle: ["For how many?", "Booked: R-7"]
"""
BAD = """
    - name: vague
      turns: [{content: "Hello"}]
      criteria: ["The agent responds appropriately."]
    - name: weak
      turns: [{content: "Hello, I am Ann"}]
      checks: [{type: contains, params: {patterns: ["Ann"]}}]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.suite.yaml").write_text(SUITE)
    (tmp_path / "bad.suite.yaml").write_text(SUITE + BAD)
    (tmp_path / "bot.py").write_text("def answer(input): return 'Hello Ann, your number is R-7.'\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_good_suite_has_no_findings(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["lint", "shop.suite.yaml", "--self-test"]) == 0
    assert capsys.readouterr().out == "1 scenario, no findings\n"


def test_findings_name_their_place(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["lint", "bad.suite.yaml"]) == 1
    out = capsys.readouterr().out
    assert "bad.suite.yaml:16:" in out
    assert "vague: ambiguous: criteria[0]: 'The agent responds appropriately.': 'appropriately' has no measure" in out
    assert "1 finding in 1 of 3 scenarios" in out
    assert invoke(["lint", "bad.suite.yaml", "--scenario", "vague"]) == 1
    assert "1 finding in 1 of 1 scenario" in capsys.readouterr().out
    assert invoke(["lint", "bad.suite.yaml", "--self-test", "--mock-all", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert {(item["scenario"], item["kind"]) for item in found["findings"]} == {
        ("vague", "ambiguous"),
        ("weak", "passes-when-echoing"),
    }
    assert [item["scenario"] for item in found["left_out"]] == ["vague"]
    assert invoke(["lint", "bad.suite.yaml", "--scenario", "good"]) == 0
    assert invoke(["lint", "bad.suite.yaml", "--scenario", "goood"]) == 2


def test_faults_that_no_scenario_notices_are_listed(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["lint", "shop.suite.yaml", "--mutants", "9"]) == 0
    out = capsys.readouterr().out
    assert "not noticed: clerk: answer value: days and yes and no are swapped" in out
    assert "Faults noticed: 3 of 4 (75%" in out
