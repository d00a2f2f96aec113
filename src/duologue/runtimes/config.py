"""What users write about runtimes: the base of their configurations, and how test cases are run."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from duologue.config.spec import Count, Items, JsonObject, Name, Seconds, Spec, Text


class RuntimeConfig(Spec):
    """Base of the configurations of runtimes. Each has a field ``kind`` that can only be the kind of its runtime."""


class UserSimulatorConfig(Spec):
    """Who plays the user."""

    mode: Literal["llm", "scripted"] = "llm"
    """``llm``: a language model. ``scripted``: the lines below, one by one."""
    scripted_messages: Items[Text] = ()
    """What a scripted user says."""
    model: str | None = None
    """Model that plays the user, such as ``openai/gpt-5-mini``. Default: the default model."""
    provider: str | None = None
    """Provider of ``model``, where its name does not say it."""
    api_base: str | None = None
    """URL of an OpenAI-compatible server, in place of the provider's own."""
    temperature: Annotated[float, Field(ge=0)] | None = None
    """Sampling temperature."""

    @model_validator(mode="after")
    def _has_lines(self) -> Self:
        if self.mode == "scripted" and not self.scripted_messages:
            raise ValueError("at least one of scripted_messages, because the mode is 'scripted'")
        return self


class AgentSimulatorConfig(Spec):
    """Which model plays an agent that runs in this process. What is not set is the agent's own."""

    model: str | None = None
    """Model, such as ``openai/gpt-5-mini``."""
    provider: str | None = None
    """Provider of ``model``, where its name does not say it."""
    api_base: str | None = None
    """URL of an OpenAI-compatible server, in place of the provider's own."""
    temperature: Annotated[float, Field(ge=0)] | None = None
    """Sampling temperature."""
    max_tokens: Count | None = None
    """Longest answer, in tokens."""


Percent = Annotated[float, Field(ge=0, le=100)]
"""Between 0 and 100."""


class JudgeMetric(Spec):
    """A metric that conversations are graded by."""

    metric: Name
    """A predefined metric such as ``tool_routing``, or one that is saved in the project."""
    weight: Annotated[float, Field(ge=0, le=1_000_000)] | None = None
    """Its share of the score, relative to those of other metrics. Default: the metric's own."""


class JudgeConfig(Spec):
    """Which model judges conversations, by which metrics, and what is enough."""

    metrics: Items[JudgeMetric] = ()
    """Metrics that are graded. Default: the predefined ones, and those of the project that are included by default."""
    pass_threshold: Percent = 75.0
    """Lowest score, 0 to 100, with which a test case without expected outcomes passes."""
    min_score: Annotated[int, Field(ge=0, le=5)] | None = None
    """Lowest score, 0 to 5, of each metric with a weight. A test case with a lower one fails, whatever the weights
    make of it. Default: any; a test case that passes with a 0 says so."""
    model: str | None = None
    """Model that judges, such as ``openai/gpt-5-mini``. Default: the project's ``evaluation_model``."""
    provider: str | None = None
    """Provider of ``model``, where its name does not say it."""

    @model_validator(mode="after")
    def _has_each_metric_once(self) -> Self:
        names = [item.metric for item in self.metrics]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"each metric once; '{twice}' stands here twice")
        return self


class RunConfig(Spec):
    """How the test cases of an execution are run and judged."""

    timeout_per_test_case_ms: Annotated[int, Field(ge=1)] = 120_000
    """Time limit for one test case, in milliseconds."""
    agent_timeout: Seconds | None = None
    """Time limit for one answer of the agent. Default: 60 seconds. It never exceeds what is left for the test case."""
    max_turns: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Turns after which a conversation ends. Default: 10."""
    tool_mode: Literal["mock", "live"] = "mock"
    """Whether tools of an agent that runs in this process are mocked."""
    user_simulator: UserSimulatorConfig = UserSimulatorConfig.model_construct()
    """Who plays the user."""
    agent_simulator: AgentSimulatorConfig = AgentSimulatorConfig.model_construct()
    """Model of an agent that runs in this process."""
    mode: Literal["text", "voice"] = "text"
    """Whether agent and user write or speak."""
    runtime: JsonObject | None = None
    """Configuration of the runtime, as ``{kind: …}``. Default: the agent's own way; of agents with a prompt,
    ``native``."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Test cases of one execution that are run at the same time, over all workers. Default: as many as workers take."""
    judge: JudgeConfig = JudgeConfig.model_construct()
    """Who judges, by what, and what is enough."""
    metrics_pass_threshold: Percent = 80.0
    """Lowest weighted score over all test cases, 0 to 100, with which the metrics of an execution pass."""
    cases_pass_threshold: Percent = 100.0
    """Share of the test cases, in percent, that has to pass."""

    @property
    def seconds(self) -> float:
        """That a test case may take."""
        return self.timeout_per_test_case_ms / 1000


def model_name(model: str | None, provider: str | None) -> str | None:
    """The full name of a model, such as ``openai/gpt-5-mini``; None where none is given."""
    if model is None or provider is None or model.startswith(f"{provider}/"):
        return model
    return f"{provider}/{model}"
