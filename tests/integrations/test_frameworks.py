"""Agents of eight frameworks, made once in a module, with the real packages: whichever are installed.

``scripts/fresh-environments --tests`` runs this module in an environment for each framework.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from support_model import READ, WRITTEN, SupportModel, support_model

import duologue
from duologue import checks
from duologue.errors import AgentError

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the frameworks

SUBJECTS = Path(__file__).with_name("subjects")
FRAMEWORKS = {
    "langgraph": ["langgraph", "langchain", "langchain_openai"],
    "openai_agents": ["agents"],
    "pydantic_ai": ["pydantic_ai", "openai"],
    "crewai": ["crewai"],
    "google_adk": ["google.adk", "litellm"],
    "llama_index": ["llama_index.core", "llama_index.llms.openai_like"],
    "openai": ["openai"],
    "mcp": ["mcp", "openai"],
}
STREAMING = set(FRAMEWORKS) - {"crewai", "mcp"}
SUITE_AGENTS = {"mcp": "PROGRAM"}
LINES = ["Hi, where is my order?", "It is 4711", "Please refund it"]
CALLS = 5
"""Model calls in such a conversation: one, and then two for each tool."""


@pytest.fixture(scope="session")
def model() -> Iterator[SupportModel]:
    with support_model() as server:
        os.environ["SUPPORT_MODEL_URL"] = server.url
        yield server


_modules: dict[str, ModuleType] = {}


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest, model: SupportModel) -> str:
    name = request.param
    for package in FRAMEWORKS[name]:
        if not _installed(package):
            pytest.skip(f"the package '{package}' is not installed")
    return name


@pytest.fixture
def subject(framework: str) -> ModuleType:
    """The agents of a framework, as a user's module makes them: once."""
    if framework not in _modules:
        path = SUBJECTS / f"{framework}_subject.py"
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _modules[framework] = module
    return _modules[framework]


def _installed(package: str) -> bool:
    """Whether there is such a package; a module of another test that is called ``agents`` is none."""
    try:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.submodule_search_locations is not None
    except ModuleNotFoundError:
        return False


def conversation(agent, *, play=duologue.run, **options):
    script = [step for line in LINES for step in (duologue.user(line), duologue.agent())] + [duologue.succeed()]
    wanted = [
        checks.create("tools_called", {"tools": ["find_order", "refund_order"]}),
        checks.create("contains", {"patterns": ["refunded"]}),
    ]
    agents = [duologue.ScriptedUser([]), agent]
    return play("order", "b", agents, script=script, checks=wanted, verbose=False, agent_timeout=120, **options)


def assert_whole(result: duologue.ScenarioResult, *, usage: bool = True) -> None:
    assert result.success, result.reasoning
    roles = [message["role"] for message in result.messages]
    assert roles == ["user", "assistant", *(["user", "assistant", "tool", "assistant"] * 2)], result.messages
    for message, name in zip([m for m in result.messages if m.get("tool_calls")], ("find", "refund"), strict=True):
        [call] = message["tool_calls"]
        assert call["function"]["name"] == f"{name}_order"
        assert "4711" in call["function"]["arguments"]
    results = [message["content"] for message in result.messages if message["role"] == "tool"]
    assert results == ["Order 4711 is on its way", "Order 4711 is refunded"]
    if usage:
        assert (result.usage.input_tokens, result.usage.output_tokens) == (CALLS * READ, CALLS * WRITTEN)
        assert result.cost > 0


async def test_run(subject):
    assert_whole(await conversation(subject.AGENT))


@pytest.mark.parametrize("number", [1, 2])
async def test_arun_in_an_event_loop_for_each_test(subject, number):
    assert_whole(await conversation(subject.AGENT, play=duologue.arun))


@pytest.mark.parametrize("play", [duologue.run, duologue.arun])
async def test_eight_at_once(subject, play):
    for result in await asyncio.gather(*(conversation(subject.AGENT, play=play) for _ in range(8))):
        assert_whole(result)


async def test_one_adapter_twice(subject):
    first, second = await conversation(subject.AGENT), await conversation(subject.AGENT)
    assert_whole(first)
    assert_whole(second)
    assert first.thread_id != second.thread_id


async def test_a_factory_makes_an_agent_for_each_run(subject):
    assert_whole(await conversation(subject.FACTORY))


async def test_stream(subject, framework):
    chunks = [chunk async for chunk in conversation(subject.AGENT, play=duologue.stream)]
    usage = framework not in {"langgraph", "llama_index"}  # these models do not say what a streamed answer took
    assert_whole(chunks[-1].result, usage=usage)
    deltas = [chunk.delta for chunk in chunks if chunk.delta]
    said = [m["content"] for m in chunks[-1].result.messages if m["role"] == "assistant" and m.get("content")]
    if framework in STREAMING:
        assert len(deltas) > len(said)
        assert "".join(deltas) == "".join(said)


@pytest.mark.parametrize("play", [duologue.run, duologue.arun])
async def test_an_error_of_the_model_is_shown(subject, play):
    with pytest.raises(AgentError, match=r"out of order|500"):
        await conversation(subject.DOWN, play=play)
    assert_whole(await conversation(subject.AGENT, play=play))


def test_a_suite_ends_and_leaves_nothing_running(framework, model, tmp_path):
    target = f"{SUBJECTS / framework}_subject.py:{SUITE_AGENTS.get(framework, 'AGENT')}"
    (tmp_path / "suite.yaml").write_text(f"""
apiVersion: duologue/v1
kind: Suite
metadata: {{name: frameworks}}
spec:
  agents: [{{name: support, target: "{target}", timeout: 120}}]
  scenarios:
    - name: refund
      trials: 3
      turns: [{", ".join(f'{{content: "{line}"}}' for line in LINES)}]
      checks:
        - {{type: tools_called, params: {{tools: [find_order, refund_order]}}}}
        - {{type: contains, params: {{patterns: [refunded]}}}}
  defaults: {{concurrency: 3}}
""")
    done = subprocess.run(
        [sys.executable, "-m", "duologue", "run", str(tmp_path / "suite.yaml"), "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(item for item in sys.path if item), "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3" in done.stdout
    assert f"{3 * CALLS * (READ + WRITTEN)} tokens" in done.stdout.replace(",", "")


PAGES = Path(__file__).parents[2] / "docs/guides/connect"


def test_the_page_of_the_framework(framework, model, tmp_path):
    """The first block of the page is a whole program: it runs as it stands, with the address of the model."""
    page = (PAGES / f"{framework.replace('_', '-')}.md").read_text()
    code = page.split("```{.python .notest}\n")[1].split("```")[0]
    (tmp_path / "page.py").write_text(code)
    (tmp_path / "mcp_server.py").write_text((SUBJECTS / "mcp_server.py").read_text())
    settings = dict.fromkeys(("OPENAI_BASE_URL", "OPENAI_API_BASE"), model.url)
    settings |= {"OPENAI_API_KEY": "x", "OPENAI_AGENTS_DISABLE_TRACING": "1", "CREWAI_DISABLE_TELEMETRY": "true"}
    settings |= {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "PYTHONPATH": os.pathsep.join(item for item in sys.path if item),
    }
    done = subprocess.run(
        [sys.executable, "page.py"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=tmp_path,
        env={**os.environ, **settings},
    )
    assert done.returncode == 0, done.stdout + done.stderr
