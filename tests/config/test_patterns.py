"""Patterns that mean their own letters are not compiled, and match as if they were."""

from __future__ import annotations

import subprocess
import sys

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from duologue.config.patterns import found

LETTERS = "ab ABßſKé9²_.+*?^$|()[]{}\\\n"


@given(st.text(LETTERS, min_size=1, max_size=3), st.text(LETTERS, max_size=8))
def test_every_pattern_finds_what_the_regex_package_finds(pattern: str, text: str) -> None:
    try:
        match = regex.search(pattern, text)
    except regex.error:
        with pytest.raises(ValueError, match="a regular expression"):
            found(pattern, text)
        return

    assert found(pattern, text) == (None if match is None else match[0])


def test_a_word_needs_no_regex_package() -> None:
    code = "import sys; from duologue.config.patterns import found; assert found('large', 'a large one') == 'large'"
    check = "assert 'regex' not in sys.modules"

    subprocess.run([sys.executable, "-c", f"{code}; {check}"], check=True)
