"""The contract of custom endpoints: what an agent is sent for one turn, and what it answers.

Request: ``{"messages": […], "metadata": {"test_case_id": …, "turn_index": …}}``; each message has all of ``role``,
``content``, ``tool_calls``, ``tool_call_id`` and ``name``, with null for what it has not. Response: ``{"messages":
[…]}`` with everything that the agent did in this turn, its answer last; ``model``, ``provider``, ``usage`` and
``metadata`` may be given. The agent runs its own tools.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, cast

from duologue.agents.http.completions import ContractError, fields_of, json_object, list_of, read_turn, refuse_error
from duologue.messages import Message, text_of, tool_calls_of


def contract_request(messages: Sequence[Message], test_case_id: str) -> dict[str, Any]:
    """What is sent for the next turn."""
    return {
        "messages": [contract_message(message) for message in messages],
        "metadata": {"test_case_id": test_case_id, "turn_index": _turn_index(messages)},
    }


def read_contract(text: str) -> tuple[dict[str, Any], list[Message], list[Any]]:
    """An answer as data, its messages, and what these were made from.

    Raises:
        ContractError: it breaks the contract; says where, what was found and what is expected.
    """
    body = json_object(text, "the body")
    refuse_error(body, "the answer")
    if "messages" not in body:
        raise ContractError("expected a list 'messages' with this turn of the agent; it is missing")
    written = body["messages"]
    if not isinstance(written, list):
        raise ContractError(f"messages must be a list; found {type(written).__name__}")
    written = list_of(cast("object", written))
    _refuse_usage(body.get("usage"))
    return body, read_turn(_with_results(written), complete=True), written


def contract_message(message: Message) -> dict[str, Any]:
    """A message as the contract has it: every field is there."""
    calls = [{**call, "tool_result": None} for call in tool_calls_of(message)]
    content = message.get("content")
    return {
        "role": message["role"],
        "content": text_of(message) if isinstance(content, list) else content,
        "tool_calls": calls or None,
        "tool_call_id": message.get("tool_call_id"),
        "name": message.get("name"),
    }


def _turn_index(messages: Sequence[Message]) -> int:
    """How many turns the agent has had."""
    return sum(agents for agents, _ in groupby(messages, key=lambda message: message["role"] in {"assistant", "tool"}))


def _with_results(written: Sequence[Any]) -> list[Any]:
    """The messages, in which results that stand within tool calls are messages of their own."""
    answered = {fields_of(item).get("tool_call_id") for item in written}
    made: list[Any] = []
    for item in written:
        made.append(item)
        for call in list_of(fields_of(item).get("tool_calls")):
            result, id = fields_of(call).get("tool_result"), fields_of(call).get("id")
            if result is not None and id not in answered:
                content = result if isinstance(result, str) else json.dumps(result, ensure_ascii=False)
                made.append({"role": "tool", "tool_call_id": id, "content": content})
    if len(made) > len(written) and fields_of(made[-1]).get("role") == "tool":
        # The last message called tools and has said the answer as well: it comes after what it rests on.
        last = cast("Mapping[str, Any]", written[-1])
        if last.get("content"):
            place = next(place for place, item in enumerate(made) if item is written[-1])
            made[place] = {**last, "content": None}
            made.append({"role": "assistant", "content": last["content"]})
        elif last.get("role") == "assistant":
            made[:] = list(written)
    return made


def _refuse_usage(usage: object) -> None:
    """Raises ContractError for a usage that says something else than numbers of tokens."""
    if usage is None:
        return
    if not isinstance(usage, dict):
        raise ContractError(f"usage must be an object; found {type(usage).__name__}")
    for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
        value = cast("dict[str, Any]", usage).get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise ContractError(f"usage.{name} must be a whole number, 0 or more; found {value!r}")
