"""What the probe learns from refusals of many forms."""

from __future__ import annotations

from typing import Any

import pytest

from duologue.agents.http.probe._refusals import learned
from duologue.agents.http.probe._requests import Way, streamed_words

SENT = {"question": "{{message}}", "thread_id": "{{thread_id}}"}
M, T = "{{message}}", "{{thread_id}}"


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        ("Validation failed: field 'utterance' (string) is required; no other fields are allowed", {"utterance": M}),
        (
            "field 'utterance' (string) is required; field 'dialog' (string) is required; no other fields are allowed",
            {"utterance": M, "dialog": T},
        ),
        ("inquiry.text and conv.key are required strings", {"inquiry": {"text": M}, "conv": {"key": T}}),
        ("Missing required fields: question, session", {"question": M, "session": T}),
        ("body must have required property 'prompt'", {"prompt": M}),
        ('{"error": "`user_input` must be a string"}', {"user_input": M}),
        ('Bad request: expected {"q": string, "chat": string}', {"q": M, "chat": T}),
        ("El campo 'mensaje' es obligatorio", {"mensaje": M}),
        ("Das Feld „x“ fehlt: 'anliegen' wird erwartet", {"anliegen": M}),
        ("The request is invalid. Query must be a non-empty string.", {"Query": M}),
        ('{"errors": ["text is required", "conversation_id is required"]}', {"text": M, "conversation_id": T}),
        ('{"message": "missing fields: [\'payload.utterance\', \'payload.sessionId\']"}',
         {"payload": {"utterance": M, "sessionId": T}}),
    ],
)  # fmt: skip
def test_prose_names_the_fields(refusal: str, expected: dict[str, Any]):
    found = [way.options["body"] for way in learned(refusal, Way(options={"body": SENT}))]
    assert expected in found or expected == SENT, found


@pytest.mark.parametrize(
    ("refusal", "expected"),
    [
        ("Unknown field 'thread_id'", {"question": M}),
        ('{"error": "unexpected property \\"thread_id\\""}', {"question": M}),
    ],
)
def test_a_field_that_is_not_wanted_is_left_out(refusal: str, expected: dict[str, Any]):
    [way] = learned(refusal, Way(options={"body": SENT}))
    assert way.options["body"] == expected


@pytest.mark.parametrize(
    "refusal",
    [
        "",
        "Bad Request",
        "Internal error. Please contact support@example.com or see https://example.com/docs.html.",
        "null",
        "[]",
        '{"detail": null}',
        '{"error": {"code": 400, "message": "invalid request"}}',
        "(" * 30_000,
        "a.b" * 30_000,
        "required " * 10_000,
    ],
)
def test_a_refusal_that_says_nothing_teaches_nothing_odd(refusal: str):
    assert all("{{message}}" in str(way.options["body"]) for way in learned(refusal, Way(options={"body": SENT})))


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([{"t": "Hello "}, {"t": "there"}], ("t", "Hello there")),
        (
            [{"id": "a", "kind": "w", "d": {"w": "Hello"}}, {"id": "b", "kind": "w", "d": {"w": " there"}}],
            ("d.w", "Hello there"),
        ),
        ([{"session": "s1"}, {"say": "all at once"}, "[DONE]"], ("say", "all at once")),
        ([{"kind": "a b"}, {"kind": "a b"}], None),
        ([{"id": "x"}, 3, None, []], None),
        ([], None),
    ],
)
def test_the_words_of_a_stream_are_where_most_of_its_text_is(events: list[object], expected: tuple[str, str] | None):
    assert streamed_words(events) == expected
