"""What every sink of a journal has to keep, whatever it keeps it in."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence

import pytest
from stored_runs import claimed, rows_of

import duologue
from duologue.config.files import set_aside
from duologue.errors import JournalError
from duologue.journal import FolderArtifacts, Journal, JsonlSink, MemorySink, jsonl, read_journal
from duologue.journal.events import (
    AgentCalled,
    MessageAdded,
    RunFinished,
    RunStarted,
    ScenarioSnapshot,
    Transition,
    TurnStarted,
)
from duologue.journal.jsonl import encode_transition
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journals import DatabaseSink, JournalRow, parsed
from duologue.testing import ScriptedAgent, ScriptedJudge, ScriptedUserAgent, context
from duologue.vocabulary import RunStatus, Termination


class InMemory:
    """A sink in memory, and what it holds."""

    def __init__(self, folder):
        self.sink = MemorySink()

    def kept(self):
        return self.sink.transitions


class InFile:
    """A sink in a file, and what the file holds."""

    def __init__(self, folder):
        self.path = folder / "run.jsonl"
        self.sink = JsonlSink(self.path)

    def kept(self):
        return read_journal(self.path).transitions if self.path.exists() else []


class InDatabase:
    """A sink in a database, and what it holds."""

    def __init__(self, database, run, folder):
        self.database, self.run = database, run
        self.artifacts = FolderArtifacts(folder / "artifacts")
        self.sink = DatabaseSink(database.writer, run, 1, artifacts=self.artifacts)

    def kept(self):
        rows = [JournalRow(*row) for row in rows_of(self.database, self.run)]
        return parsed("journal", rows, self.artifacts.load).transitions if rows else []


@pytest.fixture(params=["memory", "file", "sqlite", "postgresql"])
async def place(request, tmp_path):
    if request.param in {"memory", "file"}:
        yield (InMemory if request.param == "memory" else InFile)(tmp_path)
        return
    sqlite = request.param == "sqlite"
    where = tmp_path / "runs.db" if sqlite else request.getfixturevalue("postgres").new_database()
    async with Database.open(where, create=True) as database:
        [run] = await claimed(database)
        yield InDatabase(database, run, tmp_path)


async def recorded(place, **options):
    agents = [
        ScriptedUserAgent(["hi"], repeat=True),
        ScriptedAgent([[{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]], repeat=True),
        ScriptedJudge([None, True]),
    ]
    executor = duologue.ScenarioExecutor("s", "d", agents, sinks=[place.sink], context=context(), **options)
    result = await executor.run()
    return executor, result


async def test_it_keeps_every_entry_in_order_and_whole_transitions(place):
    executor, _ = await recorded(place)
    kept = place.kept()
    assert [entry for transition in kept for entry in transition] == executor.journal.entries
    of_agent = [transition for transition in kept if isinstance(transition[0].event, AgentCalled)]
    sizes = {transition[0].event.participant: len(transition) for transition in of_agent}
    assert sizes == {0: 2, 1: 3, 2: 2}  # the call and all that came of it


async def test_what_was_appended_is_kept_once_it_is_flushed(place):
    journal = Journal("run_1", sinks=[place.sink])
    started = (await recorded(InMemory(None)))[0].journal.entries[0].event
    journal.append(started)
    journal.append(TurnStarted(turn=1), TurnStarted(turn=2))
    assert journal.pending
    assert not place.kept()
    await journal.flush()
    assert not journal.pending
    assert [len(transition) for transition in place.kept()] == [1, 2]
    await journal.close()


async def test_nothing_is_written_for_a_flush_without_anything_new(place):
    writes = []
    write = place.sink.write

    async def counted(transitions):
        writes.append(len(transitions))
        await write(transitions)

    place.sink.write = counted
    await recorded(place)
    assert all(writes)
    assert len(writes) <= 12  # two turns of three participants


async def test_the_answer_of_one_call_is_durable_before_the_next_call_begins(place):
    seen = []

    class Looks(duologue.AgentAdapter):
        async def call(self, input):
            texts = [
                entry.event.message["content"]
                for transition in place.kept()
                for entry in transition
                if isinstance(entry.event, MessageAdded)
            ]
            seen.append(texts)
            return "ok"

    agents = [ScriptedUserAgent(["one", "two"]), Looks()]
    await duologue.ScenarioExecutor(
        "s", "d", agents, [duologue.proceed(2), duologue.succeed()], sinks=[place.sink], context=context()
    ).run()
    assert seen == [["one"], ["one", "ok", "two"]]


async def test_a_sink_that_cannot_keep_the_end_leaves_the_run_without_a_verdict(tmp_path):
    class Full(MemorySink):
        async def write(self, transitions):
            if any(isinstance(entry.event, RunFinished) for transition in transitions for entry in transition):
                raise JournalError("no space left on device")
            await super().write(transitions)

    executor = duologue.ScenarioExecutor(
        "s", "d", [ScriptedAgent(["x"])], [duologue.succeed()], sinks=[Full()], context=context()
    )
    with pytest.raises(JournalError, match="no space left"):
        await executor.run()
    result = executor.lifecycle.result
    assert (result.status, result.verdict, result.termination) == (RunStatus.ERROR, None, Termination.ERROR)


async def test_a_line_of_a_file_is_a_transition(tmp_path):
    place = InFile(tmp_path)
    executor, _ = await recorded(place)
    lines = place.path.read_bytes().splitlines(keepends=True)
    assert lines == [encode_transition(transition) for transition in place.kept()]
    assert json.loads(lines[0])["events"][0]["type"] == "run_started"
    assert executor.journal.entries[-1].seq == sum(len(json.loads(line)["events"]) for line in lines) - 1


async def test_a_file_that_was_closed_is_not_written_by_a_thread_that_comes_late(tmp_path):
    journal, path = Journal("r"), tmp_path / "run.jsonl"
    journal.append(started())
    sink = JsonlSink(path)
    await sink.close()
    with pytest.raises(JournalError, match="its run was given up"):
        await sink.write([tuple(journal.entries)])
    assert not path.exists()  # it may be another attempt's by now


async def test_a_file_that_is_being_made_when_its_run_is_given_up_is_out_of_the_way_of_the_next_attempt(
    tmp_path, monkeypatch
):
    journal, path = Journal("r"), tmp_path / "run.jsonl"
    journal.append(started())
    opening, go = threading.Event(), threading.Event()
    make = jsonl.open_private

    def slowly(*given):
        opening.set()
        go.wait()
        return make(*given)

    monkeypatch.setattr(jsonl, "open_private", slowly)
    sink = JsonlSink(path)

    def give_up():
        asyncio.run(sink.close())
        set_aside(path, "replaced")

    threads = [threading.Thread(target=lambda: asyncio.run(sink.write([tuple(journal.entries)])))]
    threads[0].start()
    await asyncio.to_thread(opening.wait)
    threads.append(threading.Thread(target=give_up))
    threads[1].start()
    await asyncio.to_thread(threads[1].join, 0.3)  # by then it would be over, if it did not wait for the file
    go.set()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert not path.exists()
    assert len((tmp_path / "run.jsonl.replaced").read_bytes().splitlines()) == 1
    monkeypatch.setattr(jsonl, "open_private", make)
    again = JsonlSink(path)
    await again.write([tuple(journal.entries)])
    await again.close()


def started() -> RunStarted:
    scenario = ScenarioSnapshot(name="a", description="b", max_turns=10)
    return RunStarted(run_id="r", thread_id="t", scenario=scenario, participants=(), seed=1, duologue_version="0")


class Slow(MemorySink):
    """Takes as long as it is held; what is written meanwhile waits."""

    def __init__(self) -> None:
        super().__init__()
        self.held = asyncio.Event()
        self.writing = 0

    async def write(self, transitions: Sequence[Transition]) -> None:
        self.writing += 1
        assert self.writing == 1
        await self.held.wait()
        await super().write(transitions)
        self.writing -= 1


class Broken(MemorySink):
    async def write(self, transitions: Sequence[Transition]) -> None:
        raise OSError("gone")

    async def close(self) -> None:
        await super().close()
        raise OSError("gone, too")


async def test_a_flush_waits_for_the_one_under_way_and_close_for_both() -> None:
    sink = Slow()
    journal = Journal("r", sinks=[sink])
    journal.append(started())
    first = asyncio.create_task(journal.flush())
    await asyncio.sleep(0)
    second = asyncio.create_task(journal.flush())  # nothing is pending, and not all is durable
    journal.append(TurnStarted(turn=1))
    closing = asyncio.create_task(journal.close())
    await asyncio.sleep(0.01)
    assert not first.done()
    assert not second.done()
    assert journal.pending
    sink.held.set()
    await asyncio.gather(first, second, closing)
    assert [len(sink.transitions), sink.closed, journal.pending] == [2, True, False]


async def test_a_sink_that_fails_takes_nothing_from_the_others() -> None:
    broken, whole = Broken(), MemorySink()
    journal = Journal("r", sinks=[broken, whole])
    for event in (started(), TurnStarted(turn=1)):
        journal.append(event)
        with pytest.raises(JournalError, match="OSError: gone"):
            await journal.flush()
    with pytest.raises(JournalError, match="OSError: gone"):
        await journal.close()
    assert len(whole.transitions) == 2
    assert (broken.closed, whole.closed) == (True, True)
