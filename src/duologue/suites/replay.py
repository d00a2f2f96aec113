"""Recordings of conversations, judged again with today's checks and judges.

    from duologue.suites.replay import read_recordings, replay, replay_file

A recording becomes a run: everything that was recorded goes into a new journal, and today's checks and judges look at
it. The engine is the one that runs scenarios: it decides when checks are due and what a judge is asked. What was
recorded is not asked for again: no agent is called, no tool is run, no key is needed but those of judges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Any, NoReturn, cast

from duologue.context import Context
from duologue.conversation.adapter import AgentAdapter, AgentInput
from duologue.conversation.conversation import Conversation
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.conversation.setup import Check, CheckLike, FunctionCheck, ScriptStep, as_check
from duologue.errors import ConfigurationError, ScriptError, SuiteError
from duologue.frozen import frozen
from duologue.journal.events import (
    AgentCalled,
    Event,
    MessageAdded,
    MessagesRolledBack,
    ModelCalled,
    Noted,
    ParticipantSnapshot,
    ToolCalled,
    TurnStarted,
    UserFinished,
)
from duologue.journal.journal import Listener
from duologue.journal.spoken import SpokenNote
from duologue.models.scope import Budget, Ledger
from duologue.settings import ScenarioConfig, effective_config
from duologue.specs.suite import Replay, Suite
from duologue.transcripts.reader import find_recordings, read_entries, read_recordings
from duologue.transcripts.recording import RecordedCall, RecordedMessage, Recording, with_known_calls
from duologue.vocabulary import AgentRole, Scope

__all__ = [
    "RecordedCall",
    "RecordedMessage",
    "Recording",
    "RecordingIndex",
    "RecordingShelf",
    "Replayed",
    "find_recordings",
    "prepare_replay",
    "read_entries",
    "read_recordings",
    "replay",
    "replay_file",
]


def prepare_replay(
    recording: Recording,
    *,
    checks: Sequence[CheckLike] = (),
    turn_checks: Sequence[CheckLike] = (),
    judge: AgentAdapter | Sequence[AgentAdapter] | None = None,
    reports_tool_calls: bool | None = None,
    name: str | None = None,
    description: str | None = None,
    record: str | Path | None = None,
    config: ScenarioConfig | None = None,
    context: Context | None = None,
    budget: Budget | None = None,
    ledger: Ledger | None = None,
    set_id: str | None = None,
    batch_run_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    listeners: Sequence[Listener] = (),
) -> ScenarioExecutor:
    """A recording that is ready to be judged again: an executor like any other, whose journal and stage can be read.

    Args:
        recording: the conversation.
        checks: of the conversation; those made for turns are evaluated for each turn.
        turn_checks: of each turn in which the agent said something.
        judge: asked to decide at the end; all of them must pass it if there are several.
        reports_tool_calls: whether the recording shows every tool call of the agent, so that none in it means that
            none was made; None for what its format says.
        name, description: of the scenario; None for the recording's own.
        record: a ``.jsonl`` file or a folder for the new journal.
        config: all settings at once; ``record`` is put over it.
        context: clock, ids and seed.
        budget: what models of judges and checks may cost. What the recording cost is not counted.
        ledger: what this spends from together with other runs.
        set_id, batch_run_id, metadata: for grouping and finding runs.
        listeners: told of every event.

    Raises:
        ConfigurationError: a check of the conversation is given as one of turns, or a judge is none.
    """
    base = config or effective_config(verbose=False)
    settings = base.model_copy(update={"record": record}) if record is not None else base
    parts = replay_parts(
        recording, checks=checks, turn_checks=turn_checks, judge=judge, reports_tool_calls=reports_tool_calls
    )
    return ScenarioExecutor(
        name or recording.name,
        recording.description if description is None else description,
        parts.agents,
        parts.script,
        checks=parts.checks,
        set_id=set_id,
        batch_run_id=batch_run_id,
        metadata={**(metadata or {}), "recording": parts.facts},
        config=settings,
        context=context,
        budget=budget,
        ledger=ledger,
        listeners=listeners,
    )


@frozen
class ReplayParts:
    """A recording as the parts of a run.

    Attributes:
        agents: who took part, and the judges of today.
        script: puts what was recorded into the journal, then asks the judges.
        checks: of turns and of the conversation.
        facts: where the recording comes from.
    """

    agents: tuple[AgentAdapter, ...]
    script: tuple[ScriptStep, ...]
    checks: tuple[Check, ...]
    facts: Mapping[str, Any]


def replay_parts(
    recording: Recording,
    *,
    checks: Sequence[CheckLike] = (),
    turn_checks: Sequence[CheckLike] = (),
    judge: AgentAdapter | Sequence[AgentAdapter] | None = None,
    reports_tool_calls: bool | None = None,
) -> ReplayParts:
    """Participants, script and checks with which a recording is judged again; see :func:`prepare_replay`."""
    judges = [judge] if isinstance(judge, AgentAdapter) else list(judge or ())
    if (error := recording.not_judged) is not None:
        return _refused(recording, error)
    participants = with_known_calls(recording, reports_tool_calls).participants
    return ReplayParts(
        agents=(*map(_participant, participants), *map(_checked_judge, judges)),
        script=tuple(_script(recording, bool(judges))),
        checks=(*map(_of_turns, turn_checks), *map(as_check, checks)),
        facts=facts_of(recording),
    )


def _refused(recording: Recording, error: SuiteError) -> ReplayParts:
    """The parts of a run for an entry that cannot be judged: the run ends with the entry's error."""

    async def refuse(_: ScenarioState) -> None:
        raise ScriptError(str(error)) from error

    nobody = ParticipantSnapshot(name=recording.agent, role=AgentRole.AGENT)
    return ReplayParts(agents=(_participant(nobody),), script=(refuse,), checks=(), facts=facts_of(recording))


