"""Journals in memory and on disk: complete, ordered, readable after a crash and by later versions."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import LONG

import duologue
from duologue import AgentAdapter, AgentRole, AttributedMessage
from duologue.errors import JournalError
from duologue.journal import Journal, JsonlSink, read_journal
from duologue.journal.events import SCHEMA_VERSION, AgentCalled, ModelCalled, RunFinished, TurnStarted
from duologue.journal.notes import GuardrailApplied, UnknownNote, WorkflowMoved
from duologue.journal.upgrade import Upgrade
from duologue.models import ModelAnswer, ModelRequest, ask
from duologue.models.scripted import ScriptedModel
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent, context
from duologue.vocabulary import RunStatus, Termination


def priced(text, cost):
    return ModelAnswer(message={"role": "assistant", "content": text}, cost=cost, model="m")


END = RunFinished(status=RunStatus.CANCELLED, termination=Termination.CANCELLED, total_time=1.0, agent_time=0.0)


async def recorded(tmp_path, **options):
    judge = ScriptedJudge([None, duologue.ScenarioResult(success=True, passed_criteria=["kind – très gentil"])])
    agents = [ScriptedUserAgent(["hi \u2028 there"], repeat=True), ScriptedAgent(["hello"], repeat=True), judge]
    return await duologue.arun("a", "b", agents, verbose=False, record=tmp_path, context=context(), **options)


async def test_a_recorded_run_reads_back_to_an_equal_result(tmp_path):
    result = await recorded(tmp_path, metadata={"ticket": 7}, checks=[lambda state: True])
    again = duologue.read_result(result.journal)
    assert again == result
    assert again.messages[0]["content"] == "hi \u2028 there"
    assert read_journal(result.journal).complete


async def test_the_live_view_equals_the_fold_of_the_file(tmp_path):
    agents = [ScriptedUserAgent(["x"], repeat=True), ScriptedAgent(["y"], repeat=True)]
    executor = duologue.prepare("a", "b", agents, max_turns=2, verbose=False, record=tmp_path)
    result = await executor.run()
    assert read_journal(result.journal).view == executor.journal.view


async def test_a_torn_last_line_is_left_out_and_reported(tmp_path):
    path = (await recorded(tmp_path)).journal
    whole = read_journal(path)
    path.write_bytes(path.read_bytes()[:-20])
    torn = read_journal(path)
    assert torn.transitions == whole.transitions[:-1]
    assert "cut off" in torn.torn
    assert not torn.complete
    assert duologue.read_result(path).status is RunStatus.ERROR


async def test_torn_at_any_byte_a_journal_reads_back_to_the_last_whole_transition(tmp_path):
    path = (await recorded(tmp_path)).journal
    data, whole = path.read_bytes(), read_journal(path)
    assert any(len(transition) > 1 for transition in whole.transitions)
    assert whole.ends[-1] == len(data)
    for size in range(whole.ends[0], len(data)):
        path.write_bytes(data[:size])
        kept = [transition for transition, end in zip(whole.transitions, whole.ends, strict=True) if end <= size]
        assert read_journal(path).transitions == kept


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no event"),
        ("not json\n", "line 1: not JSON"),
        ("[1]\n", "line 1: found a list"),
        ('{"type": "turn_started"}\n', "is this a journal"),
        ('{"type": "run_started", "schema_version": 999}\n', "reads up to"),
    ],
)
def test_what_is_no_journal_is_refused_with_the_line(tmp_path, content, message):
    path = tmp_path / "x.jsonl"
    path.write_text(content)
    with pytest.raises(JournalError, match=message):
        read_journal(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(JournalError, match="No such file"):
        read_journal(tmp_path / "none.jsonl")


async def test_a_broken_line_in_the_middle_names_line_and_field(tmp_path):
    path = (await recorded(tmp_path)).journal
    lines = path.read_text().split("\n")
    transition = json.loads(lines[3])
    transition["events"][0]["surprise"] = 1
    lines[3] = json.dumps(transition)
    path.write_text("\n".join(lines))
    with pytest.raises(JournalError, match=r"line 4, field '.*surprise'"):
        read_journal(path)
    del lines[3]
    path.write_text("\n".join(lines))
    with pytest.raises(JournalError, match=r"found event number \d, expected 4"):
        read_journal(path)


@pytest.mark.parametrize("events", ["x", "[1]", "[]", "{}"])
async def test_a_line_without_a_list_of_events_is_refused(tmp_path, events):
    path = tmp_path / "x.jsonl"
    path.write_text(f'{{"seq": 0, "at": 1.0, "events": {events if events != "x" else 7}}}\n')
    with pytest.raises(JournalError, match="line 1, field 'events'"):
        read_journal(path)


def test_older_versions_are_upgraded_step_by_step():
    steps = {1: lambda: lambda raw: {**raw, "b": raw["a"]}, 2: lambda: lambda raw: {**raw, "c": raw["b"]}}
    upgrade = Upgrade(1, steps=steps, to=3)
    assert upgrade({"type": "noted", "a": 1}) == {"type": "noted", "a": 1, "b": 1, "c": 1}
    assert upgrade({"type": "run_started", "schema_version": 1, "a": 1})["schema_version"] == 3
    with pytest.raises(JournalError, match="too old"):
        Upgrade(1, steps={2: lambda: dict}, to=3)
    assert Upgrade(SCHEMA_VERSION)({"type": "noted"}) == {"type": "noted"}


def test_a_journal_of_version_1_is_read_with_what_it_knew():
    """The run of an agent and a judge that are both called "strict", written by the last release of version 1."""
    file = read_journal(Path(__file__).parent / "versions" / "version-1.jsonl")
    view = file.view
    assert view.started.schema_version == SCHEMA_VERSION
    called = [entry.event for entry in file.entries if isinstance(entry.event, AgentCalled)]
    assert [event.call for event in called] == ["c1", "c2", "c3", "c4"]
    assert [(record.message_id, record.call) for record in view.records] == [("m1", "c1"), ("m2", "c2")]
    asked = [entry.event for entry in file.entries if isinstance(entry.event, ModelCalled)]
    assert [(event.asker, event.call, event.participant) for event in asked] == [("strict", "", None)] * 2
    assert [(event.call, event.participant) for event in view.judgements] == [("c4", None)]
    assert [note.note for note in view.notes] == [
        WorkflowMoved(origin="a", target="b", event="go", terminal=True),
        GuardrailApplied(type="x", check="banned_words", passed=True),
        UnknownNote(kind="someone.else", data={"n": 1}),
    ]
    assert file.complete
    assert duologue.read_result(file.path).success


async def test_every_event_names_the_call_that_caused_it(tmp_path):
    """Two participants of one name, each asking a model of the same name."""

    class Strict(AgentAdapter):
        name = "strict"
        model = ScriptedModel([priced("Yes.", 0.5)], repeat=True)

        async def call(self, input):
            answer = await ask(self.model, ModelRequest(messages=tuple(input.messages)), input.scope)
            return [AttributedMessage(message=answer.message, call=answer.call)]

    class StrictJudge(Strict):
        role = AgentRole.JUDGE

        async def call(self, input):
            await ask(self.model, ModelRequest(messages=()), input.scope)
            await ask(self.model, ModelRequest(messages=()), input.scope)
            input.scope.note(GuardrailApplied(type="x", passed=True))
            return duologue.ScenarioResult(success=True)

    agents = [ScriptedUserAgent(["well?"]), Strict(), StrictJudge()]
    result = await duologue.arun(
        "a", "b", agents, record=tmp_path, verbose=False, context=context(), checks=[lambda state: True]
    )
    events = [entry.event for entry in read_journal(result.journal).entries]
    causes = [(event.type, event.call) for event in events if hasattr(event, "call")]
    assert causes == [
        ("agent_called", "c1"),
        ("message_added", "c1"),
        ("model_called", "c2.1"),
        ("agent_called", "c2"),
        ("message_added", "c2.1"),
        ("model_called", "c3.1"),
        ("model_called", "c3.2"),
        ("noted", "c3"),
        ("agent_called", "c3"),
        ("judge_decided", "c3"),
        ("check_evaluated", "c4"),
    ]
    assert [event.participant for event in events if isinstance(event, ModelCalled)] == [1, 2, 2]
    assert result.cost == 1.5


def test_nothing_is_appended_after_the_end():
    journal = Journal("run_1", clock=None)
    journal.append(END)
    with pytest.raises(JournalError, match="has finished"):
        journal.append(TurnStarted(turn=1))


async def test_a_sink_that_fails_fails_every_flush_from_then_on(tmp_path):
    (tmp_path / "file").write_text("in the way")
    journal = Journal("run_1", sinks=[JsonlSink(tmp_path / "file" / "run.jsonl")])
    journal.append(TurnStarted(turn=1))
    with pytest.raises(JournalError, match="cannot write"):
        await journal.flush()
    (tmp_path / "file").unlink()
    journal.append(TurnStarted(turn=2))
    with pytest.raises(JournalError, match="cannot write"):  # what comes after a gap could not be read
        await journal.flush()
    assert not (tmp_path / "file").exists()


def test_a_listener_that_fails_is_left_out_from_then_on():
    journal = Journal("run_1")
    heard = []

    def bad(entry):
        heard.append("bad")
        raise ValueError

    journal.listen(bad)
    journal.listen(lambda entry: heard.append("good"))
    journal.append(TurnStarted(turn=1))
    journal.append(TurnStarted(turn=2))
    assert heard == ["bad", "good", "good"]


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from duologue.journal import Journal, JsonlSink
from duologue.journal.events import TurnStarted
async def main():
    journal = Journal("run_1", sinks=[JsonlSink(Path(sys.argv[1]))])
    for number in range(50):
        journal.append(TurnStarted(turn=number))
        await journal.flush()
    journal.append(TurnStarted(turn=50))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_a_killed_process_loses_nothing_that_was_flushed(tmp_path):
    path = tmp_path / "run.jsonl"
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=LONG, check=False)
    assert done.returncode == -signal.SIGKILL
    lines = path.read_text().splitlines()
    assert [json.loads(line)["events"][0]["turn"] for line in lines] == list(range(50))


async def test_no_key_is_ever_in_a_journal(tmp_path):
    model = duologue.ModelConfig(model="openai/x", api_key="sk-secret")
    executor = duologue.ScenarioExecutor(
        "a",
        "b",
        [ScriptedUserAgent(["x"])],
        [duologue.user()],
        config=duologue.ScenarioConfig(default_model=model, record=tmp_path, verbose=False),
    )
    result = await executor.run()
    assert "sk-secret" not in result.journal.read_text()
    assert "openai/x" in result.journal.read_text()
