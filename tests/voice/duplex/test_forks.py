"""Calls in processes that were forked: while others make calls, hold locks, and have loaded models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FAKES = str(Path(__file__).parents[2] / "fakes")
SCRIPT = """
import asyncio
import faulthandler
import os
import sys
import threading

sys.path.insert(0, {fakes!r})
import duologue
from duologue.voice import embedded_speech
from duologue.voice.duplex import threads
from duologue.voice.incoming import AgentWords
from voice_agents import AnsweringAgent, tone


async def say(text, voice):
    return tone(0.5).data


class Caller(duologue.ScriptedUser):
    voice = "test/low"


def call(agent):
    steps = [duologue.proceed(1), duologue.succeed()]
    return asyncio.run(duologue.arun("a", "b", [Caller(["Hello?"]), agent], script=steps)).success


def forked(work):
    child = os.fork()
    if not child:
        faulthandler.dump_traceback_later({seconds}, exit=True)
        os._exit(0 if work() else 1)
    return child


def ended(child):
    assert os.waitpid(child, 0)[1] == 0


def spoken():
    return embedded_speech._thread("tts").submit(str, "spoken").result({seconds}) == "spoken"


duologue.register_tts_provider("test", say)
answers = [[AgentWords(text="Hi."), tone(1.0)]]
agent = AnsweringAgent(answers)
assert call(agent)
assert spoken()
held, over = threading.Event(), threading.Event()


def holds():
    with threads._lock, embedded_speech._loading:
        held.set()
        over.wait()


holder = threading.Thread(target=holds)
holder.start()
held.wait()
ended(forked(lambda: call(agent)))
ended(forked(spoken))
ended(forked(lambda: embedded_speech._once("tts", "any", str) == "any"))
over.set()
holder.join()


class Forks(AnsweringAgent):
    child = 0

    async def exchange(self, frame, at):
        if at > 1.0 and not self.child:
            self.child = forked(elsewhere)
        return await super().exchange(frame, at)


def elsewhere():
    found = []
    thread = threading.Thread(target=lambda: found.append(call(AnsweringAgent(answers))))
    thread.start()
    thread.join()
    return found == [True]


forking = Forks(answers)
assert call(forking)
ended(forking.child)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_makes_calls_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "forks.py").write_text(SCRIPT.format(fakes=FAKES, seconds=60))
    done = subprocess.run(
        [sys.executable, str(tmp_path / "forks.py")], check=False, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
