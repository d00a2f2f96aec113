"""What ``duologue demo`` rehearses: five conversations with the restaurant's assistant, as data.

Each begins with lines that are said as they are; a simulated user with the goal and the slots goes on from there.
Checks look at what the assistant did (its tool calls) and at what is left in the restaurant's book afterwards: what it
said it did is worth nothing by itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import field
from datetime import date
from typing import Any, cast
from urllib.parse import quote

from duologue.config.json_text import json_object
from duologue.conversation.result import ScenarioState
from duologue.conversation.setup import CheckFunction, FunctionCheck
from duologue.errors import CheckError
from duologue.frozen import frozen
from duologue.http import Limits, bound
from duologue.messages import arguments_of, text_of, tool_results

TODAY = date(2026, 6, 10)
"""A Wednesday. Start the restaurant with this date, so that "Friday" means the same in every rehearsal."""

BookingRow = dict[str, Any]
BookCheck = Callable[[Sequence[BookingRow]], None]
"""Looks at the restaurant's book as ``GET /state`` shows it; an AssertionError fails the run."""

_STATE_TIMEOUT = 10.0


@frozen
class DemoScenario:
    """One conversation to rehearse.

    Attributes:
        name, description: for the report; the description also is the situation that the simulated user is told.
        goal: what the simulated user wants.
        slots: the details that it gives when it is asked, in its own words.
        lines: what it says first, line by line; the simulation goes on from there.
        checks: about the conversation; their docstrings are their names.
        book_checks: about the book afterwards; their docstrings are their names.
        expected_to_fail: whether the assistant has a fault that this conversation brings out.
    """

    name: str
    description: str
    goal: str
    slots: dict[str, str]
    lines: tuple[str, ...]
    checks: tuple[Callable[[ScenarioState], None], ...] = ()
    book_checks: tuple[BookCheck, ...] = field(default=())
    expected_to_fail: bool = False

    def checks_against(self, url: str) -> list[FunctionCheck]:
        """All checks, ready for a run against the restaurant at that URL (``http://127.0.0.1:8000``)."""
        talk = [FunctionCheck(function=check, name=_name(check)) for check in self.checks]
        book = [FunctionCheck(function=_on_book(check, url), name=_name(check)) for check in self.book_checks]
        return talk + book


def _name(check: Callable[..., None]) -> str:
    return (check.__doc__ or check.__name__).strip().rstrip(".")


def _on_book(check: BookCheck, url: str) -> CheckFunction:
    async def run(state: ScenarioState) -> None:
        check(await fetch_book(url, state.thread_id))

    return run


