"""The program that runs an agent of a suite in a process of its own: see :mod:`duologue.suites.runner.isolated_agents`.

Reads lines of JSON on standard input: ``{"op": "begin"}`` makes the agent for a run, ``{"op": "call", …}`` asks it,
``{"op": "end"}`` ends the run. The first two are answered on the file descriptor that it is given, with
``{"piece": …}``, ``{"result": …}``, ``{"error": …}`` or ``{"unfit": …}``, and ``{"end": true}`` after the last. It ends
when standard input does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import traceback
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from pydantic_core import to_jsonable_python

from duologue.conversation.adapter import AgentInput, AgentSession, AttributedMessage, CallSession
from duologue.conversation.result import ScenarioResult, ScenarioState
from duologue.errors import TargetError
from duologue.message_shapes import as_fields, parts_of, uses_of
from duologue.models.scope import RunScope
from duologue.suites.runner.python_agents import load_agent


def main() -> None:
    """Serve until standard input ends."""
    answers, target, folder, name = int(sys.argv[1]), *sys.argv[2:5]
    os.set_inheritable(answers, False)  # programs that the agent starts do not keep it open
    requests = os.fdopen(os.dup(0), "rb")
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - the agent's own standard input
        os.dup2(nothing.fileno(), 0)
    asyncio.run(_Server(answers, target, Path(folder), name).serve(requests))


class _Given(AgentInput):
    """An input that keeps what is reported: the journal is in the process that asks."""

    @cached_property
    def uses(self) -> list[dict[str, Any]]:
        """What models took, as the arguments of ``report_usage``."""
        return []

    def _report(self, **use: Any) -> None:
        self.uses.append(use)


class _Server:
    def __init__(self, answers: int, target: str, folder: Path, name: str) -> None:
        self._answers = answers
        self._target = (target, folder, name)
        self._session: AgentSession | None = None
        self._make: Any = None

    async def serve(self, requests: Any) -> None:
        loop = asyncio.get_running_loop()
        waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        def read() -> None:
            for line in requests:
                loop.call_soon_threadsafe(waiting.put_nowait, json.loads(line))
            os._exit(0)  # also while the agent is busy: nobody waits for it any more

        threading.Thread(target=read, name="duologue-requests", daemon=True).start()
        steps = {"begin": self._begin, "call": self._call, "end": self._end}
        while True:
            request = await waiting.get()
            try:
                await steps[request["op"]](request)
            except BaseException as error:  # noqa: BLE001 - whatever the agent raises is its answer
                if request["op"] != "end":
                    self._say({"error": _in_words(error), "traceback": _traceback(error)})

    async def _begin(self, _: dict[str, Any]) -> None:
        if self._make is None:
            self._make = load_agent(*self._target)
        agent = self._make()
        self._session = await agent.open(RunScope()) or CallSession(agent)
        self._say({"end": True})

    async def _end(self, _: dict[str, Any]) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _call(self, request: dict[str, Any]) -> None:
        assert self._session is not None
        messages = request["messages"]
        state = ScenarioState(
            description=request["description"], thread_id=request["thread_id"], messages=list(messages)
        )
        given = _Given(
            thread_id=request["thread_id"], messages=messages, new_messages=request["new"], scenario_state=state
        )
        await self._session.send(given)
        async for piece in self._session.receive():
            self._say(_encoded(piece))
            for use in () if given.usage_reported else uses_of(piece):
                given.uses.append({**asdict(use), "seconds": 0.0})
        for use in given.uses:
            self._say({"usage": use})
        self._say({"end": True})

    def _say(self, value: dict[str, Any]) -> None:
        try:
            data = json.dumps(value).encode()
        except (TypeError, ValueError) as error:
            data = json.dumps({"unfit": f"the agent's answer cannot be sent to another process: {error}"}).encode()
        data = memoryview(data + b"\n")
        while data:
            data = data[os.write(self._answers, data) :]


def _encoded(piece: object) -> dict[str, Any]:
    if isinstance(piece, ScenarioResult):
        return {"result": piece.model_dump(mode="json", exclude_none=True)}
    if isinstance(piece, list):
        return {"piece": [plain for item in cast("list[object]", piece) for plain in _plain(item)]}
    found = _plain(piece)
    return {"piece": found[0] if len(found) == 1 else found}


def _plain(item: object) -> list[object]:
    """A message as data; those that the result of a framework's run holds."""
    if isinstance(item, AttributedMessage):
        return [item.message]
    parts = parts_of(item)
    if parts is None:
        fields = as_fields(item)
        return [fields]
    return [to_jsonable_python(as_fields(part)) for part in parts]


def _in_words(error: BaseException) -> str:
    if isinstance(error, TargetError):
        return str(error)
    last = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(last[-1].filename).name}, line {last[-1].lineno})" if last else ""
    return f"{type(error).__name__}: {error}{place}"


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-8000:]


if __name__ == "__main__":
    main()
