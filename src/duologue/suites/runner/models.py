"""The models of a suite, by the names that agents, simulators, judges and checks use.

A model is created when it is first asked for, so that keys are needed only for models that take part. In mock mode
every model answers from a response file and nothing is sent anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Unpack

from duologue.config.durations import parse_duration
from duologue.config.problems import nearest
from duologue.config.templates import expand, expand_url
from duologue.context import Clock, SystemClock
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.journal.events import Usage
from duologue.models.base import (
    Completion,
    CompletionModel,
    CompletionOptions,
    Model,
    ModelAnswer,
    ModelRequest,
    can_complete,
)
from duologue.models.names import parse_name
from duologue.models.prices import cost_beforehand
from duologue.models.resolve import resolve
from duologue.models.scope import stopped_clock
from duologue.settings import ModelConfig
from duologue.specs.agents import Judge, Pricing, is_model_name
from duologue.specs.agents import Model as ModelSpec
from duologue.specs.suite import Suite, find_named
from duologue.suites.manifests.validate.checks import resources_of

if TYPE_CHECKING:
    from duologue.checks import Resources
    from duologue.models.mock.file import MockModel, ResponseFile

_MOCK = "mock"
_REPLAY = "replay"
_INSTEAD = {
    "model": "the field 'model'",
    "api_base": "the field 'base_url'",
    "api_key": "the field 'credential'",
    "temperature": "sampling.temperature",
    "max_tokens": "sampling.max_tokens",
}
"""Options of the provider that have a field of their own."""


class SuiteModels:
    """Finds and makes models; one for all runs of an execution.

    Args:
        suite: has the models.
        mocks: the response file of mock mode; None for real models.
        mocking: mock mode, with or without a file.
        given: models that exist already, by name.
    """

    def __init__(
        self,
        suite: Suite,
        *,
        mocks: ResponseFile | None = None,
        mocking: bool = False,
        given: Mapping[str, Model] | None = None,
    ) -> None:
        self.suite = suite
        self._mocks = mocks
        self._mocking = mocking or mocks is not None
        self._made: dict[str, Model] = dict(given or {})
        self._files: dict[str, ResponseFile] = {}

    @property
    def mocking(self) -> bool:
        """Whether every model answers from a file."""
        return self._mocking

    def spec(self, name: str) -> ModelSpec | None:
        """What the suite says of a model; None for a name such as ``openai/gpt-5-mini``."""
        return find_named(self.suite.models, name)

    def model(
        self,
        name: str,
        *,
        scenario: str,
        judge: str | None = None,
        instead: str | None = None,
    ) -> Model:
        """The model of that name, for one run.

        Args:
            name: of the suite's models, or one such as ``openai/gpt-5-mini``.
            scenario: which is rehearsed; mocks answer by it.
            judge: which judge it plays.
            instead: another model of the same provider; None for the one that is written there.

        Raises:
            ConfigurationError: there is no such model, or it cannot be used here.
        """
        if self.is_mock(name):
            return self._mock(name, scenario, judge=judge)
        key = f"{name}\x1f{instead}" if instead else name
        made = self._made.get(key)
        if made is None:
            made = self._made[key] = self._make(name, instead)
        return made

    def lines(self, name: str, *, scenario: str, persona: str | None) -> MockModel:
        """The mock model of that name as a simulated user: it says the persona's lines."""
        return self._mock(name, scenario, persona=persona or "")

    def is_mock(self, name: str) -> bool:
        """Whether it answers from a response file."""
        spec = self.spec(name)
        return self._mocking or (name == _MOCK if spec is None else spec.provider == _MOCK)

    def access(self, name: str) -> tuple[str | None, str | None]:
        """Address and key of a model's API, as far as the suite says them.

        Raises:
            ConfigurationError: a file or variable that the suite names cannot be read.
        """
        spec = self.spec(name)
        if spec is None:
            return None, None
        return expand_url(spec.base_url) if spec.base_url else None, self._key(spec)

    def _mock(self, name: str, scenario: str, *, persona: str | None = None, judge: str | None = None) -> MockModel:
        from duologue.models.mock.file import MockModel

        spec = self.spec(name)
        return MockModel(
            self._responses(spec, helps=persona is not None or judge is not None),
            model_name=(spec.model if spec else None) or name,
            provider=name,
            scenario=scenario,
            persona=persona,
            judge=judge,
        )

    def _responses(self, spec: ModelSpec | None, *, helps: bool) -> ResponseFile | None:
        """The file of mock mode; a simulator or judge that is a mock anyway keeps its own."""
        own = spec is not None and spec.provider == _MOCK and helps
        if spec is None or not spec.mock_file or (self._mocks is not None and not own):
            return self._mocks
        held = self._files.get(spec.mock_file)
        if held is None:
            from duologue.models.mock.file import ResponseFile

            held = self._files[spec.mock_file] = ResponseFile.read(self.suite.path(spec.mock_file))
        return held

    def _make(self, name: str, instead: str | None) -> Model:
        spec = self.spec(name)
        if spec is None:
            if is_model_name(name):
                return resolve(f"{parse_name(name).provider}/{instead}" if instead else name)
            known = [item.name for item in self.suite.models]
            raise ConfigurationError(f"the suite has no model '{name}'{nearest(name, known)}")
        if spec.provider == _REPLAY:
            from duologue.suites.runner.replay_model import replay_model

            return replay_model(spec, self.suite)
        return suite_model(resolve(self._config(spec.changed(model=instead) if instead else spec)), spec)

    def _config(self, spec: ModelSpec) -> ModelConfig:
        if spec.role != "llm":
            raise ConfigurationError(f"the model '{spec.name}' has 'role: {spec.role}'; it cannot take part in a chat")
        if spec.platform:
            raise ConfigurationError(
                f"the model '{spec.name}' is hosted on {spec.platform.type}, which is not supported yet; write its "
                "OpenAI-compatible address as base_url, or use an agent with 'target' or 'http'"
            )
        options: dict[str, Any] = dict(spec.options)
        for name in _INSTEAD.keys() & options.keys():
            raise ConfigurationError(f"the model '{spec.name}': options.{name}: expected {_INSTEAD[name]} in its place")
        if spec.headers:
            options["extra_headers"] = {key: expand(value, secret=True) for key, value in spec.headers.items()}
        full = spec.provider if spec.provider == "local" and not spec.model else f"{spec.provider}/{spec.model}"
        return ModelConfig(
            model=full,
            api_base=expand_url(spec.base_url) if spec.base_url else None,
            api_key=self._key(spec),
            temperature=None,
            **options,
        )

    def _key(self, spec: ModelSpec) -> str | None:
        credential = spec.credential
        if credential is None:
            return None
        if credential.api_key:
            return expand(credential.api_key, secret=True)
        if credential.credential_file:
            path = self.suite.path(credential.credential_file)
            try:
                return path.read_text().strip()
            except OSError as error:
                raise ConfigurationError(
                    f"the model '{spec.name}': its credential_file {path} cannot be read: {error.strerror}"
                ) from error
        return expand("${" + credential.credential_env + "}", secret=True) if credential.credential_env else None


