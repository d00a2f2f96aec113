"""The simulated user of a suite: for each turn the persona that the turn names, played by the turn's simulator.

A persona with lines or an agenda needs no simulator.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from duologue.agents.users.persona import Level, Persona
from duologue.agents.users.scripted import ScriptedUser
from duologue.config.problems import nearest
from duologue.config.templates import render
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, UserDone
from duologue.errors import ConfigurationError, ModelError, SimulatorError
from duologue.journal.notes import SimulatedUser
from duologue.messages import Message
from duologue.models.ask import ask
from duologue.models.base import Model, ModelRequest
from duologue.specs.agents import Persona as PersonaSpec
from duologue.specs.agents import metaprompt_of
from duologue.specs.scenario import Scenario, Turn
from duologue.specs.suite import Suite, find_named
from duologue.specs.users import Agenda
from duologue.suites.runner.models import SuiteModels
from duologue.vocabulary import AgentRole

if TYPE_CHECKING:
    from duologue.agents.red_team import RedTeamAgent
    from duologue.models.mock.file import MockModel
    from duologue.suites.runner.user_voice import SpokenUser


class SuiteUser(AgentAdapter):
    """Plays the user in one run. ``turn_spec`` says what is asked for now; None for a free conversation.

    Args:
        models: has the models.
        scenario: what is rehearsed.
        persona: of the test case; turns may name another.
        region: of the test case, for the templates of personas.
        spoken: how it sounds; None for one that writes.

    Attributes:
        voice, audio_effects, interruptions: how its lines are spoken, and how it cuts in.
    """

    role: ClassVar[AgentRole] = AgentRole.USER
    repeats: ClassVar[bool] = True

    def __init__(
        self,
        models: SuiteModels,
        scenario: Scenario,
        *,
        persona: str | None,
        region: str,
        spoken: SpokenUser | None = None,
    ) -> None:
        self.voice = spoken.voice if spoken else None
        self.audio_effects = tuple(spoken.effects) if spoken else ()
        self.interruptions = spoken.interruptions if spoken else None
        self.turn_spec: Turn | None = None
        self._models = models
        self._scenario = scenario
        self._persona = persona
        self._region = region
        self._cast: dict[tuple[str | None, str | None, float | None, int | None], AgentAdapter] = {}

    @property
    def name(self) -> str:
        """What reports call it."""
        return "user"

    @cached_property
    def attacker(self) -> RedTeamAgent | None:
        """The attacker of this run, if the persona of the case or of a turn is one."""
        simulated = [turn for turn in self._scenario.turns if turn.role == "simulated_user"]
        names = [turn.persona or self._persona for turn in simulated] if self._scenario.turns else [self._persona]
        specs = [self._persona_spec(name) for name in dict.fromkeys(names)]
        found = next((spec for spec in specs if spec and spec.attack), None)
        return attacker_for(self._models, self._scenario.name, found) if found else None

    def describe(self) -> dict[str, Any]:
        """The persona of the test case."""
        who = {"persona": self._persona} if self._persona else {}
        return {**who, **self.attacker.describe()} if self.attacker else who

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """What the persona of this turn says next."""
        turn = self.turn_spec
        persona = (turn.persona if turn else None) or self._persona
        spec = self._persona_spec(persona)
        simulator = None if spec and spec.way else self._simulator(turn)
        key = (persona, simulator, turn.user_temperature if turn else None, turn.seed if turn else None)
        actor = self._cast.get(key)
        if actor is None:
            actor = self._cast[key] = self._actor(spec, simulator)
        self._note(input, persona, simulator)
        return await actor.call(input)

    def _note(self, input: AgentInput, persona: str | None, simulator: str | None) -> None:
        if input.scope.journal is not None:
            input.scope.note(SimulatedUser(persona=persona, simulator=simulator))

    def _simulator(self, turn: Turn | None) -> str | None:
        if turn and turn.simulator:
            return turn.simulator
        simulators = self._models.suite.simulators
        return simulators[0].name if simulators else None

    def _actor(self, spec: PersonaSpec | None, simulator: str | None) -> AgentAdapter:
        if spec and spec.lines:
            return PersonaLines(spec)
        if spec and spec.agenda:
            return agenda_user(spec.agenda)
        if spec and spec.attack:
            assert self.attacker is not None, "a run has the attacker that its persona or a turn names"
            return self.attacker
        persona = spec.name if spec else None
        held = find_named(self._models.suite.simulators, simulator)
        model = held.model if held else None
        if self._models.mocking or (model is not None and self._models.is_mock(model)):
            return LineReader(self._models.lines(model or "simulator", scenario=self._scenario.name, persona=persona))
        return self._simulated(spec, model)

    def _simulated(self, spec: PersonaSpec | None, model: str | None) -> AgentAdapter:
        from duologue.agents.users.simulator import UserSimulatorAgent

        turn = self.turn_spec
        temperature, seed = (turn.user_temperature, turn.seed) if turn else (None, None)
        if spec is not None:
            temperature = spec.temperature if temperature is None else temperature
            seed = spec.seed if seed is None else seed
        extra: dict[str, Any] = {} if seed is None else {"seed": seed}
        return UserSimulatorAgent(
            model=self._models.model(model, scenario=self._scenario.name) if model else None,
            temperature=temperature,
            persona=persona_of(spec) if spec else Persona(),
            system_prompt=instruction_of(spec, self._models.suite, self._region) if spec else None,
            goal=self._scenario.goal,
            voice=self.voice,
            **extra,
        )

    def _persona_spec(self, name: str | None) -> PersonaSpec | None:
        if name is None:
            return None
        found = find_named(self._models.suite.personas, name)
        if found is None:
            known = [item.name for item in self._models.suite.personas]
            raise ConfigurationError(f"the suite has no persona '{name}'{nearest(name, known)}")
        return found


class PersonaLines(ScriptedUser):
    """Says the lines of a persona. Other personas may speak in other turns of the same run: theirs are not counted."""

    def __init__(self, spec: PersonaSpec) -> None:
        super().__init__(spec.lines or ())
        self._persona = spec.name

    def _said(self, input: AgentInput) -> int:
        journal, author = input.scope.journal, input.scope.participant
        if journal is None:
            return super()._said(input)
        notes = ((noted.call, noted.note) for noted in journal.view.notes)
        own = {call for call, note in notes if isinstance(note, SimulatedUser) and note.persona == self._persona}
        return sum(record.author == author and record.call in own for record in journal.view.records)


def agenda_user(spec: Agenda) -> AgentAdapter:
    """The user with that agenda."""
    from duologue.agents.users.agenda import AgendaUser, Phrases, Slot

    slots = [
        Slot(item.name, item.value, ask=item.ask, say=item.say, spoken=item.spoken, restated=item.restated)
        for item in spec.slots
    ]
    return AgendaUser(
        spec.goal,
        slots,
        opening=spec.opening,
        patience=spec.patience,
        cooperation=spec.cooperation,
        verbosity=spec.verbosity,
        confirm=spec.confirm,
        closing=spec.closing,
        success_patterns=spec.success_patterns,
        transfer_patterns=spec.transfer_patterns,
        question_patterns=spec.question_patterns,
        phrases=Phrases(**{name: value for name, value in spec.phrases if value is not None}),
    )


def attacker_for(models: SuiteModels, scenario: str, persona: PersonaSpec) -> RedTeamAgent:
    """The attacker that a persona is.

    Raises:
        ConfigurationError: a model is missing, or cannot do what it is to do.
    """
    from duologue.agents.red_team import DEFAULT_GOAT_TECHNIQUES, DEFAULT_TECHNIQUES, RedTeamAgent, objective

    spec = persona.attack
    assert spec is not None

    def model(name: str, lines_of: str) -> Model:
        if models.mocking or models.is_mock(name):
            return models.lines(name, scenario=scenario, persona=lines_of)
        return models.model(name, scenario=scenario)

    options: dict[str, Any] = {
        "target": objective(spec.objective) if spec.objective else spec.target,
        "total_turns": spec.turns,
        "model": model(spec.model, persona.name),
        "metaprompt_model": model(spec.metaprompt_model or spec.model, metaprompt_of(persona)),
        "attack_plan": spec.plan,
        "injection_probability": spec.injection_probability,
        "score_responses": spec.score_responses,
        "success_score": spec.success_score,
        "success_confirm_turns": spec.success_confirm_turns,
        "max_backtracks": spec.max_backtracks,
        "temperature": spec.temperature,
        "metaprompt_temperature": spec.metaprompt_temperature,
        "max_tokens": spec.max_tokens,
    }
    encodings, ids = spec.encodings, spec.techniques
    forms = [item for item in DEFAULT_TECHNIQUES if item.name in encodings] if encodings else None
    if spec.strategy == "crescendo":
        return RedTeamAgent.crescendo(techniques=forms, **options)
    moves = [item for item in DEFAULT_GOAT_TECHNIQUES if item.id in ids] if ids else None
    return RedTeamAgent.goat(goat_techniques=moves, encoding_techniques=forms, **options)


class LineReader(AgentAdapter):
    """Says what a response file has for the user. What is written there is said, whatever it sounds like."""

    role: ClassVar[AgentRole] = AgentRole.USER
    repeats: ClassVar[bool] = True

    def __init__(self, model: MockModel) -> None:
        self._model = model

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The next line, or the last."""
        try:
            answer = await ask(self._model, ModelRequest(messages=tuple(input.messages)), input.scope)
        except ModelError as error:
            raise SimulatorError(f"the simulated user has no line: {error}", who="user") from error
        content = answer.message.get("content")
        line: Message | str = {"role": "user", "content": content} if isinstance(content, list) else answer.text
        done = self._model.done(input.messages)
        return UserDone(reason=done, message=line or None) if done else line


