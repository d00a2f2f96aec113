"""Runtimes × faults: an agent that fails is a clear error and never a transcript, in bounded time and memory."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from runtime_cases import args_for, run
from runtime_peers import HTTP_PEERS, HttpPeer, peer_of, served

from duologue.errors import AgentError, AgentTimeoutError, DuologueError, RunCancelledError
from duologue.http import MAX_BODY_BYTES
from duologue.runtimes import AgentSimulatorConfig, AgentSnapshot, RuntimeRunArgs

TOLD = {
    "http 500": "(HTTP|answered) 500",
    "timeout": "within",
    "contract": "",
    "not json": "",
    "empty": "",
    "no body": "",
    "endless": "longer than",
    "50 MB": "longer than",
    "redirect": "redirect|HTTP 302",
}
PATIENT_BYTES = MAX_BODY_BYTES + 30_000_000  # what sockets hold on top of what is read


BY_URL = [kind for kind in HTTP_PEERS if kind != "native"]
MORE = {"retell": {"agent_id": "agent_1", "api_key": "key-0815-of-retell", "retries": 0}}


def config_of(kind: str, peer: HttpPeer) -> dict[str, Any]:
    if kind == "native":
        return {"kind": kind}
    return {"kind": kind, "url": f"{peer.url}/agent", "allow_private_addresses": True, **MORE.get(kind, {})}


def case_for(kind: str, peer: HttpPeer, *lines: str, **more: Any) -> RuntimeRunArgs:
    """A test case; where the agent runs in this process, its model is behind the URL."""
    simulator = AgentSimulatorConfig(model="openai/gpt-5-mini", api_base=f"{peer.url}/v1")
    agent = AgentSnapshot(agent_id="a", system_prompt="You help.")
    return args_for(*lines, agent=agent, agent_simulator=simulator, **more)


@pytest.mark.parametrize("fault", TOLD)
@pytest.mark.parametrize("kind", HTTP_PEERS)
async def test_agent_that_fails_over_http_is_an_error(kind: str, fault: str) -> None:
    async with served(peer_of(kind)) as peer:
        peer.fault = fault
        seconds = 0.5 if fault == "timeout" else 30.0
        with pytest.raises(AgentError, match=TOLD[fault] or None) as caught:
            await run(config_of(kind, peer), case_for(kind, peer, "first", agent_timeout=seconds))
        told = str(caught.value)
        assert "sent: 1 message" in told
        assert "first" in told
        if fault == "timeout":
            assert isinstance(caught.value, AgentTimeoutError)
        if fault in {"http 500", "contract"} and kind not in {"native", "a2a"}:
            assert "came back: " in told
        assert len(told) < 3000
        assert peer.sent <= PATIENT_BYTES
        assert "169.254" not in "".join(item.path for item in peer.received)


@pytest.mark.parametrize("fault", ["http 500", "empty", "contract"])
@pytest.mark.parametrize("kind", HTTP_PEERS)
async def test_agent_that_fails_in_a_later_turn_is_an_error(kind: str, fault: str) -> None:
    async with served(peer_of(kind)) as peer:
        good = peer.answer

        def once(request: Any) -> object:
            if request.method == "POST":
                peer.fault = fault
            return good(request)

        peer.answer = once
        with pytest.raises(AgentError, match="second"):
            await run(config_of(kind, peer), case_for(kind, peer, "first", "second"))
        sent = [item for item in peer.received if item.method == "POST"]
        assert len(sent) == 2 if kind != "native" else 2 <= len(sent) <= 10  # models are asked again


@pytest.mark.parametrize("kind", HTTP_PEERS)
async def test_cancelled_test_case_ends_at_once_with_an_error(kind: str) -> None:
    async with served(peer_of(kind)) as peer:
        peer.fault, cancel = "cancelled", asyncio.Event()
        running = asyncio.create_task(
            run(config_of(kind, peer), case_for(kind, peer, cancel=cancel, agent_timeout=600.0))
        )
        asked = asyncio.create_task(peer.asked.wait())
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        cancel.set()
        with pytest.raises(RunCancelledError):
            await running
        await peer.gone.wait()  # the connection is not left open


@pytest.mark.parametrize("kind", HTTP_PEERS)
async def test_execution_that_is_cancelled_before_asks_nobody(kind: str) -> None:
    async with served(peer_of(kind)) as peer:
        cancel = asyncio.Event()
        cancel.set()
        with pytest.raises(RunCancelledError):
            await run(config_of(kind, peer), case_for(kind, peer, cancel=cancel))
        assert peer.received == []


@pytest.mark.parametrize("kind", HTTP_PEERS)
async def test_time_of_the_test_case_bounds_the_answer(kind: str) -> None:
    async with served(peer_of(kind)) as peer:
        peer.fault = "timeout"
        with pytest.raises(AgentTimeoutError, match=r"within the 0\.5 s of the test case; sent: 1 message"):
            await run(config_of(kind, peer), case_for(kind, peer, timeout_per_test_case_ms=500, agent_timeout=600.0))


@pytest.mark.parametrize("kind", BY_URL)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "169.254.169.254", "[::1]", "10.0.0.1", "2130706433"])
async def test_private_address_is_not_called_unless_allowed(kind: str, host: str) -> None:
    async with served(peer_of(kind)) as peer:
        port = peer.url.rpartition(":")[2]
        config = {**config_of(kind, peer), "url": f"http://{host}:{port}/agent", "allow_private_addresses": False}
        with pytest.raises((DuologueError, ValueError), match="allow_private_addresses"):
            await run(config, args_for())
        assert peer.received == []


@pytest.mark.parametrize("kind", [kind for kind in BY_URL if kind != "retell"])
async def test_secret_is_in_no_error(kind: str) -> None:
    async with served(peer_of(kind)) as peer:
        peer.fault = "http 500"
        headers = {"Authorization": "Bearer tok-4711-secret-value"}
        with pytest.raises(AgentError) as caught:
            await run({**config_of(kind, peer), "headers": headers}, args_for())
        assert "4711" not in str(caught.value)
        assert peer.received[0].headers["authorization"] == "Bearer tok-4711-secret-value"
