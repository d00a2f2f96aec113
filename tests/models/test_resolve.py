from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
from agent_server import AgentServer, agent_server
from waiting import LONG

from duologue.config.access import Access, using
from duologue.errors import ConfigurationError, MissingExtraError, MissingKeyError, UnknownModelError
from duologue.messages import user_message
from duologue.models import Model, ModelRequest, ProviderModel, ScriptedModel, register_mock, resolve
from duologue.models.ask import ask
from duologue.models.limits import limits_of
from duologue.models.names import EXTRAS, OLDEST_PYDANTIC_AI, inferred, parse_name
from duologue.models.scope import RunScope
from duologue.models.scripted import echo_model
from duologue.settings import ModelConfig

HELLO = ModelRequest(messages=(user_message("Hi there"),))


@pytest.mark.parametrize(
    ("text", "provider", "reference"),
    [
        ("openai/gpt-5-mini", "openai", "gpt-5-mini"),
        ("openai:gpt-5-mini", "openai", "gpt-5-mini"),
        ("openrouter/anthropic/claude-sonnet-4-5", "openrouter", "anthropic/claude-sonnet-4-5"),
        ("bedrock:us.anthropic.claude-haiku-4-5-v1:0", "bedrock", "us.anthropic.claude-haiku-4-5-v1:0"),
        ("gemini/gemini-2.5-flash", "google", "gemini-2.5-flash"),
        ("gateway/openai:gpt-5", "gateway/openai", "gpt-5"),
        ("local", "local", ""),
        ("local/small", "local", "small"),
        ("mock/fixed:a/b:c", "mock", "fixed:a/b:c"),
        ("gpt-5-mini", "", "gpt-5-mini"),
    ],
)
def test_names_split_at_the_first_mark(text: str, provider: str, reference: str) -> None:
    name = parse_name(text)
    assert (name.provider, name.reference) == (provider, reference)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpt-4o-mini", "openai/gpt-4o-mini"),
        ("gpt-5.5", "openai/gpt-5.5"),
        ("o3", "openai/o3"),
        ("o4-mini-2025-04-16", "openai/o4-mini-2025-04-16"),
        ("chatgpt-4o-latest", "openai/chatgpt-4o-latest"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "openai/ft:gpt-4o-mini-2024-07-18:acme::abc"),
        ("claude-haiku-4-5", "anthropic/claude-haiku-4-5"),
        ("gemini-2.5-flash", "google/gemini-2.5-flash"),
        ("gpt-oss-120b", "gpt-oss-120b"),
        ("gpt-j-6b", "gpt-j-6b"),
        ("o1model", "o1model"),
        ("gpt2", "gpt2"),
        ("llama-3", "llama-3"),
        ("ft:other", "ft/other"),
        ("local", "local"),
        ("vllm/gpt-4o", "vllm/gpt-4o"),
    ],
)
def test_a_name_that_only_one_provider_has_needs_no_provider(text: str, expected: str) -> None:
    assert str(inferred(parse_name(text))) == expected


