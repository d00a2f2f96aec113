import json
from collections.abc import Callable
from typing import Any

import pytest

import duologue.voice.checks  # noqa: F401 - registers them, also where the installed metadata is older
from duologue.conversation.result import ScenarioState
from duologue.conversation.setup import CheckInput
from duologue.journal.events import (
    MessageAdded,
    ParticipantSnapshot,
    RunStarted,
    ScenarioSnapshot,
)
from duologue.journal.journal import Journal
from duologue.models.scope import RunScope
from duologue.vocabulary import AgentRole, Scope


def call(name: str, arguments: Any = None, result: Any = None) -> list[dict[str, Any]]:
    """A tool call of the agent and its answer; None for no answer."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    call_id = f"call_{name}_{abs(hash((text, str(result)))) % 10_000}"
    made = {"id": call_id, "type": "function", "function": {"name": name, "arguments": text}}
    messages: list[dict[str, Any]] = [{"role": "assistant", "content": None, "tool_calls": [made]}]
    if result is not None:
        content = result if isinstance(result, (str, list)) else json.dumps(result)
        messages.append({"role": "tool", "tool_call_id": call_id, "content": content})
    return messages


def build(
    *lines: Any, scope: Scope = Scope.CONVERSATION, events: Any = (), metadata: Any = None, turn: int | None = None
) -> CheckInput:
    """What a check is given after these lines.

    A line is 'u: text', 'a: text', a message, a tool call as (name, arguments, answer), or an event that is no message.
    Each user's text after the first opens a turn.
    """
    journal = Journal("run_1")
    journal.append(
        RunStarted(
            run_id="run_1",
            thread_id="thread_1",
            scenario=ScenarioSnapshot(name="s", description="d", max_turns=10, metadata=metadata or {}),
            participants=[
                ParticipantSnapshot(name="user", role=AgentRole.USER),
                ParticipantSnapshot(name="agent", role=AgentRole.AGENT, reports_tool_calls=True),
            ],
            seed=1,
            duologue_version="0",
        )
    )
    current, count = -1, 0
    for line in lines:
        if not isinstance(line, (str, dict, tuple)):
            journal.append(line)
            continue
        for message in call(*line) if isinstance(line, tuple) else [as_message(line)]:
            current += message["role"] == "user" or current < 0
            count += 1
            journal.append(MessageAdded(message_id=f"m{count}", message=message, turn=current))
    for event in events:
        journal.append(event)
    records = journal.view.records
    last = max(current, 0) if turn is None else turn
    if scope is Scope.TURN:
        records = [record for record in records if record.turn == last]
    state = ScenarioState(description="d", thread_id="thread_1", view=journal.view)
    return CheckInput(state=state, records=list(records), turn=last, scope=RunScope(journal=journal, who="check"))


def as_message(line: Any) -> dict[str, Any]:
    if isinstance(line, dict):
        return line
    role, _, text = line.partition(": ")
    return {"role": {"u": "user", "a": "assistant", "t": "tool"}[role], "content": text}


@pytest.fixture(name="build", scope="session")
def build_fixture() -> Callable[..., CheckInput]:
    return build
