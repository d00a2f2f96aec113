"""Every operation, one by one: who may use it, and that nobody reaches another project.

An operation that declares no scope fails here, as does one with an id that :func:`world` does not know.
"""

from __future__ import annotations

import json
import re
from typing import Any

from api_service import Service
from recorded_runs import recorded
from sqlalchemy import insert, select, update

from duologue.runs.schedules import Schedules
from duologue.runs.secrets import SecretStore
from duologue.runs.store.calls import CallSourceSpec, FetchedSoFar, PlatformCall
from duologue.runs.store.database.calls import Calls
from duologue.runs.store.database.environments import Environments
from duologue.runs.store.database.schema import baselines, deployments, metadata
from duologue.server import create_app
from duologue.server.openapi import document, routes_of, scope_of

APP = create_app()
PUBLIC = {"get_health", "get_version"}
"""Operations for which no token is needed: nothing of a project is in their answers."""
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in document(APP)["paths"].items()
    for method, operation in methods.items()
}
GUARDED = sorted(OPERATIONS.keys() - PUBLIC)
NOT_COMPARED = {"idempotency"}
"""Tables that say who has asked, and not what there is."""


async def world(service: Service) -> dict[str, str]:
    """Something of each kind in the project ``shop``, by the names of the ids in paths."""
    definitions, shop = service.state.definitions, service.shop.id
    persona = await definitions.create_persona(shop, {"name": "somebody"})
    scenario = await definitions.create_scenario(
        shop, {"name": "s", "description": "Says hello.", "criteria": ["it is polite"]}
    )
    connector = await definitions.create_connector(shop, name="c", type="http", base_url="https://agent.invalid")
    eval_ = await definitions.create_eval(shop, name="e", scenario_ids=[scenario.id], connector_id=connector.id)
    agent = await service.state.agents.create_agent(shop, {"agent": {"name": "a", "model": "openai/gpt-5-mini"}})
    await service.state.agents.publish_agent(agent.id)
    schedule = await Schedules(service.database).create(eval_.id, "0 6 * * *")
    _, made = await service.state.tokens.create_token("t", project_id=shop)
    await SecretStore(service.database).set_secret(shop, "SHOP_KEY", "very-secret-1")
    metric = await service.state.metrics.create_metric(shop, {"name": "empathy", "rubric": "5: kind. 0: rude."})
    environment = await Environments(service.database).create_environment(shop, {"name": "production"})
    deployment = await Environments(service.database).add_deployment(
        environment, agent_id=agent.id, agent_version=1, execution_id=None, status="deployed"
    )
    recorded_ids = await recorded(service.database, shop)
    source, call = await fetched(service)
    return {
        "environment_id": environment.id,
        "deployment_id": await renumbered(service, deployment.id),
        "baseline_id": await baseline(service, eval_.id, int(recorded_ids["execution_id"])),
        "source_id": source,
        "call_id": call,
        "metric_id": metric.id,
        "project_id": shop,
        "persona_id": persona.id,
        "scenario_id": scenario.id,
        "connector_id": connector.id,
        "eval_id": eval_.id,
        "agent_id": agent.id,
        "version": "1",
        "schedule_id": schedule.id,
        "token_id": made.id,
        "secret_name": "SHOP_KEY",
        "check_type": "contains",
        **recorded_ids,
    }


DEPLOYMENT = 736_451_928
"""A number that is found in no other text."""


async def renumbered(service: Service, deployment: int) -> str:
    change = update(deployments).where(deployments.c.id == deployment).values(id=DEPLOYMENT)
    await service.database.write(lambda connection: connection.execute(change))
    return str(DEPLOYMENT)


async def baseline(service: Service, eval_id: str, execution: int) -> str:
    values = {"project_id": service.shop.id, "eval_id": eval_id, "agent_id": "", "execution_id": execution}
    row = {"id": "baseline-of-the-shop", "name": "v1", "created_at": 0.0, "updated_at": 0.0, **values}
    await service.database.write(lambda connection: connection.execute(insert(baselines).values(row)))
    return "baseline-of-the-shop"


