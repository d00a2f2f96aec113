"""``duologue label``: a person says of each decision of a judge whether it is right."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from duologue.cli.exit_codes import ExitCode
from duologue.cli.output import echo
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.terminal_text import continued, one_line

if TYPE_CHECKING:
    from duologue.suites.calibration.judged import JudgedItem, JudgeIdentity
    from duologue.suites.calibration.labels import Label, LabelValue
    from duologue.suites.results.run import RunResult

KEYS = "a agree · d disagree · u unsure · n note · s skip · b back · q quit"
BLIND_KEYS = "p pass · f fail · u unsure · n note · s skip · b back · q quit"
_QUOTE = 600


def label(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A results folder.")],
    rater: Annotated[str | None, typer.Option(help="Who you are. Default: your user name.")] = None,
    blind: Annotated[
        bool, typer.Option("--blind", help="Do not show what the judge has decided until you have.")
    ] = False,
    whole: Annotated[
        bool, typer.Option("--runs/--no-runs", help="Also label the verdict of each run as a whole.")
    ] = False,
    labels: Annotated[
        Path | None, typer.Option("--labels", help="The file that keeps the labels. Default: DIR.labels.jsonl.")
    ] = None,
    take_from: Annotated[
        Path | None, typer.Option("--from", help="Take over the labels of this file (CSV or JSONL), and end.")
    ] = None,
    template: Annotated[
        Path | None, typer.Option(help="Write a table (.csv) of what is to be labelled, for a spreadsheet, and end.")
    ] = None,
) -> int:
    """Go through the decisions of judges in the runs of a results folder, and say of each whether it is right.

    Runs come in a random order, the same for everybody, so that those that were labelled are a fair sample whenever you
    stop. Each label is kept at once, beside the folder; called again, the queue continues.
    """
    from duologue.runs.store.judges import judges_in
    from duologue.runs.store.reader import find_execution
    from duologue.suites.calibration.judged import in_label_order
    from duologue.suites.calibration.labels import labels_path, merged, read_labels, write_labels

    found = find_execution(folder)
    target = labels or labels_path(found.folder)
    runs = in_label_order(found.execution.runs, found.execution.id)
    if template is not None:
        return _write_template(template, runs, whole=whole)
    judges = judges_in(found.folder, runs)
    known = read_labels(target) if target.exists() else []
    if take_from is not None:
        new = _with_decisions(read_labels(take_from), runs, judges)
        write_labels(target, merged(known, new))
        echo(f"{len(new)} labels are kept in {one_line(target)}")
        return ExitCode.PASSED
    queue = LabelQueue(
        runs=runs,
        known=known,
        judges=judges,
        rater=rater or _user(),
        blind=blind,
        whole=whole,
        keep=lambda held: write_labels(target, held),
    )
    given = queue.work(_read_key)
    echo(f"{given} labels given, {queue.left} left; kept in {one_line(target)}")
    echo(f"What they say of the judge:  duologue calibration {one_line(folder)}")
    return ExitCode.PASSED


def _user() -> str:
    return os.environ.get("USER") or os.environ.get("USERNAME") or "me"


def _with_decisions(
    labels: Iterable[Label], runs: Sequence[RunResult], judges: Mapping[str, JudgeIdentity]
) -> list[Label]:
    """The labels with what the judge had said, where these runs have it."""
    from dataclasses import replace

    from duologue.suites.calibration.judged import judged_items

    items = {(item.run, item.criterion): item for run in runs for item in judged_items(run)}
    found: list[Label] = []
    for label in labels:
        item = items.get((label.run, label.criterion))
        if item is None or label.decision is not None:
            found.append(label)
            continue
        digest = judges[label.run].digest if label.run in judges else ""
        found.append(replace(label, decision=item.decision, judge=digest))
    return found


def _write_template(path: Path, runs: Sequence[RunResult], *, whole: bool) -> int:
    from duologue.suites.calibration.judged import judged_items

    if path.exists():
        raise ConfigurationError(f"{path} already exists; choose another name")
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["run", "criterion", "label", "rater", "note", "decision", "reason"])
        for run in runs:
            for item in judged_items(run, whole=whole):
                table.writerow([item.run, item.criterion, "", "", "", item.decision, item.reason])
    echo(f"Fill in the column 'label' (pass, fail or unsure):  {one_line(path)}")
    return ExitCode.PASSED


def _read_key(prompt: str) -> str:
    """One key where a terminal is attached, else the first character of a line; '' at the end of the input."""
    sys.stdout.write(prompt)
    sys.stdout.flush()
    if sys.stdin.isatty():
        key = typer.getchar()
        echo(one_line(key))
        return key
    line = sys.stdin.readline()
    return line.strip()[:1] or "\n" if line else ""


def _read_note() -> str:
    sys.stdout.write("Note: ")
    sys.stdout.flush()
    return sys.stdin.readline().strip()


@frozen
class Asked:
    """A decision that a person is asked about."""

    run: RunResult
    item: JudgedItem


class LabelQueue:
    """What is to be labelled, one decision after the other.

    Args:
        runs: in the order in which they are shown.
        known: labels that there are.
        judges: who judged each run.
        rater: who labels.
        blind: do not show what was decided.
        whole: also ask for the verdicts.
        keep: called with all labels after each change.
    """

    def __init__(
        self,
        *,
        runs: Sequence[RunResult],
        known: Sequence[Label],
        judges: Mapping[str, JudgeIdentity],
        rater: str,
        blind: bool,
        whole: bool,
        keep: Callable[[Sequence[Label]], None],
    ) -> None:
        from duologue.suites.calibration.judged import judged_items

        self._held = {label.key: label for label in known}
        self._judges = judges
        self._rater = rater
        self._blind = blind
        self._keep = keep
        self._asked = [
            Asked(run=run, item=item)
            for run in runs
            for item in judged_items(run, whole=whole or not judged_items(run, whole=False))
        ]

    @property
    def left(self) -> int:
        """How many decisions this rater has not labelled."""
        return sum(not self._is_labelled(asked) for asked in self._asked)

    def _is_labelled(self, asked: Asked) -> bool:
        return (asked.item.run, asked.item.criterion, self._rater) in self._held

    def work(self, read_key: Callable[[str], str]) -> int:
        """Ask until everything is labelled or the person leaves; how many labels were given."""
        given, shown = 0, ""
        place = self._next(0)
        while place is not None:
            asked = self._asked[place]
            if asked.run.run_id != shown:
                shown = asked.run.run_id
                _show_run(asked.run, f"{place + 1} of {len(self._asked)}")
            _show_item(asked, blind=self._blind)
            answer = self._answered(asked, read_key)
            if answer == "quit":
                break
            if answer == "back":
                place = max(0, place - 1)
                continue
            given += answer == "labelled"
            place = self._next(place + 1)
        return given

    def _next(self, start: int) -> int | None:
        return next(
            (place for place in range(start, len(self._asked)) if not self._is_labelled(self._asked[place])), None
        )

    def _answered(self, asked: Asked, read_key: Callable[[str], str]) -> str:
        """What a person wants: ``labelled``, ``skip``, ``back`` or ``quit``."""
        note = ""
        while True:
            key = read_key(f"{BLIND_KEYS if self._blind else KEYS} > ").lower()
            if key in {"", "q", "\x03", "\x04"}:
                return "quit"
            if key == "n":
                note = _read_note()
            elif key in {"s", "b"}:
                return "skip" if key == "s" else "back"
            elif (value := self._value(key, asked.item)) is not None:
                self._add(asked.item, value, note)
                if self._blind:
                    echo(f"The judge said {asked.item.decision}: {one_line(asked.item.reason, _QUOTE)}")
                return "labelled"

    def _value(self, key: str, item: JudgedItem) -> LabelValue | None:
        opposite: dict[LabelValue, LabelValue] = {"pass": "fail", "fail": "pass"}
        keys: dict[str, LabelValue | None] = {"p": "pass", "f": "fail", "u": "unsure"}
        if not self._blind:
            # Who disagrees with "undecided" has to say what is right.
            keys |= {"a": item.decision, "d": opposite.get(item.decision)}
        if key == "d" and not self._blind and item.decision == "unsure":
            echo("The judge could not decide: press p for pass or f for fail.")
        return keys.get(key)

    def _add(self, item: JudgedItem, value: LabelValue, note: str) -> None:
        from duologue.suites.calibration.labels import Label, now

        judge = self._judges.get(item.run)
        made = Label(
            run=item.run,
            criterion=item.criterion,
            value=value,
            rater=self._rater,
            note=note,
            decision=item.decision,
            judge=judge.digest if judge else "",
            at=now(),
        )
        self._held[made.key] = made
        self._keep(list(self._held.values()))


def _show_run(run: RunResult, place: str) -> None:
    from duologue.reports.display import said_and_called

    echo(f"\n[{place}] {one_line(run.case.title)}  ({one_line(run.run_id)})")
    if run.description:
        echo(f"  {continued(run.description)}")
    for message in run.messages:
        echo(f"  {one_line(message.id)} {message.message['role']}: {one_line(said_and_called(message))}")


def _show_item(asked: Asked, *, blind: bool) -> None:
    from duologue.reports.display import said_and_called
    from duologue.suites.results.run import cited

    item = asked.item
    echo(f"\n{one_line(item.criterion) if item.criterion else 'The run as a whole passes.'}")
    if blind:
        return
    echo(f"  The judge: {item.decision}{f' – {one_line(item.reason, _QUOTE)}' if item.reason else ''}")
    for message in cited(asked.run, item.message_ids):
        echo(f"  {one_line(message.id)}: {one_line(said_and_called(message), _QUOTE)}")
