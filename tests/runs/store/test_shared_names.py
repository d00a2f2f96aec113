"""An agent, a judge and a check of the same name: what each has spent is put down to the right one everywhere."""

from __future__ import annotations

import json

import pytest

import duologue
from duologue import testing
from duologue.conversation.adapter import AgentAdapter, AttributedMessage
from duologue.conversation.setup import CheckOutcome
from duologue.journal.events import Usage
from duologue.journal.jsonl import read_journal
from duologue.messages import assistant_message
from duologue.models.ask import ask
from duologue.models.base import ModelAnswer, ModelRequest
from duologue.reports.markdown import render_markdown
from duologue.runs.store.encoding import index_of
from duologue.runs.store.folder import write_execution
from duologue.runs.store.journals import kept_runs
from duologue.runs.store.reader import read_execution
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.replay import read_recordings, replay
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.from_journal import run_result
from duologue.vocabulary import AgentRole, CheckStatus, Scope

PRICES = {"agent-model": 0.01, "judge-model": 0.2, "check-model": 3.0}


class Priced:
    """A model whose every answer has the same price."""

    def __init__(self, name):
        self.name = name

    async def answer(self, request):
        return ModelAnswer(
            message=assistant_message(f"said by {self.name}"),
            model=self.name,
            usage=Usage(input_tokens=10, output_tokens=2),
            cost=PRICES[self.name],
        )


async def put(model, scope):
    return await ask(Priced(model), ModelRequest(messages=({"role": "user", "content": "?"},)), scope)


class Agent(AgentAdapter):
    """Writes one message word for word, and then one of its own."""

    @property
    def name(self):
        return "strict"

    async def call(self, input):
        answer = await put("agent-model", input.scope)
        await put("agent-model", input.scope)
        return [AttributedMessage(message=answer.message, call=answer.call), assistant_message("in my own words")]


class Judge(testing.ScriptedJudge):
    @property
    def name(self):
        return "strict"

    async def call(self, input):
        await put("judge-model", input.scope)
        return await super().call(input)


class Check:
    name, kind, scope = "strict", "python", Scope.CONVERSATION

    async def evaluate(self, input):
        await put("check-model", input.scope)
        return CheckOutcome(status=CheckStatus.PASSED)


@pytest.fixture
async def journal(tmp_path):
    path = tmp_path / "strict.jsonl"
    agents = [testing.ScriptedUserAgent(["hi"]), Agent(), Judge([True])]
    script = [duologue.user(), duologue.agent(), duologue.judge()]
    await duologue.arun("s", "d", agents, script=script, checks=[Check()], record=path, verbose=False)
    return path


def spent(run):
    return {who: (part.calls, round(part.cost, 4), part.usage.total_tokens) for who, part in
            (("agent", run.agent), ("user", run.user), ("judge", run.judge))}  # fmt: skip


EXPECTED = {"agent": (2, 0.02, 24), "user": (0, 0.0, 0), "judge": (2, 3.2, 24)}


async def test_in_a_result(journal):
    file = read_journal(journal)
    run = run_result(TestCase(index=0, scenario="s"), file.entries, file.view)
    assert spent(run) == EXPECTED
    assert [(item.author, item.spent and item.spent.cost, item.model) for item in run.messages] == [
        ("ScriptedUserAgent", None, None),
        ("strict", 0.01, "agent-model"),
        ("strict", 0.01, "agent-model"),
    ]
    assert [spent(kept) for kept in kept_runs(journal)] == [EXPECTED]


async def test_in_a_folder_and_in_reports(journal, tmp_path):
    file = read_journal(journal)
    case = TestCase(index=0, scenario="s", agent="strict")
    run = run_result(case, file.entries, file.view)
    execution = ExecutionResult(
        id="e",
        suite="suite",
        path="suite.yaml",
        plan=Plan(suite="suite", cases=(case,), seed=1),
        runs=(run,),
        started_at=run.started_at,
        seconds=1.0,
    )
    write_execution(execution, tmp_path / "kept")
    assert read_execution(tmp_path / "kept") == execution
    index = json.loads(json.dumps(index_of(execution)))
    assert {who: part["cost"] for who, part in index["spent"].items()} == pytest.approx(
        {"agent": 0.02, "user": 0.0, "judge": 3.2, "total": 3.22}
    )
    assert "| strict | 1/1 | $0.0200 | $0.00 | $3.2000 | $3.2200 | 48 |" in render_markdown(execution)


async def test_in_a_replay(journal, tmp_path):
    [recording] = read_recordings(journal)
    assert [(item.author, item.cost, item.model) for item in recording.messages] == [
        ("ScriptedUserAgent", None, None),
        ("strict", 0.01, "agent-model"),
        ("strict", 0.01, "agent-model"),
    ]
    assert recording.cost == pytest.approx(0.02)
    assert [item.role for item in recording.participants] == [AgentRole.USER, AgentRole.AGENT]
    await replay(recording, checks=[Check()], judge=Judge([True]), record=tmp_path / "again.jsonl")
    file = read_journal(tmp_path / "again.jsonl")
    again = run_result(TestCase(index=0, scenario="s"), file.entries, file.view)
    assert spent(again) == EXPECTED
    assert [(item.author, item.spent and item.spent.cost) for item in again.messages][1:] == 2 * [("strict", 0.01)]
