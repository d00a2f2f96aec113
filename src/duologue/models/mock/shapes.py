"""How a response file is written: its fields, and the few ways in which one thing may be written shorter.

A text stands for a whole answer, and ``pass`` for a whole verdict. Both are written out before the file is checked,
so that what is checked has one form. A checked answer is made ready once: the chat message that it becomes, and the
tokens that it counts.
"""

import mimetypes
from collections.abc import Callable
from typing import Any, Literal, Self, cast

from pydantic import Field, model_validator

from duologue.config.problems import Mark, PlacedDict, Problems, listed, nearest, shown
from duologue.config.spec import EMPTY, Count, Items, JsonObject, Name, Share, Spec
from duologue.errors import (
    ModelAnswerError,
    ModelError,
    ModelRateLimitError,
    ModelRejectedError,
    ModelTimeoutError,
    ModelUnavailableError,
)
from duologue.frozen import frozen
from duologue.messages import ContentPart, Message, media_part, tool_call
from duologue.models.scope import estimate_tokens
from duologue.vocabulary import DoneReason

Word = Literal["pass", "fail", "undecided"]
Fault = Literal["timeout", "rate_limit", "unavailable", "rejected", "answer"]

WORDS = ("pass", "fail", "undecided")
_DEFAULT = "defaultResponse"


class CallShape(Spec):
    """A tool call."""

    name: Name
    arguments: JsonObject | str = EMPTY
    """A text is what the model writes in their place, however wrong it is."""
    id: Name | None = None
    """None for ``call_``, its place among the calls of the answer, and the name."""


class LinkShape(Spec):
    """Where a picture, sound, film or document is."""

    url: Name
    detail: Literal["low", "high", "auto"] | None = None


class PartShape(Spec):
    """A piece of an answer."""

    type: Literal["text", "image", "audio", "video", "document"]
    text: str | None = None
    image_url: LinkShape | None = None
    audio_url: LinkShape | None = None
    video_url: LinkShape | None = None
    document_url: LinkShape | None = None
    metadata: JsonObject = EMPTY

    @model_validator(mode="after")
    def _has_its_content(self) -> Self:
        needed = "text" if self.type == "text" else f"{self.type}_url"
        if getattr(self, needed) is None:
            raise ValueError(f"a part of type {self.type} to have the field '{needed}'")
        return self


class AnswerShape(Spec):
    """One answer of a model."""

    type: Literal["text", "tool_calls", "multimodal"] = "text"
    content: str | None = None
    text: str | None = None
    response: str | None = None
    parts: Items[PartShape] = ()
    tool_calls: Items[CallShape] = ()
    fault: Fault | None = None
    """Fail instead of answering; the text is the error's."""
    audio_file: str | None = None
    audio_sample_rate: Count | None = None
    audio_mime_type: str | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        texts = [name for name in ("content", "text", "response") if getattr(self, name) is not None]
        if len(texts) > 1:
            raise ValueError(f"one of content, text and response; it has {' and '.join(texts)}")
        if self._is_empty and not texts:
            raise ValueError("content, parts, tool_calls or fault")
        return self

    @property
    def _is_empty(self) -> bool:
        return not (self.parts or self.tool_calls or self.fault)

    @property
    def said(self) -> str:
        """The text, whatever the field is called; '' for none."""
        return self.content or self.text or self.response or ""


class LineShape(AnswerShape):
    """What a simulated user says."""

    done: DoneReason | None = None
    """The user has nothing more to say after this, or, without content, has gone."""

    @model_validator(mode="after")
    def _calls_nothing(self) -> Self:
        if self.tool_calls:
            raise ValueError("what a user says; users call no tools")
        return self

    @property
    def _is_empty(self) -> bool:
        return super()._is_empty and not self.done


class _Default(Spec):
    default: AnswerShape | None = Field(default=None, alias="defaultResponse")


class StateShape(_Default):
    """Answers in one state of a workflow."""

    turns: dict[str, AnswerShape] = EMPTY


class ScenarioShape(_Default):
    """Answers in one scenario."""

    turns: dict[str, AnswerShape] = EMPTY
    steps: dict[str, AnswerShape] = EMPTY
    states: dict[str, StateShape] = EMPTY


class LinesShape(Spec):
    """What one persona says in one scenario."""

    default: LineShape | None = Field(default=None, alias="defaultResponse")
    turns: dict[str, LineShape] = EMPTY


class PersonaShape(LinesShape):
    """What one persona says."""

    scenarios: dict[str, LinesShape] = EMPTY


