"""A server with its workers: in a thread of this process, or in processes of their own.

Workers have an event loop of their own, so an agent that blocks stops no request. In processes they have an
environment of their own as well: what definitions may use, and nothing else of the server's.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI

from duologue.config.own_variables import HELD, OWN_VARIABLES
from duologue.config.processes import end_group, environment_with, track
from duologue.context import SystemClock
from duologue.errors import ConfigurationError, MissingExtraError
from duologue.frozen import changed, frozen
from duologue.runs.processor import STOP_TIMEOUT, RunProcessor
from duologue.runs.project_access import UsualPolicy
from duologue.runs.store.database.engine import Database
from duologue.runs.tokens import ApiTokens
from duologue.server.app import create_app
from duologue.server.origins import is_loopback
from duologue.server.pages.voice import MOST_MESSAGE
from duologue.server.settings import ServerSettings, opened_store

try:
    import uvicorn
except ImportError as error:  # pragma: no cover - what a user without the extra sees
    raise MissingExtraError("the service", "server", "uvicorn") from error

try:
    import httptools
except ImportError:  # pragma: no cover - the parser in Python is slower
    httptools = None

logger = logging.getLogger("duologue.server")
PORT = 8642
_PASSED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TEMP", "TMP", "SSL_CERT_FILE", "SSL_CERT_DIR", "USER")
"""Variables that programs need to work, beside the path."""
_UNHEARD = 120
"""Seconds after which a connection is ended whose other side takes nothing of what it is sent."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
"""Seconds before a worker process that has died is started again."""


@frozen
class ServeOptions:
    """How a server is run.

    Attributes:
        settings: of the application.
        host, port: where it listens; port 0 for a free one.
        workers: worker processes; 0 for a thread of this process, None for no workers at all.
        concurrency: runs at once of each worker; None for what the project says.
        grace: seconds that runs and requests under way may take once the server is stopped.
    """

    settings: ServerSettings
    host: str = "127.0.0.1"
    port: int = PORT
    workers: int | None = 0
    concurrency: int | None = None
    grace: float = STOP_TIMEOUT


@dataclass(kw_only=True, eq=False)
class Serving:
    """A server that is running.

    Attributes:
        store: what it serves.
        url: where it answers.
        app: the application.
        token_required: whether every request needs a token.
    """

    store: str
    url: str
    app: FastAPI
    token_required: bool
    _server: _Uvicorn
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """It is to be stopped, or the server has failed."""
    hurried: asyncio.Event = field(default_factory=asyncio.Event)
    """Nothing is waited for any more."""

    def stop(self) -> None:
        """Take no more requests, end streams, and let what is under way finish. Once more: wait for nothing."""
        if self.over.is_set():
            self.hurried.set()
            self._server.force_exit = True
        self.end()

    def end(self) -> None:
        """Take no more requests, and end streams."""
        self.over.set()
        self.app.state.shared.stopping.set()
        self._server.should_exit = True


