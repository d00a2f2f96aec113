"""Runtimes × faults, through evals in a store: what fails is an error, never a verdict, and no judge is asked."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from eval_runs import carried_out, new_eval, store
from grading_model import Grader
from own_runtimes import holding, talk
from runtime_peers import HTTP_PEERS, HttpPeer, peer_of, served

from duologue.runs import RunService
from duologue.runs.processor import RunProcessor
from duologue.runs.store.definitions import Eval
from duologue.runs.store.records import StoredRun

FAKES = Path(__file__).parents[1] / "fakes"
HTTP_FAULTS = ["http 500", "timeout", "contract", "not json", "empty", "no body", "50 MB", "endless", "redirect"]
PROGRAM_FAULTS = ["http 500", "timeout", "contract", "not json", "empty", "50 MB", "endless", "exits", "no line"]
SERVER_FAULTS = ["fails", "empty", "silent", "wordless", "dies", "hangs"]
HELLO = {"name": "hello", "criteria": ["The parcel is found."]}
REMOTE = {"agent": {"name": "bot", "http": {"url": "http://agent.invalid"}}}
NATIVE = {
    "agent": {"name": "bot", "model": "openai/m", "prompt": "p"},
    "prompts": [{"name": "p", "system_template": "x"}],
}


@pytest.fixture(autouse=True)
def _retell_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETELL_API_KEY", "key-0815-of-retell")


def of_kind(kind: str, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An agent and the configuration of its eval, whose runtime leads to that URL."""
    if kind == "native":
        simulator = {"model": "openai/gpt-5-mini", "api_base": f"{url}/v1"}
        return NATIVE, {"runtime": {"kind": "native"}, "agent_simulator": simulator}
    runtime: dict[str, Any] = {"kind": kind, "url": f"{url}/agent", "allow_private_addresses": True}
    if kind == "retell":
        runtime["agent_id"] = "a"
        return {"agent": {"name": "bot", "platform": "retell", "runtime": runtime}}, {}
    return REMOTE, {"runtime": runtime}


async def executed(service: RunService, eval_: Eval, grader: Grader) -> StoredRun:
    [run] = await service.create_runs(eval_.id)
    await carried_out(service, grader)
    found = await service.get_run(run.id)
    assert found is not None
    return found


def is_error(run: StoredRun) -> None:
    assert (run.status, run.outcome, run.score) == ("error", "error", None), run
    assert run.error
    assert len(run.error) < 3000
    assert [message for message in run.messages if message["role"] == "assistant"] == []


@pytest.mark.parametrize("kind", HTTP_PEERS)
async def test_agent_that_fails_over_http_is_an_error_of_the_run(tmp_path: Path, kind: str) -> None:
    grader = Grader()
    async with served(peer_of(kind)) as peer, RunService.open(store(tmp_path)) as service:
        draft, config = of_kind(kind, peer.url)
        eval_ = await new_eval(service, draft, HELLO, config={**config, "agent_timeout": 0.4})
        slow = await service.create_eval(
            name="slow", scenario_ids=eval_.scenario_ids, agent_id=eval_.spec.agent_id, config=eval_.spec.config
        )
        patient = {**eval_.spec.written()["config"], "agent_timeout": 30.0}
        await service.update_eval(slow.id, config=patient)
        good = await executed(service, slow, grader)
        assert good.outcome == "pass", good.error
        asked = len(grader.asked)
        assert asked == 1
        for fault in HTTP_FAULTS:
            peer.fault, peer.sent = fault, 0
            is_error(await executed(service, eval_ if fault == "timeout" else slow, grader))
        assert len(grader.asked) == asked
        assert "169.254" not in "".join(item.path for item in peer.received)


