"""Executions and runs over HTTP: launched, carried out, read in every way, changed, labelled, compared, deleted."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from api_service import Service
from http_agents import HttpAgents, Reply, http_agents
from recorded_runs import DIGEST, recorded
from sqlalchemy import insert, select

from duologue.errors import NotFoundError
from duologue.runs.processor import RunProcessor
from duologue.runs.project_access import UsualPolicy
from duologue.runs.store.database.schema import artifacts, runs
from duologue.server.execution_view import ExecutionViews

TRIALS = 3


@pytest.fixture(scope="module")
def agent() -> Iterator[HttpAgents]:
    with http_agents() as running:
        running.more["/chat"] = lambda _: Reply({"message": {"content": "Of course."}})
        running.more["/broken"] = lambda _: Reply({"detail": "no"}, 500)
        yield running


class Shop:
    """An eval of a scenario with three trials, in the project ``shop``."""

    def __init__(self, service: Service) -> None:
        self.service, self.client = service, service.client("run")
        self.runs = service.state.service(service.shop)

    async def make(self, url: str, path: str = "/chat") -> Shop:
        self.scenario = await self.runs.create_scenario(
            name="refund", description="A refund.", turns=[{"content": "I want a refund."}]
        )
        self.connector = await self.runs.create_connector(name="bot", type="http", base_url=url, config={"path": path})
        self.eval = await self.runs.create_eval(
            name="refunds", scenario_ids=[self.scenario.id], connector_id=self.connector.id, trials=TRIALS
        )
        return self

    async def launch(self, **fields: Any) -> dict[str, Any]:
        answer = await self.client.post("/executions", json={"eval_id": "refunds", **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def carry_out(self) -> None:
        await RunProcessor(self.service.database, policy=UsualPolicy(private_addresses=True)).drain()

    async def all(self, path: str, **given: Any) -> list[dict[str, Any]]:
        """Every item of a list, page by page."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            answer = await self.client.get(path, params={**given, **({"cursor": cursor} if cursor else {})})
            assert answer.status_code == 200, answer.text
            page = answer.json()
            found += page["data"]
            cursor = page["next"]
            if cursor is None:
                return found


@pytest.fixture
async def shop(service: Service, agent: HttpAgents) -> Shop:
    return await Shop(service).make(agent.url)


