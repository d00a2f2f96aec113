"""Journals in the database: what is special about rows, beside the contracts in ``tests/journal``."""

from __future__ import annotations

import asyncio
import base64

import pytest
from sqlalchemy import delete, select, update
from stored_runs import claimed, claimed_again, queued, rows_of

import duologue
from duologue.errors import JournalError, LeaseLostError
from duologue.journal import FolderArtifacts, read_journal
from duologue.journal.artifacts import Artifact
from duologue.journal.events import RunFinished
from duologue.journal.jsonl import JsonlSink
from duologue.messages import media_part
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.schema import artifacts, events, runs
from duologue.runs.store.records import FinishedRun, QueueStatus
from duologue.testing import ScriptedAgent, ScriptedUserAgent, context

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))


@pytest.fixture
def store(tmp_path):
    return FolderArtifacts(tmp_path / "artifacts")


@pytest.fixture
def journals(database, store):
    return Journals(database, store)


def conversation(journal, lines=("a", "b"), **options):
    agents = [ScriptedUserAgent(list(lines)), ScriptedAgent(["yes"], repeat=True)]
    script = [duologue.proceed(len(lines)), duologue.succeed()]
    return duologue.ScenarioExecutor("s", "d", agents, script, recorded_in=journal, context=context(), **options)


async def test_rows_are_the_lines_of_a_file(database, journals, tmp_path):
    [run] = await claimed(database)
    path = tmp_path / "run.jsonl"
    executor = conversation(await journals.open(run), sinks=[JsonlSink(path)])
    await executor.run()
    rows = rows_of(database, run)
    assert b"".join(row.line for row in rows) == path.read_bytes()
    assert [row.seq for row in rows] == [transition[0].seq for transition in read_journal(path).transitions]
    assert (await journals.read(run.id)).entries == executor.journal.entries


async def test_media_go_to_the_artifact_store_and_the_run_is_known_to_have_them(database, journals, store):
    [run] = await claimed(database)
    image = {"role": "user", "content": [media_part("image/png", data=PNG)]}
    agents = [ScriptedUserAgent([image, image]), ScriptedAgent(["yes"], repeat=True)]
    executor = duologue.ScenarioExecutor(
        "s",
        "d",
        agents,
        [duologue.proceed(2), duologue.succeed()],
        recorded_in=await journals.open(run),
        context=context(),
    )
    await executor.run()
    assert base64.b64encode(PNG) not in b"".join(row.line for row in rows_of(database, run))
    asked = select(artifacts.c.sha256, artifacts.c.mime_type, artifacts.c.size).where(artifacts.c.run == run.number)
    [row] = await database.read(lambda connection: connection.execute(asked).all())
    assert await store.read(Artifact(sha256=row.sha256, mime_type=row.mime_type, size=row.size)) == PNG
    found = await journals.read(run.id)
    assert (found.entries, found.missing) == (executor.journal.entries, [])
    store.path_of(Artifact(sha256=row.sha256, mime_type=row.mime_type, size=row.size)).unlink()
    assert ["is missing" in text for text in (await journals.read(run.id)).missing] == [True]


async def test_a_worker_that_has_lost_its_lease_writes_nothing_more(database, journals):
    [run] = await claimed(database)
    sink = (await journals.open(run)).sink()
    executor = conversation(None)
    await executor.run()
    first, second, *_ = [(entry,) for entry in executor.journal.entries]
    await sink.write([first])
    await claimed_again(database, run)
    with pytest.raises(JournalError) as raised:
        await sink.write([second])
    assert isinstance(raised.value.__cause__, LeaseLostError)
    assert len(rows_of(database, run)) == 1


async def test_a_sink_that_is_closed_writes_nothing_more(database, journals):
    [run] = await claimed(database)
    sink = (await journals.open(run)).sink()
    executor = conversation(None)
    await executor.run()
    await sink.close()
    with pytest.raises(JournalError, match="closed"):
        await sink.write([tuple(executor.journal.entries[:1])])
    assert not rows_of(database, run)


async def test_runs_on_other_event_loops_share_the_writer(database, journals):
    claims = await claimed(database, 6)
    opened = [await journals.open(run) for run in claims]

    def play(journal):
        asyncio.run(conversation(journal).run())

    await asyncio.gather(*(asyncio.to_thread(play, journal) for journal in opened))
    for run in claims:
        assert (await journals.read(run.id)).complete


