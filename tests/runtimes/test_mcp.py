"""Agents that are tools of an MCP server: what they are given, and their failures."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from runtime_cases import AGENT, args_for, run, texts

from duologue.errors import AgentError, AgentTimeoutError, ConfigurationError, RunCancelledError
from duologue.runtimes import get_runtime, read_runtime_config

PROGRAM = str(Path(__file__).parents[1] / "fakes" / "mcp_agent.py")


def config(mode: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "mcp", "command": [sys.executable, "-S", PROGRAM, mode], "tool": "ask", **fields}


@pytest.mark.parametrize("mode", ["text", "data"])
async def test_tool_is_called_with_what_the_user_says(mode: str) -> None:
    result = await run(config(mode), args_for("one", "two"))
    assert texts(result, "assistant") == ["You said one.", "You said two."]


async def test_tool_is_given_the_arguments_that_the_configuration_names() -> None:
    fields = {"history_argument": "before", "thread_argument": "thread", "arguments": {"tier": "gold"}}
    result = await run(config("arguments", **fields), args_for("one", "two"))
    first, second = map(json.loads, texts(result, "assistant"))
    assert (first["message"], first["before"], first["tier"]) == ("one", [], "gold")
    assert (second["message"], [item["content"] for item in second["before"]]) == ("two", ["one", json.dumps(first)])
    assert first["thread"] == second["thread"] != ""


async def test_environment_of_the_server_is_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    result = await run(config("environment", env={"MINE": "1"}), args_for("one"))
    found = texts(result, "assistant")[0].split()
    assert "MINE" in found
    assert "SECRET_OF_THE_SERVER" not in found


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("fails", "the kitchen is on fire"),
        ("empty", "the answer is empty"),
        ("silent", "the answer is empty"),
        ("wordless", "the result of the tool cannot be read.*came back: "),
        ("dies", "is gone: .*i am dying"),
        ("endless", "is gone"),
    ],
)
async def test_tool_that_fails_is_an_error(mode: str, told: str) -> None:
    with pytest.raises(AgentError, match=told) as caught:
        await run(config(mode), args_for("first"))
    assert "sent: 1 message, the last from the user: 'first'" in str(caught.value)
    assert len(str(caught.value)) < 2000


async def test_tool_that_does_not_answer_is_late() -> None:
    with pytest.raises(AgentTimeoutError, match=r"within 0\.5 s; sent: 1 message"):
        await run(config("hangs"), args_for("first", agent_timeout=0.5))


async def test_cancelled_test_case_ends_at_once() -> None:
    cancel = asyncio.Event()
    running = asyncio.create_task(run(config("hangs"), args_for("first", cancel=cancel, agent_timeout=600.0)))
    asyncio.get_running_loop().call_later(0.3, cancel.set)
    with pytest.raises(RunCancelledError):
        await running


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"tool": "asq"}, r"runtime\.tool: the server has no tool 'asq'.*'ask'"),
        ({"command": [sys.executable, "-c", "raise SystemExit(4)"]}, "does not start"),
        ({"command": ["/no/such/program"]}, "does not start"),
        ({"command": [" "]}, r"runtime\.command"),
        ({"history_argument": "message"}, r"runtime\.arguments: the argument 'message' is given more than once"),
    ],
)
async def test_server_that_cannot_be_used_is_an_error(fields: dict[str, Any], told: str) -> None:
    with pytest.raises((AgentError, ConfigurationError), match=told):
        await run(config("text", **fields), args_for("first"))


async def test_probe_calls_the_tool() -> None:
    found = await get_runtime("text", "mcp").test_connection(read_runtime_config(config("text")), AGENT, None)
    assert found.ok
    assert "You said ping." in found.message
