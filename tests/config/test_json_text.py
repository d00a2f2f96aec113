import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.config.json_text import (
    NoJsonError,
    RepeatedKeyError,
    json_in,
    json_object,
    json_spans,
    json_value,
    leading_json,
    unfenced,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_json_is_read_alone_fenced_and_out_of_prose(value: Any) -> None:
    text = json.dumps(value)
    assert json_in(text) == value
    assert json_in(f"Here:\n```json\n{text}\n```\nDone.", fenced=True) == value
    if isinstance(value, (dict, list)):
        assert json_in(f"Sure! {text} is it.", anywhere=True) == value


@given(st.text())
def test_reading_json_never_breaks(text: str) -> None:
    with suppress(NoJsonError):
        json_in(text, fenced=True, anywhere=True)


@pytest.mark.parametrize("text", ["NaN", '{"a": Infinity}', "", "[" * 100_000, "1" * 10_000, "{'a': 1}"])
def test_what_is_no_json(text: str) -> None:
    with pytest.raises(NoJsonError):
        json_in(text, anywhere=True)


def test_the_longest_value_is_extracted() -> None:
    assert json_in('see [1] for {"a": {"b": 2}}', anywhere=True) == {"a": {"b": 2}}
    assert json_in('the list [{"a": 1}, {"a": 2}]', anywhere=True) == [{"a": 1}, {"a": 2}]


def test_many_brackets_cost_nothing() -> None:
    with pytest.raises(NoJsonError):
        json_in("{[" * 200_000, anywhere=True)


@pytest.mark.parametrize(
    "text",
    [
        '```json\r\n{"a": 1}\r\n```',
        '```json {"a": 1} ```',
        '```{"a": 1}```',
        'Run this:\n```python\nprint()\n```\nIt prints:\n```json\n{"a": 1}\n```',
        '```sh\nls\n```\n```\n{"a": 1}\n```',
    ],
)
def test_the_first_fenced_block_of_json_is_read_whatever_stands_before_it(text: str) -> None:
    assert json_in(text, fenced=True) == {"a": 1}


def test_a_key_that_is_written_twice_is_refused_where_it_matters() -> None:
    text = 'x {"a": 1, "a": 2}'
    assert [span.value for span in json_spans(text)] == [{"a": 2}]
    with pytest.raises(RepeatedKeyError, match="'a'"):
        list(json_spans(text, unique_keys=True))


def test_spans_say_where_they_stand_and_never_overlap() -> None:
    text = '[1] and {"a": {"b": []}} and {"c": 3}.'
    assert [text[span.start : span.end] for span in json_spans(text)] == ["[1]", '{"a": {"b": []}}', '{"c": 3}']
    assert [span.value for span in json_spans(text, opening="{")] == [{"a": {"b": []}}, {"c": 3}]


def test_an_object_is_expected() -> None:
    assert json_object(b'{"a": 1}') == {"a": 1}
    with pytest.raises(NoJsonError, match="expected a JSON object, found array"):
        json_object("[1]")
    with pytest.raises(NoJsonError):
        json_object(b"\xff\xfe\xff")


def test_what_follows_a_leading_value_is_ignored() -> None:
    assert leading_json('{"a": "line\nbreak"} as you asked') == {"a": "line\nbreak"}
    with pytest.raises(NoJsonError):
        leading_json("as you asked: {}")


def test_only_a_text_that_is_one_fence_is_unfenced() -> None:
    assert unfenced("```json\n{}\n```") == "{}"
    assert unfenced("see ```{}```") == "see ```{}```"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"cut \ud83d"', "cut \ufffd"),
        (r'"cut \uD83D off"', "cut \ufffd off"),
        (r'"\ude00 \ude00\ude00"', "\ufffd \ufffd\ufffd"),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"\ud83d\ud83d\ude00"', "\ufffd\U0001f600"),
        (r'"\\ud83d"', r"\ud83d"),
        (r'"\\\ud83d"', "\\\ufffd"),
        (r'{"\udfff": ["\ud800\n"]}', {"\ufffd": ["\ufffd\n"]}),
    ],
)
def test_half_of_a_surrogate_pair_is_replaced(text: str, value: object) -> None:
    assert json_value(text) == json_value(text.encode()) == value


@given(st.text(st.characters(), max_size=20))
def test_whatever_is_read_can_be_written_as_utf_8(text: str) -> None:
    json_value(json.dumps(text)).encode()  # type: ignore[union-attr]


@pytest.mark.parametrize("levels", [101, 900, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[0, {"a": [], "b":', "}]")])
def test_json_that_is_too_deep_is_refused(levels: int, opening: str, closing: str) -> None:
    with pytest.raises(NoJsonError, match="nested deeper than 100 levels"):
        json_value(opening * levels + "1" + closing * levels)


def test_json_that_is_wide_and_not_deep_is_read() -> None:
    assert len(json_value("[" + "[[]]," * 5000 + "{}]")) == 5001  # type: ignore[arg-type]
    assert json_value("[" * 100 + "]" * 100)
    with pytest.raises(NoJsonError, match="more than 1,000,000 values"):
        json_value("[" + "1," * 1_000_000 + "1]")


def test_objects_in_prose_are_mended_and_bounded_too() -> None:
    text = r'I think {"reasoning": "cut \ud83d"} is right. ' + '{"a":' * 500 + "1" + "}" * 500
    first = next(json_spans(text))
    assert first.value == {"reasoning": "cut \ufffd"}
    assert text[first.start : first.end] == r'{"reasoning": "cut \ud83d"}'
    assert leading_json(r'{"a": "\ud83d"} and more') == {"a": "\ufffd"}
    with pytest.raises(NoJsonError, match="nested deeper"):
        leading_json('{"a":' * 500 + "1" + "}" * 500)
