"""Agents as programs: their lines, their environment, their failures, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from runtime_cases import AGENT, args_for, run, texts

from duologue.errors import AgentError, AgentTimeoutError, RunCancelledError
from duologue.runtimes import get_runtime, read_runtime_config

PROGRAM = str(Path(__file__).parents[1] / "fakes" / "json_lines_agent.py")


def config(mode: str, *more: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "command", "command": [sys.executable, "-S", PROGRAM, mode, *more], **fields}


async def gone(pid: int) -> bool:
    """Whether a process has ended; waited for, because init has to collect it."""
    for _ in range(200):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if b" Z " in await asyncio.to_thread(Path(f"/proc/{pid}/stat").read_bytes):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_program_is_one_for_the_test_case_and_can_end_the_conversation() -> None:
    result = await run(config("ok"), args_for("one", "bye", "three"))
    assert texts(result, "assistant") == ["0: one", "1: bye"]
    assert result.agent_token_usage == {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10}
    assert (result.runtime_metadata or {})["termination"] == "agent_done"


async def test_program_that_writes_much_to_standard_error_is_not_held_up() -> None:
    assert texts(await run(config("noisy"), args_for("one")), "assistant") == ["0: one"]


async def test_environment_is_clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SECRET_OF_THE_SERVER", "WANTED", "NAMED"):
        monkeypatch.setenv(name, f"value of {name}")
    fields = {"env": {"MINE": "${NAMED}", "FIXED": "1"}, "pass_env": ["WANTED"], "working_dir": str(tmp_path)}
    result = await run(config("environment", **fields), args_for("one"))
    found = json.loads(texts(result, "assistant")[0])
    own = {name: value for name, value in found["env"].items() if name not in {"PATH", "LC_CTYPE"}}
    assert own == {"MINE": "value of NAMED", "FIXED": "1", "WANTED": "value of WANTED"}
    assert os.path.samefile(found["cwd"], tmp_path)  # noqa: ASYNC240, PTH121


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        ("http 500", "boom: the kitchen is on fire"),
        ("contract", r"breaks the contract: messages\[0\]"),
        ("not json", "is not JSON.*came back: 'Traceback"),
        ("empty", "the answer is empty"),
        ("no line", r"ended with code 0 before it had answered.*came back: '\{\"messages\": '"),
        ("exits", "ended with code 7 before it had answered: out of memory"),
        ("endless", r"more than 1048576 bytes \(max_line_bytes\)"),
        ("50 MB", r"more than 1048576 bytes \(max_line_bytes\)"),
    ],
)
async def test_program_that_fails_is_an_error(mode: str, told: str) -> None:
    with pytest.raises(AgentError, match=told) as caught:
        await run(config(mode, env={"TOKEN": "${TOKEN_OF_AGENT:-s3cr3t-4711}"}), args_for("first"))
    assert "sent: 1 message, the last from the user: 'first'" in str(caught.value)
    assert "4711" not in str(caught.value)
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize("mode", ["timeout", "cancelled", "child"])
async def test_nothing_that_the_program_has_started_is_left(mode: str, tmp_path: Path) -> None:
    file, cancel = tmp_path / "pid", asyncio.Event()
    seconds = 600.0 if mode != "timeout" else 0.5
    running = asyncio.create_task(run(config(mode, str(file)), args_for("one", cancel=cancel, agent_timeout=seconds)))
    if mode == "timeout":
        with pytest.raises(AgentTimeoutError, match=r"within 0\.5 s"):
            await running
    elif mode == "cancelled":
        while not (file.exists() and file.read_text()):
            assert not running.done()
            await asyncio.sleep(0.02)
        cancel.set()
        with pytest.raises(RunCancelledError):
            await running
    else:
        await running
    if file.exists() and (pid := file.read_text()):
        assert await gone(int(pid))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"command": []}, r"runtime\.command"),
        ({"command": "ls -l"}, r"runtime\.command"),
        ({"command": ["ls"], "env": {"A": "${NOT_SET_ANYWHERE_4}"}}, r"runtime\.env\.A: .*NOT_SET_ANYWHERE_4"),
        ({"command": ["/no/such/program"]}, "cannot be started: No such file"),
        ({"command": ["  "]}, r"runtime\.command"),
    ],
)
async def test_command_that_cannot_be_used_is_an_error(fields: dict[str, Any], told: str) -> None:
    with pytest.raises((ValueError, AgentError), match=told):
        await run({"kind": "command", **fields}, args_for("one"))


async def test_probe_says_what_came_back() -> None:
    runtime, made = get_runtime("text", "command"), read_runtime_config(config("ok"))
    assert "'0: ping'" in (await runtime.test_connection(made, AGENT, None)).message
    bad = await runtime.test_connection(read_runtime_config(config("exits")), AGENT, None)
    assert not bad.ok
    assert "code 7" in bad.message
    assert os.environ.get("TOKEN") is None
