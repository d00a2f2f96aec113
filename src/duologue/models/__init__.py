"""Which language model answers: names, real providers, limits, prices, scripted models, the model on this machine.

Importing this package loads no provider and no HTTP client; resolving a name does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from duologue.models.ask import ask, ask_completion
from duologue.models.base import Completion, CompletionModel, Model, ModelAnswer, ModelRequest, ToolSpec
from duologue.models.limits import configure_limits
from duologue.models.resolve import forget_models, resolve
from duologue.models.scope import RunScope

if TYPE_CHECKING:
    from duologue.models.choice import ModelChoice, choose
    from duologue.models.provider import ProviderModel, RetryPolicy
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


def __getattr__(name: str) -> Any:
    """Import what not everybody needs when it is asked for."""
    if name in {"ModelChoice", "choose"}:
        from duologue.models import choice as home
    elif name in {"ProviderModel", "RetryPolicy"}:
        from duologue.models import provider as home
    elif name in {"ScriptedModel", "register_mock"}:
        from duologue.models import scripted as home
    else:
        raise AttributeError(f"module 'duologue.models' has no attribute '{name}'")
    return getattr(home, name)
