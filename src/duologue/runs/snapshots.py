"""What was run, complete and never changed: a suite with its files and the options that decide results, as one value.

A snapshot is portable: files that the suite names (answers of mock models, media, templates, recordings) are in it, and
whoever opens it writes them to a folder of its own. Code, programs and key files are not; a suite that needs them is
refused by name, or kept *in place*: then the snapshot names the suite's folder and the digests of its files, and can be
opened only where they are still the same.

References to the environment stay references. A credential that is written out is refused, unless it is one of a saved
connector or persona, which then keeps it: see :class:`Private`.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any, cast

from duologue.config.files import PATTERN, matching_files, read_file, write_atomic
from duologue.config.problems import listed
from duologue.config.redaction import is_written_out
from duologue.config.spec import Spec, written_paths
from duologue.errors import ConfigurationError, DuologueError
from duologue.frozen import frozen
from duologue.models.mock.file import ResponseFile
from duologue.models.mock.shapes import FileShape
from duologue.models.scope import Budget
from duologue.runs.store.records import Snapshot
from duologue.specs.agents import merged_headers
from duologue.specs.suite import Suite
from duologue.suites.forks.fork import Continuation
from duologue.suites.runner.code_files import check_types_in, module_file, program_files
from duologue.suites.runner.definition import RunOptions

VERSION = 1
FORKED = 2
"""The version of snapshots with a fork, which earlier versions of Duologue would play from the beginning."""
MAX_FILE = 32 * 1024 * 1024
"""Bytes of one file."""
MAX_FILES = 64 * 1024 * 1024
"""Bytes of all files together."""
Mark = tuple[int, int, int] | None
"""Size, time and number of a file; None if it is not there."""
_OPTIONS = ("run_timeout", "max_turns", "temperature", "max_tokens", "eval_types")


class SnapshotError(ConfigurationError):
    """A suite cannot be kept as a snapshot, or a snapshot cannot be opened here."""


@frozen
class Private:
    """What of an agent or persona in a snapshot stays with the saved connector or persona that it was made from.

    Attributes:
        section: ``agents`` or ``personas`` of the suite.
        name: which of them.
        id: of the saved connector or persona.
        headers: the names of the headers whose values it keeps.
        url: whether it keeps the URL, which has a credential in it.
    """

    section: str
    name: str
    id: str
    headers: tuple[str, ...] = ()
    url: bool = False


@frozen
class PrivateValues:
    """The values that belong to a :class:`Private`."""

    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    url: str | None = None


@frozen
class StoredSuite:
    """A snapshot that was read.

    Attributes:
        digest: its name.
        suite: what is run. Its paths lead nowhere until :meth:`opened`.
        options: how: only what decides results is set.
        mocks, mocking: the response file of mock mode, and whether models are mocked.
        private: what is still missing in the suite.
        refused: by the names of scenarios, why their runs end in an error before they begin.
        instructions: by scenario and persona, what is stored as the first message of a conversation.
        files: content of each file by its path below the suite's folder.
        folder: of a suite that is kept in place; None for one that is portable.
        digests: of the files of a suite in place.
        fork: the turns of another run that its runs begin with; None to play them from the beginning.
    """

    digest: str
    suite: Suite
    options: RunOptions = RunOptions()
    mocks: ResponseFile | None = None
    mocking: bool = False
    private: tuple[Private, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    instructions: Mapping[str, str] = field(default_factory=dict[str, str])
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    folder: Path | None = None
    digests: Mapping[str, str] = field(default_factory=dict[str, str])
    fork: Continuation | None = None

    def instruction(self, scenario: str, persona: str | None) -> str | None:
        """The first message of the stored conversation, which the agent never gets; None if there is none."""
        return self.instructions.get(pair(scenario, persona))

    def marks(self) -> dict[str, Mark]:
        """By the paths of a suite in place, what is another once a file may have changed."""
        return {} if self.folder is None else {name: _mark_of(self.folder / name) for name in self.digests}

    def opened(self, folder: Path, values: Mapping[str, PrivateValues] | None = None) -> Suite:
        """The suite, ready to be run here.

        Args:
            folder: files of snapshots are written below it, each snapshot's to a folder of its own.
            values: the values of everything private, by the id of the connector or persona.

        Raises:
            SnapshotError: the suite is kept in place and its folder is not here or has changed, or a value is missing.
        """
        home = self.folder or folder / self.digest[:32]
        if self.folder is not None:
            self._require_unchanged(self.folder)
        else:
            for name, content in self.files.items():
                path = home / name
                if not path.is_file() or path.stat().st_size != len(content):
                    write_atomic(path, content, durable=False)
        return self._with(values or {}).within(home)

    def _require_unchanged(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SnapshotError(f"the suite '{self.suite.name}' was kept in place: {folder} is not on this machine")
        changed = [name for name, digest in self.digests.items() if _digest_of(folder / name) != digest]
        if changed:
            raise SnapshotError(
                f"{listed(changed)} of the suite '{self.suite.name}' in {folder} changed after the run was made; "
                "make the run again"
            )

    def _with(self, values: Mapping[str, PrivateValues]) -> Suite:
        suite = self.suite
        for private in self.private:
            found = values.get(private.id)
            missing = [name for name in private.headers if found is None or name not in found.headers]
            if found is None or missing or (private.url and found.url is None):
                what = "connector" if private.section == "agents" else "persona"
                raise SnapshotError(
                    f"the {what} '{private.name}' ({private.id}) no longer has what the run needs: "
                    f"{listed([*missing, *(['url'] if private.url else [])])}; make the run again"
                )
            kept = {name: found.headers[name] for name in private.headers}
            items = tuple(
                _completed(item, kept, found.url if private.url else None) if item.name == private.name else item
                for item in getattr(suite, private.section)
            )
            suite = suite.changed(**{private.section: items})
        return suite


def pair(scenario: str, persona: str | None) -> str:
    """The key of a scenario with a persona, or without one."""
    return f"{scenario}\x1f{persona or ''}"


def _completed(item: Any, headers: Mapping[str, str], url: str | None) -> Any:
    holder = item.http if hasattr(item, "http") else item
    changes: dict[str, Any] = {"headers": merged_headers(holder.headers, headers)}
    if url is not None:
        changes["url"] = url
    made = holder.changed(**changes)
    return item.changed(http=made) if holder is not item else made


def take_snapshot(
    suite: Suite,
    options: RunOptions | None = None,
    *,
    mocks: ResponseFile | None = None,
    mocking: bool = False,
    private: Sequence[Private] = (),
    refused: Mapping[str, str] | None = None,
    instructions: Mapping[str, str] | None = None,
    in_place: bool = False,
) -> Snapshot:
    """A suite as a snapshot.

    Args:
        suite: what is run, with its folder.
        options: how; only what decides results is kept.
        mocks, mocking: the response file of mock mode, and whether models are mocked.
        private: what was left out of the suite, and which connector or persona has it.
        refused, instructions: see :class:`StoredSuite`.
        in_place: keep the folder and digests instead of the files, so that code and programs may be among them. Such
            a snapshot can be opened only where that folder is.

    Raises:
        SnapshotError: something of the suite cannot travel, or a credential is written out. The error has all of it.
    """
    problems = [*written_out(suite)]
    files: dict[str, bytes] = {}
    if in_place:
        code = [path for _, path in _machine_files(suite) if path is not None]
        found = [path for _, paths in _named_files(suite, problems, outside=True) for path in paths]
        digests = {_below(path, suite.folder): _digest_of(path) for path in dict.fromkeys([*code, *found])}
    else:
        problems += [told for told, _ in _machine_files(suite)]
        files, digests = _content(suite, problems), dict[str, str]()
    if problems:
        raise SnapshotError(f"the suite '{suite.name}' cannot be kept in the run store: {'; '.join(problems)}")
    chosen = options or RunOptions()
    data: dict[str, Any] = {
        "version": VERSION,
        "suite": suite.written(),
        "options": {name: value for name in _OPTIONS if (value := getattr(chosen, name)) is not None},
    }
    if chosen.run_budget is not None:
        data["options"]["run_budget"] = {"money": chosen.run_budget.money, "tokens": chosen.run_budget.tokens}
    if mocking:
        shape = mocks.shape.model_dump(mode="json", by_alias=True, exclude_defaults=True) if mocks else None
        data["mocks"] = {"path": mocks.path if mocks else "", "shape": shape}
    if private:
        data["private"] = [_private_data(item) for item in private]
    for name, value in (("refused", refused), ("instructions", instructions)):
        if value:
            data[name] = dict(value)
    if in_place:
        data |= {"folder": str(suite.folder.absolute()), "digests": digests}
    elif files:
        data["files"] = {name: base64.b64encode(content).decode("ascii") for name, content in files.items()}
    content = json.dumps(data, separators=(",", ":")).encode("ascii")
    return Snapshot(digest=sha256(content).hexdigest(), data=content)


def forked_snapshot(
    snapshot: Snapshot,
    start: Continuation,
    *,
    agent: str | None = None,
    model: str | None = None,
    budget: float | None = None,
) -> Snapshot:
    """A snapshot whose runs begin with turns of another run.

    Args:
        snapshot: what is run otherwise.
        start: the turns.
        agent: whose model is another one.
        model: that one; None for the one that it has.
        budget: US dollars that all runs may cost together, if the suite does not allow less; None as the suite says.

    Raises:
        SnapshotError: the turns are too large, or there is no such model.
    """
    data: dict[str, Any] = json.loads(snapshot.data)
    data |= {"version": FORKED, "fork": start.as_data()}
    if model is not None:
        for item in data["suite"]["agents"]:
            if item["name"] == agent:
                item["model"] = model
    if budget is not None:
        spending: dict[str, Any] = data["suite"].setdefault("defaults", {}).setdefault("budget", {})
        usual = spending.get("money")
        spending["money"] = budget if usual is None else min(budget, usual)
    content = json.dumps(data, separators=(",", ":")).encode("ascii")
    if len(content) - len(snapshot.data) > MAX_FILES:
        raise SnapshotError(f"the turns have more than {MAX_FILES:,} bytes; fork from an earlier one")
    made = Snapshot(digest=sha256(content).hexdigest(), data=content)
    read_snapshot(made)
    return made


def read_snapshot(snapshot: Snapshot) -> StoredSuite:
    """What a snapshot holds.

    Raises:
        SnapshotError: it is damaged, or of a newer version.
    """
    if sha256(snapshot.data).hexdigest() != snapshot.digest:
        raise SnapshotError(f"the snapshot {snapshot.digest[:12]} is damaged: its content has another digest")
    try:
        data = cast("dict[str, Any]", json.loads(snapshot.data))
        if data["version"] not in {VERSION, FORKED}:
            told = (
                f"the snapshot {snapshot.digest[:12]} has version {data['version']}, and this Duologue reads {FORKED}"
            )
            raise SnapshotError(f"{told}. Upgrade Duologue on this machine")
        return _stored(snapshot.digest, data)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DuologueError):
            raise
        raise SnapshotError(f"the snapshot {snapshot.digest[:12]} cannot be read: {error}") from error


def _stored(digest: str, data: dict[str, Any]) -> StoredSuite:
    options = dict(data["options"])
    if (budget := options.pop("run_budget", None)) is not None:
        options["run_budget"] = Budget(**budget)
    if (types := options.pop("eval_types", None)) is not None:
        options["eval_types"] = tuple(types)
    mocks: dict[str, Any] | None = data.get("mocks")
    shape = mocks.get("shape") if mocks else None
    return StoredSuite(
        digest=digest,
        suite=Suite.model_validate(data["suite"]),
        options=RunOptions(**options),
        mocks=ResponseFile(path=str(mocks["path"]), shape=FileShape.model_validate(shape)) if mocks and shape else None,
        mocking=mocks is not None,
        private=tuple(map(_private, data.get("private", ()))),
        refused=data.get("refused", {}),
        instructions=data.get("instructions", {}),
        files={_safe(name): base64.b64decode(content) for name, content in data.get("files", {}).items()},
        folder=Path(data["folder"]) if "folder" in data else None,
        digests=data.get("digests", {}),
        fork=Continuation.of_data(data["fork"]) if "fork" in data else None,
    )


def _private_data(private: Private) -> dict[str, Any]:
    return {
        "section": private.section,
        "name": private.name,
        "id": private.id,
        "headers": list(private.headers),
        "url": private.url,
    }


def _private(data: dict[str, Any]) -> Private:
    return Private(
        section=data["section"], name=data["name"], id=data["id"], headers=tuple(data["headers"]), url=data["url"]
    )


def _safe(name: str) -> str:
    """A path below the folder that files are written to."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise ValueError(f"the path {name!r} leads out of the folder")
    return name


