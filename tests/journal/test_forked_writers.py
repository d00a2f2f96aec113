"""A child process that an agent has forked, and that returns from it, writes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from duologue.journal.jsonl import JsonlSink

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def test_a_forked_child_ends_where_it_would_write_to_the_journal(tmp_path: Path) -> None:
    sink = JsonlSink(tmp_path / "run.jsonl")
    child = os.fork()
    if not child:
        try:
            sink.write([]).send(None)
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert not (tmp_path / "run.jsonl").exists()
