"""How well a simulated user has played its part, judged by rules: no model is asked.

A user that a model plays can spoil a conversation in five ways. It leaves its role, contradicts what its persona knows,
leads the agent to the answer, says the same again and again, or gives away what it was told about the test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from duologue.agents.users.in_role import certainly_out_of_role
from duologue.config.patterns import late
from duologue.frozen import frozen
from duologue.messages import text_of
from duologue.suites.results.run import MessageResult, RunResult
from duologue.suites.results.simulated import FidelityFault, FidelityKind, FidelityResult

_KINDS: tuple[FidelityKind, ...] = ("role", "facts", "leading", "repetition", "leak")
SPOILING: frozenset[FidelityKind] = frozenset({"role", "facts", "leading", "leak"})
"""Faults that can turn the outcome of a run: one that repeats itself only wastes time."""


@frozen
class UserBrief:
    """What a simulated user was told, as far as rules can look at it.

    Attributes:
        facts: that the person knows, by name.
        criteria: what the run is judged by, which the user must not give away.
    """

    facts: Mapping[str, str] = field(default_factory=dict[str, str])
    criteria: Sequence[str] = ()


def fidelity_of(run: RunResult, brief: UserBrief | None = None) -> FidelityResult | None:
    """How well the simulated user of a run has played its part; None where none has spoken.

    Args:
        run: the run.
        brief: what the user was told; None for rules that need not know it.
    """
    brief = brief or UserBrief()
    own = [item for item in run.messages if item.author is not None and item.message["role"] == "user"]
    if not own:
        return None
    faults = tuple(fault for place, item in enumerate(own) for fault in _faults(item, own[:place], run.messages, brief))
    parts: dict[FidelityKind, float] = {}
    for kind in _KINDS:
        wrong = len({fault.message_id for fault in faults if fault.kind == kind})
        parts[kind] = 1 - wrong / len(own)
    return FidelityResult(score=sum(parts.values()) / len(parts), parts=parts, faults=faults, messages=len(own))


def _faults(
    item: MessageResult, before: Sequence[MessageResult], messages: Sequence[MessageResult], brief: UserBrief
) -> Iterator[FidelityFault]:
    text = text_of(item.message)
    if certainly_out_of_role(text):
        yield FidelityFault(kind="role", message_id=item.id, text="it does not speak as a user")
    if (found := _leaked(text, brief)) is not None:
        yield FidelityFault(kind="leak", message_id=item.id, text=f"it gives away what it was told: '{found}'")
    heard = _said_by_agent(item, messages)
    if (fault := _contradicted(text, heard, brief)) is not None:
        yield FidelityFault(kind="facts", message_id=item.id, text=fault)
    if found := _TELLS_ANSWER.search(text):
        yield FidelityFault(kind="leading", message_id=item.id, text=f"it tells the agent what to say: '{found[0]}'")
    if _is_repeated(text, before):
        yield FidelityFault(kind="repetition", message_id=item.id, text="it has said the same before")


_LEAKS = late(
    r"\b(?:my (?:system )?(?:prompt|instructions|persona)|(?:system|hidden) prompt|as (?:a|the) (?:simulated"
    r"|test|fake) user"
    r"|i am (?:a )?(?:simulated|simulating)|i(?:'m| am) (?:only |just )?(?:playing|pretending to be) (?:a"
    r"|the) (?:user|customer)"
    r"|the (?:test )?(?:scenario|criteria|criterion) (?:is|are|says?|requires?)|this is (?:only "
    r"|just )?a (?:test|simulation))\b",
    re.IGNORECASE,
)
_TELLS_ANSWER = late(
    r"\b(?:the (?:correct|right|expected) (?:answer|response|reply) (?:is|would be|should be)"
    r"|you(?:'re| are) (?:supposed|expected) to (?:say|answer|reply|tell me|refuse|offer|ask)"
    r"|(?:just|please) say(?: that)? [\"'“]|repeat after me)",
    re.IGNORECASE,
)
_SAME_WORDS = 6
"""Words of a criterion in a row that no user says by accident."""
_FEW_WORDS = 3
"""Users may say up to so many words as often as they like: "Yes, please."."""


def _leaked(text: str, brief: UserBrief) -> str | None:
    if found := _LEAKS.search(text):
        return found[0]
    said = f" {' '.join(_words(text))} "
    for criterion in brief.criteria:
        words = _words(criterion)
        for start in range(len(words) - _SAME_WORDS + 1):
            part = " ".join(words[start : start + _SAME_WORDS])
            if f" {part} " in said:
                return part
    return None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _said_by_agent(item: MessageResult, messages: Sequence[MessageResult]) -> str:
    """What the agent and its tools had said before a message."""
    found: list[str] = []
    for other in messages:
        if other.id == item.id:
            break
        if other.message["role"] != "user":
            found.append(text_of(other.message))
    return " ".join(found).lower()


_CODE = late(r"(?<![\w.,:])(?=[\w-]*\d)[\w][\w-]*\w(?![\w:])|(?<![\w.,:])\d(?![\w.,:])")


def _contradicted(text: str, heard: str, brief: UserBrief) -> str | None:
    """A fact of the persona that a message gives another value: a code or number of the same form, named like it."""
    lower = text.lower()
    own = {value.lower() for known in brief.facts.values() for value in _CODE.findall(known)}
    for name, value in brief.facts.items():
        codes = [found.lower() for found in _CODE.findall(value)]
        if len(codes) != 1 or not _names(name, lower):
            continue
        shape = _shape(codes[0])
        for said in _CODE.findall(lower):
            if said not in own and said not in heard and _shape(said) == shape:
                return f"the {name} is {value}, and it says {said}"
    return None


def _names(name: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(name.lower().replace('_', ' '))}\b", text) is not None


def _shape(code: str) -> str:
    return re.sub(r"[a-z]", "a", re.sub(r"\d", "9", code))


def _is_repeated(text: str, before: Sequence[MessageResult]) -> bool:
    words = _words(text)
    return len(words) > _FEW_WORDS and any(_words(text_of(other.message)) == words for other in before)
