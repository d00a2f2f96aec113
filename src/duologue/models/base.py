"""The port: what it means to be a model, what it is asked and what it answers.

A model is stateless. Who asks, in which run, under which timeout and budget is the business of ``duologue.models.ask``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Final, Literal, Protocol, TypedDict, TypeGuard, Unpack, runtime_checkable

from duologue.frozen import frozen
from duologue.journal.events import RawMessage, Usage
from duologue.messages import Message, ToolCall, text_of, tool_calls_of

ToolChoice = Literal["auto", "required", "none"]


@frozen
class ToolSpec:
    """A function that the model may call. ``parameters`` is a JSON Schema of an object."""

    name: str
    description: str
    parameters: dict[str, Any]
    strict: bool = True


@frozen
class ModelRequest:
    """One question to a model.

    Attributes:
        messages: the conversation so far.
        tools, tool_choice: functions that it may, must or must not call.
        response_schema: a JSON Schema that the text of the answer must follow, or None.
        temperature, max_tokens, stop, seed: sampling; None leaves it to the provider.
        extra: options of the provider, passed on as they are.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = "auto"
    response_schema: dict[str, Any] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    extra: dict[str, Any] = field(default_factory=dict[str, Any])


@frozen
class ModelAnswer:
    """What a model answered.

    Attributes:
        message: the assistant message, with its tool calls.
        usage: tokens read and written.
        cost: US dollars; None where no price is known.
        seconds: from sending the request that succeeded to its full answer.
        model: full name of the model that answered.
        attempts: requests that were sent, the successful one included.
        finish_reason: ``stop``, ``length``, ``tool_calls``, ``content_filter`` or None.
        refusal: the provider's refusal text, when the model declined to answer.
        logprobs: for each token written, the log probability of every candidate that was asked for, by its text.
        call: id of the call in the journal of the run, where there is one.
    """

    message: RawMessage
    usage: Usage = Usage()
    cost: float | None = None
    seconds: float = 0.0
    model: str = ""
    attempts: int = 1
    finish_reason: str | None = None
    refusal: str | None = None
    logprobs: tuple[dict[str, float], ...] = ()
    call: str = ""

    @property
    def text(self) -> str:
        """The text of the answer; '' when it only called tools."""
        return text_of(self.message)

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The tools that the model wants called."""
        return tool_calls_of(self.message)


@runtime_checkable
class Model(Protocol):
    """Answers a list of messages. Implementations raise :class:`duologue.errors.ModelError` and nothing else.

    A model that never waits may say so with ``answers_at_once = True``: its calls need no timer then.
    """

    @property
    def name(self) -> str:
        """Full name, such as ``openai/gpt-5-mini``."""
        ...

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Answer, or raise a ModelError."""
        ...


@frozen
class Completion:
    """A continuation of a text.

    Attributes:
        text: what was written up to the stop text.
        usage: tokens read and written.
        cost: US dollars; None where no price is known.
        seconds: from sending the request to its full answer.
        logprobs: for each token written, the log probability of every candidate that was asked for, by its text.
        call: id of the call in the journal of the run, where there is one.
    """

    text: str
    usage: Usage = Usage()
    cost: float | None = None
    seconds: float = 0.0
    logprobs: tuple[dict[str, float], ...] = ()
    call: str = ""


class CompletionOptions(TypedDict, total=False):
    """How a text is continued."""

    stop: tuple[str, ...]
    """Texts at which the model stops."""
    max_tokens: int
    """Tokens that it writes at most."""
    temperature: float
    """Sampling temperature; 0 for the likeliest token each time."""
    seed: int | None
    """Seed of the sampling; None for the server's own."""
    logprobs: int
    """Candidates for each token whose log probability is returned; 0 for none."""


COMPLETION_DEFAULTS: Final[Mapping[str, Any]] = {
    "stop": (),
    "max_tokens": 64,
    "temperature": 0.0,
    "seed": None,
    "logprobs": 0,
}


@runtime_checkable
class CompletionModel(Model, Protocol):
    """A model that can also continue a text: what small models do best (see the local models guide)."""

    async def complete(self, prompt: str, **options: Unpack[CompletionOptions]) -> Completion:
        """Continue ``prompt``; options that are not given are those of :data:`COMPLETION_DEFAULTS`."""
        ...


def can_complete(model: Model) -> TypeGuard[CompletionModel]:
    """Whether a model can also continue a text. Asking for the protocol itself takes longer than a turn's checks."""
    return callable(getattr(model, "complete", None))
