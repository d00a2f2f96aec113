"""The guide to runtimes: its table, its example of a runtime, and its contract are those of the code."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from runtime_cases import args_for, texts
from runtime_peers import HttpPeer, served

from duologue.errors import AgentError
from duologue.runtimes import get_runtime, read_runtime_config, runtimes_for_platform
from duologue.runtimes.contract import read_contract
from duologue.runtimes.registry import config_of

TEXT = (Path(__file__).parents[2] / "docs" / "guides" / "runtimes.md").read_text("utf-8")
SHARED = {"kind", "retries", "max_answer_bytes", "allow_private_addresses"}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```(?:{kind}|{{\.{kind} )[^\n]*\n(.*?)```", TEXT, re.DOTALL)


def test_the_table_names_all_runtimes_and_their_fields() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`(?: \(default\))? \|.*\| ([^|]*) \|$", TEXT, re.MULTILINE))
    runtimes = {runtime.KIND: runtime for platform in (None, "retell") for runtime in runtimes_for_platform(platform)}
    assert set(rows) == {str(kind) for kind in runtimes}
    for kind, fields in rows.items():
        known = set(config_of(runtimes[kind]).model_fields) - SHARED
        told = set(re.findall(r"`(\w+)`", fields))
        assert told <= known
        assert known - told <= {"url", "headers", "method"}


async def test_the_first_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    answer = json.loads(blocks("json")[1])
    async with served(HttpPeer(lambda _: answer, {})) as peer:
        code = blocks("python")[0].replace(
            '"https://agent.example.com/chat"', f'"{peer.url}/chat", "allow_private_addresses": True'
        )
        code = code.replace("asyncio.run(runtime.run_test_case(config, args, None))", "None")
        code, _, shown = code.partition("for turn in")
        names: dict[str, Any] = {}
        exec(code, names)
        result = await names["runtime"].run_test_case(names["config"], names["args"], None)
        assert peer.received[0].body == json.loads(blocks("json")[0])
    exec(f"for turn in{shown}", {"result": result})
    assert re.fullmatch(r"user Where is P-77\? None\nassistant It arrives tomorrow\. \d+\n", capsys.readouterr().out)


def test_the_answer_follows_the_contract() -> None:
    assert read_contract(blocks("json")[1])[1] == [{"role": "assistant", "content": "It arrives tomorrow."}]


async def test_the_example_of_a_runtime_works(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("shouting_runtime")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.__dict__["__name__"] = "shouting_runtime"
    exec(blocks("python title")[0], module.__dict__)
    runtime = module.ShoutingRuntime()
    model = config_of(runtime)
    result = await runtime.run_test_case(model(marks=2), args_for("hello", "you"), None)
    assert texts(result, "assistant") == ["HELLO!!", "YOU!!"]
    with pytest.raises(ValueError, match=r"runtime\.marks: expected 1 or more; found 0"):
        runtime.validate_config(model(marks=0), None, None)
    with pytest.raises(AgentError, match=r"it cannot be quiet; sent: 1 message, .*'quiet'; came back: '…'"):
        await runtime.run_test_case(model(), args_for("quiet"), None)
    assert re.search(r"shouting = \"shouting_runtime:ShoutingRuntime\"", blocks("toml")[0])


def test_native_is_the_default() -> None:
    assert get_runtime("text", "native").CONFIG is type(read_runtime_config(None))
