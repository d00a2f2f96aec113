"""What every place has to do that the journal of a run is kept in, so that the run can continue from it."""

from __future__ import annotations

import signal

import pytest
from stored_runs import claimed, claimed_again

import duologue
from duologue import AgentAdapter, AgentInput
from duologue.errors import JournalError
from duologue.journal import FolderArtifacts, JsonlJournal
from duologue.journal.events import AgentCalled, MessageAdded, ModelCalled, Usage
from duologue.models import ModelRequest, ask
from duologue.models.base import ModelAnswer
from duologue.models.scope import Budget
from duologue.models.scripted import ScriptedModel
from duologue.runs.store.database.engine import Database
from duologue.runs.store.database.journals import Journals
from duologue.testing import ScriptedUserAgent, context


class InFile:
    """The journal of a run as a file."""

    def __init__(self, folder):
        self.path = folder / "runs" / "run.jsonl"

    async def open(self):
        """As a process that has just begun finds it."""
        return JsonlJournal(self.path)


class InDatabase:
    """The journal of a run as rows; whoever opens it claims the run anew."""

    def __init__(self, database, folder):
        self.database = database
        self.journals = Journals(database, FolderArtifacts(folder / "artifacts"))
        self.run = None

    async def open(self):
        """As another worker finds it."""
        if self.run is None:
            [self.run] = await claimed(self.database)
        else:
            self.run = await claimed_again(self.database, self.run)
        return await self.journals.open(self.run)


@pytest.fixture(params=["file", "sqlite", "postgresql"])
async def place(request, tmp_path):
    if request.param == "file":
        yield InFile(tmp_path)
        return
    sqlite = request.param == "sqlite"
    where = tmp_path / "runs.db" if sqlite else request.getfixturevalue("postgres").new_database()
    async with Database.open(where, create=True) as database:
        yield InDatabase(database, tmp_path)


class Agent(AgentAdapter):
    """Asks a model; the call of that number is cut off, as by Ctrl-C."""

    def __init__(self, calls, dies=None, resumable=True):
        self.calls, self.dies, self.resumable = calls, dies, resumable

    async def call(self, input: AgentInput):
        self.calls.append(input.thread_id)
        said = {"role": "assistant", "content": f"answer {len(self.calls)}"}
        model = ScriptedModel([ModelAnswer(message=said, usage=Usage(input_tokens=10))])
        answer = await ask(model, ModelRequest(messages=input.messages, max_tokens=10), input.scope)
        if len(self.calls) == self.dies:
            signal.default_int_handler(signal.SIGINT, None)
        return answer.message["content"]


def prepared(journal, calls, *, resume=True, dies=None, resumable=True, budget=None, lines=("a", "b", "c")):
    script = [duologue.proceed(len(lines)), duologue.succeed()]
    agents = [ScriptedUserAgent(list(lines)), Agent(calls, dies, resumable)]
    return duologue.ScenarioExecutor(
        "s", "d", agents, script, recorded_in=journal, resume=resume, context=context(), budget=budget
    )


async def interrupted(place, calls, *, after=2, **options):
    """A run that was cancelled in the call of that number."""
    executor = prepared(await place.open(), calls, dies=after, **options)
    with pytest.raises(KeyboardInterrupt):
        await executor.run()
    return executor


def texts(entries):
    return [entry.event.message["content"] for entry in entries if isinstance(entry.event, MessageAdded)]


async def test_a_journal_that_was_never_written_holds_nothing(place):
    journal = await place.open()
    assert not journal.exists
    with pytest.raises(JournalError):
        journal.read()
    journal.set_aside("replaced")
    assert not journal.exists


async def test_what_a_run_has_recorded_is_read_back(place):
    executor = prepared(await place.open(), [])
    await executor.run()
    journal = await place.open()
    assert journal.exists
    found = journal.read()
    assert found.entries == executor.journal.entries
    assert (found.complete, found.torn, list(found.missing)) == (True, None, [])
    assert found.view.finished == executor.journal.view.finished


async def test_a_run_that_has_ended_is_only_read(place):
    calls = []
    first = await prepared(await place.open(), calls).run()
    again = await prepared(await place.open(), calls).run()
    assert (again.verdict, again.messages, len(calls)) == (first.verdict, first.messages, 3)


async def test_an_interrupted_run_continues_where_its_journal_ends(place):
    calls = []
    await interrupted(place, calls)
    executor = prepared(await place.open(), calls)
    await executor.run()
    assert len(calls) == 4  # three turns, and the call in flight
    found = (await place.open()).read()
    assert found.entries == executor.journal.entries
    assert texts(found.entries) == ["a", "answer 1", "b", "answer 2", "c", "answer 4"]
    assert [entry.seq for entry in found.entries] == list(range(len(found.entries)))
    assert found.complete


async def test_a_run_that_cannot_continue_begins_again_and_its_earlier_calls_still_count(place):
    calls = []
    await interrupted(place, calls, resumable=False)
    journal = await place.open()
    executor = prepared(journal, calls, resumable=False, budget=Budget(tokens=45))
    result = await executor.perform()
    assert result.error is not None
    assert result.error.type == "BudgetExceededError"  # 20 tokens of before, and 30 of now
    found = (await place.open()).read()
    assert found.view.started.attempt == 2
    assert sum(isinstance(entry.event, AgentCalled) for entry in found.entries) > 0
    assert [call.usage.input_tokens for call in (await place.open()).earlier_calls()] == [10, 10]


async def test_what_was_replaced_does_not_count_and_a_new_journal_begins(place):
    calls = []
    await interrupted(place, calls)
    journal = await place.open()
    journal.set_aside("replaced")
    assert not journal.exists
    assert not list(journal.earlier_calls())
    executor = prepared(journal, calls)
    await executor.run()
    found = (await place.open()).read()
    assert found.entries == executor.journal.entries
    assert sum(isinstance(entry.event, ModelCalled) for entry in found.entries) == 3
    assert not list((await place.open()).earlier_calls())


async def test_a_journal_is_never_begun_over_another(place):
    await prepared(await place.open(), []).run()
    before = (await place.open()).read().transitions
    executor = prepared(await place.open(), [], resume=False)
    with pytest.raises(JournalError):
        await executor.run()
    assert (await place.open()).read().transitions == before


async def test_whoever_has_lost_the_journal_to_another_cannot_write_to_it_any_more(place):
    await interrupted(place, [])
    one = await place.open()
    first, later = one.read().transitions[:2], one.read().transitions[2:]
    sink = one.sink(kept=len(first))
    await sink.write(later[:1])
    executor = prepared(await place.open(), [])
    await executor.run()
    with pytest.raises(JournalError):
        await sink.write(later[1:])
    await sink.close()
    assert (await place.open()).read().entries == executor.journal.entries


async def test_what_comes_after_the_part_that_is_kept_is_removed_with_the_first_write(place):
    await interrupted(place, [])
    journal = await place.open()
    recorded = journal.read().transitions
    sink = journal.sink(kept=2)
    await sink.close()
    assert (await place.open()).read().transitions == recorded
    journal = await place.open()
    assert journal.read().transitions == recorded
    sink = journal.sink(kept=2)
    await sink.write(recorded[2:4])
    await sink.write(recorded[4:5])
    await sink.close()
    assert (await place.open()).read().transitions == recorded[:5]
