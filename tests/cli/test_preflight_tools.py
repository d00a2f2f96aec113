"""Servers of tools are looked for before the first case, where a case may ask them, and nothing is started or sent."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from duologue.cli.app import invoke
from duologue.suites.execution import outside

NOBODY = "no-such-program-here"


@pytest.fixture
def dead() -> Iterator[str]:
    """An address at which nobody listens, as long as the test lasts."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture
def listening() -> Iterator[str]:
    """An address that accepts connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def write(folder: Path, allowed: list[str], **sections: Any) -> None:
    (folder / "mock.yaml").write_text(json.dumps({"defaultResponse": "Hello."}))
    spec = {
        "models": [{"name": "m", "provider": "mock", "mock_file": "mock.yaml"}],
        "agents": [{"name": "a", "model": "m", "prompt": "p"}, {"name": "plain", "target": "agent.py:reply"}],
        "prompts": [{"name": "p", "system_template": "You help.", "allowed_tools": allowed}],
        "scenarios": [
            {"name": "s", "turns": [{"content": "Hi"}], "checks": [{"type": "min_length", "params": {"min": 1}}]}
        ],
        **sections,
    }
    (folder / "agent.py").write_text("def reply(input):\n    return 'hello'\n")
    suite = {"apiVersion": "duologue/v1", "kind": "Suite", "metadata": {"name": "t"}, "spec": spec}
    (folder / "suite.yaml").write_text(json.dumps(suite, indent=1))


def declared(mode: str) -> dict[str, Any]:
    return {"name": "look_up", "description": "d", "input_schema": {"type": "object"}, "mode": mode}


def case(allowed: list[str], told: str, of_validate: bool, **sections: Any) -> tuple[Any, ...]:
    return allowed, sections, told, of_validate


REMOTE = {"name": "srv", "url": "DEAD/mcp"}
PROGRAM = {"name": "srv", "command": NOBODY}
A2A = {"name": "desk", "url": "DEAD"}
CASES = {
    "a dead server": case(["look_up"], "the MCP server 'srv': no connection to", False, mcp_servers=[REMOTE]),
    "a dead server of events": case(
        ["look_up"], "the MCP server 'srv': no connection to", False, mcp_servers=[{**REMOTE, "transport": "sse"}]
    ),
    "a declared tool of a dead server": case(
        ["look_up"], "the MCP server 'srv'", False, mcp_servers=[REMOTE], tools=[declared("mcp")]
    ),
    "a tool by the name of its server": case(["mcp__srv__x"], "the MCP server 'srv'", False, mcp_servers=[REMOTE]),
    "a missing program": case(["look_up"], f"there is no program '{NOBODY}'", True, mcp_servers=[PROGRAM]),
    "a missing program in the folder": case(
        ["look_up"], "there is no program './gone'", True, mcp_servers=[{"name": "srv", "command": "./gone"}]
    ),
    "a dead agent": case(["a2a_desk_find"], "the A2A agent 'desk': no connection to", False, a2a_agents=[A2A]),
    "a dead agent, written otherwise": case(["a2a__desk__find"], "the A2A agent 'desk'", False, a2a_agents=[A2A]),
    "a URL that is none": case(
        ["look_up"], "must look like http", False, mcp_servers=[{"name": "srv", "url": "127.0.0.1:1"}]
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_server_that_is_missing_is_a_refusal(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], dead: str
) -> None:
    monkeypatch.chdir(tmp_path)
    allowed, sections, told, of_validate = CASES[name]
    write(tmp_path, allowed, **json.loads(json.dumps(sections).replace("DEAD", dead)))
    assert invoke(["run", "suite.yaml", "--out", "out"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert told in error
    assert error.count("Error: ") == 1
    assert not (tmp_path / "out").exists()
    assert invoke(["validate", "suite.yaml"]) == 0
    assert (told in " ".join(capsys.readouterr().out.split())) is of_validate
    assert invoke(["run", "suite.yaml", "--out", "out", "--agent", "plain"]) == 0  # it asks no server


@pytest.mark.parametrize(
    ("module", "allowed", "sections", "told"),
    [
        ("mcp", ["look_up"], {"mcp_servers": [{"name": "srv", "command": sys.executable}]}, "duologue[mcp]"),
        ("a2a", ["a2a_desk_find"], {"a2a_agents": [A2A]}, "duologue[a2a]"),
    ],
)
def test_an_extra_that_is_missing_is_said_by_validate_and_run(
    module: str, allowed: list[str], sections: dict[str, Any], told: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], listening: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    write(tmp_path, allowed, **json.loads(json.dumps(sections).replace("DEAD", listening)))
    there = outside.find_spec
    monkeypatch.setattr(outside, "find_spec", lambda name: None if name == module else there(name))
    assert invoke(["validate", "suite.yaml"]) == 0
    assert told in capsys.readouterr().out
    assert invoke(["run", "suite.yaml", "--out", "out"]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("allowed", "sections"),
    [
        ([], {"mcp_servers": [REMOTE, PROGRAM | {"name": "two"}], "a2a_agents": [A2A]}),
        (["look_up"], {"mcp_servers": [REMOTE], "tools": [declared("mock") | {"mock_result": {"it": 1}}]}),
        (["mcp__other__x"], {"mcp_servers": [REMOTE, {"name": "other", "url": "LISTENING"}]}),
        (["a2a_other_x"], {"a2a_agents": [A2A, {"name": "other", "url": "LISTENING"}]}),
    ],
)
def test_servers_that_no_prompt_asks_are_not_looked_for(
    allowed: list[str], sections: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], dead: str, listening: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    text = json.dumps(sections).replace("DEAD", dead).replace("LISTENING", listening)
    write(tmp_path, allowed, **json.loads(text))
    assert invoke(["run", "suite.yaml", "--out", "out", "--run-timeout", "1s"]) != 2, capsys.readouterr().err
