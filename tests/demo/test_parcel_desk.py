"""The parcel desk of the voice demo: what it understands, what it answers, and its fault."""

from __future__ import annotations

import importlib.util

import pytest

from duologue.cli.demo_voice import SUITE, URL, play_voice_demo
from duologue.demo.parcel_desk.dialogue import Desk, order_number, spoken
from duologue.errors import MissingExtraError
from duologue.suites.manifests.loader import validate


@pytest.mark.parametrize(
    ("heard", "number"),
    [
        ("My order number is 4279.", "4279"),
        ("It is 4 2 7 9, please", "4279"),
        ("4,279", "4279"),
        ("four two seven nine", "4279"),
        ("Four, two, seven, nine.", "4279"),
        ("42-79", "4279"),
        ("No, not 4279, it is 5279", "5279"),
        ("one oh three zero", "1030"),
        ("I have 2 parcels", None),
        ("427", None),
        ("42791", None),
        ("", None),
    ],
)
def test_numbers_are_understood_as_a_recogniser_writes_them(heard: str, number: str | None) -> None:
    assert order_number(heard) == number


def test_a_call_without_a_correction_is_answered_right() -> None:
    desk = Desk()
    assert spoken("3186") in desk.answer("My order number is 3186.").text
    answer = desk.answer("Yes, that is right.")
    assert answer.looked_up is not None
    assert answer.looked_up.order == "3186"
    assert "boots" in answer.text
    assert desk.answer("No, thank you. Goodbye.").ends


@pytest.mark.parametrize(("talked_over", "looked_up"), [(False, "5279"), (True, "4279")])
def test_the_fault_is_that_a_number_is_lost_that_comes_while_it_speaks(talked_over: bool, looked_up: str) -> None:
    desk = Desk()
    desk.answer("4279")
    assert spoken("5279") in desk.answer("No, it is 5279.", talked_over=talked_over).text
    answer = desk.answer("Yes.")
    assert answer.looked_up is not None
    assert answer.looked_up.order == looked_up


def test_what_it_does_not_understand_is_asked_again() -> None:
    desk = Desk()
    assert "four digits" in desk.answer("Mm-hmm.").text
    desk.answer("4279")
    assert "then?" in desk.answer("No.").text
    answer = desk.answer("1111")
    assert answer.looked_up is None
    assert "no such order" in desk.answer("Right.").text


def test_the_suite_of_the_demo_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, "ws://127.0.0.1:1")
    report = validate(SUITE)
    assert report.ok, str(report)


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr("duologue.cli.demo_voice.find_spec", lambda name: None if name == "hibari" else find(name))
    with pytest.raises(MissingExtraError, match=r"duologue\[voice-local\]"):
        play_voice_demo(out=SUITE.parent, seed=1, as_json_=True)
