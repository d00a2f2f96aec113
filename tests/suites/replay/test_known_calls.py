"""Whether a recording without a tool call says that none was made: by its format, and by what a suite says of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from duologue import checks
from duologue.errors import SuiteError
from duologue.suites import load
from duologue.suites.execution.engine import Engine
from duologue.suites.replay import Recording, prepare_replay, read_recordings, replay
from duologue.transcripts.reader import recording_formats
from duologue.vocabulary import CheckStatus, Scope, Verdict

FIXTURES = Path(__file__).parents[2] / "transcripts" / "fixtures"
ASKED, ANSWERED = "Where is parcel 7?", "On its way."
CHAT = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": ANSWERED}]
TOOLS: Any = [{"type": "function", "function": {"name": "refund_order", "parameters": {}}}]
BLOCKS = [{"role": item["role"], "content": [{"type": "text", "text": item["content"]}]} for item in CHAT]
UTTERANCES = [{"role": "user", "content": ASKED}, {"role": "agent", "content": ANSWERED}]
PARTS = [
    {"role": "user", "parts": [{"text": ASKED}]},
    {"role": "model", "parts": [{"text": ANSWERED}]},
]
RESPONSE = {
    "object": "response",
    "input": ASKED,
    "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": ANSWERED}]},
    ],
}
ANSWER = {"choices": [{"index": 0, "message": CHAT[1]}]}
CHAIN = {"id": "r1", "run_type": "chain"}
INSPECT: Any = {
    "version": 2,
    "eval": {"task": "t", "model": "m"},
    "samples": [{"id": 1, "epoch": 1, "input": ASKED, "messages": CHAT, "scores": {}}],
}
SHAREGPT = [{"from": "human", "value": ASKED}, {"from": "gpt", "value": ANSWERED}]
TAU: Any = [{"task_id": 0, "reward": 1.0, "info": {}, "traj": [{"role": "system", "content": "p"}, *CHAT], "trial": 0}]
THREAD = [
    {"id": f"m{number}", "object": "thread.message", "thread_id": "t", "created_at": number, **message}
    for number, message in enumerate(CHAT)
]
STEP = {
    "object": "thread.run.step",
    "thread_id": "t",
    "created_at": 1,
    "step_details": {"type": "message_creation", "message_creation": {"message_id": "m1"}},
}
ADK = {"id": "s", "events": [{"author": "user", "content": PARTS[0]}, {"author": "desk", "content": PARTS[1]}]}

KNOWN: dict[str, Any] = {
    "openai_with_tools": {"request": {"messages": CHAT[:1], "tools": TOOLS}, "response": ANSWER},
    "openai_training_with_tools": {"messages": CHAT, "tools": TOOLS},
    "openai_with_functions": {"request": {"messages": CHAT[:1], "functions": TOOLS}, "response": ANSWER},
    "anthropic": {
        "request": {"system": "Be kind.", "messages": BLOCKS[:1]},
        "response": {"type": "message", "stop_reason": "end_turn", **BLOCKS[1]},
    },
    "gemini": {"contents": PARTS},
    "responses": RESPONSE,
    "assistants_with_steps": [*THREAD, STEP],
    "vapi": {"artifact": {"messages": [{"role": "user", "message": ASKED}, {"role": "bot", "message": ANSWERED}]}},
    "retell_with_tool_calls": {"call_id": "c", "transcript_with_tool_calls": UTTERANCES},
    "tau_bench": TAU,
    "inspect_ai": INSPECT,
    "langsmith_llm": {"id": "r", "run_type": "llm", "inputs": {"messages": CHAT[:1]}, "outputs": ANSWER},
    "langsmith_graph": {**CHAIN, "inputs": {"messages": CHAT[:1]}, "outputs": {"messages": CHAT}},
    "langfuse_generation": {"id": "o", "type": "GENERATION", "input": CHAT[:1], "output": CHAT[1]},
    "adk_session": ADK,
    "sharegpt_with_tools": {"conversations": SHAREGPT, "tools": json.dumps(TOOLS)},
    "deepeval_without_calls": {"input": ASKED, "actual_output": ANSWERED, "tools_called": []},
}
UNKNOWN: dict[str, Any] = {
    "chat_list": CHAT,
    "chat_lines": {"messages": CHAT},
    "openai_without_tools": {"request": {"messages": CHAT[:1]}, "response": ANSWER},
    "openai_null_tools": {"messages": CHAT, "tools": None},
    "openai_no_tools": {"messages": CHAT, "tools": []},
    "retell_transcript": {"call_id": "c", "transcript_object": UTTERANCES},
    "retell_null": {"call_id": "c", "transcript_with_tool_calls": None, "transcript_object": UTTERANCES},
    "sharegpt": {"conversations": SHAREGPT},
    "sharegpt_no_tools": {"conversations": SHAREGPT, "tools": ""},
    "langfuse_text": {"id": "t", "input": ASKED, "output": ANSWERED},
    "langsmith_text": {**CHAIN, "inputs": {"input": ASKED}, "outputs": {"output": ANSWERED}},
    "alpaca": {"instruction": ASKED, "output": ANSWERED},
    "deepeval": {"input": ASKED, "actual_output": ANSWERED},
    "deepeval_null": {"input": ASKED, "actual_output": ANSWERED, "tools_called": None},
    "assistants_messages": THREAD,
}
NEVER = {"type": "tools_not_called", "params": {"tools": ["refund_order"]}}


def read(folder: Path, value: Any) -> Recording:
    path = folder / "recording.json"
    path.write_text(json.dumps(value), "utf-8")
    [recording] = read_recordings(path)
    return recording


async def outcome(recording: Recording, said: bool | None = None) -> tuple[Verdict | None, CheckStatus]:
    never = checks.create("tools_not_called", {"tools": ["refund_order"]}, scope=Scope.CONVERSATION)
    result = await replay(recording, checks=[never], reports_tool_calls=said)
    return result.verdict, result.checks[0].status


@pytest.mark.parametrize("name", KNOWN)
async def test_a_recording_that_shows_every_call_passes_when_it_shows_none(name: str, tmp_path: Path) -> None:
    recording = read(tmp_path, KNOWN[name])
    assert await outcome(recording) == (Verdict.PASS, CheckStatus.PASSED)
    assert await outcome(recording, False) == (Verdict.UNDECIDED, CheckStatus.SKIPPED)


@pytest.mark.parametrize("name", UNKNOWN)
async def test_a_recording_that_may_hide_calls_is_not_checked_for_them(name: str, tmp_path: Path) -> None:
    recording = read(tmp_path, UNKNOWN[name])
    assert await outcome(recording) == (Verdict.UNDECIDED, CheckStatus.SKIPPED)
    assert await outcome(recording, True) == (Verdict.PASS, CheckStatus.PASSED)


async def test_a_journal_says_of_each_agent_what_its_run_knew() -> None:
    for path in FIXTURES.glob("*.jsonl"):
        try:
            [recording] = read_recordings(path, "journal")
        except SuiteError:
            continue
        told = {item.name: item.reports_tool_calls for item in recording.participants}
        again = prepare_replay(recording).agents
        assert {agent.name: agent.reports_tool_calls for agent in again if agent.name in told} == told


@pytest.mark.parametrize(
    ("said", "status"),
    [("", "skipped"), ("reports_tool_calls: true", "passed"), ("reports_tool_calls: false", "skipped")],
)
async def test_a_suite_says_it_of_its_recordings(said: str, status: str, tmp_path: Path) -> None:
    read(tmp_path, CHAT)
    lines = [
        "apiVersion: duologue/v1",
        "kind: Suite",
        "metadata: {name: logs}",
        "spec:",
        "  replays:",
        "    - name: log",
        "      recording: recording.json",
        f"      checks: [{json.dumps(NEVER)}]",
        *([f"      {said}"] if said else []),
    ]
    (tmp_path / "suite.yaml").write_text("\n".join(lines), "utf-8")
    execution = await Engine(suite=load(tmp_path / "suite.yaml")).execute()
    [run] = execution.runs
    assert [check.status for check in run.checks] == [status]


def test_formats_that_always_show_calls_are_few_and_named() -> None:
    always = {item.name for item in recording_formats() if item.reports_tool_calls}
    assert always >= {"anthropic", "vapi", "tau_bench", "inspect_ai", "responses", "gemini"}
    assert not always & {"openai", "retell", "sharegpt", "langfuse", "langchain", "transcript", "alpaca"}
