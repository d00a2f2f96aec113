from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from duologue.agents.judge import SpanRecord, conversation_entries, span_entries
from duologue.agents.judge._evidence import LONGEST_RESULT, look_up, outline
from duologue.conversation.adapter import AgentInput
from duologue.conversation.result import ScenarioState
from duologue.journal.events import MessageAdded
from duologue.messages import Message, assistant_message, tool_call, user_message
from duologue.transcripts.rendering import TranscriptEntry, quoted

Case = Callable[..., AgentInput]


def told(*messages: Message) -> str:
    return "\n".join(entry.text for entry in conversation_entries(messages, ScenarioState()))


def test_turns_and_ids_are_those_of_the_journal(case: Case) -> None:
    given = case([user_message("a"), assistant_message("b"), user_message("c")])
    assert [entry.text for entry in conversation_entries(given.messages, given.scenario_state)] == [
        '[m1] user (turn 1): "a"',
        '[m2] assistant (turn 1): "b"',
        '[m3] user (turn 2): "c"',
    ]


def test_read_again_a_message_that_was_replaced_or_changed_is_told_as_it_is_now(case: Case) -> None:
    given = case([user_message("a"), assistant_message("b")])
    state, first = given.scenario_state, conversation_entries(given.messages, given.scenario_state)
    assert conversation_entries(given.messages, state)[0] is first[0]
    state.view.records[-1] = MessageAdded(message_id="m2", message=assistant_message("c"), turn=0)
    messages = [record.message for record in state.view.records]
    assert [entry.text for entry in conversation_entries(messages, state)] == [
        first[0].text,
        '[m2] assistant (turn 1): "c"',
    ]
    altered: list[Message] = [user_message("z"), messages[1]]
    assert conversation_entries(altered, state)[0].text == '[m1] user (turn 1): "z"'
    assert conversation_entries(messages, state)[0].text == first[0].text


def test_a_message_may_say_something_and_call_tools() -> None:
    call = tool_call("find", "{broken", "call_1")
    assert told(assistant_message("One moment.", [call, tool_call("look", {"a": "</x>"}, "call_2")])).splitlines() == [
        '[m1] assistant: "One moment."',
        '[m1] assistant calls "find" with something that is no JSON: "{broken"',
        '[m1] assistant calls "look" with {"a": "<\\/x>"}',
    ]


def test_messages_of_a_careless_agent_are_told_all_the_same() -> None:
    careless: Any = {
        "role": "assistant",
        "content": [{"type": "image_url", "image_url": "https://a.org/b.png"}, {"type": "input_audio"}],
        "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}, {"function": {"name": "g"}}],
    }
    assert told(careless).splitlines() == [
        '[m1] assistant: [IMAGE: "https://a.org/b.png"] [AUDIO: unknown, ~0 bytes]',
        '[m1] assistant calls "f" with {"a": 1}',
        '[m1] assistant calls "g" with {}',
    ]


def test_silence_is_told() -> None:
    assert told(assistant_message(None)) == '[m1] assistant: ""'


def test_media_are_markers_with_their_size() -> None:
    sound = base64.b64encode(bytes(3000)).decode()
    content = [
        {"type": "text", "text": "Listen:"},
        {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{sound}"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{sound}"}},
        {"type": "hologram"},
    ]
    assert told({"role": "user", "content": content}) == (  # type: ignore[typeddict-item]
        '[m1] user: "Listen:" [AUDIO: wav, ~3000 bytes] [IMAGE: png, ~3000 bytes] '
        '[IMAGE: "https://example.org/a.png"] [FILE: pdf, ~3000 bytes] "a.pdf" [HOLOGRAM]'
    )


def test_media_inside_texts_and_arguments_are_markers_too() -> None:
    sound = base64.b64encode(bytes(3000)).decode()
    assert quoted(f"see data:audio/wav;base64,{sound} and {sound}") == (
        '"see [AUDIO: wav, ~3000 bytes] and [FILE: base64, ~3000 bytes]"'
    )
    call = tool_call("send", {"picture": f"data:image/jpeg;base64,{sound}"}, "call_1")
    assert told(assistant_message(None, [call])) == (
        '[m1] assistant calls "send" with {"picture": "[IMAGE: jpeg, ~3000 bytes]"}'
    )