class _Uvicorn(uvicorn.Server):
    """The server, whose signals are ours."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """See the base class."""
        yield


@asynccontextmanager
async def serving(options: ServeOptions) -> AsyncGenerator[Serving]:
    """Run a server and its workers in this block. It listens when the block begins; it is stopped at its end.

    Raises:
        ConfigurationError: it may not listen there without a token, or cannot.
        StoreError: the store cannot be used.
    """
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(opened_store(options.settings))
        required = await _token_required(options, database)
        settings = changed(options.settings, store=database, token_required=required)
        policy = UsualPolicy(
            variables=settings.allowed_variables,
            private_addresses=settings.allow_private_addresses,
            guarded=required,
        )
        listener = stack.enter_context(_listener(options.host, options.port))
        app = create_app(settings)
        server = _Uvicorn(
            uvicorn.Config(
                app,
                http="httptools" if httptools is not None else "h11",
                ws=_sockets(),
                ws_max_size=MOST_MESSAGE,
                ws_per_message_deflate=False,
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=max(1, round(options.grace)),
            )
        )
        serve = asyncio.create_task(server.serve(sockets=[listener]), name="duologue-server")
        await _started(server, serve)
        running = Serving(
            store=str(database.address),
            url=_url(options.host, listener),
            app=app,
            token_required=required,
            _server=server,
        )
        serve.add_done_callback(lambda _: running.over.set())
        try:
            async with _workers(options, database, policy, running):
                yield running
                running.end()
        finally:
            server.should_exit = True
            app.state.shared.stopping.set()
            await asyncio.wait({serve})


def _sockets() -> Any:
    """What answers WebSockets: nothing where the package for them, of the extra ``voice``, is not installed."""
    if find_spec("websockets") is None:
        return "none"
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    class Sockets(WebSocketsSansIOProtocol):
        """Knows that a handshake that was refused is complete, and is no mistake to be logged."""

        async def send(self, message: Any) -> None:
            """See the base class."""
            await super().send(message)
            if message["type"] == "websocket.http.response.body":
                self.handshake_complete = True

    return Sockets


async def _started(server: uvicorn.Server, serve: asyncio.Task[None]) -> None:
    clock = SystemClock()
    while not server.started:
        if serve.done():
            error = serve.exception()
            raise error if error is not None else ConfigurationError("the server could not be started; see its log")
        await clock.sleep(0.005)


async def _token_required(options: ServeOptions, database: Database) -> bool:
    """Whether requests need a token: elsewhere than on this machine always, and then there has to be one.

    Raises:
        ConfigurationError: the address may not be served like that.
    """
    there_is_one = await ApiTokens(database).any_token()
    if is_loopback(options.host.lower()):
        required = options.settings.token_required
        return there_is_one if required is None else required
    if options.settings.token_required is False:
        raise ConfigurationError(f"{options.host} is not this machine only: it is not served without tokens")
    if not there_is_one:
        raise ConfigurationError(
            f"{options.host} is not this machine only, and the store has no token, so nobody could be told apart. "
            "Make one first: duologue tokens create NAME --scope admin"
        )
    return True


@contextmanager
def _listener(host: str, port: int) -> Generator[socket.socket]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, address = found[0][0], found[0][4]
        listener = socket.create_server(address[:2], family=family, backlog=2048)
        _set_options(listener)
    except OSError as error:
        told = error.strerror or str(error)
        raise ConfigurationError(f"{host}:{port} cannot be listened to: {told}. Choose another --port") from error
    with listener:
        yield listener


def _set_options(listener: socket.socket) -> None:
    """Options that connections take over from it."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else an answer of two parts waits for 40 ms
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # else whoever receives nothing any more keeps a connection for ever
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNHEARD * 1000)