_LEVELS: dict[str, Level] = {
    **dict.fromkeys(("low", "short", "terse", "brief"), "low"),
    **dict.fromkeys(("medium", "normal", "moderate"), "medium"),
    **dict.fromkeys(("high", "long", "verbose", "detailed"), "high"),
}
_BASE = {"context_slot": "", "domain_hint": "general", "user_context": "user"}
_GOALS = "Interact naturally and helpfully"
_CONSTRAINTS = "Be respectful and constructive"


def persona_of(spec: PersonaSpec) -> Persona:
    """The persona as a simulator takes it."""
    style = spec.style
    return Persona(
        description=spec.description,
        language=spec.language or "",
        goals=spec.goals,
        constraints=spec.constraints,
        traits=style.friction_tags if style else (),
        verbosity=_level(style.verbosity) if style else None,
        challenge=_level(style.challenge_level) if style else None,
        facts=spec.facts,
    )


def instruction_of(spec: PersonaSpec, suite: Suite, region: str) -> str | None:
    """The persona's own instruction for the simulator, filled in; None if it has none.

    Raises:
        ConfigurationError: a variable that it must have has no value, or a fragment cannot be read.
    """
    if spec.system_prompt is not None:
        return spec.system_prompt
    if spec.system_template is None:
        return None
    return _filled(spec, suite, region)


