"""A run of five turns that can be killed anywhere: a simulated user, an agent behind a URL with a tool, a judge,
checks.

Run as a program it reads a line of JSON for each run on its standard input, ``[journal, url, counts, kill_at,
torn]``, plays or resumes that run in a child process of its own, and answers with a line: the result, or how the
child died. ``kill_at`` is the write of the journal with which the child kills itself, null for none; ``torn`` is how
many bytes of it are still written.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import duologue
from duologue.agents.http.agent import HttpAgent
from duologue.journal.events import Usage
from duologue.journal.jsonl import JsonlSink, encode_transition
from duologue.models.base import ModelAnswer, ModelRequest
from duologue.models.scripted import ScriptedModel

TURNS = 5


def counted(path: Path, what: str) -> None:
    """Remember across processes that something was asked."""
    with path.open("a") as file:
        file.write(what + "\n")


def model(name: str, counts: Path) -> ScriptedModel:
    """Answers by what it is asked, so that it needs no memory of its own."""

    def answer(request: ModelRequest) -> ModelAnswer:
        counted(counts, name)
        text = judgement(request) if name == "judge" else user_line(request)
        message: Any = {"role": "assistant", "content": text}
        return ModelAnswer(message=message, usage=Usage(input_tokens=10, output_tokens=5), cost=0.01, model=name)

    return ScriptedModel([answer], repeat=True, name=name)


def user_line(request: ModelRequest) -> str:
    said = sum(message["role"] == "assistant" for message in request.messages)
    return json.dumps({"message": f"Question number {said + 1}, please.", "done": False, "reason": None})


def judgement(request: ModelRequest) -> str:
    asked = "".join(str(message.get("content")) for message in request.messages).count("Question number")
    entry = {"id": "c1", "reason": "It did.", "evidence": ["m2"], "decision": "true"}
    action = "decide" if asked >= TURNS else "continue"
    return json.dumps({"action": action, "criteria": [entry], "verdict": "pass", "reasoning": "Fine."})


def answers_every_turn(state: duologue.ScenarioState) -> bool:
    return sum(message["role"] == "user" for message in state.messages) == TURNS


async def play(journal: Path, url: str, counts: Path) -> duologue.ScenarioResult:
    """Play the run, or continue it."""
    agents = [
        duologue.UserSimulatorAgent(model=model("user", counts)),
        HttpAgent(url, name="agent"),
        duologue.JudgeAgent(criteria=["The agent answers"], model=model("judge", counts)),
    ]

    async def look(state: duologue.ScenarioState) -> None:
        state.add_message({"role": "system", "content": f"{len(state.messages)} messages so far"})

    script = [duologue.proceed(2), look, duologue.proceed(TURNS - 2), duologue.judge()]
    return await duologue.arun(
        "questions",
        "A customer asks five questions.",
        agents,
        script=script,
        checks=[answers_every_turn],
        max_turns=10,
        record=journal,
        resume=True,
        seed=7,
        verbose=False,
    )


def kill_at(number: int, torn: int) -> None:
    """Die with the write of that number, once so many bytes of it are written."""
    write, seen = JsonlSink.write, 0

    async def deadly(self: JsonlSink, transitions: Any) -> None:
        nonlocal seen
        for transition in transitions:
            if seen == number:
                if torn:
                    with self.path.open("ab", buffering=0) as file:
                        file.write(encode_transition(transition)[:torn])
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1
            await write(self, [transition])

    JsonlSink.write = deadly  # type: ignore[method-assign]


def child(journal: str, url: str, counts: str, kill: int | None, torn: int, answer: int) -> None:
    if kill is not None:
        kill_at(kill, torn)
    result = asyncio.run(play(Path(journal), url, Path(counts)))
    os.write(answer, result.model_dump_json().encode())


def main() -> None:
    for line in sys.stdin:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            try:
                child(*json.loads(line), writing)
            except BaseException as error:  # noqa: BLE001 - told to whoever asked
                os.write(writing, json.dumps({"broke": repr(error)}).encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as file:
            data = file.read()
        _, status = os.waitpid(pid, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(json.dumps({"killed": True}) if killed else data.decode(), flush=True)


if __name__ == "__main__":
    main()
