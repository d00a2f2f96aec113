"""One estimate of tokens."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.models.scope import estimate_tokens, tokens_per_word


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", 0), ("abc", 0), ("abcd", 1), ("a" * 41, 10), ("äöü", 1), ("日本語です", 3), ("\ud800" * 8, 2)],
)
def test_four_bytes_of_utf8_are_a_token(text, tokens):
    assert estimate_tokens(text) == tokens
    assert estimate_tokens(text, round_up=True) == tokens + 1


def test_words_are_counted_where_a_ratio_is_given():
    assert estimate_tokens("one two three", per_word=1.35) == 4
    assert estimate_tokens("  ", per_word=1.35) == 0


def test_the_ratio_follows_the_family_of_the_model():
    names = [["fast", "openai/GPT-5"], ["anthropic/claude-x"], ["gemini-x"], ["other"], []]
    assert [tokens_per_word(each) for each in names] == [1.30, 1.30, 1.40, 1.35, 1.35]


@given(st.text(), st.text())
def test_more_text_is_never_fewer_tokens(one, two):
    assert estimate_tokens(one + two) >= max(estimate_tokens(one), estimate_tokens(two))
