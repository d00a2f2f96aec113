"""Figures of a conversation in voice: how fast, how much, how clearly. Times are seconds."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from statistics import fmean

from duologue.frozen import frozen
from duologue.stats.quantiles import sample_quantile
from duologue.voice.interaction import InteractionMetrics, interaction_metrics
from duologue.voice.timeline import AudioSegment, joined, overlap

DEAD_AIR = 3.0
"""Seconds of silence from which a pause counts as a long one."""


@frozen
class LatencyMetrics:
    """How long the agent took to answer.

    Attributes:
        measurements: from the end of the user's speech to the first sound of the agent, in order.
        time_to_first_byte: the first of them; None without any.
        interrupt_response_time: from the first interruption until the agent was silent; None without any.
    """

    measurements: Sequence[float] = ()
    time_to_first_byte: float | None = None
    interrupt_response_time: float | None = None

    @property
    def avg(self) -> float | None:
        """The mean."""
        return fmean(self.measurements) if self.measurements else None

    @property
    def p50(self) -> float | None:
        """The median."""
        return sample_quantile(self.measurements, 0.5) if self.measurements else None

    @property
    def p95(self) -> float | None:
        """What 95 of 100 stay below."""
        return sample_quantile(self.measurements, 0.95) if self.measurements else None


@frozen
class VoiceMetrics:
    """Figures of one conversation.

    Attributes:
        duration: until the last of them was silent.
        time_to_first_audio: until the agent was heard for the first time; None if it never was.
        latency: of the answers to the user's turns.
        interaction: who interrupted, yielded and ignored what; see :class:`InteractionMetrics`.
        user_talk, agent_talk: seconds in which each spoke.
        talk_ratio: the agent's share of the time in which anybody spoke; None if nobody did.
        silence: seconds in which nobody spoke, between the first and the last sound, without those in which a line of
            the user was not ready: a person would have spoken.
        longest_silence: the longest such time.
        long_silences: how many lasted longer than :data:`DEAD_AIR`.
        overlap: seconds in which both spoke.
        words_per_minute: of the agent, over the segments that have a transcript and were not cut off; None without any.
        word_error_rate: of the agent's sound against its own transcript: words that speech to text has understood in
            another way, has left out or has added, for each word of the transcripts, over all segments that were
            recognised and not cut off. None where none was, or nobody asked.
    """

    duration: float
    time_to_first_audio: float | None
    latency: LatencyMetrics
    interaction: InteractionMetrics
    user_talk: float
    agent_talk: float
    talk_ratio: float | None
    silence: float
    longest_silence: float
    long_silences: int
    overlap: float
    words_per_minute: float | None
    word_error_rate: float | None = None


def voice_metrics(segments: Iterable[AudioSegment], delays: Sequence[tuple[float, float]] = ()) -> VoiceMetrics:
    """The figures of a conversation.

    Args:
        segments: of both, in any order.
        delays: from when to when lines of the user were not ready, so that it could not speak yet.
    """
    spoken = sorted(segments, key=lambda item: item.start_time)
    users = joined((item.start_time, item.end_time) for item in spoken if item.speaker == "user")
    agents = joined((item.start_time, item.end_time) for item in spoken if item.speaker == "agent")
    both = joined([*users, *agents])
    silent = [(before[1], after[0]) for before, after in pairwise(both)]
    pauses = [max(0.0, end - start - overlap([(start, end)], delays)) for start, end in silent]
    user_talk, agent_talk = (sum(end - start for start, end in part) for part in (users, agents))
    interaction = interaction_metrics(spoken)
    return VoiceMetrics(
        duration=both[-1][1] if both else 0.0,
        time_to_first_audio=agents[0][0] if agents else None,
        latency=LatencyMetrics(
            measurements=interaction.response_latencies,
            time_to_first_byte=next(iter(interaction.response_latencies), None),
            interrupt_response_time=next(iter(interaction.yield_latencies), None),
        ),
        interaction=interaction,
        user_talk=user_talk,
        agent_talk=agent_talk,
        talk_ratio=agent_talk / (user_talk + agent_talk) if user_talk + agent_talk else None,
        silence=sum(pauses),
        longest_silence=max(pauses, default=0.0),
        long_silences=sum(pause > DEAD_AIR for pause in pauses),
        overlap=overlap(users, agents),
        words_per_minute=_words_per_minute(spoken),
        word_error_rate=pooled_word_error_rate(
            (item.transcript, item.recognised)
            for item in spoken
            if item.speaker == "agent"
            and item.transcript
            and item.recognised is not None
            and not item.transcript_truncated
        ),
    )


def _words_per_minute(segments: Sequence[AudioSegment]) -> float | None:
    said = [item for item in segments if item.speaker == "agent" and item.transcript and not item.transcript_truncated]
    seconds = sum(item.duration for item in said)
    return 60 * sum(len(words_of(item.transcript or "")) for item in said) / seconds if seconds else None


def word_error_rate(expected: str, found: str) -> float:
    """Words that have to be changed, left out or put in, for each word that was expected; 0 for the same words.

    Letters, digits and apostrophes make words; case, accents' form and punctuation do not count. Source: V. I.
    Levenshtein, Soviet Physics Doklady 10 (1966), over words.

    Args:
        expected: what was said.
        found: what was understood.
    """
    before, after = words_of(expected), words_of(found)
    if not before:
        return float(len(after) > 0)
    return _changes(before, after) / len(before)


def pooled_word_error_rate(pairs: Iterable[tuple[str, str]]) -> float | None:
    """The same over several texts: all changes, for all words that were expected. None where no word was.

    Args:
        pairs: what was said, and what was understood.
    """
    changes = words = 0
    for expected, found in pairs:
        before = words_of(expected)
        changes += _changes(before, words_of(found))
        words += len(before)
    return changes / words if words else None


def _changes(before: Sequence[str], after: Sequence[str]) -> int:
    """Levenshtein's distance, over words."""
    row = list(range(len(after) + 1))
    for index, word in enumerate(before, 1):
        diagonal, row[0] = row[0], index
        for place, other in enumerate(after, 1):
            change = diagonal + (word != other)
            diagonal = row[place]
            row[place] = min(diagonal + 1, row[place - 1] + 1, change)
    return row[-1]


def words_of(text: str) -> list[str]:
    """The words of a text, in lower case and in one form of Unicode."""
    return re.findall(r"[\w'’]+", unicodedata.normalize("NFKC", text).casefold())
