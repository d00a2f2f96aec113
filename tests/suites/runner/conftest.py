"""Real parts for test cases: an OpenAI server and an agent server on loopback, files of Python code, mock models."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from duologue.models.resolve import forget_models
from duologue.specs.suite import Suite
from duologue.suites.execution.engine import Engine
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.runner.definition import RunOptions

FAKES = Path(__file__).parents[2] / "fakes"


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"playing_{name}", FAKES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
async def provider() -> AsyncIterator[Any]:
    """An OpenAI-compatible server; ``requests`` has the bodies that it was sent."""
    async with _load("openai_server").openai_server() as server:
        yield server
    forget_models()


@pytest.fixture
def refusing(provider: Any) -> Any:
    """The same server, where all requests are wrong: it says so at once, and nobody tries again."""
    provider.default = sys.modules[type(provider).__module__].error(400)
    return provider


@pytest.fixture
async def address() -> AsyncIterator[Any]:
    """An agent behind an address."""
    async with _load("agent_server").agent_server() as server:
        yield server


@pytest.fixture
def put(tmp_path: Path) -> Iterator[Callable[[str, str], Path]]:
    """Writes a file beside the suite. What is imported from there is forgotten after the test."""
    paths, modules = list(sys.path), set(sys.modules)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    yield write
    sys.path[:] = paths
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


Play = Callable[..., Any]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Plays a suite that is given as data: ``await play(settings, agents=[…], scenarios=[…])``."""

    async def run(settings: RunOptions | None = None, **spec: Any) -> ExecutionResult:
        suite = Suite.model_validate({"name": "s", **spec}).within(tmp_path)
        async with Engine(suite=suite) as engine:
            return await engine.execute(engine.generate_plan(seed=1), settings)

    return run
