"""Test cases that a model writes for a project: saved together or not at all, and edited against what is there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai_server import OpenAIServer, openai_server, text

from duologue.errors import ConfigurationError, ModelAnswerError, NotFoundError, StoreConflictError
from duologue.runs.service import RunService
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database

pytestmark = pytest.mark.parametrize("where", ["sqlite"], indirect=True)


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with openai_server() as running:
        yield running


@pytest.fixture
async def service(database: Database, server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> RunService:
    monkeypatch.setenv("WRITER_KEY", "k")
    project = await SavedDefinitions(database).get_project("p")
    assert project is not None
    service = RunService(database, project)
    model = {"name": "writer", "provider": "openai", "model": "gpt-x", "base_url": server.url}
    model["credential"] = {"credential_env": "WRITER_KEY"}  # type: ignore[assignment]
    await service.update_project(settings={"evaluation_model": "writer", "models": [model]})
    return service


async def shop(service: RunService) -> str:
    draft = {
        "agent": {"name": "shop", "model": "writer"},
        "prompts": [{"name": "p", "system_template": "You sell kettles."}],
        "tools": [{"name": "refund", "description": "Gives money back."}],
    }
    return (await service.create_agent(draft)).id


def case(name: str, **fields: Any) -> dict[str, Any]:
    persona = {"name": "Pat", "description": "Polite."}
    return {"name": name, "situation": "It leaks.", "goal": "A new one.", "persona": persona, **fields}


def answer(*cases: dict[str, Any]) -> Any:
    return text(json.dumps({"cases": [{"criteria": ["It helps"], **item} for item in cases]}))


async def test_cases_are_written_from_the_agent_and_saved(service: RunService, server: OpenAIServer) -> None:
    await service.create_persona(name="Pat", description="Somebody else.")
    await service.create_scenario(name="leak", description="d", success_criteria="x")
    server.script(answer(case("leak", expected_tools=["refund"]), case("late")))
    made = await service.generate_test_cases(await shop(service), count=2)
    assert [item.name for item in made.saved] == ["leak 2", "late"]
    assert [item.name for item in made.saved_personas] == ["Pat 2"]
    assert made.saved[0].persona_ids == (made.saved_personas[0].id,)
    assert {item.name for item in await service.list_scenarios()} == {"leak", "leak 2", "late"}
    told = json.dumps(server.requests[0]["messages"])
    assert "You sell kettles." in told
    assert "Gives money back." in told
    assert server.requests[0]["model"] == "gpt-x"


async def test_cases_that_are_not_saved_leave_nothing(service: RunService, server: OpenAIServer) -> None:
    server.script(answer(case("one")))
    made = await service.generate_test_cases(await shop(service), count=1, save=False)
    assert [item.name for item in made.scenarios] == ["one"]
    assert await service.list_scenarios() == []
    assert await service.list_personas() == []


async def test_a_name_that_was_taken_meanwhile_gets_a_number(service: RunService, server: OpenAIServer) -> None:
    agent = await shop(service)
    made = await _while_somebody_creates(service, server, agent)
    assert [item.name for item in made.saved] == ["one 2"]


async def _while_somebody_creates(service: RunService, server: OpenAIServer, agent: str) -> Any:
    import asyncio

    server.hold = asyncio.Event()
    server.script(answer(case("one")))
    writing = asyncio.create_task(service.generate_test_cases(agent, count=1))
    while not server.requests:
        await asyncio.sleep(0)
    await service.create_scenario(name="one", description="d", success_criteria="x")
    server.hold.set()
    return await writing


async def test_conversations_of_runs_show_what_users_ask(service: RunService, server: OpenAIServer) -> None:
    agent = await shop(service)
    scenario = await service.create_scenario(name="s", description="d", turns=[{"content": "hi"}], criteria=["x"])
    eval_ = await service.create_eval(name="e", scenario_ids=[scenario.id], agent_id=agent)
    await service.publish_agent(agent)
    [run] = await service.create_runs(eval_.id)
    said = [
        {"role": "system", "content": "secret instruction of the user"},
        {"role": "user", "content": "Where is order 77?"},
        {"role": "assistant", "content": "In the post."},
    ]
    await service.update_run(run.id, status="completed", messages=said, result={"success": True})
    server.script(answer(case("order")), answer(case("again")))
    await service.generate_test_cases(agent, count=1, run_ids=[run.id])
    assert "order 77" in json.dumps(server.requests[0])
    assert "secret instruction" not in json.dumps(server.requests[0])
    made = await service.create_test_case_from_conversation(run.id, agent_id=agent)
    assert made.saved[0].spec.annotations == {"duologue/source": f"run {run.id}"}
    with pytest.raises(NotFoundError, match="Run"):
        await service.generate_test_cases(agent, count=1, run_ids=["gone"])


async def test_an_edit_changes_the_scenario_and_adds_its_user(service: RunService, server: OpenAIServer) -> None:
    await service.create_persona(name="Pat", description="Polite.")
    scenario = await service.create_scenario(name="s", description="d", personas=["Pat"], criteria=["x"])
    other = await service.create_scenario(name="o", description="d", personas=["Pat"], criteria=["x"])
    server.script(text(json.dumps({"changes": {"persona": {"name": "Pat", "description": "Rude."}, "goal": "Cash"}})))
    made, different = await service.edit_test_case(scenario.id, "ruder")
    assert different == ("goal", "personas")
    assert made.saved[0].spec.personas == ("Pat 2",)
    assert made.saved_personas[0].spec.description == "Rude."
    kept = await service.get_scenario(other.id)
    assert kept is not None
    assert kept.spec.personas == ("Pat",)


async def test_an_edit_that_no_suite_would_take_is_sent_back(service: RunService, server: OpenAIServer) -> None:
    scenario = await service.create_scenario(name="s", description="d", criteria=["x"])
    wrong = text(json.dumps({"changes": {"first_message": "Hi {{nobody}}"}}))
    server.script(wrong, text(json.dumps({"changes": {"first_message": "Hi"}})))
    made, _ = await service.edit_test_case(scenario.id, "greet")
    assert made.saved[0].spec.messages[0].content == "Hi"
    assert "nobody" in json.dumps(server.requests[1])


async def test_an_edit_does_not_undo_another_one(service: RunService, server: OpenAIServer) -> None:
    import asyncio

    scenario = await service.create_scenario(name="s", description="d", criteria=["x"])
    server.hold = asyncio.Event()
    server.script(text(json.dumps({"changes": {"goal": "Cash"}})))
    editing = asyncio.create_task(service.edit_test_case(scenario.id, "cash"))
    while not server.requests:
        await asyncio.sleep(0)
    await service.update_scenario(scenario.id, goal="A voucher")
    server.hold.set()
    with pytest.raises(StoreConflictError, match="was changed or deleted"):
        await editing
    found = await service.get_scenario(scenario.id)
    assert found is not None
    assert found.spec.goal == "A voucher"


async def test_what_is_missing_is_named(service: RunService, server: OpenAIServer, database: Database) -> None:
    with pytest.raises(NotFoundError, match="Agent"):
        await service.generate_test_cases("gone")
    with pytest.raises(NotFoundError, match="Scenario"):
        await service.edit_test_case("gone", "x")
    with pytest.raises(ConfigurationError, match="nothing is known"):
        await service.generate_test_cases()
    await service.update_project(settings={})
    with pytest.raises(ConfigurationError, match="evaluation_model of the project"):
        await service.generate_test_cases(instructions="refunds")
    other = await SavedDefinitions(database).get_project("q")
    assert other is not None
    scenario = await service.create_scenario(name="s", description="d", criteria=["x"])
    with pytest.raises(NotFoundError, match="Scenario"):
        await RunService(database, other).edit_test_case(scenario.id, "x", model="openai/x")
    assert server.requests == []


async def test_answers_of_no_use_save_nothing(service: RunService, server: OpenAIServer) -> None:
    server.default = text("I would rather not.")
    with pytest.raises(ModelAnswerError):
        await service.generate_test_cases(await shop(service))
    assert await service.list_personas() == []


RUBRIC = {str(step): f"What {step} looks like." for step in range(6)}


def metric(**fields: Any) -> Any:
    made = {"name": "asks_first", "description": "Asks before it acts.", "tier": "process", "rubric": RUBRIC}
    return text(json.dumps({**made, "failure_codes": [{"name": "acted", "when": "it acted at once"}], **fields}))


async def test_a_metric_is_drafted_and_saved_as_a_draft(service: RunService, server: OpenAIServer) -> None:
    server.script(metric(name="tool_routing"), metric())
    made = await service.draft_metric("does it ask before it acts", agent_id=await shop(service))
    assert (made.name, made.draft, made.rubric) == ("asks_first", True, RUBRIC)
    assert made.failure_codes == {"acted": "it acted at once"}
    assert [item.name for item in await service.list_metrics()] == ["asks_first"]
    assert "is taken" in json.dumps(server.requests[1])
    assert "You sell kettles." in json.dumps(server.requests[0])


@pytest.mark.parametrize("wrong", [{"rubric": {"0": "bad", "5": "good"}}, {"name": "Asks First"}, {"rubric": None}])
async def test_a_metric_that_cannot_be_is_an_error(
    service: RunService, server: OpenAIServer, wrong: dict[str, Any]
) -> None:
    server.default = metric(**wrong)
    with pytest.raises(ModelAnswerError):
        await service.draft_metric("does it ask")
    assert await service.list_metrics() == []
    assert len(server.requests) == 2


async def test_a_binary_metric(service: RunService, server: OpenAIServer) -> None:
    server.script(metric(rubric={"0": "no", "5": "yes"}, not_applicable=None))
    made = await service.draft_metric("does it ask", score_type="binary", save=False)
    assert made.score_type == "binary"
    assert await service.list_metrics() == []
    for wrong in ({"about": " "}, {"about": "x", "score_type": "stars"}):
        with pytest.raises(ConfigurationError):
            await service.draft_metric(**wrong)
