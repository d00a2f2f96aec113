"""An agent of one's own behind a URL that speaks the contract of custom endpoints.

Request: ``{"messages": […], "metadata": {"test_case_id": …, "turn_index": …}}``; each message has all of ``role``,
``content``, ``tool_calls``, ``tool_call_id`` and ``name``, with null for what it has not. Response: ``{"messages":
[…]}`` with everything that the agent did in this turn, its answer last; ``model``, ``provider``, ``usage`` and
``metadata`` may be given. The agent runs its own tools.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, ClassVar, Literal, cast

from pydantic import BaseModel

from duologue.agents.http.agent import HttpAgent
from duologue.agents.http.completions import ContractError, fields_of, json_object, list_of, read_turn, refuse_error
from duologue.agents.http.presets import Outgoing
from duologue.agents.http.whole import is_joined
from duologue.messages import Message, text_of, tool_calls_of
from duologue.runtimes.base import RuntimeRunArgs, TextRuntimeKind
from duologue.runtimes.over_http import HttpRuntimeBase, HttpRuntimeConfig, Reached


class CustomEndpointRuntimeConfig(HttpRuntimeConfig):
    """An agent of your own behind a URL."""

    kind: Literal["custom_endpoint"] = "custom_endpoint"
    """Always ``custom_endpoint``."""


class CustomEndpointRuntime(HttpRuntimeBase):
    """Sends the whole conversation to the agent's URL in the contract of custom endpoints."""

    KIND: ClassVar[str] = TextRuntimeKind.CUSTOM_ENDPOINT
    LABEL: ClassVar[str] = "Custom endpoint"
    DESCRIPTION: ClassVar[str] = "An agent of your own behind a URL, which runs its own tools"
    CONFIG: ClassVar[type[BaseModel] | None] = CustomEndpointRuntimeConfig

    def http_agent(self, runtime_config: HttpRuntimeConfig, args: RuntimeRunArgs, reached: Reached) -> HttpAgent:
        """Asks in the contract."""
        return _ContractAgent(reached, self.LABEL, args.test_case.id)


class _ContractAgent(HttpAgent):
    """An agent behind a URL that speaks the contract, and nothing else."""

    def __init__(self, reached: Reached, name: str, test_case_id: str) -> None:
        super().__init__(
            reached.url,
            preset="message",  # the URL is used as it is
            headers=reached.headers,
            name=name,
            timeout=reached.seconds,
            retries=reached.retries,
            trust_private=reached.trust_private,
            max_answer_bytes=reached.max_answer_bytes,
        )
        self._test_case_id = test_case_id

    def _body(self, out: Outgoing) -> dict[str, Any]:
        return {
            "messages": [contract_message(message) for message in out.messages],
            "metadata": {"test_case_id": self._test_case_id, "turn_index": _turn_index(out.messages)},
        }

    def _read(self, text: str, media_type: str) -> tuple[object, list[Message], Sequence[object]]:
        if is_joined(text):
            raise ContractError("expected one JSON object; found a stream")
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
                content = result if isinstance(result, str) else _as_json(result)
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


def _as_json(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False)


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
