import base64
import json
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.agents.tools.mocks import _value
from duologue.agents.tools.toolbox import Toolbox
from duologue.checks.subject import Call
from duologue.config.templates import Template
from duologue.errors import ConfigurationError
from duologue.journal.events import MessageAdded, ToolCalled
from duologue.specs.prompts import Tool

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def tool(name: str = "weather", **fields: Any) -> Tool:
    return Tool(name=name, description="what it does", **fields)


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 8)) + chunk(b"IEND", b"")


async def test_fixed_result_is_pretty_json_for_the_model_and_data_for_the_journal(desk_of: Any) -> None:
    desk = desk_of(tool(mock_result={"city": "Örebro", "temp": 20}))
    answer = await desk("weather", {"city": "Örebro"})
    assert answer.content == '{\n  "city": "Örebro",\n  "temp": 20\n}'
    assert answer.value == {"city": "Örebro", "temp": 20}
    assert answer.error is None
    [event] = desk.calls
    assert event == ToolCalled(
        name="weather",
        turn=0,
        call_id="call_1",
        arguments={"city": "Örebro"},
        result={"city": "Örebro", "temp": 20},
        content=answer.content,
        seconds=event.seconds,
        call=event.call,
    )


async def test_text_is_passed_on_as_it_is(desk_of: Any) -> None:
    answer = await desk_of(tool(mock_result="sunny\n20 °C"))("weather")
    assert (answer.content, answer.value) == ("sunny\n20 °C", "sunny\n20 °C")


@pytest.mark.parametrize("value", [0, False, [], {}, ""])
async def test_results_that_are_false_are_results(desk_of: Any, value: Any) -> None:
    answer = await desk_of(tool(mock_result=value))("weather")
    assert answer.value == value
    assert type(answer.value) is type(value)


async def test_tool_without_a_written_answer_gives_an_empty_object(desk_of: Any) -> None:
    assert (await desk_of(tool())("weather")).content == "{}"


@pytest.mark.parametrize(
    ("template", "arguments", "value"),
    [
        ('{"r": {{ .x }} }', {"x": 5}, {"r": 5}),
        ('{"city": "{{.city}}", "again": "{{city}}"}', {"city": "Rome"}, {"city": "Rome", "again": "Rome"}),
        ('{"city": "{{.city}}"}', {}, {"city": ""}),
        (
            '{"x": {{.deep.list.1}}, "y": "{{.deep.list.7}}{{.deep.no.way}}"}',
            {"deep": {"list": [1, 2]}},
            {"x": 2, "y": ""},
        ),
        (
            '{"o": {{.o}}, "b": {{.b}}, "n": {{.n}}}',
            {"o": {"a": [1]}, "b": True, "n": None},
            {"o": {"a": [1]}, "b": True, "n": None},
        ),
        ("It is warm in {{.city}}.", {"city": 'the "old" town'}, {"result": 'It is warm in the "old" town.'}),
        ("{{.payload}}", {"payload": '{"a": 1}'}, {"a": 1}),
        ("no fields at all", {}, {"result": "no fields at all"}),
        ("[1, {{- .x -}} ]", {"x": 2}, [1, 2]),
    ],
)
async def test_template_is_filled_with_the_arguments(desk_of: Any, template: str, arguments: Any, value: Any) -> None:
    assert (await desk_of(tool(mock_template=template))("weather", arguments)).value == value


async def test_argument_cannot_write_fields_into_a_template(desk_of: Any) -> None:
    desk = desk_of(tool(mock_template='{"city": "{{.city}}", "price": 10}'))
    answer = await desk("weather", {"city": 'Rome", "price": "0'})
    assert answer.value == {"city": 'Rome", "price": "0', "price": 10}


@given(st.text())
def test_every_text_gets_through_a_template_unharmed(text: str) -> None:
    assert _value(Template('{"it": "{{.it}}"}', where="t"), {"it": text}) == {"it": text}


