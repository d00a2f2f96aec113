"""Connexity's JSON becomes definitions and runs of a project, whatever is missing, null or of another type in it."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from duologue.cli.app import invoke
from duologue.errors import ConfigurationError
from duologue.runs.connexity import import_connexity, is_connexity
from duologue.runs.connexity_export import connexity_data
from duologue.runs.service import RunService
from duologue.runs.store.database.definitions import SavedDefinitions
from duologue.runs.store.database.engine import Database
from duologue.specs.scenario import ToolCallSpec

on_sqlite = pytest.mark.parametrize("where", ["sqlite"], indirect=True)
TIMES = {"created_at": "2026-05-01T10:00:00Z", "updated_at": "2026-05-02T10:00:00"}
REFUND = {
    "type": "function",
    "function": {"name": "refund", "description": "Pays back.", "parameters": {"type": "object", "properties": {}}},
    "platform_config": {"terminating": True, "implementation": {"type": "python", "code": "import os"}},
}
VERSION = {"agent_model": "gpt-4.1", "agent_provider": "openai", "agent_temperature": 0, "tools": [REFUND]}
AGENT = {
    "id": "a1",
    "name": "Shop",
    "description": "Sells kettles.",
    "mode": "platform",
    "platform": "retell",
    "platform_agent_id": "agent_9",
    "system_prompt": "You sell kettles to {{customer}}.",
    "integration_id": "i1",
    "editor_guidelines": "Be short.",
    **VERSION,
    **TIMES,
    "versions": [
        {"version": 2, "status": "published", "version_name": "two", "system_prompt": "Two.", **VERSION, **TIMES},
        {"version": 1, "status": "published", "system_prompt": "One.", **VERSION, **TIMES},
        {"version": None, "status": "draft", "system_prompt": "Three.", **VERSION, **TIMES},
    ],
}
CASE = {
    "id": "t1",
    "name": "late kettle",
    "description": "The delivery is late.",
    "difficulty": "hard",
    "tags": ["delivery", None, ""],
    "status": "active",
    "persona_context": "Pat is in a hurry.",
    "user_context": {"order": "A-77", "items": 2},
    "first_turn": "user",
    "first_message": "Where is my kettle?",
    "expected_outcomes": ["The agent apologises", {"description": "A date is named"}, None],
    "expected_tool_calls": [{"tool": "refund", "expected_params": {"eur": 5}, "mock_response": {"ok": True}}, {}],
    "evaluation_criteria_override": "Mind the tone.",
    "agent_id": "a1",
    "source_call_id": "call-1",
    "deleted_at": None,
    **TIMES,
}
EVAL = {
    "id": "e1",
    "name": "nightly",
    "description": None,
    "agent_id": "a1",
    "version": 3,
    "config": {
        "concurrency": 5,
        "timeout_per_test_case_ms": 60_000,
        "max_turns": None,
        "tool_mode": "mock",
        "metrics_pass_threshold": 70,
        "cases_pass_threshold": 90,
        "judge": {
            "metrics": [{"metric": "tool_routing", "weight": 0.5}, {"metric": "empathy", "weight": None}],
            "pass_threshold": 60,
            "model": "gpt-4.1",
            "provider": "openai",
        },
        "user_simulator": {"mode": "llm", "scripted_messages": None, "model": "gpt-4.1-mini", "provider": "openai"},
        "agent_simulator": None,
        "mode": "text",
        "runtime": {"kind": "connexity"},
    },
    "members": [
        {"test_case_id": "t1", "position": 0, "repetitions": 2},
        {"test_case_id": "gone", "position": 1, "repetitions": 1},
    ],
    **TIMES,
}
METRIC = {
    "id": "m1",
    "name": "empathy",
    "display_name": "Empathy",
    "description": "Is it kind?",
    "tier": "delivery",
    "default_weight": 0.1,
    "score_type": "scored",
    "rubric": "5: kind. 0: rude.",
    "include_in_defaults": False,
    "is_predefined": False,
    "is_draft": False,
}
TURNS = [
    {"role": "user", "content": "Where is my kettle?", "tool_calls": None},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "k", "type": "function", "function": {"name": "refund", "arguments": "{}"}, "tool_result": {"ok": 1}}
        ],
    },
    {"role": "assistant", "content": "Done.\x00"},
]
RUN = {
    "id": "r1",
    "agent_id": "a1",
    "eval_config_id": "e1",
    "agent_version": 2,
    "status": "completed",
    "is_baseline": True,
    "config": EVAL["config"],
    "aggregate_metrics": {"pass_rate": 0.5},
    **TIMES,
    "results": [
        {
            "id": "x1",
            "test_case_id": "t1",
            "repetition_index": 0,
            "transcript": TURNS,
            "verdict": {"overall_score": 87.5, "summary": "Fine."},
            "passed": True,
            "total_latency_ms": 1200,
            "started_at": "2026-05-01T10:00:01Z",
            "completed_at": "2026-05-01T10:00:09Z",
        },
        {
            "id": "x2",
            "test_case_id": "t1",
            "repetition_index": 1,
            "transcript": [TURNS[0], {"role": "assistant", "content": "[agent_error] Agent HTTP 500: boom"}],
            "verdict": {"overall_score": 100},
            "passed": True,
        },
        {"id": "x3", "test_case_id": "t1", "repetition_index": 1, "transcript": [], "passed": None},
    ],
}
WHOLE = {
    "agents": [AGENT],
    "test_cases": [CASE],
    "eval_configs": [EVAL],
    "custom_metrics": [METRIC],
    "environments": [
        {"id": "n1", "name": "live", "platform": "webhook", "endpoint_url": "https://h.example/hook", "agent_id": "a1"}
    ],
    "runs": [RUN],
}


@pytest.fixture
async def service(database: Database) -> RunService:
    project = await SavedDefinitions(database).get_project("p")
    assert project is not None
    return RunService(database, project)


async def imported(service: RunService, tmp_path: Path, data: Any, **options: Any) -> Any:
    path = tmp_path / "connexity.json"
    path.write_text(json.dumps(data))
    assert is_connexity(path)
    return await import_connexity(service.database, path, service.project, **options)


async def test_everything_that_it_knows(service: RunService, tmp_path: Path) -> None:
    done = await imported(service, tmp_path, WHOLE)
    counts = (done.agents, done.scenarios, done.personas, done.evals, done.metrics, done.environments, done.runs)
    assert counts == (1, 1, 1, 1, 1, 1, 3)

    agent = await service.get_agent("a1")
    assert agent is not None
    assert (agent.name, agent.version) == ("Shop", 2)
    assert agent.draft.agent.model == "openai/gpt-4.1"
    assert agent.draft.prompts[0].system_template == "Three."
    assert agent.draft.prompts[0].allowed_tools == ("refund",)
    versions = await service.list_agent_versions("a1")
    assert [(item.version, item.draft.prompts[0].system_template) for item in versions] == [(2, "Two."), (1, "One.")]

    scenario = await service.get_scenario("t1")
    assert scenario is not None
    spec = scenario.spec
    assert spec.criteria == ("The agent apologises", "A date is named")
    assert spec.expected_tool_calls == (
        ToolCallSpec(tool="refund", expected_params={"eur": 5}, mock_response={"ok": True}),
    )
    assert (spec.messages[0].content, spec.emphasis, spec.tags) == (
        "Where is my kettle?",
        "Mind the tone.",
        ("delivery",),
    )
    assert spec.labels == {"difficulty": "hard", "status": "active"}
    persona = await service.get_persona(scenario.persona_ids[0])
    assert persona is not None
    assert (persona.spec.description, persona.spec.facts) == ("Pat is in a hurry.", {"order": "A-77", "items": "2"})

    found = await service.get_eval("e1")
    assert found is not None
    assert (found.scenario_ids, found.spec.trials, found.spec.agent_id) == (("t1",), 2, "a1")
    config = found.spec.config
    assert config is not None
    assert (config.cases_pass_threshold, config.judge.pass_threshold, config.seconds) == (90, 60, 60)
    assert [item.metric for item in config.judge.metrics] == ["tool_routing", "empathy"]
    assert any("gone" in note or "1 of its test cases" in note for note in done.notes)
    assert any("terminat" in note or "ended the conversation" in note for note in done.notes)
    assert any("code of the tool" in note for note in done.notes)

    runs = await service.list_runs()
    assert [run.outcome for run in runs] == ["pass", "error", "error"]
    assert (runs[0].score, runs[0].reason, runs[0].metadata["latency_ms"]) == (0.875, "Fine.", 1200)
    assert [message["role"] for message in runs[0].messages] == ["user", "assistant", "tool", "assistant"]
    assert runs[1].error == "[agent_error] Agent HTTP 500: boom"
    assert len(runs[1].messages) == 1
    assert any("judged by Connexity" in note for note in done.notes)
    [baseline] = await service.list_baselines()
    assert (baseline.execution_id, baseline.agent_version) == (done.execution_ids[0], 2)
    assert (await service.create_runs("e1"))[0].scenario_id == "t1"


@on_sqlite
async def test_what_is_there_is_skipped_or_overwritten(service: RunService, tmp_path: Path) -> None:
    await imported(service, tmp_path, WHOLE)
    changed = deepcopy(WHOLE)
    changed["test_cases"][0]["expected_outcomes"] = ["Something else"]
    changed["test_cases"][0]["persona_context"] = "Pat has time."
    changed["agents"][0]["versions"].append({"version": 3, "status": "published", "system_prompt": "Four.", **VERSION})
    again = await imported(service, tmp_path, changed)
    assert (again.agents, again.scenarios, again.evals, again.runs, again.skipped) == (0, 0, 0, 0, 6)
    scenario = await service.get_scenario("t1")
    assert scenario is not None
    assert scenario.spec.criteria[0] == "The agent apologises"

    over = await imported(service, tmp_path, changed, on_clash="overwrite")
    assert (over.agents, over.scenarios, over.personas, over.evals, over.runs) == (1, 1, 1, 1, 0)
    scenario = await service.get_scenario("t1")
    assert scenario is not None
    assert scenario.spec.criteria == ("Something else",)
    [persona] = await service.list_personas()
    assert persona.spec.description == "Pat has time."
    assert [item.version for item in await service.list_agent_versions("a1")] == [3, 2, 1]


@on_sqlite
async def test_ids_that_others_have_are_given_anew(service: RunService, tmp_path: Path, database: Database) -> None:
    await imported(service, tmp_path, WHOLE)
    project = await SavedDefinitions(database).get_project("q")
    assert project is not None
    other = RunService(database, project)
    done = await imported(other, tmp_path, WHOLE)
    assert (done.scenarios, done.runs) == (1, 3)
    [found] = await other.list_evals()
    assert found.id != "e1"
    [scenario] = await other.list_scenarios()
    assert found.scenario_ids == (scenario.id,)


@on_sqlite
@pytest.mark.parametrize("section", ["agents", "test_cases", "eval_configs", "custom_metrics", "environments", "runs"])
async def test_every_field_may_be_anything(service: RunService, tmp_path: Path, section: str) -> None:
    """What cannot be used is named; everything else is imported."""
    values = [None, "", 0, -1, "7", [], {}, True, 1e300, "ä\x00\ud800", [None], {"a": None}, [[1]], "x" * 5000]
    data = deepcopy(WHOLE)
    first: dict[str, Any] = data[section][0]
    data[section] = [
        first,
        *(
            {**first, "id": f"{name}-{index}", "name": f"about {name} {index}", name: value}
            for name in first
            for index, value in enumerate(values)
        ),
    ]
    inner: dict[str, Any] = {"test_cases": CASE, "runs": RUN["results"][0]}.get(section, {})
    if section == "runs":
        rows = [{**inner, "id": f"{name}{index}", name: v} for name in inner for index, v in enumerate(values)]
        data["runs"].append({**RUN, "id": "rows", "results": rows})
    done = await imported(service, tmp_path, data)
    assert done.agents >= 1
    assert done.scenarios >= 1
    assert done.runs >= 3


@on_sqlite
@pytest.mark.parametrize(
    ("data", "scenarios"),
    [([CASE], 1), ({"data": [CASE], "count": 1}, 1), (CASE, 1), ({"test_cases": {"data": [CASE, CASE]}}, 2)],
)
async def test_exports_of_test_cases_alone(service: RunService, tmp_path: Path, data: Any, scenarios: int) -> None:
    assert (await imported(service, tmp_path, data)).scenarios == scenarios


@on_sqlite
@pytest.mark.parametrize(
    "runtime", [{"kind": "custom_endpoint", "url": "https://a.example/chat"}, {"kind": "fax"}, None]
)
async def test_an_agent_with_an_endpoint(service: RunService, tmp_path: Path, runtime: Any) -> None:
    agent = {
        "id": "a2",
        "name": "Remote",
        "mode": "endpoint",
        "endpoint_url": "https://a.example/chat",
        "tools": [REFUND],
    }
    case = {**CASE, "expected_tool_calls": None, "first_turn": "agent", "first_message": None}
    config = {**EVAL, "agent_id": "a2", "config": {"runtime": runtime, "surprise": 1}}
    done = await imported(service, tmp_path, {"agents": [agent], "test_cases": [case], "eval_configs": [config]})
    found = await service.get_agent("a2")
    assert found is not None
    assert found.draft.agent.runtime == {"kind": "custom_endpoint", "url": "https://a.example/chat"}
    scenario = await service.get_scenario("t1")
    assert scenario is not None
    assert scenario.spec.first_turn == "agent"
    assert done.evals == 1
    assert any("surprise" in note for note in done.notes)


@on_sqlite
async def test_what_is_exported_can_be_imported_again(service: RunService, tmp_path: Path, database: Database) -> None:
    await imported(service, tmp_path, WHOLE)
    data, notes = await connexity_data(service)
    assert {name: len(items) for name, items in data.items()} == {
        "agents": 1,
        "test_cases": 1,
        "eval_configs": 1,
        "custom_metrics": 1,
    }
    assert notes == ()
    case = data["test_cases"][0]
    kept = ("name", "description", "difficulty", "status", "persona_context", "first_turn", "first_message")
    assert {name: case[name] for name in kept} == {name: CASE[name] for name in kept}
    assert data["eval_configs"][0]["members"] == [{"test_case_id": "t1", "position": 0, "repetitions": 2}]
    assert [item["version"] for item in data["agents"][0]["versions"]] == [1, 2]
    project = await SavedDefinitions(database).get_project("q")
    assert project is not None
    other = RunService(database, project)
    await imported(other, tmp_path, data)
    again, _ = await connexity_data(other)
    strip = ("id", "created_at", "agent_id", "members")
    for section, items in data.items():
        for before, after in zip(items, again[section], strict=True):
            assert {k: v for k, v in before.items() if k not in strip} == {
                k: v for k, v in after.items() if k not in strip
            }


@on_sqlite
async def test_files_that_are_none(service: RunService, tmp_path: Path) -> None:
    for name, text in {"a.json": "[]", "b.json": "{", "c.json": '{"x": 1}', "d.txt": "{}", "e.json": "[1, 2]"}.items():
        path = tmp_path / name
        path.write_text(text)
        assert not is_connexity(path)
        with pytest.raises(ConfigurationError):
            await import_connexity(service.database, path, service.project)


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUOLOGUE_DATABASE_URL", str(tmp_path / "runs.db"))
    Path("connexity.json").write_text(json.dumps(WHOLE))
    assert invoke(["runs", "import", "connexity.json", "--project", "moved"]) == 0
    told = capsys.readouterr()
    assert "agents: 1, scenarios: 1" in told.out
    assert "judged by Connexity" in told.err
    assert invoke(["runs", "import", "connexity.json", "--on-clash", "maybe"]) == 2
    assert invoke(["runs", "import", "connexity.json", "--on-clash", "overwrite", "--json"]) == 0
    capsys.readouterr()
    assert invoke(["runs", "export", "--connexity", "out.json"]) == 0
    assert len(json.loads(Path("out.json").read_text())["test_cases"]) == 1
    assert invoke(["runs", "export", "--connexity", "out.json"]) == 2
    assert invoke(["gate", "Shop", "--version", "2", "--eval", "nightly"]) == 1


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://localhost:8080/agent", True),
        ("http://127.0.0.1/agent", True),
        ("http://[::1]:9/agent", True),
        ("http://10.0.0.7/agent", True),
        ("https://agent.example.com/chat", False),
    ],
)
async def test_an_endpoint_that_is_not_public_is_imported_with_its_eval(
    service: RunService, tmp_path: Path, url: str, allowed: bool
) -> None:
    runtime = {"kind": "custom_endpoint", "url": url}
    data = {
        "agents": [{"id": "a1", "name": "bot", "mode": "endpoint", "endpoint_url": url}],
        "test_cases": [{"id": "t1", "name": "hello", "expected_outcomes": ["It greets."]}],
        "eval_configs": [
            {
                "id": "e1",
                "name": "e",
                "agent_id": "a1",
                "members": [{"test_case_id": "t1"}],
                "config": {"runtime": runtime},
            }
        ],
    }
    done = await imported(service, tmp_path, data)
    assert [("allow_private_addresses" in note) for note in done.notes] == [True, True] * allowed
    found, agent = await service.get_eval("e1"), await service.get_agent("a1")
    assert found is not None, done
    assert agent is not None
    wanted = {**runtime, "allow_private_addresses": True} if allowed else runtime
    assert agent.draft.agent.runtime == wanted
    assert found.spec.config is not None
    assert found.spec.config.runtime == wanted
