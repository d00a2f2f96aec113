"""YAML text to placed data: values, places, and everything that a file can do to hurt its reader."""

from __future__ import annotations

import json
import math
import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from duologue.config.problems import PlacedDict, Problems, locate, plain
from duologue.config.yaml_reader import MAX_DEPTH, parse
from duologue.errors import Position


def read(text):
    problems = Problems()
    return plain(parse(text, "f.yaml", problems)), [str(problem) for problem in problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", {"a": 1}),
        ("a: 0o17\nb: 0x1F", {"a": 15, "b": 31}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 010", {"a": 10}),
        ("a: 1e3\nb: -.5\nc: +7", {"a": 1000.0, "b": -0.5, "c": 7}),
        ("a: yes\nb: No\nc: on", {"a": "yes", "b": "No", "c": "on"}),
        ("a: True\nb: FALSE", {"a": True, "b": False}),
        ("a:\nb: ~\nc: null", {"a": None, "b": None, "c": None}),
        ("a: 'null'\nb: \"1\"", {"a": "null", "b": "1"}),
        ("a: 2024-01-31", {"a": "2024-01-31"}),
        ("a: 12:30:45", {"a": "12:30:45"}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("a: >-\n  one\n  two\n", {"a": "one two"}),
        ("- 1\n- [a, {b: c}]", [1, ["a", {"b": "c"}]]),
        ('{"a": [1, true, null]}', {"a": [1, True, None]}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("base: &b {x: 1, y: 2}\nc: {<<: *b, y: 3}", {"base": {"x": 1, "y": 2}, "c": {"x": 1, "y": 3}}),
        (
            "a: &a {x: 1}\nb: &b {x: 2, z: 3}\nc: {<<: [*a, *b]}",
            {"a": {"x": 1}, "b": {"x": 2, "z": 3}, "c": {"x": 1, "z": 3}},
        ),
        ('a: {"<<": 1}', {"a": {"<<": 1}}),
        ('x: &x {a: 1}\nb: {"<<": *x}', {"x": {"a": 1}, "b": {"<<": {"a": 1}}}),
        ("1: a\ntrue: b\n1.5: c", {"1": "a", "true": "b", "1.5": "c"}),
        ("a: !!str 5", {"a": "5"}),
        ("a: ! 5", {"a": "5"}),
        ("a: !!float 5", {"a": 5}),
        ("---\na: 1\n...\n", {"a": 1}),
    ],
)
def test_values_are_those_of_yaml_1_2(text, value):
    assert read(text) == (value, [])


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("", 1, 1, "the file is empty"),
        ("# only a comment\n", 1, 1, "the file is empty"),
        ("null", 1, 1, "the file is empty"),
        ("a: 1\na: 2", 2, 1, "this field is written twice, first in line 1"),
        ("a: {b: 1,\n b: 2}", 2, 2, "a.b: this field is written twice"),
        ("a: .inf", 1, 4, "expected a finite number"),
        ("a: 1e999", 1, 4, "expected a number that a computer can hold"),
        (f"a: {'9' * 400}", 1, 4, "a number of 400 digits"),
        ("a: !!binary aGk=", 1, 4, "expected a value without a tag"),
        ("a: !!python/object/apply:os.system [ls]", 1, 4, "expected a value without a tag"),
        ("a: !!int x", 1, 4, "expected a value without a tag"),
        ("? [a]\n: b", 1, 3, "expected a text, such as 'name: value'"),
        ("? \n: b", 1, 2, "the name of a field is missing"),
        ("a: *b", 1, 4, "*b is not defined"),
        ("a: &a [*a]", 1, 8, "*a stands inside what it stands for"),
        ("a: 1\n--- \nb: 1", 2, 1, "a second document begins here"),
        ("a: {<<: 5}", 1, 9, None),
        ("a: {<<: [1]}", 1, 9, "expected '<<: *anchor'"),
        ("a:\n\t- b", 2, 1, "never with tabs"),
        ("a: [1, 2", 2, 1, "a bracket or brace is not closed"),
        ('a: "x\nb: 1', 2, 5, "a quote or bracket is not closed"),
        ("a: b: c", 1, 5, "put a text that contains ': ' in quotes"),
        ("a: @home", 1, 4, "needs quotes"),
        ("a: 1\n b: 2", 2, 3, "check the indentation"),
        ("a: \\0", 1, 4, None),
        ('a: "\\0"', 1, 4, "found the character U+0000"),
        ("[" * 80 + "]" * 80, 1, MAX_DEPTH + 1, f"nested more than {MAX_DEPTH} levels deep"),
    ],
)
def test_a_mistake_has_line_and_column_and_says_what_to_do(text, line, column, message):
    _, problems = read(text)
    if message is None:
        assert problems == []
        return
    assert problems[0].startswith(f"f.yaml:{line}:{column}: "), problems
    assert message.lower() in problems[0].lower()


def test_an_alias_counts_as_all_that_it_stands_for():
    laughs = "\n".join(
        ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        + [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 20)]
    )
    value, [problem] = read(laughs)
    assert value is None
    assert "more than 200000 values" in problem


def test_everything_knows_its_place():
    text = "a:\n  - b: one\n    c: [two, three]\nd: &x {e: four}\nf: *x\n"
    data = parse(text, "f.yaml", Problems())
    assert isinstance(data, PlacedDict)
    assert locate(data, ["a", 0, "c", 1])[0].value() == Position("f.yaml", 3, 14, "a[0].c[1]")
    assert locate(data, ["a", 0, "c"])[0].key() == Position("f.yaml", 3, 5, "a[0].c")
    assert locate(data, ["f"])[0].value() == Position("f.yaml", 5, 4, "f")
    assert locate(data, ["f", "e"])[0].line == 4  # where it is written, not where it is used
    assert locate(data, ["a", 0, "nothing"]) == (data["a"][0].mark("nothing"), False)


NAMES = st.text(string.ascii_letters + "_-", min_size=1, max_size=8).filter(lambda name: name.lower() != "null")
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff"))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_json_says_is_read_as_json_says_it(value):
    assert read(json.dumps(value, ensure_ascii=False)) == (value, [])


class Dumper(yaml.SafeDumper):
    """As PyYAML writes, with quotes around every text, so that old and new YAML agree."""


Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))
Dumper.add_representer(float, lambda dumper, value: dumper.represent_scalar("tag:yaml.org,2002:float", repr(value)))


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_another_program_writes_is_read_as_it_was_meant(value):
    text = yaml.dump(value, Dumper=Dumper, allow_unicode=True, sort_keys=False)
    found, problems = read(text)
    assert problems == []
    assert found == value
    assert not any(isinstance(item, float) and math.isnan(item) for item in found.values())


@given(st.text(max_size=80) | st.text("{}[]:,-&*!|>'\"%@` \n\tab1<?#", max_size=60))
def test_no_text_breaks_the_reader(text):
    value, problems = read(text)
    assert value is not None or problems
    for problem in problems:
        assert problem.startswith("f.yaml:")
