"""A live transcript on the terminal: a listener on the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from duologue.journal.events import (
    AgentCalled,
    CheckEvaluated,
    Entry,
    Event,
    JudgeDecided,
    MessageAdded,
    MessagesRolledBack,
    ModelCalled,
    RunFinished,
    RunStarted,
    ToolCalled,
    TurnStarted,
    cut_mark,
)
from duologue.messages import text_of, tool_calls_of
from duologue.terminal_text import continued, one_line, printable
from duologue.vocabulary import CheckStatus, Decision, Verdict

if TYPE_CHECKING:
    from rich.console import Console

ROLE_STYLES = {"user": "cyan", "assistant": "green", "tool": "yellow", "system": "dim"}
ROLE_NAMES = {"user": "User", "assistant": "Agent", "tool": "Tool", "system": "System"}
VERDICT_STYLES = {Verdict.PASS: "bold green", Verdict.FAIL: "bold red", Verdict.UNDECIDED: "bold yellow"}
MARKS = {CheckStatus.PASSED: "✓", CheckStatus.FAILED: "✗", CheckStatus.SKIPPED: "–", CheckStatus.ERROR: "!"}
_MARGIN = 8
"""Columns for who speaks."""
DECISION_MARKS = {Decision.MET: "✓", Decision.UNMET: "✗", Decision.INCONCLUSIVE: "?"}


class Transcript:
    """Prints a run while it happens. Level 2 also prints turns, passed checks, judge decisions, and times of calls."""

    def __init__(self, console: Console | None = None, level: int = 1) -> None:
        if console is None:
            from rich.console import Console as RichConsole

            console = RichConsole(highlight=False)
        self._console = console
        self._level = level
        self._name = ""
        self._participants: tuple[str, ...] = ()

    def __call__(self, entry: Entry) -> None:
        """One more event."""
        match entry.event:
            case RunStarted() as event:
                self._name = event.scenario.name
                self._participants = tuple(one_line(who.name) for who in event.participants)
                self._line("", f"── {one_line(event.scenario.name)} ──", "bold")
            case MessageAdded() as event:
                self._message(event)
            case MessagesRolledBack() as event:
                self._line("", f"(taken back: {', '.join(event.message_ids)})", "dim")
            case CheckEvaluated() as event if self._level > 1 or event.status is not CheckStatus.PASSED:
                self._line(
                    "Check", f"{MARKS[event.status]} {one_line(event.name)} {event.explanation}".rstrip(), "magenta"
                )
            case JudgeDecided() as event:
                self._judged(event)
            case RunFinished() as event:
                self._finished(event)
            case event if self._level > 1:
                self._detailed(event)
            case _:
                pass

    def _message(self, event: MessageAdded) -> None:
        message = event.message
        role = message["role"]
        name, style = ROLE_NAMES.get(role, one_line(role)), ROLE_STYLES.get(role, "")
        for call in tool_calls_of(message):
            function = call["function"]
            self._line(name, f"→ {one_line(function['name'])}({one_line(function['arguments'])})", "yellow")
        if text := text_of(message):
            self._line(name, f"{text} {cut_mark(event.cut)}" if event.cut else text, style)

    def _judged(self, event: JudgeDecided) -> None:
        note = " (advisory)" if event.advisory else ""
        self._line("Judge", f"{event.verdict.value}{note}: {event.reasoning or ''}", "magenta")
        if self._level > 1:
            for decision in event.decisions:
                cited = f" [{', '.join(decision.message_ids)}]" if decision.message_ids else ""
                self._line(
                    "", f"{DECISION_MARKS[decision.decision]} {decision.criterion}: {decision.reason}{cited}", "magenta"
                )

    def _detailed(self, event: Event) -> None:
        match event:
            case TurnStarted():
                self._line("", f"turn {event.turn + 1}", "dim")
            case ModelCalled():
                used = f"{event.usage.input_tokens} + {event.usage.output_tokens} tokens"
                found = f" · {event.error}" if event.error else ""
                asked = f"{one_line(event.model)} for {one_line(event.asker)}"
                self._line("Model", f"{asked}: {event.seconds:.2f} s · {used}{found}", "dim")
            case ToolCalled():
                found = f" · {event.error}" if event.error else ""
                self._line("Tool", f"{one_line(event.name)}: {event.seconds:.2f} s{found}", "dim")
            case AgentCalled():
                self._line("Call", f"{self._participants[event.participant]}: {event.seconds:.2f} s", "dim")
            case _:
                pass

    def _finished(self, event: RunFinished) -> None:
        word = (event.verdict or event.status).value
        style = VERDICT_STYLES[event.verdict] if event.verdict else "bold red"
        self._line("", f"{word.upper()} · {event.termination.value} · {event.total_time:.2f} s", style)
        if event.reasoning:
            self._line("", event.reasoning, "dim")

    def _line(self, who: str, text: str, style: str) -> None:
        """Text of agents is data: it is never read as markup, nor by anybody as a line of ours."""
        from rich.text import Text

        label: Any = Text(f"{who + ':' if who else '':<{_MARGIN}}", style="bold " + style if who else style)
        shown = continued(text) if who else printable(continued(text))
        shown = shown.replace("\n", f"\n{' ' * _MARGIN}")
        self._console.print(label.append(Text(shown, style=style if not who else "")), soft_wrap=True)
