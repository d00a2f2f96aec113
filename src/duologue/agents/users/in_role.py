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
    DETAIL,
    FLIP,
    GREETINGS,
    HELPER,
    INLINE,
    LABEL,
    OFFERS,
    POLITE,
    RULES,
    SAYS,
    SENTENCE,
    SERVES,
    THOUGHT_TAG,
    USER,
    WANTS,
    WEAK,
)

_DETAIL_WORDS = 8
"""Words of a name with a number, at most."""


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


def certainly_out_of_role(text: str, *, names: Sequence[str] = ()) -> bool:
    """Whether no person would ever say that: both sides in one, marks of formats, private thoughts, the role itself."""
    shown = _normal(text)
    if any(rule.certain and _certain(rule.name).search(shown) for rule in RULES):
        return True
    labels = list(_labels(tuple(names)).finditer(shown))
    return _labelled(shown, names) == BOTH and (
        len(INLINE.findall(shown)) > 1
        or (len(labels) > 1 and any(item["agent"] for item in labels))
        or any(item.start() == 0 or shown[item.start() - 1] == "\n" for item in labels)
    )


def without_label(text: str, names: Sequence[str] = ()) -> str:
    """The words without the person's own label in front; a form that begins with one keeps it."""
    found = _labels(tuple(names)).match(text)
    if found is None or found["agent"] or (found["value"] and _is_form(text, names)):
        return text
    if DETAIL.fullmatch(found["user"]) and _is_detail(text[found.start("value") :]):
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
    if short and _is_form(text, names):
        return None
    if len(found) == 1 and WEAK.match(found[0]["agent"] or "") and (short or not SERVES.search(found[0]["value"])):
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


def _is_detail(value: str) -> bool:
    """Whether it is a name or a number, as in "Customer: Acme Corp, invoice 17", and no sentence."""
    words = re.findall(r"\w+", value)
    named = all(word[0].isupper() or word[0].isdigit() for word in words)
    counted = any(word[0].isdigit() for word in words) and any(not word[0].isdigit() for word in words)
    return (
        bool(words)
        and len(words) <= _DETAIL_WORDS
        and "\n" not in value.strip()
        and not re.search(r"[.?!。？！]\s{0,3}$", value)
        and (named or counted)
        and words[0].casefold() not in GREETINGS
        and not SAYS.search(value)
        and any(char.isalpha() and char.lower() != char.upper() for char in value)
    )


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
    return _compiled(next((rule.patterns for rule in RULES if rule.name == name), OFFERS))


@cache
def _certain(name: str) -> re.Pattern[str]:
    return _compiled(next(rule.certain for rule in RULES if rule.name == name))


def _compiled(patterns: Sequence[str]) -> re.Pattern[str]:
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
