"""Estimates of how many tokens a text has, for decisions that are made before a model counts them.

Language models split text differently, and counting exactly needs the model's own tokenizer. Everything that only needs
the order of magnitude (budgets, rate limits, plans, what fits into a prompt) estimates with this one rule.
"""

from __future__ import annotations

from collections.abc import Iterable

BYTES_PER_TOKEN = 4
"""Bytes of UTF-8 to a token: the usual rule of thumb for text that people write."""
_TOKENS_PER_WORD = {"gpt": 1.30, "claude": 1.30, "gemini": 1.40, "llama": 1.40}
_TOKENS_PER_WORD_OF_OTHERS = 1.35


def estimate_tokens(text: str, *, per_word: float | None = None, round_up: bool = False) -> int:
    """The approximate number of tokens in a text: a quarter of its bytes in UTF-8.

    Args:
        text: any text.
        per_word: count words instead, at this many tokens each; see :func:`tokens_per_word`. For figures that have to
            agree with tools that count words.
        round_up: count the last, partial token as well, so that no text counts nothing. For limits and for setting
            tokens aside.
    """
    if per_word is not None:
        return int(len(text.split()) * per_word) + round_up
    # The length of ASCII text is known without encoding it.
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return size // BYTES_PER_TOKEN + round_up


def tokens_per_word(model_names: Iterable[str]) -> float:
    """Tokens per English word for the model that goes by these names."""
    names = " ".join(model_names).casefold()
    return next((ratio for family, ratio in _TOKENS_PER_WORD.items() if family in names), _TOKENS_PER_WORD_OF_OTHERS)
