"""What goes between a coordinator and a worker process: values of our own, each with its length before it.

Both ends are processes of ours, started one by the other, and a socket pair that nobody else has is between them.
"""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

LENGTH = 8
"""Bytes that say how long a value is."""


def framed(value: object) -> bytes:
    """A value as the bytes that are sent.

    Raises:
        Exception: whatever the value raises when it is pickled.
    """
    data = pickled(value)
    return len(data).to_bytes(LENGTH, "big") + data


def pickled(value: object) -> bytes:
    """A value as bytes, which :func:`loaded` makes a value of."""
    return pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)


async def read_frame(reader: asyncio.StreamReader) -> Any:
    """The next value.

    Raises:
        EOFError: the other end has gone.
    """
    try:
        size = int.from_bytes(await reader.readexactly(LENGTH), "big")
        return loaded(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise EOFError("the other end has gone") from error


def loaded(data: bytes) -> Any:
    """A value that was pickled by the other end, or by this program."""
    return pickle.loads(data)  # noqa: S301 - between a process and one that it has started
