"""What a judge's answer decides under names that it was not asked for: an answer must not say two things."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import cast

from duologue.messages import JsonValue

_NAMES = frozenset(
    "passed pass passes passing met meets success successful succeeded verdict decision result outcome judgement "
    "judgment status answer conclusion fulfilled satisfied overall final compliant".split()
)
"""Words in names under which judges also decide, unasked."""
_AGAINST = frozenset("fail fails failed failing failure violated violates violation unmet unsuccessful not".split())
"""Words in names that turn the decision round: ``"failed": true``."""
_MET = frozenset("true yes pass passed passes met success successful succeeded succeeds fulfilled satisfied ok".split())
_UNMET = frozenset(
    "false,no,fail,failed,fails,failure,not met,unmet,not passed,unsuccessful,not fulfilled,unfulfilled,not satisfied,"
    "unsatisfied".split(",")
)
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")


def decision_in(value: JsonValue) -> bool | None:
    """What a value decides; None if that cannot be told."""
    if isinstance(value, bool):
        return value
    word = plain(value) if isinstance(value, str) else ""
    return True if word in _MET else False if word in _UNMET else None


def plain(word: str) -> str:
    """A word without signs and capitals."""
    return re.sub(r"[\W_]+", " ", word).strip().casefold()


def other_decisions(
    fields: Mapping[str, JsonValue], asked: Collection[str], *, nested: bool = False
) -> Iterator[tuple[str, JsonValue, bool]]:
    """Decisions in fields that were not asked for: the name, what stands there, and whether it says "met".

    Args:
        fields: the answer.
        asked: names of the fields that were asked for.
        nested: whether to look into lists and objects too.
    """
    for name, said in fields.items():
        if name in asked:
            continue
        if (met := _decided(name, said)) is not None:
            yield name, said, met
        elif nested:
            items = cast("list[JsonValue]", said) if isinstance(said, list) else [said]
            for item in items:
                if isinstance(item, dict):
                    yield from other_decisions(cast("dict[str, JsonValue]", item), (), nested=True)


def _decided(name: str, said: JsonValue) -> bool | None:
    words = {word.lower() for word in _WORD.findall(name)}
    met = decision_in(said)
    if met is None or not words & (_NAMES | _AGAINST):
        return None
    if words & _AGAINST and (isinstance(said, bool) or plain(str(said)) in {"true", "yes", "false", "no"}):
        return not met
    return met
