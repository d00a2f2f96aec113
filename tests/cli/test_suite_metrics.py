"""Metrics in a suite: each case is graded, and all of them together have to reach a score."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from duologue.cli.app import invoke
from duologue.runs.store.reader import read_execution

SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: shop}
spec:
  models: [{name: m, provider: openai, model: gpt-5-mini}]
  agents: [{name: bot, model: m}]
  judges: [{name: grader, model: m}]
  prompts: [{name: support, system_template: "You help."}]
  scenarios:
    - name: refund
      prompt: support
      turns: [{content: Where is my money?}]
      checks:
        - type: metrics
          params:
            metrics: {response_delivery: 2, grounding_fidelity: 1}
            expected_outcomes: [The refund is explained.]
            threshold: 60
    - name: order
      prompt: support
      turns: [{content: I want a pizza.}]
      checks: [{type: metrics, params: {metrics: [response_delivery], threshold: 60}}]
    - name: greeting
      prompt: support
      turns: [{content: Hello}]
      checks: [{type: contains, params: {patterns: [way]}}]
  defaults: {seed: 7, metrics_threshold: %s}
"""
MOCK = """
defaultResponse: It is on its way.
judges: {grader: {verdict: pass, score: %s}}
"""


def play(folder: Path, *, needed: str = "null", given: str = "0.8", suite: str = SUITE) -> int:
    (folder / "suite.yaml").write_text(suite % needed)
    (folder / "mock.yaml").write_text(MOCK % given)
    arguments = ["--mock", str(folder / "mock.yaml"), "--out", str(folder / "out"), "--overwrite", "-q"]
    return invoke(["run", str(folder / "suite.yaml"), *arguments])


@pytest.mark.parametrize(("needed", "code"), [("null", 0), ("0", 0), ("80", 0), ("80.5", 1), ("100", 1)])
def test_the_score_over_all_cases_has_to_reach_the_threshold(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], needed: str, code: int
) -> None:
    assert play(tmp_path, needed=needed) == code
    of = "" if needed == "null" else f" of {needed} needed"
    lowest = "lowest: grounding_fidelity 4.0, response_delivery 4.0 of 5"
    out = " ".join(capsys.readouterr().out.split())
    assert f"metrics: 80.0{of} · 2 of 2 graded runs good enough · {lowest}" in out
    assert json.loads((tmp_path / "out" / "index.json").read_text())["exit_code"] == code


def test_a_case_below_its_own_threshold_fails_whatever_the_others_are(tmp_path: Path) -> None:
    assert play(tmp_path, given="0.4", needed="0") == 1
    groups = json.loads((tmp_path / "out" / "index.json").read_text())["groups"]
    assert [group["outcome"] for group in groups] == ["fail", "fail", "pass"]


def test_the_index_has_the_metrics_over_all_cases_and_is_read_back(tmp_path: Path) -> None:
    play(tmp_path, needed="90")
    grading = json.loads((tmp_path / "out" / "index.json").read_text())["grading"]
    assert (grading["weighted_score"], grading["metrics_threshold"], grading["metrics_passed"]) == (80, 90, False)
    assert [(item["metric"], item["mean"], item["applied"]) for item in grading["metrics"]] == [
        ("response_delivery", 4, 2),
        ("grounding_fidelity", 4, 1),
    ]
    execution = read_execution(tmp_path / "out")
    assert (execution.exit_code, execution.metrics_threshold, execution.graded_too_low) == (1, 90, True)


def test_a_suite_without_metrics_says_nothing_of_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graded = SUITE[SUITE.index("    - name: refund") : SUITE.index("    - name: greeting")]
    assert play(tmp_path, needed="90", suite=SUITE.replace(graded, "")) == 0
    assert "metrics:" not in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "index.json").read_text())["grading"] is None


@pytest.mark.parametrize("wrong", ["101", "-1", "high"])
def test_a_threshold_that_cannot_be_is_refused_where_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    assert play(tmp_path, needed=wrong) == 2
    assert "defaults.metrics_threshold" in capsys.readouterr().err


def test_a_wrong_parameter_of_a_metric_is_refused_before_anything_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert play(tmp_path, suite=SUITE.replace("grounding_fidelity", "grounding_fidelty")) == 2
    assert "grounding_fidelity" in capsys.readouterr().err


def test_markdown_has_the_metrics(tmp_path: Path) -> None:
    play(tmp_path, needed="80")
    invoke(["report", str(tmp_path / "out"), "-f", "md"])
    (page,) = (tmp_path / "out").glob("*.md")
    assert "80.0 of 80 needed" in page.read_text()
