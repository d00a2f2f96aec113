"""What the restaurant's assistant understands."""

from datetime import date, time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.demo.restaurant.understand import Act, understand

TODAY = date(2026, 6, 10)  # a Wednesday


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at 7:30 pm", time(19, 30)),
        ("7.30pm please", time(19, 30)),
        ("19:30", time(19, 30)),
        ("half past seven", time(19, 30)),
        ("quarter to eight", time(19, 45)),
        ("quarter past 6", time(18, 15)),
        ("seven thirty", time(19, 30)),
        ("eight o'clock", time(20, 0)),
        ("at seven in the evening", time(19, 0)),
        ("10 am", time(10, 0)),
        ("noon", time(12, 0)),
        ("at 7, no, at 8", time(20, 0)),
        ("for four people", None),
        ("a table at the window", None),
    ],
)
def test_times(text: str, expected: time | None):
    assert understand(text, TODAY).at == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("today", TODAY),
        ("tonight at 8", TODAY),
        ("tomorrow", date(2026, 6, 11)),
        ("the day after tomorrow", date(2026, 6, 12)),
        ("this Friday", date(2026, 6, 12)),
        ("on Wednesday", TODAY),
        ("next Friday", date(2026, 6, 19)),
        ("2026-07-01", date(2026, 7, 1)),
        ("the 14th of June", date(2026, 6, 14)),
        ("June 14th", date(2026, 6, 14)),
        ("Sunday, 14 June", date(2026, 6, 14)),
        ("on the 3rd", date(2026, 7, 3)),
        ("3 May", date(2027, 5, 3)),
        ("31 June", None),
        ("some day", None),
    ],
)
def test_dates(text: str, expected: date | None):
    assert understand(text, TODAY).day == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a table for four", 4),
        ("for 4 people at 7", 4),
        ("party of six on the 14th", 6),
        ("party size: 4", 4),
        ("there will be five of us", 5),
        ("just me", 1),
        ("me and my wife", 2),
        ("me and three friends", 4),
        ("two adults and two kids", 4),
        ("actually make it six", 6),
        ("make it six instead of four", 6),
        ("book for 19:30", None),
        ("at 7 pm", None),
    ],
)
def test_party_sizes(text: str, expected: int | None):
    assert understand(text, TODAY).party_size == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("my name is Anna Berg", "Anna Berg"),
        ("The name is anna berg.", "Anna Berg"),
        ("under O'Neill, please", "O'Neill"),
        ("I'm Anna and I want a table", "Anna"),
        ("name: José", "José"),
        ("I'm looking for a table for dinner", None),
        ("I am vegetarian", None),
        ("for Friday", None),
    ],
)
def test_names(text: str, expected: str | None):
    assert understand(text, TODAY).name == expected


def test_a_bare_answer_is_understood_as_what_was_asked_for():
    assert understand("seven", TODAY, "at").at == time(19, 0)
    assert understand("seven", TODAY, "party_size").party_size == 7
    assert understand("Anna Berg", TODAY, "name").name == "Anna Berg"
    assert understand("the later one", TODAY, "at").at is None


def test_one_message_with_everything():
    heard = understand("Hi! A table for 4 on Friday at 7:30 PM for Anna Berg, I have a nut allergy.", TODAY)
    assert (heard.party_size, heard.day, heard.at) == (4, date(2026, 6, 12), time(19, 30))
    assert (heard.name, heard.allergies) == ("Anna Berg", ("nuts",))
    assert Act.BOOK in heard.acts


def test_a_yes_with_a_no_in_it_is_a_yes():
    assert Act.DENY not in understand("Yes, no problem", TODAY).acts
    assert Act.DENY in understand("That is not correct", TODAY).acts


@given(st.text(max_size=80), st.sampled_from([None, "day", "at", "party_size", "name"]))
@settings(max_examples=200, deadline=None)
def test_no_text_breaks_it(text: str, expecting: str | None):
    understand(text, TODAY, expecting)
