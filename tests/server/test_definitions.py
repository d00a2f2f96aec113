"""Scenarios, connectors, agents, evals, runtimes, schedules and metrics: what each does beyond what personas show."""

from __future__ import annotations

from typing import Any

import pytest
from api_service import Service

AGENT = {
    "agent": {"name": "support", "model": "openai/gpt-5-mini", "prompt": "support"},
    "prompts": [{"name": "support", "system_template": "Be brief."}],
}


async def made(service: Service, path: str, body: dict[str, Any], scope: str = "run") -> dict[str, Any]:
    answer = await service.client(scope).post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def some_eval(service: Service, **more: Any) -> dict[str, Any]:
    scenario = await made(service, "/scenarios", {"name": "s", "description": "Says hello.", "criteria": ["polite"]})
    connector = {"name": "c", "type": "http", "base_url": "https://agent.invalid/chat"}
    body: dict[str, Any] = {"name": "e", "scenario_ids": [scenario["id"]], **more}
    if "agent_id" not in more:
        body["connector_id"] = (await made(service, "/connectors", connector))["id"]
    return await made(service, "/evals", body)


async def test_a_scenario_has_its_personas_by_name_or_by_id(service: Service) -> None:
    personas = [await made(service, "/personas", {"name": name}) for name in ("ann", "bob")]
    by_name = await made(service, "/scenarios", {"name": "a", "description": "x", "personas": ["ann", "bob"]})
    by_id = await made(service, "/scenarios", {"name": "b", "description": "x", "persona_ids": [personas[1]["id"]]})
    assert by_name["persona_ids"] == [item["id"] for item in personas]
    assert (by_id["personas"], by_id["persona_ids"]) == (["bob"], [personas[1]["id"]])
    cleared = await service.client("run").patch(f"/scenarios/{by_id['id']}", json={"persona_ids": None})
    assert cleared.json()["persona_ids"] == []


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/scenarios", {"name": "x", "description": "x", "personas": ["nobody"]}, "personas[0]"),
        ("/scenarios", {"name": "x", "description": "x", "persona_ids": ["no-such-id"]}, "persona_ids[0]"),
        ("/scenarios", {"name": "x", "description": "x", "persona_ids": "no-list"}, "persona_ids"),
        ("/scenarios", {"name": "x", "turns": [{"role": 5}]}, "turns[0].role"),
        ("/evals", {"name": "x", "scenario_ids": ["no-such-id"], "connector_id": "neither"}, "connector_id"),
        ("/evals", {"name": "x", "scenario_ids": []}, "scenario_ids"),
        ("/evals", {"name": "x", "scenario_ids": ["a"], "project_id": "b"}, "project_id"),
        ("/connectors", {"name": "x", "type": "smoke", "base_url": "https://a.invalid"}, "type"),
        ("/agents", {"agent": {"name": "a", "model": "m", "http": {"url": "https://a.invalid"}}}, "agent"),
        ("/agents", {"agent": {"name": "a", "runtime": {"kind": "smoke"}}}, "agent.runtime.kind"),
        (
            "/agents",
            {"agent": {"name": "a", "runtime": {"kind": "custom_endpoint", "ural": "x"}}},
            "agent.runtime.ural",
        ),
        ("/schedules", {"eval_id": "no-such-id", "cron": "0 6 * * *"}, "eval_id"),
        ("/metrics", {"name": "Empathy!", "rubric": "x"}, "name"),
        ("/tokens", {"name": "x", "expires_at": "soon"}, "expires_at"),
    ],
)
async def test_what_a_body_gets_wrong_is_a_problem_of_its_field(
    service: Service, path: str, body: dict[str, Any], field: str
) -> None:
    answer = await service.client("admin").post(path, json=body)
    assert answer.status_code == 422, answer.text
    assert field in [item["path"] for item in answer.json()["problems"]], answer.text


async def test_an_agent_is_drafted_published_compared_and_rolled_back(service: Service) -> None:
    client = service.client("run")
    agent = await made(service, "/agents", AGENT)
    path = f"/agents/{agent['id']}"
    assert (await client.post(f"{path}/publish")).json()["version"] == 1
    unchanged = await client.post(f"{path}/publish", json={"note": "again"})
    assert unchanged.status_code == 409
    await client.patch(path, json={"prompts": [{"name": "support", "system_template": "Be kind."}]})
    assert (await client.post(f"{path}/publish", json={"note": "kinder"})).json()["note"] == "kinder"
    versions = (await client.get(f"{path}/versions", params={"limit": 1})).json()
    older = (await client.get(f"{path}/versions", params={"limit": 1, "cursor": versions["next"]})).json()
    assert [versions["data"][0]["version"], older["data"][0]["version"], older["next"]] == [2, 1, None]
    changes = (await client.get(f"{path}/diff", params={"before": 1, "after": 2})).json()["data"]
    assert changes == [{"path": "prompts[0].system_template", "before": "Be brief.", "after": "Be kind."}]
    back = (await client.post(f"{path}/rollback", json={"version": 1})).json()
    assert back["prompts"][0]["system_template"] == "Be brief."
    assert (await client.get(path)).json()["version"] == 2
    assert (await client.get(f"{path}/versions/3")).status_code == 404
    assert (await client.post(f"{path}/rollback", json={"version": 9})).status_code == 404


