"""A user played by a language model: by chat, or by continuing a transcript.

Small local models are better at continuing a transcript than at playing a part. They read two finished example calls
and the call in hand, each with a brief in brackets, and write the next line of the customer. Everything before the
newest line stays the same from turn to turn, so a server that caches prompts reads only that line.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from typing import Any, ClassVar

from duologue.agents.users.persona import Persona, as_persona
from duologue.agents.users.prompt import (
    ANSWER_SCHEMA,
    EMPTY,
    Brief,
    UserAnswer,
    may_be_said,
    problem_with,
    read_answer,
    system_prompt,
    with_roles_flipped,
)
from duologue.agents.users.utterances import (
    MORE_PATTERNS,
    Speaker,
    SpokenTurn,
    any_match,
    last_of,
    reason_for_leaving,
    sentences,
    spoken_turns,
)
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, UserDone
from duologue.conversation.voice_state import SoundEffect, sound_effects
from duologue.errors import ConfigurationError, ModelError, SimulatorError
from duologue.journal.notes import UserInDoubt
from duologue.models.ask import ask_completion
from duologue.models.base import CompletionModel, Model, can_complete
from duologue.models.choice import ModelChoice, choose
from duologue.models.scope import RunScope
from duologue.models.structured import AnswerRetries, UnreadableError, UnusableAnswerError, ask_until_readable
from duologue.settings import ModelConfig
from duologue.vocabulary import AgentRole

logger = logging.getLogger("duologue.users")

_RETRIES = AnswerRetries(
    complaint="(This cannot be used: {problem}. Write the person's next message, in the form asked for.)",
    refused="the model refused: {refusal}",
)

_SPEECHLESS = "the model of the simulated user wrote nothing, twice"

TEMPERATURES = (0.0, 0.6, 1.0)
"""For the first try, and for each one after a line that a customer would not say."""
_STOP = ("\n", "Agent:", "Customer:", "[")
_LINE_TOKENS = 60
_HISTORY = 8000
"""Characters of the conversation that the model is shown: its newest part."""
_GREETING = "Hello, how can I help you?"
_GIVES_UP = "I think we are not getting anywhere. I will leave it. Bye."
_LEAVING = re.compile(r"\b(?:(?:good)?bye|thank(?:s| you)|that is all)\b", re.IGNORECASE)
_DOES_NOT_KNOW = "I don't have that."
"""How the line begins after one with invented facts: the model continues with what it does know."""
_GOODBYE = re.compile(r"\b(?:good)?bye\b", re.IGNORECASE)

_EXAMPLES = """\
Telephone calls. The notes in brackets say who the customer is and what the customer wants. The customer speaks in \
short sentences, answers each question from the notes, and says "Bye." once it is done.

[Customer: Wants to move the dentist appointment on 3 May to another day. New day: 10 May. Time: 9:15. Insurance: \
Alpina. Name: Paul Green.]
Agent: Good morning, Dental Care, what can I do for you?
Customer: Good morning, I need to move my appointment on 3 May to 10 May.
Agent: Of course. What is your patient number, or your name?
Customer: I don't have that. My name is Paul Green.
Agent: Thank you. I could offer 8:40 or 9:15. What time suits you?
Customer: 9:15, please.
Agent: That is 10 May at 9:15. Shall I change it?
Customer: Yes, please.
Agent: Your appointment has been moved to 10 May at 9:15. Is there anything else?
Customer: No, that is all. Bye.

[Customer: Bought a kettle that leaks and wants a new one. Order number: 77120. Street: 5 Mill Lane. Name: Rita Moss.]
Agent: Hello, how can I help you?
Customer: Hello, my new kettle leaks, and I would like another one.
Agent: I am sorry to hear that. What is the order number?
Customer: It is 77120.
Agent: On which day did you buy it?
Customer: I don't remember.
Agent: No problem. Where shall we send the new one?
Customer: To Rita Moss, 5 Mill Lane.
Agent: A new kettle is on its way to 5 Mill Lane.
Customer: Thank you very much. Bye.