async def test_a_name_without_a_provider_is_the_same_model_and_a_server_keeps_its_name(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert resolve("gpt-5-mini") is resolve("openai/gpt-5-mini")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(MissingKeyError, match=r"'openai/gpt-4o' needs a key: .*OPENAI_API_KEY"):
        resolve("gpt-4o")
    assert resolve("claude-haiku-4-5", api_key="k").name == "anthropic/claude-haiku-4-5"
    assert (await resolve("claude-haiku-4-5", api_base=server.url).answer(HELLO)).model == "openai/claude-haiku-4-5"
    assert server.requests[0]["model"] == "claude-haiku-4-5"


def test_importing_models_loads_no_provider_and_no_http_client() -> None:
    code = (
        "import sys, duologue.models, duologue.models.resolve, duologue.models.choice, duologue.models.provider\n"
        "from duologue.models import ask, resolve\n"
        "assert callable(resolve) and callable(ask)\n"
        "resolve('mock/echo')\n"
        "heavy = {'pydantic_ai', 'httpx', 'httpx2', 'openai', 'genai_prices'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=LONG, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_both_spellings_are_one_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    model = resolve("openai/gpt-5-mini")
    assert model.name == "openai/gpt-5-mini"
    assert resolve("openai:gpt-5-mini") is model
    assert resolve(ModelConfig(model="openai/gpt-5-mini")) is model
    assert resolve("openai/gpt-5-mini", api_key="other") is not model


def test_all_models_of_a_provider_share_its_limits() -> None:
    models = [resolve(name, api_key="k") for name in ("openai/a", "openai/b")]
    models.append(resolve("openai/a", api_key="k", extra={"top_p": 0.5}))
    assert all(isinstance(model, ProviderModel) and model._limits is limits_of("openai") for model in models)
    assert models[2] is not models[0]
    assert models[2]._client is models[0]._client  # type: ignore[attr-defined]


async def test_any_prefix_is_an_openai_compatible_server_with_api_base(server: Any) -> None:
    for name in ("whatever/llama", "anthropic/claude-sonnet-4-5", "bare-name"):
        assert (await resolve(name, api_base=server.url).answer(HELLO)).text == "Hello."
    assert [request["model"] for request in server.requests] == ["llama", "claude-sonnet-4-5", "bare-name"]


async def test_a_key_of_openai_is_not_sent_to_another_provider(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    monkeypatch.setenv("MY_HOST_API_KEY", "mine")
    await resolve("my-host/llama", api_base=server.url).answer(HELLO)
    await resolve("other/llama", api_base=server.url).answer(HELLO)
    await resolve("openai/gpt-4o", api_base=server.url).answer(HELLO)
    keys = [headers.get("authorization", "") for headers in server.headers]
    assert keys[0] == "Bearer mine"
    assert "sk-secret" not in keys[1]
    assert keys[2] == "Bearer sk-secret"


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("openai/gpt-5-mini", "OPENAI_API_KEY"),
        ("openai-responses/gpt-5-mini", "OPENAI_API_KEY"),
        ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY"),
        ("gemini/gemini-2.5-flash", "GOOGLE_API_KEY"),
        ("mistral/mistral-small", "MISTRAL_API_KEY"),
        ("groq/llama", "GROQ_API_KEY"),
        ("cohere/command", "CO_API_KEY"),
        ("deepseek/deepseek-chat", "DEEPSEEK_API_KEY"),
    ],
)
def test_a_missing_key_is_called_by_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, variable: str) -> None:
    for other in (variable, "GEMINI_API_KEY"):
        monkeypatch.delenv(other, raising=False)
    with pytest.raises(MissingKeyError, match=rf"set the environment variable {variable}\b.*api_key"):
        resolve(name)
    assert isinstance(resolve(name, api_key="k"), ProviderModel)


@pytest.mark.parametrize(
    ("name", "extra"), [("anthropic", "anthropic"), ("cohere", "cohere"), ("gateway/anthropic", "anthropic")]
)
def test_a_missing_package_is_called_by_its_extra(monkeypatch: pytest.MonkeyPatch, name: str, extra: str) -> None:
    for module in [module for module in sys.modules if module.startswith(("pydantic_ai.", f"{extra}."))]:
        if extra in module:
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(MissingExtraError, match=rf"duologue\[{extra}\]") as caught:
        resolve(f"{name}/something", api_key="k")
    assert caught.value.extra == extra


def test_without_pydantic_ai_a_provider_is_called_by_its_extra_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["duologue.models.resolve"], "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"duologue\[google\]"):
        resolve("google-cloud/gemini-2.5-flash", api_key="k")
    with pytest.raises(UnknownModelError, match="xyzzy"):
        resolve("xyzzy/plugh")


@pytest.mark.parametrize("found", ["2.31.1", "2.61.0", "1.99", "0.8.1b3"])
def test_a_pydantic_ai_that_is_too_old_is_refused_with_the_version_that_is_needed(
    monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    from pydantic_ai.models.test import TestModel

    monkeypatch.setattr(sys.modules["duologue.models.resolve"], "version", lambda _name: found)
    for model in ("anthropic/claude-sonnet-4-5", TestModel()):
        with pytest.raises(ConfigurationError, match=rf"2\.62 or newer, and {found} is installed.*pip install"):
            resolve(model, extra={})
    assert isinstance(resolve("openai/gpt-5-mini", api_key="k"), ProviderModel)


@pytest.mark.parametrize("found", ["2.62.0", "2.62", "2.100.0", "3.0.0b1", "10.1"])
def test_a_pydantic_ai_that_is_new_enough_is_taken(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(sys.modules["duologue.models.resolve"], "version", lambda _name: found)
    assert isinstance(resolve("anthropic/claude-sonnet-4-5", api_key="k"), ProviderModel)


def test_the_oldest_pydantic_ai_is_the_one_that_the_extras_ask_for() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    offered = [entry for extra in tomllib.loads(text)["project"]["optional-dependencies"].values() for entry in extra]
    wanted = {entry.partition("]")[2] for entry in offered if entry.startswith("pydantic-ai-slim[")}
    assert wanted == {f">={'.'.join(map(str, OLDEST_PYDANTIC_AI))}"}


def test_every_name_that_is_used_of_pydantic_ai_is_there() -> None:
    # A name that only a rare failure asks for is missed when it is too late.
    from pydantic_ai import exceptions

    source = (Path(__file__).parents[2] / "src/duologue/models/_through_pydantic_ai.py").read_text(encoding="utf-8")
    used = set(re.findall(r"\btheirs\.(\w+)", source))
    assert used
    assert {name for name in used if not hasattr(exceptions, name)} == set()


def test_openai_and_its_like_need_neither_pydantic_ai_nor_openai() -> None:
    code = (
        "import sys, duologue\n"
        "from duologue.models import resolve\n"
        "from duologue.models.openai_compatible import HOSTS\n"
        "for name in HOSTS: resolve(f'{name}/m', api_key='k', api_base='http://127.0.0.1:9/v1')\n"
        "resolve('openai/gpt-5-mini', api_key='k')\n"
        "sys.exit(', '.join(sorted({'pydantic_ai', 'openai', 'httpx', 'genai_prices'} & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("opnai/gpt-5-mini", "openai/gpt-5-mini"),
        ("antropic:claude", "anthropic/claude"),
        ("gpt-oss-120b", "openai/gpt-oss-120b"),
        ("locl/x", "local/x"),
        ("openai/", "openai/…"),
        ("", "provider/model"),
        ("xyzzy/plugh", "api_base"),
    ],
)
def test_an_unknown_name_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UnknownModelError, match=hint):
        resolve(name)


