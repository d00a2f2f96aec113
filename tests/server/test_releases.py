"""Baselines, environments, the gate and deployments over HTTP, with a receiver of webhooks on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from api_service import Service, open_service
from loopback import Answer, LoopbackServer, loopback_server

AGENT = {"agent": {"name": "shop", "model": "openai/x"}, "prompts": [{"name": "p", "system_template": "Sell."}]}
CHECK = {"type": "contains", "params": {"patterns": ["hi"]}}


@pytest.fixture
def receiver() -> Iterator[LoopbackServer]:
    with loopback_server(lambda asked: Answer(body={"taken": True})) as running:
        yield running


class Shop:
    """An agent with one version, an eval of it, and a way to have executions with known ends."""

    def __init__(self, service: Service) -> None:
        self.service, self.client = service, service.client("run")
        self.runs = service.state.service(service.shop)

    async def make(self) -> Shop:
        self.agent = (await self.runs.create_agent(AGENT)).id
        await self.runs.publish_agent(self.agent)
        scenario = await self.runs.create_scenario(
            name="one", description="d", turns=[{"content": "hi"}], checks=[CHECK]
        )
        made = await self.runs.create_eval(name="nightly", scenario_ids=[scenario.id], agent_id=self.agent)
        self.eval = made.id
        return self

    async def execution(self, success: bool | None = True) -> int:
        [run] = await self.runs.create_runs(self.eval)
        if success is not None:
            await self.runs.update_run(run.id, status="completed", result={"success": success})
        assert run.execution_id is not None
        return run.execution_id

    async def environment(self, **fields: Any) -> dict[str, Any]:
        body = {"name": "production", "agent_id": self.agent, "eval_id": self.eval, **fields}
        answer = await self.client.post("/environments", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()


@pytest.fixture
async def shop(service: Service) -> Shop:
    return await Shop(service).make()


async def test_a_baseline_is_set_moved_listed_and_deleted(shop: Shop) -> None:
    client = shop.client
    first = await client.post("/baselines", json={"execution_id": await shop.execution()})
    assert first.status_code == 201
    second = await shop.execution(False)
    moved = await client.post("/baselines", json={"execution_id": second})
    assert (moved.status_code, moved.json()["id"]) == (200, first.json()["id"])
    assert (moved.json()["execution_id"], moved.json()["agent_version"]) == (second, 1)
    await client.post("/baselines", json={"execution_id": second, "name": "v1"})
    page = (await client.get("/baselines", params={"limit": 1})).json()
    rest = (await client.get("/baselines", params={"limit": 1, "cursor": page["next"]})).json()
    assert [item["name"] for item in (*page["data"], *rest["data"])] == ["default", "v1"]
    assert rest["next"] is None
    named = (await client.get("/baselines", params={"name": "v1", "eval_id": shop.eval})).json()["data"]
    assert [item["name"] for item in named] == ["v1"]
    path = first.headers["location"].removeprefix("/api/v1")
    assert (await client.get(path)).json() == moved.json()
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).status_code == 404


async def test_what_cannot_be_a_baseline_is_told(shop: Shop) -> None:
    unknown = await shop.client.post("/baselines", json={"execution_id": 999})
    assert (unknown.status_code, unknown.json()["problems"][0]["path"]) == (422, "execution_id")
    waiting = await shop.client.post("/baselines", json={"execution_id": await shop.execution(None)})
    assert waiting.status_code == 409


async def test_environments_are_defined_like_everything_else(shop: Shop) -> None:
    made = await shop.environment(webhook_url="https://deploy.example.com", headers={"Authorization": "Bearer ${T}"})
    path = f"/environments/{made['id']}"
    found = await shop.client.get(path)
    seen = {"If-Match": found.headers["etag"]}
    changed = await shop.client.patch(path, json={"timeout": 20, "agent_id": None}, headers=seen)
    assert (changed.json()["timeout"], changed.json()["agent_id"]) == (20, None)
    assert changed.json()["headers"] == {"Authorization": "Bearer ${T}"}
    assert (await shop.client.patch(path, json={"timeout": 30}, headers=seen)).status_code == 412
    assert (await shop.client.delete(path, headers=seen)).status_code == 412
    assert [item["id"] for item in (await shop.client.get("/environments")).json()["data"]] == [made["id"]]
    assert (await shop.client.post("/environments", json={"name": "production"})).status_code == 409
    assert (await shop.client.delete(path)).status_code == 204
    assert (await shop.client.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": "x", "eval_id": "nothing"}, "eval_id"),
        ({"name": "x", "agent_id": "nobody"}, "agent_id"),
        ({"name": "x", "webhook_url": "https://h", "timeout": 61}, "timeout"),
        ({"name": "x", "headers": {"A": "b"}}, ""),
        ({"name": "x", "webhook_url": "https://h", "headers": {"Authorization": "Bearer abcdefgh12345678"}}, None),
    ],
)
async def test_environments_that_cannot_be_are_refused(shop: Shop, fields: dict[str, Any], path: str | None) -> None:
    answer = await shop.client.post("/environments", json=fields)
    assert answer.status_code == 422
    if path is not None:
        assert [item["path"] for item in answer.json()["problems"]] == [path]


async def test_the_gate_says_which_execution_decided(shop: Shop) -> None:
    path = f"/agents/{shop.agent}/gate"
    assert (await shop.client.get(path)).status_code == 422
    none = (await shop.client.get(path, params={"eval_id": shop.eval})).json()
    assert (none["passed"], none["execution_id"]) == (False, None)
    number = await shop.execution()
    passed = (await shop.service.client("read").get(path, params={"eval_id": shop.eval, "version": 1})).json()
    assert (passed["passed"], passed["execution_id"], passed["counts"]) == (True, number, {"pass": 1})
    assert (await shop.client.get(path, params={"eval_id": shop.eval, "version": 9})).status_code == 404
    assert (await shop.client.get(path, params={"eval_id": "nothing"})).status_code == 404


async def test_a_deployment_passes_the_gate_and_tells_the_webhook_once(store: Any, receiver: LoopbackServer) -> None:
    async with open_service(store, allow_private_addresses=True) as service:
        shop = await Shop(service).make()
        place = await shop.environment(webhook_url=f"{receiver.url}/hook", allow_private_addresses=True)
        wanted = {"environment_id": place["id"]}
        refused = await shop.client.post("/deployments", json=wanted)
        assert (refused.status_code, refused.json()["status"]) == (201, "refused")
        number = await shop.execution()
        shown = (await shop.client.get(f"/environments/{place['id']}/preview")).json()
        assert (shown["method"], shown["body"]["gate"]["execution_id"]) == ("POST", number)
        assert receiver.asked == []
        key = {"Idempotency-Key": "once"}
        done, again = [await shop.client.post("/deployments", json=wanted, headers=key) for _ in range(2)]
        assert done.json() == again.json()
        assert (done.json()["status"], done.json()["gate"]["passed"]) == ("deployed", True)
        assert len(receiver.asked) == 1
        found = await shop.client.get(done.headers["location"].removeprefix("/api/v1"))
        assert found.json() == {name: value for name, value in done.json().items() if name != "gate"}
        listed = (await shop.client.get("/deployments", params={"agent_id": shop.agent})).json()["data"]
        assert [item["status"] for item in listed] == ["deployed", "refused"]


async def test_a_webhook_on_a_private_address_is_the_operators_decision(shop: Shop, receiver: LoopbackServer) -> None:
    await shop.execution()
    place = await shop.environment(webhook_url=f"{receiver.url}/hook", allow_private_addresses=True)
    done = (await shop.client.post("/deployments", json={"environment_id": place["id"]})).json()
    assert done["status"] == "failed"
    assert receiver.asked == []


async def test_deployments_that_name_what_is_not_there(shop: Shop) -> None:
    place = await shop.environment()
    for fields, path in (
        ({"environment_id": "nowhere"}, "environment_id"),
        ({"environment_id": place["id"], "agent_id": "nobody"}, None),
        ({"environment_id": place["id"], "eval_id": "nothing"}, "eval_id"),
        ({"environment_id": place["id"], "version": 9}, ""),
    ):
        answer = await shop.client.post("/deployments", json=fields)
        assert answer.status_code == 422, fields
        assert path is None or [item["path"] for item in answer.json()["problems"]] == [path]
