"""The APIs of voice platforms, as far as calls are listed: what is asked, and how an answer is read.

Retell (``POST /v3/list-calls``), Vapi (``GET /call``) and ElevenLabs (``GET /v1/convai/conversations``) list the newest
calls first. What differs is said here, and only here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol, cast
from urllib.parse import quote, urlencode

from duologue.config.problems import listed
from duologue.errors import ConfigurationError, PlatformError
from duologue.frozen import frozen
from duologue.runs.store.calls import LONGEST_CALL, PlatformCall
from duologue.transcripts.documents import is_shallow

PAGE = 100
"""Calls that are asked for at once."""
_LONGEST_ID = 300
_SCHEDULED = 31 * 24 * 3600.0
"""Seconds that a call which is planned may wait."""


@frozen
class ApiRequest:
    """A request for a page of calls, or for one call.

    Attributes:
        path: below the URL of the API, with its query.
        json: the body; None for none.
    """

    method: str
    path: str
    json: object = None


@frozen
class Page:
    """Some calls, the newest first.

    Attributes:
        cursor: what the next page is asked for with; None where the time of the last call does.
        more: there are older ones.
    """

    items: Sequence[object]
    cursor: str | None = None
    more: bool = False


class CallPlatform(Protocol):
    """A platform whose calls can be listed."""

    NAME: ClassVar[str]
    URL: ClassVar[str]
    KEY: ClassVar[str]
    """The environment variable that usually holds the key."""

    def headers(self, key: str) -> dict[str, str]:
        """Headers that show who asks."""
        ...

    def page(self, agent_id: str, low: float | None, high: float | None, cursor: str | None) -> ApiRequest:
        """The request for calls of an agent that began in a range of time, its ends included."""
        ...

    def read_page(self, body: object) -> Page:
        """What it answered. Raises PlatformError if that is no page."""
        ...

    def read_call(self, item: object) -> PlatformCall:
        """A call of a page. Raises ValueError, with the reason, if it cannot be read."""
        ...

    def details(self, call: PlatformCall) -> ApiRequest | None:
        """The request for what was said in a call; None if the page has said that."""
        ...


class Retell:
    """Calls of Retell."""

    NAME: ClassVar[str] = "retell"
    URL: ClassVar[str] = "https://api.retellai.com"
    KEY: ClassVar[str] = "RETELL_API_KEY"
    _SAID = ("transcript_with_tool_calls", "transcript_object", "transcript")

    def headers(self, key: str) -> dict[str, str]:
        """A bearer token."""
        return {"Authorization": f"Bearer {key}"}

    def page(self, agent_id: str, low: float | None, high: float | None, cursor: str | None) -> ApiRequest:
        """``POST /v3/list-calls``."""
        criteria: dict[str, Any] = {"agent": [{"agent_id": agent_id}]}
        if low is not None and high is not None:
            criteria["start_timestamp"] = {"type": "range", "op": "bt", "value": [_floor(low), _ceil(high)]}
        elif low is not None:
            criteria["start_timestamp"] = {"type": "number", "op": "ge", "value": _floor(low)}
        elif high is not None:
            criteria["start_timestamp"] = {"type": "number", "op": "le", "value": _ceil(high)}
        body: dict[str, Any] = {"filter_criteria": criteria, "sort_order": "descending", "limit": PAGE}
        if cursor is not None:
            body["pagination_key"] = cursor
        return ApiRequest(method="POST", path="/v3/list-calls", json=body)

    def read_page(self, body: object) -> Page:
        """``{items, has_more, pagination_key}``."""
        return _page("retell", body, items="items", cursor="pagination_key")

    def read_call(self, item: object) -> PlatformCall:
        """``{call_id, call_status, start_timestamp, …}``; times in milliseconds."""
        fields = _call_fields(item)
        began, ended = _number(fields.get("start_timestamp"), 1e-3), _number(fields.get("end_timestamp"), 1e-3)
        status = fields.get("call_status")
        return PlatformCall(
            id=_id(fields, "call_id"),
            position=began,
            started_at=began,
            seconds=_number(fields.get("duration_ms"), 1e-3) or _between(began, ended),
            is_over=status not in {"registered", "ongoing"},
            data=fields,
        )

    def details(self, call: PlatformCall) -> ApiRequest | None:
        """``GET /v2/get-call/ID``, where the list leaves the transcript out."""
        if call.data.get("call_status") != "ended" or any(name in call.data for name in self._SAID):
            return None
        return ApiRequest(method="GET", path=f"/v2/get-call/{quote(call.id, safe='')}")


class Vapi:
    """Calls of Vapi."""

    NAME: ClassVar[str] = "vapi"
    URL: ClassVar[str] = "https://api.vapi.ai"
    KEY: ClassVar[str] = "VAPI_API_KEY"

    def headers(self, key: str) -> dict[str, str]:
        """A bearer token."""
        return {"Authorization": f"Bearer {key}"}

    def page(self, agent_id: str, low: float | None, high: float | None, cursor: str | None) -> ApiRequest:
        """``GET /call``."""
        query: dict[str, Any] = {"assistantId": agent_id, "limit": PAGE}
        if low is not None:
            query["createdAtGe"] = _iso(_floor(low))
        if high is not None:
            query["createdAtLe"] = _iso(_ceil(high))
        return ApiRequest(method="GET", path=f"/call?{urlencode(query)}")

    def read_page(self, body: object) -> Page:
        """A list of calls; a full one has others behind it."""
        items: object = cast("object", body) if isinstance(body, list) else _fields(body).get("results")
        if not isinstance(items, list):
            raise PlatformError("vapi: the answer is not a list of calls")
        every = cast("list[object]", items)
        return Page(items=every, more=len(every) >= PAGE)

    def read_call(self, item: object) -> PlatformCall:
        """``{id, createdAt, startedAt, endedAt, status, …}``; times in ISO 8601."""
        fields = _call_fields(item)
        made, began = _instant(fields.get("createdAt")), _instant(fields.get("startedAt"))
        ended = _instant(fields.get("endedAt"))
        return PlatformCall(
            id=_id(fields, "id"),
            position=made if made is not None else began,
            started_at=began if began is not None else made,
            seconds=_between(began, ended),
            is_over=fields.get("status") in {None, "ended"} or ended is not None,
            data=fields,
            may_take=_SCHEDULED if fields.get("status") == "scheduled" else LONGEST_CALL,
        )

    def details(self, call: PlatformCall) -> ApiRequest | None:
        """The list has everything."""
        return None


class ElevenLabs:
    """Conversations of ElevenLabs agents."""

    NAME: ClassVar[str] = "elevenlabs"
    URL: ClassVar[str] = "https://api.elevenlabs.io"
    KEY: ClassVar[str] = "ELEVENLABS_API_KEY"
    _PATH = "/v1/convai/conversations"

    def headers(self, key: str) -> dict[str, str]:
        """A header of its own."""
        return {"xi-api-key": key}

    def page(self, agent_id: str, low: float | None, high: float | None, cursor: str | None) -> ApiRequest:
        """``GET /v1/convai/conversations``."""
        query: dict[str, Any] = {"agent_id": agent_id, "page_size": PAGE}
        if low is not None:
            query["call_start_after_unix"] = math.floor(low) - 1
        if high is not None:
            query["call_start_before_unix"] = math.ceil(high) + 1
        if cursor is not None:
            query["cursor"] = cursor
        return ApiRequest(method="GET", path=f"{self._PATH}?{urlencode(query)}")

    def read_page(self, body: object) -> Page:
        """``{conversations, has_more, next_cursor}``."""
        return _page("elevenlabs", body, items="conversations", cursor="next_cursor")

    def read_call(self, item: object) -> PlatformCall:
        """``{conversation_id, status, start_time_unix_secs, …}``, in a list or with its transcript."""
        fields = _call_fields(item)
        facts = _fields(fields.get("metadata"))
        began = _number(fields.get("start_time_unix_secs")) or _number(facts.get("start_time_unix_secs"))
        return PlatformCall(
            id=_id(fields, "conversation_id"),
            position=began,
            started_at=began,
            seconds=_number(fields.get("call_duration_secs")) or _number(facts.get("call_duration_secs")),
            is_over=fields.get("status") in {None, "done", "failed"},
            data=fields,
        )

    def details(self, call: PlatformCall) -> ApiRequest | None:
        """``GET /v1/convai/conversations/ID``: lists have no transcripts."""
        if "transcript" in call.data:
            return None
        return ApiRequest(method="GET", path=f"{self._PATH}/{quote(call.id, safe='')}")


PLATFORMS: Mapping[str, CallPlatform] = {item.NAME: item for item in (Retell(), Vapi(), ElevenLabs())}
"""The platforms by name."""


def platform_named(name: str) -> CallPlatform:
    """The platform of that name. Raises ConfigurationError if there is none."""
    found = PLATFORMS.get(name)
    if found is None:
        raise ConfigurationError(f"platform is {name!r}; expected one of {listed(PLATFORMS)}")
    return found


def _page(platform: str, body: object, *, items: str, cursor: str) -> Page:
    """A page of a platform that says ``has_more``, by the names of the fields that hold its items and where it ends."""
    fields = _fields(body)
    found, end = fields.get(items), fields.get(cursor)
    if not isinstance(found, list):
        raise PlatformError(f"{platform}: the answer has no list '{items}'")
    known = end if isinstance(end, str) and end else None
    return Page(items=cast("list[object]", found), cursor=known, more=fields.get("has_more") is True)


def _fields(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _call_fields(item: object) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ValueError(f"expected an object, found {type(item).__name__}")
    if not is_shallow(item):
        raise ValueError("it is nested too deeply")
    return cast("dict[str, Any]", item)


def _id(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST_ID:
        raise ValueError(f"{name} is {str(value)[:60]!r}; expected an id")
    return value


def _number(value: object, factor: float = 1.0) -> float | None:
    """A number, perhaps written as text; None for what is none, or no instant or length of a call."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    scaled = value * factor
    return scaled if math.isfinite(scaled) and 0 < scaled < 4e9 else None


def _instant(value: object) -> float | None:
    if not isinstance(value, str):
        return _number(value, 1e-3)
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return None
    found = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    return found if 0 < found < 4e9 else None


def _between(began: float | None, ended: float | None) -> float | None:
    return ended - began if began is not None and ended is not None and ended >= began else None


def _floor(seconds: float) -> int:
    return math.floor(seconds * 1000 + 1e-3)


def _ceil(seconds: float) -> int:
    return math.ceil(seconds * 1000 - 1e-3)


def _iso(milliseconds: int) -> str:
    at = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