async def test_an_execution_from_its_launch_to_its_reports(shop: Shop) -> None:
    made = await shop.launch(name="first", seed=7, priority=2)
    assert (made["status"], made["seed"], made["eval_id"]) == ("queued", 7, shop.eval.id)
    assert (made["counts"]["total"], made["counts"]["queued"], made["pass_rate"]) == (TRIALS, TRIALS, None)
    await shop.carry_out()
    place = f"/executions/{made['id']}"
    answer = await shop.client.get(place)
    assert (answer.json()["status"], answer.json()["counts"]["completed"]) == ("completed", TRIALS)
    again = await shop.client.get(place, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    summary = (await shop.client.get(f"{place}/summary")).json()
    assert summary["totals"]["runs"] == TRIALS
    assert summary["latency_ms"]["p50"] <= summary["latency_ms"]["p95"] <= summary["latency_ms"]["max"]
    assert [len(group["runs"]) for group in summary["groups"]] == [TRIALS]
    kinds = {"json": "application/json", "junit": "application/xml", "html": "text/html", "md": "text/markdown"}
    for name, kind in kinds.items():
        report = await shop.client.get(f"{place}/report", params={"format": name})
        assert report.status_code == 200, report.text
        assert report.headers["content-type"].startswith(kind)
        assert report.headers["content-disposition"].startswith("attachment")
        assert b"refund" in report.content
    assert (await shop.client.get(f"{place}/report", params={"format": "exe"})).status_code == 422


async def test_launching_twice_with_one_key_launches_once(shop: Shop) -> None:
    key = {"Idempotency-Key": "k"}
    first, second = [await shop.client.post("/executions", json={"eval_id": shop.eval.id}, headers=key) for _ in "ab"]
    assert first.json() == second.json()
    assert second.headers["idempotency-replayed"] == "true"
    assert len(await shop.all("/executions")) == 1


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({}, 422, "eval_id"),
        ({"eval_id": "nothing"}, 404, None),
        ({"eval_id": "refunds", "seed": -1}, 422, "seed"),
        ({"eval_id": "refunds", "seed": "7"}, 422, "seed"),
        ({"eval_id": "refunds", "priority": 2**31}, 422, "priority"),
        ({"eval_id": "refunds", "priority": True}, 422, "priority"),
        ({"eval_id": "refunds", "not_before": "tomorrow"}, 422, "not_before"),
        ({"eval_id": "refunds", "not_before": "2026-01-31T12:00:00"}, 422, "not_before"),
        ({"eval_id": "refunds", "max_attempts": 0}, 422, "max_attempts"),
        ({"eval_id": "refunds", "budget": -1}, 422, "budget"),
        ({"eval_id": "refunds", "name": ""}, 422, "name"),
        ({"eval_id": "refunds", "prio": 1}, 422, "prio"),
        ({"eval_id": ["refunds"]}, 422, "eval_id"),
    ],
)
async def test_what_cannot_be_launched_is_told_by_its_field(
    shop: Shop, body: dict[str, Any], status: int, path: str | None
) -> None:
    answer = await shop.client.post("/executions", json=body)
    assert answer.status_code == status, answer.text
    assert [item["path"] for item in answer.json()["problems"]] == ([] if path is None else [path])
    assert await shop.all("/executions") == []


