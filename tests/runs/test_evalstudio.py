"""Projects of EvalStudio in both layouts become projects of a store, and run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from http_agents import HttpAgents, Reply, http_agents

from duologue.errors import ConfigurationError, StoreConflictError
from duologue.runs.evalstudio import import_evalstudio, is_evalstudio
from duologue.runs.processor import RunProcessor
from duologue.runs.service import RunService
from duologue.runs.store.database.engine import Database

TIMES = {"createdAt": "2026-01-02T03:04:05.678Z", "updatedAt": "2026-01-02T03:04:06.000Z"}
KEY = "sk-proj-4f9a8b7c6d5e4f3a2b1c"


@pytest.fixture
def agent() -> Iterator[HttpAgents]:
    with http_agents() as running:
        running.more["/chat"] = lambda asked: Reply({"message": {"content": "Of course."}})
        yield running


def one_project(url: str) -> dict[str, Any]:
    """The files of version 0.3.5."""
    provider = {"id": "l1", "name": "mine", "provider": "openai", "apiKey": KEY, **TIMES}
    pat = {"id": "p1", "name": "pat", "description": "Impatient.", "systemPrompt": "Swears a lot.", **TIMES}
    messages = [
        {"role": "system", "content": "The shop is closed."},
        {"role": "user", "content": [{"type": "text", "text": "My kettle leaks."}]},
    ]
    refund = {
        "id": "s1",
        "name": "refund",
        "instructions": "A customer wants money back.",
        "messages": messages,
        "maxMessages": 6,
        "successCriteria": "A refund is promised",
        "failureCriteria": "The agent is rude",
        "failureCriteriaMode": "every_turn",
        "personaIds": ["p1", "gone"],
        "evaluators": [{"type": "token-usage"}, {"type": "politeness", "config": {"min": 3}}],
        **TIMES,
    }
    bare = {"id": "s2", "name": "bare", "successCriteria": "It helps", "failureCriteria": "", **TIMES}
    bot = {
        "id": "c1",
        "name": "bot",
        "type": "http",
        "baseUrl": url,
        "headers": {"X-Api-Key": "abc123def456"},
        "config": {"method": "POST", "path": "/chat"},
        **TIMES,
    }
    old = {"id": "c2", "name": "old", "type": "http", "baseUrl": url, "config": {"method": "GET"}, **TIMES}
    evals = [
        {"id": "e1", "name": "nightly", "scenarioIds": ["s1", "gone"], "connectorId": "c1", "input": [], **TIMES},
        {"id": "e2", "name": "nightly", "scenarioIds": ["s2"], "connectorId": "c1", **TIMES},
        {"id": "e3", "name": "dangling", "scenarioIds": ["s1"], "connectorId": "gone", **TIMES},
    ]
    runs = [
        {
            **TIMES,
            "id": "r1",
            "evalId": "e1",
            "scenarioId": "s1",
            "personaId": "p1",
            "executionId": 7,
            "status": "completed",
            "startedAt": "2026-01-02T03:04:05.700Z",
            "completedAt": "2026-01-02T03:04:09.000Z",
            "messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "\0 hi"}],
            "result": {"success": True, "score": 0.95, "reason": "good"},
            "output": {"avgLatencyMs": 5, "evaluation": {"successMet": True}},
            "metadata": {"latencyMs": 1500, "tokenUsage": {"input": 50, "output": 30}},
        },
        {
            **TIMES,
            "createdAt": "2026-01-01T00:00:00Z",
            "id": "r0",
            "scenarioId": "s1",
            "connectorId": "c1",
            "status": "error",
            "error": "Connection timeout",
            "messages": [],
        },
        {
            **TIMES,
            "createdAt": "2026-01-03T00:00:00Z",
            "id": "r2",
            "evalId": "e1",
            "scenarioId": "s1",
            "personaId": "p1",
            "executionId": 8,
            "status": "running",
            "startedAt": "2026-01-02T03:04:05.700Z",
            "messages": [{"role": "user", "content": "half"}],
            "threadId": "t-1",
        },
        {
            **TIMES,
            "createdAt": "2026-01-04T00:00:00Z",
            "id": "r3",
            "evalId": "gone",
            "scenarioId": "gone",
            "status": "completed",
            "result": {"success": False},
            "messages": [],
        },
    ]
    return {
        "llm-providers": [provider],
        "personas": [pat],
        "scenarios": [refund, bare],
        "connectors": [bot, old],
        "evals": evals,
        "executions": [{"id": 7, "evalId": "e1", "createdAt": TIMES["createdAt"]}],
        "runs": runs,
    }


def write(folder: Path, config: dict[str, Any], data: dict[str, dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "evalstudio.config.json").write_text(json.dumps(config))
    for place, files in data.items():
        (folder / place).mkdir(parents=True)
        for name, records in files.items():
            (folder / place / f"{name}.json").write_text(json.dumps(records))
    return folder


def old_folder(tmp_path: Path, url: str = "http://127.0.0.1:9") -> Path:
    settings = {"evaluation": {"providerId": "l1", "model": "gpt-4o"}, "persona": {"providerId": "l1"}}
    config = {"version": 2, "name": "shop", "llmSettings": settings, "maxConcurrency": 4}
    return write(tmp_path / "shop", config, {"data": one_project(url)})


@pytest.fixture
async def database(where: str) -> Any:
    async with Database.open(where, create=True) as opened:
        yield opened


async def test_a_project_comes_in_whole(database: Database, tmp_path: Path) -> None:
    folder = old_folder(tmp_path)
    assert is_evalstudio(folder)
    assert not is_evalstudio(tmp_path)
    [done] = await import_evalstudio(database, folder)
    assert (done.personas, done.scenarios, done.connectors, done.evals, done.executions, done.runs) == (
        1,
        2,
        1,
        2,
        2,
        4,
    )
    service = RunService(database, done.project)
    assert [item.id for item in await service.list_executions()] == sorted(done.execution_ids, reverse=True)
    assert (done.project.name, done.project.max_concurrency) == ("shop", 4)
    settings = done.project.settings
    assert (settings.evaluation_model, settings.persona_model) == ("openai/gpt-4o", "openai/gpt-4o-mini")
    pat = await service.get_persona("p1")
    assert pat is not None
    assert pat.spec.description == "Impatient.\n\nSwears a lot."
    refund = await service.get_scenario("s1")
    assert refund is not None
    assert refund.spec.description == "A customer wants money back.\n\nThe shop is closed."
    assert [(item.role, item.content) for item in refund.spec.messages] == [("user", "My kettle leaks.")]
    assert (refund.spec.max_messages, refund.spec.failure_criteria_mode) == (6, "every_turn")
    assert (refund.persona_ids, refund.spec.personas) == (("p1",), ("pat",))
    assert "politeness" in refund.spec.annotations["evalstudio_evaluators"]
    bare = await service.get_scenario("s2")
    assert bare is not None
    assert (bare.spec.description, bare.spec.failure_criteria) == ("bare", None)
    bot = await service.get_connector("c1")
    assert bot is not None
    assert (bot.headers, bot.created_at) == ({"X-Api-Key": "***"}, 1767323045.678)
    assert [item.name for item in await service.list_evals()] == ["nightly", "nightly (2)"]
    told = "\n".join(done.notes)
    for words in ("OPENAI_API_KEY", "connector 'old' was left out", "eval 'dangling' was left out", "used twice"):
        assert words in told
    for words in ("personas were deleted", "politeness", "1 of its scenarios"):
        assert words in told
    assert KEY not in f"{done}"


async def test_runs_keep_their_results_and_their_order(database: Database, tmp_path: Path) -> None:
    [done] = await import_evalstudio(database, old_folder(tmp_path))
    service = RunService(database, done.project)
    runs = await service.list_runs()
    assert [(run.id, run.status, run.outcome) for run in runs] == [
        ("r0", "error", "error"),
        ("r1", "completed", "pass"),
        ("r2", "queued", None),
        ("r3", "completed", "fail"),
    ]
    failed, passed, waiting, _ = runs
    assert (failed.error, failed.connector_id, failed.execution_id) == ("Connection timeout", "c1", None)
    assert passed.result is not None
    assert (passed.result.success, passed.result.score, passed.result.reason) == (True, 0.95, "good")
    assert [message["role"] for message in passed.messages] == ["system", "user"]
    assert passed.output == {"avg_latency_ms": 5, "evaluation": {"success_met": True}}
    assert passed.metadata == {"latency_ms": 1500, "token_usage": {"input": 50, "output": 30}}
    assert passed.as_data()["started_at"] == "2026-01-02T03:04:05.700Z"
    assert (waiting.messages, waiting.started_at, waiting.thread_id) == ((), None, "t-1")
    executions = {item.id: item for item in await service.list_executions()}
    assert executions[passed.execution_id or 0].name == "evalstudio-7"
    assert executions[waiting.execution_id or 0].data == {"evalstudio_id": 8}
    assert [run.id for run in await service.list_runs_by_eval("e1")] == ["r2", "r1"]


async def test_what_was_imported_runs(database: Database, tmp_path: Path, agent: HttpAgents) -> None:
    folder = old_folder(tmp_path, agent.url)
    config = json.loads((folder / "evalstudio.config.json").read_text())
    (folder / "evalstudio.config.json").write_text(json.dumps({**config, "llmSettings": None}))
    [done] = await import_evalstudio(database, folder)
    service = RunService(database, done.project)
    await service.retry_run("r0")
    [new] = await service.create_runs("e1")
    await RunProcessor(database, max_concurrent=5).drain()
    for id_ in ("r0", "r2", new.id):
        run = await service.get_run(id_)
        assert run is not None
        assert (run.status, run.error) == ("completed", None)
        assert [message.get("content") for message in run.messages][1:] == ["My kettle leaks.", "Of course."]
    assert {asked.headers.get("x-api-key", asked.headers.get("X-Api-Key")) for asked in agent.asked} == {"abc123def456"}


async def test_a_workspace_has_several_projects(database: Database, tmp_path: Path) -> None:
    graph = {"id": "c9", "name": "graph", "type": "langgraph", "baseUrl": "http://h", "config": {"assistantId": "a"}}
    settings = {"provider": "anthropic", "apiKey": KEY, "models": {"evaluation": "claude-x"}}
    own = {"provider": "openai", "apiKey": KEY}
    entries = [{"id": "w1", "name": "one"}, {"id": "w2", "name": "two", "llmSettings": own, "maxConcurrency": 9}]
    config = {"version": 3, "name": "all", "llmSettings": settings, "maxConcurrency": 2, "projects": entries}
    folder = write(tmp_path / "all", config, {"projects/w1/data": {"connectors": [graph]}, "projects/w2/data": {}})
    with pytest.raises(ConfigurationError, match="it has: one, two"):
        await import_evalstudio(database, folder, project="three")
    [second] = await import_evalstudio(database, folder, project="two")
    assert (second.project.id, second.project.settings.evaluation_model) == ("w2", "openai/gpt-4o-mini")
    [first] = await import_evalstudio(database, folder, project="w1")
    assert (first.project.max_concurrency, first.project.settings.evaluation_model) == (2, "anthropic/claude-x")
    made = await RunService(database, first.project).get_connector("c9")
    assert made is not None
    http = made.agent().http
    assert http is not None
    assert (http.preset, http.model) == ("langgraph", "a")


async def test_nothing_comes_in_twice_or_by_half(database: Database, tmp_path: Path) -> None:
    folder = old_folder(tmp_path)
    await import_evalstudio(database, folder)
    with pytest.raises(StoreConflictError, match='Project with name "shop" already exists'):
        await import_evalstudio(database, folder)
    with pytest.raises(StoreConflictError, match=r"the persona p1 is in the store already"):
        await import_evalstudio(database, folder, project="another")


async def test_projects_of_one_name_and_runs_of_one_id(database: Database, tmp_path: Path) -> None:
    entries = [{"id": "w1", "name": "shop"}, {"id": "w2", "name": "shop"}]
    run = {"id": "r1", "status": "error", "messages": [], **TIMES}
    newer = {**run, "createdAt": "2026-02-01T00:00:00Z", "error": "newer"}
    files: dict[str, dict[str, Any]] = {"projects/w1/data": {"runs": [newer, run]}, "projects/w2/data": {}}
    folder = write(tmp_path / "all", {"version": 3, "name": "all", "projects": entries}, files)
    first, second = await import_evalstudio(database, folder)
    assert [item.project.name for item in (first, second)] == ["shop", "shop (w2)"]
    assert first.runs == 1
    assert "1 runs have the id of another, of which the newest was imported" in first.notes
    [kept] = await RunService(database, first.project).list_runs()
    assert kept.error == "newer"
    again = write(tmp_path / "again", {"version": 2, "name": "again"}, {"data": {"runs": [run]}})
    with pytest.raises(StoreConflictError, match="the run r1 is in the store already"):
        await import_evalstudio(database, again)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("data/runs.json", "[{", "runs.json is not JSON"),
        ("data/runs.json", "{}", "expected a list of objects"),
        ("data/scenarios.json", "[1]", "expected a list of objects"),
        ("evalstudio.config.json", "[]", "expected a JSON object"),
        ("evalstudio.config.json", '{"projects": [{"id": "../x", "name": "x"}]}', "no name of a folder"),
    ],
)
async def test_files_that_cannot_be_read_are_told_by_name(tmp_path: Path, file: str, content: str, told: str) -> None:
    folder = old_folder(tmp_path)
    (folder / file).write_text(content)
    async with Database.open(tmp_path / "runs.db") as database:
        with pytest.raises(ConfigurationError, match=told):
            await import_evalstudio(database, folder)
        with pytest.raises(ConfigurationError, match="no project of EvalStudio"):
            await import_evalstudio(database, tmp_path)
