"""The guide to runs over the API: its example runs against a real service."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'server'")

from http_agent import http_agent
from running_service import running_service

from duologue.server.events import feed, stream
from duologue.server.openapi import document

TEXT = (Path(__file__).parents[2] / "docs/guides/live-runs.md").read_text("utf-8")
BLOCKS = re.findall(r"```\{\.python [^\n]*\n(.*?)```", TEXT, re.DOTALL)


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with http_agent(lambda said: "Of course.") as url, running_service(tmp_path) as server:
        monkeypatch.setenv("DUOLOGUE_API_URL", server.url)
        [block] = BLOCKS
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(block.replace("http://127.0.0.1:9000/chat", url), "guide", "exec"), names)
        names["api"].close()
    *events, run, label = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in events] == [str(number) for number in range(1, 9)]
    assert events[0] == "1 all 0"
    assert events[-1] == "8 all 3"
    assert run == "completed ['I want a refund.', 'Of course.']"
    assert label == "201 local"


def test_the_tables_are_those_of_the_code() -> None:
    from duologue.server import create_app

    paths = document(create_app())["paths"]
    for method, path in re.findall(r"`(GET|POST|PATCH|DELETE) (/[^`?]*)", TEXT):
        assert method.lower() in {
            key for known in paths if re.sub(r"\{\w+\}", "{id}", known) == f"/api/v1{path}" for key in paths[known]
        }, path
    assert f"After {feed.KEEPALIVE:g} seconds" in TEXT
    assert f"for {stream.SLOWEST:g} seconds" in TEXT