class JudgeModels(Mapping[str, Model]):
    """The judges of a suite by name, each made when a check asks for it."""

    def __init__(self, models: SuiteModels, scenario: str) -> None:
        self._models = models
        self._scenario = scenario
        self._judges: dict[str, Judge] = {judge.name: judge for judge in models.suite.judges}

    def __getitem__(self, name: str) -> Model:
        judge = self._judges[name]
        return self._models.model(judge.model, scenario=self._scenario, judge=name, instead=judge.model_name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._judges)

    def __len__(self) -> int:
        return len(self._judges)

    def later(self, name: str) -> Model:
        """A judge that is made when it is first asked."""
        return LateModel(lambda: self[name], f"judge {name}")


class LateModel:
    """A model that is made when it is first asked, so that nobody needs a key for a judge that is never called."""

    def __init__(self, make: Callable[[], Model], name: str) -> None:
        self._make = make
        self._name = name
        self._model: Model | None = None

    @property
    def name(self) -> str:
        """The model's own, once there is one."""
        return self._model.name if self._model else self._name

    @property
    def timeout(self) -> float | None:
        """The model's own patience."""
        return getattr(self.prepare(), "timeout", None)

    def cost_of(self, usage: Usage, now: float) -> float | None:
        """US dollars for these tokens; None where no price is known."""
        return cost_beforehand(self.prepare(), usage, now)

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """What the model answers."""
        return await self.prepare().answer(request)

    def prepare(self) -> Model:
        """Make the model, if it is not made yet.

        Raises:
            ConfigurationError: it cannot be made.
        """
        self._model = self._model or self._make()
        return self._model


_PER = 1000
_SAMPLING = ("temperature", "max_tokens", "seed", "stop")
"""Fields of a request that a model may refuse; whatever else it refuses is among the options of the provider."""
_UNSET: dict[str, Any] = {"stop": ()}


