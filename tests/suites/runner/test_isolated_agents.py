"""``isolation: processes``: whatever an agent does to its process ends one run only, as an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from duologue.suites import Agent, CheckSpec, Engine, Scenario, Suite, Turn
from duologue.suites.results.execution import ExecutionResult

AGENT = """
import asyncio, ctypes, os, signal, sys, time
from duologue import AgentAdapter

seen = []

async def swallow():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

class Weird(BaseException): pass

class Bot(AgentAdapter):
    def __init__(self):
        self.calls = 0

    async def call(self, input):
        self.calls += 1
        seen.append(1)
        said = input.last_new_user_message_str()
        print("printed", said)
        match said:
            case "block": time.sleep(600)
            case "swallow": await swallow()
            case "os._exit": os._exit(0)
            case "libc exit": ctypes.CDLL(None)._exit(0)
            case "exec": os.execv("/bin/true", ["true"])
            case "kill": os.kill(os.getpid(), signal.SIGKILL)
            case "segfault": os.kill(os.getpid(), signal.SIGSEGV)
            case "stop": asyncio.get_running_loop().stop()
            case "sys.exit": sys.exit(0)
            case "genexit": raise GeneratorExit
            case "cancelled": raise asyncio.CancelledError
            case "weird": raise Weird("odd")
            case "keyboard": raise KeyboardInterrupt
            case "raises": raise ValueError("broken")
            case "object": return object()
            case "bytes": return b"x"
            case "none": return None
            case "junk": os.write(max(map(int, os.listdir("/proc/self/fd"))), b""); return "junk"
            case "list": return [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]
            case "long": return "x" * 3_000_000
        return f"{self.calls} {os.getpid()} {len(input.messages)}"

class Streams(AgentAdapter):
    async def call(self, input): raise NotImplementedError
    async def stream(self, input):
        for word in ("one ", "two ", "three"):
            yield word

def broken(): raise RuntimeError("cannot be made")
"""


async def played(tmp_path: Path, *lines: str, target: str = "agent.py:Bot", **options: Any) -> ExecutionResult:
    (tmp_path / "agent.py").write_text(AGENT)
    scenarios = [
        Scenario(
            name=line.replace(" ", "-") or "silent",
            turns=(Turn(content=line), Turn(content="again")),
            checks=(CheckSpec(type="min_length", params={"min": 1}),),
        )
        for line in lines
    ]
    agent = Agent(name="bot", target=target, isolation="processes", **options)
    suite = Suite(name="s", agents=(agent,), scenarios=tuple(scenarios)).within(tmp_path)
    async with Engine(suite=suite) as engine:
        return await engine.execute()


def said(execution: ExecutionResult, number: int) -> list[str]:
    messages = [item.message for item in execution.runs[number].messages]
    return [str(message.get("content")) for message in messages if message["role"] == "assistant"]


BROKEN = {
    "os._exit": "ended (exit code 0) in the middle of a call",
    "libc exit": "ended (exit code 0) in the middle of a call",
    "exec": "ended (exit code 0) in the middle of a call",
    "kill": "ended (signal 9) in the middle of a call",
    "segfault": "ended (signal 11) in the middle of a call",
    "sys.exit": "SystemExit: 0",
    "genexit": "GeneratorExit",
    "cancelled": "CancelledError",
    "weird": "Weird: odd",
    "keyboard": "KeyboardInterrupt",
    "raises": "ValueError: broken (agent.py, line ",
    "object": "cannot be sent to another process",
    "bytes": "cannot be sent to another process",
    "none": "",
    "stop": "ended",
}


async def test_what_one_run_does_to_its_process_is_an_error_of_that_run(tmp_path: Path) -> None:
    execution = await played(tmp_path, *BROKEN, "fine", "list", "long")
    outcomes = {run.case.scenario: run.outcome for run in execution.runs}
    assert {name: outcomes[name] for name in ("fine", "list", "long")} == dict.fromkeys(
        ("fine", "list", "long"), "pass"
    )
    for line, words in BROKEN.items():
        [run] = [run for run in execution.runs if run.case.scenario == line.replace(" ", "-")]
        assert run.outcome == "error", line
        assert run.error is not None
        assert words in run.error.message, line


@pytest.mark.parametrize("line", ["block", "swallow"])
async def test_an_agent_that_does_not_end_is_ended(tmp_path: Path, line: str) -> None:
    execution = await played(tmp_path, line, "fine", timeout=1.0)
    assert [run.outcome for run in execution.runs] == ["error", "pass"], [run.error for run in execution.runs]
    assert "did not answer within 1 s" in execution.runs[0].reasoning


async def test_a_process_is_used_again_and_each_run_has_an_agent_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "suite").mkdir()
    execution = await played(tmp_path, "a", "b", "c")
    words = [text.split() for number in range(3) for text in said(execution, number)]
    assert [word[0] for word in words] == ["1", "2"] * 3
    assert [word[2] for word in words] == ["1", "3"] * 3


async def test_what_is_streamed_arrives(tmp_path: Path) -> None:
    execution = await played(tmp_path, "hi", target="agent.py:Streams")
    assert said(execution, 0) == ["one two three"] * 2


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("agent.py:broken", "cannot be made"),
        ("agent.py:nothing", "has no 'nothing'"),
        ("none.py:a", "there is no file"),
    ],
)
async def test_an_agent_that_cannot_be_made_is_told(tmp_path: Path, target: str, words: str) -> None:
    execution = await played(tmp_path, "a", "b", target=target)
    assert [run.outcome for run in execution.runs] == ["error"] * 2
    assert all(words in str(run.error) for run in execution.runs)


def test_only_python_code_can_be_isolated() -> None:
    with pytest.raises(ValueError, match="isolation is for agents with a target; this one has model"):
        Agent(name="bot", model="m", isolation="processes")