@pytest.mark.parametrize("field", ["if .x", "range .items", ".x | upper", "", ".x .y"])
async def test_template_that_cannot_be_parsed_is_refused_before_a_conversation(make_suite: Any, field: str) -> None:
    box = Toolbox(make_suite(tool(mock_template=f"a {{{{{field}}}}} b")))
    with pytest.raises(ConfigurationError, match=r"tool 'weather': mock_template: '.*' cannot be filled in: "):
        await box.specs(["weather"])


async def test_template_file_is_found_beside_the_suite_and_read_once(
    desk_of: Any, make_suite: Any, tmp_path: Path
) -> None:
    (tmp_path / "answer.json").write_text('{"city": "{{.city}}"}')
    desk = desk_of(suite=make_suite(tool(mock_template_file="answer.json"), folder=tmp_path))
    assert (await desk("weather", {"city": "Oslo"})).value == {"city": "Oslo"}
    (tmp_path / "answer.json").unlink()
    assert (await desk("weather", {"city": "Bergen"})).value == {"city": "Bergen"}


async def test_missing_template_file_is_a_broken_configuration(desk_of: Any, make_suite: Any, tmp_path: Path) -> None:
    desk = desk_of(suite=make_suite(tool(mock_template_file="none.json"), folder=tmp_path))
    with pytest.raises(ConfigurationError, match=r"tool 'weather': mock_template_file: .*none\.json"):
        await desk("weather")


async def test_media_of_an_answer_are_seen_by_checks(desk_of: Any, make_suite: Any, tmp_path: Path) -> None:
    (tmp_path / "map.png").write_bytes(png())
    parts = [
        {"type": "image", "media": {"file_path": "map.png", "mime_type": "image/png", "detail": "low"}},
        {"type": "audio", "media": {"data": base64.b64encode(b"x").decode(), "mime_type": "audio/mpeg"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.jpg"}},
        {"type": "text", "text": "and a word"},
    ]
    desk = desk_of(suite=make_suite(tool(mock_result="here", mock_parts=parts), folder=tmp_path))
    answer = await desk("weather")
    assert isinstance(answer.content, list)
    assert [part["type"] for part in answer.content] == ["text", "image_url", "input_audio", "image_url", "text"]
    assert answer.content[0] == {"type": "text", "text": "here"}
    from duologue.transcripts.media_facts import facts_of, kind_of, parts_of

    media = parts_of({"role": "tool", "tool_call_id": "c", "content": answer.content})
    assert [kind_of(part) for part in media] == ["image/png", "audio/mpeg", "image/jpeg"]
    assert (facts_of(media[0]).width, facts_of(media[0]).height) == (3, 2)


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"type": "image"}, r"mock_parts\[0\].*media"),
        ({"type": "image", "media": {"mime_type": "image/png", "file_path": "none.png"}}, "none.png cannot be read"),
    ],
)
async def test_broken_media_are_a_broken_configuration(desk_of: Any, part: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        await desk_of(tool(mock_parts=[part]))("weather")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, r"tool weather validation error \(args_invalid\): \$: 'city' is a required property"),
        ({"city": 5}, r"tool weather validation error \(args_invalid\): \$\.city: 5 is not of type 'string'"),
        ("not json", r"tool weather validation error \(args_invalid\): expected a JSON object; found 'not json'"),
        ("[1]", r"tool weather validation error \(args_invalid\): expected a JSON object; found '\[1\]'"),
    ],
)
async def test_bad_arguments_are_an_error_that_checks_know(desk_of: Any, arguments: Any, told: str) -> None:
    desk = desk_of(tool(input_schema=CITY, mock_result={"temp": 20}))
    answer = await desk("weather", arguments)
    assert answer.value is None
    assert re.search(told, answer.error)
    assert answer.content == f"Error: {answer.error}"
    assert as_a_check_sees(desk, answer).invalid
    assert desk.calls[0].arguments == arguments
    # A transcript without the journal shows the same.
    assert as_a_check_sees(desk, answer, with_journal=False).invalid


