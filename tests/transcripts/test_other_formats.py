"""Formats of other tools: each is recognised as one format only, and its words and tool calls are read."""

import io
import itertools
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from journal_notes import note_fields
from recordings_of_others import ANSWERED, ASKED, CALLED, CHAT, FOUND, SAMPLES, Sample

from duologue.errors import SuiteError
from duologue.journal.events import Noted
from duologue.messages import text_of
from duologue.suites.replay import Recording, read_recordings
from duologue.transcripts import documents
from duologue.transcripts.documents import read_document
from duologue.transcripts.reader import formats_of, read_entries, recording_formats

FIXTURES = Path(__file__).parent / "fixtures"
CASES = Path(__file__).parents[1] / "cases" / "reports"
FILES = sorted([*FIXTURES.iterdir(), *CASES.glob("*/*.json*")])


def write(folder: Path, value: Any, name: str = "recording.json") -> Path:
    path = folder / name
    rows = value if name.endswith(".jsonl") else [value]
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return path


def said(recording: Recording) -> list[tuple[str, str]]:
    """What was said and answered; messages that only call tools are left out."""
    told = [(item.message["role"], text_of(item.message)) for item in recording.messages]
    return [(role, text) for role, text in told if text]


def check(sample: Sample, recording: Recording) -> None:
    tool = [("tool", FOUND)] if sample.tool else []
    assert said(recording) == [("user", ASKED), *tool, ("assistant", ANSWERED)]
    calls = [(call.name, call.arguments, call.result) for call in recording.tool_calls]
    assert calls == ([("find", CALLED, FOUND)] if sample.tool else [])
    prompts = [note_fields(item.note) for item in recording.events if isinstance(item, Noted) and item.kind == "prompt"]
    assert prompts == ([{"text": "Be kind."}] if sample.prompt else [])
    assert recording.format == sample.format


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_file_is_recognised_as_one_format_only(path: Path) -> None:
    found = [item.name for item in formats_of(read_document(path), recording_formats())]
    assert len(found) == 1, found


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_is_recognised_as_one_format_only(sample: Sample, tmp_path: Path) -> None:
    document = read_document(write(tmp_path, sample.value))
    assert [item.name for item in formats_of(document, recording_formats())] == [sample.format]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_what_was_said_and_called_is_read(sample: Sample, tmp_path: Path) -> None:
    [recording] = read_recordings(write(tmp_path, sample.value))
    check(sample, recording)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_null_fields_say_nothing(sample: Sample, tmp_path: Path) -> None:
    """Serialisers write fields without a value as null."""
    [recording] = read_recordings(write(tmp_path, with_nulls(sample.value)))
    check(sample, recording)


