"""The digest of a request: what journals hold to know the same question again, whichever version asks it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from duologue.models.ask import request_digest
from duologue.models.base import ModelRequest, ToolSpec

MESSAGES: list[list[Any]] = [
    [],
    [{"role": "user", "content": 'Grüße, "you" \\ \n\t\x00\x7f\u2028 🎉'}],
    [{"content": "in another order", "role": "assistant"}],
    [{"role": "user", "content": "half \ud83c of one"}],
    [{"role": "assistant", "content": None}],
    [{"role": "assistant", "content": None, "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}],
    [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]}],
    [{"role": "tool", "tool_call_id": "1", "content": "x"}],
    [{"role": "user", "name": "content"}],
    [{"role": "user", "content": object}],
    [{"role": 1, "content": 2.5}],
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.1, "max_tokens": 10, "seed": 0, "stop": ("a", "b"), "extra": {"z": 1, "a": [None, True]}},
    {"temperature": 1, "stop": ("é",), "response_schema": {"type": "object", "properties": {}}},
    {"tools": (ToolSpec(name="f", description="ü", parameters={"type": "object"}),), "tool_choice": "required"},
]


def _reference(model: str, request: ModelRequest) -> str:
    data = {"model": model, **vars(request), "tools": [vars(tool) for tool in request.tools]}
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@pytest.mark.parametrize("messages", MESSAGES)
@pytest.mark.parametrize("options", OPTIONS)
def test_is_that_of_its_sorted_json(messages: list[Any], options: dict[str, Any]) -> None:
    request = ModelRequest(messages=tuple(messages), **options)

    assert request_digest("mock/ü", request) == _reference("mock/ü", request)


_TEXT = st.text(st.characters(codec=None))  # pyright: ignore[reportArgumentType]


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(_TEXT, max_size=3), model=_TEXT)
def test_any_text(texts: list[str], model: str) -> None:
    request = ModelRequest(messages=tuple({"role": "user", "content": text} for text in texts))

    assert request_digest(model, request) == _reference(model, request)