class VerdictShape(Spec):
    """What a judge says: a verdict on everything or on each criterion, or its very words."""

    verdict: Word | None = None
    criteria: dict[str, Word] = EMPTY
    score: Share | None = None
    scores: dict[str, Share] = EMPTY
    """For checks by a judge, by what they ask for, over ``score``."""
    reasoning: str | None = None
    content: str | None = None

    @model_validator(mode="after")
    def _decides(self) -> Self:
        if self.content is None and self.verdict is None and not self.criteria:
            raise ValueError("verdict, criteria or content")
        if self.content is not None and (self.verdict or self.criteria):
            raise ValueError("either content or a verdict; it has both")
        return self


class JudgeShape(Spec):
    """What a judge says, by scenario."""

    default: VerdictShape | None = None
    scenarios: dict[str, VerdictShape] = EMPTY


class FileShape(_Default):
    """A response file."""

    scenarios: dict[str, ScenarioShape] = EMPTY
    selfplay: dict[str, PersonaShape] = EMPTY
    judges: dict[str, JudgeShape] = EMPTY


_SHAPES: tuple[type[Spec], ...] = (
    *(FileShape, ScenarioShape, StateShape, PersonaShape, LinesShape, JudgeShape, VerdictShape),
    *(AnswerShape, LineShape, PartShape, LinkShape, CallShape),
)
_DECIDING = (
    "scenarios",
    "selfplay",
    "judges",
    "turns",
    "steps",
    "states",
    "tool_calls",
    "parts",
    "done",
    "verdict",
    "criteria",
)
LENIENT = dict.fromkeys(_SHAPES, frozenset(_DECIDING))
"""Where a field that nothing knows is a warning, as files of other systems carry notes of their own; one of these
fields in the wrong place is an error."""


def written_out(data: Any, problems: Problems) -> Any:
    """The data of a response file with everything that is written short in its one form.

    Args:
        data: placed data, as it is read.
        problems: takes what can be neither.
    """
    if not isinstance(data, PlacedDict):
        return data
    made = _answer_in(data, problems)
    _each(made, "scenarios", lambda value, _mark: _scenario(value, problems))
    _each(made, "selfplay", lambda value, _mark: _persona(value, problems))
    _each(made, "judges", lambda value, mark: _judge(value, mark, problems))
    return made


def _scenario(value: Any, problems: Problems) -> Any:
    made = _state(value, problems)
    if isinstance(made, PlacedDict):
        _each(made, "steps", lambda item, mark: _answer(item, mark, problems))
        _each(made, "states", lambda item, _mark: _state(item, problems))
    return made


def _persona(value: Any, problems: Problems) -> Any:
    made = _state(value, problems)
    if isinstance(made, PlacedDict):
        _each(made, "scenarios", lambda item, _mark: _state(item, problems))
    return made


def _state(value: Any, problems: Problems) -> Any:
    if not isinstance(value, PlacedDict):
        return value
    made = _answer_in(value, problems)
    _turns(made, problems)
    return made


def _turns(made: PlacedDict, problems: Problems) -> None:
    turns = made.get("turns")
    if isinstance(turns, PlacedDict):
        for key in turns:
            if not key.isascii() or not key.isdecimal() or key.startswith("0"):
                place = turns.mark(key).key()
                problems.error(place, f"found {shown(key)}; expected the number of a turn, counted from 1")
    _each(made, "turns", lambda item, mark: _answer(item, mark, problems))


def _answer_in(data: PlacedDict, problems: Problems) -> PlacedDict:
    made = _copied(data)
    written = made.get(_DEFAULT)
    if written is None or written == "":
        return made.without(_DEFAULT)
    made[_DEFAULT] = _answer(written, made.mark(_DEFAULT), problems)
    return made


def _answer(value: Any, mark: Mark, problems: Problems) -> Any:
    if isinstance(value, PlacedDict):
        if "audio_file" in value:
            told = "has no effect: nobody speaks in this version; what is said is the text"
            problems.warning(value.mark("audio_file").key(), told)
        return value
    if not isinstance(value, str):
        told = f'. Put it in quotes: "{mark.raw}"' if mark.raw else ""
        problems.error(mark, f"found {shown(value)}; expected a text, or a mapping with content or tool_calls{told}")
        value = ""
    return PlacedDict(mark, {"content": value}, {"content": mark})


def _judge(value: Any, mark: Mark, problems: Problems) -> Any:
    """A judge's entry: a word, a text, a verdict, or verdicts by scenario."""
    if isinstance(value, PlacedDict) and {"default", "scenarios"} & value.keys():
        made = _copied(value)
        if "default" in made:
            made["default"] = _verdict(made["default"], made.mark("default"), problems)
        _each(made, "scenarios", lambda item, at: _verdict(item, at, problems))
        return made
    return PlacedDict(mark, {"default": _verdict(value, mark, problems)}, {"default": mark})


