"""What Duologue does not have, and what does not answer, is an error of the run and never a verdict about the agent."""

import asyncio
import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duologue.cli.app import invoke
from duologue.errors import SuiteError
from duologue.suites.execution.engine import Engine
from duologue.suites.manifests.loader import load
from duologue.suites.results.run import RunResult
from duologue.vocabulary import RunStatus, Verdict

NOBODY = "no-such-program-here"


def suite(folder: Path, call: str, *, tools: Any = (), checks: Any = (), allowed: Any = None, **sections: Any) -> Path:
    """A suite whose agent calls a tool and then answers."""
    answers: Any = {1: {"tool_calls": [{"name": call, "arguments": {}}]}, 2: "It is done."}
    (folder / "mock.yaml").write_text(json.dumps({"scenarios": {"s": {"turns": answers}}}), "utf-8")
    offered = [call] if allowed is None else allowed
    spec = {
        "models": [{"name": "m", "provider": "mock", "mock_file": "mock.yaml"}],
        "agents": [{"name": "a", "model": "m", "prompt": "p"}],
        "prompts": [{"name": "p", "system_template": "You help.", "allowed_tools": offered}],
        "tools": list(tools),
        "scenarios": [
            {
                "name": "s",
                "turns": [{"content": "Hello"}],
                "checks": list(checks) or [{"type": "min_length", "params": {"min": 1}}],
            }
        ],
        **sections,
    }
    path = folder / "suite.yaml"
    path.write_text(
        json.dumps({"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "t"}, "spec": spec}), "utf-8"
    )
    return path


async def played(path: Path) -> RunResult:
    async with Engine(suite=load(path)) as engine:
        [run] = (await engine.execute()).runs
    return run


@pytest.fixture
def address() -> Iterator[str]:
    """An address of this machine at which nobody listens, as long as the test lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def declared(**fields: Any) -> dict[str, Any]:
    return {"name": "look_up", "description": "d", "input_schema": {"type": "object"}, **fields}


def unreachable(kind: str, address: str) -> tuple[str, dict[str, Any]]:
    """What is called, and what the suite says about it."""
    command = {"name": "srv", "command": NOBODY}
    remote = {"name": "srv", "url": f"{address}/mcp", "timeout_ms": 5000}
    match kind:
        case "http":
            return "look_up", {"tools": [declared(mode="live", http={"url": address})]}
        case "http post":
            return "look_up", {"tools": [declared(mode="live", http={"url": f"{address}/x", "method": "POST"})]}
        case "program":
            return "look_up", {"tools": [declared(mode="exec", exec={"command": NOBODY})]}
        case "program that is kept":
            return "look_up", {"tools": [declared(mode="exec", exec={"command": NOBODY, "runtime": "server"})]}
        case "mcp program":
            return "look_up", {"mcp_servers": [command]}
        case "mcp program, declared":
            return "look_up", {"mcp_servers": [command], "tools": [declared(mode="mcp")]}
        case "mcp program that ends":
            ends = {"name": "srv", "command": sys.executable, "args": ["-c", "raise SystemExit('no database')"]}
            return "mcp__srv__look_up", {"mcp_servers": [ends]}
        case "mcp address":
            return "look_up", {"mcp_servers": [remote]}
        case "mcp events":
            return "look_up", {"mcp_servers": [{**remote, "url": f"{address}/sse"}], "tools": [declared(mode="mcp")]}
        case _:
            return "a2a_srv_find", {"a2a_agents": [{"name": "srv", "url": address}]}


KINDS = [
    "http",
    "http post",
    "program",
    "program that is kept",
    "mcp program",
    "mcp program, declared",
    "mcp program that ends",
    "mcp address",
    "mcp events",
    "a2a",
]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_tool_that_cannot_be_reached_is_an_error_of_the_run(kind: str, tmp_path: Path, address: str) -> None:
    call, sections = unreachable(kind, address)
    never = {"type": "tools_not_called", "params": {"tools": ["refund"]}}
    run = await played(suite(tmp_path, call, checks=[never], **sections))
    assert (run.status, run.verdict) == (RunStatus.ERROR, None)
    assert run.checks == ()
    assert run.error is not None
    named = address if kind.startswith(("http", "mcp address", "mcp events", "a2a")) else NOBODY
    assert ("no database" if kind.endswith("ends") else named) in run.error.message


@pytest.mark.parametrize(
    ("call", "feature"),
    [
        ("skill__activate", "skills"),
        ("skill__read_resource", "skills"),
        ("memory__recall", "memory"),
        ("memory__remember", "memory"),
    ],
)
@pytest.mark.parametrize("is_allowed", [True, False])
async def test_a_tool_of_a_missing_feature_is_an_error_of_the_run(
    call: str, feature: str, is_allowed: bool, tmp_path: Path
) -> None:
    run = await played(suite(tmp_path, call, allowed=None if is_allowed else []))
    assert (run.status, run.verdict) == (RunStatus.ERROR, None)
    assert run.error is not None
    assert run.error.type == "ToolUnavailableError"
    assert f"called '{call}'" in run.error.message
    assert f"does not support {feature}" in run.error.message


@pytest.mark.parametrize(
    "call", ["find_everything", "skills_activate", "memory", "my_skill__x", "workflow__transition"]
)
async def test_a_name_that_nobody_knows_is_the_agents_own_mistake(call: str, tmp_path: Path) -> None:
    run = await played(suite(tmp_path, call, allowed=[]))
    assert run.verdict is Verdict.PASS
    assert [tool.error for tool in run.tools] == [f"tool not found: {call}"]


async def test_a_tool_of_a_missing_feature_may_be_mocked_under_its_name(tmp_path: Path) -> None:
    mocked = {"name": "memory__recall", "description": "d", "mock_result": "blue"}
    called = {"type": "tools_called", "params": {"tools": ["memory__recall"]}}
    run = await played(suite(tmp_path, "memory__recall", tools=[mocked], checks=[called]))
    assert run.verdict is Verdict.PASS


SKIPPED = [
    ("skill_activated", {"skill_names": ["refunds"]}),
    ("skill_not_activated", {"skill_names": ["refunds"]}),
    ("skill_activation_order", {"sequence": ["refunds", "orders"]}),
    ("tools_called", {"tools": ["skill__activate"]}),
    ("tools_not_called", {"tools": ["memory__forget"]}),
    ("tools_not_called", {"tools": ["refund", "memory__forget"]}),
    ("tool_call_sequence", {"sequence": ["memory__recall", "refund"]}),
    ("tool_args", {"tool_name": "skill__activate", "expected_args": {"name": "refunds"}}),
    ("tool_anti_pattern", {"patterns": [{"sequence": ["memory__recall", "memory__forget"]}]}),
]


@pytest.mark.parametrize(("type", "params"), SKIPPED)
async def test_checks_of_what_is_missing_are_skipped_with_the_reason(type: str, params: Any, tmp_path: Path) -> None:
    run = await played(suite(tmp_path, "find", allowed=[], checks=[{"type": type, "params": params}]))
    assert run.verdict is Verdict.UNDECIDED
    [check] = run.checks
    assert check.status == "skipped"
    assert "does not support" in check.explanation


async def test_a_call_that_a_check_forbids_fails_it_whatever_else_is_missing(tmp_path: Path) -> None:
    never = {"type": "tools_not_called", "params": {"tools": ["refund", "memory__forget"]}}
    refund = {"name": "refund", "description": "d", "mock_result": "done"}
    run = await played(suite(tmp_path, "refund", tools=[refund], checks=[never]))
    assert run.verdict is Verdict.FAIL


async def test_a_tool_that_answers_with_an_error_is_a_matter_of_the_agent(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        run = await played(suite(tmp_path, "look_up", tools=[declared(mode="live", http={"url": url})]))
    assert run.verdict is Verdict.PASS
    assert "HTTP 500" in (run.tools[0].error or "")


async def test_a_state_that_runs_a_composition_is_refused_by_name(tmp_path: Path) -> None:
    workflow = {"version": 1, "entry": "start", "states": {"start": {"composition": "triage", "prompt_task": "p"}}}
    with pytest.raises(SuiteError, match="the state runs the composition 'triage', and Duologue does not run"):
        await played(suite(tmp_path, "find", allowed=[], workflow=workflow))


def test_the_command_exits_with_3_and_says_what_to_do(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = suite(tmp_path, "look_up", tools=[declared(mode="live", http={"url": address})])
    assert invoke(["run", str(path), "--out", str(tmp_path / "out")]) == 3
    told = capsys.readouterr().out
    assert f"POST {address}: no answer" in " ".join(told.split())
    assert "mock the tool" in " ".join(told.split())
