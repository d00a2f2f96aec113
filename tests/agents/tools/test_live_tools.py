import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from duologue.agents.tools.toolbox import Toolbox
from duologue.config.redaction import without_fields
from duologue.errors import ConfigurationError
from duologue.specs.prompts import Tool


def tool(url: str, *, schema: Any = None, **http: Any) -> Tool:
    return Tool(
        name="weather",
        description="d",
        mode="live",
        http={"url": url, **http},
        input_schema=schema or {"type": "object"},
    )


async def test_arguments_are_the_body_and_the_answer_is_the_result(desk_of: Any, web: Any) -> None:
    web.says({"temp": 20})
    answer = await desk_of(tool(f"{web.url}/v1/weather", headers={"X-Kind": "test"}))("weather", {"city": "Örebro"})
    assert (answer.value, answer.error) == ({"temp": 20}, None)
    assert answer.content == '{\n  "temp": 20\n}'
    [asked] = web.asked
    assert (asked.method, asked.target, asked.json) == ("POST", "/v1/weather", {"city": "Örebro"})
    assert asked.headers["x-kind"] == "test"
    assert asked.headers["content-type"] == "application/json"


@pytest.mark.parametrize("method", ["GET", "delete"])
async def test_arguments_are_the_query_where_there_is_no_body(desk_of: Any, web: Any, method: str) -> None:
    desk = desk_of(tool(f"{web.url}/w?units=metric", method=method))
    await desk("weather", {"city": "a&b=c d", "days": 2, "now": True, "at": [1]})
    [asked] = web.asked
    assert asked.method == method.upper()
    assert asked.target == "/w?units=metric&city=a%26b%3Dc+d&days=2&now=true&at=%5B1%5D"
    assert asked.body == b""


async def test_request_is_made_as_the_suite_maps_it(desk_of: Any, web: Any) -> None:
    mapping = {
        "query_params": ["units"],
        "header_params": {"X-User": "user {{.user}}"},
        "exclude": ["secret_thought"],
        "body_mapping": "{where: {city: city}, source: source}",
        "static_query": {"v": "2"},
        "static_headers": {"X-App": "duologue"},
        "static_body": {"source": "rehearsal"},
    }
    arguments = {"id": "a/../b?c", "units": "metric", "user": "u1", "secret_thought": "…", "city": "Rome"}
    await desk_of(tool(f"{web.url}/w/{{{{.id}}}}", request=mapping))("weather", arguments)
    [asked] = web.asked
    assert asked.target == "/w/a%2F..%2Fb%3Fc?units=metric&v=2"
    assert (asked.headers["x-user"], asked.headers["x-app"]) == ("user u1", "duologue")
    assert asked.json == {"where": {"city": "Rome"}, "source": "rehearsal"}


async def test_what_goes_elsewhere_is_not_in_the_body(desk_of: Any, web: Any) -> None:
    mapping = {"query_params": ["q"], "header_params": {"X-H": "{{.h}}"}, "exclude": ["e"], "static_body": {"s": 1}}
    arguments = {"u": 1, "q": 2, "h": 3, "e": 4, "rest": 5}
    await desk_of(tool(f"{web.url}/{{{{.u}}}}", method="PUT", request=mapping))("weather", arguments)
    assert web.asked[0].json == {"rest": 5, "s": 1}


async def test_argument_cannot_begin_another_header(desk_of: Any, web: Any) -> None:
    desk = desk_of(tool(web.url, request={"header_params": {"X-User": "{{.user}}"}}))
    answer = await desk("weather", {"user": "a\r\nX-Admin: yes"})
    assert "must be printable ASCII" in answer.error
    assert not web.asked


async def test_response_is_mapped_after_what_is_secret_is_taken_out(desk_of: Any, web: Any) -> None:
    web.says({"data": {"temp": 20, "token": "t"}, "users": [{"name": "a", "mail": "m"}, {"name": "b", "mail": "n"}]})
    desk = desk_of(
        tool(web.url, redact=["$.data.token", "users[*].mail"], response={"body_mapping": "[data, users[0]]"})
    )
    assert (await desk("weather")).value == [{"temp": 20}, {"name": "a"}]


