from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.agents.native.context import SUMMARY, TooLongError, Window
from duologue.checks import Resources
from duologue.messages import Message, assistant_message, text_of, tool_call, tool_message, user_message
from duologue.models.mock import MockModel, ResponseFile
from duologue.specs.scenario import ContextPolicy, Relevance


class WordEmbedder:
    """Vectors that count words of a fixed list."""

    name = "words"
    words = ("table", "train", "cat")

    def __init__(self) -> None:
        self.embedded: list[str] = []

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        self.embedded += texts
        return [[float(text.count(word)) for word in self.words] for text in texts]


async def no_summary(earlier: str, messages: Sequence[Message]) -> str:
    raise AssertionError("not asked for")


def window(budget: int, embedder: Any = None, summarise: Any = no_summary, **policy: Any) -> Window:
    return Window(
        policy=ContextPolicy(token_budget=budget, **policy),
        ratio=1.0,
        summarise=summarise,
        embedder=lambda: embedder,
    )


def words(count: int, word: str = "w") -> Message:
    return user_message(" ".join([word] * count))


def sizes(messages: Sequence[Message]) -> list[int]:
    return [len(text_of(message).split()) for message in messages]


async def test_what_fits_is_sent_as_it_is() -> None:
    messages = [words(3), words(4)]
    assert await window(8).fitted("p", messages) == messages
    assert await window(8, strategy="fail").fitted("p", messages) == messages


async def test_the_newest_are_kept_and_it_stops_at_the_first_that_does_not_fit() -> None:
    kept = await window(10).fitted("p p", [words(1), words(9), words(3), words(2)])
    assert sizes(kept) == [3, 2]


async def test_the_answer_has_room_that_is_reserved() -> None:
    assert sizes(await window(10, reserve_for_output=6).fitted("p p", [words(2), words(2)])) == [2]


@pytest.mark.parametrize(
    ("budget", "strategy", "told"),
    [
        (2, "oldest", "token budget too small: 2 tokens"),
        (5, "oldest", "the newest message has 4 tokens"),
        (6, "fail", "token budget exceeded: have 7, budget 4"),
    ],
)
async def test_says_what_does_not_fit(budget: int, strategy: Any, told: str) -> None:
    with pytest.raises(TooLongError, match=told):
        await window(budget, strategy=strategy).fitted("p p", [words(3), words(4)])


messages_of_any_kind = st.lists(
    st.one_of(
        st.integers(0, 6).map(words),
        st.integers(0, 6).map(lambda count: assistant_message(" ".join(["a"] * count))),
        st.just("tools"),
    ),
    min_size=1,
    max_size=12,
)


@given(messages_of_any_kind, st.integers(7, 30))
async def test_what_is_sent_is_the_newest_part_within_the_budget_with_whole_tool_calls(kinds: Any, budget: int) -> None:
    messages: list[Message] = []
    for kind in kinds:
        if kind == "tools":
            call = tool_call("f", "x x", "c")
            messages += [assistant_message(None, [call]), tool_message("c", "r r")]
        else:
            messages.append(kind)
    kept = await window(budget).fitted("", messages)
    assert kept == messages[len(messages) - len(kept) :]
    assert kept
    assert kept[0]["role"] != "tool"
    total = sum(sizes(kept)) + 2 * sum(bool(message.get("tool_calls")) for message in kept)
    assert total <= budget
    if len(kept) < len(messages):
        assert sum(sizes(messages)) + 2 * kinds.count("tools") > budget


async def test_the_most_relevant_old_messages_are_kept_in_their_order() -> None:
    embedder = WordEmbedder()
    relevance = Relevance(provider="x", min_recent_messages=1)
    old = [words(3, "train"), words(3, "cat"), words(3, "table"), words(3, "cat")]
    messages = [*old, words(3, "table")]
    kept = await window(9, embedder, strategy="relevance", relevance=relevance).fitted("", messages)
    assert [text_of(message).split()[0] for message in kept] == ["table", "cat", "table"]


