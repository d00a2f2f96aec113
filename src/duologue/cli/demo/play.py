"""The demo itself: a restaurant's assistant is started, called by guests, and what came of it is shown."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from duologue.agents.http.agent import HttpAgent
from duologue.cli.demo.restaurant import restaurant
from duologue.cli.demo.users import Guests, choose_guests
from duologue.cli.exit_codes import ExitCode, exit_code_of
from duologue.cli.output import as_json, print_json, print_reasons, seconds_of, styled_word, terminal, totals, word_for
from duologue.context import Context, derive_seed
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.checking import Check
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.result import ScenarioResult
from duologue.conversation.script import agent, proceed, user
from duologue.conversation.setup import ScriptStep
from duologue.demo.scenarios import SCENARIOS, DemoScenario
from duologue.settings import ScenarioConfig
from duologue.vocabulary import Verdict

MAX_TURNS = 12

CHAT_PATH = "/v1/chat/completions"

_STRAYED = (
    "Read the journal: a language model this small sometimes strays from its brief, and then the guest is at fault. "
    "'duologue demo --agenda' plays the same conversations with guests that never stray."
)

Played = tuple[DemoScenario, ScenarioResult]


def play_demo(*, out: Path, agenda: bool, seed: int, as_json_: bool) -> int:
    """Play the demo; its exit code.

    Args:
        out: folder for the journals; the launch gets one of its own in it.
        agenda: play the guests without a language model.
        seed: every random choice derives from it.
        as_json_: print the results as JSON, and nothing else.
    """
    console = terminal()
    guests = choose_guests(agenda)
    folder = out / Context().ids.new("demo")
    if not as_json_:
        console.print(Text(guests.explanation), soft_wrap=True)
    with restaurant() as url:
        played = asyncio.run(_play_all(url, guests, folder, seed, verbose=not as_json_))
    if as_json_:
        results = [result for _, result in played]
        print_json({"totals": totals(results), "journals": str(folder), "runs": [as_json(item) for item in results]})
    else:
        _report(console, played, folder)
    return _exit_code(played)


async def _play_all(url: str, guests: Guests, folder: Path, seed: int, *, verbose: bool) -> list[Played]:
    """One after the other, so that the transcripts can be read while they are made."""
    played: list[Played] = []
    async with HttpAgent(url + CHAT_PATH, name="Restaurant") as assistant:
        for scenario in SCENARIOS:
            cast = [assistant, *guests.cast(scenario)]
            executor = _prepare(scenario, cast, scenario.checks_against(url), _config(scenario, folder, seed, verbose))
            played.append((scenario, await executor.perform()))
    return played


def _prepare(
    scenario: DemoScenario, cast: Sequence[AgentAdapter], checks: Sequence[Check], config: ScenarioConfig
) -> ScenarioExecutor:
    """The guest's first lines as they are written, then the simulated guest goes on."""
    opening: list[ScriptStep] = []
    for line in scenario.lines:
        opening += [user(line), agent()]
    return ScenarioExecutor(
        scenario.name, scenario.description, cast, [*opening, proceed()], checks=checks, config=config
    )


def _config(scenario: DemoScenario, folder: Path, seed: int, verbose: bool) -> ScenarioConfig:
    return ScenarioConfig(
        max_turns=MAX_TURNS, verbose=2 if verbose else False, record=folder, seed=derive_seed(seed, scenario.name)
    )


def _report(console: Console, played: list[Played], folder: Path) -> None:
    table = Table("conversation", "verdict", "expected", "turns", "time", header_style="bold")
    for scenario, result in played:
        expected = "fail: a real fault" if scenario.expected_to_fail else "pass"
        table.add_row(scenario.name, styled_word(result), expected, str(result.turns), seconds_of(result))
    console.print()
    console.print(table)
    print_reasons(console, [result for _, result in played])
    surprises = [scenario.name for scenario, result in played if not _as_expected(scenario, result)]
    if surprises:
        console.print(Text(f"Not as expected: {', '.join(surprises)}. {_STRAYED}", style="bold red"), soft_wrap=True)
    else:
        console.print(
            Text(
                "As expected: the assistant passes where it works, and the rehearsal caught its fault: it says it has "
                "changed the booking, and books the old number of people.",
                style="bold green",
            ),
            soft_wrap=True,
        )
    console.print(Text(f"Journals: {folder}", style="dim"), soft_wrap=True)


def _as_expected(scenario: DemoScenario, result: ScenarioResult) -> bool:
    return word_for(result) == (Verdict.FAIL if scenario.expected_to_fail else Verdict.PASS).value


def _exit_code(played: list[Played]) -> int:
    """Passed when all came out as expected; else what the surprises amount to, at least a fail."""
    surprises = [result for scenario, result in played if not _as_expected(scenario, result)]
    if not surprises:
        return ExitCode.PASSED
    code = exit_code_of(surprises)
    return ExitCode.FAILED if code is ExitCode.PASSED else code
