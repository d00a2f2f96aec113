"""How an agent keeps to the rules of a spoken conversation: when it answers, stops and interrupts, what it ignores.

The panel follows tau-voice (arXiv 2603.13686; definitions and windows in ``docs/interaction-metrics.md`` of
tau2-bench), in continuous time in place of steps of 200 ms. Rates are None where nothing of that sort took place.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from duologue.frozen import frozen
from duologue.voice.timeline import AT_ONCE_SECONDS, AudioSegment, SpeechPurpose


@frozen
class Windows:
    """Seconds within which something counts.

    Attributes:
        turn_yield: an agent that stops within it after a user has interrupted has yielded.
        other_yield: one that stops within it after a sound that was not for it has been misled.
        other_response: one that speaks within it after such a sound has been misled, too.
    """

    turn_yield: float = 2.0
    other_yield: float = 1.0
    other_response: float = 2.0


@frozen
class InteractionMetrics:
    """The panel.

    Attributes:
        response_latency: L_R, seconds from the end of a turn of the user to the agent's answer, on average.
        yield_latency: L_Y, seconds from the beginning of an interruption until the agent is silent, on average; 0 for
            one after which nothing of the agent was heard, because its transport told it to stop.
        response_rate: R_R, share of the turns that were answered before the user had to speak again. Turns count that
            ended while the agent was silent, unless nobody spoke after them.
        yield_rate: R_Y, share of the interruptions after which the agent fell silent in time.
        agent_interruption_rate: I_A, how often the agent began to speak while the user spoke, for each of these turns.
        backchannel_selectivity, vocal_tic_selectivity, non_directed_selectivity: S_BC, S_VT, S_ND, share of such
            sounds that the agent rightly ignored: it kept speaking, or kept silent.
        turns, interruptions, agent_interruptions, backchannels, vocal_tics, non_directed: how many there were.
        response_latencies, yield_latencies: all of them.
    """

    response_latency: float | None
    yield_latency: float | None
    response_rate: float | None
    yield_rate: float | None
    agent_interruption_rate: float | None
    backchannel_selectivity: float | None
    vocal_tic_selectivity: float | None
    non_directed_selectivity: float | None
    turns: int
    interruptions: int
    agent_interruptions: int
    backchannels: int
    vocal_tics: int
    non_directed: int
    response_latencies: Sequence[float] = ()
    yield_latencies: Sequence[float] = ()


_NOT_FOR_IT = (SpeechPurpose.BACKCHANNEL, SpeechPurpose.VOCAL_TIC, SpeechPurpose.NON_DIRECTED)


def interaction_metrics(segments: Iterable[AudioSegment], windows: Windows | None = None) -> InteractionMetrics:
    """The panel of one conversation.

    Args:
        segments: of both, in any order.
        windows: None for those of tau-voice.
    """
    return pooled_metrics([segments], windows)


def pooled_metrics(
    conversations: Iterable[Iterable[AudioSegment]], windows: Windows | None = None
) -> InteractionMetrics:
    """The panel of several conversations: over all turns and sounds, not over the panels of each.

    Args:
        conversations: the segments of each.
        windows: None for those of tau-voice.
    """
    chosen = windows or Windows()
    found = _Found([], [], [], [], {purpose: [] for purpose in _NOT_FOR_IT})
    for segments in conversations:
        _observe(found, list(segments), chosen)
    ignored = found.ignored
    turns = len(found.answered)
    return InteractionMetrics(
        response_latency=_mean(found.response_latencies),
        yield_latency=_mean(found.yield_latencies),
        response_rate=_share(found.answered),
        yield_rate=_share(found.yielded),
        agent_interruption_rate=found.agent_interruptions / turns if turns else None,
        backchannel_selectivity=_share(ignored[SpeechPurpose.BACKCHANNEL]),
        vocal_tic_selectivity=_share(ignored[SpeechPurpose.VOCAL_TIC]),
        non_directed_selectivity=_share(ignored[SpeechPurpose.NON_DIRECTED]),
        turns=turns,
        interruptions=len(found.yielded),
        agent_interruptions=found.agent_interruptions,
        backchannels=len(ignored[SpeechPurpose.BACKCHANNEL]),
        vocal_tics=len(ignored[SpeechPurpose.VOCAL_TIC]),
        non_directed=len(ignored[SpeechPurpose.NON_DIRECTED]),
        response_latencies=tuple(found.response_latencies),
        yield_latencies=tuple(found.yield_latencies),
    )


@dataclass
class _Found:
    """What was observed.

    Attributes:
        answered: of each turn, whether it was.
        yielded: of each interruption, whether the agent did.
        ignored: of each sound that was not for the agent, whether it did.
    """

    answered: list[bool]
    response_latencies: list[float]
    yielded: list[bool]
    yield_latencies: list[float]
    ignored: dict[SpeechPurpose, list[bool]]
    agent_interruptions: int = 0


def _observe(found: _Found, segments: Sequence[AudioSegment], windows: Windows) -> None:
    users = sorted((item for item in segments if item.speaker == "user"), key=lambda item: item.start_time)
    agents = sorted((item for item in segments if item.speaker == "agent"), key=lambda item: item.start_time)
    starts = [item.start_time for item in agents]
    _responses(found, users, agents, starts)
    for user in users:
        speaking = _speaking(agents, user.start_time) or _cut_off(agents, user.start_time)
        if user.purpose is SpeechPurpose.TURN:
            if speaking is not None:
                latency = max(0.0, speaking.end_time - user.start_time)
                found.yielded.append(latency < windows.turn_yield)
                found.yield_latencies += [latency] if latency < windows.turn_yield else []
        elif speaking is not None:
            found.ignored[user.purpose].append(speaking.end_time - user.start_time >= windows.other_yield)
        elif user.purpose is not SpeechPurpose.BACKCHANNEL:  # nobody gives a sign of listening to silence
            first = bisect_left(starts, user.start_time)
            answered = first < len(starts) and starts[first] <= user.end_time + windows.other_response
            found.ignored[user.purpose].append(not answered)
    found.agent_interruptions += sum(_speaking(users, agent.start_time) is not None for agent in agents)


def _responses(
    found: _Found, users: Sequence[AudioSegment], agents: Sequence[AudioSegment], starts: Sequence[float]
) -> None:
    turns = [user for user in users if user.purpose is SpeechPurpose.TURN and _speaking(agents, user.end_time) is None]
    for index, turn in enumerate(turns):
        place = bisect_left(starts, turn.end_time)
        answer = starts[place] if place < len(starts) else None
        again = next((later.start_time for later in turns[index + 1 :] if later.start_time >= turn.end_time), None)
        if answer is None and again is None:
            continue
        answered = answer is not None and (again is None or answer <= again)
        found.answered.append(answered)
        found.response_latencies += [answer - turn.end_time] if answered and answer is not None else []


def _speaking(segments: Sequence[AudioSegment], at: float) -> AudioSegment | None:
    """The segment in which somebody speaks at a time, who has begun before."""
    return next((item for item in segments if item.start_time < at < item.end_time), None)


def _cut_off(segments: Sequence[AudioSegment], at: float) -> AudioSegment | None:
    """The segment that was cut off at a time: by somebody who was told to stop, and was not heard any more."""
    cut = (item for item in segments if item.transcript_truncated and item.start_time < at)
    return next((item for item in cut if abs(at - item.end_time) <= AT_ONCE_SECONDS), None)


def _share(values: Sequence[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
