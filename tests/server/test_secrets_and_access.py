"""Secrets reach the agents that they are for and nothing else; definitions reach no variable and no address of the
server that the operator has not allowed: in requests that call an agent, and in the workers that carry out runs."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from agent_server import AgentServer, agent_server
from api_service import Service, open_service

from duologue.errors import ConfigurationError, StoreError
from duologue.runs.processor import RunProcessor
from duologue.runs.project_access import UsualPolicy
from duologue.runs.secrets import KEY_FILE, KEY_VARIABLE, SecretStore, new_key

VALUE = "s3cr3t-value-of-the-shop-0815"
NAME = "AGENT_KEY"


@pytest.fixture
async def agent() -> AsyncIterator[AgentServer]:
    async with agent_server() as server:
        server.answers({"messages": [{"role": "assistant", "content": "Hello."}]})
        yield server


@pytest.fixture
async def open_network(store: Path) -> AsyncIterator[Service]:
    """A service that requires tokens, whose operator allows private addresses: agents of tests are there."""
    async with open_service(store, allow_private_addresses=True) as opened:
        yield opened


def connector_to(url: str, variable: str = NAME, name: str = "agent") -> dict[str, Any]:
    return {
        "name": name,
        "type": "http",
        "base_url": url,
        "headers": {"X-Key": f"${{{variable}}}"},
        "config": {"timeout": 20},
    }


async def saved_secret(service: Service, name: str = NAME, value: str = VALUE) -> None:
    answer = await service.client("admin").put(f"/secrets/{name}", json={"value": value, "provider": "shop"})
    assert answer.status_code == 200, answer.text
    assert value not in answer.text


async def queued(service: Service, connector: dict[str, Any], tag: str = "") -> str:
    """A run of a scenario that says hello once, against a connector."""
    client = service.client("admin")
    made = (await client.post("/connectors", json=connector)).json()
    fields = {"name": f"hello{tag}", "messages": [{"role": "user", "content": "Hello?"}]}
    fields |= {"checks": [{"type": "contains", "params": {"patterns": ["Hello"]}}]}
    scenario = await client.post("/scenarios", json=fields)
    assert scenario.status_code == 201, scenario.text
    shop = service.state.service(service.shop)
    return (await shop.create_playground_run(scenario.json()["id"], made["id"])).id


async def carried_out(service: Service, policy: UsualPolicy | None = None) -> None:
    async with RunProcessor(service.database, policy=policy) as processor:
        await processor.drain()


async def outcome(service: Service, run_id: str) -> tuple[str, str]:
    found = await service.state.service(service.shop).get_run(run_id)
    assert found is not None
    return str(found.status), found.error or ""


async def test_a_secret_is_named_and_never_shown(open_network: Service, agent: AgentServer) -> None:
    service = open_network
    await saved_secret(service)
    client = service.client("admin")
    made = (await client.post("/connectors", json=connector_to(agent.url))).json()
    reply = await client.post(f"/connectors/{made['id']}/invoke", json={"messages": [{"role": "user", "content": "x"}]})
    assert reply.json()["success"], reply.text
    assert agent.headers[-1]["x-key"] == VALUE
    assert (await client.post(f"/connectors/{made['id']}/test")).json()["success"]
    shown = [await client.get(path) for path in ("/secrets", "/connectors", f"/connectors/{made['id']}")]
    assert shown[0].json()["data"][0]["name"] == NAME
    assert shown[2].json()["headers"] == {"X-Key": f"${{{NAME}}}"}
    assert not any(VALUE in answer.text for answer in (*shown, reply))
    assert (await service.client("run").get("/secrets")).status_code == 403
    assert (await service.client("admin", "bank").get("/secrets")).json()["data"] == []


async def test_a_run_gets_the_secret_and_nothing_that_is_stored_has_it(
    open_network: Service, agent: AgentServer, store: Path
) -> None:
    service = open_network
    await saved_secret(service)
    agent.answers({"messages": [{"role": "assistant", "content": f"Hello. Your key is {VALUE[:4]}…"}]})
    run_id = await queued(service, connector_to(agent.url))
    await carried_out(service, UsualPolicy(private_addresses=True))
    assert await outcome(service, run_id) == ("completed", "")
    assert agent.headers[-1]["x-key"] == VALUE
    for path in store.parent.iterdir():
        assert VALUE.encode() not in path.read_bytes(), path
    assert (store.parent / KEY_FILE).stat().st_mode & 0o777 == 0o600


async def test_a_replaced_secret_is_used_by_runs_that_were_made_before(
    open_network: Service, agent: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duologue.runs.project_access.LOOKED_AGAIN", 0.0)
    service = open_network
    await saved_secret(service)
    connector = connector_to(agent.url)
    async with RunProcessor(service.database, policy=UsualPolicy(private_addresses=True)) as processor:
        first = await queued(service, connector)
        await processor.drain()
        made = (await service.client("admin").get("/connectors")).json()["data"][0]
        scenario = (await service.client("admin").get("/scenarios")).json()["data"][0]
        shop = service.state.service(service.shop)
        second = (await shop.create_playground_run(scenario["id"], made["id"])).id
        await saved_secret(service, value="another-value-4711")
        await processor.drain()
    assert [await outcome(service, run) for run in (first, second)] == [("completed", "")] * 2
    assert [headers["x-key"] for headers in agent.headers] == [VALUE, "another-value-4711"]


async def test_two_projects_with_the_same_definitions_use_their_own_secrets(
    open_network: Service, agent: AgentServer
) -> None:
    service = open_network
    for project in ("shop", "bank"):
        client = service.client("admin", project)
        await client.put(f"/secrets/{NAME}", json={"value": f"value-of-{project}-0815"})
        made = (await client.post("/connectors", json=connector_to(agent.url))).json()
        fields = {"name": "hello", "messages": [{"role": "user", "content": "Hello?"}]}
        scenario = (await client.post("/scenarios", json=fields)).json()
        await service.state.service(getattr(service, project)).create_playground_run(scenario["id"], made["id"])
    await carried_out(service, UsualPolicy(private_addresses=True))
    assert sorted(headers["x-key"] for headers in agent.headers) == ["value-of-bank-0815", "value-of-shop-0815"]


async def test_variables_of_the_server_are_none_of_a_callers_business(
    open_network: Service, agent: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = open_network
    monkeypatch.setenv("SERVER_PASSWORD", "of-the-server-0815")
    client = service.client("admin")
    made = (await client.post("/connectors", json=connector_to(agent.url, "SERVER_PASSWORD"))).json()
    for path in (f"/connectors/{made['id']}/test", "/connectors/probe"):
        tested = (await client.post(path, json=connector_to(agent.url, "SERVER_PASSWORD"))).json()
        assert not tested["success"]
        assert "SERVER_PASSWORD is no secret of the project" in tested["error"]
    run_id = await queued(service, connector_to(agent.url, "SERVER_PASSWORD", name="other"))
    await carried_out(service)
    status, error = await outcome(service, run_id)
    assert (status, "SERVER_PASSWORD is no secret of the project" in error) == ("error", True), error
    assert agent.headers == []


async def test_a_variable_that_the_operator_allows_is_used(
    store: Path, agent: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLOWED_KEY", "of-the-operator-0815")
    async with open_service(store, allowed_variables=("ALLOWED_KEY",), allow_private_addresses=True) as service:
        tested = await service.client("run").post("/connectors/probe", json=connector_to(agent.url, "ALLOWED_KEY"))
        assert tested.json()["success"], tested.text
    assert agent.headers[-1]["x-key"] == "of-the-operator-0815"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "127.1", "2130706433", "[::ffff:127.0.0.1]"]
)
async def test_private_addresses_are_refused_in_requests_and_in_runs(
    service: Service, agent: AgentServer, host: str
) -> None:
    url = agent.url.replace("127.0.0.1", host)
    connector = {**connector_to(url), "headers": {}}
    tested = await service.client("run").post("/connectors/probe", json=connector)
    assert tested.status_code in {200, 422}, tested.text
    if tested.status_code == 200:
        assert not tested.json()["success"]
    graph = await service.client("run").post("/connectors/probe", json={**connector, "type": "langgraph", "config": {}})
    assert graph.status_code in {200, 422}, graph.text
    if tested.status_code == 200:
        run_id = await queued(service, connector)
        await carried_out(service)
        assert (await outcome(service, run_id))[0] == "error"
    assert agent.requests == []


async def test_without_tokens_the_owner_of_the_machine_may_use_it(
    store: Path, agent: AgentServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "of-the-owner-0815")
    async with open_service(store, token_required=False) as service:
        answer = await service.client("").post(
            "/connectors/probe", json=connector_to(agent.url, "MY_KEY"), params={"project": "shop"}
        )
        assert answer.json()["success"], answer.text
    assert agent.headers[-1]["x-key"] == "of-the-owner-0815"


async def test_code_and_programs_need_an_admin_and_files_nobody_may_name(service: Service) -> None:
    agents = [
        {"agent": {"name": "a", "target": "package.module:agent"}},
        {
            "agent": {"name": "a", "model": "m/x"},
            "tools": [{"name": "t", "description": "", "mode": "exec", "exec": {"command": "sh"}}],
        },
        {"agent": {"name": "a", "model": "m/x"}, "mcp_servers": [{"name": "s", "command": "sh"}]},
    ]
    scenarios = [
        {"name": "s", "description": "x", "checks": [{"type": "package.module:check"}]},
        {"name": "s", "description": "x", "checks": [{"type": "exec", "params": {"command": ["sh"]}}]},
        {"name": "s", "turns": [{"role": "user", "content": "x", "checks": [{"type": "package.module:check"}]}]},
    ]
    for path, bodies in (("/agents", agents), ("/scenarios", scenarios)):
        for body in bodies:
            answer = await service.client("run").post(path, json=body)
            assert answer.status_code == 403, (body, answer.text)
    made = await service.client("admin").post("/agents", json=agents[0])
    assert made.status_code == 201, made.text
    refused = await service.client("run").patch(f"/agents/{made.json()['id']}", json={"tools": agents[1]["tools"]})
    assert refused.status_code == 403
    files = [
        ("/personas", {"name": "p", "fragments": [{"name": "f", "path": "../../etc/passwd"}], "system_template": "x"}),
        (
            "/agents",
            {"agent": {"name": "b", "model": "m"}, "models": [{"name": "m", "provider": "mock", "mock_file": "x"}]},
        ),
    ]
    for path, body in files:
        answer = await service.client("admin").post(path, json=body)
        assert (answer.status_code, "has no files" in answer.text) == (422, True), answer.text


async def test_code_of_an_admin_is_not_loaded_by_the_server(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "checks_of_an_admin.py").write_text("def check(state):\n    return True\n")
    monkeypatch.syspath_prepend(tmp_path)
    own = {"type": "checks_of_an_admin:check"}
    for number, checks in enumerate([[own], [{"type": "assertion", "params": {"type": own["type"], "params": {}}}]]):
        body = {"name": f"s{number}", "description": "x", "checks": checks}
        answer = await service.client("admin").post("/scenarios", json=body)
        assert answer.status_code in {201, 422}, answer.text
        assert (number or answer.status_code) in {1, 201}, answer.text
    assert "checks_of_an_admin" not in sys.modules


# The key


async def test_a_key_is_replaced_without_losing_a_secret(service: Service) -> None:
    old, new = new_key(), new_key()
    shop = service.shop.id
    first = SecretStore(service.database, {KEY_VARIABLE: old})
    await first.set_secret(shop, "A", "value-a")
    both = SecretStore(service.database, {KEY_VARIABLE: f"{new}, {old}"})
    await both.set_secret(shop, "B", "value-b")
    assert await both.rotate() == 2
    assert await SecretStore(service.database, {KEY_VARIABLE: new}).values(shop) == {"A": "value-a", "B": "value-b"}
    with pytest.raises(StoreError, match="another key"):
        await first.values(shop)


@pytest.mark.parametrize("key", ["x", "not base64!", "QUJD"])
async def test_a_key_that_is_none_is_told(service: Service, key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{KEY_VARIABLE} holds no key"):
        await SecretStore(service.database, {KEY_VARIABLE: key}).set_secret(service.shop.id, "A", "value")


async def test_many_who_save_the_first_secret_at_once_share_one_key(service: Service) -> None:
    stores = [SecretStore(service.database, {}) for _ in range(8)]
    await asyncio.gather(
        *(item.set_secret(service.shop.id, f"S{index}", "value-0815") for index, item in enumerate(stores))
    )
    assert len(await SecretStore(service.database, {}).values(service.shop.id)) == 8


async def test_the_database_holds_no_value_and_no_token(service: Service, store: Path) -> None:
    await saved_secret(service)
    with sqlite3.connect(store) as connection:
        rows = (
            connection.execute("SELECT * FROM secrets").fetchall()
            + connection.execute("SELECT * FROM tokens").fetchall()
        )
    text = repr(rows)
    assert VALUE not in text
    assert not any(token in text for token in service.tokens.values())
