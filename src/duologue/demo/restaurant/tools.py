"""The tools that the assistant works with: plain JSON in, plain JSON out, every call written down."""

# ruff: noqa: TID252 - relative imports, so that this folder runs wherever it is copied to

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, time
from typing import Any

from .store import HOURS, MENU, Refused, Store

Json = dict[str, Any]


class Toolbox:
    """Calls tools on the book and keeps the calls of the present turn as chat messages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._count = 0
        self._messages: list[Json] = []
        self._tools: dict[str, Callable[..., Json]] = {
            "check_availability": self._check_availability,
            "create_booking": self._create_booking,
            "find_booking": self._find_booking,
            "cancel_booking": self._cancel_booking,
            "opening_hours": self._opening_hours,
            "menu": self._menu,
        }

    def call(self, tool: str, **arguments: Any) -> Json:
        """Call a tool. What the restaurant refuses comes back as ``{"error": …}``."""
        try:
            result = self._tools[tool](**arguments)
        except Refused as refusal:
            result = {"error": str(refusal)}
        self._record(tool, arguments, result)
        return result

    def take_messages(self) -> list[Json]:
        """The calls and results since the last time: assistant and tool messages in the OpenAI format."""
        messages, self._messages = self._messages, []
        return messages

    def _record(self, tool: str, arguments: Json, result: Json) -> None:
        self._count += 1
        call_id = f"call_{self._count}"
        function = {"name": tool, "arguments": json.dumps(arguments)}
        call = {"id": call_id, "type": "function", "function": function}
        self._messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        self._messages.append({"role": "tool", "tool_call_id": call_id, "content": json.dumps(result)})

    def _check_availability(self, date: str, time: str, party_size: int) -> Json:
        day, at = _day(date), _at(time)
        if reason := self._store.refusal(day, at, party_size):
            return {"available": False, "reason": reason, "alternatives": []}
        if self._store.free_table(day, at, party_size):
            return {"available": True}
        others = self._store.alternatives(day, at, party_size)
        return {"available": False, "reason": "fully booked", "alternatives": [f"{other:%H:%M}" for other in others]}

    def _create_booking(self, name: str, date: str, time: str, party_size: int, notes: str = "") -> Json:
        booking = self._store.book(name=name, day=_day(date), at=_at(time), party_size=party_size, notes=notes)
        return booking.as_json()

    def _find_booking(self, name: str | None = None, reference: str | None = None) -> Json:
        return {"bookings": [booking.as_json() for booking in self._store.find(name=name, reference=reference)]}

    def _cancel_booking(self, reference: str) -> Json:
        return self._store.cancel(reference).as_json()

    def _opening_hours(self, date: str | None = None) -> Json:
        weekdays = [_day(date).weekday()] if date else range(7)
        names = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
        return {names[weekday]: _span(weekday) for weekday in weekdays}

    def _menu(self, without: str | None = None, diet: str | None = None) -> Json:
        dishes = [dish for dish in MENU if without not in dish.allergens and (diet is None or diet in dish.diets)]
        return {"dishes": [{"name": dish.name, "allergens": sorted(dish.allergens)} for dish in dishes]}


def _span(weekday: int) -> str:
    hours = HOURS.get(weekday)
    return f"{hours[0]:%H:%M} to {hours[1]:%H:%M}" if hours else "closed"


def _day(text: str) -> date:
    return date.fromisoformat(text)


def _at(text: str) -> time:
    return time.fromisoformat(text)
