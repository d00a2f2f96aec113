"""Which language model answers: names, real providers, limits, prices, scripted models, the model on this machine.

Importing this package loads no provider and no HTTP client; resolving a name does.
"""

from __future__ import annotations

from duologue.models.ask import ask, ask_completion
from duologue.models.base import Completion, CompletionModel, Model, ModelAnswer, ModelRequest, ToolSpec
from duologue.models.choice import ModelChoice, choose
from duologue.models.limits import configure_limits
from duologue.models.provider import ProviderModel, RetryPolicy
from duologue.models.resolve import forget_models, resolve
from duologue.models.scope import RunScope
from duologue.models.scripted import ScriptedModel, register_mock

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
