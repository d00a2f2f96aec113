"""One conversation with a guest: what is known so far, what is missing, what to do next."""

# ruff: noqa: TID252 - relative imports, so that this folder runs wherever it is copied to

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, time

from .tools import Json, Toolbox
from .understand import Act, Heard, understand

ABILITIES = "I can book a table, look up or cancel a booking, and tell you about our menu."
GREETING = f"Welcome to the Olive Tree. {ABILITIES}"
_QUESTIONS = {
    "day": "For which date would you like the table?",
    "at": "At what time would you like to come?",
    "party_size": "How many people will there be?",
    "name": "Under which name may I book the table?",
}


@dataclass(kw_only=True)
class Wish:
    """The booking that the guest has in mind."""

    day: date | None = None
    at: time | None = None
    party_size: int | None = None
    name: str | None = None
    notes: list[str] = field(default_factory=list[str])

    def take(self, heard: Heard) -> set[str]:
        """Take over what was said; returns the names of the details that are now different."""
        changed = {slot for slot in heard.details if getattr(heard, slot) != getattr(self, slot)}
        for slot in changed:
            setattr(self, slot, getattr(heard, slot))
        return changed

    def missing(self) -> str | None:
        """The detail to ask for next; None when the wish is complete."""
        return next((slot for slot in _QUESTIONS if getattr(self, slot) is None), None)

    def request(self) -> Json:
        """What the restaurant has to know to look for a table. Call it when nothing is missing."""
        day = self.day.isoformat() if self.day else ""
        return {"date": day, "time": f"{self.at:%H:%M}" if self.at else "", "party_size": self.party_size}

    def text(self) -> str:
        """The wish in words."""
        notes = f" Note for the kitchen: {'; '.join(self.notes)}." if self.notes else ""
        return f"a table for {self.party_size} on {_said_day(self.day)} at {_said(self.at)}, name {self.name}.{notes}"


