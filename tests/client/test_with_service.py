"""The client and a real service: pages, states, repeated requests, tokens, and a stream that outlives the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'server'")

from http_agent import http_agent
from running_service import running_service

from duologue.client import AsyncClient, Client
from duologue.errors import (
    ServiceAccessError,
    ServiceConflictError,
    ServiceInputError,
    ServiceNotFoundError,
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with running_service(tmp_path, workers=None) as server, Client(server.url, "") as made:
        yield made


async def test_definitions_with_both_faces(client: Client):
    names = [f"p{number}" for number in range(5)]
    made = [client.create_persona(name=name, goals=["tea"]) for name in names]
    assert [item.name for item in client.list_personas(limit=2)] == names
    assert client.list_personas(limit=2).page().next
    async with AsyncClient(client._settings.url, "") as other:
        assert [item.name async for item in other.list_personas(limit=2)] == names
        again = await other.create_persona(name="once", idempotency_key="k1")
        assert await other.create_persona(name="once", idempotency_key="k1") == again
        with pytest.raises(ServiceConflictError):
            await other.create_persona(name="once")
    found = client.get_persona(made[0].id)
    assert (found, found.etag) == (made[0], made[0].etag)
    changed = client.update_persona(found.id, if_match=found.etag, description="calm", goals=None)
    assert (changed.description, changed.goals) == ("calm", ())
    with pytest.raises(ServiceConflictError) as conflict:
        client.delete_persona(found.id, if_match=found.etag)
    assert (conflict.value.status, conflict.value.code) == (412, "changed_meanwhile")
    client.delete_persona(found.id, if_match=changed.etag)
    with pytest.raises(ServiceNotFoundError):
        client.get_persona(found.id)
    with pytest.raises(ServiceInputError) as refused:
        client.create_persona(name="x", stile={})  # type: ignore[call-arg]
    assert refused.value.problems[0].path == "stile"


def test_projects(client: Client):
    client.create_project(name="shop")
    client.create_project(name="bank")
    with pytest.raises(ServiceInputError, match="several projects"):
        client.create_persona(name="a")
    shop, bank = client.in_project("shop"), client.in_project("bank")
    shop.create_persona(name="a")
    assert [item.name for item in shop.list_personas()] == ["a"]
    assert bank.list_personas().all() == []


def test_tokens(tmp_path: Path):
    with running_service(tmp_path, workers=None) as server, Client(server.url, "") as local:
        reader = local.create_token(name="reader", scope="read").token
    with running_service(tmp_path, workers=None, token_required=True) as server:
        with Client(server.url, "") as nobody, pytest.raises(ServiceAccessError) as missing:
            nobody.list_personas().all()
        with Client(server.url, reader) as allowed:
            assert allowed.list_personas().all() == []
            with pytest.raises(ServiceAccessError) as forbidden:
                allowed.create_persona(name="a")
    assert (missing.value.status, forbidden.value.status) == (401, 403)
    assert reader not in str(forbidden.value)


def test_a_stream_outlives_the_server(tmp_path: Path):
    """Half of an execution with one server, half with the next one on the same port."""
    gate = threading.Event()

    def answer(said: str) -> str:
        if said == "second":
            gate.wait(60)
        return "ok"

    with ExitStack() as stack:
        url = stack.enter_context(http_agent(answer))
        first = stack.enter_context(ExitStack())
        server = first.enter_context(running_service(tmp_path))
        port = int(server.url.rpartition(":")[2])
        client = stack.enter_context(Client(server.url, "", retries=50))
        connector = client.create_connector(name="bot", type="http", base_url=url)
        scenarios = [client.create_scenario(name=name, turns=[{"content": name}]).id for name in ("first", "second")]
        saved = client.create_eval(name="e", scenario_ids=scenarios, connector_id=connector.id)
        execution = client.create_execution(eval_id=saved.id)
        seen: list[str] = []
        types: list[str] = []
        for event in client.watch_execution(execution.id):
            seen.append(event.id)
            types.append(event.type)
            if event.type == "run_completed" and first is not None:
                gate.set()
                first.close()
                stack.enter_context(running_service(tmp_path, port=port))
                first = None
    assert seen == [str(number) for number in range(1, len(seen) + 1)], "none is lost, none comes twice"
    assert types.count("run_completed") == 2
    assert types[-1] == "execution_completed"
