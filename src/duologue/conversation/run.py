"""``run``, ``arun`` and ``stream``: one scenario, from first turn to verdict.

All three take what :func:`prepare` takes; they differ in where the conversation takes place and how it is handed back.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any, Literal, ParamSpec

from duologue.context import Context
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.conversation import Conversation
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.loops import belongs_on_shared_loop
from duologue.conversation.result import ScenarioResult, result_of
from duologue.conversation.setup import CheckLike, ScriptStep
from duologue.conversation.threads import ThreadBlocked, in_worker_thread
from duologue.conversation.voice_state import VoiceListeners
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.events import Entry, MessageAdded
from duologue.journal.journal import Journal
from duologue.messages import Message, shown
from duologue.models.scope import Budget
from duologue.settings import effective_config
from duologue.vocabulary import CassetteMode

P = ParamSpec("P")


def prepare(
    name: str,
    description: str,
    agents: Sequence[AgentAdapter] = (),
    max_turns: int | None = None,
    verbose: bool | int | None = None,
    cache_key: str | None = None,
    debug: bool | None = None,
    script: Sequence[ScriptStep] | None = None,
    set_id: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    on_audio_chunk: Callable[[Any], object] | None = None,
    on_voice_event: Callable[[Any], object] | None = None,
    audio_playback: bool = False,
    *,
    checks: Sequence[CheckLike] = (),
    record: str | Path | None = None,
    resume: bool = False,
    seed: int | None = None,
    agent_timeout: float | None = None,
    model_timeout: float | None = None,
    run_timeout: float | None = None,
    batch_run_id: str | None = None,
    context: Context | None = None,
    budget: Budget | None = None,
    cassette: str | Path | None = None,
    cassette_mode: CassetteMode | str = CassetteMode.AUTO,
) -> ScenarioExecutor:
    """A scenario that is ready to be played, and has not begun.

    Args:
        name: what the scenario is called.
        description: the situation; the simulated user is told it, and for the judge it is context.
        agents: who takes part: the agent under test, a simulated user, a judge.
        max_turns: turns after which the conversation ends (default 10).
        verbose: print the conversation as it happens; None prints if a terminal is attached.
        cache_key: remembers on disk what models answer this run, and what functions under ``@duologue.cache()`` do.
        debug: type the user's lines yourself, or Enter for the simulated ones.
        script: steps such as ``duologue.user("…")``; without one, turns go on until something ends them.
        set_id, metadata, batch_run_id: for grouping and finding runs.
        on_audio_chunk: called with each piece of sound of a voice agent that is heard (``duologue.AudioChunk``). What
            goes wrong in it is logged.
        on_voice_event: called with each event of the timeline of a conversation in voice (``duologue.VoiceEvent``).
        audio_playback: play a conversation in voice on this machine, if it can.
        checks: functions ``(state) -> bool | None`` or checks of the catalogue, evaluated by code at the end; any that
            fails, fails the run.
        record: a ``.jsonl`` file for the journal, or a folder that gets one file per run.
        resume: continue the run that the journal at ``record`` holds: nothing that it has an answer to is asked again,
            and a run that had come to its end is only read. Without such a file, the run starts from its beginning; it
            also does when an agent cannot continue (see :attr:`AgentAdapter.resumable`). A run whose own checks,
            steps or judges have changed since is refused; helpers that they call are not looked at.
        seed: every random choice derives from it; None for a fresh one, which the result names.
        agent_timeout, model_timeout: seconds for one call of the agent (60), of a model (120).
        run_timeout: seconds for the whole run; None for no limit.
        context: clock and ids, for tests.
        budget: what the model calls of the simulated user, the judge and the checks may cost.
        cassette: a ``.jsonl`` file, or a folder that gets one per scenario, for the answers of models and of agents
            behind a URL.
        cassette_mode: ``record`` asks and writes, ``replay`` never asks, ``auto`` asks for what is not there yet.

    Raises:
        ConfigurationError: an argument is invalid.
    """
    config = effective_config(
        max_turns=max_turns,
        verbose=verbose,
        cache_key=cache_key,
        debug=debug,
        record=record,
        seed=seed,
        agent_timeout=agent_timeout,
        model_timeout=model_timeout,
        run_timeout=run_timeout,
    )
    if resume and (config.record is None or Path(config.record).suffix != ".jsonl"):
        raise ConfigurationError(
            "resume=True needs the journal file of the run, such as record='refund.jsonl'; "
            f"found record={config.record!r}"
        )
    listeners = None
    if on_audio_chunk is not None or on_voice_event is not None or audio_playback:
        listeners = VoiceListeners(
            on_audio_chunk=on_audio_chunk, on_voice_event=on_voice_event, audio_playback=audio_playback
        )
    return ScenarioExecutor(
        name,
        description,
        agents,
        script,
        set_id=set_id,
        metadata=metadata,
        checks=checks,
        batch_run_id=batch_run_id,
        config=config,
        context=context,
        budget=budget,
        cassette=cassette,
        cassette_mode=cassette_mode,
        resume=resume,
        voice=listeners,
    )


_RETURNS = """

    Takes what :func:`prepare` takes.

    Returns:
        The result. Its verdict is pass, fail or undecided.

    Raises:
        AssertionError: an assertion in a step failed; the run is recorded as a fail.
        RunError: the agent, the simulated user, the judge or a check broke; ``error.result`` has what there is.
        ConfigurationError: what was asked for cannot be done.
    """


def _playing(
    preparation: Callable[P, ScenarioExecutor],
    play: Callable[[ScenarioExecutor], Awaitable[ScenarioResult]],
    name: str,
    doc: str,
) -> Callable[P, Coroutine[Any, Any, ScenarioResult]]:
    """A coroutine function with the parameters of ``preparation``."""

    @functools.wraps(preparation)
    async def played(*args: P.args, **kwargs: P.kwargs) -> ScenarioResult:
        return await play(_prepared(preparation, name, args, kwargs))

    _presented(played, name, doc + _RETURNS, "ScenarioResult")
    return played


def _prepared(
    preparation: Callable[..., ScenarioExecutor], name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> ScenarioExecutor:
    """What the preparation makes of these arguments; arguments that it does not take are errors of ``name``."""
    try:
        return preparation(*args, **kwargs)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise  # it was called, and something in it is wrong
        from difflib import get_close_matches

        known = signature(preparation).parameters
        unknown = next((given for given in kwargs if given not in known), "")
        meant = get_close_matches(unknown, known, 1)
        hint = f". Did you mean {meant[0]!r}?" if meant else ""
        raise TypeError(str(error).replace(f"{preparation.__name__}()", f"{name}()") + hint) from None


def _presented(function: Callable[..., object], name: str, doc: str, returns: str) -> None:
    """Have it seen as a function of that name, with the parameters of :func:`prepare` and what it returns itself."""
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    function.__annotations__ = {**prepare.__annotations__, "return": returns}
    vars(function)["__signature__"] = signature(prepare).replace(return_annotation=returns)


async def _in_thread(executor: ScenarioExecutor) -> ScenarioResult:
    setup = executor.setup
    functions = [getattr(item, "function", item) for item in (*setup.script, *setup.checks)]
    shared = belongs_on_shared_loop(setup.agents, functions)
    repeatable = shared and not setup.resume
    try:
        result = await in_worker_thread(executor.perform, executor.give_up, repeatable=repeatable, shared=shared)
    except ThreadBlocked as blocked:
        if repeatable:
            executor = await executor.start_again(blocked.error)
            result = await in_worker_thread(executor.perform, executor.give_up, alone=True)
        else:
            result = await executor.give_up(blocked.error)
    if executor.failure is not None:
        raise executor.failure
    return result


arun = _playing(
    prepare,
    ScenarioExecutor.run,
    "arun",
    "Rehearse a scenario on the caller's event loop: thousands at once, without a thread for any of them.",
)

run = _playing(
    prepare,
    _in_thread,
    "run",
    """Rehearse a scenario in a worker thread, so that agents that block do not hold up other runs.

    Agents whose code awaits are called on one event loop of the process, so that a client that is made once in a module
    works in every run; others get a thread for each run. Objects that belong to the caller's own loop, such as a client
    that a fixture has opened, need :func:`arun`. Cancelling the wait cancels the run.""",
)


@frozen
class StreamChunk:
    """A piece of a running conversation.

    Attributes:
        turn: number of the turn, from 0.
        role: role of the message that it belongs to; None on the last chunk.
        agent: name of the participant that speaks; None for lines of the script.
        delta: text that is new; '' where the chunk carries something else.
        message: the whole message, on the chunk that completes it.
        finish_reason: ``message`` when a message is complete, ``run`` on the last chunk, None for a piece of text.
        result: the run as it was then, made when it is first looked at; on the last chunk, the result.
    """

    turn: int
    role: str | None
    result: ScenarioResult
    agent: str | None = None
    delta: str = ""
    message: Message | None = None
    finish_reason: Literal["message", "run"] | None = None


class _Chunk(StreamChunk):
    """A chunk whose result is made when it is asked for: made for each piece of text, it would cost more than the run.

    Args:
        journal: of the run.
        events: how many events it had then.
        values: all other fields.
    """

    __qualname__ = "StreamChunk"

    def __init__(self, journal: Journal, events: int, **values: object) -> None:
        self.__dict__.update(values, _then=(journal, events))

    def __getattr__(self, name: str) -> ScenarioResult:
        then = self.__dict__.pop("_then", None) if name == "result" else None
        if then is None:
            raise AttributeError(f"'{type(self).__qualname__}' has no attribute '{name}'", name=name, obj=self)
        journal, events = then
        made = self.__dict__["result"] = result_of(journal.view_after(events))
        return made

    def __reduce__(self) -> tuple[Callable[[], StreamChunk], tuple[()]]:
        return functools.partial(StreamChunk, **{item.name: getattr(self, item.name) for item in fields(self)}), ()


async def chunks_of(executor: ScenarioExecutor) -> AsyncGenerator[StreamChunk]:
    """Play the scenario and yield what happens. Leaving the iteration early cancels the run."""
    queue: asyncio.Queue[StreamChunk | None] = asyncio.Queue()

    def on_delta(conversation: Conversation, index: int, text: str) -> None:
        queue.put_nowait(
            _Chunk(
                conversation.journal,
                len(conversation.journal.entries),
                turn=conversation.view.turn,
                role="assistant",
                agent=conversation.agents[index].name,
                delta=text,
            )
        )

    def on_entry(entry: Entry) -> None:
        if isinstance(entry.event, MessageAdded):
            queue.put_nowait(_message_chunk(executor, entry.seq, entry.event))

    executor.on_delta = on_delta
    executor.listeners = (*executor.listeners, on_entry)
    task = asyncio.get_running_loop().create_task(executor.run())
    task.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (chunk := await queue.get()) is not None:
            yield chunk
        result = await task
        yield StreamChunk(turn=executor.state.current_turn, role=None, finish_reason="run", result=result)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _message_chunk(executor: ScenarioExecutor, seq: int, event: MessageAdded) -> StreamChunk:
    return _Chunk(
        executor.journal,
        seq + 1,  # an answer of several messages comes in one transition
        turn=event.turn,
        role=event.message["role"],
        agent=None if event.author is None else executor.agents[event.author].name,
        message=shown(event.message),
        finish_reason="message",
    )


def _streaming(preparation: Callable[P, ScenarioExecutor]) -> Callable[P, AsyncIterator[StreamChunk]]:
    @functools.wraps(preparation)
    def streamed(*args: P.args, **kwargs: P.kwargs) -> AsyncIterator[StreamChunk]:
        return chunks_of(_prepared(preparation, "stream", args, kwargs))

    doc = """Rehearse a scenario and hand the conversation out while it happens.

    Takes what :func:`prepare` takes. Runs on the caller's event loop; leaving the iteration early cancels the run.

    Yields:
        A :class:`StreamChunk` for each piece of text, each message, and one for the end, which carries the result.

    Raises:
        What :func:`arun` raises, after the chunks until then.
    """
    _presented(streamed, "stream", doc, "AsyncIterator[StreamChunk]")
    return streamed


stream = _streaming(prepare)
