"""Tools that are programs: JSON goes in, JSON comes out. No shell is involved.

A program with ``runtime: exec`` is started for each call, reads ``{"args": {…}}`` and writes its answer. One with
``runtime: server`` is started once and gets a line of JSON-RPC 2.0 for each call: ``{"jsonrpc": "2.0", "id": 1,
"method": "execute", "params": {"args": {…}}}``. Both answer ``{"result": …}`` or ``{"error": "…"}``; any other JSON is
the result itself. Of the environment, a program gets ``PATH`` and the variables that the suite names. What is secret by
the name of its variable is taken out of what the program says.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from duologue.agents.tools.call import CallContext, OnClose, Result, Run, ToolFault, ToolUnreachable, seconds_of
from duologue.config.access import variables
from duologue.config.json_text import json_value
from duologue.config.processes import (
    MAX_OUTPUT,
    ProgramError,
    end_group,
    environment_with,
    run_program,
    start_program,
)
from duologue.config.redaction import names_secret, without_values
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.messages import JsonValue
from duologue.specs.agent_definition import ToolSource
from duologue.specs.prompts import Tool

NO_SANDBOX = frozenset({None, "", "none", "direct"})
"""Values of ``sandbox`` by which a program runs as it is."""
_SHOWN = 300
_PATIENCE = 2.0
"""Seconds that a kept program has to end by itself, once its input is closed."""
_ANSWER_FIELDS = {"result", "error", "pending", "jsonrpc", "id"}


@frozen
class _Program:
    """How a tool's program is started.

    Attributes:
        tool: its name.
        command: the program and its arguments.
        variables: of the environment, that it gets.
        folder: where it runs.
        seconds: that a call may take.
    """

    tool: str
    command: tuple[str, ...]
    variables: tuple[str, ...]
    folder: Path
    seconds: float

    @property
    def environment(self) -> dict[str, str]:
        """The variables with their values of now."""
        return environment_with(self.variables)

    @property
    def secrets(self) -> list[str]:
        """Values of variables that are secret by their names, as they may stand in text and in JSON."""
        values = [variables().get(name, "") for name in self.variables if names_secret(name)]
        return [*values, *(json.dumps(value)[1:-1] for value in values)]

    def fault(self, what: str) -> ToolFault:
        """What went wrong, and in which program, without what is secret."""
        return ToolFault(without_values(f"tool {self.tool}: {Path(self.command[0]).name} {what}", self.secrets))


def program(tool: Tool, suite: ToolSource, on_close: OnClose) -> Run:
    """What runs a tool that is a program, in the folder of the suite.

    Raises:
        ConfigurationError: a sandbox is asked for, which there is not.
    """
    binding = tool.exec
    if binding is None:
        raise ConfigurationError(f"tool '{tool.name}' has the mode exec, but not the field 'exec'")
    if binding.sandbox not in NO_SANDBOX:
        raise ConfigurationError(
            f"tool '{tool.name}': there is no sandbox '{binding.sandbox}'; remove exec.sandbox, and start the program "
            "with a command that isolates it"
        )
    how = _Program(
        tool=tool.name,
        command=(binding.command, *binding.args),
        variables=binding.env,
        folder=suite.folder,
        seconds=seconds_of(binding.timeout_ms, tool.timeout_ms),
    )
    ask = _Kept(how, on_close).ask if binding.runtime == "server" else _once(how)

    async def run(arguments: dict[str, JsonValue], context: CallContext) -> Result:
        return Result(value=await ask(arguments))

    return run


def _once(how: _Program) -> Callable[[dict[str, JsonValue]], Any]:
    async def ask(arguments: dict[str, JsonValue]) -> JsonValue:
        try:
            out = await run_program(
                how.command,
                given=_line({"args": arguments}),
                environment=how.environment,
                folder=how.folder,
                timeout=how.seconds,
            )
        except TimeoutError as error:
            raise how.fault(f"timed out: it did not answer within {how.seconds:g} s and was killed") from error
        except ProgramError as error:
            raise how.fault(str(error)) from error
        except OSError as error:
            raise ToolUnreachable(str(how.fault(f"cannot be started: {error}"))) from error
        return _answer(out, how)

    return ask


class _Kept:
    """A program that is started once and asked line by line, one call after the other."""

    def __init__(self, how: _Program, on_close: OnClose) -> None:
        self._how = how
        self._on_close = on_close
        self._lock = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._complaints: deque[str] = deque(maxlen=5)
        self._listener: asyncio.Task[None] | None = None
        self._asked = 0

    async def ask(self, arguments: dict[str, JsonValue]) -> JsonValue:
        """Ask; a program that has died is started again, one that is too slow is killed."""
        how = self._how
        async with self._lock:
            try:
                async with asyncio.timeout(how.seconds):
                    return _answer(await self._exchange(arguments), how)
            except TimeoutError as error:
                await self._end()
                raise how.fault(f"timed out: it did not answer within {how.seconds:g} s and was killed") from error
            except asyncio.CancelledError:
                await self._end()  # its answer would be taken for that of the next call
                raise
            except ConfigurationError:
                raise
            except (OSError, ValueError) as error:  # the latter for a line that is too long
                await self._end()
                raise how.fault(f"broke off: {error}") from error

    async def _exchange(self, arguments: dict[str, JsonValue]) -> bytes:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        self._asked += 1
        params = {"args": arguments}
        process.stdin.write(_line({"jsonrpc": "2.0", "id": self._asked, "method": "execute", "params": params}) + b"\n")
        await process.stdin.drain()
        line = await process.stdout.readline()
        if not line:
            await process.wait()
            code = process.returncode
            await self._end()
            raise self._how.fault(f"ended with code {code}: {' '.join(self._complaints)[-_SHOWN:]}")
        return line

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        await self._end()
        self._on_close(self.aclose, f"the tool '{self._how.tool}' (runtime: server)")
        how = self._how
        try:
            self._process = await start_program(
                how.command, environment=how.environment, folder=how.folder, longest_line=MAX_OUTPUT
            )
        except OSError as error:
            raise ToolUnreachable(str(how.fault(f"cannot be started: {error}"))) from error
        self._complaints.clear()
        self._listener = asyncio.create_task(self._listen(self._process))
        return self._process

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        """Read what it complains of, so that it never waits for a reader."""
        assert process.stderr is not None
        while chunk := await process.stderr.read(_SHOWN):
            self._complaints.append(chunk.decode(errors="replace"))

    async def aclose(self) -> None:
        """Close its input and let it end; kill it if it does not."""
        process = self._process
        if process is not None and process.stdin is not None and process.returncode is None:
            process.stdin.close()
            try:
                async with asyncio.timeout(_PATIENCE):
                    await process.wait()
            except TimeoutError:
                pass
        await self._end()

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await end_group(process)
        listener, self._listener = self._listener, None
        if listener is not None:
            await asyncio.wait([listener], timeout=_PATIENCE)
            listener.cancel()


def _line(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _answer(out: bytes, how: _Program) -> JsonValue:
    """The result in what a program wrote."""
    try:
        value = json_value(without_values(out.decode(), how.secrets), constants=True)
    except ValueError as error:
        raise how.fault(f"wrote no JSON: {out.decode(errors='replace')[:_SHOWN]!r}") from error
    if not isinstance(value, dict) or not value.keys() <= _ANSWER_FIELDS:  # pyright: ignore[reportUnknownMemberType]
        return cast("JsonValue", value)
    answer = cast("dict[str, Any]", value)
    if error := answer.get("error"):
        told = cast("dict[str, Any]", error).get("message") if isinstance(error, dict) else None
        raise how.fault(f"answered with an error: {told or error}")
    if pending := answer.get("pending"):
        raise how.fault(f"is waiting for somebody, and nobody is there: {pending}")
    return answer.get("result", value)
