from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.errors import (
    ModelAnswerError,
    ModelRateLimitError,
    ModelTimeoutError,
    UnknownModelError,
)
from duologue.messages import (
    Message,
    assistant_message,
    system_message,
    text_of,
    tool_call,
    tool_message,
    user_message,
)
from duologue.models.base import ModelAnswer, ModelRequest
from duologue.models.mock import MockModel, ResponseFile
from duologue.models.mock.file import call_number, user_turn_number
from duologue.models.resolve import forget_models, resolve
from duologue.transcripts.media_facts import facts_of, kind_of, parts_of


def file_of(tmp_path: Path, text: str) -> ResponseFile:
    path = tmp_path / "mocks.yaml"
    path.write_text(text)
    return ResponseFile.read(path)


def model(file: ResponseFile | None, scenario: str = "s", persona: str | None = None) -> MockModel:
    return MockModel(file, model_name="gpt-x", provider="openai-main", scenario=scenario, persona=persona)


async def asked(mock: MockModel, *messages: Message) -> ModelAnswer:
    return await mock.answer(ModelRequest(messages=messages))


async def test_says_what_is_written_for_the_turn_and_counts_tokens(tmp_path: Path) -> None:
    mock = model(file_of(tmp_path, "scenarios: {s: {turns: {1: hello there}}}"))
    answer = await asked(mock, system_message("x" * 400), user_message("a" * 9), user_message("b" * 7))
    assert answer.usage.input_tokens == 3
    assert (answer.usage.output_tokens, answer.cost) == (12, 0.0)
    assert (answer.model, answer.finish_reason) == ("mock/openai-main", "stop")
    first = await asked(mock, user_message("a" * 9))
    assert (first.text, first.usage.input_tokens, first.usage.output_tokens) == ("hello there", 2, 2)


async def test_an_empty_question_counts_ten_tokens_and_an_empty_answer_twenty(tmp_path: Path) -> None:
    mock = model(file_of(tmp_path, "scenarios: {s: {turns: {1: {tool_calls: [{name: f}]}}}}"))
    answer = await asked(mock, user_message(""))
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (10, 20)


async def test_tokens_are_counted_in_bytes(tmp_path: Path) -> None:
    mock = model(file_of(tmp_path, "defaultResponse: äääääääää"))
    assert (await asked(mock, user_message("€€€€"))).usage.model_dump() == {"input_tokens": 3, "output_tokens": 4}


async def test_names_provider_and_model_where_nothing_is_written(tmp_path: Path) -> None:
    expected = "Mock response for provider openai-main model gpt-x"
    assert (await asked(model(None), user_message("hi"))).text == expected
    assert (await asked(model(file_of(tmp_path, "scenarios: {other: {defaultResponse: x}}")))).text == expected


async def test_calls_tools_with_ids_of_place_and_name(tmp_path: Path) -> None:
    text = (
        "scenarios: {s: {turns: {1: {response: wait, tool_calls: [{name: f, arguments: {a: 1}}, {name: g, id: x}]}}}}"
    )
    answer = await asked(model(file_of(tmp_path, text)), user_message("hi"))
    assert [call["id"] for call in answer.tool_calls] == ["call_0_f", "x"]
    assert answer.tool_calls[0]["function"]["arguments"] == '{"a": 1}'
    assert (answer.message.get("content"), answer.finish_reason) == ("wait", "tool_calls")


async def test_answers_do_not_share_what_could_be_changed(tmp_path: Path) -> None:
    mock = model(file_of(tmp_path, "scenarios: {s: {turns: {1: {tool_calls: [{name: f}]}}}}"))
    first = await asked(mock, user_message("hi"))
    first.tool_calls[0]["function"]["name"] = "changed"
    first.tool_calls.clear()
    assert [call["function"]["name"] for call in (await asked(mock, user_message("hi"))).tool_calls] == ["f"]


