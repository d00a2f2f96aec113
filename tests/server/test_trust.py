"""What callers may define: programs need an admin, whichever field names them, wherever it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from api_service import Service

from duologue.runs.processor import RunProcessor
from duologue.runs.project_access import UsualPolicy
from duologue.runtimes.registry import all_runtimes, config_of

RUNTIMES = ("mcp", "command", "native")


def runtime_with_program(kind: str, mark: Path) -> dict[str, Any]:
    program = ["sh", "-c", f"touch '{mark}'"]
    if kind == "native":
        server = {"name": "m", "command": program[0], "args": program[1:]}
        return {"kind": "native", "mcp_servers": [server]}
    return {"kind": kind, "command": program, **({"tool": "x"} if kind == "mcp" else {})}


@pytest.mark.parametrize("kind", RUNTIMES)
async def test_a_runtime_that_starts_a_program_needs_an_admin_everywhere(
    service: Service, tmp_path: Path, kind: str
) -> None:
    runtime, client = runtime_with_program(kind, tmp_path / "started"), service.client("run")
    plain = {
        "agent": {"name": "a", "model": "mock/echo", "prompt": "p"},
        "prompts": [{"name": "p", "system_template": "x"}],
    }
    agent = (await client.post("/agents", json=plain)).json()["id"]
    scenario = await client.post("/scenarios", json={"name": "s", "messages": [{"role": "user", "content": "x"}]})
    eval_ = {"name": "e", "scenario_ids": [scenario.json()["id"]], "agent_id": agent}
    made = (await client.post("/evals", json=eval_)).json()["id"]
    turns = [{"role": "user", "content": "x"}]
    suite = {
        "apiVersion": "duologue/v1",
        "kind": "Suite",
        "metadata": {"name": "s"},
        "spec": {"agents": [{"name": "b", "runtime": runtime}], "scenarios": [{"name": "t", "turns": turns}]},
    }
    requests: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/evals/test-runtime", {"agent_id": agent, "runtime": runtime}),
        ("POST", "/agents", {"agent": {"name": "b", "runtime": runtime}}),
        ("PATCH", f"/agents/{agent}", {"agent": {"name": "a", "runtime": runtime}}),
        ("POST", "/evals", {**eval_, "name": "f", "config": {"runtime": runtime}}),
        ("PATCH", f"/evals/{made}", {"config": {"runtime": runtime}}),
        ("POST", "/suites", {"suite": suite}),
    ]
    for method, path, body in requests:
        answer = await client.request(method, path, json=body)
        assert answer.status_code == 403, (path, answer.text)
        assert "program" in answer.json()["detail"]
    assert not (tmp_path / "started").exists()


def test_every_runtime_whose_configuration_names_a_program_says_so() -> None:
    naming = {runtime for runtime in all_runtimes() if "command" in config_of(runtime).model_fields}
    assert naming == {runtime for runtime in all_runtimes() if runtime.STARTS_PROGRAM}


@pytest.mark.parametrize("name", ["mock/{}", "local/{}", "local/{}.gguf"])
async def test_the_name_of_a_model_opens_no_file_of_the_service(service: Service, tmp_path: Path, name: str) -> None:
    file = tmp_path / "answers.yaml"
    file.write_text("scenarios: {}\ndefaultResponse: of-the-server-0815\n")
    (tmp_path / "answers.yaml.gguf").write_text("0815")
    client, model = service.client("run"), name.format(file)
    agent = await client.post(
        "/agents",
        json={
            "agent": {"name": "a", "model": model, "prompt": "p"},
            "prompts": [{"name": "p", "system_template": "x"}],
        },
    )
    assert agent.status_code == 201, agent.text
    scenario = await client.post("/scenarios", json={"name": "s", "messages": [{"role": "user", "content": "x"}]})
    fields = {"name": "e", "scenario_ids": [scenario.json()["id"]], "agent_id": agent.json()["id"]}
    assert (await client.post(f"/agents/{agent.json()['id']}/publish")).status_code == 201
    eval_id = (await client.post("/evals", json=fields)).json()["id"]
    made = await client.post("/executions", json={"eval_id": eval_id})
    assert made.status_code == 201, made.text
    async with RunProcessor(service.database, policy=UsualPolicy(guarded=True)) as processor:
        await processor.drain()
    [run] = (await client.get("/runs")).json()["data"]
    told = (await client.get(f"/runs/{run['id']}")).json()["error"]
    assert "is a file, and what is saved in a service has no files" in told
    assert "0815" not in told
