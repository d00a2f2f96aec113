"""Scenarios made from conversations that took place: what the user said then, the agent under test hears again.

No model is asked. The user's lines become fixed turns; of what the agent did, only its tool calls can become a check,
because another agent may rightly use other words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

from duologue.config.templates import placeholders
from duologue.messages import Message, text_of
from duologue.specs.agent_definition import background_of
from duologue.specs.checks import CheckSpec
from duologue.specs.scenario import Part, Scenario, Turn
from duologue.transcripts.recording import Recording

TAG = "recorded"
"""Of every scenario that is made."""
_LONGEST_NAME = 200
_SOURCE = "duologue/source"
_SAID = "said_"
"""Begins the names of the variables that hold what was said."""
_FILLED = {"region", *background_of(Scenario(name="any", description="any", turns=(Turn(content="any"),)))}
"""What is filled in in every scenario."""


def scenarios_from(
    recordings: Iterable[Recording], *, criteria: Sequence[str] = (), expect_tools: bool = False
) -> list[Scenario]:
    """A scenario for each recording in which a user speaks, each with a name of its own.

    Args:
        recordings: what was read from files.
        criteria: what must be true at the end of each; a judge decides it.
        expect_tools: each scenario checks that the tools are called that were called then.
    """
    taken: set[str] = set()
    made: list[Scenario] = []
    for recording in recordings:
        turns = tuple(_turn(item.message) for item in recording.messages if item.message["role"] == "user")
        said, variables = literal_turns(turn for turn in turns if turn is not None)
        if not said:
            continue
        name = _free(recording.name or recording.path.stem, taken)
        taken.add(name.lower())
        tools = list(dict.fromkeys(call.name for call in recording.tool_calls)) if expect_tools else []
        checks = (CheckSpec(type="tools_called", params={"tools": tools}),) if tools else ()
        made.append(
            Scenario(
                name=name,
                description=recording.description,
                tags=(TAG, *(tag for tag in recording.tags if tag != TAG)),
                annotations={_SOURCE: recording.place},
                turns=said,
                variables=variables,
                criteria=tuple(criteria),
                checks=checks,
            )
        )
    return made


def _turn(message: Message) -> Turn | None:
    """What the user said, as a turn; None for a message that holds nothing which can be said again."""
    text = text_of(message)
    pictures = [Part.model_validate({"type": "image", "media": {"url": url}}) for url in _pictures(message)]
    if not pictures:
        return Turn(content=text) if text.strip() else None
    said = [Part(type="text", text=text)] if text.strip() else []
    return Turn(parts=(*said, *pictures))


def literal_turns(turns: Iterable[Turn]) -> tuple[tuple[Turn, ...], dict[str, str]]:
    """The turns, where words that would be filled in stand in variables: what was said is said again to the letter."""
    variables: dict[str, str] = {}

    def kept(text: str | None) -> str | None:
        if text is None or not any(name in _FILLED or name.startswith(_SAID) for name in placeholders(text)):
            return text
        name = f"{_SAID}{len(variables) + 1}"
        variables[name] = text
        return f"{{{{{name}}}}}"

    made: list[Turn] = []
    for turn in turns:
        parts = tuple(part.changed(text=kept(part.text)) for part in turn.parts)
        made.append(turn.changed(parts=parts) if parts else turn.changed(content=kept(turn.content)))
    return tuple(made), variables


def _pictures(message: Message) -> Iterator[str]:
    """Addresses of pictures; what was sent within the message is not written into a manifest."""
    content = message.get("content")
    for item in content if isinstance(content, list) else ():
        part = cast("dict[str, Any]", item)
        url = str(part.get("image_url", {}).get("url", "")) if part.get("type") == "image_url" else ""
        if url.startswith(("http://", "https://")):
            yield url


def _free(name: str, taken: set[str]) -> str:
    base = " ".join(name.split())[: _LONGEST_NAME - 8] or "recording"
    found, count = base, 1
    while found.lower() in taken:
        count += 1
        found = f"{base} {count}"
    return found
