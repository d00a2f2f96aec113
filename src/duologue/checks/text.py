"""What the agent's words must or must not contain, and how long they may be.

A required text is looked for in the answer of the turn (its last text), or in everything that the agent said if the
check is about the conversation. A forbidden text is looked for in everything that the agent said. Lengths are in
characters; in a conversation, every answer must stay within them.
"""

import re
from typing import Annotated, ClassVar, Literal, Self
from unicodedata import normalize

from pydantic import BeforeValidator, Field, JsonValue, StringConstraints, model_validator

from duologue.checks.base import CheckType, Finding, finding
from duologue.checks.registry import Alias, check
from duologue.checks.subject import AgentText, Subject, ids_of, listed
from duologue.config.patterns import Pattern, found, late, occurrences
from duologue.models.resources import Resources
from duologue.models.scope import estimate_tokens

Text = Annotated[str, StringConstraints(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
"""At least one text, none of them empty."""
OneOrMore = Annotated[Texts, BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
"""The same, where a single text may be written without a list."""
Json = JsonValue
"""A value as JSON has them: dates and other things that YAML makes of bare words are refused."""
MatchMode = Literal["substring", "word_boundary"]

_SNIPPET = 20
_END = late(r"[.!?…。！？｡．؟۔।॥]+[\"'”’)\]」』]*")
_ENDS_ANYWHERE = "。！？｡．؟۔।॥"
"""Marks after which no space is needed."""
_ABBREVIATIONS = {"mr", "mrs", "ms", "dr", "prof", "vs", "e.g", "i.e", "approx"}


class _Patterns(CheckType):
    renamed: ClassVar = {"words": "patterns"}

    patterns: Texts
    """Texts to look for, such as ``["refund", "14 days"]``."""
    case_sensitive: bool = False
    """Whether upper and lower case are distinguished."""
    match_mode: MatchMode = "substring"
    """``substring`` matches anywhere; ``word_boundary`` only where the match does not begin or end inside a word."""

    def _in(self, said: AgentText) -> list[tuple[str, int, int]]:
        return occurrences(
            self.patterns, said.text, case_sensitive=self.case_sensitive, words=self.match_mode == "word_boundary"
        )


@check("contains", aliases=["content_includes"], family="Text")
class Contains(_Patterns):
    """The answer contains every one of these texts. The score is the share it contains."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        where = {pattern: item for item in subject.positive for pattern, _, _ in self._in(item)}
        missing = [pattern for pattern in self.patterns if pattern not in where]
        there = [pattern for pattern in self.patterns if pattern in where]
        return finding(
            len(there) / len(self.patterns),
            f"missing: {listed(missing)}" if missing else f"found {listed(there)}",
            ids_of(where.values()) or ids_of([subject.answer]),
            found=there,
            missing=missing,
        )


@check("contains_any", aliases=["content_includes_any"], family="Text")
class ContainsAny(_Patterns):
    """The answer contains at least one of these texts."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        for item in subject.positive:
            if places := self._in(item):
                pattern = places[0][0]
                return finding(True, f"found '{pattern}'", ids_of([item]), found=[pattern for pattern, _, _ in places])
        return finding(
            False,
            f"none of {listed(self.patterns)} was said",
            ids_of([subject.answer]),
            found=[],
            missing=self.patterns,
        )


@check(
    "content_excludes",
    aliases=["content_not_includes", Alias("banned_words", {"match_mode": "word_boundary"})],
    family="Text",
)
class ContentExcludes(_Patterns):
    """The agent says none of these texts in any message. Every occurrence is reported with its surroundings."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        violations = [
            {
                "turn_index": item.turn,
                "message_id": item.message_id,
                "pattern": pattern,
                "evidence": normalize("NFC", item.text)[max(0, start - _SNIPPET) : end + _SNIPPET],
            }
            for item in subject.said
            for pattern, start, end in self._in(item)
        ]
        if not violations:
            return finding(True, f"{listed(self.patterns)} not said")
        said = listed(dict.fromkeys(str(violation["pattern"]) for violation in violations))
        ids = dict.fromkeys(str(violation["message_id"]) for violation in violations)
        return finding(False, f"said: {said}", list(ids), violations=violations)


@check("regex", aliases=["content_matches"], family="Text")
class Regex(CheckType):
    """The answer matches a regular expression; with ``expect_match: false``, nothing the agent says matches it."""

    pattern: Pattern
    """Regular expression, searched anywhere in the text, such as ``(?i)order #\\d+``. A leading ``(?i)`` ignores
    case."""
    expect_match: bool = True
    """Set to false to require that nothing matches."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        for item in subject.positive if self.expect_match else subject.said:
            match = found(self.pattern, item.text)
            if match is not None:
                told = f"{self.pattern!r} matches {match[:80]!r}"
                return finding(self.expect_match, told, ids_of([item]), match=match)
        told = f"{self.pattern!r} matches nothing that was said"
        return finding(not self.expect_match, told, ids_of([subject.answer]), match=None)


@check("min_length", family="Text")
class MinLength(CheckType):
    """The answer has a minimum number of characters. The score is its length as a share of the minimum."""

    renamed: ClassVar = {"min_characters": "min", "min_chars": "min"}

    min: int = Field(ge=1)
    """Minimum length, in characters."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        shortest = min(subject.answers, key=lambda item: len(item.text))
        length = len(shortest.text)
        told = f"{length} characters, at least {self.min} asked for"
        return finding(length / self.min, told, ids_of([shortest]), length=length, min=self.min)


@check("max_length", aliases=["length"], family="Text")
class MaxLength(CheckType):
    """The answer is within a number of characters or tokens. Above it, the score is the limit divided by its length."""

    renamed: ClassVar = {"max_characters": "max", "max_chars": "max"}

    max: int | None = Field(default=None, ge=1)
    """Maximum length, in characters."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Maximum length, in tokens. Tokens are estimated from the text, not counted by the model's tokenizer."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.max is None and self.max_tokens is None:
            raise ValueError("max or max_tokens")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        score, item = min(((self._score(item.text), item) for item in subject.answers), key=lambda pair: pair[0])
        length, tokens = len(item.text), estimate_tokens(item.text, round_up=True)
        told = f"{length} characters"
        if self.max is not None:
            told = f"{told}, at most {self.max} allowed"
        if self.max_tokens is not None:
            told = f"{told}; about {tokens} tokens, at most {self.max_tokens} allowed"
        return finding(score, told, ids_of([item]), length=length, tokens=tokens)

    def _score(self, text: str) -> float:
        """Of the limit that comes out worse."""
        characters = 1.0 if self.max is None else self.max / max(len(text), 1)
        tokens = 1.0 if self.max_tokens is None else self.max_tokens / estimate_tokens(text, round_up=True)
        return min(characters, tokens)


@check("sentence_count", aliases=["max_sentences"], family="Text")
class SentenceCount(CheckType):
    """The number of sentences in the answer is within limits."""

    renamed: ClassVar = {"max_sentences": "max", "min_sentences": "min"}

    max: int | None = Field(default=None, ge=0)
    """Maximum number of sentences."""
    min: int | None = Field(default=None, ge=0)
    """Minimum number of sentences."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.max is None and not self.min:
            raise ValueError("max or min: a count without a limit cannot fail")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        counts = [(sentences_in(item.text), item) for item in subject.answers]
        low, high = self.min or 0, self.max
        wrong = [pair for pair in counts if pair[0] < low or (high is not None and pair[0] > high)]
        count, item = (wrong or counts)[-1]
        limits = [f"at least {low}"] if low else []
        limits += [f"at most {high}"] if high is not None else []
        told = f"{count} sentences, {' and '.join(limits)} asked for"
        return finding(not wrong, told, ids_of([item]), sentences=count)


@check("field_presence", aliases=["required_fields"], family="Text")
class FieldPresence(CheckType):
    """The answer mentions every one of these fields. The score is the share it mentions."""

    renamed: ClassVar = {"required_fields": "fields_", "fields": "fields_"}

    fields_: Texts
    """Field names to look for, such as ``["name", "date"]``. Case is ignored."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        return Contains(patterns=self.fields_).look(subject, resources)


def sentences_in(text: str) -> int:
    """How many sentences a text has. A text without an end mark is one; '3.5' and 'Dr.' end none."""
    count, start = 0, 0
    for end in _END.finditer(text):
        if _ends_a_sentence(text, start, end) and any(map(str.isalnum, text[start : end.start()])):
            count, start = count + 1, end.end()
    return count + any(map(str.isalnum, text[start:]))


def _ends_a_sentence(text: str, start: int, end: re.Match[str]) -> bool:
    """Whether the mark ends a sentence: not inside '3.5' or a name of a file, not after 'Dr.' or the 'J.' of a name."""
    if end.end() == len(text) or end[0][0] in _ENDS_ANYWHERE:
        return True
    if not text[end.end()].isspace():
        return False
    if end[0] != ".":
        return True
    word = (text[start : end.start()].split() or [""])[-1].lstrip("(\"'“‘")
    return not (len(word) == 1 and word.isalpha() and word != "I") and word.lower() not in _ABBREVIATIONS
