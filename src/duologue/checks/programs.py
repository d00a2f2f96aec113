"""Checks that run something on this machine: a program of the suite's own, or a tool."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field

from duologue.checks.base import CheckType, Finding, broken, finding, skipped
from duologue.checks.external import ExternalError, Seconds, found
from duologue.checks.patterns import Pattern
from duologue.checks.patterns import found as found_in
from duologue.checks.providers import Resources
from duologue.checks.registry import check
from duologue.checks.subject import Subject, ids_of
from duologue.checks.text import Json
from duologue.messages import JsonValue

_SHOWN = 300
_SECONDS_TO_DIE = 2.0


@check("exec", aliases=["exec_eval"], family="External")
class Exec(CheckType):
    """A program decides: it reads JSON and writes ``{"score": 0 to 1, "passed": …, "detail": …}``.

    It is given ``{type, params, content, context}`` on its standard input. No shell is involved. A program that fails
    or writes something else is an error.
    """

    command: Annotated[list[str], Field(min_length=1)]
    """The program and its arguments."""
    params: dict[str, Json] = Field(default={})
    """Passed on as they are."""
    env: dict[str, str] = Field(default={})
    """Environment variables to add."""
    timeout: Seconds = 30.0
    """Seconds, or a text such as ``30s``; then the program and all that it started are killed."""

    renamed: ClassVar = {"timeout_seconds": "timeout"}

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        context = {
            "messages": subject.messages,
            "turn": subject.input.turn,
            "tool_calls": [{**call.shown(), "result": call.result} for call in subject.calls],
        }
        given = {"type": "exec", "params": self.params, "content": subject.answer.text, "context": context}
        try:
            async with asyncio.timeout(self.timeout):
                value = await _run(self.command, self.env, given)
            return found(value, ids_of([subject.answer]))
        except TimeoutError:
            return broken(f"{self.command[0]} did not end within {self.timeout:g} s and was killed")
        except (ExternalError, OSError) as error:
            return broken(f"{self.command[0]}: {error}")


@check("tool_exec", family="External")
class ToolExec(CheckType):
    """A tool, called by the check itself, answers as expected. Skipped where no tools can be called."""

    tool: str = Field(min_length=1)
    """The tool."""
    args: dict[str, Json] = Field(default={})
    """Its arguments."""
    timeout: Seconds = 120.0
    """Seconds, or a text such as ``30s``."""
    success_pattern: Pattern | None = None
    """A regular expression that its answer matches."""
    failure_pattern: Pattern | None = None
    """A regular expression that its answer does not match."""

    renamed: ClassVar = {"timeout_seconds": "timeout", "tool_name": "tool"}

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        if resources.run_tool is None:
            return skipped("no tools can be called here; pass resources=Resources(run_tool=…)")
        try:
            async with asyncio.timeout(self.timeout):
                answer = await resources.run_tool(self.tool, dict(self.args))
        except TimeoutError:
            return broken(f"'{self.tool}' did not answer within {self.timeout:g} s")
        wrong = self.failure_pattern is not None and found_in(self.failure_pattern, answer) is not None
        right = self.success_pattern is None or found_in(self.success_pattern, answer) is not None
        return finding(right and not wrong, f"'{self.tool}' answered {answer[:_SHOWN]!r}", answer=answer)


def kill_group(process: asyncio.subprocess.Process) -> None:
    """End a program that leads a session of its own, and all that it started where the system knows groups."""
    with suppress(ProcessLookupError, PermissionError):  # nobody is left
        if sys.platform == "win32":
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)


async def end_group(process: asyncio.subprocess.Process) -> None:
    """Kill a program that leads a session of its own and wait for its end, but not for what has left its group."""
    kill_group(process)
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS_TO_DIE):
            await process.wait()
    # Its pipes may be open still, held by something that left the group. Nothing public lets go of them.
    transport = cast("Any", process)._transport
    transport.close()


async def run_program(
    command: Sequence[str], environment: Mapping[str, str], given: bytes, folder: Path | None = None
) -> bytes:
    """Run a program to its end, without a shell. Whoever limits the time kills it, and all that it started, with that.

    Args:
        command: the program and its arguments.
        environment: all of its environment variables.
        given: its standard input.
        folder: where it runs; None for the current one.

    Returns:
        its standard output.

    Raises:
        ExternalError: it ended with another code than 0.
        OSError: it cannot be started.
    """
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd=folder, start_new_session=True
    )
    try:
        out, err = await process.communicate(given)
    finally:
        await end_group(process)
    if process.returncode:
        raise ExternalError(f"ended with code {process.returncode}: {err.decode(errors='replace')[-_SHOWN:].strip()}")
    return out


async def _run(command: list[str], env: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, JsonValue]:
    # As ASCII: an agent may say half a surrogate pair, which cannot be written otherwise.
    out = await run_program(command, {**os.environ, **env}, json.dumps(given, default=str).encode())
    try:
        value = json.loads(out)
    except ValueError as error:
        raise ExternalError(f"wrote no JSON: {out.decode(errors='replace')[:_SHOWN]!r}") from error
    if not isinstance(value, dict):
        raise ExternalError(f"wrote no JSON object: {out.decode(errors='replace')[:_SHOWN]!r}")
    return cast("dict[str, JsonValue]", value)
