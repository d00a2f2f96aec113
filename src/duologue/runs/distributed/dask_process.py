"""A worker of a Dask cluster of this machine: ``python -m … LIFELINE OPTIONS``, with options as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Mapping
from typing import Any

import distributed
from dask import config

from duologue.runs.distributed.children import end_with_parent

QUIET: Mapping[str, object] = {
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.scheduler.allowed-failures": 0,  # the coordinator says what is done again
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.active-memory-manager.start": False,
    "distributed.worker.profile.enabled": False,
    "distributed.comm.timeouts.connect": "30s",
}
"""Settings of a cluster that is ours."""


def main() -> None:
    """Be a worker until the scheduler lets it go."""
    end_with_parent(int(sys.argv[1]))
    options = json.loads(sys.argv[2])
    sys.path[:] = options["path"]
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    asyncio.run(_work(options))


async def _work(options: Mapping[str, Any]) -> None:
    from distributed.system import MEMORY_LIMIT

    with config.set(QUIET):
        worker = await distributed.Worker(
            options["address"],
            name=options["name"],
            nthreads=options["nthreads"],
            local_directory=options["folder"],
            memory_limit=int(MEMORY_LIMIT * options["share"]),
            host="127.0.0.1",
            dashboard=False,
            dashboard_address="127.0.0.1:0",
        )
        await worker.finished()


if __name__ == "__main__":
    main()
