from __future__ import annotations

import codecs

import pytest

from duologue.agents.tools.bounded_lines import MAX_LINE_BYTES, LineTooLongError, bounded_lines


def test_lines_up_to_the_limit_are_read_as_utf8_wherever_they_are_cut() -> None:
    decoder = codecs.getincrementaldecoder(bounded_lines())()
    data = ("äöü🙂\n" * 100).encode()
    assert "".join(decoder.decode(data[place : place + 3]) for place in range(0, len(data), 3)).encode() == data
    assert "ü".encode(bounded_lines()) == "ü".encode()
    half = b"x" * (MAX_LINE_BYTES // 2)
    for _ in range(3):
        assert len(decoder.decode(half)) == len(half)
        assert decoder.decode(half + b"\n")[-1] == "\n"


def test_a_longer_line_is_refused() -> None:
    decoder = codecs.getincrementaldecoder(bounded_lines())()
    decoder.decode(b"a\n" + b"x" * MAX_LINE_BYTES)
    with pytest.raises(LineTooLongError, match="longer than"):
        decoder.decode(b"x")
    decoder.reset()
    assert decoder.decode(b"x") == "x"
