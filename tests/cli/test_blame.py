"""``duologue blame``."""

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
    - {name: good, turns: [{content: hi}], checks: [{type: contains, params: {patterns: [hello]}}]}
    - {name: bad, turns: [{content: hi}], checks: [{type: contains, params: {patterns: [refund]}}]}
    - {name: broken, turns: [{content: down}], checks: [{type: contains, params: {patterns: [x]}}]}
"""
BOT = """
def answer(input):
    if input.last_new_user_message_str() == "down":
        raise ConnectionError("connection refused")
    return "hello"
"""


def test_runs_that_did_not_pass_say_who_is_to_blame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.suite.yaml").write_text(SUITE)
    (tmp_path / "bot.py").write_text(BOT)
    assert invoke(["run", "s.suite.yaml", "--out", "results", "--format", "md,html"]) == 1
    assert "blame: infrastructure, a connection failed, or a service was busy" in capsys.readouterr().out
    assert invoke(["blame", "results", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["charged_to"] == {"agent": 1, "infrastructure": 1}
    assert [run["blame"][0]["party"] for run in found["runs"]] == ["agent", "infrastructure"]
    assert found["runs"][0]["blame"][0]["evidence"] == ["m2"]
    assert invoke(["blame", "results"]) == 0
    assert "2 runs did not pass; charged to: agent 1, infrastructure 1" in capsys.readouterr().out
    assert "blame: infrastructure" in Path("results/report.md").read_text()
    assert "blame: agent" in Path("results/report.html").read_text()