"""
_EXAMPLE_FACTS = ("Paul Green", "Rita Moss", "Mill Lane", "Alpina", "77120", "9:15", "8:40")
"""Where nobody has mentioned them in the call in hand, they were copied from the examples."""


class UserSimulatorAgent(AgentAdapter):
    """A user played by a language model.

    The model gets the scenario's description, the persona and the goal, and reads what the agent says: no tool calls
    and no criteria. One object may take part in any number of runs at once.
    """

    role: ClassVar[AgentRole] = AgentRole.USER
    repeats: ClassVar[bool] = True

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
        voice: str | None = None,
        audio_effects: Sequence[SoundEffect] | None = None,
        interrupt_probability: float = 0.0,
        **extra: Any,
    ) -> None:
        """Choose the model and the persona.

        Args:
            model: name, configuration or model object; None for the configured default.
            api_base, api_key: address and key of an OpenAI-compatible server.
            temperature, max_tokens: sampling; None for the values of the configured default.
            system_prompt: replaces the built-in rules for the part; situation, persona, goal and the form of the
                answer follow it.
            persona: who the user is; a string is the persona's description.
            goal: what the user wants, if the scenario's description does not say so.
            style: how the user writes; overrides the persona's style.
            voice: what it speaks with, such as ``local/heart`` or ``openai/alloy``; the model is then told to speak
                and not to write. Agents in text get its words all the same.
            audio_effects: what happens to its sound, one after the other: functions from PCM16 to PCM16, such as
                ``duologue.effects.phone_quality()``.
            interrupt_probability: how often it cuts in while the agent speaks, from 0 to 1; in ``proceed``, and in
                spoken conversations only.
            extra: provider options.

        Raises:
            ConfigurationError: no model is set, or an argument is invalid.
        """
        self.voice = _checked_voice(voice)
        self.audio_effects = sound_effects(audio_effects, "audio_effects")
        if not 0 <= interrupt_probability <= 1:
            raise ConfigurationError(f"interrupt_probability must be from 0 to 1; found {interrupt_probability}")
        self.interrupt_probability = interrupt_probability
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
        self.model, self.system_prompt = self._choice.name, system_prompt
        self.api_base = api_base
        self.temperature, self.max_tokens = self._choice.temperature, self._choice.max_tokens
        self._system_prompt = system_prompt
        self._persona = as_persona(persona)
        self._goal = (goal or "").strip()
        self._style = (style or "").strip()

    def describe(self) -> dict[str, Any]:
        """The model, the persona and the goal."""
        brief = {
            "persona": self._persona.model_dump(exclude_defaults=True),
            "goal": self._goal,
            "style": self._style,
            "system_prompt": self._system_prompt or "",
            "voice": self.voice or "",
            "audio_effects": [str(getattr(item, "name", "custom")) for item in self.audio_effects],
            "interrupt_probability": self.interrupt_probability,
        }
        return {"model": self._choice.name, **{name: value for name, value in brief.items() if value}}

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The user's next words, or the last ones.

        Raises:
            SimulatorError: the model did not answer, or gave two answers in a row that no user would give. An answer
                that is only doubtful is said the second time, with a note.
        """
        brief = Brief(
            situation=input.scenario_state.description,
            persona=self._persona,
            goal=self._goal,
            style=self._style,
            spoken=self.voice is not None,
        )
        spoken = spoken_turns(input.shared_messages)
        try:
            answer = await self._next(brief, spoken, input.scope)
        except ModelError as error:
            raise SimulatorError(f"the model of the simulated user failed: {error}", who=self.name) from error
        if answer.reason:
            return UserDone(reason=answer.reason, message=answer.message or None, explanation=answer.explanation)
        return answer.message

    async def _next(self, brief: Brief, spoken: Sequence[SpokenTurn], scope: RunScope) -> UserAnswer:
        model = self._choice.model
        if can_complete(model) and self._system_prompt is None:
            return await _continue_call(model, brief, spoken, scope, temperature=self._temperature)
        messages = with_roles_flipped(system_prompt(brief, self._system_prompt), spoken)
        request = self._choice.request(messages, response_schema=ANSWER_SCHEMA)

        def read(text: str) -> UserAnswer:
            answer = read_answer(text, brief.names())
            problem = problem_with(answer, spoken, brief, may_repeat=self._choice.name.startswith("mock/"))
            problems.append(problem)
            in_doubt[:] = [answer] if problem and may_be_said(answer, spoken, brief) else []
            if problem:
                raise UnreadableError(problem)
            return answer

        problems: list[str | None] = []
        in_doubt: list[UserAnswer] = []
        try:
            return await ask_until_readable(model, request, read, scope, retries=_RETRIES)
        except UnusableAnswerError as error:
            if set(problems) == {EMPTY} and len(problems) > 1 and last_of(spoken, Speaker.USER):
                return UserAnswer(message="", reason="gave_up", explanation=_SPEECHLESS)
            if in_doubt and len(problems) > 1 and error.problem == problems[-1]:
                return _said_in_doubt(in_doubt[0], error.problem, scope)
            raise SimulatorError(
                f"{self._choice.name} did not play the user, and was asked twice: {error.problem}. It wrote: "
                f"{error.wrote}. Use a larger model, or give the user a clearer persona and goal",
                who=self.name,
            ) from error


def _said_in_doubt(answer: UserAnswer, problem: str, scope: RunScope) -> UserAnswer:
    """The answer, with a note of what speaks against it."""
    logger.warning("%s may not have stayed the user: %s. It said: %r", scope.who, problem, answer.message)
    scope.note(UserInDoubt(participant=scope.who, problem=problem, text=answer.message))
    return answer


def _set_temperature(given: float | None, choice: ModelChoice) -> float | None:
    """The temperature that was set explicitly, here or in the configuration; None if it is only the default."""
    source = choice.source
    if given is None and isinstance(source, ModelConfig) and "temperature" in source.model_fields_set:
        return source.temperature
    return given


