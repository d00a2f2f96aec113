"""Files of strangers: whatever is in them, they are read, or refused with an error that says where and why."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

import duologue
from duologue import testing
from duologue.errors import ConfigurationError, DuologueError, SuiteError
from duologue.suites.replay import prepare_replay, read_recordings
from duologue.transcripts import builder, documents
from duologue.transcripts.reader import recording_formats

FIXTURES = Path(__file__).parent / "fixtures"

values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.just(10**400),
        st.floats(allow_nan=True, allow_infinity=True),
        st.text(max_size=8),
        st.sampled_from(
            ["user", "assistant", "tool", "bot", "message", "message.created", "\ud800", "2026-99-99", "c1"]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["role", "content", "type", "text", "tool_calls", "function", "name", "arguments", "parts", "messages"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


def read_and_judge(path: Path) -> None:
    """Do everything with a file that can be done; only errors of the package may come of it."""
    try:
        recordings = read_recordings(path)
    except DuologueError as error:
        told = str(error)
        assert str(path) in told
        return
    for recording in recordings:
        assert recording.messages
        assert recording.cost is not None
        assert recording.turns >= 1
        list(recording.tool_calls)
        with tempfile.TemporaryDirectory() as folder:
            executor = prepare_replay(recording, checks=[lambda state: bool(state.messages)], record=folder)
            result = asyncio.run(executor.perform())
            if (nothing := recording.not_judged) is not None:
                assert str(executor.failure).startswith(str(nothing))
                assert result.verdict is None
                continue
            assert executor.failure is None
            assert result.success
            [again] = read_recordings(next(Path(folder).glob("*.jsonl")))
            assert [item.message for item in again.messages] == [item.message for item in recording.messages]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copied = value.copy()
    copied[path[0]] = put(value[path[0]], path[1:], new)
    return copied


def load(path: Path) -> list[Any]:
    """The values of a file: one, or one for each line."""
    text = path.read_text("utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip() and line.endswith("}")]
    return [json.loads(text)]


def save(path: Path, rows: list[Any]) -> None:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", "utf-8")


SAMPLES = [path for path in sorted(FIXTURES.iterdir()) if path.suffix in {".json", ".jsonl"}]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_file_with_something_else_in_one_place_is_read_or_refused(data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(SAMPLES))
    rows = load(sample)
    number = data.draw(st.integers(0, len(rows) - 1))
    place = data.draw(st.sampled_from(places(rows[number])))
    rows[number] = put(rows[number], place, data.draw(values))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / sample.name
        save(path, rows)
        read_and_judge(path)


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    folder = tmp_path_factory.mktemp("journal")
    agents = [
        testing.ScriptedUserAgent(["hi", "bye"]),
        testing.ScriptedAgent(["hello", "farewell"]),
        testing.ScriptedJudge([None, True]),
    ]
    asyncio.run(duologue.arun("short", "a greeting", agents, record=folder / "j.jsonl", verbose=False))
    return load(folder / "j.jsonl")


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_journal_with_something_else_in_one_place_is_read_or_refused(data: st.DataObject, journal: list[Any]) -> None:
    rows = list(journal)
    number = data.draw(st.integers(0, len(rows) - 1))
    place = data.draw(st.sampled_from(places(rows[number])))
    new = data.draw(st.one_of(values, st.integers(-3, 12), st.sampled_from(["m1", "m2", "m9"])))
    rows[number] = put(rows[number], place, new)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        save(path, rows)
        read_and_judge(path)


@settings(max_examples=200, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=60),
        values.map(lambda value: json.dumps(value).encode()),
        st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
    ),
    suffix=st.sampled_from([".json", ".jsonl", ".yaml", ".txt", ""]),
)
def test_a_file_of_anything_is_read_or_refused(content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"file{suffix}"
        path.write_bytes(content)
        read_and_judge(path)


def refused(tmp_path: Path, text: str, name: str = "a.json", format: str | None = None) -> str:
    path = tmp_path / name
    path.write_text(text, "utf-8")
    with pytest.raises(SuiteError) as caught:
        read_recordings(path, format)
    assert caught.value.problems[0].position.file == str(path)
    return str(caught.value).replace(str(path), "FILE")


def test_a_mistake_is_told_with_its_place_and_what_is_expected(tmp_path: Path) -> None:
    text = '{"events": [{"type": "message", "message": {"role": "user", "content": 5}}]}'
    assert refused(tmp_path, text) == (
        "FILE: events[0].message.content: found 5 (a number); expected a text or a list of parts"
    )
    text = '{"messages": [{"role": "nobody", "content": ""}]}'
    assert refused(tmp_path, text) == 'FILE: messages[0].role: found "nobody"; expected user, assistant, tool or system'


def test_a_mistake_in_a_file_of_lines_is_told_with_its_line(tmp_path: Path) -> None:
    good = '{"messages": [{"role": "user", "content": "hi"}]}'
    bad = (
        '{"messages": [{"role": "user", "content": "hi", "tool_calls": "x"}, {"role": "assistant", "tool_calls": "x"}]}'
    )
    found = refused(tmp_path, f"{good}\n\n{bad}\n", "a.jsonl")
    assert found == 'FILE:3:1: messages[1].tool_calls: found "x"; expected tool calls'
    assert refused(tmp_path, f"{good}\nnonsense\n{good}\n", "b.jsonl").startswith("FILE:2:1: this line is no JSON")


def test_a_last_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    good = '{"messages": [{"role": "user", "content": "hi"}]}'
    (tmp_path / "a.jsonl").write_text(f"{good}\n{good[:20]}", "utf-8")
    assert len(read_recordings(tmp_path / "a.jsonl")) == 1


def test_a_file_that_is_not_there_suggests_one_that_is(tmp_path: Path) -> None:
    (tmp_path / "call.json").write_text("{}", "utf-8")
    with pytest.raises(SuiteError, match=r"there is no file '.*calls\.json'; did you mean 'call\.json'\?"):
        read_recordings(tmp_path / "calls.json")
    with pytest.raises(SuiteError, match="is no ordinary file; expected a recording"):
        read_recordings(tmp_path)


def test_a_file_of_no_known_format_is_told_all_of_them(tmp_path: Path) -> None:
    found = refused(tmp_path, '{"hello": 1}')
    assert found.startswith("FILE: found a mapping (hello); expected a recording in one of these formats: 'journal', ")
    assert all(f"'{name}'" in found for name in ("session", "openai", "tau_bench", "retell", "vapi"))
    assert "no conversation" in refused(tmp_path, '{"simulations": []}')
    assert "no message was found here" in refused(tmp_path, '{"events": []}')


def test_an_unknown_format_is_told_the_nearest() -> None:
    told = r"no format of recordings is called \"retel\"; did you mean 'retell'\?"
    with pytest.raises(ConfigurationError, match=told):
        read_recordings("any.json", "retel")
    names = {name for item in recording_formats() for name in (item.name, *item.aliases)}
    assert {"session", "recording", "session_recording", "arena", "arena_output", "scenario_output"} < names
    assert {"transcript", "yaml", "journal", "result", "openai", "tau_bench", "retell", "vapi"} < names
    assert all(item.allowed_by(name) for item in recording_formats() for name in ("generic", "auto"))


def test_limits_of_size_depth_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = '{"messages": ' + "[" * 150 + "]" * 150 + "}"
    assert "nested more than 100 levels deep" in refused(tmp_path, deep)
    assert "nested more than 100 levels deep" in refused(tmp_path, "[" * 200_000)
    arguments = json.dumps("[" * 100_000 + "]" * 100_000)
    call = f'{{"id": "c", "type": "function", "function": {{"name": "f", "arguments": {arguments}}}}}'
    text = f'[{{"role": "assistant", "content": null, "tool_calls": [{call}]}}]'
    assert "the JSON in this text is nested too deep" in refused(tmp_path, text)
    monkeypatch.setattr(builder, "MAX_MESSAGES", 3)
    assert "more than 3 messages" in refused(tmp_path, json.dumps([{"role": "user", "content": "hi"}] * 4))
    monkeypatch.setattr(documents, "MAX_BYTES", 10)
    assert "it has 12 bytes; expected at most 10" in refused(tmp_path, '{"hello": 1}')


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_know_are_left_out_with_a_word(tmp_path: Path, number: str) -> None:
    (tmp_path / "a.json").write_text(f'[{{"role": "user", "content": "hi", "cost": {number}}}]', "utf-8")
    [recording] = read_recordings(tmp_path / "a.json")
    assert (recording.messages[0].message["content"], recording.cost) == ("hi", 0.0)
    assert f"found {number}" in " ".join(recording.warnings).replace('"', "")


def test_halves_of_characters_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"role": "user", "content": "a\\ud83d and \\ud83d\\ude00"}]', "utf-8")
    [recording] = read_recordings(tmp_path / "a.json")
    assert recording.messages[0].message["content"] == "a\ufffd and \U0001f600"


NAMED = {
    "Intercom": {"type": "conversation", "id": "1", "source": {"body": "hi"}, "conversation_parts": {}},
    "Zendesk": {"comments": [{"id": 1, "author_id": 5, "body": "Where?"}], "ticket": {"id": 3}},
    "Botpress": [{"conversationId": "c", "direction": "incoming", "payload": {"type": "text", "text": "Where?"}}],
    "Voiceflow": [{"type": "request", "payload": {"type": "text", "payload": "Where?"}}],
    "Chainlit": {"steps": [{"type": "user_message", "output": "Where?"}], "id": "t"},
    "Bland": {"call_id": "x", "transcripts": [{"id": 1, "user": "user", "text": "Where?"}]},
}


@pytest.mark.parametrize("name", NAMED)
def test_exports_of_other_systems_are_named(name: str, tmp_path: Path) -> None:
    told = refused(tmp_path, json.dumps(NAMED[name]))
    assert name in told
    assert "JSON lines of {messages" in told


@pytest.mark.parametrize(
    ("suffix", "text", "kind"),
    [
        (".txt", "User: Hi\nAgent: Hello", "plain text"),
        (".vtt", "WEBVTT\n\n00:00.000 --> 00:02.000\nHi", "subtitles"),
        (".csv", "request,response\nhi,hello\n", "a CSV file"),
    ],
)
def test_texts_are_named(suffix: str, text: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"call{suffix}"
    path.write_text(text)
    with pytest.raises(SuiteError, match=f"this is {kind}; write each conversation"):
        read_recordings(path)


def test_the_folder_that_a_shell_is_in_is_not_hidden_as_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from duologue.config.tracebacks import without_known_secrets

    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.setenv("DB_PWD", "correct-horse")
    assert without_known_secrets(f"{tmp_path}/a.json: correct-horse") == f"{tmp_path}/a.json: ***"
