"""The guide to the service: its journey runs, in order, against a real service."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra 'server'")

from http_agent import http_agent
from running_service import running_service

TEXT = (Path(__file__).parents[2] / "docs/guides/service.md").read_text("utf-8")
STEPS = re.findall(r"```sh \{\.journey\}\n(.*?)```", TEXT, re.DOTALL)
SHOWN = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="needs curl and jq")
def test_the_journey_runs(tmp_path: Path) -> None:
    with http_agent(lambda said: "Refunds end after 30 days.") as agent, running_service(tmp_path) as server:
        script = "\n".join(STEPS).replace("http://127.0.0.1:9000/chat", agent)
        script = script.replace("http://127.0.0.1:8642", server.url)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == "true\npass\npass\npass\n" + SHOWN[0]
    assert (tmp_path / "events.txt").read_text().count("event: run_completed") == 3
