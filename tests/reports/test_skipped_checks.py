"""Checks that were skipped: every report shows them with the reason beside those that passed, and none shows a pass."""

import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

import duologue
from duologue import checks
from duologue.pytest_plugin._summary import RunRow, lines_of
from duologue.reports.display import skipped_checks
from duologue.reports.html.page import render_html
from duologue.reports.junit import save_junit
from duologue.reports.markdown import render_markdown
from duologue.reports.terminal import print_execution, print_run
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load
from duologue.suites.results.execution import ExecutionResult
from duologue.testing import ScriptedAgent, ScriptedUserAgent
from duologue.vocabulary import Verdict

REASON = "the tool calls of 'agent' are not known"
SAYS = {"type": "contains", "params": {"patterns": ["way"]}}
NEVER = {"type": "tools_not_called", "params": {"tools": ["refund"]}}
CALLED = {"type": "tools_called", "params": {"tools": ["find"]}}
NAMES = ['tools_not_called: tools=["refund"]', 'tools_called: tools=["find"]']


@pytest.fixture
async def execution(tmp_path: Path) -> ExecutionResult:
    """A replay with a check that passed beside skipped ones, and one with nothing but skipped checks."""
    said = [{"role": "user", "content": "Where?"}, {"role": "assistant", "content": "On its way."}]
    (tmp_path / "chat.json").write_text(json.dumps(said), "utf-8")
    replays = [
        {"name": "both", "recording": "chat.json", "checks": [SAYS, NEVER]},
        {"name": "only", "recording": "chat.json", "checks": [NEVER, CALLED]},
    ]
    data = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "s"}, "spec": {"replays": replays}}
    (tmp_path / "suite.yaml").write_text(json.dumps(data), "utf-8")
    async with Engine(suite=load(tmp_path / "suite.yaml")) as engine:
        return await engine.execute()


def printed(show: Any, value: Any) -> str:
    out = io.StringIO()
    show(value, console=Console(file=out, width=1000))
    return out.getvalue()


async def test_the_terminal_lists_them_with_the_number_of_runs(execution: ExecutionResult) -> None:
    assert [run.verdict for run in execution.runs] == [Verdict.PASS, Verdict.UNDECIDED]
    told = printed(print_execution, execution).split("Skipped checks")[1]
    assert f"– {NAMES[0]} in 2 runs: {REASON}" in told
    assert f"– {NAMES[1]} in 1 run: {REASON}" in told
    assert execution.exit_code == 3


async def test_a_run_shows_them_beside_those_that_passed(execution: ExecutionResult) -> None:
    told = printed(print_run, execution.runs[0])
    assert "✓ contains" in told
    assert f"– {NAMES[0]}  {REASON}" in told
    assert f"All checks passed, except for skipped ones: {NAMES[0]}" in told


async def test_markdown_has_a_table_of_them(execution: ExecutionResult) -> None:
    told = render_markdown(execution).split("## Skipped checks")[1].replace("\\", "")
    assert f"| {NAMES[0]} | 2 | {REASON}" in told
    assert f"| {NAMES[1]} | 1 | {REASON}" in told


async def test_junit_counts_them_and_an_undecided_run_is_a_failure(execution: ExecutionResult, tmp_path: Path) -> None:
    save_junit(execution, tmp_path / "junit.xml")
    both, only = ElementTree.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    for case, count in ((both, "1"), (only, "2")):
        counted = [item.get("value") for item in case.iter("property") if item.get("name") == "checks_skipped"]
        assert counted == [count]
        assert f"skipped check {NAMES[0]}: {REASON}" in (case.findtext("system-out") or "")
    assert both.find("failure") is None
    failure = only.find("failure")
    assert failure is not None
    assert failure.get("type") == "Undecided"
    assert f"Every check was skipped: {NAMES[0]}: {REASON}" in failure.get("message", "")


async def test_the_page_holds_them_with_their_reasons(execution: ExecutionResult) -> None:
    page = render_html(execution)
    assert page.count(REASON) >= 3
    assert "skipped" in page


async def test_pytest_shows_them_with_the_reason() -> None:
    class First(duologue.AgentAdapter):
        async def call(self, input: duologue.AgentInput) -> Any:
            return "On its way."

    say = checks.create("contains", {"patterns": ["way"]})
    result = await duologue.arun(
        "s",
        "d",
        [First(), ScriptedUserAgent(["hi"])],
        script=[duologue.user(), duologue.agent()],
        checks=[say, checks.create("tools_not_called", {"tools": ["refund"]})],
        verbose=False,
    )
    row = RunRow.of(result, "test_s")
    told = [line for line, _ in lines_of(row)]
    assert any(line.startswith(f"    skipped: {NAMES[0]}: the tool calls of 'First' are not known") for line in told)
    assert dict(row.properties())["checks_skipped"] == 1


async def test_a_run_without_skipped_checks_says_nothing_of_them() -> None:
    result = await duologue.arun(
        "s",
        "d",
        [ScriptedAgent(["On its way."]), ScriptedUserAgent(["hi"])],
        script=[duologue.user(), duologue.agent()],
        checks=[checks.create("contains", {"patterns": ["way"]})],
        verbose=False,
    )
    assert result.reasoning == "All checks passed"
    assert not any("skipped" in line for line, _ in lines_of(RunRow.of(result, "test_s")))


async def test_they_are_counted_once_for_each_run(execution: ExecutionResult) -> None:
    assert [(item.name, item.runs) for item in skipped_checks(execution)] == [(NAMES[0], 2), (NAMES[1], 1)]
