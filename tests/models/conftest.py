from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from patient_clock import PatientClock

from duologue.models.limits import ProviderLimits
from duologue.models.names import parse_name
from duologue.models.provider import ProviderModel
from duologue.models.resolve import client_for, forget_models
from duologue.settings import ModelConfig, ScenarioConfig

_SPEC = importlib.util.spec_from_file_location(
    "openai_server", Path(__file__).parents[1] / "fakes" / "openai_server.py"
)
assert _SPEC
assert _SPEC.loader
fakes = importlib.util.module_from_spec(_SPEC)
sys.modules["openai_server"] = fakes
_SPEC.loader.exec_module(fakes)


@pytest.fixture
def clock() -> PatientClock:
    return PatientClock()


@pytest.fixture
async def server() -> AsyncIterator[Any]:
    async with fakes.openai_server() as server:
        yield server


@pytest.fixture
def model(server: Any, clock: PatientClock) -> Callable[..., ProviderModel]:
    """A model on the fake server; limits of its own, so that tests do not share them."""

    def make(name: str = "openai/gpt-4o-mini", *, api_key: str = "k", **options: Any) -> ProviderModel:
        client = client_for(parse_name(name), ModelConfig(model=name, api_base=server.url, api_key=api_key))
        options = {"limits": ProviderLimits(), "clock": clock, "chance": random.Random(1), **options}
        return ProviderModel(name, client, **options)

    return make


@pytest.fixture(autouse=True)
def _no_traces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(ScenarioConfig, "default_config", None)
    forget_models()
    yield
    forget_models()