def _verdict(value: Any, mark: Mark, problems: Problems) -> Any:
    if isinstance(value, PlacedDict):
        return value
    if not isinstance(value, str):
        told = f"found {shown(value)}; expected {listed(WORDS)}, a text, or a mapping with verdict or content"
        problems.error(mark, told)
        value = "undecided"
    if value in WORDS:
        return PlacedDict(mark, {"verdict": value}, {"verdict": mark})
    if " " not in value and nearest(value, WORDS):
        problems.warning(mark, f"{shown(value)} is taken as the judge's very words{nearest(value, WORDS)}")
    return PlacedDict(mark, {"content": value}, {"content": mark})


def _each(data: PlacedDict, key: str, change: Callable[[Any, Mark], Any]) -> None:
    """Replace every value of the mapping in a field, if there is one."""
    section = data.get(key)
    if not isinstance(section, PlacedDict):
        return
    made = _copied(section)
    for name, value in section.items():
        made[name] = change(value, section.mark(name))
    data[key] = made


def _copied(data: PlacedDict) -> PlacedDict:
    return PlacedDict(data.home, data, dict(data.marks))


_FAULTS: dict[Fault, type[ModelError]] = {
    "timeout": ModelTimeoutError,
    "rate_limit": ModelRateLimitError,
    "unavailable": ModelUnavailableError,
    "rejected": ModelRejectedError,
    "answer": ModelAnswerError,
}
_DEFAULT_OUTPUT_TOKENS = 20
_PREFIX = {"image": "image", "audio": "audio", "video": "video", "document": "application"}


@frozen(slots=True)
class Prepared:
    """One answer.

    Attributes:
        text: of the answer; '' for none.
        parts: its pieces, where it has pictures, sounds or films.
        calls: id, name and arguments (JSON text) of its tool calls.
        tokens: that writing it counts.
        fault: what to raise in place of answering; None for nothing.
        done: why a simulated user has nothing more to say after this; None for one that goes on.
    """

    text: str
    parts: tuple[dict[str, Any], ...] = ()
    calls: tuple[tuple[str, str, str], ...] = ()
    tokens: int
    fault: Fault | None = None
    done: DoneReason | None = None

    def message(self) -> Message:
        """The chat message: a new one every time, for its reader to keep."""
        content: Any = [dict(part) for part in self.parts] if self.parts else self.text
        message: Message = {"role": "assistant", "content": content}
        if self.calls:
            if not content:
                message["content"] = None
            message["tool_calls"] = [
                {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
                for call_id, name, arguments in self.calls
            ]
        return message

    def error(self, model: str) -> ModelError:
        """What to raise where there is a fault."""
        kind = self.fault or "answer"
        return _FAULTS[kind](self.text or f"{model} fails here: its response file says 'fault: {kind}'", model=model)


def prepared(shape: AnswerShape) -> Prepared:
    """A written answer, made ready."""
    parts = [_part(part) for part in shape.parts]
    if parts and shape.said:
        parts.insert(0, {"type": "text", "text": shape.said})
    text = shape.said or "\n".join(str(part["text"]) for part in parts if part["type"] == "text")
    calls = [
        tool_call(call.name, call.arguments, call.id or f"call_{index}_{call.name}")
        for index, call in enumerate(shape.tool_calls)
    ]
    return Prepared(
        text=text,
        parts=tuple(parts),
        calls=tuple((call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls),
        tokens=estimate_tokens(text) or _DEFAULT_OUTPUT_TOKENS,
        fault=shape.fault,
        done=shape.done if isinstance(shape, LineShape) else None,
    )


def plain_text(text: str) -> Prepared:
    """A text as an answer."""
    return Prepared(text=text, tokens=estimate_tokens(text) or _DEFAULT_OUTPUT_TOKENS)


def _part(shape: PartShape) -> dict[str, Any]:
    if shape.type == "text":
        return {"type": "text", "text": shape.text or ""}
    link = cast("LinkShape", getattr(shape, f"{shape.type}_url"))
    made = media_part("", url=link.url, kind=shape.type, facts={"detail": link.detail} if link.detail else None)
    if shape.type == "document":
        made = {"type": "file", "file": {"file_data": link.url}}
    facts = dict(shape.metadata)
    if mime := _mime_type(shape.type, link.url, facts):
        made = cast("ContentPart", {**made, "mime_type": mime})
    return {**made, **({"metadata": facts} if facts else {})}


def _mime_type(kind: str, url: str, facts: dict[str, Any]) -> str:
    written = facts.get("mime_type")
    if written:
        return str(written)
    if form := facts.get("format"):
        name = str(form).lower().lstrip(".")
        return name if "/" in name else f"{_PREFIX[kind]}/{'mpeg' if name == 'mp3' else name}"
    if url.startswith("data:"):
        return url[5:].split(",", 1)[0].split(";", 1)[0]
    return mimetypes.guess_type(url.split("?", 1)[0])[0] or ""
