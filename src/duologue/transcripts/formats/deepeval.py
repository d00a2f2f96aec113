"""Test cases of DeepEval: conversations in turns, and single exchanges."""

from __future__ import annotations

from typing import Any

from duologue.transcripts.builder import empty, entries_within, recordings_of
from duologue.transcripts.documents import Document, Node
from duologue.transcripts.formats import chat
from duologue.transcripts.reader import RecordingFormat
from duologue.transcripts.recording import Recording

FORMAT = "deepeval"

_LISTS = ("test_cases", "testCases", "conversational_test_cases", "conversationalTestCases", "goldens")
_ANSWERS = ("actual_output", "actualOutput")
_TOOLS = ("tools_called", "toolsCalled")
_FACTS = ("expected_output", "expectedOutput", "expected_outcome", "expectedOutcome", "success")


def is_deepeval(document: Document) -> bool:
    """Cases with ``turns`` or ``actual_output``, alone, in a list, or in a test run."""
    return any(_is_case(case) for node in document.samples for case in [node, *_cases(node)[:20]])


def _is_case(node: Node) -> bool:
    return (node.has("input") and any(map(node.has, _ANSWERS))) or any(
        turn.has("role", "content") for turn in node.at("turns").items[:3]
    )


def _cases(node: Node) -> list[Node]:
    return [item for name in _LISTS for item in node.at(name).items]


def read_deepeval(document: Document) -> list[Recording]:
    """One recording for each case."""
    entries = entries_within(document, _cases)
    return recordings_of(document, FORMAT, lambda node, index: _case(document, node, index), entries)


def _case(document: Document, node: Node, index: int) -> Recording:
    if node.has("turns"):
        messages = [item for turn in node.at("turns").each("a list of turns") for item in _turn(turn)]
    else:
        asked, answer = node.at("input"), node.at(*_ANSWERS)
        if answer.value is None:
            raise empty(node, "there is no answer to judge: actual_output is empty")
        messages = [asked.holding({"role": "user", "content": asked.word() or ""}), *_turn(_answer(node, answer))]
    name = node.at("name").word()
    metadata: dict[str, Any] = node.scalars(*_FACTS)
    if scores := {key: value for item in node.at("metrics_data", "metricsData").items for key, value in _score(item)}:
        metadata["scores"] = scores
    told = [node] if not node.has("turns") else [turn for turn in node.at("turns").items if _speaks(turn)]
    shown = bool(told) and all(isinstance(turn.at(*_TOOLS).value, list) for turn in told)
    return chat.conversation(
        document,
        FORMAT,
        node,
        messages,
        index=index,
        description=node.at("scenario").word() or "",
        metadata=metadata,
        reports_tool_calls=shown or None,
        **({"name": name} if name else {}),
    )


def _speaks(turn: Node) -> bool:
    return chat.role_of(turn) == "assistant"


def _answer(node: Node, answer: Node) -> Node:
    return node.holding({"role": "assistant", "content": answer.word() or "", "tools_called": node.at(*_TOOLS).value})


def _score(item: Node) -> list[tuple[str, float]]:
    name, score = item.at("name").word(), item.at("score").number()
    return [] if name is None or score is None else [(name, score)]


def _turn(turn: Node) -> list[Node]:
    """A turn: the tools that were called for it, their results, then what was said."""
    tools = turn.at(*_TOOLS).items
    said = turn.holding({name: value for name, value in turn.fields.items() if name not in _TOOLS})
    if not tools:
        return [said]
    calls: list[dict[str, Any]] = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {
                "name": tool.at("name").text("the name of a tool"),
                "arguments": tool.at("input_parameters", "inputParameters", "input").value or {},
            },
        }
        for number, tool in enumerate(tools, 1)
    ]
    results = [
        tool.holding({"role": "tool", "tool_call_id": f"call_{number}", "content": tool.at("output").value})
        for number, tool in enumerate(tools, 1)
        if tool.at("output").value is not None
    ]
    return [turn.holding({"role": "assistant", "content": None, "tool_calls": calls}), *results, said]


RECORDINGS = RecordingFormat(
    name=FORMAT,
    about="test cases of DeepEval: {turns} or {input, actual_output}",
    matches=is_deepeval,
    read=read_deepeval,
    rank=36,
)
