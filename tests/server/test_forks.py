"""Runs continued over HTTP: from every turn, with another line or agent, and refused where they cannot be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from api_service import Service
from http_agents import HttpAgents, Reply, http_agents

from duologue.errors import NotFoundError
from duologue.runs.processor import RunProcessor
from duologue.runs.project_access import UsualPolicy
from duologue.runs.store.database.rows import get_run

LINES = ["I want a refund.", "It is 45 days old.", "So what now?"]


@pytest.fixture
def agent() -> Iterator[HttpAgents]:
    """It says how many messages it was given; the other one says so in capitals."""
    with http_agents() as running:
        running.more["/chat"] = lambda asked: Reply({"message": {"content": f"heard {len(_messages(asked))}"}})
        running.more["/loud"] = lambda asked: Reply({"message": {"content": f"HEARD {len(_messages(asked))}"}})
        yield running


def _messages(asked: Any) -> list[Any]:
    return asked.body["messages"]


class Desk:
    """A run of three turns that is over, in the project ``shop``."""

    def __init__(self, service: Service) -> None:
        self.service, self.client = service, service.client("run")
        self.runs = service.state.service(service.shop)

    async def make(self, url: str) -> Desk:
        self.scenario = await self.runs.create_scenario(
            name="refund", description="A refund.", turns=[{"content": line} for line in LINES]
        )
        made = {"type": "http", "base_url": url}
        self.connector = await self.runs.create_connector(name="bot", config={"path": "/chat"}, **made)
        self.loud = await self.runs.create_connector(name="loud", config={"path": "/loud"}, **made)
        self.eval = await self.runs.create_eval(
            name="refunds", scenario_ids=[self.scenario.id], connector_id=self.connector.id
        )
        run = await self.runs.create_run(self.eval.id)
        await self.carry_out()
        self.run = (await self.client.get(f"/runs/{run.id}")).json()
        return self

    async def carry_out(self) -> None:
        await RunProcessor(self.service.database, policy=UsualPolicy(private_addresses=True)).drain()

    async def fork(self, **fields: Any) -> Any:
        return await self.client.post(f"/runs/{self.run['id']}/fork", json=fields)

    async def forked(self, **fields: Any) -> list[list[str]]:
        """What was said in each continuation, once all are over."""
        answer = await self.fork(**fields)
        assert answer.status_code == 201, answer.text
        await self.carry_out()
        found = (await self.client.get("/runs", params={"execution_id": answer.json()["id"]})).json()["data"]
        return [await self.said(run["id"]) for run in found]

    async def said(self, run_id: str) -> list[str]:
        run = (await self.client.get(f"/runs/{run_id}")).json()
        assert run["status"] == "completed", run
        return [message["content"] for message in run["messages"] if message["role"] != "system"]


@pytest.fixture
async def desk(service: Service, agent: HttpAgents) -> Desk:
    return await Desk(service).make(agent.url)


async def test_a_run_is_continued_from_every_turn(desk: Desk) -> None:
    whole = await desk.said(desk.run["id"])
    assert whole == [LINES[0], "heard 1", LINES[1], "heard 3", LINES[2], "heard 5"]
    for turn in range(4):
        assert await desk.forked(turn=turn, trials=2) == [whole, whole], turn


async def test_only_what_comes_after_the_turn_is_asked_for(desk: Desk, agent: HttpAgents) -> None:
    agent.more["/chat"] = lambda asked: Reply({"message": {"content": "new"}})
    assert await desk.forked(turn=2, trials=1) == [[LINES[0], "heard 1", LINES[1], "heard 3", LINES[2], "new"]]
    assert await desk.forked(turn=2, trials=1, again=True) == [[LINES[0], "new", LINES[1], "new", LINES[2], "new"]]


async def test_another_line_another_agent(desk: Desk) -> None:
    said = await desk.forked(turn=1, trials=1, say="Never mind.")
    assert said == [[LINES[0], "heard 1", "Never mind.", "heard 3", LINES[2], "heard 5"]]
    said = await desk.forked(turn=2, trials=1, connector_id=desk.loud.id)
    assert said == [[LINES[0], "heard 1", LINES[1], "heard 3", LINES[2], "HEARD 5"]]


async def test_the_execution_says_where_it_begins_and_stays_out_of_the_eval(desk: Desk) -> None:
    made = await desk.fork(turn=1, trials=3, say="Hm.", name="again", priority=7)
    assert made.status_code == 201
    body = made.json()
    assert made.headers["location"] == f"/api/v1/executions/{body['id']}"
    assert body["fork"] == {"run_id": desk.run["id"], "turn": 1, "say": "Hm."}
    assert (body["name"], body["eval_id"], body["status"], body["counts"]["total"]) == ("again", None, "queued", 3)
    found = (await desk.client.get("/runs", params={"execution_id": body["id"]})).json()["data"]
    assert {run["priority"] for run in found} == {7}
    assert sorted(run["trial"] for run in found) == [1, 2, 3]
    assert len({run["seed"] for run in found}) == 3
    assert {run["scenario_id"] for run in found} == {desk.scenario.id}
    first = (await desk.client.get(f"/executions/{desk.run['execution_id']}")).json()
    assert first["fork"] is None


async def test_definitions_that_changed_since_change_nothing(desk: Desk) -> None:
    await desk.runs.update_scenario(desk.scenario.id, turns=[{"content": "Something else."}])
    said = await desk.forked(turn=1, trials=1)
    assert said == [[LINES[0], "heard 1", LINES[1], "heard 3", LINES[2], "heard 5"]]


async def test_a_fork_names_the_run_to_fork_instead(desk: Desk) -> None:
    body = (await desk.fork(turn=1, trials=1, say="Never mind.")).json()
    await desk.carry_out()
    run = (await desk.client.get("/runs", params={"execution_id": body["id"]})).json()["data"][0]
    answer = await desk.client.post(f"/runs/{run['id']}/fork", json={"turn": 2})
    assert answer.status_code == 422
    assert desk.run["id"] in answer.json()["detail"]


async def test_the_same_request_makes_one_execution(desk: Desk) -> None:
    asked = {"json": {"turn": 1, "trials": 2}, "headers": {"Idempotency-Key": "once"}}
    first, second = [await desk.client.post(f"/runs/{desk.run['id']}/fork", **asked) for _ in range(2)]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] == second.json()["id"]
    assert len((await desk.client.get("/executions")).json()["data"]) == 2


REFUSED = [
    ({"turn": 4}, 422, "turn", "expected 0 to 3"),
    ({"turn": -1}, 422, "turn", ""),
    ({"turn": "1"}, 422, "turn", ""),
    ({}, 422, "turn", ""),
    ({"turn": 1, "trials": 0}, 422, "trials", ""),
    ({"turn": 1, "trials": 1001}, 422, "trials", ""),
    ({"turn": 1, "say": ""}, 422, "say", ""),
    ({"turn": 1, "say": " \n"}, 422, "say", "without words"),
    ({"turn": 1, "budget": -1}, 422, "budget", ""),
    ({"turn": 1, "model": "openai:gpt"}, 422, "model", "not made of a model"),
    ({"turn": 1, "agent": "nobody"}, 422, None, "nobody"),
    ({"turn": 1, "agent_version": 1}, 422, "agent_version", "agent_id"),
    ({"turn": 1, "agent": "bot", "connector_id": "x"}, 422, "connector_id", "keep one"),
    ({"turn": 1, "connector_id": "x"}, 404, None, "Connector"),
    ({"turn": 1, "agent_id": "x"}, 404, None, "Agent"),
    ({"turn": 1, "turns": 1}, 422, "turns", ""),
]


async def test_what_cannot_be_forked_is_refused(desk: Desk) -> None:
    for fields, status, path, told in REFUSED:
        answer = await desk.fork(**fields)
        body = answer.json()
        assert (answer.status_code, body["status"]) == (status, status), (fields, body)
        assert told in json.dumps(body), (fields, body)
        if path is not None:
            assert path in {item["path"] for item in body["problems"]}, (fields, body)
    assert len((await desk.client.get("/executions")).json()["data"]) == 1


async def test_who_may_not_fork(desk: Desk) -> None:
    path = f"/runs/{desk.run['id']}/fork"
    for scope, project, status in (("", "shop", 401), ("read", "shop", 403), ("run", "bank", 404)):
        answer = await desk.service.client(scope, project).post(path, json={"turn": 1})
        assert answer.status_code == status, (scope, project)
    connector = await desk.service.state.service(desk.service.bank).create_connector(
        name="other", type="http", base_url="http://agent.invalid"
    )
    assert (await desk.fork(turn=1, connector_id=connector.id)).status_code == 404
    assert (await desk.client.post("/runs/nothing/fork", json={"turn": 1})).status_code == 404


async def test_a_run_that_is_not_over_or_has_no_journal(desk: Desk) -> None:
    waiting = await desk.runs.create_run(desk.eval.id)
    answer = await desk.client.post(f"/runs/{waiting.id}/fork", json={"turn": 0})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    await desk.client.post(f"/runs/{waiting.id}/cancel")
    answer = await desk.client.post(f"/runs/{waiting.id}/fork", json={"turn": 0})
    assert answer.status_code == 422
    assert "no journal" in answer.json()["detail"]


async def test_from_python(desk: Desk) -> None:
    made = await desk.runs.fork_run(desk.run["id"], 3, trials=1, say="One more thing.")
    await desk.carry_out()
    found = await get_run(desk.service.database, made.ids[0])
    assert found is not None
    assert [text.get("content") for text in found.messages][-2:] == ["One more thing.", "heard 7"]
    with pytest.raises(NotFoundError):
        await desk.runs.fork_run("nothing", 0)
