"""Results folders below one folder: found, read, and started by a process of their own.

A suite is run by ``duologue run`` as a child, so that nothing that an agent prints or breaks touches the conversation
with the coding agent.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from duologue.config.processes import end_group, track
from duologue.context import Clock, SystemClock
from duologue.errors import ConfigurationError, DuologueError, NotFoundError
from duologue.mcp_server.workspace import Progress, Row, Rows, SuiteLaunch, Which
from duologue.runs.store.encoding import INDEX
from duologue.runs.store.reader import Found, find_execution, holds_results, read_index, read_run
from duologue.suites.execution.engine import new_execution_id
from duologue.suites.results.run import RunResult
from duologue.terminal_text import cut

RESULTS = "duologue-runs"
"""Where executions that are started here keep their results."""
_DEEPEST = 4
"""Folders below the one that is worked in."""
_MOST_FOLDERS = 5_000
_SKIPPED = {"node_modules", "site-packages", "__pycache__", "venv", "journals", "media", "runs"}
_STOPS = 30.0
"""Seconds that an execution may take to stop in good order."""
_STOPS_AT_ONCE = 1.0
"""The same where this program ends: whoever has started it does not wait for long."""
_QUOTED = 3_000
"""Characters of the output of a process that are quoted."""
_POLL = 0.2
"""Seconds between two looks at a folder."""
_SHARE = 5
"""How many times as long as the last look the pause is, at least."""


@dataclass(eq=False)
class _Child:
    process: asyncio.subprocess.Process
    log: Path
    end: asyncio.Task[None] | None = None


class ResultsFolders:
    """The results folders below a folder.

    Args:
        root: nothing outside of it is read or run.
        clock: time.
    """

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        self.root = root.resolve()
        self._clock = clock or SystemClock()
        self._children: dict[str, _Child] = {}

    # Finding

    def path(self, written: str, what: str) -> Path:
        """A path within the folder.

        Raises:
            ConfigurationError: it leads elsewhere, or to nothing.
        """
        path = (self.root / written).resolve()
        if path != self.root and self.root not in path.parents:
            raise ConfigurationError(
                f"{what} '{written}' is outside of {self.root}; start 'duologue mcp' with --folder to work elsewhere"
            )
        if not path.exists():
            raise NotFoundError(f"{what} '{written}' does not exist in {self.root}")
        return path

    def folder(self, execution: str) -> Path | None:
        """The folder of an execution that is called by its path or its id; None if there is none."""
        with suppress(DuologueError, OSError, ValueError):
            path = self.path(execution, "the folder")
            if path.is_dir() and holds_results(path):
                return path
        with suppress(OSError, ValueError):
            named = self.root / RESULTS / execution
            if Path(execution).name == execution and holds_results(named):
                return named
        return next((path for path in self._folders() if path.name == execution), None)

    def name(self, folder: Path) -> str:
        """What the tools call an execution: the name of its folder; its path, where it is not among the usual ones."""
        inside = folder.relative_to(self.root)
        return inside.name if inside.parent == Path(RESULTS) else inside.as_posix()

    def _folders(self) -> Iterator[Path]:
        """All results folders, and none twice."""
        waiting, seen = [(self.root, 0)], 0
        while waiting and seen < _MOST_FOLDERS:
            folder, depth = waiting.pop()
            seen += 1
            if holds_results(folder):
                yield folder
                continue
            if depth < _DEEPEST:
                waiting += [(inner, depth + 1) for inner in _inside(folder, _SKIPPED)]

    def suites(self) -> list[str]:
        """Suite files, and folders of one, by their paths."""
        from duologue.suites.manifests.loader import main_files

        found: list[str] = []
        waiting, seen = [(self.root, 0)], 0
        while waiting and seen < _MOST_FOLDERS:
            folder, depth = waiting.pop()
            seen += 1
            with suppress(OSError, DuologueError):
                found += [Path(path).resolve().relative_to(self.root).as_posix() for path in main_files(folder)]
            if depth < _DEEPEST - 1:
                waiting += [(inner, depth + 1) for inner in _inside(folder, _SKIPPED | {RESULTS})]
        return sorted(dict.fromkeys(found))

    # Reading

    def executions(self) -> Rows:
        """A row for each execution, the newest first."""
        rows: list[Row] = []
        notes: list[str] = []
        for folder in self._folders():
            try:
                rows.append(self._row(folder))
            except DuologueError as error:
                notes.append(str(error))
        return Rows(rows=sorted(rows, key=lambda row: str(row["started_at"]), reverse=True), notes=notes)

    def _row(self, folder: Path) -> Row:
        if (folder / INDEX).is_file():
            index = read_index(folder)
            totals, spent = index["totals"], index["spent"]["total"]
            word = "interrupted" if index["interrupted"] else "over"
            return {**self._facts(folder, index["suite"], index["started_at"], word, totals), "cost": spent["cost"]}
        found = find_execution(folder).execution
        word = "running" if found.running else "interrupted"
        return self._facts(
            folder, found.suite, found.started_at.astimezone(UTC).isoformat(), word, asdict(found.totals)
        )

    def _facts(self, folder: Path, suite: str, started_at: str, status: str, totals: Any) -> dict[str, Any]:
        outcomes = {name: totals[name] for name in ("passed", "failed", "undecided", "errors", "cancelled")}
        return {
            "execution": self.name(folder),
            "suite": suite,
            "status": status,
            "cases": totals["cases"],
            **{name: count for name, count in outcomes.items() if count},
            "started_at": started_at,
        }

    def found(self, folder: Path) -> Found:
        """The execution of a folder as it is now."""
        return find_execution(folder)

    def run(self, folder: Path, run_id: str) -> RunResult:
        """A run of an execution, also one that has not come to its end."""
        try:
            return read_run(folder, run_id)
        except ConfigurationError:
            for run in self.found(folder).execution.runs:
                if run.run_id == run_id:
                    return run
            raise NotFoundError(f"the execution {self.name(folder)} has no run '{run_id}'") from None

    def find_run(self, run_id: str) -> tuple[Path, RunResult] | None:
        """A run, whatever execution it belongs to."""
        if Path(run_id).name != run_id:
            return None
        for folder in self._folders():
            if (folder / "runs" / f"{run_id}.json").is_file():
                return folder, self.run(folder, run_id)
        return None

    # Progress

    async def progress(self, name: str) -> Progress | None:
        """How far an execution is; None if there is none of that name."""
        child = self._children.get(name)
        folder = self.folder(name)
        if folder is None:
            return None if child is None else self._beginning(name, child)
        found = await asyncio.to_thread(self.found, folder)
        execution = found.execution
        outcomes: dict[str, int] = {}
        for run in execution.runs:
            outcomes[run.outcome] = outcomes.get(run.outcome, 0) + 1
        ended = child is None or child.process.returncode is not None
        return Progress(
            id=name,
            over=not execution.running and ended,
            total=len(execution.plan.cases) or len(execution.runs),
            outcomes=outcomes,
            cost=execution.spent.cost,
            note=_interrupted(child) if execution.interrupted and ended else "",
        )

    def _beginning(self, name: str, child: _Child) -> Progress:
        """Of an execution that has written nothing yet."""
        code = child.process.returncode
        if code is None:
            return Progress(id=name, over=False, total=0, note="It is being prepared.")
        raise ConfigurationError(
            f"the suite was not run: duologue run ended with code {code}:\n{_output_of(child.log)}"
        )

    async def pause(self, since: float) -> None:
        """Between two looks at an execution, of which large ones take long.

        Args:
            since: when the last look began, on the monotonic clock.
        """
        await self._clock.sleep(max(_POLL, _SHARE * (self.now() - since)))

    def now(self) -> float:
        """On the monotonic clock."""
        return self._clock.monotonic()

    # Running

    async def start(self, launch: SuiteLaunch) -> str:
        """Run a suite; returns the execution.

        Raises:
            ConfigurationError: there is no such suite.
        """
        suite = self.path(launch.path, "the suite")
        name = new_execution_id(self._clock)
        options = [
            *_each("--scenario", launch.scenarios),
            *_each("--agent", launch.agents),
            *_each("--tag", launch.tags),
        ]
        options += _option("--trials", launch.trials) + _option("--seed", launch.seed)
        options += _option("--budget", launch.max_cost) + (["--mock-all"] if launch.mock else [])
        command = ["run", f"--out={self.root / RESULTS / name}", "--quiet", *options, "--", str(suite)]
        return await self._begin(name, command)

    async def rerun(self, folder: Path, which: Which, max_cost: float | None) -> str:
        """Run again what ended in an error, in its folder, or all that did not pass, in a new one."""
        found = self.found(folder).execution
        if found.running:
            raise ConfigurationError(f"the execution {self.name(folder)} is still running; wait for it, or cancel it")
        budget = _option("--budget", max_cost)
        if which == "errors":
            name = self.name(folder)
            return await self._begin(name, ["retry", "--quiet", *budget, "--", str(folder)])
        name = new_execution_id(self._clock)
        command = [
            "run",
            f"--failed-in={folder}",
            f"--out={self.root / RESULTS / name}",
            "--quiet",
            *budget,
            "--",
            found.path,
        ]
        return await self._begin(name, command)

    async def _begin(self, name: str, arguments: Sequence[str]) -> str:
        logs = self.root / RESULTS / "logs"
        await asyncio.to_thread(logs.mkdir, parents=True, exist_ok=True)
        log = logs / f"{Path(name).name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "duologue", *arguments),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.root,
                start_new_session=True,
            )
        track(process)
        child = self._children[name] = _Child(process, log)
        child.end = asyncio.create_task(_ended(process))
        return name

    async def cancel(self, name: str) -> str:
        """Stop an execution that was started here."""
        child = self._children.get(name)
        if child is None or child.process.returncode is not None:
            raise ConfigurationError(f"the execution {name} was not started here, or is over")
        await _stopped(child.process, _STOPS)
        return "stopped; what was over is kept"

    async def close(self) -> None:
        """Stop what is still running."""
        running = [child.process for child in self._children.values() if child.process.returncode is None]
        await asyncio.gather(*(_stopped(process, _STOPS_AT_ONCE) for process in running))
        await asyncio.gather(*(child.end for child in self._children.values() if child.end is not None))


async def _stopped(process: asyncio.subprocess.Process, seconds: float) -> None:
    """Ask a process to stop, and kill it where it does not."""
    process.terminate()
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await process.wait()
    await end_group(process)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait for a process, and end what it has left."""
    await process.wait()
    await end_group(process)


def started_at(seconds: float) -> str:
    """An instant as the rows show it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _each(option: str, values: Sequence[str]) -> list[str]:
    return [f"{option}={value}" for value in values]


def _option(option: str, value: object) -> list[str]:
    return [] if value is None else [f"{option}={value}"]


def _interrupted(child: _Child | None) -> str:
    return "It did not come to its end." + (f" {_output_of(child.log)}" if child else "")


def _output_of(log: Path) -> str:
    """What a process has said, from its beginning."""
    try:
        return cut(log.read_text("utf-8", "replace").strip(), _QUOTED)
    except OSError:
        return ""


def _inside(folder: Path, skipped: Container[str]) -> list[Path]:
    """The folders in a folder, without hidden ones, links and those of these names; none of one that cannot be read."""
    with suppress(OSError), os.scandir(folder) as items:
        return [
            folder / item.name
            for item in items
            if item.is_dir(follow_symlinks=False) and not item.name.startswith(".") and item.name not in skipped
        ]
    return []
