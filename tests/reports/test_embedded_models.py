"""Reports say when an embedded model played the user or judged, and how far that can be trusted."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from duologue.agents.judge.local import DEFAULT, described
from duologue.reports.html.page import render_html
from duologue.reports.markdown import render_markdown
from duologue.reports.terminal import print_execution
from duologue.runs.store.encoding import index_of
from duologue.suites import Engine, Scenario, Suite
from duologue.suites.results.execution import ExecutionResult, embedded_models
from duologue.suites.results.run import RecordingResult, RunResult

PLAYED = f"The simulated user was {DEFAULT}, an embedded model."


def answer(_: Any) -> str:
    return "Good day."


@pytest.fixture(scope="module")
def played() -> ExecutionResult:
    async def play() -> ExecutionResult:
        persona: dict[str, Any] = {"name": "anna", "lines": ["Hello."]}
        scenario = Scenario(name="talk", personas=("anna",))
        made = Suite.model_validate({"name": "s", "personas": [persona], "scenarios": [scenario]})
        async with Engine.from_parts(made, agents={"bot": answer}) as engine:
            return await engine.execute(engine.generate_plan(seed=1))

    return asyncio.run(play())


def said_by(run: RunResult, model: str | None) -> RunResult:
    return replace(run, messages=tuple(replace(item, model=model) for item in run.messages))


@pytest.mark.parametrize(
    ("model", "told"),
    [(DEFAULT, True), ("local", True), ("openai/gpt-5-mini", False), ("mock/local", False), (None, False), ("", False)],
)
def test_only_embedded_models_are_named(played: ExecutionResult, model: str | None, told: bool) -> None:
    assert bool(embedded_models([said_by(run, model) for run in played.runs])) is told


def test_users_of_a_recording_were_not_played(played: ExecutionResult) -> None:
    runs = [replace(said_by(run, DEFAULT), recording=RecordingResult(name="r")) for run in played.runs]
    assert embedded_models(runs) == []


def test_every_report_says_so(played: ExecutionResult) -> None:
    execution = replace(played, runs=tuple(said_by(run, DEFAULT) for run in played.runs))
    out = io.StringIO()
    print_execution(execution, console=Console(file=out, width=1000))
    for text in (out.getvalue(), render_markdown(execution), render_html(execution)):
        words = text.replace("\\", "")
        assert PLAYED in words
        assert "sometimes strays from its part" in words
    (told,) = index_of(execution)["embedded_models"]
    assert told.startswith(PLAYED)
    assert "embedded_models" not in index_of(played)
    plain = io.StringIO()
    print_execution(played, console=Console(file=plain, width=1000))
    assert "embedded" not in plain.getvalue()


def test_an_embedded_judge_is_told_with_its_accuracy() -> None:
    from duologue.journal.events import JudgeDecided
    from duologue.vocabulary import Verdict

    class Run:
        recording = None
        messages = ()
        judgements = (
            JudgeDecided(judge="j", turn=0, kind="final", verdict=Verdict.PASS, reasoning=described(DEFAULT)),
        )

    run: Any = Run()
    assert embedded_models([run]) == [described(DEFAULT)]
