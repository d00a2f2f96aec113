"""Participants that hold a connection, answers that are cut off, and users that cut in."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

import duologue
from duologue import AgentAdapter, AgentSession, RunStatus, Termination
from duologue.errors import AgentError, AgentTimeoutError, ArtifactError, ConfigurationError
from duologue.journal.events import AgentCalled
from duologue.journal.notes import NotInterrupted
from duologue.testing import ScriptedAgent, ScriptedUserAgent, context, run_virtual


class Line(AgentSession):
    """A connection that remembers what was done with it."""

    def __init__(self, log, breaks=None):
        self.log = log
        self.breaks = breaks
        self.asked = ""

    async def send(self, input):
        self.log.append("send")
        self.asked = input.last_new_user_message_str()

    async def receive(self):
        self.log.append("receive")
        yield "You said "
        if self.breaks:
            raise self.breaks
        await asyncio.sleep(1)
        yield self.asked

    async def interrupt(self):
        self.log.append("interrupt")

    async def close(self):
        self.log.append("close")


class Connected(AgentAdapter):
    """An agent that is reached over one."""

    def __init__(self, breaks=None, opening=None):
        self.log = []
        self.breaks = breaks
        self.opening = opening

    async def open(self, run):
        self.log.append(f"open {run.participant}")
        if self.opening:
            raise self.opening
        return Line(self.log, self.breaks)

    async def call(self, input):
        raise AssertionError("the session is asked instead")


def prepared(agent, *script, **options):
    agents = [ScriptedUserAgent(["hi", "well"], repeat=True), agent]
    options = {"verbose": False, "context": context(), **options}
    return duologue.prepare("a", "b", agents, script=[*script, duologue.succeed()], **options)


def test_a_session_is_opened_before_the_first_turn_and_closed_after_the_last():
    agent = Connected()
    result = run_virtual(prepared(agent, duologue.proceed(2)).run())
    assert agent.log == ["open 1", "send", "receive", "send", "receive", "close"]
    assert [message["content"] for message in result.messages] == ["hi", "You said hi", "well", "You said well"]


def test_it_is_closed_when_the_agent_breaks_and_what_was_said_stays():
    agent = Connected(breaks=ValueError("line dead"))
    executor = prepared(agent, duologue.proceed(2))
    with pytest.raises(AgentError, match="line dead"):
        run_virtual(executor.run())
    assert agent.log[-1] == "close"
    last = executor.journal.view.records[-1]
    assert (last.message["content"], last.cut) == ("You said ", "error")


async def test_it_is_closed_when_the_run_is_cancelled():
    agent = Connected()
    task = asyncio.create_task(prepared(agent, duologue.proceed(2)).run())
    while "receive" not in agent.log:
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert agent.log[-1] == "close"


def test_one_that_cannot_be_opened_is_an_error_that_names_the_agent():
    executor = prepared(Connected(opening=OSError("no route")), duologue.proceed(2))
    with pytest.raises(AgentError, match=r"\[Connected\] no route"):
        run_virtual(executor.run())
    assert executor.lifecycle.result.status is RunStatus.ERROR


def test_one_that_does_not_close_does_not_hold_the_run():
    class Hangs(Line):
        async def close(self):
            await asyncio.sleep(3600)

    class Agent(Connected):
        async def open(self, run):
            return Hangs(self.log)

    assert run_virtual(prepared(Agent(), duologue.proceed(1)).run()).success


class Talks(AgentAdapter):
    """Streams a word a second, for ever."""

    def __init__(self, words=("I", "was", "just", "about", "to")):
        self.words = words

    async def call(self, input):
        raise AssertionError("it streams")

    async def stream(self, input):
        for word in self.words:
            await asyncio.sleep(1)
            yield f"{word} "
        if len(self.words) > 3:
            await asyncio.sleep(3600)


def records(executor):
    return [(item.message["role"], item.message["content"], item.cut) for item in executor.journal.view.records]


def test_what_was_streamed_before_a_timeout_stays_and_is_marked():
    executor = prepared(Talks(), duologue.proceed(1), agent_timeout=3.5)
    with pytest.raises(AgentTimeoutError):
        run_virtual(executor.run())
    assert records(executor) == [("user", "hi", None), ("assistant", "I was just ", "timeout")]
    result = executor.lifecycle.result
    assert (result.status, result.termination) == (RunStatus.ERROR, Termination.TIMEOUT)


def test_a_user_cuts_in_and_what_was_said_stays():
    executor = prepared(
        Talks(), duologue.user("Tell me."), duologue.interrupt("Stop!", after_words=2), duologue.agent("All right.")
    )
    assert run_virtual(executor.run()).success
    assert records(executor) == [
        ("user", "Tell me.", None),
        ("assistant", "I was ", "interrupted"),
        ("user", "Stop!", None),
        ("assistant", "All right.", None),
    ]
    [called] = [entry.event for entry in executor.journal.entries if isinstance(entry.event, AgentCalled)]
    assert (called.interrupted, called.failed, called.delivered) == (True, False, ("m1",))


def test_a_turn_in_the_background_is_cut_off_too_and_the_simulated_user_speaks():
    executor = prepared(Talks(), duologue.user("Tell me."), duologue.agent(wait=False), duologue.interrupt())
    assert run_virtual(executor.run()).success
    assert records(executor)[1:] == [("assistant", "I ", "interrupted"), ("user", "hi", None)]


def test_an_agent_that_has_finished_is_not_cut_off_and_the_journal_says_so(caplog):
    executor = prepared(Talks(["Yes."]), duologue.user("?"), duologue.interrupt("Hm.", after_words=5))
    assert run_virtual(executor.run()).success
    [noted] = executor.journal.view.notes
    assert (noted.kind, noted.note.after_words, noted.note.words) == ("not_interrupted", 5, 1)
    assert "had finished after 1 words, so that nothing was interrupted" in caplog.text
    assert records(executor)[1:] == [("assistant", "Yes. ", None), ("user", "Hm.", None)]


def test_an_agent_that_says_nothing_is_cut_off_after_the_timeout():
    slow = ScriptedAgent(["too late"], seconds=60)
    executor = prepared(slow, duologue.user("?"), duologue.interrupt("Hello?", timeout=5))
    result = run_virtual(executor.run())
    assert records(executor) == [("user", "?", None), ("user", "Hello?", None)]
    assert result.total_time == pytest.approx(5)


def test_an_interrupted_session_is_told():
    agent = Connected()
    run_virtual(prepared(agent, duologue.user("Well?"), duologue.interrupt("Stop!")).run())
    assert agent.log == ["open 1", "send", "receive", "interrupt", "close"]


@pytest.mark.parametrize("number", [0, -1, True, 1.5, "2"])
def test_numbers_of_words_and_turns_begin_at_one(number):
    with pytest.raises(
        ConfigurationError, match=rf"interrupt\(after_words=…\): found {number!r}; expected a whole number"
    ):
        duologue.interrupt(after_words=number)
    with pytest.raises(ConfigurationError, match=rf"proceed\(turns=…\): found {number!r}; expected a whole number"):
        duologue.proceed(number)


class Recorded(Connected):
    """An agent whose connection has something to note when the run is about to end."""

    def __init__(self, breaks=None, unkept=None):
        super().__init__(breaks)
        self.unkept = unkept

    async def open(self, run):
        agent = self

        class Recording(Line):
            async def conclude(self):
                agent.log.append("conclude")
                if agent.unkept:
                    raise agent.unkept
                run.note(NotInterrupted(after_words=1, words=2))

        return Recording(self.log, self.breaks)


@pytest.mark.parametrize("breaks", [None, ValueError("line dead")])
def test_what_a_session_notes_at_the_end_comes_before_the_last_event(breaks):
    agent = Recorded(breaks)
    executor = prepared(agent, duologue.proceed(1))
    with suppress(AgentError):
        run_virtual(executor.run())
    assert agent.log[-2:] == ["conclude", "close"]
    kinds = [entry.event.type for entry in executor.journal.entries]
    assert kinds[-2:] == ["noted", "run_finished"]


def test_a_session_that_cannot_keep_what_it_has_is_an_error_of_the_run():
    agent = Recorded(unkept=ArtifactError("no space left"))
    executor = prepared(agent, duologue.proceed(1))
    with pytest.raises(ArtifactError, match="no space left"):
        run_virtual(executor.run())
    finished = executor.journal.view.finished
    assert (finished.status, finished.verdict) == (RunStatus.ERROR, None)
    assert agent.log[-2:] == ["conclude", "close"]


def test_of_a_run_that_has_failed_already_the_first_error_counts(caplog):
    agent = Recorded(ValueError("line dead"), ArtifactError("no space left"))
    with pytest.raises(AgentError, match="line dead"):
        run_virtual(prepared(agent, duologue.proceed(1)).run())
    assert "no space left" in caplog.text
