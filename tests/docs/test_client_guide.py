"""The guide to the Python client: its blocks run, in order, against a real service."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'server'")

from http_agent import http_agent
from running_service import running_service

from duologue import errors
from duologue.client import _settings as settings

TEXT = (Path(__file__).parents[2] / "docs/guides/python-client.md").read_text("utf-8")
BLOCKS = re.findall(r"```\{\.python [^\n]*\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with http_agent(lambda said: "No.") as url, running_service(tmp_path) as server:
        monkeypatch.setenv("DUOLOGUE_API_URL", server.url)
        monkeypatch.delenv("DUOLOGUE_API_TOKEN", raising=False)
        yield url


def test_the_blocks_run(agent: str, capsys: pytest.CaptureFixture[str]):
    told: list[str] = []
    for block in BLOCKS:
        exec(compile(block.replace("http://127.0.0.1:9000/chat", agent), "guide", "exec"), {"__name__": "__main__"})
        told.append(capsys.readouterr().out)
    launched, asynchronous, lists, streams, changes, refused = told
    assert launched.startswith("execution_started 0\n")
    assert "execution_completed 1\n" in launched
    assert "order · shop Failed checks" in launched
    assert asynchronous == "order\n0\n"
    assert lists == "[] 1 None\n"
    assert streams == "execution_completed\n"
    assert changes == "changed_meanwhile\n"
    assert refused.startswith("turns[0].role ")


def test_the_tables_are_those_of_the_code():
    named = set(re.findall(r"^\| `(Service\w*Error)` \|", TEXT, re.MULTILINE))
    assert named == {name for name in vars(errors) if re.fullmatch(r"Service\w*Error", name)}
    assert f"`{settings.DEFAULT_URL}`" in TEXT
    assert f"`timeout` seconds ({settings.TIMEOUT:g})" in TEXT
    assert f"`idle_timeout` ({settings.IDLE_TIMEOUT:g})" in TEXT
    assert f"`retries` times ({settings.RETRIES})" in TEXT
