"""Files with several conversations: one bad entry is one bad case, and separate conversations stay separate."""

import json
from pathlib import Path
from typing import Any

import pytest

from duologue import checks
from duologue.errors import SuiteError
from duologue.messages import text_of
from duologue.suites.replay import Recording, read_entries, read_recordings, replay_file
from duologue.transcripts.recording import EmptyConversationError
from duologue.transcripts.scalars import number_in, text_in, time_in
from duologue.vocabulary import RunStatus, Scope

CASES = Path(__file__).parents[1] / "cases" / "reports"

GOOD = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}
CALL = {
    "call_id": "c1",
    "transcript_object": [{"role": "agent", "content": "Hi"}, {"role": "user", "content": "Hello"}],
}
TRAJECTORY = {"task_id": 1, "trial": 0, "reward": 1.0, "info": {}, "traj": GOOD["messages"]}
SIMULATION = {"id": "s", "task_id": 1, "termination_reason": "user_stop", "messages": GOOD["messages"]}
VAPI = {"id": "v", "messages": [{"role": "bot", "message": "Hi"}, {"role": "user", "message": "Hello"}]}
BATCH = {"custom_id": "r", "response": {"body": {"choices": [{"message": {"role": "assistant", "content": "Hello"}}]}}}


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), "utf-8")
    return path


def said(recording: Recording) -> list[str]:
    return [text_of(item.message) for item in recording.messages]


EMPTY: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (GOOD, {"messages": []}, "no message was found here"),
    (GOOD, {"messages": [{"role": "system", "content": "Be kind."}]}, "no message was found here"),
    (
        BATCH,
        {"custom_id": "x", "response": {"status_code": 429, "body": {"error": {"message": "slow down"}}}},
        "slow down",
    ),
    (BATCH, {"custom_id": "x", "response": None, "error": {"code": "batch_expired"}}, "batch_expired"),
    (BATCH, {"request": {"messages": GOOD["messages"][:1]}, "response": {"error": {"message": "down"}}}, "down"),
    (CALL, {"call_id": "x", "call_status": "not_connected", "disconnection_reason": "dial_busy"}, "dial_busy"),
    (CALL, {"call_id": "x", "call_status": "ended", "transcript_object": []}, "nothing was said in this call"),
    (CALL, {"call_id": "x", "call_status": "error", "transcript_object": None}, "nothing was said in this call"),
    (VAPI, {"id": "x", "endedReason": "customer-did-not-answer", "messages": []}, "customer-did-not-answer"),
    (VAPI, {"id": "x", "endedReason": "customer-busy"}, "customer-busy"),
    (TRAJECTORY, {**TRAJECTORY, "task_id": 2, "traj": [], "info": {"error": "boom"}}, "boom"),
    (SIMULATION, {**SIMULATION, "id": "x", "termination_reason": "agent_error", "messages": []}, "agent_error"),
]


@pytest.mark.parametrize("lines", [True, False], ids=["lines", "list"])
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
@pytest.mark.parametrize(("good", "bad", "told"), EMPTY, ids=[str(number) for number in range(len(EMPTY))])
def test_an_entry_without_a_conversation_keeps_no_other_back(
    good: dict[str, Any], bad: dict[str, Any], told: str, first: bool, lines: bool, tmp_path: Path
) -> None:
    rows = [bad, good] if first else [good, bad]
    path = write(tmp_path / "log.jsonl", rows) if lines else write(tmp_path / "log.json", [rows])
    found = read_entries(path)
    assert [item.error is None for item in found] == [row is good for row in rows]
    [broken] = [item for item in found if item.error]
    assert isinstance(broken.error, EmptyConversationError)
    assert told in str(broken.error)
    assert (f":{rows.index(bad) + 1}:" if lines else f"[{rows.index(bad)}]") in str(broken.error)
    assert [said(item) for item in read_recordings(path)] == [said(item) for item in found if not item.error]


def test_a_tau2_file_with_an_empty_simulation(tmp_path: Path) -> None:
    rows = {"simulations": [{**SIMULATION, "messages": []}, SIMULATION], "tasks": [], "info": {}}
    assert [item.error is None for item in read_entries(write(tmp_path / "tau2.json", [rows]))] == [False, True]