async def replay(
    recording: Recording,
    *,
    checks: Sequence[CheckLike] = (),
    turn_checks: Sequence[CheckLike] = (),
    judge: AgentAdapter | Sequence[AgentAdapter] | None = None,
    reports_tool_calls: bool | None = None,
    record: str | Path | None = None,
    context: Context | None = None,
    budget: Budget | None = None,
) -> ScenarioResult:
    """Judge a recording again. Takes what :func:`prepare_replay` takes.

    Returns:
        The result, as of a run that was played: messages, checks, decisions, verdict.

    Raises:
        RunError: a check or a judge broke; ``error.result`` has what there is.
        ConfigurationError: what was asked for cannot be done.
    """
    executor = prepare_replay(
        recording,
        checks=checks,
        turn_checks=turn_checks,
        judge=judge,
        reports_tool_calls=reports_tool_calls,
        record=record,
        context=context,
        budget=budget,
    )
    return await executor.run()


@frozen
class Replayed:
    """A recording and the result of judging it again."""

    recording: Recording
    result: ScenarioResult


async def replay_file(
    path: str | Path,
    *,
    checks: Sequence[CheckLike] = (),
    turn_checks: Sequence[CheckLike] = (),
    judge: AgentAdapter | Sequence[AgentAdapter] | None = None,
    reports_tool_calls: bool | None = None,
    format: str | None = None,
    record: str | Path | None = None,
    context: Context | None = None,
    budget: Budget | None = None,
    concurrency: int = 8,
) -> list[Replayed]:
    """Judge all recordings of a file, or of all files that a pattern means.

    A check or a judge that breaks is an error of that recording (``result.status`` is ``error``, and there is no
    verdict); the others are judged all the same. So is an entry of a file that is broken or holds no conversation:
    ``recording.error`` says why.

    Args:
        path: a file, or a pattern such as ``logs/*.json``.
        checks: of the conversation; those made for turns are evaluated for each turn.
        turn_checks: of each turn in which the agent said something.
        judge: asked to decide about each recording at its end.
        reports_tool_calls: whether the recording shows every tool call of the agent, so that none in it means that
            none was made; None for what its format says.
        format: see :func:`read_recordings`; None to find out from each file.
        record: a folder for the new journals.
        context: clock, ids and seed.
        budget: what models may cost for one recording.
        concurrency: recordings at once.

    Returns:
        One for each recording, in the order of files and of recordings within them.

    Raises:
        ConfigurationError: a file cannot be read (then it is a SuiteError with the place), or an argument cannot be
            used.
    """
    if concurrency < 1:
        raise ConfigurationError(f"concurrency: found {concurrency}; expected 1 or more")
    if record is not None and Path(record).suffix == ".jsonl":
        raise ConfigurationError(
            f"record: found the file '{record}'; expected a folder, which gets a file for each run"
        )
    gate = asyncio.Semaphore(concurrency)

    async def one(recording: Recording) -> Replayed:
        executor = prepare_replay(
            recording,
            checks=checks,
            turn_checks=turn_checks,
            judge=judge,
            reports_tool_calls=reports_tool_calls,
            record=record,
            context=context,
            budget=budget,
        )
        async with gate:
            return Replayed(recording=recording, result=await executor.perform())

    files = find_recordings(str(path))
    recordings = [recording for file in files for recording in read_entries(file, format)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(recording)) for recording in recordings]
    return [task.result() for task in tasks]