async def test_the_runtimes_of_an_agent_are_told_with_the_default(service: Service) -> None:
    agent = await made(service, "/agents", AGENT)
    found = (await service.client("read").get(f"/agents/{agent['id']}/runtimes")).json()["data"]
    assert {"kind", "label", "description", "is_default"} == found[0].keys()
    assert [item["kind"] for item in found if item["is_default"]] == ["native"]
    assert "custom_endpoint" in [item["kind"] for item in found]
    every = (await service.client("read").get("/runtimes")).json()["data"]
    assert all("kind" in item["parameters"]["properties"] for item in every)


@pytest.mark.parametrize(
    ("runtime", "status", "told"),
    [
        ({"kind": "smoke"}, 422, "runtime.kind"),
        ({"kind": "custom_endpoint", "ural": "x"}, 422, "runtime.ural"),
        ({"kind": "retell"}, 422, "runtime.kind"),
        ({"kind": "custom_endpoint", "url": "https://agent.invalid/turn"}, 200, ""),
        ({"kind": "custom_endpoint", "url": "http://127.0.0.1:1/turn", "allow_private_addresses": True}, 200, ""),
        ({"kind": "command", "command": ["sh"]}, 403, ""),
        ({"kind": "mcp", "command": ["sh"], "tool": "answer"}, 403, ""),
        ({"kind": "native", "mcp_servers": [{"name": "m", "command": ["sh"]}]}, 403, ""),
    ],
)
async def test_a_runtime_is_tried_out(service: Service, runtime: dict[str, Any], status: int, told: str) -> None:
    agent = await made(service, "/agents", AGENT)
    body = {"agent_id": agent["id"], "mode": "text", "runtime": runtime}
    answer = await service.client("run").post("/evals/test-runtime", json=body)
    assert answer.status_code == status, answer.text
    if status == 422:
        assert told in [item["path"] for item in answer.json()["problems"]], answer.text
    if status == 200:
        assert answer.json()["ok"] is False
        assert answer.json()["message"]
    unknown = await service.client("run").post("/evals/test-runtime", json={**body, "agent_id": "nobody"})
    assert unknown.status_code == 404


async def test_the_configuration_of_an_eval_is_validated_with_its_agent(service: Service) -> None:
    agent = await made(service, "/agents", AGENT)
    scenario = await made(service, "/scenarios", {"name": "s", "description": "x", "criteria": ["polite"]})
    body = {"name": "e", "scenario_ids": [scenario["id"]], "agent_id": agent["id"]}
    refused = await service.client("run").post("/evals", json={**body, "config": {"runtime": {"kind": "smoke"}}})
    assert refused.status_code == 422, refused.text
    assert [item["path"] for item in refused.json()["problems"]] == ["config.runtime.kind"]
    for runtime in ({"kind": "command", "command": ["sh"]}, {"kind": "mcp", "command": ["sh"], "tool": "answer"}):
        program = {**body, "config": {"runtime": runtime}}
        assert (await service.client("run").post("/evals", json=program)).status_code == 403
        draft = {"agent": {"name": "program", "runtime": runtime}}
        assert (await service.client("run").post("/agents", json=draft)).status_code == 403
    assert (await service.client("run").post("/evals", json=body)).status_code == 201


@pytest.mark.parametrize(
    ("field", "more"),
    [
        (
            "config.judge.metrics[1].metric",
            {"config": {"judge": {"metrics": [{"metric": m} for m in ("tool_routing", "x")]}}},
        ),
        ("config.judge.metrics", {"config": {"judge": {"metrics": [{"metric": "task_completion"}]}}}),
        ("config.judge.model", {"config": {"judge": {"model": "x"}}}),
        ("config.user_simulator.model", {"config": {"user_simulator": {"model": "x"}}}),
        ("config.user_simulator", {"config": {"user_simulator": {"mode": "scripted"}}}),
        ("config.tool_mode", {"config": {"runtime": {"kind": "custom_endpoint", "url": "https://agent.invalid/chat"}}}),
        ("agent_version", {"agent_version": 7}),
        ("", {"agent_id": None}),
    ],
)
async def test_what_an_eval_gets_wrong_is_a_problem_of_its_field(
    service: Service, field: str, more: dict[str, Any]
) -> None:
    agent = await made(service, "/agents", AGENT)
    calls = [{"tool": "look_up"}]
    scenario = {"name": "s", "description": "x", "criteria": ["polite"], "expected_tool_calls": calls}
    scenario_id = (await made(service, "/scenarios", scenario))["id"]
    body = {"name": "e", "scenario_ids": [scenario_id], "agent_id": agent["id"], **more}
    answer = await service.client("run").post("/evals", json=body)
    assert answer.status_code == 422, answer.text
    assert [item["path"] for item in answer.json()["problems"]] == [field], answer.text


