"""Whether a line is one that a user would say: the rules by which a model's answer is sent back instead of spoken.

Models that play a user fall out of the part in a few ways: they write both sides, think aloud, speak as the assistant
or of their instructions, refuse, or leave marks of the format they were trained on. Every rule is a pattern and a
complaint for the model. Code and quoted lines are not looked at: users may show them. All repetitions in patterns are
bounded, so a long answer takes no longer than its length.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cache

from duologue.agents.users.role_rules import (
    AGENT,
    BEFORE,
    BOTH,
    COLON,
    FLIP,
    HELPER,
    INLINE,
    LABEL,
    OFFERS,
    POLITE,
    RULES,
    SENTENCE,
    THOUGHT_TAG,
    USER,
    WANTS,
    WEAK,
)


def out_of_role(text: str, *, names: Sequence[str] = (), about: str = "") -> str | None:
    """Why a user would not say that, as a complaint for the model; None if it is plausible.

    Args:
        text: what would be said.
        names: of the person, as they may stand in front of a line.
        about: who the person is and what it wants: somebody who wants to help may offer help.
    """
    shown = _normal(text)
    for rule in RULES:
        if _any(rule.name).search(shown):
            return rule.complaint
    return _labelled(shown, names) or _offers(shown, about)


def without_label(text: str, names: Sequence[str] = ()) -> str:
    """The words without the person's own label in front; a form that begins with one keeps it."""
    found = _labels(tuple(names)).match(text)
    if found is None or found["agent"] or (found["value"] and _is_form(text, names)):
        return text
    return text[found.start("value") :].lstrip(" *_")


def without_thoughts(text: str) -> str:
    """The words after thoughts that are closed; thoughts that are not closed stay, and are complained about."""
    closing = _closing().search(text)
    if closing is None:
        return text
    rest = text[closing.end() :]
    return rest.strip() or text


def _labelled(text: str, names: Sequence[str]) -> str | None:
    found = list(_labels(tuple(names)).finditer(text))
    if len(found) < 2 and len(INLINE.findall(text)) > 1:
        return BOTH
    if not found:
        return None
    before = text[: found[0].start()].rstrip()
    if before.endswith(":"):  # "This is what your chat said:", and what it said
        return None
    short = all(_is_short(item["value"]) for item in found)
    if short and (_is_form(text, names) or (len(found) == 1 and WEAK.match(found[0]["agent"] or ""))):
        return None
    return BOTH if before or len(found) > 1 else LABEL if found[0]["agent"] else None


def _is_short(value: str) -> bool:
    return len(value.split()) <= 4 and not re.search(r"[.?!。]\s{0,3}$", value)


def _is_form(text: str, names: Sequence[str]) -> bool:
    """Whether it is a list of details: lines of a short name and a short value, most of them not of a speaker."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fields = [line for line in lines if re.match(r"[-•*]?\s{0,3}[^\s:][^:\n]{0,25}:\s?\S", line)]
    plain = [line for line in fields if not _labels(tuple(names)).match(line)]
    return len(plain) >= 1 and not any(re.search(r"[.?!。]$", line) for line in fields if line not in plain)


def _offers(text: str, about: str) -> str | None:
    flipped = _any("offers")
    if not flipped.search(text):
        return None
    if HELPER.search(text) or HELPER.search(about):
        return None
    rest = [part for part in re.split(r"[.!?\n]+", text) if not flipped.search(f"{part.strip()} ")]
    if any(WANTS.search(part) and not POLITE.search(part) for part in rest):
        return None
    return FLIP


def _normal(text: str) -> str:
    """The text as the patterns know it, without code and without quoted lines, unless there is nothing else."""
    text = unicodedata.normalize("NFKC", text).replace("’", "'").replace("\u200b", "").replace("\ufeff", "")
    prose = re.sub(r"```[\s\S]*?```|`[^`\n]{1,200}`", " ", text)
    prose = re.sub(r"(?m)^[ \t]{0,3}>.*$", "", prose)
    return prose if prose.strip() else text


@cache
def _any(name: str) -> re.Pattern[str]:
    """The patterns of a rule; compiled when they are first used."""
    patterns = next((rule.patterns for rule in RULES if rule.name == name), OFFERS)
    multiline = [pattern for pattern in patterns if pattern.startswith("(?m)")]
    parts = [f"(?:{pattern})" for pattern in patterns if pattern not in multiline]
    parts += [f"(?m:{pattern.removeprefix('(?m)')})" for pattern in multiline]
    return re.compile("|".join(parts), re.IGNORECASE)


@cache
def _labels(names: tuple[str, ...]) -> re.Pattern[str]:
    own = "|".join([USER, *(re.escape(name) for name in names if name)])
    label = rf"(?:(?P<agent>{AGENT})|(?P<user>{own}))"
    return re.compile(
        rf"(?:^{BEFORE}|{SENTENCE}){label}{COLON}[*_]{{0,2}}[ \t]{{0,3}}(?P<value>[^\n]{{0,2000}})",
        re.IGNORECASE | re.MULTILINE,
    )


@cache
def _closing() -> re.Pattern[str]:
    return re.compile(
        rf"^\s{{0,20}}(?:<(?:{THOUGHT_TAG})>|\[think(?:ing)?\]|◁think▷)?[\s\S]*</(?:{THOUGHT_TAG})>|^[\s\S]*(?:\[/think(?:ing)?\]|◁/think▷)",
        re.IGNORECASE,
    )
