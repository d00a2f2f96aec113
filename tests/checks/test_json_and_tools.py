import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue import checks
from duologue.checks.subject import same
from duologue.errors import ConfigurationError, MissingExtraError
from duologue.journal.events import AgentCalled, ModelCalled, ToolCalled, Usage
from duologue.vocabulary import CheckStatus, Scope

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


async def status(build: Any, type: str, params: dict[str, Any], *lines: Any) -> CheckStatus:
    return (await checks.create(type, params).evaluate(build("u: x", *lines))).status


async def test_every_fault_of_a_schema_is_reported(build: Any) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"minimum": 5}}, "required": ["c"]}
    check = checks.create("json_schema", {"schema": schema})
    outcome = await check.evaluate(build("u: x", 'a: {"a": "1", "b": 2}'))
    assert outcome.details["fault_count"] == 3
    assert "$.a" in outcome.explanation


async def test_a_schema_from_a_file_is_read_when_the_check_is_made(build: Any, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    with pytest.raises(ConfigurationError, match="a file with a JSON Schema"):
        checks.create("json_schema", {"schema_file": str(file)})
    file.write_text('{"type": "array"}', "utf-8")
    check = checks.create("json_schema", {"schema_file": str(file)})
    file.unlink()
    assert (await check.evaluate(build("u: x", "a: []"))).status is CheckStatus.PASSED
    with pytest.raises(ConfigurationError, match="expected: schema, or schema_file"):
        checks.create("json_schema", {})


async def test_a_schema_never_fetches_anything(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Any] = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *args, **kwargs: fetched.append(args))
    schema = {"$ref": "http://127.0.0.1:9/schema.json"}
    outcome = await checks.create("json_schema", {"schema": schema}).evaluate(build("u: x", "a: {}"))
    assert outcome.status is CheckStatus.ERROR
    assert "cannot be applied" in outcome.explanation
    assert fetched == []


@pytest.mark.parametrize(
    ("params", "good"),
    [
        ({"expression": "n", "expected": 5.0}, True),
        ({"expression": "n", "expected": "5"}, False),
        ({"expression": "flag", "expected": 1}, False),
        ({"expression": "none", "expected": None}, True),
        ({"expression": "n", "min": 5, "max": 5}, True),
        ({"expression": "n", "min": 5.1}, False),
        ({"expression": "name", "min": 1}, False),
        ({"expression": "tags", "contains": ["a", "b"]}, True),
        ({"expression": "tags", "contains": ["c"]}, False),
        ({"expression": "name", "contains": ["nn"]}, True),
        ({"expression": "tags", "max_results": 1}, False),
        ({"expression": "missing"}, False),
        ({"expression": "length(n)"}, False),
    ],
)
async def test_json_path(build: Any, params: dict[str, Any], good: bool) -> None:
    answer = {"n": 5, "flag": True, "none": None, "name": "Anna", "tags": ["a", "b"]}
    found = await status(build, "json_path", params, f"a: {json.dumps(answer)}")
    assert found is (CheckStatus.PASSED if good else CheckStatus.FAILED)


def test_json_path_is_not_jsonpath() -> None:
    with pytest.raises(ConfigurationError, match="JMESPath has no"):
        checks.create("json_path", {"expression": "$.a.b"})


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_module(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("duologue.config.json_path.import_module", no_module)
    with pytest.raises(MissingExtraError, match=r"jmespath.*duologue\[checks\]"):
        checks.create("json_path", {"expression": "never.seen.before"})


@given(VALUES)
def test_a_value_is_the_same_as_itself(value: Any) -> None:
    assert same(value, json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    ("actual", "expected", "equal"),
    [
        (5, 5.0, True),
        (5, "5", True),
        (True, "true", True),
        (True, 1, False),
        ("a", "A", False),
        ([1, {"a": "2"}], [1.0, {"a": 2}], True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        (None, "", False),
    ],
)
def test_arguments_are_compared_by_value(actual: Any, expected: Any, equal: bool) -> None:
    assert same(actual, expected) is equal


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        ("Error: no such order", True),
        ({"error": "no such order"}, True),
        ({"error": None, "ok": 1}, False),
        ({"error": ""}, False),
        ({"isError": True, "content": []}, True),
        ("There was no error", False),
        ("{broken", False),
    ],
)
async def test_calls_that_failed_do_not_count(build: Any, answer: Any, failed: bool) -> None:
    found = await status(build, "tools_called", {"tools": ["t"]}, ("t", {}, answer))
    assert found is (CheckStatus.FAILED if failed else CheckStatus.PASSED)
    quiet = await status(build, "no_tool_errors", {}, ("t", {}, answer))
    assert quiet is (CheckStatus.FAILED if failed else CheckStatus.PASSED)


