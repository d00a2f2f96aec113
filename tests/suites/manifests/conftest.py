"""A small valid suite, and a folder to write variations of it into."""

from __future__ import annotations

from pathlib import Path

import pytest

SHOP = (Path(__file__).parent / "shop.suite.yaml").read_text("utf-8")


@pytest.fixture
def shop() -> str:
    """The text of a suite that nothing is wrong with, and that has something of everything."""
    return SHOP


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder of the test: paths in messages are relative to it."""
    monkeypatch.chdir(tmp_path)
    return Files(tmp_path)


class Files:
    """A folder that files are written into."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, **texts: str) -> Path:
        """Write files; ``__`` in a keyword stands for ``/``, and all are YAML."""
        for name, text in texts.items():
            self.put(f"{name.replace('__', '/')}.yaml", text)
        return self.path

    def put(self, name: str, content: str | bytes) -> Path:
        """Write one file."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path
