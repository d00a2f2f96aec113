"""An agent as a program that is started for each test case and speaks JSON lines.

Each turn is one line on its standard input, a request of the contract of custom endpoints (see ``contract``), and one
line on its standard output, the answer of that contract. What it writes to standard error is for people. It runs in a
process group that is killed whole, and its environment has ``PATH`` and what the configuration lists.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from duologue.agents.http.completions import ContractError, fields_of
from duologue.agents.http.usage import usage_of
from duologue.config.processes import end_group, environment_with, start_program
from duologue.config.spec import EMPTY, Amount, Items, Name, Text
from duologue.config.templates import expand
from duologue.context import SystemClock
from duologue.errors import AgentError, ConfigurationError
from duologue.models.prices import load_prices
from duologue.runtimes.base import AgentPlatform, AgentSnapshot, RuntimeRunArgs, RuntimeSession, TextRuntimeKind
from duologue.runtimes.config import RuntimeConfig
from duologue.runtimes.contract import contract_request, read_contract
from duologue.runtimes.text import AgentReply, AgentTurn, Said, TextRuntimeBase

_CHUNK = 65536
_SHOWN = 300
"""Characters at the end of standard error that an error quotes."""
_SECONDS_TO_END = 2.0
"""That a program may take to end once its output has ended."""


class CommandRuntimeConfig(RuntimeConfig):
    """An agent as a program."""

    environment_fields: ClassVar[tuple[str, ...]] = ("env",)

    kind: Literal["command"] = "command"
    """Always ``command``."""
    command: Items[Text] = Field(min_length=1)
    """The program and its arguments. No shell is used."""
    env: dict[str, str] = Field(default=EMPTY, repr=False)
    """Environment variables of the program, such as ``TOKEN: ${TOKEN}``."""
    pass_env: Items[Name] = ()
    """Names of environment variables that are passed on."""
    working_dir: str | None = None
    """Folder in which the program runs."""
    max_line_bytes: Annotated[Amount, Field(ge=1024, le=2**30)] = 1024 * 1024
    """Longest line that is read."""


@dataclass
class _Program:
    """A program that runs for one test case.

    Attributes:
        complaint: the end of what it has written to standard error.
        reading: reads that.
    """

    process: asyncio.subprocess.Process
    test_case_id: str
    max_line_bytes: int
    secrets: tuple[str, ...]
    complaint: bytes = b""
    reading: asyncio.Task[None] | None = None

    async def keep_complaint(self) -> None:
        """Read standard error, so that the program is never held up by it."""
        stderr = self.process.stderr
        assert stderr is not None
        while chunk := await stderr.read(_CHUNK):
            self.complaint = (self.complaint + chunk)[-_SHOWN:]


class CommandRuntime(TextRuntimeBase[_Program]):
    """Starts a program for each test case, and talks to it in JSON lines."""

    KIND: ClassVar[str] = TextRuntimeKind.COMMAND
    LABEL: ClassVar[str] = "Command"
    DESCRIPTION: ClassVar[str] = "A program on this machine that speaks JSON lines"
    CONFIG: ClassVar[type[BaseModel] | None] = CommandRuntimeConfig
    STARTS_PROGRAM: ClassVar[bool] = True

    def supported_for_platform(self, platform: AgentPlatform | str | None) -> bool:
        """For agents that no platform hosts."""
        return platform is None

    def validate_config(self, runtime_config: BaseModel, agent: AgentSnapshot, session: RuntimeSession | None) -> None:
        """There is a program to start."""
        config = _own(runtime_config)
        if not config.command or not config.command[0].strip():
            raise ConfigurationError("runtime.command: expected a program and its arguments; found none")

    async def build_text_agent_config(
        self, runtime_config: BaseModel, args: RuntimeRunArgs, session: RuntimeSession | None
    ) -> _Program:
        """Start the program."""
        from pathlib import Path

        config = _own(runtime_config)
        env = {name: _expanded(name, value) for name, value in config.env.items()}
        await load_prices(SystemClock())
        try:
            process = await _started(
                start_program(
                    config.command,
                    environment={**environment_with(config.pass_env), **env},
                    folder=Path(config.working_dir) if config.working_dir else None,
                    longest_line=config.max_line_bytes,
                )
            )
        except OSError as error:
            raise AgentError(
                f"[{self.LABEL}] the program '{config.command[0]}' cannot be started: {error.strerror or error}; "
                "give its path in runtime.command, or put its folder on PATH",
                who=self.LABEL,
            ) from error
        secrets = tuple(env[name] for name, value in config.env.items() if "${" in value)
        program = _Program(process, args.test_case.id, config.max_line_bytes, secrets)
        program.reading = asyncio.ensure_future(program.keep_complaint())
        return program

    async def do_agent_turn(self, agent_config: _Program, turn: AgentTurn) -> Said | AgentReply:
        """Write a line, and read one."""
        program = agent_config
        line = await _exchanged(program, turn)
        text = line.decode("utf-8", "replace")
        try:
            body, messages, written = read_contract(text)
        except ContractError as error:
            raise turn.failure(f"answered with a line that breaks the contract: {error}", text) from error
        _report(turn, body, written)
        return AgentReply(said=messages, ended=fields_of(body.get("metadata")).get("ended") is True)

    async def close_text_agent(self, agent_config: _Program) -> None:
        """Kill the program with everything that it has started."""
        await end_group(agent_config.process)
        if agent_config.reading is not None:
            agent_config.reading.cancel()
            await asyncio.gather(agent_config.reading, return_exceptions=True)


async def _started(starting: Coroutine[Any, Any, asyncio.subprocess.Process]) -> asyncio.subprocess.Process:
    """The program. If this is cancelled while it starts, it is killed with what it has started by then."""
    task = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        if task.exception() is None:
            await end_group(task.result())
        raise


async def _exchanged(program: _Program, turn: AgentTurn) -> bytes:
    stdin, stdout = program.process.stdin, program.process.stdout
    assert stdin is not None
    assert stdout is not None
    request = json.dumps(contract_request(turn.input.messages, program.test_case_id))
    try:
        stdin.write(request.encode() + b"\n")
        await stdin.drain()
        line = await stdout.readline()
    except (BrokenPipeError, ConnectionResetError):
        line = b""
    except ValueError as error:
        told = f"wrote a line of more than {program.max_line_bytes} bytes (max_line_bytes)"
        raise turn.failure(told) from error
    if line.endswith(b"\n"):
        return line
    raise turn.failure(await _ended(program), line.decode("utf-8", "replace") or None)


async def _ended(program: _Program) -> str:
    """What is to be said of a program whose output has ended."""
    try:
        async with asyncio.timeout(_SECONDS_TO_END):
            code: object = await program.process.wait()
            if program.reading is not None:
                await asyncio.shield(program.reading)
    except TimeoutError:
        code = program.process.returncode
    complaint = program.complaint.decode("utf-8", "replace").strip()
    for secret in program.secrets:
        complaint = complaint.replace(secret, "***") if secret else complaint
    how = "closed its output" if code is None else f"ended with code {code}"
    return f"the program {how} before it had answered{f': {complaint}' if complaint else ''}"


def _report(turn: AgentTurn, body: Mapping[str, Any], written: list[Any]) -> None:
    usage = usage_of(body, written)
    if usage is None:
        return
    turn.input.report_usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        model=usage.model or None,
        cost=usage.cost,
    )


def _own(runtime_config: BaseModel) -> CommandRuntimeConfig:
    if not isinstance(runtime_config, CommandRuntimeConfig):
        found = type(runtime_config).__name__
        raise ConfigurationError(f"runtime: the command runtime needs a CommandRuntimeConfig; found {found}")
    return runtime_config


def _expanded(name: str, value: str) -> str:
    try:
        return expand(value, secret=True)
    except ConfigurationError as error:
        raise ConfigurationError(f"runtime.env.{name}: {error}") from error
