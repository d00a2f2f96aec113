"""The standard input and output of a program as a transport of the Model Context Protocol (extra ``mcp``).

The library has one of its own. This one keeps a line from growing without end and says so, keeps what the program
complains of in bounds, and starts it like every other program, so that a process that ends at once takes it along.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from duologue.config.processes import MAX_OUTPUT, end_group, kill_group, start_program

MAX_LINE_BYTES = MAX_OUTPUT
"""Bytes of one line, which is one message."""
_MOST_VALUES = 100_000
"""Values in one message. The library takes long to say what is wrong with each."""
_PATIENCE = 2.0
"""Seconds that a program has to end once its input is closed, and again once it was asked to terminate."""
_LAST_WORDS = 0.5
"""Seconds for what a program wrote last. Something that left its process group may hold the pipes open."""
_SHOWN = 300
_CHUNK = 64 * 1024
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')


class McpProgram:
    """A program that serves MCP.

    Args:
        command: the program and its arguments.
        environment: variables beside the few that every program needs.
        folder: where it runs.

    Attributes:
        fault: what it did that no server may do; '' for nothing.
        complaint: the end of what it wrote to standard error.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.fault = ""
        self.complaint = ""
        self._command = command
        self._environment = environment
        self._folder = folder

    @asynccontextmanager
    async def connected(self) -> AsyncGenerator[tuple[Any, Any]]:
        """Start it; within the block, what it says can be read, and what is written is sent to it.

        Raises:
            OSError: it cannot be started.
        """
        stdio = import_module("mcp.client.stdio")
        streams = import_module("anyio").create_memory_object_stream
        process = await start_program(
            self._command,
            environment={**stdio.get_default_environment(), **self._environment},
            folder=self._folder,
            longest_line=MAX_LINE_BYTES,
        )
        heard, hears = streams(0)
        says, said = streams(0)
        tasks = [
            asyncio.create_task(self._hear(process, heard)),
            asyncio.create_task(self._say(process, said, heard)),
            asyncio.create_task(self._note(process)),
        ]
        try:
            yield hears, says
        finally:
            try:
                says.close()
                hears.close()
                await self._let_end(process)
                kill_group(process)
                await asyncio.wait(tasks, timeout=_LAST_WORDS)
            finally:
                for task in tasks:
                    task.cancel()
                await end_group(process)
                await asyncio.gather(*tasks, return_exceptions=True)
                heard.close()
                said.close()

    async def _hear(self, process: asyncio.subprocess.Process, heard: Any) -> None:
        """Pass on each line; the connection is closed when no more come, or one that nobody may send."""
        message = import_module("mcp.shared.message").SessionMessage
        types = import_module("mcp.types")
        adapter = getattr(types, "jsonrpc_message_adapter", None)  # missing in version 1 of the library
        read = adapter.validate_json if adapter else types.JSONRPCMessage.model_validate_json
        anyio = import_module("anyio")
        assert process.stdout is not None
        try:
            with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, OSError), heard:
                while line := await _line(process.stdout):
                    if _values_in(line) > _MOST_VALUES:
                        raise _TooMuchError(f"a message with more than {_MOST_VALUES} values")
                    try:
                        said = message(read(line, by_name=False))
                    except ValueError as error:  # the session says what it makes of it
                        said = error
                    await heard.send(said)
        except _TooMuchError as error:
            self.fault = f"wrote {error}"
            kill_group(process)
        while await process.stdout.read(_CHUNK):  # so that it does not wait for a reader instead of ending
            pass

    async def _say(self, process: asyncio.subprocess.Process, said: Any, heard: Any) -> None:
        assert process.stdin is not None
        try:
            async with said:
                async for item in said:
                    process.stdin.write(
                        item.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
                    )
                    await process.stdin.drain()
        except OSError:  # it reads no more: nobody would answer
            heard.close()

    async def _note(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(_CHUNK):
            self.complaint = (self.complaint + chunk.decode(errors="replace"))[-_SHOWN:]

    async def _let_end(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        process.stdin.close()
        for ask in (process.terminate, None):
            with suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await process.wait()
                return
            if ask is not None:
                with suppress(ProcessLookupError):
                    ask()


def _values_in(line: bytes) -> int:
    """Values in a line of JSON, about: a text full of commas is one value."""
    if line.count(b",") + line.count(b"[") <= _MOST_VALUES:
        return 0
    structure = _STRING.sub(b"", line)
    return structure.count(b",") + structure.count(b"[")


class _TooMuchError(Exception):
    """More than anybody keeps."""


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line; empty at the end."""
    try:
        return await stream.readline()
    except ValueError:
        raise _TooMuchError(f"a line of more than {MAX_LINE_BYTES} bytes") from None