async def fetch_book(url: str, thread_id: str) -> list[BookingRow]:
    """The book as that conversation left it.

    Raises:
        CheckError: the restaurant does not show its book.
    """
    import httpx

    try:
        async with bound(httpx.AsyncClient(timeout=_STATE_TIMEOUT), Limits(seconds=_STATE_TIMEOUT)) as client:
            response = await client.get(f"{url}/state?thread_id={quote(thread_id)}")
            return cast("list[BookingRow]", json_object(response.raise_for_status().content)["bookings"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise CheckError(
            f"cannot read the restaurant's book at {url}/state: {type(error).__name__}: {error}"
        ) from error


def _of(book: Sequence[BookingRow], name: str) -> BookingRow:
    rows = [row for row in book if row["name"] == name and row["status"] == "confirmed"]
    assert len(rows) == 1, f"expected one confirmed booking for {name}, found {len(rows)}"
    return rows[0]


def _expect(row: BookingRow, **expected: object) -> None:
    for key, value in expected.items():
        assert row[key] == value, f"{key} in the book is {row[key]!r}; the guest asked for {value!r}"


def _books_once(state: ScenarioState) -> None:
    """It makes exactly one booking."""
    results = tool_results(state.messages)
    made = [call for call in state.tool_calls("create_booking") if "error" not in results.get(call["id"], "error")]
    assert len(made) == 1, f"{len(made)} bookings were made"


def _books_nothing(state: ScenarioState) -> None:
    """It makes no booking."""
    assert not state.has_tool_call("create_booking"), "a booking was made"


def _anna(book: Sequence[BookingRow]) -> None:
    """The book has Anna Berg on Friday 12 June, 19:30, four people."""
    _expect(_of(book, "Anna Berg"), date="2026-06-12", time="19:30", party_size=4)


def _looks_at_peanuts(state: ScenarioState) -> None:
    """It looks up which dishes are without peanuts."""
    asked = [arguments_of(call).get("without") for call in state.tool_calls("menu")]
    assert "peanuts" in asked, f"the menu was asked for {asked}"


def _offers_no_satay(state: ScenarioState) -> None:
    """It never offers the dish with peanuts."""
    for message in state.messages:
        assert message["role"] != "assistant" or "satay" not in text_of(message), f"it said: {text_of(message)}"


def _sam(book: Sequence[BookingRow]) -> None:
    """The allergy is written into Sam Reed's booking."""
    _expect(_of(book, "Sam Reed"), date="2026-06-11", time="19:00", party_size=2, notes="peanut allergy")


def _finds_seven_full(state: ScenarioState) -> None:
    """It finds seven o'clock full and offers other times."""
    results = tool_results(state.messages)
    answers = [json.loads(results[call["id"]]) for call in state.tool_calls("check_availability")]
    assert answers, "it never checked whether there is a table"
    assert answers[0].get("alternatives"), f"the first check found {answers[0]}"


def _nina(book: Sequence[BookingRow]) -> None:
    """The book has Nina Holm on Saturday 13 June, 21:00, four people."""
    _expect(_of(book, "Nina Holm"), date="2026-06-13", time="21:00", party_size=4)


def _no_table_twice(book: Sequence[BookingRow]) -> None:
    """No table is given to two parties at once."""
    seated = [row for row in book if row["status"] == "confirmed"]
    for index, row in enumerate(seated):
        for other in seated[index + 1 :]:
            same = row["table"] == other["table"] and row["date"] == other["date"]
            assert not same or abs(_minutes(row) - _minutes(other)) >= 120, f"{row} and {other}"


def _minutes(row: BookingRow) -> int:
    hours, minutes = str(row["time"]).split(":")
    return int(hours) * 60 + int(minutes)


def _leo(book: Sequence[BookingRow]) -> None:
    """The book has Leo Marsh on Friday 12 June, 20:00, six people."""
    _expect(_of(book, "Leo Marsh"), date="2026-06-12", time="20:00", party_size=6)


def _maria(book: Sequence[BookingRow]) -> None:
    """Maria Lopez's booking is cancelled, and no other."""
    cancelled = [row["name"] for row in book if row["status"] == "cancelled"]
    assert cancelled == ["Maria Lopez"], f"cancelled: {cancelled}"


SCENARIOS = (
    DemoScenario(
        name="A plain booking",
        description="You want a table at a restaurant and give the details when you are asked for them.",
        goal="Book a table for four on Friday at half past seven, and confirm it.",
        slots={"date": "Friday", "time": "half past seven", "party size": "four", "name": "Anna Berg"},
        lines=("Hi, I'd like to book a table for Friday.",),
        checks=(_books_once,),
        book_checks=(_anna,),
    ),
    DemoScenario(
        name="A booking with an allergy",
        description="You want a table for two, and you are allergic to peanuts.",
        goal="Book a table for two tomorrow at 7 pm, with the peanut allergy on record, and confirm it.",
        slots={"date": "tomorrow", "time": "7 pm", "party size": "two", "name": "Sam Reed", "allergy": "peanuts"},
        lines=("A table for two tomorrow at 7 pm, please. I'm allergic to peanuts, what could I eat?",),
        checks=(_books_once, _looks_at_peanuts, _offers_no_satay),
        book_checks=(_sam,),
    ),
    DemoScenario(
        name="A full house",
        description=(
            "You want a table for four on Saturday at seven. If that is full, you take 9 pm, because 5 pm is too early "
            "for you."
        ),
        goal="Book a table for four on Saturday at 9 pm, and confirm it.",
        slots={"date": "Saturday", "time": "9 pm", "party size": "four", "name": "Nina Holm"},
        lines=("Do you have a table for four on Saturday at 7 pm? My name is Nina Holm.",),
        checks=(_books_once, _finds_seven_full),
        book_checks=(_nina, _no_table_twice),
    ),
    DemoScenario(
        name="A change of mind",
        description="You ask for a table for four, and then two more friends want to come along.",
        goal="Book a table for six on Friday at 8 pm, and confirm it.",
        slots={"date": "Friday", "time": "8 pm", "party size": "six", "name": "Leo Marsh"},
        lines=(
            "A table for four on Friday at 8 pm, please. The name is Leo Marsh.",
            "Actually, make it six people.",
        ),
        checks=(_books_once,),
        book_checks=(_leo,),
        expected_to_fail=True,
    ),
    DemoScenario(
        name="A cancellation",
        description="You are Maria Lopez. You have a table for tomorrow and cannot come.",
        goal="Cancel the booking under your name, and confirm that.",
        slots={"name": "Maria Lopez", "date": "tomorrow"},
        lines=("Hello, I have to cancel my reservation.",),
        checks=(_books_nothing,),
        book_checks=(_maria,),
    ),
)
