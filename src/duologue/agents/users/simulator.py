"""A user played by a language model.

What the model is told is in ``user_prompt``, how its answer is read in ``user_answer``. Small local models play the
user better by continuing a transcript: see ``user_completion``.
"""

from __future__ import annotations

from typing import Any, ClassVar

from duologue.agents.users.answer import UnreadableAnswerError, UserAnswer, problem_with, read_answer
from duologue.agents.users.completion import continue_call
from duologue.agents.users.persona import Persona, as_persona
from duologue.agents.users.prompt import ANSWER_SCHEMA, Brief, asked_again, flipped, system_prompt
from duologue.agents.users.utterances import Utterance, utterances
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, UserDone
from duologue.errors import ConfigurationError, ModelError, SimulatorError
from duologue.messages import Message
from duologue.models.ask import ask
from duologue.models.base import Model, can_complete
from duologue.models.choice import ModelChoice, choose
from duologue.models.scope import RunScope
from duologue.settings import ModelConfig
from duologue.vocabulary import AgentRole

_ATTEMPTS = 2
"""An answer that cannot be used is asked for once more."""


class UserSimulatorAgent(AgentAdapter):
    """A user played by a language model.

    It is told the scenario's description, its persona and its goal, and hears what the agent says: no tool calls, no
    criteria. One object may take part in any number of runs at once.
    """

    role: ClassVar[AgentRole] = AgentRole.USER

    def __init__(
        self,
        *,
        model: str | ModelConfig | Model | None = None,
        api_base: str | None = None,
        api_key: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        system_prompt: str | None = None,
        persona: str | Persona | None = None,
        goal: str | None = None,
        style: str | None = None,
        voice: object = None,
        audio_effects: object = None,
        interrupt_probability: float = 0.0,
        **extra: Any,
    ) -> None:
        """Say who plays, and whom.

        Args:
            model: name, configuration or model object; None for the configured default.
            api_base, api_key: of an OpenAI-compatible server.
            temperature, max_tokens: sampling; None for those of the configured default.
            system_prompt: how to play, in place of the built-in rules; situation, persona, goal and the form of the
                answer follow it.
            persona: who the user is; a text is the persona's description.
            goal: what the user wants, where the scenario's description does not say it.
            style: how the user writes, over the persona's style.
            voice, audio_effects: for spoken conversations, which are not part of this release.
            interrupt_probability: from 0 to 1; has an effect in spoken conversations only.
            extra: options of the provider.

        Raises:
            ConfigurationError: no model is set, or an argument cannot be used.
        """
        _refuse_voice(voice=voice, audio_effects=audio_effects)
        if not 0 <= interrupt_probability <= 1:
            raise ConfigurationError(f"interrupt_probability must be from 0 to 1; found {interrupt_probability}")
        self._choice = choose(
            model,
            api_base=api_base,
            api_key=api_key,
            temperature=temperature,
            max_tokens=max_tokens,
            extra=extra,
            purpose=type(self).__name__,
        )
        self._temperature = _set_temperature(temperature, self._choice)
        self._system_prompt = system_prompt
        self._persona = as_persona(persona)
        self._goal = (goal or "").strip()
        self._style = (style or "").strip()

    def describe(self) -> dict[str, Any]:
        """The model, the persona and the goal."""
        told = {"persona": self._persona.model_dump(exclude_defaults=True), "goal": self._goal, "style": self._style}
        told["system_prompt"] = self._system_prompt or ""
        return {"model": self._choice.name, **{name: value for name, value in told.items() if value}}

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """What the user says next, or says last.

        Raises:
            SimulatorError: the model did not answer, or twice in a row with something that no user would say.
        """
        brief = Brief(
            situation=input.scenario_state.description, persona=self._persona, goal=self._goal, style=self._style
        )
        heard = utterances(input.messages)
        try:
            answer = await self._next(brief, heard, input.scope)
        except ModelError as error:
            raise SimulatorError(f"the model of the simulated user failed: {error}", who=self.name) from error
        if answer.reason:
            return UserDone(reason=answer.reason, message=answer.message or None)
        return answer.message

    async def _next(self, brief: Brief, heard: list[Utterance], scope: RunScope) -> UserAnswer:
        model = self._choice.model
        if can_complete(model) and self._system_prompt is None:
            return await continue_call(model, brief, heard, scope, temperature=self._temperature)
        return await self._chat(flipped(system_prompt(brief, self._system_prompt), heard), heard, scope)

    async def _chat(self, messages: list[Message], heard: list[Utterance], scope: RunScope) -> UserAnswer:
        problem = text = ""
        for _ in range(_ATTEMPTS):
            question = asked_again(messages, text, problem) if problem else messages
            answered = await ask(
                self._choice.model, self._choice.request(question, response_schema=ANSWER_SCHEMA), scope
            )
            text = answered.text
            if answered.refusal:
                problem = f"the model refused: {answered.refusal}"
                continue
            try:
                answer = read_answer(text)
            except UnreadableAnswerError as error:
                problem = str(error)
                continue
            problem = problem_with(answer, heard) or ""
            if not problem:
                return answer
        raise SimulatorError(
            f"{self._choice.name} did not play the user, and was asked twice: {problem}. It wrote: {text[:200]!r}. Use "
            "a larger model, or give the user a clearer persona and goal",
            who=self.name,
        )


def _set_temperature(given: float | None, choice: ModelChoice) -> float | None:
    """The temperature that somebody has set, here or in the configuration; None where it is only the default."""
    source = choice.source
    if given is None and isinstance(source, ModelConfig) and "temperature" in source.model_fields_set:
        return source.temperature
    return given


def _refuse_voice(**given: object) -> None:
    asked_for = [name for name, value in given.items() if value is not None]
    if asked_for:
        raise ConfigurationError(
            f"{' and '.join(asked_for)}: voice is not part of this release, so the simulated user cannot speak; leave "
            "it out for a conversation in text"
        )