@pytest.mark.parametrize("kind", [kind for kind in HTTP_PEERS if kind != "native"])
async def test_agent_whose_name_leads_to_a_private_address_or_whose_tls_is_broken_is_an_error(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    grader = Grader()
    async with served(peer_of(kind)) as peer, RunService.open(store(tmp_path)) as service:
        port = peer.url.rpartition(":")[2]
        loop = asyncio.get_running_loop()
        real = loop.getaddrinfo

        async def rebound(host: Any, *args: Any, **options: Any) -> Any:
            return await real("127.0.0.1" if host == "agent.example" else host, *args, **options)

        monkeypatch.setattr(type(loop), "getaddrinfo", lambda _, *args, **options: rebound(*args, **options))
        for url, private in ((f"http://agent.example:{port}", False), (f"https://127.0.0.1:{port}", True)):
            draft, config = of_kind(kind, url)
            for runtime in (config.get("runtime"), draft["agent"].get("runtime")):
                if runtime is not None:
                    runtime["allow_private_addresses"] = private
            named = {**draft, "agent": {**draft["agent"], "name": url}}
            eval_ = await new_eval(service, named, {**HELLO, "name": url}, config={**config, "agent_timeout": 20.0})
            is_error(await executed(service, eval_, grader))
            await service.delete_eval(eval_.id)
        assert peer.received == []
        assert grader.asked == []


@pytest.mark.parametrize("kind", ["command", "mcp"])
async def test_agent_that_is_a_program_and_fails_is_an_error_of_the_run(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("mcp") if kind == "mcp" else None
    grader = Grader()
    script = FAKES / ("json_lines_agent.py" if kind == "command" else "mcp_agent.py")
    more = {"max_line_bytes": 200_000} if kind == "command" else {"tool": "ask"}
    async with RunService.open(store(tmp_path)) as service:
        for fault in ["fine", *(PROGRAM_FAULTS if kind == "command" else SERVER_FAULTS)]:
            command = [sys.executable, str(script), fault, str(tmp_path / "pid")]
            runtime = {"kind": kind, "command": command, **more}
            seconds = 1.0 if fault in {"timeout", "hangs"} else 30.0
            agent = {"agent": {"name": f"bot {fault}", "runtime": runtime}}
            config = {"agent_timeout": seconds}
            eval_ = await new_eval(service, agent, {**HELLO, "name": fault}, config=config)
            run = await executed(service, eval_, grader)
            await service.delete_eval(eval_.id)
            if fault == "fine":
                assert run.outcome == "pass", run.error
            else:
                is_error(run)
    assert len(grader.asked) == 1


@pytest.mark.parametrize("kind", [*HTTP_PEERS, "holder"])
async def test_run_that_is_cancelled_in_the_middle_of_a_turn_or_before_has_no_verdict(
    tmp_path: Path, kind: str
) -> None:
    grader, peer = Grader(), HttpPeer(lambda _: {}, {}) if kind == "holder" else peer_of(kind)

    async def hold(args: Any) -> Any:
        peer.asked.set()
        await args.run_snapshot.cancel_event.wait()
        return talk("Hi", "There it is.")

    async with served(peer), RunService.open(store(tmp_path)) as service:
        peer.fault = "cancelled"
        with holding(hold):
            held = ({"agent": {"name": "bot", "runtime": {"kind": "holder"}}}, {})
            draft, config = held if kind == "holder" else of_kind(kind, peer.url)
            eval_ = await new_eval(service, draft, HELLO, config={**config, "agent_timeout": 600.0})
            await service.create_runs(eval_.id)
            processor = RunProcessor(service.database, models={"grader": grader}, max_concurrent=1)
            await processor.start()
            await peer.asked.wait()
            await service.create_runs(eval_.id)
            await service.cancel_runs(*(run.id for run in await service.list_runs(messages=False)))
            while any(run.status in {"queued", "running"} for run in await service.list_runs(messages=False)):
                await asyncio.sleep(0.01)
            await processor.stop()
        found = await service.list_runs()
    assert [(run.status, run.outcome, run.score) for run in found] == [("cancelled", "cancelled", None)] * 2
    assert grader.asked == []
