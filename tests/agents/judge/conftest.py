from __future__ import annotations

import importlib.util
import json
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from patient_clock import PatientClock

from duologue.context import Context
from duologue.conversation.adapter import AgentInput, JudgmentRequest
from duologue.conversation.result import ScenarioState
from duologue.journal.events import Event, MessageAdded, ParticipantSnapshot, RunStarted, ScenarioSnapshot, TurnStarted
from duologue.journal.journal import fold
from duologue.messages import Message, assistant_message, tool_call, tool_message, user_message
from duologue.models.limits import ProviderLimits
from duologue.models.names import parse_name
from duologue.models.provider import ProviderModel
from duologue.models.resolve import client_for, forget_models
from duologue.models.scope import RunScope
from duologue.settings import ModelConfig, ScenarioConfig
from duologue.vocabulary import AgentRole

_PATH = Path(__file__).parents[2] / "fakes" / "openai_server.py"
_SPEC = importlib.util.spec_from_file_location("openai_server", _PATH)
assert _SPEC
assert _SPEC.loader
fakes = sys.modules.get("openai_server") or importlib.util.module_from_spec(_SPEC)
if "openai_server" not in sys.modules:
    sys.modules["openai_server"] = fakes
    _SPEC.loader.exec_module(fakes)

BOOKING: list[Message] = [
    user_message("A table for four at 7:30, please."),
    assistant_message(None, [tool_call("book_table", {"people": 4, "time": "19:30"}, "call_1")]),
    tool_message("call_1", '{"ok": true, "table": 12}'),
    assistant_message("You have table 12 at 7:30."),
]


@pytest.fixture
def clock() -> PatientClock:
    return PatientClock()


@pytest.fixture
def case(clock: PatientClock) -> Callable[..., AgentInput]:
    """What a judge is given: a conversation with ids and turns. ``forced`` asks for a decision."""

    def make(
        messages: Sequence[Message] = BOOKING,
        *,
        forced: bool = True,
        request: JudgmentRequest | None = None,
        max_turns: int = 10,
        model_timeout: float = 5.0,
        seed: int = 7,
    ) -> AgentInput:
        events: list[Event] = [
            RunStarted(
                run_id="run_1",
                thread_id="thread_1",
                scenario=ScenarioSnapshot(name="booking", description="A guest books a table.", max_turns=max_turns),
                participants=[ParticipantSnapshot(name="JudgeAgent", role=AgentRole.JUDGE)],
                seed=seed,
                duologue_version="0",
            )
        ]
        turn = 0
        for number, message in enumerate(messages, 1):
            if message["role"] == "user" and number > 1:
                turn += 1
                events.append(TurnStarted(turn=turn))
            events.append(MessageAdded(message_id=f"m{number}", message=message, turn=turn))
        state = ScenarioState(
            description="A guest books a table.",
            thread_id="thread_1",
            config=ScenarioConfig(max_turns=max_turns),
            view=fold(events),
        )
        return AgentInput(
            thread_id="thread_1",
            messages=state.messages,
            new_messages=[],
            scenario_state=state,
            judgment_request=request or (JudgmentRequest() if forced else None),
            scope=RunScope(context=Context(clock=clock, seed=seed), who="JudgeAgent", model_timeout=model_timeout),
        )

    return make


@pytest.fixture
def judged() -> Callable[..., dict[str, Any]]:
    """A judgement as a model writes it: ``judged("true", "false")``, with changes of single entries and fields."""

    def make(*decisions: str | bool, evidence: Sequence[str] = ("m3",), **fields: Any) -> dict[str, Any]:
        words = [str(item).lower() for item in decisions]
        verdict = "fail" if "false" in words else "undecided" if "inconclusive" in words else "pass"
        entries = [
            {"id": f"c{number}", "reason": f"reason {number}", "evidence": list(evidence), "decision": decision}
            for number, decision in enumerate(decisions, 1)
        ]
        return {"criteria": entries, "reasoning": "in short", "verdict": verdict, **fields}

    return make


@pytest.fixture
def written(judged: Callable[..., dict[str, Any]]) -> Callable[..., str]:
    """The same as text."""
    return lambda *decisions, **fields: json.dumps(judged(*decisions, **fields))


@pytest.fixture
async def server() -> AsyncIterator[Any]:
    async with fakes.openai_server() as server:
        yield server


@pytest.fixture
def model(server: Any, clock: PatientClock) -> ProviderModel:
    """A model of the real provider path on the fake server."""
    name = "openai/gpt-4o-mini"
    client = client_for(parse_name(name), ModelConfig(model=name, api_base=server.url, api_key="k"))
    return ProviderModel(name, client, limits=ProviderLimits(), clock=clock, chance=random.Random(1))


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ScenarioConfig, "default_config", None)
    forget_models()
    yield
    forget_models()