class RecordingIndex:
    """The recordings of a suite's replays, by the names that a plan keeps. Each file is read once.

    A name is the path of the file relative to the suite, with ``#`` and a number for the second and later recordings
    of a file: ``calls/monday.json``, ``calls/monday.json#1``.
    """

    def __init__(self, suite: Suite) -> None:
        self._suite = suite
        self._held: dict[tuple[str, str | None], dict[str, Recording | SuiteError]] = {}

    def names(self, replay: Replay) -> list[str]:
        """The names of a replay's recordings, in order; a file that cannot be read has one too.

        Raises:
            SuiteError: no file matches.
        """
        return list(self._recordings(replay))

    def titles(self, replay: Replay) -> dict[str, str | None]:
        """The names, each with what the source calls the recording, such as ``task 3, trial 0``.

        It is None where that says no more than the name.
        """
        return {name: _title(name, found) for name, found in self._recordings(replay).items()}

    def open(self, replay: Replay, name: str) -> Recording:
        """The recording of that name.

        Raises:
            ConfigurationError: the replay has none of that name any more.
            SuiteError: its file cannot be read.
        """
        found = self._recordings(replay).get(name)
        error = found.not_judged if isinstance(found, Recording) else found
        if error is not None:
            raise type(error)(str(error), error.problems)
        if not isinstance(found, Recording):
            raise ConfigurationError(f"the replay '{replay.name}' has no recording '{name}'; were its files changed?")
        return found

    def _recordings(self, replay: Replay) -> dict[str, Recording | SuiteError]:
        key = (replay.recording, replay.format)
        if key not in self._held:
            files = find_recordings(str(self._suite.path(replay.recording)))
            self._held[key] = {name: found for file in files for name, found in self._in_file(file, replay.format)}
        return self._held[key]

    def _in_file(self, file: Path, format: str | None) -> Iterator[tuple[str, Recording | SuiteError]]:
        """What a file holds. One that is broken is the trouble of its own test case, and of no other."""
        try:
            entries = read_entries(file, format)
            for recording in entries:
                yield self._name(recording.path, recording.index + 1 if len(entries) > 1 else 0), recording
        except SuiteError as error:
            yield self._name(file), error

    def _name(self, path: Path, number: int = 0) -> str:
        folder = self._suite.folder
        name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()
        return f"{name}#{number}" if number else name


_LONGEST_TITLE = 200
"""Characters of what a source calls a recording, in lists."""


def _title(name: str, found: Recording | SuiteError) -> str | None:
    if not isinstance(found, Recording):
        return None
    stem, _, number = name.rsplit("/", 1)[-1].partition("#")
    plain = stem.split(".")[0]
    if found.name in {plain, f"{plain} #{number}", f"{plain} {number}"}:
        return None
    return found.name if len(found.name) <= _LONGEST_TITLE else f"{found.name[:_LONGEST_TITLE]}…"


