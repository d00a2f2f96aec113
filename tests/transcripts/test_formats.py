"""Each format: what is read of a file that was written as its system documents it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from journal_notes import note_fields

import duologue
from duologue import testing
from duologue.errors import SuiteError
from duologue.journal.events import Noted, ToolCalled, UserFinished
from duologue.messages import text_of
from duologue.runs.store.encoding import encoded_run
from duologue.suites.plan.build import TestCase
from duologue.suites.replay import Recording, read_recordings
from duologue.suites.results.from_journal import run_result

FIXTURES = Path(__file__).parent / "fixtures"


def read(name: str, format: str | None = None) -> list[Recording]:
    return read_recordings(FIXTURES / name, format)


def said(recording: Recording) -> list[tuple[int, str, str]]:
    return [(item.turn, item.message["role"], text_of(item.message)) for item in recording.messages]


def calls(recording: Recording) -> list[tuple[str, dict[str, Any], str | None, str | None]]:
    return [(item.name, item.arguments, item.result, item.error) for item in recording.tool_calls]


def seconds(recording: Recording) -> list[float | None]:
    """How long each message of the agent took; tools are not counted."""
    return [item.seconds for item in recording.messages if item.message["role"] == "assistant"]


def notes(recording: Recording, kind: str) -> list[dict[str, Any]]:
    return [note_fields(event.note) for event in recording.events if isinstance(event, Noted) and event.kind == kind]


FORMATS = {
    "weather-session.recording.json": "session",
    "support-session.jsonl": "session",
    "picture.arena.json": "arena_output",
    "turns.arena-output.json": "arena_output",
    "greeting.transcript.yaml": "transcript",
    "messages.json": "openai",
    "requests.jsonl": "openai",
    "training.jsonl": "openai",
    "batch.jsonl": "openai",
    "tau-airline.json": "tau_bench",
    "tau2-telecom.json": "tau_bench",
    "retell-call.json": "retell",
    "retell-webhooks.json": "retell",
    "vapi-call.json": "vapi",
    "vapi-report.json": "vapi",
    "run-result.json": "result",
}


def test_there_is_a_test_file_for_every_format() -> None:
    assert {path.name for path in FIXTURES.iterdir()} == set(FORMATS)


@pytest.mark.parametrize(("name", "format"), FORMATS.items())
def test_the_format_is_found_out_from_the_file(name: str, format: str) -> None:
    assert {item.format for item in read(name)} == {format}
    assert [item.index for item in read(name)] == list(range(len(read(name))))
    assert read(name, "auto") == read(name, "generic") == read(name)


@pytest.mark.parametrize(("name", "format"), FORMATS.items())
def test_another_format_is_refused_with_what_it_looks_like(name: str, format: str) -> None:
    wrong = "retell" if format != "retell" else "vapi"
    with pytest.raises(SuiteError, match=f"expected a recording of the format '{wrong}'. It looks like '{format}'"):
        read(name, wrong)


def test_a_session_in_one_file() -> None:
    [recording] = read("weather-session.recording.json", "session")
    assert (recording.session_id, recording.agent, recording.model) == ("weather-1", "small-model", "mini-1")
    assert recording.tags == ("weather", "smoke")
    assert said(recording) == [
        (0, "user", "Rain in Oslo?"),
        (0, "assistant", ""),
        (0, "tool", "dry"),
        (0, "assistant", "No, it stays dry."),
    ]
    assert calls(recording) == [("forecast", {"city": "Oslo"}, "dry", None)]
    assert seconds(recording) == [1.5, 2.5]
    assert recording.messages[0].at == 1772442000.0


def test_a_session_line_by_line_that_repeats_its_history() -> None:
    [recording] = read("support-session.jsonl", "session")
    assert recording.session_id == "run-7"
    assert said(recording) == [
        (0, "user", "Where is parcel 17?"),
        (0, "assistant", ""),
        (0, "tool", '{"place": "Ghent"}'),
        (0, "assistant", "It is in Ghent."),
        (1, "user", "And parcel 18?"),
        (1, "assistant", ""),
        (1, "tool", "Error: no such parcel"),
        (1, "assistant", "I do not know parcel 18."),
    ]
    assert notes(recording, "prompt") == [{"text": "You help with parcels."}]


def test_calls_with_the_same_id_keep_their_own_answers() -> None:
    [recording] = read("support-session.jsonl")
    assert calls(recording) == [
        ("track", {"parcel": 17}, '{"place": "Ghent"}', None),
        ("track", {"parcel": 18}, "Error: no such parcel", "no such parcel"),
    ]


def test_what_a_message_took_may_be_told_after_it() -> None:
    [recording] = read("support-session.jsonl")
    answer = recording.messages[3]
    assert (answer.seconds, answer.cost) == (0.9, 0.002)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (120, 8)
    assert seconds(recording) == [1.0, 0.9, 1.0, 2.0]
    [first] = [event for event in recording.events if isinstance(event, ToolCalled)][:1]
    assert first.seconds == 0.25


def test_a_result_of_an_arena_with_a_picture() -> None:
    [recording] = read("picture.arena.json", "arena_output")
    assert recording.agent == "vision"
    assert recording.metadata == {"scenario": "picture", "region": "default"}
    text, picture = recording.messages[0].message["content"]
    assert text == {"type": "text", "text": "What is this?"}
    assert picture["image_url"]["url"].startswith("data:image/png;base64,iVBOR")
    assert calls(recording) == [("look", {"closely": True}, "a cat", None)]
    assert seconds(recording) == [0.3, 0.2]
    assert recording.cost == pytest.approx(0.003)
    assert notes(recording, "prompt") == [{"text": "You describe pictures."}]
    [guardrail] = notes(recording, "guardrail")
    assert (guardrail["type"], guardrail["passed"]) == ("banned_words", False)


def test_an_arena_output_in_turns() -> None:
    [recording] = read("turns.arena-output.json", "arena_output")
    assert (recording.session_id, recording.agent, recording.tags) == ("s-9", "helper", ("refund",))
    assert [(turn, role) for turn, role, _ in said(recording)] == [
        (0, "user"),
        (0, "assistant"),
        (1, "user"),
        (1, "assistant"),
        (1, "tool"),
        (1, "assistant"),
        (1, "tool"),
    ]
    assert calls(recording) == [("refund", {"order": 5}, "ok", None), ("notify", {}, "sent", None)]
    assert recording.cost == pytest.approx(0.03)


def test_a_transcript_that_begins_with_the_agent_has_a_turn_for_that() -> None:
    [recording] = read("greeting.transcript.yaml", "transcript")
    assert (recording.session_id, recording.agent, recording.model) == ("walk-in", "front-desk", "mini-1")
    assert [turn for turn, _, _ in said(recording)] == [0, 1, 1, 1, 1]
    assert calls(recording) == [("book", {"nights": 1}, "room 12", None)]


def test_a_transcript_may_be_in_json(tmp_path: Path) -> None:
    content = yaml.safe_load((FIXTURES / "greeting.transcript.yaml").read_text("utf-8"))
    (tmp_path / "greeting.json").write_text(json.dumps(content), "utf-8")
    [recording] = read_recordings(tmp_path / "greeting.json")
    assert (recording.format, recording.agent, recording.tags) == ("transcript", "front-desk", ("hotel",))
    assert said(recording) == said(read("greeting.transcript.yaml")[0])


def test_a_list_of_messages_with_parts_and_the_old_form_of_calls() -> None:
    [recording] = read("messages.json", "openai")
    assert recording.messages[0].message["content"][1]["image_url"]["url"] == "https://example.com/dog.png"
    assert calls(recording) == [("look", {}, "a dog", None)]
    assert notes(recording, "prompt")[0]["text"] == "Answer briefly."


def test_requests_that_go_on_from_one_another_are_one_conversation_each() -> None:
    first, second = read("requests.jsonl", "openai")
    assert said(first) == [
        (0, "user", "hi"),
        (0, "assistant", "hello"),
        (1, "user", "bye"),
        (1, "assistant", "farewell"),
    ]
    assert seconds(first) == [0.42, 0.08]
    assert calls(second) == [("add", {"a": 2, "b": 2}, "4", None)]
    assert [role for _, role, _ in said(second)] == ["user", "assistant", "tool", "assistant"]
    assert first.model == "gpt-5-mini-2026"
    usage = [item.usage.total_tokens for item in first.messages if item.usage]
    assert usage == [14, 33]


def test_conversations_for_training_stay_apart_even_if_they_begin_alike() -> None:
    assert [len(item.messages) for item in read("training.jsonl")] == [2, 4]
    assert [item.name for item in read("training.jsonl")] == ["training #1", "training #2"]


def test_answers_of_a_batch_are_found_without_their_requests() -> None:
    assert [(item.session_id, said(item)) for item in read("batch.jsonl")] == [
        ("request-1", [(0, "assistant", "one")]),
        ("request-2", [(0, "assistant", "two")]),
    ]


def test_results_of_tau_bench() -> None:
    first, second = read("tau-airline.json", "tau_bench")
    assert (first.name, first.description) == ("task 3, trial 0", "You want to cancel flight A1.")
    assert (first.metadata["reward"], second.metadata["reward"]) == (1.0, 0.0)
    assert calls(first) == [("cancel_flight", {"flight": "A1"}, '{"status": "cancelled"}', None)]
    assert said(first)[-1] == (1, "user", "Thank you.")
    assert said(second) == [(0, "user", "Refund?"), (0, "assistant", "No.")]
    assert [event.reason for event in first.events if isinstance(event, UserFinished)] == ["goal_reached"]
    assert first.cost == 0.004


def test_a_simulation_of_tau2_bench() -> None:
    [recording] = read("tau2-telecom.json", "tau_bench")
    assert (recording.session_id, recording.name, recording.model) == ("sim-1", "task t-1, trial 0", "big-2")
    assert recording.description == "No signal.\nYou are Ada.\nBe patient."
    assert recording.metadata["reward"] == 1.0
    assert calls(recording) == [("find_line", {"name": "Ada"}, "line 1", None), ("find_plan", {}, "no plan", "no plan")]
    assert [turn for turn, _, _ in said(recording)] == [0, 1, 1, 1, 1, 1, 2]
    assert seconds(recording) == [None, 1.5, 2.0]
    assert recording.cost == pytest.approx(0.04)


def test_what_the_user_of_tau2_bench_does_is_not_put_down_to_the_agent() -> None:
    [recording] = read("tau2-telecom.json")
    assert "toggle_airplane_mode" not in {item.name for item in recording.tool_calls}
    assert [data.get("name") for data in notes(recording, "user_tool")] == ["toggle_airplane_mode", None]


def test_a_call_of_retell() -> None:
    [recording] = read("retell-call.json", "retell")
    assert (recording.session_id, recording.agent) == ("call_ab12", "Dental desk")
    assert [(turn, role) for turn, role, _ in said(recording)] == [
        (0, "assistant"),
        (1, "user"),
        (1, "assistant"),
        (1, "tool"),
        (1, "assistant"),
        (2, "user"),
    ]
    assert calls(recording) == [
        ("check_slot", {"day": "Tuesday", "hour": 9}, "calendar is down", "calendar is down"),
    ]
    assert seconds(recording) == [None, 0.5, 1.5]  # from the last word of the caller
    assert recording.messages[1].at == 1772442003.0
    assert recording.cost == pytest.approx(0.075)
    assert recording.metadata["disconnection_reason"] == "user_hangup"
    assert notes(recording, "retell.node_transition")[0]["new_node_name"] == "apologise"


@pytest.mark.parametrize("name", ["retell-call.json", "vapi-call.json"])
def test_what_a_platform_thought_of_a_call_is_not_told_to_judges(name: str) -> None:
    [recording] = read(name)
    assert recording.description == ""
    assert "secret" not in str(recording.metadata)


def test_webhooks_of_retell_hold_a_call_each() -> None:
    assert [item.session_id for item in read("retell-webhooks.json")] == ["call_ab12", "call_2"]


def test_a_call_of_vapi() -> None:
    [recording] = read("vapi-call.json", "vapi")
    assert (recording.session_id, recording.agent, recording.model) == ("019c-call", "Pizza line", "gpt-5-mini")
    assert [(turn, role) for turn, role, _ in said(recording)] == [
        (0, "assistant"),
        (1, "user"),
        (1, "assistant"),
        (1, "tool"),
        (1, "assistant"),
    ]
    assert calls(recording) == [("order", {"pizza": "margherita"}, '{"minutes": 20}', None)]
    assert seconds(recording) == [None, 0.5, 1.75]
    assert recording.messages[1].at == 1772442004.0
    assert recording.cost == 0.12
    assert notes(recording, "prompt")[0]["text"] == "You take orders."


def test_an_end_of_call_report_of_vapi_without_times_of_day() -> None:
    [recording] = read("vapi-report.json", "vapi")
    assert recording.session_id == "c-2"
    assert seconds(recording) == [None, 0.5]
    assert [item.at for item in recording.messages] == [None, None, None]


def test_the_result_of_a_run_of_our_own() -> None:
    [recording] = read("run-result.json", "journal")
    assert (recording.session_id, recording.name, recording.agent) == ("refund-ab12cd34", "refund", "shop")
    assert said(recording) == [
        (0, "user", "My order never came."),
        (0, "assistant", ""),
        (0, "tool", "Error: no such order"),
        (0, "assistant", "I cannot find it."),
        (1, "user", "Order 7."),
        (1, "assistant", "Your money is on its way."),
    ]
    assert calls(recording) == [("find_order", {"order": 1}, "Error: no such order", "no such order")]
    assert notes(recording, "workflow.state") == [{"state": "ask", "terminal": False}]
    assert [(e.turn, e.note.target, e.note.terminal) for e in recording.events if _is(e, "workflow.transition")] == [
        (1, "refunded", True)
    ]
    assert [(e.turn, e.note.type, e.note.passed) for e in recording.events if _is(e, "guardrail")] == [
        (0, "banned_words", True),
        (1, "max_length", False),
    ]
    assert notes(recording, "prompt")[0]["text"] == "You work in a shop."
    assert recording.cost == pytest.approx(0.003)
    assert recording.metadata["verdict"] == "pass"


def test_the_result_that_a_suite_writes_has_the_conversation_of_its_run(tmp_path: Path) -> None:
    agents = [
        testing.ScriptedUserAgent(["hi", "bye"], name="guest"),
        testing.ScriptedAgent(["hello", "farewell"], name="host"),
        testing.ScriptedJudge([None, True]),
    ]
    executor = duologue.prepare("greeting", "Somebody comes in", agents, verbose=False)
    asyncio.run(executor.perform())
    case = TestCase(index=0, scenario="greeting", agent="host-1")
    written = run_result(case, executor.journal.entries, executor.conversation.view)
    (tmp_path / "run.json").write_bytes(encoded_run(written))
    [recording] = read_recordings(tmp_path / "run.json", "journal")
    assert [item.message for item in recording.messages] == executor.conversation.view.messages
    assert [(item.turn, item.author) for item in recording.messages] == [
        (0, "guest"),
        (0, "host"),
        (1, "guest"),
        (1, "host"),
    ]


def _is(event: object, kind: str) -> bool:
    return isinstance(event, Noted) and event.kind == kind