def test_the_extras_of_providers_are_those_of_this_package() -> None:
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    offered = tomllib.loads(text)["project"]["optional-dependencies"]
    assert {
        name for name, packages in offered.items() if packages and packages[0].startswith("pydantic-ai-slim[")
    } == EXTRAS


async def test_mock_models() -> None:
    assert (await resolve("mock/echo").answer(HELLO)).text == "Hi there"
    assert (await resolve("mock/fixed:Yes: of course/maybe").answer(HELLO)).text == "Yes: of course/maybe"
    with pytest.raises(UnknownModelError, match="mock/echo, mock/fixed"):
        resolve("mock/nothing")


def test_other_modules_add_mock_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duologue.models.scripted._kinds", {})
    register_mock(".yaml", lambda path: echo_model(f"mock/{path}"))
    assert resolve("mock/scripts/polite.yaml").name == "mock/scripts/polite.yaml"


def test_packages_add_models_by_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint(name="acme", value="duologue.models.scripted:ScriptedModel", group="duologue.models")
    asked: list[tuple[str, ModelConfig]] = []

    def load(_entry: EntryPoint) -> Any:
        def make(reference: str, config: ModelConfig) -> Model:
            asked.append((reference, config))
            return echo_model(f"acme/{reference}")

        return make

    monkeypatch.setattr(EntryPoint, "load", load)
    monkeypatch.setattr(
        "duologue.config.entry_points.entry_points",
        lambda group, name="acme": [entry] if (group, name) == ("duologue.models", "acme") else [],
    )
    assert resolve("acme/one", extra={"speed": 3}).name == "acme/one"
    assert (asked[0][0], asked[0][1].extra) == ("one", {"speed": 3})
    with pytest.raises(UnknownModelError, match="acme/one"):
        resolve("acmee/one")


def test_other_packages_are_only_looked_at_for_names_that_are_not_known_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("duologue.config.entry_points.entry_points", lambda **_: pytest.fail("read all metadata"))
    assert resolve("mock/echo").name == "mock/echo"
    assert resolve("openai/gpt-5-mini", api_key="k").name == "openai/gpt-5-mini"


def test_a_model_object_is_given_back_and_anything_else_is_refused() -> None:
    model = ScriptedModel(["x"])
    assert resolve(model) is model
    with pytest.raises(ConfigurationError, match="api_base"):
        resolve(model, api_base="http://localhost")
    with pytest.raises(ConfigurationError, match="found int"):
        resolve(3)  # type: ignore[arg-type]


async def test_models_of_one_project_are_not_those_of_another(openai_answers: AgentServer) -> None:
    url = openai_answers.url
    every = [Access(values={"OPENAI_API_KEY": f"key-{name}-0815", "OPENAI_BASE_URL": f"{url}/{name}"}) for name in "ab"]
    for values in (*every, every[0]):
        with using(values):
            answer = await ask(resolve("openai/gpt-5-mini"), HELLO, RunScope(who="test"))
        assert answer.message["content"] == "Hello."
    sent = [(headers["authorization"], headers[""].split()[1]) for headers in openai_answers.headers]
    assert sent == [(f"Bearer key-{name}-0815", f"/{name}/chat/completions") for name in "aba"]
    with using(every[0]):
        again = resolve("openai/gpt-5-mini")
        assert resolve("gpt-5-mini") is again  # its connections are kept
    with using(Access(values={"OPENAI_API_KEY": "replaced-key-0815", "OPENAI_BASE_URL": url})):
        assert resolve("openai/gpt-5-mini") is not again
    assert resolve("mock/echo") is resolve("mock/echo")


@pytest.fixture
async def openai_answers() -> AsyncIterator[AgentServer]:
    async with agent_server() as server:
        said = {"role": "assistant", "content": "Hello."}
        server.answers(
            {"choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}, Content_Type="application/json"
        )
        yield server
