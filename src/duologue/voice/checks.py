"""Checks of conversations in voice: how fast the agent answers, stops and speaks, and whether it can be understood.

They read the timeline in the journal. A conversation in text is skipped, and so is one in which nothing of that sort
took place: neither can pass. What the figures mean is defined in :mod:`duologue.voice.metrics` and
:mod:`duologue.voice.interaction`. Times are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from duologue.checks.base import CheckType, Finding, broken, finding, skipped
from duologue.checks.registry import check
from duologue.checks.subject import Subject, listed
from duologue.checks.text import Texts
from duologue.messages import text_of
from duologue.models.resources import Resources
from duologue.voice.interaction import Windows, interaction_metrics
from duologue.voice.metrics import pooled_word_error_rate, words_of
from duologue.voice.notes import SpeechRecognised, VoiceRun, voice_run
from duologue.voice.recognition import get_stt_provider, transcribe
from duologue.voice.timeline import too_late

Seconds = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]

_IN_TEXT = "nothing was heard: the conversation is in text"


class VoiceCheck(CheckType):
    """Base of checks that read the timeline. One that failed may be excused where this machine was late."""

    def look(self, subject: Subject, resources: Resources) -> Finding:
        run = voice_run(subject.input.state.view)
        if run is None or not run.segments:
            return skipped(_IN_TEXT)
        found = self.listen(run)
        late = run.own_lateness
        if found.score is None or found.score >= 1 or not late or not self._is_excused(run, late):
            return found
        return broken(f"{found.explanation}; {too_late(late)}", **found.details, own_lateness=late)

    def listen(self, run: VoiceRun) -> Finding:
        """The finding for what was heard so far."""
        raise NotImplementedError

    def tolerant(self, seconds: float) -> Self | None:
        """The same check with that many seconds more in each of its limits; None where its figure is no time."""
        return None

    def _is_excused(self, run: VoiceRun, late: float) -> bool:
        """Whether it may have failed only because this machine was late: in sending, and in reading the answer."""
        other = self.tolerant(2 * late)
        return other is not None and other.listen(run).score == 1


@check("voice_latency", family="Voice", whole=True)
class VoiceLatency(VoiceCheck):
    """The agent answers fast enough: from the end of the user's turn to the first sound of the agent, in seconds.

    The score is the limit divided by what was measured, of the limit that is exceeded most.
    """

    max_first: Seconds | None = None
    """Maximum for the first answer."""
    max_p50: Seconds | None = None
    """Maximum for the median of all answers."""
    max_p95: Seconds | None = None
    """Maximum for what 95 of 100 answers stay below."""
    max_seconds: Seconds | None = None
    """Maximum for every answer."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if all(getattr(self, name) is None for name in type(self).model_fields):
            raise ValueError(" or ".join(type(self).model_fields))
        return self

    def tolerant(self, seconds: float) -> Self:
        """With more time for each answer."""
        given = {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
        return self.model_copy(update={name: value + seconds for name, value in given.items()})

    def listen(self, run: VoiceRun) -> Finding:
        latency = run.latency
        if not latency.measurements:
            return _nothing_answered(run)
        limits = {
            "the first answer came": (latency.time_to_first_byte, self.max_first),
            "half of the answers came": (latency.p50, self.max_p50),
            "95 of 100 answers came": (latency.p95, self.max_p95),
            "the slowest answer came": (max(latency.measurements), self.max_seconds),
        }
        return _within(limits, "after", latencies=list(latency.measurements))


def _nothing_answered(run: VoiceRun) -> Finding:
    if run.metrics.interaction.turns:
        return finding(False, "the agent answered no turn of the user")
    return skipped("the user has said nothing that was to be answered")


def _within(limits: Mapping[str, tuple[float | None, float | None]], word: str, **details: Any) -> Finding:
    """Compare values with their limits."""
    asked = {name: (value, most) for name, (value, most) in limits.items() if most is not None and value is not None}
    told = "; ".join(
        f"{name} {word} {value:.2f} s, at most {most:g} s allowed" for name, (value, most) in asked.items()
    )
    score = min((1.0 if value <= most else most / value for value, most in asked.values()), default=1.0)
    return finding(score, told, **details)


@check("voice_response_rate", family="Voice", whole=True)
class VoiceResponseRate(VoiceCheck):
    """The agent answers the user's turns before the user has to speak again.

    The score is the share of turns that were answered, as a share of ``min_rate``.
    """

    min_rate: Share = 1.0
    """Smallest share of turns that must be answered, 0 to 1."""

    def tolerant(self, seconds: float) -> Self:
        """Whatever was answered: answers may have come too late."""
        return self.model_copy(update={"min_rate": 0.0})

    def listen(self, run: VoiceRun) -> Finding:
        panel = run.metrics.interaction
        if panel.response_rate is None:
            return skipped("the user has said nothing that was to be answered")
        told = f"{panel.response_rate:.0%} of {panel.turns} turns were answered, at least {self.min_rate:.0%} expected"
        return _share(panel.response_rate, self.min_rate, told)


def _share(share: float, least: float, told: str, **details: Any) -> Finding:
    """Pass where a share is large enough; the score is the share of what was expected."""
    return finding(1.0 if share >= least else share / least, told, share=share, **details)


@check("voice_yield", family="Voice", whole=True)
class VoiceYield(VoiceCheck):
    """The agent stops speaking soon after the user has interrupted it.

    The score is the share of interruptions after which it did, as a share of ``min_rate``.
    """

    max_seconds: Annotated[float, Field(gt=0)] = 2.0
    """Seconds from the beginning of the interruption within which the agent must be silent."""
    min_rate: Share = 1.0
    """Smallest share of interruptions after which it must be, 0 to 1."""

    def tolerant(self, seconds: float) -> Self:
        """With more time to fall silent."""
        return self.model_copy(update={"max_seconds": self.max_seconds + seconds})

    def listen(self, run: VoiceRun) -> Finding:
        panel = interaction_metrics(run.segments, Windows(turn_yield=self.max_seconds))
        if panel.yield_rate is None:
            return skipped("the user has not interrupted the agent")
        told = (
            f"the agent fell silent within {self.max_seconds:g} s after {panel.yield_rate:.0%} of "
            f"{panel.interruptions} interruptions, at least {self.min_rate:.0%} expected"
        )
        return _share(panel.yield_rate, self.min_rate, told, yield_latencies=list(panel.yield_latencies))


@check("voice_interruptions", aliases=["no_agent_interruptions"], family="Voice", whole=True)
class VoiceInterruptions(VoiceCheck):
    """The agent does not begin to speak while the user speaks, or not more often than this."""

    max_count: Annotated[int, Field(ge=0)] = 0
    """How often it may."""

    def tolerant(self, seconds: float) -> Self:
        """As often as it likes: what it heard came late."""
        return self.model_copy(update={"max_count": 1_000_000})

    def listen(self, run: VoiceRun) -> Finding:
        count = run.metrics.interaction.agent_interruptions
        told = f"the agent began to speak while the user spoke {count} times, at most {self.max_count} allowed"
        return finding(count <= self.max_count, told, count=count)


@check("voice_dead_air", family="Voice", whole=True)
class VoiceDeadAir(VoiceCheck):
    """Nobody is silent for too long between two times in which somebody speaks."""

    max_seconds: Seconds = 3.0
    """Longest silence."""
    max_share: Share | None = None
    """Largest share of the conversation in which nobody speaks, 0 to 1."""

    def tolerant(self, seconds: float) -> Self:
        """With longer silences."""
        return self.model_copy(update={"max_seconds": self.max_seconds + seconds, "max_share": None})

    def listen(self, run: VoiceRun) -> Finding:
        metrics = run.metrics
        share = metrics.silence / metrics.duration if metrics.duration else 0.0
        told = f"the longest silence lasted {metrics.longest_silence:.2f} s, at most {self.max_seconds:g} s allowed"
        good = metrics.longest_silence <= self.max_seconds
        if self.max_share is not None:
            told += f"; nobody spoke in {share:.0%} of the time, at most {self.max_share:.0%} allowed"
            good = good and share <= self.max_share
        return finding(good, told, longest_silence=metrics.longest_silence, silence=metrics.silence)


@check("voice_overlap", family="Voice", whole=True)
class VoiceOverlap(VoiceCheck):
    """The user and the agent do not speak at once for longer than this, in all."""

    max_seconds: Seconds
    """Seconds in which both may speak."""

    def tolerant(self, seconds: float) -> Self:
        """With more time: frames may have been late whenever both spoke."""
        return self.model_copy(update={"max_seconds": float("inf")})

    def listen(self, run: VoiceRun) -> Finding:
        overlap = run.metrics.overlap
        told = f"both spoke at once for {overlap:.2f} s, at most {self.max_seconds:g} s allowed"
        return finding(overlap <= self.max_seconds, told, overlap=overlap)


class _Range(VoiceCheck):
    """A figure that has to lie between two others."""

    unit: ClassVar[str] = ""
    unknown: ClassVar[str] = "nobody has spoken"
    """Why there may be no figure."""

    min: Annotated[float, Field(ge=0)] | None = None
    """Smallest value."""
    max: Annotated[float, Field(ge=0)] | None = None
    """Largest value."""

    @model_validator(mode="after")
    def _has_a_limit(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("min or max")
        return self

    def figure(self, run: VoiceRun) -> float | None:
        """The figure; None where there is none."""
        raise NotImplementedError

    def listen(self, run: VoiceRun) -> Finding:
        value = self.figure(run)
        if value is None:
            return skipped(self.unknown)
        low, high = self.min, self.max
        wanted = " and ".join(
            [*([f"at least {low:g}"] if low is not None else []), *([f"at most {high:g}"] if high is not None else [])]
        )
        good = (low is None or value >= low) and (high is None or value <= high)
        return finding(good, f"{value:.3g}{self.unit}, {wanted} expected", value=value)


@check("voice_talk_ratio", family="Voice", whole=True)
class VoiceTalkRatio(_Range):
    """The agent's share of the time in which anybody speaks lies between these: 0 to 1."""

    def figure(self, run: VoiceRun) -> float | None:
        """The agent's share."""
        return run.metrics.talk_ratio


@check("voice_speech_rate", family="Voice", whole=True)
class VoiceSpeechRate(_Range):
    """The agent speaks between so many and so many words a minute. People speak about 150."""

    unit: ClassVar[str] = " words a minute"
    unknown: ClassVar[str] = "the words of the agent are not known"

    def figure(self, run: VoiceRun) -> float | None:
        """Words a minute."""
        return run.metrics.words_per_minute


@check("voice_selectivity", family="Voice", whole=True)
class VoiceSelectivity(VoiceCheck):
    """The agent ignores what is not meant for it: signs of listening, coughs, and words to somebody else.

    The score is the smallest of the shares that were rightly ignored, as a share of ``min_rate``.
    """

    min_rate: Share = 1.0
    """Smallest share that must be ignored, 0 to 1, of each of the three kinds."""

    def tolerant(self, seconds: float) -> Self:
        """Whatever was ignored: what counts as an answer to a sound depends on when it came."""
        return self.model_copy(update={"min_rate": 0.0})

    def listen(self, run: VoiceRun) -> Finding:
        panel = run.metrics.interaction
        shares = {
            "signs of listening": panel.backchannel_selectivity,
            "coughs and the like": panel.vocal_tic_selectivity,
            "words to somebody else": panel.non_directed_selectivity,
        }
        known = {name: share for name, share in shares.items() if share is not None}
        if not known:
            return skipped("the user has made no sound that was not meant for the agent")
        told = ", ".join(f"{share:.0%} of {name}" for name, share in known.items())
        return _share(min(known.values()), self.min_rate, f"the agent ignored {told}")


@check("voice_keys", aliases=["voice_dtmf"], family="Voice", whole=True)
class VoiceKeys(VoiceCheck):
    """Keys of a telephone (DTMF) were pressed: by the agent, or by the user so that the agent received them.

    Keys may be pressed one by one, and others before and after them.
    """

    agent: Annotated[str, Field(pattern=r"^[0-9A-D*#]+$")] | None = None
    """Keys that the agent must have pressed, such as ``12#``."""
    user: Annotated[str, Field(pattern=r"^[0-9A-D*#]+$")] | None = None
    """Keys of the user that the agent must have received."""

    @model_validator(mode="after")
    def _has_keys(self) -> Self:
        if self.agent is None and self.user is None:
            raise ValueError("agent or user")
        return self

    def look(self, subject: Subject, resources: Resources) -> Finding:
        run = voice_run(subject.input.state.view)
        return skipped(_IN_TEXT) if run is None else self.listen(run)

    def listen(self, run: VoiceRun) -> Finding:
        pressed = {who: _pressed(run, who) for who in ("agent", "user")}
        wanted = {who: keys for who, keys in (("agent", self.agent), ("user", self.user)) if keys is not None}
        told = "; ".join(
            f"the {who} pressed {pressed[who]!r}, expected {keys!r}"
            if pressed[who]
            else f"the {who} pressed no key, expected {keys!r}"
            for who, keys in wanted.items()
        )
        good = all(keys in pressed[who] for who, keys in wanted.items())
        return finding(good, told, agent=pressed["agent"], user=pressed["user"])


def _pressed(run: VoiceRun, who: str) -> str:
    keys = (event.metadata or {} for event in run.events if event.type == "dtmf")
    text = "".join(str(item.get("keys", "")) for item in keys if item.get("by") == who)
    return text.upper().replace("W", "")  # a W is a pause


@check("voice_accuracy", family="Voice", whole=True)
class VoiceAccuracy(CheckType):
    """The agent can be understood: speech to text hears in its sound what its own transcript says.

    The provider of speech to text is the one that :func:`duologue.voice.set_stt_provider` names. What was cut off is
    left out. The score is 1 minus the word error rate.
    """

    max_word_error_rate: Annotated[float, Field(ge=0)] | None = None
    """Largest share of the words of the transcripts that may be heard in another way, be missing or be added."""
    words: Texts | None = None
    """Words or phrases each of which must be heard somewhere in the agent's sound."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.max_word_error_rate is None and self.words is None:
            raise ValueError("max_word_error_rate or words")
        return self

    async def look(self, subject: Subject, resources: Resources) -> Finding:
        run = voice_run(subject.input.state.view)
        heard = await self._recognised(subject, run.recognised if run else {})
        if not heard:
            return skipped("no message of the agent has a sound that was not cut off")
        rate = pooled_word_error_rate((note.expected, note.text) for note in heard)
        ids = [note.message for note in heard]
        details: dict[str, Any] = {"word_error_rate": rate, "heard": {note.message: note.text for note in heard}}
        missing = [words for words in self.words or () if not any(_says(note.text, words) for note in heard)]
        told = [f"not heard: {listed(missing)}"] if missing else []
        if self.max_word_error_rate is None:
            return finding(not missing, "; ".join(told) or f"heard: {listed(self.words or ())}", ids, **details)
        if rate is None:
            return broken("the agent's messages have a sound and no transcript, so nothing can be compared", **details)
        told.insert(0, f"word error rate {rate:.1%}, at most {self.max_word_error_rate:.1%} allowed")
        good = rate <= self.max_word_error_rate and not missing
        return finding(1.0 if good else max(0.0, min(1 - rate, 0.999)), "; ".join(told), ids, **details)

    async def _recognised(self, subject: Subject, before: Mapping[str, SpeechRecognised]) -> list[SpeechRecognised]:
        """What was heard of each message of the agent; it is noted, so that nothing is recognised twice."""
        from duologue.voice.messages import extract_audio, message_has_audio  # needs numpy

        found: list[SpeechRecognised] = []
        for record in subject.records:
            message = record.message
            if message["role"] != "assistant" or record.cut or not message_has_audio(message):
                continue
            known = before.get(record.message_id)
            if known is None:
                sound = extract_audio(message)
                assert sound is not None
                provider = get_stt_provider()
                text = await transcribe(type(sound)(sound.data), provider)
                known = SpeechRecognised(
                    message=record.message_id,
                    expected=text_of(message),
                    text=text,
                    provider=type(provider).__name__,
                )
                subject.input.scope.note(known)
            found.append(known)
        return found


def _says(text: str, phrase: str) -> bool:
    """Whether the words of a phrase follow each other in a text."""
    said, wanted = words_of(text), words_of(phrase)
    return any(said[place : place + len(wanted)] == wanted for place in range(len(said) - len(wanted) + 1))
