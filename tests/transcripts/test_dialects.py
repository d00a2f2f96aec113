"""What other systems write in many ways is read in each: words, tool calls, conversations that stay apart."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from duologue import checks
from duologue.errors import SuiteError
from duologue.messages import text_of
from duologue.suites.replay import replay_file
from duologue.transcripts.reader import read_entries
from duologue.vocabulary import Scope

Said = list[list[str]]


def _user(text: str, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **more}


def _agent(text: str | None, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **more}


def _call(name: str = "f", id: str = "c") -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": "{}"}}


def _lines(*rows: Any) -> str:
    return "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)


def _written(value: Any, folder: Path, suffix: str = "") -> Path:
    text = value if isinstance(value, str) else json.dumps(value)
    path = folder / f"file{suffix or ('.jsonl' if isinstance(value, str) else '.json')}"
    path.write_text(text, encoding="utf-8")
    return path


def _said(path: Path) -> Said:
    """The words of each conversation in the file; what is broken says only that."""
    return [
        ["broken"]
        if entry.error is not None
        else [text for item in entry.messages if (text := text_of(item.message).strip())]
        for entry in read_entries(path)
    ]


def _called(path: Path) -> list[str]:
    return [call.name for entry in read_entries(path) for call in entry.tool_calls]


# Messages of several conversations in one list


_TWO = [_user("hi A"), _user("hi B"), _agent("yes A"), _agent("yes B")]
_APART: Said = [["hi A", "yes A"], ["hi B", "yes B"]]


@pytest.mark.parametrize("key", ["conversation_id", "thread_id", "sessionId", "chat_id"])
@pytest.mark.parametrize("ids", [("a", "b"), (1, 2)])
@pytest.mark.parametrize("in_lines", [True, False])
def test_messages_of_several_conversations_in_one_list_stay_apart(
    key: str, ids: tuple[Any, Any], in_lines: bool, tmp_path: Path
) -> None:
    rows = [{key: ids[place % 2], **message} for place, message in enumerate(_TWO)]
    assert _said(_written(_lines(*rows) if in_lines else rows, tmp_path)) == _APART


def _blocks(message: Mapping[str, Any]) -> dict[str, Any]:
    blocks = [{"type": "text", "text": message["content"]}]
    return {**message, "content": blocks if message["role"] == "user" else [*blocks, _TOOL_USE]}


_TOOL_USE: dict[str, Any] = {"type": "tool_use", "id": "t", "name": "f", "input": {}}


_WRITERS: list[Callable[[dict[str, Any]], dict[str, Any]]] = [
    _blocks,
    lambda message: {"role": message["role"], "parts": [{"text": message["content"]}]},
    lambda message: {"type": "human" if message["role"] == "user" else "ai", "content": message["content"]},
    lambda message: {"from": "human" if message["role"] == "user" else "gpt", "value": message["content"]},
    lambda message: {
        "author": "user" if message["role"] == "user" else "root",
        "invocation_id": "i",
        "content": {"parts": [{"text": message["content"]}]},
    },
    lambda message: {
        "kind": "request" if message["role"] == "user" else "response",
        "parts": [{"part_kind": "user-prompt" if message["role"] == "user" else "text", "content": message["content"]}],
    },
]


@pytest.mark.parametrize(
    "written", _WRITERS, ids=["anthropic", "gemini", "langchain", "sharegpt", "adk", "pydantic-ai"]
)
def test_they_stay_apart_in_every_dialect(written: Any, tmp_path: Path) -> None:
    rows = [{"session_id": "AB"[place % 2], **written(message)} for place, message in enumerate(_TWO)]
    assert _said(_written(_lines(*rows), tmp_path)) == _APART


@pytest.mark.parametrize(
    "name", ["data", "results", "conversations", "sessions", "threads", "items", "samples", "chats"]
)
@pytest.mark.parametrize("bare", [False, True])
def test_conversations_under_a_name(name: str, bare: bool, tmp_path: Path) -> None:
    talks = [[_user("hi A"), _agent("yes A")], [_user("hi B"), _agent("yes B")]]
    held = talks if bare else [{"messages": talk} for talk in talks]
    assert _said(_written({name: held, "total": 2}, tmp_path)) == _APART


def test_a_conversation_that_lacks_a_line_is_not_judged(tmp_path: Path) -> None:
    assert _said(_written(_lines(_user("q"), "{broken", _agent("w")), tmp_path)) == [["broken"]]


def test_an_id_that_no_two_messages_share_is_none_of_a_conversation(tmp_path: Path) -> None:
    rows = [{"session_id": f"{place}", **message} for place, message in enumerate([_user("q"), _agent("w")])]
    assert _said(_written(rows, tmp_path)) == [["q", "w"]]


# An answer that stands beside the messages


_CHUNKS = [
    {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": piece}}]}
    for piece in ("wor", "ds")
]
_EVENTS = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in _CHUNKS) + "data: [DONE]\n\n"


_BESIDE: list[dict[str, Any]] = [
    *({name: "words"} for name in ("response", "output", "completion", "answer", "reply", "generated_text")),
    {"response": _agent("words")},
    {"response": [_agent("words")]},
    {"message": _agent("words")},
    {"message": _agent("words"), "done": True, "model": "llama"},
    {"response": {"id": "x", "message": {"role": "assistant", "content": [{"type": "text", "text": "words"}]}}},
    {"response": {"output": {"message": {"role": "assistant", "content": [{"text": "words"}]}}}},
    {"response": json.dumps({"choices": [{"message": _agent("words")}]})},
    {"response": {"body": json.dumps({"choices": [{"message": _agent("words")}]})}},
    {"response": _CHUNKS},
    {"response": _EVENTS},
    {"output": {"text": "words"}},
    {"response": {"answer": "words", "sources": ["a"]}},
]


@pytest.mark.parametrize("system", [{}, {"system": "Be kind."}])
@pytest.mark.parametrize("beside", _BESIDE)
def test_an_answer_beside_the_messages_is_what_the_agent_said(
    beside: dict[str, Any], system: dict[str, Any], tmp_path: Path
) -> None:
    path = _written(_lines({"messages": [_user("q")], **system, **beside}), tmp_path)
    assert _said(path) == [["q", "words"]]


def test_labels_of_a_whole_conversation_are_no_answers(tmp_path: Path) -> None:
    rows = [
        {"messages": [_user("q"), _agent("w")], "answer": "42"},
        {"messages": [_user("q"), _agent("w")], "output": {"score": 1}},
        {"messages": [_user("q"), _agent("w")], "response": "w"},
    ]
    assert _said(_written(_lines(*rows), tmp_path)) == [["q", "w"]] * 3


def test_a_broken_row_has_its_own_number(tmp_path: Path) -> None:
    path = _written(_lines({"messages": [_user("q"), _agent("w")]}, "{broken"), tmp_path)
    assert [(entry.index, entry.name) for entry in read_entries(path)] == [(0, "file #1"), (1, "file #2")]


_BROKEN_OFF = {"finish_reason": "error", "message": {"role": "assistant", "content": "Your par"}}


@pytest.mark.parametrize("response", [{"choices": []}, {"choices": [_BROKEN_OFF]}, {"x": {"y": 1}}, 5, [1]])
def test_an_answer_that_cannot_be_read_is_refused(response: Any, tmp_path: Path) -> None:
    good = {"messages": [_user("q2")], "response": "w2"}
    assert _said(_written(_lines({"messages": [_user("q")], "response": response}, good), tmp_path)) == [
        ["broken"],
        ["q2", "w2"],
    ]


async def test_nothing_passes_where_only_the_user_speaks(tmp_path: Path) -> None:
    path = _written(_lines({"messages": [_user("q")]}, {"messages": [_user("q2"), _agent("w2")]}), tmp_path)
    never = checks.create("content_excludes", {"patterns": ["secret"]}, scope=Scope.CONVERSATION)
    first, second = await replay_file(path, checks=[never])
    assert first.result.verdict is None
    assert "the agent says nothing here" in str(first.result.error)
    assert second.result.verdict == "pass"


# Where the words of a message stand


_WORDS: list[Any] = [
    {"role": "assistant", "text": "words"},
    {"role": "AI", "message": "words"},
    {"role": "model", "parts": "words"},
    {"role": "assistant", "utterance": "words"},
    {"role": "assistant", "items": [{"content_type": "text", "text": "words"}]},
    {"role": "assistant", "content": [{"type": "markdown", "text": "words"}]},
    {"role": "assistant", "tool_plan": "words", "tool_calls": [_call()]},
    {"type": "chat", "data": {"role": "assistant", "content": "words"}},
    {"source": "helper", "type": "MultiModalMessage", "content": ["words", {"data": "x"}]},
    {"role": "virtual_agent", "content": "words"},
    {"role": "assistant", "content": [None, {"type": "text", "text": {"value": "words", "annotations": []}}]},
    {"role": "assistant", "content": [{"type": "markdown", "markdown": "words"}]},
]


@pytest.mark.parametrize("message", _WORDS)
def test_words_are_found_wherever_a_dialect_puts_them(message: dict[str, Any], tmp_path: Path) -> None:
    assert _said(_written({"messages": [_user("q"), message]}, tmp_path)) == [["q", "words"]]


def test_a_message_whose_words_are_nowhere_is_refused(tmp_path: Path) -> None:
    path = _written({"messages": [_user("q"), {"role": "assistant", "payload": {"a": "words"}}]}, tmp_path)
    with pytest.raises(SuiteError, match=r"messages\[1\]\.content: found nothing; expected what was said"):
        raise read_entries(path)[0].error or AssertionError


@pytest.mark.parametrize("calls", [_call(), json.dumps([_call()]), json.dumps(_call())])
def test_tool_calls_as_databases_keep_them(calls: Any, tmp_path: Path) -> None:
    assert _called(_written([_user("q"), _agent("w", tool_calls=calls)], tmp_path)) == ["f"]


_PROVIDER_TOOLS: list[Any] = [
    ({"type": "web_search_call", "id": "w", "status": "completed", "action": {"query": "x"}}, "web_search"),
    ({"type": "file_search_call", "id": "w", "queries": ["x"], "results": [{"text": "hit"}]}, "file_search"),
    ({"type": "code_interpreter_call", "id": "w", "code": "1"}, "code_interpreter"),
    ({"type": "computer_call", "call_id": "w", "action": {"type": "click"}}, "computer"),
    ({"type": "local_shell_call", "call_id": "w", "action": {"command": ["ls"]}}, "local_shell"),
    ({"type": "image_generation_call", "id": "w", "result": "AAAA"}, "image_generation"),
]


@pytest.mark.parametrize(("item", "name"), _PROVIDER_TOOLS)
def test_tools_that_the_provider_runs_are_called(item: dict[str, Any], name: str, tmp_path: Path) -> None:
    answer = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "w"}]}
    path = _written([_user("q"), item, answer], tmp_path)
    assert _called(path) == [name]
    assert _said(path)[0][-1] == "w"


# Streams


def _chunk(delta: dict[str, Any]) -> dict[str, Any]:
    return {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}


def _legacy(**function: str) -> dict[str, Any]:
    return _chunk({"function_call": function})


_ANTHROPIC: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": []}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "wor"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ds"}},
    {"type": "content_block_start", "index": 1, "content_block": {**_TOOL_USE}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"x": 1}'}},
    {"type": "message_stop"},
]
_RESPONSE = {
    "id": "r",
    "object": "response",
    "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "words"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ],
}


_PIECES: list[Any] = [
    ([_chunk({"content": "wor"}), _chunk({"content": "ds"})], ["words"], []),
    ([_chunk({"audio": {"transcript": "wor"}}), _chunk({"audio": {"transcript": "ds"}})], ["words"], []),
    ([_legacy(name="f", arguments=""), _legacy(arguments="{}")], [], ["f"]),
    ([_chunk({"tool_calls": [_call("f", "a")]}), _chunk({"tool_calls": [_call("g", "b")]})], [], ["f", "g"]),
    (_ANTHROPIC, ["words"], ["f"]),
    (
        [
            {"type": "response.created", "response": {"id": "r"}},
            {"type": "response.completed", "response": _RESPONSE},
        ],
        ["words"],
        ["f"],
    ),
    ([{"type": "response.output_text.delta", "delta": piece} for piece in ("wor", "ds")], ["words"], []),
    (
        [{"model": "l", "message": _agent(piece), "done": piece == ""} for piece in ("wor", "ds", "")],
        ["words"],
        [],
    ),
    (
        [
            {"candidates": [{"content": {"role": "model", "parts": [{"text": "wor"}]}}]},
            {"candidates": [{"content": {"parts": [{"text": "ds"}]}, "finishReason": "STOP"}]},
        ],
        ["words"],
        [],
    ),
]


@pytest.mark.parametrize(("pieces", "words", "calls"), _PIECES)
@pytest.mark.parametrize("form", ["lines", "list", "events"])
def test_pieces_of_an_answer_are_one_answer(
    pieces: list[dict[str, Any]], words: list[str], calls: list[str], form: str, tmp_path: Path
) -> None:
    events = "".join(f"event: x\ndata: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
    written = {"lines": _lines(*pieces), "list": pieces, "events": events}[form]
    path = _written(written, tmp_path, ".txt" if form == "events" else "")
    assert _said(path) == [words]
    assert _called(path) == calls


def test_a_request_among_the_pieces_belongs_to_the_answer(tmp_path: Path) -> None:
    assert _said(_written(_lines({"messages": [_user("q")]}, *_CHUNKS), tmp_path)) == [["q", "words"]]


@pytest.mark.parametrize("bad", ["{broken", {"error": {"message": "overloaded"}}])
def test_an_answer_that_lacks_a_piece_is_not_judged(bad: Any, tmp_path: Path) -> None:
    assert _said(_written(_lines(_CHUNKS[0], bad, _CHUNKS[1]), tmp_path)) == [["broken"]]


# Traces


def _span(attributes: dict[str, Any], trace: str = "t", start: int = 1, **more: Any) -> dict[str, Any]:
    listed = [{"key": key, "value": _typed(value)} for key, value in attributes.items()]
    return {"traceId": trace, "startTimeUnixNano": f"{start}", "attributes": listed, **more}


def _typed(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_typed(item) for item in cast("list[Any]", value)]}}
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value).items()
        return {"kvlistValue": {"values": [{"key": key, "value": _typed(item)} for key, item in pairs]}}
    return {"stringValue": value}


def _export(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": [*spans]}]}]}


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


_CHAT = {"gen_ai.operation.name": "chat"}
_IN, _OUT = "gen_ai.input.messages", "gen_ai.output.messages"
_ASKED, _ANSWERED = [_message("user", "q")], [_message("assistant", "words")]
_OPEN_INFERENCE = {
    "openinference.span.kind": "LLM",
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.content": "q",
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.contents.0.message_content.type": "text",
    "llm.output_messages.0.message.contents.0.message_content.text": "words",
}
_LOGFIRE = [
    {"event.name": "gen_ai.user.message", "content": "q", "role": "user"},
    {"event.name": "gen_ai.choice", "message": _agent("words")},
]


_SPANS: list[Any] = [
    _span({**_CHAT, _IN: json.dumps(_ASKED), _OUT: json.dumps(_ANSWERED)}),
    _span({**_CHAT, _IN: _ASKED, _OUT: _ANSWERED}),
    _span(_CHAT, events=[_span({_IN: _ASKED, _OUT: _ANSWERED}, name="gen_ai.client.inference.operation.details")]),
    _span(_OPEN_INFERENCE),
    _span({"openinference.span.kind": "AGENT", "input.value": "q", "output.value": "words"}),
    _span({**_CHAT, "events": json.dumps(_LOGFIRE)}),
    _span({"pydantic_ai.all_messages": json.dumps([*_ASKED, *_ANSWERED])}),
    _span(
        {
            "ai.operationId": "ai.generateText.doGenerate",
            "ai.prompt.messages": json.dumps([{"role": "user", "content": [{"type": "text", "text": "q"}]}]),
            "ai.response.text": "words",
        }
    ),
]


@pytest.mark.parametrize(
    "span", _SPANS, ids=["json", "typed", "event", "open inference", "agent", "logfire", "pydantic-ai", "vercel"]
)
@pytest.mark.parametrize("with_tool", [False, True])
def test_spans_of_every_convention(span: dict[str, Any], with_tool: bool, tmp_path: Path) -> None:
    tool = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "refund", "gen_ai.tool.call.arguments": "{}"}
    path = _written(_export(span, *([_span(tool, start=2)] if with_tool else [])), tmp_path)
    assert _said(path) == [["q", "words"]]
    assert _called(path) == (["refund"] if with_tool else [])


def test_a_broken_line_of_spans_is_named(tmp_path: Path) -> None:
    whole = _export(_span({**_CHAT, _IN: _ASKED, _OUT: _ANSWERED}))
    assert sorted(_said(_written(_lines(whole, "{broken", whole), tmp_path))) == [
        ["broken"],
        ["q", "words"],
        ["q", "words"],
    ]


def test_spans_without_messages_say_how_to_capture_them(tmp_path: Path) -> None:
    [entry] = read_entries(_written(_export(_span(_CHAT)), tmp_path))
    assert "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT" in str(entry.error)


_USED = {"type": "TOOL", "run_type": "tool", "name": "refund", "parent_run_id": "r"}


_TRACES: list[Any] = [
    [{"id": "t", "input": "q", "output": "w", "observations": [{**_USED, "input": {"x": 1}, "output": "done"}]}],
    [
        {"id": "r", "run_type": "chain", "inputs": {"question": "q"}, "outputs": {"answer": "w"}},
        {"id": "s", **_USED, "inputs": {"input": "{}"}, "outputs": {"output": "done"}},
    ],
]


@pytest.mark.parametrize("rows", _TRACES, ids=["langfuse", "langsmith"])
def test_tools_used_within_a_trace_are_called(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    path = _written(rows, tmp_path)
    assert _said(path) == [["q", "done", "w"]]
    assert _called(path) == ["refund"]


def test_the_call_that_gave_the_answer_speaks_for_a_trace(tmp_path: Path) -> None:
    calls = [("Classify: q", "billing"), ("q", "w"), ("Give this chat a title", "Title")]
    observations = [
        {"type": "GENERATION", "startTime": f"{start}", "input": [_user(asked)], "output": _agent(answer)}
        for start, (asked, answer) in enumerate(calls)
    ]
    path = _written({"id": "t", "input": "q", "output": "w", "observations": observations}, tmp_path)
    assert _said(path) == [["q", "w"]]


_LISTED: list[Callable[[str, str], dict[str, Any]]] = [
    lambda at, asked: {"sessionId": "s", "timestamp": at, "input": asked, "output": f"re {asked}"},
    lambda at, asked: {
        "id": asked,
        "start_time": at,
        "inputs": {"input": asked},
        "outputs": {"output": f"re {asked}"},
        "extra": {"metadata": {"thread_id": "t"}},
    },
]


@pytest.mark.parametrize("row", _LISTED, ids=["langfuse", "langsmith"])
def test_the_newest_may_be_listed_first(row: Any, tmp_path: Path) -> None:
    other = {**row("2026-01-01T00:00:00Z", "other"), "sessionId": None, "extra": None}
    rows = [row("2026-01-01T00:00:02Z", "two"), other, row("2026-01-01T00:00:01Z", "one")]
    assert _said(_written(rows, tmp_path)) == [["one", "re one", "two", "re two"], ["other", "re other"]]


# Other systems


_EVENT: dict[str, Any] = {
    "author": "root",
    "invocation_id": "i",
    "content": {"parts": [{"function_call": {"name": "f", "args": {}}}]},
}


_FILES: list[Any] = [
    (
        {
            "events": [
                {"author": "user", "content": {"parts": [{"text": "q"}]}},
                {"author": "root", "content": {"parts": [{"text": "wor"}]}, "partial": True},
                {"author": "root", "content": {"parts": [{"text": "words"}]}, "partial": False},
            ]
        },
        [["q", "words"]],
        [],
    ),
    (
        {
            "eval_cases": [
                {
                    "conversation": [
                        {
                            "user_content": {"parts": [{"text": "q"}], "role": "user"},
                            "intermediate_data": {"invocation_events": [_EVENT]},
                            "final_response": {"parts": [{"text": "w"}], "role": "model"},
                        }
                    ]
                }
            ]
        },
        [["q", "w"]],
        ["f"],
    ),
    (
        _lines(
            {"type": "summary", "summary": "x"},
            {"type": "user", "uuid": "1", "sessionId": "s", "message": _user("q")},
            {
                "type": "assistant",
                "uuid": "2",
                "sessionId": "s",
                "message": {"role": "assistant", "content": [{"type": "text", "text": "w"}, _TOOL_USE]},
            },
        ),
        [["q", "w"]],
        ["f"],
    ),
    (
        [
            {
                "thread_id": "t",
                "values": {"messages": [{"type": "human", "content": "q"}, {"type": "ai", "content": "w"}][:length]},
            }
            for length in (2, 1)
        ],
        [["q", "w"]],
        [],
    ),
    (
        [{"input": "q", "actual_output": "w"}, {"input": "q2", "actual_output": None}],
        [["q", "w"], ["broken"]],
        [],
    ),
    ([{"conversations": [_user("q"), _agent("w")]}], [["q", "w"]], []),
    (
        [
            {"role": "USER", "message": "q"},
            {"role": "CHATBOT", "message": "w", "tool_calls": [{"name": "f", "parameters": {}}]},
            {"role": "TOOL", "tool_results": [{"call": {"name": "f"}, "outputs": [{"r": "done"}]}]},
        ],
        [["q", "w", '[{"r": "done"}]']],
        ["f"],
    ),
    (
        {
            "messages": [
                {"source": "user", "type": "TextMessage", "content": "q"},
                {
                    "source": "a",
                    "type": "ToolCallRequestEvent",
                    "content": [{"id": "c", "name": "f", "arguments": "{}"}],
                },
                {"source": "a", "type": "ToolCallExecutionEvent", "content": [{"call_id": "c", "content": "done"}]},
                {"source": "a", "type": "SelectSpeakerEvent", "content": ["a"]},
                {"source": "a", "type": "StructuredMessage", "content": {"text": "w"}},
            ]
        },
        [["q", "done", "w"]],
        ["f"],
    ),
]


@pytest.mark.parametrize(
    ("value", "said", "calls"),
    _FILES,
    ids=[
        "adk partial",
        "adk events",
        "claude code",
        "langgraph history",
        "deepeval",
        "conversations",
        "cohere",
        "autogen",
    ],
)
def test_files_of_other_systems(value: Any, said: Said, calls: Sequence[str], tmp_path: Path) -> None:
    path = _written(value, tmp_path)
    assert _said(path) == said
    assert _called(path) == [*calls]


def test_a_broken_sample_of_an_archive_is_one_case(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("header.json", json.dumps({"version": 2, "eval": {"task": "t", "model": "m"}}))
        archive.writestr("samples/1_epoch_1.json", json.dumps({"id": 1, "messages": [_user("q"), _agent("w")]}))
        archive.writestr("samples/2_epoch_1.json", "{broken")
    path = tmp_path / "log.eval"
    path.write_bytes(content.getvalue())
    assert _said(path) == [["q", "w"], ["broken"]]


_OTHERS: list[Any] = [
    (_lines({"sender_id": "u", "event": "user", "text": "q"}), "a tracker of Rasa"),
    ({"interactions": [{"response": {"queryResult": {}}}]}, "a log of Dialogflow"),
    ({"activities": [{"type": "message", "from": {"role": "user"}, "text": "q"}]}, "of the Bot Framework"),
    ([{"type": "message", "user": "U1", "text": "q", "ts": "1.1"}], "an export of Slack"),
    ({"transcript": [{"role": "agent", "message": "hi", "time_in_call_secs": 0}]}, "of ElevenLabs"),
    (_lines({"type": "session.created"}, {"type": "response.done", "response": {}}), "events of a Realtime API"),
    ([{"source": "user", "action": "message", "args": {}}], "a trajectory of OpenHands"),
    ({"raw": "w", "tasks_output": []}, "the output of a CrewAI crew"),
    ({"input": "q", "new_items": []}, "write the list that result.to_input_list"),
    ({"info": {"trace_id": "t"}, "data": {"spans": []}}, "a trace of MLflow"),
    ({"kind": "task", "history": []}, "a task of the A2A protocol"),
    (_lines({"messages": [_user("q")], "chosen": [_agent("a")], "rejected": [_agent("b")]}), "preference training"),
    (_lines({"prompt": "q", "completion": "w"}), "rename the fields to input and output"),
    ({"turns": [{"speaker": "user", "utterance": "q"}]}, "rename the fields to role and content"),
]


@pytest.mark.parametrize(("value", "told"), _OTHERS)
def test_what_is_not_read_is_named(value: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=told):
        read_entries(_written(value, tmp_path))


def test_a_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("question,answer\nq,w\n", encoding="utf-8")
    with pytest.raises(SuiteError, match="this is a CSV file"):
        read_entries(path)
