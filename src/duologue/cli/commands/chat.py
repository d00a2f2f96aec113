"""``duologue chat``: a person talks to an agent of a suite, and may keep what they said as a scenario."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duologue.cli.exit_codes import ExitCode, exit_code_of
from duologue.cli.output import echo, response_file
from duologue.errors import ConfigurationError
from duologue.messages import Message, text_of, tool_calls_of
from duologue.terminal_text import continued, one_line

if TYPE_CHECKING:
    from duologue.conversation.adapter import AgentAdapter
    from duologue.conversation.result import ScenarioResult, ScenarioState
    from duologue.suites.execution.engine import Engine
    from duologue.suites.plan.build import TestCase

PROMPT = "You: "
LEAVE = ("/quit", "/exit", "/q")


def chat(
    suite: Annotated[Path, typer.Argument(help="The suite: its file or folder.", metavar="SUITE")],
    agent: Annotated[str | None, typer.Option(help="Agent to talk to. Needed if the suite has several.")] = None,
    scenario: Annotated[
        str | None, typer.Option(help="Scenario whose prompt and variables the agent gets. Default: the first.")
    ] = None,
    mock: Annotated[
        str | None, typer.Option(callback=response_file, help="Answer for every model from this response file.")
    ] = None,
    mock_all: Annotated[bool, typer.Option("--mock-all", help="Answer for every model with fixed text.")] = False,
    save: Annotated[Path | None, typer.Option(help="Keep what you say as a scenario in this file.")] = None,
    record: Annotated[Path | None, typer.Option(help="Keep the journal in this file (.jsonl) or folder.")] = None,
) -> int:
    """Talk to an agent of a suite, and keep what you said as a scenario.

    Type one line at a time; /quit or the end of input ends the conversation. With --save, your lines become the turns
    of a scenario. Exit codes: 0 the conversation ended, 3 the agent broke.
    """
    from duologue.suites.execution.engine import Engine

    if save is not None and save.exists():
        raise ConfigurationError(f"{save} already exists; choose another name")
    engine = Engine.from_file(suite)
    if mock is not None or mock_all:
        engine.enable_mock_mode(mock)
    case = _case(engine, agent, scenario)
    result = asyncio.run(_talk(engine, case, record))
    lines = [str(item.get("content")) for item in result.messages if item["role"] == "user"]
    if save is not None and lines:
        _save(save, lines)
        echo(f"Kept as a scenario: {one_line(save)}. Give it checks or criteria.")
    if result.error is not None:
        echo(f"Error: {continued(result.error.message)}", err=True)
    return ExitCode.PASSED if result.success else exit_code_of([result])


def _case(engine: Engine, agent: str | None, scenario: str | None) -> TestCase:
    from duologue.suites.plan.build import Filters

    names = [item.name for item in engine.suite.agents]
    if agent is None and len(names) > 1:
        raise ConfigurationError(f"the suite has several agents: {', '.join(names)}. Choose one with --agent")
    plan = engine.generate_plan(
        Filters(agents=[agent] if agent else [], scenarios=[scenario] if scenario else []), trials=1
    )
    case = next((case for case in plan.cases if case.kind == "scenario"), None)
    if case is None:
        raise ConfigurationError(f"the suite '{engine.suite.name}' has no scenario, and so no agent to talk to")
    return case


async def _talk(engine: Engine, case: TestCase, record: Path | None) -> ScenarioResult:
    from duologue.agents.users.scripted import ScriptedUser
    from duologue.conversation.executor import ScenarioExecutor
    from duologue.settings import effective_config

    async with engine:
        agent: AgentAdapter = await engine.agent_of(case)
        name = case.agent or agent.name
        echo(f"Talking to {one_line(name)}. /quit ends the conversation.")
        person = ScriptedUser([], name="person")
        config = effective_config(record=record).model_copy(update={"verbose": False, "headless": True})
        executor = ScenarioExecutor(
            f"chat with {name}", "A person talks to the agent.", [agent, person], [_lines], config=config
        )
        return await executor.perform()


async def _lines(state: ScenarioState) -> ScenarioResult | None:
    """The script of the conversation: whatever the person types, until they leave."""
    executor = state.executor
    while (line := await _typed()) is not None:
        if not line:
            continue
        before = len(state.messages) + 1
        ended = await executor.user(line) or await executor.agent()
        for message in state.messages[before:]:
            _print(message)
        if ended is not None:
            return ended
    return await executor.succeed("The person has left.")


async def _typed() -> str | None:
    """The next line. It is read in a thread that nobody waits for, so that Ctrl-C leaves at once."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str | None] = loop.create_future()

    def read() -> None:
        line = _read_line()
        with suppress(RuntimeError):  # the conversation is over, and its event loop with it
            loop.call_soon_threadsafe(lambda: None if answer.done() else answer.set_result(line))

    threading.Thread(target=read, name="duologue-chat", daemon=True).start()
    return await answer


def _read_line() -> str | None:
    """What the person types; None when they leave."""
    sys.stdout.write(PROMPT)
    sys.stdout.flush()
    line = sys.stdin.readline()
    if not line:
        sys.stdout.write("\n")  # what follows begins a line of its own
    if not line or line.strip().lower() in LEAVE:
        return None
    return line.strip()


def _print(message: Message) -> None:
    for call in tool_calls_of(message):
        function = call["function"]
        echo(f"  → {one_line(function['name'])}({one_line(function['arguments'], 200)})")
    text = text_of(message)
    if message["role"] == "tool":
        echo(f"  ← {one_line(text, 200)}")
    elif text:
        echo(f"Agent: {continued(text)}")


def _save(path: Path, lines: list[str]) -> None:
    from duologue.config.files import write_atomic
    from duologue.specs.scenario import Scenario, Turn
    from duologue.suites.manifests.from_recordings import literal_turns
    from duologue.suites.manifests.writer import scenario_text

    turns, variables = literal_turns(Turn(content=line) for line in lines)
    name = path.name.split(".")[0] or "chat"
    told = "What a person asked the agent."
    write_atomic(path, scenario_text(Scenario(name=name, description=told, turns=turns, variables=variables)))