# What must not be in a snapshot


def private_headers(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the headers that hold a credential themselves, and no ``${NAME}`` in its place."""
    return tuple(name for name, value in headers.items() if is_written_out(name, value))


def is_private_url(url: str) -> bool:
    """Whether a URL has a credential in it."""
    return is_written_out("url", url)


def written_out(whole: Spec) -> Iterator[str]:
    """Where in a suite, or a part of one, a credential is written out, in words."""
    for spec, path in _specs_in(whole, ""):
        for name in (*spec.environment_fields, *(("auth",) if "auth" in type(spec).model_fields else ())):
            for where, value in _credentials(name, getattr(spec, name)):
                if value:
                    told = "holds a credential that is written out; name an environment variable instead, as ${NAME}"
                    yield f"{path}{where} {told}"


def _credentials(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str) and is_written_out(name, value):
        yield name, value
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[str, Any]", value).items():
            if isinstance(item, str):
                if is_written_out(key, item):
                    yield f"{name}.{key}", item
            else:
                yield from _credentials(f"{name}.{key}", item)
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _credentials(f"{name}[{index}]", item)


def _specs_in(spec: Spec, path: str) -> Iterator[tuple[Spec, str]]:
    yield spec, path
    for name, value in spec:
        if isinstance(value, Spec):
            yield from _specs_in(value, f"{path}{name}.")
        elif isinstance(value, tuple):
            for index, item in enumerate(cast("tuple[Any, ...]", value)):
                if isinstance(item, Spec):
                    label = getattr(item, "name", None) or index
                    yield from _specs_in(item, f"{path}{name}[{label}].")


_STAY = "stays on the machine where it is"


def _machine_files(suite: Suite) -> Iterator[tuple[str, Path | None]]:
    """Code, programs, folders and key files that the suite names by a path: why each cannot travel, and its file."""
    for agent in suite.agents:
        if agent.target:
            path = _code_below(agent.target, suite.folder)
            if path is not None:
                told = f"the agent '{agent.name}' is code in {path.name}, which {_STAY}"
                yield f"{told}; install it as a package on the workers and write module:name", path
    for kind in sorted(set(check_types_in(suite.written()))):
        path = _code_below(kind, suite.folder) if ":" in kind else None
        if path is not None:
            yield f"the check '{kind}' is code in {path.name}, which {_STAY}; install it as a package", path
    programs = [(f"the tool '{tool.name}'", tool.exec.command, tool.exec.args) for tool in suite.tools if tool.exec]
    programs += [(f"the MCP server '{item.name}'", item.command or "", item.args) for item in suite.mcp_servers]
    for agent in suite.agents:
        if command := agent.runtime_command:
            programs.append((f"the agent '{agent.name}'", command[0], command[1:]))
    for who, command, args in programs:
        for path in program_files(command, args, suite.folder):
            yield f"{who} starts {path.name}, which {_STAY}; install it on the workers", path
    for server in suite.mcp_servers:
        if server.working_dir:
            yield f"the MCP server '{server.name}' runs in the folder {server.working_dir}, which {_STAY}", None
    for agent in suite.agents:
        if agent.runtime_command and (folder := (agent.runtime or {}).get("working_dir")):
            yield f"the agent '{agent.name}' runs in the folder {folder}, which {_STAY}", None
    for model in suite.models:
        if model.credential and model.credential.credential_file:
            told = f"the key of the model '{model.name}' is in {model.credential.credential_file}, which {_STAY}"
            yield f"{told}; use credential_env", None


def _code_below(written: str, folder: Path) -> Path | None:
    """The file of code, if it belongs to the suite and is not installed."""
    path = module_file(written.rpartition(":")[0].rstrip(":"), folder)
    return path if path is not None and path.resolve().is_relative_to(folder.resolve()) else None


_TRAVEL = frozenset(
    ("mock_file", "recording_file", "file_path", "path", "mock_template_file", "mock_parts", "pack_file", "recording")
) | {"schema_file"}
"""Fields with files that belong to the suite."""


def _named_files(suite: Suite, problems: list[str], *, outside: bool) -> Iterator[tuple[str, list[Path]]]:
    """Each path of the suite that means files which belong to it, and those files."""
    for _, name, written in written_paths(suite):
        if name not in _TRAVEL:
            continue
        if "${" in written:
            problems.append(f"the path {written} names an environment variable; write the path itself")
            continue
        away = PurePosixPath(written).is_absolute() or ".." in PurePosixPath(written).parts
        if away and not outside:
            problems.append(f"{written} is outside of the suite's folder; copy it into the folder")
            continue
        is_pattern = name == "recording" and PATTERN & set(written)
        found = matching_files(suite.folder, written) if is_pattern else [suite.path(written)]
        yield written, [path for path in found if path.is_file()]


def _content(suite: Suite, problems: list[str]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for _, paths in _named_files(suite, problems, outside=False):
        for path in paths:
            try:
                files[_below(path, suite.folder)] = read_file(path, MAX_FILE)
            except ConfigurationError as error:
                problems.append(str(error))
    if sum(map(len, files.values())) > MAX_FILES:
        largest = max(files, key=lambda name: len(files[name]))
        problems.append(f"its files have more than {MAX_FILES:,} bytes together; the largest is {largest}")
    return files


def _below(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def _mark_of(path: Path) -> Mark:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


def _digest_of(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
