"""UTF-8 whose lines are bounded: what a program writes that never ends its line fills no memory.

The library of MCP reads the lines of a program with a text encoding that it is given by name, and keeps a line until
it ends. This is such an encoding. A program that breaks the limit is read no further, and its call ends at its time
limit.
"""

from __future__ import annotations

import codecs
from functools import cache

MAX_LINE_BYTES = 10 * 1024 * 1024
_NAME = "duologue_bounded_lines"


class LineTooLongError(ConnectionError):
    """The line is over the limit; a broken connection to those who read it."""


class _Decoder(codecs.IncrementalDecoder):
    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._text = codecs.getincrementaldecoder("utf-8")(errors)
        self._size = 0

    def decode(self, input: bytes, final: bool = False) -> str:  # type: ignore[override]
        end = input.rfind(b"\n")
        self._size = self._size + len(input) if end < 0 else len(input) - end - 1
        if self._size > MAX_LINE_BYTES:
            raise LineTooLongError(f"a line is longer than {MAX_LINE_BYTES} bytes")
        return self._text.decode(input, final)

    def reset(self) -> None:
        self._size = 0
        self._text.reset()


@cache
def bounded_lines() -> str:
    """The name of the encoding, which Python knows from now on."""
    plain = codecs.lookup("utf-8")
    info = codecs.CodecInfo(plain.encode, plain.decode, incrementaldecoder=_Decoder, name=_NAME)
    codecs.register(lambda name: info if name == _NAME else None)
    return _NAME
