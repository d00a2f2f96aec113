"""Scenarios run against agents that must not pass, oracles that must, and broken copies of the agent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from duologue.models.scripted import ScriptedModel
from duologue.specs.suite import Suite
from duologue.suites.execution.engine import Engine
from duologue.suites.self_test.mutants import kill_rate, mutants_of
from duologue.suites.self_test.run import self_test

CALL = {"id": "c1", "type": "function", "function": {"name": "book", "arguments": "{}"}}
ORACLE = [
    "For how many?",
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "R-7"},
    "Booked: R-7.",
]


def contains(*patterns: str, **fields: Any) -> dict[str, Any]:
    return {"type": "contains_any", "params": {"patterns": list(patterns)}, **fields}


def scenario(name: str, *checks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    turns = [{"content": "A table on Friday"}, {"content": "For four"}]
    return {"name": name, "turns": turns, "checks": list(checks), **fields}


def engine(*scenarios: dict[str, Any], agent: Any = None, **spec: Any) -> Engine:
    agents = [] if agent else [{"name": "bot", "target": "missing.py:bot"}]
    held = {"name": "s", "scenarios": list(scenarios), "agents": agents, **spec}
    suite = Suite.model_validate(held).within(Path())
    return Engine.from_parts(suite, agents={"bot": agent}) if agent else Engine(suite=suite)


async def found(*scenarios: dict[str, Any], **spec: Any) -> set[tuple[str, str]]:
    async with engine(*scenarios, **spec) as made:
        return {(item.scenario, item.kind) for item in (await self_test(made)).findings}


BOOKED = {"type": "tools_called", "params": {"tools": ["book"]}}
EXCLUDES = {"type": "content_excludes", "params": {"patterns": ["sorry, no"]}}


async def test_agents_that_do_nothing_must_not_pass() -> None:
    assert await found(
        scenario("only refrains", EXCLUDES),
        scenario("only consents", contains("confirmed", "of course")),
        scenario("only repeats", contains("Friday")),
        scenario("good", BOOKED, contains("R-")),
        scenario("also good", contains("For how many"), EXCLUDES),
    ) == {
        ("only refrains", "passes-when-silent"),
        ("only refrains", "passes-when-agreeing"),
        ("only refrains", "passes-when-echoing"),
        ("only consents", "passes-when-agreeing"),
        ("only repeats", "passes-when-echoing"),
    }


async def test_an_oracle_must_pass() -> None:
    checks = (BOOKED, contains("R-7"))
    assert await found(scenario("good", *checks, oracle=ORACLE)) == set()
    assert await found(scenario("too strict", *checks, contains("never said"), oracle=ORACLE)) == {
        ("too strict", "oracle-fails")
    }
    assert await found(scenario("too short", *checks, oracle=ORACLE[:1])) == {("too short", "oracle-fails")}


async def test_the_agents_of_the_suite_are_not_needed_and_come_back() -> None:
    async with engine(scenario("good", BOOKED, oracle=ORACLE)) as made:
        before = made.parts, made.adapt
        tested = await self_test(made)
        assert (tested.findings, tested.left_out, tested.played) == ((), (), 4)
        assert (made.parts, made.adapt) == before


async def test_what_cannot_be_tested_is_named() -> None:
    broken = {"type": "missing_module:check"}
    async with engine(scenario("broken", broken), scenario("good", BOOKED)) as made:
        tested = await self_test(made, ["broken"])
        assert [name for name, _ in tested.left_out] == ["broken"]


async def test_a_judge_that_answers_from_a_file_tests_nothing() -> None:
    judged = {**scenario("judged"), "criteria": ["The agent books a table."]}
    judges = [{"name": "judge", "model": "mock"}]
    async with engine(judged, scenario("good", BOOKED), judges=judges) as made:
        tested = await self_test(made)
    assert [name for name, _ in tested.left_out] == ["judged"]
    assert tested.findings == ()


async def test_a_user_with_an_agenda_talks_to_the_controls() -> None:
    guest = {"name": "guest", "agenda": {"goal": "book a table", "slots": {"time": "8 pm"}}}
    talk = {"name": "talk", "personas": ["guest"], "checks": [EXCLUDES]}
    assert ("talk", "passes-when-silent") in await found(talk, personas=[guest])


def clerk(input: Any) -> Any:
    said = " ".join(item["content"] for item in input.messages if item["role"] == "user")
    if "four" not in said:
        return "We are open on Friday. For how many?"
    return [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": "R-7"},
        {"role": "assistant", "content": "Booked for 4. Your number is R-7."},
    ]


@pytest.mark.parametrize(
    ("checks", "noticed"),
    [
        ((contains("R-7"),), {"numbers are changed", "the last sentence is left out", "it says that it cannot help"}),
        ((BOOKED,), {"tool calls are left out"}),
        ((EXCLUDES,), set()),
    ],
)
async def test_faults_in_answers_are_noticed_or_survive(checks: tuple[Any, ...], noticed: set[str]) -> None:
    async with engine(scenario("one", *checks), agent=clerk) as made:
        rate = await kill_rate(made)
    killed = {item.mutant.text for item in rate.results if item.killed_by}
    assert killed == noticed
    assert (rate.killed.successes, rate.killed.total) == (len(noticed), 6)
    assert {item.mutant.text for item in rate.survivors} == {item.mutant.text for item in rate.results} - noticed


async def test_a_fault_that_changes_nothing_is_not_counted() -> None:
    async with engine(scenario("one", contains("Hello")), agent=lambda input: "Hello") as made:
        rate = await kill_rate(made)
    assert {item.mutant.text: item.applied for item in rate.results}["numbers are changed"] is False
    assert rate.killed.total < 6


async def test_without_a_scenario_that_passes_nothing_can_be_noticed() -> None:
    async with engine(scenario("one", contains("zzz")), agent=clerk) as made:
        rate = await kill_rate(made)
    assert (rate.passing, rate.results, rate.killed.rate) == ((("bot", 0),), (), None)


PROMPT = "You work for a shop.\n\nReturns are possible within 30 days.\n- Ask for the order number.\nOK"
NATIVE: dict[str, Any] = {
    "agents": [{"name": "bot", "model": "gpt", "prompt": "shop"}],
    "models": [{"name": "gpt", "provider": "openai", "model": "x"}],
    "prompts": [{"name": "shop", "system_template": PROMPT, "allowed_tools": ["find"]}],
    "tools": [{"name": "find", "description": "Finds."}, {"name": "unused", "description": "No."}],
    "scenarios": [scenario("one", contains("x"))],
}


def test_prompts_lose_lines_and_values_and_tools_break() -> None:
    suite = Suite.model_validate({"name": "s", **NATIVE})
    mutants = mutants_of(suite, "bot")
    assert [item.kind for item in mutants] == ["prompt line", "prompt line", "prompt value", "prompt line", "tool"]
    templates = [item.suite.prompts[0].system_template for item in mutants if item.suite]
    assert "Returns are possible" not in templates[1]
    assert "30 days" not in templates[2]
    assert "Returns are possible within" in templates[2]
    assert mutants[-1].suite is not None
    assert mutants[-1].suite.tools[0].mock_result == {"error": "the service is not available"}
    assert [item.text for item in mutants_of(suite, "bot")] == [item.text for item in mutants]
    assert {item.kind for item in mutants_of(suite, "bot", by_answers=True)} >= {"answer value", "tool calls"}


async def test_a_prompt_whose_rules_matter_is_covered() -> None:
    def answer(request: Any) -> str:
        told = str(request.messages[0].get("content"))
        rules = [line for line in told.split("\n") if "days" in line]
        return rules[0] if rules else "I do not know."

    suite = Suite.model_validate({"name": "s", **NATIVE, "scenarios": [scenario("one", contains("within 30 days"))]})
    async with Engine.from_parts(suite, models={"gpt": ScriptedModel([answer], repeat=True)}) as made:
        rate = await kill_rate(made)
    killed = [item.mutant.text for item in rate.results if item.killed_by]
    assert len(killed) == 2
    assert all("Returns are possible" in text for text in killed)
    assert (rate.killed.successes, rate.killed.total) == (2, 5)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
