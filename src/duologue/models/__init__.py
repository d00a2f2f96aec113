"""Which language model answers: names, real providers, limits, prices, scripted models, the model on this machine.

Importing this package loads no provider and no HTTP client; resolving a name does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from duologue.lazy_names import lazy_names
from duologue.models.ask import ask, ask_completion
from duologue.models.base import Completion, CompletionModel, Model, ModelAnswer, ModelRequest, ToolSpec
from duologue.models.limits import configure_limits
from duologue.models.resolve import forget_models, resolve
from duologue.models.scope import RunScope

if TYPE_CHECKING:
    from duologue.models.choice import ModelChoice, choose
    from duologue.models.provider import ProviderModel, RetryPolicy
    from duologue.models.scripted import ScriptedModel, register_mock

_HOMES = {
    "ModelChoice": ".choice",
    "ProviderModel": ".provider",
    "RetryPolicy": ".provider",
    "ScriptedModel": ".scripted",
    "choose": ".choice",
    "register_mock": ".scripted",
}

__all__ = [
    "Completion",
    "CompletionModel",
    "Model",
    "ModelAnswer",
    "ModelChoice",
    "ModelRequest",
    "ProviderModel",
    "RetryPolicy",
    "RunScope",
    "ScriptedModel",
    "ToolSpec",
    "ask",
    "ask_completion",
    "choose",
    "configure_limits",
    "forget_models",
    "register_mock",
    "resolve",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