async def fetched(service: Service) -> tuple[str, str]:
    calls = Calls(service.database)
    source = await calls.put_source(service.shop.id, "retell", "agent_1", None, CallSourceSpec())
    call = PlatformCall(id="c1", position=0.0, started_at=0.0, seconds=5.0, is_over=True, data={"call_id": "c1"})
    await calls.store_page(source, [call], FetchedSoFar(), None)
    return source.id, (await calls.list_calls(service.shop.id))[0].id


NAMES_ITS_PROJECT = {"create_token"}
"""Operations that name their project in the body."""
PUBLIC_IDS = {"version", "check_type"}
"""Names in paths that belong to no project."""


def path_of(operation: str, ids: dict[str, str]) -> str:
    path = OPERATIONS[operation][1].removeprefix("/api/v1")
    missing = set(re.findall(r"\{(\w+)\}", path)) - ids.keys()
    assert not missing, f"{operation}: add {missing} to the world of this test"
    return path.format(**ids)


def body_of(operation: str) -> Any:
    content = OPERATIONS[operation][2].get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else content.get("example", {})


async def everything(service: Service) -> str:
    """All that is stored, as text."""
    await service.state.settled()

    def work(connection: Any) -> str:
        tables = [table for table in metadata.sorted_tables if table.name not in NOT_COMPARED]
        rows = {table.name: [list(row) for row in connection.execute(select(table))] for table in tables}
        for row in rows["tokens"]:
            row[-3:] = []  # when it was used
        return json.dumps(rows, default=str)

    return await service.database.read(work)


def test_every_operation_declares_a_scope_or_is_public() -> None:
    undeclared = [route.operation_id for route in routes_of(APP) if scope_of(route) is None]
    assert set(undeclared) == PUBLIC


def test_operation_ids_are_unique_and_chosen() -> None:
    ids = [route.operation_id for route in routes_of(APP)]
    assert len(set(ids)) == len(ids)
    assert all(id_ and re.fullmatch(r"[a-z]+(_[a-z]+)*", id_) for id_ in ids)


def test_every_body_and_every_operation_is_described() -> None:
    for id_, (method, _, operation) in OPERATIONS.items():
        assert operation.get("summary"), id_
        assert operation.get("description"), id_
        if method in {"POST", "PATCH", "PUT"} and "requestBody" in operation:
            assert body_of(id_), f"{id_} has no example of a body"


async def test_without_a_token_nothing_is_answered(service: Service) -> None:
    ids = await world(service)
    before = await everything(service)
    for operation in GUARDED:
        method = OPERATIONS[operation][0]
        answer = await service.client("").request(method, path_of(operation, ids), json=body_of(operation))
        assert answer.status_code == 401, (operation, answer.text)
        assert answer.headers["www-authenticate"].startswith("Bearer"), operation
    assert before == await everything(service)


async def test_the_token_of_another_project_reaches_nothing(service: Service) -> None:
    ids = await world(service)
    before = await everything(service)
    client = service.client("admin", "bank")
    for operation in GUARDED:
        method, path, described = OPERATIONS[operation]
        body = body_of(operation)
        if operation in NAMES_ITS_PROJECT:
            body = {**body, "project": "shop"}
        needed = [item for item in described.get("parameters", ()) if item["in"] == "query" and item.get("required")]
        params: dict[str, Any] = {item["name"]: 1 for item in needed}
        if "{" not in path or "secret" in path:
            params["project"] = "shop"
        answer = await client.request(method, path_of(operation, ids), json=body, params=params)
        if method == "GET" and answer.status_code == 200:  # what is no project's own
            own = {id_ for name, id_ in ids.items() if name not in PUBLIC_IDS}
            assert not any(id_ in answer.text for id_ in own), operation
        else:
            expected = {422} if operation in NAMES_ITS_PROJECT else {403, 404}
            assert answer.status_code in expected, (operation, answer.text)
    assert before == await everything(service)


async def test_too_small_a_scope_is_refused(service: Service) -> None:
    ids = await world(service)
    before = await everything(service)
    for operation in GUARDED:
        method, needed = OPERATIONS[operation][0], OPERATIONS[operation][2]["x-scope"]
        for scope in {"read": [], "run": ["read"], "admin": ["read", "run"]}[needed]:
            answer = await service.client(scope).request(method, path_of(operation, ids), json=body_of(operation))
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), (operation, answer.text)
    assert before == await everything(service)
