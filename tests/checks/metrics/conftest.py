from __future__ import annotations

import importlib.util
import json
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patient_clock import PatientClock
from waiting import LONG

from duologue.checks.metrics import PREDEFINED, TASK_COMPLETION, Metric
from duologue.context import Context
from duologue.messages import Message, assistant_message, tool_call, tool_message, user_message
from duologue.models.limits import ProviderLimits
from duologue.models.names import parse_name
from duologue.models.provider import ProviderModel
from duologue.models.resolve import client_for, forget_models
from duologue.models.scope import RunScope
from duologue.settings import ModelConfig, ScenarioConfig

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
    user_message("Is there parking?"),
    assistant_message("Yes, in the yard."),
]
"""m1 to m4 are turn 0, m5 and m6 are turn 1."""


@pytest.fixture
def clock() -> PatientClock:
    return PatientClock()


@pytest.fixture
def scope(clock: PatientClock) -> RunScope:
    return RunScope(context=Context(clock=clock, seed=7), who="grading", model_timeout=LONG)


@pytest.fixture
def booking() -> list[Message]:
    return [*BOOKING]


@pytest.fixture
def graded() -> Callable[..., dict[str, Any]]:
    """Grades as a model writes them: ``graded(tool_routing=4, task_completion=True)``; None if it does not apply."""

    def make(**grades: float | bool | str | None) -> dict[str, Any]:
        answer: dict[str, Any] = {}
        for name, grade in grades.items():
            entry: dict[str, Any] = {"reason": f"about {name}", "evidence": ["m2", "m6"]}
            if name[1:].isdigit():
                answer.setdefault("outcomes", {})[name] = {**entry, "met": grade}
                continue
            field = "passed" if name == TASK_COMPLETION.name or isinstance(grade, bool) else "score"
            low = grade is False or (isinstance(grade, int) and grade <= 2 and grade is not True)
            code = "other" if low and grade is not None else None
            entry |= {"applies": grade is not None, field: grade, "failure_code": code}
            answer.setdefault("metrics", {})[name] = entry
        return answer

    return make


@pytest.fixture
def written(graded: Callable[..., dict[str, Any]]) -> Callable[..., str]:
    return lambda **grades: json.dumps(graded(**grades))


@pytest.fixture
def own() -> Metric:
    """A metric of one's own without failure codes, which always applies."""
    rubric = {step: f"step {step}" for step in range(6)}
    return Metric.model_validate({"name": "brand_voice", "tier": "delivery", "weight": 0.5, "rubric": rubric})


@pytest.fixture
def every_name() -> list[str]:
    return [metric.name for metric in PREDEFINED]


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
def _no_defaults(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ScenarioConfig, "default_config", None)
    forget_models()
    yield
    forget_models()
