"""Production calls, test cases that a model writes, predefined metrics and agreement, over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_service import Service, open_service
from call_platforms import KEY, CallPlatforms
from loopback import LoopbackServer, loopback_server
from openai_server import OpenAIServer, Reply, openai_server, text

from duologue.runs.secrets import SecretStore
from duologue.server import bounded


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUOLOGUE_SECRET_KEY", "k" * 43 + "=")


@pytest.fixture
async def service(store: Path) -> AsyncIterator[Service]:
    """A service whose projects may call the servers of these tests."""
    async with open_service(store, allow_private_addresses=True) as opened:
        yield opened


@pytest.fixture
def platforms() -> CallPlatforms:
    return CallPlatforms()


@pytest.fixture
def platform(platforms: CallPlatforms) -> Iterator[LoopbackServer]:
    with loopback_server(platforms) as running:
        yield running


@pytest.fixture
async def model() -> AsyncIterator[OpenAIServer]:
    async with openai_server() as running:
        yield running


class TestCalls:
    @pytest.fixture
    async def source(self, service: Service, platform: LoopbackServer) -> dict[str, Any]:
        await SecretStore(service.database).set_secret(service.shop.id, "PLATFORM", KEY)
        body = {"platform": "retell", "platform_agent_id": "agent_1", "api_key": "${PLATFORM}", "url": platform.url}
        made = await service.client("run").post("/call-sources", json={**body, "allow_private_addresses": True})
        assert made.status_code == 201, made.text
        return made.json()

    async def test_calls_are_fetched_looked_at_labelled_and_deleted(
        self, service: Service, platforms: CallPlatforms, source: dict[str, Any]
    ) -> None:
        platforms.add(3)
        client = service.client("run")
        path = f"/call-sources/{source['id']}"
        done = (await client.post(f"{path}/pull")).json()
        assert (done["new"], done["known"], done["more"], done["source"]["complete"]) == (3, 0, False, True)
        assert KEY not in json.dumps(done)
        page = (await client.get("/calls", params={"limit": 2})).json()
        rest = (await client.get("/calls", params={"limit": 2, "cursor": page["next"]})).json()
        listed = [*page["data"], *rest["data"]]
        assert [item["platform_call_id"] for item in listed] == ["c2", "c1", "c0"]
        assert rest["next"] is None
        call = f"/calls/{listed[0]['id']}"
        found = (await client.get(call)).json()
        assert [item["content"] for item in found["messages"]][:2] == ["Hello, the shop.", "My kettle leaks."]
        assert found["seen_at"] is None
        assert (await service.client("read").patch(call, json={"seen": True})).status_code == 403
        changed = (await client.patch(call, json={"label": "bad", "seen": True})).json()
        assert (changed["label"], changed["seen_at"] is None) == ("bad", False)
        for params, expected in (({"label": "bad"}, 1), ({"label": "good"}, 0), ({"seen": False}, 2)):
            assert len((await client.get("/calls", params=params)).json()["data"]) == expected
        assert (await client.patch(call, json={"label": None})).json()["label"] is None
        first, again = [(await client.post(f"{call}/run")).json() for _ in range(2)]
        assert first == again
        assert (await client.get(f"/runs/{first['run_id']}")).json()["outcome"] == "undecided"
        assert (await client.delete(call)).status_code == 204
        assert (await client.get(call)).status_code == 404
        assert (await client.post(f"{path}/pull")).json()["new"] == 0
        assert (await client.delete(path)).status_code == 204
        assert (await client.get("/calls")).json()["data"] == []

    async def test_a_call_becomes_a_test_case_without_a_model(
        self, service: Service, platforms: CallPlatforms, source: dict[str, Any]
    ) -> None:
        platforms.add(1)
        client = service.client("run")
        await client.post(f"/call-sources/{source['id']}/pull", json={"pages": 1})
        [call] = (await client.get("/calls")).json()["data"]
        made = (await client.post(f"/calls/{call['id']}/test-case", json={"write": False})).json()
        [scenario] = made["scenarios"]
        assert (await client.get(f"/scenarios/{scenario['id']}")).json()["name"] == scenario["name"]
        only = (await client.post(f"/calls/{call['id']}/test-case", json={"write": False, "save": False})).json()
        assert only["scenarios"][0]["id"] is None

    async def test_a_source_is_replaced_and_a_key_is_not_written_out(
        self, service: Service, source: dict[str, Any]
    ) -> None:
        client = service.client("run")
        body = {"platform": "retell", "platform_agent_id": "agent_1"}
        again = await client.post("/call-sources", json={**body, "api_key": "${OTHER}"})
        assert (again.status_code, again.json()["id"], again.json()["url"]) == (200, source["id"], None)
        for fields in ({"api_key": "key_0123456789abcdef"}, {"platform": "other"}, {"agent_id": "nobody"}):
            assert (await client.post("/call-sources", json={**body, **fields})).status_code == 422, fields
        assert [item["id"] for item in (await client.get("/call-sources")).json()["data"]] == [source["id"]]

    async def test_a_platform_that_refuses_or_is_late_is_to_blame(
        self, service: Service, source: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        client, path = service.client("run"), f"/call-sources/{source['id']}/pull"
        release = asyncio.Event()

        async def late(*_: Any, **__: Any) -> None:
            await release.wait()

        monkeypatch.setattr(type(service.state.service(service.shop)), "pull_calls", late)
        monkeypatch.setattr(bounded.ends_in_time.__wrapped__, "__defaults__", (0.05,))
        answer = await client.post(path)
        assert (answer.status_code, answer.json()["code"]) == (502, "platform_failed")
        assert "what was fetched until then is kept" in answer.json()["detail"]


def case(name: str, **fields: Any) -> dict[str, Any]:
    persona = {"name": "Pat", "description": "Polite."}
    return {"name": name, "situation": "It leaks.", "goal": "A new one.", "persona": persona, **fields}


def written(*cases: dict[str, Any]) -> Reply:
    return text(json.dumps({"cases": [{"criteria": ["It helps"], **item} for item in cases]}))


class TestCasesOfAModel:
    @pytest.fixture
    async def agent(self, service: Service, model: OpenAIServer) -> str:
        await SecretStore(service.database).set_secret(service.shop.id, "WRITER_KEY", "k-of-the-writer")
        runs = service.state.service(service.shop)
        writer: dict[str, Any] = {"name": "writer", "provider": "openai", "model": "gpt-x", "base_url": model.url}
        writer["credential"] = {"credential_env": "WRITER_KEY"}
        await runs.update_project(settings={"evaluation_model": "writer", "models": [writer]})
        draft = {"agent": {"name": "shop", "model": "writer"}, "prompts": [{"name": "p", "system_template": "Sell."}]}
        return (await runs.create_agent(draft)).id

    async def test_cases_are_written_and_saved(self, service: Service, model: OpenAIServer, agent: str) -> None:
        model.script(written(case("leak"), case("late")))
        client = service.client("run")
        answer = await client.post("/test-cases/generate", json={"agent_id": agent, "count": 2})
        assert answer.status_code == 200, answer.text
        made = answer.json()
        assert [item["name"] for item in made["scenarios"]] == ["leak", "late"]
        listed = (await client.get("/scenarios")).json()["data"]
        assert [item["id"] for item in listed] == [item["id"] for item in made["scenarios"]]
        assert {item["id"] for item in (await client.get("/personas")).json()["data"]} == {
            item["id"] for item in made["personas"]
        }

    async def test_a_conversation_becomes_a_case_and_is_edited(
        self, service: Service, model: OpenAIServer, agent: str
    ) -> None:
        client = service.client("run")
        said = [{"role": "user", "content": "It leaks."}, {"role": "assistant", "content": "I am sorry."}]
        model.script(written(case("leak")))
        path = "/test-cases/from-conversation"
        made = await client.post(path, json={"messages": said, "agent_id": agent, "source": "call 7"})
        assert made.status_code == 200, made.text
        [scenario] = made.json()["scenarios"]
        assert "It leaks." in json.dumps(model.requests[-1]["messages"])
        assert scenario["annotations"]["duologue/source"] == "call 7"
        for wrong in ({}, {"messages": said, "run_id": "r"}):
            assert (await client.post(path, json=wrong)).status_code == 422
        missing = await client.post(path, json={"run_id": "nothing"})
        assert [item["path"] for item in missing.json()["problems"]] == ["run_id"]
        stale = {"If-Match": '"other"'}
        asked = {"instruction": "Shorter."}
        edit = f"/scenarios/{scenario['id']}/edit"
        assert (await client.post(edit, json=asked, headers=stale)).status_code == 412

    @pytest.mark.parametrize("broken", ["no JSON", "HTTP 401", "nothing is known", "budget", "late"])
    async def test_what_went_wrong_is_told_and_nothing_is_saved(
        self, service: Service, model: OpenAIServer, agent: str, broken: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        body: dict[str, Any] = {"agent_id": agent, "count": 1}
        expected = (502, "model_failed")
        match broken:
            case "no JSON":
                model.script(text("I cannot."), text("No."), text("No."), text("No."))
            case "HTTP 401":
                model.script(Reply(status=401, body={"error": {"message": "bad key"}}))
            case "nothing is known":
                body, expected = {"count": 1}, (422, "invalid")
            case "budget":
                body |= {"model": "openai/gpt-5-mini", "budget": 0}
                await SecretStore(service.database).set_secret(service.shop.id, "OPENAI_API_KEY", "k-of-openai")
                expected = (422, "budget_exceeded")
            case _:
                model.script(Reply(hang=True))
                monkeypatch.setattr(bounded.ends_in_time.__wrapped__, "__defaults__", (0.2,))
        answer = await service.client("run").post("/test-cases/generate", json=body)
        assert (answer.status_code, answer.json()["code"]) == expected, answer.text
        assert (await service.client("run").get("/scenarios")).json()["data"] == []

    async def test_the_keys_of_the_operator_and_of_other_projects_are_not_those_of_the_project(
        self, service: Service, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "k-of-the-operator")
        await SecretStore(service.database).set_secret(service.shop.id, "OPENAI_API_KEY", "k-of-the-shop")
        body = {"count": 1, "instructions": "refunds", "model": "openai/gpt-5-mini", "budget": 0}
        path = "/test-cases/generate"
        assert (await service.client("run").post(path, json=body)).json()["code"] == "budget_exceeded"
        answer = await service.client("run", "bank").post(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), answer.text
        assert "OPENAI_API_KEY" in answer.json()["detail"]

    async def test_a_metric_is_drafted(self, service: Service, model: OpenAIServer, agent: str) -> None:
        steps = {str(score): f"{score} of 5" for score in range(6)}
        codes = [{"name": "guessed", "when": "It guessed."}]
        fields = {"description": "Asks.", "not_applicable": "", "failure_codes": codes}
        model.script(text(json.dumps({"name": "asks", "rubric": steps, **fields})))
        answer = await service.client("run").post("/metrics/draft", json={"about": "it asks", "agent_id": agent})
        assert answer.status_code == 200, answer.text
        found = (await service.client("run").get(f"/metrics/{answer.json()['id']}")).json()
        assert (found["name"], found["draft"]) == ("asks", True)


async def test_predefined_metrics_can_be_the_start_of_ones_own(service: Service) -> None:
    client = service.client("run")
    found = (await client.get("/metrics/predefined")).json()["data"]
    assert "task_completion" in [item["name"] for item in found]
    for index, item in enumerate(found):
        made = await client.post("/metrics", json={**item, "name": f"own_{index}"})
        assert made.status_code == 201, made.text


async def test_agreement_of_judge_and_people(service: Service) -> None:
    shop = service.state.service(service.shop)
    check = {"type": "contains", "params": {"patterns": ["Of course"]}}
    scenario = await shop.create_scenario(name="s", description="d", turns=[{"content": "hi"}], checks=[check])
    connector = await shop.create_connector(name="c", type="http", base_url="http://127.0.0.1:9")
    made = await shop.create_eval(name="e", scenario_ids=[scenario.id], connector_id=connector.id, trials=4)
    launched = await shop.create_runs(made.id)
    for index, run in enumerate(launched):
        await shop.update_run(run.id, status="completed", result={"success": index < 2})
    client = service.client("run")
    for run, value in zip(launched, ("pass", "fail", "fail", "unsure"), strict=True):
        await client.post(f"/runs/{run.id}/labels", json={"value": value})
    found = (await client.get("/labels/agreement")).json()
    assert (found["runs"], found["labels"]) == (4, 4)
    [verdict] = found["criteria"]
    assert (verdict["criterion"], verdict["compared"], verdict["undecided"]) == ("verdict", 3, 1)
    assert verdict["agreement"]["rate"] == pytest.approx(2 / 3)
    assert "Fewer than 20 labels" in found["remarks"][0]
    few = (await client.get("/labels/agreement", params={"runs": 1})).json()
    assert (few["runs"], few["labels"]) == (1, 1)
    none = (await client.get("/labels/agreement", params={"eval_id": "another"})).json()
    assert (none["runs"], none["criteria"]) == (0, [])
