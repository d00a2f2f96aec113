"""Names of models: ``provider/model`` or ``provider:model``, and what other libraries call the same providers."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from duologue.config.patterns import late
from duologue.frozen import frozen

_ALIASES = {
    "azure_ai": "azure",
    "azure-openai": "azure",
    "fireworks_ai": "fireworks",
    "gemini": "google",
    "github_copilot": "github-copilot",
    "google-gla": "google",
    "google-vertex": "google-cloud",
    "hosted_vllm": "vllm",
    "moonshot": "moonshotai",
    "nvidia_nim": "nvidia",
    "ollama_chat": "ollama",
    "openai-chat": "openai",
    "together_ai": "together",
    "vercel_ai_gateway": "vercel",
    "vertex_ai": "google-cloud",
}
"""Names that LiteLLM and older versions of pydantic-ai use."""

PROVIDERS = (
    "alibaba anthropic azure azure-responses bedrock cerebras cohere crusoe deepinfra deepseek fireworks github google "
    "google-cloud groq heroku huggingface litellm lm_studio meta mistral moonshotai nebius nvidia ollama openai "
    "openai-responses openrouter ovhcloud perplexity sambanova together vercel vllm xai zai"
).split()
"""Providers that are known without asking: to suggest them, and because no other package can take their names."""
_OPENAI = late(r"(chat)?gpt-\d|o[1-9](-|$)|chatgpt-|codex-mini")
_OWN_NAMES = {"openai": _OPENAI, "anthropic": late(r"claude-"), "google": late(r"gemini-")}
"""What the names of models begin with that only one provider has. gpt-oss, for one, is anybody's to serve."""
EXTRAS = frozenset({"anthropic", "bedrock", "cohere", "google"})
"""Extras of this package that bring a provider's own, by the first word of the provider's name."""

OLDEST_PYDANTIC_AI = (2, 62)
"""The first version of pydantic-ai-slim that has all that is used of it."""


class UnknownProviderError(Exception):
    """Nobody knows that provider."""


@frozen
class ModelName:
    """A model's name in its two parts.

    Attributes:
        provider: what answers, such as ``openai``, ``local`` or ``mock``; '' where the name does not say.
        reference: what the provider calls the model; '' for ``local`` alone.
    """

    provider: str
    reference: str

    def __str__(self) -> str:
        return "/".join(filter(None, (self.provider, self.reference)))


def parse_name(text: str) -> ModelName:
    """Split at the first slash or colon. ``gateway/`` belongs to the provider behind it."""
    head = "gateway/" if text.startswith("gateway/") else ""
    rest = text.removeprefix(head)
    cut = min((position for position in (rest.find("/"), rest.find(":")) if position >= 0), default=-1)
    if cut < 0:
        return ModelName(provider="local", reference="") if text == "local" else ModelName(provider="", reference=text)
    provider = rest[:cut]
    return ModelName(provider=head + _ALIASES.get(provider, provider), reference=rest[cut + 1 :])


def inferred(name: ModelName) -> ModelName:
    """The name with its provider, where it has none and only one provider has models of that name."""
    if name.provider == "ft" and _OPENAI.match(name.reference):  # a fine-tuned model, ft:gpt-…:…
        return ModelName(provider="openai", reference=f"ft:{name.reference}")
    if name.provider:
        return name
    provider = next((provider for provider, form in _OWN_NAMES.items() if form.match(name.reference)), "")
    return ModelName(provider=provider, reference=name.reference)


def nearest(name: ModelName, more: Iterable[str] = ()) -> list[str]:
    """Known providers that look like this one, best first."""
    return get_close_matches(name.provider.lower(), [*PROVIDERS, *more], n=3, cutoff=0.6)
