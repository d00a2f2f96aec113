"""What is recorded of a run: its journal as JSON lines, its transcript, the model calls, and its artifacts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Path, Query, Request
from sqlalchemy import Connection, select
from starlette.responses import Response

from duologue.config.patterns import late
from duologue.errors import NotFoundError
from duologue.journal.artifacts import Artifact
from duologue.journal.events import MessageAdded
from duologue.runs.store.database.journal_events import JournalEvent, recorded_events
from duologue.runs.store.database.journals import Journals
from duologue.runs.store.database.schema import artifacts, runs
from duologue.server.auth import Caller, Reader
from duologue.server.downloads import ArtifactDownload
from duologue.server.events.stream import place_after
from duologue.server.idempotency import routes as routes_of_group
from duologue.server.paging import PageOf, Paging, page_of
from duologue.server.preconditions import answer
from duologue.server.routes.runs import RunId
from duologue.server.schemas.records import ArtifactAnswer, ModelCallAnswer, TranscriptAnswer

routes = routes_of_group("records")
LINES = "application/jsonl"
_DIGEST = late(r"[0-9a-f]{64}")
_BEGINNING = (0, -1)


@routes.get(
    "/runs/{run_id}/journal",
    operation_id="get_run_journal",
    response_class=Response,
    responses={200: {"description": "An event a line", "content": {LINES: {"schema": {"type": "string"}}}}},
)
async def get_run_journal(
    request: Request,
    caller: Reader,
    run_id: RunId,
    after: Annotated[str | None, Query(max_length=60, description="Id of the last event that is known.")] = None,
    attempt: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only this attempt. Default: all.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Events of a page.")] = 200,
) -> Response:
    """The events of a run as JSON lines, as far as they are recorded. The header ``Link`` names the next page.

    An event has its ``attempt`` and its number in it, ``seq``; both together are its id, such as ``1.17``.
    """
    await _require_run(caller, run_id)
    place = place_after(request, after, 2)
    known = (place[0], place[1]) if place is not None else _BEGINNING
    # A line has an event at least, but for the first one, of which all may be known.
    found = await recorded_events(caller.state.database, run_id, known, limit=limit + 2, attempt=attempt)
    shown = found[:limit]
    lines = b"".join(_line(event) for event in shown)
    headers: dict[str, str] = {"Cache-Control": "no-store"}
    if len(found) > limit:
        more = {"after": f"{shown[-1].attempt}.{shown[-1].seq}", "limit": limit}
        more |= {} if attempt is None else {"attempt": attempt}
        more |= {name: request.query_params[name] for name in ("project",) if name in request.query_params}
        headers["Link"] = f'</api/v1/runs/{quote(run_id, safe="")}/journal?{urlencode(more)}>; rel="next"'
    return Response(lines, headers=headers, media_type=LINES)


@routes.get("/runs/{run_id}/transcript", operation_id="get_run_transcript", response_model=TranscriptAnswer)
async def get_run_transcript(request: Request, caller: Reader, run_id: RunId) -> Response:
    """The conversation so far with what is known about each message, from the newest attempt."""
    await _require_run(caller, run_id)
    journals = Journals(caller.state.database, caller.state.artifacts)
    attempts = await journals.attempts(run_id)
    messages: list[dict[str, Any]] = []
    if attempts:
        view = (await journals.read(run_id, attempt=attempts[-1])).view
        names = [participant.name for participant in view.started.participants] if view.started is not None else []
        messages = [_said(item, names) for item in view.records]
    return answer({"run_id": run_id, "attempt": attempts[-1] if attempts else 0, "messages": messages}, request)


@routes.get("/runs/{run_id}/model-calls", operation_id="list_model_calls", response_model=PageOf[ModelCallAnswer])
async def list_model_calls(request: Request, caller: Reader, wanted: Paging, run_id: RunId) -> Response:
    """The calls of language models that a run has made, of all attempts, in their order."""
    await _require_run(caller, run_id)
    place = wanted.pair() or _BEGINNING
    calls: list[JournalEvent] = []
    while len(calls) < wanted.fetched:
        found = await recorded_events(caller.state.database, run_id, place)
        if not found:
            break
        calls += [event for event in found if event.data.get("type") == "model_called"]
        place = (found[-1].attempt, found[-1].seq)
    return answer(page_of(calls[: wanted.fetched], wanted, _key, _call), request)


@routes.get("/runs/{run_id}/artifacts", operation_id="list_run_artifacts", response_model=PageOf[ArtifactAnswer])
async def list_run_artifacts(request: Request, caller: Reader, wanted: Paging, run_id: RunId) -> Response:
    """The pictures, recordings and other files that belong to a run, by their digests."""
    number, after = await _require_run(caller, run_id), wanted.text()
    asked = select(artifacts.c.sha256, artifacts.c.mime_type, artifacts.c.size).where(artifacts.c.run == number)
    if after is not None:
        asked = asked.where(artifacts.c.sha256 > after)
    asked = asked.order_by(artifacts.c.sha256).limit(wanted.fetched)
    found = await caller.state.database.read(
        lambda connection: [dict(row) for row in connection.execute(asked).mappings()]
    )
    return answer(page_of(found, wanted, _digest_of, dict), request)


@routes.get(
    "/runs/{run_id}/artifacts/{sha256}",
    operation_id="get_run_artifact",
    response_class=Response,
    responses={
        200: {"description": "The bytes", "content": {"application/octet-stream": {}}},
        206: {"description": "The part that the header Range asks for"},
        416: {"description": "There is no such part"},
    },
)
async def get_run_artifact(
    request: Request,
    caller: Reader,
    run_id: RunId,
    sha256: Annotated[str, Path(min_length=64, max_length=64, description="Digest of the bytes.")],
) -> Response:
    """Download an artifact, whole or in part. A type that could hold a program is answered as plain bytes."""
    number = await _require_run(caller, run_id)
    asked = select(artifacts.c.mime_type, artifacts.c.size).where(
        artifacts.c.run == number, artifacts.c.sha256 == sha256
    )
    row = await caller.state.database.read(lambda connection: connection.execute(asked).first())
    if row is None or not _DIGEST.fullmatch(sha256):
        raise NotFoundError(f'Run "{run_id}" has no artifact {sha256}')
    artifact = Artifact(sha256=sha256, size=row.size, mime_type=row.mime_type)
    if not await caller.state.artifacts.has(artifact):
        raise NotFoundError(f"the artifact {artifact} is missing in the artifact store of this service")
    return ArtifactDownload(caller.state.artifacts, artifact, request)


async def _require_run(caller: Caller, run_id: str) -> int:
    """The number of a run of the project.

    Raises:
        NotFoundError: there is none.
    """
    asked = select(runs.c.number).where(runs.c.id == run_id, runs.c.project_id == caller.project.id)

    def work(connection: Connection) -> int | None:
        return connection.execute(asked).scalar()

    found = await caller.state.database.read(work)
    if found is None:
        raise NotFoundError(f'Run with id "{run_id}" not found')
    return found


def _said(item: MessageAdded, names: Sequence[str]) -> dict[str, Any]:
    author = names[item.author] if item.author is not None and item.author < len(names) else None
    return {"id": item.message_id, "turn": item.turn, "author": author, "message": item.message, "cut": item.cut}


def _line(event: JournalEvent) -> bytes:
    data = {"attempt": event.attempt, **event.data}
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "backslashreplace") + b"\n"


def _key(event: JournalEvent) -> tuple[int, int]:
    return event.attempt, event.seq


def _digest_of(item: Mapping[str, Any]) -> Sequence[str]:
    return (item["sha256"],)


def _call(event: JournalEvent) -> Mapping[str, Any]:
    data = event.data
    defaults: dict[str, Any] = {"asker": "", "model": "", "turn": 0, "call": "", "seconds": 0.0, "attempts": 1}
    names = ("response", "usage", "cost", "error", "finish_reason")
    known = {name: data.get(name, otherwise) for name, otherwise in defaults.items()}
    return {
        "id": f"{event.attempt}.{event.seq}",
        **known,
        **{name: data.get(name) for name in names},
        "usage": data.get("usage") or {},
    }
