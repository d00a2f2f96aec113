"""Reads what was heard in a run from its journal, and says its figures as people read them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING

from duologue.journal.artifacts import MEDIA
from duologue.journal.journal import RunView
from duologue.stats.quantiles import sample_quantile
from duologue.suites.results.run import MediaResult, RunResult
from duologue.suites.results.voice import RECORDING, EventResult, SegmentResult, VoiceResult

if TYPE_CHECKING:
    from duologue.voice.notes import VoiceRun
    from duologue.voice.timeline import AudioSegment


def voice_result(view: RunView) -> tuple[VoiceResult, MediaResult | None] | None:
    """What was heard in a run, and its recording; None if it was played in text."""
    from duologue.voice.notes import voice_run

    run = voice_run(view)
    if run is None:  # notes of somebody else's package
        return None
    interaction = run.metrics.interaction
    found = VoiceResult(
        segments=tuple(_segment(segment) for segment in run.segments),
        events=tuple(EventResult(**asdict(event)) for event in run.events),
        figures=figures_of(run),
        response_latencies=tuple(round(value, 4) for value in interaction.response_latencies),
        yield_latencies=tuple(round(value, 4) for value in interaction.yield_latencies),
        complete=run.kept is not None,
    )
    return found, _recording(run)


def figures_of(run: VoiceRun) -> dict[str, float | None]:
    """The figures of a conversation, by name. Times are seconds.

    Each is defined in :mod:`duologue.voice.metrics` or in :mod:`duologue.voice.interaction`.
    """
    metrics = run.metrics
    panel = metrics.interaction
    return {
        name: value if value is None else round(value, 4)
        for name, value in {
            "duration": metrics.duration,
            "time_to_first_audio": metrics.time_to_first_audio,
            "response_latency_avg": metrics.latency.avg,
            "response_latency_p50": metrics.latency.p50,
            "response_latency_p95": metrics.latency.p95,
            "response_rate": panel.response_rate,
            "yield_latency": panel.yield_latency,
            "yield_rate": panel.yield_rate,
            "turns": panel.turns,
            "interruptions": panel.interruptions,
            "agent_interruptions": panel.agent_interruptions,
            "agent_interruption_rate": panel.agent_interruption_rate,
            "backchannel_selectivity": panel.backchannel_selectivity,
            "vocal_tic_selectivity": panel.vocal_tic_selectivity,
            "non_directed_selectivity": panel.non_directed_selectivity,
            "user_talk": metrics.user_talk,
            "agent_talk": metrics.agent_talk,
            "talk_ratio": metrics.talk_ratio,
            "silence": metrics.silence,
            "longest_silence": metrics.longest_silence,
            "long_silences": metrics.long_silences,
            "overlap": metrics.overlap,
            "words_per_minute": metrics.words_per_minute,
            "word_error_rate": metrics.word_error_rate,
            **({"own_lateness": run.own_lateness} if run.own_lateness else {}),
        }.items()
    }


def voice_line(run: RunResult) -> str:
    """The figures of a run as people read them: ``answers after 0.8 s (p95 1.4 s) · …``; '' for one in text."""
    if run.voice is None:
        return ""
    return " · ".join(_told(run.voice.figures))


def voice_lines(runs: Iterable[RunResult]) -> str:
    """The figures of several runs as one line, latencies over all of their answers; '' where all were in text."""
    found = [run.voice for run in runs if run.voice is not None]
    if not found:
        return ""
    latencies = [value for item in found for value in item.response_latencies]
    yields = [value for item in found for value in item.yield_latencies]
    pooled: dict[str, float | None] = {
        "duration": sum(item.figures.get("duration") or 0.0 for item in found),
        "response_latency_p50": sample_quantile(latencies, 0.5) if latencies else None,
        "response_latency_p95": sample_quantile(latencies, 0.95) if latencies else None,
        "yield_latency": fmean(yields) if yields else None,
        **{
            name: sum(item.figures.get(name) or 0.0 for item in found)
            for name in ("interruptions", "agent_interruptions", "overlap", "turns")
        },
        "longest_silence": max((item.figures.get("longest_silence") or 0.0 for item in found), default=0.0),
        "word_error_rate": _mean(item.figures.get("word_error_rate") for item in found),
        "own_lateness": max((item.figures.get("own_lateness") or 0.0 for item in found), default=0.0),
    }
    return " · ".join(_told(pooled))


def _told(figures: Mapping[str, float | None]) -> Iterator[str]:
    def known(name: str) -> float:
        return figures.get(name) or 0.0

    yield f"{known('duration'):.0f} s of voice"
    p50, p95 = figures.get("response_latency_p50"), figures.get("response_latency_p95")
    if p50 is not None and p95 is not None:
        yield f"answers after {p50:.2f} s (p95 {p95:.2f} s)"
    elif known("turns"):
        yield "no turn was answered"
    if known("interruptions"):
        stopped = figures.get("yield_latency")
        told = f"silent after {stopped:.2f} s" if stopped is not None else "did not stop in time"
        count = int(known("interruptions"))
        yield f"{count} {'interruption' if count == 1 else 'interruptions'}: {told}"
    if known("agent_interruptions"):
        yield f"interrupts the user {int(known('agent_interruptions'))}×"
    if known("overlap") >= _SHOWN:
        yield f"both speak for {known('overlap'):.1f} s"
    if known("longest_silence") >= _SHOWN:
        yield f"longest silence {known('longest_silence'):.1f} s"
    if (errors := figures.get("word_error_rate")) is not None:
        yield f"word error rate {100 * errors:.1f}%"
    if known("own_lateness"):
        yield f"this machine was up to {known('own_lateness'):.2f} s late"


_SHOWN = 0.1
"""Seconds from which overlap and silence are worth a word."""


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _segment(segment: AudioSegment) -> SegmentResult:
    return SegmentResult(
        speaker=segment.speaker,
        start=segment.start_time,
        end=segment.end_time,
        transcript=segment.transcript,
        truncated=segment.transcript_truncated,
        purpose=segment.purpose.value,
        recognised=segment.recognised,
        words=tuple({"text": word.text, "start": word.start, "end": word.end} for word in segment.words),
    )


def _recording(run: VoiceRun) -> MediaResult | None:
    """Where the sound is, as results name it."""
    kept = run.kept
    if kept is not None:
        return MediaResult(
            type="audio",
            mime_type=kept.mime_type,
            message_id=RECORDING,
            part=0,
            size_bytes=kept.size,
            duration=kept.duration,
            path=f"{MEDIA}/{kept.artifact.name}",
        )
    if run.file is None or "/" in run.file:  # kept in memory, or elsewhere
        return None
    return MediaResult(type="audio", mime_type="audio/wav", message_id=RECORDING, part=0, path=f"{MEDIA}/{run.file}")
