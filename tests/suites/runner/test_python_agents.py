"""Agents that are Python code: what stands for one, what is said where it does not, and code that blocks or ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import LONG

from duologue.conversation.adapter import AgentAdapter
from duologue.errors import TargetError
from duologue.suites.results.run import RunResult
from duologue.suites.runner.python_agents import FunctionAgent, in_thread, load_agent
from duologue.vocabulary import RunStatus, Verdict

Put = Callable[[str, str], Path]
CODE = """
from duologue import AgentAdapter

class Clerk(AgentAdapter):
    async def call(self, input):
        return "said"

class Picky(AgentAdapter):
    def __init__(self, name):
        self.name_ = name
    async def call(self, input):
        return "said"

class Broken(AgentAdapter):
    def __init__(self):
        raise ValueError("no database")
    async def call(self, input):
        return "said"

one = Clerk()
number = 5

def make():
    return Clerk()

def make_nothing():
    return None

async def make_later():
    return Clerk()

def make_badly():
    raise RuntimeError("no key")

def make_an_end():
    raise SystemExit(0)

def answer(input):
    return "said"

async def answer_later(input):
    return "said"

def ends(input):
    raise SystemExit(0)

async def ends_later(input):
    raise SystemExit(0)

def fails(input):
    raise RuntimeError("boom")
