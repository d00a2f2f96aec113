"""A worker that is killed in the middle of conversations: another one continues them where their journals end."""

from __future__ import annotations

import asyncio
import http.server
import json
import sys
import threading
from collections import Counter, defaultdict

import pytest
import worker_process
from queued_suites import enqueue
from sqlalchemy import update
from waiting import until

from duologue import HttpAgent
from duologue.journal import FolderArtifacts
from duologue.journal.events import MessageAdded, RunResumed
from duologue.runs.processor import RunProcessor
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.rows import get_run
from duologue.runs.store.database.schema import workers
from duologue.runs.store.records import QueueStatus

TURNS = 3


class Desk:
    """An agent behind a URL. The first conversation is held up in its first turn, the second in its second, and so on.

    Attributes:
        asked: how often each line of each conversation came.
        held: lines that are held up now, by conversation.
    """

    def __init__(self) -> None:
        self.asked: dict[str, Counter[str]] = defaultdict(Counter)
        self.held: dict[str, str] = {}
        self.gate = threading.Event()
        self._lock = threading.Lock()

    def answer(self, thread: str, line: str) -> str:
        with self._lock:
            self.asked[thread][line] += 1
            waits = line == str(list(self.asked).index(thread) + 1) and not self.gate.is_set()
            if waits:
                self.held[thread] = line
        if waits:
            self.gate.wait()
        return f"ok {line}"


@pytest.fixture
def desk():
    desk = Desk()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            said = desk.answer(self.headers["x-thread-id"], body["messages"][-1]["content"])
            data = json.dumps({"choices": [{"message": {"role": "assistant", "content": said}}]}).encode()
            try:
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                return  # whoever asked was killed

        def log_message(self, *_):
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    desk.url = f"http://127.0.0.1:{server.server_port}/v1/chat/completions"
    yield desk
    desk.gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


async def test_the_agent_is_called_again_only_for_the_call_in_flight(database, where, desk, tmp_path):
    ids = await enqueue(database, tmp_path / "suite", TURNS, turns=TURNS)
    worker = await asyncio.create_subprocess_exec(sys.executable, worker_process.__file__, where, desk.url)
    try:  # each conversation is in the middle of another turn
        await until(lambda: len(desk.held) == TURNS or worker.returncode is not None)
    finally:
        worker.kill()
        await worker.wait()
    assert await database.queue.counts() == {QueueStatus.RUNNING: TURNS}
    journals = Journals(database, FolderArtifacts(tmp_path / "artifacts"))
    before = {run: (await journals.read(run)).transitions for run in ids}
    # Nobody has to wait for the end of its lease.
    await database.write(lambda connection: connection.execute(update(workers).values(lease_until=0.0)))
    desk.gate.set()
    async with RunProcessor(database, agents={"bot": lambda: HttpAgent(desk.url, name="bot")}) as another:
        await another.start()
        while (await database.queue.counts()) != {QueueStatus.COMPLETED: TURNS}:
            await asyncio.sleep(0.01)
    in_flight = list(desk.held.values())
    assert sorted(in_flight) == ["1", "2", "3"]
    for thread, held in desk.held.items():  # the same conversations, as the agent sees them
        assert desk.asked[thread] == {str(line): 1 + (str(line) == held) for line in range(1, TURNS + 1)}
    assert len(desk.asked) == TURNS
    for run in ids:
        stored = await get_run(database, run)
        assert (stored.outcome, stored.attempts) == ("pass", 2)
        assert [message["content"] for message in stored.messages] == ["1", "ok 1", "2", "ok 2", "3", "ok 3"]
        found = await journals.read(run)
        assert await journals.attempts(run) == [1]
        assert found.transitions[: len(before[run])] == before[run]
        assert sum(isinstance(entry.event, RunResumed) for entry in found.entries) == 1
        assert sum(isinstance(entry.event, MessageAdded) for entry in found.entries) == 2 * TURNS
