"""Runs that were kept, in a folder or a file, as they have to be known to let them take place again.

Journals come first: they have what a model said before a guardrail put something else in its place, and that a
simulated user had nothing more to say. A run without one is read from its result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from duologue.config.problems import similar_file
from duologue.conversation.held import AGENT_ENDED
from duologue.errors import ConfigurationError
from duologue.journal.artifacts import JOURNALS
from duologue.journal.causes import Causes, outer_call
from duologue.journal.events import Entry, MessageAdded, UserFinished
from duologue.journal.journal import RunView
from duologue.journal.jsonl import read_journal
from duologue.messages import Message
from duologue.runs.store.encoding import RUNS
from duologue.runs.store.from_journals import case_of_suite
from duologue.runs.store.reader import read_run_file
from duologue.suites.plan.build import TestCase
from duologue.suites.response_files import DONE
from duologue.suites.results.from_journal import run_result
from duologue.suites.results.run import MessageResult, RunResult
from duologue.vocabulary import RunStatus


def kept_runs(path: Path) -> list[RunResult]:
    """The runs of a folder that ``duologue run`` wrote, of a journal, or of the file of a run.

    Returns:
        Those that came to their end first, each part in the order of the plan.

    Raises:
        ConfigurationError: there is none.
        JournalError: a journal cannot be read.
    """
    if not path.exists():
        similar = similar_file(path)
        raise ConfigurationError(f"{path} does not exist; expected the folder of an execution, or a journal{similar}")
    runs = list(_in_folder(path)) if path.is_dir() else [_of_file(path)]
    if not runs:
        raise ConfigurationError(f"{path} holds no runs; expected a folder with {JOURNALS}/ or {RUNS}/, or journals")
    return sorted(runs, key=lambda run: (run.status is not RunStatus.COMPLETED, run.case.index))


def _in_folder(folder: Path) -> Iterator[RunResult]:
    """Of an execution, else all journals below the folder."""
    results = sorted((folder / RUNS).glob("*.json"))
    held = folder / JOURNALS
    journals = sorted(held.glob("*.jsonl")) if held.is_dir() or results else sorted(folder.rglob("*.jsonl"))
    yield from map(_of_journal, journals)
    seen = {path.stem for path in journals}
    yield from (read_run_file(path) for path in results if path.stem not in seen)


def _of_file(path: Path) -> RunResult:
    return read_run_file(path) if path.suffix == ".json" else _of_journal(path)


def _of_journal(path: Path) -> RunResult:
    file = read_journal(path)
    view = file.view
    run = run_result(_case(view), file.entries, view)
    return replace(run, messages=tuple(_as_said(run.messages, file.entries)))


def _case(view: RunView) -> TestCase:
    """What was played; the scenario alone where no suite was."""
    if view.started is None:
        return TestCase(index=0, scenario="")
    return case_of_suite(view.started) or TestCase(index=0, scenario=view.started.scenario.name)


def _as_said(messages: Sequence[MessageResult], entries: Sequence[Entry]) -> Iterator[MessageResult]:
    """The messages as they left their authors, and, where a user went without a word, a message without one."""
    responses, ends = _responses(entries), _ends(entries)
    for item in messages:
        message = responses.get(item.id, item.message)
        meta = {**item.meta, DONE: ends[item.id]} if item.id in ends else item.meta
        yield replace(item, message=message, meta=meta)
    if "" in ends:
        personas = [item.meta.get("persona") for item in messages if item.message["role"] == "user"]
        meta = {"persona": personas[-1] if personas else None, DONE: ends[""]}
        yield MessageResult(id="", message={"role": "user", "content": ""}, turn=0, author="user", meta=meta)


def _responses(entries: Sequence[Entry]) -> dict[str, Message]:
    """What models said that became a message of an agent, by the message."""
    causes = Causes(entry.event for entry in entries)
    found: dict[str, Message] = {}
    for entry in entries:
        event = entry.event
        if isinstance(event, MessageAdded) and event.message["role"] == "assistant":
            said = [call.response for call in causes.models_of(event) if call.response]
            found |= {event.message_id: said[0]} if len(said) == 1 else {}
    return found


def _ends(entries: Sequence[Entry]) -> dict[str, str]:
    """Why a simulated user had nothing more to say, by its last message; '' for one that left without a message."""
    ends: dict[str, str] = {}
    last: dict[str, str] = {}
    for entry in entries:
        event = entry.event
        if isinstance(event, MessageAdded) and event.call:
            last[outer_call(event.call)] = event.message_id
        elif isinstance(event, UserFinished) and event.reason != AGENT_ENDED:
            ends[last.get(event.call or "", "")] = event.reason
    return ends