def _checked_voice(voice: object) -> str | None:
    """That voice, once its form is known to be right; whether there is such a provider is found out by speaking."""
    if voice is None:
        return None
    prefix, slash, name = voice.partition("/") if isinstance(voice, str) else ("", "", "")
    if not (prefix and slash and name):
        raise ConfigurationError(f"voice={voice!r}: expected provider/name, such as 'local/heart'")
    return str(voice)


# --- a small model continues a transcript -----------------------------------------------------------------------------


async def _continue_call(
    model: CompletionModel, brief: Brief, spoken: Sequence[SpokenTurn], scope: RunScope, *, temperature: float | None
) -> UserAnswer:
    """The customer's next line. A ``temperature`` of None is the one that was measured to work best.

    Raises:
        SimulatorError: no line was usable, and the customer has not said anything yet.
        ModelError: the model did not answer.
    """
    prompt = transcript(brief, spoken)
    agent_said = last_of(spoken, Speaker.AGENT)
    own = [_plain(item.text) for item in spoken if item.speaker is Speaker.USER]
    chance = scope.context.random("user", scope.who, len(spoken))
    start = text = problem = ""
    in_doubt: UserAnswer | None = None
    for usual in TEMPERATURES:
        used = usual if temperature is None else max(usual, temperature)
        completion = await ask_completion(
            model,
            f"{prompt} {start}".rstrip(),
            scope,
            stop=_STOP,
            max_tokens=_LINE_TOKENS,
            temperature=used,
            seed=chance.getrandbits(31) if used else None,
        )
        answer = _answer(_line(f"{start} {completion.text.strip()}"), agent_said)
        text = answer.message
        made_up = _made_up(text, prompt)
        problem = made_up or problem_with(answer, spoken, brief) or ("it was said before" if _stale(text, own) else "")
        if not problem:
            return answer
        in_doubt = answer if not made_up and not _stale(text, own) and may_be_said(answer, spoken, brief) else None
        start = _DOES_NOT_KNOW if made_up else start
    if own and start and not _stale(start, own):
        return UserAnswer(message=start)
    if own:
        return UserAnswer(message=_GIVES_UP, reason="gave_up")
    if in_doubt:
        return _said_in_doubt(in_doubt, problem, scope)
    raise SimulatorError(
        f"{model.name} did not play the user in {len(TEMPERATURES)} tries: {problem}. It wrote: {text!r}. Use a larger "
        "model, or give the user a clearer goal",
        who=scope.who,
    )


def transcript(brief: Brief, spoken: Sequence[SpokenTurn]) -> str:
    """The prompt: the examples, the brief, the newest part of the conversation, and the start of the next line."""
    lines = [f"{_LABELS[item.speaker]}: {_one_line(item.text)}" for item in spoken]
    if not spoken or spoken[0].speaker is Speaker.USER:
        lines.insert(0, f"Agent: {_GREETING}")
    if spoken and spoken[-1].speaker is Speaker.USER:
        lines.append("Agent: Hello?")
    while len(lines) > 2 and sum(map(len, lines)) > _HISTORY:
        del lines[:2]
    return f"{_EXAMPLES}[Customer: {notes(brief)}]\n" + "\n".join(lines) + "\nCustomer:"


def notes(brief: Brief) -> str:
    """The brief in one line: first the goal, then the persona, then the facts."""
    persona = brief.styled_persona()
    facts = [f"{name}: {value}" for name, value in persona.facts.items()]
    parts = [
        brief.goal,
        *persona.goals,
        brief.situation,
        persona.description,
        ", ".join(persona.traits),
        persona.style,
        *facts,
    ]
    if persona.name:
        parts.append(f"Name: {persona.name}")
    text = " ".join(f"{part.rstrip('.! ')}." for part in map(_one_line, parts) if part)
    return text.replace("[", "(").replace("]", ")")


def _answer(text: str, agent_said: str) -> UserAnswer:
    """The line, and whether it is the last. A goodbye in answer to a question comes too early and is left out."""
    if not _GOODBYE.search(text):
        return UserAnswer(message=text)
    if agent_said.rstrip().endswith("?") and not any_match(MORE_PATTERNS, agent_said):
        rest = " ".join(part for part in sentences(text) if not _LEAVING.search(part))
        if rest:
            return UserAnswer(message=rest)
    return UserAnswer(message=text, reason=reason_for_leaving(agent_said))


def _made_up(text: str, prompt: str) -> str | None:
    """The fact in this line that nobody has mentioned in this call, as a complaint."""
    call = prompt.removeprefix(_EXAMPLES)
    leaked = [fact for fact in _EXAMPLE_FACTS if fact in text and fact not in call]
    numbers = [number for number in re.findall(r"\d{4,}", text) if number not in call]
    return f"nobody has mentioned {(leaked or numbers)[0]!r}" if leaked or numbers else None


def _stale(text: str, own: Sequence[str]) -> bool:
    """Whether the user has just said that, or has said it twice."""
    line = _plain(text)
    return line in own[-2:] or (len(line.split()) > 2 and own.count(line) > 1)


_LABELS = {Speaker.USER: "Customer", Speaker.AGENT: "Agent"}


def _line(text: str) -> str:
    return text.strip().strip('"').strip()


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