RecordingShelf = RecordingIndex
"""The name of :class:`RecordingIndex` in earlier releases; it will be removed in the next one."""


def facts_of(recording: Recording) -> dict[str, Any]:
    """Where a recording comes from, as JSON data for results and journals."""
    return {
        **recording.metadata,
        **({"warnings": list(recording.warnings)} if recording.warnings else {}),
        "name": recording.name,
        "source": str(recording.path),
        "format": recording.format,
        "index": recording.index,
        "session_id": recording.session_id,
        "agent": recording.agent,
        "model": recording.model,
        "tags": list(recording.tags),
    }


class RecordedParticipant(AgentAdapter):
    """Somebody who took part in a recording. Stands in the list of participants and is never called."""

    def __init__(self, snapshot: ParticipantSnapshot) -> None:
        self._snapshot = snapshot
        self.reports_tool_calls = snapshot.reports_tool_calls
        self.role = snapshot.role  # pyright: ignore[reportAttributeAccessIssue] - each has the role that it had

    @property
    def name(self) -> str:
        """As in the recording."""
        return self._snapshot.name

    def describe(self) -> dict[str, Any]:
        """What the recording says about it."""
        return {**self._snapshot.details, "recorded": True}

    async def call(self, input: AgentInput) -> NoReturn:
        """Refuse: what was said has been said."""
        raise ScriptError(f"'{self.name}' is part of a recording and cannot be asked", who=self.name)


def _participant(snapshot: ParticipantSnapshot) -> AgentAdapter:
    return RecordedParticipant(snapshot)


def _checked_judge(judge: AgentAdapter) -> AgentAdapter:
    if judge.role is not AgentRole.JUDGE:
        raise ConfigurationError(
            f"judge: {judge.name} has the role {judge.role.value}; expected a judge, such as JudgeAgent(criteria=[…])"
        )
    return judge


def _of_turns(check: CheckLike) -> Check:
    """The check, evaluated for each turn."""
    made = as_check(check)
    if made.scope is Scope.TURN:
        return made
    if isinstance(made, FunctionCheck):
        return changed(made, scope=Scope.TURN)
    raise ConfigurationError(
        f"turn_checks: the check '{made.name}' looks at the whole conversation; make it with scope=Scope.TURN, or give "
        "it among the checks"
    )


def _script(recording: Recording, judged: bool) -> list[ScriptStep]:
    async def play_recording(state: ScenarioState) -> None:
        await _play(recording, cast("ScenarioExecutor", state.executor).conversation)

    async def judge(state: ScenarioState) -> ScenarioResult | None:
        return await state.executor.judge()

    return [play_recording, judge] if judged else [play_recording]


async def _play(recording: Recording, conversation: Conversation) -> None:
    for place, event in enumerate(recording.events):
        if place in recording.looks:
            await conversation.checks.check_turn()
        if isinstance(event, Noted) and isinstance(event.note, SpokenNote):
            from duologue.voice.notes import taken_over

            if not await taken_over(event.note, recording.path, conversation.journal.artifacts):
                continue
        await put_recorded(event, conversation)


async def put_recorded(event: Event, conversation: Conversation) -> None:
    """One more recorded event. Messages and turns go through the conversation, which counts them as it always does."""
    match event:
        case MessageAdded():
            conversation.add(
                event.message,
                author=event.author,
                stands_in_for=event.stands_in_for,
                call=recorded_call(event.call),
                cut=event.cut,
            )
        case TurnStarted():
            await conversation.checks.check_turn()
            conversation.open_turn()
        case MessagesRolledBack():
            conversation.roll_back(event.index)
        case AgentCalled() | ModelCalled() | ToolCalled() | UserFinished() | Noted():
            conversation.journal.append(changed(event, call=recorded_call(event.call)))
        case _:
            conversation.journal.append(event)


def recorded_call(call: str | None) -> str:
    """The id of a call that was recorded, told apart from those of the calls that are made now."""
    return f"r{call}" if call else ""