async def test_messages_below_the_threshold_go_first() -> None:
    relevance = Relevance(provider="x", min_recent_messages=1, similarity_threshold=0.5)
    messages = [words(3, "train"), words(3, "table"), words(9, "cat"), words(3, "table")]
    kept = await window(12, WordEmbedder(), strategy="relevance", relevance=relevance).fitted("", messages)
    assert [text_of(message).split()[0] for message in kept] == ["table", "table"]


async def test_vectors_are_made_once() -> None:
    embedder = WordEmbedder()
    fitting = window(6, embedder, strategy="relevance", relevance=Relevance(provider="x", min_recent_messages=1))
    messages = [words(3, "train"), words(3, "cat"), words(3, "table")]
    await fitting.fitted("", messages)
    await fitting.fitted("", messages)
    assert len(embedder.embedded) == len(set(embedder.embedded)) == 3


async def test_without_an_embedder_the_oldest_go() -> None:
    messages = [words(3, "table"), words(3, "cat"), words(3, "table")]
    assert await window(6, strategy="relevance").fitted("", messages) == messages[1:]


async def test_a_summary_stands_for_what_is_left_out_and_goes_on() -> None:
    asked: list[tuple[str, int]] = []

    async def summarise(earlier: str, messages: Sequence[Message]) -> str:
        asked.append((earlier, len(messages)))
        return f"summary {len(asked)}"

    fitting = window(16, summarise=summarise, strategy="summarize")
    messages = [words(5), words(5), words(5), words(5)]
    first = await fitting.fitted("", messages)
    again = await fitting.fitted("", messages)
    later = await fitting.fitted("", [*messages, words(5)])
    assert first == again
    assert [text_of(first[0]), first[0]["role"]] == [f"{SUMMARY}\nsummary 1", "system"]
    assert sizes(first[1:]) == [5, 5]
    assert text_of(later[0]).endswith("summary 2")
    assert asked == [("", 2), ("summary 1", 1)]


async def test_the_transcript_is_never_changed(stage: Any) -> None:
    stage.scenario = {"context_policy": ContextPolicy(token_budget=8)}
    run = await stage.play(["a a a", "b b b", "c"], "1 1 1", "2 2 2", "3 3 3")
    assert len(run.result.messages) == 6
    sent = run.model.requests[-1].messages
    assert [text_of(message) for message in sent] == ["You help.", "b b b", "3 3 3"]


async def test_a_conversation_that_does_not_fit_is_an_error_of_the_run(stage: Any) -> None:
    stage.scenario = {"context_policy": ContextPolicy(token_budget=8, strategy="fail")}
    run = await stage.play(["a a a", "x"], "1 1 1", "2 2 2")
    assert "token budget exceeded" in run.result.error.message


async def test_the_agents_own_model_summarises(stage: Any) -> None:
    stage.scenario = {"context_policy": ContextPolicy(token_budget=14, strategy="summarize")}
    run = await stage.play(["a a a", "They said a lot.", "end"], "1 1 1 1", "2 2 2 2")
    asked, answered = run.model.requests[1:]
    assert "user: 1 1 1 1" in text_of(asked.messages[1])
    assert text_of(answered.messages[1]).endswith("They said a lot.")
    assert len(run.result.messages) == 4


async def test_a_mock_counts_its_turns_in_the_whole_conversation(stage: Any) -> None:
    stage.scenario = {"context_policy": ContextPolicy(token_budget=8)}
    (stage.folder / "m.yaml").write_text("scenarios: {s: {turns: {1: one one, 2: two two, 3: three}}}")
    model = MockModel(ResponseFile.read(stage.folder / "m.yaml"), model_name="m", provider="p", scenario="s")
    run = await stage.play(model, "1 1 1", "2 2 2", "3 3 3")
    assert [text_of(message) for message in run.result.messages][1::2] == ["one one", "two two", "three"]


async def test_the_embedder_of_the_suite_is_asked(stage: Any) -> None:
    embedder = WordEmbedder()
    stage.resources = Resources(embedder=embedder)
    policy = ContextPolicy(
        token_budget=8, strategy="relevance", relevance=Relevance(provider="x", min_recent_messages=1)
    )
    stage.scenario = {"context_policy": policy}
    await stage.play(["a a a", "b"], "1 1 1", "2 2 2")
    assert embedder.embedded