def suite_model(inner: Model, spec: ModelSpec) -> Model:
    """The model with what the suite says of it; the model itself if that is nothing."""
    pace = Pace(rps=spec.rate_limit.rps, burst=spec.rate_limit.burst) if spec.rate_limit else None
    sampling = _options(spec)
    refused = frozenset(spec.unsupported_params)
    timeout = parse_duration(spec.request_timeout) if spec.request_timeout else None
    if not (spec.pricing or pace or sampling or refused or timeout):
        return inner
    kind = SuiteCompletionModel if can_complete(inner) else SuiteModel
    return kind(inner=inner, pricing=spec.pricing, pace=pace, sampling=sampling, refused=refused, timeout=timeout)


def _options(spec: ModelSpec) -> dict[str, Any]:
    given = {name: getattr(spec.sampling, name, None) for name in ("temperature", "max_tokens", "top_p")}
    return {name: value for name, value in given.items() if value is not None}


@frozen
class SuiteModel:
    """A model as a suite has it.

    Attributes:
        inner: who answers.
        pricing: in place of the packaged price; None for that.
        pace: how often it may be asked; None for no limit.
        sampling: how it writes where nobody says it.
        refused: options that it must not be sent.
        timeout: seconds that one request may take, for whoever asks; None for the run's ``model_timeout``.
    """

    inner: Model
    pricing: Pricing | None = None
    pace: Pace | None = None
    sampling: Mapping[str, Any] = field(default_factory=dict[str, Any])
    refused: frozenset[str] = frozenset()
    timeout: float | None = None

    @property
    def name(self) -> str:
        """The inner model's."""
        return self.inner.name

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """Wait for the model's turn, ask it, and put a price on the answer."""
        if self.pace:
            await self.pace.wait()
        answer = await self.inner.answer(self._completed(request))
        return replace(answer, cost=price(answer.usage, self.pricing)) if self.pricing else answer

    def cost_of(self, usage: Usage, now: float) -> float | None:
        """US dollars for these tokens; None where no price is known."""
        return price(usage, self.pricing) if self.pricing else cost_beforehand(self.inner, usage, now)

    def _completed(self, request: ModelRequest) -> ModelRequest:
        """The request with the model's own way of writing, and without what it refuses."""
        changes: dict[str, Any] = {}
        extra = dict(request.extra)
        for name, value in self.sampling.items():
            if name not in _SAMPLING:
                extra.setdefault(name, value)
            elif getattr(request, name) is None:
                changes[name] = value
        changes.update({name: _UNSET.get(name) for name in _SAMPLING if name in self.refused})
        changes["extra"] = {name: value for name, value in extra.items() if name not in self.refused}
        return replace(request, **changes)


@frozen
class SuiteCompletionModel(SuiteModel):
    """The same for a model that can also continue a text."""

    async def complete(self, prompt: str, **options: Unpack[CompletionOptions]) -> Completion:
        """Wait for the model's turn, and have it continue the text."""
        inner = self.inner
        assert isinstance(inner, CompletionModel)
        if self.pace:
            await self.pace.wait()
        return await inner.complete(prompt, **options)


def price(usage: Usage, pricing: Pricing) -> float:
    """US dollars for these tokens."""
    read = usage.input_tokens * pricing.input_cost_per_1k
    return (read + usage.output_tokens * pricing.output_cost_per_1k) / _PER


@dataclass(kw_only=True)
class Pace:
    """So many requests a second, with a few at once after a pause. One for all runs that share a model.

    Attributes:
        rps: requests a second.
        burst: requests at once.
        clock: measures the seconds; shared by all runs, so it is not the clock of one.
    """

    rps: float
    burst: int = 1
    clock: Clock = field(default_factory=SystemClock)
    _free_at: float = 0.0

    async def wait(self) -> None:
        """Until the next request may be sent; the wait does not count against its timeout."""
        now = self.clock.monotonic()
        step = 1 / self.rps
        self._free_at = max(self._free_at, now - self.burst * step) + step
        delay = self._free_at - now
        if delay > 0:
            with stopped_clock():
                await self.clock.sleep(delay)


def resources_for(models: SuiteModels, scenario: str) -> Resources:
    """What checks and guardrails may ask in the runs of a scenario or replay."""
    held: Resources = resources_of(models.suite)
    judges = JudgeModels(models, scenario)
    defaults = models.suite.judge_defaults
    name = (defaults.judge if defaults else None) or next(iter(judges), None)
    if name is not None:
        return replace(held, judges=judges, judge=judges.later(name))
    if models.mocking:
        return replace(held, judge=models.model("judge", scenario=scenario, judge="default"))
    return held
