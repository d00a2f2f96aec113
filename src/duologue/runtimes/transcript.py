"""From the journal of a conversation to the transcript, usage and cost of a test case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from duologue.frozen import changed
from duologue.journal.events import AgentCalled, Entry, MessageAdded, ModelCalled, Usage
from duologue.messages import shown, tool_calls_of
from duologue.runtimes.base import ConversationTurn, TestCaseRunResult


def result_from(entries: Sequence[Entry], agent: int, metadata: Mapping[str, Any]) -> TestCaseRunResult:
    """The result of a conversation.

    Args:
        entries: of its journal.
        agent: index of the agent among the participants.
        metadata: of the runtime.
    """
    calls = [entry.event for entry in entries if isinstance(entry.event, ModelCalled)]
    own = [call for call in calls if call.participant == agent]
    others = [call for call in calls if call.participant != agent]
    unpriced = sum(call.cost is None for call in calls)
    return TestCaseRunResult(
        transcript=_transcript(entries, agent),
        agent_token_usage=_usage(own),
        platform_token_usage=_usage(others),
        agent_cost_usd=sum(call.cost or 0.0 for call in own),
        platform_cost_usd=sum(call.cost or 0.0 for call in others),
        runtime_metadata={**metadata, **({"unpriced_calls": unpriced} if unpriced else {})},
    )


def _transcript(entries: Sequence[Entry], agent: int) -> list[ConversationTurn]:
    turns: list[ConversationTurn] = []
    seconds: float | None = None  # that the agent's call in hand took
    last: int | None = None  # where its latest message is
    for entry in entries:
        match entry.event:
            case AgentCalled(participant=index) as called:
                seconds, last = (called.seconds if index == agent else None), None
            case MessageAdded() as added:
                if seconds is not None and added.author == agent:
                    if last is not None:
                        turns[last] = changed(turns[last], latency_ms=None)
                    last = len(turns)
                took = None if last != len(turns) or seconds is None else round(seconds * 1000)
                turns.append(_turn(added, len(turns), took, entry.at))
            case _:
                continue
    return turns


def _turn(added: MessageAdded, index: int, latency_ms: int | None, at: float) -> ConversationTurn:
    message = shown(added.message)
    calls = tool_calls_of(message)
    return ConversationTurn(
        role=cast("Any", message["role"]),
        content=message.get("content"),
        index=index,
        tool_calls=cast("list[Mapping[str, Any]]", list(calls)) or None,
        tool_call_id=message.get("tool_call_id"),
        name=message.get("name"),
        turn=added.turn,
        latency_ms=latency_ms,
        timestamp=at,
    )


def _usage(calls: Sequence[ModelCalled]) -> dict[str, int]:
    if not calls:
        return {}
    used = sum((call.usage for call in calls), Usage())
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.total_tokens,
    }