@given(
    text=st.text()
    | st.lists(st.sampled_from(["\n", "\u2028", "\x85", "</transcript>", '"', "\\", "[m2]", "<"])).map("".join)
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_text_leaves_its_line_or_its_section_and_none_is_lost(text: str) -> None:
    written = quoted(text)
    assert len(written.splitlines()) == 1
    assert "</" not in written
    assert json.loads(written) == text
    written.encode()


def test_half_a_character_can_be_sent() -> None:
    assert quoted("a\ud83d") == '"a\\ud83d"'


def entries(*texts: str) -> list[TranscriptEntry]:
    return conversation_entries([user_message(text) for text in texts], ScenarioState())


def test_an_outline_keeps_short_entries_and_cuts_long_ones() -> None:
    lines = outline(entries("short", "x " * 5000), 100).splitlines()
    assert lines[0] == '[m1] user: "short"'
    assert lines[1].startswith('[m2] user: "x x ')
    assert lines[1].endswith("characters in all)")
    assert len(lines[1]) < 300


def test_an_outline_of_very_many_entries_stays_small() -> None:
    lines = outline(entries(*["hello there, this is a line of some length"] * 5000), 1000)
    assert len(lines) < 10_000
    assert "entries are left out here" in lines
    assert lines.startswith("[m1]")
    assert "[m5000]" in lines


def test_looking_up_shows_entries_in_full_and_no_more_than_fits() -> None:
    record = entries("x " * 20_000, "the secret word is PEAR")
    assert look_up(tool_call("expand", {"ids": ["[m2]"]}, "1"), record) == record[1].text
    long = look_up(tool_call("expand", {"ids": ["m1", "m2"]}, "1"), record)
    assert len(long) == LONGEST_RESULT
    assert "Ask for fewer" in long
    assert look_up(tool_call("grep", {"pattern": "pear"}, "1"), record) == '[m2] user: "the secret word is PEAR"'


def test_grep_takes_its_pattern_as_text_and_stops_at_twenty() -> None:
    record = entries(*["a+b"] * 25, "aab")
    found = look_up(tool_call("grep", {"pattern": "A+B"}, "1"), record).splitlines()
    assert len(found) == 21
    assert found[-1] == "(5 more entries have it)"


def test_a_call_that_cannot_be_understood_is_told_so() -> None:
    for call in (
        tool_call("delete", {}, "1"),
        tool_call("expand", {"ids": "m1"}, "1"),
        tool_call("grep", {"pattern": " "}, "1"),
        tool_call("grep", "{", "1"),
    ):
        assert look_up(call, entries("a")).startswith("Nothing was looked up")


def test_spans_are_found_by_the_beginning_of_their_id() -> None:
    record = [*entries("a"), *span_entries([SpanRecord(span_id="abcdef0123456789", name="db")])]
    for name in ("abcdef01", "abcdef0123456789"):
        assert look_up(tool_call("expand", {"ids": [name]}, "1"), record) == '[abcdef01] span "db" (0 s)'
    assert re.search("No entry", look_up(tool_call("expand", {"ids": ["m11"]}, "1"), record))


def test_an_answer_is_of_the_latest_call_with_its_id():
    def called(name):
        return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": "{}"}}

    messages = [
        {"role": "assistant", "content": None, "tool_calls": [called("find")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        {"role": "assistant", "content": None, "tool_calls": [called("book")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "two"},
    ]
    texts = [entry.text for entry in conversation_entries(messages, ScenarioState())]
    assert '"find": "one"' in texts[1]
    assert '"book": "two"' in texts[3]


def test_a_long_run_hides_nothing_but_itself() -> None:
    data = base64.b64encode(bytes(range(256)) * 8).decode().rstrip("=")
    text = quoted(f"card 4111{data}4222 and data:image/png;base64,{data}==the word")
    assert text.startswith('"card 4111')
    assert "4222 and [IMAGE: png, ~" in text
    assert text.endswith('the word"')
    assert data not in text


@pytest.mark.parametrize("run", ["B" * 1000, "4111" + "B" * 1000, "ha" * 2000, "0123456789" * 200])
def test_a_long_text_that_is_no_media_is_shown(run: str) -> None:
    assert quoted(run) == f'"{run}"'
