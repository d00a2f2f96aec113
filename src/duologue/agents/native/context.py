"""What is sent of a conversation that is too long for the model. The conversation itself is never changed.

Tokens are estimated from words. A tool call and its results are sent together or not at all, since no provider takes
one without the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from duologue.errors import ConfigurationError
from duologue.messages import Message, system_message, text_of, tool_calls_of
from duologue.models.resources import Embedder
from duologue.models.scope import estimate_tokens
from duologue.specs.scenario import ContextPolicy, Relevance

SUMMARY = "Summary of the conversation before the messages that follow:"
_SUMMARY_SHARE = 4
"""A summary may take a quarter of what there is room for."""

Summarise = Callable[[str, Sequence[Message]], Awaitable[str]]
"""Makes a summary of an earlier summary ('' for none) and of messages that follow it."""


class TooLongError(ConfigurationError):
    """The conversation does not fit into the budget of the scenario."""


@dataclass(kw_only=True)
class Window:
    """What one run sends of its conversation.

    Attributes:
        policy: how much, and what is left out.
        ratio: tokens for each word.
        summarise: asks for a summary.
        embedder: gives the embedder, or None where there is none.
    """

    policy: ContextPolicy
    ratio: float
    summarise: Summarise
    embedder: Callable[[], Embedder | None]
    _summary: str = ""
    _summarised: int = 0
    _vectors: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    async def fitted(self, instruction: str, messages: Sequence[Message]) -> list[Message]:
        """The messages that are sent; all of them where they fit.

        Args:
            instruction: the system prompt.
            messages: the conversation.

        Raises:
            TooLongError: the strategy is ``fail``, or not even the newest message fits.
        """
        policy = self.policy
        room = policy.token_budget - policy.reserve_for_output - self._tokens(instruction)
        if room <= 0:
            raise TooLongError(
                f"token budget too small: {policy.token_budget} tokens, of which {policy.reserve_for_output} are kept "
                f"for the answer and {self._tokens(instruction)} are the prompt. Raise context_policy.token_budget"
            )
        have = sum(self._size(message) for message in messages)
        if have <= room:
            return list(messages)
        if policy.strategy == "fail":
            raise TooLongError(
                f"token budget exceeded: have {have}, budget {room}. Raise context_policy.token_budget, or choose a "
                "strategy that leaves something out"
            )
        blocks = _blocks(messages)
        if policy.strategy == "summarize":
            return await self._with_summary(blocks, room)
        if policy.strategy == "relevance":
            kept = await self._most_relevant(blocks, room)
        else:
            kept = range(self._newest(blocks, room), len(blocks))
        return [message for index in kept for message in blocks[index]]

    def _newest(self, blocks: Sequence[Sequence[Message]], room: int) -> int:
        """The first block of those at the end that fit."""
        first = len(blocks)
        while first and (size := self._size_of(blocks[first - 1])) <= room:
            room -= size
            first -= 1
        if first == len(blocks):
            raise TooLongError(
                f"token budget too small: the newest message has {self._size_of(blocks[-1])} tokens, and there is room "
                f"for {room}. Raise context_policy.token_budget"
            )
        return first

    async def _with_summary(self, blocks: Sequence[Sequence[Message]], room: int) -> list[Message]:
        first = self._newest(blocks, max(room - room // _SUMMARY_SHARE, self._size_of(blocks[-1])))
        kept = [message for block in blocks[first:] for message in block]
        older = [message for block in blocks[:first] for message in block]
        new = older[self._summarised :]
        if new:
            self._summary = await self.summarise(self._summary, new)
            self._summarised = len(older)
        return [system_message(f"{SUMMARY}\n{self._summary}"), *kept] if self._summary else kept

    async def _most_relevant(self, blocks: Sequence[Sequence[Message]], room: int) -> list[int]:
        """Places of blocks: the newest, then those most like what is asked for, as many as fit; in their order."""
        embedder = self.embedder()
        if embedder is None:
            return list(range(self._newest(blocks, room), len(blocks)))
        relevance = self.policy.relevance
        recent = relevance.min_recent_messages if relevance else 3
        first = self._newest(blocks, room)
        protected = max(first, len(blocks) - max(recent, 1))
        kept = list(range(protected, len(blocks)))
        room -= sum(self._size_of(blocks[index]) for index in kept)
        likeness = await self._likeness(embedder, blocks, protected, relevance)
        lowest = relevance.similarity_threshold if relevance else 0.0
        for index in sorted(likeness, key=lambda place: (-likeness[place], -place)):
            size = self._size_of(blocks[index])
            if likeness[index] >= lowest and size <= room:
                kept.append(index)
                room -= size
        return sorted(kept)

    async def _likeness(
        self, embedder: Embedder, blocks: Sequence[Sequence[Message]], until: int, relevance: Relevance | None
    ) -> dict[int, float]:
        texts = [" ".join(map(text_of, block)) for block in blocks]
        query = _query(texts, blocks, relevance)
        wanted = dict.fromkeys([query, *texts[:until]])
        new = [text for text in wanted if text not in self._vectors]
        vectors = dict(zip(new, await embedder.embed(new), strict=True)) if new else {}
        self._vectors |= vectors
        return {index: _cosine(self._vectors[query], self._vectors[texts[index]]) for index in range(until)}

    def _size_of(self, block: Sequence[Message]) -> int:
        return sum(map(self._size, block))

    def _size(self, message: Message) -> int:
        size = self._tokens(text_of(message))
        for call in tool_calls_of(message):
            size += self._tokens(call["function"]["arguments"])
        return size

    def _tokens(self, text: str) -> int:
        return estimate_tokens(text, per_word=self.ratio)


def _blocks(messages: Sequence[Message]) -> list[list[Message]]:
    """Messages that are kept or left out together: a tool call with its results, anything else by itself."""
    blocks: list[list[Message]] = []
    for message in messages:
        if message["role"] == "tool" and blocks:
            blocks[-1].append(message)
        else:
            blocks.append([message])
    return blocks


def _query(texts: Sequence[str], blocks: Sequence[Sequence[Message]], relevance: Relevance | None) -> str:
    source = relevance.query_source if relevance else "last_user"
    if source == "custom" and relevance and relevance.custom_query:
        return relevance.custom_query
    if source == "last_n" and relevance:
        return " ".join(texts[-relevance.last_n_count :])
    users = (text for text, block in zip(texts, blocks, strict=True) if block[0]["role"] == "user")
    return list(users)[-1:][0] if any(block[0]["role"] == "user" for block in blocks) else texts[-1]


def _cosine(left: Sequence[float], right: Sequence[float]) -> float:
    product = sum(a * b for a, b in zip(left, right, strict=True))
    lengths = (sum(a * a for a in left) * sum(b * b for b in right)) ** 0.5
    return product / lengths if lengths else 0.0
