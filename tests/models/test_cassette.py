"""Cassettes: recorded once, replayed without the world, strict about what is not on the tape."""

from __future__ import annotations

import json
from io import FileIO

import pytest

import duologue
from duologue.config.redaction import HIDDEN
from duologue.errors import CassetteError, CassetteMissError
from duologue.messages import user_message
from duologue.models import cassette as module
from duologue.models.ask import ask, ask_completion
from duologue.models.base import Completion, ModelRequest
from duologue.models.cassette import Cassette
from duologue.models.scope import RunScope
from duologue.models.scripted import ScriptedModel
from duologue.testing import ScriptedUserAgent, context


class AsksAModel(duologue.AgentAdapter):
    def __init__(self, model):
        self.model = model

    async def call(self, input):
        request = ModelRequest(messages=tuple(input.messages), temperature=0.5, extra={"api_key": "sk-123"})
        return (await ask(self.model, request, input.scope)).message


async def play(model, path, mode, lines=("one", "two"), **options):
    agents = [ScriptedUserAgent(list(lines)), AsksAModel(model)]
    return await duologue.arun(
        "Sc/enario",
        "b",
        agents,
        max_turns=2,
        verbose=False,
        context=context(),
        cassette=path,
        cassette_mode=mode,
        **options,
    )


async def test_a_recorded_run_replays_to_the_same_journal_without_asking(tmp_path):
    model = ScriptedModel(["first", "second"])
    recorded = await play(model, tmp_path / "tapes", "record", record=tmp_path / "a")
    silent = ScriptedModel([])
    replayed = await play(silent, tmp_path / "tapes", "replay", record=tmp_path / "b")
    assert silent.requests == []
    assert recorded.messages == replayed.messages

    def stripped(path):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        measured = {"at", "seconds", "total_time", "agent_time"}
        events = [event for line in lines for event in line["events"]]
        return [{key: value for key, value in event.items() if key not in measured} for event in events]

    assert stripped(recorded.journal) == stripped(replayed.journal)


async def test_a_miss_shows_the_nearest_recorded_request_and_the_difference(tmp_path):
    path = tmp_path / "tape.jsonl"
    await play(ScriptedModel(["first", "second"]), path, "record")
    with pytest.raises(duologue.errors.AgentError) as caught:
        await play(ScriptedModel([]), path, "replay", lines=("one", "something else"))
    assert isinstance(caught.value.__cause__, CassetteMissError)
    text = str(caught.value.__cause__)
    assert '-   "content": "two"' in text
    assert '+   "content": "something else"' in text


async def test_auto_asks_only_for_what_is_not_there(tmp_path):
    path = tmp_path / "tape.jsonl"
    await play(ScriptedModel(["first", "second"]), path, "auto")
    model = ScriptedModel(["third"])
    result = await play(model, path, "auto", lines=("one", "new"))
    assert len(model.requests) == 1
    assert [message["content"] for message in result.messages] == ["one", "first", "new", "third"]
    assert (await play(ScriptedModel([]), path, "replay", lines=("one", "new"))).messages == result.messages


async def test_the_same_request_asked_twice_has_two_answers_in_order(tmp_path):
    path = tmp_path / "tape.jsonl"
    request = ModelRequest(messages=(user_message("again"),))

    async def twice(cassette, model):
        scope = RunScope(context=context(), cassette=cassette)
        return [(await ask(model, request, scope)).text for _ in range(2)]

    assert await twice(Cassette(path), ScriptedModel(["a", "b"])) == ["a", "b"]
    assert await twice(Cassette(path, "replay"), ScriptedModel([])) == ["a", "b"]
    scope = RunScope(cassette=(tape := Cassette(path, "replay")))
    for _ in range(2):
        await ask(ScriptedModel([]), request, scope)
    with pytest.raises(CassetteMissError, match=r"asked for the 3rd time and recorded 2 times"):
        await ask(ScriptedModel([]), request, RunScope(cassette=tape))


async def test_secrets_are_never_written(tmp_path):
    path = tmp_path / "tape.jsonl"
    await play(ScriptedModel(["first", "second"]), path, "record")
    assert "sk-123" not in path.read_text()
    assert HIDDEN in path.read_text()


async def test_completions_are_recorded_with_their_logprobs(tmp_path):
    class Completing(ScriptedModel):
        async def complete(self, prompt, **options):
            return Completion(text="yes", logprobs=({"yes": -0.1},))

    path = tmp_path / "tape.jsonl"
    recorded = await ask_completion(Completing([]), "is it?", RunScope(cassette=Cassette(path)), logprobs=2)

    class Mute(ScriptedModel):
        async def complete(self, prompt, **options):
            raise AssertionError("asked")

    assert await ask_completion(Mute([]), "is it?", RunScope(cassette=Cassette(path, "replay")), logprobs=2) == recorded