"""


@pytest.fixture
def folder(put: Put, tmp_path: Path) -> Path:
    put("code.py", CODE)
    return tmp_path


def agents(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "target": f"code.py:{name}"} for name in names]


SCENARIO = {
    "name": "hi",
    "turns": [{"content": "Hello"}],
    "checks": [{"type": "contains_any", "params": {"patterns": ["said"]}}],
}


@pytest.mark.parametrize("name", ["Clerk", "one", "make", "answer", "answer_later"])
def test_an_adapter_its_class_and_functions_are_agents(folder: Path, name: str) -> None:
    assert isinstance(load_agent(f"code.py:{name}", folder, "bot")(), AgentAdapter)


def test_a_class_is_made_anew_for_each_run_and_an_object_is_shared(folder: Path) -> None:
    anew, shared = load_agent("code.py:Clerk", folder, "bot"), load_agent("code.py:one", folder, "bot")
    assert anew() is not anew()
    assert shared() is shared()


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("code.py", "expected module:name or file.py:name"),
        ("code.py:", "expected module:name or file.py:name"),
        ("cod.py:Clerk", r"there is no file .*cod\.py"),
        ("code.py:Clark", "has no 'Clark'; did you mean 'Clerk'"),
        ("code.py:number", "is a int; expected an AgentAdapter"),
        ("no.such.module:x", "no.such.module cannot be loaded: ModuleNotFoundError"),
    ],
)
def test_what_is_no_agent_is_told_when_it_is_loaded(folder: Path, target: str, told: str) -> None:
    with pytest.raises(TargetError, match=told):
        load_agent(target, folder, "bot")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Picky", r"Picky\(\) failed: TypeError: .*'name'"),
        ("Broken", r"Broken\(\) failed: ValueError: no database"),
        ("make_badly", r"make_badly\(\) failed: RuntimeError: no key"),
        ("make_an_end", r"make_an_end\(\) failed: SystemExit: 0"),
        ("make_nothing", r"make_nothing\(\) returned a NoneType; expected an AgentAdapter"),
        ("make_later", r"make_later\(\) returned a coroutine; expected an AgentAdapter"),
    ],
)
async def test_code_that_makes_no_agent_breaks_its_own_case_and_no_other(
    folder: Path, play: Any, name: str, told: str
) -> None:
    execution = await play(agents=agents(name, "Clerk"), scenarios=[SCENARIO])
    broken, fine = execution.runs
    assert broken.status is RunStatus.ERROR
    assert broken.error.type == "TargetError"
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(broken.error.message)
    assert fine.verdict is Verdict.PASS
    assert (execution.totals.errors, execution.totals.passed, execution.exit_code) == (1, 1, 3)


@pytest.mark.parametrize("name", ["ends", "ends_later"])
async def test_an_agent_that_ends_the_process_breaks_its_own_run_only(folder: Path, play: Any, name: str) -> None:
    execution = await play(agents=agents(name, "answer"), scenarios=[SCENARIO])
    assert [run.outcome for run in execution.runs] == ["error", "pass"]
    assert "sys.exit(0)" in execution.runs[0].error.message
    assert execution.exit_code == 3


def test_a_module_that_ends_the_process_cannot_be_loaded(put: Put, tmp_path: Path) -> None:
    put("end.py", "import sys\nsys.exit(0)\n")
    with pytest.raises(TargetError, match=r"end\.py cannot be loaded: SystemExit: 0"):
        load_agent("end.py:x", tmp_path, "bot")


def test_a_module_that_failed_once_is_loaded_afresh(put: Put, tmp_path: Path) -> None:
    put("late.py", "raise RuntimeError('not yet')\n")
    with pytest.raises(TargetError, match="not yet"):
        load_agent("late.py:answer", tmp_path, "bot")
    put("late.py", "def answer(input): return 'said'  # now it is there\n")
    assert isinstance(load_agent("late.py:answer", tmp_path, "bot")(), FunctionAgent)


def test_a_file_finds_what_stands_beside_it_and_a_module_what_stands_beside_the_suite(put: Put, tmp_path: Path) -> None:
    put("sub/bot_of_sub.py", "from helper_of_sub import answer\n")
    put("sub/helper_of_sub.py", "def answer(input): return 'said'\n")
    put("bot_beside.py", "def answer(input): return 'said'\n")
    assert load_agent("sub/bot_of_sub.py:answer", tmp_path, "bot")
    assert load_agent("bot_beside:answer", tmp_path, "bot")


def test_something_written_in_c_that_does_not_say_what_it_takes_is_a_function(tmp_path: Path) -> None:
    assert isinstance(load_agent("builtins:dict", tmp_path, "bot")(), FunctionAgent)


async def test_a_function_that_blocks_for_ever_is_left_behind_when_its_time_is_over(put: Put, play: Any) -> None:
    put("stuck.py", "import threading\nnever = threading.Event()\ndef answer(input):\n    never.wait()\n")
    found = [{"name": "bot", "target": "stuck.py:answer", "timeout": 0.05}]
    execution = await play(agents=found, scenarios=[SCENARIO])
    only: RunResult = execution.runs[0]
    assert only.error is not None
    assert (only.status, only.error.type) == (RunStatus.ERROR, "AgentTimeoutError")
    left = [thread for thread in threading.enumerate() if thread.name == "duologue-agent"]
    assert left
    assert all(thread.daemon for thread in left)


async def test_what_a_call_in_a_thread_raises_is_raised_here() -> None:
    def fails() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        await in_thread(fails)


async def test_more_calls_block_at_once_than_the_usual_executor_has_threads() -> None:
    meeting = threading.Barrier(50, timeout=LONG)
    assert sorted(await asyncio.gather(*(in_thread(meeting.wait) for _ in range(50)))) == list(range(50))


async def test_whatever_an_agent_raises_stops_no_other_case(put: Put, play: Any) -> None:
    put("odd.py", "class Odd(BaseException): pass\n\ndef answer(input):\n    raise Odd('odd')\n")
    put("good.py", "def answer(input): return 'said'\n")
    found = [{"name": name, "target": f"{name}.py:answer"} for name in ("odd", "good")]
    execution = await play(agents=found, scenarios=[SCENARIO])
    assert [run.outcome for run in execution.runs] == ["error", "pass"]
    error = execution.runs[0].error
    assert (error.type, error.message) == ("AgentError", f"[odd] Odd: odd, at {error.where}")
    assert error.where.endswith("odd.py:4 in answer")
    assert "    raise Odd('odd')" in error.traceback


MISDEEDS = """
import asyncio, time, threading

calls, release = [0], threading.Event()

