"""What a guest means: the acts and details in one message, found with patterns. Decides nothing."""

# ruff: noqa: TID252 - relative imports, so that this folder runs wherever it is copied to

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date, time
from enum import Enum

from .when import NUMBER, number, read_date, read_time


class Act(Enum):
    """What a guest does by saying something."""

    BOOK = "book"
    CANCEL = "cancel"
    FIND = "find"
    HOURS = "hours"
    MENU = "menu"
    AFFIRM = "affirm"
    DENY = "deny"
    GREET = "greet"
    THANK = "thank"
    CHANGE = "change"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One message, understood as far as it goes. A detail that was not mentioned is None."""

    text: str
    acts: frozenset[Act] = frozenset()
    day: date | None = None
    at: time | None = None
    party_size: int | None = None
    name: str | None = None
    reference: str | None = None
    allergies: tuple[str, ...] = ()
    asks_about: tuple[str, ...] = ()
    diet: str | None = None
    details: frozenset[str] = field(default=frozenset())
    """The names of the details of a booking that were mentioned."""


_ACTS = {
    Act.BOOK: r"\b(book(?!ing\b)|booking for|reserv\w+|table for|get a table|have a table|need a table|like a table)\b",
    Act.CANCEL: r"\b(cancel\w*|call off|can't make it|cannot make it|won't make it)\b",
    Act.FIND: r"\b(find|look up|check|see|details of|when is|do i have)\b.{0,20}\b(my|our|a) (booking|reservation)\b",
    Act.HOURS: r"\b(opening hours|opening times?|what time do you (open|close)|when (are|do) you (open|close)|"
    r"are you open|hours are|how late|last seating)",
    Act.MENU: r"\b(menu|dish(es)?|options?|serve|vegan|vegetarian|gluten|allerg\w+|celiac|coeliac|intoleran\w+|contain|"
    r"safe to eat|eat)\b",
    Act.AFFIRM: r"\b(yes|yeah|yep|yup|sure|correct|that'?s right|exactly|sounds (good|great|perfect)|perfect|"
    r"please do|go ahead|confirm(ed)?|book it|ok|okay|works( for (me|us))?|(is|be) (fine|good|great|perfect)|"
    r"i'?ll take|we'?ll take|absolutely|of course|lovely|great)\b",
    Act.DENY: r"\b(no|nope|not|wrong|don'?t|incorrect|neither|rather not)\b",
    Act.GREET: r"^\s*(hi|hello|hey|good (morning|afternoon|evening))\b",
    Act.THANK: r"\b(thanks|thank you|bye|goodbye|that'?s all|that is all|that will be all|nothing else|"
    r"have a (good|nice))",
    Act.CHANGE: r"\b(change|actually|instead|make it|make that|move|sorry|wait|correction|rather)\b",
}
_ALLERGENS = {
    "peanuts": r"peanuts?",
    "nuts": r"(tree )?(?<!pea)nuts?|almonds?|hazelnuts?|walnuts?",
    "shellfish": r"shellfish|prawns?|shrimps?|crab|seafood",
    "fish": r"fish",
    "gluten": r"gluten(?: |-)?(?:free)?|celiac|coeliac|wheat",
    "dairy": r"dairy|lactose|milk",
    "egg": r"eggs?",
    "soy": r"soya?",
}
_SUFFERS = re.compile(r"\b(allerg\w+|intoleran\w+|c(?:o)?eliac|can(?:no|')?t (?:eat|have)|\w+-free for)\b")
_ASKS = re.compile(r"\?|\b(do you|does|which|what|is there|are there|any|can (?:i|he|she|we|they) eat|safe)\b")
_PEOPLE = r"(?:people|persons?|guests?|adults?|diners?|pax|of us|seats)"
_PARTY = tuple(
    re.compile(pattern)
    for pattern in (
        rf"\b(?:party|group|table)(?: size)?(?: of| for| is|:| to be)* ({NUMBER})\b",
        rf"\b({NUMBER})(?: of us| (?:\w+ )?{_PEOPLE})\b",
        rf"\b(?:we are|we're|we'll be|we will be|there are|there will be|there'll be) (?:\w+ )??({NUMBER})\b",
        rf"\b{_PEOPLE}(?: is| are|:| to)* ({NUMBER})\b",
        rf"\b(?:make (?:it|that)|change (?:it|that) to|it'?s|be|instead|but|for|to|now) (?:\w+ )??({NUMBER})\b",
        rf"\b({NUMBER}) instead\b",
    )
)
_FAMILY = re.compile(rf"\b({NUMBER}) adults?,? (?:and|plus|with) ({NUMBER}) (?:children|kids|child|kid|toddlers?)\b")
_AND_FRIENDS = re.compile(rf"\bme and ({NUMBER}) (?:friends?|others?|colleagues?|guests?)\b")
_COUPLE = re.compile(
    r"\b(couple of us|both of us|(?:me|myself|i) and my (?:wife|husband|partner|friend)|my \w+ and (?:i|me))\b"
)
_ALONE = re.compile(r"\b(just me|only me|myself|on my own|alone)\b")
_PRONOUN = re.compile(r"\b(this|that|the|later|earlier|first|second|last|which|any|either) one\b")
_REFERENCE = re.compile(r"\b[Rr] ?-?(\d{4})\b")
_NAMED = re.compile(
    r"\b(?:(?:my|the|booking) name is|my name's|name'?s|name(?: is|:)|under(?: the name(?: of)?)?|"
    r"in the name of|call me|(?:i am|i'm|this is|it'?s for|it is for|for) (?=(?-i:[A-Z])))\s*(.+)",
    re.IGNORECASE,
)
_NAME_WORD = re.compile(r"[A-Za-zÀ-ÿ][A-Za-zÀ-ÿ'’-]*")
_NO_NAME = frozenset(
    "a an and the at on in for of to is it its with we i im my me you our us please thanks thank "
    "yes no ok okay hi hello sure looking calling hoping trying booking would like want need table "
    "party people person guests allergic vegan vegetarian coming fine good great happy sorry not just only "
    "afraid about from by but if can could also there that this so "
    "january february march april may june july august september october november december dinner lunch "
    "monday tuesday wednesday thursday friday saturday sunday today tomorrow tonight actually make "
    "one two three four five six seven eight nine ten interested planning celiac coeliac bringing having".split()
)


def understand(text: str, today: date, expecting: str | None = None) -> Heard:
    """Read one message of a guest.

    Args:
        text: what the guest wrote.
        today: what "tomorrow" and "Friday" are counted from.
        expecting: the detail that was asked for last (``day``, ``at``, ``party_size``, ``name``), so that a bare
            "seven" means what it should.
    """
    lower = text.lower().replace("’", "'")
    reference = _REFERENCE.search(text)
    lower = _PRONOUN.sub(r"\1", lower)
    day, rest = read_date(_REFERENCE.sub(" ", lower), today)
    party_size, rest = _read_party(rest)
    at, rest = read_time(rest, bare=expecting == "at")
    if party_size is None:
        party_size = _read_loose_party(rest, bare=expecting == "party_size")
    name = _read_name(text, expecting == "name")
    mentioned = {"day": day, "at": at, "party_size": party_size, "name": name}
    return Heard(
        text=text,
        acts=_acts(lower),
        day=day,
        at=at,
        party_size=party_size,
        name=name,
        reference=f"R{reference[1]}" if reference else None,
        allergies=_allergens(lower) if _SUFFERS.search(lower) else (),
        asks_about=_allergens(lower) if _ASKS.search(lower) else (),
        diet=next((diet for diet in ("vegan", "vegetarian") if diet in lower), None),
        details=frozenset(slot for slot, value in mentioned.items() if value is not None),
    )


def _acts(text: str) -> frozenset[Act]:
    acts = {act for act, pattern in _ACTS.items() if re.search(pattern, text)}
    if re.match(rf"\W*(?:{_ACTS[Act.AFFIRM]})", text):
        acts.discard(Act.DENY)  # "yes, no problem"
    return frozenset(acts)


def _read_party(text: str) -> tuple[int | None, str]:
    """The party size where the words leave no doubt that people are counted, and the text without it."""
    for pattern, size in ((_FAMILY, 0), (_AND_FRIENDS, 1)):
        if match := pattern.search(text):
            return size + sum(number(group) for group in match.groups()), _cut(text, match)
    for pattern in _PARTY[:2]:
        matches = [match for match in pattern.finditer(text) if not _is_clock(text, match.end())]
        if matches:
            return number(matches[-1][1]), _cut(text, matches[-1])
    for pattern, size in ((_COUPLE, 2), (_ALONE, 1)):
        if match := pattern.search(text):
            return size, _cut(text, match)
    return None, text


def _read_loose_party(text: str, *, bare: bool) -> int | None:
    """The party size where the number could have been a time; call it with times already taken out."""
    for pattern in _PARTY:
        if match := pattern.search(text):
            return number(match[1])
    if bare and (match := re.search(rf"\b({NUMBER})\b", text)):
        return number(match[1])
    return None


def _is_clock(text: str, end: int) -> bool:
    return bool(re.match(r"[:.]\d\d|\s*(?:[ap]\.?m\b|o'?clock)", text[end:]))


def _cut(text: str, match: re.Match[str]) -> str:
    return f"{text[: match.start()]} , {text[match.end() :]}"


def _read_name(text: str, bare: bool) -> str | None:
    for match in _NAMED.finditer(text):
        if name := _leading_name(match[1]):
            return name
    if not bare:
        return None
    opening = r"^(?:sure|yes|yeah|ok|okay|of course|certainly|it's|it is)[,.!]?\s+"
    words = re.sub(opening, "", text.strip(), flags=re.IGNORECASE)
    return _leading_name(words)


def _leading_name(text: str) -> str | None:
    """The name that a text begins with: up to three words that could be one; lower case is put right."""
    words: list[str] = []
    for token in re.split(r"\s+", text.strip().strip("\"'"))[:3]:
        bare = token.rstrip(".,!?;:\"'")
        if not _NAME_WORD.fullmatch(bare) or bare.lower() in _NO_NAME:
            break
        if words and words[0][0].isupper() != bare[0].isupper():
            break
        words.append(bare)
        if bare != token:
            break
    return " ".join(word if word[0].isupper() else word.capitalize() for word in words) or None


def _allergens(text: str) -> tuple[str, ...]:
    return tuple(name for name, pattern in _ALLERGENS.items() if re.search(rf"\b(?:{pattern})\b", text))
