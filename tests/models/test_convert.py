from __future__ import annotations

import asyncio
import base64
import json
import random
from typing import Any

import openai_server as fakes
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_ai.messages import ModelResponse, TextPart, ToolCallPart

from duologue.errors import ModelRejectedError
from duologue.messages import Message, assistant_message, tool_call, tool_message, user_message
from duologue.models._chat_format import checked_messages
from duologue.models._through_pydantic_ai import from_provider, to_provider
from duologue.models.base import ModelRequest
from duologue.models.names import ModelName
from duologue.models.provider import ProviderModel
from duologue.models.resolve import client_for
from duologue.settings import ModelConfig

TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
NAMES = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
ARGUMENTS = st.dictionaries(NAMES, st.one_of(st.integers(), TEXT, st.none(), st.booleans()), max_size=3)
BYTES = st.binary(min_size=1, max_size=12).map(lambda data: base64.b64encode(data).decode())
PARTS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    TEXT.map(lambda text: {"type": "text", "text": text}),
    BYTES.map(lambda data: {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}),
    BYTES.map(lambda data: {"type": "image_url", "image_url": {"url": "https://example.org/i.png", "detail": "low"}}),
    BYTES.map(lambda data: {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}),
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = [{"role": "system", "content": draw(TEXT)}] if draw(st.booleans()) else []
    for turn in range(draw(st.integers(1, 4))):
        content = draw(st.one_of(TEXT, st.lists(PARTS, min_size=2, max_size=3)))
        messages.append({"role": "user", "content": content})  # type: ignore[typeddict-item]
        calls = [
            tool_call(name, arguments, f"call_{turn}_{number}")
            for number, (name, arguments) in enumerate(draw(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=2)))
        ]
        messages.append(assistant_message(draw(TEXT) if not calls or draw(st.booleans()) else None, calls))
        messages.extend(tool_message(call["id"], draw(TEXT)) for call in calls)
    return [*messages, user_message(draw(TEXT))]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(conversations())
def test_what_is_sent_is_what_was_said(messages: list[Message]) -> None:
    async def main() -> list[Message]:
        async with fakes.openai_server() as server:
            client = client_for(
                ModelName(provider="any", reference="m"), ModelConfig(model="any/m", api_base=server.url)
            )
            model = ProviderModel("any/m", client, chance=random.Random(1))
            await model.answer(ModelRequest(messages=tuple(messages)))
            return server.requests[0]["messages"]

    sent = asyncio.run(main())
    assert [normal(message) for message in sent] == [normal(message) for message in messages]


def normal(message: Any) -> Any:
    """The same whether arguments are spaced one way or another, and whether a field is absent or null."""
    fields = {name: value for name, value in message.items() if value is not None}
    for call in fields.get("tool_calls", []):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return fields


@given(text=st.one_of(st.none(), TEXT), calls=st.lists(st.tuples(NAMES, ARGUMENTS), max_size=3))
def test_an_answer_survives_the_way_there_and_back(text: str | None, calls: list[tuple[str, dict[str, Any]]]) -> None:
    made = [tool_call(name, arguments, f"c{number}") for number, (name, arguments) in enumerate(calls)]
    message = assistant_message(text, made)
    converted = to_provider([user_message("?"), message])
    back = from_provider(converted[-1] if isinstance(converted[-1], ModelResponse) else ModelResponse(parts=[]))
    assert normal({**back, "content": back.get("content") or None}) == normal(message)


def test_results_of_several_tools_and_the_next_user_line_are_one_request() -> None:
    calls = [tool_call("a", {}, "1"), tool_call("b", {}, "2")]
    converted = to_provider(
        [assistant_message(None, calls), tool_message("1", "x"), tool_message("2", "y"), user_message("and?")]
    )
    assert len(converted) == 2
    assert [getattr(part, "tool_name", None) for part in converted[1].parts] == ["a", "b", None]


def test_an_answer_of_text_and_tools_keeps_both() -> None:
    response = ModelResponse(parts=[TextPart("Let me look."), ToolCallPart("find", {"q": "ä"}, "c1")])
    message = from_provider(response)
    assert message.get("content") == "Let me look."
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"q": "ä"}  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,???"}},
        {"type": "image_url", "image_url": {"url": "data:nonsense"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA"}},
        {"type": "text"},
        {"type": "file"},
    ],
)
def test_content_that_cannot_be_read_names_its_message(part: Any) -> None:
    with pytest.raises(ModelRejectedError, match=f"message 1 .*{part['type']}"):
        checked_messages([user_message("look"), {"role": "user", "content": [part]}])


def test_a_role_that_nobody_knows_is_rejected() -> None:
    with pytest.raises(ModelRejectedError, match="narrator"):
        checked_messages([{"role": "narrator", "content": "Night falls."}])
