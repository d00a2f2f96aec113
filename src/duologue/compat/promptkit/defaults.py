"""The ``defaults`` of an arena, with the names that older versions had for the same settings."""

from __future__ import annotations

from typing import Any

from duologue.compat.promptkit.moving import Moved, given
from duologue.config.positions import PlacedDict, plain
from duologue.config.problems import Problems

_SAME = ("temperature", "seed", "concurrency", "run_timeout", "fail_on", "verbose")
_FORMATS = ("json", "html", "markdown", "junit")
_OLD = {
    "html_report": "output.html.file",
    "out_dir": "output.dir",
    "output_formats": "output.formats",
    "markdown_config": "output.markdown",
}

_HOW_ARENAS_RUN = {"stop_on_failed_check": True, "allow_undecided": "all"}
"""A failed assertion of a turn ends the conversation there, and a run without assertions counts as a success."""


def defaults_of(source: PlacedDict, problems: Problems) -> PlacedDict:
    """The defaults of a suite.

    Args:
        source: those of the arena.
        problems: takes warnings of old names and of what has no effect.
    """
    for old, new in _OLD.items():
        if source.get(old):
            problems.warning(source.mark(old).key(), f"is an old name; write {new}")
    for key in ("monitor", "inference"):
        if source.get(key):
            problems.warning(source.mark(key).key(), "is not used by this version of Duologue")
    moved = Moved(source).same(*_SAME).field("max_tokens", "max_tokens", given)
    for key, value in _HOW_ARENAS_RUN.items():
        moved.put(key, value)
    output = _output(source)
    return moved.put("output", output, source.mark("output")).made if output else moved.made


def _output(source: PlacedDict) -> PlacedDict | None:
    written = source.get("output")
    inner = written if isinstance(written, PlacedDict) else PlacedDict(source.home)
    moved = Moved(inner).same("dir", "formats")
    old = Moved(source).field("dir", "out_dir").field("formats", "output_formats").made
    for key, value in old.items():
        if value and key not in moved.made:
            moved.put(key, value, source.mark(key))
    files: dict[str, Any] = {"html": source["html_report"]} if source.get("html_report") else {}
    options: dict[str, Any] = {"markdown": plain(source["markdown_config"])} if source.get("markdown_config") else {}
    for name in _FORMATS:
        rest = plain(inner.get(name) or {})
        if "file" in rest:
            files[name] = rest.pop("file")
        if rest:
            options[name] = rest
    recording = inner.get("recording")
    if isinstance(recording, PlacedDict) and recording.get("enabled"):
        moved.put("recording", recording.get("dir") or "recordings", inner.mark("recording"))
    for key, value in (("files", files), ("options", options)):
        if value:
            moved.put(key, value, inner.home)
    return moved.made or None