async def test_a_name_is_taken_once_and_runs_may_wait(shop: Shop) -> None:
    await shop.launch(name="nightly", not_before="2999-01-31T12:00:00+02:00")
    answer = await shop.client.post("/executions", json={"eval_id": "refunds", "name": "nightly"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert await shop.service.database.queue.claim("w", 5) == []


async def test_lists_are_pages_the_newest_first(shop: Shop) -> None:
    ids = [(await shop.launch())["id"] for _ in range(5)]
    assert [item["id"] for item in await shop.all("/executions", limit=2)] == ids[::-1]
    assert [item["id"] for item in await shop.all("/executions", eval_id=shop.eval.id)] == ids[::-1]
    assert await shop.all("/executions", eval_id="another") == []
    every = await shop.all("/runs", limit=4)
    assert len(every) == 5 * TRIALS
    assert [item["number"] for item in every] == sorted((item["number"] for item in every), reverse=True)
    assert [item["id"] for item in await shop.all("/runs", limit=4, order="oldest")] == [
        item["id"] for item in every[::-1]
    ]
    of_one = await shop.all("/runs", execution_id=ids[2], limit=1)
    assert {item["execution_id"] for item in of_one} == {ids[2]}
    assert [item["trial"] for item in of_one] == [3, 2, 1]
    for name, value in {"eval_id": shop.eval.id, "scenario_id": shop.scenario.id, "status": "queued"}.items():
        assert len(await shop.all("/runs", **{name: value})) == 15
    for name, value in {"persona_id": "x", "connector_id": "x", "agent_id": "x", "outcome": "pass"}.items():
        assert await shop.all("/runs", **{name: value}) == []
    assert len(await shop.all("/runs", status=["queued", "running"])) == 15
    assert (await shop.client.get("/runs", params={"status": "waiting"})).status_code == 422
    assert (await shop.client.get("/runs", params={"cursor": "x"})).status_code == 422
    assert all("messages" not in item for item in every)


async def test_cancel_retry_and_delete(shop: Shop, agent: HttpAgents) -> None:
    made = await shop.launch()
    place = f"/executions/{made['id']}"
    changed = await shop.client.post(f"{place}/cancel")
    assert changed.json() == {"cancelled": TRIALS, "stopping": 0, "retried": 0}
    assert (await shop.client.get(place)).json()["status"] == "cancelled"
    assert (await shop.client.post(f"{place}/retry")).json()["retried"] == 0
    await shop.runs.update_connector(shop.connector.id, config={"path": "/broken"})
    made = await shop.launch()
    await shop.carry_out()
    place = f"/executions/{made['id']}"
    found = (await shop.client.get(place)).json()
    assert (found["counts"]["error"], found["pass_rate"]) == (TRIALS, None)
    assert (await shop.client.post(f"{place}/retry")).json()["retried"] == TRIALS
    assert (await shop.client.get(place)).json()["status"] == "queued"
    stale = await shop.client.delete(place, headers={"If-Match": '"of another time"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "changed_meanwhile")
    tag = (await shop.client.get(place)).headers["etag"]
    assert (await shop.client.delete(place, headers={"If-Match": tag})).status_code == 204
    assert (await shop.client.get(place)).status_code == 404
    assert (await shop.client.delete(place)).status_code == 404
    assert await shop.all("/runs", execution_id=made["id"]) == []


async def test_a_run_is_read_changed_and_deleted(shop: Shop) -> None:
    made = await shop.launch()
    await shop.carry_out()
    first = (await shop.all("/runs", execution_id=made["id"], order="oldest"))[0]
    place = f"/runs/{first['id']}"
    answer = await shop.client.get(place)
    run = answer.json()
    assert [message["content"] for message in run["messages"] if message["role"] != "system"] == [
        "I want a refund.",
        "Of course.",
    ]
    changed = await shop.client.patch(
        place,
        json={"result": {"success": False, "reason": "no"}, "metadata": {"ticket": 7}},
        headers={"If-Match": answer.headers["etag"]},
    )
    assert changed.status_code == 200, changed.text
    assert (changed.json()["outcome"], changed.json()["metadata"]) == ("fail", {"ticket": 7})
    assert changed.json()["result"] == {"success": False, "score": None, "reason": "no"}
    stale = await shop.client.patch(place, json={"priority": 1}, headers={"If-Match": answer.headers["etag"]})
    assert stale.status_code == 412
    assert (await shop.client.patch(place, json={"metadata": None})).json()["metadata"] == {}
    for body, path in (
        ({"priority": "high"}, "priority"),
        ({"status": "waiting"}, "status"),
        ({"result": {"success": "yes"}}, "result.success"),
        ({"messages": "hi"}, "messages"),
        ({"outcome": "pass"}, "outcome"),
    ):
        wrong = await shop.client.patch(place, json=body)
        assert wrong.status_code == 422, body
        assert [item["path"] for item in wrong.json()["problems"]] == [path]
    assert (await shop.client.post(f"{place}/retry")).status_code == 409
    assert (await shop.client.post(f"{place}/cancel")).json() == {"status": "over"}
    assert (await shop.client.delete(place)).status_code == 204
    assert (await shop.client.get(place)).status_code == 404


async def test_a_playground_run(shop: Shop) -> None:
    body = {"scenario_id": shop.scenario.id, "connector_id": shop.connector.id}
    made = await shop.client.post("/playground-runs", json=body)
    assert (made.status_code, made.json()["execution_id"]) == (201, None)
    assert made.headers["location"] == f"/api/v1/runs/{made.json()['id']}"
    assert (await shop.client.post("/playground-runs", json={**body, "persona_id": "x"})).status_code == 404
    cancelled = await shop.client.post(f"/runs/{made.json()['id']}/cancel")
    assert cancelled.json() == {"status": "cancelled"}


async def test_a_playground_run_of_a_saved_agent(shop: Shop) -> None:
    http = {"url": shop.connector.base_url + "/chat", "preset": "message", "body": {"messages": "{{messages}}"}}
    agent = (await shop.client.post("/agents", json={"agent": {"name": "bot", "http": http}})).json()["id"]
    body = {"scenario_id": shop.scenario.id, "agent_id": agent}
    for wrong, status in (
        (body, 404),  # it has no version
        ({**body, "agent_id": "x"}, 404),
        ({**body, "connector_id": shop.connector.id}, 422),
        ({"scenario_id": shop.scenario.id}, 422),
    ):
        answer = await shop.client.post("/playground-runs", json=wrong)
        assert answer.status_code == status, answer.text
    assert (await shop.client.post(f"/agents/{agent}/publish")).is_success
    made = await shop.client.post("/playground-runs", json=body)
    assert made.status_code == 201, made.text
    assert (made.json()["agent_id"], made.json()["agent_version"]) == (agent, 1)
    await shop.carry_out()
    run = (await shop.client.get(f"/runs/{made.json()['id']}")).json()
    assert [item["content"] for item in run["messages"] if item["role"] == "assistant"] == ["Of course."]


async def test_what_is_recorded_of_a_run(shop: Shop) -> None:
    await shop.launch()
    await shop.carry_out()
    run = (await shop.all("/runs"))[0]["id"]
    lines: list[dict[str, Any]] = []
    url = f"/api/v1/runs/{run}/journal?limit=2"
    while url:
        answer = await shop.client.get(f"http://localhost{url}")
        assert answer.headers["content-type"] == "application/jsonl"
        lines += [json.loads(line) for line in answer.text.splitlines()]
        link = answer.headers.get("link", "")
        url = link.partition(">")[0].removeprefix("<")
    assert [(line["attempt"], line["seq"]) for line in lines] == [(1, number) for number in range(len(lines))]
    assert (lines[0]["type"], lines[-1]["type"]) == ("run_started", "run_finished")
    transcript = (await shop.client.get(f"/runs/{run}/transcript")).json()
    assert [(item["id"], item["message"]["content"]) for item in transcript["messages"]] == [
        ("m1", "I want a refund."),
        ("m2", "Of course."),
    ]
    assert await shop.all(f"/runs/{run}/model-calls") == []
    waiting = (await shop.launch())["id"]
    [*_, waits] = await shop.all("/runs", execution_id=waiting)
    assert (await shop.client.get(f"/runs/{waits['id']}/journal")).text == ""
    assert (await shop.client.get(f"/runs/{waits['id']}/transcript")).json()["messages"] == []


async def test_model_calls_are_pages(service: Service) -> None:
    ids = await recorded(service.database, service.shop.id)
    client, found, cursor = service.client("read"), list[str](), None
    for _ in range(2):
        page = (
            await client.get(f"/runs/{ids['run_id']}/model-calls", params={"limit": 1, "cursor": cursor or ()})
        ).json()
        found += [item["id"] for item in page["data"]]
        cursor = page["next"]
    assert (found, cursor) == (["1.2", "2.2"], None)


# --- artifacts --------------------------------------------------------------------------------------------------------

DATA = bytes(range(256)) * 4


@pytest.fixture
async def artifact(service: Service) -> str:
    """Where an artifact is."""
    ids = await recorded(service.database, service.shop.id)
    kept = await service.state.artifacts.put(DATA, mime_type="audio/wav")

    def work(connection: Any) -> None:
        number = connection.execute(select(runs.c.number).where(runs.c.id == ids["run_id"])).scalar_one()
        row = {"run": number, "sha256": kept.sha256, "mime_type": "audio/wav", "size": len(DATA)}
        connection.execute(insert(artifacts).values(**row))

    await service.database.write(work)
    return f"/runs/{ids['run_id']}/artifacts/{kept.sha256}"


@pytest.mark.parametrize(
    ("asked", "status", "first", "last"),
    [
        (None, 200, 0, 1023),
        ("bytes=0-0", 206, 0, 0),
        ("bytes=5-9", 206, 5, 9),
        ("bytes=1000-", 206, 1000, 1023),
        ("bytes=1000-5000", 206, 1000, 1023),
        ("bytes=-10", 206, 1014, 1023),
        ("bytes=-5000", 206, 0, 1023),
        ("bytes=1024-", 416, 0, -1),
        ("bytes=-0", 416, 0, -1),
        ("bytes=9-5", 200, 0, 1023),
        ("bytes=0-1,5-6", 200, 0, 1023),
        ("bytes=-", 200, 0, 1023),
        ("lines=1-2", 200, 0, 1023),
    ],
)
async def test_parts_of_an_artifact(
    service: Service, artifact: str, asked: str | None, status: int, first: int, last: int
) -> None:
    answer = await service.client("read").get(artifact, headers={"Range": asked} if asked else {})
    assert (answer.status_code, answer.content) == (status, DATA[first : last + 1])
    assert answer.headers["content-length"] == str(last - first + 1)
    if status == 206:
        assert answer.headers["content-range"] == f"bytes {first}-{last}/1024"
    elif status == 416:
        assert answer.headers["content-range"] == "bytes */1024"


async def test_an_artifact_is_no_page(service: Service, artifact: str) -> None:
    client = service.client("read")
    answer = await client.get(artifact)
    assert answer.headers["content-type"] == "audio/wav"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert hashlib.sha256(answer.content).hexdigest() in answer.headers["etag"]
    again = await client.get(artifact, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    listed = (await client.get(artifact.rpartition("/")[0])).json()["data"]
    assert {item["sha256"] for item in listed} == {DIGEST, artifact.rpartition("/")[2]}
    missing = await client.get(f"{artifact.rpartition('/')[0]}/{DIGEST}")  # its bytes are not there
    assert missing.status_code == 404
    assert (await client.get(f"{artifact.rpartition('/')[0]}/{'0' * 64}")).status_code == 404
    assert (await service.client("read", "bank").get(artifact)).status_code == 404


@pytest.mark.parametrize("kind", ["text/html", "image/svg+xml", "application/xml", "text/javascript", "x; y", ""])
async def test_what_could_hold_a_program_is_plain_bytes(service: Service, kind: str) -> None:
    ids = await recorded(service.database, service.shop.id)
    kept = await service.state.artifacts.put(b"<script>", mime_type=kind)

    def work(connection: Any) -> None:
        number = connection.execute(select(runs.c.number).where(runs.c.id == ids["run_id"])).scalar_one()
        connection.execute(insert(artifacts).values(run=number, sha256=kept.sha256, mime_type=kind, size=8))

    await service.database.write(work)
    answer = await service.client("read").get(f"/runs/{ids['run_id']}/artifacts/{kept.sha256}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].endswith('.bin"')


# --- labels, comparisons, workers -------------------------------------------------------------------------------------


async def test_each_rater_has_one_label_for_a_criterion(service: Service) -> None:
    ids = await recorded(service.database, service.shop.id)
    place, ann, boss = f"/runs/{ids['run_id']}/labels", service.client("run"), service.client("admin")
    body = {"criterion": "A refund is promised", "value": "fail", "note": "only a voucher"}
    first = await ann.post(place, json=body)
    assert (first.status_code, first.json()["rater"]) == (201, "run-shop")
    second = await ann.post(place, json={**body, "value": "pass"})
    assert (second.status_code, second.json()["id"], second.json()["value"]) == (200, first.json()["id"], "pass")
    assert (await boss.post(place, json={"value": "unsure"})).json()["criterion"] == ""
    assert [item["rater"] for item in (await ann.get(place)).json()["data"]] == ["ann", "run-shop", "admin-shop"]
    every = await ann.get("/labels", params={"execution_id": ids["execution_id"], "limit": 2})
    assert (len(every.json()["data"]), every.json()["next"] is None) == (2, False)
    assert (await ann.post(place, json={"value": "good"})).json()["problems"][0]["path"] == "value"
    assert (await ann.delete(f"{place}/{ids['label_id']}")).status_code == 404  # another's
    assert (await boss.delete(f"{place}/{ids['label_id']}")).status_code == 204
    assert (await ann.delete(f"{place}/{first.json()['id']}")).status_code == 204


async def test_two_executions_are_compared(shop: Shop) -> None:
    ids = []
    for success in (True, False):
        made = await shop.launch(seed=7)
        await shop.carry_out()
        for run in await shop.all("/runs", execution_id=made["id"]):
            await shop.client.patch(f"/runs/{run['id']}", json={"result": {"success": success}, "status": "completed"})
        ids.append(made["id"])
    answer = await shop.client.get("/comparisons", params={"first": ids[0], "second": ids[1]})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [
        len(found["cases"]),
        found["overall"]["difference"]["value"] if "difference" in found["overall"] else -1,
    ] != []
    assert found["flips_in_all"] == TRIALS
    assert (await shop.client.get("/comparisons", params={"first": ids[0], "second": 99})).status_code == 404
    assert (await shop.client.get("/comparisons", params={"first": ids[0]})).status_code == 422
    wrong = {"first": ids[0], "second": ids[1], "first_agent": "nobody"}
    assert (await shop.client.get("/comparisons", params=wrong)).status_code == 422


async def test_workers_are_listed(shop: Shop) -> None:
    await shop.launch()
    await shop.carry_out()
    client: httpx.AsyncClient = shop.service.client("read")
    [worker] = (await client.get("/workers")).json()["data"]
    assert (worker["state"], worker["active"]) == ("stopped", 0)


async def test_pages_search_in_conversations_a_part_at_a_time(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from duologue.reports.html import search
    from duologue.server.pages import data

    made = await shop.launch()
    await shop.carry_out()
    place = f"/api/pages/executions/{made['id']}/runs"
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=shop.service.app),
        base_url="http://localhost",
        headers={"Authorization": shop.client.headers["authorization"]},
        params={"project": "shop"},
    )
    page = (await client.get(place, params={"q": "OF   course"})).json()
    assert (page["total"], page["all"], page["searched"]) == (TRIALS, TRIALS, {"done": TRIALS, "of": TRIALS})
    assert {run["hit"]["found"] for run in page["runs"]} == {"Of course"}
    message = page["runs"][0]["hit"]["message"]
    run = (await client.get(f"/api/pages/runs/{page['runs'][0]['id']}")).json()
    assert next(item["text"] for item in run["messages"] if item["id"] == message) == "Of course."
    assert (await client.get(place, params={"q": "nobody said this"})).json()["total"] == 0
    by_title = (await client.get(place, params={"q": "refund · bot"})).json()
    assert by_title["total"] == TRIALS
    assert "hit" not in by_title["runs"][0]
    assert "searched" not in (await client.get(place)).json()

    monkeypatch.setattr(data, "SECONDS", 0.0)
    monkeypatch.setattr(search, "PART", 2)
    looked = [(await client.get(place, params={"q": "course", **more})).json() for more in ({}, {}, {"further": True})]
    assert [page["searched"]["done"] for page in looked] == [2, 2, TRIALS]
    assert [page["total"] for page in looked] == [2, 2, TRIALS]
    await client.aclose()


async def test_pages_that_ask_at_once_read_an_execution_once(shop: Shop) -> None:
    number = (await shop.launch())["id"]
    await shop.carry_out()
    views = ExecutionViews(shop.service.database)
    found = await asyncio.gather(*(views.of(shop.service.shop.id, number) for _ in range(4)))
    assert all(view is found[0] for view in found)
    assert found[0].version == 1
    with pytest.raises(NotFoundError):
        await views.of(shop.service.shop.id, number + 999)
    assert await views.of(shop.service.shop.id, number) is found[0]