def first(misdeed):
    async def answer(input):
        calls[0] += 1
        if calls[0] <= 2:
            await misdeed()
        await asyncio.sleep(0.01)
        return "said"
    return answer

async def swallow():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def cancel():
    asyncio.current_task().cancel()
    await asyncio.sleep(1)

async def cancelled():
    raise asyncio.CancelledError

async def generator_exit():
    raise GeneratorExit

async def interrupt():
    raise KeyboardInterrupt

async def stop():
    asyncio.get_running_loop().stop()

async def block():
    release.wait(600)

swallows, cancels, raises, exits, presses, stops, blocks = map(
    first, (swallow, cancel, cancelled, generator_exit, interrupt, stop, block)
)
"""


@pytest.mark.parametrize("name", ["swallows", "cancels", "raises", "exits", "presses", "stops", "blocks"])
async def test_an_agent_that_means_to_end_everything_ends_its_own_run(
    put: Put, play: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duologue.conversation.threads.GRACE", 0.2)
    path = put(f"{name}.py", MISDEEDS)
    agent = {"name": name, "target": f"{name}.py:{name}", "timeout": 1}
    execution = await play(agents=[agent], scenarios=[{**SCENARIO, "trials": 6}], defaults={"concurrency": 3})
    assert sorted(run.outcome for run in execution.runs) == ["error"] * 2 + ["pass"] * 4
    for run in execution.runs:
        if run.outcome == "error":
            assert run.error.who == name
            assert f"{path.name}:" in run.error.message
    if name == "blocks":
        next(module for key, module in sys.modules.items() if f"_{name}_" in key).release.set()


BLOCKS = """
import asyncio, threading
from duologue import AgentAdapter

release = threading.Event()

class Block(AgentAdapter):
    async def call(self, input):
        release.wait(600)
        return "said"

class BlockLate(AgentAdapter):
    async def call(self, input):
        await asyncio.sleep(0.05)
        release.wait(600)
        return "said"

def ok(input):
    return "said"

async def ok_slowly(input):
    await asyncio.sleep(0.2)
    return "said"
"""


@pytest.mark.parametrize("jobs", [1, 2, 8])
@pytest.mark.parametrize(
    "names",
    [
        ["Block", "ok"],
        ["Block", "ok", "Block", "ok_slowly", "ok"],
        ["BlockLate", "ok_slowly", "BlockLate", "ok"],
    ],
    ids=" ".join,
)
async def test_an_agent_that_blocks_its_thread_holds_up_no_other(
    put: Put, play: Any, names: list[str], jobs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duologue.conversation.threads.GRACE", 0.2)
    stem = f"blk_{jobs}_{'_'.join(names)}"
    put(f"{stem}.py", BLOCKS)
    found = [
        {"name": f"{name}-{place}", "target": f"{stem}.py:{name}", "timeout": 0.5} for place, name in enumerate(names)
    ]
    execution = await play(agents=found, scenarios=[SCENARIO], defaults={"concurrency": jobs})
    assert [run.outcome for run in execution.runs] == [
        "error" if name.startswith("Block") else "pass" for name in names
    ]
    assert {run.error.type for run in execution.runs if run.error} == {"AgentTimeoutError"}
    next(module for key, module in sys.modules.items() if f"_{stem}_" in key).release.set()


def test_the_process_ends_though_a_thread_is_still_blocked(put: Put, tmp_path: Path) -> None:
    put("blk.py", BLOCKS)
    put(
        "suite.yaml",
        "apiVersion: duologue/v1\nkind: Suite\nmetadata: {name: blk}\nspec:\n"
        "  agents: [{name: b, target: 'blk.py:Block', timeout: 1}, {name: ok, target: 'blk.py:ok'}]\n"
        "  scenarios:\n    - name: s\n      turns: [{content: hello}]\n"
        "      checks: [{type: contains_any, params: {patterns: [said]}}]\n",
    )
    command = [sys.executable, "-m", "duologue", "run", str(tmp_path), "--out", str(tmp_path / "r")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=LONG, check=False)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "1 passed, 1 error" in ended.stdout
