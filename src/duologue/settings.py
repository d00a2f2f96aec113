"""Defaults, and how they are changed: per run, by ``configure``, by environment variables.

``ScenarioConfig`` is what a run obeys. What is not set on a run is taken from ``ScenarioConfig.default_config``, and
what is not set there from the field defaults below.
"""

import os
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict, Field, ValidationError

from duologue.errors import ConfigurationError
from duologue.own_model import OwnModel

DEFAULT_MAX_TURNS = 10
DEFAULT_AGENT_TIMEOUT = 60.0
DEFAULT_MODEL_TIMEOUT = 120.0


class ModelConfig(OwnModel):
    """A model and how to call it. Fields that are not listed are passed on to the provider as they are."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)

    model: str
    """Such as ``openai/gpt-5-mini``, ``mock/…`` or ``local``."""
    api_base: str | None = None
    """Address of an OpenAI-compatible server, in place of the provider's own."""
    api_key: str | None = Field(default=None, repr=False)
    temperature: float | None = 0.0
    max_tokens: int | None = None

    @property
    def extra(self) -> dict[str, Any]:
        """The provider's own options."""
        return dict(self.model_extra or {})


class ScenarioConfig(OwnModel):
    """What a run obeys. A field that is None is not set here."""

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid", defer_build=True)

    default_config: "ClassVar[ScenarioConfig | None]" = None
    """The process-wide default; the only global state of the library."""

    default_model: str | ModelConfig | None = None
    """Model of simulators and judges that name none."""
    max_turns: int | None = Field(default=DEFAULT_MAX_TURNS, ge=0)
    """Turns after which the conversation ends; 0 means the default."""
    verbose: bool | int | None = None
    """Print the conversation while it happens. 2 also prints judge decisions and timings."""
    cache_key: str | None = None
    """Remembers, on disk, what models answered this run and what functions under ``@duologue.cache()`` did."""
    debug: bool | None = None
    """Before the user speaks, ask the person at the terminal for the line; Enter lets the simulated user speak."""
    headless: bool | None = None
    """Never ask a person anything and never open anything."""
    observability: dict[str, Any] | None = None
    """Tracing options; see the tracing guide."""
    agent_timeout: float | None = Field(default=DEFAULT_AGENT_TIMEOUT, gt=0)
    """Seconds that one call of the agent under test may take."""
    model_timeout: float | None = Field(default=DEFAULT_MODEL_TIMEOUT, gt=0)
    """Seconds that one model call, and so one call of a simulator or judge per model call, may take."""
    run_timeout: float | None = Field(default=None, gt=0)
    """Seconds that the whole run may take; None for no limit."""
    record: str | Path | None = None
    """Where journals are kept: a ``.jsonl`` file or a folder that gets one file per run."""
    seed: int | None = None
    """Every random choice derives from it. None: a fresh one, which is recorded."""

    @classmethod
    def configure(
        cls,
        default_model: str | ModelConfig | None = None,
        max_turns: int | None = None,
        verbose: bool | int | None = None,
        cache_key: str | None = None,
        debug: bool | None = None,
        headless: bool | None = None,
        observability: dict[str, Any] | None = None,
        agent_timeout: float | None = None,
        model_timeout: float | None = None,
        run_timeout: float | None = None,
        record: str | Path | None = None,
        seed: int | None = None,
    ) -> None:
        """Change the process-wide defaults. An argument that is None keeps what was set before."""
        given = {name: value for name, value in locals().items() if name != "cls" and value is not None}
        base = cls.default_config or cls()
        cls.default_config = base.merge(_validated(given))

    def merge(self, other: "ScenarioConfig") -> "ScenarioConfig":
        """This configuration with everything that was set on ``other`` put over it."""
        given = {name: getattr(other, name) for name in other.model_fields_set}
        return self.model_copy(update={name: value for name, value in given.items() if value is not None})

    def items(self) -> dict[str, Any]:
        """The fields that are not None."""
        return {name: value for name, value in self if value is not None}

    @property
    def turn_limit(self) -> int:
        """``max_turns`` with the default in place of None and 0."""
        return self.max_turns or DEFAULT_MAX_TURNS


def effective_config(**given: Any) -> ScenarioConfig:
    """The process-wide defaults under the values that this run was given (None: not given).

    Raises:
        ConfigurationError: a value is invalid.
    """
    config = ScenarioConfig.default_config or _FIELD_DEFAULTS
    if any(value is not None for value in given.values()):
        config = config.merge(_validated({name: value for name, value in given.items() if value is not None}))
    if config.headless is None and env_flag("HEADLESS"):
        config = config.model_copy(update={"headless": True})
    return config


def _validated(given: dict[str, Any]) -> ScenarioConfig:
    try:
        return ScenarioConfig(**given)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc']))}={problem['input']!r}: {problem['msg']}"
            for problem in error.errors(include_url=False)
        )
        raise ConfigurationError(f"invalid settings: {problems}") from error


_FIELD_DEFAULTS = ScenarioConfig.model_construct()


def env(name: str) -> str | None:
    """``DUOLOGUE_<name>``, or the Scenario library's ``SCENARIO_<name>``; None when neither is set to something."""
    return os.environ.get(f"DUOLOGUE_{name}") or os.environ.get(f"SCENARIO_{name}") or None


def env_flag(name: str) -> bool:
    """Whether that variable is set to something other than 0, false or no."""
    return (env(name) or "0").strip().lower() not in {"0", "false", "no"}
