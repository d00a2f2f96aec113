"""Checks that run something on this machine: a program of the suite's own, or a tool."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from duologue.checks.base import CheckType, Finding, broken, finding, skipped
from duologue.checks.external import ExternalError, Seconds, found
from duologue.checks.registry import check
from duologue.checks.subject import Subject, ids_of
from duologue.checks.text import Json
from duologue.config.json_text import NoJsonError, json_object
from duologue.config.patterns import Pattern
from duologue.config.patterns import found as found_in
from duologue.config.processes import ProgramError, run_program
from duologue.messages import JsonValue
from duologue.models.resources import Resources

_SHOWN = 300


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
            value = await _answer_of(self.command, self.env, given, self.timeout)
            return found(value, ids_of([subject.answer]))
        except TimeoutError:
            return broken(f"{self.command[0]} did not end within {self.timeout:g} s and was killed")
        except (ExternalError, ProgramError, OSError) as error:
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


async def _answer_of(
    command: list[str], env: Mapping[str, str], given: Mapping[str, Any], timeout: float
) -> dict[str, JsonValue]:
    out = await run_program(
        command,
        # As ASCII: an agent may say half a surrogate pair, which cannot be written otherwise.
        given=json.dumps(given, default=str).encode(),
        environment={**os.environ, **env},
        timeout=timeout,
    )
    try:
        return json_object(out)
    except NoJsonError as error:
        raise ExternalError(f"wrote no JSON object: {out.decode(errors='replace')[:_SHOWN]!r}") from error