async def test_what_is_secret_is_taken_out_of_a_refusal_too(desk_of: Any, web: Any) -> None:
    web.says({"data": {"temp": 20, "token": "t0ken"}}, status=500)
    answer = await desk_of(tool(web.url, redact=["$.data.token"]))("weather", {})
    assert 'HTTP 500: {"data": {"temp": 20}}' in answer.error
    web.says("no JSON", status=500)
    assert "HTTP 500: " in (await desk_of(tool(web.url, redact=["$.data.token"]))("weather", {})).error


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("a", {"b": [{"c": 1, "d": 2}, {"c": 3}]}),
        ("$.b[0].c", {"a": 1, "b": [{"d": 2}, {"c": 3}]}),
        ("b.c", {"a": 1, "b": [{"d": 2}, {}]}),
        ("b[*].c", {"a": 1, "b": [{"d": 2}, {}]}),
        ("b[-1]", {"a": 1, "b": [{"c": 1, "d": 2}, None]}),
        ("b[9].c", {"a": 1, "b": [{"c": 1, "d": 2}, {"c": 3}]}),
        ("*", {}),
        ("x.y.z", {"a": 1, "b": [{"c": 1, "d": 2}, {"c": 3}]}),
        ("['a']", {"b": [{"c": 1, "d": 2}, {"c": 3}]}),
    ],
)
def test_path_says_what_is_taken_out(path: str, left: Any) -> None:
    assert without_fields({"a": 1, "b": [{"c": 1, "d": 2}, {"c": 3}]}, [path]) == left


json_values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
)


@given(json_values, st.text(alphabet="abc.$[]*0-1'", max_size=8))
@example([], "[--0]")
@example([1], "[" + "1" * 5000 + "]")
def test_no_path_breaks_redaction(value: Any, path: str) -> None:
    without_fields(value, [path])


@pytest.mark.parametrize(
    ("status", "kind", "body", "told"),
    [
        (404, "application/json", b'{"detail": "no such city"}', 'HTTP 404: {"detail": "no such city"}'),
        (500, "text/html", b"<h1>oops</h1>", "HTTP 500: <h1>oops</h1>"),
        (302, "text/plain", b"", "HTTP 302"),
        (200, "application/json", b"{not json", "no JSON: '{not json'"),
        (200, "application/octet-stream", b"\xff\xfe\x00", "3 bytes that are neither JSON nor text"),
    ],
)
async def test_refusals_and_garbage_are_error_answers(
    desk_of: Any, web: Any, status: int, kind: str, body: bytes, told: str
) -> None:
    web.says(body, status, kind)
    answer = await desk_of(tool(f"{web.url}/w?key=sesame"))("weather")
    assert told in answer.error
    assert answer.error.startswith(f"tool weather: POST {web.url}/w?…: ")
    assert answer.content == f"Error: {answer.error}"
    assert answer.value is None


@pytest.mark.parametrize(("body", "value"), [(b"sunny", {"result": "sunny"}), (b"", {"result": ""}), (b"[1]", [1])])
async def test_text_is_a_result(desk_of: Any, web: Any, body: bytes, value: Any) -> None:
    web.says(body, kind="text/plain; charset=utf-8")
    assert (await desk_of(tool(web.url))("weather")).value == value


async def test_nobody_at_the_address_is_an_error_answer(desk_of: Any) -> None:
    answer = await desk_of(tool("http://127.0.0.1:9/w"))("weather")
    assert "no answer (ConnectError" in answer.error


@pytest.mark.parametrize("timeouts", [{"http": {"timeout_ms": 100}}, {"timeout_ms": 100}])
async def test_address_that_does_not_answer_is_a_timeout(desk_of: Any, web: Any, timeouts: Any) -> None:
    web.hang = True
    slow = tool(web.url, **timeouts.pop("http", {})).changed(**timeouts)
    answer = await desk_of(slow)("weather")
    assert "timed out: no full answer within 0.1 s" in answer.error