def test_the_mode_says_what_must_be_there(tmp_path):
    path = tmp_path / "tape.jsonl"
    with pytest.raises(CassetteError, match="there is no cassette"):
        Cassette(path, "replay")
    path.write_text("garbage\n")
    with pytest.raises(CassetteError, match="line 1: this is no cassette entry"):
        Cassette(path)
    with pytest.raises(CassetteError, match="exists already"):
        Cassette(path, "record")


def _tape(path, mode="record"):
    return Cassette(path, mode)


async def _answers(value):
    return value


@pytest.mark.parametrize("text", ["a\u2028b", "a\u2029b", "a\x85b", "a\x0cb\x1cc"])
async def test_every_line_separator_of_unicode_survives_replay(tmp_path, text):
    path = tmp_path / "tape.jsonl"
    await _tape(path).play("tool", {"q": text}, lambda: _answers(text))
    assert await _tape(path, "replay").play("tool", {"q": text}, lambda: _answers("live")) == text


async def test_a_line_that_a_killed_run_did_not_finish_is_recorded_anew(tmp_path):
    path = tmp_path / "tape.jsonl"
    await _tape(path).play("tool", 1, lambda: _answers("one"))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[-30:-8])
    tape = _tape(path, "auto")
    assert await tape.play("tool", 1, lambda: _answers("live")) == "one"
    assert await tape.play("tool", 2, lambda: _answers("two")) == "two"
    assert await _tape(path, "replay").play("tool", 2, lambda: _answers("live")) == "two"


async def test_a_whole_last_line_without_its_end_counts_and_is_ended(tmp_path):
    path = tmp_path / "tape.jsonl"
    await _tape(path).play("tool", 1, lambda: _answers("one"))
    path.write_bytes(path.read_bytes()[:-1])
    await _tape(path, "auto").play("tool", 2, lambda: _answers("two"))
    tape = _tape(path, "replay")
    assert [await tape.play("tool", n, lambda: _answers("live")) for n in (1, 2)] == ["one", "two"]


def test_a_broken_line_in_the_middle_is_still_refused(tmp_path):
    path = tmp_path / "tape.jsonl"
    path.write_text('{"cassette": 1}\n{"kind"\n{"cassette": 1}\n')
    with pytest.raises(CassetteError, match="line 2"):
        Cassette(path, "replay")


# --- what a tape does to files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "held", [b"notes of mine", b"\n\nx", b'{"my": "data"}', b"a\nb", b"{}", b'{"cassettes": 1', b"\0\0"]
)
async def test_a_file_of_somebody_else_is_never_changed(tmp_path, held):
    path = tmp_path / "notes.jsonl"
    path.write_bytes(held)
    with pytest.raises(CassetteError, match="no cassette entry"):
        Cassette(path, "auto")
    assert path.read_bytes() == held


@pytest.mark.parametrize("room", [0, 1, 10, 30, 200])
async def test_a_full_disk_is_noticed_and_the_tape_stays_readable(tmp_path, monkeypatch, room):
    async def live():
        return {"text": "x" * 500}

    path = tmp_path / "tape.jsonl"
    await Cassette(path).play("model", {"q": 1}, live)
    before = path.read_bytes()

    class Full(FileIO):
        def write(self, data):
            return super().write(data[:room])

    monkeypatch.setattr(
        module, "open", lambda path, mode, buffering, opener: Full(path, "ab", opener=opener), raising=False
    )
    tape = Cassette(path)
    with pytest.raises(CassetteError, match=r"No space left on device.*what was recorded before is kept"):
        await tape.play("model", {"q": 2}, live)
    assert path.read_bytes() == before
    monkeypatch.undo()
    await Cassette(path).play("model", {"q": 2}, live)
    assert Cassette(path, "replay")


@pytest.mark.parametrize("size", range(18))
async def test_a_tape_whose_first_line_was_cut_off_begins_again(tmp_path, size):
    async def live():
        return 1

    path = tmp_path / "tape.jsonl"
    path.write_bytes(b'{"cassette": 1}\n'[:size])
    await Cassette(path).play("model", {"q": 1}, live)
    assert await Cassette(path, "replay").play("model", {"q": 1}, live) == 1
    assert path.read_bytes().startswith(b'{"cassette": 1}\n')
