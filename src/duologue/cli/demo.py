"""What ``duologue demo`` does: it starts a restaurant's assistant as a separate program; guests call it by its URL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from duologue.agents.http.agent import HttpAgent
from duologue.agents.judge import JudgeAgent
from duologue.agents.users.agenda import AgendaUser
from duologue.agents.users.persona import Persona
from duologue.agents.users.simulator import UserSimulatorAgent
from duologue.cli.demo_program import demo_program
from duologue.cli.exit_codes import ExitCode, exit_code_of
from duologue.cli.output import (
    as_json,
    print_json,
    print_reasons,
    say,
    seconds_of,
    styled_word,
    terminal,
    totals,
    word_for,
)
from duologue.context import Context, derive_seed
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.result import ScenarioResult
from duologue.conversation.script import agent, proceed, user
from duologue.conversation.setup import Check, ScriptStep
from duologue.demo.scenarios import SCENARIOS, TODAY, DemoScenario
from duologue.frozen import frozen
from duologue.settings import ScenarioConfig
from duologue.terminal_text import one_line
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
        say(console, guests.explanation)
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
        say(console, f"Not as expected: {', '.join(surprises)}. {_STRAYED}", "bold red")
    else:
        say(
            console,
            "As expected: the assistant passes where it works, and the rehearsal caught its fault: it says it has "
            "changed the booking, and books the old number of people.",
            "bold green",
        )
    say(console, f"Journals: {one_line(folder)}", "dim")


def _as_expected(scenario: DemoScenario, result: ScenarioResult) -> bool:
    return word_for(result) == (Verdict.FAIL if scenario.expected_to_fail else Verdict.PASS).value


def _exit_code(played: list[Played]) -> int:
    """Passed when all came out as expected; else what the surprises amount to, at least a fail."""
    surprises = [result for scenario, result in played if not _as_expected(scenario, result)]
    if not surprises:
        return ExitCode.PASSED
    code = exit_code_of(surprises)
    return ExitCode.FAILED if code is ExitCode.PASSED else code


def restaurant() -> AbstractContextManager[str]:
    """The URL of a restaurant that runs as long as the block; each conversation has a book of its own."""
    return demo_program("duologue.demo.restaurant", "--port", "0", "--today", str(TODAY), "--isolated")


EMBEDDED = "local"


@frozen
class Guests:
    """How guests are played.

    Attributes:
        embedded: whether by the embedded language model.
        explanation: what the person in front of the terminal is told.
    """

    embedded: bool
    explanation: str

    def cast(self, scenario: DemoScenario) -> list[AgentAdapter]:
        """The simulated guest of that scenario, and a judge whose word is advisory where there is a model."""
        if not self.embedded:
            return [AgendaUser(scenario.goal, scenario.slots)]
        guest = UserSimulatorAgent(model=EMBEDDED, goal=scenario.goal, persona=Persona(facts=scenario.slots))
        judge = JudgeAgent(model=EMBEDDED, criteria=[f"The agent does what the guest wants: {scenario.goal}"])
        return [guest, judge]


def choose_guests(agenda: bool) -> Guests:
    """The embedded model, unless it is not installed or an agenda is asked for."""
    from duologue.models import local

    status = local.status()
    if agenda:
        return Guests(
            embedded=False, explanation="The guests follow an agenda, as you asked; no language model is used."
        )
    if status.problem:
        return Guests(
            embedded=False,
            explanation=f"The guests follow an agenda, because the embedded model cannot be used. {status.problem}",
        )
    [model, *_] = status.models
    return Guests(
        embedded=True,
        explanation=(
            f"The guests are played by the embedded language model {model.name}, on this machine. A model this small\n"
            "is not fit to judge: the verdicts rest on checks of tool calls and of the restaurant's book, and the\n"
            "model's own judgement is shown as advisory."
        ),
    )
