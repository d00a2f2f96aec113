"""One connection to a server of tools in the Model Context Protocol (extra ``mcp``).

The library wants a connection closed by the task that opened it, so each has a task of its own: it opens the
connection, keeps it while it is used, and closes it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from importlib import import_module
from typing import Any, cast

from duologue.agents.tools.call import OnClose, Result, ToolFault, ToolUnreachable, seconds_of
from duologue.agents.tools.mcp_stdio import McpProgram
from duologue.agents.tools.single_flight import SingleFlight
from duologue.agents.tools.web import headers_of
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.redaction import redacted, without_values
from duologue.errors import ConfigurationError, DuologueError, MissingExtraError
from duologue.http import Limits, bound, to_public_address, written_url
from duologue.messages import ContentPart, JsonValue, media_part
from duologue.specs.agent_definition import ToolSource
from duologue.specs.suite import McpServer

_CONNECTION_CLOSED = -32000
"""The code by which the library says that the server is gone."""
_SHOWN = 300
_MOST_PAGES = 100
_PATIENCE = 10.0
"""Seconds that a connection may take to close; the library needs up to seven for a program."""
_MOST_STREAMED = 100 * 1024 * 1024
"""Bytes of one stream of events, which lasts as long as the connection."""
_MOST_LINES = 1_000_000
_MOST_VALUES = 100_000
"""Values in one answer. The library takes long to say what is wrong with each."""
_SILENCE = logging.NullHandler()


class McpConnection:
    """A server: started when it is first needed, and again after it has died; ended with the toolbox.

    Args:
        server: how it is reached.
        suite: has its folder.
        on_close: has it closed.
        trust_private: whether its URL may lead to loopback and private addresses.
    """

    def __init__(self, server: McpServer, suite: ToolSource, on_close: OnClose, *, trust_private: bool = True) -> None:
        self._http = partial(_bounded_client, trust_private)
        self.name = server.name
        self._server = server
        self._suite = suite
        self._on_close = on_close
        self._seconds = seconds_of(server.timeout_ms)
        self._starts = SingleFlight()
        self._client: Any = None
        self._tools: dict[str, dict[str, Any]] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._finished = asyncio.Event()
        self._secrets: tuple[str, ...] = ()
        self._program: McpProgram | None = None
        self._promised = False

    async def tools(self) -> dict[str, dict[str, Any]]:
        """The tools that it offers, as it describes them, by name.

        Raises:
            ToolUnreachable: it cannot be reached, or does not start.
            ConfigurationError: it cannot be reached as the suite says.
            MissingExtraError: the extra ``mcp`` is not installed.
        """
        await self._connected()
        return self._tools

    async def call(self, tool: str, arguments: dict[str, JsonValue], timeout_ms: int | None) -> Result:
        """Call a tool. Raises what :meth:`tools` raises, and ToolFault for whatever goes wrong."""
        client = await self._connected()
        seconds = seconds_of(timeout_ms, self._server.timeout_ms)
        library = import_module("mcp")
        errors = library.McpError if hasattr(library, "McpError") else library.MCPError
        try:
            async with asyncio.timeout(seconds):
                answer = await client.call_tool(tool, arguments)
        except TimeoutError as error:
            raise self._fault(f"timed out: '{tool}' did not answer within {seconds:g} s") from error
        except errors as error:
            if error.error.code != _CONNECTION_CLOSED:
                raise self._fault(f"answered with an error: {error}") from error
            raise await self._gone(client, error) from error
        except Exception as error:  # whatever a broken transport raises
            raise await self._gone(client, error) from error
        return _result_of(answer.model_dump(mode="json", by_alias=True, exclude_none=True), self._fault)

    async def aclose(self) -> None:
        """End it."""
        self._promised = False
        await self._end()

    async def _connected(self) -> Any:
        return await self._starts.get(lambda: self._client, self._start)

    async def _start(self) -> Any:
        if not self._promised:
            self._on_close(self.aclose, f"the MCP server '{self.name}'")
            self._promised = True
        server = self._server.expanded()
        ready: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._finished = asyncio.Event()
        self._keeper = asyncio.create_task(self._keep(server, ready, self._finished))
        try:
            async with asyncio.timeout(self._seconds):
                self._client, self._tools = await ready
                return self._client
        except TimeoutError as error:
            self._keeper.cancel()
            await self._end()
            raise self._unreachable(f"did not start within {self._seconds:g} s{_complaint(self._program)}") from error
        except asyncio.CancelledError:
            self._keeper.cancel()
            await self._end()
            raise

    async def _keep(self, server: McpServer, ready: asyncio.Future[Any], finished: asyncio.Event) -> None:
        """The life of the connection."""
        try:
            async with AsyncExitStack() as stack:
                client = await self._open(server, stack)
                tools = await self._listed(client)
                if not ready.done():
                    ready.set_result((client, tools))
                await finished.wait()
        except DuologueError as error:
            _tell(ready, error)
        except Exception as error:  # noqa: BLE001 - whatever the library and the transport raise
            _tell(
                ready, self._unreachable(f"does not start: {_cause(self._program, error)}{_complaint(self._program)}")
            )
        finally:
            ready.cancel()

    async def _open(self, server: McpServer, stack: AsyncExitStack) -> Any:
        # The library logs what this class tells as an error of the call. Who wants to read it sets up logging.
        logging.getLogger("mcp").addHandler(_SILENCE)
        library = _library("mcp")
        transport = await self._transport(server, stack)
        if hasattr(library, "Client"):
            return await stack.enter_async_context(library.Client(transport))
        # Version 1 of the library leaves it to its callers to take streams and to introduce themselves.
        read, write, *_ = await stack.enter_async_context(transport)
        session = await stack.enter_async_context(library.ClientSession(read, write))
        await session.initialize()
        return session

    async def _transport(self, server: McpServer, stack: AsyncExitStack) -> Any:
        if server.source is not None:
            raise ConfigurationError(
                f"the MCP server '{self.name}' is to come from the source '{server.source}', and there are no sources; "
                "give its command or url"
            )
        if server.scope in {"run", "scenario"}:
            raise ConfigurationError(
                f"the MCP server '{self.name}' is to live as long as one {server.scope}, and servers live as long as "
                "the execution; remove its scope"
            )
        if server.command is not None:
            return self._started(server)
        headers, secrets = headers_of(self._server.headers)
        self._secrets = tuple(secrets)
        url = server.url or ""
        if server.transport == "sse" or (server.transport is None and url.rstrip("/").endswith("/sse")):
            library = _library("mcp.client.sse")
            return library.sse_client(url, headers=headers, timeout=self._seconds, httpx_client_factory=self._http)
        library = _library("mcp.client.streamable_http")
        client = await stack.enter_async_context(self._http(headers=headers))
        return library.streamable_http_client(url, http_client=client)

    def _started(self, server: McpServer) -> Any:
        folder = self._suite.path(server.working_dir) if server.working_dir else self._suite.folder
        self._secrets = tuple(value for name, value in server.env.items() if "${" in self._server.env[name])
        self._program = McpProgram((server.command or "", *server.args), server.env, folder)
        return self._program.connected()

    async def _listed(self, client: Any) -> dict[str, dict[str, Any]]:
        """Every tool that it has and that the suite lets through."""
        tools: dict[str, dict[str, Any]] = {}
        cursor = None
        for _ in range(_MOST_PAGES):
            page = await client.list_tools(**_after(client, cursor))
            for tool in page.tools:
                data = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
                if self._let_through(data["name"]):
                    tools[data["name"]] = data
            cursor = page.model_dump(by_alias=True).get("nextCursor")
            if cursor is None:
                break
        return tools

    def _let_through(self, tool: str) -> bool:
        rule = self._server.tool_filter
        if rule is None:
            return True
        return tool not in rule.blocklist and (not rule.allowlist or tool in rule.allowlist)

    async def _gone(self, client: Any, error: Exception) -> ToolFault:
        """The server is gone: the next call starts it again."""
        program = self._program
        async with self._starts.lock:
            if self._client is client:
                await self._end()
        return self._fault(f"is gone: {_cause(program, error)}{_complaint(program)}")

    async def _end(self) -> None:
        self._client = None
        self._finished.set()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            done, _ = await asyncio.wait([keeper], timeout=_PATIENCE)
            if not done:  # such as a server at an address that does not answer the farewell
                keeper.cancel()
                await asyncio.wait([keeper], timeout=_PATIENCE)

    def _fault(self, what: str) -> ToolFault:
        return ToolFault(self._told(what))

    def _unreachable(self, what: str) -> ToolUnreachable:
        address = f" ({written_url(self._server.url)})" if self._server.url else ""
        return ToolUnreachable(self._told(f"{what}{address}"))

    def _told(self, what: str) -> str:
        return redacted(without_values(f"MCP server '{self.name}' {what}", self._secrets))


def _after(client: Any, cursor: str | None) -> dict[str, Any]:
    """The arguments that ask for the page at a cursor."""
    if cursor is None or not isinstance(client, import_module("mcp").ClientSession):
        return {"cursor": cursor} if cursor else {}
    return {"params": import_module("mcp.types").PaginatedRequestParams(cursor=cursor)}


def _bounded_client(trust_private: bool, /, **options: Any) -> Any:
    """An HTTP client of the library that keeps to limits. A stream of events lasts as long as the connection."""
    client = _library("mcp.shared._httpx_utils").create_mcp_http_client(**options)
    if not trust_private:
        client.event_hooks["request"].append(to_public_address)
    return bound(client, Limits(max_stream_bytes=_MOST_STREAMED, max_lines=_MOST_LINES, max_values=_MOST_VALUES))


def _library(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError("an MCP server of a suite", "mcp", "mcp") from error


def _tell(ready: asyncio.Future[Any], error: Exception) -> None:
    if not ready.done():
        ready.set_exception(error)


def _cause(program: McpProgram | None, error: Exception) -> str:
    """Why the connection is closed: what a program did, or else what the library says."""
    return program.fault if program and program.fault else _shown(error)


def _complaint(program: McpProgram | None) -> str:
    """The last that a program has written to its standard error."""
    text = program.complaint.strip() if program else ""
    return f"; it wrote: {text}" if text else ""


def _shown(error: BaseException) -> str:
    """What went wrong, at the bottom of a group of errors."""
    inner: BaseException | None = error
    while isinstance(inner, BaseExceptionGroup):
        error = cast("BaseException", inner)
        inner = next(iter(cast("BaseExceptionGroup[BaseException]", inner).exceptions), None)
    return f"{type(inner or error).__name__}: {inner or error}"[:_SHOWN]


def _result_of(answer: dict[str, Any], fault: Callable[[str], ToolFault]) -> Result:
    """The result in a server's answer.

    Args:
        answer: ``content``, ``structuredContent`` and ``isError`` of the protocol.
        fault: makes the error of a call that did not work.

    Raises:
        ToolFault: the tool says that it did not work.
    """
    content = cast("list[dict[str, Any]]", answer.get("content") or [])
    texts = [text for item in content if (text := _text(item)) is not None]
    parts = tuple(part for item in content if (part := _media(item)) is not None)
    if answer.get("isError"):
        raise fault(f"answered with an error: {' '.join(texts) or 'it does not say which'}")
    if not texts and "structuredContent" in answer:
        return Result(value=answer["structuredContent"], parts=parts)
    return Result(value=_value("\n".join(texts)), parts=parts)


def _value(text: str) -> JsonValue:
    """JSON if the text is an object or an array, else the text."""
    if text.lstrip()[:1] not in {"{", "["}:
        return text
    try:
        return json_value(text, constants=True)
    except NoJsonError:
        return text


def _text(item: dict[str, Any]) -> str | None:
    if item.get("type") == "text":
        return str(item.get("text", ""))
    if item.get("type") == "resource":
        return item.get("resource", {}).get("text")
    return str(item.get("uri")) if item.get("type") == "resource_link" else None


def _media(item: dict[str, Any]) -> ContentPart | None:
    inner = item.get("resource", {}) if item.get("type") == "resource" else item
    data = inner.get("blob") or inner.get("data")
    mime = str(inner.get("mimeType") or "application/octet-stream")
    return media_part(mime, data=data, facts={"mime_type": mime}) if isinstance(data, str) else None
