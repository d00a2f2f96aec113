"""What tools returned: texts, patterns, pictures and sounds."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from pydantic import Field

from duologue.checks.base import CheckType, Finding, finding
from duologue.checks.registry import check
from duologue.checks.subject import Call, Subject, ids_of, listed, named
from duologue.checks.text import Texts
from duologue.checks.tool_calls import session
from duologue.config.json_text import NoJsonError, json_value
from duologue.config.patterns import Pattern, found
from duologue.models.resources import Resources
from duologue.transcripts.media_facts import kind_of, parts_of


class _Result(CheckType):
    renamed: ClassVar = {"tool_name": "tool"}

    tool: str = Field(min_length=1)
    """Tool name."""
    occurrence: int = Field(default=1, ge=1)
    """Which call of the tool to look at, counted from 1."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        calls = named(subject.calls, self.tool)
        if len(calls) < self.occurrence:
            told = f"'{self.tool}' was called {len(calls)} times; call number {self.occurrence} is asked for"
            return finding(False, told, ids_of(calls))
        call = calls[self.occurrence - 1]
        if call.result is None:
            return finding(False, f"'{self.tool}' gave no answer", ids_of([call]))
        return self._read(call.result, call)

    def _read(self, result: str, call: Call) -> Finding:
        raise NotImplementedError


@check("tool_result_includes", aliases=[session("tool_result_includes_session")], family="Tools")
class ToolResultIncludes(_Result):
    """The tool's result contains every one of these texts. The score is the share it contains."""

    patterns: Texts
    """Texts to look for. Case is ignored."""

    def _read(self, result: str, call: Call) -> Finding:
        missing = [text for text in self.patterns if text.casefold() not in result.casefold()]
        told = f"'{self.tool}' answered without {listed(missing)}" if missing else f"answered {listed(self.patterns)}"
        return finding(
            1 - len(missing) / len(self.patterns), told, ids_of([call]), missing=missing, result=result[:500]
        )


@check("tool_result_matches", aliases=[session("tool_result_matches_session")], family="Tools")
class ToolResultMatches(_Result):
    """The tool's result matches a regular expression."""

    pattern: Pattern
    """Regular expression, searched anywhere in the result."""

    def _read(self, result: str, call: Call) -> Finding:
        match = found(self.pattern, result)
        told = f"{self.pattern!r} matches " + ("nothing" if match is None else repr(match[:80]))
        return finding(match is not None, told, ids_of([call]), match=match, result=result[:500])


@check("tool_result_has_media", family="Tools")
class ToolResultHasMedia(_Result):
    """The tool's result contains media of this kind."""

    media_type: str = Field(pattern=r"^(image|audio|video|file)$")
    """Kind of media: ``image``, ``audio``, ``video`` or ``file``."""

    def _read(self, result: str, call: Call) -> Finding:
        kinds = [mime.partition("/")[0] for mime in _mime_types(call)]
        kinds = [kind if kind in {"image", "audio", "video"} else "file" for kind in kinds]
        told = f"'{self.tool}' answered with {listed(kinds)}, {self.media_type} expected"
        return finding(self.media_type in kinds, told, ids_of([call]), media=kinds)


@check("tool_result_media_type", family="Tools")
class ToolResultMediaType(_Result):
    """The tool's result contains media of this MIME type."""

    renamed: ClassVar = {"tool_name": "tool", "media_type": "mime_type"}

    mime_type: str = Field(pattern=r"^[\w.+-]+/([\w.+-]+|\*)$")
    """MIME type, such as ``image/png`` or ``image/*``."""

    def _read(self, result: str, call: Call) -> Finding:
        types = _mime_types(call)
        head, _, form = self.mime_type.casefold().partition("/")
        good = any(mime.casefold() == f"{head}/{form}" or (form == "*" and _head(mime) == head) for mime in types)
        told = f"'{self.tool}' answered with {listed(types)}, {self.mime_type} expected"
        return finding(good, told, ids_of([call]), media=types)


def _mime_types(call: Call) -> list[str]:
    """Of the parts of the answer: those of the message, and those of an answer in MCP's format."""
    parts = parts_of(call.answer.message) if call.answer else []
    types = [kind_of(part) for part in parts]
    return [mime for mime in types if mime] + _mcp_types(call.result or "")


def _mcp_types(result: str) -> list[str]:
    try:
        value = json_value(result)
    except NoJsonError:
        return []
    content: Any = cast("dict[str, Any]", value).get("content") if isinstance(value, dict) else value
    items = cast("list[Any]", content) if isinstance(content, list) else []
    return [str(item["mimeType"]) for item in items if isinstance(item, dict) and item.get("mimeType")]  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _head(mime: str) -> str:
    return mime.casefold().partition("/")[0]
