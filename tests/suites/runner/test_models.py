"""Models as a suite describes them, against a server of OpenAI's protocol: what it is sent, and what it costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from duologue.errors import ConfigurationError
from duologue.journal.events import Usage
from duologue.models.base import ModelRequest
from duologue.models.scripted import mock_model
from duologue.specs.agents import Model, Pricing
from duologue.specs.suite import Suite
from duologue.suites.runner.models import LateModel, Pace, SuiteModel, SuiteModels, price, suite_model
from duologue.vocabulary import RunStatus

Put = Callable[[str, str], Path]
ASK = ModelRequest(messages=({"role": "user", "content": "Hello"},))
SCENARIO = {"name": "hi", "turns": [{"content": "Hello"}], "prompt": "help"}
PROMPTS = [{"name": "help", "system_template": "You help."}]


def served(server: Any, name: str = "gpt", **fields: Any) -> dict[str, Any]:
    return {
        "name": name,
        "provider": "openai",
        "model": "small",
        "base_url": server.url,
        "credential": {"api_key": "k"},
        **fields,
    }


def shelf_of(**spec: Any) -> SuiteModels:
    return SuiteModels(Suite.model_validate({"name": "s", **spec}))


async def test_a_model_writes_as_the_suite_says_for_whoever_asks(provider: Any) -> None:
    sampling = {"temperature": 0.3, "max_tokens": 50, "top_p": 0.9}
    model = shelf_of(models=[served(provider, sampling=sampling)]).model("gpt", scenario="s")
    await model.answer(ASK)
    await model.answer(ModelRequest(messages=ASK.messages, temperature=0.0))
    sent = [{key: request.get(key) for key in ("temperature", "top_p")} for request in provider.requests]
    assert sent == [{"temperature": 0.3, "top_p": 0.9}, {"temperature": 0.0, "top_p": 0.9}]
    assert {request.get("max_tokens") or request.get("max_completion_tokens") for request in provider.requests} == {50}


async def test_a_model_is_not_sent_what_it_does_not_support(provider: Any) -> None:
    refused = ["temperature", "top_p", "seed", "stop"]
    spec = served(provider, unsupported_params=refused, sampling={"temperature": 0.3, "top_p": 0.9})
    model = shelf_of(models=[spec]).model("gpt", scenario="s")
    await model.answer(ModelRequest(messages=ASK.messages, temperature=0.7, seed=4, stop=("x",), extra={"top_p": 1}))
    assert not set(refused) & set(provider.requests[0])


async def test_headers_and_options_go_with_the_request(provider: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_OF_TEST", "blue")
    spec = served(provider, headers={"X-Team": "${TEAM_OF_TEST}"}, options={"store": False})
    await shelf_of(models=[spec]).model("gpt", scenario="s").answer(ASK)
    assert provider.headers[0]["x-team"] == "blue"
    assert provider.requests[0]["store"] is False


@pytest.mark.parametrize("name", ["temperature", "max_tokens", "api_key", "model", "api_base"])
def test_an_option_that_has_a_field_of_its_own_is_refused(name: str) -> None:
    shelf = shelf_of(models=[{"name": "gpt", "provider": "openai", "model": "m", "options": {name: 1}}])
    with pytest.raises(ConfigurationError, match=rf"the model 'gpt': options\.{name}: expected .* in its place"):
        shelf.model("gpt", scenario="s")


async def test_the_price_of_the_suite_comes_before_the_packaged_one(provider: Any) -> None:
    pricing = {"input_cost_per_1k": 1.0, "output_cost_per_1k": 10.0}
    answer = await shelf_of(models=[served(provider, pricing=pricing)]).model("gpt", scenario="s").answer(ASK)
    assert answer.cost == pytest.approx((answer.usage.input_tokens + 10 * answer.usage.output_tokens) / 1000)
    assert answer.cost > 0
    assert price(Usage(input_tokens=500, output_tokens=100), Pricing.model_validate(pricing)) == pytest.approx(1.5)


@pytest.mark.parametrize(("judge", "asked"), [("large", "large-one"), ("usual", "small")])
@pytest.mark.parametrize("of", ["criteria", "check"])
async def test_a_judge_can_use_another_model_of_the_same_provider(
    refusing: Any, put: Put, play: Any, judge: str, asked: str, of: str
) -> None:
    put("bot.py", "def answer(input): return 'yes'\n")
    scenario: dict[str, Any] = {"name": "hi", "turns": [{"content": "Hello"}]}
    if of == "criteria":
        scenario |= {"criteria": ["c"], "judge": judge}
    else:
        scenario["checks"] = [{"type": "llm_judge_session", "params": {"criteria": "c", "judge": judge}}]
    await play(
        agents=[{"name": "bot", "target": "bot.py:answer"}],
        models=[served(refusing)],
        judges=[{"name": "large", "model": "gpt", "model_name": "large-one"}, {"name": "usual", "model": "gpt"}],
        scenarios=[scenario],
    )
    assert {request["model"] for request in refusing.requests} == {asked}


def test_another_model_of_a_provider_that_the_suite_has_no_entry_for() -> None:
    made = shelf_of().model("mock/fixed:one", scenario="s", instead="fixed:two")
    assert made.name == "mock/fixed:two"


async def test_a_request_may_take_as_long_as_the_model_says(provider: Any, play: Any) -> None:
    provider.hold = asyncio.Event()
    spec = served(provider, request_timeout="100ms")
    execution = await play(
        agents=[{"name": "bot", "model": "gpt"}], models=[spec], prompts=PROMPTS, scenarios=[SCENARIO]
    )
    (only,) = execution.runs
    assert only.status is RunStatus.ERROR
    assert "openai/small did not answer within 0.1 s" in only.error.message


async def test_an_agent_made_of_a_model_writes_as_the_suite_and_the_command_line_say(provider: Any, play: Any) -> None:
    from duologue.suites.runner.definition import RunOptions

    spec = {
        "agents": [{"name": "bot", "model": "gpt"}],
        "models": [served(provider, sampling={"temperature": 0.3})],
        "prompts": PROMPTS,
        "defaults": {"temperature": 0.9, "max_tokens": 30},
    }
    turns = [{"content": "Hello"}, {"content": "Again", "agent_temperature": 0.6}]
    await play(**spec, scenarios=[{**SCENARIO, "turns": turns}])
    await play(RunOptions(temperature=0.1, max_tokens=9), **spec, scenarios=[{**SCENARIO, "turns": turns}])
    assert [request["temperature"] for request in provider.requests] == [0.3, 0.6, 0.1, 0.6]
    limits = [request.get("max_completion_tokens") or request.get("max_tokens") for request in provider.requests]
    assert limits == [30, 30, 9, 9]


def test_a_model_of_which_the_suite_says_nothing_is_itself_and_one_that_continues_texts_still_does() -> None:
    inner = mock_model("echo")
    assert suite_model(inner, Model(name="m", provider="mock")) is inner

    class Continues:
        name = "local"

        async def answer(self, request: ModelRequest) -> Any:
            raise AssertionError

        async def complete(self, prompt: str, **options: Any) -> str:
            return prompt + str(options["max_tokens"])

    limited = Model(name="m", provider="local", request_timeout="5s")
    made: Any = suite_model(Continues(), limited)
    assert made.timeout == 5.0
    assert asyncio.run(made.complete("a", max_tokens=3)) == "a3"
    assert not hasattr(suite_model(inner, limited), "complete")


class Patient:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


async def test_requests_keep_the_pace_after_as_many_at_once_as_are_allowed() -> None:
    clock = Patient()
    pace = Pace(rps=2, burst=3, clock=clock)
    sent: list[float] = []
    for _ in range(6):
        await pace.wait()
        sent.append(clock.time - 100)
    assert sent == [0, 0, 0, 0.5, 1.0, 1.5]


async def test_a_model_waits_for_its_turn() -> None:
    clock = Patient()
    model = SuiteModel(inner=mock_model("echo"), pace=Pace(rps=4, clock=clock))
    for _ in range(3):
        await model.answer(ASK)
    assert clock.time == 100.5


async def test_a_model_that_nobody_asks_is_never_made() -> None:
    def fails() -> Any:
        raise ConfigurationError("no key")

    late = LateModel(fails, "judge j")
    assert late.name == "judge j"
    with pytest.raises(ConfigurationError, match="no key"):
        await late.answer(ASK)


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ({"role": "tts"}, "'role: tts'; it cannot take part in a chat"),
        ({"platform": {"type": "azure"}}, "hosted on azure, which is not supported yet"),
        ({"credential": {"credential_file": "no.key"}}, "credential_file .*no.key cannot be read"),
        ({"credential": {"credential_env": "NO_SUCH_KEY_OF_TEST"}}, "NO_SUCH_KEY_OF_TEST is not set"),
    ],
)
def test_a_model_that_cannot_be_used_is_told_when_it_is_asked_for(spec: dict[str, Any], told: str) -> None:
    shelf = shelf_of(models=[{"name": "gpt", "provider": "openai", "model": "m", **spec}])
    with pytest.raises(ConfigurationError, match=told):
        shelf.model("gpt", scenario="s")


def test_a_name_that_no_model_has_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match="no model 'gtp'; did you mean 'gpt'"):
        shelf_of(models=[{"name": "gpt", "provider": "openai", "model": "m"}]).model("gtp", scenario="s")


@pytest.mark.parametrize("user", ["scripted", "simulated"])
async def test_the_model_mock_needs_no_entry_and_no_file(play: Any, user: str) -> None:
    turn = {"role": "simulated_user", "persona": "ann", "exchanges": 1} if user == "simulated" else {"content": "Hello"}
    execution = await play(
        prompts=PROMPTS,
        personas=[{"name": "ann", "system_template": "You are Ann."}],
        simulators=[{"name": "people", "model": "mock"}],
        agents=[{"name": "bot", "model": "mock", "prompt": "help"}],
        scenarios=[{**SCENARIO, "turns": [turn], "checks": [{"type": "min_length", "params": {"min": 1}}]}],
    )
    (run,) = execution.runs
    assert run.outcome == "pass", run.error
