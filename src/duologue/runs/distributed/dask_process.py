"""A worker of a Dask cluster of this machine: ``python -m … LIFELINE``, with options as a line of JSON on its input.

The line may come late: what takes long is to load Dask, and that can be done while the scheduler does the same.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from duologue.runs.distributed.children import end_with_parent
from duologue.runs.distributed.dask_settings import QUIET


def main() -> None:
    """Be a worker until the scheduler lets it go."""
    end_with_parent(int(sys.argv[1]))
    import distributed

    options = json.loads(sys.stdin.readline())
    sys.path[:] = options["path"]
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    asyncio.run(_work(options, distributed.Worker))


async def _work(options: Mapping[str, Any], make: Callable[..., Awaitable[Any]]) -> None:
    from dask import config
    from distributed.system import MEMORY_LIMIT

    with config.set(QUIET):
        worker = await make(
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
