from __future__ import annotations

import dataclasses

import pytest

from duologue.errors import ConfigurationError, MissingKeyError
from duologue.messages import user_message
from duologue.models import ScriptedModel, choose
from duologue.settings import ModelConfig, ScenarioConfig


def test_no_model_anywhere_says_how_to_get_one() -> None:
    with pytest.raises(
        ConfigurationError, match=r"the judge needs .*duologue\.configure\(default_model=.*'local'.*Scr"
    ):
        choose(purpose="the judge")


def test_the_default_is_used_and_arguments_come_first() -> None:
    ScenarioConfig.configure(
        default_model=ModelConfig(
            model="openai/a", api_base="http://x", api_key="k", temperature=0.7, max_tokens=99, top_p=0.1, seed=1
        )
    )
    default = choose()
    assert (default.name, default.temperature, default.max_tokens) == ("openai/a", 0.7, 99)
    assert default.extra == {"top_p": 0.1, "seed": 1}
    other = choose("openai/b", temperature=0.0, max_tokens=0, extra={"top_p": 0.9})
    assert (other.name, other.temperature, other.max_tokens) == ("openai/b", 0.0, 0)
    assert other.extra == {"top_p": 0.9, "seed": 1}
    assert isinstance(other.source, ModelConfig)
    assert other.source.api_base == "http://x"


def test_address_key_and_options_do_not_follow_to_another_provider() -> None:
    ScenarioConfig.configure(
        default_model=ModelConfig(model="openai/a", api_base="http://x", api_key="k", temperature=0.7, top_p=0.1)
    )
    choice = choose("anthropic/claude")
    assert isinstance(choice.source, ModelConfig)
    assert (choice.source.api_base, choice.source.api_key, choice.extra) == (None, None, {})
    assert choice.temperature == 0.7


def test_a_name_without_a_provider_takes_over_the_settings_of_its_provider() -> None:
    ScenarioConfig.configure(default_model=ModelConfig(model="openai/a", api_base="http://x", api_key="k"))
    assert choose("gpt-4o-mini").source == ModelConfig(model="gpt-4o-mini", api_base="http://x", api_key="k")
    other = choose("claude-haiku-4-5").source
    assert isinstance(other, ModelConfig)
    assert (other.api_base, other.api_key) == (None, None)


def test_a_configuration_stands_for_itself() -> None:
    ScenarioConfig.configure(default_model=ModelConfig(model="openai/a", temperature=0.7, top_p=0.1))
    choice = choose(ModelConfig(model="openai/b"), max_tokens=5)
    assert (choice.temperature, choice.max_tokens, choice.extra) == (0.0, 5, {})


def test_a_name_alone_means_temperature_zero_and_a_model_object_decides_itself() -> None:
    ScenarioConfig.configure(default_model="openai/a")
    assert choose().temperature == 0.0
    assert choose(ScriptedModel(["x"])).temperature is None
    assert choose(ScriptedModel(["x"]), temperature=0.0).temperature == 0.0


def test_the_model_is_resolved_on_first_use_only() -> None:
    choice = choose("openai/gpt-5-mini")
    with pytest.raises(MissingKeyError):
        _ = choice.model
    fixed = choose("mock/fixed:x")
    assert fixed.model is fixed.model


def test_requests_carry_the_settings_of_the_choice() -> None:
    choice = choose("mock/echo", temperature=0.3, max_tokens=9, extra={"top_p": 0.5})
    request = choice.request([user_message("Hi")], stop=["\n"], seed=4)
    assert (request.temperature, request.max_tokens, request.stop, request.seed) == (0.3, 9, ("\n",), 4)
    assert request.extra == {"top_p": 0.5}
    changed = choice.request([], temperature=0.0, max_tokens=1)
    assert (changed.temperature, changed.max_tokens) == (0.0, 1)


def test_api_base_does_not_go_with_an_object() -> None:
    with pytest.raises(ConfigurationError, match="api_base"):
        choose(ScriptedModel(["x"]), api_base="http://x")


def test_a_choice_is_frozen_and_shows_no_key() -> None:
    choice = choose("openai/a", api_key="sk-secret")
    assert "sk-secret" not in repr(choice)
    with pytest.raises(dataclasses.FrozenInstanceError):
        choice.name = "x"  # type: ignore[misc]
