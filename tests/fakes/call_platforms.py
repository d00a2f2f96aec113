"""The lists of calls of Retell, Vapi and ElevenLabs, as their documentation describes them, on loopback.

All three have the same calls: ``calls`` by their start in milliseconds. Each is asked in its own words and answers in
its own form, the newest first, at most as many as it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from loopback import Answer, Asked

KEY = "key-4711-abcdefgh"
BASE = 1_760_000_000_000
"""Milliseconds since 1970 of the first call."""


@dataclass
class FakeCall:
    """A call: its start, whether it is over, and what was said."""

    id: str
    start: int
    over: bool = True
    said: list[tuple[str, str]] = field(
        default_factory=lambda: [("agent", "Hello, the shop."), ("user", "My kettle leaks."), ("agent", "I am sorry.")]
    )


@dataclass
class CallPlatforms:
    """``calls`` are those of the agent ``agent_1``; ``before`` answers first, and may return None."""

    calls: list[FakeCall] = field(default_factory=list)
    broken: list[Any] = field(default_factory=list)
    before: Any = None
    transcripts_in_lists: bool = True
    pages: int = 0

    def add(self, count: int, *, start: int = 0, step: int = 60_000, prefix: str = "c") -> None:
        """More calls, one a minute."""
        self.calls += [FakeCall(f"{prefix}{index}", BASE + start + index * step) for index in range(count)]

    def __call__(self, asked: Asked) -> Answer:
        if self.before is not None and (answer := self.before(asked)) is not None:
            return answer
        given = asked.headers.get("authorization", "").removeprefix("Bearer ") or asked.headers.get("xi-api-key")
        if given != KEY:
            return Answer(status=401, body={"message": f"invalid key {given}"})
        match asked.method, asked.path:
            case "POST", "/v3/list-calls":
                return self._retell(asked.json)
            case "GET", "/call":
                return self._vapi(asked.query)
            case "GET", "/v1/convai/conversations":
                return self._elevenlabs(asked.query)
            case "GET", path if path.startswith("/v2/get-call/"):
                return self._one(path, self.retell_call)
            case "GET", path if path.startswith("/v1/convai/conversations/"):
                return self._one(path, self.elevenlabs_call)
            case _:
                return Answer(status=404, body={"message": "no such path"})

    def _between(self, agent: str, low: float, high: float) -> list[FakeCall]:
        found = [call for call in self.calls if agent == "agent_1" and low <= call.start <= high]
        self.pages += 1
        return sorted(found, key=lambda call: -call.start)

    def _one(self, path: str, form: Any) -> Answer:
        name = unquote(path.rpartition("/")[2])
        found = next((call for call in self.calls if call.id == name), None)
        return Answer(body=form(found)) if found else Answer(status=404, body={"message": "no such call"})

    # Retell

    def _retell(self, body: dict[str, Any]) -> Answer:
        criteria = body["filter_criteria"]
        assert body["sort_order"] == "descending"
        low, high = 0.0, float("inf")
        if (time := criteria.get("start_timestamp")) is not None:
            match time["type"], time["op"]:
                case "range", "bt":
                    low, high = time["value"]
                case "number", "ge":
                    low = time["value"]
                case "number", "le":
                    high = time["value"]
                case _:
                    return Answer(status=400, body={"message": f"bad filter {time}"})
        found = self._between(criteria["agent"][0]["agent_id"], low, high)
        first = int(body["pagination_key"].removeprefix("after-")) if "pagination_key" in body else 0
        part = found[first : first + body["limit"]]
        items = [*(self.retell_call(call, listed=True) for call in part), *(self.broken if first == 0 else [])]
        more = first + len(part) < len(found)
        return Answer(body={"items": items, "has_more": more, "pagination_key": f"after-{first + len(part)}"})

    def retell_call(self, call: FakeCall, *, listed: bool = False) -> dict[str, Any]:
        """A call in Retell's words."""
        made: dict[str, Any] = {
            "call_id": call.id,
            "agent_id": "agent_1",
            "call_status": "ended" if call.over else "ongoing",
            "start_timestamp": call.start,
        }
        if call.over:
            made |= {"end_timestamp": call.start + 42_000, "duration_ms": 42_000}
            if self.transcripts_in_lists or not listed:
                made["transcript_object"] = [{"role": role, "content": text, "words": []} for role, text in call.said]
        return made

    # Vapi

    def _vapi(self, query: dict[str, list[str]]) -> Answer:
        low = _milliseconds(query["createdAtGe"][0]) if "createdAtGe" in query else 0
        high = _milliseconds(query["createdAtLe"][0]) if "createdAtLe" in query else float("inf")
        found = self._between(query["assistantId"][0], low, high)[: int(query["limit"][0])]
        return Answer(body=[*(self.vapi_call(call) for call in found), *self.broken])

    def vapi_call(self, call: FakeCall) -> dict[str, Any]:
        """A call in Vapi's words."""
        made: dict[str, Any] = {
            "id": call.id,
            "assistantId": "agent_1",
            "createdAt": _iso(call.start),
            "startedAt": _iso(call.start + 1000),
            "status": "ended" if call.over else "in-progress",
        }
        if call.over:
            roles = {"agent": "bot", "user": "user"}
            said = [
                {"role": roles[role], "message": text, "secondsFromStart": index}
                for index, (role, text) in enumerate(call.said)
            ]
            made |= {"endedAt": _iso(call.start + 43_000), "endedReason": "hangup", "artifact": {"messages": said}}
        return made

    # ElevenLabs

    def _elevenlabs(self, query: dict[str, list[str]]) -> Answer:
        after = int(query.get("call_start_after_unix", ["0"])[0]) * 1000
        before = int(query.get("call_start_before_unix", ["9999999999"])[0]) * 1000
        found = self._between(query["agent_id"][0], after + 1, before - 1)
        first = int(query.get("cursor", ["0"])[0])
        size = int(query["page_size"][0])
        assert 1 <= size <= 100
        part = found[first : first + size]
        more = first + len(part) < len(found)
        items: list[Any] = [
            {
                "conversation_id": call.id,
                "agent_id": "agent_1",
                "start_time_unix_secs": call.start // 1000,
                "call_duration_secs": 42,
                "status": "done" if call.over else "in-progress",
            }
            for call in part
        ]
        items += self.broken if first == 0 else []
        cursor = str(first + len(part)) if more else None
        return Answer(body={"conversations": items, "has_more": more, "next_cursor": cursor})

    def elevenlabs_call(self, call: FakeCall) -> dict[str, Any]:
        """A conversation in ElevenLabs' words."""
        return {
            "conversation_id": call.id,
            "agent_id": "agent_1",
            "status": "done" if call.over else "in-progress",
            "metadata": {"start_time_unix_secs": call.start // 1000, "call_duration_secs": 42},
            "transcript": [
                {"role": role, "message": text, "time_in_call_secs": index, "tool_calls": [], "tool_results": []}
                for index, (role, text) in enumerate(call.said)
            ],
        }


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