def _url(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"


# Workers


@asynccontextmanager
async def _workers(
    options: ServeOptions, database: Database, policy: UsualPolicy, running: Serving
) -> AsyncGenerator[None]:
    if options.workers is None:
        yield
    elif options.workers == 0:
        async with _worker_thread(options, database, policy, running):
            yield
    else:
        processes = [_WorkerProcess(options, database, policy, running) for _ in range(options.workers)]
        tasks = [asyncio.create_task(item.keep(), name="duologue-worker-process") for item in processes]
        try:
            yield
        finally:
            await asyncio.gather(*(item.stop() for item in processes))
            await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def _worker_thread(
    options: ServeOptions, database: Database, policy: UsualPolicy, running: Serving
) -> AsyncGenerator[None]:
    """A worker in a thread, with an event loop of its own."""
    processor = RunProcessor(
        database,
        max_concurrent=options.concurrency,
        stop_timeout=options.grace,
        policy=changed(policy, own_code=False),
    )
    begun: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def work() -> None:
        over = asyncio.Event()
        try:
            await processor.start()
        except BaseException as error:
            begun.set_exception(error)
            raise
        begun.set_result((asyncio.get_running_loop(), over))
        await over.wait()
        await processor.stop()

    ended = asyncio.create_task(asyncio.to_thread(_run_loop, work))
    loop, over = await asyncio.wrap_future(begun)
    hurried = asyncio.create_task(running.hurried.wait())
    try:
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        await asyncio.wait({hurried, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            asyncio.run_coroutine_threadsafe(processor.stop(0.0), loop)
        hurried.cancel()
        await ended


def _run_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with suppress(Exception):  # what has kept it from beginning was told; what ends it is in the log
        asyncio.run(work())


class _WorkerProcess:
    """A worker in a process of its own, which is started again when it dies."""

    def __init__(self, options: ServeOptions, database: Database, policy: UsualPolicy, running: Serving) -> None:
        self._options = options
        self._command = _worker_command(options, policy)
        self._environment, held = worker_environment(database, policy)
        self._given = json.dumps(held).encode() + b"\n"
        self._running = running
        self._process: Process | None = None
        self._stopping = False

    async def keep(self) -> None:
        """Keep one running."""
        pause, clock = _FIRST_PAUSE, SystemClock()
        while not self._stopping:
            began = clock.monotonic()
            self._process = process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,  # it ends when this process does
                env=self._environment,
                start_new_session=True,
            )
            track(process)
            assert process.stdin is not None
            process.stdin.write(self._given)
            code = await process.wait()
            if self._stopping:
                return
            pause = _FIRST_PAUSE if clock.monotonic() - began > _LONGEST_PAUSE else min(2 * pause, _LONGEST_PAUSE)
            logger.error("a worker has ended with code %s, and is started again in %.1f s", code, pause)
            await clock.sleep(pause)

    async def stop(self) -> None:
        """Let its runs finish or give them back, and end it."""
        self._stopping = True
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        waiting = asyncio.create_task(process.wait())
        hurried = asyncio.create_task(self._running.hurried.wait())
        await asyncio.wait({waiting, hurried}, timeout=self._options.grace + 15.0, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            with suppress(ProcessLookupError):
                process.terminate()  # the second time it waits for nothing
            await asyncio.wait({waiting}, timeout=10.0)
        hurried.cancel()
        await end_group(process)


def _worker_command(options: ServeOptions, policy: UsualPolicy) -> list[str]:
    command = [sys.executable, "-m", "duologue", "worker", "--quiet", "--with-parent", "--grace", str(options.grace)]
    if options.concurrency is not None:
        command += ["--concurrency", str(options.concurrency)]
    command += ["--guarded" if policy.guarded else "--not-guarded"]
    if policy.private_addresses is not None:
        command += ["--allow-private-addresses" if policy.private_addresses else "--no-allow-private-addresses"]
    for name in policy.variables or ():
        command += ["--allow-env", name]
    return command


def worker_environment(database: Database, policy: UsualPolicy) -> tuple[dict[str, str], dict[str, str]]:
    """The environment of a worker process, and what it is given beside it, which code in it does not find there.

    The environment is all of this one's only if definitions may use that.
    """
    held = {name: OWN_VARIABLES[name] for name in HELD if name in OWN_VARIABLES}
    held["DUOLOGUE_DATABASE_URL"] = database.address.url or str(database.address.path)
    if policy.variables is None and not policy.guarded:
        return {**os.environ, "DUOLOGUE_DATABASE_URL": held["DUOLOGUE_DATABASE_URL"]}, held
    hidden = {*HELD, "DUOLOGUE_API_TOKEN"}
    own = {
        name: value
        for name, value in os.environ.items()
        if (name.startswith("DUOLOGUE_") and name not in hidden) or name in _PASSED
    }
    shown = {**environment_with(policy.variables or ()), **own}
    shown["PYTHONPATH"] = os.pathsep.join(item for item in sys.path if item)
    shown["DUOLOGUE_ENV_FILE"] = ""  # else it would read the file .env of this folder into its environment
    return shown, held
