"""``duologue chat`` and ``duologue generate scenarios``."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from duologue.cli.app import invoke
from duologue.runs.store.reader import read_execution
from duologue.suites.manifests.loader import load

SUITE = """
apiVersion: duologue/v1
kind: Suite
metadata: {name: shop}
spec:
  agents:
    - {name: clerk, target: "agent.py:answer"}
    - {name: other, target: "agent.py:answer"}
  scenarios:
    - name: one
      turns:
        - {role: user, content: "Where is order 7?"}
        - {role: user, content: "Thanks"}
      checks: [{type: tools_called, params: {tools: [find_order]}}]
"""
AGENT = """
def answer(input):
    said = input.last_new_user_message_str()
    if said == "boom":
        raise ValueError("boom")
    if "order" not in said:
        return f"You said: {said}"
    call = {"id": "c1", "type": "function", "function": {"name": "find_order", "arguments": '{"id": 7}'}}
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "on its way\\x1b[2J"},
        {"role": "assistant", "content": "It is on its way.\\n::error::not a command"},
    ]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.suite.yaml").write_text(SUITE)
    (tmp_path / "agent.py").write_text(AGENT)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_person_talks_to_an_agent_and_keeps_the_lines(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "hello", "", "order 7?", "/quit", "never said")
    assert invoke(["chat", "shop.suite.yaml", "--agent", "clerk", "--save", "kept.yaml", "--record", "chat.jsonl"]) == 0
    out = capsys.readouterr().out
    assert "Agent: You said: hello" in out
    assert '→ find_order({"id": 7})' in out
    assert "\x1b" not in out
    assert "\n::error" not in out
    assert "You: Kept as a scenario: kept.yaml" in out
    typed(monkeypatch, "hello")  # and then the end of the input
    assert invoke(["chat", "shop.suite.yaml", "--agent", "clerk", "--save", "other.yaml"]) == 0
    assert "You: \nKept as a scenario: other.yaml" in capsys.readouterr().out
    suite = (here / "shop.suite.yaml").read_text().split("    - name: one")[0] + "    - file: kept.yaml\n"
    (here / "again.suite.yaml").write_text(suite)
    [scenario] = load(here / "again.suite.yaml").scenarios
    assert [turn.content for turn in scenario.turns] == ["hello", "order 7?"]
    assert (here / "chat.jsonl").exists()


def test_the_end_of_input_ends_the_conversation(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "hello")
    assert invoke(["chat", "shop.suite.yaml", "--agent", "other"]) == 0


def test_an_agent_that_breaks_is_an_error(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed(monkeypatch, "boom", "hello")
    assert invoke(["chat", "shop.suite.yaml", "--agent", "clerk"]) == 3
    assert "ValueError: boom, at agent.py:5" in capsys.readouterr().err


def test_several_agents_and_files_that_exist_are_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["chat", "shop.suite.yaml"]) == 2
    assert "clerk, other. Choose one with --agent" in capsys.readouterr().err
    assert invoke(["chat", "shop.suite.yaml", "--agent", "clerk", "--save", "agent.py"]) == 2
    assert "agent.py already exists" in capsys.readouterr().err
    assert (here / "agent.py").read_text() == AGENT