def as_a_check_sees(desk: Any, answer: Any, *, with_journal: bool = True) -> Call:
    made = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    asked = MessageAdded(message_id="m1", message={"role": "assistant", "content": None, "tool_calls": [made]}, turn=0)
    told = {"role": "tool", "tool_call_id": "c", "content": answer.content}
    answered = MessageAdded(message_id="m2", message=told, turn=0)
    return Call(made, asked, answered, desk.calls[-1].error if with_journal else None)


async def test_unknown_tool_is_an_error_answer(desk_of: Any) -> None:
    desk = desk_of(tool())
    answer = await desk("nope")
    assert (answer.error, answer.content) == ("tool not found: nope", "Error: tool not found: nope")
    assert as_a_check_sees(desk, answer).error == "tool not found: nope"
    assert desk.calls[0].name == "nope"


OUT = {
    "type": "object",
    "properties": {
        "n": {"type": "number"},
        "i": {"type": "integer"},
        "b": {"type": "boolean"},
        "no": {"type": "boolean"},
        "s": {"type": "string"},
        "list": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["n"],
}


async def test_result_is_brought_into_the_form_of_its_schema(desk_of: Any) -> None:
    given = {"n": "2.5", "i": "3", "b": "True", "no": "false", "s": 7, "list": ["1", 2], "more": "4"}
    answer = await desk_of(tool(mock_result=given, output_schema=OUT))("weather")
    assert answer.value == {"n": 2.5, "i": 3, "b": True, "no": False, "s": "7", "list": [1, 2], "more": "4"}
    assert json.loads(answer.content) == answer.value
    assert given["n"] == "2.5"


async def test_result_out_of_form_is_an_error_but_not_one_of_arguments(desk_of: Any) -> None:
    desk = desk_of(tool(mock_result={"n": "many"}, output_schema=OUT))
    answer = await desk("weather")
    assert answer.error == "tool weather answered out of form (result_invalid): $.n: 'many' is not of type 'number'"
    seen = as_a_check_sees(desk, answer)
    assert seen.error
    assert not seen.invalid


async def test_schema_that_is_none_is_told_before_a_conversation(make_suite: Any) -> None:
    box = Toolbox(make_suite(tool(input_schema={"type": "objekt"})))
    with pytest.raises(ConfigurationError, match="tool 'weather': input_schema must be a JSON Schema"):
        await box.specs(["weather"])


async def test_schema_with_a_reference_to_nowhere_is_a_broken_configuration(desk_of: Any) -> None:
    schema = {"type": "object", "properties": {"city": {"$ref": "#/nowhere"}}}
    with pytest.raises(ConfigurationError, match="tool 'weather': input_schema cannot be applied"):
        await desk_of(tool(input_schema=schema))("weather", {"city": 1})


async def test_specs_say_what_a_model_may_call(make_suite: Any) -> None:
    box = Toolbox(make_suite(tool(input_schema=CITY), tool("clock")))
    specs = await box.specs(["clock", "weather"])
    assert [(spec.name, spec.description) for spec in specs] == [("clock", "what it does"), ("weather", "what it does")]
    assert specs[1].parameters == CITY
    assert not specs[1].strict


async def test_tool_that_nobody_has_cannot_be_offered(make_suite: Any) -> None:
    box = Toolbox(make_suite(tool(), tool("clock")))
    with pytest.raises(ConfigurationError, match="there is no tool 'wether' to offer; the tools are clock, weather"):
        await box.specs(["wether"])


async def test_results_of_one_run_are_not_copied_for_another(desk_of: Any) -> None:
    desk = desk_of(tool(mock_result={"city": "Rome"}))
    first, second = await desk("weather"), await desk("weather")
    assert first.value is second.value
    assert first.content is second.content