def _filled(spec: PersonaSpec, suite: Suite, region: str) -> str:
    values = {**spec.optional_vars, **_BASE, **_described(spec), "region": region, **_fragments(spec, suite)}
    lacking = [name for name in spec.required_vars if not values.get(name)]
    if lacking:
        raise ConfigurationError(
            f"the persona '{spec.name}' needs the variable '{lacking[0]}', which has no value: give it one in "
            "optional_vars"
        )
    return render(spec.system_template or "", values, nested=True)


def _described(spec: PersonaSpec) -> dict[str, str]:
    style = spec.style
    return {
        "persona_goals": ", ".join(spec.goals) or _GOALS,
        "persona_constraints": ", ".join(spec.constraints) or _CONSTRAINTS,
        "verbosity": (style.verbosity if style else None) or "medium",
        "challenge_level": (style.challenge_level if style else None) or "medium",
        "friction_tags": (", ".join(style.friction_tags) if style else "") or "none",
    }


def _fragments(spec: PersonaSpec, suite: Suite) -> dict[str, Any]:
    texts: dict[str, str] = {}
    for fragment in spec.fragments:
        if fragment.path is None:
            continue
        try:
            texts[fragment.name] = suite.path(fragment.path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            if fragment.required:
                told = f"the fragment '{fragment.name}' ({fragment.path}) cannot be read: {error}"
                raise ConfigurationError(f"the persona '{spec.name}': {told}") from error
    return texts


def _level(word: str | None) -> Level | None:
    return _LEVELS.get(word.lower()) if word else None
