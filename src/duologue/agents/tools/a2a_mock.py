"""A mock of an A2A agent, defined by rules in the suite: the first rule that matches a question answers it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from duologue.agents.tools.call import Result, ToolFault
from duologue.config.patterns import compiled, found
from duologue.config.spec import EMPTY, Items, JsonObject, Spec
from duologue.errors import ConfigurationError
from duologue.messages import ContentPart, JsonValue, media_part
from duologue.specs.suite import A2aAgent


class _Match(Spec):
    """Which questions a rule answers."""

    contains: str | None = None
    """The question contains this text; upper and lower case are the same."""
    regex: str | None = None
    """A regular expression is found in the question."""


class _Response(Spec):
    parts: Items[JsonObject] = ()
    """The pieces of the answer."""


class _Rule(Spec):
    """An answer, and when it is given."""

    skill: str | None = None
    """Only to this skill."""
    match: _Match = Field(default=_Match())
    """Only to these questions."""
    response: _Response | None = None
    """The answer."""
    parts: Items[JsonObject] = ()
    """The pieces of the answer, in place of ``response``."""
    error: str | None = None
    """The agent fails with this, in place of an answer."""
    metadata: JsonObject = EMPTY
    """For people."""

    def fits(self, skill: str, query: str) -> bool:
        """Whether it answers this question."""
        if self.skill not in {None, skill}:
            return False
        if self.match.contains is not None and self.match.contains.casefold() not in query.casefold():
            return False
        return self.match.regex is None or found(self.match.regex, query) is not None


class MockA2aAgent:
    """Answers from the rules of a suite.

    Raises:
        ConfigurationError: a rule is wrong; says which.
    """

    def __init__(self, agent: A2aAgent) -> None:
        self._name = agent.name
        self._rules = [
            _rule(item, f"a2a agent '{agent.name}': responses[{i}]") for i, item in enumerate(agent.responses)
        ]

    async def ask(self, skill: str, query: str) -> Result:
        """The answer of the first rule that fits. Raises ToolFault if it is an error, or none fits."""
        rule = next((rule for rule in self._rules if rule.fits(skill, query)), None)
        if rule is None:
            raise ToolFault(f"agent {self._name}: no rule answers the skill '{skill}' to {query[:200]!r}")
        if rule.error is not None:
            raise ToolFault(f"agent {self._name}: {rule.error}")
        parts = rule.response.parts if rule.response else rule.parts
        texts = [str(part["text"]) for part in parts if "text" in part]
        data = [part["data"] for part in parts if "data" in part and "text" not in part]
        return result_of(texts, data, [_media(part["file"]) for part in parts if "file" in part])


def result_of(texts: Sequence[str], data: Sequence[JsonValue], media: Sequence[ContentPart]) -> Result:
    """The parts of an A2A message as a tool's result.

    Args:
        texts: joined by line breaks.
        data: given as JSON where there is no text; a single item by itself.
        media: pictures, sounds and other files.
    """
    if data and not texts:
        return Result(value=data[0] if len(data) == 1 else list(data), parts=tuple(media))
    return Result(value="\n".join(texts), parts=tuple(media))


def _media(file: Mapping[str, Any]) -> ContentPart:
    mime = str(file.get("mimeType") or file.get("mime_type") or "application/octet-stream")
    return media_part(mime, data=file.get("bytes"), url=str(file.get("uri") or ""), facts={"mime_type": mime})


def _rule(written: Mapping[str, Any], where: str) -> _Rule:
    try:
        rule = _Rule.model_validate(dict(written))
        if rule.match.regex is not None:
            compiled(rule.match.regex)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ConfigurationError(f"{where}.{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ValueError as error:
        raise ConfigurationError(f"{where}.match.regex: {error}") from error
    if rule.error is None and rule.response is None and not rule.parts:
        raise ConfigurationError(f"{where}: a rule needs a response with parts, or an error")
    return rule
