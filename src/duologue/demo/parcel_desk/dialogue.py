"""What the desk answers: rules, no model. Nothing here knows of sound."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from duologue.frozen import frozen

PARCELS: Mapping[str, str] = {
    "4279": "a teapot, and it arrives on Tuesday",
    "5279": "a reading lamp, and it arrives on Friday",
    "3186": "a pair of boots, and it arrives tomorrow",
}
"""What is in the orders that the desk knows."""
GREETING = "Parcel desk. What is your order number?"
_DIGITS = {word: str(value) for value, word in enumerate("zero one two three four five six seven eight nine".split())}
_DIGITS["oh"] = "0"
_NUMBER = re.compile(rf"(?:(?:\d|{'|'.join(_DIGITS)})[\s,.\-]*)+", re.IGNORECASE)
_YES = re.compile(r"\b(yes|yeah|yep|correct|right|exactly|sure)\b", re.IGNORECASE)
_NO = re.compile(r"\b(no|nope|wrong|not)\b", re.IGNORECASE)
_DONE = re.compile(r"\b(bye|goodbye|thank you|thanks|that is all|that's all)\b", re.IGNORECASE)


@frozen
class LookUp:
    """A look into the orders.

    Attributes:
        order: its number.
        found: what is in it; None if there is no such order.
    """

    order: str
    found: str | None


@frozen
class Answer:
    """What the desk says next.

    Attributes:
        looked_up: what it has looked up for that.
        ends: it hangs up after it.
    """

    text: str
    looked_up: LookUp | None = None
    ends: bool = False


class Desk:
    """One call.

    It asks for the order number, reads it back, looks it up once the caller agrees, and says what is in the parcel.
    """

    def __init__(self) -> None:
        self._order: str | None = None
        self._has_answered = False

    def answer(self, heard: str, *, talked_over: bool = False) -> Answer:
        """What to say to the caller.

        Args:
            heard: what the caller has said.
            talked_over: the caller has cut in for it.
        """
        number = order_number(heard)
        if number is not None:
            return self._read_back(number, talked_over=talked_over)
        if self._order is not None and not self._has_answered and _YES.search(heard):
            return self._look_up(self._order)
        if self._has_answered and (_NO.search(heard) or _DONE.search(heard)):
            return Answer(text="You are welcome. Goodbye.", ends=True)
        if self._order is not None and not self._has_answered and _NO.search(heard):
            return Answer(text="I am sorry. What is your order number, then?")
        return Answer(text="I am sorry, I did not get that. Could you tell me the four digits of your order number?")

    def _read_back(self, number: str, *, talked_over: bool) -> Answer:
        # The fault: a number that the caller gives while the desk is speaking is read back, and the one that it was
        # speaking of is kept. The caller says yes to one number, and the desk looks up another.
        if not talked_over or self._order is None:
            self._order = number
        self._has_answered = False
        if talked_over:
            return Answer(text=f"I am sorry, order number {spoken(number)}. Is that right?")
        return Answer(
            text=f"Thank you. That is order number {spoken(number)}. Is that right? If it is, then I am going to look "
            "it up, and tell you what is in the parcel."
        )

    def _look_up(self, order: str) -> Answer:
        self._has_answered = True
        found = PARCELS.get(order)
        said = f"It is {found}." if found else "There is no such order."
        text = f"{said} Is there anything else?"
        return Answer(text=text, looked_up=LookUp(order=order, found=found))


def order_number(heard: str) -> str | None:
    """The last four digits in a row that were said, as ``4 2 7 9``, ``4,279``, ``42-79`` or in words; None for none."""
    runs: Sequence[str] = _NUMBER.findall(heard)
    for run in reversed(runs):
        parts: list[str] = re.findall(rf"\d|{'|'.join(_DIGITS)}", run.lower())
        digits = "".join(_DIGITS.get(part, part) for part in parts)
        if len(digits) == 4:
            return digits
    return None


def spoken(number: str) -> str:
    """A number digit by digit, so that it is heard well."""
    words = {digit: word for word, digit in _DIGITS.items() if word != "oh"}
    return " ".join(words[digit] for digit in number)
