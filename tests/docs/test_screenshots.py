"""Pictures of the documentation: each is there in light and dark, made by the script, and says what is seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCREENS = ROOT / "docs" / "assets" / "screens"
THEMES = ("light", "dark")
MOST = 1_500_000
"""Bytes of all pictures."""
_SHOT = re.compile(r'^@shot\("([\w-]+)"\)$', re.MULTILINE)
_PICTURE = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<path>[^)#\s]*assets/screens/[^)#\s]+)(?:#only-(?P<theme>\w+))?\)")
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def made() -> set[str]:
    """The pictures that the script knows."""
    return set(_SHOT.findall((ROOT / "scripts" / "screenshots").read_text("utf-8")))


def shown() -> list[tuple[Path, str, str, str | None]]:
    """Where a picture is shown: the page, what it says is seen, the file and the theme."""
    return [
        (page, found["alt"], found["path"], found["theme"])
        for page in PAGES
        for found in _PICTURE.finditer(page.read_text("utf-8"))
    ]


def test_the_script_makes_every_picture_and_no_other_is_there():
    there = {path.name for path in SCREENS.iterdir()}
    assert there == {f"{name}.{theme}.webp" for name in made() for theme in THEMES}


def test_every_picture_is_shown_somewhere():
    assert {Path(path).name.split(".")[0] for _, _, path, _ in shown()} == made()


def test_pictures_stand_in_pairs_with_the_same_words():
    for page in PAGES:
        pairs = [(alt, path, theme) for where, alt, path, theme in shown() if where == page]
        assert len(pairs) % 2 == 0, page
        for (alt, path, theme), (other_alt, other_path, other_theme) in zip(pairs[::2], pairs[1::2], strict=True):
            assert (theme, other_theme) == THEMES, (page, path)
            assert alt == other_alt, (page, path)
            assert other_path == path.replace(".light.", ".dark."), (page, path)
            assert len(alt) > 40, f"{page}: {path}: say what is seen"
            for name in (path, other_path):
                assert (page.parent / name).resolve().parent == SCREENS, (page, name)
                assert (page.parent / name).is_file(), (page, name)


def test_pictures_are_small_and_what_they_say():
    files = sorted(SCREENS.iterdir())
    assert sum(path.stat().st_size for path in files) < MOST
    for path in files:
        head = path.read_bytes()[:12]
        assert (head[:4], head[8:]) == (b"RIFF", b"WEBP"), path


@pytest.mark.parametrize(
    "page", [page for page in PAGES if "assets/screens" in page.read_text("utf-8")], ids=lambda page: page.stem
)
def test_no_picture_is_written_in_another_way(page):
    text = page.read_text("utf-8")
    assert text.count("assets/screens/") == len(_PICTURE.findall(text))