async def test_answer_that_is_too_long_is_an_error_answer(
    desk_of: Any, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("duologue.agents.tools.web.LONGEST_ANSWER", 1000)
    web.says(b"x" * 1001)
    assert "longer than 1000 bytes" in (await desk_of(tool(web.url))("weather")).error


async def test_secrets_are_sent_but_shown_nowhere(
    desk_of: Any, web: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("WEATHER_KEY", "key-4711")
    monkeypatch.setenv("WEATHER_TOKEN", "token-0815")
    desk = desk_of(
        tool(
            web.url,
            headers={"Authorization": "Bearer ${WEATHER_TOKEN}", "X-Static-Key": "static-99"},
            headers_from_env=["X-Key=WEATHER_KEY"],
        )
    )
    echo = lambda asked: json.dumps(asked.headers).encode()  # noqa: E731
    web.answer = lambda asked: (500, "text/plain", echo(asked))
    failed = await desk("weather")
    web.answer = lambda asked: (200, "application/json", echo(asked))
    worked = await desk("weather")
    assert web.asked[0].headers["x-key"] == "key-4711"
    assert web.asked[0].headers["authorization"] == "Bearer token-0815"
    assert worked.value["x-key"] == "***"
    shown = f"{failed}{worked}{desk.events}"
    assert not any(secret in shown for secret in ("4711", "0815", "static-99"))


async def test_variables_are_looked_up_when_the_tool_is_called(
    desk_of: Any, web: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = desk_of(tool("${WHERE}/w", headers_from_env=["X-Key=WEATHER_KEY"]))
    await desk.toolbox.specs(["weather"])
    monkeypatch.setenv("WHERE", web.url)
    with pytest.raises(ConfigurationError, match="variable WEATHER_KEY is not set, and the header X-Key needs it"):
        await desk("weather")
    for key in ("first", "second"):
        monkeypatch.setenv("WEATHER_KEY", key)
        await desk("weather")
    assert [asked.headers["x-key"] for asked in web.asked] == ["first", "second"]


async def test_argument_does_not_stand_for_a_variable(desk_of: Any, web: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "sesame")
    desk = desk_of(tool(f"{web.url}/{{{{.a}}}}", request={"header_params": {"X-A": "{{.a}}"}}))
    await desk("weather", {"a": "${SECRET}", "b": "${SECRET}"})
    [asked] = web.asked
    assert "sesame" not in f"{asked.target}{asked.headers}{asked.body}"


async def test_picture_becomes_a_part_of_the_message(desk_of: Any, web: Any) -> None:
    web.says(b"\x89PNG", kind="image/png")
    answer = await desk_of(tool(web.url, multimodal={"enabled": True}))("weather")
    assert answer.content == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw==", "mime_type": "image/png"}}
    ]
    refused = await desk_of(tool(web.url, multimodal={"enabled": True, "accept_types": ["image/jpeg"]}))("weather")
    assert "answered with image/png; expected image/jpeg" in refused.error


@pytest.mark.parametrize(
    ("http", "told"),
    [
        ({"request": {"querry": []}}, r"http\.request\.querry: .*; the fields are query_params, header_params"),
        ({"request": {"body_mapping": "{{"}}, r"http\.request\.body_mapping must be a JMESPath expression"),
        ({"response": {"body_mapping": "$.a"}}, r"http\.response\.body_mapping must be .*remove '\$\.'"),
        ({"response": {"mapping": "a"}}, r"http\.response\.mapping"),
        ({"url": "http://x/{{if .a}}"}, r"http\.url: "),
    ],
)
async def test_broken_binding_is_told_before_a_conversation(make_suite: Any, http: Any, told: str) -> None:
    binding = {"url": "http://127.0.0.1:9", **http}
    broken = Tool(name="weather", description="d", mode="live", http=binding)
    with pytest.raises(ConfigurationError, match=told):
        await Toolbox(make_suite(broken)).specs(["weather"])


async def test_address_that_is_none_is_a_broken_configuration(desk_of: Any) -> None:
    with pytest.raises(ConfigurationError, match="http://host:port/path"):
        await desk_of(tool("ftp://example.org"))("weather")


async def test_bad_arguments_reach_nobody(desk_of: Any, web: Any) -> None:
    desk = desk_of(tool(web.url, schema={"type": "object", "required": ["city"]}))
    assert "args_invalid" in (await desk("weather")).error
    assert not web.asked
