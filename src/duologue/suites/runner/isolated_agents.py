"""Agents in Python code that run in processes of their own: ``isolation: processes``.

Whatever such an agent does (it blocks, ignores its cancellation, ends its process, crashes) ends its own run only. A
process has one run at a time, and is used again for the next, unless a call in it was broken off: then it is killed.
What goes between the processes is a line of JSON: see :mod:`duologue.suites.runner.isolated_process`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, cast

from duologue.config.access import access
from duologue.config.processes import end_group, environment_with, track
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, AgentSession, Piece
from duologue.conversation.result import ScenarioResult
from duologue.errors import AgentError, AgentReturnError
from duologue.models.scope import RunScope
from duologue.suites.runner import isolated_process
from duologue.vocabulary import AgentRole

_LONGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of one line of an answer."""
_SECONDS_TO_BEGIN = 60.0
"""In which a process has to be ready for its run."""


class AgentProcesses:
    """The processes of all isolated agents of an execution. Those that are free wait for the next run."""

    def __init__(self) -> None:
        self._free: dict[tuple[str, Path, str], list[_Process]] = {}

    def agent(self, target: str, folder: Path, name: str) -> AgentAdapter:
        """An agent that answers from a process.

        Args:
            target: ``module:name`` or ``file.py:name``.
            folder: of the suite.
            name: of the agent, for reports.
        """
        return IsolatedAgent(self, (target, folder, name))

    async def take(self, key: tuple[str, Path, str]) -> _Process:
        """A process in which no run is."""
        free = self._free.get(key, [])
        while free:
            process = free.pop()
            if process.alive:
                return process
        return await _Process.start(*key)

    def give_back(self, key: tuple[str, Path, str], process: _Process) -> None:
        """Nothing was broken off in it: it can have the next run."""
        self._free.setdefault(key, []).append(process)

    async def close(self) -> None:
        """End all of them."""
        free = [process for found in self._free.values() for process in found]
        self._free.clear()
        await asyncio.gather(*(process.end() for process in free))


class IsolatedAgent(AgentAdapter):
    """An agent that answers from a process of its own."""

    role: ClassVar[AgentRole] = AgentRole.AGENT

    def __init__(self, processes: AgentProcesses, key: tuple[str, Path, str]) -> None:
        self._processes = processes
        self._key = key
        self.timeout = _SECONDS_TO_BEGIN

    @property
    def name(self) -> str:
        """What the suite calls it."""
        return self._key[2]

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """Never called: the session answers."""
        raise NotImplementedError

    async def open(self, run: RunScope) -> AgentSession:
        """A process for this run, with the agent in it. Its start is not counted in the time limit of a call."""
        session = _Session(self._processes, self._key)
        await session.begin()
        self.timeout = None
        return session


class _Session(AgentSession):
    """One run of an isolated agent."""

    def __init__(self, processes: AgentProcesses, key: tuple[str, Path, str]) -> None:
        self._processes = processes
        self._key = key
        self._process: _Process | None = None
        self._asked: dict[str, Any] = {}
        self._input: AgentInput

    async def begin(self) -> None:
        """Take a process and let it make the agent."""
        process = await self._processes.take(self._key)
        try:
            process.tell({"op": "begin"})
            said = await process.hear()
            if "error" in said:
                _piece(said, self._key[2])
            self._process = process
        finally:
            if self._process is None:
                await process.end()

    async def send(self, input: AgentInput) -> None:
        """Keep it for the answer."""
        self._input = input
        self._asked = {
            "op": "call",
            "thread_id": input.thread_id,
            "description": input.scenario_state.description,
            "messages": input.messages,
            "new": input.new_messages,
        }

    async def receive(self) -> AsyncIterator[Piece]:
        """What the process answers."""
        if self._process is None:  # the call before was broken off
            await self.begin()
        process, self._process = self._process, None
        assert process is not None
        self._input.usage_reported = True  # the process counts what its answers say
        try:
            process.tell(self._asked)
            while (said := await process.hear()).get("end") is None:
                if "usage" in said:
                    self._input.report_usage(**said["usage"])
                    continue
                yield _piece(said, self._key[2])
            self._process = process
        finally:
            if self._process is None:  # whatever it is doing now, it is doing it for nobody
                await process.end()

    async def close(self) -> None:
        """The run is over; another may have the process."""
        process, self._process = self._process, None
        if process is not None:
            process.tell({"op": "end"})
            self._processes.give_back(self._key, process)


def _piece(said: dict[str, Any], name: str) -> Piece:
    if "error" in said:
        raise AgentError(f"[{name}] {said['error']}", who=name) from IsolatedAgentError(said.get("traceback", ""))
    if "unfit" in said:
        raise AgentReturnError(said["unfit"], who=name)
    if "result" in said:
        return ScenarioResult.model_validate(said["result"])
    return said["piece"]


class IsolatedAgentError(Exception):
    """What an agent raised in its process: the traceback as it was there."""


def _environment() -> dict[str, str] | None:
    """The environment of an agent's process; None for that of this one."""
    if not access().is_limited:
        return None
    path = os.pathsep.join(item for item in sys.path if item)
    return {**environment_with(access().variables), "PYTHONPATH": path}


class _Process:
    """A child process with an agent."""

    def __init__(
        self, process: asyncio.subprocess.Process, answers: asyncio.StreamReader, pipe: asyncio.BaseTransport
    ) -> None:
        self._process = process
        self._answers = answers
        self._pipe = pipe

    @classmethod
    async def start(cls, target: str, folder: Path, name: str) -> _Process:
        """Start one; what the agent prints appears on standard error."""
        loop = asyncio.get_running_loop()
        read, write = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", isolated_process.__name__, str(write), target, str(folder), name,
                stdin=asyncio.subprocess.PIPE,
                stdout=2,
                env=_environment(),
                pass_fds=(write,),
                start_new_session=True,
            )  # fmt: skip
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        track(process)
        answers = asyncio.StreamReader(limit=_LONGEST_ANSWER, loop=loop)
        pipe, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(answers, loop=loop), os.fdopen(read, "rb", buffering=0)
        )
        return cls(process, answers, pipe)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.returncode is None and not self._answers.at_eof()

    def tell(self, value: dict[str, Any]) -> None:
        """Send a line; that nobody reads it any more is met when the answer is awaited."""
        stdin = self._process.stdin
        assert stdin is not None
        with suppress(OSError):
            stdin.write(json.dumps(value).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        """The next line.

        Raises:
            AgentError: the process has ended, or has written what is no answer.
        """
        try:
            line = await self._answers.readline()
        except ValueError:
            raise AgentError(f"the answer of the agent is longer than {_LONGEST_ANSWER} bytes") from None
        if line.endswith(b"\n"):
            try:
                return cast("dict[str, Any]", json.loads(line))
            except ValueError as error:
                raise AgentError(f"the process of the agent wrote what is no answer: {line[:80]!r}") from error
        code = await self._process.wait()
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        raise AgentError(f"the process of the agent ended ({how}) in the middle of a call")

    async def end(self) -> None:
        """Kill it, with all that it started."""
        self._pipe.close()
        await end_group(self._process)
