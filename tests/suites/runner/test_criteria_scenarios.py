"""Scenarios that begin with messages, end on a success or failure criterion or after so many messages, in a suite."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from http_agents import http_agents

from duologue import AgentAdapter, AgentInput
from duologue.cli.app import invoke
from duologue.errors import SuiteError
from duologue.runs.outcome import finished_run
from duologue.suites import (
    Agent,
    CheckSpec,
    Engine,
    Judge,
    Persona,
    Prompt,
    RunResult,
    Scenario,
    SeedMessage,
    Simulator,
    Suite,
)
from duologue.suites.manifests.loader import validate
from duologue.suites.runner.definition import Definitions, RunOptions
from duologue.testing import ScriptedModel
from duologue.vocabulary import Termination, Verdict

HELLO = SeedMessage(role="user", content="My kettle leaks, I want {{thing}}.")
GREETED = (SeedMessage(role="assistant", content="Hello!"), HELLO)
REFUND: dict[str, Any] = {"success_criteria": "A refund is promised", "failure_criteria": "The agent is rude"}


class Clerk(AgentAdapter):
    """Answers with what it was given last, and keeps all of it."""

    given: list[list[Any]] = []  # noqa: RUF012 - of a test

    async def call(self, input: AgentInput) -> str:
        self.given.append(list(input.messages))
        return f"you said: {input.messages[-1].get('content')}"


def evaluation(success: bool | None = None, failure: bool | None = None) -> str:
    found = {
        name: {"reason": "r", "evidence": ["m1"] if met else [], "met": met}
        for name, met in (("success", success), ("failure", failure))
        if met is not None
    }
    return json.dumps({**found, "confidence": 0.8, "reasoning": "in short"})


async def played(scenario: Scenario, answers: Sequence[str] = (), lines: int = 9, **fields: Any) -> RunResult:
    Clerk.given = []
    line = json.dumps({"message": "And now?", "done": False, "reason": ""})
    models = {"law": ScriptedModel(list(answers)), "people": ScriptedModel([line] * lines)}
    suite = Suite(
        name="made",
        scenarios=(scenario,),
        judges=(Judge(name="referee", model="law"),),
        simulators=(Simulator(name="people", model="people"),),
        **fields,
    )
    async with Engine.from_parts(suite, agents={"clerk": Clerk}, models=models) as engine:
        [run] = (await engine.execute()).runs
    return run


def contents(run: RunResult) -> list[Any]:
    return [(item.message["role"], item.message.get("content")) for item in run.messages]


async def test_the_agent_answers_the_last_message_and_success_ends_the_conversation() -> None:
    scenario = Scenario(name="s", description="d", messages=GREETED, variables={"thing": "money"}, **REFUND)
    run = await played(scenario, [evaluation(True)])
    said = ("user", "My kettle leaks, I want money.")
    answer = ("assistant", "you said: My kettle leaks, I want money.")
    assert contents(run) == [("assistant", "Hello!"), said, answer]
    assert (run.verdict, run.termination) == (Verdict.PASS, Termination.JUDGED)
    finished = finished_run(run, instruction="play Pat")
    assert (finished.outcome, finished.score, finished.reason) == ("pass", 0.8, "in short")
    assert finished.messages[0] == {"role": "system", "content": "play Pat"}
    assert len(finished.messages) == 4
    assert finished.output is not None
    assert finished.output["message_count"] == 3
    assert finished.output["evaluation"] == {
        "success_met": True,
        "failure_met": False,
        "confidence": 0.8,
        "reasoning": "in short",
    }
    assert "max_messages_reached" not in finished.output
    assert finished.details["token_usage"].keys() == {"input", "output"}
    assert finished.details["latency_ms"] >= 0


@pytest.mark.parametrize(
    ("options", "answers", "verdict", "messages", "begins"),
    [
        ({}, [evaluation(False), evaluation(True)], "pass", 4, "in short"),
        ({"max_messages": 4}, [evaluation(False), evaluation(False, False)], "fail", 4, "Max messages (4) reached"),
        ({"max_messages": 4}, [evaluation(False), evaluation(True, False)], "pass", 4, "in short"),
        ({"max_messages": 4}, [evaluation(False), evaluation(False, True)], "fail", 4, "Failure criteria was"),
        ({"max_messages": 4}, [evaluation(False), evaluation(True, True)], "fail", 4, "Failure criteria was"),
        ({"failure_criteria_mode": "every_turn"}, [evaluation(False, True)], "fail", 2, "Failure criteria was"),
        ({"max_messages": 1}, [evaluation(True, False)], "pass", 2, "in short"),
        ({"max_turns": 1}, [evaluation(False, False)], "fail", 2, "The conversation ended"),
    ],
)
async def test_when_a_conversation_ends_and_what_decides(
    options: dict[str, Any], answers: list[str], verdict: str, messages: int, begins: str
) -> None:
    run = await played(Scenario(name="s", description="d", **REFUND, **options), answers)
    assert (run.outcome, len(run.messages)) == (verdict, messages)
    assert (run.reasoning or "").startswith(begins)
    reached = finished_run(run).output or {}
    assert reached.get("max_messages_reached", False) is (messages >= options.get("max_messages", 10))


async def test_ten_messages_are_the_default() -> None:
    run = await played(Scenario(name="s", description="d", success_criteria="x"), [evaluation(False)] * 5)
    assert (run.outcome, len(run.messages)) == ("fail", 10)


async def test_a_limit_without_criteria_leaves_the_verdict_to_checks() -> None:
    check = CheckSpec(type="contains_any", params={"patterns": ["you said"]})
    scenario = Scenario(name="s", description="d", max_messages=4, checks=(check,))
    run = await played(scenario)
    assert (run.verdict, len(run.messages)) == (Verdict.PASS, 4)
    undecided = await played(Scenario(name="s", description="d", max_messages=4))
    assert (undecided.verdict, len(undecided.messages)) == (Verdict.UNDECIDED, 4)


async def test_a_limit_with_statements_lets_the_judge_decide_at_the_end() -> None:
    decision = {"id": "c1", "reason": "r", "evidence": ["m2"], "decision": "true"}
    waits = json.dumps({"criteria": [{**decision, "evidence": [], "decision": "undecided"}], "verdict": "continue"})
    decided = json.dumps({"criteria": [decision], "verdict": "pass", "reasoning": "r"})
    scenario = Scenario(name="s", description="d", max_messages=2, criteria=("it answers",))
    run = await played(scenario, [decided, decided, waits])
    assert (run.verdict, len(run.messages)) == (Verdict.PASS, 2)


async def test_a_conversation_that_ends_with_the_first_answer_needs_no_simulated_user() -> None:
    scenario = Scenario(name="s", messages=GREETED, max_messages=3)
    assert not scenario.simulates_a_user
    Clerk.given = []
    async with Engine.from_parts(Suite(name="made", scenarios=(scenario,)), agents={"clerk": Clerk}) as engine:
        [run] = (await engine.execute()).runs
    assert len(run.messages) == 3
    assert run.verdict is Verdict.UNDECIDED
    assert finished_run(run).reason


async def test_turns_come_after_the_messages_and_the_criteria_decide_at_the_end() -> None:
    turns = ({"role": "user", "content": "Now."}, {"role": "user", "content": "Thanks."})
    scenario = Scenario.model_validate(
        {"name": "s", "messages": [item.written() for item in GREETED], "turns": turns, **REFUND}
    )
    run = await played(scenario, [evaluation(True, False)])
    said = [content for role, content in contents(run) if role == "user"]
    assert said == ["My kettle leaks, I want {{thing}}.", "Now.", "Thanks."]
    assert (run.verdict, len(run.messages)) == (Verdict.PASS, 7)
    assert finished_run(run).score == 0.8


async def test_tool_calls_that_were_made_before_reach_the_agent() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = (
        SeedMessage(role="user", content="Where is it?"),
        SeedMessage(role="assistant", tool_calls=(call,)),
        SeedMessage(role="tool", tool_call_id="c1", content="in the post"),
        SeedMessage(role="assistant", content="In the post."),
        SeedMessage(role="user", content="Sure?"),
    )
    scenario = Scenario(name="s", messages=messages, max_messages=5)
    run = await played(scenario)
    first = Clerk.given[0]
    assert [item["role"] for item in first] == ["user", "assistant", "tool", "assistant", "user"]
    assert first[1]["tool_calls"] == [call]
    assert first[1]["content"] is None
    assert len(run.messages) == 6


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"criteria": ["a"], "success_criteria": "b"}, "only one of criteria and success_criteria"),
        ({"failure_criteria_mode": "every_turn", "success_criteria": "b"}, "failure_criteria_mode with failure"),
        ({"turns": [{"content": "x"}], "max_messages": 3}, "max_messages in scenarios without turns only"),
        ({"messages": [{"role": "system", "content": "x"}]}, "role"),
        ({"messages": [{"role": "user"}]}, "'content', 'parts' or 'tool_calls'"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "tool_call_id with 'role: tool'"),
        ({"messages": [{"role": "user", "content": "x", "tool_calls": [{}]}]}, "tool_calls with 'role: assistant'"),
        ({"success_criteria": ""}, "success_criteria"),
        ({"max_messages": 0, "success_criteria": "b"}, "max_messages"),
        ({"failure_criteria": "b", "failure_criteria_mode": "never"}, "failure_criteria_mode"),
    ],
)
def test_what_a_scenario_cannot_be(tmp_path: Path, fields: dict[str, Any], told: str) -> None:
    report = validate(written(tmp_path, {"name": "s", "description": "d", **fields}))
    assert told in "\n".join(str(problem) for problem in report.problems)


def written(folder: Path, scenario: dict[str, Any], **spec: Any) -> Path:
    head = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "s"}}
    agents = [{"name": "bot", "http": {"url": "http://127.0.0.1:9"}}]
    path = folder / "suite.yaml"
    path.write_text(json.dumps({**head, "spec": {"agents": agents, "scenarios": [scenario], **spec}}))
    return path


def test_what_judges_cannot_do_for_these_criteria_is_said(tmp_path: Path) -> None:
    judges = [{"name": "j", "model": "openai/gpt-5-mini", "votes": 3}]
    scenario = {"name": "s", "description": "d", "success_criteria": "b", "judge": "j"}
    report = validate(written(tmp_path, scenario, judges=judges))
    assert "votes" in "\n".join(str(problem) for problem in report.problems)


def test_a_file_says_the_same_and_runs(tmp_path: Path) -> None:
    with http_agents() as server:
        messages = [{"role": "user", "content": "My booking code is KX47."}, {"role": "assistant", "content": "Good."}]
        messages.append({"role": "user", "content": "What is my booking code?"})
        check = {"type": "contains", "params": {"patterns": ["KX47"]}}
        scenario = {"name": "s", "messages": messages, "max_messages": 4, "checks": [check]}
        agents = [{"name": "bot", "http": {"url": server.url}}]
        out = tmp_path / "results"
        arguments = ["run", str(written(tmp_path, scenario, agents=agents)), "--out", str(out), "--quiet"]
        assert invoke(arguments) == 0
        assert [len(asked.body["messages"]) for asked in server.asked] == [3]


async def test_headers_of_the_persona_go_over_those_of_the_agent() -> None:
    with http_agents() as server:
        http = {"url": server.url, "headers": {"Authorization": "Bearer shop", "X-Shop": "one"}}
        agent = Agent.model_validate({"name": "bot", "http": http})
        personas = (
            Persona(name="pat", lines=("Hello?",), headers={"authorization": "Bearer pat"}),
            Persona(name="kim", lines=("Hello?",)),
        )
        scenario = Scenario(name="s", personas=("pat", "kim"), max_turns=1)
        suite = Suite(name="made", agents=(agent,), personas=personas, scenarios=(scenario,))
        async with Engine(suite=suite) as engine:
            runs = (await engine.execute()).runs
    sent = {asked.headers.get("authorization", asked.headers.get("Authorization")) for asked in server.asked}
    assert sent == {"Bearer pat", "Bearer shop"}
    assert [run.status for run in runs] == ["completed", "completed"]
    assert all("Bearer pat" not in str(run) for run in runs)


def test_headers_and_criteria_are_part_of_a_definition() -> None:
    agent = Agent.model_validate({"name": "bot", "http": {"url": "http://127.0.0.1:9"}})

    def digests(headers: dict[str, str], **fields: Any) -> dict[str, str]:
        persona = Persona(name="pat", lines=("Hello?",), headers=headers)
        options: dict[str, Any] = {"success_criteria": "x", **fields}
        made = Scenario(name="s", personas=("pat",), **options)
        suite = Suite(name="made", agents=(agent,), personas=(persona,), scenarios=(made,))
        [case] = Engine(suite=suite).generate_plan().cases
        return dict(Definitions(suite, RunOptions()).of(case))

    first = digests({})
    changes = {
        "agent": digests({"A": "b"}),
        "judge": digests({}, success_criteria="y"),
        "settings": digests({}, max_messages=3),
        "scenario": digests({}, messages=(HELLO,)),
    }
    for part, other in changes.items():
        assert {name for name in first if first[name] != other[name]} == {part}


def test_an_unset_variable_in_a_header_of_a_persona_is_told_before_the_run(tmp_path: Path) -> None:
    personas = [{"name": "pat", "lines": ["Hello?"], "headers": {"X-User": "${NO_SUCH_VARIABLE}"}}]
    scenario = {"name": "s", "personas": ["pat"]}
    report = validate(written(tmp_path, scenario, personas=personas))
    assert "NO_SUCH_VARIABLE is not set" in "\n".join(str(problem) for problem in report.problems)


def test_messages_with_a_file_are_told_if_it_is_not_there(tmp_path: Path) -> None:
    part = {"type": "image", "media": {"mime_type": "image/png", "file_path": "no.png"}}
    scenario = {"name": "s", "messages": [{"role": "user", "parts": [part]}], "max_messages": 2}
    with pytest.raises(SuiteError, match=r"no\.png"):
        Engine.from_file(written(tmp_path, scenario))


@pytest.mark.parametrize(
    ("judge", "outcome", "messages"),
    [
        ("pass", "pass", 2),
        ("fail", "fail", 4),
        ("undecided", "fail", 4),
        ({"criteria": {"A refund": "pass"}}, "pass", 2),
        ({"criteria": {"A refund": "fail", "The agent is rude": "fail"}}, "fail", 4),
        ({"criteria": {"A refund": "fail", "The agent is rude": "pass"}}, "fail", 4),
        ({"criteria": {"A refund": "pass", "Does not happen: The agent is rude": "pass"}}, "pass", 2),
        ({"verdict": "pass", "score": 0.7}, "pass", 2),
    ],
)
async def test_mock_mode_says_what_the_judge_says(tmp_path: Path, judge: Any, outcome: str, messages: int) -> None:
    file = {"judges": {"referee": judge}, "selfplay": {"pat": {"default": "And now?"}}, "defaultResponse": "Well."}
    (tmp_path / "mocks.yaml").write_text(json.dumps(file))
    suite = Suite(
        name="made",
        agents=(Agent(name="bot", model="openai/gpt-5-mini", prompt="help"),),
        prompts=(Prompt(name="p", task="help", system_template="Be kind."),),
        personas=(Persona(name="pat"),),
        judges=(Judge(name="referee", model="openai/gpt-5-mini"),),
        simulators=(Simulator(name="people", model="openai/gpt-5-mini"),),
        scenarios=(Scenario(name="s", description="d", personas=("pat",), max_messages=4, **REFUND),),
    )
    async with Engine(suite=suite) as engine:
        engine.enable_mock_mode(tmp_path / "mocks.yaml")
        [run] = (await engine.execute()).runs
    assert (run.outcome, len(run.messages), run.error) == (outcome, messages, None)
    assert finished_run(run).score == (0.7 if isinstance(judge, dict) and "score" in judge else 1.0)
