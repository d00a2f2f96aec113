"""Whether Python code defines a name, told without importing it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from duologue.config.python_names import problem_with_target


@pytest.mark.parametrize(
    "source",
    [
        "def reply(input): ...",
        "async def reply(input): ...",
        "class reply: ...",
        "reply = 1",
        "reply: int = 1",
        "a, (b, reply) = 1, (2, 3)",
        "from elsewhere import reply",
        "from elsewhere import other as reply",
        "from elsewhere import *",
        "import reply",
        "import reply.inner",
        "try:\n    from a import reply\nexcept ImportError:\n    pass",
        "try:\n    pass\nexcept ImportError:\n    reply = None",
        "if True:\n    x = 1\nelse:\n    def reply(): ...",
        "for reply in []: ...",
        "with open('x') as reply: ...",
        "match 1:\n    case 1:\n        reply = 2",
        "def set():\n    global reply\n    reply = 1",
        "if (reply := 1): ...",
        "globals()['reply'] = 1",
        "def __getattr__(name): ...",
    ],
)
def test_a_name_that_may_be_there_is_no_problem(source: str, tmp_path: Path) -> None:
    tmp_path.joinpath("bot.py").write_text(source)

    assert problem_with_target("bot.py:reply", tmp_path) is None


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("def replyy(input): ...", "bot.py has no 'reply'; did you mean 'replyy'?"),
        ("", "bot.py has no 'reply'"),
        ("class Bot:\n    def reply(self): ...", "bot.py has no 'reply'"),
        ("def inner():\n    reply = 1", "bot.py has no 'reply'"),
        ("x = [reply for reply in []]", None),
        ("def reply(:", "bot.py is no Python: line 1: invalid syntax"),
        ("\0", "bot.py"),
    ],
)
def test_a_name_that_is_not_there_is_told(source: str, told: str | None, tmp_path: Path) -> None:
    tmp_path.joinpath("bot.py").write_text(source)

    found = problem_with_target("bot.py:reply", tmp_path)

    assert found is None if told is None else (found or "").startswith(told)


def test_modules_are_looked_up_without_an_import(tmp_path: Path) -> None:
    package = tmp_path / "shop_of_names"
    package.mkdir()
    package.joinpath("__init__.py").write_text("raise SystemExit('was imported')")
    package.joinpath("bot.py").write_text("raise SystemExit('was imported')\ndef reply(): ...")

    assert problem_with_target("shop_of_names.bot:reply", tmp_path) is None
    assert problem_with_target("shop_of_names.bot:repy", tmp_path) == (
        "shop_of_names.bot has no 'repy'; did you mean 'reply'?"
    )
    told = problem_with_target("shop_of_names.bott:reply", tmp_path)
    assert told == "there is no module 'shop_of_names.bott'; did you mean 'bot'?"
    assert "there is no module 'nosuch'" in (problem_with_target("nosuch.bot:reply", tmp_path) or "")
    assert problem_with_target("json:loads", tmp_path) is None
    assert (problem_with_target("json:loadz", tmp_path) or "").startswith("json has no 'loadz'")
    assert "shop_of_names" not in sys.modules
