"""Comparisons as files: JSON, Markdown and a web page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from duologue.config.problems import hint, listed
from duologue.errors import ConfigurationError
from duologue.reports.comparison import markdown, page
from duologue.runs.store.encoding import replace_file, require_replaceable
from duologue.suites.comparison import Comparison

_JSON_MARK = re.compile(rb'\A\{\s*"schema_version": 1,\s*"first": ')
_FORMATS = {
    "json": ("comparison.json", _JSON_MARK),
    "md": ("comparison.md", re.compile(re.escape(markdown.MARK).encode())),
    "html": ("comparison.html", re.compile(re.escape(page.MARK).encode())),
}
_ALIASES = {"markdown": "md"}


def comparison_paths(folder: Path, formats: Iterable[str]) -> dict[str, Path]:
    """Where a comparison will be written, by format. Nothing is written yet.

    Raises:
        ConfigurationError: there is no such format, or a file of somebody else is in the way.
    """
    paths: dict[str, Path] = {}
    for written in formats:
        name = _ALIASES.get(written.strip().lower(), written.strip().lower())
        if name not in _FORMATS:
            known = f"Known: {listed(sorted(_FORMATS))}"
            raise ConfigurationError(f"no format of comparisons is called '{written}'{hint(name, _FORMATS)} {known}")
        file, mark = _FORMATS[name]
        paths[name] = folder / file
        require_replaceable(paths[name], mark)
    return paths


def write_comparison(comparison: Comparison, paths: dict[str, Path]) -> list[Path]:
    """Write a comparison to the files of :func:`comparison_paths`.

    Raises:
        ResultsError: a file cannot be written.
    """
    for name, path in paths.items():
        replace_file(path, _rendered(comparison, name))
    return list(paths.values())


def _rendered(comparison: Comparison, name: str) -> str:
    if name == "json":
        return json.dumps(comparison.as_data(), ensure_ascii=False, indent=1) + "\n"
    return markdown.render_comparison(comparison) if name == "md" else page.render_page(comparison)
