"""The words of a script. Each returns a step: a function of the state that the engine calls when its turn comes.

A script may hold these, and any function ``(state) -> None | ScenarioResult``, sync or async.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from duologue.conversation.result import RunControl, ScenarioResult, ScenarioState
from duologue.conversation.setup import CheckLike, as_check, whole_number
from duologue.conversation.turns import Callback
from duologue.conversation.voice_state import Delivery, InterruptionConfig, SoundEffect, sound_effects
from duologue.errors import ConfigurationError
from duologue.messages import Message

_SHOWN = 40
"""Characters of a fixed line that the name of its step shows."""


class Step(Protocol):
    """A named step of a script."""

    __name__: str

    def __call__(self, state: ScenarioState) -> Awaitable[ScenarioResult | None]:
        """Do what the step says."""
        ...


def message(message: Message) -> Step:
    """Put this message into the conversation; a user's or assistant's takes that role's part in the turn."""
    return _step(f"message({message.get('role')})", lambda executor: executor.message(message))


def user(
    content: str | Message | None = None,
    *,
    voice_style: str | None = None,
    audio_effects: Sequence[SoundEffect] | None = None,
) -> Step:
    """The user says this; without content, the simulated user speaks.

    Args:
        content: what it says.
        voice_style: how a voice says it, such as ``whispering``, where the voice can do that.
        audio_effects: what happens to the sound of this line, such as ``[duologue.effects.phone_quality()]``; None for
            the effects of the simulated user.
    """
    delivery = None
    if voice_style is not None or audio_effects is not None:
        effects = None if audio_effects is None else sound_effects(audio_effects, "user(audio_effects=…)")
        delivery = Delivery(voice_style=voice_style, audio_effects=effects)
    return _step(_called("user", content), lambda executor: executor.user(content, delivery=delivery))


def agent(content: str | Message | None = None, *, wait: bool = True) -> Step:
    """The agent says this; without content, the agent under test is asked.

    With ``wait=False`` it answers in the background; the next step that waits also waits for it.
    """
    return _step(_called("agent", content), lambda executor: executor.agent(content, wait=wait))


def interrupt(
    content: str | Message | None = None,
    *,
    after_words: int | None = None,
    timeout: float = 8.0,
    wait_for_speech_timeout: float | None = None,
) -> Step:
    """The user cuts in: the agent's answer is cut off, what it has said until then stays, and the user speaks at once.

    If no agent turn is in flight, one is started first. An agent that answers all at once has said nothing until then.
    A voice agent is told to stop where its transport can do that, and talked over where not.

    Args:
        content: what the user says; None lets the simulated user speak.
        after_words: how many words the agent may say first; None for its first sign of life.
        timeout: seconds to wait for those words.
        wait_for_speech_timeout: another name for it; of two, it counts.

    An agent that has finished before is not interrupted: a warning and a note in the journal say so.
    """
    seconds = timeout if wait_for_speech_timeout is None else wait_for_speech_timeout
    whole_number(after_words, "interrupt(after_words=…)", "words, or None for the first sign of life")
    return _step(
        _called("interrupt", content),
        lambda control: control.interrupt(content, after_words=after_words, timeout=seconds),
    )


def judge(
    criteria: Sequence[str] | None = None, *, context: str | None = None, additional_context: str | None = None
) -> Step:
    """With criteria: a checkpoint that decides just those. Without: the judge's final verdict.

    ``context`` is more for the judge to know, such as the final state of a database; ``additional_context`` is another
    name for it.
    """
    name = "judge" if criteria is None else f"judge({len(criteria)} criteria)"
    return _step(
        name, lambda executor: executor.judge(criteria, context=context, additional_context=additional_context)
    )


def check(*checks: CheckLike) -> Step:
    """Evaluate checks at this point; all are reported, and any that fails ends the run."""
    names = ", ".join(as_check(item).name for item in checks)
    return _step(f"check({names})", lambda executor: executor.check(*checks))


def proceed(
    turns: int | None = None,
    on_turn: Callback | None = None,
    on_step: Callback | None = None,
    *,
    interruptions: InterruptionConfig | None = None,
) -> Step:
    """Let the conversation continue until something ends it, or for that many turns (the open one is the first).

    ``on_turn(state)`` is called when a new turn begins, ``on_step(state)`` after each participant's part.
    ``interruptions`` says how often the user cuts in while the agent answers; without it, what the simulated user says
    of it (``interrupt_probability``).
    """
    whole_number(turns, "proceed(turns=…)", "turns, or None for no limit but max_turns")
    if interruptions is not None and not isinstance(interruptions, InterruptionConfig):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigurationError(
            f"proceed(interruptions=…): found {interruptions!r}; expected an InterruptionConfig, such as "
            "duologue.InterruptionConfig(probability=0.3)"
        )
    name = "proceed" if turns is None else f"proceed({turns})"
    return _step(name, lambda executor: executor.proceed(turns, on_turn, on_step, interruptions))


def succeed(reasoning: str | None = None) -> Step:
    """End the run as a pass."""
    return _step("succeed", lambda executor: executor.succeed(reasoning))


def fail(reasoning: str | None = None) -> Step:
    """End the run as a fail."""
    return _step("fail", lambda executor: executor.fail(reasoning))


def _step(name: str, play: Callable[[RunControl], Awaitable[ScenarioResult | None]]) -> Step:
    def step(state: ScenarioState) -> Awaitable[ScenarioResult | None]:
        return play(state.executor)

    step.__name__ = step.__qualname__ = name
    return step


def _called(name: str, content: str | Message | None) -> str:
    if content is None:
        return name
    text = content if isinstance(content, str) else str(content.get("content"))
    return f"{name}({text if len(text) <= _SHOWN else text[: _SHOWN - 1] + '…'})"