async def test_a_draft_without_its_prompt_is_not_published(service: Service) -> None:
    agent = await made(service, "/agents", {"agent": {"name": "a", "model": "openai/gpt-5-mini", "prompt": "support"}})
    refused = await service.client("run").post(f"/agents/{agent['id']}/publish")
    assert refused.status_code == 422, refused.text
    assert [item["path"] for item in refused.json()["problems"]] == ["agent.prompt"]
    changes = {"prompts": AGENT["prompts"]}
    assert (await service.client("run").patch(f"/agents/{agent['id']}", json=changes)).status_code == 200
    assert (await service.client("run").post(f"/agents/{agent['id']}/publish")).status_code == 201


async def test_problems_are_told_in_whole_sentences(service: Service) -> None:
    named = await service.client("run").post("/metrics", json={"name": "Empathy!", "rubric": "x"})
    assert 'found "Empathy!"; expected a text to match pattern' in named.json()["detail"]
    listed = await service.client("read").get("/runs", params={"status": ["queued", "smoke"]})
    assert [item["path"] for item in listed.json()["problems"]] == ["status[1]"]
    saved = await some_eval(service, agent_id=(await made(service, "/agents", AGENT))["id"])
    launched = await service.client("run").post("/executions", json={"eval_id": saved["id"]})
    assert launched.status_code == 404
    assert launched.json()["detail"] == "the agent 'support' was never published; publish its draft first"


async def test_a_schedule_is_changed_and_disabled(service: Service) -> None:
    eval_ = await some_eval(service)
    schedule = await made(service, "/schedules", {"eval_id": eval_["id"], "cron": "0 6 * * *"})
    path, client = f"/schedules/{schedule['id']}", service.client("run")
    assert schedule["next_at"].endswith("06:00:00.000Z")
    changed = (await client.patch(path, json={"cron": "30 7 * * *"})).json()
    assert changed["next_at"].endswith("07:30:00.000Z")
    disabled = (await client.patch(path, json={"enabled": False})).json()
    assert (disabled["enabled"], disabled["next_at"]) == (False, None)
    for wrong in ({"cron": "not cron"}, {"cron": "61 * * * *"}, {"cron": "0 0 30 2 *"}, {"timezone": "Mars/Base"}):
        answer = await client.patch(path, json=wrong)
        assert (answer.status_code, [item["path"] for item in answer.json()["problems"]]) == (422, list(wrong)), wrong
    assert (await client.get("/schedules", params={"eval_id": "another"})).json()["data"] == []


async def test_the_catalogue_of_checks_has_a_schema_for_each(service: Service) -> None:
    client = service.client("read")
    found = (await client.get("/check-types")).json()["data"]
    assert len(found) > 30
    assert all(item["parameters"]["type"] == "object" for item in found)
    one = await client.get("/check-types/contains")
    assert one.json()["type"] == "contains"
    for name in ("no-such-type", "os:system"):
        assert (await client.get(f"/check-types/{name}")).status_code == 404


async def test_what_is_used_is_not_deleted(service: Service) -> None:
    eval_ = await some_eval(service)
    client = service.client("run")
    for path in (f"/scenarios/{eval_['scenario_ids'][0]}", f"/connectors/{eval_['connector_id']}"):
        answer = await client.delete(path)
        assert (answer.status_code, "'e'" in answer.json()["detail"]) == (409, True), answer.text
    assert (await client.delete(f"/evals/{eval_['id']}")).status_code == 204


async def test_a_hidden_header_keeps_its_value(service: Service) -> None:
    client = service.client("run")
    fields = {
        "name": "c",
        "type": "http",
        "base_url": "https://agent.invalid",
        "headers": {"Authorization": "Bearer abcdef123456"},
    }
    connector = await made(service, "/connectors", fields)
    assert connector["headers"] == {"Authorization": "***"}
    await client.patch(f"/connectors/{connector['id']}", json={"headers": {"Authorization": "***", "X-Team": "a"}})
    kept = await service.state.definitions.connector_with_credentials(connector["id"])
    assert kept is not None
    assert kept.headers == {"Authorization": "Bearer abcdef123456", "X-Team": "a"}
