"""The guide to reports names every field of the files, every format, and every property of a test case."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from dataclasses import fields
from pathlib import Path

import pytest

from duologue.cli.app import invoke
from duologue.reports.formats import report_formats
from duologue.suites.results.execution import Group
from duologue.suites.results.run import GuardrailResult, MediaResult, MessageResult, RunResult, Spent, WorkflowResult

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "reports.md").read_text("utf-8")
SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: shop}
spec:
  models: [{name: m, provider: mock, model: tiny}]
  agents: [{name: bot, model: m}]
  prompts: [{name: support, system_template: "You help."}]
  scenarios:
    - name: order
      prompt: support
      trials: 2
      turns: [{content: I want a pizza., checks: [{type: contains, params: {patterns: [pizza]}}]}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("shop")
    (place / "suite.yaml").write_text(SUITE)
    invoke(["run", str(place), "--out", str(place / "out"), "-q", "--mock-all", "--format", "junit"])
    return place / "out"


def section(title):
    return re.split(r"^#{2,3} ", GUIDE.partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(title):
    """The words in the first and in the second column of a table."""
    found = re.findall(r"^\| (`.*?) \| (.*?) \|", section(title), re.MULTILINE)
    return {name: re.findall(r"`([^`]+)`", row[1]) for row in found for name in re.findall(r"`([^`]+)`", row[0])}


def test_the_index_is_told_field_by_field(folder):
    index = json.loads((folder / "index.json").read_text())
    told = rows("index.json")
    assert set(told) == set(index)
    assert set(told["totals"]) == set(index["totals"])
    assert set(told["spent"]) == {*index["spent"], *index["spent"]["total"]}
    assert set(told["runs"]) == set(index["runs"][0])
    assert set(told["plan"]) == set(index["plan"])
    assert set(told["allowance"]) == set(index["allowance"])
    assert set(told["groups"]) <= set(index["groups"][0])
    assert {field.name for field in fields(Group)} & set(index["groups"][0]) - {"case"} <= set(told["groups"])


def test_a_run_is_told_field_by_field(folder):
    run = json.loads(next((folder / "runs").glob("*.json")).read_text())
    told = rows("runs/RUN.json")
    assert set(told) == set(run)
    assert set(told["messages"]) == {field.name for field in fields(MessageResult)}
    assert set(told["media"]) == {field.name for field in fields(MediaResult)}
    assert set(told["guardrails"]) == {field.name for field in fields(GuardrailResult)}
    assert set(told["workflow"]) == {field.name for field in fields(WorkflowResult)}
    assert set(told["agent"]) == {field.name for field in fields(Spent)}
    assert {field.name for field in fields(RunResult)} <= set(told)
    assert set(told["checks"]) == set(run["checks"][0]) - {"type"}


def test_every_property_and_every_format_is_told(folder):
    names = {item.attrib["name"] for item in ET.parse(folder / "junit.xml").iter("property")}
    assert "cost_usd" in names
    assert names <= set(re.findall(r"`(\w+)`", section("JUnit")))
    assert set(re.findall(r"^\| `(\w+)` \|", section("Reports"), re.MULTILINE)) == set(report_formats())


def test_the_files_of_the_folder_are_told(folder):
    told = {name.split("/")[0] for name in rows("The folder")}
    assert {path.name for path in folder.iterdir()} - {"junit.xml"} <= told
