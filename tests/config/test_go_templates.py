"""Templates in Go's language: what they give, what is refused, and that nothing runs away."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.config import go_templates
from duologue.config.go_functions import TemplateValueError
from duologue.config.go_templates import GoTemplate
from duologue.config.templates import Template, as_text, within_json_string
from duologue.errors import ConfigurationError

ORDER = """
{{- if eq .id "A-1" -}}
{"found": true}
{{- else if or (eq .id "B-2") (and .vip (gt .count 3)) -}}
{"found": "later"}
{{- else -}}
{"error": "not_found"}
{{- end -}}
"""
VALUES = {
    "city": "Rome",
    "n": 5,
    "price": 2.5,
    "none": None,
    "yes": True,
    "empty": [],
    "user": {"name": "Ann", "tags": ["a", "b"]},
    "items": [{"name": "x", "price": 1.5}, {"name": "y", "price": 20}],
    "map": {"b": 2, "a": 1},
}


def filled(text, values=None, **more):
    return GoTemplate(text, where="t").render({**(values or {}), **more})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{.city}} {{ .user.name }} {{city}} {{user.name}}", "Rome Ann Rome Ann"),
        ("{{.gone}}|{{.gone.deeper}}|{{.city.deeper}}", "||"),
        ("{{.user.tags}} {{.yes}} {{.price}}", '["a", "b"] true 2.5'),
        ("a {{- 1 -}} b", "a1b"),
        ("a {{- /* a note with }} in it */ -}} b", "ab"),
        ("{{if .yes}}y{{end}}{{if .none}}n{{end}}{{if .empty}}e{{end}}{{if .gone}}g{{end}}", "y"),
        ("{{if not .yes}}1{{else if eq .n 5}}2{{else}}3{{end}}", "2"),
        ("{{if ne .city `Rome`}}1{{else}}2{{end}}", "2"),
        ("{{if eq .n 1 2 5}}any{{end}}", "any"),
        ("{{if eq .n 5.0}}same{{end}}{{if eq .n `5`}}other{{end}}{{if eq .yes 1}}other{{end}}", "same"),
        ("{{if and (ge .n 5) (lt .price 3.0) (le `a` `b`)}}all{{end}}", "all"),
        ("{{or .gone .empty `last`}} {{and .n .none .city}}", "last null"),
        ("{{or .n (index .items 9)}}", "5"),
        ("{{range .items}}{{.name}};{{end}}", "x;y;"),
        ("{{range $i, $x := .items}}{{if $i}}, {{end}}{{$i}}={{$x.name}}{{end}}", "0=x, 1=y"),
        ("{{range $x := .items}}{{$x.price}} {{$.city}} {{end}}", "1.5 Rome 20 Rome "),
        ("{{range $k, $v := .map}}{{$k}}{{$v}}{{end}}", "a1b2"),
        ("{{range .empty}}x{{else}}nothing{{end}}{{range .gone}}x{{else}}nothing{{end}}", "nothingnothing"),
        ("{{range 3}}{{.}}{{end}}", "012"),
        ("{{range 9}}{{if gt . 4}}{{break}}{{end}}{{if eq . 2}}{{continue}}{{end}}{{.}}{{end}}", "0134"),
        ("{{with .user}}{{.name}}{{$.n}}{{else}}no{{end}}{{with .gone}}x{{else with .map}}{{.a}}{{end}}", "Ann51"),
        ("{{$x := 1}}{{if .yes}}{{$x = 2}}{{$y := 3}}{{$x}}{{$y}}{{end}}{{$x}}", "232"),
        ("{{if $u := .user}}{{$u.name}}{{end}}", "Ann"),
        ("{{.city | printf `%s-%s` `x`}} {{.city | len}} {{`é` | len}}", "x-Rome 4 2"),
        ('{{printf "%d|%5d|%-5d|%05d|%+d" .n .n .n .n .n}}', "5|    5|5    |00005|+5"),
        (
            '{{printf "%.2f|%8.3f|%g|%v|%t|%q|%%" .price .price .price .map .yes .city}}',
            '2.50|   2.500|2.5|{"b": 2, "a": 1}|true|"Rome"|%',
        ),
        ('{{printf "%x|%X|%o|%b|%c" 255 255 8 5 65}}', "ff|FF|10|101|A"),
        ('{{printf "%d %s" .city}}', "%!d(string=Rome) %!s(MISSING)"),
        ('{{printf "x" 1}}', "x%!(EXTRA int=1)"),
        ("{{print 1 2 `a` 3}}|{{println 1 `a`}}", "1 2a3|1 a\n"),
        ("{{index .items 1 `name`}} {{index .user.tags 0}} {{(index .items 0).price}}", "y a 1.5"),
        ("{{slice .city 1 3}} {{slice .user.tags 1}} {{len .items}}", 'om ["b"] 2'),
        ('{{html `<a>`}} {{urlquery `a b&c`}} {{js `it\'s "x"`}}', '&lt;a&gt; a+b%26c it\\\'s \\"x\\"'),
        ('{{"a\\n\\u00e9\\x41\\"b"}} {{`a\\n`}}', 'a\néA"b a\\n'),
        ("{{true}} {{1_000}} {{0x1F}} {{-3}} {{1.5e2}}", "true 1000 31 -3 150.0"),
        ("plain } } text { { and {x}", "plain } } text { { and {x}"),
    ],
)
def test_a_template_gives_what_go_gives(text, expected):
    assert filled(text, VALUES) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"id": "A-1"}, {"found": True}),
        ({"id": "B-2"}, {"found": "later"}),
        ({"id": "C", "vip": True, "count": 4}, {"found": "later"}),
        ({"id": "C", "vip": True, "count": 1}, {"error": "not_found"}),
        ({}, {"error": "not_found"}),
    ],
)
def test_conditions_choose_the_answer(arguments, expected):
    assert json.loads(filled(ORDER, arguments)) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{if .x}}a", "it has no {{end}}"),
        ("{{range .x}}{{else}}{{else}}{{end}}", "out of place"),
        ("{{end}}", "nothing is open"),
        ("{{else}}", "nothing is open"),
        ("{{.x", "the action has no end"),
        ("{{}}", "a value is missing"),
        ("{{if}}a{{end}}", "a value is missing"),
        ("{{foo .x}}", "there is no function 'foo'"),
        ("{{.x | foo}}", "there is no function 'foo'"),
        ("{{.x .y}}", "only a function takes values"),
        ("{{.x | .y}}", "only a function takes values"),
        ("{{(.x}}", "a bracket is not closed"),
        ("{{.x)}}", "not expected there"),
        ("{{$x}}", "$x is not declared"),
        ("{{$x = 1}}", "write :="),
        ("{{if .a}}{{$x := 1}}{{end}}{{$x}}", "$x is not declared"),
        ("{{break}}", "outside a range"),
        ('{{template "a"}}', "templates within templates"),
        ('{{define "a"}}b{{end}}', "templates within templates"),
        ("{{.x + 1}}", "is not understood"),
        ("{{" + "(" * 60 + ".x" + ")" * 60 + "}}", "brackets"),
        ("{{if .x}}" * 60 + "{{end}}" * 60, "blocks"),
    ],
)
def test_what_cannot_be_parsed_is_told_with_its_place(text, told):
    with pytest.raises(ConfigurationError, match=r"^tool 'x': mock_template: '\{\{") as error:
        GoTemplate(text, where="tool 'x': mock_template")
    assert told in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{lt .city 3}}",
        "{{index .items 9}}",
        "{{index .items `a`}}",
        "{{index .n 0}}",
        "{{len .n}}",
        "{{eq .n}}",
        "{{slice .city 3 1}}",
        "{{range .city}}x{{end}}",
        "{{not}}",
        "{{ne 1}}",
        '{{printf "%99999999d" 1}}',
        '{{printf "%.99999999f" 1.0}}',
        "{{printf 3}}",
        "{{and}}",
    ],
)
def test_what_the_values_do_not_allow_is_an_error(text):
    with pytest.raises(TemplateValueError):
        filled(text, VALUES)


@pytest.mark.parametrize(
    "text",
    [
        "{{range .l}}{{range $.l}}{{range $.l}}{{range $.l}}x{{end}}{{end}}{{end}}{{end}}",
        "{{range 999999999999999999}}{{end}}",
        "{{$x := `aaaaaaaaaa`}}{{range .l}}{{$x = print $x $x}}{{end}}",
        "{{$x := `aaaaaaaaaa`}}{{range .l}}{{$x = printf `%s%s%s` $x $x $x}}{{end}}",
        "{{range .l}}{{$.long}}{{end}}",
        "{{range .l}}{{$x := print $.long}}{{end}}",
        "{{range .l}}{{range $.l}}{{and 1 2 3 4 5 6 7 8 9}}{{end}}{{end}}",
    ],
)
def test_a_template_comes_to_an_end_and_its_output_too(text):
    with pytest.raises(TemplateValueError, match="more than"):
        filled(text, {"l": list(range(300)), "long": "y" * 900_000})


def test_hundreds_of_conditions_in_a_row_are_no_depth():
    text = "{{if eq .x 0}}0" + "".join(f"{{{{else if eq .x {n}}}}}{n}" for n in range(1, 900)) + "{{end}}"
    assert filled(text, x=899) == "899"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OPERAND = st.sampled_from(
    [".", " .a", ".b.c", "$", "$x", "1", "`t`", "nil", "true", "(len .a)", "(index .a 0)", "(.a | print)"]
)
CALL = st.builds(
    lambda name, values: " ".join([name, *values]),
    st.sampled_from(sorted(go_templates.FUNCTIONS)),
    st.lists(OPERAND, max_size=3),
)
PIPE = st.lists(CALL | OPERAND, min_size=1, max_size=3).map(" | ".join)
PIECES = st.recursive(
    st.text("ab {}", max_size=4)
    | PIPE.map(lambda text: f"{{{{{text}}}}}")
    | PIPE.map(lambda text: f"{{{{$x = {text}}}}}"),
    lambda inner: st.builds(
        lambda word, pipe, body, other: f"{{{{{word} {pipe}}}}}{''.join(body)}{{{{else}}}}{other}{{{{end}}}}",
        st.sampled_from(["if", "with", "range", "range $i, $v :="]),
        PIPE,
        st.lists(inner, max_size=3),
        inner,
    ),
    max_leaves=6,
)


@given(st.lists(PIECES, max_size=4), st.dictionaries(st.sampled_from("abc"), JSON, max_size=3))
def test_any_template_with_any_values_ends_in_text_or_in_one_of_its_errors(pieces, values):
    try:
        template = GoTemplate("{{$x := .a}}" + "".join(pieces), where="t")
    except ConfigurationError:
        return
    for encode in (as_text, within_json_string):
        try:
            assert len(template.render(values, encode)) <= go_templates.MAX_OUTPUT
        except TemplateValueError:
            continue


@given(
    st.lists(
        st.sampled_from(
            [
                "{{",
                "}}",
                "{{-",
                "-}}",
                " ",
                '"',
                "`",
                "'",
                "/*",
                "*/",
                "if",
                "end",
                ".a",
                "|",
                "(",
                ")",
                "\\",
                "$x",
                ":=",
                "1.",
            ]
        )
    )
)
def test_any_text_is_parsed_or_refused(pieces):
    try:
        GoTemplate("".join(pieces), where="t").render({"a": 1})
    except (ConfigurationError, TemplateValueError):
        return


@given(st.dictionaries(st.sampled_from(["a", "b"]), JSON, max_size=2))
def test_plain_fields_are_filled_in_as_in_other_templates(values):
    text = "{{.a}} {{b}} {{ .a.b }} {{.a.0}} {{.b.c.a}}"
    assert filled(text, values) == Template(text, where="t").render(values)


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 100_000, "1." + "0" * 5000])
def test_a_number_that_no_computer_takes_is_refused(number):
    with pytest.raises(ConfigurationError, match="a number has"):
        filled(f"{{{{print {number}}}}}")
