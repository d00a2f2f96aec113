"""A saved agent is asked for one turn, outside of any run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_service import Service, open_service
from loopback import Answer, Asked, LoopbackServer, loopback_server

SAID = {"role": "user", "content": "Where is {{order}}?"}


def answered(asked: Asked) -> Answer:
    """As a model, or as an agent behind an endpoint."""
    if asked.path == "/broken":
        return Answer(body={"error": "out of order"}, status=500)
    if not asked.path.endswith("/chat/completions"):
        return Answer(body={"message": {"role": "assistant", "content": f"heard {len(asked.json['messages'])}"}})
    last = asked.json["messages"][-1]["content"]
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"heard: {last}"}}
    more = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return Answer(body={"choices": [choice], "usage": usage, **more})


@pytest.fixture
def peer() -> Iterator[LoopbackServer]:
    with loopback_server(answered) as running:
        yield running


@pytest.fixture
async def service(store: Path) -> AsyncIterator[Service]:
    async with open_service(store, allow_private_addresses=True) as opened:
        yield opened


def agents(url: str) -> dict[str, dict[str, Any]]:
    """Kinds of agents, by name."""
    http = {"url": f"{url}/chat", "preset": "message", "body": {"messages": "{{messages}}"}}
    made: dict[str, dict[str, Any]] = {
        "native": {"model": "m", "prompt": "desk"},
        "http": {"http": http},
        "runtime": {"runtime": {"kind": "openai_chat", "url": f"{url}/v1", "allow_private_addresses": True}},
        "broken": {"http": {"url": f"{url}/broken", "preset": "message"}},
        "voice": {"runtime": {"kind": "websocket", "url": "ws://127.0.0.1:9"}},
        "code": {"target": "os:getcwd"},
    }
    found = {name: {"agent": {"name": name, **fields}} for name, fields in made.items()}
    found["native"]["prompts"] = [{"name": "desk", "system_template": "You help."}]
    credential = {"api_key": "${MODEL_KEY}"}
    model = {"name": "m", "provider": "openai", "model": "m", "base_url": f"{url}/v1", "credential": credential}
    found["native"]["models"] = [model]
    return found


async def invoked(service: Service, agent: dict[str, Any], *messages: Any, scope: str = "run", **more: Any) -> Any:
    """What came of asking a saved agent."""
    saved = await service.client("admin").post("/agents", json=agent)
    assert saved.is_success, saved.text
    body = {"messages": list(messages or [SAID]), **more}
    return await service.client(scope).post(f"/agents/{saved.json()['id']}/invoke", json=body)


@pytest.mark.parametrize(
    ("name", "said"),
    [("native", "heard: Where is {{order}}?"), ("http", "heard 3"), ("runtime", "heard: Where is {{order}}?")],
)
async def test_agents_answer_in_writing(service: Service, peer: LoopbackServer, name: str, said: str) -> None:
    secret = await service.client("admin").put("/secrets/MODEL_KEY", json={"value": "sk-secret"})
    assert secret.is_success, secret.text
    history = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}]
    answer = (await invoked(service, agents(peer.url)[name], *history, SAID, thread_id="t1")).json()
    assert answer["success"], answer
    assert [(item["role"], item["content"]) for item in answer["messages"]] == [("assistant", said)]
    assert answer["thread_id"] == "t1"
    if name == "native":
        assert answer["token_usage"] == {"input": 7, "output": 3}
        assert peer.asked[-1].headers["authorization"] == "Bearer sk-secret"
        assert [item["role"] for item in peer.asked[-1].json["messages"]] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("name", "messages", "told"),
    [
        ("broken", [SAID], "500"),
        ("voice", [SAID], "can only be spoken with"),
        ("http", [{"role": "assistant", "content": "Hi"}], "the last message has to be the user's"),
    ],
)
async def test_what_goes_wrong_is_told(
    service: Service, peer: LoopbackServer, name: str, messages: list[Any], told: str
) -> None:
    answer = (await invoked(service, agents(peer.url)[name], *messages)).json()
    assert not answer["success"]
    assert told in answer["error"]


async def test_who_may_ask(service: Service, peer: LoopbackServer) -> None:
    known = agents(peer.url)
    assert (await invoked(service, known["http"], scope="read")).status_code == 403
    code = await invoked(service, known["code"])
    assert code.status_code == 403
    assert "Python code" in code.json()["detail"]
    saved = (await service.client("admin").get("/agents")).json()["data"][0]["id"]
    body = {"messages": [SAID]}
    assert (await service.client("run", "bank").post(f"/agents/{saved}/invoke", json=body)).status_code == 404
    assert (await service.client("run").post(f"/agents/{saved}/invoke", json={"messages": []})).status_code == 422


async def test_addresses_that_projects_may_not_use(store: Path, peer: LoopbackServer) -> None:
    async with open_service(store) as service:
        answer = (await invoked(service, agents(peer.url)["http"])).json()
    assert "not a public" in answer["error"]
    assert not peer.asked
