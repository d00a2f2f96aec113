"""Models that say what was written down for them: for tests, demonstrations and offline runs.

:class:`ScriptedModel` answers from a list. ``mock/echo`` and ``mock/fixed:TEXT`` are models that a name alone stands
for; other modules add kinds of their own with :func:`register_mock`.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import PurePath
from typing import cast

from duologue.config.access import refuse_file
from duologue.config.entry_points import load_registered, registered_names
from duologue.errors import ModelAnswerError, UnknownModelError
from duologue.messages import Message, assistant_message, text_of, tool_calls_of
from duologue.models.base import Model, ModelAnswer, ModelRequest
from duologue.settings import ModelConfig

Scripted = str | Message | ModelAnswer | Exception
"""One answer: a text, an assistant message, a whole answer, or an exception to raise."""
Answerer = Callable[[ModelRequest], "Scripted | Awaitable[Scripted]"]
"""Makes an answer from the request."""
FILE_KINDS = "duologue.mock_models"
"""Group of the entry points that make a model from ``mock/FILE.NAME``: each is a :data:`MockLoader`."""
MockLoader = Callable[[str], Model]
"""Makes a model from what follows ``mock/`` (and ``kind:``, where there is one)."""


class ScriptedModel:
    """Answers with the given answers in order.

    Args:
        answers: one entry a call: see :data:`Scripted`, or a function of the request that gives one.
        name: full name of the model.
        repeat: give the last answer again when all are used up; otherwise that is a ModelAnswerError.

    Attributes:
        requests: everything that was asked, in order.
    """

    def __init__(self, answers: Sequence[Scripted | Answerer], *, name: str = "scripted", repeat: bool = False) -> None:
        self._answers = list(answers)
        self._name = name
        self._repeat = repeat
        self._lock = threading.Lock()
        self.requests: list[ModelRequest] = []

    @property
    def name(self) -> str:
        """The given name."""
        return self._name

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """The next answer: given, made or raised."""
        scripted = self._next(request)
        if callable(scripted):
            made = scripted(request)
            scripted = await made if inspect.isawaitable(made) else made
        if isinstance(scripted, Exception):
            raise scripted
        return scripted if isinstance(scripted, ModelAnswer) else self._answer(scripted)

    def _next(self, request: ModelRequest) -> Scripted | Answerer:
        with self._lock:
            self.requests.append(request)
            position = len(self.requests) - 1
        given = len(self._answers)
        if position < given:
            return self._answers[position]
        if self._repeat and self._answers:
            return self._answers[-1]
        raise ModelAnswerError(
            f"{self._name} was asked {position + 1} times and was given {given} answer{'' if given == 1 else 's'}; "
            "give it more, or repeat=True to repeat the last one",
            model=self._name,
        )

    def _answer(self, scripted: str | Message) -> ModelAnswer:
        message = assistant_message(scripted) if isinstance(scripted, str) else scripted
        reason = "tool_calls" if tool_calls_of(message) else "stop"
        return ModelAnswer(message=message, model=self._name, finish_reason=reason)


def echo_model(name: str = "mock/echo") -> ScriptedModel:
    """A model that repeats the last text of the user."""
    return ScriptedModel([_last_user_text], name=name, repeat=True)


def register_mock(kind: str, loader: MockLoader) -> None:
    """Make ``mock/KIND:…`` known, or ``mock/….EXT`` for a kind that begins with a dot, such as ``.yaml``."""
    _kinds[kind] = loader


def mock_model(reference: str) -> Model:
    """The model that ``mock/REFERENCE`` stands for.

    Raises:
        UnknownModelError: nobody registered that kind.
    """
    kind, colon, rest = reference.partition(":")
    suffix = PurePath(reference).suffix
    if suffix in _kinds:
        return _kinds[suffix](reference)
    if kind in _kinds:
        return _kinds[kind](rest if colon else "")
    of_file: MockLoader | None = load_registered(FILE_KINDS, suffix[1:]) if suffix else None
    if of_file:
        refuse_file(f"the model 'mock/{reference}'")
        return of_file(reference)
    names = [f"mock/*{name}" if name.startswith(".") else f"mock/{name}" for name in sorted(_kinds)]
    names += [f"mock/*.{name}" for name in registered_names(FILE_KINDS)]
    raise UnknownModelError(f"unknown mock model 'mock/{reference}'; known: {', '.join(names)}")


def load_mock(reference: str, _config: ModelConfig) -> Model:
    """The model that ``mock/REFERENCE`` stands for; the entry point ``mock``."""
    return mock_model(reference)


def _last_user_text(request: ModelRequest) -> str:
    return next((text_of(message) for message in reversed(request.messages) if message["role"] == "user"), "")


def _fixed(text: str) -> Model:
    return cast("Model", ScriptedModel([text], name=f"mock/fixed:{text}", repeat=True))


_kinds: dict[str, MockLoader] = {"echo": lambda _rest: echo_model(), "fixed": _fixed}
