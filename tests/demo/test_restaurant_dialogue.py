"""Whole conversations with the restaurant's assistant, and the faults that its README admits to."""

from datetime import date, time

import pytest

from duologue.demo.restaurant.dialogue import Dialogue
from duologue.demo.restaurant.store import TABLES, Booking, Refused, Store
from duologue.demo.restaurant.tools import Toolbox

TODAY = date(2026, 6, 10)


def talk(*lines: str) -> tuple[list[str], list[Booking]]:
    """What the assistant said, and the bookings that were not there before or are cancelled now."""
    store = Store(TODAY)
    before = store.bookings
    dialogue = Dialogue(Toolbox(store), TODAY)
    said = [str(dialogue.reply(line)[-1]["content"]) for line in lines]
    return said, [booking for booking in store.bookings if booking not in before]


def booked(*lines: str) -> tuple[str, str, str, int]:
    _, [booking] = talk(*lines)
    return booking.name, str(booking.date), f"{booking.time:%H:%M}", booking.party_size


@pytest.mark.parametrize(
    "lines",
    [
        ("I'd like a table", "Friday", "half past seven", "four of us", "Anna Berg", "yes"),
        ("A table for 4 at 7:30 PM on Friday, please. My name is anna berg.", "That's right"),
        ("date: Friday", "time: 7:30 pm", "party size: 4", "name: Anna Berg", "ok"),
        (
            "Do you have vegan dishes?",
            "yes",
            "on the 12th",
            "seven thirty",
            "me and 3 friends",
            "I'm Anna Berg",
            "Sure",
        ),
        ("Friday, six of us", "Actually, four people", "at 7:30", "Anna Berg", "please do"),
        ("Friday at 8 for four, Anna Berg here, name is Anna Berg", "Make it 7:30 pm", "yes, no other changes"),
    ],
)
def test_bookings(lines: tuple[str, ...]):
    assert booked(*lines) == ("Anna Berg", "2026-06-12", "19:30", 4)


def test_a_full_house_leads_to_another_time():
    said, [booking] = talk("A table for four on Saturday at 7 pm, name is Nina", "the later one please", "perfect")
    assert "I could offer 5 pm or 9 pm" in said[0]
    assert f"{booking.time:%H:%M}" == "21:00"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("Tables for two on Monday at 8, name is Jo", "closed on Mondays"),
        ("A table for ten on Friday at 8, name is Jo", "between 1 and 8"),
        ("A table for two tomorrow at 10 am, name is Jo", "from 17:30 to 21:30"),
    ],
)
def test_what_is_impossible_is_refused_with_the_reason(line: str, reply: str):
    [said], book = talk(line)
    assert reply in said
    assert book == []


def test_nothing_is_booked_without_a_yes():
    assert talk("A table for two on Friday at 8, name is Jo", "no", "cancel that")[1] == []


def test_a_thank_you_does_not_start_another_booking():
    said, book = talk("A table for two on Friday at 8, name is Jo", "yes", "Thanks, see you on Friday at 8!")
    assert "looking forward" in said[-1] or "look forward" in said[-1]
    assert len(book) == 1


def test_a_booking_is_found_and_cancelled():
    said, [booking] = talk("Can you check my booking?", "John Smith", "Please cancel it", "yes")
    assert "R1002 for John Smith" in said[1]
    assert (booking.reference, booking.status) == ("R1002", "cancelled")


def test_a_table_is_never_given_to_two_parties_at_once():
    store = Store(TODAY)
    friday = date(2026, 6, 12)
    tables = {store.book(name="x", day=friday, at=time(20), party_size=2).table for _ in TABLES}
    assert tables == set(TABLES)
    with pytest.raises(Refused, match="no table free"):
        store.book(name="x", day=friday, at=time(21, 30), party_size=2)
    store.book(name="x", day=friday, at=time(22), party_size=2)


def test_admitted_fault_a_new_party_size_after_the_summary_is_said_but_not_booked():
    said, [booking] = talk("A table for four on Friday at 8 pm, name is Leo", "Actually, make it six people", "yes")
    assert "table for 6" in said[-1]
    assert booking.party_size == 4


def test_admitted_fault_an_allergy_after_the_booking_is_promised_but_not_written_down():
    said, [booking] = talk("A table for four on Friday at 8 pm, name is Leo", "yes", "I have a nut allergy, note that")
    assert "I have added the nut allergy to your booking" in said[-1]
    assert booking.notes == ""


def test_admitted_fault_a_reference_is_enough_to_cancel_somebody_else_s_booking():
    _, [booking] = talk("This is Jo Doe. Please cancel booking R1001", "yes")
    assert (booking.name, booking.status) == ("Maria Lopez", "cancelled")
