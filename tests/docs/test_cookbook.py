"""Every task of the cookbook, followed to the letter in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "guides" / "cookbook.md"
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_TITLE = re.compile(r'title="([^"]+)"')
_EXIT = re.compile(r'exit="(\d+)"')
PROGRAMS = {
    "duologue": [sys.executable, "-m", "duologue"],
    "pytest": [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
    "python": [sys.executable],
    "touch": ["touch"],
}


def tasks() -> dict[str, str]:
    """The text of each task by its title, with what stands before the first of them."""
    before, *parts = re.split(r"^## ", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    return {part.partition("\n")[0]: before + part for part in parts}


@pytest.mark.parametrize("task", tasks())
def test_task(task: str, tmp_path: Path) -> None:
    commands = 0
    for fence in _FENCE.finditer(tasks()[task]):
        title, body = _TITLE.search(fence["info"]), fence["body"]
        if title:
            path = tmp_path / title[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(body, "utf-8")
            continue
        assert "console" in fence["info"], fence["info"]
        expected = _EXIT.search(fence["info"])
        for line in body.splitlines():
            commands += 1
            run(line, int(expected[1]) if expected else 0, tmp_path)
    assert commands


def run(line: str, code: int, folder: Path) -> None:
    prompt, name, *arguments = shlex.split(line)
    assert prompt == "$"
    done = subprocess.run(
        [*PROGRAMS[name], *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == code, f"{line}\n{done.stdout}\n{done.stderr}"


def test_there_are_ten() -> None:
    assert len(tasks()) == 10
