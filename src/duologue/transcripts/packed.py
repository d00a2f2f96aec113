"""Recordings that are packed with gzip, as logs are kept. What is unpacked is bounded."""

from __future__ import annotations

import zlib

GZIP = b"\x1f\x8b"
_PIECE = 1 << 20


class PackedError(ValueError):
    """The file cannot be unpacked; the text says why, to follow ``this is``."""


def unpacked(content: bytes, most: int) -> bytes:
    """What a gzip file holds; several that follow each other are read as one.

    Args:
        content: of the file.
        most: bytes that it may hold.

    Raises:
        PackedError: it is broken, holds more, or holds an archive.
    """
    pieces: list[bytes] = []
    size = 0
    while content.startswith(GZIP):
        stream = zlib.decompressobj(wbits=31)
        try:
            while not stream.eof:
                piece = stream.decompress(content, _PIECE)
                content = stream.unconsumed_tail or stream.unused_data
                size += len(piece)
                if size > most:
                    raise PackedError(f"a gzip file that unpacks to more than {most:,} bytes; split it into several")
                pieces.append(piece)
                if not piece and not content and not stream.eof:
                    raise PackedError("a broken gzip file; unpack it (gunzip) and give the file that was in it")
        except zlib.error as error:
            raise PackedError("a broken gzip file; unpack it (gunzip) and give the file that was in it") from error
        content = content.lstrip(b"\0")  # what fills blocks of tapes and of some loggers
    whole = b"".join(pieces)
    if whole[257:262] == b"ustar":
        raise PackedError("a tar archive; unpack it (tar -xzf) and give the files that were in it")
    if whole.startswith(GZIP):
        raise PackedError("a gzip file within a gzip file; unpack it once (gunzip)")
    return whole
