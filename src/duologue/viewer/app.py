"""The routes of ``duologue view``: small and read-only, but for labels."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from duologue import web
from duologue.config.files import home_path
from duologue.errors import DuologueError, MissingExtraError
from duologue.journal.artifacts import is_harmless
from duologue.reports.html.changes import changes_between
from duologue.reports.html.overview import inside
from duologue.reports.html.search import Searches
from duologue.reports.html.timeline import timeline_of
from duologue.viewer.execution import Opened
from duologue.viewer.first_requests import first_requests
from duologue.viewer.labels import LabelFile
from duologue.viewer.library import BROKEN, Library
from duologue.viewer.live import events, watched

try:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import FileResponse, Response, StreamingResponse
    from starlette.routing import Route

    from duologue.viewer.guard import LocalOnly
except ImportError as error:  # pragma: no cover - what a user without the extra sees
    raise MissingExtraError("the viewer", "view", "starlette") from error

Json = dict[str, Any]
_LONGEST_BODY = 100_000
Answer = Callable[[Request], Awaitable[Response]]


class NotHere(DuologueError):
    """What was asked for is not there."""


class Routes:
    """Answers to what pages ask.

    Args:
        library: of executions.
    """

    def __init__(self, library: Library) -> None:
        self._library = library
        self._searches = Searches()
        self.stopping = asyncio.Event()

    def table(self) -> list[Route]:
        """All routes."""
        answers: dict[str, Callable[[Request], Any]] = {
            "executions": self._executions,
            "execution": self._execution,
            "matrix": self._matrix,
            "change": self._change,
            "figures": self._figures,
            "runs": self._runs,
            "run": self._run,
            "trials": self._trials,
            "calls": self._calls,
            "compare": self._compare,
            "trend": self._trend,
            "labels": self._labels,
        }
        return [
            *(Route(f"/api/{name}", _json(answer)) for name, answer in answers.items()),
            Route("/api/labels", _json(self._set_label), methods=["POST"]),
            Route("/api/media", self._media),
            Route("/api/events", self._events),
            Route("/api/{rest:path}", _json(_no_route), methods=["GET", "POST"]),
            Route("/static/{name}", _static),
            Route("/{path:path}", self._frame),
        ]

    def _opened(self, request: Request) -> tuple[str, Opened]:
        key = request.query_params.get("id", "")
        if self._library.folder(key) is None:
            raise NotHere("There are no results of that name in this folder.")
        try:
            return key, self._library.open(key)
        except FileNotFoundError as error:
            raise NotHere("These results have been removed.") from error

    def _executions(self, request: Request) -> Json:
        asked = request.query_params
        cursor = watched(self._library, None, None)()
        words, suite, state = (asked.get(name, "") for name in ("q", "suite", "state"))
        rows = self._library.rows(words, suite, state)
        offset, limit = _number(asked.get("offset"), 0), _number(asked.get("limit"), 100)
        return {
            "rows": rows[offset : offset + min(limit, 1000)],
            "total": len(rows),
            "all": len(self._library.rows()) if words or suite or state else len(rows),
            "suites": self._library.suites(),
            "left": self._library.left,
            "ready": self._library.ready,
            "folder": home_path(self._library.root),
            "cursor": cursor,
        }

    def _execution(self, request: Request) -> Json:
        cursor = watched(self._library, request.query_params.get("id", ""), None)()  # before it is read
        key, opened = self._opened(request)
        return {**opened.data(), "key": key, "folder": home_path(opened.folder), "cursor": cursor}

    def _change(self, request: Request) -> Json:
        """What changed since the execution of the suite before this one."""
        key, opened = self._opened(request)
        row = self._library.before(key)
        if row is None:
            return {"before": None}
        try:
            before = self._library.open(row["id"])
            found = changes_between(before.overview, opened.overview)
        except BROKEN:
            return {"before": None}
        return {"before": {name: row[name] for name in ("id", "name", "started", "rate", "commit")}, **found}

    def _matrix(self, request: Request) -> list[Json]:
        _, opened = self._opened(request)
        offset, limit = _number(request.query_params.get("offset"), 0), _number(request.query_params.get("limit"), 400)
        return opened.overview.rows()[offset : offset + min(limit, 1000)]

    def _figures(self, request: Request) -> Json:
        _, opened = self._opened(request)
        return {"agents": opened.details.agents}

    def _runs(self, request: Request) -> Json:
        asked = request.query_params
        _, opened = self._opened(request)
        offset, limit = _number(asked.get("offset"), 0), _number(asked.get("limit"), 100)
        return opened.page(
            asked.get("filter", ""), self._searches, offset, limit, asked.get("around"), further="further" in asked
        )

    def _run(self, request: Request) -> Json:
        key, opened = self._opened(request)
        run_id = request.query_params.get("run", "")
        found = opened.run(run_id, lambda path: f"/api/media?{urlencode({'id': key, 'path': path})}")
        if found is None:
            raise NotHere("This execution has no run of that name.")
        return found

    def _trials(self, request: Request) -> Json:
        _, opened = self._opened(request)
        try:
            return opened.overview.trials_of(request.query_params.get("run", ""))
        except KeyError:
            return {"passRate": None, "runs": []}

    def _calls(self, request: Request) -> list[Json]:
        _, opened = self._opened(request)
        journal = opened.journal(request.query_params.get("run", ""))
        return timeline_of(journal) if journal is not None else []

    def _compare(self, request: Request) -> Json:
        from duologue.runs.store.reader import find_execution
        from duologue.suites.comparison import compare_executions

        asked = request.query_params
        folders = [self._library.folder(asked.get(name, "")) for name in ("first", "second")]
        agents = asked.get("firstAgent") or None, asked.get("secondAgent") or None
        first, second = folders
        if first is None or second is None:
            raise NotHere("There are no results of that name in this folder.")
        before, after = (find_execution(folder).execution for folder in (first, second))
        return compare_executions(before, after, agents=agents, most_flips=30).as_data()

    def _trend(self, request: Request) -> Json:
        rows = self._library.rows(suite=request.query_params.get("suite", ""))
        return {"rows": [row for row in rows if row["totals"]["runs"]][:500][::-1], "total": len(rows)}

    def _labels(self, request: Request) -> Json:
        _, opened = self._opened(request)
        return LabelFile(opened.folder).data(opened, request.query_params.get("rater", ""))

    async def _set_label(self, request: Request) -> Json:
        _, opened = self._opened(request)
        given: Any = json.loads(await _body(request))
        return await asyncio.to_thread(LabelFile(opened.folder).give, given)

    async def _frame(self, request: Request) -> Response:
        """The frame of every page; what a page asks for first stands in it."""
        data = first_requests(request.scope["raw_path"].decode("latin-1"), request.url.query, self._library.folder)
        return Response(web.app_page("view.js", data), media_type="text/html; charset=utf-8")

    async def _media(self, request: Request) -> Response:
        folder = self._library.folder(request.query_params.get("id", ""))
        place = inside(request.query_params.get("path"))
        path = await asyncio.to_thread(_media_file, folder, place)
        if path is None:
            return Response("There is no such file.", status_code=404, media_type="text/plain")
        return FileResponse(path, headers={"Content-Security-Policy": "default-src 'none'; sandbox"})

    async def _events(self, request: Request) -> Response:
        asked = request.query_params
        key = asked.get("id")
        if request.method == "HEAD":  # whose answer would never end
            return Response(media_type="text/event-stream")
        look = watched(self._library, key, asked.get("run"))
        since = request.headers.get("last-event-id") or asked.get("since")
        stream = events(look, since, self.stopping)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST_BODY:
            raise ValueError(f"what was sent is longer than {_LONGEST_BODY} bytes")
    return body


def _media_file(folder: Path | None, place: Any) -> Path | None:
    if folder is None or place is None or not is_harmless(place.name):
        return None
    try:
        path = (folder / place).resolve()
        return path if path.is_relative_to(folder.resolve()) and path.is_file() else None
    except OSError:  # a name that no file can have
        return None


def _json(answer: Callable[[Request], Any]) -> Answer:
    async def answered(request: Request) -> Response:
        try:
            if inspect.iscoroutinefunction(answer):
                found = await answer(request)
            else:
                found = await asyncio.to_thread(answer, request)
            body, status = await asyncio.to_thread(_encoded, found), 200
        except NotHere as error:
            body, status = _encoded({"detail": str(error)}), 404
        except BROKEN as error:
            body, status = _encoded({"detail": str(error) or type(error).__name__}), 422
        return Response(body, status_code=status, media_type="application/json")

    return answered


def _encoded(value: object) -> bytes:
    from duologue.runs.store.encoding import encoded

    return encoded(value)


def _no_route(request: Request) -> Json:
    raise NotHere(f"There is nothing at {request.url.path}.")


def _number(written: str | None, otherwise: int) -> int:
    return max(0, int(written)) if written and written.isdecimal() and len(written) < 10 else otherwise


async def _static(request: Request) -> Response:
    version, known = request.query_params.get("v"), request.headers.get("if-none-match")
    found = web.static_answer(request.path_params["name"], version=version, known=known)
    if found is None:
        return Response("There is no such file.", status_code=404, media_type="text/plain")
    return Response(found.content, status_code=found.status, headers=found.headers)


def create_app(library: Library) -> Starlette:
    """The application.

    Args:
        library: what it shows; it is started with the application and closed with it.
    """
    routes = Routes(library)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None]:
        library.start()
        app.state.stopping = routes.stopping
        try:
            yield
        finally:
            routes.stopping.set()
            await asyncio.to_thread(library.close)

    return Starlette(routes=routes.table(), middleware=[Middleware(LocalOnly)], lifespan=lifespan)