async def test_parts_have_the_facts_that_checks_look_for(tmp_path: Path) -> None:
    text = """
scenarios:
  s:
    turns:
      1:
        type: multimodal
        content: Here they are.
        parts:
          - {type: image, image_url: {url: "mock://a.png", detail: low}, metadata: {width: 640, height: 480}}
          - {type: audio, audio_url: {url: "mock://b"}, metadata: {format: mp3, duration_seconds: 2.5}}
          - {type: video, video_url: {url: "mock://c.mp4"}, metadata: {duration: 9, width: 1280, height: 720}}
          - {type: document, document_url: {url: "data:application/pdf;base64,AAAA"}}
"""
    message = (await asked(model(file_of(tmp_path, text)), user_message("hi"))).message
    parts = parts_of(message)
    assert text_of(message) == "Here they are."
    assert [kind_of(part) for part in parts] == ["image/png", "audio/mpeg", "video/mp4", "application/pdf"]
    image, sound, film, _ = map(facts_of, parts)
    assert (image.width, image.height, sound.seconds) == (640, 480, 2.5)
    assert (film.width, film.height, film.seconds) == (1280, 720, 9)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("timeout", ModelTimeoutError), ("rate_limit", ModelRateLimitError), ("answer", ModelAnswerError)],
)
async def test_fails_where_a_fault_is_written(tmp_path: Path, fault: str, error: type[Exception]) -> None:
    mock = model(file_of(tmp_path, f"scenarios: {{s: {{turns: {{1: {{fault: {fault}, content: broken}}}}}}}}"))
    with pytest.raises(error, match="broken"):
        await asked(mock, user_message("hi"))


def test_turn_numbers_count_calls_of_the_model() -> None:
    user, said = user_message("u"), assistant_message("a")
    calls, result = assistant_message(None, [tool_call("f", {}, "c")]), tool_message("c", "r")
    assert call_number([]) == 1
    assert call_number([user]) == 1
    assert call_number([user, said, user]) == 2
    assert call_number([user, calls, result]) == 2
    assert call_number([user, calls, result, said, user]) == 3
    assert call_number([user, calls, result, calls, result]) == 3
    assert call_number([user, user]) == 2
    assert call_number([user, user, calls, result]) == 3


@given(st.lists(st.integers(min_value=0, max_value=3), max_size=8))
def test_each_call_of_an_ordinary_conversation_has_the_next_number(rounds: list[int]) -> None:
    messages: list[Message] = []
    numbers: list[int] = []
    for tool_rounds in rounds:
        messages.append(user_message("u"))
        for _ in range(tool_rounds):
            numbers.append(call_number(messages))
            messages += [assistant_message(None, [tool_call("f", {}, "c")]), tool_message("c", "r")]
        numbers.append(call_number(messages))
        messages.append(assistant_message("a"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_lines_of_the_user_are_counted_from_either_side() -> None:
    assert user_turn_number([]) == 1
    assert user_turn_number([user_message("q1"), assistant_message("a1")]) == 2
    flipped = [system_message("play"), user_message("(opening)"), assistant_message("q1"), user_message("a1")]
    assert user_turn_number(flipped) == 2


async def test_plays_a_persona(tmp_path: Path) -> None:
    file = file_of(tmp_path, "selfplay: {p: {turns: {1: q1, 2: q2}, defaultResponse: q?}}")
    mock = model(file, persona="p")
    said = [user_message("q1"), assistant_message("a1"), user_message("q2"), assistant_message("a2")]
    assert [(await asked(mock, *said[:end])).text for end in (0, 2, 4)] == ["q1", "q2", "q?"]


async def test_is_told_where_it_is_when_it_cannot_see_it(tmp_path: Path) -> None:
    text = "scenarios: {s: {turns: {1: one, 3: three}, states: {late: {turns: {3: late three}}}}}"
    mock = model(file_of(tmp_path, text))
    whole = [user_message("u"), assistant_message("a")] * 2
    assert (await asked(mock.at(messages=whole), user_message("u"))).text == "three"
    assert (await asked(mock.at(messages=whole, step="late"), user_message("u"))).text == "late three"
    assert (await asked(mock, user_message("u"))).text == "one"


async def test_a_name_alone_stands_for_a_file(tmp_path: Path) -> None:
    forget_models()
    path = file_of(tmp_path, "scenarios: {only: {turns: {1: from the file}}}").path
    answer = await resolve(f"mock/{path}").answer(ModelRequest(messages=(user_message("hi"),)))
    assert answer.text == "from the file"
    with pytest.raises(UnknownModelError, match="there is no file"):
        resolve(f"mock/{tmp_path}/none.yaml")