async def test_a_tool_that_duologue_ran_and_that_failed_does_not_count(build: Any) -> None:
    given_ = build("u: x", ("t", {}, "half an answer"))
    call_id = given_.records[1].message["tool_calls"][0]["id"]
    broken = build("u: x", ("t", {}, "half an answer"), ToolCalled(name="t", turn=0, call_id=call_id, error="crashed"))
    check = checks.create("no_tool_errors", {})
    assert (await check.evaluate(given_)).status is CheckStatus.PASSED
    assert "crashed" in (await check.evaluate(broken)).explanation


async def test_refused_arguments_count_only_where_that_is_wanted(build: Any) -> None:
    refused = ("t", {"a": 1}, "Error: tool t validation error (args_invalid): x is required")
    assert await status(build, "tools_called", {"tools": ["t"]}, refused) is CheckStatus.FAILED
    assert (
        await status(build, "tools_called", {"tools": ["t"], "ignore_validation": True}, refused) is CheckStatus.PASSED
    )


async def test_too_many_calls_score_nothing(build: Any) -> None:
    check = checks.create("tools_called", {"tools": ["t"], "max_calls": 1})
    outcome = await check.evaluate(build("u: x", ("t", {"n": 1}, "a"), ("t", {"n": 2}, "b")))
    assert (outcome.status, outcome.score) == (CheckStatus.FAILED, 0.0)


async def test_arguments_that_are_no_json_object_have_no_names(build: Any) -> None:
    wanted = {"tool_name": "t", "expected_args": {"a": None}}
    assert await status(build, "tool_args", wanted, ("t", "not json", "ok")) is CheckStatus.FAILED
    assert await status(build, "tool_args", wanted, ("t", {"a": None}, "ok")) is CheckStatus.PASSED


async def test_one_call_is_enough_or_every_call_must_fit(build: Any) -> None:
    lines = [("t", {"a": 1}, "ok"), ("t", {"a": 2, "b": 3}, "ok")]
    for args, some, every in [({"a": None}, True, True), ({"b": None}, True, False), ({"b": 4}, False, False)]:
        wanted = {"tool_name": "t", "expected_args": args}
        assert (await status(build, "tool_args", wanted, *lines) is CheckStatus.PASSED) == some
        assert (await status(build, "tool_calls_with_args", wanted, *lines) is CheckStatus.PASSED) == every


async def test_a_chain_finds_the_call_that_fits_after_one_that_does_not(build: Any) -> None:
    steps = [{"tool": "a", "no_error": True}, {"tool": "b"}]
    lines = [("a", {"n": 1}, "Error: x"), ("a", {"n": 2}, "ok"), ("b", {}, "ok")]
    assert await status(build, "tool_call_chain", {"steps": steps}, *lines) is CheckStatus.PASSED
    assert await status(build, "tool_call_chain", {"steps": steps}, *lines[:1], lines[2]) is CheckStatus.FAILED


async def test_a_workflow_check_without_a_workflow_is_an_error(build: Any) -> None:
    assert await status(build, "state_is", {"state": "x"}, "a: y") is CheckStatus.ERROR


async def test_what_is_not_recorded_is_skipped_with_the_reason(build: Any) -> None:
    for type, params, reason in [
        ("latency_budget", {"max_ms": 1}, "recorded no time"),
        ("cost_budget", {"max_cost_usd": 1}, "no model calls"),
        ("text_sentiment", {"expected_label": "x"}, "no classifier is configured"),
        ("tool_exec", {"tool": "t"}, "no tools can be called"),
    ]:
        outcome = await checks.create(type, params).evaluate(build("u: x", "a: y"))
        assert outcome.status is CheckStatus.SKIPPED
        assert reason in outcome.explanation


async def test_only_the_agents_time_counts_and_it_adds_up_within_a_turn(build: Any) -> None:
    times = [
        AgentCalled(participant=participant, turn=turn, delivered=[], seconds=seconds)
        for participant, turn, seconds in [(0, 0, 9.0), (1, 0, 0.2), (1, 1, 0.3), (1, 1, 0.3)]
    ]
    lines = ["u: a", "a: b", "u: c", "a: d", *times]
    assert await status(build, "latency_budget", {"max_ms": 600}, *lines[1:]) is CheckStatus.PASSED
    assert await status(build, "latency_budget", {"max_ms": 599}, *lines[1:]) is CheckStatus.FAILED
    first = checks.create("latency_budget", {"max_ms": 200}, scope=Scope.TURN)
    outcome = await first.evaluate(build(*lines, scope=Scope.TURN, turn=0))
    assert (outcome.status, outcome.details["latency_ms"]) == (CheckStatus.PASSED, {0: pytest.approx(200)})