@pytest.mark.parametrize("bad", ["nonsense", '{"messages": 5}', '{"messages": [{"role": "who"}]}', "[" * 200, "7"])
def test_a_broken_line_is_named_and_keeps_no_other_back(bad: str, tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", [GOOD, bad, GOOD])
    found = read_entries(path)
    assert [item.error is None for item in found] == [True, False, True]
    assert f"{path}:2:1" in str(found[1].error)
    with pytest.raises(SuiteError, match=r"log\.jsonl:2:1"):
        read_recordings(path)


async def test_the_other_conversations_of_a_file_are_judged(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", [{"messages": []}, GOOD, "nonsense", GOOD])
    greets = checks.create("content_includes", {"patterns": ["hello"]}, scope=Scope.CONVERSATION)
    found = await replay_file(path, checks=[greets])
    statuses = [item.result.status for item in found]
    assert statuses == [RunStatus.ERROR, RunStatus.COMPLETED, RunStatus.ERROR, RunStatus.COMPLETED]
    assert [item.result.success for item in found] == [False, True, False, True]
    error = found[0].result.error
    assert error is not None
    assert "log.jsonl:1:1: no message was found here" in error.message


async def test_tool_calls_in_blocks_and_parts_fail_a_check_that_forbids_them() -> None:
    for name in ("05_anthropic.json", "28_vercel.json"):
        forbidden = checks.create("tools_not_called", {"tools": ["delete_order"]}, scope=Scope.CONVERSATION)
        [found] = await replay_file(CASES / "anthropic_tool_blocks" / name, checks=[forbidden])
        assert [call.name for call in found.recording.tool_calls] == ["delete_order"]
        assert found.result.verdict == "fail"


@pytest.mark.parametrize(
    ("name", "words"), [("04_refusal.json", "I'm sorry, I cannot assist with that."), ("34_audio.json", "On its way.")]
)
def test_a_refusal_and_a_spoken_answer_are_what_the_agent_said(name: str, words: str) -> None:
    [recording] = read_recordings(CASES / "refusal_and_audio_text_lost" / name)
    assert said(recording)[-1] == words


# --- separate conversations ------------------------------------------------------------------------------------------


def row(asked: list[Any], answer: str, **more: Any) -> dict[str, Any]:
    roles = ("user", "assistant")
    messages = [
        {"role": roles[n % 2], "content": text} if isinstance(text, str) else text for n, text in enumerate(asked)
    ]
    reply = {"message": {"role": "assistant", "content": answer}}
    return {"request": {"messages": messages}, "response": {"choices": [reply]}, **more}


def conversations(tmp_path: Path, rows: list[Any]) -> list[list[str]]:
    return [said(item) for item in read_recordings(write(tmp_path / "log.jsonl", rows))]


def test_users_who_begin_alike_stay_apart(tmp_path: Path) -> None:
    assert len(read_recordings(CASES / "same_first_exchange_merged" / "same_greeting.jsonl")) == 5
    rows = [
        *[row(["hi"], "hello") for _ in range(3)],
        row(["hi", "hello", "refund"], "done"),
        row(["hi", "hello", "parcel"], "sent"),
    ]
    assert conversations(tmp_path, rows) == [
        ["hi", "hello", "refund", "done"],
        ["hi", "hello", "parcel", "sent"],
        ["hi", "hello"],
    ]


@pytest.mark.parametrize("key", ["conversation_id", "session_id", "threadId"])
def test_ids_win(key: str, tmp_path: Path) -> None:
    rows = [
        row(["hi"], "hello", **{key: "a"}),
        row(["hi"], "hello", **{key: "b"}),
        row(["bye"], "farewell", **{key: "a"}),
        row(["hi", "hello", "more"], "yes", metadata={key: "b"}),
        row(["more", "yes", "again"], "no", **{key: "b"}),
    ]
    assert conversations(tmp_path, rows) == [
        ["hi", "hello", "bye", "farewell"],
        ["hi", "hello", "more", "yes", "again", "no"],
    ]


def test_requests_of_another_user_are_another_conversation(tmp_path: Path) -> None:
    rows = [row(["hi"], "hello", user="ann"), row(["hi", "hello", "more"], "yes", user="bob")]
    assert conversations(tmp_path, rows) == [["hi", "hello"], ["hi", "hello", "more", "yes"]]


def test_a_client_may_write_earlier_messages_in_another_way(tmp_path: Path) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    echoed = {"index": 0, **call, "function": {"name": "f", "arguments": '{"a": 1}'}}
    answer = {"role": "assistant", "content": None, "tool_calls": [call]}
    first = {**row(["hi"], ""), "response": {"choices": [{"message": answer}]}}
    tool = {"role": "tool", "tool_call_id": "c", "content": "x"}
    asked = [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {**answer, "content": "", "tool_calls": [echoed]},
    ]
    assert conversations(tmp_path, [first, row([*asked, tool], "done")]) == [["hi", "", "x", "done"]]


def test_a_system_prompt_may_tell_the_time(tmp_path: Path) -> None:
    def told(text: str) -> dict[str, Any]:
        return {"role": "system", "content": text}

    rows = [
        row([told("It is 2026-01-01 10:00. You serve Ann."), {"role": "user", "content": "hi"}], "hello"),
        row([told("It is 2026-01-01 10:01. You serve Bob."), {"role": "user", "content": "hi"}], "hello"),
        row(
            [told("It is 2026-01-01 10:02. You serve Bob."), *row(["hi", "hello", "bye"], "")["request"]["messages"]],
            "end",
        ),
    ]
    assert conversations(tmp_path, rows) == [["hi", "hello"], ["hi", "hello", "bye", "end"]]


# --- scalars ---------------------------------------------------------------------------------------------------------

AT = 1_714_557_600.0


@pytest.mark.parametrize(
    "written",
    [
        "1714557600", "1714557600.0", 1714557600, 1714557600000, "1714557600000", 1714557600000000000,
        "2024-05-01T10:00:00Z", "2024-05-01T12:00:00+02:00", "2024-05-01 10:00:00", "2024-05-01 10:00:00 UTC",
        "2024-05-01T10:00:00.000000000Z", "Wed, 01 May 2024 10:00:00 GMT", "May 1, 2024 10:00 AM",
        "1 May 2024 10:00:00",
        "2024/05/01 10:00:00", {"$date": "2024-05-01T10:00:00Z"}, {"$date": {"$numberLong": "1714557600000"}},
        {"_seconds": 1714557600, "_nanoseconds": 0}, {"seconds": "1714557600", "nanos": 0},
    ],
)  # fmt: skip
def test_a_time_in_one_of_many_forms(written: Any, tmp_path: Path) -> None:
    assert time_in(written) == AT
    rows = [{"role": "user", "content": "a", "timestamp": written}]
    [recording] = read_recordings(write(tmp_path / "a.json", [rows]))
    assert (recording.messages[0].at, recording.warnings) == (AT, ())


@pytest.mark.parametrize(
    "written", ["13/05/2024 10:00:00", "05/13/2024 10:00", "13.05.2024, 10:00", "05/13/2024 10:00 AM"]
)
def test_a_date_whose_day_and_month_cannot_be_exchanged(written: str) -> None:
    assert time_in(written) == AT + 12 * 86400


@pytest.mark.parametrize("field", ["timestamp", "cost", "latency_ms"])
@pytest.mark.parametrize("written", ["01/05/2024 10:00:00", "soon", True, [1], {"a": 1}, "99999-99-99", {"$date": {}}])
def test_what_cannot_be_read_is_left_out_with_a_word(field: str, written: Any, tmp_path: Path) -> None:
    rows = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", field: written}]
    [recording] = read_recordings(write(tmp_path / "a.json", [rows]))
    assert said(recording) == ["a", "b"]
    if not (field == "cost" and isinstance(written, dict)):  # a mapping of amounts, none of which is known
        assert any(f"[1].{field}: left out" in text for text in recording.warnings), recording.warnings


def test_numbers_as_text(tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": "b", "cost": "$0.0012", "latency_ms": "123",
              "usage": {"prompt_tokens": "1,000", "completion_tokens": "7"}}  # fmt: skip
    [recording] = read_recordings(write(tmp_path / "a.json", [[{"role": "user", "content": "a"}, answer]]))
    message = recording.messages[1]
    assert (message.cost, message.seconds, recording.warnings) == (0.0012, 0.123, ())
    assert message.usage is not None
    assert message.usage.total_tokens == 1007
    assert [number_in(text) for text in ("1e-3", " 5 ", "-1", "", "x", "NaN", "1_0", "٣")] == [
        0.001,
        5,
        -1,
        *[None] * 5,
    ]
    assert [text_in(value) for value in ({"$oid": "ab"}, 7, True, [])] == ["ab", "7", None, None]


@pytest.mark.parametrize("path", sorted((CASES / "strict_scalars").iterdir()), ids=lambda path: path.name)
def test_no_file_is_refused_for_a_field_that_only_describes(path: Path) -> None:
    [recording] = read_recordings(path)
    assert len(recording.messages) == 2


def test_warnings_are_bounded(tmp_path: Path) -> None:
    rows = [{"role": "user", "content": "a", "timestamp": f"soon {number}"} for number in range(50)]
    [recording] = read_recordings(write(tmp_path / "a.json", [rows]))
    assert len(recording.warnings) == 21
    assert recording.warnings[-1] == "… and 30 more"