def test_ctrl_c_leaves_at_once(here: Path) -> None:
    chat = subprocess.Popen(
        [sys.executable, "-m", "duologue", "chat", "shop.suite.yaml", "--agent", "clerk"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert chat.stdin is not None
    assert chat.stdout is not None
    try:
        chat.stdin.write("hello\n")
        chat.stdin.flush()
        while "You said: hello" not in chat.stdout.readline():
            pass
        chat.send_signal(signal.SIGINT)
        chat.wait(timeout=120)
    finally:
        chat.kill()
        chat.communicate()
    assert chat.returncode == 130


def test_scenarios_are_made_of_results_and_can_be_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "shop.suite.yaml", "--agent", "clerk", "--out", "results", "-q"]) == 0
    assert invoke(["generate", "scenarios", "--from", "results", "--out", "made", "--expect-tools"]) == 0
    assert "1 scenario: made/*.yaml" in capsys.readouterr().out
    suite = SUITE[: SUITE.index("    - name: one")] + "    - made/*.yaml\n"
    (here / "again.suite.yaml").write_text(suite)
    assert invoke(["run", "again.suite.yaml", "--agent", "clerk", "--out", "again", "-q"]) == 0
    [run] = read_execution(here / "again").runs
    assert [item.message.get("content") for item in run.messages if item.message["role"] == "user"] == [
        *("Where is order 7?", "Thanks")
    ]
    assert invoke(["generate", "scenarios", "--from", "results", "--out", "made"]) == 2
    assert "there already; nothing was written" in capsys.readouterr().err


LOGS = [
    {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}]}
    for text in ("Is it open?", "  ", "Is it open?", "{{hidden}} ${HOME} {name}")
]


def test_scenarios_are_made_of_recordings_of_other_tools(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "log.jsonl").write_text("".join(json.dumps(item) + "\n" for item in LOGS))
    assert invoke(["generate", "scenarios", "--from", "log.jsonl", "-o", "made", "--criterion", "It says yes"]) == 0
    made = sorted((here / "made").iterdir())
    assert len(made) == 3
    suite = SUITE[: SUITE.index("    - name: one")] + "    - made/*.yaml\n"
    (here / "again.suite.yaml").write_text(suite)
    loaded = load(here / "again.suite.yaml").scenarios
    assert len({item.name for item in loaded}) == 3
    assert all(item.criteria == ("It says yes",) for item in loaded)
    assert {turn.content for item in loaded for turn in item.turns} == {"Is it open?", "{{hidden}} ${HOME} {name}"}


def test_what_cannot_be_read_is_told(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logs = here / "logs"
    logs.mkdir()
    (logs / "good.json").write_text(json.dumps(LOGS[0]))
    (logs / "odd.json").write_text('{"nothing": "known"}')
    assert invoke(["generate", "scenarios", "--from", "logs", "-o", "made"]) == 0
    told = capsys.readouterr()
    assert "left out: logs/odd.json" in told.err
    assert "decide nothing yet" in told.out
    assert invoke(["generate", "scenarios", "--from", "logs/odd.json", "-o", "other"]) == 2
    (here / "none").mkdir()
    assert invoke(["generate", "scenarios", "--from", "none"]) == 2
    assert "none holds no recordings" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["{{region}}", "a {{ domain }} b {{said_1}}", "${HOME} {x}", "{{row.order}}", "- a: {{region}} # b", "{{"]
)
@pytest.mark.parametrize("how", ["chat", "generate"])
def test_what_was_said_is_said_again_to_the_letter(
    here: Path, monkeypatch: pytest.MonkeyPatch, line: str, how: str
) -> None:
    if how == "chat":
        typed(monkeypatch, line, "bye {{region}}", "/quit")
        assert invoke(["chat", "shop.suite.yaml", "--agent", "clerk", "--save", "made/kept.yaml"]) == 0
    else:
        said = [{"role": "user", "content": text} for text in (line, "bye {{region}}")]
        messages = [message for item in said for message in (item, {"role": "assistant", "content": "ok"})]
        (here / "recorded.json").write_text(json.dumps({"messages": messages}))
        assert invoke(["generate", "scenarios", "--from", "recorded.json", "--out", "made"]) == 0
    suite = SUITE[: SUITE.index("    - name: one")] + "    - made/*.yaml\n"
    (here / "again.suite.yaml").write_text(suite)
    invoke(["run", "again.suite.yaml", "--agent", "clerk", "--out", "again", "-q"])
    [run] = read_execution(here / "again").runs
    heard = [item.message.get("content") for item in run.messages if item.message.get("role") == "user"]
    assert heard == [line, "bye {{region}}"]