async def test_the_cost_of_calls_without_a_price_is_not_known(build: Any) -> None:
    paid = ModelCalled(asker="user", turn=0, model="m", request_digest="d", usage=Usage(input_tokens=10), cost=0.5)
    free = replace(paid, asker="agent", cost=None)
    for params, expected in [
        ({"max_cost_usd": 1}, CheckStatus.ERROR),
        ({"max_cost_usd": 0.4}, CheckStatus.FAILED),
        ({"max_cost_usd": 1, "asker": "user"}, CheckStatus.PASSED),
        ({"max_input_tokens": 20}, CheckStatus.PASSED),
        ({"max_input_tokens": 19}, CheckStatus.FAILED),
        ({"max_input_tokens": 10, "asker": "agent"}, CheckStatus.PASSED),
    ]:
        assert await status(build, "cost_budget", params, "a: b", paid, free) is expected


async def test_media_that_cannot_be_measured_are_an_error(build: Any) -> None:
    linked = {"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]}
    assert await status(build, "image_dimensions", {"width": 1}, linked) is CheckStatus.ERROR
    assert await status(build, "image_format", {"formats": ["png"]}, linked) is CheckStatus.PASSED
    noise = {
        "role": "assistant",
        "content": [{"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}],
    }
    assert await status(build, "audio_duration", {"max_seconds": 1}, noise) is CheckStatus.ERROR


def test_personal_data_is_found_and_masked(build: Any) -> None:
    from duologue.checks.safety import masked, personal_in

    text = "ann@example.org, 123-45-6789, 4111 1111 1111 1111, not 4111 1111 1111 1112, order 123456789012"
    assert [kind for kind, _ in personal_in(text)] == ["email", "ssn", "card"]
    assert masked("ann@example.org") == "an…rg"


async def test_a_path_whose_limits_are_all_null_must_still_find_something(build: Any) -> None:
    check = checks.create("json_path", {"expression": "a", "min": None, "contains": None})
    assert (await check.evaluate(build("u: hi", 'a: {"b": 1}'))).status == "failed"
    assert (await check.evaluate(build("u: hi", 'a: {"a": 1}'))).status == "passed"


@pytest.mark.parametrize(
    ("kind", "params", "said"),
    [
        ("tool_call_count", {"min": 0}, "cannot fail"),
        ("sentence_count", {"min": 0}, "cannot fail"),
        ("image_dimensions", {"width": None}, "min_width"),
        ("cost_budget", {"max_cost_usd": None}, "max_cost_usd"),
        ("tool_call_count", {"min": 3, "max": 2}, "min of at most max, which is 2"),
        ("tools_called", {"tools": ["a"], "min_calls": 3, "max_calls": 1}, "min_calls of at most max_calls"),
        ("json_path", {"expression": "a", "min_results": 3, "max_results": 1}, "min_results of at most"),
        ("audio_duration", {"min_seconds": 5, "max_seconds": 2}, "min_seconds of at most max_seconds"),
    ],
)
def test_limits_that_nothing_can_break_or_keep_are_refused(kind: str, params: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        checks.create(kind, params)


JPEG, TIFF = "data:image/jpeg;base64,/9j/4AA=", "data:image/tiff;base64,SUkqAAgAAAAB"


def sound(rate: Any) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "pcm16", "sample_rate": rate}}


@pytest.mark.parametrize(
    ("kind", "params", "part"),
    [
        ("image_dimensions", {"width": 10}, {"type": "image_url", "image_url": {"url": JPEG}}),
        ("image_dimensions", {"width": 10}, {"type": "image_url", "image_url": {"url": TIFF}}),
        ("image_dimensions", {"width": 10}, {"type": "image_url", "image_url": {"url": JPEG, "width": float("nan")}}),
        ("audio_duration", {"max_seconds": 1}, sound(0)),
        ("audio_duration", {"max_seconds": 1}, sound("x")),
    ],
)
async def test_media_that_cannot_be_measured_are_an_error_and_no_crash(
    build: Any, kind: str, params: dict[str, Any], part: dict[str, Any]
) -> None:
    given = build("u: show me", {"role": "assistant", "content": [part]})
    assert (await checks.create(kind, params).evaluate(given)).status == "error"


async def test_a_part_without_a_type_is_no_picture(build: Any) -> None:
    given = build("u: show me", {"role": "assistant", "content": [{"image_url": {"url": "http://h/a.png"}}]})
    assert (await checks.create("image_format", {"formats": ["png"]}).evaluate(given)).status == "failed"