class Dialogue:
    """Answers the messages of one guest in order."""

    def __init__(self, toolbox: Toolbox, today: date) -> None:
        self._tools = toolbox
        self._today = today
        self._wish = Wish()
        self._task: str | None = None
        self._expecting: str | None = None
        self._offered: list[time] = []
        self._checked: Json | None = None
        self._booked: Json | None = None
        self._to_cancel: Json | None = None
        self._found: str | None = None
        self._done = False

    def reply(self, text: str) -> list[Json]:
        """The messages of this turn: tool calls and their results, then the answer."""
        heard = understand(text, self._today, self._expecting)
        aside = self._aside(heard)
        answer = " ".join(part for part in (aside, self._go_on(heard, answered=bool(aside))) if part)
        return [*self._tools.take_messages(), {"role": "assistant", "content": answer}]

    def _aside(self, heard: Heard) -> str:
        """Answers questions and takes notes that are beside the task in hand."""
        parts: list[str] = []
        if Act.HOURS in heard.acts:
            parts.append(self._hours(heard))
        if heard.allergies:
            parts.append(self._note(heard.allergies))
        elif heard.asks_about or (heard.diet and Act.MENU in heard.acts):
            parts.append(self._dishes(heard.asks_about, heard.diet))
        elif Act.MENU in heard.acts and "menu" in heard.text.lower():
            parts.append(self._dishes((), None))
        return " ".join(parts)

    def _hours(self, heard: Heard) -> str:
        hours = self._tools.call("opening_hours", **({"date": heard.day.isoformat()} if heard.day else {}))
        spans = [f"{day} {span}" for day, span in hours.items()]
        return f"We seat guests at these times: {', '.join(spans)}."

    def _note(self, allergies: tuple[str, ...]) -> str:
        named = [f"{allergen.removesuffix('s')} allergy" for allergen in allergies]
        new = [note for note in named if note not in self._wish.notes]
        self._wish.notes += new
        noted = f"I have added the {' and '.join(new)} to your booking." if new else "That is on your booking already."
        return f"{noted} {self._dishes(allergies, None)}"

    def _dishes(self, without: tuple[str, ...], diet: str | None) -> str:
        found = [self._tools.call("menu", **_menu_query(allergen, diet)) for allergen in without or (None,)]
        names = [dish["name"] for dish in found[0]["dishes"]]
        for other in found[1:]:
            names = [name for name in names if name in {dish["name"] for dish in other["dishes"]}]
        kind = f"without {' or '.join(without)}" if without else f"{diet}" if diet else "on the menu"
        return f"These dishes are {kind}: {', '.join(names)}."

    def _go_on(self, heard: Heard, *, answered: bool) -> str:
        if self._task == "book" and "cancel" in heard.text.lower():
            return self._abandon()
        if self._task == "cancel" or (self._task is None and Act.CANCEL in heard.acts):
            return self._cancel(heard)
        if self._task == "find" or (self._task is None and Act.FIND in heard.acts):
            return self._find(heard)
        if self._task == "book" or self._wants_table(heard, answered):
            return self._book(heard)
        return self._offer_help(heard) if answered else self._small_talk(heard)

    def _wants_table(self, heard: Heard, answered: bool) -> bool:
        if self._done and Act.THANK in heard.acts:
            return False
        if self._expecting == "booking" and Act.AFFIRM in heard.acts:
            return True
        details = heard.details & {"day", "at", "party_size"} and not answered and not self._done
        return bool(details) or Act.BOOK in heard.acts

    def _offer_help(self, heard: Heard) -> str:
        if self._done:
            return "Is there anything else?"
        self._wish.take(heard)
        self._expecting = "booking"
        return "Would you like to book a table?"

    def _small_talk(self, heard: Heard) -> str:
        if self._done and Act.CHANGE in heard.acts:
            return "I cannot change a booking, but I can cancel it and make a new one."
        if Act.THANK in heard.acts or (self._done and heard.acts & {Act.DENY, Act.AFFIRM}):
            return "You are welcome. We look forward to seeing you." if self._booked else "You are welcome. Goodbye."
        return GREETING if Act.GREET in heard.acts else f"I am not sure that I understood. {ABILITIES}"

    def _abandon(self) -> str:
        self._wish, self._checked, self._task, self._expecting = Wish(), None, None, None
        return "All right, I have not booked anything. Is there anything else?"

    # -- booking ----------------------------------------------------------------------------------------------------

    def _book(self, heard: Heard) -> str:
        if self._task is None and self._booked:
            self._wish = Wish(name=self._wish.name)
        self._task = "book"
        self._choose_offer(heard)
        changed = self._wish.take(heard)
        if self._checked and not changed & {"day", "at"}:
            return self._settle(heard, changed)
        if slot := self._wish.missing():
            return self._ask(slot)
        return self._check()

    def _choose_offer(self, heard: Heard) -> None:
        """Take up "yes" or "the later one" after other times were offered."""
        if not self._offered or heard.at:
            return
        text = heard.text.lower()
        later, earlier = "later" in text or "second" in text, "earlier" in text or "first" in text
        if later or earlier:
            self._wish.at = max(self._offered) if later else min(self._offered)
        elif Act.AFFIRM in heard.acts and Act.DENY not in heard.acts:
            self._wish.at = self._offered[0]

    def _ask(self, slot: str) -> str:
        self._expecting = slot
        return _QUESTIONS[slot]

    def _check(self) -> str:
        """Ask whether there is a table; sum up if there is, offer other times if there is not."""
        request = self._wish.request()
        found = self._tools.call("check_availability", **request)
        if found["available"]:
            self._checked, self._offered = request, []
            return self._sum_up()
        return self._offer(found)

    def _offer(self, found: Json) -> str:
        self._checked = None
        self._offered = [time.fromisoformat(other) for other in found["alternatives"]]
        if self._offered:
            self._expecting = "at"
            times = " or ".join(_said(other) for other in self._offered)
            full = f"I am sorry, at {_said(self._wish.at)} we are fully booked."
            return f"{full} I could offer {times}. What time suits you?"
        slot = _slot_to_blame(found["reason"])
        setattr(self._wish, slot, None)
        return f"I am sorry, that is not possible. {found['reason']} {self._ask(slot)}"

    def _sum_up(self) -> str:
        self._expecting = "confirmation"
        return f"So that is {self._wish.text()} Shall I book it?"

    def _settle(self, heard: Heard, changed: set[str]) -> str:
        """The guest's answer to the summary."""
        if changed or heard.allergies:
            return f"Of course. {self._sum_up()}"
        if Act.DENY in heard.acts:
            return "What would you like to change: the date, the time, the number of people or the name?"
        if Act.AFFIRM in heard.acts:
            return self._create()
        return self._sum_up()

    def _create(self) -> str:
        booking = self._tools.call(
            "create_booking", **(self._checked or {}), name=self._wish.name, notes="; ".join(self._wish.notes)
        )
        if "error" in booking:
            return self._check()
        self._booked, self._found = booking, booking["reference"]
        self._checked, self._done = None, True
        self._task, self._expecting = None, None
        return f"Your booking is confirmed: {self._wish.text()} Your reference is {booking['reference']}."

    # -- bookings that exist ------------------------------------------------------------------------------------------

    def _find(self, heard: Heard) -> str:
        found = self._look_up(heard)
        if found is None:
            self._task, self._expecting = "find", "name"
            return "Under which name or reference is the booking?"
        self._task, self._expecting = None, None
        self._found = found[0]["reference"] if len(found) == 1 else None
        if not found:
            return "I cannot find a booking like that."
        return " ".join(f"I found booking {_in_words(booking)}." for booking in found)

    def _cancel(self, heard: Heard) -> str:
        self._task = "cancel"
        if self._to_cancel:
            return self._confirm_cancelling(heard, self._to_cancel)
        found = self._look_up(heard)
        if found is None:
            self._expecting = "name"
            return "I can cancel that for you. What is the reference, or the name it was booked under?"
        if heard.day:
            found = [booking for booking in found if booking["date"] == heard.day.isoformat()]
        if not found:
            return "I cannot find that booking. Could you give me the reference or the name again?"
        if len(found) > 1:
            return f"There are {len(found)} bookings under that name. What is the reference?"
        self._to_cancel, self._expecting = found[0], None
        return f"I found booking {_in_words(found[0])}. Shall I cancel it?"

    def _confirm_cancelling(self, heard: Heard, booking: Json) -> str:
        if Act.DENY in heard.acts:
            self._task, self._to_cancel = None, None
            return "Then I leave the booking as it is. Is there anything else?"
        if not heard.acts & {Act.AFFIRM, Act.CANCEL}:
            return f"Shall I cancel booking {_in_words(booking)}?"
        cancelled = self._tools.call("cancel_booking", reference=booking["reference"])
        self._task, self._to_cancel, self._done = None, None, True
        return cancelled.get("error") or f"Booking {cancelled['reference']} is cancelled. Is there anything else?"

    def _look_up(self, heard: Heard) -> list[Json] | None:
        """The bookings that the guest may mean; None when there is nothing to look for."""
        if heard.reference:
            return self._tools.call("find_booking", reference=heard.reference)["bookings"]
        if heard.name:
            return self._tools.call("find_booking", name=heard.name)["bookings"]
        if self._found:
            return self._tools.call("find_booking", reference=self._found)["bookings"]
        return None


def _slot_to_blame(reason: str) -> str:
    """Which detail has to change, from the reason why nobody could book that."""
    if "seat between" in reason:
        return "party_size"
    return "at" if "seat guests from" in reason else "day"


def _menu_query(without: str | None, diet: str | None) -> Json:
    return {key: value for key, value in (("without", without), ("diet", diet)) if value}


def _in_words(booking: Json) -> str:
    day, at = date.fromisoformat(booking["date"]), time.fromisoformat(booking["time"])
    size = booking["party_size"]
    return f"{booking['reference']} for {booking['name']}, {size} people, {_said_day(day)} at {_said(at)}"


def _said_day(day: date | None) -> str:
    return f"{day:%A} {day.day} {day:%B}" if day else "that day"


def _said(at: time | None) -> str:
    if at is None:
        return "that time"
    hour = at.hour % 12 or 12
    minutes = f":{at.minute:02d}" if at.minute else ""
    return f"{hour}{minutes} {'pm' if at.hour >= 12 else 'am'}"