DAMAGE = {
    "a row is missing": (delete(events).where(events.c.seq == 2), r"event number \d+, expected 2"),
    "the first row is missing": (delete(events).where(events.c.seq == 0), "run_started"),
    "a row has another number": (update(events).where(events.c.seq == 1).values(seq=900), "expected 1"),
    "a row is no JSON": (update(events).where(events.c.seq == 1).values(line=b'{"seq":\n'), "not JSON"),
    "a row is empty": (update(events).where(events.c.seq == 1).values(line=b"\n"), "not JSON"),
    "a row is no event": (
        update(events).where(events.c.seq == 1).values(line=b'{"seq":1,"at":1.0,"events":[{"type":"?"}]}\n'),
        "events|type|tag",
    ),
    "nothing is left": (delete(events), "holds no event"),
}


@pytest.mark.parametrize("name", DAMAGE)
async def test_a_gap_or_damage_is_an_error_that_names_the_run(database, journals, name):
    [run] = await claimed(database)
    await conversation(await journals.open(run)).run()
    statement, message = DAMAGE[name]
    await database.write(lambda connection: connection.execute(statement))
    with pytest.raises(JournalError, match=message) as raised:
        await journals.read(run.id)
    assert run.id in str(raised.value)


async def test_a_damaged_journal_is_set_aside_and_the_run_starts_over(database, journals):
    [run] = await claimed(database)
    await conversation(await journals.open(run)).run()
    await database.write(lambda connection: connection.execute(delete(events).where(events.c.seq == 2)))
    kept = len(rows_of(database, run))
    again = await claimed_again(database, run)
    await conversation(await journals.open(again), resume=True).run()
    assert await journals.attempts(run.id) == [1, 2]
    assert len(rows_of(database, run, 1)) == kept
    assert (await journals.read(run.id)).complete
    with pytest.raises(JournalError):
        await journals.read(run.id, attempt=1)


async def test_a_run_that_is_retried_begins_a_new_journal_and_keeps_the_old_one(database, journals):
    [run] = await claimed(database)
    await conversation(await journals.open(run)).run()
    await database.queue.finish(run, FinishedRun(status=QueueStatus.ERROR, outcome="error", error="it broke"))
    await database.queue.retry(run.id)
    [again] = await database.queue.claim("worker", 1)
    journal = await journals.open(again)
    assert not journal.exists
    await conversation(journal, lines=("c",), resume=True).run()
    assert await journals.attempts(run.id) == [1, 2]
    said = [message["content"] for message in (await journals.read(run.id)).view.messages]
    assert said == ["c", "yes"]


async def test_a_live_run_is_followed_to_its_end(database, journals):
    [run] = await claimed(database)
    journal = await journals.open(run)
    seen, waiting = [], asyncio.Event()

    class Waits(ScriptedAgent):
        async def call(self, input):
            await waiting.wait()
            return await super().call(input)

    async def follow():
        async for passage in journals.follow(run.id, poll=0.01):
            seen.extend(passage.transitions)
            waiting.set()  # the run goes on once its beginning was seen

    following = asyncio.create_task(follow())
    agents = [ScriptedUserAgent(["a", "b"]), Waits(["yes"], repeat=True)]
    executor = duologue.ScenarioExecutor(
        "s", "d", agents, [duologue.proceed(2), duologue.succeed()], recorded_in=journal, context=context()
    )
    await executor.run()
    assert not following.done()
    await database.queue.finish(run, FinishedRun(status=QueueStatus.COMPLETED, outcome="pass"))
    await following
    assert [entry for transition in seen for entry in transition] == executor.journal.entries
    later = [passage async for passage in journals.follow(run.id, after=(1, executor.journal.entries[-2].seq))]
    assert [type(entry.event) for passage in later for t in passage.transitions for entry in t] == [RunFinished]


async def test_who_follows_learns_that_a_run_continues_from_an_earlier_event(database, journals):
    [run] = await claimed(database)
    executor = conversation(await journals.open(run))
    await executor.run()
    seen = []
    following = journals.follow(run.id, poll=0.01)
    seen.append(await anext(following))
    again = await claimed_again(database, run)
    journal = await journals.open(again)
    recorded = journal.read().transitions
    sink = journal.sink(kept=2)
    await sink.write(recorded[2:4])
    seen.append(await anext(following))
    journal.set_aside("replaced")
    await journal.sink().write(recorded[:1])
    seen.append(await anext(following))
    assert [(p.attempt, p.anew, len(p.transitions)) for p in seen] == [
        (1, False, len(recorded)),
        (1, True, 4),
        (2, False, 1),
    ]
    await database.write(lambda connection: connection.execute(runs.delete()))
    assert [passage async for passage in following] == []


async def test_an_unknown_run_is_an_error(database, journals):
    await queued(database)
    with pytest.raises(JournalError, match="run nobody"):
        await journals.read("nobody")
    with pytest.raises(JournalError, match="there is no run 'nobody'"):
        await anext(journals.follow("nobody"))
