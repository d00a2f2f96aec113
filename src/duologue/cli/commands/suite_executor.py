"""``duologue run SUITE --executor processes|dask``: who runs the cases of a suite, if not this process."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.suites.execution.engine import Engine
from duologue.suites.runner.definition import RunOptions

if TYPE_CHECKING:
    from duologue.runs.distributed.coordinator import Coordinator, ExecutorOptions
    from duologue.runs.distributed.dask_settings import Tls

LOCAL, PROCESSES, DASK = "local", "processes", "dask"
EXECUTORS = (LOCAL, PROCESSES, DASK)


@frozen
class ExecutorRequest:
    """What the command line asks for.

    Attributes:
        name: of the executor.
        workers: how many processes there are; None for one on each processor.
        address: of a Dask scheduler; None for a cluster of our own.
        tls_ca, tls_cert, tls_key: files for an encrypted connection to it.
    """

    name: str = LOCAL
    workers: int | None = None
    address: str | None = None
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None

    @property
    def is_local(self) -> bool:
        """Whether this process runs the cases itself."""
        return self.name == LOCAL

    def require_possible(self) -> None:
        """Raise ConfigurationError if options do not fit together."""
        if self.name not in EXECUTORS:
            raise ConfigurationError(f"--executor: found '{self.name}'; expected one of {', '.join(EXECUTORS)}")
        if self.name != DASK:
            given = {"--address": self.address, "--tls-ca": self.tls_ca, "--tls-cert": self.tls_cert}
            given["--tls-key"] = self.tls_key
            for option, value in given.items():
                if value is not None:
                    raise ConfigurationError(f"{option} is for a Dask cluster; add --executor dask")
        if self.is_local and self.workers is not None:
            raise ConfigurationError("--workers needs other processes; add --executor processes, or dask")
        if self.address is not None and self.workers is not None:
            raise ConfigurationError(
                f"--workers is for a cluster of our own; {self.address} has the workers that were started there"
            )
        files = [self.tls_ca, self.tls_cert, self.tls_key]
        if any(files) and not all(files):
            raise ConfigurationError("an encrypted connection needs all of --tls-ca, --tls-cert and --tls-key")
        if self.address is not None:
            from duologue.runs.distributed.dask_settings import require_address

            require_address(self.address, self.tls)

    @property
    def tls(self) -> Tls | None:
        """The files for an encrypted connection; None for one that is not."""
        if not (self.tls_ca and self.tls_cert and self.tls_key):
            return None
        from duologue.runs.distributed.dask_settings import Tls

        return Tls(ca_file=str(self.tls_ca), cert_file=str(self.tls_cert), key_file=str(self.tls_key))


def use_workers(
    engine: Engine, request: ExecutorRequest, settings: RunOptions, folder: Path, earlier: Path | None
) -> None:
    """Let an engine run its cases on workers, if that is asked for.

    Args:
        engine: of the suite.
        request: which workers.
        settings: how the cases are run.
        folder: of the results.
        earlier: of an execution that says how long cases take; None for the last one beside the folder.

    Raises:
        ConfigurationError: an option, or something in the suite, cannot be done there.
        MissingExtraError: a package is missing.
    """
    if request.is_local:
        return
    from duologue.runs.distributed.suite import DistributedLaunch, Workers, newest_execution

    options = settings.over(engine.suite.defaults)
    if options.budget is not None:
        raise ConfigurationError(
            f"a budget for all runs together cannot be kept with --executor {request.name}: its workers do not know "
            "what the others spend. Run with --executor local, limit each run with 'run_budget', or queue the suite "
            "with 'duologue runs submit': its workers know from the database what all have spent"
        )
    count = None if request.address is not None else request.workers or _processors()
    workers = Workers(
        make=partial(_made, request, count),
        count=count,
        concurrency=settings.concurrency or engine.suite.defaults.concurrency,
        in_place=request.address is None,
        earlier=earlier or newest_execution(folder.parent, engine.suite.name),
    )
    engine.launcher = partial(DistributedLaunch, engine=engine, at=workers)


def _made(request: ExecutorRequest, count: int | None, capacity: int, options: ExecutorOptions) -> Coordinator[Any]:
    if request.name == PROCESSES:
        from duologue.runs.distributed.processes import ProcessExecutor

        return ProcessExecutor(count or 1, capacity=capacity, options=options)
    from duologue.runs.distributed.dask import DaskExecutor

    return DaskExecutor(count or 1, capacity=capacity, address=request.address, tls=request.tls, options=options)


def _processors() -> int:
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1
