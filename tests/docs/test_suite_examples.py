"""Every suite that the documentation shows is one: its files, put where their titles say, are read without an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from duologue.suites.manifests.loader import validate

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(
    r"^```(?P<language>yaml|json|text)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
FOLLOWED = {"cookbook.md"}
"""Pages of several folders, each of which a test of its own follows."""


def blocks():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for block in BLOCK.finditer(page.read_text("utf-8")):
            suite = block["language"] == "yaml" and "apiVersion: duologue/v1" in block["body"]
            if page.name not in FOLLOWED and (suite or block["title"]):
                yield page, block["title"], block["body"]


PAGES = sorted({page for page, _, _ in blocks()})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_suites_of_a_page_are_right(page, tmp_path):
    found = [(title, body) for place, title, body in blocks() if place == page]
    for number, (title, body) in enumerate(found):
        path = tmp_path / (title or f"untitled-{number}.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    for path in sorted(path for path in tmp_path.rglob("*.yaml") if "apiVersion" in path.read_text()):
        report = validate(path)
        assert report.ok, str(report)
        assert all("nothing to run" in warning.message for warning in report.warnings), str(report)


def test_there_is_something_to_look_at():
    assert PAGES