def with_nulls(value: Any) -> Any:
    if isinstance(value, list):
        return [with_nulls(item) for item in value]
    if not isinstance(value, dict) or value is CALLED or value == CALLED or "attributes" in value:
        return value
    optional = (
        "refusal",
        "audio",
        "annotations",
        "usage",
        "error",
        "created_at",
        "timestamp",
        "latency_ms",
        "cost",
        "model",
    )
    return {**dict.fromkeys(optional), **{key: with_nulls(item) for key, item in value.items()}}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_several_in_lines_are_several(sample: Sample, tmp_path: Path) -> None:
    """A file of lines with one conversation each; a list of messages is one line."""
    if sample.format in {"inspect_ai", "chatgpt_export", "claude_export"} or "data" in sample.value:
        pytest.skip("these are whole files")
    if sample.name in {"otlp", "promptfoo", "promptfoo_multi"} or isinstance(sample.value, list):
        pytest.skip("these are whole files")
    recordings = read_recordings(write(tmp_path, [sample.value, sample.value], "recording.jsonl"))
    assert recordings
    check(sample, recordings[0])


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_sample_survives_what_may_stand_in_any_field(sample: Sample, tmp_path: Path) -> None:
    """Something else in each field of the sample, one at a time: read, or refused with an error that has the place."""
    others = itertools.cycle((None, [], {}, "text", 7))
    for place, _ in leaves(sample.value):
        path = write(tmp_path, put(sample.value, place, next(others)))
        try:
            found = read_entries(path)
        except SuiteError as error:
            told = str(error)
        else:
            assert all(recording.error is not None or recording.messages for recording in found)
            continue
        assert str(path) in told


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], Any]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [(path, value), *(leaf for key, item in inner for leaf in leaves(item, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = value.copy()
    copied[path[0]] = put(value[path[0]], path[1:], new)
    return copied


def test_chunks_of_a_stream_are_joined(tmp_path: Path) -> None:
    def chunk(**delta: Any) -> dict[str, Any]:
        return {"id": "a", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}

    def call(**function: Any) -> dict[str, Any]:
        return chunk(tool_calls=[{"index": 0, "id": function.pop("id", None), "function": function}])

    rows = [
        chunk(role="assistant", content="Let "),
        chunk(content="me see."),
        call(id="c1", name="find", arguments='{"id"'),
        call(arguments=': "7"}'),
        {**chunk(), "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}},
        {**chunk(content="Another."), "id": "b"},
    ]
    first, second = read_recordings(write(tmp_path, rows, "stream.jsonl"))
    assert said(first) == [("assistant", "Let me see.")]
    assert [(item.name, item.arguments) for item in first.tool_calls] == [("find", CALLED)]
    assert said(second) == [("assistant", "Another.")]


def test_responses_that_continue_one_another_are_one_conversation(tmp_path: Path) -> None:
    def response(name: str, asked: str, answer: str, before: str | None = None) -> dict[str, Any]:
        item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": answer}]}
        return {"id": name, "object": "response", "input": asked, "output": [item], "previous_response_id": before}

    rows = [response("a", "hi", "hello"), response("x", "hi", "hello"), response("b", "bye", "farewell", "a")]
    first, second = read_recordings(write(tmp_path, rows, "log.jsonl"))
    assert said(first) == [("user", "hi"), ("assistant", "hello"), ("user", "bye"), ("assistant", "farewell")]
    assert said(second) == [("user", "hi"), ("assistant", "hello")]


def test_traces_of_a_session_are_one_conversation_whatever_their_order(tmp_path: Path) -> None:
    def trace(second: int, asked: str, answer: str, session: str) -> dict[str, Any]:
        at = f"2026-01-01T10:00:0{second}Z"
        return {"id": f"{session}{second}", "timestamp": at, "sessionId": session, "input": asked, "output": answer}

    rows = [trace(3, "bye", "farewell", "s"), trace(2, "hi", "hello", "other"), trace(1, "hi", "hello", "s")]
    first, second = read_recordings(write(tmp_path, {"data": rows, "meta": {"page": 1}}))
    assert said(first) == [("user", "hi"), ("assistant", "hello"), ("user", "bye"), ("assistant", "farewell")]
    assert (first.session_id, second.session_id) == ("s", "other")


def test_an_output_in_no_known_form_is_refused_rather_than_dropped(tmp_path: Path) -> None:
    path = write(tmp_path, {"id": "t", "input": ASKED, "output": {"a": 1, "b": 2}})
    with pytest.raises(SuiteError, match=r"output: found a mapping .*; expected the agent's answer"):
        read_recordings(path)
    with pytest.raises(SuiteError, match="there is no answer to judge"):
        read_recordings(write(tmp_path, {"id": "t", "input": ASKED, "output": None, "traceId": "t"}))


def eval_archive(*samples: dict[str, Any], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", compression) as archive:
        archive.writestr("header.json", json.dumps({"version": 2, "eval": {"task": "t", "model": "m"}}))
        for sample in samples:
            archive.writestr(f"samples/{sample['id']}_epoch_1.json", json.dumps(sample))
    return held.getvalue()


def test_an_archive_of_inspect(tmp_path: Path) -> None:
    samples = [
        {"id": number, "epoch": 1, "messages": CHAT, "scores": {"match": {"value": "C"}}, "attachments": {}}
        for number in (10, 2)
    ]
    failed: dict[str, Any] = {"id": 3, "epoch": 1, "messages": [], "error": {"message": "out of memory"}}
    path = tmp_path / "log.eval"
    path.write_bytes(eval_archive(*samples, failed))
    entries = read_entries(path)
    assert [item.name for item in entries] == ["sample 2", "3", "sample 10"]
    assert entries[0].metadata["scores"] == {"match": "C"}
    assert said(entries[0])[-1] == ("assistant", ANSWERED)
    assert "nothing was said in this sample (out of memory)" in str(entries[1].error)


def test_long_texts_of_inspect_that_are_kept_apart(tmp_path: Path) -> None:
    sample = {"id": 1, "messages": [{"role": "user", "content": "attachment://ab"}], "attachments": {"ab": ASKED}}
    path = tmp_path / "log.eval"
    path.write_bytes(eval_archive(sample))
    assert said(read_recordings(path)[0]) == [("user", ASKED)]


def test_archives_are_bounded_and_broken_ones_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "log.eval"
    path.write_bytes(eval_archive({"id": 1, "messages": [{"role": "user", "content": "x" * 200_000}]}))
    monkeypatch.setattr(documents, "MAX_BYTES", 100_000)
    with pytest.raises(SuiteError, match="unpacks to more than 100,000 bytes"):
        read_recordings(path)
    monkeypatch.undo()
    whole = eval_archive({"id": 1, "messages": CHAT})
    for cut in (30, 100, len(whole) - 30):
        path.write_bytes(whole[:cut])
        with pytest.raises(SuiteError, match="ZIP archive"):
            read_recordings(path)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"log": {"entries": []}}, "a HAR file"),
        ({"apiVersion": "duologue/v1", "kind": "Suite"}, "a manifest of a suite"),
        ({"cells": [], "nbformat": 4}, "a Jupyter notebook"),
        ([{"chosen": [], "rejected": []}], "data for preference training"),
        ({"sender_id": "a", "events": [{"event": "user", "text": "hi"}]}, "a tracker of Rasa"),
        ([{"question": "a", "answer": "b"}], "rename the fields to input and output"),
        ({"utterances": [{"speaker": "A", "text": "hi"}]}, "a transcript of speech in segments"),
        ({"id": "e", "suite": "s", "plan": {}, "runs": [], "totals": {}}, "the index of a results folder"),
    ],
)
def test_a_known_file_that_is_not_read_is_named_with_what_to_do(value: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match=told):
        read_recordings(write(tmp_path, value))


@pytest.mark.parametrize(("content", "told"), [(b"\x1f\x8b\x08x", "gzip file; unpack it"), (b"PAR1xx", "Parquet file")])
def test_a_packed_file_is_named(content: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(SuiteError, match=told):
        read_recordings(tmp_path / "a.json")
