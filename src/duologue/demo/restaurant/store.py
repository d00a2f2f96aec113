"""The restaurant itself: tables, opening hours, the menu, and the book of bookings. Knows nothing of conversations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any

SITTING = timedelta(hours=2)
SLOT = timedelta(minutes=30)
TABLES = {1: 2, 2: 2, 3: 4, 4: 4, 5: 6, 6: 8}
"""Seats by table number."""
LARGEST_PARTY = max(TABLES.values())
HOURS: dict[int, tuple[time, time]] = {
    **{weekday: (time(17, 30), time(21, 30)) for weekday in (1, 2, 3)},
    4: (time(17, 0), time(22, 0)),
    5: (time(12, 0), time(22, 0)),
    6: (time(12, 0), time(20, 30)),
}
"""First and last seating by weekday, Monday being 0: closed on Mondays."""


@dataclass(frozen=True, kw_only=True)
class Dish:
    """A dish with what people may be allergic to in it."""

    name: str
    allergens: frozenset[str] = frozenset()
    diets: frozenset[str] = frozenset()


MENU = (
    Dish(name="tomato soup", diets=frozenset({"vegan", "vegetarian"})),
    Dish(name="mushroom risotto", allergens=frozenset({"dairy"}), diets=frozenset({"vegetarian"})),
    Dish(name="grilled sea bass", allergens=frozenset({"fish"})),
    Dish(name="prawn linguine", allergens=frozenset({"shellfish", "gluten", "egg"})),
    Dish(name="lamb shoulder with potatoes"),
    Dish(name="chickpea satay", allergens=frozenset({"peanuts", "soy"}), diets=frozenset({"vegan", "vegetarian"})),
    Dish(
        name="almond and orange cake",
        allergens=frozenset({"nuts", "egg", "dairy"}),
        diets=frozenset({"vegetarian"}),
    ),
    Dish(name="lemon sorbet", diets=frozenset({"vegan", "vegetarian"})),
)


@dataclass(frozen=True, kw_only=True)
class Booking:
    """One line of the book."""

    reference: str
    name: str
    date: date
    time: time
    party_size: int
    table: int
    notes: str = ""
    status: str = "confirmed"

    def as_json(self) -> dict[str, Any]:
        """Plain data: dates as 2025-06-14, times as 19:30."""
        return {**asdict(self), "date": self.date.isoformat(), "time": self.time.strftime("%H:%M")}


class Refused(Exception):
    """The restaurant cannot do that; the text says why, in words for the guest."""


class Store:
    """The book of bookings, with a few guests in it already."""

    def __init__(self, today: date) -> None:
        self.today = today
        self._bookings: dict[str, Booking] = {}
        self._last_reference = 1000
        self._seed()

    @property
    def bookings(self) -> list[Booking]:
        """Every line of the book, cancelled ones included."""
        return list(self._bookings.values())

    def refusal(self, day: date, at: time, party_size: int) -> str | None:
        """Why nobody could book that, however empty the house; None when it is possible."""
        if day < self.today:
            return "That date has already passed."
        if not 1 <= party_size <= LARGEST_PARTY:
            return f"We can seat between 1 and {LARGEST_PARTY} guests at one table."
        hours = HOURS.get(day.weekday())
        if hours is None:
            return "We are closed on Mondays."
        if not hours[0] <= at <= hours[1]:
            return f"On {day:%A}s we seat guests from {hours[0]:%H:%M} to {hours[1]:%H:%M}."
        return None

    def free_table(self, day: date, at: time, party_size: int) -> int | None:
        """The smallest free table that is large enough; None when there is none."""
        start = datetime.combine(day, at)
        taken = {booking.table for booking in self._on(day) if abs(_start(booking) - start) < SITTING}
        fitting = [number for number, seats in TABLES.items() if seats >= party_size and number not in taken]
        return min(fitting, key=lambda number: TABLES[number], default=None)

    def alternatives(self, day: date, at: time, party_size: int, limit: int = 2) -> list[time]:
        """The times of that day nearest to the wished one at which there is a table."""
        free = [slot for slot in slots_of(day) if slot != at and self.free_table(day, slot, party_size)]
        return sorted(free, key=lambda slot: (abs(_minutes(slot) - _minutes(at)), slot))[:limit]

    def book(self, *, name: str, day: date, at: time, party_size: int, notes: str = "") -> Booking:
        """Write a booking into the book. Raises Refused when there is no table."""
        if reason := self.refusal(day, at, party_size):
            raise Refused(reason)
        table = self.free_table(day, at, party_size)
        if table is None:
            raise Refused("There is no table free at that time.")
        self._last_reference += 1
        reference = f"R{self._last_reference}"
        booking = Booking(
            reference=reference, name=name, date=day, time=at, party_size=party_size, table=table, notes=notes
        )
        self._bookings[reference] = booking
        return booking

    def find(self, *, reference: str | None = None, name: str | None = None) -> list[Booking]:
        """The confirmed bookings with that reference, or under that name."""
        confirmed = [booking for booking in self.bookings if booking.status == "confirmed"]
        if reference:
            return [booking for booking in confirmed if booking.reference == reference.upper()]
        return [booking for booking in confirmed if name and booking.name.casefold() == name.casefold()]

    def cancel(self, reference: str) -> Booking:
        """Strike a booking out. Raises Refused when there is none to strike out."""
        if not self.find(reference=reference):
            raise Refused(f"There is no booking {reference}.")
        cancelled = replace(self._bookings[reference.upper()], status="cancelled")
        self._bookings[cancelled.reference] = cancelled
        return cancelled

    def _on(self, day: date) -> list[Booking]:
        return [booking for booking in self.bookings if booking.date == day and booking.status == "confirmed"]

    def _seed(self) -> None:
        saturday = _next(self.today, weekday=5)
        thursday = _next(self.today, weekday=3)
        self.book(name="Maria Lopez", day=thursday, at=time(18, 30), party_size=2)
        self.book(name="John Smith", day=thursday, at=time(19, 0), party_size=3, notes="window table")
        for name, size in (("Okafor", 4), ("Lindqvist", 4), ("Tanaka", 5), ("Moreau", 8)):
            self.book(name=name, day=saturday, at=time(19, 0), party_size=size)


def slots_of(day: date) -> Iterator[time]:
    """The times at which guests are seated on that day."""
    hours = HOURS.get(day.weekday())
    if hours is None:
        return
    moment, last = (datetime.combine(day, bound) for bound in hours)
    while moment <= last:
        yield moment.time()
        moment += SLOT


def _next(today: date, weekday: int) -> date:
    """The first such weekday after today."""
    return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)


def _start(booking: Booking) -> datetime:
    return datetime.combine(booking.date, booking.time)


def _minutes(moment: time) -> int:
    return moment.hour * 60 + moment.minute
