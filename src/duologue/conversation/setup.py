"""What a run is made of, gathered and checked once before it begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import PydanticSerializationError, to_json

from duologue.context import Context, fresh_seed
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.checking import Check
from duologue.conversation.result import ScenarioResult
from duologue.conversation.state import ScenarioState
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.artifacts import ArtifactStore
from duologue.journal.events import ParticipantSnapshot, RunStarted, ScenarioSnapshot
from duologue.journal.journal import JournalSink
from duologue.models.scope import Budget, Ledger
from duologue.settings import ModelConfig, ScenarioConfig, env
from duologue.vocabulary import CassetteMode

if TYPE_CHECKING:
    from duologue.models.cassette import Cassette

StepResult = ScenarioResult | None
ScriptStep = Callable[[ScenarioState], "StepResult | Awaitable[StepResult | object] | object"]

DEFAULT_SET = "default"


@frozen
class RunSetup:
    """Everything that the engine needs to play one scenario.

    Attributes:
        name, description: the scenario; the description is the situation that the simulated user is told.
        agents: who takes part.
        script: the steps; empty means that turns go on until something ends them.
        checks: assertions on every turn and on the whole conversation.
        config: what the run obeys.
        context: clock, ids and the seed of this run.
        set_id, batch_run_id, metadata: for grouping and finding runs.
        budget: what the model calls of this run may cost.
        ledger: what it spends from together with other runs; None for what the process may spend. What a resumed run
            has spent earlier is counted by whoever made it.
        cassette: where answers of the outside world are recorded or replayed, and how.
        resume: continue the run that the journal at ``config.record`` holds, if it holds one.
        sinks: keep the journal as well, beside the file.
        artifacts: keeps media and other bytes of the run; None for the folder ``media`` beside the journal.
    """

    name: str
    description: str
    agents: tuple[AgentAdapter, ...]
    script: tuple[ScriptStep, ...] = ()
    checks: tuple[Check, ...] = ()
    config: ScenarioConfig = field(default_factory=ScenarioConfig)
    context: Context = field(default_factory=Context)
    set_id: str = DEFAULT_SET
    batch_run_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    budget: Budget | None = None
    ledger: Ledger | None = None
    cassette: tuple[str | Path, CassetteMode] | None = None
    resume: bool = False
    sinks: tuple[JournalSink, ...] = ()
    artifacts: ArtifactStore | None = None

    def started(self, run_id: str, thread_id: str, attempt: int = 1) -> RunStarted:
        """The frozen snapshot that the journal begins with."""
        from duologue.version import __version__

        return RunStarted(
            run_id=run_id,
            thread_id=thread_id,
            batch_run_id=self.batch_run_id,
            scenario=ScenarioSnapshot(
                name=self.name,
                description=self.description,
                script=tuple(step_name(step) for step in self.script),
                checks=tuple(check.name for check in self.checks),
                max_turns=self.config.turn_limit,
                set_id=self.set_id,
                metadata=dict(self.metadata),
            ),
            participants=tuple(_snapshot(agent) for agent in self.agents),
            settings=_settings_snapshot(self.config),
            seed=self.context.seed,
            duologue_version=__version__,
            attempt=attempt,
        )


def _snapshot(agent: AgentAdapter) -> ParticipantSnapshot:
    details = plain(agent.describe(), f"{agent.name}.describe()")
    return ParticipantSnapshot(
        name=agent.name, role=agent.role, details=details, reports_tool_calls=agent.reports_tool_calls
    )


def plain(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    """That mapping, once it is known to be JSON data; journals hold nothing else."""
    try:
        to_json(value)
    except (PydanticSerializationError, ValueError) as error:
        raise ConfigurationError(f"{what} holds something that is no JSON data: {error}") from error
    return dict(value)


def whole_number(value: object, what: str, of: str) -> int | None:
    """That number, once it is known to be at least 1; None where none is given."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{what}: found {value!r}; expected a whole number from 1, of {of}")
    return value


def checked_text(value: object, what: str) -> str:
    """That text, once it is known to be one."""
    if not isinstance(value, str):
        raise ConfigurationError(f"the {what} of a scenario is {value!r}; expected a string")
    return value


def checked_agents(agents: Sequence[object]) -> tuple[AgentAdapter, ...]:
    """The participants, once each of them is known to be one."""
    for index, agent in enumerate(agents):
        if isinstance(agent, type):
            raise ConfigurationError(
                f"agents[{index}] is the class {agent.__name__}; expected an object: {agent.__name__}()"
            )
        if not isinstance(agent, AgentAdapter):
            raise ConfigurationError(
                f"agents[{index}] is a {type(agent).__name__}; expected an AgentAdapter. Subclass "
                "duologue.AgentAdapter and write 'async def call(self, input)'."
            )
    return tuple(agent for agent in agents if isinstance(agent, AgentAdapter))


def checked_script(script: Sequence[object] | None) -> tuple[ScriptStep, ...]:
    """The steps, once each of them can be called."""
    for index, step in enumerate(script or ()):
        if not callable(step):
            raise ConfigurationError(
                f"script[{index}] is a {type(step).__name__}; expected a step such as duologue.user(…) or a function "
                "of the state"
            )
    return tuple(script or ())  # pyright: ignore[reportReturnType]


def context_for(config: ScenarioConfig, context: Context | None) -> Context:
    """The run's context: the given one, else the system's under the configured or a fresh seed."""
    if context is None:
        return Context(seed=fresh_seed() if config.seed is None else config.seed)
    return context if config.seed is None else context.with_seed(config.seed)


def journal_path(record: str | Path | None, run_id: str) -> Path | None:
    """Where the journal of this run is kept: the ``.jsonl`` file itself, or a file of its own in a folder."""
    if record is None:
        return None
    path = Path(record)
    return path if path.suffix == ".jsonl" else path / f"{run_id}.jsonl"


def cassette_for(setup: RunSetup) -> Cassette | None:
    """A tape of its own for a new run; a run with a ``cache_key`` has one among the remembered calls."""
    if setup.cassette is None and not setup.config.cache_key:
        return None
    from duologue.conversation.cache import cache_folder
    from duologue.models.cassette import Cassette, cassette_path

    if setup.cassette is not None:
        place, mode = setup.cassette
        path = cassette_path(place, setup.name)
        if setup.resume and mode is CassetteMode.RECORD and path.exists():
            mode = CassetteMode.AUTO  # the tape that the interrupted run began is recorded to its end
        return Cassette(path, mode)
    scenario = f"{setup.config.cache_key}\n{setup.name}\n{setup.description}"
    return Cassette(cassette_path(cache_folder(), scenario), CassetteMode.AUTO)


def batch_id(given: str | None) -> str | None:
    """The batch that a run belongs to: given, or from the environment."""
    return given or env("BATCH_RUN_ID")


def step_name(step: ScriptStep) -> str:
    """What a step is called in the journal and in reports."""
    return getattr(step, "__name__", type(step).__name__)


def _settings_snapshot(config: ScenarioConfig) -> dict[str, Any]:
    """The settings as plain data, without keys."""
    snapshot: dict[str, Any] = {}
    for name, value in config.items().items():
        if name in _LEFT_OUT:
            continue
        if isinstance(value, ModelConfig):
            # Addresses, headers and options of providers may hold keys: they stay out of journals.
            value = value.model_dump(include={"model", "temperature", "max_tokens"}, exclude_none=True)
        snapshot[name] = str(value) if isinstance(value, Path) else value
    return snapshot


_LEFT_OUT = {"observability", "verbose", "debug", "headless", "record"}
"""Settings that do not change what happens in a conversation."""
