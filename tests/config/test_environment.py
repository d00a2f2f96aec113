"""``${NAME}`` and ``${NAME:-default}``."""

from __future__ import annotations

import pytest

from duologue.config.templates import expand, missing_variables
from duologue.errors import ConfigurationError

SET = {"HOST": "a.example", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://${HOST}/v1", "https://a.example/v1"),
        ("${PORT:-80}", "80"),
        ("${EMPTY:-none}", "none"),
        ("${PORT:-}", ""),
        ("${HOST}${HOST}", "a.examplea.example"),
        ("$HOST ${1A} ${} $${", "$HOST ${1A} ${} $${"),
        ("${HOST:-${PORT}}", "a.example}"),
    ],
)
def test_references_are_replaced_and_nothing_else(text, expected):
    assert expand(text, SET) == expected


@pytest.mark.parametrize("text", ["${PORT}", "a ${EMPTY} b"])
def test_a_variable_that_is_not_set_is_an_error_that_says_how_to_set_it(text):
    with pytest.raises(
        ConfigurationError, match=r"the environment variable \w+ is not set; set it, or write \${\w+:-default}"
    ):
        expand(text, SET)
    assert missing_variables(text, SET)
