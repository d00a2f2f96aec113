"""A model that answers from a response file. It keeps nothing: where it is in a conversation, it sees in the request.

Which call of the model a request is, is counted as PromptKit counts wherever users and agents take turns: one more than
the assistant has answered, tool calls included. Tokens are a quarter of the bytes, and cost $0.00001 each.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from duologue.errors import ModelRejectedError, SuiteError, UnknownModelError
from duologue.journal.events import Usage
from duologue.messages import Message, text_of
from duologue.models.base import Model, ModelAnswer, ModelRequest
from duologue.models.mock.file import ResponseFile
from duologue.models.mock.prepared import Prepared, plain_text
from duologue.models.mock.verdicts import UnknownFormError, judgement
from duologue.models.tokens import estimate_tokens
from duologue.vocabulary import DoneReason

PRICE = 0.00001
"""US dollars for a token, read or written."""
_DEFAULT_INPUT_TOKENS = 10


class MockModel:
    """A model that says what is written for it. Cheap: one for each run.

    Args:
        file: what is written; None for nothing.
        model_name: what the provider calls the model; only for the answer where nothing is written.
        provider: the name of the suite's model.
        scenario: the name of the scenario that is played.
        persona: whom the model plays; '' for a simulated user without a persona, None for anything else.
        judge: which judge the model is.
    """

    def __init__(
        self,
        file: ResponseFile | None,
        *,
        model_name: str,
        provider: str,
        scenario: str,
        persona: str | None = None,
        judge: str | None = None,
    ) -> None:
        self._file = file
        self._model_name = model_name
        self._provider = provider
        self._scenario = scenario
        self._persona = persona
        self._judge = judge
        self._whole: Sequence[Message] | None = None
        self._step: str | None = None

    @property
    def name(self) -> str:
        """``mock/`` and the provider."""
        return f"mock/{self._provider}"

    def at(self, *, messages: Sequence[Message] | None = None, step: str | None = None) -> MockModel:
        """The same model where a request does not tell where it is.

        Args:
            messages: the whole conversation, where a request has only a part of it.
            step: the step of a composition, or the state of a workflow.
        """
        made = MockModel.__new__(MockModel)
        made.__dict__.update(self.__dict__)
        made._whole = messages if messages is not None else self._whole
        made._step = step if step is not None else self._step
        return made

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """What is written for this call.

        Raises:
            ModelError: a fault is written; or nothing is written for a judge.
        """
        found = self._verdict(request) if self._judge is not None else self._said(request.messages)
        if found.fault:
            raise found.error(self.name)
        read = _tokens_read(request.messages)
        return ModelAnswer(
            message=found.message(),
            usage=Usage.model_construct(input_tokens=read, output_tokens=found.tokens),
            cost=(read + found.tokens) * PRICE,
            model=self.name,
            finish_reason="tool_calls" if found.calls else "stop",
        )

    def cost_of(self, usage: Usage, now: float) -> float:
        """US dollars for these tokens."""
        return usage.total_tokens * PRICE

    def done(self, messages: Sequence[Message]) -> DoneReason | None:
        """Why the simulated user has nothing more to say after its next line; None if it goes on."""
        return self._said(messages).done

    def _said(self, messages: Sequence[Message]) -> Prepared:
        messages = self._whole if self._whole is not None else messages
        number = call_number(messages) if self._persona is None else user_turn_number(messages)
        file = self._file
        found = file.answer(self._scenario, number, persona=self._persona, step=self._step) if file else None
        return found or plain_text(f"Mock response for provider {self._provider} model {self._model_name}")

    def _verdict(self, request: ModelRequest) -> Prepared:
        judge, file = self._judge or "default", self._file
        entry = file.verdict(judge, self._scenario) if file else None
        if entry is not None:
            try:
                return plain_text(judgement(entry, request))
            except UnknownFormError as error:
                raise ModelRejectedError(f"{file.path if file else ''}: {error}", model=self.name) from error
        default = file.default if file else None
        if default is not None and (default.fault or "{" in default.text):
            return default
        raise ModelRejectedError(
            f"{self._where()} what the judge '{judge}' says in the scenario '{self._scenario}', and nobody passes for "
            f"lack of a judge. Write it into the file: 'judges: {{{judge}: pass}}', or fail, or 'judges: {{{judge}: "
            "{verdict: fail, reasoning: …}}'",
            model=self.name,
        )

    def _where(self) -> str:
        if self._file:
            return f"{self._file.path} does not say"
        return f"the mock model '{self._provider}' has no response file that says"


def call_number(messages: Sequence[Message]) -> int:
    """Which call of the agent's model it is that continues this conversation, from 1.

    One more than it has answered; where the user has spoken more often than that, as often as the user has spoken, and
    one more once a tool has answered.
    """
    said = answered = 0
    used_tools = False
    for message in messages:
        role = message["role"]
        if role == "user":
            said += 1
        elif role == "assistant":
            answered += 1
        elif role == "tool":
            used_tools = True
    return max(said + used_tools, answered + 1)


def user_turn_number(messages: Sequence[Message]) -> int:
    """Which line of the simulated user it is, from 1.

    A model that is told to play the user (a request with a system prompt) sees its own lines as the assistant's; one
    that is given the conversation as it is, as the user's.
    """
    own = "assistant" if messages and messages[0]["role"] == "system" else "user"
    return sum(message["role"] == own for message in messages) + 1


def model_from(path: str) -> Model:
    """The model that ``mock/PATH`` stands for: it answers from that file, as in the scenario of the file's only name.

    Raises:
        UnknownModelError: the file cannot be read, or is no response file.
    """
    try:
        file = ResponseFile.read(path)
    except SuiteError as error:
        raise UnknownModelError(f"the model 'mock/{path}' cannot be made: {error}") from error
    names = list(file.shape.scenarios)
    return MockModel(file, model_name="mock", provider=Path(path).name, scenario=names[0] if len(names) == 1 else "")


def _tokens_read(messages: Sequence[Message]) -> int:
    total = 0
    for message in messages:
        if message["role"] != "system":
            content = message.get("content")
            total += estimate_tokens(content if isinstance(content, str) else text_of(message))
    return total or _DEFAULT_INPUT_TOKENS
