"""What there is of local models on this machine: for ``duologue doctor`` and ``duologue models``."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from duologue.config.cache import cache_folder
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.models.local._files import hub_folder
from duologue.models.local._launcher import ENGINE, ServerFolder, healthy, stop_server
from duologue.models.local._weights import CATALOGUE, PATH_VARIABLE, Weights, WeightsSource, find, hub_files
from duologue.settings import env


@frozen
class AvailableModel:
    """A model that can be used now.

    Attributes:
        name: to be written after ``local:``.
        source, path: where its weights are.
        size: of the weights in bytes.
        ready: whether the file is there; else it is put together when it is first used.
    """

    name: str
    source: WeightsSource
    path: Path
    size: int
    ready: bool


@frozen
class RunningServer:
    """A server of this machine.

    Attributes:
        name: of its model.
        pid, port: of the server; the port is None while it loads.
        started: seconds since 1970-01-01 UTC; None while it loads.
        idle_seconds: without a request, after which it stops.
        healthy: whether it answers.
        log: its log file.
    """

    name: str
    pid: int | None
    port: int | None
    started: float | None
    idle_seconds: float | None
    healthy: bool
    log: Path


@frozen
class LocalStatus:
    """What there is.

    Attributes:
        engine: version of the engine; None if it is not installed.
        models: what can be used.
        servers: what runs.
        cache: folder of everything that Duologue keeps.
        problem: why ``local`` cannot be used as it stands, and what to do; None if it can.
    """

    engine: str | None
    models: tuple[AvailableModel, ...]
    servers: tuple[RunningServer, ...]
    cache: Path
    problem: str | None


def status() -> LocalStatus:
    """Look, and change nothing. Asks each running server whether it is well: a few milliseconds, seconds at worst."""
    engine = _engine_version()
    problem = (
        None if engine else f"The engine '{ENGINE}' is not installed. Install it with: pip install 'duologue[local]'"
    )
    try:
        find()
    except ConfigurationError as error:
        problem = f"{problem} {error}" if problem else str(error)
    return LocalStatus(
        engine=engine,
        models=tuple(list_available()),
        servers=tuple(_server(folder) for folder in ServerFolder.all() if folder.alive()),
        cache=cache_folder(),
        problem=problem,
    )


def list_available() -> list[AvailableModel]:
    """Every model whose weights are on this machine: named in the environment, of the catalogue, in the hub's cache."""
    found: dict[Path, AvailableModel] = {}
    for name in [*filter(None, [env(PATH_VARIABLE)]), *CATALOGUE]:
        try:
            weights = find(name)
        except ConfigurationError:
            continue
        found.setdefault(weights.path, _available(weights))
    for path in _pulled_files():
        name = f"{_repository(path)}/{path.relative_to(_snapshot(path)).as_posix()}"
        found.setdefault(path, _available(Weights(name=name, source=WeightsSource.HUB, path=path)))
    return list(found.values())


def stop(name: str | None = None) -> list[RunningServer]:
    """Stop the running servers, or those of one model; returns those that ran. Whoever still asks starts them again.

    Args:
        name: of the model, without ``local:``; None for all.
    """
    wanted = name.removeprefix("local:").removeprefix("local/") if name else None
    stopped: list[RunningServer] = []
    for folder in ServerFolder.all():
        server = _server(folder)
        if (wanted is None or server.name == wanted) and stop_server(folder):
            stopped.append(server)
    return stopped


def _engine_version() -> str | None:
    try:
        return importlib.metadata.version(ENGINE)
    except importlib.metadata.PackageNotFoundError:
        return None


def _available(weights: Weights) -> AvailableModel:
    files = [weights.path] if weights.ready else weights.parts
    name = str(weights.path) if weights.source is WeightsSource.FILE else weights.name
    size = sum(path.stat().st_size for path in files)
    return AvailableModel(name=name, source=weights.source, path=weights.path, size=size, ready=weights.ready)


def _server(folder: ServerFolder) -> RunningServer:
    state = folder.read()
    return RunningServer(
        name=state.options.name if state else folder.path.name.rpartition("-")[0],
        pid=folder.pid(),
        port=state.port if state else None,
        started=state.started if state else None,
        idle_seconds=state.options.idle_seconds if state else None,
        healthy=bool(state) and folder.alive() and healthy(state),
        log=folder.log,
    )


def _pulled_files() -> list[Path]:
    repositories = sorted(path.name.removeprefix("models--") for path in hub_folder().glob("models--*--*"))
    return [path for name in repositories for path in hub_files(name.replace("--", "/", 1))]


def _repository(path: Path) -> str:
    return _snapshot(path).parent.parent.name.removeprefix("models--").replace("--", "/", 1)


def _snapshot(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.parent.name == "snapshots")
