"""Work on many cores and machines: units, where they come from, who does them and where their results go.

The ports are here. What fills them is in the modules of this package: executors in
:mod:`~duologue.runs.distributed.local` (one event loop), :mod:`~duologue.runs.distributed.processes` (worker processes
on this machine) and :mod:`~duologue.runs.distributed.dask` (a Dask cluster), a sink in memory in
:mod:`~duologue.runs.distributed.sinks`, and the test cases of a suite as units in
:mod:`~duologue.runs.distributed.suite`.

No engine is durable, and none need be: the folder of results is the truth. A lost worker costs the units that it was
doing, which are done again, and a result that comes twice is recorded once.
"""

from duologue.runs.distributed.ports import (
    DistributedExecutor,
    ExecutionStatus,
    Filter,
    ResultSink,
    WorkerInfo,
    WorkerStatus,
    WorkResult,
    WorkSource,
    WorkUnit,
)
from duologue.runs.distributed.worker_scope import OpenSession, WorkerScope

__all__ = [
    "DistributedExecutor",
    "ExecutionStatus",
    "Filter",
    "OpenSession",
    "ResultSink",
    "WorkResult",
    "WorkSource",
    "WorkUnit",
    "WorkerInfo",
    "WorkerScope",
    "WorkerStatus",
]
